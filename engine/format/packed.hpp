#pragma once
// Packed segment: records that survived their log file, each as it was, one behind the other. Pure.
//
//    0 magic 8 "FIRNPAK1" · 8 crc32c 4 over [12, 4096) · 12 version 4 · 16 store id 16
//   32 number 4 · 36 zero 4 · 40 records 8 · 48 end 8 · 56 zero … up to 4096
//
//   4096              16                    end
//   | lsn 8 | record  | lsn 8 | record | …  |
//                     ^ an address leads to the record, its lsn stands just before
//
// Packed segments have no frames, hence no order and no time: they are never replayed. The lsn is
// the one that the record had in the log; its checksum is bound to that and not to its place, so
// relocation changes no byte of it. The header is written last: a file without one was never done.

#include <cstdint>
#include <optional>

#include "engine/address.hpp"
#include "engine/format/segment.hpp"
#include "io/base/bytes.hpp"

namespace firnlog::engine {

inline constexpr std::size_t kPackedHeaderBytes = 4096;
// Before each record: its lsn.
inline constexpr std::size_t kPackedLeadBytes = 8;
static_assert(kPackedLeadBytes == sizeof(Lsn));

struct PackedHeader {
    StoreId store_id{};
    FileNumber number = 0;
    std::uint64_t records = 0;
    std::uint64_t end = 0;  // offset behind the last one
};
void encode_packed_header(const PackedHeader& header, std::byte* to) noexcept;
// Nothing unless it is a header of this version.
[[nodiscard]] std::optional<PackedHeader> decode_packed_header(Bytes block) noexcept;

}  // namespace firnlog::engine
