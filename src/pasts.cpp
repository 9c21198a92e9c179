#include "src/pasts.hpp"

#include <algorithm>

#include "src/commands/past.hpp"
#include "src/connection.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"
#include "src/sidecar_job.hpp"

namespace firnlog::server {
namespace {

// Each holds an index of its own in memory.
constexpr std::size_t kOpenMax = 4;
// A moment that nobody reads stays as long, for whoever asks for the same again.
constexpr std::int64_t kUnusedUs = 10'000'000;
// A connection that asks for nothing is put out of the past.
constexpr std::int64_t kIdleUs = 600'000'000;

constexpr std::string_view kTooMany =
    "ERR too many moments of the past are read now, try again later or read one of them";

// Whether one that is open is good for that: a job cannot go on without a page.
bool will_do(OpenPast& past, Pasts::Stay stay) {
    return stay == Pasts::Stay::passing ? past.whole() : !past.damaged();
}

// Whether `asked` names one place for ever: an lsn does.
bool is_fixed(const recovery::Moment& asked) { return asked.what == recovery::Moment::What::lsn; }

}  // namespace

OpenPast::OpenPast(Server& server, std::unique_ptr<recovery::Past> past, recovery::Moment asked_for)
    : asked(std::move(asked_for)), server_(server), past_(std::move(past)) {
    server_.engine().walk.pin();
    past_->engine().on_corrupt = server_.engine().on_corrupt;
    used_us.store(server_.clock().mono().us, std::memory_order_relaxed);
}

OpenPast::~OpenPast() {
    past_.reset();
    server_.engine().walk.unpin();
}

Asof::Asof(std::shared_ptr<OpenPast> where)
    : past(std::move(where)), session(past->past().engine()) {
    past->connections.fetch_add(1, std::memory_order_relaxed);
}

Asof::~Asof() { past->connections.fetch_sub(1, std::memory_order_relaxed); }

std::shared_ptr<OpenPast> Pasts::find(const recovery::Moment& asked, Stay stay) const {
    if (!is_fixed(asked)) return nullptr;
    for (const auto& past : open_)
        if (is_fixed(past->asked) && past->asked.lsn == asked.lsn &&
            past->asked.timeline == asked.timeline && will_do(*past, stay))
            return past;
    return nullptr;
}

std::shared_ptr<OpenPast> Pasts::find(const recovery::Place& place, Stay stay) const {
    for (const auto& past : open_)
        if (past->place().lsn == place.lsn && past->place().us == place.us && will_do(*past, stay))
            return past;
    return nullptr;
}

bool Pasts::make_room(std::shared_ptr<OpenPast>& closing) {
    if (open_.size() + leaving_.size() < kOpenMax) return true;
    auto oldest = open_.end();
    for (auto it = open_.begin(); it != open_.end(); ++it)
        if (it->use_count() == 1 && (oldest == open_.end() || (*it)->used_us < (*oldest)->used_us))
            oldest = it;
    if (oldest == open_.end()) return false;
    closing = std::move(*oldest);
    open_.erase(oldest);
    return true;
}

tl::expected<std::shared_ptr<OpenPast>, std::string> Pasts::open(
    io::Files& files, const recovery::PastOptions& options, Stay stay) {
    const auto now_us = server_.clock().mono().us;
    const auto use = [now_us](std::shared_ptr<OpenPast> past) {
        past->used_us.store(now_us, std::memory_order_relaxed);
        return past;
    };
    {
        const std::lock_guard guard(mutex_);
        if (auto past = find(options.moment, stay)) return use(std::move(past));
    }
    auto live = options;
    live.serving.emplace(server_.sidecars().serving());
    const auto place = recovery::find_moment(files, options.moment, options.now_us, live.serving);
    if (!place) return tl::unexpected(text_of_refusal(place.error()));
    bool room = false;
    {
        std::shared_ptr<OpenPast> closing;
        const std::lock_guard guard(mutex_);
        if (auto past = find(*place, stay)) return use(std::move(past));
        // Where one checkpoint has turned out to be damaged, others are not believed unread.
        live.waits = stay == Stay::lasting &&
                     std::ranges::none_of(open_, [](auto& past) { return past->damaged(); });
        room = make_room(closing);
    }
    if (!room && stay == Stay::lasting) return tl::unexpected(std::string(kTooMany));
    auto opened = recovery::open_past(files, live);
    if (!opened) return tl::unexpected(text_of_refusal(opened.error()));
    auto past = std::make_shared<OpenPast>(server_, std::move(*opened), options.moment);
    if (room) {
        const std::lock_guard guard(mutex_);
        open_.push_back(past);
    }
    return past;
}

tl::expected<std::shared_ptr<OpenPast>, std::string> Pasts::open_for_key(
    io::Files& files, recovery::PastOptions options, const recovery::KeyWish& wish) {
    {
        const std::lock_guard guard(mutex_);
        if (auto past = find(options.moment, Stay::passing)) {
            past->used_us.store(server_.clock().mono().us, std::memory_order_relaxed);
            return past;
        }
    }
    options.serving.emplace(server_.sidecars().serving());
    auto opened = recovery::open_past_of_key(files, options, wish);
    if (!opened) return open(files, options, Stay::passing);
    return std::make_shared<OpenPast>(server_, std::move(*opened), options.moment);
}

void Pasts::tend() {
    const auto now_us = server_.clock().mono().us;
    const auto& engine = server_.engine();
    const auto walk = engine.walk.status();
    // Space that is short outranks them, too, where they keep some of it.
    const bool is_low = walk.free_bytes < walk.marks.low;
    const bool over = walk.history_bytes > walk.window.bytes_max(walk.live_bytes) || walk.held_up ||
                      (is_low && walk.history_bytes != 0);
    const bool look_for_cold = engine.reader.look_for_cold.load(std::memory_order_relaxed);
    std::vector<std::shared_ptr<OpenPast>> closing;
    {
        const std::lock_guard guard(mutex_);
        std::erase_if(open_, [&](const std::shared_ptr<OpenPast>& past) {
            past->past().engine().reader.look_for_cold.store(look_for_cold,
                                                             std::memory_order_relaxed);
            const auto unused_us = now_us - past->used_us.load(std::memory_order_relaxed);
            // Under the lock nobody begins to hold what only the list does.
            if (past.use_count() == 1 && (over || unused_us > kUnusedUs)) {
                closing.push_back(past);
                return true;
            }
            if (past->connections.load(std::memory_order_relaxed) == 0) return false;
            if (!over && unused_us <= kIdleUs) return false;
            leaving_.push_back(past);
            put_out(past);
            ++gone_;
            return true;
        });
        std::erase_if(leaving_, [&](const std::shared_ptr<OpenPast>& past) {
            if (past.use_count() != 1) return false;
            closing.push_back(past);
            return true;
        });
    }
    closing.clear();
}

void Pasts::close_all() {
    const std::lock_guard guard(mutex_);
    for (auto& past : open_) {
        if (past->connections.load(std::memory_order_relaxed) != 0) {
            put_out(past);
            ++gone_;
        }
        leaving_.push_back(std::move(past));
    }
    open_.clear();
}

void Pasts::put_out(const std::shared_ptr<OpenPast>& past) {
    for (auto* reactor : server_.reactors())
        reactor->post([which = past.get()](Reactor& here) {
            here.for_each_connection([which](Connection& client) {
                if (client.asof == nullptr || client.asof->past.get() != which) return;
                client.asof.reset();
                client.asof_gone = true;
            });
        });
}

Pasts::Told Pasts::told() const {
    const std::lock_guard guard(mutex_);
    Told told{.open = open_.size() + leaving_.size(), .gone = gone_};
    for (const auto& past : open_) told.connections += past->connections.load();
    for (const auto& past : leaving_) told.connections += past->connections.load();
    return told;
}

}  // namespace firnlog::server
