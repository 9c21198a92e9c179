// The simulated network, alone, under actors and under real threads.

#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "io/base/ensure.hpp"
#include "tests/sim/fixture.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::sim {
namespace {

// Sends back what it receives, one send at a time. Threads of the test run it, and Boost.Test's own
// checks are for one thread alone.
class Echo {
  public:
    Echo(Process& process, std::size_t index, int listener) : io_(process.io(index)) {
        accept_.run = [](io::Completion& self, std::int32_t result, bool) {
            static_cast<Owned&>(self).echo->accepted(result);
        };
        recv_.run = [](io::Completion& self, std::int32_t result, bool more) {
            static_cast<Owned&>(self).echo->received(result, more);
        };
        send_.run = [](io::Completion& self, std::int32_t result, bool) {
            static_cast<Owned&>(self).echo->sent(result);
        };
        for (Owned* owned : {&accept_, &recv_, &send_}) owned->echo = this;
        io_.accept(listener, accept_);
    }

    std::size_t pieces = 0;
    std::size_t short_sends = 0;
    std::size_t refills = 0;
    int last_error = 0;
    bool closed = false;

  private:
    struct Owned : io::Completion {
        Echo* echo = nullptr;
    };

    void accepted(std::int32_t fd) {
        if (fd < 0) return;
        ensure(fd_ < 0, "one accept, one connection");
        fd_ = fd;
        receiving_ = true;
        io_.recv(fd_, recv_);
    }

    void received(std::int32_t result, bool more) {
        receiving_ = more;
        if (result > 0) {
            ++pieces;
            ensure(io_.received().size() == static_cast<std::size_t>(result),
                   "recv tells its bytes");
            waiting_ += as_text(io_.received());
            flush();
        } else if (result == -ENOBUFS) {
            ++refills;
            receiving_ = true;
            io_.recv(fd_, recv_);
        } else {
            last_error = -result;
            ended_ = true;
            finish();
        }
    }

    void flush() {
        if (!sending_.empty() || waiting_.empty()) return;
        sending_.swap(waiting_);
        io_.send(fd_, as_bytes(sending_), send_);
    }

    void sent(std::int32_t result) {
        if (result < 0) {
            last_error = -result;
            sending_.clear();
            waiting_.clear();
            ended_ = true;
        } else {
            if (static_cast<std::size_t>(result) < sending_.size()) ++short_sends;
            waiting_.insert(0, sending_.substr(static_cast<std::size_t>(result)));
            sending_.clear();
            flush();
        }
        finish();
    }

    void finish() {
        if (!ended_ || receiving_ || !sending_.empty() || !waiting_.empty() || closed) return;
        closed = true;
        io_.close(fd_);
    }

