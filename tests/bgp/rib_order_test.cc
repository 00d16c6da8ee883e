// The table is a function of the last word of each peer about each prefix: whatever the order in
// which the updates of different peers came, with implicit replaces and withdrawals among them, and
// however often was decided in between.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bgp/rib.h"
#include "tests/bgp/tables.h"

namespace weft::bgp {
namespace {

constexpr std::size_t all = std::numeric_limits<std::size_t>::max();

/// What one peer says of one prefix, in this order: attributes, or none for a withdrawal.
using Words = std::vector<std::optional<Attributes>>;
using Said = std::map<std::pair<unsigned, Prefix>, Words>;

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  unsigned below(unsigned limit) { return static_cast<unsigned>(engine_() % limit); }
  std::minstd_rand& engine() { return engine_; }

 private:
  std::minstd_rand engine_;
};

Said any_words(Random& random) {
  Said said;
  for (unsigned peer = 1; peer <= 5; ++peer) {
    for (const char* to : {"10.0.0.0/8", "10.1.0.0/16"}) {
      Words& words = said[{peer, prefix(to)}];
      for (unsigned i = 0; i < 1 + random.below(4); ++i) {
        if (random.below(4) == 0) {
          words.emplace_back();
          continue;
        }
        Attributes made = path_of({65001 + random.below(2), 65010});
        made.med = random.below(3);
        if (random.below(3) == 0) made.local_pref = 100 + random.below(2);
        // 2^28 or 2^29 octets per second.
        if (random.below(4) != 0)
          made.extended_communities = {{0x4004fde94d800000U + (random.below(2) << 23U)}};
        words.emplace_back(made);
      }
    }
  }
  return said;
}

/// Everything that can be seen of a table, and what the FIB was told until now.
std::string outcome(const Said& said, Random& random) {
  AttributeStore store(Asn{65000}, RouterId{0x0a000001});
  Rib rib(store, {2, true});
  rib.connected(documentation_subnet());
  for (unsigned peer = 1; peer <= 5; ++peer) {
    RibPeer facts = external_peer(peer);
    facts.external = peer % 2 == 0;
    facts.router_id = RouterId{peer / 3};
    rib.attach(PeerId(peer), facts);
  }
  std::vector<const Said::value_type*> turns;
  for (const auto& each : said) turns.insert(turns.end(), each.second.size(), &each);
  std::shuffle(turns.begin(), turns.end(), random.engine());
  std::map<std::pair<unsigned, Prefix>, std::size_t> next;
  std::map<Prefix, std::string> fib;
  const auto decide = [&] {
    std::vector<RouteChange> changes;
    rib.decide(all, changes);
    for (const RouteChange& change : changes) {
      std::string& route = fib[change.prefix];
      route = std::to_string(static_cast<int>(change.kind));
      for (const NextHop& hop : rib.next_hops(change.next_hops)) {
        route += hop.gateway.text() + "*" + std::to_string(hop.weight) + " ";
      }
    }
  };
  for (const Said::value_type* turn : turns) {
    const auto& [peer, to] = turn->first;
    const auto& word = turn->second[next[turn->first]++];
    if (word) {
      const auto attributes = held(store, *word);
      rib.announce(to, 0, attributes.id(),
                   *rib.next_hop(PeerId(peer), external_peer(peer).address));
    } else {
      rib.withdraw(PeerId(peer), to);
    }
    if (random.below(3) == 0) decide();
  }
  decide();
  std::string seen;
  for (const char* to : {"10.0.0.0/8", "10.1.0.0/16"}) {
    seen += to;
    const auto view = rib.route(prefix(to));
    for (std::size_t i = 0; view && i < view->paths.size(); ++i) {
      const PathView& path = view->paths[i];
      seen += " " + std::to_string(static_cast<unsigned>(path.peer)) + ":" +
              std::string(name(path.rung)) + (path.multipath ? "*" : "") + ":" +
              text(from_canonical(store.octets(path.attributes)));
    }
    seen += " | " + (view ? fib[prefix(to)] : std::string()) + "\n";
  }
  return seen;
}

TEST(RibOrder, OfUpdatesOfDifferentPeersMakesNoDifference) {
  Random random(11);
  for (int round = 0; round < 100; ++round) {
    const Said said = any_words(random);
    const std::string first = outcome(said, random);
    for (int shuffle = 0; shuffle < 6; ++shuffle) ASSERT_EQ(outcome(said, random), first);
  }
}

}  // namespace
}  // namespace weft::bgp
