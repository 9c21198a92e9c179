#include "src/commands/transactions.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "engine/engine.hpp"
#include "engine/ops/keys.hpp"
#include "src/commands/command_table.hpp"
#include "src/dispatcher.hpp"
#include "src/reactor.hpp"
#include "src/text/numbers.hpp"

namespace firnlog::server {
namespace {

// What a record takes beside its key and value, and what a command may write that it did not bring
// along (INCR's digits, say).
constexpr std::size_t kBytesAnArgument = 64;
// What a command of kRewritesValue writes at most of what was there, but for a longer record once:
// a string that stays in one record when it is changed in place, or the digits of a float.
constexpr std::size_t kRewrittenMax = std::size_t{8} << 10;
// Of a string in chunks: two that have gathered too many patches become whole again, for each
// operation (BITFIELD has several, of three words at the least).
constexpr std::size_t kWornMax = 2 * engine::BigString::kChunkBytes + 256;
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
    // In the past nothing changes.
    if (call.session.engine().options.past) return call.ok();
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

// How far a command of kRewritesValue may lengthen a value, beyond what it brings along: what lies
// between takes no room there, but in a copy of it.
std::size_t reach(const Command& command, std::span<const std::string_view> args) {
    std::uint64_t bytes = 0;
    for (auto arg : args.subspan(1)) {
        const bool in_fields = arg.starts_with('#');  // of BITFIELD, each of 64 bits at the most
        if (in_fields) arg.remove_prefix(1);
        const auto number = text::parse_i64(arg);
        if (!number || *number <= 0 || *number > std::int64_t{UINT32_MAX}) continue;
        const auto offset = static_cast<std::uint64_t>(*number);
        bytes = std::max(bytes, command.name == "setrange" ? offset
                                : in_fields                ? offset * 8
                                                           : offset / 8 + 1);
    }
    return bytes;
}

// How much the queued commands can write, at the most: what each brings along, and what it writes
// anew of what is there. A value of theirs cannot become larger than the largest one is now, and
// all that is added by those before: copies of it add up, but make it no longer.
class RoomNeeded {
  public:
    explicit RoomNeeded(Call& call)
        : session_(call.session), bytes_max_(call.session.engine().options.batch_bytes_max) {}

    // In the order in which they will run.
    void add(const Transaction::Queued& queued) {
        const auto& command = *queued.command;
        const auto args = queued.kept.args();
        // Another one is an error, and chooses none.
        if (command.name == "select" && args.size() == 2)
            if (const auto number = text::parse_i64(args[1]);
                number && *number >= 0 && *number < session_.engine().options.databases)
                database_ = static_cast<std::uint32_t>(*number);
        look_at(queued);
        if ((command.flags & kWrite) == 0) return;
        // Twice: what is set as one record may be changed in place later, and is written once more.
        const auto brought = 2 * (queued.kept.bytes() + args.size() * kBytesAnArgument);
        grow(brought);
        largest_ += brought;
        // Each database points elsewhere, and a slot where it did; others are let go.
        if ((command.flags & kAllStripes) != 0)
            grow((2 * session_.engine().options.databases + engine::kDatabasesMax -
                  engine::kParkedFirst) *
                 sizeof(engine::Keyspace::Pointing));
        if ((command.flags & kRewritesValue) != 0) {
            grow(kRewrittenMax);
            largest_ += kRewrittenMax + reach(command, args);
        }
        // A copy of one record may be changed in place in its turn.
        if ((command.flags & kCopiesValue) != 0)
            grow(largest_ + std::min(largest_, engine::BigString::kInlineMax));
    }
    // More than this no batch may have: a command that would go beyond is refused as itself.
    [[nodiscard]] std::size_t bytes() const { return bytes_; }

  private:
    void look_at(const Transaction::Queued& queued) {
        places_.clear();
        if (!find_keys(*queued.command, queued.kept.args(), places_)) return;
        for (const auto place : places_) {
            const auto key = queued.kept.args()[place.index];
            const auto item = session_.peek(key, database_);
            if (!item) continue;
            const auto held = engine::keys::held_bytes(*item);
            largest_ = std::max(largest_, held);
            if ((queued.command->flags & kRewritesValue) == 0) continue;
            if (item->type == engine::Type::big_string)
                grow(std::min(held, kWornMax * (queued.kept.args().size() / 3 + 1)));
            else if (item->type == engine::Type::string &&
                     rewritten_.emplace(database_, key).second)
                grow(held);
        }
    }
    void grow(std::size_t by) { bytes_ += std::min(by, bytes_max_ - bytes_); }

    engine::Session& session_;
    const std::size_t bytes_max_;
    std::uint32_t database_ = session_.database();
    std::size_t bytes_ = 0;
    std::size_t largest_ = 0;
    std::set<std::pair<std::uint32_t, std::string_view>> rewritten_;
    std::vector<KeyPlace> places_;
};

// Room for what the queued commands can write, so that none of them finds none in the middle.
engine::Expected<void> reserve_room(Call& call) {
    RoomNeeded needed(call);
    for (const auto& queued : call.client.transaction.queue) needed.add(queued);
    if (needed.bytes() == 0) return {};
    auto room = call.session.prepare(needed.bytes());
    // On a full disk, or on a failed log, each command says for itself what it can still do.
    if (!room && room.error() != engine::Stop::wait) return {};
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
    call.session.one_batch();
    if (const auto room = reserve_room(call); !room) return call.stop(room.error());
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
