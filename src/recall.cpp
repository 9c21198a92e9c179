#include "src/recall.hpp"

#include <chrono>
#include <memory>
#include <new>
#include <optional>

#include "engine/engine.hpp"
#include "io/base/thread.hpp"
#include "src/connection.hpp"
#include "src/pasts.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"

namespace firnlog::server {
namespace {

// Each may take as long as it takes to read the log: whoever comes later had better ask again.
constexpr std::size_t kQueuedMax = 16;
// The longest string there is, and its header.
constexpr std::size_t kReplyBytesMax = (std::size_t{512} << 20) + 32;

// How often the open moments are looked after.
constexpr auto kTend = std::chrono::seconds(1);

constexpr std::string_view kNoPast =
    "ERR the past is read where its store is served; firnlog log and firnlog restore read it from "
    "the directory";
constexpr std::string_view kTooMany = "ERR too many clients read the past now, try again later";

// No file of the past goes while it lives.
class Pinned {
  public:
    explicit Pinned(engine::Walk& walk) : walk_(walk) { walk_.pin(); }
    ~Pinned() { walk_.unpin(); }
    Pinned(const Pinned&) = delete;
    Pinned& operator=(const Pinned&) = delete;

  private:
    engine::Walk& walk_;
};

void refuse(Reactor& home, std::uint64_t client, std::uint64_t blocked, std::string_view why) {
    home.unblock(client, blocked, [why](Connection& to, resp::Writer& out) {
        out.error(why);
        to.reactor.dispatcher().note_error(why);
    });
}

}  // namespace

Recall::~Recall() { stop(); }

Flow Recall::ask(Call& call, Job job, Kind kind) {
    if (files_ == nullptr) return call.error(kNoPast);
    Asked asked{.home = &call.reactor,
                .client = call.client.id,
                .blocked = call.reactor.block(call.client),
                .protocol = call.client.who.protocol,
                .job = std::move(job),
                .kind = std::move(kind)};
    call.reactor.when_durable(server_.engine().log.tail.batch_end(),
                              [this, asked = std::move(asked)](Reactor&) { queue(asked); });
    return Flow::blocked;
}

bool Recall::begin(Reactor& home, Errand errand, Lane lane, Pins pins) {
    ensure(files_ != nullptr, "whoever begins a job knows that there is a store");
    Asked asked;
    asked.home = &home;
    asked.kind.lane = lane;
    asked.kind.pins = pins == Pins::yes;
    asked.errand = std::move(errand);
    {
        const std::lock_guard guard(mutex_);
        if (!staffed(queues_[static_cast<std::size_t>(lane)])) return false;
    }
    home.when_durable(server_.engine().log.tail.batch_end(),
                      [this, asked = std::move(asked)](Reactor&) { queue(asked); });
    return true;
}

bool Recall::staffed(Queue& queue) {
    if (!queue.thread.joinable())
        if (auto started = start_thread([this, &queue] { work(queue); }))
            queue.thread = std::move(*started);
    return queue.thread.joinable();
}

void Recall::queue(Asked asked) {
    auto& home = *asked.home;
    const auto client = asked.client;
    const auto blocked = asked.blocked;
    auto& queue = queues_[static_cast<std::size_t>(asked.kind.lane)];
    bool full = false;
    {
        const std::lock_guard guard(mutex_);
        // The connection ends with the server.
        if (stopping()) return;
        const bool served = staffed(queue);
        if (served && (asked.errand || queue.asked.size() < kQueuedMax)) {
            queue.asked.push_back(std::move(asked));
            queue.filled.notify_one();
            return;
        }
        full = served;
    }
    refuse(home, client, blocked, full ? kTooMany : kNoThread);
}

// False: there is none, and the open moments want to be looked after; or the end has come.
bool Recall::wait_for_one(Queue& queue, Asked& asked) {
    const auto filled = [&] { return stopping() || !queue.asked.empty(); };
    std::unique_lock guard(mutex_);
    if (!filled()) {
        if (server_.pasts().any())
            queue.filled.wait_for(guard, kTend, filled);
        else
            queue.filled.wait(guard, filled);
    }
    if (stopping() || queue.asked.empty()) return false;
    asked = std::move(queue.asked.front());
    queue.asked.pop_front();
    return true;
}

void Recall::work(Queue& queue) {
    while (!stopping()) {
        Asked asked;
        if (wait_for_one(queue, asked)) run(asked);
        server_.pasts().tend();
    }
}

void Recall::run(const Asked& asked) {
    if (asked.errand) {
        std::optional<Pinned> pinned;
        if (asked.kind.pins) pinned.emplace(server_.engine().walk);
        return asked.errand(*files_);
    }
    struct Answer {
        resp::Buffer reply;
        std::string error;
    };
    // Shared, because what is posted is copied.
    const auto answer = std::make_shared<Answer>();
    answer->reply.limit(kReplyBytesMax);
    {
        std::optional<Pinned> pinned;
        if (asked.kind.pins) pinned.emplace(server_.engine().walk);
        resp::Writer out(answer->reply, asked.protocol);
        try {
            if (auto done = asked.job(*files_, out); !done) answer->error = std::move(done.error());
        } catch (const std::bad_alloc&) {
            answer->error = "OOM there is no memory for this look into the past";
        }
    }
    if (answer->error.empty() && answer->reply.lost())
        answer->error = "ERR the reply has more than 512 MiB, or there is no memory for it";
    if (stopping()) return;
    asked.home->post([client = asked.client, blocked = asked.blocked,
                      at_reply = asked.kind.at_reply, answer](Reactor& home) {
        if (!answer->error.empty()) return refuse(home, client, blocked, answer->error);
        home.unblock(client, blocked, [&](Connection& to, resp::Writer& out) {
            if (at_reply) at_reply(to);
            out.out().append(answer->reply.view());
        });
    });
}

void Recall::stop() {
    {
        const std::lock_guard guard(mutex_);
        stopping_.store(true, std::memory_order_relaxed);
        for (auto& queue : queues_) {
            queue.asked.clear();
            queue.filled.notify_one();
        }
    }
    for (auto& queue : queues_)
        if (queue.thread.joinable()) queue.thread.join();
}

}  // namespace firnlog::server
