#include "engine/types/hash.hpp"

#include <algorithm>
#include <memory>

#include "engine/format/layouts.hpp"

namespace firnlog::engine {

namespace {

constexpr std::size_t kPageHeadBytes = sizeof(layouts::HashHead);
constexpr std::size_t kEntryBytes = sizeof(layouts::KeyEntry);
constexpr std::size_t kValueHeadBytes = sizeof(layouts::ValueHead);
constexpr std::size_t kPieceBytes = sizeof(layouts::ValuePiece);
constexpr unsigned kAddressBits = 48;
// So many pieces end a page of an image that could go on, 1 MiB of them.
constexpr std::size_t kPagePieces = std::size_t{64} * 1024;

// Of a page that need not be whole: the hash at which it has pieces enough, 0 if it never has. What
// is at the hash or above it is left out of `entries`.
std::uint64_t cut(std::vector<Entry>& entries) {
    std::ranges::sort(entries, {}, &Entry::hash);
    std::size_t pieces = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        if (pieces >= kPagePieces && entries[i].hash != entries[i - 1].hash) {
            const auto next = entries[i].hash;
            entries.resize(i);
            return next;
        }
        if (const auto* value = HashBody::long_value(entries[i])) pieces += value->pieces.size();
    }
    return 0;
}

// How many pieces, and then each.
void put_value(const HashBody::LongValue& value, std::vector<std::byte>& out) {
    auto at = out.size();
    out.resize(at + kValueHeadBytes + value.pieces.size() * kPieceBytes);
    store(out.data() + at, layouts::ValueHead{.pieces = value.pieces.size()});
    at += kValueHeadBytes;
    for (const auto& piece : value.pieces) {
        store(out.data() + at, layouts::ValuePiece{.address = piece.address.bits(),
                                                   .record_bytes = piece.record_bytes,
                                                   .bytes = piece.bytes});
        at += kPieceBytes;
    }
}

// All bytes as so many long values; nothing if they make no sense.
std::optional<std::vector<std::unique_ptr<HashBody::LongValue>>> take_values(Bytes bytes,
                                                                             std::size_t count,
                                                                             const Moves& moves) {
    std::vector<std::unique_ptr<HashBody::LongValue>> values;
    while (!bytes.empty()) {
        if (values.size() == count || bytes.size() < kValueHeadBytes) return std::nullopt;
        const auto pieces = load<layouts::ValueHead>(bytes.data()).pieces;
        bytes = bytes.subspan(kValueHeadBytes);
        if (pieces < 2 || pieces > bytes.size() / kPieceBytes) return std::nullopt;
        auto value = std::make_unique<HashBody::LongValue>();
        value->pieces.reserve(pieces);
        for (std::size_t at = 0; at < pieces * kPieceBytes; at += kPieceBytes) {
            const auto piece = load<layouts::ValuePiece>(bytes.data() + at);
            const auto place = Address::from_bits(piece.address);
            if (!place || place.bits() >> kAddressBits != 0) return std::nullopt;
            value->pieces.push_back({.address = moves(place),
                                     .record_bytes = piece.record_bytes,
                                     .bytes = piece.bytes});
            value->bytes += value->pieces.back().bytes;
        }
        values.push_back(std::move(value));
        bytes = bytes.subspan(pieces * kPieceBytes);
    }
    if (values.size() != count) return std::nullopt;
    return values;
}

}  // namespace

std::size_t HashBody::piece_bytes(Lengths lengths) {
    const auto by_value = std::clamp<std::size_t>(lengths.value / 128, 16 * 1024, 512 * 1024);
    return std::max(by_value, 8 * lengths.field);
}

HashBody::~HashBody() {
    if (long_values_ == 0) return;
    fields_.for_each([this](Entry& entry) { drop_long_value(entry); });
}

std::size_t HashBody::record_bytes(const Entry& entry) {
    const auto* value = long_value(entry);
    if (value == nullptr) return entry.size_hint();
    std::size_t bytes = 0;
    for (const auto& piece : value->pieces) bytes += piece.record_bytes;
    return bytes;
}

void HashBody::apply(const Record& record, Address address, std::size_t bytes, Tag tag) {
    if (record.kind == Kind::patch) return extend(record, address, bytes, tag);
    if (record.kind != Kind::element && record.kind != Kind::element_gone) return;
    auto* entry = fields_.find(tag);
    if (entry != nullptr) drop_long_value(*entry);
    if (record.kind == Kind::element_gone) {
        if (entry != nullptr) fields_.erase(tag);
        return;
    }
    if (entry == nullptr) entry = &fields_.insert(tag);
    entry->point_at(Type::string, address, bytes);
    note_length(record.key.size());
    note_length(record.value.size());
}

