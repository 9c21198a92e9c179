// Typed lines: splitting never reads past its line, and what comes out can be quoted and split into
// the same again.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/base/ensure.hpp"
#include "src/text/quote.hpp"

using firnlog::ensure;
using namespace firnlog::server::text;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
    const std::vector<char> line(input, input + size);
    const std::string_view view(line.data(), line.size());
    const auto words = split_arguments(view);
    if (words) {
        std::string again;
        for (const std::string& word : *words) {
            append_quoted(again, word);
            again += ' ';
        }
        ensure(split_arguments(again) == words);
    }
    const std::vector<std::string> whole = {std::string(view)};
    const std::string typed = quoted(view);
    for (const char letter : typed) ensure(letter >= ' ' && letter <= '~');
    ensure(split_arguments(typed) == whole);
    return 0;
}
