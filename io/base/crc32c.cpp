#include "io/base/crc32c.hpp"

#include <isa-l/crc.h>

namespace firnlog {

std::uint32_t crc32c(Bytes bytes, std::uint32_t seed) noexcept {
    // isa-l takes an int length and a pointer to bytes it does not change.
    constexpr std::size_t kPieceMax = std::size_t{1} << 30;
    std::uint32_t crc = ~seed;
    while (!bytes.empty()) {
        const auto piece = bytes.first(bytes.size() < kPieceMax ? bytes.size() : kPieceMax);
        auto* data =
            const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(piece.data()));
        crc = crc32_iscsi(data, static_cast<int>(piece.size()), crc);
        bytes = bytes.subspan(piece.size());
    }
    return ~crc;
}

}  // namespace firnlog
