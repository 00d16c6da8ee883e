// Passwords of peers: a key as it stands in the document, or in a file that only its owner and
// group can read. Nothing that is said about one shows it.
#pragma once

#include <string>

#include "config/document.h"
#include "config/reader.h"
#include "net/result.h"
#include "net/secret.h"

namespace weft::config {

/// One line of 1 to `most` octets without control characters; the newline at its end is no part of
/// it.
Result<Secret> read_password_file(const std::string& path, std::size_t most);

/// The same for a text of the document; told when it is none.
std::optional<Secret> read_password(Reader& reader, const Node& node, std::size_t most);

}  // namespace weft::config
