// T1, T2, G5, G6, G11: keys become again what they were at a moment, as FIRN RESTORE MATCH … with
// DELETE-NEW has them, while the machine crashes at each operation or each one fails. Each key is
// what it was before or what it was then; asked again it ends as it should.

#include <boost/test/unit_test.hpp>

#include "engine/ops/keys.hpp"
#include "recovery/past.hpp"
#include "tests/recovery/lived.hpp"
#include "tests/sim/ordeal.hpp"

namespace firnlog::recovery {
namespace {

using sim::Cut;
using sim::Kind;
using sim::World;

constexpr std::uint32_t kDatabases = 4;

// A store, and one moment of it that is to be again.
struct Changed {
    Changed() {
        World world{{.seed = 5}};
        Subject subject(world, *open(world.files(), world.clock(), small_options()));
        const auto fill = [&](const std::string& text) {
            for (int i = 0; i < 8; ++i)
                if (!subject.set("key:" + std::to_string(i), text + std::to_string(i)))
                    return false;
            return subject.hash_set("hash", "f", text) && subject.hash_set("hash", "g", text) &&
                   subject.set("brief", text, 2'000'000'000'000);
        };
        BOOST_REQUIRE(fill("then") && subject.set("stays", "v"));
        BOOST_REQUIRE(subject.hash_set("renamed", "f", "v") && subject.set("other type", "v"));
        BOOST_REQUIRE(subject.hash_set("long", "f", std::string(66'000, 'l')));
        BOOST_REQUIRE(subject.set("big", std::string(70'000, 'b')) && subject.set("gone", "v"));
        BOOST_REQUIRE(subject.checkpoint([] { return true; }) && subject.sync());
        then = subject.model();
        moment = subject.versions().back().end;
        BOOST_REQUIRE(fill("now") && subject.remove("gone") && subject.remove("key:7"));
        BOOST_REQUIRE(subject.rename("renamed", "another") && subject.remove("other type"));
        BOOST_REQUIRE(subject.hash_set("other type", "f", "v") && subject.remove("long"));
        BOOST_REQUIRE(subject.patch("big", 40'000, "new") && subject.hash_remove("hash", "g"));
        BOOST_REQUIRE(subject.set("new", "v") && subject.hash_set("new hash", "f", "v"));
        BOOST_REQUIRE(subject.expire("brief", 1'900'000'000'000) && subject.sync());
        before = subject.model();
        sim::Rng rng{5};
        disk = world.image(Cut::kill, rng);
        wall_us = world.clock().wall().us;
    }

    sim::Disk disk;
    Model then;
    Model before;
    engine::Lsn moment;
    std::int64_t wall_us = 0;
};

// One try. The versions are those of the store that was open last.
struct Undoing {
    explicit Undoing(const Changed& from)
        : world{{.seed = 6, .phase = "start"}, from.disk.copy()},
          changed(from),
          versions{{.digest = digest(from.before)}} {
        world.clock().jump_wall(from.wall_us - world.clock().wall().us);
    }
    [[nodiscard]] bool work();
    void is_one_of_them(const Model& found, bool killed) const;
    void ends_as_it_should(World& in) const;

    World world;
    const Changed& changed;
    std::vector<Version> versions;
    std::size_t written = 0;  // versions that a SIGKILL does not take,
    std::size_t durable = 0;  // nor a power cut
};

// True if all of it is done, and durable.
bool put_all_back(World& world, Subject& subject, engine::Lsn moment) {
    auto past = open_past(world.files(), {.moment = {.what = Moment::What::lsn, .lsn = moment},
                                          .now_us = world.clock().wall().us,
                                          .databases = kDatabases,
                                          .progress = {},
                                          .give_up = {}});
    if (!past) return false;
    engine::Session reader((*past)->engine());
    reader.may_wait(true);
    const TtlRule ttl{
        .ttl = Ttl::keep, .then_us = (*past)->facts().place.us, .now_us = world.clock().wall().us};
    reader.begin({}, 0);
    const auto scanned = engine::keys::scan((*past)->engine(), reader, 0, 0, 1'000);
    (void)reader.end();
    reader.reset();
    if (!scanned || scanned->cursor != 0) return false;
    bool whole = true;
    auto next = scanned->keys.begin();
    const auto put_next = [&] {
        if (next == scanned->keys.end()) return true;
        const std::string_view key = next->key;
        reader.begin({&key, 1}, 0);
        const auto old = take_old(reader, key);
        (void)reader.end();
        reader.reset();
        ++next;
        whole = whole && old && *old;
        return !old || !*old || subject.put_back(**old, ttl);
    };
    // Some of them while a checkpoint is taken.
    const auto half = scanned->keys.begin() + static_cast<std::ptrdiff_t>(scanned->keys.size() / 2);
    world.phase("put back");
    while (next != half) {
        if (!put_next()) return false;
        subject.kick();
    }
    if (!subject.checkpoint(put_next)) whole = false;
    while (next != scanned->keys.end())
        if (!put_next()) return false;
    world.phase("delete new");
    for (const auto& [name, value] : Model(subject.model())) {
        const std::string_view key = name.second;
        reader.begin({&key, 1}, 0);
        const auto item = reader.look(key);
        (void)reader.end();
        reader.reset();
        if (!item) whole = false;
        if (item && !*item && !subject.remove(name.second)) return false;
    }
    return subject.sync() && whole;
}

bool Undoing::work() {
    world.phase("start");
    auto opened = open(world.files(), world.clock(), small_options());
    // A fault may keep what of the index waits from coming.
    if (!opened || !bring_all_in(world, (*opened)->engine())) return false;
    Subject subject(world, std::move(*opened));
    // Of a try that was not the first.
    is_one_of_them(subject.model(), false);
    const bool done = put_all_back(world, subject, changed.moment);
    versions = subject.versions();
    written = subject.acked(true);
    durable = subject.acked(false);
    return done && !world.crashed();
}

void Undoing::is_one_of_them(const Model& found, bool killed) const {
    const auto is = [sum = digest(found)](const Version& version) { return version.digest == sum; };
    BOOST_REQUIRE(
        std::any_of(versions.begin() + static_cast<std::ptrdiff_t>(killed ? written : durable),
                    versions.end(), is));
    const auto value_in = [](const Model& model, const auto& name) {
        const auto at = model.find(name);
        return at == model.end() ? nullptr : &at->second;
    };
    const auto is_same = [](const ModelValue* a, const ModelValue* b) {
        return a == nullptr || b == nullptr ? a == b : *a == *b;
    };
    for (const auto* model : {&changed.then, &changed.before, &found})
        for (const auto& [name, value] : *model) {
            const auto* now = value_in(found, name);
            BOOST_REQUIRE_MESSAGE(is_same(now, value_in(changed.then, name)) ||
                                      is_same(now, value_in(changed.before, name)),
                                  name.second << " is neither what it was before nor then");
        }
}

void Undoing::ends_as_it_should(World& in) const {
    auto opened = open(in.files(), in.clock(), small_options());
    BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
    Subject subject(in, std::move(*opened));
    BOOST_REQUIRE(put_all_back(in, subject, changed.moment));
    BOOST_REQUIRE(digest(read_all(subject.engine(), kDatabases)) == digest(changed.then));
}

sim::Ordeal<Undoing> ordeal_of(const Changed& changed) {
    return {.name = "putting back",
            .make = [&changed] { return std::make_unique<Undoing>(changed); },
            .work = [](Undoing& now) { return now.work(); },
            .judge =
                [](Undoing& now, const sim::Tried& tried) {
                    {
                        auto opened = open(now.world.files(), now.world.clock(), small_options());
                        BOOST_REQUIRE_MESSAGE(opened.has_value(),
                                              (opened ? "" : opened.error().text));
                        const auto found = read_all((*opened)->engine(), kDatabases);
                        now.is_one_of_them(found, tried.cut == Cut::kill);
                        if (tried.done) BOOST_REQUIRE(digest(found) == digest(now.changed.then));
                    }
                    now.ends_as_it_should(now.world);
                },
            .seed = seed_or(1)};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(putting_back)

BOOST_AUTO_TEST_CASE(a_crash_at_any_operation_leaves_each_key_as_before_or_as_then) {
    const Changed changed;
    auto ordeal = ordeal_of(changed);
    ordeal.step = volume({.usual = 3, .sanitized = 29, .full = 1});
    ordeal.twice_percent = 30;
    const auto crashes = ordeal.crashes();
    crashes.print();
    crashes.met("start", {Kind::create, Kind::write, Kind::sync, Kind::rename, Kind::sync_dir,
                          Kind::unlink});
    crashes.met("put back", {Kind::write, Kind::write_sync, Kind::fsync, Kind::create, Kind::sync,
                             Kind::rename, Kind::sync_dir, Kind::unlink});
    BOOST_TEST(crashes.tally.of("delete new", Kind::write_sync) +
                   crashes.tally.of("delete new", Kind::write) >
               0);
    BOOST_TEST(crashes.twice > 0U);
}

BOOST_AUTO_TEST_CASE(an_operation_that_fails_leaves_each_key_as_before_or_as_then) {
    const Changed changed;
    auto ordeal = ordeal_of(changed);
    ordeal.step = volume({.usual = 7, .sanitized = 61, .full = 1});
    std::uint64_t ended = 0;
    std::uint64_t gone = 0;
    // The process has ended, and then the power; what its cache still showed may be gone.
    ordeal.judge = [&](Undoing& now, const sim::Tried&) {
        for (const auto cut : sim::kCuts) {
            sim::Rng rng{static_cast<std::uint64_t>(cut)};
            World after{{.seed = 7, .phase = "judge"}, now.world.image(cut, rng)};
            after.clock().jump_wall(now.changed.wall_us - after.clock().wall().us);
            {
                auto opened = open(after.files(), after.clock(), small_options());
                BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
                now.is_one_of_them(read_all((*opened)->engine(), kDatabases), cut == Cut::kill);
            }
            if (cut != Cut::random) continue;
            // A disk that was full has cost some of the past.
            const auto history = History::read(after.files());
            BOOST_REQUIRE_MESSAGE(history.has_value(), (history ? "" : history.error().text));
            if ((*history)->oldest() > now.changed.moment) {
                ++gone;
                continue;
            }
            ++ended;
            now.ends_as_it_should(after);
        }
    };
    const auto failures = ordeal.failures();
    failures.print();
    failures.met("start", {Kind::open, Kind::create, Kind::read, Kind::write, Kind::sync,
                           Kind::rename, Kind::sync_dir, Kind::map});
    failures.met("put back", {Kind::open, Kind::read, Kind::write, Kind::write_sync, Kind::fsync,
                              Kind::create, Kind::sync, Kind::rename, Kind::sync_dir});
    std::printf("report:   put back afterwards: %llu, the moment gone: %llu\n",
                static_cast<unsigned long long>(ended), static_cast<unsigned long long>(gone));
    BOOST_TEST(ended > 10 * gone);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
