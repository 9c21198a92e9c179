#include "src/crashtest/workload.hpp"

#include <algorithm>
#include <map>

#include "src/crashtest/stamp.hpp"
#include "src/crashtest/text.hpp"
#include "src/crashtest/wall.hpp"

namespace firnlog::crashtest {
namespace {

// Where the kinds of key stand in a client's list.
constexpr std::size_t kStrings = 0, kStringCount = 24;
constexpr std::size_t kCounters = kStrings + kStringCount, kCounterCount = 4;
constexpr std::size_t kMany = kCounters + kCounterCount, kManyCount = 8;  // MSET
constexpr std::size_t kBound = kMany + kManyCount, kBoundCount = 6;       // MULTI
constexpr std::size_t kBoundCounter = kBound + kBoundCount;               // MULTI's INCR
constexpr std::size_t kExpiring = kBoundCounter + 1, kExpiringCount = 8;
constexpr std::size_t kHashes = kExpiring + kExpiringCount, kHashCount = 4;
constexpr std::size_t kKeys = kHashes + kHashCount;
constexpr std::size_t kFieldCount = 6;
constexpr int kReplyMs = 60'000;

std::vector<std::string> keys_of(std::uint32_t client) {
    std::vector<std::string> out;
    const auto add = [&](const char* kind, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i)
            out.push_back(std::string(kKeysBegin)
                              .append(std::to_string(client))
                              .append(":")
                              .append(kind)
                              .append(std::to_string(i)));
    };
    add("string", kStringCount);
    add("counter", kCounterCount);
    add("mset", kManyCount);
    add("multi", kBoundCount);
    add("multicounter", 1);
    add("expiring", kExpiringCount);
    add("hash", kHashCount);
    return out;
}

bool is_hash(std::size_t key) { return key >= kHashes; }
bool is_counter(std::size_t key) {
    return (key >= kCounters && key < kMany) || key == kBoundCounter;
}

// A hash as one text, its fields in order: f0=value;f3=value;
using Fields = std::map<std::string, std::string, std::less<>>;

std::string text_of(const Fields& fields) {
    std::string out;
    for (const auto& [field, value] : fields)
        out.append(field).append("=").append(value).append(";");
    return out;
}

Fields fields_of(const std::optional<std::string>& content) {
    Fields out;
    std::string_view rest = content ? std::string_view(*content) : std::string_view{};
    while (!rest.empty()) {
        const auto equals = rest.find('='), end = rest.find(';');
        out.emplace(rest.substr(0, equals), rest.substr(equals + 1, end - equals - 1));
        rest.remove_prefix(end + 1);
    }
    return out;
}

std::int64_t number_of(const std::optional<std::string>& content) {
    return content ? std::strtoll(content->c_str(), nullptr, 10) : 0;
}

Seen seen_of(const Reply& reply, bool hash) {
    Seen out;
    if (reply.is_error()) {
        out.as = Seen::As::error;
        out.content = reply.text;
    } else if (hash && reply.kind == Reply::Kind::array && !reply.items.empty()) {
        Fields fields;
        for (std::size_t i = 0; i + 1 < reply.items.size(); i += 2)
            fields.emplace(reply.items[i].text, reply.items[i + 1].text);
        out.as = Seen::As::value;
        out.content = text_of(fields);
    } else if (reply.kind == Reply::Kind::bulk) {
        out.as = Seen::As::value;
        out.content = reply.text;
    }
    return out;
}

}  // namespace

void leave_out(const std::string& name, const Reply& error, LeftOut& out) {
    if (lower(error.text).find("unknown") != std::string::npos)
        out.unknown.push_back(name);
    else
        out.refused.push_back(name + ": " + printable(error.text, 100));
}

