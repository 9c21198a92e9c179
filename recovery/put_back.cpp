#include "recovery/put_back.hpp"

#include <algorithm>

#include "engine/ops/hashes.hpp"
#include "engine/ops/keys.hpp"
#include "engine/ops/strings.hpp"

namespace firnlog::recovery {
namespace {

namespace hashes = engine::hashes;
namespace strings = engine::strings;
using engine::Expected;
using engine::Item;
using engine::Session;
using engine::Stop;
using engine::Type;

// Hashes up to here are compared by their values where their records lie elsewhere.
constexpr std::size_t kComparedFieldsMax = 128;

bool is_hash(Type type) { return type == Type::hash; }

Whereabouts whereabouts_of(const Item& item) {
    if (item.object == nullptr) return {.address = item.address};
    Whereabouts found{.oid = item.object->oid};
    // D. Stafford's variant 13 of MurmurHash3's mixing: a sum of what is not mixed says little.
    std::visit(
        [&found](const auto& body) {
            body.for_each([&found](const auto& piece) {
                auto bits = piece.address.bits();
                bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
                bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
                found.sum += bits ^ (bits >> 31);
                ++found.records;
            });
        },
        item.object->body);
    return found;
}

// What cannot be read without waiting counts as another value.
bool same_value(Session& live, const Item& item, const OldKey& old) {
    if (is_hash(item.type) != is_hash(old.type)) return false;
    if (item.type == Type::string) {
        const auto value = strings::get(live, item, old.key);
        return value && *value == old.value;
    }
    if (item.type != Type::hash || old.fields.size() > kComparedFieldsMax) return false;
    if (std::get<engine::HashBody>(item.object->body).size() != old.fields.size()) return false;
    const auto pairs = hashes::all(live, item);
    return pairs && std::ranges::equal(*pairs, old.fields, [](const auto& now, const auto& then) {
               return now.field == then.first && now.value == then.second;
           });
}

Expected<void> write(Session& live, const OldKey& old, std::int64_t expires_ms) {
    if (!is_hash(old.type)) return strings::set(live, old.key, old.value, expires_ms);
    std::vector<hashes::Pair> pairs;
    pairs.reserve(old.fields.size());
    for (const auto& [field, value] : old.fields) pairs.push_back({.field = field, .value = value});
    const auto cost = hashes::cost_of(pairs);
    if (auto room = live.reserve(old.key.size() + cost.bytes, cost.records + 1); !room) return room;
    const auto oid = live.make_oid(old.key);
    live.bind(old.key, oid, Type::hash, expires_ms);
    hashes::put(live, oid, pairs);
    return {};
}

}  // namespace

std::size_t OldKey::bytes() const {
    std::size_t bytes = key.size() + value.size();
    for (const auto& [field, text] : fields) bytes += field.size() + text.size();
    return bytes;
}

Expected<std::optional<OldKey>> take_old(Session& past, std::string_view key) {
    const auto item = past.look(key);
    if (!item) return tl::unexpected(item.error());
    if (!*item) return std::nullopt;
    OldKey old{.key = std::string(key),
               .type = (*item)->type,
               .expires_ms = (*item)->expires_ms,
               .whereabouts = whereabouts_of(**item)};
    if (is_hash(old.type)) {
        const auto pairs = hashes::all(past, **item);
        if (!pairs) return tl::unexpected(pairs.error());
        old.fields.reserve(pairs->size());
        for (const auto& pair : *pairs) old.fields.emplace_back(pair.field, pair.value);
        return old;
    }
    const auto value = strings::get(past, **item, key);
    if (!value) return tl::unexpected(value.error());
    old.value = *value;
    return old;
}

Expected<PutBack> put_back(Session& live, const OldKey& old, const TtlRule& ttl, bool dry) {
    const auto found = live.look(old.key);
    // What is damaged now is written anew like anything else.
    if (!found && found.error() != Stop::corrupt) return tl::unexpected(found.error());
    const auto item = found ? *found : std::nullopt;
    const auto left_alone_ms = ttl.of_all ? ttl.apply(old.expires_ms) : old.expires_ms;
    if (item && item->expires_ms == left_alone_ms &&
        (whereabouts_of(*item) == old.whereabouts || same_value(live, *item, old)))
        return PutBack::unchanged;
    const auto expires_ms = ttl.apply(old.expires_ms);
    if (expires_ms >= 0 && expires_ms <= live.now_ms()) {
        if (!item) return PutBack::due;
        if (dry) return PutBack::removed;
        const auto gone = engine::keys::remove(live, old.key);
        if (!gone) return tl::unexpected(gone.error());
        return PutBack::removed;
    }
    if (dry) return PutBack::written;
    if (auto written = write(live, old, expires_ms); !written)
        return tl::unexpected(written.error());
    return PutBack::written;
}

Expected<bool> write_anew(Session& live, std::string_view key) {
    const auto now = take_old(live, key);
    if (!now) return tl::unexpected(now.error());
    if (!*now) return false;
    const auto written = write(live, **now, (*now)->expires_ms);
    if (!written) return tl::unexpected(written.error());
    return true;
}

}  // namespace firnlog::recovery
