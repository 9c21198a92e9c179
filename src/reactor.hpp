#pragma once
// Reactor: one thread, one ring, and the connections dealt to it.
//
//   turn:  completions (bytes, connections, writes of the log) -> commands run as they are parsed
//          -> end of turn: flush the log, send what may be sent, one io_uring_enter for it all
//
// Everything of a reactor is touched by its thread alone; others hand it work through post().

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/engine.hpp"
#include "io/io.hpp"
#include "src/acceptor.hpp"
#include "src/connection.hpp"
#include "src/dispatcher.hpp"
#include "src/early.hpp"
#include "src/statistics.hpp"

namespace firnlog::server {

class Server;

class Reactor {
  public:
    Reactor(Server& server, std::size_t number, io::Io& io);
    ~Reactor();
    Reactor(const Reactor&) = delete;
    Reactor& operator=(const Reactor&) = delete;

    // ---- Its thread.

    // Accepts from this socket (owned by the caller).
    void listen(int listener) { acceptor_.listen(listener); }
    // One turn; `wait` lets it sleep until something happens.
    Result<void> turn(bool wait);

    [[nodiscard]] Connection* find(std::uint64_t id);
    [[nodiscard]] std::size_t connections() const { return connections_.size(); }
    template <class Visit>
    void for_each_connection(Visit&& visit) {
        for (auto& [id, connection] : connections_)
            if (!connection->ended) visit(*connection);
    }
    // Adopts an accepted descriptor.
    void adopt(int fd, bool unix_socket);
    // Or one that was accepted before there were reactors; what it has sent since runs now.
    void adopt(const Early& early);
    // Ends it when its replies have been sent, or now.
    void close_after_replies(Connection& connection);
    void close_now(Connection& connection);

    // The reply in connection.out is whole, and sent when everything before `gate` is as safe as
    // that.
    void end_reply(Connection& connection, engine::Lsn gate, engine::Durability durability);
    // A push, or a reply that comes late, was written to connection.out.buffer(): it is one reply,
    // held until everything appended so far is as safe as the connection wants it.
    void end_push(Connection& connection);

    // A command returned Flow::blocked: its connection parses nothing until unblock(). Returns an
    // id to unblock with; a connection that was closed or unblocked meanwhile is missed.
    std::uint64_t block(Connection& connection, std::int64_t timeout_ms = 0,
                        std::function<void(Connection&)> on_timeout = {});
    // `reply` writes the reply; then the connection goes on with what it has sent meanwhile.
    bool unblock(std::uint64_t connection_id, std::uint64_t blocked_id,
                 const std::function<void(Connection&, resp::Writer&)>& reply);

    // Runs `run` on this reactor once everything before `lsn` is durable, or the log has failed;
    // asks for the sync. Perhaps at once.
    void when_durable(engine::Lsn lsn, std::function<void(Reactor&)> run);

    // Nothing of its log writes is in flight: it may end.
    [[nodiscard]] bool log_idle() const { return flusher_.idle(); }
    // Ends all connections when their replies have been sent, or now; nothing more is parsed.
    void close_all(bool now);

    // Commands that wait for room in the log run again at the end of this turn.
    void resume() { resume_ = true; }

    [[nodiscard]] Dispatcher& dispatcher() { return dispatcher_; }
    [[nodiscard]] std::int64_t now_us() const { return now_us_; }  // monotonic, of this turn
    [[nodiscard]] Statistics& statistics() { return statistics_; }
    [[nodiscard]] Server& server() { return server_; }
    [[nodiscard]] io::Io& io() { return io_; }

    // ---- Any thread.

    void post(std::function<void(Reactor&)> job);

    const std::size_t number;

  private:
    struct Op : io::Completion {
        Reactor* owner = nullptr;
    };

    void admit(const Early& client, bool unix_socket);
    void received(Connection& connection, std::int32_t result, bool more);
    void sent(Connection& connection, std::int32_t result);
    void start_receiving(Connection& connection);
    // Parses and runs what has been received, as long as the connection may go on.
    void run_commands(Connection& connection);
    void run_received(Connection& connection);
    void run_one(Connection& connection, std::span<const std::string_view> args);
    void run_again(Connection& connection);
    void go_on(Connection& connection);
    void read_cold(Connection& connection);
    void cold_read_done(std::uint64_t id, engine::Warm warm);
    void flushed();
    void look_whether_quiet();
    void log_advanced();
    void flush_replies(Connection& connection);
    // Lists the connection if it has something to send, or to wait for.
    void note_ready(Connection& connection);
    void check_output_limit(Connection& connection);
    void reap(Connection& connection);
    void end_of_turn();
    [[nodiscard]] std::int64_t how_long_to_look();
    void run_posted();
    void every_tick();
    void expire_keys();
    void arm_tick();

    Server& server_;
    io::Io& io_;
    Acceptor acceptor_;
    Dispatcher dispatcher_;
    engine::Flusher flusher_;
    // Everything before is to be synced within a second, whatever the default says: somebody in
    // `everysec` was told of it, or waits to be.
    engine::Lsn soon_;
    Statistics statistics_;

    std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
    std::vector<std::uint64_t> ready_;  // something to send
    // The same, since the log has come as far as they waited for: a few a turn, so that who reads
    // need not wait until all who write together have their replies.
    std::vector<std::uint64_t> released_;
    std::vector<std::uint64_t> waiting_;  // gates closed
    std::vector<std::uint64_t> again_;    // commands to run again when the log has room
    std::vector<std::uint64_t> ended_;    // to be closed once nothing is in flight
    struct Blocked {
        std::uint64_t connection = 0;
        std::uint64_t id = 0;
        std::function<void(Connection&)> on_timeout;
    };
    std::vector<Blocked> blocked_;  // those with a time-out
    struct DurableWait {
        engine::Lsn lsn;
        std::function<void(Reactor&)> run;
    };
    std::vector<DurableWait> durable_waits_;
    Op tick_;
    std::int64_t now_us_ = 0;
    std::int64_t next_cron_us_ = 0;
    std::uint64_t next_blocked_id_ = 0;
    std::uint32_t expire_cursor_ = 0;
    Op quiet_;
    bool quiet_armed_ = false;
    std::int64_t flushed_us_ = 0;  // when a flush of ours last ended
    engine::Lsn quiet_lsn_;        // where the log ended when that was last looked at
    bool resume_ = false;          // run again_ at the end of this turn
    bool alone_ = false;           // when it last slept one connection waited for the log
    int looks_to_skip_ = 0;        // before it looks again instead of going to sleep
    int held_turns_ = 0;           // without a flush, because more had arrived

    std::mutex posted_mutex_;
    std::vector<std::function<void(Reactor&)>> posted_;
    Op posted_op_;
    std::atomic<bool> posted_pending_{false};
};

}  // namespace firnlog::server
