#include "engine/log/supply.hpp"

#include <algorithm>
#include <chrono>

#include "engine/format/names.hpp"
#include "engine/format/segment.hpp"

namespace firnlog::engine {
namespace {
constexpr std::size_t kZerosBytes = std::size_t{1} << 20;
alignas(4096) const std::byte kZeros[kZerosBytes]{};
constexpr std::int64_t kRetryUs = 250'000;
constexpr std::size_t kSpareMax = 2;
// A segment costs its size twice, as zeros and when its map is loaded; so three bytes for each of
// the log's keep ahead of it.
constexpr std::uint64_t kBytesAByte = 3;
// A log that writes little, or nothing, is not disturbed by a piece now and then.
constexpr std::int64_t kPieceUsMax = 20'000;
constexpr std::int64_t kPacedWaitUs = 1'000;
// A sync of all zeros at once would make the log's own syncs wait for all of them.
constexpr std::uint64_t kSyncEveryBytes = std::uint64_t{4} << 20;
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

Supply::~Supply() { abandon(); }

bool Supply::work() {
    Segment* full = nullptr;
    bool wanted = false;
    {
        const std::lock_guard guard(mutex_);
        wanted = short_of_ready() && (!failure_ || clock_.mono() >= retry_at_);
        if (!sealing_ && !full_.empty()) {
            full = full_.front();
            full_.pop_front();
        }
    }
    if (full != nullptr) begin_sealing(*full);
    // A segment that somebody may wait for comes before the sealing of one that can be read.
    if (wanted && !making_) {
        if (auto begun = begin_making(); !begun) {
            made(begun);
            return true;
        }
    }
    if (!making_ && !sealing_) return false;
    if (!in_step()) return false;
    if (!making_) {
        seal_piece();
        return true;
    }
    if (auto piece = make_piece(); !piece)
        made(piece);
    else if (making_->done == next_bytes_)
        made(finish_making());
    return true;
}

// Whether the next piece may be moved now.
bool Supply::in_step() {
    const auto now = clock_.mono();
    const auto wrote = wrote_.load(std::memory_order_relaxed);
    credit_ = std::min(credit_ + (wrote - wrote_seen_) * kBytesAByte, options_.piece_bytes * 4);
    wrote_seen_ = wrote;
    bool waited_for = false;
    if (making_) {
        const std::lock_guard guard(mutex_);
        waited_for = ready_.empty() || ready_bytes_ < wanted_bytes_;
    }
    if (!waited_for && credit_ < options_.piece_bytes && now < last_piece_.after(kPieceUsMax))
        return false;
    credit_ -= std::min(credit_, options_.piece_bytes);
    last_piece_ = now;
    return true;
}

void Supply::wait(std::int64_t us_max) {
    std::unique_lock guard(mutex_);
    const bool paced = making_ || sealing_;
    if (stopping_ || (!paced && (!full_.empty() || (short_of_ready() && !failure_)))) return;
    wake_.wait_for(guard, std::chrono::microseconds(paced ? kPacedWaitUs : us_max));
}

void Supply::stop_waiting() {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
    wake_.notify_all();
}

Result<FileNumber> Supply::give_number() {
    if (next_file_ > kFileNumberMax)
        return fail(
            Error{.code = Code::no_space, .doing = "name a file: file numbers are used up"});
    return next_file_++;
}

Result<void> Supply::begin_making() {
    if (next_file_ > kFileNumberMax)
        return fail(
            Error{.code = Code::no_space, .doing = "make a segment: file numbers are used up"});
    Making making{
        .number = next_file_, .name = names::log_file(next_file_), .image = image_of(next_bytes_)};
    if (making.image == nullptr)
        return fail(Error{.code = Code::io, .error = ENOMEM, .doing = "make a segment"});
    auto fd = files_.open(making.name, io::Open::create, options_.direct);
    if (!fd) return fail(fd);
    making.fd = *fd;
    making_ = std::move(making);
    // It is taken from here on: a checkpoint may ask for one before this file is done.
    ++next_file_;
    return files_.allocate(*fd, next_bytes_);
}

Result<void> Supply::make_piece() {
    auto& making = *making_;
    const auto bytes = std::min({options_.piece_bytes, kZerosBytes, next_bytes_ - making.done});
    if (auto written = files_.write(making.fd, making.done, Bytes(kZeros).first(bytes)); !written)
        return written;
    const bool sync = making.done / kSyncEveryBytes != (making.done + bytes) / kSyncEveryBytes;
    making.done += bytes;
    {
        const std::lock_guard guard(mutex_);
        zeroed_bytes_ += bytes;
    }
    return sync ? files_.sync(making.fd) : Result<void>{};
}

Result<void> Supply::finish_making() {
    if (auto synced = files_.sync(making_->fd); !synced) return synced;
    if (auto named = files_.sync_dir(); !named) return named;
    auto segment = std::make_unique<Segment>(making_->number, Lsn{}, next_bytes_, making_->fd);
    segment->read_from(making_->image->data(), true);
    segment->image = std::move(making_->image);
    making_.reset();
    next_bytes_ = std::min(options_.bytes_max, next_bytes_ * 2);
    auto& added = segments_.add(std::move(segment));
    const std::lock_guard guard(mutex_);
    ready_.push_back(&added);
    ready_bytes_ += added.bytes - kSegmentHeaderBytes;
    return {};
}

// What came of making one: done, or failed.
void Supply::made(const Result<void>& result) {
    if (!result) {
        abandon_making();
        // A disk that has no room for a large one may have it for a small one.
        const bool is_full = result.error().code == Code::no_space;
        if (is_full && next_bytes_ > options_.bytes_first) {
            next_bytes_ = std::max(options_.bytes_first, next_bytes_ / 2);
            return;
        }
    }
    {
        const std::lock_guard guard(mutex_);
        if (result) {
            failure_.reset();
        } else {
            failure_ = result.error();
            retry_at_ = clock_.mono().after(kRetryUs);
        }
    }
    if (on_change) on_change();
}

void Supply::abandon() {
    sealing_.reset();
    abandon_making();
}

void Supply::abandon_making() {
    if (!making_) return;
    // Nothing names the file yet; whatever cannot be removed now is removed at the next start, and
    // its number is not used meanwhile. A number that comes back keeps a full disk, which is tried
    // again and again, from using them up.
    files_.close(making_->fd);
    const bool gone = files_.unlink(making_->name).has_value();
    if (gone && next_file_ == making_->number + 1) next_file_ = making_->number;
    making_.reset();
}

void Supply::begin_sealing(Segment& segment) {
    auto map = files_.map(segment.fd);
    // Readers stay in memory, and nothing is lost but the memory. So they do when somebody has cut
    // the file short: behind the end of a map there may be anything.
    if (!map || (*map)->bytes().size() < segment.bytes) return;
    sealing_ = Sealing{.segment = &segment, .map = std::move(*map)};
}

// Written around the page cache, a segment is in no memory but its image. Reading it with read(2)
// copies every byte once more, next to the reactors; a map is loaded without.
void Supply::seal_piece() {
    auto& sealing = *sealing_;
    const auto bytes = std::min(options_.piece_bytes, sealing.segment->end - sealing.done);
    if (!sealing.map->load(sealing.done, bytes)) {  // as above
        sealing_.reset();
        return;
    }
    sealing.done += bytes;
    if (sealing.done == sealing.segment->end) finish_sealing();
}

void Supply::finish_sealing() {
    auto& segment = *sealing_->segment;
    segment.map = std::move(sealing_->map);
    sealing_.reset();
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
