#pragma once
// World: the second world. One seed decides everything that can happen to a program whose only ways
// out are io::Io, io::Files and io::Clock: when an operation completes, what a power cut leaves,
// how bytes on the network split. The same seed gives the same run, bit for bit (compare trace
// digests).
//
// A driver that crashes at every operation without running its workload again looks like this:
//
//   World world{{.seed = seed}};
//   Oracle oracle;                                     // what was acknowledged, what was only
//   asked world.on_operation([&](const Operation& at) {      // before it takes effect
//       for (const Cut cut : kCuts) {
//           Rng rng{seed ^ at.number};
//           World after{{.seed = rng.next(), .phase = "recovery"}, world.image(cut, rng)};
//           auto engine = recovery::open(after.files(), after.io(), after.clock());
//           check(engine, oracle, cut);                // promises of this cut
//           tally.count(world.phase(), at.kind);
//       }
//   });
//   auto engine = recovery::open(world.files(), world.io(), world.clock());
//   world.phase("rotate");
//   workload(engine, oracle);                          // io.turn(true) lets time pass
//
// To crash inside recovery too, `after` gets a hook of its own. To crash the very program and go on
// in the same world (sockets, clocks, faults live on):
//
//   world.crash_at(k);
//   workload(*engine, oracle);                         // every call fails from operation k on
//   if (world.crashed()) {                             // is_crash(error) tells it from a fault
//       engine.reset();                                // harmless: its Files and Ios are dead
//       world.restart(Cut::random, rng);
//       engine = recovery::open(world.files(), world.io(), world.clock());
//   }
//
// Several reactors and background jobs: add_actor(each one's turn(false)), then
// run_until(condition). When a check fails, all worlds that live are printed (replay.hpp).
//
// With `threads`, several real threads may each own one Io of one Process: operations take effect
// in submission order within turn(), under one lock; hooks, crash_at and step() are for the other
// mode. Engine objects must go before their World.

#include <array>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/clock.hpp"
#include "io/files.hpp"
#include "io/io.hpp"
#include "tests/sim/clock.hpp"
#include "tests/sim/disk.hpp"
#include "tests/sim/net.hpp"
#include "tests/sim/operation.hpp"
#include "tests/sim/process.hpp"
#include "tests/sim/rng.hpp"

namespace firnlog::sim {

struct Span {
    std::int64_t us_min = 0;
    std::int64_t us_max = 0;
};

// How long things take; the seed draws from each span.
struct Pace {
    Span read{5, 200};
    Span write{20, 300};
    Span sync{100, 2000};
    Span slow{20'000, 400'000};  // one in `slow_percent` writes and syncs
    unsigned slow_percent = 1;
    Span blocking{5, 100};
    Span net{1, 300};
    Span turn{1, 20};
};

struct Options {
    std::uint64_t seed = 1;
    bool threads = false;
    bool direct = true;               // false: O_DIRECT is left out silently
    unsigned resident_percent = 100;  // of the answers of Mapping::resident
    std::size_t trace_lines = 64;
    std::string phase = "start";
    Pace pace = {};
};

// A numbered operation that is about to take effect, and what is to go wrong with it.
struct Begun {
    Operation operation;
    bool crashed = false;
    bool is_short = false;
    int error = 0;
    Landed landed = Landed::seed;
};

class World {
  public:
    explicit World(Options options, Disk disk = {});
    World(const World&) = delete;
    World& operator=(const World&) = delete;
    ~World();

    // The program under test; the first process is made when first asked for.
    [[nodiscard]] Process& process();
    [[nodiscard]] io::Files& files() { return process().files(); }
    [[nodiscard]] io::Io& io(std::size_t index = 0) { return process().io(index); }
    Process& start();  // a further process beside the others: a second server, a reader
    [[nodiscard]] Clock& clock() noexcept { return clock_; }
    [[nodiscard]] Net& net() noexcept { return net_; }
    [[nodiscard]] Disk& disk() noexcept { return disk_; }
    [[nodiscard]] const Options& options() const noexcept { return options_; }
    [[nodiscard]] Pace& pace() noexcept { return options_.pace; }
    void resident_percent(unsigned percent) noexcept { options_.resident_percent = percent; }

    // What happens next. step(): one event, or one call of an actor, as the seed decides; false if
    // nothing can happen. An actor returns whether it did something.
    void add_actor(std::function<bool()> actor) { actors_.push_back(std::move(actor)); }
    void drop_actors() { actors_.clear(); }
    bool step();
    // True once `condition` holds; false if the world crashed, came to rest, or took too many
    // steps.
    bool run_until(const std::function<bool()>& condition, std::uint64_t steps_max = 1'000'000);
    // Lets the backstage (disk, network, timers) go on for so long.
    void pass(std::int64_t us);

    // Faults strike from now on; heal() takes back all of them.
    void fail(Fault fault);
    void heal();
    [[nodiscard]] std::uint64_t faults_struck() const noexcept { return faults_struck_; }

