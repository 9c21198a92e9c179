#include "src/bench/screen.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "src/bench/figures.hpp"
#include "src/bench/time.hpp"

namespace firnlog::bench {
namespace {

constexpr std::size_t kBarsMax = 60;

// Whole seconds of the measured part that have passed, the last of them handed over by now.
std::uint64_t seconds_passed(const Load& load) {
    const auto now = now_ns();
    const auto from = load.measured_from_ns() + load.plan().slot_ns;
    return now > from ? (now - from) / 1'000'000'000 : 0;
}

std::size_t columns() {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

// So many bytes at most, and no half of a character: a line that wraps would be two rows.
std::string cut(std::string text, std::size_t bytes_max) {
    if (text.size() <= bytes_max) return text;
    while (bytes_max > 0 && (static_cast<unsigned char>(text[bytes_max]) & 0xc0U) == 0x80U)
        --bytes_max;
    text.resize(bytes_max);
    return text;
}

std::string headline(const Progress& progress, std::size_t columns_max) {
    const auto& plan = progress.load.plan();
    const auto now = now_ns();
    const auto from = progress.load.measured_from_ns();
    std::string when = "warm-up";
    if (now > from) {
        const auto passed = (now - from) / 1'000'000'000;
        when = plan.duration_ns >= kForeverNs
                   ? fmt::format("{} s", passed)
                   : fmt::format("{} of {:.4g} s", passed,
                                 static_cast<double>(plan.duration_ns) * 1e-9);
    }
    const auto loop =
        plan.open_loop()
            ? fmt::format("open loop, {}/s", with_commas(static_cast<std::uint64_t>(plan.rate)))
            : std::string("closed loop");
    return cut(fmt::format("{}: {}, {}, {}", progress.subject.name, plan.workload.name, loop, when),
               columns_max);
}

}  // namespace

std::string sparkline(std::span<const double> values) {
    constexpr std::array<const char*, 8> kBars{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double most = 0;
    for (const double value : values) most = std::max(most, value);
    std::string text;
    for (const double value : values) {
        if (value <= 0 || most <= 0) {
            text += ' ';
            continue;
        }
        const auto height = static_cast<std::size_t>(value / most * 8);
        text += kBars[std::min<std::size_t>(height, 7)];
    }
    return text;
}

Screen::Second Screen::second_of(const Load& load, std::uint64_t second) {
    const auto in_a_second = std::max<std::uint64_t>(1'000'000'000 / load.plan().slot_ns, 1);
    const auto& slots = load.slots();
    auto at = std::ranges::lower_bound(slots, second * in_a_second, {}, &Slot::number);
    Second found;
    Histogram latency;
    for (; at != slots.end() && at->number < (second + 1) * in_a_second; ++at) {
        found.answered += at->answered;
        for (const auto& sparse : at->by_operation) latency.add(sparse);
    }
    found.p50_ns = latency.percentile(50);
    found.p99_ns = latency.percentile(99);
    found.p999_ns = latency.percentile(99.9);
    return found;
}

void Screen::look(const Progress& progress) {
    if (kind_ == Kind::silent) return;
    if (load_ns_ != progress.load.measured_from_ns()) {
        clear();
        load_ns_ = progress.load.measured_from_ns();
        seconds_.clear();
        printed_ = 0;
    }
    while (seconds_.size() < seconds_passed(progress.load))
        seconds_.push_back(second_of(progress.load, seconds_.size()));
    kind_ == Kind::terminal ? draw(progress) : print_lines(progress);
}

void Screen::print_lines(const Progress& progress) {
    for (; printed_ < seconds_.size(); ++printed_) {
        const auto& second = seconds_[printed_];
        auto text = fmt::format("{:>5} s {:>11} /s   p50 {}  p99 {}  p99.9 {} ms", printed_ + 1,
                                with_commas(second.answered), as_ms(second.p50_ns),
                                as_ms(second.p99_ns), as_ms(second.p999_ns));
        if (!progress.under_way.empty()) text += "   " + progress.under_way;
        text += '\n';
        std::fwrite(text.data(), 1, text.size(), stdout);
        std::fflush(stdout);
    }
}

void Screen::draw(const Progress& progress) {
    const auto width = columns();
    const auto bars = std::min<std::size_t>(kBarsMax, width > 36 ? width - 30 : 6);
    const auto first = seconds_.size() - std::min(seconds_.size(), bars);
    const auto row = [&](const char* name, const char* unit, std::uint64_t Second::*figure,
                         auto&& written) {
        std::vector<double> values;
        for (auto at = first; at < seconds_.size(); ++at)
            values.push_back(static_cast<double>(seconds_[at].*figure));
        const auto last = seconds_.empty() ? std::uint64_t{0} : seconds_.back().*figure;
        return fmt::format("  {:<6} {:>11} {}  {}", name, written(last), unit, sparkline(values));
    };
    const std::vector<std::string> lines{
        headline(progress, width),
        row("rate", "/s", &Second::answered, with_commas),
        row("p50", "ms", &Second::p50_ns, as_ms),
        row("p99", "ms", &Second::p99_ns, as_ms),
        row("p99.9", "ms", &Second::p999_ns, as_ms),
        cut("  events " + (progress.under_way.empty() ? std::string("-") : progress.under_way),
            width)};
    std::string text;
    if (rows_drawn_ > 0) text += fmt::format("\x1b[{}A", rows_drawn_);
    for (const auto& line : lines) text += "\r" + line + "\x1b[K\n";
    rows_drawn_ = static_cast<int>(lines.size());
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

void Screen::clear() {
    if (rows_drawn_ == 0) return;
    const auto text = fmt::format("\x1b[{}A\r\x1b[J", rows_drawn_);
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
    rows_drawn_ = 0;
}

}  // namespace firnlog::bench
