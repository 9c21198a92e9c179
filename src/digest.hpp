#pragma once
// Digest: twenty bytes that say whether two stores hold the same keys with the same values.
//
// The value is Redis's own (DEBUG DIGEST, DEBUG DIGEST-VALUE), so that the two servers can be
// compared:
//
//   key     = mix(0, name), then mix the type, then the value; if it expires, add "!!expire!!"
//   store   = for each database that is not empty: mix its number, then add each key
//   add x   = digest ^ sha1(x)           mix x = sha1(add x)
//
// Adding is in any order, mixing is not. FIRN DIGEST adds the time at which a key expires too. Keys
// that have expired are not there, deleted already or not. Pure reading; what is cold is read here
// and now, a key at a time.

#include <functional>
#include <string_view>

#include "engine/engine.hpp"
#include "engine/session.hpp"
#include "src/text/sha1.hpp"

namespace firnlog::server {

enum class DigestOf : bool { values, values_and_expiry_times };

struct DigestWish {
    std::function<bool(std::string_view key)> wants = {};  // none: all
    std::function<bool()> give_up = {};                    // asked key by key: ends with Stop::wait
};

// Of everything in all databases, or of the keys that are wanted. Every stripe is locked
// (kAllStripes).
[[nodiscard]] engine::Expected<text::Sha1> digest_of_store(engine::Engine& engine, DigestOf what,
                                                           const DigestWish& wish = {});

// Of one key's value and whether it expires, without its name; zeros if it is not there. The key is
// locked by `session`.
[[nodiscard]] engine::Expected<text::Sha1> digest_of_value(engine::Session& session,
                                                           std::string_view key);

}  // namespace firnlog::server
