#pragma once
// Undo: keys of the store become again what they were at a moment, beside its clients.
//
//   past ──a piece of keys──> SlicedWork: key by key, compared, put back ──> counts
//     ╰──the next piece is read meanwhile
//
// What a flush took and is parked still comes back before that, by one effect (src/parked.hpp).
//
// What it writes are new effects like any client's: gated, told to watchers, atomic key by key, and
// undone by restoring the lsn at which it began. Restores of many keys run one after the other,
// each on when the client that asked for it has gone, until it is cancelled or the server ends.
//
// run() belongs to the jobs' threads (src/recall.hpp), cancel() and told() to any; `mutex_` guards
// what is told.

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <tl/expected.hpp>

#include "engine/address.hpp"
#include "recovery/past.hpp"
#include "recovery/put_back.hpp"

namespace firnlog::server {

class Reactor;
class Server;

struct UndoWish {
    recovery::PastOptions past;
    std::optional<std::string> key;  // this one alone
    std::string pattern;             // or all that match, of one database or of all
    std::uint32_t database = 0;
    bool all_databases = false;
    bool delete_new = false;  // what was not there then goes
    bool dry_run = false;     // only counted
    recovery::Ttl ttl = recovery::Ttl::shift;
    bool taken_back = false;  // what a flush took, with the expiry that it had
};

struct UndoCounts {
    std::uint64_t restored = 0;
    std::uint64_t unchanged = 0;
    std::uint64_t absent = 0;     // of one key: it was not there, and stays as it is
    std::uint64_t deleted = 0;    // for they were not there, or their time has come
    std::uint64_t due = 0;        // not restored, for their time has come
    std::uint64_t damaged = 0;    // cannot be read in the past
    std::uint64_t too_large = 0;  // for one batch
};

struct UndoTold {
    enum class State : std::uint8_t { none, opening, running, done, cancelled, failed };
    State state = State::none;
    std::string pattern;
    std::string error;  // of a failed one
    bool dry_run = false;
    recovery::Place place;  // the moment, once it is open
    // Restoring this moment undoes the restore: the place of the tail before its first effect.
    engine::Timeline undo_timeline = 0;
    engine::Lsn undo;
    std::uint64_t keys_all = 0;  // of the databases, at the moment
    std::uint64_t keys_seen = 0;
    UndoCounts counts;
    std::int64_t began_us = 0;  // monotonic
    std::int64_t took_us = 0;
};
[[nodiscard]] std::string_view name_of(UndoTold::State state);

class Undo {
  public:
    explicit Undo(Server& server) : server_(server) {}

    // What became of it; the error is a reply. `home`: the reactor that writes.
    [[nodiscard]] tl::expected<UndoTold, std::string> run(recovery::Past& past, Reactor& home,
                                                          const UndoWish& wish);

    // ---- The one that restores many.

    // Opens the moment and runs it; there is one thread for it.
    [[nodiscard]] tl::expected<UndoTold, std::string> run_many(io::Files& files, Reactor& home,
                                                               UndoWish wish);
    // False: none is under way.
    bool cancel();
    // Of the one under way, or of the last one.
    [[nodiscard]] UndoTold told() const;

  private:
    void begin(const UndoWish& wish);
    enum class TakenBack : std::uint8_t {
        nothing,
        most_of_it,  // each key is to be looked at still
        all_of_it,
    };
    [[nodiscard]] tl::expected<TakenBack, std::string> take_back(io::Files& files, Reactor& home,
                                                                 const UndoWish& wish);
    [[nodiscard]] tl::expected<UndoTold, std::string> restore_many(io::Files& files, Reactor& home,
                                                                   const UndoWish& wish);
    void tell(const UndoTold& told);

    Server& server_;
    std::atomic<bool> cancelled_{false};
    mutable std::mutex mutex_;
    UndoTold told_;
};

}  // namespace firnlog::server
