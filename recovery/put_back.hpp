#pragma once
// Putting back: a key of a store that is served becomes again what it was in a past.
//
//   past ──take_old──> OldKey, bytes of its own ──put_back──> one batch of the store
//
// Reading and writing are apart because they have threads of their own. A key that still leads to
// the records it led to then is left alone: undoing half of a script's work writes half. What was
// relocated since leads elsewhere, so small values are compared too; where that takes a read from
// disk, or the value is large, the key is written once more for nothing.
//
// A key is put back by new effects in one batch, whole or not at all, and can be undone like any.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/session.hpp"
#include "recovery/ttl.hpp"

namespace firnlog::recovery {

// Where a value's records lie: the same ones make the same value. Of an object its name, and a sum
// over its records in any order: that two sets of places have one sum by chance is as likely as to
// guess 64 bits.
struct Whereabouts {
    engine::Address address;  // of a string in one record
    engine::Oid oid;
    std::uint64_t records = 0;
    std::uint64_t sum = 0;
    bool operator==(const Whereabouts&) const = default;
};

struct OldKey {
    std::string key;
    engine::Type type = engine::Type::string;
    std::string value;                                        // of a string
    std::vector<std::pair<std::string, std::string>> fields;  // of a hash, in its order
    std::int64_t expires_ms = -1;
    Whereabouts whereabouts;

    [[nodiscard]] std::size_t bytes() const;
};

// Nothing if the key was not there. `past` has it locked and may wait for the disk, so only
// Stop::corrupt comes of it.
[[nodiscard]] engine::Expected<std::optional<OldKey>> take_old(engine::Session& past,
                                                               std::string_view key);

enum class PutBack : std::uint8_t {
    unchanged,  // it is what it was
    written,
    removed,  // by `ttl` its time has come: the key that was there is gone
    due,      // by `ttl` its time has come, and no key was there
};

// `live` has the key locked. `dry`: only what would come of it.
[[nodiscard]] engine::Expected<PutBack> put_back(engine::Session& live, const OldKey& old,
                                                 const TtlRule& ttl, bool dry);

// What the key is, once more: from here on nothing that was written before has to do with it.
// False: it is not there. `live` has it locked.
[[nodiscard]] engine::Expected<bool> write_anew(engine::Session& live, std::string_view key);

}  // namespace firnlog::recovery
