// The other half of Run: damaged copies of a store that was stopped cleanly.

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>
#include <string_view>

#include "src/crashtest/damage.hpp"
#include "src/crashtest/run.hpp"
#include "src/crashtest/text.hpp"
#include "src/crashtest/verify.hpp"
#include "src/crashtest/wall.hpp"

namespace firnlog::crashtest {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr int kStopMs = 60'000;

// Words by which servers tell that something was wrong with what they found.
constexpr std::string_view kComplaints[] = {
    "corrupt", "damage",  "torn",       "truncat", "quarantine", "checksum", "crc",
    "bad ",    "error",   "missing",    "fatal",   "unexpected", "invalid",  "cut at",
    "unable",  "no such", "can't open", "cannot",  "fail",       "refus",    "unknown"};

// The lines in which one of them stands, with every number the same: pids and times differ.
std::set<std::string> complaints_in(const std::string& said) {
    std::set<std::string> out;
    for (const auto& line : split(said, '\n')) {
        std::string plain;
        for (const char byte : line) {
            const auto code = static_cast<unsigned char>(byte);
            if (std::isdigit(code) == 0)
                plain += static_cast<char>(std::tolower(code));
            else if (!plain.ends_with('#'))
                plain += '#';
        }
        if (std::ranges::any_of(kComplaints,
                                [&](auto word) { return plain.find(word) != plain.npos; }))
            out.insert(std::move(plain));
    }
    return out;
}

}  // namespace

// Something that it does not say when all is well.
bool Run::complains() const {
    const auto now = complaints_in(subject_->said());
    const auto usual = complaints_in(said_when_well_);
    return !std::ranges::includes(usual, now);
}

// A store with some history, stopped cleanly.
std::optional<std::string> Run::populate(Random random) {
    for (int round = 0; round < 3; ++round) {
        if (auto wrong = serve()) return wrong;
        begin_load();
        wait(random.between(options_.load_ms_min, options_.load_ms_max));
        end_load();
        // What is damaged later must have one right state.
        for (auto& client : clients_) {
            if (client->errors() != 0)
                return "the server answers a write with: " +
                       (client->refusals().empty() ? "an error" : client->refusals().front());
            if (!client->ledger().all_answered()) return "the server stops answering";
        }
        if (!admin_.empty() && round == 1) {
            Cycle ignored;
            send_admin(ignored, random);
            std::this_thread::sleep_for(500ms);
            admin_connection_.close();
        }
        const auto exit = subject_->stop(kStopMs);
        if (!exit) return "the server does not stop within a minute of SIGTERM";
        if (exit->by_signal) return "SIGTERM is no clean stop: " + exit->text();
    }
    // On a copy, so that what is damaged later was stopped cleanly and never started again.
    const auto copy = folder_ + "/undamaged";
    std::error_code failed;
    fs::copy(store_, copy, fs::copy_options::recursive, failed);
    if (failed) return "cannot copy the store: " + failed.message();
    subject_->move_to(copy);
    if (auto wrong = serve()) return wrong;
    said_when_well_ = subject_->said();
    subject_->kill();
    fs::remove_all(copy, failed);
    return std::nullopt;
}

