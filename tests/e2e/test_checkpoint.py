"""Checkpoints of the real server: what SAVE and BGSAVE leave is what a start begins with, a kill at
any moment of one costs nothing, and a damaged one costs time alone.
"""

import os
import pathlib
import random
import re
import threading
import time
import unittest

import harness

SEED = harness.chosen_seed()
PROVE = bool(os.environ.get("FIRNLOG_PROVE"))
KILLS = 300 if PROVE else 8

# Large enough that a kill finds the walk under way, small enough to be quick.
KEYS = 60_000
# Enough that a start answers before the loader is through.
MANY = 1_000_000 if PROVE else 300_000


def setUpModule():
    print("report: checkpoint: seed %d" % SEED)


def info(client):
    return harness.info(client, "persistence")


def files(server, suffix):
    return sorted(pathlib.Path(server.folder).glob("*" + suffix))


def fill(client, keys=KEYS):
    """Strings, some with an expiry; small hashes, one of many fields, a string in chunks."""
    for first in range(0, keys, 5000):
        client.pipeline([("SET", "k:%d" % i, "v" * (i % 90)) for i in range(first, first + 5000)])
    client.pipeline([("EXPIRE", "k:%d" % i, 100_000 + i) for i in range(0, 2000, 3)])
    client.pipeline([("HSET", "h:%d" % i, "f3", i, "f1", "x", "f2", "y") for i in range(3000)])
    client.pipeline([("HSET", "many", "f%d" % i, "v%d" % i) for i in range(9000)])
    client.pipeline([("SET", "big", "B" * 300_000), ("SETRANGE", "big", 200_000, "patched"),
                     ("SETRANGE", "big", 40_000, "again"), ("SELECT", 3), ("SET", "three", "3"),
                     ("SWAPDB", 3, 4), ("SELECT", 0)])


