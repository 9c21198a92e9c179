"""Whether what concurrent clients saw can have happened one after the other, each command between
its request and its reply.

Registers, key by key: a search for such an order, Wing and Gong's with Lowe's memory of what was
tried. Transactions over several keys: what they append to texts and read from them tells in which
order they came, as in Kingsbury and Alvaro's Elle; a cycle in that, real time included, has none.

A command whose reply never came has happened or not, but in any case before the server died.
"""

import bisect
import collections
from typing import NamedTuple, Optional


class Op(NamedTuple):
    """A command on one key. `result` is None if nobody knows; then `returned` is when its server
    had died."""
    client: int
    name: str
    args: tuple
    result: Optional[object]
    invoked: int
    returned: int

    @property
    def unknown(self):
        return self.result is None

    def line(self):
        return "%12d %12d  client %-3d %s %s -> %s" % (
            self.invoked, self.returned, self.client, self.name, " ".join(map(str, self.args)),
            "?" if self.unknown else self.result)


# ---- Registers: None (no key), or what it holds. Results are what the server replied, as below.

NIL = "nil"


def apply(state, op):
    """The state after it, and what it replies."""
    if op.name == "GET":
        return state, NIL if state is None else state
    if op.name == "SET":
        return op.args[0], "OK"
    if op.name == "SETNX":
        return (op.args[0], 1) if state is None else (state, 0)
    if op.name == "GETSET":
        return op.args[0], NIL if state is None else state
    if op.name == "DEL":
        return None, 0 if state is None else 1
    if op.name == "INCR":
        number = int(state or 0) + 1
        return str(number), number
    raise ValueError(op.name)


def violation(ops, state=None):
    """None if there is an order; else the stretch of commands at which every order ends, as text."""
    ops = sorted(ops, key=lambda op: (op.invoked, op.returned))
    # Where in `ops` the earlier one of the same client is: a connection's commands are in order.
    before = []
    last = {}
    for i, op in enumerate(ops):
        before.append(last.get(op.client))
        last[op.client] = i

    def steps(first, done, state):
        """(index, state after it) of each command that may come next. done: bits from `first` on."""
        limit = None
        i = first
        while i < len(ops) and (limit is None or ops[i].invoked <= limit):
            if not done >> (i - first) & 1:
                if limit is None or ops[i].returned < limit:
                    limit = ops[i].returned
            i += 1
        for at in range(first, i):
            op = ops[at]
            if done >> (at - first) & 1 or op.invoked > limit:
                continue
            earlier = before[at]
            if earlier is not None and earlier >= first and not done >> (earlier - first) & 1:
                continue
            after, result = apply(state, op)
            if op.unknown:
                yield at, state
                if after != state:
                    yield at, after
            elif result == op.result:
                yield at, after

    def forward(first, done):
        while done & 1:
            done >>= 1
            first += 1
        return first, done

    seen = set()
    furthest = 0
    stack = [steps(0, 0, state)]
    places = [(0, 0)]
    while stack:
        first, done = places[-1]
        if first == len(ops):
            return None
        furthest = max(furthest, first)
        for at, after in stack[-1]:
            place = forward(first, done | 1 << (at - first))
            if (place, after) in seen:
                continue
            seen.add((place, after))
            places.append(place)
            stack.append(steps(*place, after))
            break
        else:
            stack.pop()
            places.pop()
    around = ops[max(0, furthest - 6):furthest + 10]
    return "no order of these commands explains their replies:\n" + "\n".join(
        op.line() for op in around)


# ---- Transactions.

class Append(NamedTuple):
    key: str
    token: str
    length: Optional[int]  # of the text behind it, as replied; None: unknown


class Read(NamedTuple):
    key: str
    text: Optional[str]


class Txn(NamedTuple):
    """One MULTI/EXEC, or one command by itself."""
    client: int
    steps: tuple
    invoked: int
    returned: int
    unknown: bool

    def line(self):
        said = []
        for step in self.steps:
            if isinstance(step, Append):
                said.append("APPEND %s %s -> %s" % (step.key, step.token, step.length))
            else:
                shown = step.text if step.text is None else "…" + step.text[-40:]
                said.append("GET %s -> %s" % (step.key, shown))
        return "%12d %12d  client %-3d %s" % (self.invoked, self.returned, self.client,
                                              " · ".join(said))


