// A peer, a network and an operator that obey nothing drive a whole Speaker. What must hold: no
// crash, at most two connections a peer, orders only about connections that exist, timers that come
// to rest, and no route without a session.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "bgp/message.h"
#include "bgp/speaker.h"

namespace weft::bgp {
namespace {

using namespace std::chrono_literals;

void must(bool holds) {
  if (!holds) std::abort();
}

constexpr std::size_t peers = 2;
/// Of one input: many short ones find more than a long one, which costs as much.
constexpr std::size_t most_acts = 64;

Address far(std::size_t peer) {
  return Address::ipv4(0xc0000002 + (static_cast<std::uint32_t>(peer) << 8));
}
Address near(std::size_t peer) {
  return Address::ipv4(0xc0000001 + (static_cast<std::uint32_t>(peer) << 8));
}

Settings settings() {
  Settings wanted;
  wanted.asn = Asn{65001};
  wanted.router_id = RouterId{0x0a000005};
  for (std::size_t i = 0; i < peers; ++i) {
    PeerSettings peer;
    peer.name = std::to_string(i);
    peer.address = far(i);
    peer.import_filter = Filter::accept;
    peer.export_filter = Filter::accept;
    peer.prefix_limit = 50;
    if (i == 1) peer.remote_as = RemoteAs::internal;
    wanted.peers.push_back(peer);
  }
  return wanted;
}

class Drive {
 public:
  explicit Drive(Bytes input) : in_(input), speaker_(settings(), 1, now_) {
    speaker_.connected({{near(0), Prefix(near(0), 24), 1}, {near(1), Prefix(near(1), 24), 2}},
                       now_);
    drain();
  }

  void run() {
    for (std::size_t acts = 0; acts < most_acts && !in_.empty(); ++acts) {
      act();
      drain();
    }
    finish();
  }

 private:
  void act() {
    const std::uint8_t what = in_.u8();
    const std::size_t who = what >> 4 & 1;
    switch (what & 15) {
      case 0:
        return pass(std::chrono::milliseconds(in_.u8() * 100));
      case 1:
        return accept(who);
      case 2:
        return open(who);
      case 3:
        return receive(who, in_.take(std::min<std::size_t>(in_.u8(), in_.size())));
      case 4:
        return say(who, greeting(who));
      case 5:
        return say(who, Keepalive{});
      case 6:
        return say(who, Notification{fault(in_.u8(), in_.u8()), {}});
      case 7:
        return (what & 32) != 0 ? route(who) : update(who);
      case 8:
        return lose(who);
      case 9:
        return produce(who);
      case 10:
        return originate();
      case 11:
        return reconfigure();
      case 12:
        return speaker_.link_down(in_.u8() % 3U, now_);
      case 13:
        return verb(who);
      case 14:
        return say(who, RouteRefresh{{in_.u8(), in_.u8()}, RouteRefresh::Subtype::request});
      case 15:
        return establish(who);
    }
  }

