#pragma once
// config_probe: a configuration as tests ask of it: read or an end of the test, CONFIG GET and SET
// of one thing at a time, and a file's content.

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/config.hpp"

namespace firnlog::server::test {

using Words = std::vector<std::string>;

inline Config taken(tl::expected<Config, ConfigError> config) {
    BOOST_REQUIRE_MESSAGE(config, (config ? "" : config.error().message()));
    return std::move(*config);
}

inline Config parsed(std::string_view text) { return taken(parse_config_text(text)); }

inline std::string content_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string get_one(const Config& config, std::string_view name) {
    const auto found = config_get(config, std::span(&name, 1));
    return found.size() == 1 ? found[0].second : "(none)";
}

// "OK", or the error as a client sees it.
inline std::string set(Config& config, const Words& pairs, ConfigSetBy by = {}) {
    const std::vector<std::string_view> views(pairs.begin(), pairs.end());
    auto done = config_set(config, views, by);
    if (!done) return done.error();
    config = std::move(done->config);
    return "OK";
}

}  // namespace firnlog::server::test
