"""The continuous archive: of a server under load, over kills of it and of the command, and back."""

# e2e: measures no time

import os
import pathlib
import re
import shutil
import stat
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


def lsns(client):
    told = client.value("FIRN", "LSN")
    return {told[i].decode(): told[i + 1] for i in range(0, len(told), 2)}


def fields(reply):
    """A map's reply as a dict of texts and numbers."""
    texts = [item.decode() if isinstance(item, bytes) else item for item in reply]
    return dict(zip(texts[::2], texts[1::2]))


def told(client):
    return harness.info(client, "archive")


# Machines may be slow: what is waited for comes, and nothing here measures how soon.
PATIENCE = 120


class Load:
    """Writes numbered keys and knows which of them were acknowledged before which lsn."""

    def __init__(self, server):
        self.server, self.over = server, threading.Event()
        self.acked = []  # (lsn, number): up to that number all keys are before that lsn
        self.thread = threading.Thread(target=self.write)

    def write(self):
        try:
            with self.server.connect() as client:
                for number in range(0, 1 << 30, 20):
                    if self.over.is_set():
                        return
                    client.pipeline([("SET", "load:%d" % (number + i), "%d" % (number + i) * 60)
                                     for i in range(20)])
                    self.acked.append((lsns(client)["tail"], number + 20))
        except (harness.Closed, OSError):
            pass  # the server was killed

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Archive(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="firnlog-e2e-archive-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.archive = os.path.join(self.folder, "archive")

    def wait(self, condition):
        self.assertTrue(harness.eventually(condition, PATIENCE))

    def caught_up(self, client):
        """Waits until what was acknowledged so far is in the archive."""
        tail = lsns(client)["tail"]
        self.wait(lambda: lsns(client)["archived"] >= tail)
        return tail

    def digest(self, *options):
        result = run("restore", "--from", self.archive, "--dry-run", *options)
        self.assertEqual(result.returncode, 0, result)
        return line(result, "digest")

    def marked(self, client, name):
        for command in (("MULTI",), ("FIRN", "MARK", name), ("FIRN", "DIGEST")):
            client.ask(*command)
        return client.value("EXEC")[1].decode()

    def restored(self, *options):
        to = os.path.join(self.folder, "restored")
        result = run("restore", "--from", self.archive, "--to", to, *options)
        self.assertEqual(result.returncode, 0, result)
        return to

    def script(self, name, text):
        """A command of that name, whose text may change while the server runs."""
        path = os.path.join(self.folder, name)
        with open(path + ".new", "w") as file:
            file.write("#!/bin/sh\n" + text + "\n")
        os.chmod(path + ".new", stat.S_IRWXU)
        os.rename(path + ".new", path)
        return path


class Directory(Archive):
    def test_the_machine_is_lost_and_what_was_archived_is_not(self):
        options = ("--segment-bytes-max", "4mb", "--archive-dir", self.archive, "--appendfsync",
                   "everysec")
        with harness.firnlog(*options) as server:
            with server.connect() as client:
                client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(9000)])
                client.ask("HSET", "h", "f", "v")
                good = self.marked(client, "good")
                client.ask("SAVE")
                with Load(server) as load:
                    self.wait(lambda: len(load.acked) > 50)
                    self.caught_up(client)
                    client.ask("SAVE")
                    self.caught_up(client)
                    archived = lsns(client)["archived"]
                    server.kill()
            shutil.rmtree(server.folder)
        there = max(number for lsn, number in load.acked if lsn <= archived)
        self.assertGreater(there, 100)
        self.assertEqual(self.digest("--mark", "good"), good)
        checked = run("check", self.archive)
        self.assertEqual(checked.returncode, 0, checked)
        self.assertIn("good", run("log", self.archive, "--kind", "mark").stdout)
        self.assertEqual(run("history", self.archive).returncode, 0)
        with harness.firnlog(*options, folder=self.restored()) as second, \
                second.connect() as client:
            for number in range(0, there, 7):
                self.assertEqual(client.value("GET", "load:%d" % number),
                                 b"%d" % number * 60, number)
            # It goes on in the same archive, on a timeline of its own.
            client.ask("SET", "after", "the restore")
            self.caught_up(client)
            newest = client.value("FIRN", "DIGEST").decode()
        self.assertEqual(self.digest(), newest)
        self.assertEqual(self.digest("--mark", "good"), good)

    def test_crashes_and_clean_stops_make_timelines_in_one_archive(self):
        marks = {}
        options = ("--segment-bytes-max", "4mb", "--archive-dir", self.archive)
        with harness.firnlog(*options) as server:
            for life in range(4):
                with server.connect() as client:
                    client.pipeline([("SET", "k%d" % i, "%d" % life * 700)
                                     for i in range(life * 50, 3000 + life * 50)])
                    marks["m%d" % life] = self.marked(client, "m%d" % life)
                    if life % 2:
                        client.ask("SAVE")
                    self.caught_up(client)
                if life == 3:
                    break
                if life == 1:
                    server.restart()
                else:
                    server.kill_and_start()
            for name, digest in marks.items():
                self.assertEqual(self.digest("--mark", name), digest, name)
        self.assertEqual(self.digest(), marks["m3"])

    def test_a_clean_stop_brings_the_rest(self):
        # Nothing but the stop would bring it.
        with harness.firnlog("--archive-dir", self.archive, "--archive-timeout", "100000",
                             "--appendfsync", "everysec") as server:
            with server.connect() as client:
                client.pipeline([("SET", "k%d" % i, "x" * 100) for i in range(1000)])
                digest = client.value("FIRN", "DIGEST").decode()
            server.stop()
            self.assertNotIn("before everything was there", server.log())
        self.assertEqual(self.digest(), digest)

    def test_info_tells_how_far_it_is(self):
        with harness.firnlog("--archive-dir", self.archive) as server, server.connect() as client:
            client.ask("SET", "a", "1")
            tail = self.caught_up(client)
            self.wait(lambda: told(client)["archive_restorable"] == "1")
            now = told(client)
            self.assertEqual(now["archive_mode"], "directory")
            self.assertEqual(now["archive_status"], "ok")
            self.assertGreaterEqual(int(now["archived_lsn"]), tail)
            self.assertGreater(int(now["archived_files"]), 1)
            self.assertIn(now["archive_last_file"], os.listdir(self.archive))
            self.assertEqual(now["archive_error"], "")
            # At rest nothing is old that is not there.
            self.wait(lambda: told(client)["archive_rpo_usec"] == "0")
            for every in ("all", "everything"):
                self.assertIn("archive_lag_bytes", harness.info(client, every))

    def test_a_trial_tells_whether_a_restore_of_it_would_be_whole(self):
        backups = os.path.join(self.folder, "backups")
        os.mkdir(backups)
        with harness.firnlog("--segment-bytes-max", "4mb", "--archive-dir", self.archive) as server, \
                server.connect() as client:
            client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(5000)])
            client.ask("SAVE")
            client.pipeline([("SET", "k%d" % i, "y" * 1000) for i in range(3000)])
            digest = client.value("FIRN", "DIGEST").decode()
            self.caught_up(client)
            asked = fields(client.value("FIRN", "BACKUP", "TRIAL"))
            self.assertEqual((asked["name"], asked["digest"], asked["keys"]), ("archive", digest, 5000))
            self.assertGreater(asked["bytes"], 8_000_000)
            self.assertEqual(told(client)["archive_verified_digest"], digest)
            self.assertEqual(told(client)["archive_verified_lsn"], asked["lsn"])
            self.assertEqual(harness.info(client, "persistence")["backup_verified_name"], "")
            self.assertTrue(client.ask("FIRN", "BACKUP", "TRIAL", "monday").startswith(
                b"-ERR there is no backup-dir"))
            tried = run("backup", "trial", self.archive)
            self.assertEqual((tried.returncode, line(tried, "digest")), (0, digest), tried)
            # While clients go on, too.
            with Load(server):
                for _ in range(5):
                    self.assertEqual(fields(client.value("FIRN", "BACKUP", "TRIAL", "archive"))["name"],
                                     "archive")
            # What is archived and damaged is found, where it is of use still.
            damaged = max((path for path in pathlib.Path(self.archive).glob("segment-*")),
                          key=lambda path: path.name.split("-")[2])
            content = bytearray(damaged.read_bytes())
            for at in range(8192, len(content), 700):
                content[at] ^= 1
            damaged.write_bytes(content)
            reply = client.ask("FIRN", "BACKUP", "TRIAL")
            self.assertTrue(reply.startswith(b"-CORRUPT "), (reply, damaged))
            self.assertEqual(run("backup", "trial", self.archive).returncode, 3)
            self.assertNotEqual(told(client)["archive_trial_error"], "")
            self.assertEqual(told(client)["archive_verified_digest"], digest)
            self.assertEqual(harness.info(client, "persistence")["backup_trial_error"], "")
        shutil.rmtree(self.archive)
        with harness.firnlog("--archive-dir", self.archive, "--backup-dir", backups,
                             "--backup-trial-interval", "1s") as server, server.connect() as client:
            client.ask("SET", "k", "v")
            self.wait(lambda: told(client)["archive_verified_keys"] == "1")
            # Each time behind that of the backups, of which there are none.
            self.wait(lambda: "no backup" in harness.info(client, "persistence")["backup_trial_error"])
            for _ in range(2):
                tried = told(client)["archive_verified_time"]
                self.wait(lambda: told(client)["archive_verified_time"] != tried)
                self.assertIn("no backup", harness.info(client, "persistence")["backup_trial_error"])

    def test_what_a_trial_found_of_the_one_says_nothing_of_the_other_and_outlives_the_server(self):
        backups = os.path.join(self.folder, "backups")
        os.mkdir(backups)
        with harness.firnlog("--archive-dir", self.archive, "--backup-dir", backups) as server:
            with server.connect() as client:
                client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(1000)])
                backed_up = client.value("FIRN", "DIGEST").decode()
                client.ask("FIRN", "BACKUP", "START", "monday")
                self.wait(lambda: harness.info(client, "persistence")["backups_done"] == "1")
                client.ask("SET", "later", "1")
                digest = client.value("FIRN", "DIGEST").decode()
                self.caught_up(client)
                for name in ("monday", "archive"):
                    self.assertEqual(fields(client.value("FIRN", "BACKUP", "TRIAL", name))["name"], name)

                def tried():
                    info = {**harness.info(client, "persistence"), **told(client)}
                    return {name: value for name, value in info.items()
                            if "_verified_" in name and not name.endswith("_usec")}

                before = tried()
                self.assertEqual(before["backup_verified_name"], "monday")
                self.assertEqual(before["backup_verified_digest"], backed_up)
                self.assertEqual(before["archive_verified_digest"], digest)
                victim = sorted(pathlib.Path(backups, "files").iterdir())[0]
                content = victim.read_bytes()
                os.unlink(victim)  # it may be the store's own file as well
                victim.write_bytes(content[:5000] + b"rot" + content[5003:])
                self.assertTrue(client.ask("FIRN", "BACKUP", "TRIAL", "monday").startswith(b"-CORRUPT "))
                # The archive is whole, and the backup is not.
                self.assertEqual(fields(client.value("FIRN", "BACKUP", "TRIAL", "archive"))["name"],
                                 "archive")
                self.assertIn("offset 0", harness.info(client, "persistence")["backup_trial_error"])
                self.assertEqual(told(client)["archive_trial_error"], "")
                before = tried()
                self.assertEqual(before["backup_verified_name"], "monday")
            server.kill()
            server.start()
            with server.connect() as client:
                self.assertEqual(tried(), before)
            server.kill()
            for folder in (backups, self.archive):
                with open(os.path.join(folder, "verified"), "r+b") as note:
                    note.write(b"not this")
            server.start()
            with server.connect() as client:
                told_now = tried()
                self.assertEqual((told_now["backup_verified_name"], told_now["backup_verified_keys"],
                                  told_now["archive_verified_keys"]), ("", "0", "0"))

    def test_files_of_others_are_left_alone_and_other_archives_are_refused(self):
        os.mkdir(self.archive)
        for name in ("notes.txt", "log-of-mine", "archive.tar"):
            with open(os.path.join(self.archive, name), "w") as file:
                file.write("mine")
        with harness.firnlog("--archive-dir", self.archive) as server, server.connect() as client:
            client.ask("SET", "a", "1")
            self.caught_up(client)
            digest = client.value("FIRN", "DIGEST").decode()
            with harness.firnlog("--archive-dir", self.archive) as other, \
                    other.connect() as stranger:
                stranger.ask("SET", "a", "2")
                self.wait(lambda: told(stranger)["archive_status"] == "failing")
                self.assertIn("another server", told(stranger)["archive_error"])
        with harness.firnlog("--archive-dir", self.archive) as other, other.connect() as stranger:
            self.wait(lambda: told(stranger)["archive_status"] == "failing")
            self.assertIn("another store", told(stranger)["archive_error"])
        for name in ("notes.txt", "log-of-mine", "archive.tar"):
            with open(os.path.join(self.archive, name)) as file:
                self.assertEqual(file.read(), "mine")
        self.assertEqual(self.digest(), digest)

    def test_a_stores_own_directory_is_refused_at_the_start(self):
        os.mkdir(self.archive)
        for directive in ("archive-dir", "backup-dir"):
            refused = run("serve", "--port", harness.free_port(), "--dir", self.archive,
                          "--" + directive, os.path.join(self.folder, ".", "archive"))
            self.assertEqual(refused.returncode, 1, refused)
            self.assertIn(directive + " is the store's own directory",
                          refused.stdout + refused.stderr)

    def test_there_is_one_archive_and_clients_cannot_say_where(self):
        with harness.firnlog("--archive-dir", self.archive, "--archive-command", "true",
                             start=False) as server:
            server.start(wait=False)
            self.assertEqual(server.wait(), 1)
            self.assertIn("both", server.log())
        with harness.firnlog("--archive-command", "cp %p %x", start=False) as server:
            server.start(wait=False)
            self.assertEqual(server.wait(), 1)
        with harness.firnlog() as server, server.connect() as client:
            self.assertEqual(told(client)["archive_mode"], "off")
            self.assertEqual(lsns(client)["archived"], 0)
            for name in ("archive-dir", "archive-command"):
                self.assertIn(b"-ERR", client.ask("CONFIG", "SET", name, "/tmp/x"))
            self.assertEqual(client.ask("CONFIG", "SET", "archive-timeout", "7"), b"+OK\r\n")


