#include "engine/log/spares.hpp"

#include "engine/format/names.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::engine {
namespace {

// A reader of a file that went may take a while; a backup by links keeps it for good.
constexpr std::int64_t kOthersUsMax = 5'000'000;

}  // namespace

std::string Spare::name() const { return names::spare_file(number); }

void Spares::bound(std::uint64_t bytes_max) {
    bytes_max_ = bytes_max;
    while (bytes_ > bytes_max_) {
        remove(spares_.back());
        spares_.pop_back();
    }
}

bool Spares::keep(FileNumber number, std::uint64_t bytes, Lsn end) {
    if (!fits(bytes)) return false;
    const Spare spare{.number = number, .bytes = bytes, .end = end, .since = clock_.mono()};
    if (!files_.rename(names::log_file(number), spare.name())) return false;
    spares_.push_back(spare);
    bytes_ += bytes;
    return true;
}

std::optional<Spares::Taken> Spares::take(Sizes bytes, bool direct) {
    const auto now = clock_.mono();
    for (auto at = spares_.begin(); at != spares_.end();) {
        if (at->bytes < bytes.min || at->bytes > bytes.max) {
            ++at;
            continue;
        }
        const auto spare = *at;
        const auto fd = files_.open(spare.name(), io::Open::write, direct);
        const auto size = fd ? files_.size(*fd) : Result<std::uint64_t>(fail(fd));
        const bool whole = size && *size == spare.bytes;
        if (whole && (files_.is_sole(*fd) || planted("recycles_what_is_shared"))) {
            spares_.erase(at);
            bytes_ -= spare.bytes;
            return Taken{.spare = spare, .fd = *fd};
        }
        if (fd) files_.close(*fd);
        if (whole && now < spare.since.after(kOthersUsMax)) {
            ++at;
            continue;
        }
        at = spares_.erase(at);
        remove(spare);
    }
    return {};
}

// What cannot be removed now a start removes.
void Spares::remove(const Spare& spare) {
    bytes_ -= spare.bytes;
    (void)remover_.remove(spare.name());
}

}  // namespace firnlog::engine
