#pragma once
// Survey: the whole log of a store as it lies there, sound or not, read without changing a byte.
//
// open() stops at the first place that must not be; check and repair want all of them, and what is
// whole behind each. So the survey notes a fault, looks for the next frame that is valid at its
// place, and goes on there. Records are handed out batch by batch: one with a hole is dropped as a
// whole.
//
//   frame frame ######### frame …        a gap is the stretch of lsns from the last whole frame to
//   the
//               └─ gap ─┘                next one; what was in it cannot be known, or only in part
//
// Where parts of the log were given back, the records that are left say nothing by themselves: the
// newest sound checkpoint comes first, and they follow it. Files that only its addresses lead into
// are read as well, and their records not handed out.
//
// What nobody vouches for at the log's end is no fault: a torn write, or a live server's next one.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/format/manifest.hpp"
#include "engine/index/keyspace.hpp"
#include "recovery/checkpoint_reader.hpp"
#include "recovery/log_reader.hpp"

namespace firnlog::recovery {

struct Fault {
    std::string file;  // "" : a file that is not there
    std::uint64_t offset = 0;
    engine::Lsn lsn;  // [lsn, lsn_end) is lost; equal: nothing is
    engine::Lsn lsn_end;
    std::string text;
    [[nodiscard]] bool loses() const { return lsn < lsn_end; }
    [[nodiscard]] std::string line() const;  // one line for a person
    bool operator==(const Fault&) const = default;
};

struct Survey {
    engine::Manifest manifest;
    bool manifest_rebuilt = false;  // from the headers of the segments
    std::vector<Fault> faults;
    std::vector<LogFile> chain;       // files whose frames were read, in the order of the log
    std::vector<std::uint64_t> ends;  // of each: behind its last frame
    std::vector<engine::FileNumber> packed;  // those that can be read
    std::uint64_t files_unused = 0;          // made ready, nothing in them
    std::uint64_t bytes = 0;                 // read
    std::uint64_t frames = 0;
    std::uint64_t records = 0;          // whole, in whole batches
    std::uint64_t records_dropped = 0;  // whole, in batches that are not
    engine::Lsn end;                    // behind the last whole frame
    engine::Lsn vouched;                // everything before it was acknowledged
    std::uint64_t unvouched_bytes = 0;  // of whole frames behind that
    std::uint64_t torn_bytes = 0;       // behind the last whole frame
    std::string torn_at;
    std::uint32_t frames_crc = 0;  // over the checksums of all frames: equal logs have equal ones
};

struct Surveyed {
    // What the records follow upon, if that is not nothing; before any of them.
    std::function<void(LoadedCheckpoint&&)> base;
    // Of a whole batch, in the order of the log.
    std::function<void(const engine::Record&, const engine::Keyspace::Place&)> record;
    // Of a batch that is not whole, or from within a gap: it is dropped.
    std::function<void(const engine::Record&, engine::Lsn)> dropped;
    std::function<void(std::uint64_t bytes_done, std::uint64_t bytes_all)> progress;
};

// The keyspace that a survey's base and records make.
class SurveyedKeyspace {
  public:
    // Which keys there are does not depend on the secret: any does where there is no base.
    SurveyedKeyspace() : keyspace_(std::make_unique<engine::Keyspace>(engine::Hasher::Secret{})) {}

    void base(LoadedCheckpoint&& loaded) {
        keyspace_ = std::move(loaded.keyspace);
        stamps_ = std::move(loaded.stamps);
    }
    void record(const engine::Record& record, const engine::Keyspace::Place& place);
    // Returns how many objects were being built aside.
    std::size_t finish();
    [[nodiscard]] std::unique_ptr<engine::Keyspace> take() { return std::move(keyspace_); }
    [[nodiscard]] const engine::Keyspace& keyspace() const { return *keyspace_; }

  private:
    std::unique_ptr<engine::Keyspace> keyspace_;
    Stamps stamps_;
};

// Code::missing: there is no store here. Code::version: another build is needed. Code::damaged:
// there is neither a manifest nor a segment that tells whose they are.
[[nodiscard]] Result<Survey> survey(io::Files& files, const Surveyed& to);

}  // namespace firnlog::recovery
