#include "engine/keep.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>

namespace firnlog::engine {
namespace {

// Which hour, day, … it is, counted from some beginning.
std::int64_t number_of(Period period, std::int64_t us) {
    using namespace std::chrono;
    const sys_time<microseconds> at{microseconds(us)};
    const auto day = floor<days>(at);
    const year_month_day date(day);
    const auto year = static_cast<int>(date.year());
    switch (period) {
        case Period::hourly:
            return floor<hours>(at).time_since_epoch().count();
        case Period::daily:
            return day.time_since_epoch().count();
        case Period::weekly: {
            // Day 0 was a Thursday.
            constexpr days kSinceMonday{3};
            return floor<weeks>(day + kSinceMonday).time_since_epoch().count();
        }
        case Period::monthly:
            return std::int64_t{year} * 12 + static_cast<unsigned>(date.month());
        case Period::yearly:
            return year;
    }
    return 0;
}

std::int64_t least_s(Period period) {
    constexpr std::int64_t kHour = 3600;
    constexpr std::int64_t kDay = 24 * kHour;
    switch (period) {
        case Period::hourly:
            return kHour;
        case Period::daily:
            return kDay;
        case Period::weekly:
            return 7 * kDay;
        case Period::monthly:
            return 28 * kDay;
        case Period::yearly:
            return 365 * kDay;
    }
    return 0;
}

}  // namespace

std::string_view name_of(Period period) {
    switch (period) {
        case Period::hourly:
            return "hourly";
        case Period::daily:
            return "daily";
        case Period::weekly:
            return "weekly";
        case Period::monthly:
            return "monthly";
        case Period::yearly:
            return "yearly";
    }
    return "";
}

std::optional<Keep> parse_keep(std::string_view text) {
    Keep keep;
    while (!text.empty()) {
        const auto comma = text.find(',');
        const auto rule = text.substr(0, comma);
        if (comma == text.size() - 1) return {};
        text = comma == text.npos ? std::string_view() : text.substr(comma + 1);
        const auto colon = rule.find(':');
        if (colon == rule.npos) return {};
        const auto is_it = [&](Period one) { return name_of(one) == rule.substr(0, colon); };
        const auto* const period = std::ranges::find_if(kPeriods, is_it);
        const auto number = rule.substr(colon + 1);
        std::uint32_t count = 0;
        const auto read = std::from_chars(number.data(), number.data() + number.size(), count);
        if (period == kPeriods.end() || read.ec != std::errc() ||
            read.ptr != number.data() + number.size() || count == 0 || count > kKeepMax ||
            std::ranges::count(keep, *period, &KeepRule::period) != 0)
            return {};
        keep.push_back({.period = *period, .count = count});
    }
    return keep;
}

std::int64_t shortest_s(const Keep& keep) {
    std::int64_t shortest = 0;
    for (const auto& rule : keep)
        if (rule.count != 0 && (shortest == 0 || least_s(rule.period) < shortest))
            shortest = least_s(rule.period);
    return shortest;
}

std::vector<FileNumber> wanted(const Keep& keep, const std::vector<CheckpointEntry>& entries) {
    std::vector<const CheckpointEntry*> newest_first;
    newest_first.reserve(entries.size());
    for (const auto& entry : entries) newest_first.push_back(&entry);
    std::ranges::sort(newest_first, [](const auto* a, const auto* b) {
        return a->taken_us != b->taken_us ? a->taken_us > b->taken_us : a->hi > b->hi;
    });
    std::vector<FileNumber> found;
    for (const auto& rule : keep) {
        std::optional<std::int64_t> last;
        auto left = rule.count;
        for (const auto* entry : newest_first) {
            if (left == 0) break;
            const auto number = number_of(rule.period, entry->taken_us);
            if (number == last) continue;
            last = number;
            --left;
            found.push_back(entry->number);
        }
    }
    std::ranges::sort(found);
    const auto same = std::ranges::unique(found);
    found.erase(same.begin(), same.end());
    return found;
}

}  // namespace firnlog::engine
