"""Hashes: as Redis answers them, small and large, and unchanged by restarts."""

# e2e: measures no time

import math
import random
import time
import unittest

import harness

# Everything a client may send where a number is wanted.
NUMBERS = ["1", "-1", "0", "x", "", " 1", "1 ", "+1", "01", "-0", "1.5", "1e3", "-1e-3", "0x10",
           "inf", "-inf", "nan", "9223372036854775807", "-9223372036854775808",
           "9223372036854775808", "1e308", "1e400", "1e4932", "1e5000", "1e-5000", ".5", "5.",
           "3.0e3", "1\x00", "99999999999999999999", "0.1", "1" * 30, "-" + "9" * 25,
           "0.00000000000000000001", "infinity", "1_000"]


class Hashes(harness.PairTest):
    def test_fields_are_set_and_read(self):
        self.script("HSET h a 1", "HSET h a 2 b 3", "HSET h a 1 a 2 a 3", "HGET h a", "HGET h none",
                    "HGET none a", "HMSET h c 4 d 5", "HMGET h a none b d", "HMGET none a b",
                    "HGETALL h", "HKEYS h", "HVALS h", "HLEN h", "HSTRLEN h a", "HSTRLEN h none",
                    "HSTRLEN none a", "HEXISTS h a", "HEXISTS h none", "HEXISTS none a",
                    "HSETNX h a 9", "HSETNX h e 9", "HSETNX new e 9", "HDEL h a none a", "HLEN h",
                    "HDEL h b c d", "HDEL h e", "EXISTS h", "HDEL h e", "HLEN h", "HGETALL h",
                    "HKEYS h", "HVALS h")
        self.same("HSET", "h", "", "")
        self.same("HSET", "h", b"\x00\r\n\xff", b"\xff\r\n\x00")
        self.same("HGETALL", "h")
        self.same("HGET", "h", "")

    def test_the_same_in_resp3(self):
        self.same("CLIENT", "GETNAME")
        for client in (self.ours, self.theirs):
            client.ask("HELLO", "3")
        self.script("HSET h a 1 b 2", "HGETALL h", "HGETALL none", "HMGET h a x", "HGET h x",
                    "HKEYS h", "HKEYS none", "HVALS none", "HRANDFIELD h 5 WITHVALUES",
                    "HRANDFIELD none 5 WITHVALUES", "HRANDFIELD none", "HSCAN h 0", "HSCAN none 0",
                    "HINCRBYFLOAT h a 0.5", "HEXISTS h a", "HRANDFIELD h 0", "OBJECT ENCODING none",
                    "COPY none x", "RANDOMKEY")

    def test_small_hashes_list_their_fields_in_the_order_of_insertion(self):
        for i in range(100):
            self.same("HSET", "h", f"f{i * 7 % 100}", i)
        self.script("HGETALL h", "HDEL h f7 f14 f0", "HSET h f7 again", "HSET h f21 changed",
                    "HGETALL h", "HKEYS h", "HVALS h", "HSCAN h 0", "HSCAN h 0 COUNT 3",
                    "HSCAN h 0 MATCH f1*", "COPY h g", "HGETALL g",
                    "RENAME g k", "HGETALL k")
        for i in range(100, 512):
            self.same("HSET", "h", f"f{i}", i)
        self.script("HGETALL h")

    def test_a_hash_is_no_string_and_the_other_way_round(self):
        self.script("SET s 1", "HSET h f 1")
        for command in ("HSET s f 1", "HMSET s f 1", "HSETNX s f 1", "HGET s f", "HMGET s f",
                        "HGETALL s", "HDEL s f", "HLEN s", "HSTRLEN s f", "HEXISTS s f", "HKEYS s",
                        "HVALS s", "HINCRBY s f 1", "HINCRBY s f x", "HINCRBYFLOAT s f 1",
                        "HINCRBYFLOAT s f x", "HRANDFIELD s", "HRANDFIELD s 1", "HRANDFIELD s x",
                        "HRANDFIELD s 1 FOO", "HSCAN s 0", "HSCAN s x", "HSCAN s 0 FOO", "GET h",
                        "INCR h", "APPEND h x", "GETRANGE h 0 1", "STRLEN h", "SETRANGE h 0 x",
                        "SET h x GET", "TYPE h", "HGET h f", "GET s"):
            self.script(command)

    def test_what_is_wrong_is_said_in_order(self):
        self.script("HSET h f 1 g x i inf")
        for command in ("HSET", "HSET h", "HSET h f", "HSET h f 1 g", "HMSET h f", "HMSET h f 1 g",
                        "HSET s f 1 g", "HSETNX h f", "HSETNX h f 1 2", "HGET h", "HGET h f g",
                        "HMGET h", "HGETALL", "HGETALL h x", "HDEL h", "HLEN", "HLEN h x",
                        "HSTRLEN h", "HEXISTS h", "HKEYS h x", "HVALS", "HINCRBY h f",
                        "HINCRBY h f 1 2", "HINCRBYFLOAT h f", "HRANDFIELD", "HSCAN h", "HSCAN",
                        "HRANDFIELD h 1 FOO", "HRANDFIELD h 1 WITHVALUES x", "HRANDFIELD h x",
                        "HRANDFIELD h x FOO", "HRANDFIELD none x", "HRANDFIELD none 1 FOO",
                        "HRANDFIELD h -9223372036854775808",
                        "HRANDFIELD h -9223372036854775808 WITHVALUES",
                        "HRANDFIELD h -9223372036854775807 WITHVALUES",
                        "HRANDFIELD h 4611686018427387904 withvalues",
                        "HRANDFIELD h 9223372036854775808", "HRANDFIELD none 0 WITHVALUES",
                        "HRANDFIELD h 0", "HRANDFIELD none -5", "HSCAN h x", "HSCAN h x FOO",
                        "HSCAN none x", "HSCAN none 0 FOO", "HSCAN h 0 FOO", "HSCAN h 0 TYPE hash",
                        "HSCAN h 0 COUNT 0", "HSCAN h 0 COUNT x", "HSCAN h 0 COUNT",
                        "HSCAN h 0 MATCH", "HSCAN h -1 MATCH none", "HSCAN h 18446744073709551616",
                        "HSCAN h 0 COUNT 9223372036854775807", "HSCAN h 0 MATCH x COUNT x",
                        "HINCRBY h g 1", "HINCRBY h g x", "HINCRBYFLOAT h g 1", "HINCRBYFLOAT h g x",
                        "HINCRBYFLOAT h i 1", "HINCRBY none g x", "EXISTS none"):
            self.script(command)

    def test_numbers_are_those_of_redis(self):
        for start in NUMBERS + [None]:
            for amount in NUMBERS:
                for command in ("HINCRBY", "HINCRBYFLOAT"):
                    self.same("DEL", "h")
                    if start is not None:
                        self.same("HSET", "h", "f", start)
                    self.same(command, "h", "f", amount)
                    self.same("HGET", "h", "f")
        self.same("EXISTS", "h")

    def test_random_sums_of_decimals_are_those_of_redis(self):
        dice = random.Random(5)
        for _ in range(300):
            number = dice.choice([dice.uniform(-10, 10), dice.randrange(1000) / 100,
                                  math.ldexp(dice.random(), dice.randrange(-40, 80))])
            self.same("HINCRBYFLOAT", "h", "f", repr(number))

    def test_random_fields_are_different_ones_or_each_chosen_anew(self):
        for size in (1, 2, 10, 600, 2000):
            self.ours.ask("DEL", "h")
            pairs = {f"f{i}".encode(): f"v{i}".encode() for i in range(size)}
            self.ours.ask("HSET", "h", *[word for pair in pairs.items() for word in pair])
            self.assertIn(self.ours.value("HRANDFIELD", "h"), pairs)
            for count in (1, 2, size // 3, size // 2, size - 1, size, size + 1):
                some = self.ours.value("HRANDFIELD", "h", count)
                self.assertEqual(len(some), min(count, size))
                self.assertEqual(len(set(some)), len(some))
                self.assertTrue(set(some) <= set(pairs))
                some = self.ours.value("HRANDFIELD", "h", count, "WITHVALUES")
                self.assertEqual(len(some), 2 * min(count, size))
                for field, value in zip(some[::2], some[1::2]):
                    self.assertEqual(pairs[field], value)
                some = self.ours.value("HRANDFIELD", "h", -count, "WITHVALUES")
                self.assertEqual(len(some), 2 * count)
                for field, value in zip(some[::2], some[1::2]):
                    self.assertEqual(pairs[field], value)

    def test_random_fields_are_fair(self):
        for size in (5, 700):
            self.ours.ask("DEL", "h")
            self.ours.ask("HSET", "h", *[word for i in range(size) for word in (f"f{i}", i)])
            seen = {}
            for _ in range(size):
                for field in self.ours.value("HRANDFIELD", "h", -400):
                    seen[field] = seen.get(field, 0) + 1
            self.assertEqual(len(seen), size)
            # 400 each are expected, the standard deviation is 20.
            self.assertLess(max(seen.values()), 560)
            self.assertGreater(min(seen.values()), 260)
            for count in (1, 2):
                seen = {}
                for _ in range(500):
                    for field in self.ours.value("HRANDFIELD", "h", count):
                        seen[field] = seen.get(field, 0) + 1
                if size == 5:
                    self.assertGreater(min(seen.values()), 50 * count)

    def test_too_many_repetitions_are_refused(self):
        self.script("HSET h f 1")
        self.assertTrue(self.ours.ask("HRANDFIELD", "h", -(1 << 24) - 1).startswith(b"-ERR"))
        self.assertTrue(self.ours.ask("HRANDFIELD", "h", -(1 << 62)).startswith(b"-ERR"))

    def test_what_is_too_long_is_refused_before_any_effect(self):
        field, value = "f" * 65536, "v" * (1 << 20)
        for command in (["HSET", "h", field, value], ["HGET", "h", field], ["HLEN", "h"],
                        ["HSETNX", "g", field, value], ["HDEL", "g", field], ["EXISTS", "g"],
                        ["HINCRBY", "n", field, "1"], ["HINCRBYFLOAT", "n", field, "1"]):
            self.same(*command)
        for command in (["HSET", "h", "a", "1", field + "f", "v"],
                        ["HMSET", "x", "a", "1", field + "f", "v"], ["HSETNX", "x", field + "f", "v"],
                        ["HINCRBY", "x", field + "f", "1"], ["HINCRBYFLOAT", "x", field + "f", "1"]):
            reply = self.ours.ask(*command)
            self.assertTrue(reply.startswith(b"-ERR the"), reply)
        self.assertEqual(self.ours.value("HLEN", "h"), 1)
        self.assertEqual(self.ours.value("EXISTS", "x"), 0)
        # Looking for what cannot be there is no error.
        self.script("HSET s f 1")
        for command in (["HGET", "s", field + "f"], ["HDEL", "s", field + "f"],
                        ["HEXISTS", "s", field + "f"], ["HMGET", "s", field + "f", "f"]):
            self.same(*command)

    def test_values_of_any_length_come_back(self):
        """Past 64 KiB a value is kept in pieces, of which nobody must ever see one alone."""
        rng = random.Random(7)
        whole = rng.randbytes(3_000_000)
        names = ["f", "g" * 3_000, "h" * 65_536, ""]
        sizes = [65_535, 65_536, 65_537, 16_384 * 5, 16_384 * 5 + 1, 1 << 20, (1 << 20) + 1, 3_000_000,
                 10, 0, 70_000]
        with harness.firnlog("--enable-debug-command", "yes") as firnlog:
            ours = firnlog.connect()

            def same(*words):
                answers = ours.ask(*words), self.theirs.ask(*words)
                if words[0] in ("HGETALL", "HVALS"):  # in Redis's table they lie in no order
                    answers = [harness.unordered(answer) for answer in answers]
                self.assertEqual(answers[0], answers[1], [str(word)[:40] for word in words])

            self.theirs.ask("FLUSHALL")
            for turn, size in enumerate(sizes):
                for name in names:
                    start = rng.randrange(len(whole) - size + 1)
                    same("HSET", "h", name, whole[start:start + size], "short", turn)
                    same("HGET", "h", name)
                    same("HSTRLEN", "h", name)
                same("HMGET", "h", *names, "none", "short")
                same("HGETALL", "h")
                same("OBJECT", "ENCODING", "h")
                if turn % 3 == 0:
                    same("COPY", "h", "copy", "REPLACE")
                    same("RENAME", "h", "g")
                    same("MOVE", "g", 1)
                    for client in (ours, self.theirs):
                        client.ask("SELECT", 1)
                    same("RENAME", "g", "h")
                    same("MOVE", "h", 0)
                    for client in (ours, self.theirs):
                        client.ask("SELECT", 0)
                if turn % 4 == 0:
                    ours.close()
                    firnlog.kill() if turn % 8 else firnlog.stop()
                    firnlog.start()
                    ours = firnlog.connect()
                    same("DEBUG", "DIGEST")
            same("HSETNX", "h", "f", whole)
            same("HSETNX", "h", "new", whole)
            for words in (("HINCRBY", "h", "new", 1), ("HINCRBYFLOAT", "h", "new", 1), ("HVALS", "copy"),
                          ("HRANDFIELD", "copy", 20, "WITHVALUES"), ("HSCAN", "copy", 0, "COUNT", 100),
                          ("DEBUG", "DIGEST-VALUE", "h", "copy"), ("HEXISTS", "h", "new"),
                          ("HDEL", "h", "new", "f"), ("HGET", "h", "new"), ("HLEN", "h")):
                if words[0] in ("HRANDFIELD", "HSCAN"):
                    found = [client.value(*words) for client in (ours, self.theirs)]
                    if words[0] == "HSCAN":
                        self.assertEqual([cursor for cursor, _ in found], [b"0", b"0"])
                        found = [pairs for _, pairs in found]
                    self.assertEqual(*(sorted(zip(flat[::2], flat[1::2])) for flat in found))
                else:
                    same(*words)
            # A field with as many others that it lies in a table, and one that is a number again.
            same("HSET", "h", "f", whole, *(word for i in range(1_000) for word in ("x%d" % i, i)))
            same("HGET", "h", "f")
            same("HSET", "h", "f", 12)
            same("HINCRBY", "h", "f", 1)
            same("HDEL", "h", *names, "short", *("x%d" % i for i in range(1_000)))
            same("EXISTS", "h")
            same("DEBUG", "DIGEST")
            ours.close()

    def test_expiry_stays_when_fields_change(self):
        far = int(time.time()) + 100000
        self.script("HSET h f 1", f"EXPIREAT h {far}", "HSET h g 2", "HINCRBY h f 1", "HDEL h g",
                    "HSETNX h x 1", "HINCRBYFLOAT h x 1", "EXPIRETIME h", "HDEL h f x", "HSET h f 1",
                    "EXPIRETIME h")

    def test_random_commands_equal_redis_over_restarts(self):
        seed = harness.chosen_seed()
        dice = random.Random(seed)
        keys = ["h1", "h2", "big"]
        fields = [f"field:{i}" for i in range(900)]

        def one(key):
            field = dice.choice(fields if key == "big" else fields[:30])
            return field

        for round_number in range(4):
            for _ in range(1500):
                key = dice.choice(keys)
                command = dice.choice([
                    lambda: ["HSET", key, one(key), dice.randrange(1000)],
                    lambda: ["HSET", key] + [word for _ in range(dice.choice([1, 5, 40]))
                                             for word in (one(key), dice.randrange(1000))],
                    lambda: ["HDEL", key] + [one(key) for _ in range(dice.choice([1, 3, 20]))],
                    lambda: ["HGET", key, one(key)],
                    lambda: ["HMGET", key, one(key), one(key), "none"],
                    lambda: ["HINCRBY", key, one(key), dice.randrange(-50, 50)],
                    lambda: ["HSETNX", key, one(key), "x" * dice.randrange(100)],
                    lambda: ["HEXISTS", key, one(key)],
                    lambda: ["HSTRLEN", key, one(key)],
                    lambda: ["HLEN", key],
                    lambda: ["DEL", key] if dice.random() < 0.02 else ["TYPE", key],
                    lambda: ["HINCRBYFLOAT", key, one(key), dice.randrange(100) / 8],
                ])()
                reply = self.theirs.ask(*command)
                self.assertEqual(self.ours.ask(*command), reply, f"FIRNLOG_SEED={seed} {command}")
            for key in keys:
                for command in ("HGETALL", "HKEYS", "HVALS"):
                    self.same_unordered(command, key)
                self.same("HLEN", key)
                cursor, pairs = b"0", {}
                while True:
                    cursor, some = self.ours.value("HSCAN", key, cursor, "COUNT", 7)
                    pairs.update(zip(some[::2], some[1::2]))
                    if cursor == b"0":
                        break
                everything = self.theirs.value("HGETALL", key)
                self.assertEqual(pairs, dict(zip(everything[::2], everything[1::2])))
            self.ours.close()
            if round_number % 2:
                self.firnlog.restart()
            else:
                self.firnlog.kill_and_start()
            self.ours = self.firnlog.connect()

    def test_small_hashes_keep_their_order_over_a_restart(self):
        for i in range(300):
            self.same("HSET", "h", f"f{i * 7 % 300}", i)
        self.script("HDEL h f0 f7", "HSET h f7 1")
        self.ours.close()
        self.firnlog.restart()
        self.ours = self.firnlog.connect()
        self.script("HGETALL h")

    def test_a_change_of_a_large_hash_is_one_small_record(self):
        names = [f"field:{i}" for i in range(200000)]
        for at in range(0, len(names), 10000):
            self.ours.ask("HSET", "h", *[w for name in names[at : at + 10000] for w in (name, "v")])
        before = self.tail()
        for i in range(100):
            self.ours.ask("HSET", "h", f"field:{i * 1000}", "w")
        # Each in a frame of its own at the most.
        self.assertLess(self.tail() - before, 100 * 200)
        self.assertEqual(self.ours.value("HGET", "h", "field:5000"), b"w")
        self.assertEqual(self.ours.value("HLEN", "h"), len(names))
        before = self.tail()
        self.assertEqual(self.ours.value("DEL", "h"), 1)
        self.assertLess(self.tail() - before, 200)

    def tail(self):
        words = self.ours.value("FIRN", "LSN")
        return int(dict(zip(words[::2], words[1::2]))[b"tail"])

    def test_rows_say_what_redis_says(self):
        names = ("hset hmset hsetnx hget hmget hgetall hdel hlen hstrlen hexists hkeys hvals "
                 "hincrby hincrbyfloat hrandfield hscan").split()
        for name in names:
            with self.subTest(command=name):
                ours, theirs = self.both("COMMAND", "INFO", name)
                ours, theirs = ours[0], theirs[0]
                for field in range(6):  # name, arity, flags, first, last, step
                    self.assertEqual(sorted(ours[field]) if field == 2 else ours[field],
                                     sorted(theirs[field]) if field == 2 else theirs[field], field)
                self.assertEqual(sorted(ours[6]), sorted(theirs[6]))  # categories
                self.assertEqual(ours[8], theirs[8])  # key specifications


if __name__ == "__main__":
    unittest.main()
