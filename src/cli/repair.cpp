#include "recovery/repair.hpp"

#include <unistd.h>

#include <cinttypes>
#include <cstdio>

#include "io/guarded_copy.hpp"
#include "io/posix_files.hpp"
#include "io/system_clock.hpp"
#include "io/uring.hpp"
#include "src/cli/aside.hpp"
#include "src/cli/verbs.hpp"

namespace firnlog::server::cli {
namespace {

constexpr std::string_view kHelp =
    R"(usage: firnlog repair DIR --to NEWDIR [--dry-run]

Saves what can be saved of the store in DIR into a new store in NEWDIR, which must not exist or be
empty. DIR is only read; no server may run on it. The new store is built in NEWDIR.tmp, which is
renamed when it is whole. Tells which stretches of the log are lost, and which keys are known to
have been changed there.

  --dry-run   tell what would be saved and lost, write nothing

Exit codes: 0 done, 1 could not, 3 there is nothing that could be saved.
)";

struct Options {
    std::string dir;
    std::string to;
    bool dry_run = false;
};

bool parse(Arguments arguments, Options& options) {
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const auto& argument = arguments[i];
        if (argument == "--dry-run")
            options.dry_run = true;
        else if (argument == "--to" && i + 1 < arguments.size())
            options.to = arguments[++i];
        else if (options.dir.empty() && !argument.starts_with("-"))
            options.dir = argument;
        else
            return false;
    }
    return !options.dir.empty() && (options.dry_run || !options.to.empty());
}

int could_not(const std::string& why) {
    std::fprintf(stderr, "firnlog repair: %s\n", why.c_str());
    return 1;
}

int could_not(const std::string& what, const std::string& why) {
    return could_not(what + ": " + why);
}

// Keys are the user's: what is not printable is escaped.
std::string printable(std::string_view key) {
    constexpr char kHex[] = "0123456789abcdef";
    std::string out = "\"";
    for (const char byte : key.substr(0, 128)) {
        const auto code = static_cast<unsigned char>(byte);
        if (byte == '"' || byte == '\\')
            (out += '\\') += byte;
        else if (code >= 0x20 && code < 0x7f)
            out += byte;
        else
            ((out += "\\x") += kHex[code >> 4]) += kHex[code & 15];
    }
    return out + (key.size() > 128 ? "\"..." : "\"");
}

void print(const recovery::Repaired& repaired, const Options& options) {
    const auto& survey = repaired.survey;
    for (const auto& fault : survey.faults) std::printf("damaged: %s\n", fault.line().c_str());
    for (const auto& change : repaired.changes)
        std::printf("lost: a change of key %s in database %" PRIu32 " at lsn %" PRIu64 "\n",
                    printable(change.key).c_str(), change.database, change.lsn.value);
    if (repaired.changes_all > repaired.changes.size())
        std::printf("lost: %" PRIu64 " changes more of keys that are not named here\n",
                    repaired.changes_all - repaired.changes.size());
    if (repaired.unreadable != 0)
        std::printf("lost: %" PRIu64 " keys whose bytes are damaged\n", repaired.unreadable);
    if (survey.torn_bytes != 0)
        std::printf("torn: %" PRIu64 " bytes at the end that nobody was told of are left out\n",
                    survey.torn_bytes);
    std::printf("%s %" PRIu64 " keys, %" PRIu64 " hash fields, %" PRIu64 " bytes from %" PRIu64
                " records\n",
                options.dry_run ? "would save" : "saved", repaired.keys, repaired.fields,
                repaired.bytes, survey.records);
    if (!repaired.lost_nothing())
        std::printf(
            "Which keys were changed in the lost stretches cannot be known in full: a key changed\n"
            "there has its older value, one deleted there may be back, one made there is "
            "missing.\n");
}

int failed(const Options& options, const Error& error) {
    if (error.code == Code::busy)
        return could_not(options.dir, "a server runs on it, or another repair");
    if (error.code == Code::missing)
        return could_not(options.dir, "not a store: there is no manifest");
    (void)could_not(options.dir, error.text());
    return error.code == Code::damaged ? 3 : 1;
}

int run(const Options& options) {
    auto from = io::open_posix_files(options.dir, false);
    if (!from) return could_not(options.dir, from.error().text());
    io::SystemClock clock;
    io::install_sigbus_guard();
    recovery::RepairOptions repair_options{.dry_run = options.dry_run};
    const bool tells = ::isatty(2) != 0;
    repair_options.progress = [tells](std::uint64_t done, std::uint64_t all) {
        if (tells && all != 0)
            std::fprintf(stderr, "\rreading: %3d percent%s", static_cast<int>(done * 100 / all),
                         done == all ? "\n" : "");
    };
    if (options.dry_run) {
        const auto repaired =
            recovery::repair(**from, nullptr, clock, nullptr, std::move(repair_options));
        if (!repaired) return failed(options, repaired.error());
        print(*repaired, options);
        return repaired->survey.records == 0 && !repaired->survey.faults.empty() ? 3 : 0;
    }
    auto aside = Aside::make(options.to);
    if (!aside) return could_not(aside.error());
    auto ring = io::make_uring();
    const auto repaired = ring ? recovery::repair(**from, &aside->files(), clock, ring->get(),
                                                  std::move(repair_options))
                               : Result<recovery::Repaired>(fail(ring));
    const bool nothing =
        repaired && repaired->survey.records == 0 && !repaired->survey.faults.empty();
    if (!repaired || nothing) {
        aside->remove();
        if (!repaired) return failed(options, repaired.error());
        print(*repaired, options);
        return 3;
    }
    if (const auto placed = aside->put_in_place(); !placed) return could_not(placed.error());
    print(*repaired, options);
    return 0;
}

}  // namespace

int repair(Arguments arguments) {
    if (!arguments.empty() && (arguments.front() == "--help" || arguments.front() == "-h")) {
        std::fwrite(kHelp.data(), 1, kHelp.size(), stdout);
        return 0;
    }
    Options options;
    if (!parse(arguments, options)) {
        std::fwrite(kHelp.data(), 1, kHelp.size(), stderr);
        return 1;
    }
    return run(options);
}

}  // namespace firnlog::server::cli
