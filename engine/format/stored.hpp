#pragma once
// StoredFile: a file of a store that does not change any more, and the digest by which a copy of it
// is known: the checksums of its pieces, and a tag made of those. Pure.
//
//   0 number 4 · 4 kind 1 · 5 zero 3 · 8 bytes 8 · 16 lsn 8 · 24 tag 8 · 32 pieces 4 · 36 zero 4
//   40 crc32c 4 of each piece of 1 MiB, padded to 8

#include <optional>
#include <string>
#include <vector>

#include "engine/address.hpp"
#include "io/base/bytes.hpp"

namespace firnlog::engine {

enum class StoredKind : std::uint8_t { log = 1, packed = 2, checkpoint = 3 };

// Of these a file's digest is made.
inline constexpr std::size_t kStoredPieceBytes = std::size_t{1} << 20;

struct StoredFile {
    FileNumber number = 0;
    StoredKind kind = StoredKind::log;
    std::uint64_t bytes = 0;
    Lsn lsn;                            // log: where it begins; checkpoint: its hi
    std::uint64_t tag = 0;              // see tag_of
    std::vector<std::uint32_t> pieces;  // checksums
    bool operator==(const StoredFile&) const = default;

    // What it is called in its store, and among the files of backups.
    [[nodiscard]] std::string name() const;
    [[nodiscard]] std::string stored_name() const;
};

// Made of the file's size and the checksums of its pieces.
[[nodiscard]] std::uint64_t tag_of(std::uint64_t bytes, const std::vector<std::uint32_t>& pieces);

[[nodiscard]] std::size_t encoded_bytes(const StoredFile& file);
// Returns the byte behind it.
std::byte* encode_stored(const StoredFile& file, std::byte* to);
// Takes one off the front; nothing if it makes no sense.
[[nodiscard]] std::optional<StoredFile> take_stored(Bytes& from);

}  // namespace firnlog::engine
