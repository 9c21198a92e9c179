#include "engine/ops/hashes.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace firnlog::engine::hashes {
namespace {

const HashBody& body_of(const Item& item) { return std::get<HashBody>(item.object->body); }

// One field with its value, of a long one all pieces put together.
Expected<Pair> read_pair(Session& session, const Entry& entry, Wanted wanted) {
    const auto* pieces = HashBody::long_value(entry);
    if (pieces == nullptr) {
        const auto record = session.read(entry.address(), entry.size_hint());
        if (!record) return tl::unexpected(record.error());
        return Pair{.field = record->key, .value = record->value};
    }
    std::span<char> out;
    if (wanted == Wanted::values) {
        out = session.buffer(pieces->bytes);
        if (auto copied = copy(session, *pieces, out); !copied)
            return tl::unexpected(copied.error());
    }
    // For its name, and after the others: what is cold is asked for once.
    const auto& first = pieces->pieces.front();
    const auto record = session.read(first.address, first.record_bytes);
    if (!record) return tl::unexpected(record.error());
    return Pair{.field = record->key, .value = {out.data(), out.size()}};
}

// These fields, in their order. What is cold is found out for all of them at once.
template <class Entries>
Expected<std::vector<Pair>> read_fields(Session& session, const Entries& entries,
                                        Wanted wanted = Wanted::values) {
    std::vector<Pair> pairs;
    pairs.reserve(entries.size());
    bool cold = false;
    for (const auto* entry : entries) {
        const auto pair = read_pair(session, *entry, wanted);
        if (pair)
            pairs.push_back(*pair);
        else if (pair.error() == Stop::cold)
            cold = true;
        else
            return tl::unexpected(pair.error());
    }
    if (cold) return tl::unexpected(Stop::cold);
    return pairs;
}

// A sequence of random bits that begins with the given ones.
class Dice {
  public:
    explicit Dice(std::uint64_t bits) : bits_(bits) {}
    std::uint64_t operator()() {
        bits_ += 0x9e3779b97f4a7c15U;
        auto mixed = (bits_ ^ bits_ >> 30) * 0xbf58476d1ce4e5b9U;
        mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebU;
        return mixed ^ mixed >> 31;
    }

  private:
    std::uint64_t bits_;
};

// Some `count` of the fields, each once; count is less than there are.
std::vector<const Entry*> choose_distinct(const HashBody& body, std::size_t count, Dice dice) {
    std::vector<const Entry*> chosen;
    if (count * 3 > body.size()) {
        // Most are wanted: shuffle as far as that.
        body.fields().for_each([&](const Entry& entry) { chosen.push_back(&entry); });
        for (std::size_t i = 0; i < count; ++i)
            std::swap(chosen[i], chosen[i + dice() % (chosen.size() - i)]);
        chosen.resize(count);
        return chosen;
    }
    std::unordered_set<const Entry*> known;
    while (chosen.size() < count) {
        const auto* entry = body.fields().random(dice());
        if (known.insert(entry).second) chosen.push_back(entry);
    }
    return chosen;
}

}  // namespace

Expected<std::optional<Value>> find(Session& session, std::string_view key,
                                    std::string_view field) {
    const auto item = session.look(key, Type::hash);
    if (!item) return tl::unexpected(item.error());
    if (!*item) return std::nullopt;
    const auto* entry = body_of(**item).fields().find(session.tag(field));
    if (entry == nullptr) {
        session.saw((*item)->object->last_change);
        return std::nullopt;
    }
    const auto* pieces = HashBody::long_value(*entry);
    const auto record = pieces == nullptr ? session.read(entry->address(), entry->size_hint())
                                          : session.read(pieces->pieces.front().address,
                                                         pieces->pieces.front().record_bytes);
    if (!record) return tl::unexpected(record.error());
    // Another field has its tag.
    if (record->key != field) return std::nullopt;
    return Value{.text = record->value, .pieces = pieces};
}

