#pragma once
// Environment: what who starts a test program decides about it.
//
//   FIRNLOG_SEED=n        the random choices of an earlier run again
//   FIRNLOG_SEEDS_BEHIND=n  campaigns begin with the seed behind that one
//   FIRNLOG_PROVE=1       in full, which takes hours
//   FIRNLOG_SANITIZED=1   the program is some times slower: a sample
//
//   BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed)    every failure then says how to repeat it

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <random>

namespace firnlog {

[[nodiscard]] inline std::uint64_t number_or(const char* variable, std::uint64_t otherwise) {
    const char* const text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

// The test case that runs: its seed of this moment, which runs it again, and of a campaign the
// first one and the crashes so far.
struct UnderWay {
    std::optional<std::uint64_t> seed;
    std::optional<std::uint64_t> first;
    std::uint64_t crashes = 0;
};
inline UnderWay under_way;

[[nodiscard]] inline std::uint64_t seed_or(std::uint64_t otherwise) {
    const auto seed = number_or("FIRNLOG_SEED", otherwise);
    if (!under_way.seed) under_way.seed = seed;
    return seed;
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

// The seeds of a campaign, one after the other: `for (const auto seed : Seeds(volume({…})))`.
class Seeds {
  public:
    struct Iterator {
        std::uint64_t seed = 0;
        std::uint64_t operator*() const {
            under_way.seed = seed;
            if (!under_way.first) under_way.first = seed;
            return seed;
        }
        Iterator& operator++() {
            ++seed;
            return *this;
        }
        bool operator==(const Iterator&) const = default;
    };
    explicit Seeds(std::uint64_t count)
        : first_(number_or("FIRNLOG_SEED", number_or("FIRNLOG_SEEDS_BEHIND", 0) + 1)),
          end_(first_ + count) {}
    [[nodiscard]] Iterator begin() const { return {first_}; }
    [[nodiscard]] Iterator end() const { return {end_}; }

  private:
    std::uint64_t first_;
    std::uint64_t end_;
};

}  // namespace firnlog
