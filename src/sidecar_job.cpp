#include "src/sidecar_job.hpp"

#include <algorithm>
#include <chrono>
#include <new>

#include "io/base/thread.hpp"
#include "src/logger.hpp"
#include "src/recall.hpp"
#include "src/server.hpp"

namespace firnlog::server {
namespace {

// How far drafts are behind the log while it is written to, at a rate that allows it.
constexpr std::int64_t kNapUs = 500'000;
// Behind a pass that met what it could not read: the next one may meet it again.
constexpr std::int64_t kFaultNapUs = 10'000'000;
// What is missing may take hours; the log's end, and the disk, are looked at in between.
constexpr std::int64_t kPassUsMax = 5'000'000;

}  // namespace

Result<void> SidecarJob::reads(io::Files& store) {
    files_ = &store;
    auto& engine = server_.engine();
    sidecars_ = std::make_unique<recovery::Sidecars>(
        store, engine.store_id, engine.keyspace().hasher,
        [&recall = server_.recall()] { return recall.stopping(); });
    sidecars_->may_write(may_write(engine.walk.status()));
    auto started = start_thread([this] { work(); });
    if (!started) return fail(started);
    thread_ = std::move(*started);
    return {};
}

void SidecarJob::stop() {
    {
        const std::lock_guard guard(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

recovery::Serving SidecarJob::serving() {
    ensure(sidecars_ != nullptr, "whoever reads the past knows that there is a store");
    return {.end = server_.engine().log.durable(), .sidecars = *sidecars_};
}

SidecarJob::Status SidecarJob::status() const {
    Status status;
    if (sidecars_ != nullptr) status.told = sidecars_->told();
    const std::lock_guard guard(mutex_);
    status.shed = shed_;
    status.error = error_;
    return status;
}

// False: the server stops.
bool SidecarJob::sleep(std::int64_t us) {
    Guard guard(mutex_);
    if (!stopping_) changed_.wait_for(guard, std::chrono::microseconds(us));
    return !stopping_;
}

// So many bytes may be read, once those before them have had their time. Not if a pass has taken
// long, or may not write any more: then the next one looks at all anew.
bool SidecarJob::pace(std::uint64_t bytes) {
    for (;;) {
        const auto rate = server_.config().sidecar_rate;
        if (rate == 0) return false;
        const auto now_us = server_.clock().mono().us;
        if (now_us - pass_began_us_ > kPassUsMax) return false;
        const auto walk = server_.engine().walk.status();
        if (!has_room(walk) || !may_write(walk)) return false;
        const auto piece_us = static_cast<std::int64_t>(bytes * 1'000'000 / rate);
        next_us_ = std::min(next_us_, now_us + piece_us);
        if (next_us_ <= now_us) {
            // What was not used is lost: no burst follows a pause.
            next_us_ = now_us + piece_us;
            return sleep(0);
        }
        if (!sleep(std::min(next_us_ - now_us, kNapUs))) return false;
    }
}

// They go when the disk is on the way to where history is cut back, and come again when it is far
// from there.
bool SidecarJob::has_room(const engine::Walk::Status& walk) {
    const auto& marks = walk.marks;
    const std::lock_guard guard(mutex_);
    if (marks.high == 0) return !shed_;
    if (walk.full || walk.free_bytes < marks.low + (marks.high - marks.low) / 2)
        shed_ = true;
    else if (walk.free_bytes > marks.high + marks.low)
        shed_ = false;
    return !shed_;
}

// Where no past is kept none is worth a sidecar.
bool SidecarJob::may_write(const engine::Walk::Status& walk) const {
    return server_.config().sidecar_rate != 0 && walk.window.keeps_any();
}

void SidecarJob::work() {
    give_way();
    nap_us_ = kNapUs;
    while (sleep(nap_us_)) {
        try {
            turn();
        } catch (const std::bad_alloc&) {
            note("no memory");
        }
    }
}

void SidecarJob::turn() {
    const auto walk = server_.engine().walk.status();
    const bool room = has_room(walk);
    const bool may = room && may_write(walk);
    const auto durable = server_.engine().log.durable();
    const bool nothing_new = durable == seen_ && sidecars_->told().missing == 0;
    const bool idle = may == could_write_ && (nothing_new || !may);
    could_write_ = may;
    sidecars_->may_write(may);
    if (!room) (void)sidecars_->shed();
    server_.engine().walk.beside(sidecars_->told().bytes);
    if (idle) return;
    seen_ = durable;
    pass();
}

void SidecarJob::pass() {
    pass_began_us_ = server_.clock().mono().us;
    std::string error;
    const auto history = recovery::History::read(*files_, serving());
    // A file that went meanwhile is none that anybody needs.
    if (!history) {
        if (history.error().error.code != Code::missing) error = history.error().text;
    } else {
        const auto passed = sidecars_->pass((*history)->stretches(),
                                            [this](std::uint64_t bytes) { return pace(bytes); });
        if (!passed && passed.error().code != Code::missing) error = passed.error().text();
    }
    note(std::move(error));
}

void SidecarJob::note(std::string error) {
    nap_us_ = error.empty() ? kNapUs : kFaultNapUs;
    const std::lock_guard guard(mutex_);
    if (!error.empty() && error != error_) logger::warning("sidecars: " + error);
    error_ = std::move(error);
}

}  // namespace firnlog::server
