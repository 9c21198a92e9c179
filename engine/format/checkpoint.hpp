#pragma once
// Checkpoint file: the index written down, in blobs. Pure.
//
//   | header 4096 | blob | blob | blob | … | directory | trailer 64 |
//
// A blob is a page of the index as it was at one moment: its stamp is the lsn up to which effects
// are in it and from which on they are not. Blobs have stamps of their own, so that no two of them
// need be taken at once: together they cover [lo, hi], the smallest and the largest stamp, and the
// log from lo on is part of the checkpoint.
//
// The directory says what each blob is and holds its checksum. A checksum is seeded with the store,
// the file and the place, so that no stale or foreign bytes pass for a blob. Blobs begin at
// multiples of 8.

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/address.hpp"
#include "engine/format/segment.hpp"
#include "engine/index/tag.hpp"
#include "io/base/bytes.hpp"

namespace firnlog::engine {

inline constexpr std::size_t kCheckpointHeaderBytes = 4096;
inline constexpr std::size_t kBlobEntryBytes = 64;
inline constexpr std::size_t kTrailerBytes = 64;
// No blob is longer; a page of keys with all that may stand beside it is far below.
inline constexpr std::size_t kBlobBytesMax = std::size_t{16} << 20;

struct CheckpointHeader {
    StoreId store_id{};
    FileNumber number = 0;
    Hasher::Secret hash_secret{};
    std::int64_t begun_us = 0;
};
void encode_checkpoint_header(const CheckpointHeader& header, std::byte* to) noexcept;
// Nothing unless it is a header of this version.
[[nodiscard]] std::optional<CheckpointHeader> decode_checkpoint_header(Bytes block) noexcept;

enum class BlobKind : std::uint8_t {
    catalog = 1,  // where databases point
    keys = 2,     // keys of a keyspace id in a stripe, from a hash on
    objects = 3,  // whole objects of a stripe, from a place among its oids on
    part = 4,     // a piece of one object that has several, from a position on
};

//  0 kind 1 · 1 type 1 (part) · 2 stripe 2 · 4 kid 4 (keys)
//  8 from 8 · 16 oid 8 (part) · 24 stamp 8 · 32 offset 8 · 40 length 4 · 44 crc32c 4 · 48 count 8
// 56 expires 4 · 60 strays 4
struct BlobEntry {
    BlobKind kind = BlobKind::catalog;
    std::uint8_t type = 0;
    Stripe stripe = 0;
    Kid kid = 0;
    std::uint64_t from = 0;
    Oid oid;
    Lsn stamp;
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
    std::uint32_t crc = 0;
    std::uint64_t count = 0;  // of entries, objects or databases
    // Of the keys: those that expire, and those that lead to an object of another stripe.
    std::uint32_t expires = 0;
    std::uint32_t strays = 0;
};
void encode_blob_entry(const BlobEntry& entry, std::byte* to) noexcept;
[[nodiscard]] std::optional<BlobEntry> decode_blob_entry(const std::byte* from) noexcept;
[[nodiscard]] std::uint32_t blob_crc(Bytes blob, const StoreId& store_id, FileNumber number,
                                     std::uint64_t offset) noexcept;

//  0 magic 8 "FIRNCKPE" · 8 crc32c 4 over [12, 64), seeded as a blob · 12 directory's crc32c 4
// 16 directory's offset 8 · 24 its blobs 8 · 32 lo 8 · 40 hi 8 · 48 keys 8 · 56 counted 1
// 57 zero 7
struct CheckpointTrailer {
    std::uint64_t directory_offset = 0;
    std::uint64_t blobs = 0;
    std::uint32_t directory_crc = 0;
    Lsn lo;
    Lsn hi;
    std::uint64_t keys = 0;
    // The directory tells of keys that expire and of strays; that of earlier builds does not.
    bool counted = false;
};
void encode_trailer(const CheckpointTrailer& trailer, const StoreId& store_id, FileNumber number,
                    std::uint64_t offset, std::byte* to) noexcept;
[[nodiscard]] std::optional<CheckpointTrailer> decode_trailer(Bytes bytes, const StoreId& store_id,
                                                              FileNumber number,
                                                              std::uint64_t offset) noexcept;

}  // namespace firnlog::engine
