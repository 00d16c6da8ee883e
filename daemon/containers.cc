#include "daemon/containers.h"

#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>
#include <set>
#include <utility>

#include "daemon/host.h"
#include "daemon/leases.h"
#include "daemon/routing.h"
#include "ipam/import.h"
#include "ipam/store.h"
#include "net/host_route.h"
#include "net/netlink_socket.h"
#include "net/time.h"
#include "net/veth.h"
#include "net/veth_remover.h"

namespace weft::daemon {
namespace {

namespace asio = boost::asio;

/// A burst of lost routes (`ip route flush`) is repaired at once, not route by route.
constexpr std::chrono::milliseconds repair_delay{20};

}  // namespace

class Containers::Loop : public std::enable_shared_from_this<Loop> {
 public:
  static Result<std::shared_ptr<Loop>> open(asio::io_context& io, const ipam::Settings& settings,
                                            const FilterSettings& filter,
                                            const std::filesystem::path& directory,
                                            std::function<std::uint32_t()> default_mtu) {
    const Time now = Clock::now();
    auto boot = boot_id();
    if (!boot) return boot.error();
    auto store = ipam::Store::open(directory);
    if (!store) return store.error();
    ipam::Allocator allocator(*boot, store->next_sequence());
    if (auto configured = allocator.configure(settings); !configured)
      return configured.error().within("pools");
    auto changes = store->load(*boot, now);
    if (!changes) return changes.error();
    allocator.apply(*changes);
    auto remover = VethRemover::open();
    if (!remover) return remover.error();
    auto socket = netlink::Socket::open();
    if (!socket) return socket.error();
    auto loop =
        std::make_shared<Loop>(io, std::move(allocator), std::move(*store), std::move(*remover),
                               std::move(*socket), *boot, std::move(default_mtu));
    if (auto adopted = loop->adopt(now); !adopted) return adopted.error();
    loop->filter_settings_ = filter;
    loop->replace_filter();
    return loop;
  }

  Loop(asio::io_context& io, ipam::Allocator allocator, ipam::Store store, VethRemover remover,
       netlink::Socket socket, std::string boot_id, std::function<std::uint32_t()> default_mtu)
      : allocator_(std::move(allocator)),
        store_(std::move(store)),
        remover_(std::move(remover)),
        socket_(std::move(socket)),
        boot_id_(std::move(boot_id)),
        default_mtu_(std::move(default_mtu)),
        removals_(io, remover_.fd()),
        audit_timer_(io),
        repair_timer_(io) {}

  /// Takes over what the kernel shows and the store does not know: all of it when the database was
  /// lost.
  Result<void> adopt(Time now) {
    if (!store_.moved_aside().empty()) spdlog::error(store_.moved_aside());
    auto links = list_links(socket_);
    if (!links) return links.error().error().within("links of this host");
    for (const auto& [link, name] : renamed_unrecorded(*links)) {
      if (name_back(*link, name)) link->name = name;
    }
    std::vector<Link> unknown;
    for (const Link& link : *links) {
      if (is_container_link(link.name) && allocator_.find_host_ifname(link.name) == nullptr)
        unknown.push_back(link);
    }
    // Their routes take a dump of everything of protocol weft: a full table, maybe.
    if (unknown.empty()) return {};
    const auto routes = list_container_routes(socket_);
    if (!routes) return routes.error().error().within("routes of this host");
    std::vector<ipam::KernelVeth> veths;
    for (const Link& link : unknown) {
      ipam::KernelVeth veth{link.name, link.alias, {}, {}};
      for (const ContainerRoute& route : *routes) {
        if (route.ifindex != link.index || !route.destination.is_host()) continue;
        (route.destination.family() == Family::ipv4 ? veth.ipv4 : veth.ipv6) =
            route.destination.address();
      }
      veths.push_back(std::move(veth));
    }
    return carry_out(allocator_.rebuild(veths, now));
  }

  void run() {
    await_removals();
    audit();
  }

  void add(const ctl::AddRequest& request, const Answer& answer) {
    const Time now = Clock::now();
    ipam::AllocateRequest wanted{request.attachment, request.netns,     request.netns_inode,
                                 request.pool,       request.addresses, request.ranges,
                                 request.delegated};
    wanted.needs_gateway = request.needs_gateway;
    // A namespace that cannot be seen from here cannot be seen to be gone either.
    if (request.delegated && inode_of(request.netns) != request.netns_inode) wanted.netns_inode = 0;
    // What a DEL is about to free is not given again.
    const std::string ifname = host_ifname(request.attachment);
    if (!request.delegated && removed_.contains(ifname)) {
      after_removal_[ifname].push_back([self = shared_from_this(), wanted = std::move(wanted),
                                        mtu = request.mtu, now, answer](bool removed_again) {
        if (self->stopped_) return;
        if (!removed_again) return self->give(wanted, mtu, now, answer);
        self->finish("add", now, answer, removed_meanwhile());
      });
      return;
    }
    give(std::move(wanted), request.mtu, now, answer);
  }

