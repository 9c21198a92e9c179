#include "src/text/json.hpp"

#include <charconv>
#include <cmath>

#include "io/base/ensure.hpp"

namespace firnlog::server::text {
namespace {

// The length of the UTF-8 sequence at the front, or 0 when there is none (Unicode, table 3-7).
std::size_t sequence(std::string_view text) {
    const auto byte = [&](std::size_t at) {
        return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
    };
    const auto follows = [&](std::size_t at) { return (byte(at) & 0xc0U) == 0x80U; };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        const bool overlong = first == 0xe0 && byte(1) < 0xa0;
        const bool surrogate = first == 0xed && byte(1) > 0x9f;
        return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        const bool overlong = first == 0xf0 && byte(1) < 0x90;
        const bool beyond = first == 0xf4 && byte(1) > 0x8f;
        return follows(1) && follows(2) && follows(3) && !overlong && !beyond ? 4 : 0;
    }
    return 0;
}

}  // namespace

Json& Json::begin(char kind) {
    before_value();
    text_ += kind;
    open_ += kind == '{' ? '}' : ']';
    first_ = true;
    return *this;
}

Json& Json::end() {
    ensure(!open_.empty() && !keyed_, "something is open, and no key waits for its value");
    text_ += open_.back();
    open_.pop_back();
    first_ = false;
    return *this;
}

Json& Json::key(std::string_view name) {
    ensure(!open_.empty() && open_.back() == '}' && !keyed_, "keys stand in objects");
    if (!first_) text_ += ',';
    append_string(name);
    text_ += ':';
    keyed_ = true;
    return *this;
}

Json& Json::string(std::string_view text) {
    before_value();
    append_string(text);
    return *this;
}

Json& Json::number(double value) {
    if (!std::isfinite(value)) return null();
    before_value();
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    text_.append(digits, end);
    return *this;
}

Json& Json::integer(std::uint64_t value) {
    before_value();
    text_ += std::to_string(value);
    return *this;
}

Json& Json::boolean(bool value) {
    before_value();
    text_ += value ? "true" : "false";
    return *this;
}

Json& Json::null() {
    before_value();
    text_ += "null";
    return *this;
}

void Json::before_value() {
    ensure(open_.empty() || open_.back() == ']' || keyed_, "in an object a key comes first");
    if (!keyed_ && !first_) text_ += ',';
    first_ = false;
    keyed_ = false;
}

void Json::append_string(std::string_view text) {
    constexpr std::string_view kHex = "0123456789abcdef";
    text_ += '"';
    while (!text.empty()) {
        const auto length = sequence(text);
        const auto byte = static_cast<unsigned char>(text.front());
        if (length == 0)
            text_ += "\xef\xbf\xbd";
        else if (byte == '"' || byte == '\\')
            (text_ += '\\') += text.front();
        else if (byte < 0x20 || byte == '<')  // '<', so that it may stand in a <script>
            ((text_ += "\\u00") += kHex[byte >> 4]) += kHex[byte & 15];
        else
            text_.append(text.substr(0, length));
        text.remove_prefix(length == 0 ? 1 : length);
    }
    text_ += '"';
}

}  // namespace firnlog::server::text
