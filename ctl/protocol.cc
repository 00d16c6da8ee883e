#include "ctl/protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <type_traits>
#include <utility>

namespace weft::ctl {
namespace {

using Json = nlohmann::json;

/// What a value from outside may be: octets of a text, or the number itself.
struct Limit {
  std::uint64_t least = 0;
  std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
};

/// One member of a struct and its name on the wire. Encoder and decoder walk the same tables.
template <typename Struct, typename Member>
struct Field {
  const char* name;
  Member Struct::*member;
  Limit limit = {};
  /// May be left out; std::optional members always may.
  bool optional = false;
};
template <typename Struct, typename Member>
Field(const char*, Member Struct::*) -> Field<Struct, Member>;
template <typename Struct, typename Member>
Field(const char*, Member Struct::*, Limit) -> Field<Struct, Member>;
template <typename Struct, typename Member>
Field(const char*, Member Struct::*, Limit, bool) -> Field<Struct, Member>;

/// CNI leaves the length of a container's and a network's name open; runtimes use 64 hex digits.
constexpr Limit identity_length{1, 255};
constexpr Limit ifname_length{1, 15};
constexpr Limit path_length{1, 4096};
constexpr Limit pool_length{0, 32};
constexpr Limit mtu_range{1280, 65535};
/// RFC 9003
constexpr Limit shutdown_text_length{0, 255};
constexpr Limit community_length{1, 64};
constexpr Limit ttl_range{1, static_cast<std::uint64_t>(longest_announcement.count())};

template <typename Struct>
constexpr auto fields = nullptr;

template <>
constexpr auto fields<Attachment> =
    std::tuple{Field{"network", &Attachment::network, identity_length},
               Field{"container", &Attachment::container, identity_length},
               Field{"ifname", &Attachment::ifname, ifname_length}};
template <>
constexpr auto fields<Subnet> =
    std::tuple{Field{"prefix", &Subnet::prefix}, Field{"gateway", &Subnet::gateway}};
template <>
constexpr auto fields<Lease> = std::tuple{Field{"ipv4", &Lease::ipv4},
                                          Field{"ipv6", &Lease::ipv6},
                                          Field{"host_ifname", &Lease::host_ifname, ifname_length},
                                          Field{"mtu", &Lease::mtu},
                                          Field{"alias", &Lease::alias},
                                          Field{"existing", &Lease::existing},
                                          Field{"sequence", &Lease::sequence},
                                          Field{"ipv4_subnet", &Lease::ipv4_subnet},
                                          Field{"ipv6_subnet", &Lease::ipv6_subnet}};

template <>
constexpr auto fields<AddressRange> =
    std::tuple{Field{"first", &AddressRange::first}, Field{"last", &AddressRange::last}};
template <>
constexpr auto fields<AddRequest> =
    std::tuple{Field{"attachment", &AddRequest::attachment},
               Field{"netns", &AddRequest::netns, path_length},
               Field{"netns_inode", &AddRequest::netns_inode},
               Field{"pool", &AddRequest::pool, pool_length, true},
               Field{"mtu", &AddRequest::mtu, mtu_range},
               Field{"addresses", &AddRequest::addresses, {}, true},
               Field{"ranges", &AddRequest::ranges, {}, true},
               Field{"delegated", &AddRequest::delegated, {}, true},
               Field{"needs_gateway", &AddRequest::needs_gateway, {}, true}};
template <>
constexpr auto fields<DelRequest> = std::tuple{Field{"attachment", &DelRequest::attachment},
                                               Field{"sequence", &DelRequest::sequence}};
template <>
constexpr auto fields<SpareRequest> = std::tuple{Field{"attachment", &SpareRequest::attachment}};
template <>
constexpr auto fields<CheckRequest> = std::tuple{Field{"attachment", &CheckRequest::attachment}};
template <>
constexpr auto fields<StatusRequest> =
    std::tuple{Field{"network", &StatusRequest::network, {}, true},
               Field{"pool", &StatusRequest::pool, {}, true}};
template <>
constexpr auto fields<PeersRequest> = std::tuple{};
template <>
constexpr auto fields<BfdRequest> = std::tuple{};
template <>
constexpr auto fields<RoutesRequest> =
    std::tuple{Field{"prefix", &RoutesRequest::prefix}, Field{"address", &RoutesRequest::address}};
template <>
constexpr auto fields<PeerRequest> = std::tuple{
    Field{"peer", &PeerRequest::peer, identity_length}, Field{"verb", &PeerRequest::verb},
    Field{"message", &PeerRequest::message, Limit{0, 255}, true}};
template <>
constexpr auto fields<BlocksRequest> = std::tuple{};
template <>
constexpr auto fields<ClaimsRequest> = std::tuple{};
template <>
constexpr auto fields<IpamCheckRequest> =
    std::tuple{Field{"repair", &IpamCheckRequest::repair, {}, true}};
template <>
constexpr auto fields<AddressInUse> =
    std::tuple{Field{"address", &AddressInUse::address},
               Field{"container", &AddressInUse::container, identity_length},
               Field{"ifname", &AddressInUse::ifname, ifname_length}};
template <>
constexpr auto fields<ImportRequest> =
    std::tuple{Field{"network", &ImportRequest::network, identity_length},
               Field{"addresses", &ImportRequest::addresses},
               Field{"dry_run", &ImportRequest::dry_run, {}, true}};
template <>
constexpr auto fields<ReleaseBlockRequest> = std::tuple{
    Field{"pool", &ReleaseBlockRequest::pool, Limit{1, 32}},
    Field{"index", &ReleaseBlockRequest::index}, Field{"revision", &ReleaseBlockRequest::revision}};
template <>
constexpr auto fields<ContainersRequest> = std::tuple{};
template <>
constexpr auto fields<PoliciesRequest> = std::tuple{};
template <>
constexpr auto fields<DrainRequest> = std::tuple{
    Field{"on", &DrainRequest::on}, Field{"text", &DrainRequest::text, shutdown_text_length, true}};

template <>
constexpr auto fields<AggregatesRequest> = std::tuple{};
template <>
constexpr auto fields<BmpRequest> = std::tuple{};

template <>
constexpr auto fields<FibCheckRequest> =
    std::tuple{Field{"repair", &FibCheckRequest::repair, {}, true}};

template <>
constexpr auto fields<DoctorRequest> = std::tuple{};

template <>
constexpr auto fields<AnnounceRequest> =
    std::tuple{Field{"prefix", &AnnounceRequest::prefix},
               Field{"communities", &AnnounceRequest::communities, community_length, true},
               Field{"med", &AnnounceRequest::med},
               Field{"ttl_seconds", &AnnounceRequest::ttl_seconds, ttl_range},
               Field{"hold", &AnnounceRequest::hold, {}, true}};
template <>
constexpr auto fields<WithdrawRequest> = std::tuple{
    Field{"prefix", &WithdrawRequest::prefix}, Field{"force", &WithdrawRequest::force, {}, true}};
template <>
constexpr auto fields<AnnouncementsRequest> = std::tuple{};
template <>
constexpr auto fields<MrtRequest> = std::tuple{Field{"dump", &MrtRequest::dump}};

template <>
constexpr auto fields<Done> = std::tuple{};
template <>
constexpr auto fields<Status> = std::tuple{Field{"version", &Status::version},
                                           Field{"node", &Status::node},
                                           Field{"asn", &Status::asn},
                                           Field{"router_id", &Status::router_id},
                                           Field{"uptime_seconds", &Status::uptime},
                                           Field{"peers_established", &Status::peers_established},
                                           Field{"peers", &Status::peers},
                                           Field{"rib_routes", &Status::rib_routes},
                                           Field{"fib_routes", &Status::fib_routes},
                                           Field{"fib_pending", &Status::fib_pending},
                                           Field{"blocks", &Status::blocks},
                                           Field{"containers", &Status::containers},
                                           Field{"addresses_free", &Status::addresses_free},
                                           Field{"draining", &Status::draining, {}, true},
                                           Field{"drain_text", &Status::drain_text, {}, true},
                                           Field{"restarting", &Status::restarting, {}, true},
                                           Field{"paths", &Status::paths, {}, true},
                                           Field{"path_limit", &Status::path_limit, {}, true},
                                           Field{"cannot_give", &Status::cannot_give, {}, true},
                                           Field{"warnings", &Status::warnings}};
template <>
constexpr auto fields<PeerFamily> =
    std::tuple{Field{"family", &PeerFamily::family},
               Field{"received", &PeerFamily::received},
               Field{"accepted", &PeerFamily::accepted},
               Field{"selected", &PeerFamily::selected},
               Field{"advertised", &PeerFamily::advertised},
               Field{"end_of_rib", &PeerFamily::end_of_rib},
               Field{"discarded", &PeerFamily::discarded},
               Field{"above_limit", &PeerFamily::above_limit},
               Field{"passed_limit", &PeerFamily::passed_limit, {}, true},
               Field{"unheld", &PeerFamily::unheld, {}, true},
               Field{"stale", &PeerFamily::stale, {}, true},
               Field{"stale_because", &PeerFamily::stale_because, {}, true},
               Field{"stale_left_seconds", &PeerFamily::stale_left, {}, true}};
template <>
constexpr auto fields<Peer> =
    std::tuple{Field{"name", &Peer::name},
               Field{"description", &Peer::description},
               Field{"address", &Peer::address},
               Field{"asn", &Peer::asn},
               Field{"type", &Peer::type},
               Field{"state", &Peer::state},
               Field{"since_seconds", &Peer::since},
               Field{"router_id", &Peer::router_id},
               Field{"local_address", &Peer::local_address},
               Field{"hold_time_seconds", &Peer::hold_time},
               Field{"keepalive_seconds", &Peer::keepalive},
               Field{"capabilities", &Peer::capabilities},
               Field{"families", &Peer::families},
               Field{"last_error", &Peer::last_error},
               Field{"last_error_seconds", &Peer::last_error_seconds},
               Field{"last_attempt", &Peer::last_attempt, {}, true},
               Field{"last_attempt_seconds", &Peer::last_attempt_seconds},
               Field{"messages_received", &Peer::messages_received},
               Field{"messages_sent", &Peer::messages_sent},
               Field{"established_count", &Peer::established_count},
               Field{"graceful_restarts", &Peer::graceful_restarts, {}, true},
               Field{"range", &Peer::range, {}, true},
               Field{"password", &Peer::password, {}, true},
               Field{"tcp_ao_keys", &Peer::tcp_ao_keys, {}, true},
               Field{"our_capabilities", &Peer::our_capabilities, {}, true},
               Field{"max_send", &Peer::max_send, {}, true},
               Field{"max_receive", &Peer::max_receive, {}, true},
               Field{"connect_retry_seconds", &Peer::connect_retry, {}, true},
               Field{"send_hold_seconds", &Peer::send_hold, {}, true},
               Field{"ttl", &Peer::ttl, {}, true},
               Field{"least_ttl", &Peer::least_ttl, {}, true},
               Field{"last_sent_notification", &Peer::last_sent_notification, {}, true},
               Field{"last_received_notification", &Peer::last_received_notification, {}, true},
               Field{"malformed_updates", &Peer::malformed_updates, {}, true},
               Field{"looped", &Peer::looped, {}, true},
               Field{"leaked", &Peer::leaked, {}, true},
               Field{"ends", &Peer::ends, {}, true},
               Field{"rtt_microseconds", &Peer::rtt_microseconds},
               Field{"mss", &Peer::mss},
               Field{"retransmits", &Peer::retransmits},
               Field{"send_queue", &Peer::send_queue},
               Field{"receive_queue", &Peer::receive_queue},
               Field{"route_reflector_client", &Peer::route_reflector_client, {}, true},
               Field{"table", &Peer::table, {}, true},
               Field{"metric", &Peer::metric, {}, true}};
template <>
constexpr auto fields<PeerRange> =
    std::tuple{Field{"name", &PeerRange::name}, Field{"prefix", &PeerRange::prefix},
               Field{"peers", &PeerRange::peers}, Field{"limit", &PeerRange::limit},
               Field{"refused", &PeerRange::refused}};
template <>
constexpr auto fields<BfdSession> =
    std::tuple{Field{"peer", &BfdSession::peer},
               Field{"remote", &BfdSession::remote},
               Field{"local", &BfdSession::local},
               Field{"multihop", &BfdSession::multihop},
               Field{"state", &BfdSession::state},
               Field{"remote_state", &BfdSession::remote_state},
               Field{"since_seconds", &BfdSession::since},
               Field{"diagnostic", &BfdSession::diagnostic},
               Field{"remote_diagnostic", &BfdSession::remote_diagnostic},
               Field{"transmit_us", &BfdSession::transmit_us},
               Field{"detection_us", &BfdSession::detection_us},
               Field{"sent", &BfdSession::sent},
               Field{"received", &BfdSession::received},
               Field{"losses", &BfdSession::losses}};
template <>
constexpr auto fields<Bfd> =
    std::tuple{Field{"sessions", &Bfd::sessions}, Field{"dropped", &Bfd::dropped}};
template <>
constexpr auto fields<Peers> =
    std::tuple{Field{"peers", &Peers::peers}, Field{"ranges", &Peers::ranges, {}, true}};
template <>
constexpr auto fields<Path> =
    std::tuple{Field{"peer", &Path::peer},
               Field{"path_id", &Path::path_id},
               Field{"next_hop", &Path::next_hop},
               Field{"as_path", &Path::as_path},
               Field{"origin", &Path::origin},
               Field{"local_pref", &Path::local_pref},
               Field{"med", &Path::med},
               Field{"communities", &Path::communities},
               Field{"aggregator", &Path::aggregator, {}, true},
               Field{"originator_id", &Path::originator_id},
               Field{"cluster_list", &Path::cluster_list},
               Field{"best", &Path::best},
               Field{"multipath", &Path::multipath},
               Field{"lost_at", &Path::lost_at},
               Field{"stale", &Path::stale, {}, true},
               Field{"resolved_through", &Path::resolved_through, {}, true},
               Field{"igp_metric", &Path::igp_metric},
               Field{"gateways", &Path::gateways, {}, true}};
template <>
constexpr auto fields<Route> =
    std::tuple{Field{"prefix", &Route::prefix}, Field{"source", &Route::source},
               Field{"paths", &Route::paths},   Field{"next_hops", &Route::next_hops},
               Field{"kernel", &Route::kernel}, Field{"exception", &Route::exception, {}, true}};
template <>
constexpr auto fields<Routes> = std::tuple{Field{"routes", &Routes::routes}};
template <>
constexpr auto fields<Exception> = std::tuple{Field{"address", &Exception::address},
                                              Field{"pool", &Exception::pool},
                                              Field{"block", &Exception::block},
                                              Field{"owner", &Exception::owner},
                                              Field{"host", &Exception::host},
                                              Field{"state", &Exception::state},
                                              Field{"advertised", &Exception::advertised}};
template <>
constexpr auto fields<Block> = std::tuple{Field{"pool", &Block::pool},
                                          Field{"index", &Block::index},
                                          Field{"ipv4", &Block::ipv4},
                                          Field{"ipv6", &Block::ipv6},
                                          Field{"state", &Block::state},
                                          Field{"capacity", &Block::capacity},
                                          Field{"held", &Block::held},
                                          Field{"cooling", &Block::cooling},
                                          Field{"free", &Block::free},
                                          Field{"advertised", &Block::advertised},
                                          Field{"reserved", &Block::reserved, {}, true},
                                          Field{"quarantined", &Block::quarantined, {}, true},
                                          Field{"lent", &Block::lent, {}, true}};
template <>
constexpr auto fields<Blocks> =
    std::tuple{Field{"blocks", &Blocks::blocks}, Field{"exceptions", &Blocks::exceptions, {}, true},
               Field{"max_exceptions", &Blocks::max_exceptions, {}, true}};
template <>
constexpr auto fields<ClaimedBlock> =
    std::tuple{Field{"pool", &ClaimedBlock::pool}, Field{"index", &ClaimedBlock::index},
               Field{"ipv4", &ClaimedBlock::ipv4}, Field{"ipv6", &ClaimedBlock::ipv6},
               Field{"host", &ClaimedBlock::host}, Field{"revision", &ClaimedBlock::revision}};
template <>
constexpr auto fields<ClaimedBlocks> =
    std::tuple{Field{"blocks", &ClaimedBlocks::blocks},
               Field{"exceptions", &ClaimedBlocks::exceptions, {}, true}};
template <>
constexpr auto fields<ImportedAddress> = std::tuple{
    Field{"address", &ImportedAddress::address}, Field{"container", &ImportedAddress::container},
    Field{"ifname", &ImportedAddress::ifname}, Field{"verdict", &ImportedAddress::verdict},
    Field{"reason", &ImportedAddress::reason}};
template <>
constexpr auto fields<Imported> =
    std::tuple{Field{"addresses", &Imported::addresses}, Field{"done", &Imported::done}};
template <>
constexpr auto fields<Findings> = std::tuple{Field{"findings", &Findings::findings}};
template <>
constexpr auto fields<Container> =
    std::tuple{Field{"attachment", &Container::attachment},
               Field{"ipv4", &Container::ipv4},
               Field{"ipv6", &Container::ipv6},
               Field{"host_ifname", &Container::host_ifname},
               Field{"netns", &Container::netns},
               Field{"pool", &Container::pool},
               Field{"age_seconds", &Container::age},
               Field{"state", &Container::state},
               Field{"netns_inode", &Container::netns_inode, {}, true},
               Field{"sequence", &Container::sequence, {}, true}};
template <>
constexpr auto fields<Containers> = std::tuple{Field{"containers", &Containers::containers}};
template <>
constexpr auto fields<PolicyRule> = std::tuple{
    Field{"name", &PolicyRule::name}, Field{"then", &PolicyRule::then},
    Field{"import_hits", &PolicyRule::import_hits}, Field{"export_hits", &PolicyRule::export_hits}};
template <>
constexpr auto fields<Policy> = std::tuple{Field{"name", &Policy::name},
                                           Field{"import_of", &Policy::import_of},
                                           Field{"export_of", &Policy::export_of},
                                           Field{"rules", &Policy::rules},
                                           Field{"import_unmatched", &Policy::import_unmatched},
                                           Field{"export_unmatched", &Policy::export_unmatched}};
template <>
constexpr auto fields<Policies> = std::tuple{Field{"policies", &Policies::policies}};
template <>
constexpr auto fields<Aggregate> = std::tuple{Field{"prefix", &Aggregate::prefix},
                                              Field{"state", &Aggregate::state},
                                              Field{"summary_only", &Aggregate::summary_only},
                                              Field{"contributing", &Aggregate::contributing},
                                              Field{"advertised", &Aggregate::advertised},
                                              Field{"age", &Aggregate::age},
                                              Field{"changes", &Aggregate::changes}};
template <>
constexpr auto fields<Aggregates> = std::tuple{Field{"aggregates", &Aggregates::aggregates}};
template <>
constexpr auto fields<Station> =
    std::tuple{Field{"name", &Station::name},         Field{"address", &Station::address},
               Field{"port", &Station::port},         Field{"monitor", &Station::monitor},
               Field{"state", &Station::state},       Field{"age_seconds", &Station::age},
               Field{"peers", &Station::peers},       Field{"messages", &Station::messages},
               Field{"octets", &Station::octets},     Field{"pending", &Station::pending},
               Field{"walking", &Station::walking},   Field{"connections", &Station::connections},
               Field{"overruns", &Station::overruns}, Field{"flushes", &Station::flushes},
               Field{"memory", &Station::memory},     Field{"last_error", &Station::last_error}};
template <>
constexpr auto fields<Stations> = std::tuple{Field{"stations", &Stations::stations}};
template <>
constexpr auto fields<FibDifference> = std::tuple{
    Field{"subject", &FibDifference::subject}, Field{"difference", &FibDifference::difference},
    Field{"rib", &FibDifference::rib},         Field{"wanted", &FibDifference::wanted},
    Field{"kernel", &FibDifference::kernel},   Field{"reason", &FibDifference::reason}};
template <>
constexpr auto fields<FibCheck> = std::tuple{Field{"rib_routes", &FibCheck::rib_routes},
                                             Field{"wanted_routes", &FibCheck::wanted_routes},
                                             Field{"kernel_routes", &FibCheck::kernel_routes},
                                             Field{"moving", &FibCheck::moving},
                                             Field{"differences", &FibCheck::differences},
                                             Field{"more", &FibCheck::more},
                                             Field{"repaired", &FibCheck::repaired},
                                             Field{"remaining", &FibCheck::remaining}};
template <>
constexpr auto fields<Finding> =
    std::tuple{Field{"subject", &Finding::subject}, Field{"state", &Finding::state},
               Field{"message", &Finding::message}, Field{"command", &Finding::command}};
template <>
constexpr auto fields<Doctor> = std::tuple{Field{"findings", &Doctor::findings}};
template <>
constexpr auto fields<Announcement> =
    std::tuple{Field{"prefix", &Announcement::prefix},
               Field{"communities", &Announcement::communities},
               Field{"med", &Announcement::med},
               Field{"lease", &Announcement::lease},
               Field{"expires_seconds", &Announcement::expires_seconds},
               Field{"advertised", &Announcement::advertised},
               Field{"waits_for", &Announcement::waits_for},
               Field{"since_seconds", &Announcement::since_seconds},
               Field{"changes", &Announcement::changes}};
template <>
constexpr auto fields<Announcements> =
    std::tuple{Field{"announcements", &Announcements::announcements}};
template <>
constexpr auto fields<MrtRecords> =
    std::tuple{Field{"dump", &MrtRecords::dump}, Field{"records", &MrtRecords::records},
               Field{"done", &MrtRecords::done}, Field{"routes", &MrtRecords::routes},
               Field{"paths", &MrtRecords::paths}};
template <>
constexpr auto fields<Failure> =
    std::tuple{Field{"code", &Failure::code}, Field{"message", &Failure::message}};

constexpr std::array<std::pair<ErrorCode, std::string_view>, 5> error_codes{
    {{ErrorCode::bad_request, "bad-request"},
     {ErrorCode::not_found, "not-found"},
     {ErrorCode::exhausted, "exhausted"},
     {ErrorCode::busy, "busy"},
     {ErrorCode::internal, "internal"}}};

constexpr std::array<std::pair<PeerVerb, std::string_view>, 4> peer_verbs{
    {{PeerVerb::start, "start"},
     {PeerVerb::shutdown, "shutdown"},
     {PeerVerb::reset, "reset"},
     {PeerVerb::refresh, "refresh"}}};

template <typename T>
constexpr bool is_optional = false;
template <typename T>
constexpr bool is_optional<std::optional<T>> = true;

/// Appends JSON to a line. Written by hand because a full table as a tree of nlohmann::json would
/// cost weftd a gigabyte.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void write(bool value) { out_ += value ? "true" : "false"; }
  void write(std::uint32_t value) { fmt::format_to(std::back_inserter(out_), "{}", value); }
  void write(std::uint64_t value) { fmt::format_to(std::back_inserter(out_), "{}", value); }
  void write(std::chrono::seconds value) {
    fmt::format_to(std::back_inserter(out_), "{}", value.count());
  }
  void write(const Address& address) { write(std::string_view(address.text())); }
  void write(const Prefix& prefix) { write(std::string_view(prefix.text())); }
  void write(ErrorCode code) { write(name(code)); }
  void write(PeerVerb verb) { write(name(verb)); }
  void write(const std::string& text) { write(std::string_view(text)); }
  void write(std::string_view text) {
    const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
      return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
    });
    if (plain) {
      fmt::format_to(std::back_inserter(out_), "\"{}\"", text);
    } else {
      // What is not UTF-8 becomes U+FFFD: a message must arrive, however odd the name in it.
      out_ += Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
    }
  }
  void write(const std::map<std::string, std::uint64_t>& map) {
    const char* separator = "{";
    for (const auto& [key, value] : map) {
      out_ += separator;
      write(key);
      out_ += ':';
      write(value);
      separator = ",";
    }
    out_ += map.empty() ? "{}" : "}";
  }
  template <typename T>
  void write(const std::vector<T>& values) {
    const char* separator = "[";
    for (const T& value : values) {
      out_ += separator;
      write(value);
      separator = ",";
    }
    out_ += values.empty() ? "[]" : "]";
  }
  template <typename Struct>
  void write(const Struct& value) {
    out_ += '{';
    write_fields(value, "");
    out_ += '}';
  }

  template <typename Struct>
  void write_fields(const Struct& value, const char* separator) {
    const auto one = [&](const auto& field) {
      const auto& member = value.*field.member;
      if constexpr (is_optional<std::remove_cvref_t<decltype(member)>>) {
        if (!member) return;
        write_key(separator, field.name);
        write(*member);
      } else {
        write_key(separator, field.name);
        write(member);
      }
      separator = ",";
    };
    std::apply([&](const auto&... field) { (one(field), ...); }, fields<Struct>);
  }

 private:
  void write_key(const char* separator, const char* key) {
    fmt::format_to(std::back_inserter(out_), "{}\"{}\":", separator, key);
  }

  std::string& out_;
};

