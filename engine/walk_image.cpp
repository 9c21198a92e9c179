// The image of a walk: the index taken page by page into a checkpoint, and read back.

#include <algorithm>

#include "engine/walk.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::engine {
namespace {

// Of one step.
constexpr std::size_t kPagesMax = 512;
constexpr std::uint64_t kStepBytes = std::uint64_t{512} << 10;
constexpr std::uint64_t kReadBytes = std::uint64_t{1} << 20;

}  // namespace

void Walk::begin_image() {
    // Before the spaces are looked for: one that comes later has no record below lo.
    lo_ = log_.tail.batch_end();
    hi_ = lo_;
    records_at_lo_ = log_.tail.records();
    kids_ = keyspace_.kids();
    kid_ = 0;
    stripe_ = 0;
    from_ = 0;
    large_ = {};
    named_bytes_.clear();
    const auto number = supply_.give_number();
    if (!number) {
        finish(number.error());
        return;
    }
    phase_ = Phase::keys;
    const auto room = emergency_ ? reserve_.lend(image_bytes_max()) : 0;
    const auto begun = writer_.begin({.store_id = manifest_.store_id,
                                      .number = *number,
                                      .hash_secret = manifest_.hash_secret,
                                      .begun_us = clock_.wall().us},
                                     room);
    if (!begun) {
        finish(begun.error());
        return;
    }
    publish();
}

Result<void> Walk::add(BlobEntry what, const PageImage& page) {
    hi_ = std::max(hi_, page.stamp);
    // What is empty needs no place: replay from lo on makes it empty again.
    if (page.bytes.empty()) return {};
    if (planted("image_leaves_a_page_out") && what.stripe % 8 == 5) return {};
    for (const auto& named : taker_.named()) {
        const auto file = named.address.file();
        if (named_bytes_.size() <= file) named_bytes_.resize(file + 1);
        named_bytes_[file] += named.bytes;
    }
    what.stamp = page.stamp;
    what.count = page.count;
    what.expires = page.expires;
    what.strays = page.strays;
    return writer_.add(what, page.bytes);
}

Result<bool> Walk::take_keys() {
    const auto bytes = writer_.bytes();
    for (std::size_t pages = 0; pages < kPagesMax && writer_.bytes() - bytes < kStepBytes;
         ++pages) {
        if (kid_ == kids_.size()) {
            phase_ = Phase::objects;
            return true;
        }
        const auto kid = kids_[kid_];
        const auto stripe = static_cast<Stripe>(stripe_);
        const auto page = taker_.keys(kid, stripe, from_);
        if (page) {
            const auto added =
                add({.kind = BlobKind::keys, .stripe = stripe, .kid = kid, .from = from_}, *page);
            if (!added) return fail(added);
            const std::lock_guard guard(mutex_);
            status_.keys += page->count;
        }
        from_ = page ? page->next : 0;
        if (from_ != 0) continue;
        // A space that is gone needs no more pages.
        if (++stripe_ < kStripes && page) continue;
        stripe_ = 0;
        ++kid_;
    }
    return true;
}

Result<bool> Walk::take_objects() {
    const auto bytes = writer_.bytes();
    for (std::size_t pages = 0; pages < kPagesMax && writer_.bytes() - bytes < kStepBytes;
         ++pages) {
        if (large_) {
            const auto part = taker_.part(large_, part_from_);
            const auto added = add({.kind = BlobKind::part,
                                    .type = static_cast<std::uint8_t>(part.type),
                                    .stripe = large_.home(),
                                    .from = part_from_,
                                    .oid = large_},
                                   part.page);
            if (!added) return fail(added);
            part_from_ = part.page.next;
            if (part_from_ != 0) continue;
            large_ = {};
            if (from_ == 0) ++stripe_;
            continue;
        }
        if (stripe_ == kStripes) {
            phase_ = Phase::ending;
            return true;
        }
        const auto stripe = static_cast<Stripe>(stripe_);
        const auto taken = taker_.objects(stripe, from_);
        if (auto added =
                add({.kind = BlobKind::objects, .stripe = stripe, .from = from_}, taken.page);
            !added)
            return fail(added);
        from_ = taken.page.next;
        large_ = taken.large;
        part_from_ = 0;
        if (from_ == 0 && !large_) ++stripe_;
    }
    return true;
}

Result<bool> Walk::end_image() {
    const auto catalog = taker_.catalog();
    if (!planted("image_without_catalog"))
        if (auto added = add({.kind = BlobKind::catalog}, catalog.page); !added) return fail(added);
    std::uint64_t keys = 0;
    {
        const std::lock_guard guard(mutex_);
        keys = status_.keys;
    }
    if (planted("image_begins_at_its_end")) lo_ = hi_ = log_.tail.batch_end();
    if (auto finished = writer_.finish(lo_, hi_, keys); !finished) return fail(finished);
    auto reader = CheckpointReader::open(files_, writer_.number(), manifest_.store_id, true);
    if (!reader) return fail(reader);
    reader_ = std::move(*reader);
    next_blob_ = 0;
    phase_ = Phase::reading;
    return true;
}

// What the disk gives back is what counts, not what was handed to it.
Result<bool> Walk::read_back() {
    const auto& blobs = reader_->blobs();
    for (std::uint64_t bytes = 0; next_blob_ < blobs.size() && bytes < kReadBytes; ++next_blob_) {
        if (auto blob = reader_->blob(next_blob_); !blob) return fail(blob);
        bytes += blobs[next_blob_].length;
    }
    if (next_blob_ == blobs.size()) phase_ = Phase::waiting;
    return true;
}

}  // namespace firnlog::engine
