#pragma once
// Subject: the server under test, a process group started by a command line.
//
// Every start takes a port nobody listens on: sockets of a killed server may stay a moment. What it
// prints goes to a file, so that words it says about damage and about a refused start can be read.
// Its group dies with the thread that started it.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "io/base/result.hpp"
#include "src/crashtest/connection.hpp"

namespace firnlog::crashtest {

struct Exit {
    bool by_signal = false;
    int code = 0;  // exit code or signal

    [[nodiscard]] std::string text() const;
};

enum class Ready : std::uint8_t { serves, ended, hangs };

class Subject {
  public:
    // {port} and {dir} in the command are replaced at each start.
    Subject(std::string command, std::string folder, std::string log_path)
        : command_(std::move(command)),
          folder_(std::move(folder)),
          log_path_(std::move(log_path)) {}
    Subject(const Subject&) = delete;
    Subject& operator=(const Subject&) = delete;
    ~Subject() { kill(); }

    // Starts it, and waits until a read is answered, be it with "no such key", or the process has
    // ended. Where somebody was quicker to take the port it is started again on another.
    [[nodiscard]] Result<Ready> start(int timeout_ms);
    void signal_kill() noexcept;  // SIGKILL to the group; the process may take its time to go
    void kill() noexcept;         // and waits until it is gone
    // SIGTERM; nothing: it did not end in time and was killed.
    [[nodiscard]] std::optional<Exit> stop(int timeout_ms);
    // Looks whether it has ended by itself.
    [[nodiscard]] std::optional<Exit> ended() noexcept;

    void move_to(std::string folder) { folder_ = std::move(folder); }
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    [[nodiscard]] const std::string& folder() const noexcept { return folder_; }
    [[nodiscard]] double recovery_ms() const noexcept { return recovery_ms_; }
    [[nodiscard]] const std::optional<Exit>& exit() const noexcept { return exit_; }
    // What it printed since its last start.
    [[nodiscard]] std::string said() const;

  private:
    [[nodiscard]] Result<void> spawn();
    [[nodiscard]] Ready wait_ready(int timeout_ms);

    std::string command_;
    std::string folder_;
    std::string log_path_;
    pid_t pid_ = -1;
    std::uint16_t port_ = 0;
    std::int64_t started_us_ = 0;
    std::uint64_t log_begin_ = 0;
    double recovery_ms_ = 0;
    std::optional<Exit> exit_;
};

}  // namespace firnlog::crashtest