/// Where in a line a value stands; put into words only when there is something to say about it.
struct Place {
  const Place* in = nullptr;
  std::string_view key;
  std::optional<std::size_t> index = std::nullopt;

  [[nodiscard]] std::string text() const {
    if (in == nullptr) return std::string(key);
    const std::string outer = in->text();
    if (index) return fmt::format("{}[{}]", outer, *index);
    return outer.empty() ? std::string(key) : fmt::format("{}.{}", outer, key);
  }
};

/// JSON values to structs. The first fault latches: a sentence that names the field.
class Decoder {
 public:
  /// `strict`: a field that nobody knows is a fault.
  explicit Decoder(bool strict) : strict_(strict) {}

  [[nodiscard]] bool ok() const { return fault_.empty(); }
  [[nodiscard]] const std::string& fault() const { return fault_; }

  template <typename Struct>
  void read(const Json& json, Struct& value, Limit /*limit*/, const Place& at) {
    if (!json.is_object()) return expected(at, "an object", json);
    std::size_t known = 0;
    const auto one = [&](const auto& field) {
      using Member = std::remove_cvref_t<decltype(value.*field.member)>;
      if (!ok()) return;
      const Place place{&at, field.name};
      const auto found = json.find(field.name);
      if (found != json.end()) {
        ++known;
        read(*found, value.*field.member, field.limit, place);
      } else if (!is_optional<Member> && !field.optional) {
        fault_ = fmt::format("field '{}' is missing", place.text());
      }
    };
    std::apply([&](const auto&... field) { (one(field), ...); }, fields<Struct>);
    if (ok() && strict_ && known != json.size()) refuse_unknown<Struct>(json, at);
  }

