// The configuration from outside: files that include files, the command line, standard input,
// Debian's own redis.conf, and the file written anew.

#include "src/config.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "src/config_table.hpp"
#include "tests/src/config_probe.hpp"

namespace firnlog::server {
namespace {

namespace fs = std::filesystem;
using test::content_of;
using test::get_one;
using test::parsed;
using test::taken;
using test::Words;

tl::expected<Config, ConfigError> command_line(const Words& words) {
    return parse_command_line(words);
}

// A folder that goes with the test.
class Folder {
  public:
    Folder() {
        std::string name = (fs::temp_directory_path() / "firnlog-config-XXXXXX").string();
        BOOST_REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = fs::canonical(name).string();
    }
    ~Folder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    std::string put(const std::string& name, std::string_view text) const {
        std::ofstream(path_ + "/" + name) << text;
        return path_ + "/" + name;
    }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

BOOST_AUTO_TEST_SUITE(config)

BOOST_AUTO_TEST_CASE(files_include_files) {
    const Folder folder;
    folder.put("b.conf", "timeout 5\nhz 20\n");
    fs::create_directory(folder.path() + "/conf.d");
    folder.put("conf.d/1.conf", "databases 4\n");
    folder.put("conf.d/2.conf", "databases 5\ninclude " + folder.path() + "/conf.d/none*\n");
    const auto main = folder.put("a.conf", "timeout 1\ndir " + folder.path() +
                                               "\ninclude b.conf\ninclude conf.d/*.conf\nhz 30\n");
    const auto config = taken(command_line({main}));
    BOOST_TEST(config.timeout == 5);
    BOOST_TEST(config.hz == 30);
    BOOST_TEST(config.databases == 5);
    BOOST_TEST(config.dir == folder.path());
    BOOST_TEST(config.config_file == main);

    folder.put("b.conf", "\n\nport x\n");
    BOOST_TEST(command_line({main}).error().message() ==
               folder.path() + "/b.conf:3: port x: argument couldn't be parsed into an integer");
    const auto missing = folder.put("c.conf", "port 1\ninclude " + folder.path() + "/nosuch.conf");
    BOOST_TEST(command_line({missing}).error().message() ==
               missing + ":2: include " + folder.path() +
                   "/nosuch.conf: it cannot be opened: No such file or directory");
    BOOST_TEST(command_line({folder.path() + "/none"}).error().message() ==
               folder.path() + "/none: it cannot be opened: No such file or directory");
    BOOST_TEST(command_line({folder.path()}).error().message() ==
               folder.path() + ": Is a directory");
    const auto self = folder.put("self.conf", "include " + folder.path() + "/self.conf\n");
    BOOST_TEST(command_line({self}).error().text ==
               "include: more than 16 files inside each other");
    const auto bomb = folder.put("bomb.conf", "");
    for (int depth = 0; depth < 14; ++depth) {
        const auto line = "include " + folder.path() + "/bomb" + std::to_string(depth + 1) + "\n";
        auto twice = line;
        twice += line;
        folder.put("bomb" + std::to_string(depth), twice);
    }
    folder.put("bomb14", "");
    BOOST_TEST(command_line({folder.path() + "/bomb0"})
                   .error()
                   .message()
                   .ends_with("more than 1024 files"));
    const auto large = folder.put("large.conf", std::string(kConfigFileBytesMax + 1, '#'));
    BOOST_TEST(command_line({large}).error().message() ==
               large + ": it is larger than 1048576 bytes");
    BOOST_TEST(command_line({"/dev/zero"}).error().message() ==
               "/dev/zero: it is larger than 1048576 bytes");
}

BOOST_AUTO_TEST_CASE(the_command_line_is_read_as_redis_reads_it) {
    const Folder folder;
    const auto file = folder.put("a.conf", "port 1000\nsave 3600 1\n");
    const auto line = [](const Words& words) { return taken(command_line(words)); };
    auto config = line({file, "--port", "7000", "--save", "900", "1", "--appendfsync", "always"});
    BOOST_TEST(config.port == 7000);
    BOOST_TEST(get_one(config, "save") == "3600 1 900 1");
    BOOST_TEST(get_one(line({file, "--save", ""}), "save") == "");
    BOOST_TEST(get_one(line({file, "--save", "", "--save", "70", "1"}), "save") == "70 1");
    BOOST_TEST(get_one(line({file, "--save", "--hz", "20"}), "save") == "");
    BOOST_TEST(get_one(line({file, "--save"}), "save") == "");
    BOOST_TEST(get_one(line({"--save", "100", "1", "200", "2"}), "save") == "100 1 200 2");
    BOOST_TEST(get_one(line({"--save", "100 1"}), "save") == "100 1");
    BOOST_TEST(get_one(line({file, "--save", "100 1  200 2"}), "save") == "3600 1 100 1 200 2");
    const auto limits = line({"--client-output-buffer-limit", "pubsub 5 4 3"});
    BOOST_TEST(limits.client_output_buffer_limit.pubsub.hard_bytes == 5U);
    BOOST_TEST(get_one(line({"--latency-tracking-info-percentiles", "50 99"}),
                       "latency-tracking-info-percentiles") == "50 99");
    BOOST_TEST(line({"--PORT 7001", "--hz 20"}).port == 7001);
    BOOST_TEST(line({"--requirepass", "--secret--"}).requirepass == "--secret--");
    BOOST_TEST(line({"--requirepass", "a b\nport 5"}).requirepass == "a b\nport 5");
    BOOST_TEST(line({"--bind", "127.0.0.1 -::1"}).bind.size() == 2);
    BOOST_TEST(line({"--include", file}).port == 1000);
    BOOST_TEST(line({}).port == 6379);
    BOOST_TEST(line({}).dir == fs::current_path().string());
    BOOST_TEST(line({"--dir", "some/../where"}).dir == fs::current_path().string() + "/where");
    BOOST_TEST(line({"--dir", "/x/"}).dir == "/x");

    const auto complaint = [](const Words& words) { return command_line(words).error().message(); };
    BOOST_TEST(complaint({"--prot", "7"}) ==
               "command line: unknown directive 'prot'; did you mean 'port'?");
    BOOST_TEST(complaint({"--port=7"}).starts_with("command line: unknown directive 'port=7'"));
    BOOST_TEST(complaint({"-p", "7"}) ==
               "command line: '-p' is no option; options are written --name value");
    BOOST_TEST(complaint({"--save", "100 1 200"}).ends_with("Invalid save parameters"));
    BOOST_TEST(complaint({"--port"}) == "command line: port: wrong number of arguments");
    BOOST_TEST(complaint({"--port", "--hz", "20"}).starts_with("command line: port --hz 20: "));
    BOOST_TEST(complaint({"--"}) == "command line: '--' names no directive");
    BOOST_TEST(complaint({file, "--port", "1", "2"}).starts_with("command line: port 1 2: "));
}

BOOST_AUTO_TEST_CASE(standard_input_is_one_more_file) {
    const int kept = ::dup(STDIN_FILENO);
    const auto with_input = [](std::string_view text, const Words& words) {
        int ends[2];
        BOOST_REQUIRE(::pipe(ends) == 0);
        BOOST_REQUIRE(::write(ends[1], text.data(), text.size()) ==
                      static_cast<ssize_t>(text.size()));
        ::close(ends[1]);
        ::dup2(ends[0], STDIN_FILENO);
        ::close(ends[0]);
        return command_line(words);
    };
    BOOST_TEST(with_input("port 5\nhz 20\n", {"-", "--hz", "30"})->hz == 30);
    BOOST_TEST(with_input("port 5\nhz 20\n", {"--hz", "30", "-"})->port == 5);
    BOOST_TEST(with_input("\nport x\n", {"-"}).error().message() ==
               "standard input:2: port x: argument couldn't be parsed into an integer");
    ::dup2(kept, STDIN_FILENO);
    ::close(kept);
}

constexpr const char* kDebianConf = "/etc/redis/redis.conf";

boost::test_tools::assertion_result debian_conf_is_here(boost::unit_test::test_unit_id) {
    return ::access(kDebianConf, R_OK) == 0;
}

BOOST_AUTO_TEST_CASE(debians_own_redis_conf_is_taken_as_it_is,
                     *boost::unit_test::precondition(debian_conf_is_here)) {
    const std::string path = kDebianConf;
    const auto config = command_line({path});
    taken(config);
    BOOST_TEST((config->appendfsync == Fsync::everysec));
    BOOST_TEST(config->dir == "/var/lib/redis");
    BOOST_TEST(config->logfile == "/var/log/redis/redis-server.log");
    BOOST_TEST(get_one(*config, "daemonize") == "no");
    BOOST_TEST(get_one(*config, "appendonly") == "yes");
    // As its unit starts it.
    const auto unit = command_line({path, "--supervised", "systemd", "--daemonize", "no"});
    BOOST_REQUIRE(unit);
    BOOST_TEST((unit->supervised == Supervised::systemd));
    // One line each for what matters, one for all the rest.
    std::vector<std::string> texts;
    for (const auto& notice : config->notices) texts.push_back(notice.text);
    const auto told = [&](std::string_view start) {
        return std::ranges::count_if(texts, [&](auto& text) { return text.starts_with(start); });
    };
    BOOST_TEST(told("daemonize yes has no effect: ") == 1);
    BOOST_TEST(told("appendonly no has no effect: ") == 1);
    BOOST_TEST(told("accepted without effect, at their defaults: ") == 1);
    BOOST_TEST(texts.size() == 3, "of " << texts.size());
}

BOOST_AUTO_TEST_CASE(a_rewrite_keeps_what_it_does_not_have_to_touch) {
    const std::string old =
        "# my server\n"
        "\n"
        "\n"
        "   port 7000   \n"
        "include other.conf\n"
        "rename-command FLUSHALL \"\"\n"
        "# saves\n"
        "save 900 1\n"
        "save 300 10\n"
        "appendonly no\n"
        "slave-priority 5\n"
        "nosuch thing\n"
        "maxclients 10\n"
        "pidfile /run/x.pid\n";
    auto config = parsed("port 7001\nsave 60 1\ntimeout 3\nslave-priority 7\nmaxclients 10\n");
    config.dir = "/data";
    BOOST_TEST(rewrite_text(old, config) ==
               "# my server\n"
               "\n"
               "port 7001\n"
               "include other.conf\n"
               "rename-command FLUSHALL \"\"\n"
               "# saves\n"
               "save 60 1\n"
               "\n"
               "appendonly no\n"
               "replica-priority 7\n"
               "# ??? nosuch thing\n"
               "maxclients 10\n"
               "\n"
               "# Generated by CONFIG REWRITE\n"
               "timeout 3\n"
               "dir \"/data\"\n");
}

BOOST_AUTO_TEST_CASE(a_rewrite_replaces_the_file_in_one_step) {
    const Folder folder;
    const auto real = folder.put("real.conf", "timeout 1\n");
    BOOST_REQUIRE(::chmod(real.c_str(), 0640) == 0);
    fs::create_symlink(real, folder.path() + "/link.conf");
    auto config = command_line({folder.path() + "/link.conf"});
    BOOST_REQUIRE(config);
    config->timeout = 9;
    BOOST_REQUIRE(config_rewrite(*config));
    BOOST_TEST(content_of(real).starts_with("timeout 9\n"));
    BOOST_TEST(fs::is_symlink(folder.path() + "/link.conf"));
    struct stat now {};
    BOOST_REQUIRE(::stat(real.c_str(), &now) == 0);
    BOOST_TEST((now.st_mode & 0777) == 0640U);
    BOOST_TEST(std::distance(fs::directory_iterator(folder.path()), {}) == 2, "no draft is left");

    BOOST_TEST(config_rewrite(Config{}).error() ==
               "ERR The server is running without a config file");
    config->config_file = folder.path() + "/nosuch/x.conf";
    BOOST_TEST(config_rewrite(*config).error() ==
               "ERR Rewriting config file: No such file or directory");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace firnlog::server
