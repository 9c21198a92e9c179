#include "tests/sim/replay.hpp"

#include <boost/test/framework.hpp>
#include <boost/test/results_collector.hpp>
#include <boost/test/tree/observer.hpp>
#include <boost/test/tree/test_unit.hpp>
#include <boost/test/unit_test_suite.hpp>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "tests/sim/world.hpp"

namespace firnlog::sim {

namespace utf = boost::unit_test;

std::string replay_command() {
    std::string command;
    if (under_way.seed) command = "FIRNLOG_SEED=" + std::to_string(*under_way.seed) + " ";
    return command + utf::framework::master_test_suite().argv[0] +
           " --run_test=" + utf::framework::current_test_case().full_name();
}

namespace {

class Witness : public utf::test_observer {
  public:
    void test_unit_start(const utf::test_unit& unit) override {
        if (unit.p_type != utf::TUT_CASE) return;
        under_way = {};
        has_told_ = false;
    }
    void assertion_result(utf::assertion_result result) override {
        if (result == utf::AR_FAILED) tell(true);
    }
    // What threw has taken its worlds with it; what was ended by a signal has left them in no state
    // to be looked at.
    void exception_caught(const boost::execution_exception&) override { tell(false); }
    void test_unit_finish(const utf::test_unit& unit, unsigned long) override {
        if (unit.p_type != utf::TUT_CASE || !under_way.first) return;
        const bool passed = utf::results_collector.results(unit.p_id).passed();
        note(unit, passed ? "passed" : "failed");
    }

  private:
    // Once a test case: what fails behind the first failure mostly follows from it.
    void tell(bool with_worlds) {
        if (std::exchange(has_told_, true)) return;
        if (with_worlds) {
            const auto worlds = World::living();
            for (std::size_t i = 0; i < worlds.size(); ++i) {
                std::fprintf(stderr, "world %zu of %zu, ", i + 1, worlds.size());
                worlds[i]->print(stderr);
            }
        }
        std::fprintf(stderr, "replay: %s\n", replay_command().c_str());
    }

    // One line a campaign; written at once, as several programs do.
    static void note(const utf::test_unit& unit, const char* verdict) {
        const char* const path = std::getenv("FIRNLOG_SEEDS_LOG");
        if (path == nullptr) return;
        const char* const commit = std::getenv("FIRNLOG_COMMIT");
        const auto now = std::time(nullptr);
        std::tm parts{};
        char date[32] = "";
        std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", ::gmtime_r(&now, &parts));
        std::FILE* const log = std::fopen(path, "a");
        if (log == nullptr) return;
        std::fprintf(log, "%s %s %s seeds %llu-%llu crashes %llu %s\n", date,
                     commit == nullptr ? "unknown" : commit, unit.full_name().c_str(),
                     static_cast<unsigned long long>(*under_way.first),
                     static_cast<unsigned long long>(*under_way.seed),
                     static_cast<unsigned long long>(under_way.crashes), verdict);
        std::fclose(log);
    }

    bool has_told_ = false;
};

struct Watched {
    Watched() { utf::framework::register_observer(witness); }
    ~Watched() { utf::framework::deregister_observer(witness); }
    Witness witness;
};

BOOST_TEST_GLOBAL_FIXTURE(Watched);

}  // namespace

}  // namespace firnlog::sim
