#include "cni/install.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "ctl/client.h"
#include "net/fd.h"

namespace weft::cni {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::chrono::milliseconds between_questions{200};
constexpr const char* usage =
    "usage: weft-cni install [--to FILE] [--from FILE] [--wait SECONDS] [--socket PATH]";

/// weftd's own words while it is not ready; empty once it is.
std::string ask(const std::string& socket, const NetworkConfig& config) {
  const auto reply =
      ctl::call(socket, ctl::StatusRequest{config.name, config.pool}, std::chrono::seconds(5));
  if (!reply) return reply.error().message;
  if (const auto* failure = std::get_if<ctl::Failure>(&*reply)) return failure->message;
  const auto* status = std::get_if<ctl::Status>(&*reply);
  return status == nullptr ? "weftd answered something else than was asked" : not_ready(*status);
}

Error failed(const std::string& path) {
  return Error{fmt::format("{}: {}", path, std::strerror(errno))};
}

/// Beside its place first, on disk, then renamed.
Result<void> replace(const std::string& path, std::string_view text) {
  // What a host has on which no runtime was started yet.
  std::error_code unmade;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), unmade);
  // No runtime reads a name that ends like this.
  const std::string beside = path + ".new";
  Fd file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file) return failed(beside);
  const bool written =
      ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      ::fsync(file.get()) == 0;
  if (!written || std::rename(beside.c_str(), path.c_str()) != 0) {
    const Error error = failed(beside);
    ::unlink(beside.c_str());
    return error;
  }
  return {};
}

Result<std::string> text_to_install(const std::string& from) {
  if (from.empty()) return default_conflist();
  std::ifstream file(from);
  if (!file) return failed(from);
  return std::string{std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

Result<Installation> parse_installation(const std::vector<std::string_view>& words) {
  Installation installation;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    if (i + 1 == words.size()) return Error{usage};
    const std::string value(words[i + 1]);
    if (words[i] == "--to") {
      installation.to = value;
    } else if (words[i] == "--from") {
      installation.from = value;
    } else if (words[i] == "--socket") {
      installation.socket = value;
    } else if (words[i] == "--wait") {
      unsigned seconds = 0;
      const char* end = value.data() + value.size();
      const auto read = std::from_chars(value.data(), end, seconds);
      if (read.ec != std::errc{} || read.ptr != end || seconds > 86400) return Error{usage};
      installation.patience = std::chrono::seconds(seconds);
    } else {
      return Error{usage};
    }
  }
  return installation;
}

std::string default_conflist() {
  const Json capabilities{
      {"ips", true}, {"mac", true}, {"ipRanges", true}, {"bandwidth", true}, {"dns", true}};
  const Json list{
      {"cniVersion", "1.0.0"},
      {"name", "weft"},
      {"plugins",
       Json::array({{{"type", "weft"}, {"capabilities", capabilities}},
                    {{"type", "portmap"}, {"capabilities", {{"portMappings", true}}}}})}};
  return list.dump(2) + "\n";
}

Result<NetworkConfig> check_conflist(std::string_view text) {
  const Json list = Json::parse(text, nullptr, false);
  if (!list.is_object()) return Error{"is not a JSON object"};
  const auto plugins = list.find("plugins");
  if (plugins == list.end() || !plugins->is_array() || plugins->empty() ||
      !plugins->front().is_object() || !plugins->front().contains("type") ||
      plugins->front()["type"] != "weft") {
    return Error{"must have a list 'plugins' whose first has the type weft"};
  }
  Json first = plugins->front();
  for (const char* key : {"name", "cniVersion"}) {
    if (list.contains(key)) first[key] = list[key];
  }
  const auto request =
      parse({"ADD", "container", "/run/netns/container", "eth0", "", "/opt/cni/bin", ""},
            first.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (request) return request->config;
  const Failure& failure = request.error();
  return Error{failure.details.empty() ? failure.message
                                       : fmt::format("{}: {}", failure.message, failure.details)};
}

std::string not_ready(const ctl::Status& status) {
  if (!status.cannot_give.empty()) return status.cannot_give;
  if (status.peers != 0 && status.peers_established == 0) {
    return "no BGP session is up: nobody would find this host's containers";
  }
  return {};
}

Result<void> install(const Installation& installation) {
  const auto text = text_to_install(installation.from);
  if (!text) return text.error();
  const auto config = check_conflist(*text);
  if (!config) return config.error().within(installation.from);
  const std::string socket =
      installation.socket.empty() ? ctl::default_socket : installation.socket;
  const Time end = Clock::now() + installation.patience;
  for (;;) {
    const std::string reason = ask(socket, *config);
    if (reason.empty()) return replace(installation.to, *text);
    if (Clock::now() >= end) {
      return Error{fmt::format("nothing is installed, for weftd is not ready: {}", reason)};
    }
    std::this_thread::sleep_for(between_questions);
  }
}

}  // namespace weft::cni
