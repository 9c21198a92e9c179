#pragma once
// HashBody: the fields of a hash, each an address of its own record.
//
// HSET writes one small record, HGET reads one, whatever the number of fields. Small hashes list
// their fields in order of insertion, because the map's only page is an array then; replay applies
// records in the order of the log, so that order survives a restart without being written down.
//
// A long value is cut into pieces, all in one batch: the element's record has the first, patches of
// the same element the others, each where the one before ended. A new element record begins anew.
//
//   entry ──> LongValue   | element: 16 KiB | patch at 16 KiB: 16 KiB | patch at 32 KiB: 3 KiB |
//
// Guarded by the lock of the object's home stripe.

#include <vector>

#include "engine/format/record.hpp"
#include "engine/index/tag_map.hpp"
#include "engine/types/moves.hpp"

namespace firnlog::engine {

class HashBody {
  public:
    // A small hash is an array up to here (Redis's hash-max-listpack-entries).
    static constexpr std::uint16_t kLinearMax = 512;
    static constexpr std::size_t kInlineMax = 64 * 1024;  // longer values are cut
    // How much of such a value a piece holds. Each piece's record has the field's name again, which
    // is to take no more than an eighth of it; and 512 MiB are to be a thousand pieces, not more.
    struct Lengths {
        std::size_t field = 0;
        std::size_t value = 0;
    };
    [[nodiscard]] static std::size_t piece_bytes(Lengths lengths);

    struct Piece {
        Address address;
        std::uint32_t record_bytes = 0;
        std::uint32_t bytes = 0;  // of the value; not told where it is all of it
    };
    struct LongValue {
        std::vector<Piece> pieces;
        std::size_t bytes = 0;
    };

    HashBody() = default;
    HashBody(const HashBody&) = delete;
    HashBody& operator=(const HashBody&) = delete;
    ~HashBody();

    void apply(const Record& record, Address address, std::size_t bytes, Tag tag);
    // The record at `from`, the field's own or a piece of its value, is at `to` now.
    bool move(Tag tag, std::uint64_t position, Address from, Address to);
    // Every record, of long values each piece. Fields are gone through with fields().for_each().
    template <class Visit>
    void for_each(Visit&& visit) const {
        fields_.for_each([&](const Entry& entry) {
            if (const auto* value = long_value(entry))
                for (const auto& piece : value->pieces) visit(piece);
            else
                visit(Piece{.address = entry.address(),
                            .record_bytes = static_cast<std::uint32_t>(entry.size_hint())});
        });
    }
    // Pieces: pages of the map, by the fields' hashes; less than a page if its long values are in
    // very many pieces.
    [[nodiscard]] std::uint64_t save(std::uint64_t from, std::vector<std::byte>& out) const;
    [[nodiscard]] bool load(Bytes piece, const Moves& moves);
    [[nodiscard]] static std::uint64_t position(const Record&, Tag tag) { return tag.high; }

    [[nodiscard]] std::size_t size() const { return fields_.size(); }
    [[nodiscard]] std::size_t memory_bytes() const {
        return fields_.memory_bytes() + long_values_ * sizeof(LongValue) + pieces_ * sizeof(Piece);
    }
    [[nodiscard]] const TagMap& fields() const { return fields_; }
    // Of one of the fields' entries; null: the value lies in the one record the entry leads to.
    [[nodiscard]] static const LongValue* long_value(const Entry& entry) {
        return entry.type() == Type::string ? nullptr : entry.pointer<LongValue>();
    }
    // What a field takes in the log, about.
    [[nodiscard]] static std::size_t record_bytes(const Entry& entry);
    // The longest field or value ever put, 4 GiB at most: it decides the encoding that OBJECT
    // ENCODING names.
    [[nodiscard]] std::size_t longest() const { return longest_; }

  private:
    void extend(const Record& record, Address address, std::size_t bytes, Tag tag);
    void drop_long_value(Entry& entry);

    void note_length(std::size_t bytes);

    TagMap fields_{kLinearMax};
    std::uint32_t longest_ = 0;
    std::uint32_t long_values_ = 0;
    std::size_t pieces_ = 0;  // of all long values
};
// A hash without long values pays nothing for those of others.
static_assert(sizeof(HashBody) == sizeof(TagMap) + 16);

}  // namespace firnlog::engine
