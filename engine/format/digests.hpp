#pragma once
// DigestsFile: the file `digests` of a store, what its full files were when they were sealed. Pure.
//
//    0  magic          8   "FIRNDIG1"
//    8  crc32c         4   over [12, 64)
//   12  version        4
//   16  store id      16
//   32  zero          32
//   64  one after the other: 0 crc32c 4 over [8, its end), seeded with the store id · 4 zero 4 ·
//       8 a file (engine/format/stored.hpp)
//
// It grows at its end and is not synced: what a crash has left of it counts up to the first that
// does not check out. Nothing depends on it, for each can be had by reading the file; and none
// names a file whose bytes a crash could have taken back.

#include <vector>

#include "engine/address.hpp"
#include "engine/format/segment.hpp"
#include "engine/format/stored.hpp"
#include "io/base/bytes.hpp"

namespace firnlog::engine {

[[nodiscard]] std::vector<std::byte> encode_digests(const StoreId& store_id);
// Appends it.
void encode_digest(const StoreId& store_id, const StoredFile& file, std::vector<std::byte>& to);
// None of a file of another store, or another version.
[[nodiscard]] std::vector<StoredFile> decode_digests(const StoreId& store_id, Bytes bytes);

}  // namespace firnlog::engine
