// The reference of all keys in docs/weft.yaml.5, made from the tables in keys.cc; a test compares
// the two.
#pragma once

#include <string>

namespace weft::config {

/// mdoc(7), from ".Ss" to ".El" for each section.
std::string reference();

}  // namespace weft::config
