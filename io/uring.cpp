#include "io/uring.hpp"

#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <thread>

#include "io/base/ensure.hpp"
#include "io/base/memory.hpp"
#include "io/grace.hpp"
#include "io/mailbox.hpp"
#include "io/uring_op.hpp"

namespace firnlog::io {
namespace {

// What comes back in a completion's user_data says whose it is:
//
//   a Completion's address      send and fsync: nothing is kept about them here
//   an Op's address | kOpBit    the rest
//   kIgnored, kWake             our own
//
// Completions are 8-aligned and Ops 64-aligned, which leaves the low bits free.
constexpr std::uint64_t kOpBit = 1;
constexpr std::uint64_t kIgnored = 0;
constexpr std::uint64_t kWake = 4;
static_assert(alignof(Completion) > kWake);

constexpr unsigned kSubmissionsMin = 64;
constexpr int kBufferGroup = 0;
// The kernel moves less than 2 GiB at once; a send of more is simply short.
constexpr std::size_t kBytesMax = std::size_t{1} << 30;
// A file's end is the only place where a read stops that is no multiple of a sector.
constexpr std::uint64_t kSectorBytes = 512;

// The buffers that multishot receives pick from: the kernel takes them at the head of a ring that
// both share, we put them back at its tail as soon as their bytes have been handled.
class RecvBuffers {
  public:
    RecvBuffers() = default;
    RecvBuffers(const RecvBuffers&) = delete;
    RecvBuffers& operator=(const RecvBuffers&) = delete;
    ~RecvBuffers() {
        if (memory_ != nullptr) ::munmap(memory_, ring_bytes() + std::size_t{count_} * bytes_);
    }

    Result<void> make(io_uring& ring, unsigned count, unsigned bytes) {
        count_ = count;
        bytes_ = bytes;
        const std::size_t size = ring_bytes() + std::size_t{count} * bytes;
        void* const at = map_memory(size);
        if (at == nullptr) return fail_errno("make memory for what is received", ENOMEM);
        memory_ = static_cast<std::byte*>(at);
        shared_ = static_cast<io_uring_buf_ring*>(at);
        io_uring_buf_reg reg{};
        reg.ring_addr = std::bit_cast<std::uintptr_t>(at);
        reg.ring_entries = count;
        reg.bgid = kBufferGroup;
        if (const int rc = io_uring_register_buf_ring(&ring, &reg, 0); rc < 0)
            return fail_errno("register the receive buffers", -rc);
        io_uring_buf_ring_init(shared_);
        for (unsigned id = 0; id < count; ++id) give_back(id);
        return {};
    }

    [[nodiscard]] Bytes bytes(unsigned id, std::size_t length) const {
        return {memory_ + ring_bytes() + std::size_t{id} * bytes_, length};
    }

    void give_back(unsigned id) {
        io_uring_buf_ring_add(shared_, memory_ + ring_bytes() + std::size_t{id} * bytes_, bytes_,
                              static_cast<unsigned short>(id), io_uring_buf_ring_mask(count_), 0);
        io_uring_buf_ring_advance(shared_, 1);
    }

  private:
    [[nodiscard]] std::size_t ring_bytes() const {
        return align_up(std::size_t{count_} * sizeof(io_uring_buf), std::size_t{4096});
    }

    std::byte* memory_ = nullptr;
    io_uring_buf_ring* shared_ = nullptr;
    unsigned count_ = 0;
    unsigned bytes_ = 0;
};

class Uring final : public Io {
  public:
    explicit Uring(int wake_fd) : mailbox_(wake_fd) {}
    ~Uring() override;

    Result<void> make(const UringOptions& options);

    void accept(int listener, Completion& done) override {
        Op& op = ops_.add(done, Kind::accept);
        op.fd = listener;
        start_accept(op);
    }

    void recv(int fd, Completion& done) override {
        Op& op = ops_.add(done, Kind::recv);
        op.fd = fd;
        start_recv(op);
    }

    [[nodiscard]] Bytes received() const noexcept override { return received_; }

    void send(int fd, Bytes bytes, Completion& done) override {
        io_uring_sqe* const sqe = take_sqe(done);
        io_uring_prep_send(sqe, fd, bytes.data(), std::min(bytes.size(), kBytesMax), MSG_NOSIGNAL);
    }

    void cancel(Completion& done) override;

    void close(int fd) override { ::close(fd); }

    void read(int fd, std::uint64_t offset, MutableBytes into, Completion& done) override;
    void write(const WritePlan& plan, bool sync, Completion& done) override;

