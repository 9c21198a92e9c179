#pragma once
// Segments: every file an address can point into, and where its bytes can be read now.
//
// While a log segment takes records its bytes lie in the tail's memory; once it is full and written
// the worker maps the file, and one atomic store sends readers there. The memory is used again only
// when every reactor has passed a turn since (grace).
//
//   made ready ──Tail──> active ──Tail (full)──> full ──Supply (mapped)──> sealed
//
// Readers hold a stripe's lock or are within a turn; they need nothing else. One that nothing leads
// to any more departs: out of reach first, closed when every reactor has ended a turn since, and
// nobody has it pinned.

#include <array>
#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "engine/address.hpp"
#include "engine/format/packed.hpp"
#include "io/base/bytes.hpp"
#include "io/files.hpp"

namespace firnlog::engine {

// Anonymous memory for one segment's bytes, aligned for direct writes.
class Image {
  public:
    Image() = default;
    Image(const Image&) = delete;
    Image& operator=(const Image&) = delete;
    ~Image();
    [[nodiscard]] static std::unique_ptr<Image> make(std::size_t bytes);  // null: out of memory
    [[nodiscard]] std::byte* data() const { return data_; }
    [[nodiscard]] std::size_t size() const { return size_; }

  private:
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

class Segment {
  public:
    enum class Kind : std::uint8_t { log, packed };

    Segment(FileNumber file_number, Lsn base_lsn, std::uint64_t file_bytes, int descriptor,
            Kind kind = Kind::log)
        : number(file_number),
          packed(kind == Kind::packed),
          bytes(file_bytes),
          fd(descriptor),
          known_as(file_number),
          base(base_lsn) {}

    const FileNumber number;
    const bool packed;
    const std::uint64_t bytes;  // of the file
    const int fd;

    // The number in addresses that lead here: of the file whose place this one has taken, see
    // Segments::replace. Set before the segment is taken.
    FileNumber known_as;

    // For what shrinks the store, when no other can be made. Set before the segment is taken.
    bool kept = false;

    // Of one made of a spare: what it held is of the log before. Set before the segment is taken.
    Lsn stale;
    bool bare = false;  // of room that nothing was written into

    // Set once, when the segment becomes active.
    Lsn base;
    // Guarded by the tail's lock until full; then constant.
    std::uint64_t end = 0;  // offset behind its last byte

    // Whoever reads from the descriptor over more than one turn holds it open meanwhile.
    std::atomic<std::uint32_t> pins{0};

    // Owned by Supply: memory while it is active, a map when it is sealed.
    std::unique_ptr<Image> image;
    std::unique_ptr<io::Mapping> map;

    // Of a packed one none, which is before all others: its records are durable, and no reply waits
    // for them. What their lsns were stands beside them.
    [[nodiscard]] Lsn lsn_at(std::uint64_t offset) const;
    // Bytes before a record that are read with it.
    [[nodiscard]] std::size_t lead() const { return packed ? kPackedLeadBytes : 0; }

    // Where to read: bytes[0] is offset 0 of the file. `own` bytes never left this process: they
    // need neither a guard nor a checksum.
    struct Place {
        const std::byte* bytes = nullptr;
        bool own = false;
    };
    [[nodiscard]] Place place() const {
        const auto bits = place_.load(std::memory_order_acquire);
        return {reinterpret_cast<const std::byte*>(bits & ~std::uintptr_t{1}), (bits & 1) != 0};
    }
    void read_from(const std::byte* at, bool own) {
        place_.store(reinterpret_cast<std::uintptr_t>(at) | (own ? 1U : 0U),
                     std::memory_order_release);
    }

  private:
    std::atomic<std::uintptr_t> place_{0};
};

// From file number to segment. add() and remove() are called by one thread at a time; find() by
// any.
class Segments {
  public:
    Segments() = default;
    Segments(const Segments&) = delete;
    Segments& operator=(const Segments&) = delete;
    ~Segments();

    Segment& add(std::unique_ptr<Segment> segment);
    [[nodiscard]] Segment* find(FileNumber number) const {
        if (number > kFileNumberMax) return nullptr;
        const auto* shelf = shelves_[number / kShelf].load(std::memory_order_acquire);
        return shelf == nullptr ? nullptr
                                : (*shelf)[number % kShelf].load(std::memory_order_acquire);
    }
    // Null if no file of this number is there; that its bytes are found as those of another is
    // none.
    [[nodiscard]] std::unique_ptr<Segment> remove(FileNumber number);
    // Has the same records at the same offsets, under a number of its own: what leads into the file
    // `number` finds it from here on. Returns the one that was there.
    [[nodiscard]] std::unique_ptr<Segment> replace(FileNumber number, std::unique_ptr<Segment> by);
    [[nodiscard]] std::vector<Segment*> all() const;  // each once

  private:
    static constexpr std::size_t kShelf = 2048;
    using Shelf = std::array<std::atomic<Segment*>, kShelf>;
    std::atomic<Segment*>& place_of(FileNumber number);

    std::array<std::atomic<Shelf*>, (kFileNumberMax + 1) / kShelf> shelves_{};
};

// Segments that are out of reach, until the last reader is gone. The worker's; outlives the grace.
class Departed {
  public:
    explicit Departed(io::Files& files) : files_(files) {}
    Departed(const Departed&) = delete;
    Departed& operator=(const Departed&) = delete;
    ~Departed();

    // Nobody can find it any more. `retire` runs its argument when nobody can have found it before.
    using Retire = std::function<void(std::function<void()>)>;
    void add(std::unique_ptr<Segment> segment, const Retire& retire);
    // Closes those that nobody reads.
    void close_unread();

  private:
    struct Waiting {
        std::unique_ptr<Segment> segment;
        bool out_of_reach = false;
    };
    io::Files& files_;
    std::list<Waiting> waiting_;
};

}  // namespace firnlog::engine
