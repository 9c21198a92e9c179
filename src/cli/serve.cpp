#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <latch>
#include <optional>
#include <thread>
#include <vector>

#include "io/base/memory.hpp"
#include "io/base/thread.hpp"
#include "io/guarded_copy.hpp"
#include "io/posix_files.hpp"
#include "io/system_clock.hpp"
#include "io/uring.hpp"
#include "recovery/open.hpp"
#include "recovery/past.hpp"
#include "src/address.hpp"
#include "src/archive_job.hpp"
#include "src/backup_job.hpp"
#include "src/cli/moment_option.hpp"
#include "src/cli/source.hpp"
#include "src/cli/verbs.hpp"
#include "src/commands/command_table.hpp"
#include "src/config.hpp"
#include "src/crash_report.hpp"
#include "src/loading.hpp"
#include "src/logger.hpp"
#include "src/recall.hpp"
#include "src/saving.hpp"
#include "src/scrub_job.hpp"
#include "src/server.hpp"
#include "src/sidecar_job.hpp"
#include "src/version.hpp"

namespace firnlog::server::cli {
namespace {

constexpr std::string_view kHelp =
    R"(usage: firnlog serve [CONFIG] [--OPTION VALUE]...

Serves the store in a directory over RESP. CONFIG is a file in redis.conf's syntax; every option
can stand in it and on the command line, under Redis's names. The usual ones:

  --dir DIR                 where the store lies (default: the current directory)
  --port N                  TCP port (6379; 0: none)
  --bind ADDRESS...         addresses to listen on (127.0.0.1 -::1)
  --unixsocket PATH         also listen there
  --appendfsync POLICY      always (default): a reply means that it is on the disk
                            everysec: a power cut loses two seconds at most, a crash nothing
                            no: the kernel decides when it is on the disk
  --requirepass PASSWORD    clients must AUTH
  --threads N               reactors (1 on two cores)
  --databases N             16
  --logfile PATH            log there instead of to standard error; reopened on SIGHUP
  --pidfile PATH            write the process id there
  --supervised systemd      tell systemd when it is ready

A moment of the past instead, beside whoever serves the store; reads only, nothing is written:

  --from DIR --readonly [--at TIME | --before TIME | --lsn LSN | --mark NAME]
                            as for firnlog restore; without a moment, as it is now

docs/operations.md lists all of them. Exit codes: 0 stopped, 1 could not start, 3 the store is
damaged.
)";

// Threads that apply the log of a start: what decodes for them keeps no more of them busy.
constexpr unsigned kLanesMax = 4;

// For the commands that run as memory runs out: the largest batch and its place in the index, and
// what the allocator takes at once. Never touched, so of address space only.
constexpr std::size_t kMemoryAside = std::size_t{64} << 20;

// What recovery writes before it serves: the kept tail, and the manifest.
constexpr const char* kNoRoomToStart =
    "; free some space and start again: a start writes the manifest anew, and after an unclean "
    "stop the end of the log. Nothing is lost";

std::atomic<int> signals{0};
std::atomic<bool> hang_up{false};

void on_stop_signal(int) {
    // The second one does not wait.
    if (signals.fetch_add(1) != 0) ::_exit(1);
}

void on_hang_up(int) { hang_up.store(true); }

void install_signals() {
    struct sigaction action {};
    action.sa_handler = on_stop_signal;
    ::sigaction(SIGTERM, &action, nullptr);
    ::sigaction(SIGINT, &action, nullptr);
    action.sa_handler = on_hang_up;
    ::sigaction(SIGHUP, &action, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
}

// sd_notify(3), without the library: one datagram to the socket that systemd names.
void tell_systemd(const Config& config, const std::string& state) {
    const char* path = std::getenv("NOTIFY_SOCKET");
    if (path == nullptr ||
        (config.supervised != Supervised::systemd && config.supervised != Supervised::autodetect))
        return;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto length = std::strlen(path);
    if (length == 0 || length >= sizeof address.sun_path) return;
    std::memcpy(address.sun_path, path, length);
    if (path[0] == '@') address.sun_path[0] = '\0';
    const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    // A supervisor that does not listen may not hold up a start, nor a stop.
    const timeval patience{.tv_sec = 1, .tv_usec = 0};
    (void)::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    // What the ring has to tell this thread interrupts the wait as a signal does.
    while (::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL,
                    reinterpret_cast<sockaddr*>(&address),
                    static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length)) < 0 &&
           errno == EINTR && signals.load() == 0) {
    }
    ::close(fd);
}

