#include "src/trial.hpp"

#include "engine/ops/keys.hpp"
#include "recovery/archive_files.hpp"
#include "recovery/past.hpp"
#include "src/digest.hpp"

namespace firnlog::server {
namespace {

constexpr std::size_t kCountedAtOnce = 1024;

// Of one database, those that are wanted.
recovery::Opening<void> count_wanted(engine::Engine& engine, std::uint32_t database,
                                     const StateWish& wish, StateOfMoment& state) {
    engine::Session reader(engine);
    reader.may_wait(true);
    std::uint64_t cursor = 0;
    do {
        if (wish.give_up && wish.give_up())
            return recovery::refuse({.code = Code::busy, .doing = "count keys"}, "given up");
        reader.begin({}, database);
        const auto scanned = engine::keys::scan(engine, reader, database, cursor, kCountedAtOnce);
        (void)reader.end();
        reader.reset();
        if (!scanned)
            return recovery::refuse({.code = Code::damaged, .doing = "read the index"},
                                    "damaged: the index cannot be read");
        cursor = scanned->cursor;
        for (const auto& found : scanned->keys) {
            if (!wish.wants(found.key)) continue;
            const std::string_view key = found.key;
            reader.begin({&key, 1}, database);
            const auto item = reader.look(key);
            (void)reader.end();
            reader.reset();
            ++state.keys;
            if (item && *item && (*item)->expires()) ++state.expires;
        }
    } while (cursor != 0);
    return {};
}

}  // namespace

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
    std::uint64_t keys_all = 0;
    for (std::uint32_t database = 0; database < engine.options.databases; ++database) {
        const auto counts = engine.keyspace().counts_of(database);
        keys_all += static_cast<std::uint64_t>(counts.keys);
        if (wish.wants) {
            if (auto counted = count_wanted(engine, database, wish, state); !counted)
                return tl::unexpected(counted.error());
            continue;
        }
        state.keys += counts.keys;
        state.expires += counts.expires;
    }
    if (!wish.digest) return state;
    std::uint64_t seen = 0;
    const auto next = [&] {
        if (wish.progress) wish.progress(seen++, keys_all);
        return wish.give_up && wish.give_up();
    };
    const auto digest = digest_of_store(engine, DigestOf::values_and_expiry_times,
                                        {.wants = wish.wants, .give_up = next});
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
