#include "src/forget.hpp"

#include <chrono>
#include <memory>
#include <mutex>
#include <new>
#include <thread>

#include "engine/ops/keys.hpp"
#include "recovery/holders.hpp"
#include "recovery/put_back.hpp"
#include "src/archive_job.hpp"
#include "src/backup_job.hpp"
#include "src/logger.hpp"
#include "src/parked.hpp"
#include "src/pasts.hpp"
#include "src/reactor.hpp"
#include "src/recall.hpp"
#include "src/server.hpp"
#include "src/sliced_work.hpp"

namespace firnlog::server {
namespace {

using engine::Expected;
using engine::Session;
using engine::Stop;

constexpr auto kLook = std::chrono::milliseconds(20);
// Until another segment is ready.
constexpr auto kPatience = std::chrono::seconds(30);

std::string text_of_stop(Stop why) {
    switch (why) {
        case Stop::no_space:
            return "NOSPACE the disk is full: nothing was forgotten";
        case Stop::io_error:
            return "IOERR writing or syncing the log failed: nothing was forgotten";
        case Stop::corrupt:
            return "CORRUPT the value's bytes are damaged on disk, so it cannot be written anew; "
                   "FIRN FORGET key WITH LIVE needs no value";
        case Stop::too_big:
            return "ERR the value is larger than one batch may be, so it cannot be written anew; "
                   "FIRN FORGET key WITH LIVE needs no value";
        case Stop::loading:
            return "LOADING a damaged page of the index is made anew: nothing was forgotten";
        case Stop::lost:
            return "CORRUPT a damaged page of the index could not be made anew: nothing was "
                   "forgotten";
        case Stop::no_memory:
            return "OOM there is no memory to write the value anew: nothing was forgotten";
        default:
            return "ERR forgetting was stopped";
    }
}

// What the job and the reactor share: unit after unit.
struct Writing {
    ForgetWish wish;
    enum class Next : std::uint8_t { key, parked, rest };
    Next next = Next::key;
    std::vector<std::uint32_t> slots;
    engine::ForgetOrder order;
};

Expected<bool> take_out(Session& live, const ForgetWish& wish, std::uint32_t database) {
    const std::string_view key = wish.key;
    live.begin({&key, 1}, database);
    auto gone = engine::keys::remove(live, key);
    (void)live.end();
    return gone;
}

// While the key is locked nothing of it is written before the place that is taken here.
Expected<void> write_key(Writing& writing, Session& live, std::vector<KeyspaceEvent>& events) {
    const auto& wish = writing.wish;
    const std::string_view key = wish.key;
    auto& tail = live.engine().log.tail;
    live.begin({&key, 1}, wish.database);
    const auto before = tail.batch_end();
    const auto done =
        wish.with_live ? engine::keys::remove(live, key) : recovery::write_anew(live, key);
    (void)live.end();
    if (!done) return tl::unexpected(done.error());
    if (*done && wish.with_live)
        events.push_back(
            {.kind = kNotifyGeneric, .event = "del", .key = wish.key, .database = wish.database});
    writing.order = {
        .key = wish.key, .database = wish.database, .before = before, .durable = tail.batch_end()};
    return {};
}

Expected<bool> write_next(Writing& writing, Session& live, const Parked& parked,
                          std::vector<KeyspaceEvent>& events) {
    switch (writing.next) {
        case Writing::Next::key:
            if (auto written = write_key(writing, live, events); !written)
                return tl::unexpected(written.error());
            writing.next = Writing::Next::parked;
            return true;
        case Writing::Next::parked:
            live.begin_all(writing.wish.database);
            writing.slots = parked.slots_of(writing.wish.database);
            (void)live.end();
            writing.next = Writing::Next::rest;
            return !writing.slots.empty();
        case Writing::Next::rest:
            break;
    }
    if (const auto gone = take_out(live, writing.wish, writing.slots.back()); !gone)
        return tl::unexpected(gone.error());
    writing.slots.pop_back();
    writing.order.durable = live.engine().log.tail.batch_end();
    return !writing.slots.empty();
}

}  // namespace

std::string_view name_of(ForgetTold::State state) {
    switch (state) {
        case ForgetTold::State::none:
            return "none";
        case ForgetTold::State::writing:
            return "writing";
        case ForgetTold::State::erasing:
            return "erasing";
        case ForgetTold::State::looking:
            return "looking";
        case ForgetTold::State::done:
            return "done";
        case ForgetTold::State::failed:
            return "failed";
    }
    return "";
}

std::string_view name_of(ForgetTold::Archive archive) {
    switch (archive) {
        case ForgetTold::Archive::none:
            return "none";
        case ForgetTold::Archive::clean:
            return "clean";
        case ForgetTold::Archive::holds:
            return "holds";
        case ForgetTold::Archive::unknown:
            return "unknown";
    }
    return "";
}

ForgetTold Forget::told() const {
    const auto erased = server_.engine().walk.forgetting().told;
    const std::lock_guard guard(mutex_);
    auto told = told_;
    if (told.state == ForgetTold::State::erasing) told.erased = erased;
    const bool ended = told.state == ForgetTold::State::none ||
                       told.state == ForgetTold::State::done ||
                       told.state == ForgetTold::State::failed;
    if (!ended) told.took_us = server_.clock().mono().us - told.began_us;
    return told;
}

void Forget::enter(ForgetTold::State state) {
    const std::lock_guard guard(mutex_);
    told_.state = state;
}

tl::expected<engine::ForgetOrder, std::string> Forget::write(Reactor& home,
                                                             const ForgetWish& wish) {
    const auto writing = std::make_shared<Writing>();
    writing->wish = wish;
    const auto work = SlicedWork::start(
        home,
        [writing, &parked = server_.parked()](Session& live, std::vector<KeyspaceEvent>& events) {
            return write_next(*writing, live, parked, events);
        });
    const auto done = work->wait([this] { return server_.recall().stopping(); });
    if (!done) return tl::unexpected(text_of_stop(Stop::wait));
    if (!*done) return tl::unexpected(text_of_stop(done->error()));
    return writing->order;
}

tl::expected<void, std::string> Forget::end_segment(Reactor& home) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < until) {
        const auto ended = std::make_shared<bool>(false);
        const auto work =
            SlicedWork::start(home, [ended](Session& live, std::vector<KeyspaceEvent>&) {
                auto& tail = live.engine().log.tail;
                const std::lock_guard guard(tail.lock);
                *ended = tail.end_segment();
                return Expected<bool>(false);
            });
        const auto done = work->wait([this] { return server_.recall().stopping(); });
        if (!done) return tl::unexpected(text_of_stop(Stop::wait));
        if (*done && *ended) return {};
        std::this_thread::sleep_for(kLook);
    }
    return tl::unexpected(
        std::string("NOSPACE no other segment of the log could be made ready: nothing was "
                    "forgotten"));
}

