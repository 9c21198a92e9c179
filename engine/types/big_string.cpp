#include "engine/types/big_string.hpp"

#include <algorithm>

namespace firnlog::engine {
namespace {
// 512 MiB by default, and 4 GiB at most: more chunks than this name no string.
constexpr std::uint64_t kChunksMax = (std::uint64_t{4} << 30) / BigString::kChunkBytes;
}  // namespace

BigString::PatchValue BigString::patch_value(std::string_view value) {
    const auto* begin = reinterpret_cast<const std::byte*>(value.data());
    const auto* end = begin + value.size();
    PatchValue patch;
    const auto* at = get_varint(begin, end, patch.offset);
    if (at == nullptr) return patch;
    patch.bytes = value.substr(static_cast<std::size_t>(at - begin));
    patch.valid = patch.offset + patch.bytes.size() <= kChunkBytes && patch.offset < kChunkBytes;
    return patch;
}

void BigString::apply(const Record& record, Address address, std::size_t bytes, Tag) {
    if (record.key.size() != sizeof(std::uint64_t)) return;
    const auto number = load<std::uint64_t>(as_bytes(record.key).data());
    if (number >= kChunksMax) return;
    if (chunks_.size() <= number) chunks_.resize(number + 1);
    auto& chunk = chunks_[number];
    Piece piece{.address = address, .record_bytes = static_cast<std::uint32_t>(bytes)};
    if (record.kind == Kind::element) {
        if (record.value.size() > kChunkBytes) return;
        piece.bytes = static_cast<std::uint16_t>(record.value.size());
        chunk.base = piece;
        chunk.patches = {};
    } else if (record.kind == Kind::patch) {
        const auto patch = patch_value(record.value);
        if (!patch.valid) return;
        piece.offset = static_cast<std::uint16_t>(patch.offset);
        piece.bytes = static_cast<std::uint16_t>(patch.bytes.size());
        chunk.patches.push_back(piece);
    } else {
        return;
    }
    bytes_ = std::max(bytes_, number * kChunkBytes + piece.offset + piece.bytes);
}

std::size_t BigString::memory_bytes() const {
    std::size_t bytes = chunks_.capacity() * sizeof(Chunk);
    for (const auto& chunk : chunks_) bytes += chunk.patches.capacity() * sizeof(Piece);
    return bytes;
}

}  // namespace firnlog::engine
