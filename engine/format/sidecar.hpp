#pragma once
// Sidecar: where in one log file the records of a key, or of an object, lie. Pure.
//
//   0          4096        8192                           end
//   | header   | block     | block     | …                |
//
//   header   0 magic 8 "FIRNSID1" · 8 crc32c 4 over [12, 4096) · 12 version 4 · 16 store id 16
//           32 number 4 · 36 zero 4 · 40 base lsn 8 · 48 end 8 · 56 entries 8 · 64 zero … to 4096
//   block    0 crc32c 4 over [4, 4096), seeded with store id 16, number 4, block 4, base 8
//            4 its entries 4 · 8 entries, 8 each, ascending: hash 4, offset / 8 of the record 4
//
// It can be made anew from the log file at any time, so nothing names it and nobody waits until it
// is durable: what a crash has left of it does not check out, and is made anew. A block is valid at
// one place of the sidecar of one file alone, so each can be believed without the others.
//
// A hash is 32 bits of the store's keyed hash of a name, or of an object and its element: those of
// one object stand in a row, for its own bits come first. Whoever finds an entry looks at the
// record: two names may share a hash. The smallest hashes are no name's: they lead to some of the
// frames' headers, from which what stands around a record can be read, and to catalog records.

#include <cstdint>
#include <optional>
#include <span>

#include "engine/address.hpp"
#include "engine/format/record.hpp"
#include "engine/format/segment.hpp"
#include "engine/index/tag.hpp"
#include "io/base/bytes.hpp"

namespace firnlog::engine {

inline constexpr std::size_t kSidecarHeaderBytes = 4096;
inline constexpr std::size_t kSidecarBlockBytes = 4096;
inline constexpr std::size_t kSidecarBlockEntries = 511;

struct SidecarEntry {
    std::uint32_t hash = 0;
    std::uint32_t place = 0;  // offset / 8
    auto operator<=>(const SidecarEntry&) const = default;
    [[nodiscard]] std::uint64_t offset() const { return std::uint64_t{place} * 8; }
};
static_assert(sizeof(SidecarEntry) == 8);
static_assert(offsetof(SidecarEntry, hash) == 0);
static_assert(offsetof(SidecarEntry, place) == 4);

struct SidecarHeader {
    StoreId store_id{};
    FileNumber number = 0;
    Lsn base;
    Lsn end;  // every record before it has its entry
    std::uint64_t entries = 0;
    bool operator==(const SidecarHeader&) const = default;

    [[nodiscard]] std::uint64_t blocks() const {
        return (entries + kSidecarBlockEntries - 1) / kSidecarBlockEntries;
    }
};
void encode_sidecar_header(const SidecarHeader& header, std::byte* to) noexcept;
// Nothing unless it is a header of this version.
[[nodiscard]] std::optional<SidecarHeader> decode_sidecar_header(Bytes block) noexcept;

// At most kSidecarBlockEntries of them, ascending, as block number `block` from 0 on.
void encode_sidecar_block(std::span<const SidecarEntry> entries, const SidecarHeader& header,
                          std::uint32_t block, std::byte* to) noexcept;
// Its entries, copied into `into`; nothing unless it is this block of this sidecar.
[[nodiscard]] std::optional<std::size_t> decode_sidecar_block(
    Bytes bytes, const SidecarHeader& header, std::uint32_t block,
    std::span<SidecarEntry, kSidecarBlockEntries> into) noexcept;

// From the first hash to the last one.
struct SidecarRange {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
    [[nodiscard]] bool holds(std::uint32_t hash) const { return first <= hash && hash <= last; }
};

class SidecarHasher {
  public:
    explicit SidecarHasher(const Hasher& hasher) : hasher_(hasher) {}

    static constexpr SidecarRange kFrames{0, 0};
    static constexpr SidecarRange kCatalog{1, 1};
    // Of a key in whatever keyspace, or of a mark.
    [[nodiscard]] SidecarRange name(std::string_view name) const noexcept;
    // Of all elements of an object.
    [[nodiscard]] SidecarRange object(Oid oid) const noexcept;
    [[nodiscard]] SidecarRange element(Oid oid, std::string_view element) const noexcept;
    // Of what the record is about; nothing if that is nothing.
    [[nodiscard]] std::optional<std::uint32_t> of(const Record& record) const noexcept;

  private:
    Hasher hasher_;
};

}  // namespace firnlog::engine
