"""The table that every benchmark prints: what was measured, beside what was wanted.

A figure is a list of samples from one run, taken in turn with what it is compared to,
so that a busy machine slows both alike. Its median counts; the quartiles say how far to
trust it.
"""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_SECONDS = 0.1


def seconds(task: Callable[[], Any]) -> float:
    """CPU time of one run, of as many as fill a sample."""
    start, runs = process_time(), 0
    while (spent := process_time() - start) < SAMPLE_SECONDS:
        task()
        runs += 1
    return spent / runs


@dataclass(frozen=True)
class Figure:
    """Samples of one quantity, and the bound that its median should keep, if any.

    >>> Figure("speed-up", [3.0, 5.0, 4.0], "x", "at least", 4.0).verdict()
    'reached'
    >>> Figure("size", [300.0], " B", "at most", 256.0).verdict()
    'missed by 44 B'
    >>> Figure("as it comes out", [7.0], " µs").verdict()
    '-'
    """

    what: str
    samples: Sequence[float]
    unit: str
    sense: Literal["at least", "at most"] = "at most"
    target: float | None = None

    def median(self) -> float:
        return statistics.median(self.samples)

    def verdict(self) -> str:
        """Whether the median keeps the bound, and if not by how much it misses."""
        if self.target is None:
            return "-"
        over = self.median() - self.target
        missing = -over if self.sense == "at least" else over
        return "reached" if missing <= 0 else f"missed by {missing:.3g}{self.unit}"

    def quartiles(self) -> str:
        if len(self.samples) < 2:
            return "-"
        low, _, high = statistics.quantiles(self.samples, n=4, method="inclusive")
        return f"{low:.2f} to {high:.2f}"

    def row(self) -> tuple[str, ...]:
        return (
            self.what,
            f"{self.median():.2f}{self.unit}",
            self.quartiles(),
            str(len(self.samples)),
            self.bound(),
            self.verdict(),
        )

    def bound(self) -> str:
        return (
            "-" if self.target is None else f"{self.sense} {self.target:g}{self.unit}"
        )


def print_figures(figures: Sequence[Figure]) -> None:
    """Print one row for each figure, under the Python that ran them."""
    header = ("figure", "median", "quartiles", "samples", "target", "verdict")
    rows = [header, *[figure.row() for figure in figures]]
    widths = [max(map(len, column)) for column in zip(*rows)]
    print(f"Python {platform.python_version()}, {platform.machine()}")
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
