#include "engine/index/keyspace.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "io/base/memory.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::engine {
namespace {

// Zero pages until they are touched: an empty store is small.
template <class T>
T* map_array(std::size_t count) {
    void* at = map_memory(count * sizeof(T));
    if (at == nullptr) throw std::bad_alloc();
    return static_cast<T*>(at);
}

template <class T>
void unmap_array(T* at, std::size_t count) {
    ::munmap(static_cast<void*>(at), count * sizeof(T));
}

constexpr std::size_t kTouchedPage = 4096;

}  // namespace

Space::Space(Kid kid_given) : kid(kid_given), stripes(map_array<TagMap>(kStripes)) {
    for (std::uint32_t i = 0; i < kStripes; ++i) new (&stripes[i]) TagMap(kKeysLinearMax);
}

Space::~Space() {
    for (std::uint32_t i = 0; i < kStripes; ++i) stripes[i].~TagMap();
    unmap_array(stripes, kStripes);
}

Keyspace::Keyspace(const Hasher& its_hasher)
    : hasher(its_hasher),
      stripes_(map_array<StripeState>(kStripes)),
      databases_(map_array<std::atomic<Space*>>(kDatabasesMax)) {
    // All zero bytes are a free lock and an empty stripe; constructing them would touch every page.
    static_assert(sizeof(StripeState) <= 40);
}

Keyspace::~Keyspace() {
    for (std::uint32_t i = 0; i < kStripes; ++i) stripes_[i].objects.reset();
    unmap_array(stripes_, kStripes);
    unmap_array(databases_, kDatabasesMax);
}

void Keyspace::lock_all() {
    for (std::uint32_t i = 0; i < kStripes; ++i) stripes_[i].lock.lock();
}

void Keyspace::unlock_all() {
    for (std::uint32_t i = kStripes; i-- > 0;) stripes_[i].lock.unlock();
}

void Keyspace::await(Stripe number) {
    stripes_[number].presence = Presence::waiting;
    waiting_.fetch_add(1, std::memory_order_acq_rel);
}

bool Keyspace::fetch_slowly(Stripe number) {
    auto& state = stripes_[number];
    if (state.presence == Presence::lost) return false;
    // Part of a stripe is never left behind.
    bool loaded = false;
    try {
        loaded = load_(number);
        if (loaded && replayed_) (void)sweep_unbound(number);
    } catch (...) {
        drop_stripe(number);
        throw;
    }
    state.presence = loaded ? Presence::there : Presence::lost;
    if (!loaded) {
        drop_stripe(number);
        lost_.fetch_add(1, std::memory_order_acq_rel);
    }
    waiting_.fetch_sub(1, std::memory_order_acq_rel);
    return loaded;
}

bool Keyspace::mend(Stripe number, Keyspace& from) {
    auto& state = stripes_[number];
    ensure(state.presence == Presence::lost, "what is mended is lost");
    const auto kids = from.kids();
    for (const auto kid : kids) {
        bool strays = false;
        from.find_space_of(kid)->stripes[number].for_each([&](const Entry& entry) {
            if (entry.type() != Type::string)
                strays = strays || entry.pointer<Object>()->oid.home() != number;
        });
        if (strays) return false;
    }
    for (const auto kid : kids) {
        auto& map = from.find_space_of(kid)->stripes[number];
        if (auto* space = find_space_of(kid)) {
            space->stripes[number].swap(map);
            continue;
        }
        // Nothing points there any more: its objects go below.
        map.for_each([](const Entry& entry) {
            if (entry.type() != Type::string) --entry.pointer<Object>()->keys;
        });
        map.clear();
    }
    std::swap(state.objects, from.stripes_[number].objects);
    (void)sweep_unbound(number);
    state.presence = Presence::there;
    lost_.fetch_sub(1, std::memory_order_acq_rel);
    return true;
}

