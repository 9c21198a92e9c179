"""FIRN RESTORE: keys of a server's store become again what they were, while its clients go on."""

import os
import random
import threading
import time
import unittest

import harness
from test_online_past import lines, maps

try:
    import redis
except ImportError:
    redis = None

RESULTS = (b"restored", b"unchanged", b"deleted", b"due", b"damaged", b"too_large")


def restore(client, *args):
    """What FIRN RESTORE tells, as a dict."""
    reply = client.value("FIRN", "RESTORE", *args)
    assert isinstance(reply, list), reply
    return maps(reply)


def result(client, *args):
    return restore(client, *args)[b"result"]


def at_lsn(client):
    told = maps(client.value("FIRN", "LSN"))
    return "%d:%d" % (told[b"timeline"], told[b"tail"])


def content(client, databases=(0,)):
    """Every key's type, value and time of expiry."""
    found = {}
    for database in databases:
        client.ask("SELECT", database)
        keys = client.value("KEYS", "*")
        replies = client.pipeline([("TYPE", key) for key in keys])
        ask = [("HGETALL", key) if b"hash" in kind else ("GET", key) for key, kind in zip(keys, replies)]
        values = client.pipeline(ask)
        times = client.pipeline([("PEXPIRETIME", key) for key in keys])
        for key, kind, value, expires in zip(keys, replies, values, times):
            found[database, key] = (kind, value, expires)
    client.ask("SELECT", databases[0])
    return found


def fill(client):
    """A key of each kind, and what becomes of each is another thing."""
    client.ask("SET", "s", "old")
    client.ask("SET", "brief", "old", "EX", 1000)
    client.ask("HSET", "h", "f", "1", "g", "2")
    client.pipeline([("HSET", "wide", "f%d" % i, i) for i in range(2000)])
    client.ask("SETRANGE", "big", 200_000, "x")
    client.ask("SET", "same", "same")


