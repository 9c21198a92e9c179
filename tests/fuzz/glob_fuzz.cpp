// The matcher against the meaning of a pattern written down as plainly as possible.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "io/base/ensure.hpp"
#include "src/text/fold.hpp"
#include "src/text/glob.hpp"

using firnlog::ensure;
using namespace firnlog::server::text;

namespace {

char folded(char letter, bool fold) { return fold ? lower(letter) : letter; }

// Cuts the first element off: "*", "?", "x", "\\x", "[...]", the last perhaps without its end.
std::string_view take_element(std::string_view& pattern) {
    std::size_t size = 1;
    if (pattern[0] == '\\' && pattern.size() >= 2) size = 2;
    if (pattern[0] == '[') {
        if (pattern.substr(1).starts_with('^')) ++size;
        while (size < pattern.size() && pattern[size] != ']') {
            const std::string_view rest = pattern.substr(size);
            const bool is_escape = rest[0] == '\\' && rest.size() >= 2;
            size += is_escape ? 2 : rest.size() >= 3 && rest[1] == '-' ? 3 : 1;
        }
        if (size < pattern.size()) ++size;
    }
    const std::string_view element = pattern.substr(0, size);
    pattern.remove_prefix(size);
    return element;
}

bool accepts(std::string_view element, char byte, bool fold) {
    if (element == "?") return true;
    if (element[0] != '[') {
        return folded(element.back(), fold) == folded(byte, fold);
    }
    element.remove_prefix(1);
    const bool negated = element.starts_with('^');
    if (negated) element.remove_prefix(1);
    bool hit = false;
    while (!element.empty() && element[0] != ']') {
        if (element[0] == '\\' && element.size() >= 2) {
            hit |= element[1] == byte;
            element.remove_prefix(2);
        } else if (element.size() >= 3 && element[1] == '-') {
            const auto [low, high] = std::minmax({element[0], element[2]});
            const char middle = folded(byte, fold);
            hit |= folded(low, fold) <= middle && middle <= folded(high, fold);
            element.remove_prefix(3);
        } else {
            hit |= folded(element[0], fold) == folded(byte, fold);
            element.remove_prefix(1);
        }
    }
    return hit != negated;
}

// Row by row over the pattern: which prefixes of the text are matched so far.
bool matches(std::string_view pattern, std::string_view text, bool fold) {
    if (text.empty()) return pattern.empty();
    std::vector<bool> row(text.size() + 1);
    row[0] = true;
    while (!pattern.empty()) {
        const std::string_view element = take_element(pattern);
        std::vector<bool> next(text.size() + 1);
        next[0] = element == "*" && row[0];
        for (std::size_t i = 0; i < text.size(); ++i) {
            next[i + 1] =
                element == "*" ? row[i + 1] || next[i] : row[i] && accepts(element, text[i], fold);
        }
        row = next;
    }
    return row[text.size()];
}

}  // namespace

// The first byte tells how long the pattern is.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
    std::string_view bytes(reinterpret_cast<const char*>(input), size);
    if (bytes.empty() || bytes.size() > 400) return 0;
    const std::size_t length = static_cast<unsigned char>(bytes[0]);
    bytes.remove_prefix(1);
    const std::string_view pattern = bytes.substr(0, length);
    const std::string_view text = bytes.substr(pattern.size());
    ensure(glob(pattern, text) == matches(pattern, text, false));
    ensure(glob(pattern, text, LetterCase::ignored) == matches(pattern, text, true));
    return 0;
}
