"""Open loop: 10 k/s on a schedule, and what its requests saw inside of events and outside."""

import json
import statistics
import subprocess
import tempfile

BYTES = 512


def load(options, server, events, keys, seconds, warmup="2s"):
    """Half GET and half SET of 512 bytes; what `firnlog bench` saw."""
    watched = ["--events", ";".join(events)] if events else []
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        subprocess.run([options.firnlog, "bench", "-p", str(server.port), "-c", "50", "--rate",
                        "10000", "-r", str(keys), "-d", str(BYTES), "--ratio", "1:1", "--warmup",
                        warmup, "--duration", f"{seconds}s", "--key-prefix", "key:", *watched,
                        "--quiet", "--json", result.name],
                       stdout=subprocess.DEVNULL, check=True)
        with open(result.name, encoding="utf-8") as told:
            run = json.load(told)["runs"][0]
    if run["errors"] or run["connections_lost"]:
        raise SystemExit(f"bench: {server.name} did not answer everything well")
    return run


class Seen:
    """What requests saw while events of these names went on, against the others of the same run."""

    def __init__(self, runs, *names):
        asked = [event for run in runs for event in run["events"]
                 if event["event"].startswith(names)]
        self.errors = [event["error"] for event in asked if "error" in event]
        self.inside = [event for event in asked if event["requests"] and "error" not in event]
        if not self.inside:
            return
        # A run has more requests outside of its events than within one: the quiet figure is sound.
        quiet = statistics.median(run["outside_events"]["latency"]["p99.9_ns"] for run in runs)
        late = max(run["lateness"]["max_ns"] for run in runs)
        self.ratios = [event["latency"]["p99.9_ns"] / quiet for event in self.inside]
        self.p999_ms = statistics.median(e["latency"]["p99.9_ns"] for e in self.inside) / 1e6
        self.quiet_ms = quiet / 1e6
        self.above_ms = max(0, max(e["latency"]["max_ns"] for e in self.inside) - late) / 1e6

    def __str__(self):
        return f"{self.p999_ms:.1f} ms, {self.quiet_ms:.1f} outside"
