"""firnlog bench: what it says is what happened.

The server here is ours and pauses at known times, so that what each percentile must be can be
computed: of N requests that should leave evenly over D seconds, a pause of s seconds lets those
that fall x seconds before its end wait that long, which is (s - x) * N / D requests longer than x.
"""

import csv
import json
import os
import pathlib
import pty
import re
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import harness

# What a request costs here besides a pause. The lower bound is the promise; the upper one leaves
# room for a machine that does something else at the same time.
SOONER_MS = 3
LATER_MS = 80


class PausingServer:
    """Answers every command with +OK, but does nothing at all during its pauses.

    Pauses are (begin, seconds) after the first command; `paused` holds when they really were."""

    def __init__(self, pauses=(), reply=b"+OK\r\n", delay=0.0):
        self.pauses = list(pauses)
        self.reply = reply
        self.delay = delay
        self.paused = []
        self.first = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        selector = selectors.DefaultSelector()
        selector.register(self.listener, selectors.EVENT_READ)
        unread = {}
        while not self._stop.is_set():
            ready = selector.select(0.001)
            now = time.monotonic()
            if self.first is not None and self.pauses and now >= self.first + self.pauses[0][0]:
                begin = time.monotonic()
                self._stop.wait(self.pauses.pop(0)[1])
                self.paused.append((begin, time.monotonic()))
            for key, _ in ready:
                if key.fileobj is self.listener:
                    link, _ = self.listener.accept()
                    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    selector.register(link, selectors.EVENT_READ)
                    unread[link] = b""
                    continue
                link = key.fileobj
                try:
                    data = link.recv(65536)
                except ConnectionError:
                    data = b""
                if not data:
                    selector.unregister(link)
                    link.close()
                    continue
                count, unread[link] = self._count(unread[link] + data)
                if count and unread[link] is not None:
                    # The question who this is comes before the load.
                    if self.first is None and b"INFO" not in data:
                        self.first = time.monotonic()
                    if self.delay:
                        time.sleep(self.delay)
                    link.sendall(self.reply * count)
        for link in unread:
            link.close()
        self.listener.close()

    @staticmethod
    def _count(data):
        """How many whole commands are there, and what is left of the next."""
        count = 0
        while data.startswith(b"*"):
            at = data.find(b"\r\n")
            if at < 0:
                break
            words, at = int(data[1:at]), at + 2
            for _ in range(words):
                end = data.find(b"\r\n", at)
                if end < 0:
                    return count, data
                at = end + 2 + int(data[at + 1 : end]) + 2
            if at > len(data):
                break
            count, data = count + 1, data[at:]
        return count, data


def bench(*options, check=True, seconds=120):
    """Runs it quietly; its process, with stdout and stderr as text."""
    argv = [harness.FIRNLOG, "bench", "--quiet"] + [str(option) for option in options]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds)
    if check and done.returncode != 0:
        raise AssertionError("%s: %d\n%s" % (argv, done.returncode, done.stderr))
    return done


class BenchTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.mkdtemp(prefix="firnlog-e2e-bench-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.folder = pathlib.Path(folder)

    def measure(self, *options, **more):
        """The JSON of a run."""
        path = self.folder / "result.json"
        bench("--json", path, *options, **more)
        return json.loads(path.read_text())

    def run_of(self, *options, **more):
        return self.measure(*options, **more)["runs"][0]


def expected_ms(percent, stalls_s, duration_s):
    """The latency that `percent` of evenly spaced requests do not exceed, were it not for stalls 0."""
    low, high = 0.0, max(stalls_s)
    slower = (1 - percent / 100) * duration_s
    for _ in range(60):
        middle = (low + high) / 2
        if sum(max(0.0, stall - middle) for stall in stalls_s) > slower:
            low = middle
        else:
            high = middle
    return low * 1000


class Stalls(BenchTest):
    def test_an_open_loop_sees_every_stall_in_full_at_every_percentile_that_it_touches(self):
        duration = 4.0
        with PausingServer(pauses=[(1.2, 0.4), (2.5, 0.15)]) as server:
            run = self.run_of("-p", server.port, "--rate", 2000, "--duration", "%gs" % duration,
                              "--warmup", "500ms", "-c", 20, "--command", "PING")
        stalls = [end - begin for begin, end in server.paused]
        self.assertEqual(len(stalls), 2)
        self.assertEqual(run["loop"], "open")
        self.assertEqual(run["commands"][0]["requests"], 8000)
        self.assertEqual(run["unanswered"], 0)
        curve = {round(percent, 6): ns / 1e6 for percent, ns, _ in run["curve"]}
        touched = 0
        for percent in sorted(curve):
            expected = expected_ms(percent, stalls, duration)
            if expected < 5:
                continue
            touched += 1
            self.assertGreaterEqual(curve[percent], expected - SOONER_MS, percent)
            self.assertLessEqual(curve[percent], expected + LATER_MS, percent)
        # From about p86 on: (0.4 + 0.15) / 4 of the requests met a stall.
        self.assertGreater(touched, 20)
        self.assertGreaterEqual(run["latency"]["max_ns"] / 1e6, stalls[0] * 1000 - SOONER_MS)
        # And where they were: the slots in which the stalls ended have them.
        worst = max(run["heat"]["slots"], key=lambda slot: slot["max_ns"])
        self.assertAlmostEqual(worst["slot"] * run["heat"]["slot_ns"] / 1e9, 1.2 + 0.4 - 0.5, delta=0.3)

    def test_a_closed_loop_is_called_so_and_misses_what_it_keeps_from_being_sent(self):
        with PausingServer(pauses=[(1.0, 0.5)]) as server:
            run = self.run_of("-p", server.port, "--duration", "2s", "--warmup", "200ms", "-c", 4,
                              "--command", "PING")
        self.assertEqual(run["loop"], "closed")
        self.assertIsNone(run["rate_asked"])
        self.assertNotIn("lateness", run)
        self.assertGreaterEqual(run["latency"]["max_ns"] / 1e6, 500 - SOONER_MS)
        # A quarter of the time it stood still, but only one request a connection knows.
        self.assertLess(run["latency"]["p99_ns"] / 1e6, 250)

    def test_a_closed_loop_agrees_with_redis_benchmark_about_a_server_slower_than_either(self):
        clients, delay = 4, 0.003
        with PausingServer(delay=delay) as server:
            run = self.run_of("-p", server.port, "-n", 400, "-c", clients, "--warmup", 0,
                              "--command", "PING")
        with PausingServer(delay=delay) as server:
            out = subprocess.run(["redis-benchmark", "-p", str(server.port), "-n", "400", "-c",
                                  str(clients), "--csv", "--precision", "3", "PING"],
                                 capture_output=True, text=True, timeout=60).stdout
        rows = list(csv.DictReader(line for line in out.splitlines() if line.startswith('"')))
        # One request after another: each waits for those of the others, in turns of its own making.
        mean, theirs = run["latency"]["mean_ns"] / 1e6, float(rows[0]["avg_latency_ms"])
        self.assertGreaterEqual(mean, 0.98 * clients * delay * 1000)
        self.assertAlmostEqual(mean / theirs, 1, delta=0.2)
        self.assertAlmostEqual(run["rate"] / float(rows[0]["rps"]), 1, delta=0.2)

    def test_what_is_never_answered_counts_with_its_age(self):
        with PausingServer(pauses=[(0.5, 3600)]) as server:
            process = subprocess.Popen(
                [harness.FIRNLOG, "bench", "--quiet", "-p", str(server.port), "--rate", "500",
                 "--duration", "60s", "--warmup", "0", "-c", "10", "--command", "PING",
                 "--json", str(self.folder / "stuck.json")], stdout=subprocess.PIPE)
            time.sleep(2.5)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
            self.assertEqual(process.returncode, 0)
            run = json.loads((self.folder / "stuck.json").read_text())["runs"][0]
            self.assertGreater(run["unanswered"], 300)
            # The oldest has waited since the pause began.
            self.assertGreater(run["latency"]["max_ns"] / 1e9, 1.5)
            self.assertGreater(run["latency"]["p90_ns"] / 1e9, 0.5)


class Generator(BenchTest):
    def test_a_generator_that_was_held_up_says_so_and_takes_its_figures_back(self):
        path = self.folder / "held.json"
        with PausingServer() as server:
            process = subprocess.Popen(
                [harness.FIRNLOG, "bench", "-p", str(server.port), "--rate", "1000", "--duration",
                 "3s", "--warmup", "200ms", "-c", "10", "--command", "PING", "--json", str(path)],
                stdout=subprocess.PIPE, text=True)
            time.sleep(1.2)
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.5)
            process.send_signal(signal.SIGCONT)
            out, _ = process.communicate(timeout=60)
        run = json.loads(path.read_text())["runs"][0]
        # The requests of half a second could not leave: that was us, not the server.
        self.assertGreater(run["lateness"]["max_ns"] / 1e6, 450)
        self.assertGreater(run["lateness"]["p90_ns"] / 1e6, 100)
        for percentile in ("p90", "p99", "p99.9", "max"):
            self.assertIn(percentile, run["latency"]["not_measured"])
        self.assertIn("(", out)
        self.assertIn("own lateness", out)

    def test_a_slow_server_is_not_taken_for_a_late_generator(self):
        with PausingServer(pauses=[(0.8, 0.4)]) as server:
            run = self.run_of("-p", server.port, "--rate", 500, "--duration", "2s", "--warmup",
                              "200ms", "-c", 4, "--threads", 2, "--command", "PING")
        self.assertGreater(run["latency"]["p99_ns"] / 1e6, 300)
        self.assertNotIn("p99", run["latency"]["not_measured"])
        self.assertNotIn("max", run["latency"]["not_measured"])

    def test_a_rate_that_the_server_cannot_keep_is_told(self):
        with PausingServer(delay=0.004) as server:
            done = bench("-p", server.port, "--rate", 2000, "--duration", "1s", "--warmup", "0",
                         "-c", 1, "--command", "PING")
        self.assertIn("did not keep up", done.stdout)

    def test_errors_are_counted_and_the_first_is_told(self):
        with PausingServer(reply=b"-ERR out of patience\r\n") as server:
            path = self.folder / "errors.json"
            done = bench("-p", server.port, "-n", 100, "-c", 2, "--warmup", 0, "--command", "PING",
                         "--json", path)
        run = json.loads(path.read_text())["runs"][0]
        self.assertEqual(run["errors"], 100)
        self.assertEqual(run["commands"][0]["first_error"], "ERR out of patience")
        self.assertIn("errors: 100 of 100 PING", done.stdout)


