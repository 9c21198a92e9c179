#include <sodium.h>

#include <array>
#include <string>

#include "src/commands/command_command.hpp"
#include "src/commands/command_table.hpp"
#include "src/commands/replies.hpp"
#include "src/commands/server.hpp"
#include "src/server.hpp"
#include "src/text/fold.hpp"
#include "src/text/numbers.hpp"

// ACL: there is one user, "default", who may do everything; what tools ask about him is answered.
namespace firnlog::server {
namespace {

constexpr std::string_view kUser = "default";

std::string hex(std::span<const unsigned char> bytes) {
    std::string text;
    for (const auto byte : bytes) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

std::string password_hash(std::string_view password) {
    std::array<unsigned char, crypto_hash_sha256_BYTES> digest{};
    crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(password.data()),
                       password.size());
    return hex(digest);
}

Flow whoami(Call& call) {
    call.out.bulk(kUser);
    return Flow::done;
}

Flow users(Call& call) {
    call.out.array(1);
    call.out.bulk(kUser);
    return Flow::done;
}

Flow list(Call& call) {
    const auto& password = call.server.config().requirepass;
    const auto secret = password.empty() ? "nopass" : "#" + password_hash(password);
    call.out.array(1);
    call.out.bulk("user default on " + secret + " ~* &* +@all");
    return Flow::done;
}

Flow getuser(Call& call) {
    if (call.arg(2) != kUser) {
        call.out.null();
        return Flow::done;
    }
    const auto& password = call.server.config().requirepass;
    auto& out = call.out;
    out.map(6);
    out.bulk("flags");
    out.set(password.empty() ? 2 : 1);
    out.bulk("on");
    if (password.empty()) out.bulk("nopass");
    out.bulk("passwords");
    out.array(password.empty() ? 0 : 1);
    if (!password.empty()) out.bulk(password_hash(password));
    out.bulk("commands");
    out.bulk("+@all");
    out.bulk("keys");
    out.bulk("~*");
    out.bulk("channels");
    out.bulk("&*");
    out.bulk("selectors");
    out.array(0);
    return Flow::done;
}

bool is_category(std::string_view name) {
    for (const auto known : category_names())
        if (text::equal_folded(known, name)) return true;
    return false;
}

Flow cat(Call& call) {
    if (call.argc() > 3) return subcommand_syntax_error(call);
    if (call.argc() == 2) {
        call.out.array(category_names().size());
        for (const auto name : category_names()) call.out.bulk(name);
        return Flow::done;
    }
    if (!is_category(call.arg(2)))
        return call.error("ERR Unknown category '" + std::string(call.arg(2).substr(0, 128)) + "'");
    const auto later = call.out.array_later();
    std::size_t count = 0;
    const auto tell = [&](const Command& command) {
        if (!in_category(command, call.arg(2))) return;
        call.out.bulk(command.name);
        ++count;
    };
    for (const auto* command : CommandTable::get().all()) {
        tell(*command);
        for (const auto& subcommand : command->subcommands) tell(subcommand);
    }
    call.out.close(later, count);
    return Flow::done;
}

Flow genpass(Call& call) {
    constexpr std::int64_t kBitsMax = 4096;
    if (call.argc() > 3) return subcommand_syntax_error(call);
    std::int64_t bits = 256;
    if (call.argc() == 3) {
        const auto asked = text::parse_i64(call.arg(2));
        if (!asked) return call.error("ERR value is not an integer or out of range");
        if (*asked <= 0 || *asked > kBitsMax)
            return call.error(
                "ERR ACL GENPASS argument must be the number of bits for the output password, a "
                "positive number up to 4096");
        bits = *asked;
    }
    std::array<std::byte, kBitsMax / 8> noise{};
    call.server.clock().entropy(noise);
    const auto digits = static_cast<std::size_t>((bits + 3) / 4);
    const auto text = hex({reinterpret_cast<const unsigned char*>(noise.data()), noise.size()});
    call.out.bulk(std::string_view(text).substr(0, digits));
    return Flow::done;
}

constexpr std::uint32_t kAnyone = kNoScript | kLoading | kStale;

}  // namespace

Command acl_command() {
    static const Command subcommands[] = {
        {.name = "acl|cat",
         .syntax = "[categoryname]",
         .summary = "The categories, or the commands of one",
         .since = "6.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = -2,
         .flags = kAnyone,
         .handler = cat},
        {.name = "acl|genpass",
         .syntax = "[bits]",
         .summary = "A password that nobody can guess",
         .since = "6.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = -2,
         .flags = kAnyone,
         .handler = genpass},
        {.name = "acl|getuser",
         .syntax = "username",
         .summary = "What a user may do: there is only the default user, who may do everything",
         .since = "6.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 3,
         .flags = kAdmin | kAnyone,
         .handler = getuser},
        {.name = "acl|help",
         .summary = "These lines",
         .since = "6.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kLoading | kStale,
         .handler = subcommand_help},
        {.name = "acl|list",
         .summary = "The users as a configuration file would have them",
         .since = "6.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kAdmin | kAnyone,
         .handler = list},
        {.name = "acl|users",
         .summary = "The users' names",
         .since = "6.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kAdmin | kAnyone,
         .handler = users},
        {.name = "acl|whoami",
         .summary = "The connection's user",
         .since = "6.0.0",
         .group = "server",
         .complexity = "O(1)",
         .arity = 2,
         .flags = kAnyone,
         .handler = whoami},
    };
    return {.name = "acl",
            .summary = "Users and what they may do",
            .since = "6.0.0",
            .group = "server",
            .complexity = "Depends on subcommand.",
            .arity = -2,
            .subcommands = subcommands};
}

}  // namespace firnlog::server
