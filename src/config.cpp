#include "src/config.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <thread>

#include "io/base/ensure.hpp"
#include "src/config_file.hpp"
#include "src/config_table.hpp"
#include "src/text/fold.hpp"
#include "src/text/glob.hpp"
#include "src/text/quote.hpp"

namespace firnlog::server {
namespace {

using Done = tl::expected<void, ConfigError>;
using Words = std::span<const std::string>;

constexpr std::int64_t kHzMin = 1;
constexpr std::int64_t kHzMax = 500;
constexpr std::size_t kEchoBytesMax = 128;
constexpr std::size_t kRulesMax = 1000;  // of save, of rename-command

struct Place {
    std::string file;
    std::uint64_t line = 0;

    [[nodiscard]] std::string text() const {
        return line == 0 ? file : file + ":" + std::to_string(line);
    }
};

tl::unexpected<ConfigError> fail_at(const Place& place, std::string text) {
    return tl::unexpected(
        ConfigError{.text = std::move(text), .file = place.file, .line = place.line});
}

std::string lower(std::string_view name) {
    std::string lowered;
    for (const char letter : name) lowered += text::lower(letter);
    return lowered;
}

// At most 128 bytes of what somebody sent, without control characters.
std::string echo(std::string_view bytes) {
    std::string shown(bytes.substr(0, kEchoBytesMax));
    for (char& letter : shown) {
        const auto byte = static_cast<unsigned char>(letter);
        if (byte < ' ' || byte == 0x7f) letter = ' ';
    }
    return shown;
}

// "port 70000", as far as it may be seen in a log.
std::string shown(const Row& row, std::string_view name, Words words) {
    std::string text(name);
    if (row.sensitive) return text;
    for (const auto& word : words) {
        if (text.size() > kEchoBytesMax) return text + " ...";
        text += ' ';
        text += word.empty() ? "\"\"" : echo(word);
    }
    return text;
}

// At every single blank: "a  b" is three words, one of them empty.
std::vector<std::string> blank_split(std::string_view text) {
    std::vector<std::string> words;
    for (;;) {
        const auto blank = std::min(text.find(' '), text.size());
        words.emplace_back(text.substr(0, blank));
        if (blank == text.size()) return words;
        text.remove_prefix(blank + 1);
    }
}

bool is_refused(const Row& row, const std::string& value) {
    return row.standing == Standing::refused && value != row.initial;
}

// What Redis does after setting: out of range is not wrong, it is brought back.
void settle(Config& config) { config.hz = std::clamp(config.hz, kHzMin, kHzMax); }

// What nobody has given by itself is what the policy says, or the default where it says nothing.
void follow_policy(Config& config) {
    const auto& policy = kBackupPolicies[static_cast<std::size_t>(config.backup_policy)];
    for (const auto& [name, text] : kPolicyDirectives) {
        if (std::ranges::count(config.given, name) != 0) continue;
        const auto& row = *find_row(name).row;
        const auto said = policy.*text;
        const auto words = blank_split(said.empty() ? std::string_view(row.initial) : said);
        auto value = parse_value(row, words, config);
        ensure(value.has_value(), "what a policy sets can be set");
        put_value(config, row, std::move(*value));
    }
}

void note_given(Config& config, const Row& row) {
    if (is_set_by_policy(row.name) && std::ranges::count(config.given, row.name) == 0)
        config.given.push_back(row.name);
}

// Its value is several words, which may also come as one.
bool has_words(const Row& row) {
    switch (row.kind) {
        case Kind::save:
        case Kind::limits:
        case Kind::addresses:
        case Kind::percents:
        case Kind::scores:
        case Kind::choices:
            return true;
        default:
            return false;
    }
}

// The user that every Redis has, as its CONFIG REWRITE writes it: it says nothing.
bool is_default_user(Words words) {
    static constexpr std::array<std::string_view, 7> kSaid{"on", "nopass", "sanitize-payload", "~*",
                                                           "&*", "+@all",  "allkeys"};
    if (words.size() < 2 || words[0] != "default") return false;
    const auto said = [](const std::string& word) { return std::ranges::count(kSaid, word) != 0; };
    return std::ranges::all_of(words.subspan(1), said) &&
           std::ranges::count(words, "nopass") != 0 && std::ranges::count(words, "+@all") != 0;
}

// Loader: one reading of files, standard input and options into one Config, in their order.
//
// All of it counts as one text: the first `save` of it replaces the default rules, later ones add.
// Relative names in `include` start where the process does, or in the `dir` set by then.
class Loader {
  public:
    enum class Reach : bool { text_alone, files };

