// Replies: read back by a decoder that shares nothing with the writer, and against known bytes.

#include "src/resp/writer.hpp"

#include <algorithm>
#include <array>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "src/resp/buffer.hpp"
#include "src/text/quote.hpp"
#include "tests/environment.hpp"
#include "tests/sim/rng.hpp"
#include "tests/src/resp_feeder.hpp"

namespace firnlog::server::resp {
namespace {

namespace utf = boost::unit_test;

struct Value {
    char kind = '?';
    std::string text;
    std::vector<Value> elements;

    bool operator==(const Value&) const = default;
};

std::string take_line(std::string_view& from) {
    const auto end = from.find("\r\n");
    BOOST_REQUIRE(end != std::string_view::npos);
    std::string line(from.substr(0, end));
    from.remove_prefix(end + 2);
    return line;
}

Value decode(std::string_view& from) {
    std::string line = take_line(from);
    BOOST_REQUIRE(!line.empty());
    Value value{.kind = line[0], .text = line.substr(1), .elements = {}};
    const std::string_view kinds = "$=*%~>";
    if (kinds.find(value.kind) == std::string_view::npos || value.text == "-1") return value;
    const std::size_t count = std::stoull(value.text);
    if (value.kind == '$' || value.kind == '=') {
        BOOST_REQUIRE(from.size() >= count + 2);
        value.text = from.substr(0, count);
        BOOST_REQUIRE(from.substr(count, 2) == "\r\n");
        from.remove_prefix(count + 2);
        return value;
    }
    value.text.clear();
    for (std::size_t i = 0; i < (value.kind == '%' ? 2 * count : count); ++i) {
        value.elements.push_back(decode(from));
    }
    return value;
}

// Writes something random and says what a reader should find.
Value write_random(sim::Rng& rng, Writer& to, int depth) {
    const bool is_resp3 = to.protocol() == Protocol::resp3;
    switch (rng.below(depth > 0 ? 12 : 8)) {
        case 0: {
            const auto value = static_cast<std::int64_t>(rng.next()) >> rng.below(64);
            to.integer(value);
            return {':', std::to_string(value), {}};
        }
        case 1: {
            const std::string bytes = random_bytes(rng, rng.below(300));
            to.bulk(bytes);
            return {'$', bytes, {}};
        }
        case 2:
            to.null();
            return {is_resp3 ? '_' : '$', is_resp3 ? "" : "-1", {}};
        case 3: {
            const bool value = rng.chance(50);
            to.boolean(value);
            if (is_resp3) return {'#', value ? "t" : "f", {}};
            return {':', value ? "1" : "0", {}};
        }
        case 4: {
            const double value = std::ldexp(static_cast<double>(rng.next()), -40);
            to.number(value);
            std::array<char, 64> shown;
            std::snprintf(shown.data(), shown.size(), "%.17g", value);
            return {is_resp3 ? ',' : '$', shown.data(), {}};
        }
        case 5: {
            const std::string bytes = random_bytes(rng, rng.below(100));
            to.verbatim(bytes, "mkd");
            return {is_resp3 ? '=' : '$', (is_resp3 ? "mkd:" : "") + bytes, {}};
        }
        case 6: {
            std::string bytes = random_bytes(rng, rng.below(100)) + "x";
            to.error(bytes);
            for (char& byte : bytes) {
                if (static_cast<unsigned char>(byte) < 32 || byte == 127) byte = ' ';
            }
            return {'-', bytes, {}};
        }
        case 7: {
            const auto value = static_cast<std::int64_t>(rng.next());
            to.bulk_integer(value);
            return {'$', std::to_string(value), {}};
        }
        default:
            break;
    }
    const std::size_t count = rng.below(rng.chance(10) ? 200 : 6);
    const char kind = "*%~>"[rng.below(4)];
    const std::size_t elements = kind == '%' ? count * 2 : count;
    Value value{.kind = is_resp3 ? kind : '*', .text = "", .elements = {}};
    if (rng.chance(50)) {
        const auto later = kind == '*'   ? to.array_later()
                           : kind == '%' ? to.map_later()
                           : kind == '~' ? to.set_later()
                                         : to.push_later();
        for (std::size_t i = 0; i < elements; ++i)
            value.elements.push_back(write_random(rng, to, depth - 1));
        to.close(later, count);
    } else {
        kind == '*'   ? to.array(count)
        : kind == '%' ? to.map(count)
        : kind == '~' ? to.set(count)
                      : to.push(count);
        for (std::size_t i = 0; i < elements; ++i)
            value.elements.push_back(write_random(rng, to, depth - 1));
    }
    return value;
}

std::string written(Protocol protocol, const std::function<void(Writer&)>& write) {
    Buffer out;
    Writer writer(out, protocol);
    write(writer);
    return std::string(out.view());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(resp_writer)

BOOST_DATA_TEST_CASE(a_reply_reads_back_as_it_was_written, utf::data::make({2, 3}), version) {
    const auto seed = fresh_seed();
    BOOST_TEST_INFO_SCOPE("again by: FIRNLOG_SEED=" << seed);
    sim::Rng rng(seed);
    for (int round = 0; round < 500; ++round) {
        Buffer out;
        Writer writer(out, static_cast<Protocol>(version));
        const Value value = write_random(rng, writer, 4);
        std::string_view bytes = out.view();
        BOOST_TEST_REQUIRE((decode(bytes) == value), text::quoted(out.view().substr(0, 500)));
        BOOST_TEST_REQUIRE(bytes.empty());
    }
}

BOOST_AUTO_TEST_CASE(every_verb_has_its_known_bytes) {
    const auto in_2 = [](auto&& write) { return written(Protocol::resp2, write); };
    const auto in_3 = [](auto&& write) { return written(Protocol::resp3, write); };
    const auto same = [&](auto&& write, std::string_view resp2, std::string_view resp3) {
        BOOST_TEST(in_2(write) == resp2);
        BOOST_TEST(in_3(write) == resp3);
    };
    const double nan = std::numeric_limits<double>::quiet_NaN();
    same([](Writer& to) { to.ok(); }, "+OK\r\n", "+OK\r\n");
    same([](Writer& to) { to.error("ERR a\r\nb\x1b\n\r\n"); }, "-ERR a  b \r\n", "-ERR a  b \r\n");
    same([](Writer& to) { to.integer(std::numeric_limits<std::int64_t>::min()); },
         ":-9223372036854775808\r\n", ":-9223372036854775808\r\n");
    same([](Writer& to) { to.bulk(""); }, "$0\r\n\r\n", "$0\r\n\r\n");
    same([](Writer& to) { to.null(); }, "$-1\r\n", "_\r\n");
    same([](Writer& to) { to.null_array(); }, "*-1\r\n", "_\r\n");
    same([](Writer& to) { to.array(10); }, "*10\r\n", "*10\r\n");
    same([](Writer& to) { to.map(10); }, "*20\r\n", "%10\r\n");
    same([](Writer& to) { to.set(1); }, "*1\r\n", "~1\r\n");
    same([](Writer& to) { to.push(2); }, "*2\r\n", ">2\r\n");
    same([&](Writer& to) { to.number(nan); }, "$3\r\nnan\r\n", ",nan\r\n");
    same([&](Writer& to) { to.number(-nan); }, "$3\r\nnan\r\n", ",nan\r\n");
    same([](Writer& to) { to.human_number(1.5L); }, "$3\r\n1.5\r\n", ",1.5\r\n");
    same([](Writer& to) { to.verbatim("hi"); }, "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
}

BOOST_AUTO_TEST_CASE(a_buffer_that_lost_a_byte_sends_none) {
    Buffer out(4096);
    Writer writer(out);
    writer.bulk("first");
    BOOST_TEST(!out.lost());
    const auto later = writer.array_later();
    for (int i = 0; i < 1000; ++i) writer.bulk("more");
    writer.close(later, 1000);
    BOOST_TEST(out.lost());
    BOOST_TEST(out.empty());
    writer.ok();
    BOOST_TEST(out.empty());
}

BOOST_AUTO_TEST_CASE(whatever_comes_to_a_full_buffer_is_lost_and_all_before_it) {
    const std::function<void(Writer&)> verbs[] = {
        [](Writer& to) { to.ok(); },
        [](Writer& to) { to.integer(1); },
        [](Writer& to) { to.error("ERR no"); },
        [](Writer& to) { to.bulk("text"); },
        [](Writer& to) { to.verbatim("text"); },
        [](Writer& to) { to.map(2); },
        [](Writer& to) { BOOST_TEST(to.bulk_room(4).data() == nullptr); },
    };
    for (const auto& verb : verbs) {
        Buffer out(3);
        Writer writer(out, Protocol::resp3);
        verb(writer);
        BOOST_TEST(out.lost());
        BOOST_TEST(out.empty());
    }
    // What stands before the rest comes last.
    Buffer out(1024);
    Writer writer(out);
    const auto later = writer.array_later();
    out.append(std::string(1022, 'x'));
    BOOST_TEST(!out.lost());
    writer.close(later, 1);
    BOOST_TEST(out.lost());
}

BOOST_AUTO_TEST_CASE(a_bulk_can_be_written_where_it_will_stand) {
    Buffer out;
    Writer writer(out);
    for (const std::string_view text : {"", "text"}) {
        const auto room = writer.bulk_room(text.size());
        BOOST_REQUIRE(room.size() == text.size());
        std::ranges::copy(text, room.begin());
    }
    BOOST_TEST(out.view() == "$0\r\n\r\n$4\r\ntext\r\n");
}

BOOST_AUTO_TEST_CASE(a_buffer_that_moves_takes_its_bytes_along) {
    Buffer from;
    from.append("");
    from.append("x");
    Buffer to(std::move(from));
    Buffer other;
    other = std::move(to);
    BOOST_TEST(other.view() == "x");
}

BOOST_AUTO_TEST_CASE(a_reply_can_be_taken_back) {
    Buffer out;
    Writer writer(out);
    writer.ok();
    const std::size_t mark = out.size();
    writer.array(2);
    writer.integer(1);
    out.truncate(mark);
    writer.error("ERR no");
    BOOST_TEST(out.view() == "+OK\r\n-ERR no\r\n");
}

BOOST_AUTO_TEST_CASE(a_buffer_gives_back_what_a_large_reply_took) {
    Buffer out;
    out.append(std::string(1 << 20, 'x'));
    BOOST_TEST(out.size() == std::size_t{1} << 20);
    out.clear();
    BOOST_TEST(out.capacity() <= Buffer::kKeptBytes);
    out.append("y");
    BOOST_TEST(out.view() == "y");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::server::resp
