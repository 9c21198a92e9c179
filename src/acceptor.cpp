#include "src/acceptor.hpp"

#include <cerrno>

#include "src/address.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"

namespace firnlog::server {
namespace {

constexpr std::int64_t kPauseUs = 100'000;

constexpr std::string_view kTooManyClients = "-ERR max number of clients reached\r\n";
constexpr std::string_view kProtectedMode =
    "-DENIED Firnlog is running in protected mode because protected mode is enabled and no "
    "password "
    "is set for the default user. In this mode connections are only accepted from the loopback "
    "interface. If you want to connect from external computers, you may adopt one of the following "
    "solutions: 1) set a password with the 'requirepass' directive or option; 2) disable protected "
    "mode by sending the command 'CONFIG SET protected-mode no' from the loopback interface; 3) "
    "disable it in the configuration file, and then restart the server.\r\n";

}  // namespace

void Acceptor::listen(int listener) {
    auto accept = std::make_unique<Accept>();
    accept->owner = this;
    accept->listener = listener;
    accept->run = [](io::Completion& self, std::int32_t result, bool more) {
        auto& own = static_cast<Accept&>(self);
        own.owner->accepted(own, result, more);
    };
    io_.accept(listener, *accept);
    accepts_.push_back(std::move(accept));
}

void Acceptor::accepted(Accept& accept, std::int32_t result, bool more) {
    if (result >= 0 && server_.stopping())
        io_.close(result);
    else if (result >= 0)
        deal(result);
    if (more || result == -ECANCELED || server_.stopping()) return;
    if (result >= 0) {
        io_.accept(accept.listener, accept);
        return;
    }
    again_us_ = reactor_.now_us() + kPauseUs;
    paused_.push_back(&accept);
}

void Acceptor::deal(int fd) {
    const auto& reactors = server_.reactors();
    auto& target = *reactors[next_reactor_++ % reactors.size()];
    const bool unix_socket = is_unix_socket(fd);
    if (&target == &reactor_)
        target.adopt(fd, unix_socket);
    else
        target.post([fd, unix_socket](Reactor& reactor) { reactor.adopt(fd, unix_socket); });
}

void Acceptor::every_tick(std::int64_t now_us) {
    if (again_us_ == 0 || now_us < again_us_) return;
    again_us_ = 0;
    for (auto* accept : paused_) io_.accept(accept->listener, *accept);
    paused_.clear();
}

std::string_view refusal_of(bool local, const Config& config, std::size_t connections) {
    if (connections > static_cast<std::size_t>(config.maxclients)) return kTooManyClients;
    if (config.protected_mode && config.requirepass.empty() && !local) return kProtectedMode;
    return {};
}

}  // namespace firnlog::server
