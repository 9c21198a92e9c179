#include "engine/format/frame.hpp"

#include "io/base/crc32c.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::engine {

FrameSeed::FrameSeed(Bytes store_id) : store_(crc32c(store_id)) {}

std::uint32_t FrameSeed::at(Timeline timeline, Lsn lsn) const {
    std::byte bytes[12];
    store(bytes, timeline);
    store(bytes + 4, lsn.value);
    return crc32c(bytes, store_);
}

void encode_frame_header(FrameHeader header, const FrameSeed& seed, std::byte* to) noexcept {
    header.magic = kFrameMagic;
    header.crc = 0;
    header.zero = 0;
    store(to, header);
    header.crc = crc32c({to + 8, kFrameHeaderBytes - 8}, seed.at(header.timeline, header.lsn));
    store(to, header);
}

std::optional<FrameHeader> decode_frame_header(Bytes bytes, const FrameSeed& seed,
                                               Lsn lsn) noexcept {
    if (bytes.size() < kFrameHeaderBytes) return {};
    const auto header = load<FrameHeader>(bytes.data());
    if (header.magic != kFrameMagic || header.lsn != lsn || header.length % 8 != 0) return {};
    if (!planted("frame_checksum_unread") &&
        header.crc !=
            crc32c(bytes.subspan(8, kFrameHeaderBytes - 8), seed.at(header.timeline, lsn)))
        return {};
    return header;
}

}  // namespace firnlog::engine
