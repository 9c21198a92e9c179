#pragma once
// Screen: a running load, as it is seen: on a terminal a few lines that are drawn again and again,
// elsewhere a plain line each second.
//
//   redis 7.0.15 at 127.0.0.1:6379: SET/GET, open loop, 12 of 60 s
//     rate    20,004 /s   ▅▅▅▅▅▅▃▅▅▅
//     p50      0.081 ms   ▂▂▂▂▂▂▆▂▂▂       the last seconds, each row by its own largest value
//     p99      0.230 ms   ▁▁▁▁▁▁█▁▁▁
//     p99.9    2.410 ms   ▁▁▁▁▁▁█▁▁▁
//     events   BGSAVE
//
// What is shown is what the threads have handed over: it lags behind by a tenth of a second or a
// second, and the load does not notice.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "src/bench/measure.hpp"

namespace firnlog::bench {

// Eight heights of a bar, by the largest of the values; nothing where a value is missing (0).
[[nodiscard]] std::string sparkline(std::span<const double> values);

class Screen {
  public:
    enum class Kind : std::uint8_t { silent, lines, terminal };
    explicit Screen(Kind kind) : kind_(kind) {}

    void look(const Progress& progress);
    // Takes back what was drawn: the result comes.
    void clear();

  private:
    // One that has passed: looked at once, as a histogram costs more than a line.
    struct Second {
        std::uint64_t answered = 0;
        std::uint64_t p50_ns = 0;
        std::uint64_t p99_ns = 0;
        std::uint64_t p999_ns = 0;
    };

    [[nodiscard]] static Second second_of(const Load& load, std::uint64_t second);
    void draw(const Progress& progress);
    void print_lines(const Progress& progress);

    Kind kind_;
    int rows_drawn_ = 0;
    std::uint64_t load_ns_ = 0;    // when the measured part of the load began: which load it is
    std::vector<Second> seconds_;  // of that load
    std::size_t printed_ = 0;      // lines: so many of them
};

}  // namespace firnlog::bench
