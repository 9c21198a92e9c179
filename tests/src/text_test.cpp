// Numbers, patterns, quoting, slots and digests: against Redis itself where it can be asked.

#include "src/text/numbers.hpp"

#include <array>
#include <bit>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/index/stripe.hpp"
#include "src/text/fold.hpp"
#include "src/text/glob.hpp"
#include "src/text/quote.hpp"
#include "src/text/sha1.hpp"
#include "tests/environment.hpp"
#include "tests/sim/rng.hpp"
#include "tests/src/redis_oracle.hpp"

namespace firnlog::server::text {
namespace {

namespace utf = boost::unit_test;
using engine::crc16;
using engine::kStripes;
using engine::stripe_of;
using test::payload;
using test::redis_is_here;
using test::RedisOracle;
using namespace std::string_literals;

std::string random_of(sim::Rng& rng, std::string_view alphabet, std::size_t size_max) {
    std::string made;
    for (auto size = rng.below(size_max + 1); size > 0; --size) {
        made.push_back(alphabet[rng.below(alphabet.size())]);
    }
    return made;
}

std::string shown(double value) {
    std::array<char, kDoubleBytesMax> digits;
    return {digits.data(), print_double(digits.data(), value)};
}

std::string shown(std::int64_t value) {
    std::array<char, kIntegerBytesMax> digits;
    return {digits.data(), print_i64(digits.data(), value)};
}

// Texts near a number: mostly right, some just wrong, many at the edges.
std::string random_integer_text(sim::Rng& rng) {
    std::string made;
    switch (rng.below(4)) {
        case 0:
            made = shown(static_cast<std::int64_t>(rng.next()) >> rng.below(64));
            break;
        case 1:
            made = std::to_string(std::numeric_limits<std::int64_t>::max());
            made.back() = static_cast<char>('0' + rng.below(10));
            if (rng.chance(50)) made = "-" + made;
            break;
        case 2:
            made = random_of(rng, "0123456789", 24);
            break;
        default:
            made = random_of(rng, "-+ 019.x", 4);
    }
    if (rng.chance(10)) made.insert(rng.below(made.size() + 1), 1, " -+0e.\n"[rng.below(7)]);
    return made;
}

std::string random_float_text(sim::Rng& rng) {
    std::string made = rng.chance(30) ? "-" : "";
    switch (rng.below(7)) {
        case 0:
            made += shown(std::bit_cast<double>(rng.next()));
            break;
        case 1:
            made += std::to_string(rng.below(1'000'000)) + "." + random_of(rng, "0123456789", 20);
            break;
        case 2:
            made += random_of(rng, "0123456789", 30) + "e" + std::to_string(rng.below(30));
            break;
        case 3:
            made += "0x" + random_of(rng, "0123456789abcdefp.", 12);
            break;
        case 4: {
            constexpr std::array<std::string_view, 12> kOdd = {
                "inf",     "infinity", "INF",   "nan",   "1e4931", "1e4933",
                "1e-4960", "1e-4940",  "1e308", "1e309", "1e-320", "1e-330"};
            made += kOdd[rng.below(kOdd.size())];
            break;
        }
        case 5:
            made += random_of(rng, "0123456789.e+-", 10);
            break;
        default:
            made += "0." + random_of(rng, "09", 25);
    }
    if (rng.chance(5)) made.insert(rng.below(made.size() + 1), 1, " +-x.\0\v"[rng.below(7)]);
    return made;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(text_numbers)

BOOST_AUTO_TEST_CASE(an_integer_has_one_spelling) {
    const auto reads = [](std::string_view text, std::optional<std::int64_t> value) {
        BOOST_TEST((parse_i64(text) == value), text);
    };
    reads("0", 0);
    reads("-1", -1);
    reads("9223372036854775807", std::numeric_limits<std::int64_t>::max());
    reads("-9223372036854775808", std::numeric_limits<std::int64_t>::min());
    for (const char* const wrong :
         {"", "-", "-0", "00", "01", "-01", "+1", " 1", "1 ", "1.0", "0x1", "1e1", "--1", "1-",
          "9223372036854775808", "-9223372036854775809", "18446744073709551616",
          "99999999999999999999", "100000000000000000000"}) {
        reads(wrong, std::nullopt);
    }
    reads("1\0"s, std::nullopt);
    BOOST_TEST((parse_u64("18446744073709551615") == ~std::uint64_t{0}));
    BOOST_TEST((parse_u64("0") == std::uint64_t{0}));
    for (const char* const wrong : {"", "-1", "-0", "00", "+1", "18446744073709551616", "1 "}) {
        BOOST_TEST(!parse_u64(wrong), wrong);
    }
}

BOOST_AUTO_TEST_CASE(a_printed_integer_reads_back) {
    const auto seed = fresh_seed();
    BOOST_TEST_INFO_SCOPE("again by: FIRNLOG_SEED=" << seed);
    sim::Rng rng(seed);
    for (int round = 0; round < 100'000; ++round) {
        const auto value = static_cast<std::int64_t>(rng.next()) >> rng.below(64);
        BOOST_TEST_REQUIRE((parse_i64(shown(value)) == value), value);
        const std::uint64_t large = rng.next();
        std::array<char, kIntegerBytesMax> digits;
        const std::string text(digits.data(), print_u64(digits.data(), large));
        BOOST_TEST_REQUIRE((parse_u64(text) == large), text);
    }
}

BOOST_AUTO_TEST_CASE(doubles_are_printed_as_by_the_c_library) {
    const auto seed = fresh_seed();
    BOOST_TEST_INFO_SCOPE("again by: FIRNLOG_SEED=" << seed);
    sim::Rng rng(seed);
    for (int round = 0; round < 100'000; ++round) {
        double value = std::bit_cast<double>(rng.next());
        if (rng.chance(50)) value = static_cast<double>(rng.below(1'000'000)) / 1000;
        if (std::isnan(value)) continue;
        std::array<char, 64> expected;
        std::snprintf(expected.data(), expected.size(), "%.17g", value);
        BOOST_TEST_REQUIRE(shown(value) == expected.data());
    }
    BOOST_TEST(shown(-std::numeric_limits<double>::denorm_min()) == "-4.9406564584124654e-324");
    BOOST_TEST(shown(-0.0) == "-0");
    BOOST_TEST(shown(std::numeric_limits<double>::infinity()) == "inf");
    BOOST_TEST(shown(-std::numeric_limits<double>::quiet_NaN()) == "nan");
}

BOOST_AUTO_TEST_CASE(human_numbers_have_no_exponent_and_no_idle_zeros) {
    BOOST_TEST(human(3.0L) == "3");
    BOOST_TEST(human(100.0L) == "100");
    BOOST_TEST(human(10.5L) == "10.5");
    BOOST_TEST(human(-0.0L) == "0");
    BOOST_TEST(human(-1e-30L) == "0");
    BOOST_TEST(human(1e20L) == "100000000000000000000");
    BOOST_TEST(human(std::numeric_limits<long double>::max()).size() == 4933);
    BOOST_TEST(human(std::numeric_limits<long double>::infinity()) == "inf");
    BOOST_TEST(human(-std::numeric_limits<long double>::infinity()) == "-inf");
    BOOST_TEST(!parse_long_double(std::string(5 * 1024, '1')));
    BOOST_TEST(parse_long_double("0." + std::string(5 * 1024 - 3, '1')).has_value());
}

BOOST_AUTO_TEST_CASE(integers_are_read_as_redis_reads_them, *utf::precondition(redis_is_here)) {
    const auto seed = fresh_seed();
    BOOST_TEST_INFO_SCOPE("again by: FIRNLOG_SEED=" << seed);
    sim::Rng rng(seed);
    const RedisOracle redis;
    auto peer = redis.connect();
    for (int round = 0; round < 5000; ++round) {
        const std::string text = random_integer_text(rng);
        (void)peer.ask({"SET", "n", text});
        const std::string sum = payload(peer.ask({"INCRBY", "n", "0"}));
        const auto value = parse_i64(text);
        BOOST_TEST_REQUIRE(
            sum == (value ? shown(*value) : "ERR value is not an integer or out of range"s),
            quoted(text));
    }
}

BOOST_AUTO_TEST_CASE(incrbyfloat_gives_the_digits_redis_gives, *utf::precondition(redis_is_here)) {
    const auto seed = fresh_seed();
    BOOST_TEST_INFO_SCOPE("again by: FIRNLOG_SEED=" << seed);
    sim::Rng rng(seed);
    const RedisOracle redis;
    auto peer = redis.connect();
    int sums = 0;
    for (int round = 0; round < 5000; ++round) {
        const std::string base = random_float_text(rng);
        const std::string step = random_float_text(rng);
        (void)peer.ask({"SET", "f", base});
        const std::string theirs = payload(peer.ask({"INCRBYFLOAT", "f", step}));
        const auto first = parse_long_double(base);
        const auto second = parse_long_double(step);
        std::string ours = "ERR value is not a valid float";
        if (first && second) {
            const long double sum = *first + *second;
            ours = std::isfinite(sum) ? human(sum) : "ERR increment would produce NaN or Infinity";
            ++sums;
        }
        BOOST_TEST_REQUIRE(ours == theirs, quoted(base) << " + " << quoted(step) << ": " << ours
                                                        << " is not " << theirs);
    }
    BOOST_TEST(sums > 500);
}

BOOST_AUTO_TEST_CASE(doubles_are_read_and_shown_as_by_redis, *utf::precondition(redis_is_here)) {
    const auto seed = fresh_seed();
    BOOST_TEST_INFO_SCOPE("again by: FIRNLOG_SEED=" << seed);
    sim::Rng rng(seed);
    const RedisOracle redis({"--zset-max-listpack-entries", "0"});
    auto peer = redis.connect();
    int values = 0;
    for (int round = 0; round < 5000; ++round) {
        const std::string text = random_float_text(rng);
        const std::string added = payload(peer.ask({"ZADD", "z", text, "m"}));
        const auto value = parse_double(text);
        BOOST_TEST_REQUIRE(value.has_value() == (added != "ERR value is not a valid float"),
                           quoted(text) << " gives " << added);
        if (!value) continue;
        ++values;
        BOOST_TEST_REQUIRE(shown(*value) == payload(peer.ask({"ZSCORE", "z", "m"})), quoted(text));
        (void)peer.ask({"DEL", "z"});
    }
    BOOST_TEST(values > 500);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(text_glob)

BOOST_AUTO_TEST_CASE(patterns_match_what_they_say) {
    const auto ignored = LetterCase::ignored;
    BOOST_TEST(glob("*", "anything"));
    BOOST_TEST(glob("a*b*c", "aXXbYYc"));
    BOOST_TEST(!glob("a*b*c", "aXXbYYd"));
    BOOST_TEST(glob("h?llo", "hello"));
    BOOST_TEST(glob("h[ae]llo", "hallo"));
    BOOST_TEST(!glob("h[^e]llo", "hello"));
    BOOST_TEST(glob("h[a-c]llo", "hbllo"));
    BOOST_TEST(glob("h[c-a]llo", "hbllo"));
    BOOST_TEST(glob("\\*", "*"));
    BOOST_TEST(!glob("\\*", "x"));
    BOOST_TEST(glob("HELLO*", "hello", ignored));
    BOOST_TEST(glob("[A-C]", "b", ignored));
    BOOST_TEST(!glob("HELLO", "hello"));
    BOOST_TEST(glob("a\0*"s, "a\0b"s));
}

BOOST_AUTO_TEST_CASE(the_corners_are_those_of_redis) {
    BOOST_TEST(glob("", ""));
    BOOST_TEST(!glob("*", ""));
    BOOST_TEST(!glob("", "a"));
    BOOST_TEST(!glob("[", "["));
    BOOST_TEST(glob("[^", "x"));
    BOOST_TEST(glob("[ab", "b"));
    BOOST_TEST(glob("\\", "\\"));
    BOOST_TEST(!glob("[\\A]", "a", LetterCase::ignored));
    BOOST_TEST(!glob("a[]b", "ab"));
}

// The classes of attack behind CVE-2022-36021 (exponential time) and CVE-2024-31228 (the stack).
BOOST_AUTO_TEST_CASE(no_pattern_takes_exponential_time_or_a_deep_stack) {
    std::string stars;
    for (int i = 0; i < 20'000; ++i) stars += "*a";
    BOOST_TEST(!glob(stars + "*b", std::string(20'000, 'a')));
    BOOST_TEST(!glob(std::string(1 << 20, '*') + "b", std::string(10'000, 'a')));
    BOOST_TEST(glob(stars, std::string(30'000, 'a')));
    BOOST_TEST(!glob("*" + std::string(10'000, '?'), std::string(9'999, 'a')));
    BOOST_TEST(!glob("[" + std::string(1 << 20, 'x'), std::string(100, 'a')));
}

BOOST_AUTO_TEST_CASE(keys_match_as_in_redis, *utf::precondition(redis_is_here)) {
    const auto seed = fresh_seed();
    BOOST_TEST_INFO_SCOPE("again by: FIRNLOG_SEED=" << seed);
    sim::Rng rng(seed);
    const RedisOracle redis;
    auto peer = redis.connect();
    const std::string key_alphabet = "aabbcc-]^[\\*?\xff\x80z\0"s;
    const std::string pattern_alphabet = "aabc*?[]^-\\\xff\x80z[*"s;
    std::set<std::string> keys = {""};
    while (keys.size() < 300) keys.insert(random_of(rng, key_alphabet, 8));
    for (const std::string& key : keys) (void)peer.ask({"SET", key, "v"});
    std::size_t matches = 0;
    for (int round = 0; round < 3000; ++round) {
        const std::string pattern = random_of(rng, pattern_alphabet, 10);
        if (pattern == "*") continue;  // KEYS takes a short cut that matches the empty key
        std::string_view reply;
        const std::string whole = peer.ask({"KEYS", pattern});
        reply = whole;
        std::set<std::string> theirs;
        reply.remove_prefix(reply.find("\r\n") + 2);
        while (!reply.empty()) {
            const std::string element = payload(reply);
            const auto header = reply.find("\r\n") + 2;
            const auto size = static_cast<std::size_t>(*parse_i64(reply.substr(1, header - 3)));
            theirs.emplace(reply.substr(header, size));
            reply.remove_prefix(header + size + 2);
        }
        for (const std::string& key : keys) {
            BOOST_TEST_REQUIRE(glob(pattern, key) == theirs.contains(key),
                               quoted(pattern) << " and " << quoted(key));
        }
        matches += theirs.size();
    }
    BOOST_TEST(matches > 3000);
}

BOOST_AUTO_TEST_CASE(names_match_without_letter_case_as_in_redis,
                     *utf::precondition(redis_is_here)) {
    const auto seed = fresh_seed();
    BOOST_TEST_INFO_SCOPE("again by: FIRNLOG_SEED=" << seed);
    sim::Rng rng(seed);
    const RedisOracle redis;
    auto peer = redis.connect();
    const auto list = [&](const std::string& pattern) {
        const std::string whole = peer.ask({"COMMAND", "LIST", "FILTERBY", "PATTERN", pattern});
        std::string_view reply = whole;
        std::set<std::string> names;
        reply.remove_prefix(reply.find("\r\n") + 2);
        while (!reply.empty()) {
            const auto header = reply.find("\r\n") + 2;
            const auto end = reply.find("\r\n", header);
            names.emplace(reply.substr(header, end - header));
            reply.remove_prefix(end + 2);
        }
        return names;
    };
    const std::set<std::string> all = list("*");
    BOOST_TEST(all.size() > 200);
    std::size_t matches = 0;
    for (int round = 0; round < 2000; ++round) {
        std::string pattern = random_of(rng, "**eEtTsS?[]^-\\aAzZgG", 8);
        const std::set<std::string> theirs = list(pattern);
        for (const std::string& name : all) {
            BOOST_TEST_REQUIRE(glob(pattern, name, LetterCase::ignored) == theirs.contains(name),
                               quoted(pattern) << " and " << quoted(name));
        }
        matches += theirs.size();
    }
    BOOST_TEST(matches > 2000);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(text_quote)

BOOST_AUTO_TEST_CASE(quoted_bytes_can_be_typed) {
    BOOST_TEST(quoted("") == "\"\"");
    BOOST_TEST(quoted("plain text ~") == "\"plain text ~\"");
    BOOST_TEST(quoted("\\\"\n\r\t\a\b'"s) == R"("\\\"\n\r\t\a\b'")");
    BOOST_TEST(quoted("\0\x1f\x7f\x80\xff\v"s) == R"("\x00\x1f\x7f\x80\xff\x0b")");
}

BOOST_AUTO_TEST_CASE(what_was_quoted_is_split_into_the_same) {
    const auto seed = fresh_seed();
    BOOST_TEST_INFO_SCOPE("again by: FIRNLOG_SEED=" << seed);
    sim::Rng rng(seed);
    for (int round = 0; round < 5000; ++round) {
        std::vector<std::string> words;
        std::string line;
        for (auto count = rng.below(5); count > 0; --count) {
            std::string bytes;
            for (auto size = rng.below(30); size > 0; --size)
                bytes.push_back(static_cast<char>(rng.next()));
            line += random_of(rng, " \t\v", 2) + quoted(bytes) + " ";
            words.push_back(bytes);
        }
        BOOST_TEST_REQUIRE((split_arguments(line) == words), quoted(line));
    }
}

BOOST_AUTO_TEST_CASE(monitor_quotes_as_we_do, *utf::precondition(redis_is_here)) {
    const auto seed = fresh_seed();
    BOOST_TEST_INFO_SCOPE("again by: FIRNLOG_SEED=" << seed);
    sim::Rng rng(seed);
    const RedisOracle redis;
    auto monitor = redis.connect();
    auto peer = redis.connect();
    (void)monitor.ask({"MONITOR"});
    for (int round = 0; round < 256; ++round) {
        std::string bytes(1, static_cast<char>(round));
        for (auto size = rng.below(20); size > 0; --size)
            bytes.push_back(static_cast<char>(rng.next()));
        (void)peer.ask({"ECHO", bytes});
        const std::string line = payload(monitor.reply());
        BOOST_TEST(line.substr(line.find("] ") + 2) == quoted("ECHO") + " " + quoted(bytes));
    }
}

BOOST_AUTO_TEST_SUITE_END()

// A stripe is the slot of a key in the client protocol of Redis Cluster, so it can never change.
BOOST_AUTO_TEST_SUITE(text_slot)

BOOST_AUTO_TEST_CASE(slots_are_those_of_redis_cluster) {
    BOOST_TEST(crc16("123456789") == 0x31c3);
    BOOST_TEST(stripe_of("foo") == 12182);
    BOOST_TEST(stripe_of("somekey") == 11058);
    BOOST_TEST(stripe_of("foo{hash_tag}") == 2515);
    BOOST_TEST(stripe_of("bar{hash_tag}") == 2515);
    BOOST_TEST(stripe_of("") == 0);
}

BOOST_AUTO_TEST_CASE(a_hash_tag_is_the_first_that_is_not_empty_or_none) {
    BOOST_TEST(stripe_of("{user1000}.following") == stripe_of("user1000"));
    BOOST_TEST(stripe_of("foo{}{bar}") == crc16("foo{}{bar}") % kStripes);
    BOOST_TEST(stripe_of("foo{{bar}}zap") == stripe_of("{bar"));
    BOOST_TEST(stripe_of("foo{bar}{zap}") == stripe_of("bar"));
    BOOST_TEST(stripe_of("}{a") == crc16("}{a") % kStripes);
    BOOST_TEST(stripe_of("}{a}") == stripe_of("a"));
}

BOOST_AUTO_TEST_CASE(the_crc_by_tables_is_the_crc_bit_by_bit) {
    const auto seed = fresh_seed();
    BOOST_TEST_INFO_SCOPE("again by: FIRNLOG_SEED=" << seed);
    sim::Rng rng(seed);
    for (int round = 0; round < 2000; ++round) {
        std::string bytes;
        for (auto size = rng.below(70); size > 0; --size)
            bytes.push_back(static_cast<char>(rng.next()));
        std::uint32_t expected = 0;
        for (const char byte : bytes) {
            expected ^= static_cast<std::uint32_t>(static_cast<unsigned char>(byte)) << 8;
            for (int bit = 0; bit < 8; ++bit) {
                expected = (expected << 1 ^ ((expected & 0x8000) != 0 ? 0x1021U : 0U)) & 0xffff;
            }
        }
        BOOST_TEST_REQUIRE(crc16(bytes) == expected, quoted(bytes));
    }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(text_sha1)

BOOST_AUTO_TEST_CASE(digests_are_those_of_the_standard) {
    BOOST_TEST(hex(sha1("")) == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    BOOST_TEST(hex(sha1("abc")) == "a9993e364706816aba3e25717850c26c9cd0d89d");
    BOOST_TEST(hex(sha1(std::string(1'000'000, 'a'))) ==
               "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

BOOST_AUTO_TEST_CASE(letters_fold_and_bytes_do_not) {
    BOOST_TEST(equal_folded("GeT", "gEt"));
    BOOST_TEST(!equal_folded("get", "gets"));
    BOOST_TEST(!equal_folded("[", "{"));
    BOOST_TEST(!equal_folded("@", "`"));
    BOOST_TEST(lower('\xc0') == '\xc0');
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::server::text
