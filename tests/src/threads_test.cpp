// Several reactors, each a real thread with a simulated ring, and the real worker, on one store:
// what ThreadSanitizer can see through. Callers do everything that crosses threads: batches, strays
// of RENAME, databases that are swapped and flushed under others' feet, expiry, WATCH, messages,
// MONITOR, CLIENT KILL, INFO, configuration; small segments fill, rotate, are sealed and let go of.

#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "tests/sim/replay.hpp"
#include "tests/src/second_server.hpp"

namespace firnlog::server::test {
namespace {

constexpr std::size_t kReactors = 3;
constexpr std::size_t kCallers = 5;

// The reactors' threads.
class Crew {
  public:
    explicit Crew(SecondServer& server) : server_(server) {
        BOOST_REQUIRE(server.engine().start_worker().has_value());
        for (std::size_t i = 0; i < kReactors; ++i) threads_.emplace_back([this, i] { run(i); });
    }
    // Without finishing anything: as a crash would.
    ~Crew() {
        leave_.store(true);
        for (auto& thread : threads_) thread.join();
        server_.engine().stop_worker();
    }
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;

  private:
    void run(std::size_t number) {
        auto& grace = server_.engine().grace;
        auto slot = grace.enter();
        while (!leave_.load()) {
            if (!server_.reactor(number).turn(true)) return;
            grace.quiescent(slot);
        }
    }

    SecondServer& server_;
    std::atomic<bool> leave_{false};
    std::vector<std::thread> threads_;
};

// A caller on a thread of its own: Boost's checks are for one thread, so it notes what is wrong.
class Patient {
  public:
    Patient(SecondServer& server, std::uint64_t seed) : caller_(server.connect()), rng_(seed) {}

    std::string ask(std::string_view line) {
        caller_.send(line);
        return reply();
    }
    std::string reply() {
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        for (;;) {
            auto reply = caller_.taken();
            if (!reply.empty()) return reply;
            if (caller_.client().closed()) return {};
            if (std::chrono::steady_clock::now() > until) {
                wrong = "no reply came";
                return {};
            }
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
    }
    void expect(std::string_view line, std::string_view begins) {
        const auto reply = ask(line);
        if (wrong.empty() && !reply.starts_with(begins))
            wrong = std::string(line.substr(0, 60)) + " -> " + reply.substr(0, 100);
    }
    [[nodiscard]] sim::Rng& rng() { return rng_; }
    [[nodiscard]] Caller& caller() { return caller_; }

    std::string wrong;

  private:
    Caller caller_;
    sim::Rng rng_;
};

std::string some(sim::Rng& rng, std::string_view kind, std::uint64_t count) {
    return std::string(kind) + std::to_string(rng.below(count));
}

// One piece of work. Every reply has to be of the kinds that are possible while others do the same.
void work(Patient& patient) {
    auto& rng = patient.rng();
    const auto key = [&] { return some(rng, "k", 40); };
    const auto hash = [&] { return some(rng, "h", 10); };
    const auto text = [&](std::uint64_t most) { return std::string(rng.between(1, most), 'v'); };
    const auto database = [&] { return std::to_string(rng.below(3)); };
    switch (rng.below(28)) {
        case 0:
        case 1:
        case 2:
        case 3:
            return patient.expect("SET " + key() + " " + text(8000), "+OK");
        case 4:
        case 5:
            return patient.expect("GET " + key(), "$");
        case 6:
            return patient.expect("MSET " + key() + " 1 " + key() + " 2 " + key() + " 3", "+OK");
        case 7:
        case 8:
            return patient.expect("HSET " + hash() + " " + some(rng, "f", 20) + " " + text(200),
                                  ":");
        case 9:
            return patient.expect("HDEL " + hash() + " " + some(rng, "f", 20), ":");
        case 10:
            return patient.expect("HGETALL " + hash(), "*");
        case 11: {
            // A hash under another name is a stray in another stripe.
            const auto reply = patient.ask("RENAME " + hash() + " " + hash());
            if (!reply.starts_with("+OK") && !reply.starts_with("-ERR no such key"))
                patient.wrong = "RENAME -> " + reply;
            return;
        }
        case 12:
            (void)patient.ask("COPY " + hash() + " " + hash() + " DB " + database() + " REPLACE");
            return;
        case 13:
            return patient.expect("DEL " + key() + " " + hash(), ":");
        case 14:
            return patient.expect(
                "SET " + key() + " short PX " + std::to_string(rng.between(1, 30)), "+OK");
        case 15:
            patient.expect("MULTI", "+OK");
            patient.expect("SET " + key() + " " + text(3000), "+QUEUED");
            patient.expect("HSET " + hash() + " f v", "+QUEUED");
            patient.expect("SELECT " + database(), "+QUEUED");
            patient.expect("GET " + key(), "+QUEUED");
            return patient.expect("EXEC", "*4");
        case 16:
            patient.expect("WATCH " + key() + " " + hash(), "+OK");
            patient.expect("MULTI", "+OK");
            patient.expect("DEL " + key(), "+QUEUED");
            return patient.expect("EXEC", "*");
        case 17:
            return patient.expect("SELECT " + database(), "+OK");
        case 18:
            return patient.expect("SWAPDB " + database() + " " + database(), "+OK");
        case 19:
            return patient.expect(rng.chance(20) ? "FLUSHALL" : "FLUSHDB", "+OK");
        case 20:
            return patient.expect("SCAN " + std::to_string(rng.next() >> 1) + " COUNT 50", "*2");
        case 21:
            return patient.expect(rng.chance(50) ? "DBSIZE" : "EXISTS " + key(), ":");
        case 22:
            return patient.expect(rng.chance(50) ? "KEYS *" : "PUBSUB CHANNELS", "*");
        case 23:
            return patient.expect(rng.chance(50) ? "INFO everything" : "CLIENT LIST", "$");
        case 24:
            return patient.expect("PUBLISH news " + text(50), ":");
        case 25:
            return patient.expect(
                rng.chance(50) ? "CONFIG SET slowlog-max-len 7" : "CONFIG RESETSTAT", "+OK");
        case 26:
            return patient.expect("FIRN DURABLE " +
                                      std::string(rng.chance(50) ? "no" : "everysec") + " SET " +
                                      key() + " " + text(500),
                                  "+OK");
        default:
            patient.caller().send(rng.chance(50) ? "SLOWLOG GET" : "MEMORY STATS");
            (void)patient.reply();
            return patient.expect("FIRN DIGEST", "+");
    }
}

std::int64_t integer(std::string_view reply) {
    std::int64_t value = 0;
    std::from_chars(reply.data() + 1, reply.data() + reply.size(), value);
    return value;
}

// The machine comes back on this disk at the moment at which the power went. Were it earlier there,
// a key would be alive again whose time had come and that nobody had deleted yet.
class Restarted {
  public:
    Restarted(sim::World& before, std::uint64_t seed)
        : rng_{seed}, world_{{.seed = seed, .threads = true}, before.image(sim::Cut::none, rng_)} {
        world_.clock().jump_wall(before.clock().wall().us - world_.clock().wall().us);
    }
    [[nodiscard]] sim::World& world() { return world_; }

