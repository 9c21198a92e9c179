#include "tests/sim/inode.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

#include "io/base/ensure.hpp"

namespace firnlog::sim {

namespace {

// Reserved stretches that are zero again, ready for the next file: a crash run makes a dozen files,
// and an mmap with its page faults would cost more than the run.
class Pool {
  public:
    std::byte* take() {
        {
            const std::lock_guard hold{lock_};
            if (!free_.empty()) {
                std::byte* base = free_.back();
                free_.pop_back();
                return base;
            }
        }
        void* base = ::mmap(nullptr, kFileBytesMax, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        ensure(base != MAP_FAILED, "address space for a simulated file");
        return static_cast<std::byte*>(base);
    }

    void give(std::byte* base, std::uint64_t used) {
        constexpr std::uint64_t kClearBytesMax = 4ULL << 20;  // beyond, the kernel zeroes cheaper
        if (used <= kClearBytesMax)
            std::memset(base, 0, used);
        else
            ::madvise(base, used, MADV_DONTNEED);
        const std::lock_guard hold{lock_};
        if (free_.size() < kArenasMax)
            free_.push_back(base);
        else
            ::munmap(base, kFileBytesMax);
    }

  private:
    static constexpr std::size_t kArenasMax = 128;
    std::mutex lock_;
    std::vector<std::byte*> free_;
};

Pool& pool() {
    static Pool* const pool = new Pool;  // never destroyed: files may outlive static objects
    return *pool;
}

bool all_zero(const std::byte* from, std::uint64_t length) noexcept {
    return length == 0 || (from[0] == std::byte{0} && std::memcmp(from, from + 1, length - 1) == 0);
}

}  // namespace

const char* text(Cut cut) noexcept {
    constexpr const char* kTexts[] = {"none", "all", "prefix", "random", "kill"};
    return kTexts[static_cast<std::size_t>(cut)];
}

Arena::Arena(Arena&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)), used_(std::exchange(other.used_, 0)) {}

Arena& Arena::operator=(Arena&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(used_, other.used_);
    return *this;
}

Arena::~Arena() {
    if (base_ != nullptr) pool().give(base_, used_);
}

void Arena::take() {
    ensure(base_ == nullptr);
    base_ = pool().take();
}

std::byte* Arena::upto(std::uint64_t end) noexcept {
    ensure(end <= kFileBytesMax);
    used_ = std::max(used_, end);
    return base_;
}

void Chunks::read(std::uint64_t offset, MutableBytes into) const {
    while (!into.empty()) {
        const std::uint64_t at = offset % kBytes;
        const std::size_t count = std::min<std::uint64_t>(into.size(), kBytes - at);
        if (holds(offset))
            std::memcpy(into.data(), chunks_[offset / kBytes]->bytes + at, count);
        else
            std::memset(into.data(), 0, count);
        offset += count;
        into = into.subspan(count);
    }
}

void Chunks::write(std::uint64_t offset, Bytes bytes) {
    while (!bytes.empty()) {
        const std::uint64_t index = offset / kBytes;
        const std::uint64_t at = offset % kBytes;
        const std::size_t count = std::min<std::uint64_t>(bytes.size(), kBytes - at);
        if (holds(offset) || !all_zero(bytes.data(), count)) {
            if (index >= chunks_.size()) chunks_.resize(index + 1);
            auto& chunk = chunks_[index];
            if (chunk == nullptr)
                chunk = std::make_shared<Chunk>();
            else if (chunk.use_count() > 1)
                chunk = std::make_shared<Chunk>(*chunk);
            std::memcpy(chunk->bytes + at, bytes.data(), count);
        }
        offset += count;
        bytes = bytes.subspan(count);
    }
}

void Chunks::clear_from(std::uint64_t offset) {
    const std::uint64_t first = (offset + kBytes - 1) / kBytes;
    if (chunks_.size() > first) chunks_.resize(first);
    const std::uint64_t tail = offset % kBytes;
    if (tail == 0 || !holds(offset)) return;
    static constexpr std::byte kZeros[kBytes]{};
    write(offset, Bytes{kZeros}.first(kBytes - tail));
}

void Inode::need_arena() {
    if (arena_) return;
    arena_.take();
    for (std::uint64_t at = 0; at < size_ && at < durable_.end(); at += Chunks::kBytes) {
        if (!durable_.holds(at)) continue;
        const std::uint64_t count = std::min(Chunks::kBytes, size_ - at);
        durable_.read(at, {arena_.upto(at + count) + at, count});
    }
}

std::size_t Inode::read(std::uint64_t offset, MutableBytes into) const {
    if (offset >= size_) return 0;
    const std::size_t count = std::min<std::uint64_t>(into.size(), size_ - offset);
    if (arena_)
        std::memcpy(into.data(), arena_.begin() + offset, count);
    else
        durable_.read(offset, into.first(count));
    return count;
}

void Inode::write(std::uint64_t number, std::uint64_t offset, std::span<const Bytes> pieces,
                  std::uint64_t length) {
    if (length == 0) return;
    need_arena();
    const std::uint64_t begin = align_down(offset, kSectorBytes);
    const std::uint64_t end = align_up(offset + length, kSectorBytes);
    std::byte* const base = arena_.upto(end);
    std::uint64_t at = offset;
    for (const Bytes piece : pieces) {
        const std::uint64_t count = std::min<std::uint64_t>(piece.size(), offset + length - at);
        if (count != 0) std::memcpy(base + at, piece.data(), count);
        at += count;
    }
    size_ = std::max(size_, offset + length);
    changes_.push_back({.number = number,
                        .offset = begin,
                        .length = end - begin,
                        .bytes_at = bytes_.size(),
                        .size_after = size_});
    bytes_.insert(bytes_.end(), base + begin, base + end);
    take_blocks(offset, length);
    std::erase_if(bad_, [&](std::uint64_t sector) {
        return sector * kSectorBytes >= offset && (sector + 1) * kSectorBytes <= offset + length;
    });
}

void Inode::resize(std::uint64_t number, std::uint64_t size) {
    if (size == size_) return;
    need_arena();
    if (size < size_) {
        if (arena_.used() > size) std::memset(arena_.upto(size) + size, 0, arena_.used() - size);
        for (std::uint64_t block = align_up(size, kBlockBytes) / kBlockBytes;
             block < blocks_.size() * 64; ++block) {
            std::uint64_t& word = blocks_[block / 64];
            const std::uint64_t bit = 1ULL << (block % 64);
            if ((word & bit) != 0) --block_count_;
            word &= ~bit;
        }
    }
    size_ = size;
    changes_.push_back({.number = number, .bytes_at = bytes_.size(), .size_after = size});
}

Bytes Inode::view() {
    need_arena();
    return {arena_.begin(), size_};
}

void Inode::apply(const Change& change, Bytes bytes) {
    if (change.length != 0)
        durable_.write(change.offset, bytes);
    else
        durable_.clear_from(change.size_after);
}

void Inode::forget_changes(std::size_t count) {
    if (count == changes_.size()) {
        changes_.clear();
        bytes_.clear();
        return;
    }
    const std::uint64_t gone = changes_[count].bytes_at;
    changes_.erase(changes_.begin(), changes_.begin() + static_cast<std::ptrdiff_t>(count));
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(gone));
    for (Change& change : changes_) change.bytes_at -= gone;
}

