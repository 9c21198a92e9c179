#include "src/identity.hpp"

#include <sodium.h>

#include <array>
#include <limits>

#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"
#include "src/version.hpp"

namespace firnlog::server {
namespace {

constexpr std::string_view kDefaultUser = "default";
constexpr std::string_view kNoProto = "NOPROTO unsupported protocol version";

// In a time that tells nothing of where they differ, or of their lengths.
bool equal_secretly(std::string_view one, std::string_view other) {
    const auto digest = [](std::string_view text) {
        std::array<unsigned char, crypto_generichash_BYTES> bytes{};
        crypto_generichash(bytes.data(), bytes.size(),
                           reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                           nullptr, 0);
        return bytes;
    };
    const auto first = digest(one);
    const auto second = digest(other);
    return sodium_memcmp(first.data(), second.data(), first.size()) == 0;
}

// The only user there is.
bool authenticate(Identity& who, const Config& config, std::string_view user,
                  std::string_view password) {
    const auto& wanted = config.requirepass;
    const bool fits = wanted.empty() || equal_secretly(password, wanted);
    if (user != kDefaultUser || !fits) return false;
    who.authenticated = true;
    return true;
}

// What is wrong with a name as CLIENT SETNAME takes it, as a whole error reply; or nothing.
std::string_view wrong_name(std::string_view name) {
    for (const char letter : name)
        if (letter < '!' || letter > '~')
            return "ERR Client names cannot contain spaces, newlines or special characters.";
    return {};
}

}  // namespace

Identity newcomer(const Config& config) {
    Identity who;
    who.authenticated = config.requirepass.empty();
    return who;
}

resp::Parser::Limits parser_limits(const Identity& who, const Config& config) {
    return {.bulk_bytes_max = static_cast<std::int64_t>(config.proto_max_bulk_len),
            .authenticated = who.authenticated};
}

std::size_t input_bytes_max(const Identity& who, const Config& config) {
    return who.authenticated ? config.client_query_buffer_limit : kUnauthenticatedBytes;
}

std::string answer_auth(Identity& who, const Config& config, Arguments args, resp::Writer& out) {
    if (args.size() > 3) return "ERR syntax error";
    if (args.size() == 2 && config.requirepass.empty())
        return "ERR AUTH <password> called without any password configured for the default user. "
               "Are you sure your configuration is correct?";
    const auto user = args.size() == 2 ? kDefaultUser : args[1];
    if (!authenticate(who, config, user, args.back())) return std::string(kWrongPass);
    out.ok();
    return {};
}

std::string answer_hello(Identity& who, std::uint64_t id, const Config& config, Arguments args,
                         resp::Writer& out) {
    std::int64_t version = 0;  // 0: as it is
    if (args.size() > 1) {
        const auto asked = text::parse_i64(args[1]);
        if (!asked) return "ERR Protocol version is not an integer or out of range";
        if (*asked < 2 || *asked > 3) return std::string(kNoProto);
        version = *asked;
    }
    for (std::size_t i = 2; i < args.size(); ++i) {
        const auto more = args.size() - 1 - i;
        const auto option = args[i];
        if (text::equal_folded(option, "auth") && more >= 2) {
            if (!authenticate(who, config, args[i + 1], args[i + 2]))
                return std::string(kWrongPass);
            i += 2;
        } else if (text::equal_folded(option, "setname") && more >= 1) {
            if (const auto wrong = wrong_name(args[i + 1]); !wrong.empty())
                return std::string(wrong);
            who.name = args[i + 1];
            ++i;
        } else {
            return "ERR Syntax error in HELLO option '" +
                   std::string(option.substr(0, option.find('\0'))) + "'";
        }
    }
    if (must_authenticate(who, config))
        return "NOAUTH HELLO must be called with the client already authenticated, otherwise the "
               "HELLO AUTH <user> <pass> option can be used to authenticate the client and "
               "select the RESP protocol version at the same time";
    if (version != 0) who.protocol = static_cast<resp::Protocol>(version);
    out.speak(who.protocol);
    out.map(7);
    out.bulk("server");
    out.bulk("redis");
    out.bulk("version");
    out.bulk(kRedisVersion);
    out.bulk("proto");
    out.integer(static_cast<std::int64_t>(who.protocol));
    out.bulk("id");
    out.integer(static_cast<std::int64_t>(id));
    out.bulk("mode");
    out.bulk("standalone");
    out.bulk("role");
    out.bulk("master");
    out.bulk("modules");
    out.array(0);
    return {};
}

std::string answer_select(Identity& who, const Config& config, Arguments args, resp::Writer& out) {
    const auto index = text::parse_i64(args[1]);
    if (!index) return "ERR value is not an integer or out of range";
    if (*index < std::numeric_limits<std::int32_t>::min() ||
        *index > std::numeric_limits<std::int32_t>::max())
        return "ERR value is out of range, value must between -2147483648 and 2147483647";
    if (*index < 0 || *index >= config.databases) return "ERR DB index is out of range";
    who.database = static_cast<std::uint32_t>(*index);
    out.ok();
    return {};
}

std::string answer_setname(Identity& who, Arguments args, resp::Writer& out) {
    if (const auto wrong = wrong_name(args[2]); !wrong.empty()) return std::string(wrong);
    who.name = args[2];
    out.ok();
    return {};
}

void answer_getname(const Identity& who, resp::Writer& out) {
    if (who.name.empty())
        out.null();
    else
        out.bulk(who.name);
}

void answer_reset(Identity& who, const Config& config, resp::Writer& out) {
    who = newcomer(config);
    out.speak(who.protocol);
    out.simple("RESET");
}

}  // namespace firnlog::server
