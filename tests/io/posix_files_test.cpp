#include "io/posix_files.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/io/seccomp.hpp"
#include "tests/io/temp_dir.hpp"

namespace firnlog::io {

BOOST_AUTO_TEST_SUITE(posix_files)

namespace {

struct World {
    TempDir dir;
    std::unique_ptr<Files> files = opened(dir.path());

    static std::unique_ptr<Files> opened(const std::string& path) {
        auto files = open_posix_files(path, false);
        BOOST_REQUIRE(files.has_value());
        return std::move(*files);
    }
    void put(const std::string& name, const std::string& text) {
        auto fd = files->open(name, Open::create);
        BOOST_REQUIRE(fd.has_value());
        BOOST_REQUIRE(files->write(*fd, 0, as_bytes(text)).has_value());
        files->close(*fd);
    }
    std::string get(const std::string& name) {
        auto fd = files->open(name, Open::read);
        BOOST_REQUIRE(fd.has_value());
        std::string text(100'000, '?');
        auto got = files->read(*fd, 0, std::as_writable_bytes(std::span(text)));
        BOOST_REQUIRE(got.has_value());
        files->close(*fd);
        text.resize(*got);
        return text;
    }
};

template <class T>
Code code(const Result<T>& result) {
    BOOST_REQUIRE(!result.has_value());
    return result.error().code;
}

}  // namespace

namespace {

// One that somebody else may come to have.
struct Owned : World {
    int fd = -1;
    Owned() {
        put("file", std::string(256 << 10, 'x'));
        fd = files->open("file", Open::write).value();
        BOOST_REQUIRE(files->sync(fd).has_value());
    }
    ~Owned() { files->close(fd); }
    static boost::test_tools::assertion_result can_tell(boost::unit_test::test_unit_id) {
        Owned owned;
        return owned.files->is_sole(owned.fd);
    }
};

}  // namespace

BOOST_TEST_DECORATOR(*boost::unit_test::precondition(&Owned::can_tell))
BOOST_FIXTURE_TEST_CASE(a_file_is_its_owners_alone_until_somebody_has_it_too, Owned) {
    BOOST_REQUIRE(files->link("file", "other").has_value());
    BOOST_TEST(!files->is_sole(fd));
    BOOST_REQUIRE(files->unlink("other").has_value());
    BOOST_TEST(files->is_sole(fd));

    const auto reader = files->open("file", Open::read);
    BOOST_TEST(!files->is_sole(fd));
    auto map = files->map(*reader);
    files->close(*reader);
    BOOST_TEST(!files->is_sole(fd));
    map->reset();
    BOOST_TEST(files->is_sole(fd));

    // Its other processes count as well.
    int ready[2] = {};
    int done[2] = {};
    BOOST_REQUIRE(::pipe(ready) == 0 && ::pipe(done) == 0);
    const auto path = dir.path() + "/file";
    const auto child = ::fork();
    if (child == 0) {
        ::close(fd);
        char byte = ::open(path.c_str(), O_RDONLY) >= 0 ? 'y' : 'n';
        (void)!::write(ready[1], &byte, 1);
        (void)!::read(done[0], &byte, 1);
        ::_exit(0);
    }
    char byte = 'n';
    BOOST_REQUIRE(::read(ready[0], &byte, 1) == 1);
    BOOST_TEST(byte == 'y');
    BOOST_TEST(!files->is_sole(fd));
    BOOST_REQUIRE(::write(done[1], &byte, 1) == 1);
    BOOST_REQUIRE(::waitpid(child, nullptr, 0) == child);
    BOOST_TEST(files->is_sole(fd));
    for (const int end : {ready[0], ready[1], done[0], done[1]}) ::close(end);
}

BOOST_TEST_DECORATOR(*boost::unit_test::precondition(&Owned::can_tell))
BOOST_FIXTURE_TEST_CASE(a_descriptor_is_the_last_when_no_name_and_nobody_else_leads_there, Owned) {
    BOOST_TEST(!files->is_last(fd));
    const auto reader = files->open("file", Open::read);
    BOOST_REQUIRE(files->link("file", "other").has_value());
    BOOST_REQUIRE(files->unlink("file").has_value());
    BOOST_TEST(!files->is_last(fd));
    BOOST_REQUIRE(files->unlink("other").has_value());
    BOOST_TEST(!files->is_last(fd));
    auto map = files->map(*reader);
    files->close(*reader);
    BOOST_TEST(!files->is_last(fd));
    map->reset();
    BOOST_TEST(files->is_last(fd));
    BOOST_TEST(!files->is_sole(fd));
}

BOOST_FIXTURE_TEST_CASE(what_is_written_out_is_what_was_written, World) {
    const auto fd = files->open("file", Open::create);
    const std::string text(90'000, 'w');
    BOOST_REQUIRE(files->write(*fd, 0, as_bytes(text)).has_value());
    BOOST_TEST(files->write_out(*fd, 0, text.size()).has_value());
    BOOST_TEST(files->write_out(*fd, text.size(), 0).has_value());
    files->close(*fd);
    BOOST_TEST((get("file") == text));
    BOOST_TEST(!files->write_out(-1, 0, 1).has_value());
}

BOOST_FIXTURE_TEST_CASE(a_file_with_blocks_that_were_never_written_is_not_ready_to_be_written,
                        World) {
    const auto fd = files->open("file", Open::create);
    BOOST_REQUIRE(files->allocate(*fd, 64 << 10).has_value());
    BOOST_REQUIRE(files->sync(*fd).has_value());
    BOOST_TEST(!files->is_sole(*fd));
    BOOST_REQUIRE(files->truncate(*fd, 0).has_value());
    BOOST_REQUIRE(files->write(*fd, 0, as_bytes(std::string(8192, 'x'))).has_value());
    BOOST_REQUIRE(files->truncate(*fd, 1 << 20).has_value());
    BOOST_REQUIRE(files->sync(*fd).has_value());
    BOOST_TEST(!files->is_sole(*fd));
    files->close(*fd);
}

BOOST_AUTO_TEST_CASE(a_created_file_must_be_new_and_is_for_its_owner_alone) {
    World world;
    world.put("a", "first");
    BOOST_TEST((code(world.files->open("a", Open::create)) == Code::exists));
    BOOST_TEST(world.get("a") == "first");
    BOOST_REQUIRE(world.files->make_dir("folder").has_value());
    struct stat info {};
    BOOST_REQUIRE(::stat(world.dir.path("a").c_str(), &info) == 0);
    BOOST_TEST((info.st_mode & 07777) == 0600U);
    BOOST_REQUIRE(::stat(world.dir.path("folder").c_str(), &info) == 0);
    BOOST_TEST((info.st_mode & 07777) == 0700U);
}

BOOST_AUTO_TEST_CASE(opening_makes_nothing_and_a_reader_cannot_write) {
    World world;
    BOOST_TEST((code(world.files->open("a", Open::read)) == Code::missing));
    BOOST_TEST((code(world.files->open("a", Open::write)) == Code::missing));
    BOOST_TEST(world.files->list()->empty());
    world.put("a", "text");
    auto fd = world.files->open("a", Open::read);
    BOOST_REQUIRE(fd.has_value());
    BOOST_TEST((code(world.files->write(*fd, 0, as_bytes("x"))) == Code::io));
    BOOST_TEST((::fcntl(*fd, F_GETFD) & FD_CLOEXEC) != 0);
    world.files->close(*fd);
}

BOOST_AUTO_TEST_CASE(names_cannot_lead_out_of_the_directory) {
    World world;
    BOOST_REQUIRE(world.files->make_dir("folder").has_value());
    using namespace std::string_view_literals;
    for (const auto name :
         {""sv, "."sv, ".."sv, "/"sv, "/etc/passwd"sv, "../a"sv, "folder/../a"sv, "folder/.."sv,
          "folder/"sv, "folder//a"sv, "folder/b/c"sv, "./a"sv, "a\0b"sv}) {
        BOOST_TEST_CONTEXT("name '" << name << "'") {
            BOOST_TEST((code(world.files->open(name, Open::create)) == Code::usage));
            BOOST_TEST((code(world.files->open(name, Open::read)) == Code::usage));
            BOOST_TEST((code(world.files->unlink(name)) == Code::usage));
            BOOST_TEST((code(world.files->lock(name)) == Code::usage));
            BOOST_TEST((code(world.files->rename(name, "b")) == Code::usage));
            BOOST_TEST((code(world.files->link(name, "b")) == Code::usage));
        }
    }
    BOOST_TEST((code(world.files->make_dir("a/b")) == Code::usage));
    BOOST_TEST((code(world.files->list("..")) == Code::usage));
    BOOST_TEST((code(world.files->sync_dir("..")) == Code::usage));
    BOOST_TEST((code(world.files->open(std::string(300, 'x'), Open::create)) == Code::usage));
}

BOOST_AUTO_TEST_CASE(symbolic_links_within_the_directory_are_not_followed) {
    World world;
    TempDir outside;
    std::ofstream(outside.path("secret")) << "secret";
    std::filesystem::create_symlink(outside.path("secret"), world.dir.path("link"));
    std::filesystem::create_symlink(outside.path(), world.dir.path("folder"));
    BOOST_TEST(!world.files->open("link", Open::read).has_value());
    BOOST_TEST(!world.files->open("folder/secret", Open::read).has_value());
    BOOST_TEST(!world.files->lock("link").has_value());
    BOOST_TEST(!world.files->make_dir("folder").has_value());
    BOOST_TEST(world.files->list()->empty());
}

BOOST_AUTO_TEST_CASE(a_fifo_in_the_directory_is_refused_and_does_not_hold_us_up) {
    World world;
    BOOST_REQUIRE(::mkfifo(world.dir.path("fifo").c_str(), 0600) == 0);
    BOOST_TEST(!world.files->open("fifo", Open::read).has_value());
    BOOST_TEST(!world.files->open("fifo", Open::write).has_value());
}

BOOST_AUTO_TEST_CASE(reads_are_short_at_the_end_only) {
    World world;
    world.put("a", std::string(70'000, 'x'));
    auto fd = world.files->open("a", Open::read);
    BOOST_REQUIRE(fd.has_value());
    std::string text(80'000, '?');
    const auto into = std::as_writable_bytes(std::span(text));
    BOOST_TEST(world.files->read(*fd, 0, into).value() == 70'000U);
    BOOST_TEST(world.files->read(*fd, 69'999, into).value() == 1U);
    BOOST_TEST(world.files->read(*fd, 70'000, into).value() == 0U);
    BOOST_TEST(world.files->read(*fd, 1'000'000, into).value() == 0U);
    BOOST_TEST(world.files->size(*fd).value() == 70'000U);
    world.files->close(*fd);
}

BOOST_AUTO_TEST_CASE(writes_at_an_offset_are_whole_and_can_be_synced) {
    World world;
    auto fd = world.files->open("a", Open::create);
    BOOST_REQUIRE(fd.has_value());
    BOOST_TEST(world.files->write(*fd, 5, as_bytes("world")).has_value());
    BOOST_TEST(world.files->write(*fd, 0, as_bytes("hello")).has_value());
    BOOST_TEST(world.files->sync(*fd).has_value());
    BOOST_TEST(world.files->sync_dir().has_value());
    world.files->close(*fd);
    BOOST_TEST(world.get("a") == "helloworld");
    BOOST_TEST((code(world.files->sync(*fd)) == Code::io));
}

BOOST_AUTO_TEST_CASE(room_made_ahead_is_zeros_and_touches_nothing_that_is_there) {
    World world;
    auto fd = world.files->open("a", Open::create);
    BOOST_REQUIRE(fd.has_value());
    BOOST_REQUIRE(world.files->write(*fd, 0, as_bytes("text")).has_value());
    BOOST_REQUIRE(world.files->allocate(*fd, 50'000).has_value());
    BOOST_TEST(world.files->size(*fd).value() == 50'000U);
    BOOST_REQUIRE(world.files->allocate(*fd, 1000).has_value());
    BOOST_TEST(world.files->size(*fd).value() == 50'000U);
    struct stat info {};
    BOOST_REQUIRE(::fstat(*fd, &info) == 0);
    BOOST_TEST(info.st_blocks * 512 >= 50'000);
    BOOST_TEST(world.get("a") == "text" + std::string(49'996, '\0'));
    BOOST_REQUIRE(world.files->truncate(*fd, 2).has_value());
    BOOST_TEST(world.get("a") == "te");
    world.files->close(*fd);
}

BOOST_AUTO_TEST_CASE(a_write_that_does_not_fit_is_an_error_though_some_of_it_was_written) {
    World world;
    auto fd = world.files->open("a", Open::create);
    BOOST_REQUIRE(fd.has_value());
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit small{.rlim_cur = 8192, .rlim_max = before.rlim_max};
    const auto old = ::signal(SIGXFSZ, SIG_IGN);
    BOOST_REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    const auto put = world.files->write(*fd, 4096, as_bytes(std::string(8192, 'x')));
    ::setrlimit(RLIMIT_FSIZE, &before);
    ::signal(SIGXFSZ, old);
    BOOST_REQUIRE(!put.has_value());
    BOOST_TEST(put.error().error == EFBIG);
    BOOST_TEST(put.error().offset == 8192U);
    world.files->close(*fd);
}

BOOST_AUTO_TEST_CASE(a_direct_file_reads_and_writes_where_the_file_system_can) {
    World world;
    auto fd = world.files->open("a", Open::create, true);
    BOOST_REQUIRE(fd.has_value());
    struct Block {
        alignas(4096) std::byte bytes[8192];
    };
    auto block = std::make_unique<Block>();
    std::fill(std::begin(block->bytes), std::end(block->bytes), std::byte{'d'});
    BOOST_REQUIRE(world.files->write(*fd, 0, block->bytes).has_value());
    BOOST_REQUIRE(world.files->truncate(*fd, 5000).has_value());
    // The end lies within a sector: a second read from there would be refused.
    BOOST_TEST(world.files->read(*fd, 0, block->bytes).value() == 5000U);
    world.files->close(*fd);
    BOOST_TEST(world.get("a") == std::string(5000, 'd'));
    auto plain = world.files->open("a", Open::write);
    BOOST_REQUIRE(plain.has_value());
    BOOST_TEST(!world.files->is_direct(*plain));
    world.files->close(*plain);
}

BOOST_AUTO_TEST_CASE(direct_is_left_out_silently_where_there_is_none) {
    // /proc knows no O_DIRECT, whatever the file system of the temporary directory.
    auto proc = open_posix_files("/proc/self", false);
    BOOST_REQUIRE(proc.has_value());
    auto fd = (*proc)->open("status", Open::read, true);
    BOOST_REQUIRE(fd.has_value());
    BOOST_TEST(!(*proc)->is_direct(*fd));
    (*proc)->close(*fd);
}

BOOST_AUTO_TEST_CASE(a_rename_replaces_its_target) {
    World world;
    world.put("new", "new");
    world.put("old", "old");
    BOOST_REQUIRE(world.files->rename("new", "old").has_value());
    BOOST_TEST(world.get("old") == "new");
    BOOST_TEST((code(world.files->open("new", Open::read)) == Code::missing));
    BOOST_TEST((code(world.files->rename("new", "x")) == Code::missing));
    BOOST_REQUIRE(world.files->make_dir("quarantine").has_value());
    BOOST_REQUIRE(world.files->rename("old", "quarantine/old").has_value());
    BOOST_TEST(world.get("quarantine/old") == "new");
}

BOOST_AUTO_TEST_CASE(links_share_bytes_and_are_counted_and_a_link_never_replaces) {
    World world;
    world.put("a", "text");
    world.put("b", "other");
    BOOST_TEST((code(world.files->link("a", "b")) == Code::exists));
    BOOST_REQUIRE(world.files->link("a", "c").has_value());
    BOOST_TEST(world.get("c") == "text");
    auto files = world.files->list();
    BOOST_REQUIRE(files.has_value());
    BOOST_REQUIRE_EQUAL(files->size(), 3U);
    BOOST_TEST((*files)[0].name == "a");
    BOOST_TEST((*files)[0].links == 2U);
    BOOST_TEST((*files)[0].bytes == 4U);
    BOOST_TEST((*files)[1].name == "b");
    BOOST_TEST((*files)[1].links == 1U);
    BOOST_TEST((*files)[2].name == "c");
    BOOST_TEST((*files)[2].links == 2U);
    BOOST_REQUIRE(world.files->unlink("a").has_value());
    BOOST_TEST(world.get("c") == "text");
    BOOST_TEST((code(world.files->unlink("a")) == Code::missing));
}

BOOST_AUTO_TEST_CASE(a_list_names_the_files_of_one_folder_in_order) {
    World world;
    for (const auto* name : {"zeta", "alpha", "00ff", "0100"}) world.put(name, name);
    BOOST_REQUIRE(world.files->make_dir("folder").has_value());
    BOOST_REQUIRE(world.files->make_dir("folder").has_value());
    world.put("folder/inner", "x");
    const auto names = [&](std::string_view dir) {
        const auto files = world.files->list(dir);
        std::string all;
        for (const auto& file : *files) all += file.name + " ";
        return all;
    };
    BOOST_TEST(names("") == "00ff 0100 alpha zeta ");
    BOOST_TEST(names("folder") == "inner ");
    BOOST_TEST(world.files->sync_dir("folder").has_value());
    BOOST_TEST((code(world.files->list("nowhere")) == Code::missing));
    BOOST_TEST((code(world.files->sync_dir("nowhere")) == Code::missing));
    BOOST_TEST(!world.files->make_dir("zeta").has_value());
    BOOST_TEST(!world.files->unlink("folder").has_value());
}

BOOST_AUTO_TEST_CASE(a_lock_is_held_once_and_goes_with_its_holder) {
    World world;
    auto held = world.files->lock("LOCK");
    BOOST_REQUIRE(held.has_value());
    BOOST_TEST(world.get("LOCK") == std::to_string(::getpid()) + "\n");
    auto second = World::opened(world.dir.path());
    BOOST_TEST((code(second->lock("LOCK")) == Code::busy));
    held->reset();
    BOOST_TEST(second->lock("LOCK").has_value());
}

BOOST_AUTO_TEST_CASE(a_killed_holder_leaves_no_lock_behind) {
    World world;
    int ready[2];
    BOOST_REQUIRE(::pipe(ready) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        const auto held = world.files->lock("LOCK");
        const char byte = held ? 'y' : 'n';
        if (::write(ready[1], &byte, 1) == 1)
            while (true) ::pause();
        ::_exit(1);
    }
    char byte = 0;
    BOOST_REQUIRE(::read(ready[0], &byte, 1) == 1);
    BOOST_TEST(byte == 'y');
    const auto refused = world.files->lock("LOCK");
    BOOST_TEST((code(refused) == Code::busy));
    BOOST_TEST(refused.error().text().find("another process") != std::string::npos);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    BOOST_TEST(world.files->lock("LOCK").has_value());
    ::close(ready[0]);
    ::close(ready[1]);
}

BOOST_AUTO_TEST_CASE(a_map_shows_the_file_and_outlives_its_descriptor_and_its_name) {
    World world;
    world.put("a", std::string(10'000, 'm'));
    auto fd = world.files->open("a", Open::write);
    BOOST_REQUIRE(fd.has_value());
    auto map = world.files->map(*fd);
    BOOST_REQUIRE(map.has_value());
    BOOST_REQUIRE(world.files->write(*fd, 9'999, as_bytes("!")).has_value());
    world.files->close(*fd);
    BOOST_REQUIRE(world.files->unlink("a").has_value());
    BOOST_REQUIRE_EQUAL((*map)->bytes().size(), 10'000U);
    BOOST_TEST(as_text((*map)->bytes()) == std::string(9'999, 'm') + "!");
    BOOST_TEST((*map)->resident(0, 10'000));
}

BOOST_AUTO_TEST_CASE(an_empty_file_has_an_empty_map) {
    World world;
    world.put("a", "");
    auto fd = world.files->open("a", Open::read);
    BOOST_REQUIRE(fd.has_value());
    auto map = world.files->map(*fd);
    BOOST_REQUIRE(map.has_value());
    BOOST_TEST((*map)->bytes().empty());
    BOOST_TEST((*map)->resident(0, 0));
    world.files->close(*fd);
}

// A map of 512 pages that have left memory.
struct ColdMap : World {
    int fd = -1;
    std::unique_ptr<Mapping> map;
    bool is_cold = false;

    ColdMap() {
        put("a", std::string(512 * 4096, 'r'));
        fd = files->open("a", Open::write).value();
        BOOST_REQUIRE(files->sync(fd).has_value());
        BOOST_REQUIRE(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
        map = files->map(fd).value();
        is_cold = !map->resident(0, 512 * 4096);
        if (!is_cold) BOOST_TEST_MESSAGE("this file system keeps its pages: nothing to see");
    }
    ~ColdMap() { files->close(fd); }
};

BOOST_FIXTURE_TEST_CASE(a_range_of_a_map_is_brought_into_memory, ColdMap) {
    if (!is_cold) return;
    BOOST_TEST(map->load(3 * 4096 + 1, 200 * 4096));
    BOOST_TEST(map->resident(3 * 4096, 201 * 4096));
    BOOST_TEST(!map->resident(400 * 4096, 1));
    BOOST_TEST(map->load(0, 0));
    // Somebody cuts the file short: that is told, and kills nobody.
    BOOST_REQUIRE(::ftruncate(fd, 4096) == 0);
    BOOST_TEST(!map->load(0, 512 * 4096));
}

BOOST_FIXTURE_TEST_CASE(pages_that_left_memory_are_not_resident, ColdMap) {
    if (!is_cold) return;
    BOOST_TEST(!map->resident(8 * 4096, 1));
    const volatile auto* const byte = map->bytes().data() + 8 * 4096;
    BOOST_TEST((*byte == std::byte{'r'}));
    BOOST_TEST(map->resident(8 * 4096, 4096));
    // The map reads no page ahead.
    BOOST_TEST(!map->resident(8 * 4096, 4097));
    BOOST_TEST(!map->resident(9 * 4096, 1));

    // A kernel without cachestat, or a container that forbids it, gives the same answers.
    const auto answers = in_child([&] {
        forbid_syscall(451, EPERM);
        std::string text;
        for (const auto& [offset, length] :
             {std::pair<std::uint64_t, std::uint64_t>{8 * 4096, 4096},
              {8 * 4096 + 5, 7},
              {8 * 4096, 4097},
              {9 * 4096, 1},
              {0, 512 * 4096}})
            text += map->resident(offset, length) ? 'y' : 'n';
        for (std::size_t page = 0; page < 512; ++page) {
            const volatile auto* const touched = map->bytes().data() + page * 4096;
            (void)*touched;
        }
        text += map->resident(0, 512 * 4096) ? 'y' : 'n';
        return text;
    });
    BOOST_TEST(answers == "yynnny");
}

BOOST_AUTO_TEST_CASE(the_directory_is_made_on_request_only) {
    TempDir outer;
    const auto path = outer.path("store");
    BOOST_TEST((code(open_posix_files(path, false)) == Code::missing));
    BOOST_TEST(open_posix_files(path, true).has_value());
    BOOST_TEST(open_posix_files(path, true).has_value());
    struct stat info {};
    BOOST_REQUIRE(::stat(path.c_str(), &info) == 0);
    BOOST_TEST((info.st_mode & 07777) == 0700U);
    BOOST_TEST((code(open_posix_files(outer.path("a/b"), true)) == Code::missing));
    std::ofstream(outer.path("file")) << "x";
    BOOST_TEST(!open_posix_files(outer.path("file"), true).has_value());
}

BOOST_AUTO_TEST_CASE(free_space_is_a_plausible_number) {
    World world;
    const auto bytes = world.files->free_bytes();
    BOOST_REQUIRE(bytes.has_value());
    BOOST_TEST(*bytes <= std::filesystem::space(world.dir.path()).capacity);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::io
