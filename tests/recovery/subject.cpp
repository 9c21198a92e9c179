#include "tests/recovery/subject.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <numeric>
#include <optional>

#include "engine/ops/hashes.hpp"
#include "engine/ops/keys.hpp"
#include "engine/ops/strings.hpp"
#include "io/base/crc32c.hpp"

namespace firnlog::recovery {

namespace hashes = engine::hashes;
namespace keys = engine::keys;
namespace strings = engine::strings;

namespace {
constexpr std::uint32_t kDatabases = 4;

// Eight bytes at a time: some values are long, and all are summed after each of thousands of runs.
void mix(std::uint64_t& sum, std::string_view text) {
    const auto add = [&sum](std::uint64_t word) {
        sum = (sum ^ word) * 0x9e3779b97f4a7c15;
        sum ^= sum >> 32;
    };
    add(text.size());
    for (; !text.empty(); text.remove_prefix(std::min<std::size_t>(text.size(), 8))) {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data(), std::min<std::size_t>(text.size(), 8));
        add(word);
    }
}

std::uint64_t digest(const ModelValue& value) {
    std::uint64_t sum = 0xcbf29ce484222325;
    mix(sum, std::to_string(value.expires_ms));
    mix(sum, value.is_hash ? "hash" : value.text);
    for (const auto& [field, text] : value.fields) {
        mix(sum, field);
        mix(sum, text);
    }
    return sum;
}

std::uint64_t digest(const ValueDigests& values) {
    std::uint64_t sum = 0xcbf29ce484222325;
    for (const auto& [name, value] : values) {
        mix(sum, std::to_string(name.first));
        mix(sum, name.second);
        mix(sum, std::to_string(value));
    }
    return sum;
}

Model read_some(engine::Engine& engine, std::uint32_t databases, std::size_t& unreadable);
}  // namespace

ValueDigests value_digests(const Model& model) {
    ValueDigests digests;
    for (const auto& [name, value] : model) digests[name] = digest(value);
    return digests;
}

std::uint64_t digest(const Model& model) { return digest(value_digests(model)); }

bool Legible::is_of(const ValueDigests& state) const {
    if (values.size() + unreadable != state.size()) return false;
    return std::ranges::all_of(values, [&](const auto& item) {
        const auto found = state.find(item.first);
        return found != state.end() && found->second == item.second;
    });
}

namespace {
// Nothing for a key whose bytes are damaged.
std::optional<std::pair<std::string, ModelValue>> read_key(engine::Session& session,
                                                           const engine::TagMap& map,
                                                           const engine::Entry& entry) {
    engine::Item item{.type = entry.type()};
    item.address = entry.address();
    item.size_hint = entry.size_hint();
    if (item.type != engine::Type::string) {
        item.object = entry.pointer<engine::Object>();
        item.address = item.object->binding;
        item.size_hint = item.object->binding_bytes;
    }
    const auto record = session.read(item.address, item.size_hint);
    if (!record) return std::nullopt;
    ModelValue value;
    if (entry.expires()) value.expires_ms = map.expiry(entry.tag())->at_ms;
    if (item.type == engine::Type::hash) {
        value.is_hash = true;
        const auto pairs = hashes::all(session, item);
        if (!pairs) return std::nullopt;
        for (const auto& pair : *pairs)
            value.fields[std::string(pair.field)] = std::string(pair.value);
    } else {
        const auto text = strings::get(session, item);
        if (!text) return std::nullopt;
        value.text = std::string(*text);
    }
    return std::pair{std::string(record->key), std::move(value)};
}
}  // namespace

Model read_all(engine::Engine& engine, std::uint32_t databases) {
    std::size_t unreadable = 0;
    auto model = read_some(engine, databases, unreadable);
    BOOST_REQUIRE_MESSAGE(unreadable == 0, "every record in the index can be read");
    return model;
}

Legible read_legible(engine::Engine& engine, std::uint32_t databases) {
    Legible legible;
    legible.values = value_digests(read_some(engine, databases, legible.unreadable));
    return legible;
}

