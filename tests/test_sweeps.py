"""Sweeps of transforms in C against those in Python: numbers, and graphs they leave.

A seed makes a program of any rows of the table, of selects, own rows and Values that it
closes over; a nest of transforms is applied to it; and everything that comes back is
compared as text: bits, rows, operands and the order in which nodes were made.
"""

from __future__ import annotations

import gc
import random
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from in_python import ENGINES, ROWS, needs_c, on_both, row_of, told
from seeds import seeds

import autograd
from autograd import Primitive, Value, grad, hvp, jacobian, jvp, vjp
from autograd.rules import Line, written

inf, nan = float("inf"), float("nan")
CORNERS = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.0, 3.0, inf, nan, 1e300, 5e-324]
SELECTS = ["where", "relu", "maximum", "minimum", "clip", "leaky_relu", "abs"]
PLAIN = ["add", "mul", "sub", "div", "sin", "exp", "tanh", "dot", "sigmoid", "pow"]


def history(engine: Any, *roots: Any) -> Any:
    """All that the roots are made of, in its order, and nodes by their number."""
    values = [y for y in roots if type(y) is engine.Value]
    order = engine.value.topological(*values, whole=True)
    index = {id(node): i for i, node in enumerate(order)}
    return [
        (node.op, told(node), [index.get(id(arg), "leaf") for arg in node.args])
        for node in order
    ], [index.get(id(y)) for y in values]


def flat(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, (list, tuple)):
        return [x for item in tree for x in flat(item)]
    return [tree]


# ---- each rule -----------------------------------------------------------------------


def again(engine: Any, name: str, args: list[float], values: list[bool]) -> Any:
    """A row's derivatives on Values: what they are, and how they were computed."""
    given = [engine.Value(x) if use else x for x, use in zip(args, values)]
    chosen = tuple(i for i, use in enumerate(values) if use)
    found = engine.grad(lambda *xs: row_of(engine, name)(*xs), chosen)(*given)
    return told(found), history(engine, *found)


@needs_c
@pytest.mark.parametrize("name", ROWS)
def test_rules_in_c_leave_the_graph_of_rules_in_python(name: str) -> None:
    chance = random.Random(name)
    for _ in range(25 if "gamma" in name else 60):
        size = row_of(autograd, name).arity or 2 * chance.randint(1, 3)
        args = [chance.choice([*CORNERS, chance.gauss(0, 2)]) for _ in range(size)]
        values = [chance.random() < 0.7 for _ in args]
        values[chance.randrange(size)] = True
        found, expected = on_both(again, name, args, values)
        assert found == expected, (args, values)


def test_a_rule_is_written_down_with_its_branches() -> None:
    steps, guards, result = written(autograd.pow.rules[0], [8.0, 2.0, 3.0])
    assert [row.name for row, _ in steps[:2]] == ["_pow_less_one", "less"]
    assert guards == [(len(steps), len(steps) + 2, False)] and result == len(steps) + 1


def test_a_rule_that_needs_a_number_is_not_written_down() -> None:
    assert written(lambda z, x: float(x), [1.0, 1.0]) is None
    assert written(lambda z, x: x.data, [1.0, 1.0]) is None


def test_a_long_rule_is_not_written_down() -> None:
    assert written(lambda z, x: sum([x] * 100), [1.0, 1.0]) is None
    assert Line([1.0, 1.0]).run(lambda z, x: sum([x] * 50)) == 51


@needs_c
def test_rule_of_the_table_that_is_replaced_runs_in_python() -> None:
    row, rules = autograd.sinh, autograd.sinh.rules
    w = Value(0.5)
    assert grad(row)(w).op == "cosh"
    try:
        row.rules = (lambda z, x: 3.0 * x,)
        assert grad(row)(w).op == "mul"
    finally:
        row.rules = rules
    assert grad(row)(w).op == "cosh"


# ---- whole programs ------------------------------------------------------------------


