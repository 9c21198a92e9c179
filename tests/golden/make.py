"""Makes the golden stores of the format version that build/release/firnlog writes:

    python3 tests/golden/make.py            # tests/golden/v1-clean and v1-killed
    python3 tests/golden/make.py lived      # tests/golden/v1-lived, v1-backup and v1-archive
    python3 tests/golden/make.py recycled   # tests/golden/v1-recycled

Each is a small store with every kind of record in it, stopped cleanly or killed, and what FIRN DIGEST
said of it. They are made once for a format version and never again: that later builds still read
these very bytes is what tests/e2e/test_golden.py holds. Zeros at a file's end are left out; `files`
says how long it is.

The others have lived: there are checkpoints, packed segments, log that was given back, a kept moment,
three timelines, moves, sidecars, and a past; in the backups and in the archive the same. The last one
was killed as it wrote into a segment that had been made of another one. Each is one `content.tar.xz`,
beside it `moments`: what FIRN DIGEST was at each. A moment is kept when its hour is over, so the first
half of that life is lived an hour ago, by a clock that is put before the server's own (`cc` makes it).
"""

import contextlib
import os
import pathlib
import re
import struct
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness  # noqa: E402

FAR = 32503680000  # the year 3000


def asked(client, *args):
    reply = client.ask(*args)
    assert not reply.startswith(b"-"), (args, reply)


def fill(client):
    def ask(*args):
        asked(client, *args)

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


EARLIER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec* at) {
    static int (*real)(clockid_t, struct timespec*);
    if (!real) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
    const int done = real(clock, at);
    if (clock == CLOCK_REALTIME) at->tv_sec -= 3600;
    return done;
}
"""


@contextlib.contextmanager
def an_hour_ago(folder):
    """What is started meanwhile."""
    library = folder / "earlier.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"], input=EARLIER, text=True,
                   check=True)
    os.environ["LD_PRELOAD"] = str(library)
    try:
        yield
    finally:
        del os.environ["LD_PRELOAD"]


class Life:
    """The one that the golden store, backups and archive tell of."""

    OPTIONS = ("--appendfsync", "always", "--save", "", "--segment-bytes-max", "4mb", "--threads", 1,
               "--retain", 0, "--retain-bytes", "1gb")

    def __init__(self, folder):
        self.folder = folder
        self.archive, self.backups = folder / "archive", folder / "backups"
        self.archive.mkdir()
        self.moments = []
        self.round = 0
        self.server = harness.firnlog(*self.OPTIONS, "--archive-dir", self.archive, "--keep", "hourly:24",
                                      start=False)

    def told(self, section="persistence"):
        with self.server.connect() as client:
            return harness.info(client, section)

    def overwrite(self, client):
        """A segment's worth, which packs well."""
        self.round += 1
        for i in range(80):
            value = (b"%d " % self.round) * 30_000
            asked(client, "SET", "filler:%d" % i, value[:55_000])
        # Long values of fields, and what is left of a file that is otherwise dead.
        asked(client, "HSET", "long hash", "field", (b"long %d " % self.round) * 20_000, "f", self.round)
        asked(client, "HSET", "wide", *(word for i in range(100)
                                        for word in ("f%d" % i, "%d" % (i * self.round))))
        asked(client, "SET", "seldom:%d" % self.round, "stays", "EXAT", FAR)

    def save(self):
        assert harness.eventually(lambda: self.server.ask("SAVE") == b"+OK\r\n", 60)

    def mark(self, name):
        assert self.server.ask("FIRN", "MARK", name) == b"+OK\r\n"
        self.moments.append("mark %s %s\n" % (name, self.server.value("FIRN", "DIGEST").decode()))

    def kept_lsn(self):
        told = subprocess.run([harness.FIRNLOG, "history", self.server.folder], check=True,
                              capture_output=True, text=True).stdout
        return "1:" + re.search(r"(?m)^kept .* to (\d+),", told)[1]

    def backup(self, name):
        subprocess.run([harness.FIRNLOG, "backup", "--from", self.server.folder, "--to", self.backups,
                        "--name", name], check=True, stdout=subprocess.DEVNULL)

    def crash(self):
        self.server.kill()
        self.server.start()

    def lead(self):
        with an_hour_ago(self.folder):
            self.server.start()
        with self.server.connect() as client:
            fill(client)
            while self.round < 7 or self.told()["packed_segments"] == "0":
                self.overwrite(client)
                self.save()
                time.sleep(0.2)
        digest = self.server.value("FIRN", "DIGEST").decode()
        self.save()
        assert self.server.stop() == 0
        # The newest of its hour outlives the log around it.
        self.server.start()
        with self.server.connect() as client:
            while self.told("history")["kept_moments"] == "0":
                self.overwrite(client)
                self.save()
                time.sleep(0.2)
            self.moments.append("lsn %s %s\n" % (self.kept_lsn(), digest))
            asked(client, "CONFIG", "SET", "retain", "24h")
            asked(client, "HDEL", "wide", "f1", "f2")
        self.save()
        self.crash()
        self.mark("second timeline")
        self.backup("one")
        with self.server.connect() as client:
            asked(client, "SELECT", 3)
            asked(client, "FLUSHDB")
            asked(client, "SELECT", 0)
            asked(client, "SWAPDB", 0, 5)
            asked(client, "SET", "meanwhile", "here")
        self.mark("swapped")
        with self.server.connect() as client:
            asked(client, "SWAPDB", 0, 5)
            self.overwrite(client)
        self.mark("full")
        self.save()
        self.crash()
        with self.server.connect() as client:
            asked(client, "DEL", "string:1")
            self.mark("without one")
            asked(client, "FLUSHALL")
            self.mark("flushed")
            asked(client, "FIRN", "RESTORE", "MATCH", "*", "MARK", "full", "ALLDBS", "DELETE-NEW", "TTL",
                "keep")
        self.mark("taken back")
        assert harness.eventually(lambda: self.told("history")["sidecar_missing"] == "0", 60)
        self.backup("two")
        with self.server.connect() as client:
            asked(client, "SET", "last", "written")
        self.mark("newest")
        assert harness.eventually(lambda: self.told("archive")["archive_lag_bytes"] == "0", 60)
        self.server.kill()


