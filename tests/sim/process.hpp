#pragma once
// Process: what one running program holds in the simulated world: its descriptors, its locks, one
// Files and any number of Ios. Killing it leaves the disk and takes all of these.
//
// After its death, and from the moment the world crashes, every call of its Files and Ios does
// nothing: Files and turn() answer with the error is_crash() tells, completions never run, closing
// is harmless. So the objects built on it can be abandoned as they stand.

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "io/files.hpp"
#include "io/io.hpp"
#include "tests/sim/inode.hpp"
#include "tests/sim/net.hpp"
#include "tests/sim/operation.hpp"

namespace firnlog::sim {

class World;
class Process;
class Io;

[[nodiscard]] bool is_crash(const Error& error) noexcept;

struct Descriptor {
    enum class What : std::uint8_t { closed, file, listener, connection };
    What what = What::closed;
    bool writable = false;
    bool direct = false;
    Process* owner = nullptr;
    InodeRef file;
    Listener* listener = nullptr;
    Connection* connection = nullptr;
    std::uint32_t in_flight = 0;
};

// Who holds which name; shared with the Lock objects, which may outlive the world.
struct LockTable {
    struct Holder {
        std::uint32_t process = 0;
        std::uint64_t ticket = 0;
    };
    std::map<std::string, Holder, std::less<>> held;
    std::uint64_t tickets = 0;
    std::mutex guard;
};

class Files final : public io::Files {
  public:
    explicit Files(Process& process) : process_(process) {}

    Result<int> open(std::string_view name, io::Open how, bool direct = false) override;
    [[nodiscard]] bool is_direct(int fd) const override;
    void close(int fd) override;
    Result<std::size_t> read(int fd, std::uint64_t offset, MutableBytes into) override;
    Result<void> write(int fd, std::uint64_t offset, Bytes bytes) override;
    Result<void> allocate(int fd, std::uint64_t bytes) override;
    Result<void> truncate(int fd, std::uint64_t bytes) override;
    Result<void> sync(int fd) override;
    Result<std::uint64_t> size(int fd) override;
    Result<std::unique_ptr<io::Mapping>> map(int fd) override;
    [[nodiscard]] bool is_sole(int fd) override;
    [[nodiscard]] bool is_last(int fd) override;
    Result<void> rename(std::string_view from, std::string_view to) override;
    Result<void> link(std::string_view from, std::string_view to) override;
    Result<void> unlink(std::string_view name) override;
    Result<void> make_dir(std::string_view name) override;
    Result<std::vector<io::FileInfo>> list(std::string_view dir = "") override;
    Result<void> sync_dir(std::string_view dir = "") override;
    Result<std::unique_ptr<io::Lock>> lock(std::string_view name) override;
    Result<std::uint64_t> free_bytes() override;

  private:
    Process& process_;
};

class Process {
  public:
    Process(World& world, std::uint32_t id);
    ~Process();

    [[nodiscard]] io::Files& files() noexcept { return files_; }
    [[nodiscard]] io::Io& io(std::size_t index = 0);  // made when first asked for
    [[nodiscard]] int listen();                       // a listening descriptor, for Io::accept
    // SIGKILL: its writes in flight land wholly, partly or not at all.
    void kill();
    [[nodiscard]] bool alive() const noexcept { return alive_; }

    // For Files, Io and World.
    [[nodiscard]] World& world() const noexcept { return world_; }
    [[nodiscard]] std::uint32_t id() const noexcept { return id_; }
    void collect_flying(std::vector<Flying>& flying) const;
    void die();

  private:
    World& world_;
    const std::uint32_t id_;
    bool alive_ = true;
    Files files_;
    std::vector<std::unique_ptr<Io>> ios_;
};

}  // namespace firnlog::sim
