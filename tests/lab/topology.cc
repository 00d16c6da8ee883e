#include "tests/lab/topology.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <regex>
#include <set>
#include <string_view>
#include <utility>

#include "net/ip.h"
#include "tests/lab/document.h"
#include "tests/lab/words.h"

namespace weft::lab {
namespace {

namespace fs = std::filesystem;

/// IFNAMSIZ without its NUL.
constexpr std::size_t interface_name_limit = 15;

/// Keys of containerlab's node that change nothing for a namespace on this machine.
const std::set<std::string, std::less<>> ignored_node_keys{"image-pull-policy",
                                                           "restart-policy",
                                                           "license",
                                                           "type",
                                                           "startup-config",
                                                           "startup-delay",
                                                           "enforce-startup-config",
                                                           "suppress-startup-config",
                                                           "auto-remove",
                                                           "volumes",
                                                           "ports",
                                                           "credentials",
                                                           "user",
                                                           "labels",
                                                           "runtime",
                                                           "mgmt-ipv4",
                                                           "mgmt-ipv6",
                                                           "link-apply-mode",
                                                           "cpu",
                                                           "memory",
                                                           "cpu-set",
                                                           "extras",
                                                           "config",
                                                           "stages",
                                                           "dns",
                                                           "certificate",
                                                           "healthcheck",
                                                           "components",
                                                           "aliases",
                                                           "shm-size",
                                                           "cap-add",
                                                           "privileged",
                                                           "cgroupns-mode",
                                                           "cgroup-parent",
                                                           "pid-mode",
                                                           "security-opts",
                                                           "devices"};

/// A value and where it stands.
struct Placed {
  std::string text;
  YAML::Mark mark;
};

using PlacedMap = std::map<std::string, Placed>;

/// What one of defaults, kinds, groups and nodes says of a node.
struct Layer {
  std::map<std::string, Placed, std::less<>> scalars;
  std::vector<Placed> binds;
  std::vector<Placed> exec;
  std::vector<Placed> env_files;
  PlacedMap env;
  PlacedMap sysctls;
  PlacedMap tmpfs;
};

/// ${NAME}, ${NAME:=default}, ${NAME:-default} and $NAME from our environment, as containerlab
/// substitutes them.
std::string substitute(const std::string& text) {
  static const std::regex variable(R"(\$(?:\{([A-Za-z_]\w*)(?::?[-=]([^}]*))?\}|([A-Za-z_]\w*)))");
  if (text.find('$') == std::string::npos) return text;
  std::string out;
  auto rest = text.cbegin();
  for (std::sregex_iterator it(text.begin(), text.end(), variable), end; it != end; ++it) {
    const std::smatch& match = *it;
    out.append(rest, match[0].first);
    const std::string name = match[1].matched ? match[1].str() : match[3].str();
    const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe)
    const bool set = value != nullptr && *value != '\0';
    out += set ? value : match[2].matched ? match[2].str() : match[0].str();
    rest = match[0].second;
  }
  return out.append(rest, text.cend());
}

class TopologyReader {
 public:
  explicit TopologyReader(const fs::path& file) : doc_(file, substitute) {}

  Result<Topology> read(const std::string& text) {
    topology_.file = fs::absolute(doc_.file()).lexically_normal();
    topology_.prefix = "clab";
    const YAML::Node root = doc_.parse(text);
    if (doc_.ok()) read_root(root);
    if (!doc_.ok()) return doc_.error();
    topology_.notes = doc_.notes();
    return std::move(topology_);
  }

 private:
  void read_root(const YAML::Node& root) {
    bool has_topology = false;
    for (const Entry& entry : doc_.entries(root, "a topology file")) {
      if (entry.key == "name") {
        topology_.name = name_of(entry.value, "name");
      } else if (entry.key == "prefix") {
        read_prefix(entry.value);
      } else if (entry.key == "topology") {
        has_topology = true;
        read_topology(entry.value);
      } else if (entry.key == "mgmt") {
        doc_.note(entry.mark, "mgmt is ignored: nodes have no management network here");
      } else if (entry.key == "settings" || entry.key == "debug") {
        doc_.note(entry.mark, entry.key + " is ignored here");
      } else {
        doc_.unknown(entry, "a topology file", {"name", "prefix", "mgmt", "settings", "topology"});
      }
    }
    if (topology_.name.empty()) doc_.fault(root.Mark(), "name is missing: the name of the lab");
    if (!has_topology) doc_.fault(root.Mark(), "topology is missing: nodes and links");
    if (topology_.prefix == "__lab-name") topology_.prefix = topology_.name;
  }

