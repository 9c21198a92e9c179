#include "src/crashtest/subject.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>
#include <thread>

#include "src/crashtest/wall.hpp"

namespace firnlog::crashtest {
namespace {

using namespace std::chrono_literals;

std::string replaced(std::string text, std::string_view what, const std::string& by) {
    for (auto at = text.find(what); at != text.npos; at = text.find(what, at + by.size()))
        text.replace(at, what.size(), by);
    return text;
}

}  // namespace

std::string Exit::text() const {
    if (!by_signal) return "exit code " + std::to_string(code);
    const char* const name = ::sigabbrev_np(code);
    return "signal " + (name != nullptr ? "SIG" + std::string(name) : std::to_string(code));
}

Result<void> Subject::spawn() {
    kill();
    exit_.reset();
    port_ = free_port();
    const auto line =
        "exec " + replaced(replaced(command_, "{port}", std::to_string(port_)), "{dir}", folder_);
    const int log = ::open(log_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) return fail_errno("open the server's log");
    struct stat before {};
    if (::fstat(log, &before) == 0) log_begin_ = static_cast<std::uint64_t>(before.st_size);
    started_us_ = wall_us();
    pid_ = ::fork();
    if (pid_ == 0) {
        ::setsid();
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::dup2(::open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
        ::dup2(log, 1);
        ::dup2(log, 2);
        ::execl("/bin/sh", "sh", "-c", line.c_str(), static_cast<char*>(nullptr));
        ::_exit(127);
    }
    const int error = errno;
    ::close(log);
    if (pid_ < 0) return fail_errno("start the server", error);
    return {};
}

Result<Ready> Subject::start(int timeout_ms) {
    constexpr int kTries = 3;
    for (int tries = 1;; ++tries) {
        if (const auto spawned = spawn(); !spawned) return fail(spawned);
        const auto ready = wait_ready(timeout_ms);
        if (ready != Ready::ended || tries == kTries ||
            said().find("ddress already in use") == std::string::npos)
            return ready;
    }
}

Ready Subject::wait_ready(int timeout_ms) {
    const auto until = started_us_ + std::int64_t{timeout_ms} * 1000;
    while (wall_us() < until) {
        if (ended()) return Ready::ended;
        Connection connection;
        if (connection.open(port_)) {
            const auto reply = connection.ask({"GET", "ct:ready"}, timeout_ms);
            if (!reply.is_error("LOADING") && !reply.is_error("CLOSED") &&
                !reply.is_error("LATE")) {
                recovery_ms_ = static_cast<double>(wall_us() - started_us_) / 1000;
                return Ready::serves;
            }
        }
        std::this_thread::sleep_for(1ms);
    }
    return ended() ? Ready::ended : Ready::hangs;
}

void Subject::signal_kill() noexcept {
    if (pid_ > 0) ::kill(-pid_, SIGKILL);
}

void Subject::kill() noexcept {
    if (pid_ <= 0) return;
    // Before setsid() the child is no group yet.
    if (::kill(-pid_, SIGKILL) != 0) ::kill(pid_, SIGKILL);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
}

std::optional<Exit> Subject::ended() noexcept {
    if (pid_ <= 0) return exit_;
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
    ::kill(-pid_, SIGKILL);  // children it left
    pid_ = -1;
    exit_ = WIFSIGNALED(status) ? Exit{true, WTERMSIG(status)} : Exit{false, WEXITSTATUS(status)};
    return exit_;
}

std::optional<Exit> Subject::stop(int timeout_ms) {
    if (pid_ <= 0) return exit_;
    ::kill(pid_, SIGTERM);
    const auto until = wall_us() + std::int64_t{timeout_ms} * 1000;
    while (wall_us() < until) {
        if (const auto done = ended()) return done;
        std::this_thread::sleep_for(2ms);
    }
    kill();
    return std::nullopt;
}

std::string Subject::said() const {
    std::ifstream file(log_path_, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(log_begin_));
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace firnlog::crashtest
