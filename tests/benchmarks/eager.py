"""Eager speed against micrograd 0.1.0: `python tests/benchmarks/eager.py`.

Each engine runs in a process of its own, with the garbage collector on as users have
it: micrograd's graphs are cycles that only the collector frees, which is part of its
price. The two take turns, so that what else the machine does slows both alike; a sample
runs for at least SAMPLE_SECONDS, to hold its share of collections.

micrograd comes from the running Python if it has that version, else from the package
index into a venv of its own, which is removed at the end.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import venv
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from figures import ROOT, Figure, print_figures

VERSION = "0.1.0"
LINKS = 1000  # of the chain: one sin, one mul and one add each
POINTS = 100
SAMPLE_SECONDS = 1.0
MIN_RUNS = 3  # in one sample, however long each takes
TOLERANCE = 1e-9  # to which both engines' gradients must be equal before they race

Task = Callable[[], list[float]]

# ---- the work: each task builds a graph, sweeps it and gives its gradient ------------


def chain_task(value: Callable[[float], Any]) -> Task:
    """y ← sin(y) · w + b, a thousand times."""

    def run() -> list[float]:
        x, w, b = value(0.5), value(1.01), value(0.1)
        y = x
        for _ in range(LINKS):
            y = y.sin() * w + b
        y.backward()
        return [x.grad, w.grad, b.grad]

    return run


def network_task(model: Any) -> Task:
    """The gradient of a mean hinge loss over all points, in all 337 weights."""
    source = random.Random(1)
    for parameter in model.parameters():
        parameter.data = source.uniform(-1.0, 1.0)
    points = [(source.gauss(0.0, 1.0), source.gauss(0.0, 1.0)) for _ in range(POINTS)]
    labels = [1.0 if x0 * x1 > 0.0 else -1.0 for x0, x1 in points]

    def run() -> list[float]:
        model.zero_grad()
        margins = [1 - y * model(x) for x, y in zip(points, labels)]
        loss = sum(margin.relu() for margin in margins) * (1 / POINTS)
        loss.backward()
        return [parameter.grad for parameter in model.parameters()]

    return run


def autograd_tasks() -> dict[str, Task]:
    from autograd import Value
    from nn import MLP

    return {"chain": chain_task(Value), "network": network_task(MLP(2, [16, 16, 1]))}


def micrograd_tasks() -> dict[str, Task]:
    """micrograd's own classes, with a sin in their style: they have none."""
    import math

    from micrograd.engine import Value
    from micrograd.nn import MLP

    def sin(self: Any) -> Any:
        out = Value(math.sin(self.data), (self,), "sin")

        def _backward() -> None:
            self.grad += math.cos(self.data) * out.grad

        out._backward = _backward
        return out

    Value.sin = sin
    return {"chain": chain_task(Value), "network": network_task(MLP(2, [16, 16, 1]))}


# ---- the worker: one engine, one request a line --------------------------------------


def serve(tasks: dict[str, Task]) -> None:
    """Answer each line of stdin, a task's name and seconds, with a line of JSON.

    Without seconds the answer is the task's gradient; with them, the mean seconds of
    one run over at least that long.
    """
    for line in sys.stdin:
        name, *seconds = line.split()
        task = tasks[name]
        print(json.dumps(timed(task, float(seconds[0])) if seconds else task()))
        sys.stdout.flush()


def timed(task: Task, seconds: float) -> float:
    runs, start = 0, perf_counter()
    while runs < MIN_RUNS or perf_counter() - start < seconds:
        task()
        runs += 1
    return (perf_counter() - start) / runs


def work(engine: str) -> None:
    """Serve in a thread whose stack holds micrograd's recursion over 3000 nodes."""
    tasks = micrograd_tasks() if engine == "micrograd" else autograd_tasks()
    sys.setrecursionlimit(100_000)
    threading.stack_size(256 * 1024 * 1024)
    thread = threading.Thread(target=serve, args=(tasks,))
    thread.start()
    thread.join()


# ---- the race ------------------------------------------------------------------------


class Worker:
    """A process that runs one engine's tasks when asked."""

    def __init__(self, python: str, engine: str) -> None:
        self.process = subprocess.Popen(
            [python, __file__, "--worker", engine],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, request: str) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"eager: the worker stopped at {request!r}; see its message above")
        return json.loads(answer)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.communicate()


@contextmanager
def python_with_micrograd() -> Iterator[str]:
    """The path of a Python that can import micrograd."""
    try:
        found = importlib.metadata.version("micrograd")
    except importlib.metadata.PackageNotFoundError:
        found = ""
    if found == VERSION:
        print(f"micrograd {VERSION}: the one this Python has")
        yield sys.executable
        return
    with tempfile.TemporaryDirectory(prefix="micrograd-") as folder:
        print(f"micrograd {VERSION}: installing into a venv that is removed at the end")
        venv.create(folder, with_pip=True)
        scripts = Path(folder, "Scripts" if os.name == "nt" else "bin")
        python = str(scripts / "python")
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", f"micrograd=={VERSION}"],
            check=True,
        )
        yield python


def require_equal(name: str, ours: list[float], theirs: list[float]) -> None:
    """Stop unless both gradients are the same: a wrong one may well be fast."""
    worst = max(abs(x - y) for x, y in zip(ours, theirs, strict=True))
    if not worst <= TOLERANCE:
        sys.exit(f"eager: {name}: gradients differ by {worst:.3g}; nothing was timed")
    print(f"{name}: {len(ours)} gradients equal to {worst:.1g}")


def race(name: str, ours: Worker, theirs: Worker, samples: int) -> list[float]:
    """How many times as fast we are, once for each pair of samples."""
    require_equal(name, ours.ask(name), theirs.ask(name))
    request, ratios = f"{name} {SAMPLE_SECONDS}", []
    for i in range(samples + 1):
        our_time, their_time = ours.ask(request), theirs.ask(request)
        if i > 0:  # the first pair warms up
            ratios.append(their_time / our_time)
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--samples", type=int, default=9, help="pairs for each figure")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    with ExitStack() as stack:
        python = stack.enter_context(python_with_micrograd())
        ours = stack.enter_context(Worker(sys.executable, "autograd"))
        theirs = stack.enter_context(Worker(python, "micrograd"))
        chain = race("chain", ours, theirs, options.samples)
        network = race("network", ours, theirs, options.samples)
    print_figures(
        [
            Figure(f"chain of {LINKS} (sin, mul, add)", chain, "x", "at least", 4.0),
            Figure(f"MLP(2,16,16,1), {POINTS} points", network, "x", "at least", 10.0),
        ]
    )


if __name__ == "__main__":
    main()