    explicit Loader(Reach reach) : reach_(reach) {}

    Done text(std::string_view text, const std::string& name);
    Done file(const std::string& path, const Place& from);
    Done directive(Words words, const Place& place);
    tl::expected<Config, ConfigError> finish();

  private:
    Done include(const std::string& pattern, const Place& place);
    Done rename(Words words, const Place& place);
    Done only_in_files(const Row& row, Words words, const Place& place);
    Done set(const Row& row, std::string_view name, Words words, const Place& place);
    void note(const Row& row, std::string_view name, Words words, const Place& place);

    Reach reach_;
    Config config_;
    bool save_seen_ = false;
    int depth_ = 0;
    int files_ = 0;
    std::vector<std::string_view> idle_;  // accepted, and said no more than the default
};

Done Loader::text(std::string_view text, const std::string& name) {
    if (text.size() > kConfigFileBytesMax)
        return fail_at({name},
                       "it is larger than " + std::to_string(kConfigFileBytesMax) + " bytes");
    Place place{.file = name};
    while (!text.empty()) {
        ++place.line;
        const auto end = std::min(text.find('\n'), text.size());
        const auto line = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.size() > kConfigLineBytesMax)
            return fail_at(
                place, "the line is longer than " + std::to_string(kConfigLineBytesMax) + " bytes");
        if (line.empty() || line.starts_with('#')) continue;
        if (line.find('\0') != line.npos) return fail_at(place, "the line contains a NUL byte");
        const auto words = text::split_arguments(line);
        if (!words) return fail_at(place, "unbalanced quotes");
        if (words->empty()) continue;
        if (auto done = directive(*words, place); !done) return done;
    }
    return {};
}

Done Loader::file(const std::string& path, const Place& from) {
    const Place& blamed = from.file.empty() ? Place{.file = path} : from;
    const std::string prefix = from.file.empty() ? "" : "include " + path + ": ";
    if (++files_ > kConfigFilesMax)
        return fail_at(blamed, prefix + "more than " + std::to_string(kConfigFilesMax) + " files");
    const auto content = read_config_file(path);
    if (!content) return fail_at(blamed, prefix + content.error());
    return text(*content, path);
}

Done Loader::directive(Words words, const Place& place) {
    const auto [row, name] = find_row(words[0]);
    const auto values = words.subspan(1);
    if (row == nullptr) {
        std::string complaint = "unknown directive '" + echo(words[0]) + "'";
        const auto equals = words[0].find('=');
        if (equals != std::string::npos && find_row(words[0].substr(0, equals)).row != nullptr) {
            complaint += "; name and value are separated by a blank, not by '='";
        } else if (const auto nearest = nearest_name(words[0]); !nearest.empty()) {
            complaint += "; did you mean '" + std::string(nearest) + "'?";
        }
        return fail_at(place, std::move(complaint));
    }
    if (row->kind == Kind::file) return only_in_files(*row, values, place);
    return set(*row, name, values, place);
}

Done Loader::only_in_files(const Row& row, Words words, const Place& place) {
    if (row.name == "include") {
        if (words.size() != 1) return fail_at(place, "include: wrong number of arguments");
        return include(words[0], place);
    }
    if (row.name == "rename-command") return rename(words, place);
    if (row.name == "user" && is_default_user(words)) {
        idle_.push_back(row.name);
        return {};
    }
    if (row.standing == Standing::refused)
        return fail_at(place, std::string(row.name) + ": " + std::string(row.why));
    if (words.size() != 1)
        return fail_at(place, std::string(row.name) + ": wrong number of arguments");
    note(row, row.name, words, place);
    return {};
}

Done Loader::include(const std::string& pattern, const Place& place) {
    if (reach_ == Reach::text_alone)
        return fail_at(place, "include: other files are out of reach here");
    if (depth_ == kConfigIncludeDepthMax)
        return fail_at(place, "include: more than " + std::to_string(kConfigIncludeDepthMax) +
                                  " files inside each other");
    ++depth_;
    std::string path = config_.path(pattern);
    std::vector<std::string> paths{path};
    // A pattern may match nothing: an empty conf.d is fine, a missing file is not.
    if (pattern.find_first_of("*?[") != pattern.npos) paths = matching_files(path);
    for (const auto& one : paths) {
        if (auto done = file(one, place); !done) return done;
    }
    --depth_;
    return {};
}

Done Loader::rename(Words words, const Place& place) {
    if (words.size() != 2 || words[0].empty())
        return fail_at(place, "rename-command: it takes a command and its new name, or \"\"");
    const Rename renamed{.from = lower(words[0]), .to = lower(words[1]), .where = place.text()};
    for (const auto& other : config_.renames) {
        if (other.from == renamed.from || (!renamed.to.empty() && other.to == renamed.to))
            return fail_at(place, "rename-command " + echo(words[0]) + ' ' + echo(words[1]) + ": " +
                                      other.where + " has taken that name already");
    }
    if (config_.renames.size() == kRulesMax)
        return fail_at(place, "rename-command: more than " + std::to_string(kRulesMax));
    config_.renames.push_back(renamed);
    return {};
}

Done Loader::set(const Row& row, std::string_view name, Words words, const Place& place) {
    // One word may hold several: --bind "127.0.0.1 -::1", --save "900 1". Addresses may even be
    // mixed.
    std::vector<std::string> split;
    const bool is_one = words.size() == 1 && !words[0].empty();
    if (row.kind == Kind::addresses || (has_words(row) && is_one)) {
        for (const auto& word : words) {
            for (auto& part : blank_split(word)) {
                if (!part.empty()) split.push_back(std::move(part));
            }
        }
        words = split;
    }
    auto value = parse_value(row, words, config_);
    if (!value) return fail_at(place, shown(row, name, words) + ": " + value.error());
    const auto text = value_text(row, *value);
    if (is_refused(row, text))
        return fail_at(place, shown(row, name, words) + ": refused: " + std::string(row.why));

    if (row.standing == Standing::accepted) note(row, name, words, place);
    if (row.kind == Kind::save) {
        auto& rules = std::get<std::vector<SaveRule>>(*value);
        if (save_seen_ && !rules.empty())
            rules.insert(rules.begin(), config_.save.begin(), config_.save.end());
        save_seen_ = true;
        if (rules.size() > kRulesMax) return fail_at(place, "save: too many rules");
    }
    if (row.field == Field(&Config::dir)) {
        config_.dir = config_.path(text);
        return {};
    }
    note_given(config_, row);
    if (row.always.empty()) put_value(config_, row, std::move(*value));
    return {};
}

void Loader::note(const Row& row, std::string_view name, Words words, const Place& place) {
    auto value = row.kind == Kind::file ? tl::expected<Value, std::string>(std::string())
                                        : parse_value(row, words, config_);
    const bool said_more =
        row.kind == Kind::file || (value && value_text(row, *value) != initial_text(row));
    if (!said_more) {
        if (std::ranges::count(idle_, name) == 0) idle_.push_back(name);
        return;
    }
    config_.notices.push_back(
        {.where = place.text(),
         .text = shown(row, name, words) + " has no effect: " + std::string(row.why)});
}

tl::expected<Config, ConfigError> Loader::finish() {
    settle(config_);
    if (config_.backup_policy != BackupPolicy::none) follow_policy(config_);
    if (config_.port == 0 && config_.unixsocket.empty())
        return tl::unexpected(
            ConfigError{.text = "nothing to listen on: port is 0 and unixsocket is not set"});
    if (!config_.archive_dir.empty() && !config_.archive_command.empty())
        return tl::unexpected(ConfigError{
            .text = "archive-dir and archive-command are both set: there is one archive"});
    if (!idle_.empty()) {
        std::string names = "accepted without effect, at their defaults:";
        for (const auto name : idle_) names += ' ' + std::string(name);
        config_.notices.push_back(
            {.where = "configuration", .text = std::move(names), .asked_for_more = false});
    }
    return std::move(config_);
}

// The value of a pair of CONFIG SET as the words that a file would have.
std::vector<std::string> words_of(const Row& row, std::string_view value) {
    if (!has_words(row)) return {std::string(value)};
    if (value.empty() && row.kind != Kind::choices) return {};
    return blank_split(value);
}

bool is_permitted(const Config& config, ConfigSetBy by) {
    return config.enable_protected_configs == Allow::yes ||
           (config.enable_protected_configs == Allow::local && by.local);
}

// Why this row cannot be set now, or empty.
std::string_view locked(const Row& row, const Config& config, ConfigSetBy by) {
    switch (row.change) {
        case Change::any_time:
            return {};
        case Change::start:
            return "can't set immutable config";
        case Change::permitted:
            return is_permitted(config, by) ? "" : "can't set protected config";
        case Change::never:
            return is_permitted(config, by) ? "can't set immutable config"
                                            : "can't set protected config";
    }
    return {};
}

}  // namespace

