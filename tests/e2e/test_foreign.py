"""Files in a store's directory that are not the store's are nobody's to touch, whatever they are called."""

# e2e: measures no time

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import harness
from test_reclaim import SMALL, info, overwrite

# Near the names of all kinds of files that there are (docs/format.md), and what systems and people leave.
NAMES = (
    "0000000012.log.bak", "12.log", "000000012.log", "00000000012.log", "0000000012.LOG", "0000000012.log~",
    "0000000012.logs", ".0000000012.log.swp", "0000000012.log.gz", "0000000012.log.new.old", "000000001x.log",
    " 0000000012.log", "0000000000.log", "9999999999.log", "-000000012.log", "0000000012", "0000000012.",
    "0000000012.ckpt~", "0000000012.ckpt.new", "12.ckpt", "0000000012.pack.1", "0000000012.pack.new",
    "0000000012.side.old", "0000000012.spare2", "12.spare", "0000000000.spare", "9999999999.ckpt",
    "manifest.old", "manifest.new~", "manifest.new.1", "Manifest", "manifests", "reserve.old", "reserved",
    "lock.old", "locks", "quarantine.txt", "archive.tar", "core", "core.4711", "dump.rdb", "appendonly.aof",
    "firnlog.conf", "notes", ".hidden", "a name with blanks.log",
    "film.part",
)
FOLDERS = ("lost+found", "0000000012.log.d", ".snapshot", "appendonlydir", "0000000013.ckpt.bak",
           "backups")


class Foreign(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="firnlog-e2e-foreign-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def litter(self, folder):
        """Puts them there; what they all are."""
        folder.mkdir(exist_ok=True)
        for number, name in enumerate(NAMES):
            # Something, nothing, and what looks like a file of ours.
            begin = (b"not the store's", b"", b"FIRNLOG1", b"FIRNCKP1", b"FIRNMAN1")[number % 5]
            (folder / name).write_bytes(begin + bytes(number * 100))
        for name in FOLDERS:
            (folder / name).mkdir()
            (folder / name / "0000000012.log").write_bytes(b"in " + name.encode())
        (folder / "link").symlink_to("notes")
        (folder / "0000000012.link").symlink_to("/nowhere")
        return self.foreign(folder)

    def foreign(self, folder):
        """Bytes, link or entries, and when each was changed."""
        found = {}
        for name in (*NAMES, *FOLDERS, "link", "0000000012.link"):
            path = folder / name
            # There a backup brings files under such names.
            if folder.name == "files" and name.endswith((".ckpt.new", ".pack.new")):
                continue
            status = os.lstat(path)
            if path.is_symlink():
                what = os.readlink(path)
            elif path.is_dir():
                what = {entry.name: entry.read_bytes() for entry in path.iterdir()}
            else:
                what = path.read_bytes()
            found[name] = (what, status.st_mode, status.st_mtime_ns, status.st_ino, status.st_nlink)
        return found

    def run_verb(self, *words):
        done = subprocess.run([harness.FIRNLOG, *map(str, words)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=120)
        self.assertEqual(done.returncode, 0, (words, done))

    def test_nothing_that_a_store_does_touches_them(self):
        store, backups = self.folder / "store", self.folder / "backups"
        archive, target = self.folder / "archive", self.folder / "target"
        archive.mkdir()
        before = self.litter(store)
        # As a new store, and as one that is there.
        with harness.firnlog(*SMALL, "--retain", 0, "--archive-dir", archive, folder=store) as server:
            def still_there(after):
                self.assertEqual(self.foreign(store), before, after)

            still_there("a start")
            with server.connect() as client:
                for round_ in range(8):
                    overwrite(client, round_, 1500)
                    self.assertEqual(client.ask("SAVE"), b"+OK\r\n")
                self.assertTrue(harness.eventually(
                    lambda: client.ask("SAVE") == b"+OK\r\n" and int(info(client)["freed_bytes"]) > 0, 60))
                still_there("walks")
                client.ask("FLUSHALL")
                client.ask("SET", "k", "v")
                self.run_verb("check", store)
                self.run_verb("history", store)
                self.run_verb("backup", "--from", store, "--to", backups, "--name", "one")
                self.run_verb("restore", "--from", store, "--to", target)
                still_there("verbs")
                overwrite(client, 9, 1500)
            server.kill()
            server.start()
            still_there("a crash")
            server.kill()
            newest = max(path for path in store.glob("??????????.ckpt")
                         if path.name not in NAMES and path.stat().st_size > 4096)
            content = bytearray(newest.read_bytes())
            content[20] ^= 1
            newest.write_bytes(content)
            server.start()
            self.assertTrue(harness.eventually(lambda: server.ask("SAVE") == b"+OK\r\n", 60))
            still_there("a fall-back")
            server.ask("SET", "later", "1")
            self.assertEqual(server.stop(), 0)
            still_there("a stop")
            self.run_verb("check", store)
            self.run_verb("repair", store, "--to", self.folder / "repaired")
            still_there("a repair")
            server.start()
            self.assertEqual(server.value("GET", "k"), b"v")
            still_there("another start")
        # And they are nobody's to carry along.
        for folder in (backups, archive, target, self.folder / "repaired"):
            there = {path.name for path in folder.rglob("*")}
            self.assertEqual(there & {*NAMES, *FOLDERS[:-1], "link", "0000000012.link"}, set())

    def test_nothing_that_is_done_to_backups_touches_them(self):
        backups = self.folder / "backups"
        before = self.litter(backups)
        (backups / "files").mkdir()
        files = self.litter(backups / "files")
        with harness.firnlog(*SMALL) as server:
            for number in range(3):
                with server.connect() as client:
                    overwrite(client, number)
                    client.ask("SAVE")
                self.run_verb("backup", "--from", server.folder, "--to", backups, "--name", number)
            self.run_verb("backup", "list", backups)
            self.run_verb("backup", "verify", backups)
            self.run_verb("backup", "delete", backups, "0")
            self.run_verb("backup", "--from", server.folder, "--to", backups, "--keep-last", 1)
        self.run_verb("backup", "trial", backups)
        self.assertEqual(self.foreign(backups), before)
        self.assertEqual(self.foreign(backups / "files"), files)


if __name__ == "__main__":
    unittest.main()
