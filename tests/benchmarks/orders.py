"""Jacobians and derivatives of any order: `python tests/benchmarks/orders.py`.

Each figure compares two tasks of one run, which take turns. Times are CPU times. Errors
are against mpmath, relative to the derivative itself.

With `--jax PYTHON`, an interpreter that has jax, its jet gives the same derivatives
there, in a process of its own for each sample; without jax that is said and left out.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
from collections.abc import Callable
from time import process_time
from typing import Any

import mpmath
from figures import Figure, print_figures, seconds

from autograd import derivatives, exp, jacobian, jacrev, jit, jvp, sin, taylor

ORDERS = (10, 30)
POINT = [0.9, 0.3, 0.5]
X = 1.0
JET = """
import sys, time
import jax, jax.numpy as jnp
from jax.experimental.jet import jet
jax.config.update("jax_enable_x64", True)
order, compiled, x = int(sys.argv[1]), sys.argv[2] == "jit", float(sys.argv[3])
def derivatives(x):
    f = lambda x: jnp.exp(jnp.sin(x**2))
    y, ys = jet(f, (x,), ((1.0,) + (0.0,) * (order - 1),))
    return [y, *ys]
g = jax.jit(derivatives) if compiled else derivatives
last = float(jax.block_until_ready(g(x))[-1])
start, runs = time.process_time(), 0
while (spent := time.process_time() - start) < 0.3:
    jax.block_until_ready(g(x))
    runs += 1
print(spent / runs, last)
"""


def chain(p: Any) -> list[Any]:
    """400 steps of x = sin(x)·p₀ + p₁ from p₂."""
    x, found = p[2], []
    for _ in range(400):
        x = sin(x) * p[0] + p[1]
        found.append(x)
    return found


def residuals(p: Any) -> list[Any]:
    """80 points of a Lotka-Volterra orbit by RK4, two steps for each; four rates."""
    x, y, h, found = 10.0, 5.0, 0.05, []

    def slope(x: Any, y: Any) -> tuple[Any, Any]:
        return p[0] * x - p[1] * x * y, p[2] * x * y - p[3] * y

    for i in range(80):
        k1 = slope(x, y)
        k2 = slope(x + 0.5 * h * k1[0], y + 0.5 * h * k1[1])
        k3 = slope(x + 0.5 * h * k2[0], y + 0.5 * h * k2[1])
        k4 = slope(x + h * k3[0], y + h * k3[1])
        x = x + h / 6 * (k1[0] + 2 * k2[0] + 2 * k3[0] + k4[0])
        y = y + h / 6 * (k1[1] + 2 * k2[1] + 2 * k3[1] + k4[1])
        found.append(x - 10.0 * math.cos(0.1 * i))
    return found


def walk(x: Any) -> Any:
    return exp(sin(x**2))


def once(task: Callable[[], Any]) -> float:
    start = process_time()
    task()
    return process_time() - start


def made(transform: Any, f: Any, point: Any) -> float:
    """CPU time until the first result of a compiled function."""
    return once(lambda: jit(transform(f))(point))


def three_pushes() -> Any:
    units = [[1.0 if i == j else 0.0 for j in range(3)] for i in range(3)]
    return [jvp(chain, (POINT,), (unit,)) for unit in units]


def error(order: int) -> float:
    """Of the derivative of that order, relative to it."""
    with mpmath.workdps(3 * order + 30):
        wanted = mpmath.taylor(
            lambda x: mpmath.exp(mpmath.sin(x**2)), mpmath.mpf(X), order
        )
        return float(abs(taylor(walk, X, order)[order] / wanted[order] - 1))


def jet(python: str, order: int, how: str) -> float | None:
    """Seconds of one run of jax's jet there; None without jax."""
    done = subprocess.run(
        [python, "-c", JET, str(order), how, str(X)],
        check=False, text=True, capture_output=True,
    )  # fmt: skip
    return float(done.stdout.split()[0]) if done.returncode == 0 else None


def ours(order: int, how: str) -> Callable[[], Any]:
    def of_order(x: float) -> list[float]:
        return derivatives(walk, x, order)

    f = jit(of_order) if how == "jit" else of_order
    f(X)
    return lambda: f(X)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--samples", type=int, default=7, help="rounds of each figure")
    parser.add_argument("--jax", metavar="PYTHON", default=sys.executable)
    given = parser.parse_args()
    rounds = range(given.samples)
    eager = [seconds(lambda: jacobian(chain)(POINT)) / seconds(three_pushes)
             for _ in rounds]  # fmt: skip
    compiled = [made(jacrev, chain, POINT) / made(jacobian, chain, POINT)
                for _ in rounds[:3]]  # fmt: skip
    fit = [made(jacobian, residuals, [1.1, 0.4, 0.1, 0.4]) for _ in rounds[:3]]
    figures = [
        Figure("400 x 3: jacobian over three jvp", eager, "x", "at most", 1.5),
        Figure("400 x 3, made: jacrev over jacobian", compiled, "x", "at least", 20.0),
        Figure("80 x 4 of an ODE, made", fit, " s", "at most", 5.0),
    ]
    for order in ORDERS:
        what = f"error of derivative {order}, 1e-15"
        figures.append(Figure(what, [error(order) * 1e15], "", "at most", 1.0))
    times = {}
    for order in ORDERS:
        for how in ("eager", "jit"):
            task = ours(order, how)
            times[order, how] = statistics.median([seconds(task) for _ in rounds])
            found = [jet(given.jax, order, how) for _ in rounds[:3]]
            there = [s / times[order, how] for s in found if s is not None]
            what = f"order {order}, {how}: jet over ours"
            if there:
                figures.append(Figure(what, there, "x", "at least", 1.0))
            else:
                print(f"{what}: left out, as jax is not there; see --jax")
    print_figures(figures)
    print("\nmicroseconds of one run")
    for (order, how), each in times.items():
        print(f"  order {order}, {how:<6} {each * 1e6:.4g}")


if __name__ == "__main__":
    main()
