#pragma once
// Backups: what a directory of backups holds.
//
//   monday.backup     its manifest: one file, which has its name only when all of it is there
//   tuesday.backup
//   tuesday.part      of one that is being made, or was when its maker died
//   files/            what they are made of; a file is there once, however many name it
//   lock              held by whoever adds to them or takes away
//
// Files that no manifest names are left from somebody who died: whoever holds the lock removes
// them.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/format/backup.hpp"
#include "engine/format/manifest.hpp"
#include "io/files.hpp"
#include "recovery/backup_files.hpp"
#include "recovery/refusal.hpp"

namespace firnlog::recovery {

inline constexpr std::string_view kBackupSuffix = ".backup";
inline constexpr std::string_view kPartSuffix = ".part";
inline constexpr std::string_view kBackupFolder = "files";
inline constexpr std::size_t kBackupNameBytesMax = 100;

// Letters, digits, '-', '_' and '.', the last not at the beginning.
[[nodiscard]] bool is_backup_name(std::string_view name);
// "20261126T041000Z"
[[nodiscard]] std::string backup_name_of_time(std::int64_t us);

struct Backup {
    std::string name;
    engine::BackupManifest manifest;
};
// One whose manifest cannot be read.
struct DamagedBackup {
    std::string name;
    Error error;
};
struct Backups {
    std::vector<Backup> whole;  // the oldest first
    std::vector<DamagedBackup> damaged;
    std::vector<Backup> parts;
};
// Code::missing if the directory holds no backups.
[[nodiscard]] Result<Backups> list_backups(io::Files& files);
// The one of that name; no name: the newest. Code::damaged with the place if its manifest is.
[[nodiscard]] Opening<Backup> find_backup(io::Files& files, std::string_view name);

// It as a store's directory. `files` outlives what is returned.
[[nodiscard]] std::unique_ptr<BackupFiles> open_backup(io::Files& files, const Backup& backup);

struct VerifiedBackup {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
    std::vector<std::string> faults;  // one line each, with the place
};
// Reads all of it. `progress` is told of bytes done and in all; false gives up (Code::busy).
using VerifyProgress = std::function<bool(std::uint64_t, std::uint64_t)>;
[[nodiscard]] Opening<VerifiedBackup> verify_backup(io::Files& files, const Backup& backup,
                                                    const VerifyProgress& progress = {});

struct DeletedBackups {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
};
// Their manifests go first, then the files that no other one names. One that is damaged may be
// deleted; while another one is, files stay.
[[nodiscard]] Opening<DeletedBackups> delete_backups(io::Files& files,
                                                     const std::vector<std::string>& names);

// What either of them asks for stays, and the newest always.
struct Retention {
    std::optional<std::int64_t> keep_us;  // younger ones
    std::optional<std::uint64_t> keep_last;
    [[nodiscard]] bool any() const { return keep_us || keep_last; }
};
// Which of them nothing asks for.
[[nodiscard]] std::vector<std::string> outlived(const std::vector<Backup>& whole,
                                                const Retention& retention, std::int64_t now_us);
// Deletes what nothing asks for; where nothing is said all of it stays.
struct Retained {
    std::vector<std::string> deleted;  // names
    DeletedBackups gone;
};
[[nodiscard]] Opening<Retained> retain(io::Files& files, const Retention& retention,
                                       std::int64_t now_us);

// Removes files that no manifest names; none, if one cannot be read. The lock is held.
[[nodiscard]] Result<DeletedBackups> sweep_backups(io::Files& files);

}  // namespace firnlog::recovery
