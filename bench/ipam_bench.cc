// The allocator alone and with its store: what an ADD and a DEL cost weftd, without socket and
// kernel.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "ipam/allocator.h"
#include "ipam/store.h"

namespace weft::ipam {
namespace {

Settings pool(std::uint32_t blocks) {
  PoolSettings pool;
  pool.name = "containers";
  pool.ipv4 = *Prefix::parse("10.64.0.0/12");
  pool.ipv6 = *Prefix::parse("fd64::/108");
  pool.claim = StaticIndex{1, blocks};
  Settings settings;
  settings.pools = {pool};
  settings.cool_down = std::chrono::seconds(0);
  return settings;
}

AllocateRequest request(std::int64_t number) {
  return {{"weft", fmt::format("{:064x}", number), "eth0"},
          "/run/netns/cni-0123456789",
          4026532000,
          ""};
}

/// Containers that are there all the time are numbered from here.
constexpr std::int64_t others = 1LL << 40;

/// An allocator in which `held` addresses of `blocks` blocks of 64 are taken.
Allocator prepared(std::uint32_t blocks, std::int64_t held) {
  Allocator allocator("boot", 1);
  const auto done = allocator.configure(pool(blocks));
  if (!done) std::abort();
  for (std::int64_t i = 0; i < held; ++i) {
    allocator.apply(allocator.allocate(request(others + i), Time())->changes);
  }
  return allocator;
}

void allocate_and_release(benchmark::State& state) {
  Allocator allocator = prepared(64, state.range(0));
  std::int64_t number = 0;
  for (auto _ : state) {
    const auto grant = allocator.allocate(request(number), Time());
    allocator.apply(grant->changes);
    allocator.apply(allocator.release(grant->lease.attachment, std::nullopt, Time()).changes);
    ++number;
  }
}
BENCHMARK(allocate_and_release)->Arg(0)->Arg(1000)->Arg(4000);

void repeated_add(benchmark::State& state) {
  Allocator allocator = prepared(64, 1000);
  allocator.apply(allocator.allocate(request(1), Time())->changes);
  for (auto _ : state) benchmark::DoNotOptimize(allocator.allocate(request(1), Time()));
}
BENCHMARK(repeated_add);

void audit(benchmark::State& state) {
  Allocator allocator = prepared(64, state.range(0));
  Observation seen;
  for (const LeaseStatus& status : allocator.leases()) {
    seen.host_ifnames.insert(status.lease.host_ifname);
  }
  for (auto _ : state) benchmark::DoNotOptimize(allocator.audit(seen, Time()));
}
BENCHMARK(audit)->Arg(1000)->Arg(4000);

/// One ADD and one DEL with their two commits, in `directory` (argument 0: tmpfs, 1: the current
/// directory's disk).
void commit(benchmark::State& state) {
  std::string name = state.range(0) == 0 ? "/dev/shm/weft-bench-XXXXXX" : "./weft-bench-XXXXXX";
  const std::filesystem::path directory = ::mkdtemp(name.data());
  {
    auto store = Store::open(directory);
    if (!store) std::abort();
    Allocator allocator = prepared(64, 0);
    std::int64_t number = 0;
    for (auto _ : state) {
      const auto grant = allocator.allocate(request(number), Time());
      if (!store->commit(grant->changes)) std::abort();
      allocator.apply(grant->changes);
      const auto release = allocator.release(grant->lease.attachment, std::nullopt, Time());
      if (!store->commit(release.changes)) std::abort();
      allocator.apply(release.changes);
      ++number;
    }
  }
  std::filesystem::remove_all(directory);
}
BENCHMARK(commit)->Arg(0)->Arg(1)->UseRealTime();

}  // namespace
}  // namespace weft::ipam
