"""What hostile or unlucky code can do to the engines: odd operands, wrong calls, lost
references, cycles, and memory that runs out. Nothing crashes, nothing leaks, and both
engines say the same.
"""

from __future__ import annotations

import array
import decimal
import fractions
import gc
import importlib.util
import operator
import os
import random
import struct
import subprocess
import sys
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_python import ENGINES, ROWS, needs_c, on_both, python_engine, row_of

import autograd
from autograd import Primitive, Value
from autograd.recorder import Recorder
from autograd.value import topological

HERE = Path(__file__).resolve().parent

both_engines = pytest.mark.parametrize("engine", ENGINES, ids=lambda e: e.__name__)

# ---- the same errors -----------------------------------------------------------------


class Whole(int):
    """An int of another type."""


class Half(float):
    """A float of another type."""


class Raises:
    """What is no number and says so in its own way."""

    def __float__(self) -> float:
        raise RuntimeError("no float today")

    def __repr__(self) -> str:
        return "Raises()"


class Index:
    """An index, but no number."""

    def __index__(self) -> int:
        return 3

    def __repr__(self) -> str:
        return "Index()"


class Vector:
    """A foreign class that takes Values as factors."""

    def __rmul__(self, other: Any) -> str:
        return f"rmul by {other!r}"

    def __radd__(self, other: Any) -> Any:
        return NotImplemented

    def __repr__(self) -> str:
        return "Vector()"


class Array:
    """A foreign array."""

    __array_function__ = None

    def __rsub__(self, other: Any) -> str:
        return f"rsub from {other!r}"

    def __repr__(self) -> str:
        return "Array()"


class Wordless:
    """An object whose text cannot be had."""

    def __repr__(self) -> str:
        raise LookupError("no text")


def quiet_nan() -> float:
    """A NaN with a payload and a sign."""
    (x,) = struct.unpack("<d", struct.pack("<Q", 0xFFF8_1234_5678_9ABC))
    return float(x)


def forged_nan() -> float:
    """The NaN by which C marks an operand that is left out."""
    (x,) = struct.unpack("<d", struct.pack("<Q", 0x7FF4_A1B2_C3D4_E5F6))
    return float(x)


ODD: list[Callable[[], Any]] = [
    lambda: None, lambda: "1", lambda: b"1", lambda: 1j, lambda: [1.0], lambda: (),
    dict, lambda: {1.0}, lambda: object, lambda: 10**400, lambda: -(10**400),
    lambda: 2**1024 - 2**970, lambda: 2**53 + 1, lambda: 3, lambda: True,
    lambda: Whole(3), lambda: Half(2.5), lambda: Half("nan"), Raises, Index, Vector,
    Array, Wordless, quiet_nan, forged_nan, lambda: decimal.Decimal("1.5"),
    lambda: fractions.Fraction(1, 3), lambda: fractions.Fraction(10**400),
    lambda: np.float64(1.5), lambda: np.float32(0.1), lambda: np.int8(-3),
    lambda: np.bool_(True), lambda: np.complex128(1j), lambda: np.str_("x"),
    lambda: np.datetime64("2020-01-01"), lambda: np.array(2.0), lambda: np.array("x"),
    lambda: np.array([1.0, 2.0]), lambda: np.array([], dtype=object),
    lambda: np.longdouble(1.5), lambda: array.array("d", [1.0]),
    lambda: (x for x in ()), lambda: range(3), lambda: float, lambda: Ellipsis,
    lambda: NotImplemented, lambda: "x" * 100, lambda: memoryview(b"12345678"),
    lambda: 1.5, lambda: -0.0, lambda: float("inf"),
]  # fmt: skip

BINARY = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.pow,
    operator.mod, operator.floordiv, divmod, operator.matmul, operator.and_,
    operator.lshift, operator.iadd, operator.isub, operator.imul, operator.itruediv,
    operator.ipow, operator.imod, operator.lt, operator.le, operator.eq, operator.ne,
    operator.gt, operator.ge, operator.contains, getattr, operator.getitem, isinstance,
]  # fmt: skip


@needs_c
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("apply", BINARY, ids=lambda f: f.__name__)
def test_operators_do_the_same_with_odd_operands(apply: Any) -> None:
    def call(engine: Any, odd: Any, reflected: bool) -> Any:
        operands = engine.Value(1.5), odd()
        return apply(*operands[::-1] if reflected else operands)

    for i, odd in enumerate(ODD):
        for reflected in (False, True):
            found, expected = on_both(call, odd, reflected)
            assert found == expected, (i, odd)


