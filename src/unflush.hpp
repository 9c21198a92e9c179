#pragma once
// Unflush: what a flush took is pointed at again (src/parked.hpp), and what was written since stays
// where it is not in the way: all of it one batch.
//
//   db 0 -> what the flush took     new keys that it has not, written there once more
//
// Those are copied, so only while they are few: else a restore puts back key by key what the flush
// took, and lets them be. A unit of SlicedWork: run() may be called again when it was stopped.

#include <cstdint>
#include <utility>
#include <vector>

#include "recovery/put_back.hpp"
#include "src/parked.hpp"

namespace firnlog::server {

class Unflush {
  public:
    // Where the moment is Parked may know; else found_at() says it, and run() is called again.
    Unflush(Parked& parked, recovery::Moment moment, const Parked::Wish& wish)
        : parked_(parked), moment_(std::move(moment)), wish_(wish) {}

    [[nodiscard]] engine::Expected<void> run(engine::Session& live);

    [[nodiscard]] bool is_placed() const { return wish_.place.timeline != 0; }
    void found_at(const recovery::Place& place) { wish_.place = place; }
    [[nodiscard]] const recovery::Place& place() const { return wish_.place; }

    // Whether it has come about.
    [[nodiscard]] bool done() const { return done_; }
    [[nodiscard]] std::uint64_t keys() const { return keys_; }
    // All of the wish came true with it.
    [[nodiscard]] bool exact() const { return exact_; }
    // The end of what was written before it.
    [[nodiscard]] engine::Lsn undo() const { return undo_; }

  private:
    struct New {
        std::uint32_t database = 0;
        recovery::OldKey key;
    };
    [[nodiscard]] engine::Expected<void> run_locked(engine::Session& live);
    [[nodiscard]] engine::Expected<bool> collect(engine::Session& live,
                                                 const std::vector<Parked::Flush::Part>& parts);

    Parked& parked_;
    const recovery::Moment moment_;
    Parked::Wish wish_;
    std::vector<New> new_;
    std::size_t new_bytes_ = 0;
    bool done_ = false;
    bool exact_ = false;
    std::uint64_t keys_ = 0;
    engine::Lsn undo_;
};

}  // namespace firnlog::server