// Another piece. One that is not where the value ends belongs to no value this build ever wrote.
void HashBody::extend(const Record& record, Address address, std::size_t bytes, Tag tag) {
    auto* entry = fields_.find(tag);
    const auto patch = decode_patch(record.value);
    if (entry == nullptr || !patch) return;
    auto* value = entry->type() == Type::string ? nullptr : entry->pointer<LongValue>();
    if (value == nullptr) {
        if (patch->offset > kRecordValueMax) return;
        auto made = std::make_unique<LongValue>();
        // How long the first piece is the entry does not say; the second begins there.
        made->bytes = patch->offset;
        made->pieces.push_back({.address = entry->address(),
                                .record_bytes = static_cast<std::uint32_t>(entry->size_hint()),
                                .bytes = static_cast<std::uint32_t>(patch->offset)});
        value = made.release();
        entry->point_at(Type::big_string, value);
        ++long_values_;
        ++pieces_;
    }
    if (patch->offset != value->bytes) return;
    value->pieces.push_back({.address = address,
                             .record_bytes = static_cast<std::uint32_t>(bytes),
                             .bytes = static_cast<std::uint32_t>(patch->bytes.size())});
    value->bytes += patch->bytes.size();
    ++pieces_;
    note_length(value->bytes);
}

void HashBody::note_length(std::size_t bytes) {
    const auto told = static_cast<std::uint32_t>(std::min<std::size_t>(bytes, UINT32_MAX));
    longest_ = std::max(longest_, told);
}

void HashBody::drop_long_value(Entry& entry) {
    if (entry.type() == Type::string) return;
    const std::unique_ptr<LongValue> value(entry.pointer<LongValue>());
    pieces_ -= value->pieces.size();
    --long_values_;
}

bool HashBody::move(Tag tag, std::uint64_t, Address from, Address to) {
    auto* entry = fields_.find(tag);
    if (entry == nullptr) return false;
    if (entry->type() == Type::string) {
        if (entry->address() != from) return false;
        entry->move_to(to);
        return true;
    }
    auto& pieces = entry->pointer<LongValue>()->pieces;
    const auto found = std::ranges::find(pieces, from, &Piece::address);
    if (found == pieces.end()) return false;
    found->address = to;
    return true;
}

// 0 longest 4 · 4 count 4 · 8 in order 4 · 12 long values 4 · 16 the entries, 16 each · the long
// values. A long value's entry has the address of its first piece.
std::uint64_t HashBody::save(std::uint64_t from, std::vector<std::byte>& out) const {
    std::vector<Entry> entries;
    std::vector<Expiry> expiries;
    // Under the stripe's lock: no more memory is asked for than a page of this map can need.
    entries.reserve(std::min<std::size_t>(fields_.size(), TagMap::kPageEntriesMax));
    auto next = fields_.copy_page(from, entries, expiries);
    if (pieces_ > kPagePieces && !fields_.linear())
        if (const auto earlier = cut(entries); earlier != 0) next = earlier;
    const auto begin = out.size();
    auto at = begin + kPageHeadBytes;
    out.resize(at + entries.size() * kEntryBytes);
    std::uint32_t long_values = 0;
    for (auto entry : entries) {
        if (const auto* value = long_value(entry)) {
            ++long_values;
            put_value(*value, out);
            entry.move_to(value->pieces.front().address);
        }
        store(out.data() + at, layouts::KeyEntry{.hash = entry.hash, .rest = entry.rest()});
        at += kEntryBytes;
    }
    store(out.data() + begin,
          layouts::HashHead{.longest = longest_,
                            .entries = static_cast<std::uint32_t>(entries.size()),
                            .in_order = fields_.linear(),
                            .long_values = long_values});
    return next;
}

bool HashBody::load(Bytes piece, const Moves& moves) {
    if (piece.size() < kPageHeadBytes) return false;
    const auto head = firnlog::load<layouts::HashHead>(piece.data());
    const std::size_t count = head.entries;
    piece = piece.subspan(kPageHeadBytes);
    if (piece.size() < count * kEntryBytes) return false;
    auto values = take_values(piece.subspan(count * kEntryBytes), head.long_values, moves);
    if (!values) return false;
    std::vector<Entry> entries;
    entries.reserve(count);
    std::vector<Tag> of_long_ones;
    of_long_ones.reserve(values->size());
    for (std::size_t at = 0; at < count * kEntryBytes; at += kEntryBytes) {
        const auto halves = firnlog::load<layouts::KeyEntry>(piece.data() + at);
        auto entry = Entry::from_halves(halves.hash, halves.rest);
        if (entry.empty() || entry.expires()) return false;
        if (entry.type() == Type::big_string) {
            if (of_long_ones.size() == values->size()) return false;
            // Until the value can be handed over, as if the first piece were all of it.
            const auto& first = (*values)[of_long_ones.size()]->pieces.front();
            of_long_ones.push_back(entry.tag());
            entry.point_at(Type::string, first.address, first.record_bytes);
        } else if (entry.type() == Type::string) {
            entry.move_to(moves(entry.address()));
        } else {
            return false;
        }
        entries.push_back(entry);
    }
    if (of_long_ones.size() != values->size()) return false;
    longest_ = std::max(longest_, head.longest);
    fields_.fill(entries, head.in_order != 0);
    // From here on nothing asks for memory: a value has one owner at any time.
    for (std::size_t i = 0; i < of_long_ones.size(); ++i) {
        auto* entry = fields_.find(of_long_ones[i]);
        // Two of one tag.
        if (entry == nullptr || entry->type() != Type::string) return false;
        auto* value = (*values)[i].release();
        entry->point_at(Type::big_string, value);
        ++long_values_;
        pieces_ += value->pieces.size();
    }
    return true;
}

}  // namespace firnlog::engine
