#include <cerrno>
#include <cstdlib>
#include <string>

#include "engine/engine.hpp"
#include "engine/ops/hashes.hpp"
#include "engine/ops/keys.hpp"
#include "src/commands/keys.hpp"
#include "src/commands/random_bits.hpp"
#include "src/commands/string_text.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/glob.hpp"
#include "src/text/numbers.hpp"

// Going through all there is. A cursor is a place among the hashes, so it stays good whatever
// grows, shrinks or starts anew meanwhile; 0 is the beginning and the end.

namespace firnlog::server::keys {
namespace {

struct Options {
    std::size_t count = 10;
    std::string_view pattern;
    bool filters = false;
    std::optional<std::string_view> type;

    [[nodiscard]] bool matches(std::string_view text) const {
        return !filters || text::glob(pattern, text);
    }
};

enum class Over : bool { keys, fields };

// Nothing: the error was answered.
std::optional<Options> parse_options(Call& call, std::size_t first, Over over) {
    Options options;
    for (auto i = first; i < call.argc(); i += 2) {
        const auto word = call.arg(i);
        const bool has_value = i + 1 < call.argc();
        if (has_value && text::equal_folded(word, "count")) {
            const auto count = text::parse_i64(call.arg(i + 1));
            if (!count) {
                call.error(kNotAnInteger);
                return std::nullopt;
            }
            if (*count < 1) {
                call.syntax_error();
                return std::nullopt;
            }
            options.count = static_cast<std::size_t>(*count);
        } else if (has_value && text::equal_folded(word, "match")) {
            options.pattern = call.arg(i + 1);
            options.filters = options.pattern != "*";
        } else if (has_value && over == Over::keys && text::equal_folded(word, "type")) {
            options.type = call.arg(i + 1);
        } else {
            call.syntax_error();
            return std::nullopt;
        }
    }
    return options;
}

// As Redis reads it, by the C library: an empty text is 0, a sign is taken, a NUL ends it.
std::optional<std::uint64_t> parse_cursor(Call& call, std::string_view text) {
    const std::string terminated(text);
    const char first = terminated.c_str()[0];
    char* stop = nullptr;
    errno = 0;
    const std::uint64_t cursor = std::strtoull(terminated.c_str(), &stop, 10);
    const bool blank = first == ' ' || (first >= '\t' && first <= '\r');
    if (blank || *stop != '\0' || errno == ERANGE) {
        call.error("ERR invalid cursor");
        return std::nullopt;
    }
    return cursor;
}

void write_cursor(Call& call, std::uint64_t cursor) {
    char digits[text::kIntegerBytesMax];
    const auto* end = text::print_u64(digits, cursor);
    call.out.array(2);
    call.out.bulk({digits, static_cast<std::size_t>(end - digits)});
}

}  // namespace

Flow scan(Call& call) {
    const auto cursor = parse_cursor(call, call.arg(1));
    if (!cursor) return Flow::done;
    const auto options = parse_options(call, 2, Over::keys);
    if (!options) return Flow::done;
    const auto scanned = engine::keys::scan(call.session.engine(), call.session,
                                            call.session.database(), *cursor, options->count);
    if (!scanned) return call.stop(scanned.error());
    write_cursor(call, scanned->cursor);
    const auto list = call.out.array_later();
    std::size_t count = 0;
    for (const auto& found : scanned->keys) {
        if (options->type && !text::equal_folded(*options->type, name_of(found.type))) continue;
        if (!options->matches(found.key)) continue;
        call.out.bulk(found.key);
        ++count;
    }
    call.out.close(list, count);
    return Flow::done;
}

Flow keys(Call& call) {
    constexpr std::size_t kKeysAStep = 4096;
    const auto pattern = call.arg(1);
    const bool all = pattern == "*";
    auto& engine = call.session.engine();
    // Running again from the beginning for each thing that is cold would never come to an end.
    call.session.may_wait(true);
    std::vector<std::string> matching;
    std::uint64_t cursor = 0;
    do {
        auto scanned =
            engine::keys::scan(engine, call.session, call.session.database(), cursor, kKeysAStep);
        if (!scanned) return call.stop(scanned.error());
        cursor = scanned->cursor;
        for (auto& found : scanned->keys)
            if (all || text::glob(pattern, found.key)) matching.push_back(std::move(found.key));
    } while (cursor != 0);
    call.out.array(matching.size());
    for (const auto& key : matching) call.out.bulk(key);
    return Flow::done;
}

Flow randomkey(Call& call) {
    const auto key = engine::keys::random(call.session.engine(), call.session,
                                          call.session.database(), random_bits(call));
    if (!key) return call.stop(key.error());
    if (*key)
        call.out.bulk(**key);
    else
        call.out.null();
    return Flow::done;
}

Flow hscan(Call& call) {
    const auto key = call.arg(1);
    const auto cursor = parse_cursor(call, call.arg(2));
    if (!cursor) return Flow::done;
    const auto item = call.session.look(key, engine::Type::hash);
    if (!item) return stop_lookup(call, key, item.error());
    if (!*item) {
        count_lookup(call, key, false);
        write_cursor(call, 0);
        call.out.array(0);
        return Flow::done;
    }
    const auto options = parse_options(call, 3, Over::fields);
    if (!options) {
        count_lookup(call, key, true);
        return Flow::done;
    }
    const auto scanned = engine::hashes::scan(call.session, key, *cursor, options->count);
    if (!scanned) return call.stop(scanned.error());
    count_lookup(call, key, true);
    write_cursor(call, scanned->next);
    const auto list = call.out.array_later();
    std::size_t count = 0;
    for (const auto& pair : scanned->pairs) {
        if (!options->matches(pair.field)) continue;
        call.out.bulk(pair.field);
        call.out.bulk(pair.value);
        count += 2;
    }
    call.out.close(list, count);
    return Flow::done;
}

}  // namespace firnlog::server::keys
