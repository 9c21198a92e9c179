#pragma once
// damage: ten ways in which files of a stopped server go bad.
//
// Places are drawn among the bytes that are not zero, and files among those that have such a byte:
// what is damaged in a file kept in reserve, or behind the end of what was written, is no damage.
// Nor is it in a lock file, which is known by its name.
// What turned out to change nothing is drawn again.

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

struct Inflicted {
    std::string text;  // "page zeroed in log/7 at 512 of 9000"
    std::string file;  // its kind: its name below the folder, with every number as #
};

// Damages one file below `folder`; a place is as likely as any other byte that is not zero, a whole
// file as any other file. Nothing: there is no file that this could change.
[[nodiscard]] std::optional<Inflicted> inflict(Damage damage, const std::string& folder,
                                               Random random);

}  // namespace firnlog::crashtest
