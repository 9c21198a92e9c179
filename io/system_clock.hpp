#pragma once
// SystemClock: Clock over clock_gettime(2) and getrandom(2). Stateless: one serves all threads.

#include "io/clock.hpp"

namespace firnlog::io {

class SystemClock final : public Clock {
  public:
    [[nodiscard]] MonoTime mono() const noexcept override;
    [[nodiscard]] WallTime wall() const noexcept override;
    [[nodiscard]] MonoTime boot() const noexcept override;
    void entropy(std::span<std::byte> into) noexcept override;
};

}  // namespace firnlog::io
