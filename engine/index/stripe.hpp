#pragma once
// stripe_of: which of the 16384 stripes a key belongs to; equal to Redis Cluster's hash slot.
//
// CRC-16/XMODEM of the key, or of what stands between the first '{' and the next '}' if that is not
// empty, so that a client can keep keys together. Part of the client protocol: never changes.
// Source: Redis Cluster specification, "Hash tags".

#include <cstdint>
#include <string_view>

#include "engine/address.hpp"

namespace firnlog::engine {

[[nodiscard]] std::uint16_t crc16(std::string_view bytes) noexcept;
[[nodiscard]] Stripe stripe_of(std::string_view key) noexcept;

}  // namespace firnlog::engine
