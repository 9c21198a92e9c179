// T2 for whoever finds a store and reads it: the n-th operation fails, once or for ever. What comes
// of it is what comes without the fault, or a refusal that says something; read again, all is well.

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <functional>
#include <string>

#include "recovery/archive_files.hpp"
#include "recovery/archiver.hpp"
#include "recovery/backup.hpp"
#include "recovery/backups.hpp"
#include "recovery/check.hpp"
#include "recovery/listing.hpp"
#include "recovery/past.hpp"
#include "recovery/past_of_key.hpp"
#include "recovery/put_back.hpp"
#include "recovery/rates.hpp"
#include "recovery/repair.hpp"
#include "recovery/restore.hpp"
#include "tests/recovery/lived.hpp"

namespace firnlog::recovery {
namespace {

using sim::Cut;
using sim::Rng;
using sim::World;
using Answer = Opening<std::string>;

constexpr std::uint32_t kDatabases = 4;

// A store with checkpoints, timelines and packed segments that was killed, and a moment of it.
struct Found {
    explicit Found(std::uint64_t seed, bool keeps) {
        Lived lived(seed, 1, keeps);
        lived.subject.reset();
        Subject subject(lived.world,
                        *open(lived.world.files(), lived.world.clock(), small_options(keeps)));
        BOOST_REQUIRE(subject.set("later", "1") && subject.sync());
        moment = {.what = Moment::What::lsn, .us = 0, .lsn = subject.engine().log.durable()};
        BOOST_REQUIRE(subject.set("key:1", "2") && subject.hash_set("hash:1", "f", "2"));
        BOOST_REQUIRE(subject.sync());
        now_us = lived.world.clock().wall().us;
        end = subject.engine().log.durable();
        World shelf{{.seed = seed}};
        BOOST_REQUIRE(take_backup(lived.world.files(), shelf.files(), lived.world.clock(),
                                  {.name = "one", .progress = {}, .give_up = {}}));
        backup = shelf.disk().copy();
        World other{{.seed = seed}};
        Archiver archiver(lived.world.files(),
                          {.to = &other.files(), .durable = [&] { return end; }});
        BOOST_REQUIRE(archiver.begin() && archiver.round(Archiver::Bring::all));
        archive = other.disk().copy();
        Rng rng{seed};
        disk = lived.world.image(Cut::kill, rng);
    }

