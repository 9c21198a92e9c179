#include "recovery/listing.hpp"

#include <algorithm>
#include <deque>
#include <unordered_map>

#include "engine/index/keyspace.hpp"
#include "recovery/point_reads.hpp"

namespace firnlog::recovery {
namespace {

using engine::is_of_a_key;
using engine::is_of_an_element;
using engine::Kind;
using engine::Lsn;
using engine::Record;

constexpr std::array kNames{
    EventName{Event::set, "set"},           EventName{Event::del, "del"},
    EventName{Event::expired, "expired"},   EventName{Event::expire, "expire"},
    EventName{Event::persist, "persist"},   EventName{Event::bind, "bind"},
    EventName{Event::unbind, "unbind"},     EventName{Event::field, "field"},
    EventName{Event::fielddel, "fielddel"}, EventName{Event::part, "part"},
    EventName{Event::flush, "flush"},       EventName{Event::unflush, "unflush"},
    EventName{Event::swap, "swap"},         EventName{Event::mark, "mark"},
};

tl::unexpected<Refusal> stopped() {
    return refuse({.code = Code::busy, .doing = "list the log"}, "stopped while listing the log");
}

class Lister {
  public:
    explicit Lister(const ListOptions& options) : options_(options) {}

    void frame(const LogReader::Frame& frame, Lsn from) {
        line_.timeline = frame.header.timeline;
        line_.us = frame.header.commit_us;
        const auto first = frame.header.lsn + engine::kFrameHeaderBytes;
        for (std::size_t at = 0; at < frame.records.size();) {
            const auto decoded = engine::decode_own_record(frame.records.subspan(at));
            ensure(decoded.has_value(), "a record that was verified stays valid");
            line_.lsn = first + at;
            listing_ = line_.lsn >= from;
            see(decoded->record);
            at += decoded->size;
            if (decoded->record.has(engine::RecordFlags::last_of_batch)) end_batch(first + at);
        }
    }
    // A record alone: what stands around it is told later, of lines that are left.
    void record(const Record& record, Lsn lsn) {
        line_.lsn = lsn;
        listing_ = true;
        see(record);
    }
    Opening<void> tell_around(const History& history) {
        std::optional<History::Around> around;
        for (auto& line : lines_) {
            // Lines ascend: what stands around one of the same batch and frame is known.
            if (!around || line.lsn >= std::min(around->frame_end, around->after.lsn)) {
                auto found = history.around(line.lsn);
                if (!found) return tl::unexpected(found.error());
                around = *found;
            }
            if (options_.give_up && options_.give_up()) return stopped();
            line.timeline = around->timeline;
            line.us = around->commit_us;
            line.after = around->after.lsn;
        }
        return {};
    }
    Listed take() {
        listed_.lines.assign(std::make_move_iterator(lines_.begin()),
                             std::make_move_iterator(lines_.end()));
        return std::move(listed_);
    }

  private:
    struct Named {
        engine::Kid kid = 0;
        engine::Type type = engine::Type::string;
        std::string key;
    };

    void see(const Record& record);
    void end_batch(Lsn at);
    void bind(const Record& record);
    void element(const Record& record);
    bool lengthens(const Record& record);
    void catalog(const Record& record);
    // True if it has a line now, which is the last one.
    bool add(Event event, std::optional<std::uint32_t> database, std::string_view key,
             const Record& record, std::string_view field = {});
    [[nodiscard]] bool is_wanted(Event event, std::optional<std::uint32_t> database,
                                 std::string_view key) const;
    void drop_oldest();
    // Nothing: no database points at it any more, or none did in the log that is left.
    [[nodiscard]] std::optional<std::uint32_t> database_of(engine::Kid kid) const {
        if (const auto found = databases_.find(kid); found != databases_.end())
            return found->second;
        // A database points at the kid of its own number until a record says otherwise.
        if (kid < engine::kFirstFreshKid && !kids_.contains(kid)) return kid;
        return std::nullopt;
    }

