"""kill -9 amid what brings the past back: `firnlog restore`, FIRN RESTORE MATCH, a flush that is taken
back, a start that falls back from a damaged checkpoint, a trial. What was read from is untouched, nothing
is there by half under a name that counts, and asked again it comes to its end.

How long each takes is looked at first, so that the kills fall into it. A kill that came too late, or too
early, is no failure; it is tried again, and the report says how many fell amid.
"""

# e2e: measures no time

import hashlib
import os
import pathlib
import random
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import harness
from test_online_past import maps
from test_undo import at_lsn, content, restore

PROVE = bool(os.environ.get("FIRNLOG_PROVE"))
SEED = harness.chosen_seed()
AMID = 40 if PROVE else 3
TRIES = 10 * AMID
KEYS = 6000


def setUpModule():
    print("report: killed: seed %d" % SEED)


def run(*words):
    return subprocess.run([harness.FIRNLOG, *map(str, words)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=300)


def told(result, what):
    found = re.search(rf"^{what} +(.*)$", result.stdout, re.M)
    assert found, (what, result)
    return found[1]


def files_of(folder):
    """Each file's bytes, but for who holds the lock."""
    return {str(path.relative_to(folder)): hashlib.sha1(path.read_bytes()).digest()
            for path in pathlib.Path(folder).rglob("*") if path.is_file() and path.name != "lock"}


def fill(client):
    """Something of each kind, in two databases."""
    for database in (0, 1):
        client.ask("SELECT", database)
        client.pipeline([("SET", "key:%d" % i, "old value of %d " % i * 10) for i in range(KEYS)])
        client.pipeline([("HSET", "hash:%d" % (i % 50), "field:%d" % i, i) for i in range(1000)])
        client.pipeline([("SETRANGE", "large:%d" % i, 150_000, "end") for i in range(8)])
        client.pipeline([("EXPIRE", "key:%d" % i, 100_000 + i) for i in range(0, KEYS, 5)])
        client.ask("HSET", "long", "field", "v" * 100_000)
    client.ask("SELECT", 0)


def spoil(client):
    """What a wrong script does."""
    for database in (0, 1):
        client.ask("SELECT", database)
        client.pipeline([("SET", "key:%d" % i, "wrong") for i in range(0, KEYS, 2)])
        client.pipeline([("DEL", "hash:%d" % i) for i in range(0, 50, 2)])
        client.pipeline([("HSET", "hash:%d" % i, "field:1", "wrong") for i in range(50)])
        client.pipeline([("SETRANGE", "large:%d" % i, 70_000, "wrong") for i in range(8)])
        client.pipeline([("SET", "new:%d" % i, "1") for i in range(500)])
        client.pipeline([("PERSIST", "key:%d" % i) for i in range(1, KEYS, 10)])
        client.ask("HSET", "long", "field", "short")
    client.ask("SELECT", 0)


class Killed(unittest.TestCase):
    def setUp(self):
        # Beside the servers' folders, so that files can be linked.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="firnlog-e2e-killed-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.dice = random.Random(SEED)

    def server(self, *options):
        server = harness.firnlog("--save", "", "--segment-bytes-max", "4mb", "--threads", 2, *options)
        self.addCleanup(server.close)
        return server

    def ok(self, *words):
        result = run(*words)
        self.assertEqual(result.returncode, 0, result)
        return result

    def killed_verb(self, whole, *words):
        """Killed somewhere in the time that all of it takes."""
        process = subprocess.Popen([harness.FIRNLOG, *map(str, words)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(self.dice.random() * whole)
        process.kill()
        return process.wait()

    def report(self, what, amid, tries):
        print("report: killed: %s: %d kills of %d fell amid" % (what, amid, tries))
        self.assertGreater(amid, 0)

    def crash(self, server):
        server.kill()
        self.assertEqual(run("check", server.folder).returncode, 0)
        server.start()
        return server.connect()

    # ---- firnlog restore.

    def sources(self):
        """A store, a backup and an archive of the same, and the digest of their mark."""
        archive, backups = self.folder / "archive", self.folder / "backups"
        archive.mkdir()
        server = self.server("--archive-dir", archive)
        with server.connect() as client:
            fill(client)
            client.ask("SAVE")
            client.ask("FIRN", "MARK", "good")
            digest = client.value("FIRN", "DIGEST").decode()
            spoil(client)
        self.assertEqual(server.stop(), 0)
        self.ok("backup", "--from", server.folder, "--to", backups, "--name", "one")
        return {"store": pathlib.Path(server.folder), "backup": backups / "one", "archive": archive}, digest

    def test_a_restore_leaves_its_source_alone_and_nothing_by_half(self):
        sources, digest = self.sources()
        target, aside = self.folder / "target", self.folder / "target.tmp"
        for name, source in sources.items():
            # A backup's files lie beside it.
            holder = source.parent if name == "backup" else source
            before = files_of(holder)
            words = ("restore", "--from", source, "--to", target, "--mark", "good", "--ttl", "keep")
            begun = time.monotonic()
            self.assertEqual(told(self.ok(*words), "digest"), digest)
            whole = time.monotonic() - begun
            shutil.rmtree(target)
            amid = tries = 0
            while amid < AMID and tries < TRIES:
                tries += 1
                options = ("--keys", "*") if tries % 3 == 0 else ()
                self.killed_verb(whole, *words, *options)
                self.assertEqual(files_of(holder), before)
                if target.exists():
                    self.assertFalse(aside.exists())
                elif aside.exists():
                    amid += 1
                    refused = run(*words)
                    self.assertEqual(refused.returncode, 1, refused)
                    self.assertIn("target.tmp", refused.stderr)
                    # Some of its files may be the source's own.
                    shutil.rmtree(aside)
                    self.assertEqual(files_of(holder), before)
                if not target.exists():
                    self.assertEqual(told(self.ok(*words), "digest"), digest)
                self.assertEqual(run("check", target).returncode, 0)
                with harness.firnlog(folder=target) as second:
                    self.assertEqual(second.value("FIRN", "DIGEST").decode(), digest)
                    second.ask("FLUSHALL")
                shutil.rmtree(target)
                self.assertEqual(files_of(holder), before)
            self.report("restore, from the " + name, amid, tries)

    def test_a_restore_does_not_mind_that_its_server_is_killed(self):
        server = self.server()
        client = server.connect()
        fill(client)
        client.ask("FIRN", "MARK", "good")
        digest = client.value("FIRN", "DIGEST").decode()
        for number in range(AMID):
            spoil(client)
            target = self.folder / ("target%d" % number)
            with subprocess.Popen(
                    [harness.FIRNLOG, "restore", "--from", server.folder, "--to", str(target), "--mark",
                     "good", "--ttl", "keep"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    text=True) as process:
                time.sleep(self.dice.random() * 0.1)
                client.close()
                client = self.crash(server)
                said = process.communicate()[0]
            self.assertEqual(process.returncode, 0, said)
            self.assertIn(digest, said)
            with harness.firnlog(folder=target) as second:
                self.assertEqual(second.value("FIRN", "DIGEST").decode(), digest)
        client.close()

    # ---- FIRN RESTORE MATCH.

    def test_a_restore_of_many_keys_has_each_of_them_old_or_new(self):
        server = self.server()
        client = server.connect()
        fill(client)
        client.ask("FIRN", "MARK", "good")
        old, digest = content(client, (0, 1)), client.value("FIRN", "DIGEST")
        spoil(client)
        new, bad, bad_digest = content(client, (0, 1)), at_lsn(client), client.value("FIRN", "DIGEST")
        words = ("MATCH", "*", "MARK", "good", "ALLDBS", "DELETE-NEW", "TTL", "keep")
        back = ("MATCH", "*", "LSN", bad, "ALLDBS", "DELETE-NEW", "TTL", "keep")
        begun = time.monotonic()
        restore(client, *words)
        whole = time.monotonic() - begun
        self.assertEqual(client.value("FIRN", "DIGEST"), digest)
        restore(client, *back)
        self.assertEqual(client.value("FIRN", "DIGEST"), bad_digest)
        amid = tries = 0
        while amid < AMID and tries < TRIES:
            tries += 1
            client.send("FIRN", "RESTORE", *words)
            self.await_first_key(server, client)
            time.sleep(self.dice.random() * whole / 4)
            server.kill(wait=False)
            client.close()
            client = self.crash(server)
            now = content(client, (0, 1))
            for key in old.keys() | new.keys():
                self.assertIn(now.get(key), (old.get(key), new.get(key)), (SEED, key))
            self.assertLessEqual(now.keys(), old.keys() | new.keys())
            amid += now not in (old, new)
            # Asked again it ends, and that can be undone.
            told = restore(client, *words)
            self.assertEqual((told[b"damaged"], told[b"too_large"]), (0, 0))
            self.assertEqual(client.value("FIRN", "DIGEST"), digest)
            if tries % 2:
                restore(client, "MATCH", "*", "LSN", told[b"undo"], "ALLDBS", "DELETE-NEW", "TTL", "keep")
                self.assertTrue(content(client, (0, 1)) == now)
            restore(client, *back)
            self.assertEqual(client.value("FIRN", "DIGEST"), bad_digest)
        client.close()
        self.report("FIRN RESTORE MATCH", amid, tries)

    def await_first_key(self, server, asker):
        """Or its end."""
        with server.connect() as other:
            while not select.select([asker.socket], [], [], 0)[0]:
                told = harness.info(other, "persistence")
                if told["restore_state"] == "running" and int(told["restore_keys_restored"]) > 0:
                    return

    # ---- A flush that is taken back.

    def test_a_flush_is_taken_back_whole_or_not_at_all(self):
        server = self.server("--flush-undo", 300)
        client = server.connect()
        fill(client)
        old = content(client, (0, 1))
        since = {(0, b"since:%d" % i): (b"+string\r\n", b"$1\r\n%d\r\n" % i, b":-1\r\n") for i in range(9)}
        amid = unanswered = 0
        for number in range(2 * AMID):
            moment = at_lsn(client)
            client.ask("FLUSHALL")
            client.pipeline([("SET", key, number) for number, (_, key) in enumerate(since)])
            self.assertTrue(content(client, (0, 1)) == since)
            delete_new = ("DELETE-NEW",) if number % 2 else ()
            client.send("FIRN", "RESTORE", "MATCH", "*", "LSN", moment, "ALLDBS", "TTL", "keep", *delete_new)
            time.sleep(self.dice.random() * 0.008)
            server.kill(wait=False)
            answered = client.rest().endswith(b"\r\n")
            client.close()
            client = self.crash(server)
            back = old if delete_new else {**since, **old}
            now = content(client, (0, 1))
            self.assertIn(True, (now == back, now == since and not answered), (SEED, number, answered))
            amid += now == since
            unanswered += not answered
            # Nobody knows any more what was parked; the log does.
            restore(client, "MATCH", "*", "LSN", moment, "ALLDBS", "DELETE-NEW", "TTL", "keep")
            self.assertTrue(content(client, (0, 1)) == old)
        client.close()
        print("report: killed: a flush taken back: %d of %d came too late for their answer, %d were not back"
              % (unanswered, 2 * AMID, amid))

    # ---- A start that falls back.

    def test_a_start_that_falls_back_is_begun_again(self):
        amid = 0
        for number in range(AMID):
            server = self.server("--retain", 0)
            with server.connect() as client:
                fill(client)
                client.ask("SAVE")
                spoil(client)
                client.ask("SAVE")
                client.pipeline([("SET", "tail:%d" % i, i) for i in range(2000)])
                digest = client.value("FIRN", "DIGEST")
            server.kill()
            newest = max(pathlib.Path(server.folder).glob("*.ckpt"))
            size = newest.stat().st_size
            # Its header, a page, the catalog or the directory, the trailer.
            at = (20, self.dice.randrange(4096, size // 2), size - 64 - self.dice.randrange(400),
                  size - 30)[number % 4]
            with open(newest, "r+b") as file:
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ 1]))
            for _ in range(5):
                server.start(wait=False)
                time.sleep(self.dice.random() * 0.25)
                ready = "%d info    ready: " % server.pid in server.log()
                server.kill()
                amid += not ready
            server.start()
            with server.connect() as client:
                # What a damaged page held is refused until it is made anew, and never wrong.
                self.assertTrue(harness.eventually(
                    lambda: not client.ask("FIRN", "DIGEST").startswith(b"-LOADING"), 60))
                self.assertEqual(client.value("FIRN", "DIGEST"), digest, (SEED, number, at))
                # Written anew, and then all is sound.
                for _ in range(2):
                    self.assertTrue(harness.eventually(lambda: client.ask("SAVE") == b"+OK\r\n", 60))
                    client.ask("SET", "later", "1")
            self.assertEqual(server.stop(), 0)
            checked = run("check", server.folder)
            self.assertEqual(checked.returncode, 0, checked)
            server.close()
        self.report("a start that falls back", amid, 5 * AMID)

    # ---- A trial.

    def is_archived(self, client):
        at = maps(client.value("FIRN", "LSN"))
        return at[b"archived"] >= at[b"tail"]

    def test_a_trial_leaves_what_it_tries_alone(self):
        archive, backups = self.folder / "archive", self.folder / "backups"
        archive.mkdir()
        backups.mkdir()
        server = self.server("--archive-dir", archive, "--backup-dir", backups)
        client = server.connect()
        fill(client)
        self.assertEqual(client.ask("SAVE"), b"+OK\r\n")
        digest = client.value("FIRN", "DIGEST").decode()
        self.ok("backup", "--from", server.folder, "--to", backups, "--name", "one")
        before = files_of(backups)
        self.assertTrue(harness.eventually(lambda: self.is_archived(client), 60))
        begun = time.monotonic()
        self.assertEqual(told(self.ok("backup", "trial", backups), "digest"), digest)
        whole = time.monotonic() - begun
        amid = tries = 0
        while amid < AMID and tries < TRIES:
            tries += 1
            if tries % 2:
                tried = archive if tries % 4 == 1 else backups
                amid += self.killed_verb(whole, "backup", "trial", tried) == -signal.SIGKILL
            else:
                client.send("FIRN", "BACKUP", "TRIAL", *(("ARCHIVE",) if tries % 4 else ()))
                time.sleep(self.dice.random() * whole)
                server.kill(wait=False)
                amid += client.rest() == b""
                client.close()
                client = self.crash(server)
                self.assertEqual(client.value("FIRN", "DIGEST").decode(), digest)
            # What a trial found out may be noted beside them.
            after = files_of(backups)
            self.assertLessEqual(before.items(), after.items())
            self.assertEqual([name for name in after if name.endswith((".part", ".new"))], [])
            for source in (backups, archive):
                self.assertEqual(told(self.ok("backup", "trial", source), "digest"), digest)
            self.assertIsInstance(client.value("FIRN", "BACKUP", "TRIAL"), list)
        client.close()
        self.report("a trial", amid, tries)


if __name__ == "__main__":
    unittest.main()
