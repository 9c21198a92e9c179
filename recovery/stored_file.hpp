#pragma once
// A full file of a store, read from its first byte to its last: whether everything in it is what
// was written, by its own checksums, and the checksums of its pieces, by which a copy of it is
// known.

#include <functional>
#include <optional>

#include "engine/format/backup.hpp"
#include "engine/format/segment.hpp"
#include "io/files.hpp"
#include "recovery/refusal.hpp"

namespace firnlog::recovery {

// What is to be read: `bytes` and the rest are found out.
struct StoredFileWish {
    engine::FileNumber number = 0;
    engine::StoredKind kind = engine::StoredKind::log;
    engine::Lsn lsn;  // log: where it begins
    // Log: its frames reach up to there. Nothing where nobody knows: what came behind it was given
    // back.
    std::optional<engine::Lsn> lsn_end;
    bool operator==(const StoredFileWish&) const = default;
};

// Whether it is sound, and no more: through a window of a MiB, past the page cache where `files`
// reads so. Code::damaged with the offset; `doing` says what is wrong there.
[[nodiscard]] Opening<void> scan_stored_file(io::Files& files, const engine::StoreId& store_id,
                                             const StoredFileWish& wish);

// `files` is the store's directory, or stands for it. Code::damaged with the place.
[[nodiscard]] Opening<engine::StoredFile> read_stored_file(io::Files& files,
                                                           const engine::StoreId& store_id,
                                                           const StoredFileWish& wish);

// The first piece of the file of that name that is not what it was; its length told as well.
struct PieceFault {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    std::string text;
};
// Told of the bytes read; false gives up (Code::busy).
using PieceProgress = std::function<bool(std::uint64_t)>;
[[nodiscard]] Result<std::optional<PieceFault>> find_piece_fault(io::Files& files,
                                                                 const std::string& name,
                                                                 const engine::StoredFile& file,
                                                                 const PieceProgress& progress);

}  // namespace firnlog::recovery