def random_program(chance: random.Random, engine: Any, outer: list[Any]) -> Any:
    """A function of a list of numbers, of rows and of Values from outside."""
    rows = PLAIN * 2 + SELECTS * 2 + ROWS
    own = engine.Primitive(
        "own", lambda x, y: x * x * y, lambda z, x, y: 2.0 * x * y,
        lambda z, x, y: engine.where(y > 0.5, x * x, 0.0), select=True,
    )  # fmt: skip
    plan = []
    for i in range(chance.randrange(2, 12)):
        name = chance.choice(rows)
        arity = row_of(autograd, name).arity or chance.choice([2, 4])
        picks = [
            chance.choice([chance.randrange(3 + i), chance.randrange(100)])
            for _ in range(arity)
        ]
        plan.append((name if chance.random() > 0.1 else "own", picks))

    def program(xs: Any, kept: list[Any]) -> list[Any]:
        pool = [*xs, *outer, 0.5, -1.5]
        for name, picks in plan:
            row = own if name == "own" else row_of(engine, name)
            picks = (picks * 2)[:2] if name == "own" else picks
            pool.append(row(*[pool[-1 - pick % len(pool)] for pick in picks]))
        kept += pool
        return pool[-4:]

    return program


def nested(seed: int, engine: Any) -> Any:
    """Some transforms of a random program, and what is left of them."""
    chance = random.Random(seed)
    numbers = [chance.choice([*CORNERS[:8], chance.gauss(0, 1)]) for _ in range(6)]
    outer = [engine.Value(x) if chance.random() < 0.6 else x for x in numbers[:2]]
    program = random_program(chance, engine, outer)
    kept: list[Any] = []
    xs = [engine.Value(x) if chance.random() < 0.3 else x for x in numbers[2:4]]
    along = [engine.Value(0.5) if chance.random() < 0.2 else -1.25, 2.0]

    def f(xs: Any) -> Any:
        return sum(program(xs, kept)[1:], start=0.0)

    def both(xs: Any) -> Any:
        *ys, aux = program(xs, kept)
        return ys[-1] * ys[0], {"aux": aux, "ys": ys}

    def structured(p: Any) -> Any:
        ys = program([p["a"], *p["b"]], kept)
        return {"first": ys[0], "rest": (ys[1], [ys[3]])}

    g, t = engine.grad, engine
    jobs: list[Callable[[], Any]] = [
        lambda: g(f)(xs),
        lambda: t.value_and_grad(both, has_aux=True)(xs),
        lambda: t.jvp(f, (xs,), (along,)),
        lambda: t.jacobian(lambda xs: program(xs, kept))(xs),
        lambda: t.jacobian(structured)({"a": xs[0], "b": (xs[1],)}),
        lambda: t.jacfwd(lambda xs: [program(xs, kept), xs[1] * kept, *xs])(xs),
        lambda: t.jacfwd(t.grad(lambda xs: program(xs, kept)))(xs),
        lambda: t.vjp(lambda xs: program(xs, kept), xs)[1]([along[0], 0.0, 1.0, -1.0]),
        lambda: t.hessian(f)(xs),
        lambda: t.hvp(f, (xs,), (along,)),
        lambda: g(lambda x, y: f([x, y]), (1, 0))(*xs),
        lambda: g(lambda x: g(lambda y: f([x * y, y]))(x * 0.5))(xs[0]),
        lambda: t.jvp(lambda xs: g(f)(xs)[0] * xs[1], (xs,), (along,)),
        lambda: g(lambda xs: t.jvp(f, (xs,), (along,))[1])(xs),
        lambda: g(lambda x: g(g(lambda y: f([y, x])))(x))(xs[1]),
        lambda: t.vjp(g(f), xs)[1](along),
    ]
    results = []
    for job in chance.sample(jobs, 4):
        try:
            found = job()
        except (ArithmeticError, ValueError, TypeError) as error:
            results.append(type(error).__name__)
            continue
        results.append((told(flat(found)), history(engine, *flat(found))))
    left = [(told(x.grad), x.reached) for x in kept if type(x) is engine.Value]
    for x in [x for x in kept if type(x) is engine.Value][-1:]:
        x.backward()
    after = [(told(x.grad), x.reached) for x in kept if type(x) is engine.Value]
    return results, left, after, [told(x) for x in flat([outer, xs, along])]


