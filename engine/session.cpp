#include "engine/session.hpp"

#include <algorithm>
#include <bit>
#include <mutex>
#include <new>

#include "engine/engine.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::engine {

void Session::start(bool all) {
    ensure(!begun_, "one command at a time");
    begun_ = true;
    all_ = all;
    lack_.reset();
    effects_ = 0;
    expired_ = 0;
    batch_bytes_ = 0;
    seen_ = {};
    written_ = {};
    one_batch_ = false;
    stages_ = false;
    now_ms_ = engine_.now.ms();
    keys_.clear();
    others_.clear();
    locked_.clear();
    cold_.clear();
}

// Locks are held, so that an exception must not leave from here.
std::optional<Stop> Session::fetch(Stripe number) {
    try {
        if (engine_.keyspace().fetch(number)) return std::nullopt;
        return why_lost(engine_.keyspace());
    } catch (const std::bad_alloc&) {
        return Stop::no_memory;
    }
}

void Session::begin(std::span<const std::string_view> keys, std::uint32_t database) {
    start(false);
    const auto& keyspace = engine_.keyspace();
    for (const auto key : keys) keys_.push_back(identify(key));
    if (grouped_) {
        ensure(std::ranges::all_of(keys_, [this](const Key& key) { return in_group(key.stripe); }),
               "a group's commands keep to its stripes");
        select(database);
        return;
    }
    for (const auto& key : keys_) locked_.push_back(key.stripe);
    lock_stripes();
    select(database);
    // Who holds no stripe looks at no space: the worker may be freeing it.
    while (!locked_.empty() && keyspace.has_strays() && add_strays()) {
    }
}

Session::Key Session::identify(std::string_view name) {
    for (auto i = next_ahead_; i < ahead_.size(); ++i) {
        if (ahead_[i].name.data() != name.data() || ahead_[i].name.size() != name.size()) continue;
        next_ahead_ = i + 1;
        return ahead_[i];
    }
    return {.name = name, .tag = engine_.keyspace().hasher.tag(name), .stripe = stripe_of(name)};
}

void Session::look_ahead(std::span<const Ahead> keys, std::uint32_t database, bool together) {
    forget_ahead();
    auto& keyspace = engine_.keyspace();
    for (const auto& [key, bytes, reads] : keys) {
        ahead_.push_back({.name = key, .tag = keyspace.hasher.tag(key), .stripe = stripe_of(key)});
        const auto stripe = ahead_.back().stripe;
        __builtin_prefetch(&keyspace.stripe(stripe), 1);
        // Of the keys before; where these lie is looked up under the lock.
        if (maps_ != nullptr) __builtin_prefetch(maps_ + stripe, 1);
    }
    if (together) begin_group(keys);
    // A stripe that somebody else holds is left out, and one that two keys share the second time.
    ensure(keys.size() <= 64, "a bit for each key");
    std::uint64_t held = 0;
    for (std::size_t i = 0; i < ahead_.size(); ++i)
        if (grouped_ || keyspace.stripe(ahead_[i].stripe).lock.try_lock())
            held |= std::uint64_t{1} << i;
    if (const auto* space = held == 0 ? nullptr : keyspace.find_space(database)) {
        maps_ = space->stripes;
        const auto each = [&](auto&& step) {
            for (auto left = held; left != 0; left &= left - 1) {
                const auto i = static_cast<std::size_t>(std::countr_zero(left));
                step(maps_[ahead_[i].stripe], ahead_[i].tag, i);
            }
        };
        // What each step fetches the next one reads.
        each([](const TagMap& map, Tag tag, std::size_t) { map.prefetch_page(tag); });
        each([](const TagMap& map, Tag tag, std::size_t) { map.prefetch_slot(tag); });
        each([&](const TagMap& map, Tag tag, std::size_t i) {
            if (keys[i].reads) prefetch_record(map.find(tag));
        });
    }
    if (grouped_) return;
    for (; held != 0; held &= held - 1)
        keyspace.stripe(ahead_[static_cast<std::size_t>(std::countr_zero(held))].stripe)
            .lock.unlock();
}

