#pragma once
// Past: a store as it was at a moment, in memory, and read-only.
//
//   moment ──History::find──> lsn ──newest base with hi <= lsn──> checkpoint ──log up to lsn──>
//   index
//
// The same functions build it that a start uses; what nobody touches of the index may stay in the
// checkpoint (PastOptions::waits). Its clock stands still: what expires goes by the
// moment's time and never by the wall. Files that a server unlinks meanwhile stay readable: they
// are held open.

#include <functional>
#include <memory>

#include "engine/engine.hpp"
#include "recovery/history.hpp"

namespace firnlog::recovery {

struct PastOptions {
    Moment moment;
    std::optional<std::int64_t> expiry_us = {};  // what expiry goes by, if not the moment's time
    std::int64_t now_us = 0;                     // what a moment that has not come yet is told by
    std::uint32_t databases = 16;                // at least
    engine::FileNumber without = 0;              // a checkpoint that is not to be begun with
    // Stripes may wait in the checkpoint until somebody touches them. What is damaged in one shows
    // then, and its keys cannot be read (Stop::lost): without, another checkpoint would be
    // begun with.
    bool waits = false;
    std::function<void(const Progress&)> progress;
    std::function<bool()> give_up;
    std::optional<Serving> serving = {};
};

class Past {
  public:
    struct Facts {
        Place place;
        engine::FileNumber checkpoint = 0;  // it began with; 0: with the store's birth
        std::uint64_t bytes = 0;            // of log read
        std::uint64_t records = 0;          // replayed
    };

    Past(std::unique_ptr<History> history, std::unique_ptr<io::Clock> clock,
         std::unique_ptr<engine::Engine> engine, Facts facts);
    ~Past();
    Past(const Past&) = delete;
    Past& operator=(const Past&) = delete;

    [[nodiscard]] engine::Engine& engine() { return *engine_; }
    [[nodiscard]] const History& history() const { return *history_; }
    [[nodiscard]] const Facts& facts() const { return facts_; }

  private:
    std::unique_ptr<History> history_;
    std::unique_ptr<io::Clock> clock_;
    std::unique_ptr<engine::Engine> engine_;
    Facts facts_;
};

// The index of a history's moment, and the files that it leads into, as a store.
struct PastParts {
    std::unique_ptr<History> history;
    std::unique_ptr<engine::Keyspace> keyspace;
    std::unique_ptr<engine::Loader> loader = {};  // null: every stripe is there
    std::unique_ptr<engine::Segments> segments;
    Past::Facts facts;  // whose time is what expiry goes by
};
[[nodiscard]] std::unique_ptr<Past> make_past(PastParts parts, std::uint32_t databases);

// Where the moment lies. Refused as by History.
[[nodiscard]] Opening<Place> find_moment(io::Files& files, const Moment& moment,
                                         std::int64_t now_us,
                                         const std::optional<Serving>& serving = {});

// Of its index these stripes, and whatever the log since the checkpoint has touched: the others
// wait, and are never to be fetched. Refused as by History.
[[nodiscard]] Opening<std::unique_ptr<engine::Keyspace>> stripes_of_past(
    io::Files& files, const PastOptions& options, const std::vector<engine::Stripe>& stripes);

// `files` outlives it. Refused as by History.
[[nodiscard]] Opening<std::unique_ptr<Past>> open_past(io::Files& files,
                                                       const PastOptions& options);

}  // namespace firnlog::recovery
