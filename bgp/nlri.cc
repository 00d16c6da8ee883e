#include "bgp/nlri.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace weft::bgp {
namespace {

/// The address whose first octets are `octets`. It may end in octets of `rest`, which begins at the
/// same place: a copy of fixed size is several times faster, and Prefix clears what is not its own.
template <Family family>
Address address(Bytes octets, Bytes rest) {
  std::array<std::byte, bits(family) / 8> padded{};
  if (rest.size() >= padded.size()) {
    std::memcpy(padded.data(), rest.data(), padded.size());
  } else {
    std::copy(octets.begin(), octets.end(), padded.begin());
  }
  if constexpr (family == Family::ipv4) return Address::ipv4(Reader(padded).u32());
  return Address::of(padded);
}

/// One NLRI from the front of `in`; nothing when it is syntactically incorrect.
template <Family family>
bool read(Reader& in, bool path_ids, Nlri& to) {
  to.path_id = path_ids ? in.u32() : 0;
  const unsigned length = in.u8();
  if (length > bits(family)) return false;
  const Bytes rest = in.rest();
  const Bytes octets = in.take((length + 7) / 8);
  if (!in.ok()) return false;
  to.prefix = Prefix(address<family>(octets, rest), length);
  return true;
}

}  // namespace

NlriRange::Iterator::Iterator(const NlriRange& range)
    : rest_(range.bytes), family_(range.family), path_ids_(range.path_ids), done_(false) {
  ++*this;
}

NlriRange::Iterator& NlriRange::Iterator::operator++() {
  done_ =
      rest_.empty() || !(family_ == Family::ipv4 ? read<Family::ipv4>(rest_, path_ids_, current_)
                                                 : read<Family::ipv6>(rest_, path_ids_, current_));
  return *this;
}

std::optional<std::size_t> NlriRange::count() const {
  std::size_t count = 0;
  const std::size_t head = path_ids ? 4 : 0;
  for (Bytes rest = bytes; !rest.empty(); ++count) {
    if (rest.size() <= head) return std::nullopt;
    const unsigned length = std::to_integer<unsigned>(rest[head]);
    const std::size_t size = head + 1 + (length + 7) / 8;
    if (length > bits(family) || size > rest.size()) return std::nullopt;
    rest = rest.subspan(size);
  }
  return count;
}

void encode(const Nlri& nlri, bool path_id, std::vector<std::byte>& out) {
  std::array<std::byte, 21> bytes;
  std::size_t size = 0;
  if (path_id) {
    for (unsigned shift = 32; shift > 0; shift -= 8) {
      bytes[size++] = static_cast<std::byte>(nlri.path_id >> (shift - 8));
    }
  }
  const unsigned length = nlri.prefix.length();
  bytes[size++] = static_cast<std::byte>(length);
  const Bytes address = nlri.prefix.address().octets().first((length + 7) / 8);
  std::copy(address.begin(), address.end(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
  size += address.size();
  out.insert(out.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
}

bool is_routable(const Prefix& prefix) {
  const Address& address = prefix.address();
  if (prefix.length() == 0) return true;
  if (address.is_multicast() || address.is_loopback()) return false;
  if (address.is_v6()) return !address.is_link_local();
  const auto first = std::to_integer<unsigned>(address.octets()[0]);
  const bool this_network = first == 0 && prefix.length() >= 8;
  return !this_network && first < 240;
}

}  // namespace weft::bgp
