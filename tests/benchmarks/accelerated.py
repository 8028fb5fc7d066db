"""The engine in C against floats and peers: `python tests/benchmarks/accelerated.py`.

Every figure compares one program (see `programs.py`) on two kinds of number, in turn:

    floats      Python's own, for the value alone: what recording is measured against
    C           this package; the sweep and the freeing of the graph are in its time
    Python      this package with AUTOGRAD_PURE=1, for what is left to Python
    xad         the fastest eager peer found, in C++
    micrograd   with its collector off: its cycles are freed between runs, unmeasured

Times are CPU times of the process that runs. Bytes are those that CPython's allocator
was asked for, by tracemalloc, which sees the memory of C as well.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from contextlib import ExitStack
from typing import Literal

from figures import Figure, print_figures
from workers import Worker, python_with, race, ratios, require_equal

PEERS = {"xad": "1.5.2", "micrograd": "0.1.0"}
SAMPLE_SECONDS = 0.1

# fmt: off
# Each race: who runs which of the engine's tasks.
RACES: dict[str, dict[str, str]] = {
    "forward":      {"C": "forward", "floats": "forward"},
    "chain":        {"C": "chain", "floats": "chain", "xad": "chain",
                     "micrograd": "chain", "C by method": "chain by method"},
    "gradient":     {"C": "gradient", "C with dot": "gradient with dot",
                     "floats": "loss", "xad": "gradient", "micrograd": "gradient",
                     "C as nn.MLP": "gradient of its MLP"},
    "expression":   {"C": "expression", "floats": "expression"},
    "10^6 wide":    {"C": "wide", "floats": "wide"},
    "10^6 deep":    {"C": "deep", "floats": "deep"},
    "grad of grad": {"C": "grad of grad", "Python": "grad of grad"},
    "hessian":      {"C": "hessian", "Python": "hessian"},
    "SGD step":     {"C": "SGD step", "Python": "SGD step"},
    "Adam step":    {"C": "Adam step", "Python": "Adam step"},
    "fit":          {"C": "fit", "Python": "fit"},
}

# Each figure: a race, who takes how many times as long as whom, and the bound.
Sense = Literal["at least", "at most"]
BOUNDS: list[tuple[str, str, str, Sense, float]] = [
    ("forward",      "C",         "floats",     "at most",  1.25),
    ("chain",        "C",         "floats",     "at most",  2.2),
    ("chain",        "xad",       "C",          "at least", 12.0),
    ("chain",        "micrograd", "C",          "at least", 40.0),
    ("gradient",     "xad",       "C",          "at least", 8.0),
    ("gradient",     "xad",       "C with dot", "at least", 40.0),
    ("gradient",     "micrograd", "C",          "at least", 25.0),
    ("gradient",     "micrograd", "C with dot", "at least", 120.0),
    ("expression",   "C",         "floats",     "at most",  2.0),
    ("10^6 wide",    "C",         "floats",     "at most",  2.0),
    ("grad of grad", "Python",    "C",          "at least", 2.5),
    ("hessian",      "Python",    "C",          "at least", 2.5),
    ("fit",          "Python",    "C",          "at least", 10.0),
]
# fmt: on

Times = dict[str, list[float]]


def race_times(workers: dict[str, Worker], name: str, samples: int) -> Times:
    """Check that all give the same numbers, then let them run in turn."""
    runners = {
        runner: (workers[runner.split()[0]], task)
        for runner, task in RACES[name].items()
    }
    require_equal(name, runners)
    return race(runners, samples, SAMPLE_SECONDS)


def speed_figures(times: dict[str, Times]) -> list[Figure]:
    return [
        Figure(
            f"{name}: {slow} over {fast}",
            ratios(times[name][slow], times[name][fast]),
            "x",
            sense,
            bound,
        )
        for name, slow, fast, sense, bound in BOUNDS
    ]


def size_figures(worker: Worker) -> list[Figure]:
    """Bytes of a node, and how much the resident set grows in 900 steps of training."""
    early, late = worker.ask("steady")
    print(f"resident set: {early} KB after 100 steps, {late} KB after 1000")
    wide, deep = worker.ask("bytes of wide"), worker.ask("bytes of deep")
    return [
        Figure("10^6 wide: a node", wide, " B", "at most", 120.0),
        Figure("10^6 deep: a node", deep, " B", "at most", 120.0),
        Figure("memory: 1000 over 100 steps", [late / early], "x", "at most", 1.01),
    ]


def print_times(times: dict[str, Times]) -> None:
    """The medians that the ratios come from."""
    print("\nmicroseconds of one run")
    for name, by_runner in times.items():
        medians = [
            f"{runner} {statistics.median(found) * 1e6:.5g}"
            for runner, found in by_runner.items()
        ]
        print(f"  {name:<14}{', '.join(medians)}")


def refuse_without_c(worker: Worker) -> None:
    if reason := worker.ask("why Python"):
        sys.exit(
            "accelerated: the engine in C must run, but Python's does, because "
            f"{reason}; install with a C compiler and without AUTOGRAD_PURE"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--samples", type=int, default=9, help="rounds of each race")
    samples = parser.parse_args().samples
    with ExitStack() as stack:
        start = stack.enter_context
        workers = {"C": start(Worker("autograd"))}
        refuse_without_c(workers["C"])
        python = start(python_with(**PEERS))
        workers |= {
            "floats": start(Worker("floats")),
            "Python": start(Worker("autograd", environment={"AUTOGRAD_PURE": "1"})),
            "xad": start(Worker("xad", python)),
            "micrograd": start(Worker("micrograd", python, collector="off")),
        }
        sizes = size_figures(start(Worker("autograd")))
        times = {name: race_times(workers, name, samples) for name in RACES}
    print_figures([*speed_figures(times), *sizes])
    print_times(times)


if __name__ == "__main__":
    main()
