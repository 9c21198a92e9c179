// A policy sets what follows from it, and nothing that somebody has said by himself.

#include "src/backup_policy.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <string>

#include "src/config_table.hpp"
#include "tests/src/config_probe.hpp"

namespace firnlog::server {
namespace {

using test::get_one;
using test::parsed;
using test::set;

std::string expected(const BackupPolicyRow& policy, const PolicyDirective& directive) {
    const auto text = std::string(policy.*directive.text);
    return text.empty() ? initial_text(*find_row(directive.name).row) : text;
}

void is_in_force(const Config& config, const BackupPolicyRow& policy) {
    BOOST_TEST(get_one(config, "backup-policy") == policy.name);
    for (const auto& directive : kPolicyDirectives)
        BOOST_TEST(get_one(config, directive.name) == expected(policy, directive));
}

std::string duration(std::int64_t seconds) {
    if (seconds == 0) return "never";
    return seconds % 3600 == 0 ? std::to_string(seconds / 3600) + "h"
                               : std::to_string(seconds / 60) + "m";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(backup_policy)

BOOST_AUTO_TEST_CASE(the_manual_has_the_table) {
    const auto manual = test::content_of(std::string(FIRNLOG_ROOT) + "/docs/operations.md");
    const auto begin = manual.find("<!-- backup policies: begin -->");
    BOOST_REQUIRE(begin != manual.npos);
    const auto table = manual.substr(begin, manual.find("policies: end -->", begin) - begin);
    for (const auto& policy : kBackupPolicies) {
        std::string line = "| `" + std::string(policy.name) + "` |";
        for (const auto& directive : kPolicyDirectives) {
            const auto text = std::string(policy.*directive.text);
            line += " " + (text.empty() ? "its own default" : text) + " |";
        }
        line += " " + duration(policy.every_s) + " |\n";
        BOOST_TEST(table.find(line) != table.npos, line << "is missing");
    }
    BOOST_TEST(std::ranges::count(table, '\n') == 3 + std::ssize(kBackupPolicies));
}

BOOST_AUTO_TEST_CASE(it_sets_what_nobody_has_given_and_is_changed_and_taken_back) {
    for (const auto& policy : kBackupPolicies) BOOST_TEST_CONTEXT(policy.name) {
            auto config = parsed("backup-policy " + std::string(policy.name) + "\n");
            is_in_force(config, policy);
            for (const auto& other : kBackupPolicies) {
                BOOST_TEST(set(config, {"backup-policy", std::string(other.name)}) == "OK");
                is_in_force(config, other);
            }
        }
    is_in_force(Config{}, kBackupPolicies.back());
    // The order of the words is that of the rows.
    const auto& row = *find_row("backup-policy").row;
    std::string names;
    for (const auto& policy : kBackupPolicies)
        names += (names.empty() ? "" : ", ") + std::string(policy.name);
    BOOST_TEST(row.choices == names);
}

BOOST_AUTO_TEST_CASE(what_is_given_by_itself_wins_whatever_the_order) {
    for (const auto* text :
         {"retain 3h\nbackup-policy weekly\n", "backup-policy weekly\nretain 3h\n"}) {
        auto config = parsed(text);
        BOOST_TEST(get_one(config, "retain") == "3h");
        BOOST_TEST(get_one(config, "save") == "86400 1");
        BOOST_TEST(set(config, {"backup-policy", "daily"}) == "OK");
        BOOST_TEST(get_one(config, "retain") == "3h");
        BOOST_TEST(get_one(config, "save") == "3600 1");
        // No rules are an answer, too.
        BOOST_TEST(set(config, {"save", ""}) == "OK");
        BOOST_TEST(set(config, {"backup-policy", "none"}) == "OK");
        BOOST_TEST(get_one(config, "save").empty());
        BOOST_TEST(get_one(config, "retain") == "3h");
    }
    BOOST_TEST(get_one(parsed("save \"\"\nbackup-policy hourly\n"), "save").empty());
    const auto lines = parsed("save 60 5\nbackup-policy hourly\nsave 70 6\n");
    BOOST_TEST(get_one(lines, "save") == "60 5 70 6");
    // Its own default, said aloud, is as good as any.
    BOOST_TEST(get_one(parsed("backup-policy daily\nretain 24h\n"), "retain") == "24h");
    Config config;
    BOOST_TEST(set(config, {"backup-policy", "daily", "retain", "24h"}) == "OK");
    BOOST_TEST(get_one(config, "retain") == "24h");
    BOOST_TEST(get_one(config, "save") == "3600 1");
    // What no policy sets is left alone by all of them.
    config.retain_bytes = 7;
    config.backup_dir = "/b";
    BOOST_TEST(set(config, {"backup-policy", "continuous"}) == "OK");
    BOOST_TEST(config.retain_bytes == 7U);
    BOOST_TEST(config.backup_dir == "/b");
    BOOST_TEST(set(config, {"backup-policy", "yearly"}).starts_with("ERR "));
    BOOST_TEST(get_one(config, "backup-policy") == "continuous");
}

BOOST_AUTO_TEST_CASE(a_rewrite_has_the_policy_and_what_was_given_and_loads_as_the_same) {
    const std::string_view texts[] = {
        "backup-policy weekly\n", "# mine\nbackup-policy daily\nretain 24h\n",
        "save 60 5\nbackup-policy hourly\nsave 70 6\n", "backup-policy continuous\nsave \"\"\n",
        "keep \"\"\nbackup-policy daily\n"};
    for (const auto text : texts) BOOST_TEST_CONTEXT(text) {
            const auto config = parsed(text);
            const auto rewritten = rewrite_text(text, config);
            const auto again = parsed(rewritten);
            for (const auto* name : {"backup-policy", "retain", "keep", "save"})
                BOOST_TEST(get_one(again, name) == get_one(config, name));
            BOOST_TEST(again.given == config.given, boost::test_tools::per_element());
            for (const auto& directive : kPolicyDirectives) {
                const auto given = std::ranges::count(config.given, directive.name) != 0;
                const auto line = "\n" + std::string(directive.name) + " ";
                BOOST_TEST((("\n" + rewritten).find(line) != std::string::npos) == given);
            }
        }
    // Of a file that said nothing, what CONFIG SET has made of it.
    Config config;
    BOOST_TEST(set(config, {"backup-policy", "daily", "retain", "12h"}) == "OK");
    const auto text = rewrite_text("", config);
    BOOST_TEST(text.find("backup-policy daily\n") != text.npos);
    BOOST_TEST(text.find("retain 12h\n") != text.npos);
    BOOST_TEST(text.find("save") == text.npos);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::server
