#pragma once
// History: the log of a store as it lies there, for those who read it beside its writer, and the
// moments in it.
//
//   pieces   | file 1 |  given back  | file 3 | file 4 |    | file 7      |
//                                      ^first lsn           ^timeline 2   ^end
//   checkpoints                         [lo hi]          [lo   hi]
//
// A moment can be opened if a base for it is there: a checkpoint whose hi is not behind it and
// whose log from lo on is there, or the store's birth if the log begins with it. Of a kept moment
// before that only its own stretch of log is there: it opens at its hi and nowhere else. Timelines
// follow each other without lsns between them being anybody's.
//
// Nothing is changed and no lock is taken. What a server does meanwhile shows as a file that is
// missing (Code::missing): the caller reads the history again.
//
// The process that serves the store knows where its log ends, and has sidecars: then nothing is
// read to its end to find a place in it (Serving, search).

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "recovery/moment.hpp"
#include "recovery/open.hpp"
#include "recovery/settled_files.hpp"
#include "recovery/sidecars.hpp"
#include "recovery/survey.hpp"

namespace firnlog::recovery {

// By this process.
struct Serving {
    engine::Lsn end;     // the log is durable up to there, the end of a batch
    Sidecars& sidecars;  // outlive whoever reads
};

class History {
  public:
    // Code::missing: there is no store here, or it changed under our hands. Code::damaged:
    // acknowledged bytes at the log's end are not what was written.
    [[nodiscard]] static Opening<std::unique_ptr<History>> read(
        io::Files& files, const std::optional<Serving>& serving = {});

    // A file of the log and the lsn where its part of it ends.
    struct Piece {
        LogFile file;
        engine::Lsn end;
    };

    [[nodiscard]] const engine::Manifest& manifest() const { return manifest_; }
    // The directory as the next start would find it.
    [[nodiscard]] io::Files& files() { return settled_; }
    [[nodiscard]] const std::vector<Piece>& pieces() const { return pieces_; }
    // Whether the log goes on behind it without a gap; else its end is only where it must be over.
    [[nodiscard]] bool goes_on(const Piece& piece) const { return piece.end > begin(); }
    // [begin, end): the log that is there without a gap.
    [[nodiscard]] engine::Lsn begin() const {
        const auto first = run_ != pieces_.size() ? pieces_[run_].file.base() : end_;
        // There is no gap before it if only timelines' ends lie between.
        return next_of(manifest_.first_lsn) == first ? manifest_.first_lsn
                                                     : std::max(first, manifest_.first_lsn);
    }
    [[nodiscard]] engine::Lsn end() const { return end_; }

    // The log goes back to the store's birth.
    [[nodiscard]] bool is_whole() const;
    // From here on every moment can be opened; before it those that were kept.
    [[nodiscard]] engine::Lsn oldest() const;
    // When it was committed, as far as the log tells.
    [[nodiscard]] Opening<Place> oldest_place() const;

    // Where the moment lies. Refused, with a text that tells what there is, if it is older than the
    // oldest one, or not there yet.
    [[nodiscard]] Opening<Place> find(const Moment& moment, std::int64_t now_us) const;

    // The checkpoints that can be a base for it, the newest first; of a kept moment, it alone.
    [[nodiscard]] std::vector<engine::CheckpointEntry> bases_of(engine::Lsn lsn) const;

    // The frames that hold records of [from, to), in order, each cut off at `to`; false from `see`
    // ends it. Code::damaged with the place, if one is not what was written.
    using See = std::function<bool(const LogReader::Frame&, engine::FileNumber)>;
    [[nodiscard]] Opening<void> visit(engine::Lsn from, engine::Lsn to, const See& see) const;

    // The timeline that wrote this place, or ended there.
    [[nodiscard]] engine::Timeline timeline_of(engine::Lsn lsn) const;

    // ---- By sidecars (recovery/history_search.cpp).

