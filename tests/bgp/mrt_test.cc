// The records as RFC 6396 4.3 and RFC 8050 4 have them; real readers are in the system tests.
#include "bgp/mrt.h"

#include <gmock/gmock.h>

#include "tests/bgp/tables.h"

namespace weft::bgp {
namespace {

struct Seen {
  std::uint16_t subtype = 0;
  std::vector<std::byte> body;
};

std::vector<Seen> records(Bytes file) {
  std::vector<Seen> all;
  Reader in(file);
  while (!in.empty()) {
    EXPECT_EQ(in.u32(), 1700000000U);
    EXPECT_EQ(in.u16(), 13U);
    Seen seen;
    seen.subtype = in.u16();
    const Bytes body = in.take(in.u32());
    seen.body.assign(body.begin(), body.end());
    EXPECT_TRUE(in.ok());
    all.push_back(seen);
  }
  return all;
}

class Mrt : public testing::Test {
 protected:
  Mrt() {
    rib_.connected(documentation_subnet());
    rib_.attach(PeerId{1}, external_peer(1));
    rib_.attach(PeerId{3}, external_peer(3));
    dump_.peers = {
        {PeerId::local, RouterId{9}, Address::ipv4(0), Asn{65000}, 1},
        {PeerId{1}, RouterId{1}, Address::ipv4(0xc0000201), Asn{65001}, 1600000000},
        {PeerId{3}, RouterId{3}, Address::ipv4(0xc0000203), Asn{4200000003}, 1600000003}};
  }
  void announce(unsigned peer, const char* to, std::uint32_t path_id) {
    const auto ids = held(store_, path_of({65001}));
    rib_.announce(prefix(to), path_id, ids.id(),
                  *rib_.next_hop(PeerId(peer), Address::ipv4(0xc0000200 + peer)));
  }
  std::vector<Seen> dumped(std::size_t places) {
    std::vector<std::byte> file;
    encode_peer_index(dump_, "v", 1700000000, file);
    std::vector<RouteChange> changes;
    rib_.decide(1000, changes);
    while (!dump_.done) dump_slice(dump_, rib_, places, 1700000000, file);
    return records(file);
  }

  AttributeStore store_{Asn{65000}, RouterId{9}};
  Rib rib_{store_, {}};
  MrtDump dump_;
};

TEST_F(Mrt, NamesThePeersAndThenTheirPaths) {
  announce(3, "10.1.0.0/16", 0);
  const auto local = held(store_, path_of({}));
  rib_.originate(prefix("fd00::/48"), local.id());
  const auto all = dumped(1);
  ASSERT_EQ(all.size(), 3U);

  EXPECT_EQ(all[0].subtype, 1U);
  Reader index(all[0].body);
  EXPECT_EQ(index.u32(), 9U);
  EXPECT_EQ(as_text(index.take(index.u16())), "v");
  EXPECT_EQ(index.u16(), 3U);
  index.take(2UL * 13);
  EXPECT_EQ(index.u8(), 2U) << "IPv4 address, four octets of AS";
  EXPECT_EQ(index.u32(), 3U);
  EXPECT_EQ(index.u32(), 0xc0000203U);
  EXPECT_EQ(index.u32(), 4200000003U);
  EXPECT_TRUE(index.ok() && index.empty());

  EXPECT_EQ(all[1].subtype, 2U);
  Reader rib(all[1].body);
  EXPECT_EQ(rib.u32(), 0U);
  EXPECT_EQ(rib.u8(), 16U);
  EXPECT_EQ(rib.u16(), 0x0a01U);
  EXPECT_EQ(rib.u16(), 1U);
  EXPECT_EQ(rib.u16(), 2U) << "the third of the index";
  EXPECT_EQ(rib.u32(), 1600000003U);
  const Bytes attributes = rib.take(rib.u16());
  EXPECT_TRUE(rib.ok() && rib.empty());
  const std::vector<std::byte> next_hop{std::byte{0x40}, std::byte{3},    std::byte{4},
                                        std::byte{0xc0}, std::byte{0x00}, std::byte{0x02},
                                        std::byte{3}};
  EXPECT_TRUE(std::equal(next_hop.begin(), next_hop.end(), attributes.end() - 7));

  EXPECT_EQ(all[2].subtype, 4U);
  Reader six(all[2].body);
  EXPECT_EQ(six.u32(), 1U) << "sequence";
  EXPECT_EQ(six.u8(), 48U);
  six.take(6);
  EXPECT_EQ(six.u16(), 1U);
  EXPECT_EQ(six.u16(), 0U) << "this node";
  EXPECT_EQ(dump_.routes, 2U);
  EXPECT_EQ(dump_.paths, 2U);
}

TEST_F(Mrt, GivesPathsWithIdentifiersARecordOfTheirOwn) {
  announce(1, "10.1.0.0/16", 0);
  announce(3, "10.1.0.0/16", 77);
  announce(3, "10.1.0.0/16", 78);
  const auto all = dumped(100);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[1].subtype, 2U);
  EXPECT_EQ(all[2].subtype, 8U);
  Reader rib(all[2].body);
  rib.take(7);
  EXPECT_EQ(rib.u16(), 2U);
  EXPECT_EQ(rib.u16(), 2U);
  rib.u32();
  const std::uint32_t first = rib.u32();
  rib.take(rib.u16());
  rib.take(6);
  EXPECT_THAT((std::vector{first, rib.u32()}), testing::UnorderedElementsAre(77U, 78U));
}

/// What policy put in place of it, and that it refuses it, does not show.
TEST_F(Mrt, DumpsWhatWasReceived) {
  const auto received = held(store_, path_of({65001}));
  Attributes changed = path_of({65001});
  changed.local_pref = 7;
  const HeldAttributes made(store_,
                            store_.intern(canonical(changed), AttributeId::none, received.id()));
  const auto named = *rib_.next_hop(PeerId{1}, address("192.0.2.1"));
  rib_.announce(prefix("10.1.0.0/16"), 0, made.id(), *rib_.discard(PeerId{1}, named));
  rib_.announce(prefix("10.2.0.0/16"), 0, received.id(), named, true);
  const auto all = dumped(100);
  ASSERT_EQ(all.size(), 3U);
  const auto path = [&](const Seen& seen) {
    return std::vector(seen.body.begin() + 13, seen.body.end());
  };
  EXPECT_EQ(path(all[1]), path(all[2]));
}

TEST_F(Mrt, LeavesOutPeersThatCameLater) {
  rib_.attach(PeerId{2}, external_peer(2));
  announce(2, "10.1.0.0/16", 0);
  EXPECT_EQ(dumped(100).size(), 1U);
  EXPECT_EQ(dump_.paths, 0U);
}

}  // namespace
}  // namespace weft::bgp
