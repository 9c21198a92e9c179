#pragma once
// Unflush: what a flush took is pointed at again (src/parked.hpp), and what was written since stays
// where it is not in the way: all of it one batch.
//
//   db 0 -> what the flush took     new keys that it has not, written there once more
//
// Those are copied, so only while they are few: else a restore puts back key by key what the flush
// took, and lets them be. Where they are to go they lie parked in their turn: how many they were is
// counted afterwards, however many, beside the clients.
//
// run() and count() are units of SlicedWork: each may be called again when it was stopped.

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

    // Counts some of the keys that have gone, when it is done; true: there are more.
    [[nodiscard]] engine::Expected<bool> count(engine::Session& live);

    [[nodiscard]] bool is_placed() const { return wish_.place.timeline != 0; }
    void found_at(const recovery::Place& place) { wish_.place = place; }
    [[nodiscard]] const recovery::Place& place() const { return wish_.place; }

    // Whether it has come about.
    [[nodiscard]] bool done() const { return done_; }
    [[nodiscard]] std::uint64_t keys() const { return keys_; }
    // That have gone, as far as they are counted.
    [[nodiscard]] std::uint64_t deleted() const { return deleted_; }
    // All of the wish came true with it.
    [[nodiscard]] bool exact() const { return exact_; }
    // The end of what was written before it.
    [[nodiscard]] engine::Lsn undo() const { return undo_; }

  private:
    struct New {
        std::uint32_t database = 0;
        recovery::OldKey key;
    };
    struct Exchanged {
        Parked::Flush::Part part;
        engine::Kid kid = 0;  // of what lies in the slot, as long as it does
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
    std::vector<Exchanged> exchanged_;  // not counted yet; the last first
    std::uint64_t cursor_ = 0;
    std::uint64_t deleted_ = 0;
    engine::Lsn undo_;
};

}  // namespace firnlog::server
