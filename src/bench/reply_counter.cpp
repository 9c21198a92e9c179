#include "src/bench/reply_counter.hpp"

#include <charconv>

namespace firnlog::bench {

ReplyCounter::Seen ReplyCounter::look(std::string_view line) {
    if (line.size() < 2 || line.back() != '\r') return Seen::nonsense;
    const char kind = line.front();
    const std::string_view rest = line.substr(1, line.size() - 2);
    switch (kind) {
        case '+':
        case ':':
        case ',':
        case '#':
        case '(':
            return Seen::element;
        case '_':
            return Seen::null;
        case '-':
            return Seen::error;
        default:
            break;
    }
    std::int64_t number = 0;
    const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (parsed.ec != std::errc() || parsed.ptr != rest.data() + rest.size() || number < -1)
        return Seen::nonsense;
    switch (kind) {
        case '$':
        case '=':
        case '!':
            if (number == -1) return Seen::null;
            if (kind == '!') worst_ = Reply::error;
            skip_ = static_cast<std::uint64_t>(number) + 2;
            return Seen::skipping;
        case '*':
        case '~':
        case '>':
        case '%':
        case '|':
            break;
        default:
            return Seen::nonsense;
    }
    if (number == -1) return Seen::null;
    const auto elements = static_cast<std::uint64_t>(number) * (kind == '%' || kind == '|' ? 2 : 1);
    const auto opened = kind == '>'   ? Open::Kind::push
                        : kind == '|' ? Open::Kind::attribute
                                      : Open::Kind::aggregate;
    if (elements != 0) {
        open_.push_back({elements, opened});
        return Seen::opened;
    }
    return opened == Open::Kind::aggregate ? Seen::element : Seen::opened;
}

}  // namespace firnlog::bench
