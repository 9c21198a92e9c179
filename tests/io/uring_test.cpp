#include "io/uring.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <cstring>
#include <deque>
#include <initializer_list>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/environment.hpp"
#include "tests/io/seccomp.hpp"
#include "tests/io/temp_dir.hpp"
#include "tests/io/uring_world.hpp"

namespace firnlog::io {

BOOST_AUTO_TEST_SUITE(uring)

namespace {

Fd socket_to_connect() { return Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

void connect_to(int fd, const sockaddr_in& address) {
    BOOST_REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
}

// True if the peer has closed: no byte, and the end of the stream.
bool sees_the_end(int fd) {
    pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
    char byte;
    return ::poll(&wait, 1, 5000) == 1 && ::recv(fd, &byte, 1, 0) <= 0;
}

// A connection that sends back what it receives, with one send in flight at most.
class Echo {
  public:
    Echo(Io& io, int fd) : io_(io), fd_(fd) {
        recv_.also = [this](std::int32_t result, bool more) { received(result, more); };
        send_.also = [this](std::int32_t result, bool) { sent(result); };
        io_.recv(fd_, recv_);
    }
    Echo(const Echo&) = delete;
    Echo& operator=(const Echo&) = delete;
    ~Echo() {
        if (!closed_) ::close(fd_);
    }
    [[nodiscard]] bool closed() const { return closed_; }
    [[nodiscard]] int pauses() const { return pauses_; }

  private:
    void received(std::int32_t result, bool more) {
        if (result > 0) {
            BOOST_REQUIRE(more);
            waiting_ += as_text(io_.received());
            BOOST_REQUIRE_EQUAL(io_.received().size(), static_cast<std::size_t>(result));
            // Back-pressure: a peer that does not read is not read from.
            if (waiting_.size() > 100'000) io_.cancel(recv_);
        } else {
            BOOST_REQUIRE(!more);
            BOOST_REQUIRE((result == 0 || result == -ECANCELED));
            ended_ = result == 0;
            pauses_ += ended_ ? 0 : 1;
        }
        send_some();
    }
    void sent(std::int32_t result) {
        BOOST_REQUIRE(result > 0);
        sending_.erase(0, static_cast<std::size_t>(result));
        sends_ = false;
        send_some();
    }
    void send_some() {
        if (sends_) return;
        if (sending_.empty()) sending_.swap(waiting_);
        if (!sending_.empty()) {
            sends_ = true;
            send_.again();
            io_.send(fd_, as_bytes(sending_), send_);
        } else if (ended_) {
            io_.close(fd_);
            closed_ = true;
        } else if (recv_.finished) {
            recv_.again();
            io_.recv(fd_, recv_);
        }
    }

    Io& io_;
    int fd_;
    Recorder recv_;
    Recorder send_;
    std::string waiting_;
    std::string sending_;
    bool sends_ = false;
    bool ended_ = false;
    bool closed_ = false;
    int pauses_ = 0;
};

// Sends `bytes` random bytes in pieces of random length and checks that they all come back.
bool talk(int fd, std::uint64_t seed, std::size_t bytes) {
    std::mt19937_64 random(seed);
    std::string text(bytes, '\0');
    for (auto& byte : text) byte = static_cast<char>(random());
    std::string back;
    std::size_t sent = 0;
    std::vector<char> buffer(70'000);
    while (back.size() < text.size()) {
        const bool may_send = sent < text.size();
        pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
        if (may_send) wait.events |= POLLOUT;
        if (::poll(&wait, 1, 20'000) != 1) return false;
        if ((wait.revents & POLLOUT) != 0) {
            const std::size_t piece = random() % 3 == 0 ? 1 + random() % 5 : 1 + random() % 60'000;
            const ssize_t put = ::send(fd, text.data() + sent, std::min(piece, text.size() - sent),
                                       MSG_NOSIGNAL | MSG_DONTWAIT);
            if (put > 0) sent += static_cast<std::size_t>(put);
        }
        // Sometimes it is lazy about reading, so that the server's sends fill up.
        if ((wait.revents & POLLIN) != 0 && (!may_send || random() % 8 == 0)) {
            const ssize_t got = ::recv(fd, buffer.data(), 1 + random() % buffer.size(), 0);
            if (got <= 0) return false;
            back.append(buffer.data(), static_cast<std::size_t>(got));
        }
    }
    return back == text;
}

void echo_world(UringOptions options, std::size_t connections, std::size_t bytes,
                std::uint64_t seed) {
    World world(options);
    sockaddr_in address{};
    const Fd listener = listening(address);
    std::deque<Echo> echoes;
    Recorder accept;
    accept.also = [&](std::int32_t result, bool more) {
        if (result < 0) return;
        BOOST_REQUIRE(more);
        BOOST_TEST((::fcntl(result, F_GETFL) & O_NONBLOCK) != 0);
        BOOST_TEST((::fcntl(result, F_GETFD) & FD_CLOEXEC) != 0);
        echoes.emplace_back(*world.io, result);
    };
    world.io->accept(listener, accept);

    std::atomic<int> wrong{0};
    Recorder over;
    std::thread clients([&] {
        std::vector<std::thread> threads;
        for (std::size_t lane = 0; lane < 4; ++lane) {
            threads.emplace_back([&, lane] {
                for (std::size_t i = lane; i < connections; i += 4) {
                    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address),
                                  sizeof address) != 0 ||
                        !talk(fd, seed + i, bytes))
                        ++wrong;
                    ::close(fd);
                }
            });
        }
        for (auto& thread : threads) thread.join();
        world.io->post(over);
    });
    world.until([&] {
        return over.finished && echoes.size() == connections &&
               std::all_of(echoes.begin(), echoes.end(),
                           [](const Echo& echo) { return echo.closed(); });
    });
    clients.join();
    BOOST_TEST(wrong == 0);
    world.io->cancel(accept);
    world.finish(accept);
    BOOST_TEST(accept.last() == -ECANCELED);
}

}  // namespace

BOOST_AUTO_TEST_CASE(this_kernel_has_what_the_ring_needs) {
    const auto probed = probe_uring();
    BOOST_TEST(probed.has_value(), (probed ? "" : probed.error().text()));
}

// Suite `threads` too: clients on threads of their own, and the end posted by one of them.
BOOST_AUTO_TEST_CASE(every_byte_comes_back_however_the_stream_is_cut,
                     *boost::unit_test::label("threads")) {
    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) { echo_world({}, 24, 1'500'000, seed); }
}

BOOST_AUTO_TEST_CASE(hundreds_of_connections_share_the_buffers) {
    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) { echo_world({}, 300, 3'000, seed); }
}

BOOST_AUTO_TEST_CASE(rings_far_too_small_lose_nothing) {
    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        echo_world({.submissions = 1, .completions = 2, .buffers = 1, .buffer_bytes = 64}, 20,
                   20'000, seed);
    }
}

BOOST_AUTO_TEST_CASE(all_connections_receive_though_more_have_data_than_there_are_buffers) {
    World world({.submissions = 4, .completions = 4, .buffers = 2, .buffer_bytes = 16});
    std::vector<Pair> pairs(50);
    std::vector<std::string> got(pairs.size());
    std::deque<Recorder> recvs(pairs.size());
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        pairs[i].tell("a message longer than a buffer, number " + std::to_string(i));
        recvs[i].also = [&world, &text = got[i]](std::int32_t result, bool more) {
            BOOST_REQUIRE(result > 0);
            BOOST_REQUIRE(more);
            text += as_text(world.io->received());
        };
        world.io->recv(pairs[i].ours, recvs[i]);
    }
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        const auto expected = "a message longer than a buffer, number " + std::to_string(i);
        world.until([&] { return got[i].size() >= expected.size(); });
        BOOST_TEST(got[i] == expected);
    }
}

BOOST_AUTO_TEST_CASE(the_end_of_a_stream_is_a_last_completion_of_zero) {
    World world;
    Pair pair;
    Recorder recv;
    std::string got;
    recv.also = [&](std::int32_t, bool) { got += as_text(world.io->received()); };
    world.io->recv(pair.ours, recv);
    pair.tell("bye");
    ::shutdown(pair.theirs, SHUT_WR);
    world.finish(recv);
    BOOST_TEST(got == "bye");
    BOOST_TEST(recv.last() == 0);
    BOOST_TEST(world.io->received().empty());
    world.settle();
    BOOST_TEST(recv.runs_after_the_last == 0);
}

BOOST_AUTO_TEST_CASE(a_send_to_a_closed_peer_is_an_error_and_no_signal) {
    World world;
    Pair pair;
    ::close(std::exchange(pair.theirs, -1));
    Recorder send;
    world.io->send(pair.ours, as_bytes("x"), send);
    world.finish(send);
    BOOST_TEST(send.last() == -EPIPE);
}

BOOST_AUTO_TEST_CASE(a_big_send_says_how_much_of_it_went) {
    World world;
    Pair pair;
    const std::string text(8'000'000, 's');
    std::thread reader([&] {
        std::vector<char> buffer(100'000);
        std::size_t got = 0;
        while (got < text.size()) {
            const ssize_t n = ::recv(pair.theirs, buffer.data(), buffer.size(), 0);
            if (n <= 0) return;
            got += static_cast<std::size_t>(n);
        }
    });
    std::size_t sent = 0;
    Recorder send;
    while (sent < text.size()) {
        send.again();
        world.io->send(pair.ours, as_bytes(text).subspan(sent), send);
        world.finish(send);
        BOOST_REQUIRE(send.last() > 0);
        sent += static_cast<std::size_t>(send.last());
    }
    reader.join();
    BOOST_TEST(sent == text.size());
}

// Limits, and the end.

BOOST_AUTO_TEST_CASE(accepting_at_the_descriptor_limit_fails_and_can_go_on_later) {
    World world;
    sockaddr_in address{};
    const Fd listener = listening(address);
    const Fd client = socket_to_connect();
    Recorder accept;

    rlimit before{};
    BOOST_REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const int lowest_free = ::dup(client);
    ::close(lowest_free);
    const rlimit tight{.rlim_cur = static_cast<rlim_t>(lowest_free), .rlim_max = before.rlim_max};
    BOOST_REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
    // The kernel looks at the limit when it takes the operation.
    world.io->accept(listener, accept);
    connect_to(client, address);
    while (!accept.finished && world.io->turn(true).has_value() && !world.watchdog.finished) {
    }
    BOOST_REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    BOOST_TEST((accept.results == std::vector{-EMFILE}));

    accept.again();
    Fd accepted(::eventfd(0, EFD_CLOEXEC));
    const Fd second = socket_to_connect();
    connect_to(second, address);
    world.io->accept(listener, accept);
    world.until([&] { return !accept.results.empty(); });
    BOOST_REQUIRE(accept.last() >= 0);
    for (const int fd : accept.results) ::close(fd);
}

BOOST_AUTO_TEST_CASE(destroying_a_ring_ends_all_that_was_in_flight) {
    sockaddr_in address{};
    const Fd listener = listening(address);
    Pair pair, full;
    TempDir dir;
    const Fd file(::open(dir.path("log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    int ends[2];
    BOOST_REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const Fd out(ends[0]);
    const Fd in(ends[1]);
    const std::string page(4096, 'p');
    while (::send(full.ours, page.data(), page.size(), MSG_DONTWAIT) > 0) {
    }
    const Fd client = socket_to_connect();
    std::deque<Recorder> done(7);
    // What the kernel writes to and reads from; gone right after the ring, as the sanitizer knows.
    auto into = std::make_unique<std::vector<std::byte>>(64);
    auto from = std::make_unique<std::vector<std::byte>>(3'000'000, std::byte{'f'});
    {
        World world;
        const Bytes piece(*from);
        world.io->accept(listener, done[0]);
        world.io->recv(pair.ours, done[1]);
        world.io->send(full.ours, as_bytes(page), done[2]);
        world.io->read(out, 0, *into, done[3]);
        world.io->timer(world.clock.mono().after(100'000'000), done[4]);
        world.turn(false);
        connect_to(client, address);
        // Never submitted by a turn.
        world.io->write({.fd = file, .offset = 0, .pieces = {&piece, 1}}, true, done[5]);
        world.io->fsync(file, done[6]);
    }
    into.reset();
    from.reset();
    for (const auto& one : done) BOOST_TEST(one.results.empty());
    // Nobody reads from them any more: bytes stay where they are, and the connection that was
    // accepted for nobody, or never, is closed.
    pair.tell("still there");
    BOOST_REQUIRE(::write(in, "x", 1) == 1);
    std::this_thread::sleep_for(5ms);
    char buffer[32];
    BOOST_TEST(::recv(pair.ours, buffer, sizeof buffer, MSG_DONTWAIT) == 11);
    BOOST_TEST(::read(out, buffer, sizeof buffer) == 1);
}

BOOST_AUTO_TEST_CASE(a_connection_accepted_for_nobody_is_closed_with_the_ring) {
    sockaddr_in address{};
    const Fd listener = listening(address);
    const Fd client = socket_to_connect();
    {
        World world;
        Recorder accept;
        world.turn(false);
        connect_to(client, address);
        // It is accepted as it is submitted, by the ring's end.
        world.io->accept(listener, accept);
    }
    BOOST_TEST(sees_the_end(client));
}

BOOST_AUTO_TEST_CASE(memory_may_be_used_for_something_else_as_soon_as_the_ring_is_gone) {
    TempDir dir;
    const Fd file(::open(dir.path("log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    std::vector<std::byte> bytes(64'000'000, std::byte{'f'});
    {
        World world;
        const Bytes piece(bytes);
        Recorder write;
        world.io->write({.fd = file, .offset = 0, .pieces = {&piece, 1}}, false, write);
        world.turn(false);
    }
    std::fill(bytes.begin(), bytes.end(), std::byte{'X'});
    std::this_thread::sleep_for(50ms);
    std::vector<std::byte> back(bytes.size());
    const ssize_t got = ::pread(file, back.data(), back.size(), 0);
    BOOST_REQUIRE(got >= 0);
    BOOST_TEST(std::count(back.begin(), back.begin() + got, std::byte{'X'}) == 0);
}

BOOST_AUTO_TEST_CASE(rings_come_and_go_without_leaking_descriptors) {
    const auto lowest_free = [] {
        const int fd = ::dup(0);
        ::close(fd);
        return fd;
    };
    { World warm; }
    const int before = lowest_free();
    for (int i = 0; i < 20; ++i) {
        World world;
        Recorder timer;
        world.io->timer(MonoTime{0}, timer);
        world.finish(timer);
    }
    BOOST_TEST(lowest_free() == before);
}

BOOST_AUTO_TEST_CASE(options_that_make_no_sense_are_an_error_of_usage) {
    for (const unsigned buffers : {0U, 3U, 65536U}) {
        const auto io = make_uring({.buffers = buffers});
        BOOST_REQUIRE(!io.has_value());
        BOOST_TEST((io.error().code == Code::usage));
    }
}

BOOST_AUTO_TEST_CASE(what_forbids_a_ring_is_said_in_words_an_operator_can_act_on) {
    const auto text_when = [](unsigned call, unsigned error) {
        return in_child([=] {
            forbid_syscall(call, error);
            const auto probed = probe_uring();
            return probed ? std::string("a ring was had") : probed.error().text();
        });
    };
    const auto says = [](const std::string& text, std::string_view word) {
        BOOST_TEST(text.find(word) != std::string::npos, text << " says " << word);
    };
    for (const unsigned call : std::initializer_list<unsigned>{
             SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register}) {
        const auto forbidden = text_when(call, EPERM);
        says(forbidden, "seccomp");
        says(forbidden, "io_uring_enter");
    }
    says(text_when(SYS_io_uring_setup, ENOSYS), "this kernel has none");
    says(text_when(SYS_io_uring_setup, EINVAL), "too old");
    says(text_when(SYS_io_uring_setup, ENOMEM), "LimitMEMLOCK");
    says(text_when(SYS_io_uring_setup, EMFILE), "LimitNOFILE");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::io
