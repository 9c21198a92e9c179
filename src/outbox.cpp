#include "src/outbox.hpp"

#include <algorithm>

#include "io/base/mutant.hpp"

namespace firnlog::server {
namespace {
constexpr std::string_view kOutcomeUnknown =
    "-IOERR outcome unknown: writing or syncing the log failed, it takes no more writes until a "
    "restart\r\n";
}

void Outbox::end_reply(const engine::Log& log, engine::Lsn gate, engine::Durability policy) {
    const auto end = waiting_.size();
    if (end == complete_) return;
    if (gate.value == 0 || log.open(gate, policy)) {
        complete_ = end;
        if (gates_.empty() || planted("reply_overtakes_a_gate")) open_ = end;
        // Behind a closed gate it waits with the last one: nothing overtakes.
        else if (gates_.back().end != end)
            gates_.push_back({.end = end, .lsn = {}, .policy = policy});
        return;
    }
    if (log.failed() != 0) {
        waiting_.truncate(complete_);
        waiting_.append(kOutcomeUnknown);
        complete_ = waiting_.size();
        if (gates_.empty())
            open_ = complete_;
        else
            gates_.push_back({.end = complete_, .lsn = {}, .policy = policy});
        return;
    }
    complete_ = end;
    gates_.push_back({.end = end, .lsn = gate, .policy = policy});
    if (policy == engine::Durability::always) wants_durable_ = std::max(wants_durable_, gate);
}

bool Outbox::advance(const engine::Log& log) {
    const auto before = open_;
    while (!gates_.empty() &&
           (gates_.front().lsn.value == 0 || log.open(gates_.front().lsn, gates_.front().policy))) {
        open_ = gates_.front().end;
        gates_.pop_front();
    }
    return open_ != before;
}

bool Outbox::fail(const engine::Log& log) {
    if (gates_.empty()) return false;
    (void)advance(log);
    // Replies whose data is safe keep their bytes, the others become errors, in their places.
    resp::Buffer rest;
    auto begin = open_;
    const auto held = waiting_.view();
    std::deque<Gate> none;
    for (const auto& gate : gates_) {
        if (gate.lsn.value == 0 || log.open(gate.lsn, gate.policy))
            rest.append(held.substr(begin, gate.end - begin));
        else
            rest.append(kOutcomeUnknown);
        begin = gate.end;
    }
    const std::string unfinished(held.substr(complete_));
    gates_.swap(none);
    waiting_.truncate(open_);
    waiting_.append(rest.view());
    complete_ = open_ = waiting_.size();
    waiting_.append(unfinished);
    return true;
}

std::span<const std::byte> Outbox::sendable() {
    if (sent_ >= sending_.size()) {
        sending_.clear();
        sent_ = 0;
        if (open_ == 0) return {};
        if (open_ == waiting_.size()) {
            sending_.swap(waiting_);
        } else {
            sending_.append(waiting_.view().substr(0, open_));
            resp::Buffer rest;
            rest.append(waiting_.view().substr(open_));
            waiting_.swap(rest);
        }
        for (auto& gate : gates_) gate.end -= open_;
        complete_ -= open_;
        open_ = 0;
    }
    const auto view = sending_.view().substr(sent_);
    return {reinterpret_cast<const std::byte*>(view.data()), view.size()};
}

void Outbox::sent(std::size_t bytes) {
    sent_ += planted("short_send_taken_as_whole") ? sending_.size() : bytes;
    if (sent_ < sending_.size()) return;
    // A long reply's memory goes now, not when there is something else to say.
    sending_.clear();
    sent_ = 0;
}

}  // namespace firnlog::server
