#pragma once
// Subject: the engine under test in a simulated world, and the oracle beside it.
//
// The model is a map of plain values; after each batch it is written down as one text, whose digest
// is that version's. Whatever a crash leaves, the recovered state must be one of the versions: not
// older than what was acknowledged, not newer than what was asked for.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.hpp"
#include "engine/session.hpp"
#include "recovery/open.hpp"
#include "recovery/put_back.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::recovery {

struct ModelValue {
    bool is_hash = false;
    std::string text;
    std::map<std::string, std::string> fields;
    std::int64_t expires_ms = -1;

    bool operator==(const ModelValue&) const = default;
};
using Model = std::map<std::pair<std::uint32_t, std::string>, ModelValue>;

[[nodiscard]] std::uint64_t digest(const Model& model);
// The index as it is, key by key, with every record read; due keys too. Fails the test if a record
// cannot be read.
[[nodiscard]] Model read_all(engine::Engine& engine, std::uint32_t databases);

// Until all of the index is there, also what turned out to be damaged on the way. False if it never
// is.
[[nodiscard]] bool bring_all_in(sim::World& world, engine::Engine& engine);

using ValueDigests = std::map<std::pair<std::uint32_t, std::string>, std::uint64_t>;
[[nodiscard]] ValueDigests value_digests(const Model& model);

// As read_all, where what cannot be read is counted: its bytes are damaged, and it is not served.
struct Legible {
    ValueDigests values;
    std::size_t unreadable = 0;
    // Everything that can be read is as in that state, and nothing of it is missing or too much.
    [[nodiscard]] bool is_of(const ValueDigests& state) const;
};
[[nodiscard]] Legible read_legible(engine::Engine& engine, std::uint32_t databases);

struct Version {
    engine::Lsn end;
    std::uint64_t digest = 0;
    ValueDigests values;
};

// `keeps`: the past, as by default; else no more of it than a fall-back needs.
[[nodiscard]] OpenOptions small_options(bool keeps = true);

class Subject {
  public:
    Subject(sim::World& world, std::unique_ptr<Store> store);
    // What is in it is known: nothing of it is touched.
    Subject(sim::World& world, std::unique_ptr<Store> store, std::optional<Model> known);
    // Waits for what is in flight, as the server does: files are closed behind it.
    ~Subject();
    Subject(const Subject&) = delete;
    Subject& operator=(const Subject&) = delete;

    [[nodiscard]] engine::Engine& engine() { return store_->engine(); }
    [[nodiscard]] Store& store() { return *store_; }

    // ---- One batch each, model and engine alike. False if the world crashed or the log failed.
    bool set(std::string key, std::string value, std::int64_t expires_ms = -1);
    bool set_many(const std::vector<std::pair<std::string, std::string>>& pairs,
                  std::int64_t expires_ms = -1);
    // A batch each, appended together; the keys are different ones.
    bool set_group(const std::vector<std::pair<std::string, std::string>>& pairs);
    bool patch(std::string key, std::size_t offset, std::string bytes);
    bool remove(std::string key);
    bool expire(std::string key, std::int64_t expires_ms);
    bool hash_set(std::string key, std::string field, std::string value);
    bool hash_remove(std::string key, std::string field);
    bool rename(std::string from, std::string to);
    bool copy(std::string from, std::string to);
    bool flush();
    bool swap(std::uint32_t a, std::uint32_t b);
    bool put_back(const OldKey& old, const TtlRule& ttl);
    bool touch(std::string key);  // looks: a due key is deleted
    void select(std::uint32_t database) { database_ = database; }
    // Nobody waits for durability batch by batch, as in everysec: writes go out without a sync.
    void lazy(bool is) { lazy_ = is; }

    // Takes a checkpoint, step by step; `meanwhile` is run between some of the steps. False if the
    // world crashed, the log failed, or the checkpoint came to nothing.
    bool checkpoint(const std::function<bool()>& meanwhile);

    // What the key was goes, and with `live` what it is. Nothing if the world crashed, or the log
    // failed; else how it ended, and from where on the log has it.
    struct Forgot {
        engine::Walk::Forgetting how;
        engine::Lsn before;
    };
    std::optional<Forgot> forget(std::string key, bool with_live);

    // Waits until everything is durable. False if the world crashed or the log failed.
    bool sync();
    // Writes without waiting for more than the ring to take it.
    void kick();
    // As the server does when nobody has written for a while.
    void vouch() { flusher_->vouch(); }
    bool stop_cleanly();

    // Versions not newer than this are durable, or (killed) at least written.
    [[nodiscard]] std::size_t acked(bool killed) const;
    [[nodiscard]] const std::vector<Version>& versions() const { return versions_; }
    [[nodiscard]] const Model& model() const { return model_; }

  private:
    template <class Run>
    bool batch(std::vector<std::string_view> keys, bool all, Run&& run);
    [[nodiscard]] engine::Lsn end_of(std::string_view key, std::string_view value);
    // The next version: what is there from `end` on.
    void changed(Model next, engine::Lsn end);

    sim::World& world_;
    std::unique_ptr<Store> store_;
    engine::Session session_;
    std::unique_ptr<engine::Flusher> flusher_;
    std::uint32_t database_ = 0;
    bool lazy_ = false;
    Model model_;
    std::vector<Version> versions_;
};

}  // namespace firnlog::recovery