  void give(ipam::AllocateRequest wanted, std::optional<std::uint32_t> mtu, Time now,
            const Answer& answer) {
    auto grant = granted(wanted, Clock::now());
    if (!grant) {
      const ipam::Refusal& refusal = grant.error();
      if (refusal.ask_for && ask_for && !wanted.agreed) {
        const ipam::Place place = *refusal.ask_for;
        const std::uint64_t number = ++asked_;
        asking_[wanted.attachment] = number;
        return ask_for(place, [self = shared_from_this(), wanted = std::move(wanted), mtu, now,
                               number, answer](const std::string& why) mutable {
          if (self->stopped_) return;
          const auto asking = self->asking_.find(wanted.attachment);
          if (asking == self->asking_.end() || asking->second != number) {
            return self->finish("add", now, answer, removed_meanwhile());
          }
          self->asking_.erase(asking);
          if (!why.empty()) {
            return self->finish("add", now, answer, ctl::Failure{ctl::ErrorCode::exhausted, why});
          }
          wanted.agreed = true;
          self->give(std::move(wanted), mtu, now, answer);
        });
      }
      if (refusal.reason == ipam::Refusal::Reason::limit) ++statistics_.exceptions_limited;
      return finish("add", now, answer, ctl::Failure{code_of(refusal.reason), refusal.message});
    }
    if (auto committed = commit(grant->changes); !committed) {
      return finish("add", now, answer,
                    ctl::Failure{ctl::ErrorCode::internal, committed.error().message});
    }
    if (grant->waived) {
      ++statistics_.cool_downs_waived;
      spdlog::warn("{} is given though it still rests: pool {} has no other",
                   addresses_of(grant->lease).front().text(), grant->lease.block.pool);
    }
    ctl::Lease lease = told(grant->lease);
    if (mtu) lease.mtu = *mtu;
    lease.existing = grant->existing;
    if (grant->existing) repeated_.insert(grant->lease.sequence);
    if (grant->replaced) unguard(*grant->replaced);
    if (auto guarded = guard(grant->lease); !guarded) {
      return finish("add", now, answer,
                    ctl::Failure{ctl::ErrorCode::internal, guarded.error().message});
    }
    if (!grant->replaced || grant->replaced->delegated) return finish("add", now, answer, lease);
    // The container was made anew without a DEL: its former veth has the name that the new one
    // needs.
    remove(lease.host_ifname, addresses_of(*grant->replaced),
           [this, now, answer, lease](const std::string& failure) {
             if (failure.empty()) return finish("add", now, answer, lease);
             finish("add", now, answer, ctl::Failure{ctl::ErrorCode::internal, failure});
           });
  }

  void del(const ctl::DelRequest& request, const Answer& answer) {
    const Time now = Clock::now();
    if (!request.sequence) turn_away(request.attachment);
    const ipam::Lease* lease = allocator_.find(request.attachment);
    // An ADD that failed, or a GC that has looked, and what they mean is no more, or is in the
    // hands of another ADD too.
    if (request.sequence && (lease == nullptr || *request.sequence != lease->sequence ||
                             repeated_.contains(*request.sequence))) {
      return finish("del", now, answer, ctl::Done{});
    }
    if (auto valid = weft::check(request.attachment); !valid) {
      return finish("del", now, answer,
                    ctl::Failure{ctl::ErrorCode::bad_request, valid.error().message});
    }
    // The main plugin takes its link away by itself.
    if (lease != nullptr && lease->delegated) {
      return finish("del", now, answer, released(request.attachment, lease->sequence));
    }
    // An allocation that comes while the link goes is not what was to be freed.
    const std::optional<std::uint64_t> sequence =
        lease != nullptr ? std::optional(lease->sequence) : std::nullopt;
    std::vector<Address> addresses;
    if (lease != nullptr) addresses = addresses_of(*lease);
    const Attachment attachment = request.attachment;
    // Free only what is out of use: while its veth stands, the address is held.
    remove(host_ifname(attachment), std::move(addresses),
           [this, now, answer, attachment, sequence](const std::string& failure) {
             if (!failure.empty()) {
               return finish("del", now, answer, ctl::Failure{ctl::ErrorCode::internal, failure});
             }
             finish("del", now, answer,
                    sequence ? released(attachment, *sequence) : ctl::Reply(ctl::Done{}));
           });
  }

  /// ADDs of the attachment that have no answer yet.
  void turn_away(const Attachment& attachment) {
    asking_.erase(attachment);
    const auto later = after_removal_.extract(host_ifname(attachment));
    if (later.empty()) return;
    for (const auto& resumed : later.mapped()) resumed(true);
  }

