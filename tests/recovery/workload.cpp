#include "tests/recovery/workload.hpp"

#include <string>

namespace firnlog::recovery {

bool workload(sim::World& world, Subject& subject, sim::Rng& rng) {
    const auto text = [&](std::size_t bytes) {
        std::string made(bytes, '\0');
        for (auto& byte : made) byte = static_cast<char>('a' + rng.below(26));
        return made;
    };
    const auto key = [&] { return "key:" + std::to_string(rng.below(12)); };
    const auto hash = [&] { return "hash:" + std::to_string(rng.below(4)); };
    const auto now_ms = [&] { return world.clock().wall().ms(); };

    world.phase("serve");
    for (int i = 0; i < 12; ++i) {
        if (!subject.set(key(), text(rng.between(1, 300)))) return false;
        if (!subject.hash_set(hash(), "f" + std::to_string(rng.below(6)), text(20))) return false;
        if (rng.chance(40)) subject.kick();
        if (rng.chance(30) && !subject.remove(key())) return false;
        if (rng.chance(30) && !subject.hash_remove(hash(), "f" + std::to_string(rng.below(6))))
            return false;
        if (rng.chance(50) && !subject.sync()) return false;
    }
    world.phase("multi");
    for (int i = 0; i < 4; ++i) {
        if (!subject.set_many({{key(), text(50)}, {key() + "b", text(900)}, {key(), text(10)}}))
            return false;
        if (rng.chance(60)) subject.kick();
    }
    if (!subject.sync()) return false;
    world.phase("expire");
    if (!subject.set(key(), text(30), now_ms() + 50)) return false;
    if (!subject.expire(key(), now_ms() + 100'000)) return false;
    if (!subject.expire(key(), now_ms() + 20)) return false;
    if (!subject.sync()) return false;
    world.pass(80'000);
    for (int i = 0; i < 12; ++i)
        if (!subject.touch("key:" + std::to_string(i))) return false;
    if (!subject.sync()) return false;
    world.phase("rename");
    for (int i = 0; i < 4; ++i) {
        if (!subject.rename(key(), key())) return false;
        if (!subject.rename(hash(), hash())) return false;
        if (!subject.copy(hash(), "hash:copy")) return false;
    }
    if (!subject.sync()) return false;
    world.phase("flushall");
    subject.select(1);
    if (!subject.set("in the other", text(40))) return false;
    subject.select(0);
    if (!subject.swap(0, 1)) return false;
    if (!subject.sync()) return false;
    if (!subject.swap(1, 0)) return false;
    subject.select(2);
    if (!subject.set("gone soon", text(40)) || !subject.flush()) return false;
    if (!subject.set("back again", text(40))) return false;
    subject.select(0);
    if (!subject.sync()) return false;
    world.phase("big");
    if (!subject.set("big", text(66'000))) return false;
    if (!subject.sync()) return false;
    if (!subject.patch("big", 20'000, text(100))) return false;
    if (!subject.patch("big", 65'990, text(40))) return false;
    if (!subject.patch("sparse", 90'000, text(3))) return false;
    if (!subject.sync()) return false;
    world.phase("rotate");
    for (int i = 0; i < 60; ++i) {
        if (!subject.set(key(), text(rng.between(2000, 6000)))) return false;
        if (rng.chance(25)) {
            subject.engine().work();
            subject.kick();
        }
    }
    if (!subject.sync()) return false;
    world.phase("release");
    while (subject.engine().work() && !world.crashed()) {
    }
    world.phase("voucher");
    if (!subject.sync()) return false;
    world.phase("stop");
    return subject.stop_cleanly();
}

}  // namespace firnlog::recovery
