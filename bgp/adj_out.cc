#include "bgp/adj_out.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "bgp/update_group.h"

namespace weft::bgp {

namespace {

/// Steps of one produce(): with the bounds of a step, some milliseconds at most even when nothing
/// is to be said.
constexpr unsigned steps_limit = 32;

std::size_t index_of(Family family) {
  return family == Family::ipv4 ? 0 : 1;
}
constexpr std::array<Family, 2> families{Family::ipv4, Family::ipv6};

/// What of it shapes the messages of the family.
Negotiated relevant(const Negotiated& negotiated, Family family) {
  Negotiated kept;
  const NegotiatedFamily* found = negotiated.find(unicast(family));
  assert(found != nullptr);
  kept.families.push_back({found->family, false, found->add_path_send, found->extended_next_hop});
  kept.four_octet_as = negotiated.four_octet_as;
  kept.link_local_next_hop = negotiated.link_local_next_hop;
  kept.max_send = negotiated.max_send;
  return kept;
}

/// The octets that stand for it in messages of the family: found in a message rather than known a
/// second time.
std::vector<std::byte> encoded(const PathNextHop& next_hop, Family family,
                               const Negotiated& negotiated) {
  std::vector<std::byte> attributes;
  encode_attributes(Attributes(), negotiated.four_octet_as, attributes);
  const Nlri any{family == Family::ipv4 ? Prefix() : Prefix(Address::ipv6({}), 0), 0};
  std::vector<std::byte> message;
  encode_announcement(unicast(family), next_hop, attributes, std::span(&any, 1), negotiated,
                      message);
  const NextHopField field = next_hop_field(message);
  const Bytes octets = Bytes(message).subspan(field.offset, field.size);
  return {octets.begin(), octets.end()};
}

}  // namespace

struct AdjOut::World {
  struct Membership {
    UpdateGroup* group = nullptr;
    std::unique_ptr<UpdateGroup::Member> member;
    PathNextHop next_hop = {};
    std::uint64_t serial = 0;
  };
  using Memberships = std::array<Membership, 2>;

  World(Rib& of, std::size_t limit) : rib(of), backlog(limit) {}

  [[nodiscard]] Membership* find(PeerId peer, Family family) {
    const auto index = static_cast<std::size_t>(peer);
    if (index >= peers.size()) return nullptr;
    Membership& found = peers[index][index_of(family)];
    return found.group == nullptr ? nullptr : &found;
  }

  /// A member-to-be and the group it belongs to.
  Membership made(PeerId peer, Family family, const AdjOutPeer& how) {
    UpdateGroup::Key key;
    key.negotiated = relevant(how.negotiated, family);
    key.rules.family = family;
    key.rules.external = how.external;
    if (how.external) key.rules.as_path = how.as_path;
    key.rules.policy = how.policy;
    key.rules.next_hop_rule = how.next_hop_rule;
    key.rules.reflector_client = how.reflector_client;
    key.rules.cluster_id = how.cluster_id;
    key.rules.extended_next_hop = key.negotiated.families.front().extended_next_hop;
    key.rules.role = how.role;
    key.rules.drain = how.drain;
    key.rules.default_originate = how.default_originate;
    key.rules.unsuppress = how.unsuppress;
    key.rules.long_lived = how.negotiated.long_lived_graceful_restart;
    if (key.negotiated.families.front().add_path_send) {
      key.rules.add_path = how.add_path;
      if (how.add_path.paths == AddPathSend::Paths::one)
        key.rules.add_path = {AddPathSend::Paths::best, 1};  // identifiers were promised
      rib.watch_all_paths();
    }
    auto member = std::make_unique<UpdateGroup::Member>();
    member->peer = peer;
    member->next_hop = encoded(how.next_hop, family, key.negotiated);
    member->enhanced_refresh = how.negotiated.enhanced_route_refresh;
    key.next_hop_size = member->next_hop.size();
    const auto found = std::find_if(groups.begin(), groups.end(),
                                    [&](const auto& each) { return each->key() == key; });
    if (found != groups.end())
      return {found->get(), std::move(member), how.next_hop, ++last_serial};
    groups.push_back(std::make_unique<UpdateGroup>(rib, std::move(key), how.next_hop, backlog));
    return {groups.back().get(), std::move(member), how.next_hop, ++last_serial};
  }

  Membership& slot(PeerId peer, Family family) {
    const auto index = static_cast<std::size_t>(peer);
    if (index >= peers.size()) peers.resize(index + 1);
    return peers[index][index_of(family)];
  }

  void leave(PeerId peer, Family family) {
    Membership* membership = find(peer, family);
    if (membership == nullptr) return;
    UpdateGroup& group = *membership->group;
    group.leave(*membership->member);
    *membership = {};
    if (!group.empty()) return;
    too_big_before += group.too_big();
    std::erase_if(groups, [&](const auto& each) { return each.get() == &group; });
  }

