#pragma once
// Forgetter: takes what a key was before a moment out of all files that are full, one by one.
//
//   searching  every file: records of the key, keyspaces of its database ──> its objects
//              again:      their elements, and other keys that led to them
//   images     each that has something of it: a copy without
//   files      each that has something of it: a copy with those records erased
//                       │
//                       ╰──exchange──> the walk names the copy in the manifest, the old one goes
//
// Images come first: what a start or the past finds there leads to no erased record. Each exchange
// stands by itself, so a crash leaves some of them done and the store as sound as before; then all
// of it is asked for once more.
//
// A page of an image may be from behind the moment, then what it says of the key stays.
//
// Nothing that is needed goes: whoever asks has seen to it that what the key is now was written at
// the moment or behind it. Of an object that other keys led to as
// well, as after a RENAME, the elements stay, for they are the past of those, and of the record
// that made it that it did; its other names are told.
//
// What lies behind the frames of a file that was a segment before, and on the disk's free blocks,
// is not looked at. Worker thread.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/erased_copy.hpp"
#include "engine/format/manifest.hpp"
#include "engine/index/keyspace.hpp"
#include "engine/log/segments.hpp"
#include "engine/log/supply.hpp"
#include "engine/log/tail.hpp"
#include "io/files.hpp"

namespace firnlog::engine {

struct ForgetOrder {
    std::string key;
    std::uint32_t database = 0;
    Lsn before;   // records from here on stay
    Lsn durable;  // what the key is now, or that it is gone, is durable when this is
};

struct Forgotten {
    std::uint64_t records = 0;  // erased
    std::uint64_t files = 0;    // written anew, of the log and packed ones
    std::uint64_t images = 0;   // the same
    std::uint64_t files_all = 0;
    std::uint64_t files_seen = 0;    // in the pass under way
    std::uint64_t bytes = 0;         // read and written
    std::uint64_t shared = 0;        // objects that stay, because others led to them
    std::vector<std::string> names;  // of those, some
    std::vector<FileNumber> damaged;
};

// A file and its copy: whoever holds the manifest makes that count.
struct Exchange {
    enum class What : std::uint8_t { log, packed, image };
    What what = What::log;
    FileNumber from = 0;
    FileNumber to = 0;
    std::uint64_t bytes = 0;  // of an image
};

class Forgetter {
  public:
    Forgetter(io::Files& files, Keyspace& keyspace, Segments& segments, Supply& supply, Tail& tail,
              const Manifest& manifest);
    Forgetter(const Forgetter&) = delete;
    Forgetter& operator=(const Forgetter&) = delete;

    void begin(ForgetOrder order);
    [[nodiscard]] bool busy() const { return phase_ != Phase::idle; }
    // No copy is under way: files may go or come meanwhile.
    [[nodiscard]] bool is_between_files() const { return copy_ == nullptr && scan_ == nullptr; }

    enum class Step : std::uint8_t {
        waits,     // for the log, or until a file is full
        more,      // there is more to do
        exchange,  // `exchange()` is to be made; then settled()
        done,
    };
    Result<Step> step();
    [[nodiscard]] const Exchange& exchange() const { return exchange_; }
    enum class Outcome : std::uint8_t {
        counts,
        of_no_use,  // the copy goes
        unknown,    // which of the two a start would find: both stay
    };
    void settled(Outcome outcome);
    void abandon();

    [[nodiscard]] const ForgetOrder& order() const { return order_; }
    [[nodiscard]] const Forgotten& told() const { return told_; }

  private:
    enum class Phase : std::uint8_t { idle, waiting, searching, sharing, images, files };
    // What is known of the key in one keyspace.
    struct Own {
        std::set<FileNumber> files;
        std::set<Oid> oids;
    };
    [[nodiscard]] bool is_full() const;
    void list_files();
    Result<Step> search();
    Result<bool> open_next();
    void scan_ended();
    void look_at(const RecordScan::Item& item);
    void look_at_own(const Record& record);
    void look_at_shared(const Record& record);
    void read_catalog(const Record& record);
    void decide_kids();
    void decide_oids();
    void pass_ended();
    Result<Step> next_image();
    Result<Step> next_file();
    [[nodiscard]] Judge judge() const;
    [[nodiscard]] bool is_old(Address address) const;
    [[nodiscard]] bool ends_here(Lsn lsn) const;
    void give_up_file(FileNumber number);

    io::Files& files_;
    Keyspace& keyspace_;
    Segments& segments_;
    Supply& supply_;
    Tail& tail_;
    const Manifest& manifest_;

    Phase phase_ = Phase::idle;
    ForgetOrder order_;
    Forgotten told_;

    // Searching.
    std::vector<FileNumber> to_see_;  // the next one is the last
    FileNumber seen_ = 0;
    std::map<FileNumber, std::uint64_t> ends_;  // of log files: offsets behind their last frames
    std::unique_ptr<RecordScan> scan_;
    std::set<Kid> kids_;
    std::map<Kid, Own> own_;
    std::set<Oid> shared_;
    LeftOut left_out_;
    std::set<FileNumber> found_;  // files with something of it

    // Copying.
    std::set<FileNumber> images_seen_;
    std::unique_ptr<ErasedCopy> copy_;
    Exchange exchange_;
};

}  // namespace firnlog::engine
