#include "recovery/open.hpp"

#include <algorithm>
#include <utility>

#include "engine/format/names.hpp"
#include "engine/manifest_file.hpp"
#include "engine/reserve.hpp"
#include "io/base/mutant.hpp"
#include "recovery/base.hpp"
#include "recovery/kept_tail.hpp"
#include "recovery/map_segment.hpp"
#include "recovery/past.hpp"
#include "recovery/read_ahead.hpp"
#include "recovery/replay.hpp"
#include "recovery/sealed_plan.hpp"
#include "recovery/settle.hpp"
#include "recovery/tail_scan.hpp"

namespace firnlog::recovery {
namespace {

namespace names = engine::names;
using engine::FileNumber;
using engine::Lsn;

constexpr std::uint64_t kBlock = 4096;

// One opening, step by step; each step leaves what the next one needs.
class Opener {
  public:
    Opener(io::Files& files, io::Clock& clock, OpenOptions options)
        : files_(files), clock_(clock), options_(std::move(options)) {}

    Opening<std::unique_ptr<Store>> run();

  private:
    Opening<void> take_lock();
    Opening<void> read_or_make_manifest();
    Opening<void> finish_last_switch();
    Opening<void> find_chain();
    Opening<void> scan();
    Opening<void> decide();
    Opening<void> load_index();
    Opening<void> load_base();
    Result<void> find_named(FileNumber named);
    Result<void> open_packed(FileNumber number);
    Opening<void> replay_sealed();
    Opening<void> open_named();
    Result<void> leave_touched_files();
    Opening<void> switch_manifest();
    Opening<void> replay_tail();
    Opening<void> map_tail();
    Result<void> open_log(const LogFile& file, std::uint64_t end);
    [[nodiscard]] engine::Loader::Rebuild rebuild() const;
    void leave_out(const FaultyCheckpoint& checkpoint);
    void apply(LogReader& reader, FileNumber number, std::uint64_t end);
    bool tell_progress(std::uint64_t bytes);  // false: somebody wants it to stop
    static Opening<void> stopped();

    io::Files& files_;
    io::Clock& clock_;
    OpenOptions options_;

    std::unique_ptr<io::Lock> lock_;
    engine::Manifest manifest_;
    Report report_;
    Progress progress_;

    std::vector<LogFile> chain_;                   // in the order of their bases
    std::vector<LogFile> strays_;                  // headers that do not fit
    std::vector<FileNumber> unused_;               // made ready, never written
    std::optional<engine::CheckpointEntry> base_;  // loaded
    std::vector<FileNumber> faulty_;               // checkpoints that could not be
    std::size_t first_ = 0;                        // in chain_: where replay begins
    TailScan tail_;
    std::vector<KeptFile> kept_;       // of the tail's files, the first ones
    std::vector<engine::Move> moves_;  // with those of this start
    FileNumber next_file_ = 1;
    Lsn next_lsn_;

