#pragma once
// Archiver: brings a store's log out of the house while it is written, and what it takes to begin
// with: checkpoints, the segments that they lead into, and the manifest.
//
//   log   | segment | segment | segment | in use …   durable |  written
//         '--------- archived ----------'---^ position       and no byte further
//
//   round():  manifest, if there is a new timeline ──> log up to what is durable
//             ──> the checkpoints that are not there yet, the tail again between their pieces
//             ──> the manifest that names them
//
// Everything before `position` is in the archive, in order and without a gap: a piece counts when
// all before it do. Pieces end where a batch ends and begin where one ended, so that each state of
// the archive is a moment. A full segment is brought as a whole, and then its pieces go; many small
// pieces are put together before. What the store has given up before it was here is a gap: it is
// told of, and a new run begins with the checkpoint that comes next.
//
// Where it stands is looked for when it begins: in the directory by what lies there, with a command
// in a small file in the store. To bring something twice is harmless: the same bytes have the same
// name (engine/format/archive.hpp).
//
// The store is only read, beside its server. Not thread-safe.

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/format/archive.hpp"
#include "engine/format/frame.hpp"
#include "engine/format/manifest.hpp"
#include "engine/format/record.hpp"
#include "io/files.hpp"
#include "recovery/archived_log.hpp"
#include "recovery/log_reader.hpp"
#include "recovery/refusal.hpp"

namespace firnlog::recovery {

struct ArchiverOptions {
    // A directory. Null: `command` takes them from a folder in the store.
    io::Files* to = nullptr;
    // Takes "archive/NAME" of the store to wherever the archive is, as NAME. It may be called again
    // for what it has taken.
    std::function<Opening<void>(const std::string& name)> command = {};
    // Between the pieces of something large; false gives up (Code::busy).
    std::function<bool()> going = {};
    // What is durable now, and whether the tail is due; asked for meanwhile.
    std::function<engine::Lsn()> durable = {};
    std::function<bool()> tail_due = {};
    // Between so many bytes of something large the tail has its turn.
    std::uint64_t tail_every_bytes = std::uint64_t{8} << 20;
};

// A folder in the store: what is on its way to the command, and where it stands.
inline constexpr std::string_view kArchiveFolder = "archive";

class Archiver {
  public:
    // `from` is the store, open for writing or not.
    Archiver(io::Files& from, ArchiverOptions options)
        : from_(from), options_(std::move(options)) {}

    // Finds out where it stands. Code::usage: this archive is not for this store.
    [[nodiscard]] Opening<void> begin();
    // What there is to bring: full segments and checkpoints; the newest stretch of the segment in
    // use as well; or that and no checkpoints, for there is little time.
    enum class Bring : std::uint8_t { full, all, log };
    // What came before a refusal counts.
    [[nodiscard]] Opening<void> round(Bring what);

    struct Gap {
        engine::Lsn from;
        engine::Lsn to;
    };
    struct Counts {
        std::uint64_t files = 0;
        std::uint64_t bytes = 0;
        std::uint64_t gaps = 0;
    };
    [[nodiscard]] engine::Lsn position() const { return position_; }
    [[nodiscard]] const Counts& counts() const { return counts_; }
    [[nodiscard]] const std::string& last_name() const { return last_name_; }
    // The newest; there may be none.
    [[nodiscard]] const std::optional<Gap>& gap() const { return gap_; }
    // A moment can be restored from what is there.
    [[nodiscard]] bool has_base() const { return has_base_; }
    // The store needs its log from here on, for the archive's sake.
    [[nodiscard]] engine::Lsn needs() const { return has_base_ ? position_ : begin_; }
    // When what comes next was committed, if there is something.
    [[nodiscard]] std::optional<std::int64_t> next_commit_us() const { return next_commit_us_; }

  private:
    // How far the frames of a file are there.
    struct Stretch {
        engine::Lsn batch_end;
        engine::Lsn end;
        bool fits = true;  // what is behind it is not durable, or not there
    };
    class Making;  // a file that is being made, aside

