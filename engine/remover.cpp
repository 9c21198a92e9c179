#include "engine/remover.hpp"

#include <algorithm>

#include "io/base/mutant.hpp"

namespace firnlog::engine {
namespace {

constexpr std::uint64_t kPieceBytes = std::uint64_t{1} << 20;
constexpr std::int64_t kPauseUs = 4'000;
// Who comes late gives back what was due meanwhile, up to so many pieces.
constexpr std::int64_t kLatePieces = 4;
// As many pieces at the most as are left to give: what comes faster goes faster.
constexpr std::uint64_t kPiecesMax = 256;
// Our own readers are through by then; who still has it open has it for long.
constexpr std::int64_t kOthersUsMax = 1'000'000;

}  // namespace

Result<void> Remover::remove(std::string_view name) {
    // A small one is not worth it; one that cannot be opened goes as it can.
    auto fd = files_.open(name, io::Open::write);
    const auto size = fd ? files_.size(*fd) : Result<std::uint64_t>(0);
    auto gone = files_.unlink(name);
    if (!fd) return gone;
    if (!gone || !size || *size <= kPieceBytes) {
        files_.close(*fd);
        return gone;
    }
    const auto now = clock_.mono();
    if (going_.empty()) next_ = now;
    going_.push_back({.fd = *fd, .bytes = *size, .since = now});
    bytes_ += *size;
    return gone;
}

bool Remover::step() {
    const auto now = clock_.mono();
    if (going_.empty() || now < next_) return false;
    const auto late = std::clamp((now.us - next_.us) / kPauseUs, std::int64_t{0}, kLatePieces - 1);
    const auto due = kPieceBytes * static_cast<std::uint64_t>(1 + late);
    next_ = now.after(kPauseUs);
    auto& first = going_.front();
    if (!files_.is_last(first.fd) && !planted("cuts_short_what_others_have")) {
        if (now >= first.since.after(kOthersUsMax)) {
            close_first();
        } else {
            going_.push_back(first);
            going_.pop_front();
        }
        return false;
    }
    const auto bytes = std::min(first.bytes, std::max(due, bytes_ / kPiecesMax));
    const auto left = first.bytes - bytes;
    if (left == 0 || !files_.truncate(first.fd, left)) {
        close_first();
        return true;
    }
    first.bytes = left;
    bytes_ -= bytes;
    return true;
}

void Remover::hurry() {
    while (!going_.empty()) close_first();
}

void Remover::close_first() {
    files_.close(going_.front().fd);
    bytes_ -= going_.front().bytes;
    going_.pop_front();
}

}  // namespace firnlog::engine