    std::unique_ptr<engine::Segments> segments_;
    std::unique_ptr<engine::Keyspace> keyspace_;
    std::unique_ptr<engine::Loader> loader_;
    std::unique_ptr<Replay> replay_;
};

Opening<void> Opener::take_lock() {
    auto lock = files_.lock(names::kLock);
    if (!lock) {
        if (lock.error().code == Code::busy)
            return refuse(lock.error(), "another process has this directory open");
        return refuse(lock.error());
    }
    lock_ = std::move(*lock);
    if (options_.locked) options_.locked();
    return {};
}

Opening<void> Opener::read_or_make_manifest() {
    auto manifest = engine::read_manifest(files_);
    if (manifest) {
        manifest_ = std::move(*manifest);
        return {};
    }
    if (manifest.error().code != Code::missing)
        return refuse(manifest.error(),
                      std::string(names::kManifest) + ": " + manifest.error().text());
    auto listed = files_.list();
    if (!listed) return refuse(listed.error());
    for (const auto& info : *listed)
        if (names::log_number(info.name))
            return refuse({.code = Code::damaged, .doing = "open the store"},
                          "damaged: there is " + info.name + " but no manifest");
    if (!options_.create)
        return refuse({.code = Code::missing, .doing = "open the store"},
                      "not a store: there is no manifest");
    clock_.entropy(manifest_.store_id);
    clock_.entropy(manifest_.hash_secret);
    manifest_.created_us = clock_.wall().us;
    manifest_.first_lsn = engine::kFirstLsn;
    manifest_.timelines.push_back(
        {.timeline = 1, .begin = engine::kFirstLsn, .end = {}, .started_us = manifest_.created_us});
    if (auto written = engine::write_manifest(files_, manifest_); !written)
        return refuse(written.error());
    report_.created = true;
    return {};
}

Opening<void> Opener::finish_last_switch() {
    if (auto settled = settle(files_, manifest_); !settled) return refuse(settled.error());
    return {};
}

Opening<void> Opener::find_chain() {
    auto found = find_log_files(files_, manifest_.store_id);
    if (!found) return refuse(found.error());
    next_file_ = manifest_.files_end;
    for (auto& file : *found) {
        next_file_ = std::max(next_file_, file.number + 1);
        switch (file.header.fault) {
            case engine::HeaderFault::none:
                chain_.push_back(file);
                break;
            case engine::HeaderFault::unused:
                // Not even its header was written; frames in it were never acknowledged, but a
                // voucher among them would tell of a lost header.
                unused_.push_back(file.number);
                break;
            case engine::HeaderFault::damaged:
                strays_.push_back(file);
                break;
            case engine::HeaderFault::version:
                return refuse({.code = Code::version, .file = file.number, .doing = "open the log"},
                              names::log_file(file.number) + " was made by format version " +
                                  std::to_string(file.header.version) + ", this build reads " +
                                  std::to_string(engine::kFormatVersion));
            case engine::HeaderFault::foreign:
                return refuse({.code = Code::usage, .file = file.number, .doing = "open the log"},
                              names::log_file(file.number) + " belongs to another store");
        }
    }
    auto listed = files_.list();
    if (!listed) return refuse(listed.error());
    for (const auto& info : *listed)
        if (const auto number = names::any_number(info.name))
            next_file_ = std::max(next_file_, *number + 1);
    std::ranges::sort(chain_, {}, &LogFile::base);
    report_.files = chain_.size();
    return {};
}

Opening<void> Opener::stopped() {
    return refuse({.code = Code::busy, .doing = "replay the log"}, "stopped while loading");
}

bool Opener::tell_progress(std::uint64_t bytes) {
    progress_.bytes_done += bytes;
    if (replay_) progress_.records = replay_->records();
    if (options_.progress) options_.progress(progress_);
    return !options_.give_up || !options_.give_up();
}

void Opener::apply(LogReader& reader, FileNumber number, std::uint64_t end) {
    reader.rewind();
    while (reader.end_offset() < end) {
        const auto frame = reader.next();
        ensure(frame.has_value(), "a frame that was verified stays valid");
        auto kept = *frame;
        const auto begin = frame->offset + engine::kFrameHeaderBytes;
        if (begin + kept.records.size() > end) kept.cut(end - begin);
        replay_->apply(kept, number);
    }
}

Opening<void> Opener::scan() {
    segments_ = std::make_unique<engine::Segments>();
    const auto vouched = manifest_.vouched();
    progress_ = {.phase = Progress::Phase::looking};
    auto scanned =
        scan_tail(files_, manifest_.store_id, chain_, strays_, manifest_.timelines.back().begin,
                  vouched, [&](std::uint64_t bytes) { return tell_progress(bytes); });
    if (!scanned) return tl::unexpected(scanned.error());
    tail_ = std::move(*scanned);
    tail_.vouched = std::max(tail_.vouched, vouched);
    return {};
}

// A file that a checkpoint's pages lead into is there.
Result<void> Opener::find_named(FileNumber named) {
    const auto number = engine::Moves(manifest_.moves)(named);
    if (std::ranges::binary_search(manifest_.packed, number)) return open_packed(number);
    if (std::ranges::count(chain_, number, &LogFile::number) != 0) return {};
    return fail(Error{
        .code = Code::missing, .file = named, .doing = "find a file that a checkpoint names"});
}

Result<void> Opener::open_packed(FileNumber number) {
    if (segments_->find(number) != nullptr) return {};
    auto segment = map_packed(files_, manifest_.store_id, number);
    if (!segment) return fail(segment);
    segments_->add(std::move(*segment));
    return {};
}

// Until no part of it turned out to be damaged on the way.
Opening<void> Opener::load_index() {
    for (;;) {
        if (auto loaded = load_base(); !loaded) return loaded;
        if (auto replayed = replay_sealed(); !replayed) return replayed;
        if (auto replayed = replay_tail(); !replayed) return replayed;
        if (keyspace_->lost() == 0) return {};
        leave_out({.number = base_->number, .why = *loader_->fault()});
    }
}

void Opener::leave_out(const FaultyCheckpoint& checkpoint) {
    if (report_.checkpoint_fault.empty()) report_.checkpoint_fault = checkpoint.text();
    faulty_.push_back(checkpoint.number);
    std::erase_if(manifest_.checkpoints, [&](const engine::CheckpointEntry& entry) {
        return entry.number == checkpoint.number;
    });
}

Opening<void> Opener::load_base() {
    auto base = recovery::load_base(files_, manifest_,
                                    {.moves = engine::Moves(moves_),
                                     .find = [&](FileNumber named) { return find_named(named); },
                                     .give_up = options_.give_up,
                                     .waits = options_.waits});
    if (!base) return tl::unexpected(base.error());
    replay_.reset();
    loader_ = std::move(base->loader);
    keyspace_ = std::move(base->keyspace);
    replay_ = std::make_unique<Replay>(*keyspace_, std::move(base->stamps), options_.lanes);
    base_ = std::move(base->entry);
    for (const auto& checkpoint : base->faulty) leave_out(checkpoint);
    report_.checkpoint = base_ ? base_->number : 0;
    report_.checkpoint_bytes = base->bytes;
    report_.bytes = 0;
    progress_ = {};
    first_ = 0;
    // The last file that begins at lo or before it; there is none when lo is where the log ended.
    while (base_ && first_ + 1 < chain_.size() && chain_[first_ + 1].base() <= base_->lo) ++first_;
    for (std::size_t i = first_; i < chain_.size(); ++i) progress_.bytes_all += chain_[i].bytes;
    return {};
}

// Files before the place where replay begins: the checkpoint leads into some of them.
Opening<void> Opener::open_named() {
    // Those that only another checkpoint leads into; one that is damaged spoils that one alone.
    for (const auto number : manifest_.packed) (void)open_packed(number);
    for (std::size_t i = 0; i < std::min(first_, tail_.first); ++i) {
        if (auto opened = open_log(chain_[i], chain_[i].bytes); !opened)
            return refuse(opened.error());
    }
    return {};
}

Result<void> Opener::open_log(const LogFile& file, std::uint64_t end) {
    if (segments_->find(file.number) != nullptr) return {};
    auto segment = map_segment(files_, file, end);
    if (!segment) return fail(segment);
    segments_->add(std::move(*segment));
    return {};
}

Opening<void> Opener::replay_sealed() {
    if (auto opened = open_named(); !opened) return opened;
    if (base_ && first_ >= tail_.first && tail_.first < chain_.size()) return {};
    ReplayRange range{.lo = {}, .first = first_, .tail = tail_.first, .vouched = tail_.vouched};
    if (base_) range.lo = base_->lo;
    const auto plan = plan_sealed(chain_, manifest_, range);
    if (!plan) return tl::unexpected(plan.error());
    ReadAhead ahead(files_, manifest_.store_id,
                    options_.lanes != 0 ? std::launch::async : std::launch::deferred);
    const auto begin = [&](std::size_t i) {
        if (i < plan->size()) ahead.begin(chain_[(*plan)[i].file], (*plan)[i].end);
    };
    begin(0);
    for (std::size_t i = 0; i < plan->size(); ++i) {
        const auto& file = chain_[(*plan)[i].file];
        const auto end = (*plan)[i].end;
        auto read = ahead.take();
        begin(i + 1);
        if (!read.loaded) return refuse(read.loaded.error());
        const auto& reader = read.reader;
        if (reader.end() < end)
            return tl::unexpected(damaged_at(reader, end, reader.look_behind().records));
        for (const auto& frame : read.frames) replay_->apply(frame, file.number);
        replay_->settle();
        if (auto opened = open_log(file, reader.end_offset()); !opened)
            return refuse(opened.error());
        report_.bytes += reader.end_offset();
        ahead.give_back(std::move(read));
        if (!tell_progress(file.bytes)) return stopped();
    }
    return {};
}

// Where the log goes on, and with which files.
Opening<void> Opener::decide() {
    const auto& current = manifest_.timelines.back();
    moves_ = manifest_.moves;
    if (tail_.readers.empty()) tail_.cut.lsn = manifest_.clean ? current.end : current.begin;
    if (manifest_.clean) {
        if (!tail_.readers.empty() && tail_.cut.lsn != current.end) {
            const auto& reader = tail_.readers.back();
            return tl::unexpected(damaged_at(reader, current.end, reader.look_behind().records));
        }
        next_lsn_ = current.end;
        report_.clean = true;
        for (auto& reader : tail_.readers)
            kept_.push_back({.number = reader.file().number, .end = reader.end_offset()});
        manifest_.retired = unused_;
        manifest_.adopted.clear();
        return {};
    }
    kept_ = kept_files(tail_, next_file_);
    for (std::size_t i = 0; i < kept_.size(); ++i)
        engine::add_move(moves_, {tail_.readers[i].file().number, kept_[i].number});
    // Past every place that could have been written: no lsn is ever used twice in a timeline's
    // number, nor seen by a reader of the old files and then again.
    std::uint64_t room = 0;
    for (auto i = tail_.first; i < chain_.size(); ++i) room += chain_[i].bytes;
    for (const auto& file : strays_) room += file.bytes;
    auto listed = files_.list();
    if (!listed) return refuse(listed.error());
    for (const auto& info : *listed)
        if (const auto number = names::log_number(info.name);
            number && std::ranges::count(unused_, *number) != 0)
            room += info.bytes;
    if (planted("lsn_used_twice")) room = 0;
    next_lsn_ = {align_up(tail_.cut.lsn.value + room + kBlock, kBlock)};
    if (report_.created) next_lsn_ = current.begin;
    return {};
}

// What is kept of them is written anew; from the manifest's switch on they count no more.
Result<void> Opener::leave_touched_files() {
    progress_ = {.phase = Progress::Phase::writing};
    for (const auto& file : kept_) progress_.bytes_all += file.end;
    if (auto written = write_kept_tail(files_, tail_, kept_,
                                       [&](std::uint64_t bytes) { return tell_progress(bytes); });
        !written)
        return written;
    auto torn = keep_in_quarantine(files_, tail_, manifest_.timelines.back().timeline);
    if (!torn) return fail(torn);
    report_.torn_bytes = torn->bytes;
    report_.torn_at = std::move(torn->at);
    manifest_.adopted.clear();
    if (!planted("kept_tail_not_adopted"))
        for (const auto& file : kept_) manifest_.adopted.push_back(file.number);
    manifest_.retired = unused_;
    for (const auto& file : strays_) manifest_.retired.push_back(file.number);
    for (const auto& reader : tail_.readers) manifest_.retired.push_back(reader.file().number);
    if (planted("kept_tail_name_not_synced")) return {};
    return files_.sync_dir();
}

Opening<void> Opener::switch_manifest() {
    // What was just made says all of it already.
    if (report_.created) return {};
    const auto now_us = clock_.wall().us;
    if (!report_.clean) {
        // What is written anew needs room, and the disk may be full.
        if (auto gone = engine::Reserve::release(files_); !gone) return refuse(gone.error());
        if (auto written = leave_touched_files(); !written) return refuse(written.error());
        auto& old = manifest_.timelines.back();
        old.end = tail_.cut.lsn;
        const auto timeline = old.timeline + (planted("timeline_stands_still") ? 0 : 1);
        manifest_.timelines.push_back(
            {.timeline = timeline, .begin = next_lsn_, .end = {}, .started_us = now_us});
    } else {
        manifest_.durable = std::exchange(manifest_.timelines.back().end, {});
    }
    manifest_.clean = false;
    manifest_.files_end = next_file_;
    manifest_.moves = moves_;
    std::erase_if(manifest_.moves,
                  [&](const engine::Move& move) { return !manifest_.names(move.from); });
    for (const auto number : faulty_) manifest_.retired.push_back(number);
    // Only a faulty one led there.
    std::erase_if(manifest_.packed, [&](FileNumber number) {
        if (manifest_.names(number)) return false;
        manifest_.retired.push_back(number);
        return true;
    });
    manifest_.high_us =
        std::max({manifest_.high_us, tail_.last_commit_us, replay_->last_commit_us()});
    auto written = engine::write_manifest(files_, manifest_);
    if (!written && written.error().code == Code::no_space) {
        // A clean stop, and since then somebody else has filled the disk.
        if (auto gone = engine::Reserve::release(files_); !gone) return refuse(gone.error());
        written = engine::write_manifest(files_, manifest_);
    }
    if (!written) return refuse(written.error());
    return finish_last_switch();
}

Opening<void> Opener::replay_tail() {
    for (std::size_t i = 0; i < kept_.size(); ++i) {
        const auto [number, end] = kept_[i];
        apply(tail_.readers[i], number, end);
        replay_->settle();
        report_.bytes += end;
        if (!tell_progress(tail_.readers[i].file().bytes)) return stopped();
    }
    ensure(!replay_->amid_batch(), "the log is cut at the end of a batch");
    report_.records = replay_->records();
    return {};
}

Opening<void> Opener::map_tail() {
    for (std::size_t i = 0; i < kept_.size(); ++i) {
        auto file = tail_.readers[i].file();
        file.number = kept_[i].number;
        if (auto opened = open_log(file, kept_[i].end); !opened) return refuse(opened.error());
    }
    keyspace_->retire_unused();
    report_.unbound = keyspace_->sweep_unbound();
    tail_.readers.clear();
    return {};
}

// What of the index is lost later is still as it is now: the past knows that.
engine::Loader::Rebuild Opener::rebuild() const {
    const auto launch = options_.lanes != 0 ? std::launch::async : std::launch::deferred;
    return [&files = files_, launch, lsn = tail_.cut.lsn, without = base_->number](
               const std::atomic<bool>& stop, std::vector<engine::Stripe> lost) {
        return std::async(launch, [&files, &stop, lsn, without, lost]() -> engine::Loader::Rebuilt {
            auto index = stripes_of_past(files,
                                         {.moment = {.what = Moment::What::lsn, .lsn = lsn},
                                          .without = without,
                                          .give_up = [&stop] { return stop.load(); }},
                                         lost);
            if (!index) return fail(index.error().error);
            return std::move(*index);
        });
    };
}

Opening<std::unique_ptr<Store>> Opener::run() {
    const auto began = clock_.mono();
    using Step = Opening<void> (Opener::*)();
    for (const Step step :
         {&Opener::take_lock, &Opener::read_or_make_manifest, &Opener::finish_last_switch,
          &Opener::find_chain, &Opener::scan, &Opener::decide, &Opener::load_index,
          &Opener::switch_manifest, &Opener::map_tail})
        if (auto done = (this->*step)(); !done) return tl::unexpected(done.error());
    if (loader_) loader_->rebuild = rebuild();
    engine::EngineParts parts{
        .segments = std::move(segments_),
        .keyspace = std::move(keyspace_),
        .loader = std::move(loader_),
        .start = {.store_id = manifest_.store_id,
                  .timeline = manifest_.timelines.back().timeline,
                  .next = next_lsn_,
                  .high_us = manifest_.high_us},
        .next_file = next_file_,
        .manifest = std::move(manifest_),
        .wants_checkpoint = !faulty_.empty(),
    };
    auto engine =
        std::make_unique<engine::Engine>(files_, clock_, std::move(parts), options_.engine);
    if (auto prepared = engine->prepare(); !prepared) return refuse(prepared.error());
    report_.took_us = clock_.mono().us - began.us;
    return std::make_unique<Store>(files_, clock_, std::move(lock_), std::move(engine), report_);
}

}  // namespace

Opening<std::unique_ptr<Store>> open(io::Files& files, io::Clock& clock, OpenOptions options) {
    return Opener(files, clock, std::move(options)).run();
}

Store::Store(io::Files& files, io::Clock& clock, std::unique_ptr<io::Lock> lock,
             std::unique_ptr<engine::Engine> engine, Report report)
    : files_(files),
      clock_(clock),
      lock_(std::move(lock)),
      engine_(std::move(engine)),
      report_(std::move(report)) {}

Result<void> Store::close() {
    engine_->stop_worker();
    engine_->walk.abandon();
    auto& log = engine_->log;
    auto& manifest = engine_->manifest();
    if (log.failed() != 0)
        return fail(Error{.error = log.failed(), .doing = "stop cleanly: the log has failed"});
    if (log.durable() != log.tail.end())
        return fail(Error{.code = Code::busy, .doing = "stop cleanly: not everything is durable"});
    // What was made ready and not used goes; the next start makes its own.
    engine_->supply.abandon();
    manifest.retired.clear();
    while (auto* ready = engine_->supply.take()) manifest.retired.push_back(ready->number);
    manifest.adopted.clear();
    manifest.clean = true;
    manifest.timelines.back().end = log.durable();
    manifest.high_us = std::max(manifest.high_us, log.tail.last_commit_us());
    manifest.files_end = engine_->supply.next_file();
    if (auto written = engine::write_manifest(files_, manifest); !written) return written;
    for (const auto number : manifest.retired)
        if (auto gone = files_.unlink(names::log_file(number)); !gone) return gone;
    return files_.sync_dir();
}

}  // namespace firnlog::recovery
