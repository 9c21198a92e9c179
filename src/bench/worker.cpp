#include "src/bench/worker.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "io/base/ensure.hpp"
#include "io/uring.hpp"
#include "src/bench/time.hpp"

namespace firnlog::bench {
namespace {

// However quiet it is, a thread looks up so often: for the end, and to hand over a slot.
constexpr std::uint64_t kLookUpNs = 50'000'000;
// A timer fires some 50 µs late on an idle core. A thread wakes so much earlier and looks around
// until the request is due (Wake::early).
constexpr std::uint64_t kWakeEarlyNs = 60'000;
constexpr std::uint64_t kStopPatienceNs = 1'000'000'000;

double thread_cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_THREAD, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::uint64_t share_of(std::uint64_t whole, std::uint64_t turn, std::uint64_t turns) {
    return whole / turns + (turn < whole % turns ? 1 : 0);
}

}  // namespace

Worker::Worker(const LoadPlan& plan, LoadShared& shared, unsigned turn,
               std::vector<int> descriptors)
    : plan_(plan),
      shared_(shared),
      turn_(turn),
      early_ns_(plan.wake == LoadPlan::Wake::when_due ? 0 : kWakeEarlyNs),
      source_(plan.keys, plan.seed, turn, plan.threads, shared.population),
      upcoming_(turn, plan.threads, plan.connections) {
    double all = 0;
    for (const auto& entry : plan.workload.entries) all += entry.weight;
    double below = 0;
    for (const auto& entry : plan.workload.entries) {
        below += entry.weight;
        thresholds_.push_back(static_cast<std::uint64_t>(std::llround(below / all * 0x1p32)));
    }
    latency_.resize(plan.workload.entries.size());
    slot_errors_.resize(plan.workload.entries.size());
    outcome_.operations.resize(plan.workload.entries.size());
    if (plan.windows != nullptr) outcome_.inside.resize(plan.windows->size());
    for (std::size_t i = 0; i < descriptors.size(); ++i) {
        auto connection = std::make_unique<Connection>();
        connection->fd = descriptors[i];
        connection->number = turn + plan.threads * i;
        connection->pending.resize(plan.pipeline);
        connections_.push_back(std::move(connection));
    }
    alive_ = connections_.size();
}

Worker::~Worker() {
    for (const auto& connection : connections_) ::close(connection->fd);
}

void Worker::run() {
    auto ring = io::make_uring();
    shared_.ready.count_down();
    shared_.go.wait();
    if (!ring) {
        outcome_.failure = ring.error().text();
        return;
    }
    io_ = ring->get();
    begin();
    while (!finished()) {
        turn();
        keep_time();
    }
    count_unanswered();
    hand_over();
    if (outcome_.failure.empty() && alive_ == 0) outcome_.failure = "all connections were lost";
    if (cpu_at_end_ < 0) cpu_at_end_ = thread_cpu_seconds();
    const auto until = std::min(now_ns_, end_ns_);
    if (cpu_at_measured_ >= 0 && until > measured_ns_)
        outcome_.busy =
            (cpu_at_end_ - cpu_at_measured_) / (static_cast<double>(until - measured_ns_) * 1e-9);
    io_ = nullptr;
}

void Worker::begin() {
    measured_ns_ = shared_.start_ns + plan_.warmup_ns;
    end_ns_ = measured_ns_ + plan_.duration_ns;
    drain_ns_ = end_ns_ + plan_.drain_ns;
    budget_ =
        plan_.requests == 0 ? Windows::kNever : share_of(plan_.requests, turn_, plan_.threads);
    if (plan_.open_loop()) {
        schedule_ = Schedule(plan_.rate, shared_.start_ns);
        scheduled_ = schedule_.count_before(end_ns_);
        if (plan_.requests != 0)
            scheduled_ =
                std::min(scheduled_, schedule_.count_before(measured_ns_) + plan_.requests);
    }
    timer_.worker = this;
    timer_.run = [](io::Completion& self, std::int32_t, bool) {
        Worker& worker = *static_cast<Hook&>(self).worker;
        worker.timer_armed_ = false;
        worker.look();
    };
    for (const auto& owned : connections_) {
        Connection& connection = *owned;
        for (Hook* hook : {&connection.receiving, &connection.sending}) {
            hook->worker = this;
            hook->connection = &connection;
        }
        connection.receiving.run = [](io::Completion& self, std::int32_t result, bool) {
            const Hook& hook = static_cast<Hook&>(self);
            hook.worker->received(*hook.connection, result);
        };
        connection.sending.run = [](io::Completion& self, std::int32_t result, bool) {
            const Hook& hook = static_cast<Hook&>(self);
            hook.worker->sent(*hook.connection, result);
        };
        io_->recv(connection.fd, connection.receiving);
        if (!plan_.open_loop()) list(connection);
    }
    own_time_.begin();
    while ((now_ns_ = now_ns()) < shared_.start_ns) (void)io_->turn(false);
}

// What should have left by now is put to the account of its connection.
void Worker::take_due() {
    while (true) {
        const auto [local, number] = upcoming_.next();
        if (number >= scheduled_ || schedule_.at(number) > now_ns_) return;
        Connection& connection = *connections_[local];
        ++connection.due;
        list(connection);
        upcoming_.advance();
    }
}

void Worker::fill_ready() {
    for (std::size_t i = 0; i < ready_.size(); ++i) {
        ready_[i]->listed = false;
        fill(*ready_[i]);
    }
    ready_.clear();
}

std::uint64_t Worker::room_for(const Connection& connection) const {
    if (connection.dead || connection.send_in_flight) return 0;
    const auto on_way = connection.sent - connection.answered;
    if (plan_.open_loop())
        return std::min(connection.due - connection.sent, plan_.pipeline - on_way);
    // A batch leaves when the one before is answered in full, as redis-benchmark has it.
    if (on_way != 0 || now_ns_ >= end_ns_) return 0;
    return std::min<std::uint64_t>(plan_.pipeline, budget_);
}

void Worker::fill(Connection& connection) {
    const auto room = room_for(connection);
    if (room == 0) return;
    const auto sent_ns = now_ns();
    for (std::uint64_t i = 0; i < room; ++i) {
        Pending& pending = connection.pending[connection.sent % plan_.pipeline];
        pending.operation = draw_operation();
        const Operation& operation = plan_.workload.entries[pending.operation].operation;
        operation.encode(source_, connection.out);
        pending.replies_missing = static_cast<std::uint16_t>(operation.replies());
        pending.worst = Reply::ok;
        pending.sent_ns = sent_ns;
        pending.from_ns = sent_ns;
        pending.late_ns = 0;
        if (plan_.open_loop()) {
            pending.from_ns = schedule_.at(connection.sent * plan_.connections + connection.number);
            pending.late_ns =
                sent_ns - std::max(pending.from_ns, std::min(connection.roomy_ns, sent_ns));
            leaving_.push_back(&pending);
        }
        ++connection.sent;
    }
    in_flight_ += room;
    if (budget_ != Windows::kNever && !plan_.open_loop() && sent_ns >= measured_ns_)
        budget_ -= room;
    connection.send_in_flight = true;
    io_->send(connection.fd, as_bytes(connection.out.view()), connection.sending);
}

std::uint32_t Worker::draw_operation() {
    if (thresholds_.size() == 1) return 0;
    const auto drawn = source_.below(kKeysMax);
    std::uint32_t at = 0;
    while (at + 1 < thresholds_.size() && drawn >= thresholds_[at]) ++at;
    return at;
}

bool Worker::finished() const {
    if (alive_ == 0 || now_ns_ >= drain_ns_ || !outcome_.failure.empty()) return true;
    if (in_flight_ != 0) return false;
    if (plan_.open_loop()) {
        if (upcoming_.next().number < scheduled_) return false;
        return std::ranges::all_of(connections_, [](const auto& connection) {
            return connection->dead || connection->sent == connection->due;
        });
    }
    return now_ns_ >= end_ns_ || budget_ == 0;
}

void Worker::turn() {
    if (plan_.open_loop()) take_due();
    fill_ready();
    before_ns_ = now_ns();
    auto wake_ns = before_ns_ + kLookUpNs;
    if (plan_.open_loop()) {
        const auto number = upcoming_.next().number;
        if (number < scheduled_) wake_ns = std::min(wake_ns, schedule_.at(number));
    }
    // What leaves in this turn has left when we look again: only then we sleep, so that neither
    // takes the other's time for its own. A closed loop has no use for the difference.
    slept_ = plan_.wake != LoadPlan::Wake::never_sleeps && wake_ns > before_ns_ + early_ns_ &&
             leaving_.empty();
    if (slept_ && !timer_armed_) {
        timer_ns_ = wake_ns - early_ns_;
        timer_armed_ = true;
        io_->timer({static_cast<std::int64_t>(timer_ns_ / 1000)}, timer_);
    }
    if (slept_ && plan_.open_loop()) own_before_ = own_time_.now_ns();
    looked_ = false;
    const auto turned = io_->turn(slept_);
    if (!turned) outcome_.failure = turned.error().text();
    look();
    // The kernel took them somewhere between our encoding and our look.
    for (Pending* pending : leaving_)
        pending->late_ns += std::min(kept_ns_, now_ns_ - pending->sent_ns);
    leaving_.clear();
}

// The first thing that runs in a turn: what is found now had come since the look before.
void Worker::look() {
    if (looked_) return;
    looked_ = true;
    const auto last_ns = std::exchange(now_ns_, now_ns());
    kept_ns_ = now_ns_ - last_ns;
    if (!slept_ || !plan_.open_loop()) return;
    const auto timer_ns = timer_ns_ + early_ns_;
    const auto own_ns = before_ns_ - last_ns + own_time_.now_ns() - own_before_;
    kept_ns_ = std::min(kept_ns_, std::max(own_ns, now_ns_ > timer_ns ? now_ns_ - timer_ns : 0));
}

void Worker::list(Connection& connection) {
    if (connection.listed) return;
    connection.listed = true;
    ready_.push_back(&connection);
}

void Worker::received(Connection& connection, std::int32_t result) {
    look();
    if (connection.dead) return;
    if (result <= 0) return lose(connection);
    const bool understood = connection.replies.feed(
        as_text(io_->received()),
        [&](Reply reply, std::string_view error) { replied(connection, reply, error); });
    if (!understood) {
        if (outcome_.failure.empty()) outcome_.failure = "the server's reply is not RESP";
        return lose(connection);
    }
    if (room_for(connection) != 0) list(connection);
}

void Worker::replied(Connection& connection, Reply reply, std::string_view error) {
    if (connection.answered == connection.sent) {
        outcome_.failure = "the server sent a reply that nobody asked for";
        return;
    }
    Pending& pending = connection.pending[connection.answered % plan_.pipeline];
    auto& totals = outcome_.operations[pending.operation];
    if (reply == Reply::error) {
        if (totals.first_error.empty()) totals.first_error = std::string(error);
        pending.worst = Reply::error;
    } else if (reply == Reply::null && pending.worst == Reply::ok) {
        pending.worst = Reply::null;
    }
    if (--pending.replies_missing != 0) return;

    const auto until_ns = std::max(now_ns_, pending.sent_ns);
    const auto late_ns = std::min(pending.late_ns + std::min(kept_ns_, until_ns - pending.sent_ns),
                                  until_ns - pending.from_ns);
    record(pending, until_ns, late_ns);
    // Had it left in time, its reply would have made room so much sooner: what then queues behind
    // it is late because of us, too.
    connection.roomy_ns = until_ns - late_ns;
    ++connection.answered;
    --in_flight_;
}

void Worker::record(const Pending& pending, std::uint64_t until_ns, std::uint64_t late_ns) {
    outcome_.last_answer_ns = until_ns;
    if (until_ns < measured_ns_) return;
    const auto slot = (until_ns - measured_ns_) / plan_.slot_ns;
    if (slot != slot_) {
        hand_over();
        slot_ = slot;
    }
    if (until_ns < end_ns_) {
        ++outcome_.answered;
        ++slot_answered_;
    }
    if (pending.from_ns < measured_ns_) return;
    put_down({.operation = pending.operation,
              .from_ns = pending.from_ns,
              .until_ns = until_ns,
              .late_ns = late_ns});
    auto& totals = outcome_.operations[pending.operation];
    if (pending.worst == Reply::error) {
        ++totals.errors;
        ++slot_errors_[pending.operation];
    } else if (pending.worst == Reply::null) {
        ++totals.nulls;
    }
}

void Worker::put_down(const Measured& measured) {
    const auto latency_ns = measured.until_ns - measured.from_ns;
    latency_[measured.operation].record(latency_ns);
    if (plan_.open_loop()) lateness_.record(measured.late_ns);
    if (outcome_.inside.empty()) return;
    bool outside = true;
    for (std::size_t i = 0; i < outcome_.inside.size(); ++i) {
        if (!plan_.windows->touches(i, measured.from_ns, measured.until_ns)) continue;
        outcome_.inside[i].record(latency_ns);
        outside = false;
    }
    if (outside) outcome_.outside.record(latency_ns);
}

void Worker::sent(Connection& connection, std::int32_t result) {
    look();
    if (connection.dead) return;
    if (result < 0) return lose(connection);
    connection.out_sent += static_cast<std::size_t>(result);
    const auto left = connection.out.view().substr(connection.out_sent);
    if (!left.empty()) return io_->send(connection.fd, as_bytes(left), connection.sending);
    connection.out.clear();
    connection.out_sent = 0;
    connection.send_in_flight = false;
    if (room_for(connection) == 0) return;
    // What became due meanwhile waited for the server to take what was sent before.
    connection.roomy_ns = std::max(connection.roomy_ns, now_ns_ - kept_ns_);
    list(connection);
}

void Worker::lose(Connection& connection) {
    connection.dead = true;
    in_flight_ -= connection.sent - connection.answered;
    --alive_;
    ++outcome_.connections_lost;
}

void Worker::keep_time() {
    if (cpu_at_measured_ < 0 && now_ns_ >= measured_ns_) cpu_at_measured_ = thread_cpu_seconds();
    if (cpu_at_end_ < 0 && now_ns_ >= end_ns_) cpu_at_end_ = thread_cpu_seconds();
    if (now_ns_ >= measured_ns_ && (now_ns_ - measured_ns_) / plan_.slot_ns != slot_) {
        hand_over();
        slot_ = (now_ns_ - measured_ns_) / plan_.slot_ns;
    }
    if (shared_.stop.load(std::memory_order_relaxed) && now_ns_ < end_ns_) {
        end_ns_ = now_ns_;
        drain_ns_ = now_ns_ + kStopPatienceNs;
        outcome_.stopped_ns = now_ns_;
        scheduled_ = std::min(scheduled_, upcoming_.next().number);
    }
}

void Worker::hand_over() {
    Slot slot{.number = slot_, .answered = slot_answered_, .errors = slot_errors_};
    bool any = slot_answered_ != 0;
    for (auto& latency : latency_) {
        any = any || latency.count() != 0;
        slot.by_operation.push_back(latency.take());
    }
    slot.lateness = lateness_.take();
    slot_answered_ = 0;
    std::ranges::fill(slot_errors_, 0);
    if (!any) return;
    const std::lock_guard guard(shared_.mutex);
    shared_.slots.push_back(std::move(slot));
}

// A request without a reply has lasted at least until now. Leaving it out would make a server look
// the better the more it leaves unanswered.
void Worker::count_unanswered() {
    const auto count = [&](std::uint64_t from_ns, std::uint64_t late_ns, std::uint32_t operation) {
        if (from_ns < measured_ns_ || from_ns >= end_ns_ || now_ns_ < from_ns) return;
        put_down({.operation = operation,
                  .from_ns = from_ns,
                  .until_ns = now_ns_,
                  .late_ns = std::min(late_ns, now_ns_ - from_ns)});
        ++outcome_.unanswered;
    };
    for (const auto& connection : connections_) {
        for (auto n = connection->answered; n < connection->sent; ++n) {
            const Pending& pending = connection->pending[n % plan_.pipeline];
            count(pending.from_ns, pending.late_ns, pending.operation);
        }
        if (!plan_.open_loop()) continue;
        // These never had room: nobody but the server kept them.
        for (auto n = connection->sent; n < connection->due; ++n)
            count(schedule_.at(n * plan_.connections + connection->number), 0, draw_operation());
    }
}

}  // namespace firnlog::bench
