#pragma once
// archive-command: a line for the shell that takes one file to wherever the archive is, as in
// PostgreSQL: %p is the file's path, %f its name, %% a percent sign. Exit status 0: it is there.
//
// It has a process group of its own, which ends with it: past its time, and when it is told to
// stop, all of the group is ended, first with SIGTERM. What it says last is why it failed.

#include <cstdint>
#include <functional>
#include <string>
#include <tl/expected.hpp>

#include "io/clock.hpp"

namespace firnlog::server {

struct ArchiveCommand {
    std::string line;
    std::string path;
    std::string name;
    std::int64_t seconds_max = 0;  // 0: as long as it takes
};

// Runs it, here and now. `going` is asked again and again.
[[nodiscard]] tl::expected<void, std::string> run_archive_command(
    const ArchiveCommand& command, io::Clock& clock, const std::function<bool()>& going);

}  // namespace firnlog::server