    void fsync(int fd, Completion& done) override {
        io_uring_prep_fsync(take_sqe(done), fd, IORING_FSYNC_DATASYNC);
    }

    void timer(MonoTime when, Completion& done) override;
    void post(Completion& done) override { mailbox_.post(done); }
    Result<void> turn(bool wait) override;
    void look_before_sleep(std::int64_t us) override { look_us_ = us; }
    [[nodiscard]] bool ready() const noexcept override {
        return io_uring_cq_ready(&ring_) > 0 || kernel_has_more();
    }

  private:
    // What has happened and is not in the queue of completions yet: an enter brings it.
    [[nodiscard]] bool kernel_has_more() const noexcept {
        const unsigned flags = IO_URING_READ_ONCE(*ring_.sq.kflags);
        return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
    }
    io_uring_sqe* take_sqe(std::uint64_t user_data);
    io_uring_sqe* take_sqe(const Completion& done) {
        return take_sqe(std::bit_cast<std::uintptr_t>(&done));
    }
    io_uring_sqe* take_sqe(const Op& op) {
        return take_sqe(std::bit_cast<std::uintptr_t>(&op) | kOpBit);
    }
    void submit_now();

    void arm_wake();
    void start_accept(Op& op);
    void start_recv(Op& op);
    void start_read(Op& op);

    [[nodiscard]] Result<void> enter(bool wait);
    [[nodiscard]] bool look();
    void run_completed();
    void run_posted();
    void completed(const io_uring_cqe& cqe);
    void accepted(Op& op, std::int32_t result, bool more);
    void recv_completed(Op& op, const io_uring_cqe& cqe);
    void read_completed(Op& op, std::int32_t result);
    void finish(Op& op, std::int32_t result);
    void drop_completed();

    const std::thread::id owner_ = std::this_thread::get_id();
    Mailbox mailbox_;  // any thread

