#pragma once
// Notifications: what a command wants told to others, collected while its session lasts and
// published when it has ended, so that nobody learns of a change that is not in the log yet.
//
// Keyspace events go to channels made of the database and the key or the event;
// `notify-keyspace-events` says which kinds, and whether by key, by event or both. PUBLISH within
// EXEC waits in the same line, so that all of it arrives in the order in which it happened.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/session.hpp"

namespace firnlog::server {

class Reactor;

struct KeyspaceEvent {
    std::uint32_t kind = 0;  // one Notify bit of src/config.hpp, or kPublished
    std::string_view event;  // a literal
    std::string key;         // of kPublished: the channel
    std::uint32_t database = 0;
    std::string message;  // of kPublished

    // No Notify bit: PUBLISH, or SPUBLISH if that is the event.
    static constexpr std::uint32_t kPublished = 0;
};

// On the reactor whose command did it; no session is begun.
void publish_notifications(Reactor& reactor, std::span<const KeyspaceEvent> events);

// A command on several keys has looked at all of them before its first effect, but tells that one
// had expired when its turn comes, as Redis does, which looks at one after the other. While this
// lives the session's own list holds only those whose turn has come.
class ExpiredInTurn {
  public:
    explicit ExpiredInTurn(engine::Session& session);
    ~ExpiredInTurn();
    ExpiredInTurn(const ExpiredInTurn&) = delete;
    ExpiredInTurn& operator=(const ExpiredInTurn&) = delete;

    void turn_of(std::string_view key);

  private:
    engine::Session& session_;
    std::vector<engine::KeyEvent> later_;  // in the order of the keys' turns
    std::size_t next_ = 0;
};

}  // namespace firnlog::server
