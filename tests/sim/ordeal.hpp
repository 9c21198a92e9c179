#pragma once
// Ordeal: one piece of work, done over and over, each time with the world ending at another of its
// operations, or with another one of them failing.
//
//   make ──> Stage ──work──x at an operation ──restart──> (work──x──restart) ──> judge    crashes
//                  ──work── one fails, once or for ever ──heal──> judge                  failures
//
// A Stage is anything that has a `world`, and is made the same each time. The work is all that
// happens between making and judging, in phases if it names them; it says whether it has come to
// its end, and nothing of what it has built is left when it returns. It must stand being done again
// where `twice_percent` asks for it. Crashes come before operations that change the disk, and once
// behind the last one; failures strike any operation.

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/world.hpp"

namespace firnlog::sim {

// What the judge is told of a try.
struct Tried {
    bool done = false;    // the work said that it had come to its end
    bool twice = false;   // the work was done again, and crashed again
    Cut cut = Cut::none;  // of the last crash
};

// How many tries there were, and what they met.
struct Trials {
    std::string name;
    Tally tally = {};          // crashes or failures by phase and kind of the operation
    std::uint64_t done = 0;    // tries whose work came to its end all the same
    std::uint64_t twice = 0;   // crashes in work that was done again
    std::uint64_t behind = 0;  // crashes behind the last operation

    void add(const Trials& more) {
        tally.add(more.tally);
        done += more.done;
        twice += more.twice;
        behind += more.behind;
    }
    void print() const {
        std::printf(
            "report: %s: %llu, of them with the work done all the same: %llu; in work done "
            "again: %llu, behind its end: %llu\n",
            name.c_str(), static_cast<unsigned long long>(tally.total()),
            static_cast<unsigned long long>(done), static_cast<unsigned long long>(twice),
            static_cast<unsigned long long>(behind));
        tally.print_lines(stdout, "report:   " + name);
    }
    // None of these kinds was left out in that phase.
    void met(std::string_view phase, std::initializer_list<Kind> kinds) const {
        for (const auto kind : kinds)
            BOOST_TEST(tally.of(phase, kind) > 0,
                       name << ": none in " << phase << " at " << text(kind));
    }
};

template <class Stage>
class Ordeal {
  public:
    std::string name;
    std::function<std::unique_ptr<Stage>()> make;
    std::function<bool(Stage&)> work;
    std::function<void(Stage&, const Tried&)> judge;
    std::uint64_t seed = 1;
    // Looks at every which operation, and at the first of a kind in a phase anyway.
    std::uint64_t step = 1;
    unsigned twice_percent = 0;

    [[nodiscard]] Trials crashes() const {
        Trials trials{.name = "crashes in " + name};
        const auto all = operations();
        for (const auto& at : chosen(all, true))
            for (const auto cut : kCuts) crash(trials, &at, cut, all.size());
        for (const auto cut : kCuts) crash(trials, nullptr, cut, all.size());
        return trials;
    }

    [[nodiscard]] Trials failures() const {
        Trials trials{.name = "failures in " + name};
        for (const auto& at : chosen(operations(), false))
            for (const auto& way : ways_to_fail(at.operation.kind))
                for (const bool sticky : {false, true}) fail(trials, at, way, sticky);
        return trials;
    }

  private:
    struct Point {
        Operation operation;
        std::uint64_t nth = 0;  // since the stage was made
        std::string phase;
    };

    // All of the work's, with nothing going wrong.
    [[nodiscard]] std::vector<Point> operations() const {
        std::vector<Point> all;
        const auto stage = make();
        auto& world = stage->world;
        world.on_operation([&](const Operation& at) {
            all.push_back({.operation = at, .nth = all.size() + 1, .phase = world.phase()});
        });
        BOOST_REQUIRE_MESSAGE(work(*stage), name << " comes to its end when nothing goes wrong");
        world.on_operation({});
        return all;
    }

    [[nodiscard]] std::vector<Point> chosen(const std::vector<Point>& all, bool changing) const {
        std::vector<Point> points;
        Tally seen;
        for (const auto& point : all) {
            const auto kind = point.operation.kind;
            if (changing && !changes_disk(kind)) continue;
            const bool is_first = seen.of(point.phase, kind) == 0;
            seen.count(point.phase, kind);
            if (is_first || (point.nth + seed) % step == 0) points.push_back(point);
        }
        return points;
    }

    void crash(Trials& trials, const Point* at, Cut cut, std::uint64_t operations) const {
        const auto number = at == nullptr ? 0 : at->operation.number;
        BOOST_TEST_CONTEXT(name << ": crash at operation " << number << " of " << operations
                                << (at == nullptr ? ", behind the last"
                                                  : std::string{", "} + text(at->operation.kind) +
                                                        " in phase " + at->phase)
                                << ", cut " << text(cut)) {
            const auto stage = make();
            auto& world = stage->world;
            Rng rng{seed * 1'000'003 + number * 7 + static_cast<std::uint64_t>(cut)};
            world.crash_at(number);
            Tried tried{.done = work(*stage), .cut = cut};
            BOOST_REQUIRE_EQUAL(world.crashed(), at != nullptr);
            if (at == nullptr) {
                ++trials.behind;
                world.crash_now();
            } else {
                trials.tally.count(at->phase, at->operation.kind);
                if (tried.done) ++trials.done;
            }
            world.restart(cut, rng);
            if (at != nullptr && rng.chance(twice_percent)) {
                world.crash_at(world.operations() + 1 + rng.below(operations));
                tried.done = work(*stage);
                tried.twice = world.crashed();
                if (tried.twice) {
                    ++trials.twice;
                    tried.cut = rng.chance(50) ? Cut::random : Cut::kill;
                    world.restart(tried.cut, rng);
                }
                world.crash_at(0);
            }
            judge(*stage, tried);
        }
    }

    void fail(Trials& trials, const Point& at, const WayToFail& way, bool sticky) const {
        BOOST_TEST_CONTEXT(name << ": " << text(at.operation.kind) << " in phase " << at.phase
                                << ", the " << at.nth << "th operation, " << way.told()
                                << (sticky ? ", for ever" : ", once")) {
            const auto stage = make();
            auto& world = stage->world;
            world.fail({.error = way.error,
                        .is_short = way.is_short,
                        .any = true,
                        .nth = at.nth,
                        .sticky = sticky});
            const Tried tried{.done = work(*stage)};
            BOOST_REQUIRE(world.faults_struck() != 0);
            trials.tally.count(at.phase, at.operation.kind);
            if (tried.done) ++trials.done;
            world.heal();
            judge(*stage, tried);
        }
    }
};

}  // namespace firnlog::sim