def tokens_of(text):
    """A text is tokens that end in a semicolon."""
    return text.split(";")[:-1]


def faults_of(txns, final):
    """What no order explains, as lines. `final`: key -> text when all was over."""
    faults = []
    writer = {}  # token -> index in txns
    for i, txn in enumerate(txns):
        for step in txn.steps:
            if isinstance(step, Append):
                writer[step.token] = i
    position = {}  # token -> (key, number)
    order = {}
    for key, text in final.items():
        order[key] = tokens_of(text)
        for number, token in enumerate(order[key]):
            if token in position:
                faults.append("%s was appended twice" % token)
            if token not in writer:
                faults.append("%s in %s was never written" % (token, key))
            position[token] = (key, number)
    if faults:
        return faults
    ends = {key: [0] for key in order}  # how long the text is behind so many tokens
    for key, tokens in order.items():
        for token in tokens:
            ends[key].append(ends[key][-1] + len(token) + 1)

    edges = collections.defaultdict(set)

    def edge(a, b):
        if a != b:
            edges[a].add(b)

    for i, txn in enumerate(txns):
        appended = [step for step in txn.steps if isinstance(step, Append)]
        there = [step for step in appended if step.token in position]
        if appended and there and len(there) != len(appended):
            faults.append("half of it is there: " + txn.line())
        if not txn.unknown and len(there) != len(appended):
            faults.append("acknowledged and lost: " + txn.line())
        own = collections.Counter()
        for step in txn.steps:
            tokens = order.get(step.key, [])
            if isinstance(step, Append):
                if step.token not in position:
                    continue
                _, number = position[step.token]
                if step.length is not None and ends[step.key][number + 1] != step.length:
                    faults.append("%s ends at %d, and was said to end at %d: %s" % (
                        step.token, ends[step.key][number + 1], step.length, txn.line()))
                if number > 0:
                    edge(writer[tokens[number - 1]], i)
                if number + 1 < len(tokens):
                    edge(i, writer[tokens[number + 1]])
                own[step.key] += 1
            elif step.text is not None:
                count = bisect.bisect_left(ends.get(step.key, [0]), len(step.text))
                if tokens_of(step.text) != tokens[:count]:
                    faults.append("what it read is no beginning of %s: %s" % (step.key, txn.line()))
                    continue
                if count > 0:
                    edge(writer[tokens[count - 1]], i)
                if count < len(tokens):
                    edge(i, writer[tokens[count]])
    # Real time: who had ended before another began comes before it. A line of nodes of its own
    # carries that, one for each end.
    ended = sorted((txn.returned, i) for i, txn in enumerate(txns))
    base = len(txns)
    for at, (_, i) in enumerate(ended):
        edges[i].add(base + at)
        if at + 1 < len(ended):
            edges[base + at].add(base + at + 1)
    times = [time for time, _ in ended]
    for i, txn in enumerate(txns):
        last = bisect.bisect_left(times, txn.invoked) - 1
        if last >= 0:
            edges[base + last].add(i)
    loop = cycle_of(edges, base + len(ended))
    if loop:
        faults.append("these come each before the next, in a circle:\n" + "\n".join(
            txns[i].line() for i in loop if i < base))
    return faults


def cycle_of(edges, count):
    """Nodes of a shortest cycle through some node that is on one, or nothing."""
    waits = [0] * count
    for targets in edges.values():
        for target in targets:
            waits[target] += 1
    free = [node for node in range(count) if waits[node] == 0]
    left = count
    while free:
        node = free.pop()
        left -= 1
        for target in edges.get(node, ()):
            waits[target] -= 1
            if waits[target] == 0:
                free.append(target)
    if left == 0:
        return []
    tangled = {node for node in range(count) if waits[node] > 0}
    for start in sorted(tangled):
        came_from = {start: None}
        queue = collections.deque([start])
        while queue:
            node = queue.popleft()
            for target in edges.get(node, ()):
                if target == start:
                    loop = []
                    while node is not None:
                        loop.append(node)
                        node = came_from[node]
                    return loop[::-1]
                if target in tangled and target not in came_from:
                    came_from[target] = node
                    queue.append(target)
    return []
