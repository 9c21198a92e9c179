"""firnlog serve --from DIR --readonly: a moment is served beside the store's own server."""

import hashlib
import pathlib
import subprocess
import time
import unittest

import harness


def past(folder, *options):
    """A server of a moment of the store in that folder. Its own folder stays empty."""
    return harness.firnlog("--from", folder, "--readonly", *options)


class Past(unittest.TestCase):
    def test_reads_answer_as_of_the_moment_while_the_store_is_written_on(self):
        with harness.firnlog() as server, server.connect() as client:
            client.pipeline([("SET", "k%d" % i, "v%d" % i) for i in range(300)])
            client.pipeline([("HSET", "h", "f%d" % i, i) for i in range(40)])
            client.ask("SETRANGE", "big", "150000", "end")
            client.ask("SET", "brief", "v", "PX", "60000")
            client.ask("SELECT", "2")
            client.ask("SET", "other", "v")
            digest = client.value("FIRN", "DIGEST")
            client.ask("FIRN", "MARK", "good")
            client.ask("FLUSHALL")
            client.pipeline([("SET", "later%d" % i, "v") for i in range(300)])
            client.ask("SAVE")
            for threads in (1, 2):
                with past(server.folder, "--mark", "good", "--threads", threads) as then:
                    with then.connect() as reader:
                        self.assertEqual(reader.value("FIRN", "DIGEST"), digest)
                        self.assertEqual(reader.value("DBSIZE"), 303)
                        self.assertEqual(reader.value("GET", "k7"), b"v7")
                        self.assertEqual(reader.value("STRLEN", "big"), 150003)
                        self.assertEqual(reader.value("HLEN", "h"), 40)
                        self.assertEqual(len(reader.value("KEYS", "*")), 303)
                        self.assertEqual(reader.value("MGET", "k1", "later1"), [b"v1", None])
                        # By the moment's clock, which stands still.
                        left = reader.value("PTTL", "brief")
                        self.assertGreater(left, 59_000)
                        time.sleep(0.1)
                        self.assertEqual(reader.value("PTTL", "brief"), left)
                        reader.ask("SELECT", "2")
                        self.assertEqual(reader.value("GET", "other"), b"v")
                    self.assertEqual(then.stop(), 0)
                    self.assertEqual(list(pathlib.Path(then.folder).iterdir()), [])
            self.assertEqual(client.value("SET", "on", "it goes"), b"OK")

    def test_nothing_can_be_written(self):
        def files_of(folder):
            return {path.name: hashlib.sha1(path.read_bytes()).hexdigest()
                    for path in pathlib.Path(folder).iterdir() if path.is_file()}

        with harness.firnlog() as server, server.connect() as client:
            client.pipeline([("SET", "a", "1"), ("SET", "due", "v", "PX", "1"), ("HSET", "h", "f", "v")])
            time.sleep(0.01)
            server.stop()
            before = files_of(server.folder)
            with past(server.folder, "--at", "-0s") as then, then.connect() as reader:
                for command in (("SET", "a", "2"), ("DEL", "a"), ("HSET", "h", "f", "w"),
                                ("EXPIRE", "a", "1"), ("FLUSHALL",), ("SWAPDB", "0", "1"),
                                ("GETDEL", "a"), ("FIRN", "MARK", "m"), ("RENAME", "a", "b")):
                    self.assertTrue(reader.ask(*command).startswith(b"-READONLY "), command)
                reader.ask("MULTI")
                self.assertTrue(reader.ask("SET", "a", "2").startswith(b"-READONLY "))
                self.assertTrue(reader.ask("EXEC").startswith(b"-EXECABORT "))
                for command in (("SAVE",), ("BGSAVE",), ("BGREWRITEAOF",)):
                    self.assertTrue(reader.ask(*command).startswith(b"-"), command)
                # What is due is not there, and nobody writes that down.
                self.assertIsNone(reader.value("GET", "due"))
                self.assertEqual(reader.value("GET", "a"), b"1")
                reader.ask("MULTI")
                reader.ask("GET", "a")
                reader.ask("HGET", "h", "f")
                self.assertEqual(reader.value("EXEC"), [b"1", b"v"])
                self.assertIn(b"db0:keys=", reader.value("INFO", "keyspace"))
            self.assertEqual(files_of(server.folder), before)

    def test_what_cannot_be_is_refused_in_words(self):
        def why(*options):
            result = subprocess.run([harness.FIRNLOG, "serve", "--port", str(harness.free_port()),
                                     *options],
                                    capture_output=True, text=True, timeout=60)
            self.assertEqual(result.returncode, 1, result)
            return result.stderr

        with harness.firnlog() as server:
            self.assertIn("--readonly", why("--from", server.folder))
            self.assertIn("--from", why("--mark", "m"))
            self.assertIn("a time is like", why("--from", server.folder, "--readonly", "--at", "x"))
            self.assertIn("no mark", why("--from", server.folder, "--readonly", "--mark", "m"))


if __name__ == "__main__":
    unittest.main()
