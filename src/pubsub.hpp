#pragma once
// PubSub: who has subscribed to what, and the way from a publisher to them.
//
//   publish ── lock: who? ──> own reactor: written at once
//                        └──> others: one post() each, in the order of publishing ──> written there
//
// The registry names a subscriber by reactor and connection id, never by address: it may be gone
// when its message comes. A push passes the gate like any reply: a subscriber does not learn of
// what a crash can take back. What the connection itself has subscribed to stands in its
// Subscriptions, too, and the two always say the same. Any reactor's thread; the registry is
// guarded by a mutex that is never held while writing to a connection.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/resp/writer.hpp"

namespace firnlog::server {

class Connection;
class Reactor;
struct Command;

class PubSub {
  public:
    enum class Kind : std::uint8_t { channel, pattern, shard };

    // False if nothing changed. On the connection's reactor.
    bool subscribe(Kind kind, Connection& client, std::string_view name);
    bool unsubscribe(Kind kind, Connection& client, std::string_view name);
    // Ends all of them, without a word (close, RESET).
    void forget(Connection& client);

    struct Message {
        Kind kind = Kind::channel;  // or shard
        std::string_view channel;
        std::string_view text;
    };
    // Sends it to every subscriber, and says how many receive it: once per channel and once per
    // pattern. No session is begun on this thread, or one that has changed nothing. What goes to
    // `publisher`, who is answering a command at this moment, is written to `out` instead.
    std::size_t publish(Reactor& from, const Message& message, Connection* publisher = nullptr,
                        resp::Writer* out = nullptr);
    // How many would receive it now.
    [[nodiscard]] std::size_t receivers(const Message& message) const;

    // ---- What PUBSUB and INFO tell.
    // Names of this kind that have a subscriber and match, or all.
    [[nodiscard]] std::vector<std::string> names(Kind kind,
                                                 std::optional<std::string_view> pattern) const;
    [[nodiscard]] std::size_t subscribers(Kind kind, std::string_view name) const;
    [[nodiscard]] std::size_t count(Kind kind) const;

  private:
    struct Subscriber {
        std::size_t reactor = 0;
        std::uint64_t connection = 0;
        bool operator==(const Subscriber&) const = default;
    };
    using Names = std::map<std::string, std::vector<Subscriber>, std::less<>>;
    // One push: to whom, and for which of its patterns (empty: the channel itself).
    struct Delivery {
        std::uint64_t connection = 0;
        std::string pattern;
        bool by_pattern = false;
    };

    [[nodiscard]] Names& names_of(Kind kind) { return names_[static_cast<std::size_t>(kind)]; }
    [[nodiscard]] const Names& names_of(Kind kind) const {
        return names_[static_cast<std::size_t>(kind)];
    }
    void remove(Kind kind, std::string_view name, const Subscriber& who);
    static void deliver(Reactor& reactor, const Message& message,
                        std::span<const Delivery> deliveries);

    // Entries in all of names_; zero, as mostly, spares publishers the mutex.
    std::atomic<std::size_t> entries_{0};
    mutable std::mutex mutex_;
    Names names_[3];
};

// Within RESP2 a subscribed connection takes only commands that change its subscriptions, PING,
// QUIT and RESET.
[[nodiscard]] bool allowed_while_subscribed(const Command& command);

}  // namespace firnlog::server
