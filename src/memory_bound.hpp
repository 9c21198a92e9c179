#pragma once
// MemoryBound: whether commands that need more memory are refused, as Redis refuses them.
//
// Two reasons: the process has more memory of its own than `maxmemory`, looked at ten times a
// second; or an allocation failed and what was set aside was given up (io/base/memory.hpp), which
// is seen at once. What only reads or frees goes on. Nothing is evicted.

#include <atomic>
#include <cstdint>
#include <string_view>

namespace firnlog::server {

// Memory of this process, in bytes: what is its own (index and buffers), and what of the log's
// files is mapped and resident.
struct ProcessMemory {
    std::uint64_t own = 0;
    std::uint64_t mapped = 0;
    [[nodiscard]] std::uint64_t resident() const { return own + mapped; }
};
[[nodiscard]] ProcessMemory process_memory();

class MemoryBound {
  public:
    // Ten times a second, by one thread; tells the log what has changed. `maxmemory`: 0 is none.
    void look(std::uint64_t maxmemory);
    // The reply to what grows; empty while there is memory. Any thread.
    [[nodiscard]] std::string_view refusal() const;

  private:
    std::atomic<bool> past_{false};
    bool told_short_ = false;
};

}  // namespace firnlog::server
