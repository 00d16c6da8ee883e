#include "cni/ipam_plugin.h"

#include <fmt/format.h>

#include <algorithm>

#include "cni/weftd.h"
#include "net/netns.h"

namespace weft::cni {

namespace {

Result<std::string, Failure> add(const Request& request, const Weftd& weftd) {
  // A runtime of virtual machines may name what is no namespace; then only DEL frees the address.
  const auto netns = NetworkNamespace::open(request.netns);
  const NetworkConfig& config = request.config;
  const auto lease = weftd.ask<ctl::Lease>(ctl::AddRequest{
      request.attachment, request.netns, netns ? netns->inode() : 0, config.pool, std::nullopt,
      config.wishes.addresses, config.wishes.ranges, true, config.needs_gateway});
  if (!lease) return lease.error();
  return encode(given(*lease, config), config.cni_version);
}

Result<std::string, Failure> del(const Request& request, const Weftd& weftd) {
  const auto done = weftd.ask<ctl::Done>(ctl::DelRequest{request.attachment, std::nullopt});
  // The main plugin goes on taking its link away; weftd sees that the namespace is gone.
  if (!done) warn(fmt::format("the address is left to weftd's audit: {}", done.error().message));
  return std::string();
}

Result<std::string, Failure> check(const Request& request, const Weftd& weftd) {
  const auto lease = weftd.ask<ctl::Lease>(ctl::CheckRequest{request.attachment});
  if (!lease) return lease.error();
  const auto& ips = request.config.previous->ips;
  for (const auto& address : {lease->ipv4, lease->ipv6}) {
    if (!address || std::any_of(ips.begin(), ips.end(), [&](const InterfaceAddress& ip) {
          return ip.address == *address;
        })) {
      continue;
    }
    return Failure{Code::check_failed,
                   fmt::format("weftd gave {}, which prevResult does not name", address->text()),
                   {}};
  }
  return std::string();
}

}  // namespace

Success given(const ctl::Lease& lease, const NetworkConfig& config) {
  Success success;
  std::vector<Route> defaults;
  for (const auto& [address, subnet] :
       {std::pair{lease.ipv4, lease.ipv4_subnet}, std::pair{lease.ipv6, lease.ipv6_subnet}}) {
    if (!address) continue;
    InterfaceAddress ip{*address, bits(address->family()), std::nullopt, std::nullopt};
    if (subnet) {
      ip.length = subnet->prefix.length();
      ip.gateway = subnet->gateway;
    }
    success.ips.push_back(ip);
    defaults.push_back({Prefix(*address, 0), std::nullopt});
  }
  success.routes = config.delegated_routes.value_or(defaults);
  success.dns = config.dns;
  return success;
}

Program ipam_plugin() {
  return {"weft-ipam", Role::ipam, add, del, check};
}

}  // namespace weft::cni
