#pragma once
// Lsn, Timeline, Address: the three ways to name a place.
//
//   Lsn        a byte of the endless stream of frames; grows for ever, never names two things
//   within
//              a timeline. A record's lsn is implicit: its segment's base plus its place in it.
//   Timeline   grows after every unclean start, restore and promotion.
//   Address    where a record lies *now*: a file and an offset in units of 8 bytes. 48 bits, so
//   that an
//              index entry has room for the key's tag. Zero names nothing.

#include <compare>
#include <cstdint>

#include "io/base/ensure.hpp"

namespace firnlog::engine {

struct Lsn {
    std::uint64_t value = 0;
    auto operator<=>(const Lsn&) const = default;
    [[nodiscard]] constexpr Lsn operator+(std::uint64_t bytes) const { return {value + bytes}; }
    [[nodiscard]] constexpr std::uint64_t operator-(Lsn from) const { return value - from.value; }
};

// 1 PiB of log in a store's life: an Oid has room for no more (see Oid).
inline constexpr std::uint64_t kLsnBits = 50;

using Timeline = std::uint32_t;
using FileNumber = std::uint32_t;  // 1 … kFileNumberMax
inline constexpr FileNumber kFileNumberMax = (1U << 22) - 1;
inline constexpr std::uint64_t kFileBytesMax = (std::uint64_t{1} << 26) * 8;

inline constexpr std::uint32_t kStripes = 16384;
using Stripe = std::uint16_t;

class Address {
  public:
    constexpr Address() = default;
    constexpr Address(FileNumber file, std::uint64_t offset)
        : bits_((std::uint64_t{file} << 26) | (offset / 8)) {}
    [[nodiscard]] static constexpr Address from_bits(std::uint64_t bits) {
        Address address;
        address.bits_ = bits;
        return address;
    }
    [[nodiscard]] constexpr std::uint64_t bits() const { return bits_; }
    [[nodiscard]] constexpr FileNumber file() const { return static_cast<FileNumber>(bits_ >> 26); }
    [[nodiscard]] constexpr std::uint64_t offset() const {
        return (bits_ & ((std::uint64_t{1} << 26) - 1)) * 8;
    }
    [[nodiscard]] constexpr explicit operator bool() const { return bits_ != 0; }
    bool operator==(const Address&) const = default;

  private:
    std::uint64_t bits_ = 0;  // file number 22, offset / 8 in 26
};

// Names a collection or a big string for ever: the lsn at which it was created (it may lie just
// before its first record) and its home stripe, which never changes, so that a record of an element
// can be given to its stripe without knowing any state.
struct Oid {
    std::uint64_t value = 0;
    auto operator<=>(const Oid&) const = default;
    [[nodiscard]] static constexpr Oid make(Lsn created, Stripe home) {
        return {(created.value << 14) | home};
    }
    [[nodiscard]] constexpr Stripe home() const {
        return static_cast<Stripe>(value & (kStripes - 1));
    }
    [[nodiscard]] constexpr Lsn created() const { return {value >> 14}; }
    [[nodiscard]] constexpr explicit operator bool() const { return value != 0; }
};

using Kid = std::uint32_t;  // keyspace id: what a database number points at

}  // namespace firnlog::engine
