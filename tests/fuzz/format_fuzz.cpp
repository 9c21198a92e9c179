// The decoders of what lies on the disk, under arbitrary bytes: each says no, or what it says is
// encoded and decoded again as the same. The checksum is put right first, if the input asks for it:
// behind it nothing is taken on trust either.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/format/archive.hpp"
#include "engine/format/backup.hpp"
#include "engine/format/checkpoint.hpp"
#include "engine/format/frame.hpp"
#include "engine/format/manifest.hpp"
#include "engine/format/names.hpp"
#include "engine/format/packed.hpp"
#include "engine/format/record.hpp"
#include "engine/format/segment.hpp"
#include "engine/format/sidecar.hpp"
#include "io/base/crc32c.hpp"
#include "io/base/ensure.hpp"

using firnlog::Bytes;
using firnlog::ensure;
using namespace firnlog::engine;

namespace {

constexpr StoreId kStore{std::byte{7}};
constexpr FileNumber kNumber = 3;
constexpr Lsn kLsn{8192};
constexpr std::uint64_t kOffset = 4096;

using Memory = std::vector<std::byte>;

void put_crc(Memory& bytes, std::size_t at, std::uint32_t crc) {
    if (bytes.size() >= at + sizeof crc) firnlog::store(bytes.data() + at, crc);
}

// Of a block whose checksum, at 8, is over all that follows it.
void mend_block(Memory& bytes, std::size_t size) {
    if (bytes.size() < size || size < 12) return;
    put_crc(bytes, 8, firnlog::crc32c(Bytes(bytes).subspan(12, size - 12)));
}

bool same(const Record& one, const Record& other) {
    return one.kind == other.kind && one.flags == other.flags && one.kid == other.kid &&
           one.key == other.key && one.value == other.value && one.expires_ms == other.expires_ms &&
           one.oid == other.oid;
}

void record(Memory bytes, bool mended) {
    const auto seed = RecordSeed(kStore).at(kLsn);
    const auto claimed = claimed_record_bytes(bytes);
    const auto own = decode_own_record(bytes);
    if (own) {
        ensure(claimed == own->size);
        ensure(own->size <= bytes.size() && own->size % kRecordAlignment == 0);
        ensure(record_bytes(own->record) == own->size);
        Memory again(own->size);
        ensure(encode_record(own->record, again.data()) == own->size);
        const auto crc = seal_record(again.data(), again.size(), false, seed);
        const auto decoded = decode_record(again, seed);
        ensure(decoded && decoded->crc == crc && same(decoded->record, own->record));
        ensure(!decode_record(again, seed + 1), "it is valid at one place alone");
        if (own->record.kind == Kind::patch) {
            const auto patch = decode_patch(own->record.value);
            ensure(!patch || patch->bytes.size() < own->record.value.size());
        }
        if (mended)
            put_crc(bytes, 0, firnlog::crc32c(Bytes(bytes).subspan(4, own->size - 4), seed));
    }
    const auto checked = decode_record(bytes, seed);
    ensure(!checked || (own && same(checked->record, own->record)));
    ensure(!mended || checked.has_value() == own.has_value());
}

void frame(Memory bytes, bool mended) {
    const FrameSeed seed(kStore);
    if (mended && bytes.size() >= kFrameHeaderBytes) {
        const auto timeline = firnlog::load<Timeline>(bytes.data() + 16);
        put_crc(bytes, 4,
                firnlog::crc32c(Bytes(bytes).subspan(8, kFrameHeaderBytes - 8),
                                seed.at(timeline, kLsn)));
    }
    const auto header = decode_frame_header(bytes, seed, kLsn);
    if (!header) return;
    ensure(header->lsn == kLsn && header->length % kRecordAlignment == 0);
    Memory again(kFrameHeaderBytes);
    encode_frame_header(*header, seed, again.data());
    // What is free and zero now may say something one day: it is not looked at.
    const auto known = offsetof(FrameHeader, zero) - offsetof(FrameHeader, length);
    ensure(std::ranges::equal(Bytes(again).subspan(offsetof(FrameHeader, length), known),
                              Bytes(bytes).subspan(offsetof(FrameHeader, length), known)));
}

void segment(Memory bytes, bool mended) {
    if (mended) mend_block(bytes, kSegmentHeaderBytes);
    const auto read = decode_segment_header(bytes, kStore);
    if (read.fault != HeaderFault::none) return;
    Memory again(kSegmentHeaderBytes);
    encode_segment_header(read.header, again.data());
    const auto other = decode_segment_header(again, kStore);
    ensure(other.fault == HeaderFault::none && other.header.number == read.header.number &&
           other.header.timeline == read.header.timeline && other.header.base == read.header.base &&
           other.header.bytes == read.header.bytes && other.header.stale == read.header.stale);
}

void packed(Memory bytes, bool mended) {
    if (mended) mend_block(bytes, kPackedHeaderBytes);
    const auto header = decode_packed_header(bytes);
    if (!header) return;
    Memory again(kPackedHeaderBytes);
    encode_packed_header(*header, again.data());
    const auto other = decode_packed_header(again);
    ensure(other && other->store_id == header->store_id && other->number == header->number &&
           other->records == header->records && other->end == header->end);
}

void sidecar_header(Memory bytes, bool mended) {
    if (mended) mend_block(bytes, kSidecarHeaderBytes);
    const auto header = decode_sidecar_header(bytes);
    if (!header) return;
    ensure(header->end >= header->base && header->end - header->base <= kFileBytesMax);
    Memory again(kSidecarHeaderBytes);
    encode_sidecar_header(*header, again.data());
    ensure(decode_sidecar_header(again) == header);
}

// The bytes are entries, and are a block.
void sidecar_block(const Memory& bytes) {
    const SidecarHeader header{.store_id = kStore, .number = kNumber, .base = kLsn};
    std::array<SidecarEntry, kSidecarBlockEntries> read{};
    (void)decode_sidecar_block(bytes, header, 0, read);
    std::vector<SidecarEntry> entries(
        std::min(bytes.size() / sizeof(SidecarEntry), kSidecarBlockEntries));
    for (std::size_t i = 0; i < entries.size(); ++i)
        entries[i] = firnlog::load<SidecarEntry>(bytes.data() + i * sizeof(SidecarEntry));
    const bool ascending = std::ranges::is_sorted(entries);
    Memory block(kSidecarBlockBytes);
    encode_sidecar_block(entries, header, 1, block.data());
    const auto count = decode_sidecar_block(block, header, 1, read);
    ensure(count.has_value() == ascending);
    ensure(!count || std::ranges::equal(entries, std::span(read).first(*count)));
    ensure(!decode_sidecar_block(block, header, 2, read), "it is valid at one place alone");
}

void checkpoint_header(Memory bytes, bool mended) {
    if (mended) mend_block(bytes, kCheckpointHeaderBytes);
    const auto header = decode_checkpoint_header(bytes);
    if (!header) return;
    Memory again(kCheckpointHeaderBytes);
    encode_checkpoint_header(*header, again.data());
    const auto other = decode_checkpoint_header(again);
    ensure(other && other->store_id == header->store_id && other->number == header->number &&
           other->hash_secret == header->hash_secret && other->begun_us == header->begun_us);
}

void blob_entry(const Memory& bytes) {
    if (bytes.size() < kBlobEntryBytes) return;
    const auto entry = decode_blob_entry(bytes.data());
    if (!entry) return;
    ensure(entry->stripe < kStripes && entry->length <= kBlobBytesMax);
    Memory again(kBlobEntryBytes);
    encode_blob_entry(*entry, again.data());
    ensure(std::ranges::equal(again, Bytes(bytes).first(kBlobEntryBytes)));
}

void trailer(Memory bytes, bool mended) {
    if (mended && bytes.size() >= kTrailerBytes)
        put_crc(bytes, 8,
                blob_crc(Bytes(bytes).subspan(12, kTrailerBytes - 12), kStore, kNumber, kOffset));
    const auto read = decode_trailer(bytes, kStore, kNumber, kOffset);
    if (!read) return;
    Memory again(kTrailerBytes);
    encode_trailer(*read, kStore, kNumber, kOffset, again.data());
    const auto other = decode_trailer(again, kStore, kNumber, kOffset);
    ensure(other && other->directory_offset == read->directory_offset &&
           other->blobs == read->blobs && other->directory_crc == read->directory_crc &&
           other->lo == read->lo && other->hi == read->hi && other->keys == read->keys &&
           other->counted == read->counted);
    ensure(!decode_trailer(again, kStore, kNumber, kOffset + 8), "it is valid at one place alone");
}

void manifest(Memory bytes, bool mended) {
    if (mended) mend_block(bytes, bytes.size());
    const auto read = decode_manifest(bytes);
    if (!read) return;
    ensure(!read->timelines.empty());
    const auto once = encode_manifest(*read);
    const auto again = decode_manifest(once);
    ensure(again && encode_manifest(*again) == once);
}

void backup(Memory bytes, bool mended) {
    if (mended) mend_block(bytes, bytes.size());
    const auto read = decode_backup(bytes);
    if (!read) return;
    const auto once = encode_backup(*read);
    const auto again = decode_backup(once);
    ensure(again && again->files == read->files && again->store == read->store);
    for (const auto& file : read->files) ensure(names::any_number(file.name()) == file.number);
}

void name(std::string_view text) {
    for (const auto suffix : {names::kLogSuffix, names::kCheckpointSuffix, names::kPackedSuffix,
                              names::kSidecarSuffix}) {
        const auto number = names::number_of(text, suffix);
        if (number) ensure(names::numbered(*number, suffix) == text, "a number has one name");
    }
    if (const auto file = archived_named(text)) ensure(file->name() == text, "nor has a file two");
}

}  // namespace

