#pragma once
// Pages of an image without a key, and without objects: what is left of them when those are
// forgotten. Pure; the bytes are those of engine/index/image.hpp.

#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "engine/address.hpp"
#include "engine/index/tag.hpp"
#include "io/base/bytes.hpp"

namespace firnlog::engine {

struct PageWithout {
    std::vector<std::byte> bytes;
    std::uint64_t gone = 0;  // keys, or objects
    // Of the keys that went: whether one expired, and whether one led to an object elsewhere.
    std::uint32_t expires = 0;
    std::uint32_t strays = 0;
};

// Of a page of keys in `stripe`; without the key if `goes` says so of the address of its record.
// Nothing if its bytes make no sense.
using AddressGoes = std::function<bool(Address)>;
[[nodiscard]] std::optional<PageWithout> keys_without(Bytes blob, Stripe stripe, Tag tag,
                                                      const AddressGoes& goes);
// Of a page of objects.
[[nodiscard]] std::optional<PageWithout> objects_without(Bytes blob, const std::set<Oid>& oids);

}  // namespace firnlog::engine
