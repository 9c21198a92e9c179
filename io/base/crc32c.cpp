#include "io/base/crc32c.hpp"

#include <isa-l/crc.h>

namespace firnlog {
namespace {

// isa-l's checksum for AVX-512 leaves the upper halves of the vector registers in use. From then on
// each SSE instruction, of which all of our own code is made, keeps what they hold: it waits for
// whatever was written there last, often a load from memory that has nothing to do with it. (Intel,
// Optimization Reference Manual, Mixing SSE and AVX code.)
#if defined(__x86_64__)
[[gnu::target("avx")]] void let_go_of_upper_halves() noexcept { __builtin_ia32_vzeroupper(); }
const bool has_upper_halves = __builtin_cpu_supports("avx") != 0;

// isa-l's begins with some 10 ns of preparation, whatever the length: three times as much as the
// whole checksum of an lsn takes by the processor's own instruction, eight bytes at a time.
[[gnu::target("sse4.2")]] std::uint32_t short_crc(Bytes bytes, std::uint32_t crc) noexcept {
    for (; bytes.size() >= 8; bytes = bytes.subspan(8))
        crc = static_cast<std::uint32_t>(
            __builtin_ia32_crc32di(crc, load<std::uint64_t>(bytes.data())));
    for (; bytes.size() >= 4; bytes = bytes.subspan(4))
        crc = __builtin_ia32_crc32si(crc, load<std::uint32_t>(bytes.data()));
    for (const auto byte : bytes)
        crc = __builtin_ia32_crc32qi(crc, static_cast<unsigned char>(byte));
    return crc;
}
const std::size_t short_bytes = __builtin_cpu_supports("sse4.2") != 0 ? 64 : 0;
#else
void let_go_of_upper_halves() noexcept {}
constexpr bool has_upper_halves = false;
std::uint32_t short_crc(Bytes, std::uint32_t crc) noexcept { return crc; }
constexpr std::size_t short_bytes = 0;
#endif

}  // namespace

std::uint32_t crc32c(Bytes bytes, std::uint32_t seed) noexcept {
    if (bytes.size() <= short_bytes) return ~short_crc(bytes, ~seed);
    // isa-l takes an int length and a pointer to bytes it does not change.
    constexpr std::size_t kPieceMax = std::size_t{1} << 30;
    std::uint32_t crc = ~seed;
    while (!bytes.empty()) {
        const auto piece = bytes.first(bytes.size() < kPieceMax ? bytes.size() : kPieceMax);
        auto* data =
            const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(piece.data()));
        crc = crc32_iscsi(data, static_cast<int>(piece.size()), crc);
        bytes = bytes.subspan(piece.size());
    }
    if (has_upper_halves) let_go_of_upper_halves();
    return ~crc;
}

}  // namespace firnlog
