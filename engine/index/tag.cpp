#include "engine/index/tag.hpp"

#include <sodium/crypto_shorthash.h>

#include "io/base/bytes.hpp"

namespace firnlog::engine {

Tag Hasher::tag(std::string_view text) const noexcept {
    std::byte out[crypto_shorthash_siphashx24_BYTES];
    static_assert(sizeof out == 16);
    crypto_shorthash_siphashx24(reinterpret_cast<unsigned char*>(out),
                                reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                                reinterpret_cast<const unsigned char*>(secret_.data()));
    const auto low = load<std::uint8_t>(out + 8) & kept_ & 15;
    return {.high = load<std::uint64_t>(out) & kept_,
            .low = static_cast<std::uint8_t>(low),
            .check = load<std::uint32_t>(out + 12)};
}

}  // namespace firnlog::engine
