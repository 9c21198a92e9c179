#include "engine/index/page.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>
#include <utility>

#include "io/base/memory.hpp"

namespace firnlog::engine {
namespace {

// Of a hundred places of a sorted page, how many may be taken before it grows. The walk to a tag is
// 1 / (1 - load) / 4 places long on average (docs/adr/0009).
constexpr std::size_t kLoadMax = 88;

// Entries of one line of the cache.
constexpr std::size_t kLine = 64 / sizeof(Entry);

bool before(Tag a, Tag b) { return a.high != b.high ? a.high < b.high : a.low < b.low; }

// What is new is zero.
void* resized(void* memory, std::size_t had, std::size_t wanted) {
    auto* now = static_cast<std::byte*>(resize_memory(memory, wanted));
    if (now == nullptr) throw std::bad_alloc();
    if (wanted > had) std::memset(now + had, 0, wanted - had);
    return now;
}

}  // namespace

// Sizes that the allocator has a class for (four steps a doubling), so that growing by a step
// wastes nothing: all of the page is 2^k × {4, 5, 6, 7} / 4 bytes; with chunks, the last one is.
std::size_t Page::rounded(std::size_t capacity) {
    if (capacity > kInlineMax) return align_up(capacity, std::size_t{8});
    const auto bytes = sizeof(Page) + capacity * sizeof(Entry);
    const auto step = std::size_t{1} << (std::bit_width(bytes - 1) - 3);
    const auto whole = std::max<std::size_t>((bytes + step - 1) / step * step, 64);
    return whole / sizeof(Entry) - 1;
}

std::size_t Page::header_bytes(std::size_t capacity) {
    return sizeof(Page) + (capacity <= kInlineMax ? capacity * sizeof(Entry)
                                                  : chunks_of(capacity) * sizeof(Entry*));
}

std::size_t Page::chunk_entries(std::size_t capacity, std::size_t chunk) {
    return std::min(kChunk, capacity - chunk * kChunk);
}

Page* Page::make(std::size_t wanted, unsigned depth) {
    const auto capacity = rounded(wanted);
    ensure(capacity <= UINT16_MAX, "a page has a bound");
    auto* page = static_cast<Page*>(resized(nullptr, 0, header_bytes(capacity)));
    page->depth_ = static_cast<std::uint8_t>(depth);
    page->capacity_ = static_cast<std::uint16_t>(capacity);
    for (std::size_t i = 0; capacity > kInlineMax && i < chunks_of(capacity); ++i)
        page->chunks()[i] =
            static_cast<Entry*>(resized(nullptr, 0, chunk_entries(capacity, i) * sizeof(Entry)));
    return page;
}

Page* Page::resize(Page* page, std::size_t wanted) {
    const auto capacity = rounded(wanted);
    const std::size_t had = page->capacity_;
    ensure(capacity <= UINT16_MAX && capacity >= page->count_, "a page has a bound");
    if (had > kInlineMax && capacity > kInlineMax) {
        const auto last = chunks_of(had);
        const auto end = chunks_of(capacity);
        for (auto i = end; i < last; ++i) std::free(page->chunks()[i]);
        page = static_cast<Page*>(resized(page, header_bytes(had), header_bytes(capacity)));
        for (auto i = std::min(last, end) - 1; i < end; ++i) {
            auto*& chunk = page->chunks()[i];
            const auto entries = i < last ? chunk_entries(had, i) : 0;
            chunk = static_cast<Entry*>(resized(chunk, entries * sizeof(Entry),
                                                chunk_entries(capacity, i) * sizeof(Entry)));
        }
    } else if (had <= kInlineMax && capacity <= kInlineMax) {
        page = static_cast<Page*>(resized(page, header_bytes(had), header_bytes(capacity)));
    } else {
        auto* other = make(capacity, page->depth_);
        for (std::size_t i = 0; i < std::min(had, capacity); ++i) other->at(i) = page->at(i);
        other->count_ = page->count_;
        other->beside = std::exchange(page->beside, nullptr);
        free(page);
        return other;
    }
    page->capacity_ = static_cast<std::uint16_t>(capacity);
    return page;
}

void Page::free(Page* page) {
    if (page->capacity_ > kInlineMax)
        for (std::size_t i = 0; i < chunks_of(page->capacity_); ++i) std::free(page->chunks()[i]);
    delete page->beside;
    std::free(page);
}

std::size_t Page::roomy(std::size_t count) { return count * 100 / kLoadMax + count / 16 + 3; }

bool Page::full() const { return (count_ + std::size_t{1}) * 100 > capacity_ * kLoadMax; }

bool Page::sparse() const { return capacity_ > 32 && count_ * 10 < capacity_ * 4; }

std::size_t Page::memory_bytes() const {
    auto bytes = header_bytes(capacity_);
    if (capacity_ > kInlineMax) bytes += capacity_ * sizeof(Entry);
    if (beside != nullptr) bytes += sizeof(Beside) + beside->sorted.capacity() * sizeof(Expiry);
    return bytes;
}

Entry* Page::find_in_list(Tag tag) {
    const Places at(*this);
    for (std::size_t i = 0; i < count_; ++i)
        if (at[i].hash == tag.high && at[i].is(tag)) return &at[i];
    return nullptr;
}

void Page::take_from_list(Tag tag) {
    const Places at(*this);
    std::size_t i = 0;
    while (!at[i].is(tag)) ++i;
    for (--count_; i < count_; ++i) at[i] = at[i + 1];
    at[count_] = Entry{};
}

void Page::sort() {
    std::vector<Entry> entries;
    entries.reserve(count_);
    for_each([&](const Entry& entry) { entries.push_back(entry); });
    std::ranges::sort(entries, before, &Entry::tag);
    const Places at(*this);
    for (std::size_t i = 0; i < count_; ++i) at[i] = entries[i];
}

std::size_t Page::locate(const Places& at, Tag tag) const {
    auto i = home(tag.high);
    if (at[i].empty()) return i;
    if (before(at[i].tag(), tag)) {
        do ++i;
        while (i < capacity_ && !at[i].empty() && before(at[i].tag(), tag));
        return i;
    }
    while (i > 0 && !at[i - 1].empty() && !before(at[i - 1].tag(), tag)) --i;
    return i;
}

Entry* Page::find(Tag tag) {
    const Places at(*this);
    const auto i = locate(at, tag);
    return i < capacity_ && at[i].is(tag) ? &at[i] : nullptr;
}

Entry& Page::make_place(Tag tag) {
    ensure(count_ < capacity_, "there is room for what comes");
    ++count_;
    const Places at(*this);
    auto i = locate(at, tag);
    // What stands between here and the nearest gap, on either side, steps aside.
    auto right = i;
    auto left = i;
    for (;;) {
        if (right < capacity_) {
            if (at[right].empty()) {
                for (; right > i; --right) at[right] = at[right - 1];
                break;
            }
            ++right;
        }
        if (left > 0 && at[--left].empty()) {
            for (--i; left < i; ++left) at[left] = at[left + 1];
            break;
        }
    }
    at[i].name(tag);
    return at[i];
}

void Page::take(Tag tag) {
    const Places at(*this);
    auto i = locate(at, tag);
    --count_;
    // Whoever stands to the right of home because this place was taken comes one nearer, then the
    // one behind, and so on; or else whoever stands to the left of it.
    const auto gap = i;
    for (; i + 1 < capacity_ && !at[i + 1].empty() && home(at[i + 1].hash) <= i; ++i)
        at[i] = at[i + 1];
    if (i == gap)
        for (; i > 0 && !at[i - 1].empty() && home(at[i - 1].hash) >= i; --i) at[i] = at[i - 1];
    at[i] = Entry{};
}

void Page::pack() {
    const Places at(*this);
    std::size_t to = 0;
    for (std::size_t i = 0; i < capacity_; ++i)
        if (!at[i].empty()) std::swap(at[to++], at[i]);
}

void Page::spread() {
    const Places at(*this);
    // All to the right end, where they stand one behind the other; from there each goes to its
    // home, or to the next place free, or as far to the left as those behind it need: the place it
    // leaves is the last that it could have.
    std::size_t begin = capacity_;
    for (std::size_t i = capacity_; i-- > 0;) {
        if (i >= kChunk && i % kLine == 0) __builtin_prefetch(&at[i - kChunk], 1);
        if (!at[i].empty()) at[--begin] = at[i];
    }
    std::size_t next = 0;
    for (auto i = begin; i < capacity_; ++i) {
        const auto entry = at[i];
        for (const auto to = std::min(home(entry.hash), i); next < to; ++next) at[next] = Entry{};
        at[next++] = entry;
    }
    for (; next < capacity_; ++next) at[next] = Entry{};
}

}  // namespace firnlog::engine
