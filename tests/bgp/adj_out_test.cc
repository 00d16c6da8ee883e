#include "bgp/adj_out.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <set>
#include <utility>

#include "bgp/message.h"
#include "bgp/policy_rules.h"
#include "bgp/update.h"
#include "tests/bgp/model.h"
#include "tests/bgp/tables.h"

namespace weft::bgp {
namespace {

constexpr Asn own_as{65000};
constexpr std::size_t all = std::numeric_limits<std::size_t>::max();

/// The far end of a session: what it holds after all that was sent to it.
class Receiver {
 public:
  struct Route {
    Attributes attributes;
    PathNextHop next_hop;
    bool operator==(const Route&) const = default;
  };

  Receiver(const Negotiated& negotiated, bool external)
      : negotiated_(negotiated), decoder_(Inbound{mirrored(negotiated), external, own_as, true}) {}

  void read(Bytes stream) {
    while (!stream.empty()) {
      const auto frame = next_message(stream, negotiated_.max_send);
      ASSERT_TRUE(frame && *frame) << "no whole message";
      stream = stream.subspan((*frame)->size());
      ++messages;
      if ((*frame)->type == MessageType::route_refresh) {
        const auto mark = decode_route_refresh(**frame);
        ASSERT_TRUE(mark && *mark);
        refreshed((*mark)->subtype);
        continue;
      }
      const auto update = decoder_.decode((*frame)->body());
      ASSERT_TRUE(update);
      ASSERT_EQ(update->handling(), Handling::accept);
      apply(*update);
    }
  }

  /// All that it holds of a prefix.
  [[nodiscard]] std::vector<Route> held(const Prefix& to) const {
    std::vector<Route> heard;
    if (const auto found = routes.find(to); found != routes.end()) heard.push_back(found->second);
    for (const auto& [nlri, route] : paths) {
      if (nlri.prefix == to) heard.push_back(route);
    }
    return heard;
  }

  std::map<Prefix, Route> routes;
  std::map<Nlri, Route> paths;  // with path identifiers
  std::map<Family, int> end_of_rib;
  std::string order;
  std::size_t messages = 0;
  std::size_t superfluous_withdrawals = 0;

 private:
  /// What is not said between the marks is stale (RFC 7313 4).
  void refreshed(RouteRefresh::Subtype mark) {
    const bool begins = mark == RouteRefresh::Subtype::begin;
    order += begins ? "BoRR " : "EoRR ";
    for (const Nlri& each : std::exchange(stale_, {})) {
      if (begins) continue;
      routes.erase(each.prefix);
      paths.erase(each);
    }
    if (!begins) return;
    for (const auto& [to, route] : routes) stale_.insert({to, 0});
    for (const auto& [nlri, route] : paths) stale_.insert(nlri);
  }
  static Negotiated mirrored(Negotiated ours) {
    for (NegotiatedFamily& each : ours.families) each.add_path_receive = each.add_path_send;
    return ours;
  }
  void apply(const Update& update) {
    for (const NlriRange& range : update.withdrawals()) {
      for (const Nlri& each : range) {
        if ((each.path_id == 0 ? routes.erase(each.prefix) : paths.erase(each)) == 0)
          ++superfluous_withdrawals;
      }
    }
    for (const Announcement& announcement : update.announcements()) {
      for (const Nlri& each : announcement.nlri) {
        (each.path_id == 0 ? routes[each.prefix] : paths[each]) = {update.attributes(),
                                                                   announcement.next_hop};
        stale_.erase(each);
      }
    }
    if (!update.announcements().empty()) order += "routes ";
    if (const auto family = update.end_of_rib()) {
      order += "EoR ";
      ++end_of_rib[*family == unicast(Family::ipv4) ? Family::ipv4 : Family::ipv6];
    }
  }

  Negotiated negotiated_;
  UpdateDecoder decoder_;
  std::set<Nlri> stale_;
};

Negotiated both_families() {
  Negotiated made;
  made.families = {{unicast(Family::ipv4), false, false, false},
                   {unicast(Family::ipv6), false, false, false}};
  made.four_octet_as = true;
  return made;
}

Policy everything() {
  PeerSettings peer;
  peer.export_filter = Filter::accept;
  return Policy::to_export({}, peer, true);
}

AdjOutPeer how(bool external, unsigned n) {
  AdjOutPeer made;
  made.external = external;
  made.as_path.local_as = own_as;
  made.policy = everything();
  made.negotiated = both_families();
  made.next_hop = {Address::ipv4(0xc6336400 + n), {}};  // 198.51.100.n
  return made;
}

class AdjOutTest : public testing::Test {
 protected:
  AdjOutTest() {
    rib_.connected(documentation_subnet());
    for (unsigned n = 1; n <= 5; ++n) {
      RibPeer facts = external_peer(n);
      facts.external = n <= 3;
      rib_.attach(PeerId(n), facts);
    }
  }

  void announce(unsigned peer, std::string_view to, const Attributes& attributes) {
    const auto ids = held(store_, attributes);
    const auto next_hop = rib_.next_hop(PeerId(peer), Address::ipv4(0xc0000200 + peer));
    rib_.announce(prefix(to), 0, ids.id(), *next_hop);
  }
  void originate(std::string_view to) {
    const auto ids = held(store_, path_of({}));
    rib_.originate(prefix(to), ids.id());
  }
  void decide() {
    std::vector<RouteChange> changes;
    rib_.decide(all, changes);
  }
  void join(unsigned peer, const AdjOutPeer& as) {
    adj_out_.join(PeerId(peer), Family::ipv4, as);
    receivers_.try_emplace(peer, as.negotiated, as.external);
  }
  Receiver& drained(unsigned peer) {
    decide();
    std::vector<std::byte> out;
    while (adj_out_.produce(PeerId(peer), 65536, out)) {
    }
    Receiver& receiver = receivers_.at(peer);
    receiver.read(out);
    return receiver;
  }