void Session::prefetch_record(const Entry* entry) const {
    if (entry == nullptr || entry->type() != Type::string) return;
    const auto* segment = engine_.segments().find(entry->address().file());
    if (segment == nullptr) return;
    const auto* bytes = segment->place().bytes + entry->address().offset();
    for (std::size_t at = 0; at < std::min<std::size_t>(entry->size_hint(), 256); at += 64)
        __builtin_prefetch(bytes + at);
}

void Session::begin_all(std::uint32_t database, std::span<const std::string_view> keys) {
    ensure(!grouped_, "a group ends before every stripe is locked");
    start(true);
    engine_.keyspace().lock_all();
    for (const auto key : keys)
        if (const auto lack = fetch(stripe_of(key))) lack_ = lack;
    select(database);
}

void Session::select(std::uint32_t database) {
    database_ = database;
    // Without a stripe's lock the catalog may change under us: such a session looks at no key.
    space_ = &engine_.keyspace().space_of(database);
}

void Session::lock_stripes() {
    if (locked_.size() > 1) {
        std::ranges::sort(locked_);
        locked_.erase(std::unique(locked_.begin(), locked_.end()), locked_.end());
    }
    for (const auto number : locked_) engine_.keyspace().stripe(number).lock.lock();
    for (const auto number : locked_)
        if (const auto lack = fetch(number)) lack_ = lack;
}

void Session::unlock_stripes() {
    for (auto i = locked_.size(); i-- > 0;) engine_.keyspace().stripe(locked_[i]).lock.unlock();
}

bool Session::add_strays() {
    std::vector<Stripe> more;
    const auto& keyspace = engine_.keyspace();
    // In every database: MOVE, COPY and a SELECT within an EXEC reach beyond the one at hand.
    for (std::uint32_t database = 0; database < keyspace.databases_end(); ++database) {
        const auto* space = keyspace.find_space(database);
        if (space == nullptr || space->strays.load(std::memory_order_relaxed) == 0) continue;
        for (const auto& key : keys_) {
            const auto* entry = space->stripes[key.stripe].find(key.tag);
            if (entry == nullptr || entry->type() == Type::string) continue;
            const auto home = entry->pointer<Object>()->oid.home();
            if (!std::ranges::binary_search(locked_, home)) more.push_back(home);
        }
    }
    if (more.empty()) return false;
    unlock_stripes();
    locked_.insert(locked_.end(), more.begin(), more.end());
    lock_stripes();
    select(database_);
    return true;
}

Lsn Session::end() {
    ensure(begun_, "a session ends once");
    if (batch_open_) close_batch();
    if (all_)
        engine_.keyspace().unlock_all();
    else
        unlock_stripes();
    begun_ = false;
    const auto gate = planted("read_waits_for_nothing") ? written_ : std::max(seen_, written_);
    group_gate_ = std::max(group_gate_, gate);
    return gate;
}

void Session::close_batch() {
    auto& tail = engine_.log.tail;
    const auto end = tail.close_batch();
    tail.lock.unlock();
    batch_open_ = false;
    if (effects_ != 0) written_ = end;
}

void Session::reset() {
    scratch_.reset();
    warm.clear();
}

Space& Session::space_of(std::uint32_t database) {
    return database == database_ ? *space_ : engine_.keyspace().space_of(database);
}

const Session::Key& Session::key_of(std::string_view name) {
    // The dispatcher and the handler use the same views of the receive buffer, and handlers go
    // through them in order: a million of them must not be a million searches.
    for (std::size_t i = 0; i < keys_.size(); ++i) {
        if (next_key_ >= keys_.size()) next_key_ = 0;
        const auto& key = keys_[next_key_];
        if (key.name.data() == name.data() && key.name.size() == name.size()) return key;
        ++next_key_;
    }
    for (const auto& key : keys_)
        if (key.name == name) return key;
    ensure(all_, "a key is declared before it is looked at");
    for (const auto& key : others_)
        if (key.name == name) return key;
    if (others_.size() >= 64) others_.erase(others_.begin(), others_.begin() + 32);
    others_.push_back(
        {.name = name, .tag = engine_.keyspace().hasher.tag(name), .stripe = stripe_of(name)});
    return others_.back();
}

Tag Session::tag(std::string_view text) const { return engine_.keyspace().hasher.tag(text); }

