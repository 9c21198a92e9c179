#include "src/reactor.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include "engine/ops/keys.hpp"
#include "io/base/memory.hpp"
#include "src/address.hpp"
#include "src/backup_job.hpp"
#include "src/cold_read.hpp"
#include "src/commands/client.hpp"
#include "src/commands/command_table.hpp"
#include "src/commands/transactions.hpp"
#include "src/parked.hpp"
#include "src/pubsub.hpp"
#include "src/saving.hpp"
#include "src/server.hpp"

namespace firnlog::server {
namespace {

// Replies that a flush has released, each a send of some 3 us: so many a turn, or if they are more
// a share of them, so that all of them go in a few turns.
constexpr std::size_t kReleasedATurnMin = 16;
constexpr std::size_t kReleasedTurns = 4;
constexpr int kLooksSkipped = 100;
constexpr std::int64_t kTickUs = 50'000;
// Nothing was flushed for so long: the log's last record is vouched for now.
constexpr std::int64_t kQuietUs = 50'000;
constexpr std::int64_t kCronUs = 100'000;
constexpr std::int64_t kSyncAgeUs = 1'000'000;
// What the kernel's own write-back would take, in `no`.
constexpr std::int64_t kLazySyncAgeUs = 30'000'000;
// Bytes a connection may have sent ahead while it cannot go on; then TCP holds the client back.
constexpr std::size_t kAheadBytesMax = std::size_t{1} << 20;
// Each may hold as many commands as have arrived.
constexpr int kHeldTurnsMax = 8;
constexpr std::size_t kExpireKeysATick = 200;
constexpr std::int64_t kExpireUsATick = 2'000;

}  // namespace

Reactor::Reactor(Server& server, std::size_t number_given, io::Io& io)
    : number(number_given),
      server_(server),
      io_(io),
      acceptor_(server, *this, io),
      dispatcher_(server, *this),
      flusher_(server.engine().log, io, [this] { flushed(); }) {
    statistics_.by_command = std::make_unique<CommandStatistics[]>(CommandTable::get().size());
    now_us_ = server.clock().mono().us;
    posted_op_.owner = this;
    posted_op_.run = [](io::Completion& self, std::int32_t, bool) {
        static_cast<Op&>(self).owner->run_posted();
    };
    tick_.owner = this;
    tick_.run = [](io::Completion& self, std::int32_t result, bool) {
        if (result == -ECANCELED) return;
        static_cast<Op&>(self).owner->every_tick();
        static_cast<Op&>(self).owner->arm_tick();
    };
    arm_tick();
    quiet_.owner = this;
    quiet_.run = [](io::Completion& self, std::int32_t result, bool) {
        static_cast<Op&>(self).owner->quiet_armed_ = false;
        if (result != -ECANCELED) static_cast<Op&>(self).owner->look_whether_quiet();
    };
}

Reactor::~Reactor() = default;

void Reactor::arm_tick() { io_.timer(server_.clock().mono().after(kTickUs), tick_); }

Connection* Reactor::find(std::uint64_t id) {
    const auto found = connections_.find(id);
    return found == connections_.end() || found->second->ended ? nullptr : found->second.get();
}

void Reactor::adopt(int fd, bool unix_socket) {
    admit({.fd = fd,
           .id = server_.next_connection_id(),
           .who = newcomer(server_.config()),
           .unread = {}},
          unix_socket);
}

void Reactor::adopt(const Early& early) { admit(early, is_unix_socket(early.fd)); }

void Reactor::admit(const Early& client, bool unix_socket) {
    statistics_.connections_received.add();
    server_.connections.fetch_add(1);
    auto made = std::make_unique<Connection>(*this, client.id, client.fd);
    auto& connection = *made;
    connections_.emplace(client.id, std::move(made));
    connection.who = client.who;
    connection.unix_socket = unix_socket;
    describe_socket(client.fd, connection);
    connection.created_us = connection.last_us = now_us_;
    const auto& config = server_.config();
    limit_input(connection, config);
    connection.recv_op.owner = connection.send_op.owner = &connection;
    connection.recv_op.run = [](io::Completion& self, std::int32_t result, bool more) {
        auto& owner = *static_cast<Connection::Op&>(self).owner;
        owner.reactor.received(owner, result, more);
    };
    connection.send_op.run = [](io::Completion& self, std::int32_t result, bool) {
        auto& owner = *static_cast<Connection::Op&>(self).owner;
        owner.reactor.sent(owner, result);
    };
    if (!unix_socket) tune_socket(client.fd, config.tcp_keepalive);
    const auto refusal = refusal_of(connection.local, config, server_.connections.load());
    if (!refusal.empty()) statistics_.connections_rejected.add();
    start_receiving(connection);
    if (!refusal.empty()) {
        connection.out.buffer().append(refusal);
        connection.out.end_reply(server_.engine().log, {}, engine::Durability::no);
        close_after_replies(connection);
    } else if (!client.unread.empty()) {
        if (connection.in.append(client.unread))
            run_commands(connection);
        else
            close_now(connection);
    }
}

void Reactor::start_receiving(Connection& connection) {
    if (connection.receiving || connection.ended || connection.peer_closed) return;
    connection.receiving = true;
    io_.recv(connection.fd, connection.recv_op);
}

void Reactor::received(Connection& connection, std::int32_t result, bool more) {
    if (!more) connection.receiving = false;
    if (connection.ended) {
        reap(connection);
        return;
    }
    if (result > 0) {
        now_us_ = server_.clock().mono().us;
        // The ring may have slept since the last turn's end.
        server_.engine().now.update();
        connection.last_us = now_us_;
        connection.net_in += static_cast<std::uint64_t>(result);
        statistics_.net_in.add(static_cast<std::uint64_t>(result));
        if (connection.closing) {
            if (!more) start_receiving(connection);
            return;
        }
        const bool taken = connection.in.receive(as_text(io_.received()));
        if (taken) run_commands(connection);
        if (connection.ended) return;
        if (!taken || !connection.in.settle()) {
            close_now(connection);
            return;
        }
        const bool stuck = connection.blocked || connection.again != nullptr;
        if (stuck && connection.in.unread().size() > kAheadBytesMax) {
            if (connection.receiving) io_.cancel(connection.recv_op);
            return;
        }
        if (!more) start_receiving(connection);
        return;
    }
    if (result == -ENOBUFS || result == -ECANCELED || result == -EINTR) {
        const bool stuck = (connection.blocked || connection.again != nullptr) &&
                           connection.in.unread().size() > kAheadBytesMax;
        if (!more && !stuck) start_receiving(connection);
        return;
    }
    // The peer has ended its side, or the connection broke. Commands already received have run.
    connection.peer_closed = true;
    close_now(connection);
}

void Reactor::run_commands(Connection& connection) {
    dispatcher_.begin_burst();
    run_received(connection);
    dispatcher_.end_burst();
    if (!connection.ended) note_ready(connection);
}

void Reactor::run_received(Connection& connection) {
    std::size_t ahead = 0;
    while (!connection.closing && !connection.ended && !connection.blocked &&
           connection.again == nullptr) {
        if (ahead == 0) {
            dispatcher_.end_group();
            if (connection.asof == nullptr && !connection.parser.amid_command())
                ahead = dispatcher_.look_ahead(connection);
        }
        if (ahead > 0) --ahead;
        switch (connection.parser.next(connection.in)) {
            case resp::Status::need_more:
                return;
            case resp::Status::error:
                statistics_.protocol_errors.add();
                dispatcher_.end_group();
                resp::Writer(connection.out.buffer(), connection.who.protocol)
                    .error(connection.parser.error());
                connection.out.end_reply(server_.engine().log, {}, engine::Durability::no);
                close_after_replies(connection);
                return;
            case resp::Status::close_silently:
                close_now(connection);
                return;
            case resp::Status::command:
                run_one(connection, connection.parser.arguments());
        }
        if (connection.out.lost()) {
            close_now(connection);
            return;
        }
    }
}

void Reactor::run_one(Connection& connection, std::span<const std::string_view> args) {
    switch (dispatcher_.dispatch(connection, args)) {
        case Flow::done:
            break;
        case Flow::close:
            close_after_replies(connection);
            break;
        case Flow::blocked:
            // unblock() may have come before the command returned.
            break;
        case Flow::again:
            if (connection.again == nullptr || connection.again->args().data() != args.data())
                connection.again = std::make_unique<KeptCommand>(args);
            if (!dispatcher_.session_of(connection).cold().empty())
                read_cold(connection);
            else
                again_.push_back(connection.id);
            return;
    }
    if (connection.again != nullptr && connection.again->args().data() == args.data())
        connection.again.reset();
    check_output_limit(connection);
}

void Reactor::run_again(Connection& connection) {
    if (connection.again == nullptr || connection.ended) return;
    run_one(connection, connection.again->args());
    if (connection.again != nullptr || connection.ended) return;
    go_on(connection);
}

void Reactor::go_on(Connection& connection) {
    if (connection.ended) return;
    run_commands(connection);
    if (connection.ended) return;
    if (!connection.in.settle()) {
        close_now(connection);
        return;
    }
    start_receiving(connection);
}

void Reactor::read_cold(Connection& connection) {
    auto& session = dispatcher_.session_of(connection);
    for (const auto& cold : session.cold()) {
        // A moment of the past is not closed under a read.
        auto done = [this, id = connection.id, asof = connection.asof](engine::Warm warm) {
            cold_read_done(id, std::move(warm));
        };
        if (read_record(session.engine(), io_, cold, std::move(done))) ++connection.reads_in_flight;
    }
    if (connection.reads_in_flight != 0) return;
    again_.push_back(connection.id);
    resume_ = true;
}

void Reactor::cold_read_done(std::uint64_t id, engine::Warm warm) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    auto& connection = *found->second;
    --connection.reads_in_flight;
    if (connection.ended) {
        reap(connection);
        return;
    }
    connection.warm.push_back(std::move(warm));
    if (connection.reads_in_flight == 0) run_again(connection);
}

