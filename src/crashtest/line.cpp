#include "src/crashtest/line.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace firnlog::crashtest {

std::optional<std::string> read_line(int from) {
    std::string line;
    for (char byte = 0;;) {
        const auto got = ::read(from, &byte, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got != 1) return std::nullopt;
        if (byte == '\n') return line;
        line += byte;
    }
}

bool send_line(int to, const std::string& line) {
    const auto whole = line + "\n";
    for (std::size_t sent = 0; sent < whole.size();) {
        const auto more = ::send(to, whole.data() + sent, whole.size() - sent, MSG_NOSIGNAL);
        if (more < 0 && errno == EINTR) continue;
        if (more < 0) return false;
        sent += static_cast<std::size_t>(more);
    }
    return true;
}

std::optional<std::string> ask_line(int socket, const std::string& command) {
    return send_line(socket, command) ? read_line(socket) : std::nullopt;
}

int connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    const int peer = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (peer < 0 ||
        ::connect(peer, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return peer;
    const int error = errno;
    ::close(peer);
    errno = error;
    return -1;
}

}  // namespace firnlog::crashtest
