#pragma once
// restore: a store as it was at a moment, as a new store in another directory.
//
//   source   | file 3 | file 4 | file 5 …            and checkpoints with hi <= moment
//                              ^moment
//   target   | link   | link   | file 5 up to the moment |  timeline + n: what is written from now
//   on
//
// Files that are full are the same files under a second name where the file system allows it (or
// share their blocks, or are copied): nobody writes into a file that has two names. The history up
// to the moment comes along, so the new store can be opened at any moment that the old one could.
// The source is only read, and may be served meanwhile.
//
// Which keys expire when is the wish of who asks: `shift` moves every expiry by the time that has
// passed since the moment, so that a key that had ten minutes left has ten minutes left.
//
// With a choice of keys there is no history: the new store is a store of its own that holds them.

#include "io/io.hpp"
#include "recovery/past.hpp"
#include "recovery/ttl.hpp"

namespace firnlog::recovery {

struct RestoreOptions {
    Moment moment;
    Ttl ttl = Ttl::shift;
    std::function<bool(std::string_view key)> wants;  // none: all of the store
    engine::EngineOptions engine;                     // of the new store
    std::function<void(const Progress&)> progress;
    std::function<bool()> give_up;
};

// What there is to do, found out without doing it.
struct RestorePlan {
    engine::Manifest source;
    Place oldest;  // the range that can be opened
    Place newest;
    Place place;                                       // the moment
    std::vector<engine::FileNumber> whole;             // log files that stay as they are
    std::optional<engine::FileNumber> cut;             // the one that the moment lies in
    std::vector<engine::FileNumber> packed;            // segments that those lead into
    std::vector<engine::CheckpointEntry> checkpoints;  // that come along, kept moments too
    std::uint64_t bytes = 0;                           // of all of these
};

struct Restored {
    RestorePlan plan;
    std::uint64_t linked = 0;  // files
    std::uint64_t cloned = 0;
    std::uint64_t copied = 0;
    std::uint64_t keys = 0;     // with a choice of keys: those
    std::uint64_t shifted = 0;  // keys whose expiry was moved or dropped
};

// What belongs to the moment; a backup takes the same.
[[nodiscard]] Opening<RestorePlan> plan_of(const History& history, io::Clock& clock,
                                           const Moment& moment);
// The source's manifest, had it stopped cleanly at the moment.
[[nodiscard]] engine::Manifest manifest_of(const History& history, const RestorePlan& plan);
// Writes the file that the moment lies in, up to there. Returns how many bytes of it count.
[[nodiscard]] Opening<std::uint64_t> write_last_file(History& history, const RestorePlan& plan,
                                                     io::Files& to, const std::string& name);

[[nodiscard]] Opening<RestorePlan> plan_restore(io::Files& from, io::Clock& clock,
                                                const RestoreOptions& options);

// `to` is an empty directory; `io` writes the new store's log. What a refusal or a crash leaves in
// `to` is to be removed, though it may open: its expiries may be shifted in part. What is returned
// is durable, name and all, and was stopped cleanly.
[[nodiscard]] Opening<Restored> restore(io::Files& from, io::Files& to, io::Clock& clock,
                                        io::Io& io, const RestoreOptions& options);

}  // namespace firnlog::recovery