@needs_c
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ROWS)
def test_rows_do_the_same_with_odd_operands(name: str) -> None:
    chance = random.Random(name)
    for _ in range(150):
        size = chance.randint(0, 4)
        picks = [chance.randrange(-len(ODD), len(ODD)) for _ in range(size)]
        found, expected = on_both(odd_call, name, picks)
        assert found == expected, [ODD[i] for i in picks if i >= 0]


def odd_call(engine: Any, name: str, picks: list[int]) -> Any:
    args = [ODD[i]() if i >= 0 else engine.Value(i / 8) for i in picks]
    return row_of(engine, name)(*args)


@needs_c
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("attribute", ["data", "grad", "label"])
def test_assignments_do_the_same_with_odd_numbers(attribute: str) -> None:
    def assigned(engine: Any, computed: bool, odd: Any, seen: list[Any]) -> Any:
        v = engine.Value(2.0, "v")
        w = v * 3.0 if computed else v
        w.backward()
        try:
            setattr(w, attribute, odd())
        finally:
            seen.append((repr(v), repr(w)))
        return w

    for odd in ODD:
        for computed in (False, True):
            seen: list[Any] = []
            found, expected = on_both(assigned, computed, odd, seen)
            assert found == expected, odd
            assert seen[0] == seen[1]


@needs_c
@pytest.mark.filterwarnings("ignore")
def test_construction_does_the_same_with_odd_numbers() -> None:
    for odd in ODD:
        for call in (
            lambda e, odd: e.Value(odd()),
            lambda e, odd: e.Value(data=odd()),
            lambda e, odd: e.Value(1.0, odd()),
            lambda e, odd: e.Value(1.0, label=odd()),
            lambda e, odd: e.Primitive("f", lambda x: x, odd()),
            lambda e, odd: e.Primitive("f", lambda y: odd(), 1.0)(e.Value(1.0)),
            lambda e, odd: e.Primitive("f", lambda y: y, lambda z, y: odd())(
                e.Value(1.0)
            ),
            lambda e, odd: e.Primitive("f", max, lambda z, *y: odd())(
                e.Value(1.0), 2.0
            ),
            lambda e, odd: e.Primitive("f", odd(), 1.0)(e.Value(1.0)),
        ):
            found, expected = on_both(call, odd)
            assert found == expected, odd