  void read(const Json& json, bool& value, Limit /*limit*/, const Place& at) {
    if (!json.is_boolean()) return expected(at, "true or false", json);
    value = json.get<bool>();
  }
  void read(const Json& json, std::uint32_t& value, Limit limit, const Place& at) {
    limit.most = std::min<std::uint64_t>(limit.most, std::numeric_limits<std::uint32_t>::max());
    value = static_cast<std::uint32_t>(number(json, limit, at));
  }
  void read(const Json& json, std::uint64_t& value, Limit limit, const Place& at) {
    value = number(json, limit, at);
  }
  void read(const Json& json, std::chrono::seconds& value, Limit limit, const Place& at) {
    limit.most = std::min<std::uint64_t>(limit.most, std::numeric_limits<std::int64_t>::max());
    value = std::chrono::seconds(number(json, limit, at));
  }
  void read(const Json& json, std::string& value, Limit limit, const Place& at) {
    if (!json.is_string()) return expected(at, "a text", json);
    value = json.get_ref<const std::string&>();
    if (!strict_) return;
    if (std::any_of(value.begin(), value.end(), is_control)) {
      fault_ = fmt::format("field '{}' holds a control character", at.text());
    } else if (value.size() < limit.least) {
      fault_ = fmt::format("field '{}' is empty", at.text());
    } else if (value.size() > limit.most) {
      fault_ = fmt::format("field '{}' is {} octets long, more than {}", at.text(), value.size(),
                           limit.most);
    }
  }
  void read(const Json& json, Address& value, Limit /*limit*/, const Place& at) {
    parsed(json, value, "an address", at);
  }
  void read(const Json& json, Prefix& value, Limit /*limit*/, const Place& at) {
    parsed(json, value, "a prefix", at);
  }
  void read(const Json& json, ErrorCode& value, Limit /*limit*/, const Place& at) {
    if (!json.is_string()) return expected(at, "a text", json);
    // A code that a newer weftd made up still is a failure of weftd.
    value = ErrorCode::internal;
    for (const auto& [code, text] : error_codes) {
      if (json.get_ref<const std::string&>() == text) value = code;
    }
  }
  void read(const Json& json, PeerVerb& value, Limit /*limit*/, const Place& at) {
    if (!json.is_string()) return expected(at, "a text", json);
    for (const auto& [verb, text] : peer_verbs) {
      if (json.get_ref<const std::string&>() != text) continue;
      value = verb;
      return;
    }
    fault_ = fmt::format("field '{}' must be start, shutdown, reset or refresh", at.text());
  }
  template <typename T>
  void read(const Json& json, std::optional<T>& value, Limit limit, const Place& at) {
    if (json.is_null()) return;
    read(json, value.emplace(), limit, at);
  }
  template <typename T>
  void read(const Json& json, std::vector<T>& values, Limit limit, const Place& at) {
    if (!json.is_array()) return expected(at, "a list", json);
    values.reserve(json.size());
    for (const Json& element : json) {
      const Place place{&at, "", values.size()};
      read(element, values.emplace_back(), limit, place);
      if (!ok()) return;
    }
  }
  void read(const Json& json, std::map<std::string, std::uint64_t>& map, Limit limit,
            const Place& at) {
    if (!json.is_object()) return expected(at, "an object", json);
    for (const auto& [key, element] : json.items()) {
      read(element, map[key], limit, Place{&at, key});
      if (!ok()) return;
    }
  }

