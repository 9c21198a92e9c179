#include "engine/index/tag_map.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "io/base/memory.hpp"

namespace firnlog::engine {
namespace {

bool before(Tag a, Tag b) { return a.high != b.high ? a.high < b.high : a.low < b.low; }
bool in_order(const Entry& a, const Entry& b) { return before(a.tag(), b.tag()); }

auto place_of(std::vector<Expiry>& sorted, Tag tag) {
    return std::ranges::lower_bound(sorted, tag, before, &Expiry::tag);
}

}  // namespace

void TagMap::clear() {
    for (std::size_t i = 0; i < pages();) {
        auto* page = page_at(i);
        i = behind(i);
        Page::free(page);
    }
    if (depth_ != 0) std::free(root_);
    root_ = nullptr;
    count_ = 0;
    depth_ = 0;
    hashed_ = false;
}

void TagMap::swap(TagMap& other) noexcept {
    ensure(linear_max_ == other.linear_max_, "maps of one kind are swapped");
    std::swap(root_, other.root_);
    std::swap(count_, other.count_);
    std::swap(depth_, other.depth_);
    std::swap(hashed_, other.hashed_);
}

std::size_t TagMap::memory_bytes() const {
    std::size_t bytes = depth_ == 0 ? 0 : pages() * sizeof(Page*);
    for (std::size_t i = 0; i < pages(); i = behind(i)) bytes += page_at(i)->memory_bytes();
    return bytes;
}

Entry* TagMap::find(Tag tag) const {
    if (count_ == 0) return nullptr;
    return find_in(*page_at(index_of(tag.high)), tag);
}

Page& TagMap::resize(std::size_t i, std::size_t capacity) {
    const auto copies = copies_of(*page_at(i));
    auto* page = Page::resize(page_at(i), capacity);
    const auto first = align_down(i, copies);
    for (std::size_t at = first; at < first + copies; ++at) set_page(at, page);
    return *page;
}

void TagMap::split(std::size_t i) {
    auto* old = page_at(i);
    if (old->depth() == depth_) {
        ensure(depth_ < 40, "hashes are spread");
        const auto count = pages();
        auto** directory = static_cast<Page**>(resize_memory(nullptr, 2 * count * sizeof(Page*)));
        if (directory == nullptr) throw std::bad_alloc();
        for (std::size_t at = 0; at < count; ++at)
            directory[2 * at] = directory[2 * at + 1] = page_at(at);
        if (depth_ != 0) std::free(root_);
        root_ = directory;
        ++depth_;
        i *= 2;
    }
    const auto depth = old->depth() + 1U;
    const auto half_of = [&](std::uint64_t hash) { return (hash >> (64 - depth)) & 1; };
    std::size_t counts[2] = {};
    old->for_each([&](const Entry& entry) { ++counts[half_of(entry.hash)]; });
    Page* halves[2] = {Page::make(Page::roomy(counts[0]), depth),
                       Page::make(Page::roomy(counts[1]), depth)};
    old->for_each([&](const Entry& entry) { halves[half_of(entry.hash)]->append(entry); });
    for (auto* half : halves) half->spread();
    if (old->beside != nullptr) {
        for (const auto& expiry : old->beside->sorted) {
            auto& half = *halves[half_of(expiry.tag.high)];
            if (half.beside == nullptr) half.beside = new Page::Beside;
            half.beside->sorted.push_back(expiry);
            half.beside->next_ms = std::min(half.beside->next_ms, expiry.at_ms);
        }
    }
    const auto copies = copies_of(*old);
    const auto first = align_down(i, copies);
    for (std::size_t at = 0; at < copies; ++at)
        set_page(first + at, halves[at < copies / 2 ? 0 : 1]);
    Page::free(old);
}

Entry& TagMap::insert(Tag tag) {
    if (root_ == nullptr) root_ = Page::make(3, 0);
    auto i = index_of(tag.high);
    auto* page = page_at(i);
    if (!hashed_ && page->count() == linear_max_) {
        page->sort();
        page = &resize(i, Page::roomy(page->count()));
        page->spread();
        hashed_ = true;
    }
    ++count_;
    if (!hashed_) {
        const auto capacity = page->capacity();
        if (page->count() == capacity)
            page = &resize(i, std::min<std::size_t>(
                                  capacity + std::max<std::size_t>(capacity / 5, 2), linear_max_));
        Entry entry;
        entry.name(tag);
        page->append(entry);
        return page->at(page->count() - 1);
    }
    while (page->count() >= kPageEntriesMax) {
        split(i);
        i = index_of(tag.high);
        page = page_at(i);
    }
    if (page->full()) {
        page = &resize(i, page->capacity() + page->capacity() / 8 + 1);
        page->spread();
    }
    return page->make_place(tag);
}

void TagMap::erase(Tag tag) {
    const auto i = index_of(tag.high);
    auto* page = page_at(i);
    auto* entry = find_in(*page, tag);
    ensure(entry != nullptr, "what is erased is there");
    if (entry->expires()) drop_expiry(tag);
    if (hashed_)
        page->take(tag);
    else
        page->take_from_list(tag);
    --count_;
    if (count_ == 0) {
        clear();
        return;
    }
    if (hashed_ && page->sparse()) {
        page->pack();
        resize(i, Page::roomy(page->count() * 5 / 4)).spread();
    }
}

std::uint64_t TagMap::scan(std::uint64_t from, std::size_t count, std::vector<Entry*>& into) const {
    if (count_ == 0) return 0;
    const auto had = into.size();
    for (auto i = index_of(from); i < pages();) {
        const auto begin = static_cast<std::ptrdiff_t>(into.size());
        page_at(i)->for_each([&](Entry& entry) {
            if (entry.hash >= from) into.push_back(&entry);
        });
        if (!hashed_) std::ranges::sort(into.begin() + begin, into.end(), {}, &Entry::hash);
        if (into.size() - had > count) {
            // Entries of one hash stay together: the cursor cannot stand between them.
            auto end = had + count;
            while (end < into.size() && end > had && into[end]->hash == into[end - 1]->hash) ++end;
            if (end < into.size()) {
                const auto next = into[end]->hash;
                into.resize(end);
                return next;
            }
        }
        i = behind(i);
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
    page->for_each([&](const Entry& entry) {
        if (entry.hash >= from) entries.push_back(entry);
    });
    if (page->beside != nullptr)
        for (const auto& expiry : page->beside->sorted)
            if (expiry.tag.high >= from) expiries.push_back(expiry);
    const auto next = behind(i);
    return next < pages() ? static_cast<std::uint64_t>(next) << (64 - depth_) : 0;
}

void TagMap::fill(std::span<const Entry> entries, bool as_list) {
    if (entries.empty()) return;
    if (count_ != 0 || entries.size() > kPageEntriesMax) {
        for (const auto& entry : entries) insert(entry.tag()) = entry;
        return;
    }
    const auto count = entries.size();
    hashed_ = !as_list || count > linear_max_;
    count_ = static_cast<std::uint32_t>(count);
    auto* page = Page::make(hashed_ ? Page::roomy(count) : count, 0);
    root_ = page;
    for (const auto& entry : entries) page->append(entry);
    if (!hashed_) return;
    // Images of earlier builds hold them in another order.
    if (!std::ranges::is_sorted(entries, in_order)) page->sort();
    page->spread();
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
        return &page->at(place_in(page->count()));
    }
    // Empty places are thrown again: going on to the next full one would favour what stands behind
    // a gap. Pages that lost most of theirs have room to spare, so there is an end to it.
    constexpr int kThrowsMax = 256;
    for (int throws = 0; throws < kThrowsMax; ++throws) {
        auto* page = page_at(index_of(throw_again()));
        auto& entry = page->at(place_in(page->capacity()));
        if (!entry.empty()) return &entry;
    }
    auto i = index_of(throw_again());
    while (page_at(i)->count() == 0) i = i + 1 == pages() ? 0 : i + 1;
    auto* page = page_at(i);
    auto place = place_in(page->capacity());
    while (page->at(place).empty()) place = place + 1U == page->capacity() ? 0 : place + 1;
    return &page->at(place);
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
    if (page->beside == nullptr) page->beside = new Page::Beside;
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
        i = behind(i);
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
    if (root_ == nullptr) return;
    const auto* page = reinterpret_cast<const std::byte*>(page_at(index_of(tag.high)));
    // The header, and the chunks' places behind it.
    __builtin_prefetch(page);
    __builtin_prefetch(page + 64);
}

void TagMap::prefetch_slot(Tag tag) const {
    if (hashed_) page_at(index_of(tag.high))->prefetch(tag.high);
}

}  // namespace firnlog::engine
