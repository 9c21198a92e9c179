// The one main() of every Boost.Test executable; linked whole through `test_dep`.
#define BOOST_TEST_MODULE firnlog
#include <boost/test/unit_test.hpp>