// What was put in so far. Nobody has seen it, and what leads from here leads within the stripe.
void Keyspace::drop_stripe(Stripe number) {
    {
        const std::lock_guard guard(spaces_mutex_);
        for (const auto& [kid, space] : spaces_) space->stripes[number].clear();
    }
    stripes_[number].objects.reset();
}

// Of clients', and where something is parked.
template <class Visit>
void Keyspace::for_each_database(Visit&& visit) const {
    const auto end = databases_end();
    for (std::uint32_t database = 0; database < end; ++database) visit(database);
    for (auto database = kParkedFirst; database < kDatabasesMax; ++database) visit(database);
}

void Keyspace::end_behind(std::uint32_t database) {
    if (database < kParkedFirst && databases_end() <= database)
        databases_end_.store(database + 1, std::memory_order_release);
}

Space& Keyspace::space_of(std::uint32_t database) {
    ensure(database < kDatabasesMax, "a database number is in range");
    auto* space = databases_[database].load(std::memory_order_acquire);
    if (space != nullptr) return *space;
    (void)space_of_kid(database);
    space = databases_[database].load(std::memory_order_acquire);
    ensure(space != nullptr, "a database points somewhere once its own space was made");
    return *space;
}

Keyspace::Counts Keyspace::counts_of(std::uint32_t database) const {
    // A space retires, and is freed, under this mutex, after no database points at it any more.
    const std::lock_guard guard(spaces_mutex_);
    const auto* space = find_space(database);
    if (space == nullptr) return {};
    return {.keys = space->keys.load(std::memory_order_relaxed),
            .expires = space->expires.load(std::memory_order_relaxed)};
}

Space& Keyspace::space_of_kid(Kid kid) {
    const std::lock_guard guard(spaces_mutex_);
    auto& space = spaces_[kid];
    if (space != nullptr) return *space;
    space = std::make_unique<Space>(kid);
    if (kid < kDatabasesMax) {
        end_behind(kid);
        // Unless the database points elsewhere already, and that stands.
        Space* nowhere = nullptr;
        databases_[kid].compare_exchange_strong(nowhere, space.get(), std::memory_order_acq_rel);
    }
    return *space;
}

Space& Keyspace::cached_space(Kid kid) {
    if (last_space_ == nullptr || last_space_->kid != kid) last_space_ = &space_of_kid(kid);
    return *last_space_;
}

Keyspace::Known Keyspace::know(const Record& record) {
    Known known{.tag = hasher.tag(record.key)};
    switch (record.kind) {
        case Kind::object:
        case Kind::element:
        case Kind::element_gone:
        case Kind::patch:
            known.stripe = record.oid.home();
            break;
        case Kind::catalog:
            last_space_ = nullptr;
            break;
        default:
            known.stripe = stripe_of(record.key);
            known.space = &cached_space(record.kid);
    }
    return known;
}

void Keyspace::replay(const Record& record, const Place& place, const Known& known) {
    apply(record, place, known);
    // There is no worker yet, and a log may hold any number of these.
    if (record.kind == Kind::catalog)
        while (release_some()) {
        }
}

bool Keyspace::fetch_for(const Record& record, const Known& known) {
    switch (record.kind) {
        case Kind::catalog:
        case Kind::mark:
        case Kind::erased:
            return true;
        case Kind::bind:
            return fetch(known.stripe) && fetch(record.oid.home());
        default:
            return fetch(known.stripe);
    }
}

void Keyspace::apply(const Record& record, const Place& place, const Known& known) {
    // A session has seen to that; a start that meets what is lost begins again without the image.
    if (!fetch_for(record, known)) return;
    switch (record.kind) {
        case Kind::string:
            return put_string(*known.space, record, place, known.tag, known.stripe);
        case Kind::tombstone:
            return remove(*known.space, known.tag, known.stripe, place.lsn, false);
        case Kind::unbind:
            return remove(*known.space, known.tag, known.stripe, place.lsn, true);
        case Kind::expiry:
            return set_expiry(*known.space, record, place, known.tag, known.stripe);
        case Kind::bind:
            return bind(*known.space, record, place, known.tag, known.stripe);
        case Kind::object:
            if (!record.value.empty())
                (void)find_or_make(record.oid, static_cast<Type>(record.value[0]));
            return;
        case Kind::element:
        case Kind::element_gone:
        case Kind::patch:
            if (auto* object = find_object(record.oid)) {
                std::visit(
                    [&](auto& body) { body.apply(record, place.address, place.bytes, known.tag); },
                    object->body);
                object->last_change = place.lsn;
            }
            return;
        case Kind::catalog:
            return point_database(record, place.lsn);
        case Kind::mark:
        case Kind::erased:
            return;
    }
}