namespace {
Model read_some(engine::Engine& engine, std::uint32_t databases, std::size_t& unreadable) {
    Model model;
    engine::Session session(engine);
    auto& keyspace = engine.keyspace();
    session.begin_all(0);
    std::vector<std::uint32_t> numbers(databases);
    std::iota(numbers.begin(), numbers.end(), 0U);
    // What a server parks, which no client sees (src/parked.hpp).
    if (keyspace.find_space(engine::kParkedFirst) != nullptr)
        numbers.push_back(engine::kParkedFirst);
    for (const auto database : numbers) {
        auto& space = keyspace.space_of(database);
        std::int64_t count = 0;
        for (std::uint32_t stripe = 0; stripe < engine::kStripes; ++stripe) {
            // Boost's macros at every stripe were two thirds of a campaign.
            if (!keyspace.fetch(static_cast<engine::Stripe>(stripe)))
                BOOST_FAIL("stripe " << stripe << " cannot be fetched");
            const auto& map = space.stripes[stripe];
            if (map.size() == 0) continue;
            map.for_each([&](const engine::Entry& entry) {
                ++count;
                auto found = read_key(session, map, entry);
                if (found)
                    model[{database, std::move(found->first)}] = std::move(found->second);
                else
                    ++unreadable;
            });
        }
        BOOST_REQUIRE_EQUAL(space.keys.load(), count);
    }
    (void)session.end();
    return model;
}
}  // namespace

