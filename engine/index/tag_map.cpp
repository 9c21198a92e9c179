#include "engine/index/tag_map.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace firnlog::engine {
namespace {

// Capacities whose pages fill the allocator's size classes (four steps a doubling), so that growing
// by a step wastes nothing: n such that 16 + 16 n is 2^k × {4, 5, 6, 7} / 4.
std::size_t round_capacity(std::size_t wanted) {
    const std::size_t bytes = (wanted + 1) * sizeof(Entry);
    const auto step = std::size_t{1} << (std::bit_width(bytes - 1) - 3);
    const auto rounded = std::max<std::size_t>((bytes + step - 1) / step * step, 64);
    return rounded / sizeof(Entry) - 1;
}

// Above this many of ten in use, the page grows.
constexpr bool full(std::size_t count, std::size_t capacity) { return count * 10 > capacity * 9; }
constexpr bool sparse(std::size_t count, std::size_t capacity) {
    return capacity > 32 && count * 10 < capacity * 4;
}

bool before(Tag a, Tag b) { return a.high != b.high ? a.high < b.high : a.low < b.low; }

auto place_of(std::vector<Expiry>& sorted, Tag tag) {
    return std::ranges::lower_bound(sorted, tag, before, &Expiry::tag);
}

}  // namespace

std::uint64_t Entry::class_of_size(std::size_t bytes) {
    const std::size_t units = (bytes + 7) / 8;
    if (units < 128) return units;
    const auto shift = static_cast<std::size_t>(std::bit_width(units)) - 4;
    auto eighths = (units + (std::size_t{1} << shift) - 1) >> shift;  // 8 … 16
    const auto size_class = 128 + (shift - 4) * 8 + (eighths - 8);
    return std::min<std::size_t>(size_class, 255);
}

std::size_t Entry::size_of_class(std::uint64_t size_class) {
    if (size_class < 128) return size_class * 8;
    const auto step = (size_class - 128) / 8;
    return ((size_class - 128) % 8 + 8) << (step + 4 + 3);
}

TagMap::Page* TagMap::make_page(std::size_t capacity, unsigned depth) {
    ensure(capacity <= UINT16_MAX, "a page has a bound");
    auto* memory = std::calloc(1, sizeof(Page) + capacity * sizeof(Entry));
    if (memory == nullptr) throw std::bad_alloc();
    auto* page = static_cast<Page*>(memory);
    page->capacity = static_cast<std::uint16_t>(capacity);
    page->depth = static_cast<std::uint8_t>(depth);
    return page;
}

void TagMap::free_page(Page* page) {
    delete page->beside;
    std::free(page);
}

void TagMap::clear() {
    for (std::size_t i = pages(); i-- > 0;) {
        auto* page = page_at(i);
        // A page stands in several places of the directory, next to each other.
        if (page == nullptr || (i > 0 && page == page_at(i - 1))) continue;
        free_page(page);
    }
    if (depth_ != 0) std::free(root_);
    root_ = nullptr;
    count_ = 0;
    depth_ = 0;
    hashed_ = false;
}

std::size_t TagMap::memory_bytes() const {
    std::size_t bytes = depth_ == 0 ? 0 : pages() * sizeof(Page*);
    for (std::size_t i = 0; i < pages(); ++i) {
        const auto* page = page_at(i);
        if (page == nullptr || (i > 0 && page == page_at(i - 1))) continue;
        bytes += sizeof(Page) + page->capacity * sizeof(Entry);
        if (page->beside != nullptr)
            bytes += sizeof(Beside) + page->beside->sorted.capacity() * sizeof(Expiry);
    }
    return bytes;
}

std::size_t TagMap::home(const Page& page, std::uint64_t hash) {
    // The bits behind those that chose the page, scaled to the capacity.
    const auto bits = (hash << page.depth) >> 32;
    return static_cast<std::size_t>((bits * page.capacity) >> 32);
}

Entry* TagMap::find(Tag tag) const {
    if (count_ == 0) return nullptr;
    return find_in(*page_at(index_of(tag.high)), tag);
}

Entry* TagMap::find_in(Page& page, Tag tag) const {
    auto* slots = page.slots();
    if (!hashed_) {
        for (std::size_t i = 0; i < page.count; ++i)
            if (slots[i].hash == tag.high && slots[i].is(tag)) return &slots[i];
        return nullptr;
    }
    const std::size_t capacity = page.capacity;
    auto slot = home(page, tag.high);
    for (std::size_t distance = 0; distance < capacity; ++distance) {
        auto& entry = slots[slot];
        if (entry.empty()) return nullptr;
        if (entry.is(tag)) return &entry;
        // An entry nearer to its home than we are to ours: ours would stand here.
        const auto its_home = home(page, entry.hash);
        const auto its_distance = slot >= its_home ? slot - its_home : slot + capacity - its_home;
        if (its_distance < distance) return nullptr;
        if (++slot == capacity) slot = 0;
    }
    return nullptr;
}

