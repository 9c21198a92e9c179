#include "src/notifications.hpp"

#include "src/config.hpp"
#include "src/pubsub.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"

namespace firnlog::server {
namespace {

using Kind = PubSub::Kind;

void tell(Reactor& reactor, std::uint32_t wanted, const KeyspaceEvent& event) {
    auto& pubsub = reactor.server().pubsub();
    const auto database = std::to_string(event.database);
    if ((wanted & kNotifyKeyspace) != 0)
        pubsub.publish(reactor, {.channel = "__keyspace@" + database + "__:" + event.key,
                                 .text = event.event});
    if ((wanted & kNotifyKeyevent) != 0)
        pubsub.publish(reactor,
                       {.channel = "__keyevent@" + database + "__:" + std::string(event.event),
                        .text = event.key});
}

}  // namespace

void publish_notifications(Reactor& reactor, std::span<const KeyspaceEvent> events) {
    const auto wanted = reactor.server().config().notify_keyspace_events;
    // The clock stands still in a session, so what it found expired had expired before all else.
    for (const auto& event : events)
        if (event.kind == kNotifyExpired) tell(reactor, wanted, event);
    for (const auto& event : events) {
        if (event.kind == KeyspaceEvent::kPublished)
            reactor.server().pubsub().publish(
                reactor, {.kind = event.event == "spublish" ? Kind::shard : Kind::channel,
                          .channel = event.key,
                          .text = event.message});
        else if (event.kind != kNotifyExpired)
            tell(reactor, wanted, event);
    }
}

}  // namespace firnlog::server