void Reactor::note_ready(Connection& connection) {
    if (connection.out.waits() && !connection.listed_waiting) {
        connection.listed_waiting = true;
        waiting_.push_back(connection.id);
        flusher_.waiting(true);
    }
    if (connection.out.waits()) {
        const auto wanted = connection.out.wants_durable();
        if (wanted.value != 0) server_.engine().log.want_durable(wanted);
    }
    if (!connection.listed_ready && (connection.out.has_sendable() || connection.closing)) {
        connection.listed_ready = true;
        ready_.push_back(connection.id);
    }
}

void Reactor::end_reply(Connection& connection, engine::Lsn gate, engine::Durability durability) {
    connection.out.end_reply(server_.engine().log, gate, durability);
    if (durability == engine::Durability::everysec) soon_ = std::max(soon_, gate);
}

void Reactor::end_push(Connection& connection) {
    auto& engine = server_.engine();
    end_reply(connection, engine.log.tail.batch_end(),
              connection.durability.value_or(server_.default_durability()));
    note_ready(connection);
    check_output_limit(connection);
}

void Reactor::check_output_limit(Connection& connection) {
    const auto& limits = server_.config().client_output_buffer_limit;
    const auto& limit = connection.subscriptions.count() != 0 ? limits.pubsub : limits.normal;
    const auto bytes = connection.out.bytes();
    bool over = limit.hard_bytes != 0 && bytes > limit.hard_bytes;
    if (limit.soft_bytes != 0 && bytes > limit.soft_bytes) {
        if (connection.soft_limit_since_us == 0) connection.soft_limit_since_us = now_us_;
        over |= now_us_ - connection.soft_limit_since_us > limit.soft_seconds * 1'000'000;
    } else {
        connection.soft_limit_since_us = 0;
    }
    // Errors are longer than what they answer: who is nobody yet could fill the memory with them.
    over |= !connection.who.authenticated && bytes > kUnauthenticatedBytes;
    if (!over) return;
    statistics_.output_limit_closes.add();
    close_now(connection);
}