class Key(unittest.TestCase):
    def test_a_key_of_each_kind_is_what_it_was(self):
        with harness.firnlog() as server, server.connect() as client:
            fill(client)
            before, moment = content(client), at_lsn(client)
            client.ask("SET", "s", "new")
            client.ask("DEL", "brief", "wide")
            client.ask("HDEL", "h", "g")
            client.ask("SETRANGE", "big", 5, "y")
            for key in ("s", "brief", "h", "wide", "big"):
                self.assertEqual(result(client, "KEY", key, "LSN", moment, "TTL", "keep"), b"restored")
            self.assertEqual(result(client, "KEY", "same", "LSN", moment), b"unchanged")
            self.assertEqual(content(client), before)
            # As fields stood, so they stand.
            self.assertEqual(client.value("HKEYS", "h"), [b"f", b"g"])

    def test_of_another_type_than_now_too(self):
        with harness.firnlog() as server, server.connect() as client:
            client.ask("HSET", "k", "f", "1")
            client.ask("FIRN", "MARK", "m")
            client.ask("SET", "k", "text")
            self.assertEqual(result(client, "KEY", "k", "MARK", "m"), b"restored")
            self.assertEqual(client.value("HGETALL", "k"), [b"f", b"1"])

    def test_a_key_that_was_not_there_stays_unless_it_is_to_go(self):
        with harness.firnlog() as server, server.connect() as client:
            client.ask("SET", "other", "1")
            moment = at_lsn(client)
            client.ask("SET", "k", "new")
            self.assertEqual(result(client, "KEY", "k", "LSN", moment), b"absent")
            self.assertEqual(client.value("GET", "k"), b"new")
            self.assertEqual(result(client, "KEY", "k", "LSN", moment, "DELETE-NEW", "DRYRUN"), b"deleted")
            self.assertEqual(client.value("GET", "k"), b"new")
            self.assertEqual(result(client, "KEY", "k", "LSN", moment, "DELETE-NEW"), b"deleted")
            self.assertIsNone(client.value("GET", "k"))
            self.assertEqual(result(client, "KEY", "nobody", "LSN", moment, "DELETE-NEW"), b"absent")

    def test_it_can_be_undone_like_any_write(self):
        with harness.firnlog() as server, server.connect() as client:
            client.ask("SET", "k", "old")
            moment = at_lsn(client)
            client.ask("SET", "k", "new")
            told = restore(client, "KEY", "k", "LSN", moment)
            self.assertEqual((told[b"result"], client.value("GET", "k")), (b"restored", b"old"))
            self.assertEqual(told[b"lsn"], moment.encode())
            self.assertEqual(result(client, "KEY", "k", "LSN", told[b"undo"]), b"restored")
            self.assertEqual(client.value("GET", "k"), b"new")
            self.assertEqual([line[b"bytes"] for line in lines(client, "HISTORY", "k")], [3, 3, 3, 3])

    def test_it_has_as_long_to_live_as_it_had_then(self):
        with harness.firnlog() as server, server.connect() as client:
            client.ask("SET", "k", "v", "PX", 60_000)
            client.ask("SET", "gone", "v", "PX", 300)
            client.ask("FIRN", "MARK", "m")
            then = client.value("PEXPIRETIME", "k")
            time.sleep(0.5)
            client.ask("DEL", "k")
            self.assertEqual(result(client, "KEY", "k", "MARK", "m", "TTL", "keep"), b"restored")
            self.assertEqual(client.value("PEXPIRETIME", "k"), then)
            client.ask("DEL", "k")
            self.assertEqual(result(client, "KEY", "k", "MARK", "m"), b"restored")
            shifted = client.value("PEXPIRETIME", "k") - then
            self.assertGreaterEqual(shifted, 500)
            self.assertLess(shifted, 30_000)
            client.ask("DEL", "k")
            self.assertEqual(result(client, "KEY", "k", "MARK", "m", "TTL", "drop"), b"restored")
            self.assertEqual(client.value("PTTL", "k"), -1)
            # Its time has come meanwhile: kept, there is nothing to restore; shifted, it lives.
            self.assertEqual(result(client, "KEY", "gone", "MARK", "m", "TTL", "keep"), b"due")
            client.ask("SET", "gone", "new")
            self.assertEqual(result(client, "KEY", "gone", "MARK", "m", "TTL", "keep"), b"deleted")
            self.assertIsNone(client.value("GET", "gone"))
            self.assertEqual(result(client, "KEY", "gone", "MARK", "m"), b"restored")
            self.assertEqual(client.value("GET", "gone"), b"v")

    def test_what_it_changes_others_learn(self):
        with harness.firnlog("--notify-keyspace-events", "KA") as server:
            with server.connect() as client, server.connect() as other:
                client.ask("SET", "k", "old")
                client.ask("FIRN", "MARK", "m")
                client.ask("SET", "k", "new")
                other.ask("WATCH", "k")
                with server.connect() as listener:
                    listener.ask("SUBSCRIBE", "__keyspace@0__:k")
                    self.assertEqual(result(client, "KEY", "k", "MARK", "m"), b"restored")
                    self.assertEqual(harness.parse(listener.reply())[2], b"restore")
                other.ask("MULTI")
                other.ask("GET", "k")
                self.assertEqual(other.ask("EXEC"), b"*-1\r\n")

    def test_in_always_its_reply_comes_when_it_is_durable(self):
        with harness.firnlog("--appendfsync", "always") as server:
            with server.connect() as client:
                client.ask("SET", "k", "old")
                client.ask("FIRN", "MARK", "m")
                for i in range(20):
                    client.ask("SET", "k", i)
                    self.assertEqual(result(client, "KEY", "k", "MARK", "m"), b"restored")
                    told = maps(client.value("FIRN", "LSN"))
                    self.assertEqual(told[b"durable"], told[b"tail"])
            server.kill()
            server.start()
            self.assertEqual(server.value("GET", "k"), b"old")

    def test_what_cannot_be_is_refused_in_words(self):
        with harness.firnlog() as server, server.connect() as client:
            for arguments, why in (
                ((), b"-ERR wrong number of arguments for 'firn|restore' command"),
                (("KEY",), b"-ERR syntax error"),
                (("KEY", "k"), b"-ERR syntax error"),
                (("KEY", "k", "AT"), b"-ERR a moment's value is missing"),
                (("KEY", "k", "noon"), b"-ERR a time is like"),
                (("KEY", "k", "-0s", "TTL"), b"-ERR syntax error"),
                (("KEY", "k", "-0s", "TTL", "long"), b"-ERR TTL is keep, drop or shift"),
                (("KEY", "k", "-0s", "ALLDBS"), b"-ERR syntax error"),
                (("KEY", "k", "MARK", "none"), b"-ERR the log has no mark of that name"),
                (("KEY", "k", "AT", "1990-01-01T00:00:00Z"), b"-ERR "),
                (("MATCH", "*", "MARK", "none"), b"-ERR the log has no mark of that name"),
                (("LIKE", "k", "-0s"), b"-ERR syntax error"),
                (("CANCEL",), b"-ERR no restore is under way"),
            ):
                reply = client.ask("FIRN", "RESTORE", *arguments)
                self.assertTrue(reply.startswith(why), (arguments, reply))
            self.assertEqual(maps(client.value("FIRN", "RESTORE", "STATUS"))[b"state"], b"failed")
            self.assertEqual(
                client.value("COMMAND", "GETKEYS", "FIRN", "RESTORE", "KEY", "k", "AT", "-0s"), [b"k"])
            client.ask("MULTI")
            self.assertEqual(client.ask("FIRN", "RESTORE", "KEY", "k", "-0s"),
                             b"-ERR Command not allowed inside a transaction\r\n")
            with harness.firnlog("--from", server.folder, "--readonly") as then:
                self.assertTrue(then.ask("FIRN", "RESTORE", "KEY", "k", "-0s").startswith(b"-READONLY"))


