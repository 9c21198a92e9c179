#include "recovery/lanes.hpp"

#include <new>
#include <utility>

#include "io/base/thread.hpp"

namespace firnlog::recovery {
namespace {

// Handing a block over costs some microseconds, and a lane's last one is waited for.
constexpr std::size_t kBlockItems = 1024;
constexpr std::size_t kBlocksWaiting = 4;
// Of the replay's thread itself.
constexpr std::size_t kOwnItems = 64;
// One look-up waits for memory three times, so each of them is asked for some records ahead.
constexpr std::size_t kAhead = 8;

}  // namespace

Lanes::Lanes(engine::Keyspace& keyspace, unsigned count) : keyspace_(keyspace) {
    own_.reserve(kOwnItems);
    for (unsigned i = 0; i < count; ++i) {
        auto& lane = *lanes_.emplace_back(std::make_unique<Lane>());
        lane.filling.reserve(kBlockItems);
        lane.full.reserve(kBlocksWaiting);
        lane.empty.resize(kBlocksWaiting);
        for (auto& block : lane.empty) block.reserve(kBlockItems);
    }
    for (const auto& lane : lanes_) {
        auto thread = start_thread([this, &its = *lane] { run(its); });
        if (!thread) break;
        lane->thread = std::move(*thread);
    }
    std::erase_if(lanes_, [](const auto& lane) { return !lane->thread.joinable(); });
}

Lanes::~Lanes() {
    for (const auto& lane : lanes_) {
        const std::lock_guard guard(lane->mutex);
        lane->leave = true;
        lane->changed.notify_all();
    }
    for (const auto& lane : lanes_) lane->thread.join();
}

void Lanes::add(const Item& item) {
    if (lanes_.empty()) return add_alone(item);
    if (!own_.empty()) apply_own();
    given_ = true;
    auto& lane = lane_of(item.known.stripe);
    lane.filling.push_back(item);
    if (lane.filling.size() == kBlockItems) hand_over(lane);
}

void Lanes::add_alone(const Item& item) {
    if (given_) settle_lanes();
    own_.push_back(item);
    if (own_.size() == kOwnItems) apply_own();
}

void Lanes::settle() {
    if (given_) settle_lanes();
    apply_own();
}

void Lanes::settle_lanes() {
    for (const auto& lane : lanes_)
        if (!lane->filling.empty()) hand_over(*lane);
    for (const auto& lane : lanes_) {
        std::unique_lock hold(lane->mutex);
        lane->changed.wait(hold, [&] { return lane->full.empty() && !lane->busy; });
        if (lane->out_of_memory) throw std::bad_alloc();
    }
    given_ = false;
}

void Lanes::hand_over(Lane& lane) {
    std::unique_lock hold(lane.mutex);
    lane.changed.wait(hold, [&] { return !lane.empty.empty(); });
    lane.full.push_back(std::exchange(lane.filling, std::move(lane.empty.back())));
    lane.empty.pop_back();
    lane.changed.notify_all();
}

void Lanes::run(Lane& lane) {
    std::unique_lock hold(lane.mutex);
    for (;;) {
        lane.changed.wait(hold, [&] { return lane.leave || !lane.full.empty(); });
        if (lane.leave) return;
        auto block = std::move(lane.full.front());
        lane.full.erase(lane.full.begin());
        lane.busy = true;
        hold.unlock();
        try {
            // What was to come before is missing.
            if (!lane.out_of_memory) apply(block);
        } catch (const std::bad_alloc&) {
            lane.out_of_memory = true;
        }
        block.clear();
        hold.lock();
        lane.busy = false;
        lane.empty.push_back(std::move(block));
        lane.changed.notify_all();
    }
}

void Lanes::apply_own() {
    apply(own_);
    own_.clear();
}

void Lanes::apply(std::span<const Item> items) {
    const auto map_of = [&](std::size_t i) -> const engine::TagMap* {
        const auto& known = items[i].known;
        return known.space == nullptr ? nullptr : &known.space->stripes[known.stripe];
    };
    for (std::size_t i = 0; i < items.size() + 3 * kAhead; ++i) {
        if (i < items.size()) __builtin_prefetch(map_of(i), 1);
        if (const auto at = i - kAhead; at < items.size())
            if (const auto* map = map_of(at)) map->prefetch_page(items[at].known.tag);
        if (const auto at = i - 2 * kAhead; at < items.size())
            if (const auto* map = map_of(at)) map->prefetch_slot(items[at].known.tag);
        if (const auto at = i - 3 * kAhead; at < items.size())
            keyspace_.replay(items[at].record, items[at].place, items[at].known);
    }
}

}  // namespace firnlog::recovery