    [[nodiscard]] Opening<void> look_at_directory();
    [[nodiscard]] Opening<void> look_at_manifests(const std::vector<engine::Archived>& names);
    [[nodiscard]] Opening<void> look_at_log(const std::vector<engine::Archived>& names);
    [[nodiscard]] Opening<void> look_at_folder();
    void read_state(std::string_view text);
    [[nodiscard]] Opening<void> write_state();
    [[nodiscard]] Opening<void> look_at_manifest();
    [[nodiscard]] Opening<void> look_at_files();
    [[nodiscard]] engine::Lsn oldest_base() const;
    void begin_run(engine::Lsn at);
    [[nodiscard]] bool is_there(const engine::CheckpointEntry& entry,
                                const std::vector<engine::Archived>& names) const;

    [[nodiscard]] Opening<void> bring_log(engine::Lsn durable, bool tail);
    [[nodiscard]] Opening<bool> bring_next(engine::Lsn durable, bool tail);
    [[nodiscard]] Opening<bool> skip_gap(engine::Lsn durable);
    [[nodiscard]] const LogFile* file_at(engine::Lsn lsn) const;
    [[nodiscard]] std::optional<engine::Lsn> end_of(engine::Timeline timeline) const;
    [[nodiscard]] Result<Stretch> look_at_frames(const LogFile& file, engine::Lsn from,
                                                 engine::Lsn limit);
    [[nodiscard]] Opening<void> bring_piece(const LogFile& file, engine::Lsn to);
    [[nodiscard]] Opening<void> bring_segment(const LogFile& file, engine::Lsn to);
    [[nodiscard]] Opening<void> bring_segment_behind(const LogFile* file);
    [[nodiscard]] Opening<void> bring_stretch(const LogFile& file, engine::ArchivedKind kind,
                                              engine::Lsn from, engine::Lsn to,
                                              engine::Archived& made);
    [[nodiscard]] Opening<void> bring_checkpoints();
    [[nodiscard]] Opening<void> bring_checkpoint(const engine::CheckpointEntry& entry);
    [[nodiscard]] Opening<void> bring_named(engine::FileNumber number);
    [[nodiscard]] Opening<void> bring_file(engine::Archived what, const std::string& name);
    [[nodiscard]] Opening<void> bring_manifest();
    void look_for_base();
    void remove_pieces(const std::vector<engine::Archived>& pieces);

    // Sets the tag. `aside`: a name that nothing else has.
    [[nodiscard]] Opening<void> make(engine::Archived& what, std::string_view aside,
                                     const std::function<Result<void>(Making&)>& write);
    [[nodiscard]] Opening<void> hand_over(const engine::Archived& what);
    [[nodiscard]] Result<void> copy(int fd, std::uint64_t from, std::uint64_t bytes, Making& to);
    [[nodiscard]] Result<void> between_pieces();
    [[nodiscard]] io::Files& target() { return options_.to != nullptr ? *options_.to : from_; }
    [[nodiscard]] std::string in_target(const std::string& name) const;

    io::Files& from_;
    const ArchiverOptions options_;
    std::unique_ptr<io::Lock> lock_;

    // Of the store, as it was looked at last.
    engine::Manifest manifest_;
    std::vector<std::byte> manifest_bytes_;
    std::map<engine::FileNumber, LogFile> headers_;
    std::vector<LogFile> chain_;  // in use, by base

    // Of the archive.
    bool any_ = false;  // there is a run
    engine::Lsn begin_;
    engine::Lsn position_;
    bool has_base_ = false;
    engine::Timeline manifest_timeline_ = 0;  // of the newest manifest there
    std::uint64_t manifest_sequence_ = 0;
    std::set<engine::FileNumber> segments_;  // full ones
    std::set<engine::FileNumber> packed_;
    std::set<engine::FileNumber> checkpoints_;
    std::vector<engine::Archived> pieces_;  // of the segment in use; with a directory only

    bool is_amid_large_ = false;  // something that is brought piece by piece
    Counts counts_;
    std::string last_name_;
    std::optional<Gap> gap_;
    std::optional<std::int64_t> next_commit_us_;
};

}  // namespace firnlog::recovery
