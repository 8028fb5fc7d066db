"""A compiled function and the Values it closes over, put elsewhere between calls."""

from __future__ import annotations

import collections
import contextvars
import functools
import gc
import itertools
import pickle
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from autograd import Primitive, Value, exp, grad, jit, value_and_grad, vjp, vmap
from nn import MLP

Put = Callable[[Value], None]
Case = tuple[Callable[[Any], Any], Put]  # f(x) = v·x, and what puts another v there

there: Any = None  # a global that a case rebinds


def of_global() -> Case:
    def put(v: Value) -> None:
        global there
        there = v

    return lambda x: there * x, put


def of_cell() -> Case:
    w: Any = None

    def put(v: Value) -> None:
        nonlocal w
        w = v

    return lambda x: w * x, put


def of_attribute() -> Case:
    holder = types.SimpleNamespace()
    return lambda x: holder.w * x, lambda v: setattr(holder, "w", v)


def of_slot() -> Case:
    class Slotted:
        __slots__ = ("w",)
        w: Any

    holder = Slotted()
    return lambda x: holder.w * x, lambda v: setattr(holder, "w", v)


def of_class_attribute() -> Case:
    class Holder:
        w: Any = None

    holder = Holder()
    return lambda x: holder.w * x, lambda v: setattr(Holder, "w", v)


def of_attribute_before_the_class() -> Case:
    class Holder:
        w: Any = Value(2.0)

    holder = Holder()
    return lambda x: holder.w * x, lambda v: setattr(holder, "w", v)


def of_property() -> Case:
    class Holder:
        hidden: Any = None

        @property
        def w(self) -> Any:
            return self.hidden

    holder = Holder()
    return lambda x: holder.w * x, lambda v: setattr(holder, "hidden", v)


def of_method() -> Case:
    class Scaled:
        w: Any = None

        def __call__(self, x: Any) -> Any:
            return self.scale(x)

        def scale(self, x: Any) -> Any:
            return self.w * x

    holder = Scaled()
    return holder, lambda v: setattr(holder, "w", v)


def of_list_item() -> Case:
    ws: list[Any] = [1.0, None]
    return lambda x: ws[1] * x, lambda v: ws.__setitem__(1, v)


def of_dict_entry() -> Case:
    ws: dict[str, Any] = {}
    return lambda x: ws["w"] * x, lambda v: ws.update(w=v)


def of_whole_container() -> Case:
    holder = types.SimpleNamespace()
    return lambda x: holder.ws[0][0] * x, lambda v: setattr(holder, "ws", [(v,)])


def of_growing_list() -> Case:
    ws: list[Value] = []

    def put(v: Value) -> None:
        ws.append(Value(v.data - sum(w.data for w in ws)))

    return lambda x: sum(w * x for w in ws), put


def of_deque() -> Case:
    ws: Any = collections.deque([None], maxlen=1)
    return lambda x: ws[0] * x, lambda v: ws.append(v)


def of_set() -> Case:
    ws: set[Value] = set()

    def put(v: Value) -> None:
        ws.clear()
        ws.add(v)

    return lambda x: next(iter(ws)) * x, put


def of_array() -> Case:
    ws: Any = np.array([None, None], dtype=object)
    return lambda x: ws[0] * x, lambda v: ws.__setitem__(0, v)


def of_named_tuple() -> Case:
    class Weights(NamedTuple):
        w: Any

    holder = types.SimpleNamespace()
    return lambda x: holder.ws.w * x, lambda v: setattr(holder, "ws", Weights(v))


def of_dataclass() -> Case:
    @dataclass
    class Weights:
        w: Any = None

    holder = Weights()
    return lambda x: holder.w * x, lambda v: setattr(holder, "w", v)


def of_default() -> Case:
    def f(x: Any, ws: Any = [None]) -> Any:  # noqa: B006
        return ws[0] * x

    return f, lambda v: f.__defaults__[0].__setitem__(0, v)  # type: ignore[index]


def of_new_defaults() -> Case:
    def f(x: Any, w: Any = None) -> Any:
        return w * x

    def put(v: Value) -> None:
        f.__defaults__ = (v,)

    return f, put


