"""G7 under a running server: what rots in a sealed segment is refused, key by key, and told."""

import os
import pathlib
import re
import time
import unittest

import harness

KEYS = 1500
VALUE = 8000  # so that the first segments, of 4 and 8 MiB, are full


def value(i):
    return b"%06d" % i * (VALUE // 6)


class Rot(unittest.TestCase):
    def setUp(self):
        self.server = harness.firnlog("--segment-bytes-max", 8 << 20)
        self.addCleanup(self.server.close)
        self.client = self.server.connect()
        self.addCleanup(self.client.close)
        self.client.ask("HSET", "hash", "field", "a field's value that is looked for")
        for at in range(0, KEYS, 100):
            self.client.pipeline([("SET", "key%d" % i, value(i)) for i in range(at, at + 100)])
        self.first = pathlib.Path(self.server.folder, "0000000001.log")
        until = time.monotonic() + 60
        while int(self.info("log_segments_mapped")) == 0:
            self.assertLess(time.monotonic(), until, "the first segment is sealed")
            time.sleep(0.01)

    def info(self, field):
        text = self.client.value("INFO", "persistence").decode()
        return re.search(r"^%s:(.*)\r$" % field, text, re.M).group(1)

    def place(self, needle):
        return self.first.read_bytes().index(needle)

    def flip(self, offset):
        with open(self.first, "r+b", buffering=0) as file:
            byte = os.pread(file.fileno(), 1, offset)
            os.pwrite(file.fileno(), bytes([byte[0] ^ 1]), offset)

    def test_one_rotten_byte_costs_one_key_and_is_told(self):
        self.assertEqual(self.client.value("GET", "key7"), value(7))
        offset = self.place(value(7))
        before = int(self.info("corrupt_reads"))
        self.flip(offset + 4000)
        self.assertTrue(self.client.ask("GET", "key7").startswith(b"-CORRUPT "))
        self.assertTrue(self.client.ask("MGET", "key6", "key7").startswith(b"-CORRUPT "))
        self.assertTrue(self.client.ask("APPEND", "key7", "x").startswith(b"-CORRUPT "))
        for i in (0, 6, 8, KEYS - 1):
            self.assertEqual(self.client.value("GET", "key%d" % i), value(i))
        self.assertEqual(self.client.value("EXISTS", "key7"), 1)
        self.assertGreaterEqual(int(self.info("corrupt_reads")), before + 3)
        told = re.findall(r"corrupt: file=1 offset=(\d+) lsn=(\d+)", self.server.log())
        self.assertGreaterEqual(len(told), 3, self.server.log())
        for at, lsn in told:
            # Of the record: its head and the key come before the value.
            self.assertTrue(0 < offset - int(at) < 100, (at, offset))
            self.assertGreater(int(lsn), 0)
        # What replaces it is sound.
        self.assertEqual(self.client.ask("SET", "key7", "new"), b"+OK\r\n")
        self.assertEqual(self.client.value("GET", "key7"), b"new")

    def test_a_rotten_field_costs_its_hash_alone(self):
        self.flip(self.place(b"a field's value") + 3)
        self.assertTrue(self.client.ask("HGET", "hash", "field").startswith(b"-CORRUPT "))
        self.assertEqual(self.client.value("HLEN", "hash"), 1)
        self.assertEqual(self.client.value("GET", "key1"), value(1))
        self.assertEqual(self.client.value("DEL", "hash"), 1)
        self.assertIsNone(self.client.value("HGET", "hash", "field"))

    def test_a_file_cut_short_costs_what_is_gone_and_no_signal_ends_the_server(self):
        offset = self.place(value(100))
        os.truncate(self.first, offset)
        # The page that is cut in two reads as zeros behind the cut, those behind it not at all.
        for i in (100, 101, 150):
            self.assertTrue(self.client.ask("GET", "key%d" % i).startswith(b"-CORRUPT "), i)
        for i in (0, 50, 98, KEYS - 1):
            self.assertEqual(self.client.value("GET", "key%d" % i), value(i))
        self.assertGreaterEqual(int(self.info("corrupt_reads")), 3)
        self.assertRegex(self.server.log(), r"corrupt: file=1 offset=\d+ lsn=\d+")
        self.assertIsNone(self.server.process.poll())
        self.assertEqual(self.client.ask("SET", "key100", "new"), b"+OK\r\n")
        self.assertEqual(self.client.value("GET", "key100"), b"new")

    def test_all_keys_can_be_gone_through_around_a_rotten_one(self):
        self.flip(self.place(b"key9") + 1)
        seen = set()
        cursor = b"0"
        while True:
            reply = self.client.value("SCAN", cursor, "COUNT", 500)
            self.assertIsInstance(reply, list, reply)
            cursor, names = reply
            seen.update(names)
            if cursor == b"0":
                break
        missing = {b"key%d" % i for i in range(KEYS)} - seen
        self.assertEqual(len(missing), 1, missing)


if __name__ == "__main__":
    unittest.main()
