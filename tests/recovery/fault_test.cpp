// T2: the n-th operation of each kind fails, once and for ever; then the machine crashes. Nothing
// that was acknowledged may be missing, nothing is acknowledged after the failure, nothing is tried
// again.

#include <boost/test/unit_test.hpp>
#include <cstdio>

#include "tests/environment.hpp"
#include "tests/recovery/workload.hpp"

namespace firnlog::recovery {
namespace {

using sim::Cut;
using sim::Kind;
using sim::Rng;
using sim::World;

struct Counts {
    std::uint64_t runs = 0;
    std::uint64_t struck = 0;
    std::uint64_t log_failed = 0;
    std::uint64_t refused = 0;  // to open, while the fault lasted
};

void check_after(World& world, const Subject& subject, std::uint64_t seed) {
    for (const auto cut : sim::kCuts) {
        Rng rng{seed + static_cast<std::uint64_t>(cut)};
        World after{{.seed = seed, .phase = "recovery"}, world.image(cut, rng)};
        auto opened = open(after.files(), after.clock(), small_options());
        BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
        const auto found = digest(read_all((*opened)->engine(), 4));
        const auto& versions = subject.versions();
        bool known = false;
        for (auto i = subject.acked(cut == Cut::kill); i < versions.size(); ++i)
            known = known || versions[i].digest == found;
        BOOST_REQUIRE_MESSAGE(known, "what was acknowledged before the fault survives it");
    }
}

// One run of the workload with a fault; false when the fault was never reached.
bool run(const sim::Fault& fault, std::uint64_t seed, Counts& counts) {
    ++counts.runs;
    World world{{.seed = seed}};
    world.fail(fault);
    auto opened = open(world.files(), world.clock(), small_options());
    if (!opened) {
        ++counts.refused;
        BOOST_REQUIRE(world.faults_struck() != 0);
        // Nothing was acknowledged yet: with the fault gone the store is made, or opened.
        world.heal();
        auto again = open(world.files(), world.clock(), small_options());
        BOOST_REQUIRE_MESSAGE(again.has_value(), (again ? "" : again.error().text));
        return true;
    }
    Subject subject(world, std::move(*opened));
    subject.lazy(seed % 2 == 0);
    Rng rng{seed};
    const bool finished = workload(world, subject, rng);
    if (world.faults_struck() == 0) return false;
    ++counts.struck;
    if (subject.engine().log.failed() != 0) {
        ++counts.log_failed;
        const auto durable = subject.engine().log.durable();
        BOOST_REQUIRE(!finished);
        BOOST_REQUIRE(!subject.set("after the failure", "x"));
        for (int i = 0; i < 5; ++i) subject.kick();
        BOOST_REQUIRE(subject.engine().log.durable() == durable);
    }
    check_after(world, subject, seed);
    return true;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(faults)

BOOST_AUTO_TEST_CASE(
    whatever_operation_fails_nothing_acknowledged_is_lost_and_nothing_acked_after) {
    const auto step = volume({.usual = 5, .sanitized = 41, .full = 1});
    Counts counts;
    const Kind kinds[] = {Kind::write,  Kind::write_sync, Kind::fsync,    Kind::sync,
                          Kind::create, Kind::allocate,   Kind::sync_dir, Kind::rename,
                          Kind::unlink, Kind::open,       Kind::map,      Kind::read};
    for (const auto kind : kinds) {
        // Syncs of the log are few, and after each something else is at stake.
        const std::uint64_t each = kind == Kind::fsync ? 24 : 4;
        for (const int error : {EIO, ENOSPC})
            for (const bool sticky : {false, true})
                for (std::uint64_t nth = 1;; nth += nth < each ? 1 : step) {
                    const auto seed = 100 + nth;
                    BOOST_TEST_CONTEXT(sim::text(kind) << " error " << error << " nth " << nth
                                                       << (sticky ? " for ever" : " once")) {
                        if (!run({.error = error, .kind = kind, .nth = nth, .sticky = sticky}, seed,
                                 counts))
                            break;
                    }
                }
    }
    // A write that lands in part and says so.
    for (std::uint64_t nth = 1; nth < 200; nth += step) {
        if (!run({.is_short = true, .kind = Kind::write_sync, .nth = nth}, nth, counts)) break;
        if (!run({.is_short = true, .kind = Kind::write, .nth = nth}, nth + 1, counts)) break;
    }
    std::printf(
        "report: runs with a failing operation: %llu, reached: %llu, log closed: %llu, "
        "start refused: %llu\n",
        static_cast<unsigned long long>(counts.runs),
        static_cast<unsigned long long>(counts.struck),
        static_cast<unsigned long long>(counts.log_failed),
        static_cast<unsigned long long>(counts.refused));
    BOOST_TEST(counts.log_failed > 0);
    BOOST_TEST(counts.refused > 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
