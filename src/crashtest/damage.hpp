#pragma once
// damage: ten ways in which files of a stopped server go bad.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "src/crashtest/random.hpp"

namespace firnlog::crashtest {

enum class Damage : std::uint8_t {
    bit_flipped,
    byte_changed,
    sector_zeroed,
    page_zeroed,
    sector_garbled,
    sectors_swapped,
    truncated,
    emptied,
    garbage_appended,
    file_missing,
};
inline constexpr std::uint64_t kDamages = 10;

[[nodiscard]] std::string_view name_of(Damage damage) noexcept;

// Damages one file below `folder`; a place is as likely as any other byte, a whole file as any
// other file. Says what was done; nothing: there is no file to damage.
[[nodiscard]] std::optional<std::string> inflict(Damage damage, const std::string& folder,
                                                 Random random);

}  // namespace firnlog::crashtest
