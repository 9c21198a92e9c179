// Where an archiver stands: what the archive has, of this store and this line of timelines, and
// what the store has.

#include <algorithm>
#include <charconv>

#include "engine/format/names.hpp"
#include "io/base/crc32c.hpp"
#include "recovery/archive_files.hpp"
#include "recovery/archiver.hpp"
#include "recovery/open_file.hpp"

namespace firnlog::recovery {

namespace names = engine::names;
using engine::Archived;
using engine::ArchivedKind;
using engine::FileNumber;
using engine::Lsn;

namespace {

constexpr std::string_view kStateAside = "state.new";
constexpr std::string_view kState = "state";
constexpr std::string_view kLock = "archive.lock";
constexpr std::string_view kStateHead = "firnlog archive 1";

tl::unexpected<Refusal> refuse_usage(std::string text) {
    return refuse({.code = Code::usage, .doing = "archive"}, std::move(text));
}

}  // namespace

Opening<void> Archiver::begin() {
    if (auto looked = look_at_manifest(); !looked) return looked;
    if (auto looked = look_at_files(); !looked) return looked;
    any_ = false;
    if (auto looked = options_.to != nullptr ? look_at_directory() : look_at_folder(); !looked)
        return looked;
    if (!any_) begin_run(oldest_base());
    look_for_base();
    return {};
}

// Where the log begins that is there without a gap.
Lsn Archiver::oldest_base() const {
    auto oldest = manifest_.first_lsn;
    for (const auto& file : chain_)
        if (file.base() <= manifest_.first_lsn) oldest = file.base();
    return oldest;
}

void Archiver::begin_run(Lsn at) {
    any_ = true;
    // Timelines that nothing was written in are no part of it.
    begin_ = next_of(manifest_.timelines, at);
    position_ = begin_;
    has_base_ = false;
    pieces_.clear();
}

Opening<void> Archiver::look_at_manifest() {
    const auto fd = from_.open(names::kManifest, io::Open::read);
    if (!fd) return refuse(fd.error());
    const OpenFile open(from_, *fd);
    const auto size = from_.size(*fd);
    if (!size) return refuse(size.error());
    std::vector<std::byte> bytes(*size);
    const auto got = from_.read(*fd, 0, bytes);
    if (!got) return refuse(got.error());
    bytes.resize(*got);
    auto manifest = engine::decode_manifest(bytes);
    if (!manifest) return refuse(manifest.error());
    manifest_ = std::move(*manifest);
    manifest_bytes_ = std::move(bytes);
    return {};
}

// The log's files; a header never changes once it is there.
Opening<void> Archiver::look_at_files() {
    const auto listed = from_.list();
    if (!listed) return refuse(listed.error());
    std::map<FileNumber, LogFile> headers;
    for (const auto& info : *listed) {
        const auto number = names::log_number(info.name);
        if (!number) continue;
        if (auto known = headers_.find(*number); known != headers_.end()) {
            headers.insert(headers_.extract(known));
            continue;
        }
        const auto fd = from_.open(info.name, io::Open::read);
        if (!fd && fd.error().code == Code::missing) continue;
        if (!fd) return refuse(fd.error());
        const OpenFile open(from_, *fd);
        std::vector<std::byte> block(engine::kSegmentHeaderBytes);
        const auto got = from_.read(*fd, 0, block);
        if (!got) return refuse(got.error());
        LogFile file{.number = *number, .bytes = info.bytes, .links = info.links, .header = {}};
        file.header = engine::decode_segment_header(block, manifest_.store_id);
        if (*got == block.size() && file.in_use() && file.header.header.number == *number)
            headers.emplace(*number, file);
    }
    headers_ = std::move(headers);
    chain_.clear();
    for (const auto& [number, file] : headers_) chain_.push_back(file);
    std::ranges::sort(chain_, {}, &LogFile::base);
    return {};
}

Opening<void> Archiver::look_at_directory() {
    auto& to = *options_.to;
    const auto listed = to.list();
    if (!listed) return refuse(listed.error());
    if (std::ranges::count(*listed, names::kManifest, &io::FileInfo::name) != 0)
        return refuse_usage("a store's own directory is no place for an archive");
    if (!lock_) {
        auto lock = to.lock(kLock);
        if (!lock && lock.error().code == Code::busy)
            return refuse(lock.error(), "another server has this archive");
        if (!lock) return refuse(lock.error());
        lock_ = std::move(*lock);
    }
    const auto names = list_archive(to);
    if (!names) return refuse(names.error());
    if (auto looked = look_at_manifests(*names); !looked) return looked;
    return look_at_log(*names);
}

Opening<void> Archiver::look_at_manifests(const std::vector<Archived>& names) {
    const auto& timelines = manifest_.timelines;
    manifest_timeline_ = 0;
    manifest_sequence_ = 0;
    // Of each packed segment the timeline of the first manifest that names it.
    std::map<FileNumber, engine::Timeline> since;
    for (const auto& file : names) {
        if (file.kind != ArchivedKind::manifest) continue;
        const auto manifest = read_archived_manifest(*options_.to, file);
        if (!manifest && manifest.error().code == Code::damaged) continue;
        if (!manifest) return refuse(manifest.error());
        if (manifest->store_id != manifest_.store_id)
            return refuse_usage("this is the archive of another store");
        for (const auto& theirs : manifest->timelines) {
            const auto ours =
                std::ranges::find(timelines, theirs.timeline, &engine::TimelineEntry::timeline);
            if (ours != timelines.end() && (ours->begin != theirs.begin))
                return refuse_usage("timeline " + std::to_string(theirs.timeline) +
                                    " of the archive is not that of the store: one of the two is "
                                    "an old copy");
        }
        const auto hi = manifest->checkpoints.empty() ? Lsn{} : manifest->checkpoints.back().hi;
        if (!is_shared(timelines, manifest->timelines,
                       std::max(hi, manifest->timelines.back().begin + 1)))
            continue;
        const auto timeline = manifest->timelines.back().timeline;
        for (const auto number : manifest->packed) {
            const auto [found, is_new] = since.try_emplace(number, timeline);
            found->second = std::min(found->second, timeline);
        }
        if (std::pair(timeline, manifest->sequence) >
            std::pair(manifest_timeline_, manifest_sequence_)) {
            manifest_timeline_ = timeline;
            manifest_sequence_ = manifest->sequence;
        }
    }
    packed_.clear();
    for (const auto& file : names) {
        if (file.kind != ArchivedKind::packed) continue;
        const auto found = since.find(file.number);
        if (found != since.end() && found->second == file.timeline) packed_.insert(file.number);
    }
    return {};
}

Opening<void> Archiver::look_at_log(const std::vector<Archived>& names) {
    const ArchivedLog log(names, manifest_.timelines);
    segments_.clear();
    checkpoints_.clear();
    pieces_.clear();
    if (log.runs().empty()) return {};
    const auto& run = log.runs().back();
    begin_run(run.begin);
    position_ = run.end;
    if (options_.durable && position_ > options_.durable())
        return refuse_usage("the archive has the log up to lsn " + std::to_string(position_.value) +
                            ", the store only up to lsn " +
                            std::to_string(options_.durable().value) +
                            ": the store is an old copy");
    const auto now = manifest_.timelines.back().timeline;
    std::vector<Archived> useless;
    for (const auto& segment : log.segments()) {
        if (segment.sealed) segments_.insert(segment.numbers.begin(), segment.numbers.end());
        for (const auto& file : names) {
            if (file.kind != ArchivedKind::log || file.timeline != segment.timeline ||
                file.base != segment.base || file.timeline != now || file.to > segment.end)
                continue;
            if (std::ranges::count(segment.parts, file) == 0)
                useless.push_back(file);
            else if (&segment == &log.segments().back())
                pieces_.push_back(file);
        }
    }
    std::ranges::sort(pieces_, {}, &Archived::from);
    remove_pieces(useless);
    position_ = next_of(manifest_.timelines, position_);
    for (const auto& entry : manifest_.checkpoints)
        if (is_there(entry, names)) checkpoints_.insert(entry.number);
    return {};
}

bool Archiver::is_there(const engine::CheckpointEntry& entry,
                        const std::vector<Archived>& names) const {
    const auto timeline = timeline_before(manifest_.timelines, entry.hi);
    const engine::Moves moved(manifest_.moves);
    const bool image = std::ranges::any_of(names, [&](const Archived& file) {
        return file.kind == ArchivedKind::checkpoint && file.number == entry.number &&
               file.from == entry.hi && file.timeline == timeline && file.bytes == entry.bytes;
    });
    return image && std::ranges::all_of(entry.files, [&](FileNumber number) {
               const auto now = moved(number);
               if (std::ranges::binary_search(manifest_.packed, now)) return packed_.contains(now);
               if (segments_.contains(now) || segments_.contains(number)) return true;
               const auto file = headers_.find(now);
               return file != headers_.end() && file->second.base() >= begin_;
           });
}

// What a command is given lies there, and what it has taken is written down there.
Opening<void> Archiver::look_at_folder() {
    if (auto made = from_.make_dir(kArchiveFolder); !made) return refuse(made.error());
    if (auto synced = from_.sync_dir(); !synced) return refuse(synced.error());
    const auto listed = from_.list(kArchiveFolder);
    if (!listed) return refuse(listed.error());
    std::string text;
    for (const auto& info : *listed) {
        const auto name = in_target(info.name);
        if (info.name != kState) {
            if (auto gone = from_.unlink(name); !gone) return refuse(gone.error());
            continue;
        }
        const auto fd = from_.open(name, io::Open::read);
        if (!fd) return refuse(fd.error());
        const OpenFile open(from_, *fd);
        text.resize(info.bytes);
        const auto got = from_.read(*fd, 0, std::as_writable_bytes(std::span(text)));
        if (!got) return refuse(got.error());
        text.resize(*got);
    }
    read_state(text);
    if (any_ && options_.durable && position_ > options_.durable())
        return refuse_usage("the archive has the log up to lsn " + std::to_string(position_.value) +
                            ", the store only up to lsn " +
                            std::to_string(options_.durable().value));
    return {};
}

// One that is not whole says nothing: then everything is brought once more.
void Archiver::read_state(std::string_view text) {
    manifest_timeline_ = 0;
    segments_.clear();
    packed_.clear();
    checkpoints_.clear();
    pieces_.clear();
    const auto crc_at = text.rfind("crc ");
    if (!text.starts_with(kStateHead) || crc_at == text.npos ||
        text.substr(crc_at) !=
            "crc " + std::to_string(crc32c(as_bytes(text.substr(0, crc_at)))) + "\n")
        return;
    text = text.substr(0, crc_at);
    while (!text.empty()) {
        const auto line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        const auto space = line.rfind(' ');
        const auto word = line.substr(0, space);
        std::uint64_t value = 0;
        if (space == line.npos) continue;
        (void)std::from_chars(line.data() + space + 1, line.data() + line.size(), value);
        const auto number = static_cast<FileNumber>(value);
        if (word == "begin") begin_run({value});
        if (word == "position") position_ = {value};
        if (word == "base") has_base_ = value != 0;
        if (word == "timeline") manifest_timeline_ = static_cast<engine::Timeline>(value);
        if (word == "sequence") manifest_sequence_ = value;
        if (word == "segment") segments_.insert(number);
        if (word == "packed") packed_.insert(number);
        if (word == "checkpoint") checkpoints_.insert(number);
    }
    if (any_) position_ = next_of(manifest_.timelines, position_);
}

Opening<void> Archiver::write_state() {
    if (options_.to != nullptr) return {};
    // What the store has no more nobody asks for.
    std::erase_if(segments_, [&](FileNumber number) { return !headers_.contains(number); });
    std::erase_if(packed_, [&](FileNumber number) {
        return !std::ranges::binary_search(manifest_.packed, number);
    });
    std::erase_if(checkpoints_, [&](FileNumber number) {
        return std::ranges::count(manifest_.checkpoints, number,
                                  &engine::CheckpointEntry::number) == 0;
    });
    std::string text(kStateHead);
    const auto add = [&](std::string_view word, std::uint64_t value) {
        text.append("\n").append(word).append(" ").append(std::to_string(value));
    };
    add("begin", begin_.value);
    add("position", position_.value);
    add("base", has_base_ ? 1 : 0);
    add("timeline", manifest_timeline_);
    add("sequence", manifest_sequence_);
    for (const auto number : segments_) add("segment", number);
    for (const auto number : packed_) add("packed", number);
    for (const auto number : checkpoints_) add("checkpoint", number);
    text += "\n";
    text += "crc " + std::to_string(crc32c(as_bytes(text))) + "\n";
    const auto aside = in_target(std::string(kStateAside));
    const auto written = [&]() -> Result<void> {
        if (auto gone = from_.unlink(aside); !gone && gone.error().code != Code::missing)
            return gone;
        const auto fd = from_.open(aside, io::Open::create);
        if (!fd) return fail(fd);
        const OpenFile open(from_, *fd);
        if (auto put = from_.write(*fd, 0, as_bytes(text)); !put) return put;
        if (auto synced = from_.sync(*fd); !synced) return synced;
        if (auto renamed = from_.rename(aside, in_target(std::string(kState))); !renamed)
            return renamed;
        return from_.sync_dir(kArchiveFolder);
    };
    const auto done = written();
    if (!done) return refuse(done.error());
    return {};
}

}  // namespace firnlog::recovery
