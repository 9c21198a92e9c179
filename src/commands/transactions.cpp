#include "src/commands/transactions.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "engine/engine.hpp"
#include "src/commands/command_table.hpp"
#include "src/dispatcher.hpp"
#include "src/reactor.hpp"

namespace firnlog::server {
namespace {

// What a record takes beside its key and value, and what a command may write that it did not bring
// along (INCR's digits, say).
constexpr std::size_t kBytesAnArgument = 64;
// Reads through the ring for one EXEC, at once.
constexpr std::size_t kColdReadsMax = 256;

void close_transaction(Transaction& transaction) {
    transaction.open = false;
    transaction.refused = false;
    transaction.queue.clear();
    transaction.bytes = 0;
}

void end_watches(engine::Keyspace& keyspace, Transaction& transaction) {
    for (auto& watch : transaction.watches) keyspace.unwatch(*watch);
    transaction.watches.clear();
    transaction.watched_keys.clear();
    transaction.touched = false;
}

// Under EXEC's locks, which cover the watched keys. Returns the keys' names, which the session
// still holds views of.
[[nodiscard]] std::vector<std::string> end_watches_locked(Call& call) {
    auto& transaction = call.client.transaction;
    auto& keyspace = call.session.engine().keyspace();
    for (auto& watch : transaction.watches) keyspace.unwatch_locked(*watch);
    transaction.watches.clear();
    transaction.touched = false;
    return std::exchange(transaction.watched_keys, {});
}

Flow multi(Call& call) {
    auto& transaction = call.client.transaction;
    if (transaction.open) return call.error("ERR MULTI calls can not be nested");
    transaction.open = true;
    return call.ok();
}

Flow discard_command(Call& call) {
    if (!call.client.transaction.open) return call.error("ERR DISCARD without MULTI");
    discard(call.session.engine().keyspace(), call.client);
    return call.ok();
}

Flow watch(Call& call) {
    auto& transaction = call.client.transaction;
    if (transaction.open) return call.error("ERR WATCH inside MULTI is not allowed");
    const auto keys = call.args.subspan(1);
    // A key that has expired goes now, so that its going is no change later.
    for (const auto key : keys)
        if (auto found = call.session.look(key); !found) return call.stop(found.error());
    auto& keyspace = call.session.engine().keyspace();
    const auto database = call.session.database();
    // Not one by one: who watches a million keys must not make it a billion comparisons.
    std::set<std::string_view> watched;
    transaction.watched_keys.reserve(transaction.watched_keys.size() + keys.size());
    for (std::size_t i = 0; i < transaction.watches.size(); ++i)
        if (transaction.watches[i]->database == database)
            watched.insert(transaction.watched_keys[i]);
    for (const auto key : keys) {
        if (!watched.insert(key).second) continue;
        auto made = std::make_unique<engine::Watch>();
        made->database = database;
        made->tag = call.session.tag(key);
        made->stripe = engine::stripe_of(key);
        made->touched = &transaction.touched;
        keyspace.watch(*made);
        transaction.watches.push_back(std::move(made));
        transaction.watched_keys.emplace_back(key);
    }
    return call.ok();
}

Flow unwatch(Call& call) {
    // EXEC has ended its watches before its first queued command: there, nothing is left to do.
    end_watches(call.session.engine().keyspace(), call.client.transaction);
    return call.ok();
}

// A watched key that has expired meanwhile has changed: looking at it deletes it, which touches it.
engine::Expected<bool> watches_hold(Call& call) {
    auto& transaction = call.client.transaction;
    for (std::size_t i = 0; i < transaction.watches.size() && !transaction.touched; ++i) {
        const auto found =
            call.session.look(transaction.watched_keys[i], transaction.watches[i]->database);
        if (!found) return tl::unexpected(found.error());
    }
    return !transaction.touched;
}

// Asks for the queued commands' strings that are not in memory, all of them at once; what is missed
// here (fields, keys behind a SELECT) is read synchronously later, and counted.
bool fetch_cold(Call& call) {
    auto& session = call.session;
    if (!session.engine().reader.look_for_cold.load(std::memory_order_relaxed)) return false;
    std::vector<KeyPlace> places;
    for (const auto& queued : call.client.transaction.queue) {
        if (queued.command->name == "select" || session.cold().size() >= kColdReadsMax) break;
        places.clear();
        if (!find_keys(*queued.command, queued.kept.args(), places)) continue;
        for (const auto place : places) {
            if ((place.flags & kKeyOW) != 0) continue;
            const auto item = session.look(queued.kept.args()[place.index]);
            if (!item || !*item || (*item)->type != engine::Type::string) continue;
            (void)session.read((*item)->address, (*item)->size_hint);
        }
    }
    return !session.cold().empty() && !session.has_effects();
}

// Room for what the queued commands bring along, so that none of them finds none in the middle.
engine::Expected<void> reserve_room(Call& call) {
    std::size_t bytes = 0;
    std::size_t records = 0;
    for (const auto& queued : call.client.transaction.queue) {
        if ((queued.command->flags & kWrite) == 0) continue;
        bytes += queued.kept.bytes() + queued.kept.args().size() * kBytesAnArgument;
        records += queued.kept.args().size();
    }
    if (records == 0) return {};
    // Each command reserves its own part again.
    if (bytes > call.session.engine().options.batch_bytes_max / 2)
        return tl::unexpected(engine::Stop::too_big);
    auto room = call.session.reserve(bytes, records);
    // On a full disk, or on a failed log, each command says for itself what it can still do.
    if (!room && (room.error() == engine::Stop::no_space || room.error() == engine::Stop::io_error))
        return {};
    return room;
}

Flow exec(Call& call) {
    auto& client = call.client;
    auto& transaction = client.transaction;
    if (!transaction.open) return call.error("ERR EXEC without MULTI");
    if (transaction.refused) {
        const auto names = end_watches_locked(call);
        close_transaction(transaction);
        return call.error("EXECABORT Transaction discarded because of previous errors.");
    }
    const auto hold = watches_hold(call);
    if (!hold) return call.stop(hold.error());
    if (!*hold) {
        // Which write it was nobody knows; the reply rests on all of them.
        call.session.saw_everything();
        const auto names = end_watches_locked(call);
        close_transaction(transaction);
        call.out.null_array();
        return Flow::done;
    }
    if (fetch_cold(call)) return Flow::again;
    if (const auto room = reserve_room(call); !room) {
        if (room.error() == engine::Stop::wait) return call.stop(room.error());
        const auto names = end_watches_locked(call);
        close_transaction(transaction);
        return call.error(
            "EXECABORT Transaction discarded because its effects are larger than one batch may "
            "be.");
    }
    const auto names = end_watches_locked(call);
    call.session.may_wait(true);
    transaction.open = false;
    // Takes the queue.
    call.reactor.dispatcher().run_queued(call);
    close_transaction(transaction);
    return client.closing ? Flow::close : Flow::done;
}

constexpr std::uint32_t kFlags = kNoScript | kLoading | kStale | kFast | kAllowBusy;
constexpr KeySpec kWatched[] = {{.flags = kKeyRO, .first = 1, .last = -1, .step = 1}};

constexpr Command kRows[] = {
    {.name = "discard",
     .syntax = "",
     .summary = "Forgets the commands queued since MULTI, and the watched keys",
     .since = "2.0.0",
     .group = "transactions",
     .complexity = "O(N) where N is the number of queued commands",
     .arity = 1,
     .flags = kFlags,
     .categories = kTransaction | kFastCategory,
     .handler = discard_command},
    {.name = "exec",
     .syntax = "",
     .summary = "Runs the commands queued since MULTI as one atomic batch",
     .since = "1.2.0",
     .group = "transactions",
     .complexity = "Depends on the queued commands",
     .arity = 1,
     .flags = kNoScript | kLoading | kStale | kSkipSlowlog,
     .categories = kTransaction | kSlow,
     .handler = exec},
    {.name = "multi",
     .syntax = "",
     .summary = "Begins a transaction: commands are queued until EXEC",
     .since = "1.2.0",
     .group = "transactions",
     .complexity = "O(1)",
     .arity = 1,
     .flags = kFlags,
     .categories = kTransaction | kFastCategory,
     .handler = multi},
    {.name = "unwatch",
     .syntax = "",
     .summary = "Forgets the watched keys",
     .since = "2.2.0",
     .group = "transactions",
     .complexity = "O(N) where N is the number of watched keys",
     .arity = 1,
     .flags = kFlags,
     .categories = kTransaction | kFastCategory,
     .handler = unwatch},
    {.name = "watch",
     .syntax = "key [key ...]",
     .summary = "EXEC shall run only if none of these keys has changed until then",
     .since = "2.2.0",
     .group = "transactions",
     .complexity = "O(N) where N is the number of keys",
     .arity = -2,
     .flags = kFlags,
     .categories = kTransaction | kFastCategory,
     .keys = kWatched,
     .handler = watch},
};

}  // namespace

std::span<const Command> transaction_commands() { return kRows; }

bool runs_within_multi(const Command& command) {
    static constexpr std::array<std::string_view, 6> kAtOnce = {"exec",  "discard", "multi",
                                                                "watch", "quit",    "reset"};
    return std::ranges::find(kAtOnce, command.name) != kAtOnce.end();
}

void discard(engine::Keyspace& keyspace, Connection& client) {
    end_watches(keyspace, client.transaction);
    close_transaction(client.transaction);
}

std::string abort_exec(engine::Keyspace& keyspace, Connection& client, std::string_view why) {
    discard(keyspace, client);
    if (why.starts_with("ERR ")) why.remove_prefix(4);
    return "EXECABORT Transaction discarded because of: " + std::string(why);
}

}  // namespace firnlog::server
