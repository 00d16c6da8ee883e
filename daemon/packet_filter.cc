#include "daemon/packet_filter.h"

#include <endian.h>
#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "daemon/nftables.h"

namespace weft::daemon {

namespace {

using nlohmann::json;

constexpr const char* table = R"("family":"inet","table":"weft")";

/// Loaded for this one document, which is rare: at the start, at a reload, and when somebody else
/// has changed the machine's rules.
Result<std::string> run(const std::string& document) {
  auto nftables = Nftables::open();
  if (!nftables) return nftables.error();
  return nftables->run(document);
}

std::string commands(const std::string& list) {
  return R"({"nftables":[)" + list + "]}";
}

std::string element(const char* verb, const char* set, const std::string& element) {
  return fmt::format(R"({{"{}":{{"element":{{{},"name":"{}","elem":[{}]}}}}}})", verb, table, set,
                     element);
}

/// The elements of one container, each as (set, element).
std::vector<std::pair<const char*, std::string>> elements(const Guarded& container) {
  std::vector<std::pair<const char*, std::string>> list;
  list.emplace_back("veths", fmt::format("\"{}\"", container.host_ifname));
  const auto guard = [&](const char* set, const Address& address) {
    list.emplace_back(
        set, fmt::format(R"({{"concat":["{}","{}"]}})", container.host_ifname, address.text()));
  };
  if (container.ipv4) guard("addresses", *container.ipv4);
  if (container.ipv6) guard("addresses6", *container.ipv6);
  return list;
}

/// As the kernel compares it: fields of whole registers, the name padded with NULs.
std::vector<std::byte> key(const std::string& host_ifname, const std::optional<Address>& address) {
  std::vector<std::byte> octets(IFNAMSIZ);
  std::memcpy(octets.data(), host_ifname.data(),
              std::min<std::size_t>(host_ifname.size(), IFNAMSIZ));
  if (address) {
    const Bytes more = address->octets();
    octets.insert(octets.end(), more.begin(), more.end());
  }
  return octets;
}

void put_element(netlink::Batch& batch, std::uint16_t message, const char* set,
                 const std::vector<std::byte>& key) {
  const std::uint16_t flags = message == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0;
  batch.begin((NFNL_SUBSYS_NFTABLES << 8) | message, flags,
              nfgenmsg{NFPROTO_INET, NFNETLINK_V0, 0});
  batch.put_text(NFTA_SET_ELEM_LIST_TABLE, "weft");
  batch.put_text(NFTA_SET_ELEM_LIST_SET, set);
  const std::size_t list = batch.nest(NLA_F_NESTED | NFTA_SET_ELEM_LIST_ELEMENTS);
  const std::size_t one = batch.nest(NLA_F_NESTED | NFTA_LIST_ELEM);
  const std::size_t value = batch.nest(NLA_F_NESTED | NFTA_SET_ELEM_KEY);
  batch.put(NFTA_DATA_VALUE, key);
  batch.end_nest(value);
  batch.end_nest(one);
  batch.end_nest(list);
}

void put_elements(netlink::Batch& batch, std::uint16_t message, const Guarded& container) {
  const std::string& ifname = container.host_ifname;
  put_element(batch, message, "veths", key(ifname, {}));
  if (container.ipv4) put_element(batch, message, "addresses", key(ifname, container.ipv4));
  if (container.ipv6) put_element(batch, message, "addresses6", key(ifname, container.ipv6));
}

/// The bounds of a transaction.
void put_bound(netlink::Batch& batch, std::uint16_t type) {
  batch.begin(type, 0, nfgenmsg{AF_UNSPEC, NFNETLINK_V0, htobe16(NFNL_SUBSYS_NFTABLES)});
}

std::string set(const char* name, const char* type, const std::string& more) {
  return fmt::format(R"({{"add":{{"set":{{{},"name":"{}","type":{}{}}}}}}})", table, name, type,
                     more);
}

std::string rule(const char* chain, const char* expression) {
  return fmt::format(R"({{"add":{{"rule":{{{},"chain":"{}","expr":[{}]}}}}}})", table, chain,
                     expression);
}

std::string chain(const char* name, const char* type, const char* hook, int priority) {
  return fmt::format(
      R"({{"add":{{"chain":{{{},"name":"{}","type":"{}","hook":"{}","prio":{},"policy":"accept"}}}}}})",
      table, name, type, hook, priority);
}

std::string joined(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, ","));
}