  std::string name_of(const YAML::Node& node, std::string_view what) {
    static const std::regex form("[a-zA-Z0-9][a-zA-Z0-9._-]*");
    const auto text = doc_.text(node, what);
    if (!text) return "?";
    if (!std::regex_match(*text, form) || text->size() > 64) {
      doc_.fault(node.Mark(), fmt::format("{} \"{}\" must be letters, digits, '.', '_' and '-', "
                                          "beginning with a letter or digit",
                                          what, *text));
    }
    return *text;
  }

  void read_prefix(const YAML::Node& node) {
    const bool special =
        node.IsScalar() && (node.Scalar().empty() || node.Scalar() == "__lab-name");
    topology_.prefix = special ? node.Scalar() : name_of(node, "prefix");
  }

  void read_topology(const YAML::Node& node) {
    std::optional<Entry> nodes;
    std::optional<Entry> links;
    for (const Entry& entry : doc_.entries(node, "topology")) {
      if (entry.key == "defaults") {
        defaults_ = layer(entry.value, "defaults");
      } else if (entry.key == "kinds" || entry.key == "groups") {
        auto& layers = entry.key == "kinds" ? kinds_ : groups_;
        for (const Entry& one : doc_.entries(entry.value, entry.key)) {
          layers[one.key] = layer(one.value, entry.key + " " + one.key);
        }
      } else if (entry.key == "nodes") {
        nodes = entry;
      } else if (entry.key == "links") {
        links = entry;
      } else {
        doc_.unknown(entry, "topology", {"defaults", "kinds", "groups", "nodes", "links"});
      }
    }
    if (!nodes) return doc_.fault(node.Mark(), "topology has no nodes");
    for (const Entry& one : doc_.entries(nodes->value, "nodes")) read_node(one);
    std::sort(topology_.nodes.begin(), topology_.nodes.end(),
              [](const NodeSpec& a, const NodeSpec& b) { return a.name < b.name; });
    if (!links) return;
    for (const YAML::Node& one : doc_.items(links->value, "links")) read_link(one);
  }

  std::vector<Placed> placed_list(const YAML::Node& node, const std::string& what) {
    std::vector<Placed> list;
    for (const YAML::Node& item : doc_.items(node, what)) {
      if (auto text = doc_.text(item, "an item of " + what)) list.push_back({*text, item.Mark()});
    }
    return list;
  }

  PlacedMap placed_map(const YAML::Node& node, const std::string& what) {
    PlacedMap map;
    for (const Entry& entry : doc_.entries(node, what)) {
      if (entry.value.IsNull()) {
        map[entry.key] = {"", entry.mark};
      } else if (auto text = doc_.text(entry.value, what + " " + entry.key)) {
        map[entry.key] = {*text, entry.mark};
      }
    }
    return map;
  }

  Layer layer(const YAML::Node& node, const std::string& where) {
    static const std::set<std::string, std::less<>> scalars{
        "kind", "image", "group", "cmd", "entrypoint", "hostname", "network-mode"};
    Layer out;
    for (const Entry& entry : doc_.entries(node, where)) {
      const auto& [key, mark, value] = entry;
      if (scalars.count(key) != 0) {
        if (auto text = doc_.text(value, key)) out.scalars[key] = {*text, value.Mark()};
      } else if (key == "binds") {
        out.binds = placed_list(value, key);
      } else if (key == "exec") {
        out.exec = placed_list(value, key);
      } else if (key == "env-files") {
        out.env_files = placed_list(value, key);
      } else if (key == "env") {
        out.env = placed_map(value, key);
      } else if (key == "sysctls") {
        out.sysctls = placed_map(value, key);
      } else if (key == "tmpfs") {
        out.tmpfs = placed_map(value, key);
      } else if (ignored_node_keys.count(key) != 0) {
        doc_.note(mark,
                  fmt::format("{} of {} is ignored: it means nothing to a namespace", key, where));
      } else {
        doc_.unknown(entry, where,
                     {"kind", "image", "group", "binds", "exec", "env", "env-files", "cmd",
                      "entrypoint", "sysctls", "hostname", "network-mode", "tmpfs"});
      }
    }
    return out;
  }

  static const Placed* scalar(const std::vector<const Layer*>& layers, std::string_view key) {
    const Placed* last = nullptr;
    for (const Layer* one : layers) {
      const auto at = one->scalars.find(key);
      if (at != one->scalars.end() && !at->second.text.empty()) last = &at->second;
    }
    return last;
  }

