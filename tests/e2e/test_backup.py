"""firnlog backup: of a live server under load, over kills of it and of the server, and back again."""

# e2e: measures no time

import os
import pathlib
import random
import re
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

import harness


def run(*arguments):
    return subprocess.run([harness.FIRNLOG, *map(str, arguments)], capture_output=True, text=True,
                          timeout=300)


def line(result, what):
    """What the line of that name says."""
    found = re.search(rf"^{what} +(.*)$", result.stdout, re.M)
    assert found, (what, result)
    return found[1]


def copied_bytes(result):
    return int(re.search(r"\((\d+) bytes\)", line(result, "took"))[1])


class Load:
    """Writes as fast as one connection can, until it is left."""

    def __init__(self, server):
        self.server, self.over = server, threading.Event()
        self.thread = threading.Thread(target=self.write)

    def write(self):
        try:
            with self.server.connect() as client:
                for number in range(1 << 30):
                    if self.over.is_set():
                        return
                    client.pipeline([("SET", "load:%d" % (number * 50 + i), "y" * 500)
                                     for i in range(50)])
        except (harness.Closed, OSError):
            pass  # the server was killed

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Backup(unittest.TestCase):
    def setUp(self):
        # Beside the servers' folders, so that files can be linked.
        self.folder = tempfile.mkdtemp(prefix="firnlog-e2e-backup-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.backups = os.path.join(self.folder, "backups")

    def take(self, source, name, *options):
        result = run("backup", "--from", source, "--to", self.backups, "--name", name, *options)
        self.assertEqual(result.returncode, 0, result)
        return result

    def digest(self, name, *options):
        result = run("restore", "--from", os.path.join(self.backups, name), "--dry-run", *options)
        self.assertEqual(result.returncode, 0, result)
        return line(result, "digest")

    def marked(self, client, name):
        for command in (("MULTI",), ("FIRN", "MARK", name), ("FIRN", "DIGEST")):
            client.ask(*command)
        return client.value("EXEC")[1].decode()

    def test_a_backup_under_load_is_restored_when_the_store_is_gone(self):
        to = os.path.join(self.folder, "restored")
        with harness.firnlog("--segment-bytes-max", "4mb", "--appendfsync", "everysec") as server:
            with server.connect() as client:
                client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(12000)])
                client.ask("HSET", "h", "f", "v")
                good = self.marked(client, "good")
                with Load(server):
                    time.sleep(0.2)
                    first = self.take(server.folder, "one")
                    client.ask("SAVE")
                    second = self.take(server.folder, "two")
                # Full files are the same files: only the last one was copied.
                for result in (first, second):
                    self.assertRegex(line(result, "took"), r" 0 cloned, [01] copied")
                self.assertRegex(line(first, "took"), r"^0 were there, [1-9]")
                self.assertRegex(line(second, "took"), r"^[1-9]")
                moment = line(second, "moment").split(",")[0].removeprefix("lsn ")
                # The live store tells the same of that moment.
                told = run("restore", "--from", server.folder, "--dry-run", "--lsn", moment)
                live = line(told, "digest")
        shutil.rmtree(server.folder, ignore_errors=True)
        self.assertEqual(self.digest("two"), live)
        self.assertEqual(self.digest("", ), live)  # the newest
        for name in ("one", "two"):
            self.assertEqual(self.digest(name, "--mark", "good"), good)
        result = run("restore", "--from", os.path.join(self.backups, "two"), "--to", to,
                     "--mark", "good")
        self.assertEqual(result.returncode, 0, result)
        with harness.firnlog("--segment-bytes-max", "4mb", folder=to) as second:
            with second.connect() as client:
                self.assertEqual(client.value("FIRN", "DIGEST").decode(), good)
                # It goes on by itself, and the backup it shares files with stays as it is.
                client.pipeline([("SET", "k%d" % i, "new" * 400) for i in range(12000)])
                client.ask("SAVE")
        verified = run("backup", "verify", self.backups)
        self.assertEqual(verified.returncode, 0, verified)
        self.assertEqual(self.digest("two"), live)

    def test_what_changed_since_is_all_that_a_second_backup_moves(self):
        other = tempfile.mkdtemp(prefix="firnlog-e2e-backup-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, other, ignore_errors=True)
        # Another file system has to be given every byte.
        if os.stat(other).st_dev == os.stat(self.folder).st_dev:
            self.skipTest("/dev/shm is no file system of its own")
        self.backups = other
        with harness.firnlog("--segment-bytes-max", "4mb") as server, server.connect() as client:
            client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(60000)])
            client.ask("SAVE")
            first = self.take(server.folder, "one")
            client.pipeline([("SET", "k%d" % i, "y" * 1000) for i in range(600)])
            second = self.take(server.folder, "two")
            self.assertGreater(copied_bytes(first), 60_000_000)
            # 1 % changed. The log's last file is copied whole: 4 MiB of 64 at the most.
            self.assertLess(copied_bytes(second), 5_000_000)
            deleted = run("backup", "delete", self.backups, "one")
            self.assertEqual(deleted.returncode, 0, deleted)
            self.assertEqual(self.digest("two"), client.value("FIRN", "DIGEST").decode())

    def test_a_linked_file_is_known_by_its_digest_and_not_read(self):
        with harness.firnlog("--segment-bytes-max", "4mb") as server, server.connect() as client:
            client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(30000)])
            client.ask("SAVE")
            digest = client.value("FIRN", "DIGEST").decode()
            logs = [n for n in os.listdir(server.folder) if n.endswith((".log", ".ckpt"))]

            def noted():
                with open(os.path.join(server.folder, "digests"), "rb") as file:
                    return len(file.read())
            # Behind 64 bytes of its own 64 for each file of 4 MiB, which the worker adds behind the log.
            self.assertTrue(harness.eventually(lambda: noted() >= 64 * 8))
            first = self.take(server.folder, "one")
            linked, read = self.counts(first)
            self.assertGreater(linked, 7, logs)
            # The last file, and what was sealed and not durable yet as it was asked.
            self.assertLessEqual(read, 2, first)
        verified = run("backup", "verify", self.backups, "one")
        self.assertEqual(verified.returncode, 0, verified)
        self.assertEqual(self.digest("one"), digest)
        # What the disk does to one of them afterwards is found, with the place.
        folder = os.path.join(self.backups, "files")
        name = max((n for n in os.listdir(folder) if n.endswith(".log")),
                   key=lambda n: os.stat(os.path.join(folder, n)).st_size)
        with open(os.path.join(folder, name), "r+b") as file:
            file.seek(1_500_000)
            file.write(b"damage")
        verified = run("backup", "verify", self.backups, "one")
        self.assertEqual(verified.returncode, 3, verified)
        self.assertIn("%s offset 1048576" % name, verified.stdout + verified.stderr)

    @staticmethod
    def counts(result):
        """How many files were linked, and how many read."""
        took = line(result, "took")
        return (int(re.search(r"(\d+) linked", took)[1]), int(re.search(r"(\d+) were read", took)[1]))

    def test_a_backup_killed_anywhere_is_gone_on_with(self):
        seed = int(os.environ.get("FIRNLOG_SEED", "0")) or random.randrange(1 << 30)
        rng = random.Random(seed)
        with harness.firnlog("--segment-bytes-max", "4mb") as server, server.connect() as client:
            client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(20000)])
            before = self.marked(client, "before")
            self.take(server.folder, "one")
            killed = 0
            with Load(server):
                for number in range(12):
                    child = subprocess.Popen(
                        [harness.FIRNLOG, "backup", "--from", server.folder, "--to", self.backups,
                         "--name", "n%d" % number], stdout=subprocess.DEVNULL)
                    time.sleep(rng.random() * 0.06)
                    child.kill()
                    killed += child.wait() != 0
            self.assertGreater(killed, 0)
            now = self.marked(client, "now")
            self.take(server.folder, "last")
            with self.subTest(seed=seed):
                verified = run("backup", "verify", self.backups)
                self.assertEqual(verified.returncode, 0, verified)
                self.assertEqual(self.digest("one", "--mark", "before"), before)
                self.assertEqual(self.digest("last", "--mark", "now"), now)
        names = os.listdir(self.backups) + os.listdir(os.path.join(self.backups, "files"))
        self.assertEqual([n for n in names if n.endswith((".new", ".part"))], [])

    def test_a_server_killed_and_started_again_goes_on_in_the_same_directory(self):
        with harness.firnlog("--segment-bytes-max", "4mb", "--appendfsync", "no") as server:
            digests = {}
            for number in range(4):
                with server.connect() as client:
                    client.pipeline([("SET", "k%d" % i, "%d" % number * 1000)
                                     for i in range(3000)])
                    digests["b%d" % number] = client.value("FIRN", "DIGEST").decode()
                    if number == 2:
                        client.ask("SAVE")
                self.take(server.folder, "b%d" % number)
                server.kill()
                server.start()
            for name, digest in digests.items():
                self.assertEqual(self.digest(name), digest)

    def test_a_flipped_byte_is_found_and_nothing_is_restored_of_it(self):
        with harness.firnlog("--segment-bytes-max", "4mb") as server, server.connect() as client:
            client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(8000)])
            self.take(server.folder, "one")
        victim = sorted(pathlib.Path(self.backups, "files").iterdir())[0]
        whole = victim.read_bytes()
        at = 1_500_000
        victim.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1:])
        verified = run("backup", "verify", self.backups, "one")
        self.assertEqual(verified.returncode, 3, verified)
        self.assertIn("files/%s offset 1048576 to 2097152" % victim.name, verified.stdout)
        to = os.path.join(self.folder, "restored")
        result = run("restore", "--from", self.backups, "--to", to)
        self.assertEqual(result.returncode, 3, result)
        self.assertIn(victim.name, result.stderr)
        self.assertFalse(os.path.exists(to) or os.path.exists(to + ".tmp"))
        victim.unlink()
        self.assertEqual(run("backup", "verify", self.backups).returncode, 3)
        victim.write_bytes(whole)
        self.assertEqual(run("backup", "verify", self.backups).returncode, 0)

    def test_the_readers_of_a_store_read_a_backup(self):
        with harness.firnlog() as server, server.connect() as client:
            client.pipeline([("SET", "a", "1"), ("FLUSHALL",), ("SET", "b", "2")])
            self.take(server.folder, "one")
        at = os.path.join(self.backups, "one")
        self.assertIn(" flush", run("log", at, "--kind", "flush").stdout)
        self.assertIn("oldest", run("history", at).stdout)
        with harness.firnlog("--from", at, "--readonly", folder=self.folder) as second:
            with second.connect() as client:
                self.assertEqual(client.value("GET", "b"), b"2")

    def test_retention_and_what_cannot_be_is_refused_in_words(self):
        with harness.firnlog() as server, server.connect() as client:
            for number in range(4):
                client.ask("SET", "k", number)
                self.take(server.folder, "n%d" % number, "--keep-last", 2)
            listed = run("backup", "list", self.backups).stdout
            self.assertEqual(re.findall(r"^(\w+) ", listed, re.M), ["n2", "n3"])
            for arguments, why in (
                (("--from", server.folder, "--to", self.backups, "--name", "n3"),
                 "there is a backup 'n3' already"),
                (("--from", server.folder, "--to", server.folder), "no place for backups"),
                (("--from", self.folder, "--to", self.backups), "not a store"),
                (("--from", server.folder, "--to", self.backups, "--name", "a/b"), "name"),
                (("--from", server.folder, "--to", self.backups, "--keep", "soon"), "an age is"),
                (("delete", self.backups, "none"), "there is no backup 'none'"),
                (("verify", self.folder), "there is no backup here"),
                (("list",), "usage"),
                ((), "usage"),
            ):
                result = run("backup", *arguments)
                self.assertEqual(result.returncode, 1, (arguments, result))
                self.assertIn(why, result.stderr)
            self.assertEqual(run("backup", "delete", self.backups, "--keep-last", 1).returncode, 0)
            self.assertEqual(run("backup", "delete", self.backups, "n3").returncode, 0)
            self.assertEqual(os.listdir(os.path.join(self.backups, "files")), [])