  AttributeStore store_{own_as, RouterId{0x0a000001}};
  Rib rib_{store_, {}};
  AdjOut adj_out_{rib_};
  std::map<unsigned, Receiver> receivers_;
};

TEST_F(AdjOutTest, SaysTheTableThenEndOfRibThenChanges) {
  originate("10.64.0.0/26");
  decide();
  join(1, how(true, 1));
  EXPECT_TRUE(adj_out_.pending(PeerId{1}));
  EXPECT_FALSE(adj_out_.end_of_rib_sent(PeerId{1}, Family::ipv4));
  EXPECT_EQ(drained(1).routes.size(), 1U);
  EXPECT_EQ(drained(1).end_of_rib[Family::ipv4], 1);
  EXPECT_TRUE(adj_out_.end_of_rib_sent(PeerId{1}, Family::ipv4));
  EXPECT_FALSE(adj_out_.pending(PeerId{1}));
  originate("10.64.0.64/26");
  rib_.withdraw(PeerId::local, prefix("10.64.0.0/26"));
  decide();
  EXPECT_TRUE(adj_out_.pending(PeerId{1}));
  const auto& routes = drained(1).routes;
  ASSERT_EQ(routes.size(), 1U);
  EXPECT_EQ(routes.begin()->first, prefix("10.64.0.64/26"));
  EXPECT_EQ(drained(1).end_of_rib[Family::ipv4], 1);
  EXPECT_EQ(adj_out_.advertised(PeerId{1}, Family::ipv4), 1U);
  EXPECT_EQ(adj_out_.advertised_to(prefix("10.64.0.64/26")), 1U);
}

TEST_F(AdjOutTest, RewritesForAnotherAs) {
  join(2, how(true, 2));
  Attributes learned = path_of({65001, 65009});
  learned.med = 7;
  learned.local_pref = 300;
  learned.originator_id = RouterId{3};
  learned.cluster_list = {RouterId{4}};
  learned.communities = {Community{0x12340001}};
  learned.extended_communities = {ExtendedCommunity{0x0002000000000001},
                                  ExtendedCommunity{0x4004000000000001}};
  announce(1, "10.1.0.0/16", learned);
  const Receiver::Route& route = drained(2).routes.at(prefix("10.1.0.0/16"));
  Attributes wanted = path_of({65000, 65001, 65009});
  wanted.communities = learned.communities;
  wanted.extended_communities = {learned.extended_communities[0]};
  EXPECT_EQ(route.attributes, wanted) << text(route.attributes);
  EXPECT_EQ(route.next_hop.address, address("198.51.100.2"));
}

TEST_F(AdjOutTest, LeavesWhatItCanWithinTheAs) {
  join(4, how(false, 4));
  auto self = how(false, 5);
  self.next_hop_rule = NextHopRule::self;
  join(5, self);
  Attributes learned = path_of({65001});
  learned.med = 7;
  announce(1, "10.1.0.0/16", learned);
  originate("10.64.0.0/26");
  learned.local_pref = 100;
  EXPECT_EQ(drained(4).routes.at(prefix("10.1.0.0/16")).attributes, learned);
  EXPECT_EQ(drained(4).routes.at(prefix("10.1.0.0/16")).next_hop.address, address("192.0.2.1"));
  EXPECT_EQ(drained(4).routes.at(prefix("10.64.0.0/26")).next_hop.address, address("198.51.100.4"));
  EXPECT_EQ(drained(5).routes.at(prefix("10.1.0.0/16")).next_hop.address, address("198.51.100.5"));
}

TEST_F(AdjOutTest, NeverTellsOneAsWhatItsOwnSpeakersSaid) {
  join(1, how(true, 1));
  join(4, how(false, 4));
  announce(5, "10.1.0.0/16", path_of({65005}));
  EXPECT_EQ(drained(1).routes.size(), 1U);
  EXPECT_EQ(drained(4).routes.size(), 0U) << "RFC 4271 9.2";
}

/// RFC 4456 6: from a client to all, from a non-client to clients; to nobody what it said itself.
TEST_F(AdjOutTest, ReflectsFromAndToClients) {
  for (unsigned n = 4; n <= 6; ++n) {
    RibPeer facts = external_peer(n);
    facts.external = false;
    facts.reflector_client = n != 6;  // 4 and 5 are clients
    rib_.attach(PeerId(n), facts);
    AdjOutPeer as = how(false, n);
    as.reflector_client = facts.reflector_client;
    as.cluster_id = RouterId{0x0a0000ff};
    as.next_hop_rule = NextHopRule::self;
    join(n, as);
  }
  join(1, how(true, 1));
  announce(4, "10.4.0.0/16", path_of({65009}));
  Attributes again = path_of({65009});
  again.originator_id = RouterId{77};
  again.cluster_list = {RouterId{88}};
  announce(6, "10.6.0.0/16", again);
  const auto told = [&](unsigned n) {
    std::string heard;
    for (const auto& [to, route] : drained(n).routes) heard += to.text() + " ";
    return heard;
  };
  EXPECT_EQ(told(4), "10.6.0.0/16 ");
  EXPECT_EQ(told(5), "10.4.0.0/16 10.6.0.0/16 ");
  EXPECT_EQ(told(6), "10.4.0.0/16 ");
  EXPECT_EQ(told(1), "10.4.0.0/16 10.6.0.0/16 ");

  const auto& first = receivers_.at(5).routes.at(prefix("10.4.0.0/16"));
  EXPECT_EQ(first.attributes.originator_id, RouterId{4});
  EXPECT_EQ(first.attributes.cluster_list, std::vector{RouterId{0x0a0000ff}});
  EXPECT_EQ(first.next_hop.address, address("192.0.2.4")) << "RFC 4456 10";
  const auto& second = receivers_.at(5).routes.at(prefix("10.6.0.0/16"));
  EXPECT_EQ(second.attributes.originator_id, RouterId{77});
  EXPECT_EQ(second.attributes.cluster_list, (std::vector{RouterId{0x0a0000ff}, RouterId{88}}));
  const auto& outside = receivers_.at(1).routes.at(prefix("10.6.0.0/16"));
  EXPECT_FALSE(outside.attributes.originator_id);
  EXPECT_TRUE(outside.attributes.cluster_list.empty());
}

AdjOutPeer with_add_path(AdjOutPeer as, AddPathSend::Paths paths, std::uint16_t count = 0) {
  as.add_path = {paths, count};
  as.negotiated.families[0].add_path_send = true;
  return as;
}

TEST_F(AdjOutTest, TellsSeveralPathsOfAPrefix) {
  using Paths = AddPathSend::Paths;
  join(1, with_add_path(how(true, 1), Paths::all));
  join(3, with_add_path(how(true, 3), Paths::all));
  join(4, with_add_path(how(false, 4), Paths::ecmp));
  join(5, with_add_path(how(false, 5), Paths::best, 2));
  announce(1, "10.1.0.0/16", path_of({65001}));
  announce(2, "10.1.0.0/16", path_of({65002, 65009}));
  announce(3, "10.1.0.0/16", path_of({65003}));
  const auto told = [&](unsigned n) {
    std::vector<std::string> heard;
    for (const auto& [nlri, route] : drained(n).paths)
      heard.push_back(route.attributes.as_path.text());
    return heard;
  };
  using Texts = std::vector<std::string>;
  EXPECT_EQ(told(1), (Texts{"65000 65002 65009", "65000 65003"})) << "nothing of its own";
  EXPECT_EQ(told(3), (Texts{"65000 65001", "65000 65002 65009"}));
  EXPECT_EQ(told(4), (Texts{"65001", "65003"}));
  EXPECT_EQ(told(5), (Texts{"65001", "65003"}));
  EXPECT_EQ(adj_out_.advertised(PeerId{1}, Family::ipv4), 2U);
  EXPECT_EQ(adj_out_.advertised_to(prefix("10.1.0.0/16")), 4U);

  const auto ids = receivers_.at(3).paths;
  rib_.withdraw(PeerId{1}, prefix("10.1.0.0/16"));
  announce(2, "10.1.0.0/16", path_of({65002}));
  EXPECT_EQ(told(3), Texts{"65000 65002"});
  EXPECT_TRUE(ids.contains(receivers_.at(3).paths.begin()->first)) << "the id stays with the path";
  EXPECT_EQ(told(4), (Texts{"65002", "65003"}));
  rib_.withdraw(PeerId{2}, prefix("10.1.0.0/16"));
  rib_.withdraw(PeerId{3}, prefix("10.1.0.0/16"));
  for (const unsigned n : {1U, 3U, 4U, 5U}) {
    EXPECT_EQ(told(n), Texts{});
    EXPECT_EQ(receivers_.at(n).superfluous_withdrawals, 0U);
    EXPECT_EQ(adj_out_.advertised(PeerId(n), Family::ipv4), 0U);
  }
}

/// Two paths of one peer go out under two identifiers, and one that is not the best is told too.
TEST_F(AdjOutTest, TellsApartThePathsOfOnePeer) {
  join(1, with_add_path(how(true, 1), AddPathSend::Paths::all));
  const auto say = [&](std::uint32_t path_id, const Attributes& attributes) {
    const auto ids = held(store_, attributes);
    rib_.announce(prefix("10.1.0.0/16"), path_id, ids.id(),
                  *rib_.next_hop(PeerId{2}, Address::ipv4(0xc0000202)));
  };
  say(7, path_of({65002}));
  EXPECT_EQ(drained(1).paths.size(), 1U);
  say(4000000000, path_of({65002, 65009}));
  EXPECT_EQ(drained(1).paths.size(), 2U);
  say(4000000000, path_of({65002, 65008}));
  EXPECT_EQ(drained(1).paths.rbegin()->second.attributes.as_path.text(), "65000 65002 65008");
  rib_.withdraw(PeerId{2}, prefix("10.1.0.0/16"), 7);
  ASSERT_EQ(drained(1).paths.size(), 1U);
  EXPECT_EQ(drained(1).paths.begin()->second.attributes.as_path.text(), "65000 65002 65008");
}

/// `name` lets through what has the community, marked with another.
Policy marking(const char* name) {
  Settings settings;
  RuleSettings rule;
  rule.match.communities = {*CommunityPattern::parse("1:1")};
  rule.set.add_communities = {*CommunityPattern::parse("2:2")};
  settings.policies = {{name, {rule}}};
  PeerSettings peer;
  peer.export_filter = Filter{name};
  return Policy::to_export(settings, peer, true, compile(settings, {}));
}

TEST_F(AdjOutTest, AsksThePolicyAboutEachPath) {
  AdjOutPeer as = with_add_path(how(true, 1), AddPathSend::Paths::best, 2);
  as.policy = marking("out");
  join(1, as);
  Attributes good = path_of({65002, 65009});
  good.communities = {Community{0x00010001}};
  announce(2, "10.1.0.0/16", path_of({65002}));
  announce(3, "10.1.0.0/16", good);
  ASSERT_EQ(drained(1).paths.size(), 1U);
  const Attributes& told = receivers_.at(1).paths.begin()->second.attributes;
  EXPECT_EQ(told.as_path.text(), "65000 65002 65009");
  EXPECT_EQ(told.communities, (std::vector{Community{0x00010001}, Community{0x00020002}}));
  as.policy = everything();
  adj_out_.change(PeerId{1}, Family::ipv4, as);
  EXPECT_EQ(drained(1).paths.size(), 2U) << "both, and the one that was told as it is";
  for (const auto& [nlri, route] : receivers_.at(1).paths)
    EXPECT_FALSE(route.attributes.has(Community{0x00020002}));
  as.policy = marking("other");
  adj_out_.change(PeerId{1}, Family::ipv4, as);
  EXPECT_EQ(drained(1).paths.size(), 1U);
}

/// RFC 4456 8: what policy sets does not hide where the path came from.
TEST_F(AdjOutTest, ReflectsWhatPolicyChanged) {
  for (unsigned n = 4; n <= 5; ++n) {
    RibPeer facts = external_peer(n);
    facts.external = false;
    facts.reflector_client = true;
    rib_.attach(PeerId(n), facts);
  }
  AdjOutPeer as = how(false, 5);
  as.reflector_client = true;
  as.cluster_id = RouterId{0x0a0000ff};
  as.policy = marking("out");
  join(5, as);
  Attributes path = path_of({65009});
  path.communities = {Community{0x00010001}};
  announce(4, "10.4.0.0/16", path);
  path.originator_id = RouterId{77};
  path.cluster_list = {RouterId{88}};
  announce(4, "10.5.0.0/16", path);
  const auto& routes = drained(5).routes;
  ASSERT_EQ(routes.size(), 2U);
  const Attributes& first = routes.at(prefix("10.4.0.0/16")).attributes;
  EXPECT_TRUE(first.has(Community{0x00020002}));
  EXPECT_EQ(first.originator_id, RouterId{4});
  EXPECT_EQ(first.cluster_list, std::vector{RouterId{0x0a0000ff}});
  const Attributes& second = routes.at(prefix("10.5.0.0/16")).attributes;
  EXPECT_TRUE(second.has(Community{0x00020002}));
  EXPECT_EQ(second.originator_id, RouterId{77});
  EXPECT_EQ(second.cluster_list, (std::vector{RouterId{0x0a0000ff}, RouterId{88}}));
}

/// A changed import policy goes through all paths of a prefix, also those of one peer.
TEST_F(AdjOutTest, TellsWhatAnImportPolicyMadeOfEachPath) {
  join(1, with_add_path(how(false, 1), AddPathSend::Paths::all));
  for (std::uint32_t path_id = 1; path_id <= 3; ++path_id) {
    const auto ids = held(store_, path_of({65002, 65000 + path_id * 10}));
    rib_.announce(prefix("10.1.0.0/16"), path_id, ids.id(),
                  *rib_.next_hop(PeerId{2}, address("192.0.2.2")));
  }
  EXPECT_EQ(drained(1).paths.size(), 3U);
  const auto heard = [&] {
    std::vector<std::string> texts;
    for (const auto& [nlri, route] : drained(1).paths) {
      const Attributes& of = route.attributes;
      texts.push_back(std::to_string(*of.local_pref) + " " + of.as_path.text());
    }
    std::sort(texts.begin(), texts.end());
    return texts;
  };
  using Texts = std::vector<std::string>;
  HeldAttributes made;
  rib_.import_again(Family::ipv4, 0, 100, [&](const Rib::Received& received) {
    Attributes of = from_canonical(store_.octets(received.attributes));
    const bool refused = of.as_path.contains(Asn{65020});
    of.local_pref = of.as_path.contains(Asn{65010}) ? 50 : 200;
    made = HeldAttributes(store_,
                          store_.intern(canonical(of), AttributeId::none, received.attributes));
    return Rib::Imported{refused ? received.attributes : made.id(), received.next_hop, refused};
  });
  EXPECT_EQ(heard(), (Texts{"200 65002 65030", "50 65002 65010"}));
  rib_.import_again(Family::ipv4, 0, 100, [](const Rib::Received& received) {
    return Rib::Imported{received.attributes, received.next_hop, false};
  });
  EXPECT_EQ(heard(), (Texts{"100 65002 65010", "100 65002 65020", "100 65002 65030"}));
}

/// What the kernel has not got stands as it was told before, for each path, also in a refresh and
/// for who has just come.
TEST_F(AdjOutTest, KeepsWhatWasToldUntilTheKernelAnswers) {
  AdjOutPeer one = with_add_path(how(true, 1), AddPathSend::Paths::all);
  one.negotiated.enhanced_route_refresh = true;
  AdjOutPeer two = how(true, 4);
  two.negotiated.enhanced_route_refresh = true;
  join(1, one);
  join(4, two);
  rib_.wait_for_install(true);
  const Prefix to = prefix("10.1.0.0/16");
  announce(2, "10.1.0.0/16", path_of({65002}));
  EXPECT_EQ(drained(1).paths.size() + drained(4).routes.size(), 0U);
  rib_.installed(to);
  EXPECT_EQ(drained(1).paths.size(), 1U);
  EXPECT_EQ(drained(4).routes.size(), 1U);

  announce(3, "10.1.0.0/16", path_of({65003}));  // shares the load, so the kernel is to learn of it
  adj_out_.refresh(PeerId{1}, Family::ipv4);
  adj_out_.refresh(PeerId{4}, Family::ipv4);
  EXPECT_EQ(drained(1).paths.size(), 1U) << "not swept at the end of the refresh";
  EXPECT_EQ(drained(4).routes.size(), 1U);
  join(5, with_add_path(how(true, 5), AddPathSend::Paths::all));
  EXPECT_EQ(drained(5).paths.size(), 1U);
  rib_.installed(to);
  EXPECT_EQ(drained(1).paths.size(), 2U);
  EXPECT_EQ(drained(4).routes.size(), 1U);
  EXPECT_EQ(drained(5).paths.size(), 2U);

  rib_.withdraw(PeerId{2}, to);
  decide();
  EXPECT_EQ(drained(1).paths.size(), 2U);
  rib_.installed(to);
  EXPECT_EQ(drained(1).paths.size(), 1U);
  EXPECT_EQ(drained(5).paths.size(), 1U);
  EXPECT_EQ(drained(4).routes.at(to).attributes.as_path.text(), "65000 65003");
}

TEST_F(AdjOutTest, PacksPathsOfOneAttributeSet) {
  join(1, with_add_path(how(true, 1), AddPathSend::Paths::all));
  drained(1);
  const std::size_t before = receivers_.at(1).messages;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const std::string to = Prefix(Address::ipv4(0x0a000000 + (i << 8)), 24).text();
    announce(2, to, path_of({65002}));
    announce(3, to, path_of({65003}));
  }
  EXPECT_EQ(drained(1).paths.size(), 2000U);
  EXPECT_LE(receivers_.at(1).messages - before, 6U) << "2000 x 8 octets in messages of 4096";
  EXPECT_LT(adj_out_.memory(), 100'000U) << "one list of paths for all";
}

TEST_F(AdjOutTest, GivesEachPeerOfAGroupItsNextHopAndNothingOfItsOwn) {
  for (unsigned n = 1; n <= 3; ++n) join(n, how(true, n));
  announce(1, "10.1.0.0/16", path_of({65001}));
  announce(2, "10.2.0.0/16", path_of({65002}));
  for (unsigned n = 1; n <= 3; ++n) {
    Receiver& receiver = drained(n);
    EXPECT_EQ(receiver.routes.size(), n == 3 ? 2U : 1U);
    EXPECT_EQ(receiver.routes.count(prefix("10.1.0.0/16")), n == 1 ? 0U : 1U);
    EXPECT_EQ(adj_out_.advertised(PeerId(n), Family::ipv4), receiver.routes.size());
    for (const auto& [to, route] : receiver.routes) {
      EXPECT_EQ(route.next_hop.address, Address::ipv4(0xc6336400 + n));
    }
  }
  EXPECT_EQ(adj_out_.advertised_to(prefix("10.1.0.0/16")), 2U);
}

TEST_F(AdjOutTest, TakesBackWhatItsReceiverNowSaysItself) {
  join(1, how(true, 1));
  join(2, how(true, 2));
  announce(1, "10.1.0.0/16", path_of({65001, 65009}));
  EXPECT_EQ(drained(2).routes.size(), 1U);
  EXPECT_EQ(drained(1).routes.size(), 0U);
  announce(2, "10.1.0.0/16", path_of({65002}));
  EXPECT_EQ(drained(2).routes.size(), 0U);
  EXPECT_EQ(drained(1).routes.size(), 1U);
  EXPECT_EQ(drained(1).superfluous_withdrawals + drained(2).superfluous_withdrawals, 0U);
}

TEST_F(AdjOutTest, HonoursWellKnownCommunities) {
  join(1, how(true, 1));
  join(4, how(false, 4));
  for (const auto& [to, value] : {std::pair("10.1.0.0/16", community::no_export),
                                  std::pair("10.2.0.0/16", community::no_advertise),
                                  std::pair("10.3.0.0/16", community::no_export_subconfed)}) {
    Attributes scoped = path_of({65002});
    scoped.communities = {value};
    announce(2, to, scoped);
  }
  EXPECT_EQ(drained(1).routes.size(), 0U);
  EXPECT_EQ(drained(4).routes.size(), 2U);
  EXPECT_EQ(drained(4).routes.count(prefix("10.2.0.0/16")), 0U);
}

TEST_F(AdjOutTest, WithdrawsWhatMayNoLongerGoOut) {
  join(1, how(true, 1));
  announce(2, "10.1.0.0/16", path_of({65002}));
  EXPECT_EQ(drained(1).routes.size(), 1U);
  Attributes scoped = path_of({65002});
  scoped.communities = {community::no_export};
  announce(2, "10.1.0.0/16", scoped);
  EXPECT_EQ(drained(1).routes.size(), 0U);
}

/// Trap 4: a sender that spins, or an older version that stays.
TEST_F(AdjOutTest, WithdrawsWhatFitsNoMessage) {
  join(1, how(true, 1));
  announce(2, "10.1.0.0/16", path_of({65002}));
  EXPECT_EQ(drained(1).routes.size(), 1U);
  Attributes wide = path_of({65002});
  for (std::uint32_t i = 0; i < 1020; ++i) insert(wide.communities, Community{0x10000 + i});
  announce(2, "10.1.0.0/16", wide);
  EXPECT_EQ(drained(1).routes.size(), 0U);
  EXPECT_EQ(adj_out_.too_big(), 1U);
  EXPECT_EQ(adj_out_.advertised(PeerId{1}, Family::ipv4), 0U);
  EXPECT_FALSE(adj_out_.pending(PeerId{1}));
  announce(2, "10.1.0.0/16", path_of({65002}));
  EXPECT_EQ(drained(1).routes.size(), 1U);
}

TEST_F(AdjOutTest, SaysNothingTwice) {
  join(1, how(true, 1));
  announce(2, "10.1.0.0/16", path_of({65002}));
  const std::size_t messages = drained(1).messages;
  announce(2, "10.1.0.0/16", path_of({65002, 65003}));
  announce(2, "10.1.0.0/16", path_of({65002}));
  EXPECT_EQ(drained(1).messages, messages) << "back where it was before anybody looked";
  announce(2, "10.9.0.0/16", path_of({65002}));
  rib_.withdraw(PeerId{2}, prefix("10.9.0.0/16"));
  EXPECT_EQ(drained(1).messages, messages);
}

TEST_F(AdjOutTest, PacksRoutesOfOneAttributeSet) {
  join(1, how(true, 1));
  drained(1);
  for (std::uint32_t i = 0; i < 1000; ++i) {
    announce(2, Prefix(Address::ipv4(0x0a000000 + (i << 8)), 24).text(),
             path_of({65002, 65100 + i % 2}));
  }
  const std::size_t before = drained(1).messages;
  EXPECT_EQ(drained(1).routes.size(), 1000U);
  EXPECT_LE(before, 3U) << "End-of-RIB and one message a set: 500 x 4 octets fit";
}

TEST_F(AdjOutTest, RepeatsTheTableOnRefreshButNotEndOfRib) {
  join(1, how(true, 1));
  join(3, how(true, 3));
  announce(2, "10.1.0.0/16", path_of({65002}));
  drained(1);
  drained(3);
  Receiver& receiver = receivers_.at(1);
  receiver.routes.clear();
  adj_out_.refresh(PeerId{1}, Family::ipv4);
  EXPECT_TRUE(adj_out_.pending(PeerId{1}));
  EXPECT_FALSE(adj_out_.pending(PeerId{3}));
  EXPECT_EQ(drained(1).routes.size(), 1U);
  EXPECT_EQ(receiver.end_of_rib[Family::ipv4], 1);
}

/// RFC 7313 4: the table between two marks, and never before End-of-RIB.
TEST_F(AdjOutTest, MarksTheBeginningAndTheEndOfARefresh) {
  AdjOutPeer enhanced = how(true, 1);
  enhanced.negotiated.enhanced_route_refresh = true;
  announce(2, "10.1.0.0/16", path_of({65002}));
  decide();
  join(1, enhanced);
  join(3, how(true, 3));
  adj_out_.refresh(PeerId{1}, Family::ipv4);
  EXPECT_EQ(drained(1).order, "routes EoR ");
  drained(3);
  adj_out_.refresh(PeerId{1}, Family::ipv4);
  adj_out_.refresh(PeerId{3}, Family::ipv4);
  receivers_.at(1).order.clear();
  EXPECT_EQ(drained(1).order, "BoRR routes EoRR ");
  EXPECT_EQ(drained(3).order, "routes EoR routes ");
  // Asked again in the middle: begun again.
  adj_out_.refresh(PeerId{1}, Family::ipv4);
  receivers_.at(1).order.clear();
  adj_out_.refresh(PeerId{1}, Family::ipv4);
  EXPECT_EQ(drained(1).order, "BoRR routes EoRR ");
  // And an empty table has marks, too.
  rib_.withdraw(PeerId{2}, prefix("10.1.0.0/16"));
  drained(1);
  receivers_.at(1).order.clear();
  adj_out_.refresh(PeerId{1}, Family::ipv4);
  EXPECT_EQ(drained(1).order, "BoRR EoRR ");
}

TEST_F(AdjOutTest, FollowsAChangedPolicyWithoutANewSession) {
  join(1, how(true, 1));
  announce(2, "10.1.0.0/16", path_of({65002}));
  originate("10.64.0.0/26");
  EXPECT_EQ(drained(1).routes.size(), 2U);
  AdjOutPeer host = how(true, 1);
  host.policy = Policy::to_export({}, {}, true);
  adj_out_.change(PeerId{1}, Family::ipv4, host);
  EXPECT_EQ(drained(1).routes.size(), 1U);
  EXPECT_EQ(drained(1).routes.count(prefix("10.64.0.0/26")), 1U);
  EXPECT_EQ(drained(1).end_of_rib[Family::ipv4], 1);
  adj_out_.change(PeerId{1}, Family::ipv4, how(true, 9));
  EXPECT_EQ(drained(1).routes.size(), 2U);
  EXPECT_EQ(drained(1).routes.at(prefix("10.64.0.0/26")).next_hop.address, address("198.51.100.9"));
}

/// Trap 11: a peer that never reads costs a cursor, and hears the last state alone.
TEST_F(AdjOutTest, NeverQueuesForAPeerThatDoesNotRead) {
  join(1, how(true, 1));
  join(3, how(true, 3));
  drained(1);
  drained(3);
  for (std::uint32_t round = 0; round < 200; ++round) {
    for (std::uint32_t i = 0; i < 1000; ++i) {
      announce(2, Prefix(Address::ipv4(0x0a000000 + (i << 8)), 24).text(),
               path_of({65002, 65100 + round, 65100 + i % 100}));
    }
    drained(3);
    ASSERT_LT(adj_out_.memory(), AdjOut::max_backlog + 300'000);
    ASSERT_LT(rib_.journal(Family::ipv4).memory(), 200'000U);
  }
  const std::size_t before = receivers_.at(1).messages;
  EXPECT_EQ(drained(1).routes.size(), 1000U);
  EXPECT_EQ(receivers_.at(1).routes.begin()->second.attributes,
            receivers_.at(3).routes.begin()->second.attributes);
  EXPECT_LT(receivers_.at(1).messages - before, 500U);
}

TEST_F(AdjOutTest, SpeaksToPeersOfTwoOctetAsNumbers) {
  AdjOutPeer old = how(true, 1);
  old.negotiated.four_octet_as = false;
  join(1, old);
  announce(2, "10.1.0.0/16", path_of({4200000001}));
  EXPECT_EQ(drained(1).routes.at(prefix("10.1.0.0/16")).attributes, path_of({65000, 4200000001}));
}

TEST_F(AdjOutTest, SendsIpv4WithAnIpv6NextHop) {
  AdjOutPeer unnumbered = how(true, 1);
  unnumbered.negotiated.families[0].extended_next_hop = true;
  unnumbered.next_hop = {address("fd00::1"), address("fe80::1")};
  join(1, unnumbered);
  unnumbered.next_hop = {address("fd00::3"), address("fe80::3")};
  join(3, unnumbered);
  announce(2, "10.1.0.0/16", path_of({65002}));
  EXPECT_EQ(drained(1).routes.at(prefix("10.1.0.0/16")).next_hop,
            (PathNextHop{address("fd00::1"), address("fe80::1")}));
  EXPECT_EQ(drained(3).routes.at(prefix("10.1.0.0/16")).next_hop,
            (PathNextHop{address("fd00::3"), address("fe80::3")}));
}

/// Receivers that read now and then, come and go, ask again and change, while the table does what
/// it likes: whoever has read everything holds what the model says.
class RandomAdjOut : public testing::TestWithParam<unsigned> {
 protected:
  struct Session {
    AdjOutPeer how;
    std::unique_ptr<Receiver> receiver;
  };

  RandomAdjOut() : random_(GetParam()), adj_out_(rib_, GetParam() % 2 == 0 ? 400 : 1U << 20) {
    model_.own_as = own_as;
    model_.subnets = documentation_subnet();
    rib_.connected(model_.subnets);
    for (unsigned n = 1; n <= peers; ++n) {
      RibPeer facts = external_peer(n);
      facts.external = n % 2 != 0;
      facts.reflector_client = n == 4;
      model_.peers[PeerId(n)] = facts;
      rib_.attach(PeerId(n), facts);
    }
    rib_.wait_for_install(GetParam() % 4 >= 2);
  }

  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  Prefix any_prefix() { return {Address::ipv4(0x0a000000 + (below(30) << 8)), 24}; }

  void announce() {
    const auto peer = PeerId(1 + below(peers));
    Attributes made = path_of({65001 + below(3), 65100 + below(2)});
    if (below(8) == 0) made.communities = {community::no_export};
    if (below(16) == 0) made.communities = {community::no_advertise};
    if (below(3) == 0) made.med = below(2);
    Model::Path path{peer, any_path_id(peer), made, Address::ipv4(0xc0000200 + below(8) + 1),
                     below(10) == 0};
    const Prefix to = any_prefix();
    const auto attributes = held(store_, made);
    rib_.announce(to, path.path_id, attributes.id(), *rib_.next_hop(peer, path.next_hop),
                  path.filtered);
    model_.routes[to][{peer, path.path_id}] = path;
  }
  void withdraw() {
    const auto peer = PeerId(below(peers + 1));
    const std::uint32_t path_id = any_path_id(peer);
    const Prefix to = any_prefix();
    rib_.withdraw(peer, to, path_id);
    model_.routes[to].erase({peer, path_id});
  }
  /// Peers 6 and 7 have several paths of a prefix.
  std::uint32_t any_path_id(PeerId peer) { return peer >= PeerId{6} ? 1 + below(3) : 0; }
  void originate() {
    const Prefix to = any_prefix();
    Model::Path path;
    path.attributes = path_of({});
    const auto attributes = held(store_, path.attributes);
    rib_.originate(to, attributes.id());
    model_.routes[to][{PeerId::local, 0}] = path;
  }
  void drop() {
    const auto peer = PeerId(1 + below(peers));
    rib_.drop(peer, Family::ipv4);
    for (auto& [to, paths] : model_.routes) {
      std::erase_if(paths, [&](const auto& each) { return each.first.first == peer; });
    }
  }

  AdjOutPeer any_how(unsigned n) {
    AdjOutPeer made = how(model_.peers[PeerId(n)].external, n);
    if (below(4) == 0) made.policy = Policy::to_export({}, {}, true);
    if (below(4) == 0) made.next_hop_rule = NextHopRule::self;
    made.reflector_client = model_.peers[PeerId(n)].reflector_client;
    made.cluster_id = RouterId{0x0a000009};
    made.negotiated.enhanced_route_refresh = n % 3 == 0;
    // What was negotiated lasts as long as the session: by the number of the peer.
    if (n == 1 || n == 2) return with_add_path(made, AddPathSend::Paths::all);
    if (n == 3 || n == 4) return with_add_path(made, AddPathSend::Paths::ecmp);
    return made;
  }
  void session() {
    const unsigned n = 1 + below(peers);
    const auto found = sessions_.find(n);
    if (found == sessions_.end()) {
      Session made{any_how(n), nullptr};
      made.receiver = std::make_unique<Receiver>(made.how.negotiated, made.how.external);
      adj_out_.join(PeerId(n), Family::ipv4, made.how);
      sessions_.emplace(n, std::move(made));
      return;
    }
    const std::uint32_t dice = below(3);
    if (dice == 0) {
      adj_out_.leave(PeerId(n));
      sessions_.erase(found);
    } else if (dice == 1) {
      adj_out_.refresh(PeerId(n), Family::ipv4);
    } else {
      found->second.how = any_how(n);
      adj_out_.change(PeerId(n), Family::ipv4, found->second.how);
    }
  }

  void step() {
    const std::uint32_t dice = below(1000);
    if (dice < 550) return announce();
    if (dice < 850) return withdraw();
    if (dice < 900) return originate();
    if (dice < 905) return drop();
    if (dice < 940) return session();
    if (dice < 960) return decide(1 + below(5));
    if (dice < 980) return install(1 + below(5));
  }

  void decide(std::size_t limit) {
    std::vector<RouteChange> changes;
    rib_.decide(limit, changes);
    for (const RouteChange& change : changes) {
      std::erase(on_the_way_, change.prefix);
      if (change.kind == RouteKind::via) on_the_way_.push_back(change.prefix);
    }
  }
  /// The kernel answers for the oldest of what it was told.
  void install(std::size_t limit) {
    const std::size_t count = std::min(limit, on_the_way_.size());
    for (std::size_t i = 0; i < count; ++i) rib_.installed(on_the_way_[i]);
    on_the_way_.erase(on_the_way_.begin(),
                      on_the_way_.begin() + static_cast<std::ptrdiff_t>(count));
  }
  bool produce(unsigned n, Session& session) {
    std::vector<std::byte> out;
    const bool more = adj_out_.produce(PeerId(n), 1 + below(500), out);
    session.receiver->read(out);
    return more;
  }

  void compare(unsigned n, const Session& session) {
    std::size_t count = 0;
    for (const auto& [to, paths] : model_.routes) {
      const auto wanted = expected(n, session.how, to);
      const auto got = session.receiver->held(to);
      count += wanted.size();
      ASSERT_EQ(got.size(), wanted.size()) << "peer " << n << " of " << to.text();
      for (const Receiver::Route& route : wanted) {
        EXPECT_EQ(std::count(got.begin(), got.end(), route),
                  std::count(wanted.begin(), wanted.end(), route))
            << "peer " << n << " of " << to.text() << ": " << text(route.attributes);
      }
    }
    EXPECT_EQ(session.receiver->routes.size() + session.receiver->paths.size(), count);
    EXPECT_EQ(session.receiver->end_of_rib[Family::ipv4], 1) << "peer " << n;
    EXPECT_FALSE(adj_out_.pending(PeerId(n)));
  }

  std::vector<Receiver::Route> expected(unsigned n, const AdjOutPeer& as, const Prefix& to) const {
    std::vector<Receiver::Route> heard;
    const auto outcome = model_.outcome(to);
    if (!outcome.best) return heard;
    std::vector<Model::Path> paths{*outcome.best};
    if (as.add_path.paths == AddPathSend::Paths::all) paths = model_.usable(to);
    if (as.add_path.paths == AddPathSend::Paths::ecmp) {
      paths.clear();
      for (const auto& key : outcome.multipath) paths.push_back(model_.routes.at(to).at(key));
    }
    for (const Model::Path& path : paths) {
      if (const auto route = expected(n, as, path)) heard.push_back(*route);
    }
    return heard;
  }

  std::optional<Receiver::Route> expected(unsigned n, const AdjOutPeer& as,
                                          const Model::Path& best) const {
    const bool originated = best.peer == PeerId::local;
    if (best.peer == PeerId(n)) return {};
    const bool reflected = !originated && !model_.external(best) && !as.external;
    if (reflected && !as.reflector_client && !model_.peers.at(best.peer).reflector_client)
      return {};
    if (best.attributes.has(community::no_advertise)) return {};
    if (as.external && best.attributes.has(community::no_export)) return {};
    if (as.policy == Policy::to_export({}, {}, true) && !originated) return {};
    Receiver::Route route{best.attributes, as.next_hop};
    if (as.external) {
      route.attributes.as_path.prepend(own_as);
      route.attributes.med.reset();
    } else {
      route.attributes.local_pref = 100;
      if (reflected) {
        route.attributes.originator_id = model_.peers.at(best.peer).router_id;
        route.attributes.cluster_list = {as.cluster_id};
      }
      if (!originated && (reflected || as.next_hop_rule != NextHopRule::self))
        route.next_hop.address = best.next_hop;
    }
    return route;
  }

  static constexpr unsigned peers = 7;
  std::mt19937 random_;
  AttributeStore store_{own_as, RouterId{0x0a000001}};
  Rib rib_{store_, {}};
  AdjOut adj_out_;
  Model model_;
  std::map<unsigned, Session> sessions_;
  std::vector<Prefix> on_the_way_;
};

TEST_P(RandomAdjOut, ConvergesToTheModel) {
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 60; ++i) {
      step();
      if (below(8) != 0) continue;
      for (auto& [n, session] : sessions_) {
        if (below(1 + n) == 0) produce(n, session);
      }
    }
    decide(all);
    install(all);
    // Some rounds end with all read, others with some far behind.
    const bool everybody = below(3) == 0;
    for (auto& [n, session] : sessions_) {
      if (!everybody && below(2) == 0) continue;
      while (produce(n, session)) {
      }
      compare(n, session);
      if (HasFailure()) FAIL() << "round " << round;
    }
    if (!everybody) continue;
    for (auto& [n, session] : sessions_) {
      EXPECT_EQ(adj_out_.advertised(PeerId(n), Family::ipv4),
                session.receiver->routes.size() + session.receiver->paths.size());
    }
  }
  for (const auto& [n, session] : sessions_) adj_out_.leave(PeerId(n));
  for (unsigned n = 0; n <= peers; ++n) rib_.drop(PeerId(n), Family::ipv4);
  decide(all);
  EXPECT_EQ(store_.size(), 0U) << "attributes leak";
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomAdjOut, testing::Range(1U, 41U));

}  // namespace
}  // namespace weft::bgp
