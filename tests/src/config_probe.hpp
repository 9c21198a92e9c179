#pragma once
// config_probe: CONFIG GET and SET of one thing at a time, as tests ask for them.

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/config.hpp"

namespace firnlog::server::test {

using Words = std::vector<std::string>;

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
