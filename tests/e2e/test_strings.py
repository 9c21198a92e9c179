"""Strings: set, read, counted with and changed in place, as Redis answers to the byte."""

import os
import random
import re
import time
import unittest

import harness

NUMBERS = ("0", "1", "-1", "7", "-0", "00", "+1", " 1", "1 ", "", "x", "1x", "10000000000",
           "9223372036854775807", "-9223372036854775808", "9223372036854775808",
           "-9223372036854775809", "18446744073709551616", "1e3", "3.0", "0x10", "1\x002")
FLOATS = NUMBERS + ("3.14", "-0.1", "1e-5", "5.0e3", "inf", "-inf", "nan", "1e4932", "1e5000",
                    "-1e4931", "1e-4950", ".5", "5.", "0x1p3", "1e", "infinity", " 3.0", "3.0 ")
PLACES = ("0", "1", "2", "-1", "-2", "-5", "5", "100", "-100", "9223372036854775807",
          "-9223372036854775808", "x", "")


class Strings(harness.PairTest):
    def scripts(self, text):
        for line in text.strip().splitlines():
            self.same(*line.split())

    def test_set_takes_every_option_redis_takes(self):
        words = ("NX", "xx", "GET", "KEEPTTL", "EX 100", "px 100000", "EXAT 33333333333",
                 "PXAT 33333333333000", "PERSIST", "junk", "EX", "EX 0", "EX -1", "EX x",
                 "EX 9223372036854775807", "PX 9223372036854775807", "EX 9223372036854775",
                 "EXAT 9223372036854775807", "PXAT -1", "EX 20")
        for one in words:
            for other in ("",) + words:
                for there in (True, False):
                    self.same("DEL", "k")
                    if there:
                        self.same("SET", "k", "old", "PXAT", "44444444444000")
                    self.same("SET", "k", "new", *one.split(), *other.split())
                    self.same("GET", "k")
                    if not re.search("EX [12]|px", one + " " + other):
                        self.same("PEXPIRETIME", "k")

    def test_set_of_another_type(self):
        self.scripts("""
            HSET h f v
            GET h
            SET h v GET
            TYPE h
            SET h v NX
            SETNX h v
            SET h v XX
            TYPE h
        """)
        for command in ("APPEND h x", "STRLEN h", "GETRANGE h 0 1", "SETRANGE h 0 x", "SETRANGE h 0 ",
                        "INCR h", "DECRBY h 3", "INCRBYFLOAT h 1", "GETDEL h", "GETEX h",
                        "GETEX h EX x", "GETSET h x", "MGET h h", "LCS h h", "LCS h k", "LCS k h",
                        "SUBSTR h 0 1", "GETSET h v", "INCRBY h x", "INCRBYFLOAT h x"):
            self.same("DEL", "h")
            self.same("HSET", "h", "f", "v")
            self.same(*command.split(" "))
            self.same("TYPE", "h")

    def test_setex_and_its_kin_check_the_time(self):
        for command in ("SETEX", "PSETEX"):
            for time_given in NUMBERS:
                self.same(command, "k", time_given, "v")
                self.same("DEL", "n")
        self.scripts("""
            SETNX n 1
            SETNX n 2
            GET n
            SETEX n 1
            SETEX n
            GET
            SET n
        """)

    def test_getex_changes_when_a_key_expires(self):
        for option in ("", "PERSIST", "EX 100", "PX 100000", "EXAT 33333333333", "EXAT 1", "PXAT 1",
                       "PXAT 33333333333000", "EX 0", "EX x", "PX", "KEEPTTL", "NX", "GET",
                       "EX 10 PERSIST", "PERSIST PERSIST", "PERSIST EX 10", "EX 10 EX 100",
                       "EX 10 PX 10", "EXAT 9223372036854775807", "PX 9223372036854775807"):
            for start in ("", "SET k v", "SET k v PXAT 44444444444000"):
                self.same("DEL", "k")
                if start:
                    self.same(*start.split())
                self.same("GETEX", "k", *option.split())
                self.same("EXISTS", "k")
                if not re.search("EX 10|PX 10", option):
                    self.same("PEXPIRETIME", "k")

    def test_a_key_set_to_expire_in_the_past_is_gone(self):
        self.scripts("""
            SET k v EXAT 1
            GET k
            EXISTS k
            SET k v
            GETEX k PXAT 5
            EXISTS k
            SET k v PX 1
        """)
        time.sleep(0.01)
        self.scripts("""
            GET k
            SET k w GET
            GET k
        """)

    def test_getset_and_getdel(self):
        self.scripts("""
            GETSET k one
            GETSET k two
            EXPIRE k 100
            GETSET k three
            TTL k
            GETDEL k
            GETDEL k
            EXISTS k
        """)

    def test_several_keys_at_once(self):
        self.scripts("""
            MSET a 1 b 2 a 3
            MGET a b c a
            MSET a 1 b
            MSETNX c 1 c 2
            MSETNX c 1 d 2
            MGET c d
            MSETNX a
            MSETNX x 1 y
            HSET h f v
            MGET a h b
            MSET h plain
            TYPE h
            EXPIRE a 100
            MSET a 9
            TTL a
        """)

    def test_ranges_of_every_kind(self):
        for value in (None, b"", b"x", b"hello world"):
            self.same("DEL", "k")
            if value is not None:
                self.same("SET", "k", value)
            for first in PLACES:
                for last in PLACES:
                    self.same("GETRANGE", "k", first, last)
                    self.same("SUBSTR", "k", first, last)

    def test_setrange_fills_with_zeros_and_knows_its_bounds(self):
        for value in (None, b"", b"hello"):
            for offset in ("0", "3", "5", "9", "-1", "x", "536870911", "536870912",
                           "9223372036854775807", "4294967295", "9223372036854775806"):
                for part in (b"", b"y", b"YYY"):
                    self.same("DEL", "k")
                    if value is not None:
                        self.same("SET", "k", value, "EX", 1000)
                    self.same("SETRANGE", "k", offset, part)
                    self.same("STRLEN", "k")
                    self.same("GETRANGE", "k", 0, 100)
                    self.same("GETRANGE", "k", -3, -1)
                    self.same("EXISTS", "k")

    def test_append_grows_what_is_there(self):
        self.scripts("""
            APPEND k one
            APPEND k two
            EXPIRE k 100
            APPEND k three
            GET k
            TTL k
            SET n 12
            APPEND n 3
            INCR n
        """)
        self.same("APPEND", "e", "")
        self.same("EXISTS", "e")
        self.same("APPEND", "e", "")
        self.same("GET", "e")

    def test_counting(self):
        for start in (None,) + NUMBERS:
            for command in ("INCR", "DECR"):
                self.count(start, command)
            for amount in NUMBERS:
                self.count(start, "INCRBY", amount)
                self.count(start, "DECRBY", amount)

    def test_counting_with_fractions(self):
        for start in (None,) + FLOATS:
            for amount in FLOATS:
                self.count(start, "INCRBYFLOAT", amount)

    def count(self, start, command, *amount):
        self.same("DEL", "k")
        if start is not None:
            self.same("SET", "k", start)
        self.same(command, "k", *amount)
        self.same("GET", "k")

    def test_counting_keeps_the_expiry(self):
        self.scripts("""
            SET k 1 PXAT 44444444444000
            INCR k
            PEXPIRETIME k
            INCRBYFLOAT k 1.5
            PEXPIRETIME k
            SETRANGE k 0 9
            PEXPIRETIME k
            APPEND k 0
            PEXPIRETIME k
            SET k 1 KEEPTTL
            PEXPIRETIME k
            SET k 2
            PEXPIRETIME k
        """)

    def test_a_long_value_is_no_number(self):
        self.same("SET", "k", b"1" * 100000)
        self.same("INCR", "k")
        self.same("INCRBYFLOAT", "k", "1")
        self.same("SET", "k", b"0" * 5119 + b"1")
        self.same("INCRBYFLOAT", "k", "1")
        self.same("SET", "k", b"0" * 5118 + b"1")
        self.same("INCRBYFLOAT", "k", "1")
        self.same("GET", "k")

    def test_the_longest_common_subsequence(self):
        texts = ("", "a", "ohmytext", "mynewtext", "abcabcabc", "cbacba", "xxxx", "axbxcx" * 20)
        options = ("", "LEN", "IDX", "IDX WITHMATCHLEN", "IDX MINMATCHLEN 4", "WITHMATCHLEN",
                   "IDX MINMATCHLEN 2 WITHMATCHLEN", "IDX LEN", "MINMATCHLEN", "MINMATCHLEN x",
                   "idx minmatchlen -5", "junk", "LEN MINMATCHLEN 3", "IDX MINMATCHLEN 99")
        for protocol in ("2", "3"):
            self.ours.ask("HELLO", protocol)
            self.theirs.ask("HELLO", protocol)
            for one in texts:
                for other in texts:
                    self.same("MSET", "a", one, "b", other)
                    for option in options:
                        self.same("LCS", "a", "b", *option.split())
                self.same("LCS", "a", "missing")
                self.same("LCS", "missing", "a", "IDX")
                self.same("LCS", "a", "a", "IDX")

    def test_lcs_of_random_texts(self):
        dice = random.Random(7)
        for _ in range(150):
            letters = "ab" if dice.random() < 0.5 else "abcdef"
            one, other = (
                "".join(dice.choice(letters) for _ in range(dice.randrange(40))) for _ in "12"
            )
            self.same("MSET", "a", one, "b", other)
            self.same("LCS", "a", "b")
            self.same("LCS", "a", "b", "IDX", "WITHMATCHLEN")

    def test_lcs_refuses_tables_past_the_bound(self):
        self.same("SET", "a", b"x" * 20000)
        self.same("LCS", "a", "a", "LEN")
        self.same("LCS", "a", "a", "LEN", "junk")

    def test_replies_in_resp3(self):
        self.ours.ask("HELLO", "3")
        self.theirs.ask("HELLO", "3")
        self.scripts("""
            GET k
            SET k v NX
            SET k w NX
            SET k w XX GET
            SET m w XX
            MGET k m
            GETDEL m
            GETEX m
            INCRBYFLOAT f 1.5
            GETSET m 1
            SET k v NX GET
            LCS k m IDX
        """)

    def test_wrong_numbers_of_arguments(self):
        for command in ("GET SET SETNX SETEX PSETEX GETSET GETDEL GETEX MGET MSET MSETNX APPEND STRLEN "
                        "GETRANGE SUBSTR SETRANGE INCR DECR INCRBY DECRBY INCRBYFLOAT LCS").split():
            for count in range(6):
                self.same(command, *["x"] * count)

    def test_what_the_table_says_is_what_redis_says(self):
        for command in ("get set setnx setex psetex getset getdel getex mget mset msetnx append strlen "
                        "getrange substr setrange incr decr incrby decrby incrbyfloat lcs").split():
            compare_rows(self, command)

    def test_statistics_count_lookups_as_redis_does(self):
        self.scripts("""
            SET s v
            HSET h f v
        """)
        for command in ("GET s", "GET n", "GET h", "STRLEN s", "STRLEN n", "GETRANGE s 0 1",
                        "GETRANGE n 0 1", "MGET s n h", "LCS s n", "SET s v GET", "SET s v NX GET",
                        "SET s v", "SETNX s v", "INCR c", "APPEND c x", "SETRANGE c 0 y", "GETSET s v",
                        "GETSET t v", "GETDEL t", "GETDEL t", "GETEX s", "GETEX n", "GETEX h",
                        "MSETNX s 1 u 2", "GETBIT s 1", "GETBIT n 1", "BITCOUNT s", "BITCOUNT n",
                        "BITPOS s 1", "BITPOS n 1", "BITOP AND d s n", "BITFIELD s GET u8 0",
                        "BITFIELD s SET u8 0 1", "BITFIELD_RO n GET u8 0", "SETBIT s 1 1",
                        "BITCOUNT h", "BITFIELD h GET u8 0", "SETBIT h 1 1", "LCS s h",
                        "BITCOUNT s 0 x", "GETEX s EX x", "BITPOS s 0 1 x", "GETRANGE h 0 1"):
            for client in (self.ours, self.theirs):
                client.ask("CONFIG", "RESETSTAT")
            self.same(*command.split())
            ours, theirs = (
                re.findall(rb"keyspace_(?:hits|misses):\d+", client.value("INFO", "stats"))
                for client in (self.ours, self.theirs)
            )
            self.assertEqual(ours, theirs, command)

    def test_notifications_are_those_of_redis(self):
        listeners = []
        for server, client in ((self.firnlog, self.ours), (self.redis, self.theirs)):
            client.ask("CONFIG", "SET", "notify-keyspace-events", "KEAnm")
            listener = server.connect()
            self.addCleanup(listener.close)
            listener.ask("PSUBSCRIBE", "*")
            listeners.append(listener)
        self.addCleanup(lambda: [
            server.ask("CONFIG", "SET", "notify-keyspace-events", "")
            for server in (self.firnlog, self.redis)
        ])
        commands = ("GET n", "SET s v", "SET s v EX 100", "SET s v XX", "SET s v NX", "SET n v XX",
                    "SET t v GET", "SETNX u v", "SETNX u v", "SETEX u 100 v", "PSETEX p 1000 v",
                    "GETSET s w", "GETSET g w", "GETDEL g", "GETDEL g", "GETEX s", "GETEX s EX 100",
                    "GETEX s PERSIST", "GETEX s PERSIST", "GETEX s PXAT 1", "MGET s t",
                    "MSET a 1 b 2 a 3", "MSETNX a 1 z 2", "MSETNX y 1 y 2", "APPEND a x", "APPEND q x",
                    "SETRANGE a 5 x", "SETRANGE r 5 x", "INCR i", "DECRBY i 3", "INCRBYFLOAT i 1.5",
                    "STRLEN n", "LCS a n", "SETBIT bits 7 1", "SETBIT bits 7 1", "SETBIT bits 7 0",
                    "SETBIT bits 100 0", "BITOP AND d bits a", "BITOP AND d n n", "BITOP AND d n n",
                    "BITFIELD bf SET u8 0 1", "BITFIELD bf SET u8 0 1", "BITFIELD bf GET u8 0",
                    "BITFIELD bf SET u8 100 0", "BITFIELD new OVERFLOW FAIL SET u8 0 300",
                    "BITFIELD n GET u8 0", "BITCOUNT n", "BITPOS n 1", "GETBIT n 1", "GETRANGE n 0 1",
                    "SETRANGE n 0 x", "DEL n", "SET past v PXAT 1", "GET past", "PING")
        for command in commands:
            self.same(*command.split())
        told = []
        for client, listener in zip((self.ours, self.theirs), listeners):
            client.ask("PUBLISH", "end", "end")
            messages = []
            while True:
                message = harness.parse(listener.reply())
                if message[2] == b"end":
                    break
                messages.append((message[2], message[3]))
            told.append(messages)
        self.assertEqual(told[0], told[1])

    def test_watched_keys_are_touched_by_changes_alone(self):
        for change in ("SET k v", "APPEND k x", "INCR k", "GETDEL k", "GET k", "SETRANGE k 0 x",
                       "SET k v NX", "GETEX k EX 10", "GETEX k", "SETBIT k 1 1", "SETBIT k 2 0",
                       "BITOP AND k j j", "MSET k 1", "BITFIELD k GET u8 0", "BITFIELD k SET u8 0 1"):
            self.same("SET", "k", "1")
            self.same("WATCH", "k")
            self.firnlog.ask(*change.split())
            self.redis.ask(*change.split())
            self.same("MULTI")
            self.same("GET", "k")
            self.same("EXEC")
        for change in ("APPEND k x", "SETRANGE k 90000 x", "SETBIT k 800000 1", "APPEND k "):
            self.same("SET", "k", b"x" * 80000)
            self.same("WATCH", "k")
            self.firnlog.ask(*change.split(" "))
            self.redis.ask(*change.split(" "))
            self.same("MULTI")
            self.same("STRLEN", "k")
            self.same("EXEC")


