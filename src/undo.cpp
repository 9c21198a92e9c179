#include "src/undo.hpp"

#include <algorithm>
#include <new>

#include "engine/ops/keys.hpp"
#include "src/config.hpp"
#include "src/pasts.hpp"
#include "src/recall.hpp"
#include "src/server.hpp"
#include "src/sidecar_job.hpp"
#include "src/sliced_work.hpp"
#include "src/text/glob.hpp"
#include "src/unflush.hpp"

namespace firnlog::server {
namespace {

using engine::Expected;
using engine::Session;
using engine::Stop;
using recovery::OldKey;
using recovery::PutBack;

// Of a piece: as many keys as are worth the way to a reactor and back, and not much memory.
constexpr std::size_t kPieceKeys = 256;
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

constexpr std::string_view kCancelled = "ERR the restore was cancelled";

using Outcome = tl::expected<void, std::string>;

std::string text_of_stop(Stop why) {
    switch (why) {
        case Stop::no_space:
            return "NOSPACE the disk is full: not everything was restored (see FIRN RESTORE "
                   "STATUS)";
        case Stop::io_error:
            return "IOERR writing or syncing the log failed: not everything was restored";
        case Stop::loading:
            return "LOADING a damaged page of the index is made anew: not everything was restored";
        case Stop::lost:
            return "CORRUPT a damaged page of the index could not be made anew: not everything was "
                   "restored";
        case Stop::no_memory:
            return "OOM there is no memory to restore: not everything was restored";
        default:
            return "ERR the restore was stopped";
    }
}

// What a piece shares between the job and the reactor.
struct Piece {
    std::uint32_t database = 0;
    bool dry = false;
    recovery::TtlRule ttl;
    std::vector<OldKey> old;        // to be put back
    std::vector<std::string> gone;  // to be removed
    std::size_t next = 0;
    UndoCounts counts;
};

void count(UndoCounts& counts, PutBack what) {
    switch (what) {
        case PutBack::unchanged:
            ++counts.unchanged;
            return;
        case PutBack::written:
            ++counts.restored;
            return;
        case PutBack::removed:
            ++counts.deleted;
            return;
        case PutBack::due:
            ++counts.due;
            return;
    }
}

// Puts the next of the piece's keys back. A key that no batch can hold does not stop the others.
Expected<bool> put_back_next(Piece& piece, Session& live, std::vector<KeyspaceEvent>& events) {
    if (piece.next == piece.old.size()) return false;
    const auto& old = piece.old[piece.next];
    const std::string_view key = old.key;
    live.begin({&key, 1}, piece.database);
    const auto done = recovery::put_back(live, old, piece.ttl, piece.dry);
    (void)live.end();
    if (!done && done.error() != Stop::too_big) return tl::unexpected(done.error());
    if (done)
        count(piece.counts, *done);
    else
        ++piece.counts.too_large;
    if (done && !piece.dry && *done == PutBack::written)
        events.push_back({.kind = kNotifyGeneric,
                          .event = "restore",
                          .key = old.key,
                          .database = piece.database});
    if (done && !piece.dry && *done == PutBack::removed)
        events.push_back(
            {.kind = kNotifyGeneric, .event = "del", .key = old.key, .database = piece.database});
    return ++piece.next != piece.old.size();
}

Expected<bool> remove_next(Piece& piece, Session& live, std::vector<KeyspaceEvent>& events) {
    if (piece.next == piece.gone.size()) return false;
    const std::string_view key = piece.gone[piece.next];
    live.begin({&key, 1}, piece.database);
    Expected<bool> done = true;
    if (piece.dry) {
        if (const auto item = live.look(key))
            done = item->has_value();
        else
            done = tl::unexpected(item.error());
    } else {
        done = engine::keys::remove(live, key);
    }
    (void)live.end();
    if (!done) return tl::unexpected(done.error());
    if (*done) ++piece.counts.deleted;
    if (*done && !piece.dry)
        events.push_back({.kind = kNotifyGeneric,
                          .event = "del",
                          .key = std::string(key),
                          .database = piece.database});
    return ++piece.next != piece.gone.size();
}

// One restore.
class Restoring {
  public:
    Restoring(recovery::Past& past, Reactor& home, const UndoWish& wish, UndoTold told,
              std::function<bool()> give_up, std::function<void(const UndoTold&)> tell)
        : past_(past),
          home_(home),
          wish_(wish),
          give_up_(std::move(give_up)),
          tell_(std::move(tell)),
          reader_(past.engine()),
          told_(std::move(told)) {
        reader_.may_wait(true);
        told_.place = past.facts().place;
        rule_ = {.ttl = wish.ttl,
                 .then_us = past.facts().place.us,
                 .now_us = home.server().clock().wall().us,
                 .of_all = wish.taken_back};
    }

