#include "engine/pace.hpp"

#include <algorithm>

namespace firnlog::engine {
namespace {

constexpr std::int64_t kWindowUs = 50'000;
constexpr unsigned kPercentMin = 5;
constexpr unsigned kPercentMore = 5;
// Slower than usual: so many times, and by so much.
constexpr std::int64_t kTimes = 2;
constexpr std::int64_t kMoreUs = 300;
// Of what was usual so far a window changes one part in so many.
constexpr std::int64_t kParts = 8;

}  // namespace

unsigned Pace::duty(io::MonoTime now, bool busy, unsigned most) {
    if (now < window_end_) return std::min(percent_, most);
    window_end_ = now.after(kWindowUs);
    const auto slowest = slowest_us_.exchange(0, std::memory_order_relaxed);
    if (!busy) {
        percent_ = most;
        if (slowest != 0)
            usual_us_ = usual_us_ == 0 ? slowest : usual_us_ + (slowest - usual_us_) / kParts;
        return percent_;
    }
    const bool slow = usual_us_ != 0 && slowest > kTimes * usual_us_ + kMoreUs;
    percent_ = slow ? std::max(percent_ / 2, kPercentMin) : percent_ + kPercentMore;
    percent_ = std::min(percent_, most);
    return percent_;
}

}  // namespace firnlog::engine
