#include "src/bench/operation.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "io/base/ensure.hpp"
#include "src/bench/options.hpp"
#include "src/text/numbers.hpp"
#include "src/text/quote.hpp"

namespace firnlog::bench {
namespace {

// As redis-benchmark writes keys.
constexpr std::size_t kKeyDigits = 12;
// Fits the second-level cache beside everything else.
constexpr std::size_t kPoolBytes = std::size_t{64} << 10;
constexpr double kValueBytesMax = 512 << 20;
constexpr std::size_t kWordPartsMax = 16;
constexpr unsigned kCommandsMax = 1000;

constexpr auto kPairs = [] {
    std::array<char, 200> pairs{};
    for (std::size_t i = 0; i < 100; ++i) {
        pairs[2 * i] = static_cast<char>('0' + i / 10);
        pairs[2 * i + 1] = static_cast<char>('0' + i % 10);
    }
    return pairs;
}();

void put_key_digits(char* to, std::uint64_t key) {
    for (std::size_t at = kKeyDigits; at != 0; at -= 2) {
        std::memcpy(to + at - 2, &kPairs[2 * (key % 100)], 2);
        key /= 100;
    }
}

std::string header_of(char kind, std::size_t number) {
    return kind + std::to_string(number) + "\r\n";
}

struct Range {
    std::uint64_t least;
    std::uint64_t count;
};

// "10": from 0 to 9; "1-10": from 1 to 10.
std::optional<Range> parse_range(std::string_view text) {
    const auto dash = text.find('-');
    const auto first = server::text::parse_u64(text.substr(0, dash));
    if (!first || *first > kKeysMax) return std::nullopt;
    if (dash == text.npos) return *first == 0 ? std::nullopt : std::optional(Range{0, *first});
    const auto last = server::text::parse_u64(text.substr(dash + 1));
    if (!last || *last < *first || *last >= kKeysMax) return std::nullopt;
    return Range{*first, *last - *first + 1};
}

std::optional<std::size_t> parse_size(std::string_view text) {
    const auto size = parse_count(text);
    if (!size || *size < 0 || *size > kValueBytesMax || *size != std::floor(*size))
        return std::nullopt;
    return static_cast<std::size_t>(*size);
}

}  // namespace

std::optional<ValueBytes> parse_value_bytes(std::string_view text) {
    const auto dash = text.find('-');
    const auto least = parse_size(text.substr(0, dash));
    const auto most = dash == text.npos ? least : parse_size(text.substr(dash + 1));
    if (!least || !most || *least > *most) return std::nullopt;
    return ValueBytes{.least = *least, .most = *most};
}

Source::Source(const Keys& keys, std::uint64_t seed, std::uint64_t turn, std::uint64_t turns,
               Population& population)
    : random_(seed + turn * 0x9e3779b97f4a7c15U),
      picker_(keys.distribution, keys.count, turn, turns),
      value_(keys.value),
      population_(&population) {
    // Printable, so that a value can be looked at; 6 bits a byte do not compress away.
    constexpr std::string_view kLetters =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    Random letters(seed);
    pool_.resize(kPoolBytes + value_.most);
    for (auto& letter : pool_) letter = kLetters[letters.next() >> 58];
}

// What is drawn while one request is encoded: its keys once, and of a word of varying length the
// sizes and numbers, which its header needs before its bytes come.
struct Operation::Drawn {
    Source& source;
    std::optional<std::uint64_t> key = {};
    std::optional<std::uint64_t> fresh = {};
    std::array<std::uint64_t, kWordPartsMax> chosen = {};
    std::size_t chosen_count = 0;
    std::size_t next = 0;

