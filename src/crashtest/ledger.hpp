#pragma once
// Ledger: what one client wrote, what was acknowledged, and the judgement on what came back.
//
// A client has keys of its own and one connection, so the server owes it this: the state of its
// keys is the state after some prefix of its writes. Each key, as it was seen after the crash, says
// for which prefixes n it is right:
//
//   key a  writes 3 and 7, seen as after 3     [3 .. 6]
//   key b  write 5, seen as after 5               [5 ... ]
//   key c  deleted by 6, seen as absent             [6 ... ]      together: n = 6
//
// An empty intersection is a violation, and the keys that do not fit the best n name it: a hole, a
// torn batch, a resurrection, a wrong or a foreign value, an expiry. A prefix shorter than what was
// acknowledged is a loss; whether the mode allows it the caller decides.
//
// An error reply leaves both outcomes open (`maybe`). Pure: time comes in as microseconds on the
// wall's clock. Owned by one thread at a time.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace firnlog::crashtest {

enum class Kind : std::uint8_t { set, del, incr, mset, multi, expire, hset, hdel, shared };

[[nodiscard]] std::string_view name_of(Kind kind) noexcept;

// How a key looked after the restart, and when it was looked at.
struct Seen {
    enum class As : std::uint8_t { absent, value, error };
    As as = As::absent;
    std::string content;
    std::int64_t ttl_ms = -1;  // -1: it has none; -2: not asked
    std::int64_t before_us = 0;
    std::int64_t after_us = 0;
};

struct Moment {
    std::int64_t at_us;
    std::string what;
    std::string write = {};  // "write 7": where one was sent whose bytes can be looked for
    std::string mark = {};   // and how those begin
};

struct Violation {
    std::string name;  // lost-ack, hole, torn-batch, resurrection, wrong-value, ...
    std::string text;
    std::vector<Moment> timeline;
};

struct Judgement {
    std::vector<Violation> violations;
    std::uint64_t prefix_low = 0;  // the shortest and the longest prefix that explain what was seen
    std::uint64_t prefix_high = 0;
    std::uint64_t acked = 0;
    std::uint64_t acked_lost = 0;
    std::int64_t lost_acked_us = 0;     // when the first lost one was acknowledged; 0: none lost
    std::int64_t present_sent_us = 0;   // when the last one surely present was sent
    std::vector<Moment> lost_timeline;  // around the first lost one
};

class Ledger {
  public:
    Ledger(std::string name, std::vector<std::string> keys);

    // Writing, in the order in which the writes are sent.
    std::uint64_t begin(Kind kind, std::int64_t now_us);
    void effect(std::size_t key, std::optional<std::string> content, std::int64_t ttl_ms = 0);
    void acked(std::uint64_t sequence, std::int64_t now_us, std::int64_t integer = 0);
    // `in_part`: some commands of a transaction were done, others answered with an error.
    void refused(std::uint64_t sequence, std::int64_t now_us, bool in_part = false);
    // The server is dead: what had no answer has none, and was done before now if at all.
    void ended(std::int64_t now_us);

    [[nodiscard]] const std::vector<std::string>& keys() const noexcept { return keys_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] bool all_answered() const;
    // What the key holds once all that was sent is done.
    [[nodiscard]] const std::optional<std::string>& content(std::size_t key) const;
    // An error reply has left open what it holds.
    [[nodiscard]] bool uncertain(std::size_t key) const { return versions_[key].back().maybe; }
    [[nodiscard]] bool expires(std::size_t key) const {
        return versions_[key].back().expires_low_us != 0;
    }

    // `seen` has one entry a key. `shared`: the value of the counter that all clients increment.
    [[nodiscard]] Judgement judge(std::span<const Seen> seen,
                                  std::optional<std::int64_t> shared) const;
    // For damaged stores: is this some value that the key ever had since the last `rebase`?
    [[nodiscard]] bool ever(std::size_t key, const Seen& seen) const;
    [[nodiscard]] bool newest(std::size_t key, const Seen& seen) const;
    // What was seen is where the next cycle begins.
    void rebase(std::span<const Seen> seen);

    // Of the shared counter, since the last rebase: the largest value acknowledged, and how many
    // increments may have happened unanswered.
    [[nodiscard]] std::int64_t shared_acked_max() const;
    [[nodiscard]] std::int64_t shared_unanswered() const;

  private:
    struct Version {
        std::uint64_t sequence = 0;
        std::optional<std::string> content;
        std::int64_t expires_low_us = 0;  // 0: never
        std::int64_t expires_high_us = 0;
        std::int64_t ttl_us = 0;
        bool maybe = false;
    };
    struct Op {
        std::uint64_t sequence;
        Kind kind;
        bool refused = false;
        bool in_part = false;
        std::int64_t sent_us = 0;
        std::int64_t acked_us = 0;  // 0: no answer
        std::int64_t integer = 0;
        std::vector<std::uint32_t> keys;
    };
    struct Span {
        std::uint64_t first;
        std::uint64_t last;
    };

    void answered(std::uint64_t sequence, std::int64_t now_us, bool is_refusal);
    [[nodiscard]] static bool matches(const Version& version, const Seen& seen);
    [[nodiscard]] const Op* find(std::uint64_t sequence) const;
    [[nodiscard]] std::vector<Span> right_for(std::size_t key, const Seen& seen) const;
    [[nodiscard]] std::optional<Span> right_for_shared(std::int64_t value) const;
    // Of the prefix n: the version the key should show.
    [[nodiscard]] const Version& expected(std::size_t key, std::uint64_t n) const;
    [[nodiscard]] Violation classify(std::size_t key, const Seen& seen, std::uint64_t n,
                                     std::span<const Seen> all) const;
    [[nodiscard]] std::optional<Violation> torn_although_refused(const Op& op,
                                                                 std::span<const Seen> all) const;
    [[nodiscard]] std::vector<Moment> history(std::size_t key, const Seen& seen,
                                              std::uint64_t around) const;

    std::string name_;
    std::vector<std::string> keys_;
    std::vector<std::vector<Version>> versions_;  // a key each; never empty, the first is the base
    std::vector<Op> ops_;                         // since the base, without gaps
    std::uint64_t base_ = 0;                      // sequence of the last write before them
    std::uint64_t last_ = 0;
};

}  // namespace firnlog::crashtest
