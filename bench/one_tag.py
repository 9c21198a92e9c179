"""Row of one hash tag: what history costs when all keys share one, beside the same without it."""

import statistics

import loads
import past
import peers
import restarts
from measure import Measure, spread

PREFIXES = {"firnlog-untagged": "key:", "firnlog-tagged": "{t}:"}


def _by_turns(servers, took):
    """What it took on each of them, three times."""
    seen = {peer: [] for peer in servers}
    for number in range(3):
        for peer in servers if number % 2 == 0 else reversed(servers):
            seen[peer].append(took(servers[peer], PREFIXES[peer]))
    return seen["firnlog-tagged"], seen["firnlog-untagged"]


def _compared(name, what, tagged, without):
    ratios = [ours / theirs for ours, theirs in zip(tagged, without)]
    # "As without": what two equal runs on one machine may differ by is left to it.
    return Measure(name, f"ms {what}, all keys of one hash tag, × without",
                   f"{statistics.median(tagged):.1f} ms", f"{statistics.median(without):.1f} ms without",
                   statistics.median(ratios), spread(ratios), at_most=True, goal=1.3)


def one_tag(name, options, _pair):
    """10 M keys twice: restart, FIRN ASOF, FLUSHALL and its undo."""
    keys, servers = options.scaled(10_000_000), {}

    def restart(server, prefix):
        took = restarts.first_get(server, f"{prefix}{keys // 2:012d}") * 1e3
        restarts.until_loaded(server)
        return took

    try:
        for peer, prefix in PREFIXES.items():
            servers[peer] = peers.firnlog(options, peer, "--appendfsync", "everysec", "--save", "",
                                          "--retain-bytes", "16gb")
            loads.feed_keys(servers[peer], keys, prefix=prefix.encode())
            servers[peer].save()
        yield _compared(name, "from exec to the first GET", *_by_turns(servers, restart))
        moments = {}
        for peer, prefix in PREFIXES.items():
            servers[peer].ask("FIRN", "WALK", "PAUSE")  # no walk of its own falls into what is timed
            moments[prefix] = past.moment_behind(options, servers[peer], options.scaled(100_000),
                                                 keys, prefix)
        yield _compared(name, "from FIRN ASOF to the first GET", *_by_turns(
            servers, lambda server, prefix: past.into_past(server, *moments[prefix]) * 1e3))
        tagged, without = _by_turns(servers, lambda server, _: past.flush_and_undo(server, keys + 1))
        for number, what in enumerate(("for FLUSHALL", "until a FLUSHALL is undone")):
            yield _compared(name, what, [took[number] for took in tagged],
                            [took[number] for took in without])
    finally:
        for server in servers.values():
            server.remove()


ROWS = {
    "one-tag": one_tag,
}
