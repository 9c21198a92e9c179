"""What nobody needs is given back: files of the log go when neither a fall-back nor the window asks for
them, and nothing that was acknowledged goes with them.
"""

import contextlib
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

import harness

SEED = int(os.environ.get("FIRNLOG_SEED") or random.randrange(1 << 32))
PROVE = bool(os.environ.get("FIRNLOG_PROVE"))
KILLS = 100 if PROVE else 5
KEYS = 2000
SMALL = ("--save", "", "--segment-bytes-max", "4mb")


def setUpModule():
    print("report: reclaim: seed %d" % SEED)


def info(client):
    fields = {}
    for line in client.value("INFO", "persistence").decode().split("\r\n"):
        if ":" in line:
            name, value = line.split(":", 1)
            fields[name] = value
    return fields


def run(*words):
    argv = [harness.FIRNLOG] + [str(word) for word in words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def disk_bytes(server):
    bytes_all = 0
    for path in pathlib.Path(server.folder).iterdir():
        with contextlib.suppress(FileNotFoundError):
            bytes_all += path.stat().st_size
    return bytes_all


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def overwrite(client, round_, keys=KEYS):
    client.pipeline([("SET", "k:%d" % i, "%d:%d:" % (round_, i) + "v" * 3000) for i in range(keys)])


class Reclaim(unittest.TestCase):
    def expect(self, client, round_, keys=KEYS):
        replies = client.pipeline([("GET", "k:%d" % i) for i in range(keys)])
        for i, reply in enumerate(replies):
            self.assertIn(b"\n%d:%d:" % (round_, i), reply[:24])

    def save_until(self, client, condition):
        """Full segments are read from the file a little later than they are full; then they count."""
        until = time.monotonic() + 20
        while True:
            self.assertEqual(client.ask("SAVE"), b"+OK\r\n")
            told = info(client)
            if condition(told):
                return told
            self.assertLess(time.monotonic(), until, told)
            time.sleep(0.2)

    def test_without_a_window_files_go_and_nothing_else_does(self):
        with harness.firnlog(*SMALL, "--retain", 0) as server:
            with server.connect() as client:
                client.ask("SET", "deleted", "it must not come back")
                for round_ in range(8):
                    overwrite(client, round_)
                    client.ask("DEL", "deleted")
                    self.assertEqual(client.ask("SAVE"), b"+OK\r\n")
                told = self.save_until(client, lambda told: int(told["freed_bytes"]) > 30 << 20)
                self.assertEqual(told["history_bytes"], "0")
                self.assertEqual(told["window_seconds"], "0")
                # Two checkpoints and the log since the older one; beside it what lies ready, and
                # what is set aside.
                aside = (pathlib.Path(server.folder) / "reserve").stat().st_size
                self.assertLess(aside, 20 << 20)
                self.assertLess(disk_bytes(server) - aside, 45 << 20)
                self.expect(client, 7)
                digest = client.value("FIRN", "DIGEST")
            server.kill()
            self.assertEqual(run("check", server.folder).returncode, 0)
            server.start()
            with server.connect() as client:
                self.assertEqual(client.value("FIRN", "DIGEST"), digest)
                self.assertEqual(client.value("EXISTS", "deleted"), 0)
                self.expect(client, 7)
            # A damaged newest checkpoint costs time and nothing else.
            self.assertEqual(server.stop(), 0)
            newest = sorted(pathlib.Path(server.folder).glob("*.ckpt"))[-1]
            flip(newest, 5000)
            server.start()
            with server.connect() as client:
                # Found by the start, or by the first to touch the page; what is made anew is refused
                # until it is there, and never wrong.
                self.assertTrue(harness.eventually(
                    lambda: not client.ask("FIRN", "DIGEST").startswith(b"-LOADING"), 30))
                self.assertEqual(client.value("FIRN", "DIGEST"), digest)
                told = info(client)
                self.assertIn("checkpoint", told["recovery_checkpoint_fault"] + told["index_fault"])
                self.assertEqual(client.value("EXISTS", "deleted"), 0)

    def test_the_window_keeps_the_past_until_it_is_closed(self):
        with harness.firnlog(*SMALL) as server:
            with server.connect() as client:
                self.assertEqual(client.value("CONFIG", "GET", "retain")[1], b"24h")
                for round_ in range(5):
                    overwrite(client, round_)
                    client.ask("SAVE")
                told = self.save_until(client, lambda told: int(told["history_bytes"]) > 12 << 20)
                self.assertEqual(told["freed_bytes"], "0")
                self.assertEqual(told["window_seconds"], "86400")
                # A bound in bytes outranks the time.
                self.assertEqual(client.ask("CONFIG", "SET", "retain-bytes", "10mb"), b"+OK\r\n")
                client.ask("SAVE")
                told = info(client)
                self.assertGreater(int(told["freed_bytes"]), 0)
                self.assertLessEqual(int(told["history_bytes"]), 10 << 20)
                self.assertEqual(client.ask("CONFIG", "SET", "retain", "0"), b"+OK\r\n")
                client.ask("SAVE")
                self.assertEqual(info(client)["history_bytes"], "0")
                self.expect(client, 4)

    def test_which_moments_outlive_the_window_is_a_rule(self):
        started = run("serve", "--dir", ".", "--port", harness.free_port(), "--keep", "hourly:0")
        self.assertEqual(started.returncode, 1, started.stdout + started.stderr)
        self.assertIn("hourly:N", started.stdout + started.stderr)
        with harness.firnlog(*SMALL, "--retain", 0, "--keep", "hourly:24,daily:7") as server:
            with server.connect() as client:
                self.assertEqual(client.value("CONFIG", "GET", "keep")[1], b"hourly:24,daily:7")
                self.assertIn(b"hourly:N", client.ask("CONFIG", "SET", "keep", "now and then"))
                for round_ in range(4):
                    overwrite(client, round_, keys=100)
                    self.assertEqual(client.ask("SAVE"), b"+OK\r\n")
                told = harness.info(client, "history", "persistence")
                self.assertEqual(told["history_keep"], "hourly:24,daily:7")
                self.assertEqual(told["history_bases"], "2")
                self.assertGreater(int(told["history_newest_lsn"]), int(told["history_oldest_lsn"]))
                # Of one hour at most the newest is kept, but for a test at the hour's end.
                self.assertLessEqual(int(told["kept_moments"]), 2)
                # Who keeps what, and with them all of history.
                who = {name: int(told["history_%s_bytes" % name])
                       for name in ("window", "kept", "archive", "unasked", "fall_back")}
                self.assertGreater(who.pop("fall_back"), 0)
                self.assertEqual(str(sum(who.values())), told["history_bytes"])
                offline = run("history", server.folder).stdout
                self.assertRegex(offline, r"(?m)^keeps .*, %d for kept moments$" % who["kept"])
                self.assertEqual((told["history_pins"], told["history_pinned_by"]), ("0", ""))
                self.assertEqual(client.ask("CONFIG", "SET", "keep", ""), b"+OK\r\n")
                client.ask("SAVE")
                self.assertEqual(harness.info(client, "history")["kept_moments"], "0")

    @contextlib.contextmanager
    def without_its_beginning(self):
        """A stopped server whose log's beginning was given back, and its checkpoints."""
        with harness.firnlog(*SMALL, "--retain", 0) as server:
            with server.connect() as client:
                for round_ in range(4):
                    overwrite(client, round_)
                    client.ask("SAVE")
                self.save_until(client, lambda told: int(told["freed_bytes"]) > 0)
            self.assertEqual(server.stop(), 0)
            yield server, list(pathlib.Path(server.folder).glob("*.ckpt"))

    def test_a_store_that_cannot_be_opened_without_its_checkpoints_says_so(self):
        with self.without_its_beginning() as (server, checkpoints):
            for path in checkpoints:
                flip(path, 100)
            self.assertEqual(run("check", server.folder).returncode, 3)
            ended = run("serve", "--dir", server.folder, "--port", harness.free_port())
            self.assertEqual(ended.returncode, 3, ended.stdout + ended.stderr)
            self.assertIn("given back", ended.stdout + ended.stderr)

    def test_a_page_that_no_checkpoint_has_sound_is_refused_and_all_else_is_served(self):
        with self.without_its_beginning() as (server, checkpoints):
            for path in checkpoints:
                flip(path, 5000)
            self.assertEqual(run("check", server.folder).returncode, 3)
            server.start()
            with server.connect() as client:
                told = {}

                def given_up():
                    told.update(info(client))
                    return "cannot be made anew" in server.log()

                self.assertTrue(harness.eventually(given_up, 30), told)
                lost = int(info(client)["index_parts_lost"])
                self.assertGreater(lost, 0)
                replies = client.pipeline([("GET", "k:%d" % i) for i in range(KEYS)])
                refused = [i for i, reply in enumerate(replies) if reply.startswith(b"-CORRUPT")]
                self.assertTrue(0 < len(refused) < KEYS / 10, refused)
                for i, reply in enumerate(replies):
                    if i not in refused:
                        self.assertIn(b"\n3:%d:" % i, reply[:24])
                # Nothing changes it either, and whoever goes over all keys is told.
                self.assertTrue(client.ask("SET", "k:%d" % refused[0], "x").startswith(b"-CORRUPT"))
                self.assertTrue(client.ask("DBSIZE").startswith(b":%d" % KEYS))
                self.assertTrue(client.ask("FIRN", "DIGEST").startswith(b"-CORRUPT"))
                self.assertIn("firnlog repair", server.log())
                # No checkpoint can be taken of it, and whoever asks for one need not wait.
                self.assertTrue(client.ask("SAVE").startswith(b"-ERR"))

    def test_a_kill_at_any_moment_of_it_loses_nothing(self):
        rng = random.Random(SEED)
        with harness.firnlog(*SMALL, "--retain", 0, "--appendfsync", "everysec") as server:
            freed = 0
            acked = -1
            for kill in range(KILLS):
                stop = threading.Event()

                def write():
                    nonlocal acked
                    try:
                        with server.connect() as client:
                            while not stop.is_set():
                                overwrite(client, acked + 1, 500)
                                acked += 1
                                client.ask("BGSAVE")
                    except (OSError, harness.Closed):
                        pass

                writer = threading.Thread(target=write)
                writer.start()
                stop.wait(0.4 + rng.random())
                with server.connect() as client:
                    freed += int(info(client)["freed_bytes"])
                server.kill()
                stop.set()
                writer.join()
                server.start()
                with server.connect() as client:
                    if acked < 0:
                        continue
                    replies = client.pipeline([("GET", "k:%d" % i) for i in range(500)])
                    for i, reply in enumerate(replies):
                        round_ = int(reply.split(b"\n", 1)[1].split(b":", 1)[0])
                        self.assertIn(round_, (acked, acked + 1), "key %d after kill %d" % (i, kill))
                    acked += 1
                    overwrite(client, acked, 500)
            print("report: reclaim: kills %d, bytes given back %d" % (KILLS, freed))
            self.assertGreater(freed, 0)


class Overwrites(unittest.TestCase):
    """A load of overwrites, and beside it values that nobody touches: they are moved, and moved again."""

    KEYS = 1_000_000 if PROVE else 60_000
    WRITES = 20 * KEYS if PROVE else 400_000
    VALUE = 300
    # 12 of a record's head, 16 of the key, to a multiple of 8.
    LIVE = KEYS * 328

    def load(self, server, writes):
        program = shutil.which("redis-benchmark")
        if program is None:
            self.skipTest("redis-benchmark is not installed")
        argv = [program, "-p", server.port, "-t", "set", "-q", "-P", 2, "-c", 4]
        argv += ["-n", writes, "-r", self.KEYS, "-d", self.VALUE]
        return subprocess.Popen([str(word) for word in argv], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def leave(self, client, part):
        client.pipeline([("SET", "still:%d:%d" % (part, i), "s%d" % (i * part) * 9)
                         for i in range(400)])
        client.pipeline([("HSET", "fields", "f%d:%d" % (part, i), i) for i in range(200)])
        client.pipeline([("SET", "big:%d" % part, "B" * 150_000),
                         ("SETRANGE", "big:%d" % part, 70_000 + part, "patched"),
                         ("SET", "gone:%d" % part, "x"), ("HSET", "gone too", "f", part)])
        client.ask("DEL", "gone:%d" % part, "gone too")

    def expect(self, client, parts):
        for part in range(parts):
            replies = client.pipeline([("GET", "still:%d:%d" % (part, i)) for i in range(400)])
            for i, reply in enumerate(replies):
                self.assertIn(b"s%d" % (i * part) * 9 + b"\r\n", reply)
            replies = client.pipeline([("HGET", "fields", "f%d:%d" % (part, i)) for i in range(200)])
            for i, reply in enumerate(replies):
                self.assertTrue(reply.endswith(b"\n%d\r\n" % i), reply)
            big = b"B" * (70_000 + part) + b"patched" + b"B" * (150_000 - 70_007 - part)
            self.assertEqual(client.value("GET", "big:%d" % part), big)
            self.assertEqual(client.value("EXISTS", "gone:%d" % part, "gone too"), 0)

    def test_the_disk_stays_bounded_and_nothing_is_lost_over_kills(self):
        rng = random.Random(SEED)
        with harness.firnlog(*SMALL, "--retain", 0) as server:
            parts = 0
            peak = 0
            while parts < 4:
                with server.connect() as client:
                    self.leave(client, parts)
                parts += 1
                load = self.load(server, self.WRITES // 4)
                while load.poll() is None:
                    peak = max(peak, disk_bytes(server))
                    time.sleep(0.05)
            with server.connect() as client:
                told = info(client)
                self.assertGreater(int(told["relocated_records"]), 0)
                self.assertGreater(int(told["freed_bytes"]), self.LIVE)
                self.expect(client, parts)
            print("report: reclaim: live %d, the disk's peak %d: %.2f times, written %d, moved %s"
                  % (self.LIVE, peak, peak / self.LIVE, self.WRITES * 328, told["relocated_bytes"]))
            # How far a walk is behind depends on the machine; without any it were the factor of writes.
            self.assertLess(peak, 5 * self.LIVE + (16 << 20))
            for kill in range(KILLS):
                with server.connect() as client:
                    self.leave(client, parts)
                parts += 1
                load = self.load(server, self.WRITES)
                time.sleep(0.5 + rng.random())
                server.kill()
                load.wait()
                server.start()
                with server.connect() as client:
                    self.expect(client, parts)
                    digest = client.value("FIRN", "DIGEST")
                if kill % 2 == 0:
                    server.restart()
                    with server.connect() as client:
                        self.assertEqual(client.value("FIRN", "DIGEST"), digest)
            self.assertEqual(server.stop(), 0)
            checked = run("check", server.folder)
            self.assertEqual(checked.returncode, 0, checked.stdout)
            with tempfile.TemporaryDirectory() as aside:
                repaired = run("repair", server.folder, "--to", aside + "/new")
                self.assertEqual(repaired.returncode, 0, repaired.stdout + repaired.stderr)
                restored = run("restore", "--from", server.folder, "--to", aside + "/restored",
                               "--ttl", "keep")
                self.assertEqual(restored.returncode, 0, restored.stdout + restored.stderr)
                for name in ("/new", "/restored"):
                    with harness.firnlog(folder=aside + name) as second, second.connect() as client:
                        self.assertEqual(client.value("FIRN", "DIGEST"), digest, name)


if __name__ == "__main__":
    unittest.main()
