#pragma once
// Lived: a store that has lived through some crashes in the simulated world, and its versions:
// those that survived them. Where it does not keep its past, log was given back on the way. For
// tests that look at its past.

#include <boost/test/unit_test.hpp>
#include <memory>
#include <string>
#include <vector>

#include "tests/environment.hpp"
#include "tests/recovery/subject.hpp"
#include "tests/recovery/workload.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::recovery {

// The store is opened. Versions that did not survive what was before are forgotten.
inline std::unique_ptr<Subject> open_again(sim::World& world, const OpenOptions& options,
                                           std::vector<Version>& versions) {
    auto opened = open(world.files(), world.clock(), options);
    BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
    const auto& timelines = (*opened)->manifest().timelines;
    if (timelines.size() > 1 && !(*opened)->report().clean)
        std::erase_if(versions, [&](const Version& version) {
            return version.end > timelines[timelines.size() - 2].end;
        });
    return std::make_unique<Subject>(world, std::move(*opened));
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
