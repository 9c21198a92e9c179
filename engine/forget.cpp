#include "engine/forget.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "io/base/mutant.hpp"
#include "io/guarded_copy.hpp"

namespace firnlog::engine {
namespace {

// Of one step.
constexpr std::uint64_t kStepBytes = std::uint64_t{512} << 10;
constexpr std::size_t kNamesMax = 16;

}  // namespace

Forgetter::Forgetter(io::Files& files, Keyspace& keyspace, Segments& segments, Supply& supply,
                     Tail& tail, const Manifest& manifest)
    : files_(files),
      keyspace_(keyspace),
      segments_(segments),
      supply_(supply),
      tail_(tail),
      manifest_(manifest) {}

void Forgetter::begin(ForgetOrder order) {
    ensure(phase_ == Phase::idle, "one key is forgotten at a time");
    order_ = std::move(order);
    told_ = {};
    own_.clear();
    shared_.clear();
    found_.clear();
    images_seen_.clear();
    ends_.clear();
    left_out_ = {.stripe = stripe_of(order_.key),
                 .tag = keyspace_.hasher.tag(order_.key),
                 .kids = {},
                 .oids = {},
                 .is_old = [this](Address address) { return is_old(address); }};
    kids_ = {order_.database};
    phase_ = Phase::waiting;
}

Result<Forgetter::Step> Forgetter::step() {
    switch (phase_) {
        case Phase::idle:
            return Step::done;
        case Phase::waiting:
            if (!is_full()) return Step::waits;
            phase_ = Phase::searching;
            list_files();
            return Step::more;
        case Phase::searching:
        case Phase::sharing:
            return search();
        case Phase::images:
        case Phase::files:
            break;
    }
    if (copy_ == nullptr) return phase_ == Phase::images ? next_image() : next_file();
    const auto bytes = copy_->bytes();
    const auto more = copy_->step();
    if (!more && more.error().code == Code::damaged) {
        give_up_file(exchange_.from);
        settled(Outcome::of_no_use);
        return Step::more;
    }
    if (!more) return fail(more);
    told_.bytes += copy_->bytes() - bytes;
    if (*more) return Step::more;
    exchange_.bytes = copy_->bytes();
    return Step::exchange;
}

// Nothing is appended any more to a file that has something from before the moment, and nobody is
// about to change where it is read.
bool Forgetter::is_full() const {
    if (Lsn{tail_.durable.load(std::memory_order_acquire)} < order_.durable) return false;
    const std::lock_guard guard(tail_.lock);
    return std::ranges::none_of(segments_.all(), [&](const Segment* segment) {
        if (segment->packed || segment->base.value == 0 || segment->base >= order_.before)
            return false;
        return segment->end == 0 || supply_.is_sealing(*segment);
    });
}

void Forgetter::list_files() {
    to_see_.clear();
    // It guards where a segment begins, until that is full.
    const std::lock_guard guard(tail_.lock);
    for (const auto* segment : segments_.all())
        if (segment->packed || (segment->base.value != 0 && segment->base < order_.before))
            to_see_.push_back(segment->number);
    told_.files_all = to_see_.size();
    told_.files_seen = 0;
}

// ---- What there is of it.

Result<bool> Forgetter::open_next() {
    while (!to_see_.empty()) {
        seen_ = to_see_.back();
        to_see_.pop_back();
        ++told_.files_seen;
        const auto* segment = segments_.find(seen_);
        if (segment == nullptr || std::ranges::count(told_.damaged, seen_) != 0) continue;
        const auto& store = manifest_.store_id;
        auto scan = segment->packed ? RecordScan::packed(files_, store, seen_)
                                    : RecordScan::log(files_, store, seen_, segment->base);
        if (scan) {
            scan_ = std::move(*scan);
            return true;
        }
        if (scan.error().code != Code::damaged) return fail(scan);
        give_up_file(seen_);
    }
    return false;
}

Result<Forgetter::Step> Forgetter::search() {
    if (scan_ == nullptr) {
        const auto opened = open_next();
        if (!opened) return fail(opened);
        if (!*opened) pass_ended();
        return Step::more;
    }
    const auto from = scan_->offset();
    bool ended = false;
    while (!ended && scan_->offset() - from < kStepBytes) {
        const auto item = scan_->next();
        if (!item && item.error().code != Code::damaged) return fail(item);
        ended = !item || !*item;
        if (!item) give_up_file(seen_);
        if (!ended) look_at(**item);
    }
    told_.bytes += scan_->offset() - from;
    if (ended) scan_ended();
    return Step::more;
}

// Where the frames of a log file end the next one begins, or a timeline ended; unless what came
// behind was given back, and nobody knows.
void Forgetter::scan_ended() {
    const auto end = scan_->offset();
    scan_.reset();
    const auto* segment = segments_.find(seen_);
    if (segment->packed || std::ranges::count(told_.damaged, seen_) != 0) return;
    ends_[seen_] = end;
    if (segment->end > end && !ends_here(segment->lsn_at(end))) give_up_file(seen_);
}

bool Forgetter::ends_here(Lsn lsn) const {
    if (lsn < manifest_.first_lsn) return true;
    const std::lock_guard guard(tail_.lock);
    const auto begins = [lsn](const Segment* segment) { return segment->base == lsn; };
    return std::ranges::count(manifest_.timelines, lsn, &TimelineEntry::end) != 0 ||
           std::ranges::any_of(segments_.all(), begins);
}

void Forgetter::look_at(const RecordScan::Item& item) {
    if (item.lsn >= order_.before) {
        // A key may have got a name of the object's later, too.
        if (phase_ == Phase::sharing && item.record.kind == Kind::bind) look_at_shared(item.record);
        return;
    }
    if (phase_ == Phase::sharing) return look_at_shared(item.record);
    if (item.record.kind == Kind::catalog) return read_catalog(item.record);
    look_at_own(item.record);
}

// Whatever the database was.
void Forgetter::read_catalog(const Record& record) {
    using Pointing = Keyspace::Pointing;
    const auto bytes = as_bytes(record.key);
    for (std::size_t at = 0; at + sizeof(Pointing) <= bytes.size(); at += sizeof(Pointing)) {
        const auto pointing = load<Pointing>(bytes.data() + at);
        if (pointing.database == order_.database) kids_.insert(pointing.kid);
    }
}

void Forgetter::look_at_own(const Record& record) {
    if (!is_of_a_key(record.kind) || record.key != order_.key) return;
    auto& own = own_[record.kid];
    own.files.insert(seen_);
    if (record.kind == Kind::bind) own.oids.insert(record.oid);
}

void Forgetter::look_at_shared(const Record& record) {
    if (is_of_an_element(record.kind) || record.kind == Kind::object) {
        if (left_out_.oids.contains(record.oid)) found_.insert(seen_);
        return;
    }
    if (record.kind != Kind::bind || !left_out_.oids.contains(record.oid)) return;
    if (record.key == order_.key && left_out_.kids.contains(record.kid)) return;
    shared_.insert(record.oid);
    auto& names = told_.names;
    if (names.size() < kNamesMax && std::ranges::count(names, record.key) == 0)
        names.emplace_back(record.key);
}

void Forgetter::give_up_file(FileNumber number) { told_.damaged.push_back(number); }

// Keyspaces that the database has now, or had; but not those that another one has by now, where
// the key is there for others.
void Forgetter::decide_kids() {
    std::vector<Keyspace::Pointing> pointings;
    {
        const std::lock_guard guard(keyspace_.stripe(0).lock);
        pointings = keyspace_.pointings();
    }
    for (const auto& pointing : pointings)
        if (pointing.database == order_.database) kids_.insert(pointing.kid);
    for (const auto& pointing : pointings)
        if (pointing.database != order_.database && pointing.database < kParkedFirst)
            kids_.erase(pointing.kid);
    left_out_.kids = kids_;
    for (const auto kid : kids_) {
        const auto own = own_.find(kid);
        if (own == own_.end()) continue;
        found_.insert(own->second.files.begin(), own->second.files.end());
        left_out_.oids.insert(own->second.oids.begin(), own->second.oids.end());
    }
}

void Forgetter::decide_oids() {
    told_.shared = shared_.size();
    if (planted("forget_takes_what_others_lead_to")) return shared_.clear();
    for (const auto oid : shared_) left_out_.oids.erase(oid);
}

void Forgetter::pass_ended() {
    if (phase_ == Phase::searching) {
        decide_kids();
        phase_ = Phase::sharing;
        if (!left_out_.oids.empty()) return list_files();
    }
    decide_oids();
    to_see_.assign(found_.rbegin(), found_.rend());
    told_.files_all = to_see_.size();
    told_.files_seen = 0;
    phase_ = Phase::images;
}

// ---- Copies.

Result<Forgetter::Step> Forgetter::next_image() {
    for (const auto* entries : {&manifest_.kept, &manifest_.checkpoints})
        for (const auto& entry : *entries) {
            // Its pages are from behind what was written of the key.
            if (planted("forget_leaves_the_images") || entry.lo >= order_.durable ||
                !images_seen_.insert(entry.number).second)
                continue;
            auto image = CheckpointReader::open(files_, entry.number, manifest_.store_id, true);
            auto has = image ? has_any_of(**image, left_out_) : Result<bool>(fail(image));
            if (!has && has.error().code != Code::damaged) return fail(has);
            if (!has) give_up_file(entry.number);
            if (!has || !*has) return Step::more;
            const auto number = supply_.give_number();
            if (!number) return fail(number);
            exchange_ = {.what = Exchange::What::image, .from = entry.number, .to = *number};
            copy_ = erased_copy(files_, manifest_.store_id, std::move(*image), *number, left_out_);
            return Step::more;
        }
    if (planted("forget_leaves_the_log")) to_see_.clear();
    phase_ = Phase::files;
    return Step::more;
}

Result<Forgetter::Step> Forgetter::next_file() {
    while (!to_see_.empty()) {
        const auto number = to_see_.back();
        to_see_.pop_back();
        ++told_.files_seen;
        const auto* segment = segments_.find(number);
        // One that went meanwhile took it along.
        if (segment == nullptr || segment->number != number) continue;
        if (std::ranges::count(told_.damaged, number) != 0) continue;
        const auto to = supply_.give_number();
        if (!to) return fail(to);
        const auto& store = manifest_.store_id;
        exchange_ = {.what = segment->packed ? Exchange::What::packed : Exchange::What::log,
                     .from = number,
                     .to = *to};
        copy_ =
            segment->packed
                ? erased_copy(files_, store, number, *to, judge())
                : erased_copy(files_, store,
                              {.number = number, .base = segment->base, .end = ends_.at(number)},
                              *to, judge());
        return Step::more;
    }
    phase_ = Phase::idle;
    return Step::done;
}

Judge Forgetter::judge() const {
    return [this](const Record& record, Lsn lsn) {
        if (lsn >= order_.before) return Fate::stays;
        if (is_of_a_key(record.kind)) {
            if (record.key != order_.key || !left_out_.kids.contains(record.kid))
                return Fate::stays;
            return record.kind == Kind::bind && shared_.contains(record.oid) ? Fate::object
                                                                             : Fate::erased;
        }
        const bool of_object = is_of_an_element(record.kind) || record.kind == Kind::object;
        return of_object && left_out_.oids.contains(record.oid) ? Fate::erased : Fate::stays;
    };
}

// Of an address in an image: whether its record is from before the moment.
bool Forgetter::is_old(Address address) const {
    if (planted("forget_takes_what_the_key_is_now")) return true;
    const auto now = Moves(manifest_.moves)(address);
    const auto* segment = segments_.find(now.file());
    if (segment == nullptr || now.offset() < segment->lead()) return true;
    if (!segment->packed) return segment->lsn_at(now.offset()) < order_.before;
    std::byte lead[kPackedLeadBytes];
    if (!io::guarded_copy(lead, segment->place().bytes + now.offset() - sizeof lead, sizeof lead))
        return true;
    return load<Lsn>(lead) < order_.before;
}

void Forgetter::settled(Outcome outcome) {
    if (outcome == Outcome::counts) {
        const bool image = exchange_.what == Exchange::What::image;
        told_.records += image ? 0 : copy_->gone();
        ++(image ? told_.images : told_.files);
        if (image) images_seen_.insert(exchange_.to);
    }
    if (outcome == Outcome::of_no_use) copy_->abandon();
    copy_.reset();
}

void Forgetter::abandon() {
    if (copy_ != nullptr) settled(Outcome::of_no_use);
    scan_.reset();
    phase_ = Phase::idle;
}

}  // namespace firnlog::engine
