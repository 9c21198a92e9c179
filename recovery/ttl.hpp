#pragma once
// What becomes of an expiry when a key of the past lives again: one rule for stores and for keys.

#include <algorithm>
#include <cstdint>

#include "engine/format/record.hpp"

namespace firnlog::recovery {

enum class Ttl : std::uint8_t {
    keep,   // expires when it would have: perhaps at once
    drop,   // never
    shift,  // as long after now as it would have after the moment
};

struct TtlRule {
    Ttl ttl = Ttl::shift;
    std::int64_t then_us = 0;  // what expiry goes by at the moment
    std::int64_t now_us = 0;   // one for all keys
    // What still has the expiry that it had then is to have the other one, too.
    bool of_all = false;

    // Of a key that was live at the moment. < 0: never.
    [[nodiscard]] std::int64_t apply(std::int64_t expires_ms) const {
        if (expires_ms < 0 || ttl == Ttl::drop) return -1;
        if (ttl == Ttl::keep) return expires_ms;
        return std::min(expires_ms + std::max<std::int64_t>(0, now_us - then_us) / 1000,
                        engine::kExpiryMsMax);
    }
};

}  // namespace firnlog::recovery