Object* Session::object(Oid oid) { return engine_.keyspace().find_object(oid); }

Expected<std::optional<Item>> Session::look(std::string_view name, std::uint32_t database) {
    const auto key = key_of(name);
    auto& space = space_of(database);
    if (stage_.changes(key.stripe) && !planted("group_reads_its_past")) append_staged();
    // Of those that begin() was told of, all or none can be looked at.
    if (const auto lack = lack_ ? lack_ : fetch(key.stripe)) return tl::unexpected(*lack);
    const auto* entry = space.stripes[key.stripe].find(key.tag);
    saw(engine_.keyspace().last_pointing());
    if (entry == nullptr) {
        saw(engine_.keyspace().stripe(key.stripe).last_change);
        return std::nullopt;
    }
    Item item{.type = entry->type()};
    if (!entry->expires()) {
        saw(engine_.keyspace().stripe(key.stripe).last_persist);
    } else {
        const auto* expiry = space.stripes[key.stripe].expiry(key.tag);
        ensure(expiry != nullptr, "an entry that expires has its time beside the page");
        item.expires_ms = expiry->at_ms;
        if (expiry->at_ms <= now_ms_) {
            if (engine_.options.past || planted("expired_and_not_logged")) return std::nullopt;
            if (auto gone = expire(key, database); !gone) return tl::unexpected(gone.error());
            return std::nullopt;
        }
        if (expiry->lsn.value != 0) saw(expiry->lsn);
    }
    if (item.type == Type::string) {
        item.address = entry->address();
        item.size_hint = entry->size_hint();
        if (const auto* segment = engine_.segments().find(item.address.file()))
            saw(segment->lsn_at(item.address.offset()));
    } else {
        item.object = entry->pointer<Object>();
        if (auto same = compare_key(*item.object, key); !same) return tl::unexpected(same.error());
        if (const auto* segment = engine_.segments().find(item.object->binding.file()))
            saw(segment->lsn_at(item.object->binding.offset()));
    }
    return item;
}

Expected<void> Session::compare_key(Object& object, const Key& key) {
    if (!object.key_check) {
        const auto record = pass(object.binding, object.binding_bytes);
        if (!record) return tl::unexpected(record.error());
        object.key_check = engine_.keyspace().hasher.tag(record->key).check;
    }
    if (*object.key_check != key.tag.check) return tl::unexpected(Stop::corrupt);
    return {};
}

Expected<std::optional<Item>> Session::look(std::string_view key, Type type) {
    auto item = look(key);
    if (!item || !*item) return item;
    const auto found = (*item)->type == Type::big_string ? Type::string : (*item)->type;
    if (found != type) return tl::unexpected(Stop::wrong_type);
    return item;
}

std::optional<Item> Session::peek(std::string_view name, std::uint32_t database) {
    const auto key = key_of(name);
    if (stage_.changes(key.stripe)) append_staged();
    const auto* entry = space_of(database).stripes[key.stripe].find(key.tag);
    if (entry == nullptr) return std::nullopt;
    Item item{.type = entry->type()};
    if (item.type == Type::string)
        item.size_hint = entry->size_hint();
    else
        item.object = entry->pointer<Object>();
    return item;
}

Expected<Record> Session::pass(Address address, std::size_t size_hint) {
    passing_.reset();
    return read(address, size_hint, passing_);
}

Expected<std::string> Session::read_key(Address address, std::size_t size_hint) {
    const auto record = pass(address, size_hint);
    if (!record) return tl::unexpected(record.error());
    return std::string(record->key);
}

Expected<Record> Session::read(Address address, std::size_t size_hint) {
    return read(address, size_hint, scratch_);
}

Expected<Record> Session::read(Address address, std::size_t size_hint, Scratch& scratch) {
    const auto found = engine_.reader.read(address, size_hint, scratch, warm, may_wait_);
    if (found.outcome == RecordReader::Outcome::cold) {
        cold_.push_back({.address = address, .bytes = size_hint});
        return tl::unexpected(Stop::cold);
    }
    if (found.outcome == RecordReader::Outcome::corrupt) {
        engine_.counters.corrupt.fetch_add(1, std::memory_order_relaxed);
        if (engine_.on_corrupt) engine_.on_corrupt(address, found.lsn);
        return tl::unexpected(Stop::corrupt);
    }
    saw(found.lsn);
    return found.record;
}

