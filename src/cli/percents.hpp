#pragma once
// Percents: how far something is that takes long, on standard error: on a terminal a line that is
// written over and over and gone in the end, elsewhere a line now and then, for who reads a log.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "io/clock.hpp"

namespace firnlog::server::cli {

class Percents {
  public:
    // Elsewhere than on a terminal: nothing is said of what takes less, and then so often.
    static constexpr std::int64_t kEveryUs = 5'000'000;

    struct Screen {
        bool terminal = false;
        std::function<void(std::string_view)> write;
    };
    // Of standard error.
    [[nodiscard]] static Screen screen();

    // `verb` begins a line that stands in a log.
    Percents(std::string verb, std::string what, const io::Clock& clock,
             Screen screen = Percents::screen());
    ~Percents();
    Percents(const Percents&) = delete;
    Percents& operator=(const Percents&) = delete;

    // As often as there is something to tell.
    void tell(std::uint64_t done, std::uint64_t all);

  private:
    const std::string verb_;
    const std::string what_;
    const io::Clock& clock_;
    const Screen screen_;
    io::MonoTime next_;
    std::uint64_t told_ = 101;  // percent
};

}  // namespace firnlog::server::cli
