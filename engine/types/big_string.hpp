#pragma once
// BigString: a string past 64 KiB, in chunks of 16 KiB, so that a change costs its own size.
//
//   chunk 0   base record · patch · patch        read = base, then the patches in order
//   chunk 1   (none)                             never written: zeros
//   chunk 2   base record
//
// An element record's key is the chunk's number (8 bytes, little-endian), its value the chunk's
// bytes and its end the least the string is long; a patch record's value is an offset (varint) and
// bytes. When a chunk has gathered kPatchesMax patches, the next write to it is a whole new base.
// Strings only grow in place; a shorter one is a new object.
// Guarded by the lock of the object's home stripe.

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/format/record.hpp"
#include "engine/index/tag.hpp"
#include "engine/types/moves.hpp"

namespace firnlog::engine {

class BigString {
  public:
    static constexpr std::size_t kChunkBytes = 16 * 1024;
    static constexpr std::size_t kPatchesMax = 512;
    static constexpr std::size_t kInlineMax = 64 * 1024;  // longer strings are objects

    struct Piece {
        Address address;
        std::uint32_t record_bytes = 0;
        std::uint16_t offset = 0;  // within the chunk
        std::uint16_t bytes = 0;
    };
    struct Chunk {
        Piece base;  // no address: zeros
        std::vector<Piece> patches;
    };

    void apply(const Record& record, Address address, std::size_t bytes, Tag tag);
    // A piece of the chunk at `position` has its record at `from`: it is at `to` now.
    bool move(Tag tag, std::uint64_t position, Address from, Address to);
    template <class Visit>
    void for_each(Visit&& visit) const {
        for (const auto& chunk : chunks_) {
            if (chunk.base.address) visit(chunk.base);
            for (const auto& patch : chunk.patches) visit(patch);
        }
    }
    // Pieces: runs of chunks, by their numbers.
    [[nodiscard]] std::uint64_t save(std::uint64_t from, std::vector<std::byte>& out) const;
    [[nodiscard]] bool load(Bytes piece, const Moves& moves);
    [[nodiscard]] static std::uint64_t position(const Record& record, Tag tag);

    [[nodiscard]] std::size_t size() const { return bytes_; }
    [[nodiscard]] std::size_t memory_bytes() const;
    [[nodiscard]] const Chunk* chunk(std::size_t i) const {
        return i < chunks_.size() ? &chunks_[i] : nullptr;
    }

    // Of a patch's record; nothing if it does not lie within a chunk.
    [[nodiscard]] static std::optional<PatchValue> patch_value(std::string_view value);

  private:
    std::vector<Chunk> chunks_;
    std::size_t bytes_ = 0;
};

}  // namespace firnlog::engine
