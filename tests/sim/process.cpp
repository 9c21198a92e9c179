#include "tests/sim/process.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

#include "io/base/ensure.hpp"
#include "tests/sim/io.hpp"
#include "tests/sim/world.hpp"

namespace firnlog::sim {

namespace {

// The literal itself is the mark: no other error points to it.
constexpr char kCrashed[] = "go on in a world that has crashed";

Error crash_error() noexcept { return {.code = Code::io, .error = EIO, .doing = kCrashed}; }

// A file with bad sectors is mapped as a copy whose bad pages raise SIGBUS, as they would.
class SpoiltCopy {
  public:
    explicit SpoiltCopy(Inode& file) {
        const Bytes content = file.view();
        bytes_ = align_up<std::uint64_t>(std::max<std::size_t>(content.size(), 1), kBlockBytes);
        void* base =
            ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ensure(base != MAP_FAILED, "memory for the copy of a damaged file");
        base_ = static_cast<std::byte*>(base);
        std::memcpy(base_, content.data(), content.size());
        static const int empty = ::memfd_create("empty", MFD_CLOEXEC);
        for (const std::uint64_t sector : file.spoilt_sectors()) {
            const std::uint64_t page = align_down(sector * kSectorBytes, kBlockBytes);
            if (page >= bytes_) continue;
            ensure(::mmap(base_ + page, kBlockBytes, PROT_READ, MAP_SHARED | MAP_FIXED, empty, 0) !=
                       MAP_FAILED,
                   "a page that cannot be read");
        }
    }
    SpoiltCopy(const SpoiltCopy&) = delete;
    SpoiltCopy& operator=(const SpoiltCopy&) = delete;
    ~SpoiltCopy() { ::munmap(base_, bytes_); }
    [[nodiscard]] const std::byte* begin() const noexcept { return base_; }

  private:
    std::byte* base_ = nullptr;
    std::uint64_t bytes_ = 0;
};

class Mapping final : public io::Mapping {
  public:
    Mapping(World& world, InodeRef file) : world_(world), file_(std::move(file)) {
        ++file_->opens;
        bytes_ = file_->view();
        if (file_->spoilt(0, bytes_.size())) {
            spoilt_ = std::make_unique<SpoiltCopy>(*file_);
            bytes_ = {spoilt_->begin(), bytes_.size()};
        }
    }
    ~Mapping() override {
        const auto hold = world_.guard();
        --file_->opens;
    }

    [[nodiscard]] Bytes bytes() const noexcept override { return bytes_; }
    [[nodiscard]] bool resident(std::uint64_t, std::uint64_t) const override {
        const unsigned percent = world_.options().resident_percent;
        if (percent >= 100) return true;
        const auto hold = world_.guard();
        return world_.rng().chance(percent);
    }
    [[nodiscard]] bool load(std::uint64_t offset, std::uint64_t length) override {
        const auto hold = world_.guard();
        const auto bytes = file_->view().size();
        return offset <= bytes && length <= bytes - offset && !file_->spoilt(offset, length);
    }

  private:
    World& world_;
    InodeRef file_;
    std::unique_ptr<SpoiltCopy> spoilt_;
    Bytes bytes_;
};

class Lock final : public io::Lock {
  public:
    // Shared: a lock may be dropped after its world.
    Lock(std::shared_ptr<LockTable> table, std::string name, std::uint64_t ticket)
        : table_(std::move(table)), name_(std::move(name)), ticket_(ticket) {}
    ~Lock() override {
        const std::lock_guard hold{table_->guard};
        const auto at = table_->held.find(name_);
        if (at != table_->held.end() && at->second.ticket == ticket_) table_->held.erase(at);
    }

  private:
    std::shared_ptr<LockTable> table_;
    std::string name_;
    std::uint64_t ticket_;
};

// One blocking operation: numbered when made, in the trace when ended.
class Call {
  public:
    Call(Process& process, Kind kind, const char* doing, std::string_view name,
         std::uint64_t offset = 0, std::uint64_t length = 0)
        : world_(process.world()), doing_(doing), hold_(world_.guard()) {
        begin(process, kind, name, offset, length);
    }

