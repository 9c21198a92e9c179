#include "engine/format/manifest.hpp"

#include <algorithm>
#include <bit>

#include "engine/format/layouts.hpp"
#include "io/base/crc32c.hpp"

namespace firnlog::engine {
namespace {

constexpr std::uint64_t kMagic = 0x314e414d4e524946;  // "FIRNMAN1"
// Parts of the log were given back, so that it cannot be replayed from its beginning; or there are
// packed segments.
constexpr std::uint64_t kIsCompacted = 1;
constexpr std::uint64_t kHasCheckpoints = 2;
// Values of hashes may be cut into pieces (format.md, Element): who does not know it would serve
// the first piece as the whole. Set in every manifest, because it is written before the first
// record.
constexpr std::uint64_t kHashPieces = 4;
// Moments outlive the log around them: a build that does not know them would give their files back.
constexpr std::uint64_t kKeepsMoments = 8;
// Log files were used again: to a build that does not know it the bytes behind their frames are
// writes that were torn, or damage.
constexpr std::uint64_t kRecycles = 16;
// A packed segment was written anew: a build that does not look for it among the moves would give
// it back.
constexpr std::uint64_t kMovesPacked = 32;
constexpr std::uint64_t kIncompatibleKnown =
    kIsCompacted | kHasCheckpoints | kHashPieces | kKeepsMoments | kRecycles | kMovesPacked;
constexpr std::size_t kHeaderBytes = sizeof(layouts::Manifest);
constexpr std::size_t kManifestBytesMax = std::size_t{64} << 20;

enum Tag : std::uint32_t {
    kStore = 1,
    kState = 2,
    kTimelines = 3,
    kRetired = 4,
    kAdopted = 5,
    kPacked = 6,
    kCheckpoints = 7,
    kKept = 8,
    kMoves = 11,
    kLive = 0x8000000c,
    kDurable = 0x8000000d,
};
constexpr std::uint32_t kSkippable = 0x80000000;
constexpr std::size_t kTimelineBytes = 32;

class Sections {
  public:
    explicit Sections(std::vector<std::byte>& out) : out_(out) {}
    void begin(std::uint32_t tag) {
        start_ = out_.size();
        put(tag);
        put(std::uint32_t{0});
    }
    template <class T>
    void put(const T& value) {
        const auto at = out_.size();
        out_.resize(at + sizeof value);
        store(out_.data() + at, value);
    }
    void end() {
        store(out_.data() + start_ + 4, static_cast<std::uint32_t>(out_.size() - start_ - 8));
        out_.resize(align_up(out_.size(), std::size_t{8}));
    }

  private:
    std::vector<std::byte>& out_;
    std::size_t start_ = 0;
};

// Takes values off the front; after one that is not there, everything is zero and ok() is false.
class Cursor {
  public:
    explicit Cursor(Bytes bytes) : bytes_(bytes) {}
    template <class T>
    T take() {
        if (bytes_.size() < sizeof(T)) {
            ok_ = false;
            return T{};
        }
        const auto value = load<T>(bytes_.data());
        bytes_ = bytes_.subspan(sizeof(T));
        return value;
    }
    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] std::size_t left() const { return bytes_.size(); }

