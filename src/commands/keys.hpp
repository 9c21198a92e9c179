#pragma once
// Keys: the handlers behind key_commands(), whose rows stand in key_commands.cpp.

#include <optional>
#include <string_view>

#include "engine/types/value.hpp"
#include "src/commands/command.hpp"

namespace firnlog::server {

namespace keys {

// keys.cpp
Flow del(Call& call);     // UNLINK too: a value's memory goes with its record's turn in the log
Flow exists(Call& call);  // TOUCH too: nothing remembers when a key was last looked at
Flow type(Call& call);
Flow rename(Call& call);
Flow renamenx(Call& call);
Flow copy(Call& call);
Flow move(Call& call);

// expiry.cpp
Flow expire(Call& call);
Flow pexpire(Call& call);
Flow expireat(Call& call);
Flow pexpireat(Call& call);
Flow ttl(Call& call);
Flow pttl(Call& call);
Flow expiretime(Call& call);
Flow pexpiretime(Call& call);
Flow persist(Call& call);

// object.cpp
Flow object_encoding(Call& call);
Flow object_freq(Call& call);
Flow object_idletime(Call& call);
Flow object_refcount(Call& call);

// databases.cpp
Flow dbsize(Call& call);
Flow flushdb(Call& call);
Flow flushall(Call& call);
Flow swapdb(Call& call);

// scan.cpp
Flow keys(Call& call);
Flow scan(Call& call);
Flow hscan(Call& call);
Flow randomkey(Call& call);

}  // namespace keys

// As TYPE shows it.
[[nodiscard]] std::string_view name_of(engine::Type type);

// A database's number as clients give it, in the server's range; nothing: the error was answered.

[[nodiscard]] std::optional<std::uint32_t> parse_database(Call& call, std::string_view text);

}  // namespace firnlog::server
