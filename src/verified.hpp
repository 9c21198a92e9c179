#pragma once
// Verified: the last restore point that a trial has found whole, and the note of it: a small file
// beside what was tried, so that a server knows of it after a restart.
//
//   firnlog verified 1 | name monday | lsn 3:88120392 | … | crc32c 1b2f00aa        a line each
//
// A note and no more: nothing is restored by it, and one that is missing, or not exactly as it was
// written, is none.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/address.hpp"
#include "io/files.hpp"

namespace firnlog::server {

// No backup is made of a file of that name, nor an archive.
inline constexpr std::string_view kVerifiedFile = "verified";

struct Verified {
    std::string name;  // of the backup, or kArchiveName; empty: none was
    engine::Timeline timeline = 0;
    engine::Lsn lsn;
    std::int64_t commit_us = 0;  // of the moment
    std::int64_t keys = 0;
    std::string digest;
    std::int64_t took_us = 0;
    std::int64_t us = 0;  // of the wall: when that was found out
    bool operator==(const Verified&) const = default;
};

// Replaces the note in this directory, as a whole.
[[nodiscard]] Result<void> write_verified(io::Files& dir, const Verified& verified);
// Nothing: there is none that can be read.
[[nodiscard]] std::optional<Verified> read_verified(io::Files& dir);

}  // namespace firnlog::server