class Online(unittest.TestCase):
    """FIRN BACKUP: the server takes them, into backup-dir and nowhere else."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="firnlog-e2e-backup-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.backups = os.path.join(self.folder, "backups")

    def status(self, client):
        reply = client.value("FIRN", "BACKUP", "STATUS")
        return {k.decode(): v for k, v in zip(reply[::2], reply[1::2])}

    def finished(self, client):
        self.assertTrue(harness.eventually(lambda: self.status(client)["running"] == 0, 60))
        return self.status(client)

    def test_a_server_deletes_older_ones_as_it_is_told_to(self):
        with harness.firnlog("--backup-dir", self.backups) as server, server.connect() as client:

            def names():
                return [entry[1] for entry in client.value("FIRN", "BACKUP", "LIST")]
            for number in range(4):
                client.ask("SET", "k", str(number))
                client.ask("FIRN", "BACKUP", "START", "b%d" % number)
                self.finished(client)
            self.assertEqual(names(), [b"b0", b"b1", b"b2", b"b3"])
            # Either of them keeps.
            client.ask("FIRN", "BACKUP", "START", "b4", "KEEP", "1h", "KEEP-LAST", "2")
            self.assertEqual(self.finished(client)["last_deleted"], 0)
            client.ask("FIRN", "BACKUP", "START", "b5", "KEEP-LAST", "3")
            self.assertEqual(self.finished(client)["last_deleted"], 3)
            self.assertEqual(names(), [b"b3", b"b4", b"b5"])
            told = run("backup", "--host", "127.0.0.1", "--port", server.port, "--name", "b6",
                       "--keep", "1s", "--keep-last", "1")
            self.assertEqual(told.returncode, 0, told)
            self.assertIn(b"b6", names())
            self.assertEqual(line(told, "deleted"), "%d backups" % (4 - len(names())))
            for words in (("KEEP", "soon"), ("KEEP-LAST", "0"), ("KEEP-LAST", "x"), ("KEEP",),
                          ("KEPT", "1h")):
                self.assertTrue(client.ask("FIRN", "BACKUP", "START", "b7", *words)
                                .startswith(b"-ERR"), words)
        verified = run("backup", "verify", self.backups)
        self.assertEqual(verified.returncode, 0, verified)

    def test_a_client_has_a_backup_taken_and_looks_after_them(self):
        with harness.firnlog("--segment-bytes-max", "4mb", "--appendfsync", "everysec",
                             "--backup-dir", self.backups) as server, server.connect() as client:
            client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(9000)])
            digest = client.value("FIRN", "DIGEST").decode()
            self.assertEqual(client.ask("FIRN", "BACKUP", "START", "one"), b"+Backup started\r\n")
            status = self.finished(client)
            self.assertEqual((status["done"], status["error"], status["last_name"]),
                             (1, b"", b"one"))
            # What this connection had written is in it.
            told = run("restore", "--from", os.path.join(self.backups, "one"), "--dry-run")
            self.assertEqual(line(told, "digest"), digest)
            self.assertIn("lsn " + status["last_lsn"].decode(), line(told, "moment"))
            self.assertIn(b"backup_last_name:one\r\n", client.value("INFO", "persistence"))
            with Load(server):
                client.ask("FIRN", "BACKUP", "START", "two")
                self.assertEqual(self.finished(client)["done"], 2)
            # One moment of the writer's order: nothing is missing before something that is there.
            back = os.path.join(self.folder, "back")
            told = run("restore", "--from", os.path.join(self.backups, "two"), "--to", back)
            self.assertEqual(told.returncode, 0, told)
            with harness.firnlog(folder=back) as other, other.connect() as reader:
                written = reader.value("DBSIZE") - 9000
                there = reader.pipeline([("EXISTS", "load:%d" % i) for i in range(written)])
                self.assertEqual(set(there), {b":1\r\n"} if written else set())
            listed = client.value("FIRN", "BACKUP", "LIST")
            self.assertEqual([entry[1] for entry in listed], [b"one", b"two"])
            verified = client.value("FIRN", "BACKUP", "VERIFY", "two")
            self.assertEqual(verified[0], b"files")
            self.assertGreater(verified[1], 2)
            client.ask("FIRN", "BACKUP", "START", "one")
            self.assertIn(b"already", self.finished(client)["error"])
            victim = sorted(pathlib.Path(self.backups, "files").iterdir())[0]
            whole = victim.read_bytes()
            os.unlink(victim)  # it may be the store's own file as well
            victim.write_bytes(whole[:5000] + b"rot" + whole[5003:])
            self.assertRegex(client.ask("FIRN", "BACKUP", "VERIFY", "one"),
                             rb"^-CORRUPT files/.*offset 0")
            self.assertEqual(client.value("FIRN", "BACKUP", "DELETE", "one")[0], b"files")
            self.assertIn(b"no backup 'one'", client.ask("FIRN", "BACKUP", "DELETE", "one"))
            # The store, whose files went into them by link, has all that it had.
            values = client.pipeline([("GET", "k%d" % i) for i in range(9000)])
            self.assertEqual(set(values), {b"$1000\r\n" + b"x" * 1000 + b"\r\n"})

    def info(self, client, field):
        return harness.info(client, "persistence")[field]

    def test_a_trial_says_what_a_restore_would_and_a_damaged_backup_fails_it(self):
        with harness.firnlog("--segment-bytes-max", "4mb", "--appendfsync", "everysec",
                             "--backup-dir", self.backups) as server, server.connect() as client:
            self.assertEqual(client.ask("FIRN", "BACKUP", "TRIAL"),
                             b"-ERR there is no backup here\r\n")
            self.assertEqual(run("backup", "trial", self.backups).returncode, 1)
            client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(9000)])
            client.ask("SET", "short", "lived", "PX", 10 ** 9)
            client.ask("HSET", "h", "f", "v")
            digests = {}
            for name in ("one", "two"):
                client.ask("SAVE")
                client.ask("SET", name, name)
                digests[name] = client.value("FIRN", "DIGEST")
                client.ask("FIRN", "BACKUP", "START", name)
                self.assertEqual(self.finished(client)["error"], b"")
            client.ask("SET", "later", "x")
            for words, name in (((), "two"), (("one",), "one")):
                reply = client.value("FIRN", "BACKUP", "TRIAL", *words)
                told = {k.decode(): v for k, v in zip(reply[::2], reply[1::2])}
                self.assertEqual((told["name"].decode(), told["digest"]), (name, digests[name]))
                self.assertEqual(told["keys"], 9003 if name == "one" else 9004)
                self.assertEqual(self.info(client, "backup_verified_name"), name)
                self.assertEqual(self.info(client, "backup_verified_digest"),
                                 digests[name].decode())
                self.assertEqual(self.info(client, "backup_verified_lsn"), told["lsn"].decode())
                self.assertGreater(int(self.info(client, "backup_verified_moment")), 10 ** 9)
                # The command line, and a restore, say the same.
                tried = run("backup", "trial", self.backups, *words)
                self.assertEqual((tried.returncode, line(tried, "digest")),
                                 (0, digests[name].decode()), tried)
                dry = run("restore", "--from", os.path.join(self.backups, name), "--dry-run")
                for what in ("digest", "keys", "moment", "oldest"):
                    self.assertEqual(line(tried, what), line(dry, what))
            listed = {entry.name: entry.stat().st_mtime_ns
                      for entry in pathlib.Path(self.backups).rglob("*")}
            victim = sorted(pathlib.Path(self.backups, "files").iterdir())[0]
            whole = victim.read_bytes()
            os.unlink(victim)  # it may be the store's own file as well
            victim.write_bytes(whole[:5000] + b"rot" + whole[5003:])
            self.assertRegex(client.ask("FIRN", "BACKUP", "TRIAL"),
                             rb"^-CORRUPT damaged: files/.*offset 0")
            self.assertIn("offset 0", self.info(client, "backup_trial_error"))
            # What was known to be good is still told, and so is when.
            self.assertEqual(self.info(client, "backup_verified_name"), "one")
            tried = run("backup", "trial", self.backups, "one")
            self.assertEqual(tried.returncode, 3, tried)
            self.assertIn("damaged: files/", tried.stderr)
            self.assertIn(b"no backup 'none'", client.ask("FIRN", "BACKUP", "TRIAL", "none"))
            victim.write_bytes(whole)
            self.assertEqual(client.value("FIRN", "BACKUP", "TRIAL")[1], b"two")
            self.assertEqual(self.info(client, "backup_trial_error"), "")
            # Nothing was written.
            self.assertEqual({entry.name for entry in pathlib.Path(self.backups).rglob("*")},
                             set(listed))
            # The store goes on.
            self.assertEqual(client.value("GET", "later"), b"x")

    def test_a_trial_comes_by_itself_when_its_time_has_come(self):
        with harness.firnlog("--backup-dir", self.backups, "--backup-trial-interval", "1s") as server:
            with server.connect() as client:
                # There is none yet, and that is told.
                self.assertTrue(harness.eventually(
                    lambda: "no backup" in self.info(client, "backup_trial_error"), 120))
                client.ask("SET", "k", "v")
                digest = client.value("FIRN", "DIGEST").decode()
                client.ask("FIRN", "BACKUP", "START", "one")
                self.assertTrue(harness.eventually(
                    lambda: self.info(client, "backup_verified_name") == "one", 120))
                self.assertEqual(self.info(client, "backup_verified_digest"), digest)
                self.assertEqual(self.info(client, "backup_trial_error"), "")
                client.ask("CONFIG", "SET", "backup-trial-interval", "0")
            self.assertEqual(server.stop(), 0)

    @unittest.skipUnless(os.path.isdir("/dev/shm"), "there is no second file system")
    def test_backups_are_listed_while_one_is_taken(self):
        # Another file system, so that it has to copy. Whether it still does when the list has come
        # is a matter of luck, but one that waited for it would never come while it does.
        with tempfile.TemporaryDirectory(dir="/dev/shm") as there, \
                harness.firnlog("--segment-bytes-max", "4mb", "--appendfsync", "everysec",
                                "--backup-dir", there) as server, server.connect() as client:
            client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(9000)])
            for _ in range(30):
                started, listed, running = client.pipeline([
                    ("FIRN", "BACKUP", *words) for words in (("START", "one"), ("LIST",), ("STATUS",))])
                self.assertEqual(started, b"+Backup started\r\n")
                self.assertEqual(self.finished(client)["error"], b"")
                self.assertEqual(client.value("FIRN", "BACKUP", "DELETE", "one")[0], b"files")
                if b"running\r\n:1\r\n" in running:
                    break
            else:
                self.fail("no list comes before the backup has ended")
            self.assertEqual(listed, b"*0\r\n")

    def test_a_client_says_a_name_and_never_where(self):
        with harness.firnlog("--backup-dir", self.backups) as server, server.connect() as client:
            for verb in ("START", "VERIFY", "TRIAL", "DELETE"):
                for name in ("", ".", "..", "../x", "a/b", "a b", "/etc/x", "x" * 101, "a\n"):
                    self.assertIn(b"-ERR a backup's name has",
                                  client.ask("FIRN", "BACKUP", verb, name))
            self.assertIn(b"-ERR", client.ask("CONFIG", "SET", "backup-dir", "/tmp"))
            self.assertEqual(client.value("CONFIG", "GET", "backup-dir")[1].decode(), self.backups)
            for words in (("START",), ("LIST", "x"), ("NONE",), ("START", "a", "b")):
                self.assertEqual(client.ask("FIRN", "BACKUP", *words), b"-ERR syntax error\r\n")
            self.assertEqual(self.status(client)["done"], 0)
        with harness.firnlog() as server, server.connect() as client:
            for words in (("START", "one"), ("LIST",), ("VERIFY", "one"), ("TRIAL",),
                          ("DELETE", "one")):
                self.assertIn(b"-ERR there is no backup-dir",
                              client.ask("FIRN", "BACKUP", *words))

    def test_the_command_line_asks_a_server_for_one(self):
        with harness.firnlog("--backup-dir", self.backups, "--requirepass", "pass word") as server:
            with server.connect() as client:
                client.ask("AUTH", "pass word")
                client.ask("SET", "k", "v")
                digest = client.value("FIRN", "DIGEST").decode()
            for options in ((), ("--port", 1)):
                denied = run("backup", "--host", "127.0.0.1", "--port", server.port, "--name", "one",
                             *options)
                self.assertEqual(denied.returncode, 1, denied)
            environment = dict(os.environ, REDISCLI_AUTH="pass word")
            taken = subprocess.run([harness.FIRNLOG, "backup", "--host", "127.0.0.1", "--port",
                                    str(server.port), "--name", "one"], env=environment,
                                   capture_output=True, text=True, timeout=100)
            self.assertEqual(taken.returncode, 0, taken)
            self.assertEqual(line(taken, "backup"), "one")
            again = subprocess.run([harness.FIRNLOG, "backup", "--host", "127.0.0.1", "--port",
                                    str(server.port), "--name", "one"], env=environment,
                                   capture_output=True, text=True, timeout=100)
            self.assertEqual(again.returncode, 1, again)
            self.assertIn("already", again.stderr)
        told = run("restore", "--from", self.backups, "--dry-run")
        self.assertEqual(line(told, "digest"), digest)

    def test_a_server_killed_while_it_takes_one_takes_the_next(self):
        with harness.firnlog("--segment-bytes-max", "4mb", "--backup-dir", self.backups) as server:
            with server.connect() as client:
                client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(9000)])
            for number in range(4):
                with server.connect() as client:
                    client.ask("FIRN", "BACKUP", "START", "n%d" % number)
                    time.sleep(number * 0.004)
                server.kill()
                server.start()
            with server.connect() as client:
                client.ask("FIRN", "BACKUP", "START", "last")
                self.assertEqual(self.finished(client)["error"], b"")
                digest = client.value("FIRN", "DIGEST").decode()
        self.assertEqual(run("backup", "verify", self.backups).returncode, 0)
        told = run("restore", "--from", self.backups, "--dry-run")
        self.assertEqual(line(told, "digest"), digest)


if __name__ == "__main__":
    unittest.main()
