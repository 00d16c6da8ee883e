#include "tests/lab/image.h"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <system_error>

namespace weft::lab {
namespace {

namespace fs = std::filesystem;

bool there(const fs::path& path) {
  std::error_code none;
  return fs::exists(path, none);
}

Result<Image> frr() {
  if (!there("/usr/lib/frr/frrinit.sh")) return Error{"needs FRR: apt-get install frr"};
  return Image{"frr",
               {"/usr/lib/frr/frrinit.sh", "start"},
               {{"/etc/frr", "frr", 0755, {"/etc/frr/daemons", "/etc/frr/vtysh.conf"}},
                {"/var/log/frr", "frr", 0755, {}}},
               {{"/run/frr", "frr", 0755, {}}},
               {}};
}

Result<Image> bird() {
  if (!there("/usr/sbin/bird")) return Error{"needs BIRD: apt-get install bird2"};
  return Image{"bird",
               {"/usr/sbin/bird", "-f"},
               {{"/etc/bird", "bird", 0755, {}}},
               {{"/run/bird", "bird", 0755, {}}},
               {}};
}

Result<Image> gobgp(const NodeSpec& node) {
  if (!there("/usr/bin/gobgpd")) return Error{"needs GoBGP: apt-get install gobgpd"};
  Image image{"gobgp", {"/usr/bin/gobgpd"}, {{"/etc/gobgp", "root", 0755, {}}}, {}, {}};
  for (const Bind& bind : node.binds) {
    const fs::path inside = bind.inside;
    if (inside.filename().string().find("gobgp") == std::string::npos) continue;
    const std::string type =
        inside.extension() == ".yml" || inside.extension() == ".yaml" ? "yaml" : "toml";
    image.main.insert(image.main.end(), {"-t", type, "-f", bind.inside});
    break;
  }
  return image;
}

Result<Image> weft(const fs::path& bin_dir) {
  Image image{"weft",
              {"/usr/sbin/weftd"},
              {{"/etc/weft", "root", 0755, {}},
               {"/var/lib/weft", "root", 0700, {}},
               {"/var/lib/cni", "root", 0755, {}},
               {"/etc/cni", "root", 0755, {}}},
              {{"/run/weft", "root", 0755, {}}},
              {}};
  struct Program {
    const char* name;
    const char* installed;
  };
  static constexpr std::array<Program, 5> programs{
      Program{"weftd", "/usr/sbin/weftd"}, Program{"weftctl", "/usr/bin/weftctl"},
      Program{"weft-cni", "/opt/cni/bin/weft-cni"}, Program{"weft-cni", "/opt/cni/bin/weft"},
      Program{"weft-ipam", "/opt/cni/bin/weft-ipam"}};
  for (const auto& [name, installed] : programs) {
    if (there(bin_dir / name)) {
      image.programs.push_back({fs::absolute(bin_dir / name), installed, true});
    } else if (!there(installed)) {
      return Error{fmt::format("needs {}: build it (looked in {}) or name its folder", name,
                               bin_dir.empty() ? "no folder" : bin_dir.string())};
    }
  }
  // Where weftd looks for it when it claims in etcd.
  const fs::path module = fs::absolute(bin_dir).parent_path() / "lib/weft/etcd.so";
  if (there(module)) image.programs.push_back({module, "/usr/lib/weft/etcd.so", true});
  return image;
}

/// The first word that names a software we know; empty: none does.
std::string first_software(const std::string& text) {
  std::string word;
  for (const char c : text + "/") {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      continue;
    }
    for (const char* software : {"frr", "bird", "gobgp", "weft"}) {
      if (word.rfind(software, 0) == 0) return software;
    }
    word.clear();
  }
  return "";
}

}  // namespace

std::string software_of(const std::string& image) {
  // The last part of quay.io/frrouting/frr:8.4 says most; the whole is asked when that says
  // nothing.
  const auto slash = image.rfind('/');
  const std::string last = slash == std::string::npos ? image : image.substr(slash + 1);
  std::string found = first_software(last.substr(0, last.find_first_of(":@")));
  if (!found.empty()) return found;
  found = first_software(image);
  if (found.empty()) found = "linux";
  return found;
}

Result<Image> image_for(const NodeSpec& node, const fs::path& bin_dir) {
  const std::string software = software_of(node.image);
  auto image = software == "frr"     ? frr()
               : software == "bird"  ? bird()
               : software == "gobgp" ? gobgp(node)
               : software == "weft"  ? weft(bin_dir)
                                     : Result<Image>(Image{"linux", {}, {}, {}, {}});
  if (!image) {
    return image.error().within(fmt::format("node {}: image {}", node.name, node.image));
  }
  return image;
}

std::vector<std::string> main_of(const NodeSpec& node, const Image& image) {
  if (node.entrypoint.empty() && node.cmd.empty()) return image.main;
  std::vector<std::string> argv = node.entrypoint;
  argv.insert(argv.end(), node.cmd.begin(), node.cmd.end());
  return argv;
}

}  // namespace weft::lab
