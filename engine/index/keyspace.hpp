#pragma once
// Keyspace: the index. 16384 stripes, each with a small lock; in each, for every keyspace id, a map
// from tag to address; and the objects whose home the stripe is.
//
//   database number ──catalog──> Space (a kid) ──stripe──> TagMap ──> address of a record
//                                                             └────> Object (in its home stripe)
//
// `apply` is the only mutator, used by commands and by replay: the index is a cache of the log, and
// cannot differ from what replaying the log would give.
//
// After a start a stripe may still wait in the checkpoint's file: who locks it fetches it before
// looking at it, and all of its maps are there or none.
//
// Who may touch what: a stripe's maps, objects and watches under its lock; the catalog is read
// under any stripe's lock and changed under all of them; counts are atomics, read by anybody.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/address.hpp"
#include "engine/format/record.hpp"
#include "engine/index/object_map.hpp"
#include "engine/index/stripe.hpp"
#include "engine/index/tag.hpp"
#include "engine/index/tag_map.hpp"
#include "engine/lock.hpp"
#include "engine/types/value.hpp"

namespace firnlog::engine {

inline constexpr std::uint32_t kDatabasesMax = 65536;
// Numbers from here on are no client's: what a flush took from a database waits at one of them to
// be taken back (src/parked.hpp).
inline constexpr std::uint32_t kParkedFirst = kDatabasesMax - 64;
// A database points at the kid of its own number until a catalog record says otherwise.
inline constexpr Kid kFirstFreshKid = kDatabasesMax;
// Keys are few in the common small map: an array up to here.
inline constexpr std::uint16_t kKeysLinearMax = 12;

// All keys of one keyspace id.
struct Space {
    explicit Space(Kid kid_given);
    ~Space();
    Space(const Space&) = delete;
    Space& operator=(const Space&) = delete;

    const Kid kid;
    TagMap* const stripes;  // kStripes of them, zero pages until used
    std::atomic<std::int64_t> keys{0};
    std::atomic<std::int64_t> expires{0};
    // Objects bound to a key of another stripe than their home. Changed under the key's lock, so
    // who holds that sees at least its own.
    std::atomic<std::int64_t> strays{0};
};

// A key that somebody WATCHes; `touched` is set under the stripe's lock when it changes.
struct Watch {
    std::uint32_t database = 0;
    Tag tag;
    Stripe stripe = 0;
    std::atomic<bool>* touched = nullptr;
    Watch* next = nullptr;
    Watch** before = nullptr;
};

// Where the index leads to a record, as the record itself says.
struct Spot {
    Kind kind = Kind::erased;
    Kid kid = 0;
    Stripe stripe = 0;
    Tag tag;
    Oid oid;
    std::uint64_t position = 0;  // within a big string
};

// What of a stripe is in memory.
enum class Presence : std::uint8_t {
    there,
    waiting,  // nothing, nobody has touched it yet
    lost,     // nothing, it could not be brought in: nobody reads it, nobody changes it
};

class Keyspace {
  public:
    explicit Keyspace(const Hasher::Secret& secret) : Keyspace(Hasher(secret)) {}
    explicit Keyspace(const Hasher& its_hasher);
    ~Keyspace();
    Keyspace(const Keyspace&) = delete;
    Keyspace& operator=(const Keyspace&) = delete;

    struct StripeState {
        TinyLock lock;
        Presence presence = Presence::there;
        Lsn last_change;   // of a key appearing or going: what a miss depends on
        Lsn last_persist;  // of a key losing its expiry: what living for ever depends on
        std::unique_ptr<ObjectMap> objects;
        Watch* watches = nullptr;
    };

    const Hasher hasher;

    [[nodiscard]] StripeState& stripe(Stripe number) { return stripes_[number]; }
    void lock_all();
    void unlock_all();

    // ---- Stripes that wait (engine/loader.hpp).

