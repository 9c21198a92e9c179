#include "recovery/sealed_plan.hpp"

#include "engine/format/names.hpp"

namespace firnlog::recovery {
namespace {

using engine::Lsn;

// A place in the log that goes on from timeline to timeline.
class Walker {
  public:
    Walker(const std::vector<LogFile>& chain, const engine::Manifest& manifest,
           const ReplayRange& range)
        : timelines_(manifest.timelines), at_(manifest.first_lsn) {
        if (!range.lo) return;
        at_ = *range.lo;
        if (range.first < chain.size() && chain[range.first].base() <= at_)
            at_ = chain[range.first].base();
        while (!in_last() && timelines_[timeline_ + 1].begin <= at_) ++timeline_;
    }

    [[nodiscard]] Lsn at() const { return at_; }
    void go_to(Lsn lsn) { at_ = lsn; }
    // From a timeline's end the log jumps to the beginning of the next one.
    void jump() {
        while (!in_last() && timelines_[timeline_].end == at_) at_ = timelines_[++timeline_].begin;
    }
    // Where a file ends behind which one begins at `next`; zero: none does.
    [[nodiscard]] Lsn end_before(Lsn next) const {
        if (in_last()) return next;
        const auto end = timelines_[timeline_].end;
        return next.value == 0 || next > end ? end : next;
    }

  private:
    [[nodiscard]] bool in_last() const { return timeline_ + 1 == timelines_.size(); }

    const std::vector<engine::TimelineEntry>& timelines_;
    std::size_t timeline_ = 0;
    Lsn at_;
};

}  // namespace

Opening<std::vector<SealedFile>> plan_sealed(const std::vector<LogFile>& chain,
                                             const engine::Manifest& manifest,
                                             const ReplayRange& range) {
    std::vector<SealedFile> plan;
    Walker walker(chain, manifest, range);
    for (auto i = range.first; i < chain.size(); ++i) {
        walker.jump();
        if (chain[i].base() != walker.at())
            return refuse({.code = Code::damaged, .file = chain[i].number, .doing = "read the log"},
                          "damaged: " + engine::names::log_file(chain[i].number) +
                              " begins at lsn " + std::to_string(chain[i].base().value) +
                              ", but the log before it ends at lsn " +
                              std::to_string(walker.at().value) + ": a file is missing");
        if (i == range.tail) return plan;
        const auto end = walker.end_before(i + 1 < chain.size() ? chain[i + 1].base() : Lsn{});
        plan.push_back({.file = i, .end = end});
        walker.go_to(end);
    }
    // Everything before the newest timeline's beginning was durable when that was written down.
    walker.jump();
    if (walker.at() < range.vouched)
        return refuse({.code = Code::damaged, .doing = "read the log"},
                      "damaged: the log ends at lsn " + std::to_string(walker.at().value) +
                          ", but everything before lsn " + std::to_string(range.vouched.value) +
                          " was acknowledged: a file is missing, or its header damaged");
    return plan;
}

}  // namespace firnlog::recovery
