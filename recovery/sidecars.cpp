#include "recovery/sidecars.hpp"

#include <algorithm>
#include <cerrno>
#include <new>
#include <set>

#include "engine/format/names.hpp"

namespace firnlog::recovery {
namespace {

namespace names = engine::names;

bool is_there(io::Files& files, engine::FileNumber number) {
    const auto fd = files.open(names::log_file(number), io::Open::read);
    if (fd) files.close(*fd);
    return fd.has_value();
}

}  // namespace

SidecarDraft& Sidecars::draft_of(const LogStretch& stretch) {
    return drafts_.try_emplace(stretch.number, store_id_, stretch.number, stretch.base)
        .first->second;
}

void Sidecars::forget(engine::FileNumber number) {
    (void)files_.unlink(names::sidecar_file(number));
    made_.erase(number);
    publish();
}

void Sidecars::publish() {
    auto told = told_;
    told.files = made_.size();
    for (const auto& [number, bytes] : made_) told.bytes += bytes;
    const std::lock_guard guard(published_mutex_);
    published_ = told;
}

// Of the draft, in pieces.
Result<void> Sidecars::read_to_end(const LogStretch& stretch) {
    auto& draft = draft_of(stretch);
    while (draft.end() < stretch.end) {
        if (give_up_ && give_up_())
            return fail(Error{.code = Code::busy, .doing = "look up in the log: it is stopped"});
        if (auto read = draft.read_on(files_, hasher, stretch.end, kPieceBytes); !read) {
            drafts_.erase(stretch.number);
            return read;
        }
    }
    return {};
}

// Of a draft that has come to its end. What cannot be written is no loss: the draft is made again.
Result<void> Sidecars::make(const LogStretch& stretch) {
    const auto draft = drafts_.find(stretch.number);
    const auto written = write(draft->second);
    drafts_.erase(draft);
    if (!written) return fail(written);
    note_made(stretch.number, *written);
    return {};
}

Result<std::uint64_t> Sidecars::write(const SidecarDraft& draft) {
    try {
        return draft.write(files_);
    } catch (const std::bad_alloc&) {
        return fail_errno("write a sidecar", ENOMEM);
    }
}

void Sidecars::note_made(engine::FileNumber number, std::uint64_t bytes) {
    made_[number] = bytes;
    ++told_.made;
    publish();
    // Whoever lets a log file go removes its sidecar behind it: one that is made in between must
    // not stay.
    if (!is_there(files_, number)) forget(number);
}

Result<Sidecars::Entries> Sidecars::find(const LogStretch& stretch, SidecarRanges ranges) {
    Entries found;
    const auto look = [&] {
        found.clear();
        auto reader = SidecarReader::open(files_, store_id_, stretch);
        return reader ? (*reader)->find(ranges, found) : Result<void>(fail(reader));
    };
    const auto done = [&] {
        const auto end = stretch.offset_of(stretch.end);
        std::erase_if(found, [&](const auto& entry) { return entry.offset() >= end; });
        std::ranges::sort(found, {}, &engine::SidecarEntry::place);
        return std::move(found);
    };
    const auto is_written_now = [&] {
        const std::lock_guard guard(mutex_);
        return writing_ == stretch.number;
    };
    if (stretch.full && !is_written_now()) {
        if (look()) return done();
        const std::lock_guard guard(mutex_);
        if (writing_ != stretch.number) {
            // It may have been half written.
            const auto looked = look();
            if (looked) return done();
            // Whatever is wrong with it: the log says the same.
            if (looked.error().code == Code::damaged) {
                ++told_.unfit;
                forget(stretch.number);
            }
        }
        found.clear();
    }
    const std::lock_guard guard(mutex_);
    // While none is written no pass looks after drafts.
    if (!may_write_)
        std::erase_if(drafts_, [&](const auto& item) { return item.first != stretch.number; });
    if (auto read = read_to_end(stretch); !read) return fail(read);
    draft_of(stretch).find(ranges, found);
    if (!stretch.full || writing_ == stretch.number) return done();
    if (may_write_)
        (void)make(stretch);
    else
        drafts_.erase(stretch.number);
    return done();
}

bool Sidecars::has(const LogStretch& stretch) {
    if (made_.contains(stretch.number)) return true;
    auto reader = SidecarReader::open(files_, store_id_, stretch);
    if (reader) return true;
    if (reader.error().code != Code::damaged) return false;
    ++told_.unfit;
    forget(stretch.number);
    return false;
}

Result<void> Sidecars::build(const LogStretch& stretch, const Pace& pace, bool& going) {
    for (;;) {
        std::optional<SidecarDraft> whole;
        {
            const std::lock_guard guard(mutex_);
            const auto draft = drafts_.find(stretch.number);
            if (draft != drafts_.end() && draft->second.end() >= stretch.end) {
                if (!stretch.full) return {};
                whole.emplace(draft->second);
                writing_ = stretch.number;
            }
            // A look-up was quicker.
            if (!whole && stretch.full && made_.contains(stretch.number)) return {};
        }
        if (whole) {
            // Nobody waits meanwhile: look-ups go by the draft.
            const auto written = write(*whole);
            const std::lock_guard guard(mutex_);
            writing_ = 0;
            drafts_.erase(stretch.number);
            if (!written) return fail(written);
            note_made(stretch.number, *written);
            return {};
        }
        going = pace(kPieceBytes);
        if (!going) return {};
        const std::lock_guard guard(mutex_);
        if (stretch.full && made_.contains(stretch.number)) return {};
        auto& draft = draft_of(stretch);
        if (auto read = draft.read_on(files_, hasher, stretch.end, kPieceBytes); !read) {
            drafts_.erase(stretch.number);
            return read;
        }
    }
}

void Sidecars::may_write(bool may) {
    const std::lock_guard guard(mutex_);
    may_write_ = may;
}

Result<void> Sidecars::pass(const std::vector<LogStretch>& stretches, const Pace& pace) {
    const auto listed = files_.list();
    if (!listed) return fail(listed);
    std::vector<LogStretch> missing;
    bool may_write = false;
    {
        const std::lock_guard guard(mutex_);
        may_write = may_write_;
        std::set<engine::FileNumber> numbers;
        for (const auto& stretch : stretches) numbers.insert(stretch.number);
        const auto is_there = [&](engine::FileNumber number) { return numbers.contains(number); };
        std::map<engine::FileNumber, std::uint64_t> files;
        for (const auto& info : *listed) {
            const auto number = names::sidecar_number(info.name);
            if (!number) continue;
            if (is_there(*number))
                files[*number] = info.bytes;
            else
                forget(*number);
        }
        // One that was removed behind our back is missing.
        std::erase_if(made_, [&](const auto& item) { return !files.contains(item.first); });
        std::erase_if(drafts_, [&](const auto& item) { return !is_there(item.first); });
        for (const auto& stretch : stretches) {
            if (!stretch.full) continue;
            if (files.contains(stretch.number) && has(stretch)) {
                made_[stretch.number] = files[stretch.number];
                drafts_.erase(stretch.number);
            } else {
                missing.push_back(stretch);
            }
        }
        told_.missing = missing.size();
        publish();
    }
    // The log's end first, so that who asks for it finds it; then backwards.
    bool going = true;
    std::optional<Error> fault;
    const auto built = [&](const LogStretch& stretch) {
        if (!going) return;
        if (auto done = build(stretch, pace, going); !done) fault = done.error();
        const std::lock_guard guard(mutex_);
        if (stretch.full && made_.contains(stretch.number)) --told_.missing;
        publish();
    };
    if (!stretches.empty() && !stretches.back().full) built(stretches.back());
    std::ranges::reverse(missing);
    if (may_write) std::ranges::for_each(missing, built);
    if (fault) return fail(*fault);
    return {};
}

Result<void> Sidecars::shed() {
    const auto listed = files_.list();
    if (!listed) return fail(listed);
    const std::lock_guard guard(mutex_);
    for (const auto& info : *listed)
        if (const auto number = names::sidecar_number(info.name)) forget(*number);
    return {};
}

Sidecars::Told Sidecars::told() const {
    const std::lock_guard guard(published_mutex_);
    return published_;
}

}  // namespace firnlog::recovery
