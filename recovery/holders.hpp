#pragma once
// Holders: which backups, and whether an archive, have a record of a key's name still.
//
// What is forgotten goes from the store alone. Backups are whole by themselves, and are not
// changed; whoever wants it gone from them as well is told which they are. A file that several
// backups share is read once. Databases are not told apart: a key of that name in another one
// counts.

#include <functional>
#include <string>
#include <vector>

#include "engine/format/segment.hpp"
#include "io/files.hpp"
#include "recovery/refusal.hpp"

namespace firnlog::recovery {

struct NameSought {
    engine::StoreId store_id{};  // of backups of other stores nothing is told
    std::string key;
    engine::Lsn before;             // records from here on do not count
    std::function<bool()> give_up;  // Code::busy then
};

struct Holders {
    std::vector<std::string> names;   // of backups that have it
    std::vector<std::string> unread;  // of those of which that cannot be said
};
[[nodiscard]] Result<Holders> backups_with(io::Files& backups, const NameSought& sought);
// Of its newest run of log.
[[nodiscard]] Opening<bool> archive_has(io::Files& archive, const NameSought& sought);

}  // namespace firnlog::recovery
