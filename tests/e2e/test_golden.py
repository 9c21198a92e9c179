"""G15: stores of every format version that ever was are read, and what is newer is refused by name."""

# e2e: measures no time

import pathlib
import re
import shutil
import struct
import subprocess
import tarfile
import tempfile
import unittest

import harness
from test_online_past import maps

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


class Kept(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="firnlog-golden-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def verb(self, *args):
        done = subprocess.run([harness.FIRNLOG, *map(str, args)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60)
        return done.returncode, done.stdout + done.stderr


class Golden(Kept):
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

    def test_a_copy_of_all_keys_asks_an_older_build_for_no_more_than_it_must(self):
        """docs/operations.md: the way back to a build that refuses the store."""
        def features(folder):
            return int.from_bytes((folder / "manifest").read_bytes()[16:24], "little")

        copy = self.folder / "copy"
        with harness.firnlog("--retain", "0", "--save", "", "--segment-bytes-max", "4mb",
                             "--appendfsync", "everysec") as server, server.connect() as client:
            source = pathlib.Path(server.folder)

            def given_back():
                client.pipeline([("SET", "k%d" % (i % 50), "v" * 1000) for i in range(8000)])
                client.ask("SAVE")
                return features(source) & 7 == 7

            self.assertTrue(harness.eventually(given_back, 60))
            digest = client.value("FIRN", "DIGEST").decode()
            code, text = self.verb("restore", "--from", source, "--to", copy, "--keys", "*")
            self.assertEqual(code, 0, text)
            self.assertIn(digest, text)
        self.assertEqual(features(copy), 4)

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


class Lived(Kept):
    """Stores that have lived, backups and archives: all that lies in them, and their past."""

    # As old as they are: nothing of their past is to fall out of the window. (Moments that are kept
    # beyond it go with the next checkpoint, whatever `keep` may say.)
    FOR_EVER = ("--retain", 2_000_000_000, "--save", "")

    def all_of(self, what):
        """Of each format version: unpacked, with its moments."""
        found = sorted(GOLDEN.glob("v*-" + what))
        self.assertNotEqual(found, [])
        for golden in found:
            moments = [re.fullmatch(r"(lsn|mark) (.*) (\w{40})", line).groups()
                       for line in (golden / "moments").read_text().splitlines()]
            yield self.unpacked(golden), moments

    def unpacked(self, golden):
        target = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        with tarfile.open(golden / "content.tar.xz") as tar:
            tar.extractall(target)
        return target

    def ok(self, *args):
        code, text = self.verb(*args)
        self.assertEqual(code, 0, text)
        return text

    def digest(self, *args):
        return re.search(r"^digest +(\w+)$", self.ok(*args), re.M)[1]

    def opens_at(self, source, moments):
        for what, name, digest in moments:
            with self.subTest(moment=name):
                self.assertEqual(self.digest("restore", "--from", source, "--dry-run", "--" + what, name),
                                 digest)

    def restored(self, source, moments):
        """Restored to each, and served."""
        for number, (what, name, digest) in enumerate(moments):
            target = self.folder / ("restored-%d" % number)
            self.assertEqual(self.digest("restore", "--from", source, "--to", target, "--ttl", "keep",
                                         "--" + what, name), digest)
            with harness.firnlog(folder=target) as server:
                self.assertEqual(server.value("FIRN", "DIGEST").decode(), digest)
            self.ok("check", target)
            shutil.rmtree(target)

    def test_they_hold_what_they_are_kept_for(self):
        for folder, _ in self.all_of("lived"):
            manifest = (folder / "manifest").read_bytes()
            incompatible, = struct.unpack_from("<Q", manifest, 16)
            self.assertEqual(incompatible & 31, 31)
            sections, at = {}, 40
            while at < len(manifest):
                tag, size = struct.unpack_from("<II", manifest, at)
                sections[tag] = size
                at += 8 + (size + 7 & ~7)
            for tag, least in ((3, 3 * 32), (6, 4), (7, 1), (8, 1), (11, 8), (0x8000000C, 8)):
                self.assertGreaterEqual(sections.get(tag, 0), least, tag)
            self.assertNotEqual(list(folder.glob("*.side")), [])
        for folder, _ in self.all_of("recycled"):
            # The segment that was written last has a stale lsn, and stale bytes behind its frames.
            last = max((struct.unpack_from("<Q", path.read_bytes(), 40), path)
                       for path in folder.glob("*.log"))[1].read_bytes()
            self.assertNotEqual(struct.unpack_from("<Q", last, 56), (0,))
            self.assertIn(b"\0FRN1", last[1 << 20:])

    def test_stale_bytes_behind_the_end_are_none_of_it(self):
        for folder, moments in self.all_of("recycled"):
            newest = moments[-1][2]
            self.ok("check", folder)
            self.opens_at(folder, moments)
            self.restored(folder, moments)
            for _ in range(2):
                with harness.firnlog(*self.FOR_EVER, folder=folder) as server:
                    self.assertEqual(server.value("FIRN", "DIGEST").decode(), newest)
                    self.assertEqual(server.value("GET", "behind it:19"), b"stale bytes")
                    server.ask("SET", "later", "1" * 100)
                    server.ask("DEL", "later")
                    server.kill()
                self.ok("check", folder)

    def test_a_store_that_has_lived_is_sound_and_opens_at_each_of_its_moments(self):
        for folder, moments in self.all_of("lived"):
            self.ok("check", folder)
            told = self.ok("history", folder)
            self.assertRegex(told, r"(?m)^kept +\d+: lsn ")
            self.assertRegex(told, r"(?m)^timeline +3: lsn ")
            self.assertRegex(self.ok("log", folder, "--kind", "flush"), r"db0 flush")
            self.opens_at(folder, moments)
            self.restored(folder, moments[::3])
            repaired = folder.with_suffix(".repaired")
            self.ok("repair", folder, "--to", repaired)
            newest = moments[-1][2]
            with harness.firnlog(folder=repaired) as server:
                self.assertEqual(server.value("FIRN", "DIGEST").decode(), newest)

    def test_a_store_that_has_lived_lives_on(self):
        for folder, moments in self.all_of("lived"):
            newest = moments[-1][2]
            with harness.firnlog(*self.FOR_EVER, folder=folder) as server:
                self.assertEqual(server.value("FIRN", "DIGEST").decode(), newest)
                with server.connect() as client:
                    self.assertEqual(client.value("GET", "last"), b"written")
                    self.assertGreater(client.value("HSTRLEN", "long hash", "field"), 100_000)
                    self.assertEqual(client.value("HGET", "wide", "f0"), b"0")
                for there in (moments, moments[1:]):
                    for what, name, digest in there:
                        with server.connect() as past:
                            maps(past.value("FIRN", "ASOF", what, name))
                            self.assertEqual(past.value("FIRN", "DIGEST").decode(), digest, name)
                    # And once more, by what this build has written beside it.
                    self.assertTrue(harness.eventually(lambda: server.ask("SAVE") == b"+OK\r\n"))
                    server.ask("SET", "later", "1")
                    server.ask("DEL", "later")
                    server.kill()
                    self.ok("check", folder)
                    server.start()
                    self.assertEqual(server.value("FIRN", "DIGEST").decode(), newest)
                # Its past is over, and nothing else.
                server.ask("CONFIG", "SET", "retain", "0", "keep", "")
                for _ in range(3):
                    self.assertTrue(harness.eventually(lambda: server.ask("SAVE") == b"+OK\r\n"))
                    server.ask("SET", "later", "1")
                    server.ask("DEL", "later")
                self.assertEqual(server.value("FIRN", "DIGEST").decode(), newest)
                self.assertEqual(server.stop(), 0)
                self.ok("check", folder)

    def test_backups_are_whole_and_can_be_restored_to_each_moment(self):
        for folder, moments in self.all_of("backup"):
            self.assertEqual(re.findall(r"(?m)^(\w+) +sound", self.ok("backup", "verify", folder)),
                             ["one", "two"])
            names = [name for _, name, _ in moments]
            for name, last in (("one", "second timeline"), ("two", "taken back")):
                there = moments[:names.index(last) + 1]
                self.assertEqual(self.digest("backup", "trial", folder, name), there[-1][2])
                self.opens_at(folder / name, there)
                self.restored(folder / name, there[::4])
            # This build adds to them.
            with harness.firnlog() as server:
                server.ask("SET", "k", "v")
                self.ok("backup", "--from", server.folder, "--to", folder, "--name", "three")
            self.ok("backup", "delete", folder, "one")
            self.assertEqual(re.findall(r"(?m)^(\w+) +sound", self.ok("backup", "verify", folder)),
                             ["two", "three"])

    def test_archives_are_whole_and_can_be_restored_to_each_moment(self):
        for folder, moments in self.all_of("archive"):
            self.ok("check", folder)
            self.assertEqual(self.digest("backup", "trial", folder), moments[-1][2])
            self.opens_at(folder, moments)
            self.restored(folder, moments[::4])
            # The store that was lost goes on in it.
            store = self.folder / "goes on"
            self.ok("restore", "--from", folder, "--to", store, "--ttl", "keep")
            with harness.firnlog("--archive-dir", folder, folder=store) as server:
                server.ask("SET", "beyond", "1")
                digest = server.value("FIRN", "DIGEST").decode()
                self.assertEqual(server.stop(), 0)
            self.assertEqual(self.digest("restore", "--from", folder, "--dry-run"), digest)
            self.opens_at(folder, moments)


if __name__ == "__main__":
    unittest.main()
