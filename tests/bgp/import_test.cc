#include "bgp/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "bgp/advertisement.h"
#include "bgp/settings.h"
#include "tests/bgp/tables.h"

namespace weft::bgp {
namespace {

constexpr Asn peer_as{65001};
constexpr std::size_t all = std::numeric_limits<std::size_t>::max();

class ImportTest : public testing::Test {
 protected:
  ImportTest() {
    rib_.connected(documentation_subnet());
    rib_.attach(PeerId(1), external_peer(1));
    rules_.policy = Policy::import({}, accepting(), true);
    rules_.peer_as = peer_as;
  }
  static PeerSettings accepting() {
    PeerSettings peer;
    peer.import_filter = Filter::accept;
    return peer;
  }

  /// The path as the table has it afterwards.
  Rib::Imported imported(const Attributes& attributes, std::string_view to = "10.0.0.0/24") {
    Import import(rules_);
    const auto received = held(store_, attributes);
    const auto next_hop = rib_.next_hop(PeerId(1), address("192.0.2.1"));
    const auto made = import.judge(rib_, {PeerId(1), prefix(to), received.id(), *next_hop});
    rib_.announce(prefix(to), 0, made.attributes, made.next_hop, made.filtered);
    rib_.decide(all, changes_);
    EXPECT_EQ(store_.original(made.attributes), received.id()) << "what came can be found again";
    return made;
  }
  Attributes result(const Attributes& attributes, std::string_view to = "10.0.0.0/24") {
    return from_canonical(store_.octets(imported(attributes, to).attributes));
  }

