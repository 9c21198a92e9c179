"""Makes the golden stores of the format version that build/release/firnlog writes:

    python3 tests/golden/make.py            # tests/golden/v1-clean and v1-killed

Each is a small store with every kind of record in it, stopped cleanly or killed, and what FIRN DIGEST
said of it. They are made once for a format version and never again: that later builds still read
these very bytes is what tests/e2e/test_golden.py holds. Zeros at a file's end are left out; `files`
says how long it is.
"""

import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness  # noqa: E402

FAR = 32503680000  # the year 3000


def fill(client):
    def ask(*args):
        reply = client.ask(*args)
        assert not reply.startswith(b"-"), (args, reply)

    for i in range(20):
        ask("SET", "string:%d" % i, "value %d" % i)
    ask("SET", "empty", "")
    ask("SET", b"binary \x00\xff\r\n", bytes(range(256)))
    ask("SET", "long", "l" * 70_000)
    ask("SETRANGE", "long", 30_000, "patched")
    ask("APPEND", "long", "and more")
    ask("SETRANGE", "sparse", 100_000, "end")
    ask("SETBIT", "bits", 12345, 1)
    ask("DEL", "string:3", "string:4")
    ask("EXPIREAT", "string:5", FAR)
    ask("SET", "string:6", "with a time", "EXAT", FAR + 1)
    ask("EXPIREAT", "string:7", FAR)
    ask("PERSIST", "string:7")
    for i in range(30):
        ask("HSET", "hash", "field:%d" % i, "f" * i)
    ask("HDEL", "hash", "field:1", "field:2")
    ask("EXPIREAT", "hash", FAR)
    ask("HSET", "small", "a", "1", "b", "2")
    ask("RENAME", "small", "stray")
    ask("COPY", "stray", "copy")
    ask("HSET", "gone", "a", "1")
    ask("DEL", "gone")
    ask("MULTI")
    ask("MSET", "batch:1", "1", "batch:2", "2")
    ask("HSET", "batch:3", "f", "v")
    ask("EXEC")
    ask("SELECT", 1)
    ask("SET", "in one", "1")
    ask("SELECT", 2)
    ask("SET", "in two", "2")
    ask("HSET", "hash in two", "f", "v")
    ask("SWAPDB", 1, 2)
    ask("SELECT", 3)
    ask("SET", "flushed", "away")
    ask("FLUSHDB")
    ask("SET", "behind the flush", "stays")
    ask("SELECT", 0)
    ask("SET", "soon", "expired", "PX", 1)
    while client.value("EXISTS", "soon"):
        pass
    ask("FIRN", "MARK", "golden")


def save(name, server, digest):
    target = HERE / name
    target.mkdir()
    lines = []
    for file in sorted(pathlib.Path(server.folder).iterdir()):
        content = file.read_bytes()
        kept = content.rstrip(b"\0")
        if file.name == "lock" or (not kept and file.name.endswith(".log")):
            continue
        (target / file.name).write_bytes(kept)
        lines.append("%s %d\n" % (file.name, len(content)))
    (target / "files").write_text("".join(lines))
    (target / "digest").write_bytes(digest)
    print(name, sum(file.stat().st_size for file in target.iterdir()), "bytes")


def main():
    told = subprocess.run([harness.FIRNLOG, "--version"], capture_output=True, text=True, check=True)
    version = re.search(r"format (\d+)", told.stdout).group(1)
    for how in ("clean", "killed"):
        with harness.firnlog("--appendfsync", "always") as server:
            with server.connect() as client:
                fill(client)
                digest = client.value("FIRN", "DIGEST")
            if how == "clean":
                assert server.stop() == 0
            else:
                server.kill()
            save("v%s-%s" % (version, how), server, digest)


if __name__ == "__main__":
    main()
