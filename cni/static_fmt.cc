// libfmt in the plugins themselves, which load no library at their start: Debian has it as a shared
// library only. Its headers hold all of it; here is what a program takes from there when it is not
// told to be header-only, which would be a copy in every object file.
#include <fmt/format-inl.h>

FMT_BEGIN_NAMESPACE
namespace detail {
template auto decimal_point_impl<char>(locale_ref) -> char;
template auto thousands_sep_impl<char>(locale_ref) -> thousands_sep_result<char>;
}  // namespace detail
FMT_END_NAMESPACE
