#pragma once
// The kept tail: what the log keeps of the files that a crash may have touched, written anew.
//
//   touched   | frame | frame | fr###e | #####   0 |
//             '- anew, aside -''-- quarantine --'
//
// The page cache is not trusted to hold what the disk holds, so nothing is appended to those files:
// what was verified goes into new ones, aside, until the manifest adopts them. What is cut off was
// acknowledged to nobody; it is kept for a person to look at, never read by a start.

#include <functional>
#include <string>
#include <vector>

#include "recovery/tail_scan.hpp"

namespace firnlog::recovery {

// Of the tail's file at the same place: where it lies from this start on, and how far it is kept.
struct KeptFile {
    engine::FileNumber number = 0;
    std::uint64_t end = 0;  // offset: the end of a batch
};

struct Torn {
    std::uint64_t bytes = 0;
    std::string at;  // "0000000003.log offset 12345 lsn 99", or empty
};

// A new number, from `next_file` on, for each file of which something is kept.
[[nodiscard]] std::vector<KeptFile> kept_files(const TailScan& tail, engine::FileNumber& next_file);

// Written and synced; the names are durable after files.sync_dir(). `written` is told the bytes of
// each file; false: give up, with Code::busy.
[[nodiscard]] Result<void> write_kept_tail(io::Files& files, const TailScan& tail,
                                           const std::vector<KeptFile>& kept,
                                           const std::function<bool(std::uint64_t)>& written);

// `timeline`: the one that ended in the crash; it tells the files of one crash from another's.
[[nodiscard]] Result<Torn> keep_in_quarantine(io::Files& files, const TailScan& tail,
                                              engine::Timeline timeline);

}  // namespace firnlog::recovery
