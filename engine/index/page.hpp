#pragma once
// Page: up to 1024 entries of a TagMap, with their expiry times beside them.
//
//   capacity <= 63     [ header | entries ]
//   above              [ header | chunk, chunk, …, chunk ]     64 entries each, the last one fewer
//
// A page is kept in one of two ways, and its TagMap knows which. As a list: in order of insertion,
// without gaps, looked through from the beginning. Sorted: in the order of the tags, with gaps
// between. There each entry has a home, the place that its hash has when all hashes are spread over
// the page evenly, and stands as near to it as the order allows: *every place between an entry and
// its home is full*. So a look-up walks from the home towards the tag, and ends where the order or
// a gap says that it is not there, a few places on; what comes makes the entries up to the nearest
// gap step aside; and a page of another size is filled in one sweep, from one end to the other.
//
// Why chunks: pages grow by an eighth, all of the pages of a map at about the same time, and blocks
// of many sizes would leave holes in the allocator's hands, a third of the memory. Chunks are of
// one size but for each page's last.
//
// Not thread-safe. Pointers to entries are good until the next that comes or goes. Source: W. A.
// Litwin et al. on interpolation-based index maintenance; A. Itai, A. G. Konheim, M. Rodeh, A
// sparse table implementation of priority queues.

#include <cstdint>
#include <vector>

#include "engine/index/entry.hpp"
#include "io/base/bytes.hpp"
#include "io/base/ensure.hpp"

namespace firnlog::engine {

class Page {
  public:
    static constexpr std::size_t kEntriesMax = 1024;

    struct Beside {
        std::int64_t next_ms = INT64_MAX;  // no entry is due before
        std::vector<Expiry> sorted;        // by tag
    };

    // Empty, for that many entries or a few more. Throws std::bad_alloc.
    [[nodiscard]] static Page* make(std::size_t capacity, unsigned depth);
    // The same entries in the same places, and more of them at the end or fewer: what lies behind
    // is empty. The page itself may have moved.
    [[nodiscard]] static Page* resize(Page* page, std::size_t capacity);
    static void free(Page* page);
    // A capacity at which a sorted page of `count` has room for some more.
    [[nodiscard]] static std::size_t roomy(std::size_t count);

    [[nodiscard]] std::size_t count() const { return count_; }
    [[nodiscard]] std::size_t capacity() const { return capacity_; }
    // How many bits of the hash chose this page.
    [[nodiscard]] unsigned depth() const { return depth_; }
    [[nodiscard]] std::size_t memory_bytes() const;
    // A sorted page has no room for one more, or for far too many.
    [[nodiscard]] bool full() const;
    [[nodiscard]] bool sparse() const;

    [[nodiscard]] Entry& at(std::size_t i) { return Places(*this)[i]; }
    template <class Visit>
    void for_each(Visit&& visit) {
        const Places at(*this);
        for (std::size_t i = 0; i < capacity_; ++i)
            if (!at[i].empty()) visit(at[i]);
    }
    template <class Visit>
    void for_each(Visit&& visit) const {
        const Places at(const_cast<Page&>(*this));
        for (std::size_t i = 0; i < capacity_; ++i)
            if (!at[i].empty()) visit(static_cast<const Entry&>(at[i]));
    }

    // ---- As a list. There is room.
    void append(const Entry& entry) { at(count_++) = entry; }
    [[nodiscard]] Entry* find_in_list(Tag tag);
    void take_from_list(Tag tag);
    // From here on it is sorted.
    void sort();

    // ---- Sorted.
    [[nodiscard]] Entry* find(Tag tag);
    // A place for a tag that is not there, and has its name now. There is room.
    [[nodiscard]] Entry& make_place(Tag tag);
    void take(Tag tag);
    // Of entries that stand in order anywhere in the page: each goes to its place.
    void spread();
    // Of a sorted page, to the left end, so that it may be cut.
    void pack();
    void prefetch(std::uint64_t hash) { __builtin_prefetch(&at(home(hash)), 1); }

    Beside* beside = nullptr;

  private:
    static constexpr std::size_t kInlineMax = 63;
    static constexpr std::size_t kChunk = 64;

    // Both ways to lie in memory as one: an array of arrays.
    class Places {
      public:
        explicit Places(Page& page)
            : only_(page.inlined()), chunks_(page.inlines() ? &only_ : page.chunks()) {}
        Places(const Places&) = delete;
        Places& operator=(const Places&) = delete;
        Entry& operator[](std::size_t i) const { return chunks_[i / kChunk][i % kChunk]; }

      private:
        Entry* only_;
        Entry* const* chunks_;
    };

    [[nodiscard]] static std::size_t rounded(std::size_t capacity);
    [[nodiscard]] static std::size_t chunks_of(std::size_t capacity) {
        return (capacity + kChunk - 1) / kChunk;
    }
    [[nodiscard]] static std::size_t header_bytes(std::size_t capacity);
    [[nodiscard]] static std::size_t chunk_entries(std::size_t capacity, std::size_t chunk);
    [[nodiscard]] bool inlines() const { return capacity_ <= kInlineMax; }
    [[nodiscard]] Entry* inlined() { return reinterpret_cast<Entry*>(this + 1); }
    [[nodiscard]] Entry** chunks() { return reinterpret_cast<Entry**>(this + 1); }
    [[nodiscard]] std::size_t home(std::uint64_t hash) const {
        // The bits behind those that chose the page, scaled to the capacity.
        return static_cast<std::size_t>((((hash << depth_) >> 32) * capacity_) >> 32);
    }
    // Where the tag is, or else where it would stand: there, or right in front of it.
    [[nodiscard]] std::size_t locate(const Places& at, Tag tag) const;
    std::uint16_t count_ = 0;
    std::uint16_t capacity_ = 0;
    std::uint8_t depth_ = 0;
};
static_assert(sizeof(Page) == 16);

}  // namespace firnlog::engine
