#pragma once
// Inode: one file of the simulated disk, with what was *written* and what is *durable* kept apart.
//
//   arena_    what a read or a map sees: one stable stretch of memory, filled on first need
//   durable_  what the medium holds: 16 KiB chunks, shared between a disk and its images
//   changes_  completed writes and resizes that no sync has covered yet, oldest first, each with
//             the bytes its sectors then had, so that every mixture a power cut may leave can be
//             made
//
//   write ──> arena_, changes_ ──sync──> durable_          good
//                              ──fail_sync──> nowhere      the page is clean, the medium is not
//
// Invariant: without an arena, written and durable are equal. Guarded by the World.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/base/bytes.hpp"
#include "tests/sim/rng.hpp"

namespace firnlog::sim {

inline constexpr std::uint64_t kSectorBytes = 512;          // what a device tears at
inline constexpr std::uint64_t kBlockBytes = 4096;          // what space is counted in
inline constexpr std::uint64_t kFileBytesMax = 1ULL << 30;  // address space reserved per arena

// What survives of all that no sync has covered.
enum class Cut : std::uint8_t {
    none,    // power: nothing
    all,     // power: everything, writes in flight included
    prefix,  // power: the oldest changes, the last of them torn at a sector
    random,  // power: any sectors, any of the sizes, any of each directory's changes
    kill,    // SIGKILL: everything completed; each write in flight wholly, partly or not at all
};
inline constexpr Cut kPowerCuts[] = {Cut::none, Cut::all, Cut::prefix, Cut::random};
inline constexpr Cut kCuts[] = {Cut::none, Cut::all, Cut::prefix, Cut::random, Cut::kill};
[[nodiscard]] const char* text(Cut cut) noexcept;

// How much of what a failing operation carried has reached its goal all the same.
enum class Landed : std::uint8_t { seed, none, some, all };

// Zeroed memory at an address that stays, taken from a pool: 1 GiB of address space, used up to a
// mark.
class Arena {
  public:
    Arena() = default;
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    Arena(Arena&& other) noexcept;
    Arena& operator=(Arena&& other) noexcept;
    ~Arena();

    void take();
    explicit operator bool() const noexcept { return base_ != nullptr; }
    // Memory for writing up to `end`; all of it is zero where nothing was written.
    std::byte* upto(std::uint64_t end) noexcept;
    [[nodiscard]] const std::byte* begin() const noexcept { return base_; }
    [[nodiscard]] std::uint64_t used() const noexcept { return used_; }

  private:
    std::byte* base_ = nullptr;
    std::uint64_t used_ = 0;
};

// Durable bytes: zero unless written; copies share chunks until one of them writes.
class Chunks {
  public:
    static constexpr std::uint64_t kBytes = 16384;

    void read(std::uint64_t offset, MutableBytes into) const;
    void write(std::uint64_t offset, Bytes bytes);
    void clear_from(std::uint64_t offset);
    [[nodiscard]] std::uint64_t end() const noexcept { return chunks_.size() * kBytes; }
    [[nodiscard]] bool holds(std::uint64_t offset) const noexcept {
        return offset / kBytes < chunks_.size() && chunks_[offset / kBytes] != nullptr;
    }

  private:
    struct Chunk {
        std::byte bytes[kBytes];
    };
    // Shared because a disk and the images made of it hold the same chunk, whoever lives longer.
    std::vector<std::shared_ptr<Chunk>> chunks_;
};

// A completed write or resize that may still be lost.
struct Change {
    std::uint64_t number = 0;      // order of completion over the whole disk
    std::uint64_t offset = 0;      // sector-aligned
    std::uint64_t length = 0;      // whole sectors; 0 for a resize
    std::uint64_t bytes_at = 0;    // where in bytes_ its content begins
    std::uint64_t size_after = 0;  // of the file
};

// A write that has not completed when the power goes.
struct Flying {
    std::uint64_t number = 0;  // given by the disk: behind all completed ones
    std::uint32_t inode = 0;
    std::uint64_t offset = 0;
    std::vector<std::byte> bytes;
};

// One decision for a whole disk, asked for by each of its inodes.
struct Keep {
    Cut cut = Cut::none;
    std::uint64_t number = 0;  // prefix: changes below are kept, this one is torn
    unsigned percent = 50;     // random: of the sectors, or of the changes if `whole`
    bool whole = false;
};

class Inode;
// Shared: names, both durable and volatile, descriptors and mappings all keep a file alive.
using InodeRef = std::shared_ptr<Inode>;

class Inode {
  public:
    Inode(std::uint32_t id, std::string_view name) : id_(id), name_(name) {}
    Inode(const Inode&) = delete;
    Inode& operator=(const Inode&) = delete;

