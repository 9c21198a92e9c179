"""Wire: many commands in one send, the bytes of each reply back."""

import re

import harness

PLAIN = re.compile(rb"[A-Za-z0-9_:.|-]+")
BULKS = b"$=!"
ARRAYS = b"*~>"
MAPS = b"%|"


def end_of(data, at):
    """Where the reply that begins at `at` ends; -1: it is not whole yet."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return -1
    kind = data[at]
    if kind in BULKS:
        size = int(data[at + 1:line])
        end = line + 2 + (size + 2 if size >= 0 else 0)
        return end if end <= len(data) else -1
    if kind not in ARRAYS and kind not in MAPS:
        return line + 2
    count = int(data[at + 1:line])
    if kind in MAPS:
        count *= 2
    at = line + 2
    for _ in range(count):
        at = end_of(data, at)
        if at < 0:
            return -1
    return at


def line(words):
    """The command as somebody types it, quoted where it must be."""
    return b" ".join(map(_quoted, words)) + b"\r\n"


def _quoted(word):
    if PLAIN.fullmatch(word):
        return word
    return b'"' + b"".join(b"%c" % byte if 32 <= byte < 127 and byte not in b'"\\' else
                           b"\\x%02x" % byte for byte in word) + b'"'


class Wire(harness.Client):
    def receive(self, count):
        """The bytes of the next `count` replies."""
        replies = []
        data, at = self.unread, 0
        while len(replies) < count:
            end = end_of(data, at) if at < len(data) else -1
            if end < 0:
                more = self.socket.recv(1 << 18)
                if not more:
                    raise harness.Closed("closed after %d of %d replies" % (len(replies), count))
                data, at = data[at:] + more, 0
                continue
            replies.append(data[at:end])
            at = end
        self.unread = data[at:]
        return replies


def elements(reply):
    """The replies inside an array, each as its bytes; None if it is no array."""
    if reply[:1] not in (b"*", b"~", b">", b"%"):
        return None
    at = reply.index(b"\r\n") + 2
    found = []
    while at < len(reply):
        end = end_of(reply, at)
        found.append(reply[at:end])
        at = end
    return found
