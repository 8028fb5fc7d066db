"""Calls with random arguments and results: what C reads and builds against Python.

A program is a random tree of containers for its arguments, and another for its results,
some of them long. It is compiled twice. One is called as anyone calls it, the other by
the function of Python that the C stands in for, with other numbers at each call, and
with trees that change in turn: what comes of it has the same containers and bits.
"""

from __future__ import annotations

import enum
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from itertools import chain
from random import Random
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import pytest
from seeds import seeds

import autograd as ag
from autograd import Value, jit, register_tree, value_and_grad, vmap
from autograd.accelerator import python_twins
from autograd.compiled import calls
from autograd.trees import flatten

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")
pytestmark = pytest.mark.skipif(
    calls.extension is None, reason=f"calls go through Python here: {calls.reason}"
)

Make = Callable[[], Any]
SEEDS = seeds(8)


@pytest.fixture(autouse=True)
def ready_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "OFTEN", 0)


# ---- trees ---------------------------------------------------------------------------


class Pair(NamedTuple):
    """Two items."""

    a: Any
    b: Any


@dataclass
class Layer:
    """Two items and a setting."""

    w: Any
    b: Any
    how: str = "relu"


@dataclass(frozen=True, slots=True)
class Frozen:
    """One item."""

    x: Any


class Items(list):  # type: ignore[type-arg]
    """A list of a kind of its own."""


class Box:
    """What `register_tree` is told of."""

    def __init__(self, *items: Any) -> None:
        self.items = items


register_tree(Box, lambda x: (x.items, len(x.items)), lambda n, items: Box(*items))


class Mode(enum.Enum):
    """What is no number."""

    FAST = 1
    SLOW = 2


CONTAINERS: list[Callable[[list[Any]], Any]] = [
    list, list, tuple, Items, deque, lambda x: Box(*x), lambda x: Frozen(x[0]),
    lambda x: Pair(x[0], x[1:]), lambda x: Layer(x[0], x[1:]),
    lambda x: Layer(w=x, b=None, how="tanh"), lambda x: dict(zip("abcdefgh", x)),
    lambda x: dict(enumerate(x)), lambda x: OrderedDict(zip("hgfedcba", x)),
    lambda x: defaultdict(list, zip("abcdefgh", x)),
    lambda x: SimpleNamespace(**dict(zip("abcdefgh", x))),
    lambda x: MappingProxyType(dict(zip("xyz", x))),
]  # fmt: skip
STATICS = ["text", None, True, False, Mode.FAST, Mode.SLOW, "", [], {}, ()]
LONG = (1, 2, 3, 16, 64, 300)


class Tree:
    """A random tree; the same seed gives the same one with other numbers.

    number   makes a number
    array    makes an array of a shape
    """

    def __init__(self, seed: int, number: Make, array: Callable[[Any], Any]) -> None:
        self.choices, self.number, self.array = Random(seed), number, array

    def some(self, depth: int = 0) -> Any:
        """A leaf or a container, at most four containers deep."""
        choice = self.choices.random()
        if depth > 3 or choice < 0.15:
            return self.number()
        if choice < 0.25:
            return self.choices.choice(STATICS)
        if choice < 0.4:
            return self.array(self.shape())
        if choice < 0.6:
            return self.numbers()
        return self.container(depth)

    def shape(self) -> tuple[int, ...]:
        sizes = (1, 2, 3, 7, 40)
        shape = tuple(self.choices.choices(sizes, k=self.choices.choice([1, 1, 2])))
        return self.choices.choice([shape, shape, shape, (0, 3), (2, 1, 2)])

    def numbers(self) -> Any:
        """Many numbers, in a list or a tuple or rows of them."""
        kind = self.choices.choice([list, list, tuple])
        width, rows = self.choices.choice(LONG), self.choices.choice([0, 0, 1, 2, 9])
        if not rows:
            return kind([self.number() for _ in range(width)])
        return kind([
            [self.number() for _ in range(width)] for _ in range(rows)
        ])  # fmt: skip

    def container(self, depth: int) -> Any:
        items = [self.some(depth + 1) for _ in range(self.choices.choice([1, 2, 3, 5]))]
        return self.choices.choice(CONTAINERS)(items)


def inside(x: Any) -> list[Any]:
    """The items of a container; none of what is no container."""
    if isinstance(x, (dict, MappingProxyType)):
        return list(x.values())
    if isinstance(x, SimpleNamespace):
        return list(vars(x).values())
    if is_dataclass(x):
        return [getattr(x, field.name) for field in fields(x)]
    if isinstance(x, Box):
        return list(x.items)
    if isinstance(x, np.ndarray) and x.ndim:
        return list(x.ravel().tolist())
    return list(x) if isinstance(x, (list, tuple, deque)) else []


def numbers_in(x: Any) -> Iterator[Any]:
    if isinstance(x, (Value, float, int)) and not isinstance(x, bool):
        yield x
    for item in inside(x):
        yield from numbers_in(item)