  ctl::Reply take_over(const ctl::ImportRequest& request) {
    std::vector<ipam::AddressInUse> addresses;
    for (const ctl::AddressInUse& one : request.addresses) {
      addresses.push_back({one.address, {request.network, one.container, one.ifname}});
    }
    const ipam::Import plan = ipam::plan_import(allocator_, addresses, Clock::now());
    ctl::Imported imported = daemon::told(request, plan);
    if (request.dry_run || plan.refuses()) return imported;
    if (auto committed = commit(plan.changes); !committed) {
      return ctl::Failure{ctl::ErrorCode::internal, committed.error().message};
    }
    spdlog::info("operator: {} addresses of network {} are taken over", plan.changes.size(),
                 request.network);
    imported.done = true;
    return imported;
  }

  void spare(const ctl::SpareRequest& request, const Answer& answer) {
    ++statistics_.spared;
    spdlog::warn("a runtime's GC does not list container {}, which lives: it is kept",
                 describe(request.attachment));
    answer(ctl::Done{});
  }

  void check(const ctl::CheckRequest& request, const Answer& answer) {
    const Time now = Clock::now();
    const ipam::Lease* held = allocator_.find(request.attachment);
    if (held == nullptr) {
      return finish(
          "check", now, answer,
          ctl::Failure{ctl::ErrorCode::not_found,
                       fmt::format("no address is held by {}", describe(request.attachment))});
    }
    ctl::Lease lease = told(*held);
    lease.existing = true;
    finish("check", now, answer, lease);
  }

  Result<void> apply(const ipam::Settings& settings, const FilterSettings& filter) {
    if (auto configured = allocator_.configure(settings); !configured) return configured;
    if (filter != filter_settings_) {
      filter_settings_ = filter;
      replace_filter();
    }
    await_audit();
    if (blocks_changed) blocks_changed();
    return {};
  }

