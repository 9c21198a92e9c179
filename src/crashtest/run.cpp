#include "src/crashtest/run.hpp"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <thread>

#include "src/crashtest/evidence.hpp"
#include "src/crashtest/text.hpp"
#include "src/crashtest/verify.hpp"
#include "src/crashtest/wall.hpp"

namespace firnlog::crashtest {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr int kAskMs = 10'000;
constexpr std::size_t kFoundMax = 50;
constexpr int kToldMax = 3;  // each is several searches through the disk
constexpr std::uint64_t kStoreBytesMax = std::uint64_t{3} << 30U;
constexpr std::int64_t kBackUsMax = 10'000'000;
constexpr std::int64_t kFullUsMax = 10'000'000;

std::uint64_t bytes_below(const std::string& folder) {
    std::uint64_t out = 0;
    std::error_code ignored;
    for (const auto& entry : fs::recursive_directory_iterator(folder, ignored))
        if (entry.is_regular_file(ignored)) out += entry.file_size(ignored);
    return out;
}

std::string version_of(Connection& connection) {
    const auto info = connection.ask({"INFO", "server"}, kAskMs).text;
    std::string out;
    for (const std::string_view field : {"firnlog_version:", "valkey_version:", "redis_version:"}) {
        const auto at = info.find(field);
        if (at == info.npos) continue;
        const auto end = std::min(info.find_first_of("\r\n", at), info.size());
        out += (out.empty() ? "" : ", ") + info.substr(at, end - at);
    }
    return out.empty() ? "unknown" : out;
}

}  // namespace

Run::Run(const Options& options, const std::atomic<bool>& interrupted,
         std::function<void(const Outcome&)> tell)
    : options_(options), interrupted_(interrupted), tell_(std::move(tell)) {}

Run::~Run() {
    // A client whose server is alive waits for its answers.
    if (subject_) subject_->kill();
    end_load();
    subject_.reset();
    disk_.reset();
    std::error_code ignored;
    if (own_folder_ && !keep_) fs::remove_all(folder_, ignored);
}

