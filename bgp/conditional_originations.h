// ConditionalOriginations: prefixes that the configuration has announced, each as long as all of
// its conditions hold: a route that is learned, one that is not, a service that is well. Told of
// routes and health, it says which prefixes change. Not here: the Loc-RIB (rib.h), how health is
// found out (daemon/health_checks.h), what clients announce (daemon/announcements.h).
//
// Conditions see learned routes only, and config/ lets none name a prefix that this node originates
// by configuration: so nothing here can be its own condition.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "bgp/settings.h"
#include "net/ip.h"
#include "net/time.h"

namespace weft::bgp {

/// For show commands.
struct ConditionalStatus {
  Origination what;
  /// Empty: it is originated. Else the first condition that does not hold: "no learned route for
  /// 10.0.0.0/8".
  std::string waits_for;
  /// Since when it is originated or is not, and how often that has changed.
  Time since{};
  std::uint64_t changes = 0;
  bool operator==(const ConditionalStatus&) const = default;
};

class ConditionalOriginations {
 public:
  /// In place of those before; what goes on keeps what is known of its health. Nothing is known to
  /// be learned then: the caller tells again before it calls step().
  void configure(std::vector<AnnouncementSettings> wanted, Time now);

  /// The best path of the prefix is a peer's, or no longer.
  void learned(const Prefix& prefix, bool yes);
  /// Why the service behind the announced prefix is not well, for an operator; empty: it is.
  void health(const Prefix& prefix, const std::string& fault);
  /// What is not learned by now is known not to be there. Until then no `unless-route` holds.
  void tables_complete(Family family);

  /// step() may have something to say.
  [[nodiscard]] bool due() const { return due_; }
  /// Prefixes that are to be originated, or anew, or withdrawn, since the last call.
  [[nodiscard]] std::vector<Prefix> step(Time now);
  /// What the steps since the last call have to tell an operator, a sentence each: what changed and
  /// why, and once what does not begin at all.
  [[nodiscard]] std::vector<std::string> take_news();
  /// What is originated for the prefix, or nullptr.
  [[nodiscard]] const Origination* originated(const Prefix& prefix) const;

  /// Of a service behind one of the family nothing has been told yet.
  [[nodiscard]] bool awaits_health(Family family) const;

  /// In the order of the settings.
  [[nodiscard]] std::vector<ConditionalStatus> status() const;

 private:
  struct Row {
    AnnouncementSettings settings;
    /// None: nothing is known of its service.
    std::optional<std::string> fault;
    bool originated = false;
    /// It was said once whether it is.
    bool told = false;
    Time since{};
    std::uint64_t changes = 0;
  };
  static void note(Row& row, Time now) {
    row.since = now;
    ++row.changes;
  }
  [[nodiscard]] bool is_learned(const Prefix& prefix) const;
  [[nodiscard]] std::string obstacle(const Row& row) const;
  /// Everything that its conditions ask about has been heard of.
  [[nodiscard]] bool is_decided(const Row& row) const;

  std::vector<Row> rows_;
  /// Every prefix that a condition names.
  std::unordered_map<Prefix, bool> learned_;
  std::array<bool, 2> complete_{};
  /// To be said by the next step(), whatever the rows say.
  std::vector<Prefix> changed_;
  std::vector<std::string> news_;
  bool due_ = false;
};

}  // namespace weft::bgp
