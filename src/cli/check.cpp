#include "recovery/check.hpp"

#include <unistd.h>

#include <cinttypes>
#include <cstdio>

#include "src/cli/source.hpp"
#include "src/cli/verbs.hpp"

namespace firnlog::server::cli {
namespace {

constexpr std::string_view kHelp =
    R"(usage: firnlog check DIR [--quiet] [--json]

Reads every byte of the store in DIR, or of its backup or archive, and tells whether it is sound:
the manifest, every segment, every frame, every record, and that nothing is missing between them.
Changes nothing and takes no lock: it may run beside a live server, whose newest writes may be in
motion meanwhile.

  --quiet   only faults, no progress and no summary
  --json    the result as one JSON object

Exit codes: 0 sound, 1 not a store or could not be read, 3 damaged.
)";

struct Options {
    std::string dir;
    bool quiet = false;
    bool json = false;
};

// Names and texts are our own words and digits: only quotes and backslashes need care.
std::string json_string(std::string_view text) {
    std::string out = "\"";
    for (const char byte : text) {
        if (byte == '"' || byte == '\\') out += '\\';
        out += static_cast<unsigned char>(byte) < 0x20 ? ' ' : byte;
    }
    return out + "\"";
}

void print_json(const recovery::Checked& checked) {
    const auto& survey = checked.survey;
    std::printf("{\"sound\": %s, \"in_use\": %s, \"files\": %zu, \"files_unused\": %" PRIu64
                ", \"bytes\": %" PRIu64 ", \"frames\": %" PRIu64 ", \"records\": %" PRIu64
                ", \"keys\": %" PRId64 ", \"expires\": %" PRId64,
                checked.sound() ? "true" : "false", checked.in_use() ? "true" : "false",
                survey.chain.size(), survey.files_unused, survey.bytes, survey.frames,
                survey.records, checked.keys, checked.expires);
    std::printf(", \"timelines\": %zu, \"first_lsn\": %" PRIu64 ", \"end_lsn\": %" PRIu64
                ", \"vouched_lsn\": %" PRIu64 ", \"unvouched_bytes\": %" PRIu64
                ", \"torn_bytes\": %" PRIu64 ", \"torn_at\": %s, \"log_crc\": \"%08x\"",
                survey.manifest.timelines.size(), survey.manifest.first_lsn.value, survey.end.value,
                survey.vouched.value, survey.unvouched_bytes, survey.torn_bytes,
                json_string(survey.torn_at).c_str(), survey.frames_crc);
    std::printf(", \"records_dropped\": %" PRIu64 ", \"faults\": [", survey.records_dropped);
    const char* comma = "";
    for (const auto& fault : survey.faults) {
        std::printf("%s{\"file\": %s, \"offset\": %" PRIu64 ", \"lsn\": %" PRIu64
                    ", \"lsn_end\": %" PRIu64 ", \"text\": %s}",
                    comma, json_string(fault.file).c_str(), fault.offset, fault.lsn.value,
                    fault.lsn_end.value, json_string(fault.text).c_str());
        comma = ", ";
    }
    std::printf("]}\n");
}

void print_summary(const recovery::Checked& checked) {
    const auto& survey = checked.survey;
    std::printf("files      %zu, and %" PRIu64 " made ready\n", survey.chain.size(),
                survey.files_unused);
    std::printf("bytes      %" PRIu64 "\n", survey.bytes);
    std::printf("frames     %" PRIu64 ", checksum of all %08x\n", survey.frames, survey.frames_crc);
    std::printf("records    %" PRIu64 "\n", survey.records);
    std::printf("keys       %" PRId64 ", %" PRId64 " of them expire\n", checked.keys,
                checked.expires);
    std::printf("timelines  %zu, lsn %" PRIu64 " to %" PRIu64 "\n",
                survey.manifest.timelines.size(), survey.manifest.first_lsn.value,
                survey.end.value);
    std::printf("stopped    %s\n",
                checked.in_use() ? "no: a server runs on it, or it crashed" : "cleanly");
    if (survey.unvouched_bytes != 0)
        std::printf("unvouched  %" PRIu64
                    " bytes at the end, whole, that no later frame vouches for; "
                    "beside a live server they may be in motion\n",
                    survey.unvouched_bytes);
    if (survey.torn_bytes != 0)
        std::printf("torn       %" PRIu64 " bytes at %s: a write that nobody was told of\n",
                    survey.torn_bytes, survey.torn_at.empty() ? "the end" : survey.torn_at.c_str());
}

bool parse(Arguments arguments, Options& options) {
    for (const auto& argument : arguments) {
        if (argument == "--quiet")
            options.quiet = true;
        else if (argument == "--json")
            options.json = true;
        else if (options.dir.empty() && !argument.starts_with("-"))
            options.dir = argument;
        else
            return false;
    }
    return !options.dir.empty();
}

}  // namespace

int check(Arguments arguments) {
    if (!arguments.empty() && (arguments.front() == "--help" || arguments.front() == "-h")) {
        std::fwrite(kHelp.data(), 1, kHelp.size(), stdout);
        return 0;
    }
    Options options;
    if (!parse(arguments, options)) {
        std::fwrite(kHelp.data(), 1, kHelp.size(), stderr);
        return 1;
    }
    auto source = Source::open(options.dir);
    if (!source) {
        std::fprintf(stderr, "firnlog check: %s\n", source.error().text.c_str());
        return source.error().exit_code();
    }
    const bool tells = !options.quiet && !options.json && ::isatty(2) != 0;
    const auto progress = [&](std::uint64_t done, std::uint64_t all) {
        if (tells && all != 0)
            std::fprintf(stderr, "\rreading: %3d percent", static_cast<int>(done * 100 / all));
    };
    const auto checked = recovery::check(source->files(), progress);
    if (tells) std::fprintf(stderr, "\r                     \r");
    if (!checked) {
        const auto& error = checked.error();
        const auto text =
            error.code == Code::missing ? "not a store: there is no manifest" : error.text();
        std::fprintf(stderr, "firnlog check: %s: %s\n", options.dir.c_str(), text.c_str());
        return error.code == Code::damaged ? 3 : 1;
    }
    if (options.json) {
        print_json(*checked);
        return checked->sound() ? 0 : 3;
    }
    if (!options.quiet) print_summary(*checked);
    for (const auto& fault : checked->survey.faults)
        std::printf("damaged: %s\n", fault.line().c_str());
    if (!checked->sound())
        std::printf(
            "The store is damaged. firnlog repair %s --to NEWDIR saves what can be saved.\n",
            options.dir.c_str());
    else if (!options.quiet)
        std::printf("The store is sound.\n");
    return checked->sound() ? 0 : 3;
}

}  // namespace firnlog::server::cli