    io::Io& io_;
    Owned accept_;
    Owned recv_;
    Owned send_;
    int fd_ = -1;
    bool receiving_ = false;
    bool ended_ = false;
    std::string waiting_;
    std::string sending_;
};

BOOST_AUTO_TEST_SUITE(sim_net)

BOOST_AUTO_TEST_CASE(bytes_arrive_whole_and_in_order_however_they_are_split) {
    for (const auto seed : Seeds(20)) {
        World world{{.seed = seed}};
        world.net().buffers(1, 300);
        const int listener = world.process().listen();
        Echo echo{world.process(), 0, listener};
        Client client = world.net().connect(listener);
        std::string sent;
        for (int i = 0; i < 2000; ++i) sent += std::to_string(i) + ",";
        client.send(sent);
        client.shut();
        std::string got;
        for (int i = 0; i < 1'000'000 && !client.closed(); ++i) {
            BOOST_REQUIRE(world.io().turn(true));
            got += client.take();
        }
        BOOST_TEST(client.closed());
        got += client.take();
        BOOST_REQUIRE((got == sent));
        BOOST_TEST(echo.pieces > 30U);
        BOOST_TEST(echo.short_sends > 0U);
        BOOST_TEST(echo.last_error == 0);
    }
}

BOOST_AUTO_TEST_CASE(a_stalled_client_holds_the_server_up) {
    World world{{.seed = 3}};
    world.net().buffers(1000, 1000);
    const int listener = world.process().listen();
    Echo echo{world.process(), 0, listener};
    Client client = world.net().connect(listener);
    client.stall();
    client.send(text_of(10'000, 'x'));
    for (int i = 0; i < 1000; ++i) BOOST_REQUIRE(world.io().turn(true));
    BOOST_TEST(client.take().empty());
    client.stall(false);
    std::string got;
    while (got.size() < 10'000) {
        BOOST_REQUIRE(world.io().turn(true));
        got += client.take();
    }
    BOOST_TEST(got == text_of(10'000, 'x'));
}

BOOST_AUTO_TEST_CASE(a_reset_ends_the_servers_operations) {
    World world{{.seed = 4}};
    const int listener = world.process().listen();
    Echo echo{world.process(), 0, listener};
    Client client = world.net().connect(listener);
    client.send("x");
    while (client.peek().empty()) BOOST_REQUIRE(world.io().turn(true));
    client.reset();
    while (!echo.closed) BOOST_REQUIRE(world.io().turn(true));
    BOOST_TEST(echo.last_error == ECONNRESET);
    BOOST_TEST(world.net().connect(12345).was_reset());
}

BOOST_AUTO_TEST_CASE(sends_to_a_client_that_has_closed_fail_from_the_second_on) {
    World world{{.seed = 6}};
    io::Io& io = world.io();
    const int listener = world.process().listen();
    Waiter accept;
    io.accept(listener, accept);
    Client client = world.net().connect(listener);
    while (accept.results.empty()) BOOST_REQUIRE(io.turn(true));
    client.close();
    Waiter first;
    io.send(accept.results[0], as_bytes("lost"), first);
    wait_for(io, first);
    BOOST_TEST(first.result() == 4);
    Waiter second;
    io.send(accept.results[0], as_bytes("refused"), second);
    wait_for(io, second);
    BOOST_TEST((second.result() == -EPIPE || second.result() == -ECONNRESET));
    BOOST_TEST(client.take().empty());
}

BOOST_AUTO_TEST_CASE(a_cancelled_recv_ends_and_loses_no_byte) {
    World world{{.seed = 5}};
    io::Io& io = world.io();
    const int listener = world.process().listen();
    Waiter accept;
    io.accept(listener, accept);
    Client client = world.net().connect(listener);
    while (accept.results.empty()) BOOST_REQUIRE(io.turn(true));
    const int fd = accept.results[0];
    std::string got;
    struct Reader : io::Completion {
        io::Io* io = nullptr;
        std::string* got = nullptr;
        std::int32_t last = 0;
        bool done = false;
    } reader;
    reader.io = &io;
    reader.got = &got;
    reader.run = [](io::Completion& self, std::int32_t result, bool more) {
        auto& mine = static_cast<Reader&>(self);
        if (result > 0) *mine.got += as_text(mine.io->received());
        mine.last = result;
        mine.done = !more;
    };
    std::string sent;
    for (int i = 0; i < 50; ++i) {
        const std::string part = "part " + std::to_string(i) + ";";
        sent += part;
        client.send(part);
        reader.done = false;
        io.recv(fd, reader);
        BOOST_REQUIRE(io.turn(false));
        io.cancel(reader);
        while (!reader.done) BOOST_REQUIRE(io.turn(true));
        BOOST_TEST((reader.last == -ECANCELED || reader.last == -ENOBUFS));
    }
    while (got.size() < sent.size()) {
        if (reader.done) {
            reader.done = false;
            io.recv(fd, reader);
        }
        BOOST_REQUIRE(io.turn(true));
    }
    BOOST_TEST(got == sent);
    io.cancel(reader);
    while (!reader.done) BOOST_REQUIRE(io.turn(true));
    io.close(fd);
    world.pass(1'000'000);
    BOOST_TEST(client.closed());
}

BOOST_AUTO_TEST_CASE(actors_take_turns_as_the_seed_decides) {
    const auto run = [](std::uint64_t seed) {
        World world{{.seed = seed}};
        const int first = world.process().listen();
        const int second = world.process().listen();
        Echo one{world.process(), 0, first};
        Echo two{world.process(), 1, second};
        Client a = world.net().connect(first);
        Client b = world.net().connect(second);
        a.send(text_of(5000, 'a'));
        b.send(text_of(5000, 'b'));
        world.add_actor([&] { return world.io(0).turn(false).has_value(); });
        world.add_actor([&] { return world.io(1).turn(false).has_value(); });
        BOOST_TEST(
            world.run_until([&] { return a.peek().size() == 5000 && b.peek().size() == 5000; }));
        return world.trace().digest();
    };
    BOOST_TEST(run(1) == run(1));
    BOOST_TEST(run(1) != run(2));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(sim_threads)

BOOST_AUTO_TEST_CASE(real_threads_each_own_an_io_and_share_the_disk) {
    World world{{.seed = 1, .threads = true}};
    constexpr std::size_t kThreads = 3;
    constexpr int kRounds = 300;
    const int fd = world.files().open("a", io::Open::create).value();
    std::vector<int> listeners;
    std::vector<Client> clients;
    std::vector<io::Io*> ios;
    for (std::size_t t = 0; t < kThreads; ++t) {
        ios.push_back(&world.io(t));
        listeners.push_back(world.process().listen());
        clients.push_back(world.net().connect(listeners[t]));
    }
    std::vector<std::unique_ptr<Waiter>> posts;
    for (std::size_t t = 0; t < kThreads; ++t) posts.push_back(std::make_unique<Waiter>());
    std::vector<int> failures(kThreads);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
            io::Io& io = *ios[t];
            Echo echo{world.process(), t, listeners[t]};
            const auto wait = [&](const Waiter& waiter) {
                while (!waiter.done)
                    if (!io.turn(true)) ++failures[t];
            };
            for (int i = 0; i < kRounds; ++i) {
                const std::string bytes = text_of(512, static_cast<char>('a' + i % 26));
                const Bytes piece = as_bytes(bytes);
                Waiter write;
                io.write({.fd = fd, .offset = t * 512, .pieces = {&piece, 1}}, true, write);
                wait(write);
                failures[t] += write.result() != 0;
                Waiter timer;
                io.timer(world.clock().mono().after(50), timer);
                wait(timer);
                std::string back(512, ' ');
                Waiter read;
                io.read(fd, t * 512, std::as_writable_bytes(std::span{back}), read);
                wait(read);
                failures[t] += back != bytes;
            }
            clients[t].send("hello");
            while (clients[t].peek() != "hello")
                if (!io.turn(true)) ++failures[t];
            ios[(t + 1) % kThreads]->post(*posts[(t + 1) % kThreads]);
            wait(*posts[t]);
            clients[t].close();
            while (!echo.closed)
                if (!io.turn(true)) ++failures[t];
        });
    for (std::thread& thread : threads) thread.join();
    for (const int count : failures) BOOST_TEST(count == 0);
    Rng rng{1};
    BOOST_REQUIRE(world.files().sync_dir());
    BOOST_TEST(world.image(Cut::none, rng).content("a").size() == kThreads * 512);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::sim
