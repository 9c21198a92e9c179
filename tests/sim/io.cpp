#include "tests/sim/io.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>

#include "io/base/ensure.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::sim {

namespace {

bool aligned(std::uint64_t offset, Bytes piece) noexcept {
    return offset % kBlockBytes == 0 && piece.size() % kBlockBytes == 0 &&
           reinterpret_cast<std::uintptr_t>(piece.data()) % kBlockBytes == 0;
}

Kind kind_of(const Op& op) noexcept {
    switch (op.what) {
        case Op::What::accept:
            return Kind::accept;
        case Op::What::recv:
            return Kind::recv;
        case Op::What::send:
            return Kind::send;
        case Op::What::read:
            return Kind::read;
        case Op::What::write:
            return op.sync ? Kind::write_sync : Kind::write;
        default:
            return Kind::fsync;
    }
}

}  // namespace

Io::~Io() = default;

Op* Io::start(Op::What what, int fd, io::Completion& done) {
    if (dead_ || world_.crashed()) return nullptr;
    ensure(done.run != nullptr, "a completion says what to run");
    for (const Op& other : ops_)
        ensure(other.state == Op::State::free || other.done != &done,
               "a completion serves one operation at a time");
    if (free_.empty()) {
        ops_.emplace_back();
        free_.push_back(&ops_.back());
    }
    Op& op = *free_.back();
    free_.pop_back();
    op = {.what = what,
          .state = Op::State::started,
          .fd = fd,
          .io = this,
          .done = &done,
          .generation = op.generation};
    if (Descriptor* descriptor = world_.descriptor(fd, process_); descriptor != nullptr)
        ++descriptor->in_flight;
    if (what != Op::What::post) started_.push_back(&op);
    return &op;
}

void Io::release(Op& op) {
    if (Descriptor* descriptor = world_.descriptor(op.fd, process_); descriptor != nullptr) {
        --descriptor->in_flight;
        if (descriptor->listener != nullptr && descriptor->listener->accept == &op)
            descriptor->listener->accept = nullptr;
        if (descriptor->connection != nullptr) {
            if (descriptor->connection->recv == &op) descriptor->connection->recv = nullptr;
            if (descriptor->connection->send == &op) descriptor->connection->send = nullptr;
        }
    }
    op.state = Op::State::free;
    op.done = nullptr;
    op.file = nullptr;
    ++op.generation;
    free_.push_back(&op);
}

void Io::finish(Op& op, std::int64_t result, bool more, std::string bytes) {
    world_.note("done", op.operation, result);
    ready_.push_back({.done = op.done,
                      .result = static_cast<std::int32_t>(result),
                      .more = more,
                      .operation = op.operation,
                      .bytes = std::move(bytes)});
    if (!more) release(op);
    world_.notify();
}

void Io::accept(int listener, io::Completion& done) {
    const auto hold = world_.guard();
    start(Op::What::accept, listener, done);
}

void Io::recv(int fd, io::Completion& done) {
    const auto hold = world_.guard();
    start(Op::What::recv, fd, done);
}

void Io::send(int fd, Bytes bytes, io::Completion& done) {
    const auto hold = world_.guard();
    Op* const op = start(Op::What::send, fd, done);
    if (op == nullptr) return;
    op->pieces[0] = bytes;
    op->length = bytes.size();
}

void Io::read(int fd, std::uint64_t offset, MutableBytes into, io::Completion& done) {
    const auto hold = world_.guard();
    Op* const op = start(Op::What::read, fd, done);
    if (op == nullptr) return;
    op->offset = offset;
    op->length = into.size();
    op->into = into;
}

void Io::write(const io::WritePlan& plan, bool sync, io::Completion& done) {
    const auto hold = world_.guard();
    ensure(plan.pieces.size() <= io::kWritePiecesMax, "a write plan has few pieces");
    Op* const op = start(Op::What::write, plan.fd, done);
    if (op == nullptr) return;
    op->sync = sync;
    op->offset = plan.offset;
    for (const Bytes piece : plan.pieces) {
        op->pieces[op->piece_count++] = piece;
        op->length += piece.size();
    }
}

void Io::fsync(int fd, io::Completion& done) {
    const auto hold = world_.guard();
    start(Op::What::fsync, fd, done);
}

void Io::timer(io::MonoTime when, io::Completion& done) {
    const auto hold = world_.guard();
    if (Op* const op = start(Op::What::timer, -1, done); op != nullptr) op->when_us = when.us;
}

void Io::post(io::Completion& done) {
    const auto hold = world_.guard();
    Op* const op = start(Op::What::post, -1, done);
    if (op == nullptr) return;
    op->state = Op::State::flying;
    world_.schedule(*op, world_.later(world_.pace().turn));
    world_.notify();
}

