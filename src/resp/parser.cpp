#include "src/resp/parser.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"
#include "src/text/quote.hpp"

namespace firnlog::server::resp {

namespace {

// What a command of more arguments, or more quoted bytes, needed is not kept for the next.
constexpr std::size_t kKeptArguments = 1024;
// Smaller arguments are not worth telling the buffer about.
constexpr std::int64_t kAnnouncedBytesMin = 32 << 10;

// Reads the number of the header at `at`, behind its first byte, when it is of the common kind: at
// most nine digits without a leading zero, then CR and one more byte. Returns the place behind it,
// or nullptr: then the careful way decides.
inline const char* read_short_number(const char* at, const char* end,
                                     std::int64_t& value) noexcept {
    if (end - at < 3) return nullptr;
    auto number = static_cast<unsigned>(static_cast<unsigned char>(*at)) - '0';
    if (number > 9) return nullptr;
    ++at;
    if (number != 0) {
        const char* const last = end - at > 8 ? at + 8 : end;
        for (; at != last; ++at) {
            const unsigned digit = static_cast<unsigned>(static_cast<unsigned char>(*at)) - '0';
            if (digit > 9) break;
            number = number * 10 + digit;
        }
    }
    if (end - at < 2 || *at != '\r') return nullptr;
    value = static_cast<std::int64_t>(number);
    return at + 2;
}

bool is_http_request(std::string_view line, bool first) noexcept {
    constexpr std::array<std::string_view, 8> kMethods = {
        "POST ", "PUT ", "HEAD ", "OPTIONS ", "DELETE ", "PATCH ", "CONNECT ", "TRACE "};
    for (const std::string_view method : kMethods) {
        if (line.starts_with(method)) return true;
    }
    constexpr std::string_view kVersion = " HTTP/1.";
    return first && line.size() > kVersion.size() &&
           line.substr(line.size() - kVersion.size() - 1).starts_with(kVersion);
}

// Command names that only HTTP would send us; Redis knows the same two.
bool is_http_name(std::string_view name) noexcept {
    return (name.size() == 5 && text::equal_folded(name, "host:")) ||
           (name.size() == 4 && text::equal_folded(name, "post"));
}

}  // namespace

Status Parser::next(ReceiveBuffer& buffer) {
    if (end_ != Status::need_more) return end_;
    if (missing_ == 0) shrink();
    while (true) {
        const std::string_view unread = buffer.unread();
        if (unread.empty()) break;
        const bool is_line = missing_ == 0 && unread.front() != '*';
        const Step step = is_line ? read_line(unread) : read_array(buffer, unread);
        if (step == Step::need_more) break;
        if (step == Step::failed) return end_;
        buffer.consume(std::exchange(cursor_, 0));
        if (arguments_.empty()) continue;  // an empty line, "*0" and "*-1" ask for nothing
        if (is_http_name(arguments_.front())) return end_ = Status::close_silently;
        began_ = true;
        return Status::command;
    }
    buffer.trim();
    return Status::need_more;
}

Parser::Step Parser::read_line(std::string_view unread) {
    std::string_view line;
    const Step step = find_line_end(unread, '\n', "too big inline request", line);
    if (step != Step::go_on) return step;
    cursor_ = line.size() + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (is_http_request(line, !began_)) {
        end_ = Status::close_silently;
        return Step::failed;
    }
    if (!text::split_arguments(line, unquoted_, arguments_)) {
        return refuse("unbalanced quotes in request");
    }
    return Step::go_on;
}

Parser::Step Parser::read_array(ReceiveBuffer& buffer, std::string_view unread) {
    if (missing_ == 0) {
        places_.clear();
        arguments_.clear();
        if (const Step step = read_count(unread); step != Step::go_on) return step;
    }
    while (missing_ != 0) {
        if (bulk_ < 0) {
            if (const Step step = read_bulk_length(unread); step != Step::go_on) return step;
            const auto end = cursor_ + static_cast<std::size_t>(bulk_) + 2;
            if (bulk_ >= kAnnouncedBytesMin) buffer.expect(end);
        }
        const auto size = static_cast<std::size_t>(bulk_);
        if (unread.size() - cursor_ < size + 2) return Step::need_more;
        places_.push_back({.offset = cursor_, .size = size});
        cursor_ += size + 2;
        bulk_ = -1;
        --missing_;
    }
    for (const Place& place : places_) {
        arguments_.emplace_back(unread.data() + place.offset, place.size);
    }
    return Step::go_on;
}

// Leaves missing_ at 0 for an array that asks for nothing.
Parser::Step Parser::read_count(std::string_view unread) {
    const char* const begin = unread.data();
    std::int64_t count = 0;
    const std::int64_t count_max =
        limits_.authenticated ? kArgumentsMax : kUnauthenticatedArgumentsMax;
    if (const char* behind = read_short_number(begin + 1, begin + unread.size(), count);
        behind != nullptr && count <= count_max) {
        cursor_ = static_cast<std::size_t>(behind - begin);
        searched_ = 0;
    } else {
        std::string_view line;
        const Step step = find_line_end(unread, '\r', "too big mbulk count string", line);
        if (step != Step::go_on) return step;
        const auto parsed = text::parse_i64(line.substr(1));
        if (!parsed || *parsed > kArgumentsMax) return refuse("invalid multibulk length");
        if (*parsed > count_max) return refuse("unauthenticated multibulk length");
        count = *parsed;
        cursor_ += line.size() + 2;
    }
    missing_ = std::max<std::int64_t>(count, 0);
    return Step::go_on;
}

Parser::Step Parser::read_bulk_length(std::string_view unread) {
    const char* const begin = unread.data();
    const char* const end = begin + unread.size();
    const char* const at = begin + cursor_;
    const std::int64_t size_max =
        limits_.authenticated ? limits_.bulk_bytes_max
                              : std::min(limits_.bulk_bytes_max, kUnauthenticatedBulkBytesMax);
    if (at != end && *at == '$') {
        std::int64_t size = 0;
        const char* const behind = read_short_number(at + 1, end, size);
        if (behind != nullptr && size <= size_max) {
            bulk_ = size;
            cursor_ = static_cast<std::size_t>(behind - begin);
            searched_ = 0;
            return Step::go_on;
        }
    }
    std::string_view line;
    const Step step = find_line_end(unread, '\r', "too big bulk count string", line);
    if (step != Step::go_on) return step;
    if (*at != '$') {
        const bool shown = static_cast<unsigned char>(*at) >= ' ' && *at != '\x7f';
        return refuse(std::string("expected '$', got '") + (shown ? *at : ' ') + '\'');
    }
    const auto parsed = text::parse_i64(line.substr(1));
    if (!parsed || *parsed < 0 || *parsed > limits_.bulk_bytes_max) {
        return refuse("invalid bulk length");
    }
    if (*parsed > size_max) return refuse("unauthenticated bulk length");
    bulk_ = *parsed;
    cursor_ += line.size() + 2;
    return Step::go_on;
}

// The line at the cursor without its ending; a '\r' has one more byte behind it. The bound holds
// for the line, wherever the packets were split.
Parser::Step Parser::find_line_end(std::string_view unread, char ending, const char* too_big,
                                   std::string_view& line) {
    const std::string_view rest = unread.substr(cursor_);
    const std::size_t window = std::min(rest.size(), kLineBytesMax + 1);
    const std::size_t length = rest.substr(0, window).find(ending, searched_);
    if (length == std::string_view::npos) {
        searched_ = window;
        return window > kLineBytesMax ? refuse(too_big) : Step::need_more;
    }
    searched_ = length;
    if (ending == '\r' && length + 1 == rest.size()) return Step::need_more;
    searched_ = 0;
    line = rest.substr(0, length);
    return Step::go_on;
}

Parser::Step Parser::refuse(std::string_view what) {
    error_ = "ERR Protocol error: ";
    error_ += what;
    end_ = Status::error;
    return Step::failed;
}

void Parser::shrink() {
    if (arguments_.capacity() > kKeptArguments) {
        places_ = {};
        arguments_ = {};
    }
    if (unquoted_.capacity() > kKeptArguments) unquoted_ = {};
}

}  // namespace firnlog::server::resp
