#pragma once
// Lanes: threads that apply records to the index during replay, each those of its stripes.
//
//   replay's thread    decodes, names ──> lane of stripes     0 …  8191 ──> index
//                                    └──> lane of stripes  8192 … 16383 ──> index
//
// Most of what applying a record takes is waiting for memory, and records of two stripes have
// nothing to do with each other: so each lane keeps the order of the log for its own stripes, and
// no lock is needed. What may touch more than one stripe is not for a lane (add_alone): it is
// applied by the replay's thread once the lanes have done what came before it.
//
// Without threads (`count` 0, or none can be started) every record is applied so.
//
// add(), add_alone(), settle(): by one thread, that of the replay. A lane that finds no memory
// takes nothing from then on, and settle() throws std::bad_alloc.

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "engine/index/keyspace.hpp"

namespace firnlog::recovery {

class Lanes {
  public:
    // A record that the caller knows all of: its bytes stay until settle().
    struct Item {
        engine::Record record;
        engine::Keyspace::Place place;
        engine::Keyspace::Known known;
    };

    Lanes(engine::Keyspace& keyspace, unsigned count);
    ~Lanes();
    Lanes(const Lanes&) = delete;
    Lanes& operator=(const Lanes&) = delete;

    void add(const Item& item);
    // Of one that may touch other stripes than the one it names.
    void add_alone(const Item& item);
    // All that was added is applied.
    void settle();

  private:
    using Block = std::vector<Item>;
    struct Lane {
        Block filling;  // replay's thread only

        std::mutex mutex;
        std::condition_variable changed;
        std::vector<Block> full;   // in order
        std::vector<Block> empty;  // to be used again
        bool busy = false;
        bool leave = false;
        bool out_of_memory = false;

        std::thread thread;
    };

    [[nodiscard]] Lane& lane_of(engine::Stripe stripe) {
        return *lanes_[stripe * lanes_.size() / engine::kStripes];
    }
    void hand_over(Lane& lane);
    void run(Lane& lane);
    void settle_lanes();
    void apply_own();
    void apply(std::span<const Item> items);

    engine::Keyspace& keyspace_;
    std::vector<std::unique_ptr<Lane>> lanes_;
    Block own_;           // for the replay's thread
    bool given_ = false;  // lanes have had something since they were settled
};

}  // namespace firnlog::recovery