int could_not(const std::string& text) {
    logger::warning(text);
    return 1;
}

// As many descriptors as maxclients asks for, and some for files.
void raise_descriptor_limit(Config& config) {
    constexpr rlim_t kOwn = 64;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    const auto wanted = static_cast<rlim_t>(config.maxclients) + kOwn;
    if (limit.rlim_cur >= wanted) return;
    limit.rlim_cur = std::min(wanted, limit.rlim_max);
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted) return;
    const auto possible =
        static_cast<std::int64_t>(limit.rlim_cur > kOwn ? limit.rlim_cur - kOwn : 1);
    logger::warning("maxclients " + std::to_string(config.maxclients) + " needs " +
                    std::to_string(wanted) + " descriptors, the limit is " +
                    std::to_string(limit.rlim_cur) + ": maxclients is " + std::to_string(possible) +
                    " now");
    config.maxclients = possible;
}

// There from before the log is replayed, which may take long, until the end of the process.
class PidFile {
  public:
    explicit PidFile(std::string path) : path_(std::move(path)) {}
    PidFile(const PidFile&) = delete;
    PidFile& operator=(const PidFile&) = delete;
    ~PidFile() {
        if (written_) ::unlink(path_.c_str());
    }
    void write() {
        if (path_.empty()) return;
        written_ = static_cast<bool>(std::ofstream(path_) << ::getpid() << "\n" << std::flush);
        if (!written_) logger::warning("pidfile '" + path_ + "' cannot be written");
    }

  private:
    const std::string path_;
    bool written_ = false;
};

void log_start(const recovery::Report& report) {
    if (report.created) {
        logger::notice("store: created");
        return;
    }
    logger::notice("store: replayed records=" + std::to_string(report.records) + " bytes=" +
                   std::to_string(report.bytes) + " files=" + std::to_string(report.files) +
                   " ms=" + std::to_string(report.took_us / 1000) +
                   (report.clean ? " after a clean stop" : " after an unclean stop"));
    if (report.checkpoint != 0)
        logger::notice("store: began with checkpoint=" + std::to_string(report.checkpoint) +
                       " bytes=" + std::to_string(report.checkpoint_bytes));
    if (!report.checkpoint_fault.empty())
        logger::warning("store: damaged: " + report.checkpoint_fault +
                        "; left out, another one is taken now");
    if (report.torn_bytes != 0)
        logger::warning("store: torn tail cut at " + report.torn_at +
                        ", bytes=" + std::to_string(report.torn_bytes) + " kept in quarantine/");
}

std::int64_t mono_seconds() {
    timespec at{};
    ::clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec;
}

void tell_progress(const Config& config, const recovery::Progress& now) {
    using Phase = recovery::Progress::Phase;
    const auto percent =
        std::to_string(now.bytes_all == 0 ? 0 : now.bytes_done * 100 / now.bytes_all);
    switch (now.phase) {
        case Phase::looking:
            logger::notice("store: looking for the end of the log bytes=" +
                           std::to_string(now.bytes_done));
            return tell_systemd(config, "STATUS=looking for the end of the log\n");
        case Phase::replaying:
            logger::notice("store: replaying percent=" + percent +
                           " records=" + std::to_string(now.records));
            return tell_systemd(config, "STATUS=replaying the log, " + percent + " percent\n");
        case Phase::writing:
            logger::notice("store: writing the end of the log anew percent=" + percent);
            return tell_systemd(
                config, "STATUS=writing the end of the log anew, " + percent + " percent\n");
    }
}

recovery::OpenOptions open_options(const Config& config, Loading& loading, PidFile& pid_file) {
    recovery::OpenOptions options;
    options.engine.supply.bytes_max = config.segment_bytes_max;
    options.engine.tail_bytes_max = config.tail_memory;
    options.engine.batch_bytes_max =
        std::max<std::uint64_t>(config.tail_memory / 2, config.proto_max_bulk_len + (64U << 20));
    options.engine.walk.log_bytes = config.checkpoint_log_bytes;
    options.engine.walk.window = window_of(config);
    options.engine.walk.marks = {.low = config.disk_low_water, .high = config.disk_high_water};
    options.engine.databases = static_cast<std::uint32_t>(config.databases);
    options.waits = true;
    options.lanes = std::clamp(std::thread::hardware_concurrency(), 1U, kLanesMax);
    options.give_up = [] { return signals.load() != 0; };
    // Not before the directory is ours: another server's may be of that name.
    options.locked = [&pid_file] { pid_file.write(); };
    options.progress = [&config, &loading, last = mono_seconds(),
                        replays = false](const recovery::Progress& now) mutable {
        loading.progress(now);
        // A line a second; and one of the replay, however short it is.
        const bool begins = now.phase == recovery::Progress::Phase::replaying && !replays;
        replays = replays || begins;
        if (!begins && mono_seconds() == last) return;
        last = mono_seconds();
        tell_progress(config, now);
    };
    return options;
}