void Io::cancel(io::Completion& done) {
    const auto hold = world_.guard();
    if (dead_ || world_.crashed()) return;
    const auto at = std::ranges::find_if(
        ops_, [&](const Op& op) { return op.state != Op::State::free && op.done == &done; });
    if (at == ops_.end()) return;
    switch (at->what) {
        case Op::What::accept:
        case Op::What::recv:
        case Op::What::send:
        case Op::What::timer:
            break;
        default:
            // The kernel cancels a file operation only before it begins, which nobody can rely on.
            if (at->state != Op::State::started) return;
    }
    if (at->state == Op::State::cancelling) return;
    const bool flying = at->state == Op::State::flying;
    at->state = Op::State::cancelling;
    if (!flying) return;  // submit() sees it
    ++at->generation;     // a timer's event is stale from here
    if (Descriptor* descriptor = world_.descriptor(at->fd, process_); descriptor != nullptr) {
        if (descriptor->listener != nullptr) descriptor->listener->accept = nullptr;
        if (descriptor->connection != nullptr && at->what == Op::What::recv)
            descriptor->connection->recv = nullptr;
        if (descriptor->connection != nullptr && at->what == Op::What::send)
            descriptor->connection->send = nullptr;
    }
    world_.schedule(*at, world_.later(world_.pace().turn));
}

void Io::close(int fd) {
    const auto hold = world_.guard();
    if (dead_ || world_.crashed()) return;
    Descriptor* const descriptor = world_.descriptor(fd, process_);
    ensure(descriptor != nullptr, "a descriptor is closed once");
    // But where a check failed amid a turn, and all is taken down.
    ensure(descriptor->in_flight == 0 || std::uncaught_exceptions() != 0,
           "nothing is in flight on a descriptor that is closed");
    world_.close_descriptor(*descriptor);
}

// False if the world crashed at it.
bool Io::submit(Op& op) {
    if (op.state == Op::State::cancelling) {
        world_.schedule(op, world_.later(world_.pace().turn));
        return true;
    }
    op.state = Op::State::flying;
    if (op.what == Op::What::timer) {
        world_.schedule(op, op.when_us);
        return true;
    }
    Descriptor* const descriptor = world_.descriptor(op.fd, process_);
    op.file = descriptor != nullptr ? descriptor->file : nullptr;
    const Begun begun =
        world_.begin(kind_of(op), op.file != nullptr ? std::string_view{op.file->name()} : "",
                     op.offset, op.length);
    if (begun.crashed) return false;
    op.operation = begun.operation;
    op.error = begun.error;
    op.is_short = begun.is_short;
    op.landed = begun.landed;
    world_.note("submit", op.operation, op.fd);

    const bool wants_socket = op.what == Op::What::recv || op.what == Op::What::send;
    int error = 0;
    if (descriptor == nullptr)
        error = EBADF;
    else if (op.what == Op::What::accept)
        error = descriptor->listener == nullptr ? EINVAL : 0;
    else if (wants_socket)
        error = descriptor->connection == nullptr ? ENOTSOCK : 0;
    else if (op.file == nullptr)
        error = EINVAL;
    else if (op.what == Op::What::write && !descriptor->writable)
        error = EBADF;
    else if (descriptor->direct && op.what == Op::What::read)
        error = aligned(op.offset, op.into) ? 0 : EINVAL;
    else if (descriptor->direct && op.what == Op::What::write)
        for (std::size_t i = 0; i < op.piece_count; ++i)
            if (!aligned(op.offset, op.pieces[i])) error = EINVAL;
    if (error != 0) {
        finish(op, -error);
        return true;
    }
    switch (op.what) {
        case Op::What::accept:
            ensure(descriptor->listener->accept == nullptr, "one accept at a time");
            descriptor->listener->accept = &op;
            world_.net().kick(*descriptor->listener);
            break;
        case Op::What::recv:
            ensure(descriptor->connection->recv == nullptr, "one recv at a time");
            descriptor->connection->recv = &op;
            world_.net().kick(*descriptor->connection);
            break;
        case Op::What::send:
            ensure(descriptor->connection->send == nullptr, "one send at a time");
            descriptor->connection->send = &op;
            world_.net().kick(*descriptor->connection);
            break;
        case Op::What::read:
            world_.schedule(op, world_.later(world_.pace().read));
            break;
        case Op::What::write:
            world_.schedule(op, world_.later(world_.pace().write, true));
            break;
        default:
            op.mark = world_.disk().mark();
            world_.schedule(op, world_.later(world_.pace().sync, true));
            break;
    }
    return true;
}

