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
// A copy of the image is worth it if so many times its bytes are given back for it.
constexpr std::uint64_t kCopyTimes = 2;

}  // namespace

void Walk::begin_image() {
    // Before the spaces are looked for: one that comes later has no record below lo.
    lo_ = log_.tail.batch_end();
    hi_ = lo_;
    records_at_lo_ = log_.tail.records();
    pass_.begin();
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
    for (const auto& named : pass_.named()) {
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

Result<bool> Walk::take_pages() {
    const auto bytes = writer_.bytes();
    for (std::size_t pages = 0; pages < kPagesMax && writer_.bytes() - bytes < kStepBytes;
         ++pages) {
        if (!pass_.next()) {
            phase_ = Phase::ending;
            return true;
        }
        if (auto added = add(pass_.what(), pass_.page()); !added) return fail(added);
        if (pass_.what().kind != BlobKind::keys) continue;
        const std::lock_guard guard(mutex_);
        status_.keys += pass_.page().count;
    }
    phase_ = pass_.at_objects() ? Phase::objects : Phase::keys;
    return true;
}

Result<bool> Walk::end_image() {
    const auto catalog = pass_.taker().catalog();
    if (!planted("image_without_catalog"))
        if (auto added = add({.kind = BlobKind::catalog}, catalog.page); !added) return fail(added);
    std::uint64_t keys = 0;
    {
        const std::lock_guard guard(mutex_);
        keys = status_.keys;
    }
    if (planted("image_begins_at_its_end")) lo_ = hi_ = log_.tail.batch_end();
    return end_file(keys);
}

Result<bool> Walk::end_file(std::uint64_t keys) {
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

// Whether the older of two checkpoints holds on to more than a copy of the newer one takes. While
// somebody reads the past nothing of it goes; and a disk that is full is left alone.
bool Walk::copy_is_worth_it() const {
    auto window = window_now_;
    {
        const std::lock_guard guard(mutex_);
        if (pins_ != 0) return false;
        window = window_;
        window.unarchived = {unarchived_.load(std::memory_order_acquire)};
    }
    if (emergency_ || window.keeps_any() || bases(manifest_) != kBasesMin) return false;
    const auto image = manifest_.checkpoints.back().bytes;
    const auto free = files_.free_bytes();
    if (!free || *free < 2 * image + reserve_.missing()) return false;
    const auto files = full_files();
    auto next = manifest_;
    next.checkpoints.push_back(next.checkpoints.back());
    (void)let_go(next, files, window, now_.suspended() ? 0 : clock_.wall().us);
    std::uint64_t freed = 0;
    for (const auto& file : unneeded(next, files)) freed += file.bytes;
    return freed >= kCopyTimes * image;
}

// The same pages in a file of their own, with checksums of their own. False: there is to be none.
Result<bool> Walk::begin_copy() {
    if (!copy_is_worth_it()) return false;
    const auto number = supply_.give_number();
    if (!number) return false;
    {
        const std::lock_guard guard(mutex_);
        status_.bytes_all += writer_.bytes();
    }
    auto header = reader_->header();
    header.number = *number;
    copies_ = true;
    next_blob_ = 0;
    phase_ = Phase::copying;
    if (auto begun = writer_.begin(header); !begun) return fail(begun);
    return true;
}

Result<bool> Walk::copy() {
    const auto bytes = writer_.bytes();
    const auto& blobs = reader_->blobs();
    for (; next_blob_ < blobs.size() && writer_.bytes() - bytes < kStepBytes; ++next_blob_) {
        const auto blob = reader_->blob(next_blob_);
        if (!blob) return fail(blob);
        if (auto added = writer_.add(blobs[next_blob_], *blob); !added) return fail(added);
    }
    if (next_blob_ < blobs.size()) return true;
    return end_file(reader_->trailer().keys);
}

}  // namespace firnlog::engine
