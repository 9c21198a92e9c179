#include "engine/format/checkpoint.hpp"

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

}  // namespace

void encode_checkpoint_header(const CheckpointHeader& header, std::byte* to) noexcept {
    std::memset(to, 0, kCheckpointHeaderBytes);
    store(to, kMagic);
    store(to + 12, kFormatVersion);
    std::memcpy(to + 16, header.store_id.data(), header.store_id.size());
    store(to + 32, header.number);
    std::memcpy(to + 40, header.hash_secret.data(), header.hash_secret.size());
    store(to + 56, header.begun_us);
    store(to + 8, crc32c({to + 12, kCheckpointHeaderBytes - 12}));
}

std::optional<CheckpointHeader> decode_checkpoint_header(Bytes block) noexcept {
    if (block.size() < kCheckpointHeaderBytes) return {};
    block = block.first(kCheckpointHeaderBytes);
    const auto* at = block.data();
    if (load<std::uint64_t>(at) != kMagic ||
        load<std::uint32_t>(at + 8) != crc32c(block.subspan(12)) ||
        load<std::uint32_t>(at + 12) != kFormatVersion)
        return {};
    return CheckpointHeader{.store_id = load<StoreId>(at + 16),
                            .number = load<FileNumber>(at + 32),
                            .hash_secret = load<Hasher::Secret>(at + 40),
                            .begun_us = load<std::int64_t>(at + 56)};
}

void encode_blob_entry(const BlobEntry& entry, std::byte* to) noexcept {
    store(to, entry.kind);
    store(to + 1, entry.type);
    store(to + 2, entry.stripe);
    store(to + 4, entry.kid);
    store(to + 8, entry.from);
    store(to + 16, entry.oid.value);
    store(to + 24, entry.stamp.value);
    store(to + 32, entry.offset);
    store(to + 40, entry.length);
    store(to + 44, entry.crc);
    store(to + 48, entry.count);
    store(to + 56, entry.expires);
    store(to + 60, entry.strays);
}

std::optional<BlobEntry> decode_blob_entry(const std::byte* from) noexcept {
    const auto kind = load<std::uint8_t>(from);
    if (kind < 1 || kind > 4) return {};
    const BlobEntry entry{.kind = static_cast<BlobKind>(kind),
                          .type = load<std::uint8_t>(from + 1),
                          .stripe = load<Stripe>(from + 2),
                          .kid = load<Kid>(from + 4),
                          .from = load<std::uint64_t>(from + 8),
                          .oid = {load<std::uint64_t>(from + 16)},
                          .stamp = {load<std::uint64_t>(from + 24)},
                          .offset = load<std::uint64_t>(from + 32),
                          .length = load<std::uint32_t>(from + 40),
                          .crc = load<std::uint32_t>(from + 44),
                          .count = load<std::uint64_t>(from + 48),
                          .expires = load<std::uint32_t>(from + 56),
                          .strays = load<std::uint32_t>(from + 60)};
    if (entry.stripe >= kStripes || entry.length > kBlobBytesMax || entry.offset % 8 != 0)
        return {};
    return entry;
}

std::uint32_t blob_crc(Bytes blob, const StoreId& store_id, FileNumber number,
                       std::uint64_t offset) noexcept {
    return crc32c(blob, seed_of(store_id, number, offset));
}

void encode_trailer(const CheckpointTrailer& trailer, const StoreId& store_id, FileNumber number,
                    std::uint64_t offset, std::byte* to) noexcept {
    store(to, kTrailerMagic);
    store(to + 12, trailer.directory_crc);
    store(to + 16, trailer.directory_offset);
    store(to + 24, trailer.blobs);
    store(to + 32, trailer.lo.value);
    store(to + 40, trailer.hi.value);
    store(to + 48, trailer.keys);
    store(to + 56, std::uint64_t{trailer.counted});
    store(to + 8, crc32c({to + 12, kTrailerBytes - 12}, seed_of(store_id, number, offset)));
}

std::optional<CheckpointTrailer> decode_trailer(Bytes bytes, const StoreId& store_id,
                                                FileNumber number, std::uint64_t offset) noexcept {
    if (bytes.size() < kTrailerBytes) return {};
    const auto* at = bytes.data();
    if (load<std::uint64_t>(at) != kTrailerMagic ||
        load<std::uint32_t>(at + 8) !=
            crc32c(bytes.subspan(12, kTrailerBytes - 12), seed_of(store_id, number, offset)))
        return {};
    return CheckpointTrailer{.directory_offset = load<std::uint64_t>(at + 16),
                             .blobs = load<std::uint64_t>(at + 24),
                             .directory_crc = load<std::uint32_t>(at + 12),
                             .lo = {load<std::uint64_t>(at + 32)},
                             .hi = {load<std::uint64_t>(at + 40)},
                             .keys = load<std::uint64_t>(at + 48),
                             .counted = load<std::uint8_t>(at + 56) == 1};
}

}  // namespace firnlog::engine
