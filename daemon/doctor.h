// Doctor: what weft needs of the host it runs on, looked at now: sysctls, uplinks, who else manages
// routes. Every finding that is not well says why and has the exact command. mend() sets what may
// be set at start; nothing else here changes anything. Not here: containers' links (ipam, cni).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace weft::daemon {

struct Finding {
  enum class State : std::uint8_t {
    good,
    note,   ///< works, but not as well as it could
    wrong,  ///< packets or routes are lost by it
  };
  /// "net.ipv4.ip_forward", "systemd-networkd"
  std::string subject;
  State state = State::good;
  /// What is, and why it matters; a sentence without its full stop.
  std::string message;
  /// What helps, for a root shell; empty when all is well.
  std::string command;
  /// What mend() writes into the sysctl `subject`; none: left to the operator.
  std::optional<std::int64_t> set_to;
};

/// What the host is to weft.
struct Patient {
  /// Interfaces over which peers are reached.
  std::vector<std::string> uplinks;
  /// Host ends of containers' links.
  std::vector<std::string> veths;
  /// weft writes kernel routes.
  bool installs = true;
  /// Peers with a TCP MD5 key; each costs the listening socket room of net.core.optmem_max.
  std::size_t keys = 0;
  /// Peers that ask for TCP-AO, and whether the kernel has it.
  std::size_t ao_peers = 0;
  bool has_tcp_ao = true;
  /// fib.resilient-buckets is set, and whether the kernel has such groups.
  bool resilient = false;
  bool has_resilient_groups = true;
  /// Tests look elsewhere.
  std::filesystem::path proc_sys = "/proc/sys";
  std::filesystem::path root = "/";
};

/// TCP segments that the kernel dropped for a cause that weft's settings know, since the network
/// namespace began.
struct SegmentDrops {
  /// "md5_missing"
  const char* cause = "";
  /// The kernel's name of it, in /proc/net/netstat.
  const char* counter = "";
  /// "came with a wrong TCP MD5 signature: …"
  const char* meaning = "";
  std::uint64_t count = 0;
};
/// All causes that the kernel counts; those it does not know are left out.
std::vector<SegmentDrops> segment_drops(const std::filesystem::path& root);

/// Everything that was looked at, the good too.
std::vector<Finding> examine(const Patient& patient);
/// Sets what set_to says; the findings that are left, freshly looked at.
std::vector<Finding> mend(const Patient& patient);

}  // namespace weft::daemon
