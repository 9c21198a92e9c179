#include "recovery/log_reader.hpp"

#include <algorithm>

#include "engine/format/names.hpp"
#include "io/base/crc32c.hpp"

namespace firnlog::recovery {

namespace names = engine::names;

Result<std::vector<LogFile>> find_log_files(io::Files& files, const engine::StoreId& store_id) {
    auto listed = files.list();
    if (!listed) return fail(listed);
    std::vector<LogFile> found;
    for (const auto& info : *listed) {
        const auto number = names::log_number(info.name);
        if (!number) continue;
        LogFile file{.number = *number, .bytes = info.bytes, .links = info.links};
        auto fd = files.open(info.name, io::Open::read);
        if (!fd) return fail(fd);
        // The header, and the place of the first frame's.
        std::vector<std::byte> block(engine::kSegmentHeaderBytes + engine::kFrameHeaderBytes);
        const auto read = files.read(*fd, 0, block);
        files.close(*fd);
        if (!read) return fail(read);
        // A file cut short in its header was never used: its header is written with the first
        // frame.
        std::fill(block.begin() + static_cast<std::ptrdiff_t>(*read), block.end(), std::byte{0});
        file.header = engine::decode_segment_header(block, store_id);
        // Something was written into it: then its header is lost, it was not made ready only.
        if (file.header.fault == engine::HeaderFault::unused &&
            std::ranges::any_of(block, [](std::byte byte) { return byte != std::byte{0}; }))
            file.header.fault = engine::HeaderFault::damaged;
        if (file.in_use() && file.header.header.number != *number)
            file.header.fault = engine::HeaderFault::damaged;
        found.push_back(file);
    }
    std::ranges::sort(found, {}, &LogFile::number);
    return found;
}

LogReader::LogReader(const engine::StoreId& store_id, const LogFile& file)
    : file_(file), frame_seed_(store_id), record_seed_(store_id) {}

Result<void> LogReader::load(io::Files& files, std::vector<std::byte> memory) {
    auto fd = files.open(names::log_file(file_.number), io::Open::read);
    if (!fd) return fail(fd);
    bytes_ = std::move(memory);
    bytes_.resize(file_.bytes);
    constexpr std::size_t kPiece = std::size_t{1} << 20;
    for (std::uint64_t at = 0; at < file_.bytes; at += kPiece) {
        const auto piece = MutableBytes(bytes_).subspan(at, std::min(kPiece, file_.bytes - at));
        if (const auto read = files.read(*fd, at, piece)) {
            std::ranges::fill(piece.subspan(*read), std::byte{0});
            continue;
        }
        // Block by block, so that one bad sector hides no more than itself.
        for (std::size_t block = 0; block < piece.size(); block += 4096) {
            const auto part =
                piece.subspan(block, std::min<std::size_t>(4096, piece.size() - block));
            if (files.read(*fd, at + block, part)) continue;
            std::ranges::fill(part, std::byte{0});
            unreadable_ = true;
        }
    }
    files.close(*fd);
    return {};
}

std::optional<LogReader::Frame> LogReader::next() {
    const auto left = Bytes(bytes_).subspan(std::min<std::uint64_t>(at_, bytes_.size()));
    const auto header = engine::decode_frame_header(left, frame_seed_, end());
    if (!header || header->length > left.size() - engine::kFrameHeaderBytes) return {};
    Frame frame{.header = *header,
                .offset = at_,
                .records = left.subspan(engine::kFrameHeaderBytes, header->length)};
    if (!records_fit(frame)) return {};
    at_ += engine::kFrameHeaderBytes + header->length;
    return frame;
}

bool LogReader::records_fit(Frame& frame) const {
    const auto first = frame.header.lsn + engine::kFrameHeaderBytes;
    std::uint32_t count = 0;
    std::uint32_t crcs = 0;
    for (std::size_t at = 0; at < frame.records.size();) {
        const auto decoded =
            engine::decode_record(frame.records.subspan(at), record_seed_.at(first + at));
        if (!decoded) return false;
        crcs = crc32c(frame.records.subspan(at, sizeof decoded->crc), crcs);
        ++count;
        at += decoded->size;
        if (decoded->record.has(engine::RecordFlags::last_of_batch)) frame.whole = at;
    }
    return count == frame.header.count && crcs == frame.header.records_crc;
}

Bytes LogReader::rest() const {
    return without_zeros_behind(Bytes(bytes_).subspan(std::min<std::uint64_t>(at_, bytes_.size())));
}

bool LogReader::rest_is_zero() const { return rest().empty() && !unreadable_; }

LogReader::Behind LogReader::look_behind() const {
    Behind behind;
    const auto end = at_ + rest().size();
    for (auto at = at_; at < end && at + engine::kFrameHeaderBytes <= bytes_.size(); at += 8) {
        if (firnlog::load<std::uint32_t>(bytes_.data() + at) != engine::kFrameMagic) continue;
        const auto lsn = file_.base() + (at - engine::kSegmentHeaderBytes);
        const auto header =
            engine::decode_frame_header(Bytes(bytes_).subspan(at), frame_seed_, lsn);
        if (!header) continue;
        behind.vouched = std::max(behind.vouched, header->durable_lsn);
        ++behind.frames;
        behind.records += header->count;
    }
    return behind;
}

}  // namespace firnlog::recovery
