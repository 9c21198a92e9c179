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
    world.phase("group");
    for (int i = 0; i < 4; ++i) {
        if (!subject.set_group(
                {{key() + "g", text(50)}, {"key:far", text(900)}, {key() + "h", text(10)}}))
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
    // What changes under the walk's hands: keys come and go, fields, names, databases.
    const auto change = [&] {
        switch (rng.below(8)) {
            case 0:
                return subject.set(key(), text(rng.between(1, 200)));
            case 1:
                return subject.remove(key());
            case 2:
                return subject.hash_set(hash(), "f" + std::to_string(rng.below(6)), text(20));
            case 3:
                return subject.hash_remove(hash(), "f" + std::to_string(rng.below(6)));
            case 4:
                return subject.rename(hash(), hash());
            case 5:
                return subject.expire(key(), now_ms() + 200'000);
            case 6:
                return subject.rename(key(), key());
            default:
                return subject.set(key(), text(10), now_ms() + 300'000);
        }
    };
    world.phase("image");
    if (!subject.checkpoint(change)) return false;
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
    // Parked, as a flush does, and taken back for what came meanwhile.
    if (!subject.sync() || !subject.swap(0, engine::kParkedFirst)) return false;
    subject.select(0);
    if (!subject.set("meanwhile", text(40)) || !subject.sync()) return false;
    if (!subject.swap(0, engine::kParkedFirst) || !subject.sync()) return false;
    world.phase("big");
    if (!subject.set("big", text(66'000))) return false;
    if (!subject.sync()) return false;
    if (!subject.patch("big", 20'000, text(100))) return false;
    if (!subject.patch("big", 65'990, text(40))) return false;
    if (!subject.patch("sparse", 90'000, text(3))) return false;
    if (!subject.sync()) return false;
    // Values of hashes in pieces: made, copied, over a short one and over a long one, gone.
    if (!subject.hash_set("hash:long", "f", text(66'000))) return false;
    if (!subject.hash_set("hash:long", "g", text(30))) return false;
    if (!subject.copy("hash:long", "hash:copy")) return false;
    if (!subject.hash_set("hash:long", "f", text(70'000))) return false;
    if (!subject.sync()) return false;
    if (!subject.hash_set("hash:long", "f", text(20))) return false;
    if (!subject.hash_set("hash:long", "g", text(68'000))) return false;
    if (!subject.hash_remove("hash:long", "g")) return false;
    if (!subject.sync()) return false;
    world.phase("image");
    if (!subject.checkpoint([&] {
            subject.select(2);
            const bool flushed = !rng.chance(20) || subject.flush();
            const bool set = subject.set("in two", text(9)) && subject.patch("big", 100, text(5));
            subject.select(0);
            const auto other = rng.chance(30) ? engine::kParkedFirst : 1U;
            return flushed && set && change() && (!rng.chance(20) || subject.swap(0, other));
        }))
        return false;
    world.phase("rotate");
    for (int i = 0; i < 60; ++i) {
        if (!subject.set(key(), text(rng.between(2000, 6000)))) return false;
        if (rng.chance(25)) {
            subject.engine().work();
            subject.kick();
        }
    }
    // The segments that lie ready are taken, so that others are made behind the sync.
    while (subject.engine().supply.ready().count != 0)
        if (!subject.set(key(), text(rng.between(2000, 6000)))) return false;
    if (!subject.sync()) return false;
    world.phase("release");
    while (subject.engine().work() && !world.crashed()) {
    }
    world.phase("image");
    if (!subject.checkpoint(change)) return false;
    // Stays to the end, while what lies around it dies: its pieces are moved one by one.
    if (!subject.hash_set("hash:kept", "long", text(66'000))) return false;
    // Nearly everything is written anew: what stays in use of a segment is moved to a packed one,
    // and the segment goes with the checkpoint that lets go of the last one that led there.
    for (int round = 0; round < 5; ++round) {
        world.phase("overwrite");
        for (int i = 0; i < 18; ++i) {
            if (!subject.set("key:" + std::to_string(i % 6), text(rng.between(4000, 9000))))
                return false;
            const auto name = std::to_string(round) + "." + std::to_string(i);
            if (i % 3 == 0 && !subject.set("keep:" + name, text(rng.between(1, 3000))))
                return false;
            if (i % 5 == 0 && !subject.hash_set("hash:keep", name, text(100))) return false;
            if (i == 7 && round % 2 == 0 &&
                !subject.hash_set("hash:" + name, "long", text(rng.between(65'537, 80'000))))
                return false;
            if (i % 9 == 0 && !subject.patch("big", rng.below(60'000), text(50))) return false;
        }
        if (!subject.remove("keep:0." + std::to_string(3 * round))) return false;
        if (round == 3 && !subject.hash_set("hash:0.7", "long", text(20))) return false;
        if (round == 4 && !subject.hash_remove("hash:2.7", "long")) return false;
        if (!subject.sync()) return false;
        while (subject.engine().work() && !world.crashed()) {
        }
        world.phase("reclaim");
        if (!subject.checkpoint(change)) return false;
    }
    // Nobody writes for a while: an empty frame vouches for the last one.
    world.phase("voucher");
    if (!subject.set("the last", text(20)) || !subject.sync()) return false;
    subject.vouch();
    if (!subject.sync()) return false;
    if (!subject.set("behind it", text(20)) || !subject.sync()) return false;
    world.phase("stop");
    return subject.stop_cleanly();
}

}  // namespace firnlog::recovery
