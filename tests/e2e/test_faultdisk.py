"""`firnlog faultdisk`: a real kernel's file systems on a disk that loses its power and fails.

Needs root, /dev/fuse, loop devices and the mkfs of each file system; what is missing is skipped by
name.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import harness

MKFS = {"ext4": "mkfs.ext4", "xfs": "mkfs.xfs", "btrfs": "mkfs.btrfs"}
SECONDS = 60


def need(fs="ext4"):
    """Skips the test where this machine cannot mount a faulty disk."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root")
    for device in ("/dev/fuse", "/dev/loop-control"):
        if not os.path.exists(device):
            raise unittest.SkipTest("needs " + device)
    if shutil.which(MKFS[fs], path="/usr/sbin:/sbin:/usr/bin") is None:
        raise unittest.SkipTest("needs " + MKFS[fs])
    with open("/proc/filesystems") as kinds:
        if fs not in kinds.read().split() and subprocess.run(
                ["modprobe", fs], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            raise unittest.SkipTest("this kernel has no " + fs)


class Disk:
    """One running `firnlog faultdisk`, mounted at .folder."""

    def __init__(self, *options, fs="ext4", size="400M"):
        self.folder = tempfile.mkdtemp(prefix="firnlog-faultdisk-")
        self.process = subprocess.Popen(
            [harness.FIRNLOG, "faultdisk", "--at", self.folder, "--fs", fs, "--size", size,
             *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.ready = self.process.stdout.readline()
        if not self.ready.startswith("ready: "):
            self.end(signal.SIGTERM)
            raise AssertionError("not ready: %r" % self.ready)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end(signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)

    def end(self, how):
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(SECONDS)
        self.process.stdout.close()

    def server(self):
        """The process that answers for the disk's file: the keeper's only child."""
        pid = self.process.pid
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
            return int(file.read().split()[0])

    def kill_both(self):
        server = self.server()
        for pid in (self.process.pid, server):
            os.kill(pid, signal.SIGSTOP)
        for pid in (self.process.pid, server):
            os.kill(pid, signal.SIGKILL)
        self.process.wait(SECONDS)
        self.process.stdout.close()

    def send(self, command):
        return subprocess.run(
            [harness.FIRNLOG, "faultdisk", "--at", self.folder, "--send", command],
            capture_output=True, text=True, timeout=SECONDS, check=False).stdout.strip()

    def cut(self, keep, seed=1):
        for command in ("freeze", "discard"):
            assert self.send(command) == "ok", command
        return self.send("cut %s %d" % (keep, seed))

    def status(self):
        return dict(pair.split("=") for pair in self.send("status").split()[1:])

    def path(self, name):
        return os.path.join(self.folder, name)


def write(path, content, sync=True):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.write(fd, content)
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def left_of(process):
    """What a run left behind: mounts, loop devices, folders."""
    name = "/firnlog-faultdisk/%d" % process.pid
    with open("/proc/self/mountinfo") as mounts:
        found = [line for line in mounts if name in line]
    loops = subprocess.run(["losetup", "-a"], capture_output=True, text=True, check=False).stdout
    found += [line for line in loops.splitlines() if name in line]
    return found + ([name] if os.path.exists("/run" + name) else [])


def comes_to_nothing(process):
    """What is left of it once there was time to tidy."""
    until = time.monotonic() + SECONDS
    while left_of(process) and time.monotonic() < until:
        time.sleep(0.05)
    return left_of(process)


def clean():
    subprocess.run([harness.FIRNLOG, "faultdisk", "--clean"], check=True,
                   stdout=subprocess.DEVNULL, timeout=SECONDS)


class FileSystems(unittest.TestCase):
    def each(self):
        """ext4 and xfs, and btrfs where the time is not counted."""
        kinds = ("ext4", "xfs", "btrfs") if os.environ.get("FIRNLOG_PROVE") else ("ext4", "xfs")
        for fs in kinds:
            with self.subTest(fs):
                need(fs)
                yield fs

    def test_a_cut_keeps_what_was_synced_and_takes_what_was_not(self):
        for fs in self.each():
            with Disk(fs=fs) as disk:
                write(disk.path("synced"), b"s" * 10_000)
                write(disk.path("cached"), b"c" * 10_000, sync=False)
                self.assertTrue(disk.cut("none").startswith("ok "))
                self.assertEqual(read(disk.path("synced")), b"s" * 10_000)
                cached = disk.path("cached")
                if os.path.exists(cached):
                    self.assertNotIn(b"c", read(cached))

    def test_a_lying_disk_loses_what_was_synced(self):
        for fs in self.each():
            with Disk(fs=fs) as disk:
                write(disk.path("before"), b"x")
                disk.send("lying on")
                write(disk.path("after"), b"y" * 100)
                self.assertTrue(disk.cut("none").startswith("ok "))
                self.assertEqual(read(disk.path("before")), b"x")
                self.assertFalse(os.path.exists(disk.path("after")))

    def test_a_disk_whose_data_blocks_fail_stays_mounted(self):
        for fs in ("ext4", "xfs"):
            with self.subTest(fs):
                need(fs)
                with Disk(fs=fs) as disk:
                    self.assertEqual(disk.send("eio data"), "ok")
                    with self.assertRaises(OSError):
                        write(disk.path("fails"), b"x" * 5000)
                    os.mkdir(disk.path("folder"))
                    os.sync()
                    self.assertEqual(disk.send("eio off"), "ok")
                    write(disk.path("works"), b"x" * 5000)
                    self.assertNotEqual(disk.status()["failed"], "0")

    def test_a_full_disk_takes_nothing_until_there_is_room(self):
        for fs in self.each():
            with Disk(fs=fs) as disk:
                self.assertEqual(disk.send("full on"), "ok")
                with self.assertRaises(OSError):
                    write(disk.path("fails"), b"x" * 1_000_000)
                self.assertEqual(disk.send("full off"), "ok")
                write(disk.path("works"), b"x" * 1_000_000)


class Faults(unittest.TestCase):
    def setUp(self):
        need()

    def test_flushes_fail_or_take_their_time(self):
        with Disk("--flush-ms", "50", size="64M") as disk:
            fd = os.open(disk.path("log"), os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(fd, b"x" * 4096)
            os.fsync(fd)
            started = time.monotonic()
            os.pwrite(fd, b"y" * 4096, 0)
            os.fdatasync(fd)
            self.assertGreaterEqual(time.monotonic() - started, 0.045)
            disk.send("flush-ms 0")
            disk.send("eio flush")
            os.pwrite(fd, b"z" * 4096, 0)
            with self.assertRaises(OSError):
                os.fdatasync(fd)
            os.close(fd)

    def test_a_frozen_disk_answers_nobody_until_it_is_told_to_go_on(self):
        with Disk(size="64M") as disk:
            self.assertEqual(disk.send("freeze"), "ok")
            child = subprocess.Popen(
                ["dd", "if=/dev/zero", "of=" + disk.path("a"), "bs=4096", "count=1", "conv=fsync"],
                stderr=subprocess.DEVNULL)
            with self.assertRaises(subprocess.TimeoutExpired):
                child.wait(0.3)
            self.assertEqual(disk.send("discard"), "ok")
            self.assertEqual(child.wait(SECONDS), 0)
            self.assertTrue(disk.send("cut all 1").startswith("ok "))
            self.assertFalse(os.path.exists(disk.path("a")) and read(disk.path("a")))

    def test_words_it_does_not_know_are_refused(self):
        with Disk(size="64M") as disk:
            for wrong in ("", "cut", "cut half 1", "cut none x", "flush-ms -1", "eio sometimes"):
                self.assertTrue(disk.send(wrong or " ").startswith("error"), wrong)


class Tidy(unittest.TestCase):
    def setUp(self):
        need()

    def test_a_signal_ends_it_and_leaves_nothing(self):
        for how in (signal.SIGTERM, signal.SIGINT):
            with Disk(size="64M") as disk:
                disk.end(how)
                self.assertEqual(disk.process.returncode, 0)
                self.assertEqual(left_of(disk.process), [])
                self.assertEqual(os.listdir(disk.folder), [])

    def test_what_a_killed_one_left_is_tidied_though_a_file_is_open(self):
        with Disk(size="64M") as disk:
            with open(disk.path("open"), "wb"):
                disk.kill_both()
                self.assertNotEqual(left_of(disk.process), [])
                clean()
                self.assertEqual(os.listdir(disk.folder), [])
            self.assertEqual(comes_to_nothing(disk.process), [])

    def test_whichever_of_its_processes_is_killed_the_other_tidies(self):
        for frozen in (False, True):
            with self.subTest("the server", frozen=frozen), Disk(size="64M") as disk:
                write(disk.path("dirty"), b"x" * 1_000_000, sync=False)
                if frozen:
                    disk.send("freeze")
                os.kill(disk.server(), signal.SIGKILL)
                self.assertEqual(disk.process.wait(SECONDS), 1)
                self.assertEqual(left_of(disk.process), [])
            with self.subTest("the keeper", frozen=frozen), Disk(size="64M") as disk:
                write(disk.path("dirty"), b"x" * 1_000_000, sync=False)
                if frozen:
                    disk.send("freeze")
                disk.end(signal.SIGKILL)
                self.assertEqual(comes_to_nothing(disk.process), [])

    def test_killed_as_it_unmounts_it_ends_and_nothing_waits_for_it(self):
        # What unmounts waits for the disk to take 40 MB, and cannot be killed while it does. When
        # the disk was of the same process, that waited for itself, and sync(2) with it.
        for number, milliseconds in enumerate((0, 2, 5, 10, 20, 40, 80)):
            with self.subTest(milliseconds), Disk(size="100M") as disk:
                write(disk.path("dirty"), b"x" * 40_000_000, sync=False)
                server = disk.server()
                disk.process.send_signal(signal.SIGTERM)
                time.sleep(milliseconds / 1000)
                for pid in (disk.process.pid, server)[number % 2:]:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                disk.process.wait(SECONDS)
                clean()
                self.assertEqual(comes_to_nothing(disk.process), [])

    def test_it_ends_with_the_process_that_started_it(self):
        folder = tempfile.mkdtemp(prefix="firnlog-faultdisk-")
        shell = subprocess.Popen(
            ["sh", "-c", '"$0" faultdisk --at "$1" --size 64M & echo $!; wait',
             harness.FIRNLOG, folder], stdout=subprocess.PIPE, text=True)
        pid = int(shell.stdout.readline())
        self.assertTrue(shell.stdout.readline().startswith("ready: "))
        shell.kill()
        shell.wait()
        shell.stdout.close()
        until = time.monotonic() + SECONDS
        while os.path.exists("/run/firnlog-faultdisk/%d" % pid) and time.monotonic() < until:
            time.sleep(0.05)
        self.assertFalse(os.path.exists("/run/firnlog-faultdisk/%d" % pid))
        os.rmdir(folder)

    def test_a_folder_that_holds_something_is_left_alone(self):
        folder = tempfile.mkdtemp(prefix="firnlog-faultdisk-")
        try:
            write(os.path.join(folder, "precious"), b"x")
            done = subprocess.run([harness.FIRNLOG, "faultdisk", "--at", folder, "--size", "64M"],
                                  capture_output=True, timeout=SECONDS, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(os.listdir(folder), ["precious"])
        finally:
            shutil.rmtree(folder)


class Users(unittest.TestCase):
    def test_who_is_not_root_is_told_so(self):
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root to give it up")
        if not os.access(harness.FIRNLOG, os.X_OK) or shutil.which("setpriv") is None:
            raise unittest.SkipTest("needs setpriv")
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", harness.FIRNLOG,
             "faultdisk", "--at", "/nowhere"], capture_output=True, text=True, timeout=SECONDS,
            check=False)
        if "needs root" not in done.stderr:
            raise unittest.SkipTest("nobody may not run this binary: " + done.stderr.strip())
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    unittest.main()
