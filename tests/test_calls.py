"""Calls of ready functions in C against the Python that they shorten.

A call is made twice: as anyone makes it, and through the function of Python that the C
stands in for. What comes of it (numbers by their bits, errors by type and message) has
to be the same, and the counters say which calls went through C.
"""

from __future__ import annotations

import gc
import importlib.util
import math
import os
import pickle
import random
import subprocess
import sys
import threading
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from test_jit import BINARY, CHOICES, UNARY, points, program, steps

import autograd as ag
from autograd import (
    Primitive,
    Value,
    grad,
    hessian,
    jit,
    register_tree,
    value_and_grad,
    vmap,
    where,
)
from autograd.accelerator import python_twins
from autograd.compiled import calls
from autograd.compiled.batch import Batched
from autograd.compiled.jit import Compiled
from autograd.compiled.places import Places
from autograd.trees import fill, flatten

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")
pytestmark = pytest.mark.skipif(
    calls.extension is None, reason=f"calls go through Python here: {calls.reason}"
)

EDGES = [0.0, -0.0, 1.0, -2.5, math.nan, math.inf, -math.inf, 5e-324, 1e300]


@pytest.fixture(autouse=True)
def ready_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is compiled after its first call, not after a hundred."""
    monkeypatch.setattr(calls, "OFTEN", 0)


def by_python(f: Any, *args: Any, **kwargs: Any) -> Any:
    """What the function gives without C."""
    return python_twins[type(f)].__call__(f, *args, **kwargs)


def told(x: Any) -> Any:
    """What x is, to the last bit; any NaN is like any other."""
    if type(x) is float:
        return "nan" if x != x else x.hex()
    if isinstance(x, Value):
        return "Value", told(x.data), x.op, [told(d) for d in x.partials]
    if isinstance(x, dict):
        return type(x), [(key, told(item)) for key, item in x.items()]
    if isinstance(x, (list, tuple, deque)):
        return type(x), [told(item) for item in x]
    if is_dataclass(x) or isinstance(x, SimpleNamespace):
        return type(x), told(vars(x))
    if isinstance(x, np.ndarray):
        return x.dtype, x.shape, told(x.ravel().tolist())
    return type(x), x


def outcome(job: Callable[[], Any]) -> Any:
    try:
        return told(job())
    except Exception as error:  # noqa: BLE001
        return type(error), str(error)


def in_c(f: Any) -> int:
    """How many calls, or lanes, of the function C has done."""
    return 0 if f.ready is None else int(f.ready.taken)


def agree(f: Any, *args: Any) -> None:
    """C does the call, and gives what Python gives."""
    by_python(f, *args)
    before = in_c(f)
    found = told(f(*args))
    assert in_c(f) > before, "it went through Python"
    assert found == told(by_python(f, *args))


# ---- what fits -----------------------------------------------------------------------


class Pair(NamedTuple):
    """Two numbers."""

    a: Any
    b: Any


@dataclass
class Layer:
    """Two items and a setting."""

    w: Any
    b: Any
    how: str = "relu"


class Mode(Enum):
    """What is no number."""

    FAST = 1


FORMS: list[Any] = [
    (1.5,), (-2.0, 3.0), (7, 2.0), ([1.0, -2.0, 3],), ((1.0, [2.0, (3.0,)]),),
    ({"w": [1.0, 2.0], "b": 3.0},), ([[1.0], [2.0, 3.0]], 4.0), (Pair(1.0, [2.0]),),
    ({1: 2.0, (3, 4): 5.0},), ([], 1.0), ("fast", 2.0), (None, 1.0, True), ({}, 1.0),
    (np.float64(2.5),), (np.arange(3.0),), (np.arange(6.0).reshape(2, 3), 1.0),
    ([np.arange(2.0), 3.0],), (np.zeros((0, 3)), 1.0), ([1.0, "a", 2.0],),
    (Layer([1.0, 2.0], 3.0), 4.0), (Layer(Layer(1.0, 2.0), {"a": 3.0}, "tanh"),),
    (OrderedDict(a=[1.0, 2.0], b=3.0), 1.0), (defaultdict(list, a=[1.0]), 2.0),
    (SimpleNamespace(x=1.0, y=[2.0, 3.0]),), (MappingProxyType({"x": 1.0}), 2.0),
    (deque([1.0, 2.0]), 3.0), ([1.0] * 700, 2.0), ([[[x / 7] for x in range(40)]] * 9,),
    ({"w": [[1.0] * 16] * 16, "b": [2.0] * 16},), (((1.0,) * 300, [2, 3] * 50),),
    (np.arange(3.0, dtype="f4"), 1.0), (np.arange(6).reshape(2, 3), 1.0),
    (np.array([True, False]), 1.0), (np.array([2**63 + 1025], "u8"), 1.0),
    (np.arange(5, dtype="i1")[::-2], 1.0), (np.array(2.5), np.array(3)),
    (np.float32(0.1), [np.int64(7), np.uint8(3), np.float16(0.1)]),
    (Mode.FAST, 1.0), (np.True_, 2.0), (Layer(Mode.FAST, [1.0, None, "a"]),),
]  # fmt: skip


def numbers_in(tree: Any) -> list[Any]:
    if isinstance(tree, (Layer, SimpleNamespace)):
        tree = vars(tree)
    if isinstance(tree, (dict, MappingProxyType)):
        tree = list(tree.values())
    if isinstance(tree, np.ndarray):
        return list(tree.ravel())
    if isinstance(tree, (list, tuple, deque)):
        return [x for item in tree for x in numbers_in(item)]
    static = (str, bool, np.bool_, Mode)
    return [] if tree is None or isinstance(tree, static) else [tree]


def summed(*args: Any) -> Any:
    total = 0.5
    for i, x in enumerate(numbers_in(args)):
        total = total + ag.sin(x * (i + 1.0)) * x
    return total


@pytest.mark.parametrize("args", FORMS)
def test_arguments_of_every_form_are_read(args: Any) -> None:
    agree(jit(summed), *args)


RESULTS: list[Callable[[Any], Any]] = [
    lambda x: x, lambda x: [x, 2.0 * x], lambda x: (x, (x * x, 1.0)),
    lambda x: {"a": x, "b": [x, {"c": -x}]}, lambda x: [x, None, "text", True],
    lambda x: Pair(x, -x),
    lambda x: [], lambda x: ({}, x), lambda x: [[x] * 3, [x, x + 1.0]],
    lambda x: np.array([[x, x * x], [1.0, -x]], dtype=object),
    lambda x: (np.array([x], dtype=object), x),
    lambda x: Layer([x, 2.0 * x], (x, 1.0), "tanh"), lambda x: [Layer(x, None)] * 3,
    lambda x: OrderedDict(a=x, b=[x * x]), lambda x: SimpleNamespace(x=x, y=[x, x]),
    lambda x: defaultdict(list, a=[x]), lambda x: deque([x, -x], maxlen=3),
    lambda x: [[x * i for i in range(70)] for _ in range(6)],
]  # fmt: skip


@pytest.mark.parametrize("f", RESULTS)
def test_results_of_every_form_are_built(f: Any) -> None:
    for x in EDGES:
        agree(jit(f), x)


@pytest.mark.parametrize("transform", [lambda f: f, grad, value_and_grad, hessian])
def test_edges_have_the_bits_of_python_and_of_eager(transform: Any) -> None:
    def f(x: Any) -> Any:
        return where(x > 0, ag.sqrt(x) * x, ag.div(ag.exp(x), x)) + ag.relu(x) * x * x

    compiled = jit(transform(f))
    compiled(1.0)
    for x in EDGES:
        agree(compiled, x)
        assert told(compiled(x)) == told(transform(f)(x))


def test_path_is_compiled_once_it_is_called_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "OFTEN", 3)
    f = jit(kinked)
    for x in (1.0, 2.0, -0.5):
        assert f(x) == kinked(x) and f.ready is None
    f(3.0), f(4.0)
    assert in_c(f) == 0 and f.ready is not None
    agree(f, 5.0)
    f(-0.5)
    assert f.ready is None and [path.taken for path in f.paths] == [7, 2]


def test_array_comes_as_an_array_of_its_own() -> None:
    f = jit(grad(lambda x: x[0] * x[1] + x[2]))
    x = np.array([2.0, 3.0, 4.0])
    agree(f, x)
    first, second = f(x), f(x)
    first[0] = 9.0
    assert second.tolist() == [3.0, 2.0, 1.0] and x.tolist() == [2.0, 3.0, 4.0]
    assert second.flags.writeable and second.flags.c_contiguous


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::2, ::2], lambda a: a[::-1][:2, :3], lambda a: a.T[:2, :3],
        lambda a: np.broadcast_to(a[0, :3], (2, 3)), np.asfortranarray,
    ],
)  # fmt: skip
def test_array_of_any_strides_is_read(view: Any) -> None:
    table = np.random.default_rng(0).normal(size=(4, 5))
    table.flags.writeable = False
    agree(jit(summed), view(table)[:2, :3])


# ---- what does not -------------------------------------------------------------------


class Sub(float):
    """A float that is more than one."""


class Items(list):  # type: ignore[type-arg]
    """A list that is more than one."""


ODD: list[Any] = [
    (True, 2.0), (1.0, False), (10**400, 1.0), (Fraction(1, 3), 2.0), (Sub(2.0), 1.0),
    (np.int64(3), 1.0), (np.float32(0.1), 1.0), (np.array(2.0), 1.0), (None, 1.0),
    ("a", 1.0), (1j, 1.0), (object(), 1.0), ([1.0], 2.0), (1.0,), (), (1.0, 2.0, 3.0),
    (Value(2.0), 1.0), (Value(2.0), Value(3.0)), (np.ones(1), 1.0), ({"a": 1.0}, 2.0),
]  # fmt: skip


@pytest.mark.parametrize("args", ODD)
def test_call_that_does_not_fit_is_left_to_python(args: Any) -> None:
    f = jit(lambda x, y: (x * y if x is not True else y) + 1.0)
    f(1.5, 2.0), f(1.5, 2.0)
    assert in_c(f) == 1
    assert outcome(lambda: f(*args)) == outcome(lambda: by_python(f, *args))
    agree(f, 2.5, 3.0)


ODD_TREES: list[Any] = [
    {"a": [1.0, 2.0], "b": np.ones(2)}, {"b": np.ones(2), "a": [1.0, 2.0]},
    OrderedDict(a=[1.0, 2.0], b=np.ones(2)), {"a": Items([1.0, 2.0]), "b": np.ones(2)},
    {"a": (1.0, 2.0), "b": np.ones(2)}, {"a": [1.0], "b": np.ones(2)},
    {"a": [1.0, 2.0, 3.0], "b": np.ones(2)}, {"a": [1.0, 2.0], "b": np.ones(3)},
    {"a": [1.0, 2.0], "b": np.ones((1, 2))}, {"a": [1.0, 2.0], "b": np.ones(2, "f4")},
    {"a": [1.0, 2.0], "b": np.ones(2, ">f8")}, {"a": [1.0, 2.0], "b": np.ones(2, int)},
    {"a": [1.0, 2.0], "b": np.ones(2, "O")}, {"a": [1.0, Value(2.0)], "b": np.ones(2)},
    {"a": [1.0, 2.0], "b": np.ones(2).view(np.recarray)}, {"a": [1.0, 2.0]},
    {"a": [1.0, True], "b": np.ones(2)}, {"a": [1.0, 2.0], "b": [1.0, 1.0]},
    {"a": [1.0, 2.0], "b": np.ma.masked_array(np.ones(2))}, {"a": [1.0, 2.0], "b": 1.0},
    {"a": [1.0, 2.0], "B": np.ones(2)}, Pair([1.0, 2.0], np.ones(2)), [[1.0, 2.0], 1.0],
]  # fmt: skip


@pytest.mark.parametrize("tree", ODD_TREES)
def test_container_that_is_another_is_left_to_python(tree: Any) -> None:
    f, known = jit(summed), {"a": [1.0, 2.0], "b": np.ones(2)}
    f(known), f(known)
    assert in_c(f) == 1
    assert outcome(lambda: f(tree)) == outcome(lambda: by_python(f, tree))
    agree(f, known)


def test_forms_that_take_turns_stay_in_c() -> None:
    f = jit(summed)
    rows = [[0.5 * i] * 9 for i in range(9)]
    forms = [(rows, [1.0] * n) for n in range(1, 5)] + [(rows, 2.0), ({"w": rows}, 2.0)]
    for args in forms:
        f(*args), f(*args)
    for args in [*forms, *forms[::2], *forms[::-1]]:
        agree(f, *args)
        before = taken(f)
        f(*args)
        assert taken(f) == before + 1


def taken(f: Any) -> int:
    """Calls that C has done, of all forms."""
    return sum(path.taken - path._taken for path in f.paths)


def test_more_forms_than_are_known_give_what_python_gives() -> None:
    f = jit(summed)
    for n in [*range(1, 40), *range(39, 0, -1), 3, 39, 3]:
        x = [0.1 * i for i in range(n)]
        assert told(f(x)) == told(by_python(f, x)) == told(summed(x))


def test_values_and_numbers_take_turns_in_c() -> None:
    f = jit(lambda x, y: x * y)
    v = Value(3.0)
    for _ in range(2):
        f(2.0, 3.0), f(v, 3.0)
    for _ in range(3):
        agree(f, 2.0, 5.0)
        agree(f, v, 5.0)


class Model:
    """Values for a function to close over."""

    def __init__(self, *numbers: float) -> None:
        self.p = [Value(x) for x in numbers]


def test_forms_are_forgotten_with_what_they_rested_on() -> None:
    model = Model(2.0)
    old = weakref.ref(model)
    f = jit(lambda x, *more: x * sum(model.p) + len(more))
    for args in ((1.0,), (1.0, 2.0)):
        f(*args), f(*args), f(*args)
    assert taken(f) == 4
    for n in (2, 3):  # of the one before, paths are kept, which may come again
        model = Model(*[1.0] * n)
        assert [f(1.0).data, f(1.0, 2.0).data, f(1.0).data] == [n, n + 1, n]
    gc.collect()
    assert old() is None


class Greedy:
    """A container that takes the others apart while it is read."""

    def __init__(self, others: list[Any], x: Any = 2.0) -> None:
        self.others, self.x = others, x


def flatten_greedy(x: Greedy) -> Any:
    x.others[1:] = []
    gc.collect()
    return [x.x], None


register_tree(Greedy, flatten_greedy, lambda rest, items: Greedy([], *items))


def test_arguments_may_change_while_they_are_read() -> None:
    def f(x: Any) -> Any:
        return sum([sum(row) for row in x if type(row) is list]) + 1.0

    compiled = jit(f)
    whole = [[1.0, 2.0], Greedy([]), [3.0], [4.0]]
    compiled(whole), compiled(whole)
    shrinking: list[Any] = [[1.0, 2.0], None, [3.0], [4.0]]
    shrinking[1] = Greedy(shrinking)
    assert outcome(lambda: compiled(shrinking)) == told(f([[1.0, 2.0]]))
    inner: list[Any] = [None, [5.0]]
    inner[0] = Greedy(inner)
    rows = [inner, [1.0]]
    deeper = jit(lambda x: x[0][1][0] if len(x[0]) > 1 else x[1][0])
    known = [[Greedy([]), [5.0]], [1.0]]
    deeper(known), deeper(known)
    assert deeper(known) == 5.0 and deeper(rows) == 1.0


def test_interrupt_while_a_container_is_taken_apart_reaches_the_caller() -> None:
    class Odd:
        alarm = False

        def __init__(self, x: Any = 1.0) -> None:
            self.x = x

    def taken_apart(x: Odd) -> Any:
        if Odd.alarm:
            raise KeyboardInterrupt
        return [x.x], None

    register_tree(Odd, taken_apart, lambda rest, items: Odd(*items))
    f = jit(lambda x, y: y * 2.0)
    f(Odd(), 1.0), f(Odd(), 1.0)
    agree(f, Odd(), 2.0)
    Odd.alarm = True
    with pytest.raises(KeyboardInterrupt):
        f(Odd(), 1.0)


def test_keywords_are_read_in_c() -> None:
    f = jit(lambda x, y=2.0, *, scale=1.0: (x[0] - y) * scale)
    x = [3.0, 4.0]
    calls = [{}, {"y": 1.5}, {"scale": 2.0}, {"y": 1.0, "scale": 3.0}]
    for names in calls:
        f(x, **names), f(x, **names)
    for names in [*calls, *calls]:
        before = taken(f)
        assert f(x, **names) == by_python(f, x, **names)
        assert f(**{"x": x, **names}) == f(x, **names)
        assert taken(f) >= before + 2 - (before == 0)
    assert f(x, scale=3.0, y=1.0) == 6.0 == f(x, y=1.0, scale=3.0)
    with pytest.raises(TypeError, match="unexpected keyword"):
        f(x, z=2.0)


def test_keywords_are_told_apart() -> None:
    f = jit(lambda x, y=2.0: x - y)
    assert [f(1.0, 2.0), f(1.0, y=4.0), f(y=5.0, x=1.0), f(1.0)] == [
        -1.0,
        -3.0,
        -4.0,
        -1.0,
    ]
    assert f(*(1.0, 2.0)) == -1.0
    with pytest.raises(TypeError, match="unexpected keyword"):
        f(1.0, z=2.0)


def test_static_arguments_are_told_apart() -> None:
    f = jit(lambda n, x: x * n, static_argnums=0)
    for n in (2, 2.0, True, 1, 10**20, 10**20, 0.0, -0.0, "ab"):
        for x in (3, 4):
            assert outcome(lambda n=n, x=x: f(n, x)) == outcome(
                lambda n=n, x=x: by_python(f, n, x)
            )
    flag = jit(lambda x, up: x + 1.0 if up else x - 1.0)
    assert [flag(1.0, up) for up in (True, True, False, 1.0, True)] == [2, 2, 0, 2, 2]


def test_keys_that_are_equal_but_not_the_same_are_left_to_python() -> None:
    f = jit(lambda d: sum(d.values()) * 2.0)
    for key in (1, 1.0, True, 2**70, 2**70, "k" * 3):
        assert f({key: 3.0}) == 6.0 == f({key: 3.0})


def test_a_method_is_compiled_with_its_owner_as_an_argument() -> None:
    class Scale(NamedTuple):
        by: float

        @jit
        def __call__(self, x: Any) -> Any:
            return self.by * x

    assert [Scale(2.0)(3.0), Scale(4.0)(3.0), Scale(4.0)(5.0)] == [6.0, 12.0, 20.0]


# ---- branches ------------------------------------------------------------------------


def kinked(x: Any) -> Any:
    return x * x if x > 0 else -x if x > -1 else ag.sin(x)


def test_branches_are_followed_in_c_and_counted() -> None:
    f = jit(kinked)
    points = [
        1.0,
        -0.5,
        -3.0,
        *random.Random(0).choices([*EDGES, -0.5, -3.0, 2.0], k=200),
    ]
    for x in points:
        assert told(f(x)) == told(kinked(x))
    assert sorted(path.taken for path in f.paths) == sorted(
        [
            sum(x > 0 for x in points),
            sum(not x > 0 and x > -1 for x in points),
            sum(not x > 0 and not x > -1 for x in points),
        ]
    )
    assert sum(path.ready[False].taken for path in f.paths) >= len(points) - 9


@settings(max_examples=60, deadline=None, derandomize=True)
@given(steps(UNARY + CHOICES, BINARY, "ubbwi"), points)
def test_random_programs_have_the_bits_of_python_in_c(plan: Any, at: Any) -> None:
    for f in (program(plan), value_and_grad(program(plan), (0, 1))):
        compiled = jit(f)
        for x, y in [*at, *at]:
            assert told(compiled(x, y)) == told(by_python(compiled, x, y))
        assert sum(path.taken for path in compiled.paths) == 4 * len(at)


def test_path_and_tape_are_those_of_the_last_call() -> None:
    f = jit(kinked)
    for x in (1.0, -0.5, 1.0, -0.5, 2.0):
        f(x)
    assert "mul(x0, x0)" in str(f.tape())
    f(-0.5)
    assert "neg(x0)" in str(f.tape())
    f.path(2.0)
    assert "mul(x0, x0)" in str(f.tape()) and "define" in f.ir() and "def" in f.source()


def test_branch_no_one_has_taken_is_traced_by_python() -> None:
    f = jit(kinked)
    f(1.0), f(1.0)
    assert in_c(f) == 1
    assert f(-0.5) == 0.5 and len(f.paths) == 2


# ---- Values, watchers, rows that call back -------------------------------------------


def test_closed_over_value_is_read_at_every_call() -> None:
    p = Value(3.0)
    f = jit(lambda x: x * p)
    assert [f(2.0).data, f(2.0).data] == [6.0, 6.0]
    p.data = 5.0
    assert f(2.0).data == 10.0 and f(2.0).parents == (p,)


def test_path_without_the_value_of_another_stays_in_c() -> None:
    p = Value(3.0)
    f = jit(lambda x: x * p if x > 0 else -x)
    assert [told(f(x)) for x in (-1.0, -2.0, -3.0)] == [
        told(x) for x in (1.0, 2.0, 3.0)
    ]
    assert in_c(f) == 2 and f(2.0).data == 6.0
    p.data = 4.0
    assert [f(2.0).data, told(f(-1.0)), f(2.0).data] == [8.0, told(1.0), 8.0]


def test_whoever_watches_sees_each_operation() -> None:
    f = jit(lambda x: ag.log(x) * 2.0)
    f(1.0), f(1.0)
    with ag.detect_anomaly(), pytest.raises(FloatingPointError, match="log"):
        f(Value(0.0))
    assert jit(lambda x: f(x) + 1.0)(1.0) == 1.0
    agree(f, 1.0)


def test_row_that_calls_back_may_raise_and_call_again() -> None:
    def value(x: float) -> float:
        if x < 0:
            raise RuntimeError("below")
        return f(x - 1.0) if x >= 1 else 2.0

    row = Primitive("custom", value, lambda z, x: 1.0)
    f = jit(lambda x: row(x) + 0.25)
    for _ in range(3):
        assert f(2.0) == 2.75 and f(0.5) == 2.25
        with pytest.raises(RuntimeError, match="below"):
            f(-1.0)


def test_result_whose_container_calls_again_is_right() -> None:
    class Busy(Pair):
        def __new__(cls, a: Any, b: Any) -> Any:
            if type(a) is float and a < 3:
                f(a + 1.0)
            return super().__new__(cls, a, b)

    f = jit(lambda x: Busy(x, 10.0 * x))
    f(0.0)
    assert [told(f(0.0)), told(f(1.0))] == [
        (Busy, [told(x), told(10 * x)]) for x in (0.0, 1.0)
    ]


# ---- nodes ---------------------------------------------------------------------------


def agree_on_node(f: Any, *args: Any) -> None:
    agree(f, *args)
    for found, known in zip(flat(f(*args)), flat(by_python(f, *args))):
        assert type(found) is type(known)
        if isinstance(found, Value):
            assert [*map(id, found.parents)] == [*map(id, known.parents)]
            assert told(list(found.args)) == told(list(known.args))


def flat(tree: Any) -> list[Any]:
    return [tree] if isinstance(tree, Value) else numbers_in(tree)


V, W = Value(1.5, label="v"), Value(-0.75)

ON_VALUES: list[Any] = [
    (V,), (V, W), (V, 2.0), (3, V), (np.float64(2.0), V), ([V, 1.0, W],),
    ({"a": [W]}, V), (Pair(V, [2.0]), None, "text"), (np.arange(3.0), V),
    ([V] * 5, [W] * 5), (V * W, W),
]  # fmt: skip


@pytest.mark.parametrize("args", ON_VALUES)
def test_call_on_values_is_a_node_made_in_c(args: Any) -> None:
    agree_on_node(jit(summed), *args)


@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: where(x > 0, y, x * y), lambda x, y: ag.maximum(x, y) * x,
        lambda x, y: ag.relu(x - y) + ag.clip(y, 0.0, 1.0), lambda x, y: [x / y],
        lambda x, y: {"z": (ag.stop_gradient(x) * y, "text")}, lambda x, y: x > y,
        lambda x, y: ag.stop_gradient(x * y), lambda x, y: ag.pow(x, y),
        lambda x, y: x * y if x > y else ag.sin(x) - y, lambda x, y: y * 2.0,
    ],
)  # fmt: skip
def test_nodes_leave_out_what_python_leaves_out(f: Any) -> None:
    compiled = jit(f)
    for a in EDGES:
        for b in (1.0, -0.5, math.nan):
            x, y = Value(a), Value(b)
            for args in ((x, y), (x, b), (a, y), (x, x)):
                found, known = compiled(*args), by_python(compiled, *args)
                assert told(found) == told(known)
    assert sum(path.taken for path in compiled.paths) == 8 * len(EDGES) * 3


def test_nodes_on_branches_are_made_in_c() -> None:
    f = jit(kinked)
    for x in (1.0, -0.5, -3.0):
        f(Value(x)), f(Value(x)), f(Value(x))
    for x in (2.0, -0.25, -4.0, 3.0):
        agree_on_node(f, Value(x))
    for x in (2.0, -0.25, -4.0):
        agree(f, x)


def test_node_of_a_closed_over_value_is_made_in_c() -> None:
    p, q = Value(3.0), Value(7.0)
    f = jit(lambda x: x * p if x > 0 else x * q + p)
    for x in (1.0, -1.0, 2.0, -2.0):
        f(x), f(x)
        agree_on_node(f, x)
        agree_on_node(f, Value(x))
    p.data = 5.0
    agree_on_node(f, 2.0)
    assert (f(2.0).data, f(2.0).parents, f(-2.0).parents) == (10.0, (p,), (p, q))


def test_node_made_in_c_has_every_further_derivative() -> None:
    def cube(x: Any, y: Any) -> Any:
        return x * x * x * y

    f, x, y = jit(cube), Value(2.0), Value(3.0)
    agree_on_node(f, x, y)
    (f(x, y) * f(x, y)).backward()
    z = cube(2.0, 3.0)
    assert (x.grad, y.grad) == (2 * z * 36.0, 2 * z * 8.0)
    assert hessian(f, argnums=(0, 1))(2.0, 3.0) == ((36.0, 12.0), (12.0, 0.0))
    assert grad(grad(grad(f)))(2.0, 3.0) == 18.0
    copied = pickle.loads(pickle.dumps(f(x, y)))
    assert told(copied) == told(f(x, y))


def test_value_left_over_from_a_trace_is_refused() -> None:
    kept: list[Any] = []
    jit(lambda x: kept.append(x * 2.0) or x)(1.0)  # type: ignore[func-returns-value]
    f, v = jit(lambda x: x * x), Value(1.0)
    agree_on_node(f, v)
    assert outcome(lambda: f(kept[0])) == outcome(lambda: by_python(f, kept[0]))
    agree_on_node(f, v)


# ---- many, long, elsewhere -----------------------------------------------------------


def long(x: Any) -> Any:
    for i in range(2000):
        x = [x[0] * 0.5 + x[1], x[1] * 0.25 - x[0] + i]
    return x


@pytest.mark.parametrize("f", [kinked, lambda x: long([x, -x])])
def test_threads_do_not_meet(f: Any) -> None:
    compiled, points = jit(f), [i / 7.0 for i in range(-40, 40)]
    expected, found = [told(f(x)) for x in points], []

    def work() -> None:
        found.append([told(compiled(x)) for _ in range(3) for x in points])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected * 3] * 4
    assert sum(path.taken for path in compiled.paths) == 4 * 3 * len(points)


def test_pickled_function_is_ready_again_and_keeps_count() -> None:
    f = jit(kinked)
    f(1.0), f(2.0), f(3.0)
    there = pickle.loads(pickle.dumps(f))
    assert type(there) is Compiled and there.ready is None
    assert [path.taken for path in there.paths] == [3]
    agree(there, 2.0)


IMMORTAL = 1 << 30  # the least count of what lives for ever, from CPython 3.12 on: C of
# the limited API still counts its references, CPython does not when they are dropped


def test_nothing_leaks() -> None:
    f = jit(
        lambda x, y: {"a": [x[0], y], "b": Pair(np.array([x[1], y], dtype=object), 1)}
    )
    total = vmap(
        value_and_grad(lambda w, x: w[0] * x), in_axes=(None, 0), reduce="mean"
    )
    g, x, w, xs = jit(kinked), np.ones(2), [2.0], np.arange(300.0)
    lanes = vmap(lambda x: (x, [x, x * x]))
    lists, v, p = [1.0, 2.0, 3.0], Value(2.0), Value(3.0)
    node = jit(lambda x, y: [where(x > 0, x * y * p, y)])
    other = jit(lambda x, y: Layer(x.w[0] * y, [OrderedDict(a=x.w[1])], x.how))
    small, layer = np.arange(300.0, dtype="f4"), Layer([1.0, 2.0], np.float32(3.0))

    def step() -> None:
        total(w, small), other(layer, 2.0), other(layer, y=2.0)
        other(layer, np.int8(3))
        other(Layer(small, 2.0), 1.0), other(layer, y=np.array(2.0))
        f(x, 2.0), g(1.0), g(-0.5), g(-3.0), total(w, xs), total(w, lists)
        (
            lanes(xs),
            lanes(lists),
            outcome(lambda: lanes(3.0)),
            node(v, 2),
            node(-1.0, v),
            node(v, v),
        )
        outcome(lambda: f(x, "a" + str(1.0)))

    def grown() -> int:
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(300):
            step()
        gc.collect()
        return sys.getallocatedblocks() - before

    for _ in range(5):
        step()
    held = [x, xs, lists, v, p, *([None] if sys.getrefcount(None) < IMMORTAL else [])]
    gc.collect()
    count = [*map(sys.getrefcount, held)]
    assert min(grown() for _ in range(5)) < 100
    after = [*map(sys.getrefcount, held)]
    assert after[:3] == count[:3]
    assert max(a - b for a, b in zip(after, count)) < 100


def test_dropped_function_is_freed_with_its_code() -> None:
    f = jit(kinked)
    f(1.0), f(-0.5), f(1.0), f(-0.5)
    code = [weakref.ref(path.executable) for path in f.paths]
    gone = weakref.ref(f)
    del f
    gc.collect()
    assert gone() is None and [ref() for ref in code] == [None, None]


def call_without_memory() -> None:
    import _testcapi

    calls.OFTEN = 0  # type: ignore[misc]
    f = jit(lambda x: [x[0], (x[1], np.array([x[0] * 600.0], dtype=object))])
    total = vmap(lambda w, x: [w * x], in_axes=(None, 0), reduce="sum")
    x, xs = np.ones(600), np.arange(300.0)
    lanes, v = vmap(lambda x: (x, [x, x * x])), Value(2.0)
    node = jit(lambda x: [x[0] * x[1] + x[2]])
    other = jit(lambda x, y: Layer(x.w[0] * y, [x.b] * 2))
    jobs = [
        lambda: other(Layer([1.0, 2.0], 3.0), y=2.0),
        lambda: f(x),
        lambda: total(2.0, xs),
        lambda: total(2.0, [1.0, 2.0]),
        lambda: lanes(xs),
        lambda: lanes([1.0, 2.0]),
        lambda: node([v] * 3),
    ]
    for job in jobs:
        job(), job(), job()
        expected, failures = told(job()), 0
        for n in range(40):
            found = None
            _testcapi.set_nomemory(n, n + 1)
            try:
                found = job()
            except MemoryError:
                failures += 1
            finally:
                _testcapi.remove_mem_hooks()
            assert found is None or told(found) == expected
        assert failures > 0 and told(job()) == expected


@pytest.mark.skipif(
    importlib.util.find_spec("_testcapi") is None or sys.version_info >= (3, 12),
    reason="no _testcapi, or a Python that fails itself where an allocation does",
)
def test_failed_allocations_are_errors_or_go_unnoticed() -> None:
    """In a process of its own, in which no thread or old garbage asks for memory."""
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c",
         "import test_calls; test_calls.call_without_memory()"],
        env={**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{here.parent}"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_c_refuses_what_no_function_can_be_called_by() -> None:
    extension = calls.extension
    assert extension is not None
    f = jit(kinked)
    f(1.0)
    with pytest.raises(TypeError, match="must be a Ready, a Mapped or None"):
        f.ready = 1.0
    for sizes, takes in (
        ((2, 1, 0, 0), [(0, 1, None, False)]),
        ((1, 1, 0, 0), [(77, 1, None, False)]),
        ((3, 1, 0, 0), [(2, 2, None, True)]),
    ):
        gives = [(0, 1, None, False)]
        with pytest.raises(ValueError, match="Ready"):
            code = 0, 0, None
            extension.Ready(None, code, sizes, takes, (), gives, False, Places())
    with pytest.raises(IndexError):
        f.ready.leads(10, f.ready)


# ---- sums over a batch ---------------------------------------------------------------


def loss(w: Any, x: Any, y: Any) -> Any:
    return (w[0] * ag.tanh(x[0] + w[1]) + x[1] * w[2] - y) ** 2


STEP = value_and_grad(loss)
DATA = np.random.default_rng(1).normal(size=(3000, 5))


@pytest.mark.parametrize("n", [1, 7, 8, 100, 128, 129, 1000, 1024, 1025, 3000])
@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_sums_have_the_bits_of_python_whatever_the_length(n: int, reduce: Any) -> None:
    f = vmap(STEP, in_axes=(None, 0, 0), reduce=reduce)
    xs, ys = DATA[:n, :2], DATA[:n, 2]
    agree(f, np.array([0.5, -0.25, 2.0]), xs, ys)
    agree(f, [0.5, -0.25, 2.0], xs.copy(), ys.copy())
    agree(f, [0.5, -0.25, 2], xs.tolist(), ys.tolist())
    agree(f, (0.5, -0.25, 2.0), xs.tolist(), ys[::-1])


def test_sums_of_other_batches_follow_one_another() -> None:
    f = vmap(STEP, in_axes=(None, 0, 0), reduce="sum")
    w = np.array([0.5, -0.25, 2.0])
    for n in (10, 500, 10, 3):
        for stride in (1, 2, -1):
            xs, ys = DATA[::stride][:n, :2], DATA[::stride][:n, 2]
            agree(f, w, xs, ys)
    fortran = np.asfortranarray(DATA)[:, :2]
    agree(f, w, fortran, DATA[:, 2])
    agree(f, w, DATA[:40, :4:2], DATA[:40, 2])
    many = np.asfortranarray(np.ones((40_000, 2)))
    assert told(f(w, many, many[:, 1])) == told(f(w, many.copy("C"), many[:, 1]))
    assert told(f(w, fortran, DATA[:, 2])) == told(f(w, DATA[:, :2], DATA[:, 2]))
    for kind in ("f4", "i4", ">f8", "?", "f2"):
        xs = DATA[:, :2].astype(kind)
        assert told(f(w, xs, DATA[:, 2])) == told(by_python(f, w, xs, DATA[:, 2]))
    for kind in ("f4", "i4", "?", "u1", "i8"):
        agree(f, w.astype("f4"), np.abs(DATA[:, :2]).astype(kind), DATA[:, 2])
    for kind in ("f4", "i4", "u1", "i8"):
        agree(f, w, DATA[:, :2], np.abs(DATA[:, 2]).astype(kind))


def test_batches_in_containers_are_summed() -> None:
    f = vmap(
        lambda w, data, flag: [summed(w, data), {"x": data["x"][0] * 2.0}],
        in_axes=(None, 0, None),
        reduce="sum",
    )
    data = {"x": (DATA[:50, 0], DATA[:50, 1:4]), "y": DATA[:50, 4].tolist()}
    agree(f, {"a": 1.5}, data, "text")
    agree(f, {"a": 1.5}, {**data, "y": DATA[:50, 4].copy()}, "text")
    swapped = {"y": data["y"], "x": data["x"]}
    call = ({"a": 1.5}, swapped, "text")
    assert outcome(lambda: f(*call)) == outcome(lambda: by_python(f, *call))


def test_results_of_a_sum_are_containers_and_arrays() -> None:
    f = vmap(
        lambda x: Pair(np.array([x, x * x], dtype=object), [x, (1.0, x > 0, None)]),
        reduce="mean",
    )
    agree(f, DATA[:300, 0])


ODD_BATCHES: list[Any] = [
    ([1.0, 2.0], [1.0]), ([], []), (np.ones(0), np.ones(0)), (np.ones(2), np.ones(3)),
    ([1.0, "a"], [1.0, 2.0]), ([1.0, None], [1.0, 2.0]), (np.ones((2, 1)), np.ones(2)),
    ([1.0, True], [1.0, 2.0]), ([Value(1.0), 2.0], [1.0, 2.0]), (1.0, 2.0),
    ([[1.0], 2.0], [1.0, 2.0]), ((1.0, 2.0), (1.0, 2.0)), ([1.0, 2.0],),
    (np.ones(2, object), np.ones(2)), ({"a": [1.0]}, [1.0]),
]  # fmt: skip


def test_batches_of_several_kinds_take_turns_in_c() -> None:
    f = vmap(lambda w, x: summed(w, x), in_axes=(None, 0), reduce="sum")
    w = [[0.1 * i] * 20 for i in range(5)]
    batches = [np.ones((9, k)) for k in range(1, 5)]
    batches += [np.ones(9), [1.0] * 9, np.ones((9, 2)).tolist(), [(1.0, 2.0)] * 3]
    for xs in batches:
        f(w, xs)
    ways = [way for tree in f._trees.values() for way in tree.ways]
    for xs in [*batches, *batches[::-1]]:
        before = sum(way.taken - way.counted for way in ways)
        assert told(f(w, xs)) == told(by_python(f, w, xs))
        assert sum(way.taken - way.counted for way in ways) == before + len(xs)


@pytest.mark.parametrize("args", ODD_BATCHES)
def test_batch_that_does_not_fit_is_left_to_python(args: Any) -> None:
    f = vmap(lambda x, y: x * y, reduce="mean")
    for known in (([1.0, 2.0], [3.0, 4.0]), (np.ones(2), np.ones(2))):
        f(*known)
        assert outcome(lambda: f(*args)) == outcome(lambda: by_python(f, *args))
        agree(f, *known)


def test_lanes_that_leave_the_path_are_left_to_python_and_counted() -> None:
    f = vmap(value_and_grad(kinked), reduce="sum")
    above, mixed = np.abs(DATA[:300, 0]) + 0.1, DATA[:300, 0]
    agree(f, above)
    for _ in range(2):
        assert told(f(mixed)) == told(by_python(f, mixed))
    agree(f, above)
    (tree,) = f._trees.values()
    assert sum(way.taken for way in tree.ways) == 300 * 10


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 1e308, -0.0, 5e-324])
def test_sums_of_odd_numbers_have_the_bits_of_python(odd: float) -> None:
    f = vmap(lambda x: [x, -x, x * 0.0], reduce="sum")
    for n, k in ((5, 1), (600, 1), (600, 2), (600, 600), (5, 5)):
        xs = np.zeros(n)
        xs[:k] = odd
        xs[n // 2 :] *= -1.0
        f(xs)
        assert told(f(xs)) == told(by_python(f, xs))


def test_sum_of_blocks_is_rounded_once() -> None:
    f, source = vmap(lambda x: x, reduce="sum"), random.Random(3)
    for _ in range(200):
        blocks = source.randrange(2, 12)
        xs = np.zeros(128 * blocks)
        xs[::128] = [
            source.choice([1, -1]) * 2.0 ** source.uniform(-80, 80)
            for _ in range(blocks)
        ]
        f(xs)
        before = in_c(f)
        assert f(xs) == math.fsum(xs.tolist()) and in_c(f) > before
    tie = np.zeros(384)
    tie[::128] = 1.0, 2.0**-53, 2.0**-80
    assert f(tie) == 1.0 + 2.0**-52


@pytest.mark.parametrize("n", [1, 7, 8, 100, 129, 3000])
def test_lanes_have_the_bits_of_python_whatever_the_length(n: int) -> None:
    f = vmap(STEP, in_axes=(None, 0, 0))
    xs, ys, w = DATA[:n, :2], DATA[:n, 2], np.array([0.5, -0.25, 2.0])
    for _ in range(2):
        agree(f, w, xs, ys)
        agree(f, w.tolist(), xs.copy(), ys.copy())
        agree(f, w, xs.tolist(), ys[::-1])


LANES: list[Callable[[Any], Any]] = [
    lambda x: x[0], lambda x: [x[0], x[1], 1.0], lambda x: 2.0,
    lambda x: {"a": x[0], "b": (x[1], {"c": [[x[0], 2.0], [x[1], 3.0]]})},
    lambda x: (x[0], Pair(x[1], [x[0]] * 2)),
    lambda x: np.array([[x[0], x[1]], [x[1], 1.0]], dtype=object), lambda x: ([], x[0]),
    lambda x: [[], []], lambda x: ({}, x[1]), lambda x: [x[0]] * 9,
    lambda x: [np.array([x[0], x[1]], dtype=object)] * 3,
    lambda x: (x[0], [[np.array([x[1]], dtype=object)]]),
]  # fmt: skip


@pytest.mark.parametrize("f", LANES)
def test_lanes_of_every_form_come_in_arrays_or_lists(f: Any) -> None:
    g = vmap(f)
    for n in (1, 8, 60):
        agree(g, DATA[:n, 1:3])
        agree(g, DATA[:n, 1:3].tolist())
    first, again = g(DATA[:5, 1:3]), g(DATA[:5, 1:3])
    assert told(first) == told(again)


ODD_LANES: list[Callable[[Any], Any]] = [
    lambda x: [x[0], [x[1]]], lambda x: (x[0], None), lambda x: [(x[0], x[1])],
    lambda x: {"how": "text", "x": x[1]},
    lambda x: [np.array([x[0]], dtype=object), [x[1]]],
]  # fmt: skip


@pytest.mark.parametrize("f", ODD_LANES)
def test_lanes_that_are_no_arrays_are_left_to_python(f: Any) -> None:
    g = vmap(f)
    for _ in range(2):
        assert told(g(DATA[:9, 1:3])) == told(by_python(g, DATA[:9, 1:3]))
    assert in_c(g) == 0


def test_lanes_on_other_paths_are_left_to_python() -> None:
    f = vmap(value_and_grad(kinked))
    above, mixed = np.abs(DATA[:300, 0]) + 0.1, DATA[:300, 0]
    agree(f, above)
    for xs in (mixed, above.tolist(), mixed, mixed.astype("f4"), above[:0], [1.0]):
        assert told(f(xs)) == told(by_python(f, xs))
        agree(f, above)


def test_values_take_part_in_sums_again_once_f_closes_over_one() -> None:
    p = Value(2.0)
    f = vmap(lambda x: x * p if x > 5 else x, reduce="sum")
    agree(f, np.ones(4))
    assert type(f(np.array([1.0, 6.0]))) is Value
    found = f(np.ones(4))
    assert told(found) == told(by_python(f, np.ones(4)))


def test_watched_sum_is_seen_lane_by_lane() -> None:
    f = vmap(lambda x: ag.log(x), reduce="sum")
    agree(f, np.ones(3))
    with ag.detect_anomaly(), pytest.raises(FloatingPointError, match="log"):
        f([Value(1.0), Value(0.0)])


def test_threads_sum_in_rooms_of_their_own() -> None:
    f = vmap(STEP, in_axes=(None, 0, 0), reduce="mean")
    xs, ys, found = DATA[:, :2], DATA[:, 2], {}
    f([0.1, 0.2, 0.3], xs, ys)

    def work(i: int) -> None:
        w = [0.1 * i, 0.2, 0.3]
        found[i] = {str(told(f(w, xs, ys))) for _ in range(50)}

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        assert found[i] == {str(told(by_python(f, [0.1 * i, 0.2, 0.3], xs, ys)))}


def test_pickled_batched_function_is_ready_again() -> None:
    f = vmap(kinked, reduce="sum")
    xs = np.linspace(1.0, 2.0, 9)
    agree(f, xs)
    there = pickle.loads(pickle.dumps(f))
    assert type(there) is Batched and there.ready is None
    agree(there, xs)


# ---- results that are bools ----------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x > 1, lambda x: (x > 1, x), lambda x: [x, x <= 1, x > 0],
        lambda x: {"on": x != 2, "y": x * 2}, lambda x: x > 1 if x > 0 else 0.0,
        lambda x: x > 0 and x < 2, lambda x: not x > 1,
        lambda x: (x, True) if x > 1 else (2.0, x > 0),
        lambda x: np.array([x, x + 1.0]),
    ],
)  # fmt: skip
def test_comparisons_come_out_as_bools_from_c_as_from_python(f: Any) -> None:
    compiled, lanes = jit(f), vmap(f)
    xs = [1.0, 2.0, -1.0, 3.0]
    for x in xs * 60:
        assert repr(compiled(x)) == repr(fill(flatten(f(x))[1], flatten(f(x))[0]))
    assert (
        compiled.ready is not None or compiled.path().form.__class__.__name__ == "Array"
    )
    if f(1.0) is True or f(1.0) is False:
        assert lanes(xs) == [f(x) for x in xs]
        if all(type(f(x)) is bool for x in xs):
            assert all(type(y) is bool for y in lanes(xs))
            assert lanes(np.array(xs)).dtype == bool
