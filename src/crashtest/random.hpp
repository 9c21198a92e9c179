#pragma once
// Random: splitmix64, small enough to be copied and split; a seed gives the same draws everywhere.
//
// `fork` gives each client, each cycle and each fault a stream of its own, so that one more draw in
// one of them changes nothing in the others.

#include <cstdint>

namespace firnlog::crashtest {

class Random {
  public:
    explicit constexpr Random(std::uint64_t seed) noexcept : state_(seed) {}

    constexpr std::uint64_t next() noexcept {
        state_ += 0x9e3779b97f4a7c15U;
        std::uint64_t mixed = state_;
        mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9U;
        mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
        return mixed ^ (mixed >> 31U);
    }
    // In [0, bound); 0 for a bound of 0.
    constexpr std::uint64_t below(std::uint64_t bound) noexcept {
        return bound == 0 ? 0 : next() % bound;
    }
    // In [low, high].
    constexpr std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept {
        return low + below(high - low + 1);
    }
    constexpr bool one_in(std::uint64_t n) noexcept { return below(n) == 0; }
    constexpr Random fork(std::uint64_t stream) noexcept {
        return Random(next() ^ (stream * 0xd1342543de82ef95U));
    }

  private:
    std::uint64_t state_;
};

}  // namespace firnlog::crashtest