void Inode::sync(std::uint64_t mark) {
    std::size_t count = 0;
    for (; count < changes_.size() && changes_[count].number <= mark; ++count) {
        apply(changes_[count], bytes_of(changes_[count]));
        durable_size_ = changes_[count].size_after;
    }
    if (count != 0) forget_changes(count);
}

void Inode::sync_only(std::uint64_t number) {
    const auto at = std::ranges::find(changes_, number, &Change::number);
    if (at == changes_.end()) return;  // another sync has covered it meanwhile
    for (auto before = changes_.begin(); before != at; ++before)
        ensure(before->length != 0 && (before->offset + before->length <= at->offset ||
                                       at->offset + at->length <= before->offset),
               "a write that syncs lies over nothing that is written and not synced");
    apply(*at, bytes_of(*at));
    durable_size_ = std::max(durable_size_, std::min(at->offset + at->length, at->size_after));
    const auto bytes = at->length;
    const auto from = bytes_.begin() + static_cast<std::ptrdiff_t>(at->bytes_at);
    bytes_.erase(from, from + static_cast<std::ptrdiff_t>(bytes));
    for (auto& change : std::ranges::subrange(changes_.erase(at), changes_.end()))
        change.bytes_at -= bytes;
}

void Inode::fail_sync(std::uint64_t mark, Landed landed, Rng& rng) {
    if (landed == Landed::seed) landed = rng.chance(50) ? Landed::none : Landed::some;
    std::size_t count = 0;
    for (; count < changes_.size() && changes_[count].number <= mark; ++count) {
        const Change& change = changes_[count];
        if (landed == Landed::none) continue;
        if (landed == Landed::all || rng.chance(50)) durable_size_ = change.size_after;
        for (std::uint64_t at = 0; at < change.length; at += kSectorBytes)
            if (landed == Landed::all || rng.chance(50))
                durable_.write(change.offset + at, bytes_of(change).subspan(at, kSectorBytes));
    }
    durable_.clear_from(durable_size_);
    if (count != 0) forget_changes(count);
}

