#include "engine/index/stripe.hpp"

#include <array>
#include <cstring>

namespace firnlog::engine {

namespace {

// Eight tables, so that eight bytes cost eight independent look-ups instead of a chain of eight:
// kTables[n][b] is the CRC of byte b followed by n zero bytes.
using Tables = std::array<std::array<std::uint16_t, 256>, 8>;

constexpr Tables make_tables() {
    constexpr std::uint32_t kPolynomial = 0x1021;
    Tables tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t crc = byte << 8;
        for (int bit = 0; bit < 8; ++bit) crc = crc << 1 ^ ((crc & 0x8000) != 0 ? kPolynomial : 0);
        tables[0][byte] = static_cast<std::uint16_t>(crc);
    }
    for (std::size_t zeros = 1; zeros < tables.size(); ++zeros) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const std::uint32_t crc = tables[zeros - 1][byte];
            tables[zeros][byte] = static_cast<std::uint16_t>(crc << 8 ^ tables[0][crc >> 8]);
        }
    }
    return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

std::uint16_t crc16(std::string_view bytes) noexcept {
    std::uint32_t crc = 0;
    while (bytes.size() >= 8) {
        std::array<unsigned char, 8> eight;
        std::memcpy(eight.data(), bytes.data(), eight.size());
        crc = kTables[7][eight[0] ^ (crc >> 8)] ^ kTables[6][eight[1] ^ (crc & 0xff)] ^
              kTables[5][eight[2]] ^ kTables[4][eight[3]] ^ kTables[3][eight[4]] ^
              kTables[2][eight[5]] ^ kTables[1][eight[6]] ^ kTables[0][eight[7]];
        bytes.remove_prefix(8);
    }
    for (const char byte : bytes) {
        const auto index = (crc >> 8 ^ static_cast<unsigned char>(byte)) & 0xff;
        crc = (crc << 8 & 0xffff) ^ kTables[0][index];
    }
    return static_cast<std::uint16_t>(crc);
}

Stripe stripe_of(std::string_view key) noexcept {
    if (const auto open = key.find('{'); open != std::string_view::npos) {
        const auto close = key.find('}', open + 1);
        if (close != std::string_view::npos && close != open + 1) {
            key = key.substr(open + 1, close - open - 1);
        }
    }
    return static_cast<Stripe>(crc16(key) % kStripes);
}

}  // namespace firnlog::engine