tl::expected<void, std::string> Forget::erase(const engine::ForgetOrder& order) {
    using State = engine::Walk::Forgetting::State;
    auto& walk = server_.engine().walk;
    if (!walk.forget(order))
        return tl::unexpected(std::string("ERR another key is being forgotten"));
    for (;;) {
        const auto now = walk.forgetting();
        if (now.state != State::running) {
            const std::lock_guard guard(mutex_);
            told_.erased = now.told;
            if (now.state == State::done) return {};
            if (now.state == State::stopped) return tl::unexpected(text_of_stop(Stop::wait));
            const auto& error = *now.error;
            const bool full = error.code == Code::no_space;
            return tl::unexpected((full ? "NOSPACE " : "ERR ") + error.text() +
                                  ": what was forgotten so far stays so, ask for the rest again");
        }
        // Nor does it wait for a walk that is paused.
        if (server_.recall().stopping()) {
            walk.stop_forgetting();
            return tl::unexpected(text_of_stop(Stop::wait));
        }
        std::this_thread::sleep_for(kLook);
    }
}

tl::expected<void, std::string> Forget::look_elsewhere(const engine::ForgetOrder& order) {
    const recovery::NameSought sought{.store_id = server_.engine().store_id,
                                      .key = order.key,
                                      .before = order.before,
                                      .give_up = [this] { return server_.recall().stopping(); }};
    recovery::Holders holders;
    if (auto* dir = server_.backups().dir()) {
        auto found = recovery::backups_with(*dir, sought);
        if (!found) return tl::unexpected("ERR the key is forgotten, but " + found.error().text());
        holders = std::move(*found);
    }
    using Archive = ForgetTold::Archive;
    auto archive = Archive::none;
    if (auto* dir = server_.archive().dir()) {
        const auto has = recovery::archive_has(*dir, sought);
        archive = !has ? Archive::unknown : *has ? Archive::holds : Archive::clean;
    } else if (server_.archive().status().mode == ArchiveJob::Mode::command) {
        archive = Archive::unknown;
    }
    const std::lock_guard guard(mutex_);
    told_.backups = std::move(holders.names);
    told_.backups_unread = std::move(holders.unread);
    told_.archive = archive;
    return {};
}

tl::expected<void, std::string> Forget::run_steps(Reactor& home, const ForgetWish& wish) {
    const auto order = write(home, wish);
    if (!order) return tl::unexpected(order.error());
    if (auto ended = end_segment(home); !ended) return ended;
    enter(ForgetTold::State::erasing);
    if (auto erased = erase(*order); !erased) return erased;
    // Who reads there has the files open still that have gone.
    server_.pasts().close_all();
    enter(ForgetTold::State::looking);
    return look_elsewhere(*order);
}

tl::expected<ForgetTold, std::string> Forget::run(Reactor& home, const ForgetWish& wish) {
    {
        const std::lock_guard guard(mutex_);
        told_ = {.state = ForgetTold::State::writing, .began_us = server_.clock().mono().us};
    }
    Outcome done;
    try {
        done = run_steps(home, wish);
    } catch (const std::bad_alloc&) {
        done = tl::unexpected(std::string("OOM there is no memory to forget"));
    }
    const std::lock_guard guard(mutex_);
    told_.state = done ? ForgetTold::State::done : ForgetTold::State::failed;
    told_.error = done ? std::string() : done.error();
    told_.took_us = server_.clock().mono().us - told_.began_us;
    // Its name is told to nobody.
    if (!done) {
        logger::warning("forget: " + told_.error);
        return tl::unexpected(done.error());
    }
    const auto& erased = told_.erased;
    logger::notice("forget: a key's history is gone, records=" + std::to_string(erased.records) +
                   " files=" + std::to_string(erased.files) +
                   " images=" + std::to_string(erased.images) +
                   " backups=" + std::to_string(told_.backups.size()));
    return told_;
}

}  // namespace firnlog::server
