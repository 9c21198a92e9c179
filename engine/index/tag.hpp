#pragma once
// Tag: 68 bits of a keyed hash that stand for a key, or for an element of a collection, in memory.
//
// SET, DEL, EXISTS and TTL of a cold key go by the tag alone and read nothing, so the hash must be
// one whose collisions an attacker cannot make: SipHash-2-4 with 128 bits of output and a secret of
// the store. docs/adr has the odds. GET always compares the key itself.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace firnlog::engine {

struct Tag {
    std::uint64_t high = 0;
    std::uint8_t low = 0;  // 4 bits
    bool operator==(const Tag&) const = default;
};

class Hasher {
  public:
    using Secret = std::array<std::byte, 16>;
    explicit Hasher(const Secret& secret) : secret_(secret) {}
    [[nodiscard]] Tag tag(std::string_view text) const noexcept;

  private:
    Secret secret_;
};

}  // namespace firnlog::engine
