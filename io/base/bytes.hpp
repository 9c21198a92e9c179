#pragma once
// Bytes: little-endian loads and stores, varints and alignment; pure functions, no ownership.
//
// Every integer on disk is little-endian. Varints are LEB128: seven bits a byte, low bits first.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace firnlog {

static_assert(std::endian::native == std::endian::little,
              "the format is read and written in place");

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

template <class T>
requires std::is_trivially_copyable_v<T>
[[nodiscard]] inline T load(const std::byte* from) noexcept {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <class T>
requires std::is_trivially_copyable_v<T>
inline void store(std::byte* to, T value) noexcept { std::memcpy(to, &value, sizeof value); }

[[nodiscard]] inline Bytes as_bytes(std::string_view text) noexcept {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

[[nodiscard]] inline std::string_view as_text(Bytes bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <class T>
[[nodiscard]] constexpr T align_up(T value, T alignment) noexcept {
    return (value + alignment - 1) & ~(alignment - 1);
}

template <class T>
[[nodiscard]] constexpr T align_down(T value, T alignment) noexcept {
    return value & ~(alignment - 1);
}

// What is left without the zeros at its end; by blocks, for files that are mostly those.
[[nodiscard]] inline Bytes without_zeros_behind(Bytes bytes) noexcept {
    constexpr std::size_t kBlock = 4096;
    auto size = bytes.size();
    const auto is_zero = [](const std::byte* block) {
        return block[0] == std::byte{0} && std::memcmp(block, block + 1, kBlock - 1) == 0;
    };
    while (size >= kBlock && is_zero(bytes.data() + size - kBlock)) size -= kBlock;
    while (size > 0 && bytes[size - 1] == std::byte{0}) --size;
    return bytes.first(size);
}

inline constexpr std::size_t kVarintBytesMax = 10;

[[nodiscard]] constexpr std::size_t varint_bytes(std::uint64_t value) noexcept {
    return (static_cast<std::size_t>(std::bit_width(value | 1U)) + 6) / 7;
}

// Writes at most kVarintBytesMax bytes and returns the end.
inline std::byte* put_varint(std::byte* to, std::uint64_t value) noexcept {
    while (value >= 0x80) {
        *to++ = static_cast<std::byte>(value | 0x80);
        value >>= 7;
    }
    *to++ = static_cast<std::byte>(value);
    return to;
}

// Reads one varint from [from, end); returns the byte behind it, or nullptr when it is cut off, too
// long, or not the shortest form (each number has one encoding, so that bytes can be compared).
[[nodiscard]] inline const std::byte* get_varint(const std::byte* from, const std::byte* end,
                                                 std::uint64_t& value) noexcept {
    std::uint64_t result = 0;
    for (unsigned shift = 0; from != end && shift < 64; shift += 7) {
        const auto byte = static_cast<std::uint64_t>(*from++);
        if (shift == 63 && byte > 1) return nullptr;
        result |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (byte == 0 && shift != 0) return nullptr;
            value = result;
            return from;
        }
    }
    return nullptr;
}

}  // namespace firnlog
