// The pieces, one by one (Google Benchmark): parse, tag, find, append, encode, checksum, replay;
// and how much memory the index takes a key while it grows, without a server around it
// (bench/run.py measures that of the server).

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "engine/format/record.hpp"
#include "engine/index/keyspace.hpp"
#include "engine/log/tail.hpp"
#include "io/base/crc32c.hpp"
#include "io/posix_files.hpp"
#include "io/system_clock.hpp"
#include "recovery/replay.hpp"
#include "src/resp/parser.hpp"

namespace {

using namespace firnlog;

std::string key_of(std::uint64_t i) {
    char key[32];
    std::snprintf(key, sizeof key, "key:%012llu", static_cast<unsigned long long>(i));
    return key;
}

engine::Hasher::Secret secret() {
    engine::Hasher::Secret bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 37);
    return bytes;
}

void parse(benchmark::State& state) {
    std::string pipeline;
    for (int i = 0; i < 16; ++i)
        pipeline += "*3\r\n$3\r\nSET\r\n$16\r\n" + key_of(static_cast<std::uint64_t>(i)) +
                    "\r\n$100\r\n" + std::string(100, 'x') + "\r\n";
    server::resp::ReceiveBuffer buffer;
    server::resp::Parser parser;
    for (auto _ : state) {
        benchmark::DoNotOptimize(buffer.receive(pipeline));
        while (parser.next(buffer) == server::resp::Status::command)
            benchmark::DoNotOptimize(parser.arguments().data());
        benchmark::DoNotOptimize(buffer.settle());
    }
    state.SetItemsProcessed(state.iterations() * 16);
}
BENCHMARK(parse);

void tag(benchmark::State& state) {
    const engine::Hasher hasher(secret());
    const auto key = key_of(7);
    for (auto _ : state) benchmark::DoNotOptimize(hasher.tag(key));
}
BENCHMARK(tag);

void stripe(benchmark::State& state) {
    const auto key = key_of(7);
    for (auto _ : state) benchmark::DoNotOptimize(engine::stripe_of(key));
}
BENCHMARK(stripe);

