#include "src/crashtest/disk_image.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "io/base/ensure.hpp"
#include "io/base/memory.hpp"
#include "src/crashtest/random.hpp"

namespace firnlog::crashtest {
namespace {

std::byte* map_zeros(std::uint64_t bytes) { return static_cast<std::byte*>(map_memory(bytes)); }

// Whole pages go back to the kernel, which shows zeros in their place.
void make_zero(std::byte* memory, std::uint64_t offset, std::uint64_t bytes) {
    constexpr std::uint64_t kPage = 4096;
    const auto first = (offset + kPage - 1) / kPage * kPage;
    const auto last = (offset + bytes) / kPage * kPage;
    if (first >= last || ::madvise(memory + first, last - first, MADV_DONTNEED) != 0) {
        std::memset(memory + offset, 0, bytes);
        return;
    }
    std::memset(memory + offset, 0, first - offset);
    std::memset(memory + last, 0, offset + bytes - last);
}

}  // namespace

std::optional<Keep> keep_of(std::string_view name) noexcept {
    if (name == "none") return Keep::none;
    if (name == "all") return Keep::all;
    if (name == "prefix") return Keep::prefix;
    if (name == "subset") return Keep::subset;
    return std::nullopt;
}

std::string_view name_of(Trace trace) noexcept {
    constexpr std::string_view kNames[] = {"unseen", "lost", "durable"};
    return kNames[static_cast<std::size_t>(trace)];
}

Result<DiskImage> DiskImage::make(std::uint64_t bytes) {
    std::byte* const view = map_zeros(bytes);
    if (view == nullptr) return fail_errno("map memory for the disk");
    std::byte* const durable = map_zeros(bytes);
    if (durable == nullptr) {
        const int error = errno;
        ::munmap(view, bytes);
        return fail_errno("map memory for the disk", error);
    }
    return DiskImage(view, durable, bytes);
}

DiskImage::DiskImage(DiskImage&& other) noexcept
    : view_(std::exchange(other.view_, nullptr)),
      durable_(std::exchange(other.durable_, nullptr)),
      bytes_(other.bytes_),
      pending_(std::move(other.pending_)),
      lost_(std::move(other.lost_)),
      has_come_(std::move(other.has_come_)),
      flushed_(other.flushed_),
      frozen_at_(other.frozen_at_) {}

DiskImage::~DiskImage() {
    if (view_ != nullptr) ::munmap(view_, bytes_);
    if (durable_ != nullptr) ::munmap(durable_, bytes_);
}

void DiskImage::read(std::uint64_t offset, std::span<std::byte> to) const noexcept {
    ensure(offset <= bytes_ && to.size() <= bytes_ - offset, "a read lies within the disk");
    std::memcpy(to.data(), view_ + offset, to.size());
}

void DiskImage::write(std::uint64_t offset, std::span<const std::byte> from) {
    ensure(offset <= bytes_ && from.size() <= bytes_ - offset, "a write lies within the disk");
    if (from.empty()) return;
    pending_.push_back({offset, from.size(), {from.begin(), from.end()}});
    std::memcpy(view_ + offset, from.data(), from.size());
}

void DiskImage::zero(std::uint64_t offset, std::uint64_t bytes) {
    ensure(offset <= bytes_ && bytes <= bytes_ - offset, "zeros lie within the disk");
    if (bytes == 0) return;
    pending_.push_back({offset, bytes, {}});
    make_zero(view_, offset, bytes);
}

// [from, to) of the write reaches the platter.
void DiskImage::apply(const Write& write, std::uint64_t from, std::uint64_t to) {
    for (auto chunk = (write.offset + from) / kChunk; chunk * kChunk < write.offset + to; ++chunk)
        has_come_[chunk] = true;
    if (write.content.empty())
        make_zero(durable_, write.offset + from, to - from);
    else
        std::memcpy(durable_ + write.offset + from, write.content.data() + from, to - from);
}

void DiskImage::flush(std::uint64_t mark) {
    if (frozen_at_ || mark <= flushed_) return;
    const auto count = static_cast<std::size_t>(std::min(mark, this->mark()) - flushed_);
    for (std::size_t i = 0; i < count; ++i) apply(pending_[i], 0, pending_[i].bytes);
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(count));
    flushed_ += count;
}

void DiskImage::freeze() noexcept {
    if (!frozen_at_) frozen_at_ = pending_.size();
}

Cut DiskImage::cut(Keep keep, std::uint64_t seed) {
    Random random(seed);
    freeze();
    lost_.clear();
    Cut out{.pending = *frozen_at_};
    const auto prefix = random.below(out.pending + 1);
    for (std::size_t i = 0; i < out.pending; ++i) {
        const auto& write = pending_[i];
        const auto sectors = (write.bytes + kSectorBytes - 1) / kSectorBytes;
        bool whole = keep == Keep::all || (keep == Keep::prefix && i < prefix);
        bool torn = keep == Keep::prefix && i == prefix && random.one_in(2);
        if (keep == Keep::subset) {
            const auto draw = random.below(5);
            whole = draw < 2;
            torn = draw == 2;
        }
        std::uint64_t bytes_kept = 0;
        if (whole) {
            apply(write, 0, write.bytes);
            bytes_kept = write.bytes;
        } else if (torn && sectors > 1) {
            // Half of the torn writes break at one place, the others anywhere: a drive may reorder
            // the sectors of one request.
            const bool once = random.one_in(2);
            const auto border = random.between(1, sectors - 1);
            for (std::uint64_t sector = 0; sector < sectors; ++sector) {
                if (once ? sector >= border : random.one_in(2)) continue;
                const auto from = sector * kSectorBytes;
                const auto to = std::min(from + kSectorBytes, write.bytes);
                apply(write, from, to);
                bytes_kept += to - from;
            }
        }
        out.kept += bytes_kept == write.bytes ? 1 : 0;
        out.torn += bytes_kept != 0 && bytes_kept != write.bytes ? 1 : 0;
        out.bytes_lost += write.bytes - bytes_kept;
    }
    // Whatever differs between the two was written since the last flush.
    for (std::size_t i = 0; i < pending_.size(); ++i) {
        auto& write = pending_[i];
        std::memcpy(view_ + write.offset, durable_ + write.offset, write.bytes);
        // What came behind the moment of the cut was not written by anybody who lived.
        const bool differs =
            i < out.pending && !write.content.empty() &&
            std::memcmp(durable_ + write.offset, write.content.data(), write.bytes) != 0;
        if (differs) lost_.push_back(std::move(write));
    }
    flushed_ += pending_.size();
    pending_.clear();
    frozen_at_.reset();
    return out;
}

Trace DiskImage::find(std::string_view bytes) const {
    // Chunks that something was written to, as far as they follow each other, are one text.
    for (std::size_t begin = 0; begin < has_come_.size(); ++begin) {
        auto end = begin;
        while (end < has_come_.size() && has_come_[end]) ++end;
        if (end == begin) continue;
        const auto from = begin * kChunk, to = std::min(end * kChunk, bytes_);
        if (::memmem(durable_ + from, to - from, bytes.data(), bytes.size()) != nullptr)
            return Trace::durable;
        begin = end;
    }
    const auto holds = [&](const Write& write) {
        return ::memmem(write.content.data(), write.content.size(), bytes.data(), bytes.size()) !=
               nullptr;
    };
    return std::ranges::any_of(lost_, holds) ? Trace::lost : Trace::unseen;
}

}  // namespace firnlog::crashtest
