#include "cni/wishes.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace weft::cni {

namespace {

using Json = nlohmann::json;

/// What fits a request to weftd many times over.
constexpr std::size_t range_limit = 256;

Failure bad_wish(std::string_view where, std::string message) {
  return {Code::invalid_config, fmt::format("{}: {}", where, message), {}};
}

bool is_same_word(std::string_view a, std::string_view b) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

/// The member of an object, whatever the case of its key: Go's runtimes write "HostPort" and
/// "hostPort". Null is the same as absent.
const Json* member(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  for (const auto& [name, value] : object.items()) {
    if (is_same_word(name, key) && !value.is_null()) return &value;
  }
  return nullptr;
}

/// The value of a key of CNI_ARGS, "K=V;K=V" split at the first '=': a value may hold more of them.
std::string_view argument(std::string_view args, std::string_view wanted) {
  while (!args.empty()) {
    const std::string_view pair = args.substr(0, args.find(';'));
    const std::size_t equals = pair.find('=');
    if (equals != std::string_view::npos && pair.substr(0, equals) == wanted) {
      return pair.substr(equals + 1);
    }
    args.remove_prefix(std::min(args.size(), pair.size() + 1));
  }
  return {};
}

/// "10.0.0.5" or "10.0.0.5/24": the length is the network's business, and here it is always that of
/// a host.
Result<void, Failure> add_address(std::string_view where, std::string_view text,
                                  std::vector<Address>& addresses) {
  const auto address = Address::parse(text.substr(0, text.find('/')));
  if (!address) return bad_wish(where, address.error().message);
  const bool second = std::any_of(addresses.begin(), addresses.end(), [&](const Address& other) {
    return other.family() == address->family();
  });
  if (second) {
    return bad_wish(where, fmt::format("{} is a second address of its family; a container has one "
                                       "on each interface",
                                       address->text()));
  }
  addresses.push_back(*address);
  return {};
}

Result<std::vector<Address>, Failure> parse_addresses(std::string_view where, const Json& json) {
  std::vector<Address> addresses;
  if (!json.is_array()) return bad_wish(where, "must be a list of addresses");
  for (const Json& entry : json) {
    if (!entry.is_string()) return bad_wish(where, "must be a list of addresses");
    const auto added = add_address(where, entry.get_ref<const std::string&>(), addresses);
    if (!added) return added.error();
  }
  return addresses;
}

Result<std::vector<Address>, Failure> wished_addresses(const Json* runtime, const Json* own,
                                                       std::string_view args) {
  for (const auto& [where, from] :
       {std::pair{"runtimeConfig.ips", runtime}, std::pair{"args.cni.ips", own}}) {
    const Json* ips = from == nullptr ? nullptr : member(*from, "ips");
    if (ips != nullptr && !ips->empty()) return parse_addresses(where, *ips);
  }
  std::vector<Address> addresses;
  const std::string_view ip = argument(args, "IP");
  if (ip.empty()) return addresses;
  const auto added = add_address("CNI_ARGS IP", ip, addresses);
  if (!added) return added.error();
  return addresses;
}

/// One of `ipRanges`: {"subnet", "rangeStart", "rangeEnd", "gateway"}. Without its ends a range is
/// the whole subnet: on a routed link no address of it is special. For the same reason the gateway
/// is passed over.
Result<AddressRange, Failure> parse_range(const Json& json) {
  constexpr std::string_view where = "runtimeConfig.ipRanges";
  const auto text = [&](std::string_view key) -> Result<std::string_view, Failure> {
    const Json* value = member(json, key);
    if (value == nullptr) return std::string_view();
    if (!value->is_string()) return bad_wish(where, fmt::format("{} must be a text", key));
    return std::string_view(value->get_ref<const std::string&>());
  };
  const auto subnet_text = text("subnet");
  if (!subnet_text) return subnet_text.error();
  if (subnet_text->empty()) return bad_wish(where, "a range needs a subnet");
  const auto subnet = Prefix::parse(*subnet_text);
  if (!subnet) return bad_wish(where, subnet.error().message);
  AddressRange range = AddressRange::of(*subnet);
  for (const auto& [key, end] : {std::pair{"rangeStart", &AddressRange::first},
                                 std::pair{"rangeEnd", &AddressRange::last}}) {
    const auto given = text(key);
    if (!given) return given.error();
    // Go prints an address that is not set as nothing.
    if (given->empty()) continue;
    const auto address = Address::parse(*given);
    if (!address) return bad_wish(where, address.error().message);
    if (!subnet->contains(*address)) {
      return bad_wish(where, fmt::format("{} {} is not in the subnet {}", key, address->text(),
                                         subnet->text()));
    }
    range.*end = *address;
  }
  if (range.last < range.first) {
    return bad_wish(where, fmt::format("the range {} ends before it begins", range.text()));
  }
  return range;
}

Result<std::vector<std::vector<AddressRange>>, Failure> parse_range_sets(const Json& json) {
  constexpr std::string_view where = "runtimeConfig.ipRanges";
  const auto fault = [&] { return bad_wish(where, "must be a list of lists of ranges"); };
  std::vector<std::vector<AddressRange>> sets;
  if (!json.is_array()) return fault();
  std::size_t count = 0;
  for (const Json& entries : json) {
    if (!entries.is_array()) return fault();
    std::vector<AddressRange> set;
    for (const Json& entry : entries) {
      if (!entry.is_object()) return fault();
      if (++count > range_limit) {
        return bad_wish(where, fmt::format("has more than {} ranges", range_limit));
      }
      const auto range = parse_range(entry);
      if (!range) return range.error();
      if (!set.empty() && set.front().first.family() != range->first.family()) {
        return bad_wish(where, fmt::format("{} and {} are of one set and of two families",
                                           set.front().text(), range->text()));
      }
      set.push_back(*range);
    }
    if (!set.empty()) sets.push_back(std::move(set));
  }
  return sets;
}

Result<std::optional<Mac>, Failure> wished_mac(const Json* runtime, const Json* own,
                                               std::string_view args) {
  std::string_view where = "CNI_ARGS MAC";
  std::string_view text = argument(args, "MAC");
  for (const auto& [place, from] :
       {std::pair{"args.cni.mac", own}, std::pair{"runtimeConfig.mac", runtime}}) {
    const Json* mac = from == nullptr ? nullptr : member(*from, "mac");
    if (mac == nullptr) continue;
    if (!mac->is_string()) return bad_wish(place, "must be a text");
    if (mac->get_ref<const std::string&>().empty()) continue;
    where = place;
    text = mac->get_ref<const std::string&>();
  }
  if (text.empty()) return std::optional<Mac>();
  const auto mac = parse_mac(text);
  if (!mac) return bad_wish(where, mac.error().message);
  if (*mac == host_mac) return bad_wish(where, "is the address of the host's end");
  return std::optional(*mac);
}

Result<std::optional<Rate>, Failure> parse_rate(const Json& bandwidth, const char* rate_key,
                                                const char* burst_key) {
  const auto number = [&](const char* key) -> Result<std::uint64_t, Failure> {
    const Json* value = member(bandwidth, key);
    if (value == nullptr) return std::uint64_t{0};
    if (!value->is_number_unsigned()) {
      return bad_wish(fmt::format("runtimeConfig.bandwidth.{}", key), "must be a number of bits");
    }
    return value->get<std::uint64_t>();
  };
  const auto rate = number(rate_key);
  if (!rate) return rate.error();
  const auto burst = number(burst_key);
  if (!burst) return burst.error();
  if (*rate == 0) return std::optional<Rate>();
  // A burst of a packet or less would let nothing through.
  constexpr std::uint64_t least_burst = 65536 * 8ULL;
  return std::optional(Rate{*rate, std::max(*burst, least_burst)});
}

Result<std::vector<std::string>, Failure> texts(const Json& dns, std::string_view key) {
  std::vector<std::string> list;
  const Json* value = member(dns, key);
  if (value == nullptr) return list;
  const auto fault = [&] {
    return bad_wish(fmt::format("runtimeConfig.dns.{}", key), "must be a list of texts");
  };
  if (!value->is_array()) return fault();
  for (const Json& entry : *value) {
    if (!entry.is_string()) return fault();
    list.push_back(entry.get<std::string>());
  }
  return list;
}

/// Nothing when the runtime has nothing to say.
Result<std::optional<Dns>, Failure> parse_dns_wish(const Json& json) {
  Dns dns;
  for (const auto& [key, list] :
       {std::pair{"servers", &Dns::nameservers}, std::pair{"searches", &Dns::search},
        std::pair{"options", &Dns::options}}) {
    auto read = texts(json, key);
    if (!read) return read.error();
    dns.*list = *std::move(read);
  }
  if (dns == Dns{}) return std::optional<Dns>();
  return std::optional(std::move(dns));
}

}  // namespace