WRONG: dict[str, Callable[[Any], Any]] = {
    "float": lambda e: float(e.Value(1.0)),
    "int": lambda e: int(e.Value(1.0)),
    "complex": lambda e: complex(e.Value(1.0)),
    "round": lambda e: round(e.Value(1.0)),
    "round to": lambda e: round(e.Value(1.0), 2),
    "index": lambda e: [1, 2][e.Value(1.0)],
    "as_integer_ratio": lambda e: e.Value(1.0).as_integer_ratio(),
    "len": lambda e: len(e.Value(1.0)),
    "iter": lambda e: list(e.Value(1.0)),
    "call": lambda e: e.Value(1.0)(),
    "negative of a class": lambda e: -e.Value,
    "invert": lambda e: ~e.Value(1.0),
    "nested": lambda e: e.Value(e.Value(1.0)),
    "assign data": lambda e: setattr(e.Value(1.0) * 2.0, "data", 1.0),
    "assign grad": lambda e: setattr(e.Value(1.0).sin(), "grad", 1.0),
    "assign row of a user": lambda e: setattr(
        e.Primitive("mine", lambda x: x, 1.0)(e.Value(1.0)), "data", 1.0
    ),
    "subclass": lambda e: type("Tensor", (e.Value,), {}),
    "new attribute": lambda e: setattr(e.Value(1.0), "gard", 0.0),
    "hash": lambda e: {e.Value(1.0): 1} == {},
    "format": lambda e: format(e.Value(1.0), "d"),
    "positional too many": lambda e: e.sin(1.0, 2.0),
    "positional too few": lambda e: e.add(e.Value(1.0)),
    "none": lambda e: e.sin(),
    "leaky_relu of none": lambda e: e.leaky_relu(),
    "clip of one": lambda e: e.clip(e.Value(1.0)),
    "dot of odd": lambda e: e.dot(e.Value(1.0), 2.0, 3.0),
    "dot of one list": lambda e: e.dot([e.Value(1.0)]),
    "dot of lengths": lambda e: e.dot([e.Value(1.0)], [1.0, 2.0]),
    "dot of list and number": lambda e: e.dot([e.Value(1.0)], 2.0),
    "dot of nested": lambda e: e.dot([[e.Value(1.0)]], [[2.0]]),
    "dot of str": lambda e: e.dot([e.Value(1.0)], ["2"]),
    "dot of strings": lambda e: e.dot("ab", "cd"),
    "dot of nothing": lambda e: e.dot([], []),
    "dot of tuples": lambda e: e.dot((e.Value(1.0),), (2.0,)),
    "dot of ints": lambda e: e.dot([e.Value(1.0), 2], [3, True]),
    "prod of nothing": lambda e: e.prod([]),
    "hypot of none": lambda e: e.hypot(),
    "logsumexp of str": lambda e: e.logsumexp([e.Value(1.0), "x"]),
    "no partials": lambda e: e.Primitive("f", lambda x: x),
    "wrong number of partials": lambda e: e.Primitive(
        "f", lambda *xs: 1.0, lambda z, *xs: [1.0]
    )(e.Value(1.0), e.Value(2.0)),
    "no iterable of partials": lambda e: e.Primitive(
        "f", lambda *xs: 1.0, lambda z, *xs: 1.0
    )(e.Value(1.0), e.Value(2.0)),
    "complex value": lambda e: e.Primitive("f", lambda x: x * 1j, 1.0)(e.Value(1.0)),
    "complex partial": lambda e: e.Primitive("f", lambda x: x, lambda z, x: 1j)(
        e.Value(1.0)
    ),
    "None value": lambda e: e.Primitive("f", lambda x: None, 1.0)(e.Value(1.0)),
    "raising value": lambda e: e.Primitive("f", lambda x: {}[x], 1.0)(e.Value(1.0)),
    "raising rule": lambda e: e.Primitive("f", abs, lambda z, x: {}[x])(e.Value(1.0)),
    "overflowing value": lambda e: e.Primitive("f", lambda x: 10.0**999, 1.0)(
        e.Value(1.0)
    ),
    "value of two": lambda e: e.Primitive("f", lambda x, y: x, 1.0)(e.Value(1.0)),
    "domain error": lambda e: e.Primitive("f", lambda x: 1 / 0, 1.0)(e.Value(1.0)),
    "integer value": lambda e: e.Primitive("f", lambda x: 3, 2)(e.Value(1.0)),
    "value with a default": lambda e: e.Primitive(
        "f", lambda x, y=2.0: x * y, lambda z, x, y: y, lambda z, x, y: x
    )(e.Value(3.0)),
    "backward with an argument": lambda e: e.Value(1.0).backward(1.0),
    "apply": lambda e: e.Value._apply(e.sin, ("x",)),
    "pow with modulus": lambda e: pow(e.Value(2.0), 2, 3),
    "pow of modulus": lambda e: pow(2, 2, e.Value(3.0)),
    "copysign": lambda e: e.copysign(e.Value(1.0), "x"),
    "where of str": lambda e: e.where("x", e.Value(1.0), 2.0),
    "where of list": lambda e: e.where([1], e.Value(1.0), 2.0),
    "method atan2": lambda e: e.Value(1.0).atan2("x"),
    "method clip": lambda e: e.Value(5.0).clip(0, 1),
    "method hypot": lambda e: e.Value(3.0).hypot(4, 12),
    "method leaky_relu": lambda e: e.Value(-3.0).leaky_relu(),
    "weak reference": lambda e: weakref.ref(e.Value(1.0)),
    "grad of str": lambda e: e.grad(lambda x: x)("x"),
    "grad of none": lambda e: e.grad(lambda x: None)(1.0),
    "backward twice": lambda e: [
        (x := e.Value(2.0)), (y := x * x), y.backward(), y.backward(), x.grad
    ],
    "unreached is not zero": lambda e: [
        (x := e.Value(2.0)), setattr(x, "grad", 0), x.reached
    ],
    "augmented": lambda e: operator.iadd(e.Value(1.0), "x"),
    "list repeated": lambda e: [1.0] * e.Value(2.0),
    "text formatted": lambda e: f"{e.Value(2.0)} {e.Value(2.0):.2f}",
}  # fmt: skip
BY_THE_INTERPRETER = (  # the text of such errors is CPython's, not ours
    "backward with an argument", "new attribute",
)  # fmt: skip


@needs_c
@pytest.mark.parametrize("what", WRONG)
def test_calls_have_the_same_result_or_the_same_error(what: str) -> None:
    found, expected = on_both(WRONG[what])
    if what in BY_THE_INTERPRETER:
        assert expected[0] == "raised"
        found, expected = found[:2], expected[:2]
    assert found == expected


@both_engines
@pytest.mark.parametrize("name", ["args", "op", "parents", "partials", "data", "grad"])
def test_public_attributes_cannot_be_deleted(engine: Any, name: str) -> None:
    for v in (engine.Value(1.0), engine.Value(1.0).sin()):
        with pytest.raises((AttributeError, TypeError)):
            delattr(v, name)
        assert repr(v).startswith("Value(")