  private:
    sim::Rng rng_;
    sim::World world_;
};

// Each caller counts in a database that nobody flushes but by FLUSHALL.
std::int64_t incr(Patient& patient, std::size_t number) {
    patient.expect("SELECT 9", "+OK");
    const auto reply = patient.ask("INCR counter" + std::to_string(number));
    if (!reply.starts_with(":")) patient.wrong = "INCR -> " + reply;
    patient.expect("SELECT 0", "+OK");
    return integer(reply);
}

// A pipeline of single writes and reads, amid them a count of the caller's own. Keys are few, so
// that pipelines meet in their stripes; hashes move, so that now and then there is no group.
std::string pipeline(Patient& patient, std::size_t number, std::size_t& counts) {
    auto& rng = patient.rng();
    const auto key = [&] { return some(rng, "k", 60); };
    const auto text = [&] { return std::string(rng.between(1, 900), 'v'); };
    std::string all;
    counts = 0;
    for (auto left = rng.between(2, 40); left > 0; --left) switch (rng.below(9)) {
            case 0:
                all += command("GET " + key());
                break;
            case 1:
                // A hash that has moved and goes lets groups be made again.
                all += command("DEL " + (rng.chance(50) ? key() : some(rng, "h", 6)));
                break;
            case 2:
                all += command("SET " + key() + " short PX " + std::to_string(rng.between(1, 30)));
                break;
            case 3:
                all += command("EXPIRE " + key() + " 100");
                break;
            case 4:
                all += command("HSET " + some(rng, "h", 6) + " " + some(rng, "f", 9) + " v");
                break;
            case 5:
                ++counts;
                all += command("INCR counter" + std::to_string(number));
                break;
            case 6:
                all += rng.chance(5)
                           ? command("RENAME " + some(rng, "h", 6) + " " + some(rng, "h", 6))
                           : command("MSET " + key() + " 1 " + key() + " 2");
                break;
            default:
                all += command("SET " + key() + " " + text());
        }
    return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(threads, *boost::unit_test::label("threads"))

BOOST_AUTO_TEST_CASE(reactors_side_by_side_keep_every_promise_of_one) {
    const auto seed = seed_or(1);
    const auto rounds = volume({.usual = 1'500, .sanitized = 300, .full = 50'000});
    sim::World world{{.seed = seed, .threads = true}};
    SecondServer server(world, {.notify = kNotifyAll | kNotifyKeyspace | kNotifyKeyevent,
                                .reactors = kReactors,
                                .segment_bytes = std::uint64_t{128} << 10});
    std::vector<std::int64_t> acked(kCallers, 0);
    std::vector<std::string> wrong(kCallers);
    std::string digest;
    {
        Crew crew(server);
        // They listen, and are gone in the midst of it.
        Patient listener(server, 1);
        listener.expect("PSUBSCRIBE *", "*3");
        Patient watcher(server, 2);
        watcher.expect("MONITOR", "+OK");
        std::vector<std::thread> threads;
        for (std::size_t n = 0; n < kCallers; ++n)
            threads.emplace_back([&, n] {
                Patient patient(server, seed * 100 + n);
                for (std::uint64_t i = 0; i < rounds && patient.wrong.empty(); ++i) {
                    work(patient);
                    if (i % 8 != 0) continue;
                    const auto count = incr(patient, n);
                    // FLUSHALL of another begins it anew.
                    if (count != acked[n] + 1 && count != 1)
                        patient.wrong = "counted " + std::to_string(count) + " after " +
                                        std::to_string(acked[n]);
                    acked[n] = count;
                }
                wrong[n] = patient.wrong;
            });
        for (std::size_t i = 0; i < 20; ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
            Patient passer(server, i);
            passer.expect("SUBSCRIBE news", "*3");
            if (i % 2 == 0) passer.caller().client().reset();
            Patient killer(server, i);
            (void)killer.ask("CLIENT KILL TYPE pubsub SKIPME yes");
        }
        for (auto& thread : threads) thread.join();
        for (std::size_t n = 0; n < kCallers; ++n) BOOST_TEST(wrong[n] == "");
        // Callers are gone and nobody flushes any more: from here counters only grow.
        Patient last(server, 3);
        for (std::size_t n = 0; n < kCallers; ++n) acked[n] = incr(last, n);
        // What is about to expire does so first.
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        digest = last.ask("FIRN DIGEST");
        BOOST_TEST(last.wrong == "");
    }
    // All threads have ended amid whatever they did. The power goes.
    const auto sealed =
        std::ranges::count_if(server.engine().segments().all(),
                              [](const auto* segment) { return segment->map != nullptr; });
    BOOST_TEST(sealed > 3);
    Restarted after(world, seed);
    Restarted beside(world, seed);
    server.stop_serving();
    // The log is applied by this thread, and by several.
    SecondServer again(after.world());
    SecondServer together(beside.world(), {.lanes = 3});
    BOOST_TEST(together.connect().ask("FIRN DIGEST") == digest);
    auto asker = again.connect();
    BOOST_TEST(asker.ask("FIRN DIGEST") == digest);
    BOOST_TEST(asker.ask("SELECT 9") == "+OK\r\n");
    for (std::size_t n = 0; n < kCallers; ++n) {
        const auto reply = asker.ask("GET counter" + std::to_string(n));
        BOOST_TEST(integer(reply.substr(reply.find('\n'))) == acked[n]);
    }
}

BOOST_AUTO_TEST_CASE(pipelines_side_by_side_keep_their_order) {
    const auto seed = seed_or(1);
    const auto rounds = volume({.usual = 500, .sanitized = 100, .full = 20'000});
    constexpr std::int64_t kFirst = 1'000'000;
    sim::World world{{.seed = seed, .threads = true}};
    SecondServer server(world, {.reactors = kReactors, .segment_bytes = std::uint64_t{128} << 10});
    std::vector<std::int64_t> counted(kCallers, 0);
    std::vector<std::string> wrong(kCallers);
    std::string digest;
    {
        Crew crew(server);
        std::vector<std::thread> threads;
        for (std::size_t n = 0; n < kCallers; ++n)
            threads.emplace_back([&, n] {
                Patient patient(server, seed * 100 + n);
                patient.expect("SET counter" + std::to_string(n) + " " + std::to_string(kFirst),
                               "+OK");
                for (std::uint64_t i = 0; i < rounds && patient.wrong.empty(); ++i) {
                    std::size_t counts = 0;
                    const auto all = pipeline(patient, n, counts);
                    patient.caller().client().send(all + command("ECHO end"));
                    for (;;) {
                        const auto reply = patient.reply();
                        if (reply.empty() || reply == "$3\r\nend\r\n") break;
                        // Nothing else answers such a number.
                        if (integer(reply) != kFirst + counted[n] + 1) continue;
                        ++counted[n];
                        --counts;
                    }
                    if (patient.wrong.empty() && counts != 0)
                        patient.wrong = "a count was skipped, lost or out of order";
                }
                wrong[n] = patient.wrong;
            });
        for (auto& thread : threads) thread.join();
        for (std::size_t n = 0; n < kCallers; ++n) BOOST_TEST(wrong[n] == "");
        Patient last(server, 3);
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        digest = last.ask("FIRN DIGEST");
        BOOST_TEST(server.engine().counters.grouped.load() > rounds * kCallers);
    }
    Restarted after(world, seed);
    Restarted beside(world, seed);
    server.stop_serving();
    // The log is applied by this thread, and by several.
    SecondServer again(after.world());
    SecondServer together(beside.world(), {.lanes = 3});
    BOOST_TEST(together.connect().ask("FIRN DIGEST") == digest);
    auto asker = again.connect();
    BOOST_TEST(asker.ask("FIRN DIGEST") == digest);
    for (std::size_t n = 0; n < kCallers; ++n) {
        const auto reply = asker.ask("GET counter" + std::to_string(n));
        BOOST_TEST(reply.ends_with(std::to_string(kFirst + counted[n]) + "\r\n"));
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::server::test