class RealServer(BenchTest):
    @classmethod
    def setUpClass(cls):
        cls.server = harness.firnlog()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_as_many_requests_as_were_asked_for_arrive_by_commandstats(self):
        self.server.ask("CONFIG", "RESETSTAT")
        run = self.run_of("-p", self.server.port, "-n", 5000, "-c", 7, "-P", 3, "--threads", 2,
                          "--warmup", 0, "--command", "INCR {key}", "--keys", 10)
        stats = self.server.value("INFO", "commandstats").decode()
        calls = int(stats.split("cmdstat_incr:calls=")[1].split(",")[0])
        self.assertEqual(run["commands"][0]["requests"], 5000)
        self.assertEqual(calls, 5000)
        self.assertEqual(run["errors"], 0)
        self.assertGreater(run["rate"], 100)

    def test_every_key_is_loaded_once_and_found(self):
        self.server.ask("FLUSHALL")
        run = self.run_of("-p", self.server.port, "--load", "--keys", 1234, "--threads", 3,
                          "--ratio", "0:1", "--duration", "500ms", "--value", "10-20")
        self.assertEqual(self.server.value("DBSIZE"), 1234)
        self.assertEqual(run["commands"][0]["misses"], 0)
        value = self.server.value("GET", "key:000000001233")
        self.assertTrue(10 <= len(value) <= 20, value)

    def test_figures_of_a_server_on_this_machine_come_from_proc(self):
        run = self.run_of("-p", self.server.port, "--duration", "1s", "--rate", 2000, "-c", 10)
        process = run["server_process"]
        self.assertEqual(process["pid"], self.server.pid)
        self.assertGreater(process["rss_bytes"], 1 << 20)
        self.assertGreater(process["cpu_cores"], 0)
        self.assertLess(process["cpu_cores"], 64)
        self.assertGreater(process["cpu_us_a_request"], 0)

    def test_an_event_is_fired_watched_and_told_apart(self):
        self.server.ask("CONFIG", "SET", "enable-debug-command", "yes")
        run = self.run_of("-p", self.server.port, "--duration", "3s", "--rate", 1000, "-c", 10,
                          "--warmup", "300ms", "--events", "CLIENT PAUSE 400@1s; NONSENSE@2s")
        pause, nonsense = run["events"]
        self.assertTrue(pause["fired"] and pause["over"])
        self.assertAlmostEqual(pause["begin_ns"] / 1e9, 1.0, delta=0.2)
        self.assertIn("unknown command", nonsense["error"])
        inside = pause["requests"] + nonsense["requests"]
        self.assertGreater(pause["requests"], 0)
        self.assertGreaterEqual(inside + run["outside_events"]["requests"],
                                run["commands"][0]["requests"])

    def test_servers_behind_a_unix_socket_are_loaded_and_looked_at_too(self):
        path = self.folder / "socket"
        with harness.firnlog("--unixsocket", str(path)) as server:
            run = self.run_of("--socket", path, "-n", 2000, "-c", 5, "--warmup", 0, "--keys", 10)
            self.assertEqual(run["server_process"]["pid"], server.pid)
        self.assertEqual((run["errors"], run["answered"]), (0, 2000))

    def test_the_presets_run_as_far_as_the_server_has_the_commands(self):
        self.server.ask("FLUSHALL")
        for preset in ("ycsb-a", "ycsb-d", "ycsb-f"):
            run = self.run_of("-p", self.server.port, "--preset", preset, "--keys", 200,
                              "--duration", "300ms", "--warmup", "100ms", "-c", 5)
            self.assertEqual(run["errors"], 0, (preset, run["commands"]))
            self.assertGreater(run["answered"], 0)
        self.server.ask("FLUSHALL")
        runs = self.measure("-p", self.server.port, "-t", "set,get,incr,mset,ping_inline",
                            "-n", 200, "-c", 5, "--warmup", 0, "--keys", 100)["runs"]
        self.assertEqual([run["workload"] for run in runs],
                         ["ping_inline", "set", "get", "incr", "mset"])
        self.assertEqual([run["errors"] for run in runs], [0] * 5)

    def test_csv_has_every_second_and_command_and_the_whole(self):
        path = self.folder / "result.csv"
        bench("-p", self.server.port, "--rate", 500, "--duration", "2s", "--warmup", "100ms",
              "-c", 5, "--csv", path)
        with path.open() as text:
            rows = list(csv.DictReader(text))
        self.assertEqual({row["command"] for row in rows}, {"SET", "GET"})
        whole = sum(int(row["requests"]) for row in rows if row["second"] == "all")
        parts = sum(int(row["requests"]) for row in rows if row["second"] != "all")
        self.assertEqual(whole, 1000)
        self.assertEqual(parts, whole)


