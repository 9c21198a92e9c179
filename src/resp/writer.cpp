#include "src/resp/writer.hpp"

#include <array>
#include <cstring>
#include <string>

#include "io/base/ensure.hpp"
#include "src/text/numbers.hpp"

namespace firnlog::server::resp {

namespace {

constexpr std::size_t kHeaderBytesMax = 1 + text::kIntegerBytesMax + 2;

inline char* put(char* to, std::string_view bytes) noexcept {
    std::memcpy(to, bytes.data(), bytes.size());
    return to + bytes.size();
}

inline char* put_line_end(char* to) noexcept {
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

inline char* put_header(char* to, char kind, std::int64_t value) noexcept {
    *to++ = kind;
    if (value >= 0 && value < 10) {
        *to++ = static_cast<char>('0' + value);
    } else {
        to = text::print_i64(to, value);
    }
    return put_line_end(to);
}

// How an aggregate is announced: RESP2 knows arrays only, with a map's pairs laid flat.
char* put_aggregate(char* to, char kind, std::size_t elements, bool is_resp3) noexcept {
    const auto count = static_cast<std::int64_t>(elements);
    if (is_resp3) return put_header(to, kind, count);
    ensure(kind != '|', "attributes need RESP3");
    return put_header(to, '*', kind == '%' ? count * 2 : count);
}

bool is_control(char letter) noexcept {
    return static_cast<unsigned char>(letter) < ' ' || letter == '\x7f';
}

}  // namespace

void Writer::header(char kind, std::int64_t value) noexcept {
    if (char* const to = out_->room(kHeaderBytesMax)) out_->commit(put_header(to, kind, value));
}

void Writer::line(char kind, std::string_view text) noexcept {
    char* to = out_->room(text.size() + 3);
    if (to == nullptr) return;
    *to++ = kind;
    for (const char letter : text) *to++ = is_control(letter) ? ' ' : letter;
    out_->commit(put_line_end(to));
}

void Writer::aggregate(char kind, std::size_t elements) noexcept {
    if (char* const to = out_->room(kHeaderBytesMax)) {
        out_->commit(put_aggregate(to, kind, elements, is_resp3()));
    }
}

void Writer::error(std::string_view text) noexcept {
    while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
    line('-', text);
}

void Writer::bulk(std::string_view bytes) noexcept {
    char* to = out_->room(kHeaderBytesMax + bytes.size() + 2);
    if (to == nullptr) return;
    to = put_header(to, '$', static_cast<std::int64_t>(bytes.size()));
    out_->commit(put_line_end(put(to, bytes)));
}

std::span<char> Writer::bulk_room(std::size_t bytes) noexcept {
    char* to = out_->room(kHeaderBytesMax + bytes + 2);
    if (to == nullptr) return {};
    to = put_header(to, '$', static_cast<std::int64_t>(bytes));
    out_->commit(put_line_end(to + bytes));
    return {to, bytes};
}

void Writer::bulk_integer(std::int64_t value) noexcept {
    std::array<char, text::kIntegerBytesMax> digits;
    const char* const end = text::print_i64(digits.data(), value);
    bulk({digits.data(), static_cast<std::size_t>(end - digits.data())});
}

void Writer::verbatim(std::string_view text, std::string_view format) noexcept {
    if (!is_resp3()) return bulk(text);
    ensure(format.size() == 3);
    char* to = out_->room(kHeaderBytesMax + 4 + text.size() + 2);
    if (to == nullptr) return;
    to = put_header(to, '=', static_cast<std::int64_t>(text.size() + 4));
    to = put(to, format);
    *to++ = ':';
    out_->commit(put_line_end(put(to, text)));
}

void Writer::null() noexcept { out_->append(is_resp3() ? "_\r\n" : "$-1\r\n"); }

void Writer::null_array() noexcept { out_->append(is_resp3() ? "_\r\n" : "*-1\r\n"); }

void Writer::boolean(bool value) noexcept {
    if (is_resp3()) {
        out_->append(value ? "#t\r\n" : "#f\r\n");
    } else {
        integer(value ? 1 : 0);
    }
}

void Writer::number(double value) noexcept {
    std::array<char, text::kDoubleBytesMax> digits;
    const char* const end = text::print_double(digits.data(), value);
    const std::string_view shown(digits.data(), static_cast<std::size_t>(end - digits.data()));
    if (is_resp3()) {
        line(',', shown);
    } else {
        bulk(shown);
    }
}

void Writer::human_number(long double value) {
    const std::string shown = text::human(value);
    if (is_resp3()) {
        line(',', shown);
    } else {
        bulk(shown);
    }
}

void Writer::big_number(std::string_view digits) noexcept {
    if (is_resp3()) {
        line('(', digits);
    } else {
        bulk(digits);
    }
}

void Writer::close(Later later, std::size_t elements) noexcept {
    std::array<char, kHeaderBytesMax> header_bytes;
    const char* const end = put_aggregate(header_bytes.data(), later.kind, elements, is_resp3());
    out_->insert(later.offset,
                 {header_bytes.data(), static_cast<std::size_t>(end - header_bytes.data())});
}

}  // namespace firnlog::server::resp
