// Pages of a checkpoint, under arbitrary bytes, put into an index that holds nothing: the loader
// says no, or as many keys are there as the page says it has.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/index/image.hpp"
#include "engine/index/keyspace.hpp"
#include "io/base/ensure.hpp"

using firnlog::Bytes;
using firnlog::ensure;
using namespace firnlog::engine;

namespace {

void keys(Keyspace& keyspace, PageLoader& loader, Bytes blob, Stripe stripe) {
    // Database 0 points at it: else the page would be left out.
    const auto& space = keyspace.space_of(0);
    if (!loader.page(blob, BlobKind::keys, space.kid, stripe)) return;
    const auto counts = keyspace.counts_of(0);
    ensure(counts.keys == firnlog::load<std::uint32_t>(blob.data()));
    ensure(counts.expires == firnlog::load<std::uint32_t>(blob.data() + 4));
}

}  // namespace

// The first byte: which page; the second: its stripe, every 64th.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
    if (size < 2) return 0;
    const auto stripe = static_cast<Stripe>(input[1] * 64);
    const auto blob =
        firnlog::as_bytes(std::string_view(reinterpret_cast<const char*>(input), size).substr(2));
    Keyspace keyspace{Hasher::Secret{}};
    PageLoader loader(keyspace, {}, true);
    switch (input[0] % 3) {
        case 0:
            if (loader.catalog(blob)) ensure(blob.size() >= 8);
            break;
        case 1:
            keys(keyspace, loader, blob, stripe);
            break;
        default:
            (void)loader.page(blob, BlobKind::objects, 0, stripe);
            break;
    }
    return 0;
}
