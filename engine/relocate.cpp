#include "engine/relocate.hpp"

#include <algorithm>

#include "engine/format/names.hpp"

namespace firnlog::engine {
namespace {

// Of one step.
constexpr std::uint64_t kGatherBytes = std::uint64_t{256} << 10;
constexpr std::uint64_t kReadBytes = std::uint64_t{1} << 20;
constexpr std::size_t kSwaps = 4096;
// So many records are looked up together, or fewer long ones.
constexpr std::size_t kFound = 32;
constexpr std::size_t kFoundBytes = std::size_t{64} << 10;

}  // namespace

Relocator::Relocator(io::Files& files, Keyspace& keyspace, Segments& segments, Supply& supply,
                     Reserve& reserve, const StoreId& store_id, std::uint64_t packed_bytes)
    : files_(files),
      keyspace_(keyspace),
      segments_(segments),
      supply_(supply),
      reserve_(reserve),
      store_id_(store_id),
      packed_bytes_(packed_bytes),
      writer_(files, store_id) {}

void Relocator::begin(RecordScan::From from, std::optional<std::uint64_t> lent_max) {
    ensure(moved_.empty() && !writer_.active(), "what was begun before has ended");
    from_ = from;
    lent_max_ = lent_max;
    out_of_room_ = false;
    take({});
}

void Relocator::take(std::vector<Address> survivors) {
    ensure(moved_.empty() && !writer_.active(), "what was told before is done with");
    survivors_ = std::move(survivors);
    next_survivor_ = 0;
    phase_ = Phase::gather;
}

Result<bool> Relocator::step() {
    switch (phase_) {
        case Phase::gather:
            return gather();
        case Phase::read_back:
            return read_back();
        case Phase::swap:
            break;
    }
    if (swap()) return true;
    phase_ = Phase::gather;
    return next_ < found_.size() || next_survivor_ < survivors_.size();
}

// False: it cannot be read, or is gone.
bool Relocator::open(FileNumber victim) {
    close_victim();
    victim_ = victim;
    const auto* segment = segments_.find(victim);
    if (segment == nullptr) return false;
    file_ = segment->number;
    auto scan = segment->packed ? RecordScan::packed(files_, store_id_, file_, from_)
                                : RecordScan::log(files_, store_id_, file_, segment->base,
                                                  kSegmentHeaderBytes, from_);
    if (scan)
        scan_ = std::move(*scan);
    else
        given_up_.insert(file_);
    return scan_ != nullptr;
}

void Relocator::close_victim() {
    if (scan_ != nullptr) counts_.read_bytes += scan_->read_bytes();
    scan_.reset();
    victim_ = 0;
}

// Whether so many bytes more belong into the packed file that is written; begins one if there is
// none.
Result<Relocator::Fit> Relocator::fit(std::uint64_t bytes) {
    if (writer_.active()) return writer_.bytes() + bytes <= limit_ ? Fit::yes : Fit::next_file;
    limit_ = std::max(packed_bytes_, kPackedHeaderBytes + bytes);
    std::uint64_t room = 0;
    if (lent_max_) {
        room = reserve_.lend(std::min(limit_, *lent_max_));
        *lent_max_ -= std::min(*lent_max_, room);
        limit_ = room;
        if (room < kPackedHeaderBytes + bytes) return Fit::nowhere;
    }
    const auto number = supply_.give_number();
    if (!number) return fail(number);
    loose_ = true;
    if (auto begun = writer_.begin(*number, room); !begun) return fail(begun);
    return Fit::yes;
}

// There is nothing more to move, or no room for it.
Result<bool> Relocator::end_gathering() {
    forget_found();
    close_victim();
    survivors_.clear();
    next_survivor_ = 0;
    if (moved_.empty()) return false;
    if (auto closed = close_packed(); !closed) return fail(closed);
    return true;
}

void Relocator::forget_found() {
    spots_.clear();
    found_.clear();
    found_bytes_.clear();
    next_ = 0;
}

// A file of which one record cannot be read stays, whatever is moved out of it.
void Relocator::find(Address address) {
    if (address.file() != victim_ && !open(address.file())) return;
    if (scan_ == nullptr) return;
    const auto item = scan_->at(address.offset());
    if (!item) {
        given_up_.insert(file_);
        counts_.read_bytes += scan_->read_bytes();
        scan_.reset();
        return;
    }
    const auto spot = keyspace_.spot_of(item->record);
    if (!spot) return;
    spots_.push_back(*spot);
    found_.push_back({.from = address,
                      .lsn = item->lsn,
                      .at = found_bytes_.size(),
                      .bytes = item->bytes.size()});
    found_bytes_.insert(found_bytes_.end(), item->bytes.begin(), item->bytes.end());
}

std::uint64_t Relocator::find_some() {
    forget_found();
    while (found_.size() < kFound && found_bytes_.size() < kFoundBytes &&
           next_survivor_ < survivors_.size())
        find(survivors_[next_survivor_++]);
    keyspace_.fetch_ahead(spots_);
    return found_bytes_.size();
}

// Copies it, if it is in use and there is room.
Result<Relocator::Fit> Relocator::copy(const Spot& spot, const Found& found) {
    if (!keyspace_.move(spot, found.from, found.from)) return Fit::yes;
    const auto fits = fit(found.bytes + kPackedLeadBytes);
    if (!fits || *fits != Fit::yes) return fits;
    const auto offset = writer_.add(found.lsn, Bytes(found_bytes_).subspan(found.at, found.bytes));
    if (!offset) return fail(offset);
    moved_.push_back({.spot = spot, .from = found.from, .offset = *offset});
    return Fit::yes;
}

Result<bool> Relocator::gather() {
    for (std::uint64_t looked = 0; looked < kGatherBytes;) {
        for (; next_ < found_.size(); ++next_) {
            const auto fits = copy(spots_[next_], found_[next_]);
            if (!fits) return fail(fits);
            if (*fits == Fit::nowhere) {
                out_of_room_ = true;
                return end_gathering();
            }
            if (*fits == Fit::yes) continue;
            // It waits, with those behind it, for the next file.
            if (auto closed = close_packed(); !closed) return fail(closed);
            return true;
        }
        if (next_survivor_ == survivors_.size()) return end_gathering();
        looked += find_some();
    }
    return true;
}

Result<void> Relocator::close_packed() {
    counts_.written_bytes += writer_.bytes();
    if (auto finished = writer_.finish(); !finished) return finished;
    phase_ = Phase::read_back;
    return {};
}

// Past the page cache, where there is a way: what lies on the disk is what will be needed.
Result<bool> Relocator::read_back() {
    if (check_ == nullptr) {
        auto scan = RecordScan::packed(files_, store_id_, writer_.number());
        if (!scan) return fail(scan);
        check_ = std::move(*scan);
    }
    const auto from = check_->offset();
    while (check_->offset() - from < kReadBytes) {
        const auto item = check_->next();
        if (!item) return fail(item);
        if (*item) continue;
        check_.reset();
        break;
    }
    if (check_ != nullptr) return true;
    if (auto reached = bring_into_reach(); !reached) return fail(reached);
    swapped_ = 0;
    phase_ = Phase::swap;
    return true;
}

Result<void> Relocator::bring_into_reach() {
    auto fd = files_.open(names::packed_file(writer_.number()), io::Open::read);
    if (!fd) return fail(fd);
    auto map = files_.map(*fd);
    if (!map) {
        files_.close(*fd);
        return fail(map);
    }
    auto segment = std::make_unique<Segment>(writer_.number(), Lsn{}, (*map)->bytes().size(), *fd,
                                             Segment::Kind::packed);
    segment->end = segment->bytes;
    segment->read_from((*map)->bytes().data(), false);
    segment->map = std::move(*map);
    segments_.add(std::move(segment));
    loose_ = false;
    return {};
}

// False: all of them were.
bool Relocator::swap() {
    const auto end = std::min(moved_.size(), swapped_ + kSwaps);
    for (; swapped_ < end; ++swapped_) {
        const auto& moved = moved_[swapped_];
        if (keyspace_.move(moved.spot, moved.from, Address(writer_.number(), moved.offset)))
            ++counts_.records;
    }
    if (swapped_ < moved_.size()) return true;
    moved_.clear();
    return false;
}

void Relocator::abandon() {
    check_.reset();
    // One in reach stays: entries may lead there.
    if (loose_) writer_.abandon();
    loose_ = false;
    moved_.clear();
    survivors_.clear();
    next_survivor_ = 0;
    forget_found();
    close_victim();
    phase_ = Phase::gather;
}

}  // namespace firnlog::engine
