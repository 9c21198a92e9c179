#include "src/crashtest/ledger.hpp"

#include <algorithm>

#include "io/base/ensure.hpp"
#include "src/crashtest/stamp.hpp"
#include "src/crashtest/text.hpp"

namespace firnlog::crashtest {
namespace {

// Servers look at the clock once a turn of their loop.
constexpr std::int64_t kClockSlackUs = 50'000;

constexpr std::string_view kKinds[] = {"SET",    "DEL",  "INCR", "MSET",       "MULTI",
                                       "SET PX", "HSET", "HDEL", "shared INCR"};

std::string shown(const std::optional<std::string>& content) {
    return content ? printable(*content) : "nothing";
}

std::string shown(const Seen& seen) {
    if (seen.as == Seen::As::absent) return "nothing";
    return (seen.as == Seen::As::error ? "error " : "") + printable(seen.content);
}

bool is_batch(Kind kind) { return kind == Kind::mset || kind == Kind::multi; }

}  // namespace

std::string_view name_of(Kind kind) noexcept { return kKinds[static_cast<std::size_t>(kind)]; }

Ledger::Ledger(std::string name, std::vector<std::string> keys)
    : name_(std::move(name)), keys_(std::move(keys)), versions_(keys_.size()) {
    for (auto& versions : versions_) versions.emplace_back();
}

std::uint64_t Ledger::begin(Kind kind, std::int64_t now_us) {
    ops_.push_back({.sequence = ++last_, .kind = kind, .sent_us = now_us});
    return last_;
}

void Ledger::effect(std::size_t key, std::optional<std::string> content, std::int64_t ttl_ms) {
    auto& op = ops_.back();
    if (op.keys.empty() || op.keys.back() != key)
        op.keys.push_back(static_cast<std::uint32_t>(key));
    auto& versions = versions_[key];
    if (versions.back().sequence != op.sequence) versions.push_back({.sequence = op.sequence});
    auto& version = versions.back();
    version.content = std::move(content);
    version.ttl_us = ttl_ms * 1000;
    version.expires_low_us = ttl_ms == 0 ? 0 : op.sent_us + version.ttl_us;
    version.expires_high_us = version.expires_low_us;  // `acked` or `ended` knows better
}

const Ledger::Op* Ledger::find(std::uint64_t sequence) const {
    return sequence > base_ && sequence <= last_ ? &ops_[sequence - base_ - 1] : nullptr;
}

void Ledger::answered(std::uint64_t sequence, std::int64_t now_us, bool is_refusal) {
    auto& op = ops_[sequence - base_ - 1];
    op.acked_us = now_us;
    op.refused = is_refusal;
    for (const auto key : op.keys)
        for (auto version = versions_[key].rbegin(); version->sequence >= sequence; ++version) {
            if (version->sequence != sequence) continue;
            version->maybe = is_refusal;
            if (version->ttl_us != 0) version->expires_high_us = now_us + version->ttl_us;
        }
}

void Ledger::acked(std::uint64_t sequence, std::int64_t now_us, std::int64_t integer) {
    answered(sequence, now_us, false);
    ops_[sequence - base_ - 1].integer = integer;
}

void Ledger::refused(std::uint64_t sequence, std::int64_t now_us, bool in_part) {
    answered(sequence, now_us, true);
    ops_[sequence - base_ - 1].in_part = in_part;
}

void Ledger::ended(std::int64_t now_us) {
    for (auto op = ops_.rbegin(); op != ops_.rend() && op->acked_us == 0; ++op)
        for (const auto key : op->keys)
            for (auto version = versions_[key].rbegin(); version->sequence >= op->sequence;
                 ++version)
                if (version->ttl_us != 0)
                    version->expires_high_us =
                        std::max(version->expires_high_us, now_us + version->ttl_us);
}

bool Ledger::all_answered() const { return ops_.empty() || ops_.back().acked_us != 0; }

const std::optional<std::string>& Ledger::content(std::size_t key) const {
    return versions_[key].back().content;
}

bool Ledger::matches(const Version& version, const Seen& seen) {
    const bool is_value = seen.as == Seen::As::value;
    if (!version.content) return seen.as == Seen::As::absent;
    if (version.expires_low_us == 0)
        return is_value && seen.content == *version.content && seen.ttl_ms < 0;
    if (!is_value)
        return seen.as == Seen::As::absent &&
               seen.after_us + kClockSlackUs >= version.expires_low_us;
    if (seen.content != *version.content ||
        seen.before_us > version.expires_high_us + kClockSlackUs)
        return false;
    if (seen.ttl_ms == -2) return true;
    const auto ends_us = seen.ttl_ms * 1000;
    return seen.ttl_ms >= 0 && ends_us + seen.after_us + kClockSlackUs >= version.expires_low_us &&
           ends_us + seen.before_us <= version.expires_high_us + kClockSlackUs;
}

bool Ledger::ever(std::size_t key, const Seen& seen) const {
    return std::ranges::any_of(versions_[key], [&](const auto& version) {
        return seen.as == Seen::As::value && version.content && seen.content == *version.content;
    });
}

bool Ledger::newest(std::size_t key, const Seen& seen) const {
    return matches(versions_[key].back(), seen);
}

std::vector<Ledger::Span> Ledger::right_for(std::size_t key, const Seen& seen) const {
    std::vector<Span> out;
    const auto& versions = versions_[key];
    for (std::size_t i = 0; i < versions.size(); ++i) {
        if (!matches(versions[i], seen)) continue;
        // It holds until a write that surely happened.
        auto next = i + 1;
        while (next < versions.size() && versions[next].maybe) ++next;
        Span span{std::max(versions[i].sequence, base_),
                  next < versions.size() ? versions[next].sequence - 1 : last_};
        if (!out.empty() && span.first <= out.back().last + 1)
            out.back().last = std::max(out.back().last, span.last);
        else if (span.first <= span.last)
            out.push_back(span);
    }
    return out;
}

// Increments are answered in order, so those with an answer up to the value are there, the others
// not: one span.
std::optional<Ledger::Span> Ledger::right_for_shared(std::int64_t value) const {
    Span span{base_, last_};
    for (const auto& op : ops_) {
        if (op.kind != Kind::shared || op.acked_us == 0 || op.refused) continue;
        if (op.integer <= value)
            span.first = op.sequence;
        else
            span.last = std::min(span.last, op.sequence - 1);
    }
    return span.first <= span.last ? std::optional(span) : std::nullopt;
}

const Ledger::Version& Ledger::expected(std::size_t key, std::uint64_t n) const {
    const auto& versions = versions_[key];
    auto found = versions.begin();
    for (auto version = found; version != versions.end() && version->sequence <= n; ++version)
        if (!version->maybe) found = version;
    return *found;
}

std::vector<Moment> Ledger::history(std::size_t key, const Seen& seen, std::uint64_t around) const {
    constexpr std::size_t kBefore = 3, kBehind = 4;
    std::vector<Moment> out;
    const auto& versions = versions_[key];
    const auto last = std::ranges::find_if(
        versions, [&](const auto& version) { return version.sequence > around; });
    const auto middle = static_cast<std::size_t>(last - versions.begin());
    const auto end = std::min(middle + kBehind, versions.size());
    for (std::size_t i = middle - std::min(middle, kBefore); i < end; ++i) {
        const auto* const op = find(versions[i].sequence);
        auto what = keys_[key];
        what.append(" = ").append(shown(versions[i].content));
        if (op == nullptr) {
            out.push_back({0, "before this cycle: " + what});
            continue;
        }
        const auto write = "write " + std::to_string(op->sequence);
        const auto head = write + " (" + std::string(name_of(op->kind)) + ")";
        auto mark = stamp_begins(keys_[key], op->sequence);
        if (!versions[i].content || versions[i].content->find(mark) == std::string::npos)
            mark.clear();
        out.push_back({op->sent_us, std::string(head).append(" sent: ").append(what),
                       mark.empty() ? "" : write, std::move(mark)});
        if (op->acked_us != 0)
            out.push_back(
                {op->acked_us, head + (op->refused ? " answered with an error" : " acknowledged")});
    }
    if (end < versions.size()) {
        const auto* const first = find(versions[end].sequence);
        const auto acked =
            std::count_if(versions.begin() + static_cast<std::ptrdiff_t>(end), versions.end(),
                          [&](const auto& version) {
                              const auto* const op = find(version.sequence);
                              return op != nullptr && op->acked_us != 0 && !op->refused;
                          });
        out.push_back({first == nullptr ? 0 : first->sent_us,
                       "from here on " + plural(versions.size() - end, "more write") + " of " +
                           keys_[key] + ", " + grouped(static_cast<std::uint64_t>(acked)) +
                           " of them acknowledged"});
    }
    out.push_back({seen.before_us, "came back: " + keys_[key] + " = " + shown(seen)});
    std::ranges::stable_sort(out, {}, &Moment::at_us);
    return out;
}

Violation Ledger::classify(std::size_t key, const Seen& seen, std::uint64_t n,
                           std::span<const Seen> all) const {
    const auto& version = expected(key, n);
    const auto* const op = find(version.sequence);
    const auto make = [&](std::string name, const std::string& why) {
        return Violation{std::move(name),
                         name_ + ", " + keys_[key] + ": " + why + "; expected " +
                             shown(version.content) + ", came back " + shown(seen),
                         history(key, seen, n)};
    };
    if (seen.as == Seen::As::error) return make("error-reply", "the key answers with an error");
    const auto same = [&](const Version& other) {
        return seen.as == Seen::As::value && other.content && *other.content == seen.content;
    };
    if (seen.as == Seen::As::value) {
        const auto found = std::ranges::find_if(versions_[key], same);
        if (same(version)) return make("expiry", "its time to live is not what was asked for");
        if (found == versions_[key].end()) {
            const auto stamp = stamp_of(seen.content);
            if (stamp && stamp->key != keys_[key])
                return make("foreign-value", "the value of another key");
            if (stamp && stamp->sequence <= base_)
                return make("resurrection", "a value of an earlier cycle is back");
            return make("wrong-value", "bytes that were never written");
        }
        if (found->sequence > n)
            return make("hole", "write " + std::to_string(found->sequence) +
                                    " is there while earlier ones of this client are missing");
        if (!version.content || version.expires_low_us != 0)
            return make("resurrection", "what write " + std::to_string(version.sequence) +
                                            " removed or replaced is back");
    }
    if (version.expires_low_us != 0 && seen.as == Seen::As::absent)
        return make("expiry", "gone before its time");
    if (op != nullptr && is_batch(op->kind)) {
        const bool in_part = std::ranges::any_of(op->keys, [&](auto other) {
            return other != key && expected(other, n).sequence == op->sequence &&
                   matches(expected(other, n), all[other]);
        });
        if (in_part)
            return make("torn-batch", "of the " + std::string(name_of(op->kind)) + " of write " +
                                          std::to_string(op->sequence) + " only a part is there");
    }
    if (op == nullptr) return make("lost-ack", "it was there before this cycle and is gone");
    return make("hole", "write " + std::to_string(op->sequence) +
                            " is missing while later ones of this client are there");
}

// A batch that was refused as a whole is there or not, but not in part: one key that only it can
// have written, beside one that is older, gives it away.
std::optional<Violation> Ledger::torn_although_refused(const Op& op,
                                                       std::span<const Seen> all) const {
    std::optional<std::uint32_t> there, older;
    for (const auto key : op.keys) {
        std::optional<std::uint64_t> lowest, highest;
        for (const auto& version : versions_[key])
            if (matches(version, all[key])) {
                if (!lowest) lowest = version.sequence;
                highest = version.sequence;
            }
        if (lowest == op.sequence && highest == op.sequence) there = key;
        if (highest && *highest < op.sequence) older = key;
    }
    if (!there || !older) return std::nullopt;
    return Violation{"torn-batch",
                     name_ + ": of the " + std::string(name_of(op.kind)) + " of write " +
                         std::to_string(op.sequence) + ", which was answered with an error, " +
                         keys_[*there] + " is there and " + keys_[*older] + " is not",
                     history(*older, all[*older], op.sequence)};
}

Judgement Ledger::judge(std::span<const Seen> seen, std::optional<std::int64_t> shared) const {
    ensure(seen.size() == keys_.size(), "every key was looked at");
    Judgement out;
    // How many keys are right for each prefix: +1 where a span begins, -1 behind its end.
    std::vector<std::int32_t> steps(last_ - base_ + 2);
    const auto mark = [&](const Span& span) {
        ++steps[span.first - base_];
        --steps[span.last + 1 - base_];
    };
    for (std::size_t key = 0; key < keys_.size(); ++key)
        for (const auto& span : right_for(key, seen[key])) mark(span);
    const auto shared_span = shared ? right_for_shared(*shared) : std::nullopt;
    if (shared_span) mark(*shared_span);
    std::int32_t right = 0, best = -1;
    for (std::uint64_t n = base_; n <= last_; ++n) {
        right += steps[n - base_];
        if (right > best) out.prefix_low = n;
        if (right >= best) out.prefix_high = n;
        best = std::max(best, right);
    }
    const auto n = out.prefix_high;
    for (std::size_t key = 0; key < keys_.size(); ++key) {
        const auto spans = right_for(key, seen[key]);
        if (std::ranges::none_of(
                spans, [&](const auto& span) { return span.first <= n && n <= span.last; }))
            out.violations.push_back(classify(key, seen[key], n, seen));
    }
    if (shared && (!shared_span || n < shared_span->first || n > shared_span->last))
        out.violations.push_back(
            {"order",
             name_ + ": the counter that all clients increment stands at " +
                 std::to_string(*shared) +
                 ", which fits no prefix of this client's writes that its keys show",
             {}});
    constexpr std::uint64_t kTriesMax = 32;
    bool is_told = false;
    for (const auto& op : ops_) {
        if (op.refused && !op.in_part && is_batch(op.kind) && op.sequence <= n)
            if (auto torn = torn_although_refused(op, seen))
                out.violations.push_back(std::move(*torn));
        const bool is_acked = op.acked_us != 0 && !op.refused;
        out.acked += is_acked ? 1 : 0;
        if (op.sequence <= out.prefix_low && op.sequence > base_) out.present_sent_us = op.sent_us;
        if (!is_acked || op.sequence <= n) continue;
        if (out.acked_lost++ == 0) out.lost_acked_us = op.acked_us;
        // Of the first ones, one is told whose bytes can be looked for, if there is such a one.
        if (op.keys.empty() || is_told || out.acked_lost > kTriesMax) continue;
        const auto key = op.keys.front();
        auto timeline = history(key, seen[key], op.sequence);
        is_told = std::ranges::any_of(timeline, [](const auto& one) { return !one.mark.empty(); });
        if (is_told || out.lost_timeline.empty()) out.lost_timeline = std::move(timeline);
    }
    return out;
}

void Ledger::rebase(std::span<const Seen> seen) {
    for (std::size_t key = 0; key < keys_.size(); ++key) {
        Version base{.sequence = last_};
        if (seen[key].as == Seen::As::value) {
            base.content = seen[key].content;
            for (const auto& version : versions_[key])
                if (version.expires_low_us != 0 && matches(version, seen[key])) {
                    base.expires_low_us = version.expires_low_us;
                    base.expires_high_us = version.expires_high_us;
                }
        }
        versions_[key].assign(1, base);
    }
    ops_.clear();
    base_ = last_;
}

std::int64_t Ledger::shared_acked_max() const {
    std::int64_t out = 0;
    for (const auto& op : ops_)
        if (op.kind == Kind::shared && op.acked_us != 0 && !op.refused)
            out = std::max(out, op.integer);
    return out;
}

std::int64_t Ledger::shared_unanswered() const {
    return std::ranges::count_if(ops_, [](const auto& op) {
        return op.kind == Kind::shared && (op.acked_us == 0 || op.refused);
    });
}

}  // namespace firnlog::crashtest
