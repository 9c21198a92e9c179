#include "engine/packed_file.hpp"

#include <algorithm>

#include "engine/format/names.hpp"
#include "io/base/ensure.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::engine {

Result<void> PackedWriter::begin(FileNumber number, std::uint64_t room) {
    ensure(fd_ < 0, "one packed segment is written at a time");
    header_ = {.store_id = store_id_, .number = number};
    buffer_.clear();
    written_ = kPackedHeaderBytes;
    synced_ = written_;
    room_ = room;
    auto fd = files_.open(names::packed_file(number), io::Open::create);
    if (!fd) return fail(fd);
    fd_ = *fd;
    return room_ == 0 ? Result<void>{} : files_.allocate(fd_, room_);
}

Result<std::uint64_t> PackedWriter::add(Lsn lsn, Bytes record) {
    const auto offset = bytes() + kPackedLeadBytes;
    const auto at = buffer_.size();
    buffer_.resize(at + kPackedLeadBytes);
    store(buffer_.data() + at, lsn.value);
    buffer_.insert(buffer_.end(), record.begin(), record.end());
    ++header_.records;
    if (buffer_.size() >= kPiece)
        if (auto done = flush(); !done) return fail(done);
    return offset;
}

Result<void> PackedWriter::flush() {
    for (std::size_t at = 0; at < buffer_.size(); at += kPiece) {
        const auto piece = Bytes(buffer_).subspan(at, std::min(kPiece, buffer_.size() - at));
        if (auto done = files_.write(fd_, written_, piece); !done) return done;
        written_ += piece.size();
    }
    buffer_.clear();
    if (written_ - synced_ < kSyncEvery) return {};
    synced_ = written_;
    return files_.sync(fd_);
}

Result<void> PackedWriter::finish() {
    if (auto done = flush(); !done) return done;
    header_.end = written_;
    std::vector<std::byte> block(kPackedHeaderBytes);
    encode_packed_header(header_, block.data());
    if (auto done = files_.write(fd_, 0, block); !done) return done;
    if (room_ > written_)
        if (auto done = files_.truncate(fd_, written_); !done) return done;
    if (!planted("survivors_not_synced"))
        if (auto done = files_.sync(fd_); !done) return done;
    close();
    return files_.sync_dir();
}

void PackedWriter::abandon() {
    close();
    buffer_.clear();
    // What cannot be removed now nobody names: the next start removes it.
    (void)files_.unlink(names::packed_file(header_.number));
}

void PackedWriter::close() {
    if (fd_ >= 0) files_.close(fd_);
    fd_ = -1;
}

}  // namespace firnlog::engine
