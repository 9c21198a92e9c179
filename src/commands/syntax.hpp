#pragma once
// Syntax: a row's `syntax` text as a tree of arguments, for COMMAND DOCS and for whoever makes up
// commands at random.
//
//   text       = sequence
//   sequence   = { term }
//   term       = TOKEN { value } | TOKEN '<' choice '>' | value | '[' choice ']' | '<' choice '>'
//   choice     = sequence { '|' sequence }
//
// A TOKEN is a word in capitals ("EX", "KEEPTTL") and goes with the values behind it; a value is
// any other word ("key", "milliseconds"). "[...]" optional, "<...>" one of several; "x [x ...]" one
// or more of x.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace firnlog::server::syntax {

enum class Type : std::uint8_t {
    string,
    key,
    integer,
    pattern,
    unix_time,
    pure_token,
    one_of,
    block
};
[[nodiscard]] std::string_view type_name(Type type);

struct Argument {
    std::string name;
    Type type = Type::string;
    std::string token;  // stands before it; of a pure token: it itself
    bool optional = false;
    bool multiple = false;        // one or more of it
    bool multiple_token = false;  // the token stands before each of them
    std::vector<Argument> parts;  // of one_of and block
};

// Nothing if the text is not of this form.
[[nodiscard]] std::optional<std::vector<Argument>> parse(std::string_view text);

}  // namespace firnlog::server::syntax
