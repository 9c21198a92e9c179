#include "src/bench/measure.hpp"

#include <chrono>
#include <memory>
#include <thread>

#include "src/bench/time.hpp"

namespace firnlog::bench {
namespace {

constexpr std::chrono::milliseconds kLookEvery{10};
constexpr std::uint64_t kShowEveryNs = 100'000'000;
// An event may block its connection as long as it takes.
constexpr std::chrono::hours kEventPatience{1};
// And when the load is over its end is still waited for, so long.
constexpr std::uint64_t kEventEndPatienceNs = 120'000'000'000;

// Reads the server's counters when the measured part begins and when it ends, and its memory
// between. The moments are those when we looked, so that what was used is divided by that time.
class ServerWatch {
  public:
    ServerWatch(std::optional<pid_t> pid, const LoadPlan& plan, std::uint64_t from_ns)
        : pid_(pid), from_ns_(from_ns), until_ns_(from_ns + plan.duration_ns) {}

    void look(bool running) {
        const auto now = now_ns();
        if (!pid_ || end_ns_ != 0 || now < from_ns_) return;
        const bool ends = !running || now >= until_ns_;
        if (begin_ns_ != 0 && !ends && now < shown_ns_ + kShowEveryNs) return;
        shown_ns_ = now;
        const auto counters = read_counters(*pid_);
        if (!counters) return;
        rss_bytes_max_ = std::max(rss_bytes_max_, counters->rss_bytes);
        anonymous_bytes_max_ = std::max(anonymous_bytes_max_, counters->anonymous_bytes);
        if (begin_ns_ == 0) {
            begin_ = *counters;
            begin_ns_ = now;
        } else if (ends) {
            end_ = *counters;
            end_ns_ = now;
        }
    }

    [[nodiscard]] std::optional<ServerFigures> figures(const LoadOutcome& outcome) const {
        if (begin_ns_ == 0 || end_ns_ <= begin_ns_) return std::nullopt;
        const double seconds = static_cast<double>(end_ns_ - begin_ns_) * 1e-9;
        ServerFigures figures{.pid = *pid_};
        figures.cpu_cores = (end_.cpu_seconds - begin_.cpu_seconds) / seconds;
        if (outcome.rate() > 0)
            figures.cpu_us_per_request = figures.cpu_cores * 1e6 / outcome.rate();
        figures.written_bytes = end_.written_bytes - begin_.written_bytes;
        figures.written_bytes_per_s = static_cast<double>(figures.written_bytes) / seconds;
        figures.minor_faults = end_.minor_faults - begin_.minor_faults;
        figures.major_faults = end_.major_faults - begin_.major_faults;
        figures.rss_bytes = end_.rss_bytes;
        figures.rss_bytes_max = rss_bytes_max_;
        figures.anonymous_bytes_max = anonymous_bytes_max_;
        return figures;
    }

  private:
    std::optional<pid_t> pid_;
    std::uint64_t from_ns_;
    std::uint64_t until_ns_;
    std::uint64_t shown_ns_ = 0;
    ProcCounters begin_;
    ProcCounters end_;
    std::uint64_t begin_ns_ = 0;  // 0: not yet
    std::uint64_t end_ns_ = 0;
    std::uint64_t rss_bytes_max_ = 0;
    std::uint64_t anonymous_bytes_max_ = 0;
};

}  // namespace

tl::expected<Run, std::string> measure(const Subject& subject, LoadPlan plan,
                                       std::vector<Event> events, const Observer& observer) {
    plan.target = subject.target;
    Windows windows(events.size());
    if (!events.empty()) plan.windows = &windows;
    std::unique_ptr<EventRunner> runner;
    std::optional<Link> link;
    if (!events.empty()) {
        auto opened = Link::open(subject.target, kEventPatience);
        if (!opened) return tl::unexpected(opened.error());
        link = std::move(*opened);
    }
    auto started = Load::start(plan);
    if (!started) return tl::unexpected(started.error());
    Load& load = **started;
    if (link)
        runner = std::make_unique<EventRunner>(std::move(events), std::move(*link), windows,
                                               load.measured_from_ns());
    ServerWatch watch(subject.pid, plan, load.measured_from_ns());
    std::uint64_t shown_ns = 0;
    const auto is_interrupted = [&] {
        return observer.interrupted != nullptr && observer.interrupted->load();
    };
    while (load.running()) {
        std::this_thread::sleep_for(kLookEvery);
        watch.look(true);
        if (is_interrupted()) load.stop();
        if (now_ns() < shown_ns + kShowEveryNs) continue;
        shown_ns = now_ns();
        load.collect();
        if (observer.look)
            observer.look({.subject = subject,
                           .load = load,
                           .under_way = runner ? runner->under_way() : std::string()});
    }
    watch.look(false);
    Run run{.server = subject.name};
    if (runner) {
        runner->fire_no_more();
        const auto until_ns = now_ns() + kEventEndPatienceNs;
        while (!is_interrupted() && now_ns() < until_ns && !runner->idle())
            std::this_thread::sleep_for(kLookEvery);
        run.events = runner->stop();
    }
    auto outcome = load.finish();
    if (!outcome) return tl::unexpected(outcome.error());
    run.figures = watch.figures(*outcome);
    run.outcome = std::move(*outcome);
    run.plan = std::move(plan);
    run.plan.windows = nullptr;
    run.slices = {slice_of(run)};
    return run;
}

std::string describe_server(const Target& target) {
    auto name = target.text();
    auto link = Link::open(target, Link::Milliseconds(5000));
    if (!link) return name;
    const auto info = link->ask({"INFO", "server"});
    if (!info || info->error) return name;
    for (const auto* field : {"firnlog_version", "valkey_version", "redis_version"}) {
        const auto version = info_field(info->text, field);
        if (version.empty()) continue;
        const std::string_view product(field);
        std::string text(product.substr(0, product.find('_')));
        ((text += ' ') += version) += " at ";
        return text += name;
    }
    return name;
}

}  // namespace firnlog::bench
