"""The engines that benchmarks race, and each one's way to run the programs.

Started as a process of its own, `python engines.py ENGINE`, it serves one engine: a
request is a line on stdin, the answer a line of JSON on stdout. `workers.py` asks.

    floats      Python's own: the value alone, no gradient
    autograd    this package, in C or in Python as it was imported
    xad         its adjoint mode, with one tape for all recordings
    micrograd   its own classes, with a sin in their style: they have none
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import sys
import threading
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import programs

MIN_RUNS = 3  # in one sample, however long each takes
NODES = 1_000_000
REPEATS = 200  # of what takes microseconds
EPOCHS = 20
ROSENBROCK = [0.1 * i - 0.4 for i in range(10)]

Task = Callable[[], Any]


def float_tasks() -> dict[str, Task]:
    layers, (xs, labels) = programs.layered(programs.weights()), programs.points()

    def relu(x: float) -> float:
        return x if x > 0.0 else 0.0

    def forward() -> list[float]:
        return [programs.network(layers, x, relu) for x in xs]

    def loss() -> list[float]:
        return [programs.mean_hinge(forward(), labels, relu)]

    return {
        "chain": lambda: [programs.chain(0.5, 1.01, 0.1, math.sin)],
        "expression": repeated(lambda: [programs.expression(-4.0, 2.0, relu)]),
        "forward": forward,
        "loss": loss,
        "deep": lambda: [programs.chain(0.5, 1.01, 0.1, math.sin, NODES // 3)],
        "wide": lambda: [programs.tree(0.5, NODES)],
    }


def repeated(task: Task) -> Task:
    """The task many times, for the clock's sake."""

    def run() -> Any:
        for _ in range(REPEATS):
            answer = task()
        return answer

    return run


# ---- autograd ------------------------------------------------------------------------


