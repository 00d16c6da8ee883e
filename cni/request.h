// What a runtime asks of the plugin: environment variables and the network configuration on stdin,
// checked and made plain (CNI spec 1.1.0, sections 2 and 4; error codes as the reference skeleton
// gives them). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cni/result.h"
#include "cni/wishes.h"
#include "net/attachment.h"
#include "net/ip.h"
#include "net/result.h"

namespace weft::cni {

/// Longest network configuration, octets.
inline constexpr std::size_t config_limit = 1024UL * 1024;

enum class Command : std::uint8_t { add, del, check, gc, status, version };

/// Which plugin is asked: one that makes links, or one that gives addresses to such a one and finds
/// what is its own under the key `ipam` of the main plugin's configuration.
enum class Role : std::uint8_t { main, ipam };

/// The variables as they are; empty is the same as absent.
struct Environment {
  std::string command;
  std::string container;
  std::string netns;
  std::string ifname;
  std::string args;
  std::string path;
  std::string netns_override;
};

struct Sysctl {
  /// Below /proc/sys: "net/ipv4/conf/eth0/arp_notify".
  std::string path;
  std::string value;
  bool operator==(const Sysctl&) const = default;
};

struct NetworkConfig {
  /// Never empty; of `versions`.
  std::string cni_version;
  std::string name;
  /// `pool`; empty: weftd's first.
  std::string pool;
  /// `mtu`, 1280..65535; none: that of the uplinks.
  std::optional<std::uint32_t> mtu;
  /// `routes`: led through the container's gateway, beside the default routes.
  std::vector<Prefix> routes;
  /// Of weft-ipam: the main plugin makes a subnet of the address (ptp, and bridge as a gateway).
  bool needs_gateway = false;
  /// `ipam.routes`, of weft-ipam: with a gateway or through that of the address.
  std::optional<std::vector<Route>> delegated_routes;
  /// `default-route`; none: unless the container has one of the family already.
  std::optional<bool> default_route;
  /// `sysctl`, of the container's namespace; IFNAME in a name stands for the interface.
  std::vector<Sysctl> sysctls;
  /// `socket`; empty: the default.
  std::string socket;
  Dns dns;
  /// ADD and CHECK.
  Wishes wishes;
  std::optional<Success> previous;
  /// GC's list; none when the runtime sent none, which means: do nothing.
  std::optional<std::vector<Attachment>> valid_attachments;
};

struct Request {
  Command command = Command::version;
  NetworkConfig config;
  /// ADD, DEL, CHECK.
  Attachment attachment;
  /// CNI_NETNS verbatim; may be empty or gone for DEL.
  std::string netns;
  /// CNI_NETNS_OVERRIDE: the plugin's own namespace may be the container's.
  bool own_netns_allowed = false;
};

/// `input` is the whole of stdin; for VERSION, which reads none, anything.
Result<Request, Failure> parse(const Environment& environment, std::string_view input,
                               Role role = Role::main);

/// The version in which an error about `input` is to be printed: the one it names if we know it,
/// else the newest.
std::string version_for_errors(std::string_view input);

}  // namespace weft::cni
