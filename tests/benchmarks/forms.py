"""What a call with thousands of numbers costs: `python tests/benchmarks/forms.py`.

A network's loss and its 4 256 derivatives are compiled for arguments in several kinds
of containers, 4 364 numbers in each. A call is compared to its own machine code, which
is run on numbers that lie ready and leaves them where they are: the rest is what it
costs to read the arguments and to build the result. Each result has to be the one that
Python builds from the same numbers. The calls take turns, and CPU time counts.
"""

from __future__ import annotations

import argparse
import ctypes
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from time import process_time
from typing import Any

import numpy as np
from figures import Figure, print_figures

from autograd import jit, tanh, value_and_grad, vmap
from autograd.accelerator import python_twins
from autograd.trees import flatten

INPUTS, HIDDEN, OUTPUTS, POINTS = 34, 66, 27, 4
SAMPLE_SECONDS = 0.02

Job = Callable[[], Any]


@dataclass
class Layer:
    """The weights of a layer, a row for each neuron."""

    w: Any
    b: Any


def weighted(w: Any, b: Any, x: Any) -> list[Any]:
    """b + w x."""
    found = []
    for row, z in zip(w, b):
        for w_i, x_i in zip(row, x):
            z = z + w_i * x_i
        found.append(z)
    return found


def layers_of(model: Any) -> list[tuple[Any, Any]]:
    return [
        (layer["w"], layer["b"]) if isinstance(layer, dict) else (layer.w, layer.b)
        for layer in model
    ]


def loss(model: Any, points: Any, labels: Any) -> Any:
    """The mean squared error of a network at a few points, and of its one scale."""
    total = 0.0
    *layers, scale = model
    for x, wanted in zip(points, labels):
        (w, b), (v, c) = layers_of(layers)
        y = weighted(v, c, [tanh(z * scale) for z in weighted(w, b, x)])
        total = total + sum([(p - q) ** 2 for p, q in zip(y, wanted)])
    return total / len(points)


def numbers(*shape: int) -> Any:
    """An array of small numbers."""
    source = random.Random(sum(shape))
    flat = [source.gauss(0.0, 0.3) for _ in range(int(np.prod(shape)))]
    return np.array(flat).reshape(shape)


def arrays() -> tuple[Any, ...]:
    """The arguments: 4 120 numbers of a model, 136 of points, 108 of labels."""
    first = {"w": numbers(HIDDEN, INPUTS), "b": numbers(HIDDEN)}
    second = {"w": numbers(OUTPUTS, HIDDEN), "b": numbers(OUTPUTS)}
    return [first, second, 1.5], numbers(POINTS, INPUTS), numbers(POINTS, OUTPUTS)


def mapped(tree: Any, leaf: Callable[[Any], Any]) -> Any:
    if isinstance(tree, dict):
        return {key: mapped(item, leaf) for key, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)([mapped(item, leaf) for item in tree])
    return leaf(tree) if np.ndim(tree) else tree


def in_tuples(x: Any) -> Any:
    return tuple(map(in_tuples, x)) if np.ndim(x) else float(x)


def bare(compiled: Any, args: Any) -> Job:
    """The machine code of a path alone, on numbers that lie ready."""
    path = compiled.path()
    tape, entry = path.executable.tape, path.executable.entry()
    sizes = tape.inputs, len(tape.outputs), entry.workspace + 1
    rooms = [(ctypes.c_double * size)() for size in sizes]
    rooms[0][:] = flatten(args)[0]
    code = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 3)(entry.address)
    places = [ctypes.addressof(room) for room in rooms]
    return lambda keep=rooms: code(*places)  # type: ignore[misc]


def compiled_for(args: Any, names: dict[str, Any]) -> tuple[Job, Job]:
    """A call with these arguments, found to be right, and its code alone."""
    compiled = jit(value_and_grad(loss, argnums=(0, 1)))
    for _ in range(3):
        found = compiled(*args, **names)
    python = python_twins[type(compiled)].__call__(compiled, *args, **names)
    if flatten(found) != flatten(python):
        raise SystemExit("a result is not that of Python")
    code = bare(compiled, (*args, *names.values()))
    return lambda: compiled(*args, **names), code


def step_for(model: Any, count: int) -> Job:
    """A training step over a batch: what all lanes share are the parameters."""
    xs, ys = numbers(count, 1, INPUTS), numbers(count, 1, OUTPUTS)
    step = vmap(value_and_grad(loss), in_axes=(None, 0, 0), reduce="mean")
    for _ in range(2):
        step(model, xs, ys)
    return lambda: step(model, xs, ys)


def copies_by_numpy(lists: Any) -> Job:
    """Nested lists of as many numbers read into arrays, and lists made of these."""
    model, points, labels = lists
    trees = [model[0]["w"], model[0]["b"], model[1]["w"], model[1]["b"], points, labels]
    return lambda: [np.array(tree).tolist() for tree in trees]


def seconds(jobs: dict[str, Job], samples: int) -> dict[str, list[float]]:
    """The CPU time of a call of each, once in every turn."""
    counts: dict[str, int] = {}
    for name, job in jobs.items():
        start = process_time()
        for _ in range(5):
            job()
        counts[name] = max(1, int(SAMPLE_SECONDS * 5 / (process_time() - start)))
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(samples):
        for name, job in jobs.items():
            count = counts[name]
            start = process_time()
            for _ in range(count):
                job()
            times[name].append((process_time() - start) / count)
    return times


def ratios(over: list[float], under: list[float]) -> list[float]:
    return [x / y for x, y in zip(over, under)]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--samples", type=int, default=31, help="for each figure")
    options = parser.parse_args()
    given = arrays()
    lists = mapped(given, lambda x: x.tolist())
    model, points, labels = lists
    records = [Layer(**model[0]), Layer(**model[1]), model[2]]
    forms: list[tuple[str, Any, dict[str, Any], float]] = [
        ("arrays", given, {}, 1.3),
        ("arrays of float32", mapped(given, lambda x: x.astype("f4")), {}, 1.5),
        ("nested lists", lists, {}, 3.0),
        ("nested tuples", mapped(given, in_tuples), {}, 3.0),
        ("dataclasses of lists", (records, points, labels), {}, 3.0),
        ("lists, one by name", (model, points), {"labels": labels}, 3.0),
    ]
    jobs: dict[str, Job] = {}
    for what, args, names, _ in forms:
        jobs[what], jobs[f"{what}: code"] = compiled_for(args, names)
    jobs["NumPy"] = copies_by_numpy(lists)
    for what, batch in (("array step", given[0]), ("list step", model)):
        jobs[what] = step_for(batch, 64)
    times = seconds(jobs, options.samples)
    print("CPU time of a call, in µs:")
    for what in jobs:
        print(f"  {what}: {1e6 * statistics.median(times[what]):.0f}")
    print_figures(
        [
            *[Figure(f"{what} in and out, over the code",
                     ratios(times[what], times[f"{what}: code"]), "x", "at most", most)
              for what, _, _, most in forms],
            Figure("nested lists, without the code, over np.array and tolist",
                   [(x - code) / y for x, code, y in zip(
                       times["nested lists"], times["nested lists: code"],
                       times["NumPy"])], "x", "at most", 1.0),
            Figure("a step over 64 points, parameters in lists over arrays",
                   ratios(times["list step"], times["array step"]),
                   "x", "at most", 3.0),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
