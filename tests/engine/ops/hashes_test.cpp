#include "engine/ops/hashes.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "tests/engine/ops/bare_engine.hpp"

namespace firnlog::engine {
namespace {

using hashes::Pair;

// One hash, and another.
class Bench : public BareEngine {
  public:
    void set(std::span<const Pair> pairs, std::string_view key = kKey) {
        for (;;) {
            begin(key);
            const auto done = hashes::set(session, key, pairs);
            end();
            if (done) return;
            BOOST_REQUIRE((done.error() == Stop::wait));
            settle();
        }
    }
    void set(std::string_view field, std::string_view value) {
        const Pair pair{.field = field, .value = value};
        set({&pair, 1});
    }
    // From here on nothing of the log is in memory but the tail.
    void cool() {
        const std::string filler(6'000'000, 'f');
        const Pair pair{.field = "field", .value = filler};
        set({&pair, 1}, "of another hash");
        settle();
        world.resident_percent(0);
        engine.reader.look_for_cold = true;
    }
    // What a command asks to be read before it can go on.
    template <class Command>
    std::vector<Session::Cold> needs(Command&& command) {
        begin(kKey);
        const auto done = command(session);
        auto cold = session.cold();
        end();
        BOOST_TEST((done ? cold.empty() : done.error() == Stop::cold));
        return cold;
    }
    // As a command that waits for the disk reads it.
    std::string get(std::string_view field) {
        begin(kKey);
        session.may_wait(true);
        const auto value = hashes::get(session, kKey, field);
        std::string copy = value && *value ? std::string(**value) : "none";
        session.may_wait(false);
        end();
        return copy;
    }
    std::uint64_t log_end() { return engine.log.tail.end().value; }

    static constexpr std::string_view kKey = "hash";

  private:
    void begin(std::string_view key) { session.begin({&key, 1}, 0); }
    void end() {
        (void)session.end();
        session.reset();
    }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(hashes_ops)

BOOST_AUTO_TEST_CASE(of_a_million_fields_one_is_set_with_one_small_record_and_got_by_reading_one) {
    constexpr std::size_t kFields = 1'000'000;
    constexpr std::size_t kABatch = 10'000;
    constexpr std::size_t kRecordBytesAtMost = 64;
    Bench bench;
    std::vector<std::string> names(kABatch);
    std::vector<Pair> pairs(kABatch);
    for (std::size_t at = 0; at < kFields; at += kABatch) {
        for (std::size_t i = 0; i < kABatch; ++i) {
            names[i] = "field:" + std::to_string(at + i);
            pairs[i] = {.field = names[i], .value = "value"};
        }
        bench.set(pairs);
    }
    bench.settle();
    for (const std::size_t i : {0U, 500'000U, 999'999U, 1'000'000U}) {
        const auto before = bench.log_end();
        bench.set("field:" + std::to_string(i), "other");
        // In a frame of its own.
        BOOST_TEST(bench.log_end() - before <= kRecordBytesAtMost + kFrameHeaderBytes);
        bench.settle();
    }
    bench.cool();
    for (const std::size_t i : {0U, 123'456U, 999'998U, 1'000'000U}) {
        const auto name = "field:" + std::to_string(i);
        const auto needed =
            bench.needs([&](Session& session) { return hashes::get(session, Bench::kKey, name); });
        BOOST_TEST_REQUIRE(needed.size() == 1U);
        BOOST_TEST(needed.front().bytes <= 2 * kRecordBytesAtMost);
        BOOST_TEST(bench.get(name) == (i == 0 || i == kFields ? "other" : "value"));
    }
}

BOOST_AUTO_TEST_CASE(
    who_lists_a_hash_asks_for_all_pieces_at_once_and_who_wants_a_name_or_a_length_for_one) {
    Bench bench;
    std::string value;
    for (std::size_t i = 0; value.size() < 300'000; ++i) value += std::to_string(i);
    bench.set("long", value);
    bench.cool();
    const auto all =
        bench.needs([](Session& session) { return hashes::all(session, Bench::kKey); });
    BOOST_TEST(all.size() == (value.size() + 16'383) / 16'384);
    const auto names = bench.needs(
        [](Session& session) { return hashes::all(session, Bench::kKey, hashes::Wanted::names); });
    BOOST_TEST(names.size() == 1U);
    const auto one =
        bench.needs([](Session& session) { return hashes::random(session, Bench::kKey, 1); });
    BOOST_TEST(one.size() == 1U);
    const auto first =
        bench.needs([](Session& session) { return hashes::find(session, Bench::kKey, "long"); });
    BOOST_TEST(first.size() == 1U);
    BOOST_TEST((bench.get("long") == value));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::engine
