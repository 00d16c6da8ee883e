// What a route costs on its way through the tables: UPDATE bytes -> attributes -> interned -> RIB
// -> best path -> FIB change, and out again to an update group. Counters: ns/route of the loop's
// work, octets of heap a route takes.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <malloc.h>

#include <array>
#include <limits>

#include "bgp/adj_out.h"
#include "bgp/attribute_store.h"
#include "bgp/message.h"
#include "bgp/rib.h"
#include "bgp/update.h"

namespace weft::bgp {
namespace {

constexpr std::uint32_t routes = 1'000'000;
constexpr std::uint32_t routes_per_update = 10;

Negotiated session() {
  Negotiated made;
  made.families = {{unicast(Family::ipv4), false, false, false},
                   {unicast(Family::ipv6), false, false, false}};
  made.four_octet_as = true;
  return made;
}

Address peer_address(std::uint32_t peer) {
  return Address::ipv4(0xc0000200 + peer);
}

Prefix nth_prefix(Family family, std::uint32_t n) {
  if (family == Family::ipv4) return {Address::ipv4(0x0a000000 + (n << 6)), 26};
  std::array<std::byte, 16> octets{std::byte{0xfd}};
  for (std::size_t i = 0; i < 4; ++i) octets[4 + i] = static_cast<std::byte>(n >> (24 - 8 * i));
  return {Address::ipv6(octets), 64};
}

/// 1M routes, an attribute set of 5 ASes and 2 communities for every ten.
std::vector<std::byte> updates(Family family, std::uint32_t peer) {
  std::vector<std::byte> out;
  for (std::uint32_t n = 0; n < routes; n += routes_per_update) {
    Attributes attributes;
    attributes.origin = Origin::igp;
    attributes.as_path = AsPath::sequence({Asn{65000 + peer}, Asn{4200000000U + n % 997},
                                           Asn{4200001000U + n / 10}, Asn{64512}, Asn{64513}});
    attributes.communities = {Community{0xfde80001}, Community{0xfde80002}};
    std::vector<std::byte> encoded;
    encode_attributes(attributes, true, encoded);
    std::vector<Nlri> nlri;
    for (std::uint32_t i = 0; i < routes_per_update; ++i) {
      nlri.push_back({nth_prefix(family, n + i), 0});
    }
    const PathNextHop next_hop =
        family == Family::ipv4
            ? PathNextHop{peer_address(peer), {}}
            : PathNextHop{*Address::parse(fmt::format("2001:db8::{}", peer)), {}};
    encode_announcement(unicast(family), next_hop, encoded, nlri, session(), out);
  }
  return out;
}

std::size_t heap() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

struct Tables {
  AttributeStore store{Asn{65535}, RouterId{1}};
  Rib rib{store, {}};

  explicit Tables(std::uint32_t peers) {
    rib.connected({{*Address::parse("192.0.2.254"), *Prefix::parse("192.0.2.0/24"), 2},
                   {*Address::parse("2001:db8::ff"), *Prefix::parse("2001:db8::/64"), 2}});
    for (std::uint32_t n = 1; n <= peers; ++n) {
      rib.attach(PeerId(n), {true, RouterId{n}, peer_address(n), 0});
    }
  }

