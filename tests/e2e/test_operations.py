"""What an operator meets: options, files, signals, exit codes, limits, and words that help."""

import glob
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
import unittest

import harness


FILE_NUMBERS = (1 << 22) - 1


def program(*words, env=None, seconds=60):
    """firnlog with these words until it ends: (exit code, everything it printed)."""
    done = subprocess.run([harness.FIRNLOG, *map(str, words)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds,
                          env={**os.environ, **(env or {})})
    return done.returncode, done.stdout.decode(errors="replace")


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="firnlog-operations-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def serve(self, *options, **more):
        server = harness.firnlog(*options, **more)
        self.addCleanup(server.close)
        return server


class CommandLine(Folder):
    def refused(self, *words, saying):
        """Exit 1, at once, with a text that says what is wrong."""
        code, output = program("serve", "--dir", self.folder, "--port", harness.free_port(), *words)
        self.assertEqual(code, 1, output)
        self.assertRegex(output, saying)
        return output

    def test_help_and_version(self):
        for words in (["--help"], ["serve", "--help"], ["check", "--help"], ["repair", "--help"]):
            code, output = program(*words)
            self.assertEqual(code, 0, output)
            self.assertIn("usage: firnlog", output)
        code, output = program("--version")
        self.assertEqual(code, 0)
        self.assertRegex(output, r"^firnlog \d+\.\d+\.\d+ \(format \d+\)$")

    def test_no_verb_and_a_wrong_verb_are_errors(self):
        self.assertEqual(program()[0], 1)
        code, output = program("sevre")
        self.assertEqual(code, 1)
        self.assertIn("sevre", output)

    def test_an_unknown_directive_is_named_with_the_nearest_known(self):
        self.refused("--prot", 1, saying="'?prot'?.*port")

    def test_a_bad_value_is_refused(self):
        self.refused("--port", "many", saying="port")
        self.refused("--appendfsync", "sometimes", saying="appendfsync.*always")
        self.refused("--timeout", "-1", saying="timeout")
        self.refused("--databases", "0", saying="databases")

    def test_what_would_break_a_promise_is_refused_with_the_reason(self):
        self.refused("--maxmemory-policy", "allkeys-lru", saying="maxmemory-policy.*evict")
        self.refused("--cluster-enabled", "yes", saying="cluster-enabled")
        self.refused("--replicaof", "127.0.0.1 6379", saying="replica")

    def test_an_error_in_a_file_names_the_file_and_the_line(self):
        with open(self.path("firnlog.conf"), "w") as file:
            file.write("# ours\nport 0\nmaxclients none\n")
        code, output = program("serve", self.path("firnlog.conf"))
        self.assertEqual(code, 1)
        self.assertRegex(output, r"firnlog\.conf:3.*maxclients")

    def test_a_missing_file_or_directory_is_an_error(self):
        code, output = program("serve", self.path("no.conf"))
        self.assertEqual(code, 1)
        self.assertIn("no.conf", output)
        code, output = program("serve", "--port", harness.free_port(),
                               "--dir", self.path("no/where"))
        self.assertEqual(code, 1)
        self.assertIn("no/where", output)

    def test_a_port_in_use_is_refused(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            code, output = program("serve", "--dir", self.folder, "--port", taken.getsockname()[1])
        self.assertEqual(code, 1)
        self.assertIn("in use", output)

    def test_options_win_over_the_file(self):
        with open(self.path("firnlog.conf"), "w") as file:
            file.write("timeout 100\nhz 20\n")
        server = harness.Server(
            [harness.FIRNLOG, "serve", self.path("firnlog.conf"), "--timeout", "200", "--dir",
             self.folder, "--port", str(port := harness.free_port())], port, self.folder, False,
            self.path("log"))
        self.addCleanup(server.close)
        server.start()
        self.assertEqual(server.value("CONFIG", "GET", "timeout")[1], b"200")
        self.assertEqual(server.value("CONFIG", "GET", "hz")[1], b"20")
        self.assertEqual(server.value("CONFIG", "GET", "appendfsync")[1], b"always")

    def test_debians_redis_conf_starts_unchanged_apart_from_paths(self):
        debian = "/etc/redis/redis.conf"
        if not os.access(debian, os.R_OK):
            self.skipTest("%s cannot be read" % debian)
        text = pathlib.Path(debian).read_text()
        for was in ("/var/lib/redis", "/run/redis", "/var/log/redis"):
            text = text.replace(was, self.folder)
        port = harness.free_port()
        text = re.sub(r"(?m)^port 6379$", "port %d" % port, text)
        pathlib.Path(self.path("redis.conf")).write_text(text)
        server = harness.Server([harness.FIRNLOG, "serve", self.path("redis.conf")], port,
                                self.folder, False, self.path("log"))
        self.addCleanup(server.close)
        server.start()
        self.assertEqual(server.ask("SET", "k", "v"), b"+OK\r\n")
        self.assertEqual(server.value("CONFIG", "GET", "appendonly"), [b"appendonly", b"yes"])
        self.assertIn("appendonly", pathlib.Path(self.path("redis-server.log")).read_text())
        self.assertEqual(server.stop(), 0)


class Files(Folder):
    def test_a_unix_socket_with_its_permissions(self):
        path = self.path("socket")
        server = self.serve("--unixsocket", path, "--unixsocketperm", "770")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o770)
        with harness.Client(path=path) as client:
            self.assertEqual(client.ask("PING"), b"+PONG\r\n")
        self.assertEqual(server.stop(), 0)
        self.assertFalse(os.path.exists(path))
        # One that a killed server left behind is no obstacle.
        server.start()
        server.kill()
        self.assertTrue(os.path.exists(path))
        server.start()
        with harness.Client(path=path) as client:
            self.assertEqual(client.ask("PING"), b"+PONG\r\n")

    def test_the_pidfile_is_there_while_it_runs(self):
        server = self.serve("--pidfile", self.path("pid"))
        self.assertEqual(int(pathlib.Path(self.path("pid")).read_text()), server.pid)
        self.assertEqual(server.stop(), 0)
        self.assertFalse(os.path.exists(self.path("pid")))

    def test_sighup_opens_the_log_file_again(self):
        server = self.serve("--logfile", self.path("log"))
        self.assertIn("ready", pathlib.Path(self.path("log")).read_text())
        os.rename(self.path("log"), self.path("log.1"))
        server.process.send_signal(signal.SIGHUP)
        self.assertTrue(harness.eventually(lambda: os.path.exists(self.path("log"))))
        self.assertEqual(server.stop(), 0)
        self.assertIn("stopped", pathlib.Path(self.path("log")).read_text())
        self.assertNotIn("stopped", pathlib.Path(self.path("log.1")).read_text())

    def test_the_log_file_may_lie_in_the_directory_that_the_first_start_makes(self):
        server = self.serve("--logfile", "server.log", folder=self.path("new"))
        self.assertIn("ready", pathlib.Path(self.path("new/server.log")).read_text())
        self.assertEqual(server.stop(), 0)

    def test_files_are_the_users_own(self):
        server = self.serve(folder=self.folder)
        server.ask("SET", "k", "v")
        for path in glob.glob(self.path("*.log")) + [self.path("manifest")]:
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600, path)

    def test_a_store_without_file_numbers_says_so_and_repair_numbers_it_anew(self):
        old, new = self.path("old"), self.path("new")
        server = self.serve(folder=old)
        server.ask("SET", "k", "v")
        self.assertEqual(server.stop(), 0)
        # As one that was made ready and never used.
        with open(os.path.join(old, "%010d.log" % (FILE_NUMBERS - 7)), "wb") as unused:
            unused.truncate(4 << 20)
        server = self.serve("--save", "", folder=old)
        self.assertRegex(server.log(), r"file numbers left=[1-7] of %d" % FILE_NUMBERS)
        with server.connect() as client:
            self.assertLessEqual(int(harness.info(client)["file_numbers_left"]), 7)
            written = 0
            while (reply := client.ask("SET", "k%d" % written, b"x" * 500_000)) == b"+OK\r\n":
                written += 1
                self.assertLess(written, 1000)
            self.assertTrue(reply.startswith(b"-NOSPACE "), reply)
            told = harness.info(client)
            self.assertEqual((told["log_supply_status"], told["file_numbers_left"]), ("no_space", "0"))
            self.assertGreater(written, 5)
            self.assertEqual(client.ask("GET", "k"), b"$1\r\nv\r\n")
            self.assertEqual(client.ask("DEL", "k0"), b":1\r\n")
        self.assertEqual(server.stop(), 0)
        code, output = program("repair", old, "--to", new)
        self.assertEqual(code, 0, output)
        server = self.serve(folder=new)
        with server.connect() as client:
            told = harness.info(client)
            self.assertEqual(told["db0"].split(",")[0], "keys=%d" % written)
            self.assertGreater(int(told["file_numbers_left"]), FILE_NUMBERS - 100)
            self.assertEqual(client.ask("SET", "more", "v"), b"+OK\r\n")
            self.assertEqual(client.ask("GET", "k"), b"$1\r\nv\r\n")

    def test_systemd_is_told_when_it_is_ready_and_when_it_stops(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(self.path("notify"))
            notify.settimeout(30)
            os.environ["NOTIFY_SOCKET"] = self.path("notify")
            try:
                server = self.serve("--supervised", "systemd")
            finally:
                del os.environ["NOTIFY_SOCKET"]
            said = notify.recv(4096)
            while b"READY=1" not in said:
                said = notify.recv(4096)
            self.assertEqual(server.ask("PING"), b"+PONG\r\n")
            self.assertEqual(server.stop(), 0)
            self.assertIn(b"STOPPING=1", notify.recv(4096))


    def test_a_log_file_that_cannot_be_opened_is_an_error_and_a_pidfile_a_warning(self):
        code, output = program("serve", "--dir", self.folder, "--port", harness.free_port(),
                               "--logfile", self.path("none/log"))
        self.assertEqual(code, 1, output)
        self.assertRegex(output, "none/log: .*No such file or directory")
        self.assertFalse(os.path.exists(self.path("none")))
        server = self.serve("--pidfile", self.path("none/pid"))
        self.assertIn("none/pid' cannot be written", server.log())


class Crashing(Folder):
    def test_a_crash_is_reported_once_with_the_build_id_and_ends_by_its_signal(self):
        """The guard of copies from maps had SIGBUS handed on, and the report came for ever."""
        build = re.search(rb"Build ID: ([0-9a-f]+)", subprocess.run(
            ["readelf", "-n", harness.FIRNLOG], stdout=subprocess.PIPE).stdout)[1].decode()
        for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE):
            with self.subTest(number):
                log = self.path("log-%d" % number)
                server = self.serve("--logfile", log)
                if b"AddressSanitizer" in pathlib.Path(harness.FIRNLOG).read_bytes():
                    self.skipTest("AddressSanitizer reports crashes itself")
                self.assertEqual(server.ask("SET", "k", "v"), b"+OK\r\n")
                server.process.send_signal(number)
                self.assertEqual(server.wait(), -number)
                for text in (server.log(), pathlib.Path(log).read_text()):
                    self.assertEqual(text.count("firnlog: crashed: "), 1, text[:4096])
                    self.assertIn("crashed: " + number.name[3:], text)
                    self.assertIn("build id " + build, text)
                server.start()
                self.assertEqual(server.value("GET", "k"), b"v")

    def test_a_broken_invariant_is_named_in_the_log_file_too(self):
        server = self.serve("--logfile", self.path("log"), "--enable-debug-command", "yes")
        with server.connect() as client:
            client.send("DEBUG", "ASSERT")
            self.assertTrue(client.closed())
        self.assertEqual(server.wait(), -signal.SIGABRT)
        for text in (server.log(), pathlib.Path(self.path("log")).read_text()):
            self.assertRegex(text, "internal error: .* at .*debug.cpp:[0-9]+")

    def test_no_report_where_none_is_wanted(self):
        server = self.serve("--crash-log-enabled", "no")
        server.process.send_signal(signal.SIGBUS)
        self.assertEqual(server.wait(), -signal.SIGBUS)
        self.assertNotIn("crashed", server.log())


