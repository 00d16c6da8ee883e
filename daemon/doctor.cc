#include "daemon/doctor.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <sstream>
#include <string_view>
#include <utility>

namespace weft::daemon {
namespace {

using State = Finding::State;

struct Rule {
  const char* sysctl;
  enum class Want : std::uint8_t { exactly, at_least } want;
  std::int64_t value;
  /// When it is not so.
  State state;
  /// Whether weftd sets it at start; limits of the whole machine are the operator's.
  bool set;
  const char* reason;
};

constexpr std::array<Rule, 10> rules{{
    {"net.ipv4.ip_forward", Rule::Want::exactly, 1, State::wrong, true,
     "containers reach nothing outside this host"},
    {"net.ipv6.conf.all.forwarding", Rule::Want::exactly, 1, State::wrong, true,
     "containers reach nothing outside this host"},
    {"net.ipv4.conf.default.forwarding", Rule::Want::exactly, 1, State::wrong, true,
     "what containers send that come from now on is not forwarded"},
    // Layer 3 alone puts all flows between two hosts on one uplink.
    {"net.ipv4.fib_multipath_hash_policy", Rule::Want::exactly, 1, State::note, true,
     "all flows between two hosts take the same uplink"},
    {"net.ipv6.fib_multipath_hash_policy", Rule::Want::exactly, 1, State::note, true,
     "all flows between two hosts take the same uplink"},
    {"net.ipv4.nexthop_compat_mode", Rule::Want::exactly, 0, State::wrong, true,
     "failover costs a notification for each route, 1 s for a million"},
    // Only until Linux 6.3, where this bounds what the kernel holds of IPv6 destinations.
    {"net.ipv6.route.max_size", Rule::Want::at_least, 1048576, State::note, false,
     "the kernel refuses IPv6 destinations above it"},
    // One limit for all network namespaces of a machine; not there in any but the first.
    {"net.ipv4.neigh.default.gc_thresh3", Rule::Want::at_least, 8192, State::note, false,
     "beyond some 500 containers neighbours are forgotten while they are used"},
    {"net.ipv6.neigh.default.gc_thresh3", Rule::Want::at_least, 8192, State::note, false,
     "beyond some 500 containers neighbours are forgotten while they are used"},
    {"net.ipv4.conf.all.arp_ignore", Rule::Want::exactly, 0, State::note, false,
     "the router address on lo, or worse the uplinks' own, may answer no ARP request"},
}};

/// A key of TCP_MD5SIG on a socket takes this of net.core.optmem_max.
constexpr std::int64_t octets_per_key = 136;

std::optional<std::int64_t> read(const Patient& patient, std::string name) {
  std::replace(name.begin(), name.end(), '.', '/');
  std::ifstream file(patient.proc_sys / name);
  std::int64_t value = 0;
  if (!(file >> value)) return std::nullopt;
  return value;
}

/// With the dots of the interface's own name kept, as in net/ipv4/conf/eth0.100.
std::optional<std::int64_t> read_of(const Patient& patient, const std::string& interface,
                                    const char* leaf) {
  std::ifstream file(patient.proc_sys / "net/ipv4/conf" / interface / leaf);
  std::int64_t value = 0;
  if (!(file >> value)) return std::nullopt;
  return value;
}

/// sysctl(8) takes a slash for a dot within a name.
std::string name_of(const std::string& interface, const char* leaf) {
  std::string escaped = interface;
  std::replace(escaped.begin(), escaped.end(), '.', '/');
  return fmt::format("net.ipv4.conf.{}.{}", escaped, leaf);
}

std::filesystem::path path_of(const Patient& patient, std::string name) {
  for (char& c : name) {
    if (c == '.' || c == '/') c = c == '.' ? '/' : '.';
  }
  return patient.proc_sys / name;
}

Finding judged(const Patient& patient, const Rule& rule) {
  Finding finding;
  finding.subject = rule.sysctl;
  const auto value = read(patient, rule.sysctl);
  if (!value) {
    finding.message = "not there in this kernel or network namespace";
    return finding;
  }
  const bool good = rule.want == Rule::Want::exactly ? *value == rule.value : *value >= rule.value;
  finding.message = fmt::format("is {}", *value);
  if (good) return finding;
  finding.state = rule.state;
  finding.message += fmt::format(": {}", rule.reason);
  finding.command = fmt::format("sysctl -w {}={}", rule.sysctl, rule.value);
  if (rule.set) finding.set_to = rule.value;
  return finding;
}

/// Answers come back by the other uplink: strict filtering drops them. The kernel takes the greater
/// of `all` and the interface's own.
Finding rp_filter(const Patient& patient, const std::string& uplink) {
  Finding finding;
  finding.subject = name_of(uplink, "rp_filter");
  const auto own = read_of(patient, uplink, "rp_filter");
  const auto all = read(patient, "net.ipv4.conf.all.rp_filter");
  if (!own || !all) {
    finding.message = "not there";
    return finding;
  }
  const std::int64_t effective = std::max(*own, *all);
  finding.message = fmt::format("is {}", effective);
  if (effective != 1) return finding;
  if (patient.uplinks.size() < 2) {
    finding.message += ", which one uplink alone allows";
    return finding;
  }
  finding.state = State::wrong;
  finding.message += ": answers that come in by the other uplink are dropped";
  finding.command = fmt::format("sysctl -w {}=2", finding.subject);
  finding.set_to = 2;
  return finding;
}

/// With 1 for all, somebody (systemd-networkd, IPv4Forwarding=no) may have switched off one link;
/// the one that a packet comes in by counts. IPv6 knows only the one for all.
Finding forwarding(const Patient& patient, const std::string& link, std::string_view reason) {
  Finding finding;
  finding.subject = name_of(link, "forwarding");
  const auto value = read_of(patient, link, "forwarding");
  finding.message = value ? fmt::format("is {}", *value) : "not there";
  if (!value || *value != 0) return finding;
  finding.state = State::wrong;
  finding.message += fmt::format(": {}", reason);
  finding.command = fmt::format("sysctl -w {}=1", finding.subject);
  finding.set_to = 1;
  return finding;
}

/// The kernel takes the greater of `all` and the interface's own; from `too_strict` on the answer
/// that matters is not given.
Finding arp_ignore(const Patient& patient, const std::string& link, std::int64_t too_strict,
                   std::string_view reason) {
  Finding finding;
  finding.subject = name_of(link, "arp_ignore");
  const std::int64_t own = read_of(patient, link, "arp_ignore").value_or(0);
  const std::int64_t all = read(patient, "net.ipv4.conf.all.arp_ignore").value_or(0);
  finding.message = fmt::format("is {}", own);
  if (all > own) finding.message = fmt::format("is {} by that of all", all);
  if (std::max(own, all) < too_strict) return finding;
  finding.state = State::wrong;
  finding.message += fmt::format(": {}", reason);
  finding.command = "sysctl -w";
  if (own >= too_strict) finding.command += fmt::format(" {}=0", finding.subject);
  if (all >= too_strict) finding.command += " net.ipv4.conf.all.arp_ignore=0";
  return finding;
}

/// Strict or loose, a container's link has one route back; what matters is that nobody made it
/// stricter for all.
void veths(const Patient& patient, std::vector<Finding>& found) {
  for (const std::string& veth : patient.veths) {
    for (Finding finding :
         {forwarding(patient, veth, "what the container sends is not forwarded"),
          arp_ignore(patient, veth, 8, "the container cannot resolve its gateway")}) {
      if (finding.state != State::good) found.push_back(std::move(finding));
    }
  }
}

void keys(const Patient& patient, std::vector<Finding>& found) {
  const auto room = read(patient, "net.core.optmem_max");
  if (!room || patient.keys == 0) return;
  const std::int64_t needed = static_cast<std::int64_t>(patient.keys) * octets_per_key;
  Finding finding{"net.core.optmem_max", State::good, fmt::format("is {}", *room), "", {}};
  if (*room < needed) {
    const std::int64_t wanted = std::max<std::int64_t>(131072, needed * 2);
    finding.state = State::wrong;
    finding.message +=
        fmt::format(": room for {} of the {} TCP MD5 keys", *room / octets_per_key, patient.keys);
    finding.command = fmt::format("sysctl -w net.core.optmem_max={}", wanted);
  }
  found.push_back(std::move(finding));
}

void tcp_ao(const Patient& patient, std::vector<Finding>& found) {
  if (patient.ao_peers == 0) return;
  Finding finding{"TCP-AO", State::good, "this kernel has it", "", {}};
  if (!patient.has_tcp_ao) {
    finding.state = State::wrong;
    finding.message = fmt::format(
        "this kernel has none (CONFIG_TCP_AO, Linux 6.7 or later); peers that have no session "
        "because of it: {}",
        patient.ao_peers);
    finding.command = "grep CONFIG_TCP_AO= /boot/config-$(uname -r)";
  }
  found.push_back(std::move(finding));
}

void resilient_groups(const Patient& patient, std::vector<Finding>& found) {
  if (!patient.installs || !patient.resilient) return;
  Finding finding{"resilient nexthop groups", State::good, "this kernel has them", "", {}};
  if (!patient.has_resilient_groups) {
    finding.state = State::note;
    finding.message =
        "this kernel has none (Linux 5.13 or later): groups are plain in spite of "
        "fib.resilient-buckets, and flows may move when a next hop comes or goes";
    finding.command = "uname -r";
  }
  found.push_back(std::move(finding));
}

/// No packet of these reaches a socket: whoever waits for it sees silence.
constexpr std::array<SegmentDrops, 4> known_drops{{
    {"md5_missing", "TCPMD5NotFound",
     "came without the TCP MD5 signature that is asked for: a peer without a key"},
    {"md5_unexpected", "TCPMD5Unexpected",
     "came with a TCP MD5 signature that nobody asked for: a peer whose "
     "settings here have no password"},
    {"md5_wrong", "TCPMD5Failure", "came with a wrong TCP MD5 signature: a peer with another key"},
    {"ttl", "TCPMinTTLDrop",
     "came with a lower ttl than is asked for: a peer that is further away, that "
     "sends no 255, or whose kernel refuses the connection (gtsm)"},
}};

/// Names in one line, values in the next, each twice "TcpExt:".
std::map<std::string, std::uint64_t> tcp_counters(const std::filesystem::path& path) {
  std::map<std::string, std::uint64_t> counters;
  std::ifstream file(path);
  for (std::string names, values; std::getline(file, names) && std::getline(file, values);) {
    std::istringstream name_of(names);
    std::istringstream value_of(values);
    std::string name;
    std::string kind;
    std::uint64_t value = 0;
    if (!(name_of >> name) || !(value_of >> kind) || name != "TcpExt:") continue;
    while (name_of >> name && value_of >> value) counters[name] = value;
  }
  return counters;
}

/// A note, not a fault: nobody resets these counters when the cause is gone.
void dropped_segments(const Patient& patient, std::vector<Finding>& found) {
  for (const SegmentDrops& each : segment_drops(patient.root)) {
    if (each.count == 0) continue;
    found.push_back({each.counter, State::note,
                     fmt::format("{} segments were dropped since this network namespace began, "
                                 "which {}",
                                 each.count, each.meaning),
                     fmt::format("nstat -az TcpExt{}", each.counter), std::nullopt});
  }
}

std::string trimmed(std::string_view text) {
  const auto from = text.find_first_not_of(" \t\r");
  if (from == std::string_view::npos) return {};
  return std::string(text.substr(from, text.find_last_not_of(" \t\r") - from + 1));
}

/// Keys of [Network], later files over earlier ones.
void read_networkd(const std::filesystem::path& path, std::map<std::string, std::string>& keys) {
  std::ifstream file(path);
  std::string section;
  for (std::string line; std::getline(file, line);) {
    line = trimmed(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line[0] == '[') {
      section = line;
      continue;
    }
    const auto equals = line.find('=');
    if (section != "[Network]" || equals == std::string::npos) continue;
    keys[trimmed(std::string_view(line).substr(0, equals))] =
        trimmed(std::string_view(line).substr(equals + 1));
  }
}

/// systemd-networkd removes routes, since v256 nexthop objects too, that it did not make, whenever
/// it restarts (networkd.conf(5)).
Finding networkd(const Patient& patient) {
  Finding finding;
  finding.subject = "systemd-networkd";
  std::error_code ignored;
  if (!std::filesystem::exists(patient.root / "run/systemd/netif/state", ignored)) {
    finding.message = "does not run";
    return finding;
  }
  std::map<std::string, std::string> keys;
  read_networkd(patient.root / "etc/systemd/networkd.conf", keys);
  // A file of /etc hides one of the same name in /run, and that one in /usr/lib; all in the order
  // of their names.
  std::map<std::string, std::filesystem::path> drop_ins;
  for (const char* place : {"etc", "run", "usr/local/lib", "usr/lib", "lib"}) {
    const auto directory = patient.root / place / "systemd/networkd.conf.d";
    for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
      if (entry.path().extension() == ".conf")
        drop_ins.emplace(entry.path().filename().string(), entry.path());
    }
  }
  for (const auto& [name, path] : drop_ins) read_networkd(path, keys);
  std::string left;
  for (const char* key :
       {"ManageForeignRoutes", "ManageForeignRoutingPolicyRules", "ManageForeignNextHops"}) {
    const std::string& value = keys[key];
    if (value == "no" || value == "false" || value == "off" || value == "0") continue;
    left += fmt::format("{}{}", left.empty() ? "" : ", ", key);
  }
  if (left.empty()) {
    finding.message = "runs, and leaves foreign routes and nexthops alone";
    return finding;
  }
  finding.state = State::wrong;
  finding.message =
      fmt::format("runs, and removes our routes when it restarts: {} must be no", left);
  // Behind every other drop-in, for one of them may say yes.
  finding.command =
      "mkdir -p /etc/systemd/networkd.conf.d && "
      "printf '[Network]\\nManageForeignRoutes=no\\nManageForeignRoutingPolicyRules=no\\n"
      "ManageForeignNextHops=no\\n' >/etc/systemd/networkd.conf.d/zz-weft.conf && "
      "systemctl restart systemd-networkd";
  return finding;
}

}  // namespace

