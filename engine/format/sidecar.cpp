#include "engine/format/sidecar.hpp"

#include <algorithm>
#include <array>

#include "engine/format/layouts.hpp"
#include "io/base/crc32c.hpp"
#include "io/base/ensure.hpp"

namespace firnlog::engine {
namespace {

constexpr std::uint64_t kMagic = 0x314449534e524946;  // "FIRNSID1"
constexpr std::size_t kBlockCheckedFrom = offsetof(layouts::SidecarBlock, entries);
constexpr std::size_t kBlockHeadBytes = sizeof(layouts::SidecarBlock);
static_assert(kBlockHeadBytes + kSidecarBlockEntries * sizeof(SidecarEntry) == kSidecarBlockBytes);

// Names and elements begin behind those that mean something of their own.
constexpr std::uint32_t kOwnHashes = 2;
// Of a hash these are the element's. Of a file with half a million records two objects then hardly
// share a row, and a search for one of many elements looks at few others.
constexpr unsigned kElementBits = 12;
constexpr std::uint32_t kElementMask = (1U << kElementBits) - 1;

std::uint32_t block_seed(const SidecarHeader& header, std::uint32_t block) {
    std::array<std::byte, 32> seed{};
    std::ranges::copy(header.store_id, seed.begin());
    store(seed.data() + 16, header.number);
    store(seed.data() + 20, block);
    store(seed.data() + 24, header.base.value);
    return crc32c(seed);
}

std::uint32_t behind_own(std::uint32_t hash) { return std::max(hash, kOwnHashes); }

}  // namespace

void encode_sidecar_header(const SidecarHeader& header, std::byte* to) noexcept {
    std::memset(to, 0, kSidecarHeaderBytes);
    layouts::Sidecar at{.begin = {.magic = kMagic, .crc = 0, .version = kFormatVersion},
                        .store_id = header.store_id,
                        .number = header.number,
                        .base = header.base,
                        .end = header.end,
                        .entries = header.entries};
    store(to, at);
    at.begin.crc =
        crc32c({to + layouts::kCheckedFrom, kSidecarHeaderBytes - layouts::kCheckedFrom});
    store(to, at);
}

std::optional<SidecarHeader> decode_sidecar_header(Bytes block) noexcept {
    if (block.size() < kSidecarHeaderBytes) return {};
    block = block.first(kSidecarHeaderBytes);
    const auto at = load<layouts::Sidecar>(block.data());
    if (at.begin.magic != kMagic || at.begin.crc != crc32c(block.subspan(layouts::kCheckedFrom)) ||
        at.begin.version != kFormatVersion)
        return {};
    // A record has 16 bytes at least, and a frame's header more.
    if (at.end < at.base || at.end - at.base > kFileBytesMax ||
        at.entries > (at.end - at.base) / kRecordBytesMin + 1)
        return {};
    return SidecarHeader{.store_id = at.store_id,
                         .number = at.number,
                         .base = at.base,
                         .end = at.end,
                         .entries = at.entries};
}

void encode_sidecar_block(std::span<const SidecarEntry> entries, const SidecarHeader& header,
                          std::uint32_t block, std::byte* to) noexcept {
    ensure(entries.size() <= kSidecarBlockEntries, "a block holds no more entries");
    std::memset(to, 0, kSidecarBlockBytes);
    layouts::SidecarBlock head{.crc = 0, .entries = static_cast<std::uint32_t>(entries.size())};
    store(to, head);
    if (!entries.empty()) std::memcpy(to + kBlockHeadBytes, entries.data(), entries.size_bytes());
    head.crc = crc32c({to + kBlockCheckedFrom, kSidecarBlockBytes - kBlockCheckedFrom},
                      block_seed(header, block));
    store(to, head);
}

std::optional<std::size_t> decode_sidecar_block(
    Bytes bytes, const SidecarHeader& header, std::uint32_t block,
    std::span<SidecarEntry, kSidecarBlockEntries> into) noexcept {
    if (bytes.size() < kSidecarBlockBytes) return {};
    bytes = bytes.first(kSidecarBlockBytes);
    const auto head = load<layouts::SidecarBlock>(bytes.data());
    if (head.crc != crc32c(bytes.subspan(kBlockCheckedFrom), block_seed(header, block))) return {};
    const std::size_t count = head.entries;
    if (count > kSidecarBlockEntries) return {};
    std::memcpy(into.data(), bytes.data() + kBlockHeadBytes, count * sizeof(SidecarEntry));
    if (!std::ranges::is_sorted(into.first(count))) return {};
    return count;
}

SidecarRange SidecarHasher::name(std::string_view name) const noexcept {
    const auto hash = behind_own(static_cast<std::uint32_t>(hasher_.tag(name).high >> 32));
    return {hash, hash};
}

SidecarRange SidecarHasher::object(Oid oid) const noexcept {
    std::array<std::byte, sizeof oid.value> bytes{};
    store(bytes.data(), oid.value);
    const auto hash = static_cast<std::uint32_t>(hasher_.tag(as_text(bytes)).high >> 32);
    return {behind_own(hash & ~kElementMask), hash | kElementMask};
}

SidecarRange SidecarHasher::element(Oid oid, std::string_view element) const noexcept {
    const auto row = object(oid);
    const auto own = static_cast<std::uint32_t>(hasher_.tag(element).high >> 32) & kElementMask;
    const auto hash = behind_own((row.last & ~kElementMask) | own);
    return {hash, hash};
}

std::optional<std::uint32_t> SidecarHasher::of(const Record& record) const noexcept {
    switch (record.kind) {
        case Kind::string:
        case Kind::tombstone:
        case Kind::expiry:
        case Kind::bind:
        case Kind::unbind:
        case Kind::mark:
            return name(record.key).first;
        case Kind::object:
        case Kind::element:
        case Kind::element_gone:
        case Kind::patch:
            return element(record.oid, record.key).first;
        case Kind::catalog:
            return kCatalog.first;
        case Kind::erased:
            break;
    }
    return std::nullopt;
}

}  // namespace firnlog::engine
