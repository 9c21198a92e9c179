#include "src/bench/load.hpp"

#include <algorithm>

#include "io/base/ensure.hpp"
#include "src/bench/time.hpp"
#include "src/bench/worker.hpp"

namespace firnlog::bench {
namespace {

constexpr std::chrono::seconds kConnectPatience{10};
// From here on all threads begin together.
constexpr std::uint64_t kStartInNs = 20'000'000;

void merge(Sparse& into, const Sparse& other) {
    if (other.cells.empty()) return;
    constexpr auto kCounts = (std::uint64_t{1} << Sparse::kCountBits) - 1;
    Sparse merged{.cells = {}, .max = std::max(into.max, other.max)};
    merged.cells.reserve(into.cells.size() + other.cells.size());
    auto one = into.cells.begin();
    auto two = other.cells.begin();
    while (one != into.cells.end() && two != other.cells.end()) {
        const auto left = *one >> Sparse::kCountBits;
        const auto right = *two >> Sparse::kCountBits;
        if (left == right)
            merged.cells.push_back(*one++ + (*two++ & kCounts));
        else
            merged.cells.push_back(left < right ? *one++ : *two++);
    }
    merged.cells.insert(merged.cells.end(), one, into.cells.end());
    merged.cells.insert(merged.cells.end(), two, other.cells.end());
    into = std::move(merged);
}

}  // namespace

void add(Slot& to, const Slot& from) {
    to.answered += from.answered;
    for (std::size_t i = 0; i < to.by_operation.size(); ++i) {
        to.errors[i] += from.errors[i];
        merge(to.by_operation[i], from.by_operation[i]);
    }
    merge(to.lateness, from.lateness);
}

std::uint64_t LoadOutcome::errors() const {
    std::uint64_t errors = 0;
    for (const auto& operation : operations) errors += operation.errors;
    return errors;
}

Load::Load(LoadPlan plan) : plan_(std::move(plan)), shared_(plan_.threads) {}

Load::~Load() { stop(); }

tl::expected<std::unique_ptr<Load>, std::string> Load::start(LoadPlan plan) {
    ensure(!plan.workload.entries.empty() && plan.pipeline > 0 && plan.threads > 0 &&
               plan.connections >= plan.threads,
           "a load has something to do, and somebody who does it");
    auto load = std::unique_ptr<Load>(new Load(std::move(plan)));
    const LoadPlan& own = load->plan_;
    std::vector<std::vector<Link>> links(own.threads);
    for (unsigned i = 0; i < own.connections; ++i) {
        auto link = Link::open(own.target, kConnectPatience);
        if (!link) return tl::unexpected(link.error());
        links[i % own.threads].push_back(std::move(*link));
    }
    load->shared_.population.store(own.keys.count);
    load->running_.store(own.threads);
    for (unsigned turn = 0; turn < own.threads; ++turn) {
        std::vector<int> descriptors;
        for (auto& link : links[turn]) descriptors.push_back(link.release());
        load->workers_.push_back(
            std::make_unique<Worker>(own, load->shared_, turn, std::move(descriptors)));
    }
    for (const auto& worker : load->workers_)
        load->threads_.emplace_back([worker = worker.get(), &running = load->running_] {
            worker->run();
            running.fetch_sub(1);
        });
    load->shared_.ready.wait();
    load->shared_.start_ns = now_ns() + kStartInNs;
    load->shared_.go.count_down();
    return load;
}

std::uint64_t Load::measured_from_ns() const { return shared_.start_ns + plan_.warmup_ns; }

void Load::collect() {
    std::vector<Slot> fresh;
    {
        const std::lock_guard guard(shared_.mutex);
        fresh.swap(shared_.slots);
    }
    for (auto& slot : fresh) {
        // Threads hand over within moments of each other, so the place is near the end.
        auto at = slots_.end();
        while (at != slots_.begin() && (at - 1)->number >= slot.number) --at;
        if (at != slots_.end() && at->number == slot.number)
            add(*at, slot);
        else
            slots_.insert(at, std::move(slot));
    }
}

tl::expected<LoadOutcome, std::string> Load::finish() {
    threads_.clear();
    collect();
    LoadOutcome outcome;
    for (const auto& entry : plan_.workload.entries)
        outcome.operations.push_back({.name = entry.operation.name()});
    if (plan_.windows != nullptr) outcome.inside.resize(plan_.windows->size());
    auto end_ns = measured_from_ns() + plan_.duration_ns;
    std::uint64_t last_answer_ns = 0;
    for (const auto& worker : workers_) {
        const auto& part = worker->outcome();
        if (!part.failure.empty()) return tl::unexpected(part.failure);
        for (std::size_t i = 0; i < outcome.operations.size(); ++i) {
            auto& operation = outcome.operations[i];
            operation.errors += part.operations[i].errors;
            operation.nulls += part.operations[i].nulls;
            if (operation.first_error.empty())
                operation.first_error = part.operations[i].first_error;
        }
        for (std::size_t i = 0; i < outcome.inside.size(); ++i)
            outcome.inside[i].add(part.inside[i]);
        outcome.outside.add(part.outside);
        outcome.answered += part.answered;
        outcome.unanswered += part.unanswered;
        outcome.connections_lost += part.connections_lost;
        outcome.busy.push_back(part.busy);
        last_answer_ns = std::max(last_answer_ns, part.last_answer_ns);
        if (part.stopped_ns != 0) end_ns = std::min(end_ns, part.stopped_ns);
    }
    // A load that ends by number ends with its last reply.
    if (plan_.requests != 0) end_ns = std::min(end_ns, last_answer_ns);
    outcome.seconds =
        end_ns > measured_from_ns() ? static_cast<double>(end_ns - measured_from_ns()) * 1e-9 : 0;
    for (const auto& slot : slots_) {
        for (std::size_t i = 0; i < outcome.operations.size(); ++i)
            outcome.operations[i].latency.add(slot.by_operation[i]);
        outcome.lateness.add(slot.lateness);
    }
    for (const auto& operation : outcome.operations) outcome.all.add(operation.latency);
    outcome.slots = std::move(slots_);
    return outcome;
}

}  // namespace firnlog::bench