Result<Wishes, Failure> parse_wishes(const Json& config, std::string_view args) {
  Wishes wishes;
  const Json* runtime = member(config, "runtimeConfig");
  const Json* all_args = member(config, "args");
  const Json* own = all_args == nullptr ? nullptr : member(*all_args, "cni");
  auto addresses = wished_addresses(runtime, own, args);
  if (!addresses) return addresses.error();
  wishes.addresses = *std::move(addresses);
  const auto mac = wished_mac(runtime, own, args);
  if (!mac) return mac.error();
  wishes.mac = *mac;
  if (runtime == nullptr) return wishes;
  if (const Json* ranges = member(*runtime, "ipRanges")) {
    auto sets = parse_range_sets(*ranges);
    if (!sets) return sets.error();
    wishes.ranges = *std::move(sets);
  }
  if (const Json* bandwidth = member(*runtime, "bandwidth")) {
    const auto ingress = parse_rate(*bandwidth, "ingressRate", "ingressBurst");
    if (!ingress) return ingress.error();
    const auto egress = parse_rate(*bandwidth, "egressRate", "egressBurst");
    if (!egress) return egress.error();
    wishes.ingress = *ingress;
    wishes.egress = *egress;
  }
  if (const Json* dns = member(*runtime, "dns")) {
    auto read = parse_dns_wish(*dns);
    if (!read) return read.error();
    wishes.dns = *std::move(read);
  }
  return wishes;
}

}  // namespace weft::cni
