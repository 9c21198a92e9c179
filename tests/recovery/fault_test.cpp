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
    std::uint64_t log_failed = 0;
    std::uint64_t refused = 0;  // to open, while the fault lasted
    sim::Tally once;            // what failed, by the phase it first did so in
    sim::Tally for_ever;

    void print() const {
        std::printf(
            "report: runs with a failing operation: %llu, reached: %llu, log closed: %llu, "
            "start refused: %llu\n",
            static_cast<unsigned long long>(runs),
            static_cast<unsigned long long>(once.total() + for_ever.total()),
            static_cast<unsigned long long>(log_failed), static_cast<unsigned long long>(refused));
        once.print_lines(stdout, "report:   once");
        for_ever.print_lines(stdout, "report:   for ever");
    }
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
    // Told before an operation takes effect: the fault strikes the nth of its kind.
    std::uint64_t seen = 0;
    world.on_operation([&](const sim::Operation& at) {
        if (at.kind == fault.kind && ++seen == fault.nth)
            (fault.sticky ? counts.for_ever : counts.once).count(world.phase(), at.kind);
    });
    world.phase("create");
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
    const auto base = seed_or(100);
    Counts counts;
    // All that the engine does to a store while it is made and while it serves. Folders are made,
    // files linked and cut by backups, archives, repairs and full disks, which have tests of
    // theirs.
    using enum Kind;
    const auto kinds = {write,  write_sync, fsync, sync, create, allocate, sync_dir, rename,
                        unlink, open,       map,   read, size,   list,     lock,     free_bytes};
    for (const auto kind : kinds)
        for (const auto& way : sim::ways_to_fail(kind)) {
            // What is neither of the two plainest is looked at less often. Syncs of the log are
            // few, and after each something else is at stake.
            const bool is_rare = way.is_short || way.error == EINTR || way.error == EAGAIN;
            const std::uint64_t each = is_rare ? 2 : kind == fsync ? 24 : 4;
            const auto stride = is_rare && !in_full() ? 12 * step : step;
            for (const bool sticky : {false, true})
                for (std::uint64_t nth = 1;; nth += nth < each ? 1 : stride)
                    BOOST_TEST_CONTEXT(sim::text(kind) << " " << way.told() << ", nth " << nth
                                                       << (sticky ? ", for ever" : ", once")) {
                        if (!run({.error = way.error,
                                  .is_short = way.is_short,
                                  .kind = kind,
                                  .nth = nth,
                                  .sticky = sticky},
                                 base + nth, counts))
                            break;
                    }
        }
    counts.print();
    BOOST_TEST(counts.log_failed > 0);
    BOOST_TEST(counts.refused > 0);
    for (const auto kind : kinds) {
        BOOST_TEST(counts.once.of(kind) > 0, "none failed once: " << sim::text(kind));
        BOOST_TEST(counts.for_ever.of(kind) > 0, "none failed for ever: " << sim::text(kind));
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