  void repair_routes(const std::optional<Address>& address) {
    if (repair_pending_ || stopped_) return;
    if (address) {
      const ipam::Lease* lease = allocator_.find(*address);
      if (lease == nullptr || removed_.contains(lease->host_ifname)) return;
    }
    repair_pending_ = true;
    repair_timer_.expires_after(repair_delay);
    repair_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      self->repair_pending_ = false;
      if (error || self->stopped_) return;
      if (const auto links = list_links(self->socket_)) self->restore_routes(*links);
    });
  }

  void stop() {
    stopped_ = true;
    audit_timer_.cancel();
    repair_timer_.cancel();
    if (removals_.is_open()) static_cast<void>(removals_.release());
  }

  /// On disk first, then true.
  Result<void> commit(const ipam::Changes& changes) {
    if (changes.empty()) return {};
    auto committed = store_.commit(changes);
    statistics_.store_up = committed.has_value();
    if (!committed) {
      spdlog::error("the store did not take a change: {}", committed.error().message);
      return committed;
    }
    allocator_.apply(changes);
    if (usage_changed) usage_changed();
    return {};
  }

  std::vector<std::string> examine(bool repair) {
    std::vector<std::string> found;
    const Time now = Clock::now();
    auto links = list_links(socket_);
    if (!links) return {"the kernel's links cannot be read: " + links.error().message};
    examine_store(repair, found);
    for (const auto& [link, lease] : renamed(*links)) {
      found.push_back(fmt::format("link {} is that of container {} and was {}{}", link->name,
                                  describe(lease->attachment), lease->host_ifname,
                                  repair ? ": named back" : "; the next audit names it back"));
      if (repair) name_back(*link, lease->host_ifname);
      link->name = lease->host_ifname;
    }
    for (const auto& [link, name] : renamed_unrecorded(*links)) {
      found.push_back(fmt::format("link {} ({}) was {} and belongs to no container on record{}",
                                  link->name, link->alias, name,
                                  repair ? ": named back" : "; --repair names it back"));
      if (repair && name_back(*link, name)) link->name = name;
    }
    std::map<std::string, Link*> veths;
    for (Link& link : *links) {
      if (is_container_link(link.name)) veths.emplace(link.name, &link);
    }
    std::set<std::string> unknown;
    for (const auto& [name, link] : veths) {
      if (allocator_.find_host_ifname(name) == nullptr && !removed_.contains(name))
        unknown.insert(name);
    }
    if (repair) {
      if (auto adopted = adopt(now); !adopted) found.push_back(adopted.error().message);
    }
    for (const ipam::LeaseStatus& held : allocator_.leases()) {
      const ipam::Lease& lease = held.lease;
      if (lease.delegated && lives(lease)) continue;
      const auto veth = veths.find(lease.host_ifname);
      if (veth == veths.end()) {
        found.push_back(examine_gone(held, repair, now));
        continue;
      }
      examine_alias(*veth->second, lease, repair, found);
      examine_routes(*veth->second, lease, repair, found);
    }
    for (const std::string& name : unknown) {
      const std::string& alias = veths.at(name)->alias;
      const ipam::Lease* adopted = allocator_.find_host_ifname(name);
      found.push_back(fmt::format(
          "link {} ({}) belongs to no container on record{}", name,
          alias.empty() ? "no alias" : alias,
          adopted != nullptr            ? ": adopted, with " + addresses_of(*adopted).front().text()
          : !alias.starts_with("weft:") ? "; its alias is not weft's, so it is left alone"
          : repair                      ? ": cannot be adopted, two audits remove it"
                                        : "; --repair adopts it, two audits remove it"));
    }
    examine_filter(repair, found);
    // What is missing now is freed by the next repair or audit.
    if (repair) look(*links);
    for (const ipam::Place& place : doubtful_places()) {
      const auto known = allocator_.quarantined().find(place);
      const bool told = known != allocator_.quarantined().end();
      const std::string reason = told ? known->second : doubt(place);
      found.push_back(reason +
                      (told || repair ? "; it is quarantined" : ", and is free by our records"));
      if (repair && !told) quarantine(place, reason);
    }
    return found;
  }

  void examine_store(bool repair, std::vector<std::string>& found) {
    const std::string loss = store_.loss();
    if (loss.empty()) return;
    if (!repair) return found.push_back(loss + "; --repair writes it anew");
    const auto done = store_.write_anew();
    statistics_.store_up = done.has_value();
    found.push_back(loss + (done ? ": written anew" : ": " + done.error().message));
  }

  /// Without its alias a container cannot be found again when the database is lost, and one that is
  /// not weft's keeps DEL from the link. None: weft-cni sets it last, and it may be on its way.
  void examine_alias(Link& link, const ipam::Lease& lease, bool repair,
                     std::vector<std::string>& found) {
    constexpr std::chrono::seconds add_takes{10};
    const std::string alias = ipam::link_alias(lease);
    if (lease.delegated || link.alias == alias) return;
    if (link.alias.empty() && Clock::now() - lease.allocated_at < add_takes) return;
    std::string sentence = fmt::format(
        "link {} of container {} has {} and not {}", link.name, describe(lease.attachment),
        link.alias.empty() ? "no alias" : "alias " + link.alias, alias);
    if (!repair) return found.push_back(sentence + "; --repair puts it back");
    const auto done = set_link_alias(socket_, link.index, alias);
    if (done) link.alias = alias;
    found.push_back(sentence + (done ? ": put back" : ": " + done.error().message));
  }

  void examine_routes(const Link& link, const ipam::Lease& lease, bool repair,
                      std::vector<std::string>& found) {
    const std::string container = describe(lease.attachment);
    if (!link.up) {
      // Somebody may have cut it off on purpose.
      return found.push_back(fmt::format(
          "link {} of container {} is down: set it up (ip link set {} up), and the next "
          "audit puts its routes back",
          link.name, container, link.name));
    }
    for (const Address& address : addresses_of(lease)) {
      const auto route = find_host_route(socket_, address);
      if (!route) {
        return found.push_back("the kernel's routes cannot be read: " + route.error().message);
      }
      if (is_ours(*route, link)) continue;
      if (*route) {
        found.push_back(fmt::format(
            "{} of container {} has a route of protocol {} to link {} and "
            "not weft's to {}: delete it, and the next audit puts weft's back",
            address.text(), container, (*route)->protocol, (*route)->ifindex, link.name));
        continue;
      }
      std::string sentence = fmt::format("{} of container {} has no route to {}", address.text(),
                                         container, link.name);
      if (!repair) {
        found.push_back(sentence + "; the next audit puts it back");
        continue;
      }
      const auto put = put_route(address, link);
      found.push_back(sentence + (put ? ": put back" : ": " + put.error().message));
    }
  }

  void examine_filter(bool repair, std::vector<std::string>& found) {
    if (!filter_) return;
    const auto fault = filter_->fault(guarded());
    if (!fault) return found.push_back(fault.error().message);
    if (fault->empty()) return;
    // An audit of a repair follows.
    found.push_back(*fault + (repair ? ": made anew" : "; the next audit makes it anew"));
  }

  /// Of all of our blocks, what is free by the records and in use by what the kernel and BGP show.
  std::vector<ipam::Place> doubtful_places() {
    std::vector<ipam::Place> places;
    for (const ipam::BlockStatus& block : allocator_.blocks(Clock::now())) {
      if (block.state == ipam::BlockState::foreign) continue;
      for (std::uint32_t ordinal = 0; ordinal < block.capacity; ++ordinal) {
        ipam::Place place{block.id, ordinal};
        const bool free = !allocator_.is_held(place) && !allocator_.is_reserved(place) &&
                          !allocator_.lent().contains(place);
        if (free && !doubt(place).empty()) {
          places.push_back(std::move(place));
        }
      }
    }
    return places;
  }

  /// Only what an audit has missed already: an ADD on its way has an address and no link yet.
  std::string examine_gone(const ipam::LeaseStatus& held, bool repair, Time now) {
    const ipam::Lease& lease = held.lease;
    std::string sentence =
        fmt::format("{} is held by container {}, {}", addresses_of(lease).front().text(),
                    describe(lease.attachment),
                    lease.delegated ? "whose namespace is gone" : "which has no link");
    if (!repair) return sentence + "; two audits free it";
    if (held.attached)
      return sentence + "; an ADD may be at it, so the next --repair or audit frees it";
    const auto freed = commit(allocator_.release(lease.attachment, lease.sequence, now).changes);
    return sentence + (freed ? ": freed" : ": " + freed.error().message);
  }

  void contest(std::set<ipam::BlockId> blocks) { allocator_.contest(std::move(blocks)); }
  [[nodiscard]] const std::string& incarnation() const { return store_.incarnation(); }
  [[nodiscard]] const std::string& boot() const { return boot_id_; }

  std::function<void()> usage_changed;
  std::function<void()> blocks_changed;
  std::function<bool(const Address&)> shown_elsewhere;
  AskFor ask_for;
  [[nodiscard]] const ipam::Allocator& allocator() const { return allocator_; }
  [[nodiscard]] const ContainersStatistics& statistics() const { return statistics_; }
  [[nodiscard]] std::uint64_t spoofed_packets() {
    if (!filter_) return 0;
    const auto packets = filter_->spoofed_packets();
    return packets ? *packets : 0;
  }

 private:
  using Removed = std::function<void(const std::string& failure)>;

  static ctl::Failure removed_meanwhile() {
    return {ctl::ErrorCode::busy, "the container was removed before its address came"};
  }

  ctl::Reply released(const Attachment& attachment, std::uint64_t sequence) {
    const ipam::Release release = allocator_.release(attachment, sequence, Clock::now());
    if (auto committed = commit(release.changes); !committed) {
      return ctl::Failure{ctl::ErrorCode::internal, committed.error().message};
    }
    if (release.lease) unguard(*release.lease);
    return ctl::Done{};
  }

  [[nodiscard]] ctl::Lease told(const ipam::Lease& lease) const {
    return daemon::told(lease, allocator_.has_gateway(lease.block), default_mtu_());
  }

  /// What the records call free is given only when neither kernel nor BGP shows it in use.
  Result<ipam::Grant, ipam::Refusal> granted(const ipam::AllocateRequest& wanted, Time now) {
    for (;;) {
      auto grant = allocator_.allocate(wanted, now);
      if (!grant || grant->existing || wanted.in_use) return grant;
      const ipam::Lease& lease = grant->lease;
      const bool own = grant->replaced && grant->replaced->block == lease.block &&
                       grant->replaced->ordinal == lease.ordinal;
      const std::string reason = own ? std::string() : doubt(lease);
      if (reason.empty()) return grant;
      // Its owner decides what becomes of it.
      if (lease.borrowed) return ipam::Refusal{ipam::Refusal::Reason::taken, reason};
      quarantine({lease.block, lease.ordinal}, reason);
    }
  }

  void quarantine(const ipam::Place& place, const std::string& reason) {
    spdlog::warn("quarantined: {}", reason);
    allocator_.quarantine(place, reason);
    ++statistics_.quarantined;
  }

  std::string doubt(const ipam::Place& place) {
    return daemon::doubt(place, socket_, shown_elsewhere);
  }
  std::string doubt(const ipam::Lease& lease) {
    return doubt(ipam::Place{lease.block, lease.ordinal});
  }

  /// Those that nobody has any more come back.
  void review_quarantine() {
    const auto places = allocator_.quarantined();
    for (const auto& [place, reason] : places) {
      if (!doubt(place).empty()) continue;
      spdlog::info("out of quarantine: {} no longer", reason);
      allocator_.acquit(place, Clock::now());
    }
  }

  [[nodiscard]] bool lives(const ipam::Lease& lease) const {
    return lease.boot_id == boot_id_ &&
           (lease.netns_inode == 0 || inode_of(lease.netns) == lease.netns_inode);
  }

  void finish(std::string_view verb, Time began, const Answer& answer, const ctl::Reply& reply) {
    auto found = statistics_.verbs.find(verb);
    if (found == statistics_.verbs.end()) {
      found = statistics_.verbs.emplace(std::string(verb), exporter::CniRequests{}).first;
      found->second.verb = verb;
    }
    const auto* failure = std::get_if<ctl::Failure>(&reply);
    ++found->second.results[failure == nullptr ? "ok" : std::string(name(failure->code))];
    found->second.seconds.observe(std::chrono::duration<double>(Clock::now() - began).count());
    if (failure != nullptr) spdlog::warn("{} refused: {}", verb, failure->message);
    answer(reply);
  }

  /// Once for all who ask for the same link: a second request could meet the next link of its name.
  void remove(const std::string& ifname, std::vector<Address> addresses, Removed done) {
    auto& waiting = removed_[ifname];
    waiting.push_back(std::move(done));
    if (waiting.size() == 1) remover_.remove(ifname, std::move(addresses));
  }

  void await_removals() {
    removals_.async_wait(asio::posix::stream_descriptor::wait_read,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           if (error || self->stopped_) return;
                           for (const VethRemover::Removed& removed : self->remover_.take()) {
                             self->removed(removed);
                           }
                           self->await_removals();
                         });
  }

  void removed(const VethRemover::Removed& removed) {
    const auto waiting = removed_.extract(removed.name);
    if (waiting.empty()) return;
    // Its routes were withdrawn before the link was to go.
    if (!removed.failure.empty()) repair_routes(std::nullopt);
    for (const Removed& done : waiting.mapped()) done(removed.failure);
    const auto later = after_removal_.extract(removed.name);
    if (later.empty()) return;
    for (const auto& resumed : later.mapped()) resumed(false);
  }

  void await_audit() {
    audit_timer_.expires_after(allocator_.settings().audit_interval);
    audit_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error && !self->stopped_) self->audit();
    });
  }

  void audit() {
    await_audit();
    auto links = list_links(socket_);
    if (!links) return spdlog::error("links of this host: {}", links.error().message);
    // Its container lives, whatever its link is called.
    for (const auto& [link, lease] : renamed(*links)) {
      name_back(*link, lease->host_ifname);
      link->name = lease->host_ifname;
    }
    if (const std::string loss = store_.loss(); !loss.empty()) {
      spdlog::error("{}; weftctl ipam check --repair writes it anew", loss);
    }
    look(*links);
  }

  /// Links that somebody has given another name, known by their alias.
  std::vector<std::pair<Link*, const ipam::Lease*>> renamed(std::vector<Link>& links) {
    std::vector<Link*> strange;
    std::set<std::string> present;
    for (Link& link : links) {
      if (allocator_.find_host_ifname(link.name) != nullptr) {
        present.insert(link.name);
      } else if (link.alias.starts_with("weft:")) {
        strange.push_back(&link);
      }
    }
    std::vector<std::pair<Link*, const ipam::Lease*>> found;
    if (strange.empty()) return found;
    for (const ipam::LeaseStatus& held : allocator_.leases()) {
      const std::string& ifname = held.lease.host_ifname;
      if (present.contains(ifname) || removed_.contains(ifname)) continue;
      const std::string alias = ipam::link_alias(held.lease);
      for (Link* link : strange) {
        if (link->alias == alias) found.emplace_back(link, allocator_.find_host_ifname(ifname));
      }
    }
    return found;
  }

  /// Those of which there is no record either, and the name that their alias stands for.
  std::vector<std::pair<Link*, std::string>> renamed_unrecorded(std::vector<Link>& links) {
    std::set<std::string> present;
    for (const Link& link : links) present.insert(link.name);
    std::vector<std::pair<Link*, std::string>> found;
    for (Link& link : links) {
      const auto alias = ipam::parse_link_alias(link.alias);
      const auto name = alias ? ipam::link_name(*alias) : std::nullopt;
      if (!name || link.name == *name || allocator_.find_host_ifname(link.name) != nullptr ||
          allocator_.find_host_ifname(*name) != nullptr || !present.insert(*name).second) {
        continue;
      }
      found.emplace_back(&link, *name);
    }
    return found;
  }

  bool name_back(const Link& link, const std::string& name) {
    const auto done = rename_link(socket_, link.index, name);
    spdlog::warn("link {} ({}) was renamed by somebody and {}", name, link.alias,
                 done ? "has its name again"
                      : fmt::format("is {} now: it cannot be named back: {}", link.name,
                                    done.error().message));
    return done.has_value();
  }

  void look(const std::vector<Link>& links) {
    ipam::Observation seen;
    for (const Link& link : links) {
      if (is_container_link(link.name)) seen.host_ifnames.insert(link.name);
    }
    std::set<std::uint64_t> awaited;
    for (const ipam::LeaseStatus& held : allocator_.leases()) {
      const ipam::Lease& lease = held.lease;
      if (lease.delegated && lives(lease)) seen.host_ifnames.insert(lease.host_ifname);
      if (!seen.host_ifnames.contains(lease.host_ifname)) awaited.insert(lease.sequence);
    }
    std::erase_if(repeated_, [&](std::uint64_t one) { return !awaited.contains(one); });
    if (auto done = carry_out(allocator_.audit(seen, Clock::now())); !done) {
      return spdlog::error(done.error().message);
    }
    review_quarantine();
    remove_orphans(links);
    restore_routes(links);
    repair_filter();
  }

  [[nodiscard]] bool is_guarded(const ipam::Lease& lease) const {
    const auto& trusted = filter_settings_.trusted_networks;
    return !lease.delegated &&
           std::find(trusted.begin(), trusted.end(), lease.attachment.network) == trusted.end();
  }

  [[nodiscard]] std::vector<Guarded> guarded() const {
    std::vector<Guarded> list;
    for (const ipam::LeaseStatus& status : allocator_.leases()) {
      if (is_guarded(status.lease)) list.push_back(guarded_as(status.lease));
    }
    return list;
  }

  /// Containers run without their filter rather than not at all: a kernel may have no nf_tables.
  void replace_filter() {
    statistics_.filter_fault.clear();
    auto filter = PacketFilter::open();
    auto done = filter ? filter->replace(filter_settings_, guarded()) : filter.error();
    if (done) {
      filter_ = std::move(*filter);
      return;
    }
    filter_.reset();
    if (!filter_settings_.anti_spoof && !filter_settings_.masquerade) return;
    statistics_.filter_fault = fmt::format(
        "containers are not filtered: {} (set cni: anti-spoof and masquerade to false "
        "where the kernel has no nf_tables)",
        done.error().message);
    spdlog::warn(statistics_.filter_fault);
  }

  /// Others flush rulesets that are not theirs.
  void repair_filter() {
    if (!filter_) return;
    const auto fault = filter_->fault(guarded());
    if (fault && fault->empty()) return;
    make_filter_anew();
  }

  void make_filter_anew() {
    spdlog::warn("the nft table inet weft was changed by somebody else and is made anew");
    replace_filter();
  }

  Result<void> guard(const ipam::Lease& lease) {
    if (!filter_ || !is_guarded(lease) || filter_->add(guarded_as(lease))) return {};
    make_filter_anew();
    if (filter_ || statistics_.filter_fault.empty()) return {};
    return Error{statistics_.filter_fault};
  }

  void unguard(const ipam::Lease& lease) {
    if (!filter_ || !is_guarded(lease)) return;
    if (const auto done = filter_->remove(guarded_as(lease)); !done) make_filter_anew();
  }

  Result<void> carry_out(const ipam::Audit& audit) {
    if (auto committed = commit(audit.changes); !committed) return committed;
    for (const std::string& complaint : audit.complaints) spdlog::warn(complaint);
    for (const ipam::Lease& lease : audit.adopted) {
      spdlog::info("container {} found in the kernel and adopted", describe(lease.attachment));
    }
    for (const ipam::Lease& lease : audit.freed) {
      unguard(lease);
      ++(lease.boot_id == boot_id_ ? statistics_.reclaimed_netns : statistics_.reclaimed_boot);
      spdlog::info("container {} is gone and nobody said so: its address is freed",
                   describe(lease.attachment));
      if (lease.borrowed) continue;
      // Its link may only have another name now.
      const std::string reason = doubt(lease);
      if (!reason.empty()) quarantine({lease.block, lease.ordinal}, reason);
    }
    if (!audit.changes.empty() && blocks_changed) blocks_changed();
    return {};
  }

  /// A veth of ours that belongs to no container, seen in two audits: left by a weft-cni that was
  /// killed.
  void remove_orphans(const std::vector<Link>& links) {
    std::set<std::string> orphans;
    for (const Link& link : links) {
      if (!is_container_link(link.name) || !link.alias.starts_with("weft:")) continue;
      if (allocator_.find_host_ifname(link.name) != nullptr || removed_.contains(link.name))
        continue;
      orphans.insert(link.name);
      if (!orphans_.contains(link.name)) continue;
      spdlog::info("veth {} ({}) belongs to no container and is removed", link.name, link.alias);
      remove(link.name, {}, [name = link.name](const std::string& failure) {
        if (!failure.empty()) spdlog::warn("veth {}: {}", name, failure);
      });
    }
    orphans_ = std::move(orphans);
  }

  /// Each container's veth leads to its addresses, whatever others did to the routing table. A link
  /// without alias is being wired by weft-cni just now.
  void restore_routes(const std::vector<Link>& links) {
    for (const Link& link : links) {
      if (!is_container_link(link.name) || !link.up || link.alias.empty()) continue;
      if (removed_.contains(link.name)) continue;
      const ipam::Lease* lease = allocator_.find_host_ifname(link.name);
      if (lease == nullptr) continue;
      restore_alias(link, *lease);
      for (const Address& address : addresses_of(*lease)) {
        const auto routed = is_routed(address, link);
        if (!routed) return spdlog::error("routes of this host: {}", routed.error().message);
        if (!*routed) restore_route(address, link);
      }
    }
  }

  /// One that is not weft's would keep DEL from the link.
  void restore_alias(const Link& link, const ipam::Lease& lease) {
    const std::string alias = ipam::link_alias(lease);
    if (link.alias == alias) return;
    const auto done = set_link_alias(socket_, link.index, alias);
    spdlog::warn("alias of link {} was {} and {}", link.name, link.alias,
                 done ? "is " + alias + " again" : "cannot be put back: " + done.error().message);
  }

  /// A look-up each: a dump would bring along all that is learned.
  [[nodiscard]] Result<bool, netlink::Refusal> is_routed(const Address& address, const Link& link) {
    const auto route = find_host_route(socket_, address);
    if (!route) return route.error();
    return is_ours(*route, link);
  }

  static bool is_ours(const std::optional<HostRoute>& route, const Link& link) {
    return route == HostRoute{false, container_route_protocol, link.index};
  }

  Result<void, netlink::Refusal> put_route(const Address& address, const Link& link) {
    netlink::Batch batch;
    put_container_route(batch, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, address, link.index);
    auto put = socket_.request(batch);
    if (!put) return put;
    ++statistics_.routes_repaired;
    spdlog::warn("route {} dev {} was gone and is back", address.text(), link.name);
    return put;
  }

  void restore_route(const Address& address, const Link& link) {
    const auto put = put_route(address, link);
    if (put) return;
    // EEXIST: a foreign route, which stays.
    if (put.error().code != EEXIST) {
      spdlog::warn("route {} dev {}: {}", address.text(), link.name, put.error().message);
    }
  }

  ipam::Allocator allocator_;
  ipam::Store store_;
  VethRemover remover_;
  netlink::Socket socket_;
  /// None on a kernel without nf_tables.
  std::optional<PacketFilter> filter_;
  FilterSettings filter_settings_;
  std::string boot_id_;
  std::function<std::uint32_t()> default_mtu_;
  asio::posix::stream_descriptor removals_;
  asio::steady_timer audit_timer_;
  asio::steady_timer repair_timer_;
  /// Links on their way out, and whoever waits for it.
  std::map<std::string, std::vector<Removed>> removed_;
  /// ADDs that came meanwhile.
  std::map<std::string, std::vector<std::function<void(bool removed_again)>>> after_removal_;
  /// Leases that more than one ADD was told of, until their link is seen.
  std::set<std::uint64_t> repeated_;
  std::set<std::string> orphans_;
  /// Who waits for an address of another host's block, by the number of the question.
  std::map<Attachment, std::uint64_t> asking_;
  std::uint64_t asked_ = 0;
  ContainersStatistics statistics_;
  bool repair_pending_ = false;
  bool stopped_ = false;
};

