// What keys are made of: one function for each kind of value an operator writes. Private to
// *keys.cc.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "config/keys.h"

namespace weft::config {

template <typename T>
struct Inner {
  using Type = T;
};
template <typename T>
struct Inner<std::optional<T>> {
  using Type = T;
};

/// The value of a member that may be optional, or nullptr.
template <typename T>
const T* pointer_to(const T& value) {
  return &value;
}
template <typename T>
const T* pointer_to(const std::optional<T>& value) {
  return value ? &*value : nullptr;
}

/// A key made of how its value is read and printed.
template <typename Settings, typename Member, typename Read, typename Write>
Key<Settings> key_of(std::string_view name, Member Settings::*member, const std::string& type,
                     const std::string& text, Read read, Write write) {
  Key<Settings> key;
  key.name = name;
  key.type = type;
  key.text = text;
  key.read = [member, read](Reader& reader, const Node& node, Settings& settings) {
    if (const auto value = read(reader, node)) settings.*member = *value;
  };
  key.write = [member, write](const Settings& settings) -> std::optional<std::string> {
    const auto* value = pointer_to(settings.*member);
    if (value == nullptr) return std::nullopt;
    return write(*value);
  };
  return key;
}

template <typename Settings, typename Member>
Key<Settings> number(std::string_view name, Member Settings::*member, Range range,
                     const std::string& text) {
  using Number = typename Inner<Member>::Type;
  return key_of(
      name, member, "whole number, " + range.text(), text,
      [range](Reader& reader, const Node& node) -> std::optional<Number> {
        const auto value = reader.number(node, range);
        if (!value) return std::nullopt;
        return static_cast<Number>(*value);
      },
      [](const Number& value) { return fmt::format("{}", value); });
}

template <typename Settings>
Key<Settings> duration(std::string_view name, std::chrono::seconds Settings::*member, Range range,
                       const std::string& text) {
  return key_of(
      name, member, "seconds, " + range.text(), text,
      [range](Reader& reader, const Node& node) -> std::optional<std::chrono::seconds> {
        const auto value = reader.number(node, range, "seconds");
        if (!value) return std::nullopt;
        return std::chrono::seconds(*value);
      },
      [](const std::chrono::seconds& value) { return fmt::format("{}", value.count()); });
}

template <typename Settings, typename Member>
Key<Settings> boolean(std::string_view name, Member Settings::*member, const std::string& text) {
  return key_of(
      name, member, "true or false", text,
      [](Reader& reader, const Node& node) { return reader.boolean(node); },
      [](bool value) { return std::string(value ? "true" : "false"); });
}

template <typename Settings>
Key<Settings> word(std::string_view name, std::string Settings::*member, std::string_view marks,
                   const std::string& text) {
  return key_of(
      name, member,
      fmt::format("word of 1 to {} letters, digits, '{}'", name_limit, fmt::join(marks, "', '")),
      text,
      [marks](Reader& reader, const Node& node) { return reader.word(node, name_limit, marks); },
      [](const std::string& value) { return yaml_text(value); });
}

template <typename Settings, typename Member>
Key<Settings> address(std::string_view name, Member Settings::*member, const std::string& text) {
  return key_of(
      name, member, "IPv4 or IPv6 address", text,
      [](Reader& reader, const Node& node) { return reader.address(node); },
      [](const Address& value) { return yaml_text(value.text()); });
}

/// A prefix of either family.
template <typename Settings>
Key<Settings> prefix(std::string_view name, std::optional<Prefix> Settings::*member,
                     const std::string& text) {
  return key_of(
      name, member, "IPv4 or IPv6 prefix", text,
      [](Reader& reader, const Node& node) {
        const bool v6 = node.text.find(':') != std::string::npos;
        return reader.prefix(node, v6 ? Family::ipv6 : Family::ipv4);
      },
      [](const Prefix& value) { return yaml_text(value.text()); });
}

template <typename Settings>
Key<Settings> prefix(std::string_view name, std::optional<Prefix> Settings::*member, Family family,
                     const std::string& text) {
  return key_of(
      name, member, family == Family::ipv4 ? "IPv4 prefix" : "IPv6 prefix", text,
      [family](Reader& reader, const Node& node) { return reader.prefix(node, family); },
      [](const Prefix& value) { return yaml_text(value.text()); });
}

template <typename Settings>
Key<Settings> structure(std::string_view name, const std::string& type, const std::string& text) {
  Key<Settings> key;
  key.name = name;
  key.type = type;
  key.text = text;
  return key;
}

/// Structure that is printed on one line.
template <typename Settings>
Key<Settings> written(Key<Settings> key, std::string (*write)(const Settings&)) {
  key.write = write;
  return key;
}

template <typename Settings>
Key<Settings> with(Key<Settings> key, Duty duty) {
  key.duty = duty;
  return key;
}

template <typename Settings>
Key<Settings> otherwise(Key<Settings> key, std::string_view absent) {
  key.absent = absent;
  return key;
}

/// Letters and digits aside, what stands in names of hosts.
inline constexpr std::string_view host_marks = "-_.";

/// Names of networks.
std::optional<std::vector<std::string>> read_networks(Reader& reader, const Node& node);
std::string write_networks(const std::vector<std::string>& names);

/// A mapping of label to value, of a node or of what a pool asks of one.
std::optional<ipam::Labels> read_labels(Reader& reader, const Node& node);
std::string write_labels(const ipam::Labels& labels);

/// An IPv4 address that can name one node (RFC 6286).
std::optional<bgp::RouterId> read_router_id(Reader& reader, const Node& node);

}  // namespace weft::config