@needs_c
@pytest.mark.parametrize("seed", seeds(8))
def test_nested_sweeps_leave_the_same_graphs_on_both_engines(seed: int) -> None:
    for k in range(60):
        found, expected = (nested(1000 * seed + k, engine) for engine in ENGINES)
        assert found == expected, 1000 * seed + k


# ---- what sweeps leave behind --------------------------------------------------------


def test_sweeps_do_not_touch_the_nodes_that_f_kept() -> None:
    kept: list[Any] = []

    def f(x: Any) -> Any:
        kept.append(x.sin())
        kept[-1].backward()
        kept.append(kept[-1] * x)
        return kept[-1]

    grad(f)(2.0)
    jvp(f, (2.0,), (1.0,))
    jacobian(lambda x: [f(x), f(x)])(2.0)
    assert [(x.grad, x.reached) for x in kept[::2]] == [(1.0, True)] * 4
    assert [x.reached for x in kept[1::2]] == [False] * 4


def test_sweep_goes_by_order_where_little_of_what_f_made_is_in_the_result() -> None:
    """Then places are no times: see `put_in_places`."""

    def f(xs: Any) -> Any:
        total = 0.0
        for x in xs:
            for _ in range(60):
                x.sin()
            total = total * x + x
        return total

    xs = [0.5, 2.0, -1.0, 3.0]
    assert grad(f)(xs) == [-6.0, -4.5, 12.0, -3.0]
    assert jvp(f, (xs,), ([1.0, 0.0, 0.0, 1.0],)) == (-9.0, -9.0)
    assert hvp(f, (xs,), ([1.0, 0.0, 0.0, 0.0],)) == ([0.0, -3.0, 6.0, -2.0],)


def test_error_in_a_rule_leaves_the_graph_as_it_was() -> None:
    def rule(z: Any, x: Any) -> Any:
        if type(x) is Value and x.data == 2.0:
            raise KeyboardInterrupt
        return 2.0 * x

    square = Primitive("square", lambda x: x * x, rule)
    w = Value(2.0)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            grad(lambda x: square(x * 1.0) * w)(w)
    y = square(w) * w
    y.backward()
    assert w.grad == 12.0
    assert grad(lambda x: square(x * 1.0))(Value(3.0)).data == 6.0


def test_pullback_serves_many_threads_at_once() -> None:
    w = Value(3.0)
    _, pullback = vjp(lambda x: (x * w).sin() * x, 2.0)
    expected = told(pullback(1.0)[0])
    found: list[Any] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [
            threading.Thread(
                target=lambda: found.extend(told(pullback(1.0)[0]) for _ in range(30))
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert found == [expected] * 120


def test_pullback_that_is_part_of_a_cycle_is_collected() -> None:
    class Held:
        def __del__(self) -> None:
            gone.append(True)

    gone: list[bool] = []

    def make() -> None:
        held = Held()
        row: Any = Primitive("held", lambda x: 2.0 * x, lambda z, x: 2.0 + 0 * id(held))
        row.pullback = vjp(row, 3.0)[1]
        assert row.pullback(1.0) == (2.0,)

    make()
    gc.collect()
    assert gone == [True]


def test_leaf_that_an_input_copies_must_be_current_when_rules_run() -> None:
    w = Value(2.0)
    _, pullback = vjp(lambda x: x * x, w)
    _, late = vjp(lambda x: x * x, w)
    assert pullback(1.0)[0].data == 4.0
    w.data = 3.0
    assert pullback(1.0)[0].data == 4.0  # its rules have run
    with pytest.raises(ValueError, match="vjp: the graph must be as it was recorded"):
        late(1.0)
