#pragma once
// Strings: what commands do to string values, over a Session whose keys are locked.
//
// A string to 64 KiB is one record; a longer one, or one past 4 KiB that is changed in place, is an
// object of chunks (engine/types/big_string), so that a change to it costs its own size. Nobody
// above this file sees the difference. Each function that changes something asks for room before
// its first effect: an error means that nothing happened. Views live until Session::reset().

#include <optional>
#include <span>
#include <string_view>

#include "engine/session.hpp"

namespace firnlog::engine::strings {

// The whole value; nothing if the key is not there.
Expected<std::optional<std::string_view>> get(Session& session, std::string_view key);
// 0 if the key is not there.
Expected<std::size_t> length(Session& session, std::string_view key);
// The part of [from, from + bytes) that exists.
Expected<std::string_view> range(Session& session, std::string_view key, std::size_t from,
                                 std::size_t bytes);
// As get and range, of an item found before (look() it with Type::string).
Expected<std::string_view> get(Session& session, const Item& item);
// As above, comparing the key: two keys may share a tag, though hardly ever, and another's value is
// never served.
Expected<std::string_view> get(Session& session, const Item& item, std::string_view key);
Expected<std::size_t> length(Session& session, const Item& item);
Expected<std::string_view> range(Session& session, const Item& item, std::size_t from,
                                 std::size_t bytes);
// Part of a big string, all of which exists, into memory of the caller's.
Expected<void> copy(Session& session, const Item& item, std::size_t from, std::span<char> out);

// What a whole new value takes of a batch; reserve() this when several are set together.
struct Cost {
    std::size_t bytes = 0;
    std::size_t records = 0;
};
[[nodiscard]] Cost cost_of_set(std::string_view key, std::size_t value_bytes);
// Sets key to value whatever was there before; expires_ms < 0: never.
Expected<void> set(Session& session, std::string_view key, std::string_view value,
                   std::int64_t expires_ms = -1);
// As set; room for it was reserved.
void set_reserved(Session& session, std::string_view key, std::string_view value,
                  std::int64_t expires_ms = -1);

// Writes bytes at an offset, zeros between the end and there; makes the key if it is not there. The
// expiry stays. Returns the new length. Wrong type stops.
Expected<std::size_t> patch(Session& session, std::string_view key, std::size_t offset,
                            std::string_view bytes);
// Several at once, all or none: at least one, none empty, ascending, without overlap.
struct Patch {
    std::size_t offset = 0;
    std::string_view bytes;
};
Expected<std::size_t> patch(Session& session, std::string_view key, std::span<const Patch> patches);

}  // namespace firnlog::engine::strings