 private:
  static bool is_control(char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }

  void expected(const Place& at, std::string_view what, const Json& json) {
    fault_ = fmt::format("field '{}' must be {}, not {}", at.text(), what, kind(json));
  }
  static std::string_view kind(const Json& json) {
    if (json.is_number_float()) return "a fraction";
    if (json.is_number()) return "a number";
    if (json.is_string()) return "a text";
    if (json.is_array()) return "a list";
    if (json.is_object()) return "an object";
    return json.is_null() ? "null" : "true or false";
  }
  std::uint64_t number(const Json& json, Limit limit, const Place& at) {
    if (json.is_number_unsigned()) {
      const auto value = json.get<std::uint64_t>();
      if (value >= limit.least && value <= limit.most) return value;
    } else if (!json.is_number_integer()) {
      expected(at, "a whole number", json);
      return 0;
    }
    fault_ = fmt::format("field '{}' is {}, not in {}..{}", at.text(), json.dump(), limit.least,
                         limit.most);
    return 0;
  }
  template <typename T>
  void parsed(const Json& json, T& value, std::string_view what, const Place& at) {
    if (!json.is_string()) return expected(at, what, json);
    const auto result = T::parse(json.get_ref<const std::string&>());
    if (result) {
      value = *result;
    } else {
      fault_ = fmt::format("field '{}': {}", at.text(), result.error().message);
    }
  }
  template <typename Struct>
  void refuse_unknown(const Json& json, const Place& at) {
    for (const auto& [key, element] : json.items()) {
      const bool known =
          std::apply([&key = key](const auto&... field) { return ((key == field.name) || ...); },
                     fields<Struct>);
      if (known) continue;
      fault_ = fmt::format("field '{}' is unknown",
                           Place{&at, std::string_view(key).substr(0, 64)}.text());
      return;
    }
  }

