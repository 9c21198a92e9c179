#pragma once
// Connection: one client, from accept to close.
//
// It holds who the client is (Identity, address, durability), what it has sent and not been
// answered, its transaction and its subscriptions. What it can do is elsewhere: Reactor moves its
// bytes, Dispatcher runs its commands, each family of commands its own part of the state.
// Owned by one reactor: nobody else touches it. Other threads name it by its id.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/index/keyspace.hpp"
#include "engine/log/log.hpp"
#include "engine/log/reader.hpp"
#include "io/io.hpp"
#include "src/identity.hpp"
#include "src/kept_command.hpp"
#include "src/outbox.hpp"
#include "src/resp/parser.hpp"
#include "src/resp/receive_buffer.hpp"
#include "src/resp/writer.hpp"

namespace firnlog::server {

class Reactor;
struct Asof;
struct Command;

struct Transaction {
    struct Queued {
        const Command* command = nullptr;
        KeptCommand kept;
    };
    bool open = false;     // MULTI was given
    bool refused = false;  // a command was refused while queueing: EXEC aborts
    std::vector<Queued> queue;
    std::size_t bytes = 0;
    // WATCH; `touched` is set by whoever changes a watched key.
    std::vector<std::unique_ptr<engine::Watch>> watches;
    std::vector<std::string> watched_keys;
    std::atomic<bool> touched{false};
};

struct Subscriptions {
    std::set<std::string, std::less<>> channels;
    std::set<std::string, std::less<>> patterns;
    std::set<std::string, std::less<>> shard_channels;
    [[nodiscard]] std::size_t count() const { return channels.size() + patterns.size(); }
};

class Connection {
  public:
    Connection(Reactor& its_reactor, std::uint64_t number, int descriptor)
        : reactor(its_reactor), id(number), fd(descriptor) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    Reactor& reactor;
    const std::uint64_t id;
    const int fd;

    // ---- Who it is.
    std::string peer_address;  // "127.0.0.1:50312", "[::1]:50312", "/run/firnlog.sock:0"
    std::string local_address;
    bool local = false;  // on this machine
    bool unix_socket = false;
    Identity who;
    // FIRN DURABILITY; without it CONFIG's appendfsync holds.
    std::optional<engine::Durability> durability;
    engine::Lsn last_write_lsn;  // end of the last batch this connection wrote
    // FIRN ASOF: what it asks for is answered as of then. Shared with its reads in flight.
    std::shared_ptr<Asof> asof;
    bool asof_gone =
        false;  // it was put out of the past, and has not said yet where it wants to be
    bool no_evict = false;
    bool no_touch = false;

    // ---- What it is doing.
    resp::Parser parser;
    resp::ReceiveBuffer in;
    Outbox out;
    Transaction transaction;
    Subscriptions subscriptions;
    bool monitor = false;
    enum class Replies : std::uint8_t { on, off, skip_next, skip } replies = Replies::on;

    std::unique_ptr<KeptCommand> again;  // stopped by cold bytes or lack of room: runs again
    std::vector<engine::Warm> warm;      // what was read for it meanwhile
    bool blocked = false;                // Flow::blocked: nothing is parsed until unblock()
    std::uint64_t blocked_id = 0;        // grows with each blocking, so that a late unblock misses
    std::int64_t blocked_until_us = 0;   // monotonic; 0: no time-out
    bool closing = false;                // nothing more is parsed; closed when `out` is empty
    bool peer_closed = false;

    // ---- What CLIENT LIST tells.
    std::int64_t created_us = 0;  // monotonic
    std::int64_t last_us = 0;
    const Command* last_command = nullptr;
    std::uint64_t commands = 0;
    std::uint64_t net_in = 0;
    std::uint64_t net_out = 0;

    // ---- The reactor's own.
    struct Op : io::Completion {
        Connection* owner = nullptr;
    };
    Op recv_op;
    Op send_op;
    bool receiving = false;
    bool sending = false;
    bool ended = false;           // closed; waits for its operations to finish
    bool listed_ready = false;    // in the list of connections with something to send
    bool listed_waiting = false;  // in the list of connections with closed gates
    std::int64_t soft_limit_since_us = 0;
    std::size_t reads_in_flight = 0;  // through the ring, for `again`
};

}  // namespace firnlog::server
