"""G15: stores of every format version that ever was are read, and what is newer is refused by name."""

import pathlib
import subprocess
import tempfile
import unittest

import harness

GOLDEN = harness.ROOT / "tests" / "golden"

_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = _byte >> 1 ^ (0x82F63B78 if _byte & 1 else 0)
    _TABLE.append(_byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


class Golden(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="firnlog-golden-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def restore(self, golden):
        target = self.folder / golden.name
        target.mkdir()
        for line in (golden / "files").read_text().splitlines():
            name, size = line.split()
            content = (golden / name).read_bytes()
            (target / name).write_bytes(content.ljust(int(size), b"\0"))
        return target

    def stores(self):
        found = sorted(path.parent for path in GOLDEN.glob("*/digest"))
        self.assertGreaterEqual(len(found), 2)
        return found

    def verb(self, *args):
        done = subprocess.run([harness.FIRNLOG, *map(str, args)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def test_each_golden_store_is_sound_and_gives_its_digest(self):
        for golden in self.stores():
            with self.subTest(golden.name):
                folder = self.restore(golden)
                self.assertEqual(self.verb("check", folder)[0], 0)
                digest = (golden / "digest").read_bytes()
                with harness.firnlog(folder=folder) as server:
                    self.assertEqual(server.value("FIRN", "DIGEST"), digest)
                    self.assertEqual(server.value("GET", "string:1"), b"value 1")
                    self.assertEqual(server.ask("SET", "later", "1"), b"+OK\r\n")
                    self.assertEqual(server.ask("DEL", "later"), b":1\r\n")
                    self.assertEqual(server.stop(), 0)
                    # Once more, by what this build has written beside it.
                    server.start()
                    self.assertEqual(server.value("FIRN", "DIGEST"), digest)

    def test_each_golden_store_can_be_saved_by_repair(self):
        for golden in self.stores():
            with self.subTest(golden.name):
                folder = self.restore(golden)
                repaired = self.folder / (golden.name + "-repaired")
                self.assertEqual(self.verb("repair", folder, "--to", repaired)[0], 0)
                with harness.firnlog(folder=repaired) as server:
                    self.assertEqual(server.value("FIRN", "DIGEST"),
                                     (golden / "digest").read_bytes())

    def refused(self, change):
        folder = self.restore(self.stores()[0])
        manifest = bytearray((folder / "manifest").read_bytes())
        change(manifest)
        manifest[8:12] = crc32c(manifest[12:]).to_bytes(4, "little")
        (folder / "manifest").write_bytes(manifest)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        told = []
        for verb in ("serve", "check"):
            where = ("--dir", folder, "--port", "0", "--unixsocket", folder.with_suffix(".sock"))
            code, text = self.verb(verb, *(where if verb == "serve" else (folder,)))
            self.assertEqual(code, 1, (verb, text))
            told.append(text)
        after = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}
        self.assertEqual(after, before)
        return told

    def test_a_newer_version_is_refused_and_named(self):
        def newer(manifest):
            manifest[12:16] = (7).to_bytes(4, "little")

        for text in self.refused(newer):
            self.assertIn("reads format version 7", text)

    def test_an_unknown_incompatible_feature_is_refused_and_named(self):
        def feature(manifest):
            manifest[16 + 4] |= 8  # bit 35

        for text in self.refused(feature):
            self.assertIn("knows format feature 35", text)

    def test_an_unknown_compatible_feature_is_no_matter(self):
        folder = self.restore(self.stores()[0])
        manifest = bytearray((folder / "manifest").read_bytes())
        manifest[24] |= 128
        manifest[8:12] = crc32c(manifest[12:]).to_bytes(4, "little")
        (folder / "manifest").write_bytes(manifest)
        with harness.firnlog(folder=folder) as server:
            self.assertEqual(server.value("FIRN", "DIGEST"),
                             (self.stores()[0] / "digest").read_bytes())


if __name__ == "__main__":
    unittest.main()
