#include "src/bench/presets.hpp"

#include <algorithm>
#include <array>

#include "io/base/ensure.hpp"
#include "src/text/fold.hpp"

namespace firnlog::bench {
namespace {

// Our own templates always parse.
Operation operation(std::string_view text, const Keys& keys) {
    auto parsed = Operation::parse(text, keys);
    ensure(parsed.has_value(), "a preset's template is well formed");
    return std::move(*parsed);
}

// Chosen with any test of its group, as redis-benchmark does.
constexpr std::string_view kFillsLists = "lpush_for_lrange";

struct Test {
    std::string_view name;
    std::string_view group;  // also chosen by
    std::string_view text;   // empty: PING without RESP
};

// In redis-benchmark's order. LPUSH before LRANGE fills the list that is read there.
constexpr Test kRedisTests[] = {
    {"ping_inline", "ping", ""},
    {"ping_mbulk", "ping", "PING"},
    {"set", "", "SET {key} {value}"},
    {"get", "", "GET {key}"},
    {"incr", "", "INCR counter:{key}"},
    {"lpush", "", "LPUSH mylist {value}"},
    {"rpush", "", "RPUSH mylist {value}"},
    {"lpop", "", "LPOP mylist"},
    {"rpop", "", "RPOP mylist"},
    {"sadd", "", "SADD myset element:{key}"},
    {"hset", "", "HSET myhash element:{key} {value}"},
    {"spop", "", "SPOP myset"},
    {"zadd", "", "ZADD myzset {random:4294967296} element:{key}"},
    {"zpopmin", "", "ZPOPMIN myzset"},
    {kFillsLists, "lrange", "LPUSH mylist {value}"},
    {"lrange_100", "lrange", "LRANGE mylist 0 99"},
    {"lrange_300", "lrange", "LRANGE mylist 0 299"},
    {"lrange_500", "lrange", "LRANGE mylist 0 499"},
    {"lrange_600", "lrange", "LRANGE mylist 0 599"},
    {"mset", "",
     "MSET {another} {value} {another} {value} {another} {value} {another} {value} {another} "
     "{value} {another} {value} {another} {value} {another} {value} {another} {value} {another} "
     "{value}"},
};

Workload workload_of(const Test& test, const Keys& keys) {
    Workload workload{.name = std::string(test.name), .entries = {}};
    workload.entries.push_back({.operation = test.text.empty() ? Operation::raw("PING", "PING")
                                                               : operation(test.text, keys)});
    return workload;
}

std::string ycsb_fields() {
    std::string fields;
    for (int field = 0; field < 10; ++field)
        fields += " field" + std::to_string(field) + " {value}";
    return fields;
}

struct Mix {
    std::string_view name;
    double read, update, insert, scan, read_modify_write;
    Distribution::Kind keys;
};

constexpr Mix kYcsb[] = {
    {"ycsb-a", 50, 50, 0, 0, 0, Distribution::Kind::zipf},
    {"ycsb-b", 95, 5, 0, 0, 0, Distribution::Kind::zipf},
    {"ycsb-c", 100, 0, 0, 0, 0, Distribution::Kind::zipf},
    {"ycsb-d", 95, 0, 5, 0, 0, Distribution::Kind::latest},
    {"ycsb-e", 0, 0, 5, 95, 0, Distribution::Kind::zipf},
    {"ycsb-f", 50, 0, 0, 0, 50, Distribution::Kind::zipf},
};

Preset ycsb(const Mix& mix, const Keys& keys) {
    Preset preset{.distribution = Distribution{.kind = mix.keys}};
    // Only E looks at the index, so that the others run where there are no sorted sets.
    const bool indexed = mix.scan > 0;
    const std::string index = indexed ? " ; ZADD _indices 0 {key}" : "";
    const std::string fresh =
        "HSET {new}" + ycsb_fields() + (indexed ? " ; ZADD _indices 0 {new}" : "");
    Workload workload{.name = std::string(mix.name), .entries = {}};
    const auto add = [&](double weight, std::string_view name, const std::string& text) {
        if (weight == 0) return;
        auto one = operation(text, keys);
        one.rename(std::string(name));
        workload.entries.push_back({.operation = std::move(one), .weight = weight});
    };
    add(mix.read, "READ", "HGETALL {key}");
    add(mix.update, "UPDATE", "HSET {key} field{random:10} {value}");
    add(mix.insert, "INSERT", fresh);
    add(mix.scan, "SCAN", "ZRANGEBYLEX _indices [{key} + LIMIT 0 {random:1-100}");
    add(mix.read_modify_write, "READ-MODIFY-WRITE",
        "HGETALL {key} ; HSET {key} field{random:10} {value}");
    preset.workloads.push_back(std::move(workload));
    Workload load{.name = "load", .entries = {}};
    load.entries.push_back({.operation = operation("HSET {key}" + ycsb_fields() + index, keys)});
    load.entries.back().operation.rename("LOAD");
    preset.load = std::move(load);
    return preset;
}

}  // namespace

Workload load_of_strings(const Keys& keys) {
    Workload load{.name = "load", .entries = {}};
    load.entries.push_back({.operation = operation("SET {key} {value}", keys)});
    return load;
}

tl::expected<Preset, std::string> find_preset(std::string_view name, const Keys& keys) {
    for (const auto& mix : kYcsb)
        if (server::text::equal_folded(name, mix.name)) return ycsb(mix, keys);
    if (!server::text::equal_folded(name, "redis-benchmark")) {
        std::string names = "redis-benchmark";
        for (const auto& mix : kYcsb) (names += ' ') += mix.name;
        return tl::unexpected("'" + std::string(name) + "' is none of: " + names);
    }
    Preset preset;
    for (const auto& test : kRedisTests) preset.workloads.push_back(workload_of(test, keys));
    return preset;
}

tl::expected<std::vector<Workload>, std::string> find_tests(std::string_view list,
                                                            const Keys& keys) {
    constexpr auto kTests = std::size(kRedisTests);
    std::array<bool, kTests> chosen{};
    bool reads_lists = false;
    while (!list.empty()) {
        const auto comma = std::min(list.find(','), list.size());
        const auto name = list.substr(0, comma);
        list.remove_prefix(std::min(comma + 1, list.size()));
        bool found = false;
        for (std::size_t i = 0; i < kTests; ++i) {
            const Test& test = kRedisTests[i];
            if (!server::text::equal_folded(name, test.name) &&
                (test.group.empty() || !server::text::equal_folded(name, test.group)))
                continue;
            found = chosen[i] = true;
            reads_lists = reads_lists || test.group == "lrange";
        }
        if (found) continue;
        std::string names = "ping lrange";
        for (const auto& test : kRedisTests) (names += ' ') += test.name;
        return tl::unexpected("'" + std::string(name) + "' is none of: " + names);
    }
    std::vector<Workload> workloads;
    for (std::size_t i = 0; i < kTests; ++i)
        if (chosen[i] || (reads_lists && kRedisTests[i].name == kFillsLists))
            workloads.push_back(workload_of(kRedisTests[i], keys));
    return workloads;
}

}  // namespace firnlog::bench
