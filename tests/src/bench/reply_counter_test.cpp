#include "src/bench/reply_counter.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "src/bench/random.hpp"
#include "tests/environment.hpp"

namespace firnlog::bench {
namespace {

// Replies as letters: o for ok, n for null, E<text> for an error; '?' when it is not RESP.
std::string seen(ReplyCounter& counter, std::string_view bytes) {
    std::string out;
    if (!counter.feed(bytes, [&](Reply reply, std::string_view error) {
            out += reply == Reply::ok ? "o" : reply == Reply::null ? "n" : "E";
            out += error;
        }))
        out += '?';
    return out;
}

std::string seen(std::string_view bytes) {
    ReplyCounter counter;
    auto out = seen(counter, bytes);
    if (!counter.idle()) out += "...";
    return out;
}

struct Case {
    std::string_view bytes;
    std::string_view replies;
};

constexpr Case kCases[] = {
    {"+OK\r\n", "o"},
    {"-ERR no\r\n", "EERR no"},
    {":42\r\n:-1\r\n", "oo"},
    {"$5\r\nhello\r\n", "o"},
    {"$0\r\n\r\n", "o"},
    {"$-1\r\n", "n"},
    {"*-1\r\n", "n"},
    {"_\r\n", "n"},
    {"$13\r\n+OK\r\n-ERR\r\n\r\n\r\n", "o"},  // a value that looks like replies
    {"*0\r\n", "o"},
    {"*2\r\n$1\r\na\r\n$-1\r\n", "o"},
    {"*2\r\n*2\r\n:1\r\n*0\r\n*1\r\n+x\r\n+y\r\n", "oo"},
    {"*2\r\n+OK\r\n-WRONGTYPE x\r\n+z\r\n", "EWRONGTYPE xo"},  // an EXEC with an error in it
    {"%1\r\n+k\r\n:1\r\n", "o"},
    {"%0\r\n~0\r\n", "oo"},
    {"~2\r\n:1\r\n:2\r\n", "o"},
    {"#t\r\n,1.5\r\n(12345678901234567890\r\n", "ooo"},
    {"=6\r\ntxt:hi\r\n!5\r\nERR x\r\n", "oE"},
    {">2\r\n+message\r\n+x\r\n+OK\r\n", "o"},        // a push is no reply
    {"|1\r\n+ttl\r\n:5\r\n$1\r\nv\r\n", "o"},        // an attribute belongs to the next
    {"*1\r\n|1\r\n+ttl\r\n:5\r\n$1\r\nv\r\n", "o"},  // also inside an array
    {"+a\r\n+b", "o..."},
    {"$5\r\nhel", "..."},
    {"*2\r\n:1\r\n", "..."},
    {"hello\r\n", "?..."},
    {"+OK\n", "?"},
    {"$x\r\n", "?"},
    {"*-2\r\n", "?"},
    {"\r\n", "?"},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(bench_reply_counter)

BOOST_AUTO_TEST_CASE(every_kind_of_reply_is_counted_once) {
    for (const auto& one : kCases) {
        auto replies = seen(one.bytes);
        // After nonsense nothing is promised but that it was noticed.
        if (one.replies.front() == '?') replies = replies.substr(0, 1);
        BOOST_TEST(replies == one.replies.substr(0, one.replies.front() == '?' ? 1 : 99),
                   one.bytes);
    }
}

BOOST_AUTO_TEST_CASE(it_does_not_matter_where_the_stream_is_cut) {
    std::string all;
    std::string expected;
    for (const auto& one : kCases) {
        if (one.replies.find_first_of("?.") != std::string_view::npos) continue;
        all += one.bytes;
        expected += one.replies;
    }
    ReplyCounter byte_by_byte;
    std::string replies;
    for (const char byte : all) replies += seen(byte_by_byte, {&byte, 1});
    BOOST_TEST(replies == expected);
    BOOST_TEST(byte_by_byte.idle());

    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        Random random(seed);
        for (int round = 0; round < 200; ++round) {
            ReplyCounter counter;
            replies.clear();
            for (std::string_view left = all; !left.empty();) {
                const auto piece = std::min<std::size_t>(1 + random.below(40), left.size());
                replies += seen(counter, left.substr(0, piece));
                left.remove_prefix(piece);
            }
            BOOST_TEST(replies == expected);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_line_without_end_is_given_up) {
    ReplyCounter counter;
    bool understood = true;
    for (int i = 0; i < 100 && understood; ++i)
        understood = counter.feed(std::string(1024, 'x'), [](Reply, std::string_view) {});
    BOOST_TEST(!understood);
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace firnlog::bench
