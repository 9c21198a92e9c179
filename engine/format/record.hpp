#pragma once
// Record: one effect on one element, as bytes. Encode and decode side by side; pure.
//
//   0    crc32c           4    over [4, end of padding), seeded with the store and the record's lsn
//   4    kind             1
//   5    flags            1
//   6    kid              varint
//   ..   key length       varint
//   ..   value length     varint
//   ..   expiry           6    milliseconds since 1970, if has_expiry
//   ..   oid              8    if has_oid
//   ..   key, value
//   ..   zero bytes up to a multiple of 8
//
// Records begin at multiples of 8. The seed makes a record valid at one lsn of one store only:
// stale bytes of recycled space cannot pass for it, and relocation copies it unchanged.

#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/address.hpp"
#include "io/base/bytes.hpp"

namespace firnlog::engine {

enum class Kind : std::uint8_t {
    string = 1,     // key := value, with or without expiry
    tombstone = 2,  // key is gone, and with it the object it was bound to
    expiry = 3,     // key expires then; without has_expiry: never
    object = 4,     // an object of the type in `value` exists, bound to nothing: it is built aside
    bind = 5,       // key is bound to the object, of the type in `value`; made if it is not known
    unbind = 6,     // key is gone, its object waits for another bind in the same batch
    element = 7,    // element `key` of the object := value
    element_gone = 8,  // element `key` of the object is gone
    patch = 9,         // bytes within an element: value = offset varint, bytes
    catalog = 10,      // key: pairs of database number and kid: what each points at from here on
    mark = 11,         // a moment with a name: key
    erased = 12,       // was something once; FORGET made it this
};
inline constexpr std::uint8_t kKindMax = 12;

// It says something about its key in its keyspace; or about an element of its object.
[[nodiscard]] constexpr bool is_of_a_key(Kind kind) {
    return kind == Kind::string || kind == Kind::tombstone || kind == Kind::expiry ||
           kind == Kind::bind || kind == Kind::unbind;
}
[[nodiscard]] constexpr bool is_of_an_element(Kind kind) {
    return kind == Kind::element || kind == Kind::element_gone || kind == Kind::patch;
}

struct RecordFlags {
    static constexpr std::uint8_t last_of_batch = 1;
    static constexpr std::uint8_t has_expiry = 2;
    static constexpr std::uint8_t has_oid = 4;
    static constexpr std::uint8_t by_expiry = 8;  // a tombstone that says: its time had come
    static constexpr std::uint8_t known = 15;
};

// Views of the bytes it was decoded from, or of what is to be encoded.
struct Record {
    Kind kind = Kind::erased;
    std::uint8_t flags = 0;
    Kid kid = 0;
    std::string_view key;
    std::string_view value;
    std::int64_t expires_ms = 0;  // with has_expiry
    Oid oid;                      // with has_oid

    [[nodiscard]] bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
};

inline constexpr std::size_t kRecordAlignment = 8;
inline constexpr std::size_t kRecordBytesMin = 16;
inline constexpr std::size_t kKeyBytesMax = 64 * 1024;
inline constexpr std::size_t kRecordValueMax = 1024 * 1024;
// Header fields at their longest, a key and a value at theirs.
inline constexpr std::size_t kRecordBytesMax = kKeyBytesMax + kRecordValueMax + 64;
inline constexpr std::int64_t kExpiryMsMax = (std::int64_t{1} << 48) - 1;

static_assert(kRecordBytesMin % kRecordAlignment == 0);

// The checksum's beginning for records of one store: pass it with the lsn.
class RecordSeed {
  public:
    RecordSeed() = default;
    explicit RecordSeed(Bytes store_id);
    [[nodiscard]] std::uint32_t at(Lsn lsn) const;

  private:
    std::uint32_t store_ = 0;
};

[[nodiscard]] std::size_t record_bytes(const Record& record) noexcept;

// The value of a patch: where its bytes go. Nothing if it is none.
struct PatchValue {
    std::uint64_t offset = 0;
    std::string_view bytes;
};
[[nodiscard]] std::optional<PatchValue> decode_patch(std::string_view value) noexcept;

// Writes the record without its checksum; `to` has room for record_bytes(). Returns that size.
std::size_t encode_record(const Record& record, std::byte* to) noexcept;

// Completes an encoded record of `size` bytes: sets last_of_batch if `last`, then the checksum.
// Returns the checksum.
std::uint32_t seal_record(std::byte* at, std::size_t size, bool last, std::uint32_t seed) noexcept;

// As encode_record, with zeros behind the value, or as a key, so that it has `size` bytes, which is
// the size of some record that says no less: where that was, and nothing else moves.
void encode_in_place(Record record, std::size_t size, std::byte* to);

struct Decoded {
    Record record;
    std::size_t size = 0;
    std::uint32_t crc = 0;
};

// The size that a record beginning at bytes[0] claims, from its first bytes alone (32 are always
// enough), unverified; nothing if no record can look like this.
[[nodiscard]] std::optional<std::size_t> claimed_record_bytes(Bytes bytes) noexcept;

// Nothing if the bytes do not begin with a whole record whose checksum fits.
[[nodiscard]] std::optional<Decoded> decode_record(Bytes bytes, std::uint32_t seed) noexcept;

// As above for bytes that never left this process: no checksum is looked at.
[[nodiscard]] std::optional<Decoded> decode_own_record(Bytes bytes) noexcept;

}  // namespace firnlog::engine
