#pragma once
// Session: one command's hold on the database, or one EXEC's.
//
//   begin(keys) ── stripes locked, ascending ──> look, read ──> reserve ──> emit … ──> end() = gate
//                                                      │ cold, wait
//                                                      └──> end(); the caller tries again later
//
// Everything is looked at and read before the first effect; reserve() is the last thing that can
// refuse, and from there nothing fails. The batch opens with reserve() and holds the tail's lock
// until the last of the reserved records is appended, at the latest until end(): what a session
// changes is one atomic batch. The lock is mostly gone before the record is applied to the index;
// what is applied to a stripe is in the order of the log all the same, for its lock is held all
// along. Effects are seen by the session at once. A key found expired is deleted first, as a batch
// of its own: whoever reports a key expired has logged it.
//
// end() tells the gate: the lsn that must be written or durable before a reply that rests on what
// this session saw may leave. Views handed out live until reset(). Owned by one reactor, used again
// and again.
//
// A group is several commands, one behind the other, that share one hold of the tail:
//
//   look_ahead(keys, together) ── stripes locked ──> begin … end, begin … end ──> end_group()
//
// The only record of a command (reserve_only) is put aside (engine/stage.hpp), and all that was is
// appended together, each as a batch of its own: when the group ends, or somebody looks at what it
// changes. So that this cannot fail, room for what the commands were sent is promised by the tail
// before the first one is put aside.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "engine/format/record.hpp"
#include "engine/index/keyspace.hpp"
#include "engine/log/reader.hpp"
#include "engine/stage.hpp"

namespace firnlog::engine {

class Engine;

// What a record takes beside key and value, at the most.
inline constexpr std::size_t kRecordOverheadMax = 48;

// Why a command cannot go on.
enum class Stop : std::uint8_t {
    wrong_type,  // the key holds another kind of value
    corrupt,     // its bytes are damaged: they are never served
    cold,        // its bytes must come from disk first: see cold()
    wait,        // the log is waiting for room: try again
    no_space,    // the disk is full
    io_error,    // the log takes no more writes since a failed write or sync
    too_big,     // more than one batch may hold
    loading,     // its part of the index is damaged, and is made anew
    lost,        // and that has failed so far
    no_memory,   // its part of the index waits, and there is no memory to bring it in
};

template <class T>
using Expected = tl::expected<T, Stop>;

// Why a stripe is not to be had.
[[nodiscard]] inline Stop why_lost(const Keyspace& keyspace) {
    return keyspace.beyond_repair() ? Stop::lost : Stop::loading;
}

// A live key as it was found.
struct Item {
    Type type = Type::string;
    Address address;  // strings: of the record
    std::size_t size_hint = 0;
    Object* object = nullptr;  // all other types
    std::int64_t expires_ms = -1;

    [[nodiscard]] bool expires() const { return expires_ms >= 0; }
};

// What the server is to tell others when the session is over.
struct KeyEvent {
    enum class What : std::uint8_t { expired } what = What::expired;
    std::uint32_t database = 0;
    std::string key;
};

class Session {
  public:
    explicit Session(Engine& engine) : engine_(engine) {}
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    // ---- Begin and end.

    // Locks the stripes of these keys (views must live until end()). Within a group they are
    // locked: covers(keys), and the database is the group's.
    void begin(std::span<const std::string_view> keys, std::uint32_t database);
    // Every stripe; those of these keys are brought in.
    void begin_all(std::uint32_t database, std::span<const std::string_view> keys = {});
    // A key's part of the index is not there: nothing can be done but to end() it.
    [[nodiscard]] std::optional<Stop> lack() const { return lack_; }
    // Unlocks; returns the gate. The session may begin again. Within a group the gate is open while
    // anything is staged: only end_group() knows it.
    Lsn end();
    // Gives back the memory of views, forgets warm bytes. After end().
    void reset();

    [[nodiscard]] bool begun() const { return begun_; }
    // Every stripe is locked: whoever goes through the stripes locks none of them.
    [[nodiscard]] bool holds_all() const { return all_; }
    [[nodiscard]] std::uint32_t database() const { return database_; }
    void select(std::uint32_t database);  // within an EXEC
    [[nodiscard]] std::int64_t now_ms() const { return now_ms_; }
    [[nodiscard]] Engine& engine() { return engine_; }

