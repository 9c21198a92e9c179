#pragma once
// Fixture: what the simulator's own tests share: a world with its trace on failure, operations
// waited for, and a look at what a cut would leave.

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/replay.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::sim {

inline std::string text_of(std::size_t bytes, char letter) { return std::string(bytes, letter); }

// A completion that remembers.
struct Waiter : io::Completion {
    Waiter() {
        run = [](io::Completion& self, std::int32_t result, bool more) {
            auto& waiter = static_cast<Waiter&>(self);
            waiter.results.push_back(result);
            waiter.done = !more;
        };
    }
    [[nodiscard]] std::int32_t result() const { return results.at(0); }
    std::vector<std::int32_t> results;
    bool done = false;
};

inline void wait_for(io::Io& io, const Waiter& waiter) {
    while (!waiter.done) BOOST_REQUIRE(io.turn(true).has_value());
}

inline std::int32_t write_now(io::Io& io, int fd, std::uint64_t offset, std::string_view bytes,
                              bool sync = false) {
    const Bytes piece = as_bytes(bytes);
    Waiter waiter;
    io.write({.fd = fd, .offset = offset, .pieces = {&piece, 1}}, sync, waiter);
    wait_for(io, waiter);
    return waiter.result();
}

inline std::int32_t sync_now(io::Io& io, int fd) {
    Waiter waiter;
    io.fsync(fd, waiter);
    wait_for(io, waiter);
    return waiter.result();
}

inline int make_durable_file(World& world, std::string_view name, std::string_view content) {
    const int fd = world.files().open(name, io::Open::create).value();
    BOOST_REQUIRE(world.files().write(fd, 0, as_bytes(content)));
    BOOST_REQUIRE(world.files().sync(fd));
    BOOST_REQUIRE(world.files().sync_dir());
    return fd;
}

inline std::string after(const World& world, Cut cut, std::string_view name,
                         std::uint64_t seed = 1) {
    Rng rng{seed};
    const Disk disk = world.image(cut, rng);
    return disk.has(name) ? disk.content(name) : "<missing>";
}

struct Fixture {
    std::uint64_t seed = seed_or(1);
    World world{{.seed = seed}};
    io::Files& files = world.files();
    io::Io& io = world.io();
};

}  // namespace firnlog::sim