  /// containerlab's order: defaults, then the kind, then the group, then the node; later wins.
  std::vector<const Layer*> inheritance(const Layer& own, const YAML::Mark& mark) {
    std::vector<const Layer*> layers{&defaults_};
    const Layer* group = nullptr;
    if (const Placed* name = scalar({&defaults_, &own}, "group")) {
      const auto at = groups_.find(name->text);
      if (at != groups_.end()) group = &at->second;
    }
    std::vector<const Layer*> kind_layers{&defaults_, &own};
    if (group != nullptr) kind_layers.insert(kind_layers.begin() + 1, group);
    const Placed* kind = scalar(kind_layers, "kind");
    if (kind == nullptr) {
      doc_.fault(mark, "kind is missing: only kind \"linux\" runs here");
    } else if (kind->text != "linux") {
      doc_.fault(kind->mark, fmt::format("kind \"{}\" does not run here, only kind \"linux\" does",
                                         kind->text));
    } else if (const auto at = kinds_.find(kind->text); at != kinds_.end()) {
      layers.push_back(&at->second);
    }
    if (group != nullptr) layers.push_back(group);
    layers.push_back(&own);
    return layers;
  }

  void read_node(const Entry& entry) {
    static const std::regex form("[a-zA-Z0-9][a-zA-Z0-9._-]*");
    if (!std::regex_match(entry.key, form) || entry.key.size() > 64) {
      doc_.fault(
          entry.mark,
          fmt::format("node name \"{}\" must be letters, digits, '.', '_' and '-'", entry.key));
    }
    const Layer own = layer(entry.value, "node " + entry.key);
    const auto layers = inheritance(own, entry.mark);
    NodeSpec node;
    node.name = entry.key;
    const auto of = [&](std::string_view key) {
      const Placed* found = scalar(layers, key);
      return found != nullptr ? found->text : std::string();
    };
    node.image = of("image");
    if (node.image.empty()) doc_.fault(entry.mark, fmt::format("node {} has no image", node.name));
    node.hostname = of("hostname").empty() ? node.name : of("hostname");
    node.cmd = words(scalar(layers, "cmd"), node.name);
    node.entrypoint = words(scalar(layers, "entrypoint"), node.name);
    if (const Placed* mode = scalar(layers, "network-mode")) {
      if (mode->text == "none") {
        without_mgmt_.insert(node.name);
      } else if (mode->text != "bridge") {
        doc_.fault(
            mode->mark,
            fmt::format("network-mode \"{}\" is not possible here, only \"none\" is", mode->text));
      }
    }
    merge(node, layers);
    topology_.nodes.push_back(std::move(node));
  }

  void merge(NodeSpec& node, const std::vector<const Layer*>& layers) {
    std::map<std::string, Bind> binds;
    for (const Layer* from : layers) {
      for (const Placed& one : from->env_files) read_env_file(node, one);
    }
    for (const Layer* from : layers) {
      for (const Placed& one : from->binds) {
        if (auto made = bind(one, node.name)) binds[made->inside] = *made;
      }
      for (const Placed& one : from->exec) {
        auto argv = words(&one, node.name);
        if (!argv.empty()) node.exec.push_back({magic(one.text, node.name), std::move(argv)});
      }
      for (const auto& [key, value] : from->env) node.env[key] = magic(value.text, node.name);
      for (const auto& [key, value] : from->sysctls) {
        if (key.rfind("net.", 0) != 0 && key.rfind("net/", 0) != 0) {
          doc_.fault(value.mark, fmt::format("sysctl {} is not a node's own, only net.* are", key));
        }
        node.sysctls[key] = value.text;
      }
      for (const auto& [path, options] : from->tmpfs) node.tmpfs.push_back(path);
    }
    for (auto& [inside, made] : binds) node.binds.push_back(std::move(made));
  }

  static std::string magic(std::string text, const std::string& node) {
    static constexpr std::string_view variable = "__clabNodeName__";
    for (auto at = text.find(variable); at != std::string::npos; at = text.find(variable)) {
      text.replace(at, variable.size(), node);
    }
    return text;
  }

  std::vector<std::string> words(const Placed* line, const std::string& node) {
    if (line == nullptr) return {};
    auto split = split_words(magic(line->text, node));
    if (split) return std::move(*split);
    doc_.fault(line->mark, fmt::format("\"{}\": {}", line->text, split.error().message));
    return {};
  }

  fs::path host_path(const std::string& text) const {
    if (text.rfind("~/", 0) == 0) {
      const char* home = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe)
      return fs::path(home != nullptr ? home : "/root") / text.substr(2);
    }
    return (topology_.file.parent_path() / text).lexically_normal();
  }

