#include "engine/log/supply.hpp"

#include <algorithm>
#include <chrono>

#include "engine/format/names.hpp"
#include "engine/format/segment.hpp"

namespace firnlog::engine {
namespace {
constexpr std::size_t kZeroPiece = std::size_t{1} << 20;
alignas(4096) const std::byte kZeros[kZeroPiece]{};
constexpr std::int64_t kRetryUs = 250'000;
constexpr std::size_t kPreread = std::size_t{1} << 20;
constexpr std::size_t kSpareMax = 2;
}  // namespace

Supply::Supply(io::Files& files, io::Clock& clock, Segments& segments, FileNumber next_file,
               SupplyOptions options, Retire retire)
    : files_(files),
      clock_(clock),
      segments_(segments),
      options_(options),
      retire_(std::move(retire)),
      next_file_(next_file),
      next_bytes_(options.bytes_first) {}

bool Supply::short_of_ready() const {
    return ready_.size() < options_.ready || ready_bytes_ < wanted_bytes_;
}

bool Supply::work() {
    Segment* full = nullptr;
    bool wanted = false;
    {
        const std::lock_guard guard(mutex_);
        wanted = short_of_ready() && (!failure_ || clock_.mono() >= retry_at_);
        // A segment that somebody may wait for comes before the sealing of one that can be read.
        if (!wanted && !full_.empty()) {
            full = full_.front();
            full_.pop_front();
        }
    }
    if (full != nullptr) {
        seal_now(*full);
        return true;
    }
    if (!wanted) return false;
    auto made = make();
    {
        const std::lock_guard guard(mutex_);
        if (made) {
            ready_.push_back(*made);
            ready_bytes_ += (*made)->bytes - kSegmentHeaderBytes;
            failure_.reset();
        } else {
            failure_ = made.error();
            retry_at_ = clock_.mono().after(kRetryUs);
        }
    }
    if (on_change) on_change();
    return true;
}

void Supply::wait(std::int64_t us_max) {
    std::unique_lock guard(mutex_);
    if (stopping_ || !full_.empty() || (short_of_ready() && !failure_)) return;
    wake_.wait_for(guard, std::chrono::microseconds(us_max));
}

void Supply::stop_waiting() {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
    wake_.notify_all();
}

Result<Segment*> Supply::make() {
    if (next_file_ > kFileNumberMax)
        return fail(
            Error{.code = Code::no_space, .doing = "make a segment: file numbers are used up"});
    for (;; next_bytes_ = std::max(options_.bytes_first, next_bytes_ / 2)) {
        auto made = make(next_bytes_);
        const bool is_full = !made && made.error().code == Code::no_space;
        // A disk that has no room for a large one may have it for a small one.
        if (!is_full || next_bytes_ <= options_.bytes_first) return made;
    }
}

Result<Segment*> Supply::make(std::uint64_t bytes) {
    auto image = image_of(bytes);
    if (image == nullptr)
        return fail(Error{.code = Code::io, .error = ENOMEM, .doing = "make a segment"});
    const auto name = names::log_file(next_file_);
    auto fd = files_.open(name, io::Open::create, options_.direct);
    if (!fd) return fail(fd);
    const auto filled = fill(*fd, bytes);
    if (!filled) {
        // Nothing names the file yet; whatever cannot be removed now is removed at the next start.
        files_.close(*fd);
        (void)files_.unlink(name);
        return fail(filled);
    }
    auto segment = std::make_unique<Segment>(next_file_, Lsn{}, bytes, *fd);
    segment->read_from(image->data(), true);
    segment->image = std::move(image);
    ++next_file_;
    next_bytes_ = std::min(options_.bytes_max, bytes * 2);
    return &segments_.add(std::move(segment));
}

Result<void> Supply::fill(int fd, std::uint64_t bytes) {
    if (auto allocated = files_.allocate(fd, bytes); !allocated) return allocated;
    if (options_.zero_ahead) {
        for (std::uint64_t at = 0; at < bytes; at += kZeroPiece) {
            const auto piece = Bytes(kZeros).first(std::min<std::uint64_t>(kZeroPiece, bytes - at));
            if (auto written = files_.write(fd, at, piece); !written) return written;
        }
        const std::lock_guard guard(mutex_);
        zeroed_bytes_ += bytes;
    }
    if (auto synced = files_.sync(fd); !synced) return synced;
    return files_.sync_dir();
}

void Supply::seal_now(Segment& segment) {
    if (files_.is_direct(segment.fd)) {
        // Written around the page cache: bring it in before readers are sent to the map.
        const auto name = names::log_file(segment.number);
        if (auto fd = files_.open(name, io::Open::read)) {
            std::vector<std::byte> piece(kPreread);
            for (std::uint64_t at = 0; at < segment.end; at += kPreread)
                if (!files_.read(*fd, at, piece)) break;
            files_.close(*fd);
        }
    }
    auto map = files_.map(segment.fd);
    // Readers stay in memory, and nothing is lost but the memory. So they do when somebody has cut
    // the file short: behind the end of a map there may be anything.
    if (!map || (*map)->bytes().size() < segment.bytes) return;
    segment.map = std::move(*map);
    segment.read_from(segment.map->bytes().data(), false);
    retire_([this, &segment] {
        const std::lock_guard guard(mutex_);
        if (spare_.size() < kSpareMax) spare_.push_back(std::move(segment.image));
        segment.image.reset();
    });
}

std::unique_ptr<Image> Supply::image_of(std::uint64_t bytes) {
    {
        const std::lock_guard guard(mutex_);
        for (auto& image : spare_) {
            if (image->size() != bytes) continue;
            std::swap(image, spare_.back());
            auto found = std::move(spare_.back());
            spare_.pop_back();
            return found;
        }
        spare_.clear();
    }
    return Image::make(bytes);
}

Segment* Supply::take() {
    const std::lock_guard guard(mutex_);
    if (ready_.empty()) return nullptr;
    auto* segment = ready_.front();
    ready_.pop_front();
    ready_bytes_ -= segment->bytes - kSegmentHeaderBytes;
    wanted_bytes_ = 0;
    wake_.notify_one();
    return segment;
}

void Supply::want(std::uint64_t bytes) {
    const std::lock_guard guard(mutex_);
    wanted_bytes_ = std::max(wanted_bytes_, bytes);
    wake_.notify_one();
}

void Supply::seal(Segment& segment) {
    const std::lock_guard guard(mutex_);
    full_.push_back(&segment);
    wake_.notify_one();
}

Supply::Ready Supply::ready() const {
    const std::lock_guard guard(mutex_);
    Ready ready{.bytes = ready_bytes_, .count = ready_.size(), .failing = failure_.has_value()};
    if (!ready_.empty()) ready.last_bytes = ready_.back()->bytes - kSegmentHeaderBytes;
    return ready;
}

std::optional<Error> Supply::failure() const {
    const std::lock_guard guard(mutex_);
    return failure_;
}

std::uint64_t Supply::zeroed_bytes() const {
    const std::lock_guard guard(mutex_);
    return zeroed_bytes_;
}

FileNumber Supply::next_file() const { return next_file_; }

}  // namespace firnlog::engine
