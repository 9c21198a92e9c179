"""FIRN ASOF: a connection goes into the past, and every read answers as of then."""

# e2e: measures no time

import os
import random
import time
import unittest

import harness
from test_online_past import maps
from test_undo import at_lsn, content, fill

READONLY = (b"-READONLY this connection is in the past, where nothing changes: "
            b"FIRN ASOF OFF leaves it\r\n")


def told(client, *fields):
    info = dict(line.split(b":", 1) for line in client.value("INFO", "persistence").split(b"\r\n")
                if b":" in line)
    return [int(info[field]) for field in fields]


class Asof(unittest.TestCase):
    def test_every_read_answers_as_of_then(self):
        """Each reading command there is, before what happened and then again in the past."""
        reads = (
            ("GET", "s"), ("MGET", "s", "same", "none"), ("STRLEN", "big"), ("GETRANGE", "big", 199_990, -1),
            ("HGETALL", "h"), ("HGET", "h", "f"), ("HMGET", "h", "f", "x"), ("HLEN", "wide"),
            ("HEXISTS", "h", "g"), ("HKEYS", "h"), ("HVALS", "h"), ("HSTRLEN", "h", "f"),
            ("HSCAN", "h", 0), ("HSCAN", "wide", 0, "COUNT", 5000), ("EXISTS", "s", "h", "none"),
            ("TYPE", "h"), ("TYPE", "s"), ("DBSIZE",), ("EXPIRETIME", "brief"), ("PEXPIRETIME", "s"),
            ("KEYS", "*"), ("SCAN", 0, "COUNT", 1000), ("OBJECT", "ENCODING", "wide"), ("BITCOUNT", "s"),
            ("GETBIT", "s", 3), ("BITPOS", "s", 1), ("LCS", "s", "same"), ("SUBSTR", "s", 0, 1),
            ("FIRN", "DIGEST"), ("HGET", "s", "f"), ("GET", "h"), ("TOUCH", "s", "h"),
        )
        with harness.firnlog("--threads", 2) as server:
            with server.connect() as client, server.connect() as past:
                fill(client)
                before = [client.ask(*read) for read in reads]
                moment = at_lsn(client)
                place = maps(past.value("FIRN", "ASOF", "LSN", moment))
                self.assertEqual(place[b"lsn"], moment.encode())
                client.ask("FLUSHALL")
                fill(client)
                client.ask("SET", "s", "other")
                client.ask("HDEL", "h", "f")
                client.ask("DEL", "brief")
                client.ask("SET", "new", "1")
                self.assertEqual([past.ask(*read) for read in reads], before)
                # In one go, and within a transaction.
                self.assertEqual(past.pipeline(reads), before)
                replies = past.pipeline([("MULTI",)] + [read for read in reads] + [("EXEC",)])
                self.assertEqual(replies[-1], b"*%d\r\n" % len(reads) + b"".join(before))
                self.assertNotEqual([client.ask(*read) for read in reads], before)
                self.assertEqual(past.ask("FIRN", "ASOF", "OFF"), b"+OK\r\n")
                self.assertEqual(past.value("GET", "new"), b"1")

    def test_any_moment_is_what_it_was(self):
        seed = int(os.environ.get("FIRNLOG_SEED") or random.randrange(1 << 32))
        print("report: firn asof: seed %d" % seed)
        dice = random.Random(seed)
        with harness.firnlog("--save", "") as server:
            client = server.connect()
            moments = []
            for step in range(200):
                key, other = dice.sample(["a", "b", "c", "d"], 2)
                client.ask(*dice.choice((
                    ("SET", key, step), ("DEL", key), ("HSET", key, "f%d" % (step % 5), step),
                    ("SETRANGE", key, 70_000, step), ("RENAME", key, other), ("SWAPDB", 0, 1),
                    ("SELECT", step % 2), ("FLUSHDB",) if step % 5 == 0 else ("GET", key),
                    ("PEXPIRE", key, 500_000), ("COPY", key, other, "REPLACE"))))
                if step % 90 == 40:
                    self.assertEqual(client.ask("SAVE"), b"+OK\r\n")
                if step % 90 == 70:
                    client.close()
                    server.kill()
                    server.start()
                    client = server.connect()
                if step % 5 == 0:
                    moments.append((at_lsn(client), client.value("FIRN", "DIGEST"), content(client, (0, 1))))
            for lsn, digest, then in dice.sample(moments, 12):
                with server.connect() as past:
                    self.assertEqual(maps(past.value("FIRN", "ASOF", "LSN", lsn))[b"lsn"], lsn.encode())
                    self.assertEqual(past.value("FIRN", "DIGEST"), digest, (seed, lsn))
                    self.assertEqual(content(past, (0, 1)), then, (seed, lsn))
            client.close()

    def test_time_stands_still_there(self):
        with harness.firnlog() as server, server.connect() as client, server.connect() as past:
            client.ask("SET", "k", "v", "PX", 400)
            client.ask("FIRN", "MARK", "alive")
            time.sleep(0.5)
            client.ask("FIRN", "MARK", "due")
            self.assertIsNone(client.value("GET", "k"))
            past.value("FIRN", "ASOF", "MARK", "alive")
            left = past.value("PTTL", "k")
            self.assertGreater(left, 0)
            time.sleep(0.01)
            self.assertEqual((past.value("GET", "k"), past.value("PTTL", "k")), (b"v", left))
            # From one moment to another.
            past.value("FIRN", "ASOF", "MARK", "due")
            self.assertIsNone(past.value("GET", "k"))

    def test_writes_are_refused(self):
        with harness.firnlog() as server, server.connect() as client, server.connect() as past:
            client.ask("SET", "k", "v")
            past.value("FIRN", "ASOF", "AT", "-0s")
            tail = at_lsn(client)
            for command in (("SET", "k", "w"), ("DEL", "k"), ("HSET", "h", "f", "v"), ("EXPIRE", "k", 1),
                            ("FLUSHALL",), ("SWAPDB", 0, 1), ("FIRN", "MARK", "m"), ("GETDEL", "k"),
                            ("FIRN", "RESTORE", "KEY", "k", "-0s"), ("RENAME", "k", "l")):
                self.assertEqual(past.ask(*command), READONLY, command)
            past.ask("MULTI")
            self.assertEqual(past.ask("SET", "k", "w"), READONLY)
            self.assertTrue(past.ask("EXEC").startswith(b"-EXECABORT"))
            self.assertEqual(at_lsn(client), tail)

    def test_a_watch_has_nothing_to_see_there(self):
        with harness.firnlog() as server, server.connect() as client, server.connect() as past:
            client.ask("SET", "k", "v")
            past.ask("WATCH", "k")
            past.value("FIRN", "ASOF", "AT", "-0s")
            self.assertEqual(past.ask("WATCH", "k"), b"+OK\r\n")
            client.ask("SET", "k", "w")
            replies = past.pipeline([("MULTI",), ("GET", "k"), ("EXEC",)])
            self.assertEqual(replies[-1], b"*1\r\n$1\r\nv\r\n")
            past.ask("FIRN", "ASOF", "OFF")
            past.ask("WATCH", "k")
            client.ask("SET", "k", "x")
            self.assertEqual(past.pipeline([("MULTI",), ("GET", "k"), ("EXEC",)])[-1], b"*-1\r\n")

    def test_client_list_shows_it_and_reset_ends_it(self):
        with harness.firnlog() as server, server.connect() as client, server.connect() as past:
            client.ask("SET", "k", "old")
            moment = at_lsn(client)
            client.ask("SET", "k", "new")
            past.value("FIRN", "ASOF", "LSN", moment)
            self.assertEqual(client.value("CLIENT", "LIST").count(b" asof=" + moment.encode()), 1)
            self.assertEqual(told(client, b"pasts_open", b"pasts_connections"), [1, 1])
            history = harness.info(client, "history")
            self.assertEqual((history["history_pins"], history["history_pinned_by"]), ("1", "moments"))
            self.assertEqual(past.ask("RESET"), b"+RESET\r\n")
            self.assertEqual(past.value("GET", "k"), b"new")
            self.assertNotIn(b" asof=", client.value("CLIENT", "LIST"))
            self.assertEqual(told(client, b"pasts_connections"), [0])

    def test_a_password_is_asked_for_there_too(self):
        with harness.firnlog("--requirepass", "secret") as server, server.connect() as past:
            self.assertTrue(past.ask("FIRN", "ASOF", "-0s").startswith(b"-NOAUTH"))
            past.ask("AUTH", "secret")
            past.ask("SET", "k", "v")
            past.value("FIRN", "ASOF", "-0s")
            self.assertEqual(past.value("GET", "k"), b"v")

    def test_what_cannot_be_is_refused_in_words_and_leaves_the_connection_where_it_is(self):
        with harness.firnlog() as server, server.connect() as client:
            client.ask("SET", "k", "v")
            for arguments, why in (
                ((), b"-ERR wrong number of arguments for 'firn|asof' command"),
                (("noon",), b"-ERR a time is like"),
                (("AT",), b"-ERR a moment's value is missing"),
                (("AT", "-0s", "x"), b"-ERR syntax error"),
                (("MARK", "none"), b"-ERR the log has no mark of that name"),
                (("LSN", "99999999999"), b"-ERR "),
            ):
                reply = client.ask("FIRN", "ASOF", *arguments)
                self.assertTrue(reply.startswith(why), (arguments, reply))
            self.assertEqual(client.ask("FIRN", "ASOF", "OFF"), b"+OK\r\n")
            self.assertEqual(client.ask("SET", "k", "w"), b"+OK\r\n")
            with harness.firnlog("--from", server.folder, "--readonly") as then:
                self.assertTrue(then.ask("FIRN", "ASOF", "-0s").startswith(
                    b"-ERR the past is read where its store is served"))


