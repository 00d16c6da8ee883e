#include "cni/request.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace weft::cni {

namespace {

using Json = nlohmann::json;

constexpr std::uint32_t least_mtu = 1280;
constexpr std::uint32_t most_mtu = 65535;
/// More would not fit the batch of one namespace's routes, nor make sense.
constexpr std::size_t route_limit = 256;
constexpr std::size_t sysctl_limit = 64;

Failure bad_environment(std::string message, std::string details = {}) {
  return {Code::invalid_environment, std::move(message), std::move(details)};
}
Failure bad_config(std::string message, std::string details = {}) {
  return {Code::invalid_config, std::move(message), std::move(details)};
}
Failure undecodable(std::string message) {
  return {Code::decoding_failure, std::move(message), {}};
}

std::optional<Command> command_named(std::string_view name) {
  constexpr std::pair<std::string_view, Command> commands[] = {
      {"ADD", Command::add}, {"DEL", Command::del},       {"CHECK", Command::check},
      {"GC", Command::gc},   {"STATUS", Command::status}, {"VERSION", Command::version}};
  for (const auto& [text, command] : commands) {
    if (text == name) return command;
  }
  return std::nullopt;
}

bool is_about_one_container(Command command) {
  return command == Command::add || command == Command::del || command == Command::check;
}

/// What each command cannot do without; all that is missing is named at once.
Result<void, Failure> check_present(Command command, const Environment& environment) {
  std::vector<std::string_view> missing;
  const auto need = [&](bool needed, std::string_view name, const std::string& value) {
    if (needed && value.empty()) missing.push_back(name);
  };
  const bool one = is_about_one_container(command);
  need(one, "CNI_CONTAINERID", environment.container);
  need(one && command != Command::del, "CNI_NETNS", environment.netns);
  need(one, "CNI_IFNAME", environment.ifname);
  need(command != Command::status, "CNI_PATH", environment.path);
  if (missing.empty()) return {};
  return bad_environment(
      fmt::format("required env variables [{}] missing", fmt::join(missing, ",")));
}

Result<void, Failure> check_identity(const Environment& environment) {
  if (!is_attachment_name(environment.container)) {
    return bad_environment("invalid characters in containerID", environment.container);
  }
  if (!is_ifname(environment.ifname)) {
    return bad_environment("invalid interface name", environment.ifname);
  }
  return {};
}

/// The text under `key`; empty when absent or null.
Result<std::string, Failure> text_at(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return std::string();
  if (!found->is_string()) return undecodable(fmt::format("'{}' must be a string", key));
  return found->get<std::string>();
}

Result<std::vector<std::string>, Failure> texts_at(const Json& json, const char* key) {
  std::vector<std::string> texts;
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return texts;
  if (!found->is_array()) return undecodable(fmt::format("'{}' must be a list of strings", key));
  for (const Json& entry : *found) {
    if (!entry.is_string()) return undecodable(fmt::format("'{}' must be a list of strings", key));
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

Result<Dns, Failure> parse_dns(const Json& json) {
  Dns dns;
  const auto found = json.find("dns");
  if (found == json.end() || found->is_null()) return dns;
  if (!found->is_object()) return undecodable("'dns' must be an object");
  for (const auto& [key, member] :
       {std::pair{"nameservers", &Dns::nameservers}, std::pair{"search", &Dns::search},
        std::pair{"options", &Dns::options}}) {
    auto texts = texts_at(*found, key);
    if (!texts) return texts.error();
    dns.*member = *std::move(texts);
  }
  auto domain = text_at(*found, "domain");
  if (!domain) return domain.error();
  dns.domain = *std::move(domain);
  return dns;
}

/// One of our own `routes`: "10.0.0.0/8" or {"dst": "10.0.0.0/8"}.
Result<Prefix, Failure> parse_route(const Json& json) {
  const Json* text = &json;
  if (json.is_object()) {
    if (json.contains("gw")) {
      return bad_config("a route of 'routes' cannot name a gateway: it is the container's",
                        json.dump(-1, ' ', false, Json::error_handler_t::replace));
    }
    const auto destination = json.find("dst");
    if (destination == json.end()) return bad_config("a route of 'routes' needs a 'dst'");
    text = &*destination;
  }
  if (!text->is_string()) {
    return bad_config(R"('routes' must be a list such as [{"dst": "10.0.0.0/8"}])");
  }
  const auto prefix = Prefix::parse(text->get_ref<const std::string&>());
  if (!prefix) return bad_config("in 'routes': " + prefix.error().message);
  return *prefix;
}

/// One of `sysctl`: only of the network, and only of this namespace.
Result<Sysctl, Failure> parse_sysctl(std::string name, const Json& value,
                                     const std::string& ifname) {
  const bool plain = name.rfind("net.", 0) == 0 && name.find("..") == std::string::npos &&
                     name.back() != '.' && std::all_of(name.begin(), name.end(), [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
                     });
  if (!plain) {
    return bad_config(
        fmt::format("'sysctl' holds names such as net.ipv4.conf.IFNAME.arp_notify, "
                    "not '{}'",
                    name.substr(0, 128)));
  }
  std::string text;
  if (value.is_string()) {
    text = value.get<std::string>();
  } else if (value.is_number_integer()) {
    text = value.dump();
  } else {
    return bad_config(fmt::format("the value of {} in 'sysctl' must be a text or a number", name));
  }
  // The path first: an interface name may hold dots.
  std::replace(name.begin(), name.end(), '.', '/');
  constexpr std::string_view placeholder = "IFNAME";
  const std::size_t at = name.find(placeholder);
  if (at != std::string::npos) name.replace(at, placeholder.size(), ifname);
  return Sysctl{std::move(name), std::move(text)};
}

Result<void, Failure> parse_sysctls(const Json& json, const std::string& ifname,
                                    NetworkConfig& config) {
  const auto found = json.find("sysctl");
  if (found == json.end() || found->is_null()) return {};
  if (!found->is_object() || found->size() > sysctl_limit) {
    return bad_config(fmt::format("'sysctl' must be an object of at most {} names", sysctl_limit));
  }
  for (const auto& [name, value] : found->items()) {
    auto sysctl = parse_sysctl(name, value, ifname);
    if (!sysctl) return sysctl.error();
    config.sysctls.push_back(*std::move(sysctl));
  }
  return {};
}

/// `pool` and `socket`, wherever they stand.
Result<void, Failure> parse_common_keys(const Json& json, NetworkConfig& config) {
  for (const auto& [key, member] :
       {std::pair{"pool", &NetworkConfig::pool}, std::pair{"socket", &NetworkConfig::socket}}) {
    const auto found = json.find(key);
    if (found == json.end()) continue;
    if (!found->is_string()) return bad_config(fmt::format("'{}' must be a string", key));
    config.*member = found->get<std::string>();
  }
  return {};
}

/// Of the main plugins of containernetworking: ptp leads all of the address' subnet through the
/// gateway, and a bridge that is one takes the first address of it when none is named.
bool makes_a_subnet(const Json& json) {
  const auto is = [&](const char* key, const Json& value) {
    const auto found = json.find(key);
    return found != json.end() && *found == value;
  };
  return is("type", "ptp") ||
         (is("type", "bridge") && (is("isGateway", true) || is("isDefaultGateway", true)));
}

/// Of weft-ipam: the keys of the object `ipam`.
Result<void, Failure> parse_ipam_keys(const Json& ipam, NetworkConfig& config) {
  auto common = parse_common_keys(ipam, config);
  if (!common) return common;
  const auto routes = ipam.find("routes");
  if (routes == ipam.end() || routes->is_null()) return {};
  if (!routes->is_array() || routes->size() > route_limit) {
    return bad_config(fmt::format("'ipam.routes' must be a list of at most {}", route_limit));
  }
  std::vector<Route>& list = config.delegated_routes.emplace();
  for (const Json& entry : *routes) {
    if (!entry.is_object()) return bad_config("a route of 'ipam.routes' must be an object");
    const auto destination = text_at(entry, "dst");
    if (!destination) return destination.error();
    const auto prefix = Prefix::parse(*destination);
    if (!prefix) return bad_config("in 'ipam.routes': " + prefix.error().message);
    Route route{*prefix, std::nullopt};
    const auto via = text_at(entry, "gw");
    if (!via) return via.error();
    if (!via->empty()) {
      const auto gateway = Address::parse(*via);
      if (!gateway) return bad_config("in 'ipam.routes': " + gateway.error().message);
      route.gateway = *gateway;
    }
    list.push_back(route);
  }
  return {};
}

Result<void, Failure> parse_own_keys(const Json& json, const std::string& ifname,
                                     NetworkConfig& config) {
  auto common = parse_common_keys(json, config);
  if (!common) return common;
  if (const auto mtu = json.find("mtu"); mtu != json.end()) {
    const bool good = mtu->is_number_unsigned() && mtu->get<std::uint64_t>() >= least_mtu &&
                      mtu->get<std::uint64_t>() <= most_mtu;
    if (!good) {
      return bad_config(fmt::format("'mtu' must be a number from {} to {}", least_mtu, most_mtu));
    }
    config.mtu = mtu->get<std::uint32_t>();
  }
  if (const auto wanted = json.find("default-route"); wanted != json.end()) {
    if (!wanted->is_boolean()) return bad_config("'default-route' must be true or false");
    config.default_route = wanted->get<bool>();
  }
  if (const auto ipam = json.find("ipam"); ipam != json.end() && ipam->is_object()) {
    if (ipam->contains("type")) {
      return Failure{
          Code::unsupported_field,
          "weft gives addresses out of this host's blocks and takes them from no other "
          "IPAM plugin; name a 'pool' instead",
          "ipam.type " + ipam->at("type").dump(-1, ' ', false, Json::error_handler_t::replace)};
    }
  }
  auto sysctls = parse_sysctls(json, ifname, config);
  if (!sysctls) return sysctls;
  const auto routes = json.find("routes");
  if (routes == json.end()) return {};
  if (!routes->is_array() || routes->size() > route_limit) {
    return bad_config(fmt::format("'routes' must be a list of at most {}", route_limit));
  }
  for (const Json& entry : *routes) {
    const auto route = parse_route(entry);
    if (!route) return route.error();
    config.routes.push_back(*route);
  }
  return {};
}

Result<Interface, Failure> parse_interface(const Json& json) {
  if (!json.is_object()) return undecodable("an interface of prevResult must be an object");
  Interface interface;
  for (const auto& [key, member] :
       {std::pair{"name", &Interface::name}, std::pair{"mac", &Interface::mac},
        std::pair{"sandbox", &Interface::sandbox}}) {
    auto text = text_at(json, key);
    if (!text) return text.error();
    interface.*member = *std::move(text);
  }
  return interface;
}

Result<InterfaceAddress, Failure> parse_ip(const Json& json) {
  if (!json.is_object()) return undecodable("an address of prevResult must be an object");
  const auto text = text_at(json, "address");
  if (!text) return text.error();
  const std::size_t slash = text->find('/');
  const auto address = Address::parse(std::string_view(*text).substr(0, slash));
  if (!address) return undecodable("in prevResult: " + address.error().message);
  InterfaceAddress ip;
  ip.address = *address;
  ip.length = bits(address->family());
  const auto interface = json.find("interface");
  if (interface != json.end() && interface->is_number_unsigned()) {
    ip.interface = interface->get<std::uint32_t>();
  }
  return ip;
}

Result<Route, Failure> parse_previous_route(const Json& json) {
  if (!json.is_object()) return undecodable("a route of prevResult must be an object");
  const auto destination = text_at(json, "dst");
  if (!destination) return destination.error();
  const auto prefix = Prefix::parse(*destination);
  if (!prefix) return undecodable("in prevResult: " + prefix.error().message);
  Route route{*prefix, std::nullopt};
  const auto via = text_at(json, "gw");
  if (!via) return via.error();
  if (const auto address = Address::parse(*via)) route.gateway = *address;
  return route;
}

/// CHECK came with 0.4.0, so no older shape is ever read back. What later plugins added is passed
/// over.
Result<Success, Failure> parse_previous(const Json& json) {
  Success previous;
  if (!json.is_object()) return undecodable("'prevResult' must be an object");
  for (const Json& entry : json.value("interfaces", Json::array())) {
    auto interface = parse_interface(entry);
    if (!interface) return interface.error();
    previous.interfaces.push_back(*std::move(interface));
  }
  for (const Json& entry : json.value("ips", Json::array())) {
    auto ip = parse_ip(entry);
    if (!ip) return ip.error();
    previous.ips.push_back(*std::move(ip));
  }
  for (const Json& entry : json.value("routes", Json::array())) {
    auto route = parse_previous_route(entry);
    if (!route) return route.error();
    previous.routes.push_back(*std::move(route));
  }
  return previous;
}

Result<std::optional<std::vector<Attachment>>, Failure> parse_valid_attachments(
    const Json& json, const std::string& network) {
  using Attachments = std::optional<std::vector<Attachment>>;
  auto found = json.find("cni.dev/valid-attachments");
  if (found == json.end()) found = json.find("cni.dev/attachments");
  if (found == json.end() || found->is_null()) return Attachments();
  if (!found->is_array()) return undecodable("'cni.dev/valid-attachments' must be a list");
  std::vector<Attachment> attachments;
  for (const Json& entry : *found) {
    if (!entry.is_object()) return undecodable("a valid attachment must be an object");
    auto container = text_at(entry, "containerID");
    if (!container) return container.error();
    auto ifname = text_at(entry, "ifname");
    if (!ifname) return ifname.error();
    attachments.push_back({network, *std::move(container), *std::move(ifname)});
  }
  return Attachments(std::move(attachments));
}

Result<std::string, Failure> parse_version(const Json& json, Command command) {
  auto version = text_at(json, "cniVersion");
  if (!version) return version.error();
  if (version->empty()) *version = versions.front();
  if (!is_known_version(*version)) {
    return Failure{Code::incompatible_version, "incompatible CNI versions",
                   fmt::format(R"(config is "{}", plugin supports ["{}"])", *version,
                               fmt::join(versions, R"(",")"))};
  }
  const bool check = command == Command::check && !is_at_least(*version, "0.4.0");
  const bool gc = command == Command::gc && !is_at_least(*version, "1.1.0");
  const bool status = command == Command::status && !is_at_least(*version, "1.1.0");
  if (check || gc || status) {
    return Failure{Code::incompatible_version,
                   fmt::format("config version does not allow {}", check ? "CHECK"
                                                                   : gc  ? "GC"
                                                                         : "STATUS"),
                   fmt::format(R"(config is "{}")", *version)};
  }
  return version;
}

Result<NetworkConfig, Failure> parse_config(Command command, const Environment& environment,
                                            std::string_view input, Role role) {
  if (input.size() > config_limit) {
    return undecodable(
        fmt::format("the network configuration is longer than {} octets", config_limit));
  }
  const Json json = Json::parse(input, nullptr, false);
  if (json.is_discarded()) return undecodable("the network configuration on stdin is not JSON");
  if (!json.is_object()) return undecodable("the network configuration on stdin is not an object");
  NetworkConfig config;
  auto version = parse_version(json, command);
  if (!version) return version.error();
  config.cni_version = *std::move(version);
  auto name = text_at(json, "name");
  if (!name) return name.error();
  if (name->empty()) return bad_config("missing network name");
  if (!is_attachment_name(*name)) return bad_config("invalid characters in network name", *name);
  config.name = *std::move(name);
  // What is ours in another plugin's configuration.
  const Json none = Json::object();
  const auto ipam = json.find("ipam");
  const Json& own_keys = role == Role::main                        ? json
                         : ipam != json.end() && ipam->is_object() ? *ipam
                                                                   : none;
  auto dns = parse_dns(own_keys);
  if (!dns) return dns.error();
  config.dns = *std::move(dns);
  const bool has_previous = json.contains("prevResult") && !json["prevResult"].is_null();
  if (command == Command::check) {
    if (!has_previous) return bad_config("CHECK needs the prevResult of ADD");
    auto previous = parse_previous(json["prevResult"]);
    if (!previous) return previous.error();
    config.previous = *std::move(previous);
  }
  if (command == Command::add && has_previous && role == Role::main) {
    return bad_config("weft must be the first plugin of its list: it makes the interface");
  }
  if (command == Command::gc) {
    auto valid = parse_valid_attachments(json, config.name);
    if (!valid) return valid.error();
    config.valid_attachments = *std::move(valid);
  }
  // DEL must get through whatever became of the configuration since ADD; it needs the socket and no
  // more.
  config.needs_gateway = role == Role::ipam && makes_a_subnet(json);
  const auto own = role == Role::main ? parse_own_keys(json, environment.ifname, config)
                                      : parse_ipam_keys(own_keys, config);
  if (!own && command != Command::del) return own.error();
  if (command == Command::add || command == Command::check) {
    auto wishes = parse_wishes(json, environment.args);
    if (!wishes) return wishes.error();
    if (wishes->dns) config.dns = *wishes->dns;
    config.wishes = *std::move(wishes);
  }
  return config;
}

}  // namespace

Result<Request, Failure> parse(const Environment& environment, std::string_view input, Role role) {
  const auto command = command_named(environment.command);
  if (!command) {
    return bad_environment(fmt::format("unknown CNI_COMMAND: {}", environment.command));
  }
  Request request;
  request.command = *command;
  if (*command == Command::version) return request;
  const auto present = check_present(*command, environment);
  if (!present) return present.error();
  if (is_about_one_container(*command)) {
    const auto good = check_identity(environment);
    if (!good) return good.error();
  }
  auto config = parse_config(*command, environment, input, role);
  if (!config) return config.error();
  request.config = *std::move(config);
  request.attachment = {request.config.name, environment.container, environment.ifname};
  request.netns = environment.netns;
  const std::string& netns_override = environment.netns_override;
  request.own_netns_allowed =
      netns_override == "1" ||
      (netns_override.size() == 4 &&
       std::equal(netns_override.begin(), netns_override.end(), "true",
                  [](char a, char b) { return a == b || a == b - 'a' + 'A'; }));
  return request;
}

std::string version_for_errors(std::string_view input) {
  const Json json = Json::parse(input.substr(0, config_limit), nullptr, false);
  if (json.is_object()) {
    const auto version = json.find("cniVersion");
    if (version != json.end() && version->is_string() &&
        is_known_version(version->get_ref<const std::string&>())) {
      return version->get<std::string>();
    }
  }
  return std::string(newest_version);
}

}  // namespace weft::cni
