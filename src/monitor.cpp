#include "src/monitor.hpp"

#include <array>
#include <charconv>
#include <memory>
#include <string>

#include "src/reactor.hpp"
#include "src/redaction.hpp"
#include "src/server.hpp"
#include "src/text/quote.hpp"

namespace firnlog::server {
namespace {

void hand_to_monitors(Reactor& reactor, std::string_view line) {
    reactor.for_each_connection([&](Connection& connection) {
        if (!connection.monitor || connection.closing) return;
        connection.out.buffer().append(line);
        reactor.end_push(connection);
    });
}

}  // namespace

// "+1339518083.107412 [0 127.0.0.1:60866] \"get\" \"key\"\r\n"
std::string monitor_line(const Connection& client, std::int64_t wall_us,
                         std::span<const std::string_view> args) {
    const auto micros = std::to_string(wall_us % 1'000'000);
    std::string line = "+" + std::to_string(wall_us / 1'000'000) + "." +
                       std::string(6 - micros.size(), '0') + micros + " [" +
                       std::to_string(client.who.database) + " ";
    if (client.unix_socket)
        line += "unix:" + client.local_address.substr(0, client.local_address.rfind(':'));
    else
        line += client.peer_address;
    line += "]";
    const Redaction shown(args);
    for (std::size_t i = 0; i < args.size(); ++i) {
        line += ' ';
        text::append_quoted(line, shown[i]);
    }
    return line + "\r\n";
}

void feed_monitors(Reactor& reactor, std::vector<std::string> lines) {
    // Shared, because they are the same for all and copied for none. Posted to our own reactor,
    // too: a push may end the very connection whose command this is.
    const auto all = std::make_shared<const std::vector<std::string>>(std::move(lines));
    for (auto* each : reactor.server().reactors())
        each->post([all](Reactor& there) {
            for (const auto& line : *all) hand_to_monitors(there, line);
        });
}

}  // namespace firnlog::server