  bool strict_;
  std::string fault_;
};

template <typename Message>
constexpr std::string_view method = "";
template <>
constexpr std::string_view method<AddRequest> = "add";
template <>
constexpr std::string_view method<DelRequest> = "del";
template <>
constexpr std::string_view method<SpareRequest> = "spare";
template <>
constexpr std::string_view method<CheckRequest> = "check";
template <>
constexpr std::string_view method<StatusRequest> = "status";
template <>
constexpr std::string_view method<PeersRequest> = "peers";
template <>
constexpr std::string_view method<BfdRequest> = "bfd";
template <>
constexpr std::string_view method<RoutesRequest> = "routes";
template <>
constexpr std::string_view method<PeerRequest> = "peer";
template <>
constexpr std::string_view method<BlocksRequest> = "blocks";
template <>
constexpr std::string_view method<ClaimsRequest> = "claims";
template <>
constexpr std::string_view method<IpamCheckRequest> = "ipam-check";
template <>
constexpr std::string_view method<ImportRequest> = "import";
template <>
constexpr std::string_view method<ReleaseBlockRequest> = "release-block";
template <>
constexpr std::string_view method<ContainersRequest> = "containers";
template <>
constexpr std::string_view method<PoliciesRequest> = "policies";
template <>
constexpr std::string_view method<DrainRequest> = "drain";
template <>
constexpr std::string_view method<AggregatesRequest> = "aggregates";
template <>
constexpr std::string_view method<BmpRequest> = "bmp";
template <>
constexpr std::string_view method<FibCheckRequest> = "fib-check";
template <>
constexpr std::string_view method<DoctorRequest> = "doctor";
template <>
constexpr std::string_view method<AnnounceRequest> = "announce";
template <>
constexpr std::string_view method<WithdrawRequest> = "withdraw";
template <>
constexpr std::string_view method<AnnouncementsRequest> = "announcements";
template <>
constexpr std::string_view method<MrtRequest> = "mrt";

