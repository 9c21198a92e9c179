#include "src/crashtest/execute.hpp"

#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "src/crashtest/report.hpp"
#include "src/crashtest/run.hpp"
#include "src/crashtest/text.hpp"
#include "src/crashtest/wall.hpp"

namespace firnlog::crashtest {
namespace {

class Screen {
  public:
    explicit Screen(const Options& options)
        : options_(options), all_(options.corrupt != 0 ? options.corrupt : options.cycles) {}

    void show(const Outcome& outcome) {
        if (!options_.json.empty())
            static_cast<void>(write_file(options_.json, json(options_, outcome)));
        if (options_.quiet || outcome.cycles.empty()) return;
        const auto done = outcome.cycles.size();
        if (done_before_ == 0) {
            done_before_ = done - 1;
            started_us_ = wall_us();
        }
        const bool live = ::isatty(1) != 0;
        const auto& last = outcome.cycles.back();
        // Into a file only what is news.
        if (!live && last.violations == 0 && done != all_ && wall_us() < next_us_) return;
        next_us_ = wall_us() + 5'000'000;
        const auto took_us = wall_us() - started_us_;
        const auto left_s = done > done_before_ + 1
                                ? took_us / static_cast<std::int64_t>(done - done_before_ - 1) *
                                      static_cast<std::int64_t>(all_ - done) / 1'000'000
                                : 0;
        // Of damaged copies nothing is acknowledged.
        const bool kills = options_.corrupt == 0;
        const auto owed = kills ? "acknowledged " + std::to_string(outcome.acks()) + ", lost " +
                                      std::to_string(outcome.lost()) + ", "
                                : std::string();
        std::printf(
            "%s%s %zu of %zu, %s: %s; %sviolations %llu, recovery p50 %.1f ms p99 %.1f ms, left "
            "%lld:%02lld%s",
            live ? "\r\x1b[K" : "", kills ? "cycle" : "copy", done, all_, last.how.c_str(),
            last.ended.c_str(), owed.c_str(), static_cast<unsigned long long>(outcome.violations()),
            outcome.recovery_ms(0.5), outcome.recovery_ms(0.99),
            static_cast<long long>(left_s / 60), static_cast<long long>(left_s % 60),
            live && done != all_ ? "" : "\n");
        std::fflush(stdout);
    }

  private:
    const Options& options_;
    std::size_t all_;
    std::size_t done_before_ = 0;
    std::int64_t started_us_ = 0;
    std::int64_t next_us_ = 0;
};

std::string kernel() {
    utsname name{};
    ::uname(&name);
    return std::string(name.sysname) + " " + name.release;
}

// What the folder lies on, and how that is mounted: the longest of the mounts above it.
std::string file_system_at(const std::string& folder) {
    std::error_code failed;
    const auto path = std::filesystem::weakly_canonical(folder, failed).string() + "/";
    std::istringstream lines(read_file("/proc/self/mountinfo"));
    std::string line, out = "unknown";
    std::size_t longest = 0;
    while (std::getline(lines, line)) {
        // 36 35 98:0 / /mnt rw,noatime shared:1 - ext4 /dev/sda1 rw
        const auto words = split(line, ' ');
        const auto dash = line.find(" - ");
        if (words.size() < 6 || dash == line.npos) continue;
        const auto& target = words[4];
        const bool is_above =
            target == "/" || (path.starts_with(target) && path[target.size()] == '/');
        if (!is_above || target.size() < longest) continue;
        longest = target.size();
        const auto end = std::min(line.find(' ', dash + 3), line.size());
        out = line.substr(dash + 3, end - dash - 3) + ", mounted " + words[5];
    }
    return out;
}

}  // namespace

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::optional<std::string> not_writable(const std::string& path) {
    const auto aside = path + ".new";
    const int file = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) return "cannot write " + path + ": " + std::strerror(errno);
    ::close(file);
    ::unlink(aside.c_str());
    return std::nullopt;
}

bool write_file(const std::string& path, const std::string& text) {
    const auto aside = path + ".new";
    std::ofstream file(aside, std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    return file && std::rename(aside.c_str(), path.c_str()) == 0;
}

Executed execute(const Options& options, const std::atomic<bool>& interrupted, Outcome& outcome) {
    Executed out;
    for (const auto& path : {options.json, options.html})
        if (!path.empty())
            if ((out.wrong = not_writable(path))) return out;
    if (options.resume)
        if (const auto text = read_file(options.json); !text.empty())
            if (const auto wrong = read_json(text, options, outcome)) {
                out.wrong = "cannot go on from " + options.json + ": " + *wrong;
                return out;
            }
    outcome.kernel = kernel();
    std::error_code failed;
    const auto folder = options.folder.empty()
                            ? std::filesystem::temp_directory_path(failed).string()
                            : options.folder;
    outcome.file_system = options.needs_disk() ? std::string(name_of(options.fs)) +
                                                     " on a faulty disk, mounted noatime"
                                               : file_system_at(folder);
    Screen screen(options);
    {
        Run run(options, interrupted, [&](const Outcome& now) { screen.show(now); });
        out.wrong = run.go(outcome);
        out.folder = run.folder();
    }
    if (!options.json.empty() && !write_file(options.json, json(options, outcome)))
        out.wrong = "cannot write " + options.json;
    if (!options.html.empty() && !write_file(options.html, html(options, outcome)))
        out.wrong = "cannot write " + options.html;
    return out;
}

}  // namespace firnlog::crashtest