class Connections(Folder):
    def test_requirepass(self):
        server = self.serve("--requirepass", "secret")
        with server.connect() as client:
            self.assertTrue(client.ask("GET", "k").startswith(b"-NOAUTH"))
            self.assertTrue(client.ask("AUTH", "wrong").startswith(b"-WRONGPASS"))
            self.assertEqual(client.ask("AUTH", "secret"), b"+OK\r\n")
            self.assertEqual(client.ask("GET", "k"), b"$-1\r\n")
        self.assertNotIn("secret", server.log())

    def test_maxclients(self):
        server = self.serve("--maxclients", "5")
        # The connections that asked whether it serves are closed a moment after they hang up.
        harness.eventually(lambda: b"connected_clients:1\r\n" in server.ask("INFO", "clients"))
        clients = [server.connect() for _ in range(5)]
        for client in clients:
            self.assertEqual(client.ask("PING"), b"+PONG\r\n")
        with server.connect() as sixth:
            self.assertEqual(sixth.rest(), b"-ERR max number of clients reached\r\n")
        clients.pop().close()

        def free():
            try:
                return server.ask("PING") == b"+PONG\r\n"
            except (harness.Closed, OSError):
                return False

        self.assertTrue(harness.eventually(free))
        for client in clients:
            client.close()

    def test_an_idle_connection_is_closed_after_timeout(self):
        server = self.serve("--timeout", "1")
        with server.connect() as idle, server.connect() as listener:
            listener.ask("SUBSCRIBE", "news")
            self.assertEqual(idle.ask("PING"), b"+PONG\r\n")
            self.assertTrue(idle.closed(15))
            # One that listens is not idle.
            self.assertEqual(server.ask("PUBLISH", "news", "x"), b":1\r\n")

    def test_ipv6_and_all_addresses(self):
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            self.skipTest("this machine has no ::1")
        for bind in (["::1"], ["*", "-::*"], ["localhost", "::1"]):
            with self.subTest(bind):
                server = harness.firnlog("--bind", *bind, start=False)
                self.addCleanup(server.close)
                server.start(wait=False)
                self.assertTrue(harness.eventually(lambda: "ready: " in server.log(), 30), server.log())
                with socket.create_connection(("::1", server.port), timeout=10) as six:
                    six.sendall(b"PING\r\n")
                    self.assertEqual(six.recv(100), b"+PONG\r\n")
                server.kill()

    def test_protected_mode_refuses_other_machines(self):
        address = harness.outer_address()
        server = self.serve("--bind", "*")

        def first_words():
            with socket.create_connection((address, server.port), timeout=10) as outside:
                outside.sendall(b"PING\r\n")
                return outside.recv(1000)

        self.assertTrue(first_words().startswith(b"-DENIED"))
        self.assertEqual(server.ask("CONFIG", "SET", "protected-mode", "no"), b"+OK\r\n")
        self.assertEqual(first_words(), b"+PONG\r\n")

    def test_an_http_request_closes_the_connection_and_runs_nothing(self):
        server = self.serve()
        for request in (b"POST / HTTP/1.1\r\nHost: x\r\n\r\nSET k v\r\n",
                        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nSET k v\r\n",
                        b"PUT /k HTTP/1.0\r\nContent-Length: 9\r\n\r\nSET k v\r\n",
                        b"Host: x\r\nSET k v\r\n"):
            with self.subTest(request), server.connect() as client:
                client.send_raw(request)
                self.assertNotIn(b"+OK", client.rest())
                self.assertEqual(server.ask("EXISTS", "k"), b":0\r\n")