void Reactor::flushed() {
    flushed_us_ = server_.clock().mono().us;
    if (!quiet_armed_) look_whether_quiet();
    log_advanced();
}

// Others' flushes are not told here, but where the log ends is the same for all.
void Reactor::look_whether_quiet() {
    const auto now = server_.clock().mono();
    const auto end = server_.engine().log.tail.batch_end();
    if (end == quiet_lsn_ && now.us >= flushed_us_ + kQuietUs) return flusher_.vouch();
    quiet_lsn_ = end;
    quiet_armed_ = true;
    const auto left_us = flushed_us_ + kQuietUs - now.us;
    io_.timer(now.after(left_us > 0 ? left_us : kQuietUs), quiet_);
}

void Reactor::log_advanced() {
    auto& log = server_.engine().log;
    const bool failed = log.failed() != 0;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < waiting_.size(); ++i) {
        auto* connection = find(waiting_[i]);
        if (connection == nullptr) continue;
        if (failed)
            (void)connection->out.fail(log);
        else
            (void)connection->out.advance(log);
        if (!connection->listed_ready && connection->out.has_sendable()) {
            connection->listed_ready = true;
            released_.push_back(connection->id);
        }
        if (connection->out.waits())
            waiting_[kept++] = connection->id;
        else
            connection->listed_waiting = false;
    }
    waiting_.resize(kept);
    std::erase_if(durable_waits_, [&](const DurableWait& wait) {
        if (!failed && log.durable() < wait.lsn) return false;
        wait.run(*this);
        return true;
    });
    flusher_.waiting(!waiting_.empty() || !durable_waits_.empty());
    resume_ = resume_ || !again_.empty();
}

