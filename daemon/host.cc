#include "daemon/host.h"

#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>

#include "fib/settings.h"
#include "net/netlink.h"
#include "net/netlink_socket.h"

namespace weft::daemon {
namespace {

struct Sysctl {
  const char* name;
  int value;
  /// Why the host needs it.
  const char* reason;
};

constexpr Sysctl sysctls[] = {
    {"net.ipv4.ip_forward", 1, "containers reach nothing outside this host without it"},
    {"net.ipv6.conf.all.forwarding", 1, "containers reach nothing outside this host without it"},
    // Layer 3 alone puts all flows between two hosts on one uplink.
    {"net.ipv4.fib_multipath_hash_policy", 1,
     "one flow after the other takes the same uplink without it"},
    {"net.ipv6.fib_multipath_hash_policy", 1,
     "one flow after the other takes the same uplink without it"},
};

std::filesystem::path path_of(std::string name) {
  std::replace(name.begin(), name.end(), '.', '/');
  return std::filesystem::path("/proc/sys") / name;
}

std::optional<int> read(const Sysctl& sysctl) {
  std::ifstream file(path_of(sysctl.name));
  int value = 0;
  if (!(file >> value)) return std::nullopt;
  return value;
}

bool write(const Sysctl& sysctl) {
  std::ofstream file(path_of(sysctl.name));
  file << sysctl.value << std::flush;
  return file.good() && read(sysctl) == sysctl.value;
}

Result<void, netlink::Refusal> put_on_loopback(netlink::Socket& socket, const Address& address) {
  netlink::Batch batch;
  ifaddrmsg header{};
  header.ifa_family = address.is_v4() ? AF_INET : AF_INET6;
  header.ifa_prefixlen = static_cast<std::uint8_t>(bits(address.family()));
  header.ifa_flags = IFA_F_NODAD;
  header.ifa_index = if_nametoindex("lo");
  batch.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, header);
  batch.put_address(IFA_LOCAL, address);
  batch.put_address(IFA_ADDRESS, address);
  return socket.request(batch);
}

}  // namespace

std::vector<std::string> prepare_sysctls() {
  std::vector<std::string> complaints;
  for (const Sysctl& sysctl : sysctls) {
    const auto value = read(sysctl);
    if (value == sysctl.value || write(sysctl)) continue;
    complaints.push_back(fmt::format("{} is {} and could not be set; {}: sysctl -w {}={}",
                                     sysctl.name, value ? std::to_string(*value) : "not there",
                                     sysctl.reason, sysctl.name, sysctl.value));
  }
  return complaints;
}

std::vector<std::string> put_router_addresses(const config::NodeSettings& node) {
  std::vector<std::string> complaints;
  auto socket = netlink::Socket::open();
  if (!socket) return {socket.error().message};
  for (const Prefix& prefix : router_prefixes(node)) {
    const auto put = put_on_loopback(*socket, prefix.address());
    if (put || put.error().code == EEXIST) continue;
    complaints.push_back(fmt::format("router address {} is not on lo: {}; ip address add {} dev lo",
                                     prefix.address().text(), put.error().message, prefix.text()));
  }
  return complaints;
}

Result<std::string> boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  if (!std::getline(file, id)) return Error{"/proc/sys/kernel/random/boot_id cannot be read"};
  return id;
}

std::vector<Prefix> router_prefixes(const config::NodeSettings& node) {
  std::vector<Prefix> prefixes{Prefix::host(Address::ipv4(node.router_id.value))};
  if (node.router_address_ipv6) prefixes.push_back(Prefix::host(*node.router_address_ipv6));
  return prefixes;
}

}  // namespace weft::daemon