// The part of the index that waits in the checkpoint while the server serves.
void tell_index(const engine::Engine& engine, const Config& config,
                engine::Engine::IndexEvent event, std::int64_t& last_s) {
    using Event = engine::Engine::IndexEvent;
    const auto& keyspace = engine.keyspace();
    const auto fault = engine.index_fault();
    const auto why = fault ? fault->text() + ", file=" + std::to_string(fault->file) +
                                 " offset=" + std::to_string(fault->offset)
                           : std::string();
    switch (event) {
        case Event::loading: {
            if (mono_seconds() == last_s) return;
            last_s = mono_seconds();
            const auto left = keyspace.waiting() * 100 / engine::kStripes;
            return tell_systemd(config, "STATUS=serving, " + std::to_string(100 - left) +
                                            " percent of the index are in memory\n");
        }
        case Event::whole:
            logger::notice("store: all of the index is in memory");
            return tell_systemd(config, "STATUS=serving\n");
        case Event::lost:
            return logger::warning("store: damaged: " + why +
                                   "; parts=" + std::to_string(keyspace.lost()) + " of " +
                                   std::to_string(engine::kStripes) +
                                   " of the index are made anew from the log, their keys answer "
                                   "LOADING meanwhile");
        case Event::mended:
            logger::notice("store: the index is whole again, another checkpoint is taken now");
            return tell_systemd(config, "STATUS=serving\n");
        case Event::not_mended:
            return logger::warning("store: parts=" + std::to_string(keyspace.lost()) +
                                   " of the index cannot be made anew: " + why +
                                   "; see firnlog repair");
    }
}

// Each time that half of those are gone that were left; the first time at a quarter of all.
void tell_file_numbers(const engine::Engine& engine, std::uint32_t& told) {
    const auto left = engine.supply.numbers_left();
    if (left > told / 2) return;
    told = left;
    logger::warning("store: file numbers left=" + std::to_string(left) + " of " +
                    std::to_string(engine::kFileNumberMax) +
                    ": behind the last one nothing can be written; docs/operations.md, Limits, "
                    "tells how a store is numbered anew");
}

// A directory for what is copied out of the store; the error is for a person.
tl::expected<std::unique_ptr<io::Files>, std::string> open_beside(const Config& config,
                                                                  const std::string& directive,
                                                                  const std::string& path) {
    auto dir = io::open_posix_files(config.path(path), true);
    if (!dir) return tl::unexpected(path + ": " + dir.error().text());
    std::error_code unknown;
    if (std::filesystem::equivalent(config.path(path), config.dir, unknown))
        return tl::unexpected(directive +
                              " is the store's own directory, which is no place for it");
    return std::move(*dir);
}

// A reactor and the ring it owns, made and used on one thread.
struct Seat {
    std::unique_ptr<io::Io> io;
    std::unique_ptr<Reactor> reactor;
};

Result<Seat> take_seat(Server& server, std::size_t number) {
    io::UringOptions options;
    options.grace = &server.engine().grace;
    auto ring = io::make_uring(options);
    if (!ring) return fail(ring);
    Seat seat{.io = std::move(*ring), .reactor = nullptr};
    seat.reactor = std::make_unique<Reactor>(server, number, *seat.io);
    return seat;
}

bool turn_or_log(Reactor& reactor) {
    if (auto done = reactor.turn(true); !done) {
        logger::warning("reactor " + std::to_string(reactor.number) + ": " + done.error().text());
        return false;
    }
    return true;
}