def of_function_attribute() -> Case:
    def f(x: Any) -> Any:
        return f.w * x  # type: ignore[attr-defined]

    return f, lambda v: setattr(f, "w", v)


def of_partial() -> Case:
    ws: list[Any] = [None]
    return functools.partial(lambda ws, x: ws[0] * x, ws), lambda v: ws.__setitem__(
        0, v
    )


def of_module() -> Case:
    module = types.ModuleType("weights")
    return lambda x: module.w * x, lambda v: setattr(module, "w", v)


def of_helper() -> Case:
    f, put = of_global()

    def helper(x: Any) -> Any:
        return f(x)

    return lambda x: helper(x), put


def of_other_helper() -> Case:
    helpers: dict[str, Any] = {}

    def put(v: Value) -> None:
        helpers["scale"] = lambda x: v * x

    return lambda x: helpers["scale"](x), put


def of_compiled_helper() -> Case:
    f, put = of_cell()
    inner = jit(f)
    return lambda x: inner(x) + 0.0, put


def of_derivative() -> Case:
    f, put = of_attribute()
    slope = grad(lambda x: f(x) * x / 2)
    return slope, put


def of_weak_reference() -> Case:
    class Holder:
        w: Any = None

    holder = Holder()
    seen = weakref.ref(holder)
    return lambda x: seen().w * x, lambda v: setattr(holder, "w", v)  # type: ignore[union-attr]


def of_bound_builtin() -> Case:
    ws: dict[str, Any] = {}
    get = ws.get
    return lambda x: get("w") * x, lambda v: ws.update(w=v)


def of_cached_helper() -> Case:
    ws: list[Any] = [None]

    @functools.cache
    def scale(k: int) -> list[Any]:
        return ws

    return lambda x: scale(0)[0] * x, lambda v: ws.__setitem__(0, v)


def of_pullback() -> Case:
    holder = types.SimpleNamespace()

    def put(v: Value) -> None:
        holder.pullback = vjp(lambda x: x * v, 1.0)[1]

    return lambda x: holder.pullback(x)[0], put


def of_operand() -> Case:
    """Not the Value itself is held, but what was computed from it."""
    holder = types.SimpleNamespace()
    return lambda x: holder.y.args[0] * x, lambda v: setattr(holder, "y", exp(v))


def of_chain_map() -> Case:
    ws: Any = collections.ChainMap({}, {"w": None})

    def put(v: Value) -> None:  # behind at first, then in front of that one
        if ws.maps[1]["w"] is None:
            ws.maps[1]["w"] = v
        else:
            ws["w"] = v

    return lambda x: ws["w"] * x, put


def of_order() -> Case:
    ws: dict[Any, Value] = {}

    def put(v: Value) -> None:
        ws[v] = v
        if len(ws) > 2:  # there already, but further on
            ws[v] = ws.pop(v)

    return lambda x: [*ws.values()][-1] * x, put


def of_ordered_dict() -> Case:
    ws: Any = collections.OrderedDict(a=Value(1.0), b=Value(1.0))

    def put(v: Value) -> None:
        ws.move_to_end("a")
        ws["b"], ws["a"] = ws["a"], v

    return lambda x: ws[next(reversed(ws))] * x, put


def of_metaclass() -> Case:
    class Meta(type):
        w: Any = None

    class Holder(metaclass=Meta):
        pass

    return lambda x: Holder.w * x, lambda v: setattr(Meta, "w", v)


def of_descriptor() -> Case:
    class Field:
        def __init__(self) -> None:
            self.ws: dict[int, Any] = {}

        def __get__(self, owner: Any, kind: type) -> Any:
            return self.ws[id(owner)]

        def __set__(self, owner: Any, v: Any) -> None:
            self.ws[id(owner)] = v

    class Holder:
        w = Field()

    holder = Holder()
    return lambda x: holder.w * x, lambda v: setattr(holder, "w", v)


def of_context() -> Case:
    w: Any = contextvars.ContextVar("w")
    return lambda x: w.get() * x, lambda v: w.set(v) and None


def of_bound_operator() -> Case:
    holder = types.SimpleNamespace()
    return lambda x: holder.times(x), lambda v: setattr(holder, "times", v.__mul__)