def autograd_tasks() -> dict[str, Task]:
    from autograd import Value, dot, grad, hessian, relu, sin

    layers, (xs, _) = layered_values(Value), programs.points()
    gradient = grad(programs.rosenbrock)
    of_gradient = grad(lambda x: sum(gradient(x)))
    hessian_of_f = hessian(programs.rosenbrock)

    def forward() -> list[float]:
        return [programs.network(layers, x, relu).data for x in xs]

    def with_dot(layers: Any, x: Sequence[Any], relu: programs.Function) -> Any:
        return programs.network_with_dot(layers, x, relu, dot)

    def wide() -> list[float]:
        x = Value(0.5)
        y = programs.tree(x, NODES)
        y.backward()
        return [y.data, x.grad]

    def deep() -> list[float]:
        return chain_gradient(Value, sin, NODES // 3)

    return {
        "chain": lambda: chain_gradient(Value, sin),
        "chain by method": lambda: chain_gradient(Value, Value.sin),
        "expression": repeated(lambda: expression_gradient(Value, relu)),
        "forward": forward,
        "gradient": gradient_task(Value, relu),
        "gradient with dot": gradient_task(Value, relu, with_dot),
        "gradient of its MLP": model_task(mlp()),
        "wide": wide,
        "deep": deep,
        "grad of grad": lambda: of_gradient(ROSENBROCK),
        "hessian": lambda: hessian_of_f(ROSENBROCK),
        **training_tasks(),
        "bytes of wide": lambda: bytes_per_node(wide_graph),
        "bytes of deep": lambda: bytes_per_node(deep_graph),
        "why Python": why_python,
    }


def mlp() -> Any:
    from nn import MLP

    return MLP(programs.WIDTHS[0], programs.WIDTHS[1:], seed=0)


def why_python() -> str:
    """In words, why the Python engine runs; "" if that in C does."""
    import autograd

    if autograd.accelerated:
        return ""
    from autograd import accelerator

    return accelerator.reason


def training_tasks() -> dict[str, Task]:
    """`fit` from a fresh model on, and single steps of the optimizers."""
    import nn

    xs, ys = programs.moons()

    def fit() -> list[float]:
        model = mlp()
        return nn.fit(model, xs, ys, nn.hinge, epochs=EPOCHS, progress=False).loss

    def stepping(optimizer: Any) -> Task:
        for p in optimizer.params:
            p.grad = 0.1

        def step() -> list[float]:
            optimizer.step()
            return [p.data for p in optimizer.params[:1]]

        return step

    return {
        "fit": fit,
        "SGD step": stepping(nn.SGD(mlp().parameters(), lr=1e-6)),
        "Adam step": stepping(nn.Adam(mlp().parameters(), lr=1e-6)),
        "steady": steady,
    }


def steady() -> list[float]:
    """The resident set, in KB, after 100 and after 1000 steps of training."""
    import nn

    xs, ys = programs.moons()
    model = mlp()
    optimizer = nn.Adam(model.parameters(), lr=0.01)
    sizes = []
    for step in range(1, 1001):
        loss = nn.hinge([model(x) for x in xs], ys)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in (100, 1000):
            sizes.append(resident())
    return sizes


def resident() -> float:
    """KB of this process in memory, or at its peak where the system tells no more."""
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return float(fields["VmRSS"].split()[0])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform == "darwin" else peak


def bytes_per_node(build: Callable[[], Any]) -> list[float]:
    """What a graph holds after a sweep, as CPython's allocator was asked for it."""
    tracemalloc.start()
    y = build()
    y.backward()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return [held / NODES]


def wide_graph() -> Any:
    from autograd import Value

    return programs.tree(Value(0.5), NODES)


def deep_graph() -> Any:
    from autograd import Value, sin

    x, w, b = Value(0.5), Value(1.01), Value(0.1)
    return programs.chain(x, w, b, sin, NODES // 3)


# ---- what autograd and micrograd spell alike -----------------------------------------


def chain_gradient(
    value: Callable[[float], Any],
    sin: programs.Function,
    links: int = programs.LINKS,
) -> list[float]:
    x, w, b = value(0.5), value(1.01), value(0.1)
    y = programs.chain(x, w, b, sin, links)
    y.backward()
    return [y.data, x.grad, w.grad, b.grad]


def expression_gradient(
    value: Callable[[float], Any], relu: programs.Function
) -> list[float]:
    a, b = value(-4.0), value(2.0)
    g = programs.expression(a, b, relu)
    g.backward()
    return [g.data, a.grad, b.grad]


def layered_values(value: Callable[[float], Any]) -> list[programs.Neurons]:
    return programs.layered([value(w) for w in programs.weights()])


def gradient_task(
    value: Callable[[float], Any],
    relu: programs.Function,
    network: Callable[..., Any] = programs.network,
) -> Task:
    """The gradient of a mean hinge loss in all weights."""
    parameters = [value(w) for w in programs.weights()]
    layers, (xs, labels) = programs.layered(parameters), programs.points()

    def run() -> list[float]:
        for p in parameters:
            p.grad = 0.0
        scores = [network(layers, x, relu) for x in xs]
        loss = programs.mean_hinge(scores, labels, relu)
        loss.backward()
        return [loss.data, *[p.grad for p in parameters]]

    return run


def model_task(model: Any) -> Task:
    """The same gradient, for a model made of the engine's own neurons."""
    parameters = model.parameters()
    for parameter, w in zip(parameters, programs.weights(), strict=True):
        parameter.data = w
    xs, labels = programs.points()

    def run() -> list[float]:
        model.zero_grad()
        scores = [model(x) for x in xs]
        loss = programs.mean_hinge(scores, labels, lambda z: z.relu())
        loss.backward()
        return [loss.data, *[p.grad for p in parameters]]

    return run


# ---- peers ---------------------------------------------------------------------------


def xad_tasks() -> dict[str, Task]:
    from xad.adj_1st import Real, Tape
    from xad.math import sin

    tape = Tape()
    xs, labels = programs.points()
    parameters = [Real(w) for w in programs.weights()]
    layers = programs.layered(parameters)

    def relu(x: Any) -> Any:  # records nothing, where xad.math.max takes microseconds
        return x if x.getValue() > 0.0 else 0.0

    def gradient(inputs: Sequence[Any], f: Task) -> list[float]:
        tape.activate()
        tape.registerInputs(inputs)
        tape.newRecording()
        y = f()
        tape.registerOutput(y)
        y.setDerivative(1.0)
        tape.computeAdjoints()
        found = [y.getValue(), *[x.getDerivative() for x in inputs]]
        tape.deactivate()
        return found

    def chain() -> list[float]:
        x, w, b = Real(0.5), Real(1.01), Real(0.1)
        return gradient([x, w, b], lambda: programs.chain(x, w, b, sin))

    def loss() -> Any:
        scores = [programs.network(layers, x, relu) for x in xs]
        return programs.mean_hinge(scores, labels, relu)

    return {"chain": chain, "gradient": lambda: gradient(parameters, loss)}


def micrograd_tasks() -> dict[str, Task]:
    from micrograd.engine import Value
    from micrograd.nn import MLP

    def sin(x: Any) -> Any:
        out = Value(math.sin(x.data), (x,), "sin")

        def _backward() -> None:
            x.grad += math.cos(x.data) * out.grad

        out._backward = _backward
        return out

    nin, *nouts = programs.WIDTHS
    return {
        "chain": lambda: chain_gradient(Value, sin),
        "expression": repeated(lambda: expression_gradient(Value, Value.relu)),
        "gradient": gradient_task(Value, Value.relu),
        "gradient of its MLP": model_task(MLP(nin, nouts)),
    }


ENGINES: dict[str, Callable[[], dict[str, Task]]] = {
    "floats": float_tasks,
    "autograd": autograd_tasks,
    "xad": xad_tasks,
    "micrograd": micrograd_tasks,
}

# ---- the process ---------------------------------------------------------------------


def serve(tasks: dict[str, Task]) -> None:
    """Answer each line of stdin, which is the JSON of [task] or [task, seconds].

    Without seconds the answer is the task's own, such as a gradient; with them, the
    mean seconds of one run over at least that long.
    """
    for line in sys.stdin:
        name, *seconds = json.loads(line)
        print(json.dumps(timed(tasks[name], *seconds) if seconds else tasks[name]()))
        sys.stdout.flush()


def timed(task: Task, seconds: float) -> float:
    """CPU seconds; where the collector is off, it runs between the runs, unmeasured."""
    runs, spent = 0, 0.0
    while runs < MIN_RUNS or spent < seconds:
        start = process_time()
        task()
        spent += process_time() - start
        runs += 1
        if not gc.isenabled():
            gc.collect()
    return spent / runs


def main() -> None:
    """Serve in a thread whose stack holds micrograd's recursion over 3000 nodes."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("--collector", choices=("on", "off"), default="on")
    options = parser.parse_args()
    if options.collector == "off":
        gc.disable()
    sys.setrecursionlimit(100_000)
    threading.stack_size(256 * 1024 * 1024)
    thread = threading.Thread(target=lambda: serve(ENGINES[options.engine]()))
    thread.start()
    thread.join()


if __name__ == "__main__":
    main()