def given(seed: int) -> tuple[Make, Callable[[Any], Any]]:
    """What makes numbers, and arrays, of all kinds."""
    source, rng = Random(seed), np.random.default_rng(seed)
    edges = [0.0, -0.0, float("inf"), float("nan"), 5e-324, 3, -7, 2**60]

    def number() -> Any:
        x = source.gauss(0.0, 1.0)
        if source.random() < 0.9:
            return x
        odd = [np.float64(x), np.float32(x), np.int64(3), np.uint8(200), np.array(x)]
        return source.choice([*edges, *odd])

    def array(shape: tuple[int, ...]) -> Any:
        kinds = ["f8"] * 6 + ["f4", "f2", "i8", "i4", "u1", "u8", "?", ">f8", "O"]
        x = 10.0 * rng.normal(size=shape)
        way = source.randrange(6)
        if way == 0:
            x = np.asfortranarray(x)
        if way == 1:
            x = np.repeat(x, 2, axis=0)[::-2]
        if way == 2:
            x.flags.writeable = False
        return np.abs(x).astype(source.choice(kinds)) if way > 2 else x

    return number, array


# ---- programs ------------------------------------------------------------------------


def program(seed: int) -> Callable[..., Any]:
    """A function of any arguments: each result is made of two of its numbers."""

    def f(*args: Any, **named: Any) -> Any:
        xs = [*chain.from_iterable(map(numbers_in, [*args, *named.values()])), 0.5]
        ys = [x * (0.5 + i % 7) + y for i, (x, y) in enumerate(zip(xs, xs[1:]))]
        place = iter(range(10**9))

        def number() -> Any:
            return ys[next(place) % len(ys)] if ys else 0.25

        def array(shape: tuple[int, ...]) -> Any:
            items = np.empty(int(np.prod(shape)), dtype=object)
            items[:] = [number() for _ in range(len(items))]
            return items.reshape(shape)

        return Tree(seed, number, array).container(0)

    return f


def total(seed: int) -> Callable[..., Any]:
    def f(*args: Any) -> Any:
        xs = list(chain.from_iterable(map(numbers_in, args)))
        return sum([x * x * (0.5 + i % 5) for i, x in enumerate(xs)], ag.sin(xs[0]))

    return f


def arguments(seed: int, numbers: int) -> tuple[list[Any], dict[str, Any]]:
    """Arguments of the same form for a seed, by position and by name."""
    tree = Tree(seed, *given(numbers))
    count = tree.choices.choice([1, 1, 2, 3])
    found = [tree.some() for _ in range(count)]
    names = ["scale", "shift"][: tree.choices.choice([0, 0, 0, 1, 2])]
    return found, {name: tree.some() for name in names}


def told(x: Any) -> Any:
    numbers, form = flatten(x)
    return form, ["nan" if y != y else y.hex() for y in map(float, numbers)]


def outcome(f: Any, *args: Any, **named: Any) -> Any:
    try:
        return told(f(*args, **named))
    except Exception as error:  # noqa: BLE001
        return type(error), str(error)


def by_python(f: Any, *args: Any, **named: Any) -> Any:
    return python_twins[type(f)].__call__(f, *args, **named)


def mutables(x: Any) -> set[int]:
    """Whatever in a result could be written to, by identity."""
    fixed = x is None or isinstance(x, (tuple, str, int, float, Mode))
    return (set() if fixed else {id(x)}).union(*map(mutables, inside(x)))


def require_its_own(result: Any, *others: Any) -> None:
    """That a result shares nothing with what was there before."""
    assert not mutables(result) & set().union(*map(mutables, others))


@pytest.mark.parametrize("seed", SEEDS)
def test_calls_of_random_forms_are_those_of_python(seed: int) -> None:
    through_c = 0
    for k in range(5):
        at = 1000 * seed + 10 * k
        f = program(at)
        one, two = jit(f), jit(f)
        for turn in range(12):
            args, named = arguments(at + turn % 3, 100 * at + turn)
            wanted = outcome(by_python, two, *args, **named)
            assert outcome(one, *args, **named) == wanted, (at, turn)
        through_c += sum(path.taken - path._taken for path in one.paths)
    assert through_c > 20, "hardly any call went through C"


@pytest.mark.parametrize("seed", SEEDS)
def test_results_of_random_forms_are_new_each_time(seed: int) -> None:
    for k in range(4):
        at = 1000 * seed + 10 * k
        f = jit(program(at))
        args, named = arguments(at, at)
        results = [f(*args, **named) for _ in range(3)]
        assert told(results[0]) == told(results[1]) == told(results[2])
        require_its_own(results[2], results[1], args, named)
        require_its_own(results[1], results[0], args, named)


@pytest.mark.parametrize("seed", SEEDS)
def test_steps_with_random_parameters_are_those_of_python(seed: int) -> None:
    """Gradients of what all lanes share, in any containers, over any batches."""
    for k in range(4):
        at = 1000 * seed + 10 * k
        step = value_and_grad(total(at))
        one, two = (vmap(step, in_axes=(None, 0), reduce="mean") for _ in range(2))
        for turn in range(6):
            number, array = given(100 * at + turn)
            tree = Tree(at + turn % 2, number, array)
            shared, lane = tree.container(1), tree.shape()
            x = array((9, *lane)) if all(lane) else array((9,))
            xs = [x, x.tolist(), np.asarray(x, "f4")][tree.choices.randrange(3)]
            wanted = outcome(by_python, two, shared, xs)
            assert outcome(one, shared, xs) == wanted, (at, turn)
