#pragma once
// Statistics: what one reactor has counted; INFO adds up those of all reactors.
//
// Relaxed atomics with one writer, the reactor itself: others read them whenever they like.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace firnlog::server {

struct Command;

class Counter {
  public:
    void add(std::uint64_t n = 1) {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }
    void reset() { value_.store(0, std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

// Of one command, for INFO commandstats and latencystats. Microseconds are spread over buckets of
// powers of two, four to each, as a log-linear histogram (LATENCY HISTOGRAM shows powers of two).
struct CommandStatistics {
    Counter calls;
    Counter nanoseconds;
    Counter rejected;
    Counter failed;
    std::array<Counter, 160> buckets;  // see bucket_of
    [[nodiscard]] static std::size_t bucket_of(std::uint64_t us);
    [[nodiscard]] static std::uint64_t bucket_end_us(std::size_t bucket);  // the largest in it
};

struct Statistics {
    Counter connections_received;
    Counter connections_rejected;
    Counter commands;
    Counter net_in;
    Counter net_out;
    Counter keyspace_hits;
    Counter keyspace_misses;
    Counter unexpected_errors;
    Counter turns;
    Counter output_limit_closes;
    Counter protocol_errors;
    Counter auth_failures;
    // By the command's place in the table (command_table.hpp: index_of); made by the server.
    std::unique_ptr<CommandStatistics[]> by_command;
};

}  // namespace firnlog::server