std::int64_t threads_for(unsigned cores) noexcept {
    return cores <= 2 ? 1 : std::clamp<std::int64_t>(cores / 2, 1, 8);
}

std::int64_t default_threads() noexcept {
    static const std::int64_t threads = threads_for(std::thread::hardware_concurrency());
    return threads;
}

std::string Config::path(std::string_view name) const {
    if (dir.empty() || name.starts_with('/')) return std::string(name);
    return dir + (dir.ends_with('/') ? "" : "/") + std::string(name);
}

std::string ConfigError::message() const {
    std::string text_before = file;
    if (line != 0) text_before += ":" + std::to_string(line);
    return text_before.empty() ? text : text_before + ": " + text;
}

tl::expected<Config, ConfigError> parse_config_text(std::string_view text, std::string_view name) {
    Loader loader(Loader::Reach::text_alone);
    if (auto done = loader.text(text, std::string(name)); !done)
        return tl::unexpected(done.error());
    return loader.finish();
}

tl::expected<Config, ConfigError> parse_command_line(std::span<const std::string> arguments) {
    const Place place{.file = "command line"};
    const auto is_option = [](const std::string& word) { return word.starts_with("--"); };

    auto options = arguments;
    std::string config_file;
    if (!options.empty() && !options[0].starts_with('-')) {
        config_file = options[0];
        options = options.subspan(1);
    }
    // Standard input is the first or the last word, as Redis has it.
    bool from_stdin = false;
    for (const bool first : {true, false}) {
        if (options.empty()) break;
        if ((first && !config_file.empty()) || (first ? options.front() : options.back()) != "-")
            continue;
        from_stdin = true;
        options = first ? options.subspan(1) : options.first(options.size() - 1);
    }

    // What follows a name is its value, even if it looks like a name: --requirepass --x. Only
    // `save` may stand alone, for scripts that hand on an empty list.
    std::vector<std::vector<std::string>> lines;
    for (std::size_t at = 0; at < options.size(); ++at) {
        const auto& word = options[at];
        const bool open = !lines.empty() && lines.back().size() == 1;
        if (open || !is_option(word)) {
            if (lines.empty())
                return fail_at(
                    place, "'" + echo(word) + "' is no option; options are written --name value");
            lines.back().push_back(word);
            continue;
        }
        // "--port 7000" may come as one word.
        auto words = text::split_arguments(std::string_view(word).substr(2));
        if (!words || words->empty())
            return fail_at(place, "'" + echo(word) + "' names no directive");
        lines.push_back(std::move(*words));
        const bool alone = at + 1 == options.size() || is_option(options[at + 1]);
        if (alone && lines.back().size() == 1 && text::equal_folded(lines.back()[0], "save"))
            lines.back().emplace_back();
    }

    Loader loader(Loader::Reach::files);
    if (!config_file.empty()) {
        if (auto done = loader.file(config_file, {}); !done) return tl::unexpected(done.error());
    }
    if (from_stdin) {
        const auto text = read_config_stdin();
        if (!text) return fail_at({"standard input"}, text.error());
        if (auto done = loader.text(*text, "standard input"); !done)
            return tl::unexpected(done.error());
    }
    for (const auto& words : lines) {
        if (auto done = loader.directive(words, place); !done) return tl::unexpected(done.error());
    }
    auto config = loader.finish();
    if (!config) return config;
    config->dir = absolute_path(config->dir.empty() ? "." : config->dir);
    if (!config_file.empty()) config->config_file = absolute_path(config_file);
    return config;
}

