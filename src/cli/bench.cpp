// firnlog bench: reads what is asked, runs the loads one after another, tells what came of them.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <vector>

#include "src/bench/comparison.hpp"
#include "src/bench/html_report.hpp"
#include "src/bench/json_report.hpp"
#include "src/bench/measure.hpp"
#include "src/bench/options.hpp"
#include "src/bench/screen.hpp"
#include "src/bench/started_server.hpp"
#include "src/bench/text_report.hpp"
#include "src/cli/verbs.hpp"

namespace firnlog::server::cli {
namespace {

using Failure = tl::unexpected<std::string>;

std::atomic<bool> interrupted{false};

void on_signal(int) {
    // The first ends the load early and its result is told; the second does not wait.
    if (interrupted.exchange(true)) ::_exit(1);
}

void print(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

int could_not(const std::string& why) {
    std::fprintf(stderr, "firnlog bench: %s\n", why.c_str());
    return 1;
}

// The servers of a session, of which some may have been started for it.
struct Session {
    std::vector<bench::StartedServer> started;
    std::vector<bench::Subject> subjects;
};

tl::expected<Session, std::string> open_session(const bench::Options& options) {
    Session session;
    std::vector<std::string> lines = options.vs;
    if (!options.start.empty()) lines.insert(lines.begin(), options.start);
    if (options.start.empty())
        session.subjects.push_back({.name = bench::describe_server(options.plan.target),
                                    .target = options.plan.target,
                                    .pid = bench::find_server(options.plan.target)});
    for (const auto& line : lines) {
        auto server = bench::StartedServer::start(line, options.data_dir);
        if (!server) return Failure(server.error());
        auto target = options.plan.target;
        target.host = "127.0.0.1";
        target.socket_path.clear();
        target.port = server->port();
        session.subjects.push_back(
            {.name = line, .target = target, .pid = bench::find_server(target)});
        session.started.push_back(std::move(*server));
    }
    return session;
}

// All keys once, as fast as it goes.
tl::expected<void, std::string> load_keys(const bench::Options& options,
                                          const bench::Subject& subject) {
    constexpr std::size_t kPipelineMax = 64;
    constexpr std::size_t kBytesOnWay = std::size_t{1} << 20;  // of each connection
    auto plan = options.plan;
    plan.workload = options.load;
    plan.rate = 0;
    plan.warmup_ns = 0;
    plan.requests = plan.keys.count;
    plan.duration_ns = bench::kForeverNs;
    plan.pipeline = static_cast<unsigned>(
        std::clamp<std::size_t>(kBytesOnWay / (plan.keys.value.most + 1), 1, kPipelineMax));
    plan.keys.distribution = {.kind = bench::Distribution::Kind::sequential};
    if (!options.quiet) print("loading " + std::to_string(plan.keys.count) + " keys\n");
    const auto run = bench::measure(subject, plan, {}, {.look = {}, .interrupted = &interrupted});
    if (!run) return Failure("loading: " + run.error());
    if (interrupted) return Failure("loading: interrupted");
    const auto& outcome = run->outcome;
    if (outcome.errors() != 0) return Failure("loading: " + outcome.operations[0].first_error);
    if (outcome.unanswered != 0 || outcome.connections_lost != 0)
        return Failure("loading: the server closed a connection, or did not answer");
    return {};
}

using Runs = std::vector<bench::Run>;

// One slice on each server; every second time the other way around: A B, B A, A B, …
tl::expected<Runs, std::string> run_slice(const bench::Options& options, const Session& session,
                                          const bench::LoadPlan& plan, unsigned slice,
                                          const bench::Observer& observer) {
    const auto& subjects = session.subjects;
    Runs runs(subjects.size());
    for (std::size_t turn = 0; turn < subjects.size() && !interrupted; ++turn) {
        const auto at = slice % 2 == 0 ? turn : subjects.size() - 1 - turn;
        auto run = bench::measure(subjects[at], plan, options.events, observer);
        if (!run) return Failure(subjects[at].name + ": " + run.error());
        runs[at] = std::move(*run);
    }
    return runs;
}

// One workload on all servers.
tl::expected<Runs, std::string> run_workload(const bench::Options& options, const Session& session,
                                             const bench::LoadPlan& plan,
                                             const bench::Observer& observer) {
    const bool compares = session.subjects.size() > 1;
    const unsigned slices = compares ? options.slices : 1;
    Runs runs;
    for (unsigned slice = 0; slice < slices && !interrupted; ++slice) {
        auto own = plan;
        own.duration_ns = plan.duration_ns / slices;
        own.requests = plan.requests / slices;
        own.seed = plan.seed + slice;
        auto more = run_slice(options, session, own, slice, observer);
        if (!more) return Failure(more.error());
        // Half a slice compares nothing.
        if (compares && interrupted) break;
        if (slice == 0) runs = std::move(*more);
        for (std::size_t i = 0; slice != 0 && i < runs.size(); ++i)
            bench::append(runs[i], std::move((*more)[i]));
    }
    if (runs.empty() || runs.front().outcome.seconds <= 0)
        return Failure("interrupted before anything was measured");
    return runs;
}

bool write_file(const std::string& path, const std::string& text) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    if (!file.fail()) return true;
    (void)could_not(path + ": it cannot be written");
    return false;
}

bool write_results(const bench::Options& options, std::span<const bench::Run> runs,
                   std::span<const bench::Comparison> comparisons) {
    std::string json;
    if (!options.json_file.empty() || !options.html_file.empty())
        json = bench::json_report(runs, comparisons);
    const auto write = [](const std::string& path, auto&& text) {
        return path.empty() || write_file(path, text());
    };
    const bool json_is_written = write(options.json_file, [&] { return json; });
    const bool html_is_written = write(options.html_file, [&] { return bench::html_report(json); });
    const bool csv_is_written = write(options.csv_file, [&] { return bench::csv_report(runs); });
    return json_is_written && html_is_written && csv_is_written;
}

// Better to hear of it now than when an hour of measuring is to be written down.
bool can_write_results(const bench::Options& options) {
    for (const auto* path : {&options.json_file, &options.html_file, &options.csv_file}) {
        if (path->empty()) continue;
        std::ofstream file(*path, std::ios::binary | std::ios::app);
        if (file.is_open()) continue;
        (void)could_not(*path + ": it cannot be written: " + std::strerror(errno));
        return false;
    }
    return true;
}

// As many descriptors as connections want, and some for us; connect() tells if they are too few.
void raise_descriptor_limit(unsigned connections) {
    constexpr rlim_t kOwn = 256;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = std::clamp<rlim_t>(connections + kOwn, limit.rlim_cur, limit.rlim_max);
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

int run(bench::Options& options) {
    if (!can_write_results(options)) return 1;
    raise_descriptor_limit(options.plan.connections);
    const auto session = open_session(options);
    if (!session) return could_not(session.error());
    if (options.loads_first)
        for (const auto& subject : session->subjects)
            if (const auto loaded = load_keys(options, subject); !loaded)
                return could_not(loaded.error());
    using Kind = bench::Screen::Kind;
    bench::Screen screen(options.quiet                  ? Kind::silent
                         : ::isatty(STDOUT_FILENO) != 0 ? Kind::terminal
                                                        : Kind::lines);
    const bench::Observer observer{
        .look = [&](const bench::Progress& progress) { screen.look(progress); },
        .interrupted = &interrupted};
    std::vector<bench::Run> all;
    std::vector<bench::Comparison> comparisons;
    for (auto& workload : options.workloads) {
        auto plan = options.plan;
        plan.workload = std::move(workload);
        auto runs = run_workload(options, *session, plan, observer);
        screen.clear();
        if (!runs) {
            // What was measured before is not lost.
            (void)could_not(runs.error());
            if (!all.empty()) (void)write_results(options, all, comparisons);
            return 1;
        }
        print(bench::describe(plan) + "\n");
        for (const auto& run : *runs) print(bench::text_report(run));
        for (std::size_t i = 1; i < runs->size(); ++i) {
            comparisons.push_back(bench::compare(runs->front(), (*runs)[i]));
            print(bench::text_of(comparisons.back()));
        }
        for (auto& run : *runs) all.push_back(std::move(run));
        if (interrupted) break;
    }
    return write_results(options, all, comparisons) ? 0 : 1;
}

}  // namespace

int bench(Arguments arguments) {
    auto options = bench::parse_options(arguments);
    if (!options) return could_not(options.error() + "; firnlog bench --help tells more");
    if (options->help) {
        print(std::string(bench::help_text()));
        return 0;
    }
    struct sigaction action {};
    action.sa_handler = on_signal;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    return run(*options);
}

}  // namespace firnlog::server::cli