    [[nodiscard]] std::uint64_t key_of(Kind kind) {
        if (kind == Kind::another) return source.key();
        auto& drawn = kind == Kind::fresh ? fresh : key;
        if (!drawn) drawn = kind == Kind::fresh ? source.fresh_key() : source.key();
        return *drawn;
    }
};

Operation Operation::raw(std::string name, std::string_view line) {
    Operation operation;
    operation.name_ = std::move(name);
    operation.add_literal(line);
    operation.add_literal("\r\n");
    return operation;
}

tl::expected<Operation, std::string> Operation::parse(std::string_view text, const Keys& keys) {
    const auto words = server::text::split_arguments(text);
    if (!words) return tl::unexpected<std::string>("its quotes do not balance");
    Operation operation;
    operation.replies_ = 0;
    for (auto from = words->begin();; ++from) {
        const auto end = std::find(from, words->end(), ";");
        if (from == end) return tl::unexpected<std::string>("a command is missing");
        if (!operation.name_.empty()) operation.name_ += "+";
        operation.name_ += *from;
        operation.add_literal(header_of('*', static_cast<std::size_t>(end - from)));
        for (auto word = from; word != end; ++word)
            if (auto wrong = operation.add_word(*word, keys)) return tl::unexpected(*wrong);
        ++operation.replies_;
        if (end == words->end()) return operation;
        if (operation.replies_ == kCommandsMax)
            return tl::unexpected<std::string>("more than 1000 commands in one request");
        from = end;
    }
}

void Operation::add_literal(std::string_view text) {
    if (parts_.empty() || parts_.back().kind != Kind::literal)
        parts_.push_back({.kind = Kind::literal, .number = 0, .text = {}});
    parts_.back().text += text;
}

std::optional<std::string> Operation::add_word(std::string_view word, const Keys& keys) {
    std::vector<Part> parts;
    std::size_t fixed = 0;
    bool varies = false;
    const auto literal = [&](std::string_view text) {
        parts.push_back({.kind = Kind::literal, .number = 0, .text = std::string(text)});
        fixed += text.size();
    };
    while (!word.empty()) {
        const auto open = word.find('{');
        if (open != 0) {
            literal(word.substr(0, open));
            word.remove_prefix(std::min(open, word.size()));
            continue;
        }
        const auto close = word.find('}');
        if (close == word.npos) return "a { has no }";
        const auto name = word.substr(1, close - 1);
        word.remove_prefix(close + 1);
        if (name == "key" || name == "another" || name == "new") {
            literal(keys.prefix);
            const auto kind = name == "key"       ? Kind::key
                              : name == "another" ? Kind::another
                                                  : Kind::fresh;
            parts.push_back({.kind = kind, .number = 0, .text = {}});
            fixed += kKeyDigits;
        } else if (name == "value") {
            const bool always = keys.value.least == keys.value.most;
            parts.push_back({.kind = Kind::value, .number = 0, .text = {}});
            if (always)
                fixed += keys.value.least;
            else
                varies = true;
        } else if (name.starts_with("random:")) {
            const auto range = parse_range(name.substr(7));
            if (!range)
                return "{random:N} wants a number from 1 to 4294967296, or two: {random:A-B}";
            parts.push_back(
                {.kind = Kind::random, .number = range->count, .text = {}, .least = range->least});
            varies = true;
        } else {
            return "{" + std::string(name) +
                   "} is none of {key} {another} {new} {value} {random:N}";
        }
    }
    if (parts.size() > kWordPartsMax) return "a word has too many parts";
    if (varies)
        parts_.push_back({.kind = Kind::header, .number = parts.size(), .text = {}});
    else
        add_literal(header_of('$', fixed));
    for (auto& part : parts) {
        // Behind a header parts are counted, so these stay apart.
        if (part.kind == Kind::literal && !varies)
            add_literal(part.text);
        else
            parts_.push_back(std::move(part));
    }
    if (varies) {
        parts_.push_back({.kind = Kind::literal, .number = 0, .text = "\r\n"});
    } else {
        add_literal("\r\n");
    }
    return std::nullopt;
}

// The length of a word of which `parts` follow, all that varies in it having been chosen.
std::size_t Operation::choose(std::span<const Part> parts, Drawn& drawn) {
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        auto& choice = drawn.chosen[i];
        switch (parts[i].kind) {
            case Kind::literal:
                bytes += parts[i].text.size();
                break;
            case Kind::value:
                choice = drawn.source.value_bytes();
                bytes += choice;
                break;
            case Kind::random: {
                std::array<char, server::text::kIntegerBytesMax> digits{};
                choice = parts[i].least + drawn.source.below(parts[i].number);
                bytes += static_cast<std::size_t>(server::text::print_u64(digits.data(), choice) -
                                                  digits.data());
                break;
            }
            default:
                bytes += kKeyDigits;
        }
    }
    drawn.chosen_count = parts.size();
    drawn.next = 0;
    return bytes;
}

void Operation::encode(Source& source, server::resp::Buffer& out) const {
    Drawn drawn{.source = source};
    for (std::size_t at = 0; at < parts_.size(); ++at) {
        const Part& part = parts_[at];
        if (part.kind == Kind::header) {
            const auto bytes = choose(std::span(parts_).subspan(at + 1, part.number), drawn);
            if (char* const to = out.room(server::text::kIntegerBytesMax + 3)) {
                *to = '$';
                char* const end = server::text::print_u64(to + 1, bytes);
                end[0] = '\r';
                end[1] = '\n';
                out.commit(end + 2);
            }
            continue;
        }
        const bool chose = drawn.next < drawn.chosen_count;
        const std::uint64_t choice = chose ? drawn.chosen[drawn.next++] : 0;
        switch (part.kind) {
            case Kind::literal:
                out.append(part.text);
                break;
            case Kind::value: {
                const auto bytes = chose ? choice : source.value_bytes();
                out.append({source.value(bytes), bytes});
                break;
            }
            case Kind::random:
                if (char* const to = out.room(server::text::kIntegerBytesMax))
                    out.commit(server::text::print_u64(to, choice));
                break;
            default:
                if (char* const to = out.room(kKeyDigits)) {
                    put_key_digits(to, drawn.key_of(part.kind));
                    out.commit(to + kKeyDigits);
                }
        }
    }
    ensure(!out.lost(), "there is memory for the requests of one batch");
}

}  // namespace firnlog::bench