class Match(unittest.TestCase):
    def test_all_that_match_are_what_they_were_and_nothing_else_is_touched(self):
        with harness.firnlog() as server, server.connect() as client:
            client.pipeline([("SET", "user:%d" % i, i) for i in range(1000)])
            client.pipeline([("SET", "item:%d" % i, i) for i in range(10)])
            client.ask("HSET", "user:h", "f", "v")
            client.ask("FIRN", "MARK", "m")
            client.pipeline([("DEL", "user:%d" % i) for i in range(0, 1000, 2)])
            client.pipeline([("SET", "item:%d" % i, "x") for i in range(10)])
            client.ask("SET", "user:new", "1")
            client.ask("HSET", "user:h", "f", "w")
            tail = at_lsn(client)
            told = restore(client, "MATCH", "user:*", "MARK", "m", "DRYRUN")
            self.assertEqual([told[name] for name in RESULTS], [501, 500, 0, 0, 0, 0])
            self.assertIsNone(told[b"undo"])
            self.assertEqual(at_lsn(client), tail)
            told = restore(client, "MATCH", "user:*", "MARK", "m")
            self.assertEqual([told[name] for name in RESULTS], [501, 500, 0, 0, 0, 0])
            self.assertEqual([client.value("GET", "user:%d" % i) for i in (0, 1, 998)],
                             [b"0", b"1", b"998"])
            self.assertEqual(client.value("HGET", "user:h", "f"), b"v")
            self.assertEqual(client.value("GET", "item:3"), b"x")
            self.assertEqual(client.value("GET", "user:new"), b"1")
            self.assertEqual(restore(client, "MATCH", "user:*", "MARK", "m", "DELETE-NEW")[b"deleted"], 1)
            self.assertIsNone(client.value("GET", "user:new"))
            # And that was an accident as well.
            told = restore(client, "MATCH", "*", "LSN", told[b"undo"], "DELETE-NEW")
            self.assertEqual([told[name] for name in RESULTS], [2, 510, 500, 0, 0, 0])
            self.assertEqual(client.value("EXISTS", "user:0", "user:1", "user:new"), 2)

    def test_any_life_is_undone_to_any_of_its_moments(self):
        seed = int(os.environ.get("FIRNLOG_SEED") or random.randrange(1 << 32))
        print("report: firn restore: seed %d" % seed)
        dice = random.Random(seed)
        with harness.firnlog("--save", "", "--threads", 2) as server:
            client = server.connect()
            moments = []
            for step in range(300):
                key, other = dice.sample(["a", "b", "c", "d", "e"], 2)
                roll = dice.randrange(13)
                if roll < 3:
                    client.ask("SET", key, step)
                elif roll < 5:
                    client.ask("DEL", key)
                    client.pipeline([("HSET", key, "f%d" % i, step) for i in range(dice.choice((3, 600)))])
                elif roll == 5:
                    client.ask("HDEL", key, "f1")
                elif roll == 6:
                    client.ask("SETRANGE", key, 70_000 + step, step)
                elif roll == 7:
                    client.ask("RENAME", key, other)
                elif roll == 8:
                    client.ask("COPY", key, other, "REPLACE")
                elif roll == 9:
                    client.ask("SELECT", dice.randrange(2))
                elif roll == 10:
                    client.ask("PEXPIRE", key, dice.choice((100_000, 200_000)))
                elif roll == 11 and dice.randrange(3) == 0:
                    client.ask(*dice.choice((("SWAPDB", 0, 1), ("FLUSHDB",), ("FLUSHALL",))))
                elif roll == 12:
                    client.ask("MOVE", key, dice.randrange(2))
                if step % 100 == 40:
                    self.assertEqual(client.ask("SAVE"), b"+OK\r\n")
                if step % 100 == 70:
                    client.close()
                    server.kill()
                    server.start()
                    client = server.connect()
                if step % 10 == 0:
                    moments.append((at_lsn(client), content(client, (0, 1))))
            for lsn, then in dice.sample(moments, 12):
                told = restore(client, "MATCH", "*", "LSN", lsn, "ALLDBS", "DELETE-NEW", "TTL", "keep")
                self.assertEqual(told[b"lsn"], lsn.encode())
                self.assertEqual(content(client, (0, 1)), then, (seed, lsn))
                again = restore(client, "MATCH", "*", "LSN", lsn, "ALLDBS", "DELETE-NEW", "TTL", "keep")
                self.assertEqual([again[name] for name in (b"deleted", b"due")], [0, 0])
            # It is in the log like anything else.
            client.close()
            server.kill()
            server.start()
            with server.connect() as client:
                self.assertEqual(content(client, (0, 1)), then, (seed, lsn))

    def test_a_large_one_goes_on_without_its_client_and_can_be_cancelled(self):
        with harness.firnlog("--threads", 2, "--flush-undo", 0) as server, \
                server.connect() as client:
            for begin in range(0, 200_000, 5000):
                client.pipeline([("SET", "k%d" % i, "v%d" % i) for i in range(begin, begin + 5000)])
            client.ask("FIRN", "MARK", "m")
            client.ask("FLUSHALL")

            def told():
                return maps(client.value("FIRN", "RESTORE", "STATUS"))

            self.assertEqual(told()[b"state"], b"none")
            asker = server.connect()
            asker.send("FIRN", "RESTORE", "MATCH", "*", "MARK", "m")
            # All of it takes a fraction of a second: asked for without a pause.
            until = time.monotonic() + 30
            while told()[b"restored"] == 0 and time.monotonic() < until:
                pass
            self.assertEqual(client.ask("FIRN", "RESTORE", "CANCEL"), b"+OK\r\n")
            self.assertEqual(asker.reply(), b"-ERR the restore was cancelled\r\n")
            self.assertTrue(harness.eventually(lambda: told()[b"state"] == b"cancelled"))
            restored = client.value("DBSIZE")
            self.assertGreater(restored, 0)
            self.assertLess(restored, 200_000)
            asker.send("FIRN", "RESTORE", "MATCH", "*", "MARK", "m")
            while told()[b"state"] != b"running" and time.monotonic() < until:
                pass
            self.assertIn(b"restore_state:running", client.value("INFO", "persistence"))
            asker.close()
            self.assertTrue(harness.eventually(lambda: told()[b"state"] == b"done", 60))
            state = told()
            self.assertEqual((state[b"keys_all"], state[b"keys_seen"]), (200_000, 200_000))
            self.assertEqual(state[b"restored"] + state[b"unchanged"], 200_000)
            # What the first one has put back are new records of the same value.
            self.assertGreater(state[b"unchanged"], 0)
            self.assertEqual(client.value("DBSIZE"), 200_000)
            self.assertEqual(client.value("GET", "k77777"), b"v77777")

    def test_a_server_that_stops_meanwhile_stops(self):
        with harness.firnlog("--flush-undo", 0) as server, server.connect() as client:
            for begin in range(0, 100_000, 5000):
                client.pipeline([("SET", "k%d" % i, "v%d" % i) for i in range(begin, begin + 5000)])
            client.ask("FIRN", "MARK", "m")
            client.ask("FLUSHALL")
            with server.connect() as asker:
                asker.send("FIRN", "RESTORE", "MATCH", "*", "MARK", "m")
                time.sleep(0.1)
                asked = time.monotonic()
                self.assertEqual(server.stop(), 0)
                self.assertLess(time.monotonic() - asked, 20)
            server.start()
            restore(again := server.connect(), "MATCH", "*", "MARK", "m")
            self.assertEqual(again.value("DBSIZE"), 100_000)
            again.close()

    def test_writes_that_are_paused_pause_it_too(self):
        with harness.firnlog() as server, server.connect() as client, server.connect() as asker:
            client.ask("SET", "k", "old")
            client.ask("FIRN", "MARK", "m")
            client.ask("SET", "k", "new")
            asker.send("FIRN", "RESTORE", "MATCH", "*", "MARK", "m")
            asker.reply()
            client.ask("SET", "k", "new")
            client.ask("CLIENT", "PAUSE", 1500, "WRITE")
            asker.send("FIRN", "RESTORE", "KEY", "k", "MARK", "m")
            self.assertTrue(asker.silent(0.5))
            self.assertEqual(client.value("GET", "k"), b"new")
            client.ask("CLIENT", "UNPAUSE")
            self.assertEqual(maps(harness.parse(asker.reply()))[b"result"], b"restored")


