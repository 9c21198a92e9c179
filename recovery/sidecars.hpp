#pragma once
// Sidecars: those of a store that is served, made behind its log and looked up in.
//
//   full files            | 12 | 13 | 14 |         a file each: 0000000012.side
//   the one in use                        | 15 …   a draft in memory, read on as the log grows
//
// A look-up goes by the file, or makes good what is missing: the draft is read on to where it is
// asked for, and becomes the file of a log file that is full. So it finds the same whatever pass()
// has done or a crash has left, only later. What is made is never waited for, and all of it may go
// at any time: shed().
//
// Any thread; `mutex_` guards drafts and counts, and is held while a piece of log is read, and
// while a look-up makes a whole one: by threads alone that may wait so long.

#include <functional>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "recovery/sidecar_file.hpp"

namespace firnlog::recovery {

class Sidecars {
  public:
    Sidecars(io::Files& files, const engine::StoreId& store_id, const engine::Hasher& its_hasher,
             std::function<bool()> give_up = {})
        : hasher(its_hasher), files_(files), store_id_(store_id), give_up_(std::move(give_up)) {}
    Sidecars(const Sidecars&) = delete;
    Sidecars& operator=(const Sidecars&) = delete;

    const engine::SidecarHasher hasher;

    // Where in the stretch what has these hashes lies, in the order of the log. An error is the
    // log's, or Code::busy: `give_up`, asked piece by piece of log that has to be read, said so.
    using Entries = std::vector<engine::SidecarEntry>;
    [[nodiscard]] Result<Entries> find(const LogStretch& stretch, SidecarRanges ranges);

    // Makes what is missing for these, which are all of the log that is there; the newest first.
    // Sidecars of other files go. `pace` is asked before so many bytes of log are read, and may
    // wait; false gives up.
    using Pace = std::function<bool(std::uint64_t bytes)>;
    Result<void> pass(const std::vector<LogStretch>& stretches, const Pace& pace);
    // Whether any is written from now on, by passes and look-ups; at first they are.
    void may_write(bool may);
    // All of them go.
    Result<void> shed();

    struct Told {
        std::uint64_t files = 0;
        std::uint64_t bytes = 0;
        std::uint64_t missing = 0;  // full log files without one
        std::uint64_t made = 0;     // since the start
        std::uint64_t unfit = 0;    // found damaged, or of no use any more, since the start
    };
    [[nodiscard]] Told told() const;  // waits for nobody who reads

  private:
    static constexpr std::uint64_t kPieceBytes = std::uint64_t{1} << 20;
    // Under the mutex.
    [[nodiscard]] SidecarDraft& draft_of(const LogStretch& stretch);
    Result<void> make(const LogStretch& stretch);
    [[nodiscard]] Result<void> read_to_end(const LogStretch& stretch);
    [[nodiscard]] Result<std::uint64_t> write(const SidecarDraft& draft);
    void note_made(engine::FileNumber number, std::uint64_t bytes);
    void publish();
    void forget(engine::FileNumber number);
    // Whether a file of it is there, as far as its header tells.
    [[nodiscard]] bool has(const LogStretch& stretch);
    [[nodiscard]] Result<void> build(const LogStretch& stretch, const Pace& pace, bool& going);

    io::Files& files_;
    const engine::StoreId store_id_;
    const std::function<bool()> give_up_;

    mutable std::mutex mutex_;
    std::map<engine::FileNumber, SidecarDraft> drafts_;
    std::map<engine::FileNumber, std::uint64_t> made_;  // files that are there, and their sizes
    bool may_write_ = true;
    // A pass writes its sidecar, and its draft stands for it until that is done; 0: none.
    engine::FileNumber writing_ = 0;
    Told told_;

    mutable std::mutex published_mutex_;
    Told published_;  // what told_ and made_ say
};

}  // namespace firnlog::recovery
