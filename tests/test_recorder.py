"""The recorder in C writes down what the one in Python does, to each instruction.

Traces run on either recorder, with its sweeps, in one process, on the engine in C; what
they come to is compared as arrays, with guards, doubts, and the Values that f closed
over.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import random
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
import test_fuzz as fuzz
import test_fuzz_nodes as fuzz_nodes
import test_fuzz_orders as fuzz_orders
from in_python import ENGINES, bits, needs_c
from seeds import seeds

import autograd as ag
from autograd import Value, grad, hessian, hvp, jacobian, jit, jvp, value_and_grad
from autograd import recorder as recorders
from autograd import traced as sweeps
from autograd.accelerator import python_twins
from autograd.compiled import trace as traces
from autograd.trees import flatten

Function = Callable[..., Any]


def traces_by_the_reference() -> Any:
    """The module of traces a second time, which record and sweep in Python."""
    name = f"{traces.__name__}_in_python"
    spec = importlib.util.spec_from_file_location(name, traces.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with pytest.MonkeyPatch.context() as patch:
        for where, name in ((recorders, "Recorder"), (sweeps, "Traced")):
            twin = getattr(where, name)
            patch.setattr(where, name, python_twins.get(twin, twin))
        spec.loader.exec_module(module)
    return module


in_python: Any = traces_by_the_reference()


def told(x: Any) -> Any:
    return bits(x) if type(x) is float else x


def traced(module: Any, f: Function, xs: list[float], closed: list[Value]) -> Any:
    """What a run of f on these numbers comes to, as text and numbers."""
    trace = module.Trace(xs, closed)
    outcome: Any
    try:
        ys, form = flatten(trace.run(f), "the result of f")
        tape = trace.tape(ys)
        arrays = tape.arrays
        outcome = (
            [(row.name, [*map(told, args)]) for row, args in tape.code],
            [[*map(told, each)] for each in arrays[2:7]],
            [*map(told, tape.outputs)],
            tape.guards,
            repr(form),
            [(trace.is_number(y), trace.is_truth(y), trace.follows(y)) for y in ys],
        )
    except (ArithmeticError, TypeError, ValueError) as error:
        outcome = type(error).__name__, str(error)
    kept = [*map(id, trace.closed)]
    found = outcome, kept, [*trace.met.values()], [*trace.made.values()], trace.doubts
    count = trace.count
    trace.close()
    return found, count


def require_alike(f: Function, xs: list[float], closed: list[Value] = []) -> int:  # noqa: B006
    """Both traces come to the same; how many instructions there are."""
    found, count = traced(traces, f, xs, closed)
    assert found == traced(in_python, f, xs, closed)[0]
    return int(count)


# ---- random programs -----------------------------------------------------------------

WAYS: list[Callable[[Function], Function]] = [
    lambda f: f,
    value_and_grad,
    lambda f: lambda xs: grad(lambda ys: sum(grad(f)(ys)))(xs),
    hessian,
    lambda f: lambda xs: jvp(f, (xs,), ([1.0, *xs[1:]],)),
    lambda f: lambda xs: hvp(f, (xs,), (xs[::-1],)),
    lambda f: jacobian(lambda xs: [f(xs), xs[0]]),
]


@needs_c
@pytest.mark.parametrize("seed", seeds(10))
def test_random_programs_are_written_down_alike(seed: int) -> None:
    for k in range(40):
        source = random.Random(1000 * seed + k)
        f = WAYS[k % len(WAYS)](fuzz.program(source, branches=k % 3 > 0))
        for x in fuzz.points(source, edges=True)[::3]:
            require_alike(f, x)


@needs_c
@pytest.mark.parametrize("seed", seeds(10))
def test_random_programs_of_all_orders_are_written_down_alike(seed: int) -> None:
    for k in range(15):
        rng = random.Random(1000 * seed + k)
        rows = fuzz_orders.EXACT + fuzz_orders.ROUNDED
        f = fuzz_orders.all_orders(fuzz_orders.random_program(rng, rows))
        for point in fuzz_orders.random_points(rng, 2):
            require_alike(lambda xs, f=f: f(*xs), [*point])


@needs_c
@pytest.mark.parametrize("seed", seeds(10))
def test_calls_with_several_results_are_written_down_alike(seed: int) -> None:
    for k in range(12):
        rng = random.Random(1000 * seed + k)
        forms = fuzz_nodes.as_vector_primitive, fuzz_nodes.as_batch
        arities = [rng.randrange(1, 4) for _ in range(2)]
        parts: Any = [
            (rng.choice(forms)(fuzz_nodes.random_part(rng, arity, True)), arity)
            for arity in arities
        ]
        f = WAYS[k % len(WAYS)](fuzz_nodes.program(parts, rng, 2))
        require_alike(f, [rng.gauss(0.0, 1.0), 0.25])


# ---- Values from outside, and made inside --------------------------------------------


def uses(source: random.Random, outer: list[Value]) -> Function:
    """A function that takes Values from outside, makes some, and mixes them."""
    steps = [source.random() for _ in range(30)]

    def f(xs: Any) -> Any:
        known = [*xs, *xs]
        for step in steps:
            x = known[int(step * 997) % len(known)]
            y: Any = [
                outer[int(step * 31) % len(outer)],
                Value(step),
                Value(step) * Value(2.0) - 0.5,
                step,
                known[int(step * 61) % len(known)],
                xs[0] > step,
            ][int(step * 6)]
            known.append(ag.maximum(x, y) if step * 13 % 1 < 0.3 else x * y - step)
        if outer[0] > outer[1]:
            known.append(outer[0] * 2.0)
        return [known[-1] + known[-2], *outer[:1], Value(4.0), xs[0] < known[-1], 7]

    return f


@needs_c
@pytest.mark.parametrize("seed", seeds(10))
def test_values_from_outside_are_written_down_alike(seed: int) -> None:
    for k in range(40):
        source = random.Random(1000 * seed + k)
        outer = [Value(source.gauss(0.0, 1.0)) for _ in range(5)]
        outer.append(outer[0] * outer[1])
        f = uses(source, outer)
        xs = [source.gauss(0.0, 1.0) for _ in range(2)]
        assert require_alike(f, xs, source.choice([[], outer[:2], outer[3:]])) > 5
        require_alike(grad(lambda xs, f=f: f(xs)[0]), xs)
        require_alike(jacobian(lambda xs, f=f: f(xs)[:2]), xs, outer)


@needs_c
def test_lines_and_rows_of_users_are_written_down_alike() -> None:
    mine = ag.Primitive(
        "mine", lambda x, y: x * y, lambda z, x, y: y, lambda z, x, y: x
    )

    def f(xs: Any) -> Any:
        before = mine(xs[0], 2.0)
        with ag.record_lines():
            noted = mine(before, xs[1]) * before.sin()
            assert noted.line
        return ag.dot([noted, before, 1.0], [xs[0], 2.0, xs[1]])

    assert require_alike(f, [0.5, 0.25]) == 5
    assert require_alike(grad(f), [0.5, 0.25]) > 10
    with ag.record_lines():
        assert require_alike(f, [0.5, 0.25]) == 5
    with ag.detect_anomaly():
        assert require_alike(f, [0.5, 0.25]) == 5


@needs_c
def test_dead_ends_and_long_loops_are_written_down_alike() -> None:
    def f(xs: Any) -> Any:
        for _ in range(10_000):
            xs[0].sin()  # which nobody uses
            xs[1] = xs[1] * xs[0] + 1e-3
        return xs[1]

    assert require_alike(f, [0.5, 0.25]) == 30_000


# ---- the clock, threads, blocks ------------------------------------------------------


def in_a_thread(job: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(job()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_what_other_threads_make_meanwhile_is_in_nobodys_way(engine: Any) -> None:
    def others() -> Any:
        x = engine.Value(2.0)
        for _ in range(5_000):
            x = x * 1.0
        return x.data

    def f(x: Any, y: Any) -> Any:
        for _ in range(3):
            x = x * y
            assert in_a_thread(others) == 2.0
            x = x + engine.sin(y)
        return x

    assert engine.jit(f)(0.5, 2.0) == f(0.5, 2.0)


@pytest.mark.parametrize("engine", ENGINES)
def test_two_threads_trace_side_by_side(engine: Any) -> None:
    started = threading.Barrier(2, timeout=60)

    def f(x: Any, n: int) -> Any:
        started.wait()
        for k in range(200):
            x = x * 0.5 + n * k
            if k == 100:
                started.wait()
        return x

    found: dict[int, Any] = {}

    def work(n: int) -> None:
        found[n] = engine.jit(f, static_argnums=1)(1.0, n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    plain = threading.Barrier(1)
    assert [type(found[n]) for n in range(2)] == [float, float]
    started = plain
    assert found == {n: f(1.0, n) for n in range(2)}


@pytest.mark.parametrize("engine", ENGINES)
def test_result_of_another_thread_is_refused(engine: Any) -> None:
    def f(x: Any) -> Any:
        return x * in_a_thread(lambda: engine.Value(2.0) * 3.0)

    with pytest.raises(
        ValueError, match="f must compute in one thread, but the result"
    ):
        engine.jit(f)(1.0)


LENT: dict[str, Callable[[Any, Any], Any]] = {
    "computes": lambda engine, x: x * 2.0,
    "compares": lambda engine, x: bool(x > 0.5),
    "decides": lambda engine, x: bool(x),
    "traces": lambda engine, x: engine.jit(lambda y: y * x)(2.0),
    "traces a branch": lambda engine, x: engine.jit(lambda y: y if y < x else x)(2.0),
}


@pytest.mark.parametrize("use", LENT.values(), ids=LENT)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.filterwarnings("ignore:.*compute in another thread:RuntimeWarning")
def test_number_lent_to_another_thread_is_refused_there(engine: Any, use: Any) -> None:
    said: list[str] = []

    def attempt(x: Any) -> Any:
        try:
            return use(engine, x)
        except ValueError as error:
            said.append(str(error))

    def f(x: Any) -> Any:
        for y in (x, x * 2.0):
            in_a_thread(lambda y=y: attempt(y))
        return x * 3.0

    assert engine.jit(f)(1.0) == 3.0
    assert len(said) == 2
    assert all(
        "f must compute in one thread, but uses its num" in text for text in said
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_blocks_that_open_and_close_inside_are_seen(engine: Any) -> None:
    lines: list[Any] = []

    def f(x: Any) -> Any:
        y = x * 2.0
        with engine.record_lines():
            y = y.sin()
            lines.append(y.line)
            with contextlib.suppress(KeyError), engine.record_lines():
                y = y + 1.0
                raise KeyError
            y = y * y
            lines.append(y.line)
        y = y.exp()
        lines.append(y.line)
        return y

    assert engine.jit(f)(0.5) == f(engine.Value(0.5)).data
    assert [line is None for line in lines[:3]] == [False, False, True]


@pytest.mark.parametrize("engine", ENGINES)
def test_trace_inside_a_trace_keeps_each_to_itself(engine: Any) -> None:
    inner = engine.jit(lambda x: engine.sin(x) * x)

    def f(x: Any) -> Any:
        return inner(x) + inner(2.0) * x

    assert engine.jit(f)(0.5) == f(0.5)


@pytest.mark.parametrize("engine", ENGINES)
def test_leftovers_are_refused_and_all_is_freed(engine: Any) -> None:
    kept: list[Any] = []

    def f(x: Any) -> Any:
        kept[:] = [x, x * 2.0, engine.Value(3.0), engine.Value(2.0) * 2.0]
        return kept[1]

    assert engine.jit(f)(0.5) == 1.0
    for old in kept[:2]:
        with pytest.raises(TypeError, match="left over from compiling"):
            old * 1.0
    assert [(x * 1.0).data for x in kept[2:]] == [3.0, 4.0]
    kept.clear()
    gc.collect()
    assert (engine.Value(2.0) * 2.0).data == 4.0


def test_trace_is_freed_with_all_that_it_has_kept() -> None:
    class Token:
        pass

    token = Token()
    row = ag.Primitive("mine", lambda x, token=token: x, lambda z, x: 1.0)
    trace = traces.Trace([1.0], [Value(2.0)])
    trace.run(lambda xs, row=row: row(xs[0]) * 2.0)
    trace.me = trace  # type: ignore[attr-defined]
    trace.close()
    alive = weakref.ref(token)
    del token, row, trace
    gc.collect()
    assert alive() is None


# ---- what can be done to a recorder --------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_more_rows_than_a_tape_can_name_are_refused(engine: Any) -> None:
    most = recorders.MOST_ROWS
    rows = [engine.Primitive("row", abs, 1.0) for _ in range(most + 1)]

    def f(x: Any, n: int) -> Any:
        for row in rows[:n]:
            x = row(x)
        return x

    traced = import_module(f"{engine.__name__}.compiled.trace").Trace
    for n in (most, most + 1):
        trace = traced([2.0], [])
        refused = pytest.raises(ValueError, match=f"at most {most} primitives")
        with refused if n > most else contextlib.nullcontext():
            out = trace.run(lambda xs, n=n: f(xs[0], n))
        if n == most:
            assert len(trace.tape([out]).code) == n
        trace.close()


def mistakes(cls: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    class Idle(cls):  # type: ignore[misc]
        def meet(self, x: Any) -> None:
            """Say nothing."""

    outer = Value(1.0)
    recorder = cls([1.0])
    yield "no numbers", lambda: cls(1.0)
    yield "text", lambda: cls(["a"])
    yield "twice", lambda: recorder.__init__([1.0])
    yield "see a number", lambda: recorder.see_value(1.0)
    yield "see a leaf", lambda: recorder.see_value(outer)
    yield "see what is older", lambda: recorder.see_value(outer * 2.0)
    yield "leaf of a number", lambda: recorder.leaf(1.0)
    yield "close over a number", lambda: recorder.close_over(1.0)
    yield "fix a number", lambda: recorder.fix(1.0)
    yield "meet nothing", lambda: Idle([1.0]).follows(outer)
    yield "operand of text", lambda: recorder.operand("a")
    yield "recorded text", lambda: recorder.recorded(["a"])
    yield "no slot", lambda: recorder.final(-7)
    yield "empty", lambda: cls.__new__(cls).recorded([])
    yield "unmade", lambda: cls.__new__(cls).see_value(outer * 2.0)


@needs_c
def test_misuse_of_a_recorder_raises_and_crashes_nothing() -> None:
    for what, job in mistakes(recorders.Recorder):
        with pytest.raises(Exception):  # noqa: B017
            print(what, job())
    assert jit(lambda x: x * 2.0)(1.0) == 2.0