// Nothing more is parsed; replies that wait for the log are sent, for a while. What is in flight is
// waited for in any case: the log cannot go on without it.
void finish(Server& server, Reactor& reactor) {
    constexpr std::int64_t kPatienceUs = 3'000'000;
    const auto until = server.clock().mono().after(kPatienceUs);
    reactor.close_all(false);
    while (reactor.connections() != 0 && server.clock().mono() < until)
        if (!turn_or_log(reactor)) return;
    reactor.close_all(true);
    while (!reactor.log_idle() || reactor.connections() != 0)
        if (!turn_or_log(reactor)) return;
}

// The other reactors, each on its thread, until the server stops.
class Crew {
  public:
    Crew(Server& server, std::size_t count) : ready_(static_cast<std::ptrdiff_t>(count) + 1) {
        seats_.resize(count);
        for (std::size_t i = 0; i < count; ++i) {
            auto started = start_thread([this, &server, i] {
                auto seat = take_seat(server, i + 1);
                if (seat)
                    seats_[i] = seat->reactor.get();
                else
                    logger::warning(seat.error().text());
                ready_.arrive_and_wait();
                go_.wait();
                if (!seat) return;
                while (!leave_.load(std::memory_order_acquire))
                    if (!turn_or_log(*seat->reactor)) break;
                finish(server, *seat->reactor);
                // The ring first: it waits until the kernel has let go of the reactor's memory.
                seat->io.reset();
                seat->reactor.reset();
            });
            if (started) {
                threads_.push_back(std::move(*started));
                continue;
            }
            logger::warning(started.error().text());
            ready_.count_down();
        }
    }
    // All of them, or null where one could not be made.
    const std::vector<Reactor*>& seats() {
        ready_.arrive_and_wait();
        return seats_;
    }
    void go() { go_.count_down(); }
    void leave() {
        leave_.store(true, std::memory_order_release);
        for (auto& thread : threads_) thread.join();
        threads_.clear();
    }

  private:
    std::latch ready_;
    std::latch go_{1};
    std::atomic<bool> leave_{false};
    std::vector<Reactor*> seats_;
    std::vector<std::thread> threads_;
};

// Everything appended becomes durable.
void drain(Server& server, Reactor& reactor) {
    auto& log = server.engine().log;
    const auto until = server.clock().mono().after(10'000'000);
    while (log.failed() == 0 && server.clock().mono() < until) {
        {
            const std::lock_guard guard(log.tail.lock);
            log.want_durable(log.tail.end());
            if (log.durable() == log.tail.end()) return;
        }
        if (!turn_or_log(reactor)) return;
    }
}

