#include "engine/types/hash.hpp"

#include <algorithm>

namespace firnlog::engine {

void HashBody::apply(const Record& record, Address address, std::size_t bytes, Tag tag) {
    if (record.kind == Kind::element_gone) {
        if (fields_.find(tag) != nullptr) fields_.erase(tag);
        return;
    }
    if (record.kind != Kind::element) return;
    auto* entry = fields_.find(tag);
    if (entry == nullptr) entry = &fields_.insert(tag);
    entry->point_at(Type::string, address, bytes);
    longest_ = std::max({longest_, static_cast<std::uint32_t>(record.key.size()),
                         static_cast<std::uint32_t>(record.value.size())});
}

bool HashBody::move(Tag tag, std::uint64_t, Address from, Address to) {
    auto* entry = fields_.find(tag);
    if (entry == nullptr || entry->address() != from) return false;
    entry->move_to(to);
    return true;
}

// 0 longest 4 · 4 count 4 · 8 in order 4 · 12 zero 4 · 16 the entries, 16 each
std::uint64_t HashBody::save(std::uint64_t from, std::vector<std::byte>& out) const {
    std::vector<Entry> entries;
    std::vector<Expiry> expiries;
    // Under the stripe's lock: no more memory is asked for than a page of this map can need.
    entries.reserve(std::min<std::size_t>(fields_.size(), TagMap::kPageEntriesMax));
    const auto next = fields_.copy_page(from, entries, expiries);
    auto at = out.size();
    out.resize(at + 16 + entries.size() * sizeof(Entry));
    store(out.data() + at, longest_);
    store(out.data() + at + 4, static_cast<std::uint32_t>(entries.size()));
    store(out.data() + at + 8, std::uint32_t{fields_.linear()});
    store(out.data() + at + 12, std::uint32_t{0});
    at += 16;
    for (const auto& entry : entries) {
        store(out.data() + at, entry.hash);
        store(out.data() + at + 8, entry.rest());
        at += sizeof(Entry);
    }
    return next;
}

bool HashBody::load(Bytes piece, const Moves& moves) {
    if (piece.size() < 16) return false;
    longest_ = std::max(longest_, firnlog::load<std::uint32_t>(piece.data()));
    const auto count = firnlog::load<std::uint32_t>(piece.data() + 4);
    const bool in_order = firnlog::load<std::uint32_t>(piece.data() + 8) != 0;
    if (piece.size() != 16 + count * sizeof(Entry)) return false;
    std::vector<Entry> entries;
    entries.reserve(count);
    for (std::size_t at = 16; at < piece.size(); at += sizeof(Entry)) {
        auto entry = Entry::from_halves(firnlog::load<std::uint64_t>(piece.data() + at),
                                        firnlog::load<std::uint64_t>(piece.data() + at + 8));
        if (entry.empty() || entry.expires() || entry.type() != Type::string) return false;
        entry.move_to(moves(entry.address()));
        entries.push_back(entry);
    }
    fields_.fill(entries, in_order);
    return true;
}

}  // namespace firnlog::engine