  void pass(Clock::duration span) {
    const Time end = now_ + span;
    for (int rounds = 0; speaker_.deadline() <= end; ++rounds) {
      must(rounds < 100'000);
      now_ = std::max(now_, speaker_.deadline());
      speaker_.tick(now_);
      drain();
    }
    now_ = end;
  }
  void accept(std::size_t who) {
    if (const auto id = speaker_.accepted(far(who), near(who), now_)) alive_[who].insert(*id);
  }
  void open(std::size_t who) {
    if (dialled_[who].empty()) return;
    const ConnectionId id = *dialled_[who].begin();
    dialled_[who].erase(id);
    if ((in_.u8() & 3) == 0) return speaker_.failed(id, "refused", now_);
    alive_[who].insert(id);
    speaker_.opened(id, near(who), now_);
  }
  /// The oldest or the newest of the peer's connections.
  std::optional<ConnectionId> pick(std::size_t who) {
    if (alive_[who].empty()) return std::nullopt;
    return (in_.u8() & 1) == 0 ? *alive_[who].begin() : *alive_[who].rbegin();
  }
  void receive(std::size_t who, Bytes bytes) {
    if (const auto id = pick(who)) speaker_.received(*id, bytes, now_);
  }
  void say(std::size_t who, const Message& message) {
    std::vector<std::byte> bytes;
    encode(message, bytes);
    receive(who, bytes);
  }
  static Open greeting(std::size_t who) {
    const Asn asn{who == 1 ? 65001U : 65002U};
    Open open{asn, 9s, RouterId{0x0a000002}, {}};
    open.capabilities.families = {unicast(Family::ipv4), unicast(Family::ipv6)};
    open.capabilities.four_octet_as = asn;
    open.capabilities.route_refresh = true;
    return open;
  }
  /// An UPDATE that is in order, in one octet of input: one of eight prefixes, announced in one of
  /// eight ways or withdrawn.
  void route(std::size_t who) {
    const std::uint8_t which = in_.u8();
    const bool announced = (which & 8) == 0;
    std::vector<std::byte> nlri;
    Writer prefix(nlri);
    prefix.u8(24);
    prefix.u16(0xc633);
    prefix.u8(which & 7);

    std::vector<std::byte> attributes;
    if (announced) {
      Writer out(attributes);
      out.u32(0x40010100);  // ORIGIN
      const std::uint8_t hops = (which & 16) != 0 ? 2 : 1;
      out.u16(0x4002);  // AS_PATH
      out.u8(static_cast<std::uint8_t>(2 + 4 * hops));
      out.u16(static_cast<std::uint16_t>(0x0200 | hops));
      for (std::uint8_t hop = 0; hop < hops; ++hop) out.u32(65002U + hop);
      out.u16(0x4003);  // NEXT_HOP
      out.u8(4);
      out.u32(far(who).v4());
      if ((which & 32) != 0) {
        out.u16(0x8004);  // MULTI_EXIT_DISC
        out.u8(4);
        out.u32(which);
      }
      if (who == 1 || (which & 64) != 0) {
        out.u16(0x4005);  // LOCAL_PREF
        out.u8(4);
        out.u32((which & 64) != 0 ? 200 : 100);
      }
    }
    std::vector<std::byte> bytes(16, std::byte{0xff});
    Writer out(bytes);
    out.u16(static_cast<std::uint16_t>(23 + attributes.size() + nlri.size()));
    out.u8(2);
    out.u16(static_cast<std::uint16_t>(announced ? 0 : nlri.size()));
    if (!announced) out.bytes(nlri);
    out.u16(static_cast<std::uint16_t>(attributes.size()));
    out.bytes(attributes);
    if (announced) out.bytes(nlri);
    receive(who, bytes);
  }
  void update(std::size_t who) {
    const Bytes body = in_.take(std::min<std::size_t>(in_.u8(), in_.size()));
    std::vector<std::byte> bytes(16, std::byte{0xff});
    Writer out(bytes);
    out.u16(static_cast<std::uint16_t>(19 + body.size()));
    out.u8(2);
    out.bytes(body);
    receive(who, bytes);
  }
  void establish(std::size_t who) {
    if (alive_[who].empty()) accept(who);
    say(who, greeting(who));
    say(who, Keepalive{});
  }
  void lose(std::size_t who) {
    const auto id = pick(who);
    if (!id) return;
    alive_[who].erase(*id);
    speaker_.closed(*id, "reset", now_);
  }
  void produce(std::size_t who) {
    const auto id = pick(who);
    if (!id) return;
    std::vector<std::byte> bytes;
    speaker_.produce(*id, bytes, now_);
    for (Bytes rest = bytes; !rest.empty();) {
      const auto frame = next_message(rest, max_extended_message_size);
      must(frame && *frame);
      rest = rest.subspan((*frame)->size());
    }
    speaker_.sent(*id, (in_.u8() & 1) != 0, now_);
  }
  void originate() {
    const std::uint8_t which = in_.u8();
    const Prefix prefix(Address::ipv4(0x0a400000 + (static_cast<std::uint32_t>(which >> 1) << 6)),
                        26);
    if ((which & 1) != 0) return speaker_.originate(prefix, now_);
    speaker_.withdraw(prefix, now_);
  }
  void reconfigure() {
    Settings wanted = settings();
    const std::uint8_t how = in_.u8();
    if ((how & 1) != 0) wanted.peers[0].hold_time = 30s;
    if ((how & 2) != 0) wanted.peers[1].shutdown = true;
    if ((how & 4) != 0) wanted.peers[0].export_filter = Filter::host;
    if ((how & 8) != 0) wanted.peers[0].import_filter = Filter::host;
    if ((how & 16) != 0) wanted.peers.pop_back();
    if ((how & 32) != 0) wanted.path_limit = 3;
    if ((how & 64) != 0) wanted.peers[0].passive = true;
    speaker_.apply(std::move(wanted), now_);
  }
  void verb(std::size_t who) {
    const std::string name = std::to_string(who);
    switch (in_.u8() & 3) {
      case 0:
        static_cast<void>(speaker_.start_peer(name, now_));
        break;
      case 1:
        static_cast<void>(speaker_.shutdown_peer(name, "fuzz", now_));
        break;
      case 2:
        static_cast<void>(speaker_.reset_peer(name, "", now_));
        break;
      case 3:
        static_cast<void>(speaker_.refresh_peer(name, now_));
        break;
    }
  }

  void drain() {
    for (const Action& action : speaker_.take_actions()) {
      if (const auto* to = std::get_if<ConnectTo>(&action))
        dialled_[to->remote == far(1) ? 1 : 0].insert(to->connection);
      if (const auto* order = std::get_if<CloseConnection>(&action)) close(order->connection);
    }
    for (std::size_t who = 0; who < peers; ++who)
      must(alive_[who].size() + dialled_[who].size() <= 2);
    for (const RouteChange& change : speaker_.take_route_changes()) {
      routes_.erase(change.prefix);
      if (change.kind == RouteKind::via)
        routes_[change.prefix] = speaker_.next_hops(change.next_hops).size();
    }
    static_cast<void>(speaker_.take_log());
    static_cast<void>(speaker_.take_sync_done());
  }
  void close(ConnectionId id) {
    std::size_t known = 0;
    for (std::size_t who = 0; who < peers; ++who)
      known += alive_[who].erase(id) + dialled_[who].erase(id);
    must(known == 1);
  }

  /// Everybody leaves: nothing may be left of what they said.
  void finish() {
    for (std::size_t who = 0; who < peers; ++who) {
      while (!alive_[who].empty()) {
        const ConnectionId id = *alive_[who].begin();
        alive_[who].erase(id);
        speaker_.closed(id, "reset", now_);
        drain();
      }
    }
    pass(0s);
    must(routes_.empty());
    static_cast<void>(speaker_.peers());
    speaker_.routes([](const RouteStatus&) {});
  }

  Reader in_;
  Time now_{1h};
  Speaker speaker_;
  std::array<std::set<ConnectionId>, peers> alive_;
  std::array<std::set<ConnectionId>, peers> dialled_;
  std::map<Prefix, std::size_t> routes_;
};

}  // namespace
}  // namespace weft::bgp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weft::bgp::Drive(std::as_bytes(std::span(data, size))).run();
  return 0;
}
