#include "engine/loader.hpp"

#include <algorithm>
#include <new>
#include <set>
#include <system_error>

#include "io/base/ensure.hpp"

namespace firnlog::engine {
namespace {

// A stripe with more than that is not put in under a lock that others wait for: some 16,000 keys,
// which take 1 to 2 ms. With keys spread evenly that is a store of 250 million.
constexpr std::uint64_t kWaitingBytesMax = std::uint64_t{256} << 10;
// Of one step.
constexpr std::uint64_t kStepBytes = std::uint64_t{256} << 10;
// Of the worker's time, while nobody waits for it.
constexpr std::int64_t kDutyPercent = 50;
// Memory or a disk may be had later.
constexpr std::int64_t kRetryUs = 30'000'000;
constexpr std::int64_t kMemoryRetryUs = 100'000;

}  // namespace

Loader::Loader(Keyspace& keyspace, std::unique_ptr<CheckpointReader> reader, Moves moves)
    : keyspace_(keyspace),
      reader_(std::move(reader)),
      number_(reader_->header().number),
      pages_(keyspace, std::move(moves), false) {
    const auto& blobs = reader_->blobs();
    first_.assign(kStripes + 1, 0);
    for (const auto& blob : blobs)
        if (blob.kind != BlobKind::catalog) ++first_[blob.stripe + 1U];
    for (std::uint32_t i = 0; i < kStripes; ++i) first_[i + 1] += first_[i];
    order_.resize(first_[kStripes]);
    auto next = first_;
    for (std::uint32_t i = 0; i < blobs.size(); ++i)
        if (blobs[i].kind != BlobKind::catalog) order_[next[blobs[i].stripe]++] = i;
}

Result<void> Loader::begin(const std::function<bool(std::uint64_t)>& progress) {
    keyspace_.wait_for([this](Stripe stripe) { return load(stripe); });
    std::vector<Stripe> now;
    std::set<Stripe> strayed;
    for (std::uint32_t i = 0; i < kStripes; ++i) {
        const auto stripe = static_cast<Stripe>(i);
        std::uint64_t bytes = 0;
        std::uint64_t strays = 0;
        for (const auto number : blobs_of(stripe)) {
            const auto& blob = reader_->blobs()[number];
            bytes += blob.length;
            if (blob.kind != BlobKind::keys) continue;
            auto* space = keyspace_.find_space_of(blob.kid);
            if (space == nullptr) continue;
            strays += blob.strays;
            space->keys.fetch_add(static_cast<std::int64_t>(blob.count), std::memory_order_relaxed);
            space->expires.fetch_add(blob.expires, std::memory_order_relaxed);
        }
        if (bytes == 0) continue;
        keyspace_.await(stripe);
        if (strays != 0) strayed.insert(stripe);
        if (strays != 0 || bytes > kWaitingBytesMax) now.push_back(stripe);
    }
    // Keys of two stripes may each lead to an object of the other.
    std::set<Stripe> seen;
    for (std::size_t i = 0; i < now.size(); ++i) {
        const auto stripe = now[i];
        if (!seen.insert(stripe).second) continue;
        if (!keyspace_.fetch(stripe)) return fail(*fault());
        std::uint64_t bytes = 0;
        for (const auto number : blobs_of(stripe)) bytes += reader_->blobs()[number].length;
        if (!progress(bytes)) return fail(Error{.code = Code::busy, .doing = "load a checkpoint"});
        if (!strayed.contains(stripe)) continue;
        const auto homes = homes_of(stripe);
        now.insert(now.end(), homes.begin(), homes.end());
    }
    return {};
}

std::vector<Stripe> Loader::homes_of(Stripe stripe) {
    std::set<Stripe> homes;
    for (const auto kid : keyspace_.kids())
        keyspace_.find_space_of(kid)->stripes[stripe].for_each([&](const Entry& entry) {
            if (entry.type() != Type::string) homes.insert(entry.pointer<Object>()->oid.home());
        });
    homes.erase(stripe);
    return {homes.begin(), homes.end()};
}

bool Loader::step(io::Clock& clock, bool hurry) {
    if (done()) return false;
    const auto began = clock.mono();
    if (began < next_ && !hurry) return false;
    for (std::uint64_t bytes = 0; at_ < kStripes && bytes < kStepBytes; ++at_) {
        const auto stripe = static_cast<Stripe>(at_);
        if (blobs_of(stripe).empty()) continue;
        auto& state = keyspace_.stripe(stripe);
        {
            const std::lock_guard guard(state.lock);
            if (state.presence != Presence::waiting) continue;
        }
        bytes += warm(stripe);
        try {
            const std::lock_guard guard(state.lock);
            (void)keyspace_.fetch(stripe);
        } catch (const std::bad_alloc&) {
            next_ = clock.mono().after(kMemoryRetryUs);
            return false;
        }
    }
    if (done()) {
        reader_.reset();
        order_ = {};
        warm_ = {};
    }
    const auto ended = clock.mono();
    next_ = ended.after((ended.us - began.us) * (100 - kDutyPercent) / kDutyPercent);
    return true;
}

std::uint64_t Loader::warm(Stripe stripe) {
    std::uint64_t bytes = 0;
    for (const auto number : blobs_of(stripe)) {
        const auto& blob = reader_->blobs()[number];
        // Whether that goes well shows when it counts.
        (void)reader_->blob(blob, warm_);
        bytes += blob.length;
    }
    return bytes;
}

bool Loader::load(Stripe stripe) {
    const auto loaded = load_blobs(stripe);
    if (!loaded) note(loaded.error());
    return loaded.has_value();
}

void Loader::note(const Error& fault) {
    const std::lock_guard guard(mutex_);
    fault_ = fault;
}

Loader::Mending Loader::mend(io::Clock& clock, const std::atomic<bool>& stop) {
    if (!done() || keyspace_.lost() == 0 || !rebuild) return Mending::idle;
    if (!rebuilding_.valid() && clock.mono() < mend_again_) return Mending::idle;
    mend_again_ = clock.mono().after(kRetryUs);
    auto ended = [&]() -> std::optional<Rebuilt> {
        try {
            if (!rebuilding_.valid()) {
                mending_ = lost();
                rebuilding_ = rebuild(stop, mending_);
            }
            if (rebuilding_.wait_for(std::chrono::seconds(0)) == std::future_status::timeout)
                return std::nullopt;
            return rebuilding_.get();
        } catch (const std::bad_alloc&) {
            return fail_errno("make the index anew", ENOMEM);
        } catch (const std::system_error& error) {
            return fail_errno("start a thread", error.code().value());
        }
    }();
    if (!ended) return Mending::running;
    auto& rebuilt = *ended;
    keyspace_.beyond_repair(!rebuilt);
    if (!rebuilt) {
        note(rebuilt.error());
        return Mending::failed;
    }
    for (const auto stripe : mending_) {
        const std::lock_guard guard(keyspace_.stripe(stripe).lock);
        (void)keyspace_.mend(stripe, **rebuilt);
    }
    if (keyspace_.lost() == 0) return Mending::done;
    keyspace_.beyond_repair(true);
    note({.code = Code::damaged, .file = number_, .doing = "make a page of the index anew"});
    return Mending::failed;
}

// None waits any more, so these are all that there will ever be.
std::vector<Stripe> Loader::lost() {
    std::vector<Stripe> found;
    for (std::uint32_t i = 0; i < kStripes; ++i) {
        auto& state = keyspace_.stripe(static_cast<Stripe>(i));
        const std::lock_guard guard(state.lock);
        if (state.presence == Presence::lost) found.push_back(static_cast<Stripe>(i));
    }
    return found;
}

Result<void> Loader::load_blobs(Stripe stripe) {
    std::vector<std::byte> memory;
    for (const auto number : blobs_of(stripe)) {
        const auto& blob = reader_->blobs()[number];
        const auto bytes = reader_->blob(blob, memory);
        if (!bytes) return fail(bytes);
        if (!pages_.page(*bytes, blob.kind, blob.kid, stripe))
            return fail(Error{.code = Code::damaged,
                              .offset = blob.offset,
                              .file = reader_->header().number,
                              .doing = "read a checkpoint: a blob makes no sense"});
    }
    return {};
}

std::optional<Error> Loader::fault() const {
    const std::lock_guard guard(mutex_);
    return fault_;
}

}  // namespace firnlog::engine