@both_engines
def test_keyword_operands_are_a_type_error(engine: Any) -> None:
    for call in (
        lambda: engine.sin(x=1.0),
        lambda: engine.add(engine.Value(1.0), y=2.0),
        lambda: engine.dot(xs=[1.0], ys=[2.0]),
        lambda: engine.Value(1.0, colour="red"),
        lambda: engine.Value(),
        lambda: engine.Value(1.0, "a", "b"),
    ):
        with pytest.raises(TypeError):
            call()


# ---- code that runs in the middle ----------------------------------------------------


class Mutating(float):
    """A Real whose float drops what the caller holds."""

    def __init__(self, number: float) -> None:
        self.victims: list[Any] = []

    def __float__(self) -> float:
        self.victims.clear()
        gc.collect()
        return 1.5


@both_engines
def test_operand_that_drops_the_other_operand_is_survived(engine: Any) -> None:
    for apply in BINARY[:6]:
        odd = Mutating(1.5)
        odd.victims.append(engine.Value(2.0).sin())
        assert apply(odd.victims[0], odd).op
        odd.victims.append(engine.Value(2.0).sin())
        assert apply(odd, odd.victims[0]).op


@both_engines
def test_operand_that_empties_the_operands_is_survived(engine: Any) -> None:
    for row in (engine.dot, engine.prod, engine.hypot, engine.logsumexp):
        odd = Mutating(1.5)
        odd.victims = [engine.Value(2.0).exp(), odd, engine.Value(3.0).exp(), 1.0]
        row(odd.victims).backward()
        assert odd.victims == []


@both_engines
@pytest.mark.parametrize("name", ["raw", "float_rules", "rules"])
@pytest.mark.parametrize("place", ["value", "rule"])
def test_rule_that_takes_its_row_apart_is_survived(
    engine: Any, name: str, place: str
) -> None:
    def rule(z: Any, x: Any, y: Any) -> Any:
        if place == "rule":
            delattr(row, name)
        return y

    def value(x: float, y: float) -> float:
        if place == "value":
            delattr(row, name)
        return x * y

    row = engine.Primitive("frail", value, rule, rule)
    for _ in range(2):
        try:
            y = row(engine.Value(2.0), engine.Value(3.0))
            y.backward()
            assert y.op == "frail"
        except (AttributeError, TypeError):
            assert not hasattr(row, name)


@pytest.fixture
def eager_collector() -> Iterator[None]:
    """A collector that starts at any container that is made, once it is enabled."""
    before = gc.get_threshold()
    gc.collect()
    gc.disable()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)
    gc.enable()


def at_next_collection(action: Callable[[], object]) -> None:
    class Trap:
        def __del__(self) -> None:
            action()

    trap: Any = Trap()
    trap.itself = trap
    del trap
    gc.enable()


def foreign(engine: Any, number: float) -> Any:
    """A Value by a user's row, for the collector to know."""
    return engine.Primitive("own", lambda x: number, lambda z, x: number)(
        engine.Value(1.0)
    )


@both_engines
@pytest.mark.usefixtures("eager_collector")
def test_default_that_a_collection_replaces_is_held(engine: Any) -> None:
    row, x = row_of(engine, "leaky_relu"), foreign(engine, -1.0)
    defaults = row.defaults
    for k in range(50):
        slope = 0.5 + k
        row.defaults = (-slope,)
        at_next_collection(partial(setattr, row, "defaults", (k + 0.25,)))
        z = row(x)
        gc.disable()
        row.defaults = defaults
        assert (z.data, z.args[1]) in [(slope, -slope), (-k - 0.25, k + 0.25)]


@both_engines
@pytest.mark.usefixtures("eager_collector")
def test_value_that_a_collection_takes_from_its_array_is_held(engine: Any) -> None:
    for k in range(50):
        lent = np.array([None])
        lent[0] = foreign(engine, float(k))
        at_next_collection(partial(lent.fill, None))
        z = operator.add(lent, 1.0)[0]
        gc.disable()
        assert (z.data, z.parents[0].data) == (k + 1.0, float(k))


class Replacing(fractions.Fraction):
    """A number that takes from an array what NumPy has lent to an operator."""

    array: Any = None

    def __float__(self) -> float:
        self.array[0] = None
        return 2.0


@both_engines
@pytest.mark.parametrize("swapped", [False, True])
def test_value_that_its_array_loses_meanwhile_is_held(
    engine: Any, swapped: bool
) -> None:
    for k in range(50):
        lent, odd = np.array([None]), np.array([Replacing(1)], dtype=object)
        lent[0], odd[0].array = engine.Value(float(k)), lent
        z = (odd * lent if swapped else lent * odd)[0]
        assert (z.data, z.parents[0].data) == (2.0 * k, float(k))
        assert lent[0] is None


