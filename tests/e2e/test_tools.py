"""Tools made for Redis work: redis-cli, redis-benchmark, python3-redis, prometheus-redis-exporter."""

import asyncio
import shutil
import subprocess
import time
import unittest
import urllib.request

import harness


def need(program):
    return unittest.skipUnless(shutil.which(program), program + " is not installed")


@need("redis-cli")
class RedisCli(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = harness.firnlog()
        with cls.server.connect() as client:
            client.pipeline([("SET", "key:%d" % i, "v" * (i % 50)) for i in range(2000)])
            client.pipeline([("HSET", "hash", "f%d" % i, "x" * 20) for i in range(300)])
            client.ask("SET", "large", "x" * 100000)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def cli(self, *args, data=None, seconds=60):
        done = subprocess.run(
            ["redis-cli", "-p", str(self.server.port), *args],
            input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout.decode("latin-1")

    def test_it_asks_and_shows(self):
        self.assertEqual(self.cli("GET", "key:7"), "vvvvvvv\n")
        self.assertEqual(self.cli("-3", "HGET", "hash", "f1"), "x" * 20 + "\n")
        self.assertIn("redis_version:7.0.15", self.cli("INFO", "server"))
        self.assertIn("PONG", self.cli("-3", "PING"))

    def test_it_takes_lines_from_a_file(self):
        self.assertEqual(self.cli(data=b"SET typed 1\nINCR typed\nGET typed\n"), "OK\n2\n2\n")

    def test_scan(self):
        keys = self.cli("--scan").split("\n")[:-1]
        self.assertEqual(len(set(keys)), len(keys))
        self.assertTrue({"key:%d" % i for i in range(2000)} <= set(keys))
        self.assertEqual(
            sorted(self.cli("--scan", "--pattern", "key:199?").split()),
            ["key:199%d" % i for i in range(10)],
        )

    def test_bigkeys(self):
        text = self.cli("--bigkeys")
        self.assertRegex(text, r"""Biggest string found '"large"' has 100000 bytes""")
        self.assertRegex(text, r"""Biggest +hash found '"hash"' has 300 fields""")

    def test_memkeys(self):
        text = self.cli("--memkeys")
        self.assertRegex(text, r"""Biggest string found '"large"' has 10\d{4} bytes""")

    def test_latency(self):
        process = subprocess.Popen(
            ["redis-cli", "-p", str(self.server.port), "--latency", "--raw"],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )
        try:
            self.assertRegex(process.stdout.readline().decode(), r"^\d+ \d+ [\d.]+ \d+")
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def test_stat(self):
        text = self.stat_lines(3)
        self.assertRegex(text, r"\n\d+ +[\d.]+[BKMG] +\d+ +0 +\d+ \(\+\d+\) +\d+")

    def stat_lines(self, count):
        process = subprocess.Popen(
            ["redis-cli", "-p", str(self.server.port), "--stat", "-i", "0.1"],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )
        try:
            return "".join(process.stdout.readline().decode() for _ in range(count + 2))
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def test_pipe(self):
        commands = b"".join(harness.encoded("SET", "piped:%d" % i, i) for i in range(20000))
        text = self.cli("--pipe", data=commands)
        self.assertIn("errors: 0, replies: 20000", text)
        self.assertEqual(self.cli("GET", "piped:19999"), "19999\n")

    def test_monitor(self):
        process = subprocess.Popen(
            ["redis-cli", "-p", str(self.server.port), "MONITOR"],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )
        try:
            self.assertEqual(process.stdout.readline(), b"OK\n")
            self.cli("GET", "seen")
            lines = process.stdout.readline()
            while b'"seen"' not in lines:
                lines = process.stdout.readline()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


@need("redis-benchmark")
class RedisBenchmark(unittest.TestCase):
    # What the default run consists of, and whether Firnlog has the commands.
    HAVE = ("ping_inline", "ping_mbulk", "set", "get", "incr", "hset", "mset")
    LACK = ("lpush", "rpush", "lpop", "rpop", "sadd", "spop", "zadd", "zpopmin", "lrange_100",
            "lrange_300", "lrange_500", "lrange_600")

    def bench(self, server, *args):
        done = subprocess.run(
            ["redis-benchmark", "-p", str(server.port), "-q", *args],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
        )
        self.assertEqual(server.ask("PING"), b"+PONG\r\n", args)
        return done.returncode, done.stdout.decode("latin-1")

    def test_its_default_run_ends_and_the_server_lives(self):
        # It ends with the first type that Firnlog lacks: everything before it was measured.
        with harness.firnlog() as server:
            for more in ((), ("-P", "16"), ("--threads", "2"), ("-c", "1", "-n", "100")):
                code, text = self.bench(server, "-n", "2000", *more)
                for name in ("PING_INLINE", "PING_MBULK", "SET", "GET", "INCR"):
                    self.assertRegex(text, name + r": [\d.]+ requests per second")
                self.assertIn("unknown command 'LPUSH'", text)
                self.assertNotEqual(code, 0)

    def test_each_part_of_its_default_run_by_itself(self):
        with harness.firnlog() as server:
            for name in self.HAVE:
                for more in ((), ("-P", "8", "-r", "1000"), ("-d", "100000", "-n", "200")):
                    code, text = self.bench(server, "-n", "2000", "-t", name, *more)
                    self.assertEqual(code, 0, text)
                    self.assertIn("requests per second", text)
                    self.assertNotIn("Error", text)
            for name in self.LACK:
                code, text = self.bench(server, "-n", "100", "-t", name, "-P", "4")
                self.assertNotEqual(code, 0, text)
                self.assertIn("unknown command", text)


try:
    import redis as redis_py
except ImportError:
    redis_py = None


@unittest.skipIf(redis_py is None, "python3-redis is not installed")
class PythonRedis(unittest.TestCase):
    def setUp(self):
        self.server = harness.firnlog("--enable-debug-command", "yes")

    def tearDown(self):
        self.server.close()

    def test_sync(self):
        client = redis_py.Redis(port=self.server.port, client_name="tester")
        self.assertTrue(client.ping())
        self.assertTrue(client.set("a", 1, ex=100))
        self.assertEqual(client.incrby("a", 5), 6)
        self.assertEqual(client.hset("h", mapping={"x": 1, "y": 2}), 2)
        self.assertEqual(client.hgetall("h"), {b"x": b"1", b"y": b"2"})
        with client.pipeline() as pipe:
            pipe.watch("a")
            pipe.multi()
            pipe.set("a", 7)
            pipe.get("a")
            self.assertEqual(pipe.execute(), [True, b"7"])
        self.assertEqual(sorted(client.scan_iter("*")), [b"a", b"h"])
        pubsub = client.pubsub()
        pubsub.subscribe("news")
        self.assertEqual(pubsub.get_message(timeout=10)["type"], "subscribe")
        self.assertEqual(client.publish("news", "hello"), 1)
        self.assertEqual(pubsub.get_message(timeout=10)["data"], b"hello")
        known = client.info("everything")
        self.assertEqual(known["redis_version"], "7.0.15")
        self.assertEqual(known["db0"]["keys"], 2)
        self.assertEqual(known["cmdstat_ping"]["calls"], 2)
        self.assertEqual({c["name"] for c in client.client_list()}, {"tester"})
        self.assertEqual(client.config_get("timeout"), {"timeout": "0"})
        self.assertTrue(client.config_set("timeout", 5))
        self.assertTrue(client.config_resetstat())
        self.assertEqual(client.command_count(), len(client.command()))
        self.assertIn("get", client.command())
        self.assertEqual(client.command_getkeys("MSET", "a", 1, "b", 2), ["a", "b"])
        self.assertIsInstance(client.slowlog_get(), list)
        self.assertEqual(client.acl_whoami(), "default")
        self.assertEqual(client.acl_getuser("default")["enabled"], True)
        self.assertGreater(client.memory_usage("h"), 0)
        self.assertIn("keys.count", client.memory_stats())
        self.assertEqual(client.role()[0], b"master")
        self.assertEqual(len(client.time()), 2)
        self.assertTrue(client.save())
        self.assertTrue(client.bgsave())
        self.assertTrue(client.lastsave())
        self.assertEqual(client.dbsize(), 2)
        self.assertEqual(client.execute_command("LATENCY", "LATEST"), [])
        self.assertTrue(client.client_pause(1))
        with self.assertRaises(redis_py.ResponseError):
            client.lpush("list", 1)
        client.shutdown(nosave=True)
        self.assertEqual(self.server.wait(), 0)

    def test_asyncio(self):
        async def talk():
            import redis.asyncio as aioredis

            client = aioredis.Redis(port=self.server.port)
            self.assertTrue(await client.ping())
            await asyncio.gather(*(client.set("k%d" % i, i) for i in range(100)))
            values = await asyncio.gather(*(client.get("k%d" % i) for i in range(100)))
            self.assertEqual(values, [b"%d" % i for i in range(100)])
            async with client.pipeline(transaction=True) as pipe:
                self.assertEqual(await pipe.incr("n").incr("n").execute(), [1, 2])
            self.assertEqual((await client.info("server"))["redis_mode"], "standalone")
            await client.close()
            await client.connection_pool.disconnect()

        asyncio.run(talk())


@need("prometheus-redis-exporter")
class Exporter(unittest.TestCase):
    def test_it_scrapes(self):
        port = harness.free_port()
        with harness.firnlog() as server:
            with server.connect() as client:
                client.ask("SET", "a", 1, "EX", 1000)
                client.ask("GET", "a")
            exporter = subprocess.Popen(
                ["prometheus-redis-exporter", "-web.listen-address", "127.0.0.1:%d" % port,
                 "-redis.addr", "redis://127.0.0.1:%d" % server.port, "-include-system-metrics",
                 "-export-client-list", "-check-single-keys", "db0=a"],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )
            try:
                text = self.scrape(port)
            finally:
                exporter.kill()
                complaints = exporter.communicate()[1].decode()
            self.assertRegex(text, r"(?m)^redis_up 1$", complaints)
            self.assertIn('redis_instance_info{', text)
            self.assertIn('redis_version="7.0.15"', text)
            for metric in (
                r'redis_db_keys\{db="db0"\} 1',
                r'redis_db_keys_expiring\{db="db0"\} 1',
                r"redis_memory_used_bytes [\d.e+]+",
                r"redis_connected_clients \d+",
                r"redis_commands_processed_total [\d.e+]+",
                r'redis_commands_total\{cmd="get"\} 1',
                r"redis_keyspace_hits_total 1",
                r"redis_aof_enabled 1",
                r"redis_slowlog_length \d+",
                r"redis_config_maxclients 10000",
                r'redis_key_size\{db="db0",key="a"\} 1',
                r"redis_exporter_last_scrape_error\{err=\"\"\} 0",
            ):
                self.assertRegex(text, r"(?m)^" + metric, metric)
            self.assertNotIn("level=error", complaints)

    def scrape(self, port):
        until = time.monotonic() + 30
        while True:
            try:
                return urllib.request.urlopen(
                    "http://127.0.0.1:%d/metrics" % port, timeout=30).read().decode()
            except OSError:
                self.assertLess(time.monotonic(), until)
                time.sleep(0.05)


if __name__ == "__main__":
    unittest.main()
