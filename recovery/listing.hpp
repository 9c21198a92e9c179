#pragma once
// Listing: what happened when: the records of a stretch of the log, in words.
//
// A record names a key by the keyspace id that a database pointed at, and an element by its
// object's id; which database and which key that is, records before it say. So the log is read from
// its beginning on, whatever part of it is listed, and only the newest `count` lines are kept.
//
// Of one key alone, where the store is served, only the records are read that have to do with it
// (list_key): its own, of the objects that it led to, and where databases pointed.
//
// The lsn of a line is where its record begins: as a moment it is rounded down to the end of the
// batch before, so `LSN n` is the store just before that line happened. `after` is the end of its
// batch, so that is the store with it.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/format/record.hpp"
#include "recovery/history.hpp"

namespace firnlog::recovery {

// What a person calls an effect.
enum class Event : std::uint8_t {
    set,       // a string
    del,       // a key is gone
    expired,   // because its time had come
    expire,    // it expires then
    persist,   // it expires no more
    bind,      // it leads to a hash, or to a long string
    unbind,    // it does no more, for the other one of a rename does
    field,     // of a hash, set
    fielddel,  // of a hash, gone
    part,      // of a long string, written
    flush,     // a database is empty from here on
    unflush,   // a database holds again what a flush took from it
    swap,      // a database holds what another one held
    mark,
};

// What happened to a database as a whole: no key is named.
[[nodiscard]] inline bool is_of_database(Event event) {
    return event == Event::flush || event == Event::unflush || event == Event::swap;
}

struct EventName {
    Event event;
    std::string_view name;
};
[[nodiscard]] std::string_view name_of(Event event);
[[nodiscard]] std::optional<Event> event_named(std::string_view name);

struct Line {
    engine::Lsn lsn;
    engine::Lsn after;
    engine::Timeline timeline = 0;
    std::int64_t us = 0;  // when it was committed
    Event event = Event::set;
    // Nothing for a mark, and where no record of the log that is left says it.
    std::optional<std::uint32_t> database;
    std::string key;               // or the mark's name
    std::string field;             // of a hash
    std::int64_t expires_ms = -1;  // set, expire, bind
    std::uint64_t bytes = 0;       // of the value
};

// One key, under the name that it has in a database.
struct KeyOf {
    std::uint32_t database = 0;
    std::string key;
};

struct ListOptions {
    // What happened behind it; everything where it is older than the log that is left.
    std::optional<Moment> since;
    std::optional<Moment> until;                        // and up to this one
    std::function<bool(std::string_view key)> matches;  // none: all
    // What happened to it, and what its database was emptied or swapped by. Where no record that is
    // left says which database a key was in, it may have been this one.
    std::optional<KeyOf> only;
    std::optional<Event> event;
    std::size_t count = 1000;                              // the newest so many
    std::size_t bytes_max = static_cast<std::size_t>(-1);  // of keys and fields in them
    std::int64_t now_us = 0;
    std::function<bool()> give_up;
    std::optional<Serving> serving = {};
};

struct Listed {
    std::vector<Line> lines;     // in the order of the log
    std::uint64_t left_out = 0;  // older ones that fit as well
    // The oldest moment, where `since` is before it.
    std::optional<Place> begins;
};

[[nodiscard]] Opening<Listed> list_log(io::Files& files, const ListOptions& options);
// The same lines, of options.only and nothing else; options.serving is set.
[[nodiscard]] Opening<Listed> list_key(io::Files& files, const ListOptions& options);

}  // namespace firnlog::recovery