  private:
    Bytes bytes_;
    bool ok_ = true;
};

tl::unexpected<Error> damaged(std::uint64_t offset, const char* doing) {
    return fail(Error{.code = Code::damaged, .offset = offset, .doing = doing});
}

bool read_section(std::uint32_t tag, Bytes bytes, Manifest& manifest) {
    Cursor cursor(bytes);
    switch (tag) {
        case kStore:
            manifest.store_id = cursor.take<StoreId>();
            manifest.hash_secret = cursor.take<std::array<std::byte, 16>>();
            manifest.created_us = cursor.take<std::int64_t>();
            return cursor.ok();
        case kState:
            manifest.sequence = cursor.take<std::uint64_t>();
            manifest.first_lsn = {cursor.take<std::uint64_t>()};
            manifest.high_us = cursor.take<std::int64_t>();
            manifest.files_end = cursor.take<std::uint32_t>();
            manifest.clean = cursor.take<std::uint32_t>() != 0;
            // Behind the last number there is, once that is taken.
            return cursor.ok() && manifest.files_end >= 1 &&
                   manifest.files_end <= kFileNumberMax + 1;
        case kDurable:
            manifest.durable = {cursor.take<std::uint64_t>()};
            return cursor.ok();
        case kTimelines:
            if (bytes.size() % kTimelineBytes != 0) return false;
            while (cursor.left() != 0) {
                TimelineEntry entry;
                entry.timeline = static_cast<Timeline>(cursor.take<std::uint64_t>());
                entry.begin = {cursor.take<std::uint64_t>()};
                entry.end = {cursor.take<std::uint64_t>()};
                entry.started_us = cursor.take<std::int64_t>();
                manifest.timelines.push_back(entry);
            }
            return true;
        case kCheckpoints:
        case kKept: {
            auto& entries = tag == kKept ? manifest.kept : manifest.checkpoints;
            while (cursor.left() != 0) {
                CheckpointEntry entry;
                entry.number = cursor.take<FileNumber>();
                const auto files = cursor.take<std::uint32_t>();
                entry.lo = {cursor.take<std::uint64_t>()};
                entry.hi = {cursor.take<std::uint64_t>()};
                entry.bytes = cursor.take<std::uint64_t>();
                entry.taken_us = cursor.take<std::int64_t>();
                if (!cursor.ok() || files > cursor.left() / sizeof(FileNumber)) return false;
                if (entry.number == 0 || entry.number > kFileNumberMax || entry.lo > entry.hi)
                    return false;
                for (std::uint32_t i = 0; i < files; ++i)
                    entry.files.push_back(cursor.take<FileNumber>());
                // An older build did not count; the next walk does.
                entry.live.resize(files);
                entries.push_back(std::move(entry));
            }
            return true;
        }
        case kLive:
            // Behind the checkpoints, in the order of their files.
            for (auto& entry : manifest.checkpoints)
                for (auto& bytes_of_file : entry.live) bytes_of_file = cursor.take<std::uint64_t>();
            return cursor.ok();
        case kMoves:
            if (bytes.size() % sizeof(Move) != 0) return false;
            while (cursor.left() != 0) manifest.moves.push_back(cursor.take<Move>());
            return true;
        case kRetired:
        case kAdopted:
        case kPacked: {
            if (bytes.size() % sizeof(FileNumber) != 0) return false;
            auto& files = tag == kRetired   ? manifest.retired
                          : tag == kAdopted ? manifest.adopted
                                            : manifest.packed;
            while (cursor.left() != 0) files.push_back(cursor.take<FileNumber>());
            return true;
        }
        default:
            return (tag & kSkippable) != 0;
    }
}

}  // namespace

Lsn Manifest::vouched() const {
    const auto& current = timelines.back();
    auto vouched = std::max(durable, clean ? current.end : current.begin);
    if (!checkpoints.empty()) vouched = std::max(vouched, checkpoints.back().hi);
    return vouched;
}

bool Manifest::names(FileNumber number) const {
    const auto is_named = [&](FileNumber file) {
        const auto names_it = [file](const CheckpointEntry& entry) {
            return entry.number == file || std::ranges::binary_search(entry.files, file);
        };
        return std::ranges::any_of(checkpoints, names_it) || std::ranges::any_of(kept, names_it);
    };
    return is_named(number) || std::ranges::any_of(moves, [&](const Move& move) {
               return move.to == number && is_named(move.from);
           });
}

bool Manifest::keeps(Lsn begin, Lsn end) const {
    return std::ranges::any_of(
        kept, [&](const CheckpointEntry& entry) { return begin < entry.hi && end > entry.lo; });
}

