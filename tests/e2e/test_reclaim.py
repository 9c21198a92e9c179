"""What nobody needs is given back: files of the log go when neither a fall-back nor the window asks for
them, and nothing that was acknowledged goes with them.
"""

import os
import pathlib
import random
import subprocess
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
    return sum(path.stat().st_size for path in pathlib.Path(server.folder).iterdir())


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
                # Two checkpoints and the log since the older one; beside it what lies ready.
                self.assertLess(disk_bytes(server), 45 << 20)
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
            content = bytearray(newest.read_bytes())
            content[5000] ^= 1
            newest.write_bytes(content)
            server.start()
            with server.connect() as client:
                self.assertNotEqual(info(client)["recovery_checkpoint_fault"], "")
                self.assertEqual(client.value("FIRN", "DIGEST"), digest)
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

    def test_a_store_that_cannot_be_opened_without_its_checkpoints_says_so(self):
        with harness.firnlog(*SMALL, "--retain", 0) as server:
            with server.connect() as client:
                for round_ in range(4):
                    overwrite(client, round_)
                    client.ask("SAVE")
                self.save_until(client, lambda told: int(told["freed_bytes"]) > 0)
            self.assertEqual(server.stop(), 0)
            for path in pathlib.Path(server.folder).glob("*.ckpt"):
                content = bytearray(path.read_bytes())
                content[5000] ^= 1
                path.write_bytes(content)
            self.assertEqual(run("check", server.folder).returncode, 3)
            ended = run("serve", "--dir", server.folder, "--port", harness.free_port())
            self.assertEqual(ended.returncode, 3, ended.stdout + ended.stderr)
            self.assertIn("given back", ended.stdout + ended.stderr)

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


if __name__ == "__main__":
    unittest.main()
