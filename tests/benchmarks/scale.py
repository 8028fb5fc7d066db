"""A million nodes: `python tests/benchmarks/scale.py`.

Time to build, sweep and free must grow with the number of nodes and no faster; memory
must stay small; and no depth may need the stack. Every sample is a fresh process, so
that none inherits the heap of another; times are CPU times of that process.

Time is taken twice: without the garbage collector, which is the engine's own, and with
it. A graph has no cycles, so the collector finds nothing in it, but it looks, at ever
rarer moments: on CPython 3.11 three times on the way to 10^5 nodes, twelve to 10^6.
"""

from __future__ import annotations

import argparse
import copy
import gc
import os
import pickle
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import process_time
from typing import Any

from figures import ROOT, Figure, print_figures

SMALL, LARGE = 100_000, 1_000_000
SMALL_STACK = (512 if sys.version_info < (3, 13) else 2048) * 1024  # see the tests


def chain(nodes: int) -> Any:
    """y ← sin(y) · w + b: as deep as it has nodes."""
    from autograd import Value

    y, w, b = Value(0.5), Value(1.01), Value(0.1)
    for _ in range(nodes // 3):
        y = y.sin() * w + b
    return y


def tree(nodes: int) -> Any:
    """Products of one leaf, added in pairs: as wide as half its nodes."""
    from autograd import Value

    x = Value(0.5)
    level = [x * 1.5 for _ in range(nodes // 2)]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2])
        level = [left + right for left, right in pairs] + level[len(level) & ~1 :]
    return level[0]


SHAPES: dict[str, Callable[[int], Any]] = {"chain": chain, "tree": tree}


def seconds(build: Callable[[int], Any], nodes: int, collector: str) -> float:
    """CPU seconds to build the graph, sweep it and free it."""
    build(100).backward()
    if collector == "off":
        gc.disable()
    start = process_time()
    y = build(nodes)
    y.backward()
    del y
    return process_time() - start


def bytes_per_node(build: Callable[[int], Any], nodes: int) -> float:
    """What the graph holds after a sweep, as CPython's allocator was asked for it."""
    build(100).backward()
    tracemalloc.start()
    y = build(nodes)
    y.backward()
    held, _ = tracemalloc.get_traced_memory()
    return held / nodes


def live_deep(nodes: int) -> None:
    """Do everything one can do with a deep chain, and print each thing as done."""
    y = chain(nodes)
    print(f"recorded {nodes} nodes")
    y.backward()
    print(f"swept: ∂y/∂y is {y.grad}")
    print(f"refused to draw: {refusal_to_draw(y)}")
    twin = copy.deepcopy(y)
    print(f"deepcopied: equal is {twin == y}")
    del twin
    twin = pickle.loads(pickle.dumps(y))
    print(f"pickled and loaded: equal is {twin == y}")
    del twin, y
    print("freed")


def refusal_to_draw(y: Any) -> str:
    from autograd import draw

    try:
        draw(y)
    except ValueError as error:
        return str(error)
    raise RuntimeError("draw must refuse a graph of a million nodes, but drew it")


def live_on_a_small_stack() -> None:
    threading.stack_size(SMALL_STACK)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(live_deep, LARGE).result()


def fresh(*request: str) -> str:
    """What this file prints when a new process runs it with the request."""
    done = subprocess.run(
        [sys.executable, "-u", __file__, "--worker", *request],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    if done.returncode != 0:
        print(done.stdout, end="")
        sys.exit(f"scale: {' '.join(request)} ended with code {done.returncode}")
    return done.stdout


def work(kind: str, *arguments: str) -> None:
    if kind == "stack":
        live_on_a_small_stack()
        return
    shape, nodes, *collector = arguments
    if kind == "seconds":
        print(seconds(SHAPES[shape], int(nodes), *collector))
    else:
        print(bytes_per_node(SHAPES[shape], int(nodes)))


def growth(shape: str, collector: str) -> float:
    """How many times as long ten times the nodes take."""
    small = float(fresh("seconds", shape, str(SMALL), collector))
    return float(fresh("seconds", shape, str(LARGE), collector)) / small


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--samples", type=int, default=5, help="pairs for each ratio")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return
    figures = []
    for shape in SHAPES:
        for collector in ("off", "on"):
            what = f"{shape}: time of 10^6 over 10^5, collector {collector}"
            ratios = [growth(shape, collector) for _ in range(options.samples)]
            figures.append(Figure(what, ratios, "x", "at most", 12.0))
        size = float(fresh("bytes", shape, str(LARGE)))
        figures.append(Figure(f"{shape}: a node", [size], " B", "at most", 256.0))
    print_figures(figures)
    print(f"\nIn a thread with a stack of {SMALL_STACK // 1024} KB:")
    print(fresh("stack"), end="")


if __name__ == "__main__":
    main()
