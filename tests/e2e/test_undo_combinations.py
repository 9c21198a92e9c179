"""FIRN RESTORE MATCH: every combination of what it is told, after each kind of accident.

What each of them leaves is worked out here, from what was there before and at the moment; a dry run
before it tells the same counts, and restoring the lsn that it names takes it back.
"""

# e2e: measures no time

import itertools
import time
import unittest

import harness
from test_undo import RESULTS, at_lsn, content, restore

DATABASES = (0, 1, 2)
PATTERNS = ("*", "k*")
TTLS = ("keep", "drop", "shift")
# Its time comes after the moment and before the restore: of when it goes nothing is said here.
BRIEF = b"kbrief"
BRIEF_MS = 30


def in_each(client, databases, *commands):
    for database in databases:
        client.ask("SELECT", database)
        for reply in client.pipeline(commands):
            assert not reply.startswith(b"-"), reply
    client.ask("SELECT", 0)


def fill(client, round_number):
    in_each(client, DATABASES, *[("SET", "k%d" % i, "old %d %d" % (round_number, i)) for i in range(6)],
            ("SET", "x1", "x %d" % round_number), ("SET", "kttl", "t %d" % round_number, "EX", 5000),
            ("SET", "ksame", "t", "EX", 7000), ("HSET", "kh", "f", round_number, "g", "1"),
            ("SETRANGE", "kbig", 5_000, round_number), ("SET", BRIEF, "b", "PX", BRIEF_MS))


def hurt(client, accident):
    if accident == "script":
        in_each(client, (0, 1), ("DEL", "k1", "k2", "k4", "kttl", "kh"), ("SET", "k3", "wrong"),
                ("HSET", "k4", "now", "a hash"), ("SET", "x1", "wrong"))
    else:
        client.ask(accident)
    in_each(client, (0, 1), ("SET", "knew", "n"), ("SET", "k5", "other"), ("HSET", "xnew", "a", "b"))


def what_is_there(client):
    return {name: what for name, what in content(client, DATABASES).items() if name[1] != BRIEF}


def expected(then, now, pattern, all_databases, delete_new, ttl):
    """What is to be there, a time to live that is shifted as ("shifted", the time then); and how many
    keys go."""
    def in_scope(name):
        return (all_databases or name[0] == 0) and (pattern == "*" or name[1].startswith(b"k"))

    left = dict(now)
    for name, (kind, value, expires) in then.items():
        if not in_scope(name) or now.get(name) == (kind, value, expires):
            continue
        if expires != b":-1\r\n" and ttl == "drop":
            expires = b":-1\r\n"
        elif expires != b":-1\r\n" and ttl != "keep":
            expires = ("shifted", expires)
        left[name] = (kind, value, expires)
    gone = [name for name in now if delete_new and in_scope(name) and name not in then]
    for name in gone:
        del left[name]
    return left, len(gone)


def milliseconds(reply):
    return int(reply[1:])


class Match(unittest.TestCase):
    def is_as_expected(self, there, wanted, slept_ms, elapsed_ms):
        self.assertEqual(set(there), set(wanted))
        for name, (kind, value, expires) in wanted.items():
            self.assertEqual(there[name][:2], (kind, value), name)
            if isinstance(expires, tuple):
                shifted = milliseconds(there[name][2]) - milliseconds(expires[1])
                self.assertTrue(slept_ms <= shifted <= elapsed_ms, (name, shifted))
            else:
                self.assertEqual(there[name][2], expires, name)

    def one(self, client, round_number, accident, pattern, all_databases, delete_new, ttl):
        in_each(client, DATABASES, ("FLUSHDB",))
        began = time.time()
        fill(client, round_number)
        moment = at_lsn(client)
        then = what_is_there(client)
        slept_ms = BRIEF_MS + 20
        time.sleep(slept_ms / 1000)
        hurt(client, accident)
        now = what_is_there(client)
        options = ["ALLDBS"] * all_databases + ["DELETE-NEW"] * delete_new + ["TTL", ttl]
        dry = restore(client, "MATCH", pattern, "LSN", moment, *options, "DRYRUN")
        self.assertEqual(what_is_there(client), now)
        told = restore(client, "MATCH", pattern, "LSN", moment, *options)
        elapsed_ms = (time.time() - began) * 1000 + 1
        there = what_is_there(client)
        wanted, gone = expected(then, now, pattern, all_databases, delete_new, ttl)
        self.is_as_expected(there, wanted, slept_ms, elapsed_ms)
        # What comes back all at once is not looked at: that a key's time has come is seen later.
        if told[b"restored"] != dry[b"restored"]:
            self.assertEqual((told[b"due"], ttl), (0, "keep"))
            dry[b"restored"] += dry[b"due"]
            dry[b"due"] = 0
        self.assertEqual([told[name] for name in RESULTS], [dry[name] for name in RESULTS])
        self.assertEqual(told[b"deleted"], gone)
        restore(client, "MATCH", "*", "LSN", told[b"undo"], "ALLDBS", "DELETE-NEW", "TTL", "keep")
        self.assertEqual(what_is_there(client), now)

    def all_of_them(self, flush_undo, *accidents):
        cases = list(itertools.product(accidents, PATTERNS, (False, True), (False, True), TTLS))
        self.assertEqual(len(cases), 48)
        with harness.firnlog("--save", "", "--flush-undo", flush_undo, "--threads", 2,
                             "--appendfsync", "everysec") as server, server.connect() as client:
            for number, case in enumerate(cases):
                with self.subTest(case=case, flush_undo=flush_undo):
                    self.one(client, number, *case)

    def test_what_a_flush_took_is_parked(self):
        self.all_of_them(300, "flushall", "flushdb")

    def test_nothing_is_parked(self):
        self.all_of_them(0, "flushall", "script")


class Deleted(unittest.TestCase):
    """Of a flush that is taken back at once, keys that were written since go all at once, too."""

    def test_they_are_counted_however_many_they_are(self):
        with harness.firnlog("--save", "", "--appendfsync", "everysec") as server, \
                server.connect() as client:
            client.pipeline([("SET", "k%d" % i, "old") for i in range(2000)])
            moment = at_lsn(client)
            client.ask("FLUSHALL")
            # Half of the old ones were written anew.
            client.pipeline([("SET", "k%d" % i, "new") for i in range(1000)] +
                            [("SET", "new%d" % i, "1") for i in range(9000)])
            told = restore(client, "MATCH", "*", "LSN", moment, "DELETE-NEW", "TTL", "keep")
            self.assertEqual((told[b"restored"], told[b"deleted"]), (2000, 9000))
            self.assertEqual(client.value("DBSIZE"), 2000)
            self.assertEqual(client.value("GET", "k1"), b"old")
            # That it was one effect: what went lies parked in its turn.
            self.assertEqual(harness.info(client, "persistence")["parked_keys"], "10000")


if __name__ == "__main__":
    unittest.main()
