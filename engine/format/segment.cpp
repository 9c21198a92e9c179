#include "engine/format/segment.hpp"

#include <algorithm>

#include "engine/format/layouts.hpp"
#include "io/base/crc32c.hpp"

namespace firnlog::engine {
namespace {
constexpr std::uint64_t kMagic = 0x31474f4c4e524946;  // "FIRNLOG1"
}

void encode_segment_header(const SegmentHeader& header, std::byte* to) noexcept {
    std::memset(to, 0, kSegmentHeaderBytes);
    layouts::Segment at{.begin = {.magic = kMagic, .crc = 0, .version = kFormatVersion},
                        .store_id = header.store_id,
                        .number = header.number,
                        .timeline = header.timeline,
                        .base = header.base,
                        .bytes = header.bytes,
                        .stale = header.stale};
    store(to, at);
    at.begin.crc =
        crc32c({to + layouts::kCheckedFrom, kSegmentHeaderBytes - layouts::kCheckedFrom});
    store(to, at);
}

SegmentHeaderRead decode_segment_header(Bytes block, const StoreId& store_id) noexcept {
    SegmentHeaderRead read;
    if (block.size() < kSegmentHeaderBytes) {
        read.fault = HeaderFault::damaged;
        return read;
    }
    block = block.first(kSegmentHeaderBytes);
    if (std::ranges::all_of(block, [](std::byte byte) { return byte == std::byte{0}; }))
        return read;
    const auto at = load<layouts::Segment>(block.data());
    if (at.begin.magic != kMagic || at.begin.crc != crc32c(block.subspan(layouts::kCheckedFrom))) {
        read.fault = HeaderFault::damaged;
        return read;
    }
    read.version = at.begin.version;
    read.header = {.store_id = at.store_id,
                   .number = at.number,
                   .timeline = at.timeline,
                   .base = at.base,
                   .bytes = at.bytes,
                   .stale = at.stale};
    if (read.version != kFormatVersion)
        read.fault = HeaderFault::version;
    else if (read.header.store_id != store_id)
        read.fault = HeaderFault::foreign;
    else if (read.header.base.value == 0)
        read.fault = HeaderFault::unused;
    else
        read.fault = HeaderFault::none;
    return read;
}

}  // namespace firnlog::engine
