#include "src/bench/comparison.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace firnlog::bench {
namespace {

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::ranges::sort(values);
    const auto middle = values.size() / 2;
    return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

template <class Figure>
std::vector<double> figures(const Run& run, Figure&& figure) {
    std::vector<double> all;
    all.reserve(run.slices.size());
    for (const auto& slice : run.slices) all.push_back(static_cast<double>(figure(slice)));
    return all;
}

}  // namespace

Ratio ratio_of(std::string what, bool more_is_better, std::span<const double> figures,
               std::span<const double> others) {
    Ratio ratio{.what = std::move(what), .more_is_better = more_is_better, .slices = {}};
    for (std::size_t i = 0; i < std::min(figures.size(), others.size()); ++i)
        if (figures[i] > 0 && others[i] > 0) ratio.slices.push_back(figures[i] / others[i]);
    if (ratio.slices.empty()) return ratio;
    ratio.median = median(ratio.slices);
    ratio.least = std::ranges::min(ratio.slices);
    ratio.most = std::ranges::max(ratio.slices);
    if (ratio.slices.size() < kSlicesForVerdict) return ratio;
    if (ratio.least > 1)
        ratio.verdict = more_is_better ? Ratio::Verdict::better : Ratio::Verdict::worse;
    else if (ratio.most < 1)
        ratio.verdict = more_is_better ? Ratio::Verdict::worse : Ratio::Verdict::better;
    return ratio;
}

Comparison compare(const Run& run, const Run& other) {
    Comparison comparison{.workload = run.plan.workload.name,
                          .server = run.server,
                          .other = other.server,
                          .ratios = {}};
    const auto add = [&](const char* what, bool more_is_better, auto&& figure) {
        auto ratio = ratio_of(what, more_is_better, figures(run, figure), figures(other, figure));
        if (!ratio.slices.empty()) comparison.ratios.push_back(std::move(ratio));
    };
    // In an open loop both do what is asked of them: how much that is tells nothing.
    if (!run.plan.open_loop())
        add("rate", true, [](const SliceFigures& slice) { return slice.rate; });
    add("p50", false, [](const SliceFigures& slice) { return slice.p50_ns; });
    add("p99", false, [](const SliceFigures& slice) { return slice.p99_ns; });
    add("p99.9", false, [](const SliceFigures& slice) { return slice.p999_ns; });
    add("CPU a request", false, [](const SliceFigures& slice) { return slice.cpu_us_per_request; });
    return comparison;
}

std::string text_of(const Comparison& comparison) {
    auto text = fmt::format("{}: {}\n  against {}\n", comparison.workload, comparison.server,
                            comparison.other);
    for (const auto& ratio : comparison.ratios) {
        text += fmt::format("  {:<14} x {:.3f}  [{:.3f} - {:.3f}]  ", ratio.what, ratio.median,
                            ratio.least, ratio.most);
        switch (ratio.verdict) {
            case Ratio::Verdict::better:
                text += "better in every slice\n";
                break;
            case Ratio::Verdict::worse:
                text += "worse in every slice\n";
                break;
            case Ratio::Verdict::none:
                text += ratio.slices.size() < kSlicesForVerdict
                            ? fmt::format("no verdict from {} slices\n", ratio.slices.size())
                            : std::string("no verdict: the slices do not agree\n");
        }
    }
    return text;
}

}  // namespace firnlog::bench
