#pragma once
// Rates: how many commands and bytes a second lately, for INFO's instantaneous_ fields.
//
// One reactor samples the sums of all ten times a second; a rate is that between the oldest and the
// newest of the last sixteen samples. Any thread may ask: one mutex, held for nanoseconds.

#include <array>
#include <cstdint>
#include <mutex>

namespace firnlog::server {

class Rates {
  public:
    struct Totals {
        std::uint64_t commands = 0;
        std::uint64_t bytes_in = 0;
        std::uint64_t bytes_out = 0;
    };
    struct PerSecond {
        double commands = 0;
        double bytes_in = 0;
        double bytes_out = 0;
    };

    void sample(std::int64_t now_us, const Totals& totals) {
        const std::lock_guard guard(mutex_);
        samples_[next_ % samples_.size()] = {now_us, totals};
        ++next_;
    }

    [[nodiscard]] PerSecond per_second() const {
        const std::lock_guard guard(mutex_);
        if (next_ < 2) return {};
        const auto& newest = samples_[(next_ - 1) % samples_.size()];
        const auto& oldest = samples_[next_ > samples_.size() ? next_ % samples_.size() : 0];
        const auto seconds = static_cast<double>(newest.at_us - oldest.at_us) / 1e6;
        // CONFIG RESETSTAT sets totals back.
        const auto rate = [seconds](std::uint64_t now, std::uint64_t then) {
            return seconds <= 0 || now < then ? 0.0 : static_cast<double>(now - then) / seconds;
        };
        return {rate(newest.totals.commands, oldest.totals.commands),
                rate(newest.totals.bytes_in, oldest.totals.bytes_in),
                rate(newest.totals.bytes_out, oldest.totals.bytes_out)};
    }

  private:
    struct Sample {
        std::int64_t at_us = 0;
        Totals totals;
    };
    mutable std::mutex mutex_;
    std::array<Sample, 16> samples_;
    std::size_t next_ = 0;
};

}  // namespace firnlog::server
