#pragma once
// Outbox: replies of one connection, in order, each held until the log has caught up with it.
//
//   waiting_ | +OK | $3 foo | +OK |        sending_ | what the kernel has |
//   gates_         ^7       ^7    ^9       end offset -> the lsn it waits for, and by which policy
//
// Invariant: a reply is sent only when every reply before it is sent.
// Owned by one reactor: no locks.

#include <cstdint>
#include <deque>
#include <span>

#include "engine/log/log.hpp"
#include "src/resp/buffer.hpp"

namespace firnlog::server {

class Outbox {
  public:
    // Replies are written to its end; end_reply() says that one is complete.
    [[nodiscard]] resp::Buffer& buffer() { return waiting_; }

    // What was written since the last call is one reply, to be held until log.open(gate, policy).
    void end_reply(const engine::Log& log, engine::Lsn gate, engine::Durability policy);
    // Takes back what was written since the last end_reply() (CLIENT REPLY OFF, Flow::again).
    void drop_reply() { waiting_.truncate(complete_); }

    // Opens gates that may open; true if something may be sent now that could not before.
    bool advance(const engine::Log& log);
    // The log failed: every reply that still waits becomes an error. True if there was one.
    bool fail(const engine::Log& log);

    // ---- Sending. `sendable` gives what may go next, and it stays where it is until `sent`.
    [[nodiscard]] std::span<const std::byte> sendable();
    void sent(std::size_t bytes);
    [[nodiscard]] bool has_sendable() const { return sent_ < sending_.size() || open_ > 0; }

    [[nodiscard]] bool waits() const { return !gates_.empty(); }
    [[nodiscard]] bool empty() const { return waiting_.empty() && sent_ >= sending_.size(); }
    // The lsn that the last waiting reply waits for durably, or 0.
    [[nodiscard]] engine::Lsn wants_durable() const { return wants_durable_; }
    [[nodiscard]] std::size_t bytes() const { return waiting_.size() + sending_.size() - sent_; }
    [[nodiscard]] std::size_t memory_bytes() const {
        return waiting_.capacity() + sending_.capacity();
    }
    [[nodiscard]] bool lost() const { return waiting_.lost(); }

  private:
    struct Gate {
        std::size_t end = 0;  // offset in waiting_
        engine::Lsn lsn;
        engine::Durability policy = engine::Durability::always;
    };

    resp::Buffer waiting_;
    std::deque<Gate> gates_;
    std::size_t open_ = 0;      // waiting_[0, open_) may be sent
    std::size_t complete_ = 0;  // waiting_[0, complete_) are whole replies
    engine::Lsn wants_durable_;
    resp::Buffer sending_;
    std::size_t sent_ = 0;
};

}  // namespace firnlog::server
