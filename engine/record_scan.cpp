#include "engine/record_scan.hpp"

#include <algorithm>

#include "engine/format/names.hpp"

namespace firnlog::engine {
namespace {

constexpr std::uint64_t kBlock = 4096;
constexpr std::uint64_t kReadAhead = std::uint64_t{1} << 20;
// From so many bytes on the size that a record claims is always known.
constexpr std::size_t kHeadBytes = 32;

}  // namespace

tl::unexpected<Error> RecordScan::damaged(const char* doing) const {
    return fail(Error{.code = Code::damaged, .offset = at_, .file = number_, .doing = doing});
}

Result<std::unique_ptr<RecordScan>> RecordScan::log(io::Files& files, const StoreId& store_id,
                                                    FileNumber number, Lsn base,
                                                    std::uint64_t offset, From from) {
    auto fd = files.open(names::log_file(number), io::Open::read, from == From::disk);
    if (!fd) return fail(fd);
    std::unique_ptr<RecordScan> scan(new RecordScan(files, store_id, number, *fd));
    scan->base_ = base;
    scan->at_ = offset;
    scan->frame_end_ = scan->at_;
    return scan;
}

Result<std::unique_ptr<RecordScan>> RecordScan::packed(io::Files& files, const StoreId& store_id,
                                                       FileNumber number, From from) {
    auto fd = files.open(names::packed_file(number), io::Open::read, from == From::disk);
    if (!fd) return fail(fd);
    std::unique_ptr<RecordScan> scan(new RecordScan(files, store_id, number, *fd));
    scan->packed_ = true;
    const auto size = files.size(*fd);
    if (!size) return fail(size);
    const auto block = scan->look(kPackedHeaderBytes);
    if (!block) return fail(block);
    const auto header = decode_packed_header(*block);
    if (!header || header->store_id != store_id || header->number != number || header->end > *size)
        return scan->damaged("read a packed segment: its header does not fit");
    scan->header_ = *header;
    scan->at_ = kPackedHeaderBytes;
    return scan;
}

// A direct file is read in whole blocks into aligned memory.
Result<Bytes> RecordScan::look(std::size_t want) {
    if (at_ < begin_ || at_ + want > end_) {
        begin_ = align_down(at_, kBlock);
        end_ = begin_;
        const auto size =
            align_up(at_ + std::max<std::uint64_t>(want, kReadAhead), kBlock) - begin_;
        if (memory_.size() < size + kBlock) memory_.resize(size + kBlock);
        window_ = reinterpret_cast<std::byte*>(
            align_up(reinterpret_cast<std::uintptr_t>(memory_.data()), std::uintptr_t{kBlock}));
        const auto got = files_.read(fd_, begin_, {window_, size});
        if (!got) return fail(got);
        end_ = begin_ + *got;
        read_bytes_ += *got;
    }
    if (at_ >= end_) return Bytes{};
    return Bytes(window_ + (at_ - begin_), std::min<std::uint64_t>(want, end_ - at_));
}

// False: the log ends in this file, or goes on in another.
Result<bool> RecordScan::open_frame() {
    const auto bytes = look(kFrameHeaderBytes);
    if (!bytes) return fail(bytes);
    const auto header =
        decode_frame_header(*bytes, frame_seed_, base_ + (at_ - kSegmentHeaderBytes));
    if (!header) return false;
    frame_at_ = at_;
    at_ += kFrameHeaderBytes;
    frame_end_ = at_ + header->length;
    return true;
}

// Of a packed record, before it.
Result<Lsn> RecordScan::lead() {
    const auto lead = look(kPackedLeadBytes);
    if (!lead) return fail(lead);
    if (lead->size() < kPackedLeadBytes || header_.end - at_ < kPackedLeadBytes)
        return damaged("read a packed segment: it is cut short");
    at_ += kPackedLeadBytes;
    return Lsn{load<std::uint64_t>(lead->data())};
}

// It lies at at_ and ends no later than `end`.
Result<RecordScan::Item> RecordScan::record(Lsn lsn, std::uint64_t end) {
    const auto head = look(kHeadBytes);
    if (!head) return fail(head);
    const auto size = claimed_record_bytes(*head);
    if (!size || *size > end - std::min(at_, end)) return damaged("read a record: it is damaged");
    const auto bytes = look(*size);
    if (!bytes) return fail(bytes);
    const auto decoded = decode_record(*bytes, record_seed_.at(lsn));
    if (!decoded) return damaged("read a record: its checksum does not fit");
    Item item{
        .offset = at_, .lsn = lsn, .record = decoded->record, .bytes = bytes->first(decoded->size)};
    at_ += decoded->size;
    return item;
}

Result<std::optional<RecordScan::Item>> RecordScan::next() {
    Lsn lsn;
    if (packed_) {
        if (at_ == header_.end) {
            if (seen_ != header_.records)
                return damaged("read a packed segment: records are missing");
            return std::optional<Item>{};
        }
        const auto found = lead();
        if (!found) return fail(found);
        lsn = *found;
    } else {
        while (at_ == frame_end_) {
            const auto opened = open_frame();
            if (!opened) return fail(opened);
            if (!*opened) return std::optional<Item>{};
        }
        lsn = base_ + (at_ - kSegmentHeaderBytes);
    }
    const auto item = record(lsn, packed_ ? header_.end : frame_end_);
    if (!item) return fail(item);
    ++seen_;
    return std::optional(*item);
}

Result<RecordScan::Item> RecordScan::at(std::uint64_t offset) {
    const auto first = packed_ ? kPackedHeaderBytes + kPackedLeadBytes : kSegmentHeaderBytes;
    at_ = offset;
    if (offset < first || (packed_ && offset >= header_.end))
        return damaged("read a record: it is not there");
    if (!packed_) return record(base_ + (at_ - kSegmentHeaderBytes), kFileBytesMax);
    at_ -= kPackedLeadBytes;
    const auto lsn = lead();
    if (!lsn) return fail(lsn);
    return record(*lsn, header_.end);
}

}  // namespace firnlog::engine
