#pragma once
// HashBody: the fields of a hash, each an address of its own record.
//
// HSET writes one small record, HGET reads one, whatever the number of fields. Small hashes list
// their fields in order of insertion, because the map's only page is an array then; replay applies
// records in the order of the log, so that order survives a restart without being written down.
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

    void apply(const Record& record, Address address, std::size_t bytes, Tag tag);
    // The field's record is at `from`: it is at `to` now.
    bool move(Tag tag, std::uint64_t position, Address from, Address to);
    template <class Visit>
    void for_each(Visit&& visit) const {
        fields_.for_each(visit);
    }
    // Pieces: pages of the map, by the fields' hashes.
    [[nodiscard]] std::uint64_t save(std::uint64_t from, std::vector<std::byte>& out) const;
    [[nodiscard]] bool load(Bytes piece, const Moves& moves);
    [[nodiscard]] static std::uint64_t position(const Record&, Tag tag) { return tag.high; }

    [[nodiscard]] std::size_t size() const { return fields_.size(); }
    [[nodiscard]] std::size_t memory_bytes() const { return fields_.memory_bytes(); }
    [[nodiscard]] const TagMap& fields() const { return fields_; }
    // The longest field or value ever put: it decides the encoding that OBJECT ENCODING names.
    [[nodiscard]] std::size_t longest() const { return longest_; }

  private:
    TagMap fields_{kLinearMax};
    std::uint32_t longest_ = 0;
};

}  // namespace firnlog::engine