void Inode::drop_cache() {
    if (!arena_) return;
    std::byte* const base = arena_.upto(size_);
    const std::uint64_t used = arena_.used();
    durable_.read(0, {base, used});
    for (const Change& change : changes_)
        if (change.length != 0)
            std::memcpy(arena_.upto(change.offset + change.length) + change.offset,
                        bytes_of(change).data(), change.length);
        else
            std::memset(base + change.size_after, 0,
                        used - std::min<std::uint64_t>(used, change.size_after));
    if (used > size_) std::memset(base + size_, 0, used - size_);
}

void Inode::flip(std::uint64_t offset, std::byte mask) {
    ensure(offset < size_ || offset < durable_size_, "flip a byte within the file");
    if (arena_ && offset < size_) arena_.upto(offset + 1)[offset] ^= mask;
    if (offset < durable_size_) {
        std::byte byte{};
        durable_.read(offset, {&byte, 1});
        byte ^= mask;
        durable_.write(offset, {&byte, 1});
    }
    for (const Change& change : changes_)
        if (offset >= change.offset && offset < change.offset + change.length)
            bytes_[change.bytes_at + offset - change.offset] ^= mask;
}

void Inode::spoil(std::uint64_t offset, std::uint64_t length) {
    for (std::uint64_t sector = offset / kSectorBytes; sector * kSectorBytes < offset + length;
         ++sector) {
        const auto at = std::ranges::lower_bound(bad_, sector);
        if (at == bad_.end() || *at != sector) bad_.insert(at, sector);
    }
}

bool Inode::spoilt(std::uint64_t offset, std::uint64_t length) const noexcept {
    const auto at = std::ranges::lower_bound(bad_, offset / kSectorBytes);
    return at != bad_.end() && length != 0 && *at * kSectorBytes < offset + length;
}

std::uint64_t Inode::blocks_missing(std::uint64_t offset, std::uint64_t length) const {
    std::uint64_t missing = 0;
    for (std::uint64_t block = offset / kBlockBytes; block * kBlockBytes < offset + length; ++block)
        if (block / 64 >= blocks_.size() || ((blocks_[block / 64] >> (block % 64)) & 1) == 0)
            ++missing;
    return missing;
}

void Inode::take_blocks(std::uint64_t offset, std::uint64_t length) {
    for (std::uint64_t block = offset / kBlockBytes; block * kBlockBytes < offset + length;
         ++block) {
        if (block / 64 >= blocks_.size()) blocks_.resize(block / 64 + 1);
        std::uint64_t& word = blocks_[block / 64];
        const std::uint64_t bit = 1ULL << (block % 64);
        if ((word & bit) == 0) ++block_count_;
        word |= bit;
    }
}

std::uint64_t Inode::fits(std::uint64_t offset, std::uint64_t length, std::uint64_t spare) const {
    for (std::uint64_t at = offset; at < offset + length;) {
        const std::uint64_t missing = blocks_missing(at, 1);
        if (missing > spare) return at - offset;
        spare -= missing;
        at = align_down(at, kBlockBytes) + kBlockBytes;
    }
    return length;
}

namespace {

// How many whole sectors of a change stay, and which: asked sector by sector, in order.
class Sieve {
  public:
    Sieve(const Keep& keep, const Change& change, Rng& rng) : keep_(keep), rng_(rng) {
        const std::uint64_t sectors = change.length / kSectorBytes;
        switch (keep.cut) {
            case Cut::none:
                left_ = 0;
                break;
            case Cut::prefix:
                left_ = change.number < keep.number    ? sectors
                        : change.number == keep.number ? rng.below(sectors + 1)
                                                       : 0;
                break;
            case Cut::random:
                left_ = keep.whole && !rng.chance(keep.percent) ? 0 : sectors;
                break;
            case Cut::all:
            case Cut::kill:
                left_ = sectors;
                break;
        }
    }

    bool next() {
        if (left_ == 0) return false;
        --left_;
        return keep_.cut != Cut::random || keep_.whole || rng_.chance(keep_.percent);
    }

