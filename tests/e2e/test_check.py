"""check and repair: what they say of a sound store, of a damaged one, and of none."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import harness

SECONDS = 120


def firnlog(*args):
    return subprocess.run(
        [harness.FIRNLOG, *map(str, args)], capture_output=True, text=True, timeout=SECONDS
    )


def fill(client, count=200):
    for i in range(count):
        client.ask("SET", "key:%d" % i, "value %d " % i + "x" * 100)
    client.ask("HSET", "hash", "f", "v", "g", "w")
    client.ask("SET", "expires", "v", "EX", 1000)
    client.ask("SET", "big", "y" * 200000)


def content(folder):
    """Every file but the lock, byte for byte."""
    return {
        path.name: path.read_bytes()
        for path in sorted(pathlib.Path(folder).iterdir())
        if path.is_file() and path.name != "lock"
    }


class Check(unittest.TestCase):
    def setUp(self):
        self.parent = tempfile.mkdtemp(prefix="firnlog-e2e-")
        self.addCleanup(shutil.rmtree, self.parent, ignore_errors=True)
        self.dir = os.path.join(self.parent, "store")
        os.mkdir(self.dir)

    def serve(self, folder=None):
        server = harness.firnlog(folder=folder or self.dir)
        self.addCleanup(server.close)
        return server

    def stopped_store(self):
        server = self.serve()
        with server.connect() as client:
            fill(client)
            digest = client.value("DEBUG", "DIGEST")
        self.assertEqual(server.stop(), 0)
        return digest

    def digest_of(self, folder):
        server = self.serve(folder)
        digest = server.value("DEBUG", "DIGEST")
        self.assertEqual(server.stop(), 0)
        return digest

    def damage(self, needle):
        """Flips a bit in the middle of the record that holds these bytes; where."""
        for path in sorted(pathlib.Path(self.dir).glob("*.log")):
            data = bytearray(path.read_bytes())
            at = data.find(needle)
            if at >= 0:
                data[at] ^= 4
                path.write_bytes(data)
                return path.name, at
        self.fail("%r is nowhere" % needle)

    def test_a_sound_store_is_told_to_be_sound_and_is_not_touched(self):
        self.stopped_store()
        before = content(self.dir)
        checked = firnlog("check", self.dir)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        self.assertIn("The store is sound.", checked.stdout)
        told = json.loads(firnlog("check", self.dir, "--json").stdout)
        self.assertTrue(told["sound"])
        self.assertFalse(told["in_use"])
        self.assertEqual(told["keys"], 203)
        self.assertEqual(told["expires"], 1)
        self.assertGreaterEqual(told["records"], 203)
        self.assertEqual(told["faults"], [])
        self.assertEqual(firnlog("check", self.dir, "--quiet").stdout, "")
        self.assertEqual(content(self.dir), before)

    def test_a_store_is_checked_beside_its_live_server(self):
        server = self.serve()
        with server.connect() as client:
            fill(client, 50)
            # It goes on writing while it is read.
            for round_ in range(5):
                for i in range(100):
                    client.send("SET", "more:%d" % i, "%d" % round_ * 50)
                checked = firnlog("check", self.dir, "--json")
                self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
                self.assertTrue(json.loads(checked.stdout)["in_use"])
                for _ in range(100):
                    self.assertEqual(client.reply(), b"+OK\r\n")
        self.assertEqual(server.stop(), 0)

    def test_a_store_whose_newest_timeline_has_no_log_yet_is_sound(self):
        """It was told to be damaged: the file that the checkpoint leads into, of the timeline before,
        was taken for log of the new one."""
        server = harness.firnlog("--retain", 0, "--save", "", folder=self.dir)
        self.addCleanup(server.close)
        server.ask("SET", "k", "v")
        server.kill()
        server.start()
        for _ in range(2):
            self.assertTrue(harness.eventually(lambda: server.ask("SAVE") == b"+OK\r\n", 60))
        for end in (server.kill, server.stop):
            end()
            checked = firnlog("check", self.dir)
            self.assertEqual(checked.returncode, 0, checked)
            server.start()
            self.assertEqual(server.value("GET", "k"), b"v")

    def test_a_flipped_bit_is_found_with_its_place(self):
        self.stopped_store()
        name, at = self.damage(b"value 77 ")
        checked = firnlog("check", self.dir, "--json")
        self.assertEqual(checked.returncode, 3, checked.stdout + checked.stderr)
        faults = json.loads(checked.stdout)["faults"]
        self.assertEqual(len(faults), 1, faults)
        self.assertEqual(faults[0]["file"], name)
        lost = faults[0]["lsn_end"] - faults[0]["lsn"]
        self.assertLess(faults[0]["offset"], at)
        self.assertGreater(faults[0]["offset"] + lost, at)
        told = firnlog("check", self.dir)
        self.assertEqual(told.returncode, 3)
        self.assertIn("damaged: %s offset %d" % (name, faults[0]["offset"]), told.stdout)

    def test_what_is_no_store_is_none(self):
        for folder in (self.dir, os.path.join(self.parent, "nowhere")):
            checked = firnlog("check", folder)
            self.assertEqual(checked.returncode, 1)
            self.assertTrue(checked.stderr)
            self.assertEqual(firnlog("repair", folder, "--to", self.dir + "2").returncode, 1)
        self.assertFalse(os.path.exists(self.dir + "2"))
        self.assertEqual(firnlog("check").returncode, 1)
        self.assertEqual(firnlog("check", self.dir, "--nonsense").returncode, 1)

    def test_a_sound_store_is_repaired_into_an_equal_one(self):
        digest = self.stopped_store()
        before = content(self.dir)
        new = os.path.join(self.parent, "new")
        repaired = firnlog("repair", self.dir, "--to", new)
        self.assertEqual(repaired.returncode, 0, repaired.stderr)
        self.assertIn("saved 203 keys", repaired.stdout)
        self.assertEqual(content(self.dir), before)
        self.assertFalse(os.path.exists(new + ".tmp"))
        self.assertEqual(firnlog("check", new).returncode, 0)
        self.assertEqual(self.digest_of(new), digest)
        again = firnlog("repair", self.dir, "--to", new)
        self.assertEqual(again.returncode, 1, "the target is not empty")

    def test_a_damaged_store_is_repaired_without_the_damaged_key_alone(self):
        self.stopped_store()
        self.damage(b"value 77 ")
        new = os.path.join(self.parent, "new")
        before = content(self.dir)
        dry = firnlog("repair", self.dir, "--to", new, "--dry-run")
        self.assertEqual(dry.returncode, 0, dry.stderr)
        self.assertIn("would save 202 keys", dry.stdout)
        self.assertFalse(os.path.exists(new))
        repaired = firnlog("repair", self.dir, "--to", new)
        self.assertEqual(repaired.returncode, 0, repaired.stderr)
        self.assertIn("saved 202 keys", repaired.stdout)
        self.assertIn("is lost", repaired.stdout)
        self.assertIn("cannot be known", repaired.stdout)
        self.assertEqual(content(self.dir), before)
        server = self.serve(new)
        with server.connect() as client:
            self.assertEqual(client.value("GET", "key:77"), None)
            self.assertEqual(client.value("GET", "key:78"), b"value 78 " + b"x" * 100)
            self.assertEqual(client.value("HGET", "hash", "g"), b"w")
            self.assertEqual(client.value("STRLEN", "big"), 200000)
            self.assertGreater(client.value("TTL", "expires"), 0)
        self.assertEqual(server.stop(), 0)

    def test_a_store_whose_manifest_is_gone_is_saved_all_the_same(self):
        digest = self.stopped_store()
        os.unlink(os.path.join(self.dir, "manifest"))
        self.assertEqual(firnlog("check", self.dir).returncode, 3)
        new = os.path.join(self.parent, "new")
        repaired = firnlog("repair", self.dir, "--to", new)
        self.assertEqual(repaired.returncode, 0, repaired.stderr)
        self.assertEqual(self.digest_of(new), digest)

    def test_a_store_in_use_is_not_repaired(self):
        server = self.serve()
        new = os.path.join(self.parent, "new")
        repaired = firnlog("repair", self.dir, "--to", new)
        self.assertEqual(repaired.returncode, 1)
        self.assertFalse(os.path.exists(new))
        self.assertFalse(os.path.exists(new + ".tmp"))
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    unittest.main()
