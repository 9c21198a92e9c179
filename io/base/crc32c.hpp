#pragma once
// crc32c: the Castagnoli CRC of every checksum on disk (RFC 3720, appendix B.4), by isa-l.

#include <cstdint>

#include "io/base/bytes.hpp"

namespace firnlog {

// `seed` continues a CRC: crc32c(a ++ b, s) == crc32c(b, crc32c(a, s)).
[[nodiscard]] std::uint32_t crc32c(Bytes bytes, std::uint32_t seed = 0) noexcept;

}  // namespace firnlog
