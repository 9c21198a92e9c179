"""What the configuration makes of the server, and CONFIG at run time."""

import pathlib
import tempfile
import unittest

import harness


class Configuration(unittest.TestCase):
    def test_debug_is_refused_where_it_is_not_enabled(self):
        with harness.firnlog() as server, harness.redis("--enable-debug-command", "no") as redis:
            ours, theirs = server.ask("DEBUG", "SLEEP", 0), redis.ask("DEBUG", "SLEEP", 0)
            self.assertEqual(ours, theirs)

    def test_values_change_and_are_written_back(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "firnlog.conf"
            path.write_text("# mine\ntimeout 100\nslowlog-max-len 5\n")
            server = harness.firnlog(start=False)
            server.argv.insert(2, str(path))
            with server.start():
                with server.connect() as client:
                    self.assertEqual(client.value("CONFIG", "GET", "timeout"), [b"timeout", b"100"])
                    self.assertEqual(
                        client.ask("CONFIG", "SET", "timeout", 7, "requirepass", "s3cret",
                                   "maxclients", 50, "loglevel", "warning"), b"+OK\r\n")
                    self.assertEqual(client.value("CONFIG", "GET", "appendonly"),
                                     [b"appendonly", b"yes"])
                    self.assertEqual(client.ask("CONFIG", "REWRITE"), b"+OK\r\n")
                text = path.read_text()
                self.assertIn("# mine\ntimeout 7\n", text)
                self.assertIn("s3cret", text)
                self.assertEqual(server.ask("PING"), b"-NOAUTH Authentication required.\r\n")

    def test_a_backup_policy_is_in_force_at_once_and_after_a_rewrite(self):
        def got(client, *names):
            reply = client.value("CONFIG", "GET", *names)
            return {k.decode(): v.decode() for k, v in zip(reply[::2], reply[1::2])}

        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "firnlog.conf"
            path.write_text("backup-policy weekly\n")
            # What the harness gives by itself no policy may set.
            server = harness.firnlog(start=False)
            self.assertNotIn("--retain", server.argv)
            server.argv.insert(2, str(path))
            with server.start():
                with server.connect() as client:
                    self.assertEqual(got(client, "retain")["retain"], "24h")
                    self.assertEqual(client.ask("CONFIG", "SET", "backup-policy", "daily"),
                                     b"+OK\r\n")
                    self.assertEqual(got(client, "retain", "backup-policy"),
                                     {"retain": "48h", "backup-policy": "daily"})
                    self.assertEqual(harness.info(client, "persistence")["window_seconds"],
                                     str(48 * 3600))
                    self.assertEqual(client.ask("CONFIG", "REWRITE"), b"+OK\r\n")
                self.assertIn("backup-policy daily\n", path.read_text())
                self.assertNotIn("retain", path.read_text())
                server.restart()
                with server.connect() as client:
                    self.assertEqual(got(client, "retain")["retain"], "48h")

    def test_a_client_past_maxclients_is_told_so(self):
        with harness.firnlog("--maxclients", 2) as server:
            with server.connect() as one, server.connect() as two:
                self.assertEqual((one.ask("PING"), two.ask("PING")), (b"+PONG\r\n",) * 2)
                with server.connect() as three:
                    self.assertEqual(three.rest(), b"-ERR max number of clients reached\r\n")
                one.ask("CONFIG", "SET", "maxclients", 3)
                with server.connect() as three:
                    self.assertEqual(three.ask("PING"), b"+PONG\r\n")

    def test_shutdown_closes_without_a_word_and_ends_cleanly(self):
        for words in ((), ("NOSAVE",), ("SAVE",), ("NOW", "FORCE")):
            with harness.firnlog() as server:
                with server.connect() as client:
                    client.ask("SET", "a", 1)
                    client.send("SHUTDOWN", *words)
                    self.assertTrue(client.closed())
                self.assertEqual(server.wait(), 0)
                server.start()
                self.assertEqual(server.ask("GET", "a"), b"$1\r\n1\r\n")

    def test_a_renamed_command_has_its_new_name_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "firnlog.conf"
            path.write_text('rename-command FLUSHALL ""\nrename-command CONFIG Hidden\n')
            server = harness.firnlog(start=False)
            server.argv.insert(2, str(path))
            with server.start(), server.connect() as client:
                self.assertTrue(client.ask("FLUSHALL").startswith(b"-ERR unknown command"))
                self.assertTrue(client.ask("CONFIG", "GET", "port").startswith(b"-ERR unknown"))
                self.assertEqual(client.value("HIDDEN", "GET", "timeout"), [b"timeout", b"0"])
                self.assertNotIn(b"flushall", client.value("COMMAND", "LIST"))

    def test_help_describes_every_subcommand(self):
        with harness.firnlog("--enable-debug-command", "yes") as server:
            with server.connect() as client:
                for row in client.value("COMMAND"):
                    if row[9] or row[0] == b"debug":
                        lines = client.value(row[0], "HELP")
                        self.assertIn(b"<subcommand>", lines[0])
                        for sub in row[9]:
                            name = sub[0].split(b"|")[1].upper()
                            self.assertTrue(any(line.startswith(name) for line in lines), name)

    def test_slow_events_are_watched(self):
        with harness.firnlog("--enable-debug-command", "yes") as server:
            with server.connect() as client:
                client.ask("CONFIG", "SET", "latency-monitor-threshold", 20)
                client.ask("DEBUG", "SLEEP", "0.05")
                (event,) = client.value("LATENCY", "LATEST")
                self.assertEqual(event[0], b"command")
                self.assertGreaterEqual(event[2], 50)
                self.assertEqual(len(client.value("LATENCY", "HISTORY", "command")), 1)
                graph = client.value("LATENCY", "GRAPH", "command")
                self.assertTrue(graph.startswith(b"command - high "), graph)
                self.assertIn(b"command: 1 times", client.value("LATENCY", "DOCTOR"))
                self.assertEqual(client.value("LATENCY", "RESET", "command", "x"), 1)
                self.assertEqual(client.value("LATENCY", "LATEST"), [])


if __name__ == "__main__":
    unittest.main()
