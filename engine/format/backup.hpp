#pragma once
// Backup manifest: the one file that says what a backup is made of. Pure.
//
//    0  magic          8   "FIRNBAK1"
//    8  crc32c         4   over [12, end)
//   12  version        4
//   16  made           8   µs since 1970
//   24  lsn            8   the moment
//   32  commit         8   µs since 1970: when that was committed
//   40  timeline       4   of the moment
//   44  files          4
//   48  store bytes    4
//   52  zero          12
//   64  a file after the other:
//         0 number 4 · 4 kind 1 · 5 zero 3 · 8 bytes 8 · 16 lsn 8 · 24 tag 8 · 32 pieces 4 · 36
//         zero 4 · 40 crc32c 4 of each piece of 1 MiB, padded to 8
//       the store's own manifest, as it would be had the store stopped at the moment
//
// Files do not lie beside it under the names that they had in the store, for several backups share
// them: a name there holds a tag made of what is in the file, so that equal files are one, and two
// stores that went different ways from a common past do not get into each other's way.

#include <string>
#include <vector>

#include "engine/address.hpp"
#include "io/base/bytes.hpp"
#include "io/base/result.hpp"

namespace firnlog::engine {

enum class StoredKind : std::uint8_t { log = 1, packed = 2, checkpoint = 3 };

// Of these a file's digest is made.
inline constexpr std::size_t kStoredPieceBytes = std::size_t{1} << 20;

struct StoredFile {
    FileNumber number = 0;
    StoredKind kind = StoredKind::log;
    std::uint64_t bytes = 0;
    Lsn lsn;                            // log: where it begins; checkpoint: its hi
    std::uint64_t tag = 0;              // see tag_of
    std::vector<std::uint32_t> pieces;  // checksums
    bool operator==(const StoredFile&) const = default;

    // What it is called in its store, and among the files of backups.
    [[nodiscard]] std::string name() const;
    [[nodiscard]] std::string stored_name() const;
};

// Made of the file's size and the checksums of its pieces.
[[nodiscard]] std::uint64_t tag_of(std::uint64_t bytes, const std::vector<std::uint32_t>& pieces);

struct BackupManifest {
    std::int64_t made_us = 0;
    Lsn lsn;
    std::int64_t commit_us = 0;
    Timeline timeline = 0;
    std::vector<StoredFile> files;
    std::vector<std::byte> store;  // an encoded Manifest

    [[nodiscard]] std::uint64_t bytes() const;  // of all files
};

[[nodiscard]] std::vector<std::byte> encode_backup(const BackupManifest& manifest);
[[nodiscard]] Result<BackupManifest> decode_backup(Bytes bytes);

}  // namespace firnlog::engine
