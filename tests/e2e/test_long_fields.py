"""Long values of hashes, kept in pieces: they are whole in the past, in a restored and in a repaired store,
and when their pieces were moved; and as long as Redis takes them.
"""

import os
import pathlib
import random
import shutil
import tempfile
import time
import unittest

import harness
import test_reclaim
from test_online_past import lines
from test_restore import restore

PROVE = bool(os.environ.get("FIRNLOG_PROVE"))
SEED = int(os.environ.get("FIRNLOG_SEED") or random.randrange(1 << 32))
MIB = 1 << 20


def setUpModule():
    print("report: long fields: seed %d" % SEED)


class LongFields(unittest.TestCase):
    def setUp(self):
        self.rng = random.Random(SEED)
        self.folder = tempfile.mkdtemp(prefix="firnlog-e2e-long-fields-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def test_the_past_has_them_whole(self):
        values = [self.rng.randbytes(size) for size in (5 * MIB, 70_000, 100, 3 * MIB + 1)]
        with harness.firnlog() as server, server.connect() as client:
            for i, value in enumerate(values):
                client.ask("HSET", "h", "f", value, "other", i)
                client.ask("FIRN", "MARK", "m%d" % i)
                if i == 1:
                    self.assertEqual(client.ask("SAVE"), b"+OK\r\n")
            client.ask("RENAME", "h", "g")
            client.ask("HDEL", "g", "f")
            client.ask("FLUSHALL")
            for i, value in enumerate(values):
                self.assertEqual(client.value("FIRN", "GET", "h", "f", "MARK", "m%d" % i), value)
                told = client.value("FIRN", "GET", "h", "MARK", "m%d" % i)
                self.assertEqual(told, [b"f", value, b"other", b"%d" % i])
            # One line for each time it was set, however many pieces that were.
            told = [line for line in lines(client, "LOG", "COUNT", 1000) if line[b"field"] == b"f"]
            self.assertEqual([line[b"kind"] for line in told], [b"field"] * 4 + [b"fielddel"])
            self.assertEqual([line[b"bytes"] for line in told[:4]], [len(value) for value in values])
            told = lines(client, "HISTORY", "h", "COUNT", 3)
            self.assertEqual([line[b"kind"] for line in told], [b"field", b"unbind", b"flush"])

            for i, value in enumerate(values):
                client.value("FIRN", "ASOF", "MARK", "m%d" % i)
                self.assertEqual(client.value("HGET", "h", "f"), value)
                self.assertEqual(client.value("HSTRLEN", "h", "f"), len(value))
                self.assertEqual(client.value("HGETALL", "h"), [b"f", value, b"other", b"%d" % i])
                self.assertEqual(client.ask("FIRN", "ASOF", "OFF"), b"+OK\r\n")
            self.assertEqual(client.value("EXISTS", "h"), 0)

            for mark, before in (("m0", None), ("m2", values[0]), ("m1", values[2]), ("m0", values[1])):
                self.assertEqual(client.value("HGET", "h", "f"), before)
                for found in (b"restored", b"unchanged"):
                    self.assertIn(found, client.value("FIRN", "RESTORE", "KEY", "h", "MARK", mark))
            self.assertEqual(client.value("HGET", "h", "f"), values[0])
            self.assertEqual(client.value("HSTRLEN", "h", "other"), 1)
            # Over another value of the same length, which is no reason to leave it.
            client.ask("HSET", "h", "f", values[0][:-1] + bytes([values[0][-1] ^ 1]))
            self.assertIn(b"restored", client.value("FIRN", "RESTORE", "KEY", "h", "MARK", "m0"))
            self.assertEqual(client.value("HGET", "h", "f"), values[0])
            digest = client.value("FIRN", "DIGEST").decode()
            backups = os.path.join(self.folder, "backups")
            taken = test_reclaim.run("backup", "--from", server.folder, "--to", backups, "--name", "one")
            self.assertEqual(taken.returncode, 0, taken)
            result = restore(os.path.join(backups, "one"), "--dry-run")
            self.assertIn(digest, result.stdout, result)
            to = os.path.join(self.folder, "restored")
            result = restore(server.folder, "--to", to, "--mark", "m3", "--keys", "h")
            self.assertEqual(result.returncode, 0, result)
        with harness.firnlog(folder=to) as second:
            self.assertEqual(second.value("HGET", "h", "f"), values[3])

    def test_a_damaged_piece_is_found_and_never_served(self):
        value = self.rng.randbytes(2 * MIB)
        with harness.firnlog() as server:
            with server.connect() as client:
                client.ask("HSET", "h", "f", value)
                client.ask("HSET", "h", "g", value[:100_000])
                client.ask("SET", "behind", "it")
            self.assertEqual(server.stop(), 0)
            sound = os.path.join(self.folder, "sound")
            run = test_reclaim.run
            self.assertEqual(run("check", server.folder).returncode, 0)
            self.assertEqual(run("repair", server.folder, "--to", sound).returncode, 0)
            # A place amid the first value, some pieces from its beginning.
            log = sorted(pathlib.Path(server.folder).glob("*.log"))[0]
            content = bytearray(log.read_bytes())
            at = content.index(value[500_000:500_040])
            content[at] ^= 1
            log.write_bytes(content)
            self.assertEqual(run("check", server.folder).returncode, 3)
            repaired = os.path.join(self.folder, "repaired")
            self.assertEqual(run("repair", server.folder, "--to", repaired).returncode, 0)
        with harness.firnlog(folder=sound) as second:
            self.assertEqual(second.value("HGET", "h", "f"), value)
            self.assertEqual(second.value("HGET", "h", "g"), value[:100_000])
        with harness.firnlog(folder=repaired) as second:
            # Its batch is lost as a whole.
            self.assertEqual(second.value("HEXISTS", "h", "f"), 0)
            self.assertEqual(second.value("GET", "behind"), b"it")

    def test_they_stay_whole_when_what_lies_around_them_is_given_back(self):
        value = self.rng.randbytes(MIB)
        with harness.firnlog(*test_reclaim.SMALL, "--retain", 0) as server:
            with server.connect() as client:
                client.ask("HSET", "h", "short", "s")
                for i in range(6):
                    client.ask("HSET", "h", "f%d" % i, value[i:])
                    test_reclaim.overwrite(client, i, 900)
                client.ask("HSET", "h", "f4", "short now")
                client.ask("HDEL", "h", "f5")
                for round_ in range(6):
                    test_reclaim.overwrite(client, round_)
                    self.assertTrue(harness.eventually(lambda: client.ask("SAVE") == b"+OK\r\n"))
                # A walk of the server's own may be under way, and SAVE is refused then.
                told = test_reclaim.info(client)
                until = time.monotonic() + 20
                while int(told["freed_bytes"]) < 30 * MIB:
                    self.assertLess(time.monotonic(), until, told)
                    time.sleep(0.2)
                    client.ask("SAVE")
                    told = test_reclaim.info(client)
                self.assertGreater(int(told["relocated_bytes"]), 4 * (MIB - 10), told)
                digest = client.value("FIRN", "DIGEST")
            for how in (server.kill, server.stop):
                how()
                self.assertEqual(test_reclaim.run("check", server.folder).returncode, 0)
                server.start()
                with server.connect() as client:
                    self.assertEqual(client.value("FIRN", "DIGEST"), digest)
                    for i in range(4):
                        self.assertEqual(client.value("HGET", "h", "f%d" % i), value[i:])
                    self.assertEqual(client.value("HMGET", "h", "f4", "f5", "short"),
                                     [b"short now", None, b"s"])

    def test_they_are_as_long_as_redis_takes_them(self):
        sizes = [5 * MIB, 300 * MIB] if PROVE else [5 * MIB, 20 * MIB]
        with harness.firnlog("--enable-debug-command", "yes") as ours, \
                harness.redis("--enable-debug-command", "yes") as theirs:
            for size in sizes:
                # At most 256 MiB come at once.
                value = b"".join(self.rng.randbytes(MIB) for _ in range(size // MIB))
                digests = []
                for server in (ours, theirs):
                    with server.connect(seconds=120) as client:
                        self.assertEqual(client.value("HSET", "h", "f%d" % size, value, "short", "s"),
                                         2 if size == sizes[0] else 1)
                        self.assertTrue(client.value("HGET", "h", "f%d" % size) == value)
                        self.assertEqual(client.value("HSTRLEN", "h", "f%d" % size), size)
                        digests.append(client.value("DEBUG", "DIGEST"))
                self.assertEqual(*digests)
            ours.restart()
            with ours.connect(seconds=120) as client:
                self.assertEqual(client.value("DEBUG", "DIGEST"), digests[1])
                self.assertTrue(client.value("HGET", "h", "f%d" % sizes[-1]) == value)


if __name__ == "__main__":
    unittest.main()
