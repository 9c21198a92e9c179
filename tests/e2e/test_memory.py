"""Memory that runs out: what grows is refused, everything else goes on, and nothing is half done."""

import resource
import subprocess
import tempfile
import time
import unittest

import harness

MIB = 1 << 20
GROUP = 500
OOM = b"-OOM command not allowed"


def name(number):
    return b"key:%012d" % number


def own_memory(server):
    """What RLIMIT_DATA bounds: memory that is written to and of no file."""
    with open("/proc/%d/status" % server.pid) as status:
        for line in status:
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmData")


def used_memory(client):
    return int(client.ask("INFO", "memory").split(b"used_memory:")[1].split(b"\r\n")[0])


def refuses(server):
    return b"memory_refuses_growth:1" in server.value("INFO", "memory")


class Memory(unittest.TestCase):
    def grow(self, client, begin=0, limit=5_000_000):
        """Sets keys until one is refused: how many were acknowledged. They hold their numbers."""
        for at in range(begin, limit, GROUP):
            commands = [("SET", name(i), b"%d" % i) for i in range(at, at + GROUP)]
            for number, reply in enumerate(client.pipeline(commands), at):
                if reply != b"+OK\r\n":
                    self.assertTrue(reply.startswith(OOM), reply)
                    return number
        self.fail("memory did not run out")

    def holds(self, client, count, step=1):
        for begin in range(0, count, GROUP * step):
            numbers = range(begin, min(begin + GROUP * step, count), step)
            values = harness.parse(client.ask("MGET", *map(name, numbers)))
            self.assertEqual(values, [b"%d" % number for number in numbers])

    def test_maxmemory_refuses_what_grows_and_nothing_else(self):
        with harness.firnlog("--appendfsync", "no") as server, server.connect() as client:
            own = used_memory(client)
            self.assertEqual(client.ask("CONFIG", "SET", "maxmemory", own + 8 * MIB), b"+OK\r\n")
            self.assertEqual(harness.parse(client.ask("CONFIG", "GET", "maxmemory")),
                             [b"maxmemory", b"%d" % (own + 8 * MIB)])
            count = self.grow(client)
            self.assertGreater(count, GROUP)
            self.assertTrue(refuses(server))
            full = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
            self.assertEqual(client.ask("HSET", "hash", "field", "value"), full)
            self.assertEqual(client.ask("APPEND", name(0), "x"), full)
            self.holds(client, count)
            self.assertEqual(client.ask("EXPIRE", name(0), "1000"), b":1\r\n")
            self.assertEqual(client.ask("PERSIST", name(0)), b":1\r\n")
            # As in Redis: nothing is queued, and a transaction that would grow is refused whole.
            self.assertEqual(client.ask("MULTI"), b"+OK\r\n")
            self.assertEqual(client.ask("SET", "new", "value"), full)
            self.assertTrue(client.ask("EXEC").startswith(b"-EXECABORT"))
            self.assertEqual(client.ask("EXISTS", "new"), b":0\r\n")
            self.assertEqual(client.ask("CONFIG", "SET", "maxmemory", "0"), b"+OK\r\n")
            self.assertTrue(harness.eventually(lambda: not refuses(server)))
            self.assertEqual(client.ask("SET", "new", "value"), b"+OK\r\n")

    def test_a_transaction_is_refused_whole_when_memory_ends_behind_its_queue(self):
        with harness.firnlog("--appendfsync", "no") as server, server.connect() as client:
            client.ask("MULTI")
            self.assertEqual(client.ask("SET", "a", "1"), b"+QUEUED\r\n")
            self.assertEqual(client.ask("SET", "b", "2"), b"+QUEUED\r\n")
            self.assertEqual(server.ask("CONFIG", "SET", "maxmemory", "1"), b"+OK\r\n")
            self.assertTrue(harness.eventually(lambda: refuses(server)))
            self.assertEqual(client.ask("EXEC"),
                             b"-EXECABORT Transaction discarded because of: OOM command not "
                             b"allowed when used memory > 'maxmemory'.\r\n")
            client.ask("MULTI")
            self.assertEqual(client.ask("GET", "a"),
                             b"-OOM command not allowed when used memory > 'maxmemory'.\r\n")
            client.ask("DISCARD")
            self.assertEqual(client.ask("MGET", "a", "b"), b"*2\r\n$-1\r\n$-1\r\n")

    def test_an_allocation_that_fails_ends_no_server(self):
        with harness.firnlog("--appendfsync", "no") as server, server.connect() as client:
            count = self.grow_to_the_limit(server, client, 96 * MIB)
            self.assertTrue(refuses(server))
            for _ in range(20):
                self.assertTrue(client.ask("SET", "more", "x").startswith(OOM))
            self.holds(client, count)
            # The past is read by a thread, for which there may be no memory.
            reply = client.ask("FIRN", "HISTORY", name(3))
            self.assertTrue(name(3) in reply or reply.startswith(b"-OOM"), reply)
            # A connection that comes now is served, and what is there can be taken away.
            with server.connect() as other:
                self.assertEqual(other.ask("DEL", name(count - 1)), b":1\r\n")
            count -= 1
            resource.prlimit(server.pid, resource.RLIMIT_DATA,
                             (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            self.assertTrue(harness.eventually(lambda: not refuses(server)))
            self.assertEqual(client.ask("SET", name(count), b"%d" % count), b"+OK\r\n")
            count += 1
            self.assertIn("memory: an allocation failed", server.log())
            self.assertIn("memory: there is enough again", server.log())
            server.kill()
            server.start()
            with server.connect() as again:
                self.assertEqual(again.ask("DBSIZE"), b":%d\r\n" % count)
                self.holds(again, count, step=7)

    def test_a_start_without_enough_memory_serves_or_says_so(self):
        """Threads, the ring and the index each found no memory in one of these, and the process was
        aborted: a thread's stack is no allocation, and mimalloc's operator new asks no handler."""
        with harness.firnlog("--appendfsync", "no", "--threads", "2") as server:
            with server.connect() as client:
                for begin in range(0, 200_000, GROUP):
                    client.pipeline([("SET", name(i), b"%d" % i) for i in range(begin, begin + GROUP)])
            server.kill()
            served = refused = 0
            # The allocator asks for its first 32 MiB before main().
            for limit in range(40, 160, 4):
                code = self.start_within(server, limit * MIB)
                self.assertIn(code, (0, 1), (limit, server.log()[-2000:]))
                served += code == 0
                refused += code == 1
            self.assertGreater(served, 0)
            self.assertGreater(refused, 0)
            server.start()
            with server.connect() as client:
                self.assertEqual(client.ask("DBSIZE"), b":200000\r\n")
                self.holds(client, 200_000, step=11)

    def start_within(self, server, limit):
        """Starts it with so much memory, asks it for a key and stops it: its exit code."""
        def bounded():
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(server.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       preexec_fn=bounded)
            until = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < until:
                try:
                    with server.connect() as client:
                        reply = client.ask("GET", name(7))
                except (OSError, harness.Closed):
                    reply = b"-LOADING"
                if not reply.startswith(b"-LOADING"):
                    self.assertEqual(reply, b"$1\r\n7\r\n", limit)
                    process.terminate()
                    break
                time.sleep(0.02)
            try:
                code = process.wait(60)
            finally:
                process.kill()
            log.seek(0)
            self.assertNotIn(b"crashed", log.read(), limit)
            return code

    def test_what_flushall_frees_can_be_written_again(self):
        with harness.firnlog("--appendfsync", "no", "--threads", "2") as server, \
                server.connect() as client:
            own = used_memory(client)
            self.assertEqual(client.ask("CONFIG", "SET", "maxmemory", own + 48 * MIB), b"+OK\r\n")
            self.grow(client)
            self.assertEqual(client.ask("FLUSHALL"), b"+OK\r\n")
            self.assertTrue(harness.eventually(lambda: not refuses(server), seconds=30))
            self.assertEqual(client.ask("SET", "key", "value"), b"+OK\r\n")
            self.assertEqual(client.ask("DBSIZE"), b":1\r\n")

    def test_a_value_and_a_reply_too_large_for_memory_end_their_client_alone(self):
        with harness.firnlog("--appendfsync", "no") as server, server.connect() as client:
            value = b"v" * (100 * MIB)
            self.assertEqual(client.ask("SET", "large", value), b"+OK\r\n")
            self.limit(server, 16 * MIB)
            for command in (("SET", "other", value), ("GET", "large"),
                            ("MGET",) + ("large",) * 4):
                try:
                    with server.connect() as other:
                        reply = other.ask(*command)
                        self.assertTrue(reply.startswith((b"-OOM", b"$104857600")), reply[:80])
                except (harness.Closed, OSError):
                    pass
                self.assertEqual(client.ask("STRLEN", "large"), b":%d\r\n" % len(value))
            resource.prlimit(server.pid, resource.RLIMIT_DATA,
                             (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            self.assertTrue(harness.eventually(lambda: not refuses(server)))
            with server.connect() as other:
                self.assertEqual(harness.parse(other.ask("GET", "large")), value)

    def limit(self, server, room):
        resource.prlimit(server.pid, resource.RLIMIT_DATA,
                         (own_memory(server) + room, resource.RLIM_INFINITY))

    def grow_to_the_limit(self, server, client, room):
        self.grow_some(client)
        self.limit(server, room)
        return self.grow(client, begin=GROUP)

    def grow_some(self, client):
        commands = [("SET", name(i), b"%d" % i) for i in range(GROUP)]
        self.assertEqual(set(client.pipeline(commands)), {b"+OK\r\n"})


if __name__ == "__main__":
    unittest.main()
