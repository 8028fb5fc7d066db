"""Transforms at the price of their sweeps: `python tests/benchmarks/transforms.py`.

Each figure compares two tasks of one process, which take turns: what a transform costs
beside the recording and the sweep that it cannot do without. Times are CPU times.

With `--before FOLDER`, a checkout of an earlier version that was built in place, each
task that is a transform also runs there, in a process of its own for each sample.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from figures import ROOT, Figure, print_figures, seconds

import autograd as ag
from autograd import Value, grad, hessian, hvp, jacobian, jit, jvp, value_and_grad, vjp

MANY = 10_000
chance = random.Random(0)
POINT = [chance.gauss(0.0, 1.0) for _ in range(MANY)]
WIDTHS = (1, 12, 12, 1)
WEIGHTS = [
    chance.gauss(0.0, 0.5) for m, n in zip(WIDTHS, WIDTHS[1:]) for _ in range(n * m + n)
]


def rosenbrock(xs: Any) -> Any:
    total = 0.0
    for x, y in zip(xs, xs[1:]):
        total = total + 100.0 * (y - x * x) ** 2 + (1.0 - x) ** 2
    return total


def hinges(xs: Any) -> Any:
    """Selects, most of them with a branch that is not taken."""
    total = 0.0
    for x, y in zip(xs, xs[1:]):
        total = total + ag.maximum(x * y, ag.relu(x) * 0.5) + ag.where(y > x, x, y * y)
    return total


def network(weights: Any, x: Any) -> Any:
    """An MLP(1, [12, 12, 1]) of tanh."""
    layer, place = [x], 0
    for m, n in zip(WIDTHS, WIDTHS[1:]):
        rows = [weights[place + i * m : place + (i + 1) * m] for i in range(n)]
        biases = weights[place + n * m : place + n * m + n]
        layer = [ag.dot(row, layer) + b for row, b in zip(rows, biases)]
        layer = layer if n == 1 else [ag.tanh(z) for z in layer]
        place += n * m + n
    return layer[0]


def physics_loss(weights: Any) -> Any:
    """u_xx + u squared, summed over points: second derivatives inside a loss."""
    total = 0.0
    for k in range(5):
        x = 0.2 * k
        curvature = grad(grad(lambda x: network(weights, x)))(x)
        total = total + (curvature + network(weights, x)) ** 2
    return total


def recorded(f: Callable[[Any], Any], xs: list[float]) -> list[float]:
    """What grad cannot do without: leaves, the graph, and the sweep."""
    leaves = [Value(x) for x in xs]
    f(leaves).backward()
    return [leaf.grad for leaf in leaves]


def trained(loss: Callable[[Any], Any]) -> list[float]:
    leaves = [Value(w) for w in WEIGHTS]
    loss(leaves).backward()
    return [leaf.grad for leaf in leaves]


def forward_and_back(xs: list[float]) -> Any:
    y, pullback = vjp(lambda xs: [x * x + 1.0 for x in xs], xs)
    return y, pullback(xs)


def rows(xs: Any) -> Any:
    return [ag.sin(x) * y for x, y in zip(xs, xs[1:] + xs[:1])]


def deep(x: Any) -> Any:
    for _ in range(MANY):
        x = ag.sin(x) * 1.01
    return x


def little(xs: Any) -> Any:
    """A long computation on constants, of which little depends on the inputs."""
    c = Value(0.5)
    for _ in range(MANY):
        c = c.sin() * 1.01
    return c * xs[0] + xs[1]


TASKS: dict[str, Callable[[], Any]] = {
    "recorded": lambda: recorded(rosenbrock, POINT),
    "grad": lambda: grad(rosenbrock)(POINT),
    "grad of a dict": lambda: grad(lambda p: rosenbrock(p["xs"]) * p["c"])(
        {"xs": POINT, "c": 2.0}
    ),
    "value_and_grad": lambda: value_and_grad(
        lambda xs: (rosenbrock(xs), xs[0]), has_aux=True
    )(POINT),
    "jvp": lambda: jvp(rosenbrock, (POINT,), (POINT,)),
    "vjp": lambda: forward_and_back(POINT),
    "vjp recorded": lambda: recorded(
        lambda xs: ag.dot([x * x + 1.0 for x in xs], POINT), POINT
    ),
    "hvp": lambda: hvp(rosenbrock, (POINT,), (POINT,)),
    "two gradients": lambda: (grad(rosenbrock)(POINT), grad(rosenbrock)(POINT)),
    "selects": lambda: grad(hinges)(POINT),
    "selects recorded": lambda: recorded(hinges, POINT),
    "deep": lambda: grad(lambda xs: deep(xs[0]))([0.5]),
    "deep recorded": lambda: recorded(lambda xs: deep(xs[0]), [0.5]),
    "little": lambda: grad(little)([0.5, 2.0]),
    "little recorded": lambda: recorded(little, [0.5, 2.0]),
    "hessian of 30": lambda: hessian(rosenbrock)(POINT[:30]),
    "jacobian of 50": lambda: jacobian(rows)(POINT[:50]),
    "grad of grad": lambda: [grad(grad(lambda x: x * x * x))(3.0) for _ in range(100)],
    "small": lambda: [grad(lambda x: x * x)(3.0) for _ in range(100)],
    "trace": lambda: jit(value_and_grad(rosenbrock))(POINT[:60]),
    "trace of hessian": lambda: jit(hessian(rosenbrock))(POINT[:6]),
    "physics, Values": lambda: trained(physics_loss),
    "physics, floats": lambda: physics_loss(WEIGHTS),
}

# Each figure: who takes how many times as long as whom, at most.
BOUNDS = [
    ("grad", "recorded", 1.3),
    ("grad of a dict", "recorded", 1.3),
    ("value_and_grad", "recorded", 1.3),
    ("jvp", "recorded", 1.3),
    ("vjp", "vjp recorded", 1.3),
    ("selects", "selects recorded", 1.3),
    ("deep", "deep recorded", 1.3),
    ("little", "little recorded", 1.3),
    ("hvp", "two gradients", 1.5),
    ("physics, Values", "physics, floats", 1.5),
]
FASTER = {"hessian of 30": 3.0, "hvp": 3.0, "physics, Values": 3.0, "small": 1.0}


def ratios(slow: str, fast: str, samples: int) -> list[float]:
    TASKS[slow](), TASKS[fast]()
    return [seconds(TASKS[slow]) / seconds(TASKS[fast]) for _ in range(samples)]


def seconds_in(folder: str, task: str) -> float:
    """CPU time of one run by another checkout, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--task", task],
        env={**os.environ, "PYTHONPATH": folder}, check=True, text=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--samples", type=int, default=9, help="rounds of each figure")
    parser.add_argument("--before", metavar="FOLDER", help="an earlier version, built")
    parser.add_argument("--task", help="only print the seconds that one run takes")
    given = parser.parse_args()
    if given.task:
        TASKS[given.task]()
        print(seconds(TASKS[given.task]))
        return
    figures = [
        Figure(f"{slow} over {fast}", ratios(slow, fast, given.samples), "x",
               "at most", bound)
        for slow, fast, bound in BOUNDS
    ]  # fmt: skip
    here = str(ROOT)
    for task in TASKS if given.before else ():
        speed_ups = [
            seconds_in(given.before, task) / seconds_in(here, task)
            for _ in range(given.samples)
        ]
        bound = FASTER.get(task, 0.97)
        figures.append(
            Figure(f"{task}: before over now", speed_ups, "x", "at least", bound)
        )
    print_figures(figures)
    print("\nmicroseconds of one run")
    for name, task in TASKS.items():
        print(f"  {name:<18}{seconds(task) * 1e6:.5g}")


if __name__ == "__main__":
    main()