class Recycled(Life):
    def __init__(self, folder):
        self.moments = []
        self.round = 0
        self.server = harness.firnlog(*self.OPTIONS)

    def lead(self):
        with self.server.connect() as client:
            fill(client)
            while not self.writes_over_another():
                self.overwrite(client)
                self.save()
                time.sleep(0.2)
            for i in range(20):
                asked(client, "SET", "behind it:%d" % i, "stale bytes")
        self.mark("newest")
        self.server.kill()

    def writes_over_another(self):
        """Whether the segment in use has a stale lsn."""
        headers = [struct.unpack_from("<QQQ", path.read_bytes(), 40)
                   for path in pathlib.Path(self.server.folder).glob("*.log")]
        return max(headers)[2] != 0


def packed(name, folder, life):
    target = HERE / name
    target.mkdir()
    (target / "moments").write_text("".join(life.moments))

    def wanted(info):
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        # What a start makes anew.
        return None if info.name in ("./lock", "./reserve") else info

    with tarfile.open(target / "content.tar.xz", "w:xz", preset=9) as tar:
        tar.add(folder, arcname=".", filter=wanted)
    print(name, sum(file.stat().st_size for file in target.iterdir()), "bytes")


def lived(version):
    with tempfile.TemporaryDirectory(prefix="firnlog-golden-") as folder:
        life = Life(pathlib.Path(folder))
        with life.server:
            life.lead()
            for what, where in (("lived", life.server.folder), ("backup", life.backups),
                                ("archive", life.archive)):
                packed("v%s-%s" % (version, what), where, life)


def recycled(version):
    life = Recycled(None)
    with life.server:
        life.lead()
        packed("v%s-recycled" % version, life.server.folder, life)


def main():
    told = subprocess.run([harness.FIRNLOG, "--version"], capture_output=True, text=True, check=True)
    version = re.search(r"format (\d+)", told.stdout).group(1)
    if sys.argv[1:]:
        return {"lived": lived, "recycled": recycled}[sys.argv[1]](version)
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
