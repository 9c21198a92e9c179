#include "engine/format/backup.hpp"

#include "engine/format/names.hpp"
#include "engine/index/tag.hpp"
#include "io/base/crc32c.hpp"

namespace firnlog::engine {
namespace {

constexpr std::uint64_t kMagic = 0x314b41424e524946;  // "FIRNBAK1"
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 64;
constexpr std::size_t kFileBytes = 40;

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
    store(to, file.number);
    store(to + 4, file.kind);
    store(to + 8, file.bytes);
    store(to + 16, file.lsn.value);
    store(to + 24, file.tag);
    store(to + 32, static_cast<std::uint32_t>(file.pieces.size()));
    std::memcpy(to + kFileBytes, file.pieces.data(), file.pieces.size() * sizeof(std::uint32_t));
    return to + encoded_bytes(file.pieces.size());
}

// Takes one off the front; false if it makes no sense.
bool take(Bytes& from, StoredFile& file) {
    if (from.size() < kFileBytes) return false;
    const auto* at = from.data();
    file.number = load<std::uint32_t>(at);
    const auto kind = load<std::uint8_t>(at + 4);
    file.kind = static_cast<StoredKind>(kind);
    file.bytes = load<std::uint64_t>(at + 8);
    file.lsn = {load<std::uint64_t>(at + 16)};
    file.tag = load<std::uint64_t>(at + 24);
    const std::size_t pieces = load<std::uint32_t>(at + 32);
    if (file.number == 0 || file.number > kFileNumberMax || kind < 1 || kind > 3) return false;
    if (pieces > from.size() / sizeof(std::uint32_t) || encoded_bytes(pieces) > from.size() ||
        file.bytes > std::uint64_t{pieces} * kStoredPieceBytes || pieces_of(file.bytes) != pieces)
        return false;
    file.pieces.resize(pieces);
    std::memcpy(file.pieces.data(), at + kFileBytes, pieces * sizeof(std::uint32_t));
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
    std::memcpy(text.data() + sizeof bytes, pieces.data(), pieces.size() * sizeof(std::uint32_t));
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
    auto* at = out.data();
    store(at, kMagic);
    store(at + 12, kVersion);
    store(at + 16, manifest.made_us);
    store(at + 24, manifest.lsn.value);
    store(at + 32, manifest.commit_us);
    store(at + 40, manifest.timeline);
    store(at + 44, static_cast<std::uint32_t>(manifest.files.size()));
    store(at + 48, static_cast<std::uint32_t>(manifest.store.size()));
    at += kHeaderBytes;
    for (const auto& file : manifest.files) at = put(file, at);
    std::memcpy(at, manifest.store.data(), manifest.store.size());
    store(out.data() + 8, crc32c(Bytes(out).subspan(12)));
    return out;
}

Result<BackupManifest> decode_backup(Bytes bytes) {
    if (bytes.size() < kHeaderBytes || load<std::uint64_t>(bytes.data()) != kMagic)
        return damaged(0);
    if (load<std::uint32_t>(bytes.data() + 8) != crc32c(bytes.subspan(12))) return damaged(8);
    if (const auto version = load<std::uint32_t>(bytes.data() + 12); version != kVersion)
        return fail(Error{
            .code = Code::version, .offset = version, .doing = "read a backup of a newer format"});
    const auto* at = bytes.data();
    BackupManifest manifest{.made_us = load<std::int64_t>(at + 16),
                            .lsn = {load<std::uint64_t>(at + 24)},
                            .commit_us = load<std::int64_t>(at + 32),
                            .timeline = load<std::uint32_t>(at + 40)};
    const auto files = load<std::uint32_t>(at + 44);
    const std::size_t store_bytes = load<std::uint32_t>(at + 48);
    auto rest = bytes.subspan(kHeaderBytes);
    for (std::uint32_t i = 0; i < files; ++i) {
        StoredFile file;
        if (!take(rest, file)) return damaged(bytes.size() - rest.size());
        manifest.files.push_back(std::move(file));
    }
    if (rest.size() != store_bytes) return damaged(bytes.size() - rest.size());
    manifest.store.assign(rest.begin(), rest.end());
    return manifest;
}

}  // namespace firnlog::engine
