"""Containers of every kind come back as they are, or are refused by name."""

from __future__ import annotations

import pickle
import random
from collections import (
    ChainMap,
    Counter,
    OrderedDict,
    UserDict,
    defaultdict,
    deque,
    namedtuple,
)
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cached_property
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import pytest

from autograd import (
    Value,
    check_grads,
    grad,
    hessian,
    hvp,
    jacobian,
    jit,
    jvp,
    ravel,
    register_tree,
    value_and_grad,
    vjp,
    vmap,
)
from autograd.compiled import calls
from autograd.trees import (
    MOST_DEEP,
    NUMBER,
    described,
    fill,
    flatten,
    outline,
    parts,
    static,
)

np = pytest.importorskip("numpy")


class Doubled(namedtuple("Doubled", "x y")):  # noqa: SLOT002
    """A named tuple whose own __new__ doubles its first field."""

    __slots__ = ()

    def __new__(cls, x: Any, y: Any = 3.0) -> Doubled:
        return super().__new__(cls, 2 * x, y)


class Open(namedtuple("Open", "x")):  # noqa: SLOT002
    """A named tuple that may have attributes."""


class Point(NamedTuple):
    x: Any
    y: Any = 2.0


class Pair(tuple[Any, ...]):
    """A tuple that wants two arguments and no fields."""

    def __new__(cls, x: Any, y: Any) -> Pair:
        return super().__new__(cls, (x, 10 * y))


class Range(list[Any]):
    """A list that is made from a length."""

    def __init__(self, n: int) -> None:
        super().__init__(map(float, range(n)))


class FromOne(list[Any]):
    """A list whose items are counted from 1, and that says it is empty."""

    def __getitem__(self, i: Any) -> Any:
        return super().__getitem__(i - 1)

    def __iter__(self) -> Iterator[Any]:
        return iter(())


class Named(list[Any]):
    """A list with a name and a unit."""

    __slots__ = ("name", "unit")

    def __init__(self, items: Any, name: str) -> None:
        super().__init__(items)
        self.name = name


class Attributes(dict[str, Any]):
    """A dict whose items are attributes."""

    __getattr__ = dict.__getitem__


class Sorted(OrderedDict[str, Any]):
    """An OrderedDict that is told its keys one by one."""

    def __init__(self, *keys: str) -> None:
        super().__init__()
        for key in keys:
            self[key] = 1.5


@dataclass
class Model:
    w: Any
    b: Any = 1.0
    mode: str = "fast"


@dataclass(frozen=True, slots=True)
class Frozen:
    w: Any
    flag: bool = True


@dataclass
class Derived:
    w: Any
    total: Any = field(init=False)

    def __post_init__(self) -> None:
        self.w, self.total = 2 * self.w, 5.0


@dataclass
class Cached:
    w: Any

    @cached_property
    def square(self) -> Any:
        return self.w * self.w


class Colour(IntEnum):
    RED = 1


class Mode(StrEnum):
    FAST = "fast"


class Interval:
    """No container that anyone knows."""

    def __init__(self, low: Any, high: Any, unit: str) -> None:
        self.low, self.high, self.unit = low, high, unit

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Interval) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"Interval({self.low}, {self.high}, {self.unit!r})"


register_tree(
    Interval,
    lambda x: ([x.low, x.high], x.unit),
    lambda unit, items: Interval(*items, unit),
)


def moved(tree: Any) -> Any:
    """An OrderedDict whose first key has moved to the end."""
    tree.move_to_end(next(iter(tree)))
    return tree


