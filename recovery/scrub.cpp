#include "recovery/scrub.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/format/names.hpp"
#include "engine/manifest_file.hpp"
#include "recovery/log_reader.hpp"
#include "recovery/read_only_files.hpp"
#include "recovery/settled_files.hpp"
#include "recovery/stored_file.hpp"

namespace firnlog::recovery {
namespace {

namespace names = engine::names;
using engine::Lsn;
using engine::StoredKind;

constexpr std::uint64_t kBlock = 4096;

// A directory whose files are read past the page cache, and piece by piece when `pace` lets it:
// who reads through it takes nothing from those who serve.
class PacedFiles final : public ReadOnlyFiles {
  public:
    static constexpr std::uint64_t kPiece = std::uint64_t{256} << 10;
    using Pace = std::function<bool(std::uint64_t bytes)>;

    PacedFiles(io::Files& files, Pace pace)
        : ReadOnlyFiles(files, "change a store that is scrubbed"),
          pace_(std::move(pace)),
          memory_(kPiece + 2 * kBlock),
          aligned_(reinterpret_cast<std::byte*>(align_up(
              reinterpret_cast<std::uintptr_t>(memory_.data()), std::uintptr_t{kBlock}))) {}

    Result<int> open(std::string_view name, io::Open how, bool) override {
        if (how != io::Open::read) return refuse();
        return files_.open(name, how, true);
    }
    [[nodiscard]] bool is_direct(int fd) const override { return files_.is_direct(fd); }
    void close(int fd) override { files_.close(fd); }
    Result<std::uint64_t> size(int fd) override { return files_.size(fd); }
    Result<io::Given> give(std::string_view, io::Files&, std::string_view) override {
        return refuse();
    }
    Result<std::vector<io::FileInfo>> list(std::string_view dir) override {
        return files_.list(dir);
    }

    // A direct file is read in whole blocks into aligned memory.
    Result<std::size_t> read(int fd, std::uint64_t offset, MutableBytes into) override {
        std::size_t done = 0;
        while (done < into.size()) {
            const auto begin = align_down(offset + done, kBlock);
            const auto end = std::min(offset + into.size(), begin + kPiece);
            if (given_up_ || !pace_(end - offset - done)) {
                given_up_ = true;
                return fail(Error{.code = Code::busy, .doing = "scrub a store"});
            }
            const auto want = align_up(end, kBlock) - begin;
            const auto got = files_.read(fd, begin, {aligned_, want});
            if (!got) return fail(got);
            const auto lead = offset + done - begin;
            const auto part = std::min<std::uint64_t>(*got - std::min<std::uint64_t>(*got, lead),
                                                      end - begin - lead);
            std::memcpy(into.data() + done, aligned_ + lead, part);
            done += part;
            if (*got < want) break;
        }
        return done;
    }

    [[nodiscard]] bool given_up() const { return given_up_; }

  private:
    const Pace pace_;
    std::vector<std::byte> memory_;
    std::byte* const aligned_;
    bool given_up_ = false;
};

// The disk's word that what lies there is lost; not that there are too many files, or no memory.
bool is_damage(const Error& error) {
    if (error.code == Code::damaged) return true;
    return error.code == Code::io &&
           (error.error == EIO || error.error == EBADMSG || error.error == EUCLEAN);
}

struct Plan {
    struct File {
        StoredFileWish wish;
        std::uint64_t bytes = 0;
        bool operator==(const File&) const = default;
        [[nodiscard]] std::string name() const {
            return engine::StoredFile{.number = wish.number, .kind = wish.kind, .pieces = {}}
                .name();
        }
    };
    engine::Manifest manifest;
    std::vector<File> files;
    std::vector<std::string> headless;  // log files that something was written into
    std::uint64_t bytes = 0;

