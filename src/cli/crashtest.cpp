#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "src/cli/verbs.hpp"
#include "src/crashtest/options.hpp"
#include "src/crashtest/report.hpp"
#include "src/crashtest/run.hpp"
#include "src/crashtest/wall.hpp"

namespace firnlog::server::cli {
namespace {

using namespace crashtest;

constexpr std::string_view kHelp =
    R"(usage: firnlog crashtest --start 'COMMAND {port} {dir}' --mode always|everysec|no [OPTION]...

Tries whether a server that speaks RESP keeps what it promises: clients write, the server is killed
at a random moment, started again, and everything it owes is looked at. It knows nothing of the
server but its answers. COMMAND is one command that stays in the foreground; {port} and {dir} are
filled in.

  --mode               what the server promises: nothing acknowledged is lost; at most two seconds;
                       any suffix
  --kill sigkill|power sigkill (default), or a power cut of a disk of our own, which needs root
  --cycles N           kills, in one directory that accumulates (20)
  --fault F            on the disk of our own, in each cycle before the kill: eio-data, eio-all,
                       flush-error, slow-flush, enospc; lying: every server must fail on that
  --fs ext4|xfs|btrfs  of that disk (ext4); --disk-mb N its size (2048)
  --corrupt N          instead of kills: N damaged copies of a cleanly stopped directory
  --admin 'A;B'        half of the kills come while one of these commands runs
  --clients N          connections that write (4); --depth N commands each sends at once (16)
  --load-ms A-B        how long they write before the kill (200-1500)
  --loss-ms-max N      age of the oldest loss that is allowed; -1: any. Default by mode: 0, 2000, -1
  --start-ms-max N     a start that takes longer is a hang (60000)
  --seed N             draws the same workload, moments and damage
  --dir DIR            works there and leaves everything; default: a folder below /tmp, which is
                       removed unless something was violated
  --json F --html F    write a report, after each cycle and at the end; --resume goes on from F
  --quiet              only the verdict

Exit codes: 0 held, 4 violated, 1 could not run. docs/crashtest.md tells what is checked.
)";

std::atomic<bool> interrupted{false};

void on_signal(int) { interrupted.store(true); }

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// Aside, then renamed: an interrupted run leaves the report of the cycle before.
bool write_file(const std::string& path, const std::string& text) {
    const auto aside = path + ".new";
    std::ofstream file(aside, std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    return file && std::rename(aside.c_str(), path.c_str()) == 0;
}

class Screen {
  public:
    Screen(const Options& options)
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
        std::printf(
            "%scycle %zu of %zu, %s: %s; acknowledged %llu, lost %llu, violations %llu, recovery "
            "p50 %.1f ms p99 %.1f ms, left %lld:%02lld%s",
            live ? "\r\x1b[K" : "", done, all_, last.how.c_str(), last.ended.c_str(),
            static_cast<unsigned long long>(outcome.acks()),
            static_cast<unsigned long long>(outcome.lost()),
            static_cast<unsigned long long>(outcome.violations()), outcome.recovery_ms(0.5),
            outcome.recovery_ms(0.99), static_cast<long long>(left_s / 60),
            static_cast<long long>(left_s % 60), live && done != all_ ? "" : "\n");
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

}  // namespace

int crashtest(Arguments arguments) {
    if (!arguments.empty() && (arguments.front() == "--help" || arguments.front() == "-h")) {
        std::fwrite(kHelp.data(), 1, kHelp.size(), stdout);
        return 0;
    }
    Options options;
    if (const auto wrong = parse_options({arguments.begin(), arguments.end()}, options)) {
        std::fprintf(stderr, "firnlog crashtest: %s\n\n", wrong->c_str());
        std::fwrite(kHelp.data(), 1, kHelp.size(), stderr);
        return 1;
    }
    Outcome outcome;
    if (options.resume)
        if (const auto text = read_file(options.json); !text.empty())
            if (const auto wrong = read_json(text, options, outcome)) {
                std::fprintf(stderr, "firnlog crashtest: cannot go on from %s: %s\n",
                             options.json.c_str(), wrong->c_str());
                return 1;
            }
    struct sigaction action {};
    action.sa_handler = on_signal;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    ::sigaction(SIGHUP, &action, nullptr);
    std::signal(SIGPIPE, SIG_IGN);

    outcome.kernel = kernel();
    outcome.file_system = options.needs_disk()
                              ? std::string(name_of(options.fs)) + " on a faulty disk, noatime"
                              : "the machine's own file system";
    Screen screen(options);
    std::string kept;
    std::optional<std::string> wrong;
    {
        Run run(options, interrupted, [&](const Outcome& now) { screen.show(now); });
        wrong = run.go(outcome);
        kept = run.folder();
    }
    if (!options.json.empty() && !write_file(options.json, json(options, outcome)))
        wrong = "cannot write " + options.json;
    if (!options.html.empty() && !write_file(options.html, html(options, outcome)))
        wrong = "cannot write " + options.html;
    if (wrong) std::fprintf(stderr, "firnlog crashtest: %s\n", wrong->c_str());
    // What was found is found, also when the run could not go on.
    if (wrong && outcome.violations() == 0) return 1;
    for (std::size_t i = 0; i < std::min<std::size_t>(outcome.found.size(), 5); ++i)
        std::printf("cycle %u: %s: %s\n", outcome.found[i].cycle,
                    outcome.found[i].violation.name.c_str(),
                    outcome.found[i].violation.text.c_str());
    std::printf("verdict: %s\n", verdict(options, outcome).c_str());
    if (outcome.violations() != 0) {
        std::printf("again by: %s\nkept in: %s\n", options.command().c_str(), kept.c_str());
        return 4;
    }
    return outcome.interrupted ? 1 : 0;
}

}  // namespace firnlog::server::cli
