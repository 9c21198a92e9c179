#pragma once
// Io: the simulated ring. Operations are numbered and submitted by turn(), take effect one by one
// in the order the world's events come, and complete in a later turn.
//
//   start ──> started_ ──turn──> in flight ──event──> ready_ ──turn──> run
//
// A write takes effect all at once (memory is copied when its event comes) and only then counts as
// completed for a sync submitted later. A write with sync waits for the first part, then submits
// the second as an operation of its own.

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "io/io.hpp"
#include "tests/sim/operation.hpp"
#include "tests/sim/process.hpp"

namespace firnlog::sim {

class World;
struct Begun;

// An operation of an Io, from its start to its last completion.
struct Op {
    enum class What : std::uint8_t { accept, recv, send, read, write, fsync, timer, post };
    enum class State : std::uint8_t { free, started, flying, cancelling, syncing };
    What what = What::post;
    State state = State::free;
    bool sync = false;
    bool is_short = false;  // a fault of this operation
    int error = 0;          // likewise; struck by an event, as if it had succeeded so far
    Landed landed = Landed::seed;
    std::uint8_t piece_count = 0;
    int fd = -1;
    Io* io = nullptr;
    io::Completion* done = nullptr;
    std::uint64_t generation = 0;  // events of an earlier use are stale
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::uint64_t mark = 0;
    std::int64_t when_us = 0;
    std::array<Bytes, io::kWritePiecesMax> pieces{};
    MutableBytes into{};
    InodeRef file;
    Operation operation;
};

class Io final : public io::Io {
  public:
    Io(World& world, Process& process) : world_(world), process_(process) {}
    ~Io() override;

    void accept(int listener, io::Completion& done) override;
    void recv(int fd, io::Completion& done) override;
    [[nodiscard]] Bytes received() const noexcept override { return as_bytes(received_); }
    void send(int fd, Bytes bytes, io::Completion& done) override;
    void cancel(io::Completion& done) override;
    void close(int fd) override;
    void read(int fd, std::uint64_t offset, MutableBytes into, io::Completion& done) override;
    void write(const io::WritePlan& plan, bool sync, io::Completion& done) override;
    void fsync(int fd, io::Completion& done) override;
    void timer(io::MonoTime when, io::Completion& done) override;
    void post(io::Completion& done) override;
    Result<void> turn(bool wait) override;
    void look_before_sleep(std::int64_t) override {}  // sleeping costs nothing here
    [[nodiscard]] bool ready() const noexcept override;

    // For World, Net and Process; the world's guard is held.
    void execute(Op& op);
    // Completes `op`; it is gone unless `more`.
    void finish(Op& op, std::int64_t result, bool more = false, std::string bytes = {});
    void collect_flying(std::vector<Flying>& flying) const;
    void die();

  private:
    struct Ready {
        io::Completion* done = nullptr;
        std::int32_t result = 0;
        bool more = false;
        Operation operation;
        std::string bytes;
    };

    Op* start(Op::What what, int fd, io::Completion& done);
    void submit();
    bool submit(Op& op);
    void execute_read(Op& op);
    void execute_write(Op& op);
    void execute_fsync(Op& op);
    void release(Op& op);

    World& world_;
    Process& process_;
    std::deque<Op> ops_;  // never shrinks: events point into it
    std::vector<Op*> free_;
    std::vector<Op*> started_;
    std::deque<Ready> ready_;
    std::string received_;
    bool dead_ = false;
};

}  // namespace firnlog::sim
