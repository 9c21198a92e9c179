#include "tests/src/second_server.hpp"

#include <boost/test/unit_test.hpp>
#include <charconv>

#include "src/commands/command_table.hpp"

namespace firnlog::server::test {
namespace {

recovery::OpenOptions open_options(const SecondOptions& options) {
    recovery::OpenOptions open;
    open.engine.supply.bytes_first = options.segment_bytes;
    open.engine.supply.bytes_max = options.segment_bytes;
    open.engine.supply.ready = 2;
    open.lanes = options.lanes;
    return open;
}

Config config_of(const SecondOptions& options) {
    Config config;
    config.appendfsync = options.appendfsync;
    config.notify_keyspace_events = options.notify;
    // A simulated socket has no address, so nobody can tell that it is this machine's.
    config.protected_mode = false;
    return config;
}

}  // namespace

std::string command(const std::vector<std::string>& words) {
    std::string bytes = "*" + std::to_string(words.size()) + "\r\n";
    for (const auto& word : words)
        bytes += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    return bytes;
}

std::string command(std::string_view line) {
    std::vector<std::string> words;
    while (!line.empty()) {
        const auto end = std::min(line.find(' '), line.size());
        const auto word = line.substr(0, end);
        words.emplace_back(word == "\"\"" ? std::string_view{} : word);
        line.remove_prefix(std::min(end + 1, line.size()));
    }
    return command(words);
}

std::size_t reply_bytes(std::string_view bytes) {
    const auto line_end = bytes.find("\r\n");
    if (line_end == std::string_view::npos) return 0;
    std::int64_t number = 0;
    std::from_chars(bytes.data() + 1, bytes.data() + line_end, number);
    auto at = line_end + 2;
    switch (bytes.front()) {
        case '$':
            if (number < 0) return at;
            at += static_cast<std::size_t>(number) + 2;
            return at <= bytes.size() ? at : 0;
        case '*':
        case '>':
        case '%':
            if (bytes.front() == '%') number *= 2;
            for (; number > 0; --number) {
                const auto inner = at < bytes.size() ? reply_bytes(bytes.substr(at)) : 0;
                if (inner == 0) return 0;
                at += inner;
            }
            return at;
        default:
            return at;
    }
}

std::string Caller::taken() {
    unread_ += client_.take();
    const auto bytes = unread_.empty() ? 0 : reply_bytes(unread_);
    auto reply = unread_.substr(0, bytes);
    unread_.erase(0, bytes);
    return reply;
}

std::string Caller::ask(std::string_view line) {
    send(line);
    std::string reply;
    BOOST_REQUIRE_MESSAGE(server_.until([&] { return !(reply = taken()).empty(); }),
                          "no reply to " << line);
    return reply;
}

SecondServer::SecondServer(sim::World& world, SecondOptions options) : world_(world) {
    static const bool built = [] {
        BOOST_REQUIRE(!CommandTable::build({}));
        return true;
    }();
    BOOST_REQUIRE(built);
    auto opened = recovery::open(world.files(), world.clock(), open_options(options));
    BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().text));
    store_ = std::move(*opened);
    server_ = std::make_unique<Server>(engine(), world.clock(), config_of(options));
    for (std::size_t i = 0; i < options.reactors; ++i) {
        reactors_.push_back(std::make_unique<Reactor>(*server_, i, world.io(i)));
        server_->add_reactor(*reactors_.back());
    }
    engine().supply.on_change = [this] {
        for (auto& reactor : reactors_) reactor->post([](Reactor& it) { it.resume(); });
    };
    listener_ = world.process().listen();
    reactors_.front()->listen(listener_);
}

SecondServer::~SecondServer() { stop_serving(); }

void SecondServer::stop_serving() {
    if (reactors_.empty()) return;
    engine().supply.on_change = {};
    // The simulated rings may name the reactors' memory until their process is gone.
    world_.process().kill();
    reactors_.clear();
}

void SecondServer::step() {
    // With several, none of them may sleep: the others' time would stand still.
    auto& reactor = *reactors_[next_++ % reactors_.size()];
    (void)reactor.turn(reactors_.size() == 1);
    // What has been sent arrives.
    world_.pass(reactors_.size() == 1 ? 500 : 50);
    (void)engine().work();
}

bool SecondServer::until(const std::function<bool()>& condition, std::int64_t us_max) {
    const auto end = world_.clock().mono().after(us_max);
    while (!condition()) {
        if (world_.crashed() || world_.clock().mono() > end) return false;
        step();
    }
    return true;
}

bool SecondServer::settle() {
    return until([&] {
        log().want_durable(log().tail.batch_end());
        return log().durable() >= log().tail.batch_end();
    });
}

}  // namespace firnlog::server::test
