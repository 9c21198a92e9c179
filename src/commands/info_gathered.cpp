#include "src/commands/info_gathered.hpp"

#include <algorithm>
#include <string_view>

#include "src/commands/client_line.hpp"
#include "src/reactor.hpp"
#include "src/text/numbers.hpp"

namespace firnlog::server {

std::string gathered_text(Reactor& reactor) {
    Gathered own;
    reactor.for_each_connection([&own](const Connection& client) {
        ++own.connections;
        if (waits_by_nature(client)) ++own.blocked;
        if (client.subscriptions.count() != 0) ++own.pubsub;
        if (!client.transaction.watched_keys.empty()) ++own.watching;
        const std::uint64_t input = client.in.capacity();
        const std::uint64_t output = client.out.memory_bytes();
        own.input_max = std::max(own.input_max, input);
        own.output_max = std::max(own.output_max, output);
        own.memory += sizeof(Connection) + input + output;
    });
    std::string text;
    for (const auto value : {own.connections, own.blocked, own.pubsub, own.watching, own.input_max,
                             own.output_max, own.memory})
        text += std::to_string(value) + "\n";
    for (const auto& error : reactor.dispatcher().errors())
        text += error.code + " " + std::to_string(error.count) + "\n";
    return text;
}

Gathered add_up(const std::vector<std::string>& answers) {
    Gathered all;
    for (const std::string_view answer : answers) {
        std::size_t at = 0;
        const auto line = [&answer, &at] {
            const auto end = answer.find('\n', at);
            const auto found = answer.substr(at, end - at);
            at = end + 1;
            return found;
        };
        const auto number = [](std::string_view text) { return text::parse_u64(text).value_or(0); };
        all.connections += number(line());
        all.blocked += number(line());
        all.pubsub += number(line());
        all.watching += number(line());
        all.input_max = std::max(all.input_max, number(line()));
        all.output_max = std::max(all.output_max, number(line()));
        all.memory += number(line());
        while (at < answer.size()) {
            const auto error = line();
            const auto blank = error.rfind(' ');
            all.errors[std::string(error.substr(0, blank))] += number(error.substr(blank + 1));
        }
    }
    return all;
}

}  // namespace firnlog::server
