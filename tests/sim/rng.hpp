#pragma once
// Rng: the seed's stream of decisions (splitmix64).
//
// Every choice of the simulation comes from one of these, so a run is a function of its seed.
// Streams are forked by purpose: one more decision about the network does not shift those about the
// disk.

#include <cstdint>

namespace firnlog::sim {

class Rng {
  public:
    explicit constexpr Rng(std::uint64_t seed) noexcept : state_(seed) {}

    constexpr std::uint64_t next() noexcept {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        return z ^ (z >> 31);
    }

    // In [0, bound); bound > 0. The bias of the remainder is of no account here.
    constexpr std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }

    // In [least, most].
    constexpr std::uint64_t between(std::uint64_t least, std::uint64_t most) noexcept {
        return least + below(most - least + 1);
    }

    constexpr bool chance(unsigned percent) noexcept { return below(100) < percent; }

    // A stream of its own for another purpose.
    constexpr Rng fork(std::uint64_t purpose) noexcept { return Rng{next() ^ (purpose << 32)}; }

  private:
    std::uint64_t state_;
};

}  // namespace firnlog::sim
