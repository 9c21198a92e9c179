"""firnlog restore: the real program on a real store, beside a server that serves it, over kills."""

import hashlib
import os
import pathlib
import random
import re
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

import harness

PROVE = bool(os.environ.get("FIRNLOG_PROVE"))


def restore(source, *options):
    return subprocess.run([harness.FIRNLOG, "restore", "--from", source, *map(str, options)],
                          capture_output=True, text=True, timeout=300)


def line(result, what):
    """What the line of that name says."""
    found = re.search(rf"^{what} +(.*)$", result.stdout, re.M)
    assert found, (what, result)
    return found[1]


class Restore(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="firnlog-e2e-restore-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.made = 0

    def target(self):
        self.made += 1
        return os.path.join(self.folder, str(self.made))

    def marked(self, client, name):
        """Names this moment; the digest of everything in it."""
        for command in (("MULTI",), ("FIRN", "MARK", name), ("FIRN", "DIGEST")):
            client.ask(*command)
        return client.value("EXEC")[1].decode()

    def test_every_mark_of_a_random_history_is_restored_with_its_digest(self):
        """MULTI, expiry, FLUSHALL, SWAPDB, RENAME, large values, hashes, checkpoints and kills."""
        seed = int(os.environ.get("FIRNLOG_SEED", "0")) or random.randrange(1 << 30)
        rng = random.Random(seed)
        rounds, steps = (40, 2000) if PROVE else (8, 150)
        digests = {}
        with harness.firnlog("--appendfsync", "no", "--segment-bytes-max", "4mb") as server:
            for number in range(rounds):
                with server.connect() as client:
                    self.random_writes(client, rng, steps)
                    digests["m%d" % number] = self.marked(client, "m%d" % number)
                    # Behind the mark, so that it lies amid a file.
                    self.random_writes(client, rng, steps // 3)
                    if rng.random() < 0.3:
                        client.ask("SAVE")
                if rng.random() < 0.4:
                    server.kill()
                    server.start()
            chosen = rng.sample(sorted(digests), 12 if PROVE else 4)
            for mark in chosen:
                with self.subTest(mark=mark, seed=seed):
                    to = self.target()
                    result = restore(server.folder, "--to", to, "--mark", mark, "--ttl", "keep")
                    self.assertEqual(result.returncode, 0, result)
                    self.assertEqual(line(result, "digest"), digests[mark])
                    with harness.firnlog(folder=to) as second:
                        # Nothing expires within the seconds of this test.
                        self.assertEqual(second.value("FIRN", "DIGEST").decode(), digests[mark])
                        self.assertEqual(second.ask("SET", "k", "v"), b"+OK\r\n")
                    shutil.rmtree(to)

    def random_writes(self, client, rng, count):
        commands = []
        for _ in range(count):
            key = "key:%d" % rng.randrange(60)
            other = "key:%d" % rng.randrange(60)
            hash_key = "hash:%d" % rng.randrange(8)
            far = 3600 + rng.randrange(10_000)
            pick = rng.random()
            if pick < 0.30:
                commands.append(("SET", key, "v" * rng.randrange(1, 2000)))
            elif pick < 0.45:
                commands.append(("HSET", hash_key, "f%d" % rng.randrange(50), "v" * 30))
            elif pick < 0.55:
                commands.append(("DEL", key))
            elif pick < 0.62:
                commands.append(("RENAME", key, other))
            elif pick < 0.70:
                commands.append(("EXPIRE", key, far))
            elif pick < 0.75:
                commands.append(("HDEL", hash_key, "f%d" % rng.randrange(50)))
            elif pick < 0.80:
                commands.append(("SETRANGE", "big:%d" % rng.randrange(3), rng.randrange(200_000),
                                 "x" * rng.randrange(1, 20000)))
            elif pick < 0.90:
                commands += [("MULTI",), ("SET", key, "1"), ("SET", other, "2"),
                             ("HSET", hash_key, "f", "m"), ("EXEC",)]
            elif pick < 0.94:
                commands.append(("SELECT", rng.randrange(3)))
            elif pick < 0.96:
                commands.append(("SWAPDB", rng.randrange(3), rng.randrange(3)))
            elif pick < 0.97:
                commands.append(("FLUSHDB",) if rng.random() < 0.7 else ("FLUSHALL",))
            else:
                commands.append(("APPEND", key, "+" * rng.randrange(1, 300)))
        client.pipeline(commands)

    def test_a_wrong_flushall_is_undone_beside_the_live_server(self):
        with harness.firnlog("--segment-bytes-max", "4mb") as server, server.connect() as client:
            client.pipeline([("SET", "user:%d" % i, "x" * 1000) for i in range(6000)])
            good = self.marked(client, "good")
            stop = threading.Event()

            def traffic():
                with server.connect() as busy:
                    number = 0
                    while not stop.is_set():
                        number += 1
                        busy.ask("SET", "other:%d" % number, "y" * 100)

            writer = threading.Thread(target=traffic)
            writer.start()
            try:
                time.sleep(0.2)
                client.ask("FLUSHALL")
                time.sleep(0.2)
                to = self.target()
                result = restore(server.folder, "--to", to, "--mark", "good")
            finally:
                stop.set()
                writer.join()
            self.assertEqual(result.returncode, 0, result)
            self.assertEqual(line(result, "digest"), good)
            # Full files are the same files: nothing was copied.
            self.assertRegex(line(result, "took"), r"[1-9]\d* linked, 0 cloned, 0 copied")
            with harness.firnlog(folder=to) as second:
                self.assertEqual(second.value("DBSIZE"), 6000)
                self.assertEqual(second.value("GET", "user:77"), b"x" * 1000)

    def test_a_dry_run_and_a_time_tell_the_same_and_write_nothing(self):
        with harness.firnlog() as server, server.connect() as client:
            client.ask("SET", "a", "1")
            first = client.value("FIRN", "DIGEST").decode()
            time.sleep(0.05)
            seconds, micros = client.value("TIME")
            now = int(seconds) * 1_000_000 + int(micros)
            time.sleep(0.05)
            client.ask("SET", "a", "2")
            at = "@%d.%06d" % (now // 1_000_000, now % 1_000_000)
            for option in ("--at", "--before"):
                result = restore(server.folder, "--dry-run", option, at)
                self.assertEqual(result.returncode, 0, result)
                self.assertEqual(line(result, "digest"), first)
                self.assertIn("1, 0 of them expire", line(result, "keys"))
            self.assertEqual(os.listdir(self.folder), [])

    def test_only_some_keys(self):
        with harness.firnlog() as server, server.connect() as client:
            client.pipeline([("SET", "a:1", "v"), ("SET", "b:1", "v"), ("HSET", "a:h", "f", "v"),
                             ("FIRN", "MARK", "m"), ("DEL", "a:1")])
            to = self.target()
            result = restore(server.folder, "--to", to, "--mark", "m", "--keys", "a:*")
            self.assertEqual(result.returncode, 0, result)
        with harness.firnlog(folder=to) as second:
            self.assertEqual(second.value("DBSIZE"), 2)
            self.assertEqual(second.value("HGET", "a:h", "f"), b"v")

    def test_of_some_keys_a_dry_run_tells_what_a_restore_of_them_brings(self):
        with harness.firnlog() as server, server.connect() as client:
            for database in (0, 3):
                client.ask("SELECT", database)
                client.pipeline([("SET", "a:%d" % i, "v%d" % database) for i in range(50)] +
                                [("SET", "b:%d" % i, "w") for i in range(1000)] +
                                [("SET", "a:brief", "v", "EX", 10_000), ("HSET", "a:h", "f", "v"),
                                 ("SETRANGE", "a:big", 100_000, "x")])
            client.ask("SET", "a:due", "v", "PX", 1)
            time.sleep(0.05)
            client.ask("FIRN", "MARK", "m")
            client.pipeline([("DEL", "a:1", "a:h"), ("SET", "a:2", "later"), ("SET", "a:new", "1")])
            where = ("--mark", "m", "--keys", "a:*")
            dry = restore(server.folder, *where, "--dry-run")
            self.assertEqual((dry.returncode, line(dry, "keys")), (0, "106, 2 of them expire"), dry)
            without = restore(server.folder, *where, "--dry-run", "--no-digest")
            self.assertEqual(line(without, "keys"), line(dry, "keys"))
            self.assertNotIn("digest", without.stdout)
            to = self.target()
            done = restore(server.folder, "--to", to, *where, "--ttl", "keep")
            self.assertEqual(done.returncode, 0, done)
            self.assertEqual(line(done, "took"), "106 keys copied")
            for what in ("keys", "digest", "moment"):
                self.assertEqual(line(done, what), line(dry, what))
            # Of none there is a digest, too, and it is that of an empty store.
            none = restore(server.folder, "--mark", "m", "--keys", "c:*", "--dry-run")
            self.assertEqual((line(none, "keys"), line(none, "digest")),
                             ("0, 0 of them expire", "0" * 40))
        with harness.firnlog(folder=to) as second:
            self.assertEqual(second.value("FIRN", "DIGEST").decode(), line(done, "digest"))

    def test_the_source_is_not_touched_and_neither_store_hurts_the_other(self):
        def digest_of(folder):
            return {path.name: hashlib.sha1(path.read_bytes()).hexdigest()
                    for path in pathlib.Path(folder).iterdir() if path.is_file()}

        with harness.firnlog("--segment-bytes-max", "4mb") as server:
            with server.connect() as client:
                client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(12000)])
                good = self.marked(client, "m")
            server.stop()
            before = digest_of(server.folder)
            to = self.target()
            self.assertEqual(restore(server.folder, "--to", to, "--mark", "m").returncode, 0)
            self.assertEqual(digest_of(server.folder), before)
            with harness.firnlog("--segment-bytes-max", "4mb", folder=to) as second:
                with second.connect() as client:
                    client.pipeline([("SET", "k%d" % i, "other" * 100) for i in range(12000)])
                    client.ask("SAVE")
            self.assertEqual(digest_of(server.folder), before)
            self.assertEqual(line(restore(server.folder, "--dry-run"), "digest"), good)
            shutil.rmtree(server.folder)
            self.assertEqual(line(restore(to, "--dry-run", "--mark", "m"), "digest"), good)

    def test_what_cannot_be_is_refused_in_words(self):
        with harness.firnlog() as server, server.connect() as client:
            client.ask("SET", "a", "1")
            for options, why in (
                (("--mark", "none"), "no mark of that name"),
                (("--at", "noon"), "a time is like"),
                (("--at", "2001-01-01"), "the store was made at"),
                (("--lsn", "999999999"), "the log ends at lsn"),
                (("--at", "-1s", "--mark", "m"), "one moment is enough"),
            ):
                result = restore(server.folder, "--to", self.target(), *options)
                self.assertEqual(result.returncode, 1, result)
                self.assertIn(why, result.stderr)
            full = self.target()
            os.mkdir(full)
            pathlib.Path(full, "mine").write_text("mine")
            result = restore(server.folder, "--to", full)
            self.assertEqual(result.returncode, 1)
            self.assertIn("not an empty directory", result.stderr)
            self.assertEqual(os.listdir(full), ["mine"])
        empty = self.target()
        os.mkdir(empty)
        result = restore(empty, "--dry-run")
        self.assertEqual(result.returncode, 1)
        self.assertIn("not a store", result.stderr)


if __name__ == "__main__":
    unittest.main()
