#include "net/netns.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstring>

namespace weft {

Result<NetworkNamespace> NetworkNamespace::open(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Error{path + ": " + std::strerror(errno)};
  struct statfs filesystem {};
  struct stat file {};
  const bool is_namespace = fstatfs(fd.get(), &filesystem) == 0 &&
                            filesystem.f_type == NSFS_MAGIC &&
                            ioctl(fd.get(), NS_GET_NSTYPE) == CLONE_NEWNET;
  if (!is_namespace || fstat(fd.get(), &file) != 0) {
    return Error{path + ": not a network namespace"};
  }
  return NetworkNamespace(std::move(fd), file.st_ino);
}

Result<NetworkNamespace> NetworkNamespace::current() {
  return open("/proc/thread-self/ns/net");
}

Result<void> NetworkNamespace::enter() const {
  if (setns(fd_.get(), CLONE_NEWNET) != 0) {
    return Error{std::string("entering the network namespace: ") + std::strerror(errno)};
  }
  return {};
}

}  // namespace weft
