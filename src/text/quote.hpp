#pragma once
// quote: bytes as a person can read and type them, and back.
//
// `quoted` is what MONITOR, CLIENT LIST and the slow log show: "…" with \n \r \t \a \b \\ \" and
// \xHH for all else that does not print. `split_arguments` takes a typed line apart: blanks
// separate, "…" knows the escapes above, '…' knows \' alone, and a closing quote must be followed
// by a blank or the end. A NUL is a byte like any other (Redis ends the line there).

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace firnlog::server::text {

void append_quoted(std::string& to, std::string_view bytes);
[[nodiscard]] std::string quoted(std::string_view bytes);

// Views of the arguments: into `line` where nothing had to be undone, else into `unquoted`, which
// is overwritten. False, with both in an unspecified state, when quotes do not balance.
[[nodiscard]] bool split_arguments(std::string_view line, std::string& unquoted,
                                   std::vector<std::string_view>& arguments);

[[nodiscard]] std::optional<std::vector<std::string>> split_arguments(std::string_view line);

}  // namespace firnlog::server::text
