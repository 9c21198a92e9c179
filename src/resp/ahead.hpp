#pragma once
// Ahead: the likely keys of commands that have arrived but are not parsed yet.
//
// A pipeline is executed in groups: their keys' places in memory are fetched together, so that one
// command does not wait for what the next one could have asked for meanwhile. This only guesses
// (the second argument of whole RESP arrays); nothing but speed depends on it.
//
// Whether the value will be read is guessed, too: GET and INCR have no argument but the key, while
// what brings a value seldom looks at the old one. Fetching the old records for SETs, some of them
// through a page table that is cold as well, took a quarter of the server's time.

#include <cstddef>
#include <span>
#include <string_view>

namespace firnlog::server::resp {

struct KeyAhead {
    std::string_view key;   // a view into what was not parsed yet
    std::size_t bytes = 0;  // of all arguments
    bool reads = false;     // its value is likely to be read
};

// How many were found.
[[nodiscard]] std::size_t keys_ahead(std::string_view unread, std::span<KeyAhead> keys) noexcept;

}  // namespace firnlog::server::resp