  /// As the speaker does it: a read of 64 KiB, then one decision for what it touched.
  std::size_t learn(std::uint32_t peer, Bytes stream, std::vector<RouteChange>& changes) {
    UpdateDecoder decoder(Inbound{session(), true, Asn{65000 + peer}, true});
    AttributeId last = AttributeId::none;
    std::size_t count = 0;
    std::size_t read = 0;
    std::vector<std::byte> octets;
    HeldAttributes current;
    while (!stream.empty()) {
      const auto frame = next_message(stream, max_message_size);
      const auto update = decoder.decode((*frame)->body());
      octets = canonical(update->attributes());
      current = HeldAttributes(store, store.intern(octets, last));
      last = current.id();
      for (const Announcement& each : update->announcements()) {
        const auto next_hop =
            rib.next_hop(PeerId(peer), each.next_hop.address, each.next_hop.link_local);
        in_blocks<Rib::max_prefetched>(each.nlri, [&](std::span<const Nlri> block) {
          rib.prefetch(block);
          for (const Nlri& nlri : block) {
            rib.announce(nlri.prefix, nlri.path_id, last, *next_hop);
          }
        });
      }
      read += (*frame)->size();
      stream = stream.subspan((*frame)->size());
      if (read >= 65536 || stream.empty()) {
        rib.decide(std::numeric_limits<std::size_t>::max(), changes);
        count += changes.size();
        changes.clear();
        read = 0;
      }
    }
    return count;
  }
};

void report(benchmark::State& state, double items) {
  state.counters["per route"] =
      benchmark::Counter(items, benchmark::Counter::kIsRate | benchmark::Counter::kInvert |
                                    benchmark::Counter::kIsIterationInvariant);
}

/// Range: family, paths of each route (each path its own attribute sets).
void learn(benchmark::State& state) {
  const auto family = static_cast<Family>(state.range(0));
  const auto peers = static_cast<std::uint32_t>(state.range(1));
  std::vector<std::vector<std::byte>> streams;
  for (std::uint32_t n = 1; n <= peers; ++n) streams.push_back(updates(family, n));
  std::vector<RouteChange> changes;
  changes.reserve(1 << 16);
  for (auto _ : state) {
    state.PauseTiming();
    malloc_trim(0);
    const std::size_t before = heap();
    auto tables = std::make_unique<Tables>(peers);
    state.ResumeTiming();
    for (std::uint32_t n = 1; n <= peers; ++n) tables->learn(n, streams[n - 1], changes);
    state.PauseTiming();
    state.counters["octets/route"] = static_cast<double>(heap() - before) / routes;
    state.counters["attributes/route"] = static_cast<double>(tables->store.memory()) / routes;
    tables.reset();
    state.ResumeTiming();
  }
  report(state, 1.0 * routes * peers);
}
BENCHMARK(learn)
    ->ArgNames({"family", "paths"})
    ->Args({4, 1})
    ->Args({4, 4})
    ->Args({6, 1})
    ->Unit(benchmark::kMillisecond)
    ->Iterations(3);

/// A peer with all routes goes down: every path dropped, every prefix decided.
void drop_peer(benchmark::State& state) {
  const auto stream = updates(Family::ipv4, 1);
  std::vector<RouteChange> changes;
  for (auto _ : state) {
    state.PauseTiming();
    auto tables = std::make_unique<Tables>(1);
    tables->learn(1, stream, changes);
    state.ResumeTiming();
    tables->rib.drop(PeerId{1}, Family::ipv4);
    tables->rib.decide(std::numeric_limits<std::size_t>::max(), changes);
    state.PauseTiming();
    changes = {};
    tables.reset();
    state.ResumeTiming();
  }
  report(state, routes);
}
BENCHMARK(drop_peer)->Unit(benchmark::kMillisecond)->Iterations(3);

/// Learn and tell receivers at once, each with a next hop of its own: the whole speaker but its
/// sockets.
void readvertise(benchmark::State& state) {
  const auto receivers = static_cast<std::uint32_t>(state.range(0));
  const auto stream = updates(Family::ipv4, 1);
  PeerSettings accept;
  accept.export_filter = Filter::accept;
  std::vector<RouteChange> changes;
  std::vector<std::byte> out;
  for (auto _ : state) {
    state.PauseTiming();
    auto tables = std::make_unique<Tables>(1 + receivers);
    tables->learn(1, stream, changes);
    const std::size_t before = heap();
    auto adj_out = std::make_unique<AdjOut>(tables->rib);
    for (std::uint32_t n = 0; n < receivers; ++n) {
      AdjOutPeer how;
      how.policy = Policy::to_export({}, accept, true);
      how.negotiated = session();
      how.next_hop = {peer_address(100 + n), {}};
      how.as_path.local_as = Asn{65535};
      adj_out->join(PeerId(2 + n), Family::ipv4, how);
    }
    std::size_t octets = 0;
    state.ResumeTiming();
    for (bool more = true; more;) {
      more = false;
      for (std::uint32_t n = 0; n < receivers; ++n) {
        out.clear();
        more |= adj_out->produce(PeerId(2 + n), 65536, out);
        octets += out.size();
      }
    }
    state.PauseTiming();
    state.counters["adj-out octets/route"] = static_cast<double>(heap() - before) / routes;
    state.counters["sent octets/route"] = static_cast<double>(octets) / routes / receivers;
    adj_out.reset();
    tables.reset();
    state.ResumeTiming();
  }
  report(state, routes);
}
BENCHMARK(readvertise)
    ->ArgName("receivers")
    ->Arg(1)
    ->Arg(8)
    ->Arg(32)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(3);

}  // namespace
}  // namespace weft::bgp