    // Crashes. Operation `number` and all behind it do not happen; 0: never.
    void crash_at(std::uint64_t number) noexcept { crash_at_ = number; }
    void crash_now();
    [[nodiscard]] bool crashed() const noexcept { return crashed_; }
    [[nodiscard]] const Operation& crash_point() const noexcept { return crash_point_; }
    // The disk that a crash of all processes at this moment would leave.
    [[nodiscard]] Disk image(Cut cut, Rng& rng) const;
    // Ends all processes, makes the disk that image() tells, starts the next process. Faults stay.
    Process& restart(Cut cut, Rng& rng);
    // Called before each operation takes effect.
    void on_operation(std::function<void(const Operation&)> hook) { hook_ = std::move(hook); }

    // Bookkeeping.
    void phase(std::string_view name);
    [[nodiscard]] const std::string& phase() const noexcept { return phases_[phase_]; }
    [[nodiscard]] const std::vector<std::string>& phases() const noexcept { return phases_; }
    [[nodiscard]] std::uint64_t operations() const noexcept { return operations_; }
    [[nodiscard]] Tally tally() const;
    [[nodiscard]] const Trace& trace() const noexcept { return trace_; }
    // What it is, and its newest events: those before its last restart, those since, and the
    // operation that the hook is being told of.
    void print(std::FILE* to) const;
    // All there are, in the order of their making.
    [[nodiscard]] static std::vector<const World*> living();

    // For Files, Io, Net and Process, which hold the guard.
    [[nodiscard]] std::unique_lock<std::mutex> guard();
    [[nodiscard]] Begun begin(Kind kind, std::string_view file, std::uint64_t offset = 0,
                              std::uint64_t length = 0);
    void note(const char* what, const Operation& operation, std::int64_t result);
    [[nodiscard]] static tl::unexpected<Error> fail_crashed();
    // How many bytes of a failing write land.
    [[nodiscard]] std::uint64_t landing(Landed landed, int error, bool is_short,
                                        std::uint64_t length);
    void block();      // a blocking operation takes its while
    void take_turn();  // so does a turn
    void schedule(Op& op, std::int64_t us);
    void schedule(Connection& connection);
    void schedule(Listener& listener);
    [[nodiscard]] std::int64_t later(const Span& span, bool may_be_slow = false);
    bool pump_one();
    void pump_due();
    void notify() { woken_.notify_all(); }
    void sleep(std::unique_lock<std::mutex>& hold);  // threads: until something may have happened
    bool idle_for_ever();                            // told once per fruitless wait
    [[nodiscard]] Rng& rng() noexcept { return rng_; }
    [[nodiscard]] int add_descriptor(Descriptor descriptor);
    [[nodiscard]] Descriptor* descriptor(int fd, const Process& owner);
    void close_descriptor(Descriptor& descriptor);
    void close_all(const Process& owner);
    [[nodiscard]] const std::shared_ptr<LockTable>& locks() const noexcept { return locks_; }
    void land(Disk& disk, const std::vector<Flying>& flying, Rng& rng) const;
    [[nodiscard]] std::vector<Flying> flying() const;

  private:
    enum class Event : std::uint8_t { op, connection, listener };
    struct Due {
        std::int64_t us = 0;
        std::uint64_t number = 0;
        Event event = Event::op;
        void* of = nullptr;
        std::uint64_t generation = 0;
        bool operator<(const Due& other) const noexcept {  // the heap's top is the earliest
            return us != other.us ? us > other.us : number > other.number;
        }
    };
    void schedule(Event event, void* of, std::uint64_t generation, std::int64_t us);
    void crash(const Operation& at);

    Options options_;
    Rng rng_;
    Disk disk_;
    Clock clock_;
    Net net_;
    mutable std::mutex lock_;  // taken with `threads` only
    std::condition_variable woken_;

    std::vector<std::unique_ptr<Process>> processes_;
    Process* current_ = nullptr;
    std::deque<Descriptor> descriptors_;  // by fd - kFirstFd; numbers are not used again
    // Shared with Lock objects: they may be released after a crash, or after the world is gone.
    std::shared_ptr<LockTable> locks_ = std::make_shared<LockTable>();
    std::vector<Due> events_;
    std::uint64_t events_made_ = 0;
    std::uint64_t idle_ = 0;
    std::vector<std::function<bool()>> actors_;

    std::vector<Fault> faults_;
    std::uint64_t faults_struck_ = 0;
    std::uint64_t crash_at_ = 0;
    bool crashed_ = false;
    Operation crash_point_;
    std::vector<Flying> flying_;  // at the moment of the crash: their memory may be gone later
    std::function<void(const Operation&)> hook_;
    std::optional<Operation> hooked_;  // the hook is being told of it

    std::vector<std::string> phases_;
    std::vector<std::array<std::uint64_t, kKinds>> counts_;  // by phase
    std::uint8_t phase_ = 0;
    std::uint64_t operations_ = 0;
    Trace trace_;
    std::optional<Trace> before_;  // as it was at the last restart
};

}  // namespace firnlog::sim
