#include "engine/format/packed.hpp"

#include "engine/format/layouts.hpp"
#include "io/base/crc32c.hpp"

namespace firnlog::engine {
namespace {
constexpr std::uint64_t kMagic = 0x314b41504e524946;  // "FIRNPAK1"
}

void encode_packed_header(const PackedHeader& header, std::byte* to) noexcept {
    std::memset(to, 0, kPackedHeaderBytes);
    layouts::Packed at{.begin = {.magic = kMagic, .crc = 0, .version = kFormatVersion},
                       .store_id = header.store_id,
                       .number = header.number,
                       .records = header.records,
                       .end = header.end};
    store(to, at);
    at.begin.crc = crc32c({to + layouts::kCheckedFrom, kPackedHeaderBytes - layouts::kCheckedFrom});
    store(to, at);
}

std::optional<PackedHeader> decode_packed_header(Bytes block) noexcept {
    if (block.size() < kPackedHeaderBytes) return {};
    block = block.first(kPackedHeaderBytes);
    const auto at = load<layouts::Packed>(block.data());
    if (at.begin.magic != kMagic || at.begin.crc != crc32c(block.subspan(layouts::kCheckedFrom)) ||
        at.begin.version != kFormatVersion)
        return {};
    if (at.end < kPackedHeaderBytes || at.end > kFileBytesMax) return {};
    return PackedHeader{
        .store_id = at.store_id, .number = at.number, .records = at.records, .end = at.end};
}

}  // namespace firnlog::engine
