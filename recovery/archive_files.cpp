#include "recovery/archive_files.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "engine/format/frame.hpp"
#include "engine/format/names.hpp"
#include "engine/format/segment.hpp"

namespace firnlog::recovery {

namespace names = engine::names;
using engine::Archived;
using engine::ArchivedKind;
using engine::FileNumber;

namespace {

constexpr std::uint64_t kManifestBytesMax = std::uint64_t{64} << 20;

// Not backed by a file of one's own.
class OwnedMapping final : public io::Mapping {
  public:
    explicit OwnedMapping(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
    [[nodiscard]] Bytes bytes() const noexcept override { return bytes_; }
    [[nodiscard]] bool resident(std::uint64_t, std::uint64_t) const override { return true; }
    [[nodiscard]] bool load(std::uint64_t, std::uint64_t) override { return true; }

  private:
    const std::vector<std::byte> bytes_;
};

Result<std::size_t> read_at(io::Files& files, const std::string& name, std::uint64_t offset,
                            MutableBytes into) {
    const auto fd = files.open(name, io::Open::read);
    if (!fd) return fail(fd);
    auto got = files.read(*fd, offset, into);
    files.close(*fd);
    return got;
}

tl::unexpected<Refusal> refuse_moment(std::string text) {
    return refuse({.code = Code::usage, .doing = "find the moment"}, std::move(text));
}

}  // namespace

Result<std::vector<Archived>> list_archive(io::Files& files) {
    const auto listed = files.list();
    if (!listed) return fail(listed);
    std::vector<Archived> found;
    for (const auto& info : *listed) {
        const auto file = engine::archived_named(info.name);
        if (file && file->bytes == info.bytes) found.push_back(*file);
    }
    return found;
}

Result<engine::Manifest> read_archived_manifest(io::Files& files, const Archived& file) {
    std::vector<std::byte> bytes(std::min(file.bytes, kManifestBytesMax));
    const auto got = read_at(files, file.name(), 0, bytes);
    if (!got) return fail(got);
    bytes.resize(*got);
    return engine::decode_manifest(bytes);
}

// ---- From the names in an archive to the files of a store.

class ArchiveReader {
  public:
    ArchiveReader(io::Files& files, const Moment& moment) : files_(files), moment_(moment) {}

    Opening<std::unique_ptr<ArchiveFiles>> run();

  private:
    Opening<void> read_manifests();
    void choose_line();
    Opening<void> choose_run();
    Opening<std::size_t> run_of_lsn() const;
    Opening<std::size_t> run_of_time() const;
    [[nodiscard]] Result<std::int64_t> first_commit(const ArchivedRun& run) const;
    [[nodiscard]] Result<std::int64_t> last_commit(const ArchivedRun& run) const;
    void make_manifest();
    void add_checkpoints();
    bool add_checkpoint(const engine::Manifest& of, const engine::CheckpointEntry& entry);
    [[nodiscard]] const Archived* find_packed(const engine::Manifest& of, FileNumber number) const;
    [[nodiscard]] const Archived* find_image(const engine::CheckpointEntry& entry) const;
    [[nodiscard]] Opening<void> refuse_gap() const;
    void add_log(const ArchivedSegment& segment);

