#pragma once
// Relocator: moves what is in use out of files that are mostly not, into packed segments.
//
//   addresses ──read──> still in use? ──copy──> packed file ──sync──> read back ──map──> in reach
//                            │                                                              │
//                   looked up under the                              each entry swapped under its
//                   stripe's lock                                    stripe's lock, if it still
//                                                                    leads to the original
//
// Never an entry leads to bytes that are not durable, so a reader's gate need not wait for them;
// and nothing is written for an entry that a command has changed meanwhile. What is in use it is
// told (Census), in the order of the files, so that it reads in order and looks at nothing that is
// dead. A record that cannot be read is left where it is: what goes later is decided by what the
// image names, not by what was moved here.
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

    // `from`: where victims are read. `lent_max`: all that it writes is to come from the reserve,
    // and is no more than this.
    void begin(RecordScan::From from, std::optional<std::uint64_t> lent_max = {});
    // What is to be moved next, in ascending order; what was told before is done with.
    void take(std::vector<Address> survivors);
    // One piece of work; false when nothing is left of it.
    Result<bool> step();
    // What was lent is used up: it is of no use to tell of more.
    [[nodiscard]] bool out_of_room() const { return out_of_room_; }
    // Lets go of what nothing leads to yet.
    void abandon();

    // A victim of which something could not be read: it is of no use to try again.
    [[nodiscard]] bool gave_up(FileNumber number) const { return given_up_.contains(number); }

    struct Counts {
        std::uint64_t read_bytes = 0;  // of victims, what lies between included
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
    // A record that may be in use.
    struct Found {
        Address from;
        Lsn lsn;
        std::size_t at = 0;  // of its bytes in found_bytes_
        std::size_t bytes = 0;
    };
    enum class Fit : std::uint8_t { yes, next_file, nowhere };
    void forget_found();
    std::uint64_t find_some();  // returns how many bytes they have
    void find(Address address);
    bool open(FileNumber victim);
    void close_victim();
    Result<Fit> copy(const Spot& spot, const Found& found);
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
    RecordScan::From from_ = RecordScan::From::disk;
    std::vector<Address> survivors_;
    std::size_t next_survivor_ = 0;
    FileNumber victim_ = 0;             // that was opened last, by its number in addresses,
    FileNumber file_ = 0;               // and its own
    std::unique_ptr<RecordScan> scan_;  // or none where it could not be
    // What was read is looked up together: alone each waits for memory three times, those of some
    // together hardly more often. next_ of them are done with.
    std::vector<Spot> spots_;
    std::vector<Found> found_;
    std::vector<std::byte> found_bytes_;
    std::size_t next_ = 0;
    std::optional<std::uint64_t> lent_max_;
    bool out_of_room_ = false;
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
