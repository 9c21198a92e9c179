#include "src/text/sha1.hpp"

#include <openssl/evp.h>

#include <memory>

#include "io/base/ensure.hpp"

namespace firnlog::server::text {

namespace {

struct Free {
    void operator()(EVP_MD* algorithm) const noexcept { EVP_MD_free(algorithm); }
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};

const EVP_MD* algorithm() {
    static const std::unique_ptr<EVP_MD, Free> fetched(EVP_MD_fetch(nullptr, "SHA1", nullptr));
    return fetched.get();
}

}  // namespace

Sha1 sha1(std::string_view bytes) {
    thread_local const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
    Sha1 digest{};
    unsigned length = 0;
    // The library can fail only for want of memory at first use or of its default provider.
    ensure(context != nullptr && algorithm() != nullptr, "libcrypto offers SHA-1");
    ensure(EVP_DigestInit_ex2(context.get(), algorithm(), nullptr) == 1, "begin a digest");
    ensure(EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) == 1, "digest bytes");
    ensure(EVP_DigestFinal_ex(context.get(), digest.data(), &length) == 1, "end a digest");
    ensure(length == digest.size());
    return digest;
}

std::string hex(const Sha1& digest) {
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string text;
    text.reserve(digest.size() * 2);
    for (const std::uint8_t byte : digest) text.append({kHex[byte >> 4], kHex[byte & 15]});
    return text;
}

}  // namespace firnlog::server::text
