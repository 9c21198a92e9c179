#include "engine/index_pass.hpp"

#include <utility>

namespace firnlog::engine {

void IndexPass::begin() {
    kids_ = keyspace_.kids();
    kid_ = 0;
    stripe_ = 0;
    from_ = 0;
    large_ = {};
    part_from_ = 0;
}

bool IndexPass::next() {
    if (!at_objects()) {
        next_keys();
        return true;
    }
    if (!large_ && stripe_ == kStripes) return false;
    next_objects();
    return true;
}

void IndexPass::next_keys() {
    const auto kid = kids_[kid_];
    const auto stripe = static_cast<Stripe>(stripe_);
    auto page = taker_.keys(kid, stripe, from_);
    what_ = {.kind = BlobKind::keys, .stripe = stripe, .kid = kid, .from = from_};
    from_ = page ? page->next : 0;
    // A space that is gone needs no more pages.
    if (from_ == 0 && (++stripe_ == kStripes || !page)) {
        stripe_ = 0;
        ++kid_;
    }
    page_ = page ? std::move(*page) : PageImage{};
}

void IndexPass::next_objects() {
    if (large_) {
        auto part = taker_.part(large_, part_from_);
        what_ = {.kind = BlobKind::part,
                 .type = static_cast<std::uint8_t>(part.type),
                 .stripe = large_.home(),
                 .from = part_from_,
                 .oid = large_};
        page_ = std::move(part.page);
        part_from_ = page_.next;
        if (part_from_ != 0) return;
        large_ = {};
        if (from_ == 0) ++stripe_;
        return;
    }
    const auto stripe = static_cast<Stripe>(stripe_);
    auto taken = taker_.objects(stripe, from_);
    what_ = {.kind = BlobKind::objects, .stripe = stripe, .from = from_};
    page_ = std::move(taken.page);
    from_ = page_.next;
    large_ = taken.large;
    part_from_ = 0;
    if (from_ == 0 && !large_) ++stripe_;
}

}  // namespace firnlog::engine