  Rib& rib;
  std::size_t backlog;
  std::vector<std::unique_ptr<UpdateGroup>> groups;
  std::vector<Memberships> peers;  // by PeerId
  std::uint64_t too_big_before = 0;
  std::uint64_t last_serial = 0;
};

AdjOut::AdjOut(Rib& rib, std::size_t backlog) : world_(std::make_unique<World>(rib, backlog)) {}
AdjOut::~AdjOut() = default;

void AdjOut::join(PeerId peer, Family family, const AdjOutPeer& how) {
  assert(world_->find(peer, family) == nullptr);
  World::Membership made = world_->made(peer, family, how);
  made.group->join(*made.member);
  world_->slot(peer, family) = std::move(made);
}

void AdjOut::change(PeerId peer, Family family, const AdjOutPeer& how) {
  World::Membership* old = world_->find(peer, family);
  assert(old != nullptr);
  const UpdateGroup::Standing standing = old->group->standing(*old->member);
  const bool end_of_rib_sent = old->member->end_of_rib_sent;
  World::Membership made = world_->made(peer, family, how);
  made.member->end_of_rib_sent = end_of_rib_sent;
  made.group->join(*made.member, standing);
  world_->leave(peer, family);
  world_->slot(peer, family) = std::move(made);
}

void AdjOut::leave(PeerId peer) {
  for (const Family family : families) world_->leave(peer, family);
}

void AdjOut::refresh(PeerId peer, Family family) {
  World::Membership* membership = world_->find(peer, family);
  if (membership != nullptr) membership->group->refresh(*membership->member);
}

bool AdjOut::pending(PeerId peer) const {
  return std::any_of(families.begin(), families.end(), [&](Family family) {
    const World::Membership* membership = world_->find(peer, family);
    return membership != nullptr && membership->group->pending(*membership->member);
  });
}

bool AdjOut::produce(PeerId peer, std::size_t size, std::vector<std::byte>& out) {
  const std::size_t enough = out.size() + size;
  unsigned steps = 0;
  for (const Family family : families) {
    World::Membership* membership = world_->find(peer, family);
    if (membership == nullptr) continue;
    auto produced = UpdateGroup::Produced::worked;
    while (produced != UpdateGroup::Produced::nothing_left) {
      if (out.size() >= enough || steps++ == steps_limit) return true;
      produced = membership->group->produce(*membership->member, out);
    }
  }
  return out.size() + size != enough;
}

bool AdjOut::end_of_rib_sent(PeerId peer, Family family) const {
  const World::Membership* membership = world_->find(peer, family);
  return membership != nullptr && membership->member->end_of_rib_sent;
}

std::uint64_t AdjOut::advertised(PeerId peer, Family family) const {
  const World::Membership* membership = world_->find(peer, family);
  return membership == nullptr ? 0 : membership->group->advertised(peer);
}

std::uint32_t AdjOut::advertised_to(const Prefix& prefix) const {
  const auto net = world_->rib.find(prefix);
  if (!net) return 0;
  std::uint32_t count = 0;
  for (const auto& each : world_->groups) {
    if (each->key().rules.family == prefix.family()) count += each->advertised_to(*net);
  }
  return count;
}

void AdjOut::routes_at(PeerId peer, Family family, NetId net, std::vector<Route>& routes) const {
  const World::Membership* membership = world_->find(peer, family);
  if (membership != nullptr) membership->group->routes_at(*membership->member, net, routes);
}

std::optional<std::uint64_t> AdjOut::caught_up(PeerId peer) const {
  std::uint64_t all = 0;
  for (const Family family : families) {
    const World::Membership* membership = world_->find(peer, family);
    if (membership == nullptr) continue;
    const auto moves = membership->group->caught_up(*membership->member);
    if (!moves) return std::nullopt;
    // A change of groups makes a new member.
    all += *moves + (membership->serial << 32);
  }
  return all;
}

PathNextHop AdjOut::describe(PeerId peer, Family family, std::uint32_t advertisement,
                             std::vector<std::byte>& attributes) const {
  const World::Membership* membership = world_->find(peer, family);
  assert(membership != nullptr);
  const auto foreign = membership->group->describe(advertisement, attributes);
  return foreign.value_or(membership->next_hop);
}

std::uint64_t AdjOut::too_big() const {
  std::uint64_t count = world_->too_big_before;
  for (const auto& each : world_->groups) count += each->too_big();
  return count;
}

std::size_t AdjOut::memory() const {
  std::size_t octets = 0;
  for (const auto& each : world_->groups) octets += each->memory();
  return octets;
}

}  // namespace weft::bgp