@both_engines
def test_row_that_was_never_set_up_is_an_error(engine: Any) -> None:
    hollow = engine.Primitive.__new__(engine.Primitive)
    for call in (
        lambda: hollow(),
        lambda: hollow(1.0),
        lambda: hollow(x=1.0),
        lambda: hollow(engine.Value(1.0)),
        lambda: hollow(engine.Value(1.0), "x"),
        lambda: engine.Value._apply(hollow, (engine.Value(1.0), 2)),
    ):
        with pytest.raises((AttributeError, TypeError)):
            call()


@both_engines
def test_row_with_a_name_that_is_no_text_is_refused(engine: Any) -> None:
    with pytest.raises(TypeError, match="name must be a str, but is 3; "):
        engine.Primitive(3, lambda x: x, 1.0)


@needs_c
def test_name_of_a_row_stays_a_text() -> None:
    row = autograd.Primitive("frail", lambda x: x, 1.0)
    for spoil in (lambda: delattr(row, "name"), lambda: setattr(row, "name", 3)):
        with pytest.raises(TypeError, match="must be a str"):
            spoil()
    assert row(autograd.Value(2.0)).op == "frail"


@both_engines
def test_node_made_with_wrong_parts_is_an_error_or_sound(engine: Any) -> None:
    node = engine.value._node
    v = engine.Value(2.0)
    assert told_grad(node(engine.mul, 4.0, (v, 3.0), (3.0, None)), v) == 3.0
    if not engine.accelerated:
        return
    for parts in (
        (engine.mul, 4.0, (v, 3.0), (3.0,)),
        (engine.mul, 4.0, (v, "x"), (3.0, None)),
        (engine.mul, 4.0, [v], (3.0,)),
        (engine.mul, "x", (v,), (3.0,)),
        ("mul", 4.0, (v,), (3.0,)),
        (),
    ):
        with pytest.raises((TypeError, ValueError)):
            node(*parts)


def told_grad(y: Any, x: Any) -> float:
    y.backward()
    grad: float = x.grad
    return grad


@both_engines
def test_forged_nan_is_a_nan_like_any_other(engine: Any) -> None:
    x = engine.Value(2.0)
    y = x * forged_nan()
    assert y.parents == (x,) and y.partials[0] != y.partials[0]
    y.backward()
    assert x.grad != x.grad
    x, y = engine.Value(forged_nan()), engine.Value(1.0)
    (x * y).backward()
    assert x.grad == 1.0 and y.grad != y.grad


# ---- references ----------------------------------------------------------------------


PUBLIC = ("data", "grad", "op", "args", "parents", "partials", "label", "reached")
PRIVATE = ("_data", "_grad", "_row", "_args", "_partials", "_note", "_made")


def everything(engine: Any) -> dict[str, Callable[[], Any]]:
    """A job for every kind of thing that can be done with Values, errors as well."""
    leaf, other = engine.Value(0.75, "leaf"), engine.Value(1.5)
    mine = engine.Primitive("mine", lambda x, y: x * y, lambda z, x, y: y, 2.0)
    rows = {name: row_of(engine, name) for name in ROWS}
    node = (leaf * other).sin()
    jobs: dict[str, Callable[[], Any]] = {
        f"row {name}": partial(row, *[leaf, other, leaf, 2.0][: row.arity or 4])
        for name, row in rows.items()
    }
    jobs |= {
        f"operator {f.__name__} {kind}": lambda f=f, x=x: f(node, x)
        for f in BINARY
        for kind, x in (("Value", other), ("float", 2.5), ("int", 3), ("str", "x"))
    }
    jobs |= {f"reflected {f.__name__}": lambda f=f: f(2.5, node) for f in BINARY[:6]}
    jobs |= {f"wrong: {what}": lambda f=f: f(engine) for what, f in WRONG.items()}
    jobs |= {
        "construct": lambda: engine.Value(1.0, label="x"),
        "construct from int": lambda: engine.Value(7),
        "user's row": lambda: mine(node, 2.0),
        "node above user's row": lambda: mine(node, other) * leaf,
        "user's row on floats": lambda: mine(1.0, 2.0),
        "dot of lists": lambda: engine.dot([leaf, 1.0] * 40, [other, node] * 40),
        "dot of floats": lambda: engine.dot([1.0, 2.0], [3.0, 4.0]),
        "attributes": lambda: [getattr(v, a) for v in (leaf, node) for a in PUBLIC],
        "private": lambda: [getattr(v, a) for v in (leaf, node) for a in PRIVATE],
        "assign": lambda: [setattr(leaf, "data", 0.75), setattr(leaf, "grad", 0.0)],
        "label": lambda: [setattr(node, "label", "n" * 50), repr(node)],
        "backward": lambda: (node * 2.0).backward(),
        "topological": lambda: engine.value.topological(node, node * leaf, whole=True),
        "topological wrong": lambda: engine.value.topological(node, since="x"),
        "grad": lambda: engine.grad(engine.grad(lambda x: x * leaf * x))(2.0),
        "jvp": lambda: engine.jvp(lambda x: x.exp() * x, (2.0,), (1.0,)),
        "copy": lambda: __import__("copy").deepcopy(node),
        "pickle": lambda: __import__("pickle").dumps(node),
        "watched": lambda: watched(engine, leaf),
        "compare": lambda: (
            node < other,
            node == 1,
            node != "x",
            bool(node),
            hash(node),
        ),
    }
    return jobs


