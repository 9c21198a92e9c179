#pragma once
// Environment: what who starts a test program decides about it.
//
//   FIRNLOG_SEED=n        the random choices of an earlier run again
//   FIRNLOG_PROVE=1       in full, which takes hours
//   FIRNLOG_SANITIZED=1   the program is some times slower: a sample
//
//   BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed)    every failure then says how to repeat it

#include <cstdint>
#include <cstdlib>
#include <random>

namespace firnlog {

[[nodiscard]] inline std::uint64_t number_or(const char* variable, std::uint64_t otherwise) {
    const char* const text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

[[nodiscard]] inline std::uint64_t seed_or(std::uint64_t otherwise) {
    return number_or("FIRNLOG_SEED", otherwise);
}

// For choices that may be others each time.
[[nodiscard]] inline std::uint64_t fresh_seed() { return seed_or(std::random_device{}()); }

// How many, or every which one.
struct Volume {
    std::uint64_t usual = 0;
    std::uint64_t sanitized = 0;
    std::uint64_t full = 0;
};

[[nodiscard]] inline bool in_full() { return std::getenv("FIRNLOG_PROVE") != nullptr; }

[[nodiscard]] inline std::uint64_t volume(const Volume& of) {
    if (in_full()) return of.full;
    return std::getenv("FIRNLOG_SANITIZED") != nullptr ? of.sanitized : of.usual;
}

}  // namespace firnlog
