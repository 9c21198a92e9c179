#pragma once
// Ahead: the likely keys of commands that have arrived but are not parsed yet.
//
// A pipeline is executed in groups: their keys' places in memory are fetched together, so that one
// command does not wait for what the next one could have asked for meanwhile. This only guesses
// (the second argument of whole RESP arrays); nothing but speed depends on it.

#include <cstddef>
#include <span>
#include <string_view>

namespace firnlog::server::resp {

// Views into `unread`; how many were found.
[[nodiscard]] std::size_t keys_ahead(std::string_view unread,
                                     std::span<std::string_view> keys) noexcept;

}  // namespace firnlog::server::resp
