#include "recovery/past_of_key.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>

#include "engine/checkpoint_file.hpp"
#include "engine/index/image.hpp"
#include "recovery/map_segment.hpp"
#include "recovery/point_reads.hpp"
#include "recovery/stamps.hpp"

namespace firnlog::recovery {
namespace {

using engine::BlobEntry;
using engine::BlobKind;
using engine::is_of_a_key;
using engine::is_of_an_element;
using engine::Kid;
using engine::Kind;
using engine::Lsn;
using Spot = History::Spot;

class KeyOpener {
  public:
    KeyOpener(std::unique_ptr<History> history, const PastOptions& options, const KeyWish& wish)
        : history_(std::move(history)),
          options_(options),
          wish_(wish),
          secret_(history_->manifest().hash_secret),
          stripe_(engine::stripe_of(wish.key)),
          tag_(engine::Hasher(secret_).tag(wish.key)),
          reads_(history_->files(), history_->manifest().store_id) {}

    Opening<std::unique_ptr<Past>> run();

  private:
    // A base's file, and what of its directory may concern the key.
    struct Base {
        engine::CheckpointEntry entry;
        std::unique_ptr<engine::CheckpointReader> reader;
        std::vector<engine::Keyspace::Pointing> pointings;
        engine::Lsn catalog;
        std::vector<Kid> kids;
        Kid next_kid = engine::kFirstFreshKid;
    };
    Opening<void> find_base();
    Result<Base> open_base(const engine::CheckpointEntry& entry);
    // Stamps of those blobs alone that `concerns` says yes to.
    template <class Concerns>
    Stamps stamps_of(Concerns&& concerns) const;
    // Of the base: the last blob of those that begins at `place` or before.
    template <class Among>
    const BlobEntry* blob_before(std::uint64_t place, Among&& among) const;
    Result<void> load(const BlobEntry& blob);

    Opening<void> read_catalog(const std::vector<Spot>& spots);
    Opening<void> read_key(const std::vector<Spot>& spots);
    Opening<void> read_object();
    Result<void> load_object(engine::Oid oid);
    [[nodiscard]] engine::Object* object() const;
    void apply(const engine::Record& record, const Spot& spot);
    Result<std::unique_ptr<engine::Segments>> open_segments();
    [[nodiscard]] bool going() const { return !options_.give_up || !options_.give_up(); }
    static tl::unexpected<Refusal> stopped() {
        return refuse({.code = Code::busy, .doing = "open the past"},
                      "stopped while opening the past");
    }

