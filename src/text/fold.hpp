#pragma once
// fold: letter case as the protocol sees it, ASCII alone and never the locale.

#include <cstddef>
#include <string_view>

namespace firnlog::server::text {

[[nodiscard]] constexpr char lower(char letter) noexcept {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + ('a' - 'A')) : letter;
}

[[nodiscard]] constexpr bool equal_folded(std::string_view one, std::string_view other) noexcept {
    if (one.size() != other.size()) return false;
    for (std::size_t at = 0; at < one.size(); ++at) {
        if (lower(one[at]) != lower(other[at])) return false;
    }
    return true;
}

}  // namespace firnlog::server::text
