#include "src/archive_command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>

namespace firnlog::server {
namespace {

constexpr int kLookMs = 20;
constexpr std::int64_t kEndPatienceUs = 1'000'000;
constexpr std::size_t kSaidBytesMax = 4096;
constexpr std::size_t kLineBytesMax = 200;

std::string filled_in(const ArchiveCommand& command) {
    std::string text;
    for (std::size_t i = 0; i < command.line.size(); ++i) {
        if (command.line[i] != '%' || i + 1 == command.line.size()) {
            text += command.line[i];
            continue;
        }
        switch (command.line[++i]) {
            case 'p':
                text += command.path;
                break;
            case 'f':
                text += command.name;
                break;
            default:
                text += '%';
        }
    }
    return text;
}

// The last line that says something, in one line of our log.
std::string last_line(std::string said) {
    for (char& letter : said)
        if (letter != '\n' && (static_cast<unsigned char>(letter) < ' ' || letter == '\x7f'))
            letter = ' ';
    while (!said.empty() && (said.back() == '\n' || said.back() == ' ')) said.pop_back();
    const auto begin = said.rfind('\n');
    return said.substr(begin == said.npos ? 0 : begin + 1).substr(0, kLineBytesMax);
}

// A shell with its group, and the end of what it says.
class Shell {
  public:
    Shell() = default;
    Shell(const Shell&) = delete;
    Shell& operator=(const Shell&) = delete;
    ~Shell() {
        if (said_fd_ >= 0) ::close(said_fd_);
    }

    // errno, or 0.
    int start(const std::string& line);
    // Its exit status, once it has ended.
    std::optional<int> look(int wait_ms);
    void end(int signal) const { ::kill(-child_, signal); }
    [[nodiscard]] std::string said() const { return last_line(said_); }

  private:
    void listen(int wait_ms);

    pid_t child_ = -1;
    int said_fd_ = -1;
    std::string said_;
};

int Shell::start(const std::string& line) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return errno;
    said_fd_ = ends[0];
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t signals;
    ::sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes, &signals);
    ::sigfillset(&signals);
    ::posix_spawnattr_setsigdefault(&attributes, &signals);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    std::string shell = "sh";
    std::string option = "-c";
    std::string text = line;
    char* const words[] = {shell.data(), option.data(), text.data(), nullptr};
    const int error = ::posix_spawn(&child_, "/bin/sh", &actions, &attributes, words, environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
    ::close(ends[1]);
    return error;
}

void Shell::listen(int wait_ms) {
    pollfd wait{.fd = said_fd_, .events = POLLIN, .revents = 0};
    (void)::poll(said_fd_ >= 0 ? &wait : nullptr, said_fd_ >= 0 ? 1 : 0, wait_ms);
    std::array<char, 1024> text{};
    while (said_fd_ >= 0) {
        const auto got = ::read(said_fd_, text.data(), text.size());
        if (got < 0) return;
        if (got == 0) {
            ::close(said_fd_);
            said_fd_ = -1;
            return;
        }
        said_.append(text.data(), static_cast<std::size_t>(got));
        if (said_.size() > 2 * kSaidBytesMax) said_.erase(0, said_.size() - kSaidBytesMax);
    }
}

std::optional<int> Shell::look(int wait_ms) {
    listen(wait_ms);
    int status = 0;
    const auto ended = ::waitpid(child_, &status, WNOHANG);
    if (ended == 0 || (ended < 0 && errno == EINTR)) return {};
    // What it said between the look and its end.
    listen(0);
    return ended < 0 ? -1 : status;
}

std::string text_of_status(int status) {
    if (WIFSIGNALED(status)) return "ended by signal " + std::to_string(WTERMSIG(status));
    return "exit status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

tl::expected<void, std::string> run_archive_command(const ArchiveCommand& command, io::Clock& clock,
                                                    const std::function<bool()>& going) {
    Shell shell;
    if (const int error = shell.start(filled_in(command)); error != 0)
        return tl::unexpected("archive-command: " + std::string(std::strerror(error)));
    const auto began_us = clock.mono().us;
    std::string ended_for;
    std::int64_t ended_us = 0;
    bool killed = false;
    for (;;) {
        if (const auto status = shell.look(kLookMs)) {
            // What it has started and left behind is of the same group.
            shell.end(SIGKILL);
            if (ended_for.empty() && WIFEXITED(*status) && WEXITSTATUS(*status) == 0) return {};
            auto text =
                "archive-command: " + (ended_for.empty() ? text_of_status(*status) : ended_for);
            if (const auto said = shell.said(); !said.empty()) text += ": " + said;
            return tl::unexpected(std::move(text));
        }
        const auto now_us = clock.mono().us;
        if (ended_for.empty()) {
            if (!going())
                ended_for = "stopped with the server";
            else if (command.seconds_max != 0 &&
                     now_us - began_us >= command.seconds_max * 1'000'000)
                ended_for = "ended after " + std::to_string(command.seconds_max) + " seconds";
            if (ended_for.empty()) continue;
            shell.end(SIGTERM);
            ended_us = now_us;
        } else if (!killed && now_us - ended_us >= kEndPatienceUs) {
            shell.end(SIGKILL);
            killed = true;
        }
    }
}

}  // namespace firnlog::server
