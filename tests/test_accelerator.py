"""C against Python, bit for bit: rows, operators, random graphs, transforms, copies,
threads and graphs of every size. What hostile code can do is in `test_hostile.py`.
"""

from __future__ import annotations

import copy
import gc
import itertools
import math
import operator
import os
import pickle
import random
import signal
import struct
import subprocess
import sys
import threading
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_python import (
    ENGINES,
    ROWS,
    bits,
    needs_c,
    on_both,
    outcome,
    python_engine,
    row_of,
    told,
)

import autograd
import nn
from autograd import Value, accelerator
from autograd.value import topological

ROOT = Path(__file__).resolve().parent.parent
inf, nan = math.inf, math.nan

# ---- which engine runs ---------------------------------------------------------------


def test_accelerated_says_whether_values_are_made_in_c() -> None:
    assert autograd.accelerated == (accelerator.reason == "")
    assert autograd.accelerated == (not hasattr(Value.backward, "__code__"))


def test_second_package_of_these_tests_runs_in_python() -> None:
    assert python_engine.accelerated is False
    assert python_engine.accelerator.reason == "AUTOGRAD_PURE is set"
    assert hasattr(python_engine.Value.backward, "__code__")
    assert python_engine.Value is not Value


def said_by(**environment: str) -> str:
    """What a process with these environment variables says of its engine."""
    program = "import autograd as a; print(a.accelerated, a.accelerator.reason)"
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout.strip()  # fmt: skip


def test_environment_variable_chooses_python() -> None:
    assert said_by(AUTOGRAD_PURE="1") == "False AUTOGRAD_PURE is set"


@needs_c
@pytest.mark.parametrize("setting", ["", "0"])
def test_empty_environment_variable_chooses_nothing(setting: str) -> None:
    assert said_by(AUTOGRAD_PURE=setting) == "True"


# ---- rows ----------------------------------------------------------------------------

SPECIAL = (
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, 1.5, inf, -inf, nan, 5e-324,
    -5e-324, 2.0**-1022, 1e308, -1e308, sys.float_info.max, 1.0 + 2.0**-52,
    1.0 - 2.0**-53, 0.01, 709.8, -745.2, 27.9, 28.1, 1e-9, 1e16,
)  # fmt: skip


def points(name: str, count: int) -> Iterator[tuple[float, ...]]:
    """Operands of a row: its edges, special numbers, and random ones of any size."""
    row = row_of(autograd, name)
    chance = random.Random(name)
    yield from (args for args, _, _ in row.edges)
    sizes = (
        [row.arity] if row.arity else [2, 4, 6] if name == "dot" else [0, 1, 2, 3, 5]
    )
    for size in sizes:
        every = list(itertools.product(SPECIAL, repeat=min(size, 2)))
        for args in every if len(every) < 800 else chance.sample(every, 800):
            yield args + tuple(chance.choices(SPECIAL, k=size - len(args)))
    for _ in range(count):
        size = chance.choice(sizes)
        scale = 10.0 ** chance.choice([0, 0, 0, 1, 3, -3, -10, 100, 300, -300])
        yield tuple(anything(chance, scale) for _ in range(size))


def anything(chance: random.Random, scale: float) -> float:
    kind = chance.random()
    if kind < 0.1:
        (x,) = struct.unpack("<d", chance.randbytes(8))
        return float(x)
    if kind < 0.2:
        return float(chance.randint(-6, 6))
    return chance.uniform(-3.0, 3.0) * scale


def choices(args: tuple[float, ...]) -> Iterator[tuple[bool, ...]]:
    """Which operands are Values: every choice of up to three, some of more."""
    if len(args) <= 3:
        yield from itertools.product((False, True), repeat=len(args))
        return
    yield tuple(i % 2 == 0 for i in range(len(args)))
    yield (True,) * len(args)
    yield (False,) * len(args)


def applied(engine: Any, name: str, args: tuple[float, ...], use: Any) -> Any:
    row = row_of(engine, name)
    return row(*[engine.Value(x) if is_value else x for x, is_value in zip(args, use)])


@needs_c
@pytest.mark.parametrize("name", ROWS)
def test_row_in_c_equals_its_python_in_every_bit(name: str) -> None:
    for args in points(name, 120 if "gamma" in name else 1500):
        for use in choices(args):
            found, expected = (
                told(applied(engine, name, args, use)) for engine in ENGINES
            )
            assert found == expected, (args, use)