void Keyspace::put_string(Space& space, const Record& record, const Place& place, Tag tag,
                          Stripe number) {
    auto& map = space.stripes[number];
    auto* entry = map.find(tag);
    if (entry == nullptr) {
        entry = &map.insert(tag);
        space.keys.fetch_add(1, std::memory_order_relaxed);
        stripes_[number].last_change = place.lsn;
    } else {
        if (entry->type() != Type::string) let_go(*entry->pointer<Object>(), space, number);
        if (entry->expires() && !record.has(RecordFlags::has_expiry) &&
            !planted("expiry_outlives_its_value")) {
            map.drop_expiry(tag);
            space.expires.fetch_sub(1, std::memory_order_relaxed);
        }
    }
    entry->point_at(Type::string, place.address, place.bytes);
    if (!record.has(RecordFlags::has_expiry)) return;
    if (!entry->expires()) space.expires.fetch_add(1, std::memory_order_relaxed);
    map.set_expiry(tag, record.expires_ms, {});
}

void Keyspace::bind(Space& space, const Record& record, const Place& place, Tag tag,
                    Stripe number) {
    auto* object = record.value.empty()
                       ? find_object(record.oid)
                       : find_or_make(record.oid, static_cast<Type>(record.value[0]));
    if (object == nullptr) return;
    auto& map = space.stripes[number];
    auto* entry = map.find(tag);
    const bool led_here =
        entry != nullptr && entry->type() != Type::string && entry->pointer<Object>() == object;
    if (!led_here) lead_to(*object, space, number);
    if (entry == nullptr) {
        entry = &map.insert(tag);
        space.keys.fetch_add(1, std::memory_order_relaxed);
        stripes_[number].last_change = place.lsn;
    } else {
        if (entry->type() != Type::string && !led_here)
            let_go(*entry->pointer<Object>(), space, number);
        if (entry->expires() && !record.has(RecordFlags::has_expiry)) {
            map.drop_expiry(tag);
            space.expires.fetch_sub(1, std::memory_order_relaxed);
        }
    }
    // One from a page imaged later may be known already, while a checkpoint's log is replayed.
    if (place.lsn >= object->binding_lsn) {
        object->binding = place.address;
        object->binding_bytes = static_cast<std::uint32_t>(place.bytes);
        object->binding_lsn = place.lsn;
        object->key_check = tag.check;
    }
    entry->point_at(object->type, object);
    if (!record.has(RecordFlags::has_expiry)) return;
    if (!entry->expires()) space.expires.fetch_add(1, std::memory_order_relaxed);
    map.set_expiry(tag, record.expires_ms, {});
}

void Keyspace::remove(Space& space, Tag tag, Stripe number, Lsn lsn, bool keep_object) {
    auto& map = space.stripes[number];
    auto* entry = map.find(tag);
    if (entry == nullptr) return;
    if (entry->type() != Type::string)
        let_go(*entry->pointer<Object>(), space, number, keep_object);
    if (entry->expires()) space.expires.fetch_sub(1, std::memory_order_relaxed);
    map.erase(tag);
    space.keys.fetch_sub(1, std::memory_order_relaxed);
    stripes_[number].last_change = lsn;
}

