#include "src/bench/link.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "src/text/numbers.hpp"

namespace firnlog::bench {
namespace {

using Failure = tl::unexpected<std::string>;

Failure failed(const std::string& what, int error) {
    return Failure(what + ": " + std::strerror(error));
}

// Reading and writing give up after `patience`.
void limit(int fd, Link::Milliseconds patience) {
    const auto ms = patience.count();
    const timeval limit{.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

tl::expected<int, std::string> connect_unix(const Target& target, Link::Milliseconds patience) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (target.socket_path.size() >= sizeof address.sun_path)
        return Failure(target.text() + ": the path is too long");
    std::memcpy(address.sun_path, target.socket_path.c_str(), target.socket_path.size());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return failed("socket", errno);
    limit(fd, patience);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    const int error = errno;
    ::close(fd);
    return failed(target.text(), error);
}

tl::expected<int, std::string> connect_tcp(const Target& target, Link::Milliseconds patience) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const auto port = std::to_string(target.port);
    const int rc = ::getaddrinfo(target.host.c_str(), port.c_str(), &hints, &found);
    if (rc != 0) return Failure(target.text() + ": " + ::gai_strerror(rc));
    int error = ECONNREFUSED;
    int fd = -1;
    for (const addrinfo* one = found; one != nullptr && fd < 0; one = one->ai_next) {
        fd = ::socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC, one->ai_protocol);
        if (fd < 0) {
            error = errno;
            continue;
        }
        // A limit on sending bounds connect(), too.
        limit(fd, patience);
        if (::connect(fd, one->ai_addr, one->ai_addrlen) == 0) break;
        error = errno;
        ::close(fd);
        fd = -1;
    }
    ::freeaddrinfo(found);
    if (fd < 0) return failed(target.text(), error);
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

}  // namespace

std::string Target::text() const {
    if (!socket_path.empty()) return socket_path;
    const bool v6 = host.find(':') != std::string::npos;
    return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Link::Link(Link&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), unread_(std::move(other.unread_)) {}

Link& Link::operator=(Link&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(unread_, other.unread_);
    return *this;
}

Link::~Link() {
    if (fd_ >= 0) ::close(fd_);
}

tl::expected<Link, std::string> Link::open(const Target& target, Milliseconds patience) {
    const auto fd =
        target.socket_path.empty() ? connect_tcp(target, patience) : connect_unix(target, patience);
    if (!fd) return Failure(fd.error());
    Link link;
    link.fd_ = *fd;
    const auto say = [&](std::vector<std::string> words) -> tl::expected<void, std::string> {
        const auto answer = link.ask(words);
        if (!answer) return Failure(answer.error());
        if (answer->error) return Failure(target.text() + ": " + words[0] + ": " + answer->text);
        return {};
    };
    if (!target.password.empty()) {
        std::vector<std::string> words{"AUTH"};
        if (!target.user.empty()) words.push_back(target.user);
        words.push_back(target.password);
        if (auto said = say(std::move(words)); !said) return Failure(said.error());
    }
    if (target.database != 0)
        if (auto said = say({"SELECT", std::to_string(target.database)}); !said)
            return Failure(said.error());
    return link;
}

tl::expected<Answer, std::string> Link::ask(std::span<const std::string> words) {
    std::string request = "*" + std::to_string(words.size()) + "\r\n";
    for (const auto& word : words)
        request += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    for (std::string_view left = request; !left.empty();) {
        const auto sent = ::send(fd_, left.data(), left.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return failed("send", errno);
        left.remove_prefix(static_cast<std::size_t>(sent));
    }
    return answer();
}

bool Link::is_local() const {
    sockaddr_storage own{};
    sockaddr_storage peer{};
    socklen_t own_bytes = sizeof own;
    socklen_t peer_bytes = sizeof peer;
    if (::getsockname(fd_, reinterpret_cast<sockaddr*>(&own), &own_bytes) != 0 ||
        ::getpeername(fd_, reinterpret_cast<sockaddr*>(&peer), &peer_bytes) != 0)
        return false;
    if (own.ss_family == AF_UNIX) return true;
    if (own.ss_family == AF_INET) {
        const auto& from = reinterpret_cast<const sockaddr_in&>(own);
        const auto& to = reinterpret_cast<const sockaddr_in&>(peer);
        return from.sin_addr.s_addr == to.sin_addr.s_addr;
    }
    const auto& from = reinterpret_cast<const sockaddr_in6&>(own);
    const auto& to = reinterpret_cast<const sockaddr_in6&>(peer);
    return std::memcmp(&from.sin6_addr, &to.sin6_addr, sizeof from.sin6_addr) == 0;
}

void Link::interrupt() const { ::shutdown(fd_, SHUT_RDWR); }

int Link::release() {
    ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);
    return std::exchange(fd_, -1);
}

tl::expected<void, std::string> Link::fill() {
    constexpr std::size_t kAtOnce = std::size_t{64} << 10;
    const auto before = unread_.size();
    unread_.resize(before + kAtOnce);
    ssize_t got = -1;
    do {
        got = ::recv(fd_, unread_.data() + before, kAtOnce, 0);
    } while (got < 0 && errno == EINTR);
    unread_.resize(before + static_cast<std::size_t>(got < 0 ? 0 : got));
    if (got < 0) return failed("no answer", errno == EAGAIN ? ETIMEDOUT : errno);
    if (got == 0) return Failure("the server closed the connection");
    return {};
}

tl::expected<std::string, std::string> Link::line() {
    while (true) {
        const auto end = unread_.find("\r\n");
        if (end != std::string::npos) {
            auto line = unread_.substr(0, end);
            unread_.erase(0, end + 2);
            return line;
        }
        if (auto filled = fill(); !filled) return Failure(filled.error());
    }
}

tl::expected<Answer, std::string> Link::answer() {
    const auto head = line();
    if (!head) return Failure(head.error());
    if (head->empty()) return Failure("the answer is not RESP");
    const char kind = (*head)[0];
    const auto number = server::text::parse_i64(std::string_view(*head).substr(1));
    if (kind == '$' && number) {
        if (*number < 0) return Answer{};
        const auto bytes = static_cast<std::size_t>(*number);
        while (unread_.size() < bytes + 2)
            if (auto filled = fill(); !filled) return Failure(filled.error());
        Answer bulk{.text = unread_.substr(0, bytes)};
        unread_.erase(0, bytes + 2);
        return bulk;
    }
    if (kind == '*' && number) {
        Answer all;
        for (std::int64_t i = 0; i < *number; ++i) {
            auto one = answer();
            if (!one) return one;
            if (!all.text.empty()) all.text += '\n';
            all.text += one->text;
        }
        return all;
    }
    return Answer{.error = kind == '-', .text = head->substr(1)};
}

std::string info_field(std::string_view info, std::string_view name) {
    for (std::size_t at = 0; at < info.size();) {
        auto end = info.find('\n', at);
        if (end == info.npos) end = info.size();
        auto line = info.substr(at, end - at);
        at = end + 1;
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ':')
            return std::string(line.substr(name.size() + 1));
    }
    return {};
}

}  // namespace firnlog::bench