void TagMap::place(Page& page, Entry entry) {
    auto* slots = page.slots();
    const std::size_t capacity = page.capacity;
    auto slot = home(page, entry.hash);
    std::size_t distance = 0;
    while (!slots[slot].empty()) {
        const auto its_home = home(page, slots[slot].hash);
        const auto its_distance = slot >= its_home ? slot - its_home : slot + capacity - its_home;
        if (its_distance < distance) {
            std::swap(slots[slot], entry);
            distance = its_distance;
        }
        if (++slot == capacity) slot = 0;
        ++distance;
    }
    slots[slot] = entry;
}

void TagMap::rebuild(std::size_t i, std::size_t capacity) {
    auto* old = page_at(i);
    auto* page = make_page(capacity, old->depth);
    page->count = old->count;
    page->beside = std::exchange(old->beside, nullptr);
    auto* out = page->slots();
    for (std::size_t slot = 0; slot < old->capacity; ++slot) {
        if (old->slots()[slot].empty()) continue;
        if (hashed_)
            place(*page, old->slots()[slot]);
        else
            *out++ = old->slots()[slot];
    }
    const auto copies = std::size_t{1} << (depth_ - old->depth);
    const auto first = align_down(i, copies);
    for (std::size_t at = first; at < first + copies; ++at) set_page(at, page);
    free_page(old);
}

void TagMap::split(std::size_t i) {
    auto* old = page_at(i);
    if (old->depth == depth_) {
        ensure(depth_ < 40, "hashes are spread");
        const auto count = pages();
        auto** directory = static_cast<Page**>(std::malloc(2 * count * sizeof(Page*)));
        if (directory == nullptr) throw std::bad_alloc();
        for (std::size_t at = 0; at < count; ++at)
            directory[2 * at] = directory[2 * at + 1] = page_at(at);
        if (depth_ != 0) std::free(root_);
        root_ = directory;
        ++depth_;
        i *= 2;
    }
    const auto depth = old->depth + 1U;
    const auto bit = std::uint64_t{1} << (64 - depth);
    std::size_t ones = 0;
    for (std::size_t slot = 0; slot < old->capacity; ++slot) {
        const auto& entry = old->slots()[slot];
        if (!entry.empty() && (entry.hash & bit) != 0) ++ones;
    }
    Page* halves[2] = {make_page(round_capacity((old->count - ones) * 10 / 9 + 8), depth),
                       make_page(round_capacity(ones * 10 / 9 + 8), depth)};
    for (std::size_t slot = 0; slot < old->capacity; ++slot) {
        const auto& entry = old->slots()[slot];
        if (entry.empty()) continue;
        auto& half = *halves[(entry.hash & bit) != 0 ? 1 : 0];
        place(half, entry);
        ++half.count;
    }
    if (old->beside != nullptr) {
        for (const auto& expiry : old->beside->sorted) {
            auto& half = *halves[(expiry.tag.high & bit) != 0 ? 1 : 0];
            if (half.beside == nullptr) half.beside = new Beside;
            half.beside->sorted.push_back(expiry);
            half.beside->next_ms = std::min(half.beside->next_ms, expiry.at_ms);
        }
    }
    const auto copies = std::size_t{1} << (depth_ - old->depth);
    const auto first = align_down(i, copies);
    for (std::size_t at = 0; at < copies; ++at)
        set_page(first + at, halves[at < copies / 2 ? 0 : 1]);
    free_page(old);
}