    Call(Process& process, Kind kind, const char* doing, int fd, std::uint64_t offset = 0,
         std::uint64_t length = 0)
        : world_(process.world()), doing_(doing), hold_(world_.guard()) {
        Descriptor* const descriptor = world_.descriptor(fd, process);
        const bool is_file = descriptor != nullptr && descriptor->file != nullptr;
        begin(process, kind, is_file ? std::string_view{descriptor->file->name()} : "", offset,
              length);
        if (is_file)
            descriptor_ = descriptor;
        else if (error_ == 0)
            error_ = EBADF;
    }

    [[nodiscard]] bool crashed() const noexcept { return begun_.crashed; }
    [[nodiscard]] int error() const noexcept { return error_; }
    void error(int error) noexcept { error_ = error; }
    [[nodiscard]] const Begun& begun() const noexcept { return begun_; }
    [[nodiscard]] Descriptor& descriptor() const noexcept { return *descriptor_; }
    [[nodiscard]] Inode& file() const noexcept { return *descriptor_->file; }
    [[nodiscard]] World& world() const noexcept { return world_; }

    // Ends it with its error.
    tl::unexpected<Error> failed() {
        if (begun_.crashed) return tl::unexpected(crash_error());
        world_.note("", begun_.operation, -error_);
        auto failed = fail_errno(doing_, error_);
        if (error_ == EINVAL && descriptor_ == nullptr && begun_.error == 0)
            failed.value().code = Code::usage;  // a bad name
        if (begun_.operation.kind == Kind::read || begun_.operation.kind == Kind::write)
            failed.value().offset = begun_.operation.offset;
        return failed;
    }
    void succeeded(std::int64_t result = 0) { world_.note("", begun_.operation, result); }
    Result<void> ended() {
        if (begun_.crashed || error_ != 0) return failed();
        succeeded();
        return {};
    }

  private:
    void begin(Process& process, Kind kind, std::string_view name, std::uint64_t offset,
               std::uint64_t length) {
        if (!process.alive() || world_.crashed()) {
            begun_.crashed = true;
            error_ = EIO;
            return;
        }
        begun_ = world_.begin(kind, name, offset, length);
        if (begun_.crashed) {
            error_ = EIO;
            return;
        }
        world_.block();
        if (world_.crashed()) {  // a ring's operation, meanwhile
            begun_.crashed = true;
            error_ = EIO;
            return;
        }
        // As the kernel twin does: all is begun again but a sync, whose pages may be lost.
        if (begun_.error == EINTR && kind != Kind::sync && kind != Kind::sync_dir) {
            world_.note("again", begun_.operation, -EINTR);
            begun_.error = 0;
        }
        error_ = begun_.error;
    }