    sim::Disk disk;
    sim::Disk backup;
    sim::Disk archive;
    Moment moment;
    engine::Lsn end;
    std::int64_t now_us = 0;
};

Refusal refusal_of(const Error& error) { return {.error = error, .text = error.text()}; }

Answer start(World& world) {
    auto store = open(world.files(), world.clock(), small_options());
    if (!store) return tl::unexpected(store.error());
    // Some of it may have been left to be read later.
    if (!bring_all_in(world, (*store)->engine())) return refuse({.code = Code::io}, "not whole");
    const auto legible = read_legible((*store)->engine(), kDatabases);
    if (legible.unreadable != 0) return refuse({.code = Code::io}, "values cannot be read");
    std::string text;
    for (const auto& [name, value] : legible.values)
        text += std::to_string(name.first) + " " + name.second + " " + std::to_string(value) + "\n";
    return text;
}

PastOptions at_moment(const Found& found) {
    return {.moment = found.moment,
            .now_us = found.now_us,
            .databases = kDatabases,
            .progress = {},
            .give_up = {}};
}

Answer past_in(io::Files& files, const Found& found) {
    auto past = open_past(files, at_moment(found));
    if (!past) return tl::unexpected(past.error());
    return std::to_string(digest(read_all((*past)->engine(), kDatabases)));
}

Answer look_at_the_past(World& world, const Found& found) { return past_in(world.files(), found); }

Answer look_at_an_archive(World& world, const Found& found) {
    const auto files = ArchiveFiles::open(world.files(), found.moment);
    if (!files) return tl::unexpected(files.error());
    return past_in(**files, found);
}

// What is brought out of a store that cannot be read is not there, or is right.
Answer archive_it(World& world, const Found& found, bool by_command) {
    World shelf{{.seed = 2}};
    ArchiverOptions options{.durable = [&] { return found.end; }};
    if (by_command)
        options.command = [](const std::string&) -> Opening<void> { return {}; };
    else
        options.to = &shelf.files();
    Archiver archiver(world.files(), std::move(options));
    if (auto begun = archiver.begin(); !begun) return tl::unexpected(begun.error());
    if (auto brought = archiver.round(Archiver::Bring::all); !brought)
        return tl::unexpected(brought.error());
    if (by_command) return std::to_string(archiver.position().value);
    return look_at_an_archive(shelf, found);
}

Answer look_at_a_backup(World& world, const Found& found) {
    const auto backup = find_backup(world.files(), "");
    if (!backup) return tl::unexpected(backup.error());
    const auto verified = verify_backup(world.files(), *backup);
    if (!verified) return tl::unexpected(verified.error());
    if (!verified->faults.empty()) return refuse({.code = Code::damaged}, verified->faults.front());
    const auto files = open_backup(world.files(), *backup);
    return past_in(*files, found);
}

Answer back_it_up(World& world, const Found& found) {
    World shelf{{.seed = 2}};
    if (auto taken = take_backup(world.files(), shelf.files(), world.clock(),
                                 {.name = "two", .progress = {}, .give_up = {}});
        !taken)
        return tl::unexpected(taken.error());
    return look_at_a_backup(shelf, found);
}

// As it is served: by sidecars, which are made on the way.
Answer look_at_keys(World& world, const Found& found) {
    const auto history = History::read(world.files());
    if (!history) return tl::unexpected(history.error());
    const auto& manifest = (*history)->manifest();
    Sidecars sidecars(world.files(), manifest.store_id, engine::Hasher(manifest.hash_secret));
    auto options = at_moment(found);
    options.serving.emplace(Serving{.end = found.end, .sidecars = sidecars});
    const auto served = History::read(world.files(), options.serving);
    if (!served) return tl::unexpected(served.error());
    // Who cannot write them searches all the same.
    (void)sidecars.pass((*served)->stretches(), [](std::uint64_t) { return true; });
    std::string text;
    for (const std::string key : {"key:1", "hash:1", "big", "hash:kept", "none"}) {
        const auto past = open_past_of_key(world.files(), options, {.database = 0, .key = key});
        if (!past) return tl::unexpected(past.error());
        engine::Session session((*past)->engine());
        session.may_wait(true);
        const std::string_view name = key;
        session.begin({&name, 1}, 0);
        const auto old = take_old(session, name);
        (void)session.end();
        if (!old) return refuse({.code = Code::io}, "it cannot be read");
        text += key + " " + (*old ? std::to_string((*old)->bytes()) : "-") + "\n";
        ListOptions list{
            .since = {}, .until = found.moment, .matches = {}, .count = 20, .now_us = found.now_us};
        list.only = KeyOf{.database = 0, .key = key};
        list.serving.emplace(Serving{.end = found.end, .sidecars = sidecars});
        const auto listed = list_key(world.files(), list);
        if (!listed) return tl::unexpected(listed.error());
        for (const auto& line : listed->lines) text += std::to_string(line.lsn.value) + " ";
    }
    return text;
}

Answer look_at_the_log(World& world, const Found& found) {
    const auto listed = list_log(
        world.files(),
        {.since = {}, .until = found.moment, .matches = {}, .count = 50, .now_us = found.now_us});
    if (!listed) return tl::unexpected(listed.error());
    std::string text = std::to_string(listed->left_out);
    for (const auto& line : listed->lines)
        text += "\n" + std::to_string(line.lsn.value) + " " + line.key + " " + line.field;
    return text;
}

Answer check_it(World& world, const Found&) {
    const auto checked = check(world.files());
    if (!checked) return tl::unexpected(refusal_of(checked.error()));
    if (!checked->sound())
        return refuse({.code = Code::damaged}, checked->survey.faults.front().line());
    return std::to_string(checked->keys) + " " + std::to_string(checked->survey.records);
}

Answer tell_its_rates(World& world, const Found&) {
    const auto rates = rates_of(world.files(), world.clock());
    if (!rates) return tl::unexpected(rates.error());
    return std::to_string(rates->log_bytes) + " " + std::to_string(rates->read.records);
}

// With faults of the source, and of where it goes.
Answer restore_it(World& from, World& to, const Found& found) {
    RestoreOptions options;
    options.moment = found.moment;
    options.ttl = Ttl::keep;
    options.engine = small_options().engine;
    const auto restored = restore(from.files(), to.files(), from.clock(), to.io(), options);
    if (!restored) return tl::unexpected(restored.error());
    to.heal();
    return start(to);
}

Answer repair_it(World& from, World& to, const Found&) {
    const auto repaired =
        repair(from.files(), &to.files(), to.clock(), &to.io(), {.engine = small_options().engine});
    if (!repaired) return tl::unexpected(refusal_of(repaired.error()));
    if (!repaired->lost_nothing()) return refuse({.code = Code::damaged}, "something is lost");
    to.heal();
    return start(to);
}

struct Counts {
    std::uint64_t struck = 0;
    std::uint64_t refused = 0;
};

// `fault` strikes in the world that `run` is given.
using Run = std::function<Answer(World&)>;

void whatever_fails(const Run& run, const std::function<sim::Disk()>& where, Counts& counts) {
    World sound{{.seed = 1}, where()};
    const auto expected = run(sound);
    BOOST_REQUIRE_MESSAGE(expected.has_value(), (expected ? "" : expected.error().text));
    const auto step = volume({.usual = 23, .sanitized = 61, .full = 1});
    for (const int error : {EIO, ENOSPC})
        for (const bool sticky : {false, true})
            for (std::uint64_t nth = 1;; nth += nth < 20 ? 1 : step) {
                World world{{.seed = 1}, where()};
                world.fail({.error = error, .any = true, .nth = nth, .sticky = sticky});
                const auto answer = run(world);
                if (world.faults_struck() == 0) break;
                ++counts.struck;
                BOOST_TEST_CONTEXT("errno " << error << " at " << nth
                                            << (sticky ? " for ever" : " once")) {
                    if (answer) BOOST_REQUIRE(*answer == *expected);
                    if (answer) continue;
                    ++counts.refused;
                    BOOST_REQUIRE(!answer.error().text.empty());
                    world.heal();
                    const auto again = run(world);
                    BOOST_REQUIRE_MESSAGE(again.has_value(), (again ? "" : again.error().text));
                    BOOST_REQUIRE(*again == *expected);
                }
            }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(fault_verbs)

BOOST_AUTO_TEST_CASE(whatever_operation_fails_a_store_is_read_as_it_is_or_not_at_all) {
    Counts counts;
    for (const bool keeps : {true, false}) {
        const Found found(5, keeps);
        const auto from = [&] { return found.disk.copy(); };
        const std::pair<const char*, Run> verbs[] = {
            {"start", start},
            {"past", [&](World& world) { return look_at_the_past(world, found); }},
            {"log", [&](World& world) { return look_at_the_log(world, found); }},
            {"check", [&](World& world) { return check_it(world, found); }},
            {"rates", [&](World& world) { return tell_its_rates(world, found); }},
            {"keys", [&](World& world) { return look_at_keys(world, found); }},
            {"archive", [&](World& world) { return archive_it(world, found, false); }},
            {"archive by command", [&](World& world) { return archive_it(world, found, true); }},
            {"backup", [&](World& world) { return back_it_up(world, found); }},
            {"restore from",
             [&](World& world) {
                 World to{{.seed = 2}};
                 return restore_it(world, to, found);
             }},
            {"repair from",
             [&](World& world) {
                 World to{{.seed = 2}};
                 return repair_it(world, to, found);
             }},
        };
        for (const auto& [name, run] : verbs) BOOST_TEST_CONTEXT(name << " keeps " << keeps) {
                whatever_fails(run, from, counts);
            }
    }
    Found found(7, true);
    whatever_fails([&](World& world) { return look_at_a_backup(world, found); },
                   [&] { return found.backup.copy(); }, counts);
    whatever_fails([&](World& world) { return look_at_an_archive(world, found); },
                   [&] { return found.archive.copy(); }, counts);
    found.moment = {.what = Moment::What::at, .us = found.now_us};
    whatever_fails([&](World& world) { return look_at_an_archive(world, found); },
                   [&] { return found.archive.copy(); }, counts);
    std::printf("report: reading a store, operations that failed: %llu, refused for it: %llu\n",
                static_cast<unsigned long long>(counts.struck),
                static_cast<unsigned long long>(counts.refused));
    BOOST_TEST(counts.refused > 100U);
    BOOST_TEST(counts.refused < counts.struck);
}

// What it left where the new store was to be is no store, or is that store; there is another place.
BOOST_AUTO_TEST_CASE(whatever_operation_fails_where_a_store_goes_it_is_whole_or_refused) {
    Counts counts;
    const Found found(6, true);
    const auto nowhere = [] { return sim::Disk{}; };
    for (const bool repairs : {false, true}) BOOST_TEST_CONTEXT(repairs) {
            const Run run = [&](World& to) {
                World from{{.seed = 2}, found.disk.copy()};
                // What a refusal left is not for the next one.
                World other{{.seed = 3}};
                auto& target = to.disk().names().empty() ? to : other;
                return repairs ? repair_it(from, target, found) : restore_it(from, target, found);
            };
            whatever_fails(run, nowhere, counts);
        }
    BOOST_TEST(counts.refused > 50U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