void Keyspace::set_expiry(Space& space, const Record& record, const Place& place, Tag tag,
                          Stripe number) {
    auto& map = space.stripes[number];
    auto* entry = map.find(tag);
    if (entry == nullptr) return;
    if (record.has(RecordFlags::has_expiry)) {
        if (!entry->expires()) space.expires.fetch_add(1, std::memory_order_relaxed);
        map.set_expiry(tag, record.expires_ms, place.lsn);
    } else if (entry->expires()) {
        map.drop_expiry(tag);
        space.expires.fetch_sub(1, std::memory_order_relaxed);
        stripes_[number].last_persist = place.lsn;
    }
}

void Keyspace::point_database(const Record& record, Lsn lsn) {
    last_pointing_ = lsn;
    const auto bytes = as_bytes(record.key);
    if (bytes.size() % sizeof(Pointing) != 0) return;
    std::vector<Space*> old;
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(Pointing)) {
        const auto pointing = load<Pointing>(bytes.data() + at);
        if (pointing.database >= kDatabasesMax) continue;
        auto next = next_kid_.load();
        while (pointing.kid >= next && !next_kid_.compare_exchange_weak(next, pointing.kid + 1)) {
        }
        old.push_back(&space_of(pointing.database));
        databases_[pointing.database].store(&space_of_kid(pointing.kid), std::memory_order_release);
    }
    if (planted("flush_keeps_the_old_keys")) return;
    for (auto* space : old) retire_if_unused(*space);
}

// No database points at it any more: its memory goes, its records are garbage.
void Keyspace::retire_if_unused(Space& space) {
    bool used = false;
    for_each_database(
        [&](std::uint32_t database) { used = used || find_space(database) == &space; });
    if (used) return;
    const std::lock_guard guard(spaces_mutex_);
    const auto found = spaces_.find(space.kid);
    if (found == spaces_.end()) return;
    retired_.push_back(std::move(found->second));
    spaces_.erase(found);
}

Object* Keyspace::find_object(Oid oid) {
    auto& objects = stripes_[oid.home()].objects;
    return objects == nullptr ? nullptr : objects->find(oid);
}

Object* Keyspace::find_or_make(Oid oid, Type type) {
    if (auto* found = find_object(oid)) return found;
    auto object = make_object(oid, type);
    if (object == nullptr) return nullptr;
    auto& objects = stripes_[oid.home()].objects;
    if (objects == nullptr) objects = std::make_unique<ObjectMap>();
    return &objects->add(std::move(object));
}

std::optional<Spot> Keyspace::spot_of(const Record& record) const {
    Spot spot{.kind = record.kind, .kid = record.kid, .oid = record.oid};
    switch (record.kind) {
        case Kind::string:
        case Kind::bind:
            spot.tag = hasher.tag(record.key);
            spot.stripe = stripe_of(record.key);
            return spot;
        case Kind::element:
        case Kind::patch:
            spot.tag = hasher.tag(record.key);
            spot.stripe = record.oid.home();
            spot.position = BigString::position(record, spot.tag);
            return spot;
        default:
            return std::nullopt;
    }
}

void Keyspace::fetch_ahead(std::span<const Spot> spots) const {
    // What each step fetches the next one reads.
    for (const auto& spot : spots) {
        __builtin_prefetch(&stripes_[spot.stripe], 1);
        if (const auto* space = find_space_of(spot.kid))
            __builtin_prefetch(space->stripes + spot.stripe);
    }
    const auto each = [&](auto&& step) {
        for (const auto& spot : spots) {
            if (spot.kind != Kind::string && spot.kind != Kind::bind) continue;
            auto& lock = stripes_[spot.stripe].lock;
            if (!lock.try_lock()) continue;
            if (const auto* space = find_space_of(spot.kid))
                step(space->stripes[spot.stripe], spot.tag);
            lock.unlock();
        }
    };
    each([](const TagMap& map, Tag tag) { map.prefetch_page(tag); });
    each([](const TagMap& map, Tag tag) { map.prefetch_slot(tag); });
}