Result<std::unique_ptr<Containers>> Containers::start(asio::io_context& io,
                                                      const ipam::Settings& settings,
                                                      const FilterSettings& filter,
                                                      const std::filesystem::path& directory,
                                                      std::function<std::uint32_t()> default_mtu) {
  auto loop = Loop::open(io, settings, filter, directory, std::move(default_mtu));
  if (!loop) return loop.error();
  (*loop)->run();
  return std::unique_ptr<Containers>(new Containers(std::move(*loop)));
}

Containers::Containers(std::shared_ptr<Loop> loop) : loop_(std::move(loop)) {}
Containers::~Containers() {
  loop_->stop();
}

void Containers::add(const ctl::AddRequest& request, const Answer& answer) {
  loop_->add(request, answer);
}
void Containers::del(const ctl::DelRequest& request, const Answer& answer) {
  loop_->del(request, answer);
}
ctl::Reply Containers::take_over(const ctl::ImportRequest& request) {
  return loop_->take_over(request);
}
void Containers::spare(const ctl::SpareRequest& request, const Answer& answer) {
  loop_->spare(request, answer);
}
void Containers::check(const ctl::CheckRequest& request, const Answer& answer) {
  loop_->check(request, answer);
}
Result<void> Containers::commit(const ipam::Changes& changes) {
  return loop_->commit(changes);
}
std::vector<std::string> Containers::examine(bool repair) {
  return loop_->examine(repair);
}
void Containers::contest(std::set<ipam::BlockId> blocks) {
  loop_->contest(std::move(blocks));
}
void Containers::on_usage_changed(std::function<void()> handler) {
  loop_->usage_changed = std::move(handler);
}
void Containers::on_doubt(std::function<bool(const Address&)> shown_elsewhere) {
  loop_->shown_elsewhere = std::move(shown_elsewhere);
}
void Containers::on_ask_for(AskFor handler) {
  loop_->ask_for = std::move(handler);
}
const std::string& Containers::incarnation() const {
  return loop_->incarnation();
}
const std::string& Containers::boot() const {
  return loop_->boot();
}
Result<void> Containers::apply(const ipam::Settings& settings, const FilterSettings& filter) {
  return loop_->apply(settings, filter);
}
void Containers::on_blocks_changed(std::function<void()> handler) {
  loop_->blocks_changed = std::move(handler);
}
void Containers::repair_routes(const std::optional<Address>& address) {
  loop_->repair_routes(address);
}
void Containers::stop() {
  loop_->stop();
}
const ipam::Allocator& Containers::allocator() const {
  return loop_->allocator();
}
const ContainersStatistics& Containers::statistics() const {
  return loop_->statistics();
}
std::uint64_t Containers::spoofed_packets() const {
  return loop_->spoofed_packets();
}

}  // namespace weft::daemon
