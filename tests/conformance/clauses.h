// The list `clauses`: which clauses weft implements and where each is proven. Not the cases
// themselves, and nothing is run here: only whether the list, the tree of tests and the RFCs that
// the sources cite belong together.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace weft::bgp {

/// What does not fit, a sentence each; `cases` is the directory of the list, in tests/.
/// What is found: a line that nothing proves, a proof that is gone or cites another clause, a case
/// that cites a clause that is not listed, a header that cites an RFC that is not.
std::vector<std::string> unproven_clauses(const std::filesystem::path& cases);

}  // namespace weft::bgp