bool Keyspace::move(const Spot& spot, Address from, Address to) {
    const std::lock_guard guard(stripes_[spot.stripe].lock);
    ensure(stripes_[spot.stripe].presence == Presence::there,
           "records move when every stripe is there");
    if (spot.kind == Kind::element || spot.kind == Kind::patch) {
        auto* object = find_object(spot.oid);
        return object != nullptr &&
               std::visit([&](auto& body) { return body.move(spot.tag, spot.position, from, to); },
                          object->body);
    }
    const auto* space = find_space_of(spot.kid);
    auto* entry = space == nullptr ? nullptr : space->stripes[spot.stripe].find(spot.tag);
    if (entry == nullptr || (entry->type() == Type::string) != (spot.kind == Kind::string))
        return false;
    if (spot.kind == Kind::string) {
        if (entry->address() != from && !planted("relocation_undoes_a_write")) return false;
        entry->move_to(to);
        return true;
    }
    // Whoever binds it anew holds this stripe, for this key leads there now.
    auto& binding = entry->pointer<Object>()->binding;
    if (binding != from) return false;
    binding = to;
    return true;
}

void Keyspace::count_stray(Space& space, int by) {
    space.strays.fetch_add(by, std::memory_order_relaxed);
    strays_.fetch_add(by, std::memory_order_relaxed);
}

void Keyspace::lead_to(Object& object, Space& space, Stripe bound_in) {
    ++object.keys;
    if (object.oid.home() != bound_in) count_stray(space, 1);
}

// Where two keys lead to the object the record that comes is a RENAME's own unbind: any other would
// have ended the object before it led to the second one.
void Keyspace::let_go(Object& object, Space& space, Stripe bound_in, bool keep) {
    ensure(object.keys != 0, "who leads to an object is counted");
    --object.keys;
    if (object.oid.home() != bound_in) count_stray(space, -1);
    if (object.keys == 0 && (!keep || planted("object_goes_with_its_name")))
        stripes_[object.oid.home()].objects->erase(object.oid);
}

std::size_t Keyspace::sweep_unbound() {
    replayed_ = true;
    std::size_t swept = 0;
    for (std::uint32_t i = 0; i < kStripes; ++i) swept += sweep_unbound(static_cast<Stripe>(i));
    return swept;
}

std::size_t Keyspace::sweep_unbound(Stripe number) {
    const auto& objects = stripes_[number].objects;
    if (objects == nullptr) return 0;
    std::vector<Oid> unbound;
    objects->for_each([&](const Object& object) {
        if (!object.bound()) unbound.push_back(object.oid);
    });
    for (const auto oid : unbound) objects->erase(oid);
    return unbound.size();
}

std::vector<Kid> Keyspace::kids() const {
    std::vector<Kid> found;
    const std::lock_guard guard(spaces_mutex_);
    found.reserve(spaces_.size());
    for (const auto& [kid, space] : spaces_) found.push_back(kid);
    std::ranges::sort(found);
    return found;
}

Space* Keyspace::find_space_of(Kid kid) const {
    const std::lock_guard guard(spaces_mutex_);
    const auto found = spaces_.find(kid);
    return found == spaces_.end() ? nullptr : found->second.get();
}

std::vector<Keyspace::Pointing> Keyspace::pointings() const {
    std::vector<Pointing> found;
    for_each_database([&](std::uint32_t database) {
        if (const auto* space = find_space(database))
            found.push_back({.database = database, .kid = space->kid});
    });
    return found;
}

void Keyspace::load_catalog(std::span<const Pointing> pointings, Kid next_kid) {
    for (const auto& pointing : pointings) {
        databases_[pointing.database].store(&space_of_kid(pointing.kid), std::memory_order_release);
        end_behind(pointing.database);
    }
    next_kid_.store(std::max(next_kid, next_kid_.load()));
}

void Keyspace::load_binding(Space& space, Stripe number, Entry entry, Oid oid, Lsn lsn,
                            std::uint32_t bytes) {
    auto* object = find_or_make(oid, entry.type());
    auto* place = space.stripes[number].find(entry.tag());
    ensure(object != nullptr && place != nullptr, "a binding that is loaded was looked at before");
    lead_to(*object, space, number);
    if (lsn >= object->binding_lsn) {
        object->binding = entry.address();
        object->binding_bytes = bytes;
        object->binding_lsn = lsn;
        object->key_check.reset();  // an image has addresses, not keys
    }
    place->point_at(object->type, object);
}