class Saves(BenchTest):
    def test_a_save_is_watched_until_it_ends_and_is_not_taken_for_another_events_work(self):
        with harness.redis("--rdb-key-save-delay", "1500") as server:
            run = self.run_of("-p", server.port, "--load", "--keys", 1000, "--rate", 1000,
                              "--duration", "1s", "--warmup", "100ms", "-c", 10,
                              "--events", "PING@700ms; BGSAVE@400ms")
        save, ping = run["events"]
        self.assertTrue(save["over"] and ping["over"], run["events"])
        # A thousand keys take a second and a half: longer than the load.
        self.assertGreater(save["end_ns"] - save["begin_ns"], 1.4e9)
        self.assertLess(ping["end_ns"] - ping["begin_ns"], 0.3e9)
        # What was due from then on is inside, and what was done before is not.
        self.assertAlmostEqual(save["requests"], 600, delta=60)
        self.assertAlmostEqual(run["outside_events"]["requests"], 400, delta=60)
        self.assertEqual(save["requests"] + run["outside_events"]["requests"], 1000)


class Started(BenchTest):
    def test_each_slice_of_a_comparison_has_its_events(self):
        line = "%s serve --port {port} --dir {dir} --appendfsync no" % harness.FIRNLOG
        result = self.measure("--start", line, "--vs", line, "--data-dir", self.folder,
                              "--duration", "1s", "--warmup", "50ms", "--slices", 2, "-c", 4,
                              "--rate", 500, "--command", "PING", "--events", "CLIENT PAUSE 100@200ms")
        for run in result["runs"]:
            self.assertEqual([event["fired"] for event in run["events"]], [True, True])
            begins = [event["begin_ns"] / 1e9 for event in run["events"]]
            self.assertAlmostEqual(begins[0], 0.2, delta=0.1)
            self.assertAlmostEqual(begins[1], 0.7, delta=0.1)
            # Where no rate was asked for that could be beaten, none is compared.
        figures = [ratio["figure"] for ratio in result["comparisons"][0]["ratios"]]
        self.assertNotIn("rate", figures)

    def test_servers_are_started_compared_and_gone_afterwards(self):
        line = "%s serve --port {port} --dir {dir} --appendfsync no" % harness.FIRNLOG
        path = self.folder / "vs.json"
        done = bench("--start", line, "--vs", line + " --databases 3", "--data-dir", self.folder,
                     "--duration", "2400ms", "--warmup", "50ms", "--slices", 3, "-c", 4, "--keys", 100,
                     "--json", path)
        result = json.loads(path.read_text())
        self.assertEqual(len(result["runs"]), 2)
        self.assertEqual([len(run["slices"]) for run in result["runs"]], [3, 3])
        ratios = {ratio["figure"]: ratio for ratio in result["comparisons"][0]["ratios"]}
        self.assertEqual(len(ratios["rate"]["slices"]), 3)
        self.assertLessEqual(ratios["rate"]["min"], ratios["rate"]["median"])
        # Three slices are too few to say anything.
        self.assertEqual(ratios["rate"]["verdict"], "none")
        self.assertIn("no verdict from 3 slices", done.stdout)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["vs.json"])
        for run in result["runs"]:
            self.assertFalse(os.path.exists("/proc/%d" % run["server_process"]["pid"]))

    def test_a_server_that_does_not_start_is_told_with_its_own_words(self):
        done = bench("--start", "sh -c 'echo no luck {port} {dir}; exit 3'", "--data-dir",
                     self.folder, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no luck", done.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])


class Usage(BenchTest):
    def test_exit_codes_and_words(self):
        self.assertEqual(bench("--help").returncode, 0)
        self.assertIn("--rate N|max", bench("--help").stdout)
        refused = bench("-p", harness.free_port(), check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("Connection refused", refused.stderr)
        unknown = bench("--speed", "9", check=False)
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("no option '--speed'", unknown.stderr)

    def test_what_cannot_be_written_is_told_before_anything_is_sent(self):
        with PausingServer() as server:
            done = bench("-p", server.port, "--json", self.folder / "no" / "such.json", check=False)
            self.assertIsNone(server.first)
        self.assertEqual(done.returncode, 1)
        self.assertIn("such.json: it cannot be written: No such file", done.stderr)

    def test_whoever_ends_it_in_the_warm_up_gets_no_figures(self):
        with PausingServer() as server:
            process = subprocess.Popen(
                [harness.FIRNLOG, "bench", "--quiet", "-p", str(server.port), "--warmup", "30s",
                 "--command", "PING"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            time.sleep(0.7)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 1)
        self.assertIn("interrupted before anything was measured", err)
        self.assertEqual(out, "")

    def test_a_terminal_shows_the_last_seconds_and_anything_else_gets_lines(self):
        argv = [harness.FIRNLOG, "bench", "--rate", "500", "--duration", "2500ms", "--warmup",
                "100ms", "-c", "5", "--command", "PING", "-p"]
        with PausingServer() as server:
            ours, theirs = pty.openpty()
            process = subprocess.Popen(argv + [str(server.port)], stdout=theirs, stdin=theirs)
            os.close(theirs)
            shown = b""
            try:
                while piece := os.read(ours, 65536):
                    shown += piece
            except OSError:  # the other end is closed
                pass
            os.close(ours)
            self.assertEqual(process.wait(30), 0)
        with PausingServer() as server:
            lines = subprocess.run(argv + [str(server.port)], capture_output=True, text=True,
                                   timeout=30).stdout
        shown = shown.decode()
        self.assertIn("PING, open loop, 500/s", shown)
        for row in ("rate", "p50", "p99", "p99.9", "events"):
            self.assertRegex(shown, r"\r  %s +" % row.replace(".", "[.]"))
        # It goes back over what it drew, and has bars: of each second one.
        self.assertRegex(shown, "\x1b\\[6A")
        self.assertRegex(shown, "rate +5.. /s  [▁-█]{2}")
        self.assertNotIn("\x1b", lines)
        self.assertRegex(lines, r"(?m)^ +1 s +5.. /s   p50 [0-9.]+  p99 ")
        for out in (shown, lines):
            self.assertIn("own lateness", out)

    def test_the_page_holds_what_was_measured_and_needs_nothing_else(self):
        page, data = self.folder / "page.html", self.folder / "data.json"
        with PausingServer(reply=b"-ERR </script><b>\r\n") as server:
            bench("-p", server.port, "-n", 100, "-c", 2, "--warmup", 0, "--command", "PING",
                  "--html", page, "--json", data)
        text = page.read_text()
        held = text.split('id="measured">')[1].split("</script>")[0]
        self.assertEqual(json.loads(held), json.loads(data.read_text()))
        self.assertEqual(text.count("</script>"), 2)
        links = set(re.findall(r"https?://[^'\"]*", text))
        self.assertEqual(links, {"http://www.w3.org/2000/svg"})
        self.assertNotRegex(text, r"(?i)<(link|img|iframe)|src=|@import|url\(")

    @unittest.skipUnless(shutil.which("chromium"), "needs chromium")
    def test_the_page_draws_what_was_measured(self):
        page = self.folder / "page.html"
        with PausingServer(pauses=[(0.6, 0.2)]) as server:
            bench("-p", server.port, "--rate", 500, "--duration", "1s", "-c", 5, "--warmup",
                  "100ms", "--command", "PING", "--events", "PING@300ms", "--html", page)
        dom = subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu",
                              "--user-data-dir=%s" % (self.folder / "chromium"), "--dump-dom",
                              "file://%s" % page], capture_output=True, text=True, timeout=60).stdout
        body = dom.split("</script></body>")[0]
        shown = body.split('<div id="all">')[1].split("<script")[0]
        self.assertIn("Open loop, 500 requests a second", shown)
        # A step of the curve for each of its points but the first, beside the lines of the grid.
        curve = json.loads(body.split('id="measured">')[1].split("</script>")[0])["runs"][0]["curve"]
        self.assertEqual(shown.count('stroke-width="2"'), len(curve) - 1)
        self.assertEqual(shown.count("<canvas"), 1)
        for row in ("PING", "in PING", "outside events", "own lateness"):
            self.assertIn("<td>%s</td>" % row, shown)

    def test_a_server_that_closes_its_connections_ends_the_run(self):
        with PausingServer() as server:
            process = subprocess.Popen(
                [harness.FIRNLOG, "bench", "--quiet", "-p", str(server.port), "--duration", "30s",
                 "-c", "3", "--command", "PING"], stderr=subprocess.PIPE, text=True)
            time.sleep(0.5)
        _, err = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 1)
        self.assertIn("connections were lost", err)


if __name__ == "__main__":
    unittest.main()
