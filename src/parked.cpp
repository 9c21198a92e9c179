#include "src/parked.hpp"

#include <algorithm>

#include "src/server.hpp"

namespace firnlog::server {
namespace {

constexpr auto kFirst = engine::kParkedFirst;
constexpr auto kEnd = engine::kDatabasesMax;

bool uses(const std::vector<Parked::Flush>& flushes, std::uint32_t slot) {
    return std::ranges::any_of(flushes, [slot](const Parked::Flush& flush) {
        return std::ranges::count(flush.parts, slot, &Parked::Flush::Part::slot) != 0;
    });
}

// Its own kid has the slot's number.
Parked::Pointing nowhere(std::uint32_t slot) { return {.database = slot, .kid = slot}; }

}  // namespace

Parked::Parked(engine::Engine& engine) : engine_(engine) {
    for (auto slot = kFirst; slot < kEnd; ++slot)
        if (is_used(slot)) next_us_.store(0, std::memory_order_relaxed);
}

bool Parked::is_used(std::uint32_t slot) const {
    const auto* space = engine_.keyspace().find_space(slot);
    return space != nullptr && space->kid != slot;
}

std::vector<std::uint32_t> Parked::slots_of(std::uint32_t database) const {
    std::vector<std::uint32_t> slots;
    for (const auto& flush : flushes_)
        for (const auto& part : flush.parts)
            if (part.database == database) slots.push_back(part.slot);
    return slots;
}

std::uint64_t Parked::keys_of(std::uint32_t database) const {
    return static_cast<std::uint64_t>(
        std::max<std::int64_t>(engine_.keyspace().counts_of(database).keys, 0));
}

std::uint64_t Parked::keys() const {
    std::uint64_t keys = 0;
    if (next_us_.load(std::memory_order_relaxed) == kNever) return keys;
    for (auto slot = kFirst; slot < kEnd; ++slot) keys += keys_of(slot);
    return keys;
}

recovery::Place Parked::place_before(const engine::Session& session) const {
    const auto& tail = engine_.log.tail;
    const auto now_us = session.now_ms() * 1000;
    return {
        .lsn = tail.batch_end(), .timeline = tail.timeline(), .commit_us = now_us, .us = now_us};
}

std::optional<recovery::Place> Parked::place_of(const recovery::Moment& moment) const {
    if (moment.what != recovery::Moment::What::lsn) return std::nullopt;
    for (const auto& flush : flushes_)
        if (moment.lsn >= flush.place.lsn && moment.lsn < flush.end &&
            moment.timeline.value_or(flush.place.timeline) == flush.place.timeline)
            return flush.place;
    return std::nullopt;
}

Parked::Plan Parked::empty(const engine::Session& session, std::span<const std::uint32_t> databases,
                           const How& how) const {
    auto& keyspace = engine_.keyspace();
    Plan plan{.pointings = {}, .flushes = flushes_};
    const bool parks = how.until_us > 0 && !databases.empty() && databases.size() <= kEnd - kFirst;
    std::vector<std::uint32_t> slots;
    const auto find_slots = [&] {
        slots.clear();
        for (auto slot = kFirst; slot < kEnd && slots.size() < databases.size(); ++slot)
            if (!uses(plan.flushes, slot)) slots.push_back(slot);
        return slots.size() == databases.size();
    };
    while (parks && !find_slots()) {
        for (const auto& part : plan.flushes.front().parts)
            plan.pointings.push_back(nowhere(part.slot));
        plan.flushes.erase(plan.flushes.begin());
    }
    Flush flush{.parts = {},
                .all = how.all,
                .exact = !session.has_effects(),
                .place = place_before(session),
                .end = {},
                .until_us = how.until_us};
    for (std::size_t i = 0; i < databases.size(); ++i) {
        const auto database = databases[i];
        if (parks) {
            plan.pointings.push_back(
                {.database = slots[i], .kid = keyspace.space_of(database).kid});
            flush.parts.push_back({.database = database, .slot = slots[i]});
        }
        plan.pointings.push_back({.database = database, .kid = keyspace.fresh_kid()});
    }
    if (parks) plan.flushes.push_back(std::move(flush));
    return plan;
}

// The first flush behind the moment that took what is wished for.
std::optional<Parked::Back> Parked::back(const engine::Session& session, const Wish& wish) const {
    auto& keyspace = engine_.keyspace();
    const auto is_wished = [&](const Flush::Part& part) {
        return wish.all || part.database == wish.database;
    };
    const auto found = std::ranges::find_if(flushes_, [&](const Flush& flush) {
        return flush.place.lsn >= wish.place.lsn && (flush.all || !wish.all) &&
               std::ranges::any_of(flush.parts, is_wished);
    });
    if (found == flushes_.end()) return std::nullopt;
    Back back{.plan = {.pointings = {}, .flushes = flushes_},
              .exact = found->exact && found->place.lsn == wish.place.lsn};
    auto& left = back.plan.flushes[static_cast<std::size_t>(found - flushes_.begin())];
    // What goes can come back, too.
    Flush gone{.parts = {}, .place = place_before(session), .end = {}, .until_us = found->until_us};
    for (const auto& part : found->parts) {
        if (!is_wished(part)) continue;
        const bool empty = keys_of(part.database) == 0;
        if (!empty) (wish.delete_new ? back.exchanged : back.merged).push_back(part);
        const auto expires = keyspace.counts_of(part.slot).expires;
        back.exact = back.exact && (wish.ttl == recovery::Ttl::keep || expires == 0);
        back.keys += keys_of(part.slot);
        back.plan.pointings.push_back(
            {.database = part.database, .kid = keyspace.space_of(part.slot).kid});
        if (empty) {
            back.plan.pointings.push_back(nowhere(part.slot));
        } else {
            back.plan.pointings.push_back(
                {.database = part.slot, .kid = keyspace.space_of(part.database).kid});
            gone.parts.push_back(part);
        }
    }
    // The others were empty then.
    for (std::uint32_t database = 0;
         wish.all && wish.delete_new && database < keyspace.databases_end(); ++database)
        if (std::ranges::count(found->parts, database, &Flush::Part::database) == 0)
            back.exact = back.exact && keys_of(database) == 0;
    std::erase_if(left.parts, is_wished);
    left.all = false;
    std::erase_if(back.plan.flushes, [](const Flush& flush) { return flush.parts.empty(); });
    if (!gone.parts.empty()) back.plan.flushes.push_back(std::move(gone));
    return back;
}

Parked::Plan Parked::let_go(std::int64_t now_us) const {
    Plan plan{.pointings = {}, .flushes = flushes_};
    std::erase_if(plan.flushes, [&](const Flush& flush) { return flush.until_us <= now_us; });
    for (auto slot = kFirst; slot < kEnd; ++slot)
        if (is_used(slot) && !uses(plan.flushes, slot)) plan.pointings.push_back(nowhere(slot));
    return plan;
}

void Parked::tend(Server& server, engine::Session& session) {
    const auto next_us = next_us_.load(std::memory_order_relaxed);
    if (next_us == kNever || engine_.options.past || engine_.log.failed() != 0) return;
    const auto now_us = server.clock().mono().us;
    const auto walk = engine_.walk.status();
    const bool is_short =
        !server.memory_bound.refusal().empty() || walk.full || walk.free_bytes < walk.marks.low;
    if (!is_short && next_us > now_us) return;
    session.begin_all(0);
    // Where there is no room for it, it is tried again.
    (void)carry_out(session, let_go(is_short ? kNever - 1 : now_us));
    (void)session.end();
    session.reset();
}

engine::Expected<void> Parked::carry_out(engine::Session& session, Plan&& plan) {
    if (auto done = session.point(plan.pointings); !done) return done;
    flushes_ = std::move(plan.flushes);
    if (!flushes_.empty() && flushes_.back().end.value == 0)
        flushes_.back().end = engine_.log.tail.batch_end();
    auto next_us = kNever;
    for (const auto& flush : flushes_) next_us = std::min(next_us, flush.until_us);
    next_us_.store(next_us, std::memory_order_relaxed);
    return {};
}

}  // namespace firnlog::server