LeftOut probe(Connection& connection, Features& features) {
    LeftOut out;
    const auto has = [&](const char* name, std::initializer_list<std::string_view> words) {
        const auto reply = connection.ask(words, kReplyMs);
        if (!reply.is_error()) return true;
        leave_out(name, reply, out);
        return false;
    };
    constexpr std::string_view kKey = "ct:probe";
    features.counters = has("INCR", {"INCR", kKey}) && has("INCRBY", {"INCRBY", kKey, "2"});
    features.mset = has("MSET", {"MSET", kKey, "1"});
    features.expiry = has("SET PX", {"SET", kKey, "1", "PX", "100000"});
    features.ttl = features.expiry && has("PTTL", {"PTTL", kKey});
    features.multi = has("MULTI", {"MULTI"}) && has("EXEC", {"EXEC"});
    has("DEL", {"DEL", kKey});
    features.hashes = has("HSET", {"HSET", kKey, "f", "v"}) && has("HGETALL", {"HGETALL", kKey}) &&
                      has("HDEL", {"HDEL", kKey, "f"});
    features.scan = has("SCAN", {"SCAN", "0"});
    static_cast<void>(connection.ask({"DEL", kKey}, kReplyMs));
    return out;
}

Client::Client(std::uint32_t number, const Features& features, Random random, std::size_t depth_max)
    : features_(features),
      depth_max_(depth_max),
      random_(random),
      ledger_("client " + std::to_string(number), keys_of(number)),
      touched_(kKeys) {}

std::vector<Violation> Client::take_wrong_replies() { return std::exchange(wrong_replies_, {}); }

// Most values are small; some span pages, few span more than one write of a server's log.
std::string Client::value_for(std::size_t key, std::uint64_t sequence) {
    std::size_t bytes = random_.between(10, 200);
    if (random_.one_in(40)) bytes = random_.between(3'000, 20'000);
    if (random_.one_in(800)) bytes = random_.between(60'000, 150'000);
    return stamped(ledger_.keys()[key], sequence, bytes);
}

// A key that this batch has left alone, if there is one among a few draws.
std::size_t Client::pick(std::size_t first, std::size_t count) {
    auto key = first + random_.below(count);
    for (int i = 0; i < 4 && touched_[key]; ++i) key = first + random_.below(count);
    touched_[key] = true;
    return key;
}

void Client::add_set(std::size_t key) {
    const auto& name = ledger_.keys()[key];
    touched_[key] = true;
    if (ledger_.content(key) && random_.one_in(7)) {
        const auto sequence = ledger_.begin(Kind::del, wall_us());
        ledger_.effect(key, std::nullopt);
        connection_.add({"DEL", name});
        batch_.push_back({.sequence = sequence, .kind = Kind::del});
        return;
    }
    const auto sequence = ledger_.begin(Kind::set, wall_us());
    const auto value =
        is_counter(key) ? std::to_string(random_.below(1000)) : value_for(key, sequence);
    ledger_.effect(key, value);
    connection_.add({"SET", name, value});
    batch_.push_back({.sequence = sequence, .kind = Kind::set});
}

void Client::add_counter() {
    const auto key = kCounters + random_.below(kCounterCount);
    if (touched_[key] || ledger_.uncertain(key)) {
        add_set(key);
        return;
    }
    touched_[key] = true;
    const auto sequence = ledger_.begin(Kind::incr, wall_us());
    const auto step = random_.between(1, 9);
    const auto value = number_of(ledger_.content(key)) + static_cast<std::int64_t>(step);
    ledger_.effect(key, std::to_string(value));
    connection_.add({"INCRBY", ledger_.keys()[key], std::to_string(step)});
    batch_.push_back(
        {.sequence = sequence, .kind = Kind::incr, .key = key, .content = std::to_string(value)});
}

void Client::add_mset() {
    const auto sequence = ledger_.begin(Kind::mset, wall_us());
    std::vector<std::string> words{"MSET"};
    const auto first = random_.below(kManyCount), count = random_.between(2, kManyCount);
    for (std::size_t i = 0; i < count; ++i) {
        const auto key = kMany + (first + i) % kManyCount;
        touched_[key] = true;
        words.push_back(ledger_.keys()[key]);
        words.push_back(value_for(key, sequence));
        ledger_.effect(key, words.back());
    }
    connection_.add(words);
    batch_.push_back({.sequence = sequence, .kind = Kind::mset});
}

