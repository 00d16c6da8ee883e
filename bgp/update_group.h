// UpdateGroup: peers that are told the same of one family, and what each has been told. Peers that
// keep up share one stream of encoded UPDATEs; who comes late, asks again or lags too far is on a
// stream of its own until it has caught up with the table. Private to adj_out; the ideas are those
// of Contrail's markers and BGP++'s detached peers.
//
// Invariants. `told` of a prefix is what the members of the main stream were told, once they have
// read all of it. A member of any other stream may hold something else: there everything current is
// announced, and whatever somebody may hold is withdrawn, which at worst is said once too often. At
// the end of the journal all streams have said the same. With add-path (RFC 7911,
// update_group_paths.cc) this holds path by path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "bgp/adj_out.h"
#include "bgp/advertisement.h"
#include "bgp/applied_policy.h"
#include "bgp/told_paths.h"
#include "bgp/update_batch.h"
#include "bgp/update_segment.h"

namespace weft::bgp {

class UpdateGroup {
 public:
  /// What makes two peers members of one group.
  struct Key {
    ExportRules rules;
    Negotiated negotiated;
    /// Of the next hop on the wire: 4, 16 or 32.
    std::size_t next_hop_size = 0;
    bool operator==(const Key&) const = default;
  };

 private:
  struct Stream;

 public:
  /// A peer in the group.
  struct Member {
    PeerId peer = PeerId::local;
    /// Its own next hop as it stands in messages.
    std::vector<std::byte> next_hop;
    bool end_of_rib_sent = false;
    /// RFC 7313 was negotiated.
    bool enhanced_refresh = false;

   private:
    friend class UpdateGroup;
    Stream* stream_ = nullptr;
    std::uint64_t next_ = 0;  // segment of the stream
    std::uint64_t moves_ = 0;
  };

  /// Prefixes by number of which a peer may hold a route from us, with add-path which ones.
  struct Held {
    std::vector<bool> nets;
    std::vector<std::uint32_t> first;  // of net n: path_ids[first[n]] up to path_ids[first[n + 1]]
    std::vector<std::uint32_t> path_ids;

    [[nodiscard]] std::size_t places() const { return first.empty() ? 0 : first.size() - 1; }
    [[nodiscard]] std::span<const std::uint32_t> paths_of(NetId net) const {
      if (net >= places()) return {};
      return std::span(path_ids).subspan(first[net], first[net + 1] - first[net]);
    }
  };
  /// What a refresh still owes (RFC 7313 4): BoRR before the table, EoRR behind it.
  struct RefreshMarks {
    bool begin = false;
    bool end = false;
  };
  /// Where a member stands, and what it may hold.
  struct Standing {
    Journal::Position position = 0;
    bool end_of_rib_due = true;
    RefreshMarks marks_due;
    std::shared_ptr<const Held> held;
  };

  /// `next_hop`: of one member, to encode with; every copy gets the member's own.
  UpdateGroup(Rib& rib, Key key, const PathNextHop& next_hop, std::size_t backlog);
  ~UpdateGroup();
  UpdateGroup(const UpdateGroup&) = delete;
  UpdateGroup& operator=(const UpdateGroup&) = delete;

  [[nodiscard]] const Key& key() const { return key_; }
  [[nodiscard]] bool empty() const { return members_.empty(); }

  /// A peer that holds nothing from us.
  void join(Member& member);
  /// A peer that was told things by another group and stands there still.
  void join(Member& member, const Standing& before);
  void leave(Member& member);
  [[nodiscard]] Standing standing(const Member& member);
  /// All again for one member.
  void refresh(Member& member);

  [[nodiscard]] bool pending(const Member& member) const;
  enum class Produced : std::uint8_t { nothing_left, something, worked };
  /// One step: copies a segment to `out`, or works towards the next one.
  Produced produce(Member& member, std::vector<std::byte>& out);

  [[nodiscard]] std::uint64_t advertised(PeerId peer) const;
  [[nodiscard]] std::uint32_t advertised_to(NetId net) const;
  /// Appends what a member was told of the place; nothing while it is behind the others, for then
  /// nobody knows. `caught_up` says when that is over.
  void routes_at(const Member& member, NetId net, std::vector<AdjOut::Route>& routes) const;
  /// Times the member went from one stream to another; none: it is not with those who keep up.
  [[nodiscard]] std::optional<std::uint64_t> caught_up(const Member& member) const;
  /// Appends the attributes; none: the next hop is the member's own.
  [[nodiscard]] std::optional<PathNextHop> describe(AdvertisementTable::Id id,
                                                    std::vector<std::byte>& attributes) const;
  [[nodiscard]] std::uint64_t too_big() const { return too_big_; }
  [[nodiscard]] std::size_t memory() const;

