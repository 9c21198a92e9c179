#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "src/commands/info_section.hpp"
#include "src/version.hpp"

// INFO's sections of this process: which one it is, its memory and its processor time.
namespace firnlog::server {

void server_section(const InfoFacts& facts, InfoLines& lines) {
    lines.section("Server");
    const auto& server = facts.server;
    utsname system{};
    ::uname(&system);
    std::array<char, 4096> path{};
    const auto size = ::readlink("/proc/self/exe", path.data(), path.size());
    const auto uptime_s = (facts.server.clock().mono().us - server.started_us) / 1'000'000;
    const auto wall_us = facts.server.clock().wall().us;
    constexpr std::int64_t kLruBits = 24;
    lines.add("redis_version", kRedisVersion);
    lines.add("redis_git_sha1", "00000000");
    lines.add("redis_git_dirty", 0);
    lines.add("redis_build_id", "0");
    lines.add("redis_mode", "standalone");
    lines.add("firnlog_version", kVersion);
    lines.add("os", std::string(system.sysname) + " " + system.release + " " + system.machine);
    lines.add("arch_bits", 64);
    lines.add("monotonic_clock", "POSIX clock_gettime");
    lines.add("multiplexing_api", "io_uring");
    lines.add("atomicvar_api", "c11-builtin");
    lines.add("gcc_version", __VERSION__);
    lines.add("process_id", ::getpid());
    lines.add("process_supervised", facts.config.supervised == Supervised::no ? "no" : "systemd");
    lines.add("run_id", server.run_id);
    lines.add("tcp_port", server.tcp_port);
    lines.add("server_time_usec", wall_us);
    lines.add("uptime_in_seconds", uptime_s);
    lines.add("uptime_in_days", uptime_s / 86400);
    lines.add("hz", facts.config.hz);
    lines.add("configured_hz", facts.config.hz);
    lines.add("lru_clock", wall_us / 1'000'000 & ((std::int64_t{1} << kLruBits) - 1));
    lines.add("executable",
              std::string_view(path.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))));
    lines.add("config_file", facts.config.config_file);
    lines.add("io_threads_active", 0);
    lines.add("threads", facts.server.reactors().size());
    lines.add("store_id", [&facts] {
        std::string hex;
        for (const auto byte : facts.engine.store_id) {
            hex += "0123456789abcdef"[static_cast<unsigned>(byte) >> 4];
            hex += "0123456789abcdef"[static_cast<unsigned>(byte) & 15];
        }
        return hex;
    }());
}

void memory_section(const InfoFacts& facts, InfoLines& lines) {
    lines.section("Memory");
    const auto memory = process_memory();
    auto& highest = facts.server.used_memory_peak;
    auto peak = highest.load(std::memory_order_relaxed);
    while (peak < memory.own &&
           !highest.compare_exchange_weak(peak, memory.own, std::memory_order_relaxed)) {
    }
    peak = std::max(peak, memory.own);
    std::int64_t keys = 0;
    for (std::uint32_t database = 0; database < facts.engine.options.databases; ++database)
        keys += facts.engine.keyspace().counts_of(database).keys;
    const auto dataset =
        std::min(static_cast<std::uint64_t>(keys) * sizeof(engine::Entry), memory.own);
    struct sysinfo system {};
    ::sysinfo(&system);
    const auto percent = [](std::uint64_t part, std::uint64_t whole) {
        std::array<char, 32> text{};
        std::snprintf(
            text.data(), text.size(), "%.2f%%",
            whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole));
        return std::string(text.data());
    };
    lines.bytes("used_memory", memory.own);
    lines.bytes("used_memory_rss", memory.resident());
    lines.bytes("used_memory_peak", peak);
    lines.add("used_memory_peak_perc", percent(memory.own, peak));
    lines.add("used_memory_overhead", memory.own - dataset);
    lines.add("used_memory_startup", 0);
    lines.add("used_memory_dataset", dataset);
    lines.add("used_memory_dataset_perc", percent(dataset, memory.own));
    lines.bytes("mapped_memory", memory.mapped);
    lines.add("allocator_allocated", memory.own);
    lines.add("allocator_active", memory.own);
    lines.add("allocator_resident", memory.own);
    lines.bytes("total_system_memory",
                static_cast<std::uint64_t>(system.totalram) * system.mem_unit);
    lines.bytes("used_memory_lua", 0);
    lines.bytes("used_memory_scripts", 0);
    lines.add("used_memory_vm_eval", 0);
    lines.add("used_memory_scripts_eval", 0);
    lines.add("used_memory_vm_functions", 0);
    lines.bytes("used_memory_vm_total", 0);
    lines.add("used_memory_functions", 0);
    lines.add("number_of_cached_scripts", 0);
    lines.add("number_of_functions", 0);
    lines.add("number_of_libraries", 0);
    lines.bytes("maxmemory", facts.server.config().maxmemory);
    lines.add("maxmemory_policy", "noeviction");
    lines.add("memory_refuses_growth", facts.server.memory_bound.refusal().empty() ? 0 : 1);
    lines.add("allocator_frag_ratio", "1.00");
    lines.add("allocator_frag_bytes", 0);
    lines.add("allocator_rss_ratio", "1.00");
    lines.add("allocator_rss_bytes", 0);
    lines.add("rss_overhead_ratio",
              static_cast<double>(memory.resident()) /
                  static_cast<double>(std::max<std::uint64_t>(memory.own, 1)),
              2);
    lines.add("rss_overhead_bytes", memory.mapped);
    // What is mapped of files is no fragment of our own memory.
    lines.add("mem_fragmentation_ratio", "1.00");
    lines.add("mem_fragmentation_bytes", 0);
    lines.add("mem_not_counted_for_evict", 0);
    lines.add("mem_replication_backlog", 0);
    lines.add("mem_total_replication_buffers", 0);
    lines.add("mem_clients_slaves", 0);
    lines.add("mem_clients_normal", facts.gathered.memory);
    lines.add("mem_cluster_links", 0);
    lines.add("mem_aof_buffer", 0);
    lines.add("mem_allocator", "mimalloc");
    lines.add("active_defrag_running", 0);
    lines.add("lazyfree_pending_objects", 0);
    lines.add("lazyfreed_objects", 0);
}

void cpu_section(const InfoFacts&, InfoLines& lines) {
    lines.section("CPU");
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    const auto usage = [](int who) {
        rusage used{};
        ::getrusage(who, &used);
        return used;
    };
    const auto self = usage(RUSAGE_SELF);
    const auto thread = usage(RUSAGE_THREAD);
    lines.add("used_cpu_sys", seconds(self.ru_stime), 6);
    lines.add("used_cpu_user", seconds(self.ru_utime), 6);
    lines.add("used_cpu_sys_children", "0.000000");
    lines.add("used_cpu_user_children", "0.000000");
    lines.add("used_cpu_sys_main_thread", seconds(thread.ru_stime), 6);
    lines.add("used_cpu_user_main_thread", seconds(thread.ru_utime), 6);
}

}  // namespace firnlog::server
