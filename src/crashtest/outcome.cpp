#include "src/crashtest/outcome.hpp"

#include <algorithm>
#include <cmath>

#include "src/crashtest/text.hpp"

namespace firnlog::crashtest {

std::string counts_of(const std::map<std::string, std::uint32_t>& counts) {
    std::string out;
    for (const auto& [name, count] : counts)
        out.append(out.empty() ? "" : ", ").append(name).append(" ").append(grouped(count));
    return out;
}

std::uint64_t Outcome::acks() const {
    std::uint64_t out = 0;
    for (const auto& cycle : cycles) out += cycle.acks;
    return out;
}

std::uint64_t Outcome::lost() const {
    std::uint64_t out = 0;
    for (const auto& cycle : cycles) out += cycle.lost;
    return out;
}

std::uint64_t Outcome::violations() const {
    std::uint64_t out = 0;
    for (const auto& cycle : cycles) out += cycle.violations;
    return out;
}

double Outcome::loss_ms_max() const {
    double out = 0;
    for (const auto& cycle : cycles) out = std::max(out, cycle.loss_ms);
    return out;
}

double Outcome::recovery_ms(double share) const {
    std::vector<double> all;
    for (const auto& cycle : cycles)
        if (cycle.recovery_ms > 0) all.push_back(cycle.recovery_ms);
    if (all.empty()) return 0;
    std::ranges::sort(all);
    const auto rank = std::ceil(share * static_cast<double>(all.size()));
    return all[std::min(static_cast<std::size_t>(std::max(rank, 1.0)) - 1, all.size() - 1)];
}

std::map<std::string, std::uint32_t> Outcome::files() const {
    std::map<std::string, std::uint32_t> out;
    for (const auto& cycle : cycles)
        if (!cycle.file.empty()) ++out[cycle.file];
    return out;
}

std::map<std::string, std::uint32_t> Outcome::on_faults() const {
    std::map<std::string, std::uint32_t> out;
    for (const auto& cycle : cycles)
        if (!cycle.on_fault.empty()) ++out[cycle.on_fault];
    return out;
}

std::map<std::string, std::uint32_t> Outcome::names() const {
    std::map<std::string, std::uint32_t> out;
    for (const auto& one : found) ++out[one.violation.name];
    return out;
}

}  // namespace firnlog::crashtest