    io::Files& files_;
    const Moment& moment_;
    std::vector<Archived> names_;
    std::vector<engine::Manifest> manifests_;  // the newest first
    std::size_t head_ = 0;                     // of the line
    ArchivedLog log_;
    ArchivedRun run_;
    engine::Manifest manifest_;
    std::set<const ArchivedSegment*> named_;  // before the run, that checkpoints lead into
    std::unique_ptr<ArchiveFiles> made_;
};

Opening<void> ArchiveReader::read_manifests() {
    auto listed = list_archive(files_);
    if (!listed) return refuse(listed.error());
    names_ = std::move(*listed);
    std::vector<Archived> found;
    std::ranges::copy_if(names_, std::back_inserter(found),
                         [](const Archived& file) { return file.kind == ArchivedKind::manifest; });
    std::ranges::sort(found, std::greater{},
                      [](const Archived& file) { return std::pair(file.timeline, file.sequence); });
    std::optional<Error> fault;
    for (const auto& file : found) {
        auto manifest = read_archived_manifest(files_, file);
        if (!manifest) {
            // Others may do; one of a format that we do not know says so.
            if (manifest.error().code == Code::version) return refuse(manifest.error());
            fault = manifest.error();
            continue;
        }
        if (!manifests_.empty() && manifest->store_id != manifests_.front().store_id)
            return refuse({.code = Code::usage, .doing = "read an archive"},
                          "two stores have put their files into this archive");
        manifests_.push_back(std::move(*manifest));
    }
    if (manifests_.empty() && fault)
        return refuse(*fault, "damaged: no manifest of the archive can be read");
    if (manifests_.empty())
        return refuse({.code = Code::missing, .doing = "read an archive"},
                      "not an archive: there is no manifest");
    return {};
}

// The newest one that has the timeline asked for.
void ArchiveReader::choose_line() {
    if (moment_.what != Moment::What::lsn || !moment_.timeline) return;
    const auto has_it = [&](const engine::Manifest& manifest) {
        const auto& timelines = manifest.timelines;
        const auto entry =
            std::ranges::find(timelines, *moment_.timeline, &engine::TimelineEntry::timeline);
        return entry != timelines.end() && entry->begin <= moment_.lsn &&
               (entry + 1 == timelines.end() || moment_.lsn <= entry->end);
    };
    const auto found = std::ranges::find_if(manifests_, has_it);
    if (found != manifests_.end()) head_ = static_cast<std::size_t>(found - manifests_.begin());
}

Result<std::int64_t> ArchiveReader::first_commit(const ArchivedRun& run) const {
    const auto& segment = log_.segments()[run.first];
    std::array<std::byte, engine::kFrameHeaderBytes> bytes{};
    const auto got =
        read_at(files_, segment.parts.front().name(), engine::kSegmentHeaderBytes, bytes);
    if (!got) return fail(got);
    const auto header = engine::decode_frame_header(
        bytes, engine::FrameSeed(manifests_.front().store_id), segment.base);
    if (!header) return fail(Error{.code = Code::damaged, .doing = "read an archive"});
    return header->commit_us;
}

Result<std::int64_t> ArchiveReader::last_commit(const ArchivedRun& run) const {
    const auto& part = log_.segments()[run.last - 1].parts.back();
    const engine::FrameSeed seed(manifests_.front().store_id);
    const auto fd = files_.open(part.name(), io::Open::read);
    if (!fd) return fail(fd);
    std::int64_t last_us = 0;
    for (auto at = part.from; at < part.to;) {
        std::array<std::byte, engine::kFrameHeaderBytes> bytes{};
        const auto got = files_.read(*fd, engine::kSegmentHeaderBytes + (at - part.from), bytes);
        const auto header = got ? engine::decode_frame_header(bytes, seed, at) : std::nullopt;
        if (!header) break;
        last_us = header->commit_us;
        at = at + engine::kFrameHeaderBytes + header->length;
    }
    files_.close(*fd);
    return last_us;
}

Opening<std::size_t> ArchiveReader::run_of_lsn() const {
    const auto& runs = log_.runs();
    for (std::size_t i = runs.size(); i-- > 0;) {
        if (moment_.lsn < runs[i].begin) continue;
        if (moment_.lsn <= runs[i].end || i + 1 == runs.size()) return i;
        // No lsn of one timeline's end and the next one's beginning is anybody's.
        return refuse_moment("the archive has a gap: nothing from lsn " +
                             std::to_string(runs[i].end.value) + " to lsn " +
                             std::to_string(runs[i + 1].begin.value));
    }
    return std::size_t{0};
}

Opening<std::size_t> ArchiveReader::run_of_time() const {
    const auto& runs = log_.runs();
    const auto us = moment_.what == Moment::What::at ? moment_.us : moment_.us - 1;
    for (std::size_t i = runs.size(); i-- > 0;) {
        const auto begin = first_commit(runs[i]);
        if (!begin) return refuse(begin.error());
        if (us < *begin && i != 0) continue;
        if (i + 1 == runs.size()) return i;
        const auto end = last_commit(runs[i]);
        if (!end) return refuse(end.error());
        if (us <= *end) return i;
        return refuse_moment("the archive has a gap: nothing from lsn " +
                             std::to_string(runs[i].end.value) + " at " + text_of_time(*end) +
                             " to lsn " + std::to_string(runs[i + 1].begin.value));
    }
    return runs.size() - 1;
}

Opening<void> ArchiveReader::choose_run() {
    const auto& runs = log_.runs();
    if (runs.empty()) {
        // Nothing was written yet.
        const auto begin = manifests_[head_].timelines.front().begin;
        run_ = {.first = 0, .last = 0, .begin = begin, .end = begin};
        return {};
    }
    auto chosen = Opening<std::size_t>(runs.size() - 1);
    using What = Moment::What;
    if (runs.size() > 1 && moment_.what == What::lsn) chosen = run_of_lsn();
    if (runs.size() > 1 && (moment_.what == What::at || moment_.what == What::before))
        chosen = run_of_time();
    if (!chosen) return tl::unexpected(chosen.error());
    run_ = runs[*chosen];
    return {};
}

const Archived* ArchiveReader::find_packed(const engine::Manifest& of, FileNumber number) const {
    const Archived* found = nullptr;
    for (const auto& file : names_) {
        const auto on_line = [&](const engine::TimelineEntry& entry) {
            return entry.timeline == file.timeline;
        };
        // A store that was restored may have made another one of that number since.
        if (file.kind == ArchivedKind::packed && file.number == number &&
            std::ranges::any_of(of.timelines, on_line) &&
            (found == nullptr || file.timeline > found->timeline))
            found = &file;
    }
    return found;
}

const Archived* ArchiveReader::find_image(const engine::CheckpointEntry& entry) const {
    const auto timeline = timeline_before(manifests_[head_].timelines, entry.hi);
    const auto found = std::ranges::find_if(names_, [&](const Archived& file) {
        return file.kind == ArchivedKind::checkpoint && file.number == entry.number &&
               file.from == entry.hi && file.timeline == timeline && file.bytes == entry.bytes;
    });
    return found == names_.end() ? nullptr : &*found;
}

// False: not all that it needs is there.
bool ArchiveReader::add_checkpoint(const engine::Manifest& of,
                                   const engine::CheckpointEntry& entry) {
    const auto* image = find_image(entry);
    if (image == nullptr) return false;
    std::vector<const Archived*> packed;
    std::vector<const ArchivedSegment*> segments;
    std::vector<engine::Move> moves;
    const engine::Moves moved(of.moves);
    for (const auto number : entry.files) {
        const auto now = moved(number);
        if (std::ranges::binary_search(of.packed, now)) {
            packed.push_back(find_packed(of, now));
            if (packed.back() == nullptr) return false;
            if (now != number) moves.push_back({.from = number, .to = now});
            continue;
        }
        const auto* segment = log_.find(now);
        if (segment == nullptr) segment = log_.find(number);
        if (segment == nullptr) return false;
        const bool in_run = segment->base >= run_.begin && segment->end <= run_.end;
        if (!in_run && !segment->sealed) return false;
        segments.push_back(segment);
        if (number != segment->number) moves.push_back({.from = number, .to = segment->number});
    }
    for (const auto* file : packed) {
        made_->stored_[names::packed_file(file->number)] = {
            .bytes = file->bytes, .name = file->name(), .content = {}, .extents = {}};
        if (std::ranges::count(manifest_.packed, file->number) == 0)
            manifest_.packed.push_back(file->number);
    }
    for (const auto* segment : segments)
        if (segment->base < run_.begin) named_.insert(segment);
    for (const auto& move : moves)
        if (std::ranges::count(manifest_.moves, move) == 0) manifest_.moves.push_back(move);
    made_->stored_[names::checkpoint_file(entry.number)] = {
        .bytes = image->bytes, .name = image->name(), .content = {}, .extents = {}};
    manifest_.checkpoints.push_back(entry);
    return true;
}

// The store may have let go of what the archive still has.
void ArchiveReader::add_checkpoints() {
    std::set<FileNumber> added;
    for (const auto& of : manifests_)
        for (const auto* entries : {&of.checkpoints, &of.kept})
            for (const auto& entry : *entries) {
                if (added.contains(entry.number) || entry.lo < run_.begin || entry.hi > run_.end ||
                    !is_shared(manifests_[head_].timelines, of.timelines, entry.hi))
                    continue;
                if (add_checkpoint(of, entry)) added.insert(entry.number);
            }
    std::ranges::sort(manifest_.checkpoints, {}, &engine::CheckpointEntry::hi);
    std::ranges::sort(manifest_.packed);
}

void ArchiveReader::make_manifest() {
    manifest_ = manifests_[head_];
    auto& timelines = manifest_.timelines;
    const auto next = next_of(timelines, run_.end);
    std::erase_if(timelines, [&](const auto& entry) {
        return entry.begin > next && entry.timeline != timelines.front().timeline;
    });
    timelines.back().end = {};
    manifest_.clean = false;
    manifest_.durable = {};  // the archive may end before
    // Timelines that nothing was written in have no log, and miss none.
    const auto birth = timelines.front().begin;
    manifest_.first_lsn = next_of(timelines, birth) == run_.begin ? birth : run_.begin;
    manifest_.retired.clear();
    manifest_.adopted.clear();
    manifest_.packed.clear();
    manifest_.checkpoints.clear();
    manifest_.kept.clear();
    manifest_.moves.clear();
    add_checkpoints();
}

// A run begins with full segments that only a checkpoint in it leads into, or is nothing but such
// ones: no moment before the first checkpoint can be restored.
Opening<void> ArchiveReader::refuse_gap() const {
    const auto& runs = log_.runs();
    if (runs.empty() || manifest_.has_beginning()) return {};
    std::size_t i = 0;
    while (runs[i].end != run_.end) ++i;
    auto end = i + 1 < runs.size() ? runs[i + 1].begin : run_.end;
    const bool has_base = !manifest_.checkpoints.empty();
    if (has_base) end = manifest_.checkpoints.front().hi;
    const bool before = moment_.what == Moment::What::lsn && moment_.lsn < end;
    if (has_base ? !before || i == 0 : i + 1 == runs.size()) return {};
    return refuse_moment(
        "the archive has a gap: no moment can be restored " +
        (i == 0 ? std::string() : "from lsn " + std::to_string(runs[i - 1].end.value) + " ") +
        "to lsn " + std::to_string(end.value));
}

void ArchiveReader::add_log(const ArchivedSegment& segment) {
    const auto name = names::log_file(segment.number);
    const auto& first = segment.parts.front();
    const auto bytes = engine::archived_bytes(ArchivedKind::segment, segment.base, segment.end);
    ArchiveFiles::Stored stored{.bytes = bytes, .name = {}, .content = {}, .extents = {}};
    if (segment.parts.size() == 1 && first.kind == ArchivedKind::segment &&
        first.number == segment.number) {
        stored.name = first.name();
    } else {
        stored.content.resize(engine::kSegmentHeaderBytes);
        engine::encode_segment_header({.store_id = manifest_.store_id,
                                       .number = segment.number,
                                       .timeline = segment.timeline,
                                       .base = segment.base,
                                       .bytes = bytes},
                                      stored.content.data());
        for (const auto& part : segment.parts)
            stored.extents.push_back(
                {.at = engine::kSegmentHeaderBytes + (part.from - segment.base),
                 .bytes = part.to - part.from,
                 .name = part.name(),
                 .from = engine::kSegmentHeaderBytes});
    }
    made_->stored_[name] = std::move(stored);
    manifest_.files_end = std::max(manifest_.files_end, segment.number + 1);
}

Opening<std::unique_ptr<ArchiveFiles>> ArchiveReader::run() {
    if (auto read = read_manifests(); !read) return tl::unexpected(read.error());
    choose_line();
    log_ = ArchivedLog(names_, manifests_[head_].timelines);
    if (auto chosen = choose_run(); !chosen) return tl::unexpected(chosen.error());
    made_.reset(new ArchiveFiles(files_));
    make_manifest();
    if (auto fits = refuse_gap(); !fits) return tl::unexpected(fits.error());
    for (auto i = run_.first; i < run_.last; ++i) add_log(log_.segments()[i]);
    for (const auto* segment : named_) add_log(*segment);
    for (const auto number : manifest_.packed)
        manifest_.files_end = std::max(manifest_.files_end, number + 1);
    for (const auto& entry : manifest_.checkpoints)
        manifest_.files_end = std::max(manifest_.files_end, entry.number + 1);
    auto bytes = engine::encode_manifest(manifest_);
    const auto size = bytes.size();
    made_->stored_[std::string(names::kManifest)] = {
        .bytes = size, .name = {}, .content = std::move(bytes), .extents = {}};
    return std::move(made_);
}

Opening<std::unique_ptr<ArchiveFiles>> ArchiveFiles::open(io::Files& files, const Moment& moment) {
    return ArchiveReader(files, moment).run();
}

// ---- A directory.

Result<int> ArchiveFiles::open(std::string_view name, io::Open how, bool direct) {
    if (how != io::Open::read) return refuse();
    const auto found = stored_.find(name);
    if (found == stored_.end())
        return fail(Error{.code = Code::missing, .doing = "open a file that an archive has not"});
    if (!found->second.name.empty()) return files_.open(found->second.name, how, direct);
    const std::lock_guard guard(mutex_);
    open_[next_fd_] = &found->second;
    return next_fd_++;
}

const ArchiveFiles::Stored* ArchiveFiles::find(int fd) const {
    const std::lock_guard guard(mutex_);
    const auto found = open_.find(fd);
    return found == open_.end() ? nullptr : found->second;
}

bool ArchiveFiles::is_direct(int fd) const { return find(fd) == nullptr && files_.is_direct(fd); }

void ArchiveFiles::close(int fd) {
    {
        const std::lock_guard guard(mutex_);
        if (open_.erase(fd) != 0) return;
    }
    files_.close(fd);
}

Result<void> ArchiveFiles::read_extent(const Extent& extent, std::uint64_t offset,
                                       MutableBytes into) {
    const auto begin = std::max(offset, extent.at);
    const auto end = std::min(offset + into.size(), extent.at + extent.bytes);
    if (begin >= end) return {};
    const auto part = into.subspan(begin - offset, end - begin);
    const auto got = read_at(files_, extent.name, extent.from + (begin - extent.at), part);
    if (!got) return fail(got);
    if (*got != part.size())
        return fail(Error{.code = Code::io, .error = EIO, .doing = "read a file of an archive"});
    return {};
}

Result<std::size_t> ArchiveFiles::read(int fd, std::uint64_t offset, MutableBytes into) {
    const auto* stored = find(fd);
    if (stored == nullptr) return files_.read(fd, offset, into);
    into = into.first(
        std::min<std::uint64_t>(into.size(), stored->bytes - std::min(stored->bytes, offset)));
    std::ranges::fill(into, std::byte{0});
    const auto& content = stored->content;
    if (offset < content.size())
        std::ranges::copy(Bytes(content).subspan(offset).first(
                              std::min<std::size_t>(into.size(), content.size() - offset)),
                          into.begin());
    for (const auto& extent : stored->extents)
        if (auto read = read_extent(extent, offset, into); !read) return fail(read);
    return into.size();
}

Result<void> ArchiveFiles::sync(int fd) {
    // What is in an archive is durable.
    if (find(fd) != nullptr) return {};
    return files_.sync(fd);
}

Result<std::uint64_t> ArchiveFiles::size(int fd) {
    const auto* stored = find(fd);
    if (stored == nullptr) return files_.size(fd);
    return stored->bytes;
}

Result<std::unique_ptr<io::Mapping>> ArchiveFiles::map(int fd) {
    const auto* stored = find(fd);
    if (stored == nullptr) return files_.map(fd);
    std::vector<std::byte> bytes(stored->bytes);
    if (const auto got = read(fd, 0, bytes); !got) return fail(got);
    return std::make_unique<OwnedMapping>(std::move(bytes));
}

Result<io::Given> ArchiveFiles::give(std::string_view name, io::Files& to,
                                     std::string_view to_name) {
    const auto found = stored_.find(name);
    if (found == stored_.end())
        return fail(Error{.code = Code::missing, .doing = "take a file that an archive has not"});
    if (!found->second.name.empty()) return files_.give(found->second.name, to, to_name);
    return Files::give(name, to, to_name);
}

Result<std::vector<io::FileInfo>> ArchiveFiles::list(std::string_view dir) {
    std::vector<io::FileInfo> listed;
    if (!dir.empty()) return listed;
    for (const auto& [name, stored] : stored_)
        listed.push_back({.name = name, .bytes = stored.bytes});
    return listed;
}

}  // namespace firnlog::recovery
