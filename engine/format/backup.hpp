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
//   64  a file after the other (engine/format/stored.hpp)
//       the store's own manifest, as it would be had the store stopped at the moment
//
// Files do not lie beside it under the names that they had in the store, for several backups share
// them: a name there holds a tag made of what is in the file, so that equal files are one, and two
// stores that went different ways from a common past do not get into each other's way.

#include <vector>

#include "engine/address.hpp"
#include "engine/format/stored.hpp"
#include "io/base/bytes.hpp"
#include "io/base/result.hpp"

namespace firnlog::engine {

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
