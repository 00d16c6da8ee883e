#include "ctl/host_local.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <tuple>

#include "net/attachment.h"
#include "net/fd.h"

namespace weft::ctl {

namespace {

/// An id and a name are far shorter.
constexpr std::size_t file_limit = 4096;

std::string_view line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view first = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  while (!first.empty() && (first.back() == '\r' || first.back() == ' ')) first.remove_suffix(1);
  return first;
}

Result<std::string> content_of(const std::filesystem::path& path) {
  const auto failed = [] { return Error{std::strerror(errno)}; };
  // What is no plain file is no business of ours, and a pipe must not stop us.
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return failed();
  struct stat file {};
  if (::fstat(fd.get(), &file) != 0) return failed();
  if (!S_ISREG(file.st_mode)) return Error{"not a file"};
  std::array<char, file_limit> buffer{};
  const ssize_t size = ::read(fd.get(), buffer.data(), buffer.size());
  if (size < 0) return failed();
  return std::string(buffer.data(), static_cast<std::size_t>(size));
}

}  // namespace

bool is_host_local_bookkeeping(std::string_view name) {
  return name == "lock" || name.substr(0, name.find('.')) == "last_reserved_ip";
}

Result<AddressInUse> parse_host_local(std::string_view name, std::string_view content) {
  const auto address = Address::parse(name);
  if (!address) return Error{"its name is no address"};
  const std::string_view container = line(content);
  const std::string_view ifname = line(content);
  if (!is_attachment_name(container)) return Error{"it names no container"};
  if (!is_ifname(ifname)) {
    return Error{
        "it names no interface, as host-local before version 0.8 did: write its name into "
        "a second line"};
  }
  return AddressInUse{*address, std::string(container), std::string(ifname)};
}

Result<HostLocal> read_host_local(const std::filesystem::path& directory) {
  HostLocal all;
  std::error_code fault;
  const std::filesystem::directory_iterator files(directory, fault);
  if (fault) return Error{fmt::format("{}: {}", directory.string(), fault.message())};
  for (const auto& entry : files) {
    const std::string name = entry.path().filename().string();
    if (is_host_local_bookkeeping(name)) continue;
    const auto content = content_of(entry.path());
    const auto parsed =
        content ? parse_host_local(name, *content) : Result<AddressInUse>(content.error());
    if (parsed) {
      all.addresses.push_back(*parsed);
    } else {
      all.faults.push_back(parsed.error().within(entry.path().string()).message);
    }
  }
  std::sort(all.addresses.begin(), all.addresses.end(),
            [](const AddressInUse& a, const AddressInUse& b) {
              return std::tie(a.container, a.ifname, a.address) <
                     std::tie(b.container, b.ifname, b.address);
            });
  std::sort(all.faults.begin(), all.faults.end());
  return all;
}

}  // namespace weft::ctl
