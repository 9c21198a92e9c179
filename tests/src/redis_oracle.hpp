#pragma once
// RedisOracle: a real redis-server of our own, asked what Redis does.
//
// It listens on a socket file in a folder of its own, keeps nothing, and dies with this process at
// the latest. Where redis-server is not installed `available()` is false and tests that ask it are
// skipped. A Peer is one connection that speaks bytes: what is compared is what came over the wire.

#include <sys/types.h>

#include <boost/test/unit_test.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace firnlog::server::test {

class Peer {
  public:
    explicit Peer(const std::string& socket_path);
    ~Peer();
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    void send(std::string_view bytes);
    // Everything until the other side closes, which it does once we have nothing more to say.
    [[nodiscard]] std::string receive_all();
    // One whole reply, as it came.
    [[nodiscard]] std::string reply();
    [[nodiscard]] std::string ask(const std::vector<std::string>& arguments);

  private:
    [[nodiscard]] bool fill(int timeout_ms);
    [[nodiscard]] std::string line();

    int socket_;
    std::string read_;
};

class RedisOracle {
  public:
    explicit RedisOracle(std::vector<std::string> options = {});
    ~RedisOracle();
    RedisOracle(const RedisOracle&) = delete;
    RedisOracle& operator=(const RedisOracle&) = delete;

    [[nodiscard]] static bool available();
    [[nodiscard]] Peer connect() const { return Peer(folder_ + "/redis.sock"); }

  private:
    std::string folder_;
    pid_t pid_ = -1;
};

// For *boost::unit_test::precondition(redis_is_here).
[[nodiscard]] boost::test_tools::assertion_result redis_is_here(boost::unit_test::test_unit_id);

// The RESP array of bulks that a client sends.
[[nodiscard]] std::string encoded(const std::vector<std::string>& arguments);
// The payload of a bulk, an integer, a status or an error reply; "(nil)" for a null.
[[nodiscard]] std::string payload(std::string_view reply);

}  // namespace firnlog::server::test
