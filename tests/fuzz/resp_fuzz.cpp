// The parser under arbitrary bytes: whatever they are and however they are split, the same commands
// and the same end come out, and nothing is allocated for what has not arrived.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/base/ensure.hpp"
#include "src/resp/parser.hpp"

using firnlog::ensure;
using namespace firnlog::server::resp;

namespace {

struct Outcome {
    std::vector<std::string> arguments;  // "\n" stands between two commands
    Status end = Status::need_more;
    std::string error;

    bool operator==(const Outcome&) const = default;
};

// Pieces have the sizes that `sizes` tells, over and over; none given: one piece.
Outcome parse(std::string_view bytes, std::string_view sizes, Parser::Limits limits, bool lent) {
    Outcome outcome;
    ReceiveBuffer buffer;
    Parser parser;
    parser.limit(limits);
    std::size_t arrived = 0;
    for (std::size_t piece = 0; !bytes.empty(); ++piece) {
        const std::size_t size =
            sizes.empty() ? bytes.size()
                          : std::min<std::size_t>(
                                static_cast<unsigned char>(sizes[piece % sizes.size()]) % 32 + 1,
                                bytes.size());
        // Memory of its own, so that a view that outlives the packet is caught.
        const std::vector<char> packet(bytes.begin(), bytes.begin() + static_cast<long>(size));
        bytes.remove_prefix(size);
        arrived += size;
        const std::string_view view(packet.data(), packet.size());
        ensure(lent ? buffer.receive(view) : buffer.append(view));
        while ((outcome.end = parser.next(buffer)) == Status::command) {
            ensure(!parser.arguments().empty());
            for (const std::string_view argument : parser.arguments()) {
                outcome.arguments.emplace_back(argument);
            }
            outcome.arguments.emplace_back("\n");
        }
        ensure(buffer.settle());
        ensure(buffer.capacity() <= 2 * arrived + 1024);
    }
    outcome.error = parser.error();
    ensure((outcome.end == Status::error) == !outcome.error.empty());
    return outcome;
}

}  // namespace

// The first byte chooses the limits, the second how many of the following are sizes of pieces.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
    std::string_view bytes(reinterpret_cast<const char*>(input), size);
    if (bytes.size() < 2) return 0;
    const Parser::Limits limits{.bulk_bytes_max = (bytes[0] & 1) != 0 ? 1000 : 512 << 20,
                                .authenticated = (bytes[0] & 2) == 0};
    const std::size_t pieces = static_cast<unsigned char>(bytes[1]) % 16 + 1U;
    bytes.remove_prefix(2);
    const std::string_view sizes = bytes.substr(0, pieces);
    bytes.remove_prefix(sizes.size());
    const Outcome whole = parse(bytes, {}, limits, true);
    ensure(parse(bytes, sizes, limits, false) == whole, "copied pieces give the same");
    ensure(parse(bytes, sizes, limits, true) == whole, "lent pieces give the same");
    if (bytes.size() <= 200) {
        ensure(parse(bytes, std::string_view("\0", 1), limits, true) == whole, "single bytes do");
    }
    return 0;
}
