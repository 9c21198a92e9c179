"""The classes of attack that Redis met over the years, one test each, named by the advisory.

They are classes, not the bugs themselves: what must not happen to us is that a stranger takes
memory, that sizes overflow, that a stored value poisons whoever reads it, that a pattern or a
malformed request stops the server, or that a key is read past what a command says it reads."""

import os
import random
import socket
import unittest

import harness

PASSWORD = "secret"
PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(server):
    with open("/proc/%d/statm" % server.pid, encoding="ascii") as file:
        return int(file.read().split()[1]) * PAGE


class Stranger(unittest.TestCase):
    """Who has not given the password."""

    @classmethod
    def setUpClass(cls):
        cls.server = harness.firnlog("--requirepass", PASSWORD)
        cls.operator = cls.server.connect()
        assert cls.operator.ask("AUTH", PASSWORD) == b"+OK\r\n"

    @classmethod
    def tearDownClass(cls):
        cls.operator.close()
        cls.server.close()

    def serves(self):
        self.assertEqual(self.operator.ask("PING"), b"+PONG\r\n")

    def test_cve_2021_32675_large_requests_are_refused_before_they_take_memory(self):
        before = resident(self.server)
        requests = {
            b"*1048576\r\n": b"-ERR Protocol error: unauthenticated multibulk length\r\n",
            b"*11\r\n": b"-ERR Protocol error: unauthenticated multibulk length\r\n",
            b"*2\r\n$16385\r\n": b"-ERR Protocol error: unauthenticated bulk length\r\n",
            b"*2\r\n$536870912\r\n": b"-ERR Protocol error: unauthenticated bulk length\r\n",
        }
        for request, reply in requests.items():
            with self.subTest(request=request):
                clients = [self.server.connect() for _ in range(50)]
                for client in clients:
                    client.send_raw(request)
                for client in clients:
                    self.assertEqual(client.rest(), reply)
                    client.close()
        # The most that is allowed, and never ended.
        def unread():
            lines = self.operator.value("CLIENT", "LIST").decode().splitlines()
            return sum(int(line.split(" qbuf=")[1].split()[0]) for line in lines)

        waiting = [self.server.connect() for _ in range(300)]
        for client in waiting:
            client.send_raw(b"*10\r\n" + b"$16384\r\n" + b"x" * 16000)
        self.serves()
        # What has arrived, and not ten times as much, which was announced.
        self.assertTrue(harness.eventually(lambda: unread() >= 300 * 15000))
        self.assertLess(resident(self.server) - before, 16 << 20)
        for client in waiting:
            client.close()

    def test_cve_2025_21605_who_reads_no_replies_is_closed(self):
        # Each PING is answered with an error six times as long.
        with socket.create_connection(("127.0.0.1", self.server.port)) as client:
            client.settimeout(60)
            pings, sent = b"PING\r\n" * 10_000, 0
            with self.assertRaises(ConnectionError):
                while sent < 64 << 20:
                    client.sendall(pings)
                    sent += len(pings)
        told = harness.info(self.operator, "stats", "clients")
        self.assertEqual(told["client_output_buffer_limit_disconnections"], "1")
        self.assertLess(int(told["client_recent_max_output_buffer"]), 1 << 20)

    def test_cve_2025_48367_malformed_requests_starve_nobody(self):
        def connected():
            return int(harness.info(self.operator, "clients")["connected_clients"])

        self.assertTrue(harness.eventually(lambda: connected() == 1))
        for _ in range(40):
            clients = [self.server.connect() for _ in range(25)]
            for client in clients:
                client.send_raw(b"*1\r\n$-7\r\n" * 100)
            self.serves()
            for client in clients:
                self.assertTrue(client.rest().startswith(b"-ERR Protocol error"))
                client.close()
        self.assertTrue(harness.eventually(lambda: connected() == 1))