  AttributeStore store_{Asn{65000}, RouterId{0x0a000001}};
  Rib rib_{store_, {}};
  ImportRules rules_;
  std::vector<RouteChange> changes_;
};

Attributes with(std::initializer_list<Community> communities) {
  Attributes made = path_of({65001, 65002});
  for (const Community& each : communities) insert(made.communities, each);
  return made;
}

TEST_F(ImportTest, LeavesAloneWhatAsksForNothing) {
  const Attributes plain = with({Community{7}});
  EXPECT_EQ(result(plain), plain);
}

TEST_F(ImportTest, UsesLastWhatAsksForIt) {
  const Attributes asks = with({community::graceful_shutdown});
  EXPECT_EQ(result(asks).local_pref, 0U);
  rules_.graceful_shutdown = false;
  EXPECT_EQ(result(asks).local_pref, std::nullopt);
}

TEST_F(ImportTest, DropsPacketsToHostRoutesOfPeersThatMay) {
  const Attributes asks = with({community::blackhole});
  EXPECT_EQ(result(asks, "10.0.0.7/32"), asks) << "the peer may not";
  EXPECT_EQ(changes_.back().kind, RouteKind::via);
  rules_.blackhole = true;
  EXPECT_TRUE(result(asks, "10.0.0.7/32").has(community::no_export));
  EXPECT_EQ(changes_.back(), (RouteChange{prefix("10.0.0.7/32"), RouteKind::blackhole, {}}));
  EXPECT_EQ(result(asks, "10.0.0.0/31"), asks) << "not a host route";
  EXPECT_EQ(changes_.back().kind, RouteKind::via);
  rules_.blackhole = false;
  imported(asks, "10.0.0.7/32");
  EXPECT_EQ(changes_.back().kind, RouteKind::via) << "and back";
}

TEST_F(ImportTest, TellsAgainOfWhatIsToBeDroppedInAnotherTable) {
  rules_.blackhole = true;
  imported(with({community::blackhole}), "10.0.0.7/32");
  EXPECT_EQ(rib_.placement(prefix("10.0.0.7/32")), Placement{});
  RibPeer moved = external_peer(1);
  moved.placement = {100, 30};
  rib_.attach(PeerId(1), moved);
  changes_.clear();
  rib_.decide(all, changes_);
  ASSERT_EQ(changes_.size(), 1U);
  EXPECT_EQ(changes_.back(), (RouteChange{prefix("10.0.0.7/32"), RouteKind::blackhole, {}}));
  EXPECT_EQ(rib_.placement(prefix("10.0.0.7/32")), moved.placement);
}

TEST_F(ImportTest, AppliesPolicyBefore) {
  Settings settings;
  RuleSet set;
  set.add_communities = {*CommunityPattern::parse("graceful-shutdown")};
  settings.policies = {{"in", {{"1", {}, set, RuleVerdict::accept}}}};
  PeerSettings peer;
  peer.import_filter = Filter{"in"};
  rules_.policy = Policy::import(settings, peer, true, compile(settings, {}));
  EXPECT_EQ(result(with({})).local_pref, 0U);
}

/// RFC 9234 5, the way in.
struct RoleCase {
  const char* name;
  Role ours;
  std::optional<std::uint32_t> came;
  bool accepted;
  std::optional<std::uint32_t> has;
};
void PrintTo(const RoleCase& c, std::ostream* out) {
  *out << c.name;
}
class OnlyToCustomer : public ImportTest, public testing::WithParamInterface<RoleCase> {};

TEST_P(OnlyToCustomer, ComesIn) {
  rules_.role = GetParam().ours;
  Attributes came = with({});
  if (GetParam().came) came.only_to_customer = Asn{*GetParam().came};
  const Rib::Imported made = imported(came);
  EXPECT_EQ(!made.filtered, GetParam().accepted);
  const auto has = from_canonical(store_.octets(made.attributes)).only_to_customer;
  EXPECT_EQ(has.has_value(), GetParam().has.has_value());
  if (has) {
    EXPECT_EQ(has->value, *GetParam().has);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rfc9234, OnlyToCustomer,
    testing::Values(RoleCase{"FromCustomer", Role::provider, {}, true, {}},
                    RoleCase{"CustomerLeaks", Role::provider, 65001, false, 65001},
                    RoleCase{"FromClient", Role::rs_server, {}, true, {}},
                    RoleCase{"ClientLeaks", Role::rs_server, 65002, false, 65002},
                    RoleCase{"FromPeer", Role::peer, {}, true, 65001},
                    RoleCase{"FromPeerMarked", Role::peer, 65001, true, 65001},
                    RoleCase{"PeerLeaks", Role::peer, 65002, false, 65002},
                    RoleCase{"FromProvider", Role::customer, {}, true, 65001},
                    RoleCase{"FromProviderMarked", Role::customer, 65002, true, 65002},
                    RoleCase{"FromRouteServer", Role::rs_client, {}, true, 65001}),
    [](const auto& c) { return c.param.name; });

TEST_F(ImportTest, SaysWhoRefused) {
  rules_.role = Role::provider;
  Import import(rules_);
  Attributes leak = with({});
  leak.only_to_customer = peer_as;
  const auto received = held(store_, leak);
  const auto next_hop = rib_.next_hop(PeerId(1), address("192.0.2.1"));
  EXPECT_THAT(import.explain(rib_, {PeerId(1), prefix("10.0.0.0/24"), received.id(), *next_hop}),
              testing::HasSubstr("RFC 9234"));
}

/// RFC 9234 5 and RFC 3765, the way out.
struct ExportCase {
  const char* name;
  Role ours;
  bool marked;
  bool no_peer;
  bool told;
  std::optional<std::uint32_t> has;
};
void PrintTo(const ExportCase& c, std::ostream* out) {
  *out << c.name;
}
class RoleExport : public testing::TestWithParam<ExportCase> {};

TEST_P(RoleExport, GoesOut) {
  AttributeStore store(Asn{65000}, RouterId{0x0a000001});
  Rib rib(store, {});
  rib.attach(PeerId(1), external_peer(1));
  Attributes attributes = path_of({65001});
  if (GetParam().marked) attributes.only_to_customer = Asn{65001};
  if (GetParam().no_peer) attributes.communities = {community::no_peer};
  const auto learned = held(store, attributes);
  PeerSettings accept;
  accept.export_filter = Filter::accept;
  ExportRules rules;
  rules.as_path.local_as = Asn{65000};
  rules.policy = Policy::to_export({}, accept, true);
  rules.role = GetParam().ours;
  AppliedPolicy policy(rules.policy, Direction::to_export);
  const auto next_hop = rib.next_hop(PeerId(1), address("192.0.2.1"));
  const auto told = advertised_as(rules, policy, rib, prefix("10.0.0.0/24"),
                                  {PeerId(1), learned.id(), *next_hop});
  ASSERT_EQ(told.has_value(), GetParam().told);
  if (!told) return;
  const auto has = exported(rules, rib, *told).only_to_customer;
  EXPECT_EQ(has.has_value(), GetParam().has.has_value());
  if (has) {
    EXPECT_EQ(has->value, *GetParam().has);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rfc9234, RoleExport,
    testing::Values(ExportCase{"ToCustomer", Role::provider, false, false, true, 65000},
                    ExportCase{"MarkedToCustomer", Role::provider, true, false, true, 65001},
                    ExportCase{"ToPeer", Role::peer, false, false, true, 65000},
                    ExportCase{"MarkedToPeer", Role::peer, true, false, false, {}},
                    ExportCase{"NoPeerToPeer", Role::peer, false, true, false, {}},
                    ExportCase{"NoPeerToCustomer", Role::provider, false, true, true, 65000},
                    ExportCase{"ToProvider", Role::customer, false, false, true, {}},
                    ExportCase{"MarkedToProvider", Role::customer, true, false, false, {}},
                    ExportCase{"ToClient", Role::rs_server, false, false, true, 65000},
                    ExportCase{"MarkedToRouteServer", Role::rs_client, true, false, false, {}}),
    [](const auto& c) { return c.param.name; });

}  // namespace
}  // namespace weft::bgp
