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
DISK_BYTES = 64 * MIB
BALLAST_BYTES = 10 * MIB
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
        ballast = [os.path.join(self.disk, name) for name in ("one", "two")]
        for name in ballast:
            with open(name, "wb") as file:
                file.write(bytes(BALLAST_BYTES))
                os.fsync(file.fileno())
        folder = os.path.join(self.disk, "store")
        os.mkdir(folder)
        server = harness.firnlog("--appendfsync", "always", folder=folder)
        self.addCleanup(server.close)
        with server.connect() as client:
            client.ask("SET", "fleeting", "v", "PX", "1")
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
            # What was refused has left nothing behind.
            self.assertEqual(client.value("DBSIZE"), len(acked))
            # More growth, and it is still only refused, with room for deletions.
            more, refusal = self.grow(client, 1_000_000)
            self.assertTrue(refusal.startswith(b"-NOSPACE "), refusal)
            acked.update(more)
            self.assertEqual(client.ask("DEL", "k500"), b":1\r\n")
            del acked[500]
            os.unlink(ballast[0])
            freed = time.monotonic()
            while client.ask("SET", "k600", value_of(600)) != b"+OK\r\n":
                self.assertLess(time.monotonic() - freed, 1, "writes do not come back")
                time.sleep(0.01)
            acked[600] = value_of(600)
            for number in range(2_000_000, 2_002_000):
                self.assertEqual(client.ask("SET", "k%d" % number, value_of(number)), b"+OK\r\n")
                acked[number] = value_of(number)
        server.kill()
        self.start_on_a_full_disk(server, acked)
        os.unlink(ballast[1])
        server.start()
        with server.connect() as client:
            self.holds(client, acked)
            self.assertEqual(client.value("DBSIZE"), len(acked))
        server.close()

    def start_on_a_full_disk(self, server, acked):
        """It serves, or says that the tail needs room; it never calls the store damaged."""
        filler = os.path.join(self.disk, "filler")
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(64 * 1024))
            except OSError as full:
                self.assertEqual(full.errno, errno.ENOSPC)
        server.start(wait=False)
        try:
            server.wait_ready()
        except RuntimeError:
            self.assertEqual(server.wait(), 1)
            self.assertRegex(server.log(), "No space left on device.*; free some space")
        else:
            with server.connect() as client:
                self.holds(client, acked)
            server.kill()
        os.unlink(filler)


if __name__ == "__main__":
    unittest.main()