// Serves until it is to stop; then nothing of the engine is in flight any more.
// `files`: the store's; null: its past is not to be read here.
int run(engine::Engine& engine, io::Files* files, const recovery::Report& report, io::Clock& clock,
        const Config& config, const std::vector<Listener>& listeners,
        const Loading::Handover& early) {
    Server server(engine, clock, config);
    server.connection_ids_begin_behind(early.last_id);
    if (files != nullptr) server.recall().reads(*files);
    if (files != nullptr)
        if (auto started = server.sidecars().reads(*files); !started)
            logger::warning("sidecars: " + started.error().text());
    if (files != nullptr && !config.backup_dir.empty()) {
        auto dir = open_beside(config, "backup-dir", config.backup_dir);
        if (!dir) return could_not(dir.error());
        server.backups().writes(*files, std::move(*dir));
    }
    if (files != nullptr && !config.archive_dir.empty()) {
        auto dir = open_beside(config, "archive-dir", config.archive_dir);
        if (!dir) return could_not(dir.error());
        auto& archive = **dir;
        server.archive().archives(*files, std::move(*dir));
        server.backups().tries(*files, &archive);
    } else if (files != nullptr && !config.archive_command.empty()) {
        server.archive().archives(*files, config.archive_command);
    }
    server.recovery = report;
    server.tcp_port = config.port;
    auto first = take_seat(server, 0);
    if (!first) return could_not(first.error().text());
    Crew crew(server, static_cast<std::size_t>(config.threads) - 1);
    server.add_reactor(*first->reactor);
    bool whole = true;
    for (auto* reactor : crew.seats()) {
        whole = whole && reactor != nullptr;
        if (reactor != nullptr) server.add_reactor(*reactor);
    }
    crew.go();
    if (!whole) {
        crew.leave();
        return could_not("a reactor could not be made");
    }
    engine.on_corrupt = [](engine::Address at, engine::Lsn lsn) {
        logger::warning("corrupt: file=" + std::to_string(at.file()) + " offset=" +
                        std::to_string(at.offset()) + " lsn=" + std::to_string(lsn.value));
    };
    engine.on_index = [&engine, &config,
                       last = std::int64_t{0}](engine::Engine::IndexEvent event) mutable {
        tell_index(engine, config, event, last);
    };
    engine.supply.on_change = [&server] {
        for (auto* reactor : server.reactors()) reactor->post([](Reactor& it) { it.resume(); });
    };
    auto numbers_told = engine::kFileNumberMax / 2;
    tell_file_numbers(engine, numbers_told);
    engine.walk.on_finished = [&server, &engine, &numbers_told](bool good) {
        server.saving().finished(good);
        tell_file_numbers(engine, numbers_told);
    };
    if (engine.options.past) {
        // Nothing ends there, and there is nothing to take a checkpoint of.
        server.active_expire.store(false);
        engine.walk.pause(true);
    } else if (auto started = engine.start_worker(); !started) {
        crew.leave();
        return could_not(started.error().text());
    }
    if (auto begun = server.archive().begin(); !begun) {
        engine.stop_worker();
        crew.leave();
        return could_not(begun.error().text());
    }
    if (files != nullptr)
        if (auto started = server.scrub().reads(*files); !started)
            logger::warning("scrub: " + started.error().text());
    for (const auto& listener : listeners) {
        first->reactor->listen(listener.fd);
        logger::notice("ready: " + listener.address);
    }
    for (std::size_t i = 0; i < early.clients.size(); ++i)
        server.reactors()[i % server.reactors().size()]->post(
            [client = early.clients[i]](Reactor& it) { it.adopt(client); });
    tell_systemd(config, "READY=1\nSTATUS=serving\n");
    bool sound = true;
    while (sound && signals.load() == 0 && !server.stopping()) {
        sound = turn_or_log(*first->reactor);
        if (hang_up.exchange(false)) logger::reopen();
    }
    tell_systemd(config, "STOPPING=1\n");
    logger::notice("stopping");
    server.stop();
    // The worker first: it tells reactors when a segment was made, and they are about to go.
    engine.stop_worker();
    // It answers on reactors, too.
    server.recall().stop();
    server.backups().stop();
    server.scrub().stop();
    server.sidecars().stop();
    server.archive().let_go_of_reactors();
    crew.leave();
    finish(server, *first->reactor);
    drain(server, *first->reactor);
    server.archive().stop();
    first->io.reset();
    first->reactor.reset();
    return sound ? 0 : 1;
}

// What has to be right before anything is opened; the exit code where it is not.
std::optional<int> set_up(Config& config) {
    const auto log_file = config.logfile.empty() ? "" : config.path(config.logfile);
    if (auto opened = logger::open(log_file, config.loglevel); !opened) {
        std::fprintf(stderr, "firnlog: %s: %s\n", config.logfile.c_str(),
                     opened.error().text().c_str());
        return 1;
    }
    logger::notice("firnlog " + std::string(kVersion) + " pid " + std::to_string(::getpid()));
    for (const auto& notice : config.notices)
        (notice.asked_for_more ? logger::warning
                               : logger::notice)(notice.where + ": " + notice.text);
    std::vector<CommandTable::Renaming> renamings;
    renamings.reserve(config.renames.size());
    for (const auto& rename : config.renames) renamings.push_back({rename.from, rename.to});
    if (const auto wrong = CommandTable::build(renamings)) return could_not(*wrong);
    if (auto probed = io::probe_uring(); !probed) return could_not(probed.error().text());
    install_signals();
    // The guard hands on what is not its own.
    install_crash_report(config.crash_log_enabled, log_file);
    io::install_sigbus_guard();
    raise_descriptor_limit(config);
    set_memory_aside(kMemoryAside);
    return std::nullopt;
}

