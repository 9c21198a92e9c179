#include "recovery/write_cut.hpp"

#include "io/base/crc32c.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::recovery {
namespace {

constexpr std::uint64_t kBlock = 4096;

// The header of a frame whose records end at `end` now.
void shorten_frame(std::vector<std::byte>& bytes, const CutTo& cut, const LogReader& reader) {
    const auto at = cut.frame_offset;
    auto frame = load<engine::FrameHeader>(bytes.data() + at);
    const auto records = Bytes(bytes).subspan(at + engine::kFrameHeaderBytes,
                                              cut.end - at - engine::kFrameHeaderBytes);
    frame.length = static_cast<std::uint32_t>(records.size());
    frame.count = 0;
    frame.records_crc = 0;
    for (std::size_t record = 0; record < records.size();) {
        const auto decoded = engine::decode_own_record(records.subspan(record));
        ensure(decoded.has_value(), "a record that was verified stays valid");
        frame.records_crc = crc32c(records.subspan(record, sizeof decoded->crc), frame.records_crc);
        ++frame.count;
        record += decoded->size;
    }
    engine::encode_frame_header(frame, reader.frame_seed(), bytes.data() + at);
}

}  // namespace

Result<void> write_cut(io::Files& files, const std::string& name, const LogReader& reader,
                       const CutTo& cut) {
    ensure(cut.end <= reader.bytes().size(), "a cut lies within the file");
    std::vector<std::byte> bytes(align_up(cut.end, kBlock));
    std::memcpy(bytes.data(), reader.bytes().data(), cut.end);
    auto header = reader.file().header.header;
    header.number = cut.number;
    header.bytes = bytes.size();
    header.stale = {};
    engine::encode_segment_header(header, bytes.data());
    if (cut.frame_offset != 0) shorten_frame(bytes, cut, reader);
    auto fd = files.open(name, io::Open::create);
    if (!fd) return fail(fd);
    auto done = files.write(*fd, 0, bytes);
    if (done && !planted("kept_tail_not_synced")) done = files.sync(*fd);
    files.close(*fd);
    return done;
}

}  // namespace firnlog::recovery
