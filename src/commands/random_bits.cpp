#include "src/commands/random_bits.hpp"

#include <array>
#include <span>

#include "src/reactor.hpp"
#include "src/server.hpp"

namespace firnlog::server {

std::uint64_t random_bits(const Call& call) {
    if (call.in_exec) {
        std::uint64_t bits = 0;
        call.server.clock().entropy(std::as_writable_bytes(std::span(&bits, 1)));
        return bits;
    }
    const std::array run{call.client.id, call.client.commands,
                         static_cast<std::uint64_t>(call.server.started_wall_us)};
    const std::string_view text(reinterpret_cast<const char*>(run.data()), sizeof run);
    return call.session.tag(text).high;
}

}  // namespace firnlog::server
