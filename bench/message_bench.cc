// UPDATEs to NLRI and attributes, and back: what one message costs, with 10 and 500 prefixes.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>

#include "bgp/message.h"
#include "bgp/update.h"

namespace {

using namespace weft;
using namespace weft::bgp;

Inbound session() {
  Inbound inbound;
  inbound.peer_as = Asn{65001};
  inbound.negotiated.four_octet_as = true;
  inbound.negotiated.families = {{unicast(Family::ipv4)}, {unicast(Family::ipv6)}};
  return inbound;
}

Attributes attributes(std::uint32_t variant) {
  Attributes some;
  some.origin = Origin::igp;
  some.as_path = AsPath::sequence({{65001}, {64512}, {4200000000U + variant}});
  some.med = 10;
  some.communities = {{0xfde90064}, {0xfde90065}};
  return some;
}

std::vector<Nlri> prefixes(Family family, std::size_t count) {
  std::vector<Nlri> nlri;
  const Address base = *Address::parse(family == Family::ipv4 ? "10.0.0.0" : "2001:db8::");
  for (std::size_t i = 0; i < count; ++i) {
    nlri.push_back(
        {family == Family::ipv4 ? Prefix(base.plus(i * 256), 24) : Prefix(base.plus(i << 16), 112),
         0});
  }
  return nlri;
}

std::vector<std::byte> message(Family family, std::size_t count, std::uint32_t variant) {
  const PathNextHop next_hop{*Address::parse(family == Family::ipv4 ? "192.0.2.1" : "fd00::1"), {}};
  Negotiated negotiated = session().negotiated;
  negotiated.max_send = max_extended_message_size;
  std::vector<std::byte> out;
  const auto bytes = canonical(attributes(variant));
  if (encode_announcement(unicast(family), next_hop, bytes, prefixes(family, count), negotiated,
                          out) != count) {
    std::abort();
  }
  return out;
}

/// Arguments: prefixes in an UPDATE, whether neighbours share their attributes.
void decode(benchmark::State& state, Family family) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const bool shared = state.range(1) != 0;
  std::vector<std::vector<std::byte>> messages;
  for (std::uint32_t i = 0; i < 64; ++i) messages.push_back(message(family, count, shared ? 0 : i));
  UpdateDecoder decoder(session());
  std::size_t next = 0;
  for (auto _ : state) {
    const auto frame = next_message(messages[next++ % messages.size()], max_extended_message_size);
    const auto update = decoder.decode((*frame)->body());
    for (const Announcement& each : update->announcements()) {
      for (const Nlri& nlri : each.nlri) benchmark::DoNotOptimize(nlri);
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK_CAPTURE(decode, ipv4, Family::ipv4)->ArgsProduct({{1, 10, 500}, {0, 1}});
BENCHMARK_CAPTURE(decode, ipv6, Family::ipv6)->ArgsProduct({{1, 10, 500}, {0, 1}});

void announce(benchmark::State& state, Family family) {
  const auto nlri = prefixes(family, static_cast<std::size_t>(state.range(0)));
  const auto bytes = canonical(attributes(0));
  const PathNextHop next_hop{*Address::parse(family == Family::ipv4 ? "192.0.2.1" : "fd00::1"), {}};
  Negotiated negotiated = session().negotiated;
  negotiated.max_send = max_extended_message_size;
  std::vector<std::byte> out;
  for (auto _ : state) {
    out.clear();
    encode_announcement(unicast(family), next_hop, bytes, nlri, negotiated, out);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK_CAPTURE(announce, ipv4, Family::ipv4)->Arg(10)->Arg(500);
BENCHMARK_CAPTURE(announce, ipv6, Family::ipv6)->Arg(10)->Arg(500);

void canonical_form(benchmark::State& state) {
  const Attributes some = attributes(0);
  for (auto _ : state) benchmark::DoNotOptimize(canonical(some));
}
BENCHMARK(canonical_form);

void from_canonical_form(benchmark::State& state) {
  const auto bytes = canonical(attributes(0));
  for (auto _ : state) benchmark::DoNotOptimize(from_canonical(bytes));
}
BENCHMARK(from_canonical_form);

void frame(benchmark::State& state) {
  const auto bytes = message(Family::ipv4, 10, 0);
  for (auto _ : state) benchmark::DoNotOptimize(next_message(bytes, max_message_size));
}
BENCHMARK(frame);

}  // namespace
