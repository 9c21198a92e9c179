#include "src/loading.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <new>

#include "io/base/thread.hpp"
#include "src/logger.hpp"
#include "src/resp/parser.hpp"
#include "src/resp/receive_buffer.hpp"
#include "src/text/fold.hpp"
#include "src/version.hpp"

namespace firnlog::server {
namespace {

constexpr int kPollMs = 20;
constexpr std::size_t kClientsMax = 1000;
constexpr std::string_view kLoading = "-LOADING Redis is loading the dataset in memory\r\n";

struct Client {
    int fd = -1;
    resp::ReceiveBuffer in{std::size_t{1} << 20};
    resp::Parser parser;
};

std::string info(std::uint64_t done, std::uint64_t all) {
    const auto percent = all == 0 ? 0 : done * 100 / all;
    const auto text =
        "# Server\r\nredis_version:" + std::string(kRedisVersion) +
        "\r\nfirnlog_version:" + std::string(kVersion) +
        "\r\n\r\n# Persistence\r\nloading:1\r\nloading_total_bytes:" + std::to_string(all) +
        "\r\nloading_loaded_bytes:" + std::to_string(done) +
        "\r\nloading_loaded_perc:" + std::to_string(percent) + ".00\r\n";
    return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

// False when the client is to be closed.
bool answer(Client& client, std::string_view bytes, std::uint64_t done, std::uint64_t all) {
    if (!client.in.append(bytes)) return false;
    std::string out;
    bool open = true;
    while (open) {
        const auto status = client.parser.next(client.in);
        if (status == resp::Status::need_more) break;
        if (status != resp::Status::command) {
            open = false;
            if (status == resp::Status::error)
                out += "-" + std::string(client.parser.error()) + "\r\n";
            break;
        }
        const auto name = client.parser.arguments()[0];
        if (text::equal_folded(name, "info")) {
            out += info(done, all);
        } else if (text::equal_folded(name, "quit")) {
            out += "+OK\r\n";
            open = false;
        } else {
            out += kLoading;
        }
    }
    // A client that does not read while loading loses the rest: its socket's buffer is the bound.
    if (!out.empty() && ::send(client.fd, out.data(), out.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
                            static_cast<ssize_t>(out.size()))
        return false;
    return open;
}

// What has come from clients, or new ones, for a little while.
void look(const std::vector<int>& listeners, std::vector<std::unique_ptr<Client>>& clients,
          std::uint64_t done, std::uint64_t all) {
    std::vector<pollfd> polled;
    polled.reserve(listeners.size() + clients.size());
    for (const int fd : listeners) polled.push_back({.fd = fd, .events = POLLIN, .revents = 0});
    for (const auto& client : clients)
        polled.push_back({.fd = client->fd, .events = POLLIN, .revents = 0});
    if (::poll(polled.data(), polled.size(), kPollMs) <= 0) return;
    const auto listening = listeners.size();
    for (std::size_t i = clients.size(); i-- > 0;) {
        if (polled[listening + i].revents == 0) continue;
        char bytes[16 * 1024];
        const auto got = ::recv(clients[i]->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (got > 0 && answer(*clients[i], {bytes, static_cast<std::size_t>(got)}, done, all))
            continue;
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        ::close(clients[i]->fd);
        clients.erase(clients.begin() + static_cast<std::ptrdiff_t>(i));
    }
    for (std::size_t i = 0; i < listening; ++i) {
        if ((polled[i].revents & POLLIN) == 0 || clients.size() >= kClientsMax) continue;
        auto client = std::make_unique<Client>();
        clients.reserve(clients.size() + 1);
        client->fd = ::accept4(polled[i].fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (client->fd >= 0) clients.push_back(std::move(client));
    }
}

}  // namespace

Loading::Loading(const std::vector<Listener>& listeners) {
    for (const auto& listener : listeners) listeners_.push_back(listener.fd);
    // Without it clients are answered when everything is loaded.
    if (auto started = start_thread([this] { run(); }))
        thread_ = std::move(*started);
    else
        logger::warning(started.error().text());
}

Loading::~Loading() {
    for (const auto& early : stop()) ::close(early.fd);
}

void Loading::progress(const recovery::Progress& now) {
    // INFO's percent is of the replay.
    if (now.phase != recovery::Progress::Phase::replaying) return;
    done_.store(now.bytes_done, std::memory_order_relaxed);
    all_.store(now.bytes_all, std::memory_order_relaxed);
}

std::vector<Loading::Early> Loading::stop() {
    stopping_.store(true, std::memory_order_release);
    if (thread_.joinable()) thread_.join();
    return std::exchange(early_, {});
}

void Loading::run() {
    std::vector<std::unique_ptr<Client>> clients;
    while (!stopping_.load(std::memory_order_acquire)) {
        try {
            look(listeners_, clients, done_.load(std::memory_order_relaxed),
                 all_.load(std::memory_order_relaxed));
        } catch (const std::bad_alloc&) {
            for (const auto& client : clients) ::close(client->fd);
            clients.clear();
        }
    }
    for (const auto& client : clients)
        early_.push_back({.fd = client->fd, .unread = std::string(client->in.unread())});
}

}  // namespace firnlog::server
