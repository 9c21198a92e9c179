#pragma once
// Replay: the records of verified frames, applied to a keyspace batch by batch.
//
// A batch is applied when its last record has been seen, never a part of it. Nothing here looks at
// a clock: what expired was logged as deleted by whoever told somebody.

#include <cstdint>
#include <string>
#include <vector>

#include "engine/index/keyspace.hpp"
#include "recovery/lanes.hpp"
#include "recovery/log_reader.hpp"
#include "recovery/stamps.hpp"

namespace firnlog::recovery {

class Replay {
  public:
    // `stamps`: of the checkpoint that is in the keyspace already. `threads`: how many apply,
    // beside the caller's.
    explicit Replay(engine::Keyspace& keyspace, Stamps stamps = {}, unsigned threads = 0)
        : keyspace_(keyspace), stamps_(std::move(stamps)), lanes_(keyspace, threads) {}

    // The next frame of the log, in the file with this number. Its bytes stay until settle().
    void apply(const LogReader::Frame& frame, engine::FileNumber file);
    // The index holds all that was applied.
    void settle() { lanes_.settle(); }

    // Applied, or found to be in the checkpoint already.
    [[nodiscard]] std::uint64_t records() const { return records_; }
    [[nodiscard]] std::int64_t last_commit_us() const { return last_commit_us_; }
    // Records of a batch whose end has not come.
    [[nodiscard]] bool amid_batch() const { return !pending_.empty(); }

  private:
    struct Pending {
        std::string bytes;
        engine::Keyspace::Place place;
    };
    void apply_pending();
    void apply(const engine::Record& record, const engine::Keyspace::Place& place);

    engine::Keyspace& keyspace_;
    Stamps stamps_;
    Lanes lanes_;
    std::vector<Pending> pending_;
    std::uint64_t records_ = 0;
    std::int64_t last_commit_us_ = 0;
};

}  // namespace firnlog::recovery
