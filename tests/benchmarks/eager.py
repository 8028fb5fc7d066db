"""The readable engine against micrograd 0.1.0: `python tests/benchmarks/eager.py`.

This is the engine in Python, whatever is installed (`accelerated.py` has that in C).
The garbage collector is on, as users have it: micrograd's graphs are cycles that only
the collector frees, which is part of its price. A sample runs for at least
SAMPLE_SECONDS, to hold its share of collections.

micrograd comes from the running Python if it has that version, else from the package
index into a venv of its own, which is removed at the end.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack

from figures import Figure, print_figures
from programs import LINKS, POINTS
from workers import Runner, Worker, python_with, race, ratios, require_equal

VERSION = "0.1.0"
SAMPLE_SECONDS = 1.0


def speed_up(what: str, ours: Runner, theirs: Runner, samples: int) -> list[float]:
    """How many times as fast we are, once for each pair of samples."""
    runners = {"autograd": ours, "micrograd": theirs}
    require_equal(what, runners)
    times = race(runners, samples, SAMPLE_SECONDS)
    return ratios(times["micrograd"], times["autograd"])


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--samples", type=int, default=9, help="pairs for each figure")
    samples = parser.parse_args().samples
    with ExitStack() as stack:
        python = stack.enter_context(python_with(micrograd=VERSION))
        pure = {"AUTOGRAD_PURE": "1"}
        ours = stack.enter_context(Worker("autograd", environment=pure))
        theirs = stack.enter_context(Worker("micrograd", python))
        chain = speed_up("chain", (ours, "chain by method"), (theirs, "chain"), samples)
        network = speed_up(
            "network",
            (ours, "gradient of its MLP"),
            (theirs, "gradient of its MLP"),
            samples,
        )
    print_figures(
        [
            Figure(f"chain of {LINKS} (sin, mul, add)", chain, "x", "at least", 4.0),
            Figure(f"MLP(2,16,16,1), {POINTS} points", network, "x", "at least", 10.0),
        ]
    )


if __name__ == "__main__":
    main()
