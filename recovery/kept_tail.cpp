#include "recovery/kept_tail.hpp"

#include <algorithm>

#include "engine/format/names.hpp"
#include "recovery/write_cut.hpp"

namespace firnlog::recovery {
namespace {

namespace names = engine::names;

Result<void> write_aside(io::Files& files, const std::string& name, Bytes bytes) {
    // An earlier attempt at this start may have kept them already.
    (void)files.unlink(name);
    auto fd = files.open(name, io::Open::create);
    if (!fd) return fail(fd);
    auto done = files.write(*fd, 0, bytes);
    if (done) done = files.sync(*fd);
    files.close(*fd);
    if (!done) return done;
    return files.sync_dir(names::kQuarantine);
}

}  // namespace

std::vector<KeptFile> kept_files(const TailScan& tail, engine::FileNumber& next_file) {
    std::vector<KeptFile> kept;
    for (std::size_t i = 0; i < tail.readers.size() && i <= tail.cut.file; ++i) {
        const bool cut_here = i == tail.cut.file;
        if (cut_here && tail.cut.offset <= engine::kSegmentHeaderBytes) continue;
        kept.push_back({.number = next_file++,
                        .end = cut_here ? tail.cut.offset : tail.readers[i].end_offset()});
    }
    return kept;
}

Result<void> write_kept_tail(io::Files& files, const TailScan& tail,
                             const std::vector<KeptFile>& kept,
                             const std::function<bool(std::uint64_t)>& written) {
    for (std::size_t i = 0; i < kept.size(); ++i) {
        const auto frame_offset = i == tail.cut.file ? tail.cut.frame_offset : 0;
        auto done =
            write_cut(files, names::new_log_file(kept[i].number), tail.readers[i],
                      {.number = kept[i].number, .end = kept[i].end, .frame_offset = frame_offset});
        if (!done) return done;
        if (!written(kept[i].end))
            return fail(Error{.code = Code::busy, .doing = "write the end of the log anew"});
    }
    return {};
}

Result<Torn> keep_in_quarantine(io::Files& files, const TailScan& tail, engine::Timeline timeline) {
    Torn torn;
    for (std::size_t i = tail.cut.file; i < tail.readers.size(); ++i) {
        const auto& reader = tail.readers[i];
        const auto begin = i == tail.cut.file ? tail.cut.offset : 0;
        const auto all = reader.written();
        const auto bytes =
            without_zeros_behind(all.subspan(std::min<std::uint64_t>(begin, all.size())));
        if (bytes.empty()) continue;
        const auto name = names::log_file(reader.file().number);
        if (torn.bytes == 0)
            torn.at = name + " offset " + std::to_string(begin) + " lsn " +
                      std::to_string(tail.cut.lsn.value);
        torn.bytes += bytes.size();
        if (auto made = files.make_dir(names::kQuarantine); !made) return fail(made);
        const auto aside = std::string(names::kQuarantine) + "/" + name + "." +
                           std::to_string(begin) + "." + std::to_string(timeline);
        if (auto written = write_aside(files, aside, bytes); !written) return fail(written);
    }
    return torn;
}

}  // namespace firnlog::recovery
