#include "engine/log/supply.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <new>

#include "engine/format/names.hpp"
#include "engine/format/segment.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::engine {
namespace {
constexpr std::size_t kZerosBytes = std::size_t{1} << 20;
alignas(4096) const std::byte kZeros[kZerosBytes]{};
// Within a second of space returning all of it is to be back: a reserve, a segment, a writer.
constexpr std::int64_t kRetryUs = 100'000;
constexpr std::size_t kSpareMax = 2;
// A segment costs its size twice, as zeros and when its map is loaded; so three bytes for each of
// the log's keep ahead of it.
constexpr std::uint64_t kBytesAByte = 3;
// A log that writes little, or nothing, is not disturbed by a piece now and then.
constexpr std::int64_t kPieceUsMax = 20'000;
constexpr std::int64_t kPacedWaitUs = 1'000;
// So many full segments may wait in memory; from there on they are sealed whatever the pace is.
constexpr std::size_t kFullMax = 2;
// A write into room without zeros costs a detour by a thread of the kernel, a sync a commit of the
// journal, a millisecond at most. Zeros cost about as much for so many bytes of each.
constexpr std::uint64_t kBulkWriteBytes = std::uint64_t{32} << 10;
constexpr std::uint64_t kBulkSyncBytes = std::uint64_t{1} << 20;
// So many more have to fit.
constexpr std::uint64_t kPlentySegments = 4;
// Less than that tells nothing of what is to come.
constexpr std::uint64_t kJudgedBytes = std::uint64_t{1} << 20;
}  // namespace

Supply::Supply(io::Files& files, io::Clock& clock, Segments& segments, Of log,
               SupplyOptions options, Retire retire)
    : remover(files, clock),
      files_(files),
      clock_(clock),
      segments_(segments),
      store_id_(log.store_id),
      options_(options),
      retire_(std::move(retire)),
      next_file_(log.next_file),
      next_bytes_(options.bytes_first),
      bytes_max_(options.bytes_max),
      spares_(files, clock, remover),
      kept_wanted_(options.kept_bytes) {}

// What somebody waits for comes first; on a full disk, what frees it (see growth_first).
Supply::Wanted Supply::wanted() const {
    const bool ready = ready_.size() < options_.ready || ready_bytes_ < wanted_bytes_;
    const bool kept = kept_bytes_ < kept_wanted_;
    if (ready && !failure_ && (ready_.empty() || ready_bytes_ < wanted_bytes_))
        return Wanted::ready;
    if (kept) return Wanted::kept;
    return ready ? Wanted::ready : Wanted::nothing;
}

std::uint64_t Supply::missing_kept() const {
    const std::lock_guard guard(mutex_);
    return kept_wanted_ - std::min(kept_wanted_, kept_bytes_);
}

void Supply::keep(std::uint64_t bytes) {
    const std::lock_guard guard(mutex_);
    kept_wanted_ = std::max(bytes, options_.kept_bytes);
}

void Supply::hope(bool is) {
    {
        const std::lock_guard guard(mutex_);
        if (hopeful_ == is) return;
        hopeful_ = is;
    }
    // Who waited without hope is to be told.
    if (!is && on_change) on_change();
}

void Supply::look_again() {
    const std::lock_guard guard(mutex_);
    if (!failure_) return;
    untried_ = true;
    retry_at_ = clock_.mono();
    wake_.notify_one();
}

Supply::~Supply() { abandon(); }

bool Supply::work() {
    Segment* full = nullptr;
    auto what = Wanted::nothing;
    const bool late = behind();
    {
        const std::lock_guard guard(mutex_);
        if (!failure_ || clock_.mono() >= retry_at_) what = wanted();
        if (!sealing_ && !full_.empty()) {
            full = full_.front();
            full_.pop_front();
        }
    }
    if (full != nullptr) begin_sealing(*full);
    (void)remover.step();
    // A segment that somebody may wait for comes before the sealing of one that can be read.
    if (what != Wanted::nothing && !making_) {
        if (what == Wanted::kept && growth_first()) what = Wanted::ready;
        if (auto begun = begin_making(what); !begun) {
            settle(begun, what);
            return true;
        }
        if (making_->done == making_->bytes) {
            settle(finish_making(), what);
            return true;
        }
    }
    if (!making_ && !sealing_) return false;
    if (!in_step() && !late) return false;
    // By turns then: whoever waits for a segment waits twice as long, and memory has an end.
    seals_next_ = late && !seals_next_;
    if (!making_ || (seals_next_ && sealing_)) {
        seal_piece();
        return true;
    }
    const auto made_what = making_->kept ? Wanted::kept : Wanted::ready;
    if (auto piece = make_piece(); !piece)
        settle(piece, made_what);
    else if (making_->done == making_->bytes)
        settle(finish_making(), made_what);
    return true;
}