void Reactor::when_durable(engine::Lsn lsn, std::function<void(Reactor&)> run) {
    auto& log = server_.engine().log;
    if (log.failed() != 0 || log.durable() >= lsn) {
        run(*this);
        return;
    }
    log.want_durable(lsn);
    durable_waits_.push_back({.lsn = lsn, .run = std::move(run)});
    flusher_.waiting(true);
}

void Reactor::flush_replies(Connection& connection) {
    if (connection.sending || connection.ended) return;
    const auto bytes = connection.out.sendable();
    if (bytes.empty()) {
        if (connection.closing && connection.out.empty()) close_now(connection);
        return;
    }
    connection.sending = true;
    io_.send(connection.fd, bytes, connection.send_op);
}

void Reactor::sent(Connection& connection, std::int32_t result) {
    connection.sending = false;
    if (connection.ended) {
        reap(connection);
        return;
    }
    if (result < 0) {
        if (result == -EINTR || result == -EAGAIN) {
            note_ready(connection);
            return;
        }
        close_now(connection);
        return;
    }
    connection.out.sent(static_cast<std::size_t>(result));
    connection.net_out += static_cast<std::uint64_t>(result);
    statistics_.net_out.add(static_cast<std::uint64_t>(result));
    note_ready(connection);
}

void Reactor::close_after_replies(Connection& connection) {
    connection.closing = true;
    note_ready(connection);
}

void Reactor::close_now(Connection& connection) {
    if (connection.ended) return;
    connection.ended = true;
    connection.closing = true;
    // Its place is free for another at once.
    server_.connections.fetch_sub(1);
    server_.pubsub().forget(connection);
    if (connection.monitor) server_.monitors.fetch_sub(1);
    if (connection.receiving) io_.cancel(connection.recv_op);
    if (connection.sending) io_.cancel(connection.send_op);
    ended_.push_back(connection.id);
}

