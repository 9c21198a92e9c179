#pragma once
// Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH, over the state that a Connection keeps.
//
//   WATCH k ──> Watch in k's stripe ──(any change of k)──> transaction.touched
//   MULTI ──> open ──(dispatcher queues)──> EXEC: locks the union of all keys and of the watched
//   ones,
//                                           looks at `touched`, runs the queue as one batch
//
// `touched` is set and read under the stripe's lock: what happens to a watched key either comes
// before EXEC and is seen, or comes after it. EXEC takes its watches out of the stripes that it
// holds; nobody else may do so while a session is begun on this thread.

#include "src/commands/command.hpp"
#include "src/connection.hpp"

namespace firnlog::server {

// Commands that MULTI does not queue but that run at once.
[[nodiscard]] bool runs_within_multi(const Command& command);

// MULTI is forgotten, and with it the queue and the watches: DISCARD, RESET, the end of the
// connection. Takes the watched keys' stripe locks, so that no session may be begun with keys.
void discard(engine::Keyspace& keyspace, Connection& client);

// EXEC itself was refused, for `why` ("ERR wrong number of arguments …"): discards, and returns the
// reply's text.
[[nodiscard]] std::string abort_exec(engine::Keyspace& keyspace, Connection& client,
                                     std::string_view why);

}  // namespace firnlog::server
