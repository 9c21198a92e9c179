#pragma once
// Trial: a backup or an archive opened as a restore would open it, and nothing written: every byte
// is compared with its checksums, the log is replayed, every value is read. What it tells of keys
// and digest is what a restore of it would tell. Of an archive it is the newest moment, and what
// that needs.

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "io/clock.hpp"
#include "io/files.hpp"
#include "recovery/backups.hpp"
#include "recovery/restore.hpp"
#include "src/text/sha1.hpp"

namespace firnlog::server {

// What a store held at a moment.
struct StateOfMoment {
    std::int64_t keys = 0;
    std::int64_t expires = 0;
    std::optional<text::Sha1> digest;  // as FIRN DIGEST; nothing where it was not asked for
};

struct StateWish {
    bool digest = true;                                    // read every value for it
    std::function<bool(std::string_view key)> wants = {};  // none: of all keys
    std::function<bool()> give_up = {};
    // While values are read: of how many keys, and of how many in all.
    std::function<void(std::uint64_t, std::uint64_t)> progress = {};
};

// `place` as it was planned. Code::damaged if a value cannot be read, Code::busy if it was given
// up.
[[nodiscard]] recovery::Opening<StateOfMoment> state_of_moment(io::Files& files, io::Clock& clock,
                                                               const recovery::Place& place,
                                                               const StateWish& wish);

inline constexpr std::string_view kArchiveName = "archive";

struct Trial {
    std::string name;  // of the backup, or kArchiveName
    recovery::RestorePlan plan;
    // What was read.
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
    StateOfMoment state;
    std::int64_t took_us = 0;
};

struct TrialOptions {
    recovery::VerifyProgress progress;  // of the first reading; false gives up
    std::function<bool()> give_up;
};

// Of the backup of that name in `dir`; no name: the newest. Errors as those of a restore.
[[nodiscard]] recovery::Opening<Trial> try_backup(io::Files& dir, const std::string& name,
                                                  io::Clock& clock, const TrialOptions& options);

// A server may add to it meanwhile.
[[nodiscard]] recovery::Opening<Trial> try_archive(io::Files& dir, io::Clock& clock,
                                                   const TrialOptions& options);

}  // namespace firnlog::server