void Reactor::close_all(bool now) {
    for (auto& [id, connection] : connections_) {
        if (now)
            close_now(*connection);
        else
            close_after_replies(*connection);
    }
}

void Reactor::reap(Connection& connection) {
    if (!connection.ended || connection.receiving || connection.sending ||
        connection.reads_in_flight != 0)
        return;
    ended_.push_back(connection.id);
}

std::uint64_t Reactor::block(Connection& connection, std::int64_t timeout_ms,
                             std::function<void(Connection&)> on_timeout) {
    connection.blocked = true;
    connection.blocked_id = ++next_blocked_id_;
    connection.blocked_until_us = timeout_ms > 0 ? now_us_ + timeout_ms * 1000 : 0;
    if (timeout_ms > 0)
        blocked_.push_back({.connection = connection.id,
                            .id = connection.blocked_id,
                            .on_timeout = std::move(on_timeout)});
    return connection.blocked_id;
}

bool Reactor::unblock(std::uint64_t connection_id, std::uint64_t blocked_id,
                      const std::function<void(Connection&, resp::Writer&)>& reply) {
    auto* connection = find(connection_id);
    if (connection == nullptr || !connection->blocked || connection->blocked_id != blocked_id)
        return false;
    connection->blocked = false;
    connection->blocked_until_us = 0;
    resp::Writer out(connection->out.buffer(), connection->who.protocol);
    reply(*connection, out);
    // Whoever switched replies off has none of this one either.
    dispatcher_.finish(*connection, {}, server_.engine().log.tail.batch_end());
    note_ready(*connection);
    check_output_limit(*connection);
    // What it has sent meanwhile runs when this turn's completions are through.
    post([connection_id](Reactor& reactor) {
        if (auto* still = reactor.find(connection_id)) reactor.go_on(*still);
    });
    return true;
}

void Reactor::post(std::function<void(Reactor&)> job) {
    {
        const std::lock_guard guard(posted_mutex_);
        posted_.push_back(std::move(job));
    }
    if (!posted_pending_.exchange(true, std::memory_order_acq_rel)) io_.post(posted_op_);
}

void Reactor::run_posted() {
    posted_pending_.store(false, std::memory_order_release);
    std::vector<std::function<void(Reactor&)>> jobs;
    {
        const std::lock_guard guard(posted_mutex_);
        jobs.swap(posted_);
    }
    for (auto& job : jobs) job(*this);
}

void Reactor::every_tick() {
    now_us_ = server_.clock().mono().us;
    server_.engine().now.update();
    resume_ = true;
    acceptor_.every_tick(now_us_);
    // In everysec a gate that was held back by an old unsynced write opens by time, too.
    if (!waiting_.empty()) log_advanced();
    for (std::size_t i = 0; i < blocked_.size();) {
        auto* connection = find(blocked_[i].connection);
        const bool over = connection == nullptr || !connection->blocked ||
                          connection->blocked_id != blocked_[i].id;
        if (!over && now_us_ < connection->blocked_until_us) {
            ++i;
            continue;
        }
        auto blocked = std::move(blocked_[i]);
        blocked_[i] = std::move(blocked_.back());
        blocked_.pop_back();
        if (!over && blocked.on_timeout) blocked.on_timeout(*connection);
    }
    if (now_us_ < next_cron_us_) return;
    next_cron_us_ = now_us_ + kCronUs;
    // At a stop the other reactors go first.
    if (number == 0 && !server_.stopping()) {
        server_.sample_rates(now_us_);
        server_.saving().watch();
        server_.backups().watch(*this);
        server_.memory_bound.look(server_.config().maxmemory);
    }
    if (!server_.memory_bound.refusal().empty()) give_back_freed();
    const auto timeout_us = server_.config().timeout * 1'000'000;
    std::vector<Connection*> idle;
    for_each_connection([&](Connection& connection) {
        if (timeout_us != 0 && connection.subscriptions.count() == 0 && !connection.blocked &&
            !connection.monitor && now_us_ - connection.last_us > timeout_us)
            idle.push_back(&connection);
        check_output_limit(connection);
    });
    for (auto* connection : idle) close_now(*connection);
    if (number == 0) expire_keys();
    if (number == 0) server_.parked().tend(server_, dispatcher_.session());
}

