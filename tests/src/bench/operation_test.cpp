#include "src/bench/operation.hpp"

#include <boost/test/unit_test.hpp>
#include <set>
#include <string>
#include <vector>

namespace firnlog::bench {
namespace {

using Words = std::vector<std::string>;

// What a server would make of the bytes: commands, each its words. Fails on anything left over.
std::vector<Words> commands_in(std::string_view bytes) {
    std::vector<Words> commands;
    const auto take_line = [&](char kind) {
        BOOST_REQUIRE(!bytes.empty());
        BOOST_REQUIRE_EQUAL(bytes.front(), kind);
        const auto end = bytes.find("\r\n");
        BOOST_REQUIRE(end != bytes.npos);
        const auto number = std::stoul(std::string(bytes.substr(1, end - 1)));
        bytes.remove_prefix(end + 2);
        return number;
    };
    while (!bytes.empty()) {
        Words words;
        for (auto left = take_line('*'); left != 0; --left) {
            const auto length = take_line('$');
            BOOST_REQUIRE(bytes.size() >= length + 2);
            words.emplace_back(bytes.substr(0, length));
            BOOST_REQUIRE(bytes.substr(length, 2) == "\r\n");
            bytes.remove_prefix(length + 2);
        }
        commands.push_back(std::move(words));
    }
    return commands;
}

struct Encoder {
    Keys keys{.count = 1000};
    Population population{1000};

