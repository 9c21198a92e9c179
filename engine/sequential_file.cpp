#include "engine/sequential_file.hpp"

#include <algorithm>
#include <utility>

#include "io/base/ensure.hpp"

namespace firnlog::engine {
namespace {

constexpr std::size_t kWorthIt = std::size_t{256} << 10;
constexpr std::size_t kPiece = std::size_t{64} << 10;

}  // namespace

Result<void> SequentialFile::begin(std::string name, std::uint64_t from, std::uint64_t room) {
    ensure(fd_ < 0, "one file is written at a time");
    name_ = std::move(name);
    pending_.clear();
    written_ = from;
    room_ = room;
    auto fd = files_.open(name_, io::Open::create);
    if (!fd) return fail(fd);
    fd_ = *fd;
    return room_ == 0 ? Result<void>{} : files_.allocate(fd_, room_);
}

Result<void> SequentialFile::write_some() {
    return pending_.size() >= kWorthIt ? flush() : Result<void>{};
}

Result<void> SequentialFile::flush() {
    for (std::size_t at = 0; at < pending_.size(); at += kPiece) {
        const auto piece = Bytes(pending_).subspan(at, std::min(kPiece, pending_.size() - at));
        if (auto done = files_.write(fd_, written_, piece); !done) return done;
        if (auto done = files_.write_out(fd_, written_, piece.size()); !done) return done;
        written_ += piece.size();
    }
    pending_.clear();
    return {};
}

Result<void> SequentialFile::finish(Bytes head, bool synced) {
    if (auto done = flush(); !done) return done;
    if (!head.empty())
        if (auto done = files_.write(fd_, 0, head); !done) return done;
    if (room_ > written_)
        if (auto done = files_.truncate(fd_, written_); !done) return done;
    if (synced)
        if (auto done = files_.sync(fd_); !done) return done;
    close();
    return files_.sync_dir();
}

void SequentialFile::abandon() {
    close();
    pending_.clear();
    // What cannot be removed now nobody names: the next start removes it.
    (void)files_.unlink(name_);
}

void SequentialFile::close() {
    if (fd_ >= 0) files_.close(fd_);
    fd_ = -1;
}

}  // namespace firnlog::engine