CASES = [of for name, of in sorted(globals().items()) if name.startswith("of_")]
AGAIN = (2.0, 5.0, 5.0, -7.0, 0.25)

compiled_by = {
    "jit": jit,
    "jit, ready": lambda f: warmed(jit(f)),
    "vmap": lambda f: lambda x: vmap(f)([x, x])[1],
    "sum": lambda f: vmap(lambda x: f(x) / 2, reduce="sum"),
}


def warmed(f: Any) -> Any:
    def called(x: float) -> Any:
        for _ in range(120):
            y = f(x)
        return y

    return called


@pytest.mark.parametrize("mode", compiled_by)
@pytest.mark.parametrize("case", CASES)
def test_value_put_elsewhere_is_the_one_that_counts(
    case: Callable[[], Case], mode: str
) -> None:
    f, put = case()
    put(Value(1.5))
    compiled: Any = compiled_by[mode](f)
    given = [3.0, 3.0] if mode == "sum" else 3.0
    for number in AGAIN:
        w = Value(number)
        put(w)
        y = compiled(given)
        assert type(y) is Value and y.data == 3.0 * number
        y.backward()
        last = w if case is not of_growing_list else f(1.0).args[-1].args[0]
        assert last.grad == 3.0


@pytest.mark.parametrize("mode", ["jit", "jit, ready"])
@pytest.mark.parametrize("case", CASES)
def test_outer_derivative_reaches_a_value_that_f_holds(
    case: Callable[[], Case], mode: str
) -> None:
    if case is of_growing_list:
        pytest.skip("its Values are made of numbers")
    f, put = case()
    put(Value(1.5))
    compiled: Any = compiled_by[mode](f)

    def outer(w: Value) -> Any:
        put(w)
        return compiled(3.0) * w

    assert value_and_grad(outer)(2.0) == (12.0, 12.0)
    assert grad(grad(outer))(5.0) == 6.0
    assert value_and_grad(outer)(4.0) == (48.0, 24.0)


def test_places_that_swap_their_values_are_read_crosswise() -> None:
    a, b = Value(2.0), Value(3.0)
    ws = [a, b]
    f = jit(lambda x: ws[0] * x - ws[1])
    assert f(10.0).data == 17.0
    ws.reverse()
    assert f(10.0).data == 28.0 and len(f.paths) == 1
    f(10.0).backward()
    assert (a.grad, b.grad) == (-1.0, 10.0)


def test_one_value_in_two_places_may_part() -> None:
    w = Value(2.0)
    ws = [w, w]
    f = jit(lambda x: ws[0] * x + ws[1] * ws[0])
    assert f(3.0).data == 10.0
    ws[1] = Value(5.0)
    assert f(3.0).data == 16.0
    ws[0] = ws[1]
    assert f(3.0).data == 40.0


def test_number_in_place_of_a_value_and_a_value_again() -> None:
    ws: list[Any] = [Value(2.0)]
    f = jit(lambda x: ws[0] * x)
    assert f(3.0).data == 6.0
    ws[0] = 4.0
    assert f(3.0) == 12.0 and type(f(3.0)) is float


def in_list(ws: list[Any]) -> Any:
    return sum(ws)


def in_dict(ws: dict[str, Any]) -> Any:
    return ws.get("w", 0.0)


def in_attribute(holder: Any) -> Any:
    return holder.w or 0.0


def missing_attribute(holder: Any) -> Any:
    return getattr(holder, "w", 0.0)


@pytest.mark.parametrize(
    ("held", "made", "put", "drop"),
    [
        (in_list, list, list.append, lambda ws, _: ws.clear()),
        (in_dict, dict, lambda ws, v: ws.update(w=v), lambda ws, _: ws.clear()),
        (
            in_attribute,
            lambda: types.SimpleNamespace(w=None, b=b),
            lambda holder, v: setattr(holder, "w", v),
            lambda holder, _: setattr(holder, "w", None),
        ),
        (
            missing_attribute,
            lambda: types.SimpleNamespace(b=b),
            lambda holder, v: setattr(holder, "w", v),
            lambda holder, _: delattr(holder, "w"),
        ),
    ],
)
@pytest.mark.parametrize("calls", [1, 120])
def test_value_may_come_where_there_was_none(
    held: Any, made: Any, put: Any, drop: Any, calls: int
) -> None:
    there = made()
    holder = types.SimpleNamespace(there=there, b=b)
    f = jit(lambda x: holder.b * x + held(holder.there))
    for change, expected in [(None, 3.0), (put, 7.0), (drop, 3.0), (put, 7.0)]:
        if change:
            change(there, Value(4.0))
        assert [f(3.0).data for _ in range(calls)] == [expected] * calls