bool bring_all_in(sim::World& world, engine::Engine& engine) {
    for (int i = 0; i < 2'000 && !engine.keyspace().whole(); ++i) {
        engine.work();
        world.pass(2'000);
    }
    return engine.keyspace().whole();
}

OpenOptions small_options(bool keeps) {
    OpenOptions options;
    options.engine.supply.bytes_first = 64 * 1024;
    options.engine.supply.bytes_max = 128 * 1024;
    options.engine.supply.ready = 1;
    options.engine.supply.kept_bytes = 64 * 1024;
    options.engine.supply.piece_bytes = 48 * 1024;
    options.engine.databases = kDatabases;
    options.waits = true;
    // Only when it is asked for.
    options.engine.walk.log_bytes = 0;
    if (!keeps) options.engine.walk.window.retain_s = 0;
    options.engine.walk.packed_bytes = 24 * 1024;
    return options;
}

Subject::Subject(sim::World& world, std::unique_ptr<Store> store)
    : Subject(world, std::move(store), std::nullopt) {}

Subject::Subject(sim::World& world, std::unique_ptr<Store> store, std::optional<Model> known)
    : world_(world),
      store_(std::move(store)),
      session_(store_->engine()),
      flusher_(std::make_unique<engine::Flusher>(store_->engine().log, world.io(), [] {})),
      model_(known ? std::move(*known) : read_all(store_->engine(), kDatabases)) {
    auto values = value_digests(model_);
    const auto sum = digest(values);
    versions_.push_back(
        {.end = store_->engine().log.durable(), .digest = sum, .values = std::move(values)});
}

Subject::~Subject() {
    while (!world_.crashed() && !flusher_->idle() && world_.io().turn(true)) {
    }
}

void Subject::changed(Model next, engine::Lsn end) {
    // Only what changed is summed again.
    auto values = versions_.back().values;
    std::erase_if(values, [&](const auto& item) { return !next.contains(item.first); });
    for (const auto& [name, value] : next) {
        const auto before = model_.find(name);
        if (before == model_.end() || before->second != value) values[name] = digest(value);
    }
    model_ = std::move(next);
    const auto sum = digest(values);
    versions_.push_back({.end = end, .digest = sum, .values = std::move(values)});
}

template <class Run>
bool Subject::batch(std::vector<std::string_view> names, bool all, Run&& run) {
    // On a full disk it waits for walks, no more than three in a row that free nothing; each is
    // about 160 steps, for there are so many stripes, and a try does one of them.
    for (int tries = 0; tries < 1'000; ++tries) {
        if (world_.crashed() || engine().log.failed() != 0) return false;
        engine().now.update();
        if (all)
            session_.begin_all(database_);
        else
            session_.begin(names, database_);
        auto next = model_;
        const auto done = run(next);
        // What was found expired is gone, whatever became of the command.
        for (const auto& event : session_.events) next.erase({event.database, event.key});
        const bool changed = session_.has_effects();
        const auto gate = session_.end();
        session_.reset();
        if (changed) this->changed(std::move(next), gate);
        session_.events.clear();
        if (done) {
            if (!lazy_) engine().log.want_durable(gate);
            return true;
        }
        BOOST_REQUIRE(
            done.error() == engine::Stop::wait || done.error() == engine::Stop::io_error ||
            done.error() == engine::Stop::loading || done.error() == engine::Stop::no_space);
        if (done.error() != engine::Stop::wait) return false;
        engine().work();
        world_.pass(2'000);
        kick();
    }
    BOOST_FAIL("the log never has room");
    return false;
}

using Done = engine::Expected<void>;

bool Subject::set(std::string key, std::string value, std::int64_t expires_ms) {
    return batch({key}, false, [&](Model& next) -> Done {
        if (auto done = strings::set(session_, key, value, expires_ms); !done) return done;
        next[{database_, key}] = {
            .is_hash = false, .text = value, .fields = {}, .expires_ms = expires_ms};
        return {};
    });
}

bool Subject::set_group(const std::vector<std::pair<std::string, std::string>>& pairs) {
    std::vector<engine::Session::Ahead> ahead;
    ahead.reserve(pairs.size());
    for (const auto& [key, value] : pairs)
        ahead.push_back({.key = key, .bytes = key.size() + value.size() + 3, .reads = false});
    engine().now.update();
    session_.look_ahead(ahead, database_, true);
    // Hashes that were renamed keep groups from being made, and so does an index that is not whole.
    if (!session_.grouped()) {
        session_.forget_ahead();
        return std::ranges::all_of(
            pairs, [this](const auto& pair) { return set(pair.first, pair.second); });
    }
    std::size_t count = 0;
    for (; count < pairs.size(); ++count) {
        const auto& [key, value] = pairs[count];
        const std::string_view name = key;
        session_.begin({&name, 1}, database_);
        const auto done = strings::set(session_, key, value);
        (void)session_.end();
        session_.reset();
        if (!done) break;
    }
    const auto gate = session_.end_group();
    session_.forget_ahead();
    for (std::size_t i = 0; i < count; ++i) {
        const auto& [key, value] = pairs[i];
        auto next = model_;
        next[{database_, key}] = {.is_hash = false, .text = value, .fields = {}, .expires_ms = -1};
        changed(std::move(next), end_of(key, value));
    }
    if (count != 0) BOOST_REQUIRE_EQUAL(versions_.back().end.value, gate.value);
    if (!lazy_) engine().log.want_durable(gate);
    // For the others there is no room now.
    return std::ranges::all_of(pairs.begin() + static_cast<std::ptrdiff_t>(count), pairs.end(),
                               [this](const auto& pair) { return set(pair.first, pair.second); });
}

// The end of the batch that has set it, of which it is the only record.
engine::Lsn Subject::end_of(std::string_view key, std::string_view value) {
    session_.begin({&key, 1}, database_);
    const auto item = session_.look(key);
    BOOST_REQUIRE(item && *item && (*item)->type == engine::Type::string);
    const auto address = (*item)->address;
    const auto bytes = engine::record_bytes(
        {.kind = engine::Kind::string, .kid = session_.space().kid, .key = key, .value = value});
    (void)session_.end();
    session_.reset();
    return engine().segments().find(address.file())->lsn_at(address.offset()) + bytes;
}

bool Subject::set_many(const std::vector<std::pair<std::string, std::string>>& pairs,
                       std::int64_t expires_ms) {
    std::vector<std::string_view> names;
    std::size_t bytes = 0;
    for (const auto& [key, value] : pairs) {
        names.push_back(key);
        bytes += key.size() + value.size();
    }
    return batch(names, false, [&](Model& next) -> Done {
        if (auto room = session_.reserve(bytes, pairs.size()); !room) return room;
        for (const auto& [key, value] : pairs) {
            strings::set_reserved(session_, key, value, expires_ms);
            next[{database_, key}] = {
                .is_hash = false, .text = value, .fields = {}, .expires_ms = expires_ms};
        }
        return {};
    });
}

bool Subject::patch(std::string key, std::size_t offset, std::string bytes) {
    return batch({key}, false, [&](Model& next) -> Done {
        const auto found = next.find({database_, key});
        if (found != next.end() && found->second.is_hash) return {};
        if (auto done = strings::patch(session_, key, offset, bytes); !done)
            return tl::unexpected(done.error());
        for (const auto& event : session_.events) next.erase({event.database, event.key});
        session_.events.clear();
        auto& text = next[{database_, key}].text;
        if (text.size() < offset + bytes.size()) text.resize(offset + bytes.size());
        text.replace(offset, bytes.size(), bytes);
        return {};
    });
}

bool Subject::remove(std::string key) {
    return batch({key}, false, [&](Model& next) -> Done {
        if (auto done = keys::remove(session_, key); !done) return tl::unexpected(done.error());
        next.erase({database_, key});
        return {};
    });
}

bool Subject::expire(std::string key, std::int64_t expires_ms) {
    return batch({key}, false, [&](Model& next) -> Done {
        const auto done = keys::set_expiry(session_, key, expires_ms);
        if (!done) return tl::unexpected(done.error());
        if (!*done) return {};
        if (expires_ms >= 0 && expires_ms <= session_.now_ms())
            next.erase({database_, key});
        else
            next[{database_, key}].expires_ms = expires_ms;
        return {};
    });
}

bool Subject::hash_set(std::string key, std::string field, std::string value) {
    return batch({key}, false, [&](Model& next) -> Done {
        const hashes::Pair pair{.field = field, .value = value};
        const auto done = hashes::set(session_, key, {&pair, 1});
        if (!done) {
            if (done.error() == engine::Stop::wrong_type) return {};
            return tl::unexpected(done.error());
        }
        for (const auto& event : session_.events) next.erase({event.database, event.key});
        session_.events.clear();
        auto& entry = next[{database_, key}];
        entry.is_hash = true;
        entry.fields[field] = value;
        return {};
    });
}

bool Subject::hash_remove(std::string key, std::string field) {
    return batch({key}, false, [&](Model& next) -> Done {
        const std::string_view view = field;
        const auto done = hashes::remove(session_, key, {&view, 1});
        if (!done) {
            if (done.error() == engine::Stop::wrong_type) return {};
            return tl::unexpected(done.error());
        }
        const auto found = next.find({database_, key});
        if (found == next.end()) return {};
        found->second.fields.erase(field);
        if (found->second.is_hash && found->second.fields.empty()) next.erase(found);
        return {};
    });
}

bool Subject::rename(std::string from, std::string to) {
    return batch({from, to}, false, [&](Model& next) -> Done {
        const auto item = session_.look(from);
        if (!item) return tl::unexpected(item.error());
        if (!*item || from == to) return {};
        if (auto done = keys::rename(session_, from, to); !done) return done;
        next[{database_, to}] = next[{database_, from}];
        next.erase({database_, from});
        return {};
    });
}

bool Subject::copy(std::string from, std::string to) {
    return batch({from, to}, false, [&](Model& next) -> Done {
        const auto item = session_.look(from);
        if (!item) return tl::unexpected(item.error());
        if (!*item || from == to) return {};
        if (auto done = keys::copy(session_, from, to, database_); !done) return done;
        next[{database_, to}] = next[{database_, from}];
        return {};
    });
}

bool Subject::flush() {
    return batch({}, true, [&](Model& next) -> Done {
        const engine::Keyspace::Pointing pointing{.database = database_,
                                                  .kid = engine().keyspace().fresh_kid()};
        if (auto done = session_.point({&pointing, 1}); !done) return done;
        std::erase_if(next, [&](const auto& item) { return item.first.first == database_; });
        return {};
    });
}

bool Subject::swap(std::uint32_t a, std::uint32_t b) {
    return batch({}, true, [&](Model& next) -> Done {
        auto& keyspace = engine().keyspace();
        const engine::Keyspace::Pointing pointings[] = {
            {.database = a, .kid = keyspace.space_of(b).kid},
            {.database = b, .kid = keyspace.space_of(a).kid}};
        if (auto done = session_.point(pointings); !done) return done;
        Model swapped;
        for (auto& [name, value] : next) {
            const auto to = name.first == a ? b : name.first == b ? a : name.first;
            swapped[{to, name.second}] = value;
        }
        next = std::move(swapped);
        return {};
    });
}

bool Subject::put_back(const OldKey& old, const TtlRule& ttl) {
    return batch({old.key}, false, [&](Model& next) -> Done {
        const auto done = recovery::put_back(session_, old, ttl, false);
        if (!done) return tl::unexpected(done.error());
        if (*done == PutBack::removed) next.erase({database_, old.key});
        if (*done == PutBack::written)
            next[{database_, old.key}] = {.is_hash = old.type == engine::Type::hash,
                                          .text = old.value,
                                          .fields = {old.fields.begin(), old.fields.end()},
                                          .expires_ms = ttl.apply(old.expires_ms)};
        return {};
    });
}

bool Subject::touch(std::string key) {
    return batch({key}, false, [&](Model&) -> Done {
        if (auto item = session_.look(key); !item) return tl::unexpected(item.error());
        return {};
    });
}

void Subject::kick() {
    flusher_->kick(lazy_ ? 3'000 : 1'000'000);
    (void)world_.io().turn(true);
}

bool Subject::checkpoint(const std::function<bool()>& meanwhile) {
    auto& walk = engine().walk;
    const auto before = walk.status();
    (void)walk.request(true, true);
    for (int steps = 0; steps < 100'000; ++steps) {
        if (world_.crashed() || engine().log.failed() != 0) return false;
        engine().work();
        const auto now = walk.status();
        if (now.failed != before.failed) return false;
        if (now.done != before.done) return true;
        if (walk.busy() && steps % 7 == 3 && !meanwhile()) return false;
        kick();
    }
    BOOST_FAIL("a checkpoint never ends");
    return false;
}

std::optional<Subject::Forgot> Subject::forget(std::string key, bool with_live) {
    auto& walk = engine().walk;
    auto& tail = engine().log.tail;
    Forgot forgot;
    const bool written = batch({key}, false, [&](Model& next) -> Done {
        forgot.before = tail.batch_end();
        const auto done =
            with_live ? engine::keys::remove(session_, key) : write_anew(session_, key);
        if (!done) return tl::unexpected(done.error());
        if (with_live) next.erase({database_, key});
        return {};
    });
    if (!written) return std::nullopt;
    // As the server does with what a flush took.
    const auto database = std::exchange(database_, engine::kParkedFirst);
    const bool parked = !model_.contains({database_, key}) || remove(key);
    database_ = database;
    if (!parked) return std::nullopt;
    bool asked = false;
    for (int steps = 0; steps < 200'000; ++steps) {
        if (world_.crashed() || engine().log.failed() != 0) return std::nullopt;
        if (!asked) {
            const std::lock_guard guard(tail.lock);
            asked = tail.end_segment();
            if (asked)
                BOOST_REQUIRE(walk.forget({.key = key,
                                           .database = database_,
                                           .before = forgot.before,
                                           .durable = tail.batch_end()}));
        }
        engine().work();
        world_.pass(200);
        kick();
        forgot.how = walk.forgetting();
        if (asked && forgot.how.state != engine::Walk::Forgetting::State::running) return forgot;
    }
    BOOST_FAIL("what is to be forgotten never is");
    return std::nullopt;
}

bool Subject::sync() {
    auto& log = engine().log;
    for (int turns = 0; turns < 100'000; ++turns) {
        if (world_.crashed() || log.failed() != 0) return false;
        if (log.durable() == log.tail.end() && !log.tail.dirty()) return true;
        log.want_durable(log.tail.end());
        kick();
    }
    BOOST_FAIL("what was asked to be durable never is");
    return false;
}

bool Subject::stop_cleanly() {
    if (!sync()) return false;
    auto closed = store_->close();
    return closed.has_value();
}

std::size_t Subject::acked(bool killed) const {
    const auto& log = store_->engine().log;
    const auto lsn = killed ? log.written() : log.durable();
    std::size_t version = 0;
    for (std::size_t i = 0; i < versions_.size(); ++i)
        if (versions_[i].end <= lsn) version = i;
    return version;
}

}  // namespace firnlog::recovery