// A store as it was at a moment, beside whoever serves it: nothing is written anywhere.
int serve_past(Config config, const std::string& from, const recovery::Moment& moment) {
    if (const auto code = set_up(config)) return *code;
    auto source = cli::Source::open(from, moment);
    if (!source) {
        (void)could_not(source.error().text);
        return source.error().exit_code();
    }
    const auto listeners = open_listeners(config);
    if (!listeners) return could_not(listeners.error().text);
    io::SystemClock clock;
    recovery::PastOptions options{.moment = moment,
                                  .now_us = clock.wall().us,
                                  .databases = static_cast<std::uint32_t>(config.databases),
                                  .progress = {},
                                  .give_up = [] { return signals.load() != 0; }};
    auto past = recovery::open_past(source->files(), options);
    if (!past) {
        logger::warning(from + ": " + past.error().text);
        return past.error().exit_code();
    }
    const auto& facts = (*past)->facts();
    logger::notice("past: " + recovery::text_of(facts.place) +
                   ", replayed records=" + std::to_string(facts.records) +
                   " bytes=" + std::to_string(facts.bytes) + "; read-only");
    const int code = run((*past)->engine(), nullptr, {}, clock, config, *listeners, {});
    logger::notice("stopped");
    for (const auto& listener : *listeners) ::close(listener.fd);
    return code;
}

void close_listeners(const Config& config, const std::vector<Listener>& listeners) {
    if (!config.unixsocket.empty()) ::unlink(config.path(config.unixsocket).c_str());
    for (const auto& listener : listeners) ::close(listener.fd);
}

int serve_config(Config config) {
    // The directory first: a log file may lie in it.
    auto files = io::open_posix_files(config.dir, true);
    if (!files) return could_not(config.dir + ": " + files.error().text());
    if (const auto code = set_up(config)) return *code;
    const auto listeners = open_listeners(config);
    if (!listeners) return could_not(listeners.error().text);
    io::SystemClock clock;
    Loading loading(*listeners, config);
    PidFile pid_file(config.pidfile.empty() ? "" : config.path(config.pidfile));
    auto store = recovery::open(**files, clock, open_options(config, loading, pid_file));
    const auto early = loading.stop();
    if (!store) {
        for (const auto& client : early.clients) ::close(client.fd);
        close_listeners(config, *listeners);
        if (signals.load() != 0) {
            logger::notice("stopped while loading");
            return 0;
        }
        logger::warning(config.dir + ": " + store.error().text +
                        (store.error().error.code == Code::no_space ? kNoRoomToStart : ""));
        return store.error().exit_code();
    }
    log_start((*store)->report());
    int code =
        run((*store)->engine(), files->get(), (*store)->report(), clock, config, *listeners, early);
    if (auto closed = (*store)->close(); !closed)
        code = could_not("the stop is not clean: " + closed.error().text());
    else
        logger::notice("stopped cleanly");
    close_listeners(config, *listeners);
    return code;
}

// --from, the moment and --readonly are this verb's own; the rest is configuration.
struct PastArguments {
    std::string from;  // empty: no past is asked for
    std::optional<recovery::Moment> moment;
    bool readonly = false;
    std::vector<std::string> rest;
};

tl::expected<PastArguments, std::string> take_past(Arguments arguments) {
    PastArguments taken;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const auto& argument = arguments[i];
        if (argument == "--readonly") {
            taken.readonly = true;
        } else if (argument == "--from" && i + 1 < arguments.size()) {
            taken.from = arguments[++i];
        } else if (moment_word(argument) && i + 1 < arguments.size()) {
            if (auto moment = take_moment(taken.moment, argument, arguments[++i]); !moment)
                return tl::unexpected(moment.error());
        } else {
            taken.rest.push_back(argument);
        }
    }
    const bool any = taken.readonly || taken.moment || !taken.from.empty();
    if (any && (!taken.readonly || taken.from.empty()))
        return tl::unexpected(std::string(
            "a moment is served with --from DIR and --readonly; firnlog restore makes a store of "
            "it that can be written to"));
    return taken;
}

}  // namespace

int serve(Arguments arguments) {
    if (!arguments.empty() && (arguments.front() == "--help" || arguments.front() == "-h")) {
        std::fwrite(kHelp.data(), 1, kHelp.size(), stdout);
        return 0;
    }
    auto past = take_past(arguments);
    if (!past) {
        std::fprintf(stderr, "firnlog serve: %s\n", past.error().c_str());
        return 1;
    }
    auto config = parse_command_line(past->rest);
    if (!config) {
        std::fprintf(stderr, "firnlog serve: %s\n", config.error().message().c_str());
        return 1;
    }
    try {
        if (past->from.empty()) return serve_config(std::move(*config));
        return serve_past(std::move(*config), past->from,
                          past->moment.value_or(recovery::Moment{}));
    } catch (const std::bad_alloc&) {
        // The index is the part that grows.
        return could_not("there is not enough memory to serve this store");
    }
}

}  // namespace firnlog::server::cli
