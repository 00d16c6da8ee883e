#include "daemon/announcements.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <string>
#include <variant>

#include "bgp/nlri.h"
#include "daemon/replace_file.h"

namespace weft::daemon {
namespace {

using std::chrono::duration_cast;
using std::chrono::seconds;

ctl::Failure refused(std::string message) {
  return {ctl::ErrorCode::bad_request, std::move(message)};
}

std::int64_t unix_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return duration_cast<seconds>(now).count();
}

std::string text_of(ClientId client) {
  return fmt::format("client {}", client);
}

/// ", communities 65001:1 no-export, MED 5"
std::string text_of(const bgp::Origination& what) {
  std::string text;
  if (const auto communities = what.community_texts(); !communities.empty())
    text += fmt::format(", communities {}", fmt::join(communities, " "));
  if (what.med) text += fmt::format(", MED {}", *what.med);
  return text;
}

}  // namespace

ctl::Reply Announcements::announce(const ctl::AnnounceRequest& request, ClientId client, Time now) {
  if (!bgp::is_routable(request.prefix))
    return refused(fmt::format("{} cannot be a unicast route", request.prefix.text()));
  if (request.hold && request.ttl_seconds)
    return refused("a lease is bound to the connection or to a time, not to both");
  Lease lease;
  lease.what.prefix = request.prefix;
  lease.what.med = request.med;
  for (const std::string& text : request.communities) {
    if (auto added = lease.what.add_community(text); !added) return refused(added.error().message);
  }
  if (request.ttl_seconds) lease.until = now + seconds(*request.ttl_seconds);
  const std::pair key(request.prefix, request.hold ? client : ClientId{0});
  if (!leases_.contains(key) && leases_.size() == limit) {
    return ctl::Failure{ctl::ErrorCode::exhausted,
                        fmt::format("{} prefixes are announced for clients already", limit)};
  }
  const auto known = leases_.find(key);
  if (known == leases_.end() || !(known->second.what == lease.what)) {
    const std::string until = request.hold          ? "while " + text_of(client) + " is there"
                              : request.ttl_seconds ? fmt::format("for {} s", *request.ttl_seconds)
                                                    : "until it is withdrawn";
    news_.push_back(fmt::format("{} is announced for a client {}{}", request.prefix.text(), until,
                                text_of(lease.what)));
  }
  leases_.insert_or_assign(key, std::move(lease));
  return ctl::Done{};
}

ctl::Reply Announcements::withdraw(const ctl::WithdrawRequest& request, ClientId client) {
  const auto of_prefix = [&](const auto& each) { return each.first.first == request.prefix; };
  std::size_t gone = 0;
  if (request.force) {
    gone = std::erase_if(leases_, of_prefix);
  } else {
    gone = leases_.erase({request.prefix, client});
    if (gone == 0) gone = leases_.erase({request.prefix, ClientId{0}});
  }
  if (gone != 0) {
    news_.push_back(fmt::format("{} is withdrawn by a client{}", request.prefix.text(),
                                request.force ? ", whoever announced it" : ""));
    return ctl::Done{};
  }
  const bool elsewhere = std::any_of(leases_.begin(), leases_.end(), of_prefix);
  return ctl::Failure{
      ctl::ErrorCode::not_found,
      elsewhere ? fmt::format("{} is held by another client's connection; --force withdraws it",
                              request.prefix.text())
                : fmt::format("{} is not announced for any client", request.prefix.text())};
}

bool Announcements::client_gone(ClientId client) {
  return std::erase_if(leases_, [&](const auto& each) {
           if (each.first.second != client) return false;
           news_.push_back(fmt::format("{} is withdrawn: {}, which held it, is gone",
                                       each.first.first.text(), text_of(client)));
           return true;
         }) != 0;
}

bool Announcements::expire(Time now) {
  return std::erase_if(leases_, [&](const auto& each) {
           if (!each.second.until || *each.second.until > now) return false;
           news_.push_back(
               fmt::format("{} is withdrawn: its time is over", each.first.first.text()));
           return true;
         }) != 0;
}

std::optional<Time> Announcements::deadline() const {
  std::optional<Time> next;
  for (const auto& [key, lease] : leases_) {
    if (lease.until) next = std::min(next.value_or(*lease.until), *lease.until);
  }
  return next;
}

std::vector<bgp::Origination> Announcements::wanted() const {
  // Ordered by prefix, then client: the unbound one first, then the oldest connection.
  std::vector<bgp::Origination> all;
  for (const auto& [key, lease] : leases_) {
    if (all.empty() || all.back().prefix != key.first) all.push_back(lease.what);
  }
  return all;
}

ctl::Announcements Announcements::view(Time now) const {
  ctl::Announcements view;
  for (const auto& [key, lease] : leases_) {
    ctl::Announcement row;
    row.prefix = key.first.text();
    row.communities = lease.what.community_texts();
    row.med = lease.what.med;
    row.lease = key.second != 0 ? "connection" : lease.until ? "time" : "until withdrawn";
    if (lease.until) {
      row.expires_seconds = static_cast<std::uint64_t>(
          std::max<std::int64_t>(0, duration_cast<seconds>(*lease.until - now).count()));
    }
    view.announcements.push_back(std::move(row));
  }
  return view;
}

Result<void> Announcements::save(const std::filesystem::path& file, Time now) const {
  std::string text;
  for (const auto& [key, lease] : leases_) {
    if (key.second != 0) continue;
    ctl::AnnounceRequest request;
    request.prefix = key.first;
    request.communities = lease.what.community_texts();
    request.med = lease.what.med;
    const std::int64_t until =
        lease.until ? unix_seconds() + duration_cast<seconds>(*lease.until - now).count() + 1 : 0;
    text += fmt::format("{} {}\n", until, ctl::encode(ctl::Request{request}));
  }
  return replace_file(file, text);
}

Result<void> Announcements::load(const std::filesystem::path& file, Time now) {
  std::ifstream in(file);
  std::size_t wrong = 0;
  for (std::string line; std::getline(in, line);) {
    const std::size_t space = std::min(line.find(' '), line.size());
    std::int64_t until = 0;
    const bool timed = std::from_chars(line.data(), line.data() + space, until).ec == std::errc{};
    const auto request = ctl::decode_request(std::string_view(line).substr(space));
    const auto* saved = request ? std::get_if<ctl::AnnounceRequest>(&*request) : nullptr;
    if (!timed || saved == nullptr) {
      ++wrong;
      continue;
    }
    ctl::AnnounceRequest lease = *saved;
    if (until != 0) {
      const std::int64_t left = until - unix_seconds();
      if (left <= 0) continue;
      lease.ttl_seconds = static_cast<std::uint32_t>(
          std::min<std::int64_t>(left, ctl::longest_announcement.count()));
    }
    if (!std::holds_alternative<ctl::Done>(announce(lease, 0, now))) ++wrong;
  }
  if (wrong != 0)
    return Error{fmt::format("{}: {} lines are not understood", file.string(), wrong)};
  return {};
}

}  // namespace weft::daemon
