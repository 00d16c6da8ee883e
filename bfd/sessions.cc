#include "bfd/sessions.h"

#include <algorithm>
#include <utility>

namespace weft::bfd {
namespace {

constexpr int never_forwarded = 255;

}  // namespace

std::uint32_t Sessions::new_discriminator() {
  for (;;) {
    const auto made = static_cast<std::uint32_t>(random_());
    if (made != 0 && !by_discriminator_.contains(made)) return made;
  }
}

void Sessions::want(const std::map<Path, Terms>& wanted, Time now) {
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (wanted.contains(entry->first)) {
      ++entry;
      continue;
    }
    entry->second.session.shutdown(now);
    collect(entry->second);
    by_discriminator_.erase(entry->second.session.discriminator());
    entry = entries_.erase(entry);
  }
  for (const auto& [path, terms] : wanted) {
    if (const auto known = entries_.find(path); known != entries_.end()) {
      if (known->second.terms == terms) continue;
      known->second.terms = terms;
      known->second.session.apply(terms, now);
      continue;
    }
    if (entries_.size() >= max_sessions) return;
    const std::uint32_t discriminator = new_discriminator();
    Session session(terms, discriminator, static_cast<std::uint32_t>(random_()), now);
    entries_.emplace(path, Entry{path, terms, std::move(session)});
    by_discriminator_.emplace(discriminator, path);
  }
}

Sessions::Entry* Sessions::find(const Arrival& arrival, const Packet& packet) {
  const auto fits = [&](const Path& path) {
    return path.remote == arrival.from && path.is_multihop() == arrival.multihop &&
           (path.is_multihop() || path.ifindex == arrival.ifindex);
  };
  if (packet.your_discriminator != 0) {
    const auto known = by_discriminator_.find(packet.your_discriminator);
    if (known == by_discriminator_.end() || !fits(known->second)) return nullptr;
    return &entries_.at(known->second);
  }
  const Path path{arrival.from, arrival.to, arrival.multihop ? 0 : arrival.ifindex};
  const auto known = entries_.find(path);
  return known == entries_.end() ? nullptr : &known->second;
}

void Sessions::received(const Arrival& arrival, Bytes bytes, Time now) {
  const auto packet = decode(bytes);
  const bool near = arrival.multihop || arrival.ttl == never_forwarded;
  Entry* entry = packet && near ? find(arrival, *packet) : nullptr;
  if (entry == nullptr) {
    ++dropped_;
    return;
  }
  ++entry->received;
  entry->session.received(*packet, now);
  collect(*entry);
}

Time Sessions::deadline() const {
  Time next = Time::max();
  for (const auto& [path, entry] : entries_) next = std::min(next, entry.session.deadline());
  return next;
}

void Sessions::tick(Time now) {
  for (auto& [path, entry] : entries_) {
    if (now < entry.session.deadline()) continue;
    entry.session.tick(now);
    collect(entry);
  }
}

void Sessions::collect(Entry& entry) {
  for (const Packet& packet : entry.session.take_packets()) {
    ++entry.sent;
    transmissions_.push_back({entry.path, encode(packet)});
  }
  for (const Change& change : entry.session.take_changes()) {
    if (!change.up) ++entry.losses;
    events_.push_back(
        {entry.path, change, entry.session.diagnostic(), entry.session.remote_diagnostic()});
  }
}

std::vector<Transmission> Sessions::take_transmissions() {
  return std::exchange(transmissions_, {});
}
std::vector<Event> Sessions::take_events() {
  return std::exchange(events_, {});
}

std::vector<SessionStatus> Sessions::status() const {
  std::vector<SessionStatus> all;
  all.reserve(entries_.size());
  for (const auto& [path, entry] : entries_) {
    const Session& session = entry.session;
    all.push_back({path, entry.terms, session.state(), session.remote_state(), session.diagnostic(),
                   session.remote_diagnostic(), session.discriminator(),
                   session.remote_discriminator(), session.transmit_interval(),
                   session.detection_time(), session.since(), entry.sent, entry.received,
                   entry.losses});
  }
  return all;
}

}  // namespace weft::bfd