void Reactor::expire_keys() {
    auto& engine = server_.engine();
    if (!server_.active_expire.load(std::memory_order_relaxed) || engine.now.suspended() ||
        engine.log.failed() != 0)
        return;
    const auto until = server_.clock().mono().us + kExpireUsATick;
    while (engine::keys::expire_some(engine, dispatcher_.session(), kExpireKeysATick,
                                     expire_cursor_) == kExpireKeysATick &&
           server_.clock().mono().us < until) {
    }
    dispatcher_.publish_events();
}

void Reactor::end_of_turn() {
    statistics_.turns.add();
    if (resume_) {
        resume_ = false;
        std::vector<std::uint64_t> again;
        again.swap(again_);
        for (const auto id : again)
            if (auto* connection = find(id)) run_again(*connection);
    }
    std::vector<std::uint64_t> ready;
    ready.swap(ready_);
    const auto released =
        released_.begin() +
        static_cast<std::ptrdiff_t>(std::min(
            released_.size(), std::max(kReleasedATurnMin, released_.size() / kReleasedTurns)));
    ready.insert(ready.end(), released_.begin(), released);
    released_.erase(released_.begin(), released);
    // Whatever is waited for is written (and synced) by one flush for all of this turn; and for the
    // turns behind it, as long as these have something to do already. Who has a reply sends more.
    if ((!io_.ready() && released_.empty()) || ++held_turns_ == kHeldTurnsMax) {
        held_turns_ = 0;
        const bool lazy = server_.default_durability() == engine::Durability::no &&
                          soon_ <= server_.engine().log.durable();
        flusher_.kick(lazy ? kLazySyncAgeUs : kSyncAgeUs);
    }
    for (const auto id : ready) {
        const auto found = connections_.find(id);
        if (found == connections_.end()) continue;
        found->second->listed_ready = false;
        flush_replies(*found->second);
    }
    std::vector<std::uint64_t> ended;
    ended.swap(ended_);
    for (const auto id : ended) {
        const auto found = connections_.find(id);
        if (found == connections_.end()) continue;
        auto& connection = *found->second;
        if (connection.receiving || connection.sending || connection.reads_in_flight != 0) continue;
        io_.close(connection.fd);
        // Here no session is begun: the watched keys' locks may be taken.
        discard(server_.engine().keyspace(), connection);
        connections_.erase(found);
    }
}

Result<void> Reactor::turn(bool wait) {
    const bool sleeps = wait && ended_.empty() && ready_.empty() && released_.empty();
    const auto look_us = sleeps ? how_long_to_look() : 0;
    io_.look_before_sleep(look_us);
    const auto began_us = look_us == 0 ? 0 : server_.clock().mono().us;
    auto done = io_.turn(sleeps);
    if (look_us != 0 && server_.clock().mono().us - began_us > look_us)
        looks_to_skip_ = kLooksSkipped;
    end_of_turn();
    return done;
}

// One client that waits for its sync, and then sends its next command, is answered sooner by who
// did not go to sleep meanwhile. Of several each waits for the others too.
std::int64_t Reactor::how_long_to_look() {
    const bool was_alone = std::exchange(alone_, waiting_.size() == 1);
    if (!alone_ && !(was_alone && waiting_.empty())) return 0;
    // Where the disk or the client takes longer, it is tried now and then.
    if (looks_to_skip_ > 0 && --looks_to_skip_ > 0) return 0;
    // And not where that takes the client's core from it.
    static const auto cores = std::thread::hardware_concurrency();
    return server_.reactors().size() < cores ? server_.config().spin_us : 0;
}

}  // namespace firnlog::server