void append_anti_spoof(std::vector<std::string>& list, const std::vector<Guarded>& containers) {
  list.push_back(set("veths", R"("ifname")", ""));
  list.push_back(set("addresses", R"(["ifname","ipv4_addr"])", ""));
  list.push_back(set("addresses6", R"(["ifname","ipv6_addr"])", ""));
  list.push_back(fmt::format(R"({{"add":{{"counter":{{{},"name":"spoofed"}}}}}})", table));
  list.push_back(chain("anti-spoof", "filter", "prerouting", -300));
  const auto own = [](const char* protocol, const char* addresses) {
    return fmt::format(
        R"({{"match":{{"op":"==","left":{{"meta":{{"key":"nfproto"}}}},"right":"{}"}}}},)"
        R"({{"match":{{"op":"==","left":{{"concat":[{{"meta":{{"key":"iifname"}}}},)"
        R"({{"payload":{{"protocol":"{}","field":"saddr"}}}}]}},"right":"@{}"}}}},{{"accept":null}})",
        protocol, protocol == std::string_view("ipv4") ? "ip" : "ip6", addresses);
  };
  list.push_back(rule("anti-spoof",
                      R"({"match":{"op":"!=","left":{"meta":{"key":"iifname"}},"right":"@veths"}},)"
                      R"({"accept":null})"));
  list.push_back(rule("anti-spoof", own("ipv4", "addresses").c_str()));
  list.push_back(rule("anti-spoof", own("ipv6", "addresses6").c_str()));
  // Neighbour discovery speaks from the link's own address or from none, and only on the link.
  list.push_back(rule(
      "anti-spoof",
      R"({"match":{"op":"==","left":{"payload":{"protocol":"ip6","field":"saddr"}},)"
      R"("right":{"set":["::",{"prefix":{"addr":"fe80::","len":10}}]}}},)"
      R"({"match":{"op":"==","left":{"payload":{"protocol":"ip6","field":"daddr"}},)"
      R"("right":{"set":[{"prefix":{"addr":"fe80::","len":10}},{"prefix":{"addr":"ff02::","len":16}}]}}},)"
      R"({"accept":null})"));
  list.push_back(rule("anti-spoof", R"({"counter":"spoofed"},{"drop":null})"));
  for (const Guarded& container : containers) {
    for (const auto& [name, value] : elements(container)) {
      list.push_back(element("add", name, value));
    }
  }
}

void append_masquerade(std::vector<std::string>& list, const std::vector<Prefix>& pools) {
  const std::string interval = R"(,"flags":["interval"])";
  list.push_back(set("pools", R"("ipv4_addr")", interval));
  list.push_back(set("pools6", R"("ipv6_addr")", interval));
  for (const Prefix& pool : pools) {
    // The kernel takes no interval twice.
    const bool in_another = std::any_of(pools.begin(), pools.end(), [&](const Prefix& other) {
      return other != pool && other.contains(pool);
    });
    if (in_another) continue;
    list.push_back(element("add", pool.family() == Family::ipv4 ? "pools" : "pools6",
                           fmt::format(R"({{"prefix":{{"addr":"{}","len":{}}}}})",
                                       pool.address().text(), pool.length())));
  }
  list.push_back(chain("masquerade", "nat", "postrouting", 100));
  for (const auto& [protocol, name] : {std::pair{"ip", "pools"}, std::pair{"ip6", "pools6"}}) {
    const auto match = [protocol = protocol, name = name](const char* op, const char* field) {
      return fmt::format(
          R"({{"match":{{"op":"{}","left":{{"payload":{{"protocol":"{}","field":"{}"}}}},"right":"@{}"}}}},)",
          op, protocol, field, name);
    };
    list.push_back(
        rule("masquerade",
             (match("==", "saddr") + match("!=", "daddr") + R"({"masquerade":null})").c_str()));
  }
}

/// One transaction without libnftables, which reads all of the machine's rules before each.
Result<void> commit_elements(netlink::Socket& socket, netlink::Batch& batch) {
  const std::uint32_t first = socket.take_sequence(batch.count());
  batch.stamp(first, netlink::Batch::Ack::each);
  if (const auto sent = socket.send(batch); !sent) return sent.error().error();
  // All answers are there when send() returns. Whether the bounds have one depends on the kernel,
  // the elements between them always do.
  std::size_t taken = 0;
  for (;;) {
    const netlink::Received received = socket.receive(false);
    if (received.arrival == netlink::Arrival::nothing) break;
    if (received.arrival != netlink::Arrival::data) return Error{"nft: its answer was lost"};
    netlink::Messages messages(received.bytes);
    while (const auto message = messages.next()) {
      const std::size_t index = message->sequence - first;
      if (message->type != NLMSG_ERROR || index >= batch.count()) continue;
      const netlink::Refusal answer = netlink::refusal(*message);
      if (answer.code != 0) return answer.error().within("nft");
      if (index != 0 && index + 1 != batch.count()) ++taken;
    }
  }
  if (taken + 2 != batch.count()) return Error{"nft: no answer"};
  return {};
}

}  // namespace

Result<PacketFilter> PacketFilter::open() {
  auto socket = netlink::Socket::open(NETLINK_NETFILTER);
  if (!socket) return socket.error();
  return PacketFilter(*std::move(socket));
}

Result<void> PacketFilter::replace(const FilterSettings& settings,
                                   const std::vector<Guarded>& containers) {
  constexpr const char* own = R"({"family":"inet","name":"weft"})";
  // Made first, so that there is one to delete.
  std::vector<std::string> list{fmt::format(R"({{"add":{{"table":{}}}}})", own),
                                fmt::format(R"({{"delete":{{"table":{}}}}})", own)};
  if (settings.anti_spoof || settings.masquerade) {
    list.push_back(fmt::format(R"({{"add":{{"table":{}}}}})", own));
  }
  if (settings.anti_spoof) append_anti_spoof(list, containers);
  if (settings.masquerade) append_masquerade(list, settings.pools);
  const auto done = run(commands(joined(list)));
  if (!done) return done.error();
  ++expected_generation_;
  settings_ = settings;
  return {};
}

