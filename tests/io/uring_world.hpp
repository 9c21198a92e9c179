#pragma once
// World: a ring, a clock and a watchdog for the tests of Uring; and Recorder, a Completion that
// keeps what it was run with.

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "io/system_clock.hpp"
#include "io/uring.hpp"

namespace firnlog::io {

using namespace std::chrono_literals;

struct Recorder : Completion {
    Recorder() { run = &Recorder::record; }
    static void record(Completion& self, std::int32_t result, bool more) {
        auto& recorder = static_cast<Recorder&>(self);
        recorder.results.push_back(result);
        recorder.runs_after_the_last += recorder.finished ? 1 : 0;
        recorder.finished = !more;
        if (recorder.also) recorder.also(result, more);
    }
    // Ready for another operation.
    void again() {
        results.clear();
        finished = false;
    }
    [[nodiscard]] int last() const { return results.empty() ? 1'000'000'000 : results.back(); }

    std::vector<int> results;
    bool finished = false;
    int runs_after_the_last = 0;
    std::function<void(std::int32_t result, bool more)> also;
};

struct World {
    explicit World(UringOptions options = {}) {
        auto made = make_uring(options);
        BOOST_REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().text()));
        io = std::move(*made);
        // A test that would hang fails instead.
        io->timer(clock.mono().after(30'000'000), watchdog);
    }

    void turn(bool wait) {
        const auto turned = io->turn(wait);
        BOOST_REQUIRE_MESSAGE(turned.has_value(), (turned ? "" : turned.error().text()));
    }
    template <class F>
    void until(F done) {
        while (!done()) {
            turn(true);
            BOOST_REQUIRE_MESSAGE(!watchdog.finished, "nothing happened for too long");
        }
    }
    void finish(const Recorder& recorder) {
        until([&] { return recorder.finished; });
    }
    // Anything that might come unasked for comes now.
    void settle() {
        for (int i = 0; i < 5; ++i) {
            turn(false);
            std::this_thread::sleep_for(1ms);
        }
    }

    SystemClock clock;
    Recorder watchdog;
    std::unique_ptr<Io> io;
};

struct Fd {
    explicit Fd(int number) : fd(number) { BOOST_REQUIRE(fd >= 0); }
    Fd(Fd&& from) noexcept : fd(std::exchange(from.fd, -1)) {}
    Fd& operator=(Fd&& from) noexcept {
        std::swap(fd, from.fd);
        return *this;
    }
    ~Fd() {
        if (fd >= 0) ::close(fd);
    }
    operator int() const { return fd; }
    int fd;
};

struct Pair {
    Pair() {
        int ends[2];
        BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        ours = ends[0];
        theirs = ends[1];
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    ~Pair() {
        if (ours >= 0) ::close(ours);
        if (theirs >= 0) ::close(theirs);
    }
    void tell(std::string_view text) const {
        BOOST_REQUIRE(::send(theirs, text.data(), text.size(), MSG_NOSIGNAL) ==
                      static_cast<ssize_t>(text.size()));
    }
    int ours = -1;
    int theirs = -1;
};

// A socket that listens on a free port of loopback.
inline Fd listening(sockaddr_in& address) {
    Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    BOOST_REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&address), length) == 0);
    BOOST_REQUIRE(::listen(listener, 512) == 0);
    BOOST_REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    return listener;
}

}  // namespace firnlog::io
