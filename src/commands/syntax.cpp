#include "src/commands/syntax.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace firnlog::server::syntax {
namespace {

constexpr std::string_view kEllipsis = "...";
constexpr std::string_view kMarks = "[]<>|";

bool is_token(std::string_view word) {
    const auto is_lower = [](char letter) { return letter >= 'a' && letter <= 'z'; };
    const auto is_upper = [](char letter) { return letter >= 'A' && letter <= 'Z'; };
    return std::ranges::any_of(word, is_upper) && std::ranges::none_of(word, is_lower);
}

bool is_mark(std::string_view word) {
    return word.size() == 1 && kMarks.find(word[0]) != kMarks.npos;
}

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    for (std::size_t at = 0; at < text.size();) {
        if (text[at] == ' ') {
            ++at;
            continue;
        }
        std::size_t size = 1;
        if (kMarks.find(text[at]) == kMarks.npos)
            size = std::min(text.find_first_of(" []<>|", at), text.size()) - at;
        words.push_back(text.substr(at, size));
        at += size;
    }
    return words;
}

Type type_of(std::string_view name) {
    constexpr std::array<std::string_view, 7> kKeys{"key",     "key1",   "key2",       "newkey",
                                                    "destkey", "source", "destination"};
    constexpr std::array<std::string_view, 25> kIntegers{
        "seconds", "milliseconds", "count",       "cursor",  "offset",
        "index",   "index1",       "index2",      "start",   "end",
        "stop",    "increment",    "decrement",   "numkeys", "db",
        "bit",     "client-id",    "numreplicas", "timeout", "numlocal",
        "len",     "protover",     "port",        "version", "destination-db"};
    if (std::ranges::count(kKeys, name) != 0) return Type::key;
    if (name == "pattern") return Type::pattern;
    if (name.starts_with("unix-time")) return Type::unix_time;
    if (std::ranges::count(kIntegers, name) != 0) return Type::integer;
    return Type::string;
}

std::string folded(std::string_view word) {
    std::string text(word);
    std::ranges::transform(text, text.begin(), [](unsigned char letter) {
        return static_cast<char>(std::tolower(letter));
    });
    return text;
}

bool same(const Argument& one, const Argument& other) {
    return one.name == other.name && one.token == other.token && one.type == other.type &&
           std::ranges::equal(one.parts, other.parts, same);
}

class Reader {
  public:
    explicit Reader(std::string_view text) : words_(words_of(text)) {}

    std::optional<std::vector<Argument>> whole() {
        auto sequence = read_sequence();
        if (failed_ || sequence.again || at_ != words_.size()) return std::nullopt;
        return std::move(sequence.arguments);
    }

  private:
    struct Sequence {
        std::vector<Argument> arguments;
        bool again = false;  // it ended in an ellipsis
    };

    [[nodiscard]] std::string_view peek() const {
        return at_ < words_.size() ? words_[at_] : std::string_view{};
    }

    Sequence read_sequence() {
        Sequence sequence;
        while (!failed_) {
            const auto word = peek();
            if (word.empty() || word == "]" || word == ">" || word == "|") return sequence;
            if (word == kEllipsis) {
                sequence.again = true;
                ++at_;
                return sequence;
            }
            if (word == "[" || word == "<")
                read_group(sequence.arguments);
            else
                sequence.arguments.push_back(read_word());
        }
        return sequence;
    }

    Argument read_word() {
        const auto word = words_[at_++];
        if (!is_token(word)) return {.name = std::string(word), .type = type_of(word)};
        // Everything up to the next token belongs to it: AUTH username password.
        std::vector<Argument> values;
        if (peek() == "<") {
            read_group(values);
        } else {
            for (auto value = peek(); is_value(value); value = peek()) {
                values.push_back({.name = std::string(value), .type = type_of(value)});
                ++at_;
            }
        }
        if (values.empty())
            return {.name = folded(word), .type = Type::pure_token, .token = std::string(word)};
        auto argument = block_of(std::move(values));
        argument.token = word;
        return argument;
    }

    static bool is_value(std::string_view word) {
        return !word.empty() && !is_mark(word) && word != kEllipsis && !is_token(word);
    }

    void read_group(std::vector<Argument>& before) {
        const bool optional = words_[at_++] == "[";
        const std::string_view closing = optional ? "]" : ">";
        std::vector<Sequence> choices;
        do {
            if (!choices.empty()) ++at_;
            choices.push_back(read_sequence());
        } while (!failed_ && peek() == "|");
        if (peek() != closing) {
            failed_ = true;
            return;
        }
        ++at_;
        auto& first = choices.front();
        if (choices.size() == 1 && first.again && repeats(before, first.arguments)) return;
        auto argument = one_of(std::move(choices));
        argument.optional = optional || argument.optional;
        before.push_back(std::move(argument));
    }

    // "x [x ...]": the end of what stands before comes again.
    bool repeats(std::vector<Argument>& before, const std::vector<Argument>& again) {
        const auto count = std::max<std::size_t>(again.size(), 1);
        if (before.size() < count) return false;
        const auto begin = before.end() - static_cast<std::ptrdiff_t>(count);
        if (!again.empty() && !std::equal(again.begin(), again.end(), begin, same)) return false;
        if (count > 1) {
            Argument block = block_of({begin, before.end()});
            before.erase(begin, before.end());
            before.push_back(std::move(block));
        }
        before.back().multiple = true;
        before.back().multiple_token = !before.back().token.empty();
        return true;
    }

    static Argument block_of(std::vector<Argument> parts) {
        if (parts.size() == 1) return std::move(parts.front());
        std::string name;
        for (const auto& part : parts) name += (name.empty() ? "" : "_") + part.name;
        return {.name = std::move(name), .type = Type::block, .parts = std::move(parts)};
    }

    Argument one_of(std::vector<Sequence> choices) {
        std::vector<Argument> parts;
        for (auto& choice : choices) {
            if (choice.arguments.empty()) failed_ = true;
            parts.push_back(block_of(std::move(choice.arguments)));
            parts.back().multiple |= choice.again;
        }
        if (parts.size() == 1) return std::move(parts.front());
        std::string name = parts.front().name + "_or_" + parts[1].name;
        return {.name = std::move(name), .type = Type::one_of, .parts = std::move(parts)};
    }

    std::vector<std::string_view> words_;
    std::size_t at_ = 0;
    bool failed_ = false;
};

}  // namespace

std::string_view type_name(Type type) {
    switch (type) {
        case Type::string:
            return "string";
        case Type::key:
            return "key";
        case Type::integer:
            return "integer";
        case Type::pattern:
            return "pattern";
        case Type::unix_time:
            return "unix-time";
        case Type::pure_token:
            return "pure-token";
        case Type::one_of:
            return "oneof";
        case Type::block:
            return "block";
    }
    return "string";
}

std::optional<std::vector<Argument>> parse(std::string_view text) { return Reader(text).whole(); }

}  // namespace firnlog::server::syntax