  std::optional<Bind> bind(const Placed& from, const std::string& node) {
    static const std::set<std::string, std::less<>> options{
        "ro", "rw", "z", "Z", "cached", "delegated", "consistent", "private", "rprivate"};
    const std::string text = magic(from.text, node);
    std::vector<std::string> parts;
    for (std::size_t at = 0, colon = 0; colon != std::string::npos; at = colon + 1) {
      colon = text.find(':', at);
      parts.push_back(text.substr(at, colon - at));
    }
    if (parts.size() < 2 || parts.size() > 3 || parts[0].empty() || parts[1].empty() ||
        parts[1][0] != '/') {
      doc_.fault(from.mark, fmt::format("bind \"{}\" must be HOST:CONTAINER[:ro] with an absolute "
                                        "path in the container",
                                        text));
      return {};
    }
    Bind made{host_path(parts[0]), fs::path(parts[1]).lexically_normal().string(), false};
    if (made.inside.size() > 1 && made.inside.back() == '/') made.inside.pop_back();
    if (parts.size() == 3) {
      std::string rest = parts[2] + ",";
      for (auto comma = rest.find(','); comma != std::string::npos; comma = rest.find(',')) {
        const std::string option = rest.substr(0, comma);
        if (options.count(option) == 0) {
          doc_.fault(
              from.mark,
              fmt::format("bind \"{}\": option \"{}\" is not known, ro and rw are", text, option));
        }
        made.read_only = made.read_only || option == "ro";
        rest.erase(0, comma + 1);
      }
    }
    std::error_code none;
    if (!fs::exists(made.host, none)) {
      doc_.fault(from.mark,
                 fmt::format("bind \"{}\": {} does not exist", text, made.host.string()));
    }
    return made;
  }

  void read_env_file(NodeSpec& node, const Placed& from) {
    const fs::path path = host_path(magic(from.text, node.name));
    const auto text = read_text(path);
    if (!text) return doc_.fault(from.mark, "env-files: " + text.error().message);
    static const std::regex line(R"(^[ \t]*([A-Za-z_]\w*)=(.*)$)", std::regex::multiline);
    for (std::sregex_iterator it(text->begin(), text->end(), line), end; it != end; ++it) {
      node.env[(*it)[1]] = (*it)[2];
    }
  }

  void read_link(const YAML::Node& node) {
    Link link;
    std::string type;
    std::optional<Entry> ends;
    std::array<std::vector<Placed>, 2> shared;
    const auto keys = doc_.entries(node, "a link");
    for (const auto& entry : keys) {
      const auto& [key, mark, value] = entry;
      if (key == "type") {
        type = doc_.text(value, "type").value_or("veth");
        if (type != "veth") {
          doc_.fault(
              value.Mark(),
              fmt::format("a link of type \"{}\" is not possible here, only \"veth\" is", type));
          return;
        }
      } else if (key == "endpoints") {
        ends = entry;
      } else if (key == "mtu") {
        link.mtu = static_cast<unsigned>(
            doc_.number(value, "mtu", 68, 65535).value_or(static_cast<long>(default_mtu)));
      } else if (key == "ipv4" || key == "ipv6") {
        shared[key == "ipv6" ? 1 : 0] = placed_list(value, key);
      } else if (key != "vars" && key != "labels") {
        doc_.unknown(entry, "a link",
                     {"type", "endpoints", "mtu", "ipv4", "ipv6", "vars", "labels"});
      }
    }
    if (!ends) return doc_.fault(node.Mark(), "a link has no endpoints");
    const auto both = doc_.items(ends->value, "endpoints");
    if (both.size() != 2) return doc_.fault(ends->mark, "a link has exactly two endpoints");
    for (std::size_t i = 0; i < 2; ++i) {
      link.ends[i] = both[i].IsMap() ? long_end(both[i]) : short_end(both[i]);
      for (std::size_t family = 0; family < 2; ++family) {
        if (i < shared[family].size()) address(link.ends[i], shared[family][i], family == 1);
      }
    }
    topology_.links.push_back(std::move(link));
  }

  Endpoint short_end(const YAML::Node& node) {
    Endpoint end;
    const auto text = doc_.text(node, "an endpoint");
    if (!text) return end;
    const auto colon = text->find(':');
    if (colon == std::string::npos || text->find(':', colon + 1) != std::string::npos) {
      doc_.fault(node.Mark(), fmt::format("endpoint \"{}\" must be NODE:INTERFACE", *text));
      return end;
    }
    end.node = text->substr(0, colon);
    end.interface = text->substr(colon + 1);
    verify(end, node.Mark());
    return end;
  }

