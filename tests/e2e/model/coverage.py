"""How often each row answered well and with which errors, held against what errors.py says it has."""

import collections
import re

from model import differences, errors


def kind_of(reply):
    """The error's text, without what the command's own arguments put into it."""
    text = reply[1:].split(b"\r\n")[0]
    text = re.sub(rb"'[^']*'", b"'...'", text)
    text = re.sub(rb"^ERR Unsupported option .*", b"ERR Unsupported option ...", text)
    return text.decode("latin-1")


class Coverage:
    def __init__(self, rows):
        self.rows = rows
        self.well = collections.Counter()
        self.errors = {name: collections.Counter() for name in rows}

    def count(self, row, reply):
        if reply[:1] == b"-":
            self.errors[row.name][kind_of(reply)] += 1
        else:
            self.well[row.name] += 1

    def rare(self, least):
        """(row, the way to it) of errors that chance has met less often than that."""
        for name, row in self.rows.items():
            for kind, way in errors.ERRORS.get(name, {}).items():
                if way is not None and self.errors[name][kind] < least:
                    yield row, way

    def lines(self):
        for name in sorted(self.rows):
            found = self.errors[name]
            told = ", ".join("%s %d" % (text, n) for text, n in found.most_common())
            yield "%-22s well %6d  errors %6d  %s" % (name, self.well[name], sum(found.values()), told)

    def missing(self, least):
        for name in sorted(self.rows):
            found, known = self.errors[name], errors.ERRORS.get(name)
            if known is None:
                yield "%s: errors.py does not know the row" % name
                continue
            if self.well[name] < least and name not in differences.NEVER_SUCCEED:
                yield "%s answered well %d times" % (name, self.well[name])
            for kind in known:
                if found[kind] < least:
                    yield "%s: %r was met %d times" % (name, kind, found[kind])
            for kind in found:
                if kind not in known and kind not in errors.SELDOM.get(name, ()):
                    yield "%s: errors.py does not know %r" % (name, kind)
