"""What one call of a ready function costs: `python tests/benchmarks/calls.py`.

The functions are called as a user calls them, with numbers or arrays in and what f
gives out. Before that, each has to give what it gives eagerly: at one point bit for
bit, and summed over a batch nearly so, since vector code rounds its functions
differently. The calls take turns, so that what else the machine does slows all alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from timeit import Timer
from typing import Any

import numpy as np
from figures import Figure, print_figures
from programs import expression, rosenbrock, weights

from autograd import Value, grad, hessian, jit, relu, sin, value_and_grad, vmap
from autograd.compiled.calls import OFTEN

BRANCHES = 20
SAMPLE_SECONDS = 0.01

Call = tuple[Callable[..., Any], tuple[Any, ...]]


def readme(a: Any, b: Any) -> Any:
    return expression(a, b, relu)


def plain(x: Any) -> Any:
    for _ in range(BRANCHES):
        x = sin(x) * 0.5 + x
    return x


def guarded(x: Any) -> Any:
    """The same, with branches that are never missed."""
    for _ in range(BRANCHES):
        x = sin(x) * 0.5 + x
        if x < -100.0:
            return x
    return x


def wave(x: Any) -> Any:
    return sin(x * x)


def line(w: Any, x: Any) -> Any:
    return (w[0] * x + w[1]) ** 2


def ready(f: Callable[..., Any], *args: Any) -> Call:
    """The function compiled, called until it is ready, and found to be right."""
    compiled = jit(f)
    for _ in range(OFTEN + 2):
        found = compiled(*args)
    if repr(found) != repr(f(*args)):
        raise SystemExit(f"{f.__name__}: compiled, it gives {found}, not {f(*args)}")
    return compiled, args


def step() -> Call:
    """A training step with as many parameters as a network, and hardly any work."""
    w, xs = np.array(weights()), np.linspace(-1.0, 1.0, 8)
    gradient = value_and_grad(line)
    compiled = vmap(gradient, in_axes=(None, 0), reduce="mean")
    found = compiled(w, xs)
    for i, part in ((0, found[0]), (1, found[1])):
        expected = np.mean([gradient(w, x)[i] for x in xs.tolist()], axis=0)
        np.testing.assert_allclose(part, expected, rtol=1e-14, atol=1e-14)
    return compiled, (w, xs)


def node() -> Call:
    """The function on Values: one node, whose partials are computed with it."""
    compiled, args = jit(readme), (Value(-4.0), Value(2.0))
    for _ in range(OFTEN + 2):
        found = compiled(*args)
    expected = value_and_grad(readme, argnums=(0, 1))(-4.0, 2.0)
    if (found.data, found.partials) != expected:
        raise SystemExit(
            f"readme: on Values, it gives {found.partials}, not {expected}"
        )
    return compiled, args


def lanes() -> Call:
    """A gradient at each of 100 points, where the arrays are most of the work."""
    compiled, points = vmap(grad(wave)), np.linspace(-1.0, 1.0, 100)
    expected = [grad(wave)(x) for x in points.tolist()]
    np.testing.assert_allclose(compiled(points), expected, rtol=1e-14, atol=1e-14)
    return compiled, (points,)


def microseconds(calls: dict[str, Call], samples: int) -> dict[str, list[float]]:
    """How long one call of each takes, once in every turn."""
    timers = {
        name: Timer(
            f"f({', '.join('ab'[: len(args)])})",
            globals={"f": f, **dict(zip("ab", args))},
        )
        for name, (f, args) in calls.items()
    }
    counts = {
        name: max(1, int(SAMPLE_SECONDS / (timer.timeit(100) / 100)))
        for name, timer in timers.items()
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(samples + 2):
        for name, timer in timers.items():
            seconds = timer.timeit(counts[name]) / counts[name]
            if turn >= 2:  # the first ones warm up
                times[name].append(1e6 * seconds)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--samples", type=int, default=101, help="for each figure")
    options = parser.parse_args()
    point = np.linspace(-1.0, 1.0, 10)
    times = microseconds(
        {
            "expression": ready(value_and_grad(readme, argnums=(0, 1)), -4.0, 2.0),
            "hessian": ready(hessian(rosenbrock), point),
            "plain": ready(plain, 0.3),
            "guarded": ready(guarded, 0.3),
            "step": step(),
            "lanes": lanes(),
            "node": node(),
        },
        options.samples,
    )
    ratios = [over / under for over, under in zip(times["guarded"], times["plain"])]
    what = [
        ("micrograd's expression, value and gradient", "expression", 0.3),
        ("Hessian of Rosenbrock-10, array in and out", "hessian", 1.0),
        ("micrograd's expression on Values, a node", "node", 0.6),
        ("337 parameters, 8 lanes: mean and its gradient", "step", 5.0),
        ("gradient of sin(x²) at 100 points", "lanes", 3.0),
    ]
    print_figures(
        [
            *[Figure(text, times[name], " µs", "at most", bound)
              for text, name, bound in what],
            Figure(f"{BRANCHES} branches never missed, over none", ratios, "x",
                   "at most", 1.05),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
