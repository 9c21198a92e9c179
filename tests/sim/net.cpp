#include "tests/sim/net.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "io/base/ensure.hpp"
#include "tests/sim/io.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::sim {

namespace {

constexpr std::size_t kRecvBytesMax = 16384;  // of one buffer of the ring

}  // namespace

void Client::send(std::string_view bytes) {
    const auto hold = world_->guard();
    if (connection_->client_shut || connection_->reset) return;
    connection_->outbox += bytes;
    world_->net().kick(*connection_);
}

std::string Client::take() {
    const auto hold = world_->guard();
    return std::exchange(connection_->inbox, {});
}

std::string Client::peek() const {
    const auto hold = world_->guard();
    return connection_->inbox;
}

void Client::stall(bool stalled) {
    const auto hold = world_->guard();
    connection_->client_stalled = stalled;
    world_->net().kick(*connection_);
}

void Client::shut() {
    const auto hold = world_->guard();
    connection_->client_shut = true;
    world_->net().kick(*connection_);
}

void Client::close() {
    const auto hold = world_->guard();
    connection_->client_shut = true;
    connection_->client_closed = true;
    world_->net().kick(*connection_);
}

void Client::reset() {
    const auto hold = world_->guard();
    connection_->reset = true;
    connection_->outbox.clear();
    world_->net().kick(*connection_);
}

bool Client::accepted() const {
    const auto hold = world_->guard();
    return connection_->accepted;
}

bool Client::closed() const {
    const auto hold = world_->guard();
    return connection_->reset || (connection_->server_closed && connection_->down.empty());
}

bool Client::was_reset() const {
    const auto hold = world_->guard();
    return connection_->reset;
}

void Net::buffers(std::size_t least, std::size_t most) {
    const auto hold = world_.guard();
    buffer_bytes_min_ = std::max<std::size_t>(least, 1);
    buffer_bytes_max_ = std::max(buffer_bytes_min_, most);
}

Client Net::connect(int listener) {
    const auto hold = world_.guard();
    connections_.push_back(std::make_unique<Connection>());
    Connection& connection = *connections_.back();
    connection.up_bytes_max = rng_.between(buffer_bytes_min_, buffer_bytes_max_);
    connection.down_bytes_max = rng_.between(buffer_bytes_min_, buffer_bytes_max_);
    const auto at = std::ranges::find_if(
        listeners_, [&](const std::unique_ptr<Listener>& l) { return l->fd == listener; });
    if (at == listeners_.end()) {
        connection.reset = true;  // ECONNREFUSED
    } else {
        (*at)->backlog.push_back(&connection);
        kick(**at);
    }
    return {world_, connection};
}

Listener& Net::listen(int fd, Process& owner) {
    listeners_.push_back(std::make_unique<Listener>());
    listeners_.back()->fd = fd;
    listeners_.back()->owner = &owner;
    return *listeners_.back();
}

void Net::kick(Connection& connection) {
    if (!connection.ticking) world_.schedule(connection);
    connection.ticking = true;
}

void Net::kick(Listener& listener) {
    if (!listener.ticking) world_.schedule(listener);
    listener.ticking = true;
}

std::size_t Net::bite(std::size_t bytes) {
    if (whole_) return bytes;
    switch (rng_.below(4)) {
        case 0:
            return rng_.between(1, std::min<std::size_t>(bytes, 16));
        case 1:
            return rng_.between(1, bytes);
        default:
            return bytes;
    }
}

void Net::move(std::string& from, std::string& to, std::size_t room) {
    const std::size_t most = std::min(from.size(), room);
    if (most == 0) return;
    const std::size_t count = bite(most);
    to.append(from, 0, count);
    from.erase(0, count);
}

void Net::receive(Connection& connection) {
    Op& op = *connection.recv;
    if (op.error != 0) {
        op.io->finish(op, -op.error);
    } else if (connection.reset) {
        op.io->finish(op, -ECONNRESET);
    } else if (!connection.up.empty()) {
        if (rng_.chance(2)) {
            op.io->finish(op, -ENOBUFS);
            return;
        }
        std::string bytes;
        move(connection.up, bytes, kRecvBytesMax);
        const auto count = static_cast<std::int64_t>(bytes.size());
        op.io->finish(op, count, true, std::move(bytes));
    } else if (connection.client_shut && connection.outbox.empty()) {
        op.io->finish(op, 0);
    }
}

void Net::transmit(Connection& connection) {
    Op& op = *connection.send;
    if (op.error != 0) {
        op.io->finish(op, -op.error);
    } else if (connection.reset) {
        op.io->finish(op, rng_.chance(50) ? -EPIPE : -ECONNRESET);
    } else if (connection.client_closed) {
        // The first bytes into a closed socket are taken and answered with RST.
        connection.reset = true;
        op.io->finish(op, static_cast<std::int64_t>(op.length));
    } else if (connection.down.size() < connection.down_bytes_max || op.length == 0) {
        std::size_t count = std::min<std::size_t>(
            op.length, connection.down_bytes_max -
                           std::min(connection.down.size(), connection.down_bytes_max));
        if (count != 0) count = bite(count);
        if (op.is_short && count > 1) count /= 2;
        connection.down += as_text(op.pieces[0].first(count));
        op.io->finish(op, static_cast<std::int64_t>(count));
    }
}

bool Net::can_move(const Connection& c) {
    const bool ends = c.reset || (c.client_shut && c.outbox.empty());
    return (!c.outbox.empty() && c.up.size() < c.up_bytes_max && !c.reset && !c.server_closed) ||
           (c.recv != nullptr && (!c.up.empty() || ends || c.recv->error != 0)) ||
           (c.send != nullptr && (c.down.size() < c.down_bytes_max || c.reset || c.client_closed ||
                                  c.send->error != 0)) ||
           (!c.down.empty() && !c.client_stalled && !c.reset);
}

void Net::tick(Connection& connection) {
    connection.ticking = false;
    if (connection.server_closed) connection.outbox.clear();
    if (!connection.reset)
        move(connection.outbox, connection.up,
             connection.up_bytes_max - std::min(connection.up.size(), connection.up_bytes_max));
    if (connection.recv != nullptr) receive(connection);
    if (connection.send != nullptr) transmit(connection);
    if (!connection.client_stalled && !connection.reset)
        move(connection.down, connection.inbox, connection.down.size());
    if (can_move(connection)) kick(connection);
}

void Net::tick(Listener& listener) {
    listener.ticking = false;
    if (listener.accept == nullptr) return;
    Op& op = *listener.accept;
    if (op.error != 0) {
        op.io->finish(op, -op.error);
        return;
    }
    if (listener.backlog.empty()) return;
    Connection& connection = *listener.backlog.front();
    listener.backlog.pop_front();
    connection.accepted = true;
    const int fd = world_.add_descriptor(
        {.what = Descriptor::What::connection, .owner = listener.owner, .connection = &connection});
    op.io->finish(op, fd, true);
    if (can_move(connection)) kick(connection);
    if (!listener.backlog.empty()) kick(listener);
}

void Net::server_closes(Connection& connection) {
    connection.server_closed = true;
    connection.up.clear();
    kick(connection);
}

void Net::listener_closes(Listener& listener) {
    for (Connection* waiting : listener.backlog) waiting->reset = true;
    listener.backlog.clear();
    listener.fd = -1;  // an event may still be due: the object stays
}

void Net::rebooted() {
    for (const auto& connection : connections_) {
        connection->ticking = false;
        connection->reset = true;
    }
    for (const auto& listener : listeners_) listener->ticking = false;
}

}  // namespace firnlog::sim
