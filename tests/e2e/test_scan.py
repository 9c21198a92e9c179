"""SCAN and its guarantee, beside Redis, over growth and restarts."""

import random
import time
import unittest

import harness


class Scan(harness.PairTest):
    def test_what_is_wrong_is_said_in_order(self):
        self.script("SET k v")
        for words in (["x"], ["x", "FOO"], [" 1"], ["1 "], ["1x"], ["0", "FOO"], ["0", "COUNT"],
                      ["0", "COUNT", "x"], ["0", "COUNT", "0"], ["0", "COUNT", "-1"],
                      ["0", "MATCH"], ["0", "TYPE"], ["0", "COUNT", "x", "FOO"],
                      ["0", "FOO", "COUNT", "x"], ["18446744073709551616"], ["-1", "MATCH", "none"], ["+0"], [""],
                      ["0\x00x"], ["0", "COUNT", "9223372036854775807"],
                      ["0", "COUNT", "9223372036854775808"], ["0", "type", "nothing"],
                      ["0", "type", "STRING", "match", "*", "count", "100"], []):
            self.same("SCAN", *words)

    def collect(self, client, *options, command=("SCAN",), limit=10**6):
        """All that a whole iteration gives, in order, with repetitions."""
        cursor, found = b"0", []
        for _ in range(limit):
            cursor, some = client.value(*command, cursor, *options)
            found += some
            if cursor == b"0":
                return found
        self.fail("the iteration does not end")

    def test_filters_are_those_of_redis(self):
        for i in range(300):
            self.same("SET", f"s:{i}", i)
            self.same("HSET", f"h:{i}", "f", i)
        self.same("SET", "s:big", "x" * 70000)
        self.same("SET", "gone", "x", "PX", 1)
        time.sleep(0.005)
        for options in ([], ["MATCH", "s:*"], ["TYPE", "hash"], ["TYPE", "String"],
                        ["MATCH", "*1*", "TYPE", "hash", "COUNT", "7"], ["COUNT", "1"],
                        ["COUNT", "10000"], ["TYPE", "list"], ["MATCH", "*", "COUNT", "3"],
                        ["MATCH", "a", "MATCH", "s:1*"]):
            self.assertEqual(set(self.collect(self.ours, *options)),
                             set(self.collect(self.theirs, *options)), options)

    def test_a_quiet_iteration_gives_every_key_once(self):
        for names in ([f"key:{i}" for i in range(5000)],
                      ["{tag}" + str(i) for i in range(20000)]):
            self.ours.ask("FLUSHALL")
            self.ours.ask("MSET", *[word for name in names for word in (name, "v")])
            for count in (1, 10, 999):
                if count == 1 and len(names) > 5000:
                    continue
                found = self.collect(self.ours, "COUNT", count)
                self.assertEqual(len(found), len(names))
                self.assertEqual({name.decode() for name in found}, set(names))
            self.assertEqual(len(self.ours.value("KEYS", "*")), len(names))

    def check_guarantee(self, command, add, remove, restart, seed):
        """Whatever is there all the time comes at least once; what never was there never comes."""
        dice = random.Random(seed)
        stay = [f"stay:{dice.randrange(1 << 60)}" for _ in range(400)]
        add(stay)
        others, never, number = [], set(), 0
        found, cursor, calls = set(), b"0", 0
        while True:
            cursor, some = self.ours.value(*command, cursor, "COUNT", dice.choice([1, 5, 30]))
            step = 2 if command[0] == "HSCAN" else 1
            found |= {name.decode() for name in some[::step]}
            calls += 1
            if cursor == b"0":
                break
            what = dice.random()
            if what < 0.3:  # growth, so that pages split
                fresh = [f"other:{number + i}" for i in range(dice.choice([3, 200, 900]))]
                number += len(fresh)
                others += fresh
                add(fresh)
            elif what < 0.6 and others:  # shrinking, to nearly nothing at times
                dice.shuffle(others)
                cut = dice.choice([1, len(others) // 2, len(others)])
                remove(others[:cut])
                others = others[cut:]
            elif what < 0.61 and restart:
                restart()
                self.ours.close()
                self.ours = self.firnlog.connect()
            if calls > 100000:
                self.fail("the iteration does not end")
        self.assertEqual(set(stay) - found, set(), f"FIRNLOG_SEED={seed}")
        known = set(stay) | {f"other:{i}" for i in range(number)}
        self.assertEqual(found - known, set(), f"FIRNLOG_SEED={seed}")

    def restart(self):
        self.firnlog.kill_and_start()

    def test_a_key_that_stays_is_met_through_growth_shrinking_and_restarts(self):
        seed = harness.chosen_seed()

        def add(names):
            self.ours.ask("MSET", *[word for name in names for word in (name, "v")])

        def remove(names):
            self.ours.ask("DEL", *names)

        for i in range(3):
            self.ours.ask("FLUSHALL")
            self.check_guarantee(["SCAN"], add, remove, self.restart, seed + i)

    def test_a_key_under_a_hash_tag_that_stays_is_met(self):
        # All of them in one stripe: its pages split and shrink.
        seed = harness.chosen_seed()

        def tagged(names):
            return ["{t}" + name for name in names]

        def add(names):
            self.ours.ask("MSET", *[word for name in tagged(names) for word in (name, "v")])

        def remove(names):
            self.ours.ask("DEL", *tagged(names))

        plain = self.ours.value

        def untagged(*args):
            cursor, some = plain(*args)
            return cursor, [name[3:] for name in some]

        class Untagged:
            value = staticmethod(untagged)
            close = staticmethod(self.ours.close)

        self.ours = Untagged()
        add_client = self.firnlog.connect()
        self.ours.ask = add_client.ask
        for i in range(4):
            add_client.ask("FLUSHALL")
            self.check_guarantee(["SCAN"], add, remove, None, seed + i)
        add_client.close()

    def test_a_field_that_stays_is_met_through_growth_shrinking_and_restarts(self):
        seed = harness.chosen_seed()

        def add(names):
            self.ours.ask("HSET", "h", *[word for name in names for word in (name, "v")])

        def remove(names):
            self.ours.ask("HDEL", "h", *names)

        for i in range(3):
            self.ours.ask("DEL", "h")
            self.check_guarantee(["HSCAN", "h"], add, remove, self.restart, seed + i)


if __name__ == "__main__":
    unittest.main()