    [[nodiscard]] std::uint32_t id() const noexcept { return id_; }
    [[nodiscard]] const std::string& name() const noexcept {
        return name_;
    }  // the newest, for traces
    void name(std::string_view name) { name_ = name; }
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    [[nodiscard]] std::uint64_t durable_size() const noexcept { return durable_size_; }

    // The written state.
    std::size_t read(std::uint64_t offset, MutableBytes into) const;
    // Takes the first `length` bytes of the pieces.
    void write(std::uint64_t number, std::uint64_t offset, std::span<const Bytes> pieces,
               std::uint64_t length);
    void resize(std::uint64_t number, std::uint64_t size);
    // All of it at an address that stays, also when it is written or grows.
    [[nodiscard]] Bytes view();

    // The durable state. `mark`: the newest change completed when the sync was submitted.
    void sync(std::uint64_t mark);
    // The change of that number alone, as RWF_DSYNC promises no more.
    void sync_only(std::uint64_t number);
    void fail_sync(std::uint64_t mark, Landed landed, Rng& rng);
    // Forgets what is clean in memory: after a failed sync the older content comes back.
    void drop_cache();
    [[nodiscard]] const std::vector<Change>& changes() const noexcept { return changes_; }
    void flip(std::uint64_t offset, std::byte mask);  // rot: written and durable alike

    // Sectors that cannot be read until they are written anew.
    void spoil(std::uint64_t offset, std::uint64_t length);
    [[nodiscard]] bool spoilt(std::uint64_t offset, std::uint64_t length) const noexcept;
    [[nodiscard]] const std::vector<std::uint64_t>& spoilt_sectors() const noexcept { return bad_; }

    // Space, in blocks of 4 KiB.
    [[nodiscard]] std::uint64_t blocks() const noexcept { return block_count_; }
    [[nodiscard]] std::uint64_t blocks_missing(std::uint64_t offset, std::uint64_t length) const;
    void take_blocks(std::uint64_t offset, std::uint64_t length);
    // The most bytes of [offset, offset + length) that `spare` more blocks have room for.
    [[nodiscard]] std::uint64_t fits(std::uint64_t offset, std::uint64_t length,
                                     std::uint64_t spare) const;

    // The file as a power cut leaves it; `flying` by number, those of other files are passed over.
    [[nodiscard]] InodeRef after_cut(const Keep& keep, std::span<const Flying> flying,
                                     Rng& rng) const;
    // Everything as it is.
    [[nodiscard]] InodeRef copy() const;

    std::uint32_t links = 0;  // volatile names
    std::uint32_t opens = 0;  // descriptors and mappings

  private:
    void need_arena();
    void apply(const Change& change, Bytes bytes);
    void forget_changes(std::size_t count);
    [[nodiscard]] Bytes bytes_of(const Change& change) const noexcept {
        return Bytes{bytes_}.subspan(change.bytes_at, change.length);
    }

    std::uint32_t id_;
    std::string name_;
    std::uint64_t size_ = 0;
    std::uint64_t durable_size_ = 0;
    Arena arena_;
    Chunks durable_;
    std::vector<Change> changes_;
    std::vector<std::byte> bytes_;
    std::vector<std::uint64_t> bad_;     // sector numbers, ascending
    std::vector<std::uint64_t> blocks_;  // a bit a block
    std::uint64_t block_count_ = 0;
};

}  // namespace firnlog::sim
