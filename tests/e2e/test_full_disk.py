"""A disk that is full: growth is refused, everything else goes on, and nothing acknowledged is lost.

The store lies on a small ext4 in a file, which needs root and a loop device."""

import errno
import os
import shutil
import subprocess
import tempfile
import time
import unittest

import harness

MIB = 1 << 20
DISK_BYTES = 112 * MIB
# The second is as much as reserve and room for deletions can lack.
BALLAST_BYTES = {"one": 10 * MIB, "two": 25 * MIB}
VALUE = b"x" * 1000


def value_of(number):
    return b"%d " % number + VALUE


class FullDisk(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
            self.skipTest("it mounts a file system: root and mkfs.ext4 are needed")
        self.folder = tempfile.mkdtemp(prefix="firnlog-full-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        image, self.disk = self.path("image"), self.path("disk")
        os.mkdir(self.disk)
        with open(image, "wb") as file:
            file.truncate(DISK_BYTES)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        mounted = subprocess.run(["mount", "-o", "loop", image, self.disk],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if mounted.returncode != 0:
            self.skipTest("no loop device: %s" % mounted.stdout.decode())
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.disk])

    def path(self, name):
        return os.path.join(self.folder, name)

    def grow(self, client, begin, seconds=60):
        """Sets keys from `begin` until one is refused: what was acknowledged, and the refusal."""
        acked, at, until = {}, begin, time.monotonic() + seconds
        while time.monotonic() < until:
            commands = [("SET", "k%d" % i, value_of(i)) for i in range(at, at + 50)]
            for number, reply in enumerate(client.pipeline(commands), at):
                if reply == b"+OK\r\n":
                    acked[number] = value_of(number)
                else:
                    return acked, reply
            at += 50
        self.fail("the disk did not become full")

    def holds(self, client, acked):
        numbers = list(acked)
        for begin in range(0, len(numbers), 500):
            some = numbers[begin : begin + 500]
            got = client.value("MGET", *["k%d" % number for number in some])
            self.assertEqual(got, [acked[number] for number in some])

    def test_growth_is_refused_the_rest_goes_on_and_it_heals_by_itself(self):
        for name, count in BALLAST_BYTES.items():
            with open(os.path.join(self.disk, name), "wb") as file:
                file.write(bytes(count))
                os.fsync(file.fileno())
        folder = os.path.join(self.disk, "store")
        os.mkdir(folder)
        server = harness.firnlog("--appendfsync", "always", folder=folder)
        self.addCleanup(server.close)
        with server.connect() as client:
            client.ask("SET", "fleeting", "v", "PX", "1")
            client.ask("HSET", "hash", "one", "1", "two", "2")
            for name in ("late", "unlinked"):
                client.ask("SET", name, "v")
            acked, refusal = self.grow(client, 0)
            self.assertTrue(refusal.startswith(b"-NOSPACE "), refusal)
            self.assertIn(b"log_supply_status:no_space", client.ask("INFO", "persistence"))
            self.assertIn(b"log_failed:0", client.ask("INFO", "persistence"))
            # Reads, expiry and deletions go on, many of them.
            self.holds(client, acked)
            self.assertEqual(client.ask("GET", "fleeting"), b"$-1\r\n")
            for number in range(500):
                self.assertEqual(client.ask("DEL", "k%d" % number), b":1\r\n")
                del acked[number]
            for command in (("HDEL", "hash", "one"), ("PEXPIREAT", "late", "1"), ("UNLINK", "unlinked"),
                            ("HDEL", "hash", "two")):
                self.assertEqual(client.ask(*command), b":1\r\n", command)
            # What was refused has left nothing behind.
            self.assertEqual(client.value("DBSIZE"), len(acked))
            # More growth, and it is still only refused, with room for deletions.
            more, refusal = self.grow(client, 1_000_000)
            self.assertTrue(refusal.startswith(b"-NOSPACE "), refusal)
            acked.update(more)
            self.assertEqual(client.ask("DEL", "k500"), b":1\r\n")
            del acked[500]
            self.walk_makes_room(client, acked)
            more, refusal = self.grow(client, 3_000_000)
            self.assertTrue(refusal.startswith(b"-NOSPACE "), refusal)
            acked.update(more)
            os.unlink(os.path.join(self.disk, "one"))
            freed = time.monotonic()
            while client.ask("SET", "k600", value_of(600)) != b"+OK\r\n":
                # Within a second: recovery/full_disk_test.cpp measures it, by the simulated clock.
                self.assertLess(time.monotonic() - freed, 20, "writes do not come back")
                time.sleep(0.01)
            acked[600] = value_of(600)
            for number in range(2_000_000, 2_002_000):
                self.assertEqual(client.ask("SET", "k%d" % number, value_of(number)), b"+OK\r\n")
                acked[number] = value_of(number)
            # More of it, and what the next full disk is met with is there again.
            os.unlink(os.path.join(self.disk, "two"))
            self.assertTrue(harness.eventually(lambda: self.number(client, "reserve_bytes") >=
                                               self.number(client, "reserve_wanted_bytes")))
        server.kill()
        self.start_on_a_full_disk(server, acked)
        server.start()
        with server.connect() as client:
            self.holds(client, acked)
            self.assertEqual(client.value("DBSIZE"), len(acked))
        server.close()

    def test_a_reader_of_the_past_is_put_out_and_nobody_is_refused_for_ever(self):
        folder = os.path.join(self.disk, "store")
        os.mkdir(folder)
        # Nothing but a full disk puts anybody out here.
        server = harness.firnlog("--appendfsync", "everysec", "--retain-bytes", "1000gb", folder=folder)
        self.addCleanup(server.close)
        with server.connect() as client, server.connect() as past:
            self.assertEqual(client.ask("SET", "then", "v"), b"+OK\r\n")
            past.value("FIRN", "ASOF", "AT", "-0s")
            self.assertEqual(past.ask("GET", "then"), b"$1\r\nv\r\n")
            # Three disks full, of a few keys: there is always something that may go.
            written, refused, until = 0, 0, time.monotonic() + 120
            while written < 3 * DISK_BYTES:
                replies = client.pipeline([("SET", "k%d" % i, VALUE) for i in range(500)])
                written += len(VALUE) * replies.count(b"+OK\r\n")
                refused += len(replies) - replies.count(b"+OK\r\n")
                self.assertLess(time.monotonic(), until, "%d were refused" % refused)
                # It reads on and on.
                self.assertIn(past.ask("GET", "then")[:9], (b"$1\r\nv\r\n", b"-ASOFGONE"))
            self.assertTrue(past.ask("GET", "then").startswith(b"-ASOFGONE"))
            self.assertEqual(self.number(client, "pasts_gone"), 1)
            self.assertEqual(self.number(client, "pasts_open"), 0)
            self.assertIn(b"history_held_up:0", client.ask("INFO", "persistence"))
            self.assertEqual(client.value("GET", "k499"), VALUE)

    def number(self, client, field):
        return int(harness.info(client, "persistence")[field])

    def walk_makes_room(self, client, acked):
        """Nobody frees anything but the server itself, of what was deleted."""
        self.assertIn(b"disk_status:full", client.ask("INFO", "persistence"))
        walks = self.number(client, "emergency_walks")
        gone = list(acked)[: len(acked) * 2 // 3]
        for begin in range(0, len(gone), 100):
            some = gone[begin : begin + 100]
            self.assertEqual(client.value("DEL", *["k%d" % number for number in some]), len(some))
        for number in gone:
            del acked[number]
        until = time.monotonic() + 20
        while client.ask("SET", "k600", value_of(600)) != b"+OK\r\n":
            self.assertLess(time.monotonic(), until, "the walk frees nothing")
            time.sleep(0.01)
        acked[600] = value_of(600)
        self.assertGreater(self.number(client, "emergency_walks"), walks)
        self.assertGreater(self.number(client, "freed_bytes"), len(gone) * len(VALUE) // 2)
        self.holds(client, acked)

    def start_on_a_full_disk(self, server, acked):
        """It finds the room for the end of the log in its reserve, and refuses only growth."""
        filler = os.path.join(self.disk, "filler")
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(64 * 1024))
            except OSError as full:
                self.assertEqual(full.errno, errno.ENOSPC)
        server.start()
        with server.connect() as client:
            self.holds(client, acked)
            number = next(iter(acked))
            self.assertEqual(client.ask("DEL", "k%d" % number), b":1\r\n")
            del acked[number]
        server.kill()
        os.unlink(filler)


if __name__ == "__main__":
    unittest.main()
