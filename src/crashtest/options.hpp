#pragma once
// Options: what a crash test is asked to do; and the names of it, one table for the command line,
// the report and the matrix.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/crashtest/block_mount.hpp"

namespace firnlog::crashtest {

enum class Mode : std::uint8_t { always, everysec, no };
enum class KillBy : std::uint8_t { sigkill, power };
enum class Fault : std::uint8_t { none, eio_data, eio_all, flush_error, slow_flush, enospc, lying };

[[nodiscard]] std::optional<Mode> mode_of(std::string_view name) noexcept;
[[nodiscard]] std::optional<KillBy> kill_of(std::string_view name) noexcept;
[[nodiscard]] std::optional<Fault> fault_of(std::string_view name) noexcept;
[[nodiscard]] std::string_view name_of(Mode mode) noexcept;
[[nodiscard]] std::string_view name_of(KillBy kill) noexcept;
[[nodiscard]] std::string_view name_of(Fault fault) noexcept;

struct Options {
    std::string start;
    Mode mode = Mode::always;
    KillBy kill = KillBy::sigkill;
    Fault fault = Fault::none;
    std::uint32_t cycles = 20;
    std::uint32_t corrupt = 0;  // damaged copies instead of kills
    std::vector<std::string> admin;
    std::uint32_t clients = 4;
    std::uint32_t depth = 16;  // commands a client sends before it reads
    std::uint64_t seed = 0;
    FileSystem fs = FileSystem::ext4;
    std::uint64_t disk_bytes = std::uint64_t{2} << 30U;
    std::uint32_t load_ms_min = 200;
    std::uint32_t load_ms_max = 1500;
    std::int64_t loss_ms_max = 0;  // the oldest loss allowed; -1: any
    int start_ms_max = 60'000;
    std::string folder;  // where everything lies; a new one below /tmp if empty
    std::string json;
    std::string html;
    bool resume = false;
    bool quiet = false;

    [[nodiscard]] bool needs_disk() const noexcept {
        return kill == KillBy::power || fault != Fault::none;
    }
    // The command line that repeats the run.
    [[nodiscard]] std::string command() const;
};

// What is wrong with these words, or nothing. `seed` is drawn when none is given.
[[nodiscard]] std::optional<std::string> parse_options(std::vector<std::string> words,
                                                       Options& options);

}  // namespace firnlog::crashtest