void Client::add_multi() {
    if (touched_[kBoundCounter]) {
        add_set(kStrings + random_.below(kStringCount));
        return;
    }
    const auto sequence = ledger_.begin(Kind::multi, wall_us());
    connection_.add({"MULTI"});
    batch_.push_back({});
    const auto first = random_.below(kBoundCount), count = random_.between(2, kBoundCount);
    for (std::size_t i = 0; i < count; ++i) {
        const auto key = kBound + (first + i) % kBoundCount;
        touched_[key] = true;
        const auto value = value_for(key, sequence);
        ledger_.effect(key, value);
        connection_.add({"SET", ledger_.keys()[key], value});
        batch_.push_back({});
    }
    if (features_.counters && !ledger_.uncertain(kBoundCounter)) {
        touched_[kBoundCounter] = true;
        const auto value = number_of(ledger_.content(kBoundCounter)) + 1;
        ledger_.effect(kBoundCounter, std::to_string(value));
        connection_.add({"INCR", ledger_.keys()[kBoundCounter]});
    } else {
        ledger_.effect(kBoundCounter, std::to_string(sequence));
        connection_.add({"SET", ledger_.keys()[kBoundCounter], std::to_string(sequence)});
    }
    touched_[kBoundCounter] = true;
    batch_.push_back({});
    connection_.add({"EXEC"});
    batch_.push_back({.sequence = sequence, .kind = Kind::multi});
}

void Client::add_expiring() {
    const auto key = pick(kExpiring, kExpiringCount);
    const auto sequence = ledger_.begin(Kind::expire, wall_us());
    // Some end under load, some while the server is down, some outlive the run.
    constexpr std::int64_t kLong = 3'600'000;
    const auto ttl_ms =
        random_.one_in(4) ? kLong : static_cast<std::int64_t>(random_.between(20, 4000));
    const auto value = value_for(key, sequence);
    ledger_.effect(key, value, ttl_ms);
    connection_.add({"SET", ledger_.keys()[key], value, "PX", std::to_string(ttl_ms)});
    batch_.push_back({.sequence = sequence, .kind = Kind::expire});
}

void Client::add_hash() {
    const auto key = kHashes + random_.below(kHashCount);
    const bool again = touched_[key];
    touched_[key] = true;
    const auto& name = ledger_.keys()[key];
    auto fields = fields_of(ledger_.content(key));
    if (again || ledger_.uncertain(key) || random_.one_in(12)) {
        const auto sequence = ledger_.begin(Kind::del, wall_us());
        ledger_.effect(key, std::nullopt);
        connection_.add({"DEL", name});
        batch_.push_back({.sequence = sequence, .kind = Kind::del});
        return;
    }
    const auto field = "f" + std::to_string(random_.below(kFieldCount));
    if (fields.contains(field) && random_.one_in(3)) {
        const auto sequence = ledger_.begin(Kind::hdel, wall_us());
        fields.erase(field);
        ledger_.effect(key, fields.empty() ? std::nullopt : std::optional(text_of(fields)));
        connection_.add({"HDEL", name, field});
        batch_.push_back({.sequence = sequence, .kind = Kind::hdel});
        return;
    }
    const auto sequence = ledger_.begin(Kind::hset, wall_us());
    const auto other = "f" + std::to_string(random_.below(kFieldCount));
    const auto value = stamped(name, sequence, random_.between(5, 80));
    fields[field] = value;
    fields[other] = value;
    ledger_.effect(key, text_of(fields));
    connection_.add({"HSET", name, field, value, other, value});
    batch_.push_back({.sequence = sequence, .kind = Kind::hset});
}

void Client::add_shared() {
    const auto sequence = ledger_.begin(Kind::shared, wall_us());
    connection_.add({"INCR", kSharedKey});
    batch_.push_back({.sequence = sequence, .kind = Kind::shared});
}

void Client::add_write() {
    const auto draw = random_.below(100);
    if (draw < 10 && features_.counters) return add_counter();
    if (draw < 22 && features_.mset) return add_mset();
    if (draw < 34 && features_.multi) return add_multi();
    if (draw < 44 && features_.expiry) return add_expiring();
    if (draw < 58 && features_.hashes) return add_hash();
    if (draw < 64 && features_.counters) return add_shared();
    add_set(kStrings + random_.below(kStringCount));
}

void Client::add_read() {
    const auto key = random_.below(kExpiring);
    if (touched_[key] || ledger_.uncertain(key)) return;
    connection_.add({"GET", ledger_.keys()[key]});
    batch_.push_back({.is_read = true, .key = key, .content = ledger_.content(key)});
}

