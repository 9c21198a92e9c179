"""FIRN LOG, FIRN HISTORY, FIRN GET: the past is read on the server that serves the store."""

import random
import socket
import threading
import time
import unittest

import harness
import test_log


def maps(reply):
    """Pairs of a RESP2 map."""
    return dict(zip(reply[::2], reply[1::2]))


def listed(client, *args):
    reply = client.value("FIRN", *args)
    assert isinstance(reply, list), reply
    told = maps(reply)
    assert list(told) == [b"left_out", b"lines"], told
    return [maps(line) for line in told[b"lines"]], told[b"left_out"]


def lines(client, *args):
    return listed(client, *args)[0]


def live_a_little(client):
    """Something of each kind."""
    for command in (
        ("SET", "a", "12345"), ("EXPIRE", "a", "1000"), ("PERSIST", "a"),
        ("HSET", "h", "f", "vv"), ("HDEL", "h", "f"), ("SETRANGE", "big", "100000", "x"),
        ("RENAME", "a", "b"), ("FIRN", "MARK", "here \"it\" is"), ("SELECT", "3"),
        ("SET", "k\n", ""), ("DEL", "k\n"), ("SWAPDB", "3", "4"), ("SET", "x", "1", "EX", "9"),
        ("FLUSHDB",), ("SELECT", "0"),
    ):
        assert not client.ask(*command).startswith(b"-"), command


