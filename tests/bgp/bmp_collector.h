// A monitoring station as tests have it: takes a BMP stream apart by the layouts of RFC 7854, 8671
// and 9069, with nothing of the encoder, and keeps the tables that it is told of.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bgp/types.h"
#include "net/bytes.h"
#include "net/ip.h"

namespace weft::bgp {

class BmpCollector {
 public:
  struct Route {
    /// Without NEXT_HOP, MP_REACH_NLRI and MP_UNREACH_NLRI.
    std::vector<std::byte> attributes;
    std::vector<std::byte> next_hop;
    bool operator==(const Route&) const = default;
  };
  using Table = std::map<std::pair<Prefix, std::uint32_t>, Route>;
  /// By type, distinguisher and address, as RFC 7854 4.2 tells peers apart.
  using Name = std::tuple<unsigned, std::uint64_t, std::vector<std::byte>>;
  struct Peer {
    std::uint32_t asn = 0;
    std::uint32_t id = 0;
    std::vector<std::byte> local;
    std::uint16_t local_port = 0;
    std::uint16_t remote_port = 0;
    std::vector<std::byte> sent_open;
    std::vector<std::byte> received_open;
    std::vector<std::byte> information;
    /// By the L and O flags: 0 pre-policy, 1 post-policy, 3 Adj-RIB-Out.
    std::map<unsigned, Table> tables;
    /// End-of-RIB, by table and AFI.
    std::set<std::pair<unsigned, unsigned>> ended;
  };
  struct Down {
    Name name;
    unsigned reason = 0;
    std::vector<std::byte> data;
  };

  /// Takes whole messages alone.
  void read(Bytes stream) {
    Reader in(stream);
    while (!in.empty()) {
      ASSERT_EQ(in.u8(), 3) << "version";
      const std::uint32_t length = in.u32();
      const unsigned type = in.u8();
      ASSERT_GE(length, 6U);
      Reader body = in.sub(length - 6);
      ASSERT_TRUE(in.ok()) << "half a message";
      ASSERT_TRUE(initiated || type == 4) << "Initiation comes first";
      ++messages;
      take(type, body);
      if (testing::Test::HasFatalFailure()) return;
    }
  }

  [[nodiscard]] const Table* table(const Name& name, unsigned which) const {
    const auto peer = peers.find(name);
    if (peer == peers.end()) return nullptr;
    const auto found = peer->second.tables.find(which);
    static const Table none;
    return found == peer->second.tables.end() ? &none : &found->second;
  }
  static Name global(const Address& address, unsigned type = 0, std::uint64_t distinguisher = 0) {
    std::vector<std::byte> octets(16 - address.octets().size());
    octets.insert(octets.end(), address.octets().begin(), address.octets().end());
    return {type, distinguisher, octets};
  }
  static Name loc_rib() { return {3, 0, std::vector<std::byte>(16)}; }

  bool initiated = false;
  std::string system_name;
  std::string system_description;
  std::map<Name, Peer> peers;
  std::vector<Down> downs;
  /// The last of each peer: by type, with AFI (0: none).
  std::map<Name, std::map<std::pair<unsigned, unsigned>, std::uint64_t>> statistics;
  std::uint64_t last_seconds = 0;
  std::size_t messages = 0;
  /// Withdrawals of what was not there.
  std::size_t superfluous = 0;
  /// Peers that add-path is received from.
  std::set<Name> with_path_ids;

 private:
  struct Header {
    Name name;
    unsigned type = 0;
    unsigned flags = 0;
    std::uint32_t asn = 0;
    std::uint32_t id = 0;
  };

  void take(unsigned type, Reader body) {
    switch (type) {
      case 0:
        return route_monitoring(body);
      case 1:
        return statistics_report(body);
      case 2:
        return peer_down(body);
      case 3:
        return peer_up(body);
      case 4:
        return initiation(body);
      default:
        FAIL() << "message type " << type;
    }
  }

  Header header(Reader& in) {
    Header made;
    made.type = in.u8();
    made.flags = in.u8();
    const std::uint64_t distinguisher = in.u64();
    const Bytes address = in.take(16);
    made.name = {made.type, distinguisher, {address.begin(), address.end()}};
    made.asn = in.u32();
    made.id = in.u32();
    last_seconds = in.u32();
    EXPECT_LT(in.u32(), 1000000U);
    EXPECT_TRUE(in.ok());
    EXPECT_EQ(made.flags & 0x2fU, 0U) << "the A flag, and those that are reserved";
    return made;
  }

  static std::vector<std::byte> message(Reader& in) {
    const Bytes all = in.rest();
    in.take(16);
    const std::uint16_t size = in.u16();
    EXPECT_TRUE(in.ok());
    in.take(size - 18U);
    EXPECT_TRUE(in.ok());
    return {all.begin(), all.begin() + size};
  }

  void initiation(Reader in) {
    EXPECT_FALSE(initiated);
    initiated = true;
    while (!in.empty()) {
      const unsigned type = in.u16();
      const std::string value(as_text(in.take(in.u16())));
      ASSERT_TRUE(in.ok());
      if (type == 1) system_description = value;
      if (type == 2) system_name = value;
    }
  }

