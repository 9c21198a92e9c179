#include "engine/format/segment.hpp"

#include <algorithm>

#include "io/base/crc32c.hpp"

namespace firnlog::engine {
namespace {
constexpr std::uint64_t kMagic = 0x31474f4c4e524946;  // "FIRNLOG1"
}

void encode_segment_header(const SegmentHeader& header, std::byte* to) noexcept {
    std::memset(to, 0, kSegmentHeaderBytes);
    store(to, kMagic);
    store(to + 12, kFormatVersion);
    std::memcpy(to + 16, header.store_id.data(), header.store_id.size());
    store(to + 32, header.number);
    store(to + 36, header.timeline);
    store(to + 40, header.base.value);
    store(to + 48, header.bytes);
    store(to + 8, crc32c({to + 12, kSegmentHeaderBytes - 12}));
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
    const auto* at = block.data();
    if (load<std::uint64_t>(at) != kMagic ||
        load<std::uint32_t>(at + 8) != crc32c(block.subspan(12))) {
        read.fault = HeaderFault::damaged;
        return read;
    }
    read.version = load<std::uint32_t>(at + 12);
    std::memcpy(read.header.store_id.data(), at + 16, read.header.store_id.size());
    read.header.number = load<std::uint32_t>(at + 32);
    read.header.timeline = load<std::uint32_t>(at + 36);
    read.header.base = {load<std::uint64_t>(at + 40)};
    read.header.bytes = load<std::uint64_t>(at + 48);
    if (read.version != kFormatVersion)
        read.fault = HeaderFault::version;
    else if (read.header.store_id != store_id)
        read.fault = HeaderFault::foreign;
    else
        read.fault = HeaderFault::none;
    return read;
}

}  // namespace firnlog::engine
