#include "src/memory_bound.hpp"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

#include "io/base/memory.hpp"
#include "src/logger.hpp"

namespace firnlog::server {

ProcessMemory process_memory() {
    ProcessMemory memory;
    std::array<char, 128> text{};
    // "size resident shared …" in pages; what is shared is mapped from files.
    auto* const file = std::fopen("/proc/self/statm", "re");
    if (file == nullptr) return memory;
    const auto size = std::fread(text.data(), 1, text.size() - 1, file);
    std::fclose(file);
    unsigned long long total = 0;
    unsigned long long resident = 0;
    unsigned long long shared = 0;
    if (size == 0 || std::sscanf(text.data(), "%llu %llu %llu", &total, &resident, &shared) != 3)
        return memory;
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    memory.own = (resident - shared) * page;
    memory.mapped = shared * page;
    return memory;
}

void MemoryBound::look(std::uint64_t maxmemory) {
    const auto own = maxmemory == 0 ? 0 : process_memory().own;
    const bool past = own > maxmemory;
    if (past_.exchange(past) != past)
        logger::warning(past ? "memory: used_memory=" + std::to_string(own) +
                                   " is past maxmemory=" + std::to_string(maxmemory) +
                                   ", what grows is refused"
                             : "memory: below maxmemory again");
    if (!short_of_memory() && !told_short_) return;
    if (!told_short_) logger::warning("memory: an allocation failed, what grows is refused");
    told_short_ = !set_aside_again();
    if (!told_short_) logger::warning("memory: there is enough again");
}

std::string_view MemoryBound::refusal() const {
    if (past_.load(std::memory_order_relaxed))
        return "OOM command not allowed when used memory > 'maxmemory'.";
    if (short_of_memory()) return "OOM command not allowed while the system gives no more memory.";
    return {};
}

}  // namespace firnlog::server