    const ListOptions& options_;
    Line line_;  // of the record at hand: lsn, timeline, time
    bool listing_ = false;
    std::deque<Line> lines_;
    std::size_t bytes_ = 0;  // of keys and fields in lines_
    Listed listed_;
    std::unordered_map<engine::Kid, std::uint32_t> databases_;
    std::unordered_map<std::uint32_t, engine::Kid> kids_;  // by database
    engine::Kid next_kid_ = engine::kFirstFreshKid;
    std::unordered_map<std::uint64_t, Named> objects_;
    // The field set last, of the batch at hand: a long value comes in pieces, one behind another.
    struct Value {
        engine::Oid oid;
        std::string field;
        std::uint64_t bytes = 0;
        bool told = false;  // by the last line
    };
    Value value_;
};

bool Lister::add(Event event, std::optional<std::uint32_t> database, std::string_view key,
                 const Record& record, std::string_view field) {
    if (!listing_ || !is_wanted(event, database, key)) return false;
    auto line = line_;
    line.event = event;
    line.database = database;
    line.key = key;
    line.field = field;
    line.expires_ms = record.has(engine::RecordFlags::has_expiry) ? record.expires_ms : -1;
    line.bytes = record.value.size();
    bytes_ += key.size() + field.size();
    lines_.push_back(std::move(line));
    while (lines_.size() > options_.count || bytes_ > options_.bytes_max) drop_oldest();
    return !lines_.empty();
}

bool Lister::is_wanted(Event event, std::optional<std::uint32_t> database,
                       std::string_view key) const {
    if (options_.event && event != *options_.event) return false;
    if (options_.matches && !options_.matches(key)) return false;
    if (!options_.only) return true;
    if (event == Event::mark || (database && *database != options_.only->database)) return false;
    return is_of_database(event) || key == options_.only->key;
}

void Lister::drop_oldest() {
    bytes_ -= lines_.front().key.size() + lines_.front().field.size();
    lines_.pop_front();
    ++listed_.left_out;
}

void Lister::end_batch(Lsn at) {
    value_ = {};
    for (auto line = lines_.rbegin(); line != lines_.rend() && line->after.value == 0; ++line)
        line->after = at;
}

void Lister::bind(const Record& record) {
    const auto type =
        record.value.empty() ? engine::Type::string : static_cast<engine::Type>(record.value[0]);
    // Of the others nothing is told, and there may be many.
    if (options_.only && options_.only->key != record.key)
        objects_.erase(record.oid.value);
    else
        objects_[record.oid.value] = {
            .kid = record.kid, .type = type, .key = std::string(record.key)};
    auto shown = record;
    shown.value = {};
    (void)add(Event::bind, database_of(record.kid), record.key, shown);
}

void Lister::element(const Record& record) {
    const auto found = objects_.find(record.oid.value);
    // Else bound before the log that is left, or not yet: an object built aside.
    const auto* object = found == objects_.end() ? nullptr : &found->second;
    if (object == nullptr && options_.only) return;
    if (object != nullptr && object->type != engine::Type::hash) {
        (void)add(Event::part, database_of(object->kid), object->key, record);
        return;
    }
    if (record.kind == Kind::patch && lengthens(record)) return;
    const auto event = record.kind == Kind::element_gone ? Event::fielddel : Event::field;
    const bool told = object == nullptr
                          ? add(event, std::nullopt, {}, record, record.key)
                          : add(event, database_of(object->kid), object->key, record, record.key);
    value_ = {};
    if (record.kind != Kind::element) return;
    value_ = {.oid = record.oid,
              .field = std::string(record.key),
              .bytes = record.value.size(),
              .told = told};
}

// The next piece of the field's value at hand: there is a line for all of them.
bool Lister::lengthens(const Record& record) {
    const auto patch = engine::decode_patch(record.value);
    if (!patch || record.oid != value_.oid || record.key != value_.field ||
        patch->offset != value_.bytes)
        return false;
    value_.bytes += patch->bytes.size();
    if (value_.told) lines_.back().bytes = value_.bytes;
    return true;
}

void Lister::catalog(const Record& record) {
    std::vector<engine::Keyspace::Pointing> pointings(record.key.size() /
                                                      sizeof(engine::Keyspace::Pointing));
    std::memcpy(pointings.data(), record.key.data(),
                pointings.size() * sizeof(engine::Keyspace::Pointing));
    for (const auto& [database, kid] : pointings) {
        if (database >= engine::kParkedFirst) continue;
        const bool fresh = kid >= next_kid_;
        const auto was = databases_.find(kid);
        const bool parked = was != databases_.end() && was->second >= engine::kParkedFirst;
        (void)add(fresh    ? Event::flush
                  : parked ? Event::unflush
                           : Event::swap,
                  database, {}, record);
    }
    for (const auto& [database, kid] : pointings)
        if (const auto old = kids_.find(database); old != kids_.end())
            databases_.erase(old->second);
    for (const auto& [database, kid] : pointings) {
        kids_[database] = kid;
        databases_[kid] = database;
        next_kid_ = std::max(next_kid_, kid + 1);
    }
}

void Lister::see(const Record& record) {
    const auto add_key = [&](Event event) {
        (void)add(event, database_of(record.kid), record.key, record);
    };
    switch (record.kind) {
        case Kind::string:
            return add_key(Event::set);
        case Kind::tombstone:
            return add_key(record.has(engine::RecordFlags::by_expiry) ? Event::expired
                                                                      : Event::del);
        case Kind::expiry:
            return add_key(record.has(engine::RecordFlags::has_expiry) ? Event::expire
                                                                       : Event::persist);
        case Kind::bind:
            return bind(record);
        case Kind::unbind:
            return add_key(Event::unbind);
        case Kind::element:
        case Kind::element_gone:
        case Kind::patch:
            return element(record);
        case Kind::catalog:
            return catalog(record);
        case Kind::mark:
            (void)add(Event::mark, std::nullopt, record.key, record);
            return;
        case Kind::object:
        case Kind::erased:
            return;
    }
}

// From where to where an object was what the key led to, in whatever keyspace.
struct Stay {
    engine::Oid oid;
    Lsn from;
    Lsn to;
};

class Stays {
  public:
    void see(const Record& record, Lsn lsn) {
        if (record.kind == Kind::expiry) return;
        const auto old = bound_.find(record.kid);
        const bool again = record.kind == Kind::bind && old != bound_.end() &&
                           stays_[old->second].oid == record.oid;
        if (again) return;
        if (old != bound_.end()) {
            stays_[old->second].to = lsn;
            bound_.erase(old);
        }
        if (record.kind != Kind::bind) return;
        bound_[record.kid] = stays_.size();
        stays_.push_back({.oid = record.oid, .from = lsn, .to = {}});
    }
    [[nodiscard]] std::vector<Stay> take(Lsn end) {
        for (const auto& [kid, stay] : bound_) stays_[stay].to = end;
        return std::move(stays_);
    }

