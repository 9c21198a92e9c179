#pragma once
// backup: a store as it is now, and its past, as one more backup in a directory of them.
//
//   plan ──> link, clone or copy what is not there yet ──> know it, give it its name ──> manifest
//   lsn      files/0000000012.log.new                      files/0000000012-9f3a….log   renamed
//
// Its moment is where the log ends when the plan is made; writers go on. What the store lets go of
// while it is taken is there under a second name by then, or the plan is made again: nothing that
// was taken is taken twice. Full files are linked where that can be, for nobody writes into a file
// that has two names; of the last one the bytes up to the moment are copied.
//
// A file that is linked is known by the digest that was made when it was sealed (Digests), so that
// a backup of whatever size takes the time of its links. One that was copied, or that has none, is
// read once, when it comes in: what is damaged in it does not become a backup. What a maker who
// died has brought there counts for the next one.
//
// The store is only read; what of it goes into the backup is durable there first.

#include "recovery/backups.hpp"
#include "recovery/restore.hpp"

namespace firnlog::recovery {

struct BackupOptions {
    std::string name;
    std::function<void(const Progress&)> progress;
    std::function<bool()> give_up;
};

struct BackupTaken {
    Place place;
    Place oldest;
    std::uint64_t files = 0;  // of the backup
    std::uint64_t bytes = 0;
    std::uint64_t kept = 0;  // of them were there
    std::uint64_t linked = 0;
    std::uint64_t cloned = 0;
    std::uint64_t copied = 0;
    std::uint64_t bytes_copied = 0;
    std::uint64_t read = 0;    // of them, for nobody had noted what they are
    std::int64_t held_us = 0;  // until nothing of the store was needed any more
    std::int64_t took_us = 0;
};

// Code::exists if there is one of that name, Code::busy if another one adds to them now.
[[nodiscard]] Opening<BackupTaken> take_backup(io::Files& from, io::Files& to, io::Clock& clock,
                                               const BackupOptions& options);

}  // namespace firnlog::recovery
