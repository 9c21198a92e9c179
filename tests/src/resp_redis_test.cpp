// The protocol against a real Redis: what it refuses and in which words, how it splits lines, and
// the bytes of each kind of reply.

#include <algorithm>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "src/resp/buffer.hpp"
#include "src/resp/writer.hpp"
#include "src/text/quote.hpp"
#include "tests/environment.hpp"
#include "tests/sim/rng.hpp"
#include "tests/src/redis_oracle.hpp"
#include "tests/src/resp_feeder.hpp"

namespace firnlog::server::resp {
namespace {

namespace utf = boost::unit_test;
using test::encoded;
using test::redis_is_here;
using test::RedisOracle;
using namespace std::string_literals;

// As far as Redis's errors echo it: they are printed, and a NUL ends what is printed.
std::string printed(std::string_view word, std::size_t bytes_max) {
    return std::string(word.substr(0, std::min(word.find('\0'), bytes_max)));
}

// What a Redis that knows ECHO, PING and one script would reply to the same bytes.
std::string replies_to(std::string_view bytes, Parser::Limits limits) {
    const Outcome outcome = parse(bytes, limits);
    Buffer out;
    Writer writer(out);
    for (const Command& command : outcome.commands) {
        if (!limits.authenticated) {
            writer.error("NOAUTH Authentication required.");
        } else if (command[0] == "PING" && command.size() == 1) {
            writer.simple("PONG");
        } else if ((command[0] == "PING" || command[0] == "ECHO") && command.size() == 2) {
            writer.bulk(command[1]);
        } else if (command[0] == "EVAL" && command.size() >= 3) {
            writer.array(command.size() - 3);
            for (std::size_t i = 3; i < command.size(); ++i) writer.bulk(command[i]);
        } else if (command[0] == "PING" || command[0] == "ECHO") {
            const std::string name = command[0] == "PING" ? "ping" : "echo";
            writer.error("ERR wrong number of arguments for '" + name + "' command");
        } else {
            std::string shown;
            for (std::size_t i = 1; i < command.size() && shown.size() < 128; ++i) {
                shown += "'" + printed(command[i], 128 - shown.size()) + "' ";
            }
            writer.error("ERR unknown command '" + printed(command[0], 128) +
                         "', with args beginning with: " + shown);
        }
    }
    if (outcome.end == Status::error) writer.error(outcome.error);
    return std::string(out.view());
}

// Redis echoes control characters, and here lies one of the few differences.
std::string without_controls(std::string reply) {
    for (char& byte : reply) {
        const bool is_control = static_cast<unsigned char>(byte) < ' ' || byte == '\x7f';
        if (is_control && byte != '\r' && byte != '\n') byte = ' ';
    }
    return reply;
}

void compare(const RedisOracle& redis, std::string_view bytes, Parser::Limits limits) {
    auto peer = redis.connect();
    peer.send(bytes);
    const std::string theirs = peer.receive_all();
    const std::string ours = without_controls(replies_to(bytes, limits));
    BOOST_TEST((ours == without_controls(theirs)),
               "for " << text::quoted(bytes.substr(0, 200)) << "\nours   "
                      << text::quoted(std::string_view(ours).substr(0, 400)) << "\ntheirs "
                      << text::quoted(std::string_view(theirs).substr(0, 400)));
}

// The smallest Redis takes for proto-max-bulk-len.
constexpr std::int64_t kBulkBytesMax = 1 << 20;

std::string joined(std::initializer_list<std::string_view> parts) {
    std::string whole;
    for (const std::string_view part : parts) whole += part;
    return whole;
}

std::vector<std::string> malformed() {
    const std::string ping = encoded({"PING"});
    const std::string echo = "*2\r\n$4\r\nECHO\r\n";
    std::vector<std::string> all;
    for (const char* const count : {"",
                                    "x",
                                    "3x",
                                    "x3",
                                    "+1",
                                    "01",
                                    "00",
                                    "-0",
                                    "--1",
                                    "1.0",
                                    "1e3",
                                    " 1",
                                    "1 ",
                                    "0x1",
                                    "-",
                                    "9223372036854775808",
                                    "-9223372036854775809",
                                    "99999999999999999999999",
                                    "2147483648",
                                    "4294967297",
                                    "9223372036854775807",
                                    "000000000000000000001",
                                    "1\n",
                                    "\n1",
                                    "$3",
                                    "*1"}) {
        all.push_back(joined({ping, "*", count, "\r\n"}));
        all.push_back(joined({echo, "$", count, "\r\nx\r\n"}));
    }
    for (const char* const size : {"-1", "-2", "1048577", "1048576000", "2147483647", "1000000000"})
        all.push_back(joined({echo, "$", size, "\r\nx\r\n", ping}));
    for (const char* const header : {"3\r\n", ":3\r\n", "*1\r\n", "+OK\r\n", "PING\r\n", " $1\r\n",
                                     "\r\n", "\n\r\n", "x\r\n", "%s\r\n", "''\r\n", "\\\r\n"}) {
        all.push_back(joined({echo, header, "x\r\n"}));
        all.push_back(joined({"*1\r\n", header, ping}));
    }
    for (const char* const line :
         {"ECHO \"", "ECHO '", "ECHO \"a", "ECHO 'a", "ECHO \"a\"b", "ECHO 'a'b", "ECHO a\"b\"c",
          "ECHO \"a\\", "ECHO \"a\\\"", "ECHO 'a\\'", "\"", "'", "ECHO \"\\x4", "ECHO ''''",
          "ECHO \"\"\"\"", "\"PING\"PING"}) {
        all.push_back(joined({ping, line, "\r\n", ping}));
    }
    all.push_back(std::string(70'000, 'x'));
    all.push_back(ping + std::string(70'000, ' '));
    all.push_back("*" + std::string(70'000, '1'));
    all.push_back(echo + "$" + std::string(70'000, '1'));
    all.push_back(echo + std::string(70'000, 'y'));
    // A length may have anything behind its CR, an argument anything behind itself.
    all.push_back("*1\rx$4\rxPINGxx" + ping);
    // Cut short: no reply but to what is whole.
    for (const char* const cut : {"*", "*1", "*1\r", "*1\r\n", "*1\r\n$", "*1\r\n$4\r",
                                  "*1\r\n$4\r\nPIN", "*1\r\n$4\r\nPING", "*1\r\n$4\r\nPING\r",
                                  "PING", "PING\r", "*1\r\nx", "*1\r\nx\r", "*x", "*x\r"}) {
        all.push_back(ping + cut);
    }
    return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(resp_against_redis, *utf::precondition(redis_is_here))

BOOST_AUTO_TEST_CASE(malformed_requests_are_refused_in_redis_words) {
    const RedisOracle redis({"--proto-max-bulk-len", std::to_string(kBulkBytesMax)});
    const auto all = malformed();
    BOOST_TEST(all.size() >= 80);
    for (const std::string& bytes : all) compare(redis, bytes, {.bulk_bytes_max = kBulkBytesMax});
}

BOOST_AUTO_TEST_CASE(typed_lines_are_split_as_redis_splits_them) {
    const RedisOracle redis;
    const std::string script = "EVAL \"return ARGV\" 0 ";
    for (const char* const line :
         {"a b c", "  a\t b  ", "''", "\"\" \"\"", "\"\\x41\\x4g\\xzz\\x\"",
          "\"\\n\\r\\t\\b\\a\\q\"", "'\\n' '\\''", "a'b c'", "a\"b\\\"c\"", "\va \fb\v", "a\vb",
          "\"a\" 'b'\t\"c\"\v'd'", "\xff\x80", "\"\\\\\" '\\\\'", "a\\b \\", "\r a\rb"}) {
        compare(redis, joined({script, line, "\r\n", script, line, "\n"}), {});
    }
}

BOOST_AUTO_TEST_CASE(a_client_unknown_yet_is_refused_early) {
    const RedisOracle redis({"--requirepass", "secret"});
    const Parser::Limits limits{.authenticated = false};
    const std::string ten = encoded(Command(10, "MGET"));
    for (const std::string& bytes :
         {encoded({"PING"}), ten, encoded(Command(11, "MGET")), "*11\r\n"s, "*10\r\n"s,
          "*2000000\r\n"s.replace(1, 7, "9999999999"), "*-1\r\nPING\r\n"s,
          encoded({"ECHO", std::string(16384, 'x')}), encoded({"ECHO", std::string(16385, 'x')}),
          ten + "*1\r\n$16385\r\n", "*1\r\n$536870912\r\n"s, "*1\r\n$536870913\r\n"s,
          "*1\r\n$-1\r\n"s, "PING\r\n"s, "PING '\r\n"s}) {
        compare(redis, bytes, limits);
    }
}

BOOST_AUTO_TEST_CASE(damaged_streams_get_the_replies_redis_gives) {
    const auto seed = fresh_seed();
    BOOST_TEST_INFO_SCOPE("again by: FIRNLOG_SEED=" << seed);
    sim::Rng rng(seed);
    const RedisOracle redis({"--proto-max-bulk-len", std::to_string(kBulkBytesMax)});
    constexpr std::string_view kAlphabet = "*$0123-9\r\n\r\n\r\n '\"\\x4:P+";
    for (int round = 0; round < 2000; ++round) {
        std::string bytes;
        for (auto commands = rng.below(4); commands > 0; --commands) {
            switch (rng.below(5)) {
                case 0:
                    bytes += "ECHO \"a \\x41\"\r\n";
                    break;
                case 1:
                    bytes += "PING 'b c'\n";
                    break;
                case 2:
                    bytes += "*0\r\n";
                    break;
                default:
                    bytes += encoded({"ECHO", std::string(rng.below(12), 'e')});
            }
        }
        for (auto harm = rng.below(5); harm > 0; --harm) {
            const auto at = static_cast<long>(rng.below(bytes.size() + 1));
            const char byte = kAlphabet[rng.below(kAlphabet.size())];
            if (rng.chance(30) && at < static_cast<long>(bytes.size())) {
                bytes.erase(bytes.begin() + at);
            } else {
                bytes.insert(bytes.begin() + at, byte);
            }
        }
        compare(redis, bytes, {.bulk_bytes_max = kBulkBytesMax});
    }
}

BOOST_AUTO_TEST_CASE(redis_hangs_up_on_the_same_two_names) {
    const RedisOracle redis;
    for (const std::string& bytes :
         {"POST / HTTP/1.1\r\nHost: x\r\n\r\n"s, "Host: localhost\r\nPING\r\n"s,
          encoded({"pOsT", "a"}) + encoded({"PING"}), encoded({"hOsT:"}) + encoded({"PING"})}) {
        compare(redis, bytes, {});
    }
}

// DEBUG PROTOCOL shows one reply of each kind.
BOOST_DATA_TEST_CASE(replies_have_the_bytes_redis_gives_them, utf::data::make({2, 3}), version) {
    // Small sorted sets would keep "-0" as the integer 0.
    const RedisOracle redis({"--zset-max-listpack-entries", "0"});
    auto peer = redis.connect();
    (void)peer.ask({"HELLO", std::to_string(version)});
    const auto protocol = static_cast<Protocol>(version);
    const auto check = [&](const char* kind, const std::function<void(Writer&)>& write) {
        Buffer out;
        Writer writer(out, protocol);
        write(writer);
        const std::string theirs = peer.ask({"DEBUG", "PROTOCOL", kind});
        BOOST_TEST(text::quoted(out.view()) == text::quoted(theirs));
    };
    check("string", [](Writer& to) { to.bulk("Hello World"); });
    check("integer", [](Writer& to) { to.integer(12345); });
    check("double", [](Writer& to) { to.number(3.141); });
    check("null", [](Writer& to) { to.null(); });
    check("true", [](Writer& to) { to.boolean(true); });
    check("false", [](Writer& to) { to.boolean(false); });
    check("bignum", [](Writer& to) { to.big_number("1234567999999999999999999999999999999"); });
    check("verbatim", [](Writer& to) { to.verbatim("This is a verbatim\nstring"); });
    check("array", [](Writer& to) {
        to.array(3);
        for (int i = 0; i < 3; ++i) to.integer(i);
    });
    check("set", [](Writer& to) {
        const auto later = to.set_later();
        for (int i = 0; i < 3; ++i) to.integer(i);
        to.close(later, 3);
    });
    check("map", [](Writer& to) {
        const auto later = to.map_later();
        for (int i = 0; i < 3; ++i) {
            to.integer(i);
            to.boolean(i == 1);
        }
        to.close(later, 3);
    });
    if (protocol == Protocol::resp3) {
        check("attrib", [](Writer& to) {
            to.attribute(1);
            to.bulk("key-popularity");
            to.array(2);
            to.bulk("key:123");
            to.integer(90);
            to.bulk("Some real reply following the attribute");
        });
    }
    const auto same = [&](const Command& command, const std::function<void(Writer&)>& write) {
        Buffer out;
        Writer writer(out, protocol);
        write(writer);
        BOOST_TEST(text::quoted(out.view()) == text::quoted(peer.ask(command)));
    };
    same({"EXEC"}, [](Writer& to) { to.error("ERR EXEC without MULTI\r\n"); });
    same({"nonesuch\r\nx", "a\nb"}, [](Writer& to) {
        to.error("ERR unknown command 'nonesuch\r\nx', with args beginning with: 'a\nb' ");
    });
    same({"LMPOP", "1", "none", "LEFT"}, [](Writer& to) { to.null_array(); });
    same({"INCRBYFLOAT", "float", "1.5"}, [](Writer& to) { to.bulk("1.5"); });
    same({"HGETALL", "none"}, [](Writer& to) { to.map(0); });
    for (const char* const score : {"inf", "-inf", "0", "-0", "1e300", "5e-324", "0.1", "100",
                                    "123456789012345678", "1e16", "1e17", "-2.5"}) {
        (void)peer.ask({"DEL", "z"});
        (void)peer.ask({"ZADD", "z", score, "m"});
        same({"ZSCORE", "z", "m"}, [&](Writer& to) { to.number(std::strtod(score, nullptr)); });
    }
    (void)peer.ask({"GEOADD", "geo", "13.361389", "38.115556", "Palermo"});
    same({"GEOPOS", "geo", "Palermo"}, [](Writer& to) {
        to.array(1);
        to.array(2);
        to.human_number(13.36138933897018433L);
        to.human_number(38.11555639549629859L);
    });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::server::resp
