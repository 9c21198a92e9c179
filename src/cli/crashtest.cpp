#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>

#include "src/cli/verbs.hpp"
#include "src/crashtest/execute.hpp"
#include "src/crashtest/matrix.hpp"
#include "src/crashtest/report.hpp"

namespace firnlog::server::cli {
namespace {

using namespace crashtest;

constexpr std::string_view kHelp =
    R"(usage: firnlog crashtest --start 'COMMAND {port} {dir}' --mode always|everysec|no [OPTION]...
       firnlog crashtest --matrix FILE.toml --dir DIR [--markdown F] [--html F] [--seed N]

Tries whether a server that speaks RESP keeps what it promises: clients write, the server is killed
at a random moment, started again, and everything it owes is looked at. It knows nothing of the
server but its answers. COMMAND is one command that stays in the foreground; {port} and {dir} are
filled in.

  --mode               what the server promises: nothing acknowledged is lost; at most two seconds;
                       any suffix
  --kill sigkill|power sigkill (default), or a power cut of a disk of our own, which needs root
  --cycles N           kills, in one directory that accumulates (20)
  --fault F            on the disk of our own, in each cycle before the kill: eio-data, eio-all,
                       flush-error, slow-flush, enospc; lying, with --kill power: every server must
                       fail on that
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

--matrix runs many side by side: servers, modes, kills and file systems, as FILE.toml says; each
has a JSON report in DIR, from which a further call goes on, and all of them are one table.

Exit codes: 0 held, 4 violated, 1 could not run. docs/crashtest.md tells what is checked.
)";

std::atomic<bool> interrupted{false};

void on_signal(int) { interrupted.store(true); }

// The words behind --matrix and its companions; the rest is of a single run.
struct MatrixOptions {
    std::string file;
    std::string folder;
    std::string markdown;
    std::string html;
    std::optional<std::uint64_t> seed;
    bool quiet = false;
};

std::optional<std::string> parse_matrix(Arguments words, MatrixOptions& options) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string_view name = words[i];
        if (name == "--quiet") {
            options.quiet = true;
            continue;
        }
        if (++i == words.size()) return "what is behind " + std::string(name) + "?";
        const std::string_view value = words[i];
        if (name == "--matrix") {
            options.file = value;
        } else if (name == "--dir") {
            options.folder = value;
        } else if (name == "--markdown") {
            options.markdown = value;
        } else if (name == "--html") {
            options.html = value;
        } else if (name == "--seed") {
            std::uint64_t seed = 0;
            const auto* const end = value.data() + value.size();
            if (const auto [stop, error] = std::from_chars(value.data(), end, seed);
                error != std::errc{} || stop != end)
                return "not a value of --seed: " + std::string(value);
            options.seed = seed;
        } else {
            return "of a matrix this is said in its file: " + std::string(name);
        }
    }
    if (options.folder.empty()) return "--matrix needs --dir, where its reports lie";
    return std::nullopt;
}

bool write_reports(const MatrixOptions& options, const Matrix& matrix) {
    return (options.markdown.empty() || write_file(options.markdown, markdown(matrix))) &&
           (options.html.empty() || write_file(options.html, html(matrix)));
}

// What a cell's run has kept of a violation, to lie beside its report: where it is now. Empty if
// nothing was kept. A run that went on from an earlier one leaves that one's alone.
std::string move_kept(const std::string& kept, const std::string& report) {
    namespace fs = std::filesystem;
    std::error_code failed;
    if (kept.empty() || !fs::exists(kept, failed)) return "";
    const auto stem = fs::path(report).replace_extension(".kept").string();
    auto target = stem;
    for (int i = 2; fs::exists(target, failed); ++i) target = stem + "-" + std::to_string(i);
    fs::rename(kept, target, failed);
    if (!failed) return target;
    // They lie on different file systems.
    fs::copy(kept, target, fs::copy_options::recursive, failed);
    if (failed) return kept;
    fs::remove_all(kept, failed);
    return target;
}

int matrix(const MatrixOptions& options) {
    Matrix all;
    if (::access(options.file.c_str(), R_OK) != 0) {
        std::fprintf(stderr, "firnlog crashtest: cannot read %s: %s\n", options.file.c_str(),
                     std::strerror(errno));
        return 1;
    }
    for (const auto& path : {options.markdown, options.html})
        if (const auto wrong = path.empty() ? std::nullopt : not_writable(path)) {
            std::fprintf(stderr, "firnlog crashtest: %s\n", wrong->c_str());
            return 1;
        }
    if (const auto wrong = read_matrix(read_file(options.file), options.seed, all)) {
        std::fprintf(stderr, "firnlog crashtest: %s: %s\n", options.file.c_str(), wrong->c_str());
        return 1;
    }
    std::error_code failed;
    std::filesystem::create_directories(options.folder, failed);
    bool violated = false, ran = true;
    for (auto& cell : all.cells) {
        std::string kept;
        if (!interrupted.load() && !is_complete(cell, options.folder)) {
            auto run = cell.options;
            run.json = report_path(cell, options.folder);
            run.resume = true;
            run.quiet = options.quiet;
            Outcome outcome;
            const auto [wrong, folder] = execute(run, interrupted, outcome);
            cell.wrong = wrong;
            kept = move_kept(folder, run.json);
        }
        gather(cell, options.folder);
        violated = violated || cell.outcome.violations() != 0;
        ran = ran && !cell.wrong && !cell.outcome.cycles.empty();
        std::printf("%s, %s, %s: %s%s%s%s%s\n", cell.server.c_str(), cell.row.c_str(),
                    std::string(name_of(cell.options.mode)).c_str(), summary(cell).c_str(),
                    cell.wrong ? ": " : "", cell.wrong.value_or("").c_str(),
                    kept.empty() ? "" : "; kept in: ", kept.c_str());
        std::fflush(stdout);
    }
    if (!write_reports(options, all)) {
        std::fprintf(stderr, "firnlog crashtest: cannot write the report\n");
        return 1;
    }
    return violated ? 4 : ran && !interrupted.load() ? 0 : 1;
}

void heed_signals() {
    struct sigaction action {};
    action.sa_handler = on_signal;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    ::sigaction(SIGHUP, &action, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
}

int complain(const std::string& wrong) {
    std::fprintf(stderr, "firnlog crashtest: %s\n\n", wrong.c_str());
    std::fwrite(kHelp.data(), 1, kHelp.size(), stderr);
    return 1;
}

}  // namespace

int crashtest(Arguments arguments) {
    if (!arguments.empty() && (arguments.front() == "--help" || arguments.front() == "-h")) {
        std::fwrite(kHelp.data(), 1, kHelp.size(), stdout);
        return 0;
    }
    heed_signals();
    if (std::ranges::find(arguments, "--matrix") != arguments.end()) {
        MatrixOptions options;
        if (const auto wrong = parse_matrix(arguments, options)) return complain(*wrong);
        return matrix(options);
    }
    Options options;
    if (const auto wrong = parse_options({arguments.begin(), arguments.end()}, options))
        return complain(*wrong);
    Outcome outcome;
    const auto [wrong, kept] = execute(options, interrupted, outcome);
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
