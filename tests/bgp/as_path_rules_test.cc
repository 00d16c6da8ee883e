#include "bgp/as_path_rules.h"

#include <gtest/gtest.h>

#include <string>

namespace weft::bgp {
namespace {

struct Case {
  const char* name;
  std::vector<std::uint32_t> path;
  AsPathRules rules;
  const char* told;
};

AsPathRules rules(std::uint32_t local) {
  AsPathRules made;
  made.local_as = Asn{local};
  made.peer_as = Asn{65002};
  return made;
}
AsPathRules behind(std::uint32_t local, std::uint32_t node) {
  AsPathRules made = rules(local);
  made.node_as = Asn{node};
  return made;
}
AsPathRules overriding() {
  AsPathRules made = rules(100);
  made.overridden = Asn{65002};
  return made;
}
AsPathRules without_private(RemovePrivate how) {
  AsPathRules made = rules(100);
  made.remove_private = how;
  return made;
}

class Told : public testing::TestWithParam<Case> {};

TEST_P(Told, ToAnExternalPeer) {
  AsPath path;
  for (auto asn = GetParam().path.rbegin(); asn != GetParam().path.rend(); ++asn)
    path.prepend(Asn{*asn});
  to_external(path, GetParam().rules);
  EXPECT_EQ(path.text(), GetParam().told);
}

INSTANTIATE_TEST_SUITE_P(
    Paths, Told,
    testing::Values(Case{"Plain", {200, 300}, rules(100), "100 200 300"},
                    Case{"OurOwn", {}, rules(100), "100"},
                    Case{"LocalAs", {200}, behind(90, 100), "90 100 200"},
                    Case{"LocalAsReplaces", {200}, rules(90), "90 200"},
                    Case{"Override", {65002, 200, 65002}, overriding(), "100 100 200 100"},
                    Case{"PrivateKept", {64512, 200}, rules(100), "100 64512 200"},
                    Case{"PrivateRemoved",
                         {64511, 64512, 200, 65534, 65535, 4199999999, 4200000000, 4294967294},
                         without_private(RemovePrivate::all),
                         "100 64511 200 65535 4199999999"},
                    Case{"PrivateOfThePeerStays",
                         {64600, 65002},
                         without_private(RemovePrivate::all),
                         "100 65002"},
                    Case{"AllPrivate", {64600}, without_private(RemovePrivate::all), "100"},
                    Case{"PrivateReplaced",
                         {64600, 200, 4200000000},
                         without_private(RemovePrivate::replace),
                         "100 100 200 100"}),
    [](const auto& each) { return std::string(each.param.name); });

TEST(Told, SetsLoseTheirPrivateMembersAndGoWhenEmpty) {
  AsPath path;
  path.segments = {{AsPath::SegmentType::sequence, {Asn{200}}},
                   {AsPath::SegmentType::set, {Asn{64512}, Asn{300}}},
                   {AsPath::SegmentType::set, {Asn{64513}}}};
  to_external(path, without_private(RemovePrivate::all));
  EXPECT_EQ(path.text(), "100 200 {300}");
}

}  // namespace
}  // namespace weft::bgp
