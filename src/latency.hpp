#pragma once
// LatencyMonitor: events that took long (latency-monitor-threshold), the worst of each second, for
// LATENCY LATEST, HISTORY, GRAPH and DOCTOR.
//
// An event keeps its last 160 samples. Shared by all reactors: one mutex, taken only when something
// was slow.

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "io/clock.hpp"

namespace firnlog::server {

class LatencyMonitor {
  public:
    struct Sample {
        std::int64_t at_s = 0;  // since 1970
        std::int64_t ms = 0;
    };
    struct Event {
        std::string name;
        std::vector<Sample> samples;  // the oldest first
        std::int64_t max_ms = 0;      // of all time
    };

    explicit LatencyMonitor(io::Clock& clock) : clock_(clock) {}

    void note(std::string_view event, std::int64_t ms);

    [[nodiscard]] std::vector<Event> events() const;  // by name
    // No samples if there is no such event.
    [[nodiscard]] Event event(std::string_view name) const;
    // Whether there was such an event.
    bool reset(std::string_view name);
    std::size_t reset_all();

  private:
    static constexpr std::size_t kSamples = 160;
    struct Series {
        std::array<Sample, kSamples> ring{};
        std::size_t next = 0;
        std::int64_t max_ms = 0;
    };
    [[nodiscard]] static Event told(std::string_view name, const Series& series);

    io::Clock& clock_;
    mutable std::mutex mutex_;
    std::map<std::string, Series, std::less<>> series_;
};

// A picture of samples in rows of '#', '_' and '|', each column labelled with its age.
[[nodiscard]] std::string latency_graph(const LatencyMonitor::Event& event, std::int64_t now_s);

}  // namespace firnlog::server
