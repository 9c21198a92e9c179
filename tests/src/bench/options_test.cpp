#include "src/bench/options.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "src/bench/presets.hpp"

namespace firnlog::bench {
namespace {

tl::expected<Options, std::string> parsed(const std::vector<std::string>& words) {
    return parse_options(words);
}

std::string refusal(const std::vector<std::string>& words) {
    const auto options = parsed(words);
    return options ? "" : options.error();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bench_options)

BOOST_AUTO_TEST_CASE(without_options_it_is_a_closed_loop_of_sets_and_gets) {
    const auto options = parsed({});
    BOOST_REQUIRE(options.has_value());
    // And an event may come as late as its duration allows; with -n alone there is no such time.
    BOOST_TEST(parsed({"--events", "BGSAVE@9s"}).has_value());
    BOOST_TEST(parsed({"-n", "1M", "--events", "BGSAVE@90s"}).has_value());
    BOOST_TEST(!options->plan.open_loop());
    BOOST_TEST(options->plan.connections == 50U);
    BOOST_TEST(options->plan.duration_ns == 10'000'000'000U);
    BOOST_REQUIRE_EQUAL(options->workloads.size(), 1U);
    BOOST_TEST(options->workloads[0].name == "SET/GET");
}

BOOST_AUTO_TEST_CASE(a_rate_makes_the_loop_open_and_max_closes_it) {
    BOOST_TEST(parsed({"--rate", "20k"})->plan.rate == 20'000);
    BOOST_TEST(parsed({"--rate", "1.5M"})->plan.rate == 1.5e6);
    BOOST_TEST(!parsed({"--rate", "5", "--rate", "max"})->plan.open_loop());
}

BOOST_AUTO_TEST_CASE(the_short_flags_of_redis_benchmark_mean_the_same) {
    const auto options =
        parsed({"-h", "example", "-p", "7000", "-c", "20", "-P", "16", "-n", "100k", "-d", "32",
                "-r", "500", "-a", "secret", "-t", "set,get", "-q"});
    BOOST_REQUIRE(options.has_value());
    const auto& plan = options->plan;
    BOOST_TEST(plan.target.host == "example");
    BOOST_TEST(plan.target.port == 7000);
    BOOST_TEST(plan.target.password == "secret");
    BOOST_TEST(plan.connections == 20U);
    BOOST_TEST(plan.pipeline == 16U);
    BOOST_TEST(plan.requests == 100'000U);
    BOOST_TEST(plan.keys.value.most == 32U);
    BOOST_TEST(plan.keys.count == 500U);
    BOOST_TEST(options->quiet);
    BOOST_REQUIRE_EQUAL(options->workloads.size(), 2U);
    BOOST_TEST(options->workloads[0].name == "set");
    BOOST_TEST(options->workloads[1].name == "get");
}

BOOST_AUTO_TEST_CASE(ratios_and_commands_become_weights) {
    const auto ratio = parsed({"--ratio", "1:10"});
    BOOST_REQUIRE_EQUAL(ratio->workloads[0].entries.size(), 2U);
    BOOST_TEST(ratio->workloads[0].entries[1].weight == 10);
    BOOST_TEST(parsed({"--ratio", "0:1"})->workloads[0].name == "GET");
    const auto commands =
        parsed({"--command", "INCR {key}", "--command-ratio", "3", "--command", "GET {key}"});
    BOOST_TEST(commands->workloads[0].name == "INCR/GET");
    BOOST_TEST(commands->workloads[0].entries[0].weight == 3);
    BOOST_TEST(commands->workloads[0].entries[1].weight == 1);
}

BOOST_AUTO_TEST_CASE(every_preset_is_there_and_ycsb_loads_first) {
    for (const char letter : std::string("abcdef")) {
        const auto options = parsed({"--preset", std::string("ycsb-") + letter});
        BOOST_REQUIRE(options.has_value());
        BOOST_TEST(options->loads_first);
        BOOST_TEST(options->load.entries.size() == 1U);
        BOOST_TEST((options->plan.keys.distribution.kind ==
                    (letter == 'd' ? Distribution::Kind::latest : Distribution::Kind::zipf)));
    }
    BOOST_TEST(!parsed({"--preset", "ycsb-a", "--no-load"})->loads_first);
    BOOST_TEST((parsed({"--preset", "ycsb-a", "--dist", "uniform"})->plan.keys.distribution.kind ==
                Distribution::Kind::uniform));
    BOOST_TEST(parsed({"--preset", "redis-benchmark"})->workloads.size() == 20U);
}

BOOST_AUTO_TEST_CASE(tests_are_chosen_as_redis_benchmark_chooses_them) {
    const auto names = [](const char* list) {
        std::string all;
        const auto options = parsed({"-t", list});
        for (const auto& workload : options->workloads)
            all += (all.empty() ? "" : " ") + workload.name;
        return all;
    };
    // In its order, once each, whatever is asked.
    BOOST_TEST(names("get,SET,get") == "set get");
    BOOST_TEST(names("ping") == "ping_inline ping_mbulk");
    BOOST_TEST(names("lrange_300,incr") == "incr lpush_for_lrange lrange_300");
    BOOST_TEST(names("lrange") == "lpush_for_lrange lrange_100 lrange_300 lrange_500 lrange_600");
    BOOST_TEST(names("mset,") == "mset");
}

BOOST_AUTO_TEST_CASE(times_and_numbers_have_units) {
    BOOST_TEST(*parse_duration_ns("90") == 90'000'000'000U);
    BOOST_TEST(*parse_duration_ns("1.5s") == 1'500'000'000U);
    BOOST_TEST(*parse_duration_ns("500ms") == 500'000'000U);
    BOOST_TEST(*parse_duration_ns("2m") == 120'000'000'000U);
    BOOST_TEST(*parse_duration_ns("1h") == 3'600'000'000'000U);
    for (const auto* text : {"", "s", "1x", "-1s", "1 s", "inf", "1e300"})
        BOOST_TEST(!parse_duration_ns(text).has_value(), text);
    BOOST_TEST(*parse_count("20k") == 20'000);
    BOOST_TEST(*parse_count("3M") == 3e6);
    for (const auto* text : {"", "k", "1kk", "x", "inf"})
        BOOST_TEST(!parse_count(text).has_value(), text);
}

BOOST_AUTO_TEST_CASE(what_makes_no_sense_is_refused_with_the_word_that_is_wrong) {
    const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
        {{"--speed", "5"}, "no option '--speed'"},
        {{"stray"}, "no option 'stray'"},
        {{"--rate"}, "--rate: its value is missing"},
        {{"--rate", "0"}, "--rate: '0'"},
        {{"--rate", "fast"}, "--rate: 'fast'"},
        {{"--port", "65536"}, "--port: '65536'"},
        {{"--clients", "0"}, "--clients: '0'"},
        {{"--clients", "1.5"}, "--clients: '1.5'"},
        {{"--duration", "0"}, "--duration: '0'"},
        {{"--dist", "gauss"}, "--dist: 'gauss'"},
        {{"--value", "9-3"}, "--value: '9-3'"},
        {{"--ratio", "0:0"}, "--ratio 0:0"},
        {{"--ratio", "1"}, "--ratio: '1'"},
        {{"--command", "GET {kye}"}, "{kye} is none of"},
        {{"--command-ratio", "2"}, "--command-ratio: '2'"},
        {{"--preset", "ycsb-g"}, "'ycsb-g' is none of"},
        {{"-t", "set,nope"}, "'nope' is none of"},
        {{"-t", "lrange_700"}, "'lrange_700' is none of"},
        {{"-t", "set", "--command", "PING"}, "--command and --tests"},
        {{"--ratio", "1:1", "--command", "PING"}, "--ratio and --command"},
        {{"--preset", "ycsb-a", "-t", "set"}, "--preset and --tests"},
        {{"--ratio", "1:1e300"}, "--ratio 1:1e300"},
        {{"--command", "PING", "--command-ratio", "1e300"}, "--command-ratio: '1e300'"},
        {{"--rate", "1e-300"}, "--rate: '1e-300'"},
        {{"--rate", "2e9"}, "--rate: '2e9'"},
        {{"--start", "x {port} {dir}", "-p", "7000"}, "--start and --port"},
        {{"--socket", "/tmp/s", "-h", "example"}, "--socket and --host"},
        {{"--user", "me"}, "--user without --password"},
        {{"--slices", "3"}, "--slices without --vs"},
        {{"--data-dir", "/tmp"}, "--data-dir: no server"},
        {{"--load", "--no-load"}, "--load and --no-load"},
        {{"-c", "50000", "-P", "10000"}, "--clients times --pipeline"},
        {{"-d", "1G"}, "--value: '1G'"},
        {{"-P", "10000", "-d", "1M"}, "more than 8 GiB"},
        {{"-n", "5", "--vs", "x {port} {dir}"}, "fewer than there are slices"},
        {{"--events", "BGSAVE@20s"}, "'BGSAVE' comes after the end"},
        {{"--events", "BGSAVE@2s", "--vs", "x {port} {dir}"}, "each slice has its events"},
        {{"--events", "BGSAVE"}, "COMMAND@TIME is wanted"},
        {{"-c", "2", "--threads", "3"}, "--threads"},
        {{"--wake", "never"}, "--wake: 'never'"},
    };
    for (const auto& [words, why] : cases)
        BOOST_TEST(refusal(words).find(why) != std::string::npos,
                   words[0] << ": " << refusal(words) << " | " << why);
}

BOOST_AUTO_TEST_CASE(every_flag_that_help_names_is_one) {
    const std::string help(help_text());
    std::size_t flags = 0;
    for (auto at = help.find("--"); at != std::string::npos; at = help.find("--", at + 2)) {
        const auto end = help.find_first_not_of("abcdefghijklmnopqrstuvwxyz-", at);
        const auto flag = help.substr(at, end - at);
        // Those in the example of a server's command line are not ours, by accident or not.
        if (flag == "--dir") continue;
        BOOST_TEST(refusal({flag}).find("no option") == std::string::npos, flag);
        ++flags;
    }
    BOOST_TEST(flags > 30U);
}

BOOST_AUTO_TEST_CASE(help_is_asked_for_in_either_way) {
    BOOST_TEST(parsed({"--help"})->help);
    BOOST_TEST(parsed({"-h"})->help);
    BOOST_TEST(parsed({"--rate", "5", "--help", "--nonsense"})->help);
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace firnlog::bench
