"""Compiled functions inside eager graphs: calls on Values with several results.

    python tests/benchmarks/inside.py

Each workload runs plainly and with its parts compiled, in turn, forward and backward on
the same Values; CPU time of the process, ratios within one run.

    cell       12 recurrent units over 40 steps, each sum written out term by term
    with dot   the same, whose sums are one node each in the plain graph as well
    lstm       8 units that give (h, c), their weights in a dict
    batch      exp(sin x) over 2 000 Values: summed by `reduce`, or by `sum`
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Callable
from typing import Any

from figures import Figure, print_figures

from autograd import Value, dot, exp, jit, sigmoid, sin, tanh, vmap

UNITS, INPUTS, STEPS, POINTS = 12, 3, 40, 2_000
Task = Callable[[], Any]


def cell(x: Any, h: Any, w: Any, u: Any, b: Any) -> list[Any]:
    """Recurrent units, term by term."""
    return [
        tanh(sum(a * c for a, c in zip(wi, x)) + sum(a * c for a, c in zip(ui, h)) + bi)
        for wi, ui, bi in zip(w, u, b)
    ]


def dot_cell(x: Any, h: Any, w: Any, u: Any, b: Any) -> list[Any]:
    """The same, where each sum is a row."""
    return [tanh(dot(wi, x) + dot(ui, h) + bi) for wi, ui, bi in zip(w, u, b)]


def lstm(x: Any, h: Any, c: Any, p: Any) -> tuple[list[Any], list[Any]]:
    """Units with a memory, of a dict of weights."""
    rows = [
        [sum(a * y for a, y in zip(row, [*x, *h])) for row in p[name]]
        for name in ("forget", "input", "output", "new")
    ]
    new = [
        sigmoid(f) * y + sigmoid(i) * tanh(g)
        for f, i, g, y in zip(rows[0], rows[1], rows[3], c)
    ]
    return [sigmoid(o) * tanh(y) for o, y in zip(rows[2], new)], new


def values(rng: random.Random, *shape: int) -> Any:
    if not shape:
        return Value(rng.uniform(-0.3, 0.3))
    return [values(rng, *shape[1:]) for _ in range(shape[0])]


def through_steps(of: Callable[..., Any]) -> Task:
    rng = random.Random(1)
    w, u = values(rng, UNITS, INPUTS), values(rng, UNITS, UNITS)
    b = values(rng, UNITS)

    def run() -> None:
        h: Any = [0.0] * UNITS
        for t in range(STEPS):
            h = of([math.sin(t), 0.3, 0.4], h, w, u, b)
        sum(h).backward()

    return run


def through_memory(of: Callable[..., Any]) -> Task:
    rng = random.Random(2)
    names = ("forget", "input", "output", "new")
    p = {name: values(rng, 8, INPUTS + 8) for name in names}

    def run() -> None:
        h: Any = [0.0] * 8
        c: Any = [0.1] * 8
        for t in range(STEPS):
            h, c = of([math.sin(t), 0.3, 0.4], h, c, p)
        sum(h).backward()

    return run


def over_points(of: Callable[[Any], Any]) -> Task:
    xs = [Value(i / POINTS) for i in range(POINTS)]
    return lambda: of(xs).backward()


def wave(x: Any) -> Any:
    return exp(sin(x))


def measured(plain: Task, compiled: Task, repeats: int) -> tuple[list[float], ...]:
    """CPU seconds of each, in turn."""
    for _ in range(5):  # after which machine code is there
        plain(), compiled()
    times: tuple[list[float], ...] = [], []
    for _ in range(repeats):
        for task, found in zip((plain, compiled), times):
            start = time.process_time()
            task()
            found.append(time.process_time() - start)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=51)
    repeats = parser.parse_args().repeats
    figures = []
    for name, plain, compiled, target in (
        ("cell", through_steps(cell), through_steps(jit(cell)), 3.0),
        ("cell with dot", through_steps(dot_cell), through_steps(jit(dot_cell)), 1.0),
        ("lstm", through_memory(lstm), through_memory(jit(lstm)), 3.0),
    ):
        times = measured(plain, compiled, repeats)
        ratios = [a / b for a, b in zip(*times)]
        figures.append(
            Figure(f"{name}, plain / compiled", ratios, "x", "at least", target)
        )
    batch, reduced = vmap(wave), vmap(wave, reduce="sum")
    eager = over_points(lambda xs: sum([wave(x) for x in xs]))
    for name, task in (
        ("batch by reduce", over_points(reduced)),
        ("batch by sum", over_points(lambda xs: sum(batch(xs)))),
    ):
        times = measured(eager, task, repeats)
        ratios = [b / a for a, b in zip(*times)]
        figures.append(Figure(f"{name}, vmap / eager", ratios, "x", "at most", 0.5))
    print_figures(figures)


if __name__ == "__main__":
    main()
