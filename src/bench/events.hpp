#pragma once
// Events: commands fired beside the load at given times, and watched until they are over.
//
//   BGSAVE@10s;BGREWRITEAOF@20s        fired ──reply──> in progress ──INFO persistence──> over
//
// Before a command is fired, INFO persistence is asked what is in progress or scheduled already.
// What is so behind the reply, and was not before, is the command's own work: it is over when that
// is. Any other command is over with its reply. A thread of its own fires and watches, on a
// connection of its own: a SAVE that blocks the server blocks no one but the next event.

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <tl/expected.hpp>
#include <vector>

#include "src/bench/link.hpp"
#include "src/bench/windows.hpp"

namespace firnlog::bench {

struct Event {
    std::string text;  // as asked for, without its time
    std::vector<std::string> words;
    std::uint64_t at_ns = 0;  // after the measured part began

    // In progress when it was fired, by INFO's names.
    std::vector<std::string> before;

    // What came of it.
    bool fired = false;
    bool over = false;
    std::uint64_t begin_ns = 0;  // after the measured part began
    std::uint64_t end_ns = 0;
    std::string error;  // its error reply, or why it could not be asked
};

// "COMMAND@TIME;COMMAND@TIME". The error says which part is wrong.
[[nodiscard]] tl::expected<std::vector<Event>, std::string> parse_events(std::string_view text);

// Names in INFO persistence of what is in progress or scheduled.
[[nodiscard]] std::vector<std::string> in_progress(std::string_view info);

class EventRunner {
  public:
    // Window i belongs to event i.
    EventRunner(std::vector<Event> events, Link link, Windows& windows,
                std::uint64_t measured_from_ns);
    ~EventRunner() { stop(); }
    EventRunner(const EventRunner&) = delete;
    EventRunner& operator=(const EventRunner&) = delete;

    // Those under way, for the screen.
    [[nodiscard]] std::string under_way() const;
    // Whether none that was fired still goes on.
    [[nodiscard]] bool idle() const { return under_way().empty(); }
    // Nothing is fired any more; those under way are watched on.
    void fire_no_more() { firing_ = false; }
    // Nothing is watched any more either; what came of all.
    std::vector<Event> stop();

  private:
    void run();
    void fire(std::size_t at);
    void watch();
    void set_over(std::size_t at, std::string error = {});

    Windows& windows_;
    const std::uint64_t measured_from_ns_;
    Link link_;  // the thread's, but for interrupt()
    mutable std::mutex mutex_;
    std::vector<Event> events_;  // guarded by mutex_
    std::atomic<bool> firing_{true};
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

}  // namespace firnlog::bench
