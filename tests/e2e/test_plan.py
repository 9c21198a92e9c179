"""firnlog plan: what each backup policy would cost a store, from what its own log tells."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import harness

POLICIES = ["continuous", "hourly", "daily", "weekly", "none"]


def run(*arguments):
    return subprocess.run([harness.FIRNLOG, *map(str, arguments)], capture_output=True, text=True,
                          timeout=300)


class Plan(unittest.TestCase):
    def plan(self, folder, *options):
        result = run("plan", folder, "--json", "--min-sample", "1ms", *options)
        self.assertEqual(result.returncode, 0, result)
        told = json.loads(result.stdout)
        self.assertEqual([row["policy"] for row in told["policies"]], POLICIES)
        return told

    def lsn(self, client):
        reply = client.value("FIRN", "LSN")
        return dict(zip(reply[::2], reply[1::2]))[b"tail"]

    def test_its_rates_are_those_of_the_log_beside_the_server_and_over_kills(self):
        began = time.time()
        with harness.firnlog("--segment-bytes-max", "4mb") as server:
            written = 0
            for life in range(3):
                with server.connect() as client:
                    first = self.lsn(client)
                    client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(4000)])
                    client.ask("FIRN", "MARK", "life")
                    written += self.lsn(client) - first
                    if life == 1:
                        client.ask("SAVE")
                    told = self.plan(server.folder)
                # Idle frames that vouch come on top.
                self.assertGreaterEqual(told["sample_log_bytes"], written)
                self.assertLess(told["sample_log_bytes"], written * 1.05 + 100000)
                seconds = time.time() - began
                self.assertLess(told["sample_s"], seconds + 1)
                # Within what the log says, by its own clock.
                a_day = told["sample_log_bytes"] / told["sample_s"] * 86400
                self.assertAlmostEqual(told["log_bytes_a_day"] / a_day, 1, 3)
                changes = told["changes_a_day"] / 86400 * told["sample_s"]
                self.assertGreater(changes, 0.9 * 4001 * (life + 1))
                self.assertLess(changes, 1.1 * 4001 * (life + 1))
                self.assertEqual(told["has_checkpoint"], life > 0)
                server.kill_and_start()
            told = self.plan(server.folder)
            # Each key was written three times.
            self.assertGreater(told["live_bytes"], 4_000_000)
            self.assertLess(told["live_bytes"], 4_600_000)
            self.assertGreater(told["garbage_share"], 0.5)
            self.assertGreater(told["checkpoint_bytes"], 4000 * 8)
            self.assertGreater(told["replay_bytes_s"], 1e5)
            costs = {row["policy"]: row for row in told["policies"]}
            self.assertEqual(costs["none"]["bytes_a_day"], 0)
            self.assertIsNone(costs["none"]["rpo_s"])
            self.assertEqual([costs[name]["rpo_s"] for name in POLICIES[:4]],
                             [60, 3600, 86400, 604800])
            # All that is written moves once.
            self.assertGreaterEqual(costs["continuous"]["bytes_a_day"], told["log_bytes_a_day"])
            self.assertLess(costs["weekly"]["bytes_a_day"], costs["daily"]["bytes_a_day"])
            # For people: the same, a line each.
            text = run("plan", server.folder, "--min-sample", "1ms")
            self.assertEqual(text.returncode, 0, text)
            for name in POLICIES:
                self.assertRegex(text.stdout, r"(?m)^%s +\d+\.\d+ +\d+\.\d+ " % name)
            self.assertRegex(text.stdout, r"(?m)^sample +\S+ from \S+Z on")

    def test_too_little_is_said_to_be_too_little(self):
        with harness.firnlog() as server:
            with server.connect() as client:
                client.ask("SET", "k", "v")
            for options in ((), ("--min-sample", "2h"), ("--json",)):
                result = run("plan", server.folder, *options)
                self.assertEqual((result.returncode, result.stdout), (1, ""))
                self.assertRegex(result.stderr, r"the log tells of \S+ from .*: too little")
            # What was not measured is not made up.
            told = self.plan(server.folder)
            self.assertIsNone(told["replay_bytes_s"])
            self.assertEqual({row["restart_s"] for row in told["policies"]}, {None})
            self.assertEqual(server.stop(), 0)
            self.assertEqual(self.plan(server.folder)["sample_log_bytes"] > 0, True)

    def test_it_only_reads_and_says_what_it_cannot(self):
        folder = tempfile.mkdtemp(prefix="firnlog-e2e-plan-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.assertEqual(run("plan", folder).returncode, 1)
        self.assertEqual(run("plan", os.path.join(folder, "none")).returncode, 1)
        self.assertEqual(run("plan").returncode, 1)
        self.assertEqual(run("plan", folder, "--min-sample", "soon").returncode, 1)
        self.assertEqual(run("plan", "--help").returncode, 0)
        with harness.firnlog("--segment-bytes-max", "4mb") as server:
            with server.connect() as client:
                client.pipeline([("SET", "k%d" % i, "x" * 1000) for i in range(6000)])
            server.stop()

            def seen():
                return {entry.name: (entry.stat().st_mtime_ns, entry.stat().st_size)
                        for entry in os.scandir(server.folder)}
            before = seen()
            self.plan(server.folder)
            self.assertEqual(seen(), before)
            # Damage in what it reads is told with the place.
            newest = sorted(name for name in before if re.fullmatch(r"\d+\.log", name))[0]
            with open(os.path.join(server.folder, newest), "r+b") as file:
                file.seek(100_000)
                file.write(b"rot")
            result = run("plan", server.folder, "--min-sample", "1ms")
            self.assertEqual(result.returncode, 3, result)
            self.assertIn(newest + " offset", result.stderr)


if __name__ == "__main__":
    unittest.main()