    World& world_;
    const char* doing_;
    std::unique_lock<std::mutex> hold_;
    Begun begun_;
    Descriptor* descriptor_ = nullptr;
    int error_ = 0;
};

bool aligned(std::uint64_t offset, Bytes bytes) noexcept {
    return offset % kBlockBytes == 0 && bytes.size() % kBlockBytes == 0 &&
           reinterpret_cast<std::uintptr_t>(bytes.data()) % kBlockBytes == 0;
}

}  // namespace

bool is_crash(const Error& error) noexcept { return error.doing == kCrashed; }

tl::unexpected<Error> World::fail_crashed() { return tl::unexpected(crash_error()); }

Result<int> Files::open(std::string_view name, io::Open how, bool direct) {
    Call call{process_, how == io::Open::create ? Kind::create : Kind::open, "open a file", name};
    InodeRef file;
    if (call.error() == 0)
        call.error(how == io::Open::create ? call.world().disk().create(name, file)
                                           : call.world().disk().find(name, file));
    if (call.error() != 0) return call.failed();
    ++file->opens;
    const int fd = call.world().add_descriptor({.what = Descriptor::What::file,
                                                .writable = how != io::Open::read,
                                                .direct = direct && call.world().options().direct,
                                                .owner = &process_,
                                                .file = std::move(file)});
    call.succeeded(fd);
    return fd;
}

bool Files::is_direct(int fd) const {
    const auto hold = process_.world().guard();
    const Descriptor* const descriptor = process_.world().descriptor(fd, process_);
    return descriptor != nullptr && descriptor->direct;
}

void Files::close(int fd) {
    const auto hold = process_.world().guard();
    if (!process_.alive() || process_.world().crashed()) return;
    Descriptor* const descriptor = process_.world().descriptor(fd, process_);
    ensure(descriptor != nullptr, "a descriptor is closed once");
    // But where a check failed amid a turn, and all is taken down.
    ensure(descriptor->in_flight == 0 || std::uncaught_exceptions() != 0,
           "nothing is in flight on a descriptor that is closed");
    process_.world().close_descriptor(*descriptor);
}

Result<std::size_t> Files::read(int fd, std::uint64_t offset, MutableBytes into) {
    Call call{process_, Kind::read, "read a file", fd, offset, into.size()};
    if (call.error() == 0 && call.file().spoilt(offset, into.size())) call.error(EIO);
    if (call.error() == 0 && call.descriptor().direct && !aligned(offset, into)) call.error(EINVAL);
    if (call.error() != 0) return call.failed();
    std::size_t count = call.file().read(offset, into);
    if (call.begun().is_short && count != 0) count = call.world().rng().below(count);
    call.succeeded(static_cast<std::int64_t>(count));
    return count;
}

Result<void> Files::write(int fd, std::uint64_t offset, Bytes bytes) {
    Call call{process_, Kind::write, "write a file", fd, offset, bytes.size()};
    if (call.crashed() || call.error() == EBADF) return call.failed();
    if (!call.descriptor().writable) call.error(EBADF);
    if (call.descriptor().direct && !aligned(offset, bytes)) call.error(EINVAL);
    std::uint64_t done = 0;
    const Begun& begun = call.begun();
    if (begun.error != 0 || begun.is_short) {
        const std::uint64_t length =
            call.world().landing(begun.landed, begun.error, begun.is_short, bytes.size());
        call.world().disk().write(call.file(), offset, {&bytes, 1}, length, done);
        call.error(begun.is_short ? EIO : begun.error);
    } else if (call.error() == 0) {
        call.error(call.world().disk().write(call.file(), offset, {&bytes, 1}, bytes.size(), done));
    }
    return call.ended();
}

Result<void> Files::allocate(int fd, std::uint64_t bytes) {
    Call call{process_, Kind::allocate, "make room in a file", fd, 0, bytes};
    if (call.error() == 0 && !call.descriptor().writable) call.error(EBADF);
    if (call.error() == 0) call.error(call.world().disk().allocate(call.file(), bytes));
    return call.ended();
}

Result<void> Files::truncate(int fd, std::uint64_t bytes) {
    Call call{process_, Kind::truncate, "set the size of a file", fd, 0, bytes};
    if (call.error() == 0 && !call.descriptor().writable) call.error(EBADF);
    if (call.error() == 0) call.error(call.world().disk().resize(call.file(), bytes));
    return call.ended();
}

Result<void> Files::sync(int fd) {
    Call call{process_, Kind::sync, "sync a file", fd};
    if (call.crashed() || call.error() == EBADF) return call.failed();
    const std::uint64_t mark = call.world().disk().mark();
    if (call.error() == 0)
        call.file().sync(mark);
    else
        call.file().fail_sync(mark, call.begun().landed, call.world().rng());
    return call.ended();
}

Result<std::uint64_t> Files::size(int fd) {
    Call call{process_, Kind::size, "ask the size of a file", fd};
    if (call.error() != 0) return call.failed();
    call.succeeded(static_cast<std::int64_t>(call.file().size()));
    return call.file().size();
}

Result<std::unique_ptr<io::Mapping>> Files::map(int fd) {
    Call call{process_, Kind::map, "map a file", fd};
    if (call.error() != 0) return call.failed();
    call.succeeded(static_cast<std::int64_t>(call.file().size()));
    return std::make_unique<Mapping>(call.world(), call.descriptor().file);
}

// No operation: it changes nothing, and what it tells is told by the operations around it.
bool Files::is_sole(int fd) {
    const auto hold = process_.world().guard();
    const auto* const descriptor = process_.world().descriptor(fd, process_);
    return descriptor != nullptr && descriptor->file != nullptr && descriptor->writable &&
           descriptor->file->links == 1 && descriptor->file->opens == 1;
}

bool Files::is_last(int fd) {
    const auto hold = process_.world().guard();
    const auto* const descriptor = process_.world().descriptor(fd, process_);
    return descriptor != nullptr && descriptor->file != nullptr && descriptor->writable &&
           descriptor->file->links == 0 && descriptor->file->opens == 1;
}

Result<void> Files::rename(std::string_view from, std::string_view to) {
    Call call{process_, Kind::rename, "rename a file", from};
    if (call.error() == 0) call.error(call.world().disk().rename(from, to));
    return call.ended();
}

Result<void> Files::link(std::string_view from, std::string_view to) {
    Call call{process_, Kind::link, "link a file", from};
    if (call.error() == 0) call.error(call.world().disk().link(from, to));
    return call.ended();
}

Result<void> Files::unlink(std::string_view name) {
    Call call{process_, Kind::unlink, "remove a file", name};
    if (call.error() == 0) call.error(call.world().disk().unlink(name));
    return call.ended();
}

Result<void> Files::make_dir(std::string_view name) {
    Call call{process_, Kind::make_dir, "make a folder", name};
    if (call.error() == 0) call.error(call.world().disk().make_dir(name));
    return call.ended();
}

Result<std::vector<io::FileInfo>> Files::list(std::string_view dir) {
    Call call{process_, Kind::list, "list a folder", dir};
    std::vector<InodeRef> files;
    std::vector<std::string> names;
    if (call.error() == 0) call.error(call.world().disk().list(dir, files, names));
    if (call.error() != 0) return call.failed();
    std::vector<io::FileInfo> infos;
    for (std::size_t i = 0; i < files.size(); ++i)
        infos.push_back(
            {.name = std::move(names[i]), .bytes = files[i]->size(), .links = files[i]->links});
    call.succeeded(static_cast<std::int64_t>(infos.size()));
    return infos;
}

Result<void> Files::sync_dir(std::string_view dir) {
    Call call{process_, Kind::sync_dir, "sync a folder", dir};
    if (call.error() == 0) call.error(call.world().disk().sync_dir(dir));
    return call.ended();
}

Result<std::unique_ptr<io::Lock>> Files::lock(std::string_view name) {
    Call call{process_, Kind::lock, "lock a file", name};
    if (call.error() != 0) return call.failed();
    InodeRef file;
    int error = call.world().disk().find(name, file);
    if (error == ENOENT) error = call.world().disk().create(name, file);
    const auto& table = call.world().locks();
    std::uint64_t ticket = 0;
    if (error == 0) {
        const std::lock_guard hold{table->guard};
        if (table->held.contains(name)) {
            error = EBUSY;
        } else {
            ticket = ++table->tickets;
            table->held.emplace(std::string{name},
                                LockTable::Holder{.process = process_.id(), .ticket = ticket});
        }
    }
    call.error(error);
    if (error != 0) return call.failed();
    call.succeeded();
    return std::make_unique<Lock>(table, std::string{name}, ticket);
}

Result<std::uint64_t> Files::free_bytes() {
    Call call{process_, Kind::free_bytes, "ask for free space", ""};
    if (call.error() != 0) return call.failed();
    const std::uint64_t bytes = call.world().disk().free_bytes();
    call.succeeded(static_cast<std::int64_t>(bytes));
    return bytes;
}

Process::Process(World& world, std::uint32_t id) : world_(world), id_(id), files_(*this) {}

Process::~Process() = default;

io::Io& Process::io(std::size_t index) {
    const auto hold = world_.guard();
    while (ios_.size() <= index) ios_.push_back(std::make_unique<Io>(world_, *this));
    return *ios_[index];
}

int Process::listen() {
    const auto hold = world_.guard();
    const int fd = world_.add_descriptor({.what = Descriptor::What::listener, .owner = this});
    world_.descriptor(fd, *this)->listener = &world_.net().listen(fd, *this);
    return fd;
}

void Process::kill() {
    const auto hold = world_.guard();
    if (!alive_) return;
    std::vector<Flying> flying;
    collect_flying(flying);
    world_.land(world_.disk(), flying, world_.rng());
    die();
}

void Process::collect_flying(std::vector<Flying>& flying) const {
    for (const auto& io : ios_) io->collect_flying(flying);
}

void Process::die() {
    alive_ = false;
    for (const auto& io : ios_) io->die();
    world_.close_all(*this);
    const std::lock_guard hold{world_.locks()->guard};
    std::erase_if(world_.locks()->held,
                  [&](const auto& held) { return held.second.process == id_; });
}

}  // namespace firnlog::sim
