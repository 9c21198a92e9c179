#pragma once
// BITFIELD: integers of 1 to 64 bits anywhere in a string, read, set and added to in one command.
//
// All operations are parsed first; then the bytes they touch are read as few windows, changed in
// memory in the order given, and what changed is written back as one effect.

#include <cstdint>
#include <optional>
#include <string_view>

#include "src/commands/command.hpp"

namespace firnlog::server {

Flow bitfield(Call& call);
Flow bitfield_ro(Call& call);

// A bit's place as SETBIT and BITFIELD take it: 0 up to the longest string's last bit. `unit` not
// 0:
// "#7" is allowed and means 7 units.
[[nodiscard]] std::optional<std::uint64_t> parse_bit_offset(const Call& call, std::string_view text,
                                                            std::uint64_t unit = 0);
inline constexpr std::string_view kBadBitOffset =
    "ERR bit offset is not an integer or out of range";

}  // namespace firnlog::server
