"""FIRN FORGET: what a key was is in no file of the store any more, while clients go on."""

# e2e: measures no time

import pathlib
import random
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from test_online_past import lines, maps
from test_undo import at_lsn, content

SECRET = b"TOPSECRET"


def forget(client, *args):
    """What FIRN FORGET tells, as a dict."""
    reply = client.value("FIRN", "FORGET", *args)
    assert isinstance(reply, list), reply
    return maps(reply)


def files_with(server, word):
    folder = pathlib.Path(server.folder)
    return sorted(path.name for path in folder.rglob("*")
                  if path.is_file() and path.suffix != ".spare" and word in path.read_bytes())


def sound(server):
    """Nothing of the directory is damaged, as `firnlog check` sees it."""
    done = subprocess.run([harness.FIRNLOG, "check", str(server.folder)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode()


def live(client):
    """Values of every kind that have the word in them, and are not there any more."""
    client.ask("SET", "k", SECRET + b" string")
    client.ask("SAVE")
    client.ask("SET", "k", SECRET + b" with expiry", "EX", 1000)
    client.ask("DEL", "k")
    client.ask("HSET", "k", "f", SECRET + b" value", SECRET + b" name", "v", "long", SECRET * 10_000)
    client.ask("SAVE")
    client.ask("HDEL", "k", SECRET + b" name")
    client.ask("SETRANGE", "k2", 0, "x")
    client.ask("DEL", "k")
    client.ask("SETRANGE", "k", 100_000, SECRET + b" big")
    client.ask("SAVE")
    client.ask("SETRANGE", "k", 50_000, SECRET + b" patch")
    client.ask("SET", "k", "open")


class Forget(unittest.TestCase):
    def test_nothing_of_what_it_was_is_in_any_file(self):
        for with_live in (False, True):
            with harness.firnlog() as server, server.connect() as client:
                live(client)
                client.ask("PEXPIRE", "k", 1_000_000)
                client.ask("HSET", "beside", "f", "1")
                moment = at_lsn(client)
                self.assertTrue(files_with(server, SECRET))
                told = forget(client, "k", *(("WITH", "LIVE") if with_live else ()))
                self.assertEqual(told[b"state"], b"done")
                self.assertGreaterEqual(told[b"records"], 8)
                self.assertGreaterEqual(told[b"images"], 1)
                self.assertEqual(told[b"damaged"], [])
                self.assertEqual(told[b"shared"], [])
                self.assertEqual(told[b"archive"], b"none")
                self.assertEqual(files_with(server, SECRET), [])
                self.assertEqual(client.value("GET", "k"), None if with_live else b"open")
                if not with_live:
                    self.assertGreater(client.value("PTTL", "k"), 900_000)
                # The past has all but the key.
                self.assertEqual(client.ask("FIRN", "GET", "k", "LSN", moment), b"$-1\r\n")
                past = maps(client.value("FIRN", "ASOF", "LSN", moment))
                self.assertEqual(past[b"lsn"], moment.encode())
                self.assertEqual(sorted(client.value("KEYS", "*")), [b"beside", b"k2"])
                self.assertEqual(client.value("DBSIZE"), 2)
                client.ask("FIRN", "ASOF", "OFF")
                kinds = [line[b"kind"] for line in lines(client, "HISTORY", "k")]
                self.assertEqual(kinds, [b"del" if with_live else b"set"])
                before = content(client)
                self.assertEqual(client.ask("SAVE"), b"+OK\r\n")
                server.kill_and_start()
                with server.connect() as again:
                    self.assertEqual(content(again), before)
                server.stop()
                sound(server)

    def test_clients_go_on(self):
        seed = harness.chosen_seed()
        rng = random.Random(seed)
        with harness.firnlog("--threads", 2, "--segment-bytes-max", "4mb") as server:
            with server.connect() as client:
                stop = threading.Event()
                model = {}

                def write():
                    with server.connect() as other:
                        while not stop.is_set():
                            some = [(b"w%d" % rng.randrange(500), b"v%d" % rng.randrange(1 << 30) + b"x" * 1000)
                                    for _ in range(50)]
                            other.pipeline([("SET", key, value) for key, value in some])
                            model.update(some)

                writer = threading.Thread(target=write)
                writer.start()
                try:
                    for i in range(6):
                        client.pipeline([("SET", "k%d" % i, SECRET + b"%d" % j) for j in range(200)])
                        client.ask("BGSAVE")
                        client.ask("SET", "k%d" % i, i)
                        told = forget(client, "k%d" % i)
                        self.assertEqual(told[b"state"], b"done", seed)
                        self.assertGreaterEqual(told[b"records"], 201, seed)
                finally:
                    stop.set()
                    writer.join()
                self.assertEqual(files_with(server, SECRET), [], seed)
                for check in range(2):
                    values = client.pipeline([("GET", key) for key in model])
                    self.assertEqual([harness.parse(value) for value in values], list(model.values()), seed)
                    self.assertEqual(client.value("MGET", *("k%d" % i for i in range(6))),
                                     [b"%d" % i for i in range(6)], seed)
                    if check == 0:
                        server.kill_and_start()
                        client.close()
                        client = server.connect()
                client.close()
            server.stop()
            sound(server)

    def test_killed_amid_it_the_store_is_sound_and_it_can_be_asked_for_again(self):
        seed = harness.chosen_seed()
        rng = random.Random(seed)
        with harness.firnlog("--segment-bytes-max", "4mb") as server:
            for _ in range(5):
                with server.connect() as client:
                    for i in range(30):
                        client.pipeline([("SET", "b%d.%d" % (i, j), b"x" * 20_000) for j in range(20)])
                        client.ask("SET", "k", SECRET + b"%d" % i)
                        if i % 10 == 5:
                            client.ask("SAVE")
                    client.ask("SET", "k", "open")
                    before = content(client)
                    client.send("FIRN", "FORGET", "k")
                    time.sleep(rng.random() * 0.3)
                    server.kill_and_start()
                with server.connect() as client:
                    self.assertEqual(content(client), before, seed)
                    self.assertEqual(forget(client, "k")[b"state"], b"done", seed)
                    self.assertEqual(content(client), before, seed)
                self.assertEqual(files_with(server, SECRET), [], seed)
            server.stop()
            sound(server)

    def test_other_names_of_the_same_object_keep_it_and_are_told(self):
        with harness.firnlog() as server, server.connect() as client:
            client.ask("HSET", "old", "f", "1")
            client.ask("RENAME", "old", "new")
            moment = at_lsn(client)
            told = forget(client, "old")
            self.assertEqual(told[b"shared"], [b"new"])
            self.assertEqual(client.value("FIRN", "GET", "new", "LSN", moment), [b"f", b"1"])
            self.assertEqual(client.value("HGETALL", "new"), [b"f", b"1"])

    def test_what_a_flush_took_is_forgotten_too(self):
        with harness.firnlog("--databases", 4) as server, server.connect() as client:
            client.ask("SET", "k", SECRET)
            client.ask("SET", "other", "1")
            client.ask("SELECT", 1)
            client.ask("SET", "k", "of another database")
            client.ask("SELECT", 0)
            moment = at_lsn(client)
            client.ask("FLUSHALL")
            self.assertEqual(forget(client, "k")[b"state"], b"done")
            self.assertEqual(files_with(server, SECRET), [])
            client.ask("FIRN", "RESTORE", "MATCH", "*", "LSN", moment, "ALLDBS", "TTL", "keep")
            self.assertEqual(client.value("KEYS", "*"), [b"other"])
            client.ask("SELECT", 1)
            self.assertEqual(client.value("GET", "k"), b"of another database")

    def test_backups_and_the_archive_that_have_it_still_are_told(self):
        with tempfile.TemporaryDirectory() as folder:
            backups, archive = pathlib.Path(folder, "backups"), pathlib.Path(folder, "archive")
            backups.mkdir()
            archive.mkdir()
            with harness.firnlog("--backup-dir", backups, "--archive-dir", archive) as server:
                with server.connect() as client:
                    def back_up(name):
                        client.ask("FIRN", "BACKUP", "START", name)
                        self.assertTrue(harness.eventually(
                            lambda: harness.info(client, "persistence")["backup_last_name"] == name, 30))

                    client.ask("SET", "other", "1")
                    back_up("before")
                    client.ask("SET", "k", SECRET)
                    back_up("with")
                    client.ask("DEL", "k")
                    lsn = maps(client.value("FIRN", "LSN"))[b"tail"]
                    self.assertTrue(harness.eventually(
                        lambda: maps(client.value("FIRN", "LSN"))[b"archived"] >= lsn, 30))
                    told = forget(client, "k")
                    self.assertEqual(told[b"backups"], [b"with"])
                    self.assertEqual(told[b"backups_unread"], [])
                    self.assertEqual(told[b"archive"], b"holds")
                    self.assertEqual(forget(client, "other")[b"backups"], [b"before", b"with"])
                    # The store goes on being archived, and a backup of it has nothing of the key.
                    back_up("behind")
                    client.ask("SET", "after", "1")
                    client.ask("SAVE")
                    lsn = maps(client.value("FIRN", "LSN"))[b"tail"]
                    self.assertTrue(harness.eventually(
                        lambda: maps(client.value("FIRN", "LSN"))[b"archived"] >= lsn, 30))
                    self.assertEqual(harness.info(client, "archive")["archive_error"], "")
                    self.assertEqual(forget(client, "k")[b"backups"], [b"with"])

    def test_who_reads_the_past_is_put_out_of_it(self):
        with harness.firnlog() as server, server.connect() as client, server.connect() as past:
            client.ask("SET", "k", SECRET)
            past.ask("FIRN", "ASOF", "LSN", at_lsn(client))
            self.assertEqual(past.value("GET", "k"), SECRET)
            client.ask("SET", "k", "open")
            self.assertEqual(forget(client, "k")[b"state"], b"done")
            self.assertTrue(harness.eventually(lambda: past.ask("GET", "k").startswith(b"-ASOFGONE")))

    def test_what_it_is_asked(self):
        with harness.firnlog() as server, server.connect() as client:
            self.assertEqual(maps(client.value("FIRN", "FORGET"))[b"state"], b"none")
            for wrong in (("k", "LIVE"), ("k", "WITH"), ("k", "WITH", "DEAD"), ("k", "WITH", "LIVE", "x")):
                self.assertEqual(client.ask("FIRN", "FORGET", *wrong), b"-ERR syntax error\r\n")
            # One that never was.
            told = forget(client, "nothing")
            self.assertEqual((told[b"state"], told[b"records"]), (b"done", 0))
            self.assertEqual(maps(client.value("FIRN", "FORGET"))[b"state"], b"done")
            self.assertEqual(harness.info(client, "persistence")["forget_state"], "done")
            client.ask("MULTI")
            self.assertTrue(client.ask("FIRN", "FORGET", "k").startswith(b"-ERR"))
            client.ask("DISCARD")

if __name__ == "__main__":
    unittest.main()
