#pragma once
// Segment header: the first block of a log file. Pure.
//
//    0  magic         8   "FIRNLOG1"
//    8  crc32c        4   over [12, 4096)
//   12  version       4   of the format
//   16  store id     16
//   32  number        4   of the file
//   36  timeline      4
//   40  base lsn      8   lsn of the byte at offset 4096
//   48  bytes         8   of the whole file, as it was made
//   56  stale lsn     8   behind the frames may lie what was log before this lsn; 0: zeros
//   64  zero          …   up to 4096
//
// It is written with the segment's first frame, in one write. A file that was made ready and never
// used has only zeros there, or, if it was a segment before, a header whose base is zero.

#include <array>
#include <cstdint>
#include <optional>

#include "engine/address.hpp"
#include "io/base/bytes.hpp"

namespace firnlog::engine {

using StoreId = std::array<std::byte, 16>;

inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::size_t kSegmentHeaderBytes = 4096;
// Of every store; zero names no lsn.
inline constexpr Lsn kFirstLsn{4096};

struct SegmentHeader {
    StoreId store_id{};
    FileNumber number = 0;
    Timeline timeline = 0;
    Lsn base;
    std::uint64_t bytes = 0;
    Lsn stale;
};

void encode_segment_header(const SegmentHeader& header, std::byte* to) noexcept;

enum class HeaderFault : std::uint8_t { none, unused, damaged, version, foreign };

struct SegmentHeaderRead {
    HeaderFault fault = HeaderFault::unused;
    SegmentHeader header;
    std::uint32_t version = 0;
};

// unused: all zero, or without a base. foreign: valid, but of another store.
[[nodiscard]] SegmentHeaderRead decode_segment_header(Bytes block,
                                                      const StoreId& store_id) noexcept;

}  // namespace firnlog::engine
