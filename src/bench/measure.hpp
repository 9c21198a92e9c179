#pragma once
// Measure: one load on one server, with everything that is looked at beside it: the server's own
// figures from /proc, events, somebody who watches.

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "src/bench/run.hpp"

namespace firnlog::bench {

// A server under test, as it is told about and reached.
struct Subject {
    std::string name;
    Target target;
    std::optional<pid_t> pid;  // when it runs here
};

// Where we are: called a few times a second while a load runs.
struct Progress {
    const Subject& subject;
    const Load& load;
    std::string under_way;  // events
};

struct Observer {
    std::function<void(const Progress&)> look;
    const std::atomic<bool>* interrupted = nullptr;  // ends the load early
};

[[nodiscard]] tl::expected<Run, std::string> measure(const Subject& subject, LoadPlan plan,
                                                     std::vector<Event> events,
                                                     const Observer& observer);

// The server's name and version, from INFO where it has one.
[[nodiscard]] std::string describe_server(const Target& target);

}  // namespace firnlog::bench