class Shared(unittest.TestCase):
    """Moments are few, and shared."""

    def test_who_asks_for_the_same_moment_shares_it(self):
        with harness.firnlog("--threads", 2) as server, server.connect() as client:
            client.ask("SET", "k", "old")
            moment = at_lsn(client)
            client.ask("FIRN", "MARK", "m")
            client.ask("SET", "k", "new")
            readers = [server.connect() for _ in range(20)]
            for reader in readers:
                reader.value("FIRN", "ASOF", "LSN", moment)
            self.assertEqual(client.value("FIRN", "GET", "k", "LSN", moment), b"old")
            self.assertEqual([reader.value("GET", "k") for reader in readers], [b"old"] * 20)
            self.assertEqual(told(client, b"pasts_open", b"pasts_connections"), [1, 20])
            for reader in readers:
                reader.close()
            self.assertTrue(harness.eventually(lambda: told(client, b"pasts_connections") == [0]))

    def test_more_than_four_at_a_time_are_refused_until_one_is_left(self):
        with harness.firnlog() as server, server.connect() as client:
            moments = []
            for i in range(6):
                client.ask("SET", "k", i)
                moments.append(at_lsn(client))
            # Those that nobody is in give way.
            for moment in moments:
                client.value("FIRN", "RESTORE", "MATCH", "k", "LSN", moment, "DRYRUN")
            self.assertEqual(told(client, b"pasts_open"), [4])
            readers = [server.connect() for _ in range(5)]
            for reader, moment in zip(readers[:4], moments):
                reader.value("FIRN", "ASOF", "LSN", moment)
            self.assertTrue(readers[4].ask("FIRN", "ASOF", "LSN", moments[4]).startswith(
                b"-ERR too many moments of the past are read now"))
            self.assertEqual(readers[4].value("GET", "k"), b"5")
            self.assertEqual(client.value("FIRN", "GET", "k", "LSN", moments[4]), b"4")
            readers[0].ask("FIRN", "ASOF", "OFF")
            readers[4].value("FIRN", "ASOF", "LSN", moments[4])
            self.assertEqual(readers[4].value("GET", "k"), b"4")
            for reader in readers:
                reader.close()

    def test_the_bound_on_the_past_outranks_who_is_there(self):
        with harness.firnlog("--retain-bytes", "4mb", "--save", "", "--segment-bytes-max", "4mb") as server:
            with server.connect() as client, server.connect() as past, server.connect() as within:
                client.ask("SET", "k", "old")
                moment = at_lsn(client)
                for reader in (past, within):
                    reader.value("FIRN", "ASOF", "LSN", moment)
                    self.assertEqual(reader.value("GET", "k"), b"old")
                within.ask("MULTI")
                within.ask("GET", "k")

                def gone():
                    client.pipeline([("SET", "k%d" % i, "v" * 1000) for i in range(4000)])
                    client.ask("SAVE")
                    return told(client, b"pasts_gone") == [1]

                self.assertTrue(harness.eventually(gone, 60))
                self.assertTrue(harness.eventually(lambda: past.ask("GET", "k").startswith(b"-ASOFGONE"), 20))
                # Not a word of the present while it believes to be in the past.
                for command in (("SET", "k", "x"), ("DBSIZE",), ("FIRN", "DIGEST"), ("MULTI",)):
                    self.assertTrue(past.ask(*command).startswith(b"-ASOFGONE"), command)
                self.assertTrue(within.ask("EXEC").startswith(b"-EXECABORT"))
                self.assertEqual(past.ask("PING"), b"+PONG\r\n")
                self.assertEqual(past.ask("FIRN", "ASOF", "OFF"), b"+OK\r\n")
                self.assertEqual(past.value("GET", "k"), b"old")
                self.assertTrue(harness.eventually(lambda: told(client, b"pasts_open") == [0], 20))

    def test_a_server_stops_with_connections_in_the_past(self):
        with harness.firnlog("--threads", 2) as server:
            readers = [server.connect() for _ in range(8)]
            for i, reader in enumerate(readers):
                reader.ask("SET", "k", i)
                reader.ask("FIRN", "ASOF", "-0s")
            self.assertEqual(server.stop(), 0)
            for reader in readers:
                reader.close()


if __name__ == "__main__":
    unittest.main()