  Endpoint long_end(const YAML::Node& node) {
    static const std::regex mac("(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}");
    Endpoint end;
    std::array<std::optional<Placed>, 2> own;
    for (const Entry& entry : doc_.entries(node, "an endpoint")) {
      if (entry.key == "vars") continue;
      const auto text = doc_.text(entry.value, entry.key);
      if (!text) continue;
      if (entry.key == "node") {
        end.node = *text;
      } else if (entry.key == "interface") {
        end.interface = *text;
      } else if (entry.key == "ipv4" || entry.key == "ipv6") {
        own[entry.key == "ipv6" ? 1 : 0] = Placed{*text, entry.value.Mark()};
      } else if (entry.key != "mac") {
        doc_.unknown(entry, "an endpoint", {"node", "interface", "mac", "ipv4", "ipv6", "vars"});
      } else if (!std::regex_match(*text, mac)) {
        doc_.fault(entry.value.Mark(), fmt::format("mac \"{}\" must be six octets", *text));
      } else {
        end.mac = *text;
        std::replace(end.mac.begin(), end.mac.end(), '-', ':');
      }
    }
    for (std::size_t family = 0; family < 2; ++family) {
      if (own[family]) address(end, *own[family], family == 1);
    }
    verify(end, node.Mark());
    return end;
  }

  void address(Endpoint& end, const Placed& from, bool ipv6) {
    if (from.text.empty()) return;
    const auto slash = from.text.find('/');
    const auto parsed = Address::parse(from.text.substr(0, slash));
    const bool right = slash != std::string::npos && parsed && parsed->is_v6() == ipv6 &&
                       Prefix::parse(ipv6 ? "::/" + from.text.substr(slash + 1)
                                          : "0.0.0.0/" + from.text.substr(slash + 1))
                           .has_value();
    if (!right) {
      return doc_.fault(from.mark,
                        fmt::format("\"{}\" must be an {} address with its length, {}", from.text,
                                    ipv6 ? "IPv6" : "IPv4", ipv6 ? "fd00::1/64" : "10.0.0.1/24"));
    }
    end.addresses.push_back(from.text);
  }

  void verify(const Endpoint& end, const YAML::Mark& mark) {
    static const std::set<std::string, std::less<>> special{"host", "mgmt-net", "macvlan"};
    if (topology_.find(end.node) == nullptr) {
      doc_.fault(
          mark,
          special.count(end.node) != 0
              ? fmt::format("a link to \"{}\" is not possible here, only between nodes", end.node)
              : fmt::format("there is no node \"{}\"", end.node));
    }
    if (end.interface.empty() || end.interface.size() > interface_name_limit ||
        end.interface.find_first_of("/: \t") != std::string::npos || end.interface == "lo") {
      doc_.fault(mark,
                 fmt::format("interface \"{}\" must have 1..{} characters, no '/', ':' or blank",
                             end.interface, interface_name_limit));
    }
    if (end.interface == "eth0" && without_mgmt_.count(end.node) == 0) {
      doc_.fault(mark,
                 "eth0 is the management interface, links begin with eth1 "
                 "(network-mode: none frees it)");
    }
    if (!taken_.emplace(end.node, end.interface).second) {
      doc_.fault(mark, fmt::format("{}:{} has a link already", end.node, end.interface));
    }
  }

  Document doc_;
  Topology topology_;
  Layer defaults_;
  std::map<std::string, Layer> kinds_;
  std::map<std::string, Layer> groups_;
  std::set<std::string> without_mgmt_;
  std::set<std::pair<std::string, std::string>> taken_;
};

}  // namespace

const NodeSpec* Topology::find(const std::string& node) const {
  const auto at = std::find_if(nodes.begin(), nodes.end(),
                               [&](const NodeSpec& one) { return one.name == node; });
  return at == nodes.end() ? nullptr : &*at;
}

Result<Topology> parse(const std::string& text, const fs::path& file) {
  return TopologyReader(file).read(text);
}

Result<Topology> load(const fs::path& file) {
  const auto text = read_text(file);
  if (!text) return text.error();
  return parse(*text, file);
}

Result<fs::path> find_file(const fs::path& path) {
  std::error_code none;
  if (!fs::is_directory(path, none)) return path;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(path, none)) {
    const std::string name = entry.path().filename().string();
    if (std::regex_search(name, std::regex(R"(\.clab\.ya?ml$)"))) found.push_back(entry.path());
  }
  if (found.size() == 1) return found.front();
  return Error{fmt::format("{}: holds {} files *.clab.yml, name the one", path.string(),
                           found.empty() ? "no" : "several")};
}

}  // namespace weft::lab