/// The reply that is due to a request.
template <typename Message>
struct Due;
template <>
struct Due<AddRequest> {
  using Type = Lease;
};
template <>
struct Due<DelRequest> {
  using Type = Done;
};
template <>
struct Due<SpareRequest> {
  using Type = Done;
};
template <>
struct Due<CheckRequest> {
  using Type = Lease;
};
template <>
struct Due<StatusRequest> {
  using Type = Status;
};
template <>
struct Due<PeersRequest> {
  using Type = Peers;
};
template <>
struct Due<DrainRequest> {
  using Type = Done;
};
template <>
struct Due<BfdRequest> {
  using Type = Bfd;
};
template <>
struct Due<RoutesRequest> {
  using Type = Routes;
};
template <>
struct Due<PeerRequest> {
  using Type = Done;
};
template <>
struct Due<BlocksRequest> {
  using Type = Blocks;
};
template <>
struct Due<ClaimsRequest> {
  using Type = ClaimedBlocks;
};
template <>
struct Due<IpamCheckRequest> {
  using Type = Findings;
};
template <>
struct Due<ImportRequest> {
  using Type = Imported;
};
template <>
struct Due<ReleaseBlockRequest> {
  using Type = Done;
};
template <>
struct Due<ContainersRequest> {
  using Type = Containers;
};
template <>
struct Due<PoliciesRequest> {
  using Type = Policies;
};
template <>
struct Due<AggregatesRequest> {
  using Type = Aggregates;
};
template <>
struct Due<BmpRequest> {
  using Type = Stations;
};
template <>
struct Due<FibCheckRequest> {
  using Type = FibCheck;
};
template <>
struct Due<DoctorRequest> {
  using Type = Doctor;
};
template <>
struct Due<AnnounceRequest> {
  using Type = Done;
};
template <>
struct Due<WithdrawRequest> {
  using Type = Done;
};
template <>
struct Due<AnnouncementsRequest> {
  using Type = Announcements;
};
template <>
struct Due<MrtRequest> {
  using Type = MrtRecords;
};

