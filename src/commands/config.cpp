#include "src/config.hpp"

#include <sys/resource.h>

#include <algorithm>

#include "src/commands/client.hpp"
#include "src/commands/replies.hpp"
#include "src/commands/server.hpp"
#include "src/config_table.hpp"
#include "src/logger.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"

// CONFIG: most of what changes is read anew whenever it is used; the rest is applied here.
namespace firnlog::server {
namespace {

// Descriptors that are not connections: files of the store, rings, listeners.
constexpr rlim_t kOtherDescriptors = 256;

// False: the machine will not let us have so many descriptors.
bool allow_clients(std::int64_t clients) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return true;
    const auto wanted = static_cast<rlim_t>(clients) + kOtherDescriptors;
    if (limit.rlim_cur >= wanted) return true;
    limit.rlim_cur = wanted;
    limit.rlim_max = std::max(limit.rlim_max, wanted);
    return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

bool has(const ConfigSet& set, std::string_view name) {
    return std::ranges::any_of(set.changed, [name](const Row* row) { return row->name == name; });
}

// What has to be done before the new values are there for all; the error is the whole reply.
tl::expected<void, std::string> apply(const ConfigSet& set) {
    // Sockets are opened once, at the start.
    for (const std::string_view name : {"port", "bind"})
        if (has(set, name))
            return tl::unexpected(
                config_set_failed(name, "listening sockets change with a restart only"));
    if (has(set, "maxclients") && !allow_clients(set.config.maxclients))
        return tl::unexpected(
            config_set_failed("maxclients",
                              "The operating system is not able to handle the specified number of "
                              "clients"));
    if (has(set, "loglevel")) logger::set_level(set.config.loglevel);
    return {};
}

// What connections keep a copy of.
void tell_connections(Call& call, const ConfigSet& set) {
    if (!has(set, "proto-max-bulk-len") && !has(set, "client-query-buffer-limit") &&
        !has(set, "requirepass"))
        return;
    for (auto* reactor : call.server.reactors())
        reactor->post([](Reactor& here) {
            const auto& config = here.server().config();
            here.for_each_connection([&](Connection& client) {
                // Without a password nobody has to say who he is.
                if (config.requirepass.empty()) client.who.authenticated = true;
                limit_input(client, config);
            });
        });
}

Flow get(Call& call) {
    answer_config_get(call.server.config(), call.args.subspan(2), call.out);
    return Flow::done;
}

Flow set(Call& call) {
    const std::lock_guard guard(call.server.config_mutex);
    auto set = config_set(call.server.config(), call.args.subspan(2), {.local = call.client.local});
    if (!set) return call.error(set.error());
    if (const auto applied = apply(*set); !applied) return call.error(applied.error());
    for (const auto& notice : set->notices) logger::warning(notice);
    call.server.publish(set->config);
    tell_connections(call, *set);
    return call.ok();
}

Flow rewrite(Call& call) {
    const std::lock_guard guard(call.server.config_mutex);
    if (const auto done = config_rewrite(call.server.config()); !done)
        return call.error(done.error());
    return call.ok();
}

void reset_statistics(Reactor& reactor) {
    auto& counted = reactor.statistics();
    for (auto* counter :
         {&counted.connections_received, &counted.connections_rejected, &counted.commands,
          &counted.net_in, &counted.net_out, &counted.keyspace_hits, &counted.keyspace_misses,
          &counted.unexpected_errors, &counted.output_limit_closes, &counted.protocol_errors,
          &counted.auth_failures})
        counter->reset();
    for (std::size_t i = 0; i < CommandTable::get().size(); ++i) {
        auto& command = counted.by_command[i];
        for (auto* counter :
             {&command.calls, &command.nanoseconds, &command.rejected, &command.failed})
            counter->reset();
        for (auto& bucket : command.buckets) bucket.reset();
    }
    reactor.dispatcher().reset_errors();
}

Flow resetstat(Call& call) {
    call.server.engine().counters.expired.store(0, std::memory_order_relaxed);
    return gather(
        call,
        [](Reactor& reactor) {
            reset_statistics(reactor);
            return std::string();
        },
        [](Connection&, resp::Writer& out, const std::vector<std::string>&) { out.ok(); });
}

constexpr std::uint32_t kOperator = kAdmin | kNoScript | kLoading | kStale;
constexpr std::string_view kOfParameters = "O(N) where N is the number of parameters";

}  // namespace

void answer_config_get(const Config& config, std::span<const std::string_view> patterns,
                       resp::Writer& out) {
    const auto values = config_get(config, patterns);
    out.map(values.size());
    for (const auto& [name, value] : values) {
        out.bulk(name);
        out.bulk(value);
    }
}

Command config_command() {
    static const Command subcommands[] = {
        {.name = "config|get",
         .syntax = "parameter [parameter ...]",
         .summary = "The values of the parameters that fit the patterns",
         .since = "2.0.0",
         .group = "server",
         .complexity = kOfParameters,
         .arity = -3,
         .flags = kOperator,
         .handler = get},
        {.name = "config|help",
         .summary = "These lines",
         .since = "5.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kLoading | kStale,
         .handler = subcommand_help},
        {.name = "config|resetstat",
         .summary = "Sets what INFO counts to zero",
         .since = "2.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kOperator,
         .handler = resetstat},
        {.name = "config|rewrite",
         .summary = "Writes today's values into the configuration file",
         .since = "2.8.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kOperator,
         .handler = rewrite},
        {.name = "config|set",
         .syntax = "parameter value [parameter value ...]",
         .summary = "Changes parameters, all of them or none",
         .since = "2.0.0",
         .group = "server",
         .complexity = kOfParameters,
         .arity = -4,
         .flags = kOperator,
         .handler = set},
    };
    return {.name = "config",
            .summary = "The server's parameters",
            .since = "2.0.0",
            .group = "server",
            .complexity = "Depends on subcommand.",
            .arity = -2,
            .subcommands = subcommands};
}

}  // namespace firnlog::server
