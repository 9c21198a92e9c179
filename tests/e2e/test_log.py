"""firnlog log and firnlog history: the accident is found, and its line is the moment before it."""

import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import harness


def run(*arguments):
    return subprocess.run([harness.FIRNLOG, *map(str, arguments)], capture_output=True, text=True,
                          timeout=120)


LINE = re.compile(r"^(\S+Z) (\d+:\d+) (?:db(\d+|\?) )?(\w+)(?: (.*))?$")


def lines_of(result):
    """(lsn, database, event, rest) of each line."""
    assert result.returncode == 0, result
    found = []
    for line in result.stdout.splitlines():
        match = LINE.match(line)
        assert match, line
        found.append(match.groups()[1:])
    return found


class Log(unittest.TestCase):
    def log(self, server, *options):
        return lines_of(run("log", server.folder, *options))

    def test_each_effect_has_a_line_in_the_order_of_the_log(self):
        with harness.firnlog() as server, server.connect() as client:
            client.pipeline([("SET", "a", "12345"), ("SET", "due", "v", "PX", "1")])
            time.sleep(0.02)
            for command in (
                ("GET", "due"), ("EXPIRE", "a", "1000"),
                ("PERSIST", "a"), ("HSET", "h", "f", "vv"), ("HDEL", "h", "f"),
                ("SETRANGE", "big", "100000", "x"), ("RENAME", "a", "b"),
                ("FIRN", "MARK", "here \"it\" is"), ("SELECT", "3"), ("SET", "k\n", ""), ("DEL", "k\n"),
                ("SWAPDB", "3", "4"), ("SET", "x", "1"), ("FLUSHDB",), ("SELECT", "4"), ("FLUSHALL",),
            ):
                self.assertFalse(client.ask(*command).startswith(b"-"), command)
            told = [line[1:] for line in self.log(server)]
        self.assertEqual(told[:6], [
            ("0", "set", '"a" bytes=5'),
            ("0", "set", told[1][2]),
            ("0", "expired", '"due"'),
            ("0", "expire", told[3][2]),
            ("0", "persist", '"a"'),
            ("0", "bind", '"h"'),
        ])
        self.assertRegex(told[1][2], r'^"due" bytes=1 expires=20\d\d-.*Z$')
        self.assertRegex(told[3][2], r'^"a" expires=20\d\d-.*Z$')
        self.assertIn(("0", "field", '"h" "f" bytes=2'), told)
        self.assertIn(("0", "bind", '"big"'), told)
        self.assertTrue(any(line[:2] == ("0", "part") for line in told))
        self.assertIn((None, "mark", '"here \\"it\\" is"'), told)
        self.assertIn(("3", "set", '"k\\n"'), told)
        self.assertIn(("3", "del", '"k\\n"'), told)
        self.assertIn(("3", "swap", None), told)
        self.assertIn(("4", "swap", None), told)
        self.assertEqual(told[-2:], [("3", "flush", None), ("0", "flush", None)])

    def test_what_is_asked_for_and_nothing_else(self):
        with harness.firnlog() as server, server.connect() as client:
            client.pipeline([("SET", "user:%d" % i, "v") for i in range(50)])
            time.sleep(0.05)
            client.ask("FIRN", "MARK", "m")
            client.pipeline([("DEL", "user:%d" % i) for i in range(0, 50, 2)])
            client.ask("FIRN", "MARK", "n")
            client.ask("SET", "late", "v")
            self.assertEqual(len(self.log(server, "--kind", "del")), 25)
            self.assertEqual([line[3] for line in self.log(server, "--match", "user:1")],
                             ['"user:1" bytes=1'])
            self.assertEqual(len(self.log(server, "--since", "mark m", "--until", "mark n")), 26)
            self.assertEqual(self.log(server, "--since", "mark n")[0][3], '"late" bytes=1')
            self.assertEqual(len(self.log(server, "--since", "-1ms", "--kind", "set")), 0)
            newest = run("log", server.folder, "--count", "3")
            self.assertEqual(len(lines_of(newest)), 3)
            self.assertIn("older lines are left out", newest.stderr)

    def test_a_time_before_the_oldest_moment_means_all_that_is_left(self):
        with harness.firnlog() as server, server.connect() as client:
            client.pipeline([("SET", "user:%d" % i, "v") for i in range(50)])
            for since in ("-1h", "before 2020-01-01T00:00:00Z"):
                told = run("log", server.folder, "--since", since, "--kind", "set")
                self.assertEqual((told.returncode, len(lines_of(told))), (0, 50), told)
                self.assertRegex(told.stderr, "the oldest moment is lsn 1:4096, .*: listed from there on")
            # What is no place in any log is refused as before.
            for since, why in (("mark none", "no mark of that name"), ("lsn 9:1", "no timeline 9"),
                               ("2999-01-01T00:00:00Z", "has not come yet")):
                told = run("log", server.folder, "--since", since)
                self.assertEqual(told.returncode, 1, told)
                self.assertIn(why, told.stderr)
            self.assertNotIn("oldest", run("log", server.folder, "--since", "-0s").stderr)

    def test_the_accident_is_found_and_undone_by_its_line(self):
        folder = tempfile.mkdtemp(prefix="firnlog-e2e-log-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        with harness.firnlog() as server:
            with server.connect() as client:
                client.pipeline([("SET", "k%d" % i, "v" * 100) for i in range(500)])
                client.pipeline([("HSET", "h%d" % (i % 9), "f%d" % i, "v") for i in range(500)])
            server.kill()
            server.start()
            with server.connect() as client:
                client.ask("SET", "one more", "v")
                good = client.value("FIRN", "DIGEST").decode()
                client.ask("FLUSHALL")
                client.pipeline([("SET", "after%d" % i, "v") for i in range(100)])
                flushes = self.log(server, "--kind", "flush")
                self.assertEqual(len(flushes), 1)
                result = run("restore", "--from", server.folder, "--to", os.path.join(folder, "new"),
                             "--lsn", flushes[0][0])
            self.assertEqual(result.returncode, 0, result)
            self.assertIn(good, result.stdout)

    def test_history_tells_how_far_the_past_reaches(self):
        with harness.firnlog() as server:
            with server.connect() as client:
                client.ask("SET", "a", "1")
                client.ask("SAVE")
                client.ask("SET", "a", "2")
                lsn = client.value("FIRN", "LSN")
                tail = dict(zip(lsn[::2], lsn[1::2]))[b"tail"]
            server.kill()
            server.start()
            told = run("history", server.folder)
            self.assertEqual(told.returncode, 0, told)
            self.assertRegex(told.stdout, r"(?m)^oldest +lsn 1:4096, ")
            self.assertRegex(told.stdout, r"(?m)^newest +lsn 2:\d+, ")
            self.assertRegex(told.stdout, r"(?m)^checkpoint +\d+: lsn \d+ to \d+, ")
            self.assertRegex(told.stdout, r"(?m)^keeps +16 bytes live, 0 for a fall-back, 0 for moments since the "
                                          r"oldest, 0 for kept moments$")
            cut = re.search(r"(?m)^timeline +1: lsn 4096 to (\d+), ", told.stdout)
            self.assertGreaterEqual(int(cut[1]), tail)
            self.assertRegex(told.stdout, r"(?m)^timeline +2: lsn \d+ on, ")

    def test_what_cannot_be_is_refused_in_words(self):
        with harness.firnlog() as server:
            for options, why in (
                (("--kind", "murder"), "no such kind"),
                (("--count", "0"), "is no count"),
                (("--since", "noon"), "a time is like"),
                (("--until", "mark none"), "no mark of that name"),
            ):
                result = run("log", server.folder, *options)
                self.assertEqual(result.returncode, 1, result)
                self.assertIn(why, result.stderr)
        result = run("history", tempfile.gettempdir())
        self.assertEqual(result.returncode, 1)
        self.assertIn("not a store", result.stderr)


if __name__ == "__main__":
    unittest.main()
