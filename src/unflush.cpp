#include "src/unflush.hpp"

#include "engine/engine.hpp"
#include "engine/ops/keys.hpp"

namespace firnlog::server {
namespace {

using engine::Expected;
using engine::Session;

// Nobody else is served while they are copied.
constexpr std::uint64_t kNewKeysMax = 4096;
constexpr std::size_t kNewBytesMax = std::size_t{1} << 20;
// Counted in one turn.
constexpr std::size_t kCountedKeys = 256;
// Of log, for a record's head and frame, a field's, and for what is built twice.
constexpr std::size_t kBytesAKey = 512;
constexpr std::size_t kBytesAField = 64;

}  // namespace

Expected<void> Unflush::run(Session& live) {
    live.begin_all(wish_.database);
    const auto done = run_locked(live);
    (void)live.end();
    return done;
}

// The keys of these databases that the flush did not take. False: they are too many.
Expected<bool> Unflush::collect(Session& live, const std::vector<Parked::Flush::Part>& parts) {
    auto& engine = live.engine();
    new_.clear();
    new_bytes_ = 0;
    for (const auto& part : parts) {
        live.select(part.database);
        const auto count = engine.keyspace().counts_of(part.database).keys;
        if (count + static_cast<std::int64_t>(new_.size()) > std::int64_t{kNewKeysMax})
            return false;
        for (std::uint64_t cursor = 0;;) {
            auto scanned = engine::keys::scan(engine, live, part.database, cursor, kNewKeysMax);
            if (!scanned) return tl::unexpected(scanned.error());
            for (const auto& found : scanned->keys) {
                if (live.peek(found.key, part.slot)) continue;
                auto key = recovery::take_old(live, found.key);
                if (!key) return tl::unexpected(key.error());
                if (!*key) continue;
                new_bytes_ +=
                    2 * (*key)->bytes() + kBytesAKey + kBytesAField * (*key)->fields.size();
                if (new_bytes_ > kNewBytesMax) return false;
                new_.push_back({.database = part.database, .key = std::move(**key)});
            }
            cursor = scanned->cursor;
            if (cursor == 0) break;
        }
    }
    return true;
}

Expected<void> Unflush::run_locked(Session& live) {
    undo_ = live.engine().log.tail.batch_end();
    if (!is_placed()) {
        const auto place = parked_.place_of(moment_);
        if (!place) return {};
        wish_.place = *place;
    }
    auto back = parked_.back(live, wish_);
    if (!back) return {};
    const auto few = collect(live, back->merged);
    if (!few) return tl::unexpected(few.error());
    if (!*few) return {};
    if (new_bytes_ != 0)
        if (auto room = live.prepare(new_bytes_); !room) return room;
    if (!new_.empty()) live.one_batch();
    if (auto pointed = parked_.carry_out(live, std::move(back->plan)); !pointed) return pointed;
    for (const auto& item : new_) {
        live.select(item.database);
        const auto put = recovery::put_back(live, item.key, {.ttl = recovery::Ttl::keep}, false);
        ensure(put.has_value(), "there is room for what was prepared");
    }
    for (const auto& part : back->exchanged)
        exchanged_.push_back(
            {.part = part, .kid = live.engine().keyspace().space_of(part.slot).kid});
    done_ = true;
    exact_ = back->exact;
    keys_ = back->keys;
    return {};
}

// What the slot has and the database has not got any more.
Expected<bool> Unflush::count(Session& live) {
    if (exchanged_.empty()) return false;
    auto& engine = live.engine();
    const auto [part, kid] = exchanged_.back();
    live.begin({}, part.database);
    const auto scanned = engine::keys::scan(engine, live, part.slot, cursor_, kCountedKeys);
    (void)live.end();
    if (!scanned) return tl::unexpected(scanned.error());
    bool there = true;
    for (const auto& found : scanned->keys) {
        const std::string_view key = found.key;
        live.begin({&key, 1}, part.database);
        // It is let go when space is short, and another flush may take its place.
        there = engine.keyspace().space_of(part.slot).kid == kid;
        if (there && !live.peek(key, part.database)) ++deleted_;
        (void)live.end();
        if (!there) break;
    }
    cursor_ = there ? scanned->cursor : 0;
    if (cursor_ == 0) exchanged_.pop_back();
    return !exchanged_.empty();
}

}  // namespace firnlog::server
