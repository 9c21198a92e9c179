#pragma once
// Moment: how a person names a place in a store's history. One grammar, for commands and for the
// command line (`AT -5m` there is `--at -5m` here):
//
//   AT time       what was committed up to then       time: 2026-11-26T04:10:00.5Z (a zone may be
//   BEFORE time   what was committed before it              +01:00; none means UTC), @seconds since
//   LSN [t:]n     what the log held up to lsn n             1970, or -5m, -1h30m (ms s m h d w)
//   MARK name     the newest mark of that name
//
// All are rounded down to the end of a batch, so a MULTI is in a moment whole or not at all.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "engine/address.hpp"

namespace firnlog::recovery {

struct Moment {
    enum class What : std::uint8_t { newest, at, before, lsn, mark };
    What what = What::newest;
    std::int64_t us = 0;  // at, before: since 1970
    engine::Lsn lsn;
    std::optional<engine::Timeline> timeline;  // of the lsn, where one is named
    std::string mark;
};

// A moment that was found in a log: everything before `lsn`, the end of a batch.
struct Place {
    engine::Lsn lsn;
    engine::Timeline timeline = 0;
    std::int64_t commit_us = 0;  // of the frame that the batch ends in
    // What expiry goes by there: the time that was named, or else that of the commit.
    std::int64_t us = 0;
};

// A mark is typed by people and stands in command lines.
inline constexpr std::size_t kMarkBytesMax = 255;

// `word` is AT, BEFORE, LSN or MARK in any case. The error says what is wrong, for a person.
[[nodiscard]] tl::expected<Moment, std::string> parse_moment(std::string_view word,
                                                             std::string_view value,
                                                             std::int64_t now_us);
// The time alone.
[[nodiscard]] tl::expected<std::int64_t, std::string> parse_time(std::string_view text,
                                                                 std::int64_t now_us);
// "90s", "36h", "7d", "4w": how long that is, in microseconds.
[[nodiscard]] std::optional<std::int64_t> parse_age(std::string_view text);

// "2026-11-26T04:10:00.500000Z"
[[nodiscard]] std::string text_of_time(std::int64_t us);
// "lsn 1:4096, 2026-11-26T04:10:00.500000Z"
[[nodiscard]] std::string text_of(const Place& place);

}  // namespace firnlog::recovery
