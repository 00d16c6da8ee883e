// Containers: addresses and veths of this host's containers. Answers weft-cni: an address is
// committed to the store before it is told, and freed only when its veth is gone. Audits what is
// held against the kernel, which knows best. Not here: the container's own namespace, which only
// weft-cni enters.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/protocol.h"
#include "daemon/packet_filter.h"
#include "exporter/snapshot.h"
#include "ipam/allocator.h"
#include "ipam/settings.h"
#include "net/result.h"

namespace boost::asio {
class io_context;
}

namespace weft::daemon {

struct ContainersStatistics {
  /// By verb: "add", "del", "check".
  std::map<std::string, exporter::CniRequests, std::less<>> verbs;
  /// Addresses freed by the audit, because their container was gone and nobody had said so: with an
  /// earlier boot, or with its namespace.
  std::uint64_t reclaimed_boot = 0;
  std::uint64_t reclaimed_netns = 0;
  /// Containers that a runtime's GC did not list and that were kept, because they live.
  std::uint64_t spared = 0;
  /// Addresses given though they still rested.
  std::uint64_t cool_downs_waived = 0;
  /// Addresses of other hosts' blocks refused because ipam.max-exceptions are held.
  std::uint64_t exceptions_limited = 0;
  /// Addresses found in use that were free by the records.
  std::uint64_t quarantined = 0;
  /// Host routes of containers that somebody had taken away and that were put back.
  std::uint64_t routes_repaired = 0;
  /// The store took its last write.
  bool store_up = true;
  /// Why containers are not kept from spoofing, a sentence; empty when they are or nobody wants it.
  std::string filter_fault;
};

class Containers {
 public:
  using Answer = std::function<void(ctl::Reply)>;

  /// Opens the store in `directory`, takes over what it holds and compares it with the kernel.
  /// `default_mtu` is asked at each ADD whose network names none.
  static Result<std::unique_ptr<Containers>> start(boost::asio::io_context& io,
                                                   const ipam::Settings& settings,
                                                   const FilterSettings& filter,
                                                   const std::filesystem::path& directory,
                                                   std::function<std::uint32_t()> default_mtu);
  ~Containers();
  Containers(const Containers&) = delete;
  Containers& operator=(const Containers&) = delete;

  void add(const ctl::AddRequest& request, const Answer& answer);
  void del(const ctl::DelRequest& request, const Answer& answer);
  void spare(const ctl::SpareRequest& request, const Answer& answer);
  void check(const ctl::CheckRequest& request, const Answer& answer);

  ctl::Reply take_over(const ctl::ImportRequest& request);

  /// Changes of claims: on disk first, then true.
  Result<void> commit(const ipam::Changes& changes);
  /// What is on record and in the kernel differently, one sentence each; with `repair` it is
  /// mended.
  std::vector<std::string> examine(bool repair);
  /// These blocks are announced by another host too.
  void contest(std::set<ipam::BlockId> blocks);
  /// Called after addresses were given or freed.
  void on_usage_changed(std::function<void()> handler);
  /// Asked before an address is given: does another host announce just this one?
  void on_doubt(std::function<bool(const Address&)> shown_elsewhere);
  /// Asked for a place that may be another host's, when a runtime names its address; the answer is
  /// a sentence, empty when the place may be taken at once.
  using AskFor =
      std::function<void(const ipam::Place&, std::function<void(const std::string& refusal)>)>;
  void on_ask_for(AskFor handler);
  /// Who this host is to a store that hosts share.
  [[nodiscard]] const std::string& incarnation() const;
  [[nodiscard]] const std::string& boot() const;

  /// On an error nothing has changed.
  Result<void> apply(const ipam::Settings& settings, const FilterSettings& filter);
  /// Called whenever the set of blocks to be announced may have changed.
  void on_blocks_changed(std::function<void()> handler);
  /// The host route of an address was taken away, or of any: puts back all that are missing, soon,
  /// unless it is of a container that goes.
  void repair_routes(const std::optional<Address>& address);
  /// Answers nothing more; containers stay as they are.
  void stop();

  [[nodiscard]] const ipam::Allocator& allocator() const;
  [[nodiscard]] const ContainersStatistics& statistics() const;
  /// Packets of containers with a source address that is not theirs.
  [[nodiscard]] std::uint64_t spoofed_packets() const;

 private:
  class Loop;
  explicit Containers(std::shared_ptr<Loop> loop);
  std::shared_ptr<Loop> loop_;
};

}  // namespace weft::daemon
