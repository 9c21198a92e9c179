#include "engine/ops/strings.hpp"

#include <boost/test/unit_test.hpp>
#include <map>
#include <random>
#include <string>

#include "engine/ops/keys.hpp"
#include "tests/engine/ops/bare_engine.hpp"
#include "tests/environment.hpp"

namespace firnlog::engine {
namespace {

constexpr std::size_t kChunk = BigString::kChunkBytes;

class Bench : public BareEngine {
  public:
    // Runs as one command on this key, again when the log wants to be waited for.
    template <class Run>
    auto run(std::string_view key, Run&& run) {
        for (;;) {
            session.begin({&key, 1}, 0);
            auto result = run(session);
            (void)session.end();
            if (result || result.error() != Stop::wait) return result;
            session.reset();
            settle();
        }
    }
    void set(std::string_view key, std::string_view value, std::int64_t expires_ms = -1) {
        BOOST_REQUIRE(run(key, [&](Session&) {
                          return strings::set(session, key, value, expires_ms);
                      }).has_value());
        session.reset();
    }
    std::size_t patch(std::string_view key, std::size_t offset, std::string_view bytes) {
        const auto size =
            run(key, [&](Session&) { return strings::patch(session, key, offset, bytes); });
        BOOST_REQUIRE(size.has_value());
        session.reset();
        return *size;
    }
    std::optional<std::string> get(std::string_view key) {
        const auto value = run(key, [&](Session&) { return strings::get(session, key); });
        BOOST_REQUIRE(value.has_value());
        std::optional<std::string> copy;
        if (*value) copy = std::string(**value);
        session.reset();
        return copy;
    }
    std::string range(std::string_view key, std::size_t from, std::size_t bytes) {
        const auto part =
            run(key, [&](Session&) { return strings::range(session, key, from, bytes); });
        BOOST_REQUIRE(part.has_value());
        std::string copy(*part);
        session.reset();
        return copy;
    }
    std::int64_t expires_ms(std::string_view key) {
        const auto item = run(key, [&](Session&) { return session.look(key); });
        BOOST_REQUIRE(item && *item);
        return (*item)->expires_ms;
    }
    // How far the log has grown.
    std::uint64_t end() { return engine.log.tail.end().value; }
};

std::string random_text(std::mt19937_64& dice, std::size_t bytes) {
    std::string text(bytes, '\0');
    for (auto& letter : text) letter = static_cast<char>(dice());
    return text;
}

std::string patched(std::string text, std::size_t offset, std::string_view bytes) {
    if (text.size() < offset + bytes.size()) text.resize(offset + bytes.size());
    return text.replace(offset, bytes.size(), bytes);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(strings_suite)

BOOST_AUTO_TEST_CASE(a_gap_is_zeros_wherever_the_old_end_and_the_new_bytes_lie) {
    Bench bench;
    int number = 0;
    for (const std::size_t start : {0U, 1U, 4096U, 5000U, 16384U, 65536U, 65537U, 100000U}) {
        for (const std::size_t offset :
             {0U, 1U, 4095U, 5000U, 16383U, 16384U, 65535U, 70000U, 200000U}) {
            for (const std::size_t size : {1U, 100U, 16384U, 40000U}) {
                const auto key = std::to_string(++number);
                const std::string old(start, 's');
                const std::string bytes(size, 'p');
                if (start != 0) bench.set(key, old, 1'000'000'000'000'000);
                const auto expected = patched(old, offset, bytes);
                BOOST_REQUIRE_EQUAL(bench.patch(key, offset, bytes), expected.size());
                BOOST_REQUIRE(bench.get(key) == expected);
                BOOST_REQUIRE_EQUAL(bench.expires_ms(key), start != 0 ? 281474976710655 : -1);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(random_changes_give_what_a_plain_string_gives) {
    const auto seed = fresh_seed();
    std::mt19937_64 dice(seed);
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        Bench bench;
        std::map<std::string, std::string> model;
        const std::size_t sizes[] = {1, 2, 30, 500, 5000, 17000, 70000};
        for (int turn = 0; turn < 3000; ++turn) {
            const auto key = std::to_string(dice() % 4);
            const auto size = sizes[dice() % std::size(sizes)];
            const auto offset = dice() % 3 == 0 ? dice() % 200000 : dice() % 20000;
            auto& known = model[key];
            switch (dice() % 8) {
                case 0:
                    known = random_text(dice, size);
                    bench.set(key, known);
                    break;
                case 1:
                    BOOST_REQUIRE(bench.get(key).value_or("") == known);
                    break;
                case 2: {
                    const auto expected =
                        offset < known.size() ? known.substr(offset, size) : std::string();
                    BOOST_REQUIRE(bench.range(key, offset, size) == expected);
                    break;
                }
                case 3:
                    bench.settle();
                    break;
                default: {
                    const auto bytes = random_text(dice, dice() % 4 != 0 ? 1 + dice() % 20 : size);
                    known = patched(known, offset, bytes);
                    BOOST_REQUIRE_EQUAL(bench.patch(key, offset, bytes), known.size());
                }
            }
        }
        for (const auto& [key, value] : model) BOOST_REQUIRE(bench.get(key).value_or("") == value);
    }
}

BOOST_AUTO_TEST_CASE(several_patches_are_one_effect) {
    Bench bench;
    const std::string value(50000, 'v');
    bench.set("k", value);
    const strings::Patch patches[] = {{.offset = 3, .bytes = "one"},
                                      {.offset = 6, .bytes = "two"},
                                      {.offset = 16383, .bytes = "over"},
                                      {.offset = 90000, .bytes = "far"}};
    const auto size =
        bench.run("k", [&](Session& session) { return strings::patch(session, "k", patches); });
    BOOST_REQUIRE(size.has_value());
    BOOST_CHECK_EQUAL(*size, 90003U);
    auto expected = value;
    for (const auto& patch : patches) expected = patched(expected, patch.offset, patch.bytes);
    BOOST_CHECK(bench.get("k") == expected);
}

BOOST_AUTO_TEST_CASE(a_change_costs_its_own_size_and_not_that_of_the_value) {
    Bench bench;
    const std::size_t size = 64U << 20;
    bench.patch("k", size - 1, "x");
    BOOST_CHECK_LT(bench.end(), 4096U + 1024);
    std::mt19937_64 dice(7);
    const auto before = bench.end();
    constexpr std::size_t kChanges = 20000;
    for (std::size_t i = 0; i < kChanges; ++i) bench.patch("k", dice() % size, "y");
    BOOST_CHECK_LT(bench.end() - before, kChanges * 60);

    // A value short enough to be one record does not stay one when it is changed again and again.
    bench.set("m", std::string(60000, 'm'));
    bench.patch("m", 10, "first");
    const auto middle = bench.end();
    for (std::size_t i = 0; i < 1000; ++i) bench.patch("m", i * 50, "y");
    BOOST_CHECK_LT(bench.end() - middle, 1000U * 100);
}

BOOST_AUTO_TEST_CASE(a_chunk_gathers_a_bounded_number_of_patches) {
    Bench bench;
    std::string value(30000, 'v');
    bench.set("k", value);
    std::mt19937_64 dice(3);
    for (int i = 0; i < 5000; ++i) {
        const auto offset = dice() % 16000;
        const auto bytes = random_text(dice, 1 + dice() % 30);
        value = patched(value, offset, bytes);
        bench.patch("k", offset, bytes);
    }
    BOOST_CHECK(bench.get("k") == value);
    const auto item =
        bench.run("k", [&](Session& session) { return session.look("k", Type::string); });
    BOOST_REQUIRE(item && *item && (*item)->type == Type::big_string);
    const auto& big = std::get<BigString>((*item)->object->body);
    std::size_t bytes = 0;
    for (const auto& patch : big.chunk(0)->patches) bytes += patch.bytes;
    BOOST_CHECK_LE(big.chunk(0)->patches.size(), BigString::kPatchesMax);
    BOOST_CHECK_LE(bytes, kChunk);
}

BOOST_AUTO_TEST_CASE(one_byte_is_read_from_the_newest_patch_that_has_it) {
    Bench bench;
    bench.set("k", std::string(100000, 'v'));
    for (int i = 0; i < 300; ++i) bench.patch("k", 5, std::string(1, static_cast<char>(i)));
    bench.patch("k", 4, "abc");
    BOOST_CHECK_EQUAL(bench.range("k", 5, 1), "b");
    BOOST_CHECK_EQUAL(bench.range("k", 3, 5), "vabcv");
    BOOST_CHECK_EQUAL(bench.range("k", 99999, 5), "v");
    BOOST_CHECK_EQUAL(bench.range("k", 100000, 5), "");
    BOOST_CHECK_EQUAL(bench.range("missing", 0, 5), "");
}

BOOST_AUTO_TEST_CASE(all_cold_pieces_of_a_value_are_asked_for_at_once) {
    Bench bench;
    std::mt19937_64 dice(5);
    auto value = random_text(dice, 200000);
    bench.set("k", value);
    bench.patch("k", 20000, "patch");
    value = patched(value, 20000, "patch");
    bench.set("filler", std::string(6'000'000, 'f'));
    bench.settle();
    bench.world.resident_percent(0);
    bench.engine.reader.look_for_cold.store(true);

    const auto read = [&](Session& session) { return strings::get(session, "k"); };
    const auto refused = bench.run("k", read);
    BOOST_REQUIRE(!refused && refused.error() == Stop::cold);
    const auto cold = bench.session.cold();
    BOOST_CHECK_EQUAL(cold.size(), 200000 / kChunk + 2);

    bench.session.reset();
    for (const auto& piece : cold) {
        const auto* segment = bench.engine.segments().find(piece.address.file());
        const auto bytes = segment->map->bytes().subspan(piece.address.offset(), piece.bytes);
        bench.session.warm.push_back(
            {.address = piece.address, .bytes = {bytes.begin(), bytes.end()}});
    }
    const auto found = bench.run("k", read);
    BOOST_REQUIRE(found && *found);
    BOOST_CHECK(**found == value);
    bench.session.reset();

    // A change of one byte reads nothing.
    const auto size =
        bench.run("k", [&](Session& session) { return strings::patch(session, "k", 40000, "z"); });
    BOOST_CHECK(size.has_value());
}

BOOST_AUTO_TEST_CASE(a_value_of_another_type_is_left_alone) {
    Bench bench;
    const auto made = bench.run("h", [&](Session& session) -> Expected<void> {
        if (auto room = session.reserve(100, 2); !room) return room;
        const auto oid = session.make_oid("h");
        session.bind("h", oid, Type::hash);
        session.put_element(oid, "field", "value");
        return {};
    });
    BOOST_REQUIRE(made.has_value());
    const auto before = bench.end();
    const auto size =
        bench.run("h", [&](Session& session) { return strings::patch(session, "h", 0, "x"); });
    BOOST_CHECK(!size && size.error() == Stop::wrong_type);
    BOOST_CHECK_EQUAL(bench.end(), before);
}

BOOST_AUTO_TEST_CASE(what_is_too_large_for_a_batch_is_refused_before_any_effect) {
    Bench bench;
    bench.set("k", "short");
    const std::string_view key = "k";
    const std::string large(bench.engine.options.batch_bytes_max, 'x');
    bench.session.begin({&key, 1}, 0);
    const auto done = strings::set(bench.session, key, large);
    BOOST_CHECK(!done && done.error() == Stop::too_big);
    BOOST_CHECK(!bench.session.has_effects());
    (void)bench.session.end();
    bench.session.reset();
    BOOST_CHECK(bench.get("k") == "short");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::engine
