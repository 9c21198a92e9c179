#include "src/cli/percents.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace firnlog::server::cli {

Percents::Screen Percents::screen() {
    return {.terminal = ::isatty(STDERR_FILENO) != 0, .write = [](std::string_view text) {
                std::fwrite(text.data(), 1, text.size(), stderr);
            }};
}

Percents::Percents(std::string verb, std::string what, const io::Clock& clock, Screen screen)
    : verb_(std::move(verb)),
      what_(std::move(what)),
      clock_(clock),
      screen_(std::move(screen)),
      next_(clock.mono().after(kEveryUs)) {}

Percents::~Percents() {
    if (screen_.terminal && told_ <= 100) screen_.write("\r" + std::string(40, ' ') + "\r");
}

void Percents::tell(std::uint64_t done, std::uint64_t all) {
    if (all == 0) return;
    const auto percent = std::min<std::uint64_t>(done * 100 / all, 100);
    if (screen_.terminal) {
        if (std::exchange(told_, percent) == percent) return;
        screen_.write("\r" + what_ + ": " + std::to_string(percent) + " percent ");
        return;
    }
    const auto now = clock_.mono();
    if (now < next_) return;
    next_ = now.after(kEveryUs);
    screen_.write("firnlog " + verb_ + ": " + what_ + ": " + std::to_string(percent) +
                  " percent\n");
}

}  // namespace firnlog::server::cli
