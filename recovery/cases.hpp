#pragma once
// Cases: what it means when no valid frame follows in a log file. A table, and a pure function on
// it; docs/durability.md shows the same table, and a test looks at every combination.
//
// A voucher is a frame header's durable_lsn, or the clean mark: bytes before it were acknowledged.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace firnlog::recovery {

// What was written behind the last valid frame, up to the file's end: nothing, or something. What
// is stale, from before the file was used again, is nothing.
enum class Rest : std::uint8_t { zeros, bytes };
// Where the log goes on.
enum class Next : std::uint8_t { nowhere, continues, elsewhere };

struct Facts {
    bool vouched = false;  // something at or behind this place was acknowledged
    Rest rest = Rest::zeros;
    Next next = Next::nowhere;
};

enum class Verdict : std::uint8_t {
    sealed,   // the next file goes on here
    end,      // the log's end; nothing was lost
    torn,     // a write that was never acknowledged: cut here, keep the bytes in quarantine
    damaged,  // acknowledged bytes are not what was written: refuse
};

struct Case {
    std::optional<bool> vouched;  // nothing: either
    std::optional<Rest> rest;
    std::optional<Next> next;
    Verdict verdict;
    std::string_view meaning;

    [[nodiscard]] constexpr bool matches(const Facts& facts) const {
        return (!vouched || *vouched == facts.vouched) && (!rest || *rest == facts.rest) &&
               (!next || *next == facts.next);
    }
};

inline constexpr std::array kCases{
    Case{{}, {}, Next::continues, Verdict::sealed, "the segment was full; the next one goes on"},
    Case{false, Rest::zeros, Next::nowhere, Verdict::end, "the end of the log"},
    Case{false, Rest::bytes, Next::nowhere, Verdict::torn, "a torn write that nobody was told of"},
    Case{false,
         {},
         Next::elsewhere,
         Verdict::torn,
         "a later segment was begun, but the writes between were lost unacknowledged"},
    Case{true, {}, Next::nowhere, Verdict::damaged, "acknowledged bytes are gone"},
    Case{true, {}, Next::elsewhere, Verdict::damaged, "acknowledged bytes are gone"},
};

[[nodiscard]] constexpr Verdict judge(const Facts& facts) {
    for (const auto& row : kCases)
        if (row.matches(facts)) return row.verdict;
    return Verdict::damaged;
}

}  // namespace firnlog::recovery