    std::vector<Words> operator()(std::string_view text, int times = 1) {
        auto operation = Operation::parse(text, keys);
        BOOST_REQUIRE_MESSAGE(operation.has_value(), text);
        Source source(keys, 1, 0, 1, population);
        server::resp::Buffer out;
        for (int i = 0; i < times; ++i) operation->encode(source, out);
        return commands_in(out.view());
    }
};

std::string refusal(std::string_view text) {
    const auto operation = Operation::parse(text, Keys{});
    return operation ? "" : operation.error();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bench_operation)

BOOST_AUTO_TEST_CASE(a_set_has_a_key_of_redis_benchmark_and_a_value_of_its_size) {
    Encoder encode;
    std::set<std::string> keys;
    std::set<std::string> values;
    for (const auto& words : encode("SET {key} {value}", 200)) {
        BOOST_REQUIRE_EQUAL(words.size(), 3U);
        BOOST_TEST(words[0] == "SET");
        BOOST_TEST(words[1].size() == 16U);
        BOOST_TEST(words[1].starts_with("key:000000000"));
        BOOST_TEST(std::stoul(words[1].substr(4)) < 1000U);
        BOOST_TEST(words[2].size() == 100U);
        keys.insert(words[1]);
        values.insert(words[2]);
    }
    BOOST_TEST(keys.size() > 100U);
    BOOST_TEST(values.size() > 150U);
}

BOOST_AUTO_TEST_CASE(sizes_of_values_lie_between_both_ends_and_reach_them) {
    Encoder encode;
    encode.keys.value = *parse_value_bytes("3-12");
    std::set<std::size_t> sizes;
    for (const auto& words : encode("SET {key} <{value}>", 500)) {
        BOOST_TEST(words[2].front() == '<');
        BOOST_TEST(words[2].back() == '>');
        sizes.insert(words[2].size() - 2);
    }
    BOOST_TEST(*sizes.begin() == 3U);
    BOOST_TEST(*sizes.rbegin() == 12U);
    BOOST_TEST(sizes.size() == 10U);
}

BOOST_AUTO_TEST_CASE(one_request_has_one_key_and_others_where_it_asks_for_another) {
    Encoder encode;
    for (const auto& words : encode("MSET {key} {value} {another} {value} x{key} {value}", 50)) {
        BOOST_REQUIRE_EQUAL(words.size(), 7U);
        BOOST_TEST("x" + words[1] == words[5]);
    }
    const auto both = encode("HGETALL {key} ; HSET {key} field{random:10} {value}");
    BOOST_REQUIRE_EQUAL(both.size(), 2U);
    BOOST_TEST(both[0][1] == both[1][1]);
    std::set<std::string> others;
    for (const auto& words : encode("MGET {another} {another}", 50)) {
        others.insert(words[1]);
        others.insert(words[2]);
    }
    BOOST_TEST(others.size() > 60U);
}

BOOST_AUTO_TEST_CASE(random_numbers_are_written_without_zeros_in_front_and_reach_their_bounds) {
    Encoder encode;
    std::set<std::string> numbers;
    for (const auto& words : encode("LRANGE list {random:12} field{random:12}b{random:2}", 600))
        numbers.insert(words[2]);
    BOOST_TEST(numbers.size() == 12U);
    BOOST_TEST(numbers.contains("0"));
    BOOST_TEST(numbers.contains("11"));
    BOOST_TEST(!numbers.contains("00"));
    numbers.clear();
    for (const auto& words : encode("ZRANGE z 0 {random:1-12}", 600)) numbers.insert(words[3]);
    BOOST_TEST(numbers.size() == 12U);
    BOOST_TEST(numbers.contains("1"));
    BOOST_TEST(numbers.contains("12"));
}

BOOST_AUTO_TEST_CASE(new_keys_follow_those_that_there_are) {
    Encoder encode;
    const auto commands = encode("SET {new} x", 3);
    BOOST_TEST(commands[0][1] == "key:000000001000");
    BOOST_TEST(commands[2][1] == "key:000000001002");
    BOOST_TEST(encode.population.load() == 1003U);
    const auto both = encode("SET {new} x ; ZADD index 0 {new}");
    BOOST_TEST(both[0][1] == both[1][3]);
    BOOST_TEST(encode.population.load() == 1004U);
}

BOOST_AUTO_TEST_CASE(words_are_taken_apart_as_redis_cli_does) {
    Encoder encode;
    const auto commands = encode(R"(EVAL "return 1" 0 "a\x00\r\n")");
    BOOST_REQUIRE_EQUAL(commands.size(), 1U);
    BOOST_TEST((commands[0] == Words{"EVAL", "return 1", "0", std::string("a\0\r\n", 4)}));
}

BOOST_AUTO_TEST_CASE(commands_that_leave_together_are_one_request_with_many_replies) {
    const auto operation = Operation::parse("MULTI ; INCR {key} ; EXEC", Keys{});
    BOOST_REQUIRE(operation.has_value());
    BOOST_TEST(operation->replies() == 3U);
    BOOST_TEST(operation->name() == "MULTI+INCR+EXEC");
    BOOST_TEST(Operation::raw("PING", "PING").replies() == 1U);
}

BOOST_AUTO_TEST_CASE(a_template_that_says_nothing_says_why) {
    BOOST_TEST(refusal("").find("missing") != std::string::npos);
    BOOST_TEST(refusal("GET a ;").find("missing") != std::string::npos);
    BOOST_TEST(refusal("GET \"a").find("quotes") != std::string::npos);
    BOOST_TEST(refusal("GET {key").find("no }") != std::string::npos);
    BOOST_TEST(refusal("GET {kye}").find("{kye} is none of") != std::string::npos);
    BOOST_TEST(refusal("GET {random:0}").find("number") != std::string::npos);
    for (const auto* range : {"x", "5000000000", "", "-", "5-", "-5", "5-4", "1-4294967296"})
        BOOST_TEST(refusal("GET {random:" + std::string(range) + "}").find("number") !=
                   std::string::npos);
    std::string long_one = "PING";
    for (int i = 0; i < 1000; ++i) long_one += " ; PING";
    BOOST_TEST(refusal(long_one).find("1000 commands") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(sizes_that_make_no_sense_are_refused) {
    for (const auto* text : {"", "-", "5-", "-5", "9-3", "x", "1-2-3", "1.5", "99999999999"})
        BOOST_TEST(!parse_value_bytes(text).has_value(), text);
    BOOST_TEST(parse_value_bytes("0")->most == 0U);
    BOOST_TEST(parse_value_bytes("64-4096")->most == 4096U);
    BOOST_TEST(parse_value_bytes("1k-2M")->most == 2'000'000U);
}

BOOST_AUTO_TEST_CASE(an_empty_value_is_a_value) {
    Encoder encode;
    encode.keys.value = {.least = 0, .most = 0};
    BOOST_TEST((encode("SET k {value}")[0] == Words{"SET", "k", ""}));
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace firnlog::bench