    // The rest belongs to the owner.
    Grace* grace_ = nullptr;
    Grace::Slot slot_;  // in grace_, if there is one
    std::int64_t look_us_ = 0;
    io_uring ring_{};
    bool made_ = false;
    bool in_turn_ = false;
    std::size_t in_flight_ = 0;  // submitted or to be, whose last completion has not come
    Bytes received_;
    OpTable ops_;
    RecvBuffers buffers_;
};

Result<void> Uring::make(const UringOptions& options) {
    if (!std::has_single_bit(options.buffers) || options.buffers > 32768)
        return fail(Error{.code = Code::usage, .doing = "count the receive buffers: 2^n <= 32768"});
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                   IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL |
                   IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    unsigned submissions = std::max(options.submissions, 2U);
    // The kernel wants no fewer completions.
    params.cq_entries = std::max(options.completions, submissions);
    int rc = io_uring_queue_init_params(submissions, &ring_, &params);
    // A low limit of locked memory makes the queues smaller, which costs speed alone.
    while (rc == -ENOMEM && submissions > kSubmissionsMin) {
        submissions /= 2;
        params = {.cq_entries = std::max(params.cq_entries / 2, submissions),
                  .flags = params.flags};
        rc = io_uring_queue_init_params(submissions, &ring_, &params);
    }
    if (rc < 0) return fail_errno("set up io_uring", -rc);
    made_ = true;
    if (options.grace != nullptr) {
        grace_ = options.grace;
        slot_ = grace_->enter();
    }
    // Saves looking the ring's descriptor up at each enter; without it all works as well.
    io_uring_register_ring_fd(&ring_);
    if (auto made = buffers_.make(ring_, options.buffers, options.buffer_bytes); !made)
        return fail(made);
    arm_wake();
    return {};
}

Uring::~Uring() {
    if (!made_) return;
    ensure(std::this_thread::get_id() == owner_, "an Io is destroyed by the thread that owns it");
    ensure(!in_turn_, "an Io is not destroyed in its own turn");
    // A pass may miss what is on its way between two queues of the kernel: cancel until all that
    // the kernel was given is back.
    while (in_flight_ > io_uring_sq_ready(&ring_)) {
        io_uring_prep_cancel64(take_sqe(kIgnored), 0,
                               IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
        __kernel_timespec patience{.tv_sec = 0, .tv_nsec = 10'000'000};
        const std::size_t before = in_flight_;
        io_uring_cqe* first = nullptr;
        const int rc = io_uring_submit_and_wait_timeout(
            &ring_, &first, static_cast<unsigned>(before), &patience, nullptr);
        ensure(rc >= 0 || rc == -ETIME || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY,
               "the ring takes its last cancels");
        drop_completed();
    }
    io_uring_queue_exit(&ring_);
}

// Starting.

io_uring_sqe* Uring::take_sqe(std::uint64_t user_data) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    while (sqe == nullptr) {
        submit_now();
        sqe = io_uring_get_sqe(&ring_);
    }
    // The prep functions leave user_data alone.
    sqe->user_data = user_data;
    ++in_flight_;
    return sqe;
}

// Hands the full queue to the kernel between turns. A kernel short of memory stalls us: an
// operation that was started is never dropped.
void Uring::submit_now() {
    const int rc = io_uring_submit(&ring_);
    if (rc > 0) return;
    ensure(rc == 0 || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY || rc == -ENOMEM,
           "the kernel takes what the ring holds");
    std::this_thread::yield();
}

void Uring::arm_wake() {
    io_uring_prep_poll_multishot(take_sqe(kWake), mailbox_.wake_fd(), POLLIN);
}

void Uring::start_accept(Op& op) {
    io_uring_prep_multishot_accept(take_sqe(op), op.fd, nullptr, nullptr,
                                   SOCK_NONBLOCK | SOCK_CLOEXEC);
}

void Uring::start_recv(Op& op) {
    io_uring_sqe* const sqe = take_sqe(op);
    io_uring_prep_recv_multishot(sqe, op.fd, nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = kBufferGroup;
}

void Uring::start_read(Op& op) {
    const auto got = static_cast<std::uint32_t>(op.result);
    io_uring_prep_read(take_sqe(op), op.fd, op.into + got, op.bytes - got, op.offset + got);
}

void Uring::read(int fd, std::uint64_t offset, MutableBytes into, Completion& done) {
    ensure(into.size() <= kBytesMax, "a read fits the kernel's count");
    Op& op = ops_.add(done, Kind::read);
    op.fd = fd;
    op.offset = offset;
    op.into = into.data();
    op.bytes = static_cast<std::uint32_t>(into.size());
    op.result = 0;
    start_read(op);
}

void Uring::write(const WritePlan& plan, bool sync, Completion& done) {
    ensure(!plan.pieces.empty() && plan.pieces.size() <= kWritePiecesMax,
           "a write has 1..8 pieces");
    Op& op = ops_.add(done, Kind::write);
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < plan.pieces.size(); ++i) {
        const Bytes piece = plan.pieces[i];
        // The kernel only reads them.
        op.pieces[i] = {const_cast<std::byte*>(piece.data()), piece.size()};
        bytes += piece.size();
    }
    ensure(bytes <= kBytesMax, "a write fits the kernel's count");
    op.fd = plan.fd;
    op.bytes = static_cast<std::uint32_t>(bytes);

    io_uring_sqe* const sqe = take_sqe(op);
    if (plan.pieces.size() == 1)
        io_uring_prep_write(sqe, plan.fd, op.pieces[0].iov_base, op.bytes, plan.offset);
    else
        io_uring_prep_writev(sqe, plan.fd, op.pieces, static_cast<unsigned>(plan.pieces.size()),
                             plan.offset);
    // The kernel syncs when the write has completed in full, in one operation: an fdatasync linked
    // behind the write would go to a thread of its own, and wake us once more in between.
    if (sync) sqe->rw_flags = RWF_DSYNC;
}

void Uring::timer(MonoTime when, Completion& done) {
    Op& op = ops_.add(done, Kind::timer);
    const std::int64_t us = std::max<std::int64_t>(when.us, 0);
    op.at = {.tv_sec = us / 1'000'000, .tv_nsec = us % 1'000'000 * 1000};
    io_uring_prep_timeout(take_sqe(op), &op.at, 0, IORING_TIMEOUT_ABS);
}

// A cancel stands behind what it cancels in the queue and before whatever reuses the same address,
// so that it never hits anything else.
void Uring::cancel(Completion& done) {
    Op* const op = ops_.find(done);
    if (op == nullptr) {
        io_uring_prep_cancel64(take_sqe(kIgnored), std::bit_cast<std::uintptr_t>(&done), 0);
        return;
    }
    op->cancelled = true;
    io_uring_prep_cancel64(take_sqe(kIgnored), std::bit_cast<std::uintptr_t>(op) | kOpBit, 0);
}

// The turn.

Result<void> Uring::turn(bool wait) {
    ensure(std::this_thread::get_id() == owner_, "an Io is turned by the thread that owns it");
    ensure(!in_turn_, "a turn does not run inside a turn");
    struct Turning {
        bool& turning;
        explicit Turning(bool& flag) : turning(flag) { turning = true; }
        ~Turning() { turning = false; }
    };
    const Turning turning(in_turn_);
    // Completions may wait already: an enter for want of room in the queue has brought them.
    if (wait && io_uring_cq_ready(&ring_) == 0 && mailbox_.fall_asleep()) {
        if (grace_ != nullptr) grace_->sleep(slot_);
        const auto entered = enter(true);
        if (grace_ != nullptr) grace_->wake(slot_);
        mailbox_.wake_up();
        if (!entered) return entered;
    } else {
        if (grace_ != nullptr) grace_->quiescent(slot_);
        const auto entered = enter(false);
        if (!entered) return entered;
    }
    run_completed();
    run_posted();
    return {};
}

Result<void> Uring::enter(bool wait) {
    int rc = 0;
    if (wait && (look_us_ == 0 || !look())) {
        rc = io_uring_submit_and_wait(&ring_, 1);
    } else {
        if (io_uring_sq_ready(&ring_) > 0 || kernel_has_more())
            rc = io_uring_submit_and_get_events(&ring_);
    }
    // A signal came, or the kernel was short of memory: what was not taken is offered again.
    if (rc >= 0 || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY) return {};
    return fail_errno("enter the ring", -rc);
}

// What has been started is submitted; true once something has come of it, or of what was under way.
bool Uring::look() {
    if (io_uring_sq_ready(&ring_) > 0 && io_uring_submit(&ring_) < 0) return false;
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(look_us_);
    while (!ready()) {
        if (std::chrono::steady_clock::now() > until) return false;
        for (int pauses = 0; pauses < 8; ++pauses) __builtin_ia32_pause();
    }
    return true;
}

// Runs what had completed when the turn began, so that a turn ends whatever its runs start.
void Uring::run_completed() {
    const unsigned end = io_uring_smp_load_acquire(ring_.cq.ktail);
    for (unsigned head = *ring_.cq.khead; head != end; ++head) {
        const io_uring_cqe cqe = ring_.cq.cqes[head & ring_.cq.ring_mask];
        if (head + 1 != end) {
            const auto next = ring_.cq.cqes[(head + 1) & ring_.cq.ring_mask].user_data;
            __builtin_prefetch(std::bit_cast<void*>(next & ~kOpBit));
        }
        io_uring_cq_advance(&ring_, 1);
        completed(cqe);
    }
}

void Uring::run_posted() {
    if (mailbox_.empty()) return;
    for (Completion* done = mailbox_.take(); done != nullptr;) {
        Completion* const next = done->next;
        done->run(*done, 0, false);
        done = next;
    }
}

void Uring::completed(const io_uring_cqe& cqe) {
    const bool more = (cqe.flags & IORING_CQE_F_MORE) != 0;
    if (!more) --in_flight_;
    if ((cqe.user_data & kOpBit) == 0) {
        if (cqe.user_data > kWake) {
            auto* const done = std::bit_cast<Completion*>(cqe.user_data);
            done->run(*done, cqe.res, false);
        } else if (cqe.user_data == kWake && !more) {
            arm_wake();
        }
        return;
    }
    Op& op = *std::bit_cast<Op*>(cqe.user_data & ~kOpBit);
    switch (op.kind) {
        case Kind::recv:
            return recv_completed(op, cqe);
        case Kind::accept:
            return accepted(op, cqe.res, more);
        case Kind::read:
            return read_completed(op, cqe.res);
        case Kind::write:
            if (cqe.res < 0) return finish(op, cqe.res);
            return finish(op, static_cast<std::uint32_t>(cqe.res) == op.bytes ? 0 : -EIO);
        case Kind::timer:
            return finish(op, cqe.res == -ETIME ? 0 : cqe.res);
    }
}

void Uring::accepted(Op& op, std::int32_t result, bool more) {
    if (result < 0) return finish(op, result);
    op.done->run(*op.done, result, true);
    if (more) return;
    if (op.cancelled) return finish(op, -ECANCELED);
    start_accept(op);
}

void Uring::recv_completed(Op& op, const io_uring_cqe& cqe) {
    const bool more = (cqe.flags & IORING_CQE_F_MORE) != 0;
    if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
        const unsigned id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
        if (cqe.res > 0) {
            received_ = buffers_.bytes(id, static_cast<std::size_t>(cqe.res));
            op.done->run(*op.done, cqe.res, true);
            received_ = {};
        }
        buffers_.give_back(id);
    }
    if (more) return;
    // The kernel ended it for want of a buffer, or of room for completions: the stream goes on.
    const bool goes_on = cqe.res > 0 || cqe.res == -ENOBUFS;
    if (!goes_on) return finish(op, cqe.res);
    if (op.cancelled) return finish(op, -ECANCELED);
    start_recv(op);
}

// Short reads are completed, so that a short result means the end of the file and nothing else: an
// error behind good bytes is reported as the error.
void Uring::read_completed(Op& op, std::int32_t result) {
    if (result > 0) {
        op.result += result;
        const auto got = static_cast<std::uint32_t>(op.result);
        const bool whole = got == op.bytes || (op.offset + got) % kSectorBytes != 0;
        if (whole) return finish(op, op.result);
    } else if (result == 0) {
        return finish(op, op.result);
    } else if (result != -EINTR) {
        return finish(op, result);
    }
    if (op.cancelled) return finish(op, -ECANCELED);
    start_read(op);
}

void Uring::finish(Op& op, std::int32_t result) {
    Completion& done = *op.done;
    // First, as `done` may start the next operation.
    ops_.remove(op);
    done.run(done, result, false);
}

// The destructor's way of completing: nobody is called, and a connection nobody will get is closed.
void Uring::drop_completed() {
    const unsigned end = io_uring_smp_load_acquire(ring_.cq.ktail);
    for (unsigned head = *ring_.cq.khead; head != end; ++head) {
        const io_uring_cqe& cqe = ring_.cq.cqes[head & ring_.cq.ring_mask];
        if ((cqe.flags & IORING_CQE_F_MORE) == 0) --in_flight_;
        if ((cqe.user_data & kOpBit) != 0 && cqe.res >= 0) {
            const Op& op = *std::bit_cast<Op*>(cqe.user_data & ~kOpBit);
            if (op.kind == Kind::accept) ::close(cqe.res);
        }
        io_uring_cq_advance(&ring_, 1);
    }
}

// What keeps us from a ring, in words an operator can act on.

[[nodiscard]] int uring_disabled_sysctl() {
    const int fd = ::open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    char level = '0';
    const bool known = ::read(fd, &level, 1) == 1;
    ::close(fd);
    return known ? level - '0' : 0;
}

[[nodiscard]] const char* what_is_in_the_way(int error) {
    switch (error) {
        case ENOSYS:
            return "use io_uring: this kernel has none or the container runtime hides it (Linux "
                   "6.1 "
                   "or newer is needed; gVisor has no io_uring)";
        case EPERM:
        case EACCES:
            switch (uring_disabled_sysctl()) {
                case 1:
                    return "use io_uring: sysctl kernel.io_uring_disabled is 1, which forbids it "
                           "to "
                           "this user; set it to 0, or put the user into the group named by "
                           "kernel.io_uring_group";
                case 2:
                    return "use io_uring: sysctl kernel.io_uring_disabled is 2, which forbids it "
                           "to "
                           "all; set it to 0";
                default:
                    return "use io_uring: it is forbidden here, as by Docker's default seccomp "
                           "profile; start the container with --security-opt seccomp=PROFILE, "
                           "where "
                           "PROFILE allows io_uring_setup, io_uring_enter and io_uring_register, "
                           "or "
                           "is 'unconfined'";
            }
        case EINVAL:
            return "use io_uring: this kernel's is too old, Linux 6.1 or newer is needed";
        case ENOMEM:
            return "use io_uring: no memory for a ring; raise the limit of locked memory "
                   "(LimitMEMLOCK, ulimit -l) or the container's memory";
        case EMFILE:
        case ENFILE:
            return "use io_uring: no descriptor left; raise the limit of open files (LimitNOFILE, "
                   "ulimit -n)";
        default:
            return "use io_uring";
    }
}

[[nodiscard]] tl::unexpected<Error> refused(Error error) {
    if (error.code != Code::usage) {
        error.code = Code::io;
        error.doing = what_is_in_the_way(error.error);
    }
    return fail(error);
}

}  // namespace

Result<std::unique_ptr<Io>> make_uring(UringOptions options) {
    const int wake_fd = ::eventfd(0, EFD_CLOEXEC);
    if (wake_fd < 0) return refused({.error = errno});
    auto ring = std::make_unique<Uring>(wake_fd);
    if (auto made = ring->make(options); !made) return refused(made.error());
    return ring;
}

Result<void> probe_uring() {
    // One turn shows that entering is allowed, too: a seccomp profile names three system calls.
    auto ring =
        make_uring({.submissions = 4, .completions = 8, .buffers = 1, .buffer_bytes = 4096});
    if (!ring) return fail(ring);
    if (auto turned = (*ring)->turn(false); !turned) return refused(turned.error());
    return {};
}

}  // namespace firnlog::io