Entry& TagMap::insert(Tag tag) {
    if (root_ == nullptr) root_ = make_page(round_capacity(3), 0);
    auto i = index_of(tag.high);
    auto* page = page_at(i);
    if (!hashed_) {
        if (page->count == linear_max_) {
            hashed_ = true;
            rebuild(i, round_capacity(page->count * 10U / 9 + 8));
        } else if (page->count == page->capacity) {
            const auto wanted = page->capacity + std::max<std::size_t>(page->capacity / 5, 2);
            rebuild(i, round_capacity(std::min<std::size_t>(wanted, linear_max_)));
        }
        page = page_at(i);
    }
    ++count_;
    if (!hashed_) {
        auto& entry = page->slots()[page->count++];
        entry.name(tag);
        return entry;
    }
    while (page->count >= kPageEntriesMax) {
        split(i);
        i = index_of(tag.high);
        page = page_at(i);
    }
    if (full(page->count + 1U, page->capacity)) {
        rebuild(i, round_capacity(page->capacity + page->capacity / 8));
        page = page_at(i);
    }
    ++page->count;
    Entry entry;
    entry.name(tag);
    // A place that is not empty, so that it is kept; the caller overwrites it at once.
    entry.point_at(Type::string, Address(1, 0), 0);
    place(*page, entry);
    return *find_in(*page, tag);
}

void TagMap::erase(Tag tag) {
    const auto i = index_of(tag.high);
    auto* page = page_at(i);
    auto* entry = find_in(*page, tag);
    ensure(entry != nullptr, "what is erased is there");
    if (entry->expires()) drop_expiry(tag);
    erase_in(*page, *entry);
    --count_;
    if (count_ == 0) {
        clear();
        return;
    }
    if (hashed_ && sparse(page->count, page->capacity))
        rebuild(i, round_capacity(page->count * 10U / 7 + 8));
}

void TagMap::erase_in(Page& page, Entry& entry) {
    auto* slots = page.slots();
    auto slot = static_cast<std::size_t>(&entry - slots);
    --page.count;
    if (!hashed_) {
        std::memmove(static_cast<void*>(slots + slot), slots + slot + 1,
                     (page.count - slot) * sizeof(Entry));
        slots[page.count] = Entry{};
        return;
    }
    const std::size_t capacity = page.capacity;
    for (;;) {
        const auto next = slot + 1 == capacity ? 0 : slot + 1;
        if (slots[next].empty() || home(page, slots[next].hash) == next) break;
        slots[slot] = slots[next];
        slot = next;
    }
    slots[slot] = Entry{};
}

std::uint64_t TagMap::scan(std::uint64_t from, std::size_t count, std::vector<Entry*>& into) const {
    if (count_ == 0) return 0;
    const auto had = into.size();
    for (auto i = index_of(from); i < pages();) {
        auto* page = page_at(i);
        const auto begin = into.size();
        for (std::size_t slot = 0; slot < page->capacity; ++slot) {
            auto& entry = page->slots()[slot];
            if (!entry.empty() && entry.hash >= from) into.push_back(&entry);
        }
        const auto found = into.size() - had;
        if (found > count) {
            std::sort(into.begin() + static_cast<std::ptrdiff_t>(begin), into.end(),
                      [](const Entry* a, const Entry* b) { return a->hash < b->hash; });
            // Entries of one hash stay together: the cursor cannot stand between them.
            auto end = had + count;
            while (end < into.size() && end > begin && into[end]->hash == into[end - 1]->hash)
                ++end;
            if (end < into.size()) {
                const auto next = into[end]->hash;
                into.resize(end);
                return next;
            }
        }
        const auto copies = std::size_t{1} << (depth_ - page->depth);
        i = align_down(i, copies) + copies;
        if (i < pages() && into.size() - had >= count)
            return static_cast<std::uint64_t>(i) << (64 - depth_);
    }
    return 0;
}

std::uint64_t TagMap::copy_page(std::uint64_t from, std::vector<Entry>& entries,
                                std::vector<Expiry>& expiries) const {
    if (count_ == 0) return 0;
    const auto i = index_of(from);
    const auto* page = page_at(i);
    for (std::size_t slot = 0; slot < page->capacity; ++slot) {
        const auto& entry = page->slots()[slot];
        if (!entry.empty() && entry.hash >= from) entries.push_back(entry);
    }
    if (page->beside != nullptr)
        for (const auto& expiry : page->beside->sorted)
            if (expiry.tag.high >= from) expiries.push_back(expiry);
    const auto copies = std::size_t{1} << (depth_ - page->depth);
    const auto next = align_down(i, copies) + copies;
    return next < pages() ? static_cast<std::uint64_t>(next) << (64 - depth_) : 0;
}

void TagMap::fill(std::span<const Entry> entries, bool in_order) {
    if (entries.empty()) return;
    if (count_ != 0 || entries.size() > kPageEntriesMax) {
        for (const auto& entry : entries) insert(entry.tag()) = entry;
        return;
    }
    in_order = in_order && entries.size() <= linear_max_;
    const auto count = entries.size();
    auto* page = make_page(round_capacity(in_order ? count : count * 10 / 9 + 8), 0);
    root_ = page;
    hashed_ = !in_order;
    page->count = static_cast<std::uint16_t>(count);
    count_ = static_cast<std::uint32_t>(count);
    if (in_order)
        std::ranges::copy(entries, page->slots());
    else
        for (const auto& entry : entries) place(*page, entry);
}

