#include "engine/log/segments.hpp"

#include <sys/mman.h>

#include "engine/format/segment.hpp"
#include "io/base/memory.hpp"

namespace firnlog::engine {

Image::~Image() {
    if (data_ != nullptr) ::munmap(data_, size_);
}

std::unique_ptr<Image> Image::make(std::size_t bytes) {
    auto image = std::make_unique<Image>();
    void* at = map_memory(bytes);
    if (at == nullptr) return nullptr;
    // A core dump needs none of it, the file has it; the flag also tells these pages from the
    // index's in /proc/PID/smaps, where bench/peers.py looks.
    (void)::madvise(at, bytes, MADV_DONTDUMP);
    image->data_ = static_cast<std::byte*>(at);
    image->size_ = bytes;
    return image;
}

Lsn Segment::lsn_at(std::uint64_t offset) const {
    return packed ? Lsn{} : base + (offset - kSegmentHeaderBytes);
}

Segments::~Segments() {
    for (auto& slot : shelves_) {
        auto* shelf = slot.load();
        if (shelf == nullptr) continue;
        for (auto& segment : *shelf) delete segment.load();
        delete shelf;
    }
}

Segment& Segments::add(std::unique_ptr<Segment> segment) {
    const auto number = segment->number;
    ensure(number != 0 && number <= kFileNumberMax, "a file number is in range");
    auto& slot = shelves_[number / kShelf];
    auto* shelf = slot.load();
    if (shelf == nullptr) {
        shelf = new Shelf{};
        slot.store(shelf, std::memory_order_release);
    }
    auto& place = (*shelf)[number % kShelf];
    ensure(place.load() == nullptr, "a file number is used once");
    auto& added = *segment;
    place.store(segment.release(), std::memory_order_release);
    return added;
}

std::unique_ptr<Segment> Segments::remove(FileNumber number) {
    if (find(number) == nullptr) return nullptr;
    auto* shelf = shelves_[number / kShelf].load();
    return std::unique_ptr<Segment>((*shelf)[number % kShelf].exchange(nullptr));
}

std::vector<Segment*> Segments::all() const {
    std::vector<Segment*> found;
    for (const auto& slot : shelves_) {
        const auto* shelf = slot.load(std::memory_order_acquire);
        if (shelf == nullptr) continue;
        for (const auto& place : *shelf)
            if (auto* segment = place.load(std::memory_order_acquire)) found.push_back(segment);
    }
    return found;
}

Departed::~Departed() {
    for (auto& waiting : waiting_) files_.close(waiting.segment->fd);
}

void Departed::add(std::unique_ptr<Segment> segment, const Retire& retire) {
    waiting_.push_back({.segment = std::move(segment)});
    retire([&waiting = waiting_.back()] { waiting.out_of_reach = true; });
}

void Departed::close_unread() {
    // Once out of reach nobody pins it anew.
    std::erase_if(waiting_, [&](const Waiting& waiting) {
        if (!waiting.out_of_reach || waiting.segment->pins.load(std::memory_order_acquire) != 0)
            return false;
        files_.close(waiting.segment->fd);
        return true;
    });
}

}  // namespace firnlog::engine