class Flush(unittest.TestCase):
    """What a flush took is parked for a while, and to take it back is one effect."""

    def setUp(self):
        self.server = harness.firnlog("--save", "", "--threads", 2,
                                      "--enable-debug-command", "yes")
        self.addCleanup(self.server.close)
        self.client = self.server.connect()
        self.addCleanup(lambda: self.client.close())
        for database, prefix in ((0, "a"), (1, "b"), (7, "c")):
            self.client.ask("SELECT", database)
            fill(self.client)
            self.client.pipeline([("SET", "%s%d" % (prefix, i), i) for i in range(3000)])
        self.client.ask("SELECT", 0)
        self.keys = 3 * 3006
        self.before = self.all()

    def all(self):
        return content(self.client, (0, 1, 2, 7))

    def parked(self):
        return int(harness.info(self.client)["parked_keys"])

    def tail(self):
        return int(at_lsn(self.client).split(":")[1])

    def flush(self, *command):
        """The lsn that the log tells of it: of its first line."""
        self.assertEqual(self.client.ask(*command), b"+OK\r\n")
        return lines(self.client, "LOG", "KIND", "flush")[-1][b"lsn"].decode()

    def take_back(self, lsn, *options):
        began = self.tail()
        told = restore(self.client, "MATCH", "*", "LSN", lsn, *options)
        return told, self.tail() - began

    def test_it_is_taken_back_whole_by_a_few_bytes_of_log_and_undone_likewise(self):
        self.client.ask("FIRN", "MARK", "m")
        self.flush("FLUSHALL")
        self.assertEqual((self.all(), self.parked()), ({}, self.keys))
        moment = lines(self.client, "LOG", "KIND", "flush")[0][b"lsn"].decode()
        told, log = self.take_back(moment, "ALLDBS", "TTL", "keep")
        self.assertEqual([told[name] for name in RESULTS], [self.keys, 0, 0, 0, 0, 0])
        self.assertLess(log, 1000)
        self.assertEqual((self.all(), self.parked()), (self.before, 0))
        self.assertEqual([line[b"kind"] for line in lines(self.client, "LOG", "KIND", "unflush")],
                         [b"unflush"] * 3)
        # That was the accident.
        told, log = self.take_back(told[b"undo"].decode(), "ALLDBS", "DELETE-NEW")
        self.assertEqual(self.all(), {})
        # A mark says the same moment.
        told = restore(self.client, "MATCH", "*", "MARK", "m", "ALLDBS", "TTL", "keep")
        self.assertEqual(self.all(), self.before)
        for _ in range(2):
            self.client.close()
            self.server.kill()
            self.server.start()
            self.client = self.server.connect()
            self.assertEqual(self.all(), self.before)
            self.assertEqual(self.client.ask("SAVE"), b"+OK\r\n")

    def test_what_was_written_since_stays_where_it_is_not_in_the_way(self):
        moment = self.flush("FLUSHALL")
        self.client.pipeline([("SET", "a1", "new"), ("SET", "new", "1", "EX", 5000),
                              ("HSET", "new hash", "f", "v")])
        self.client.ask("SELECT", 2)
        self.client.ask("SET", "elsewhere", "1")
        self.client.ask("SELECT", 0)
        since = self.all()
        told, log = self.take_back(moment, "ALLDBS", "TTL", "keep")
        self.assertLess(log, 2000)
        self.assertEqual(told[b"restored"], self.keys)
        kept = {name: what for name, what in since.items() if name[1] != b"a1"}
        self.assertEqual(len(kept), 3)
        self.assertEqual(self.all(), {**kept, **self.before})
        # The moment before that has the other one.
        told, log = self.take_back(told[b"undo"].decode(), "ALLDBS", "DELETE-NEW", "TTL", "keep")
        self.assertEqual(self.all(), since)
        told, log = self.take_back(moment, "ALLDBS", "DELETE-NEW", "TTL", "keep")
        self.assertEqual(self.all(), self.before)

    def test_so_it_is_when_that_is_more_than_can_be_copied_at_once(self):
        moment = self.flush("FLUSHALL")
        self.client.pipeline([("SET", "new%d" % i, "1") for i in range(6000)])
        since = self.all()
        told, log = self.take_back(moment, "ALLDBS", "TTL", "keep")
        self.assertEqual(told[b"restored"], self.keys)
        self.assertEqual(self.all(), {**since, **self.before})

    def test_a_moment_before_the_flush_is_not_taken_for_the_flush(self):
        moment = at_lsn(self.client)
        self.client.pipeline([("DEL", "a1"), ("SET", "a2", "later"), ("SET", "late", "1")])
        self.flush("FLUSHALL")
        told, log = self.take_back(moment, "ALLDBS", "TTL", "keep", "DELETE-NEW")
        self.assertEqual(self.all(), self.before)

    def test_nor_is_what_the_same_transaction_wrote_before_it(self):
        moment = at_lsn(self.client)
        self.client.pipeline([("MULTI",), ("SET", "a1", "later"), ("FLUSHALL",), ("EXEC",)])
        told, log = self.take_back(moment, "ALLDBS", "TTL", "keep", "DELETE-NEW")
        self.assertEqual(self.all(), self.before)

    def test_a_key_has_as_long_to_live_as_it_had(self):
        then = self.client.value("PEXPIRETIME", "brief")
        moment = self.flush("FLUSHALL")
        time.sleep(0.5)
        told, log = self.take_back(moment, "ALLDBS")
        self.assertGreaterEqual(self.client.value("PEXPIRETIME", "brief"), then + 500)
        self.assertEqual({name: what[:2] for name, what in self.all().items()},
                         {name: what[:2] for name, what in self.before.items()})

    def test_one_database_of_a_flush_alone(self):
        moment = self.flush("FLUSHALL")
        self.take_back(moment, "TTL", "keep")
        self.assertEqual(self.all(), {name: what for name, what in self.before.items()
                                      if name[0] == 0})
        self.client.ask("FLUSHDB")
        self.take_back(moment, "ALLDBS", "TTL", "keep")
        self.assertEqual(self.all(), self.before)

    def test_databases_that_were_swapped_since(self):
        moment = self.flush("FLUSHDB")
        self.client.ask("SWAPDB", 0, 1)
        told, log = self.take_back(moment, "ALLDBS", "DELETE-NEW", "TTL", "keep")
        self.assertEqual(self.all(), self.before)

    def test_it_goes_with_its_time_and_with_a_start_and_the_log_has_it_still(self):
        moment = self.flush("FLUSHALL")
        self.client.ask("CONFIG", "SET", "flush-undo", 1)
        self.client.ask("SET", "k", "v")
        self.client.ask("FLUSHALL")
        self.assertEqual(self.parked(), self.keys + 1)
        self.assertTrue(harness.eventually(lambda: self.parked() == self.keys))
        self.client.close()
        self.server.kill()
        self.server.start()
        self.client = self.server.connect()
        self.assertTrue(harness.eventually(lambda: self.parked() == 0))
        told, log = self.take_back(moment, "ALLDBS", "TTL", "keep")
        self.assertEqual(told[b"restored"], self.keys)
        self.assertGreater(log, 50_000)
        self.assertEqual(self.all(), self.before)
        # Where it is not wanted, nothing is parked.
        self.client.ask("CONFIG", "SET", "flush-undo", 0)
        self.client.ask("FLUSHALL")
        self.assertEqual(self.parked(), 0)

    def test_no_client_sees_what_is_parked(self):
        digest = self.client.value("FIRN", "DIGEST")
        moment = self.flush("FLUSHALL")
        self.assertEqual(self.client.ask("SELECT", 65472)[:1], b"-")
        self.assertEqual(self.client.value("DBSIZE"), 0)
        self.assertNotIn(b"keys=", self.client.value("INFO", "keyspace"))
        self.assertEqual(self.client.value("DEBUG", "DIGEST"), b"0" * 40)
        self.assertEqual(self.client.ask("SAVE"), b"+OK\r\n")
        self.take_back(moment, "ALLDBS", "TTL", "keep")
        self.assertEqual(self.client.value("FIRN", "DIGEST"), digest)


