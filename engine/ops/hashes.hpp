#pragma once
// Hashes: what commands do to hash values, over a Session whose keys are locked.
//
// Each field is a record of its own, or several if its value is long; nothing is ever rewritten for
// one field. A hash without fields is no key. Each function that changes something asks for room
// before its first effect.

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/session.hpp"

namespace firnlog::engine::hashes {

struct Pair {
    std::string_view field;
    std::string_view value;
};

Expected<std::optional<std::string_view>> get(Session& session, std::string_view key,
                                              std::string_view field);
// As get, but a long value is not read yet: that is for copy(), into memory of the caller's.
struct Value {
    std::string_view text;
    const HashBody::LongValue* pieces = nullptr;  // of a long one

    [[nodiscard]] std::size_t size() const {
        return pieces == nullptr ? text.size() : pieces->bytes;
    }
};
Expected<std::optional<Value>> find(Session& session, std::string_view key, std::string_view field);
Expected<void> copy(Session& session, const HashBody::LongValue& value, std::span<char> out);
// Whether the field is there; the value is not read.
Expected<bool> has(Session& session, std::string_view key, std::string_view field);
Expected<std::size_t> size(Session& session, std::string_view key);
// Names alone: long values are not put together, and such a pair has none.
enum class Wanted : std::uint8_t { values, names };
// All of it; in order of insertion while it is small.
Expected<std::vector<Pair>> all(Session& session, std::string_view key,
                                Wanted wanted = Wanted::values);
// All of it, of an item found before.
Expected<std::vector<Pair>> all(Session& session, const Item& item, Wanted wanted = Wanted::values);
// At least `count` fields (or all that are left) from a place among the hashes on; see
// TagMap::scan.
struct Scanned {
    std::uint64_t next = 0;
    std::vector<Pair> pairs;
};
Expected<Scanned> scan(Session& session, std::string_view key, std::uint64_t from,
                       std::size_t count);
// Some field, and how it is chosen: random bits.
Expected<std::optional<std::string_view>> random(Session& session, std::string_view key,
                                                 std::uint64_t dice);
// `count` fields: different ones (or all there are), or each chosen anew.
struct Choice {
    std::size_t count = 0;
    bool distinct = true;
    std::uint64_t dice = 0;  // random bits
    Wanted wanted = Wanted::values;
};
Expected<std::vector<Pair>> choose(Session& session, std::string_view key, Choice choice);

// What setting these takes of a batch, and setting them once that is reserved.
struct Cost {
    std::size_t bytes = 0;
    std::size_t records = 0;
};
[[nodiscard]] Cost cost_of(std::span<const Pair> pairs);
void put(Session& session, Oid oid, std::span<const Pair> pairs);
// Sets fields, later pairs over earlier ones; returns how many are new. Makes the key.
Expected<std::size_t> set(Session& session, std::string_view key, std::span<const Pair> pairs);
// Removes fields; with the last one the key goes. Returns how many were there, and whether it went.
struct Removed {
    std::size_t fields = 0;
    bool key = false;
};
Expected<Removed> remove(Session& session, std::string_view key,
                         std::span<const std::string_view> fields);

}  // namespace firnlog::engine::hashes
