#pragma once
// --at, --before, --lsn, --mark: a moment on the command line, in the grammar of the commands.

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "recovery/moment.hpp"

namespace firnlog::server::cli {

// The word that the option stands for ("AT"), or nothing if it is another option.
[[nodiscard]] std::optional<std::string_view> moment_word(std::string_view option);

// "--at noon: a time is like …"
[[nodiscard]] std::string wrong_option(std::string_view option, std::string_view value,
                                       std::string_view why);

// Takes one of them in; the error says what is wrong with it, or that there is one already.
[[nodiscard]] tl::expected<void, std::string> take_moment(std::optional<recovery::Moment>& moment,
                                                          std::string_view option,
                                                          std::string_view value);

}  // namespace firnlog::server::cli