class Served(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = harness.firnlog()
        cls.client = cls.server.connect()

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.close()


class Sizes(Served):
    def refused(self, *command):
        with self.subTest(command=command):
            reply = self.client.ask(*command)
            self.assertTrue(reply.startswith(b"-ERR"), reply[:100])

    def test_cve_2021_32761_bits_far_away_are_out_of_range(self):
        self.client.ask("SET", "bits", "abc")
        far = [1 << 32, (1 << 32) - 1, 1 << 61, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, -1]
        for offset in far:
            if offset != (1 << 32) - 1:  # the last bit that there may be
                self.refused("SETBIT", "bits", offset, 1)
                self.refused("BITFIELD", "bits", "SET", "u63", offset, 1)
            self.refused("BITFIELD", "bits", "GET", "i64", "#%d" % offset)
            self.refused("BITFIELD", "bits", "INCRBY", "i64", "#%d" % offset, 1)
        self.assertEqual(self.client.ask("GETBIT", "bits", (1 << 32) - 1), b":0\r\n")
        self.assertEqual(self.client.ask("BITCOUNT", "bits", -(1 << 63), (1 << 63) - 1), b":10\r\n")
        self.assertEqual(self.client.ask("GET", "bits"), b"$3\r\nabc\r\n")

    def test_cve_2022_35977_lengths_do_not_overflow(self):
        self.client.ask("SET", "text", "abc")
        for offset in (512 << 20, (1 << 31) - 1, 1 << 32, (1 << 63) - 1, -1):
            self.refused("SETRANGE", "text", offset, "more")
        self.refused("SETRANGE", "none", (1 << 63) - 3, "more")
        for begin, end in ((-(1 << 63), (1 << 63) - 1), ((1 << 63) - 1, -(1 << 63))):
            self.assertIn(self.client.ask("GETRANGE", "text", begin, end),
                          (b"$3\r\nabc\r\n", b"$0\r\n\r\n"))
        self.assertEqual(self.client.ask("GET", "text"), b"$3\r\nabc\r\n")
        self.assertEqual(self.client.ask("EXISTS", "none"), b":0\r\n")
        for ttl in ((1 << 63) - 1, -(1 << 63), (1 << 63) // 1000 + 1):
            self.refused("EXPIRE", "text", ttl)
        self.client.ask("SET", "count", (1 << 63) - 1)
        self.refused("INCR", "count")
        self.refused("HINCRBY", "hash", "f", "9223372036854775808")

    def test_cve_2023_41056_buffers_that_grow_and_shrink_hold_what_was_sent(self):
        seed = harness.chosen_seed()
        rng = random.Random(seed)
        edges = [n + d for n in (64, 16 << 10, 32 << 10, 64 << 10, 1 << 20) for d in (-2, -1, 0, 1, 2)]
        with self.subTest(seed=seed), self.server.connect() as client:
            for _ in range(60):
                sizes = [rng.choice(edges) for _ in range(rng.randint(1, 4))]
                values = [rng.randbytes(size) for size in sizes]
                commands = [("SET", "grown:%d" % i, value) for i, value in enumerate(values)]
                commands += [("GET", "grown:%d" % i) for i in range(len(values))]
                wire = b"".join(harness.encoded(*command) for command in commands)
                # Cut where a buffer is likely to be full.
                at = 0
                while at < len(wire):
                    piece = rng.choice(edges)
                    client.send_raw(wire[at : at + piece])
                    at += piece
                for _ in values:
                    self.assertEqual(client.reply(), b"+OK\r\n")
                for value in values:
                    self.assertEqual(harness.parse(client.reply()), value)


class Values(unittest.TestCase):
    def test_cve_2023_28856_what_is_stored_can_be_loaded_and_read(self):
        with harness.firnlog() as server:
            with server.connect() as client:
                for word in ("nan", "inf", "-inf", "+inf", "infinity", "1e400", "0x10p1000"):
                    for command in (("HINCRBYFLOAT", "hash", "sum"), ("INCRBYFLOAT", "sum")):
                        reply = client.ask(*command, word)
                        if word not in ("1e400", "0x10p1000"):
                            self.assertTrue(reply.startswith(b"-ERR"), (command, word, reply))
                # Numbers that overflow only together.
                for _ in range(2):
                    client.ask("HINCRBYFLOAT", "hash", "sum", "1e308")
                    client.ask("HINCRBYFLOAT", "hash", "large", "1e4932")
                    client.ask("INCRBYFLOAT", "large", "1e4932")
                read = [("HGETALL", "hash"), ("GET", "sum"), ("GET", "large"),
                        ("HRANDFIELD", "hash", -5, "WITHVALUES"), ("OBJECT", "ENCODING", "hash")]
                for command in read:
                    self.assertFalse(client.ask(*command).startswith(b"-"), command)
                before = [client.ask(*read[i]) for i in (0, 1, 2)]
                self.assertNotIn(b"nan", before[0])
                digest = client.ask("DEBUG", "DIGEST")
            server.kill_and_start()
            with server.connect() as client:
                self.assertEqual([client.ask(*read[i]) for i in (0, 1, 2)], before)
                self.assertEqual(client.ask("DEBUG", "DIGEST"), digest)


class Words(Served):
    def test_cve_2022_36021_a_pattern_takes_no_exponential_time(self):
        self.client.ask("SET", "a" * 200, "v")
        pattern = "a*" * 40 + "b"
        self.assertEqual(self.client.value("KEYS", pattern), [])
        self.assertEqual(self.client.value("SCAN", 0, "MATCH", pattern, "COUNT", 1000), [b"0", []])
        self.assertEqual(self.client.value("CONFIG", "GET", pattern), [])
        with self.server.connect() as listener:
            listener.ask("PSUBSCRIBE", pattern)
            self.assertEqual(self.client.value("PUBLISH", "a" * 200, "news"), 0)

    def test_cve_2024_31228_a_pattern_takes_no_deep_stack(self):
        self.client.ask("SET", "k", "v")
        for piece in ("*", "*?", "[a", "\\", "*a"):
            with self.subTest(piece=piece):
                self.assertEqual(self.client.value("KEYS", piece * 500_000 + "z"), [])
        self.assertEqual(self.client.value("PING"), b"PONG")

    def test_cve_2024_51741_rules_that_make_no_sense_are_refused(self):
        for rule in ("(", ")", "(+get", "%", "%R~", "~", "&", "+", "-@", "#", ">", "(%R~* (+get))",
                     "clearselectors)", "+get|", "\0"):
            with self.subTest(rule=rule):
                # There are no rules to be made: this test is to be written anew with them.
                for word in ("SETUSER", "DRYRUN"):
                    self.assertTrue(self.client.ask("ACL", word, "default", rule).startswith(
                        b"-ERR unknown subcommand '%s'." % word.encode()))
        self.assertEqual(self.client.value("ACL", "WHOAMI"), b"default")

    def test_cve_2023_41053_no_command_reads_a_key_that_it_does_not_name(self):
        # SORT_RO read keys by pattern that it was not allowed to. What has no such thing here, and
        # what names keys in other places, is asked which keys it means.
        for command in ("SORT", "SORT_RO", "EVAL", "EVALSHA", "FCALL"):
            self.assertTrue(self.client.ask(command, "k", "0").startswith(b"-ERR unknown command"))
        keys = {
            ("FIRN", "GET", "k", "LSN", "1"): [b"k"],
            ("FIRN", "HISTORY", "k"): [b"k"],
            ("FIRN", "DURABLE", "no", "MSET", "a", "1", "b", "2"): [b"a", b"b"],
            ("FIRN", "DURABLE", "no", "COPY", "a", "b"): [b"a", b"b"],
            ("FIRN", "RESTORE", "KEY", "k", "LSN", "1"): [b"k"],
            ("BITOP", "AND", "to", "a", "b"): [b"to", b"a", b"b"],
            ("OBJECT", "ENCODING", "k"): [b"k"],
            ("MEMORY", "USAGE", "k"): [b"k"],
        }
        for command, named in keys.items():
            with self.subTest(command=command):
                self.assertEqual(self.client.value("COMMAND", "GETKEYS", *command), named)


if __name__ == "__main__":
    unittest.main()
