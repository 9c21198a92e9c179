"""How often each row answered well and with which errors, and which its grammar promises."""

import collections
import re

from model import differences

NUMBER = re.compile(rb"integer|float|range|invalid|not a valid|cursor|negative|offset|overflow|"
                    rb"INVALID|DB index|NaN|Increment|exceeds|NOPROTO|decr|count should", re.I)


def kind_of(row, reply):
    """The error's text, without what the command's own arguments put into it."""
    text = reply[1:].split(b"\r\n")[0]
    text = re.sub(rb"'[^']*'", b"'...'", text)
    return text[:100].decode("latin-1")


class Coverage:
    def __init__(self, rows):
        self.rows = rows
        self.well = collections.Counter()
        self.errors = {name: collections.Counter() for name in rows}

    def count(self, row, reply):
        if reply[:1] == b"-":
            self.errors[row.name][kind_of(row, reply)] += 1
        else:
            self.well[row.name] += 1

    def expected(self, row):
        """Kinds of errors that the row's grammar allows: name -> a test of the text."""
        expected = {}
        if row.arity > 0 or -row.arity > len(row.words):
            expected["arity"] = lambda text: "wrong number of arguments" in text
        if row.has(lambda argument: argument.type in ("integer", "double", "unix-time")):
            expected["number"] = lambda text: NUMBER.search(text.encode()) is not None
        if row.has(lambda argument: argument.optional and argument.token):
            expected["syntax"] = lambda text: "syntax" in text.lower() or "nsupported" in text
        if row.group in ("hash", "bitmap", "string") and row.name not in OVERWRITES:
            expected["type"] = lambda text: "WRONGTYPE" in text or "must contain string" in text
        for name in differences.UNREACHED.get(row.name, {}):
            expected.pop(name, None)
        return expected

    def lines(self):
        for name in sorted(self.rows):
            errors = self.errors[name]
            told = ", ".join("%s %d" % (text, n) for text, n in errors.most_common(12))
            yield "%-22s well %6d  errors %6d  %s" % (name, self.well[name], sum(errors.values()),
                                                      told)

    def missing(self, least):
        for name, row in sorted(self.rows.items()):
            errors = self.errors[name]
            if self.well[name] < least and name not in differences.NEVER_SUCCEED:
                yield "%s answered well %d times" % (name, self.well[name])
            expected = self.expected(row)
            if expected and sum(errors.values()) < least:
                yield "%s failed %d times" % (name, sum(errors.values()))
            for kind, test in expected.items():
                reached = sum(n for text, n in errors.items() if test(text))
                if reached < least:
                    yield "%s: error of %s reached %d times" % (name, kind, reached)


# They take a key of any type, or say nothing of it.
OVERWRITES = {"set", "setex", "psetex", "setnx", "mset", "msetnx", "mget"}
