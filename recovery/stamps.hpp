#pragma once
// Stamps: which effects a checkpoint holds already.
//
// Each page of an image has a stamp: effects below it are in the page, and none from it on. So a
// record is applied iff its lsn is at least the stamp of the page that it belongs to. What has no
// page was empty when it was looked at, and has the stamp lo: going through the log from there
// makes it empty again. A keyspace id that the catalog does not name is gone for good.

#include <cstdint>
#include <vector>

#include "engine/format/checkpoint.hpp"
#include "engine/index/keyspace.hpp"

namespace firnlog::recovery {

class Stamps {
  public:
    // Of no checkpoint: nothing is held.
    Stamps() = default;
    Stamps(engine::Lsn lo, engine::Lsn hi, const std::vector<engine::BlobEntry>& blobs,
           std::vector<engine::Kid> kids);

    // The record is in the image, as far as can be told without its tag.
    [[nodiscard]] bool has(const engine::Record& record, engine::Lsn lsn) const;
    // For certain.
    [[nodiscard]] bool has(const engine::Record& record, engine::Lsn lsn,
                           const engine::Keyspace::Known& known) const;

  private:
    // A run of places with one stamp, up to the next one of the same owner.
    struct Range {
        std::uint64_t owner = 0;
        std::uint64_t from = 0;
        engine::Lsn stamp;
        std::uint8_t type = 0;
    };
    using Ranges = std::vector<Range>;  // ascending by owner, then place
    [[nodiscard]] static const Range* find(const Ranges& ranges, std::uint64_t owner,
                                           std::uint64_t place);
    [[nodiscard]] static std::uint64_t owner_of(engine::Kid kid, engine::Stripe stripe) {
        return (std::uint64_t{kid} << 14) | stripe;
    }
    static void sort(Ranges& ranges);

    engine::Lsn lo_;
    engine::Lsn hi_;
    engine::Lsn catalog_;
    std::vector<engine::Kid> kids_;  // ascending
    Ranges keys_;                    // owner: kid and stripe; place: hash
    Ranges objects_;                 // owner: stripe; place: ObjectMap::place_of
    Ranges parts_;                   // owner: oid; place: the type's position
};

}  // namespace firnlog::recovery