UNARY = [name for name in ROWS if row_of(autograd, name).arity == 1]


@needs_c
@pytest.mark.parametrize("name", UNARY)
def test_method_in_c_equals_its_python_in_every_bit(name: str) -> None:
    for (x,) in points(name, 300 if "gamma" not in name else 30):
        found, expected = (told(getattr(engine.Value(x), name)()) for engine in ENGINES)
        assert found == expected, x


OPERATORS = (
    operator.add, operator.sub, operator.mul, operator.truediv, operator.pow,
    operator.mod, operator.iadd, operator.ipow,
)  # fmt: skip


@needs_c
@pytest.mark.parametrize("apply", OPERATORS)
def test_operator_in_c_equals_its_python_in_every_bit(apply: Any) -> None:
    for x, y in points("mul", 2000):
        for use in ((True, True), (True, False), (False, True)):
            found, expected = (
                told(
                    apply(*[e.Value(v) if is_v else v for v, is_v in zip((x, y), use)])
                )
                for e in ENGINES
            )
            assert found == expected, (x, y, use)


@needs_c
@pytest.mark.parametrize("apply", OPERATORS)
def test_operator_in_c_takes_operand_twice_as_python_does(apply: Any) -> None:
    for x in SPECIAL:
        one, other = (engine.Value(x) for engine in ENGINES)
        assert told(apply(one, one)) == told(apply(other, other)), x


# ---- random graphs -------------------------------------------------------------------

Plan = list[tuple[str, list[int], list[float | None]]]

STEPS = list(ROWS)


def random_plan(chance: random.Random, size: int) -> Plan:
    """So many steps; each names a row, its operands, and numbers in place of some."""
    plan: Plan = []
    for _ in range(size):
        name = chance.choice(STEPS)
        arity = row_of(autograd, name).arity or 2 * chance.randint(1, 3)
        picks = [chance.randrange(1000) for _ in range(arity)]
        plain = [
            chance.choice([None, None, None, 0.5, -2.0, 3.0]) for _ in range(arity)
        ]
        plan.append((name, picks, plain))
    return plan


def run(engine: Any, plan: Plan, inputs: list[Any]) -> list[Any]:
    """All results of the steps, on inputs that are Values of the engine."""
    pool = list(inputs)
    for name, picks, plain in plan:
        row = row_of(engine, name)
        args = [
            pool[pick % len(pool)] if number is None else number
            for pick, number in zip(picks, plain)
        ]
        pool.append(row(*args))
    return pool


def graph(nodes: list[Any], root: Any, order: list[Any]) -> Any:
    """Everything that is known of a graph, with nodes by their number."""
    index = {id(node): i for i, node in enumerate(nodes)}
    return (
        [index[id(node)] for node in order],
        [
            (
                bits(x.data), x.op, bits(x.grad), x.reached, [*map(told, x._partials)],
                [index.get(id(arg), told(arg)) for arg in x.args],
                [index[id(parent)] for parent in x.parents],
                [*map(bits, x.partials)], repr(x), bool(x),
            )
            for x in nodes
        ],
    )  # fmt: skip


def swept(engine: Any, plan: Plan, point: list[float]) -> Any:
    inputs = [engine.Value(x) for x in point]
    nodes = [x for x in run(engine, plan, inputs) if type(x) is engine.Value]
    root = sum((node for node in nodes[-3:]), start=nodes[-1] * 0.5)
    sums = [root]
    while type(sums[-1].args[0]) is engine.Value and sums[-1].op == "add":
        sums.append(sums[-1].args[0])
    nodes = [*nodes, *(x for x in sums if not any(x is node for node in nodes))]
    root.backward()
    once = graph(nodes, root, engine.value.topological(root))
    nodes[len(point)].backward()
    root.backward()
    whole = engine.value.topological(*nodes[::-1], whole=True)
    return once, graph(nodes, root, whole)


@needs_c
@pytest.mark.parametrize("seed", range(8))
def test_random_graphs_agree_in_every_bit_and_in_their_order(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        plan = random_plan(chance, chance.randint(3, 40))
        point = [chance.choice([chance.uniform(-3, 3), *SPECIAL]) for _ in range(4)]
        assert swept(autograd, plan, point) == swept(python_engine, plan, point)


@needs_c
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32), st.lists(st.floats(), min_size=3, max_size=3))
def test_graphs_at_any_point_agree_in_every_bit(seed: int, point: list[float]) -> None:
    plan = random_plan(random.Random(seed), 12)
    assert swept(autograd, plan, point) == swept(python_engine, plan, point)