  void peer_up(Reader in) {
    const Header of = header(in);
    ASSERT_FALSE(peers.contains(of.name)) << "Peer Up twice";
    Peer& peer = peers[of.name];
    peer.asn = of.asn;
    peer.id = of.id;
    const Bytes local = in.take(16);
    peer.local.assign(local.begin(), local.end());
    peer.local_port = in.u16();
    peer.remote_port = in.u16();
    peer.sent_open = message(in);
    peer.received_open = message(in);
    peer.information.assign(in.rest().begin(), in.rest().end());
  }

  void peer_down(Reader in) {
    const Header of = header(in);
    ASSERT_EQ(peers.erase(of.name), 1U) << "Peer Down without Peer Up";
    const unsigned reason = in.u8();
    downs.push_back({of.name, reason, {in.rest().begin(), in.rest().end()}});
  }

  void statistics_report(Reader in) {
    const Header of = header(in);
    ASSERT_TRUE(peers.contains(of.name));
    const std::uint32_t count = in.u32();
    for (std::uint32_t i = 0; i < count; ++i) {
      const unsigned type = in.u16();
      Reader value = in.sub(in.u16());
      unsigned afi = 0;
      if (value.size() == 11) {
        afi = value.u16();
        value.u8();
      }
      statistics[of.name][{type, afi}] = value.size() == 4 ? value.u32() : value.u64();
      ASSERT_TRUE(value.ok() && value.empty());
    }
    ASSERT_TRUE(in.ok() && in.empty());
  }

  void route_monitoring(Reader in) {
    const Header of = header(in);
    ASSERT_TRUE(peers.contains(of.name)) << "routes of a peer that is not up";
    Peer& peer = peers[of.name];
    const unsigned which =
        of.type == 3 ? 0
                     : ((of.flags & 0x40U) != 0 ? 1U : 0U) + ((of.flags & 0x10U) != 0 ? 2U : 0U);
    ASSERT_NE(which, 2U) << "Adj-RIB-Out before policy is not told";
    const bool path_ids = which != 3 && with_path_ids.contains(of.name);
    in.take(16);
    const std::size_t length = in.u16();
    ASSERT_EQ(length, in.size() + 18);
    ASSERT_EQ(in.u8(), 2) << "an UPDATE";
    Reader withdrawn = in.sub(in.u16());
    Reader attributes = in.sub(in.u16());
    ASSERT_TRUE(in.ok());
    update(peer, which, path_ids, withdrawn, attributes, in);
  }

  void update(Peer& peer, unsigned which, bool path_ids, Reader withdrawn, Reader attributes,
              Reader announced) {
    Table& table = peer.tables[which];
    const bool empty = withdrawn.empty() && attributes.empty() && announced.empty();
    if (empty) peer.ended.insert({which, 1});
    for_each(withdrawn, Family::ipv4, path_ids, [&](const auto& route) { erase(table, route); });
    Route route;
    Reader reach{Bytes{}};
    while (!attributes.empty()) {
      const Bytes all = attributes.rest();
      const unsigned flags = attributes.u8();
      const unsigned type = attributes.u8();
      Reader value = attributes.sub((flags & 0x10U) != 0 ? attributes.u16() : attributes.u8());
      ASSERT_TRUE(attributes.ok());
      if (type == 3) {
        route.next_hop.assign(value.rest().begin(), value.rest().end());
      } else if (type == 14) {
        reach = value;
      } else if (type == 15) {
        const unsigned afi = value.u16();
        ASSERT_EQ(value.u8(), 1);
        if (value.empty()) peer.ended.insert({which, afi});
        for_each(value, afi == 1 ? Family::ipv4 : Family::ipv6, path_ids,
                 [&](const auto& gone) { erase(table, gone); });
      } else {
        const std::size_t size = all.size() - attributes.size();
        route.attributes.insert(route.attributes.end(), all.begin(),
                                all.begin() + static_cast<std::ptrdiff_t>(size));
      }
    }
    for_each(announced, Family::ipv4, path_ids, [&](const auto& key) { table[key] = route; });
    if (reach.empty()) return;
    const unsigned afi = reach.u16();
    ASSERT_EQ(reach.u8(), 1);
    const Bytes next_hop = reach.take(reach.u8());
    route.next_hop.assign(next_hop.begin(), next_hop.end());
    reach.u8();
    for_each(reach, afi == 1 ? Family::ipv4 : Family::ipv6, path_ids,
             [&](const auto& key) { table[key] = route; });
  }

  void erase(Table& table, const std::pair<Prefix, std::uint32_t>& key) {
    if (table.erase(key) == 0) ++superfluous;
  }

  template <typename Each>
  static void for_each(Reader in, Family family, bool path_ids, Each each) {
    while (!in.empty()) {
      const std::uint32_t id = path_ids ? in.u32() : 0;
      const unsigned length = in.u8();
      std::array<std::byte, 16> octets{};
      const Bytes given = in.take((length + 7) / 8);
      ASSERT_TRUE(in.ok());
      std::copy(given.begin(), given.end(), octets.begin());
      each(std::pair(Prefix(Address::of(Bytes(octets).first(bits(family) / 8)), length), id));
    }
  }
};

}  // namespace weft::bgp