std::vector<NamedValue> config_get(const Config& config,
                                   std::span<const std::string_view> patterns) {
    std::vector<NamedValue> found;
    std::set<std::string> taken;  // lower case: a name is told once, as it was first asked for
    const auto take = [&](const Row& row, std::string_view name) {
        if (taken.insert(lower(name)).second) found.emplace_back(name, get_text(config, row));
    };
    for (const auto pattern : patterns) {
        if (pattern.find_first_of("[*?") == pattern.npos) {
            const auto [row, name] = find_row(pattern);
            if (row != nullptr && row->kind != Kind::file) take(*row, pattern);
            continue;
        }
        for (const auto& row : config_rows()) {
            if (row.hidden || row.kind == Kind::file) continue;
            for (const auto name : {row.name, row.alias}) {
                if (!name.empty() && text::glob(pattern, name, text::LetterCase::ignored))
                    take(row, name);
            }
        }
    }
    return found;
}

std::string config_set_failed(std::string_view name, std::string_view why) {
    return "ERR CONFIG SET failed (possibly related to argument '" + echo(name) + "') - " +
           std::string(why);
}

tl::expected<ConfigSet, std::string> config_set(const Config& now,
                                                std::span<const std::string_view> pairs,
                                                ConfigSetBy by) {
    if (pairs.empty() || pairs.size() % 2 != 0)
        return tl::unexpected(std::string("ERR syntax error"));
    std::vector<RowName> rows;
    for (std::size_t at = 0; at < pairs.size(); at += 2) {
        const auto found = find_row(pairs[at]);
        if (found.row == nullptr || found.row->kind == Kind::file)
            return tl::unexpected("ERR Unknown option or number of arguments for CONFIG SET - '" +
                                  echo(pairs[at]) + "'");
        if (const auto why = locked(*found.row, now, by); !why.empty())
            return tl::unexpected(config_set_failed(pairs[at], why));
        if (by.loading && found.row->not_while_loading)
            return tl::unexpected(std::string("LOADING Redis is loading the dataset in memory"));
        for (const auto& earlier : rows) {
            if (earlier.name == found.name)
                return tl::unexpected(config_set_failed(pairs[at], "duplicate parameter"));
        }
        rows.push_back(found);
    }

    ConfigSet set{.config = now, .changed = {}, .notices = {}};
    for (std::size_t at = 0; at < rows.size(); ++at) {
        const auto& [row, name] = rows[at];
        const auto words = words_of(*row, pairs[2 * at + 1]);
        auto value = parse_value(*row, words, set.config);
        if (!value) return tl::unexpected(config_set_failed(name, value.error()));
        const auto text = value_text(*row, *value);
        if (is_refused(*row, text)) return tl::unexpected(config_set_failed(name, row->why));
        if (row->standing == Standing::accepted && text != get_text(now, *row))
            set.notices.push_back("CONFIG SET " + shown(*row, name, words) +
                                  " has no effect: " + std::string(row->why));
        note_given(set.config, *row);
        if (row->always.empty()) put_value(set.config, *row, std::move(*value));
    }
    settle(set.config);
    if (set.config.backup_policy != now.backup_policy) follow_policy(set.config);
    for (const auto& [row, name] : rows) {
        if (std::ranges::count(set.changed, row) == 0 &&
            get_text(set.config, *row) != get_text(now, *row))
            set.changed.push_back(row);
    }
    return set;
}

}  // namespace firnlog::server