 private:
  /// How far a stream has come: first through the table by place, then through the journal.
  struct Place {
    Journal::Position position = 0;
    NetId walk = 0;
    bool walking = false;
    bool end_of_rib_due = false;
    RefreshMarks marks_due = {};
  };
  struct Segment {
    UpdateSegment updates;
    Place start;
    std::vector<NetPath> withdrawn;
    std::size_t readers = 0;
    bool end_of_rib = false;
  };
  struct Stream {
    Journal::Reader reader = 0;
    Place at;
    bool from_nothing = false;  // its first segment is the first thing a new peer should hear
    std::shared_ptr<const Held> held;
    std::deque<Segment> segments;
    std::uint64_t first = 0;  // number of the oldest segment
    std::size_t backlog = 0;  // octets
    std::size_t members = 0;

    [[nodiscard]] std::uint64_t end() const { return first + segments.size(); }
    [[nodiscard]] bool may_hold(NetId net) const {
      return held != nullptr && net < held->nets.size() && held->nets[net];
    }
  };

  [[nodiscard]] Journal& journal() const { return rib_.journal(key_.rules.family); }
  [[nodiscard]] bool at_end(const Stream& stream) const {
    return !stream.at.walking && stream.at.position == journal().end() && !end_of_rib_ready(stream);
  }
  /// It ends what the stream has to say so far, and all there is to be said.
  [[nodiscard]] bool end_of_rib_ready(const Stream& stream) const {
    return stream.at.end_of_rib_due && !stream.at.walking &&
           stream.at.position == journal().end() && !rib_.holds_end_of_rib(key_.rules.family);
  }
  Stream& open(const Place& at);
  void close_if_unused(Stream& stream);
  void move(Member& member, Stream& to, std::uint64_t next);
  void quit(Member& member);
  void drop_read(Stream& stream);
  void expect_withdrawals(const Stream& stream, std::uint64_t from);
  void relieve(Stream& stream);

  void generate(Stream& stream);
  void mark_refresh(Place& at, Segment& segment);
  void scan(Stream& stream, UpdateBatch& batch);
  [[nodiscard]] bool full(const UpdateBatch& batch) const;
  std::size_t consider(const Stream& stream, NetId net, UpdateBatch& batch);
  void consider_told(NetId net, AdvertisementTable::Id current, UpdateBatch& batch);
  void consider_behind(const Stream& stream, NetId net, AdvertisementTable::Id current,
                       UpdateBatch& batch);
  void keep_told(const Stream& stream, NetId net, UpdateBatch& batch);
  void encode(const Stream& stream, UpdateBatch& batch, Segment& segment);
  void withhold(const Stream& stream, std::span<const NetPath> paths, Segment& segment);

  [[nodiscard]] std::optional<BestPath> offered_default(NetId net) const;
  [[nodiscard]] AdvertisementTable::Id current(NetId net);
  [[nodiscard]] std::uint32_t told(NetId net) const { return net < told_.size() ? told_[net] : 0; }
  std::uint32_t& told_entry(NetId net);
  void tell(NetId net, AdvertisementTable::Id id);
  void count_told(PeerId source, std::uint64_t by);

  // With add-path, in update_group_paths.cc.
  void find_wanted(NetId net);
  void consider_told_paths(NetId net, UpdateBatch& batch);
  void consider_behind_paths(const Stream& stream, NetId net, UpdateBatch& batch);
  void keep_told_paths(const Stream& stream, NetId net, UpdateBatch& batch);
  void tell_paths(NetId net);
  void untell_path(const NetPath& path);
  void expect_withdrawal_of_path(const NetPath& path);
  void note_held_paths(const Stream& stream, Held& held) const;

  Rib& rib_;
  Key key_;
  PathNextHop next_hop_;
  std::size_t max_backlog_;
  AppliedPolicy policy_;
  AdvertisementTable advertisements_;
  std::vector<Member*> members_;
  std::vector<std::unique_ptr<Stream>> streams_;  // the main one first
  std::vector<std::uint32_t> told_;               // by NetId: advertisement, and a bit
  std::optional<ToldPaths> told_paths_;           // in place of told_ with add-path
  std::uint64_t told_count_ = 0;
  std::vector<std::uint64_t> told_from_;  // of these, by source
  std::uint64_t too_big_ = 0;
  // Scratch, kept for its memory.
  UpdateBatch batch_;
  std::vector<UsablePath> usable_;
  std::vector<ToldPaths::Entry> wanted_;
  std::vector<ToldPaths::Entry> next_;
  std::vector<Nlri> nlri_;
  std::vector<std::byte> attributes_;
};

}  // namespace weft::bgp
