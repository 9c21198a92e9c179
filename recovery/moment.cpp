#include "recovery/moment.hpp"

#include <array>
#include <charconv>
#include <chrono>

namespace firnlog::recovery {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kDayUs = 86'400 * kSecondUs;
// Ten thousand years: what is within it can be added without looking.
constexpr std::int64_t kTimeUsMax = 366 * 10'000 * kDayUs;

// Takes a text apart from its front; what does not fit leaves it as it is.
class Scanner {
  public:
    explicit Scanner(std::string_view text) : left_(text) {}

    [[nodiscard]] bool done() const { return left_.empty(); }
    bool take(std::string_view word) {
        if (!left_.starts_with(word)) return false;
        left_.remove_prefix(word.size());
        return true;
    }
    // Exactly so many digits; 0: as many as there are.
    std::optional<std::int64_t> number(std::size_t digits = 0) {
        std::size_t size = 0;
        while (size < left_.size() && left_[size] >= '0' && left_[size] <= '9') ++size;
        if (digits != 0) size = size >= digits ? digits : 0;
        std::int64_t value = 0;
        const auto [end, error] = std::from_chars(left_.data(), left_.data() + size, value);
        if (size == 0 || error != std::errc{}) return std::nullopt;
        left_.remove_prefix(size);
        return value;
    }
    // ".5" as microseconds; 0 where there is none. Digits behind the sixth count no more.
    std::optional<std::int64_t> fraction() {
        if (!take(".") && !take(",")) return 0;
        std::int64_t us = 0;
        std::size_t digits = 0;
        for (; !left_.empty() && left_[0] >= '0' && left_[0] <= '9'; left_.remove_prefix(1))
            if (++digits <= 6) us = us * 10 + (left_[0] - '0');
        if (digits == 0) return std::nullopt;
        for (; digits < 6; ++digits) us *= 10;
        return us;
    }

  private:
    std::string_view left_;
};

tl::unexpected<std::string> wrong(std::string text) { return tl::unexpected(std::move(text)); }

bool equal_folded(std::string_view word, std::string_view upper) {
    if (word.size() != upper.size()) return false;
    for (std::size_t i = 0; i < word.size(); ++i) {
        const char letter = word[i];
        if ((letter >= 'a' && letter <= 'z' ? letter - 'a' + 'A' : letter) != upper[i])
            return false;
    }
    return true;
}

// "-1h30m": so long ago.
std::optional<std::int64_t> parse_ago(Scanner scanner) {
    struct Unit {
        std::string_view name;
        std::int64_t us;
    };
    // "ms" before "m", which it begins with.
    static constexpr std::array<Unit, 6> kUnits{{{"ms", 1'000},
                                                 {"s", kSecondUs},
                                                 {"m", 60 * kSecondUs},
                                                 {"h", 3'600 * kSecondUs},
                                                 {"d", kDayUs},
                                                 {"w", 7 * kDayUs}}};
    std::int64_t ago_us = 0;
    do {
        const auto number = scanner.number();
        if (!number) return std::nullopt;
        std::int64_t unit_us = 0;
        for (const auto& unit : kUnits)
            if (unit_us == 0 && scanner.take(unit.name)) unit_us = unit.us;
        if (unit_us == 0 || *number > kTimeUsMax / unit_us) return std::nullopt;
        ago_us += *number * unit_us;
        if (ago_us > kTimeUsMax) return std::nullopt;
    } while (!scanner.done());
    return ago_us;
}

// What a zone adds to UTC, in seconds; none is UTC.
std::optional<std::int64_t> parse_zone(Scanner& scanner) {
    if (scanner.done()) return 0;
    if (scanner.take("Z") || scanner.take("z"))
        return scanner.done() ? std::optional<std::int64_t>(0) : std::nullopt;
    const bool west = scanner.take("-");
    if (!west && !scanner.take("+")) return std::nullopt;
    const auto hours = scanner.number(2);
    scanner.take(":");
    const auto minutes = scanner.done() ? std::optional<std::int64_t>(0) : scanner.number(2);
    if (!hours || !minutes || *hours > 23 || *minutes > 59 || !scanner.done()) return std::nullopt;
    const auto seconds = *hours * 3'600 + *minutes * 60;
    return west ? -seconds : seconds;
}

std::optional<std::int64_t> parse_iso(Scanner scanner) {
    const auto year = scanner.number(4);
    if (!year || !scanner.take("-")) return std::nullopt;
    const auto month = scanner.number(2);
    if (!month || !scanner.take("-")) return std::nullopt;
    const auto day = scanner.number(2);
    if (!day) return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)),
                                           std::chrono::month(static_cast<unsigned>(*month)),
                                           std::chrono::day(static_cast<unsigned>(*day))};
    if (!date.ok()) return std::nullopt;
    std::int64_t us = std::chrono::sys_days(date).time_since_epoch().count() * kDayUs;
    if (scanner.take("T") || scanner.take("t") || scanner.take(" ")) {
        const auto hour = scanner.number(2);
        if (!hour || *hour > 23 || !scanner.take(":")) return std::nullopt;
        const auto minute = scanner.number(2);
        if (!minute || *minute > 59) return std::nullopt;
        us += (*hour * 3'600 + *minute * 60) * kSecondUs;
        if (scanner.take(":")) {
            const auto second = scanner.number(2);
            const auto fraction = second ? scanner.fraction() : std::nullopt;
            // 60: a leap second is the next minute's first.
            if (!fraction || *second > 60) return std::nullopt;
            us += *second * kSecondUs + *fraction;
        }
        const auto zone = parse_zone(scanner);
        if (!zone) return std::nullopt;
        us -= *zone * kSecondUs;
    }
    if (!scanner.done()) return std::nullopt;
    return us;
}

std::optional<std::int64_t> parse_seconds(Scanner scanner) {
    const auto seconds = scanner.number();
    if (!seconds || *seconds > kTimeUsMax / kSecondUs) return std::nullopt;
    const auto fraction = scanner.fraction();
    if (!fraction || !scanner.done()) return std::nullopt;
    return *seconds * kSecondUs + *fraction;
}

tl::expected<Moment, std::string> parse_lsn(std::string_view value) {
    Scanner scanner(value);
    Moment moment{.what = Moment::What::lsn};
    auto number = scanner.number();
    if (number && scanner.take(":")) {
        if (*number == 0 || *number > std::int64_t{UINT32_MAX})
            return wrong("there is no such timeline");
        moment.timeline = static_cast<engine::Timeline>(*number);
        number = scanner.number();
    }
    if (!number || !scanner.done())
        return wrong("an lsn is a number, or timeline:number, as FIRN LSN shows them");
    moment.lsn = {static_cast<std::uint64_t>(*number)};
    return moment;
}

}  // namespace

