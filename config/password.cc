#include "config/password.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "net/fd.h"

namespace weft::config {
namespace {

Result<Secret> checked(std::string_view text, std::size_t most) {
  if (text.empty() || text.size() > most) {
    return Error{fmt::format("must hold 1 to {} octets, not {}", most, text.size())};
  }
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) >= ' ' && c != 0x7f;
  });
  if (!plain) return Error{"holds a control character; a password is one line of text"};
  return Secret(std::string(text));
}

}  // namespace

Result<Secret> read_password_file(const std::string& path, std::size_t most) {
  if (!path.starts_with('/')) return Error{"must be an absolute path"};
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return Error{fmt::format("cannot be opened: {}", std::strerror(errno))};
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return Error{"is not a plain file"};
  }
  if ((status.st_mode & S_IRWXO) != 0) {
    return Error{fmt::format("can be read by everybody; run: chmod 0600 {}", path)};
  }
  // Room for the longest, its line end, and one octet that shows that there is more.
  std::string text(most + 3, '\0');
  const ssize_t size = ::read(file.get(), text.data(), text.size());
  if (size < 0) return Error{fmt::format("cannot be read: {}", std::strerror(errno))};
  std::string_view line = std::string_view(text).substr(0, static_cast<std::size_t>(size));
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  auto secret = checked(line, most);
  explicit_bzero(text.data(), text.size());
  return secret;
}

std::optional<Secret> read_password(Reader& reader, const Node& node, std::size_t most) {
  if (node.kind != Node::Kind::scalar) {
    reader.fail(node, fmt::format("must be a text of 1 to {} octets", most));
    return std::nullopt;
  }
  auto secret = checked(node.text, most);
  if (secret) return *secret;
  reader.fail(node, secret.error().message);
  return std::nullopt;
}

}  // namespace weft::config
