#include "recovery/stored_file.hpp"

#include "engine/checkpoint_file.hpp"
#include "engine/record_scan.hpp"
#include "io/base/crc32c.hpp"
#include "recovery/log_reader.hpp"

namespace firnlog::recovery {
namespace {

using engine::kStoredPieceBytes;
using engine::StoredFile;
using engine::StoredKind;

tl::unexpected<Refusal> damaged(const std::string& name, std::uint64_t offset,
                                const std::string& what) {
    return refuse(
        {.code = Code::damaged, .offset = offset, .doing = "read a file that is backed up"},
        "damaged: " + name + " offset " + std::to_string(offset) + ": " + what);
}

// A file that is closed with it.
class OpenFile {
  public:
    OpenFile(io::Files& files, int fd) : files_(files), fd_(fd) {}
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;
    ~OpenFile() { files_.close(fd_); }
    [[nodiscard]] int fd() const { return fd_; }

  private:
    io::Files& files_;
    const int fd_;
};

void sum(Bytes bytes, StoredFile& file) {
    file.bytes = bytes.size();
    for (std::size_t at = 0; at < bytes.size(); at += kStoredPieceBytes)
        file.pieces.push_back(
            crc32c(bytes.subspan(at, std::min(kStoredPieceBytes, bytes.size() - at))));
}

Opening<void> read_log(io::Files& files, const engine::StoreId& store_id,
                       const StoredFileWish& wish, StoredFile& file) {
    LogFile log{.number = wish.number, .bytes = 0, .links = 1, .header = {}};
    {
        const auto fd = files.open(file.name(), io::Open::read);
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
    }
    if (!log.in_use() || log.header.header.number != wish.number || log.base() != wish.lsn)
        return damaged(file.name(), 0, "the header is not that of this file");
    LogReader reader(store_id, log);
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
