#include "src/trial.hpp"

#include "recovery/archive_files.hpp"
#include "recovery/past.hpp"
#include "src/digest.hpp"

namespace firnlog::server {

recovery::Opening<StateOfMoment> state_of_moment(io::Files& files, io::Clock& clock,
                                                 const recovery::Place& place,
                                                 const StateWish& wish) {
    recovery::PastOptions options;
    options.moment.what = recovery::Moment::What::lsn;
    options.moment.lsn = place.lsn;
    options.expiry_us = place.us;
    options.now_us = clock.wall().us;
    options.give_up = wish.give_up;
    const auto past = recovery::open_past(files, options);
    if (!past) return tl::unexpected(past.error());
    auto& engine = (*past)->engine();
    StateOfMoment state;
    for (std::uint32_t database = 0; database < engine.options.databases; ++database) {
        const auto counts = engine.keyspace().counts_of(database);
        state.keys += counts.keys;
        state.expires += counts.expires;
    }
    if (!wish.digest) return state;
    const auto digest = digest_of_store(engine, DigestOf::values_and_expiry_times, wish.give_up);
    if (!digest && digest.error() == engine::Stop::wait)
        return recovery::refuse({.code = Code::busy, .doing = "read every value"}, "given up");
    if (!digest)
        return recovery::refuse({.code = Code::damaged, .doing = "read every value"},
                                "damaged: a value cannot be read");
    state.digest = *digest;
    return state;
}

namespace {

// All of a restore but for writing.
recovery::Opening<void> restore_in_mind(io::Files& files, io::Clock& clock,
                                        const TrialOptions& options, Trial& trial) {
    auto plan = recovery::plan_restore(files, clock, {});
    if (!plan) return tl::unexpected(plan.error());
    trial.plan = std::move(*plan);
    const auto state =
        state_of_moment(files, clock, trial.plan.place, {.give_up = options.give_up});
    if (!state) return tl::unexpected(state.error());
    trial.state = *state;
    return {};
}

}  // namespace

recovery::Opening<Trial> try_backup(io::Files& dir, const std::string& name, io::Clock& clock,
                                    const TrialOptions& options) {
    const auto began = clock.mono();
    const auto backup = recovery::find_backup(dir, name);
    if (!backup) return tl::unexpected(backup.error());
    Trial trial;
    trial.name = backup->name;
    // First, as a restore does: one that is damaged is told with its place.
    const auto read = recovery::verify_backup(dir, *backup, options.progress);
    if (!read) return tl::unexpected(read.error());
    if (!read->faults.empty())
        return recovery::refuse({.code = Code::damaged, .doing = "read a backup"},
                                "damaged: " + read->faults.front());
    trial.files = read->files;
    trial.bytes = read->bytes;
    const auto files = recovery::open_backup(dir, *backup);
    if (auto done = restore_in_mind(*files, clock, options, trial); !done)
        return tl::unexpected(done.error());
    trial.took_us = clock.mono().us - began.us;
    return trial;
}

recovery::Opening<Trial> try_archive(io::Files& dir, io::Clock& clock,
                                     const TrialOptions& options) {
    // Small pieces go when they were put together.
    constexpr int kTries = 4;
    const auto began = clock.mono();
    for (int left = kTries;;) {
        const auto files = recovery::ArchiveFiles::open(dir, {});
        if (!files) return tl::unexpected(files.error());
        Trial trial;
        trial.name = kArchiveName;
        const auto done = restore_in_mind(**files, clock, options, trial);
        if (!done && done.error().error.code == Code::missing && --left != 0) continue;
        if (!done) return tl::unexpected(done.error());
        const auto& plan = trial.plan;
        trial.files =
            plan.whole.size() + plan.packed.size() + plan.checkpoints.size() + (plan.cut ? 1 : 0);
        trial.bytes = plan.bytes;
        trial.took_us = clock.mono().us - began.us;
        return trial;
    }
}

}  // namespace firnlog::server
