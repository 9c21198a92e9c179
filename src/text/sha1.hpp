#pragma once
// sha1: the digest Redis names things by (EVALSHA, DEBUG DIGEST); identity, not security.
//
// OpenSSL's libcrypto does the work. The algorithm is fetched once a process and the context reused
// once a thread, for DEBUG DIGEST hashes some twenty bytes a few times for every key.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace firnlog::server::text {

using Sha1 = std::array<std::uint8_t, 20>;

[[nodiscard]] Sha1 sha1(std::string_view bytes);

// Forty lower-case hexadecimal digits.
[[nodiscard]] std::string hex(const Sha1& digest);

}  // namespace firnlog::server::text
