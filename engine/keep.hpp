#pragma once
// Keep: which moments outlive the window. Pure.
//
//   keep hourly:24,daily:7     of each of the last 24 hours, and of each of the last 7 days, in
//                              which a checkpoint was taken, the newest one
//
// Such a checkpoint stays with its own stretch of log and what it leads into; the log between two
// of them goes. Hours in which nothing was written do not count, so that a store that nobody uses
// keeps what it has. Hours and days are those of UTC, weeks begin on Monday.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/format/manifest.hpp"

namespace firnlog::engine {

enum class Period : std::uint8_t { hourly, daily, weekly, monthly, yearly };
inline constexpr std::array kPeriods{Period::hourly, Period::daily, Period::weekly, Period::monthly,
                                     Period::yearly};
[[nodiscard]] std::string_view name_of(Period period);

struct KeepRule {
    Period period = Period::hourly;
    std::uint32_t count = 0;
    bool operator==(const KeepRule&) const = default;
};
using Keep = std::vector<KeepRule>;

// "hourly:24,daily:7"; nothing for what is not like that. Each period once, each at most so often.
inline constexpr std::uint32_t kKeepMax = 1000;
[[nodiscard]] std::optional<Keep> parse_keep(std::string_view text);

// So many seconds after a checkpoint the next one is due, if something was written; 0: no rule
// asks for any.
[[nodiscard]] std::int64_t shortest_s(const Keep& keep);

// Of these checkpoints those that a rule asks for.
[[nodiscard]] std::vector<FileNumber> wanted(const Keep& keep,
                                             const std::vector<CheckpointEntry>& entries);

}  // namespace firnlog::engine
