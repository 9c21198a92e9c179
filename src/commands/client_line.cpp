#include "src/commands/client_line.hpp"

#include "src/commands/durability.hpp"
#include "src/commands/past.hpp"
#include "src/pasts.hpp"
#include "src/text/fold.hpp"

namespace firnlog::server {
namespace {

bool is_subscribed(const Connection& client) {
    return client.subscriptions.count() != 0 || !client.subscriptions.shard_channels.empty();
}

// Letters as Redis gives them: O monitor, P subscriber, x in MULTI, b blocked, d a watched key was
// touched, c closing, U on a Unix socket, e not to be evicted, N none of these.
std::string flags_of(const Connection& client) {
    std::string flags;
    if (client.monitor) flags += 'O';
    if (is_subscribed(client)) flags += 'P';
    if (client.transaction.open) flags += 'x';
    if (waits_by_nature(client)) flags += 'b';
    if (client.transaction.touched.load(std::memory_order_relaxed)) flags += 'd';
    if (client.closing) flags += 'c';
    if (client.unix_socket) flags += 'U';
    if (client.no_evict) flags += 'e';
    return flags.empty() ? "N" : flags;
}

}  // namespace

bool waits_by_nature(const Connection& client) {
    if (!client.blocked || client.last_command == nullptr) return false;
    return (client.last_command->flags & kBlocking) != 0 || client.last_command->name == "wait" ||
           client.last_command->name == "waitaof";
}

std::optional<ClientType> parse_client_type(std::string_view name) {
    using text::equal_folded;
    if (equal_folded(name, "normal")) return ClientType::normal;
    if (equal_folded(name, "slave") || equal_folded(name, "replica")) return ClientType::replica;
    if (equal_folded(name, "pubsub")) return ClientType::pubsub;
    if (equal_folded(name, "master")) return ClientType::master;
    return std::nullopt;
}

ClientType type_of(const Connection& client) {
    return is_subscribed(client) ? ClientType::pubsub : ClientType::normal;
}

std::string line_of(const Connection& client, std::int64_t now_us) {
    const auto unread = client.in.unread().size();
    const auto capacity = client.in.capacity();
    const auto replies = client.out.memory_bytes();
    const auto argv = client.again == nullptr ? std::size_t{0} : client.again->bytes();
    std::string line;
    const auto field = [&line](std::string_view name, const auto& value) {
        if (!line.empty()) line += ' ';
        line.append(name).append("=");
        if constexpr (std::is_convertible_v<decltype(value), std::string_view>)
            line.append(value);
        else
            line += std::to_string(value);
    };
    field("id", client.id);
    field("addr", client.peer_address);
    field("laddr", client.local_address);
    field("fd", client.fd);
    field("name", client.who.name);
    field("age", (now_us - client.created_us) / 1'000'000);
    field("idle", (now_us - client.last_us) / 1'000'000);
    field("flags", flags_of(client));
    field("db", client.who.database);
    field("sub", client.subscriptions.channels.size());
    field("psub", client.subscriptions.patterns.size());
    field("ssub", client.subscriptions.shard_channels.size());
    field("multi", client.transaction.open
                       ? static_cast<std::int64_t>(client.transaction.queue.size())
                       : std::int64_t{-1});
    field("qbuf", unread);
    field("qbuf-free", capacity > unread ? capacity - unread : std::size_t{0});
    field("argv-mem", argv);
    field("multi-mem", client.transaction.bytes);
    field("rbs", replies);
    field("rbp", replies);
    field("obl", client.out.bytes());
    field("oll", 0);
    field("omem", 0);
    field("tot-mem", sizeof(Connection) + capacity + replies + argv + client.transaction.bytes);
    field("events", client.out.empty() ? "r" : "rw");
    field("cmd",
          client.last_command == nullptr ? std::string_view("NULL") : client.last_command->name);
    field("user", "default");
    field("redir", -1);
    field("resp", static_cast<int>(client.who.protocol));
    field("durability", client.durability ? name_of(*client.durability) : "default");
    if (client.asof != nullptr) {
        const auto& place = client.asof->past->place();
        field("asof", text_of_lsn(place.timeline, place.lsn));
    }
    return line;
}

}  // namespace firnlog::server
