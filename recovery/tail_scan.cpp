#include "recovery/tail_scan.hpp"

#include <algorithm>

#include "engine/format/names.hpp"
#include "io/base/mutant.hpp"

namespace firnlog::recovery {
namespace {

using engine::Lsn;

// Follows batches through the frames of the tail: where does the last whole one end?
class BatchEnds {
  public:
    explicit BatchEnds(Lsn begin) { cut_.lsn = begin; }

    void see(const LogReader::Frame& frame, std::size_t file) {
        if (frame.header.count == 0 && !open_) {
            cut_ = {.file = file,
                    .offset = frame.offset + engine::kFrameHeaderBytes,
                    .frame_offset = 0,
                    .lsn = frame.header.lsn + engine::kFrameHeaderBytes};
            return;
        }
        if (frame.records.empty()) return;
        const auto whole = planted("torn_batch_kept") ? frame.records.size() : frame.whole;
        open_ = whole < frame.records.size();
        if (whole == 0) return;
        const auto end = engine::kFrameHeaderBytes + whole;
        cut_ = {.file = file,
                .offset = frame.offset + end,
                .frame_offset = open_ ? frame.offset : 0,
                .lsn = frame.header.lsn + end};
    }
    [[nodiscard]] const Cut& cut() const { return cut_; }

  private:
    Cut cut_;
    bool open_ = false;
};

}  // namespace

Refusal damaged_at(const LogReader& reader, Lsn vouched, std::uint64_t records_behind) {
    Refusal refusal;
    refusal.error = {.code = Code::damaged,
                     .offset = reader.end_offset(),
                     .file = reader.file().number,
                     .doing = "read the log"};
    refusal.records_behind = records_behind;
    refusal.text = "damaged: " + engine::names::log_file(reader.file().number) + " offset " +
                   std::to_string(reader.end_offset()) + " lsn " +
                   std::to_string(reader.end().value) +
                   ": no valid frame, but everything before lsn " + std::to_string(vouched.value) +
                   " was acknowledged; " + std::to_string(records_behind) +
                   " records lie behind; see firnlog repair";
    return refusal;
}

Opening<TailScan> scan_tail(io::Files& files, const engine::StoreId& store_id,
                            const std::vector<LogFile>& chain, const std::vector<LogFile>& strays,
                            Lsn begin, Lsn vouched,
                            const std::function<bool(std::uint64_t)>& read) {
    TailScan scan;
    scan.vouched = vouched;
    LogReader::Behind strayed;
    for (const auto& file : strays) {
        LogReader reader(store_id, file);
        if (auto loaded = reader.load(files); !loaded)
            return tl::unexpected(Refusal{.error = loaded.error(), .text = loaded.error().text()});
        const auto found = look_at_headless(reader);
        if (!found) continue;
        strayed.vouched = std::max(strayed.vouched, found->behind.vouched);
        strayed.records += found->behind.records;
    }
    scan.vouched = std::max(scan.vouched, strayed.vouched);

    // Backwards, until a file begins where something behind it vouches for all before.
    std::vector<LogReader> backwards;
    scan.first = chain.size();
    while (scan.first > 0 && chain[scan.first - 1].base() >= begin) {
        --scan.first;
        LogReader reader(store_id, chain[scan.first]);
        if (auto loaded = reader.load(files); !loaded)
            return tl::unexpected(Refusal{.error = loaded.error(), .text = loaded.error().text()});
        while (const auto frame = reader.next())
            scan.vouched = std::max(scan.vouched, frame->header.durable_lsn);
        scan.vouched = std::max(scan.vouched, reader.look_behind().vouched);
        if (read && !read(chain[scan.first].bytes))
            return tl::unexpected(
                Refusal{.error = {.code = Code::busy, .doing = "look for the end of the log"},
                        .text = "stopped while loading"});
        backwards.push_back(std::move(reader));
        if (scan.vouched >= chain[scan.first].base()) break;
    }
    scan.readers.assign(std::make_move_iterator(backwards.rbegin()),
                        std::make_move_iterator(backwards.rend()));

    BatchEnds ends(scan.readers.empty() ? begin : chain[scan.first].base());
    for (std::size_t i = 0; i < scan.readers.size(); ++i) {
        auto& reader = scan.readers[i];
        reader.rewind();
        while (const auto frame = reader.next()) {
            ends.see(*frame, i);
            scan.last_commit_us = std::max(scan.last_commit_us, frame->header.commit_us);
        }
        Facts facts{.vouched = scan.vouched > reader.end(),
                    .rest = reader.rest_is_zero() ? Rest::zeros : Rest::bytes};
        if (i + 1 < scan.readers.size())
            facts.next = scan.readers[i + 1].file().base() == reader.end() ? Next::continues
                                                                           : Next::elsewhere;
        else if (strayed.records != 0 || strayed.vouched.value != 0)
            facts.next = Next::elsewhere;
        scan.verdict = judge(facts);
        if (planted("zero_tail_is_damage") && scan.verdict == Verdict::end)
            scan.verdict = Verdict::damaged;
        if (planted("damage_is_cut") && scan.verdict == Verdict::damaged)
            scan.verdict = Verdict::torn;
        if (scan.verdict == Verdict::damaged) {
            auto records = reader.look_behind().records + strayed.records;
            for (std::size_t later = i + 1; later < scan.readers.size(); ++later) {
                scan.readers[later].rewind();
                while (const auto frame = scan.readers[later].next())
                    records += frame->header.count;
            }
            return tl::unexpected(damaged_at(reader, scan.vouched, records));
        }
        if (scan.verdict != Verdict::sealed) break;
    }
    scan.cut = ends.cut();
    if (scan.cut.offset == 0) scan.cut.offset = engine::kSegmentHeaderBytes;
    return scan;
}

}  // namespace firnlog::recovery