class Ending(Folder):
    def test_sigterm_during_load_is_a_clean_stop(self):
        for mode in ("always", "everysec", "no"):
            for threads in (1, 2):
                with self.subTest(mode=mode, threads=threads):
                    self.stop_under_load(mode, threads)

    def stop_under_load(self, mode, threads):
        server = self.serve("--appendfsync", mode, "--threads", threads)
        acked = [0] * 4

        def write(number):
            try:
                with server.connect() as client:
                    while True:
                        at = acked[number]
                        replies = client.pipeline(
                            [("SET", "k%d" % number, at + 1 + i) for i in range(20)])
                        acked[number] = at + sum(reply == b"+OK\r\n" for reply in replies)
            except (OSError, harness.Closed):
                pass

        writers = [threading.Thread(target=write, args=(i,)) for i in range(4)]
        for writer in writers:
            writer.start()
        time.sleep(0.3)
        self.assertEqual(server.stop(), 0, server.log())
        for writer in writers:
            writer.join()
        self.assertIn("stopped cleanly", server.log())
        server.start()
        self.assertIn("after a clean stop", server.log())
        for number, count in enumerate(acked):
            self.assertGreater(count, 0)
            self.assertGreaterEqual(int(server.value("GET", "k%d" % number)), count)

    def test_a_second_signal_ends_it_at_once_and_nothing_acknowledged_is_lost(self):
        server = self.serve("--appendfsync", "always")
        self.assertEqual(server.ask("SET", "k", "v"), b"+OK\r\n")
        # Both are pending when it wakes, so the second strikes before the first has done anything.
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
            server.process.send_signal(number)
        self.assertEqual(server.wait(), 1)
        self.assertNotIn("stopped cleanly", server.log())
        server.start()
        self.assertIn("after an unclean stop", server.log())
        self.assertEqual(server.value("GET", "k"), b"v")

    def test_while_it_replays_systemd_is_told_how_far_and_a_signal_is_a_clean_stop(self):
        server = self.serve(folder=self.folder)
        # Many segments: how far it is is told between them, and most of them are still to come then.
        keys, value = 600_000, b"x" * 100
        with server.connect() as client:
            for begin in range(0, keys, 10_000):
                client.pipeline([("SET", "k%d" % i, value) for i in range(begin, begin + 10_000)])
        server.kill()
        left = pathlib.Path(self.path("pid")), pathlib.Path(self.path("socket"))
        argv = [*server.argv, "--supervised", "systemd", "--logfile", self.path("log"),
                "--pidfile", str(left[0]), "--unixsocket", str(left[1])]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(self.path("notify"))
            notify.settimeout(30)
            env = {**os.environ, "NOTIFY_SOCKET": self.path("notify")}
            for number in (signal.SIGTERM, signal.SIGINT):
                # The socket is full, so the start may stand still where it tells how far it is.
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stuffing:
                    stuffing.connect(self.path("notify"))
                    stuffing.setblocking(False)
                    stuffed = 0
                    try:
                        while True:
                            stuffing.send(b"stuffing")
                            stuffed += 1
                    except BlockingIOError:
                        pass
                loading = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
                log = pathlib.Path(self.path("log"))
                self.assertTrue(harness.eventually(
                    lambda: log.exists() and "replaying percent=" in log.read_text(), 30))
                self.assertEqual(int(left[0].read_text()), loading.pid)
                loading.send_signal(number)
                self.assertEqual(loading.wait(60), 0, log.read_text())
                self.assertIn("stopped while loading", log.read_text())
                self.assertFalse(any(path.exists() for path in left))
                log.unlink()
                for _ in range(stuffed):
                    self.assertEqual(notify.recv(4096), b"stuffing")
            loading = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            self.addCleanup(loading.kill)
            told = b""
            while b"READY=1" not in (said := notify.recv(4096)):
                self.assertTrue(said.startswith(b"STATUS="), said)
                told += said
            self.assertRegex(told, rb"STATUS=replaying the log, \d+ percent\n")
            self.assertEqual(server.value("DBSIZE"), keys)
            self.assertEqual(server.value("GET", "k%d" % (keys - 1)), value)
            loading.send_signal(signal.SIGTERM)
            self.assertEqual(loading.wait(60), 0)

    def test_sigint_and_shutdown_are_clean_stops_too(self):
        server = self.serve()
        server.ask("SET", "k", "v")
        server.process.send_signal(signal.SIGINT)
        self.assertEqual(server.wait(), 0)
        server.start()
        with server.connect() as client:
            client.send("SHUTDOWN")
            self.assertTrue(client.closed())
        self.assertEqual(server.wait(), 0, server.log())
        server.start()
        self.assertEqual(server.value("GET", "k"), b"v")

    def test_it_starts_again_at_once_after_sigkill(self):
        """The sockets of a killed process's ring live a moment longer than the process."""
        server = self.serve()
        for turn in range(10):
            with server.connect() as client:
                self.assertEqual(client.ask("SET", "k", turn), b"+OK\r\n")
                server.kill(wait=False)
            server.start()
            self.assertEqual(server.value("GET", "k"), b"%d" % turn)


if __name__ == "__main__":
    unittest.main()