Entry* TagMap::random(std::uint64_t dice) const {
    if (count_ == 0) return nullptr;
    const auto throw_again = [&dice] {
        dice = dice * 6364136223846793005U + 1442695040888963407U;
        return (dice ^ dice >> 31) * 0x94d049bb133111ebU;
    };
    const auto place_in = [&](std::size_t places) {
        return static_cast<std::size_t>((throw_again() >> 32) * places >> 32);
    };
    if (!hashed_) {
        auto* page = page_at(0);
        return &page->slots()[place_in(page->count)];
    }
    // Empty slots are thrown again: going on to the next full one would favour what stands behind a
    // gap. Pages that lost most of theirs have room to spare, so there is an end to it.
    constexpr int kThrowsMax = 256;
    for (int throws = 0; throws < kThrowsMax; ++throws) {
        auto* page = page_at(index_of(throw_again()));
        auto& entry = page->slots()[place_in(page->capacity)];
        if (!entry.empty()) return &entry;
    }
    auto i = index_of(throw_again());
    while (page_at(i)->count == 0) i = i + 1 == pages() ? 0 : i + 1;
    auto* page = page_at(i);
    auto slot = place_in(page->capacity);
    while (page->slots()[slot].empty()) slot = slot + 1U == page->capacity ? 0 : slot + 1;
    return &page->slots()[slot];
}

Expiry* TagMap::expiry_in(const Page& page, Tag tag) {
    if (page.beside == nullptr) return nullptr;
    auto& sorted = page.beside->sorted;
    const auto found = place_of(sorted, tag);
    return found != sorted.end() && found->tag == tag ? &*found : nullptr;
}

const Expiry* TagMap::expiry(Tag tag) const {
    return count_ == 0 ? nullptr : expiry_in(*page_at(index_of(tag.high)), tag);
}

void TagMap::set_expiry(Tag tag, std::int64_t at_ms, Lsn lsn) {
    auto* page = page_at(index_of(tag.high));
    auto* entry = find_in(*page, tag);
    ensure(entry != nullptr, "what expires is there");
    if (page->beside == nullptr) page->beside = new Beside;
    page->beside->next_ms = std::min(page->beside->next_ms, at_ms);
    entry->set_expires(true);
    if (auto* known = expiry_in(*page, tag)) {
        known->at_ms = at_ms;
        known->lsn = lsn;
        return;
    }
    auto& sorted = page->beside->sorted;
    sorted.insert(place_of(sorted, tag), {.tag = tag, .at_ms = at_ms, .lsn = lsn});
}

void TagMap::drop_expiry(Tag tag) {
    auto* page = page_at(index_of(tag.high));
    auto* known = expiry_in(*page, tag);
    if (known == nullptr) return;
    auto& sorted = page->beside->sorted;
    sorted.erase(sorted.begin() + (known - sorted.data()));
    if (auto* entry = find_in(*page, tag)) entry->set_expires(false);
    if (sorted.empty()) {
        delete page->beside;
        page->beside = nullptr;
    }
}

void TagMap::due(std::int64_t now_ms, std::size_t count, std::vector<Tag>& into) const {
    for (std::size_t i = 0; i < pages() && count > 0;) {
        auto* page = page_at(i);
        i = align_down(i, std::size_t{1} << (depth_ - page->depth)) +
            (std::size_t{1} << (depth_ - page->depth));
        if (page->beside == nullptr || page->beside->next_ms > now_ms) continue;
        auto next = INT64_MAX;
        for (const auto& expiry : page->beside->sorted) {
            if (expiry.at_ms <= now_ms && count > 0) {
                into.push_back(expiry.tag);
                --count;
            }
            // Those taken stay the page's next until they are really gone.
            next = std::min(next, expiry.at_ms);
        }
        page->beside->next_ms = next;
    }
}

void TagMap::prefetch_page(Tag tag) const {
    if (root_ != nullptr) __builtin_prefetch(page_at(index_of(tag.high)));
}

void TagMap::prefetch_slot(Tag tag) const {
    if (root_ == nullptr || !hashed_) return;
    const auto* page = page_at(index_of(tag.high));
    __builtin_prefetch(page->slots() + home(*page, tag.high), 1);
}

}  // namespace firnlog::engine
