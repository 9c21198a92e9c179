#include "src/latency.hpp"

#include <algorithm>
#include <string>

namespace firnlog::server {
namespace {

// Samples of a graph, one a column.
constexpr std::size_t kColumns = 80;
constexpr std::int64_t kRows = 4;

std::string age(std::int64_t seconds) {
    if (seconds < 60) return std::to_string(seconds) + "s";
    if (seconds < 3600) return std::to_string(seconds / 60) + "m";
    if (seconds < 3600 * 24) return std::to_string(seconds / 3600) + "h";
    return std::to_string(seconds / (3600 * 24)) + "d";
}

}  // namespace

void LatencyMonitor::note(std::string_view event, std::int64_t ms) {
    const auto now_s = clock_.wall().us / 1'000'000;
    const std::lock_guard guard(mutex_);
    auto found = series_.find(event);
    if (found == series_.end()) found = series_.emplace(std::string(event), Series{}).first;
    auto& series = found->second;
    series.max_ms = std::max(series.max_ms, ms);
    // One sample a second: the worst.
    auto& last = series.ring[(series.next + kSamples - 1) % kSamples];
    if (last.at_s == now_s) {
        last.ms = std::max(last.ms, ms);
        return;
    }
    series.ring[series.next] = {.at_s = now_s, .ms = ms};
    series.next = (series.next + 1) % kSamples;
}

LatencyMonitor::Event LatencyMonitor::told(std::string_view name, const Series& series) {
    Event event{.name = std::string(name), .samples = {}, .max_ms = series.max_ms};
    for (std::size_t i = 0; i < kSamples; ++i) {
        const auto& sample = series.ring[(series.next + i) % kSamples];
        if (sample.at_s != 0) event.samples.push_back(sample);
    }
    return event;
}

std::vector<LatencyMonitor::Event> LatencyMonitor::events() const {
    const std::lock_guard guard(mutex_);
    std::vector<Event> all;
    for (const auto& [name, series] : series_) all.push_back(told(name, series));
    return all;
}

LatencyMonitor::Event LatencyMonitor::event(std::string_view name) const {
    const std::lock_guard guard(mutex_);
    const auto found = series_.find(name);
    return found == series_.end() ? Event{.name = std::string(name)} : told(name, found->second);
}

bool LatencyMonitor::reset(std::string_view name) {
    const std::lock_guard guard(mutex_);
    const auto found = series_.find(name);
    if (found == series_.end()) return false;
    series_.erase(found);
    return true;
}

std::size_t LatencyMonitor::reset_all() {
    const std::lock_guard guard(mutex_);
    const auto count = series_.size();
    series_.clear();
    return count;
}

std::string latency_graph(const LatencyMonitor::Event& event, std::int64_t now_s) {
    const auto count = std::min(event.samples.size(), kColumns);
    const std::vector<LatencyMonitor::Sample> shown(
        event.samples.end() - static_cast<std::ptrdiff_t>(count), event.samples.end());
    std::int64_t low = shown.front().ms;
    std::int64_t high = low;
    for (const auto& sample : shown) {
        low = std::min(low, sample.ms);
        high = std::max(high, sample.ms);
    }
    std::string graph = event.name + " - high " + std::to_string(high) + " ms, low " +
                        std::to_string(low) + " ms (all time high " + std::to_string(event.max_ms) +
                        " ms)\n" + std::string(kColumns, '-') + "\n";
    // A column is '_' at the bottom, '#' where it ends, '|' below that.
    const auto range = std::max<std::int64_t>(high - low, 1);
    for (auto row = kRows - 1; row >= 0; --row) {
        for (const auto& sample : shown) {
            const auto height = (sample.ms - low) * (kRows - 1) / range;
            graph += height == row ? (row == 0 ? '_' : '#') : (height > row ? '|' : ' ');
        }
        graph += '\n';
    }
    graph += '\n';
    std::vector<std::string> labels;
    std::size_t longest = 0;
    for (const auto& sample : shown) {
        labels.push_back(age(now_s - sample.at_s));
        longest = std::max(longest, labels.back().size());
    }
    for (std::size_t row = 0; row < longest; ++row) {
        for (const auto& label : labels) graph += row < label.size() ? label[row] : ' ';
        graph += '\n';
    }
    return graph;
}

}  // namespace firnlog::server