    void add(const StoredFileWish& wish, std::uint64_t file_bytes) {
        files.push_back({.wish = wish, .bytes = file_bytes});
        bytes += file_bytes;
    }
};

// The log's files, but for the one that is written into.
void add_log(Plan& plan, const std::vector<LogFile>& found) {
    std::vector<LogFile> chain;
    for (const auto& file : found) {
        if (file.in_use()) chain.push_back(file);
        if (file.header.fault == engine::HeaderFault::damaged)
            plan.headless.push_back(names::log_file(file.number));
    }
    std::ranges::sort(chain, {}, &LogFile::base);
    const auto& timelines = plan.manifest.timelines;
    std::size_t timeline = 0;
    for (std::size_t i = 0; i < chain.size(); ++i) {
        const auto base = chain[i].base();
        while (timeline + 1 < timelines.size() && timelines[timeline + 1].begin <= base) ++timeline;
        const bool open = timeline + 1 == timelines.size() && !plan.manifest.clean;
        const bool last = i + 1 == chain.size();
        if (open && last) return;
        auto end = open ? chain[i + 1].base() : timelines[timeline].end;
        if (!last) end = std::min(end, chain[i + 1].base());
        // Behind it log may have been given back.
        const bool known = end > plan.manifest.first_lsn;
        plan.add({.number = chain[i].number,
                  .kind = StoredKind::log,
                  .lsn = base,
                  .lsn_end = known ? std::optional(end) : std::nullopt},
                 chain[i].bytes);
    }
}

Result<Plan> plan_once(io::Files& files) {
    Plan plan;
    auto manifest = engine::read_manifest(files);
    if (!manifest) return fail(manifest);
    plan.manifest = std::move(*manifest);
    SettledFiles settled(files, plan.manifest);
    const auto found = find_log_files(settled, plan.manifest.store_id);
    if (!found) return fail(found);
    add_log(plan, *found);
    const auto listed = settled.list("");
    if (!listed) return fail(listed);
    for (const auto number : plan.manifest.packed) {
        const auto info =
            std::ranges::find(*listed, names::packed_file(number), &io::FileInfo::name);
        plan.add({.number = number, .kind = StoredKind::packed},
                 info == listed->end() ? 0 : info->bytes);
    }
    for (const auto* entries : {&plan.manifest.kept, &plan.manifest.checkpoints})
        for (const auto& entry : *entries)
            plan.add({.number = entry.number, .kind = StoredKind::checkpoint, .lsn = entry.hi},
                     entry.bytes);
    return plan;
}

// Files go only behind a switch of the manifest: the same one before and after means that all of
// them were there.
Opening<Plan> plan_of_store(io::Files& files) {
    constexpr int kTries = 8;
    for (int tries_left = kTries;;) {
        auto plan = plan_once(files);
        const auto again = engine::read_manifest(files);
        if (plan && again && again->sequence == plan->manifest.sequence) return std::move(*plan);
        if (--tries_left != 0) continue;
        const auto error =
            plan ? Error{.code = Code::busy, .doing = "scrub a store that changes all the time"}
                 : plan.error();
        return refuse(error, std::string(names::kManifest) + ": " + error.text());
    }
}

class Scrubber {
  public:
    Scrubber(io::Files& files, const ScrubOptions& options)
        : files_(files), options_(options), paced_(files, [this](std::uint64_t bytes) {
              return !options_.pace || options_.pace(bytes, plan_.bytes);
          }) {}

    Opening<Scrubbed> run() {
        auto plan = plan_of_store(files_);
        if (!plan) return tl::unexpected(plan.error());
        plan_ = std::move(*plan);
        for (const auto& name : plan_.headless)
            if (auto looked = look_at_headless(name); !looked)
                return tl::unexpected(looked.error());
        for (const auto& file : plan_.files)
            if (auto looked = look_at(file); !looked) return tl::unexpected(looked.error());
        return std::move(result_);
    }

  private:
    // Nothing if it is sound, or is not there.
    [[nodiscard]] Opening<std::optional<Fault>> read(const Plan::File& file,
                                                     const engine::Manifest& manifest, bool& gone) {
        SettledFiles settled(paced_, manifest);
        const auto read = scan_stored_file(settled, manifest.store_id, file.wish);
        if (paced_.given_up())
            return refuse({.code = Code::busy, .doing = "scrub a store"}, "given up");
        gone = !read && read.error().error.code == Code::missing;
        if (read || gone) return std::optional<Fault>{};
        const auto& error = read.error().error;
        if (!is_damage(error)) return tl::unexpected(read.error());
        auto lsn = file.wish.lsn;
        if (file.wish.kind == StoredKind::log && error.offset >= engine::kSegmentHeaderBytes)
            lsn = lsn + (error.offset - engine::kSegmentHeaderBytes);
        return std::optional(Fault{.file = file.name(),
                                   .offset = error.offset,
                                   .lsn = lsn,
                                   .lsn_end = lsn,
                                   .text = error.code == Code::damaged
                                               ? std::string(error.doing)
                                               : "cannot be read: " + error.text()});
    }

    Opening<void> look_at(const Plan::File& file) {
        bool gone = false;
        const auto first = read(file, plan_.manifest, gone);
        if (!first) return tl::unexpected(first.error());
        result_.bytes += file.bytes;
        if (!*first && !gone) {
            ++result_.files;
            return {};
        }
        // The store lets go of a file, or starts anew, while it is looked at.
        const auto now = plan_of_store(files_);
        if (!now) return tl::unexpected(now.error());
        if (std::ranges::count(now->files, file) == 0) {
            ++result_.gone;
            return {};
        }
        const auto second = read(file, now->manifest, gone);
        if (!second) return tl::unexpected(second.error());
        if (gone) {
            note({.file = file.name(),
                  .lsn = file.wish.lsn,
                  .lsn_end = file.wish.lsn,
                  .text = "is missing"});
        } else if (*second && *second == *first) {
            note(**second);
        } else {
            ++result_.files;
        }
        return {};
    }

    Opening<void> look_at_headless(const std::string& name) {
        const auto now = plan_of_store(files_);
        if (!now) return tl::unexpected(now.error());
        if (std::ranges::count(now->headless, name) != 0)
            note({.file = name, .lsn = {}, .lsn_end = {}, .text = "the header is damaged"});
        return {};
    }

    void note(const Fault& fault) {
        result_.faults.push_back(fault);
        if (options_.fault) options_.fault(fault);
    }

    io::Files& files_;
    const ScrubOptions& options_;
    PacedFiles paced_;
    Plan plan_;
    Scrubbed result_;
};

}  // namespace

Opening<Scrubbed> scrub(io::Files& files, const ScrubOptions& options) {
    return Scrubber(files, options).run();
}

}  // namespace firnlog::recovery