void Session::saw_everything() {
    const auto end = engine_.log.tail.batch_end();
    if (end > engine_.log.durable()) seen_ = std::max(seen_, end);
}

Expected<void> Session::reserve(std::size_t bytes, std::size_t records, bool shrinks) {
    ensure(batch_open_ || changes() == 0, "what a session changes is one batch");
    return add_room(bytes, records, shrinks);
}

Expected<void> Session::add_room(std::size_t bytes, std::size_t records, bool shrinks) {
    const auto need = bytes + records * kRecordOverheadMax;
    if (batch_bytes_ + need > engine_.options.batch_bytes_max) return tl::unexpected(Stop::too_big);
    if (auto room = prepare(need, shrinks); !room) return room;
    batch_bytes_ += need;
    records_to_come_ += records;
    return {};
}

Expected<void> Session::prepare(std::size_t need, bool shrinks) {
    if (engine_.options.past && !planted("the_past_is_written_to"))
        return tl::unexpected(Stop::io_error);
    if (lack_) return tl::unexpected(*lack_);
    auto& log = engine_.log;
    const bool opens = !batch_open_;
    if (opens) {
        // Records lie in the log in the order of the commands.
        append_staged();
        log.tail.lock.lock();
    }
    const auto refuse = [&](Stop why) {
        if (opens) log.tail.lock.unlock();
        return tl::unexpected(why);
    };
    if (log.failed() != 0) return refuse(Stop::io_error);
    if (opens && log.tail.end() - log.written() > engine_.options.tail_bytes_max)
        return refuse(Stop::wait);
    switch (log.tail.room(need, shrinks)) {
        case Room::enough:
            break;
        case Room::later:
            return refuse(Stop::wait);
        case Room::no_space:
            return refuse(Stop::no_space);
    }
    if (opens) {
        log.tail.open_batch();
        batch_open_ = true;
        records_to_come_ = 0;
    }
    return {};
}

void Session::emit(const Record& record, const Keyspace::Known& known,
                   std::uint32_t database) noexcept {
    ensure(batch_open_ || stages_, "room is reserved before an effect");
    ensure(engine_.keyspace().fetch_for(record, known), "what is changed is there");
    if (stages_) {
        stage_.add(record, known, database);
        stages_ = false;
        ++effects_;
        return;
    }
    const auto appended = engine_.log.tail.append(record);
    ++effects_;
    if (records_to_come_ != 0 && --records_to_come_ == 0 && !one_batch_) close_batch();
    engine_.keyspace().apply(
        record, {.address = appended.address, .bytes = record_bytes(record), .lsn = appended.lsn},
        known);
    if (known.space != nullptr) engine_.keyspace().touch(database, known.tag, known.stripe);
}

Expected<void> Session::expire(const Key& key, std::uint32_t database) {
    if (auto room = add_room(key.name.size(), 1, true); !room) return room;
    auto& space = space_of(database);
    emit({.kind = Kind::tombstone,
          .flags = RecordFlags::by_expiry,
          .kid = space.kid,
          .key = key.name},
         {.tag = key.tag, .stripe = key.stripe, .space = &space}, database);
    ++expired_;
    engine_.counters.expired.fetch_add(1, std::memory_order_relaxed);
    events.push_back(
        {.what = KeyEvent::What::expired, .database = database, .key = std::string(key.name)});
    return {};
}

void Session::put(std::string_view name, std::string_view value, std::int64_t expires_ms) {
    const auto key = key_of(name);
    Record record{.kind = Kind::string, .kid = space_->kid, .key = name, .value = value};
    if (expires_ms >= 0) {
        record.flags = RecordFlags::has_expiry;
        record.expires_ms = std::min(expires_ms, kExpiryMsMax);
    }
    emit(record, {.tag = key.tag, .stripe = key.stripe, .space = space_}, database_);
}

void Session::remove(std::string_view name, bool by_expiry) {
    const auto key = key_of(name);
    emit({.kind = Kind::tombstone,
          .flags = by_expiry ? RecordFlags::by_expiry : std::uint8_t{0},
          .kid = space_->kid,
          .key = name},
         {.tag = key.tag, .stripe = key.stripe, .space = space_}, database_);
}

