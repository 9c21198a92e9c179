#pragma once
// Distribution: which key comes next: all alike, by Zipf's law, one after another, or a hot few.
//
//   uniform        every key as often
//   zipf:θ         the k-th most popular key in proportion to k^-θ; any θ > 0
//   sequential     0, 1, 2, … and around again, dealt among the threads
//   hotspot:S[:A]  a share S of the keys gets a share A of the accesses (a half)
//   latest:θ       as zipf, the newest key being the most popular one
//
// Popular keys of zipf and hotspot lie scattered over all keys, by a permutation: were they the
// first ones, they would lie side by side where the server keeps them, and be cached too easily.
// Zipf draws by rejection-inversion (Hörmann and Derflinger, 1996): no table, no sum over the keys.

#include <cstdint>
#include <optional>
#include <string_view>

#include "src/bench/random.hpp"

namespace firnlog::bench {

// 2^32 keys at most: see Random::below.
inline constexpr std::uint64_t kKeysMax = std::uint64_t{1} << 32;

struct Distribution {
    enum class Kind : std::uint8_t { uniform, zipf, sequential, hotspot, latest };
    Kind kind = Kind::uniform;
    double theta = 0.99;
    double hot_share = 0.01;
    double hot_accesses = 0.5;
};

// nullopt when the text is none of the above.
[[nodiscard]] std::optional<Distribution> parse_distribution(std::string_view text);

// Zipf: numbers 1 … n, k in proportion to k^-θ.
class Zipf {
  public:
    Zipf(double theta, std::uint64_t numbers);
    [[nodiscard]] std::uint64_t next(Random& random) const;

  private:
    [[nodiscard]] double integral(double x) const;
    [[nodiscard]] double integral_inverse(double x) const;
    [[nodiscard]] double density(double x) const;

    double theta_;
    std::uint64_t numbers_;
    double integral_first_;
    double integral_end_;
    double accepted_;  // so close to a number nothing is rejected
};

class KeyPicker {
  public:
    // `turn` of `turns`: the sequential keys of this thread are turn, turn + turns, ….
    KeyPicker(const Distribution& distribution, std::uint64_t keys, std::uint64_t turn,
              std::uint64_t turns);

    // Below `keys`. `newest` is how many keys there are by now, which only `latest` looks at.
    [[nodiscard]] std::uint64_t next(Random& random, std::uint64_t newest);

  private:
    [[nodiscard]] std::uint64_t scattered(std::uint64_t rank) const;

    Distribution distribution_;
    std::uint64_t keys_;
    std::uint64_t position_;
    std::uint64_t step_;
    std::uint64_t scatter_;
    std::uint64_t hot_keys_;
    Zipf zipf_;
};

}  // namespace firnlog::bench
