#pragma once
// Stamp: a value that says by itself whether it is whole, whose it is, and which write made it.
//
//   ct1|KEY|SEQUENCE|PADDING|CRC32C of all before, 8 hexadecimal digits
//
// So a value that comes back after a crash is judged without trusting the server: torn or mixed
// bytes fail the checksum, a value under another key names its own, and an old one its sequence.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace firnlog::crashtest {

struct Stamp {
    std::string_view key;
    std::uint64_t sequence = 0;
};

[[nodiscard]] std::string stamped(std::string_view key, std::uint64_t sequence,
                                  std::size_t padding_bytes);
// How it begins, whatever its padding.
[[nodiscard]] std::string stamp_begins(std::string_view key, std::uint64_t sequence);
// Nothing: these bytes were never written as they are.
[[nodiscard]] std::optional<Stamp> stamp_of(std::string_view value);

}  // namespace firnlog::crashtest