  private:
    const Keep& keep_;
    Rng& rng_;
    std::uint64_t left_ = 0;
};

bool keeps_resize(const Keep& keep, std::uint64_t number, Rng& rng) {
    switch (keep.cut) {
        case Cut::none:
            return false;
        case Cut::prefix:
            return number < keep.number || (number == keep.number && rng.chance(50));
        case Cut::random:
            return rng.chance(50);
        case Cut::all:
        case Cut::kill:
            break;
    }
    return true;
}

}  // namespace

InodeRef Inode::after_cut(const Keep& keep, std::span<const Flying> flying, Rng& rng) const {
    auto image = std::make_shared<Inode>(id_, name_);
    image->durable_ = durable_;
    image->durable_size_ = durable_size_;
    image->bad_ = bad_;
    image->blocks_ = blocks_;
    image->block_count_ = block_count_;

    // Writes in flight become changes behind the completed ones, with the content their sectors
    // would have had.
    std::vector<Change> changes = changes_;
    std::vector<std::byte> landing;
    std::uint64_t size_last = size_;
    for (const Flying& write : flying) {
        if (write.inode != id_ || write.bytes.empty()) continue;
        const std::uint64_t begin = align_down(write.offset, kSectorBytes);
        const std::uint64_t end = align_up(write.offset + write.bytes.size(), kSectorBytes);
        const std::uint64_t at = landing.size();
        landing.resize(at + (end - begin));
        read(begin, MutableBytes{landing}.subspan(at));
        for (std::size_t i = changes_.size(); i < changes.size(); ++i) {
            const std::uint64_t low = std::max(begin, changes[i].offset);
            const std::uint64_t high = std::min(end, changes[i].offset + changes[i].length);
            if (low < high)
                std::memcpy(landing.data() + at + (low - begin),
                            landing.data() + changes[i].bytes_at + (low - changes[i].offset),
                            high - low);
        }
        std::memcpy(landing.data() + at + (write.offset - begin), write.bytes.data(),
                    write.bytes.size());
        size_last = std::max(size_last, write.offset + write.bytes.size());
        changes.push_back({.number = write.number,
                           .offset = begin,
                           .length = end - begin,
                           .bytes_at = at,
                           .size_after = size_last});
    }
    if (changes.empty()) {
        image->size_ = image->durable_size_;
        return image;
    }

    std::uint64_t size = durable_size_;
    for (std::size_t i = 0; i < changes.size(); ++i) {
        const Change& change = changes[i];
        const Bytes bytes = i < changes_.size()
                                ? bytes_of(change)
                                : Bytes{landing}.subspan(change.bytes_at, change.length);
        if (change.length == 0) {
            if (!keeps_resize(keep, change.number, rng)) continue;
            image->durable_.clear_from(change.size_after);
            size = change.size_after;
            continue;
        }
        Sieve sieve{keep, change, rng};
        std::uint64_t kept = 0;
        for (std::uint64_t at = 0; at < change.length; at += kSectorBytes) {
            if (!sieve.next()) continue;
            image->durable_.write(change.offset + at, bytes.subspan(at, kSectorBytes));
            ++kept;
        }
        if (kept == change.length / kSectorBytes)
            size = change.size_after;
        else if (kept != 0)
            size = rng.chance(50) ? change.size_after
                                  : std::min(change.size_after,
                                             std::max(size, change.offset + kept * kSectorBytes));
    }
    // The size is metadata and travels on its own: a file may come back longer than what was
    // written to it, with zeros in the hole (ext4), or shorter than the sectors that landed.
    if (keep.cut == Cut::random || (keep.cut == Cut::prefix && rng.chance(25))) {
        const std::uint64_t pick = rng.below(changes.size() + 1);
        const std::uint64_t other = pick == 0 ? durable_size_ : changes[pick - 1].size_after;
        size = keep.cut == Cut::random ? other : std::max(size, other);
    }
    image->durable_.clear_from(size);
    image->durable_size_ = size;
    image->size_ = size;
    return image;
}

InodeRef Inode::copy() const {
    auto other = std::make_shared<Inode>(id_, name_);
    other->size_ = size_;
    other->durable_size_ = durable_size_;
    other->durable_ = durable_;
    if (arena_) {
        other->arena_.take();
        std::memcpy(other->arena_.upto(arena_.used()), arena_.begin(), arena_.used());
    }
    other->changes_ = changes_;
    other->bytes_ = bytes_;
    other->bad_ = bad_;
    other->blocks_ = blocks_;
    other->block_count_ = block_count_;
    return other;
}

}  // namespace firnlog::sim