    // Keys of commands to come: what looking them up will touch is fetched together, and their tags
    // are known to the next begin(). `reads`: the record too. `bytes`: of what was sent, at the
    // least of its key and value. The views live until forget_ahead(), which must come before their
    // memory can hold anything else.
    struct Ahead {
        std::string_view key;
        std::size_t bytes = 0;
        bool reads = false;
    };
    // `together`: a group of them is begun, if that can be: see grouped().
    void look_ahead(std::span<const Ahead> keys, std::uint32_t database, bool together = false);
    void forget_ahead() {
        ahead_.clear();
        next_ahead_ = 0;
    }

    // ---- Groups. Within one nothing else may lock a stripe.

    [[nodiscard]] bool grouped() const { return grouped_; }
    [[nodiscard]] bool covers(std::span<const std::string_view> keys) const;
    // Records are put aside that no reply may go before.
    [[nodiscard]] bool staged() const { return !stage_.empty(); }
    // Appends and applies what is staged, unlocks; returns the gate of all of its commands.
    Lsn end_group();

    // What is emitted from here to end() is one batch, however often room is reserved for it.
    void one_batch() { one_batch_ = true; }
    // Within EXEC or a script what is cold is read here and now, and counted.
    void may_wait(bool may) { may_wait_ = may; }
    // What stopped the session with Stop::cold, and where its bytes are to be handed in.
    struct Cold {
        Address address;
        std::size_t bytes = 0;
    };
    [[nodiscard]] const std::vector<Cold>& cold() const { return cold_; }
    std::vector<Warm> warm;

    // ---- Looking. The key's stripe must be locked.

    // Nothing if the key is not there.
    Expected<std::optional<Item>> look(std::string_view key) { return look(key, database_); }
    Expected<std::optional<Item>> look(std::string_view key, std::uint32_t database);
    // As look, but another type than `type` (a big string is a string) stops with wrong_type.
    Expected<std::optional<Item>> look(std::string_view key, Type type);
    // What is there, due or not: without effect, and no reply may rest on it.
    [[nodiscard]] std::optional<Item> peek(std::string_view key, std::uint32_t database);
    // The record at an address, whole.
    Expected<Record> read(Address address, std::size_t size_hint);
    // As read(), but its bytes live until the next pass() or read_key() only: whoever goes through
    // a long value, or through all keys, has no more of them in memory than the one.
    Expected<Record> pass(Address address, std::size_t size_hint);
    Expected<std::string> read_key(Address address, std::size_t size_hint);
    // Memory that lives until reset(), for a value put together from pieces.
    [[nodiscard]] std::span<char> buffer(std::size_t bytes) {
        return {reinterpret_cast<char*>(scratch_.take(bytes)), bytes};
    }
    // The reply rests on something that changed at `lsn`.
    void saw(Lsn lsn) {
        if (lsn.value >= seen_.value) seen_ = lsn + 1;
    }
    void saw_everything();  // SCAN, DBSIZE, …: the tail

    // ---- Effects.

    // Room for `bytes` of keys and values in up to `records` records, in addition to what was
    // reserved before. `shrinks`: what is emitted frees more than it takes, and may use the
    // reserve.
    Expected<void> reserve(std::size_t bytes, std::size_t records = 1, bool shrinks = false);
    // Room for the one record that is all the command changes.
    Expected<void> reserve_only(std::size_t bytes, bool shrinks = false);
    // Room for so many bytes of records to come, of which each reserves its own part later.
    // Afterwards none of them stops with `wait`.
    Expected<void> prepare(std::size_t bytes, bool shrinks = false);

