#pragma once
// Keys: what commands do to keys whatever their values are, over a Session whose keys are locked.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/session.hpp"

namespace firnlog::engine::keys {

// Deletes all of them or, when refused, none; one record each, whatever the value's size. Returns
// those that were there.
Expected<std::vector<std::string_view>> remove(Session& session,
                                               std::span<const std::string_view> keys);
Expected<bool> remove(Session& session, std::string_view key);
// Sets (or with expires_ms < 0 drops) the expiry; whether the key was there. A time that has come
// already deletes the key at once.
Expected<bool> set_expiry(Session& session, std::string_view key, std::int64_t expires_ms);

// `to` becomes what `from` was, with its expiry; `from` goes. Both are locked, `from` is there.
// Collections and big strings are rebound, not copied.
Expected<void> rename(Session& session, std::string_view from, std::string_view to);
// As rename, into another database; `key` is in the session's own. All stripes or the key's locked.
Expected<void> move(Session& session, std::string_view key, std::uint32_t database);
// `to` in `database` becomes a copy of `from`, with its expiry. `from` is there.
Expected<void> copy(Session& session, std::string_view from, std::string_view to,
                    std::uint32_t database);

// How many bytes of a batch a copy of it would take, at the most.
[[nodiscard]] std::size_t held_bytes(const Item& item);

// ---- Across the stripes. The session has no keys, and one stripe after the other is locked here;
// or it holds all of them.

struct ScannedKey {
    std::string key;
    Type type = Type::string;
};
// About `count` live keys (more if their hashes are one, fewer if some are due) from a cursor on,
// none left out that is there all the time. The cursor is a stripe (14 bits) and a place among its
// hashes (50 bits); 0 is the beginning and the end. Keys whose record cannot be read (corrupt) are
// left out and counted. `count` bounds how long a stripe is locked.
struct Scanned {
    std::uint64_t cursor = 0;
    std::vector<ScannedKey> keys;
};
Expected<Scanned> scan(Engine& engine, Session& session, std::uint32_t database,
                       std::uint64_t cursor, std::size_t count);
// Some live key; nothing if there is none. `dice` are random bits.
Expected<std::optional<std::string>> random(Engine& engine, Session& session,
                                            std::uint32_t database, std::uint64_t dice);
// Deletes due keys in a stripe and those behind it until `count` are gone or all stripes were seen.
// `cursor` is the stripe to go on with. Returns how many are gone; the session's events tell which.
// Keys whose records are cold are left to whoever looks at them.
std::size_t expire_some(Engine& engine, Session& session, std::size_t count, std::uint32_t& cursor);

}  // namespace firnlog::engine::keys