class Log(unittest.TestCase):
    def test_it_tells_what_firnlog_log_tells(self):
        with harness.firnlog("--threads", 2) as server, server.connect() as client:
            live_a_little(client)
            for online, offline in (
                ((), ()),
                (("KIND", "DEL"), ("--kind", "del")),
                (("MATCH", "?"), ("--match", "?")),
                (("COUNT", 2), ("--count", 2)),
                (("SINCE", "MARK", "here \"it\" is"), ("--since", "mark here \"it\" is")),
                (("UNTIL", "mark", "here \"it\" is", "COUNT", 3),
                 ("--until", "mark here \"it\" is", "--count", 3)),
                (("UNTIL", "AT", "-0s"), ("--until", "-0s")),
                (("UNTIL", "-0s"), ()),
            ):
                theirs = test_log.lines_of(test_log.run("log", server.folder, *offline))
                ours = lines(client, "LOG", *online)
                self.assertEqual(len(ours), len(theirs), online)
                self.assertGreater(len(ours), 0)
                for line, (lsn, database, kind, _) in zip(ours, theirs):
                    self.assertEqual(line[b"lsn"].decode(), lsn)
                    self.assertEqual(line[b"kind"].decode(), kind)
                    self.assertEqual(None if line[b"db"] is None else str(line[b"db"]), database)
            field = lines(client, "LOG", "KIND", "field")[0]
            self.assertEqual((field[b"key"], field[b"field"], field[b"bytes"]), (b"h", b"f", 2))
            self.assertRegex(lines(client, "LOG", "MATCH", "x")[0][b"expires"], rb"^20\d\d-.*Z$")
            self.assertIsNone(lines(client, "LOG", "KIND", "flush")[0][b"key"])

    def test_what_the_same_connection_has_sent_before_is_in_it(self):
        for policy in ("always", "everysec", "no"):
            with harness.firnlog("--appendfsync", policy) as server, server.connect() as client:
                for i in range(20):
                    replies = client.pipeline([("SET", "k", i), ("FIRN", "LOG", "COUNT", 1),
                                               ("GET", "k")])
                    told = maps(harness.parse(replies[1]))
                    self.assertEqual(told[b"left_out"], i)
                    self.assertEqual(maps(told[b"lines"][0])[b"key"], b"k")
                    self.assertEqual(harness.parse(replies[2]), str(i).encode())

    def test_a_batch_is_before_and_after_as_a_whole(self):
        with harness.firnlog() as server, server.connect() as client:
            client.ask("SET", "first", "1")
            client.pipeline([("MULTI",), ("SET", "a", 1), ("SET", "b", 1), ("EXEC",)])
            client.ask("SET", "last", "1")
            first, a, b, last = lines(client, "LOG")
            self.assertEqual(a[b"after"], b[b"after"])
            for line in (first, a, b, last):
                number = [int(line[name].split(b":")[1]) for name in (b"lsn", b"after")]
                self.assertLess(*number)
            # As moments: with it, and without it.
            self.assertEqual([line[b"key"] for line in lines(client, "LOG", "UNTIL", "LSN", a[b"after"])],
                             [b"first", b"a", b"b"])
            self.assertEqual([line[b"key"] for line in lines(client, "LOG", "UNTIL", "LSN", b[b"lsn"])],
                             [b"first"])
            self.assertEqual([line[b"key"] for line in lines(client, "LOG", "SINCE", "LSN", b[b"after"])],
                             [b"last"])

    def test_a_reply_is_bounded(self):
        with harness.firnlog() as server, server.connect() as client:
            client.pipeline([("SET", "k%d" % i, "v") for i in range(300)])
            newest, left_out = listed(client, "LOG")
            self.assertEqual((len(newest), left_out), (100, 200))
            self.assertEqual(newest[-1][b"key"], b"k299")
            # 60 000 bytes a key: no more than 8 MiB of them, whatever COUNT says.
            client.pipeline([("SET", "%060000d" % i, "v") for i in range(200)])
            newest, left_out = listed(client, "LOG", "COUNT", 10000)
            self.assertEqual(len(newest), (8 << 20) // 60000)
            self.assertEqual(len(newest) + left_out, 500)

    def test_a_time_before_the_oldest_moment_means_all_that_is_left(self):
        # No history: the log of before the last two checkpoints is given back.
        with harness.firnlog("--retain", "0", "--save", "", "--segment-bytes-max", "4mb",
                             "--appendfsync", "everysec") as server, server.connect() as client:
            client.ask("SET", "first", "1")
            oldest = lambda: int(harness.info(client, "history")["history_oldest_lsn"])
            lsn = oldest()

            def cut():
                client.pipeline([("SET", "k%d" % (i % 50), "v" * 1000) for i in range(5000)])
                return client.ask("SAVE") == b"+OK\r\n" and oldest() > lsn

            self.assertTrue(harness.eventually(cut, 60))
            told = client.value("FIRN", "LOG", "SINCE", "-1h", "COUNT", 3)
            self.assertEqual(told[::2], [b"left_out", b"begins", b"lines"])
            self.assertTrue(told[3].startswith(b"lsn 1:%d, " % oldest()), told[3])
            self.assertEqual(len(told[5]), 3)
            self.assertGreater(told[1], 0)
            for since in (("LSN", lsn), ("BEFORE", "-2h")):
                self.assertEqual(client.value("FIRN", "LOG", "SINCE", *since, "COUNT", 3), told)
            within = client.value("FIRN", "LOG", "SINCE", "-0s")
            self.assertEqual(within, [b"left_out", 0, b"lines", []])
            # Nothing is opened there, all the same.
            self.assertTrue(client.ask("FIRN", "GET", "first", "-1h").startswith(b"-ERR "))

    def test_what_cannot_be_is_refused_in_words(self):
        with harness.firnlog() as server, server.connect() as client:
            for arguments, why in (
                (("LOG", "KIND", "murder"), b"-ERR KIND is one of set"),
                (("LOG", "COUNT", "0"), b"-ERR COUNT is a number"),
                (("LOG", "COUNT", "10001"), b"-ERR COUNT is a number"),
                (("LOG", "SINCE"), b"-ERR syntax error"),
                (("LOG", "WHEN", "x"), b"-ERR syntax error"),
                (("LOG", "SINCE", "noon"), b"-ERR a time is like"),
                (("LOG", "UNTIL", "MARK"), b"-ERR a moment's value is missing"),
                (("LOG", "UNTIL", "MARK", "none"), b"-ERR the log has no mark of that name"),
                (("HISTORY", "k", "COUNT"), b"-ERR syntax error"),
                (("HISTORY", "k", "COUNT", "x"), b"-ERR COUNT is a number"),
                (("HISTORY",), b"-ERR wrong number of arguments for 'firn|history' command"),
            ):
                self.assertTrue(client.ask("FIRN", *arguments).startswith(why), arguments)
            client.ask("MULTI")
            self.assertEqual(client.ask("FIRN", "LOG"),
                             b"-ERR Command not allowed inside a transaction\r\n")
            client.ask("DISCARD")
            self.assertTrue(client.ask("FIRN", "DURABLE", "no", "FIRN", "LOG").startswith(b"-ERR "))
            with harness.firnlog("--from", server.folder, "--readonly") as then:
                with then.connect() as reader:
                    self.assertTrue(reader.ask("FIRN", "LOG").startswith(
                        b"-ERR the past is read where its store is served"))


class History(unittest.TestCase):
    def kinds(self, client, key, *options):
        return [line[b"kind"].decode() for line in lines(client, "HISTORY", key, *options)]

    def test_each_change_of_a_key_and_nothing_of_others(self):
        with harness.firnlog() as server, server.connect() as client:
            live_a_little(client)
            client.pipeline([("SET", "aa", "1"), ("HSET", "h2", "f", "v"), ("SET", "A", "1")])
            self.assertEqual(self.kinds(client, "a"), ["set", "expire", "persist", "del"])
            self.assertEqual(self.kinds(client, "b"), ["set"])
            self.assertEqual(self.kinds(client, "h"), ["bind", "field", "fielddel", "del"])
            self.assertEqual(self.kinds(client, "big"), ["bind", "part"])
            self.assertEqual(self.kinds(client, "nobody"), [])
            self.assertEqual(self.kinds(client, "a", "COUNT", 1), ["del"])
            self.assertEqual(lines(client, "HISTORY", "a")[0][b"bytes"], 5)
            # What empties or swaps a database happens to all of its keys.
            client.ask("SELECT", 3)
            self.assertEqual(self.kinds(client, "x"), ["swap", "set", "flush"])

    def test_a_hash_that_was_renamed_has_its_fields_under_the_new_name(self):
        with harness.firnlog() as server, server.connect() as client:
            client.ask("HSET", "old", "f", "1")
            client.ask("RENAME", "old", "new")
            client.ask("HSET", "new", "f", "2")
            self.assertEqual(self.kinds(client, "old"), ["bind", "field", "unbind"])
            self.assertEqual(self.kinds(client, "new"), ["bind", "field"])

    def test_it_goes_on_over_a_crash(self):
        with harness.firnlog() as server:
            with server.connect() as client:
                client.ask("SET", "k", "1")
                client.ask("SAVE")
            server.kill()
            server.start()
            with server.connect() as client:
                client.ask("SET", "k", "22")
                told = lines(client, "HISTORY", "k")
                self.assertEqual([line[b"bytes"] for line in told], [1, 2])
                self.assertEqual([line[b"lsn"].split(b":")[0] for line in told], [b"1", b"2"])


class Get(unittest.TestCase):
    """FIRN GET: what a key was at a moment."""

    def at_lsn(self, client):
        told = maps(client.value("FIRN", "LSN"))
        return "%d:%d" % (told[b"timeline"], told[b"tail"])

    def test_a_key_is_what_it_was_whatever_happened_since(self):
        seed = harness.chosen_seed()
        print("report: firn get: seed %d" % seed)
        dice = random.Random(seed)
        keys = ["a", "b", "c"]
        moments = []  # (lsn, database, {key: value})
        with harness.firnlog("--save", "") as server:
            client = server.connect()
            for step in range(240):
                key, other = dice.sample(keys, 2)
                roll = dice.randrange(12)
                if roll < 3:
                    client.ask("SET", key, step)
                elif roll < 5:
                    client.ask("DEL", key)
                    client.ask("HSET", key, "f", step, "g%d" % (step % 3), step)
                elif roll == 5:
                    client.ask("HDEL", key, "f")
                elif roll == 6:
                    client.ask("SETRANGE", key, 70_000 + step, step)
                elif roll == 7:
                    client.ask("RENAME", key, other)
                elif roll == 8:
                    client.pipeline([("MULTI",), ("SET", key, "m%d" % step), ("DEL", other),
                                     ("EXEC",)])
                elif roll == 9:
                    client.ask("SELECT", dice.randrange(2))
                elif roll == 10:
                    client.ask("FLUSHDB")
                elif dice.randrange(3) == 0:
                    client.ask("SWAPDB", 0, 1)
                if step % 60 == 20:
                    self.assertEqual(client.ask("SAVE"), b"+OK\r\n")
                if step % 60 == 50:
                    client.close()
                    server.kill()
                    server.start()
                    client = server.connect()
                lsn = self.at_lsn(client)
                for database in (0, 1):
                    client.ask("SELECT", database)
                    now = {}
                    for name in keys:
                        kind = client.value("TYPE", name)
                        now[name] = (client.value("GET", name) if kind == b"string" else
                                     maps(client.value("HGETALL", name)) if kind == b"hash" else None)
                    moments.append((lsn, database, now))
            for lsn, database, then in dice.sample(moments, 60):
                client.ask("SELECT", database)
                for name, value in then.items():
                    found = client.value("FIRN", "GET", name, "LSN", lsn)
                    if isinstance(found, list):
                        found = maps(found)
                    self.assertEqual(found, value, (lsn, database, name))
                    if isinstance(value, dict):
                        for field in (b"f", b"g1", b"none"):
                            self.assertEqual(client.value("FIRN", "GET", name, field, "LSN", lsn),
                                             value.get(field))
            client.close()

    def test_each_way_to_name_a_moment(self):
        with harness.firnlog() as server, server.connect() as client:
            client.ask("SET", "k", "old")
            client.ask("FIRN", "MARK", "m")
            time.sleep(0.01)
            between = "@%.6f" % time.time()
            time.sleep(0.01)
            client.ask("SET", "k", "new")
            self.assertEqual(client.value("FIRN", "GET", "k", "MARK", "m"), b"old")
            self.assertEqual(client.value("FIRN", "GET", "k", "at", between), b"old")
            self.assertEqual(client.value("FIRN", "GET", "k", "before", between), b"old")
            # A time alone means AT, as wherever a moment stands; of a field, too, whatever its name.
            self.assertEqual(client.value("FIRN", "GET", "k", between), b"old")
            self.assertEqual(client.value("FIRN", "GET", "k", "-0s"), b"new")
            client.ask("HSET", "h", "f", "1", "at", "2")
            self.assertEqual(client.value("FIRN", "GET", "h", "f", "-0s"), b"1")
            self.assertEqual(client.value("FIRN", "GET", "h", "at", "AT", "-0s"), b"2")
            self.assertEqual(client.value("FIRN", "GET", "h", "-0s"), [b"f", b"1", b"at", b"2"])
            self.assertEqual(client.value("FIRN", "GET", "k", "AT", "-0s"), b"new")
            # What FIRN HISTORY tells: each line without it, and with it.
            first, second = lines(client, "HISTORY", "k")
            for moment, value in ((first[b"lsn"], None), (first[b"after"], b"old"),
                                  (second[b"lsn"], b"old"), (second[b"after"], b"new")):
                self.assertEqual(client.value("FIRN", "GET", "k", "LSN", moment), value)

    def test_what_was_due_then_is_not_there_and_what_is_due_now_is(self):
        with harness.firnlog() as server, server.connect() as client:
            client.ask("SET", "k", "v", "PX", "300")
            client.ask("FIRN", "MARK", "alive")
            time.sleep(0.4)
            client.ask("FIRN", "MARK", "due")
            self.assertIsNone(client.value("GET", "k"))
            self.assertEqual(client.value("FIRN", "GET", "k", "MARK", "alive"), b"v")
            self.assertIsNone(client.value("FIRN", "GET", "k", "MARK", "due"))

    def test_nothing_is_changed_by_it(self):
        with harness.firnlog() as server, server.connect() as client:
            client.ask("SET", "k", "v")
            client.ask("FIRN", "MARK", "m")
            client.ask("SET", "k", "w")
            tail, digest = self.at_lsn(client), client.value("FIRN", "DIGEST")
            self.assertEqual(client.value("FIRN", "GET", "k", "MARK", "m"), b"v")
            self.assertEqual((self.at_lsn(client), client.value("FIRN", "DIGEST")), (tail, digest))
            self.assertEqual(client.value("GET", "k"), b"w")

    def test_a_hash_is_shown_as_hgetall_shows_it(self):
        with harness.firnlog() as server, server.connect() as client:
            client.ask("HSET", "h", "f", "1", "g", "2")
            client.ask("FIRN", "MARK", "m")
            for protocol in (2, 3):
                client.ask("HELLO", protocol)
                self.assertEqual(client.ask("FIRN", "GET", "h", "MARK", "m"),
                                 client.ask("HGETALL", "h"))
                self.assertEqual(client.ask("FIRN", "GET", "h", "f", "MARK", "m"),
                                 client.ask("HGET", "h", "f"))
                self.assertEqual(client.ask("FIRN", "GET", "none", "MARK", "m"),
                                 client.ask("GET", "none"))

    def test_what_cannot_be_is_refused_in_words(self):
        with harness.firnlog() as server, server.connect() as client:
            client.ask("SET", "k", "v")
            for arguments, why in (
                (("k", "MARK", "none"), b"-ERR the log has no mark of that name"),
                (("k", "f", "AT", "-0s"), b"-WRONGTYPE "),
                (("k", "SOON", "x"), b"-ERR a time is like"),
                (("k", "f", "SOON", "x"), b"-ERR a time is like"),
                (("k", "AT", "noon"), b"-ERR a time is like"),
                (("k", "AT", "1990-01-01T00:00:00Z"), b"-ERR "),
                (("k", "LSN", "99999999999"), b"-ERR "),
                (("k", "f", "AT", "-0s", "x"), b"-ERR syntax error"),
                (("k", "AT"), b"-ERR a moment's value is missing"),
                (("k", "noon"), b"-ERR a time is like"),
                (("k", "f", "noon"), b"-ERR a time is like"),
                (("k", "-0s", "x"), b"-ERR a time is like"),
                (("k",), b"-ERR wrong number of arguments for 'firn|get' command"),
            ):
                reply = client.ask("FIRN", "GET", *arguments)
                self.assertTrue(reply.startswith(why), (arguments, reply))
            self.assertEqual(client.value("COMMAND", "GETKEYS", "FIRN", "GET", "k", "AT", "-0s"),
                             [b"k"])


class Beside(unittest.TestCase):
    """What else goes on meanwhile."""

    def fill(self, client):
        for _ in range(20):
            client.pipeline([("SET", "k%d" % i, "v" * 200) for i in range(2000)])

    def test_a_protocol_is_spoken_that_the_connection_speaks(self):
        with harness.firnlog() as server, server.connect() as client:
            client.ask("SET", "k", "v")
            client.ask("HELLO", 3)
            reply = client.ask("FIRN", "HISTORY", "k")
            self.assertTrue(reply.startswith(b"%2\r\n$8\r\nleft_out\r\n:0\r\n$5\r\nlines\r\n*1\r\n%9\r\n"))

    def test_others_are_served_meanwhile(self):
        with harness.firnlog("--threads", 1) as server, server.connect() as client:
            self.fill(client)
            with server.connect() as reader:
                for _ in range(8):
                    reader.send("FIRN", "LOG")
                asked = time.monotonic()
                turns = 0
                reader.socket.setblocking(False)
                while True:
                    try:
                        self.assertTrue(reader.socket.recv(1, socket.MSG_PEEK))
                        break
                    except BlockingIOError:
                        self.assertEqual(client.value("SET", "k1", turns), b"OK")
                        turns += 1
                self.assertGreater(turns, 0, "answered in %f s" % (time.monotonic() - asked))
                reader.socket.settimeout(harness.REPLY_SECONDS)
                for _ in range(8):
                    self.assertEqual(len(maps(harness.parse(reader.reply()))[b"lines"]), 100)

    def test_more_than_wait_in_line_are_refused(self):
        with harness.firnlog() as server, server.connect() as client:
            self.fill(client)
            readers = [server.connect() for _ in range(40)]
            for reader in readers:
                reader.send("FIRN", "LOG", "COUNT", 1)
            replies = [reader.reply() for reader in readers]
            refused = [reply for reply in replies if reply.startswith(b"-")]
            self.assertEqual(set(refused),
                             {b"-ERR too many clients read the past now, try again later\r\n"})
            self.assertGreaterEqual(len(replies) - len(refused), 16)
            self.assertIn(b"errorstat_ERR:count=%d" % len(refused), client.value("INFO", "errorstats"))
            for reader in readers:
                reader.close()

    def test_who_goes_away_harms_nobody(self):
        with harness.firnlog() as server, server.connect() as client:
            self.fill(client)
            for _ in range(30):
                with server.connect() as reader:
                    reader.send("FIRN", "LOG")
            self.assertEqual(client.value("SET", "a", "1"), b"OK")
            self.assertTrue(harness.eventually(
                lambda: not client.ask("FIRN", "HISTORY", "a").startswith(b"-")))
            with server.connect() as reader:
                reader.send("FIRN", "LOG")
                asked = time.monotonic()
                self.assertEqual(server.stop(), 0)
                self.assertLess(time.monotonic() - asked, 20)

    def test_log_is_given_back_beside_a_reader(self):
        with harness.firnlog("--retain", 0, "--save", "", "--segment-bytes-max", "4mb") as server:
            with server.connect() as client, server.connect() as reader:
                replies = []

                def read():
                    for _ in range(30):
                        replies.append(reader.ask("FIRN", "LOG", "COUNT", 1))

                def save():
                    # Garbage makes a checkpoint due by itself.
                    self.assertIn(client.ask("SAVE"),
                                  (b"+OK\r\n", b"-ERR Background save already in progress\r\n"))

                def freed():
                    save()
                    return maps(client.value("FIRN", "WALK", "STATUS"))[b"freed_bytes"] != 0

                thread = threading.Thread(target=read)
                thread.start()
                while thread.is_alive():
                    self.fill(client)
                    save()
                thread.join()
                self.assertEqual([reply for reply in replies if not reply.startswith(b"*4")], [])
                self.assertTrue(harness.eventually(freed, 20))
                client.ask("SET", "k", "v")
                self.assertEqual(lines(client, "HISTORY", "k", "COUNT", 1)[0][b"kind"], b"set")
                # The past that is left is what firnlog log finds.
                theirs = test_log.lines_of(test_log.run("log", server.folder, "--count", 5))
                self.assertEqual([line[b"lsn"].decode() for line in lines(client, "LOG", "COUNT", 5)],
                                 [line[0] for line in theirs])


if __name__ == "__main__":
    unittest.main()
