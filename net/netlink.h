// Netlink messages as bytes: Batch builds requests one after another in one buffer, Messages and
// Attributes take received bytes apart, bounded at every step. Numbers are in host byte order,
// addresses in network order, as rtnetlink(7) wants them. Not here: sockets (net/netlink_socket.h)
// and what a message means.
#pragma once

#include <linux/netlink.h>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>
#include <vector>

#include "net/bytes.h"
#include "net/ip.h"

namespace weft::netlink {

/// Netlink aligns messages and attributes to four octets.
constexpr std::size_t aligned(std::size_t size) {
  return (size + 3) & ~std::size_t{3};
}

/// Longest message a Batch takes; an attribute length is 16 bits wide.
inline constexpr std::size_t message_limit = 65536;

/// Requests in one buffer, as one sendmsg takes them. Sequence numbers and NLM_F_ACK are the
/// socket's work. Messages are written front to back: begin() closes the one before.
class Batch {
 public:
  /// A new message: type and NLM_F_* flags (NLM_F_REQUEST is implied), then its fixed header, such
  /// as an rtmsg.
  template <typename Header>
  void begin(std::uint16_t type, std::uint16_t flags, const Header& header) {
    static_assert(std::is_trivially_copyable_v<Header>);
    std::memcpy(open(type, flags, sizeof(Header)), &header, sizeof(Header));
  }

  void put(std::uint16_t attribute, Bytes payload) {
    std::byte* to = append(attribute, payload.size());
    if (!payload.empty()) std::memcpy(to, payload.data(), payload.size());
  }
  void put_u8(std::uint16_t attribute, std::uint8_t value) { put_raw(attribute, value); }
  void put_u16(std::uint16_t attribute, std::uint16_t value) { put_raw(attribute, value); }
  void put_u32(std::uint16_t attribute, std::uint32_t value) { put_raw(attribute, value); }
  void put_u64(std::uint16_t attribute, std::uint64_t value) { put_raw(attribute, value); }
  /// Big-endian, for the nf_tables family.
  void put_be32(std::uint16_t attribute, std::uint32_t value);
  /// With the terminating NUL that the kernel expects of interface names and aliases.
  void put_text(std::uint16_t attribute, std::string_view text);
  void put_address(std::uint16_t attribute, const Address& address) {
    put(attribute, address.octets());
  }
  /// Any plain struct, such as rtnexthop or nexthop_grp.
  template <typename T>
  void put_raw(std::uint16_t attribute, const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::memcpy(append(attribute, sizeof(T)), &value, sizeof(T));
  }
  /// A fixed header inside a nest, without an attribute of its own (VETH_INFO_PEER holds an
  /// ifinfomsg).
  template <typename T>
  void put_header(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::memcpy(extend(sizeof(T)), &value, sizeof(T));
  }

  /// Opens an attribute that holds others; give what it returns to end_nest(). Nests close in
  /// reverse order. NLA_F_NESTED is for the caller to set where a subsystem checks it (nf_tables;
  /// rtnetlink does not).
  [[nodiscard]] std::size_t nest(std::uint16_t attribute);
  void end_nest(std::size_t nest);

  /// Messages begun since the last clear().
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] std::size_t size() const { return buffer_.size(); }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] Bytes bytes() const { return buffer_; }
  /// Forgets the messages, keeps the memory.
  void clear();
  void reserve(std::size_t octets) { buffer_.reserve(octets); }

  /// Which messages ask the kernel for an acknowledgement; errors are reported for every message
  /// either way.
  enum class Ack : std::uint8_t { last, each, none };
  /// Numbers the messages `first`, `first` + 1, … and sets NLM_F_ACK.
  void stamp(std::uint32_t first, Ack ack);
  /// Adds NLM_F_* flags to the message begun last.
  void add_flags(std::uint16_t flags);

 private:
  std::byte* open(std::uint16_t type, std::uint16_t flags, std::size_t header);
  std::byte* append(std::uint16_t attribute, std::size_t size);
  std::byte* extend(std::size_t size);

  std::vector<std::byte> buffer_;
  std::size_t message_ = 0;
  std::size_t count_ = 0;
};

/// One attribute; its reads give zero or nothing when the payload is too short for them.
class Attribute {
 public:
  Attribute(std::uint16_t type, Bytes payload) : payload_(payload), type_(type) {}

  /// Without NLA_F_NESTED and NLA_F_NET_BYTEORDER.
  [[nodiscard]] std::uint16_t type() const { return type_ & type_mask; }
  [[nodiscard]] Bytes payload() const { return payload_; }
  [[nodiscard]] std::uint8_t u8() const { return raw<std::uint8_t>(); }
  [[nodiscard]] std::uint16_t u16() const { return raw<std::uint16_t>(); }
  [[nodiscard]] std::uint32_t u32() const { return raw<std::uint32_t>(); }
  [[nodiscard]] std::uint64_t u64() const { return raw<std::uint64_t>(); }
  /// Up to the first NUL.
  [[nodiscard]] std::string_view text() const;
  /// None unless the payload is 4 or 16 octets long.
  [[nodiscard]] std::optional<Address> address() const;
  template <typename T>
  [[nodiscard]] T raw() const {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    if (payload_.size() >= sizeof(T)) std::memcpy(&value, payload_.data(), sizeof(T));
    return value;
  }

 private:
  static constexpr std::uint16_t type_mask = 0x3fff;  // NLA_TYPE_MASK, unsigned

  Bytes payload_;
  std::uint16_t type_;
};

/// The attributes in a stretch of octets: for (const Attribute attribute : Attributes(bytes)). Ends
/// quietly at the first malformed one.
class Attributes {
 public:
  explicit Attributes(Bytes bytes) : bytes_(bytes) {}

  class Iterator {
   public:
    explicit Iterator(Bytes rest) : rest_(rest) { check(); }
    Attribute operator*() const;
    Iterator& operator++();
    bool operator!=(const Iterator& other) const { return rest_.size() != other.rest_.size(); }

   private:
    void check();
    Bytes rest_;
  };
  [[nodiscard]] Iterator begin() const { return Iterator(bytes_); }
  [[nodiscard]] Iterator end() const { return Iterator(Bytes{}); }
  /// The first of this type.
  [[nodiscard]] std::optional<Attribute> find(std::uint16_t type) const;

 private:
  Bytes bytes_;
};

/// One received message, a view into the receive buffer.
struct Message {
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  std::uint32_t port = 0;
  /// What follows the nlmsghdr.
  Bytes body;

  /// The fixed header at the start of the body; none when the body is shorter.
  template <typename Header>
  [[nodiscard]] std::optional<Header> header() const {
    static_assert(std::is_trivially_copyable_v<Header>);
    if (body.size() < sizeof(Header)) return std::nullopt;
    Header header{};
    std::memcpy(&header, body.data(), sizeof(Header));
    return header;
  }
  /// The attributes behind that header.
  template <typename Header>
  [[nodiscard]] Attributes attributes() const {
    const std::size_t skip = aligned(sizeof(Header));
    return Attributes(body.size() < skip ? Bytes{} : body.subspan(skip));
  }
};

/// The messages of one datagram, in order; ends quietly at the first malformed one.
class Messages {
 public:
  explicit Messages(Bytes datagram) : rest_(datagram) {}
  /// The next message, or none at the end.
  std::optional<Message> next();

 private:
  Bytes rest_;
};

}  // namespace weft::netlink
