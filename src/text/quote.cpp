#include "src/text/quote.hpp"

#include <cstddef>

#include "io/base/ensure.hpp"

namespace firnlog::server::text {

namespace {

constexpr bool is_blank(char letter) noexcept {
    return letter == ' ' || (letter >= '\t' && letter <= '\r');
}

// Ends a word outside quotes. Vertical tab and form feed do not, although they are skipped before
// one: so it has always been.
constexpr bool ends_word(char letter) noexcept {
    return letter == ' ' || letter == '\n' || letter == '\r' || letter == '\t';
}

constexpr int hex_value(char letter) noexcept {
    if (letter >= '0' && letter <= '9') return letter - '0';
    if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
    if (letter >= 'A' && letter <= 'F') return letter - 'A' + 10;
    return -1;
}

constexpr char escaped(char letter) noexcept {
    switch (letter) {
        case 'n':
            return '\n';
        case 'r':
            return '\r';
        case 't':
            return '\t';
        case 'b':
            return '\b';
        case 'a':
            return '\a';
        default:
            return letter;
    }
}

// Reads one argument that contains a quote, from its first byte, and appends it to `to`. Returns
// the place behind it, or npos when a quote stays open or is closed in the middle of a word.
std::size_t unquote(std::string_view line, std::size_t at, std::string& to) {
    char quote = '\0';
    for (; at < line.size(); ++at) {
        const char letter = line[at];
        if (quote == '\0') {
            if (ends_word(letter)) return at;
            if (letter == '"' || letter == '\'') {
                quote = letter;
            } else {
                to.push_back(letter);
            }
            continue;
        }
        if (letter == quote) {
            ++at;
            return at == line.size() || is_blank(line[at]) ? at : std::string_view::npos;
        }
        const std::size_t left = line.size() - at;
        if (letter == '\\' && quote == '"' && left >= 4 && line[at + 1] == 'x' &&
            hex_value(line[at + 2]) >= 0 && hex_value(line[at + 3]) >= 0) {
            to.push_back(static_cast<char>(hex_value(line[at + 2]) * 16 + hex_value(line[at + 3])));
            at += 3;
        } else if (letter == '\\' && quote == '"' && left >= 2) {
            to.push_back(escaped(line[++at]));
        } else if (letter == '\\' && quote == '\'' && left >= 2 && line[at + 1] == '\'') {
            to.push_back(line[++at]);
        } else {
            to.push_back(letter);
        }
    }
    return quote == '\0' ? at : std::string_view::npos;
}

}  // namespace

void append_quoted(std::string& to, std::string_view bytes) {
    constexpr std::string_view kHex = "0123456789abcdef";
    to.reserve(to.size() + bytes.size() + 2);
    to.push_back('"');
    for (const char byte : bytes) {
        switch (byte) {
            case '\\':
            case '"':
                to.append({'\\', byte});
                break;
            case '\n':
                to.append("\\n");
                break;
            case '\r':
                to.append("\\r");
                break;
            case '\t':
                to.append("\\t");
                break;
            case '\a':
                to.append("\\a");
                break;
            case '\b':
                to.append("\\b");
                break;
            default:
                if (byte >= ' ' && byte <= '~') {
                    to.push_back(byte);
                } else {
                    const auto code = static_cast<unsigned char>(byte);
                    to.append({'\\', 'x', kHex[code >> 4], kHex[code & 15]});
                }
        }
    }
    to.push_back('"');
}

std::string quoted(std::string_view bytes) {
    std::string text;
    append_quoted(text, bytes);
    return text;
}

bool split_arguments(std::string_view line, std::string& unquoted,
                     std::vector<std::string_view>& arguments) {
    arguments.clear();
    unquoted.clear();
    // Views into `unquoted` stay good only because it never moves: undoing quotes makes shorter.
    unquoted.reserve(line.size());
    const char* const home = unquoted.data();
    std::size_t at = 0;
    while (true) {
        while (at < line.size() && is_blank(line[at])) ++at;
        if (at == line.size()) break;
        std::size_t end = at;
        while (end < line.size() && !ends_word(line[end]) && line[end] != '"' &&
               line[end] != '\'') {
            ++end;
        }
        if (end == line.size() || ends_word(line[end])) {
            arguments.push_back(line.substr(at, end - at));
            at = end;
            continue;
        }
        const std::size_t begin = unquoted.size();
        at = unquote(line, at, unquoted);
        if (at == std::string_view::npos) return false;
        arguments.emplace_back(home + begin, unquoted.size() - begin);
    }
    ensure(unquoted.data() == home);
    return true;
}

std::optional<std::vector<std::string>> split_arguments(std::string_view line) {
    std::string unquoted;
    std::vector<std::string_view> views;
    if (!split_arguments(line, unquoted, views)) return std::nullopt;
    return std::vector<std::string>(views.begin(), views.end());
}

}  // namespace firnlog::server::text
