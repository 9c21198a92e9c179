// The configuration: every row, how a text is taken apart, CONFIG GET, SET and REWRITE of what it
// says. Files and the command line: config_file_test; the table in the manual: config_manual_test.

#include "src/config.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "src/config_table.hpp"
#include "src/text/quote.hpp"
#include "tests/environment.hpp"
#include "tests/src/config_probe.hpp"

namespace firnlog::server {
namespace {

using test::get_one;
using test::parsed;
using test::set;
using test::Words;

std::string complaint_of(std::string_view text) {
    const auto config = parse_config_text(text);
    return config ? "" : config.error().message();
}

// Words that every row of that kind takes and that are not its default, where it has another.
Words other_value(const Row& row) {
    switch (row.kind) {
        case Kind::boolean:
            return {row.initial == "yes" ? "no" : "yes"};
        case Kind::number:
        case Kind::memory: {
            const auto low = std::to_string(row.min);
            return {low == initial_text(row) ? std::to_string(row.min + 1) : low};
        }
        case Kind::proportion:
            return {"50%"};
        case Kind::octal:
            return {"700"};
        case Kind::duration:
            return {"90s"};
        case Kind::choice:
        case Kind::choices: {
            const auto first = row.choices.substr(0, row.choices.find(", "));
            const auto second = row.choices.substr(first.size() + 2);
            return {
                std::string(first == row.initial ? second.substr(0, second.find(", ")) : first)};
        }
        case Kind::keep:
            return {"hourly:24,daily:7"};
        case Kind::save:
            return {"900", "1", "60", "1000"};
        case Kind::limits:
            return {"pubsub", "64mb", "16kb", "90"};
        case Kind::events:
            return {"KEA"};
        case Kind::addresses:
            return {"10.0.0.1", "-::2"};
        case Kind::percents:
            return {"12.5", "99.99"};
        case Kind::scores:
            return {"1", "2", "-3"};
        case Kind::master:
            return {"some.where", "6379"};
        default:
            return {"other-value"};
    }
}

std::string line_of(const Row& row, const Words& words) {
    std::string line(row.name);
    for (const auto& word : words) line += ' ' + text::quoted(word);
    return line;
}

BOOST_AUTO_TEST_SUITE(config)

BOOST_AUTO_TEST_CASE(the_defaults_of_the_struct_are_the_defaults_of_the_table) {
    Config config;
    config.dir.clear();
    for (const auto& row : config_rows()) {
        BOOST_TEST_CONTEXT(row.name) {
            if (row.kind == Kind::file) continue;
            BOOST_TEST(get_text(config, row) == initial_text(row));
        }
    }
    BOOST_TEST((parsed("").appendfsync == Fsync::always), "an acknowledged write is durable");
    BOOST_TEST(get_one(parsed(""), "bind") == "127.0.0.1 -::1");
}

BOOST_AUTO_TEST_CASE(every_row_says_what_it_needs_to) {
    std::set<std::string_view> names;
    for (const auto& row : config_rows()) {
        BOOST_TEST_CONTEXT(row.name) {
            BOOST_TEST(names.insert(row.name).second);
            if (!row.alias.empty()) BOOST_TEST(names.insert(row.alias).second);
            const bool explains = row.standing != Standing::honoured;
            BOOST_TEST(explains == !row.why.empty());
            if (row.standing == Standing::honoured && row.kind != Kind::file)
                BOOST_TEST((row.field != Field()), "nothing can read it");
            if (row.kind == Kind::choice || row.kind == Kind::choices)
                BOOST_TEST(row.choices.find(row.initial) != row.choices.npos);
        }
    }
}

BOOST_AUTO_TEST_CASE(every_row_can_be_set_read_and_rewritten_or_is_refused_with_its_reason) {
    for (const auto& row : config_rows()) {
        BOOST_TEST_CONTEXT(row.name) {
            if (row.kind == Kind::file) continue;
            const auto words = other_value(row);
            const auto line = line_of(row, words);
            if (row.standing == Standing::refused) {
                const auto complaint = complaint_of("\n" + line);
                BOOST_TEST(complaint.starts_with("config:2: " + std::string(row.name)));
                BOOST_TEST(complaint.ends_with("refused: " + std::string(row.why)));
                // Its default is no complaint.
                if (row.kind == Kind::master)
                    parsed("replicaof no one");
                else
                    parsed(line_of(row, {initial_text(row)}));
                continue;
            }
            const auto config = parsed(line + "\nunixsocket /some/where\n");
            const auto text = get_text(config, row);
            if (row.always.empty()) {
                if (row.name != "unixsocket") BOOST_TEST(text != initial_text(row));
            } else {
                BOOST_TEST(text == row.always);
            }
            const bool is_idle = row.standing == Standing::accepted;
            const bool is_told = std::ranges::any_of(config.notices, [&](const Notice& notice) {
                return notice.where == "config:1" && notice.text.starts_with(row.name) &&
                       notice.text.ends_with(row.why);
            });
            BOOST_TEST(is_told == (is_idle && (row.always.empty() || words[0] != row.always)));
            // Into an empty file and into one that has it already.
            for (const auto& old : {std::string(), line + "\n"}) {
                const auto rewritten = rewrite_text(old, config);
                BOOST_TEST(get_text(parsed(rewritten), row) == text);
                BOOST_TEST(rewrite_text(rewritten, config) == rewritten);
            }
            // And back to the default over an old line.
            Config initial;
            initial.port = 1;
            BOOST_TEST(get_text(parsed(rewrite_text(line, initial)), row) ==
                       (row.name == "port" ? "1" : initial_text(row)));
        }
    }
}

BOOST_AUTO_TEST_CASE(an_alias_is_the_same_row) {
    for (const auto& row : config_rows()) {
        if (row.alias.empty() || row.standing == Standing::refused) continue;
        BOOST_TEST_CONTEXT(row.alias) {
            const auto words = other_value(row);
            auto config = parsed(std::string(row.alias) + ' ' + words[0]);
            BOOST_TEST(get_one(config, row.name) == get_one(config, row.alias));
            BOOST_TEST(get_one(config, row.name) != initial_text(row));
            // Rewritten under today's name, once.
            const auto text = rewrite_text(std::string(row.alias) + " 1\n", config);
            BOOST_TEST(text.find(row.alias) == text.npos);
            BOOST_TEST(get_text(parsed(text), row) == get_text(config, row));
        }
    }
}

BOOST_AUTO_TEST_CASE(config_get_finds_names_as_redis_does) {
    Config config;
    const auto names = [&](std::vector<std::string_view> patterns) {
        std::vector<std::string> found;
        for (const auto& [name, value] : config_get(config, patterns)) found.push_back(name);
        return found;
    };
    BOOST_TEST(names({"PORT"}) == Words{"PORT"}, boost::test_tools::per_element());
    BOOST_TEST(names({"P[o]RT"}) == Words{"port"}, boost::test_tools::per_element());
    BOOST_TEST(names({"port", "po*", "PORT"}) == Words{"port"}, boost::test_tools::per_element());
    BOOST_TEST(names({"hash-max-*-entries"}) ==
                   (Words{"hash-max-listpack-entries", "hash-max-ziplist-entries"}),
               boost::test_tools::per_element());
    BOOST_TEST(names({"watchdog*"}).empty());
    BOOST_TEST(names({"watchdog-period"}).size() == 1);
    BOOST_TEST(names({"include"}).empty());
    BOOST_TEST(names({"nosuch"}).empty());
    BOOST_TEST(names({""}).empty());
}

BOOST_AUTO_TEST_CASE(config_set_tells_what_changed_and_what_has_no_effect) {
    const std::vector<std::string_view> pairs{"appendfsync", "everysec", "timeout",        "0",
                                              "appendonly",  "no",       "rdbcompression", "no"};
    const auto done = config_set(Config{}, pairs);
    BOOST_REQUIRE(done);
    BOOST_REQUIRE(done->changed.size() == 2);
    BOOST_TEST(done->changed[0]->name == "appendfsync");
    BOOST_TEST(done->changed[1]->name == "rdbcompression");
    BOOST_TEST(done->notices.size() == 2);
    BOOST_TEST((done->config.appendfsync == Fsync::everysec));
    BOOST_TEST(get_one(done->config, "appendonly") == "yes");
}

BOOST_AUTO_TEST_CASE(config_set_refuses_what_firnlog_will_not_do) {
    Config config;
    BOOST_TEST(
        set(config, {"maxmemory-policy", "allkeys-lru"}).starts_with("ERR CONFIG SET failed"));
    BOOST_TEST(set(config, {"min-slaves-to-write", "1"}).find("'min-slaves-to-write'") !=
               std::string::npos);
    BOOST_TEST(set(config, {"maxmemory", "100mb", "maxmemory-policy", "noeviction"}) == "OK");
}

BOOST_AUTO_TEST_CASE(the_store_never_moves_and_protected_rows_need_leave) {
    auto config = parsed("enable-protected-configs local");
    const std::string protected_error =
        "ERR CONFIG SET failed (possibly related to argument 'dbfilename') - can't set protected "
        "config";
    BOOST_TEST(set(config, {"dbfilename", "x.rdb"}) == protected_error);
    BOOST_TEST(set(config, {"dbfilename", "x.rdb"}, {.local = true}) == "OK");
    BOOST_TEST(set(config, {"dir", "/"}, {.local = true}).ends_with("can't set immutable config"));
    config = parsed("enable-protected-configs yes");
    BOOST_TEST(set(config, {"dbfilename", "x.rdb"}) == "OK");
    BOOST_TEST(set(config, {"dir", "/"}).ends_with("can't set immutable config"));
}

BOOST_AUTO_TEST_CASE(while_loading_some_rows_wait) {
    Config config;
    const std::string loading = "LOADING Redis is loading the dataset in memory";
    BOOST_TEST(set(config, {"appendonly", "yes"}, {.loading = true}) == loading);
    BOOST_TEST(set(config, {"appendfsync", "no"}, {.loading = true}) == "OK");
}

BOOST_AUTO_TEST_CASE(an_unknown_name_is_echoed_short_and_clean) {
    Config config;
    const auto error = set(config, {std::string(1000, 'a') + "\x01", "1"});
    BOOST_TEST(error.size() < 200);
    const auto clean = set(config, {"a\x01\x7f\r\nb", "1"});
    BOOST_TEST(std::ranges::none_of(clean, [](char c) { return c < ' ' || c == 0x7f; }));
}

BOOST_AUTO_TEST_CASE(an_error_names_the_line_the_directive_and_the_nearest_name) {
    BOOST_TEST(complaint_of("# one\n\nport 1\n  prot 7000\n") ==
               "config:4: unknown directive 'prot'; did you mean 'port'?");
    BOOST_TEST(complaint_of("apendfsync no") ==
               "config:1: unknown directive 'apendfsync'; did you mean 'appendfsync'?");
    BOOST_TEST(complaint_of("port=7000") ==
               "config:1: unknown directive 'port=7000'; name and value are separated by a blank, "
               "not by '='");
    BOOST_TEST(complaint_of("completely-else 1") ==
               "config:1: unknown directive 'completely-else'");
    BOOST_TEST(complaint_of("port 70000") ==
               "config:1: port 70000: argument must be between 0 and 65535 inclusive");
    BOOST_TEST(complaint_of("port") == "config:1: port: wrong number of arguments");
    BOOST_TEST(complaint_of("port 1 2") == "config:1: port 1 2: wrong number of arguments");
    BOOST_TEST(
        complaint_of("requirepass a b") == "config:1: requirepass: wrong number of arguments",
        "a password is no text for a log");
    BOOST_TEST(complaint_of("logfile \"x") == "config:1: unbalanced quotes");
    BOOST_TEST(complaint_of("logfile 'a'b") == "config:1: unbalanced quotes");
    BOOST_TEST(complaint_of(std::string_view("logfile a\0b", 11)) ==
               "config:1: the line contains a NUL byte");
    BOOST_TEST(complaint_of("unixsocketperm 1777") ==
               "config:1: unixsocketperm 1777: argument must be between 0 and 777 inclusive");
    BOOST_TEST(complaint_of("port 0") ==
               "nothing to listen on: port is 0 and unixsocket is not set");
    BOOST_TEST(complaint_of("loadmodule /x.so a").starts_with("config:1: loadmodule: "));
    BOOST_TEST(complaint_of("user bob on").starts_with("config:1: user: "));
    BOOST_TEST(
        complaint_of("sentinel monitor m 127.0.0.1 1 1").starts_with("config:1: sentinel: "));
    BOOST_TEST(complaint_of("daemon.thing x").starts_with("config:1: unknown directive"));
    BOOST_TEST(complaint_of("include x") == "config:1: include: other files are out of reach here");
}

BOOST_AUTO_TEST_CASE(lines_are_taken_apart_as_redis_does) {
    BOOST_TEST(parsed("logfile \"a\\x41\\n\"").logfile == "aA\n");
    BOOST_TEST(parsed("logfile 'it\\'s'").logfile == "it's");
    BOOST_TEST(parsed("logfile foo\"bar\"").logfile == "foobar");
    BOOST_TEST(parsed("logfile a#b").logfile == "a#b");
    BOOST_TEST(parsed("\t LogFile \t x \t\r\n").logfile == "x");
    BOOST_TEST(parsed("#logfile x").logfile.empty());
    BOOST_TEST(parsed("requirepass \"\"").requirepass.empty());
    BOOST_TEST(parsed("unixsocketperm 0700").unixsocketperm == 0700);
    BOOST_TEST(parsed("tail-memory 1gb").tail_memory == 1ULL << 30);
    BOOST_TEST(parsed("tail-memory 100m").tail_memory == 100'000'000ULL);
    BOOST_TEST(parsed("maxclients 7").maxclients == 7);
    BOOST_TEST(parsed("bind").bind.empty());
    BOOST_TEST(parsed("bind \"\"").bind.empty());
    BOOST_TEST(parsed("bind * -::*").bind == (Words{"*", "-::*"}),
               boost::test_tools::per_element());
    BOOST_TEST(parsed("replicaof no one").others.empty());
    parsed("user default on nopass sanitize-payload ~* &* +@all");
    parsed("list-max-ziplist-entries 128\nlua-replicate-commands yes");
}

BOOST_AUTO_TEST_CASE(directives_that_repeat_add_up_where_redis_adds_them_up) {
    const auto saves = [](std::string_view text) { return get_one(parsed(text), "save"); };
    BOOST_TEST(saves("save 900 1\nsave 60 5 30 7") == "900 1 60 5 30 7");
    BOOST_TEST(saves("save 900 1\nsave \"\"") == "");
    BOOST_TEST(saves("save \"\"\nsave 5 6") == "5 6");
    BOOST_TEST(saves("") == "3600 1 300 100 60 10000");
    BOOST_TEST(get_one(parsed("client-output-buffer-limit normal 1 2 3\n"
                              "client-output-buffer-limit replica 4 5 6\n"),
                       "client-output-buffer-limit") ==
               "normal 1 2 3 slave 4 5 6 pubsub 33554432 8388608 60");
    BOOST_TEST(parsed("port 1\nport 2").port == 2);
    BOOST_TEST(parsed("bind 1.1.1.1 2.2.2.2\nbind 3.3.3.3").bind.size() == 1);

    const auto config =
        parsed("rename-command FLUSHALL \"\"\nrename-command Config  admin-CONFIG\n");
    BOOST_REQUIRE(config.renames.size() == 2);
    BOOST_TEST((config.renames[0] == Rename{"flushall", "", "config:1"}));
    BOOST_TEST((config.renames[1] == Rename{"config", "admin-config", "config:2"}));
    BOOST_TEST(complaint_of("rename-command get x\nrename-command set X") ==
               "config:2: rename-command set X: config:1 has taken that name already");
    BOOST_TEST(complaint_of("rename-command get").starts_with("config:1: rename-command"));
}

BOOST_AUTO_TEST_CASE(too_much_is_refused) {
    BOOST_TEST(complaint_of("port 1\nlogfile " + std::string(kConfigLineBytesMax, 'x')) ==
               "config:2: the line is longer than 65536 bytes");
    BOOST_TEST(complaint_of(std::string(kConfigFileBytesMax + 1, '\n')) ==
               "config: it is larger than 1048576 bytes");
    parsed(std::string(kConfigFileBytesMax, '\n'));
    std::string renames;
    for (int i = 0; i < 1001; ++i)
        renames += "rename-command a" + std::to_string(i) + " b" + std::to_string(i) + "\n";
    BOOST_TEST(complaint_of(renames).starts_with("config:1001: rename-command"));
    BOOST_TEST(complaint_of("logfile " + std::string(8193, 'x')).ends_with("than 8192 bytes"));
}

BOOST_AUTO_TEST_CASE(what_config_set_accepts_loads_again) {
    std::string nasty;
    for (int i = 0; i < 8192; ++i) nasty += static_cast<char>(i * 7);
    std::string many_rules;
    for (int i = 0; i < 1000; ++i) many_rules += (i == 0 ? "" : " ") + std::to_string(i + 1) + " 1";
    std::string many_percents = "1";
    for (int i = 1; i < 1000; ++i) many_percents += " 99.999999";
    Config config;
    BOOST_TEST(set(config, {"requirepass", nasty, "save", many_rules, "bind",
                            std::string(8000, 'x') + " #a \"q\"", "masterauth", nasty,
                            "latency-tracking-info-percentiles", many_percents,
                            "notify-keyspace-events", "AnE"}) == "OK");
    const auto again = parsed(rewrite_text("", config));
    BOOST_TEST((again.requirepass == nasty));
    BOOST_TEST((again.others == config.others));
    BOOST_TEST((again.save == config.save));
    BOOST_TEST((again.bind == config.bind));
    BOOST_TEST(again.notify_keyspace_events == config.notify_keyspace_events);
    BOOST_TEST(
        (again.latency_tracking_info_percentiles == config.latency_tracking_info_percentiles));
    BOOST_TEST(set(config, {"save", many_rules + " 1 1"}) != "OK");
    BOOST_TEST(set(config, {"requirepass", nasty + "x"}) != "OK");
}

BOOST_AUTO_TEST_CASE(threads_follow_the_cores) {
    for (const auto& [cores, threads] : std::vector<std::pair<unsigned, int>>{
             {0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 2}, {6, 3}, {16, 8}, {128, 8}})
        BOOST_TEST(threads_for(cores) == threads, cores);
}

// Lines made of words of the table and of rubbish: nothing crashes, and what is taken loads again
// after a rewrite with the same values.
BOOST_AUTO_TEST_CASE(no_text_can_crash_it_and_what_it_takes_survives_a_rewrite) {
    const auto seed = fresh_seed();
    BOOST_TEST_CONTEXT("FIRNLOG_SEED=" << seed) {
        std::mt19937_64 random(seed);
        const auto below = [&](std::size_t bound) {
            return static_cast<std::size_t>(random() % bound);
        };
        const std::vector<std::string> words{
            "0",    "1",    "-1",       "yes",    "no",  "always", "1kb",   "99999999999999999999",
            "\"\"", "\"a",  "'",        "normal", "50%", "700",    "slave", "9223372036854775807",
            "KEA",  "\\x0", "127.0.0.1"};
        const auto rows = config_rows();
        std::size_t accepted = 0;
        for (int round = 0; round < 20'000; ++round) {
            std::string text;
            for (std::size_t lines = below(4) + 1; lines-- > 0; text += '\n') {
                const auto& row = rows[below(rows.size())];
                text += row.name;
                for (std::size_t count = below(5); count-- > 0;)
                    text += ' ' + words[below(words.size())];
            }
            if (below(4) == 0) text[below(text.size())] = static_cast<char>(random());
            const auto config = parse_config_text(text);
            if (!config) {
                BOOST_REQUIRE(!config.error().message().empty());
                continue;
            }
            ++accepted;
            const auto again = parse_config_text(rewrite_text(below(2) == 0 ? "" : text, *config));
            BOOST_REQUIRE_MESSAGE(again, text << (again ? "" : again.error().message()));
            const std::string_view all = "*";
            BOOST_REQUIRE_MESSAGE(
                (config_get(*config, std::span(&all, 1)) == config_get(*again, std::span(&all, 1))),
                text);
        }
        BOOST_TEST(accepted > 100U);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::server
