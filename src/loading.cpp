#include "src/loading.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <new>
#include <string>

#include "io/base/thread.hpp"
#include "src/acceptor.hpp"
#include "src/commands/command_table.hpp"
#include "src/commands/server.hpp"
#include "src/dispatcher.hpp"
#include "src/logger.hpp"
#include "src/resp/buffer.hpp"
#include "src/resp/parser.hpp"
#include "src/resp/receive_buffer.hpp"
#include "src/resp/writer.hpp"
#include "src/version.hpp"

namespace firnlog::server {
namespace {

constexpr int kPollMs = 20;
constexpr std::size_t kClientsMax = 1000;
// Of what a client has sent, and of replies at a time: what is loaded needs the memory more.
constexpr std::size_t kClientBytesMax = std::size_t{1} << 20;
constexpr std::string_view kStillLoading = "LOADING Redis is loading the dataset in memory";

struct Client {
    int fd = -1;
    std::uint64_t id = 0;
    Identity who;
    resp::ReceiveBuffer in;
    resp::Parser parser;
    bool closing = false;  // nothing more is parsed
};

struct Clients {
    std::vector<std::unique_ptr<Client>> open;
    std::uint64_t last_id = 0;
};

// What answers are about, besides who asks.
struct Facts {
    const Config& config;
    std::uint64_t done;
    std::uint64_t all;
};

std::string info(const Facts& facts) {
    const auto percent = facts.all == 0 ? 0 : facts.done * 100 / facts.all;
    return "# Server\r\nredis_version:" + std::string(kRedisVersion) +
           "\r\nfirnlog_version:" + std::string(kVersion) +
           "\r\n\r\n# Persistence\r\nloading:1\r\nloading_total_bytes:" +
           std::to_string(facts.all) + "\r\nloading_loaded_bytes:" + std::to_string(facts.done) +
           "\r\nloading_loaded_perc:" + std::to_string(percent) + ".00\r\n";
}

void limit_input(Client& client, const Config& config) {
    client.parser.limit(parser_limits(client.who, config));
    client.in.limit(std::min(input_bytes_max(client.who, config), kClientBytesMax));
}

// One reply to `out`, or the error that is to be it. What is looked at comes in Redis's order.
std::string run(Client& client, Arguments args, const Facts& facts, resp::Writer& out) {
    const auto& table = CommandTable::get();
    const auto* command = table.find(args[0]);
    if (command == nullptr) return unknown_command_text(args);
    if (!command->subcommands.empty() && args.size() > 1) {
        const auto* subcommand = table.find(args);
        if (subcommand == nullptr) return unknown_subcommand_text(command->name, args[1]);
        command = subcommand;
    }
    if (!arity_fits(*command, args.size())) return wrong_arity_text(*command);
    const auto& config = facts.config;
    auto& who = client.who;
    if (must_authenticate(who, config) && (command->flags & kNoAuth) == 0)
        return std::string(kNotAuthenticated);
    const auto name = command->name;
    if (name == "auth") return answer_auth(who, config, args, out);
    if (name == "hello") return answer_hello(who, client.id, config, args, out);
    if (name == "select") return answer_select(who, config, args, out);
    if (name == "client|setname") return answer_setname(who, args, out);
    if (name == "client|getname") {
        answer_getname(who, out);
    } else if (name == "client|id") {
        out.integer(static_cast<std::int64_t>(client.id));
    } else if (name == "reset") {
        answer_reset(who, config, out);
    } else if (name == "config|get") {
        answer_config_get(config, args.subspan(2), out);
    } else if (name == "info") {
        out.verbatim(info(facts));
    } else if (name == "quit") {
        out.ok();
        client.closing = true;
    } else {
        return std::string(kStillLoading);
    }
    return {};
}

// False when the client is to be closed.
bool answer(Client& client, std::string_view bytes, const Facts& facts) {
    if (!client.in.append(bytes)) return false;
    resp::Buffer replies(kClientBytesMax);
    while (!client.closing) {
        resp::Writer out(replies, client.who.protocol);
        const auto status = client.parser.next(client.in);
        if (status == resp::Status::need_more) break;
        if (status == resp::Status::command) {
            const auto error = run(client, client.parser.arguments(), facts, out);
            if (!error.empty()) out.error(error);
            limit_input(client, facts.config);
            continue;
        }
        if (status == resp::Status::error) out.error(client.parser.error());
        client.closing = true;
    }
    if (replies.lost()) return false;
    // A client that does not read while loading loses the rest: its socket's buffer is the bound.
    if (!replies.empty() &&
        ::send(client.fd, replies.view().data(), replies.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
            static_cast<ssize_t>(replies.size()))
        return false;
    return !client.closing;
}

// What it has sent already is read: a close would take the refusal back with it.
void refuse(int fd, std::string_view refusal) {
    (void)::send(fd, refusal.data(), refusal.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)::shutdown(fd, SHUT_WR);
    char bytes[4096];
    (void)::recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    ::close(fd);
}

void accept_one(int listener, Clients& clients, const Config& config) {
    auto client = std::make_unique<Client>();
    clients.open.reserve(clients.open.size() + 1);
    client->fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client->fd < 0) {
        // Out of descriptors, say: the listener stays ready, and this thread is not to spin.
        if (errno != EAGAIN) ::poll(nullptr, 0, kPollMs);
        return;
    }
    if (const auto refusal = refusal_of(is_local(client->fd), config, clients.open.size() + 1);
        !refusal.empty()) {
        refuse(client->fd, refusal);
        return;
    }
    client->id = ++clients.last_id;
    client->who = newcomer(config);
    limit_input(*client, config);
    clients.open.push_back(std::move(client));
}

// What has come from clients, or new ones, for a little while.
void look(const std::vector<int>& listeners, Clients& clients, const Facts& facts) {
    auto& open = clients.open;
    std::vector<pollfd> polled;
    polled.reserve(listeners.size() + open.size());
    const short listens = open.size() < kClientsMax ? POLLIN : 0;
    for (const int fd : listeners) polled.push_back({.fd = fd, .events = listens, .revents = 0});
    for (const auto& client : open)
        polled.push_back({.fd = client->fd, .events = POLLIN, .revents = 0});
    if (::poll(polled.data(), polled.size(), kPollMs) <= 0) return;
    const auto listening = listeners.size();
    for (std::size_t i = open.size(); i-- > 0;) {
        if (polled[listening + i].revents == 0) continue;
        char bytes[16 * 1024];
        const auto got = ::recv(open[i]->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (got > 0 && answer(*open[i], {bytes, static_cast<std::size_t>(got)}, facts)) continue;
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        ::close(open[i]->fd);
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(i));
    }
    for (std::size_t i = 0; i < listening; ++i)
        if ((polled[i].revents & POLLIN) != 0) accept_one(polled[i].fd, clients, facts.config);
}

}  // namespace

Loading::Loading(const std::vector<Listener>& listeners, const Config& config) : config_(config) {
    for (const auto& listener : listeners) listeners_.push_back(listener.fd);
    // Without it clients are answered when everything is loaded.
    if (auto started = start_thread([this] { run(); }))
        thread_ = std::move(*started);
    else
        logger::warning(started.error().text());
}

Loading::~Loading() {
    for (const auto& early : stop().clients) ::close(early.fd);
}

void Loading::progress(const recovery::Progress& now) {
    // INFO's percent is of the replay.
    if (now.phase != recovery::Progress::Phase::replaying) return;
    done_.store(now.bytes_done, std::memory_order_relaxed);
    all_.store(now.bytes_all, std::memory_order_relaxed);
}

Loading::Handover Loading::stop() {
    stopping_.store(true, std::memory_order_release);
    if (thread_.joinable()) thread_.join();
    return std::exchange(early_, {});
}

void Loading::run() {
    Clients clients;
    while (!stopping_.load(std::memory_order_acquire)) {
        try {
            look(listeners_, clients,
                 {.config = config_,
                  .done = done_.load(std::memory_order_relaxed),
                  .all = all_.load(std::memory_order_relaxed)});
        } catch (const std::bad_alloc&) {
            for (const auto& client : clients.open) ::close(client->fd);
            clients.open.clear();
        }
    }
    for (const auto& client : clients.open)
        early_.clients.push_back({.fd = client->fd,
                                  .id = client->id,
                                  .who = std::move(client->who),
                                  .unread = std::string(client->in.unread())});
    early_.last_id = clients.last_id;
}

}  // namespace firnlog::server
