// The control protocol of weftd: requests and replies as plain structs, one JSON object a line over
// a UNIX stream socket. Request: {"method": "...", ...}; reply: {"ok": {...}} or {"error": {"code":
// "...", "message": "..."}}. A connection carries any number of requests, answered in order. Spoken
// by weftctl and weft-cni; weftd answers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "net/address_range.h"
#include "net/attachment.h"
#include "net/ip.h"
#include "net/result.h"

namespace weft::ctl {

/// Longest line either side accepts; a longer request is answered with an error and the connection
/// closed.
inline constexpr std::size_t line_limit = 64UL * 1024;
/// Replies may be long (a full table): the client's own limit.
inline constexpr std::size_t reply_limit = 1024UL * 1024 * 1024;

// ---- what containers are known by, and what they get

/// CNI's identity of an attachment; the only key by which anything is freed.
using weft::Attachment;

/// The block an address is of, where blocks are subnets (`gateway` of a pool).
struct Subnet {
  Prefix prefix;
  Address gateway;
  bool operator==(const Subnet&) const = default;
};

/// Answer to AddRequest: all that weft-cni needs to build the veth, nothing to be looked up again.
struct Lease {
  std::optional<Address> ipv4;
  std::optional<Address> ipv6;
  /// Host end of the veth, derived from the attachment: "weft" and 11 hex digits.
  std::string host_ifname;
  /// Octets; 1280..65535.
  std::uint32_t mtu = 1500;
  /// Link alias of the host end, from which the allocation can be rebuilt:
  /// "weft:<pool>:<block>:<ordinal>:<network>…".
  std::string alias;
  /// True: this attachment held its address already (a repeated ADD).
  bool existing = false;
  /// Number of this allocation on this host; never used twice.
  std::uint64_t sequence = 0;
  /// For weft-ipam.
  std::optional<Subnet> ipv4_subnet = std::nullopt;
  std::optional<Subnet> ipv6_subnet = std::nullopt;
  bool operator==(const Lease&) const = default;
};

// ---- requests

/// CNI ADD: allocates (idempotent by attachment) and commits before it answers.
struct AddRequest {
  Attachment attachment;
  /// CNI_NETNS verbatim.
  std::string netns;
  /// Inode of the namespace, which tells a reused path from the same container.
  std::uint64_t netns_inode = 0;
  /// Pool by name; empty: the first.
  std::string pool;
  /// Network configuration's `mtu`; none: that of the uplinks.
  std::optional<std::uint32_t> mtu;
  /// The container wants just these, at most one a family.
  std::vector<Address> addresses = {};
  /// For each set, the address of its family is to lie in one of its ranges.
  std::vector<std::vector<AddressRange>> ranges = {};
  /// Of weft-ipam: another plugin makes the link.
  bool delegated = false;
  /// That plugin can do nothing with an address alone.
  bool needs_gateway = false;
  bool operator==(const AddRequest&) const = default;
};

/// CNI DEL, or the undo of an ADD: host route withdrawn, veth deleted, address freed into
/// cool-down. Unknown: success.
struct DelRequest {
  Attachment attachment;
  /// The undo of an ADD names what it undoes: another allocation of the same attachment is left
  /// alone.
  std::optional<std::uint64_t> sequence = std::nullopt;
  bool operator==(const DelRequest&) const = default;
};

/// A GC's list leaves this attachment out, but its namespace lives and has the address: weft-cni
/// has left it alone, and weftd is to say so.
struct SpareRequest {
  Attachment attachment;
  bool operator==(const SpareRequest&) const = default;
};

/// CNI CHECK: the lease weftd has on record, or the error `not-found`.
struct CheckRequest {
  Attachment attachment;
  bool operator==(const CheckRequest&) const = default;
};

struct StatusRequest {
  /// CNI STATUS: could a container of this network have an address now? Empty: not asked.
  std::string network = {};
  /// As in AddRequest.
  std::string pool = {};
  bool operator==(const StatusRequest&) const = default;
};
struct PeersRequest {
  bool operator==(const PeersRequest&) const = default;
};
/// All routes, or the candidates of one prefix, or of the route that an address takes.
struct RoutesRequest {
  std::optional<Prefix> prefix;
  std::optional<Address> address = std::nullopt;
  bool operator==(const RoutesRequest&) const = default;
};
/// What an operator does to one session.
enum class PeerVerb : std::uint8_t {
  start,
  shutdown,  ///< stays down until start, or until weftd starts anew
  reset,     ///< down and up again
  refresh,   ///< both sides' routes once more, the session stays (RFC 2918)
};
struct PeerRequest {
  /// Name or address.
  std::string peer;
  PeerVerb verb = PeerVerb::refresh;
  /// Of shutdown and reset, for the operator over there: at most 255 octets (RFC 9003).
  std::string message;
  bool operator==(const PeerRequest&) const = default;
};

struct BlocksRequest {
  bool operator==(const BlocksRequest&) const = default;
};
struct ContainersRequest {
  bool operator==(const ContainersRequest&) const = default;
};
/// Policies and how often their rules were met.
struct PoliciesRequest {
  bool operator==(const PoliciesRequest&) const = default;
};

/// Asks everybody to use another way than this node, or to come back (RFC 8326).
struct DrainRequest {
  bool on = true;
  /// At most 255 octets; for people.
  std::string text;
  bool operator==(const DrainRequest&) const = default;
};

/// Aggregates and how many routes contribute to each.
struct AggregatesRequest {
  bool operator==(const AggregatesRequest&) const = default;
};

/// Monitoring stations.
struct BmpRequest {
  bool operator==(const BmpRequest&) const = default;
};

/// Compares RIB, wanted routes and a fresh dump of the kernel.
struct FibCheckRequest {
  /// Lets an audit mend what differs, and looks again.
  bool repair = false;
  bool operator==(const FibCheckRequest&) const = default;
};

/// What weft needs of the host it runs on.
struct DoctorRequest {
  bool operator==(const DoctorRequest&) const = default;
};

/// Every block of the shared pools that some host has claimed in the store.
struct ClaimsRequest {
  bool operator==(const ClaimsRequest&) const = default;
};
/// What records, kernel and store say differently. With `repair` it is mended: addresses without a
/// container are freed, containers without a record are recorded, links of nobody are removed,
/// routes are put back.
struct IpamCheckRequest {
  bool repair = false;
  bool operator==(const IpamCheckRequest&) const = default;
};
/// An address that another IPAM plugin gave out.
struct AddressInUse {
  Address address;
  std::string container;
  std::string ifname;
  bool operator==(const AddressInUse&) const = default;
};
/// Takes addresses over that another IPAM plugin gave to containers of `network`. All or none: one
/// that does not fit keeps the others from being taken over.
struct ImportRequest {
  std::string network;
  std::vector<AddressInUse> addresses;
  /// Says what would be, and does nothing.
  bool dry_run = false;
  bool operator==(const ImportRequest&) const = default;
};
/// Gives up another host's block for it, because that host is gone. Refused when BGP shows the
/// block or the store has another revision than `revision`.
struct ReleaseBlockRequest {
  std::string pool;
  std::uint32_t index = 0;
  std::uint64_t revision = 0;
  bool operator==(const ReleaseBlockRequest&) const = default;
};

/// Whether the paths to peers work (RFC 5880).
struct BfdRequest {
  bool operator==(const BfdRequest&) const = default;
};

/// Longest time of a lease: a year.
inline constexpr std::chrono::seconds longest_announcement{365LL * 86400};

/// Announces a prefix of this node for a local client. Repeated: renews it, and changes what it is
/// announced with.
struct AnnounceRequest {
  Prefix prefix;
  /// "65001:100", "65001:1:2", "no-export", …
  std::vector<std::string> communities;
  std::optional<std::uint32_t> med;
  /// 1..longest_announcement; none: until withdrawn.
  std::optional<std::uint32_t> ttl_seconds;
  /// As long as this connection lives.
  bool hold = false;
  bool operator==(const AnnounceRequest&) const = default;
};
/// Ends what AnnounceRequest began on this connection or without one; `force`: on any.
struct WithdrawRequest {
  Prefix prefix;
  bool force = false;
  bool operator==(const WithdrawRequest&) const = default;
};
struct AnnouncementsRequest {
  bool operator==(const AnnouncementsRequest&) const = default;
};
/// Begins an MRT dump of the tables, or asks for the next records of one.
struct MrtRequest {
  std::optional<std::uint64_t> dump;
  bool operator==(const MrtRequest&) const = default;
};

using Request =
    std::variant<AddRequest, DelRequest, SpareRequest, CheckRequest, StatusRequest, PeersRequest,
                 RoutesRequest, PeerRequest, BlocksRequest, ContainersRequest, PoliciesRequest,
                 DrainRequest, FibCheckRequest, DoctorRequest, ClaimsRequest, IpamCheckRequest,
                 ImportRequest, ReleaseBlockRequest, BfdRequest, AnnounceRequest, WithdrawRequest,
                 AnnouncementsRequest, MrtRequest, BmpRequest, AggregatesRequest>;

// ---- replies

struct Done {
  bool operator==(const Done&) const = default;
};

struct Status {
  std::string version;
  std::string node;
  std::uint32_t asn = 0;
  std::string router_id;
  std::chrono::seconds uptime{0};
  /// Peers in Established, and all.
  std::uint32_t peers_established = 0;
  std::uint32_t peers = 0;
  /// Routes in the Loc-RIB and in the kernel, by family name.
  std::map<std::string, std::uint64_t> rib_routes;
  std::map<std::string, std::uint64_t> fib_routes;
  /// Routes wanted in the kernel and not there (yet).
  std::uint64_t fib_pending = 0;
  std::uint32_t blocks = 0;
  std::uint32_t containers = 0;
  std::uint64_t addresses_free = 0;
  /// Peers are asked to use another way (RFC 8326); and why, in the operator's words.
  bool draining = false;
  std::string drain_text;
  /// weftd has restarted and waits for its peers' routes before it chooses (RFC 4724 4.1).
  bool restarting = false;
  /// Paths of all peers, and how many there may be (bgp.path-limit); 0: any.
  std::uint64_t paths = 0;
  std::uint32_t path_limit = 0;
  /// Why a container of the network that was asked about could not have an address; empty: it
  /// could.
  std::string cannot_give = {};
  /// What an operator should look at, one sentence each; empty is all well.
  std::vector<std::string> warnings;
  bool operator==(const Status&) const = default;
};

struct PeerFamily {
  std::string family;
  std::uint64_t received = 0;
  std::uint64_t accepted = 0;
  std::uint64_t selected = 0;
  std::uint64_t advertised = 0;
  bool end_of_rib = false;
  /// Not held because of a limit, in this session.
  std::uint64_t discarded = 0;
  bool above_limit = false;
  /// Which: "prefix-limit", "accepted-prefix-limit"; empty: none.
  std::string passed_limit = {};
  /// Not held, because bgp.path-limit was reached, in this session.
  std::uint64_t unheld = 0;
  /// Of the received: kept from a session that is over (RFC 4724).
  std::uint64_t stale = 0;
  /// Why: "restarting", "long-lived", "refreshing"; empty: nothing is stale.
  std::string stale_because = {};
  /// After this they go at the latest.
  std::chrono::seconds stale_left{0};
  bool operator==(const PeerFamily&) const = default;
};

struct Peer {
  std::string name;
  std::string description;
  std::string address;
  std::uint32_t asn = 0;
  /// "external" or "internal"
  std::string type;
  /// RFC 4271 8.2.2: Idle, Connect, Active, OpenSent, OpenConfirm, Established.
  std::string state;
  /// How long the session is up; of one that is not Established, how long there is none.
  std::chrono::seconds since{0};
  std::string router_id;
  std::string local_address;
  std::chrono::seconds hold_time{0};
  std::chrono::seconds keepalive{0};
  std::vector<std::string> capabilities;
  std::vector<PeerFamily> families;
  /// Why the last session ended or the next does not come up; empty when it never did.
  std::string last_error;
  /// How long ago that was, and a later failure that says less.
  std::optional<std::uint64_t> last_error_seconds;
  std::string last_attempt;
  std::optional<std::uint64_t> last_attempt_seconds;
  std::uint64_t messages_received = 0;
  std::uint64_t messages_sent = 0;
  std::uint64_t established_count = 0;
  /// Sessions that ended so that the peer's routes were kept.
  std::uint64_t graceful_restarts = 0;
  /// The listen range that let it in; empty: it is listed itself.
  std::string range;
  /// Its connections are signed (RFC 2385).
  bool password = false;
  /// Keys of its TCP-AO chain (RFC 5925); 0: none is asked for.
  std::uint32_t tcp_ao_keys = 0;
  std::vector<std::string> our_capabilities;
  /// Octets of the largest message either way (RFC 8654); 0: no session.
  std::uint32_t max_send = 0;
  std::uint32_t max_receive = 0;
  std::chrono::seconds connect_retry{0};
  std::chrono::seconds send_hold{0};
  /// TTL of what is sent, and the least that is taken (RFC 5082); 0: any.
  std::uint32_t ttl = 0;
  std::uint32_t least_ttl = 0;
  std::string last_sent_notification;
  std::string last_received_notification;
  std::uint64_t malformed_updates = 0;
  /// Prefixes announced with ourselves in their path, and leaked ones (RFC 9234).
  std::uint64_t looped = 0;
  std::uint64_t leaked = 0;
  /// How its connections ended: "hold_timer by us", "bad_peer_as by peer, opening".
  std::map<std::string, std::uint64_t> ends;
  /// Of the running connection.
  std::optional<std::uint64_t> rtt_microseconds;
  std::optional<std::uint32_t> mss;
  std::optional<std::uint32_t> retransmits;
  std::optional<std::uint32_t> send_queue;
  std::optional<std::uint32_t> receive_queue;
  /// RFC 4456
  bool route_reflector_client = false;
  /// Where in the kernel its routes go, unless that is the table main, and the node's metric; else
  /// 0.
  std::uint32_t table = 0;
  std::uint32_t metric = 0;
  bool operator==(const Peer&) const = default;
};

/// A listen range and how far it is used.
struct PeerRange {
  std::string name;
  std::string prefix;
  std::uint32_t peers = 0;
  std::uint32_t limit = 0;
  /// Connections refused because the range was full.
  std::uint64_t refused = 0;
  bool operator==(const PeerRange&) const = default;
};

struct Peers {
  std::vector<Peer> peers;
  std::vector<PeerRange> ranges;
  bool operator==(const Peers&) const = default;
};

struct BfdSession {
  std::string peer;
  std::string remote;
  std::string local;
  bool multihop = false;
  /// RFC 5880 4.1: AdminDown, Down, Init, Up.
  std::string state;
  std::string remote_state;
  /// Time in this state.
  std::chrono::seconds since{0};
  /// Why it was down last, as we and as the neighbour say.
  std::string diagnostic;
  std::string remote_diagnostic;
  /// As negotiated, in microseconds.
  std::uint64_t transmit_us = 0;
  std::uint64_t detection_us = 0;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  /// How often it left Up.
  std::uint64_t losses = 0;
  bool operator==(const BfdSession&) const = default;
};

struct Bfd {
  std::vector<BfdSession> sessions;
  /// Packets that belong to no session.
  std::uint64_t dropped = 0;
  bool operator==(const Bfd&) const = default;
};

struct Path {
  /// Name of the peer, or "local".
  std::string peer;
  std::string next_hop;
  /// As an operator writes it: "65001 65010", sets in braces.
  std::string as_path;
  std::string origin;
  std::optional<std::uint32_t> local_pref;
  std::optional<std::uint32_t> med;
  std::vector<std::string> communities;
  bool best = false;
  /// Shares the load with the best path.
  bool multipath = false;
  /// The rung of the decision process at which it lost; empty for the best.
  std::string lost_at;
  /// Kept from a session that is over.
  bool stale = false;
  /// RFC 7911, as the peer gave it; 0 without add-path.
  std::uint32_t path_id = 0;
  /// "65001 10.255.0.1", RFC 4271 5.1.7; empty where there is none. Of a block: whose it is.
  std::string aggregator = {};
  /// RFC 4456 8; empty where the path was not reflected.
  std::string originator_id = {};
  std::vector<std::string> cluster_list = {};
  /// The route that leads to a next hop on no connected subnet, and its MULTI_EXIT_DISC added to
  /// those on the way behind it; empty for other next hops.
  std::string resolved_through = {};
  std::optional<std::uint32_t> igp_metric = {};
  /// "10.0.0.1 dev eth1 weight 2": where that leads.
  std::vector<std::string> gateways = {};
  bool operator==(const Path&) const = default;
};

struct Route {
  std::string prefix;
  /// "bgp", "local"
  std::string source;
  /// Best first.
  std::vector<Path> paths;
  /// "10.0.0.1 dev eth1", one a member of the group.
  std::vector<std::string> next_hops;
  /// What the kernel has: "installed", "pending", "failed: …", "foreign: …", "-" (not for the
  /// kernel).
  std::string kernel;
  /// Why there is a route to just this address, where its block is one host's and its container
  /// another's; else empty.
  std::string exception = {};
  bool operator==(const Route&) const = default;
};

struct Routes {
  std::vector<Route> routes;
  bool operator==(const Routes&) const = default;
};

/// An address of one host's block that a container of another has.
struct Exception {
  /// The first of the two, if there are two.
  std::string address;
  std::string pool;
  std::string block;
  /// Of the block; empty: not known.
  std::string owner;
  /// Of the container.
  std::string host;
  /// "asked", "agreed", "refused"; "not in etcd": known to this host alone.
  std::string state;
  /// Peers it is advertised to by this host.
  std::uint32_t advertised = 0;
  bool operator==(const Exception&) const = default;
};

struct Block {
  std::string pool;
  std::uint32_t index = 0;
  std::string ipv4;
  std::string ipv6;
  /// "owned", "draining", "releasing", "lost"; "foreign": another host's, which lends of it
  std::string state;
  std::uint32_t capacity = 0;
  std::uint32_t held = 0;
  std::uint32_t cooling = 0;
  std::uint32_t free = 0;
  /// Peers it is advertised to.
  std::uint32_t advertised = 0;
  std::uint32_t reserved = 0;
  /// Free by the records, but somebody has them.
  std::uint32_t quarantined = 0;
  /// Containers of other hosts have them.
  std::uint32_t lent = 0;
  bool operator==(const Block&) const = default;
};

struct Blocks {
  std::vector<Block> blocks;
  /// Those that this host borrows or lends, and the most that it may borrow.
  std::vector<Exception> exceptions = {};
  std::uint32_t max_exceptions = 0;
  bool operator==(const Blocks&) const = default;
};

struct Container {
  Attachment attachment;
  std::string ipv4;
  std::string ipv6;
  /// Empty: another plugin made the link.
  std::string host_ifname;
  std::string netns;
  std::string pool;
  std::chrono::seconds age{0};
  /// "attached", "no-veth"; of a container whose link another plugin made, "delegated" and
  /// "no-netns"
  std::string state;
  /// Of `netns` at ADD; 0: not known.
  std::uint64_t netns_inode = 0;
  /// Of the allocation: who frees it names the one that was looked at.
  std::uint64_t sequence = 0;
  bool operator==(const Container&) const = default;
};

struct Containers {
  std::vector<Container> containers;
  bool operator==(const Containers&) const = default;
};

struct PolicyRule {
  std::string name;
  /// "accept", "reject", "next"
  std::string then;
  /// Routes that met it, each time they were asked about, since the policy last changed.
  std::uint64_t import_hits = 0;
  std::uint64_t export_hits = 0;
  bool operator==(const PolicyRule&) const = default;
};

struct Policy {
  std::string name;
  /// Names of peers.
  std::vector<std::string> import_of;
  std::vector<std::string> export_of;
  std::vector<PolicyRule> rules;
  /// Rejected because no rule matched.
  std::uint64_t import_unmatched = 0;
  std::uint64_t export_unmatched = 0;
  bool operator==(const Policy&) const = default;
};

struct Policies {
  std::vector<Policy> policies;
  bool operator==(const Policies&) const = default;
};

/// RFC 4271 9.2.2.2.
struct Aggregate {
  std::string prefix;
  /// "announced", "installing" (its blackhole is on its way to the kernel), "idle" (nothing
  /// contributes)
  std::string state;
  bool summary_only = false;
  /// Prefixes inside of it that have a route.
  std::uint64_t contributing = 0;
  /// Peers it is advertised to.
  std::uint32_t advertised = 0;
  /// Since it was announced or ceased to be, and how often that has happened.
  std::chrono::seconds age{0};
  std::uint64_t changes = 0;
  bool operator==(const Aggregate&) const = default;
};

struct Aggregates {
  std::vector<Aggregate> aggregates;
  bool operator==(const Aggregates&) const = default;
};

/// A monitoring station (RFC 7854).
struct Station {
  std::string name;
  std::string address;
  std::uint32_t port = 0;
  /// "pre-policy", "post-policy", "adj-rib-out", "loc-rib"
  std::vector<std::string> monitor;
  /// "up", "connecting", "waiting"
  std::string state;
  /// In that state.
  std::chrono::seconds age{0};
  /// Sessions it is shown now, the Loc-RIB being one.
  std::uint64_t peers = 0;
  std::uint64_t messages = 0;
  std::uint64_t octets = 0;
  /// Changes it has still to be told of; the whole table is being told, too.
  std::uint64_t pending = 0;
  bool walking = false;
  /// Connections that came up, ever.
  std::uint64_t connections = 0;
  /// Times it read too slowly for the changes to be kept: the table was told again, or peers were
  /// told down and up again.
  std::uint64_t overruns = 0;
  std::uint64_t flushes = 0;
  std::uint64_t memory = 0;
  /// Why the last connection ended or the next does not come up; empty: it never did.
  std::string last_error;
  bool operator==(const Station&) const = default;
};

struct Stations {
  std::vector<Station> stations;
  bool operator==(const Stations&) const = default;
};

/// One route or nexthop object on which RIB, wanted and kernel do not agree.
struct FibDifference {
  /// "10.0.0.0/24", "10.0.0.0/24 in table 100", "blackhole 10.64.0.0/26", "nexthop 1459617793"
  std::string subject;
  /// "missing", "different", "stale" (ours, wanted by nobody), "foreign"
  std::string difference;
  /// "10.0.0.1 dev eth1", one a next hop; of the RIB only where it is not what is wanted.
  std::vector<std::string> rib;
  std::vector<std::string> wanted;
  std::vector<std::string> kernel;
  /// Why, when weftd knows: on its way, refused, held by somebody else. Empty: it did not know.
  std::string reason;
  bool operator==(const FibDifference&) const = default;
};

struct FibCheck {
  std::uint64_t rib_routes = 0;
  std::uint64_t wanted_routes = 0;
  std::uint64_t kernel_routes = 0;
  /// Changed while the kernel was being read, and so not compared.
  std::uint64_t moving = 0;
  std::vector<FibDifference> differences;
  /// Not named, for there are too many.
  std::uint64_t more = 0;
  bool repaired = false;
  /// Differences left: of a second look when repaired.
  std::uint64_t remaining = 0;
  bool operator==(const FibCheck&) const = default;
};

struct Finding {
  /// "net.ipv4.ip_forward", "systemd-networkd"
  std::string subject;
  /// "good", "note" (works, but not as well as it could), "wrong" (packets or routes are lost by
  /// it)
  std::string state;
  std::string message;
  /// What helps, for a root shell; empty when all is well.
  std::string command;
  bool operator==(const Finding&) const = default;
};

struct Doctor {
  std::vector<Finding> findings;
  bool operator==(const Doctor&) const = default;
};

struct ClaimedBlock {
  std::string pool;
  std::uint32_t index = 0;
  std::string ipv4;
  std::string ipv6;
  std::string host;
  /// Of the store, when the block was claimed or its lease changed; names what `ipam release`
  /// means.
  std::uint64_t revision = 0;
  bool operator==(const ClaimedBlock&) const = default;
};
struct ClaimedBlocks {
  std::vector<ClaimedBlock> blocks;
  std::vector<Exception> exceptions = {};
  bool operator==(const ClaimedBlocks&) const = default;
};
struct ImportedAddress {
  std::string address;
  std::string container;
  std::string ifname;
  /// "fits", "known" (held by this container already), "refused"
  std::string verdict;
  /// Why it is refused.
  std::string reason;
  bool operator==(const ImportedAddress&) const = default;
};
struct Imported {
  std::vector<ImportedAddress> addresses;
  /// False: nothing was changed.
  bool done = false;
  bool operator==(const Imported&) const = default;
};
/// One sentence each; empty is all well.
struct Findings {
  std::vector<std::string> findings;
  bool operator==(const Findings&) const = default;
};

struct Announcement {
  std::string prefix;
  std::vector<std::string> communities;
  std::optional<std::uint32_t> med;
  /// "connection", "time", "until withdrawn", "configured"
  std::string lease;
  std::optional<std::uint64_t> expires_seconds;
  /// Peers it is advertised to.
  std::uint32_t advertised = 0;
  /// Of one that is configured: the condition that does not hold; since its conditions hold, or do
  /// not; and how often that has changed.
  std::string waits_for = {};
  std::optional<std::uint64_t> since_seconds = {};
  std::uint64_t changes = 0;
  bool operator==(const Announcement&) const = default;
};

struct Announcements {
  std::vector<Announcement> announcements;
  bool operator==(const Announcements&) const = default;
};

/// A part of an MRT file (RFC 6396).
struct MrtRecords {
  /// To be named in the next MrtRequest.
  std::uint64_t dump = 0;
  /// In base64; may be empty before the end.
  std::string records;
  bool done = false;
  /// So far.
  std::uint64_t routes = 0;
  std::uint64_t paths = 0;
  bool operator==(const MrtRecords&) const = default;
};

/// Codes a program may act on; the message is for people.
enum class ErrorCode : std::uint8_t {
  bad_request,  ///< not JSON, unknown method, wrong or missing field
  not_found,    ///< no such attachment, pool
  exhausted,    ///< no free address now; may pass
  busy,         ///< not ready yet (starting, stopping); try again later
  internal,     ///< weftd could not do it; the message says what failed
};

struct Failure {
  ErrorCode code = ErrorCode::internal;
  std::string message;
  bool operator==(const Failure&) const = default;
};

using Reply = std::variant<Failure, Done, Lease, Status, Peers, Routes, Blocks, Containers,
                           Policies, FibCheck, Doctor, ClaimedBlocks, Imported, Findings, Bfd,
                           Announcements, MrtRecords, Stations, Aggregates>;

/// One line of JSON without the newline.
std::string encode(const Request& request);
std::string encode(const Reply& reply);

/// The error is a sentence naming the field; unknown fields are refused.
Result<Request, Failure> decode_request(std::string_view line);
/// `request` says which reply is due. Unknown fields are ignored: weftd may be newer than its
/// clients.
Result<Reply> decode_reply(std::string_view line, const Request& request);

/// "shutdown", … as on the wire.
std::string_view name(PeerVerb verb);
/// "not-found", … as on the wire.
std::string_view name(ErrorCode code);

}  // namespace weft::ctl
