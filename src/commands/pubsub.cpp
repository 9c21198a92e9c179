#include "src/pubsub.hpp"

#include <iterator>

#include "src/commands/command.hpp"
#include "src/commands/command_table.hpp"
#include "src/connection.hpp"
#include "src/dispatcher.hpp"
#include "src/reactor.hpp"
#include "src/server.hpp"

namespace firnlog::server {
namespace {

using Kind = PubSub::Kind;

struct Words {
    std::string_view subscribed;
    std::string_view unsubscribed;
};

Words words_of(Kind kind) {
    switch (kind) {
        case Kind::channel:
            return {"subscribe", "unsubscribe"};
        case Kind::pattern:
            return {"psubscribe", "punsubscribe"};
        case Kind::shard:
            break;
    }
    return {"ssubscribe", "sunsubscribe"};
}

std::size_t count_of(const Connection& client, Kind kind) {
    return kind == Kind::shard ? client.subscriptions.shard_channels.size()
                               : client.subscriptions.count();
}

void write_change(Call& call, std::string_view word, std::optional<std::string_view> name,
                  Kind kind) {
    call.out.push(3);
    call.out.bulk(word);
    if (name)
        call.out.bulk(*name);
    else
        call.out.null();
    call.out.integer(static_cast<std::int64_t>(count_of(call.client, kind)));
}

// Confirmations are pushes: CLIENT REPLY OFF does not silence them.
Flow confirmed(Call& call) {
    if (call.client.replies != Connection::Replies::on && !call.in_exec)
        call.reactor.end_push(call.client);
    return Flow::done;
}

template <Kind kind>
Flow subscribe(Call& call) {
    if (kind == Kind::shard && call.in_exec)
        return call.error("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
    for (const auto name : call.args.subspan(1)) {
        call.server.pubsub().subscribe(kind, call.client, name);
        write_change(call, words_of(kind).subscribed, name, kind);
    }
    return confirmed(call);
}

template <Kind kind>
Flow unsubscribe(Call& call) {
    std::vector<std::string> names;
    if (call.argc() > 1) {
        for (const auto name : call.args.subspan(1)) names.emplace_back(name);
    } else {
        const auto& own = call.client.subscriptions;
        const auto& all = kind == Kind::channel   ? own.channels
                          : kind == Kind::pattern ? own.patterns
                                                  : own.shard_channels;
        names.assign(all.begin(), all.end());
    }
    for (const auto& name : names) {
        call.server.pubsub().unsubscribe(kind, call.client, name);
        write_change(call, words_of(kind).unsubscribed, name, kind);
    }
    if (names.empty()) write_change(call, words_of(kind).unsubscribed, std::nullopt, kind);
    return confirmed(call);
}

template <Kind kind>
Flow publish(Call& call) {
    auto& pubsub = call.server.pubsub();
    const PubSub::Message message{.kind = kind, .channel = call.arg(1), .text = call.arg(2)};
    if (call.in_exec) {
        const auto receivers = pubsub.receivers(message);
        if (receivers != 0)
            call.reactor.dispatcher().events.push_back(
                {.kind = KeyspaceEvent::kPublished,
                 .event = kind == Kind::shard ? "spublish" : "publish",
                 .key = std::string(message.channel),
                 .message = std::string(message.text)});
        return call.integer(static_cast<std::int64_t>(receivers));
    }
    // A publisher that has subscribed too reads its message before the count; without replies the
    // message stands alone.
    auto* self = call.client.replies == Connection::Replies::on ? &call.client : nullptr;
    const auto receivers = pubsub.publish(call.reactor, message, self, &call.out);
    return call.integer(static_cast<std::int64_t>(receivers));
}

template <Kind kind>
Flow names(Call& call) {
    if (call.argc() > 3)
        return call.error("ERR unknown subcommand or wrong number of arguments for '" +
                          std::string(call.arg(1).substr(0, 128)) + "'. Try PUBSUB HELP.");
    std::optional<std::string_view> pattern;
    if (call.argc() == 3) pattern = call.arg(2);
    const auto found = call.server.pubsub().names(kind, pattern);
    call.out.array(found.size());
    for (const auto& name : found) call.out.bulk(name);
    return Flow::done;
}

template <Kind kind>
Flow numbers(Call& call) {
    const auto asked = call.args.subspan(2);
    call.out.array(asked.size() * 2);
    for (const auto name : asked) {
        call.out.bulk(name);
        call.out.integer(static_cast<std::int64_t>(call.server.pubsub().subscribers(kind, name)));
    }
    return Flow::done;
}

Flow numpat(Call& call) {
    return call.integer(static_cast<std::int64_t>(call.server.pubsub().count(Kind::pattern)));
}

Flow help(Call& call) {
    static constexpr std::string_view kLines[] = {
        "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CHANNELS [<pattern>]",
        "    Return the currently active channels matching a <pattern> (default: '*').",
        "NUMPAT",
        "    Return number of subscriptions to patterns.",
        "NUMSUB [<channel> ...]",
        "    Return the number of subscribers for the specified channels, excluding",
        "    pattern subscriptions(default: no channels).",
        "SHARDCHANNELS [<pattern>]",
        "    Return the currently active shard level channels matching a <pattern> (default: '*').",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Return the number of subscribers for the specified shard level channel(s)",
        "HELP",
        "    Prints this help.",
    };
    call.out.array(std::size(kLines));
    for (const auto line : kLines) call.out.simple(line);
    return Flow::done;
}

constexpr std::uint32_t kChanging = kPubSub | kNoScript | kLoading | kStale;
constexpr std::uint32_t kTelling = kPubSub | kLoading | kStale;
constexpr KeySpec kShardChannels[] = {{.flags = kKeyNotKey, .first = 1, .last = -1, .step = 1}};
constexpr KeySpec kShardChannel[] = {{.flags = kKeyNotKey, .first = 1, .last = 1, .step = 1}};

constexpr Command kPubSubRows[] = {
    {.name = "pubsub|channels",
     .syntax = "[pattern]",
     .summary = "Channels that somebody listens to",
     .since = "2.8.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of channels with a subscriber",
     .arity = -2,
     .flags = kTelling,
     .categories = kPubSubCategory | kSlow,
     .handler = names<Kind::channel>},
    {.name = "pubsub|help",
     .syntax = "",
     .summary = "What the subcommands are for",
     .since = "6.2.0",
     .group = "pubsub",
     .complexity = "O(1)",
     .arity = 2,
     .flags = kLoading | kStale,
     .categories = kSlow,
     .handler = help},
    {.name = "pubsub|numpat",
     .syntax = "",
     .summary = "How many patterns somebody listens to",
     .since = "2.8.0",
     .group = "pubsub",
     .complexity = "O(1)",
     .arity = 2,
     .flags = kTelling,
     .categories = kPubSubCategory | kSlow,
     .handler = numpat},
    {.name = "pubsub|numsub",
     .syntax = "[channel [channel ...]]",
     .summary = "How many subscribers each of these channels has",
     .since = "2.8.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of channels asked for",
     .arity = -2,
     .flags = kTelling,
     .categories = kPubSubCategory | kSlow,
     .handler = numbers<Kind::channel>},
    {.name = "pubsub|shardchannels",
     .syntax = "[pattern]",
     .summary = "Shard channels that somebody listens to",
     .since = "7.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of shard channels with a subscriber",
     .arity = -2,
     .flags = kTelling,
     .categories = kPubSubCategory | kSlow,
     .handler = names<Kind::shard>},
    {.name = "pubsub|shardnumsub",
     .syntax = "[shardchannel [shardchannel ...]]",
     .summary = "How many subscribers each of these shard channels has",
     .since = "7.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of shard channels asked for",
     .arity = -2,
     .flags = kTelling,
     .categories = kPubSubCategory | kSlow,
     .handler = numbers<Kind::shard>},
};

constexpr Command kRows[] = {
    {.name = "psubscribe",
     .syntax = "pattern [pattern ...]",
     .summary = "Listens to every channel whose name matches a pattern",
     .since = "2.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of patterns",
     .arity = -2,
     .flags = kChanging,
     .categories = kPubSubCategory | kSlow,
     .handler = subscribe<Kind::pattern>},
    {.name = "publish",
     .syntax = "channel message",
     .summary = "Sends a message to whoever listens to a channel",
     .since = "2.0.0",
     .group = "pubsub",
     .complexity = "O(N+M) where N is the number of the channel's subscribers and M the number of "
                   "patterns anybody listens to",
     .arity = 3,
     .flags = kPubSub | kLoading | kStale | kFast | kMayReplicate,
     .categories = kPubSubCategory | kFastCategory,
     .handler = publish<Kind::channel>},
    {.name = "pubsub",
     .syntax = "",
     .summary = "Tells who listens to what",
     .since = "2.8.0",
     .group = "pubsub",
     .complexity = "Depends on the subcommand",
     .arity = -2,
     .categories = kSlow,
     .subcommands = kPubSubRows},
    {.name = "punsubscribe",
     .syntax = "[pattern [pattern ...]]",
     .summary = "Stops listening to these patterns, or to all",
     .since = "2.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of patterns",
     .arity = -1,
     .flags = kChanging,
     .categories = kPubSubCategory | kSlow,
     .handler = unsubscribe<Kind::pattern>},
    {.name = "spublish",
     .syntax = "shardchannel message",
     .summary = "Sends a message to whoever listens to a shard channel",
     .since = "7.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of the shard channel's subscribers",
     .arity = 3,
     .flags = kPubSub | kLoading | kStale | kFast | kMayReplicate,
     .categories = kPubSubCategory | kFastCategory,
     .keys = kShardChannel,
     .handler = publish<Kind::shard>},
    {.name = "ssubscribe",
     .syntax = "shardchannel [shardchannel ...]",
     .summary = "Listens to shard channels",
     .since = "7.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of shard channels",
     .arity = -2,
     .flags = kChanging,
     .categories = kPubSubCategory | kSlow,
     .keys = kShardChannels,
     .handler = subscribe<Kind::shard>},
    {.name = "subscribe",
     .syntax = "channel [channel ...]",
     .summary = "Listens to channels",
     .since = "2.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of channels",
     .arity = -2,
     .flags = kChanging,
     .categories = kPubSubCategory | kSlow,
     .handler = subscribe<Kind::channel>},
    {.name = "sunsubscribe",
     .syntax = "[shardchannel [shardchannel ...]]",
     .summary = "Stops listening to these shard channels, or to all",
     .since = "7.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of shard channels",
     .arity = -1,
     .flags = kChanging,
     .categories = kPubSubCategory | kSlow,
     .keys = kShardChannels,
     .handler = unsubscribe<Kind::shard>},
    {.name = "unsubscribe",
     .syntax = "[channel [channel ...]]",
     .summary = "Stops listening to these channels, or to all",
     .since = "2.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of channels",
     .arity = -1,
     .flags = kChanging,
     .categories = kPubSubCategory | kSlow,
     .handler = unsubscribe<Kind::channel>},
};

}  // namespace

std::span<const Command> pubsub_commands() { return kRows; }

}  // namespace firnlog::server