TREES: list[Callable[[], Any]] = [
    lambda: Doubled(1.0),
    lambda: Open(1.0),
    lambda: Point(1.0, [2.0]),
    lambda: Pair(1.0, 2.0),
    lambda: Range(3),
    lambda: FromOne([1.0, 2.0]),
    lambda: Named([1.0, 2.0], "speed"),
    lambda: Attributes(a=1.0, b=2.0),
    lambda: Sorted("z", "a"),
    lambda: moved(OrderedDict(z=1.0, a=2.0)),
    lambda: defaultdict(float, a=1.0),
    lambda: Counter(a=1, b=2),
    lambda: Model(1.0, [2.0]),
    lambda: Frozen(1.0),
    lambda: Derived(1.0),
    lambda: Cached(1.0),
    lambda: MappingProxyType({"b": 1.0, "a": 2.0}),
    lambda: SimpleNamespace(a=1.0, b=(2.0,)),
    lambda: deque([1.0, 2.0], 4),
    lambda: Interval(1.0, 2.0, "m"),
    lambda: {1: 1.0, "a": {True: 2.0}},
    lambda: {"a": [], "b": (), "c": {}, "d": 1.0},
    lambda: [None, 1.0, (None,)],
    lambda: {"on": True, "how": "fast", "colour": Colour.RED, "m": Mode.FAST, "x": 1.0},
    lambda: [Model(Doubled(1.0), Attributes(c=Frozen([Pair(1.0, 2.0)])))],
]


def numbers(tree: Any) -> list[Any]:
    return ravel(tree)[0]


def squares(tree: Any) -> Any:
    return sum((x * x for x in numbers(tree)), 0.0)


def twice(tree: Any) -> Any:
    """The tree with doubled numbers."""
    flat, unravel = ravel(tree)
    return unravel([2 * x for x in flat])


def assert_same(found: Any, expected: Any) -> None:
    assert repr(found) == repr(expected) and type(found) is type(expected)
    assert getattr(found, "__dict__", None) == getattr(expected, "__dict__", None)
    assert flatten(found) == flatten(expected)


@pytest.mark.parametrize("make", TREES)
def test_every_kind_comes_back_from_every_transform(make: Any) -> None:
    tree, expected = make(), twice(make())
    along = make()
    assert_same(grad(squares)(tree), expected)
    assert_same(value_and_grad(squares)(tree)[1], expected)
    y, pullback = vjp(twice, tree)
    assert type(y) is type(tree) and y == expected
    assert len(numbers(y)) >= len(numbers(tree))
    truths = [item for item in contents(tree) if item is True]
    if not truths:  # which in a result are numbers: those of comparisons
        assert_same(y, expected)
        assert_same(pullback(along)[0], expected)
        assert_same(jvp(twice, (tree,), (along,))[1], expected)
        assert len(numbers(jacobian(twice)(tree))) == len(numbers(tree)) ** 2
    assert_same(hvp(squares, (tree,), (along,))[0], expected)
    assert len(numbers(hessian(squares)(tree))) == len(numbers(tree)) ** 2
    check_grads(squares, (tree,))
    assert_same(tree, make())


