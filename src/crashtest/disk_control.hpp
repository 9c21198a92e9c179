#pragma once
// DiskControl: a `firnlog faultdisk` of our own, as a child process, and the line to it.
//
// A process of its own, for a file system must not be served by one that uses it: whoever is killed
// while it waits for itself can never go.

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/base/result.hpp"

namespace firnlog::crashtest {

class DiskControl {
  public:
    // Options as of the verb; mounted at `folder` when this returns. What it says in error goes to
    // standard error.
    [[nodiscard]] static Result<std::unique_ptr<DiskControl>> make(
        const std::string& folder, std::vector<std::string> options);
    DiskControl(const DiskControl&) = delete;
    DiskControl& operator=(const DiskControl&) = delete;
    ~DiskControl();

    // The answer, without its end of line; "error ..." also when nobody answers.
    [[nodiscard]] std::string send(const std::string& command);
    [[nodiscard]] bool obeys(const std::string& command) { return send(command).starts_with("ok"); }

  private:
    DiskControl() = default;

    pid_t pid_ = -1;
    int socket_ = -1;
};

}  // namespace firnlog::crashtest
