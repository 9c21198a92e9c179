#pragma once
// Layouts: what lies on the disk at fixed offsets, as structs (docs/format.md). Pure.
//
// Loaded and stored as a whole, with load and store. Every offset of the format's tables is
// asserted here, so that a field that moves does not compile. Nothing is padding: what is free is
// called zero, is written as zero, and is not looked at. Those who encode and decode are the only
// ones to use them; the struct of a frame's header, of which the log keeps one open, is
// FrameHeader.

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "engine/address.hpp"
#include "engine/format/frame.hpp"
#include "engine/format/segment.hpp"

namespace firnlog::engine::layouts {

// Of a file: what it is, its checksum, its version, and where that checksum's bytes begin.
struct Begin {
    std::uint64_t magic = 0;
    std::uint32_t crc = 0;
    std::uint32_t version = 0;
};
inline constexpr std::size_t kCrcAt = 8;
inline constexpr std::size_t kCheckedFrom = 12;
static_assert(sizeof(Begin) == 16);
static_assert(offsetof(Begin, magic) == 0);
static_assert(offsetof(Begin, crc) == kCrcAt);
static_assert(offsetof(Begin, version) == kCheckedFrom);

// Of a log file; zero from here on up to 4096.
struct Segment {
    Begin begin;
    StoreId store_id{};
    FileNumber number = 0;
    Timeline timeline = 0;
    Lsn base;
    std::uint64_t bytes = 0;
    Lsn stale;
};
static_assert(sizeof(Segment) == 64);
static_assert(offsetof(Segment, begin) == 0);
static_assert(offsetof(Segment, store_id) == 16);
static_assert(offsetof(Segment, number) == 32);
static_assert(offsetof(Segment, timeline) == 36);
static_assert(offsetof(Segment, base) == 40);
static_assert(offsetof(Segment, bytes) == 48);
static_assert(offsetof(Segment, stale) == 56);

static_assert(sizeof(FrameHeader) == 64);
static_assert(offsetof(FrameHeader, magic) == 0);
static_assert(offsetof(FrameHeader, crc) == 4);
static_assert(offsetof(FrameHeader, length) == 8);
static_assert(offsetof(FrameHeader, count) == 12);
static_assert(offsetof(FrameHeader, timeline) == 16);
static_assert(offsetof(FrameHeader, records_crc) == 20);
static_assert(offsetof(FrameHeader, lsn) == 24);
static_assert(offsetof(FrameHeader, durable_lsn) == 32);
static_assert(offsetof(FrameHeader, commit_us) == 40);
static_assert(offsetof(FrameHeader, batch_lsn) == 48);
static_assert(offsetof(FrameHeader, zero) == 56);

// Of a packed segment; zero from here on up to 4096.
struct Packed {
    Begin begin;
    StoreId store_id{};
    FileNumber number = 0;
    std::uint32_t zero = 0;
    std::uint64_t records = 0;
    std::uint64_t end = 0;
};
static_assert(sizeof(Packed) == 56);
static_assert(offsetof(Packed, begin) == 0);
static_assert(offsetof(Packed, store_id) == 16);
static_assert(offsetof(Packed, number) == 32);
static_assert(offsetof(Packed, zero) == 36);
static_assert(offsetof(Packed, records) == 40);
static_assert(offsetof(Packed, end) == 48);

// Of a sidecar; zero from here on up to 4096.
struct Sidecar {
    Begin begin;
    StoreId store_id{};
    FileNumber number = 0;
    std::uint32_t zero = 0;
    Lsn base;
    Lsn end;
    std::uint64_t entries = 0;
};
static_assert(sizeof(Sidecar) == 64);
static_assert(offsetof(Sidecar, begin) == 0);
static_assert(offsetof(Sidecar, store_id) == 16);
static_assert(offsetof(Sidecar, number) == 32);
static_assert(offsetof(Sidecar, zero) == 36);
static_assert(offsetof(Sidecar, base) == 40);
static_assert(offsetof(Sidecar, end) == 48);
static_assert(offsetof(Sidecar, entries) == 56);

// Of a block of a sidecar; its entries follow.
struct SidecarBlock {
    std::uint32_t crc = 0;
    std::uint32_t entries = 0;
};
static_assert(sizeof(SidecarBlock) == 8);
static_assert(offsetof(SidecarBlock, crc) == 0);
static_assert(offsetof(SidecarBlock, entries) == 4);

// Of the file of digests; what it has follows.
struct Digests {
    Begin begin;
    StoreId store_id{};
    std::array<std::byte, 32> zero{};
};
static_assert(sizeof(Digests) == 64);
static_assert(offsetof(Digests, begin) == 0);
static_assert(offsetof(Digests, store_id) == 16);
static_assert(offsetof(Digests, zero) == 32);

// Of what it has; a Stored follows.
struct Digest {
    std::uint32_t crc = 0;
    std::uint32_t zero = 0;
};
static_assert(sizeof(Digest) == 8);
static_assert(offsetof(Digest, crc) == 0);
static_assert(offsetof(Digest, zero) == 4);

// Of a checkpoint; zero from here on up to 4096.
struct Checkpoint {
    Begin begin;
    StoreId store_id{};
    FileNumber number = 0;
    std::uint32_t zero = 0;
    std::array<std::byte, 16> hash_secret{};
    std::int64_t begun_us = 0;
};
static_assert(sizeof(Checkpoint) == 64);
static_assert(offsetof(Checkpoint, begin) == 0);
static_assert(offsetof(Checkpoint, store_id) == 16);
static_assert(offsetof(Checkpoint, number) == 32);
static_assert(offsetof(Checkpoint, zero) == 36);
static_assert(offsetof(Checkpoint, hash_secret) == 40);
static_assert(offsetof(Checkpoint, begun_us) == 56);

// A checkpoint's directory is made of these.
struct Blob {
    std::uint8_t kind = 0;
    std::uint8_t type = 0;
    Stripe stripe = 0;
    Kid kid = 0;
    std::uint64_t from = 0;
    Oid oid;
    Lsn stamp;
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
    std::uint32_t crc = 0;
    std::uint64_t count = 0;
    std::uint32_t expires = 0;
    std::uint32_t strays = 0;
};
static_assert(sizeof(Blob) == 64);
static_assert(offsetof(Blob, kind) == 0);
static_assert(offsetof(Blob, type) == 1);
static_assert(offsetof(Blob, stripe) == 2);
static_assert(offsetof(Blob, kid) == 4);
static_assert(offsetof(Blob, from) == 8);
static_assert(offsetof(Blob, oid) == 16);
static_assert(offsetof(Blob, stamp) == 24);
static_assert(offsetof(Blob, offset) == 32);
static_assert(offsetof(Blob, length) == 40);
static_assert(offsetof(Blob, crc) == 44);
static_assert(offsetof(Blob, count) == 48);
static_assert(offsetof(Blob, expires) == 56);
static_assert(offsetof(Blob, strays) == 60);

// Blobs of a checkpoint. Of the catalog; pairs of database and kid follow.
struct CatalogHead {
    Kid next_kid = 0;
    std::uint32_t zero = 0;
};
static_assert(sizeof(CatalogHead) == 8);
static_assert(offsetof(CatalogHead, next_kid) == 0);
static_assert(offsetof(CatalogHead, zero) == 4);

struct Pointing {
    std::uint32_t database = 0;
    Kid kid = 0;
};
static_assert(sizeof(Pointing) == 8);
static_assert(offsetof(Pointing, database) == 0);
static_assert(offsetof(Pointing, kid) == 4);

// Of a page of keys; entries, expiry times and bindings follow, so many of each.
struct KeysHead {
    std::uint32_t entries = 0;
    std::uint32_t expiries = 0;
    std::uint32_t bindings = 0;
    std::uint32_t in_order = 0;
};
static_assert(sizeof(KeysHead) == 16);
static_assert(offsetof(KeysHead, entries) == 0);
static_assert(offsetof(KeysHead, expiries) == 4);
static_assert(offsetof(KeysHead, bindings) == 8);
static_assert(offsetof(KeysHead, in_order) == 12);

// An entry of the index; of a hash's fields, too. What `rest` holds, Entry knows.
struct KeyEntry {
    std::uint64_t hash = 0;
    std::uint64_t rest = 0;
};
static_assert(sizeof(KeyEntry) == 16);
static_assert(offsetof(KeyEntry, hash) == 0);
static_assert(offsetof(KeyEntry, rest) == 8);

// In 60 bits milliseconds, and on top of them the tag's low bits.
struct KeyExpiry {
    std::uint64_t hash = 0;
    std::uint64_t rest = 0;
};
static_assert(sizeof(KeyExpiry) == 16);
static_assert(offsetof(KeyExpiry, hash) == 0);
static_assert(offsetof(KeyExpiry, rest) == 8);

// Of an entry that is an object.
struct KeyBinding {
    Oid oid;
    Lsn lsn;
    std::uint64_t record_bytes = 0;
};
static_assert(sizeof(KeyBinding) == 24);
static_assert(offsetof(KeyBinding, oid) == 0);
static_assert(offsetof(KeyBinding, lsn) == 8);
static_assert(offsetof(KeyBinding, record_bytes) == 16);

// Of an object, or of a piece of one; `length` bytes of its type follow.
struct ObjectHead {
    Oid oid;
    std::uint64_t type = 0;
    std::uint64_t length = 0;
};
static_assert(sizeof(ObjectHead) == 24);
static_assert(offsetof(ObjectHead, oid) == 0);
static_assert(offsetof(ObjectHead, type) == 8);
static_assert(offsetof(ObjectHead, length) == 16);

// Of a hash; entries follow, then the long values.
struct HashHead {
    std::uint32_t longest = 0;
    std::uint32_t entries = 0;
    std::uint32_t in_order = 0;
    std::uint32_t long_values = 0;
};
static_assert(sizeof(HashHead) == 16);
static_assert(offsetof(HashHead, longest) == 0);
static_assert(offsetof(HashHead, entries) == 4);
static_assert(offsetof(HashHead, in_order) == 8);
static_assert(offsetof(HashHead, long_values) == 12);

// Of a long value; its pieces follow.
struct ValueHead {
    std::uint64_t pieces = 0;
};
static_assert(sizeof(ValueHead) == 8);
static_assert(offsetof(ValueHead, pieces) == 0);

struct ValuePiece {
    std::uint64_t address = 0;
    std::uint32_t record_bytes = 0;
    std::uint32_t bytes = 0;
};
static_assert(sizeof(ValuePiece) == 16);
static_assert(offsetof(ValuePiece, address) == 0);
static_assert(offsetof(ValuePiece, record_bytes) == 8);
static_assert(offsetof(ValuePiece, bytes) == 12);

// Of a big string; its chunks follow.
struct StringHead {
    std::uint64_t bytes = 0;
};
static_assert(sizeof(StringHead) == 8);
static_assert(offsetof(StringHead, bytes) == 0);

// Of a chunk; its base follows, and so many patches.
struct ChunkHead {
    std::uint32_t number = 0;
    std::uint32_t patches = 0;
};
static_assert(sizeof(ChunkHead) == 8);
static_assert(offsetof(ChunkHead, number) == 0);
static_assert(offsetof(ChunkHead, patches) == 4);

struct ChunkPiece {
    std::uint64_t address = 0;
    std::uint32_t record_bytes = 0;
    std::uint16_t offset = 0;
    std::uint16_t bytes = 0;
};
static_assert(sizeof(ChunkPiece) == 16);
static_assert(offsetof(ChunkPiece, address) == 0);
static_assert(offsetof(ChunkPiece, record_bytes) == 8);
static_assert(offsetof(ChunkPiece, offset) == 12);
static_assert(offsetof(ChunkPiece, bytes) == 14);

// A checkpoint's last bytes.
struct Trailer {
    std::uint64_t magic = 0;
    std::uint32_t crc = 0;
    std::uint32_t directory_crc = 0;
    std::uint64_t directory_offset = 0;
    std::uint64_t blobs = 0;
    Lsn lo;
    Lsn hi;
    std::uint64_t keys = 0;
    std::uint8_t counted = 0;
    std::array<std::byte, 7> zero{};
};
static_assert(sizeof(Trailer) == 64);
static_assert(offsetof(Trailer, magic) == 0);
static_assert(offsetof(Trailer, crc) == kCrcAt);
static_assert(offsetof(Trailer, directory_crc) == kCheckedFrom);
static_assert(offsetof(Trailer, directory_offset) == 16);
static_assert(offsetof(Trailer, blobs) == 24);
static_assert(offsetof(Trailer, lo) == 32);
static_assert(offsetof(Trailer, hi) == 40);
static_assert(offsetof(Trailer, keys) == 48);
static_assert(offsetof(Trailer, counted) == 56);
static_assert(offsetof(Trailer, zero) == 57);

// Of the manifest; its sections follow.
struct Manifest {
    Begin begin;
    std::uint64_t incompatible = 0;
    std::uint64_t compatible = 0;
    std::uint64_t length = 0;
};
static_assert(sizeof(Manifest) == 40);
static_assert(offsetof(Manifest, begin) == 0);
static_assert(offsetof(Manifest, incompatible) == 16);
static_assert(offsetof(Manifest, compatible) == 24);
static_assert(offsetof(Manifest, length) == 32);

// Of a backup's manifest; its files follow, and then the store's manifest.
struct Backup {
    Begin begin;
    std::int64_t made_us = 0;
    Lsn lsn;
    std::int64_t commit_us = 0;
    Timeline timeline = 0;
    std::uint32_t files = 0;
    std::uint32_t store_bytes = 0;
    std::array<std::byte, 12> zero{};
};
static_assert(sizeof(Backup) == 64);
static_assert(offsetof(Backup, begin) == 0);
static_assert(offsetof(Backup, made_us) == 16);
static_assert(offsetof(Backup, lsn) == 24);
static_assert(offsetof(Backup, commit_us) == 32);
static_assert(offsetof(Backup, timeline) == 40);
static_assert(offsetof(Backup, files) == 44);
static_assert(offsetof(Backup, store_bytes) == 48);
static_assert(offsetof(Backup, zero) == 52);

// A file that does not change any more; the checksums of its pieces follow, padded to 8.
struct Stored {
    FileNumber number = 0;
    std::uint8_t kind = 0;
    std::array<std::byte, 3> zero{};
    std::uint64_t bytes = 0;
    Lsn lsn;
    std::uint64_t tag = 0;
    std::uint32_t pieces = 0;
    std::uint32_t zero_behind = 0;
};
static_assert(sizeof(Stored) == 40);
static_assert(offsetof(Stored, number) == 0);
static_assert(offsetof(Stored, kind) == 4);
static_assert(offsetof(Stored, zero) == 5);
static_assert(offsetof(Stored, bytes) == 8);
static_assert(offsetof(Stored, lsn) == 16);
static_assert(offsetof(Stored, tag) == 24);
static_assert(offsetof(Stored, pieces) == 32);
static_assert(offsetof(Stored, zero_behind) == 36);

}  // namespace firnlog::engine::layouts
