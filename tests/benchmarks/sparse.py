"""Sparse Hessians and Jacobians: `python tests/benchmarks/sparse.py`.

Each figure compares two tasks of one run, which take turns. Times are CPU times. Where
casadi is installed, its function of the same Hessian is called on the same array; what
is compared to it is left out otherwise, and that is said.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np
from figures import Figure, print_figures, seconds

from autograd import Value, cos, hessian, jacobian, jit, sin

try:
    import casadi
except ImportError:
    casadi = None

Task = Callable[[], Any]


def rosenbrock(x: Any) -> Any:
    total = 0.0
    for i in range(len(x) - 1):
        total = total + 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


def lines(buses: int) -> list[tuple[int, int]]:
    """A ring of buses with as many lines across, half of them short."""
    chance = random.Random(1)
    ring = [(i, (i + 1) % buses) for i in range(buses)]
    across = [(i, (i + chance.randrange(2, 9)) % buses) for i in range(0, buses, 2)]
    far = [tuple(chance.sample(range(buses), 2)) for _ in range(buses // 2)]
    return ring + across + far  # type: ignore[operator]


def mismatch(x: Any, sine: Any = sin, cosine: Any = cos) -> Any:
    """Σ of squared mismatches of power at all buses, of angles and then voltages."""
    n = x.shape[0] // 2 if hasattr(x, "shape") else len(x) // 2
    active, reactive = [0.1] * n, [0.05] * n
    for k, (i, j) in enumerate(lines(n)):
        g, b = 1.0 + 0.1 * (k % 5), 8.0 + k % 7
        s, c = sine(x[i] - x[j]), cosine(x[i] - x[j])
        both = x[n + i] * x[n + j]
        active[i] = active[i] + both * (g * c + b * s)
        active[j] = active[j] + both * (g * c - b * s)
        reactive[i] = reactive[i] + both * (g * s - b * c)
        reactive[j] = reactive[j] - both * (g * s + b * c)
    total = 0.0
    for power in [*active, *reactive]:
        total = total + power * power
    return total


def residuals(x: Any) -> list[Any]:
    """Of a chain of cells: three each, of the two cells beside it and of its own."""
    n = len(x) // 3
    found = []
    for i in range(n):
        u, v, w = x[3 * i], x[3 * i + 1], x[3 * i + 2]
        last, ahead = x[3 * i - 3], x[(3 * i + 3) % (3 * n)]
        found += [u * v - sin(w), ahead - 2.0 * u + last * w, v * v * w - cos(u)]
    return found


def once(task: Task) -> float:
    start = process_time()
    task()
    return process_time() - start


def in_turns(ours: Task, other: Task, rounds: int) -> list[float]:
    return [seconds(ours) / seconds(other) for _ in range(rounds)]


def swept(x: list[float]) -> None:
    leaves = [Value(each) for each in x]
    rosenbrock(leaves).backward()


def of_casadi(f: Callable[..., Any], x: Any, *functions: Any) -> Task | None:
    """casadi's function of the Hessian, called on an array."""
    if casadi is None:
        return None
    symbols = casadi.SX.sym("x", len(x))
    if functions:
        functions = casadi.sin, casadi.cos
    y = f(symbols if functions else [symbols[i] for i in range(len(x))], *functions)
    call = casadi.Function("h", [symbols], [casadi.hessian(y, symbols)[0]])
    return lambda: call(x)


def compiled(
    what: str, f: Any, x: Any, most: float, rounds: int, *functions: Any
) -> list[Figure]:
    """The figure of a compiled call over casadi's; how long it took to make is told."""
    h = jit(hessian(f, sparse=True))
    made, task = once(lambda: h(x)), of_casadi(f, x, *functions)
    call = seconds(lambda: h(x)) * 1e3
    print(f"{what}, jit: made in {made:.1f} s, a call takes {call:.3g} ms")
    if task is None:
        print(f"{what}, jit over casadi: left out, as casadi is not there")
        return []
    print(f"{what}, casadi: a call takes {seconds(task) * 1e3:.3g} ms")
    found = in_turns(lambda: h(x), task, rounds)
    return [Figure(f"{what}: jit over casadi", found, "x", "at most", most)]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--samples", type=int, default=7, help="rounds of each figure")
    parser.add_argument("--size", type=int, default=10_000, help="of Rosenbrock's f")
    given = parser.parse_args()
    rounds = given.samples
    x = np.random.default_rng(0).normal(size=given.size)
    xs = x.tolist()
    base = statistics.median([once(lambda: swept(xs)) for _ in range(rounds)])
    h = hessian(rosenbrock, sparse=True)  # which loads SciPy
    first = once(lambda: h(xs)) / base
    eager = in_turns(lambda: h(xs), lambda: swept(xs), rounds)
    figures = [
        Figure("Rosenbrock, first call over backward()", [first], "x", "at most", 15.0),
        Figure("Rosenbrock, a call over backward()", eager, "x", "at most", 6.0),
    ]
    cells = np.random.default_rng(1).normal(size=1200).tolist()
    dense = in_turns(
        lambda: jacobian(residuals)(cells),
        lambda: jacobian(residuals, sparse=True)(cells),
        rounds,
    )
    figures.append(
        Figure("1200 x 1200: dense over sparse", dense, "x", "at least", 10.0)
    )
    figures += compiled("Rosenbrock", rosenbrock, x, 2.0, rounds)
    state = np.r_[np.random.default_rng(2).normal(0.0, 0.2, 500), np.ones(500)]
    figures += compiled("power flow", mismatch, state, 1.0, rounds, sin, cos)
    print_figures(figures)


if __name__ == "__main__":
    main()
