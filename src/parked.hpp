#pragma once
// Parked: what a FLUSHALL or FLUSHDB took lately, kept whole, so that to take it back is to point
// at it again, however much it is.
//
//   FLUSHALL    db 0 -> a fresh kid      slot -> the kid that db 0 had      one catalog record
//   taken back  db 0 -> that kid         slot -> what db 0 had meanwhile
//   let go      slot -> its own kid, in which nothing ever is
//
// A slot is a database number that no client can have (engine::kParkedFirst), so that images,
// relocation and replay treat what is in it as any database. Of which moment it is this process
// alone knows: after a start it is let go, and a restore reads the log as for any other moment. So
// it is after `flush-undo`, when another flush needs the slots, and when memory or the disk get
// short.
//
// All of it but what any thread may ask under the locks of all stripes, which guard it. What is
// planned counts from done() on, when the record is in the log; nothing may come between.

#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "engine/session.hpp"
#include "recovery/moment.hpp"
#include "recovery/ttl.hpp"

namespace firnlog::server {

class Server;

class Parked {
  public:
    // What was parked before the start is let go soon.
    explicit Parked(engine::Engine& engine);
    Parked(const Parked&) = delete;
    Parked& operator=(const Parked&) = delete;

    using Pointing = engine::Keyspace::Pointing;
    // Databases that were emptied by one command.
    struct Flush {
        struct Part {
            std::uint32_t database = 0;
            std::uint32_t slot = 0;
        };
        std::vector<Part> parts;
        bool all = false;           // every database that had keys
        bool exact = true;          // nothing changed between `lsn` and the flush
        recovery::Place place;      // the end of what was written before it
        engine::Lsn end;            // of its own batch; no more than `place` if that has others
        std::int64_t until_us = 0;  // monotonic
    };
    // What is to be written, and what the list is then.
    struct Plan {
        std::vector<Pointing> pointings;
        std::vector<Flush> flushes;
    };
    struct How {
        bool all = false;           // no other database has keys
        std::int64_t until_us = 0;  // monotonic: as long it is kept; 0: not at all
    };
    // Empties these databases, which have keys.
    [[nodiscard]] Plan empty(const engine::Session& session,
                             std::span<const std::uint32_t> databases, const How& how) const;

    // Where that is, if it is a moment before a flush that is parked: then nobody need look into
    // the log for it.
    [[nodiscard]] std::optional<recovery::Place> place_of(const recovery::Moment& moment) const;

    struct Wish {
        recovery::Place place;
        std::uint32_t database = 0;
        bool all = false;         // databases
        bool delete_new = false;  // what was written since may go
        recovery::Ttl ttl = recovery::Ttl::shift;
    };
    struct Back {
        Plan plan;
        // Where there are keys now that stay, if the flush did not take the same.
        std::vector<Flush::Part> merged;
        // Where there are keys that go into the slot for those that come back.
        std::vector<Flush::Part> exchanged;
        std::uint64_t keys = 0;  // that come back
        bool exact = false;      // all of the wish comes true with it
    };
    // Nothing: nothing parked is of use.
    [[nodiscard]] std::optional<Back> back(const engine::Session& session, const Wish& wish) const;

    // Writes it; if that cannot be done nothing has changed.
    [[nodiscard]] engine::Expected<void> carry_out(engine::Session& session, Plan&& plan);

    // Now and then, by one reactor, whose session it is: lets go of what is to go.
    void tend(Server& server, engine::Session& session);

    // Where what was taken from that database lies; its keys can be changed there.
    [[nodiscard]] std::vector<std::uint32_t> slots_of(std::uint32_t database) const;

    // Told to an operator; any thread.
    [[nodiscard]] std::uint64_t keys() const;

  private:
    static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

    // Of what has no more time than until then, and of what nobody knows.
    [[nodiscard]] Plan let_go(std::int64_t now_us) const;
    [[nodiscard]] recovery::Place place_before(const engine::Session& session) const;
    [[nodiscard]] bool is_used(std::uint32_t slot) const;
    [[nodiscard]] std::uint64_t keys_of(std::uint32_t database) const;

    engine::Engine& engine_;
    std::vector<Flush> flushes_;                 // the oldest first
    std::atomic<std::int64_t> next_us_{kNever};  // when the first of them is let go
};

}  // namespace firnlog::server
