#pragma once
// StartedServer: a server that this program started from a command line, on a port and in a
// directory of its own, and that ends with it.
//
//   'redis-server --port {port} --dir {dir} --appendonly yes'
//
// The shell takes the line apart and is then replaced, so that a signal reaches the server itself.
// It gets SIGTERM, and SIGKILL ten seconds later; should we die, the kernel kills it. What it says
// stands in log() and is told when it does not start. The directory is removed at the end.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <tl/expected.hpp>

#include "src/bench/link.hpp"

namespace firnlog::bench {

class StartedServer {
  public:
    // Waits until it answers; the directory is made inside `where`. {port} and {dir} must stand in
    // the line, {dir} if only for the sake of the next run.
    [[nodiscard]] static tl::expected<StartedServer, std::string> start(const std::string& line,
                                                                        const std::string& where);
    StartedServer(StartedServer&& other) noexcept;
    StartedServer& operator=(StartedServer&&) = delete;
    ~StartedServer();

    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] std::string log() const;

  private:
    StartedServer() = default;
    [[nodiscard]] tl::expected<void, std::string> spawn(const std::string& line);
    [[nodiscard]] tl::expected<void, std::string> await();

    pid_t pid_ = -1;
    std::uint16_t port_ = 0;
    std::string dir_;  // its directory; beside it lies its log
};

}  // namespace firnlog::bench