@pytest.mark.parametrize("make", TREES)
def test_every_kind_comes_back_from_compiled_code(make: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(calls, "OFTEN", 1)
    f, slope, kept = jit(twice), jit(grad(squares)), jit(lambda tree: tree)
    for _ in range(4):
        assert_same(f(make()), twice(make()))
        assert_same(slope(make()), twice(make()))
        assert_same(kept(make()), kept.f(ravel(make())[1](numbers(make()))))
    if type(make()) is MappingProxyType:  # a class that no pickle finds
        return
    thawed = pickle.loads(pickle.dumps(f))
    assert_same(thawed(make()), twice(make()))
    assert len(thawed.paths) == len(f.paths) == len(slope.paths) == 1


@pytest.mark.parametrize("make", TREES)
def test_every_kind_may_be_a_lane_a_holder_and_a_result(make: Any) -> None:
    flat, unravel = ravel(make())
    lanes = [unravel([x + lane for x in flat]) for lane in range(3)]
    one_by_one = [grad(squares)(lane) for lane in lanes]
    slopes = vmap(lambda tree: [grad(squares)(tree)])(lanes)
    assert repr(slopes) == repr([[slope] for slope in one_by_one])
    assert vmap(squares, reduce="sum")(lanes) == sum(map(squares, lanes))
    if not holds_lists(make()):
        held = unravel([[x + lane for lane in range(3)] for x in flat])
        found = vmap(grad(squares))(held)
        assert type(found) is type(make())
        columns = [xs for xs in leaves(found) if type(xs[0]) is float]
        assert [list(row) for row in zip(*columns)] == list(map(numbers, one_by_one))


def leaves(tree: Any) -> Iterator[Any]:
    """What containers other than lists hold."""
    found = None if isinstance(tree, list) else parts(tree)
    if found is None:
        yield tree
    for item in found[0] if found else ():
        yield from leaves(item)


def holds_lists(tree: Any) -> bool:
    return any(isinstance(leaf, list) for leaf in leaves(tree))


def test_the_new_of_a_named_tuple_does_not_run_again() -> None:
    point = Doubled(2.0, 0.0)
    assert point.x == 4.0
    assert grad(lambda p: p.x * p.x)(point) == tuple.__new__(Doubled, (8.0, 0.0))
    f = jit(lambda p: p.x)
    assert [f(point) for _ in range(200)] == [4.0] * 200
    kept = jit(lambda p: p)
    assert {kept(point) for _ in range(200)} == {point}


def test_subclasses_keep_their_attributes() -> None:
    named = Named([1.0, 2.0], "speed")
    assert grad(squares)(named).name == "speed"
    f = jit(lambda xs: xs[0] if xs.name == "speed" else xs[1])
    assert f(named) == 1.0 and f(Named([1.0, 2.0], "weight")) == 2.0
    counts = grad(squares)(defaultdict(list, a=2.0))
    assert counts["a"] == 4.0 and counts["new"] == []
    assert grad(squares)(deque([1.0], maxlen=1)).maxlen == 1


def test_what_a_cached_property_keeps_is_computed_anew() -> None:
    cached = Cached(3.0)
    assert cached.square == 9.0
    for gradient in (grad(lambda c: c.square), jit(grad(lambda c: c.square))):
        assert gradient(cached) == Cached(6.0)


def test_overridden_iteration_hides_no_item() -> None:
    assert list.__len__(grad(lambda xs: xs[1] * xs[2])(FromOne([2.0, 3.0]))) == 2
    slope = grad(lambda xs: xs[1] * xs[2])(FromOne([2.0, 3.0]))
    assert (slope[1], slope[2]) == (3.0, 2.0)


class Counted(list[Any]):
    def __init__(self, items: Any, degree: Any) -> None:
        super().__init__(items)
        self.degree = degree


@dataclass
class Stale:
    w: Any

    def __post_init__(self) -> None:
        self.half = self.w / 2


class Mine(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        return 1.0

    def __iter__(self) -> Iterator[str]:
        return iter("a")

    def __len__(self) -> int:
        return 1


class Slotted:
    __slots__ = ("x",)


@pytest.mark.parametrize(
    "tree, message",
    [
        (Counted([1.0], 3), "Counted has an attribute 'degree' besides; register_tree"),
        (Counted([1.0], [3.0]), "Counted has an attribute 'degree'"),
        (Stale(1.0), "Stale has an attribute 'half' besides; register_tree"),
        (Mine(), "but is Mine; register_tree"),
        (UserDict(a=1.0), "but is UserDict; register_tree"),
        (ChainMap({"a": 1.0}), "but is ChainMap; register_tree"),
        (Slotted(), "but is Slotted; register_tree"),
        ({1.0, 2.0}, "set"),
        (range(3), "range"),
        (object(), "object"),
        (np.ones((1, 1)).view(np.matrix), "plain array of numbers, but is a matrix"),
        (np.ma.masked_array([1.0]), "MaskedArray"),
        (np.rec.array([(1.0,)], dtype=[("x", float)]), "rec"),
        (np.array([(1.0,)], dtype=[("x", float)]), "plain array of numbers"),
        (np.array([1j]), "of complex128"),
        (np.array(["2020"], "M8[Y]"), "of datetime64"),
        (np.array(["a"]), "of <U1"),
        (b"ab", "bytes"),
        (1j, "complex"),
    ],
)
def test_what_would_be_lost_is_refused_by_name(tree: Any, message: str) -> None:
    for given in (tree, [tree], {"a": (tree,)}):
        for call in (
            lambda x: grad(lambda x: 1.0)(x),
            lambda x: jvp(lambda x: 1.0, (x,), (x,)),
            jit(lambda x: 1.0),
            lambda x: vmap(lambda x: 1.0)([x]),
            lambda x: vmap(lambda x: 1.0, in_axes=(None, 0))(x, [1.0]),
        ):
            with pytest.raises((TypeError, ValueError), match="^(grad|jvp|jit|vmap): "):
                call(given)
    with pytest.raises(TypeError, match=message):
        jit(lambda x: x)([tree])


def test_settings_among_the_arguments_of_a_transform_stay() -> None:
    """Under a name of its own what is no number is a setting; in a list it is none."""

    def loss(p: Any) -> Any:
        return p["w"] ** 2 if p["on"] is True and p["how"] == "square" else p["w"]

    for settings in (SimpleNamespace(w=3.0, on="a"), MappingProxyType({"w": 3.0})):
        assert grad(squares)(settings) == twice(settings)
    tree = {"w": 3.0, "on": True, "how": "square", "none": None}
    expected = {"w": 6.0, "on": True, "how": "square", "none": None}
    assert grad(loss)(tree) == jit(grad(loss))(tree) == expected
    assert grad(loss)({**tree, "on": False})["w"] == 1.0
    assert grad(lambda xs: xs[0] * xs[1])([2.0, True]) == [1.0, 2.0]
    with pytest.raises(TypeError, match="grad: an argument must be a real number"):
        grad(lambda xs: xs[0])([2.0, "fast"])
    with pytest.raises(ValueError, match="tangents must have the structure"):
        jvp(loss, (tree,), ({**tree, "how": "cube"},))


def test_truths_in_a_tuple_are_no_batch_and_under_a_name_they_are_settings() -> None:
    f = vmap(lambda flags, x: x if flags else -x)
    for flags in ((True, False), deque([True, False]), True, "ab", None):
        with pytest.raises(TypeError, match="vmap: a batch must be a list or an array"):
            f(flags, [1.0, 2.0])
    named = vmap(lambda p: p.x if p.on else -p.x)
    assert named(SimpleNamespace(on=False, x=[1.0, 2.0])) == [-1.0, -2.0]
    assert named(SimpleNamespace(on=[False, True], x=[1.0, 2.0])) == [-1.0, 2.0]


def test_comparisons_in_results_have_derivatives_of_zero() -> None:
    def f(x: Any) -> Any:
        return {"above": x > 1.0, "x": [x, x < 1.0]}

    for run in (jvp, jit(jvp, static_argnums=0)):
        y, y_dot = run(f, (2.0,), (1.0,))
        assert y == {"above": True, "x": [2.0, False]}
        assert y_dot == {"above": 0.0, "x": [1.0, 0.0]}
    assert jacobian(f)(2.0) == {"above": 0.0, "x": [1.0, 0.0]}


def test_aux_keeps_every_kind() -> None:
    for make in TREES:
        (_, aux), _ = value_and_grad(lambda x, t=make: (x, [t(), x]), has_aux=True)(1.0)
        assert_same(aux, [make(), 1.0])
    _, aux = grad(lambda x: (x, Model(x, {x})), has_aux=True)(2.0)
    assert aux.w == 2.0


def test_outer_values_are_found_in_every_kind() -> None:
    w = Value(2.0)
    slope = grad(lambda m: m.w * m.w * w)(Model(3.0))
    slope.w.backward()
    assert w.grad == 6.0
    assert jit(lambda m: m.w * 2.0)(Model(w)).parents == (w,)


def test_kinds_are_matched_by_name_or_by_place() -> None:
    tangent = {"b": 10.0, "a": 1.0}
    primal = Attributes(a=1.0, b=2.0)
    assert jvp(lambda d: d.a + d.b, (primal,), (tangent,))[1] == 11.0
    assert jvp(lambda p: p.x + p.y, (Point(1.0, 2.0),), ([1.0, 10.0],))[1] == 11.0
    with pytest.raises(ValueError, match="a Model of 'w'.* in place of Frozen"):
        jvp(lambda m: m.w, (Frozen(1.0),), (Model(1.0),))


# ---- forms ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one, other",
    [
        ({1: 2.0}, {True: 2.0}),
        ({1: 2.0}, {1.0: 2.0}),
        ({0.0: 2.0}, {-0.0: 2.0}),
        ({(1,): 2.0}, {(True,): 2.0}),
        ({frozenset((1,)): 2.0}, {frozenset((1.0,)): 2.0}),
        ({"a": 1.0, "b": 2.0}, {"b": 2.0, "a": 1.0}),
        ({"a": 1.0}, Attributes(a=1.0)),
        (Named([1.0], "a"), Named([1.0], "b")),
        (defaultdict(int, a=1.0), defaultdict(float, a=1.0)),
        (deque([1.0]), deque([1.0], 1)),
        (Interval(1.0, 2.0, "m"), Interval(1.0, 2.0, "km")),
        ([Colour.RED], [1]),
        ([np.True_], [True]),
        ([Mode.FAST], ["fast"]),
        ([1.0, True], [1.0, 1]),
    ],
    ids=repr,
)
def test_what_is_equal_but_not_the_same_has_another_form(one: Any, other: Any) -> None:
    assert flatten(one)[1] != flatten(other)[1]
    seen: list[Any] = []
    f = jit(lambda tree: seen.append(type(tree)) or 1.0)
    for tree in (one, other, one, other):
        f(tree)
    assert len(seen) == 2 and len(f.paths) == 2


def test_keys_that_are_equal_share_no_tree() -> None:
    f = jit(lambda d: next(iter(d)) is True and d[1] or -d[1])
    found = [f({key: 2.0}) for key in (1, True, 1.0, True, 1)]
    assert found == [-2.0, 2.0, -2.0, 2.0, -2.0]


def test_static_arguments_that_are_equal_share_no_tree() -> None:
    f = jit(lambda n, x: x if repr(n) in ("True", "-0.0", "(1,)") else -x, (0,))
    given = (1, True, 1.0, 0.0, -0.0, (1,), (True,), float("nan"), float("nan"))
    assert [f(n, 2.0) for n in given] == [-2, 2, -2, -2, 2, 2, -2, -2, -2]


def test_form_is_described_in_a_line() -> None:
    tree = [Model(1.0, mode="slow"), {"a": np.ones(2)}, Point(1.0), None]
    assert described(flatten(tree)[1]) == (
        "[Model{'w': x, 'b': x, 'mode': 'slow'}, {'a': array of (2,)}, "
        "Point(x, x), None]"
    )
    assert flatten(1)[1] == NUMBER and static("a").item == "a"
    assert outline(flatten([1.0, (2.0,)])[1]) == outline(flatten((None, [1.0]))[1])


def test_arrays_of_objects_keep_what_is_no_number() -> None:
    mixed = np.array([1.0, None, 2.0], dtype=object)
    slope = grad(lambda x: x[0] * x[2])(mixed)
    assert slope.tolist() == [2.0, None, 1.0]
    assert jit(lambda x: x[0] * x[2] if x[1] is None else 0.0)(mixed) == 2.0
    assert jit(lambda x: x)(np.array([True, None], dtype=object)).tolist() == [
        True,
        None,
    ]
    assert jvp(lambda x: x[0], (mixed,), (mixed,))[1] == 1.0


def test_arrays_without_axes_are_what_they_hold() -> None:
    assert jit(lambda x: x * 2.0)(np.array(3.0)) == 6.0
    assert jit(lambda b: 1.0 if b else 2.0)(np.array(False)) == 2.0
    held = np.empty((), object)
    held[()] = Value(2.0)
    assert grad(lambda x: x * x)(held).data == 4.0


# ---- registered ----------------------------------------------------------------------


def test_registered_kind_is_pickled_with_what_was_compiled(monkeypatch: Any) -> None:
    f = jit(centre)
    assert f(Interval(1.0, 3.0, "m")) == 2.0
    thawed = pickle.loads(pickle.dumps(f))
    assert thawed(Interval(2.0, 3.0, "m")) == 2.5 and len(thawed.paths) == 1


def centre(interval: Any) -> Any:
    return (interval.low + interval.high) / 2


def test_registered_kind_shows_its_rest_to_compiled_code() -> None:
    f = jit(lambda i: i.high if i.unit == "m" else i.high * 1000.0)
    assert f(Interval(1.0, 2.0, "m")) == 2.0 and f(Interval(1.0, 2.0, "km")) == 2000.0


@pytest.mark.parametrize(
    "kind", [list, dict, OrderedDict, int, str, set, np.ndarray, Value, Interval, 3, []]
)
def test_a_class_is_registered_once_and_if_it_is_of_your_own(kind: Any) -> None:
    with pytest.raises(ValueError, match="register_tree: kind must be a class of your"):
        register_tree(kind, lambda x: ((), None), lambda rest, items: None)


def test_functions_of_a_registered_class_are_looked_at() -> None:
    class Mass:
        pass

    with pytest.raises(TypeError, match="flatten and unflatten must be functions"):
        register_tree(Mass, lambda x: ([], None), None)  # type: ignore[arg-type]
    register_tree(Mass, lambda x: ([1.0], [2.0]), lambda rest, items: Mass())
    with pytest.raises(TypeError, match="must have a hashable rest.*Mass gives list"):
        grad(lambda x: 1.0)(Mass())


def test_a_class_of_the_users_may_be_any_kind_that_is_registered() -> None:
    class Weights(dict[str, Any]):
        def __init__(self, **items: Any) -> None:
            super().__init__(items)
            self.count = len(items)

    with pytest.raises(TypeError, match="register_tree"):
        grad(lambda w: w["a"])(Weights(a=1.0))
    register_tree(
        Weights,
        lambda w: (w.values(), tuple(w)),
        lambda keys, items: Weights(**dict(zip(keys, items))),
    )
    slope = grad(lambda w: w["a"] * w.count)(Weights(a=1.0, b=2.0))
    assert slope == {"a": 2.0, "b": 0.0} and slope.count == 2


# ---- random trees --------------------------------------------------------------------

MAKERS: list[Callable[[list[Any]], Any]] = [
    list, tuple, deque,
    lambda xs: Doubled(0.5, xs[-1]),
    lambda xs: Point(*(xs * 2)[:2]),
    lambda xs: Pair(xs[0], 0.5),
    lambda xs: Named(xs, "speed"),
    lambda xs: FromOne(xs),
    lambda xs: dict(zip("abcd", xs)),
    lambda xs: dict(zip([1, True, 2.0, None], xs)),
    lambda xs: Attributes(zip("dcba", xs)),
    lambda xs: OrderedDict(zip("zyxw", xs)),
    lambda xs: defaultdict(float, zip("abcd", xs)),
    lambda xs: MappingProxyType(dict(zip("abcd", xs))),
    lambda xs: SimpleNamespace(**dict(zip("abcd", xs))),
    lambda xs: Model(xs[0], xs[-1], "slow"),
    lambda xs: Frozen(xs[0], True),
    lambda xs: Cached(xs[-1]),
    lambda xs: Interval(xs[0], xs[-1], "km"),
    lambda xs: Open(xs[0]),
]  # fmt: skip
SETTINGS: list[Any] = [True, False, None, "", "ab", Colour.RED, Mode.FAST]


class Sketch(NamedTuple):
    """How to make trees that are alike: of a maker, or a leaf if there is none."""

    make: Any
    inside: list[Any]
    leaf: str


def sketch(source: random.Random, depth: int) -> Sketch:
    if depth and source.random() < 0.75:
        inside = [sketch(source, depth - 1) for _ in range(source.randint(1, 3))]
        return Sketch(source.choice(MAKERS), inside, "")
    return Sketch(None, [], source.choice(["number"] * 4 + ["array", "setting"]))


def drawn(plan: Sketch, source: random.Random) -> Any:
    """A tree as planned, of numbers without rounding."""
    if plan.make is not None:
        return plan.make([drawn(each, source) for each in plan.inside])
    if plan.leaf == "setting":
        return source.choice(SETTINGS)
    xs = [float(source.randint(-4, 4)) for _ in range(3)]
    if plan.leaf == "array":
        return np.array(xs[:2])
    return source.choice([float, float, int, np.float64])(xs[0])


def contents(tree: Any) -> Iterator[Any]:
    """What a tree holds, in order, found without the help of what is tested."""
    if isinstance(tree, (list, tuple, deque)):
        kind = next(k for k in (list, tuple, deque) if isinstance(tree, k))
        for item in kind.__iter__(tree):
            yield from contents(item)
    elif isinstance(tree, (dict, MappingProxyType)):
        for key in tree:
            yield repr(key)
            yield from contents(tree[key])
    elif hasattr(type(tree), "__dataclass_fields__"):
        for name in type(tree).__dataclass_fields__:
            yield from contents(getattr(tree, name))
    elif isinstance(tree, (SimpleNamespace, Interval)):
        for item in vars(tree).values():
            yield from contents(item)
    elif type(tree) is np.ndarray:
        yield from tree.tolist()
    else:
        yield tree
    yield type(tree).__name__ if not is_number(tree) else "number"


def is_number(x: Any) -> bool:
    settings = (str, bool, Colour)
    return type(x) is Value or isinstance(x, (float, int)) and type(x) not in settings


def program(source: random.Random) -> Callable[[Any], Any]:
    """A function that every item, setting and class in a tree has a say in."""
    make, again = source.choice(MAKERS), source.choice(MAKERS)

    def f(tree: Any) -> Any:
        total: Any = 1.0
        for k, item in enumerate(contents(tree)):
            if is_number(item):
                total = total * 0.5 + (k % 5 - 2) * item
            elif isinstance(item, str):
                total = total - len(item) if item else -total
            elif item is not None:
                total = total * (2.0 if item is True else 0.25)
        return [make([total, again([-total, total + 1.0])])]

    return f


def total_of(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda tree: sum((x for x in contents(f(tree)) if is_number(x)), 0.0)


def compared(seed: int) -> None:
    """Eager against jit, its gradient, and lanes whose settings differ."""
    source = random.Random(seed)
    plan = Sketch(tuple, [Sketch(None, [], "number"), sketch(source, 3)], "")
    f = program(source)
    trees = [drawn(plan, source) for _ in range(6)]
    expected = [plainly(f(tree)) for tree in trees]
    compiled = jit(f)
    for _ in range(2):
        assert [plainly(compiled(tree)) for tree in trees] == expected, seed
    assert list(map(plainly, vmap(f)(trees))) == expected, seed
    slope = grad(total_of(f))
    slopes = [outcome(slope, tree) for tree in trees]
    fast = jit(slope)
    assert [outcome(fast, tree) for tree in trees] == slopes, seed
    total = vmap(total_of(f), reduce="sum")(trees)
    assert total == sum(map(total_of(f), trees)), seed


def plainly(tree: Any) -> list[str]:
    """All that a tree holds, in words."""
    return [repr(float(x) + 0.0) if is_number(x) else str(x) for x in contents(tree)]


def outcome(f: Callable[[Any], Any], tree: Any) -> Any:
    """What f gives, or which complaint it has."""
    try:
        return plainly(f(tree))
    except TypeError as error:
        return str(error)


@pytest.mark.parametrize("seed", range(6))
def test_random_trees_come_back_alike_from_eager_and_compiled_code(seed: int) -> None:
    for k in range(8):
        compared(1000 * seed + k)


@pytest.mark.slow
def test_many_random_trees_come_back_alike() -> None:
    for seed in range(10_000, 10_150):
        compared(seed)


def nested(depth: int) -> Any:
    tree: Any = 1.0
    for _ in range(depth):
        tree = [tree]
    return tree


@pytest.mark.parametrize("depth", [MOST_DEEP + 3, 100_000])
def test_containers_that_are_nested_too_deep_are_refused(depth: int) -> None:
    assert fill(*reversed(flatten(nested(MOST_DEEP)))) == nested(MOST_DEEP)
    with pytest.raises(ValueError, match="must be nested at most 250 deep"):
        flatten(nested(depth))
    itself: list[Any] = []
    itself += [itself, {"a": itself}]
    for f in (grad, jit):
        with pytest.raises(ValueError, match="or holds itself"):
            f(lambda x: 1.0)(itself)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "i8", "u8", "longdouble"])
def test_numbers_of_numpy_are_those_that_float_gives(kind: str) -> None:
    for xs in ([3, 0, 1], [100, 7.0, Value(2.0)]):
        items = [x if type(x) is Value else np.dtype(kind).type(x) for x in xs]
        numbers, form = flatten([*items, 2])
        assert [float(x) if type(x) is not Value else x for x in items] == numbers[:-1]
        assert {type(x) for x in numbers} <= {float, Value}
        assert form == flatten([1.0] * len(numbers))[1]


def test_whole_number_that_fits_no_float64_is_refused_in_a_list() -> None:
    with pytest.raises(ValueError, match="must fit a float64"):
        flatten([1, 10**400, 2])


def test_dates_and_complex_numbers_of_numpy_are_no_numbers() -> None:
    for item in (np.datetime64("2020-01-01"), np.complex128(1)):
        with pytest.raises(TypeError):
            flatten([item, item])