  private:
    std::vector<Stay> stays_;
    std::unordered_map<engine::Kid, std::size_t> bound_;  // the stays that go on
};

// All records that have to do with the key, in the order of the log: its own, of its objects while
// it led to them, and where databases pointed.
Opening<std::vector<History::Spot>> spots_of_key(History& history, const ListOptions& options) {
    const auto& hasher = options.serving->sidecars.hasher;
    const auto& key = options.only->key;
    const std::array ranges{engine::SidecarHasher::kCatalog, hasher.name(key)};
    auto spots = history.search(history.begin(), history.end(), ranges);
    if (!spots) return spots;
    PointReads reads(history.files(), history.manifest().store_id);
    Stays stays;
    std::vector<History::Spot> chosen;
    for (const auto& spot : *spots) {
        const auto found = reads.at(spot.stretch, spot.offset);
        if (!found) return refuse(found.error());
        const auto& record = found->record;
        if (record.kind == Kind::catalog) {
            chosen.push_back(spot);
        } else if (is_of_a_key(record.kind) && record.key == key) {
            stays.see(record, spot.lsn());
            chosen.push_back(spot);
        }
        if (options.give_up && options.give_up()) return stopped();
    }
    for (const auto& stay : stays.take(history.end())) {
        const auto range = hasher.object(stay.oid);
        const auto elements = history.search(stay.from, stay.to, {&range, 1});
        if (!elements) return tl::unexpected(elements.error());
        for (const auto& spot : *elements) {
            const auto found = reads.at(spot.stretch, spot.offset);
            if (!found) return refuse(found.error());
            if (is_of_an_element(found->record.kind) && found->record.oid == stay.oid)
                chosen.push_back(spot);
            if (options.give_up && options.give_up()) return stopped();
        }
    }
    std::ranges::sort(chosen, {}, &History::Spot::lsn);
    const auto same = std::ranges::unique(chosen, {}, &History::Spot::lsn);
    chosen.erase(same.begin(), same.end());
    return chosen;
}

}  // namespace

std::string_view name_of(Event event) {
    const auto found = std::ranges::find(kNames, event, &EventName::event);
    return found == kNames.end() ? "" : found->name;
}

std::optional<Event> event_named(std::string_view name) {
    const auto found = std::ranges::find(kNames, name, &EventName::name);
    return found == kNames.end() ? std::nullopt : std::optional(found->event);
}

namespace {

// The oldest moment, if that one is before it.
std::optional<Place> oldest_behind(const History& history, const Moment& moment) {
    auto oldest = history.oldest_place();
    if (!oldest) return std::nullopt;
    const auto newest = history.manifest().timelines.back().timeline;
    const bool is_lsn =
        moment.what == Moment::What::lsn && moment.timeline.value_or(newest) <= newest;
    const bool is_time = moment.what == Moment::What::at || moment.what == Moment::What::before;
    if ((is_lsn && moment.lsn < oldest->lsn) || (is_time && moment.us < oldest->commit_us))
        return *oldest;
    return std::nullopt;
}

}  // namespace

Opening<Listed> list_log(io::Files& files, const ListOptions& options) {
    return with_history(
        files,
        [&](const std::unique_ptr<History>& history) -> Opening<Listed> {
            auto from = history->begin();
            auto to = history->end();
            std::optional<Place> begins;
            if (options.since) {
                const auto place = history->find(*options.since, options.now_us);
                if (!place || place->lsn < from) begins = oldest_behind(*history, *options.since);
                if (!place && !begins) return tl::unexpected(place.error());
                if (!begins) from = place->lsn;
            }
            if (options.until) {
                const auto place = history->find(*options.until, options.now_us);
                if (!place) return tl::unexpected(place.error());
                to = place->lsn;
            }
            Lister lister(options);
            bool going = true;
            const auto visited = history->visit(
                history->begin(), to, [&](const LogReader::Frame& frame, engine::FileNumber) {
                    lister.frame(frame, from);
                    going = !options.give_up || !options.give_up();
                    return going;
                });
            if (!visited) return tl::unexpected(visited.error());
            if (!going) return stopped();
            auto listed = lister.take();
            listed.begins = begins;
            return listed;
        },
        options.serving);
}

Opening<Listed> list_key(io::Files& files, const ListOptions& options) {
    ensure(options.serving && options.only, "the history of a key is read where it is served");
    return with_history(
        files,
        [&](const std::unique_ptr<History>& history) -> Opening<Listed> {
            Lister lister(options);
            auto spots = spots_of_key(*history, options);
            if (!spots) return tl::unexpected(spots.error());
            PointReads reads(history->files(), history->manifest().store_id);
            for (const auto& spot : *spots) {
                const auto found = reads.at(spot.stretch, spot.offset);
                if (!found) return refuse(found.error());
                lister.record(found->record, spot.lsn());
                if (options.give_up && options.give_up()) return stopped();
            }
            if (auto told = lister.tell_around(*history); !told)
                return tl::unexpected(told.error());
            return lister.take();
        },
        options.serving);
}

}  // namespace firnlog::recovery