class Command(Archive):
    def setUp(self):
        super().setUp()
        os.mkdir(self.archive)

    def good(self):
        # As docs/operations.md has it: aside first, so that nothing is there by half.
        return self.script("take", 'cp "$1" "%s/.new" && mv "%s/.new" "%s/$2"' %
                           (self.archive, self.archive, self.archive))

    def server(self, *options):
        command = os.path.join(self.folder, "take")
        return harness.firnlog("--segment-bytes-max", "4mb", "--archive-command",
                               command + " %p %f", "--archive-timeout", "1", *options)

    def test_a_command_that_fails_costs_time_and_nothing_else(self):
        self.script("take", "echo first; echo the tape is full >&2; exit 7")
        with self.server("--retain", "0", "--save", "") as server, server.connect() as client:
            client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(9000)])
            self.wait(lambda: int(told(client)["archive_failures"]) > 1)
            now = told(client)
            self.assertEqual(now["archive_status"], "failing")
            self.assertIn("exit status 7: the tape is full", now["archive_error"])
            self.assertIn("the tape is full", server.log())
            before = int(now["archive_rpo_usec"])
            self.wait(
                lambda: int(told(client)["archive_rpo_usec"]) > before + 1_000_000)
            # No past is kept, and yet no log goes that is not archived.
            for n in range(3):
                client.pipeline([("SET", "k%d" % i, "%d" % n * 1000) for i in range(6000)])
                self.assertEqual(client.ask("SAVE"), b"+OK\r\n")
            kept = harness.info(client, "persistence")
            self.assertEqual(int(kept["oldest_lsn"]), 4096)
            good = self.marked(client, "good")
            self.good()
            self.caught_up(client)
            self.wait(lambda: told(client)["archive_status"] == "ok")
            self.assertLess(int(told(client)["archive_lag_bytes"]), 1 << 20)
            self.assertEqual(told(client)["archive_gaps"], "0")
            # It may go now.
            client.pipeline([("SET", "k%d" % i, "z" * 1000) for i in range(6000)])
            self.caught_up(client)
            client.ask("SAVE")
            client.ask("SAVE")
            self.assertGreater(int(harness.info(client, "persistence")["oldest_lsn"]), 4096)
            self.assertEqual(self.digest("--mark", "good"), good)
            last = client.value("FIRN", "DIGEST").decode()
            self.caught_up(client)
        self.assertEqual(self.digest(), last)

    def test_a_command_that_hangs_is_ended_and_holds_up_nobody(self):
        self.script("take", "sleep 100000 & echo $! >> %s/sleeping; echo waiting; wait" %
                    self.folder)
        with self.server("--archive-command-timeout", "1") as server, server.connect() as client:
            client.pipeline([("SET", "k%d" % i, "x" * 100) for i in range(2000)])
            self.wait(lambda: int(told(client)["archive_failures"]) > 0)
            self.assertIn("ended after 1 seconds: waiting", told(client)["archive_error"])
            self.assertEqual(client.ask("SET", "a", "1"), b"+OK\r\n")
            self.good()
            self.caught_up(client)
            digest = client.value("FIRN", "DIGEST").decode()
            client.ask("CONFIG", "SET", "archive-command-timeout", "0")
            # One that hangs as the server stops ends with it.
            self.script("take", "echo $$ >> %s/sleeping; sleep 100000" % self.folder)
            client.ask("SET", "a", "2")
            self.wait(
                lambda: len(pathlib.Path(self.folder, "sleeping").read_text().split()) > 1)
            server.stop()
            self.assertIn("before everything was there", server.log())
        with open(self.folder + "/sleeping") as file:
            for process in file.read().split():
                self.wait(lambda: not alive(int(process)))
        self.assertEqual(self.digest(), digest)

    def test_a_command_killed_half_way_loses_nothing(self):
        # Takes half of the file under its name, and ends by a signal; each third time.
        self.script("take", '''n=$(cat {0}/count 2>/dev/null || echo 0); echo $((n + 1)) > {0}/count
if [ $((n % 3)) = 0 ]; then head -c 3000 "$1" > "{1}/$2"; kill -9 $$; fi
cp "$1" "{1}/.new" && mv "{1}/.new" "{1}/$2"'''.format(self.folder, self.archive))
        with self.server() as server:
            with server.connect() as client:
                client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(9000)])
                client.ask("SAVE")
                self.caught_up(client)
                self.assertIn("exit status 137", told(client)["archive_error"])
                server.kill_and_start()
            with server.connect() as client:
                client.pipeline([("SET", "k%d" % i, "y" * 1000) for i in range(3000)])
                self.caught_up(client)
                digest = client.value("FIRN", "DIGEST").decode()
                server.kill()
            shutil.rmtree(server.folder)
        self.assertEqual(self.digest(), digest)
        checked = run("check", self.archive)
        self.assertEqual(checked.returncode, 0, checked)

    def test_the_bound_of_the_disk_outranks_the_archive_and_the_gap_is_told_of(self):
        self.good()
        with self.server("--retain-bytes", "1mb", "--save", "") as server, \
                server.connect() as client:
            client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(2000)])
            first = self.marked(client, "first")
            self.caught_up(client)
            self.script("take", "exit 1")
            archived = lsns(client)["archived"]
            client.ask("SET", "lost", "1")
            lost = lsns(client)["tail"]

            looked = 0

            def gone():
                nonlocal looked
                client.pipeline([("SET", "k%d" % i, os.urandom(500)) for i in range(6000)])
                # The archiver may notice at any time that it has lost its place; before that
                # nothing more counts as archived.
                now = told(client)
                if now["archive_gaps"] == "0":
                    self.assertEqual(int(now["archived_lsn"]), archived)
                    looked += 1
                self.assertEqual(client.ask("SAVE"), b"+OK\r\n")
                # Only what is mapped counts as past.
                time.sleep(0.2)
                return not os.path.exists(os.path.join(server.folder, "0000000001.log"))

            self.wait(gone)
            self.assertGreater(looked, 0)
            self.good()
            self.caught_up(client)
            last = client.value("FIRN", "DIGEST").decode()
            self.wait(lambda: told(client)["archive_restorable"] == "1")
            now = told(client)
            self.assertGreater(int(now["archive_gaps"]), 0)
            self.assertLess(int(now["archive_gap_from_lsn"]), lost)
            self.wait(lambda: "archive: gap" in server.log())
        self.assertEqual(self.digest(), last)
        refused = run("restore", "--from", self.archive, "--dry-run", "--lsn", lost)
        self.assertEqual(refused.returncode, 1, refused)
        self.assertIn("gap", refused.stderr)
        # What lies before it can be restored as ever.
        self.assertEqual(self.digest("--lsn", now["archive_gap_from_lsn"]), first)


def alive(process):
    try:
        os.kill(process, 0)
        with open("/proc/%d/stat" % process) as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


if __name__ == "__main__":
    unittest.main()
