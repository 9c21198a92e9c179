#pragma once
// Operation: what one request says, as a template, encoded once and filled in at every sending.
//
//   SET {key} {value}   ->   *3 $3 SET $16 key:|key|  $100 |value|        | | is filled in
//
//   {key}        the key of this request, by the distribution: key:000000001234
//   {another}    one more key, drawn anew at each place
//   {new}        a key that nobody had yet, past the last one; as {key} the same wherever it stands
//   {value}      as many bytes as --value says, drawn anew at each place
//   {random:N}   a number below N; {random:A-B} one from A to B
//
// Words are taken apart as redis-cli does, quotes and escapes included. A word `;` stands between
// two commands that leave together: MULTI ; INCR {key} ; EXEC is one request with three replies,
// answered when the last of them is. Everything of fixed length is encoded beforehand, so that an
// ordinary SET is three copies and twelve digits.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "src/bench/distribution.hpp"
#include "src/bench/random.hpp"
#include "src/resp/buffer.hpp"

namespace firnlog::bench {

// Bytes of a value: always the same, or anything from one to the other.
struct ValueBytes {
    std::size_t least = 100;
    std::size_t most = 100;
};
// "100" or "64-4096"; nullopt when it is neither.
[[nodiscard]] std::optional<ValueBytes> parse_value_bytes(std::string_view text);

struct Keys {
    std::string prefix = "key:";
    std::uint64_t count = 1'000'000;
    Distribution distribution;
    ValueBytes value;
};

// How many keys there are by now: {new} makes more of them, for all threads.
using Population = std::atomic<std::uint64_t>;

// Draws what the templates ask for; one for each thread.
class Source {
  public:
    Source(const Keys& keys, std::uint64_t seed, std::uint64_t turn, std::uint64_t turns,
           Population& population);

    [[nodiscard]] std::uint64_t key() {
        return picker_.next(random_, population_->load(std::memory_order_relaxed));
    }
    [[nodiscard]] std::uint64_t fresh_key() {
        return population_->fetch_add(1, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t below(std::uint64_t end) { return random_.below(end); }
    [[nodiscard]] std::size_t value_bytes() {
        return value_.least == value_.most
                   ? value_.least
                   : value_.least + random_.below(value_.most - value_.least + 1);
    }
    // Bytes that look like nothing: from a random place of a pool, so that no two values are alike.
    [[nodiscard]] const char* value(std::size_t bytes) {
        return pool_.data() + random_.below(pool_.size() - bytes + 1);
    }

  private:
    Random random_;
    KeyPicker picker_;
    ValueBytes value_;
    Population* population_;
    std::string pool_;
};

class Operation {
  public:
    // The error says what is wrong with the template.
    [[nodiscard]] static tl::expected<Operation, std::string> parse(std::string_view text,
                                                                    const Keys& keys);
    // Sent as it stands, with one reply: what RESP calls an inline command.
    [[nodiscard]] static Operation raw(std::string name, std::string_view line);

    [[nodiscard]] const std::string& name() const { return name_; }
    void rename(std::string name) { name_ = std::move(name); }
    [[nodiscard]] unsigned replies() const { return replies_; }

    void encode(Source& source, server::resp::Buffer& out) const;

  private:
    enum class Kind : std::uint8_t { literal, key, another, fresh, value, random, header };
    struct Part {
        Kind kind;
        std::uint64_t number;     // random: how many there are; header: parts of its word
        std::string text;         // literal
        std::uint64_t least = 0;  // random: the smallest
    };

    struct Drawn;

    [[nodiscard]] static std::size_t choose(std::span<const Part> parts, Drawn& drawn);
    [[nodiscard]] std::optional<std::string> add_word(std::string_view word, const Keys& keys);
    void add_literal(std::string_view text);

    std::string name_;
    unsigned replies_ = 1;
    std::vector<Part> parts_;
};

}  // namespace firnlog::bench
