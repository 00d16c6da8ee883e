// Base64 (RFC 4648 4): octets inside of a JSON line. Standard alphabet, padded.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/bytes.h"
#include "net/result.h"

namespace weft::ctl {

std::string base64(Bytes octets);
/// Refuses what base64() would not have written: other characters, a wrong length or padding.
Result<std::vector<std::byte>> from_base64(std::string_view text);

}  // namespace weft::ctl
