#include "recovery/cases.hpp"

#include <boost/test/unit_test.hpp>

namespace firnlog::recovery {

BOOST_AUTO_TEST_SUITE(cases)

BOOST_AUTO_TEST_CASE(every_combination_of_facts_has_exactly_one_row) {
    for (const bool vouched : {false, true})
        for (const auto rest : {Rest::zeros, Rest::bytes})
            for (const auto next : {Next::nowhere, Next::continues, Next::elsewhere}) {
                const Facts facts{.vouched = vouched, .rest = rest, .next = next};
                int rows = 0;
                for (const auto& row : kCases) rows += row.matches(facts) ? 1 : 0;
                BOOST_TEST(rows == 1);
            }
}

BOOST_AUTO_TEST_CASE(what_was_acknowledged_and_is_gone_is_never_cut) {
    for (const auto rest : {Rest::zeros, Rest::bytes})
        for (const auto next : {Next::nowhere, Next::elsewhere})
            BOOST_TEST((judge({.vouched = true, .rest = rest, .next = next}) == Verdict::damaged));
}

BOOST_AUTO_TEST_CASE(a_zero_tail_is_the_normal_end) {
    BOOST_TEST(
        (judge({.vouched = false, .rest = Rest::zeros, .next = Next::nowhere}) == Verdict::end));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace firnlog::recovery
