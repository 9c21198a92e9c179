#include "src/commands/lcs.hpp"

#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "src/commands/string_text.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"

namespace firnlog::server {
namespace {

// lengths(i, j): how long the common subsequence of the first i and the first j bytes is.
class Lengths {
  public:
    // False if memory is short.
    bool fill(std::string_view one, std::string_view other) {
        width_ = other.size() + 1;
        table_.reset(new (std::nothrow) std::uint32_t[(one.size() + 1) * width_]);
        if (table_ == nullptr) return false;
        std::fill_n(table_.get(), width_, 0U);
        for (std::size_t i = 1; i <= one.size(); ++i) {
            const auto* above = table_.get() + (i - 1) * width_;
            auto* row = table_.get() + i * width_;
            row[0] = 0;
            for (std::size_t j = 1; j < width_; ++j)
                row[j] =
                    one[i - 1] == other[j - 1] ? above[j - 1] + 1 : std::max(above[j], row[j - 1]);
        }
        return true;
    }
    [[nodiscard]] std::uint32_t at(std::size_t i, std::size_t j) const {
        return table_[i * width_ + j];
    }

  private:
    std::unique_ptr<std::uint32_t[]> table_;
    std::size_t width_ = 0;
};

// A stretch that both strings share, by its first bytes.
struct Match {
    std::size_t one = 0;
    std::size_t other = 0;
    std::size_t bytes = 0;
};

// The way through the table from its end, as stretches, the last first. Of two ways equally long
// the one that leaves out a byte of `other` is taken.
std::vector<Match> matches_of(const Lengths& lengths, std::string_view one,
                              std::string_view other) {
    std::vector<Match> matches;
    auto i = one.size();
    auto j = other.size();
    bool extends = false;
    while (i > 0 && j > 0) {
        if (one[i - 1] == other[j - 1]) {
            --i;
            --j;
            if (!extends) matches.push_back({});
            matches.back() = {.one = i, .other = j, .bytes = matches.back().bytes + 1};
            extends = true;
        } else {
            if (lengths.at(i - 1, j) > lengths.at(i, j - 1))
                --i;
            else
                --j;
            extends = false;
        }
    }
    return matches;
}

bool is_string(engine::Type type) {
    return type == engine::Type::string || type == engine::Type::big_string;
}

struct Options {
    bool length = false;
    bool places = false;
    bool with_bytes = false;
    std::int64_t bytes_min = 0;
};

// Nothing: the error was answered.
std::optional<Options> parse_options(Call& call) {
    Options options;
    for (std::size_t i = 3; i < call.argc(); ++i) {
        const auto word = call.arg(i);
        if (text::equal_folded(word, "idx")) {
            options.places = true;
        } else if (text::equal_folded(word, "len")) {
            options.length = true;
        } else if (text::equal_folded(word, "withmatchlen")) {
            options.with_bytes = true;
        } else if (text::equal_folded(word, "minmatchlen") && i + 1 < call.argc()) {
            const auto least = text::parse_i64(call.arg(++i));
            if (!least) {
                call.error(kNotAnInteger);
                return std::nullopt;
            }
            options.bytes_min = *least;
        } else {
            call.syntax_error();
            return std::nullopt;
        }
    }
    if (options.places && options.length) {
        call.error("ERR If you want both the length and indexes, please just use IDX.");
        return std::nullopt;
    }
    return options;
}

void write_places(Call& call, const std::vector<Match>& matches, std::int64_t length,
                  const Options& options) {
    const auto place = [&](std::size_t first, std::size_t bytes) {
        call.out.array(2);
        call.out.integer(static_cast<std::int64_t>(first));
        call.out.integer(static_cast<std::int64_t>(first + bytes - 1));
    };
    call.out.map(2);
    call.out.bulk("matches");
    const auto later = call.out.array_later();
    std::size_t shown = 0;
    for (const auto& match : matches) {
        const auto bytes = static_cast<std::int64_t>(match.bytes);
        if (bytes < options.bytes_min) continue;
        ++shown;
        call.out.array(options.with_bytes ? 3 : 2);
        place(match.one, match.bytes);
        place(match.other, match.bytes);
        if (options.with_bytes) call.out.integer(bytes);
    }
    call.out.close(later, shown);
    call.out.bulk("len");
    call.out.integer(length);
}

}  // namespace

Flow lcs(Call& call) {
    std::optional<engine::Item> items[2];
    bool are_strings = true;
    for (const std::size_t i : {0U, 1U}) {
        const auto item = call.session.look(call.arg(i + 1));
        if (!item) return call.stop(item.error());
        items[i] = *item;
        are_strings = are_strings && (!*item || is_string((*item)->type));
    }
    std::optional<engine::Stop> stop;
    std::string_view values[2];
    for (const std::size_t i : {0U, 1U}) {
        if (!items[i] || !are_strings) continue;
        const auto value = engine::strings::get(call.session, *items[i], call.arg(i + 1));
        if (value)
            values[i] = *value;
        else
            stop = value.error();
    }
    if (stop) return call.stop(*stop);
    for (const std::size_t i : {0U, 1U}) count_lookup(call, call.arg(i + 1), items[i].has_value());
    if (!are_strings) return call.error("ERR The specified keys must contain string values");
    const auto options = parse_options(call);
    if (!options) return Flow::done;

    const auto one = values[0];
    const auto other = values[1];
    // Neither is longer than 4 GiB, so that the product cannot overflow.
    const auto cells = (one.size() + 1) * (other.size() + 1);
    if (cells > call.server.config().proto_max_bulk_len / sizeof(std::uint32_t))
        return call.error(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
    Lengths lengths;
    if (!lengths.fill(one, other))
        return call.error("ERR Insufficient memory, failed allocating transient memory for LCS");
    const auto length = lengths.at(one.size(), other.size());
    if (options->length) return call.integer(length);

    const auto matches = matches_of(lengths, one, other);
    if (options->places) {
        write_places(call, matches, length, *options);
        return Flow::done;
    }
    std::string common;
    common.reserve(length);
    for (auto match = matches.rbegin(); match != matches.rend(); ++match)
        common.append(one.substr(match->one, match->bytes));
    call.out.bulk(common);
    return Flow::done;
}

}  // namespace firnlog::server