def transformed(engine: Any, plan: Plan, point: list[float]) -> Any:
    def f(*xs: Any) -> Any:
        return sum(run(engine, plan, list(xs))[-3:], start=xs[0] * 0.0)

    along = [0.5, -1.0, 2.0]
    jobs: list[Callable[[], Any]] = [
        lambda: engine.grad(f, (0, 1, 2))(*point),
        lambda: engine.value_and_grad(f, 1)(*point),
        lambda: engine.jvp(f, point, along),
        lambda: engine.vjp(f, *point)[1](2.0),
        lambda: engine.jacobian(lambda *xs: run(engine, plan, list(xs))[-2:])(*point),
        lambda: engine.hessian(f, (0, 2))(*point),
        lambda: engine.hvp(f, point, along),
        lambda: engine.grad(engine.grad(engine.grad(f)))(*point),
        lambda: engine.grad(f)(engine.Value(point[0]), *point[1:]),
    ]
    return [outcome(job) for job in jobs]


@needs_c
@pytest.mark.parametrize("seed", range(4))
def test_transforms_of_random_programs_agree_in_every_bit(seed: int) -> None:
    chance = random.Random(100 + seed)
    for _ in range(12):
        plan = random_plan(chance, chance.randint(2, 6))
        point = [chance.uniform(-2.0, 2.0) for _ in range(3)]
        found, expected = (transformed(engine, plan, point) for engine in ENGINES)
        assert found == expected


@needs_c
@pytest.mark.parametrize("seed", range(5))
def test_copies_of_random_graphs_agree_in_every_bit(seed: int) -> None:
    chance = random.Random(seed)
    plan = random_plan(chance, 30)
    point = [chance.uniform(-3.0, 3.0) for _ in range(4)]
    for copier in (copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
        found = []
        for engine in ENGINES:
            pool = run(engine, plan, [engine.Value(x) for x in point])
            root = sum(pool, start=pool[0]) * 2.0
            root.backward()
            twin = copier(root)
            twin.backward()
            order = engine.value.topological(twin, whole=True)
            found.append([(told(x), bits(x.grad), x.reached) for x in order])
        assert found[0] == found[1]


@needs_c
def test_watched_graphs_agree() -> None:
    def watched(engine: Any) -> Any:
        def job() -> Any:
            x = engine.Value(0.0, label="x")
            with engine.detect_anomaly():
                y = x.sqrt() * 2.0
                y.backward()

        def lines() -> Any:
            x = engine.Value(3.0)
            with engine.record_lines():
                y = x * x
            y.backward()
            return y.line, (x * x).line, x.grad, y.label

        return outcome(job), outcome(lines)

    assert watched(autograd) == watched(python_engine)


# ---- interruptions and threads -------------------------------------------------------


def long_chain(x: Any, n: int) -> Any:
    y = x
    for _ in range(n):
        y = y + 1.0
    return y


def in_threads(jobs: list[Callable[[], Any]]) -> list[Any]:
    """The results of jobs that run at once; what one raises is raised here."""
    results: list[Any] = [None] * len(jobs)

    def work(i: int) -> None:
        try:
            results[i] = jobs[i]()
        except BaseException as error:  # noqa: BLE001
            results[i] = error

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(jobs))]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def test_threads_with_graphs_of_their_own_do_not_meet() -> None:
    def job(k: int) -> Any:
        xs = [Value(k + i / 8) for i in range(8)]
        for _ in range(30):
            y = autograd.dot(xs, xs[::-1]).sin() + sum(x * x * k for x in xs)
            y.backward()
        return [bits(x.grad) for x in xs]

    together = in_threads([lambda k=k: job(k) for k in range(8)])  # type: ignore[misc]
    assert together == [job(k) for k in range(8)]


@needs_c
def test_threads_that_sweep_one_graph_add_up() -> None:
    """In C each sweep is whole before the next begins. In Python they may interleave:
    there a graph belongs to one thread at a time."""
    x = Value(1.0)
    shared = long_chain(x * 3.0, 500)
    roots = [shared * 2.0, shared.identity()] * 4

    def job(root: Any) -> None:
        for _ in range(200):
            root.backward()

    in_threads([lambda root=root: job(root) for root in roots])  # type: ignore[misc]
    assert x.grad == 200 * 4 * (6.0 + 3.0)