void checksum(benchmark::State& state) {
    const std::string bytes(static_cast<std::size_t>(state.range(0)), 'x');
    for (auto _ : state) benchmark::DoNotOptimize(crc32c(as_bytes(bytes)));
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(checksum)->Arg(128)->Arg(4096)->Arg(65536);

void encode(benchmark::State& state) {
    const auto key = key_of(7);
    const std::string value(100, 'x');
    const engine::RecordSeed seed(secret());
    std::byte out[256];
    std::uint64_t lsn = 4096;
    for (auto _ : state) {
        const auto size =
            engine::encode_record({.kind = engine::Kind::string, .key = key, .value = value}, out);
        benchmark::DoNotOptimize(engine::seal_record(out, size, true, seed.at({lsn})));
        lsn += size;
    }
}
BENCHMARK(encode);

void put(engine::Keyspace& keyspace, const std::string& key, std::uint64_t i) {
    const engine::Record record{.kind = engine::Kind::string, .key = key, .value = ""};
    keyspace.apply(record, {.address = engine::Address(1, i * 128 % (1U << 29)), .bytes = 128},
                   keyspace.know(record));
}

// A SET's way into the log: batches of one record, sixteen a frame, into a segment that lies ready.
void append(benchmark::State& state) {
    constexpr std::int64_t kInFrame = 16;
    const auto directory =
        std::filesystem::temp_directory_path() / ("firnlog-micro-" + std::to_string(::getpid()));
    std::filesystem::create_directory(directory);
    {
        auto files = io::open_posix_files(directory.string(), true);
        if (!files) return state.SkipWithError("no directory for the log");
        io::SystemClock clock;
        engine::Segments segments;
        engine::Supply supply(**files, clock, segments, {.store_id = {}, .next_file = 1},
                              {.bytes_first = 256U << 20, .bytes_max = 256U << 20, .ready = 1},
                              [](const std::function<void()>& done) { done(); });
        while (supply.work()) {
        }
        engine::Tail tail(clock, supply, {.next = {4096}});
        const auto key = key_of(7);
        const std::string value(100, 'x');
        std::int64_t appended = 0;
        for (auto _ : state) {
            const std::lock_guard guard(tail.lock);
            if (tail.room(256, false) != engine::Room::enough)
                return state.SkipWithError("the segment is full");
            tail.open_batch();
            benchmark::DoNotOptimize(
                tail.append({.kind = engine::Kind::string, .key = key, .value = value}));
            benchmark::DoNotOptimize(tail.close_batch());
            if (++appended % kInFrame == 0) tail.close_frame({});
            while (tail.front() != nullptr) tail.pop();
        }
        state.SetItemsProcessed(state.iterations());
    }
    std::filesystem::remove_all(directory);
}
BENCHMARK(append)->Iterations(1'500'000);

void find(benchmark::State& state) {
    const auto count = static_cast<std::uint64_t>(state.range(0));
    engine::Keyspace keyspace(secret());
    for (std::uint64_t i = 0; i < count; ++i) put(keyspace, key_of(i), i);
    auto& space = keyspace.space_of(0);
    std::uint64_t i = 0;
    for (auto _ : state) {
        i = (i * 6364136223846793005U + 1442695040888963407U);
        const auto key = key_of((i >> 20) % count);
        benchmark::DoNotOptimize(
            space.stripes[engine::stripe_of(key)].find(keyspace.hasher.tag(key)));
    }
}
BENCHMARK(find)->Arg(1'000'000);

void replay(benchmark::State& state) {
    // Apply verified frames, as recovery does.
    constexpr std::uint64_t kRecords = 1'000'000;
    constexpr std::uint64_t kInFrame = 1000;
    std::vector<std::byte> log(kRecords * 128);
    for (std::uint64_t i = 0; i < kRecords; ++i)
        engine::encode_record({.kind = engine::Kind::string,
                               .flags = engine::RecordFlags::last_of_batch,
                               .key = key_of(i),
                               .value = std::string(100, 'x')},
                              log.data() + i * 128);
    for (auto _ : state) {
        engine::Keyspace keyspace(secret());
        recovery::Replay replaying(keyspace);
        for (std::uint64_t i = 0; i < kRecords; i += kInFrame)
            replaying.apply({.header = {.lsn = {i * 128 + 4096}},
                             .offset = i * 128,
                             .records = Bytes(log).subspan(i * 128, kInFrame * 128),
                             .whole = kInFrame * 128},
                            1);
        benchmark::DoNotOptimize(keyspace.space_of(0).keys.load());
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) *
                            static_cast<std::int64_t>(kRecords));
}
BENCHMARK(replay)->Unit(benchmark::kMillisecond)->Iterations(3);

std::uint64_t anonymous_bytes() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("RssAnon:")) return std::stoull(line.substr(8)) * 1024;
    return 0;
}

// The largest figure between eight and sixteen million keys, at every million and while growing.
void memory_a_key(benchmark::State& state) {
    const bool one_tag = state.range(0) != 0;
    const auto most = static_cast<std::uint64_t>(state.range(1));
    for (auto _ : state) {
        const auto before = anonymous_bytes();
        engine::Keyspace keyspace(secret());
        double worst = 0;
        for (std::uint64_t i = 1; i <= most; ++i) {
            const auto key = one_tag ? "{t}" + key_of(i).substr(3) : key_of(i);
            put(keyspace, key, i);
            if (i >= most / 2 && i % 100'000 == 0)
                worst = std::max(
                    worst, (static_cast<double>(anonymous_bytes()) - static_cast<double>(before)) /
                               static_cast<double>(i));
        }
        state.counters["bytes_a_key_max"] = worst;
    }
}
BENCHMARK(memory_a_key)
    ->Args({0, 16'000'000})
    ->Args({1, 10'000'000})
    ->Unit(benchmark::kSecond)
    ->Iterations(1);

}  // namespace

BENCHMARK_MAIN();