def watched(engine: Any, x: Any) -> None:
    with engine.record_lines(), engine.detect_anomaly():
        (x * 2.0).backward()
        (x - x).log()


JOBS = sorted(everything(python_engine))

# CPython 3.12.1 and 3.13.0 crash by themselves where a generator or a traceback gets no
# memory, and under pytest they also count blocks and references of their own.
up_to_3_11 = pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="CPython 3.12 and 3.13 themselves fail this"
)


MEASURES = 8  # each of which a leak must show: what else a process does comes and goes


def leaks(job: Callable[[], Any], shared: list[Any]) -> int:
    """What 300 runs of a job leave behind each time it is measured, at least.

    Of blocks, and of references to what is shared; a round that leaves few ends it.
    """

    def grown(collect: Callable[[], Any]) -> int:
        collect()
        before = sys.getallocatedblocks(), [*map(sys.getrefcount, shared)]
        for _ in range(300):
            outcome_of(job)
        collect()
        after = sys.getallocatedblocks(), [*map(sys.getrefcount, shared)]
        counts = [abs(a - b) for a, b in zip(after[1], before[1])]
        return max(after[0] - before[0], *counts)

    found = []
    for collect in [int] * 2 + [gc.collect] * MEASURES:  # which takes longer than a job
        found.append(grown(collect))
        if found[-1] <= 100:
            break
    return min(found)


def report_leaks(name: str) -> None:
    """Print what leaks of what Values of that engine do, by job."""
    warnings.simplefilter("ignore")
    engine = sys.modules[name]
    jobs = everything(engine)
    shared = [None, engine.sin, engine.Value, engine.value.UNREACHED, ()]
    leaky = {what: leaks(jobs[what], shared) for what in JOBS}
    print({what: grown for what, grown in leaky.items() if grown > 100})


@up_to_3_11
@both_engines
def test_nothing_that_values_do_leaks_a_block_or_a_reference(engine: Any) -> None:
    """In a process where nothing else has run, or still does."""
    name = engine.__name__
    done = subprocess.run(
        [sys.executable, "-c", f"import test_hostile as t; t.report_leaks({name!r})"],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]),
        },
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "{}\n"


def outcome_of(job: Callable[[], Any]) -> None:
    with suppress(Exception):
        job()


def at_every_other_run(what: Callable[[], Any]) -> Callable[[], None]:
    """A job that keeps something half of the time."""
    kept: list[Any] = []
    return lambda: kept.append(what() if len(kept) % 2 else None)


@up_to_3_11
@pytest.mark.skipif(
    not sys.getallocatedblocks(), reason="PYTHONMALLOC=malloc counts no blocks"
)
def test_a_block_lost_at_every_other_run_is_found() -> None:
    assert leaks(at_every_other_run(object), [object]) > 100
    assert leaks(at_every_other_run(lambda: 0), [object]) <= 100


@up_to_3_11
def test_a_reference_lost_at_every_other_run_is_found() -> None:
    lost = object()
    assert leaks(at_every_other_run(lambda: lost), [lost]) > 100
    assert leaks(at_every_other_run(lambda: 0), [lost]) <= 100


@both_engines
def test_references_of_operands_are_exact(engine: Any) -> None:
    x, number, row = engine.Value(2.0), 3.25, engine.Primitive("f", max, 1.0, 0.0)
    counted = (x, number, row)

    def counts() -> list[int]:
        return [sys.getrefcount(item) for item in counted]

    before = counts()
    nodes = [x * number, number - x, x + x, engine.dot([x, number], [number, x])]
    assert counts()[0] == before[0] + 6
    nodes += [row(x, number)]
    assert counts()[2] == before[2] + 1
    nodes[0].backward()
    del nodes
    assert counts() == before


@both_engines
def test_references_stay_exact_after_errors(engine: Any) -> None:
    x, odd = engine.Value(2.0), Raises()
    before = sys.getrefcount(x), sys.getrefcount(odd)
    for apply in BINARY[:6]:
        for _ in range(3):
            outcome_of(partial(apply, x, odd))
            outcome_of(partial(apply, odd, x))
    for row in (engine.sin, engine.add, engine.dot, engine.clip, engine.hypot):
        outcome_of(partial(row, x, odd))
        outcome_of(partial(row, odd, x))
        outcome_of(partial(row, [x, x], [odd, x]))
        outcome_of(partial(row, [x], [x, x]))
    assert (sys.getrefcount(x), sys.getrefcount(odd)) == before