tl::expected<std::int64_t, std::string> parse_time(std::string_view text, std::int64_t now_us) {
    Scanner scanner(text);
    std::optional<std::int64_t> us;
    if (scanner.take("@")) {
        us = parse_seconds(scanner);
    } else if (scanner.take("-")) {
        us = parse_ago(scanner);
        if (us) us = now_us - *us;
    } else {
        us = parse_iso(scanner);
    }
    if (us) return *us;
    return wrong("a time is like 2026-11-26T04:10:00Z, @1764130200.5, or -5m for five minutes ago");
}

tl::expected<Moment, std::string> parse_moment(std::string_view word, std::string_view value,
                                               std::int64_t now_us) {
    const bool at = equal_folded(word, "AT");
    if (at || equal_folded(word, "BEFORE")) {
        const auto us = parse_time(value, now_us);
        if (!us) return tl::unexpected(us.error());
        return Moment{.what = at ? Moment::What::at : Moment::What::before, .us = *us};
    }
    if (equal_folded(word, "LSN")) return parse_lsn(value);
    if (!equal_folded(word, "MARK"))
        return wrong("a moment is AT time, BEFORE time, LSN number or MARK name");
    if (value.empty() || value.size() > kMarkBytesMax)
        return wrong("a mark's name has 1 to 255 bytes");
    return Moment{.what = Moment::What::mark, .mark = std::string(value)};
}

std::string text_of_time(std::int64_t us) {
    const std::chrono::sys_time<std::chrono::microseconds> at{std::chrono::microseconds(us)};
    const auto day = std::chrono::floor<std::chrono::days>(at);
    const std::chrono::year_month_day date(day);
    const auto of_day = (at - day).count();
    const auto padded = [](std::int64_t value, std::size_t digits) {
        auto text = std::to_string(value);
        text.insert(0, text.size() < digits ? digits - text.size() : 0, '0');
        return text;
    };
    return padded(static_cast<int>(date.year()), 4) + "-" +
           padded(static_cast<unsigned>(date.month()), 2) + "-" +
           padded(static_cast<unsigned>(date.day()), 2) + "T" +
           padded(of_day / (3'600 * kSecondUs), 2) + ":" +
           padded(of_day / (60 * kSecondUs) % 60, 2) + ":" + padded(of_day / kSecondUs % 60, 2) +
           "." + padded(of_day % kSecondUs, 6) + "Z";
}

std::string text_of(const Place& place) {
    return "lsn " + std::to_string(place.timeline) + ":" + std::to_string(place.lsn.value) + ", " +
           text_of_time(place.commit_us);
}

// "7d" as "-7d", before now.
std::optional<std::int64_t> parse_age(std::string_view text) {
    constexpr std::int64_t kNow = std::int64_t{1} << 52;
    const auto before = parse_time("-" + std::string(text), kNow);
    if (!before || *before >= kNow) return {};
    return kNow - *before;
}

}  // namespace firnlog::recovery
