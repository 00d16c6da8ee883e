// What Linux 6.7 and later take and give by the socket options of TCP-AO, as far as weft asks.
// Debian 12's headers are older than that; whether the running kernel has it, it says itself.
#pragma once

#include <linux/types.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace weft::tcp_ao_abi {

/// Options of IPPROTO_TCP.
inline constexpr int add_key = 38;
inline constexpr int delete_key = 39;
inline constexpr int info = 40;

inline constexpr std::size_t max_key = 80;
inline constexpr std::uint32_t set_current = 1;
inline constexpr std::uint32_t set_receive_next = 2;

struct alignas(8) AddKey {
  sockaddr_storage address{};
  std::array<char, 64> algorithm{};
  std::int32_t ifindex = 0;
  std::uint32_t flags = 0;
  std::uint16_t reserved = 0;
  std::uint8_t prefix = 0;
  std::uint8_t send_id = 0;
  std::uint8_t receive_id = 0;
  /// Octets of the signature; 0: 12.
  std::uint8_t mac_size = 0;
  std::uint8_t key_flags = 0;
  std::uint8_t key_size = 0;
  std::array<std::uint8_t, max_key> key{};
};
static_assert(sizeof(AddKey) == 288);
static_assert(offsetof(AddKey, algorithm) == 128);
static_assert(offsetof(AddKey, ifindex) == 192);
static_assert(offsetof(AddKey, flags) == 196);
static_assert(offsetof(AddKey, prefix) == 202);
static_assert(offsetof(AddKey, send_id) == 203);
static_assert(offsetof(AddKey, receive_id) == 204);
static_assert(offsetof(AddKey, key_size) == 207);
static_assert(offsetof(AddKey, key) == 208);

struct alignas(8) DeleteKey {
  sockaddr_storage address{};
  std::int32_t ifindex = 0;
  std::uint32_t flags = 0;
  std::uint16_t reserved = 0;
  std::uint8_t prefix = 0;
  std::uint8_t send_id = 0;
  std::uint8_t receive_id = 0;
  std::uint8_t current_key = 0;
  std::uint8_t receive_next = 0;
  std::uint8_t key_flags = 0;
};
static_assert(sizeof(DeleteKey) == 144);
static_assert(offsetof(DeleteKey, prefix) == 138);
static_assert(offsetof(DeleteKey, receive_id) == 140);

struct alignas(8) Info {
  std::uint32_t flags = 0;
  std::uint16_t reserved = 0;
  std::uint8_t current_key = 0;
  std::uint8_t receive_next = 0;
  std::uint64_t good = 0;
  std::uint64_t bad = 0;
  std::uint64_t key_not_found = 0;
  std::uint64_t unsigned_segments = 0;
  std::uint64_t dropped_icmp = 0;
};
static_assert(sizeof(Info) == 48);
static_assert(offsetof(Info, good) == 8);

}  // namespace weft::tcp_ao_abi
