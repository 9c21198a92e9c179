#pragma once
// DiskProcess: FuseDisk in a process of its own, and the line to it.
//
//   the keeper: mounts, unmounts --- one command a line ---> the server: answers FUSE, nothing else
//
// Who serves a file must never wait for it. A process that is killed while it unmounts what stands
// on its own file cannot go: the kernel waits for an answer that only that process could give, and
// it keeps the connection open for as long; sync(2) of the whole machine then waits with it. So
// /dev/fuse is open in the server alone, and the server touches no file system: however it ends,
// the kernel ends the connection with it, and whoever waits for the disk gets an error.
//
// Whichever of the two outlives the other tidies: the keeper sees that the line is closed, and so
// does the server, which then becomes `firnlog faultdisk --clean`.

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "io/base/result.hpp"

namespace firnlog::crashtest {

class DiskProcess {
  public:
    // Mounts the file on `folder`, which exists; to unmount it is for the caller, once the process
    // has ended. Called while this one has one thread.
    // `state` is a file that the caller keeps locked for as long as it lives.
    [[nodiscard]] static Result<std::unique_ptr<DiskProcess>> make(std::uint64_t bytes,
                                                                   const std::string& folder,
                                                                   const std::string& state);
    DiskProcess(const DiskProcess&) = delete;
    DiskProcess& operator=(const DiskProcess&) = delete;
    ~DiskProcess();  // ends it; what stood on the file has been unmounted before

    // One of the commands that disk_process.cpp lists; the answer begins with "ok" or "error".
    [[nodiscard]] std::string ask(const std::string& command);
    [[nodiscard]] bool gone() const;
    // Readable once the server has gone, and never otherwise between two calls of `ask`.
    [[nodiscard]] int line() const noexcept { return line_; }

  private:
    DiskProcess() = default;

    pid_t pid_ = -1;
    int line_ = -1;
};

}  // namespace firnlog::crashtest
