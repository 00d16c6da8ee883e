#include "net/netlink.h"

#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <vector>

#include "net/netlink_socket.h"

namespace weft::netlink {
namespace {

Message only(const Batch& batch) {
  Messages messages(batch.bytes());
  const auto message = messages.next();
  EXPECT_TRUE(message);
  EXPECT_FALSE(messages.next());
  return message.value_or(Message{});
}

TEST(NetlinkBatch, WritesWhatTheParserReads) {
  Batch batch;
  rtmsg header{};
  header.rtm_family = 2;
  header.rtm_dst_len = 26;
  batch.begin(RTM_NEWROUTE, NLM_F_CREATE, header);
  batch.put_address(RTA_DST, Address::ipv4(0x0a000001));
  batch.put_u32(RTA_PRIORITY, 20);
  batch.put_u8(200, 7);
  batch.put_be32(201, 0x12345678);
  batch.put_text(202, "eth0");
  batch.put(203, {});

  const Message message = only(batch);
  EXPECT_EQ(message.type, RTM_NEWROUTE);
  EXPECT_EQ(message.flags, NLM_F_REQUEST | NLM_F_CREATE);
  EXPECT_EQ(message.header<rtmsg>()->rtm_dst_len, 26);
  const Attributes attributes = message.attributes<rtmsg>();
  EXPECT_EQ(attributes.find(RTA_DST)->address(), Address::ipv4(0x0a000001));
  EXPECT_EQ(attributes.find(RTA_PRIORITY)->u32(), 20U);
  EXPECT_EQ(attributes.find(200)->u8(), 7);
  EXPECT_EQ(attributes.find(201)->payload()[0], std::byte{0x12});
  EXPECT_EQ(attributes.find(202)->text(), "eth0");
  EXPECT_EQ(attributes.find(202)->payload().size(), 5U);
  EXPECT_TRUE(attributes.find(203)->payload().empty());
  EXPECT_FALSE(attributes.find(RTA_OIF));
}

TEST(NetlinkBatch, NestsHoldHeadersAndNests) {
  Batch batch;
  batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  const auto info = batch.nest(IFLA_LINKINFO);
  batch.put_text(IFLA_INFO_KIND, "veth");
  const auto data = batch.nest(IFLA_INFO_DATA);
  ifinfomsg peer{};
  peer.ifi_index = 42;
  const auto inner = batch.nest(1);
  batch.put_header(peer);
  batch.put_text(IFLA_IFNAME, "abc");
  batch.end_nest(inner);
  batch.end_nest(data);
  batch.end_nest(info);
  batch.put_u32(IFLA_MTU, 1400);

  const Attributes top = only(batch).attributes<ifinfomsg>();
  EXPECT_EQ(top.find(IFLA_MTU)->u32(), 1400U);
  const Attributes linkinfo(top.find(IFLA_LINKINFO)->payload());
  EXPECT_EQ(linkinfo.find(IFLA_INFO_KIND)->text(), "veth");
  const Attributes infodata(linkinfo.find(IFLA_INFO_DATA)->payload());
  const Bytes veth = infodata.find(1)->payload();
  EXPECT_EQ(Attribute(0, veth).raw<ifinfomsg>().ifi_index, 42);
  EXPECT_EQ(Attributes(veth.subspan(sizeof(ifinfomsg))).find(IFLA_IFNAME)->text(), "abc");
}

TEST(NetlinkBatch, StampNumbersAndAsksForAcks) {
  Batch batch;
  for (int i = 0; i < 3; ++i) batch.begin(RTM_GETLINK, 0, ifinfomsg{});
  const auto flags = [&] {
    std::vector<unsigned> all;
    Messages messages(batch.bytes());
    for (std::uint32_t at = 0; const auto message = messages.next(); ++at) {
      EXPECT_EQ(message->sequence, 100 + at);
      all.push_back(message->flags & unsigned{NLM_F_ACK});
    }
    return all;
  };
  batch.stamp(100, Batch::Ack::last);
  EXPECT_EQ(flags(), (std::vector<unsigned>{0, 0, NLM_F_ACK}));
  batch.stamp(100, Batch::Ack::each);
  EXPECT_EQ(flags(), (std::vector<unsigned>{NLM_F_ACK, NLM_F_ACK, NLM_F_ACK}));
  batch.clear();
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(batch.size(), 0U);
}

/// Every way to cut or bend a message must end the walk, never leave the buffer (the dev build has
/// ASan).
TEST(NetlinkParser, SurvivesEveryCutAndEveryLengthByte) {
  Batch batch;
  batch.begin(RTM_NEWROUTE, 0, rtmsg{});
  batch.put_address(RTA_DST, Address::ipv4(1));
  const auto nest = batch.nest(RTA_MULTIPATH);
  batch.put_u32(RTA_OIF, 3);
  batch.end_nest(nest);
  const std::vector<std::byte> whole(batch.bytes().begin(), batch.bytes().end());
  const auto walk = [](const std::vector<std::byte>& octets) {
    std::size_t seen = 0;
    Messages messages{Bytes(octets)};
    while (const auto message = messages.next()) {
      for (const Attribute attribute : message->attributes<rtmsg>()) {
        for (const Attribute inner : Attributes(attribute.payload())) seen += inner.u32();
        seen += attribute.u64() + attribute.text().size();
      }
    }
    return seen;
  };
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    walk({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (unsigned value = 0; value < 256; ++value) {
      std::vector<std::byte> bent = whole;
      bent[at] = static_cast<std::byte>(value);
      walk(bent);
    }
  }
}

class NetlinkSocket : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Socket::open();
    ASSERT_TRUE(opened) << opened.error().message;
    socket_.emplace(std::move(opened).value());
  }
  std::optional<Socket> socket_;
};

TEST_F(NetlinkSocket, DumpsLinksAndFindsLoopback) {
  Batch batch;
  batch.begin(RTM_GETLINK, 0, ifinfomsg{});
  std::vector<std::string> names;
  const auto result = socket_->dump(batch, [&](const Message& message) {
    const auto name = message.attributes<ifinfomsg>().find(IFLA_IFNAME);
    if (name) names.emplace_back(name->text());
  });
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_NE(std::find(names.begin(), names.end(), "lo"), names.end());
}

TEST_F(NetlinkSocket, QueryReturnsOneLink) {
  Batch batch;
  ifinfomsg loopback{};
  loopback.ifi_index = 1;
  batch.begin(RTM_GETLINK, 0, loopback);
  std::string name;
  const auto result = socket_->query(batch, [&](const Message& message) {
    name = message.attributes<ifinfomsg>().find(IFLA_IFNAME)->text();
  });
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(name, "lo");
}

TEST_F(NetlinkSocket, NamesTheRefusedMessageAndItsReason) {
  Batch batch;
  ifinfomsg loopback{};
  loopback.ifi_index = 1;
  batch.begin(RTM_GETLINK, 0, loopback);
  ifinfomsg nowhere{};
  nowhere.ifi_index = 0x7ffffff0;
  batch.begin(RTM_GETLINK, 0, nowhere);
  batch.begin(RTM_GETLINK, 0, loopback);
  const Outcome outcome = socket_->transact(batch, Batch::Ack::last);
  EXPECT_FALSE(outcome.broken);
  ASSERT_EQ(outcome.refused.size(), 1U);
  EXPECT_EQ(outcome.refused[0].index, 1U);
  EXPECT_EQ(outcome.refused[0].code, ENODEV);
  // The socket is in step afterwards.
  batch.clear();
  batch.begin(RTM_GETLINK, 0, loopback);
  EXPECT_TRUE(socket_->request(batch));
}

TEST_F(NetlinkSocket, RefusedDumpSaysWhyInTheKernelsWords) {
  Batch batch;
  ifinfomsg filter{};
  filter.ifi_index = 5;  // strict checking: links cannot be dumped by index
  batch.begin(RTM_GETLINK, 0, filter);
  const auto result = socket_->dump(batch, [](const Message&) {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, EINVAL);
  EXPECT_GT(result.error().message.size(), std::string("Invalid argument").size());
}

TEST_F(NetlinkSocket, ReceiveWithoutWaitingFindsNothing) {
  EXPECT_EQ(socket_->receive(false).arrival, Arrival::nothing);
}

}  // namespace
}  // namespace weft::netlink
