#include "cni/plugin.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "cni/attach.h"
#include "cni/install.h"
#include "ctl/client.h"
#include "net/veth.h"

namespace weft::cni {

namespace {

/// Runtimes wait for minutes; a weftd that takes longer than this is not going to answer.
constexpr std::chrono::seconds patience{10};

/// weftd, as one request of the plugin sees it.
class Weftd {
 public:
  Weftd(const Request& request, const std::string& socket)
      : socket_(!socket.empty()                  ? socket
                : !request.config.socket.empty() ? request.config.socket
                                                 : ctl::default_socket) {}

  [[nodiscard]] Result<ctl::Reply, ctl::ClientError> call(const ctl::Request& request) const {
    return ctl::call(socket_, request, patience);
  }

 private:
  std::string socket_;
};

Failure not_reached(const ctl::ClientError& error) {
  const bool passing = error.kind != ctl::ClientError::Kind::garbled;
  return {passing ? Code::try_again_later : Code::internal, error.message, {}};
}

Failure refusal(const ctl::Failure& failure) {
  switch (failure.code) {
    case ctl::ErrorCode::busy:
    case ctl::ErrorCode::exhausted:
      return {Code::try_again_later, failure.message, {}};
    case ctl::ErrorCode::bad_request:
    case ctl::ErrorCode::not_found:
      return {Code::invalid_config, failure.message, {}};
    case ctl::ErrorCode::internal:
      break;
  }
  return {Code::internal, failure.message, {}};
}

/// The reply of the kind that was due, or why there is none.
template <typename T>
Result<T, Failure> expect(Result<ctl::Reply, ctl::ClientError> reply) {
  if (!reply) return not_reached(reply.error());
  if (const auto* failure = std::get_if<ctl::Failure>(&*reply)) return refusal(*failure);
  if (auto* due = std::get_if<T>(&*reply)) return std::move(*due);
  return Failure{Code::internal, "weftd answered something else than was asked", {}};
}

void warn(std::string_view text) {
  fmt::print(stderr, "weft-cni: {}\n", text);
}

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

/// Where the network does not say, the first interface of a container has the default routes.
Result<void, Failure> choose_defaults(const Request& request, Ends& ends, Wiring& wiring) {
  for (const auto& [family, chosen] : {std::pair{Family::ipv4, &Wiring::default_ipv4},
                                       std::pair{Family::ipv6, &Wiring::default_ipv6}}) {
    if (request.config.default_route) {
      wiring.*chosen = *request.config.default_route;
    } else if (family == Family::ipv4 ? wiring.ipv4.has_value() : wiring.ipv6.has_value()) {
      const auto other = ends.has_default_route(family, request.attachment.ifname);
      if (!other) return other.error();
      wiring.*chosen = !*other;
    }
  }
  return {};
}

Result<std::string, Failure> add(const Request& request, const Weftd& weftd) {
  auto ends = Ends::open(request.netns, request.own_netns_allowed);
  if (!ends) return ends.error();
  const auto absent = ends->check_absent(request.attachment.ifname);
  if (!absent) return absent.error();
  const auto lease = expect<ctl::Lease>(weftd.call(ctl::AddRequest{
      request.attachment, request.netns, ends->netns_inode(), request.config.pool,
      request.config.mtu, request.config.wishes.addresses, request.config.wishes.ranges}));
  if (!lease) return lease.error();
  Wiring wiring = wiring_of(request, *lease);
  auto attached = choose_defaults(request, *ends, wiring);
  if (attached) attached = ends->attach(wiring);
  if (attached) {
    return encode(described(wiring, request.netns, request.config.dns), request.config.cni_version);
  }
  // A lease that was there before belongs to the ADD that got it, which may have wired the
  // container by now.
  if (!lease->existing || ends->check_absent(request.attachment.ifname)) {
    const auto freed =
        expect<ctl::Done>(weftd.call(ctl::DelRequest{request.attachment, lease->sequence}));
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
  const auto done =
      expect<ctl::Done>(weftd.call(ctl::DelRequest{request.attachment, std::nullopt}));
  if (done) return std::string();
  warn(fmt::format("{}; deleting {} without weftd, which frees the address at its next audits",
                   done.error().message, host_ifname(request.attachment)));
  return remove_by_name(request.attachment);
}

/// What was decided at ADD, as ADD told it: by now the container may have other interfaces.
void recall(const Success& previous, Wiring& wiring) {
  const auto has = [&](Family family) {
    return std::any_of(previous.routes.begin(), previous.routes.end(), [&](const Route& route) {
      return route.destination == Prefix(gateway(family), 0) && route.gateway == gateway(family);
    });
  };
  wiring.default_ipv4 = has(Family::ipv4);
  wiring.default_ipv6 = has(Family::ipv6);
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
  auto reply = weftd.call(ctl::CheckRequest{request.attachment});
  if (reply) {
    const auto* failure = std::get_if<ctl::Failure>(&*reply);
    if (failure != nullptr && failure->code == ctl::ErrorCode::not_found) {
      return Failure{Code::check_failed, "weftd has no address on record for this container", {}};
    }
  }
  const auto lease = expect<ctl::Lease>(std::move(reply));
  if (!lease) return lease.error();
  Wiring wiring = wiring_of(request, *lease);
  recall(*request.config.previous, wiring);
  const auto named = check_previous(*request.config.previous, wiring);
  if (!named) return named.error();
  const auto good = ends->verify(wiring);
  if (!good) return good.error();
  return std::string();
}

/// Every container of the network that the runtime no longer knows, one DEL each; errors do not
/// stop the rest.
Result<std::string, Failure> gc(const Request& request, const Weftd& weftd) {
  if (!request.config.valid_attachments) return std::string();
  const auto& valid = *request.config.valid_attachments;
  const auto containers = expect<ctl::Containers>(weftd.call(ctl::ContainersRequest{}));
  if (!containers) return containers.error();
  std::vector<std::string> failures;
  for (const ctl::Container& container : containers->containers) {
    const Attachment& attachment = container.attachment;
    if (attachment.network != request.config.name ||
        std::find(valid.begin(), valid.end(), attachment) != valid.end()) {
      continue;
    }
    const auto done = expect<ctl::Done>(weftd.call(ctl::DelRequest{attachment, std::nullopt}));
    if (!done) {
      failures.push_back(
          fmt::format("{} {}: {}", attachment.container, attachment.ifname, done.error().message));
    }
  }
  if (failures.empty()) return std::string();
  return Failure{Code::internal,
                 fmt::format("{} stale containers could not be removed", failures.size()),
                 fmt::format("{}", fmt::join(failures, "; "))};
}

Result<std::string, Failure> status(const Weftd& weftd) {
  const auto status = expect<ctl::Status>(weftd.call(ctl::StatusRequest{}));
  if (!status) return Failure{Code::not_available, status.error().message, {}};
  const std::string reason = not_ready(*status);
  if (reason.empty()) return std::string();
  const bool all_are_cut_off = status->peers != 0 && status->peers_established == 0;
  return Failure{all_are_cut_off ? Code::limited_connectivity : Code::not_available, reason,
                 fmt::format("{}", fmt::join(status->warnings, "; "))};
}

}  // namespace

Result<std::string, Failure> serve(const Request& request, const std::string& socket) {
  const Weftd weftd(request, socket);
  switch (request.command) {
    case Command::add:
      return add(request, weftd);
    case Command::del:
      return del(request, weftd);
    case Command::check:
      return check(request, weftd);
    case Command::gc:
      return gc(request, weftd);
    case Command::status:
      return status(weftd);
    case Command::version:
      break;
  }
  return version_text();
}

}  // namespace weft::cni