    std::unique_ptr<History> history_;
    const PastOptions& options_;
    const KeyWish& wish_;
    const engine::Hasher::Secret secret_;
    const engine::Stripe stripe_;
    const engine::Tag tag_;
    PointReads reads_;
    Past::Facts facts_;
    Lsn from_;  // the log from there on counts, with the base
    std::optional<Base> base_;
    Kid kid_ = 0;
    std::unique_ptr<engine::Keyspace> keyspace_;
};

Result<KeyOpener::Base> KeyOpener::open_base(const engine::CheckpointEntry& entry) {
    const auto senseless = [&](std::uint64_t offset) {
        return fail(Error{.code = Code::damaged,
                          .offset = offset,
                          .file = entry.number,
                          .doing = "read a checkpoint: a blob makes no sense"});
    };
    auto reader = engine::CheckpointReader::open(history_->files(), entry.number,
                                                 history_->manifest().store_id);
    if (!reader) return fail(reader);
    Base base{.entry = entry, .reader = std::move(*reader)};
    const auto& trailer = base.reader->trailer();
    if (trailer.lo != entry.lo || trailer.hi != entry.hi ||
        base.reader->header().hash_secret != secret_)
        return senseless(0);
    const auto& blobs = base.reader->blobs();
    const auto catalog = std::ranges::find(blobs, BlobKind::catalog, &BlobEntry::kind);
    if (catalog == blobs.end()) return senseless(0);
    std::vector<std::byte> memory;
    const auto bytes = base.reader->blob(*catalog, memory);
    if (!bytes) return fail(bytes);
    engine::Keyspace taken(secret_);
    if (!engine::PageLoader(taken, {}, false).catalog(*bytes)) return senseless(catalog->offset);
    base.pointings = taken.pointings();
    base.next_kid = taken.next_kid();
    base.catalog = catalog->stamp;
    for (const auto& pointing : base.pointings) base.kids.push_back(pointing.kid);
    return base;
}

Opening<void> KeyOpener::find_base() {
    std::optional<Error> fault;
    for (const auto& entry : history_->bases_of(facts_.place.lsn)) {
        auto base = open_base(entry);
        if (!base) {
            fault = base.error();
            continue;
        }
        from_ = entry.lo;
        facts_.checkpoint = entry.number;
        base_ = std::move(*base);
        return {};
    }
    if (!history_->is_whole())
        return refuse(fault.value_or(Error{.code = Code::missing, .doing = "find a checkpoint"}));
    from_ = history_->manifest().timelines.front().begin;
    return {};
}

template <class Concerns>
Stamps KeyOpener::stamps_of(Concerns&& concerns) const {
    if (!base_) return {};
    std::vector<BlobEntry> blobs;
    for (const auto& blob : base_->reader->blobs())
        if (blob.kind == BlobKind::catalog || concerns(blob)) blobs.push_back(blob);
    return {base_->entry.lo, base_->entry.hi, blobs, base_->kids};
}

template <class Among>
const BlobEntry* KeyOpener::blob_before(std::uint64_t place, Among&& among) const {
    const BlobEntry* found = nullptr;
    for (const auto& blob : base_->reader->blobs())
        if (among(blob) && blob.from <= place && (found == nullptr || blob.from >= found->from))
            found = &blob;
    return found;
}

Result<void> KeyOpener::load(const BlobEntry& blob) {
    std::vector<std::byte> memory;
    const auto bytes = base_->reader->blob(blob, memory);
    if (!bytes) return fail(bytes);
    engine::PageLoader loader(*keyspace_, engine::Moves(history_->manifest().moves), true);
    if (loader.page(*bytes, blob.kind, blob.kid, blob.stripe)) return {};
    return fail(Error{.code = Code::damaged,
                      .offset = blob.offset,
                      .file = base_->entry.number,
                      .doing = "read a checkpoint: a blob makes no sense"});
}

// Which keyspace the database pointed at, by the base and what was said since.
Opening<void> KeyOpener::read_catalog(const std::vector<Spot>& spots) {
    std::unordered_map<std::uint32_t, Kid> pointed;
    Kid next_kid = engine::kFirstFreshKid;
    if (base_) {
        for (const auto& pointing : base_->pointings) pointed[pointing.database] = pointing.kid;
        next_kid = base_->next_kid;
    }
    const auto stamps = stamps_of([](const BlobEntry&) { return false; });
    for (const auto& spot : spots) {
        if (!engine::SidecarHasher::kCatalog.holds(spot.hash)) continue;
        const auto found = reads_.at(spot.stretch, spot.offset);
        if (!found) return refuse(found.error());
        const auto& record = found->record;
        if (record.kind != Kind::catalog || stamps.has(record, spot.lsn())) continue;
        const auto bytes = as_bytes(record.key);
        using Pointing = engine::Keyspace::Pointing;
        if (bytes.size() % sizeof(Pointing) != 0) continue;
        for (std::size_t at = 0; at < bytes.size(); at += sizeof(Pointing)) {
            const auto pointing = firnlog::load<Pointing>(bytes.data() + at);
            pointed[pointing.database] = pointing.kid;
            next_kid = std::max(next_kid, pointing.kid + 1);
        }
    }
    const auto found = pointed.find(wish_.database);
    kid_ = found == pointed.end() ? wish_.database : found->second;
    keyspace_ = std::make_unique<engine::Keyspace>(secret_);
    const engine::Keyspace::Pointing pointing{.database = wish_.database, .kid = kid_};
    keyspace_->load_catalog({&pointing, 1}, next_kid);
    return {};
}

void KeyOpener::apply(const engine::Record& record, const Spot& spot) {
    const engine::Keyspace::Place place{
        .address = engine::Address(spot.stretch.number, spot.offset),
        .bytes = engine::record_bytes(record),
        .lsn = spot.lsn()};
    keyspace_->replay(record, place, keyspace_->know(record));
    ++facts_.records;
}

// Backwards to what says all of it, but for expiry times behind that.
Opening<void> KeyOpener::read_key(const std::vector<Spot>& spots) {
    const auto stamps = stamps_of([this](const BlobEntry& blob) {
        return blob.kind == BlobKind::keys && blob.kid == kid_ && blob.stripe == stripe_;
    });
    const engine::Keyspace::Known known{.tag = tag_, .stripe = stripe_};
    std::vector<std::pair<Spot, std::string>> newer;
    bool told = false;
    for (auto i = spots.size(); i-- > 0 && !told;) {
        if (engine::SidecarHasher::kCatalog.holds(spots[i].hash)) continue;
        const auto found = reads_.at(spots[i].stretch, spots[i].offset);
        if (!found) return refuse(found.error());
        const auto& record = found->record;
        if (!is_of_a_key(record.kind) || record.kid != kid_ || record.key != wish_.key) continue;
        const auto lsn = spots[i].lsn();
        // Nor is anything older told that the base does not have.
        if (stamps.has(record, lsn) || stamps.has(record, lsn, known)) break;
        newer.emplace_back(spots[i], as_text(found->bytes));
        told = record.kind != Kind::expiry;
        if (!going()) return stopped();
    }
    if (!told && base_) {
        const auto* page = blob_before(tag_.high, [this](const BlobEntry& blob) {
            return blob.kind == BlobKind::keys && blob.kid == kid_ && blob.stripe == stripe_;
        });
        if (page != nullptr)
            if (auto loaded = load(*page); !loaded) return refuse(loaded.error());
    }
    for (auto i = newer.size(); i-- > 0;) {
        const auto& [spot, bytes] = newer[i];
        const auto decoded = engine::decode_own_record(as_bytes(bytes));
        ensure(decoded.has_value(), "a record that was verified stays valid");
        apply(decoded->record, spot);
    }
    return {};
}

engine::Object* KeyOpener::object() const {
    const auto* space = keyspace_->find_space_of(kid_);
    const auto* entry = space == nullptr ? nullptr : space->stripes[stripe_].find(tag_);
    return entry == nullptr || entry->type() == engine::Type::string
               ? nullptr
               : entry->pointer<engine::Object>();
}

// What the base has of it: in pages of several objects, or in parts of its own.
Result<void> KeyOpener::load_object(engine::Oid oid) {
    const auto is_part = [oid](const BlobEntry& blob) {
        return blob.kind == BlobKind::part && blob.oid == oid;
    };
    if (std::ranges::any_of(base_->reader->blobs(), is_part)) {
        if (wish_.field) {
            const auto* part = blob_before(keyspace_->hasher.tag(*wish_.field).high, is_part);
            return part == nullptr ? Result<void>{} : load(*part);
        }
        for (const auto& blob : base_->reader->blobs())
            if (is_part(blob))
                if (auto loaded = load(blob); !loaded) return loaded;
        return {};
    }
    const auto* page = blob_before(engine::ObjectMap::place_of(oid), [oid](const BlobEntry& blob) {
        return blob.kind == BlobKind::objects && blob.stripe == oid.home();
    });
    return page == nullptr ? Result<void>{} : load(*page);
}

Opening<void> KeyOpener::read_object() {
    const auto* bound = object();
    if (bound == nullptr) return {};
    const auto oid = bound->oid;
    const bool one_field = wish_.field && bound->type == engine::Type::hash;
    if (base_)
        if (auto loaded = load_object(oid); !loaded) return refuse(loaded.error());
    const auto stamps = stamps_of([oid](const BlobEntry& blob) {
        return blob.kind == BlobKind::part
                   ? blob.oid == oid
                   : blob.kind == BlobKind::objects && blob.stripe == oid.home();
    });
    const auto& hasher = options_.serving->sidecars.hasher;
    const auto range = one_field ? hasher.element(oid, *wish_.field) : hasher.object(oid);
    // An element is never older than its object.
    const auto spots =
        history_->search(std::max(from_, oid.created()), facts_.place.lsn, {&range, 1});
    if (!spots) return tl::unexpected(spots.error());
    const auto is_new = [&](const engine::Record& record, Lsn lsn) {
        return is_of_an_element(record.kind) && record.oid == oid &&
               (!one_field || record.key == *wish_.field) && !stamps.has(record, lsn) &&
               !stamps.has(record, lsn, keyspace_->know(record));
    };
    auto first = spots->size();
    // Of one field: backwards to the last record that says all of it.
    for (bool told = !one_field; !told && first > 0;) {
        const auto& spot = (*spots)[--first];
        const auto found = reads_.at(spot.stretch, spot.offset);
        if (!found) return refuse(found.error());
        if (!is_new(found->record, spot.lsn())) continue;
        told = found->record.kind != Kind::patch;
    }
    if (!one_field) first = 0;
    for (; first < spots->size(); ++first) {
        const auto& spot = (*spots)[first];
        const auto found = reads_.at(spot.stretch, spot.offset);
        if (!found) return refuse(found.error());
        if (is_new(found->record, spot.lsn())) apply(found->record, spot);
        constexpr std::size_t kLookEvery = 4096;
        if (first % kLookEvery == 0 && !going()) return stopped();
    }
    return {};
}

// Those that the key leads into.
Result<std::unique_ptr<engine::Segments>> KeyOpener::open_segments() {
    std::set<engine::FileNumber> named;
    if (const auto* bound = object()) {
        named.insert(bound->binding.file());
        std::visit(
            [&](const auto& body) {
                body.for_each([&](const auto& piece) { named.insert(piece.address.file()); });
            },
            bound->body);
    } else if (const auto* space = keyspace_->find_space_of(kid_)) {
        if (const auto* entry = space->stripes[stripe_].find(tag_))
            named.insert(entry->address().file());
    }
    MappedSegments segments(history_->files());
    const auto& manifest = history_->manifest();
    for (const auto number : named) {
        if (std::ranges::count(manifest.packed, number) != 0) {
            auto segment = map_packed(history_->files(), manifest.store_id, number);
            if (!segment) return fail(segment);
            segments.add(std::move(*segment));
            continue;
        }
        const auto& pieces = history_->pieces();
        const auto piece = std::ranges::find(
            pieces, number, [](const History::Piece& it) { return it.file.number; });
        if (piece == pieces.end())
            return fail(Error{.code = Code::missing,
                              .file = number,
                              .doing = "find a file that a checkpoint names"});
        auto segment = map_segment(history_->files(), piece->file,
                                   engine::kSegmentHeaderBytes + (piece->end - piece->file.base()));
        if (!segment) return fail(segment);
        segments.add(std::move(*segment));
    }
    return segments.take();
}

Opening<std::unique_ptr<Past>> KeyOpener::run() {
    const auto place = history_->find(options_.moment, options_.now_us);
    if (!place) return tl::unexpected(place.error());
    facts_.place = *place;
    if (auto found = find_base(); !found) return tl::unexpected(found.error());
    const auto& hasher = options_.serving->sidecars.hasher;
    const std::array ranges{engine::SidecarHasher::kCatalog, hasher.name(wish_.key)};
    auto spots = history_->search(from_, facts_.place.lsn, ranges);
    if (!spots) return tl::unexpected(spots.error());
    if (auto read = read_catalog(*spots); !read) return tl::unexpected(read.error());
    if (auto read = read_key(*spots); !read) return tl::unexpected(read.error());
    if (auto read = read_object(); !read) return tl::unexpected(read.error());
    facts_.place.us = options_.expiry_us.value_or(facts_.place.us);
    auto segments = open_segments();
    if (!segments) return refuse(segments.error());
    return make_past({.history = std::move(history_),
                      .keyspace = std::move(keyspace_),
                      .segments = std::move(*segments),
                      .facts = facts_},
                     options_.databases);
}

}  // namespace

Opening<std::unique_ptr<Past>> open_past_of_key(io::Files& files, const PastOptions& options,
                                                const KeyWish& wish) {
    ensure(options.serving.has_value(), "the past of a key is read where the store is served");
    return with_history(
        files,
        [&](std::unique_ptr<History> history) {
            return KeyOpener(std::move(history), options, wish).run();
        },
        options.serving);
}

}  // namespace firnlog::recovery
