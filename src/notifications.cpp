#include "src/notifications.hpp"

#include <iterator>
#include <utility>

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
    for (const auto& event : events) {
        if (event.kind == KeyspaceEvent::kPublished)
            reactor.server().pubsub().publish(
                reactor, {.kind = event.event == "spublish" ? Kind::shard : Kind::channel,
                          .channel = event.key,
                          .text = event.message});
        else
            tell(reactor, wanted, event);
    }
}

ExpiredInTurn::ExpiredInTurn(engine::Session& session)
    : session_(session), later_(std::exchange(session.events, {})) {}

ExpiredInTurn::~ExpiredInTurn() {
    std::move(later_.begin() + static_cast<std::ptrdiff_t>(next_), later_.end(),
              std::back_inserter(session_.events));
}

void ExpiredInTurn::turn_of(std::string_view key) {
    if (next_ < later_.size() && later_[next_].key == key)
        session_.events.push_back(std::move(later_[next_++]));
}

}  // namespace firnlog::server
