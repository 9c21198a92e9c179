#pragma once
// Lived: a store that has lived through some crashes in the simulated world, and its versions:
// those that survived them. Where it does not keep its past, log was given back on the way. For
// tests that look at its past.

#include <boost/test/unit_test.hpp>
#include <memory>
#include <string>
#include <vector>

#include "recovery/past.hpp"
#include "tests/environment.hpp"
#include "tests/recovery/subject.hpp"
#include "tests/recovery/workload.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::recovery {

// Versions that did not survive what was before this start are forgotten.
inline void drop_lost(const Store& store, std::vector<Version>& versions) {
    const auto& timelines = store.manifest().timelines;
    if (timelines.size() > 1 && !store.report().clean)
        std::erase_if(versions, [&](const Version& version) {
            return version.end > timelines[timelines.size() - 2].end;
        });
}

inline std::unique_ptr<Subject> open_again(sim::World& world, const OpenOptions& options,
                                           std::vector<Version>& versions) {
    auto opened = open(world.files(), world.clock(), options);
    BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
    drop_lost(**opened, versions);
    return std::make_unique<Subject>(world, std::move(*opened));
}

// What a store's directory, or what is shown as one, was at that place.
inline std::uint64_t digest_at(io::Files& files, engine::Lsn lsn) {
    constexpr std::int64_t kLaterUs = std::int64_t{1} << 60;  // than any commit
    const auto past = open_past(files, {.moment = {.what = Moment::What::lsn, .us = 0, .lsn = lsn},
                                        .now_us = kLaterUs,
                                        .databases = 4,
                                        .progress = {},
                                        .give_up = {}});
    BOOST_REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().text));
    return digest(read_all((*past)->engine(), 4));
}

struct Lived {
    explicit Lived(std::uint64_t seed, int crashes, bool keeps = true)
        : world{{.seed = seed}}, rng{seed} {
        for (int life = 0; life <= crashes; ++life) {
            subject = open_again(world, small_options(keeps), versions);
            subject->lazy(rng.chance(50));
            const bool dies = life < crashes;
            if (dies) world.crash_at(world.operations() + rng.between(40, 900));
            const bool lived = workload(world, *subject, rng);
            for (const auto& version : subject->versions()) versions.push_back(version);
            if (lived && dies) world.crash_now();
            if (!dies) {
                BOOST_REQUIRE(lived);
                break;
            }
            subject.reset();
            world.restart(rng.chance(50) ? sim::Cut::kill : sim::Cut::random, rng);
        }
    }

    sim::World world;
    sim::Rng rng;
    std::unique_ptr<Subject> subject;
    std::vector<Version> versions;
};

// Forty keys of 8,000 bytes, a clean stop, and the machine is on again.
inline void live_cleanly(sim::World& world) {
    {
        Subject subject(world, *open(world.files(), world.clock(), small_options()));
        for (int i = 0; i < 40; ++i)
            BOOST_REQUIRE(subject.set("key" + std::to_string(i), std::string(8'000, 'x')) &&
                          subject.sync());
        BOOST_REQUIRE(subject.stop_cleanly());
    }
    sim::Rng rng{1};
    world.restart(sim::Cut::none, rng);
}

}  // namespace firnlog::recovery