@unittest.skipIf(redis is None, "python3-redis is not installed")
class Accident(unittest.TestCase):
    """The worst day of the year: one command, while clients go on."""

    KEYS = 20_000

    def setUp(self):
        self.server = harness.firnlog("--threads", 2)
        self.addCleanup(self.server.close)
        self.client = self.connect()
        pipe = self.client.pipeline(transaction=False)
        for i in range(self.KEYS):
            if i % 10 == 0:
                pipe.hset("user:%d" % i, mapping={"name": "n%d" % i, "visits": i})
            elif i % 10 == 1:
                pipe.set("user:%d" % i, "session %d" % i, ex=86_400)
            else:
                pipe.set("user:%d" % i, "value %d" % i)
        pipe.execute()
        self.before = self.state()

    def connect(self):
        client = redis.Redis(port=self.server.port)
        self.addCleanup(client.close)
        return client

    def state(self):
        """All keys of the users, each with its value and whether it expires."""
        keys = sorted(self.client.scan_iter("user:*", count=1000))
        pipe = self.client.pipeline(transaction=False)
        for key in keys:
            if int(key[5:]) % 10 == 0:
                pipe.hgetall(key)
            else:
                pipe.get(key)
            pipe.ttl(key)
        told = pipe.execute()
        return [(key, value, ttl > 0) for key, value, ttl in zip(keys, told[::2], told[1::2])]

    def clients_go_on(self):
        """Two of them, until stop() is called, which tells how many answers they had."""
        over = threading.Event()
        answers = [0, 0]
        failures = []

        def live(number):
            client = self.connect()
            try:
                while not over.is_set():
                    client.set("counter:%d" % number, answers[number])
                    client.exists("user:%d" % (answers[number] % self.KEYS))
                    answers[number] += 1
            except redis.RedisError as error:
                failures.append(error)

        threads = [threading.Thread(target=live, args=(number,)) for number in (0, 1)]
        for thread in threads:
            thread.start()

        def stop():
            over.set()
            for thread in threads:
                thread.join()
            self.assertEqual(failures, [])
            # What they have written meanwhile is there.
            for number in (0, 1):
                self.assertGreater(answers[number], 0)
                self.assertEqual(int(self.client.get("counter:%d" % number)), answers[number] - 1)

        return stop

    def test_a_wrong_flushall_is_undone_by_one_command(self):
        stop = self.clients_go_on()
        time.sleep(0.1)
        self.client.flushall()
        time.sleep(0.1)
        (flush,) = maps(self.client.execute_command("FIRN", "LOG", "KIND", "flush"))[b"lines"]
        told = maps(self.client.execute_command(
            "FIRN", "RESTORE", "MATCH", "user:*", "LSN", maps(flush)[b"lsn"]))
        stop()
        self.assertEqual((told[b"restored"], told[b"damaged"]), (self.KEYS, 0))
        self.assertTrue(self.state() == self.before)

    def test_so_it_is_with_all_that_is_parked(self):
        stop = self.clients_go_on()
        time.sleep(0.1)
        self.client.flushall()
        time.sleep(0.1)
        (flush,) = maps(self.client.execute_command("FIRN", "LOG", "KIND", "flush"))[b"lines"]
        told = maps(self.client.execute_command(
            "FIRN", "RESTORE", "MATCH", "*", "LSN", maps(flush)[b"lsn"], "TTL", "keep"))
        time.sleep(0.1)
        stop()
        self.assertGreaterEqual(told[b"restored"], self.KEYS)
        self.assertTrue(self.state() == self.before)

    def test_a_script_that_deleted_half_of_the_keys_is_undone_by_one_command(self):
        stop = self.clients_go_on()
        time.sleep(0.01)
        moment = "@%.6f" % time.time()
        time.sleep(0.01)
        for i in range(0, self.KEYS, 2):
            self.client.delete("user:%d" % i)
        told = maps(self.client.execute_command("FIRN", "RESTORE", "MATCH", "user:*", "AT", moment))
        stop()
        self.assertEqual((told[b"restored"], told[b"unchanged"]), (self.KEYS // 2, self.KEYS // 2))
        self.assertTrue(self.state() == self.before)


if __name__ == "__main__":
    unittest.main()