std::vector<std::byte> encode_manifest(const Manifest& manifest) {
    std::vector<std::byte> out(kHeaderBytes);
    Sections sections(out);
    sections.begin(kStore);
    sections.put(manifest.store_id);
    sections.put(manifest.hash_secret);
    sections.put(manifest.created_us);
    sections.end();
    sections.begin(kState);
    sections.put(manifest.sequence);
    sections.put(manifest.first_lsn.value);
    sections.put(manifest.high_us);
    sections.put(manifest.files_end);
    sections.put(std::uint32_t{manifest.clean});
    sections.end();
    sections.begin(kTimelines);
    for (const auto& entry : manifest.timelines) {
        sections.put(std::uint64_t{entry.timeline});
        sections.put(entry.begin.value);
        sections.put(entry.end.value);
        sections.put(entry.started_us);
    }
    sections.end();
    sections.begin(kRetired);
    for (const auto number : manifest.retired) sections.put(number);
    sections.end();
    sections.begin(kAdopted);
    for (const auto number : manifest.adopted) sections.put(number);
    sections.end();
    if (manifest.durable.value != 0) {
        sections.begin(kDurable);
        sections.put(manifest.durable.value);
        sections.end();
    }
    if (!manifest.packed.empty()) {
        sections.begin(kPacked);
        for (const auto number : manifest.packed) sections.put(number);
        sections.end();
    }
    const auto put_checkpoints = [&](std::uint32_t tag,
                                     const std::vector<CheckpointEntry>& entries) {
        sections.begin(tag);
        for (const auto& entry : entries) {
            sections.put(entry.number);
            sections.put(static_cast<std::uint32_t>(entry.files.size()));
            sections.put(entry.lo.value);
            sections.put(entry.hi.value);
            sections.put(entry.bytes);
            sections.put(entry.taken_us);
            for (const auto number : entry.files) sections.put(number);
        }
        sections.end();
    };
    if (!manifest.kept.empty()) put_checkpoints(kKept, manifest.kept);
    if (!manifest.checkpoints.empty()) {
        put_checkpoints(kCheckpoints, manifest.checkpoints);
        sections.begin(kLive);
        for (const auto& entry : manifest.checkpoints)
            for (const auto bytes : entry.live) sections.put(bytes);
        sections.end();
    }
    if (!manifest.moves.empty()) {
        sections.begin(kMoves);
        for (const auto& move : manifest.moves) sections.put(move);
        sections.end();
    }
    layouts::Manifest at{.begin = {.magic = kMagic, .crc = 0, .version = kFormatVersion},
                         .incompatible = kHashPieces,
                         .length = out.size() - kHeaderBytes};
    if (!manifest.checkpoints.empty()) at.incompatible |= kHasCheckpoints;
    if (!manifest.kept.empty()) at.incompatible |= kKeepsMoments;
    if (manifest.recycles) at.incompatible |= kRecycles;
    if (std::ranges::any_of(manifest.moves, [&](const Move& move) {
            return std::ranges::binary_search(manifest.packed, move.to);
        }))
        at.incompatible |= kMovesPacked;
    if (!manifest.has_beginning() || !manifest.packed.empty()) at.incompatible |= kIsCompacted;
    store(out.data(), at);
    at.begin.crc = crc32c(Bytes(out).subspan(layouts::kCheckedFrom));
    store(out.data(), at);
    return out;
}

Result<Manifest> decode_manifest(Bytes bytes) {
    if (bytes.size() < kHeaderBytes || bytes.size() > kManifestBytesMax)
        return damaged(0, "read the manifest: its size is impossible");
    const auto header = load<layouts::Manifest>(bytes.data());
    if (header.begin.magic != kMagic) return damaged(0, "read the manifest: its magic is wrong");
    if (header.begin.crc != crc32c(bytes.subspan(layouts::kCheckedFrom)))
        return damaged(layouts::kCrcAt, "read the manifest: its checksum does not fit");
    if (header.begin.version != kFormatVersion)
        return fail(Error{.code = Code::version,
                          .offset = header.begin.version,
                          .doing = "read the manifest: the store needs a Firnlog that reads format "
                                   "version"});
    const auto unknown = header.incompatible & ~kIncompatibleKnown;
    if (unknown != 0)
        return fail(Error{.code = Code::version,
                          .offset = static_cast<std::uint64_t>(std::countr_zero(unknown)),
                          .doing = "read the manifest: the store needs a Firnlog that knows format "
                                   "feature"});
    if (header.length != bytes.size() - kHeaderBytes)
        return damaged(offsetof(layouts::Manifest, length),
                       "read the manifest: its length does not fit");
    Manifest manifest;
    manifest.recycles = (header.incompatible & kRecycles) != 0;
    std::size_t offset = kHeaderBytes;
    while (offset < bytes.size()) {
        if (bytes.size() - offset < 8)
            return damaged(offset, "read the manifest: a section is cut off");
        const auto tag = load<std::uint32_t>(bytes.data() + offset);
        const std::size_t length = load<std::uint32_t>(bytes.data() + offset + 4);
        if (length > bytes.size() - offset - 8)
            return damaged(offset, "read the manifest: a section is too long");
        if (!read_section(tag, bytes.subspan(offset + 8, length), manifest))
            return damaged(offset, "read the manifest: a section makes no sense");
        offset += align_up(8 + length, std::size_t{8});
    }
    if (manifest.timelines.empty())
        return damaged(kHeaderBytes, "read the manifest: it has no timeline");
    return manifest;
}

}  // namespace firnlog::engine