# ---- cycles --------------------------------------------------------------------------


class Token:
    """Something that a cycle keeps alive."""


def cycle(engine: Any, above: Callable[[Any], Any]) -> Any:
    """A user's row whose function holds a node computed with it; a reference to it."""
    token, held = Token(), list[Any]()

    def value(x: float) -> float:
        return x + 0.0 * len(held) + 0.0 * isinstance(token, Token)

    row = engine.Primitive("circular", value, 1.0)
    held.append(above(row(engine.Value(2.0))))
    held[0].backward()
    return weakref.ref(token)


@both_engines
@pytest.mark.parametrize(
    "above",
    [
        lambda y: y,
        lambda y: y * 2.0,
        lambda y: (y.sin() + 1.0).exp(),
        lambda y: autograd_dot(y),
        lambda y: y.relu().maximum(0.0) if hasattr(y, "maximum") else y.relu(),
        lambda y: [y, y * y, [y.tanh()]][1],
    ],
)
def test_cycle_through_a_users_row_is_collected(engine: Any, above: Any) -> None:
    reference = cycle(engine, above)
    gc.collect()
    assert reference() is None


def autograd_dot(y: Any) -> Any:
    engine = autograd if type(y) is Value else python_engine
    return engine.dot([y, 1.0], [y, 2.0])


@both_engines
def test_cycle_through_a_label_is_collected(engine: Any) -> None:
    class Name(str):
        __slots__ = ("__dict__", "__weakref__")

    name: Any = Name("x")
    name.node = engine.Value(1.0, label=name) * 2.0
    reference = weakref.ref(name)
    del name
    gc.collect()
    assert reference() is None


@needs_c
def test_only_nodes_that_may_be_in_a_cycle_are_tracked() -> None:
    mine = Primitive("mine", lambda x: x, 1.0)
    x = Value(2.0)
    plain = [x, x * 2.0, x.sin(), autograd.dot([x], [x]), autograd.gamma(x)]
    foreign = [mine(x), mine(x) * 2.0, mine(x).sin(), autograd.dot([mine(x)], [x])]
    assert not any(map(gc.is_tracked, plain))
    assert all(map(gc.is_tracked, foreign))


def test_users_row_lives_as_long_as_its_nodes() -> None:
    token = Token()
    row = Primitive("mine", lambda x, token=token: x, lambda z, x: 1.0)
    reference = weakref.ref(token)
    y = row(Value(2.0)) * 3.0
    del row, token
    gc.collect()
    assert y.args[0].op == "mine" and reference() is not None
    del y
    gc.collect()
    assert reference() is None


# ---- memory that runs out ------------------------------------------------------------
# Run in a process of its own, so that a crash is reported as one.

needs_testcapi = pytest.mark.skipif(
    importlib.util.find_spec("_testcapi") is None,
    reason="this Python has no _testcapi to make allocations fail",
)


def in_a_process(job: Callable[[], None]) -> None:
    program = f"import test_hostile; test_hostile.{job.__name__}()"
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def with_each_allocation_failing(
    job: Callable[[], Any], check: Callable[[bool], None]
) -> int:
    """Run the job with its 1st, 2nd, 3rd … allocation failing, until none does. How
    often there was no memory.

    After each, check(python) is told whether it ran out in a Python function that the
    job called: there CPython 3.11 itself loses references, as in f(*xs) without memory
    for the tuple.
    """
    import _testcapi

    failures, quiet, n = 0, 0, 0
    while quiet < 25:
        failed = python = False
        _testcapi.set_nomemory(n, n + 1)
        try:
            job()
        except MemoryError as error:
            _testcapi.remove_mem_hooks()
            failed = True
            place = traceback.extract_tb(error.__traceback__)[-1]
            python = place.filename != __file__
        finally:
            _testcapi.remove_mem_hooks()
        failures += failed
        quiet = 0 if failed else quiet + 1
        n += 1
        check(python)
    return failures