    // `load` brings a stripe in, under its lock; false: it could not. Before anybody else is there.
    void wait_for(std::function<bool(Stripe)> load) { load_ = std::move(load); }
    void await(Stripe number);
    // Under the stripe's lock: whether it is there, now. Throws std::bad_alloc, and it waits on.
    [[nodiscard]] bool fetch(Stripe number) {
        return stripes_[number].presence == Presence::there || fetch_slowly(number);
    }
    // Under the lock of a stripe that is lost: what it held is taken out of an index of the same
    // moment. False, and nothing is taken, if that hangs together with other stripes.
    bool mend(Stripe number, Keyspace& from);
    // How many wait, and how many are lost; any thread.
    [[nodiscard]] std::uint32_t waiting() const { return waiting_.load(std::memory_order_acquire); }
    [[nodiscard]] std::uint32_t lost() const { return lost_.load(std::memory_order_acquire); }
    [[nodiscard]] bool whole() const { return waiting() == 0 && lost() == 0; }
    // Whether what is lost could not be made anew when that was last tried; any thread.
    void beyond_repair(bool is) { beyond_repair_.store(is, std::memory_order_release); }
    [[nodiscard]] bool beyond_repair() const {
        return beyond_repair_.load(std::memory_order_acquire);
    }

    // What a database number points at. Never null; under a stripe's lock.
    [[nodiscard]] Space& space_of(std::uint32_t database);
    [[nodiscard]] Space& space_of_kid(Kid kid);
    // As space_of, but null where there never was anything.
    [[nodiscard]] Space* find_space(std::uint32_t database) const {
        return databases_[database].load(std::memory_order_acquire);
    }
    // No client's database from here on has a space.
    [[nodiscard]] std::uint32_t databases_end() const {
        return databases_end_.load(std::memory_order_acquire);
    }
    // Keys and how many of them expire; whatever the caller has locked.
    struct Counts {
        std::int64_t keys = 0;
        std::int64_t expires = 0;
    };
    [[nodiscard]] Counts counts_of(std::uint32_t database) const;
    [[nodiscard]] Kid fresh_kid() { return next_kid_.fetch_add(1); }

    // The key of a catalog record: pairs of database number and kid, 4 bytes each.
    struct Pointing {
        std::uint32_t database = 0;
        Kid kid = 0;
    };

    // When databases were last pointed elsewhere: what is found, and what is not, depends on it.
    // Under a stripe's lock.
    [[nodiscard]] Lsn last_pointing() const { return last_pointing_; }

    // Where a record lies and how large it is.
    struct Place {
        Address address;
        std::size_t bytes = 0;
        Lsn lsn;
    };
    // What the caller knows of record.key already.
    struct Known {
        Tag tag;
        Stripe stripe = 0;       // of the key, or the home of the object
        Space* space = nullptr;  // of record.kid, where a key is named
    };
    // Whether what the record changes is there; under the locks that it is applied under.
    [[nodiscard]] bool fetch_for(const Record& record, const Known& known);
    // The only mutator. Holds for replay: any valid record in any state.
    // Under the lock of the key's stripe, or of the object's home, or (catalog) of all.
    void apply(const Record& record, const Place& place, const Known& known);
    // For replay, which locks nothing: finds out what is to be known, by one thread; and applies,
    // by that one or by several, each to stripes of its own (recovery/lanes.hpp).
    [[nodiscard]] Known know(const Record& record);
    void replay(const Record& record, const Place& place, const Known& known);

    // ---- For the walk. Any thread; takes the stripe's lock.

    // Nothing for a record that no entry ever leads to.
    [[nodiscard]] std::optional<Spot> spot_of(const Record& record) const;
    // Whoever moves several of them waits for memory once instead of for each. A stripe that
    // somebody else holds is left out.
    void fetch_ahead(std::span<const Spot> spots) const;
    // Whether the entry leads to `from`; from then on it leads to `to`, where the same bytes are.
    bool move(const Spot& spot, Address from, Address to);

