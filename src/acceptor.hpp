#pragma once
// Acceptor: the sockets listened on, and the dealing of what comes in to the reactors in turn.
//
//   listener -> accepted -> this reactor adopts it, or another does when it has been posted to
//          <- out of descriptors, say: accept again after a pause, never spin
//
// Owned by the one reactor that listens; the others have one that does nothing.

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "io/io.hpp"

namespace firnlog::server {

class Reactor;
class Server;
struct Config;

class Acceptor {
  public:
    Acceptor(Server& server, Reactor& reactor, io::Io& io)
        : server_(server), reactor_(reactor), io_(io) {}

    // Accepts from this socket (owned by the caller) until the server stops.
    void listen(int listener);
    // Goes on where it has paused for long enough.
    void every_tick(std::int64_t now_us);

  private:
    struct Accept : io::Completion {
        Acceptor* owner = nullptr;
        int listener = -1;
    };
    void accepted(Accept& accept, std::int32_t result, bool more);
    void deal(int fd);

    Server& server_;
    Reactor& reactor_;
    io::Io& io_;
    std::vector<std::unique_ptr<Accept>> accepts_;
    std::vector<Accept*> paused_;
    std::int64_t again_us_ = 0;
    std::size_t next_reactor_ = 0;
};

// The error with which a client is turned away that has just come, from this machine or from
// another one, as one of so many; empty if it may stay.
[[nodiscard]] std::string_view refusal_of(bool local, const Config& config,
                                          std::size_t connections);

}  // namespace firnlog::server
