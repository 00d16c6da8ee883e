#include "cni/plugin.h"

#include <fmt/format.h>

#include <algorithm>

#include "cni/attach.h"
#include "cni/weftd.h"
#include "net/veth.h"

namespace weft::cni {

namespace {

Wiring wiring_of(const Request& request, const ctl::Lease& lease) {
  const NetworkConfig& config = request.config;
  Wiring wiring;
  wiring.attachment = request.attachment;
  wiring.mac = config.wishes.mac.value_or(container_mac(request.attachment));
  wiring.ipv4 = lease.ipv4;
  wiring.ipv6 = lease.ipv6;
  wiring.host_ifname = lease.host_ifname;
  wiring.mtu = lease.mtu;
  wiring.alias = lease.alias;
  wiring.sequence = lease.sequence;
  wiring.routes = config.routes;
  wiring.sysctls = config.sysctls;
  wiring.ingress = config.wishes.ingress;
  wiring.egress = config.wishes.egress;
  return wiring;
}

/// eth0 before eth1, net2 before net10.
bool comes_before(const std::string& ifname, const std::string& other) {
  return std::pair(ifname.size(), ifname) < std::pair(other.size(), other);
}

/// Where the network does not say, the interface of weft's that is first by its name has the
/// default route: some runtimes attach in no order.
Result<void, Failure> choose_default(const Request& request, Ends& ends, Family family,
                                     Wiring& wiring) {
  const bool is_v4 = family == Family::ipv4;
  DefaultRoute& chosen = is_v4 ? wiring.default_ipv4 : wiring.default_ipv6;
  const std::optional<bool>& wanted = request.config.default_route;
  if (!wanted.value_or(true)) {
    chosen = ends.is_one() ? DefaultRoute::of_the_host : DefaultRoute::never;
    return {};
  }
  if (!(is_v4 ? wiring.ipv4 : wiring.ipv6)) return {};
  if (ends.is_one() && !wanted) {
    chosen = DefaultRoute::of_the_host;
    return {};
  }
  const std::string& ifname = request.attachment.ifname;
  const auto holder = ends.default_holder(family, ifname);
  if (!holder) return holder.error();
  if (!*holder) return {};
  if ((*holder)->is_ours && (wanted || comes_before(ifname, (*holder)->ifname))) {
    (is_v4 ? wiring.former_ipv4 : wiring.former_ipv6) = **holder;
  } else if (!wanted) {
    chosen = DefaultRoute::spare;
  }
  return {};
}

Result<void, Failure> choose_defaults(const Request& request, Ends& ends, Wiring& wiring) {
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    auto chosen = choose_default(request, ends, family, wiring);
    if (!chosen) return chosen;
  }
  return {};
}

Result<std::string, Failure> add(const Request& request, const Weftd& weftd) {
  auto ends = Ends::open(request.netns, request.own_netns_allowed);
  if (!ends) return ends.error();
  const auto absent = ends->check_absent(request.attachment.ifname);
  if (!absent) return absent.error();
  const auto lease = weftd.ask<ctl::Lease>(ctl::AddRequest{
      request.attachment, request.netns, ends->netns_inode(), request.config.pool,
      request.config.mtu, request.config.wishes.addresses, request.config.wishes.ranges});
  if (!lease) return lease.error();
  Wiring wiring = wiring_of(request, *lease);
  auto attached = choose_defaults(request, *ends, wiring);
  if (attached) attached = ends->attach(wiring);
  if (attached) {
    return encode(described(wiring, request.netns, request.config.dns), request.config.cni_version);
  }
  // With two ADDs of one attachment, the lease may be in use by the other: by the one that had it
  // first, or by one that has wired the container meanwhile. Left, it goes with the runtime's DEL.
  if (!lease->existing && ends->check_absent(request.attachment.ifname)) {
    const auto freed = weftd.ask<ctl::Done>(ctl::DelRequest{request.attachment, lease->sequence});
    if (!freed) {
      warn(fmt::format("the address is left to weftd's audit: {}", freed.error().message));
    }
  }
  return attached.error();
}

/// Without weftd: the veth goes, its address follows at weftd's next audits.
Result<std::string, Failure> remove_by_name(const Attachment& attachment) {
  auto host = netlink::Socket::open();
  if (!host) return Failure{Code::internal, host.error().message, {}};
  const auto deleted = delete_host_veth(*host, host_ifname(attachment));
  if (!deleted) {
    return Failure{Code::internal,
                   fmt::format("deleting {}: {}", host_ifname(attachment), deleted.error().message),
                   {}};
  }
  return std::string();
}

Result<std::string, Failure> del(const Request& request, const Weftd& weftd) {
  const auto done = weftd.ask<ctl::Done>(ctl::DelRequest{request.attachment, std::nullopt});
  if (done) return std::string();
  warn(fmt::format("{}; deleting {} without weftd, which frees the address at its next audits",
                   done.error().message, host_ifname(request.attachment)));
  return remove_by_name(request.attachment);
}

/// What was decided at ADD, as ADD told it: by now the container may have other interfaces.
void recall(const Success& previous, Wiring& wiring) {
  const auto place = [&](Family family) {
    const bool held =
        std::any_of(previous.routes.begin(), previous.routes.end(), [&](const Route& route) {
          return route.destination == Prefix(gateway(family), 0) &&
                 route.gateway == gateway(family);
        });
    return held ? DefaultRoute::held : DefaultRoute::never;
  };
  wiring.default_ipv4 = place(Family::ipv4);
  wiring.default_ipv6 = place(Family::ipv6);
  for (const Interface& interface : previous.interfaces) {
    if (interface.name != wiring.attachment.ifname || interface.sandbox.empty()) continue;
    if (const auto mac = parse_mac(interface.mac)) wiring.mac = *mac;
  }
}

/// What ADD printed must still name what is on record.
Result<void, Failure> check_previous(const Success& previous, const Wiring& wiring) {
  const auto lists = [&](const Address& address) {
    return std::any_of(previous.ips.begin(), previous.ips.end(),
                       [&](const InterfaceAddress& ip) { return ip.address == address; });
  };
  const bool has_interface = std::any_of(
      previous.interfaces.begin(), previous.interfaces.end(),
      [&](const Interface& i) { return i.name == wiring.attachment.ifname && !i.sandbox.empty(); });
  if (!has_interface) {
    return Failure{Code::check_failed,
                   fmt::format("prevResult has no interface {}", wiring.attachment.ifname),
                   {}};
  }
  for (const auto& address : {wiring.ipv4, wiring.ipv6}) {
    if (address && !lists(*address)) {
      return Failure{Code::check_failed,
                     fmt::format("weftd gave {}, which prevResult does not name", address->text()),
                     {}};
    }
  }
  return {};
}

Result<std::string, Failure> check(const Request& request, const Weftd& weftd) {
  auto ends = Ends::open(request.netns, request.own_netns_allowed);
  if (!ends) return ends.error();
  const auto lease = weftd.ask<ctl::Lease>(ctl::CheckRequest{request.attachment});
  if (!lease) return lease.error();
  Wiring wiring = wiring_of(request, *lease);
  recall(*request.config.previous, wiring);
  const auto named = check_previous(*request.config.previous, wiring);
  if (!named) return named.error();
  const auto good = ends->verify(wiring);
  if (!good) return good.error();
  return std::string();
}

}  // namespace

Program plugin() {
  return {"weft", Role::main, add, del, check};
}

}  // namespace weft::cni
