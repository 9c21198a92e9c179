#pragma once
// Entry: what the index knows of one key, element or object: who it is, and where its record lies.

#include <cstddef>
#include <cstdint>

#include "engine/address.hpp"
#include "engine/index/tag.hpp"

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

}  // namespace firnlog::engine
