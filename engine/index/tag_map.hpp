#pragma once
// TagMap: from tag to address, unordered, in pages of at most 1024 entries.
//
//   root ──> page                              depth 0
//   root ──> [ page, page, page, page ]        depth 2: chosen by the hash's first bits
//
// A page (engine/index/page.hpp) is the unit of growth and of imaging: it grows by
// an eighth when it is full and splits in two past 1024 entries, so that no operation ever touches
// more than one page, whatever the size of the map (the directory of pointers doubles, 8 bytes a
// page). Up to `linear_max` entries the only page is a list in order of insertion: small hashes
// list their fields as Redis does. Above that it is sorted by tag, with gaps.
//
// Expiry times lie beside the page, only for keys that have one.
//
// Not thread-safe: guarded by the lock of the stripe it belongs to. Pointers to entries are good
// until the next insert or erase. Source: R. Fagin et al., Extendible Hashing.

#include <cstdint>
#include <span>
#include <vector>

#include "engine/index/page.hpp"

namespace firnlog::engine {

class TagMap {
  public:
    static constexpr std::size_t kPageEntriesMax = Page::kEntriesMax;

    explicit TagMap(std::uint16_t linear_max) : linear_max_(linear_max) {}
    TagMap(const TagMap&) = delete;
    TagMap& operator=(const TagMap&) = delete;
    ~TagMap() { clear(); }

    [[nodiscard]] std::size_t size() const { return count_; }
    // In order of insertion still?
    [[nodiscard]] bool linear() const { return depth_ == 0 && count_ <= linear_max_ && !hashed_; }
    [[nodiscard]] std::size_t memory_bytes() const;

    [[nodiscard]] Entry* find(Tag tag) const;
    // The tag is not in the map. The entry has its name and points nowhere: the caller sets that.
    Entry& insert(Tag tag);
    void erase(Tag tag);
    void clear();
    void swap(TagMap& other) noexcept;  // of a map of the same kind

    // Any order but while linear(); `visit` may not insert or erase.
    template <class Visit>
    void for_each(Visit&& visit) const {
        for (std::size_t i = 0; i < pages(); ++i) {
            auto* page = page_at(i);
            if (page == nullptr || (i > 0 && page == page_at(i - 1))) continue;
            page->for_each(visit);
        }
    }

    // At least `count` entries (or all that are left) whose hash is at least `from`, none of them
    // left out, and the hash to go on from; 0 when there are no more. An entry that is there all
    // the time is met whatever grows or shrinks meanwhile, because the cursor is a place among the
    // hashes.
    [[nodiscard]] std::uint64_t scan(std::uint64_t from, std::size_t count,
                                     std::vector<Entry*>& into) const;
    // The entries of one page whose hash is at least `from`, and their expiry times, appended; and
    // the hash where the next page begins, 0 after the last one. While linear() the page is the
    // whole map, in order. A page at a time it goes through everything that is there all the time,
    // whatever splits or shrinks meanwhile, because the cursor is a place among the hashes.
    [[nodiscard]] std::uint64_t copy_page(std::uint64_t from, std::vector<Entry>& entries,
                                          std::vector<Expiry>& expiries) const;
    // Entries as copy_page gave them (as_list: of a linear map), none of them in the map yet.
    void fill(std::span<const Entry> entries, bool as_list);
    // Some entry; `dice` are random bits. Null if empty.
    [[nodiscard]] Entry* random(std::uint64_t dice) const;

    // ---- Expiry, of entries that are in the map.
    [[nodiscard]] const Expiry* expiry(Tag tag) const;
    void set_expiry(Tag tag, std::int64_t at_ms, Lsn lsn);
    void drop_expiry(Tag tag);
    // Tags of up to `count` entries due at `now_ms`, skipping pages with nothing due.
    void due(std::int64_t now_ms, std::size_t count, std::vector<Tag>& into) const;

    // Fetches ahead what find() will touch, so that it does not wait for memory: first the page,
    // and a little later the place in it.
    void prefetch_page(Tag tag) const;
    void prefetch_slot(Tag tag) const;

  private:
    [[nodiscard]] std::size_t pages() const {
        return root_ == nullptr ? 0 : std::size_t{1} << depth_;
    }
    [[nodiscard]] Page* page_at(std::size_t i) const {
        return depth_ == 0 ? static_cast<Page*>(root_) : static_cast<Page**>(root_)[i];
    }
    void set_page(std::size_t i, Page* page) {
        if (depth_ == 0)
            root_ = page;
        else
            static_cast<Page**>(root_)[i] = page;
    }
    [[nodiscard]] std::size_t index_of(std::uint64_t hash) const {
        return depth_ == 0 ? 0 : hash >> (64 - depth_);
    }
    // How many places of the directory lead to the page.
    [[nodiscard]] std::size_t copies_of(const Page& page) const {
        return std::size_t{1} << (depth_ - page.depth());
    }
    // The next page's place, behind place i.
    [[nodiscard]] std::size_t behind(std::size_t i) const {
        const auto copies = copies_of(*page_at(i));
        return align_down(i, copies) + copies;
    }
    [[nodiscard]] Entry* find_in(Page& page, Tag tag) const {
        return hashed_ ? page.find(tag) : page.find_in_list(tag);
    }
    [[nodiscard]] Page& resize(std::size_t i, std::size_t capacity);
    void split(std::size_t i);
    [[nodiscard]] static Expiry* expiry_in(const Page& page, Tag tag);

    void* root_ = nullptr;
    std::uint32_t count_ = 0;
    std::uint16_t linear_max_;
    std::uint8_t depth_ = 0;
    bool hashed_ = false;
};
static_assert(sizeof(TagMap) == 16);

}  // namespace firnlog::engine
