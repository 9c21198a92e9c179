"""Measure: one figure of Firnlog's beside a peer's, the goal it is judged by, and the verdict."""

import dataclasses
import statistics


@dataclasses.dataclass
class Measure:
    row: str
    what: str
    ours: str
    peer: str
    value: float
    text: str
    at_most: bool = False  # whether small is good
    goal: float | None = None
    stretch: float | None = None

    def meets(self, bound):
        return self.value <= bound if self.at_most else self.value >= bound

    def verdict(self):
        if self.stretch is not None and self.meets(self.stretch):
            return "stretch"
        if self.goal is not None:
            return "met" if self.meets(self.goal) else "missed"
        return "–" if self.stretch is None else "short of stretch"

    def goals(self):
        sign = "≤" if self.at_most else "≥"
        goal = f"{sign} {self.goal:g}" if self.goal is not None else "–"
        return goal if self.stretch is None else f"{goal} ({sign} {self.stretch:g})"


def spread(values, digits=2):
    return (f"{statistics.median(values):.{digits}f}"
            f" [{min(values):.{digits}f}–{max(values):.{digits}f}]")
