#include "tests/src/redis_oracle.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <utility>

namespace firnlog::server::test {

namespace {

constexpr int kSilenceMs = 10'000;

[[noreturn]] void give_up(const char* doing) {
    throw std::runtime_error(std::string(doing) + ": " + std::strerror(errno));
}

// A connected socket, or -1 while nobody listens.
int connect_to(const std::string& path) {
    const int made = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0) give_up("socket");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
        return made;
    }
    ::close(made);
    return -1;
}

}  // namespace

Peer::Peer(const std::string& socket_path) : socket_(connect_to(socket_path)) {
    if (socket_ < 0) give_up("connect to redis-server");
}

Peer::~Peer() { ::close(socket_); }

void Peer::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent > 0) {
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        } else if (errno != EINTR) {
            return;  // it closed on an error, and what it said before can still be read
        }
    }
}

bool Peer::fill(int timeout_ms) {
    pollfd waiting{.fd = socket_, .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, timeout_ms) <= 0) return false;
    std::array<char, 65536> bytes;
    const auto got = ::recv(socket_, bytes.data(), bytes.size(), 0);
    if (got <= 0) return false;
    read_.append(bytes.data(), static_cast<std::size_t>(got));
    return true;
}

std::string Peer::receive_all() {
    ::shutdown(socket_, SHUT_WR);
    while (fill(kSilenceMs)) {
    }
    return std::exchange(read_, {});
}

std::string Peer::line() {
    std::size_t end = 0;
    while ((end = read_.find("\r\n")) == std::string::npos) {
        if (!fill(kSilenceMs)) throw std::runtime_error("redis-server gave no reply");
    }
    std::string taken = read_.substr(0, end + 2);
    read_.erase(0, end + 2);
    return taken;
}

std::string Peer::reply() {
    std::string taken = line();
    const auto count = std::strchr("$=!*%~>|", taken[0]) != nullptr
                           ? std::strtoll(taken.c_str() + 1, nullptr, 10)
                           : -1;
    if (count < 0) return taken;
    const auto size = static_cast<std::size_t>(count);
    if (std::strchr("$=!", taken[0]) != nullptr) {
        while (read_.size() < size + 2 && fill(kSilenceMs)) {
        }
        taken += read_.substr(0, size + 2);
        read_.erase(0, size + 2);
        return taken;
    }
    const bool is_paired = taken[0] == '%' || taken[0] == '|';
    for (std::size_t element = 0; element < (is_paired ? size * 2 : size); ++element) {
        taken += reply();
    }
    // An attribute goes before the reply it tells about.
    return taken[0] == '|' ? taken + reply() : taken;
}

std::string Peer::ask(const std::vector<std::string>& arguments) {
    send(encoded(arguments));
    return reply();
}

bool RedisOracle::available() {
    for (const char* const path : {"/usr/bin/redis-server", "/usr/local/bin/redis-server"}) {
        if (::access(path, X_OK) == 0) return true;
    }
    return false;
}

RedisOracle::RedisOracle(std::vector<std::string> options) {
    std::string folder =
        (std::filesystem::temp_directory_path() / "firnlog-oracle-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) give_up("mkdtemp");
    folder_ = folder;
    std::vector<std::string> words = {"redis-server",
                                      "--port",
                                      "0",
                                      "--unixsocket",
                                      folder_ + "/redis.sock",
                                      "--dir",
                                      folder_,
                                      "--save",
                                      "",
                                      "--appendonly",
                                      "no",
                                      "--enable-debug-command",
                                      "yes",
                                      "--loglevel",
                                      "warning",
                                      "--logfile",
                                      folder_ + "/log"};
    words.insert(words.end(), options.begin(), options.end());
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);

    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) give_up("fork");
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() == parent) ::execvp(argv[0], argv.data());
        ::_exit(127);
    }
    for (int tries = 0; tries < 500; ++tries) {
        if (const int connected = connect_to(folder_ + "/redis.sock"); connected >= 0) {
            ::close(connected);
            return;
        }
        if (::waitpid(pid_, nullptr, WNOHANG) == pid_) break;
        ::usleep(10'000);
    }
    throw std::runtime_error("redis-server did not start");
}

RedisOracle::~RedisOracle() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

boost::test_tools::assertion_result redis_is_here(boost::unit_test::test_unit_id) {
    boost::test_tools::assertion_result result(RedisOracle::available());
    result.message() << "redis-server is not installed";
    return result;
}

std::string encoded(const std::vector<std::string>& arguments) {
    std::string bytes = "*" + std::to_string(arguments.size()) + "\r\n";
    for (const std::string& argument : arguments) {
        bytes += "$" + std::to_string(argument.size()) + "\r\n" + argument + "\r\n";
    }
    return bytes;
}

std::string payload(std::string_view reply) {
    const auto end = reply.find("\r\n");
    if (reply.starts_with("$-1") || reply.starts_with("_")) return "(nil)";
    if (!reply.starts_with("$")) return std::string(reply.substr(1, end - 1));
    return std::string(reply.substr(end + 2, reply.size() - end - 4));
}

}  // namespace firnlog::server::test