    [[nodiscard]] Object* find_object(Oid oid);
    // Null if it is of a type that this build does not have.
    [[nodiscard]] Object* find_or_make(Oid oid, Type type);
    // Objects bound to a key of another stripe than their home (after RENAME); see Space::strays.
    [[nodiscard]] bool has_strays() const { return strays_.load(std::memory_order_relaxed) != 0; }

    // Drops what was being built aside when the process ended. After replay; from then on it is
    // done with each stripe that comes in.
    std::size_t sweep_unbound();
    // ---- For images of the index. Under a stripe's lock where stripes are looked at.

    // Whose spaces there are, those that are on their way out left aside; any thread.
    [[nodiscard]] std::vector<Kid> kids() const;
    // Null once no database points at it any more.
    [[nodiscard]] Space* find_space_of(Kid kid) const;
    [[nodiscard]] std::vector<Pointing> pointings() const;
    [[nodiscard]] Kid next_kid() const { return next_kid_.load(); }
    // Before anything else is put into an empty keyspace.
    void load_catalog(std::span<const Pointing> pointings, Kid next_kid);
    // A key bound to an object, as an image has it; the entry says type and binding.
    void load_binding(Space& space, Stripe number, Entry entry, Oid oid, Lsn lsn,
                      std::uint32_t bytes);
    // Spaces that nothing points at, which replay made for records of dropped ones. After replay.
    void retire_unused();

    // Spaces that no database points at any more lose their memory here, a stripe at a time; false
    // if there was nothing to do. Worker thread.
    bool release_some();

    void watch(Watch& watch);
    void unwatch(Watch& watch);         // takes the lock of its stripe
    void unwatch_locked(Watch& watch);  // its stripe is locked
    void touch(std::uint32_t database, Tag tag, Stripe stripe_number);
    // The database will point at another space: touches the watched keys that are in either. All
    // stripes are locked.
    void touch_all(std::uint32_t database, const Space& now, const Space& then);

    [[nodiscard]] std::size_t memory_bytes() const;  // walks everything; takes the locks one by one

  private:
    template <class Visit>
    void for_each_database(Visit&& visit) const;
    void end_behind(std::uint32_t database);
    bool fetch_slowly(Stripe number);
    void drop_stripe(Stripe number);
    std::size_t sweep_unbound(Stripe number);
    void put_string(Space& space, const Record& record, const Place& place, Tag tag, Stripe number);
    void bind(Space& space, const Record& record, const Place& place, Tag tag, Stripe number);
    void remove(Space& space, Tag tag, Stripe number, Lsn lsn, bool keep_object);
    void set_expiry(Space& space, const Record& record, const Place& place, Tag tag, Stripe number);
    void point_database(const Record& record, Lsn lsn);
    // An entry leads there no more; an object that no other leads to goes, unless it is kept.
    void let_go(Object& object, Space& space, Stripe bound_in, bool keep = false);
    void lead_to(Object& object, Space& space, Stripe bound_in);
    void count_stray(Space& space, int by);
    void retire_if_unused(Space& space);
    [[nodiscard]] Space& cached_space(Kid kid);

    StripeState* stripes_;
    std::atomic<Space*>* databases_;
    std::atomic<std::uint32_t> databases_end_{0};
    std::atomic<Kid> next_kid_{kFirstFreshKid};
    std::atomic<std::int64_t> strays_{0};
    std::atomic<std::uint32_t> waiting_{0};
    std::atomic<std::uint32_t> lost_{0};
    std::atomic<bool> beyond_repair_{false};
    std::function<bool(Stripe)> load_;
    bool replayed_ = false;  // set before others are there
    Lsn last_pointing_;

    mutable std::mutex spaces_mutex_;
    std::unordered_map<Kid, std::unique_ptr<Space>> spaces_;
    std::vector<std::unique_ptr<Space>> retired_;
    std::uint32_t retired_stripe_ = 0;

    Space* last_space_ = nullptr;  // replay's thread only
};

}  // namespace firnlog::engine
