#include "recovery/log_reader.hpp"

#include <algorithm>

#include "engine/format/names.hpp"
#include "io/base/crc32c.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::recovery {

namespace names = engine::names;

namespace {

// Of what a torn write has left of its first frame, whose header may be gone: as long as a frame
// can be with the record that closes it, and more.
constexpr std::uint64_t kFirstFrameBytesMax = std::uint64_t{3} << 20;
// Any place may claim to be a record: what is spent on checksums is bounded.
constexpr std::uint64_t kClaimedBytesMax = std::uint64_t{16} << 20;

// A header that is valid by itself: where it stood when it was written, it tells.
std::optional<engine::FrameHeader> decode_anywhere(Bytes bytes, const engine::FrameSeed& seed) {
    if (bytes.size() < engine::kFrameHeaderBytes) return {};
    return engine::decode_frame_header(bytes, seed, load<engine::FrameHeader>(bytes.data()).lsn);
}

// Something was written into a file that says it is unused: then its header is lost, it was not
// made ready only. `block` is the header and the place of the first frame's.
bool was_begun(const LogFile& file, Bytes block, const engine::StoreId& store_id) {
    if (!file.may_be_stale())
        return std::ranges::any_of(block, [](std::byte byte) { return byte != std::byte{0}; });
    const auto header =
        decode_anywhere(block.subspan(engine::kSegmentHeaderBytes), engine::FrameSeed(store_id));
    return header && header->lsn >= file.header.header.stale;
}

}  // namespace

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
        const bool unused = file.header.fault == engine::HeaderFault::unused;
        if (unused && was_begun(file, block, store_id))
            file.header.fault = engine::HeaderFault::damaged;
        if ((file.in_use() || (unused && file.may_be_stale())) &&
            file.header.header.number != *number)
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
    from_ = 0;
    read_into_memory(files, *fd);
    files.close(*fd);
    return {};
}

Result<void> LogReader::load_part(io::Files& files, std::uint64_t from, std::uint64_t bytes) {
    auto fd = files.open(names::log_file(file_.number), io::Open::read);
    if (!fd) return fail(fd);
    bytes_.resize(std::min(bytes, file_.bytes - std::min(from, file_.bytes)));
    from_ = from;
    at_ = from;
    read_into_memory(files, *fd);
    files.close(*fd);
    return {};
}

void LogReader::read_into_memory(io::Files& files, int fd) {
    constexpr std::size_t kPiece = std::size_t{1} << 20;
    for (std::size_t at = 0; at < bytes_.size(); at += kPiece) {
        const auto piece = MutableBytes(bytes_).subspan(at, std::min(kPiece, bytes_.size() - at));
        if (const auto read = files.read(fd, from_ + at, piece)) {
            std::ranges::fill(piece.subspan(*read), std::byte{0});
            continue;
        }
        // Block by block, so that one bad sector hides no more than itself.
        for (std::size_t block = 0; block < piece.size(); block += 4096) {
            const auto part =
                piece.subspan(block, std::min<std::size_t>(4096, piece.size() - block));
            if (files.read(fd, from_ + at + block, part)) continue;
            std::ranges::fill(part, std::byte{0});
            unreadable_ = true;
        }
    }
}

std::optional<LogReader::Frame> LogReader::next() {
    const auto left = loaded(at_);
    const auto header = planted("stale_bytes_parse")
                            ? decode_anywhere(left, frame_seed_)
                            : engine::decode_frame_header(left, frame_seed_, end());
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

template <class See>
void LogReader::each_header_behind(See&& see) const {
    const auto end = file_.may_be_stale() ? loaded_end() : at_ + rest().size();
    for (auto at = at_; at < end && loaded(at).size() >= engine::kFrameHeaderBytes; at += 8) {
        const auto bytes = loaded(at);
        if (firnlog::load<std::uint32_t>(bytes.data()) != engine::kFrameMagic) continue;
        const auto lsn = file_.base() + (at - engine::kSegmentHeaderBytes);
        const auto header = engine::decode_frame_header(bytes, frame_seed_, lsn);
        if (header) see(at, *header);
    }
}

std::uint64_t LogReader::end_of_fresh() const {
    auto end = at_;
    each_header_behind([&](std::uint64_t at, const engine::FrameHeader& header) {
        end = std::min(at + engine::kFrameHeaderBytes + header.length, loaded_end());
    });
    auto budget = kClaimedBytesMax;
    const auto until = std::min(at_ + kFirstFrameBytesMax, loaded_end());
    for (auto at = at_; at + engine::kRecordBytesMin <= until;) {
        const auto bytes = loaded(at);
        const auto claimed = engine::claimed_record_bytes(bytes);
        if (!claimed || *claimed > std::min<std::uint64_t>(bytes.size(), budget)) {
            at += 8;
            continue;
        }
        budget -= *claimed;
        const auto lsn = file_.base() + (at - engine::kSegmentHeaderBytes);
        const bool fresh = engine::decode_record(bytes, record_seed_.at(lsn)).has_value();
        at += fresh ? *claimed : 8;
        if (fresh) end = std::max(end, at);
    }
    return end;
}

Bytes LogReader::rest() const {
    const auto left = loaded(at_);
    if (left.empty()) return left;
    return file_.may_be_stale() ? left.first(end_of_fresh() - at_) : without_zeros_behind(left);
}

bool LogReader::rest_is_zero() const { return rest().empty() && !unreadable_; }

Bytes LogReader::written() const {
    const auto end = std::min<std::uint64_t>(at_ + rest().size(), bytes_.size());
    return Bytes(bytes_).first(end);
}

LogReader::Behind LogReader::look_behind() const {
    Behind behind;
    each_header_behind([&](std::uint64_t, const engine::FrameHeader& header) {
        behind.vouched = std::max(behind.vouched, header.durable_lsn);
        ++behind.frames;
        behind.records += header.count;
    });
    return behind;
}

std::optional<HeadlessLog> look_at_headless(const LogReader& reader) {
    std::optional<HeadlessLog> found;
    engine::Lsn vouched;
    const auto bytes = reader.bytes();
    for (std::size_t at = 0; at + engine::kFrameHeaderBytes <= bytes.size(); at += 8) {
        if (load<std::uint32_t>(bytes.data() + at) != engine::kFrameMagic) continue;
        const auto header = decode_anywhere(bytes.subspan(at), reader.frame_seed());
        if (!header) continue;
        vouched = std::max(vouched, header->durable_lsn);
        if (header->lsn.value + engine::kSegmentHeaderBytes < at) continue;
        const engine::Lsn base{header->lsn.value + engine::kSegmentHeaderBytes - at};
        if (!found) found = HeadlessLog{.base = base, .timeline = header->timeline, .behind = {}};
        if (base != found->base) {
            found->stale = std::max(base, found->base);
            if (base < found->base) continue;
            *found = {
                .base = base, .timeline = header->timeline, .stale = found->stale, .behind = {}};
        }
        ++found->behind.frames;
        found->behind.records += header->count;
    }
    if (found) found->behind.vouched = vouched;
    return found;
}

}  // namespace firnlog::recovery