    [[nodiscard]] bool is_served() const { return serving_.has_value(); }
    // The log without a gap, file by file: what sidecars are made for.
    [[nodiscard]] std::vector<LogStretch> stretches() const;
    struct Spot {
        LogStretch stretch;
        std::uint64_t offset = 0;
        std::uint32_t hash = 0;
        [[nodiscard]] engine::Lsn lsn() const { return stretch.lsn_at(offset); }
    };
    // Where in [from, to), which lies in the log without a gap, records with these hashes may lie;
    // ascending. Of a history that is served.
    [[nodiscard]] Opening<std::vector<Spot>> search(engine::Lsn from, engine::Lsn to,
                                                    SidecarRanges ranges) const;
    // What stands around a record.
    struct Around {
        engine::Timeline timeline = 0;
        std::int64_t commit_us = 0;
        engine::Lsn frame_end;
        Place after;  // the end of its batch
    };
    [[nodiscard]] Opening<Around> around(engine::Lsn lsn) const;

  private:
    History(io::Files& files, const std::optional<Serving>& serving)
        : serving_(serving), settled_(files, manifest_) {}
    Opening<void> read_chain();
    void cut_pieces(std::vector<LogFile> chain);
    [[nodiscard]] LogStretch stretch_of(const Piece& piece) const;
    // The offsets of frames of the piece from which it can be read, but for its first; ascending.
    [[nodiscard]] std::vector<std::uint64_t> landmarks_of(const Piece& piece) const;
    // Where to begin reading for what is from `lsn` on.
    [[nodiscard]] std::uint64_t frame_before(const Piece& piece, engine::Lsn lsn) const;
    // The last one of that name.
    [[nodiscard]] Opening<std::optional<engine::Lsn>> find_mark_in(const Piece& piece,
                                                                   const std::string& name) const;
    [[nodiscard]] Opening<std::optional<engine::Lsn>> find_mark_by_sidecar(
        const Piece& piece, const std::string& name) const;
    // Where the log goes on behind a place that may be a timeline's end.
    [[nodiscard]] engine::Lsn next_of(engine::Lsn lsn) const;
    // When the frame there was committed; nothing if there is none.
    [[nodiscard]] Result<std::optional<std::int64_t>> commit_at(const Piece& piece,
                                                                std::uint64_t offset) const;
    // The end of the last batch that is not behind `limit`, committed by `us_max`.
    [[nodiscard]] Opening<Place> last_end(engine::Lsn limit, std::int64_t us_max) const;
    // The same within [from, to) of one file, if there is one. `younger` becomes where what is
    // committed later begins.
    [[nodiscard]] Opening<std::optional<Place>> last_end_in(engine::Lsn from, engine::Lsn to,
                                                            std::int64_t us_max,
                                                            engine::Lsn& younger) const;
    [[nodiscard]] Opening<Place> find_time(std::int64_t us) const;
    [[nodiscard]] Opening<Place> find_lsn(const Moment& moment) const;
    [[nodiscard]] Opening<Place> find_mark(const std::string& name) const;
    [[nodiscard]] Place birth() const;
    [[nodiscard]] const engine::CheckpointEntry* kept_at(engine::Lsn lsn) const;
    [[nodiscard]] Place place_of(const engine::CheckpointEntry& kept) const;
    [[nodiscard]] std::string text_of_kept_around(const Moment& moment) const;

    const std::optional<Serving> serving_;
    engine::Manifest manifest_;
    mutable SettledFiles settled_;
    std::vector<Piece> pieces_;
    std::size_t run_ = 0;  // in pieces_: from there on nothing was given back
    engine::Lsn end_;
};

// Reads the history and does something with it; again, if files went away or were in motion
// meanwhile because a server runs, starts or stops there.
template <class Run>
[[nodiscard]] auto with_history(io::Files& files, Run&& run,
                                const std::optional<Serving>& serving = {})
    -> decltype(run(std::declval<std::unique_ptr<History>>())) {
    const auto may_pass = [](const Refusal& refusal) {
        return refusal.error.code == Code::missing || refusal.error.code == Code::damaged;
    };
    for (int tries_left = 2;; --tries_left) {
        auto history = History::read(files, serving);
        if (history) {
            auto done = run(std::move(*history));
            if (done || tries_left == 0 || !may_pass(done.error())) return done;
        } else if (tries_left == 0 || !may_pass(history.error())) {
            return tl::unexpected(history.error());
        }
    }
}

}  // namespace firnlog::recovery
