#include "engine/reserve.hpp"

#include <string>

#include "engine/format/names.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::engine {
namespace {
// In one call: where a file system has no other way to make room than to write, it takes a while.
constexpr std::uint64_t kPieceBytes = std::uint64_t{16} << 20;
constexpr std::uint64_t kBlock = 4096;
constexpr std::int64_t kRetryUs = 100'000;
}  // namespace

Reserve::~Reserve() {
    if (fd_ >= 0) files_.close(fd_);
}

Result<void> Reserve::release(io::Files& files) {
    auto gone = files.unlink(names::kReserve);
    if (!gone && gone.error().code == Code::missing) return {};
    return gone;
}

Result<void> Reserve::open() {
    auto fd = files_.open(names::kReserve, io::Open::write);
    if (!fd && fd.error().code == Code::missing)
        fd = files_.open(names::kReserve, io::Open::create);
    if (!fd) return fail(fd);
    const auto size = files_.size(*fd);
    // What an earlier process has left may have holes.
    auto done = size ? files_.allocate(*fd, *size) : Result<void>(fail(size));
    if (!done) {
        files_.close(*fd);
        return done;
    }
    fd_ = *fd;
    bytes_.store(*size, std::memory_order_relaxed);
    return {};
}

bool Reserve::refill(std::uint64_t spared) {
    if (missing() == 0) return false;
    if (clock_.mono() < retry_at_) return false;
    const auto failed = [&] {
        retry_at_ = clock_.mono().after(kRetryUs);
        return false;
    };
    if (fd_ < 0 && !open()) return failed();
    if (missing() == 0) return true;
    if (planted("reserve_stays_empty")) return failed();
    const auto free = files_.free_bytes();
    if (!free) return failed();
    // In part, too: a walk makes do with what there is.
    const auto there = *free - std::min(*free, spared);
    const auto piece = align_down(std::min({missing() + kBlock - 1, kPieceBytes, there}), kBlock);
    if (piece == 0) return failed();
    if (!files_.allocate(fd_, bytes() + piece)) {
        // Somebody was faster; how much of it was done nobody knows.
        (void)files_.truncate(fd_, bytes());
        return failed();
    }
    bytes_.fetch_add(piece, std::memory_order_relaxed);
    return true;
}

std::uint64_t Reserve::lend(std::uint64_t bytes) {
    const auto lent = std::min(align_up(bytes, kBlock), this->bytes());
    if (fd_ < 0 || lent == 0 || !files_.truncate(fd_, this->bytes() - lent)) return 0;
    bytes_.fetch_sub(lent, std::memory_order_relaxed);
    return lent;
}

}  // namespace firnlog::engine
