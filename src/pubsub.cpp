#include "src/pubsub.hpp"

#include <algorithm>
#include <array>
#include <memory>

#include "src/commands/command.hpp"
#include "src/connection.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"
#include "src/text/glob.hpp"

namespace firnlog::server {
namespace {

using Kind = PubSub::Kind;

std::set<std::string, std::less<>>& own_names(Connection& client, Kind kind) {
    switch (kind) {
        case Kind::channel:
            return client.subscriptions.channels;
        case Kind::pattern:
            return client.subscriptions.patterns;
        case Kind::shard:
            break;
    }
    return client.subscriptions.shard_channels;
}

void write_push(resp::Writer& out, const PubSub::Message& message, std::string_view pattern,
                bool by_pattern) {
    if (by_pattern) {
        out.push(4);
        out.bulk("pmessage");
        out.bulk(pattern);
    } else {
        out.push(3);
        out.bulk(message.kind == Kind::shard ? "smessage" : "message");
    }
    out.bulk(message.channel);
    out.bulk(message.text);
}

}  // namespace

bool PubSub::subscribe(Kind kind, Connection& client, std::string_view name) {
    auto& own = own_names(client, kind);
    if (own.contains(name)) return false;
    own.emplace(name);
    const std::lock_guard guard(mutex_);
    auto& names = names_of(kind);
    auto found = names.find(name);
    if (found == names.end()) found = names.emplace(std::string(name), 0).first;
    found->second.push_back({.reactor = client.reactor.number, .connection = client.id});
    entries_.fetch_add(1, std::memory_order_release);
    return true;
}

bool PubSub::unsubscribe(Kind kind, Connection& client, std::string_view name) {
    auto& own = own_names(client, kind);
    const auto found = own.find(name);
    if (found == own.end()) return false;
    {
        const std::lock_guard guard(mutex_);
        remove(kind, name, {.reactor = client.reactor.number, .connection = client.id});
    }
    own.erase(found);  // last: `name` may be a view of it
    return true;
}

void PubSub::forget(Connection& client) {
    const Subscriber who{.reactor = client.reactor.number, .connection = client.id};
    for (const auto kind : {Kind::channel, Kind::pattern, Kind::shard}) {
        auto& own = own_names(client, kind);
        if (own.empty()) continue;
        const std::lock_guard guard(mutex_);
        for (const auto& name : own) remove(kind, name, who);
        own.clear();
    }
}

void PubSub::remove(Kind kind, std::string_view name, const Subscriber& who) {
    auto& names = names_of(kind);
    const auto found = names.find(name);
    ensure(found != names.end(), "the registry knows what a connection has subscribed to");
    auto& subscribers = found->second;
    const auto at = std::ranges::find(subscribers, who);
    ensure(at != subscribers.end(), "the registry knows who has subscribed");
    *at = subscribers.back();
    subscribers.pop_back();
    if (subscribers.empty()) names.erase(found);
    entries_.fetch_sub(1, std::memory_order_release);
}

std::size_t PubSub::publish(Reactor& from, const Message& message, Connection* publisher,
                            resp::Writer* out) {
    if (entries_.load(std::memory_order_acquire) == 0) return 0;
    std::vector<std::vector<Delivery>> by_reactor(from.server().reactors().size());
    std::size_t receivers = 0;
    {
        const std::lock_guard guard(mutex_);
        const auto add = [&](const std::vector<Subscriber>& subscribers, std::string_view pattern,
                             bool by_pattern) {
            receivers += subscribers.size();
            for (const auto& who : subscribers)
                by_reactor[who.reactor].push_back({.connection = who.connection,
                                                   .pattern = std::string(pattern),
                                                   .by_pattern = by_pattern});
        };
        const auto& names = names_of(message.kind);
        if (const auto found = names.find(message.channel); found != names.end())
            add(found->second, {}, false);
        if (message.kind == Kind::channel)
            for (const auto& [pattern, subscribers] : names_of(Kind::pattern))
                if (text::glob(pattern, message.channel)) add(subscribers, pattern, true);
    }
    if (receivers == 0) return 0;

    struct Parcel {
        Kind kind;
        std::string channel;
        std::string text;
        std::vector<Delivery> deliveries;
    };
    for (std::size_t number = 0; number < by_reactor.size(); ++number) {
        auto& deliveries = by_reactor[number];
        if (deliveries.empty()) continue;
        if (number != from.number) {
            auto parcel = std::make_shared<Parcel>(Parcel{.kind = message.kind,
                                                          .channel = std::string(message.channel),
                                                          .text = std::string(message.text),
                                                          .deliveries = std::move(deliveries)});
            from.server().reactors()[number]->post([parcel](Reactor& there) {
                deliver(there,
                        {.kind = parcel->kind, .channel = parcel->channel, .text = parcel->text},
                        parcel->deliveries);
            });
            continue;
        }
        if (publisher != nullptr) {
            std::erase_if(deliveries, [&](const Delivery& delivery) {
                if (delivery.connection != publisher->id) return false;
                write_push(*out, message, delivery.pattern, delivery.by_pattern);
                return true;
            });
        }
        deliver(from, message, deliveries);
    }
    return receivers;
}

void PubSub::deliver(Reactor& reactor, const Message& message,
                     std::span<const Delivery> deliveries) {
    for (const auto& delivery : deliveries) {
        auto* client = reactor.find(delivery.connection);
        if (client == nullptr || client->closing) continue;
        resp::Writer out(client->out.buffer(), client->who.protocol);
        write_push(out, message, delivery.pattern, delivery.by_pattern);
        reactor.end_push(*client);
    }
}

std::size_t PubSub::receivers(const Message& message) const {
    if (entries_.load(std::memory_order_acquire) == 0) return 0;
    const std::lock_guard guard(mutex_);
    std::size_t receivers = 0;
    const auto& names = names_of(message.kind);
    if (const auto found = names.find(message.channel); found != names.end())
        receivers += found->second.size();
    if (message.kind == Kind::channel)
        for (const auto& [pattern, subscribers] : names_of(Kind::pattern))
            if (text::glob(pattern, message.channel)) receivers += subscribers.size();
    return receivers;
}

std::vector<std::string> PubSub::names(Kind kind, std::optional<std::string_view> pattern) const {
    const std::lock_guard guard(mutex_);
    std::vector<std::string> matching;
    for (const auto& [name, subscribers] : names_of(kind))
        if (!pattern || text::glob(*pattern, name)) matching.push_back(name);
    return matching;
}

std::size_t PubSub::subscribers(Kind kind, std::string_view name) const {
    const std::lock_guard guard(mutex_);
    const auto found = names_of(kind).find(name);
    return found == names_of(kind).end() ? 0 : found->second.size();
}

std::size_t PubSub::count(Kind kind) const {
    const std::lock_guard guard(mutex_);
    return names_of(kind).size();
}

bool allowed_while_subscribed(const Command& command) {
    static constexpr std::array<std::string_view, 9> kAllowed = {
        "ping",       "subscribe",    "unsubscribe", "psubscribe", "punsubscribe",
        "ssubscribe", "sunsubscribe", "quit",        "reset"};
    return std::ranges::find(kAllowed, command.name) != kAllowed.end();
}

}  // namespace firnlog::server