    void put(std::string_view key, std::string_view value, std::int64_t expires_ms = -1);
    void remove(std::string_view key, bool by_expiry = false);
    void set_expiry(std::string_view key, std::int64_t expires_ms);  // < 0: never
    // A new object's name; its home is the key's stripe.
    [[nodiscard]] Oid make_oid(std::string_view key);
    void bind(std::string_view key, Oid oid, Type type, std::int64_t expires_ms = -1);
    void unbind(std::string_view key);
    void put_element(Oid oid, std::string_view element, std::string_view value);
    void remove_element(Oid oid, std::string_view element);
    // `bytes` come from elsewhere than pass().
    void patch_element(Oid oid, std::string_view element, std::size_t offset,
                       std::string_view bytes);
    // An element of the key's object changed: whoever WATCHes the key is to know.
    void touch_key(std::string_view key);
    // Databases point elsewhere from here on; begin_all() only. Reserves the room itself.
    Expected<void> point(std::span<const Keyspace::Pointing> pointings);
    void mark(std::string_view name);

    [[nodiscard]] bool has_effects() const { return effects_ != 0; }
    // Those that are not deletions of keys that were found expired.
    [[nodiscard]] std::uint64_t changes() const { return effects_ - expired_; }
    [[nodiscard]] bool only_expired() const { return changes() == 0; }
    // Keys that were found expired; the caller clears it.
    std::vector<KeyEvent> events;

    [[nodiscard]] Object* object(Oid oid);
    [[nodiscard]] Tag tag(std::string_view text) const;
    [[nodiscard]] Space& space() { return *space_; }

  private:
    struct Key {
        std::string_view name;
        Tag tag;
        Stripe stripe = 0;
    };
    [[nodiscard]] const Key& key_of(std::string_view name);
    [[nodiscard]] Key identify(std::string_view name);
    void start(bool all);
    void lock_stripes();
    void unlock_stripes();
    // What keeps the stripe out, if anything does.
    std::optional<Stop> fetch(Stripe number);
    // Objects may live in another stripe than their key's (after RENAME): lock that one too.
    bool add_strays();
    Expected<Record> read(Address address, std::size_t size_hint, Scratch& scratch);
    Expected<void> expire(const Key& key, std::uint32_t database);
    // Another key may have this one's tag: what it holds is not served by this name.
    Expected<void> compare_key(Object& object, const Key& key);
    // An exception between log and index would leave them different: it ends the process.
    void emit(const Record& record, const Keyspace::Known& known, std::uint32_t database) noexcept;
    [[nodiscard]] Space& space_of(std::uint32_t database);
    Expected<void> add_room(std::size_t bytes, std::size_t records, bool shrinks);
    void prefetch_record(const Entry* entry) const;
    void close_batch();
    void begin_group(std::span<const Ahead> keys);
    // Whether the tail keeps room for what is put aside.
    [[nodiscard]] bool promised();
    [[nodiscard]] bool in_group(Stripe stripe) const;
    void append_staged() noexcept;

    Engine& engine_;
    Scratch scratch_;
    Scratch passing_;  // pass()'s
    bool begun_ = false;
    bool all_ = false;
    bool may_wait_ = false;
    std::optional<Stop> lack_;
    std::uint32_t database_ = 0;
    Space* space_ = nullptr;
    const TagMap* maps_ = nullptr;  // perhaps gone: a place to fetch from, not to read
    std::int64_t now_ms_ = 0;
    std::vector<Key> keys_;
    std::size_t next_key_ = 0;  // where key_of begins to search
    std::vector<Key> ahead_;    // of look_ahead()
    std::size_t next_ahead_ = 0;
    std::vector<Key>
        others_;  // keys looked at that begin() was not told of; all stripes are locked
    std::vector<Stripe> locked_;
    std::vector<Cold> cold_;
    Lsn seen_;
    Lsn written_;  // the end of the last batch with effects
    bool one_batch_ = false;
    bool batch_open_ = false;
    std::size_t records_to_come_ = 0;  // of those reserved in the open batch
    std::uint64_t effects_ = 0;
    std::uint64_t expired_ = 0;  // of the effects
    std::size_t batch_bytes_ = 0;

    bool grouped_ = false;
    bool stages_ = false;  // the next record is put aside
    Stage stage_;
    std::vector<Stripe> group_;       // its stripes, locked, ascending
    std::size_t group_bytes_ = 0;     // the most that its records take; 0: no room
    std::size_t promised_bytes_ = 0;  // by the tail
    Lsn group_gate_;
};

}  // namespace firnlog::engine
