#include "src/address.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "src/connection.hpp"

namespace firnlog::server {
namespace {

constexpr int kBindTries = 40;
constexpr useconds_t kBindPauseUs = 50'000;

std::string text_of(const sockaddr_storage& address, const std::string& path) {
    char text[INET6_ADDRSTRLEN] = {};
    if (address.ss_family == AF_INET) {
        sockaddr_in in{};
        std::memcpy(&in, &address, sizeof in);
        ::inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
        return std::string(text) + ":" + std::to_string(ntohs(in.sin_port));
    }
    if (address.ss_family == AF_INET6) {
        sockaddr_in6 in{};
        std::memcpy(&in, &address, sizeof in);
        ::inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
        return "[" + std::string(text) + "]:" + std::to_string(ntohs(in.sin6_port));
    }
    return path + ":0";
}

bool is_loopback(const sockaddr_storage& address) {
    if (address.ss_family == AF_UNIX) return true;
    if (address.ss_family == AF_INET) {
        sockaddr_in in{};
        std::memcpy(&in, &address, sizeof in);
        return (ntohl(in.sin_addr.s_addr) >> 24) == 127;
    }
    sockaddr_in6 in{};
    std::memcpy(&in, &address, sizeof in);
    if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr)) return in.sin6_addr.s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&in.sin6_addr);
}

tl::expected<Listener, int> listen_on(const sockaddr* address, socklen_t bytes, int family,
                                      std::int64_t backlog) {
    const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return tl::unexpected(errno);
    const int on = 1;
    if (family == AF_INET6) (void)::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (family != AF_UNIX) (void)::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    // A ring whose process was killed holds its listener for some milliseconds longer.
    for (int tries = 0;
         ::bind(fd, address, bytes) != 0 || ::listen(fd, static_cast<int>(backlog)) != 0; ++tries) {
        const int error = errno;
        if (error == EADDRINUSE && family != AF_UNIX && tries < kBindTries) {
            ::usleep(kBindPauseUs);
            continue;
        }
        ::close(fd);
        return tl::unexpected(error);
    }
    return Listener{.fd = fd, .address = {}};
}

// The IPv4 address of a name, as Redis resolves them; false if it has none.
bool resolve(const std::string& host, in_addr& address) {
    addrinfo hints{};
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (host.empty() || ::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return false;
    sockaddr_in first{};
    std::memcpy(&first, found->ai_addr, sizeof first);
    ::freeaddrinfo(found);
    address = first.sin_addr;
    return true;
}

tl::expected<Listener, ListenError> listen_tcp(const std::string& host, const Config& config) {
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    const auto port = htons(static_cast<std::uint16_t>(config.port));
    tl::expected<Listener, int> made = tl::unexpected(EINVAL);
    const bool is_v6 = host == "::*" || ::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1;
    if (!is_v6 && (host == "*" || resolve(host, v4.sin_addr))) {
        v4.sin_family = AF_INET;
        v4.sin_port = port;
        if (host == "*") v4.sin_addr.s_addr = htonl(INADDR_ANY);
        made = listen_on(reinterpret_cast<sockaddr*>(&v4), sizeof v4, AF_INET, config.tcp_backlog);
    } else if (is_v6) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = port;
        if (host == "::*") v6.sin6_addr = in6addr_any;
        made = listen_on(reinterpret_cast<sockaddr*>(&v6), sizeof v6, AF_INET6, config.tcp_backlog);
    } else {
        return tl::unexpected(
            ListenError{"bind '" + host + "': neither an address nor a name that has one"});
    }
    const auto name = host + " port " + std::to_string(config.port);
    if (!made)
        return tl::unexpected(
            ListenError{"listen on " + name + ": " + std::strerror(made.error())});
    made->address = name;
    return *made;
}

tl::expected<Listener, ListenError> listen_unix(const Config& config) {
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    const auto path = config.path(config.unixsocket);
    if (path.size() >= sizeof un.sun_path)
        return tl::unexpected(ListenError{"unixsocket '" + path + "': the path is too long"});
    std::memcpy(un.sun_path, path.c_str(), path.size() + 1);
    // A socket left by a process that is gone is replaced; a live one, or another file, is not.
    struct stat info {};
    if (::lstat(path.c_str(), &info) == 0) {
        if (!S_ISSOCK(info.st_mode))
            return tl::unexpected(ListenError{"unixsocket '" + path + "': a file is in its place"});
        const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const bool alive = ::connect(probe, reinterpret_cast<sockaddr*>(&un), sizeof un) == 0;
        ::close(probe);
        if (alive)
            return tl::unexpected(ListenError{"unixsocket '" + path + "': Address already in use"});
        ::unlink(path.c_str());
    }
    auto made = listen_on(reinterpret_cast<sockaddr*>(&un), sizeof un, AF_UNIX, config.tcp_backlog);
    if (!made)
        return tl::unexpected(
            ListenError{"listen on unixsocket '" + path + "': " + std::strerror(made.error())});
    if (config.unixsocketperm != 0)
        ::chmod(path.c_str(), static_cast<mode_t>(config.unixsocketperm));
    made->address = path;
    return *made;
}

}  // namespace

tl::expected<std::vector<Listener>, ListenError> open_listeners(const Config& config) {
    std::vector<Listener> listeners;
    const auto give_up =
        [&](ListenError error) -> tl::expected<std::vector<Listener>, ListenError> {
        for (const auto& listener : listeners) ::close(listener.fd);
        return tl::unexpected(std::move(error));
    };
    if (config.port != 0) {
        for (const auto& entry : config.bind) {
            const bool optional = entry.starts_with('-');
            auto made = listen_tcp(entry.substr(optional ? 1 : 0), config);
            if (made)
                listeners.push_back(*made);
            else if (!optional || made.error().text.ends_with(std::strerror(EADDRINUSE)))
                return give_up(made.error());
        }
    }
    if (!config.unixsocket.empty()) {
        auto made = listen_unix(config);
        if (!made) return give_up(made.error());
        listeners.push_back(*made);
    }
    if (listeners.empty())
        return give_up({"nothing to listen on: port is 0 and there is no unixsocket"});
    return listeners;
}

bool is_unix_socket(int fd) {
    int domain = 0;
    socklen_t bytes = sizeof domain;
    return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) == 0 && domain == AF_UNIX;
}

void tune_socket(int fd, std::int64_t keepalive_seconds) {
    const int on = 1;
    (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (keepalive_seconds <= 0) return;
    (void)::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    const int idle = static_cast<int>(keepalive_seconds);
    const int interval = idle / 3 > 0 ? idle / 3 : 1;
    const int probes = 3;
    (void)::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

bool is_local(int fd) {
    sockaddr_storage address{};
    socklen_t bytes = sizeof address;
    return ::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &bytes) == 0 &&
           is_loopback(address);
}

void describe_socket(int fd, Connection& connection) {
    sockaddr_storage address{};
    socklen_t bytes = sizeof address;
    std::string path;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &bytes) == 0) {
        if (address.ss_family == AF_UNIX) {
            sockaddr_un un{};
            std::memcpy(&un, &address, sizeof un);
            path = un.sun_path;
        }
        connection.local_address = text_of(address, path);
    }
    bytes = sizeof address;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &bytes) == 0) {
        connection.peer_address = text_of(address, path);
        connection.local = is_loopback(address);
    }
}

}  // namespace firnlog::server