void Run::wait(std::uint64_t ms) const {
    const auto until = wall_us() + static_cast<std::int64_t>(ms) * 1000;
    while (wall_us() < until && !interrupted_.load())
        std::this_thread::sleep_for(
            std::chrono::microseconds(std::clamp<std::int64_t>(until - wall_us(), 1, 20'000)));
}

std::string Run::last_words() const {
    constexpr std::size_t kMax = 400;
    auto said = subject_->said();
    if (said.size() > kMax) said.erase(0, said.size() - kMax);
    std::ranges::replace_if(
        said, [](unsigned char c) { return c < ' ' || c > '~'; }, ' ');
    return said;
}

std::optional<std::string> Run::prepare() {
    std::error_code failed;
    if (options_.folder.empty()) {
        std::string name = (fs::temp_directory_path(failed) / "firnlog-crashtest-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) return "cannot make " + name;
        folder_ = name;
        own_folder_ = true;
    } else {
        fs::create_directories(options_.folder, failed);
        folder_ = fs::canonical(options_.folder, failed).string();
        if (failed) return "cannot use " + options_.folder + ": " + failed.message();
    }
    if (options_.needs_disk() && ::geteuid() != 0)
        return "power cuts and faults of the disk mount a file system and need root";
    subject_ = std::make_unique<Subject>(options_.start, "", folder_ + "/server.log");
    if (auto wrong = renew("")) return wrong;

    // What does it know? Asked on a store that is thrown away again.
    if (auto wrong = serve()) return wrong;
    Connection connection;
    if (!connection.open(subject_->port())) return "the server closed its port";
    auto left_out = probe(connection, features_);
    outcome_->server = version_of(connection);
    said_when_well_ = subject_->said();
    admin_.clear();
    for (const auto& command : options_.admin) {
        connection.add(split(command, ' '));
        Reply reply;
        if (!connection.send() || connection.receive(reply, kAskMs) != Got::reply)
            return "the server went away at " + command;
        if (reply.is_error())
            leave_out(command, reply, left_out);
        else
            admin_.push_back(command);
        std::this_thread::sleep_for(100ms);
    }
    outcome_->missing = std::move(left_out.unknown);
    outcome_->refused = std::move(left_out.refused);
    subject_->kill();
    return renew("");
}

// A new directory, on a new disk where one is needed.
std::optional<std::string> Run::renew(const std::string& why) {
    subject_->kill();
    std::error_code failed;
    if (!why.empty() && !store_.empty()) {
        const auto kept = folder_ + "/" + why;
        fs::copy(store_, kept, fs::copy_options::recursive, failed);
        keep_ = true;
    } else if (!store_.empty()) {
        fs::remove_all(store_, failed);
    }
    if (options_.needs_disk()) {
        disk_.reset();
        std::vector<std::string> words{"--fs", std::string(name_of(options_.fs)), "--size",
                                       std::to_string(options_.disk_bytes)};
        auto disk = DiskControl::make(folder_ + "/disk", std::move(words));
        if (!disk) return disk.error().text();
        disk_ = std::move(*disk);
        store_ = folder_ + "/disk/store";
    } else {
        // An earlier run may have worked here.
        do store_ = folder_ + "/store" + std::to_string(++stores_);
        while (fs::exists(store_, failed));
    }
    fs::create_directories(store_, failed);
    if (failed) return "cannot make " + store_ + ": " + failed.message();
    // The folder itself is not what is tested.
    if (const auto done = sync_file_system(store_); !done) return done.error().text();
    if (options_.fault == Fault::lying && !disk_->obeys("lying on")) return "the disk does not lie";
    subject_->move_to(store_);
    clients_.clear();
    Random random(options_.seed);
    for (std::uint32_t i = 0; i < options_.clients; ++i)
        clients_.push_back(std::make_unique<Client>(
            i, features_,
            random.fork(i + 1 + stores_ * 1000ULL + outcome_->cycles.size() * 1000003),
            fails() ? 1 : options_.depth));
    shared_base_ = 0;
    return std::nullopt;
}

// Starts the server on a directory that is in order.
std::optional<std::string> Run::serve() {
    const auto ready = subject_->start(options_.start_ms_max);
    if (!ready) return ready.error().text();
    if (*ready == Ready::serves) return std::nullopt;
    return "the server does not start on a directory that is in order: " +
           (*ready == Ready::ended ? subject_->exit()->text() : std::string("no answer in time")) +
           ": " + last_words();
}

void Run::begin_load() {
    stop_.store(false);
    for (auto& client : clients_)
        threads_.emplace_back([this, &client = *client] { client.run(subject_->port(), stop_); });
}

void Run::end_load() {
    stop_.store(true);
    for (auto& thread : threads_) thread.join();
    threads_.clear();
    admin_connection_.close();
}

// The fault of this cycle, somewhere in its load.
void Run::suffer(Cycle& cycle, Random& random) {
    const auto on = [&](const std::string& command) {
        const auto answer = disk_->send(command);
        moments_.push_back({wall_us(), "the disk: " + command});
        cycle.note += command + (answer == "ok" ? "; " : ": " + answer + "; ");
    };
    switch (options_.fault) {
        case Fault::none:
        case Fault::lying:
            return;
        case Fault::slow_flush: {
            constexpr std::uint64_t kSlow[] = {20, 100, 300, 1000, 2500};
            on("flush-ms " + std::to_string(kSlow[random.below(std::size(kSlow))]));
            wait(random.between(300, 2500));
            return;
        }
        case Fault::enospc: {
            const auto errors = errors_of_all();
            const auto full_us = wall_us();
            on("full on");
            // What lies ready is used up first.
            while (errors_of_all() == errors && wall_us() < full_us + kFullUsMax &&
                   !interrupted_.load() && !subject_->ended())
                std::this_thread::sleep_for(1ms);
            if (errors_of_all() == errors) cycle.note += "no write was refused for lack of space; ";
            wait(random.between(200, 1200));
            const auto freed_us = wall_us();
            on("full off");
            const auto is_back = [&] {
                return std::ranges::any_of(clients_, [&](const auto& client) {
                    return client->last_growth_us() > freed_us;
                });
            };
            while (!is_back() && wall_us() < freed_us + kBackUsMax && !interrupted_.load() &&
                   !subject_->ended())
                std::this_thread::sleep_for(1ms);
            if (is_back())
                cycle.back_ms = static_cast<double>(wall_us() - freed_us) / 1000;
            else
                cycle.note += "no write succeeded after space came back; ";
            wait(random.below(300));
            return;
        }
        case Fault::eio_data:
        case Fault::eio_all:
        case Fault::flush_error:
            on(options_.fault == Fault::eio_data  ? "eio data"
               : options_.fault == Fault::eio_all ? "eio all"
                                                  : "eio flush");
            wait(random.between(50, 800));
            if (random.one_in(2)) {
                on("eio off");
                wait(random.between(100, 1000));
            }
            return;
    }
}

void Run::send_admin(Cycle& cycle, Random& random) {
    if (admin_.empty() || random.one_in(2)) return;
    cycle.admin = admin_[random.below(admin_.size())];
    if (!admin_connection_.open(subject_->port())) return;
    admin_connection_.add(split(cycle.admin, ' '));
    static_cast<void>(admin_connection_.send());
    moments_.push_back({wall_us(), "the server is told: " + cycle.admin});
    // Short ones are met as well as long ones.
    std::this_thread::sleep_for(
        std::chrono::microseconds(random.below(random.one_in(2) ? 3'000 : 60'000)));
}

// Ends the server by SIGKILL, and the power with it where that is asked for.
std::optional<std::string> Run::cut(Cycle& cycle, Random& random, std::int64_t& killed_us) {
    killed_us = wall_us();
    const bool power = options_.kill == KillBy::power;
    if (power && !disk_->obeys("freeze")) return disk_wrong("the disk does not freeze");
    subject_->signal_kill();
    if (power && !disk_->obeys("discard")) return disk_wrong("the disk does not go on");
    subject_->kill();
    end_load();
    for (auto& client : clients_) client->ledger().ended(wall_us());
    if (disk_ && !(disk_->obeys("eio off") && disk_->obeys("flush-ms 0")))
        return disk_wrong("the disk does not recover");
    // A cut may bring the filling file back, so it goes once more behind one.
    const auto make_room = [&] { return !disk_ || disk_->obeys("full off"); };
    if (!make_room()) cycle.note += "the filling file stays; ";
    if (!power) return std::nullopt;
    // A disk that lies may break any order, the file system's too; that it loses is enough.
    constexpr std::string_view kKeeps[] = {"none", "prefix", "subset", "all"};
    const auto keep = kKeeps[random.below(options_.fault == Fault::lying ? 2 : 4)];
    cycle.how = "power " + std::string(keep);
    const auto answer =
        disk_->send("cut " + std::string(keep) + " " + std::to_string(random.next()));
    cycle.note += answer + "; ";
    if (options_.fault == Fault::lying && !answer.starts_with("ok")) return renew("");
    if (!answer.starts_with("ok")) return disk_wrong("after the cut: " + answer);
    moments_.push_back({killed_us + 1, "the disk behind the cut: " + answer.substr(3)});
    return make_room() ? std::nullopt : std::optional(disk_wrong("the disk stays full"));
}

// Where the disk has gone that is the reason for all else.
std::string Run::disk_wrong(const std::string& what) const {
    return disk_->obeys("status") ? what
                                  : "the faulty disk has gone amid a cycle, which says nothing of "
                                    "the server";
}

void Run::count(Cycle& cycle, std::vector<Violation> violations, std::int64_t killed_us) {
    cycle.violations += static_cast<std::uint32_t>(violations.size());
    for (auto& violation : violations)
        found_.push_back({cycle.number, killed_us, std::move(violation)});
}

void Run::end_cycle(Cycle cycle) {
    for (auto& found : found_)
        if (outcome_->found.size() < kFoundMax) outcome_->found.push_back(std::move(found));
    found_.clear();
    outcome_->cycles.push_back(std::move(cycle));
    tell_(*outcome_);
}

// To each timeline: what else happened; and to the first ones what the disk had of their writes.
void Run::tell_more(std::int64_t killed_us) {
    for (auto& [number, at_us, violation] : found_) {
        if (violation.timeline.empty()) continue;
        add_moments(violation.timeline, moments_);
        const bool has_marks = std::ranges::any_of(
            violation.timeline, [](const auto& moment) { return !moment.mark.empty(); });
        if (!has_marks || told_ == kToldMax) continue;
        ++told_;
        add_evidence(violation.timeline, killed_us,
                     [&](const auto& mark) { return where_is(mark); });
    }
}

std::string Run::where_is(const std::string& mark) const {
    if (options_.kill != KillBy::power)
        return any_file_holds(store_, mark) ? "the server's files have it behind the restart"
                                            : "no file of the server has it behind the restart";
    const auto answer = disk_->send("find " + mark);
    return answer == "ok durable" ? "on the disk behind the cut"
           : answer == "ok lost" ? "had reached the disk and was flushed by nobody: the cut took it"
                                 : "had not reached the disk";
}

bool Run::too_full() const {
    if (!disk_) return bytes_below(store_) > kStoreBytesMax;
    struct statvfs space {};
    return ::statvfs(store_.c_str(), &space) == 0 && space.f_bavail < space.f_blocks * 2 / 5;
}

std::uint64_t Run::errors_of_all() const {
    std::uint64_t out = 0;
    for (const auto& client : clients_) out += client->errors();
    return out;
}

std::uint64_t Run::acks_of_all() const {
    std::uint64_t out = 0;
    for (const auto& client : clients_) out += client->acks();
    return out;
}

// Requests that the disk has answered with an error.
std::uint64_t Run::failed_on_disk() const {
    constexpr std::string_view kField = " failed=";
    const auto status = disk_->send("status");
    const auto at = status.find(kField);
    if (at == status.npos) return 0;
    const auto begin = at + kField.size();
    return number_of(status.substr(begin, status.find(' ', begin) - begin)).value_or(0);
}

std::optional<std::string> Run::nothing_acknowledged() const {
    if (has_acknowledged_ || outcome_->acks() != 0) return std::nullopt;
    auto out = "not one write was acknowledged" +
               (refusal_.empty() ? "" : ", one was answered with: " + refusal_);
    for (const auto& refused : outcome_->refused) out += "; " + refused;
    return out;
}

bool Run::fails() const {
    return options_.fault == Fault::eio_data || options_.fault == Fault::eio_all ||
           options_.fault == Fault::flush_error;
}

// A server that has stopped acknowledging, for its disk failed or stalls, grows no loss while the
// kill is waited for. Deletions do not count: of a key that is not there they may be a mere read.
std::int64_t Run::acknowledging_until(std::int64_t killed_us) const {
    if (options_.fault == Fault::none) return killed_us;
    std::int64_t last_us = 0;
    for (const auto& client : clients_) last_us = std::max(last_us, client->last_growth_us());
    return std::min(last_us, killed_us);
}

// What it did when its disk failed: to refuse what it cannot keep, or to end, is right, and either
// of them with words about the reason.
void Run::judge_answer(Cycle& cycle, const std::optional<Exit>& exit, std::uint64_t failed) {
    constexpr std::string_view kReasons[] = {"i/o",  "ioerr",   "io error", "input/output", "eio",
                                             "disk", "writing", "sync",     "storage"};
    std::vector<std::string> refusals;
    bool resumed = false;
    for (const auto& client : clients_) {
        std::ranges::copy(client->refusals(), std::back_inserter(refusals));
        resumed = resumed || client->resumed();
    }
    if (exit) {
        cycle.on_fault = "ended";
        cycle.words = exit->text() + ": " + last_words();
        const bool by_choice = exit->by_signal ? exit->code == SIGABRT : exit->code != 0;
        if (!by_choice || !complains())
            count(cycle, {{"unclear-end", "when its disk failed: " + cycle.words, {}}}, wall_us());
    } else if (!refusals.empty()) {
        cycle.on_fault = resumed ? "refused writes for a while" : "refused writes";
        const auto clear = std::ranges::find_if(refusals, [&](const auto& text) {
            return std::ranges::any_of(
                kReasons, [&](auto word) { return lower(text).find(word) != std::string::npos; });
        });
        cycle.words = clear == refusals.end() ? refusals.front() : *clear;
        if (clear == refusals.end())
            count(cycle, {{"unclear-refusal", "when its disk failed: " + cycle.words, {}}},
                  wall_us());
    } else {
        cycle.on_fault = failed == 0 ? "met no error" : "went on";
    }
}

void Run::judge(Cycle& cycle, std::int64_t killed_us) {
    Connection connection;
    auto verified = connection.open(subject_->port())
                        ? verify(connection, clients_, features_, shared_base_)
                        : std::nullopt;
    for (auto& client : clients_) count(cycle, client->take_wrong_replies(), killed_us);
    if (!verified) {
        cycle.ended = subject_->ended() ? "died" : "hung";
        count(cycle, {{cycle.ended, "it served, and then did not answer: " + last_words(), {}}},
              killed_us);
        return;
    }
    cycle.acks = verified->acks;
    cycle.lost = verified->lost;
    cycle.loss_ms = verified->loss_ms(acknowledging_until(killed_us));
    count(cycle, std::move(verified->violations), killed_us);
    const auto allowed = options_.loss_ms_max;
    if (cycle.lost != 0 && allowed >= 0 &&
        (allowed == 0 || cycle.loss_ms > static_cast<double>(allowed)))
        count(
            cycle,
            {{allowed == 0 ? "lost-ack" : "lost-too-old",
              std::to_string(cycle.lost) + " acknowledged writes are lost, the oldest was " +
                  std::to_string(static_cast<std::int64_t>(cycle.loss_ms)) + " ms old at the kill",
              std::move(verified->lost_timeline)}},
            killed_us);
    cycle.ended = cycle.violations == 0 ? "held" : "violated";
}

std::optional<std::string> Run::one_cycle(std::uint32_t number) {
    Random random(options_.seed ^ (number * 0x9e3779b97f4a7c15U));
    Cycle cycle{.number = number, .how = std::string(name_of(options_.kill))};
    const auto errors = errors_of_all(), acks = acks_of_all();
    const auto failed = fails() ? failed_on_disk() : 0;
    found_.clear();
    moments_.clear();
    begin_load();
    wait(random.between(options_.load_ms_min, options_.load_ms_max));
    suffer(cycle, random);
    send_admin(cycle, random);
    if (interrupted_.load()) {
        subject_->kill();
        end_load();
        return std::nullopt;
    }
    const auto exit = subject_->ended();
    const auto met = fails() ? failed_on_disk() - failed : 0;
    if (exit) {
        moments_.push_back({wall_us(), "the server ended: " + exit->text()});
        cycle.note += "the server ended: " + exit->text() + "; ";
        // To stop is an answer to a disk that fails or is full, and to no other.
        if (!fails() && options_.fault != Fault::enospc)
            count(cycle,
                  {{"died", "it ended under load: " + exit->text() + ": " + last_words(), {}}},
                  wall_us());
    }
    std::int64_t killed_us = 0;
    if (auto wrong = cut(cycle, random, killed_us)) return wrong;
    cycle.errors = errors_of_all() - errors;
    has_acknowledged_ = has_acknowledged_ || acks_of_all() != acks;
    for (const auto& client : clients_)
        if (!client->refusals().empty()) refusal_ = client->refusals().front();
    if (fails()) judge_answer(cycle, exit, met);

    const auto ready = subject_->start(options_.start_ms_max);
    if (!ready) return ready.error().text();
    if (*ready == Ready::serves) {
        cycle.recovery_ms = subject_->recovery_ms();
        judge(cycle, killed_us);
    } else {
        cycle.ended = *ready == Ready::ended ? "refused" : "hung";
        const auto how = *ready == Ready::ended
                             ? subject_->exit()->text()
                             : "no answer in " + std::to_string(options_.start_ms_max) + " ms";
        count(cycle,
              {{*ready == Ready::ended ? "refused-start" : "hang", how + ": " + last_words(), {}}},
              killed_us);
        cycle.note += how;
    }
    // A disk that has gone, whenever it went, is behind all that was found.
    if (disk_ && !disk_->obeys("status")) return disk_wrong("");
    if (nothing_acknowledged()) {
        // Nothing is owed to anybody. A server that refuses everything is not tried again.
        if (cycle.errors != 0 && options_.fault == Fault::none) return nothing_acknowledged();
        found_.clear();
        cycle.violations = 0;
        cycle.ended = "nothing acknowledged";
    }
    tell_more(killed_us);
    end_cycle(cycle);
    if (cycle.ended == "held" && !too_full()) return std::nullopt;
    // What was wrong is kept, once, and is not counted again in the cycles to come.
    if (auto wrong =
            renew(cycle.violations == 0 || keep_ ? "" : "violated-" + std::to_string(number)))
        return wrong;
    return serve();
}

std::optional<std::string> Run::go(Outcome& outcome) {
    outcome_ = &outcome;
    if (auto wrong = prepare()) return wrong;
    const auto done = static_cast<std::uint32_t>(outcome.cycles.size());
    if (options_.corrupt != 0) {
        if (auto wrong = populate(Random(options_.seed))) return wrong;
        for (auto number = done + 1; number <= options_.corrupt && !interrupted_.load(); ++number)
            if (auto wrong = one_damage(number, Random(options_.seed + number))) return wrong;
        outcome.interrupted = outcome.cycles.size() < options_.corrupt;
        return std::nullopt;
    }
    if (auto wrong = serve()) return wrong;
    for (auto number = done + 1; number <= options_.cycles && !interrupted_.load(); ++number)
        if (auto wrong = one_cycle(number)) return wrong;
    outcome.interrupted = outcome.cycles.size() < options_.cycles;
    return outcome.interrupted ? std::nullopt : nothing_acknowledged();
}

}  // namespace firnlog::crashtest
