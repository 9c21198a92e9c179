#include "engine/index/keyspace.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace firnlog::engine {
namespace {

// Zero pages until they are touched: an empty store is small.
template <class T>
T* map_array(std::size_t count) {
    void* at = ::mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
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

Keyspace::Keyspace(const Hasher::Secret& secret)
    : hasher(secret),
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
        if (databases_end() <= kid) databases_end_.store(kid + 1, std::memory_order_release);
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

void Keyspace::apply(const Record& record, const Place& place, const Known& known) {
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
            if (!record.value.empty() && find_object(record.oid) == nullptr)
                (void)make(record.oid, static_cast<Type>(record.value[0]));
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
        if (entry->type() != Type::string) free_object(*entry->pointer<Object>(), space, number);
        if (entry->expires() && !record.has(RecordFlags::has_expiry)) {
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
    auto* object = find_object(record.oid);
    if (object == nullptr && !record.value.empty())
        object = make(record.oid, static_cast<Type>(record.value[0]));
    if (object == nullptr) return;
    auto& map = space.stripes[number];
    auto* entry = map.find(tag);
    if (entry == nullptr) {
        entry = &map.insert(tag);
        space.keys.fetch_add(1, std::memory_order_relaxed);
        stripes_[number].last_change = place.lsn;
    } else {
        if (entry->type() != Type::string && entry->pointer<Object>() != object)
            free_object(*entry->pointer<Object>(), space, number);
        if (entry->expires() && !record.has(RecordFlags::has_expiry)) {
            map.drop_expiry(tag);
            space.expires.fetch_sub(1, std::memory_order_relaxed);
        }
    }
    if (!object->bound && record.oid.home() != number) count_stray(space, 1);
    object->bound = true;
    object->binding = place.address;
    object->binding_bytes = static_cast<std::uint32_t>(place.bytes);
    entry->point_at(object->type, object);
    if (!record.has(RecordFlags::has_expiry)) return;
    if (!entry->expires()) space.expires.fetch_add(1, std::memory_order_relaxed);
    map.set_expiry(tag, record.expires_ms, {});
}

void Keyspace::remove(Space& space, Tag tag, Stripe number, Lsn lsn, bool keep_object) {
    auto& map = space.stripes[number];
    auto* entry = map.find(tag);
    if (entry == nullptr) return;
    if (entry->type() != Type::string) {
        auto& object = *entry->pointer<Object>();
        if (keep_object) {
            if (object.oid.home() != number) count_stray(space, -1);
            object.bound = false;
        } else {
            free_object(object, space, number);
        }
    }
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
        map.set_expiry(tag, record.expires_ms, place.address);
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
    for (auto* space : old) retire_if_unused(*space);
}

// No database points at it any more: its memory goes, its records are garbage.
void Keyspace::retire_if_unused(Space& space) {
    for (std::uint32_t i = 0; i < databases_end(); ++i)
        if (find_space(i) == &space) return;
    const std::lock_guard guard(spaces_mutex_);
    const auto found = spaces_.find(space.kid);
    if (found == spaces_.end()) return;
    retired_.push_back(std::move(found->second));
    spaces_.erase(found);
}

Object* Keyspace::find_object(Oid oid) {
    auto& objects = stripes_[oid.home()].objects;
    if (objects == nullptr) return nullptr;
    const auto found = objects->find(oid.value);
    return found == objects->end() ? nullptr : found->second.get();
}

Object* Keyspace::make(Oid oid, Type type) {
    auto object = make_object(oid, type);
    if (object == nullptr) return nullptr;
    auto& objects = stripes_[oid.home()].objects;
    if (objects == nullptr)
        objects = std::make_unique<std::unordered_map<std::uint64_t, std::unique_ptr<Object>>>();
    auto& place = (*objects)[oid.value];
    place = std::move(object);
    return place.get();
}

void Keyspace::count_stray(Space& space, int by) {
    space.strays.fetch_add(by, std::memory_order_relaxed);
    strays_.fetch_add(by, std::memory_order_relaxed);
}

void Keyspace::free_object(Object& object, Space& space, Stripe bound_in) {
    const auto oid = object.oid;
    if (object.bound && oid.home() != bound_in) count_stray(space, -1);
    stripes_[oid.home()].objects->erase(oid.value);
}

std::size_t Keyspace::sweep_unbound() {
    std::size_t swept = 0;
    for (std::uint32_t i = 0; i < kStripes; ++i) {
        auto& objects = stripes_[i].objects;
        if (objects == nullptr) continue;
        swept += std::erase_if(*objects, [](const auto& item) { return !item.second->bound; });
    }
    return swept;
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
            free_object(object, *space, number);
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
        for (std::uint32_t database = 0; database < databases_end(); ++database)
            if (const auto* space = find_space(database)) bytes += space->stripes[i].memory_bytes();
        if (stripes_[i].objects == nullptr) continue;
        for (const auto& [oid, object] : *stripes_[i].objects)
            bytes += sizeof(Object) + 64 +
                     std::visit([](const auto& body) { return body.memory_bytes(); }, object->body);
    }
    return bytes + kTouchedPage;
}

}  // namespace firnlog::engine