def test_threads_may_record_on_one_leaf() -> None:
    x = Value(2.0)

    def job() -> float:
        return sum(autograd.grad(lambda t: t * x * t)(3.0).data for _ in range(200))

    assert set(in_threads([job] * 8)) == {2400.0}


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise KeyboardInterrupt after so many seconds of the process's time."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer on this system")
def test_keyboard_interrupt_at_any_time_leaves_the_graph_usable() -> None:
    x = Value(1.0)
    y = long_chain(x, 20_000)
    interrupted = 0
    for k in range(40):
        try:
            with alarm(1e-4 * (1 + k)):
                while True:
                    y.backward()
                    long_chain(x, 100)
        except KeyboardInterrupt:
            interrupted += 1
        x.grad = 0.0
        y.backward()
        assert x.grad == 1.0
        assert len(topological(y)) == 20_000
    assert interrupted == 40


# ---- size ----------------------------------------------------------------------------

SMALL = 256 * 1024  # bytes of stack


def on_small_stack(job: Callable[[], Any]) -> None:
    before = threading.stack_size(SMALL)
    try:
        in_threads([job])
    finally:
        threading.stack_size(before)


def chained(n: int) -> tuple[Any, Any]:
    x = Value(0.5)
    y = x
    for _ in range(n // 2):
        y = (y + x) * 0.5
    return x, y


@needs_c
@pytest.mark.parametrize("n", [10**5, pytest.param(10**6, marks=pytest.mark.slow)])
@pytest.mark.parametrize("copier", ["none", "deepcopy", "pickle"])
def test_deep_graph_lives_and_dies_on_a_stack_of_256_kilobytes(
    n: int, copier: str
) -> None:
    def job() -> None:
        x, y = chained(n)
        if copier == "deepcopy":
            x, y = copy.deepcopy((x, y))
        if copier == "pickle":
            x, y = pickle.loads(pickle.dumps((x, y)))
        y.backward()
        assert (y.data, x.grad) == (0.5, 1.0)
        assert len(topological(y)) == n
        del y

    on_small_stack(job)


@needs_c
def test_deep_graph_of_foreign_nodes_dies_on_a_small_stack() -> None:
    row = autograd.Primitive("same", lambda x: x, 1.0)

    def job() -> None:
        x = Value(2.0)
        y = row(x)
        for k in range(10**5):
            y = y + 1.0 if k % 2 else row(y)
        y.backward()
        assert x.grad == 1.0
        gc.collect()
        del y

    on_small_stack(job)


@needs_c
@pytest.mark.slow
@pytest.mark.parametrize("shape", ["deep", "wide", "dot"])
def test_ten_million_nodes_record_sweep_and_are_freed(shape: str) -> None:
    n = 10**7
    if shape == "deep":
        x, y = chained(n)
        y.backward()
        assert (y.data, x.grad) == (0.5, 1.0)
    elif shape == "wide":
        leaf = Value(1.0)
        row = [leaf * 2.0 for _ in range(n // 2)]
        y = row[0]
        for node in itertools.islice(row, 1, None):
            y = y + node
        del row
        y.backward()
        assert (y.data, leaf.grad) == (n, n)
    else:
        x = Value(1.0)
        operands = [x.identity()] * (n // 2)
        autograd.dot(operands, operands).backward()
        assert x.grad == n


@needs_c
def test_nodes_are_small_and_unknown_to_the_collector() -> None:
    x = Value(1.0)
    nodes = [x, x * 2.0, x.sin(), x * x, autograd.dot([x, 2.0], [3.0, x])]
    assert [node.__sizeof__() for node in nodes] == [64, 80, 64, 80, 112]
    assert not any(map(gc.is_tracked, nodes))


@needs_c
def test_memory_of_a_large_graph_is_given_back() -> None:
    tracemalloc.start()
    try:
        x = Value(1.0)
        nodes = [x * 2.0 for _ in range(500_000)]
        held, _ = tracemalloc.get_traced_memory()
        del nodes
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < 20 * 2**20 < held  # up to 16 MiB wait for the next graph


@pytest.mark.parametrize("seed", range(4))
def test_nodes_keep_what_they_hold_while_others_come_and_go(seed: int) -> None:
    source, x = random.Random(seed), Value(1.0)
    held: list[tuple[Value, float, str | None]] = []
    for step in range(60):
        for _ in range(source.choice([10, 300, 3000])):
            number, width = source.random(), source.choice([1, 2, 3, 5, 17, 40, 90])
            node = autograd.dot([x] * width, [number / width] * width)
            node = node if width > 1 else Value(number)
            label = source.choice([None, None, f"at {step}"])
            if label:
                node.label = label
            held.append((node, node.data, label))
        source.shuffle(held)
        del held[: source.choice([0, len(held) // 2, len(held) - 3])]
        for node, number, label in source.sample(held, 3):
            assert (node.data, node.label) == (number, label)
    for node, number, label in held:
        assert (node.data, node.label) == (number, label)


def test_label_does_not_outlive_its_value() -> None:
    for k in range(100):
        x = Value(float(k))
        assert x.label is None
        x.label = f"x{k}"
        assert x.label == f"x{k}"
        x.label = None
        assert x.label is None
        x.label = "again"
        del x


def test_training_steps_do_not_grow_memory() -> None:
    model = nn.MLP(2, [8, 8, 1], seed=1)
    optimizer = nn.SGD(model.parameters(), lr=0.01)
    points = [[0.5, -0.25], [0.125, 1.0], [-1.0, 0.75]]

    def step() -> None:
        optimizer.zero_grad()
        loss = sum((model(x) - 0.5) ** 2 for x in points)
        loss.backward()
        optimizer.step()

    for _ in range(20):
        step()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(200):
        step()
    gc.collect()
    assert sys.getallocatedblocks() - before < 200


# ---- rules that give what they should not --------------------------------------------

ODD_PARTIALS: dict[str, Any] = {
    "Value": lambda engine: engine.Value(2.0, label="w"),
    "whole": lambda engine: 2,
    "bool": lambda engine: True,
    "None": lambda engine: None,
    "text": lambda engine: "2",
    "complex": lambda engine: 1j,
    "list": lambda engine: [2.0],
    "too large": lambda engine: 10**400,
    "NaN": lambda engine: math.nan,
}
USES_OF_A_ROW: dict[str, Any] = {
    "eager": lambda engine, row, x: (row(x), row(x).backward(), x.grad),
    "two": lambda engine, row, x: row(x * 2.0).partials,
    "grad": lambda engine, row, x: engine.grad(row)(3.0),
    "second": lambda engine, row, x: engine.grad(engine.grad(row))(3.0),
    "jvp": lambda engine, row, x: engine.jvp(row, (3.0,), (1.0,)),
    "derivatives": lambda engine, row, x: row.derivatives(9.0, 3.0),
    "float": lambda engine, row, x: row(3.0),
}


@needs_c
@pytest.mark.parametrize("use", USES_OF_A_ROW)
@pytest.mark.parametrize("odd", ODD_PARTIALS)
def test_rules_and_values_that_are_odd_come_to_the_same(odd: str, use: str) -> None:
    def rows(engine: Any) -> list[Any]:
        given = ODD_PARTIALS[odd](engine)
        return [
            engine.Primitive("odd", lambda x: x * x, lambda z, x: given),
            engine.Primitive("odd", lambda x: given, lambda z, x: 1.0),
            engine.Primitive("odd", lambda *xs: sum(xs), lambda z, *xs: [given]),
        ]

    for k in range(3):
        found, expected = on_both(
            lambda engine, k=k: USES_OF_A_ROW[use](
                engine, rows(engine)[k], engine.Value(3.0)
            )
        )
        assert found == expected


def test_partial_that_is_a_value_is_refused_by_name() -> None:
    w = Value(2.0, label="w")
    row = autograd.Primitive("twice", lambda x: 2.0 * x, lambda z, x: w)
    with pytest.raises(
        TypeError, match="twice: a partial must be .*label='w'.*operand"
    ):
        row(Value(3.0))


@needs_c
@pytest.mark.parametrize(
    "name",
    [
        "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "tan",
        "arcsin", "arccos", "sinh", "cosh", "arccosh", "arctanh", "floor", "ceil",
    ],
)  # fmt: skip
def test_numpy_has_nothing_to_warn_of_where_a_result_is_not_finite(name: str) -> None:
    np = pytest.importorskip("numpy")
    points = [0.0, -1.0, 1.0, 2.0, -3.0, 1e3, 1e308, math.inf, -math.inf, math.nan]
    array = np.array([Value(x) for x in points], dtype=object)
    with warnings.catch_warnings(), np.errstate(under="ignore"):
        warnings.simplefilter("error")
        found = getattr(np, name)(array)
        sums = array / 0.0 + array * 1e308
    assert [type(y) for y in (*found, *sums)] == [Value] * 20
