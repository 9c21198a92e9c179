// The program: picks the verb.

#include <cstdio>
#include <new>
#include <string>
#include <vector>

#include "src/cli/verbs.hpp"
#include "src/version.hpp"

namespace {

using namespace firnlog::server;

struct Verb {
    std::string_view name;
    std::string_view summary;
    int (*run)(cli::Arguments);
};

constexpr Verb kVerbs[] = {
    {"serve", "serve a store over RESP; options are Redis's", cli::serve},
    {"check", "read every byte of a store and tell whether it is sound", cli::check},
    {"repair", "save what can be saved of a damaged store into a new directory", cli::repair},
    {"restore", "make a new store of an old one as it was at any moment", cli::restore},
    {"backup", "add a backup of a store to a directory of them", cli::backup},
    {"log", "list what happened when in a store", cli::log},
    {"history", "tell how far the past of a store reaches", cli::history},
    {"plan", "tell what each backup policy would cost a store", cli::plan},
    {"crashtest", "kill any RESP server again and again, and see what it kept", cli::crashtest},
    {"faultdisk", "mount a file system on a disk that fails when told to", cli::faultdisk},
    {"bench", "load any RESP server and tell how long its replies took", cli::bench},
};

void print_help(std::FILE* to) {
    std::fprintf(to,
                 "Firnlog %s: a persistent key-value server that speaks RESP\n\n"
                 "usage: firnlog VERB [options]\n\n",
                 std::string(kVersion).c_str());
    for (const auto& verb : kVerbs)
        std::fprintf(to, "  %-10s %s\n", std::string(verb.name).c_str(),
                     std::string(verb.summary).c_str());
    std::fprintf(to,
                 "\n  firnlog VERB --help     tells more of a verb\n"
                 "  firnlog --version       tells the version\n\n"
                 "Exit codes: 0 done, 1 could not, 3 damaged, 4 a checked promise was violated.\n");
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    if (arguments.empty()) {
        print_help(stderr);
        return 1;
    }
    const auto& name = arguments.front();
    if (name == "--help" || name == "-h" || name == "help") {
        print_help(stdout);
        return 0;
    }
    if (name == "--version" || name == "-v") {
        std::printf("firnlog %s (format %d)\n", std::string(kVersion).c_str(), kFormat);
        return 0;
    }
    for (const auto& verb : kVerbs)
        if (verb.name == name) {
            try {
                return verb.run(cli::Arguments(arguments).subspan(1));
            } catch (const std::bad_alloc&) {
                std::fprintf(stderr, "firnlog %s: out of memory\n", name.c_str());
                return 1;
            }
        }
    std::fprintf(stderr, "firnlog: no verb '%s'; firnlog --help lists them\n", name.c_str());
    return 1;
}
