#pragma once
// History: which checkpoints stay, and with them which files of the log. Pure.
//
//   beginning        c1          c2                  c3        c4 = the newest
//   |################|###########|###################|#########|####………  log
//   └ base of moments before c1  └ base of moments between c2 and c3
//
// A moment is opened from a base: the newest checkpoint whose hi is not behind it, or the log's
// very beginning while that is there. So what is kept is a run of bases, and the log from the
// oldest one's lo on without a gap. A file goes when the log before that place is all it holds and
// no address of a base that stays leads into it.
//
//   two bases always       a damaged newest one costs time and nothing else
//   the window             as many as the moments in it need; between them only so many that a
//                          moment is not far from its base
//   the bound in bytes     outranks the window: the oldest base goes first
//
// A key that was deleted never comes back by this: its tombstone goes with the log only when every
// base that stays was taken behind it, and in those the key is not.

#include <cstdint>
#include <vector>

#include "engine/format/manifest.hpp"

namespace firnlog::engine {

// How far back any moment can be opened.
struct Window {
    std::int64_t retain_s = 24 * 60 * 60;  // 0: no further than the two bases reach
    std::uint64_t retain_bytes = 0;        // what only history needs; 0: twice what is live, 1 GiB
                                           // at least
    [[nodiscard]] std::uint64_t bytes_max(std::uint64_t live) const;
};

// A segment that nothing is appended to: of the log, with the lsn that it begins at, or packed,
// then without. They are ascending by that.
struct FullFile {
    FileNumber number = 0;
    Lsn base;
    std::uint64_t bytes = 0;
    bool packed = false;
};

// Bytes of the records that the newest checkpoint leads to.
[[nodiscard]] std::uint64_t live_bytes(const Manifest& manifest);

// Lets go of the bases that nothing asks for: takes them out of the manifest, whose first_lsn says
// from where on the log is still needed. `now_us`: of the wall, or 0 where it cannot be trusted;
// then nothing is too old. Returns the numbers of the checkpoints.
[[nodiscard]] std::vector<FileNumber> let_go(Manifest& manifest, const std::vector<FullFile>& files,
                                             const Window& window, std::int64_t now_us);

// Of these files, those that nothing in the manifest needs.
[[nodiscard]] std::vector<FullFile> unneeded(const Manifest& manifest,
                                             const std::vector<FullFile>& files);

// Bytes that would go if the two newest bases were all: what is kept for the past.
[[nodiscard]] std::uint64_t history_bytes(const Manifest& manifest,
                                          const std::vector<FullFile>& files);

// Files that are to be emptied, those that free most for what is copied first: what they hold for
// the newest checkpoint is less than half of them, and so it is for the oldest base, without which
// nothing is freed before the window has passed. `small`: so many bytes make a packed segment worth
// keeping; smaller ones are put together.
[[nodiscard]] std::vector<FileNumber> victims(const Manifest& manifest,
                                              const std::vector<FullFile>& files,
                                              const Window& window, std::uint64_t small);

}  // namespace firnlog::engine