bool Supply::behind() const {
    const std::lock_guard guard(mutex_);
    return full_.size() >= kFullMax;
}

// Space has come back, enough for all: those who were refused need not wait until the rest is made.
// But a file system may have less than it says.
bool Supply::growth_first() const {
    if (kept_first_) return false;
    {
        const std::lock_guard guard(mutex_);
        if (!failure_ || !ready_.empty()) return false;
    }
    return fitting().has_value();
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

// Whether the log is better off without zeros, by what it did since that was last asked.
bool Supply::in_bulk() {
    const Flow flow{.bytes = wrote_.load(std::memory_order_relaxed),
                    .writes = writes_.load(std::memory_order_relaxed),
                    .syncs = syncs_.load(std::memory_order_relaxed)};
    const auto bytes = flow.bytes - judged_.bytes;
    if (bytes < kJudgedBytes) return in_bulk_;
    in_bulk_ = bytes >= (flow.writes - judged_.writes) * kBulkWriteBytes &&
               bytes >= (flow.syncs - judged_.syncs) * kBulkSyncBytes;
    judged_ = flow;
    return in_bulk_;
}

void Supply::wait(std::int64_t us_max) {
    std::unique_lock guard(mutex_);
    const bool paced = making_ || sealing_;
    if (stopping_ || (!paced && (!full_.empty() || (wanted() != Wanted::nothing && !failure_))))
        return;
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

// How large the next one can be: at most half of what is free, so that on a disk that fills the
// last ones are small and little is lost between them.
Result<std::uint64_t> Supply::fitting() const {
    const auto free = files_.free_bytes();
    if (!free) return fail(free);
    const auto others = spoken_for_ + missing_kept();
    const auto room = *free - std::min(*free, others);
    auto bytes = next_bytes_;
    while (bytes > options_.bytes_first && room < 2 * bytes)
        bytes = std::max(options_.bytes_first, bytes / 2);
    if (room < bytes)
        return fail(Error{.code = Code::no_space,
                          .error = ENOSPC,
                          .doing = "make a segment: what is free is kept for emergencies"});
    return bytes;
}

// Two of them are all that is kept, or more where a segment may not be so large.
std::uint64_t Supply::kept_segment_bytes() const {
    const std::lock_guard guard(mutex_);
    return std::clamp(std::bit_ceil(kept_wanted_ / 2), options_.bytes_first, bytes_max_);
}

Result<void> Supply::begin_making(Wanted what) {
    if (next_file_ > kFileNumberMax)
        return fail(
            Error{.code = Code::no_space, .doing = "make a segment: file numbers are used up"});
    Making making{
        .number = next_file_, .kept = what == Wanted::kept, .name = names::log_file(next_file_)};
    const auto recycled = begin_recycling(making);
    if (!recycled) return fail(recycled);
    if (*recycled) return {};
    if (making.kept) {
        making.bytes = kept_segment_bytes();
    } else {
        const auto bytes = fitting();
        if (!bytes) return fail(bytes);
        making.bytes = *bytes;
        next_bytes_ = *bytes;
    }
    making.image = image_of(making.bytes);
    if (making.image == nullptr)
        return fail(Error{.code = Code::io, .error = ENOMEM, .doing = "make a segment"});
    auto fd = files_.open(making.name, io::Open::create, options_.direct);
    if (!fd) return fail(fd);
    making.fd = *fd;
    making_ = std::move(making);
    // It is taken from here on: a checkpoint may ask for one before this file is done.
    ++next_file_;
    if (auto allocated = files_.allocate(*fd, making_->bytes); !allocated) return allocated;
    // Writes into room without zeros make the file system write down where they are, which takes
    // room: on a disk that fills, where it might have none, there are zeros.
    const auto free = files_.free_bytes();
    const auto plenty = spoken_for_ + missing_kept() + kPlentySegments * making_->bytes;
    making_->bare = !making_->kept && in_bulk() && free && *free >= plenty;
    if (making_->bare) making_->done = making_->bytes;
    return {};
}

// Never so small that a batch of a few long records finds no room in any number of them.
void Supply::segment_bytes_max(std::uint64_t bytes) {
    const auto least = std::min(2 * options_.bytes_first, options_.bytes_max);
    bytes_max_ = std::clamp(std::bit_floor(bytes), least, options_.bytes_max);
    next_bytes_ = std::min(next_bytes_, bytes_max_);
}

bool Supply::takes_spare(std::uint64_t bytes) const {
    return bytes >= options_.bytes_first && bytes <= 2 * bytes_max_ &&
           bytes % kSegmentHeaderBytes == 0 && spares_.fits(bytes);
}

bool Supply::spare(const Segment& segment, Lsn end) {
    if (!takes_spare(segment.bytes) || !spares_.keep(segment.number, segment.bytes, end))
        return false;
    const std::lock_guard guard(mutex_);
    made_.spare_bytes = spares_.bytes();
    return true;
}

void Supply::spare_bytes_max(std::uint64_t bytes) {
    spares_.bound(bytes);
    if (bytes == 0) remover.hurry();
    const std::lock_guard guard(mutex_);
    made_.spare_bytes = spares_.bytes();
}

bool Supply::give_spares_up() {
    const bool any = spares_.bytes() + remover.bytes() != 0;
    spare_bytes_max(0);
    return any;
}

// Of a spare that has about the size: it gets a header that says what it is before it gets the name
// of a segment, so that one that a crash leaves there is known to be unused. Its pages in the cache
// would cost each direct write a detour. False: there is none.
Result<bool> Supply::begin_recycling(Making& making) {
    const auto wish = making.kept ? kept_segment_bytes() : next_bytes_;
    auto taken = spares_.take({.min = std::max(options_.bytes_first, wish / 2), .max = 2 * wish},
                              options_.direct);
    if (!taken) return false;
    const auto& spare = taken->spare;
    making.bytes = spare.bytes;
    making.done = spare.bytes;
    making.stale = spare.end;
    making.fd = taken->fd;
    auto done = Result<void>{};
    try {
        making.image = image_of(making.bytes);
    } catch (const std::bad_alloc&) {
        // As where there is no memory for the image itself.
    }
    if (making.image == nullptr)
        done = fail(Error{.code = Code::io, .error = ENOMEM, .doing = "make a segment"});
    if (done) {
        files_.forget(making.fd);
        encode_segment_header({.store_id = store_id_,
                               .number = making.number,
                               .bytes = making.bytes,
                               .stale = making.stale},
                              making.image->data());
        done = files_.write(making.fd, 0, {making.image->data(), kSegmentHeaderBytes});
    }
    if (done && !planted("spare_gets_its_name_first")) done = files_.sync(making.fd);
    if (done) done = files_.rename(spare.name(), making.name);
    if (!done) {
        files_.close(making.fd);
        (void)files_.unlink(spare.name());
        return fail(done);
    }
    making_ = std::move(making);
    ++next_file_;
    return true;
}

Result<void> Supply::make_piece() {
    auto& making = *making_;
    const auto bytes = std::min({options_.piece_bytes, kZerosBytes, making.bytes - making.done});
    if (auto written = files_.write(making.fd, making.done, Bytes(kZeros).first(bytes)); !written)
        return written;
    auto written_out = files_.write_out(making.fd, making.done, bytes);
    making.done += bytes;
    {
        const std::lock_guard guard(mutex_);
        made_.zeroed_bytes += bytes;
    }
    return written_out;
}

Result<void> Supply::finish_making() {
    if (making_->stale.value == 0)
        if (auto synced = files_.sync(making_->fd); !synced) return synced;
    if (!planted("segment_name_not_synced"))
        if (auto named = files_.sync_dir(); !named) return named;
    auto segment = std::make_unique<Segment>(making_->number, Lsn{}, making_->bytes, making_->fd);
    segment->read_from(making_->image->data(), true);
    segment->image = std::move(making_->image);
    segment->kept = making_->kept;
    segment->stale = making_->stale;
    segment->bare = making_->bare;
    making_.reset();
    auto& added = segments_.add(std::move(segment));
    if (!added.kept) next_bytes_ = std::min(bytes_max_, next_bytes_ * 2);
    const std::lock_guard guard(mutex_);
    if (added.stale.value != 0) {
        ++made_.recycled;
        made_.recycled_bytes += added.bytes;
    }
    made_.spare_bytes = spares_.bytes();
    if (added.kept) {
        kept_.push_back(&added);
        kept_bytes_ += added.bytes;
        return {};
    }
    ready_.push_back(&added);
    ready_bytes_ += added.bytes - kSegmentHeaderBytes;
    return {};
}

// What came of making one: done, or failed.
void Supply::settle(const Result<void>& result, Wanted what) {
    kept_first_ = !result && what == Wanted::ready;
    if (!result) {
        const bool for_growth = making_ && what == Wanted::ready;
        abandon_making();
        // A disk that has no room for a large one may have it for a small one.
        const bool is_full = result.error().code == Code::no_space;
        // Nor need one have any that holds spares.
        if (is_full && give_spares_up()) return;
        if (is_full && for_growth && next_bytes_ > options_.bytes_first) {
            next_bytes_ = std::max(options_.bytes_first, next_bytes_ / 2);
            return;
        }
    }
    {
        const std::lock_guard guard(mutex_);
        // A segment for deletions says nothing about growth, for which there is none before those
        // are there.
        if (!result || what == Wanted::ready) untried_ = false;
        if (!result) {
            failure_ = result.error();
            failed_ = what;
            retry_at_ = clock_.mono().after(kRetryUs);
        } else if (what == Wanted::ready || (failed_ == Wanted::kept && !ready_.empty())) {
            failure_.reset();
        }
    }
    if (on_change) on_change();
}

void Supply::abandon() {
    (void)give_spares_up();
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

// One that was made without zeros has none behind its last frame: before it can be a spare, every
// block of it is to be written.
void Supply::fill_up(const Segment& segment) {
    auto at = align_up(segment.end, std::uint64_t{kSegmentHeaderBytes});
    while (at < segment.bytes) {
        const auto bytes = std::min(kZerosBytes, segment.bytes - at);
        if (!files_.write(segment.fd, at, Bytes(kZeros).first(bytes))) return;
        at += bytes;
    }
}

void Supply::begin_sealing(Segment& segment) {
    if (segment.bare) fill_up(segment);
    auto map = files_.map(segment.fd);
    // Readers stay in memory, and nothing is lost but the memory. So they do when somebody has cut
    // the file short: behind the end of a map there may be anything.
    if (!map || (*map)->bytes().size() < segment.bytes) return;
    sealing_ = Sealing{.segment = &segment, .map = std::move(*map)};
}

bool Supply::is_sealing(const Segment& segment) const {
    // Readers have the map, and its memory is still there for those from before.
    if (!segment.place().own && segment.image != nullptr) return true;
    const std::lock_guard guard(mutex_);
    return (sealing_ && sealing_->segment == &segment) || std::ranges::count(full_, &segment) != 0;
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
    if (on_sealed) on_sealed(segment);
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
    const bool kept = ready_.empty();
    auto& queue = kept ? kept_ : ready_;
    if (queue.empty()) return nullptr;
    auto* segment = queue.front();
    queue.pop_front();
    if (kept)
        kept_bytes_ -= segment->bytes;
    else
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
    return {.bytes = ready_bytes_,
            .count = ready_.size(),
            .kept_bytes = kept_bytes_ - kept_.size() * kSegmentHeaderBytes,
            .kept = kept_.size(),
            .failing = failure_.has_value(),
            .hopeful = (hopeful_ || untried_) && failure_ && failure_->code == Code::no_space};
}

std::optional<Error> Supply::failure() const {
    const std::lock_guard guard(mutex_);
    return failure_;
}

Supply::Made Supply::made() const {
    const std::lock_guard guard(mutex_);
    return made_;
}

}  // namespace firnlog::engine