b = Value(1.0)


def made_at_first(holder: Any) -> Value:
    if not hasattr(holder, "w"):
        holder.w = Value(2.0)
    found: Value = holder.w
    return found


def made_by_default(holder: Any) -> Value:
    found: Value = holder.ws["w"]
    return found


@pytest.mark.parametrize("find", [made_at_first, made_by_default])
@pytest.mark.parametrize("mode", [jit, vmap])
def test_value_that_f_makes_and_keeps_is_no_constant(find: Any, mode: Any) -> None:
    ws = collections.defaultdict(lambda: Value(2.0), z=Value(1.0))
    holder = types.SimpleNamespace(ws=ws)
    compiled = mode(lambda x: find(holder) * x)

    def f(x: float) -> Any:
        return compiled(x) if mode is jit else compiled([x])[0]

    f(3.0)
    assert f(3.0).data == 6.0
    find(holder).data = 7.0
    assert f(3.0).data == 21.0
    f(2.0).backward()
    assert find(holder).grad == 2.0


def turned(ws: list[Value]) -> Value:
    ws.reverse()
    return ws[0]


def popped(ws: list[Value]) -> Value:
    return ws.pop()


@pytest.mark.parametrize("mode", [jit, vmap])
@pytest.mark.parametrize("take", [turned, popped])
def test_function_that_moves_what_it_reads_runs_as_often_as_it_is_called(
    take: Any, mode: Any
) -> None:
    ws, others = ([Value(1.0), Value(2.0), Value(4.0)] for _ in range(2))
    compiled = mode(lambda x: take(ws) * x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for _ in range(3):
            y = compiled(3.0) if mode is jit else compiled([3.0])[0]
            assert y.data == (take(others) * 3.0).data


def test_function_that_moves_what_it_reads_is_not_compiled() -> None:
    ws = [Value(1.0), Value(2.0)]
    f = jit(lambda x: turned(ws) * x)
    assert f(1.0).data == 2.0
    with pytest.warns(RuntimeWarning, match=r"put other Values.*test_places.py:\d+"):
        assert f(1.0).data == 1.0
    assert [f(1.0).data for _ in range(3)] == [2.0, 1.0, 2.0]


def test_state_that_f_computes_anew_never_stands_still() -> None:
    holder = types.SimpleNamespace(h=Value(2.0))

    def f(x: Any) -> Any:
        holder.h = holder.h * 0.5
        return holder.h * x

    compiled = jit(f)
    assert compiled(3.0).data == 3.0
    with pytest.raises(TypeError, match="left over from compiling"):
        compiled(3.0)


def test_what_f_keeps_to_be_looked_at_is_compiled_at_once() -> None:
    holder = types.SimpleNamespace(w=Value(2.0), last=None, all=[])
    runs = []

    def f(x: Any) -> Any:
        runs.append(1)
        holder.last = holder.w * x
        holder.all.append(holder.last)
        return holder.last * x

    compiled = jit(f)
    assert [compiled(x).data for x in (1.0, 2.0, 3.0)] == [2.0, 8.0, 18.0]
    assert len(runs) == len(compiled.paths) == 1
    holder.w = Value(5.0)
    assert compiled(1.0).data == 5.0


def test_value_that_only_a_kept_result_leads_to_is_not_found() -> None:
    values, holder = itertools.cycle([Value(2.0), Value(3.0)]), types.SimpleNamespace()

    def f(x: Any) -> Any:
        holder.last = next(values) * x
        return holder.last * 2.0

    compiled = jit(f)
    with pytest.warns(RuntimeWarning, match="no variable"):
        found = [compiled(1.0).data]
    assert found + [compiled(1.0).data for _ in range(2)] == [4.0, 6.0, 4.0]


def test_name_that_is_gone_raises_as_it_does_without() -> None:
    ws = {"w": Value(2.0)}
    f = jit(lambda x: ws["w"] * x)
    f(3.0)
    del ws["w"]
    with pytest.raises(KeyError):
        f(3.0)
    ws["w"] = Value(3.0)
    assert f(3.0).data == 9.0


def test_shorter_list_is_summed_as_it_is_now() -> None:
    ws = [Value(1.0), Value(2.0), Value(4.0)]
    f = jit(lambda x: sum(w * x for w in ws))
    assert f(1.0).data == 7.0
    ws.pop()
    assert f(1.0).data == 3.0
    ws.clear()
    assert f(1.0) == 0.0


def test_value_that_f_only_returns_is_one_it_closes_over() -> None:
    holder = types.SimpleNamespace(w=Value(2.0))
    f = jit(lambda x: (x, holder.w) if x > 0 else holder.w)
    for w in (holder.w, Value(5.0)):
        holder.w = w
        w.grad = 0.0
        x, y = f(1.0)
        (y * x + f(-1.0)).backward()
        assert (y.data, w.grad) == (w.data, 2.0)


def test_new_values_of_the_same_kind_compile_nothing_again() -> None:
    holder = types.SimpleNamespace(ws=[Value(1.0), Value(2.0)])
    f = jit(lambda x: exp(holder.ws[0] * x) + holder.ws[1])
    f(1.0)
    path = f.path()
    holder.ws[0] = Value(3.0)
    f(1.0)
    assert f.path() is path
    holder.ws = [Value(5.0), Value(2.0)]
    f(1.0)
    assert f.path() is not path and f.path().executable is path.executable


def test_new_list_of_values_compiles_no_gradient_of_a_sum_again() -> None:
    holder = types.SimpleNamespace(ws=[Value(1.0), Value(2.0)])
    f = vmap(lambda x: exp(holder.ws[0] * x) + holder.ws[1], reduce="sum")

    def ways() -> list[Any]:
        holder.ws = [Value(0.0), Value(2.0)]
        f([1.0, 2.0]).backward()
        assert [w.grad for w in holder.ws] == [3.0, 2.0]
        (tree,) = f._trees.values()
        return [*tree.paths[0].derived.values()]

    first = ways()
    assert first and all(x is y for x, y in zip(first, ways(), strict=True))


def test_every_path_reads_what_is_there_now() -> None:
    holder = types.SimpleNamespace(a=Value(2.0), b=Value(3.0))
    f = jit(lambda x: holder.a * x if x > 0 else holder.b * x)
    assert (f(1.0).data, f(-1.0).data) == (2.0, -3.0)
    holder.b = Value(7.0)
    assert (f(1.0).data, f(-1.0).data) == (2.0, -7.0)
    holder.a = Value(5.0)
    assert (f(-1.0).data, f(1.0).data) == (-7.0, 5.0)


def test_static_argument_may_hold_other_values_by_now() -> None:
    model = MLP(1, [2, 1], activation="tanh", seed=0)
    f = jit(lambda model, x: model([x]), static_argnums=0)
    assert f(model, 0.5).data == model([0.5]).data
    model.layers[0].neurons[1].w[0] = Value(-3.0)
    assert f(model, 0.5).data == model([0.5]).data
    model.layers = MLP(1, [2, 1], activation="tanh", seed=1).layers
    assert f(model, 0.5).data == model([0.5]).data


def test_training_that_makes_new_parameters_moves() -> None:
    w, losses = Value(0.0), []
    loss = jit(lambda x, y: (w * x - y) ** 2)
    for _ in range(20):
        y = loss(1.0, 3.0)
        y.backward()
        losses.append(y.data)
        w = Value(w.data - 0.25 * w.grad)
    assert losses[0] == 9.0 and losses[-1] < 1e-9


def from_iterator() -> Callable[[Any], Any]:
    values = itertools.cycle([Value(2.0), Value(3.0)])
    return lambda x: next(values) * x


def from_generator() -> Callable[[Any], Any]:
    def turns(*ws: Value) -> Iterator[Value]:
        while True:
            yield from ws

    values = turns(Value(2.0), Value(3.0))
    return lambda x: next(values) * x


def from_iterator_of_a_list_in_view() -> Callable[[Any], Any]:
    ws = [Value(2.0), Value(3.0)]
    values = itertools.cycle(ws)
    return lambda x: next(values) * x * len(ws) / 2


def from_own_iterator() -> Callable[[Any], Any]:
    class Turns:
        def __init__(self) -> None:
            self.ws, self.turn = [Value(2.0), Value(3.0)], 1

        def __next__(self) -> Value:
            self.turn = 1 - self.turn
            return self.ws[self.turn]

    turns = Turns()
    return lambda x: next(turns) * x


@pytest.mark.parametrize(
    "make",
    [
        from_iterator, from_generator, from_iterator_of_a_list_in_view,
        from_own_iterator,
    ],
)  # fmt: skip
def test_value_found_nowhere_leaves_f_uncompiled(make: Any) -> None:
    f = jit(make())
    with pytest.warns(RuntimeWarning, match=r"no variable.*test_places.py:\d+"):
        found = [f(1.0).data]
    found += [f(1.0).data for _ in range(3)]
    assert found == [2.0, 3.0, 2.0, 3.0]


def test_pickled_function_has_the_values_that_it_finds_where_it_is() -> None:
    global there
    there = Value(2.0)
    f = jit(times_there)
    assert f(3.0).data == 6.0
    travelled = pickle.dumps(f)
    there = Value(5.0)
    assert pickle.loads(travelled)(3.0).data == 15.0
    again = pickle.loads(travelled)
    again(3.0)
    there = Value(7.0)
    assert again(3.0).data == 21.0


def times_there(x: Any) -> Any:
    return there * x


@pytest.mark.parametrize("calls", [1, 200])
def test_number_that_a_rule_closes_over_may_change(calls: int) -> None:
    a = 2.0
    scaled = Primitive("scaled", lambda x: a * x, lambda z, x: a)
    f, slope = jit(lambda x: scaled(x) * x), jit(grad(lambda x: scaled(x)))
    batch = vmap(value_and_grad(lambda x: scaled(x)))
    for _ in range(calls):
        assert (f(3.0), slope(3.0), batch([3.0])) == (18.0, 2.0, ([6.0], [2.0]))
    a = 5.0
    for _ in range(calls):
        assert (f(3.0), slope(3.0), batch([3.0])) == (45.0, 5.0, ([15.0], [5.0]))
    x = Value(3.0)
    f(x).backward()
    assert x.grad == 30.0


def test_functions_traced_again_and_again_keep_nothing_of_before() -> None:
    holder = types.SimpleNamespace(ws=[])
    f = jit(lambda x: sum(w * x for w in holder.ws))

    def step(k: int) -> Any:
        holder.ws = [Value(float(k)), Value(1.0)]
        return weakref.ref(f(2.0)._row._tree)

    trees = [step(k) for k in range(20)]
    gc.collect()
    assert sum(tree() is not None for tree in trees) <= 2


@pytest.mark.parametrize("is_batch", [False, True])
def test_ctrl_c_where_a_place_is_looked_at_is_not_lost(is_batch):
    interrupts: list[int] = []

    class Interrupting:
        def __init__(self):
            self.w = Value(2.0)

        def __getattribute__(self, name):
            if name == "w" and interrupts:
                interrupts.pop()
                raise KeyboardInterrupt
            return object.__getattribute__(self, name)

    holder = Interrupting()
    f = vmap(lambda x: holder.w * x) if is_batch else jit(lambda x: holder.w * x)
    x = [1.0, 3.0] if is_batch else 3.0
    expected = repr(f(x))
    assert repr(f(x)) == expected
    interrupts.append(1)
    with pytest.raises(KeyboardInterrupt):
        f(x)
    assert repr(f(x)) == expected


def test_object_that_answers_to_any_name_has_places_all_the_same() -> None:
    class Answers:
        __slots__ = ("weight",)

        def __getattr__(self, name: str) -> float:
            return 3.0  # also to __dict__, which it has not

    answers: Any = Answers()
    answers.weight = Value(2.0)
    f = jit(lambda x: x * answers.weight + answers.anything)
    assert f(5.0) == 13.0
    answers.weight = Value(4.0)
    assert f(5.0) == 23.0