Expected<void> copy(Session& session, const HashBody::LongValue& value, std::span<char> out) {
    ensure(out.size() == value.bytes, "a value is copied as a whole");
    bool cold = false;
    std::size_t at = 0;
    for (const auto& piece : value.pieces) {
        const auto from = at;
        at += piece.bytes;
        const auto record = session.pass(piece.address, piece.record_bytes);
        if (!record && record.error() == Stop::cold) {
            cold = true;  // what else is cold is found out at once
            continue;
        }
        if (!record) return tl::unexpected(record.error());
        auto bytes = record->value;
        if (record->kind == Kind::patch) {
            const auto patch = decode_patch(bytes);
            if (!patch || patch->offset != from) return tl::unexpected(Stop::corrupt);
            bytes = patch->bytes;
        }
        if (bytes.size() != piece.bytes) return tl::unexpected(Stop::corrupt);
        std::ranges::copy(bytes, out.begin() + static_cast<std::ptrdiff_t>(from));
    }
    if (cold) return tl::unexpected(Stop::cold);
    return {};
}

Expected<std::optional<std::string_view>> get(Session& session, std::string_view key,
                                              std::string_view field) {
    const auto value = find(session, key, field);
    if (!value) return tl::unexpected(value.error());
    if (!*value) return std::nullopt;
    if ((*value)->pieces == nullptr) return (*value)->text;
    const auto out = session.buffer((*value)->size());
    if (auto copied = copy(session, *(*value)->pieces, out); !copied)
        return tl::unexpected(copied.error());
    return std::string_view(out.data(), out.size());
}

Expected<bool> has(Session& session, std::string_view key, std::string_view field) {
    const auto item = session.look(key, Type::hash);
    if (!item) return tl::unexpected(item.error());
    if (!*item) return false;
    session.saw((*item)->object->last_change);
    return body_of(**item).fields().find(session.tag(field)) != nullptr;
}

Expected<std::size_t> size(Session& session, std::string_view key) {
    const auto item = session.look(key, Type::hash);
    if (!item) return tl::unexpected(item.error());
    if (!*item) return 0;
    session.saw((*item)->object->last_change);
    return body_of(**item).size();
}

Expected<std::vector<Pair>> all(Session& session, const Item& item, Wanted wanted) {
    session.saw(item.object->last_change);
    std::vector<const Entry*> entries;
    entries.reserve(body_of(item).size());
    body_of(item).fields().for_each([&](const Entry& entry) { entries.push_back(&entry); });
    return read_fields(session, entries, wanted);
}

Expected<std::vector<Pair>> all(Session& session, std::string_view key, Wanted wanted) {
    const auto item = session.look(key, Type::hash);
    if (!item) return tl::unexpected(item.error());
    if (!*item) return std::vector<Pair>{};
    return all(session, **item, wanted);
}

Expected<Scanned> scan(Session& session, std::string_view key, std::uint64_t from,
                       std::size_t count) {
    const auto item = session.look(key, Type::hash);
    if (!item) return tl::unexpected(item.error());
    Scanned scanned;
    if (!*item) return scanned;
    if (body_of(**item).fields().linear()) {
        auto pairs = all(session, **item);
        if (!pairs) return tl::unexpected(pairs.error());
        scanned.pairs = std::move(*pairs);
        return scanned;
    }
    session.saw((*item)->object->last_change);
    std::vector<Entry*> entries;
    scanned.next = body_of(**item).fields().scan(from, count, entries);
    auto pairs = read_fields(session, entries);
    if (!pairs) return tl::unexpected(pairs.error());
    scanned.pairs = std::move(*pairs);
    return scanned;
}

Expected<std::optional<std::string_view>> random(Session& session, std::string_view key,
                                                 std::uint64_t dice) {
    const auto item = session.look(key, Type::hash);
    if (!item) return tl::unexpected(item.error());
    if (!*item) return std::nullopt;
    session.saw((*item)->object->last_change);
    const auto* entry = body_of(**item).fields().random(dice);
    if (entry == nullptr) return std::nullopt;
    const auto pair = read_pair(session, *entry, Wanted::names);
    if (!pair) return tl::unexpected(pair.error());
    return pair->field;
}

