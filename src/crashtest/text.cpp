#include "src/crashtest/text.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace firnlog::crashtest {

std::string printable(std::string_view bytes, std::size_t bytes_max) {
    std::string out;
    for (const char byte : bytes.substr(0, bytes_max))
        out += byte >= ' ' && byte <= '~' ? byte : '.';
    return bytes.size() > bytes_max ? out + "... (" + std::to_string(bytes.size()) + " bytes)"
                                    : out;
}

std::vector<std::string> split(std::string_view text, char at) {
    std::vector<std::string> out;
    while (!text.empty()) {
        const auto end = std::min(text.find(at), text.size());
        if (end != 0) out.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

std::string lower(std::string_view text) {
    std::string out;
    for (const char byte : text)
        out += static_cast<char>(std::tolower(static_cast<unsigned char>(byte)));
    return out;
}

std::string plural(std::uint64_t number, std::string_view noun) {
    auto out = grouped(number) + " " + std::string(noun);
    if (number == 1) return out;
    if (noun.ends_with('y')) {
        out.pop_back();
        return out + "ies";
    }
    return out + "s";
}

std::string grouped(std::uint64_t number) {
    auto out = std::to_string(number);
    for (auto at = static_cast<std::ptrdiff_t>(out.size()) - 3; at > 0; at -= 3)
        out.insert(static_cast<std::size_t>(at), ",");
    return out;
}

std::optional<std::uint64_t> number_of(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace firnlog::crashtest
