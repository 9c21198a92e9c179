#include "engine/format/record.hpp"

#include <string>

#include "io/base/crc32c.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::engine {
namespace {

// What stands at fixed offsets, each field right behind the one before. The checksum stands first
// and covers all behind it.
constexpr std::size_t kKindAt = sizeof(std::uint32_t);
constexpr std::size_t kFlagsAt = kKindAt + sizeof(Kind);
constexpr std::size_t kFixed = kFlagsAt + sizeof(Record::flags);
static_assert(kKindAt == 4);
static_assert(kFlagsAt == 5);
static_assert(kFixed == 6);
constexpr std::size_t kExpiryBytes = 6;
constexpr std::size_t kOidBytes = 8;

struct Head {
    Record record;  // key and value not set
    std::uint64_t key_bytes = 0;
    std::uint64_t value_bytes = 0;
    std::size_t head_bytes = 0;
    std::size_t size = 0;
};

std::optional<Head> decode_head(Bytes bytes) noexcept {
    if (bytes.size() < kRecordBytesMin) return {};
    Head head;
    const auto kind = static_cast<std::uint8_t>(bytes[kKindAt]);
    const auto flags = static_cast<std::uint8_t>(bytes[kFlagsAt]);
    if (kind == 0 || kind > kKindMax || (flags & ~RecordFlags::known) != 0) return {};
    head.record.kind = static_cast<Kind>(kind);
    head.record.flags = flags;
    const auto* at = bytes.data() + kFixed;
    const auto* end = bytes.data() + bytes.size();
    std::uint64_t kid = 0;
    at = get_varint(at, end, kid);
    if (at == nullptr || kid > UINT32_MAX) return {};
    head.record.kid = static_cast<Kid>(kid);
    at = get_varint(at, end, head.key_bytes);
    if (at == nullptr || head.key_bytes > kKeyBytesMax) return {};
    at = get_varint(at, end, head.value_bytes);
    if (at == nullptr || head.value_bytes > kRecordValueMax) return {};
    if (head.record.has(RecordFlags::has_expiry)) {
        if (end - at < static_cast<std::ptrdiff_t>(kExpiryBytes)) return {};
        std::uint64_t expiry = 0;
        std::memcpy(&expiry, at, kExpiryBytes);
        head.record.expires_ms = static_cast<std::int64_t>(expiry);
        at += kExpiryBytes;
    }
    if (head.record.has(RecordFlags::has_oid)) {
        if (end - at < static_cast<std::ptrdiff_t>(kOidBytes)) return {};
        head.record.oid = {load<std::uint64_t>(at)};
        at += kOidBytes;
    }
    head.head_bytes = static_cast<std::size_t>(at - bytes.data());
    head.size = align_up(head.head_bytes + head.key_bytes + head.value_bytes, kRecordAlignment);
    if (head.size < kRecordBytesMin) head.size = kRecordBytesMin;
    return head;
}

Decoded with_body(const Head& head, Bytes bytes) noexcept {
    Decoded decoded{
        .record = head.record, .size = head.size, .crc = load<std::uint32_t>(bytes.data())};
    const auto text = as_text(bytes);
    decoded.record.key = text.substr(head.head_bytes, head.key_bytes);
    decoded.record.value = text.substr(head.head_bytes + head.key_bytes, head.value_bytes);
    return decoded;
}

}  // namespace

RecordSeed::RecordSeed(Bytes store_id) : store_(crc32c(store_id)) {}

std::uint32_t RecordSeed::at(Lsn lsn) const {
    std::byte bytes[8];
    store(bytes, lsn.value);
    return crc32c(bytes, store_);
}

std::size_t record_bytes(const Record& record) noexcept {
    std::size_t size = kFixed + varint_bytes(record.kid) + varint_bytes(record.key.size()) +
                       varint_bytes(record.value.size()) + record.key.size() + record.value.size();
    if (record.has(RecordFlags::has_expiry)) size += kExpiryBytes;
    if (record.has(RecordFlags::has_oid)) size += kOidBytes;
    size = align_up(size, kRecordAlignment);
    return size < kRecordBytesMin ? kRecordBytesMin : size;
}

std::size_t encode_record(const Record& record, std::byte* to) noexcept {
    to[kKindAt] = static_cast<std::byte>(record.kind);
    to[kFlagsAt] = static_cast<std::byte>(record.flags);
    auto* at = put_varint(to + kFixed, record.kid);
    at = put_varint(at, record.key.size());
    at = put_varint(at, record.value.size());
    if (record.has(RecordFlags::has_expiry)) {
        const auto expiry = static_cast<std::uint64_t>(record.expires_ms);
        std::memcpy(at, &expiry, kExpiryBytes);
        at += kExpiryBytes;
    }
    if (record.has(RecordFlags::has_oid)) {
        store(at, record.oid.value);
        at += kOidBytes;
    }
    for (const auto text : {record.key, record.value}) {
        // An empty view may point nowhere.
        if (!text.empty()) std::memcpy(at, text.data(), text.size());
        at += text.size();
    }
    auto size = align_up(static_cast<std::size_t>(at - to), kRecordAlignment);
    if (size < kRecordBytesMin) size = kRecordBytesMin;
    std::memset(at, 0, size - static_cast<std::size_t>(at - to));
    return size;
}

std::optional<PatchValue> decode_patch(std::string_view value) noexcept {
    const auto bytes = as_bytes(value);
    PatchValue patch;
    const auto* at = get_varint(bytes.data(), bytes.data() + bytes.size(), patch.offset);
    if (at == nullptr) return std::nullopt;
    patch.bytes = value.substr(static_cast<std::size_t>(at - bytes.data()));
    return patch;
}

std::uint32_t seal_record(std::byte* at, std::size_t size, bool last, std::uint32_t seed) noexcept {
    if (last) at[kFlagsAt] |= static_cast<std::byte>(RecordFlags::last_of_batch);
    const auto crc = crc32c({at + kKindAt, size - kKindAt}, seed);
    store(at, crc);
    return crc;
}

void encode_in_place(Record record, std::size_t size, std::byte* to) {
    const auto least = record.value.size();
    std::string bytes(record.value);
    bytes.resize(least + size);
    record.value = std::string_view(bytes).substr(0, kRecordValueMax);
    // What a value may not have, a key has; and what neither may, fields that say nothing there.
    if (size > kKeyBytesMax + kRecordValueMax) {
        record.kid = UINT32_MAX;
        record.flags |= RecordFlags::has_expiry;
    }
    while (record_bytes(record) < size)
        record.key = std::string_view(bytes).substr(least, record.key.size() + 1);
    while (record_bytes(record) > size && record.value.size() > least)
        record.value.remove_suffix(1);
    ensure(encode_record(record, to) == size, "it says no more than what was there");
}

std::optional<std::size_t> claimed_record_bytes(Bytes bytes) noexcept {
    const auto head = decode_head(bytes);
    if (!head) return {};
    return head->size;
}

std::optional<Decoded> decode_record(Bytes bytes, std::uint32_t seed) noexcept {
    const auto head = decode_head(bytes);
    if (!head || head->size > bytes.size()) return {};
    const auto crc = crc32c(bytes.subspan(kKindAt, head->size - kKindAt), seed);
    if (crc != load<std::uint32_t>(bytes.data()) && !planted("record_checksum_unread")) return {};
    return with_body(*head, bytes);
}

std::optional<Decoded> decode_own_record(Bytes bytes) noexcept {
    const auto head = decode_head(bytes);
    if (!head || head->size > bytes.size()) return {};
    return with_body(*head, bytes);
}

}  // namespace firnlog::engine
