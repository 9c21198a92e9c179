#pragma once
// Random: a small fast generator (xoshiro256++ by Blackman and Vigna), so that a seed repeats a
// load.

#include <array>
#include <bit>
#include <cstdint>

namespace firnlog::bench {

class Random {
  public:
    explicit Random(std::uint64_t seed) noexcept {
        // splitmix64 spreads one number over the state, which must not be all zeros.
        for (auto& word : state_) {
            seed += 0x9e3779b97f4a7c15U;
            std::uint64_t mixed = seed;
            mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
            mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
            word = mixed ^ (mixed >> 31);
        }
    }

    [[nodiscard]] std::uint64_t next() noexcept {
        const std::uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
        const std::uint64_t shifted = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = std::rotl(state_[3], 45);
        return result;
    }

    // Below `end`, which is not 0 and at most 2^32: the bias is below end / 2^32 and so unseen.
    [[nodiscard]] std::uint64_t below(std::uint64_t end) noexcept {
        return ((next() >> 32) * end) >> 32;
    }

    // In [0, 1).
    [[nodiscard]] double unit() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }

  private:
    std::array<std::uint64_t, 4> state_{};
};

}  // namespace firnlog::bench
