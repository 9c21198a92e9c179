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
//   kept moments           checkpoints that a rule asks for when the window lets go of them; of
//                          the log only [lo, hi) stays with each
//   the archive            what it has not got yet stays beyond the window
//   the bound in bytes     outranks all three: the oldest kept moment goes first, then the oldest
//                          base; so does a disk that fills
//   a full disk            one base is enough, the newest, once it was read back whole
//
// A key that was deleted never comes back by this: its tombstone goes with the log only when every
// base that stays was taken behind it, and in those the key is not.

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "engine/format/manifest.hpp"
#include "engine/keep.hpp"

namespace firnlog::engine {

// A damaged newest one costs time and nothing else.
inline constexpr std::size_t kBasesMin = 2;

// How far back any moment can be opened.
struct Window {
    std::int64_t retain_s = 24 * 60 * 60;  // 0: no further than the two bases reach
    std::uint64_t retain_bytes = 0;        // what only history needs; 0: twice what is live, 1 GiB
                                           // at least
    Keep keep = {};                        // what outlives it
    // And never more than this: the disk has no room for it.
    std::uint64_t room_bytes = std::numeric_limits<std::uint64_t>::max();
    // The log from here on is not in the archive yet: it goes for the sake of a bound in bytes, and
    // not for its age.
    Lsn unarchived{std::numeric_limits<std::uint64_t>::max()};
    // Of the bytes that it may take so many are taken by sidecars.
    std::uint64_t beside_bytes = 0;
    [[nodiscard]] bool keeps_any() const { return retain_s != 0 || !keep.empty(); }
    [[nodiscard]] std::uint64_t bytes_max(std::uint64_t live) const;
    // The same for what only the archive still needs, also where no past is kept.
    [[nodiscard]] std::uint64_t unarchived_bytes_max(std::uint64_t live) const;
};

// A segment that nothing is appended to: of the log, with the lsns where it begins and behind its
// last byte, or packed, then without. While nothing behind it is durable, the log's last one is its
// only beginning: then its end is as far as an lsn goes.
struct FullFile {
    static constexpr Lsn kOpen{std::numeric_limits<std::uint64_t>::max()};
    FileNumber number = 0;
    Lsn begin;
    Lsn end = kOpen;
    std::uint64_t bytes = 0;
    bool packed = false;
};

// Bytes of the records that the newest checkpoint leads to.
[[nodiscard]] std::uint64_t live_bytes(const Manifest& manifest);

// Lets go of the bases and kept moments that nothing asks for: takes them out of the manifest,
// whose first_lsn says from where on the log is still needed, but for kept moments. `now_us`: of
// the wall, or 0 where it cannot be trusted; then nothing is too old. `bases_min`: how many stay in
// any case. Returns the numbers of the checkpoints.
[[nodiscard]] std::vector<FileNumber> let_go(Manifest& manifest, const std::vector<FullFile>& files,
                                             const Window& window, std::int64_t now_us,
                                             std::size_t bases_min = kBasesMin);

// Moments can be opened from so many places; fewer than kBasesMin after a disk was full.
[[nodiscard]] std::size_t bases(const Manifest& manifest);

// Of these files, those that nothing in the manifest needs.
[[nodiscard]] std::vector<FullFile> unneeded(const Manifest& manifest,
                                             const std::vector<FullFile>& files);

// Bytes that would go if the newest bases, so many, were all: with two of them, what is kept for
// the past.
[[nodiscard]] std::uint64_t history_bytes(const Manifest& manifest,
                                          const std::vector<FullFile>& files,
                                          std::size_t bases_min = kBasesMin);

// Who keeps what, in bytes: of each what would go without it, and without those below it. All but
// the first make up history_bytes.
struct Keepers {
    std::uint64_t fall_back = 0;  // the older of the two bases
    std::uint64_t window = 0;     // any moment so far back
    std::uint64_t kept = 0;       // moments that outlive it
    std::uint64_t archive = 0;    // log that it has not got yet
    std::uint64_t nobody = 0;     // goes with the next switch, unless somebody reads the past
    bool operator==(const Keepers&) const = default;
};
// As far as the manifest tells: bases and kept moments are there because somebody asks for them.
[[nodiscard]] Keepers keepers(const Manifest& manifest, const std::vector<FullFile>& files);
// By what is asked for, as let_go.
[[nodiscard]] Keepers keepers(const Manifest& manifest, const std::vector<FullFile>& files,
                              const Window& window, std::int64_t now_us);

// What of a file is in use, as far as it is known.
using LiveOf = std::function<std::uint64_t(FileNumber)>;

// Files that are to be emptied, those that free most for what is copied first: less than half of
// them is in use, and so it was for the oldest base, without which nothing is freed before the
// window has passed. `live`: of files as of now; without it as of the newest checkpoint. `enough`:
// where no past is kept, no more of them than it takes that all files have so many bytes. `small`:
// so many bytes make a packed segment worth keeping; smaller ones are put together.
struct VictimRules {
    std::uint64_t small = 0;
    std::uint64_t enough = 0;
    LiveOf live = {};
};
[[nodiscard]] std::vector<FileNumber> victims(const Manifest& manifest,
                                              const std::vector<FullFile>& files,
                                              const Window& window, const VictimRules& rules);

}  // namespace firnlog::engine
