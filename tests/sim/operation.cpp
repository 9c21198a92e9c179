#include "tests/sim/operation.hpp"

#include <algorithm>
#include <cstring>

namespace firnlog::sim {

const char* text(Kind kind) noexcept {
    constexpr const char* kTexts[] = {"open",  "create",   "read",     "write",      "write_sync",
                                      "fsync", "sync",     "truncate", "allocate",   "size",
                                      "map",   "rename",   "link",     "unlink",     "make_dir",
                                      "list",  "sync_dir", "lock",     "free_bytes", "accept",
                                      "recv",  "send"};
    static_assert(std::size(kTexts) == kKinds);
    return kTexts[static_cast<std::size_t>(kind)];
}

bool changes_disk(Kind kind) noexcept {
    switch (kind) {
        case Kind::create:
        case Kind::write:
        case Kind::write_sync:
        case Kind::fsync:
        case Kind::sync:
        case Kind::truncate:
        case Kind::allocate:
        case Kind::rename:
        case Kind::link:
        case Kind::unlink:
        case Kind::make_dir:
        case Kind::sync_dir:
        case Kind::lock:
            return true;
        default:
            return false;
    }
}

std::string WayToFail::told() const {
    return is_short ? "cut short" : std::string{"fails with "} + ::strerrorname_np(error);
}

std::vector<WayToFail> ways_to_fail(Kind kind) {
    std::vector<WayToFail> ways{{.error = EIO}, {.error = ENOSPC}};
    switch (kind) {
        case Kind::write:
        case Kind::write_sync:
            ways.push_back({.is_short = true});
            [[fallthrough]];
        case Kind::fsync:
        case Kind::sync:
        case Kind::sync_dir:
            ways.push_back({.error = EINTR});
            break;
        default:
            break;
    }
    if (kind == Kind::write_sync || kind == Kind::fsync) ways.push_back({.error = EAGAIN});
    return ways;
}

void Trace::add(std::int64_t us, const char* what, const Operation& operation,
                std::int64_t result) {
    const auto mix = [&](std::uint64_t value) {
        digest_ = (digest_ ^ value) * 0x9e3779b97f4a7c15ULL;
        digest_ ^= digest_ >> 29;
    };
    mix(static_cast<std::uint64_t>(us));
    mix(operation.number);
    mix(static_cast<std::uint64_t>(operation.kind) << 8 | static_cast<std::uint64_t>(*what));
    mix(operation.offset);
    mix(operation.length);
    mix(static_cast<std::uint64_t>(result));
    ring_[count_++ % ring_.size()] = {us, what, operation, result};
}

void Trace::print_heads(std::FILE* to) {
    std::fprintf(to, "%12s %8s %-8s %-10s %-12s %-26s %11s %9s %s\n", "us", "op", "", "kind",
                 "phase", "file", "offset", "length", "result");
}

void Trace::print_line(std::FILE* to, const Line& line, const std::vector<std::string>& phases) {
    const Operation& op = line.operation;
    std::fprintf(to, "%12lld %8llu %-8s %-10s %-12s %-26s %11llu %9llu ",
                 static_cast<long long>(line.us), static_cast<unsigned long long>(op.number),
                 line.what, op.number == 0 ? "" : text(op.kind), phases[op.phase].c_str(),
                 op.file.data(), static_cast<unsigned long long>(op.offset),
                 static_cast<unsigned long long>(op.length));
    if (line.result < 0 && line.result > -4096)
        std::fprintf(to, "%s\n", ::strerrorname_np(static_cast<int>(-line.result)));
    else
        std::fprintf(to, "%lld\n", static_cast<long long>(line.result));
}

void Trace::print(std::FILE* to, const std::vector<std::string>& phases, std::uint64_t from) const {
    const std::uint64_t kept = std::min<std::uint64_t>(count_, ring_.size());
    for (std::uint64_t i = std::max(from, count_ - kept); i < count_; ++i)
        print_line(to, ring_[i % ring_.size()], phases);
}

void Tally::count(std::string_view phase, Kind kind, std::uint64_t times) {
    auto at = phases_.find(phase);
    if (at == phases_.end()) at = phases_.emplace(std::string{phase}, decltype(at->second){}).first;
    at->second[static_cast<std::size_t>(kind)] += times;
}

void Tally::add(const Tally& other) {
    for (const auto& [phase, counts] : other.phases_)
        for (std::size_t k = 0; k < kKinds; ++k)
            if (counts[k] != 0) count(phase, static_cast<Kind>(k), counts[k]);
}

std::uint64_t Tally::of(std::string_view phase, Kind kind) const {
    const auto at = phases_.find(phase);
    return at == phases_.end() ? 0 : at->second[static_cast<std::size_t>(kind)];
}

std::uint64_t Tally::of(Kind kind) const {
    std::uint64_t sum = 0;
    for (const auto& [phase, counts] : phases_) sum += counts[static_cast<std::size_t>(kind)];
    return sum;
}

std::uint64_t Tally::total() const {
    std::uint64_t sum = 0;
    for (std::size_t k = 0; k < kKinds; ++k) sum += of(static_cast<Kind>(k));
    return sum;
}

void Tally::print(std::FILE* to, const char* title) const {
    std::fprintf(to, "%-12s", title);
    for (const auto& [phase, counts] : phases_) std::fprintf(to, " %12s", phase.c_str());
    std::fprintf(to, " %12s\n", "all");
    for (std::size_t k = 0; k < kKinds; ++k) {
        const Kind kind = static_cast<Kind>(k);
        if (of(kind) == 0) continue;
        std::fprintf(to, "%-12s", text(kind));
        for (const auto& [phase, counts] : phases_)
            std::fprintf(to, " %12llu", static_cast<unsigned long long>(counts[k]));
        std::fprintf(to, " %12llu\n", static_cast<unsigned long long>(of(kind)));
    }
    std::fprintf(to, "%-12s", "all");
    for (const auto& [phase, counts] : phases_) {
        std::uint64_t sum = 0;
        for (const std::uint64_t count : counts) sum += count;
        std::fprintf(to, " %12llu", static_cast<unsigned long long>(sum));
    }
    std::fprintf(to, " %12llu\n", static_cast<unsigned long long>(total()));
}

void Tally::print_lines(std::FILE* to, std::string_view title) const {
    for (const auto& [phase, counts] : phases_) {
        std::string line = std::string{title} + ", " + phase;
        const char* separator = ": ";
        for (std::size_t k = 0; k < kKinds; ++k) {
            if (counts[k] == 0) continue;
            line += separator + std::string{text(static_cast<Kind>(k))} + " " +
                    std::to_string(counts[k]);
            separator = ", ";
        }
        std::fprintf(to, "%s\n", line.c_str());
    }
}

}  // namespace firnlog::sim
