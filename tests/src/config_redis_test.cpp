// The configuration beside a real redis-server: names, defaults, what may change, every error text.

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/config.hpp"
#include "src/config_table.hpp"
#include "tests/src/config_probe.hpp"
#include "tests/src/redis_oracle.hpp"

namespace firnlog::server {
namespace {

using test::get_one;
using test::Peer;
using test::RedisOracle;
using test::set;
using test::Words;

constexpr std::string_view kOurs[] = {"spin-us",
                                      "threads",
                                      "segment-bytes-max",
                                      "tail-memory",
                                      "checkpoint-log-bytes",
                                      "retain",
                                      "flush-undo",
                                      "keep",
                                      "retain-bytes",
                                      "backup-dir",
                                      "disk-low-water",
                                      "disk-high-water",
                                      "sidecar-rate",
                                      "scrub-rate",
                                      "scrub-interval",
                                      "backup-trial-interval",
                                      "backup-policy",
                                      "archive-dir",
                                      "archive-command",
                                      "archive-timeout",
                                      "archive-command-timeout"};

// Values that are ours on purpose, or differ because the oracle is started with others.
constexpr std::string_view kOtherDefaults[] = {
    "bind",       "port", "appendonly", "appendfsync",         "dir", "logfile", "loglevel",
    "unixsocket", "save", "maxclients", "enable-debug-command"};

bool is_one_of(std::span<const std::string_view> names, std::string_view name) {
    return std::ranges::count(names, name) != 0;
}

std::string set_in(Peer& redis, const Words& pairs) {
    Words words{"CONFIG", "SET"};
    words.insert(words.end(), pairs.begin(), pairs.end());
    return test::payload(redis.ask(words));
}

std::map<std::string, std::string> get_in(Peer& redis, const std::string& pattern) {
    const auto reply = redis.ask({"CONFIG", "GET", pattern});
    std::vector<std::string> words;
    std::size_t at = reply.find("\r\n") + 2;
    while (at < reply.size()) {
        const auto end = reply.find("\r\n", at);
        const auto bytes = std::stoul(reply.substr(at + 1, end - at - 1));
        words.push_back(reply.substr(end + 2, bytes));
        at = end + 2 + bytes + 2;
    }
    std::map<std::string, std::string> found;
    for (std::size_t word = 0; word + 1 < words.size(); word += 2)
        found[words[word]] = words[word + 1];
    return found;
}

boost::test_tools::assertion_result redis_is_here(boost::unit_test::test_unit_id) {
    return RedisOracle::available();
}

BOOST_AUTO_TEST_SUITE(config_redis)

BOOST_AUTO_TEST_CASE(the_names_and_defaults_are_those_of_redis,
                     *boost::unit_test::precondition(redis_is_here)) {
    const RedisOracle oracle;
    auto redis = oracle.connect();
    const auto theirs = get_in(redis, "*");
    BOOST_REQUIRE(theirs.size() > 100);
    const std::string_view all = "*";
    std::map<std::string, std::string> ours;
    for (const auto& [name, value] : config_get(Config{}, std::span(&all, 1))) ours[name] = value;
    for (const auto& [name, value] : theirs) {
        BOOST_TEST_CONTEXT(name) {
            BOOST_REQUIRE(ours.contains(name));
            if (!is_one_of(kOtherDefaults, name)) BOOST_TEST(ours[name] == value);
        }
    }
    for (const auto& [name, value] : ours)
        BOOST_TEST(theirs.contains(name) != is_one_of(kOurs, name), name);
    // What a pattern does not show, the whole name does.
    for (const auto& row : config_rows()) {
        if (!row.hidden) continue;
        BOOST_TEST(get_in(redis, std::string(row.name)).size() == 1, row.name);
        BOOST_TEST(get_one(Config{}, row.name) == row.initial);
        BOOST_TEST(!ours.contains(std::string(row.name)));
    }
}

BOOST_AUTO_TEST_CASE(what_config_set_may_touch_is_what_it_may_touch_in_redis,
                     *boost::unit_test::precondition(redis_is_here)) {
    const RedisOracle oracle;
    auto redis = oracle.connect();
    for (const auto& [name, value] : get_in(redis, "*")) {
        BOOST_TEST_CONTEXT(name) {
            Config config;
            const auto ours = set(config, {name, get_one(config, name)});
            const auto theirs = set_in(redis, {name, value});
            // Setting oom-score-adj needs a privilege, TLS a certificate; what it answers then is
            // not about whether it may be set.
            if (theirs.find("Failed to set") != theirs.npos || theirs.find("TLS") != theirs.npos)
                continue;
            BOOST_TEST(ours == theirs);
        }
    }
}

const std::vector<Words>& bad_sets() {
    static const std::vector<Words> sets{
        {"PORT", "x"},
        {"port", "65536"},
        {"port", "-1"},
        {"port", ""},
        {"port", "010"},
        {"port", "+1"},
        {"port", " 1"},
        {"port", "1 2"},
        {"timeout", "2147483648"},
        {"timeout", "99999999999999999999"},
        {"TimeOut", "x"},
        {"tcp-keepalive", "-1"},
        {"hz", "-1"},
        {"hz", "1e3"},
        {"maxclients", "0"},
        {"maxclients", "-1"},
        {"maxclients", "4294967296"},
        {"appendfsync", "sometimes"},
        {"appendfsync", ""},
        {"appendfsync", "always no"},
        {"appendonly", "maybe"},
        {"protected-mode", "1"},
        {"loglevel", "loud"},
        {"maxmemory", "-1"},
        {"maxmemory", "1tb"},
        {"maxmemory", "1.5gb"},
        {"maxmemory-policy", "lru"},
        {"maxmemory-clients", "101%"},
        {"maxmemory-clients", "-1"},
        {"maxmemory-clients", "%"},
        {"maxmemory-clients", "-5%"},
        {"maxmemory-samples", "0"},
        {"proto-max-bulk-len", "1000"},
        {"proto-max-bulk-len", "18446744073709551615"},
        {"client-query-buffer-limit", "1048575"},
        {"client-query-buffer-limit", "9223372036854775808"},
        {"hash-max-listpack-entries", "-1"},
        {"hash-max-listpack-entries", "1kb"},
        {"hash-max-listpack-value", "-1"},
        {"hash-max-ziplist-value", "x"},
        {"HASH-MAX-ZIPLIST-ENTRIES", "x"},
        {"list-max-listpack-size", "2147483648"},
        {"slowlog-log-slower-than", "-2"},
        {"slowlog-max-len", "-1"},
        {"latency-monitor-threshold", "-1"},
        {"active-defrag-threshold-lower", "1001"},
        {"lua-time-limit", "x"},
        {"slave-priority", "x"},
        {"notify-keyspace-events", "KEx?"},
        {"save", "1"},
        {"save", "a b"},
        {"save", "0 1"},
        {"save", "1 -1"},
        {"save", "1  1"},
        {"save", " "},
        {"client-output-buffer-limit", "x 1 2 3"},
        {"client-output-buffer-limit", "master 1 2 3"},
        {"client-output-buffer-limit", "normal 1 2"},
        {"client-output-buffer-limit", "normal 1z 2 3"},
        {"client-output-buffer-limit", "normal 1 2 -3"},
        {"client-output-buffer-limit", "normal 1 2 3 "},
        {"oom-score-adj-values", "1 2"},
        {"oom-score-adj-values", "1 2 x"},
        {"oom-score-adj-values", "1 2 2001"},
        {"oom-score-adj", "maybe"},
        {"latency-tracking-info-percentiles", "x"},
        {"latency-tracking-info-percentiles", "50  99"},
        {"latency-tracking-info-percentiles", "100.1"},
        {"latency-tracking-info-percentiles", "-1"},
        {"latency-tracking-info-percentiles", "nan"},
        {"bind", "a b c d e f g h i j k l m n o p q"},
        {"proc-title-template", ""},
        {"proc-title-template", "{title"},
        {"proc-title-template", "{nobody}"},
        {"cluster-announce-hostname", "a_b"},
        {"cluster-announce-hostname", std::string(256, 'a')},
        {"cluster-preferred-endpoint-type", "x"},
        {"shutdown-on-sigint", "save nosave"},
        {"shutdown-on-sigterm", "save  now"},
        {"shutdown-on-sigterm", ""},
        {"repl-diskless-load", "x"},
        {"sanitize-dump-payload", "x"},
        {"propagation-error-behavior", "x"},
        {"tls-auth-clients", "x"},
        {"watchdog-period", "x"},
        {"dir", "/tmp"},
        {"DIR", "/tmp"},
        {"dbfilename", "../x"},
        {"logfile", "/tmp/x"},
        {"databases", "4"},
        {"Databases", "4"},
        {"unixsocketperm", "777"},
        {"enable-debug-command", "yes"},
        {"slaveof", "somewhere 1"},
        {"include", "x"},
        {"user", "x"},
        {"rename-command", "x y"},
        {"list-max-ziplist-entries", "1"},
        {"nosuch", "1"},
        {"no\r\nsuch", "1"},
        {"", "1"},
        {"port", "1", "timeout"},
        {"timeout", "1", "timeout", "2"},
        {"timeout", "1", "TIMEOUT", "2"},
        {"timeout", "1", "hz", "x"},
        {"timeout", "x", "nosuch", "1"},
        {"databases", "1", "nosuch", "2"},
        {"nosuch", "1", "databases", "2"},
        {"requirepass", "a", "requirepass", "b"},
    };
    return sets;
}

BOOST_AUTO_TEST_CASE(config_set_errors_are_those_of_redis_and_change_nothing,
                     *boost::unit_test::precondition(redis_is_here)) {
    const RedisOracle oracle;
    auto redis = oracle.connect();
    BOOST_TEST(bad_sets().size() >= 60);
    const std::string_view all = "*";
    const auto before = config_get(Config{}, std::span(&all, 1));
    for (const auto& pairs : bad_sets()) {
        BOOST_TEST_CONTEXT(pairs[0] << " " << (pairs.size() > 1 ? pairs[1] : "")) {
            Config config;
            const auto ours = set(config, pairs);
            BOOST_TEST(ours == set_in(redis, pairs));
            BOOST_TEST(ours.starts_with("ERR "));
            BOOST_TEST((config_get(config, std::span(&all, 1)) == before));
        }
    }
}

BOOST_AUTO_TEST_CASE(config_set_shows_values_as_redis_does,
                     *boost::unit_test::precondition(redis_is_here)) {
    const std::vector<Words> sets{
        {"appendfsync", "ALWAYS"},
        {"notify-keyspace-events", "KEA"},
        {"notify-keyspace-events", "Ag$lshzxeKEtmdn"},
        {"notify-keyspace-events", "nmg$KE"},
        {"notify-keyspace-events", ""},
        {"save", "10 2 3 4"},
        {"save", ""},
        {"save", "+1 1"},
        {"hz", "0"},
        {"hz", "1000"},
        {"maxmemory", ""},
        {"maxmemory", "kb"},
        {"maxmemory-clients", "50%"},
        {"maxmemory-clients", "0%"},
        {"maxmemory-clients", "2mb"},
        {"client-output-buffer-limit", "NORMAL 1mb 2kb 3 replica 1 1 1"},
        {"client-output-buffer-limit", ""},
        {"hash-max-ziplist-entries", "10", "hash-max-listpack-entries", "11"},
        {"hash-max-listpack-value", "1k"},
        {"hash-max-listpack-value", "1KB"},
        {"latency-tracking-info-percentiles", "50 99.95 0.00001"},
        {"latency-tracking-info-percentiles", "1e1"},
        {"latency-tracking-info-percentiles", "99.99999999"},
        {"latency-tracking-info-percentiles", ""},
        {"shutdown-on-sigint", "force now save"},
        {"shutdown-on-sigterm", "default"},
        {"proc-title-template", "{title} a}"},
        {"requirepass", ""},
        {"timeout", "5", "hz", "20", "slowlog-max-len", "0"},
        {"TCP-KEEPALIVE", "7"},
    };
    const RedisOracle oracle;
    auto redis = oracle.connect();
    Config config;
    for (const auto& pairs : sets) {
        for (std::size_t at = 0; at < pairs.size(); at += 2) {
            BOOST_TEST_CONTEXT(pairs[at] << " " << pairs[at + 1]) {
                if (at == 0) BOOST_TEST(set(config, pairs) == set_in(redis, pairs));
                const auto theirs = get_in(redis, pairs[at]);
                BOOST_TEST(theirs.contains(pairs[at]));
                BOOST_TEST(get_one(config, pairs[at]) == theirs.begin()->second);
            }
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::server