Result<void> PacketFilter::add(const Guarded& container) {
  if (!settings_.anti_spoof) return {};
  netlink::Batch batch;
  put_bound(batch, NFNL_MSG_BATCH_BEGIN);
  put_elements(batch, NFT_MSG_NEWSETELEM, container);
  put_bound(batch, NFNL_MSG_BATCH_END);
  auto done = commit_elements(socket_, batch);
  if (done) ++expected_generation_;
  return done;
}

Result<void> PacketFilter::remove(const Guarded& container) {
  if (!settings_.anti_spoof) return {};
  netlink::Batch batch;
  put_bound(batch, NFNL_MSG_BATCH_BEGIN);
  // Put first, for what is not there cannot be deleted, and one that is missing fails all.
  put_elements(batch, NFT_MSG_NEWSETELEM, container);
  put_elements(batch, NFT_MSG_DELSETELEM, container);
  put_bound(batch, NFNL_MSG_BATCH_END);
  auto done = commit_elements(socket_, batch);
  if (done) ++expected_generation_;
  return done;
}

Result<std::uint32_t> PacketFilter::generation() {
  netlink::Batch batch;
  batch.begin((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN, 0, nfgenmsg{AF_UNSPEC, 0, 0});
  std::uint32_t id = 0;
  const auto done = socket_.query(batch, [&](const netlink::Message& message) {
    const auto attribute = message.attributes<nfgenmsg>().find(NFTA_GEN_ID);
    if (attribute) id = be32toh(attribute->u32());
  });
  if (!done) return done.error().error().within("generation of the nft rules");
  return id;
}

Result<std::string> PacketFilter::fault(const std::vector<Guarded>& containers) {
  if (!settings_.anti_spoof && !settings_.masquerade) return std::string();
  const auto now = generation();
  if (now && *now == expected_generation_) return std::string();
  auto found = difference(containers);
  if (now && found && found->empty()) expected_generation_ = *now;
  return found;
}

Result<std::string> PacketFilter::difference(const std::vector<Guarded>& containers) {
  const auto listed = run(commands(R"({"list":{"table":{"family":"inet","name":"weft"}}})"));
  if (!listed) return std::string("the nft table inet weft is gone");
  const json all = json::parse(*listed, nullptr, false);
  if (!all.is_object() || !all.contains("nftables")) return Error{"nft: what it lists is not JSON"};
  std::set<std::pair<std::string, std::string>> present;
  std::size_t rules = 0;
  for (const json& entry : all["nftables"]) {
    rules += entry.contains("rule") ? 1U : 0U;
    if (!entry.contains("set") || !entry["set"].contains("elem")) continue;
    const std::string name = entry["set"].value("name", "");
    if (name == "pools" || name == "pools6") continue;
    for (const json& value : entry["set"]["elem"]) present.emplace(name, value.dump());
  }
  const std::size_t wanted_rules =
      (settings_.anti_spoof ? 5U : 0U) + (settings_.masquerade ? 2U : 0U);
  if (rules != wanted_rules) {
    return fmt::format("the nft table inet weft has {} rules and not its {}", rules, wanted_rules);
  }
  for (const Guarded& container : containers) {
    if (!settings_.anti_spoof) break;
    for (const auto& [name, value] : elements(container)) {
      if (present.erase({name, value}) != 0) continue;
      return fmt::format("in the nft table inet weft, set {} lacks the element of {}", name,
                         container.host_ifname);
    }
  }
  if (present.empty()) return std::string();
  return fmt::format("in the nft table inet weft, set {} has {}, which is no container's",
                     present.begin()->first, present.begin()->second);
}

Result<std::uint64_t> PacketFilter::spoofed_packets() {
  if (!settings_.anti_spoof) return std::uint64_t{0};
  netlink::Batch batch;
  batch.begin((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETOBJ, 0,
              nfgenmsg{NFPROTO_INET, NFNETLINK_V0, 0});
  batch.put_text(NFTA_OBJ_TABLE, "weft");
  batch.put_text(NFTA_OBJ_NAME, "spoofed");
  batch.put_be32(NFTA_OBJ_TYPE, NFT_OBJECT_COUNTER);
  std::optional<std::uint64_t> packets;
  const auto done = socket_.query(batch, [&](const netlink::Message& message) {
    const auto counter = message.attributes<nfgenmsg>().find(NFTA_OBJ_DATA);
    if (!counter) return;
    const auto value = netlink::Attributes(counter->payload()).find(NFTA_COUNTER_PACKETS);
    if (value) packets = be64toh(value->u64());
  });
  if (!done) return done.error().error().within("nft: the counter of spoofed packets");
  if (!packets) return Error{"nft: no such counter"};
  return *packets;
}

}  // namespace weft::daemon
