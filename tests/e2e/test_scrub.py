"""The scrubber: what rots in a file of a running server is told within a pass, and nothing else is."""

import os
import pathlib
import re
import threading
import unittest

import harness

KEYS = 1500
VALUE = 8000  # so that the first segments, of 4 and 8 MiB, are full
# As fast as it goes, and none by itself while a test runs.
FAST = ("--scrub-rate", "100gb", "--scrub-interval", "1000d")


class Scrub(unittest.TestCase):
    def serve(self, *options):
        server = harness.firnlog("--segment-bytes-max", 8 << 20, "--appendfsync", "everysec",
                                 *options)
        self.addCleanup(server.close)
        client = server.connect()
        self.addCleanup(client.close)
        return server, client

    def fill(self, client, keys=KEYS):
        for at in range(0, keys, 100):
            client.pipeline([("SET", "key%d" % i, b"%06d" % i * (VALUE // 6))
                             for i in range(at, at + 100)])

    def field(self, client, name):
        return harness.info(client, "persistence")[name]

    def status(self, client):
        reply = client.value("FIRN", "SCRUB", "STATUS")
        return {k.decode(): v for k, v in zip(reply[::2], reply[1::2])}

    def scrubbed(self, client):
        """A whole pass; its status."""
        before = int(self.field(client, "scrub_passes"))
        self.assertEqual(client.ask("FIRN", "SCRUB", "START"), b"+Scrub started\r\n")
        self.assertTrue(harness.eventually(
            lambda: int(self.field(client, "scrub_passes")) == before + 1, 300), self.status(client))
        return self.status(client)

    def flip(self, path, offset):
        with open(path, "r+b", buffering=0) as file:
            byte = os.pread(file.fileno(), 1, offset)
            os.pwrite(file.fileno(), bytes([byte[0] ^ 1]), offset)
            os.fsync(file.fileno())

    def test_a_byte_that_rots_is_told_within_a_pass_and_forgotten_when_it_is_sound_again(self):
        server, client = self.serve(*FAST)
        self.fill(client)
        client.ask("SAVE")
        status = self.scrubbed(client)
        self.assertEqual((status["faults"], status["last_fault"], status["error"]), (0, b"", b""))
        self.assertGreater(status["bytes"], 4 << 20)
        self.assertNotIn("scrub: damaged", server.log())
        first = pathlib.Path(server.folder, "0000000001.log")
        checkpoint = sorted(pathlib.Path(server.folder).glob("*.ckpt"))[-1]
        offset = first.read_bytes().index(b"%06d" % 7 * 100) + 4000
        for path, at in ((first, offset), (checkpoint, checkpoint.stat().st_size // 2)):
            with self.subTest(path.name):
                self.flip(path, at)
                status = self.scrubbed(client)
                self.assertEqual(status["faults"], 1)
                told = re.search(r"scrub: damaged: (\S+) offset (\d+): .* \(lsn (\d+)\)",
                                 server.log()[-2000:])
                self.assertIsNotNone(told, server.log())
                self.assertEqual(self.field(client, "scrub_faults"), "1")
                last = self.field(client, "scrub_last_fault")
                self.assertTrue(last.startswith(path.name + " offset "), last)
                self.assertLessEqual(int(last.split()[2].rstrip(":")), at)
                self.flip(path, at)
                self.assertEqual(self.scrubbed(client)["faults"], 0)
        # The record, its file and its lsn.
        self.assertRegex(server.log(), r"scrub: damaged: 0000000001\.log offset \d+: .* \(lsn \d+\)")

    def test_files_that_go_meanwhile_are_no_fault(self):
        server, client = self.serve("--retain", "0", *FAST)
        over = threading.Event()

        def scrub():
            with server.connect() as other:
                while not over.is_set():
                    other.ask("FIRN", "SCRUB", "START")

        thread = threading.Thread(target=scrub)
        thread.start()
        try:
            for round in range(60):
                self.fill(client, 1200)
                client.ask("SAVE")
                if round >= 5 and self.field(client, "freed_bytes") != "0":
                    break
            # What was under way ends, and one more.
            passes = int(self.field(client, "scrub_passes"))
            self.assertTrue(harness.eventually(
                lambda: int(self.field(client, "scrub_passes")) >= passes + 2, 300))
        finally:
            over.set()
            thread.join()
        self.assertGreater(int(self.field(client, "freed_bytes")), 0)
        self.assertEqual(self.field(client, "scrub_faults"), "0")
        self.assertNotIn("scrub: damaged", server.log())

    def test_the_rate_is_a_bound_and_a_pass_can_be_ended(self):
        server, client = self.serve("--scrub-rate", "1mb", "--scrub-interval", "1000d")
        self.fill(client)
        self.assertEqual(client.ask("FIRN", "SCRUB", "STOP"), b"-ERR no pass is under way\r\n")
        self.assertEqual(client.ask("FIRN", "SCRUB", "START"), b"+Scrub started\r\n")
        self.assertEqual(client.ask("FIRN", "SCRUB", "START"),
                         b"-ERR a pass is under way already\r\n")
        self.assertTrue(harness.eventually(lambda: self.status(client)["bytes_done"] > 0, 60))
        # A megabyte a second takes ten seconds and more; it is ended long before.
        self.assertEqual(client.ask("FIRN", "SCRUB", "STOP"), b"+Scrub stopped\r\n")
        self.assertTrue(harness.eventually(lambda: self.status(client)["running"] == 0, 60))
        status = self.status(client)
        self.assertEqual((status["passes"], status["error"], status["faults"]), (0, b"", 0))
        # 0 holds the next one where it is, and it goes on.
        client.ask("FIRN", "SCRUB", "START")
        client.ask("CONFIG", "SET", "scrub-rate", "0")
        self.assertEqual(self.status(client)["passes"], 0)
        client.ask("CONFIG", "SET", "scrub-rate", "100gb")
        self.assertTrue(harness.eventually(lambda: self.status(client)["passes"] == 1, 300))
        client.ask("CONFIG", "SET", "scrub-rate", "0")
        self.assertEqual(client.ask("FIRN", "SCRUB", "START"),
                         b"-ERR scrub-rate is 0: nothing is read\r\n")
        self.assertEqual(client.ask("FIRN", "SCRUB", "NONSENSE"), b"-ERR syntax error\r\n")
        # A stop does not wait for a slow pass.
        client.ask("CONFIG", "SET", "scrub-rate", "1")
        client.ask("FIRN", "SCRUB", "START")
        self.assertEqual(server.stop(), 0)

    def test_a_pass_comes_by_itself_when_its_time_has_come(self):
        _, client = self.serve(*FAST)
        self.fill(client, 600)
        client.ask("CONFIG", "SET", "scrub-interval", "0")
        self.assertTrue(harness.eventually(
            lambda: int(self.field(client, "scrub_passes")) >= 2, 300))


if __name__ == "__main__":
    unittest.main()
