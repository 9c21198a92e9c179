#pragma once
// Net: connected byte pipes between scripted clients and the server under test.
//
//   client.send ──> outbox ──> up (bounded) ──> recv of the server's Io
//   client.take <── inbox <── down (bounded) <── send of the server's Io
//
// Each arrow moves any number of bytes the seed likes, at a time the seed likes, so every split and
// join of the stream occurs. A client that stalls lets `down` fill, and the server's sends fall
// short. A Client may be used from any thread; the rest is guarded by the World.

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/rng.hpp"

namespace firnlog::sim {

class World;
class Process;
struct Op;

// One connection, both ends of it.
struct Connection {
    std::string outbox, up;   // towards the server
    std::string down, inbox;  // towards the client
    std::size_t up_bytes_max = 0;
    std::size_t down_bytes_max = 0;
    bool client_shut = false;  // sends no more: end of stream once the outbox is empty
    bool client_closed = false;
    bool client_stalled = false;
    bool server_closed = false;
    bool reset = false;
    bool accepted = false;
    bool ticking = false;  // an event is due
    Op* recv = nullptr;
    Op* send = nullptr;
};

struct Listener {
    int fd = -1;
    Process* owner = nullptr;
    std::deque<Connection*> backlog;
    Op* accept = nullptr;
    bool ticking = false;
};

// The client's end. Copies are the same client.
class Client {
  public:
    void send(std::string_view bytes);
    [[nodiscard]] std::string take();        // what has arrived since the last take
    [[nodiscard]] std::string peek() const;  // without taking it
    void stall(bool stalled = true);         // stops reading: the server's sends fall short
    void shut();                             // half close: sends no more, still receives
    void close();
    void reset();  // RST
    [[nodiscard]] bool accepted() const;
    [[nodiscard]] bool closed() const;  // the server closed and all of its bytes were read
    [[nodiscard]] bool was_reset() const;

  private:
    friend class Net;
    Client(World& world, Connection& connection) : world_(&world), connection_(&connection) {}
    World* world_;
    Connection* connection_;
};

class Net {
  public:
    explicit Net(World& world, Rng rng) : world_(world), rng_(rng) {}

    // Bounds of each pipe of connections to come, in bytes; drawn from [least, most].
    void buffers(std::size_t least, std::size_t most);
    // What was sent arrives in one piece, where there is room; else in pieces of any size.
    void whole_pieces() { whole_ = true; }
    // Connects to a descriptor made by Process::listen.
    [[nodiscard]] Client connect(int listener);

    // For Process, Io and World.
    Listener& listen(int fd, Process& owner);
    void kick(Connection& connection);
    void kick(Listener& listener);
    void tick(Connection& connection);
    void tick(Listener& listener);
    void server_closes(Connection& connection);
    void listener_closes(Listener& listener);
    void rebooted();  // no event is due any more; clients see their connections end

  private:
    std::size_t bite(std::size_t bytes);
    void move(std::string& from, std::string& to, std::size_t room);
    void receive(Connection& connection);
    void transmit(Connection& connection);
    [[nodiscard]] static bool can_move(const Connection& connection);

    World& world_;
    bool whole_ = false;
    Rng rng_;
    std::size_t buffer_bytes_min_ = 1;
    std::size_t buffer_bytes_max_ = 65536;
    std::vector<std::unique_ptr<Connection>> connections_;
    std::vector<std::unique_ptr<Listener>> listeners_;
};

}  // namespace firnlog::sim
