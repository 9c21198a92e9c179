#include "src/commands/command_table.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "src/commands/command_command.hpp"
#include "src/commands/syntax.hpp"

// The rows as a whole: every one is complete, is found by its name, and stands in docs/commands.md.

namespace firnlog::server {
namespace {

struct Built {
    Built() {
        if (const auto wrong = CommandTable::build({})) throw std::runtime_error(*wrong);
    }
};

template <class Visit>
void for_each_row(Visit&& visit) {
    for (const auto* command : CommandTable::get().all()) {
        visit(*command);
        for (const auto& subcommand : command->subcommands) visit(subcommand);
    }
}

std::vector<std::string_view> words(const std::string& line) {
    std::vector<std::string_view> found;
    for (std::size_t at = 0; at < line.size();) {
        const auto end = std::min(line.find(' ', at), line.size());
        found.push_back(std::string_view(line).substr(at, end - at));
        at = end + 1;
    }
    return found;
}

// "1 2 3", or "no".
std::string keys_of(const std::string& line) {
    const auto args = words(line);
    const auto* command = CommandTable::get().find(args);
    BOOST_REQUIRE(command != nullptr);
    std::vector<KeyPlace> places;
    if (!find_keys(*command, args, places)) return "no";
    std::string text;
    for (const auto place : places) text += (text.empty() ? "" : " ") + std::to_string(place.index);
    return text;
}

std::string read_file(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

BOOST_FIXTURE_TEST_SUITE(command_table, Built)

BOOST_AUTO_TEST_CASE(a_command_is_found_by_its_name_in_any_letter_case) {
    const auto& table = CommandTable::get();
    for (const auto* name : {"get", "GET", "gEt"}) {
        const auto* found = table.find(std::string_view(name));
        BOOST_REQUIRE(found != nullptr);
        BOOST_TEST(found->name == "get");
    }
    for (const auto* name : {"", "ge", "gett", "client|list", "g\0t"})
        BOOST_TEST(table.find(std::string_view(name)) == nullptr);
    BOOST_TEST(table.find_full("CLIENT|list")->name == "client|list");
    BOOST_TEST(table.find_full("client|nosuch") == nullptr);
    BOOST_TEST(table.find_full("nosuch|list") == nullptr);
}

BOOST_AUTO_TEST_CASE(a_subcommand_is_found_by_its_second_word) {
    const auto& table = CommandTable::get();
    const auto find = [&table](const std::string& line) { return table.find(words(line)); };
    BOOST_TEST(find("CLIENT LIST")->name == "client|list");
    BOOST_TEST(find("client")->name == "client");
    BOOST_TEST(find("client nosuch") == nullptr);
    BOOST_TEST(find("nosuch list") == nullptr);
    BOOST_TEST(find("get list")->name == "get");
}

BOOST_AUTO_TEST_CASE(every_row_is_numbered_once) {
    const auto& table = CommandTable::get();
    std::set<std::size_t> seen;
    for_each_row([&](const Command& row) {
        const auto index = table.index_of(row);
        BOOST_TEST(seen.insert(index).second);
        BOOST_TEST(&table.row(index) == &row);
    });
    BOOST_TEST(seen.size() == table.size());
    BOOST_TEST(*seen.rbegin() == table.size() - 1);
}

BOOST_AUTO_TEST_CASE(every_row_is_complete) {
    for_each_row([](const Command& row) {
        BOOST_TEST_CONTEXT(row.name) {
            BOOST_TEST((row.handler != nullptr || !row.subcommands.empty()));
            BOOST_TEST(row.arity != 0);
            BOOST_TEST(!row.summary.empty());
            BOOST_TEST(!row.since.empty());
            BOOST_TEST(!row.group.empty());
            BOOST_TEST(syntax::parse(row.syntax).has_value());
            for (const auto& subcommand : row.subcommands)
                BOOST_TEST(subcommand.name.starts_with(std::string(row.name) + "|"));
            for (const auto& spec : row.keys) BOOST_TEST(spec.first > 0);
        }
    });
}

BOOST_AUTO_TEST_CASE(keys_stand_where_the_row_says) {
    BOOST_TEST(keys_of("get a") == "1");
    BOOST_TEST(keys_of("set a b EX 5") == "1");
    BOOST_TEST(keys_of("mset a 1 b 2 c 3") == "1 3 5");
    BOOST_TEST(keys_of("del a b c") == "1 2 3");
    BOOST_TEST(keys_of("rename a b") == "1 2");
    BOOST_TEST(keys_of("bitop and a b c") == "2 3 4");
    BOOST_TEST(keys_of("memory usage a") == "2");
    BOOST_TEST(keys_of("ping") == "");
    BOOST_TEST(keys_of("spublish a b") == "");
    BOOST_TEST(keys_of("firn durable always mset a 1 b 2") == "4 6");
    BOOST_TEST(keys_of("firn durable always nosuch a") == "no");
    BOOST_TEST(keys_of("firn durable always get") == "no");
    BOOST_TEST(keys_of("firn durable always firn durable no get a") == "no");
}

BOOST_AUTO_TEST_CASE(counted_keys_stand_behind_their_count) {
    static constexpr KeySpec kSpecs[] = {{.first = 1, .last = 1}, {.first = 1, .keynum = 2}};
    const Command row{.name = "counted", .arity = -4, .keys = kSpecs};
    const auto found = [&row](const std::string& line) -> std::string {
        std::vector<KeyPlace> places;
        if (!find_keys(row, words(line), places)) return "no";
        std::string text;
        for (const auto place : places)
            text += (text.empty() ? "" : " ") + std::to_string(place.index);
        return text;
    };
    BOOST_TEST(found("counted to 2 a b weights") == "1 3 4");
    BOOST_TEST(found("counted to 0 a") == "1");
    for (const auto* count : {"3", "-1", "x", "99999999999999999999", "9223372036854775807", ""})
        BOOST_TEST(found("counted to " + std::string(count) + " a b") == "no");
}

BOOST_AUTO_TEST_CASE(a_renamed_command_has_its_new_name_alone) {
    using Renaming = CommandTable::Renaming;
    const std::vector<Renaming> renamings{{"get", "Fetch"}, {"SET", ""}, {"fetch", "gone"}};
    BOOST_TEST(!CommandTable::build(renamings).has_value());
    const auto& table = CommandTable::get();
    BOOST_TEST(table.find("get") == nullptr);
    BOOST_TEST(table.find("fetch") == nullptr);
    BOOST_TEST(table.find("set") == nullptr);
    BOOST_TEST(table.find("GONE")->name == "get");
    for (const auto& wrong : {Renaming{"nosuch", "x"}, Renaming{"get", "set"}})
        BOOST_TEST(CommandTable::build({&wrong, 1}).has_value());
    // A table that could not be built leaves the old one.
    BOOST_TEST(table.find("gone") != nullptr);
}

BOOST_AUTO_TEST_CASE(categories_follow_from_flags_and_group) {
    const auto& table = CommandTable::get();
    BOOST_TEST(in_category(*table.find("get"), "READ"));
    BOOST_TEST(in_category(*table.find("get"), "string"));
    BOOST_TEST(in_category(*table.find("get"), "fast"));
    BOOST_TEST(!in_category(*table.find("get"), "slow"));
    BOOST_TEST(!in_category(*table.find("get"), "nosuch"));
    BOOST_TEST(in_category(*table.find_full("client|kill"), "dangerous"));
    BOOST_TEST(!in_category(*table.find("client"), "connection"));
}

// FIRNLOG_UPDATE_DOCS=1 writes the tables anew.
BOOST_AUTO_TEST_CASE(the_document_has_every_row) {
    const std::string path = std::string(FIRNLOG_ROOT) + "/docs/commands.md";
    const std::string_view begin = "<!-- the tables: written by tests/src -->\n\n";
    const std::string_view end = "<!-- the tables end -->\n";
    auto text = read_file(path);
    const auto from = text.find(begin);
    const auto to = text.find(end);
    BOOST_REQUIRE(from != text.npos);
    BOOST_REQUIRE(to != text.npos);
    const auto at = from + begin.size();
    const auto tables = commands_markdown();
    if (std::getenv("FIRNLOG_UPDATE_DOCS") != nullptr) {
        text.replace(at, to - at, tables);
        std::ofstream(path) << text;
        return;
    }
    BOOST_TEST((text.substr(at, to - at) == tables),
               "docs/commands.md differs from the rows; FIRNLOG_UPDATE_DOCS=1 writes it anew");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(syntax_text)

std::string shown(const std::vector<syntax::Argument>& arguments) {
    std::string text;
    for (const auto& argument : arguments) {
        if (!text.empty()) text += " ";
        std::string one = argument.token.empty() ? "" : argument.token + "=";
        one += argument.parts.empty() ? argument.name
                                      : (argument.type == syntax::Type::one_of ? "any(" : "all(") +
                                            shown(argument.parts) + ")";
        if (argument.multiple) one += "+";
        if (argument.optional) one += "?";
        text += one;
    }
    return text;
}

std::string parsed(std::string_view text) {
    const auto arguments = syntax::parse(text);
    return arguments ? shown(*arguments) : "wrong";
}

BOOST_AUTO_TEST_CASE(a_syntax_is_a_tree_of_arguments) {
    BOOST_TEST(parsed("") == "");
    BOOST_TEST(parsed("key") == "key");
    BOOST_TEST(parsed("key value [key value ...]") == "all(key value)+");
    BOOST_TEST(parsed("key [key ...]") == "key+");
    BOOST_TEST(parsed("[name [name ...]]") == "name+?");
    BOOST_TEST(parsed("key [NX | XX] [EX seconds | KEEPTTL]") ==
               "key any(NX=nx XX=xx)? any(EX=seconds KEEPTTL=keepttl)?");
    BOOST_TEST(parsed("[AUTH username password]") == "AUTH=all(username password)?");
    BOOST_TEST(parsed("<a | B c | d e>") == "any(a B=c all(d e))");
    BOOST_TEST(parsed("OVERFLOW <WRAP | SAT>") == "OVERFLOW=any(WRAP=wrap SAT=sat)");
    BOOST_TEST(parsed("[GET type offset [GET type offset ...]]") == "GET=all(type offset)+?");
    BOOST_TEST(parsed("<a | b> [...]") == "any(a b)+");
}

BOOST_AUTO_TEST_CASE(a_syntax_that_does_not_balance_is_refused) {
    for (const auto* text : {"[", "]", "<a", "a>", "[a>", "a |", "[a | ]", "a ..."})
        BOOST_TEST(parsed(text) == "wrong");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::server
