#pragma once
// seed: the seed of a random test, printed when it fails and taken back through FIRNLOG_SEED.

#include <cstdint>
#include <cstdlib>
#include <random>

namespace firnlog::server::test {

inline std::uint64_t fresh_seed() {
    if (const char* const given = std::getenv("FIRNLOG_SEED")) {
        return std::strtoull(given, nullptr, 0);
    }
    return std::random_device{}();
}

}  // namespace firnlog::server::test
