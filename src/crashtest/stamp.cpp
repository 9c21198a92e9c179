#include "src/crashtest/stamp.hpp"

#include <array>
#include <charconv>
#include <cstdio>
#include <span>

#include "io/base/crc32c.hpp"
#include "src/crashtest/random.hpp"

namespace firnlog::crashtest {
namespace {

constexpr std::string_view kHead = "ct1|";
constexpr std::size_t kCheckBytes = 8;

std::string check_of(std::string_view bytes) {
    char digits[kCheckBytes + 1];
    std::snprintf(digits, sizeof digits, "%08x", crc32c(std::as_bytes(std::span(bytes))));
    return {digits, kCheckBytes};
}

}  // namespace

std::string stamp_begins(std::string_view key, std::uint64_t sequence) {
    std::string out(kHead);
    return out.append(key).append("|").append(std::to_string(sequence)).append("|");
}

std::string stamped(std::string_view key, std::uint64_t sequence, std::size_t padding_bytes) {
    auto out = stamp_begins(key, sequence);
    Random random(sequence);
    out.reserve(out.size() + padding_bytes + kCheckBytes + 1);
    for (std::size_t i = 0; i < padding_bytes; i += 8) {
        auto bits = random.next();
        for (std::size_t j = i; j < i + 8 && j < padding_bytes; ++j, bits >>= 8U)
            out += static_cast<char>('a' + (bits & 15U));
    }
    out += '|';
    return out + check_of(out);
}

std::optional<Stamp> stamp_of(std::string_view value) {
    if (!value.starts_with(kHead) || value.size() < kHead.size() + kCheckBytes) return std::nullopt;
    const auto body = value.substr(0, value.size() - kCheckBytes);
    if (check_of(body) != value.substr(body.size())) return std::nullopt;
    const auto key_end = body.find('|', kHead.size());
    if (key_end == body.npos) return std::nullopt;
    Stamp out{.key = body.substr(kHead.size(), key_end - kHead.size())};
    const auto rest = body.substr(key_end + 1);
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), out.sequence);
    if (error != std::errc{} || end == rest.data() + rest.size() || *end != '|')
        return std::nullopt;
    return out;
}

}  // namespace firnlog::crashtest
