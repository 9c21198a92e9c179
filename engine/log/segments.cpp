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
    for (auto* segment : all()) delete segment;
    for (auto& shelf : shelves_) delete shelf.load();
}

std::atomic<Segment*>& Segments::place_of(FileNumber number) {
    ensure(number != 0 && number <= kFileNumberMax, "a file number is in range");
    auto& slot = shelves_[number / kShelf];
    auto* shelf = slot.load();
    if (shelf == nullptr) {
        shelf = new Shelf{};
        slot.store(shelf, std::memory_order_release);
    }
    return (*shelf)[number % kShelf];
}

Segment& Segments::add(std::unique_ptr<Segment> segment) {
    auto& place = place_of(segment->number);
    ensure(place.load() == nullptr, "a file number is used once");
    auto& added = *segment;
    place.store(segment.release(), std::memory_order_release);
    return added;
}

std::unique_ptr<Segment> Segments::remove(FileNumber number) {
    const auto* found = find(number);
    if (found == nullptr || found->number != number) return nullptr;
    if (found->known_as != number) place_of(found->known_as).store(nullptr);
    return std::unique_ptr<Segment>(place_of(number).exchange(nullptr));
}

std::unique_ptr<Segment> Segments::replace(FileNumber number, std::unique_ptr<Segment> by) {
    const auto* old = find(number);
    ensure(old != nullptr && old->number == number, "what is replaced is there");
    by->known_as = old->known_as;
    auto& added = add(std::move(by));
    if (old->known_as != number) place_of(old->known_as).store(&added, std::memory_order_release);
    // A number that nothing leads to is free of it; else it leads to the new one.
    auto* const stays = old->known_as == number ? &added : nullptr;
    return std::unique_ptr<Segment>(place_of(number).exchange(stays));
}

std::vector<Segment*> Segments::all() const {
    std::vector<Segment*> found;
    for (std::size_t i = 0; i < shelves_.size(); ++i) {
        const auto* shelf = shelves_[i].load(std::memory_order_acquire);
        if (shelf == nullptr) continue;
        for (std::size_t j = 0; j < kShelf; ++j) {
            auto* segment = (*shelf)[j].load(std::memory_order_acquire);
            if (segment != nullptr && segment->number == i * kShelf + j) found.push_back(segment);
        }
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
