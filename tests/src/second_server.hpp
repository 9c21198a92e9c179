#pragma once
// SecondServer: the whole server, from its sockets to its log, in a simulated world.
//
//   Caller ──> sim::Net ──> Reactor ──> Dispatcher ──> Session ──> Log ──> sim::Disk
//
// What real disks do once a year happens here when the test says so: a sync that hangs, a byte that
// rots, a cut. Steps are taken by the test, one turn of one reactor each, so that what a caller has
// received can be held against what is durable at that very moment.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "recovery/open.hpp"
#include "src/config.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::server::test {

// "SET k v" as a RESP array; words stand between spaces, "" is an empty word.
[[nodiscard]] std::string command(std::string_view line);
[[nodiscard]] std::string command(const std::vector<std::string>& words);
// The length of the first whole reply in `bytes`, or 0.
[[nodiscard]] std::size_t reply_bytes(std::string_view bytes);

struct SecondOptions {
    Fsync appendfsync = Fsync::always;
    std::uint32_t notify = 0;
    std::size_t reactors = 1;
    std::uint64_t segment_bytes = std::uint64_t{256} << 10;
    unsigned lanes = 0;  // a start with threads of its own; the world is one of threads then
};

class SecondServer;

class Caller {
  public:
    Caller(SecondServer& server, sim::Client client) : server_(server), client_(client) {}

    void send(std::string_view line) { client_.send(command(line)); }
    // Asks, and waits for the one reply, which is returned as it came.
    std::string ask(std::string_view line);
    [[nodiscard]] sim::Client& client() { return client_; }
    // A whole reply that has arrived, taken; or nothing.
    [[nodiscard]] std::string taken();

  private:
    SecondServer& server_;
    sim::Client client_;
    std::string unread_;
};

class SecondServer {
  public:
    explicit SecondServer(sim::World& world, SecondOptions options = {});
    ~SecondServer();
    SecondServer(const SecondServer&) = delete;
    SecondServer& operator=(const SecondServer&) = delete;

    [[nodiscard]] sim::World& world() { return world_; }
    [[nodiscard]] engine::Engine& engine() { return store_->engine(); }
    [[nodiscard]] engine::Log& log() { return engine().log; }
    [[nodiscard]] recovery::Store& store() { return *store_; }
    [[nodiscard]] Server& server() { return *server_; }
    [[nodiscard]] Reactor& reactor(std::size_t number) { return *reactors_[number]; }

    [[nodiscard]] Caller connect() { return {*this, world_.net().connect(listener_)}; }
    // One turn of one reactor, and one piece of the worker's work.
    void step();
    // Steps until the condition holds; false if it does not within so much simulated time.
    bool until(const std::function<bool()>& condition, std::int64_t us_max = 60'000'000);
    // Steps until everything appended is durable.
    bool settle();
    // The store alone again: reactors and connections go.
    void stop_serving();

  private:
    sim::World& world_;
    std::unique_ptr<recovery::Store> store_;
    std::unique_ptr<Server> server_;
    std::vector<std::unique_ptr<Reactor>> reactors_;
    int listener_ = -1;
    std::size_t next_ = 0;
};

}  // namespace firnlog::server::test
