#pragma once
// Frame: what one group commit writes, a header and its records. Pure.
//
//    0  magic         4   "FRN1"
//    4  crc32c        4   over [8, 64), seeded with store id, timeline and lsn
//    8  length        4   bytes of records behind the header, a multiple of 8
//   12  count         4   records in them; 0: the frame only vouches
//   16  timeline      4
//   20  records_crc   4   crc32c over the checksums of the records, in order
//   24  lsn           8   of the header's first byte
//   32  durable_lsn   8   everything before it was durable when this header was written
//   40  commit_us     8   microseconds since 1970, never smaller than the frame before
//   48  batch_lsn     8   lsn of the first record of the batch that this frame continues, or 0
//   56  zero          8
//
// A header vouches: bytes before its durable_lsn were acknowledged, so damage there is damage, not
// a torn write. `length` is trusted only once the header's own checksum has been found right.

#include <cstdint>
#include <optional>

#include "engine/address.hpp"
#include "io/base/bytes.hpp"

namespace firnlog::engine {

struct FrameHeader {
    std::uint32_t magic = 0;
    std::uint32_t crc = 0;
    std::uint32_t length = 0;
    std::uint32_t count = 0;
    Timeline timeline = 0;
    std::uint32_t records_crc = 0;
    Lsn lsn;
    Lsn durable_lsn;
    std::int64_t commit_us = 0;
    Lsn batch_lsn;
    std::uint64_t zero = 0;
};
inline constexpr std::uint32_t kFrameMagic = 0x314e5246;
inline constexpr std::size_t kFrameHeaderBytes = 64;

static_assert(sizeof(FrameHeader) == kFrameHeaderBytes);
static_assert(offsetof(FrameHeader, length) == 8);
static_assert(offsetof(FrameHeader, timeline) == 16);
static_assert(offsetof(FrameHeader, lsn) == 24);
static_assert(offsetof(FrameHeader, durable_lsn) == 32);
static_assert(offsetof(FrameHeader, commit_us) == 40);
static_assert(offsetof(FrameHeader, batch_lsn) == 48);

class FrameSeed {
  public:
    FrameSeed() = default;
    explicit FrameSeed(Bytes store_id);
    [[nodiscard]] std::uint32_t at(Timeline timeline, Lsn lsn) const;

  private:
    std::uint32_t store_ = 0;
};

// Fills in magic and checksum and writes the 64 bytes.
void encode_frame_header(FrameHeader header, const FrameSeed& seed, std::byte* to) noexcept;

// Nothing unless the bytes begin with a header that is valid at this place of this store.
[[nodiscard]] std::optional<FrameHeader> decode_frame_header(Bytes bytes, const FrameSeed& seed,
                                                             Lsn lsn) noexcept;

}  // namespace firnlog::engine
