#pragma once
// BareEngine: an engine in a simulated world, without a server and without a past, with one session
// and whoever flushes. What the tests of operations are built on.

#include <boost/test/unit_test.hpp>
#include <memory>

#include "engine/engine.hpp"
#include "engine/session.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::engine {

class BareEngine {
  public:
    explicit BareEngine(std::uint64_t batch_bytes_max = EngineOptions{}.batch_bytes_max,
                        const Hasher& hasher = Hasher(Hasher::Secret{}))
        : world({.seed = 1}),
          engine(world.files(), world.clock(),
                 {.segments = std::make_unique<Segments>(),
                  .keyspace = std::make_unique<Keyspace>(hasher),
                  .start = {.next = Lsn{4096}}},
                 {.supply = {.bytes_first = 4U << 20, .bytes_max = 4U << 20},
                  .batch_bytes_max = batch_bytes_max}),
          session(engine),
          flusher_(engine.log, world.io(), [] {}) {
        BOOST_REQUIRE(engine.prepare().has_value());
        engine.now.update();
    }

    // Everything appended becomes durable, and what is full is sealed: read from a map.
    void settle() {
        auto& log = engine.log;
        while (log.durable() != log.tail.end() || log.tail.dirty()) {
            log.want_durable(log.tail.end());
            flusher_.kick(0);
            BOOST_REQUIRE(world.io().turn(true).has_value());
            BOOST_REQUIRE_EQUAL(log.failed(), 0);
        }
        // The worker keeps step with the log, and this one is idle: it needs time.
        do {
            world.pass(20'000);
        } while (engine.work());
    }

    sim::World world;
    Engine engine;
    Session session;

  private:
    Flusher flusher_;
};

}  // namespace firnlog::engine
