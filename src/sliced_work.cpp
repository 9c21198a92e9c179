#include "src/sliced_work.hpp"

#include <chrono>
#include <new>
#include <thread>

#include "src/cold_read.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"

namespace firnlog::server {
namespace {

// As long as a reactor is busy with it before it looks at its clients again.
constexpr std::int64_t kSliceUs = 200;
constexpr auto kLook = std::chrono::milliseconds(100);
// Until the log has room, or the clients may write again.
constexpr auto kTryAgain = std::chrono::milliseconds(1);

}  // namespace

SlicedWork::SlicedWork(Reactor& home, Unit unit)
    : home_(home), unit_(std::move(unit)), session_(home.server().engine()) {}

std::shared_ptr<SlicedWork> SlicedWork::start(Reactor& home, Unit unit) {
    auto work = std::make_shared<SlicedWork>(home, std::move(unit));
    work->post();
    return work;
}

void SlicedWork::post() {
    home_.post([self = shared_from_this()](Reactor&) { self->slice(); });
}

std::optional<engine::Expected<void>> SlicedWork::wait(const std::function<bool()>& give_up) {
    for (;;) {
        {
            std::unique_lock guard(mutex_);
            while (!how_) {
                if (give_up()) return std::nullopt;
                ended_.wait_for(guard, kLook, [this] { return how_.has_value(); });
            }
            if (*how_ || how_->error() != engine::Stop::wait) return how_;
            how_.reset();
        }
        if (give_up()) return std::nullopt;
        std::this_thread::sleep_for(kTryAgain);
        post();
    }
}

void SlicedWork::slice() {
    auto& server = home_.server();
    const auto began = server.clock().mono().us;
    // What holds up the clients' writes holds up these.
    if (server.paused_until_us.load(std::memory_order_relaxed) > began ||
        !server.memory_bound.refusal().empty())
        return end(tl::unexpected(engine::Stop::wait));
    std::vector<KeyspaceEvent> events;
    for (bool more = true; more;) {
        session_.warm = std::move(warm_);
        warm_.clear();
        const auto done = run(events);
        tell(events);
        if (!done) {
            warm_ = std::move(session_.warm);
            if (done.error() == engine::Stop::cold) return read_cold();
            return end(tl::unexpected(done.error()));
        }
        session_.reset();
        more = *done;
        if (more && server.clock().mono().us - began > kSliceUs) return post();
    }
    end({});
}

engine::Expected<bool> SlicedWork::run(std::vector<KeyspaceEvent>& events) {
    try {
        auto done = unit_(session_, events);
        ensure(!session_.begun(), "a unit ends its session");
        return done;
    } catch (const std::bad_alloc&) {
        // As of a command: what has begun to change something has memory to end.
        if (session_.begun()) {
            ensure(session_.changes() == 0, "a unit that was stopped has changed nothing");
            (void)session_.end();
        }
        return tl::unexpected(engine::Stop::no_memory);
    }
}

void SlicedWork::tell(std::vector<KeyspaceEvent>& events) {
    auto& told = home_.dispatcher().events;
    const auto kinds = home_.server().config().notify_keyspace_events;
    for (auto& expired : session_.events)
        if ((kinds & kNotifyExpired) != 0)
            told.push_back({.kind = kNotifyExpired,
                            .event = "expired",
                            .key = std::move(expired.key),
                            .database = expired.database});
    session_.events.clear();
    for (auto& event : events)
        if ((kinds & event.kind) != 0) told.push_back(std::move(event));
    events.clear();
    home_.dispatcher().publish_events();
}

void SlicedWork::read_cold() {
    auto& engine = home_.server().engine();
    for (const auto& cold : session_.cold()) {
        const auto done = [self = shared_from_this()](engine::Warm warm) {
            self->warm_.push_back(std::move(warm));
            if (--self->reads_in_flight_ == 0) self->post();
        };
        if (read_record(engine, home_.io(), cold, done)) ++reads_in_flight_;
    }
    // What was moved meanwhile is found where it is now.
    if (reads_in_flight_ == 0) post();
}

void SlicedWork::end(engine::Expected<void> how) {
    const std::lock_guard guard(mutex_);
    how_ = how;
    ended_.notify_one();
}

}  // namespace firnlog::server
