#pragma once
// Relocator: moves what is in use out of files that are mostly not, into packed segments.
//
//   victims ──scan──> in use? ──copy──> packed file ──sync──> read back ──map──> in reach
//                        │                                                           │
//               looked up under the                               each entry swapped under its
//               stripe's lock                                     stripe's lock, if it still leads
//                                                                 to the original
//
// Never an entry leads to bytes that are not durable, so a reader's gate need not wait for them;
// and nothing is written for an entry that a command has changed meanwhile. Victims are read in
// order, never in the index's. A record that cannot be read is left where it is: what goes later is
// decided by what the image names, not by what was moved here.
//
// On a full disk it writes into what the reserve lends, and no more than it is told to. No lock is
// held longer than one look or one swap. Worker thread.

#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "engine/index/keyspace.hpp"
#include "engine/log/segments.hpp"
#include "engine/log/supply.hpp"
#include "engine/packed_file.hpp"
#include "engine/record_scan.hpp"
#include "engine/reserve.hpp"
#include "io/files.hpp"

namespace firnlog::engine {

class Relocator {
  public:
    Relocator(io::Files& files, Keyspace& keyspace, Segments& segments, Supply& supply,
              Reserve& reserve, const StoreId& store_id, std::uint64_t packed_bytes);
    Relocator(const Relocator&) = delete;
    Relocator& operator=(const Relocator&) = delete;

    // `lent_max`: all that it writes is to come from the reserve, and is no more than this.
    void begin(std::vector<FileNumber> victims, std::optional<std::uint64_t> lent_max = {});
    // One piece of work; false when nothing is left of it.
    Result<bool> step();
    // Lets go of what nothing leads to yet.
    void abandon();

    // A victim that could not be read to its end: it is of no use to try again.
    [[nodiscard]] bool gave_up(FileNumber number) const { return given_up_.contains(number); }

    struct Counts {
        std::uint64_t read_bytes = 0;
        std::uint64_t written_bytes = 0;
        std::uint64_t records = 0;  // entries that lead elsewhere now
    };
    // Since the start.
    [[nodiscard]] const Counts& counts() const { return counts_; }

  private:
    enum class Phase : std::uint8_t { gather, read_back, swap };
    struct Moved {
        Spot spot;
        Address from;
        std::uint64_t offset = 0;  // in the packed file
    };
    Result<bool> gather();
    // A record of the victim that may be in use.
    struct Found {
        std::uint64_t offset = 0;
        Lsn lsn;
        std::size_t at = 0;  // of its bytes in found_bytes_
        std::size_t bytes = 0;
    };
    enum class Fit : std::uint8_t { yes, next_file, nowhere };
    void forget_found();
    std::uint64_t find_some();  // returns the bytes that were read
    Result<Fit> copy(const Spot& spot, const Found& found);
    Result<bool> open_next();
    Result<Fit> fit(std::uint64_t bytes);
    Result<bool> end_gathering();
    Result<void> close_packed();
    Result<bool> read_back();
    Result<void> bring_into_reach();
    bool swap();

    io::Files& files_;
    Keyspace& keyspace_;
    Segments& segments_;
    Supply& supply_;
    Reserve& reserve_;
    const StoreId store_id_;
    const std::uint64_t packed_bytes_;

    Phase phase_ = Phase::gather;
    std::vector<FileNumber> victims_;  // the next one is the last
    FileNumber victim_ = 0;
    FileNumber known_as_ = 0;  // in addresses
    std::unique_ptr<RecordScan> scan_;
    // What was read is looked up together: alone each waits for memory three times, those of some
    // together hardly more often. next_ of them are done with.
    std::vector<Spot> spots_;
    std::vector<Found> found_;
    std::vector<std::byte> found_bytes_;
    std::size_t next_ = 0;
    std::optional<std::uint64_t> lent_max_;
    std::uint64_t limit_ = 0;  // of the packed file
    PackedWriter writer_;
    bool loose_ = false;  // it has made a file that is not in reach
    std::unique_ptr<RecordScan> check_;
    std::vector<Moved> moved_;
    std::size_t swapped_ = 0;
    std::set<FileNumber> given_up_;
    Counts counts_;
};

}  // namespace firnlog::engine
