#include "net/netlink.h"

#include <algorithm>

namespace weft::netlink {

std::byte* Batch::extend(std::size_t size) {
  const std::size_t at = buffer_.size();
  buffer_.resize(at + aligned(size));  // the padding is zero
  assert(buffer_.size() - message_ <= message_limit);
  const auto length = static_cast<std::uint32_t>(buffer_.size() - message_);
  std::memcpy(buffer_.data() + message_ + offsetof(nlmsghdr, nlmsg_len), &length, sizeof length);
  return buffer_.data() + at;
}

std::byte* Batch::open(std::uint16_t type, std::uint16_t flags, std::size_t header) {
  message_ = buffer_.size();
  ++count_;
  nlmsghdr head{};
  head.nlmsg_type = type;
  head.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
  head.nlmsg_len = static_cast<std::uint32_t>(sizeof head + aligned(header));
  buffer_.resize(message_ + head.nlmsg_len);
  std::memcpy(buffer_.data() + message_, &head, sizeof head);
  return buffer_.data() + message_ + sizeof head;
}

std::byte* Batch::append(std::uint16_t attribute, std::size_t size) {
  assert(count_ > 0);
  const nlattr head{static_cast<std::uint16_t>(sizeof(nlattr) + size), attribute};
  std::byte* to = extend(sizeof head + size);
  std::memcpy(to, &head, sizeof head);
  return to + sizeof head;
}

void Batch::put_be32(std::uint16_t attribute, std::uint32_t value) {
  std::byte* to = append(attribute, sizeof value);
  for (unsigned i = 0; i < 4; ++i) to[i] = static_cast<std::byte>(value >> (24 - 8 * i));
}

void Batch::put_text(std::uint16_t attribute, std::string_view text) {
  std::byte* to = append(attribute, text.size() + 1);
  std::copy(text.begin(), text.end(), reinterpret_cast<char*>(to));
}

std::size_t Batch::nest(std::uint16_t attribute) {
  const std::size_t at = buffer_.size();
  append(attribute, 0);
  return at;
}

void Batch::end_nest(std::size_t nest) {
  assert(nest >= message_ && nest + sizeof(nlattr) <= buffer_.size());
  const auto length = static_cast<std::uint16_t>(buffer_.size() - nest);
  std::memcpy(buffer_.data() + nest + offsetof(nlattr, nla_len), &length, sizeof length);
}

void Batch::clear() {
  buffer_.clear();
  message_ = 0;
  count_ = 0;
}

void Batch::stamp(std::uint32_t first, Ack ack) {
  std::size_t index = 0;
  for (std::size_t at = 0; at < buffer_.size(); ++index) {
    nlmsghdr head{};
    std::memcpy(&head, buffer_.data() + at, sizeof head);
    head.nlmsg_seq = first + static_cast<std::uint32_t>(index);
    const bool wanted = ack == Ack::each || (ack == Ack::last && index + 1 == count_);
    const unsigned flags = head.nlmsg_flags & ~unsigned{NLM_F_ACK};
    head.nlmsg_flags = static_cast<std::uint16_t>(flags | (wanted ? NLM_F_ACK : 0U));
    std::memcpy(buffer_.data() + at, &head, sizeof head);
    at += head.nlmsg_len;
  }
  assert(index == count_);
}

void Batch::add_flags(std::uint16_t flags) {
  assert(count_ > 0);
  std::uint16_t all = 0;
  std::byte* at = buffer_.data() + message_ + offsetof(nlmsghdr, nlmsg_flags);
  std::memcpy(&all, at, sizeof all);
  all = static_cast<std::uint16_t>(all | flags);
  std::memcpy(at, &all, sizeof all);
}

std::string_view Attribute::text() const {
  const std::string_view all = as_text(payload_);
  return all.substr(0, all.find('\0'));
}

std::optional<Address> Attribute::address() const {
  if (payload_.size() != 4 && payload_.size() != 16) return std::nullopt;
  return Address::of(payload_);
}

namespace {

nlattr head_of(Bytes rest) {
  nlattr head{};
  std::memcpy(&head, rest.data(), sizeof head);
  return head;
}

}  // namespace

void Attributes::Iterator::check() {
  if (rest_.size() < sizeof(nlattr)) {
    rest_ = {};
    return;
  }
  const nlattr head = head_of(rest_);
  if (head.nla_len < sizeof(nlattr) || head.nla_len > rest_.size()) rest_ = {};
}

Attribute Attributes::Iterator::operator*() const {
  const nlattr head = head_of(rest_);
  return {head.nla_type, rest_.subspan(sizeof head, head.nla_len - sizeof head)};
}

Attributes::Iterator& Attributes::Iterator::operator++() {
  const std::size_t step = aligned(head_of(rest_).nla_len);
  rest_ = rest_.subspan(std::min(step, rest_.size()));
  check();
  return *this;
}

std::optional<Attribute> Attributes::find(std::uint16_t type) const {
  for (const Attribute attribute : *this) {
    if (attribute.type() == type) return attribute;
  }
  return std::nullopt;
}

std::optional<Message> Messages::next() {
  nlmsghdr head{};
  if (rest_.size() < sizeof head) return std::nullopt;
  std::memcpy(&head, rest_.data(), sizeof head);
  if (head.nlmsg_len < sizeof head || head.nlmsg_len > rest_.size()) {
    rest_ = {};
    return std::nullopt;
  }
  const Message message{head.nlmsg_type, head.nlmsg_flags, head.nlmsg_seq, head.nlmsg_pid,
                        rest_.subspan(sizeof head, head.nlmsg_len - sizeof head)};
  rest_ = rest_.subspan(std::min(aligned(head.nlmsg_len), rest_.size()));
  return message;
}

}  // namespace weft::netlink
