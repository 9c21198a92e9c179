#include "engine/ops/keys.hpp"

#include <algorithm>
#include <mutex>

#include "engine/engine.hpp"
#include "engine/ops/hashes.hpp"
#include "engine/ops/strings.hpp"

namespace firnlog::engine::keys {
namespace {

constexpr unsigned kHashBits = 50;

// Selects a database for as long as it lives.
class Selected {
  public:
    Selected(Session& session, std::uint32_t database)
        : session_(session), before_(session.database()) {
        session_.select(database);
    }
    ~Selected() { session_.select(before_); }
    Selected(const Selected&) = delete;
    Selected& operator=(const Selected&) = delete;

  private:
    Session& session_;
    const std::uint32_t before_;
};

// A stripe's lock, unless the session holds all of them.
class Locked {
  public:
    Locked(Session& session, Keyspace::StripeState& stripe)
        : lock_(session.holds_all() ? nullptr : &stripe.lock) {
        if (lock_ != nullptr) lock_->lock();
    }
    ~Locked() {
        if (lock_ != nullptr) lock_->unlock();
    }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

  private:
    TinyLock* const lock_;
};

// The key that an entry belongs to, from its record. An object's binding is changed under the lock
// of its key's stripe, which is the one that is held.
Expected<std::string> name_of(Session& session, const Entry& entry) {
    if (entry.type() == Type::string) return session.read_key(entry.address(), entry.size_hint());
    const auto* object = entry.pointer<Object>();
    return session.read_key(object->binding, object->binding_bytes);
}

bool due(const TagMap& map, const Entry& entry, std::int64_t now_ms) {
    if (!entry.expires()) return false;
    const auto* expiry = map.expiry(entry.tag());
    return expiry != nullptr && expiry->at_ms <= now_ms;
}

Expected<void> copy_hash(Session& session, const Item& item, std::string_view to,
                         std::uint32_t database) {
    const auto pairs = hashes::all(session, item);
    if (!pairs) return tl::unexpected(pairs.error());
    const auto cost = hashes::cost_of(*pairs);
    if (auto room = session.reserve(to.size() + cost.bytes, cost.records + 1); !room) return room;
    const Selected selected(session, database);
    const auto oid = session.make_oid(to);
    session.bind(to, oid, Type::hash, item.expires_ms);
    hashes::put(session, oid, *pairs);
    return {};
}

}  // namespace

Expected<std::vector<std::string_view>> remove(Session& session,
                                               std::span<const std::string_view> keys) {
    std::vector<std::string_view> there;
    std::size_t bytes = 0;
    for (const auto key : keys) {
        const auto item = session.look(key);
        if (!item) return tl::unexpected(item.error());
        if (!*item) continue;
        there.push_back(key);
        bytes += key.size();
    }
    if (there.empty()) return there;
    const auto room = there.size() == 1 ? session.reserve_only(bytes, true)
                                        : session.reserve(bytes, there.size(), true);
    if (!room) return tl::unexpected(room.error());
    // A key that was named twice is there once.
    std::erase_if(there, [&](std::string_view key) {
        const auto item = session.look(key);
        ensure(item.has_value(), "what was live stays live within a session");
        if (*item) session.remove(key);
        return !item->has_value();
    });
    return there;
}

Expected<bool> remove(Session& session, std::string_view key) {
    const auto gone = remove(session, std::span(&key, 1));
    if (!gone) return tl::unexpected(gone.error());
    return !gone->empty();
}

Expected<bool> set_expiry(Session& session, std::string_view key, std::int64_t expires_ms) {
    const auto item = session.look(key);
    if (!item) return tl::unexpected(item.error());
    if (!*item) return false;
    if (expires_ms < 0 && !(*item)->expires()) return true;
    if (auto room = session.reserve_only(key.size(), true); !room)
        return tl::unexpected(room.error());
    if (expires_ms >= 0 && expires_ms <= session.now_ms())
        session.remove(key);
    else
        session.set_expiry(key, expires_ms);
    return true;
}

Expected<void> rename(Session& session, std::string_view from, std::string_view to) {
    const auto item = session.look(from);
    if (!item) return tl::unexpected(item.error());
    ensure(item->has_value(), "what is renamed is there");
    if (from == to) return {};
    if ((*item)->type == Type::string) {
        const auto value = strings::get(session, **item);
        if (!value) return tl::unexpected(value.error());
        if (auto room = session.reserve(from.size() + to.size() + value->size(), 2); !room)
            return room;
        session.put(to, *value, (*item)->expires_ms);
        session.remove(from);
        return {};
    }
    if (auto room = session.reserve(from.size() + to.size(), 2); !room) return room;
    const auto oid = (*item)->object->oid;
    session.unbind(from);
    session.bind(to, oid, (*item)->type, (*item)->expires_ms);
    return {};
}

Expected<void> move(Session& session, std::string_view key, std::uint32_t database) {
    const auto item = session.look(key);
    if (!item) return tl::unexpected(item.error());
    ensure(item->has_value(), "what is moved is there");
    if ((*item)->type == Type::string) {
        const auto value = strings::get(session, **item);
        if (!value) return tl::unexpected(value.error());
        if (auto room = session.reserve(2 * key.size() + value->size(), 2); !room) return room;
        session.remove(key);
        const Selected selected(session, database);
        session.put(key, *value, (*item)->expires_ms);
        return {};
    }
    if (auto room = session.reserve(2 * key.size(), 2); !room) return room;
    const auto oid = (*item)->object->oid;
    session.unbind(key);
    const Selected selected(session, database);
    session.bind(key, oid, (*item)->type, (*item)->expires_ms);
    return {};
}

Expected<void> copy(Session& session, std::string_view from, std::string_view to,
                    std::uint32_t database) {
    const auto item = session.look(from);
    if (!item) return tl::unexpected(item.error());
    ensure(item->has_value(), "what is copied is there");
    if ((*item)->type == Type::hash) return copy_hash(session, **item, to, database);
    const auto value = strings::get(session, **item);
    if (!value) return tl::unexpected(value.error());
    const Selected selected(session, database);
    return strings::set(session, to, *value, (*item)->expires_ms);
}

std::size_t held_bytes(const Item& item) {
    constexpr std::size_t kOverhead = 64;
    if (item.type == Type::string) return item.size_hint + kOverhead;
    if (item.type == Type::big_string) {
        const auto& big = std::get<BigString>(item.object->body);
        return big.size() + (big.size() / BigString::kChunkBytes + 2) * kOverhead;
    }
    std::size_t bytes = kOverhead;
    std::get<HashBody>(item.object->body).for_each([&](const HashBody::Piece& piece) {
        bytes += piece.record_bytes + kOverhead;
    });
    return bytes;
}

Expected<Scanned> scan(Engine& engine, Session& session, std::uint32_t database,
                       std::uint64_t cursor, std::size_t count) {
    // A stripe may hold all keys there are: others are let in after so many.
    constexpr std::size_t kLockedMax = 256;
    Scanned scanned;
    auto& keyspace = engine.keyspace();
    auto number = static_cast<std::uint32_t>(cursor >> kHashBits);
    auto hash = cursor << (64 - kHashBits);
    std::size_t seen = 0;
    bool cold = false;
    std::vector<Entry*> entries;
    if (keyspace.counts_of(database).keys == 0) number = kStripes;
    while (number < kStripes && seen < count) {
        const Locked locked(session, keyspace.stripe(static_cast<Stripe>(number)));
        if (!keyspace.fetch(static_cast<Stripe>(number))) return tl::unexpected(why_lost(keyspace));
        const auto& map = keyspace.space_of(database).stripes[number];
        entries.clear();
        auto next = map.scan(hash, std::min(count - seen, kLockedMax), entries);
        // A cursor holds the hash's first bits alone: what shares them with the next entry must
        // come along now, or it would come twice or never.
        while (next != 0 && !entries.empty() &&
               next >> (64 - kHashBits) == entries.back()->hash >> (64 - kHashBits)) {
            const auto from = next;
            next = map.scan(from, 1, entries);
        }
        for (const auto* entry : entries) {
            if (due(map, *entry, engine.now.ms())) continue;
            ++seen;
            auto name = name_of(session, *entry);
            if (name)
                scanned.keys.push_back({.key = std::move(*name), .type = entry->type()});
            else if (name.error() == Stop::cold)
                cold = true;  // what else is cold is found out at once
            else if (name.error() != Stop::corrupt)
                return tl::unexpected(name.error());
        }
        hash = next >> (64 - kHashBits) << (64 - kHashBits);
        if (next == 0) ++number;
    }
    if (cold) return tl::unexpected(Stop::cold);
    if (number < kStripes)
        scanned.cursor = std::uint64_t{number} << kHashBits | hash >> (64 - kHashBits);
    // Behind everything that was seen on the way.
    session.saw_everything();
    return scanned;
}

Expected<std::optional<std::string>> random(Engine& engine, Session& session,
                                            std::uint32_t database, std::uint64_t dice) {
    auto& keyspace = engine.keyspace();
    const auto keys = keyspace.counts_of(database).keys;
    if (keys <= 0) {
        session.saw_everything();
        return std::nullopt;
    }
    const auto throw_again = [&dice] {
        dice = dice * 6364136223846793005U + 1442695040888963407U;
        return (dice ^ dice >> 29) * 0xbf58476d1ce4e5b9U;
    };
    // Where keys are many a stripe is a fair choice; where they are few they are counted off. A key
    // that is due is none, so there are a few tries; the last one takes the first that is live.
    constexpr int kTries = 8;
    for (int tries = 0; tries <= kTries; ++tries) {
        const bool many = keys > kStripes && tries < kTries;
        auto left = many ? 0 : throw_again() % static_cast<std::uint64_t>(keys);
        std::uint32_t number = many ? static_cast<std::uint32_t>(throw_again() >> 50) : 0;
        for (std::uint32_t seen = 0; seen < kStripes; ++seen, number = (number + 1) % kStripes) {
            const Locked locked(session, keyspace.stripe(static_cast<Stripe>(number)));
            if (!keyspace.fetch(static_cast<Stripe>(number)))
                return tl::unexpected(why_lost(keyspace));
            const auto& map = keyspace.space_of(database).stripes[number];
            if (map.size() == 0) continue;
            if (tries < kTries && left >= map.size()) {
                left -= map.size();
                continue;
            }
            const Entry* chosen = map.random(throw_again());
            if (due(map, *chosen, engine.now.ms())) chosen = nullptr;
            if (tries == kTries)
                map.for_each([&](const Entry& entry) {
                    if (chosen == nullptr && !due(map, entry, engine.now.ms())) chosen = &entry;
                });
            if (chosen == nullptr && tries == kTries) continue;
            if (chosen == nullptr) break;
            auto name = name_of(session, *chosen);
            if (!name) return tl::unexpected(name.error());
            session.saw_everything();
            return std::move(*name);
        }
    }
    session.saw_everything();
    return std::nullopt;
}

std::size_t expire_some(Engine& engine, Session& session, std::size_t count,
                        std::uint32_t& cursor) {
    auto& keyspace = engine.keyspace();
    std::vector<std::uint32_t> databases;
    for (std::uint32_t database = 0; database < keyspace.databases_end(); ++database)
        if (keyspace.counts_of(database).expires > 0) databases.push_back(database);
    if (databases.empty()) return 0;

    struct Due {
        std::string key;
        std::uint32_t database = 0;
    };
    std::vector<Due> dues;
    std::vector<Tag> tags;
    std::size_t gone = 0;
    const auto now_ms = engine.now.ms();
    for (std::uint32_t seen = 0; seen < kStripes && gone < count; ++seen) {
        const auto number = static_cast<Stripe>(cursor);
        cursor = (cursor + 1) % kStripes;
        dues.clear();
        {
            const std::lock_guard guard(keyspace.stripe(number).lock);
            // What waits is not brought in for that: the loader passes soon, and a key that is
            // asked for is looked at in any case.
            if (keyspace.stripe(number).presence != Presence::there) continue;
            for (const auto database : databases) {
                const auto& map = keyspace.space_of(database).stripes[number];
                if (map.size() == 0) continue;
                tags.clear();
                map.due(now_ms, count - gone, tags);
                for (const auto tag : tags)
                    if (auto name = name_of(session, *map.find(tag)))
                        dues.push_back({.key = std::move(*name), .database = database});
            }
        }
        // Looking at a key that is due deletes it.
        for (const auto& [key, database] : dues) {
            const std::string_view view = key;
            session.begin({&view, 1}, database);
            const auto item = session.look(view);
            (void)session.end();
            // Without room for it there is none for the others either.
            if (!item) return gone;
            if (!*item) ++gone;
        }
    }
    session.reset();
    return gone;
}

}  // namespace firnlog::engine::keys
