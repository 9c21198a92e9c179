#include "src/crashtest/matrix.hpp"

#include <boost/test/unit_test.hpp>

#include "src/crashtest/report.hpp"

namespace firnlog::crashtest {
namespace {

constexpr std::string_view kText = R"(
title = "Side by side"
[defaults]
mode = ["always", "no"]
cycles = 7
seed = 5
[[server]]
name = "One"
start = "one {port} {dir} {mode}"
[[server]]
name = "Two"
start = "two {port} {dir}"
cycles = 8
[[row]]
name = "SIGKILL"
fs = ["ext4", "xfs"]
[[row]]
name = "power cut"
kill = "power"
mode = "always"
fs = ["ext4", "xfs"]
cycles = 9
Two.cycles = 10
)";

Matrix read(std::string_view text) {
    Matrix matrix;
    const auto wrong = read_matrix(text, std::nullopt, matrix);
    BOOST_REQUIRE_MESSAGE(!wrong.has_value(), wrong.value_or(""));
    return matrix;
}

BOOST_AUTO_TEST_SUITE(src)
BOOST_AUTO_TEST_SUITE(crash_matrix)

BOOST_AUTO_TEST_CASE(a_cell_is_a_server_in_a_row_a_mode_and_a_file_system) {
    const auto matrix = read(kText);
    std::vector<std::string> files;
    files.reserve(matrix.cells.size());
    for (const auto& cell : matrix.cells) files.push_back(cell.file);
    // SIGKILL needs no disk of ours, so file systems make no difference to it.
    const std::vector<std::string> expected{
        "one-sigkill-always",        "one-sigkill-no",
        "two-sigkill-always",        "two-sigkill-no",
        "one-power-cut-ext4-always", "one-power-cut-xfs-always",
        "two-power-cut-ext4-always", "two-power-cut-xfs-always"};
    BOOST_TEST(files == expected, boost::test_tools::per_element());
    BOOST_TEST(matrix.cells[1].options.start == "one {port} {dir} no");
    BOOST_TEST(matrix.cells[1].options.loss_ms_max == -1);
}

BOOST_AUTO_TEST_CASE(what_is_said_more_nearly_counts_more) {
    const auto matrix = read(kText);
    BOOST_TEST(matrix.cells[0].options.cycles == 7U);
    BOOST_TEST(matrix.cells[2].options.cycles == 8U);
    BOOST_TEST(matrix.cells[4].options.cycles == 9U);
    BOOST_TEST(matrix.cells[6].options.cycles == 10U);
    for (const auto& cell : matrix.cells) BOOST_TEST(cell.options.seed == 5U);
    Matrix other;
    BOOST_TEST(!read_matrix(kText, 77, other).has_value());
    for (const auto& cell : other.cells) BOOST_TEST(cell.options.seed == 77U);
}

BOOST_AUTO_TEST_CASE(what_is_wrong_with_a_matrix_is_told) {
    const std::string server = "[[server]]\nname = 'a'\nstart = 'a {port} {dir}'\n";
    const std::string row = "[[row]]\nname = 'r'\n", whole = server + row;
    const std::string of_nobody = server + "a.cycles = 3\n";
    for (const auto& [text, word] : std::vector<std::pair<std::string, std::string>>{
             {"[[server", "line 1"},
             {row, "[[server]]"},
             {server, "[[row]]"},
             {server + "[[row]]\nkill = 'power'", "no name"},
             {whole + "kill = 'gently'", "gently"},
             {whole + "speed = 3", "speed"},
             {whole + "json = 'x'", "json"},
             {whole + "cycles = [1, 2]", "list"},
             {whole + row, "two cells"},
             {whole + "b.cycles = 3", "b is neither"},
             {whole + "a.name = 'b'", "name of a"},
             {whole + "a.cycles = [3]", "list"},
             {of_nobody + row, "a must be"},
             {"[defaults]\na.cycles = 3\n" + whole, "a must be"},
             {"speed = 1\n" + whole, "speed"}}) {
        Matrix matrix;
        const auto wrong = read_matrix(text, std::nullopt, matrix);
        BOOST_TEST_REQUIRE(wrong.has_value(), text);
        BOOST_TEST(wrong->find(word) != std::string::npos, *wrong);
    }
}

BOOST_AUTO_TEST_CASE(the_table_says_in_words_what_each_cell_found) {
    auto matrix = read(kText);
    auto& held = matrix.cells[0].outcome;
    held.cycles.push_back({.number = 1, .ended = "held", .acks = 1'234'567, .recovery_ms = 3});
    auto& broken = matrix.cells[4].outcome;
    broken.cycles.push_back({.number = 1, .ended = "held", .acks = 10, .recovery_ms = 4});
    broken.cycles.push_back({.number = 2,
                             .ended = "violated",
                             .acks = 10,
                             .lost = 2,
                             .loss_ms = 41,
                             .recovery_ms = 8,
                             .violations = 1});
    broken.found.push_back({.cycle = 2, .violation = {"lost-ack", "two are lost", {}}});
    BOOST_TEST(summary(matrix.cells[0]) ==
               "held: 1 cycle, 0 of 1,234,567 lost; recovery 3 ms, p99 3 ms");
    BOOST_TEST(summary(matrix.cells[4]) ==
               "VIOLATED: 1 of 2 cycles: lost-ack 1; 2 of 20 lost, the oldest 41 ms old; recovery "
               "4 ms, p99 8 ms");
    BOOST_TEST(summary(matrix.cells[1]) == "not run");
    auto& failing = matrix.cells[5].outcome;
    for (const char* const answer : {"refused writes", "refused writes", "ended"})
        failing.cycles.push_back(
            {.ended = "held", .on_fault = answer, .words = "IOERR by " + std::string(answer)});
    BOOST_TEST(summary(matrix.cells[5]) ==
               "held: 3 cycles, 0 of 0 lost; when the disk failed: ended 1, refused writes 2; "
               "recovery 0 ms, p99 0 ms");
    matrix.cells[3].options.corrupt = 2;
    for (const char* const file : {"log/#", ""})
        matrix.cells[3].outcome.cycles.push_back({.ended = "exact", .file = file});
    BOOST_TEST(summary(matrix.cells[3]) == "held: 2 copies, changed 1, exact 2");
    const auto text = markdown(matrix);
    for (const std::string word :
         {"# Side by side", "| what was done | mode | One | Two |", "| SIGKILL | always | held: 1",
          "| power cut, ext4 | always | VIOLATED", "cycle 2, lost-ack: two are lost",
          "cycle 0, refused writes: IOERR by refused writes", "damaged: log/# 1",
          "firnlog crashtest --start 'one {port} {dir} always'"})
        BOOST_TEST(text.find(word) != std::string::npos, word);
    BOOST_TEST(html(matrix).find("class=\"violated\">VIOLATED: 1 of 2") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::crashtest
