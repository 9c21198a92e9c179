#pragma once
// Command: one row of the command table and the function behind it. Start here to add a command.
//
// A command is one function and one row, in the file of its family. Everything else derives from
// the row: arity and key positions (hence which stripes are locked), COMMAND's output,
// docs/commands.md, the random tests. A handler never sees a lock:
//
//   parse -> row -> arity, access -> keys from the row -> session.begin(keys) -> handler -> gate
//
// A handler validates its arguments, looks at what it needs, and only then changes something; from
// its first effect on it cannot fail. It answers through `call.out`, exactly one reply, or none
// when it returns Flow::again or blocked.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "engine/session.hpp"
#include "src/resp/writer.hpp"

namespace firnlog::server {

class Connection;
class Reactor;
class Server;
struct Command;

enum class Flow : std::uint8_t {
    done,     // replied
    again,    // nothing happened: run it again when what stopped the session has come
    blocked,  // the reply comes later, through Reactor::unblock
    close,    // replied; the connection ends when that has been sent
};

struct Call {
    Server& server;
    Reactor& reactor;
    Connection& client;
    const Command& command;
    std::span<const std::string_view> args;  // args[0] is the name; views live until the reply
    engine::Session& session;                // begun; the command's keys are locked
    resp::Writer& out;
    bool in_exec = false;

    [[nodiscard]] std::string_view arg(std::size_t i) const { return args[i]; }
    [[nodiscard]] std::size_t argc() const { return args.size(); }

    // What the session's refusal means for the client: an error reply, or Flow::again.
    Flow stop(engine::Stop why);
    Flow error(std::string_view text);  // "ERR syntax error"
    Flow ok();
    Flow integer(std::int64_t value);
    Flow syntax_error() { return error("ERR syntax error"); }

    // Keyspace notifications, sent when the session has ended: `kind` is one Notify bit of
    // src/config.hpp, `event` a literal ("set", "hdel", …).
    void notify(std::uint32_t kind, std::string_view event, std::string_view key) const;
    void notify(std::uint32_t kind, std::string_view event, std::string_view key,
                std::uint32_t database) const;
};

using Handler = Flow (*)(Call& call);

// Redis's command flags, in the order in which COMMAND INFO lists them.
enum CommandFlag : std::uint32_t {
    kWrite = 1U << 0,
    kReadonly = 1U << 1,
    kDenyOom = 1U << 2,
    kModule = 1U << 3,
    kAdmin = 1U << 4,
    kPubSub = 1U << 5,
    kNoScript = 1U << 6,
    kBlocking = 1U << 7,
    kLoading = 1U << 8,
    kStale = 1U << 9,
    kSkipMonitor = 1U << 10,
    kSkipSlowlog = 1U << 11,
    kAsking = 1U << 12,
    kFast = 1U << 13,
    kNoAuth = 1U << 14,
    kMayReplicate = 1U << 15,
    kNoAsyncLoading = 1U << 16,
    kNoMulti = 1U << 17,
    kMovableKeys = 1U << 18,
    kAllowBusy = 1U << 19,
    kProtected = 1U << 20,  // DEBUG: allowed by enable-debug-command alone
    // ---- Ours, not shown to clients.
    kAllStripes = 1U << 24,  // keys cannot be known: every stripe is locked (SWAPDB, FLUSHALL)
    // What a command writes of what its keys hold, besides what it brings along; EXEC has to know,
    // to find room for all before it begins.
    kRewritesValue = 1U << 25,  // some of it, and a value of one record once as a whole
    kCopiesValue = 1U << 26,    // all of it
};

// ACL categories, shown by COMMAND INFO.
enum Category : std::uint32_t {
    kKeyspace = 1U << 0,
    kRead = 1U << 1,
    kWriteCategory = 1U << 2,
    kSet = 1U << 3,
    kSortedSet = 1U << 4,
    kList = 1U << 5,
    kHash = 1U << 6,
    kString = 1U << 7,
    kBitmap = 1U << 8,
    kHyperLogLog = 1U << 9,
    kGeo = 1U << 10,
    kStream = 1U << 11,
    kPubSubCategory = 1U << 12,
    kAdminCategory = 1U << 13,
    kFastCategory = 1U << 14,
    kSlow = 1U << 15,
    kBlockingCategory = 1U << 16,
    kDangerous = 1U << 17,
    kConnection = 1U << 18,
    kTransaction = 1U << 19,
    kScripting = 1U << 20,
};

// Where a command's keys stand, as Redis's key specifications say it: the first key's index, the
// last (negative: from the end), the step; `keynum`: the index of an argument that counts the keys
// behind.
struct KeySpec {
    std::uint32_t flags = 0;  // KeyFlag
    int first = 0;            // 0: none
    int last = 0;
    int step = 1;
    int keynum =
        0;  // not 0: keys follow that argument, as many as it says; first is relative to it
    std::string_view word = {};  // the first key stands behind this word, or there is none
};

enum KeyFlag : std::uint32_t {
    kKeyRW = 1U << 0,
    kKeyRO = 1U << 1,
    kKeyOW = 1U << 2,
    kKeyRM = 1U << 3,
    kKeyAccess = 1U << 4,
    kKeyUpdate = 1U << 5,
    kKeyInsert = 1U << 6,
    kKeyDelete = 1U << 7,
    kKeyNotKey = 1U << 8,
    kKeyIncomplete = 1U << 9,
    kKeyVariable = 1U << 10,  // variable_flags
};

struct Command {
    std::string_view name;    // lower case; of a subcommand "client|list"
    std::string_view syntax;  // of the arguments: "key value [NX | XX] [GET] [EX seconds | …]"
    std::string_view summary;
    std::string_view since;  // of Redis, or of Firnlog for its own
    std::string_view group;  // as COMMAND DOCS names it: "string", "hash", "generic", …
    std::string_view complexity;
    int arity = 0;  // with the name; negative: at least
    std::uint32_t flags = 0;
    std::uint32_t categories = 0;  // what does not follow from flags and group
    std::span<const KeySpec> keys = {};
    Handler handler = nullptr;
    std::span<const Command> subcommands = {};
};

}  // namespace firnlog::server
