#pragma once
// Proc: what a server on this machine costs, from /proc: CPU, memory, bytes written, page faults.
//
// The process is the one that listens where we connect to, found by the socket's inode: a server
// that says its process id in INFO may run in another container, or behind a proxy. Everything here
// may be unknown (another machine, another user), and is then left out, never guessed. What a child
// used that the server forked (a BGSAVE of Redis) counts once it has ended, memory apart.

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "src/bench/link.hpp"

namespace firnlog::bench {

struct ProcCounters {
    double cpu_seconds = 0;           // user and system, of all its threads and ended children
    std::uint64_t written_bytes = 0;  // handed to the block layer, later truncation not taken off
    std::uint64_t minor_faults = 0;
    std::uint64_t major_faults = 0;
    std::uint64_t rss_bytes = 0;
    std::uint64_t anonymous_bytes = 0;
};

// The process that listens at the target, if it runs here and we may look at it.
[[nodiscard]] std::optional<pid_t> find_server(const Target& target);

[[nodiscard]] std::optional<ProcCounters> read_counters(pid_t pid);

// What a server used between two looks at it.
struct ServerFigures {
    pid_t pid = 0;
    double cpu_cores = 0;  // CPU time by wall time
    double cpu_us_per_request = 0;
    double written_bytes_per_s = 0;
    std::uint64_t written_bytes = 0;
    std::uint64_t minor_faults = 0;
    std::uint64_t major_faults = 0;
    std::uint64_t rss_bytes = 0;  // at the end
    std::uint64_t rss_bytes_max = 0;
    std::uint64_t anonymous_bytes_max = 0;
};

}  // namespace firnlog::bench
