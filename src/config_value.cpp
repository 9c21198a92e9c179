// Values of directives: from words to Value, from Value to text, in and out of a Config.

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <type_traits>

#include "io/base/ensure.hpp"
#include "src/config_table.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"
#include "src/text/quote.hpp"

namespace firnlog::server {
namespace {

// What is accepted must load again: quoted, a text grows fourfold and still fits on a line.
constexpr std::size_t kTextBytesMax = 8U << 10;
constexpr std::size_t kListMax = 1000;
constexpr std::size_t kAddressesMax = 16;
constexpr std::string_view kEventLetters = "g$lshzxetdnKEm";  // bit 0 first; see Notify
constexpr std::string_view kClasses[] = {"normal", "slave", "pubsub"};

using Words = std::span<const std::string>;
using Parsed = tl::expected<Value, std::string>;

tl::unexpected<std::string> wrong(std::string text) { return tl::unexpected(std::move(text)); }

// Each choice of "everysec, always, no" with its place.
template <class Each>
void for_each_choice(std::string_view choices, Each each) {
    for (std::int64_t place = 0; !choices.empty(); ++place) {
        const auto end = std::min(choices.find(", "), choices.size());
        each(choices.substr(0, end), place);
        choices.remove_prefix(std::min(end + 2, choices.size()));
    }
}

std::optional<std::int64_t> place_of(std::string_view choices, std::string_view word) {
    std::optional<std::int64_t> found;
    for_each_choice(choices, [&](std::string_view choice, std::int64_t place) {
        if (!found && text::equal_folded(choice, word)) found = place;
    });
    return found;
}

std::string choice_at(std::string_view choices, std::int64_t wanted) {
    std::string found;
    for_each_choice(choices, [&](std::string_view choice, std::int64_t place) {
        if (place == wanted) found = choice;
    });
    return found;
}

// Digits and a unit. No digits at all mean 0, as in Redis; what overflows is no size, unlike there.
std::optional<std::uint64_t> parse_memory(std::string_view word) {
    struct Unit {
        std::string_view name;
        std::uint64_t bytes;
    };
    static constexpr Unit kUnits[] = {
        {"", 1},          {"b", 1},         {"k", 1000},          {"kb", 1U << 10},
        {"m", 1'000'000}, {"mb", 1U << 20}, {"g", 1'000'000'000}, {"gb", 1U << 30}};
    const auto digits = std::min(word.find_first_not_of("0123456789"), word.size());
    std::uint64_t count = 0;
    const auto read = std::from_chars(word.data(), word.data() + digits, count);
    if (digits != 0 && read.ec != std::errc{}) return std::nullopt;
    for (const auto& unit : kUnits) {
        if (!text::equal_folded(unit.name, word.substr(digits))) continue;
        std::uint64_t bytes = 0;
        if (__builtin_mul_overflow(count, unit.bytes, &bytes)) return std::nullopt;
        return bytes;
    }
    return std::nullopt;
}

// As strtoll takes it in lists: a sign and leading zeros are fine, an empty word and overflow not.
std::optional<std::int64_t> parse_loose(std::string_view word) {
    if (word.starts_with('+')) word.remove_prefix(1);
    std::int64_t value = 0;
    const auto read = std::from_chars(word.data(), word.data() + word.size(), value);
    if (read.ec != std::errc{} || read.ptr != word.data() + word.size()) return std::nullopt;
    return value;
}

std::string octal_text(std::uint64_t value) {
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 8).ptr;
    return {digits.data(), end};
}

std::string u64_text(std::int64_t value) {
    return std::to_string(static_cast<std::uint64_t>(value));
}

Parsed in_range(const Row& row, std::int64_t value) {
    if (row.is_unsigned) {
        const auto bits = static_cast<std::uint64_t>(value);
        if (bits >= static_cast<std::uint64_t>(row.min) &&
            bits <= static_cast<std::uint64_t>(row.max))
            return value;
        const auto print = [&](std::int64_t bound) {
            return row.kind == Kind::octal ? octal_text(static_cast<std::uint64_t>(bound))
                                           : u64_text(bound);
        };
        return wrong("argument must be between " + print(row.min) + " and " + print(row.max) +
                     " inclusive");
    }
    if (row.kind == Kind::proportion && value < 0) {
        if (value >= row.min) return value;
        return wrong("percentage argument must be less or equal to " + std::to_string(-row.min));
    }
    if (value >= row.min && value <= row.max) return value;
    return wrong("argument must be between " + std::to_string(row.min) + " and " +
                 std::to_string(row.max) + " inclusive");
}

struct Unit {
    char letter;
    std::int64_t seconds;
};
// Days are hours when they are told: 24h.
constexpr Unit kUnits[] = {{'d', 24 * 60 * 60}, {'h', 60 * 60}, {'m', 60}, {'s', 1}};

Parsed parse_duration(const Row& row, std::string_view word) {
    std::int64_t unit_s = 1;
    auto digits = word;
    for (const auto& unit : kUnits) {
        if (word.empty() || text::lower(word.back()) != unit.letter) continue;
        unit_s = unit.seconds;
        digits.remove_suffix(1);
    }
    const auto count = text::parse_i64(digits);
    if (!count || *count < 0)
        return wrong("argument must be a duration: seconds, or 90s, 15m, 24h, 7d");
    return in_range(row, *count > row.max / unit_s ? INT64_MAX : *count * unit_s);
}

std::string duration_text(std::int64_t seconds) {
    for (const auto& unit : kUnits)
        if (unit.letter != 'd' && seconds != 0 && seconds % unit.seconds == 0)
            return std::to_string(seconds / unit.seconds) + unit.letter;
    return "0";
}

Parsed parse_number(const Row& row, std::string_view word) {
    if (row.kind == Kind::duration) return parse_duration(row, word);
    if (row.kind == Kind::number) {
        if (const auto value = text::parse_i64(word)) return in_range(row, *value);
        return wrong("argument couldn't be parsed into an integer");
    }
    if (row.kind == Kind::octal) {
        std::int64_t value = 0;
        const auto read = std::from_chars(word.data(), word.data() + word.size(), value, 8);
        if (read.ec == std::errc{} && read.ptr == word.data() + word.size())
            return in_range(row, value);
        return wrong("argument couldn't be parsed as an octal number");
    }
    if (const auto bytes = parse_memory(word))
        return in_range(row, static_cast<std::int64_t>(*bytes));
    if (row.kind == Kind::memory) return wrong("argument must be a memory value");
    if (word.ends_with('%')) {
        const auto percent = text::parse_i64(word.substr(0, word.size() - 1));
        if (percent && *percent >= 0) return in_range(row, -*percent);
    }
    return wrong("argument must be a memory or percent value");
}

Parsed parse_choice(const Row& row, Words words) {
    const bool several = row.kind == Kind::choices;
    std::int64_t value = 0;
    for (const auto& word : words) {
        const auto place = place_of(row.choices, word);
        if (!place)
            return wrong("argument(s) must be one of the following: " + std::string(row.choices));
        if (!several) {
            value = *place;
        } else if (*place > 0) {
            value |= std::int64_t{1} << *place;
        }
    }
    return value;
}

Parsed parse_save(Words words) {
    constexpr auto kWrong = "Invalid save parameters";
    if (words.size() == 1 && words[0].empty()) words = {};
    if (words.size() % 2 != 0 || words.size() / 2 > kListMax) return wrong(kWrong);
    std::vector<SaveRule> rules;
    for (std::size_t at = 0; at < words.size(); at += 2) {
        const auto seconds = parse_loose(words[at]);
        const auto changes = parse_loose(words[at + 1]);
        if (!seconds || !changes || *seconds < 1 || *changes < 0) return wrong(kWrong);
        rules.push_back({.seconds = *seconds, .changes = *changes});
    }
    return rules;
}

BufferLimit* limit_of(BufferLimits& limits, std::string_view name) {
    if (text::equal_folded(name, "normal")) return &limits.normal;
    if (text::equal_folded(name, "slave") || text::equal_folded(name, "replica"))
        return &limits.replica;
    if (text::equal_folded(name, "pubsub")) return &limits.pubsub;
    return nullptr;
}

Parsed parse_limits(Words words, BufferLimits limits) {
    if (words.size() % 4 != 0)
        return wrong("Wrong number of arguments in buffer limit configuration.");
    for (std::size_t at = 0; at < words.size(); at += 4) {
        auto* limit = limit_of(limits, words[at]);
        if (limit == nullptr)
            return wrong("Invalid client class specified in buffer limit configuration.");
        const auto hard = parse_memory(words[at + 1]);
        const auto soft = parse_memory(words[at + 2]);
        const auto seconds = parse_loose(words[at + 3]);
        if (!hard || !soft || !seconds || *seconds < 0)
            return wrong(
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
        *limit = {.hard_bytes = *hard, .soft_bytes = *soft, .soft_seconds = *seconds};
    }
    return limits;
}

Parsed parse_events(std::string_view letters) {
    std::uint32_t events = 0;
    for (const char letter : letters) {
        const auto bit = kEventLetters.find(letter);
        if (letter == 'A') {
            events |= kNotifyAll;
        } else if (bit != kEventLetters.npos) {
            events |= 1U << bit;
        } else {
            return wrong("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
        }
    }
    return static_cast<std::int64_t>(events);
}

std::string events_text(std::uint32_t events) {
    std::string letters;
    const bool all = (events & kNotifyAll) == kNotifyAll;
    if (all) letters = "A";
    for (std::size_t bit = 0; bit < kEventLetters.size(); ++bit) {
        const auto mask = 1U << bit;
        // "A" swallows the letter of new keys too when Redis tells the flags.
        if ((events & mask) == 0 || (all && mask <= kNotifyNew)) continue;
        letters += kEventLetters[bit];
    }
    return letters;
}

Parsed parse_addresses(Words words) {
    std::vector<std::string> addresses(words.begin(), words.end());
    if (addresses.size() > kAddressesMax) return wrong("Too many bind addresses specified.");
    if (addresses.size() == 1 && addresses[0].empty()) addresses.clear();
    std::size_t bytes = 0;
    for (const auto& address : addresses) {
        bytes += address.size();
        if (address.empty() || bytes > kTextBytesMax)
            return wrong("Failed to bind to specified addresses.");
    }
    return addresses;
}

Parsed parse_percents(Words words) {
    if (words.size() == 1 && words[0].empty()) words = {};
    std::vector<double> percents;
    for (const auto& word : words) {
        const auto percent = text::parse_double(word);
        if (!percent || words.size() > kListMax)
            return wrong("Invalid latency-tracking-info-percentiles parameters");
        if (*percent > 100 || *percent < 0)
            return wrong(
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]");
        percents.push_back(*percent);
    }
    return percents;
}

std::string percent_text(double percent) {
    std::array<char, 32> digits;
    const int length = std::snprintf(digits.data(), digits.size(), "%f", percent);
    std::string text(digits.data(), static_cast<std::size_t>(length));
    text.resize(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
    return text;
}

Parsed parse_scores(Words words) {
    if (words.size() != 3) return wrong("wrong number of arguments");
    std::string scores;
    for (const auto& word : words) {
        const auto score = parse_loose(word);
        if (!score || *score < -2000 || *score > 2000)
            return wrong("Invalid oom-score-adj-values, elements must be between -2000 and 2000.");
        if (!scores.empty()) scores += ' ';
        scores += std::to_string(*score);
    }
    return scores;
}

Parsed parse_master(Words words) {
    if (words.size() != 2) return wrong("wrong number of arguments");
    if (text::equal_folded(words[0], "no") && text::equal_folded(words[1], "one"))
        return std::string();
    const auto port = parse_loose(words[1]);
    if (!port || *port < 0 || *port > 65535) return wrong("Invalid master port");
    return words[0] + " " + std::to_string(*port);
}

Parsed parse_words(const Row& row, Words words, const Config& old) {
    switch (row.kind) {
        case Kind::save:
            return parse_save(words);
        case Kind::limits:
            return parse_limits(words, old.client_output_buffer_limit);
        case Kind::addresses:
            return parse_addresses(words);
        case Kind::percents:
            return parse_percents(words);
        case Kind::scores:
            return parse_scores(words);
        case Kind::master:
            return parse_master(words);
        case Kind::choices:
            return parse_choice(row, words);
        default:
            break;
    }
    if (words.size() != 1) return wrong("wrong number of arguments");
    const std::string& word = words[0];
    switch (row.kind) {
        case Kind::boolean:
            if (text::equal_folded(word, "yes")) return std::int64_t{1};
            if (text::equal_folded(word, "no")) return std::int64_t{0};
            return wrong("argument must be 'yes' or 'no'");
        case Kind::choice:
            return parse_choice(row, words);
        case Kind::events:
            return parse_events(word);
        case Kind::text:
        case Kind::keep:
            if (word.size() > kTextBytesMax)
                return wrong("argument is longer than " + std::to_string(kTextBytesMax) + " bytes");
            return word;
        default:
            return parse_number(row, word);
    }
}

std::string integer_text(const Row& row, std::int64_t value) {
    switch (row.kind) {
        case Kind::boolean:
            return value != 0 ? "yes" : "no";
        case Kind::choice:
            return choice_at(row.choices, value);
        case Kind::choices: {
            std::string words;
            for_each_choice(row.choices, [&](std::string_view choice, std::int64_t place) {
                if ((value >> place & 1) == 0) return;
                if (!words.empty()) words += ' ';
                words += choice;
            });
            return words.empty() ? choice_at(row.choices, 0) : words;
        }
        case Kind::events:
            return events_text(static_cast<std::uint32_t>(value));
        case Kind::duration:
            return duration_text(value);
        case Kind::octal:
            return octal_text(static_cast<std::uint64_t>(value));
        case Kind::proportion:
            return value < 0 ? std::to_string(-value) + "%" : std::to_string(value);
        default:
            return row.is_unsigned ? u64_text(value) : std::to_string(value);
    }
}

template <class List, class Print>
std::string joined(const List& list, Print print) {
    std::string text;
    for (const auto& item : list) {
        if (!text.empty()) text += ' ';
        text += print(item);
    }
    return text;
}

std::string limits_text(const BufferLimits& limits) {
    const BufferLimit* all[] = {&limits.normal, &limits.replica, &limits.pubsub};
    std::string text;
    for (std::size_t at = 0; at < std::size(all); ++at) {
        if (at != 0) text += ' ';
        text += std::string(kClasses[at]) + ' ' + std::to_string(all[at]->hard_bytes) + ' ' +
                std::to_string(all[at]->soft_bytes) + ' ' + std::to_string(all[at]->soft_seconds);
    }
    return text;
}

std::string rule_text(const SaveRule& rule) {
    return std::to_string(rule.seconds) + ' ' + std::to_string(rule.changes);
}

// In the largest unit that divides it.
std::string memory_text(std::uint64_t bytes) {
    if (bytes != 0 && bytes % (1U << 30) == 0) return std::to_string(bytes >> 30) + "gb";
    if (bytes != 0 && bytes % (1U << 20) == 0) return std::to_string(bytes >> 20) + "mb";
    if (bytes != 0 && bytes % (1U << 10) == 0) return std::to_string(bytes >> 10) + "kb";
    return std::to_string(bytes);
}

// Quoted only where it has to be.
std::string word_text(const std::string& word) {
    const auto plain = text::quoted(word);
    const bool is_plain = !word.empty() && plain.size() == word.size() + 2 &&
                          word.find_first_of(" '\"#") == word.npos;
    return is_plain ? word : plain;
}

}  // namespace

tl::expected<Value, std::string> parse_value(const Row& row, Words words, const Config& old) {
    ensure(row.kind != Kind::file, "a directive of files has no value");
    auto value = parse_words(row, words, old);
    if (!value || row.check == nullptr) return value;
    if (const char* complaint = row.check(value_text(row, *value))) return wrong(complaint);
    return value;
}

std::string value_text(const Row& row, const Value& value) {
    return std::visit(
        [&](const auto& held) -> std::string {
            using Held = std::decay_t<decltype(held)>;
            if constexpr (std::is_same_v<Held, std::int64_t>)
                return integer_text(row, held);
            else if constexpr (std::is_same_v<Held, std::string>)
                return held;
            else if constexpr (std::is_same_v<Held, BufferLimits>)
                return limits_text(held);
            else if constexpr (std::is_same_v<Held, std::vector<SaveRule>>)
                return joined(held, rule_text);
            else if constexpr (std::is_same_v<Held, std::vector<double>>)
                return joined(held, percent_text);
            else
                return joined(held, [](const std::string& word) { return word; });
        },
        value);
}

std::string initial_text(const Row& row) {
    return row.field == Field(&Config::threads) ? std::to_string(default_threads())
                                                : std::string(row.initial);
}

void put_value(Config& config, const Row& row, Value value) {
    std::visit(
        [&](auto field) {
            if constexpr (std::is_same_v<decltype(field), std::monostate>) {
                auto text = value_text(row, value);
                if (text == row.initial) {
                    config.others.erase(row.name);
                } else {
                    config.others[row.name] = std::move(text);
                }
            } else {
                auto& member = config.*field;
                using Member = std::decay_t<decltype(member)>;
                if constexpr (std::is_same_v<Member, bool>) {
                    member = std::get<std::int64_t>(value) != 0;
                } else if constexpr (std::is_integral_v<Member> || std::is_enum_v<Member>) {
                    member = static_cast<Member>(std::get<std::int64_t>(value));
                } else {
                    member = std::get<Member>(std::move(value));
                }
            }
        },
        row.field);
}

std::string get_text(const Config& config, const Row& row) {
    if (!row.always.empty()) return std::string(row.always);
    return std::visit(
        [&](auto field) -> std::string {
            if constexpr (std::is_same_v<decltype(field), std::monostate>) {
                const auto found = config.others.find(row.name);
                return found == config.others.end() ? std::string(row.initial) : found->second;
            } else {
                const auto& member = config.*field;
                using Member = std::decay_t<decltype(member)>;
                if constexpr (std::is_integral_v<Member> || std::is_enum_v<Member>) {
                    return integer_text(row, static_cast<std::int64_t>(member));
                } else {
                    return value_text(row, Value(member));
                }
            }
        },
        row.field);
}

std::vector<RewriteLine> rewrite_lines(const Config& config, const Row& row) {
    const auto now = get_text(config, row);
    bool needed = now != initial_text(row);
    // The policy says it, unless somebody else did.
    if (config.backup_policy != BackupPolicy::none && is_set_by_policy(row.name)) {
        needed = std::ranges::count(config.given, row.name) != 0;
        if (!needed) return {};
        if (now.empty()) return {{"\"\"", needed}};
    }
    switch (row.kind) {
        case Kind::file:
            return {};
        case Kind::text:
        case Kind::keep:
            if (row.empty_is_none && now.empty()) return {};
            return {{text::quoted(now), needed}};
        case Kind::events: {
            // What CONFIG GET leaves out behind "A" has to come back from the file.
            const auto events = config.notify_keyspace_events;
            const bool lost = (events & kNotifyNew) != 0 && now.starts_with('A');
            return {{text::quoted(lost ? now + 'n' : now), needed}};
        }
        case Kind::memory:
            return {{memory_text(std::strtoull(now.c_str(), nullptr, 10)), needed}};
        case Kind::proportion:
            if (now.ends_with('%')) return {{now, needed}};
            return {{memory_text(std::strtoull(now.c_str(), nullptr, 10)), needed}};
        case Kind::addresses: {
            if (config.bind.empty()) return {{"\"\"", needed}};
            return {{joined(config.bind, word_text), needed}};
        }
        case Kind::save: {
            std::vector<RewriteLine> lines;
            lines.reserve(config.save.size() + 1);
            for (const auto& rule : config.save) lines.push_back({rule_text(rule), needed});
            if (lines.empty()) lines.push_back({"\"\"", needed});
            return lines;
        }
        case Kind::limits: {
            const auto line = [](const char* name, const BufferLimit& limit,
                                 const BufferLimit& initial) {
                return RewriteLine{std::string(name) + ' ' + memory_text(limit.hard_bytes) + ' ' +
                                       memory_text(limit.soft_bytes) + ' ' +
                                       std::to_string(limit.soft_seconds),
                                   limit != initial};
            };
            const auto& limits = config.client_output_buffer_limit;
            const BufferLimits initial;
            return {line("normal", limits.normal, initial.normal),
                    line("replica", limits.replica, initial.replica),
                    line("pubsub", limits.pubsub, initial.pubsub)};
        }
        case Kind::master:
            if (now.empty()) return {};
            return {{now, needed}};
        default:
            return {{now.empty() ? "\"\"" : now, needed}};
    }
}

}  // namespace firnlog::server
