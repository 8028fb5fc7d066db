"""What an implicit function costs: `python tests/benchmarks/implicit.py`.

Kepler's equation is solved by `root`, whose derivatives are those of the implicit
function theorem, and by eight steps of Newton's method written out, through which the
derivatives pass. Both start from the mean anomaly. Value and both derivatives count, at
the same points, where both have to find the same. The two take turns, and CPU time
counts.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
from figures import Figure, print_figures, seconds

from autograd import cos, jit, root, sin, value_and_grad, vmap

POINTS = [(0.1 + 0.017 * i, 0.3 + 0.05 * i) for i in range(40)]
LANES = 20_000

anomaly = root(lambda u, e, m: u - e * sin(u) - m, lambda e, m: m)


def eight_steps(e: Any, m: Any) -> Any:
    u = m
    for _ in range(8):
        u = u - (u - e * sin(u) - m) / (1 - e * cos(u))
    return u


def both(f: Callable[..., Any]) -> Callable[..., Any]:
    return value_and_grad(f, (0, 1))


def at_each_point(f: Callable[..., Any]) -> Callable[[], Any]:
    return lambda: [f(e, m) for e, m in POINTS]


def require_equal(one: Any, other: Any) -> None:
    found, wanted = (
        [[y, *slopes] for y, slopes in results] for results in (one, other)
    )
    if not np.allclose(found, wanted, rtol=1e-12, atol=0.0):
        raise SystemExit("implicit: the two ways find different numbers")


def ratios(
    one: Callable[[], Any], other: Callable[[], Any], count: int
) -> tuple[list[float], float]:
    """Of times that take turns, and the median time of one."""
    times = [(seconds(one), seconds(other)) for _ in range(count)]
    return [a / b for a, b in times], statistics.median([a for a, _ in times])


def figures(count: int) -> list[Figure]:
    compiled = [at_each_point(jit(both(f))) for f in (anomaly, eight_steps)]
    eager = [at_each_point(both(f)) for f in (anomaly, eight_steps)]
    require_equal(compiled[0](), eager[1]())
    require_equal(eager[0](), compiled[1]())
    e, m = np.array(POINTS * (LANES // len(POINTS))).T.copy()
    batches = [vmap(both(f)) for f in (anomaly, eight_steps)]
    lanes = [lambda f=f: f(e, m) for f in batches]
    found = []
    for what, tasks, calls in (
        ("a call of jit", compiled, len(POINTS)),
        (f"a lane of {LANES}", lanes, len(e)),
    ):
        samples, time = ratios(tasks[0], tasks[1], count)
        print(f"{what}, implicit: {time / calls * 1e6:.3f} us")
        name = f"implicit Kepler gradient, {what} / eight Newton steps"
        found.append(Figure(name, samples, "x", "at most", 3.0))
    samples, time = ratios(eager[0], eager[1], count)
    print(
        f"an eager call, implicit: {time / len(POINTS) * 1e6:.0f} us, "
        f"{statistics.median(samples):.1f} times that of eight Newton steps"
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=15, help="of each figure")
    print_figures(figures(parser.parse_args().samples))


if __name__ == "__main__":
    main()
