#include "recovery/stamps.hpp"

#include <algorithm>

#include "io/base/mutant.hpp"

namespace firnlog::recovery {

using engine::BlobKind;
using engine::Kind;
using engine::Lsn;

Stamps::Stamps(Lsn lo, Lsn hi, const std::vector<engine::BlobEntry>& blobs,
               std::vector<engine::Kid> kids)
    : lo_(lo), hi_(hi), kids_(std::move(kids)) {
    std::ranges::sort(kids_);
    for (const auto& blob : blobs) {
        switch (blob.kind) {
            case BlobKind::catalog:
                catalog_ = blob.stamp;
                break;
            case BlobKind::keys:
                keys_.push_back({.owner = owner_of(blob.kid, blob.stripe),
                                 .from = blob.from,
                                 .stamp = blob.stamp});
                break;
            case BlobKind::objects:
                objects_.push_back({.owner = blob.stripe, .from = blob.from, .stamp = blob.stamp});
                break;
            case BlobKind::part:
                parts_.push_back({.owner = blob.oid.value,
                                  .from = blob.from,
                                  .stamp = blob.stamp,
                                  .type = blob.type});
                break;
        }
    }
    sort(keys_);
    sort(objects_);
    sort(parts_);
}

void Stamps::sort(Ranges& ranges) {
    std::ranges::sort(ranges, [](const Range& a, const Range& b) {
        return a.owner != b.owner ? a.owner < b.owner : a.from < b.from;
    });
}

const Stamps::Range* Stamps::find(const Ranges& ranges, std::uint64_t owner, std::uint64_t place) {
    auto behind =
        std::upper_bound(ranges.begin(), ranges.end(), Range{.owner = owner, .from = place},
                         [](const Range& a, const Range& b) {
                             return a.owner != b.owner ? a.owner < b.owner : a.from < b.from;
                         });
    if (behind == ranges.begin()) return nullptr;
    const auto& range = *--behind;
    return range.owner == owner ? &range : nullptr;
}

bool Stamps::has(const engine::Record& record, Lsn lsn) const {
    if (lsn >= hi_) return false;
    if (lsn < lo_) return true;
    switch (record.kind) {
        case Kind::catalog:
            return lsn < catalog_;
        case Kind::string:
        case Kind::tombstone:
        case Kind::expiry:
        case Kind::bind:
        case Kind::unbind:
            return lsn < catalog_ && !std::ranges::binary_search(kids_, record.kid);
        default:
            return false;
    }
}

bool Stamps::has(const engine::Record& record, Lsn lsn,
                 const engine::Keyspace::Known& known) const {
    if (lsn >= hi_) return false;
    if (lsn < lo_) return true;
    if (planted("tombstone_dropped_early") && record.kind == Kind::tombstone) return true;
    switch (record.kind) {
        case Kind::string:
        case Kind::tombstone:
        case Kind::expiry:
        case Kind::bind:
        case Kind::unbind: {
            const auto* range = find(keys_, owner_of(record.kid, known.stripe), known.tag.high);
            return range != nullptr && lsn < range->stamp;
        }
        case Kind::object:
        case Kind::element:
        case Kind::element_gone:
        case Kind::patch: {
            if (const auto* first = find(parts_, record.oid.value, UINT64_MAX)) {
                const auto position =
                    static_cast<engine::Type>(first->type) == engine::Type::big_string
                        ? engine::BigString::position(record, known.tag)
                        : engine::HashBody::position(record, known.tag);
                const auto* range = find(parts_, record.oid.value, position);
                return range != nullptr && lsn < range->stamp;
            }
            const auto* range =
                find(objects_, record.oid.home(), engine::ObjectMap::place_of(record.oid));
            return range != nullptr && lsn < range->stamp;
        }
        default:
            return false;
    }
}

}  // namespace firnlog::recovery
