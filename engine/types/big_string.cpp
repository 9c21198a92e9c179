#include "engine/types/big_string.hpp"

#include <algorithm>

#include "engine/format/layouts.hpp"

namespace firnlog::engine {
namespace {
// 512 MiB by default, and 4 GiB at most: more chunks than this name no string.
constexpr std::uint64_t kChunksMax = (std::uint64_t{4} << 30) / BigString::kChunkBytes;
// Of one piece of an image: what is copied under a lock has a bound.
constexpr std::size_t kPiecesMax = 2048;
constexpr std::size_t kHeadBytes = sizeof(layouts::StringHead);
constexpr std::size_t kChunkHeadBytes = sizeof(layouts::ChunkHead);
constexpr std::size_t kPieceBytes = sizeof(layouts::ChunkPiece);

void put_piece(std::vector<std::byte>& out, const BigString::Piece& piece) {
    const auto at = out.size();
    out.resize(at + kPieceBytes);
    store(out.data() + at, layouts::ChunkPiece{.address = piece.address.bits(),
                                               .record_bytes = piece.record_bytes,
                                               .offset = piece.offset,
                                               .bytes = piece.bytes});
}

BigString::Piece take_piece(const std::byte* at, const Moves& moves) {
    const auto piece = load<layouts::ChunkPiece>(at);
    return {.address = moves(Address::from_bits(piece.address)),
            .record_bytes = piece.record_bytes,
            .offset = piece.offset,
            .bytes = piece.bytes};
}

// An address has no more bits.
bool possible(const BigString::Piece& piece) { return piece.address.bits() >> 48 == 0; }
}  // namespace

std::optional<PatchValue> BigString::patch_value(std::string_view value) {
    auto patch = decode_patch(value);
    if (patch &&
        (patch->offset >= kChunkBytes || patch->offset + patch->bytes.size() > kChunkBytes))
        patch.reset();
    return patch;
}

void BigString::apply(const Record& record, Address address, std::size_t bytes, Tag) {
    if (record.key.size() != sizeof(std::uint64_t)) return;
    const auto number = firnlog::load<std::uint64_t>(as_bytes(record.key).data());
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
        if (!patch) return;
        piece.offset = static_cast<std::uint16_t>(patch->offset);
        piece.bytes = static_cast<std::uint16_t>(patch->bytes.size());
        chunk.patches.push_back(piece);
    } else {
        return;
    }
    bytes_ = std::max(bytes_, number * kChunkBytes + piece.offset + piece.bytes);
}

// The string's length, then the chunks that exist, up to the next piece's: head, base (zero: it
// was never written), patches.
std::uint64_t BigString::save(std::uint64_t from, std::vector<std::byte>& out) const {
    auto at = out.size();
    out.resize(at + kHeadBytes);
    store(out.data() + at, layouts::StringHead{.bytes = bytes_});
    std::size_t pieces = 0;
    for (auto number = from; number < chunks_.size(); ++number) {
        const auto& chunk = chunks_[number];
        if (pieces > kPiecesMax) return number;
        ++pieces;
        if (!chunk.base.address && chunk.patches.empty()) continue;
        at = out.size();
        out.resize(at + kChunkHeadBytes);
        store(out.data() + at,
              layouts::ChunkHead{.number = static_cast<std::uint32_t>(number),
                                 .patches = static_cast<std::uint32_t>(chunk.patches.size())});
        put_piece(out, chunk.base);
        for (const auto& patch : chunk.patches) put_piece(out, patch);
        pieces += chunk.patches.size();
    }
    return 0;
}

bool BigString::load(Bytes piece, const Moves& moves) {
    if (piece.size() < kHeadBytes) return false;
    const auto bytes = firnlog::load<layouts::StringHead>(piece.data()).bytes;
    if (bytes > kChunksMax * kChunkBytes) return false;
    for (piece = piece.subspan(kHeadBytes); !piece.empty();) {
        if (piece.size() < kChunkHeadBytes + kPieceBytes) return false;
        const auto [number, patches] = firnlog::load<layouts::ChunkHead>(piece.data());
        const auto* at = piece.data() + kChunkHeadBytes;
        const auto size = kChunkHeadBytes + (std::size_t{patches} + 1) * kPieceBytes;
        if (number >= kChunksMax || size > piece.size()) return false;
        if (chunks_.size() <= number) chunks_.resize(number + 1);
        auto& chunk = chunks_[number];
        chunk.base = take_piece(at, moves);
        chunk.patches.clear();
        for (std::uint32_t i = 0; i < patches; ++i)
            chunk.patches.push_back(take_piece(at + (i + 1) * kPieceBytes, moves));
        for (const auto& patch : chunk.patches)
            if (patch.offset + std::size_t{patch.bytes} > kChunkBytes || !possible(patch))
                return false;
        if (chunk.base.bytes > kChunkBytes || !possible(chunk.base)) return false;
        piece = piece.subspan(size);
    }
    bytes_ = std::max<std::size_t>(bytes_, bytes);
    return true;
}

bool BigString::move(Tag, std::uint64_t position, Address from, Address to) {
    if (position >= chunks_.size()) return false;
    auto& chunk = chunks_[position];
    if (chunk.base.address == from) {
        chunk.base.address = to;
        return true;
    }
    const auto found = std::ranges::find(chunk.patches, from, &Piece::address);
    if (found == chunk.patches.end()) return false;
    found->address = to;
    return true;
}

std::uint64_t BigString::position(const Record& record, Tag) {
    return record.key.size() == sizeof(std::uint64_t)
               ? firnlog::load<std::uint64_t>(as_bytes(record.key).data())
               : 0;
}

std::size_t BigString::memory_bytes() const {
    std::size_t bytes = chunks_.capacity() * sizeof(Chunk);
    for (const auto& chunk : chunks_) bytes += chunk.patches.capacity() * sizeof(Piece);
    return bytes;
}

}  // namespace firnlog::engine
