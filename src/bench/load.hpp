#pragma once
// Load: one run against one server: threads, connections, requests, and what was measured.
//
//   start ── warm-up ──> measured ── duration ──> end ── what is still on its way ──> finished
//
// Open loop (rate > 0): requests leave by a Schedule, and a latency counts from when the request
// should have left. Closed loop (rate 0): a connection sends its next batch when the one before is
// answered in full, so that a stall is met by one batch a connection and the requests that should
// have followed are never sent; a latency counts from the sending.
//
// Each thread is a Worker with its own ring; it hands over what it measured slot by slot (a tenth
// of a second or a second), and nothing else is shared while it runs.

#include <atomic>
#include <cstdint>
#include <latch>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <tl/expected.hpp>
#include <vector>

#include "src/bench/histogram.hpp"
#include "src/bench/link.hpp"
#include "src/bench/operation.hpp"
#include "src/bench/windows.hpp"

namespace firnlog::bench {

struct Workload {
    struct Entry {
        Operation operation;
        double weight = 1;
    };
    std::string name;
    std::vector<Entry> entries;
};

// A load that ends by the number of its requests has this duration: a hundred days.
inline constexpr std::uint64_t kForeverNs = 100ULL * 24 * 3600 * 1'000'000'000;

struct LoadPlan {
    Target target;
    Workload workload;
    Keys keys;
    double rate = 0;  // requests a second of all connections; 0: closed loop
    std::uint64_t warmup_ns = 1'000'000'000;
    std::uint64_t duration_ns = 10'000'000'000;
    std::uint64_t drain_ns = 10'000'000'000;  // what is on its way is waited for so long
    std::uint64_t requests = 0;               // measured ones, at most; 0: by time alone
    unsigned connections = 50;
    unsigned pipeline = 1;  // at most so many on their way on a connection
    unsigned threads = 1;
    // How a thread waits for the next request to be due.
    enum class Wake : std::uint8_t { early, when_due, never_sleeps } wake = Wake::early;
    std::uint64_t seed = 1;
    std::uint64_t slot_ns = 1'000'000'000;
    Windows* windows = nullptr;

    [[nodiscard]] bool open_loop() const { return rate > 0; }
};

// What one thread measured in one slot of time, by when the replies came.
struct Slot {
    std::uint64_t number = 0;  // since the measured part began
    std::vector<Sparse> by_operation;
    Sparse lateness;
    std::uint64_t answered = 0;
    std::vector<std::uint64_t> errors;  // by operation
};

// Adds what another thread, or another slot, measured.
void add(Slot& to, const Slot& from);

struct OperationOutcome {
    std::string name;
    Histogram latency;
    std::uint64_t errors = 0;
    std::uint64_t nulls = 0;
    std::string first_error;
};

struct LoadOutcome {
    std::vector<OperationOutcome> operations;
    Histogram all;
    Histogram lateness;             // open loop: how much of it may be the generator's own
    std::vector<Histogram> inside;  // by window
    Histogram outside;              // of all windows
    std::vector<Slot> slots;        // ascending, threads added up
    double seconds = 0;             // the measured part
    std::uint64_t answered = 0;     // within it
    std::uint64_t unanswered = 0;   // counted with their age, which is less than their latency
    std::uint64_t connections_lost = 0;
    std::vector<double> busy;  // share of its time that each thread of ours used a core

    [[nodiscard]] double rate() const {
        return seconds > 0 ? static_cast<double>(answered) / seconds : 0;
    }
    [[nodiscard]] std::uint64_t errors() const;
};

// What the threads of a load have in common.
struct LoadShared {
    explicit LoadShared(unsigned threads) : ready(threads) {}
    std::latch ready;               // each thread has its ring
    std::latch go{1};               // start_ns stands
    std::uint64_t start_ns = 0;     // written before `go`
    std::atomic<bool> stop{false};  // end early
    Population population{0};
    std::mutex mutex;
    std::vector<Slot> slots;  // guarded by mutex: handed over, not yet collected
};

class Worker;

class Load {
  public:
    // Connects everything and begins; the error says what did not work.
    [[nodiscard]] static tl::expected<std::unique_ptr<Load>, std::string> start(LoadPlan plan);
    ~Load();
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    [[nodiscard]] const LoadPlan& plan() const { return plan_; }
    [[nodiscard]] std::uint64_t measured_from_ns() const;
    [[nodiscard]] bool running() const { return running_.load() != 0; }
    void stop() { shared_.stop.store(true); }

    // Takes over what the threads have handed over since; the slots of all threads by number.
    void collect();
    [[nodiscard]] const std::vector<Slot>& slots() const { return slots_; }

    // Waits for the end. An error if a thread could not do its work at all.
    [[nodiscard]] tl::expected<LoadOutcome, std::string> finish();

  private:
    explicit Load(LoadPlan plan);

    LoadPlan plan_;
    LoadShared shared_;
    std::atomic<unsigned> running_{0};
    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<std::jthread> threads_;
    std::vector<Slot> slots_;
};

}  // namespace firnlog::bench
