#include "engine/index/image.hpp"

#include <algorithm>
#include <mutex>

#include "engine/format/layouts.hpp"

namespace firnlog::engine {
namespace {

// Whole objects are taken together up to here; one that is longer by itself goes in pieces.
constexpr std::size_t kGroupBytes = std::size_t{48} << 10;
constexpr std::size_t kGroupObjects = 256;

constexpr std::size_t kKeysHeadBytes = sizeof(layouts::KeysHead);
constexpr std::size_t kEntryBytes = sizeof(layouts::KeyEntry);
constexpr std::size_t kExpiryBytes = sizeof(layouts::KeyExpiry);
constexpr std::size_t kBindingBytes = sizeof(layouts::KeyBinding);
constexpr std::size_t kObjectHeadBytes = sizeof(layouts::ObjectHead);
constexpr std::size_t kCatalogHeadBytes = sizeof(layouts::CatalogHead);
constexpr std::size_t kPointingBytes = sizeof(layouts::Pointing);
constexpr std::uint64_t kAtMask = (std::uint64_t{1} << 60) - 1;

template <class T>
std::byte* put(std::byte* at, T value) {
    store(at, value);
    return at + sizeof value;
}

[[nodiscard]] bool is_object_type(Type type) {
    switch (type) {
        case Type::big_string:
        case Type::hash:
            return true;
        default:
            return false;
    }
}

void name_all(const Object& object, std::vector<Named>& into) {
    std::visit(
        [&](const auto& body) {
            body.for_each([&](const auto& piece) {
                into.push_back({piece.address, piece.record_bytes});
            });
        },
        object.body);
}

// Its head, and the piece behind that.
std::uint64_t put_object(const Object& object, std::uint64_t from, std::vector<std::byte>& out) {
    const auto head = out.size();
    out.resize(head + kObjectHeadBytes);
    const auto next =
        std::visit([&](const auto& body) { return body.save(from, out); }, object.body);
    store(out.data() + head, layouts::ObjectHead{.oid = object.oid,
                                                 .type = static_cast<std::uint8_t>(object.type),
                                                 .length = out.size() - head - kObjectHeadBytes});
    return next;
}

}  // namespace

std::optional<PageImage> PageTaker::keys(Kid kid, Stripe stripe, std::uint64_t from) {
    entries_.clear();
    expiries_.clear();
    bindings_.clear();
    named_.clear();
    // Memory is taken before the lock, not under it.
    entries_.reserve(TagMap::kPageEntriesMax);
    PageImage page;
    bool in_order = false;
    {
        const std::lock_guard guard(keyspace_.stripe(stripe).lock);
        ensure(keyspace_.stripe(stripe).presence == Presence::there,
               "images are taken when every stripe is there");
        const auto* space = keyspace_.find_space_of(kid);
        if (space == nullptr) return std::nullopt;
        page.stamp = tail_.batch_end();
        const auto& map = space->stripes[stripe];
        in_order = map.linear();
        page.next = map.copy_page(from, entries_, expiries_);
        for (const auto& entry : entries_)
            if (entry.type() != Type::string) __builtin_prefetch(entry.pointer<Object>());
        for (auto& entry : entries_) {
            if (entry.type() == Type::string) continue;
            const auto& object = *entry.pointer<Object>();
            bindings_.push_back(
                {.oid = object.oid, .lsn = object.binding_lsn, .bytes = object.binding_bytes});
            entry.move_to(object.binding);
        }
    }
    if (entries_.empty()) return page;
    page.count = entries_.size();
    std::size_t object = 0;
    for (const auto& entry : entries_) {
        const bool plain = entry.type() == Type::string;
        named_.push_back({entry.address(), plain ? entry.size_hint() : bindings_[object++].bytes});
    }
    if (what_ == What::names) return page;
    page.expires = static_cast<std::uint32_t>(expiries_.size());
    for (const auto& binding : bindings_) page.strays += binding.oid.home() != stripe ? 1 : 0;
    page.bytes.resize(kKeysHeadBytes + entries_.size() * kEntryBytes +
                      expiries_.size() * kExpiryBytes + bindings_.size() * kBindingBytes);
    auto* at = page.bytes.data();
    at = put(at, layouts::KeysHead{.entries = static_cast<std::uint32_t>(entries_.size()),
                                   .expiries = static_cast<std::uint32_t>(expiries_.size()),
                                   .bindings = static_cast<std::uint32_t>(bindings_.size()),
                                   .in_order = in_order});
    for (const auto& entry : entries_)
        at = put(at, layouts::KeyEntry{.hash = entry.hash, .rest = entry.rest()});
    for (const auto& expiry : expiries_) {
        at = put(at,
                 layouts::KeyExpiry{.hash = expiry.tag.high,
                                    .rest = (std::uint64_t{expiry.tag.low} << 60) |
                                            (static_cast<std::uint64_t>(expiry.at_ms) & kAtMask)});
    }
    for (const auto& binding : bindings_) {
        at = put(at, layouts::KeyBinding{
                         .oid = binding.oid, .lsn = binding.lsn, .record_bytes = binding.bytes});
    }
    return page;
}

PageTaker::Objects PageTaker::objects(Stripe stripe, std::uint64_t from) {
    Objects taken;
    named_.clear();
    objects_.clear();
    auto& bytes = taken.page.bytes;
    bytes.reserve(2 * kGroupBytes);
    const std::lock_guard guard(keyspace_.stripe(stripe).lock);
    taken.page.stamp = tail_.batch_end();
    const auto& objects = keyspace_.stripe(stripe).objects;
    if (objects == nullptr) return taken;
    taken.page.next = objects->scan(from, kGroupObjects, objects_);
    for (const auto* object : objects_) __builtin_prefetch(object);
    for (std::size_t i = 0; i < objects_.size(); ++i) {
        const auto& object = *objects_[i];
        const auto begin = bytes.size();
        if (begin < kGroupBytes) {
            if (put_object(object, 0, bytes) == 0) {
                ++taken.page.count;
                name_all(object, named_);
                continue;
            }
            bytes.resize(begin);
            if (taken.page.count == 0) {
                taken.large = object.oid;
                taken.page.next = i + 1 < objects_.size()
                                      ? ObjectMap::place_of(objects_[i + 1]->oid)
                                      : taken.page.next;
                return taken;
            }
        }
        taken.page.next = ObjectMap::place_of(object.oid);
        break;
    }
    return taken;
}

PageTaker::Part PageTaker::part(Oid oid, std::uint64_t from) {
    Part taken;
    named_.clear();
    taken.page.bytes.reserve(2 * kGroupBytes);
    {
        const std::lock_guard guard(keyspace_.stripe(oid.home()).lock);
        taken.page.stamp = tail_.batch_end();
        const auto* object = keyspace_.find_object(oid);
        if (object == nullptr) return taken;
        taken.type = object->type;
        taken.page.next = put_object(*object, from, taken.page.bytes);
    }
    taken.page.count = 1;
    // Told of from the copy: a large object is not gone through under the lock.
    const Bytes piece = Bytes(taken.page.bytes).subspan(kObjectHeadBytes);
    const auto body = make_object(oid, taken.type);
    ensure(std::visit([&](auto& into) { return into.load(piece, Moves{}); }, body->body),
           "what was just saved can be loaded");
    name_all(*body, named_);
    return taken;
}

PageTaker::Catalog PageTaker::catalog() {
    Catalog taken;
    named_.clear();
    Kid next_kid = 0;
    {
        // It changes under all locks, so that any one of them holds it still.
        const std::lock_guard guard(keyspace_.stripe(0).lock);
        taken.page.stamp = tail_.batch_end();
        taken.pointings = keyspace_.pointings();
        next_kid = keyspace_.next_kid();
    }
    taken.page.count = taken.pointings.size();
    taken.page.bytes.resize(kCatalogHeadBytes + taken.pointings.size() * kPointingBytes);
    auto* at = taken.page.bytes.data();
    at = put(at, layouts::CatalogHead{.next_kid = next_kid});
    for (const auto& pointing : taken.pointings)
        at = put(at, layouts::Pointing{.database = pointing.database, .kid = pointing.kid});
    return taken;
}

bool PageLoader::catalog(Bytes blob) {
    if (blob.size() < kCatalogHeadBytes || (blob.size() - kCatalogHeadBytes) % kPointingBytes != 0)
        return false;
    std::vector<Keyspace::Pointing> pointings;
    for (std::size_t at = kCatalogHeadBytes; at < blob.size(); at += kPointingBytes) {
        const auto pointing = load<layouts::Pointing>(blob.data() + at);
        if (pointing.database >= kDatabasesMax) return false;
        pointings.push_back({.database = pointing.database, .kid = pointing.kid});
    }
    keyspace_.load_catalog(pointings, load<layouts::CatalogHead>(blob.data()).next_kid);
    return true;
}

bool PageLoader::keys(Bytes blob, Kid kid, Stripe stripe) {
    auto* found = keyspace_.find_space_of(kid);
    if (found == nullptr) return true;
    auto& space = *found;
    if (blob.size() < kKeysHeadBytes) return false;
    const auto head = load<layouts::KeysHead>(blob.data());
    const std::size_t count = head.entries;
    const std::size_t expiring = head.expiries;
    const std::size_t bound = head.bindings;
    const bool in_order = head.in_order != 0;
    if (blob.size() !=
        kKeysHeadBytes + count * kEntryBytes + expiring * kExpiryBytes + bound * kBindingBytes)
        return false;
    std::vector<Entry> entries;
    entries.reserve(count);
    std::size_t expires = 0;
    std::size_t objects = 0;
    const auto* at = blob.data() + kKeysHeadBytes;
    for (std::size_t i = 0; i < count; ++i, at += kEntryBytes) {
        const auto halves = load<layouts::KeyEntry>(at);
        auto entry = Entry::from_halves(halves.hash, halves.rest);
        if (entry.empty()) return false;
        if (entry.type() != Type::string && !is_object_type(entry.type())) return false;
        entry.move_to(moves_(entry.address()));
        expires += entry.expires() ? 1 : 0;
        objects += entry.type() != Type::string ? 1 : 0;
        entries.push_back(entry);
    }
    if (expires != expiring || objects != bound) return false;
    auto& map = space.stripes[stripe];
    map.fill(entries, in_order);
    if (counts_) {
        space.keys.fetch_add(static_cast<std::int64_t>(count), std::memory_order_relaxed);
        space.expires.fetch_add(static_cast<std::int64_t>(expiring), std::memory_order_relaxed);
    }
    for (std::size_t i = 0; i < expiring; ++i, at += kExpiryBytes) {
        const auto expiry = load<layouts::KeyExpiry>(at);
        const Tag tag{.high = expiry.hash, .low = static_cast<std::uint8_t>(expiry.rest >> 60)};
        const auto* entry = map.find(tag);
        if (entry == nullptr || !entry->expires()) return false;
        map.set_expiry(tag, static_cast<std::int64_t>(expiry.rest & kAtMask), {});
    }
    for (const auto& entry : entries) {
        if (entry.type() == Type::string) continue;
        const auto binding = load<layouts::KeyBinding>(at);
        const auto* known = keyspace_.find_object(binding.oid);
        if (known != nullptr && known->type != entry.type()) return false;
        keyspace_.load_binding(space, stripe, entry, binding.oid, binding.lsn,
                               static_cast<std::uint32_t>(binding.record_bytes));
        at += kBindingBytes;
    }
    return true;
}

bool PageLoader::objects(Bytes blob, Stripe stripe) {
    while (!blob.empty()) {
        if (blob.size() < kObjectHeadBytes) return false;
        const auto head = load<layouts::ObjectHead>(blob.data());
        blob = blob.subspan(kObjectHeadBytes);
        if (head.oid.home() != stripe || head.type > 255 || head.length > blob.size()) return false;
        auto* object = keyspace_.find_or_make(head.oid, static_cast<Type>(head.type));
        if (object == nullptr || object->type != static_cast<Type>(head.type)) return false;
        if (!std::visit([&](auto& body) { return body.load(blob.first(head.length), moves_); },
                        object->body))
            return false;
        blob = blob.subspan(head.length);
    }
    return true;
}

}  // namespace firnlog::engine
