// Uring, part two: what it does to files.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstring>
#include <deque>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "io/uring.hpp"
#include "tests/environment.hpp"
#include "tests/io/temp_dir.hpp"
#include "tests/io/uring_world.hpp"

namespace firnlog::io {

BOOST_AUTO_TEST_SUITE(uring_files)

namespace {

std::vector<std::byte> random_bytes(std::mt19937_64& random, std::size_t length) {
    std::vector<std::byte> bytes(length);
    for (auto& byte : bytes) byte = static_cast<std::byte>(random());
    return bytes;
}

struct LimitedFileSize {
    explicit LimitedFileSize(rlim_t bytes) : old_action(::signal(SIGXFSZ, SIG_IGN)) {
        ::getrlimit(RLIMIT_FSIZE, &before);
        const rlimit now{.rlim_cur = bytes, .rlim_max = before.rlim_max};
        BOOST_REQUIRE(::setrlimit(RLIMIT_FSIZE, &now) == 0);
    }
    LimitedFileSize(const LimitedFileSize&) = delete;
    LimitedFileSize& operator=(const LimitedFileSize&) = delete;
    ~LimitedFileSize() {
        ::setrlimit(RLIMIT_FSIZE, &before);
        ::signal(SIGXFSZ, old_action);
    }
    rlimit before{};
    sighandler_t old_action;
};

}  // namespace

BOOST_AUTO_TEST_CASE(the_pieces_of_a_write_lie_behind_each_other_in_the_file) {
    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        std::mt19937_64 random(seed);
        World world;
        TempDir dir;
        const Fd fd(::open(dir.path("log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        for (int i = 0; i < 60; ++i) {
            std::vector<std::vector<std::byte>> owned;
            std::vector<Bytes> pieces;
            std::vector<std::byte> whole;
            const std::size_t count = 1 + random() % kWritePiecesMax;
            for (std::size_t n = 0; n < count; ++n) {
                owned.push_back(random_bytes(random, random() % 9'000));
                whole.insert(whole.end(), owned.back().begin(), owned.back().end());
            }
            pieces.assign(owned.begin(), owned.end());
            const std::uint64_t offset = random() % 100'000;
            Recorder write;
            world.io->write({.fd = fd, .offset = offset, .pieces = pieces}, i % 2 == 0, write);
            // The list of pieces is not needed any more, only what they point at.
            pieces.assign(pieces.size(), Bytes{});
            world.finish(write);
            BOOST_REQUIRE((write.results == std::vector{0}));

            std::vector<std::byte> back(whole.size());
            Recorder read;
            world.io->read(fd, offset, back, read);
            world.finish(read);
            BOOST_REQUIRE_EQUAL(read.last(), static_cast<int>(whole.size()));
            BOOST_REQUIRE(back == whole);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_short_write_is_one_completion_of_eio) {
    World world;
    TempDir dir;
    const Fd fd(::open(dir.path("log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const std::vector<std::byte> half(4096, std::byte{'w'});
    const std::vector<Bytes> one{half};
    const std::vector<Bytes> two{half, half};
    for (const bool sync : {false, true}) {
        for (const auto& pieces : {one, two}) {
            Recorder write;
            {
                const LimitedFileSize limit(pieces.size() * 4096 - 1000);
                world.io->write({.fd = fd, .offset = 0, .pieces = pieces}, sync, write);
                world.finish(write);
            }
            BOOST_TEST((write.results == std::vector{-EIO}));
            world.settle();
            BOOST_TEST(write.runs_after_the_last == 0);
        }
    }
    // The ring is sound afterwards.
    Recorder write;
    world.io->write({.fd = fd, .offset = 0, .pieces = two}, true, write);
    world.finish(write);
    BOOST_TEST((write.results == std::vector{0}));
}

BOOST_AUTO_TEST_CASE(a_failed_write_completes_once_with_its_own_error) {
    World world;
    TempDir dir;
    const Fd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
    const Fd read_only(::open(dir.path("log").c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
    const Fd writable(::open(dir.path("big").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const std::string text(100, 't');
    const Bytes piece = as_bytes(text);
    for (const bool sync : {false, true}) {
        Recorder no_space, no_right, too_big;
        {
            const LimitedFileSize limit(1000);
            world.io->write({.fd = full, .offset = 0, .pieces = {&piece, 1}}, sync, no_space);
            world.io->write({.fd = read_only, .offset = 0, .pieces = {&piece, 1}}, sync, no_right);
            world.io->write({.fd = writable, .offset = 5000, .pieces = {&piece, 1}}, sync, too_big);
            world.finish(no_space);
            world.finish(no_right);
            world.finish(too_big);
        }
        BOOST_TEST((no_space.results == std::vector{-ENOSPC}));
        BOOST_TEST((no_right.results == std::vector{-EBADF}));
        BOOST_TEST((too_big.results == std::vector{-EFBIG}));
        world.settle();
        for (const auto* one : {&no_space, &no_right, &too_big})
            BOOST_TEST(one->runs_after_the_last == 0);
    }
}

BOOST_AUTO_TEST_CASE(a_sync_that_fails_completes_once_with_its_error) {
    World world;
    // A pipe takes bytes and cannot be synced.
    int ends[2];
    BOOST_REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const Fd out(ends[0]);
    const Fd in(ends[1]);
    Recorder sync;
    world.io->fsync(in, sync);
    world.finish(sync);
    BOOST_TEST((sync.results == std::vector{-EINVAL}));
}

// What the kernel was asked for stands in /proc/PID/io only as bytes, so it is read off the disk's
// own counter: each write that syncs makes the device flush once more.
BOOST_AUTO_TEST_CASE(a_write_that_syncs_makes_the_device_flush) {
    TempDir dir;
    struct stat where {};
    const Fd fd(::open(dir.path("log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    BOOST_REQUIRE(::fstat(fd, &where) == 0);
    const auto flushes = [&]() -> std::optional<std::uint64_t> {
        std::ifstream stat("/sys/dev/block/" + std::to_string(major(where.st_dev)) + ":" +
                           std::to_string(minor(where.st_dev)) + "/stat");
        std::vector<std::uint64_t> fields{std::istream_iterator<std::uint64_t>(stat), {}};
        if (fields.size() < 16) return std::nullopt;
        return fields[15];
    };
    if (!flushes()) {
        BOOST_TEST_MESSAGE("the temporary directory lies on no disk that counts: nothing to see");
        return;
    }
    World world;
    const std::string text(4096, 'f');
    const Bytes piece = as_bytes(text);
    const auto write = [&](bool sync) {
        Recorder done;
        world.io->write({.fd = fd, .offset = 0, .pieces = {&piece, 1}}, sync, done);
        world.finish(done);
        BOOST_REQUIRE((done.results == std::vector{0}));
    };
    write(true);
    const auto before = *flushes();
    constexpr int kWrites = 20;
    for (int i = 0; i < kWrites; ++i) write(true);
    // Others may use the disk, so this is a lower bound.
    BOOST_TEST(*flushes() - before >= kWrites);
}

BOOST_AUTO_TEST_CASE(writes_go_on_when_the_queue_is_tiny) {
    World world({.submissions = 2, .completions = 4, .buffers = 1, .buffer_bytes = 64});
    TempDir dir;
    const Fd fd(::open(dir.path("log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const std::string text(64, 'q');
    const Bytes piece = as_bytes(text);
    std::deque<Recorder> writes(101);
    for (std::size_t i = 0; i < writes.size(); ++i)
        world.io->write({.fd = fd, .offset = i * 64, .pieces = {&piece, 1}}, true, writes[i]);
    for (const auto& write : writes) {
        world.finish(write);
        BOOST_TEST((write.results == std::vector{0}));
    }
}

BOOST_AUTO_TEST_CASE(a_read_is_short_at_the_files_end_only) {
    World world;
    TempDir dir;
    const Fd fd(::open(dir.path("log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const std::string text(10'000, 'r');
    BOOST_REQUIRE(::write(fd, text.data(), text.size()) == 10'000);
    std::vector<std::byte> into(20'000);
    const auto got = [&](std::uint64_t offset, std::size_t length) {
        Recorder read;
        world.io->read(fd, offset, MutableBytes(into).first(length), read);
        world.finish(read);
        return read.last();
    };
    BOOST_TEST(got(0, 10'000) == 10'000);
    BOOST_TEST(got(0, 20'000) == 10'000);
    BOOST_TEST(got(9'999, 20'000) == 1);
    BOOST_TEST(got(10'000, 1) == 0);
    BOOST_REQUIRE(::ftruncate(fd, 8192) == 0);
    BOOST_TEST(got(0, 20'000) == 8192);
    BOOST_TEST(got(4096, 4096) == 4096);
    Recorder bad;
    world.io->read(-1, 0, into, bad);
    world.finish(bad);
    BOOST_TEST(bad.last() == -EBADF);
}

BOOST_AUTO_TEST_CASE(direct_writes_and_reads_go_through_the_ring) {
    World world;
    TempDir dir;
    const int direct =
        ::open(dir.path("log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_DIRECT, 0600);
    if (direct < 0) {
        BOOST_TEST_MESSAGE("no O_DIRECT in the temporary directory: nothing to see");
        return;
    }
    const Fd fd(direct);
    struct Blocks {
        alignas(4096) std::byte bytes[16384];
    };
    const auto out = std::make_unique<Blocks>();
    const auto back = std::make_unique<Blocks>();
    for (std::size_t i = 0; i < sizeof out->bytes; ++i)
        out->bytes[i] = static_cast<std::byte>(i * 7);
    const Bytes all(out->bytes);
    const std::vector<Bytes> pieces{all.first(4096), all.subspan(4096)};
    Recorder write;
    world.io->write({.fd = fd, .offset = 4096, .pieces = pieces}, true, write);
    world.finish(write);
    BOOST_REQUIRE((write.results == std::vector{0}));
    Recorder read;
    world.io->read(fd, 4096, back->bytes, read);
    world.finish(read);
    BOOST_TEST(read.last() == 16384);
    BOOST_TEST(std::memcmp(out->bytes, back->bytes, sizeof out->bytes) == 0);
    // An end within a sector: reading on from there would be refused, and is not tried.
    BOOST_REQUIRE(::ftruncate(fd, 5000) == 0);
    Recorder end;
    world.io->read(fd, 0, back->bytes, end);
    world.finish(end);
    BOOST_TEST(end.last() == 5000);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::io