void Client::hear(const Wanted& wanted, const Reply& reply) {
    const auto now = wall_us();
    if (wanted.is_read) {
        const bool same = wanted.content
                              ? reply.kind == Reply::Kind::bulk && reply.text == *wanted.content
                              : reply.kind == Reply::Kind::null;
        if (!same && !reply.is_error())
            wrong_replies_.push_back({"wrong-reply",
                                      ledger_.name() + ", " + ledger_.keys()[wanted.key] +
                                          ": the running server answers with other bytes than "
                                          "this connection wrote last",
                                      {{now, "GET answered " + printable(reply.text)}}});
        return;
    }
    if (wanted.sequence == 0) {
        if (reply.is_error()) hear_refusal(reply.text);
        return;
    }
    // EXEC refused as a whole, or one of its commands.
    const auto failed =
        std::ranges::find_if(reply.items, [](const auto& item) { return item.is_error(); });
    const bool in_part = wanted.kind == Kind::multi && failed != reply.items.end();
    const bool aborted = wanted.kind == Kind::multi && reply.kind != Reply::Kind::array;
    if (reply.is_error() || in_part || aborted) {
        ledger_.refused(wanted.sequence, now, in_part);
        hear_refusal(in_part ? failed->text : reply.text);
        errors_.fetch_add(1);
        return;
    }
    if (wanted.kind == Kind::incr && std::to_string(reply.integer) != *wanted.content)
        wrong_replies_.push_back({"wrong-reply",
                                  ledger_.name() + ", " + ledger_.keys()[wanted.key] +
                                      ": INCRBY answered " + std::to_string(reply.integer) +
                                      " where " + *wanted.content + " is right",
                                  {}});
    ledger_.acked(wanted.sequence, now, reply.integer);
    acks_.fetch_add(1);
    if (wanted.kind == Kind::del || wanted.kind == Kind::hdel) return;
    last_growth_us_.store(now);
    resumed_ = resumed_ || !refusals_.empty();
}

// EXECABORT says no more than that another error came before it.
void Client::hear_refusal(const std::string& text) {
    constexpr std::size_t kMax = 4;
    auto shown = printable(text, 200);
    if (!text.starts_with("EXECABORT") && refusals_.size() < kMax &&
        std::ranges::find(refusals_, shown) == refusals_.end())
        refusals_.push_back(std::move(shown));
}

void Client::run(std::uint16_t port, const std::atomic<bool>& stop) {
    refusals_.clear();
    resumed_ = false;
    if (!connection_.open(port)) return;
    while (!stop.load()) {
        batch_.clear();
        touched_.assign(kKeys, false);
        const auto depth = random_.between(1, depth_max_);
        for (std::size_t i = 0; i < depth; ++i) {
            if (random_.one_in(10))
                add_read();
            else
                add_write();
        }
        if (!connection_.send()) break;
        bool gone = false;
        for (const auto& wanted : batch_) {
            Reply reply;
            if (connection_.receive(reply, kReplyMs) != Got::reply) {
                gone = true;
                break;
            }
            hear(wanted, reply);
        }
        if (gone) break;
        // A server that refuses everything is not asked a hundred thousand times a second.
        if (errors_.load() != 0 && random_.one_in(4)) {
            Reply none;
            static_cast<void>(connection_.receive(none, 1));
        }
    }
    connection_.close();
}

bool Client::look(Connection& connection, std::vector<Seen>& seen) const {
    seen.clear();
    const auto& keys = ledger_.keys();
    const auto before = wall_us();
    for (std::size_t key = 0; key < kKeys; ++key) {
        connection.add({is_hash(key) && features_.hashes ? "HGETALL" : "GET", keys[key]});
        if (features_.ttl) connection.add({"PTTL", keys[key]});
    }
    if (!connection.send()) return false;
    for (std::size_t key = 0; key < kKeys; ++key) {
        Reply reply, ttl;
        if (connection.receive(reply, kReplyMs) != Got::reply) return false;
        if (features_.ttl && connection.receive(ttl, kReplyMs) != Got::reply) return false;
        seen.push_back(seen_of(reply, is_hash(key)));
        auto& back = seen.back();
        back.before_us = before;
        back.after_us = wall_us();
        back.ttl_ms = features_.ttl && ttl.kind == Reply::Kind::integer ? ttl.integer : -2;
        if (back.as == Seen::As::value && back.ttl_ms == -2 && features_.ttl) {
            // It ended between the two commands.
            back.as = Seen::As::absent;
        }
    }
    return true;
}

}  // namespace firnlog::crashtest