void Io::submit() {
    std::vector<Op*> due;
    due.swap(started_);
    for (Op* op : due)
        if (world_.crashed() || !submit(*op)) return;
}

void Io::execute(Op& op) {
    if (op.state == Op::State::cancelling) {
        finish(op, -ECANCELED);
        return;
    }
    switch (op.what) {
        case Op::What::read:
            execute_read(op);
            break;
        case Op::What::write:
            if (op.state == Op::State::syncing)
                execute_fsync(op);
            else
                execute_write(op);
            break;
        case Op::What::fsync:
            execute_fsync(op);
            break;
        default:
            finish(op, 0);
            break;
    }
}

void Io::execute_read(Op& op) {
    if (op.error != 0 && !op.is_short) {
        finish(op, -op.error);
        return;
    }
    if (op.file->spoilt(op.offset, op.length)) {
        finish(op, -EIO);
        return;
    }
    std::size_t count = op.file->read(op.offset, op.into);
    if (op.is_short && count != 0) count = world_.rng().below(count);
    finish(op, static_cast<std::int64_t>(count));
}

void Io::execute_write(Op& op) {
    const std::span<const Bytes> pieces = std::span{op.pieces}.first(op.piece_count);
    std::uint64_t done = 0;
    if (op.error != 0 || op.is_short) {
        const std::uint64_t length = world_.landing(op.landed, op.error, op.is_short, op.length);
        world_.disk().write(*op.file, op.offset, pieces, length, done);
        finish(op, op.is_short ? -EIO : -op.error);
        return;
    }
    const int error = world_.disk().write(*op.file, op.offset, pieces, op.length, done);
    if (error != 0) {
        finish(op, done != 0 ? -EIO : -error);
        return;
    }
    if (!op.sync) {
        finish(op, 0);
        return;
    }
    world_.note("written", op.operation, static_cast<std::int64_t>(op.length));
    op.mark = world_.disk().mark();
    const Begun begun = world_.begin(Kind::fsync, op.file->name(), op.offset, op.length);
    if (begun.crashed) return;
    op.operation = begun.operation;
    op.error = begun.error;
    op.landed = begun.landed;
    op.state = Op::State::syncing;
    world_.schedule(op, world_.later(world_.pace().sync, true));
}

void Io::execute_fsync(Op& op) {
    if (op.error == 0 && op.what == Op::What::write)
        op.file->sync_only(op.mark);
    else if (op.error == 0)
        op.file->sync(op.mark);
    else
        op.file->fail_sync(op.mark, op.landed, world_.rng());
    finish(op, -op.error);
}

void Io::collect_flying(std::vector<Flying>& flying) const {
    for (const Op& op : ops_) {
        if (op.what != Op::What::write || op.state != Op::State::flying || op.file == nullptr)
            continue;
        Flying write{.inode = op.file->id(), .offset = op.offset, .bytes = {}};
        for (std::size_t i = 0; i < op.piece_count; ++i)
            write.bytes.insert(write.bytes.end(), op.pieces[i].begin(), op.pieces[i].end());
        flying.push_back(std::move(write));
    }
}

void Io::die() {
    dead_ = true;
    for (Op& op : ops_)
        if (op.state != Op::State::free) release(op);
    started_.clear();
    ready_.clear();
    world_.notify();
}

Result<void> Io::turn(bool wait) {
    auto hold = world_.guard();
    const auto crashed = [&] { return dead_ || world_.crashed(); };
    if (crashed()) return world_.fail_crashed();
    submit();
    if (!crashed()) world_.take_turn();
    while (wait && ready_.empty() && !crashed()) {
        if (world_.options().threads) {
            world_.sleep(hold);
            world_.pump_due();
        } else if (!world_.pump_one()) {
            // Others may yet give it work, so this is a wake-up without cause; but not for ever.
            if (world_.idle_for_ever())
                return fail_errno("wait for a completion that will never come", EDEADLK);
            break;
        }
    }
    std::size_t due = ready_.size();
    if (due > 1 && world_.rng().chance(12)) due = world_.rng().between(1, due);
    for (; due > 0 && !ready_.empty() && !crashed(); --due) {
        const Ready ready = std::move(ready_.front());
        ready_.pop_front();
        received_ = ready.bytes;
        if (hold.owns_lock()) hold.unlock();
        ready.done->run(*ready.done, ready.result, ready.more);
        if (world_.options().threads) hold.lock();
    }
    received_.clear();
    if (crashed()) return world_.fail_crashed();
    return {};
}

bool Io::ready() const noexcept {
    const auto hold = world_.guard();
    return !ready_.empty();
}

}  // namespace firnlog::sim
