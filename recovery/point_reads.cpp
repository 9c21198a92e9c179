#include "recovery/point_reads.hpp"

#include <algorithm>

#include "engine/format/names.hpp"

namespace firnlog::recovery {
namespace {

// Of one record alone; and of several that lie near each other.
constexpr std::size_t kNarrow = 4096;
constexpr std::size_t kWide = std::size_t{256} << 10;
constexpr std::uint64_t kNear = std::uint64_t{64} << 10;
// From so many bytes on the size that a record claims is always known.
constexpr std::size_t kHeadBytes = 32;

}  // namespace

void PointReads::close() {
    if (fd_ >= 0) files_.close(fd_);
    fd_ = -1;
}

Result<Bytes> PointReads::look(std::uint64_t offset, std::size_t want) {
    if (offset < begin_ || offset + want > end_) {
        const bool near = end_ != 0 && offset >= begin_ && offset - begin_ < kNear + kWide;
        window_.resize(std::max(want, near ? kWide : kNarrow));
        const auto got = files_.read(fd_, offset, window_);
        if (!got) return fail(got);
        begin_ = offset;
        end_ = offset + *got;
    }
    return Bytes(window_).subspan(offset - begin_, std::min<std::uint64_t>(want, end_ - offset));
}

Result<PointReads::Found> PointReads::at(const LogStretch& stretch, std::uint64_t offset) {
    if (fd_ < 0 || number_ != stretch.number) {
        close();
        const auto fd = files_.open(engine::names::log_file(stretch.number), io::Open::read);
        if (!fd) return fail(fd);
        fd_ = *fd;
        number_ = stretch.number;
        begin_ = 0;
        end_ = 0;
    }
    const auto unfit = fail(Error{.code = Code::damaged,
                                  .offset = offset,
                                  .file = stretch.number,
                                  .doing = "read a record: its checksum does not fit"});
    const auto head = look(offset, kHeadBytes);
    if (!head) return fail(head);
    const auto size = engine::claimed_record_bytes(*head);
    if (!size || *size > engine::kRecordBytesMax) return unfit;
    const auto bytes = look(offset, *size);
    if (!bytes) return fail(bytes);
    const auto decoded = engine::decode_record(*bytes, seed_.at(stretch.lsn_at(offset)));
    if (!decoded) return unfit;
    return Found{.record = decoded->record, .bytes = bytes->first(decoded->size)};
}

}  // namespace firnlog::recovery
