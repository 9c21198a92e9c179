"""`firnlog crashtest`: every checker fires on a server that breaks just that promise, none on servers
that keep theirs, and a lying disk is found out.

The slice for CI is short; FIRNLOG_PROVE=1 runs the volumes of the durability report. Power cuts and
faults of a disk need root, /dev/fuse and loop devices; what is missing is skipped by name.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import faulty_server
import harness
import test_faultdisk

PROVE = bool(os.environ.get("FIRNLOG_PROVE"))
SEED = os.environ.get("FIRNLOG_SEED")
SECONDS = 24 * 3600 if PROVE else 240
FAULTY = pathlib.Path(faulty_server.__file__)
FIRNLOG = harness.FIRNLOG + " serve --port {port} --dir {dir} --appendfsync "
REDIS = "redis-server --port {port} --dir {dir} --appendonly yes --save '' --appendfsync "

# What each fault must be found as, in which mode; options beyond the common ones.
FOUND_AS = {
    "acks-early": ("always", ("lost-ack",), ()),
    "loses-order": ("always", ("hole", "resurrection", "torn-batch", "expiry"), ()),
    "orders-by-connection": ("no", ("order",), ("--load-ms", "500-900")),
    "resurrects": ("always", ("resurrection",), ()),
    "tears-batches": ("no", ("torn-batch",), ("--load-ms", "300-600")),
    "torn-values": ("always", ("wrong-value",), ()),
    "swaps-values": ("always", ("foreign-value",), ()),
    "forgets-expiry": ("always", ("expiry", "resurrection"), ()),
    "invents-keys": ("always", ("foreign-key",), ()),
    "reads-stale": ("always", ("wrong-reply",), ()),
    "dies": ("always", ("died",), ()),
    "refuses": ("always", ("refused-start",), ()),
    "hangs": ("always", ("hang",), ("--start-ms-max", "1500")),
    "crashes": ("always", ("refused-start",), ()),
}
# In damaged copies: how many it takes, and what it must be found as.
DAMAGED_AS = {
    "serves-garbage": (30, "wrong-value"),
    "says-nothing": (10, "silent-loss"),
    "refuses-silently": (1, "unclear-refusal"),
    "crashes": (1, "signal"),
    "hangs": (1, "hang"),
}


class CrashTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="firnlog-crashtest-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def crash(self, start, mode, *options, cycles=None):
        """Runs it; (exit code, output, JSON report)."""
        report = os.path.join(self.folder, "report.json")
        words = [harness.FIRNLOG, "crashtest", "--start", start, "--mode", mode, "--quiet",
                 "--json", report, "--dir", os.path.join(self.folder, "run"), *options]
        if cycles:
            words += ["--cycles", str(cycles)]
        if SEED and "--seed" not in options:
            words += ["--seed", SEED]
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
        output = done.stdout + done.stderr
        try:
            with open(report, encoding="ascii") as file:
                return done.returncode, output, json.load(file)
        except FileNotFoundError:
            return done.returncode, output, None

    def faulty(self, fault):
        return "%s %s {port} {dir} %s" % (sys.executable, FAULTY, fault)

    def holds(self, *args, **more):
        code, output, report = self.crash(*args, **more)
        self.assertEqual(code, 0, output)
        self.assertTrue(report["held"])
        self.assertIn("verdict: held", output)
        return report

    def violated(self, *args, **more):
        """The names of what was found."""
        code, output, report = self.crash(*args, **more)
        self.assertEqual(code, 4, output)
        self.assertFalse(report["held"])
        self.assertIn("verdict: VIOLATED", output)
        return {found["name"] for found in report["found"]}, report

    @staticmethod
    def told(report, name):
        """The timeline of the first violation of that name that has one."""
        for found in report["found"]:
            if found["name"] == name and found["timeline"]:
                return "\n".join(moment["what"] for moment in found["timeline"])
        return ""


class Checkers(CrashTest):
    def test_a_server_that_keeps_its_promises_holds(self):
        report = self.holds(self.faulty("none"), "always", "--load-ms", "150-300", cycles=2)
        self.assertEqual(report["lost"], 0)
        self.assertGreater(report["acks"], 100)
        self.assertEqual(report["missing"], [])

    def test_every_broken_promise_is_found_and_named(self):
        for fault, (mode, names, options) in FOUND_AS.items():
            with self.subTest(fault):
                shutil.rmtree(os.path.join(self.folder, "run"), ignore_errors=True)
                if "--load-ms" not in options:
                    options = ("--load-ms", "200-300", *options)
                found, _ = self.violated(self.faulty(fault), mode, *options,
                                         cycles=3 if PROVE else 1)
                self.assertTrue(found & set(names), (fault, found))

    def test_a_loss_older_than_allowed_is_found_and_a_younger_one_is_not(self):
        options = ("--load-ms", "600-700")
        report = self.holds(self.faulty("acks-early"), "everysec", *options, cycles=2)
        self.assertGreater(report["lost"], 0)
        self.assertGreater(report["loss_ms_max"], 100)
        found, _ = self.violated(self.faulty("acks-early"), "everysec", *options,
                                 "--loss-ms-max", "100", cycles=2)
        self.assertEqual(found, {"lost-too-old"})

    def test_of_a_loss_it_is_told_what_was_in_the_servers_files(self):
        _, report = self.violated(self.faulty("acks-early"), "always", "--load-ms", "200-300",
                                  cycles=1)
        told = self.told(report, "lost-ack")
        self.assertRegex(told, r"write \d+: no file of the server has it")
        report = self.violated(self.faulty("swaps-values"), "always", "--load-ms", "200-300",
                               cycles=1)[1]
        self.assertRegex(self.told(report, "foreign-value"),
                         r"write \d+: the server's files have it")

    def test_of_damaged_stores_whatever_is_not_allowed_is_found(self):
        for fault, (copies, name) in DAMAGED_AS.items():
            with self.subTest(fault):
                shutil.rmtree(os.path.join(self.folder, "run"), ignore_errors=True)
                # Some of them would never get as far as a damaged copy.
                start = self.faulty(fault)
                if fault in ("refuses-silently", "crashes", "hangs"):
                    start = ("%s -c 'case {dir} in */damaged) fault=%s;; *) fault=none;; esac; "
                             "exec %s %s {port} {dir} $fault'" % (
                                 "sh", fault, sys.executable, FAULTY))
                found, _ = self.violated(start, "always", "--corrupt", str(copies),
                                         "--load-ms", "100-150", "--start-ms-max", "2000")
                self.assertIn(name, found)

    def test_a_server_that_cuts_and_says_so_may_be_damaged(self):
        report = self.holds(self.faulty("none"), "always", "--corrupt", "20",
                            "--load-ms", "100-150", "--seed", "7")
        ends = {cycle["ended"] for cycle in report["cycles"]}
        self.assertIn("less, told", ends)
        self.assertEqual({cycle["file"] for cycle in report["cycles"]}, {"log", "made"})


class Servers(CrashTest):
    def test_firnlog_holds_in_every_mode_under_sigkill(self):
        for mode in ("always", "everysec", "no"):
            with self.subTest(mode):
                shutil.rmtree(os.path.join(self.folder, "run"), ignore_errors=True)
                self.holds(FIRNLOG + mode, mode, "--loss-ms-max", "0", "--admin", "BGSAVE",
                           "--load-ms", "100-300", cycles=350 if PROVE else 3)

    def test_firnlog_survives_damage_or_refuses_it_clearly(self):
        self.holds(FIRNLOG + "always", "always", "--corrupt", "500" if PROVE else "10",
                   "--load-ms", "100-200")

    def test_redis_always_holds_under_sigkill(self):
        if shutil.which("redis-server") is None:
            self.skipTest("needs redis-server")
        self.holds(REDIS + "always", "always", "--admin", "BGSAVE;BGREWRITEAOF", "--load-ms",
                   "100-300", cycles=30 if PROVE else 4)

    def test_a_command_that_is_refused_is_named_with_the_error_and_left_out(self):
        report = self.holds(self.faulty("refuses-hashes"), "always", "--load-ms", "100", cycles=1)
        self.assertEqual(report["missing"], [])
        self.assertEqual(len(report["refused"]), 1)
        self.assertTrue(report["refused"][0].startswith("HSET: NOPERM"), report["refused"])
        self.assertIn("for it answers with an error: HSET: NOPERM", report["verdict"])

    def test_an_unknown_command_of_the_server_is_named_and_left_out(self):
        report = self.holds(self.faulty("none"), "always", "--admin", "BGSAVE", "--load-ms", "100",
                            cycles=1)
        self.assertEqual(report["missing"], ["BGSAVE"])


class Disk(CrashTest):
    def setUp(self):
        super().setUp()
        test_faultdisk.need()

    def test_firnlog_holds_when_the_power_goes(self):
        for fs in ("ext4", "xfs"):
            with self.subTest(fs):
                test_faultdisk.need(fs)
                shutil.rmtree(os.path.join(self.folder, "run"), ignore_errors=True)
                self.holds(FIRNLOG + "always", "always", "--kill", "power", "--fs", fs,
                           "--load-ms", "100-400", cycles=200 if PROVE else 5)

    def test_firnlog_loses_two_seconds_at_most_in_everysec(self):
        self.holds(FIRNLOG + "everysec", "everysec", "--kill", "power", "--load-ms",
                   "500-2500" if PROVE else "300-600", cycles=50 if PROVE else 2)

    def test_firnlog_holds_whatever_the_disk_does(self):
        for fault in ("eio-data", "eio-all", "flush-error", "slow-flush", "enospc"):
            with self.subTest(fault):
                shutil.rmtree(os.path.join(self.folder, "run"), ignore_errors=True)
                report = self.holds(FIRNLOG + "always", "always", "--kill", "power", "--fault",
                                    fault, "--load-ms", "100-200", cycles=50 if PROVE else 1)
                if fault != "slow-flush":
                    self.assertGreater(sum(cycle["errors"] for cycle in report["cycles"]), 0)
                if fault == "enospc":
                    for cycle in report["cycles"]:
                        self.assertGreaterEqual(cycle["back_ms"], 0, cycle)
                        self.assertLessEqual(cycle["back_ms"], 1000, cycle)

    def test_a_slow_flush_and_a_kill_take_nothing(self):
        self.holds(FIRNLOG + "everysec", "everysec", "--fault", "slow-flush", "--loss-ms-max", "0",
                   "--load-ms", "100-200", cycles=50 if PROVE else 1)

    def test_a_server_whose_disk_fails_refuses_or_ends_and_says_why(self):
        options = ("--kill", "power", "--fault", "eio-data", "--load-ms", "100-200", "--disk-mb",
                   "256")
        for fault, name, answer in (("syncs", None, "ended"),
                                    ("refuses-clearly", None, "refused writes"),
                                    ("refuses-vaguely", "unclear-refusal", "refused writes"),
                                    ("ends-silently", "unclear-end", "ended")):
            with self.subTest(fault):
                shutil.rmtree(os.path.join(self.folder, "run"), ignore_errors=True)
                if name is None:
                    report = self.holds(self.faulty(fault), "always", *options, cycles=2)
                    self.assertIn("when the disk failed: %s 2" % answer, report["verdict"])
                    for cycle in report["cycles"]:
                        self.assertIn("Input/output error", cycle["words"])
                else:
                    found, report = self.violated(self.faulty(fault), "always", *options, cycles=1)
                    self.assertEqual(found, {name})
                self.assertEqual({cycle["on_fault"] for cycle in report["cycles"]}, {answer})

    def test_of_a_loss_it_is_told_when_the_disk_failed_and_what_it_had(self):
        _, report = self.violated(self.faulty("ignores-errors"), "always", "--kill", "power",
                                  "--fault", "eio-data", "--load-ms", "100-200", "--disk-mb", "256",
                                  cycles=2)
        told = self.told(report, "lost-ack")
        self.assertIn("the disk: eio data", told)
        self.assertIn("the disk behind the cut: pending=", told)
        self.assertRegex(told, r"write \d+: (had not reached the disk|had reached the disk and was)")
        self.assertEqual(report["cycles"][0]["on_fault"], "went on")

    def test_a_disk_that_ends_amid_a_run_is_not_the_servers_fault(self):
        for seconds, which in ((0.1, 1), (0.25, 1), (0.4, 1), (0.6, 1), (0.2, 0)):
            with self.subTest(seconds):
                folder = os.path.join(self.folder, "run")
                shutil.rmtree(folder, ignore_errors=True)
                report = os.path.join(self.folder, "report-%s.json" % seconds)
                run = subprocess.Popen(
                    [harness.FIRNLOG, "crashtest", "--start", FIRNLOG + "always", "--mode",
                     "always", "--quiet", "--dir", folder, "--kill", "power", "--load-ms", "200",
                     "--cycles", "1000", "--disk-mb", "256", "--json", report],
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                until = time.monotonic() + SECONDS
                # A first disk has come and gone when the cycles begin.
                while not os.path.exists(report) and time.monotonic() < until:
                    time.sleep(0.01)
                time.sleep(seconds)
                os.kill(self.disk_processes(folder)[which], signal.SIGKILL)
                output = run.communicate(timeout=SECONDS)[0]
                self.assertEqual(run.returncode, 1, output)
                self.assertIn("the faulty disk has gone", output)
                self.assertNotIn("VIOLATED", output)

    @staticmethod
    def disk_processes(folder):
        """The keeper of the run's disk, and behind it its child, which serves the disk."""
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % entry, "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if words[1:2] == [b"faultdisk"] and (folder + "/disk").encode() in words:
                with open("/proc/%s/stat" % entry, encoding="ascii") as file:
                    found.append((int(file.read().rsplit(")", 1)[1].split()[1]), int(entry)))
        keepers = {pid for _, pid in found}
        return [pid for _, pid in sorted(found, key=lambda one: one[0] in keepers)]

    def test_a_lying_disk_is_found_out_with_every_server(self):
        servers = [FIRNLOG + "always"]
        if shutil.which("redis-server"):
            servers.append(REDIS + "always")
        for start in servers:
            with self.subTest(start.split()[0]):
                shutil.rmtree(os.path.join(self.folder, "run"), ignore_errors=True)
                found, _ = self.violated(start, "always", "--kill", "power", "--fault", "lying",
                                         "--load-ms", "200-400", cycles=2)
                self.assertTrue(found & {"lost-ack", "refused-start"}, found)