Expected<std::vector<Pair>> choose(Session& session, std::string_view key, Choice choice) {
    const auto item = session.look(key, Type::hash);
    if (!item) return tl::unexpected(item.error());
    if (!*item || choice.count == 0) return std::vector<Pair>{};
    session.saw((*item)->object->last_change);
    const auto& body = body_of(**item);
    Dice dice(choice.dice);
    if (choice.distinct) {
        if (choice.count >= body.size()) return all(session, **item, choice.wanted);
        return read_fields(session, choose_distinct(body, choice.count, dice), choice.wanted);
    }
    // However often a field is chosen, it is read once.
    std::vector<const Entry*> different;
    std::unordered_map<const Entry*, std::size_t> places;
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < choice.count; ++i) {
        const auto* entry = body.fields().random(dice());
        const auto [place, fresh] = places.emplace(entry, different.size());
        if (fresh) different.push_back(entry);
        order.push_back(place->second);
    }
    const auto read = read_fields(session, different, choice.wanted);
    if (!read) return tl::unexpected(read.error());
    std::vector<Pair> pairs;
    pairs.reserve(order.size());
    for (const auto place : order) pairs.push_back((*read)[place]);
    return pairs;
}

namespace {

std::size_t piece_of(const Pair& pair) {
    return HashBody::piece_bytes({.field = pair.field.size(), .value = pair.value.size()});
}

}  // namespace

Cost cost_of(std::span<const Pair> pairs) {
    Cost cost;
    for (const auto& pair : pairs) {
        const auto records =
            pair.value.size() <= HashBody::kInlineMax ? 1 : pair.value.size() / piece_of(pair) + 1;
        cost.records += records;
        cost.bytes += pair.value.size() + records * (pair.field.size() + kVarintBytesMax);
    }
    return cost;
}

void put(Session& session, Oid oid, std::span<const Pair> pairs) {
    for (const auto& pair : pairs) {
        const auto piece = piece_of(pair);
        if (pair.value.size() <= HashBody::kInlineMax) {
            session.put_element(oid, pair.field, pair.value);
            continue;
        }
        session.put_element(oid, pair.field, pair.value.substr(0, piece));
        for (auto at = piece; at < pair.value.size(); at += piece)
            session.patch_element(oid, pair.field, at, pair.value.substr(at, piece));
    }
}

Expected<std::size_t> set(Session& session, std::string_view key, std::span<const Pair> pairs) {
    const auto item = session.look(key, Type::hash);
    if (!item) return tl::unexpected(item.error());
    const auto cost = cost_of(pairs);
    const auto records = cost.records + (*item ? 0 : 1);
    if (auto room = session.reserve(key.size() + cost.bytes, records); !room)
        return tl::unexpected(room.error());
    Oid oid;
    std::size_t before = 0;
    if (*item) {
        oid = (*item)->object->oid;
        before = body_of(**item).size();
    } else {
        oid = session.make_oid(key);
        session.bind(key, oid, Type::hash);
    }
    put(session, oid, pairs);
    session.touch_key(key);
    return std::get<HashBody>(session.object(oid)->body).size() - before;
}

Expected<Removed> remove(Session& session, std::string_view key,
                         std::span<const std::string_view> fields) {
    Removed removed;
    const auto item = session.look(key, Type::hash);
    if (!item) return tl::unexpected(item.error());
    if (!*item) return removed;
    std::size_t bytes = key.size();
    for (const auto field : fields) bytes += field.size();
    const auto& body = body_of(**item);
    const std::size_t last = body.size() <= fields.size() ? 1 : 0;  // the key's own end, perhaps
    if (auto room = session.reserve(bytes, fields.size() + last, true); !room)
        return tl::unexpected(room.error());
    session.saw((*item)->object->last_change);
    const auto oid = (*item)->object->oid;
    for (const auto field : fields) {
        if (body.fields().find(session.tag(field)) == nullptr) continue;
        ++removed.fields;
        session.remove_element(oid, field);
        if (body.size() != 0) continue;
        // A hash without fields is no key.
        session.remove(key);
        removed.key = true;
        return removed;
    }
    if (removed.fields != 0) session.touch_key(key);
    return removed;
}

}  // namespace firnlog::engine::hashes
