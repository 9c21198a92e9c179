#pragma once
// Manifest: the one small file that says what the store is made of. Pure.
//
//    0  magic          8   "FIRNMAN1"
//    8  crc32c         4   over [12, end)
//   12  version        4
//   16  incompatible   8   bits; one this build does not know: refused
//   24  compatible     8   bits; unknown ones are ignored
//   32  length         8   of the sections behind
//   40  sections           tag 4 · length 4 · bytes, padded to 8; tags with the high bit may be
//   skipped
//
// Segments are not listed while they come and go: each log file names itself, and the chain of
// bases orders them. The manifest holds what they cannot know: which stretch of lsns each timeline
// has, where it was cut, from where on the log is needed, and whether the last stop was clean. It
// is replaced as a whole: written aside, synced, renamed, directory synced.

#include <array>
#include <cstdint>
#include <vector>

#include "engine/address.hpp"
#include "engine/format/segment.hpp"
#include "engine/types/moves.hpp"
#include "io/base/bytes.hpp"
#include "io/base/result.hpp"

namespace firnlog::engine {

// The stretch [begin, end) of lsns that a timeline wrote; the last one is open (end is zero) while
// the server runs and after it crashed.
struct TimelineEntry {
    Timeline timeline = 0;
    Lsn begin;
    Lsn end;
    std::int64_t started_us = 0;
};

// A checkpoint that a start may begin with: file `number`, the index over [lo, hi]. The log from lo
// on is part of it, and everything before hi was durable when the manifest named it. Its addresses
// lead into `files`, and into the log from lo on.
struct CheckpointEntry {
    FileNumber number = 0;
    Lsn lo;
    Lsn hi;
    std::uint64_t bytes = 0;  // of the file
    std::int64_t taken_us = 0;
    std::vector<FileNumber> files;    // ascending
    std::vector<std::uint64_t> live;  // bytes that it leads to in each of them
};

struct Manifest {
    StoreId store_id{};
    std::array<std::byte, 16> hash_secret{};
    std::int64_t created_us = 0;
    std::uint64_t sequence = 0;  // how often the manifest was written
    bool clean = false;          // the last process stopped cleanly: the last timeline has an end
    bool recycles = false;       // log files may hold what was log before, behind their frames
    // The log is there from here on, without a gap: from the store's very beginning, or from the
    // lo of the oldest checkpoint.
    Lsn first_lsn;
    // Everything before was durable when the last clean stop wrote so; what vouches for more may
    // stand in the log.
    Lsn durable;
    std::int64_t high_us = 0;  // no moment later than this was acknowledged before the start
    FileNumber files_end = 1;  // every file number given out so far is smaller
    std::vector<TimelineEntry> timelines;
    // Files whose bytes count no more; they are unlinked once this manifest is durable.
    std::vector<FileNumber> retired;
    // Files written aside ("….log.new") that count from this manifest on, and get their name then.
    std::vector<FileNumber> adopted;
    // Packed segments that a checkpoint leads into; ascending.
    std::vector<FileNumber> packed;
    // The oldest first; the newest one that is sound is where a start begins.
    std::vector<CheckpointEntry> checkpoints;
    // Moments that outlive the log around them: each with its files and the log of [lo, hi). Older
    // than all of the checkpoints; the oldest first.
    std::vector<CheckpointEntry> kept;
    // Files that a checkpoint names and that were written anew under another number: the log's tail
    // by recovery, others where something was forgotten.
    std::vector<Move> moves;

    // Nothing of the log was given back yet: replaying it gives the state without a checkpoint.
    [[nodiscard]] bool has_beginning() const {
        return timelines.empty() || first_lsn <= timelines.front().begin;
    }
    // Everything before was durable when this was written: what is missing there is damage.
    [[nodiscard]] Lsn vouched() const;
    // A file number that something still leads to, by itself or by a move.
    [[nodiscard]] bool names(FileNumber number) const;
    // A stretch of log that a kept moment is made of.
    [[nodiscard]] bool keeps(Lsn begin, Lsn end) const;
};

[[nodiscard]] std::vector<std::byte> encode_manifest(const Manifest& manifest);
[[nodiscard]] Result<Manifest> decode_manifest(Bytes bytes);

}  // namespace firnlog::engine
