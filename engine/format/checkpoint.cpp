#include "engine/format/checkpoint.hpp"

#include "engine/format/layouts.hpp"
#include "io/base/crc32c.hpp"

namespace firnlog::engine {
namespace {

constexpr std::uint64_t kMagic = 0x31504b434e524946;         // "FIRNCKP1"
constexpr std::uint64_t kTrailerMagic = 0x45504b434e524946;  // "FIRNCKPE"

std::uint32_t seed_of(const StoreId& store_id, FileNumber number, std::uint64_t offset) {
    std::byte place[12];
    store(place, number);
    store(place + 4, offset);
    return crc32c(place, crc32c(store_id));
}

static_assert(sizeof(layouts::Blob) == kBlobEntryBytes);
static_assert(sizeof(layouts::Trailer) == kTrailerBytes);

}  // namespace

void encode_checkpoint_header(const CheckpointHeader& header, std::byte* to) noexcept {
    std::memset(to, 0, kCheckpointHeaderBytes);
    layouts::Checkpoint at{.begin = {.magic = kMagic, .crc = 0, .version = kFormatVersion},
                           .store_id = header.store_id,
                           .number = header.number,
                           .hash_secret = header.hash_secret,
                           .begun_us = header.begun_us};
    store(to, at);
    at.begin.crc =
        crc32c({to + layouts::kCheckedFrom, kCheckpointHeaderBytes - layouts::kCheckedFrom});
    store(to, at);
}

std::optional<CheckpointHeader> decode_checkpoint_header(Bytes block) noexcept {
    if (block.size() < kCheckpointHeaderBytes) return {};
    block = block.first(kCheckpointHeaderBytes);
    const auto at = load<layouts::Checkpoint>(block.data());
    if (at.begin.magic != kMagic || at.begin.crc != crc32c(block.subspan(layouts::kCheckedFrom)) ||
        at.begin.version != kFormatVersion)
        return {};
    return CheckpointHeader{.store_id = at.store_id,
                            .number = at.number,
                            .hash_secret = at.hash_secret,
                            .begun_us = at.begun_us};
}

void encode_blob_entry(const BlobEntry& entry, std::byte* to) noexcept {
    store(to, layouts::Blob{.kind = static_cast<std::uint8_t>(entry.kind),
                            .type = entry.type,
                            .stripe = entry.stripe,
                            .kid = entry.kid,
                            .from = entry.from,
                            .oid = entry.oid,
                            .stamp = entry.stamp,
                            .offset = entry.offset,
                            .length = entry.length,
                            .crc = entry.crc,
                            .count = entry.count,
                            .expires = entry.expires,
                            .strays = entry.strays});
}

std::optional<BlobEntry> decode_blob_entry(const std::byte* from) noexcept {
    const auto at = load<layouts::Blob>(from);
    if (at.kind < 1 || at.kind > 4) return {};
    if (at.stripe >= kStripes || at.length > kBlobBytesMax || at.offset % 8 != 0) return {};
    return BlobEntry{.kind = static_cast<BlobKind>(at.kind),
                     .type = at.type,
                     .stripe = at.stripe,
                     .kid = at.kid,
                     .from = at.from,
                     .oid = at.oid,
                     .stamp = at.stamp,
                     .offset = at.offset,
                     .length = at.length,
                     .crc = at.crc,
                     .count = at.count,
                     .expires = at.expires,
                     .strays = at.strays};
}

std::uint32_t blob_crc(Bytes blob, const StoreId& store_id, FileNumber number,
                       std::uint64_t offset) noexcept {
    return crc32c(blob, seed_of(store_id, number, offset));
}

void encode_trailer(const CheckpointTrailer& trailer, const StoreId& store_id, FileNumber number,
                    std::uint64_t offset, std::byte* to) noexcept {
    layouts::Trailer at{.magic = kTrailerMagic,
                        .crc = 0,
                        .directory_crc = trailer.directory_crc,
                        .directory_offset = trailer.directory_offset,
                        .blobs = trailer.blobs,
                        .lo = trailer.lo,
                        .hi = trailer.hi,
                        .keys = trailer.keys,
                        .counted = std::uint8_t{trailer.counted}};
    store(to, at);
    at.crc = crc32c({to + layouts::kCheckedFrom, kTrailerBytes - layouts::kCheckedFrom},
                    seed_of(store_id, number, offset));
    store(to, at);
}

std::optional<CheckpointTrailer> decode_trailer(Bytes bytes, const StoreId& store_id,
                                                FileNumber number, std::uint64_t offset) noexcept {
    if (bytes.size() < kTrailerBytes) return {};
    bytes = bytes.first(kTrailerBytes);
    const auto at = load<layouts::Trailer>(bytes.data());
    if (at.magic != kTrailerMagic ||
        at.crc != crc32c(bytes.subspan(layouts::kCheckedFrom), seed_of(store_id, number, offset)))
        return {};
    return CheckpointTrailer{.directory_offset = at.directory_offset,
                             .blobs = at.blobs,
                             .directory_crc = at.directory_crc,
                             .lo = at.lo,
                             .hi = at.hi,
                             .keys = at.keys,
                             .counted = at.counted == 1};
}

}  // namespace firnlog::engine
