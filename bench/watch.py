"""Watch: how large something becomes while other things go on, and what is looked at: the disk."""

import os
import threading

MIB = 1 << 20


class Watch:
    """The largest that something becomes until `end`."""

    def __init__(self, look, seconds):
        self.look, self.seconds, self.most = look, seconds, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.over.wait(self.seconds):
            self.most = max(self.most, self.look())

    def end(self):
        self.over.set()
        self.thread.join()
        return self.most


def _files(directory):
    """Bytes on the disk, by file: one that has two names is there once."""
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                stat = os.stat(os.path.join(folder, name))
                found[stat.st_ino] = stat.st_blocks * 512
            except FileNotFoundError:
                pass
    return found


def on_disk(directory):
    return sum(_files(directory).values())


def own_on_disk(directory, other):
    """Bytes of the directory's files that are not the other one's as well, by link."""
    shared = _files(other)
    return sum(size for file, size in _files(directory).items() if file not in shared)