class LongStrings(harness.PairTest):
    """Values of one record, of chunks, and on the way from one to the other."""

    FIRNLOG_OPTIONS = ("--enable-debug-command", "yes")

    def check(self, key):
        self.same("STRLEN", key)
        self.same("GET", key)

    def test_values_of_all_sizes_come_back(self):
        for size in (4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537, 98304, 1 << 20):
            value = os.urandom(size)
            self.same("SET", "k", value)
            self.check("k")
            self.same("SET", "k", value, "GET")
            self.same("GETRANGE", "k", size - 10, -1)
            self.same("GETRANGE", "k", 16380, 16390)
            self.same("GETSET", "k", "short")
            self.check("k")

    def test_a_gap_is_zeros_wherever_it_lies(self):
        for start in (0, 1, 4096, 5000, 16384, 65536, 70000, 100000):
            for offset in (0, start, start + 1, 16383, 16384, 40000, 65535, 65536, 200000):
                for size in (1, 100, 16384, 40000):
                    self.same("DEL", "k")
                    if start:
                        self.same("SET", "k", b"s" * start, "PXAT", 44444444444000)
                    self.same("SETRANGE", "k", offset, b"p" * size)
                    self.check("k")
                    self.same("PEXPIRETIME", "k")

    def test_random_changes_over_a_restart(self):
        seed = int(os.environ.get("SEED", "11"))
        dice = random.Random(seed)
        keys = ("a", "b", "c")
        for turn in range(3):
            for _ in range(400):
                key = dice.choice(keys)
                size = dice.choice((1, 2, 10, 200, 3000, 20000, 70000))
                place = dice.choice((0, dice.randrange(100), dice.randrange(5000),
                                     dice.randrange(150000), 16384 * dice.randrange(9)))
                what = dice.random()
                if what < 0.05:
                    self.same("SET", key, dice.randbytes(size))
                elif what < 0.3:
                    self.same("SETRANGE", key, place, dice.randbytes(size))
                elif what < 0.4:
                    self.same("APPEND", key, dice.randbytes(size))
                elif what < 0.7:
                    self.same("SETBIT", key, place, dice.randrange(2))
                elif what < 0.75:
                    self.same("BITFIELD", key, "SET", "u60", place, dice.randrange(1 << 60), "INCRBY",
                              "i64", place * 8, dice.randrange(1 << 60), "GET", "u8", place)
                elif what < 0.85:
                    self.same("GETRANGE", key, place, place + size)
                elif what < 0.9:
                    self.same("BITCOUNT", key, place, place + size)
                elif what < 0.95:
                    self.same("BITPOS", key, dice.randrange(2), place)
                elif what < 0.96:
                    self.same("COPY", key, dice.choice(keys), "REPLACE")
                elif what < 0.97:
                    self.same("DEL", key)
                else:
                    self.check(key)
            for key in keys:
                self.check(key)
            if turn == 1:
                self.ours.close()
                self.firnlog.restart()
                self.ours = self.firnlog.connect()
            else:
                self.ours.close()
                self.firnlog.kill()
                self.firnlog.start()
                self.ours = self.firnlog.connect()
            for key in keys:
                self.check(key)

    def test_a_long_value_is_read_without_a_second_copy_of_it(self):
        """Once each of its chunks was kept until the reply was whole, and all of them put together
        once more beside it: reading 512 MiB took 1.5 GiB. Now it takes the reply and a chunk."""
        if os.environ.get("FIRNLOG_SANITIZED"):
            self.skipTest("a sanitizer's memory is its own")
        size = 96 << 20
        with harness.firnlog("--appendfsync", "no") as firnlog, firnlog.connect() as client:
            status = "/proc/%d/status" % firnlog.process.pid

            def kib(name):
                with open(status) as lines:
                    return next(int(l.split()[1]) for l in lines if l.startswith(name + ":"))

            for at in range(0, size, 8 << 20):
                client.ask("SETRANGE", "k", at, b"y" * (8 << 20))
            for words, expected in ((("GET", "k"), size), (("GETRANGE", "k", 1, -2), size - 2),
                                    (("BITCOUNT", "k"), 0)):
                before = kib("VmRSS")
                with open("/proc/%d/clear_refs" % firnlog.process.pid, "w") as clear:
                    clear.write("5")
                reply = client.ask(*words)
                self.assertGreaterEqual(len(reply), expected)
                # The map's own pages count too, once they have been read.
                self.assertLess(kib("VmHWM") - before, 2.3 * size / 1024, words)

    def test_a_chunk_of_many_patches_stays_right(self):
        dice = random.Random(5)
        self.same("SET", "k", b"x" * 70000)
        commands = [("SETRANGE", "k", dice.randrange(20000), dice.randbytes(dice.randrange(1, 20)))
                    for _ in range(3000)]
        self.assertEqual(self.ours.pipeline(commands), self.theirs.pipeline(commands))
        self.check("k")
        self.same("COPY", "k", "l")
        self.check("l")

    def test_appending_over_every_threshold(self):
        commands = [("APPEND", "k", bytes([65 + i % 26]) * 97) for i in range(1000)]
        self.assertEqual(self.ours.pipeline(commands), self.theirs.pipeline(commands))
        self.check("k")

    def test_a_changed_bit_of_a_large_value_writes_little(self):
        self.same("SETBIT", "k", 64 * 8 * 1024 * 1024 - 1, 1)
        before = self.log_bytes()
        commands = [("SETBIT", "k", (i * 7919 * 8191) % (64 * 8 * 1024 * 1024), 1)
                    for i in range(20000)]
        self.assertEqual(self.ours.pipeline(commands), self.theirs.pipeline(commands))
        self.assertLess(self.log_bytes() - before, 20000 * 100)
        self.same("BITCOUNT", "k")
        self.same("BITPOS", "k", 1)

    def log_bytes(self):
        """Where the log ends: the largest number that FIRN LSN tells."""
        return max(int(number) for number in re.findall(rb"\d{3,}", self.ours.ask("FIRN", "LSN")))

    def test_the_digest_is_that_of_redis(self):
        self.same("SET", "a", b"x" * 100000)
        self.same("SETRANGE", "b", 100000, "tail")
        self.same("SETBIT", "c", 50000, 1)
        self.same("SETRANGE", "a", 60000, "middle")
        self.same("DEBUG", "DIGEST")


def compare_rows(test, command):
    """COMMAND INFO and COMMAND DOCS, but what is in our own words."""
    for client in (test.ours, test.theirs):
        client.ask("HELLO", "3")
    ours, theirs = (client.value("COMMAND", "INFO", command)[0] for client in (test.ours, test.theirs))
    for which in (0, 1, 2, 3, 4, 5, 6):
        test.assertEqual(ours[which], theirs[which], command)
    docs = []
    for client in (test.ours, test.theirs):
        (doc,) = client.value("COMMAND", "DOCS", command).values()
        docs.append({name: doc[name] for name in (b"since", b"group")})
    test.assertEqual(docs[0], docs[1], command)
    for args in (["x"] * 5, ["x"] * 4, ["x", "GET", "u8", "0"]):
        keys = [client.ask("COMMAND", "GETKEYS", command, *args) for client in (test.ours, test.theirs)]
        test.assertEqual(keys[0], keys[1], command)


if __name__ == "__main__":
    unittest.main()
