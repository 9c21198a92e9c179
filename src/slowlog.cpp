#include "src/slowlog.hpp"

#include <algorithm>

#include "src/config.hpp"
#include "src/reactor.hpp"
#include "src/redaction.hpp"
#include "src/server.hpp"

namespace firnlog::server {
namespace {

constexpr std::size_t kArgsMax = 32;
constexpr std::size_t kArgBytesMax = 128;

std::string shortened(std::string_view arg) {
    if (arg.size() <= kArgBytesMax) return std::string(arg);
    return std::string(arg.substr(0, kArgBytesMax)) + "... (" +
           std::to_string(arg.size() - kArgBytesMax) + " more bytes)";
}

}  // namespace

void SlowLog::note(const Config& config, std::span<const std::string_view> args,
                   std::int64_t took_us, const Connection& client) {
    SlowCommand slow{.at_s = client.reactor.server().clock().wall().us / 1'000'000,
                     .took_us = took_us,
                     .peer = client.peer_address,
                     .name = client.who.name};
    const Redaction shown(args);
    const auto kept = std::min(args.size(), kArgsMax);
    for (std::size_t i = 0; i < kept; ++i) {
        if (kept != args.size() && i == kept - 1)
            slow.args.push_back("... (" + std::to_string(args.size() - kept + 1) +
                                " more arguments)");
        else
            slow.args.push_back(shortened(shown[i]));
    }
    const auto most = static_cast<std::size_t>(std::max<std::int64_t>(config.slowlog_max_len, 0));
    const std::lock_guard guard(mutex_);
    slow.id = next_id_++;
    commands_.push_front(std::move(slow));
    while (commands_.size() > most) commands_.pop_back();
}

std::vector<SlowCommand> SlowLog::newest(std::size_t count) const {
    const std::lock_guard guard(mutex_);
    const auto end = static_cast<std::ptrdiff_t>(std::min(count, commands_.size()));
    return {commands_.begin(), commands_.begin() + end};
}

std::size_t SlowLog::size() const {
    const std::lock_guard guard(mutex_);
    return commands_.size();
}

void SlowLog::reset() {
    const std::lock_guard guard(mutex_);
    commands_.clear();
}

}  // namespace firnlog::server
