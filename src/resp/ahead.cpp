#include "src/resp/ahead.hpp"

namespace firnlog::server::resp {
namespace {

constexpr std::size_t kNumberMax = 1'000'000;
constexpr std::size_t kAheadArgumentsMax = 8;

// Reads "<kind><digits>\r\n" at `at`; false if that does not stand there.
bool read_header(std::string_view text, std::size_t& at, char kind, std::size_t& value) noexcept {
    if (at >= text.size() || text[at] != kind) return false;
    value = 0;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
        value = value * 10 + static_cast<std::size_t>(text[at] - '0');
        if (value > kNumberMax) return false;
    }
    if (at + 1 >= text.size() || text[at] != '\r') return false;
    at += 2;
    return true;
}

}  // namespace

std::size_t keys_ahead(std::string_view unread, std::span<KeyAhead> keys) noexcept {
    std::size_t found = 0;
    for (std::size_t at = 0; found < keys.size();) {
        std::size_t count = 0;
        if (!read_header(unread, at, '*', count) || count < 2 || count > kAheadArgumentsMax) break;
        std::string_view key;
        std::size_t sum = 0;
        for (std::size_t argument = 0; argument < count; ++argument) {
            std::size_t bytes = 0;
            if (!read_header(unread, at, '$', bytes) || unread.size() - at < bytes + 2)
                return found;
            if (argument == 1) key = unread.substr(at, bytes);
            at += bytes + 2;
            sum += bytes;
        }
        keys[found++] = {.key = key, .bytes = sum, .reads = count == 2};
    }
    return found;
}

}  // namespace firnlog::server::resp
