#include "src/digest.hpp"

#include <array>
#include <optional>

#include "engine/ops/hashes.hpp"
#include "engine/ops/strings.hpp"

namespace firnlog::server {
namespace {

using engine::Entry;
using engine::Expected;
using engine::Item;
using engine::Object;
using engine::Stop;
using engine::Type;

// Redis's numbers of its types.
std::uint32_t type_number(Type type) {
    switch (type) {
        case Type::list:
            return 1;
        case Type::set:
            return 2;
        case Type::zset:
            return 3;
        case Type::hash:
            return 4;
        case Type::stream:
            return 6;
        case Type::string:
        case Type::big_string:
            break;
    }
    return 0;
}

class Digest {
  public:
    void add(std::string_view bytes) {
        const auto hash = text::sha1(bytes);
        for (std::size_t i = 0; i < value_.size(); ++i)
            value_[i] = static_cast<std::uint8_t>(value_[i] ^ hash[i]);
    }
    void add(const Digest& other) { add(other.bytes()); }
    void mix(std::string_view bytes) {
        add(bytes);
        value_ = text::sha1(this->bytes());
    }
    void mix(std::uint32_t number) {
        const std::array<char, 4> big_endian{
            static_cast<char>(number >> 24), static_cast<char>(number >> 16),
            static_cast<char>(number >> 8), static_cast<char>(number)};
        mix(std::string_view(big_endian.data(), big_endian.size()));
    }
    [[nodiscard]] const text::Sha1& value() const { return value_; }

  private:
    [[nodiscard]] std::string_view bytes() const {
        return {reinterpret_cast<const char*>(value_.data()), value_.size()};
    }
    text::Sha1 value_{};
};

Expected<void> mix_value(engine::Session& session, const Item& item, Digest& digest) {
    digest.mix(type_number(item.type));
    if (item.type == Type::hash) {
        const auto pairs = engine::hashes::all(session, item);
        if (!pairs) return tl::unexpected(pairs.error());
        for (const auto& pair : *pairs) {
            Digest element;
            element.mix(pair.field);
            element.mix(pair.value);
            digest.add(element);
        }
    } else {
        const auto value = engine::strings::get(session, item);
        if (!value) return tl::unexpected(value.error());
        digest.mix(*value);
    }
    if (item.expires()) digest.add("!!expire!!");
    return {};
}

// The entry as look() would find it; nothing if its time has come.
std::optional<Item> item_of(const engine::TagMap& map, const Entry& entry, std::int64_t now_ms) {
    Item item{.type = entry.type()};
    if (item.type == Type::string) {
        item.address = entry.address();
        item.size_hint = entry.size_hint();
    } else {
        item.object = entry.pointer<Object>();
    }
    if (entry.expires()) {
        if (const auto* expiry = map.expiry(entry.tag())) item.expires_ms = expiry->at_ms;
        if (item.expires() && item.expires_ms <= now_ms) return std::nullopt;
    }
    return item;
}

// What all the keys that were added have in common.
struct Adding {
    DigestOf what;
    const DigestWish& wish;
    Digest& store;
    std::uint32_t database = 0;
    bool found = false;  // a key, in this database
};

Expected<void> add_key(engine::Session& session, const Item& item, Adding& to) {
    const bool plain = item.type == Type::string;
    const auto record = session.read(plain ? item.address : item.object->binding,
                                     plain ? item.size_hint : item.object->binding_bytes);
    if (!record) return tl::unexpected(record.error());
    if (to.wish.wants && !to.wish.wants(record->key)) return {};
    if (!to.found) to.store.mix(to.database);
    to.found = true;
    Digest key;
    key.mix(record->key);
    if (auto done = mix_value(session, item, key); !done) return done;
    if (to.what == DigestOf::values_and_expiry_times && item.expires())
        key.add(std::to_string(item.expires_ms));
    to.store.add(key);
    return {};
}

}  // namespace

Expected<text::Sha1> digest_of_store(engine::Engine& engine, DigestOf what,
                                     const DigestWish& wish) {
    Digest store;
    // Its memory is given back key by key: the caller's would hold copies of everything at once.
    engine::Session reader(engine);
    reader.may_wait(true);
    const auto now_ms = engine.now.ms();
    for (std::uint32_t database = 0; database < engine.options.databases; ++database) {
        const auto& space = engine.keyspace().space_of(database);
        if (space.keys.load(std::memory_order_relaxed) == 0) continue;
        Adding adding{.what = what, .wish = wish, .store = store, .database = database};
        std::optional<Stop> stopped;
        for (std::uint32_t stripe = 0; stripe < engine::kStripes; ++stripe) {
            if (!engine.keyspace().fetch(static_cast<engine::Stripe>(stripe)))
                return tl::unexpected(engine::why_lost(engine.keyspace()));
            const auto& map = space.stripes[stripe];
            map.for_each([&](const Entry& entry) {
                if (stopped) return;
                if (wish.give_up && wish.give_up()) {
                    stopped = Stop::wait;
                    return;
                }
                const auto item = item_of(map, entry, now_ms);
                if (!item) return;
                if (const auto done = add_key(reader, *item, adding); !done) stopped = done.error();
                reader.reset();
            });
            if (stopped) return tl::unexpected(*stopped);
        }
    }
    return store.value();
}

Expected<text::Sha1> digest_of_value(engine::Session& session, std::string_view key) {
    const auto item = session.look(key);
    if (!item) return tl::unexpected(item.error());
    Digest digest;
    if (*item)
        if (auto done = mix_value(session, **item, digest); !done)
            return tl::unexpected(done.error());
    return digest.value();
}

}  // namespace firnlog::server
