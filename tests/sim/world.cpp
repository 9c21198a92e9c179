#include "tests/sim/world.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "io/base/ensure.hpp"
#include "tests/environment.hpp"
#include "tests/sim/io.hpp"

namespace firnlog::sim {

namespace {

constexpr int kFirstFd = 1000;  // a real system call on one of ours fails
constexpr std::uint64_t kIdleTurnsMax = 10'000;

// For who prints them all when something fails, and knows of none.
std::mutex living_lock;
std::vector<const World*> living_worlds;

}  // namespace

World::World(Options options, Disk disk)
    : options_(std::move(options)),
      rng_(options_.seed),
      disk_(std::move(disk)),
      clock_(rng_.fork(1), options_.threads),
      net_(*this, rng_.fork(2)),
      trace_(options_.trace_lines) {
    phase(options_.phase);
    const std::lock_guard hold{living_lock};
    living_worlds.push_back(this);
}

World::~World() {
    const std::lock_guard hold{living_lock};
    std::erase(living_worlds, this);
}

std::unique_lock<std::mutex> World::guard() {
    return options_.threads ? std::unique_lock{lock_} : std::unique_lock{lock_, std::defer_lock};
}

Process& World::process() {
    {
        const auto hold = guard();
        if (current_ != nullptr) return *current_;
    }
    return start();
}

Process& World::start() {
    const auto hold = guard();
    const auto id = static_cast<std::uint32_t>(processes_.size() + 1);
    processes_.push_back(std::make_unique<Process>(*this, id));
    if (current_ == nullptr || !current_->alive()) current_ = processes_.back().get();
    return *processes_.back();
}

void World::phase(std::string_view name) {
    const auto hold = guard();
    const auto at = std::ranges::find(phases_, name);
    phase_ = static_cast<std::uint8_t>(at - phases_.begin());
    if (at != phases_.end()) return;
    ensure(phases_.size() < 255, "few phases");
    phases_.emplace_back(name);
    counts_.emplace_back();
}

Tally World::tally() const {
    Tally tally;
    for (std::size_t p = 0; p < phases_.size(); ++p)
        for (std::size_t k = 0; k < kKinds; ++k)
            if (counts_[p][k] != 0) tally.count(phases_[p], static_cast<Kind>(k), counts_[p][k]);
    return tally;
}

void World::print(std::FILE* to) const {
    std::unique_lock<std::mutex> hold{lock_, std::defer_lock};
    if (options_.threads) hold.lock();
    std::fprintf(to, "seed %llu, phase \"%s\", %llu operations%s, trace %016llx\n",
                 static_cast<unsigned long long>(options_.seed), phases_[phase_].c_str(),
                 static_cast<unsigned long long>(operations_), crashed_ ? ", crashed" : "",
                 static_cast<unsigned long long>(trace_.digest()));
    Trace::print_heads(to);
    if (before_) before_->print(to, phases_);
    trace_.print(to, phases_, before_ ? before_->lines() : 0);
    if (hooked_)
        Trace::print_line(
            to, {.us = clock_.mono().us, .what = "next", .operation = *hooked_, .result = 0},
            phases_);
}

std::vector<const World*> World::living() {
    const std::lock_guard hold{living_lock};
    return living_worlds;
}

void World::note(const char* what, const Operation& operation, std::int64_t result) {
    trace_.add(clock_.mono().us, what, operation, result);
}

Begun World::begin(Kind kind, std::string_view file, std::uint64_t offset, std::uint64_t length) {
    Begun begun;
    Operation& operation = begun.operation;
    operation.number = ++operations_;
    operation.kind = kind;
    operation.phase = phase_;
    operation.offset = offset;
    operation.length = length;
    const std::size_t most = operation.file.size() - 1;
    const std::string_view tail = file.size() > most ? file.substr(file.size() - most) : file;
    std::ranges::copy(tail, operation.file.begin());
    ++counts_[phase_][static_cast<std::size_t>(kind)];
    if (hook_) {
        hooked_ = operation;
        hook_(operation);
        hooked_.reset();
    }
    if (operation.number == crash_at_) {
        crash(operation);
        begun.crashed = true;
        return begun;
    }
    for (Fault& fault : faults_) {
        if (!fault.any && fault.kind != kind) continue;
        if (!file.starts_with(fault.file)) continue;
        if (!fault.phase.empty() && fault.phase != phases_[phase_]) continue;
        ++fault.seen;
        if (fault.seen != fault.nth && !(fault.sticky && fault.seen > fault.nth)) continue;
        begun.error = fault.is_short ? 0 : fault.error;
        begun.is_short = fault.is_short;
        begun.landed = fault.landed;
        ++faults_struck_;
        note("fault", operation, fault.is_short ? 0 : -fault.error);
    }
    return begun;
}

std::uint64_t World::landing(Landed landed, int error, bool is_short, std::uint64_t length) {
    if (error == EINTR || error == EAGAIN || length == 0) return 0;
    if (is_short) return rng_.below(length);
    if (landed == Landed::seed) landed = static_cast<Landed>(rng_.between(1, 3));
    switch (landed) {
        case Landed::some:
            return rng_.below(length + 1);
        case Landed::all:
            return length;
        default:
            return 0;
    }
}

void World::crash(const Operation& at) {
    flying_ = flying();
    crashed_ = true;
    crash_point_ = at;
    note("crash", at, 0);
    notify();
}

void World::crash_now() {
    const auto hold = guard();
    if (!crashed_) crash({.number = operations_ + 1});
}

std::vector<Flying> World::flying() const {
    if (crashed_) return flying_;
    std::vector<Flying> flying;
    for (const auto& process : processes_) process->collect_flying(flying);
    return flying;
}

void World::land(Disk& disk, const std::vector<Flying>& flying, Rng& rng) const {
    for (const Flying& write : flying) {
        const InodeRef file = disk.by_id(write.inode);
        if (file == nullptr) continue;
        std::uint64_t length = write.bytes.size();
        switch (rng.below(3)) {
            case 0:
                length = 0;
                break;
            case 1:  // the page cache is filled page by page
                length = std::min(length, rng.below(length / kBlockBytes + 1) * kBlockBytes);
                break;
            default:
                break;
        }
        const Bytes bytes{write.bytes};
        std::uint64_t done = 0;
        disk.write(*file, write.offset, {&bytes, 1}, length, done);
    }
}

Disk World::image(Cut cut, Rng& rng) const {
    if (cut != Cut::kill) return disk_.after_cut(cut, flying(), rng);
    Disk copy = disk_.copy();
    land(copy, flying(), rng);
    return copy;
}

Process& World::restart(Cut cut, Rng& rng) {
    {
        const auto hold = guard();
        before_ = trace_;
        ++under_way.crashes;
        if (cut == Cut::kill)
            land(disk_, flying(), rng);
        else
            disk_ = disk_.after_cut(cut, flying(), rng);
        for (const auto& process : processes_)
            if (process->alive()) process->die();
        crashed_ = false;
        crash_at_ = 0;
        flying_.clear();
        actors_.clear();
        if (cut != Cut::kill)
            clock_.reboot(static_cast<std::int64_t>(rng_.between(1'000'000, 60'000'000)),
                          static_cast<std::int64_t>(rng_.between(10'000'000, 600'000'000)));
        events_.clear();
        net_.rebooted();
        note(cut == Cut::kill ? "restart" : "reboot", {}, static_cast<std::int64_t>(cut));
    }
    return start();
}

void World::fail(Fault fault) {
    const auto hold = guard();
    ensure(fault.nth > 0, "operations are counted from 1");
    fault.seen = 0;
    faults_.push_back(std::move(fault));
}

void World::heal() {
    const auto hold = guard();
    faults_.clear();
}

std::int64_t World::later(const Span& span, bool may_be_slow) {
    if (options_.threads) return clock_.mono().us;
    const Span& from =
        may_be_slow && rng_.chance(options_.pace.slow_percent) ? options_.pace.slow : span;
    return clock_.mono().us +
           static_cast<std::int64_t>(rng_.between(static_cast<std::uint64_t>(from.us_min),
                                                  static_cast<std::uint64_t>(from.us_max)));
}

void World::schedule(Event event, void* of, std::uint64_t generation, std::int64_t us) {
    events_.push_back(
        {.us = us, .number = ++events_made_, .event = event, .of = of, .generation = generation});
    std::push_heap(events_.begin(), events_.end());
    notify();
}

void World::schedule(Op& op, std::int64_t us) { schedule(Event::op, &op, op.generation, us); }

void World::schedule(Connection& connection) {
    schedule(Event::connection, &connection, 0, later(options_.pace.net));
}

void World::schedule(Listener& listener) {
    schedule(Event::listener, &listener, 0, later(options_.pace.net));
}

bool World::pump_one() {
    while (!events_.empty() && !crashed_) {
        std::pop_heap(events_.begin(), events_.end());
        const Due due = events_.back();
        events_.pop_back();
        Op* const op = due.event == Event::op ? static_cast<Op*>(due.of) : nullptr;
        if (op != nullptr && op->generation != due.generation) continue;
        clock_.advance_to(due.us);
        idle_ = 0;
        switch (due.event) {
            case Event::op:
                op->io->execute(*op);
                break;
            case Event::connection:
                net_.tick(*static_cast<Connection*>(due.of));
                break;
            case Event::listener:
                net_.tick(*static_cast<Listener*>(due.of));
                break;
        }
        return true;
    }
    return false;
}

void World::pump_due() {
    while (!events_.empty() && !crashed_ && events_.front().us <= clock_.mono().us) pump_one();
}

void World::take_turn() {
    if (!options_.threads) clock_.advance_to(later(options_.pace.turn));
    pump_due();
}

void World::block() {
    if (!options_.threads) clock_.advance_to(later(options_.pace.blocking));
    pump_due();
}

void World::sleep(std::unique_lock<std::mutex>& hold) {
    // Bounded, so that a thread that missed its call still goes on.
    std::int64_t us = 10'000;
    if (!events_.empty())
        us = std::clamp<std::int64_t>(events_.front().us - clock_.mono().us, 0, us);
    woken_.wait_for(hold, std::chrono::microseconds{us});
}

bool World::idle_for_ever() { return ++idle_ > kIdleTurnsMax; }

bool World::step() {
    ensure(!options_.threads, "with real threads nobody steps the world");
    if (crashed_) return false;
    const std::size_t first = rng_.below(actors_.size() + 1);
    for (std::size_t i = 0; i <= actors_.size(); ++i) {
        const std::size_t at = (first + i) % (actors_.size() + 1);
        if (at == actors_.size() ? pump_one() : actors_[at]()) return true;
        if (crashed_) return false;
    }
    return false;
}

bool World::run_until(const std::function<bool()>& condition, std::uint64_t steps_max) {
    for (std::uint64_t steps = 0; steps < steps_max; ++steps) {
        if (condition()) return true;
        if (!step()) return condition();
    }
    return false;
}

void World::pass(std::int64_t us) {
    const std::int64_t end = clock_.mono().us + us;
    while (!events_.empty() && !crashed_ && events_.front().us <= end) pump_one();
    clock_.advance_to(end);
}

int World::add_descriptor(Descriptor descriptor) {
    descriptors_.push_back(std::move(descriptor));
    return kFirstFd + static_cast<int>(descriptors_.size()) - 1;
}

Descriptor* World::descriptor(int fd, const Process& owner) {
    const std::size_t index = static_cast<std::size_t>(fd) - kFirstFd;
    if (fd < kFirstFd || index >= descriptors_.size()) return nullptr;
    Descriptor& descriptor = descriptors_[index];
    return descriptor.what == Descriptor::What::closed || descriptor.owner != &owner ? nullptr
                                                                                     : &descriptor;
}

void World::close_descriptor(Descriptor& descriptor) {
    if (descriptor.file != nullptr) --descriptor.file->opens;
    if (descriptor.connection != nullptr) net_.server_closes(*descriptor.connection);
    if (descriptor.listener != nullptr) net_.listener_closes(*descriptor.listener);
    descriptor = {};
}

void World::close_all(const Process& owner) {
    for (Descriptor& descriptor : descriptors_)
        if (descriptor.owner == &owner) close_descriptor(descriptor);
}

}  // namespace firnlog::sim
