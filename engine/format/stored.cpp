#include "engine/format/stored.hpp"

#include <algorithm>
#include <cstring>
#include <span>

#include "engine/format/layouts.hpp"
#include "engine/format/names.hpp"
#include "engine/index/tag.hpp"

namespace firnlog::engine {
namespace {

constexpr std::size_t kFileBytes = sizeof(layouts::Stored);

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

std::size_t bytes_with(std::size_t pieces) {
    return kFileBytes + align_up(pieces * sizeof(std::uint32_t), std::size_t{8});
}

std::uint64_t pieces_of(std::uint64_t bytes) {
    return align_up(bytes, std::uint64_t{kStoredPieceBytes}) / kStoredPieceBytes;
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

std::size_t encoded_bytes(const StoredFile& file) { return bytes_with(file.pieces.size()); }

std::byte* encode_stored(const StoredFile& file, std::byte* to) {
    store(to, layouts::Stored{.number = file.number,
                              .kind = static_cast<std::uint8_t>(file.kind),
                              .bytes = file.bytes,
                              .lsn = file.lsn,
                              .tag = file.tag,
                              .pieces = static_cast<std::uint32_t>(file.pieces.size())});
    std::ranges::copy(std::as_bytes(std::span(file.pieces)), to + kFileBytes);
    return to + encoded_bytes(file);
}

std::optional<StoredFile> take_stored(Bytes& from) {
    if (from.size() < kFileBytes) return {};
    const auto at = load<layouts::Stored>(from.data());
    if (at.number == 0 || at.number > kFileNumberMax || at.kind < 1 || at.kind > 3) return {};
    const std::size_t pieces = at.pieces;
    if (pieces > from.size() / sizeof(std::uint32_t) || bytes_with(pieces) > from.size() ||
        at.bytes > std::uint64_t{pieces} * kStoredPieceBytes || pieces_of(at.bytes) != pieces)
        return {};
    StoredFile file{.number = at.number,
                    .kind = static_cast<StoredKind>(at.kind),
                    .bytes = at.bytes,
                    .lsn = at.lsn,
                    .tag = at.tag,
                    .pieces = std::vector<std::uint32_t>(pieces)};
    std::ranges::copy(from.subspan(kFileBytes, pieces * sizeof(std::uint32_t)),
                      std::as_writable_bytes(std::span(file.pieces)).begin());
    from = from.subspan(bytes_with(pieces));
    if (file.tag != tag_of(file.bytes, file.pieces)) return {};
    return file;
}

}  // namespace firnlog::engine