class Report(CrashTest):
    def test_the_page_stands_alone_and_tells_the_first_violation(self):
        page = os.path.join(self.folder, "report.html")
        self.violated(self.faulty("tears-batches"), "no", "--html", page, "--load-ms", "300-500",
                      cycles=2)
        with open(page, encoding="utf-8") as file:
            text = file.read()
        for word in ("torn-batch", "the kill", "came back", "<svg", "--seed"):
            self.assertIn(word, text)
        for word in ("<script", "http://", "https://", "src="):
            self.assertNotIn(word, text)

    def test_a_run_goes_on_from_its_report(self):
        options = ("--seed", "7", "--load-ms", "100", "--resume")
        first = self.holds(self.faulty("none"), "always", *options, cycles=1)
        second = self.holds(self.faulty("none"), "always", *options, cycles=3)
        self.assertEqual(len(second["cycles"]), 3)
        self.assertEqual(second["cycles"][0], first["cycles"][0])
        code, output, _ = self.crash(self.faulty("none"), "no", *options, cycles=3)
        self.assertEqual(code, 1, output)
        self.assertIn("another run", output)

    def test_what_cannot_run_is_1_and_says_why(self):
        for start, options, why in (
                ("sleep 1", (), "{port}"),
                ("sh -c 'exit 3' # {port} {dir}", (), "exit code 3"),
                (self.faulty("none"), ("--kill", "gently"), "not a value"),
                (self.faulty("none"), ("--corrupt", "1", "--fault", "eio-all"), "--corrupt"),
                (self.faulty("none"), ("--fault", "lying"), "--fault lying needs --kill power")):
            with self.subTest(why):
                code, output, _ = self.crash(start, "always", *options)
                self.assertEqual(code, 1, output)
                self.assertIn(why, output)

    def test_a_run_in_which_nothing_was_acknowledged_has_held_nothing(self):
        code, output, _ = self.crash(self.faulty("answers-errors"), "always", "--load-ms", "100",
                                     cycles=1)
        self.assertEqual(code, 1, output)
        self.assertIn("not one write was acknowledged", output)
        self.assertIn("READONLY", output)

    def test_a_server_that_asks_for_a_password_has_broken_nothing(self):
        servers = [self.faulty("needs-password")]
        if shutil.which("redis-server"):
            servers.append(REDIS + "always --requirepass secret")
        for start in servers:
            with self.subTest(start.split()[0]):
                shutil.rmtree(os.path.join(self.folder, "run"), ignore_errors=True)
                code, output, _ = self.crash(start, "always", "--load-ms", "100", cycles=20)
                self.assertEqual(code, 1, output)
                self.assertIn("not one write was acknowledged", output)
                self.assertIn("NOAUTH", output)
                self.assertNotIn("does not know", output)

    def test_a_report_that_cannot_be_written_is_told_before_the_server_is_started(self):
        began = os.path.join(self.folder, "began")
        for option in ("--json", "--html"):
            with self.subTest(option):
                code, output, _ = self.crash("touch %s # {port} {dir}" % began, "always", option,
                                             "/nowhere/report", cycles=1)
                self.assertEqual(code, 1, output)
                self.assertIn("cannot write /nowhere/report: No such file", output)
                self.assertFalse(os.path.exists(began))

    def test_the_line_of_a_damaged_copy_speaks_of_no_acknowledgements(self):
        done = subprocess.run(
            [harness.FIRNLOG, "crashtest", "--start", self.faulty("none"), "--mode", "always",
             "--corrupt", "1", "--load-ms", "100"],
            capture_output=True, text=True, timeout=SECONDS, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("copy 1 of 1, bit flipped: ", done.stdout)
        self.assertRegex(done.stdout, r"verdict: held: 1 damaged copy, changed 1 \((log|made) 1\)")
        self.assertNotIn("acknowledged", done.stdout)

    def test_an_interrupted_run_ends_its_server_and_its_disk(self):
        mounts = "--kill power" if os.geteuid() == 0 and os.path.exists("/dev/fuse") else ""
        # SIGKILL leaves it no time for anything: the others notice that it is gone.
        for how, code, seconds in ((signal.SIGINT, 1, 0), (signal.SIGKILL, -9, 20)):
            with self.subTest(how):
                run = subprocess.Popen(
                    [harness.FIRNLOG, "crashtest", "--start", FIRNLOG + "always", "--mode",
                     "always", "--quiet", "--dir", os.path.join(self.folder, "run"), "--cycles",
                     "1000", *mounts.split()],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(2)
                self.assertTrue(self.left_behind())
                run.send_signal(how)
                self.assertEqual(run.wait(60), code)
                until = time.monotonic() + seconds
                while self.left_behind() and time.monotonic() < until:
                    time.sleep(0.05)
                self.assertEqual(self.left_behind(), [])

    def left_behind(self):
        """Mounts and processes that have to do with our folder."""
        with open("/proc/self/mountinfo", encoding="utf-8") as mounted:
            left = [line for line in mounted if self.folder in line]
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % entry, "rb") as file:
                    line = file.read()
            except OSError:
                continue
            if self.folder.encode() in line:
                left.append(line)
        return left


class Matrix(CrashTest):
    def test_servers_stand_side_by_side_and_runs_of_several_seeds_are_one_cell(self):
        description = os.path.join(self.folder, "matrix.toml")
        with open(description, "w", encoding="utf-8") as file:
            file.write("""
                title = "Two servers"
                [defaults]
                load-ms = 100
                [[server]]
                name = "sound"
                start = "%s"
                [[server]]
                name = "faulty"
                start = "%s"
                [[row]]
                name = "SIGKILL"
                cycles = 2
                [[row]]
                name = "damage"
                corrupt = 2
            """ % (self.faulty("none"), self.faulty("invents-keys")))
        table = os.path.join(self.folder, "table.md")
        page = os.path.join(self.folder, "table.html")

        temporary = os.path.join(self.folder, "tmp")
        os.mkdir(temporary)
        said = []

        def run(*more):
            words = [harness.FIRNLOG, "crashtest", "--matrix", description, "--dir",
                     os.path.join(self.folder, "cells"), "--markdown", table, "--html", page,
                     "--quiet", *more]
            done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS,
                                  check=False, env={**os.environ, "TMPDIR": temporary})
            self.assertEqual(done.returncode, 4, done.stdout + done.stderr)
            self.assertEqual(os.listdir(temporary), [])
            said.append(done.stdout)
            with open(table, encoding="utf-8") as file:
                return file.read()

        text = run()
        # What shows a violation lies beside the report; what shows none is gone.
        kept = re.findall(r"kept in: (.*)", said[0])
        cells = os.path.join(self.folder, "cells")
        self.assertEqual(sorted(kept), sorted(
            os.path.join(cells, name) for name in os.listdir(cells) if name.endswith(".kept")))
        self.assertEqual(len(kept), 2)
        for folder in kept:
            self.assertTrue(any(name.startswith("violated-") for name in os.listdir(folder)))
        self.assertRegex(text, r"\| SIGKILL \| always \| held: 2 cycles, .* \| VIOLATED: 2 of 2 "
                               r"cycles: foreign-key 2; ")
        self.assertRegex(text, r"\| damage \| always \| held: 2 copies, .* \| VIOLATED: 2 copies")
        self.assertIn("a key nobody wrote: ct:0:zombie", text)
        # The same seed goes on where it is, which is at its end; another one adds.
        self.assertIn("held: 2 cycles", run())
        self.assertIn("held: 4 cycles", run("--seed", "2"))
        with open(page, encoding="utf-8") as file:
            self.assertIn("seeds 1, 2", file.read())

    def test_a_matrix_that_is_not_there_is_told_so(self):
        for words, why in ((("--matrix", "/nowhere/matrix.toml"), "cannot read /nowhere/matrix"),
                           (("--matrix", "/dev/null", "--markdown", "/nowhere/x"),
                            "cannot write /nowhere/x")):
            done = subprocess.run(
                [harness.FIRNLOG, "crashtest", *words, "--dir", self.folder],
                capture_output=True, text=True, timeout=SECONDS, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(why, done.stderr)

    def test_a_cell_that_cannot_run_is_named_and_the_others_run(self):
        description = os.path.join(self.folder, "matrix.toml")
        with open(description, "w", encoding="utf-8") as file:
            file.write("""
                [[server]]
                name = "none"
                start = "false {port} {dir}"
                [[server]]
                name = "sound"
                start = "%s"
                [[row]]
                name = "SIGKILL"
                load-ms = 100
                cycles = 1
            """ % self.faulty("none"))
        done = subprocess.run(
            [harness.FIRNLOG, "crashtest", "--matrix", description, "--dir", self.folder,
             "--quiet"], capture_output=True, text=True, timeout=SECONDS, check=False)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("none, SIGKILL, always: could not run", done.stdout)
        self.assertIn("sound, SIGKILL, always: held", done.stdout)


if __name__ == "__main__":
    unittest.main()
