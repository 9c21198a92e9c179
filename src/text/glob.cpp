#include "src/text/glob.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "src/text/fold.hpp"

namespace firnlog::server::text {

namespace {

constexpr std::size_t kNowhere = std::string_view::npos;

struct Element {
    std::size_t end;  // where the next element of the pattern begins
    bool matches;
};

class Matcher {
  public:
    Matcher(std::string_view pattern, LetterCase letters) noexcept
        : pattern_(pattern), ignore_(letters == LetterCase::ignored) {}

    // The element at `at`, which is no star, against one byte.
    [[nodiscard]] Element match(std::size_t at, char byte) const noexcept {
        switch (pattern_[at]) {
            case '?':
                return {at + 1, true};
            case '[':
                return match_class(at + 1, byte);
            case '\\':
                if (at + 1 < pattern_.size()) ++at;
                break;
            default:
                break;
        }
        return {at + 1, same(pattern_[at], byte)};
    }

  private:
    [[nodiscard]] char folded(char letter) const noexcept {
        return ignore_ ? lower(letter) : letter;
    }

    [[nodiscard]] bool same(char one, char other) const noexcept {
        return folded(one) == folded(other);
    }

    [[nodiscard]] bool between(char low, char high, char byte) const noexcept {
        // The bounds are put in order before they are folded.
        auto first = static_cast<signed char>(low);
        auto last = static_cast<signed char>(high);
        if (first > last) std::swap(first, last);
        const auto value = static_cast<signed char>(folded(byte));
        return static_cast<signed char>(folded(static_cast<char>(first))) <= value &&
               value <= static_cast<signed char>(folded(static_cast<char>(last)));
    }

    [[nodiscard]] Element match_class(std::size_t at, char byte) const noexcept {
        const std::size_t end = pattern_.size();
        const bool negated = at < end && pattern_[at] == '^';
        if (negated) ++at;
        bool found = false;
        while (at < end && pattern_[at] != ']') {
            if (pattern_[at] == '\\' && end - at >= 2) {
                found |= pattern_[at + 1] == byte;
                at += 2;
            } else if (end - at >= 3 && pattern_[at + 1] == '-') {
                found |= between(pattern_[at], pattern_[at + 2], byte);
                at += 3;
            } else {
                found |= same(pattern_[at], byte);
                at += 1;
            }
        }
        return {std::min(at + 1, end), found != negated};
    }

    std::string_view pattern_;
    bool ignore_;
};

}  // namespace

bool glob(std::string_view pattern, std::string_view text, LetterCase letters) noexcept {
    if (text.empty()) return pattern.empty();
    const Matcher matcher(pattern, letters);
    std::size_t at = 0;             // in the pattern
    std::size_t read = 0;           // in the text
    std::size_t resume = kNowhere;  // behind the last star
    std::size_t tried = 0;          // where the text behind that star was last assumed to go on
    while (read < text.size()) {
        if (at < pattern.size() && pattern[at] == '*') {
            resume = ++at;
            tried = read;
            if (at == pattern.size()) return true;
            continue;
        }
        const Element element =
            at < pattern.size() ? matcher.match(at, text[read]) : Element{at, false};
        if (element.matches) {
            at = element.end;
            ++read;
        } else if (resume != kNowhere) {
            at = resume;
            read = ++tried;
        } else {
            return false;
        }
    }
    while (at < pattern.size() && pattern[at] == '*') ++at;
    return at == pattern.size();
}

}  // namespace firnlog::server::text
