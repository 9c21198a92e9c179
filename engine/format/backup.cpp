#include "engine/format/backup.hpp"

#include <algorithm>
#include <span>

#include "engine/format/layouts.hpp"
#include "engine/format/names.hpp"
#include "engine/index/tag.hpp"
#include "io/base/crc32c.hpp"

namespace firnlog::engine {
namespace {

constexpr std::uint64_t kMagic = 0x314b41424e524946;  // "FIRNBAK1"
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = sizeof(layouts::Backup);
constexpr std::size_t kFileBytes = sizeof(layouts::Stored);

tl::unexpected<Error> damaged(std::uint64_t offset) {
    return fail(
        Error{.code = Code::damaged, .offset = offset, .doing = "read a backup's manifest"});
}

std::string_view suffix_of(StoredKind kind) {
    switch (kind) {
        case StoredKind::packed:
            return names::kPackedSuffix;
        case StoredKind::checkpoint:
            return names::kCheckpointSuffix;
        case StoredKind::log:
            break;
    }
    return names::kLogSuffix;
}

std::size_t encoded_bytes(std::size_t pieces) {
    return kFileBytes + align_up(pieces * sizeof(std::uint32_t), std::size_t{8});
}

std::uint64_t pieces_of(std::uint64_t bytes) {
    return align_up(bytes, std::uint64_t{kStoredPieceBytes}) / kStoredPieceBytes;
}

std::byte* put(const StoredFile& file, std::byte* to) {
    store(to, layouts::Stored{.number = file.number,
                              .kind = static_cast<std::uint8_t>(file.kind),
                              .bytes = file.bytes,
                              .lsn = file.lsn,
                              .tag = file.tag,
                              .pieces = static_cast<std::uint32_t>(file.pieces.size())});
    std::ranges::copy(std::as_bytes(std::span(file.pieces)), to + kFileBytes);
    return to + encoded_bytes(file.pieces.size());
}

// Takes one off the front; false if it makes no sense.
bool take(Bytes& from, StoredFile& file) {
    if (from.size() < kFileBytes) return false;
    const auto at = load<layouts::Stored>(from.data());
    if (at.number == 0 || at.number > kFileNumberMax || at.kind < 1 || at.kind > 3) return false;
    file.number = at.number;
    file.kind = static_cast<StoredKind>(at.kind);
    file.bytes = at.bytes;
    file.lsn = at.lsn;
    file.tag = at.tag;
    const std::size_t pieces = at.pieces;
    if (pieces > from.size() / sizeof(std::uint32_t) || encoded_bytes(pieces) > from.size() ||
        file.bytes > std::uint64_t{pieces} * kStoredPieceBytes || pieces_of(file.bytes) != pieces)
        return false;
    file.pieces.resize(pieces);
    std::ranges::copy(from.subspan(kFileBytes, pieces * sizeof(std::uint32_t)),
                      std::as_writable_bytes(std::span(file.pieces)).begin());
    from = from.subspan(encoded_bytes(pieces));
    return file.tag == tag_of(file.bytes, file.pieces);
}

}  // namespace

std::string StoredFile::name() const { return names::numbered(number, suffix_of(kind)); }

std::string StoredFile::stored_name() const {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string hex;
    for (int shift = 60; shift >= 0; shift -= 4) hex += kDigits[(tag >> shift) & 15];
    return names::numbered(number, "-" + hex + std::string(suffix_of(kind)));
}

std::uint64_t tag_of(std::uint64_t bytes, const std::vector<std::uint32_t>& pieces) {
    std::string text(sizeof bytes + pieces.size() * sizeof(std::uint32_t), '\0');
    std::memcpy(text.data(), &bytes, sizeof bytes);
    std::ranges::copy(as_text(std::as_bytes(std::span(pieces))), text.begin() + sizeof bytes);
    return Hasher(Hasher::Secret{}).tag(text).high;
}

std::uint64_t BackupManifest::bytes() const {
    std::uint64_t sum = 0;
    for (const auto& file : files) sum += file.bytes;
    return sum;
}

std::vector<std::byte> encode_backup(const BackupManifest& manifest) {
    auto size = kHeaderBytes + manifest.store.size();
    for (const auto& file : manifest.files) size += encoded_bytes(file.pieces.size());
    std::vector<std::byte> out(size);
    layouts::Backup header{.begin = {.magic = kMagic, .crc = 0, .version = kVersion},
                           .made_us = manifest.made_us,
                           .lsn = manifest.lsn,
                           .commit_us = manifest.commit_us,
                           .timeline = manifest.timeline,
                           .files = static_cast<std::uint32_t>(manifest.files.size()),
                           .store_bytes = static_cast<std::uint32_t>(manifest.store.size())};
    store(out.data(), header);
    auto* at = out.data() + kHeaderBytes;
    for (const auto& file : manifest.files) at = put(file, at);
    std::ranges::copy(manifest.store, at);
    header.begin.crc = crc32c(Bytes(out).subspan(layouts::kCheckedFrom));
    store(out.data(), header);
    return out;
}

Result<BackupManifest> decode_backup(Bytes bytes) {
    if (bytes.size() < kHeaderBytes) return damaged(0);
    const auto header = load<layouts::Backup>(bytes.data());
    if (header.begin.magic != kMagic) return damaged(0);
    if (header.begin.crc != crc32c(bytes.subspan(layouts::kCheckedFrom)))
        return damaged(layouts::kCrcAt);
    if (header.begin.version != kVersion)
        return fail(Error{.code = Code::version,
                          .offset = header.begin.version,
                          .doing = "read a backup of a newer format"});
    BackupManifest manifest{.made_us = header.made_us,
                            .lsn = header.lsn,
                            .commit_us = header.commit_us,
                            .timeline = header.timeline};
    auto rest = bytes.subspan(kHeaderBytes);
    for (std::uint32_t i = 0; i < header.files; ++i) {
        StoredFile file;
        if (!take(rest, file)) return damaged(bytes.size() - rest.size());
        manifest.files.push_back(std::move(file));
    }
    if (rest.size() != header.store_bytes) return damaged(bytes.size() - rest.size());
    manifest.store.assign(rest.begin(), rest.end());
    return manifest;
}

}  // namespace firnlog::engine
