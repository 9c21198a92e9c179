#pragma once
// Workload: one client that writes as fast as it is answered, and writes down what it was told.
//
// Strings, counters, MSET, MULTI, keys that expire, hashes, and a counter shared by all clients; of
// every ten commands one reads back and compares. Batches of commands are sent at once and their
// replies read; within a batch nothing builds on what the same batch wrote, so that an error reply
// leaves the rest of the ledger right. What the server does not know is left out (Features).

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "src/crashtest/connection.hpp"
#include "src/crashtest/ledger.hpp"
#include "src/crashtest/random.hpp"

namespace firnlog::crashtest {

struct Features {
    bool counters = true;
    bool mset = true;
    bool multi = true;
    bool expiry = true;
    bool ttl = true;  // PTTL
    bool hashes = true;
    bool scan = true;
};

// What is left out of the workload.
struct LeftOut {
    std::vector<std::string> unknown;  // names of commands that the server does not know
    std::vector<std::string> refused;  // "NAME: the error it is answered with"
};

// Where the error says that the command is unknown it is one thing, any other error is another.
void leave_out(const std::string& name, const Reply& error, LeftOut& out);

// Tries each command once on a server that just started.
[[nodiscard]] LeftOut probe(Connection& connection, Features& features);

inline constexpr std::string_view kSharedKey = "ct:shared";
inline constexpr std::string_view kKeysBegin = "ct:";

class Client {
  public:
    Client(std::uint32_t number, const Features& features, Random random, std::size_t depth_max);

    // Until all that was sent is answered once `stop` is set, or until the connection is gone, as
    // it is when the server is killed. Runs on a thread of its own.
    void run(std::uint16_t port, const std::atomic<bool>& stop);

    // All keys of this client, as the server has them; the shared counter is not among them.
    // False: the connection went away or a reply did not come.
    [[nodiscard]] bool look(Connection& connection, std::vector<Seen>& seen) const;

    [[nodiscard]] Ledger& ledger() noexcept { return ledger_; }
    [[nodiscard]] const Ledger& ledger() const noexcept { return ledger_; }
    [[nodiscard]] std::uint64_t acks() const noexcept { return acks_.load(); }
    [[nodiscard]] std::uint64_t errors() const noexcept { return errors_.load(); }
    // Of the last acknowledged write that was no deletion: those may go on while the disk is full,
    // and one that finds nothing to delete needs no disk at all.
    [[nodiscard]] std::int64_t last_growth_us() const noexcept { return last_growth_us_.load(); }
    // Only while no thread runs, and of its last run: the errors that writes were answered with,
    // each text once and a few at most; and whether one was acknowledged behind an error.
    [[nodiscard]] const std::vector<std::string>& refusals() const noexcept { return refusals_; }
    [[nodiscard]] bool resumed() const noexcept { return resumed_; }
    // What the running server answered wrongly; emptied by the call.
    [[nodiscard]] std::vector<Violation> take_wrong_replies();

  private:
    // What a reply is to be held against, and which write it answers.
    struct Wanted {
        std::uint64_t sequence = 0;  // 0: answers no write, or not yet
        Kind kind = Kind::set;
        bool is_read = false;
        std::size_t key = 0;
        std::optional<std::string> content;
    };

    [[nodiscard]] std::size_t pick(std::size_t first, std::size_t count);
    void add_write();
    void add_read();
    void add_set(std::size_t key);
    void add_counter();
    void add_mset();
    void add_multi();
    void add_expiring();
    void add_hash();
    void add_shared();
    void hear(const Wanted& wanted, const Reply& reply);
    void hear_refusal(const std::string& text);
    [[nodiscard]] std::string value_for(std::size_t key, std::uint64_t sequence);

    const Features features_;
    const std::size_t depth_max_;
    Random random_;
    Ledger ledger_;
    Connection connection_;
    std::vector<Wanted> batch_;
    std::vector<bool> touched_;  // by this batch
    std::vector<Violation> wrong_replies_;
    std::vector<std::string> refusals_;
    bool resumed_ = false;
    std::atomic<std::uint64_t> acks_{0};
    std::atomic<std::uint64_t> errors_{0};
    std::atomic<std::int64_t> last_growth_us_{0};
};

}  // namespace firnlog::crashtest
