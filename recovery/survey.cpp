#include "recovery/survey.hpp"

#include <algorithm>

#include "engine/format/names.hpp"
#include "engine/manifest_file.hpp"
#include "engine/record_scan.hpp"
#include "io/base/crc32c.hpp"
#include "recovery/rebuilt_manifest.hpp"
#include "recovery/settled_files.hpp"

namespace firnlog::recovery {
namespace {

namespace names = engine::names;
using engine::Lsn;

// Whole batches out of frames that may have gaps between them.
class Batches {
  public:
    Batches(const Surveyed& to, Survey& result) : to_(to), result_(result) {}

    void frame(const LogReader::Frame& frame, engine::FileNumber file) {
        // It continues a batch whose beginning is not there.
        if (pending_.empty() && frame.header.batch_lsn.value != 0) {
            skip_ = true;
            // Nor need it be: the base has all of it.
            given_back_ = frame.header.batch_lsn < result_.manifest.first_lsn;
        }
        const auto first = frame.header.lsn + engine::kFrameHeaderBytes;
        const auto begin = frame.offset + engine::kFrameHeaderBytes;
        for (std::size_t at = 0; at < frame.records.size();) {
            const auto bytes = frame.records.subspan(at);
            const auto decoded = engine::decode_own_record(bytes);
            ensure(decoded.has_value(), "a record that was verified stays valid");
            const bool last = decoded->record.has(engine::RecordFlags::last_of_batch);
            const engine::Keyspace::Place place{.address = engine::Address(file, begin + at),
                                                .bytes = decoded->size,
                                                .lsn = first + at};
            at += decoded->size;
            if (skip_) {
                if (!given_back_) drop(decoded->record, place.lsn);
                skip_ = !last;
            } else if (last) {
                apply_pending();
                apply(decoded->record, place);
            } else {
                pending_.push_back({std::string(as_text(bytes.first(decoded->size))), place});
            }
        }
    }
    // Something is missing from here on: what was begun cannot be finished.
    void gap() {
        for (const auto& item : pending_)
            drop(engine::decode_own_record(as_bytes(item.bytes))->record, item.place.lsn);
        pending_.clear();
        skip_ = false;
    }
    void drop(const engine::Record& record, Lsn lsn) {
        ++result_.records_dropped;
        if (to_.dropped) to_.dropped(record, lsn);
    }

  private:
    struct Pending {
        std::string bytes;
        engine::Keyspace::Place place;
    };
    void apply(const engine::Record& record, const engine::Keyspace::Place& place) {
        ++result_.records;
        if (to_.record) to_.record(record, place);
    }
    void apply_pending() {
        for (const auto& item : pending_)
            apply(engine::decode_own_record(as_bytes(item.bytes))->record, item.place);
        pending_.clear();
    }

    const Surveyed& to_;
    Survey& result_;
    std::vector<Pending> pending_;
    bool skip_ = false;
    bool given_back_ = false;  // what is skipped
};

class Surveyor {
  public:
    Surveyor(io::Files& files, const Surveyed& to)
        : files_(files), to_(to), batches_(to, result_) {}

    Result<Survey> run() {
        if (auto done = read_or_rebuild_manifest(); !done) return fail(done);
        if (auto done = find_chain(); !done) return fail(done);
        if (auto done = find_vouched(); !done) return fail(done);
        if (auto done = walk(); !done) return fail(done);
        look_at_checkpoints();
        return std::move(result_);
    }

  private:
    // A file of the chain; its base may be known from its frames alone.
    struct Link {
        LogFile file;
        bool header_lost = false;
    };

    Result<void> read_or_rebuild_manifest();
    Result<void> find_chain();
    Result<void> adopt_stray(LogFile file);
    Result<void> find_vouched();
    Result<void> walk();
    Result<bool> walk_file(std::size_t i);
    void load_base();
    Result<std::size_t> look_at_rest_of_past();
    Result<void> look_at_past(const Link& link);
    void look_at_checkpoints();
    void look_at_named(const engine::CheckpointEntry& entry);
    void look_at_packed(engine::FileNumber number);
    void step_timelines(Lsn base);
    void end_of_log(const LogReader& reader);
    [[nodiscard]] std::optional<std::uint64_t> next_frame(LogReader& reader,
                                                          std::optional<Lsn> limit) const;
    void look_into(const LogReader& reader, Lsn from, Lsn to);
    void note(std::string file, std::uint64_t offset, Lsn from, Lsn to, std::string text) {
        if (from < to) batches_.gap();
        result_.faults.push_back({std::move(file), offset, from, to, std::move(text)});
    }
    [[nodiscard]] bool in_open_timeline() const {
        return timeline_ + 1 == result_.manifest.timelines.size() && !result_.manifest.clean;
    }

