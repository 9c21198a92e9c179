// An object that is too large for one page goes into an image piece by piece, each with a stamp of
// its own, while it changes; what a start, and a look at one of its fields, make of that is the
// object.

#include <boost/test/unit_test.hpp>
#include <map>
#include <string>

#include "engine/ops/hashes.hpp"
#include "recovery/past_of_key.hpp"
#include "tests/recovery/subject.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::recovery {
namespace {

namespace hashes = engine::hashes;
using sim::Cut;
using sim::Rng;
using sim::World;
using Fields = std::map<std::string, std::string>;

constexpr std::string_view kKey = "large";

std::string field(std::uint64_t number) { return "field:" + std::to_string(number); }

// Writes the fields, as a client that is told to come again while there is no room.
void set(World& world, Subject& subject, const Fields& fields) {
    std::vector<hashes::Pair> pairs;
    for (const auto& [name, value] : fields) pairs.push_back({.field = name, .value = value});
    engine::Session session(subject.engine());
    for (int tries = 0;; ++tries) {
        BOOST_REQUIRE(tries < 1'000);
        session.begin({&kKey, 1}, 0);
        const auto done = hashes::set(session, kKey, pairs);
        (void)session.end();
        session.reset();
        if (done) return;
        BOOST_REQUIRE((done.error() == engine::Stop::wait));
        subject.engine().work();
        world.pass(2'000);
        subject.kick();
    }
}

Fields fields_of(engine::Engine& engine) {
    engine::Session session(engine);
    session.may_wait(true);
    session.begin({&kKey, 1}, 0);
    const auto item = session.look(kKey);
    BOOST_REQUIRE((item && *item));
    const auto all = hashes::all(session, **item);
    BOOST_REQUIRE(all.has_value());
    Fields fields;
    for (const auto& pair : *all) fields[std::string(pair.field)] = std::string(pair.value);
    (void)session.end();
    return fields;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pieces)

BOOST_AUTO_TEST_CASE(a_hash_that_changes_while_its_pieces_are_taken_is_what_it_became) {
    constexpr std::uint64_t kFields = 20'000;
    World world{{.seed = 21}};
    Rng rng{21};
    Fields model;
    engine::Lsn end;
    {
        Subject subject(world, *open(world.files(), world.clock(), small_options()));
        for (std::uint64_t i = 0; i < kFields;) {
            Fields some;
            for (const auto last = i + 200; i < last; ++i) some[field(i)] = "first";
            set(world, subject, some);
            model.insert(some.begin(), some.end());
        }
        BOOST_REQUIRE(subject.sync());
        int changes = 0;
        const auto change = [&] {
            const auto some = Fields{{field(rng.below(kFields)), "then"},
                                     {field(kFields + rng.below(1000)), std::to_string(changes++)}};
            set(world, subject, some);
            for (const auto& [name, value] : some) model[name] = value;
            return true;
        };
        for (int walk = 0; walk < 2; ++walk) BOOST_REQUIRE(subject.checkpoint(change));
        BOOST_TEST(changes > 0);
        BOOST_REQUIRE(subject.sync());
        end = subject.engine().log.durable();
        world.crash_now();
    }
    world.restart(Cut::random, rng);
    auto store = open(world.files(), world.clock(), small_options());
    BOOST_REQUIRE_MESSAGE(store.has_value(), (store ? "" : store.error().text));
    BOOST_TEST((*store)->report().checkpoint != 0U);
    BOOST_TEST((fields_of((*store)->engine()) == model));

    Sidecars sidecars(world.files(), (*store)->engine().store_id,
                      (*store)->engine().keyspace().hasher);
    PastOptions options{.moment = {.what = Moment::What::lsn, .us = 0, .lsn = end},
                        .now_us = world.clock().wall().us,
                        .databases = 4,
                        .progress = {},
                        .give_up = {}};
    options.serving.emplace(Serving{.end = end, .sidecars = sidecars});
    const auto whole =
        open_past_of_key(world.files(), options, {.database = 0, .key = std::string(kKey)});
    BOOST_REQUIRE_MESSAGE(whole.has_value(), (whole ? "" : whole.error().text));
    BOOST_TEST((fields_of((*whole)->engine()) == model));
    for (std::uint64_t i = 0; i < kFields; i += 1'999) {
        const auto one = open_past_of_key(
            world.files(), options, {.database = 0, .key = std::string(kKey), .field = field(i)});
        BOOST_REQUIRE_MESSAGE(one.has_value(), (one ? "" : one.error().text));
        BOOST_TEST(fields_of((*one)->engine())[field(i)] == model[field(i)]);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
