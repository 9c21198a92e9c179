#include "src/crashtest/connection.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <optional>

#include "src/crashtest/wall.hpp"
#include "src/resp/writer.hpp"

namespace firnlog::crashtest {
namespace {

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

// One reply from the front of `bytes`; how many bytes it took, or nothing if it is not whole yet.
// RESP2: what the clients here speak.
std::optional<std::size_t> parse(std::string_view bytes, Reply& out) {
    const auto line_end = bytes.find("\r\n");
    if (line_end == bytes.npos) return std::nullopt;
    const auto line = bytes.substr(1, line_end - 1);
    auto used = line_end + 2;
    std::int64_t number = 0;
    std::from_chars(line.data(), line.data() + line.size(), number);
    switch (bytes[0]) {
        case '+':
        case '-':
            out.kind = bytes[0] == '+' ? Reply::Kind::status : Reply::Kind::error;
            out.text = line;
            return used;
        case ':':
            out.kind = Reply::Kind::integer;
            out.integer = number;
            return used;
        case '$':
            if (number < 0) return used;
            if (bytes.size() < used + static_cast<std::size_t>(number) + 2) return std::nullopt;
            out.kind = Reply::Kind::bulk;
            out.text = bytes.substr(used, static_cast<std::size_t>(number));
            return used + static_cast<std::size_t>(number) + 2;
        case '*':
            if (number < 0) return used;
            out.kind = Reply::Kind::array;
            for (std::int64_t i = 0; i < number; ++i) {
                Reply item;
                const auto more = parse(bytes.substr(used), item);
                if (!more) return std::nullopt;
                used += *more;
                out.items.push_back(std::move(item));
            }
            return used;
        default:
            out.kind = Reply::Kind::error;
            out.text = "PROTOCOL a reply begins with '" + std::string(1, bytes[0]) + "'";
            return used;
    }
}

}  // namespace

bool Connection::open(std::uint16_t port) {
    close();
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_ < 0) return false;
    const auto address = loopback(port);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        close();
        return false;
    }
    const int yes = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return true;
}

void Connection::close() noexcept {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
    out_.clear();
    in_.clear();
    read_ = 0;
}

void Connection::add(std::span<const std::string_view> words) {
    server::resp::Writer writer(out_);
    writer.array(words.size());
    for (const auto word : words) writer.bulk(word);
}

bool Connection::send() {
    auto left = out_.view();
    while (socket_ >= 0 && !left.empty()) {
        const auto sent = ::send(socket_, left.data(), left.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) break;
        left.remove_prefix(static_cast<std::size_t>(sent));
    }
    const bool all = left.empty() && socket_ >= 0;
    out_.clear();
    return all;
}

Got Connection::receive(Reply& reply, int timeout_ms) {
    const auto until = wall_us() + std::int64_t{timeout_ms} * 1000;
    for (;;) {
        reply = {};
        if (const auto used = parse(std::string_view(in_).substr(read_), reply); used) {
            read_ += *used;
            if (read_ == in_.size()) {
                in_.clear();
                read_ = 0;
            }
            return Got::reply;
        }
        if (socket_ < 0) return Got::closed;
        const auto left_us = until - wall_us();
        if (left_us <= 0) return Got::late;
        pollfd wanted{socket_, POLLIN, 0};
        const int ready = ::poll(&wanted, 1, static_cast<int>(left_us / 1000 + 1));
        if (ready < 0 && errno != EINTR) return Got::closed;
        if (ready <= 0) continue;
        char bytes[65536];
        const auto got = ::recv(socket_, bytes, sizeof bytes, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            ::close(socket_);
            socket_ = -1;
            return Got::closed;
        }
        in_.append(bytes, static_cast<std::size_t>(got));
    }
}

Reply Connection::ask(std::initializer_list<std::string_view> words, int timeout_ms) {
    Reply reply;
    add(words);
    const auto got = send() ? receive(reply, timeout_ms) : Got::closed;
    if (got == Got::reply) return reply;
    close();
    reply = {};
    reply.kind = Reply::Kind::error;
    reply.text = got == Got::late ? "LATE no reply" : "CLOSED the connection is gone";
    return reply;
}

std::uint16_t free_port() {
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto address = loopback(0);
    socklen_t size = sizeof address;
    std::uint16_t port = 0;
    if (::bind(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        ::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) == 0)
        port = ntohs(address.sin_port);
    ::close(probe);
    return port;
}

}  // namespace firnlog::crashtest
