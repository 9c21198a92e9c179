#pragma once
// rates: how fast a store is written and what it holds, as its own log and manifest tell. What its
// backups would cost follows from these (src/backup_plan.hpp).
//
//   oldest ─────────────── sample ──────────────── now      bytes of log between them
//                                   └─ newest 64 MiB ─┘      read, counted and applied: how fast
//
// The store is only read; a server may run on it.

#include <cstdint>

#include "io/clock.hpp"
#include "recovery/history.hpp"

namespace firnlog::recovery {

struct StoreRates {
    Place oldest;
    Place newest;
    // From the oldest moment to now; to the newest, where nobody serves the store.
    std::int64_t sample_us = 0;
    std::uint64_t log_bytes = 0;  // written within it

    // The newest part of the log, as it was read.
    struct Read {
        std::uint64_t bytes = 0;
        std::uint64_t frames = 0;  // one a flush, but for those that only vouch
        std::uint64_t records = 0;
        std::int64_t took_us = 0;  // to read, verify and apply it, on one thread
    };
    Read read;

    std::uint64_t files_bytes = 0;  // of the log and of packed segments
    // Of the newest checkpoint; without one it is not known what is live, and all of it counts so.
    bool has_checkpoint = false;
    std::uint64_t live_bytes = 0;
    std::uint64_t checkpoint_bytes = 0;
    std::uint64_t checkpoints = 0;
    std::int64_t checkpoint_age_us = 0;   // of the newest
    std::uint64_t checkpoint_behind = 0;  // log since then: what a start would replay now

    [[nodiscard]] double a_day(std::uint64_t count) const;  // what was counted in the sample
    [[nodiscard]] double log_bytes_a_day() const { return a_day(log_bytes); }
    // Per byte of log, by what was read of it.
    [[nodiscard]] double records_a_byte() const;
    [[nodiscard]] double frames_a_byte() const;
    // Bytes of log a second; 0: too little was there to tell.
    [[nodiscard]] double replay_rate() const;
    [[nodiscard]] double garbage_share() const;
};

[[nodiscard]] Opening<StoreRates> rates_of(io::Files& files, io::Clock& clock);

}  // namespace firnlog::recovery
