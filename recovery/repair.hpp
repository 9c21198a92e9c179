#pragma once
// repair: saves what can be saved of a damaged store into a new one.
//
//   survey of the source ──whole batches──> index ──key by key──> sessions of a fresh store
//
// The source is only read; its lock is held, so that no server changes it meanwhile. The new store
// has an id and a secret of its own, and its log holds the state alone, not the history. What was
// in a gap cannot be known: a key changed there has its older value, one deleted there is back, and
// one written there is missing, unless a later record tells.

#include "io/io.hpp"
#include "recovery/open.hpp"
#include "recovery/survey.hpp"

namespace firnlog::recovery {

struct RepairOptions {
    bool dry_run = false;
    engine::EngineOptions engine;  // of the new store
    std::function<void(std::uint64_t bytes_done, std::uint64_t bytes_all)> progress;
};

// A key that is known to have been changed by something that is lost.
struct LostChange {
    std::uint32_t database = 0;
    std::string key;
    engine::Lsn lsn;
};

struct Repaired {
    Survey survey;
    std::uint64_t keys = 0;           // in the new store
    std::uint64_t fields = 0;         // of its hashes
    std::uint64_t bytes = 0;          // of keys and values
    std::vector<LostChange> changes;  // the first kChangesMax of them
    std::uint64_t changes_all = 0;
    std::uint64_t unreadable = 0;  // keys whose bytes are damaged: they are not in the new store
    [[nodiscard]] bool lost_nothing() const;
    static constexpr std::size_t kChangesMax = 10'000;
};

// `to` is an empty directory (not used by a dry run); `io` writes the new store's log. Errors as
// those of survey(), and Code::busy if a server runs on the source.
[[nodiscard]] Result<Repaired> repair(io::Files& from, io::Files* to, io::Clock& clock, io::Io* io,
                                      RepairOptions options);

}  // namespace firnlog::recovery
