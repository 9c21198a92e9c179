#include "src/crashtest/report.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>

namespace firnlog::crashtest {
namespace {

Options some_options() {
    Options options;
    const auto wrong =
        parse_options({"--start", "sh -c 'exec it' {port} {dir}", "--mode", "no", "--seed", "3",
                       "--cycles", "2", "--json", "x", "--admin", "BGSAVE;A 'b'"},
                      options);
    BOOST_TEST(!wrong.has_value());
    return options;
}

Outcome some_outcome() {
    Outcome out;
    out.missing = {"BGSAVE", "SET PX"};
    out.refused = {"INCR: NOAUTH, \"x\" [1]", "DEL: no"};
    out.server = "some_version:1, \"x\"";
    out.cycles.push_back(
        {.number = 1, .how = "sigkill", .ended = "held", .acks = 12, .recovery_ms = 1.5});
    out.cycles.push_back({.number = 2,
                          .how = "power none",
                          .admin = "BGSAVE",
                          .ended = "violated",
                          .acks = 7,
                          .errors = 3,
                          .lost = 2,
                          .loss_ms = 2500.5,
                          .back_ms = 4,
                          .on_fault = "refused writes",
                          .words = "IOERR \"disk\"",
                          .file = "log/#",
                          .violations = 1,
                          .note = "\\user \"how\": \"x\", {\"cycle\": 9}\n\x01"});
    out.found.push_back(
        {.cycle = 2,
         .killed_us = 77,
         .violation = {"hole", "c:\\u0041 <b>", {{70, "sent \"a\""}, {80, "back"}}}});
    return out;
}

BOOST_AUTO_TEST_SUITE(src)
BOOST_AUTO_TEST_SUITE(crash_report)

BOOST_AUTO_TEST_CASE(a_run_is_read_back_as_it_was_written) {
    const auto options = some_options();
    const auto before = some_outcome();
    const auto text = json(options, before);
    Outcome after;
    BOOST_TEST(!read_json(text, options, after).has_value());
    BOOST_TEST(json(options, after) == text);
    BOOST_TEST(after.cycles.at(1).note == before.cycles.at(1).note);
    BOOST_TEST(after.refused == before.refused, boost::test_tools::per_element());
    BOOST_TEST(after.cycles.at(1).words == before.cycles.at(1).words);
    BOOST_TEST(after.found.at(0).violation.text == before.found.at(0).violation.text);
}

BOOST_AUTO_TEST_CASE(another_run_is_not_gone_on_with_but_a_longer_one_is) {
    auto options = some_options();
    const auto text = json(options, some_outcome());
    Outcome outcome;
    options.cycles = 50;
    BOOST_TEST(!read_json(text, options, outcome).has_value());
    options.mode = Mode::always;
    BOOST_TEST(read_json(text, options, outcome).has_value());
    BOOST_TEST(read_json("", options, outcome).has_value());
}

BOOST_AUTO_TEST_CASE(the_command_that_repeats_a_run_is_one_for_the_shell) {
    BOOST_TEST(some_options().command() ==
               R"(firnlog crashtest --start 'sh -c '\''exec it'\'' {port} {dir}' --mode no )"
               R"(--kill sigkill --cycles 2 --admin 'BGSAVE;A '\''b'\''' --clients 4 --depth 16 )"
               R"(--load-ms 200-1500 --loss-ms-max -1 --seed 3)");
}

BOOST_AUTO_TEST_CASE(the_verdict_names_what_was_found_and_a_disk_that_lied_in_vain) {
    auto options = some_options();
    BOOST_TEST(verdict(options, some_outcome()).starts_with("VIOLATED: 1 violation (hole 1); "));
    BOOST_TEST(verdict(options, {}).starts_with("held: "));
    options.fault = Fault::lying;
    BOOST_TEST(verdict(options, {}).find("does not bite") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_verdict_says_what_was_left_out_and_what_a_failing_disk_was_met_with) {
    const auto text = verdict(some_options(), some_outcome());
    for (const std::string word :
         {"2 cycles, 19 acknowledged", "when the disk failed: refused writes 1",
          "does not know them: BGSAVE, SET PX;",
          "answers with an error: INCR: NOAUTH, \"x\" [1], DEL"})
        BOOST_TEST(text.find(word) != std::string::npos, word << " in " << text);
    auto one = some_outcome();
    one.cycles.resize(1);
    BOOST_TEST(verdict(some_options(), one).find("1 cycle, 12") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(of_damaged_copies_it_is_told_which_files_were_changed) {
    auto options = some_options();
    options.corrupt = 500;
    Outcome outcome;
    for (const char* const file : {"log/#", "log/#", "mark"})
        outcome.cycles.push_back({.how = "emptied", .ended = "exact", .file = file});
    outcome.interrupted = true;
    BOOST_TEST(verdict(options, outcome)
                   .starts_with("held: 3 damaged copies, changed 3 (log/# 2, mark 1), exact 3, "));
    BOOST_TEST(verdict(options, outcome).find("interrupted: 500 were") != std::string::npos);
    outcome.cycles.clear();
    BOOST_TEST(
        verdict(options, outcome)
            .starts_with("nothing was tried: interrupted before the first of 500 damaged copies"));
}

BOOST_AUTO_TEST_CASE(the_page_tells_the_first_violation_whole_and_in_order) {
    auto outcome = some_outcome();
    const std::string sent = "write 1 (SET) sent: " + std::string(300, 'v');
    auto& found = outcome.found.front();
    found.killed_us = 5'000;
    found.violation.timeline = {{0, "before this cycle: k = x"},
                                {1'000, sent},
                                {1'500, "write 1 (SET) acknowledged"},
                                {2'000, "the disk: eio data"},
                                {5'001, "write 1: on the disk behind the cut"},
                                {9'000, "came back: k = nothing"}};
    auto options = some_options();
    options.kill = KillBy::power;
    const auto page = html(options, outcome);
    std::size_t at = 0;
    for (const std::string what :
         {"before this cycle", sent.c_str(), "-3.5 ms", "acknowledged</td>", "the disk: eio data",
          "the power cut</td>", "on the disk behind the cut", "4.0 ms", "came back: k = nothing"}) {
        const auto next = page.find(what, at);
        BOOST_TEST(next != std::string::npos, what << " comes next");
        at = std::min(next, page.size());
    }
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::crashtest