class Checkpoints(unittest.TestCase):
    def test_a_start_begins_with_the_checkpoint_and_finds_everything(self):
        with harness.firnlog("--save", "") as server:
            with server.connect() as client:
                fill(client)
                self.assertEqual(client.ask("SAVE"), b"+OK\r\n")
                client.pipeline([("DEL", "k:1", "h:1"), ("RENAME", "h:2", "elsewhere"),
                                 ("SET", "behind", "it"), ("HDEL", "h:3", "f1"),
                                 ("PERSIST", "k:3")])
                digest = client.value("FIRN", "DIGEST")
                order = client.ask("HKEYS", "h:7")
                size = client.value("DBSIZE")
                before = info(client)
            self.assertEqual(before["checkpoints"], "1")
            self.assertEqual(len(files(server, ".ckpt")), 1)
            server.restart()
            with server.connect() as client:
                after = info(client)
                self.assertEqual(client.value("DBSIZE"), size)
                self.assertEqual(client.value("FIRN", "DIGEST"), digest)
                self.assertEqual(client.ask("HKEYS", "h:7"), order)
                self.assertEqual(client.value("GET", "behind"), b"it")
            self.assertNotEqual(after["recovery_checkpoint"], "0")
            self.assertEqual(after["recovery_checkpoint_fault"], "")

    def test_the_two_newest_are_kept(self):
        with harness.firnlog("--save", "") as server:
            with server.connect() as client:
                for i in range(4):
                    client.ask("SET", "k", i)
                    self.assertEqual(client.ask("SAVE"), b"+OK\r\n")
                self.assertEqual(info(client)["checkpoints"], "2")
                self.assertEqual(info(client)["rdb_saves"], "4")
                self.assertEqual(len(files(server, ".ckpt")), 2)

    def test_a_store_without_keys_takes_one_after_the_other(self):
        for window in ("0", "24h"):
            with harness.firnlog("--save", "", "--retain", window) as server:
                with server.connect() as client:
                    for key in (None, None, None, "a", "b", "c"):
                        if key:
                            client.ask("SET", key, "v")
                        self.assertEqual(client.ask("SAVE"), b"+OK\r\n")
                server.restart()
                with server.connect() as client:
                    self.assertEqual(client.value("MGET", "a", "b", "c"), [b"v"] * 3)

    def test_a_damaged_one_is_left_out_told_of_and_taken_anew(self):
        rng = random.Random(SEED)
        with harness.firnlog("--save", "") as server:
            with server.connect() as client:
                fill(client, 5000)
                client.ask("SAVE")
                client.ask("SET", "between", "1")
                client.ask("SAVE")
                client.ask("SET", "behind", "1")
                digest = client.value("FIRN", "DIGEST")
            for damaged in range(1, 3):
                server.stop()
                # The newest one, then all of them.
                for path in files(server, ".ckpt")[-damaged:]:
                    with open(path, "r+b") as file:
                        file.seek(rng.randrange(path.stat().st_size))
                        byte = file.read(1)
                        file.seek(-1, os.SEEK_CUR)
                        file.write(bytes([byte[0] ^ (1 << rng.randrange(8))]))
                server.start()
                with server.connect() as client:
                    # What is not right yet is refused.
                    first = client.value("FIRN", "DIGEST")
                    if not (isinstance(first, harness.Error) and first.startswith("LOADING")):
                        self.assertEqual(first, digest)
                    self.assertTrue(harness.eventually(
                        lambda: info(client)["rdb_saves"] != "0", 30))
                    told = info(client)
                    self.assertEqual((told["index_parts_waiting"], told["index_parts_lost"]),
                                     ("0", "0"))
                    # By the start itself, or when that page was touched.
                    self.assertIn("checkpoint",
                                  told["recovery_checkpoint_fault"] + told["index_fault"])
                    self.assertEqual(client.value("FIRN", "DIGEST"), digest)
                self.assertRegex(server.log(), "left out|made anew")
            server.restart()
            with server.connect() as client:
                self.assertEqual(info(client)["recovery_checkpoint_fault"], "")
                self.assertEqual(client.value("FIRN", "DIGEST"), digest)
                self.assertEqual(info(client)["index_fault"], "")

    def test_a_start_serves_before_its_index_is_there_and_finds_everything(self):
        with harness.firnlog("--save", "", "--appendfsync", "no") as server:
            with server.connect() as client:
                for first in range(0, MANY, 10_000):
                    client.pipeline([("SET", "n:%d" % i, i) for i in range(first, first + 10_000)])
                client.pipeline([("EXPIRE", "n:%d" % i, 100_000) for i in range(0, MANY, 1000)])
                fill(client, 5000)
                self.assertEqual(client.ask("SAVE"), b"+OK\r\n")
                client.pipeline([("SET", "n:5", "behind"), ("DEL", "n:6")])
                keys = client.value("DBSIZE")
                space = client.value("INFO", "keyspace")
                digest = client.value("FIRN", "DIGEST")
            server.kill()
            server.start()
            with server.connect() as client:
                replies = client.pipeline([("GET", "n:77777"), ("DBSIZE",), ("INFO", "keyspace"),
                                           ("INFO", "persistence"), ("GET", "n:5"), ("GET", "n:6")])
                self.assertNotIn(b"index_parts_waiting:0\r", replies[3])
                values = [harness.parse(reply) for reply in replies]
                self.assertEqual((values[0], values[1], values[4], values[5]),
                                 (b"77777", keys, b"behind", None))
                # Mean times to live differ by what has passed since.
                counts = [re.findall(rb"keys=\d+,expires=\d+", text) for text in (values[2], space)]
                self.assertEqual(counts[0], counts[1])
                seen = set()
                cursor = b"0"
                while True:
                    cursor, found = client.value("SCAN", cursor, "COUNT", 5000)
                    seen.update(found)
                    if cursor == b"0":
                        break
                self.assertEqual(len(seen), keys)
                self.assertEqual(client.value("FIRN", "DIGEST"), digest)
                self.assertTrue(harness.eventually(
                    lambda: info(client)["index_parts_waiting"] == "0"))

    def test_a_kill_amid_a_checkpoint_under_load_loses_nothing(self):
        rng = random.Random(SEED)
        amid = 0
        with harness.firnlog("--save", "", "--appendfsync", "no") as server:
            with server.connect() as client:
                fill(client)
            acked = 0
            for kill in range(KILLS):
                stop = threading.Event()
                counts = [acked]

                def write():
                    try:
                        with server.connect() as writer:
                            while not stop.is_set():
                                n = counts[0] + 1
                                writer.ask("SET", "counter", n)
                                counts[0] = n
                                writer.pipeline([("SET", "k:%d" % rng.randrange(KEYS), n),
                                                 ("RENAME", "h:%d" % (n % 3000), "h:%d" % (n % 3000)),
                                                 ("HSET", "many", "f%d" % (n % 9000), n)])
                    except (harness.Closed, OSError):
                        pass

                writer = threading.Thread(target=write)
                writer.start()
                with server.connect() as client:
                    client.ask("BGSAVE")
                    time.sleep(rng.random() * 0.25)
                    if info(client)["rdb_bgsave_in_progress"] == "1":
                        amid += 1
                server.kill()
                stop.set()
                writer.join()
                server.start()
                with server.connect() as client:
                    acked = int(client.value("GET", "counter"))
                    self.assertIn(acked, (counts[0], counts[0] + 1), "kill %d" % kill)
                    self.assertEqual(info(client)["recovery_checkpoint_fault"], "")
                    self.assertEqual(client.value("HLEN", "many"), 9000)
                    self.assertEqual(client.value("DBSIZE"), KEYS + 3003)
                    digest = client.value("FIRN", "DIGEST")
                server.restart()
                with server.connect() as client:
                    self.assertEqual(client.value("FIRN", "DIGEST"), digest)
        print("report: checkpoint: kills %d, amid a checkpoint %d" % (KILLS, amid))
        self.assertGreater(amid, 0)

    def test_save_rules_and_the_log_since_the_last_one_begin_a_checkpoint(self):
        with harness.firnlog("--save", 1, 5) as server:
            with server.connect() as client:
                client.pipeline([("SET", "k:%d" % i, i) for i in range(20)])
                self.await_saves(client, 1)
                self.assertLess(int(info(client)["rdb_changes_since_last_save"]), 5)
                # Without changes there is nothing to save.
                time.sleep(1.3)
                self.assertEqual(info(client)["rdb_saves"], "1")
                client.ask("CONFIG", "SET", "save", "")
                client.pipeline([("SET", "k:%d" % i, i) for i in range(20)])
                time.sleep(1.3)
                self.assertEqual(info(client)["rdb_saves"], "1")
        with harness.firnlog("--save", "", "--checkpoint-log-bytes", "1mb") as server:
            with server.connect() as client:
                client.pipeline([("SET", "k:%d" % i, "v" * 1000) for i in range(1500)])
                self.await_saves(client, 1)

    def test_a_save_in_the_background_is_told_of_from_its_reply_on(self):
        with harness.firnlog("--save", "") as server:
            with server.connect() as client:
                fill(client)
                for i in range(1, 6):
                    # Both leave together: no time for the worker to begin.
                    replies = client.pipeline([("BGSAVE",), ("INFO", "persistence")])
                    self.assertIn(b"rdb_bgsave_in_progress:1\r\n", replies[1])
                    while info(client)["rdb_bgsave_in_progress"] == "1":
                        time.sleep(0.01)
                    self.assertEqual(info(client)["rdb_saves"], str(i))

    def await_saves(self, client, count):
        until = time.monotonic() + 30
        while int(info(client)["rdb_saves"]) < count:
            self.assertLess(time.monotonic(), until, "no checkpoint came")
            time.sleep(0.05)

    def test_the_walk_can_be_held(self):
        with harness.firnlog("--save", "") as server:
            with server.connect() as client:
                client.ask("SET", "k", "v")
                self.assertEqual(client.ask("FIRN", "WALK", "PAUSE"), b"+OK\r\n")
                self.assertIn(b"paused", client.ask("SAVE"))
                self.assertIn(b"paused", client.ask("BGSAVE"))
                status = client.value("FIRN", "WALK", "STATUS")
                pairs = dict(zip(status[::2], status[1::2])) if isinstance(status, list) else status
                self.assertEqual(pairs[b"paused"], 1)
                self.assertEqual(client.ask("FIRN", "WALK", "RESUME"), b"+OK\r\n")
                self.assertEqual(client.ask("SAVE"), b"+OK\r\n")
                self.assertIn(b"syntax", client.ask("FIRN", "WALK", "AWAY"))

    def test_log_that_gets_no_checkpoint_is_told_of(self):
        with harness.firnlog("--save", "", "--checkpoint-log-bytes", "1mb", "--appendfsync",
                             "everysec") as server, server.connect() as client:
            self.assertEqual(client.ask("FIRN", "WALK", "PAUSE"), b"+OK\r\n")
            client.pipeline([("SET", "k:%d" % i, "v" * 1000) for i in range(1700)])
            time.sleep(0.3)
            self.assertNotIn("checkpoint: behind", server.log())
            client.pipeline([("SET", "k:%d" % i, "v" * 1000) for i in range(1700)])
            self.assertTrue(harness.eventually(lambda: "checkpoint: behind" in server.log(), 30))
            self.assertRegex(server.log(),
                             r"behind: log_bytes=\d+ due_bytes=1048576 phase=idle paused=1")
            time.sleep(0.3)
            # Once for the second that is missing, once for the third.
            self.assertIn(server.log().count("checkpoint: behind"), (1, 2))
            client.ask("FIRN", "WALK", "RESUME")
            self.assertTrue(harness.eventually(
                lambda: int(info(client)["log_bytes_since_checkpoint"]) < 1 << 20, 30))

    def test_shutdown_save_leaves_a_checkpoint_of_everything(self):
        with harness.firnlog("--save", "") as server:
            with server.connect() as client:
                client.ask("SET", "k", "v")
                client.send("SHUTDOWN", "SAVE")
                self.assertTrue(client.closed())
            self.assertEqual(server.wait(), 0)
            self.assertEqual(len(files(server, ".ckpt")), 1)
            server.start()
            with server.connect() as client:
                self.assertEqual(client.value("GET", "k"), b"v")
                self.assertNotEqual(info(client)["recovery_checkpoint"], "0")

    def test_a_rewrite_goes_by_its_name(self):
        with harness.firnlog("--save", "") as server:
            with server.connect() as client:
                client.ask("SET", "k", "v")
                self.assertEqual(client.ask("BGREWRITEAOF"),
                                 b"+Background append only file rewriting started\r\n")
                self.await_saves(client, 1)
                self.assertEqual(info(client)["aof_rewrites"], "1")
                self.assertEqual(info(client)["aof_rewrite_in_progress"], "0")


if __name__ == "__main__":
    unittest.main()
