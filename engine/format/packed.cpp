#include "engine/format/packed.hpp"

#include "io/base/crc32c.hpp"

namespace firnlog::engine {
namespace {
constexpr std::uint64_t kMagic = 0x314b41504e524946;  // "FIRNPAK1"
}

void encode_packed_header(const PackedHeader& header, std::byte* to) noexcept {
    std::memset(to, 0, kPackedHeaderBytes);
    store(to, kMagic);
    store(to + 12, kFormatVersion);
    std::memcpy(to + 16, header.store_id.data(), header.store_id.size());
    store(to + 32, header.number);
    store(to + 40, header.records);
    store(to + 48, header.end);
    store(to + 8, crc32c({to + 12, kPackedHeaderBytes - 12}));
}

std::optional<PackedHeader> decode_packed_header(Bytes block) noexcept {
    if (block.size() < kPackedHeaderBytes) return {};
    const auto* at = block.data();
    if (load<std::uint64_t>(at) != kMagic ||
        load<std::uint32_t>(at + 8) != crc32c(block.subspan(12, kPackedHeaderBytes - 12)) ||
        load<std::uint32_t>(at + 12) != kFormatVersion)
        return {};
    PackedHeader header;
    std::memcpy(header.store_id.data(), at + 16, header.store_id.size());
    header.number = load<std::uint32_t>(at + 32);
    header.records = load<std::uint64_t>(at + 40);
    header.end = load<std::uint64_t>(at + 48);
    if (header.end < kPackedHeaderBytes || header.end > kFileBytesMax) return {};
    return header;
}

}  // namespace firnlog::engine