/// Parses without exceptions; nothing when `line` is not JSON. A key given twice in one object
/// would let two readers of one line see two requests, so it counts as no JSON.
std::optional<Json> parse_once(std::string_view line) {
  std::vector<std::set<std::string>> open;
  bool repeated = false;
  const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key) {
      repeated |= !open.back().insert(parsed.get<std::string>()).second;
    }
    return true;
  };
  Json json = Json::parse(line, watch, false);
  if (json.is_discarded() || repeated) return std::nullopt;
  return json;
}

Failure bad_request(std::string message) {
  return {ErrorCode::bad_request, std::move(message)};
}

template <typename Message>
Result<Request, Failure> decode_as(const Json& json) {
  Message message;
  Decoder decoder(true);
  decoder.read(json, message, {}, Place{});
  if (!decoder.ok()) {
    return bad_request(fmt::format("{}: {}", method<Message>, decoder.fault()));
  }
  return Request{std::move(message)};
}

/// Tries the alternatives of Request in turn; `index` is where to go on.
template <std::size_t index = 0>
Result<Request, Failure> decode_method(const std::string& wanted, const Json& json) {
  if constexpr (index == std::variant_size_v<Request>) {
    return bad_request(
        fmt::format("unknown method '{}'; weftd knows add, del, check, status, peers, bfd, routes, "
                    "peer, blocks, containers, policies, drain, fib-check, doctor, announce, "
                    "withdraw, announcements, mrt",
                    wanted.substr(0, 64)));
  } else {
    using Message = std::variant_alternative_t<index, Request>;
    if (wanted == method<Message>) return decode_as<Message>(json);
    return decode_method<index + 1>(wanted, json);
  }
}

}  // namespace

