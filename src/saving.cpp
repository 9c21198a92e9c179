#include "src/saving.hpp"

#include <algorithm>
#include <iterator>

#include "engine/engine.hpp"
#include "src/logger.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"

namespace firnlog::server {

Saving::Asked Saving::ask_locked(Name name, bool schedule, bool hurry, std::uint64_t& walk) {
    auto& job = server_.engine().walk;
    if (job.status().paused) return Asked::paused;
    const auto request = job.request(schedule, hurry);
    walk = request.walk;
    switch (request.asked) {
        case engine::Walk::Asked::started:
            if (name == Name::rewrite) rewrite_.store(walk, std::memory_order_relaxed);
            return Asked::started;
        case engine::Walk::Asked::scheduled:
            if (name == Name::rewrite) rewrite_.store(walk, std::memory_order_relaxed);
            return Asked::scheduled;
        case engine::Walk::Asked::running:
            break;
    }
    return this->name() == Name::save ? Asked::save_runs : Asked::rewrite_runs;
}

Saving::Asked Saving::ask(Name name, bool schedule) {
    const std::lock_guard guard(mutex_);
    std::uint64_t walk = 0;
    return ask_locked(name, schedule, false, walk);
}

Saving::Asked Saving::ask(Name name, bool schedule, Reactor& reactor,
                          std::function<void(Reactor&, bool)> done) {
    // Asked and noted under one lock: the walk may end before this thread runs on.
    const std::lock_guard guard(mutex_);
    std::uint64_t walk = 0;
    const auto asked = ask_locked(name, schedule, true, walk);
    if (asked == Asked::started || asked == Asked::scheduled)
        waiters_.push_back({.walk = walk, .reactor = &reactor, .done = std::move(done)});
    return asked;
}

void Saving::finished(bool good) {
    const auto status = server_.engine().walk.status();
    if (good)
        logger::notice("checkpoint: keys=" + std::to_string(status.keys) +
                       " bytes=" + std::to_string(status.bytes) +
                       " ms=" + std::to_string(status.last_us / 1000) + " lo=" +
                       std::to_string(status.lo.value) + " hi=" + std::to_string(status.hi.value));
    if (good && status.last_cut_bytes != 0)
        logger::warning(
            "history: cut back for lack of space: bytes=" + std::to_string(status.last_cut_bytes) +
            " oldest_lsn=" + std::to_string(status.oldest.value));
    if (good && status.bases < engine::kBasesMin)
        logger::warning("checkpoint: the disk is full: the one before it was given up");
    if (!good)
        logger::warning("checkpoint: failed: " +
                        (status.error ? status.error->text() : std::string("abandoned")));
    std::vector<Waiter> answered;
    {
        const std::lock_guard guard(mutex_);
        if (rewrite_.load(std::memory_order_relaxed) == status.begun)
            rewrites_.fetch_add(1, std::memory_order_relaxed);
        const auto behind =
            std::stable_partition(waiters_.begin(), waiters_.end(),
                                  [&](const Waiter& waiter) { return waiter.walk > status.begun; });
        std::move(behind, waiters_.end(), std::back_inserter(answered));
        waiters_.erase(behind, waiters_.end());
    }
    for (auto& waiter : answered)
        waiter.reactor->post(
            [done = std::move(waiter.done), good](Reactor& here) { done(here, good); });
}

void Saving::watch() {
    const auto& engine = server_.engine();
    const auto due = engine.options.walk.log_bytes;
    if (due == 0) return;
    const auto status = engine.walk.status();
    const auto behind = status.log_bytes / due;
    // The first comes while the next one grows.
    if (behind < 2) {
        told_behind_ = 1;
        return;
    }
    if (behind <= told_behind_) return;
    told_behind_ = behind;
    const auto now_us = server_.clock().mono().us;
    const bool walking = status.phase != engine::WalkPhase::idle;
    logger::warning("checkpoint: behind: log_bytes=" + std::to_string(status.log_bytes) +
                    " due_bytes=" + std::to_string(due) + " phase=" +
                    std::string(name_of(status.phase)) + " paused=" + (status.paused ? "1" : "0") +
                    " ms=" + std::to_string(walking ? (now_us - status.began_us) / 1000 : 0) +
                    " failed=" + std::to_string(status.failed_in_row));
}

Saving::Name Saving::name() const {
    const auto status = server_.engine().walk.status();
    const auto walk = status.phase == engine::WalkPhase::idle ? status.begun + 1 : status.begun;
    return rewrite_.load(std::memory_order_relaxed) == walk ? Name::rewrite : Name::save;
}

bool Saving::rewrite_scheduled() const {
    const auto status = server_.engine().walk.status();
    return status.phase != engine::WalkPhase::idle &&
           rewrite_.load(std::memory_order_relaxed) > status.begun;
}

std::int64_t Saving::last_s() const {
    const auto taken_us = server_.engine().walk.status().taken_us;
    return (taken_us != 0 ? taken_us : server_.started_wall_us) / 1'000'000;
}

}  // namespace firnlog::server