void Session::set_expiry(std::string_view name, std::int64_t expires_ms) {
    const auto key = key_of(name);
    Record record{.kind = Kind::expiry, .kid = space_->kid, .key = name};
    if (expires_ms >= 0) {
        record.flags = RecordFlags::has_expiry;
        record.expires_ms = std::min(expires_ms, kExpiryMsMax);
    }
    emit(record, {.tag = key.tag, .stripe = key.stripe, .space = space_}, database_);
}

Oid Session::make_oid(std::string_view name) {
    ensure(batch_open_, "room is reserved before an effect");
    return Oid::make(engine_.log.tail.here(), key_of(name).stripe);
}

void Session::bind(std::string_view name, Oid oid, Type type, std::int64_t expires_ms) {
    const auto key = key_of(name);
    const char type_byte = static_cast<char>(type);
    Record record{.kind = Kind::bind,
                  .flags = RecordFlags::has_oid,
                  .kid = space_->kid,
                  .key = name,
                  .value = {&type_byte, 1},
                  .oid = oid};
    if (expires_ms >= 0) {
        record.flags |= RecordFlags::has_expiry;
        record.expires_ms = std::min(expires_ms, kExpiryMsMax);
    }
    emit(record, {.tag = key.tag, .stripe = key.stripe, .space = space_}, database_);
}

void Session::unbind(std::string_view name) {
    const auto key = key_of(name);
    emit({.kind = Kind::unbind, .kid = space_->kid, .key = name},
         {.tag = key.tag, .stripe = key.stripe, .space = space_}, database_);
}

void Session::put_element(Oid oid, std::string_view element, std::string_view value) {
    emit({.kind = Kind::element,
          .flags = RecordFlags::has_oid,
          .key = element,
          .value = value,
          .oid = oid},
         {.tag = tag(element), .stripe = oid.home()}, database_);
}

void Session::remove_element(Oid oid, std::string_view element) {
    emit({.kind = Kind::element_gone, .flags = RecordFlags::has_oid, .key = element, .oid = oid},
         {.tag = tag(element), .stripe = oid.home()}, database_);
}

void Session::patch_element(Oid oid, std::string_view element, std::size_t offset,
                            std::string_view bytes) {
    passing_.reset();
    auto* value = reinterpret_cast<char*>(passing_.take(bytes.size() + kVarintBytesMax));
    auto* at = reinterpret_cast<char*>(put_varint(reinterpret_cast<std::byte*>(value), offset));
    std::memcpy(at, bytes.data(), bytes.size());
    const auto size = static_cast<std::size_t>(at - value) + bytes.size();
    emit({.kind = Kind::patch,
          .flags = RecordFlags::has_oid,
          .key = element,
          .value = {value, size},
          .oid = oid},
         {.tag = tag(element), .stripe = oid.home()}, database_);
}

void Session::touch_key(std::string_view name) {
    const auto key = key_of(name);
    engine_.keyspace().touch(database_, key.tag, key.stripe);
}

Expected<void> Session::point(std::span<const Keyspace::Pointing> pointings) {
    ensure(all_, "the catalog changes under all locks");
    if (pointings.empty()) return {};
    // So many fit into the key of one record with room to spare.
    constexpr std::size_t kARecord = 4096;
    if (auto room = reserve(pointings.size_bytes(), pointings.size() / kARecord + 1, true); !room)
        return room;
    auto& keyspace = engine_.keyspace();
    for (const auto& pointing : pointings)
        if (pointing.database < kParkedFirst)
            keyspace.touch_all(pointing.database, keyspace.space_of(pointing.database),
                               keyspace.space_of_kid(pointing.kid));
    for (auto left = pointings; !left.empty();) {
        const auto some = left.first(std::min(kARecord, left.size()));
        emit({.kind = Kind::catalog,
              .key = {reinterpret_cast<const char*>(some.data()), some.size_bytes()}},
             {}, database_);
        left = left.subspan(some.size());
    }
    select(database_);
    return {};
}

void Session::mark(std::string_view name) {
    emit({.kind = Kind::mark, .key = name}, {}, database_);
}

}  // namespace firnlog::engine
