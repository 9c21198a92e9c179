// Configuration texts: reading one never crashes, and what is taken survives CONFIG REWRITE with
// the same values, whether the old file is there or not.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "io/base/ensure.hpp"
#include "src/config.hpp"

using firnlog::ensure;
using namespace firnlog::server;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
    const std::vector<char> bytes(input, input + size);
    const std::string_view text(bytes.data(), bytes.size());
    const auto config = parse_config_text(text);
    if (!config) {
        ensure(!config.error().message().empty());
        return 0;
    }
    const std::string_view all = "*";
    const auto values = config_get(*config, std::span(&all, 1));
    for (const auto old_text : {std::string_view(), text}) {
        const auto rewritten = rewrite_text(old_text, *config);
        const auto again = parse_config_text(rewritten);
        ensure(again.has_value(), "a rewritten configuration loads");
        ensure(config_get(*again, std::span(&all, 1)) == values, "with the same values");
        ensure(rewrite_text(rewritten, *config) == rewritten, "a second rewrite changes nothing");
    }
    return 0;
}
