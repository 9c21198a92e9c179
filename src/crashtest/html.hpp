#pragma once
// html: what the pages of a run and of a matrix have in common. Nothing in them comes from anywhere
// else: no script, no font, no picture.

#include <string>
#include <string_view>

namespace firnlog::crashtest {

[[nodiscard]] std::string escaped(std::string_view text);
// From the doctype to the opened body.
[[nodiscard]] std::string page_head(std::string_view title);

}  // namespace firnlog::crashtest
