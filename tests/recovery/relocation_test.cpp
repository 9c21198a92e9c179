// What is in use outlives the file it was written to: the walk moves it, record by record.

#include <boost/test/unit_test.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "engine/checkpoint_file.hpp"
#include "engine/format/names.hpp"
#include "tests/recovery/lived.hpp"

namespace firnlog::recovery {
namespace {

using sim::World;

// Files in which a long value is less than half.
OpenOptions roomy_options() {
    auto options = small_options(false);
    options.engine.supply.bytes_first = 512 * 1024;
    options.engine.supply.bytes_max = 512 * 1024;
    return options;
}

const engine::HashBody::LongValue* long_value(Subject& subject, std::string_view key,
                                              std::string_view field) {
    engine::Session session(subject.engine());
    session.begin({&key, 1}, 0);
    const auto item = session.look(key, engine::Type::hash);
    BOOST_REQUIRE(item.has_value());
    BOOST_REQUIRE(item->has_value());
    const auto& body = std::get<engine::HashBody>((*item)->object->body);
    const auto* entry = body.fields().find(session.tag(field));
    (void)session.end();
    BOOST_REQUIRE(entry != nullptr);
    return engine::HashBody::long_value(*entry);
}

// The files that the value's pieces lie in.
std::set<engine::FileNumber> files_of(Subject& subject) {
    std::set<engine::FileNumber> found;
    for (const auto& piece : long_value(subject, "hash", "long")->pieces)
        found.insert(piece.address.file());
    return found;
}

std::string text(sim::Rng& rng, std::size_t bytes) {
    std::string made(bytes, '\0');
    for (auto& byte : made) byte = static_cast<char>('a' + rng.below(26));
    return made;
}

// All around it dies, and the walk has seen it.
void overwrite(Subject& subject, sim::Rng& rng) {
    for (int round = 0; round < 5; ++round) {
        for (int i = 0; i < 150; ++i) {
            BOOST_REQUIRE(subject.set("filler:" + std::to_string(i % 7), text(rng, 6000)));
            // The supply goes in step with what is written: full segments are sealed meanwhile.
            subject.engine().work();
            subject.kick();
        }
        BOOST_REQUIRE(subject.sync());
        while (subject.engine().work()) {
        }
        BOOST_REQUIRE(subject.checkpoint([] { return true; }));
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(relocation)

BOOST_AUTO_TEST_CASE(a_value_in_pieces_outlives_the_files_it_was_written_to) {
    World world{{.seed = seed_or(1)}};
    sim::Rng rng{seed_or(1)};
    auto store = open(world.files(), world.clock(), roomy_options());
    BOOST_REQUIRE(store.has_value());
    auto subject = std::make_unique<Subject>(world, std::move(*store));
    BOOST_REQUIRE(subject->hash_set("hash", "short", "beside it"));
    BOOST_REQUIRE(subject->hash_set("hash", "long", text(rng, 100'000)));
    BOOST_REQUIRE(subject->sync());
    const auto pieces = long_value(*subject, "hash", "long")->pieces.size();
    BOOST_REQUIRE_GE(pieces, 7U);
    const auto written_to = files_of(*subject);
    overwrite(*subject, rng);
    const auto moved_to = files_of(*subject);
    for (const auto number : moved_to) {
        BOOST_TEST(!written_to.contains(number));
        BOOST_TEST(subject->engine().segments().find(number)->packed);
    }
    // More than one of them, so that pieces of one value came apart.
    BOOST_TEST(moved_to.size() > 1U);
    for (const auto number : written_to)
        BOOST_TEST(subject->engine().segments().find(number) == nullptr);
    BOOST_TEST(digest(read_all(subject->engine(), 4)) == digest(subject->model()));

    // What a start makes of it, and what a new value does to what was moved.
    const auto model = digest(subject->model());
    subject.reset();
    world.crash_now();
    world.restart(sim::Cut::random, rng);
    store = open(world.files(), world.clock(), roomy_options());
    BOOST_REQUIRE(store.has_value());
    subject = std::make_unique<Subject>(world, std::move(*store));
    BOOST_TEST(digest(read_all(subject->engine(), 4)) == model);
    BOOST_TEST(long_value(*subject, "hash", "long")->pieces.size() == pieces);
    BOOST_TEST((files_of(*subject) == moved_to));
    BOOST_REQUIRE(subject->hash_set("hash", "long", "short now"));
    overwrite(*subject, rng);
    for (const auto number : moved_to)
        BOOST_TEST(subject->engine().segments().find(number) == nullptr);
    BOOST_TEST(digest(read_all(subject->engine(), 4)) == digest(subject->model()));
}

// What is dead by now is counted as the walk begins, and the image is copied: neither waits for the
// next walk. Of the two images that are left each is enough, and one of them is needed.
BOOST_AUTO_TEST_CASE(one_walk_gives_back_what_it_emptied_itself) {
    World world{{.seed = seed_or(1)}};
    sim::Rng rng{seed_or(1)};
    auto store = open(world.files(), world.clock(), roomy_options());
    BOOST_REQUIRE(store.has_value());
    auto subject = std::make_unique<Subject>(world, std::move(*store));
    BOOST_REQUIRE(subject->set("stays", text(rng, 3000)));
    const auto write = [&] {
        for (int i = 0; i < 300; ++i) {
            BOOST_REQUIRE(subject->set("filler:" + std::to_string(i % 7), text(rng, 6000)));
            subject->engine().work();
            subject->kick();
        }
        BOOST_REQUIRE(subject->sync());
        while (subject->engine().work()) {
        }
    };
    write();
    const auto& walk = subject->engine().walk;
    BOOST_REQUIRE(subject->checkpoint([] { return true; }));
    BOOST_TEST(walk.status().copied == 1U);
    std::set<engine::FileNumber> full;
    for (const auto* segment : subject->engine().segments().all())
        if (segment->map != nullptr && !segment->packed) full.insert(segment->number);
    write();
    BOOST_REQUIRE(!full.empty());
    BOOST_REQUIRE(subject->checkpoint([] { return true; }));
    BOOST_TEST(walk.status().copied == 2U);
    BOOST_TEST(walk.status().checkpoints == 2U);
    for (const auto number : full) BOOST_TEST(subject->engine().segments().find(number) == nullptr);
    const auto model = digest(subject->model());
    const auto& entries = subject->store().manifest().checkpoints;
    BOOST_REQUIRE(entries.size() == 2U);
    BOOST_TEST((entries[0].lo == entries[1].lo));
    BOOST_TEST((entries[0].hi == entries[1].hi));
    BOOST_TEST(entries[0].files == entries[1].files);
    const auto store_id = subject->store().manifest().store_id;
    const engine::FileNumber numbers[] = {entries[0].number, entries[1].number};
    BOOST_REQUIRE(subject->set("behind both of them", "v"));
    BOOST_REQUIRE(subject->sync());
    const auto then = digest(subject->model());
    BOOST_TEST(then != model);
    subject.reset();
    world.crash_now();
    world.restart(sim::Cut::none, rng);
    const auto after_damage = [&](const std::function<void(io::Files&, int, unsigned)>& damage) {
        auto after =
            std::make_unique<World>(sim::Options{.seed = 1}, world.image(sim::Cut::none, rng));
        for (unsigned i = 0; i < 2; ++i) {
            auto& files = after->files();
            auto fd = files.open(engine::names::checkpoint_file(numbers[i]), io::Open::write);
            BOOST_REQUIRE(fd.has_value());
            damage(files, *fd, i);
            files.close(*fd);
        }
        return after;
    };
    // Which of them is cut short, one bit for each.
    for (const unsigned cut : {0U, 1U, 2U, 3U}) {
        const auto after = after_damage([&](io::Files& files, int fd, unsigned i) {
            if ((cut >> i) % 2 != 0) BOOST_REQUIRE(files.truncate(fd, 100).has_value());
        });
        auto again = open(after->files(), after->clock(), roomy_options());
        BOOST_TEST_CONTEXT("cut " << cut) {
            BOOST_TEST(again.has_value() == (cut != 3));
            if (again) BOOST_TEST(digest(read_all((*again)->engine(), 4)) == then);
        }
    }
    // A page is damaged in each: where it is not the same one, they are whole together.
    auto reader = engine::CheckpointReader::open(world.files(), numbers[0], store_id);
    BOOST_REQUIRE(reader.has_value());
    std::vector<std::uint64_t> pages;
    for (const auto& blob : (*reader)->blobs())
        if (blob.kind == engine::BlobKind::keys) pages.push_back(blob.offset);
    reader->reset();
    BOOST_REQUIRE(pages.size() > 2U);
    for (const bool same : {false, true}) {
        const auto after = after_damage([&](io::Files& files, int fd, unsigned i) {
            const auto byte = std::byte{0xa5};
            const auto at = pages[same ? 0 : i] + 20;
            BOOST_REQUIRE(files.write(fd, at, {&byte, 1}).has_value());
        });
        auto again = open(after->files(), after->clock(), roomy_options());
        BOOST_TEST_CONTEXT("the same page " << same) {
            BOOST_REQUIRE(again.has_value());
            BOOST_TEST(bring_all_in(*after, (*again)->engine()) == !same);
            if (!same) BOOST_TEST(digest(read_all((*again)->engine(), 4)) == then);
        }
    }
}

// Between two steps of the walk every survivor is written once more: what is copied then is old.
BOOST_AUTO_TEST_CASE(what_is_written_between_its_copy_and_the_swap_stays) {
    World world{{.seed = seed_or(1)}};
    sim::Rng rng{seed_or(1)};
    Subject subject(world, *open(world.files(), world.clock(), roomy_options()));
    const auto write_survivors = [&](const std::string& value) {
        for (int i = 0; i < 20; ++i)
            BOOST_REQUIRE(subject.set("survivor:" + std::to_string(i), value));
    };
    auto& walk = subject.engine().walk;
    std::uint64_t met = 0;
    for (int round = 0; round < 4; ++round) {
        write_survivors("old " + std::to_string(round));
        for (int i = 0; i < 300; ++i) {
            BOOST_REQUIRE(subject.set("filler:" + std::to_string(i % 7), text(rng, 6000)));
            subject.engine().work();
            subject.kick();
        }
        BOOST_REQUIRE(subject.sync());
        const auto before = walk.status();
        (void)walk.request(true, true);
        for (int steps = 0; walk.status().done == before.done; ++steps) {
            BOOST_REQUIRE(steps < 100'000);
            (void)walk.step();
            if (walk.status().phase == engine::WalkPhase::relocating) {
                ++met;
                write_survivors("new " + std::to_string(steps));
            }
            subject.kick();
        }
        BOOST_REQUIRE(digest(read_all(subject.engine(), 4)) == digest(subject.model()));
    }
    BOOST_TEST(met > 2U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