def recording_without_memory() -> None:
    x, y = Value(2.0), Value(3.0)
    mine = Primitive("mine", lambda x, y: x * y, lambda z, x, y: y, lambda z, x, y: x)
    many = [x, y] * 50
    rows = {name: row_of(autograd, name) for name in ROWS}
    # CPython 3.11 cannot raise without memory, as rules may outside the domain
    near = Value(0.5)
    jobs: dict[str, Callable[[], Any]] = {
        name: partial(
            row, *[near if row.domain[1] < 2 else x, y, x, y][: row.arity or 4]
        )
        for name, row in rows.items()
    }
    jobs |= {
        "x * y": lambda: x * y, "x + 2.0": lambda: x + 2.0, "2.0 / x": lambda: 2.0 / x,
        "x ** 3": lambda: x**3, "sin": lambda: x.sin(), "-x": lambda: -x,
        "bool": lambda: x * True, "mine": lambda: mine(x, y),
        "above mine": lambda: mine(x, 2.0).sin(), "leaf": lambda: Value(1.5),
        "leaf of int": lambda: Value(3), "labelled": lambda: Value(1.5, "name"),
        "dot": lambda: autograd.dot(many, many), "relu": lambda: autograd.leaky_relu(x),
        "args": lambda: (x * y).args, "partials": lambda: (x * y).partials,
        "parents": lambda: (x * y).parents, "all": lambda: (x * y)._partials,
        "float": lambda: autograd.mul(2.5, 3.5), "data": lambda: setattr(x, "data", 2),
        "topological": lambda: topological(x * y), "deep copy": lambda: x.__reduce__(),
        "error": lambda: outcome_of(lambda: x + "x"), "compare": lambda: x < 2,
        "wrong": lambda: outcome_of(lambda: autograd.sin(x=1.0)),
    }  # fmt: skip
    for what, job in jobs.items():
        records_without_memory(what, job, (x, y, mine, autograd.mul))
        assert (x.data, y.data, x.reached) == (2.0, 3.0, False)


def records_without_memory(what: str, job: Callable[[], Any], counted: Any) -> None:
    for _ in range(5):
        job()

    def check(python: bool) -> None:
        nonlocal before
        after = [*map(sys.getrefcount, counted)]
        assert python or after == before, what
        before = after

    before = [*map(sys.getrefcount, counted)]
    with_each_allocation_failing(job, check)


class Closing(Recorder):
    """Takes whatever it meets for an input."""

    meet = Recorder.close_over


def tracing_without_memory() -> None:
    outer, mine = Value(2.0), Primitive("mine", abs, 1.0)

    def few() -> None:
        recorder = Closing([1.0, 2.0])
        first = recorder.arguments[0]
        for x in (first * outer, mine(first), first * 0.5):
            recorder.see_value(x)
            recorder.truth(x)
        recorder.recorded([first, x, 0.25])
        recorder.close()

    def many() -> None:
        recorder = Closing([1.0])
        for k in range(150):
            recorder.see_value(recorder.arguments[0] * float(k))

    for job in (few, many):
        records_without_memory(job.__name__, job, (outer, mine, autograd.mul))
    assert (Value(2.0) * 2.0).data == 4.0


def sweeping_without_memory() -> None:
    x = Value(2.0)
    y = x
    for _ in range(3000):
        y = y * 0.5 + x
    wide = autograd.dot([x * 1.0 for _ in range(3000)], [2.0] * 3000) + y
    x.grad = 0.0
    wide.backward()
    expected, order = x.grad, topological(wide)
    size = len(order)

    for root in (wide, y * wide):
        x.grad = 0.0
        root.backward()
        expected, size = x.grad, len(topological(root))
        x.grad = 0.25
        done = 0

        def sweep(root: Any = root) -> None:
            nonlocal done
            root.backward()
            done += 1

        def check(
            _: bool, root: Any = root, expected: float = expected, size: int = size
        ) -> None:
            nonlocal done
            assert x.grad == (0.25 if done == 0 else 0.25 + expected)
            assert len(topological(root)) == size
            x.grad = 0.0
            root.backward()
            assert x.grad == expected
            x.grad, done = 0.25, 0

        failures = with_each_allocation_failing(sweep, check)
        assert failures > 5, failures
        failures = with_each_allocation_failing(partial(topological, root), check)
        assert failures > 5, failures


def transforming_without_memory() -> None:
    x = Value(2.0)

    def f(t: Any) -> Any:
        return autograd.dot([t, x], [x, t]).sin() + t.relu()

    expected = autograd.grad(autograd.grad(f))(0.5)

    def check(python: bool) -> None:
        x.grad = 0.0
        (x * x).backward()
        assert x.grad == 4.0

    with_each_allocation_failing(lambda: autograd.grad(autograd.grad(f))(0.5), check)
    assert autograd.grad(autograd.grad(f))(0.5).data == expected.data


@needs_testcapi
@pytest.mark.parametrize(
    "job",
    [
        recording_without_memory,
        tracing_without_memory,
        sweeping_without_memory,
        transforming_without_memory,
    ],
)
@needs_c
@up_to_3_11
def test_every_failed_allocation_is_survived(job: Callable[[], None]) -> None:
    in_a_process(job)
