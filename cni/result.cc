#include "cni/result.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace weft::cni {

namespace {

using Json = nlohmann::ordered_json;

std::size_t rank(std::string_view version) {
  return static_cast<std::size_t>(std::find(versions.begin(), versions.end(), version) -
                                  versions.begin());
}

/// Invalid UTF-8 must not keep an error from being printed.
std::string printed(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json encode(const Dns& dns) {
  Json json = Json::object();
  if (!dns.nameservers.empty()) json["nameservers"] = dns.nameservers;
  if (!dns.domain.empty()) json["domain"] = dns.domain;
  if (!dns.search.empty()) json["search"] = dns.search;
  if (!dns.options.empty()) json["options"] = dns.options;
  return json;
}

Json encode(const Route& route) {
  Json json = {{"dst", route.destination.text()}};
  if (route.gateway) json["gw"] = route.gateway->text();
  return json;
}

std::string cidr(const InterfaceAddress& ip) {
  return fmt::format("{}/{}", ip.address.text(), ip.length);
}

/// 0.1.0 and 0.2.0: one address a family, each with its own routes.
void add_flat(Json& json, const Success& success) {
  for (const InterfaceAddress& ip : success.ips) {
    Json entry = {{"ip", cidr(ip)}};
    if (ip.gateway) entry["gateway"] = ip.gateway->text();
    for (const Route& route : success.routes) {
      if (route.destination.family() == ip.address.family())
        entry["routes"].push_back(encode(route));
    }
    json[ip.address.is_v4() ? "ip4" : "ip6"] = std::move(entry);
  }
}

void add_lists(Json& json, const Success& success, std::string_view version) {
  const bool says_mtu = is_at_least(version, "1.1.0");
  const bool says_family = !is_at_least(version, "1.0.0");
  // None at all: the result of an IPAM plugin, which must not name any.
  if (!success.interfaces.empty()) json["interfaces"] = Json::array();
  for (const Interface& interface : success.interfaces) {
    Json entry = {{"name", interface.name}, {"mac", interface.mac}};
    if (says_mtu && interface.mtu != 0) entry["mtu"] = interface.mtu;
    if (!interface.sandbox.empty()) entry["sandbox"] = interface.sandbox;
    json["interfaces"].push_back(std::move(entry));
  }
  json["ips"] = Json::array();
  for (const InterfaceAddress& ip : success.ips) {
    Json entry = Json::object();
    if (says_family) entry["version"] = ip.address.is_v4() ? "4" : "6";
    if (ip.interface) entry["interface"] = *ip.interface;
    entry["address"] = cidr(ip);
    if (ip.gateway) entry["gateway"] = ip.gateway->text();
    json["ips"].push_back(std::move(entry));
  }
  json["routes"] = Json::array();
  for (const Route& route : success.routes) json["routes"].push_back(encode(route));
}

}  // namespace

bool is_known_version(std::string_view version) {
  return rank(version) < versions.size();
}

bool is_at_least(std::string_view version, std::string_view other) {
  return rank(version) >= rank(other);
}

std::string encode(const Success& success, std::string_view version) {
  Json json = {{"cniVersion", version}};
  if (is_at_least(version, "0.3.0")) {
    add_lists(json, success, version);
  } else {
    add_flat(json, success);
  }
  json["dns"] = encode(success.dns);
  return printed(json);
}

std::string encode(const Failure& failure, std::string_view version) {
  Json json = {{"cniVersion", version},
               {"code", static_cast<unsigned>(failure.code)},
               {"msg", failure.message}};
  if (!failure.details.empty()) json["details"] = failure.details;
  return printed(json);
}

std::string version_text() {
  return printed({{"cniVersion", newest_version}, {"supportedVersions", versions}});
}

}  // namespace weft::cni
