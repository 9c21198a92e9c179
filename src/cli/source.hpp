#pragma once
// Source: where a store is read from: its own directory, a backup of it, or its archive.
//
//   /var/lib/firnlog      a store
//   /backups/monday       the backup of that name in the directory /backups
//   /backups              the newest backup there
//   /archive              the log as it was brought there, and what it takes to begin with

#include <memory>
#include <optional>
#include <string>

#include "recovery/backups.hpp"
#include "recovery/moment.hpp"

namespace firnlog::server::cli {

class Source {
  public:
    // Of an archive that part which the moment asks for.
    [[nodiscard]] static recovery::Opening<Source> open(const std::string& path,
                                                        const recovery::Moment& moment = {});

    // The store's directory, or what stands for it; to be read.
    [[nodiscard]] io::Files& files() { return view_ ? *view_ : *files_; }
    // If it is one; and the directory that it is in.
    [[nodiscard]] const recovery::Backup* backup() const { return backup_ ? &*backup_ : nullptr; }
    [[nodiscard]] io::Files& directory() { return *files_; }

  private:
    std::unique_ptr<io::Files> files_;
    std::optional<recovery::Backup> backup_;
    std::unique_ptr<io::Files> view_;
};

}  // namespace firnlog::server::cli
