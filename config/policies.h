// Policies of the document: named sets, and policies with their rules, from YAML and to it. Their
// keys are tables like all others, in policy_keys.cc. Used by parse.cc and keys.cc alone.
#pragma once

#include <string>

#include "bgp/settings.h"
#include "config/document.h"
#include "config/reader.h"

namespace weft::config {

/// The sections prefix-sets, community-sets and policies of `bgp`.
void read_policies(Reader& reader, const Node& bgp, bgp::Settings& settings);
/// Whatever rules and peers call by name must be there. To be called when all of `settings` is
/// read.
void check_policies(Reader& reader, const Node& bgp, const bgp::Settings& settings);
/// A name of a policy that a peer's `import` or `export` gives; `at`: where it stands.
void check_filter(Reader& reader, const Node& at, const bgp::Filter& filter,
                  const bgp::Settings& settings);

/// YAML on one line.
std::string write_prefix_sets(const bgp::Settings& settings);
std::string write_community_sets(const bgp::Settings& settings);
std::string write_policies(const bgp::Settings& settings);

}  // namespace weft::config
