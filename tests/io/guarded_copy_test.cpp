#include "io/guarded_copy.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/io/temp_dir.hpp"

namespace firnlog::io {

BOOST_AUTO_TEST_SUITE(guarded)

namespace {

constexpr std::size_t kPage = 4096;

// A file of some pages, each filled with its number, mapped whole and cut on demand.
class CutFile {
  public:
    explicit CutFile(std::size_t pages) : bytes_(pages * kPage) {
        fd_ = ::open(dir_.path("mapped").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        BOOST_REQUIRE(fd_ >= 0);
        for (std::size_t page = 0; page < pages; ++page) {
            const std::string fill(kPage, static_cast<char>('a' + page % 26));
            BOOST_REQUIRE(::write(fd_, fill.data(), fill.size()) == static_cast<ssize_t>(kPage));
        }
        void* const at = ::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, fd_, 0);
        BOOST_REQUIRE(at != MAP_FAILED);
        at_ = static_cast<const std::byte*>(at);
    }
    ~CutFile() {
        ::munmap(const_cast<std::byte*>(at_), bytes_);
        ::close(fd_);
    }
    void cut(std::size_t bytes) { BOOST_REQUIRE(::ftruncate(fd_, static_cast<off_t>(bytes)) == 0); }
    [[nodiscard]] const std::byte* at(std::size_t offset) const { return at_ + offset; }

  private:
    TempDir dir_;
    std::size_t bytes_;
    int fd_ = -1;
    const std::byte* at_ = nullptr;
};

// How a child that does this ends: wait status.
template <class F>
int child_status(F does) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::signal(SIGABRT, SIG_DFL);
        does();
        ::_exit(0);
    }
    int status = -1;
    BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
    return status;
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_can_be_read_is_copied) {
    install_sigbus_guard();
    CutFile file(4);
    std::vector<std::byte> to(4 * kPage);
    BOOST_TEST(guarded_copy(to.data(), file.at(0), to.size()));
    BOOST_TEST(std::memcmp(to.data(), file.at(0), to.size()) == 0);
    BOOST_TEST(guarded_copy(to.data(), file.at(0), 0));
}

BOOST_AUTO_TEST_CASE(a_copy_out_of_a_truncated_file_fails_and_the_next_one_works_again) {
    install_sigbus_guard();
    CutFile file(4);
    file.cut(kPage);
    std::vector<std::byte> to(4 * kPage);
    for (int again = 0; again < 3; ++again) {
        BOOST_TEST(!guarded_copy(to.data(), file.at(2 * kPage), 1));
        BOOST_TEST(!guarded_copy(to.data(), file.at(0), 4 * kPage));
        BOOST_TEST(!guarded_copy(to.data(), file.at(kPage - 8), 16));
        BOOST_TEST(guarded_copy(to.data(), file.at(0), kPage));
        BOOST_TEST((to[0] == std::byte{'a'} && to[kPage - 1] == std::byte{'a'}));
    }
}

BOOST_AUTO_TEST_CASE(threads_that_fault_at_the_same_time_each_find_their_own_way_back,
                     *boost::unit_test::label("threads")) {
    install_sigbus_guard();
    CutFile file(8);
    file.cut(4 * kPage);
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            std::vector<std::byte> to(kPage);
            for (std::size_t i = 0; i < 2000; ++i) {
                const std::size_t page = (t + i) % 8;
                if (guarded_copy(to.data(), file.at(page * kPage), kPage) != (page < 4)) ++wrong;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(a_sigbus_outside_of_a_copy_goes_to_the_handler_before_the_guards) {
    CutFile file(2);
    file.cut(kPage);
    const int status = child_status([&] {
        ::signal(SIGBUS, [](int) { ::_exit(77); });
        install_sigbus_guard();
        install_sigbus_guard();  // a second time changes nothing
        std::byte buffer[16];
        if (guarded_copy(buffer, file.at(kPage), sizeof buffer)) ::_exit(3);
        const volatile auto* const bare = file.at(kPage);
        ::_exit(std::to_integer<int>(*bare));
    });
    BOOST_TEST((WIFEXITED(status) && WEXITSTATUS(status) == 77), "wait status " << status);
}

BOOST_AUTO_TEST_CASE(a_sigbus_of_a_copys_target_is_a_bug_and_no_damaged_file) {
    TempDir dir;
    const int fd = ::open(dir.path("target").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    BOOST_REQUIRE(fd >= 0);
    void* const at = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    BOOST_REQUIRE(at != MAP_FAILED);
    const int status = child_status([&] {
        ::signal(SIGBUS, [](int) { ::_exit(77); });
        install_sigbus_guard();
        const std::byte sound[16] = {};
        ::_exit(guarded_copy(static_cast<std::byte*>(at), sound, sizeof sound) ? 3 : 4);
    });
    BOOST_TEST((WIFEXITED(status) && WEXITSTATUS(status) == 77), "wait status " << status);
    ::munmap(at, kPage);
    ::close(fd);
}

BOOST_AUTO_TEST_CASE(a_sigbus_outside_of_a_copy_stops_the_process_if_nobody_else_handles_it) {
    CutFile file(2);
    file.cut(kPage);
    for (const bool sent : {false, true}) {
        const int status = child_status([&] {
            ::signal(SIGBUS, SIG_DFL);
            install_sigbus_guard();
            std::byte buffer[16];
            if (guarded_copy(buffer, file.at(kPage), sizeof buffer)) ::_exit(3);
            if (sent) {
                ::kill(::getpid(), SIGBUS);
                ::sleep(5);
                ::_exit(4);
            }
            const volatile auto* const bare = file.at(kPage);
            ::_exit(std::to_integer<int>(*bare));
        });
        BOOST_TEST((WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS), "wait status " << status);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::io
