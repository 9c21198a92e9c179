#pragma once
// TagMap: from tag to address, unordered, in pages of at most 4096 entries.
//
//   root ──> page                              depth 0
//   root ──> [ page, page, page, page ]        depth 2: chosen by the hash's first bits
//
// A page is the unit of growth, of imaging and of lazy loading: it grows by a quarter at load 0.9
// and splits in two when it is full, so that no operation ever touches more than one page, whatever
// the size of the map (the directory of pointers doubles, 8 bytes a page). Up to `linear_max`
// entries the only page is an array in order of insertion: small hashes list their fields as Redis
// does. Above that it is open-addressed by Robin Hood's rule: probes stay short at load 0.9 and end
// early for what is not there.
//
// Expiry times lie beside the page, only for keys that have one.
//
// Not thread-safe: guarded by the lock of the stripe it belongs to. Pointers to entries are good
// until the next insert or erase. Source: P. Celis, Robin Hood Hashing; R. Fagin et al., Extendible
// Hashing.

#include <cstdint>
#include <span>
#include <vector>

#include "engine/address.hpp"
#include "engine/index/tag.hpp"
#include "io/base/bytes.hpp"
#include "io/base/ensure.hpp"

namespace firnlog::engine {

// What an entry's address leads to.
enum class Type : std::uint8_t {
    string = 0,
    big_string = 1,
    hash = 2,
    list = 3,
    set = 4,
    zset = 5,
    stream = 6
};

// 16 bytes: the tag's 64 high bits; then from the top its 4 low bits, 8 bits of size class, a bit
// for an expiry time, 3 bits of type, and 48 bits of address, or of pointer for an object.
class Entry {
  public:
    std::uint64_t hash = 0;

    [[nodiscard]] bool empty() const { return (rest_ & kAddress) == 0; }
    [[nodiscard]] bool is(Tag tag) const {
        return hash == tag.high && (rest_ >> 60) == tag.low && !empty();
    }
    [[nodiscard]] Tag tag() const {
        return {.high = hash, .low = static_cast<std::uint8_t>(rest_ >> 60)};
    }
    [[nodiscard]] Type type() const { return static_cast<Type>((rest_ >> 48) & 7); }
    [[nodiscard]] bool expires() const { return ((rest_ >> 51) & 1) != 0; }
    [[nodiscard]] std::size_t size_hint() const { return size_of_class((rest_ >> 52) & 255); }
    [[nodiscard]] Address address() const { return Address::from_bits(rest_ & kAddress); }
    template <class T>
    [[nodiscard]] T* pointer() const {
        return reinterpret_cast<T*>(rest_ & kAddress);
    }

    void name(Tag tag) {
        hash = tag.high;
        rest_ = std::uint64_t{tag.low} << 60;
    }
    void point_at(Type type, Address address, std::size_t bytes) {
        set(type, address.bits(), class_of_size(bytes));
    }
    void point_at(Type type, const void* object) {
        set(type, reinterpret_cast<std::uint64_t>(object), 0);
    }
    void move_to(Address address) { rest_ = (rest_ & ~kAddress) | address.bits(); }
    void set_expires(bool expires) {
        rest_ = (rest_ & ~(std::uint64_t{1} << 51)) | (std::uint64_t{expires} << 51);
    }

    // The second half as it stands, for images of the index: an object's place is a pointer there,
    // which means nothing outside of this process.
    [[nodiscard]] std::uint64_t rest() const { return rest_; }
    [[nodiscard]] static Entry from_halves(std::uint64_t hash, std::uint64_t rest) {
        Entry entry;
        entry.hash = hash;
        entry.rest_ = rest;
        return entry;
    }

    // Sizes up to 1 KiB exactly, above within an eighth, rounded up.
    [[nodiscard]] static std::uint64_t class_of_size(std::size_t bytes);
    [[nodiscard]] static std::size_t size_of_class(std::uint64_t size_class);

  private:
    static constexpr std::uint64_t kAddress = (std::uint64_t{1} << 48) - 1;
    void set(Type type, std::uint64_t place, std::uint64_t size_class) {
        rest_ = (rest_ & ((std::uint64_t{15} << 60) | (std::uint64_t{1} << 51))) |
                (size_class << 52) | (static_cast<std::uint64_t>(type) << 48) | place;
    }
    std::uint64_t rest_ = 0;
};
static_assert(sizeof(Entry) == 16);

struct Expiry {
    Tag tag;
    std::int64_t at_ms = 0;
    Lsn lsn;  // of the record that set it, if that is not the key's own
};

class TagMap {
  public:
    static constexpr std::size_t kPageEntriesMax = 4096;

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

    // Any order but while linear(); `visit` may not insert or erase.
    template <class Visit>
    void for_each(Visit&& visit) const {
        for (std::size_t i = 0; i < pages(); ++i) {
            auto* page = page_at(i);
            if (page == nullptr || (i > 0 && page == page_at(i - 1))) continue;
            for (std::size_t slot = 0; slot < page->capacity; ++slot)
                if (!page->slots()[slot].empty()) visit(page->slots()[slot]);
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
    // Entries as copy_page gave them (in_order: of a linear map), none of them in the map yet.
    void fill(std::span<const Entry> entries, bool in_order);
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
    struct Beside {
        std::int64_t next_ms = INT64_MAX;  // no entry is due before
        std::vector<Expiry> sorted;        // by tag
    };
    struct Page {
        std::uint16_t count;
        std::uint16_t capacity;
        std::uint8_t depth;
        Beside* beside;
        [[nodiscard]] Entry* slots() { return reinterpret_cast<Entry*>(this + 1); }
        [[nodiscard]] const Entry* slots() const {
            return reinterpret_cast<const Entry*>(this + 1);
        }
    };
    static_assert(sizeof(Page) == 16);

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
    [[nodiscard]] static Page* make_page(std::size_t capacity, unsigned depth);
    static void free_page(Page* page);
    static void place(Page& page, Entry entry);
    [[nodiscard]] static std::size_t home(const Page& page, std::uint64_t hash);
    [[nodiscard]] Entry* find_in(Page& page, Tag tag) const;
    void erase_in(Page& page, Entry& entry);
    void rebuild(std::size_t i, std::size_t capacity);
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
