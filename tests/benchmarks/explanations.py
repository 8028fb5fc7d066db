"""How long explanations are, and take: `python tests/benchmarks/explanations.py`.

XOR's points through networks of tanh, as a terminal of that many columns shows them.
CPU time of the explanation and its text together.
"""

from __future__ import annotations

import argparse
import os
from time import process_time

from figures import Figure, print_figures

from autograd import Value, explain
from nn import MLP, mse

XOR = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.0, 1.0, 1.0, 0.0]
CASES = {"[8,8,1], four points": ([8, 8, 1], 4), "[3,1], one point": ([3, 1], 1)}
MOST_LINES = {"[8,8,1], four points": 80.0, "[3,1], one point": 70.0}


def loss(widths: list[int], points: int, seed: int) -> Value:
    """The mean squared error of a new network."""
    model = MLP(2, widths, "tanh", seed=seed)
    return mse([model(x) for x in XOR[0][-points:]], XOR[1][-points:])


def told(y: Value) -> tuple[int, float]:
    """The lines of the explanation, and the milliseconds that it took."""
    start = process_time()
    text = explain(y).text
    return len(text.splitlines()), (process_time() - start) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--samples", type=int, default=15, help="seeds of networks")
    samples = parser.parse_args().samples
    figures = []
    for columns in (80, 100):
        os.environ["COLUMNS"] = str(columns)
        for name, (widths, points) in CASES.items():
            found = [told(loss(widths, points, seed)) for seed in range(samples)]
            lines, times = ([float(x) for x in each] for each in zip(*found))
            what = f"MLP(2,{name}, {columns} columns".replace("],", "]),")
            most = MOST_LINES[name]
            figures.append(Figure(f"{what}: lines", lines, "", "at most", most))
            figures.append(Figure(what, times, " ms", "at most", 300.0))
    print_figures(figures)


if __name__ == "__main__":
    main()
