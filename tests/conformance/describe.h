// What a message says, as conformance cases write it: one line a fact.
#pragma once

#include <fmt/format.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "bgp/message.h"
#include "bgp/update.h"

namespace weft::bgp {

inline std::string describe(const NlriRange& range, std::string_view verb,
                            std::string_view suffix) {
  std::string result;
  for (const Nlri& nlri : range) {
    result += fmt::format("{} {}", verb, nlri.prefix.text());
    if (range.path_ids) result += fmt::format(" path {}", nlri.path_id);
    result += fmt::format("{}\n", suffix);
  }
  return result;
}

inline std::string describe(const Update& update) {
  std::string result;
  for (const AttributeError& error : update.errors()) {
    result += fmt::format("{}: {} {}\n", name(error.handling), name(error.type), error.reason);
  }
  for (const NlriRange& range : update.withdrawals()) result += describe(range, "withdraw", "");
  for (const Announcement& each : update.announcements()) {
    result += describe(each.nlri, "announce", " via " + each.next_hop.text());
  }
  if (!update.announcements().empty()) result += text(update.attributes()) + '\n';
  if (update.end_of_rib()) result += "end-of-rib " + text(*update.end_of_rib()) + '\n';
  return result.empty() ? "nothing\n" : result;
}

inline std::string describe(const Open& open) {
  std::string result = fmt::format("open as {} hold {} id {}\n", open.asn.value,
                                   open.hold_time.count(), open.id.text());
  for (const std::string& line : text(open.capabilities)) result += "  " + line + '\n';
  return result;
}

inline std::string describe(const std::optional<RouteRefresh>& refresh) {
  constexpr std::array kinds{"request", "begin", "end"};
  if (!refresh) return "ignored\n";
  return fmt::format("route-refresh {} {}\n", kinds.at(static_cast<std::size_t>(refresh->subtype)),
                     text(refresh->family));
}

inline std::string describe_refusal(const Notification& notification) {
  return "notify " + text(notification) + '\n';
}

template <typename T>
std::string describe(const Result<T, Notification>& decoded) {
  return decoded ? describe(*decoded) : describe_refusal(decoded.error());
}

inline std::string describe(const Frame& frame, UpdateDecoder& updates) {
  switch (frame.type) {
    case MessageType::open:
      return describe(decode_open(frame.body()));
    case MessageType::update:
      return describe(updates.decode(frame.body()));
    case MessageType::notification:
      return "notification " + text(decode_notification(frame.body())) + '\n';
    case MessageType::keepalive:
      return "keepalive\n";
    case MessageType::route_refresh:
      return describe(decode_route_refresh(frame));
  }
  return "unknown\n";
}

}  // namespace weft::bgp
