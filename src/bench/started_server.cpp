#include "src/bench/started_server.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

namespace firnlog::bench {
namespace {

namespace fs = std::filesystem;
using Failure = tl::unexpected<std::string>;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kStartPatience{60};
constexpr std::chrono::seconds kStopPatience{10};
constexpr std::chrono::milliseconds kLookEvery{10};

// What a directory may be called, as its path comes into a line that a shell takes apart.
constexpr std::string_view kPathLetters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+@:,%=";

// A port nobody listens on now; the kernel does not hand it out again at once.
std::uint16_t free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return 0;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), bytes) == 0 &&
                       ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &bytes) == 0;
    ::close(fd);
    return bound ? ntohs(address.sin_port) : std::uint16_t{0};
}

void replace(std::string& line, std::string_view what, const std::string& with) {
    for (auto at = line.find(what); at != std::string::npos; at = line.find(what, at + with.size()))
        line.replace(at, what.size(), with);
}

// Between fork and exec: nothing here allocates.
[[noreturn]] void become(const char* line, int log, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    // A Ctrl-C is ours to answer; the server is stopped when the figures are taken.
    ::setpgid(0, 0);
    const int none = ::open("/dev/null", O_RDONLY);
    ::dup2(none, 0);
    ::dup2(log, 1);
    ::dup2(log, 2);
    ::execl("/bin/sh", "sh", "-c", line, static_cast<char*>(nullptr));
    ::_exit(127);
}

}  // namespace

tl::expected<StartedServer, std::string> StartedServer::start(const std::string& line,
                                                              const std::string& where) {
    if (line.find("{port}") == std::string::npos || line.find("{dir}") == std::string::npos)
        return Failure("'" + line + "': {port} and {dir} must stand in it");
    if (where.find_first_not_of(kPathLetters) != std::string::npos)
        return Failure(where + ": a shell would read more into this path than its letters");
    StartedServer server;
    server.dir_ = (fs::path(where) / "firnlog-bench-XXXXXX").string();
    if (::mkdtemp(server.dir_.data()) == nullptr)
        return Failure(where + ": no directory can be made there: " + std::strerror(errno));
    server.port_ = free_port();
    auto full = "exec " + line;
    replace(full, "{port}", std::to_string(server.port_));
    replace(full, "{dir}", server.dir_);
    if (auto spawned = server.spawn(full); !spawned) return Failure(spawned.error());
    if (auto ready = server.await(); !ready)
        return Failure("'" + line + "': " + ready.error() + "\n" + server.log());
    return server;
}

StartedServer::StartedServer(StartedServer&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      port_(other.port_),
      dir_(std::exchange(other.dir_, {})) {}

tl::expected<void, std::string> StartedServer::spawn(const std::string& line) {
    const auto log_name = dir_ + ".log";
    const int log = ::open(log_name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (log < 0) return Failure(log_name + ": " + std::strerror(errno));
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child == 0) become(line.c_str(), log, parent);
    ::close(log);
    if (child < 0) return Failure(std::string("fork: ") + std::strerror(errno));
    pid_ = child;
    return {};
}

tl::expected<void, std::string> StartedServer::await() {
    Target target{.port = port_};
    const auto until = steady_clock::now() + kStartPatience;
    while (steady_clock::now() < until) {
        int status = 0;
        if (::waitpid(pid_, &status, WNOHANG) == pid_) {
            pid_ = -1;
            return Failure("it ended before it answered");
        }
        if (auto link = Link::open(target, Link::Milliseconds(1000))) {
            const auto answer = link->ask({"PING"});
            if (answer && !answer->text.starts_with("LOADING")) return {};
        }
        std::this_thread::sleep_for(kLookEvery);
    }
    return Failure("it does not answer");
}

std::string StartedServer::log() const {
    std::ifstream file(dir_ + ".log", std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return std::move(text).str();
}

StartedServer::~StartedServer() {
    if (pid_ > 0) {
        ::kill(pid_, SIGTERM);
        const auto until = steady_clock::now() + kStopPatience;
        while (::waitpid(pid_, nullptr, WNOHANG) == 0) {
            if (steady_clock::now() > until) ::kill(pid_, SIGKILL);
            std::this_thread::sleep_for(kLookEvery);
        }
    }
    if (dir_.empty()) return;
    std::error_code ignored;
    fs::remove_all(dir_, ignored);
    fs::remove(dir_ + ".log", ignored);
}

}  // namespace firnlog::bench
