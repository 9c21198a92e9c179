#include "src/text/json.hpp"

#include <boost/test/unit_test.hpp>
#include <limits>
#include <string>

namespace firnlog::server::text {
BOOST_AUTO_TEST_SUITE(json)

BOOST_AUTO_TEST_CASE(things_nest_and_commas_stand_between_them) {
    Json json;
    json.begin_object().key("a").integer(1).key("b").begin_array();
    json.number(2.5).string("x").begin_array().end().begin_object().end().null().boolean(true);
    json.end().key("c").begin_object().key("d").boolean(false).end().end();
    BOOST_TEST(json.text() == R"({"a":1,"b":[2.5,"x",[],{},null,true],"c":{"d":false}})");
}

BOOST_AUTO_TEST_CASE(what_could_end_a_string_or_a_script_is_escaped) {
    BOOST_TEST(Json().string("a\"b\\c\n\x01").text() == R"("a\"b\\c\u000a\u0001")");
    BOOST_TEST(Json().string("</script>").text() == R"("\u003c/script>")");
}

BOOST_AUTO_TEST_CASE(bytes_that_are_no_text_are_replaced_and_text_is_kept) {
    BOOST_TEST(Json().string("Grüße, 雪 🏔").text() == "\"Grüße, 雪 🏔\"");
    const std::string lost = "\xef\xbf\xbd";
    BOOST_TEST(Json().string("a\xff\xc3").text() == "\"a" + lost + lost + "\"");
    // Too long a form, half a pair, past the last character, cut off.
    BOOST_TEST(Json().string("\xc0\xaf").text() == "\"" + lost + lost + "\"");
    BOOST_TEST(Json().string("\xed\xa0\x80").text() == "\"" + lost + lost + lost + "\"");
    BOOST_TEST(Json().string("\xf4\x90\x80\x80").text() == "\"" + lost + lost + lost + lost + "\"");
    BOOST_TEST(Json().string("\xe2\x82").text() == "\"" + lost + lost + "\"");
}

BOOST_AUTO_TEST_CASE(numbers_that_are_none_become_null) {
    BOOST_TEST(Json().number(std::numeric_limits<double>::quiet_NaN()).text() == "null");
    BOOST_TEST(Json().number(std::numeric_limits<double>::infinity()).text() == "null");
    BOOST_TEST(Json().number(0.1).text() == "0.1");
    BOOST_TEST(Json().integer(18446744073709551615U).text() == "18446744073709551615");
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace firnlog::server::text
