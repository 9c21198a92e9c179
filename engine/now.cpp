#include "engine/now.hpp"

namespace firnlog::engine {
namespace {
constexpr std::int64_t kJumpUs = std::int64_t{3600} * 1'000'000;
}

Now::Now(io::Clock& clock, std::int64_t high_us)
    : clock_(clock), high_us_(high_us), offset_us_(clock.wall().us - clock.boot().us) {
    update();
}

void Now::update() {
    const auto wall = clock_.wall().us;
    const auto offset = wall - clock_.boot().us;
    const auto known = offset_us_.load(std::memory_order_relaxed);
    if (offset - known > kJumpUs) {
        jump_us_.store(offset - known, std::memory_order_relaxed);
        suspended_.store(true, std::memory_order_relaxed);
    }
    offset_us_.store(offset, std::memory_order_relaxed);
    auto seen = high_us_.load(std::memory_order_relaxed);
    while (seen < wall && !high_us_.compare_exchange_weak(seen, wall, std::memory_order_relaxed)) {
    }
}

void Now::confirm() { suspended_.store(false, std::memory_order_relaxed); }

}  // namespace firnlog::engine
