"""CLIENT, MONITOR, statistics: what reaches the connections of all threads."""

import re
import time
import unittest

import harness
from harness import info


def fields(line):
    """The fields of a line of CLIENT LIST."""
    return dict(word.split("=", 1) for word in line.decode().split())


class Clients(unittest.TestCase):
    """CLIENT, on one thread and on three."""

    THREADS = 1

    def setUp(self):
        self.server = harness.firnlog("--threads", self.THREADS)
        self.client = self.server.connect()

    def tearDown(self):
        self.client.close()
        self.server.close()

    def test_list_shows_every_connection_in_the_order_of_ids(self):
        others = [self.server.connect() for _ in range(7)]
        for i, other in enumerate(others):
            other.ask("CLIENT", "SETNAME", "n%d" % i)
        others[0].ask("SUBSCRIBE", "channel")
        others[1].ask("FIRN", "DURABILITY", "everysec")
        others[2].ask("MULTI")
        others[2].ask("PING")
        others[3].ask("SELECT", 5)
        others[4].ask("HELLO", 3)
        lines = self.client.value("CLIENT", "LIST").splitlines()
        ids = [int(fields(line)["id"]) for line in lines]
        self.assertEqual(ids, sorted(ids))
        found = {fields(line)["name"]: fields(line) for line in lines}
        self.assertEqual({"n%d" % i for i in range(7)} | {""}, set(found))
        self.assertEqual((found["n0"]["flags"], found["n0"]["sub"]), ("P", "1"))
        self.assertEqual(found["n1"]["durability"], "everysec")
        self.assertEqual((found["n2"]["flags"], found["n2"]["multi"]), ("x", "1"))
        self.assertEqual(found["n3"]["db"], "5")
        self.assertEqual(found["n4"]["resp"], "3")
        self.assertEqual(found["n5"]["durability"], "default")
        self.assertEqual(found["n5"]["cmd"], "client|setname")
        # Who asks waits for the other threads, which is nobody's business.
        self.assertEqual((found[""]["cmd"], found[""]["flags"]), ("client|list", "N"))
        subscribers = self.client.value("CLIENT", "LIST", "TYPE", "pubsub").splitlines()
        self.assertEqual([fields(line)["name"] for line in subscribers], ["n0"])
        one = self.client.value("CLIENT", "LIST", "ID", found["n5"]["id"], 999, found["n3"]["id"])
        self.assertEqual([fields(line)["name"] for line in one.splitlines()], ["n5", "n3"])

    def test_kill_reaches_every_thread(self):
        others = [self.server.connect() for _ in range(6)]
        ids = [other.value("CLIENT", "ID") for other in others]
        self.assertEqual(len(set(ids)), 6)
        self.assertEqual(self.client.value("CLIENT", "KILL", "ID", ids[0]), 1)
        self.assertTrue(others[0].closed())
        address = fields(others[1].value("CLIENT", "INFO"))["addr"]
        self.assertEqual(self.client.ask("CLIENT", "KILL", address), b"+OK\r\n")
        self.assertTrue(others[1].closed())
        others[2].ask("SUBSCRIBE", "c")
        self.assertEqual(self.client.value("CLIENT", "KILL", "TYPE", "pubsub"), 1)
        self.assertTrue(others[2].closed())
        self.assertEqual(self.client.value("CLIENT", "KILL", "TYPE", "normal"), 3)
        for other in others[3:]:
            self.assertTrue(other.closed())
        # Itself: the answer comes first.
        own = self.client.value("CLIENT", "ID")
        self.assertEqual(self.client.value("CLIENT", "KILL", "ID", own, "SKIPME", "no"), 1)
        self.assertTrue(self.client.closed())

    def test_a_pause_holds_writers_and_ends(self):
        with self.server.connect() as other:
            self.assertEqual(self.client.ask("CLIENT", "PAUSE", 100000, "WRITE"), b"+OK\r\n")
            self.assertEqual(other.ask("GET", "a"), b"$-1\r\n")
            other.send("SET", "a", 1)
            self.assertTrue(other.silent())
            self.assertEqual(self.client.ask("CLIENT", "UNPAUSE"), b"+OK\r\n")
            self.assertEqual(other.reply(), b"+OK\r\n")
            began = time.monotonic()
            self.client.ask("CLIENT", "PAUSE", 300)
            self.assertEqual(other.ask("GET", "a"), b"$1\r\n1\r\n")
            self.assertGreater(time.monotonic() - began, 0.25)

    def test_unblock_ends_a_wait(self):
        for reason, reply in (("TIMEOUT", b":0\r\n"),
                              ("ERROR", b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")):
            with self.server.connect() as other:
                identity = other.value("CLIENT", "ID")
                other.send("WAIT", 1, 0)
                until = time.monotonic() + 10
                while self.client.value("CLIENT", "UNBLOCK", identity, reason) == 0:
                    self.assertLess(time.monotonic(), until)
                self.assertEqual(other.reply(), reply)
                self.assertEqual(other.ask("PING"), b"+PONG\r\n")
                self.assertEqual(self.client.value("CLIENT", "UNBLOCK", identity), 0)

    def test_statistics_are_of_all_threads_and_can_be_reset(self):
        others = [self.server.connect() for _ in range(6)]
        self.client.ask("CONFIG", "RESETSTAT")
        for other in others:
            other.ask("SET", "a", 1)
            other.ask("GET", "a")
            other.ask("GET", "nokey")
            other.ask("INCR", "nosuch", "x")
        known = info(self.client, "everything")
        self.assertEqual(known["connected_clients"], "7")
        self.assertIn("calls=6,", known["cmdstat_set"])
        self.assertIn("calls=12,", known["cmdstat_get"])
        self.assertIn("rejected_calls=6,", known["cmdstat_incr"])
        self.assertEqual(known["keyspace_hits"], "6")
        self.assertEqual(known["keyspace_misses"], "6")
        self.assertEqual(known["errorstat_ERR"], "count=6")
        self.assertEqual(known["total_error_replies"], "6")
        self.assertRegex(known["latency_percentiles_usec_get"], r"p50=\d+\.000,p99=.*,p99\.9=")
        histogram = self.client.value("LATENCY", "HISTOGRAM", "get")
        self.assertEqual(histogram[0], b"get")
        self.assertEqual(histogram[1][1], 12)
        self.assertEqual(histogram[1][3][-1], 12)
        self.client.ask("CONFIG", "RESETSTAT")
        known = info(self.client, "everything")
        self.assertNotIn("cmdstat_get", known)
        self.assertEqual(known["keyspace_hits"], "0")
        self.assertEqual(self.client.value("LATENCY", "HISTOGRAM", "get"), [])

    def test_monitors_see_all_threads(self):
        monitors = [self.server.connect() for _ in range(4)]
        others = [self.server.connect() for _ in range(4)]
        for monitor in monitors:
            self.assertEqual(monitor.ask("MONITOR"), b"+OK\r\n")
        for i, other in enumerate(others):
            other.ask("SET", "k%d" % i, i)
        for monitor in monitors:
            seen = sorted(re.search(rb'"k\d"', monitor.reply()).group() for _ in others)
            self.assertEqual(seen, [b'"k%d"' % i for i in range(4)])
        self.assertEqual(monitors[0].ask("RESET"), b"+RESET\r\n")
        others[0].ask("SET", "k", 1)
        self.assertTrue(monitors[0].silent())

    def test_no_more_is_written_than_there_is(self):
        self.client.ask("FIRN", "DURABLE", "always", "SET", "a", 1)
        # Soon a frame follows that vouches for it, behind the last batch.
        for _ in range(20):
            known = info(self.client, "persistence")
            self.assertLess(int(known["aof_buffer_length"]), 1 << 32)
            self.assertLessEqual(int(known["log_written_lsn"]), int(known["log_tail_lsn"]))
            names = self.client.value("FIRN", "LSN")
            lsn = dict(zip(names[::2], names[1::2]))
            self.assertLessEqual(lsn[b"written"], lsn[b"tail"])
            time.sleep(0.01)

    def test_save_answers_when_everything_is_durable(self):
        self.client.ask("SET", "a", "x" * 1000)
        self.assertEqual(self.client.ask("SAVE"), b"+OK\r\n")
        known = info(self.client, "persistence")
        self.assertEqual(known["log_durable_lsn"], known["log_tail_lsn"])
        self.assertAlmostEqual(self.client.value("LASTSAVE"), time.time(), delta=30)
        self.assertEqual(self.client.ask("BGSAVE"), b"+Background saving started\r\n")
        self.assertTrue(harness.eventually(
            lambda: info(self.client, "persistence")["rdb_bgsave_in_progress"] == "0", 30))
        self.assertEqual(self.client.ask("BGREWRITEAOF"),
                         b"+Background append only file rewriting started\r\n")

    def test_advice_is_given_in_our_own_words(self):
        said = {("MEMORY", "DOCTOR"): rb"[A-Z][^\r\n]{40,}", ("LATENCY", "DOCTOR"): rb"[A-Z][^\r\n]{40,}",
                ("MEMORY", "MALLOC-STATS"): rb"own [1-9]\d*\nmapped \d+\n"}
        for protocol, kind in ((2, rb"\$\d+"), (3, rb"=\d+\r\ntxt:")):
            self.client.ask("HELLO", protocol)
            for words, text in said.items():
                self.assertRegex(self.client.ask(*words), rb"^" + kind + rb"(\r\n)?" + text, words)
        self.client.ask("HELLO", 2)


class ClientsOnThreads(Clients):
    THREADS = 3

    def test_within_a_transaction_nobody_waits_for_other_threads(self):
        self.client.ask("MULTI")
        self.client.ask("SET", "a", 1)
        self.client.ask("CLIENT", "LIST")
        self.client.ask("INFO", "clients")
        set_reply, listed, told = self.client.value("EXEC")
        self.assertEqual(set_reply, b"OK")
        self.assertIn("asks all threads", listed)
        self.assertIn(b"connected_clients:", told)


if __name__ == "__main__":
    unittest.main()