std::optional<std::string> Run::one_damage(std::uint32_t number, Random random) {
    const auto damaged = folder_ + "/damaged";
    std::error_code failed;
    fs::remove_all(damaged, failed);
    fs::copy(store_, damaged, fs::copy_options::recursive, failed);
    if (failed) return "cannot copy the store: " + failed.message();
    const auto kind = static_cast<Damage>((number - 1) % kDamages);
    const auto done = inflict(kind, damaged, random.fork(1));
    if (!done) return "the server keeps no file in {dir} that could be damaged";
    Cycle cycle{.number = number,
                .how = std::string(name_of(kind)),
                .file = done->file,
                .note = done->text + "; "};
    subject_->move_to(damaged);
    const auto ready = subject_->start(options_.start_ms_max);
    if (!ready) return ready.error().text();
    if (*ready == Ready::serves) {
        cycle.recovery_ms = subject_->recovery_ms();
        judge_damaged(cycle);
    } else if (*ready == Ready::hangs) {
        cycle.ended = "hung";
        count(cycle, {{"hang", done->text + ": no answer in time", {}}}, 0);
    } else {
        judge_exit(cycle, *subject_->exit());
    }
    subject_->kill();
    if (cycle.violations != 0 && !keep_) {
        keep_ = true;
        fs::copy(damaged, folder_ + "/violated-" + std::to_string(number),
                 fs::copy_options::recursive, failed);
    }
    end_cycle(std::move(cycle));
    return std::nullopt;
}

// It does not serve such a directory: by choice and with words, or not.
void Run::judge_exit(Cycle& cycle, const Exit& exit) {
    const auto text = exit.text() + ": " + last_words();
    cycle.ended = exit.by_signal ? "signal" : "refused";
    if (exit.by_signal || exit.code == 0 || !complains())
        count(cycle, {{exit.by_signal ? "signal" : "unclear-refusal", cycle.note + text, {}}}, 0);
    cycle.note += text;
}

// Every value must be one that its key had at some time; fewer than all is right if it is told.
void Run::judge_damaged(Cycle& cycle) {
    Connection connection;
    std::vector<Violation> wrong;
    std::uint64_t less = 0, refused = 0;
    bool answers = connection.open(subject_->port());
    for (const auto& client : clients_) {
        std::vector<Seen> seen;
        if (!answers || !client->look(connection, seen)) {
            answers = false;
            break;
        }
        const auto& ledger = client->ledger();
        for (std::size_t key = 0; key < seen.size(); ++key) {
            const auto& one = seen[key];
            if (ledger.newest(key, one)) continue;
            if (one.as == Seen::As::error)
                ++refused;
            else if (one.as == Seen::As::absent || ledger.ever(key, one))
                ++less;
            else
                wrong.push_back({"wrong-value",
                                 cycle.note + ledger.keys()[key] + " = " + printable(one.content),
                                 {}});
        }
    }
    if (answers && features_.scan) answers = foreign_keys(connection, clients_, wrong);
    if (answers && features_.counters) {
        const auto counter = shared_counter(connection);
        answers = counter.has_value();
        std::int64_t newest = 0;
        for (const auto& client : clients_)
            newest = std::max(newest, client->ledger().shared_acked_max());
        if (answers && (counter->value < 0 || counter->value > newest || !counter->text.empty()))
            wrong.push_back(
                {"wrong-value",
                 cycle.note + std::string(kSharedKey) + " = " +
                     (counter->text.empty() ? std::to_string(counter->value) : counter->text),
                 {}});
        else if (answers && counter->value < newest)
            ++less;
    }
    if (!answers) {
        // The end of a process may come a moment behind that of its connections.
        const auto until = wall_us() + 1'000'000;
        auto exit = subject_->ended();
        while (!exit && wall_us() < until) {
            wait(2);
            exit = subject_->ended();
        }
        if (exit) return judge_exit(cycle, *exit);
        cycle.ended = "hung";
        wrong.push_back(
            {"hang", cycle.note + "it served, and then did not answer: " + last_words(), {}});
    } else if (!wrong.empty()) {
        cycle.ended = "wrong value";
    } else if (less == 0 && refused == 0) {
        cycle.ended = "exact";
    } else if (less == 0 || complains()) {
        cycle.ended = "less, told";
        cycle.lost = less + refused;
    } else {
        cycle.ended = "less, silent";
        cycle.lost = less;
        wrong.push_back(
            {"silent-loss",
             cycle.note + std::to_string(less) + " keys are missing or old, and it says nothing",
             {}});
    }
    count(cycle, std::move(wrong), 0);
}

}  // namespace firnlog::crashtest
