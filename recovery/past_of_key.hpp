#pragma once
// Past of a key: what one key was at a moment, without the rest of the store.
//
//   sidecars ──places──> records of the key, and of its object ──╮
//   base ──the pages that they belong to────────────────────────┴──Keyspace::apply──> index of one
//   key
//
// It is the opened past (recovery/past.hpp) in little: the same base, the same stamps, the same
// apply, only that records of others are never read. Going backwards from the moment the key's
// newest value ends the search; what the key is bound to is applied forwards, all of it, or one
// field. Catalog records since the base tell which keyspace the database pointed at.
//
// Where that does not do, because of a kept moment before the log without a gap or of damage, it is
// Code::usage or whatever is wrong: then the past is opened whole, and says the same or better.

#include <optional>
#include <string>

#include "recovery/past.hpp"

namespace firnlog::recovery {

struct KeyWish {
    std::uint32_t database = 0;
    std::string key;
    std::optional<std::string> field;  // of a hash: this one alone is there
};

// options.serving is set. `files` outlives it.
[[nodiscard]] Opening<std::unique_ptr<Past>> open_past_of_key(io::Files& files,
                                                              const PastOptions& options,
                                                              const KeyWish& wish);

}  // namespace firnlog::recovery
