// The parser and its buffer: the same commands and errors however the bytes are split, and no more
// memory than has arrived.

#include <algorithm>
#include <array>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "src/resp/ahead.hpp"
#include "src/resp/parser.hpp"
#include "src/resp/receive_buffer.hpp"
#include "src/text/quote.hpp"
#include "tests/environment.hpp"
#include "tests/sim/rng.hpp"
#include "tests/src/redis_oracle.hpp"
#include "tests/src/resp_feeder.hpp"

namespace firnlog::server::resp {
namespace {

namespace utf = boost::unit_test;
using test::encoded;
using namespace std::string_literals;

Outcome parse_split(std::string_view bytes, const std::vector<std::size_t>& cuts, Way way) {
    Feeder feeder(way);
    std::size_t from = 0;
    for (const std::size_t cut : cuts) {
        feeder.feed(bytes.substr(from, cut - from));
        from = cut;
    }
    feeder.feed(bytes.substr(from));
    return feeder.outcome();
}

std::string random_argument(sim::Rng& rng) {
    if (rng.chance(2)) return random_bytes(rng, rng.below(200'000));
    if (rng.chance(10)) return random_bytes(rng, rng.below(2000));
    return random_bytes(rng, rng.below(20));
}

struct Stream {
    std::string bytes;
    std::vector<Command> commands;
};

// Valid commands in both forms, with what means nothing strewn between them.
Stream random_stream(sim::Rng& rng, std::size_t commands, bool may_be_large) {
    constexpr std::array<std::string_view, 6> kNothing = {"\r\n",    "\n",       "*0\r\n",
                                                          "*-1\r\n", " \t \r\n", "*-100\r\n"};
    Stream stream;
    for (std::size_t i = 0; i < commands; ++i) {
        if (rng.chance(20)) stream.bytes += kNothing[rng.below(kNothing.size())];
        Command command = {std::array{"GET"s, "SET"s, "x"s, ""s}[rng.below(4)]};
        for (auto more = rng.below(5); more > 0; --more) {
            command.push_back(may_be_large ? random_argument(rng)
                                           : random_bytes(rng, rng.below(12)));
        }
        if (rng.chance(30) && encoded(command).size() < 10'000) {
            for (const std::string& argument : command) {
                stream.bytes += text::quoted(argument) + (rng.chance(50) ? " " : "\t ");
            }
            stream.bytes += rng.chance(50) ? "\r\n" : "\n";
        } else {
            stream.bytes += encoded(command);
        }
        stream.commands.push_back(std::move(command));
    }
    return stream;
}

std::string set_command(std::size_t value_bytes) {
    return encoded({"SET", "key", std::string(value_bytes, 'v')});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(resp_parser)

BOOST_AUTO_TEST_CASE(a_stream_of_commands_comes_out_as_it_went_in) {
    const auto seed = fresh_seed();
    BOOST_TEST_INFO_SCOPE("again by: FIRNLOG_SEED=" << seed);
    sim::Rng rng(seed);
    for (int round = 0; round < 200; ++round) {
        const Stream stream = random_stream(rng, 20, true);
        const Outcome outcome = parse(stream.bytes);
        BOOST_TEST((outcome.commands == stream.commands), outcome);
        BOOST_TEST((outcome.end == Status::need_more));
    }
}

BOOST_DATA_TEST_CASE(a_stream_cut_in_two_anywhere_gives_the_same, utf::data::xrange(2), lent) {
    const auto seed = fresh_seed();
    BOOST_TEST_INFO_SCOPE("again by: FIRNLOG_SEED=" << seed);
    sim::Rng rng(seed);
    for (int round = 0; round < 20; ++round) {
        const Stream stream = random_stream(rng, 8, false);
        for (std::size_t cut = 0; cut <= stream.bytes.size(); ++cut) {
            const Outcome outcome = parse_split(stream.bytes, {cut}, Way{lent != 0});
            BOOST_REQUIRE_MESSAGE(outcome.commands == stream.commands,
                                  "cut at " << cut << ": " << outcome);
        }
    }
}

BOOST_DATA_TEST_CASE(a_stream_in_random_pieces_gives_the_same, utf::data::xrange(2), lent) {
    const auto seed = fresh_seed();
    BOOST_TEST_INFO_SCOPE("again by: FIRNLOG_SEED=" << seed);
    sim::Rng rng(seed);
    for (int round = 0; round < 100; ++round) {
        const Stream stream = random_stream(rng, 30, true);
        const std::size_t piece_max = std::array{2UL, 30UL, 1000UL, 40'000UL}[rng.below(4)];
        if (stream.bytes.size() / piece_max > 50'000) continue;
        std::vector<std::size_t> cuts;
        for (std::size_t at = 0; at < stream.bytes.size(); at += 1 + rng.below(piece_max)) {
            cuts.push_back(at);
        }
        const Outcome outcome = parse_split(stream.bytes, cuts, Way{lent != 0});
        BOOST_REQUIRE_MESSAGE(outcome.commands == stream.commands, outcome);
    }
}

BOOST_AUTO_TEST_CASE(malformed_bytes_give_the_same_error_for_any_split) {
    const auto seed = fresh_seed();
    BOOST_TEST_INFO_SCOPE("again by: FIRNLOG_SEED=" << seed);
    sim::Rng rng(seed);
    constexpr std::string_view kAlphabet = "*$0123-9\r\n\r\n '\"\\xPING:\0\v";
    for (int round = 0; round < 3000; ++round) {
        std::string bytes = random_stream(rng, rng.below(3), false).bytes;
        for (auto harm = 1 + rng.below(4); harm > 0; --harm) {
            const char byte = kAlphabet[rng.below(kAlphabet.size())];
            bytes.insert(bytes.begin() + static_cast<long>(rng.below(bytes.size() + 1)), byte);
        }
        const Outcome whole = parse(bytes);
        std::vector<std::size_t> every(bytes.size());
        for (std::size_t i = 0; i < every.size(); ++i) every[i] = i;
        const std::size_t cut = rng.below(bytes.size() + 1);
        BOOST_REQUIRE_MESSAGE(parse_split(bytes, {cut}, Way::copied) == whole,
                              text::quoted(bytes) << " cut at " << cut << ": " << whole);
        BOOST_REQUIRE_MESSAGE(parse_split(bytes, every, Way::lent) == whole,
                              text::quoted(bytes) << " byte by byte: " << whole);
    }
}

BOOST_AUTO_TEST_CASE(lines_of_any_length_are_refused_at_one_length_however_they_come) {
    const auto at_most = std::string(kLineBytesMax, 'x') + "\n";
    const auto past = std::string(kLineBytesMax + 1, 'x') + "\n";
    for (const std::size_t piece : {1UL, 7UL, 16'384UL, 1'000'000UL}) {
        std::vector<std::size_t> cuts;
        for (std::size_t at = 0; at < past.size(); at += piece) cuts.push_back(at);
        BOOST_TEST(parse_split(past, cuts, Way::copied).error ==
                   "ERR Protocol error: too big inline request");
        while (!cuts.empty() && cuts.back() > at_most.size()) cuts.pop_back();
        BOOST_TEST(parse_split(at_most, cuts, Way::lent).commands.size() == 1);
    }
}

BOOST_AUTO_TEST_CASE(a_nul_hides_nothing) {
    const auto outcome = parse("ECHO a\0b\r\nPING\r\n"s);
    BOOST_TEST((outcome.commands == std::vector<Command>{{"ECHO", "a\0b"s}, {"PING"}}), outcome);
    BOOST_TEST(parse("*1\0\r\n"s).error == "ERR Protocol error: invalid multibulk length");
}

BOOST_AUTO_TEST_CASE(control_characters_are_not_echoed) {
    for (const char byte : "\x01\x1b\x7f\r\n"s) {
        BOOST_TEST(parse("*1\r\n"s + byte + "1\r\n").error ==
                   "ERR Protocol error: expected '$', got ' '");
    }
    BOOST_TEST(parse("*1\r\n\xe9\r\n"s).error == "ERR Protocol error: expected '$', got '\xe9'");
}

BOOST_AUTO_TEST_CASE(the_number_of_arguments_has_a_bound) {
    BOOST_TEST((parse("*1048576\r\n").end == Status::need_more));
    BOOST_TEST(parse("*1048577\r\n").error == "ERR Protocol error: invalid multibulk length");
    std::string many = "*1048576\r\n";
    for (int i = 0; i < 1 << 20; ++i) many += "$1\r\nx\r\n";
    const Outcome outcome = parse(many);
    BOOST_REQUIRE(outcome.commands.size() == 1);
    BOOST_TEST(outcome.commands[0].size() == std::size_t{1} << 20);
}

BOOST_AUTO_TEST_CASE(limits_hold_for_what_is_read_after_they_are_set) {
    Feeder feeder(Way::copied, {.authenticated = false});
    feeder.feed("*3\r\n$4\r\nAUTH\r\n");
    ReceiveBuffer buffer;
    Parser parser;
    parser.limit({.authenticated = false});
    BOOST_REQUIRE(buffer.append("*1\r\n$4\r\nAUTH\r\n*11\r\n"));
    BOOST_TEST((parser.next(buffer) == Status::command));
    parser.limit({.authenticated = true});
    BOOST_TEST((parser.next(buffer) == Status::need_more));
}

BOOST_AUTO_TEST_CASE(an_error_is_final) {
    ReceiveBuffer buffer;
    Parser parser;
    BOOST_REQUIRE(buffer.append("*x\r\nPING\r\n"));
    BOOST_TEST((parser.next(buffer) == Status::error));
    BOOST_REQUIRE(buffer.append("PING\r\n"));
    BOOST_TEST((parser.next(buffer) == Status::error));
    BOOST_TEST(parser.error() == "ERR Protocol error: invalid multibulk length");
}

BOOST_AUTO_TEST_CASE(http_is_hung_up_on_before_anything_runs) {
    const std::vector<std::string> closed = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.0\n",
        "\r\n\r\nGET /x HTTP/1.1\r\n",
        "POST /\r\n",
        "PUT /a\"b HTTP/1.1\r\n",
        "HEAD / HTTP/1.1\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "DELETE /key\r\n",
        "PATCH /key\r\n",
        "CONNECT host:6379\r\n",
        "TRACE /\r\n",
        "SET a HTTP/1.9\r\n",
        "Host: localhost\r\n",
        "hOST:\r\n",
        "post\r\n",
        encoded({"Host:", "x"}),
        encoded({"POST", "x"}),
    };
    for (const std::string& bytes : closed) {
        const Outcome outcome = parse(bytes + "SET a b\r\n");
        BOOST_TEST((outcome.end == Status::close_silently), bytes);
        BOOST_TEST(outcome.commands.empty(), bytes);
        for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
            BOOST_TEST((parse_split(bytes, {cut}, Way::copied) == outcome), bytes);
        }
    }
}

BOOST_AUTO_TEST_CASE(what_merely_resembles_http_runs) {
    const std::vector<std::string> run = {
        "GET /\r\n",           "GET HTTP/1.1x\r\n",
        "GET HTTP/2\r\n",      "head x\r\n",
        "PUTTY\r\n",           "GET \" HTTP/1.1\"\r\n",
        "Hosts: x\r\n",        encoded({"SET", "a", "GET / HTTP/1.1"}),
        encoded({"PUT", "x"}), "GET Host:\r\n",
    };
    for (const std::string& bytes : run) BOOST_TEST(parse(bytes).commands.size() == 1, bytes);
    // Only the first line can be a request; a client that has spoken to us is one of ours.
    BOOST_TEST(parse("PING\r\nSET a HTTP/1.1\r\n").commands.size() == 2);
}

BOOST_AUTO_TEST_CASE(an_announced_length_allocates_nothing) {
    Feeder feeder(Way::copied);
    feeder.feed("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nfirst bytes");
    BOOST_TEST(feeder.buffer().capacity() <= 1024);
    feeder.feed(std::string(100'000, 'v'));
    BOOST_TEST(feeder.buffer().capacity() <= 2 * 100'100);
    Feeder many(Way::copied);
    many.feed("*1048576\r\n$1\r\nx\r\n");
    BOOST_TEST(many.buffer().capacity() <= 1024);
}

BOOST_AUTO_TEST_CASE(a_length_may_be_as_long_as_its_bound) {
    for (const auto& [length, wanted] : {std::pair{"1099511627776", Status::need_more},
                                         std::pair{"1099511627777", Status::error}}) {
        ReceiveBuffer buffer;
        Parser parser;
        parser.limit({.bulk_bytes_max = std::int64_t{1} << 40});
        BOOST_REQUIRE(buffer.append("*1\r\n$"s + length + "\r\nfirst bytes"));
        BOOST_TEST((parser.next(buffer) == wanted), length);
    }
}

BOOST_AUTO_TEST_CASE(a_large_value_grows_to_its_size_and_its_memory_goes_back) {
    constexpr std::size_t kValueBytes = 10 << 20;
    const std::string bytes = set_command(kValueBytes);
    Feeder feeder(Way::lent);
    std::size_t sent = 0;
    for (; sent + 16'384 < bytes.size(); sent += 16'384) {
        feeder.feed(std::string_view(bytes).substr(sent, 16'384));
        BOOST_TEST_REQUIRE(feeder.buffer().capacity() <= std::max(2 * (sent + 16'384), 1024UL));
    }
    BOOST_TEST(feeder.buffer().capacity() <= bytes.size() + (64 << 10));
    BOOST_TEST(feeder.outcome().commands.empty());
    feeder.feed(std::string(bytes.substr(sent)) + "*1\r\n$4\r\nPI");
    BOOST_REQUIRE(feeder.outcome().commands.size() == 1);
    BOOST_TEST((feeder.outcome().commands[0][2] == std::string(kValueBytes, 'v')));
    BOOST_TEST(feeder.buffer().capacity() <= ReceiveBuffer::kKeptBytes);
    feeder.feed("NG\r\n");
    BOOST_TEST(feeder.outcome().commands.size() == 2);
}

BOOST_AUTO_TEST_CASE(whole_packets_are_read_where_they_lie) {
    Feeder feeder(Way::lent);
    for (int i = 0; i < 10; ++i) feeder.feed(set_command(100) + set_command(50'000));
    BOOST_TEST(feeder.outcome().commands.size() == 20);
    BOOST_TEST(feeder.buffer().capacity() == 0);
}

BOOST_AUTO_TEST_CASE(keys_are_seen_ahead_of_short_whole_commands_alone) {
    const std::string get = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
    std::array<KeyAhead, 4> keys;
    const auto twice = get + get;
    BOOST_TEST(keys_ahead(twice, keys) == 2U);
    BOOST_TEST(keys[1].key == "k");
    for (const std::string behind :
         {"PING\r\n", "*2\r\n$3\r\nGET\r\n$1\r\nk", "*2\r\n+3\r\nGET\r\n$1\r\nk\r\n",
          "*2\r\n$3:\r\nGET", "*2\n\n$3\r\n", "*1\r\n$4\r\nPING\r\n", "*9\r\n$4\r\nMSET\r\n",
          "*2\r\n$1000001\r\nGET\r\n"})
        BOOST_TEST(keys_ahead(get + behind, keys) == 1U, behind);
}

BOOST_AUTO_TEST_CASE(the_receive_buffer_refuses_what_is_past_its_bound) {
    ReceiveBuffer buffer(100);
    BOOST_TEST(buffer.append(std::string(60, 'a')));
    BOOST_TEST(!buffer.append(std::string(41, 'b')));
    BOOST_TEST(buffer.unread() == std::string(60, 'a'));
    buffer.consume(50);
    BOOST_TEST(buffer.append(std::string(90, 'c')));
    BOOST_TEST(buffer.unread() == std::string(10, 'a') + std::string(90, 'c'));
    buffer.consume(100);
    BOOST_TEST(!buffer.receive(std::string(101, 'd')));
    BOOST_TEST(!buffer.append(std::string(101, 'd')));
    BOOST_TEST(buffer.unread().empty());
}

BOOST_AUTO_TEST_CASE(the_receive_buffer_is_a_queue_of_bytes) {
    const auto seed = fresh_seed();
    BOOST_TEST_INFO_SCOPE("again by: FIRNLOG_SEED=" << seed);
    sim::Rng rng(seed);
    ReceiveBuffer buffer;
    std::string model;
    for (int step = 0; step < 20'000; ++step) {
        if (rng.chance(50)) {
            const std::string bytes = random_bytes(rng, rng.below(rng.chance(5) ? 100'000 : 300));
            BOOST_REQUIRE(rng.chance(50) ? buffer.append(bytes) : buffer.receive(bytes));
            model += bytes;
            if (rng.chance(20)) buffer.expect(model.size() + rng.below(100'000));
            BOOST_REQUIRE(buffer.settle());
        } else {
            const std::size_t used = rng.chance(30) ? model.size() : rng.below(model.size() + 1);
            buffer.consume(used);
            model.erase(0, used);
            if (rng.chance(50)) buffer.trim();
            if (rng.chance(10)) buffer.release();
        }
        BOOST_REQUIRE(buffer.unread() == model);
        BOOST_REQUIRE(buffer.capacity() >= model.size());
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::server::resp