std::string encode(const Request& request) {
  std::string line;
  std::visit(
      [&line](const auto& message) {
        using Message = std::remove_cvref_t<decltype(message)>;
        line = fmt::format("{{\"method\":\"{}\"", method<Message>);
        Writer(line).write_fields(message, ",");
        line += '}';
      },
      request);
  return line;
}

std::string encode(const Reply& reply) {
  std::string line = std::holds_alternative<Failure>(reply) ? "{\"error\":" : "{\"ok\":";
  std::visit([&line](const auto& message) { Writer(line).write(message); }, reply);
  line += '}';
  return line;
}

Result<Request, Failure> decode_request(std::string_view line) {
  if (line.size() > line_limit) {
    return bad_request(fmt::format("a request is longer than {} octets", line_limit));
  }
  auto json = parse_once(line);
  if (!json || !json->is_object()) {
    return bad_request(
        "a request must be one JSON object a line, no key twice, such as {\"method\":\"status\"}");
  }
  const auto wanted = json->find("method");
  if (wanted == json->end()) return bad_request("field 'method' is missing");
  if (!wanted->is_string()) return bad_request("field 'method' must be a text");
  const auto text = wanted->get<std::string>();
  json->erase(wanted);
  return decode_method(text, *json);
}

Result<Reply> decode_reply(std::string_view line, const Request& request) {
  if (line.size() > reply_limit) return Error{"the reply of weftd is too long"};
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return Error{"the reply of weftd is not a JSON object"};
  Decoder decoder(false);
  Reply reply;
  if (const auto error = json.find("error"); error != json.end()) {
    decoder.read(*error, reply.emplace<Failure>(), {}, Place{nullptr, "error"});
  } else if (const auto ok = json.find("ok"); ok != json.end()) {
    std::visit(
        [&](const auto& message) {
          using Message = std::remove_cvref_t<decltype(message)>;
          decoder.read(*ok, reply.emplace<typename Due<Message>::Type>(), {}, Place{nullptr, "ok"});
        },
        request);
  } else {
    return Error{"the reply of weftd has neither 'ok' nor 'error'"};
  }
  if (!decoder.ok()) {
    return Error{fmt::format("the reply of weftd is not understood: {}", decoder.fault())};
  }
  return reply;
}

std::string_view name(PeerVerb verb) {
  for (const auto& [known, text] : peer_verbs) {
    if (known == verb) return text;
  }
  return "refresh";
}

std::string_view name(ErrorCode code) {
  for (const auto& [known, text] : error_codes) {
    if (known == code) return text;
  }
  return "internal";
}

}  // namespace weft::ctl
