#include "recovery/stored_file.hpp"

#include <algorithm>
#include <limits>

#include "engine/checkpoint_file.hpp"
#include "engine/format/names.hpp"
#include "engine/record_scan.hpp"
#include "io/base/crc32c.hpp"
#include "recovery/log_reader.hpp"
#include "recovery/open_file.hpp"

namespace firnlog::recovery {
namespace {

using engine::kStoredPieceBytes;
using engine::StoredFile;
using engine::StoredKind;

// `what` is a literal.
tl::unexpected<Refusal> damaged(const std::string& name, std::uint64_t offset, const char* what) {
    return refuse({.code = Code::damaged, .offset = offset, .doing = what},
                  "damaged: " + name + " offset " + std::to_string(offset) + ": " + what);
}

void sum(Bytes bytes, StoredFile& file) {
    file.bytes = bytes.size();
    for (std::size_t at = 0; at < bytes.size(); at += kStoredPieceBytes)
        file.pieces.push_back(
            crc32c(bytes.subspan(at, std::min(kStoredPieceBytes, bytes.size() - at))));
}

Opening<LogFile> read_log_header(io::Files& files, const engine::StoreId& store_id,
                                 const StoredFileWish& wish, const std::string& name) {
    LogFile log{.number = wish.number, .bytes = 0, .links = 1, .header = {}};
    const auto fd = files.open(name, io::Open::read);
    if (!fd) return refuse(fd.error());
    const OpenFile open(files, *fd);
    const auto size = files.size(*fd);
    if (!size) return refuse(size.error());
    log.bytes = *size;
    std::vector<std::byte> block(engine::kSegmentHeaderBytes);
    const auto got = files.read(*fd, 0, block);
    if (!got) return refuse(got.error());
    block.resize(*got);
    log.header = engine::decode_segment_header(block, store_id);
    if (!log.in_use() || log.header.header.number != wish.number || log.base() != wish.lsn)
        return damaged(name, 0, "the header is not that of this file");
    return log;
}

Opening<void> read_log(io::Files& files, const engine::StoreId& store_id,
                       const StoredFileWish& wish, StoredFile& file) {
    const auto log = read_log_header(files, store_id, wish, file.name());
    if (!log) return tl::unexpected(log.error());
    LogReader reader(store_id, *log);
    if (auto loaded = reader.load(files); !loaded) return refuse(loaded.error());
    while (!wish.lsn_end || reader.end() < *wish.lsn_end) {
        if (reader.next()) continue;
        if (!wish.lsn_end && reader.look_behind().frames == 0) break;
        return damaged(file.name(), reader.end_offset(), "no valid frame");
    }
    if (reader.unreadable())
        return damaged(file.name(), reader.end_offset(), "a sector cannot be read");
    sum(reader.bytes(), file);
    return {};
}

// Where the first byte behind `from` lies that is not zero; or the file's end.
Result<std::uint64_t> end_of_zeros(io::Files& files, const std::string& name, std::uint64_t from) {
    const auto fd = files.open(name, io::Open::read);
    if (!fd) return fail(fd);
    const OpenFile open(files, *fd);
    std::vector<std::byte> piece(kStoredPieceBytes);
    for (auto at = from;;) {
        const auto got = files.read(*fd, at, piece);
        if (!got) return fail(got);
        const auto bytes = Bytes(piece).first(*got);
        const auto found =
            std::ranges::find_if(bytes, [](std::byte byte) { return byte != std::byte{0}; });
        at += static_cast<std::uint64_t>(found - bytes.begin());
        if (found != bytes.end() || *got < piece.size()) return at;
    }
}

// Whether a frame is valid at its place behind `from`.
Result<bool> has_frame_behind(io::Files& files, const engine::StoreId& store_id, const LogFile& log,
                              std::uint64_t from) {
    const auto fd = files.open(engine::names::log_file(log.number), io::Open::read);
    if (!fd) return fail(fd);
    const OpenFile open(files, *fd);
    const engine::FrameSeed seed(store_id);
    std::vector<std::byte> piece(kStoredPieceBytes);
    for (auto begin = from;; begin += kStoredPieceBytes - engine::kFrameHeaderBytes) {
        const auto got = files.read(*fd, begin, piece);
        if (!got) return fail(got);
        const auto bytes = Bytes(piece).first(*got);
        for (std::size_t at = 0; at + engine::kFrameHeaderBytes <= bytes.size(); at += 8) {
            if (load<std::uint32_t>(bytes.data() + at) != engine::kFrameMagic) continue;
            const auto lsn = log.base() + (begin + at - engine::kSegmentHeaderBytes);
            if (engine::decode_frame_header(bytes.subspan(at), seed, lsn)) return true;
        }
        if (*got < piece.size()) return false;
    }
}

// The same as read_log in less memory. Where the log goes on nobody asks what stands behind the
// end; where it does not, only zeros may, or in a file that was used again what is stale.
Opening<void> scan_log(io::Files& files, const engine::StoreId& store_id,
                       const StoredFileWish& wish, const std::string& name) {
    const auto log = read_log_header(files, store_id, wish, name);
    if (!log) return tl::unexpected(log.error());
    const auto scan = engine::RecordScan::log(files, store_id, wish.number, wish.lsn);
    if (!scan) return refuse(scan.error());
    const auto end = wish.lsn_end ? engine::kSegmentHeaderBytes + (*wish.lsn_end - wish.lsn)
                                  : std::numeric_limits<std::uint64_t>::max();
    while ((*scan)->offset() < end) {
        const auto item = (*scan)->next();
        if (!item && item.error().code != Code::damaged) return refuse(item.error());
        if (!item) return damaged(name, (*scan)->offset(), item.error().doing);
        if (!*item) break;
    }
    const auto at = (*scan)->offset();
    if (at >= end) return {};
    if (wish.lsn_end) return damaged(name, at, "no valid frame");
    if (log->may_be_stale()) {
        const auto behind = has_frame_behind(files, store_id, *log, at);
        if (!behind) return refuse(behind.error());
        if (*behind) return damaged(name, at, "no valid frame");
    } else {
        const auto zeros_end = end_of_zeros(files, name, at);
        if (!zeros_end) return refuse(zeros_end.error());
        if (*zeros_end < log->bytes) return damaged(name, at, "no valid frame");
    }
    if (log->bytes < log->header.header.bytes) return damaged(name, log->bytes, "it is cut short");
    return {};
}

Opening<void> read_packed(io::Files& files, const engine::StoreId& store_id,
                          const StoredFile& file) {
    const auto scan = engine::RecordScan::packed(files, store_id, file.number);
    if (!scan && scan.error().code != Code::damaged) return refuse(scan.error());
    if (!scan) return damaged(file.name(), 0, "the header is not that of this file");
    for (;;) {
        const auto item = (*scan)->next();
        if (!item && item.error().code != Code::damaged) return refuse(item.error());
        if (!item) return damaged(file.name(), (*scan)->offset(), "no valid record");
        if (!*item) return {};
    }
}

Opening<void> read_checkpoint(io::Files& files, const engine::StoreId& store_id,
                              const StoredFile& file) {
    const auto reader = engine::CheckpointReader::open(files, file.number, store_id);
    if (!reader && reader.error().code != Code::damaged) return refuse(reader.error());
    if (!reader) return damaged(file.name(), reader.error().offset, "no whole checkpoint");
    for (std::size_t i = 0; i < (*reader)->blobs().size(); ++i) {
        const auto blob = (*reader)->blob(i);
        if (!blob && blob.error().code != Code::damaged) return refuse(blob.error());
        if (!blob) return damaged(file.name(), (*reader)->blobs()[i].offset, "a damaged page");
    }
    return {};
}

// Piece after piece, until `see` has had enough.
template <class See>
Result<void> visit_pieces(io::Files& files, int fd, std::uint64_t bytes, See&& see) {
    std::vector<std::byte> piece(std::min<std::uint64_t>(kStoredPieceBytes, bytes));
    for (std::uint64_t at = 0; at < bytes; at += kStoredPieceBytes) {
        const auto wanted =
            MutableBytes(piece).first(std::min<std::uint64_t>(piece.size(), bytes - at));
        const auto got = files.read(fd, at, wanted);
        if (!got && got.error().code != Code::io) return fail(got);
        if (!see(at, got ? Bytes(wanted.first(*got)) : Bytes{})) break;
    }
    return {};
}

}  // namespace

Opening<StoredFile> read_stored_file(io::Files& files, const engine::StoreId& store_id,
                                     const StoredFileWish& wish) {
    StoredFile file{.number = wish.number, .kind = wish.kind, .lsn = wish.lsn, .pieces = {}};
    if (wish.kind == StoredKind::log) {
        if (auto read = read_log(files, store_id, wish, file); !read)
            return tl::unexpected(read.error());
    } else {
        auto read = wish.kind == StoredKind::packed ? read_packed(files, store_id, file)
                                                    : read_checkpoint(files, store_id, file);
        if (!read) return tl::unexpected(read.error());
        const auto fd = files.open(file.name(), io::Open::read);
        if (!fd) return refuse(fd.error());
        const OpenFile open(files, *fd);
        const auto size = files.size(*fd);
        if (!size) return refuse(size.error());
        file.bytes = *size;
        auto visited = visit_pieces(files, *fd, *size, [&](std::uint64_t, Bytes piece) {
            file.pieces.push_back(crc32c(piece));
            return true;
        });
        if (!visited) return refuse(visited.error());
    }
    file.tag = engine::tag_of(file.bytes, file.pieces);
    return file;
}

Opening<void> scan_stored_file(io::Files& files, const engine::StoreId& store_id,
                               const StoredFileWish& wish) {
    const StoredFile file{.number = wish.number, .kind = wish.kind, .lsn = wish.lsn, .pieces = {}};
    switch (wish.kind) {
        case StoredKind::packed:
            return read_packed(files, store_id, file);
        case StoredKind::checkpoint:
            return read_checkpoint(files, store_id, file);
        case StoredKind::log:
            break;
    }
    return scan_log(files, store_id, wish, file.name());
}

Result<std::optional<PieceFault>> find_piece_fault(io::Files& files, const std::string& name,
                                                   const StoredFile& file,
                                                   const PieceProgress& progress) {
    const auto fd = files.open(name, io::Open::read);
    if (!fd && fd.error().code == Code::missing)
        return PieceFault{.offset = 0, .bytes = file.bytes, .text = "it is missing"};
    if (!fd) return fail(fd);
    const OpenFile open(files, *fd);
    const auto size = files.size(*fd);
    if (!size) return fail(size);
    if (*size != file.bytes)
        return PieceFault{.offset = std::min(*size, file.bytes),
                          .bytes = 0,
                          .text = "it has " + std::to_string(*size) + " bytes, and had " +
                                  std::to_string(file.bytes)};
    std::optional<PieceFault> fault;
    bool going = true;
    auto visited = visit_pieces(files, *fd, file.bytes, [&](std::uint64_t at, Bytes piece) {
        const auto expected = std::min<std::uint64_t>(kStoredPieceBytes, file.bytes - at);
        if (piece.size() != expected || crc32c(piece) != file.pieces[at / kStoredPieceBytes])
            fault = PieceFault{
                .offset = at,
                .bytes = expected,
                .text = piece.size() == expected ? "not what was written" : "cannot be read"};
        going = !progress || progress(piece.size());
        return !fault && going;
    });
    if (!visited) return fail(visited);
    if (!going && !fault) return fail(Error{.code = Code::busy, .doing = "verify a backup"});
    return fault;
}

}  // namespace firnlog::recovery