std::vector<SegmentDrops> segment_drops(const std::filesystem::path& root) {
  const auto counters = tcp_counters(root / "proc/net/netstat");
  std::vector<SegmentDrops> found;
  for (SegmentDrops each : known_drops) {
    const auto counter = counters.find(each.counter);
    if (counter == counters.end()) continue;
    each.count = counter->second;
    found.push_back(each);
  }
  return found;
}

std::vector<Finding> examine(const Patient& patient) {
  std::vector<Finding> found;
  for (const Rule& rule : rules) {
    if (!patient.installs && std::string_view(rule.sysctl) == "net.ipv4.nexthop_compat_mode")
      continue;
    found.push_back(judged(patient, rule));
  }
  for (const std::string& uplink : patient.uplinks) {
    found.push_back(rp_filter(patient, uplink));
    found.push_back(
        forwarding(patient, uplink, "what comes in there for containers is not forwarded"));
    found.push_back(
        arp_ignore(patient, uplink, 3, "the router does not get to know this host's MAC address"));
  }
  veths(patient, found);
  keys(patient, found);
  tcp_ao(patient, found);
  resilient_groups(patient, found);
  dropped_segments(patient, found);
  found.push_back(networkd(patient));
  return found;
}

std::vector<Finding> mend(const Patient& patient) {
  for (const Finding& finding : examine(patient)) {
    if (!finding.set_to) continue;
    std::ofstream(path_of(patient, finding.subject)) << *finding.set_to << std::flush;
  }
  std::vector<Finding> left = examine(patient);
  left.erase(std::remove_if(left.begin(), left.end(),
                            [](const Finding& f) { return f.state == State::good; }),
             left.end());
  return left;
}

}  // namespace weft::daemon