    Outcome run();
    [[nodiscard]] UndoTold& told() { return told_; }

  private:
    Outcome restore_key();
    Outcome restore_database(std::uint32_t database);
    Outcome delete_new(std::uint32_t database);
    // The piece that is being read goes to the reactor, when the one before it has come to its end.
    Outcome send();
    Outcome finish();
    Outcome remove(std::uint32_t database, std::vector<std::string> keys);
    Outcome wait_for(SlicedWork& work);
    // Nothing: it was not there, or cannot be read, which is counted.
    std::optional<OldKey> take(std::string_view key, std::uint32_t database);
    [[nodiscard]] std::shared_ptr<Piece> new_piece(std::uint32_t database) const;
    [[nodiscard]] bool matches(std::string_view key) const {
        return wish_.pattern == "*" || text::glob(wish_.pattern, key);
    }

    recovery::Past& past_;
    Reactor& home_;
    const UndoWish& wish_;
    const std::function<bool()> give_up_;
    const std::function<void(const UndoTold&)> tell_;
    recovery::TtlRule rule_;
    Session reader_;  // of the past
    UndoTold told_;
    std::shared_ptr<Piece> piece_;  // being read
    std::size_t piece_bytes_ = 0;
    std::shared_ptr<Piece> sent_;
    std::shared_ptr<SlicedWork> work_;
};

std::shared_ptr<Piece> Restoring::new_piece(std::uint32_t database) const {
    auto piece = std::make_shared<Piece>();
    piece->database = database;
    piece->dry = wish_.dry_run;
    piece->ttl = rule_;
    return piece;
}

std::optional<OldKey> Restoring::take(std::string_view key, std::uint32_t database) {
    reader_.begin({&key, 1}, database);
    auto old = recovery::take_old(reader_, key);
    (void)reader_.end();
    reader_.reset();
    if (old) return std::move(*old);
    ensure(old.error() == Stop::corrupt, "who only reads, and waits, is stopped by nothing else");
    ++told_.counts.damaged;
    return std::nullopt;
}

void add(UndoCounts& to, const UndoCounts& more) {
    to.restored += more.restored;
    to.unchanged += more.unchanged;
    to.absent += more.absent;
    to.deleted += more.deleted;
    to.due += more.due;
    to.damaged += more.damaged;
    to.too_large += more.too_large;
}

Outcome Restoring::wait_for(SlicedWork& work) {
    const auto done = work.wait(give_up_);
    if (!done) return tl::unexpected(std::string(kCancelled));
    if (!*done) return tl::unexpected(text_of_stop(done->error()));
    return {};
}

Outcome Restoring::finish() {
    if (work_ == nullptr) return {};
    auto done = wait_for(*work_);
    // Of one that was given up a slice may be running still.
    if (done || !give_up_()) add(told_.counts, sent_->counts);
    work_.reset();
    sent_.reset();
    tell_(told_);
    return done;
}

Outcome Restoring::send() {
    if (auto done = finish(); !done) return done;
    if (piece_ == nullptr) return {};
    sent_ = std::move(piece_);
    piece_bytes_ = 0;
    work_ = SlicedWork::start(home_,
                              [piece = sent_](Session& live, std::vector<KeyspaceEvent>& events) {
                                  return put_back_next(*piece, live, events);
                              });
    return {};
}

Outcome Restoring::remove(std::uint32_t database, std::vector<std::string> keys) {
    auto piece = new_piece(database);
    piece->gone = std::move(keys);
    const auto work =
        SlicedWork::start(home_, [piece](Session& live, std::vector<KeyspaceEvent>& events) {
            return remove_next(*piece, live, events);
        });
    auto done = wait_for(*work);
    if (done || !give_up_()) add(told_.counts, piece->counts);
    tell_(told_);
    return done;
}

Outcome Restoring::restore_key() {
    const auto damaged = told_.counts.damaged;
    auto old = take(*wish_.key, wish_.database);
    if (old) {
        piece_ = new_piece(wish_.database);
        piece_->old.push_back(std::move(*old));
        if (auto sent = send(); !sent) return sent;
        return finish();
    }
    if (told_.counts.damaged != damaged)
        return tl::unexpected(
            std::string("CORRUPT the value's bytes are damaged on disk, they are not restored"));
    if (wish_.delete_new) {
        if (auto done = remove(wish_.database, {*wish_.key}); !done) return done;
    }
    if (told_.counts.deleted == 0) ++told_.counts.absent;
    return {};
}

Outcome Restoring::restore_database(std::uint32_t database) {
    auto& engine = past_.engine();
    std::uint64_t cursor = 0;
    do {
        if (give_up_()) return tl::unexpected(std::string(kCancelled));
        reader_.begin({}, database);
        auto scanned = engine::keys::scan(engine, reader_, database, cursor, kPieceKeys);
        (void)reader_.end();
        reader_.reset();
        ensure(scanned.has_value(), "who waits for the disk goes through all keys");
        cursor = scanned->cursor;
        for (const auto& found : scanned->keys) {
            ++told_.keys_seen;
            if (!matches(found.key)) continue;
            auto old = take(found.key, database);
            if (!old) continue;
            if (piece_ == nullptr) piece_ = new_piece(database);
            piece_bytes_ += old->bytes();
            piece_->old.push_back(std::move(*old));
            if (piece_->old.size() < kPieceKeys && piece_bytes_ < kPieceBytes) continue;
            if (auto sent = send(); !sent) return sent;
        }
    } while (cursor != 0);
    if (auto sent = send(); !sent) return sent;
    return finish();
}

Outcome Restoring::delete_new(std::uint32_t database) {
    struct Some {
        std::uint64_t cursor = 0;
        std::vector<std::string> keys;
    };
    std::uint64_t cursor = 0;
    do {
        auto some = std::make_shared<Some>();
        some->cursor = cursor;
        const auto work = SlicedWork::start(
            home_, [some, database](Session& live, std::vector<KeyspaceEvent>&) -> Expected<bool> {
                live.begin({}, database);
                auto scanned =
                    engine::keys::scan(live.engine(), live, database, some->cursor, kPieceKeys);
                (void)live.end();
                if (!scanned) return tl::unexpected(scanned.error());
                some->cursor = scanned->cursor;
                for (auto& found : scanned->keys) some->keys.push_back(std::move(found.key));
                return false;
            });
        if (auto done = wait_for(*work); !done) return done;
        cursor = some->cursor;
        std::erase_if(some->keys, [&](const std::string& key) {
            if (!matches(key)) return true;
            const std::string_view name = key;
            reader_.begin({&name, 1}, database);
            const auto item = reader_.look(name);
            (void)reader_.end();
            reader_.reset();
            return !item || item->has_value();
        });
        if (some->keys.empty()) continue;
        if (auto done = remove(database, std::move(some->keys)); !done) return done;
    } while (cursor != 0);
    return {};
}

Outcome Restoring::run() {
    if (wish_.key) return restore_key();
    const auto first = wish_.all_databases ? 0 : wish_.database;
    const auto& config = home_.server().config();
    const auto end =
        wish_.all_databases ? static_cast<std::uint32_t>(config.databases) : wish_.database + 1;
    for (auto database = first; database < end; ++database)
        told_.keys_all +=
            static_cast<std::uint64_t>(past_.engine().keyspace().counts_of(database).keys);
    tell_(told_);
    for (auto database = first; database < end; ++database) {
        if (auto done = restore_database(database); !done) return done;
        if (!wish_.delete_new) continue;
        if (auto done = delete_new(database); !done) return done;
    }
    return {};
}

}  // namespace

std::string_view name_of(UndoTold::State state) {
    switch (state) {
        case UndoTold::State::none:
            return "none";
        case UndoTold::State::opening:
            return "opening";
        case UndoTold::State::running:
            return "running";
        case UndoTold::State::done:
            return "done";
        case UndoTold::State::cancelled:
            return "cancelled";
        case UndoTold::State::failed:
            return "failed";
    }
    return "";
}

tl::expected<UndoTold, std::string> Undo::run(recovery::Past& past, Reactor& home,
                                              const UndoWish& wish) {
    const bool many = !wish.key;
    const auto& tail = server_.engine().log.tail;
    UndoTold told;
    if (many) told = this->told();
    told.state = UndoTold::State::running;
    // What was taken back before has said where it began.
    if (told.undo_timeline == 0) {
        told.undo_timeline = tail.timeline();
        told.undo = tail.batch_end();
    }
    auto& recall = server_.recall();
    Restoring restoring(
        past, home, wish, std::move(told),
        [&recall, this, many] {
            return recall.stopping() || (many && cancelled_.load(std::memory_order_relaxed));
        },
        [this, many](const UndoTold& now) {
            if (many) tell(now);
        });
    const auto done = restoring.run();
    told = std::move(restoring.told());
    if (!done) return tl::unexpected(done.error());
    return told;
}

void Undo::begin(const UndoWish& wish) {
    const std::lock_guard guard(mutex_);
    cancelled_.store(false, std::memory_order_relaxed);
    told_ = {.state = UndoTold::State::opening,
             .pattern = wish.pattern,
             .dry_run = wish.dry_run,
             .began_us = server_.clock().mono().us};
}

// What a flush took comes back all at once, if it is parked still.
tl::expected<Undo::TakenBack, std::string> Undo::take_back(io::Files& files, Reactor& home,
                                                           const UndoWish& wish) {
    if (wish.pattern != "*" || wish.dry_run) return TakenBack::nothing;
    const auto unflush = std::make_shared<Unflush>(server_.parked(), wish.past.moment,
                                                   Parked::Wish{.place = {},
                                                                .database = wish.database,
                                                                .all = wish.all_databases,
                                                                .delete_new = wish.delete_new,
                                                                .ttl = wish.ttl});
    const auto wait_for = [&](SlicedWork::Unit unit) -> Outcome {
        const auto work = SlicedWork::start(home, std::move(unit));
        const auto done = work->wait(wish.past.give_up);
        if (!done) return tl::unexpected(std::string(kCancelled));
        if (!*done) return tl::unexpected(text_of_stop(done->error()));
        return {};
    };
    const auto run = [&] {
        return wait_for([unflush](Session& live, std::vector<KeyspaceEvent>&) {
            return unflush->run(live).map([] { return false; });
        });
    };
    if (auto done = run(); !done) return tl::unexpected(done.error());
    if (!unflush->is_placed()) {
        const auto place = recovery::find_moment(files, wish.past.moment, wish.past.now_us,
                                                 server_.sidecars().serving());
        // Opening it says why.
        if (!place) return TakenBack::nothing;
        unflush->found_at(*place);
        if (auto done = run(); !done) return tl::unexpected(done.error());
    }
    if (!unflush->done()) return TakenBack::nothing;
    auto told = this->told();
    told.state = UndoTold::State::running;
    told.place = unflush->place();
    told.undo_timeline = server_.engine().log.tail.timeline();
    told.undo = unflush->undo();
    if (unflush->exact()) told.keys_all = told.keys_seen = told.counts.restored = unflush->keys();
    tell(told);
    // It has come about, whether or not they can all be counted.
    const auto counted = wait_for(
        [unflush](Session& live, std::vector<KeyspaceEvent>&) { return unflush->count(live); });
    if (counted) told.counts.deleted = unflush->deleted();
    tell(told);
    return unflush->exact() ? TakenBack::all_of_it : TakenBack::most_of_it;
}

tl::expected<UndoTold, std::string> Undo::restore_many(io::Files& files, Reactor& home,
                                                       const UndoWish& wish) {
    const auto taken = take_back(files, home, wish);
    if (!taken) return tl::unexpected(taken.error());
    if (*taken == TakenBack::all_of_it) return told();
    const auto past = server_.pasts().open(files, wish.past, Pasts::Stay::passing);
    if (!past) return tl::unexpected(past.error());
    auto rest = wish;
    rest.taken_back = *taken == TakenBack::most_of_it;
    auto done = run((*past)->past(), home, rest);
    // What came back all at once is left alone then, and was restored nevertheless.
    if (done && rest.taken_back) done->counts.restored += std::exchange(done->counts.unchanged, 0);
    return done;
}

tl::expected<UndoTold, std::string> Undo::run_many(io::Files& files, Reactor& home, UndoWish wish) {
    begin(wish);
    auto& recall = server_.recall();
    wish.past.give_up = [this, &recall] {
        return recall.stopping() || cancelled_.load(std::memory_order_relaxed);
    };
    tl::expected<UndoTold, std::string> done = UndoTold{};
    try {
        done = restore_many(files, home, wish);
    } catch (const std::bad_alloc&) {
        // It is told as any that failed.
        done = tl::unexpected(std::string("OOM there is no memory to restore"));
    }
    const std::lock_guard guard(mutex_);
    if (done) {
        told_ = *done;
        told_.state = UndoTold::State::done;
    } else {
        const bool cancelled = cancelled_.load(std::memory_order_relaxed);
        told_.state = cancelled ? UndoTold::State::cancelled : UndoTold::State::failed;
        told_.error = done.error();
    }
    told_.took_us = server_.clock().mono().us - told_.began_us;
    return done;
}

bool Undo::cancel() {
    const std::lock_guard guard(mutex_);
    if (told_.state != UndoTold::State::opening && told_.state != UndoTold::State::running)
        return false;
    cancelled_.store(true, std::memory_order_relaxed);
    return true;
}

UndoTold Undo::told() const {
    const std::lock_guard guard(mutex_);
    auto told = told_;
    if (told.state == UndoTold::State::opening || told.state == UndoTold::State::running)
        told.took_us = server_.clock().mono().us - told.began_us;
    return told;
}

void Undo::tell(const UndoTold& told) {
    const std::lock_guard guard(mutex_);
    told_ = told;
}

}  // namespace firnlog::server
