// G1: no reply of any kind to a connection in `always` shows a write that a crash can take back.
//
// A writer in `no` changes something while syncs hang. Then somebody in `always` asks, and must be
// answered only when what was changed is durable. The same question in `no` is answered at once:
// that is what shows that the question was worth asking, and that the test can fail.

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>

#include "tests/sim/replay.hpp"
#include "tests/src/second_server.hpp"

namespace firnlog::server::test {
namespace {

namespace data = boost::unit_test::data;
using Lines = std::vector<std::string>;

constexpr std::int64_t kHangUs = 5'000'000;
constexpr std::int64_t kAWhileUs = 1'000'000;

struct Question {
    std::string ask;
    std::string answer;        // how the reply begins
    Lines before = {};         // durable when the writing begins
    Lines writes = {};         // not durable when the question is asked
    Lines asker = {};          // what the asker does before the writing: WATCH, MULTI
    std::int64_t wait_us = 0;  // between writing and asking
};

std::ostream& operator<<(std::ostream& out, const Question& question) {
    for (const auto& line : question.writes) out << line << "; ";
    return out << question.ask;
}

const Lines kString = {"SET k value"};
const Lines kHash = {"HSET h f value"};
const Lines kStringGone = {"DEL k"};
const Lines kHashGone = {"DEL h"};

// Every way in which a reply can tell of a write: a value, its absence, a count, an error.
const std::vector<Question> kQuestions = {
    // What is there.
    {"GET k", "$5", {}, kString},
    {"MGET other k", "*2", {}, kString},
    {"GETRANGE k 0 1", "$2", {}, kString},
    {"STRLEN k", ":5", {}, kString},
    {"GETBIT k 1", ":1", {}, kString},
    {"BITCOUNT k", ":", {}, kString},
    {"BITPOS k 1", ":", {}, kString},
    {"BITFIELD_RO k GET u8 0", "*1", {}, kString},
    {"LCS k k", "$5", {}, kString},
    {"EXISTS k", ":1", {}, kString},
    {"TYPE k", "+string", {}, kString},
    {"TOUCH k", ":1", {}, kString},
    {"TTL k", ":-1", {}, kString},
    {"OBJECT ENCODING k", "$6", {}, kString},
    {"OBJECT FREQ k", "-ERR", {}, kString},
    {"MEMORY USAGE k", ":", {}, kString},
    {"RANDOMKEY", "$1", {}, kString},
    {"KEYS *", "*1", {}, kString},
    {"SCAN 0 COUNT 1000", "*2", {}, kString},
    {"DBSIZE", ":1", {}, kString},
    {"INFO keyspace", "$", {}, kString},
    {"FIRN DIGEST", "+", {}, kString},
    {"HGET h f", "$5", {}, kHash},
    {"HMGET h f g", "*2", {}, kHash},
    {"HGETALL h", "*2", {}, kHash},
    {"HKEYS h", "*1", {}, kHash},
    {"HVALS h", "*1", {}, kHash},
    {"HLEN h", ":1", {}, kHash},
    {"HEXISTS h f", ":1", {}, kHash},
    {"HSTRLEN h f", ":5", {}, kHash},
    {"HSCAN h 0", "*2", {}, kHash},
    {"HRANDFIELD h", "$1", {}, kHash},
    {"TYPE h", "+hash", {}, kHash},
    // What is there no more.
    {"GET k", "$-1", kString, kStringGone},
    {"EXISTS k", ":0", kString, kStringGone},
    {"TTL k", ":-2", kString, kStringGone},
    {"TYPE k", "+none", kString, kStringGone},
    {"STRLEN k", ":0", kString, kStringGone},
    {"DEL k", ":0", kString, kStringGone},
    {"PERSIST k", ":0", kString, kStringGone},
    {"OBJECT ENCODING k", "$-1", kString, kStringGone},
    {"RENAME k other", "-ERR no such key", kString, kStringGone},
    {"COPY k other", ":0", kString, kStringGone},
    {"MOVE k 1", ":0", kString, kStringGone},
    {"GETDEL k", "$-1", kString, kStringGone},
    {"KEYS *", "*0", kString, kStringGone},
    {"SCAN 0", "*2\r\n$1\r\n0\r\n*0", kString, kStringGone},
    {"RANDOMKEY", "$-1", kString, kStringGone},
    {"DBSIZE", ":0", kString, kStringGone},
    {"HGET h f", "$-1", kHash, kHashGone},
    {"HLEN h", ":0", kHash, kHashGone},
    {"HGETALL h", "*0", kHash, kHashGone},
    {"HSCAN h 0", "*2", kHash, kHashGone},
    {"HGET h f", "$-1", {"HSET h f v g w"}, {"HDEL h f"}},
    {"HEXISTS h f", ":0", {"HSET h f v g w"}, {"HDEL h f"}},
    {"HLEN h", ":1", {"HSET h f v g w"}, {"HDEL h f"}},
    {"HDEL h f", ":0", {"HSET h f v g w"}, {"HDEL h f"}},
    {"HKEYS h", "*1", {"HSET h f v g w"}, {"HDEL h f"}},
    {"HRANDFIELD h", "$1\r\ng", {"HSET h f v g w"}, {"HDEL h f"}},
    {"GET k", "$-1", kString, {"FLUSHALL"}},
    {"DBSIZE", ":0", kString, {"FLUSHDB"}},
    {"GET k", "$5", {"SET k value", "FIRN DURABLE no SWAPDB 0 1"}, {"SWAPDB 0 1"}},
    {"GET k", "$-1", kString, {"SWAPDB 0 1"}},
    {"GET k", "$-1", kString, {"RENAME k other"}},
    {"HGET h f", "$-1", kHash, {"RENAME h other"}},
    {"HLEN other", ":1", kHash, {"RENAME h other"}},
    {"HGET other f", "$5", kHash, {"RENAME h other"}},
    {"GET k", "$-1", kString, {"MOVE k 1"}},
    // Expiry: the time is a write, its end is another.
    {"TTL k", ":99", kString, {"EXPIRE k 9999"}},
    {"EXPIRETIME k", ":", kString, {"EXPIRE k 100"}},
    {"TTL k", ":-1", {"SET k value EX 100"}, {"PERSIST k"}},
    {"PERSIST k", ":0", {"SET k value EX 100"}, {"PERSIST k"}},
    {"TTL h", ":99", kHash, {"EXPIRE h 9999"}},
    {"TTL h", ":-1", {"HSET h f v", "EXPIRE h 100"}, {"PERSIST h"}},
    {"GET k", "$-1", {}, {"SET k value PX 20"}, {}, 40'000},
    {"EXISTS k", ":0", {"SET k value PX 20000"}, {"PEXPIRE k 20"}, {}, 40'000},
    {"DBSIZE", ":0", {}, {"SET k value PX 20", "FIRN DURABLE no PING"}, {}, 400'000},
    {"INFO keyspace", "$", {}, {"SET k value PX 20"}, {}, 400'000},
    // Writes that change nothing, and errors, tell of what they found.
    {"SETNX k other", ":0", {}, kString},
    {"SET k other NX", "$-1", {}, kString},
    {"SET k other XX", "$-1", kString, kStringGone},
    {"MSETNX k other", ":0", {}, kString},
    {"INCR k", "-ERR value is not an integer", {}, kString},
    {"HGET k f", "-WRONGTYPE", {}, kString},
    {"GET h", "-WRONGTYPE", {}, kHash},
    {"APPEND h x", "-WRONGTYPE", {}, kHash},
    {"HSETNX h f other", ":0", {}, kHash},
    {"HINCRBY h f 1", "-ERR hash value is not an integer", {}, kHash},
    {"RENAMENX j k", ":0", {"SET j 1"}, kString},
    {"COPY j k", ":0", {"SET j 1"}, kString},
    {"EXPIRE k 100", ":0", kString, kStringGone},
    {"EXPIRE k 10 GT", ":0", kString, {"EXPIRE k 100"}},
    {"GETEX k", "$5", {}, kString},
    {"SETRANGE k 0 \"\"", ":5", {}, kString},
    {"UNLINK k", ":0", kString, kStringGone},
    // Transactions.
    {"EXEC", "*-1", {}, kString, {"WATCH k", "MULTI", "PING"}},
    {"EXEC", "*-1", kString, {"FLUSHALL"}, {"WATCH k", "MULTI", "PING"}},
    {"EXEC", "*1\r\n$5", {}, kString, {"MULTI", "GET k"}},
    {"EXEC", "*1\r\n$-1", kString, kStringGone, {"MULTI", "GET k"}},
    {"EXEC", "*1\r\n:1", {}, kString, {"MULTI", "DBSIZE"}},
    {"EXEC", "*2", {}, kString, {"MULTI", "SELECT 0", "EXISTS k"}},
};

struct Meeting {
    explicit Meeting(SecondOptions options = {}) : server(world, options) {}
    std::uint64_t seed = seed_or(1);
    sim::World world{{.seed = seed}};
    SecondServer server;

    void hang() {
        world.pace().slow_percent = 0;
        world.pace().sync = {.us_min = kHangUs, .us_max = kHangUs};
    }
    // Nothing reaches the caller before all that was written is durable.
    void arrives_only_when_durable(Caller& caller, engine::Lsn written, std::string_view begins) {
        const auto& log = server.log();
        BOOST_REQUIRE_MESSAGE(log.durable() < written, "what was written is not durable yet");
        BOOST_REQUIRE(server.until([&] { return !caller.client().peek().empty(); }));
        BOOST_TEST((log.durable() >= written), "it comes when what it tells of is durable");
        arrives(caller, begins);
    }
    // Not because the syncs end: they hang for longer than this waits.
    void arrives_before(Caller& caller, engine::Lsn written, std::string_view begins) {
        arrives(caller, begins, kAWhileUs);
        BOOST_TEST((server.log().durable() < written));
    }
    void arrives(Caller& caller, std::string_view begins, std::int64_t us_max = kHangUs * 10) {
        std::string reply;
        BOOST_REQUIRE(server.until([&] { return !(reply = caller.taken()).empty(); }, us_max));
        BOOST_TEST(reply.starts_with(begins), reply);
    }
};

// They look like writes, so that what is sent with them is a group, and change nothing.
const std::string kPadding = command("EXPIRE none 10") + command("EXPIRE no-one 10");

// What is asked in which durability, after all that is to come before it.
Caller prepare(Meeting& meeting, const Question& question, std::string_view durability,
               bool in_group = false) {
    auto& server = meeting.server;
    auto writer = server.connect();
    auto asker = server.connect();
    // Its own requests must not be what makes things durable.
    (void)writer.ask("FIRN DURABILITY no");
    for (const auto& line : question.before) (void)writer.ask(line);
    (void)asker.ask("FIRN DURABILITY " + std::string(durability));
    for (const auto& line : question.asker) (void)asker.ask(line);
    BOOST_REQUIRE(server.settle());
    meeting.hang();
    if (in_group) {
        meeting.world.net().whole_pieces();
        auto all = kPadding;
        for (const auto& line : question.writes) all += command(line);
        writer.client().send(all);
        for (std::size_t i = 0; i < question.writes.size() + 2; ++i)
            BOOST_REQUIRE(server.until([&] { return !writer.taken().empty(); }));
    } else {
        for (const auto& line : question.writes) (void)writer.ask(line);
    }
    if (question.wait_us != 0) (void)server.until([] { return false; }, question.wait_us);
    return asker;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gates)

BOOST_DATA_TEST_CASE(what_a_reply_in_always_tells_of_is_durable, data::make(kQuestions), question) {
    Meeting meeting;
    auto asker = prepare(meeting, question, "always");
    const auto written = meeting.server.log().tail.batch_end();
    asker.send(question.ask);
    meeting.arrives_only_when_durable(asker, written, question.answer);
}

BOOST_DATA_TEST_CASE(the_same_question_in_no_is_answered_before, data::make(kQuestions), question) {
    Meeting meeting;
    auto asker = prepare(meeting, question, "no");
    const auto written = meeting.server.log().tail.batch_end();
    asker.send(question.ask);
    meeting.arrives_before(asker, written, question.answer);
}

// The same of groups: what one has written, another asks, and its reply waits for no more than
// that.
BOOST_DATA_TEST_CASE(within_groups_what_a_reply_in_always_tells_of_is_durable,
                     data::make(kQuestions), question) {
    Meeting meeting;
    auto asker = prepare(meeting, question, "always", true);
    const auto written = meeting.server.log().tail.batch_end();
    asker.client().send(command(question.ask) + kPadding);
    meeting.arrives_only_when_durable(asker, written, question.answer);
}

BOOST_DATA_TEST_CASE(the_same_of_groups_in_no_is_answered_before, data::make(kQuestions),
                     question) {
    Meeting meeting;
    auto asker = prepare(meeting, question, "no", true);
    const auto written = meeting.server.log().tail.batch_end();
    asker.client().send(command(question.ask) + kPadding);
    meeting.arrives_before(asker, written, question.answer);
}

BOOST_AUTO_TEST_CASE(replies_of_a_group_wait_for_all_of_it_and_those_before_it_do_not) {
    Meeting meeting;
    auto& server = meeting.server;
    auto asker = server.connect();
    BOOST_TEST(asker.ask("SET a old") == "+OK\r\n");
    BOOST_REQUIRE(server.settle());
    meeting.hang();
    meeting.world.net().whole_pieces();
    asker.client().send(command("GET a") + command("SET a new") + command("SET b new") +
                        command("GET none") + command("INCR c"));
    const auto before = server.log().durable();
    meeting.arrives(asker, "$3\r\nold", kAWhileUs);
    BOOST_TEST((server.log().durable() == before));
    BOOST_REQUIRE(server.until([&] { return !asker.client().peek().empty(); }));
    BOOST_TEST((server.log().durable() >= server.log().tail.batch_end()));
    for (const auto* reply : {"+OK", "+OK", "$-1", ":1"}) meeting.arrives(asker, reply);
    BOOST_TEST(server.engine().counters.grouped.load() == 3);
}

BOOST_AUTO_TEST_CASE(a_group_whose_log_fails_answers_that_its_outcome_is_unknown) {
    Meeting meeting;
    auto asker = meeting.server.connect();
    BOOST_TEST(asker.ask("SET a old") == "+OK\r\n");
    meeting.world.fail({.error = EIO, .kind = sim::Kind::write_sync, .sticky = true});
    meeting.world.net().whole_pieces();
    asker.client().send(command("SET a new") + command("SET b new"));
    meeting.arrives(asker, "-IOERR outcome unknown");
}

// Pushes: what a listener is told of the last of these commands.
struct Push {
    std::string listen;
    Lines writes;
    std::string push;  // how it begins
};

std::ostream& operator<<(std::ostream& out, const Push& push) {
    for (const auto& line : push.writes) out << line << "; ";
    return out << push.listen;
}

const std::vector<Push> kPushes = {
    {"SUBSCRIBE news", {"SET k value", "PUBLISH news k"}, "*3\r\n$7\r\nmessage"},
    {"PSUBSCRIBE n*", {"SET k value", "PUBLISH news k"}, "*4\r\n$8\r\npmessage"},
    {"SSUBSCRIBE news", {"SET k value", "SPUBLISH news k"}, "*3\r\n$8\r\nsmessage"},
    {"SUBSCRIBE news", {"MULTI", "SET k value", "PUBLISH news k", "EXEC"}, "*3\r\n$7\r\nmessage"},
    {"PSUBSCRIBE __key*", {"SET k value"}, "*4\r\n$8\r\npmessage"},
    {"SUBSCRIBE __keyevent@0__:del", {"SET k value", "DEL k"}, "*3\r\n$7\r\nmessage"},
    {"SUBSCRIBE __keyevent@0__:hset", {"HSET h f v"}, "*3\r\n$7\r\nmessage"},
    {"SUBSCRIBE __keyevent@0__:expired", {"SET k value PX 20"}, "*3\r\n$7\r\nmessage"},
    {"SUBSCRIBE __keyevent@0__:rename_to", {"SET k value", "RENAME k j"}, "*3\r\n$7"},
    {"MONITOR", {"SET k value"}, "+1"},
    {"MONITOR", {"MULTI", "SET k value", "EXEC"}, "+1"},
};

struct Listening {
    Meeting meeting;
    Caller listener;
    Caller writer;

    Listening(const Push& push, std::size_t reactors, std::string_view durability)
        : meeting({.notify = kNotifyAll | kNotifyKeyspace | kNotifyKeyevent, .reactors = reactors}),
          listener(meeting.server.connect()),
          writer(meeting.server.connect()) {
        auto& server = meeting.server;
        (void)listener.ask("FIRN DURABILITY " + std::string(durability));
        // With two reactors, of the other one.
        (void)writer.ask("FIRN DURABILITY no");
        BOOST_REQUIRE(server.settle());
        (void)listener.ask(push.listen);
        meeting.hang();
        for (std::size_t i = 0; i + 1 < push.writes.size(); ++i) (void)writer.ask(push.writes[i]);
        // What it is told of these is not what is asked for; nothing else is on the way then.
        constexpr std::int64_t kDeliveredUs = 5'000;
        (void)server.until([] { return false; }, kDeliveredUs);
        while (!listener.taken().empty()) {
        }
        // Nobody waits for its reply: in one write with the listener's sync it may come late.
        writer.send(push.writes.back());
    }
};

BOOST_DATA_TEST_CASE(a_push_in_always_comes_when_what_it_tells_of_is_durable,
                     data::make(kPushes) * data::xrange(1, 3), push, reactors) {
    Listening at(push, static_cast<std::size_t>(reactors), "always");
    const auto& log = at.meeting.server.log();
    BOOST_REQUIRE(at.meeting.server.until([&] { return !at.listener.client().peek().empty(); }));
    BOOST_TEST((log.durable() >= log.tail.batch_end()));
    at.meeting.arrives(at.listener, push.push);
}

BOOST_DATA_TEST_CASE(the_same_push_in_no_comes_before, data::make(kPushes) * data::xrange(1, 3),
                     push, reactors) {
    Listening at(push, static_cast<std::size_t>(reactors), "no");
    at.meeting.arrives(at.listener, push.push, kAWhileUs);
    BOOST_TEST((at.meeting.server.log().durable() < at.meeting.server.log().tail.batch_end()));
}

BOOST_DATA_TEST_CASE(info_answers_when_the_log_has_failed, data::xrange(1, 3), reactors) {
    Meeting meeting({.reactors = static_cast<std::size_t>(reactors)});
    auto asker = meeting.server.connect();
    BOOST_TEST(asker.ask("SET k value") == "+OK\r\n");
    meeting.world.fail({.error = EIO, .kind = sim::Kind::write_sync, .sticky = true});
    BOOST_TEST(asker.ask("SET k other").starts_with("-IOERR"));
    BOOST_TEST(asker.ask("SET k other").starts_with("-IOERR"));
    const auto told = asker.ask("INFO persistence");
    BOOST_TEST(told.find("log_failed:5") != std::string::npos, told);
    // What was found in memory may be lost, and nobody will ever know: so it is not told.
    BOOST_TEST(asker.ask("GET k").starts_with("-IOERR"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::server::test