void Keyspace::retire_unused() {
    std::vector<Space*> found;
    {
        const std::lock_guard guard(spaces_mutex_);
        for (const auto& [kid, space] : spaces_) found.push_back(space.get());
    }
    for (auto* space : found) retire_if_unused(*space);
    while (release_some()) {
    }
    last_space_ = nullptr;
}

bool Keyspace::release_some() {
    Space* space = nullptr;
    {
        const std::lock_guard guard(spaces_mutex_);
        if (retired_.empty()) return false;
        // The oldest, so that more of them meanwhile do not change which one is half done.
        space = retired_.front().get();
    }
    for (int slice = 0; slice < 256 && retired_stripe_ < kStripes; ++slice, ++retired_stripe_) {
        const auto number = static_cast<Stripe>(retired_stripe_);
        auto& map = space->stripes[number];
        if (map.size() == 0) continue;
        // Nobody reaches a retired space any more: only its objects stand among others', in the
        // stripes that are their homes, and those are locked for one object at a time.
        map.for_each([&](const Entry& entry) {
            if (entry.type() == Type::string) return;
            auto& object = *entry.pointer<Object>();
            const std::lock_guard guard(stripes_[object.oid.home()].lock);
            let_go(object, *space, number);
        });
        map.clear();
    }
    if (retired_stripe_ == kStripes) {
        retired_stripe_ = 0;
        const std::lock_guard guard(spaces_mutex_);
        std::erase_if(retired_, [&](const auto& item) { return item.get() == space; });
    }
    return true;
}

void Keyspace::watch(Watch& watch) {
    auto& head = stripes_[watch.stripe].watches;
    watch.next = head;
    watch.before = &head;
    if (head != nullptr) head->before = &watch.next;
    head = &watch;
}

void Keyspace::unwatch(Watch& watch) {
    const std::lock_guard guard(stripes_[watch.stripe].lock);
    unwatch_locked(watch);
}

void Keyspace::unwatch_locked(Watch& watch) {
    *watch.before = watch.next;
    if (watch.next != nullptr) watch.next->before = watch.before;
    watch.next = nullptr;
    watch.before = nullptr;
}

void Keyspace::touch(std::uint32_t database, Tag tag, Stripe number) {
    for (auto* watch = stripes_[number].watches; watch != nullptr; watch = watch->next)
        if (watch->database == database && watch->tag == tag)
            watch->touched->store(true, std::memory_order_relaxed);
}

void Keyspace::touch_all(std::uint32_t database, const Space& now, const Space& then) {
    for (std::uint32_t i = 0; i < kStripes; ++i)
        for (auto* watch = stripes_[i].watches; watch != nullptr; watch = watch->next)
            if (watch->database == database && (now.stripes[i].find(watch->tag) != nullptr ||
                                                then.stripes[i].find(watch->tag) != nullptr))
                watch->touched->store(true, std::memory_order_relaxed);
}

std::size_t Keyspace::memory_bytes() const {
    std::size_t bytes = 0;
    for (std::uint32_t i = 0; i < kStripes; ++i) {
        const std::lock_guard guard(stripes_[i].lock);
        // Under a stripe's lock no database is pointed elsewhere.
        for_each_database([&](std::uint32_t database) {
            if (const auto* space = find_space(database)) bytes += space->stripes[i].memory_bytes();
        });
        if (stripes_[i].objects == nullptr) continue;
        bytes += stripes_[i].objects->memory_bytes();
        stripes_[i].objects->for_each([&](const Object& object) {
            bytes += sizeof(Object) +
                     std::visit([](const auto& body) { return body.memory_bytes(); }, object.body);
        });
    }
    return bytes + kTouchedPage;
}

}  // namespace firnlog::engine
