"""Bytes that are not what was written: a torn end is cut and kept, damage is refused with exit 3."""

import pathlib
import random
import struct
import time
import unittest

import harness

SEED = harness.chosen_seed()
MODES = ("always", "everysec", "no")


def setUpModule():
    print("report: damage: seed %d" % SEED)


class LogFile:
    """The frames of a log file (docs/format.md), found as a reader finds them."""

    HEADER = struct.Struct("<4sIIIIIQQqQQ")
    SEGMENT_HEADER_BYTES = 64

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.data = self.path.read_bytes()
        self.frames = []  # (offset, bytes of records, lsn, durable_lsn)
        at = self._first()
        while at is not None and self.data[at:at + 4] == b"FRN1":
            _, _, length, _, _, _, lsn, durable, _, _, _ = self.HEADER.unpack_from(self.data, at)
            self.frames.append((at, length, lsn, durable))
            at += self.HEADER.size + length
        self.end = at

    def _first(self):
        at = self.data.find(b"FRN1", 0, 1 << 16)
        return at if at >= 0 else None

    @staticmethod
    def active(folder):
        """The one that is written last."""
        files = [LogFile(path) for path in pathlib.Path(folder).glob("*.log")]
        return max((file for file in files if file.frames), key=lambda file: file.frames[-1][2])

    def change(self, offset, data):
        with open(self.path, "r+b") as file:
            file.seek(offset)
            file.write(data)

    def flip(self, offset):
        self.change(offset, bytes([self.data[offset] ^ 0x41]))


class Damage(unittest.TestCase):
    def filled(self, mode, keys=200):
        server = harness.firnlog("--appendfsync", mode)
        self.addCleanup(server.close)
        with server.connect() as client:
            for i in range(keys):
                self.assertEqual(client.ask("SET", "key:%d" % i, "value %d" % i), b"+OK\r\n")
        return server

    def quarantined(self, server):
        return list(pathlib.Path(server.folder).glob("quarantine/*"))

    def refused(self, server, path):
        """It does not start, with 3, and says where."""
        server.start(wait=False)
        self.assertEqual(server.wait(), 3, server.log())
        self.assertRegex(server.log(), r"damaged: %s offset \d+ lsn \d+" % path.name)

    def test_garbage_behind_the_end_is_cut_and_kept(self):
        for mode in MODES:
            with self.subTest(mode):
                server = self.filled(mode)
                time.sleep(0.2)
                server.kill()
                file = LogFile.active(server.folder)
                garbage = b"FRN1" + random.Random(SEED).randbytes(3000) + b"end"
                file.change(file.end, garbage)
                server.start()
                self.assertEqual(server.value("DBSIZE"), 200)
                self.assertEqual(server.value("GET", "key:199"), b"value 199")
                kept = self.quarantined(server)
                self.assertEqual(len(kept), 1)
                self.assertEqual(kept[0].read_bytes(), garbage)
                self.assertIn("quarantine", server.log())

    def test_a_torn_last_write_is_cut_and_kept(self):
        server = self.filled("no")
        server.kill()
        file = LogFile.active(server.folder)
        vouched = max(durable for _, _, _, durable in file.frames)
        torn = [frame for frame in file.frames if frame[2] >= vouched and frame[1]]
        self.assertTrue(torn, "under `no` the last frames are not vouched for")
        offset, length, _, _ = torn[-1]
        file.flip(offset + LogFile.HEADER.size + length // 2)
        server.start()
        size = server.value("DBSIZE")
        self.assertLess(size, 200)
        for i in range(200):
            self.assertEqual(server.value("GET", "key:%d" % i),
                             b"value %d" % i if i < size else None)
        self.assertEqual(len(self.quarantined(server)), 1)
        self.assertEqual(server.ask("SET", "key:199", "again"), b"+OK\r\n")
        server.kill()
        server.start()
        self.assertEqual(server.value("GET", "key:199"), b"again")

    def test_a_flipped_byte_among_acknowledged_ones_is_refused_with_3(self):
        for ending in ("kill", "stop"):
            with self.subTest(ending):
                server = self.filled("always")
                getattr(server, ending)()
                file = LogFile.active(server.folder)
                rng = random.Random(SEED)
                frames = [frame for frame in file.frames[:-5] if frame[1]]
                for offset, length, _, _ in rng.sample(frames, 4):
                    at = rng.randrange(offset, offset + LogFile.HEADER.size + length)
                    file.flip(at)
                    self.refused(server, file.path)
                    file.change(at, file.data[at:at + 1])
                # The bytes as they were: nothing had been touched by the refusals.
                server.start()
                self.assertEqual(server.value("DBSIZE"), 200)

    def test_after_a_clean_stop_the_last_byte_counts_too(self):
        server = self.filled("no")
        self.assertEqual(server.stop(), 0)
        file = LogFile.active(server.folder)
        offset, length, _, _ = [frame for frame in file.frames if frame[1]][-1]
        file.flip(offset + LogFile.HEADER.size + length // 2)
        self.refused(server, file.path)

    def test_a_second_server_on_the_directory_is_refused(self):
        server = self.filled("always", keys=1)
        second = harness.firnlog(folder=server.folder, start=False)
        self.addCleanup(second.close)
        second.start(wait=False)
        self.assertEqual(second.wait(), 1)
        self.assertRegex(second.log(), "lock|in use|another")
        self.assertEqual(server.value("GET", "key:0"), b"value 0")


if __name__ == "__main__":
    unittest.main()
