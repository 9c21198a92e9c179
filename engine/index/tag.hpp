#pragma once
// Tag: 68 bits of a keyed hash that stand for a key, or for an element of a collection, in memory.
//
// SET, DEL, EXISTS and TTL of a cold key go by the tag alone and read nothing, so the hash must be
// one whose collisions an attacker cannot make: SipHash-2-4 with 128 bits of output and a secret of
// the store. docs/adr has the odds. GET always compares the key itself; of an object, whose key
// lies in another record than its contents, 32 further bits of the hash are compared.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace firnlog::engine {

struct Tag {
    std::uint64_t high = 0;
    std::uint8_t low = 0;     // 4 bits
    std::uint32_t check = 0;  // no part of the tag: it has no room in the index
    bool operator==(const Tag& other) const { return high == other.high && low == other.low; }
};
static_assert(sizeof(Tag) == 16);

class Hasher {
  public:
    using Secret = std::array<std::byte, 16>;
    explicit Hasher(const Secret& secret) : secret_(secret) {}
    // Of the tag's high bits only these count: tests see how keys behave whose tags are one.
    Hasher(const Secret& secret, std::uint64_t kept) : secret_(secret), kept_(kept) {}
    [[nodiscard]] Tag tag(std::string_view text) const noexcept;

  private:
    Secret secret_;
    std::uint64_t kept_ = ~std::uint64_t{0};
};

}  // namespace firnlog::engine
