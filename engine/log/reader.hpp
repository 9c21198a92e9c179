#pragma once
// RecordReader: from an address to the record that lies there.
//
// Bytes in the tail's memory are used where they are. Bytes in a file's map are copied first, by
// the one guarded routine, and their checksum is looked at in the copy: what does not fit is never
// served. A record that is not in memory can be refused (`cold`), so that nobody waits for a disk
// under a lock: the caller lets go, reads it through the ring, hands the bytes in as warm, and asks
// again.

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/format/record.hpp"
#include "engine/format/segment.hpp"
#include "engine/log/segments.hpp"

namespace firnlog::engine {

// Memory for copies, all given back at once; one reactor's. Views into it live until reset().
class Scratch {
  public:
    [[nodiscard]] std::byte* take(std::size_t bytes);
    void reset();

  private:
    static constexpr std::size_t kPiece = std::size_t{256} << 10;
    std::unique_ptr<std::byte[]> piece_;
    std::size_t used_ = 0;
    std::vector<std::unique_ptr<std::byte[]>> large_;
};

// Bytes of a record that were read through the ring, with what leads them in its segment.
struct Warm {
    Address address;
    std::vector<std::byte> bytes;
};

class RecordReader {
  public:
    RecordReader(const Segments& segments, const StoreId& store_id)
        : segments_(segments), seed_(store_id) {}

    enum class Outcome : std::uint8_t { found, cold, corrupt };
    struct Found {
        Outcome outcome = Outcome::corrupt;
        Record record;
        std::size_t size = 0;
        Lsn lsn;
    };
    // `size_hint`: at least the record's size, if the index is right. `may_wait`: read what is cold
    // here and now.
    [[nodiscard]] Found read(Address address, std::size_t size_hint, Scratch& scratch,
                             const std::vector<Warm>& warm, bool may_wait) const;

    // Set by the worker when the log outgrows memory: only then is residency looked up.
    std::atomic<bool> look_for_cold{false};

  private:
    const Segments& segments_;
    const RecordSeed seed_;
};

}  // namespace firnlog::engine