// The first byte: which decoder, and whether the checksum is put right. What is a block on the disk
// is as long as one: the rest is zeros.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
    if (size == 0) return 0;
    const auto choice = input[0] & 15;
    const bool mended = (input[0] & 16) != 0;
    const auto rest =
        firnlog::as_bytes(std::string_view(reinterpret_cast<const char*>(input), size).substr(1));
    Memory bytes(rest.begin(), rest.end());
    const bool block = (choice >= 2 && choice <= 4) || choice == 10;
    if (block && bytes.size() > 2) bytes.resize(kSegmentHeaderBytes);
    switch (choice) {
        case 0:
            record(std::move(bytes), mended);
            break;
        case 1:
            frame(std::move(bytes), mended);
            break;
        case 2:
            segment(std::move(bytes), mended);
            break;
        case 3:
            packed(std::move(bytes), mended);
            break;
        case 4:
            checkpoint_header(std::move(bytes), mended);
            break;
        case 5:
            blob_entry(bytes);
            break;
        case 6:
            trailer(std::move(bytes), mended);
            break;
        case 7:
            manifest(std::move(bytes), mended);
            break;
        case 8:
            backup(std::move(bytes), mended);
            break;
        case 9:
            name({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
            break;
        case 10:
            sidecar_header(std::move(bytes), mended);
            break;
        case 11:
            sidecar_block(bytes);
            break;
        default:
            break;
    }
    return 0;
}
