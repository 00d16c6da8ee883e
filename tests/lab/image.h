// Image: what an image name stands for on a machine that has the software installed from Debian
// instead. Words of the name decide: frr…, bird…, gobgp…, weft…; anything else is plain Linux with
// the tools of this machine.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "net/result.h"
#include "tests/lab/topology.h"

namespace weft::lab {

/// A folder that a node has for itself, empty but for `seeds`, whatever this machine has in its
/// place.
struct Folder {
  std::string path;
  /// Owner and group; root when this machine has no such user.
  std::string user = "root";
  mode_t mode = 0755;
  /// Files of this machine that the image would have there too; those that do not exist are left
  /// out.
  std::vector<std::filesystem::path> seeds;
};

struct Image {
  /// "frr", "bird", "gobgp", "weft" or "linux".
  std::string software;
  /// What runs when the node has no `cmd` and no `entrypoint`; empty: nothing.
  std::vector<std::string> main;
  /// On the node's disk.
  std::vector<Folder> folders;
  /// In its /run.
  std::vector<Folder> run_folders;
  /// Programs of a build, bound where they would be installed.
  std::vector<Bind> programs;
};

/// "frr", "bird", "gobgp", "weft" or "linux".
std::string software_of(const std::string& image);

/// Error: the software is not there, and how to get it. `bin_dir` holds weftd, weftctl and weft-cni
/// (see Options).
Result<Image> image_for(const NodeSpec& node, const std::filesystem::path& bin_dir);

/// What runs as a node's main process; empty: nothing.
std::vector<std::string> main_of(const NodeSpec& node, const Image& image);

}  // namespace weft::lab