    io::Files& files_;
    const Surveyed& to_;
    Survey result_;
    Batches batches_;
    std::vector<Link> links_;
    std::size_t timeline_ = 0;
    Lsn expected_;
    std::uint64_t bytes_all_ = 0;
    std::int64_t commit_us_ = 0;
};

Result<void> Surveyor::read_or_rebuild_manifest() {
    auto manifest = engine::read_manifest(files_);
    if (manifest) {
        result_.manifest = std::move(*manifest);
        return {};
    }
    const auto error = manifest.error();
    if (error.code != Code::missing && error.code != Code::damaged) return fail(error);
    auto rebuilt = rebuild_manifest(files_);
    if (!rebuilt && error.code == Code::missing && rebuilt.error().code == Code::missing)
        return fail(error);
    if (!rebuilt) return fail(Error{.code = Code::damaged, .doing = "read the manifest"});
    result_.manifest = std::move(*rebuilt);
    result_.manifest_rebuilt = true;
    note(std::string(names::kManifest), error.offset, {}, {},
         error.code == Code::missing ? "the manifest is missing"
                                     : "the manifest is damaged: " + error.text());
    return {};
}

// A file without a header: its frames say where in the log they stand.
Result<void> Surveyor::adopt_stray(LogFile file) {
    LogReader reader(result_.manifest.store_id, file);
    SettledFiles settled(files_, result_.manifest);
    if (auto loaded = reader.load(settled); !loaded) return loaded;
    const auto found = look_at_headless(reader);
    if (!found) {
        // Nothing in it speaks. What it held is missed where the log goes on, or nobody was told of
        // it.
        ++result_.files_unused;
        return {};
    }
    // It vouches wherever it stands now.
    result_.vouched = std::max(result_.vouched, found->behind.vouched);
    auto& header = file.header.header;
    header.base = found->base;
    header.timeline = found->timeline;
    header.stale = found->stale;
    links_.push_back({.file = file, .header_lost = true});
    return {};
}

Result<void> Surveyor::find_chain() {
    SettledFiles settled(files_, result_.manifest);
    auto found = find_log_files(settled, result_.manifest.store_id);
    if (!found) return fail(found);
    for (auto& file : *found) {
        bytes_all_ += file.in_use() ? file.bytes : 0;
        switch (file.header.fault) {
            case engine::HeaderFault::none:
                links_.push_back({.file = file});
                break;
            case engine::HeaderFault::unused:
                ++result_.files_unused;
                break;
            case engine::HeaderFault::damaged:
                if (auto adopted = adopt_stray(file); !adopted) return adopted;
                break;
            case engine::HeaderFault::version:
                return fail(Error{.code = Code::version,
                                  .offset = file.header.version,
                                  .file = file.number,
                                  .doing = "open the log: it needs a Firnlog that reads format "
                                           "version"});
            case engine::HeaderFault::foreign:
                note(names::log_file(file.number), 16, {}, {}, "belongs to another store");
                break;
        }
    }
    std::ranges::stable_sort(links_, {}, [](const Link& link) { return link.file.base(); });
    return {};
}

// As in open(): backwards, until a file begins where something behind it vouches for all before.
Result<void> Surveyor::find_vouched() {
    auto& vouched = result_.vouched;
    // The strays have spoken already.
    vouched = std::max(vouched, result_.manifest.vouched());
    SettledFiles settled(files_, result_.manifest);
    for (auto i = links_.size(); i-- > 0;) {
        LogReader reader(result_.manifest.store_id, links_[i].file);
        if (auto loaded = reader.load(settled); !loaded) return loaded;
        while (const auto frame = reader.next())
            vouched = std::max(vouched, frame->header.durable_lsn);
        vouched = std::max(vouched, reader.look_behind().vouched);
        if (vouched >= links_[i].file.base()) break;
    }
    return {};
}

// The log goes on at `base`: with a timeline that has begun by then.
void Surveyor::step_timelines(Lsn base) {
    const auto& timelines = result_.manifest.timelines;
    while (timeline_ + 1 < timelines.size() && base >= timelines[timeline_ + 1].begin) {
        if (expected_ < timelines[timeline_].end)
            note("", 0, expected_, timelines[timeline_].end, "a file is missing");
        expected_ = timelines[++timeline_].begin;
        batches_.gap();
    }
}

std::optional<std::uint64_t> Surveyor::next_frame(LogReader& reader,
                                                  std::optional<Lsn> limit) const {
    const auto from = reader.end_offset();
    for (auto at = from + 8; at + engine::kFrameHeaderBytes <= reader.bytes().size(); at += 8) {
        if (load<std::uint32_t>(reader.bytes().data() + at) != engine::kFrameMagic) continue;
        reader.seek(at);
        if (limit && reader.end() >= *limit) break;
        const bool whole = reader.next().has_value();
        reader.seek(from);
        if (whole) return at;
    }
    reader.seek(from);
    return {};
}

// Records that are valid by themselves within a gap: they tell of keys that were changed there.
void Surveyor::look_into(const LogReader& reader, Lsn from, Lsn to) {
    // Any place may claim to be a record: what is spent on checksums is bounded.
    std::uint64_t budget = std::uint64_t{256} << 20;
    const auto base = reader.file().base();
    const auto end =
        std::min<std::uint64_t>(reader.bytes().size(), engine::kSegmentHeaderBytes + (to - base));
    for (auto at = engine::kSegmentHeaderBytes + (from - base);
         at + engine::kRecordBytesMin <= end;) {
        const auto bytes = reader.bytes().subspan(at, end - at);
        const auto claimed = engine::claimed_record_bytes(bytes);
        if (!claimed || *claimed > bytes.size() || *claimed > budget) {
            at += 8;
            continue;
        }
        budget -= *claimed;
        const auto lsn = base + (at - engine::kSegmentHeaderBytes);
        const auto decoded = engine::decode_record(bytes, reader.record_seed().at(lsn));
        if (decoded) batches_.drop(decoded->record, lsn);
        at += decoded ? decoded->size : 8;
    }
}

void Surveyor::end_of_log(const LogReader& reader) {
    if (const auto rest = reader.rest(); !rest.empty()) {
        result_.torn_bytes += rest.size();
        if (result_.torn_at.empty())
            result_.torn_at = names::log_file(reader.file().number) + " offset " +
                              std::to_string(reader.end_offset()) + " lsn " +
                              std::to_string(reader.end().value);
    }
}

// False: the log ends in this file.
Result<bool> Surveyor::walk_file(std::size_t i) {
    const auto& link = links_[i];
    const auto name = names::log_file(link.file.number);
    const auto base = link.file.base();
    step_timelines(base);
    const auto& timelines = result_.manifest.timelines;
    if (base < expected_) {
        note(name, 0, base, base,
             "begins at lsn " + std::to_string(base.value) +
                 ", but the log before it goes to lsn " + std::to_string(expected_.value) +
                 "; left out");
        return true;
    }
    if (base > expected_ && in_open_timeline() && result_.vouched <= expected_) {
        result_.torn_bytes += link.file.bytes;
        return false;
    }
    if (base > expected_) note("", 0, expected_, base, "a file is missing before " + name);
    if (link.header_lost && (!in_open_timeline() || result_.vouched > base))
        note(name, 0, base, base, "the header is damaged; its frames tell where it begins");
    LogReader reader(result_.manifest.store_id, link.file);
    SettledFiles settled(files_, result_.manifest);
    if (auto loaded = reader.load(settled); !loaded) return fail(loaded);
    std::optional<Lsn> limit;
    if (timelines[timeline_].end.value != 0) limit = timelines[timeline_].end;
    if (i + 1 < links_.size() && links_[i + 1].file.base() > base) {
        const auto next = links_[i + 1].file.base();
        const bool jumps =
            timeline_ + 1 < timelines.size() && next >= timelines[timeline_ + 1].begin;
        if (!jumps && (!limit || next < *limit)) limit = next;
    }
    bool goes_on = true;
    while (!limit || reader.end() < *limit) {
        if (const auto frame = reader.next()) {
            const auto& header = frame->header;
            if (header.timeline != timelines[timeline_].timeline)
                note(name, frame->offset, header.lsn, header.lsn,
                     "a frame of timeline " + std::to_string(header.timeline) +
                         " stands in timeline " + std::to_string(timelines[timeline_].timeline));
            if (header.commit_us < commit_us_)
                note(name, frame->offset, header.lsn, header.lsn,
                     "a frame is older than the one before");
            commit_us_ = std::max(commit_us_, header.commit_us);
            ++result_.frames;
            const auto crc = header.crc;
            result_.frames_crc = crc32c(Bytes(reinterpret_cast<const std::byte*>(&crc), sizeof crc),
                                        result_.frames_crc);
            batches_.frame(*frame, link.file.number);
            if (in_open_timeline() && reader.end() > result_.vouched)
                result_.unvouched_bytes += engine::kFrameHeaderBytes + header.length;
            continue;
        }
        const auto at = reader.end();
        const bool vouched = result_.vouched > at || !in_open_timeline();
        if (!vouched || (!limit && result_.vouched <= at)) {
            end_of_log(reader);
            // A rebuilt manifest does not know where the older timelines end.
            goes_on = !in_open_timeline();
            break;
        }
        const auto offset = reader.end_offset();
        const auto next = next_frame(reader, limit);
        const auto to = next    ? base + (*next - engine::kSegmentHeaderBytes)
                        : limit ? *limit
                                : std::max(at, result_.vouched);
        note(name, offset, at, to, "no valid frame, but this was acknowledged");
        look_into(reader, at, to);
        if (!next) break;
        reader.seek(*next);
    }
    if (limit && reader.end() >= *limit && !reader.rest_is_zero())
        note(name, reader.end_offset(), reader.end(), reader.end(),
             std::to_string(reader.rest().size()) + " bytes that are not zero lie behind the end");
    result_.chain.push_back(link.file);
    result_.ends.push_back(reader.end_offset());
    result_.bytes += link.file.bytes;
    result_.end = reader.end();
    expected_ = limit ? std::max(*limit, reader.end()) : reader.end();
    if (!limit && in_open_timeline()) expected_ = std::max(expected_, result_.vouched);
    if (to_.progress) to_.progress(result_.bytes, bytes_all_);
    return goes_on;
}

Result<void> Surveyor::walk() {
    const auto& timelines = result_.manifest.timelines;
    expected_ = result_.manifest.first_lsn;
    bool ended = false;
    const auto past = look_at_rest_of_past();
    if (!past) return fail(past);
    for (auto i = *past; i < links_.size(); ++i) {
        if (ended) {
            result_.torn_bytes += links_[i].file.bytes;
            continue;
        }
        const auto goes_on = walk_file(i);
        if (!goes_on) return fail(goes_on);
        ended = !*goes_on;
    }
    if (!ended) {
        step_timelines(timelines.back().begin);
        if (expected_ < result_.vouched)
            note("", 0, expected_, result_.vouched, "a file is missing at the log's end");
    }
    batches_.gap();
    return {};
}

// The newest that is sound: what the records that are left follow upon.
void Surveyor::load_base() {
    const auto& manifest = result_.manifest;
    SettledFiles settled(files_, manifest);
    for (auto i = manifest.checkpoints.size(); i-- > 0;) {
        auto loaded = load_checkpoint(settled, manifest.store_id, manifest.checkpoints[i],
                                      manifest.hash_secret, engine::Moves(manifest.moves),
                                      [](std::uint64_t) { return true; });
        if (!loaded) continue;
        if (to_.base) to_.base(std::move(*loaded));
        return;
    }
    note("", 0, manifest.timelines.front().begin, manifest.first_lsn,
         "no checkpoint is sound, and the log before was given back");
}

// Files of which no more is needed than what addresses lead to. Returns how many links they are.
Result<std::size_t> Surveyor::look_at_rest_of_past() {
    const auto& manifest = result_.manifest;
    if (manifest.has_beginning()) return std::size_t{0};
    load_base();
    std::size_t past = 0;
    while (past + 1 < links_.size() && links_[past + 1].file.base() <= manifest.first_lsn) {
        if (auto looked = look_at_past(links_[past]); !looked) return fail(looked);
        ++past;
    }
    const auto& timelines = manifest.timelines;
    while (timeline_ + 1 < timelines.size() && timelines[timeline_ + 1].begin <= manifest.first_lsn)
        ++timeline_;
    // Nothing has been written since that timeline began: then the last one is of an older one,
    // too.
    if (past < links_.size() && links_[past].file.base() < timelines[timeline_].begin) {
        if (auto looked = look_at_past(links_[past]); !looked) return fail(looked);
        ++past;
        result_.end = expected_;
    }
    if (past < links_.size()) expected_ = std::min(expected_, links_[past].file.base());
    return past;
}

// Where its frames end nobody else knows: behind that there is nothing, to the length that it has
// told of itself.
Result<void> Surveyor::look_at_past(const Link& link) {
    const auto& file = link.file;
    if (link.header_lost)
        note(names::log_file(file.number), 0, file.base(), file.base(),
             "the header is damaged; its frames tell where it begins");
    LogReader reader(result_.manifest.store_id, file);
    SettledFiles settled(files_, result_.manifest);
    if (auto loaded = reader.load(settled); !loaded) return fail(loaded);
    while (reader.next()) ++result_.frames;
    if (!reader.rest_is_zero())
        note(names::log_file(file.number), reader.end_offset(), reader.end(),
             reader.end() + reader.rest().size(), "no valid frame, but this was acknowledged");
    if (const auto told = file.header.header.bytes; !link.header_lost && file.bytes < told)
        note(names::log_file(file.number), file.bytes, reader.end(), reader.end(),
             "ends here, but it had " + std::to_string(told) + " bytes");
    result_.chain.push_back(file);
    result_.ends.push_back(reader.end_offset());
    result_.bytes += file.bytes;
    if (to_.progress) to_.progress(result_.bytes, bytes_all_);
    return {};
}

void Surveyor::look_at_named(const engine::CheckpointEntry& entry) {
    const engine::Moves moves(result_.manifest.moves);
    for (const auto number : entry.files)
        if (!std::ranges::binary_search(result_.manifest.packed, moves(number)) &&
            std::ranges::none_of(
                links_, [&](const Link& link) { return link.file.number == moves(number); }))
            note(names::log_file(moves(number)), 0, {}, {},
                 "is missing, but " + names::checkpoint_file(entry.number) + " leads into it");
}

// Every record in it. A fault ends the look at this file: what stands behind it has no place of its
// own, and is told when it is read.
void Surveyor::look_at_packed(engine::FileNumber number) {
    SettledFiles settled(files_, result_.manifest);
    auto scan = engine::RecordScan::packed(settled, result_.manifest.store_id, number);
    if (!scan) {
        note(names::packed_file(number), scan.error().offset, {}, {}, scan.error().text());
        return;
    }
    result_.packed.push_back(number);
    for (;;) {
        const auto item = (*scan)->next();
        if (!item) note(names::packed_file(number), (*scan)->offset(), {}, {}, item.error().text());
        if (!item || !*item) break;
    }
    result_.bytes += (*scan)->header().end;
}

// Each blob of each, that it can be put into an index, and that what it leads into is there.
void Surveyor::look_at_checkpoints() {
    const auto& manifest = result_.manifest;
    SettledFiles settled(files_, manifest);
    for (const auto number : manifest.packed) look_at_packed(number);
    std::vector<std::pair<const engine::CheckpointEntry*, const char*>> all;
    all.reserve(manifest.kept.size() + manifest.checkpoints.size());
    for (const auto& entry : manifest.kept) all.emplace_back(&entry, "; this kept moment is lost");
    for (const auto& entry : manifest.checkpoints)
        all.emplace_back(&entry, "; a start begins with the one before it, or the log");
    for (const auto& [item, consequence] : all) {
        const auto& entry = *item;
        const auto loaded =
            load_checkpoint(settled, manifest.store_id, entry, manifest.hash_secret,
                            engine::Moves(manifest.moves), [](std::uint64_t) { return true; });
        look_at_named(entry);
        if (loaded)
            result_.bytes += loaded->bytes;
        else
            note(names::checkpoint_file(entry.number), loaded.error().offset, {}, {},
                 loaded.error().text() + consequence);
    }
}

}  // namespace

std::string Fault::line() const {
    auto said = file.empty() ? text : file + " offset " + std::to_string(offset) + ": " + text;
    if (lsn.value == 0) return said;
    said += " (lsn " + std::to_string(lsn.value);
    if (loses()) said += " to " + std::to_string(lsn_end.value) + " is lost";
    return said + ")";
}

void SurveyedKeyspace::record(const engine::Record& record, const engine::Keyspace::Place& place) {
    if (stamps_.has(record, place.lsn)) return;
    const auto known = keyspace_->know(record);
    if (!stamps_.has(record, place.lsn, known)) keyspace_->replay(record, place, known);
}

std::size_t SurveyedKeyspace::finish() {
    keyspace_->retire_unused();
    return keyspace_->sweep_unbound();
}

Result<Survey> survey(io::Files& files, const Surveyed& to) { return Surveyor(files, to).run(); }

}  // namespace firnlog::recovery
