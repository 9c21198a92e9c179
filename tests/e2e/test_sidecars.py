"""Sidecars of the log's files: FIRN GET, HISTORY and RESTORE KEY read only what has to do with a key."""

# e2e: measures no time

import os
import pathlib
import random
import unittest

import harness
from test_online_past import lines, maps


def sidecars(server):
    return sorted(pathlib.Path(server.folder).glob("*.side"))


def lsn_of(client):
    told = maps(client.value("FIRN", "LSN"))
    return "%d:%d" % (told[b"timeline"], told[b"tail"])


class Sidecars(unittest.TestCase):
    def all_made(self, server, client):
        def made():
            told = harness.info(client, "history")
            return (told["sidecar_missing"] == "0" and
                    int(told["sidecar_files"]) == len(sidecars(server)) >= 3)
        self.assertTrue(harness.eventually(made, 60), harness.info(client, "history"))

    def write(self, client, moments, rounds):
        """Some log files full, in which now and then something happens to a few keys."""
        for step in range(rounds):
            client.pipeline([("SET", "fill%d" % (i % 500), "v" * 400) for i in range(1500)])
            client.ask("SET", "k", "v%d" % step)
            client.ask("HSET", "h", "f%d" % (step % 5), step)
            client.ask("SETRANGE", "big", 70_000 + step * 10, "x%d" % step)
            moments.append((lsn_of(client), {
                "k": client.value("GET", "k"), "h": maps(client.value("HGETALL", "h")),
                "big": client.value("GET", "big"), "none": None}))

    def look(self, client, moments):
        for lsn, then in moments:
            for key, value in then.items():
                found = client.value("FIRN", "GET", key, "LSN", lsn)
                self.assertEqual(maps(found) if isinstance(value, dict) else found, value,
                                 (lsn, key))
            field = b"f1"
            self.assertEqual(client.value("FIRN", "GET", "h", field, "LSN", lsn),
                             then["h"].get(field))

    def test_each_key_is_what_it_was_whatever_became_of_them(self):
        seed = harness.chosen_seed()
        print("report: sidecars: seed %d" % seed)
        dice = random.Random(seed)
        moments = []
        with harness.firnlog("--segment-bytes-max", "4mb", "--save", "", "--sidecar-rate", "1gb",
                             "--checkpoint-log-bytes", 0) as server:
            with server.connect() as client:
                self.write(client, moments, 20)
                client.ask("SAVE")
                self.write(client, moments, 20)
                self.all_made(server, client)
                self.look(client, dice.sample(moments, 10))
                # No moment was opened for that.
                self.assertEqual(harness.info(client, "persistence")["pasts_open"], "0")
                told = lines(client, "HISTORY", "k", "COUNT", 1000)
                self.assertEqual([line[b"kind"] for line in told], [b"set"] * 40)
                self.assertEqual(len(lines(client, "HISTORY", "h", "COUNT", 1000)), 41)
                for line, (lsn, then) in list(zip(told, moments))[::7]:
                    self.assertEqual(client.value("FIRN", "GET", "k", "LSN", line[b"after"]),
                                     then["k"])
                # Removed under the server's hands, and damaged.
                for path in sidecars(server)[::2]:
                    path.unlink()
                for path in sidecars(server):
                    size = path.stat().st_size
                    with open(path, "r+b") as file:
                        for at in range(0, size, 4096):
                            file.seek(at + dice.randrange(min(4096, size - at)))
                            file.write(b"\xa5")
                self.look(client, dice.sample(moments, 10))
                client.ask("SET", "k", "one more")
                self.all_made(server, client)
            server.kill()
            stray = pathlib.Path(server.folder) / "0000099999.side"
            stray.write_bytes(os.urandom(5000))
            server.start()
            with server.connect() as client:
                self.assertFalse(stray.exists())
                self.write(client, moments, 5)
                self.look(client, dice.sample(moments, 15))
                lsn, then = moments[7]
                self.assertEqual(maps(client.value("FIRN", "RESTORE", "KEY", "k", "LSN", lsn))
                                 [b"result"], b"restored")
                self.assertEqual(client.value("GET", "k"), then["k"])

    def test_with_a_rate_of_nothing_none_is_made(self):
        moments = []
        with harness.firnlog("--segment-bytes-max", "4mb", "--sidecar-rate", 0) as server:
            with server.connect() as client:
                self.write(client, moments, 25)
                self.look(client, moments[::4])
                self.assertEqual(sidecars(server), [])
                self.assertEqual(client.value("CONFIG", "SET", "sidecar-rate", "1gb"), b"OK")
                client.ask("SET", "k", "one more")
                self.all_made(server, client)
                self.look(client, moments[::4])

    def test_where_no_past_is_kept_none_is_made(self):
        moments = []
        with harness.firnlog("--segment-bytes-max", "4mb", "--retain", 0) as server:
            with server.connect() as client:
                self.write(client, moments, 15)
                self.look(client, moments[-1:])
                self.assertEqual(sidecars(server), [])

    def test_they_go_with_their_log_files(self):
        with harness.firnlog("--segment-bytes-max", "4mb", "--save", "", "--sidecar-rate", "1gb",
                             "--retain", 1) as server:
            with server.connect() as client:
                self.write(client, [], 25)
                self.all_made(server, client)
                first = sidecars(server)[0]

                def gone():
                    client.pipeline([("SET", "fill%d" % (i % 500), "v" * 400) for i in range(1500)])
                    client.ask("SAVE")
                    return not first.with_suffix(".log").exists()
                self.assertTrue(harness.eventually(gone, 60))
                self.assertFalse(first.exists())
                # Made behind the log, and the first look at each log file may be its last.
                self.assertTrue(harness.eventually(lambda: all(
                    path.with_suffix(".log").exists() for path in sidecars(server))))


if __name__ == "__main__":
    unittest.main()
