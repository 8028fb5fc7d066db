"""Sweeps under a trace in C against those in Python: tapes, instruction by instruction.

A seed makes a program of any rows of the table, of selects, own rows, calls with
several results and Values that it closes over; a nest of transforms of it is traced by
either engine; the tapes are compared as text, and what they give by its bits.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import pytest
from in_python import ENGINES, ROWS, needs_c, on_both, row_of, told
from seeds import seeds

import autograd
from autograd import Value, grad, hessian, jacobian, jit, relu, where
from autograd.rules import written

inf, nan = float("inf"), float("nan")
CORNERS = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.0, 3.0, inf, nan, 1e300, 5e-324]
SELECTS = ["where", "relu", "maximum", "minimum", "clip", "leaky_relu", "abs"]
PLAIN = ["add", "mul", "sub", "div", "sin", "exp", "tanh", "dot", "sigmoid", "pow"]

Program = Callable[[Sequence[Any]], list[Any]]


def tape_of(engine: Any, f: Callable[[list[Any]], Any], xs: Sequence[float]) -> Any:
    """The tape of f at a point, and what it gives there and elsewhere, as text."""
    trace = import_module(f"{engine.__name__}.compiled.trace").Trace(xs, [])
    try:
        try:
            out = trace.run(f)
        except (ArithmeticError, ValueError, TypeError) as error:
            return type(error).__name__
        flat = [x for x in leaves(out) if type(x) in (float, engine.Value)]
        tape = trace.tape(flat)
        closed = [x._data for x in trace.closed]
    finally:
        trace.close()
    found = [tape.run([*point, *closed]) for point in (xs, [1.5] * len(xs))]
    return told([str(tape), [*map(tuple, tape.guards)], len(closed), found])


def leaves(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, (list, tuple)):
        return [x for item in tree for x in leaves(item)]
    return [tree]


# ---- each rule -----------------------------------------------------------------------


def derived(
    engine: Any, name: str, args: list[float], kinds: list[str], order: int
) -> Any:
    """The tape of a row's derivatives, by operands of these kinds."""
    which = tuple(i for i, kind in enumerate(kinds) if kind == "traced")
    gradient = engine.grad(lambda *ys: row_of(engine, name)(*ys), which)

    def f(xs: Sequence[Any]) -> Any:
        ways = {"traced": lambda i: xs[i], "plain": lambda i: args[i]}
        ways["made"] = lambda i: engine.Value(args[i]) * 1.0
        given = [ways[kind](i) for i, kind in enumerate(kinds)]
        if order == 1:
            return gradient(*given)
        return engine.grad(lambda *ys: sum(gradient(*ys)), which)(*given)

    return tape_of(engine, f, args)


@needs_c
@pytest.mark.parametrize("name", ROWS)
def test_rules_in_c_leave_the_tape_of_rules_in_python(name: str) -> None:
    chance = random.Random(name)
    for _ in range(12 if "gamma" in name else 30):
        size = row_of(autograd, name).arity or 2 * chance.randint(1, 3)
        args = [chance.choice([*CORNERS, chance.gauss(0, 2)]) for _ in range(size)]
        kinds = [chance.choice(["traced", "traced", "plain", "made"]) for _ in args]
        kinds[chance.randrange(size)] = "traced"
        order = chance.choice([1, 1, 2])
        found, expected = on_both(derived, name, args, kinds, order)
        assert found == expected, (args, kinds, order)


def test_a_rule_is_written_down_by_what_it_is_given() -> None:
    """A float on the left leaves a comparison to the Value: then the row is turned."""
    rule = autograd.maximum.rules[0]
    steps, guards, _ = written(rule, [2.0, 1.0, 2.0], b"\2\0\2")
    assert [row.name for row, _ in steps] == [
        "equal", "greater", "add", "where", "where", "less", "where",
    ]  # fmt: skip
    assert not guards
    steps, _, _ = written(rule, [2.0, 1.0, 2.0], b"\2\2\2")
    assert [row.name for row, _ in steps][1] == "less"


def test_a_rule_branches_on_what_is_not_traced_alone() -> None:
    rule = autograd.pow.rules[0]
    steps, guards, _ = written(rule, [8.0, 2.0, 3.0], b"\2\2\0")
    names = [row.name for row, _ in steps]
    assert names[names.index("less") + 1] == "stop_gradient" and len(guards) == 1
    branching = lambda z, x: 1.0 if x > 0.0 else 2.0  # noqa: E731
    assert written(branching, [1.0, 1.0], b"\2\2") is None
    assert written(branching, [1.0, 1.0], b"\2\1") is not None


# ---- whole programs ------------------------------------------------------------------


def random_program(chance: random.Random, engine: Any, outer: Sequence[Any]) -> Program:
    """A function of a list of numbers, of rows and of Values from outside."""
    rows = PLAIN * 2 + SELECTS * 4 + ROWS
    own = engine.Primitive(
        "own", lambda x, y: x * x * y, lambda z, x, y: 2.0 * x * y,
        lambda z, x, y: engine.where(y > 0.5, x * x, 0.0), select=True,
    )  # fmt: skip
    turn = engine.VectorPrimitive(
        "turn", lambda x, y: (x * y, x - y),
        lambda ys, xs, y_bars: [
            y_bars[0] * xs[1] + y_bars[1], y_bars[0] * xs[0] - y_bars[1],
        ],
        outputs=2,
    )  # fmt: skip
    plan = []
    for i in range(chance.randrange(2, 14)):
        name = chance.choice(rows)
        arity = row_of(autograd, name).arity or chance.choice([2, 4])
        picks = [
            chance.choice([chance.randrange(3 + i), chance.randrange(100)])
            for _ in range(arity)
        ]
        special = chance.random()
        name = "own" if special < 0.1 else "turn" if special < 0.15 else name
        plan.append((name, (picks * 2)[:2] if special < 0.15 else picks))

    def program(xs: Sequence[Any]) -> list[Any]:
        pool = [*xs, *outer, 0.5, -1.5]
        for name, picks in plan:
            args = [pool[-1 - pick % len(pool)] for pick in picks]
            if name == "turn":
                pool += turn(*args)
            else:
                pool.append((own if name == "own" else row_of(engine, name))(*args))
        return pool[-4:]

    return program


def traced(seed: int, engine: Any) -> list[Any]:
    """The tapes of some transforms of a random program."""
    chance = random.Random(seed)
    numbers = [chance.choice([*CORNERS[:8], chance.gauss(0, 1)]) for _ in range(4)]
    outer = [engine.Value(x) if chance.random() < 0.5 else x for x in numbers[:2]]
    program = random_program(chance, engine, outer)
    branches = chance.random() < 0.3

    def f(xs: Sequence[Any]) -> Any:
        ys = program(xs)
        if branches and ys[-1] > ys[0]:
            return ys[-1] * ys[1]
        return sum(ys[1:], start=0.0)

    def both(xs: Sequence[Any]) -> Any:
        *ys, aux = program(xs)
        return ys[-1] * ys[0], {"aux": aux, "ys": ys}

    t, g = engine, engine.grad
    jobs: list[Callable[[list[Any]], Any]] = [
        lambda xs: g(f)(xs),
        lambda xs: t.value_and_grad(both, has_aux=True)(xs),
        lambda xs: t.jvp(f, (xs,), (xs[::-1],)),
        lambda xs: t.jvp(f, (xs,), ([1.0, -0.5],)),
        lambda xs: t.jacobian(program)(xs),
        lambda xs: t.jacfwd(lambda xs: [program(xs), *xs])(xs),
        lambda xs: t.jacfwd(g(f))(xs),
        lambda xs: t.vjp(program, xs)[1]([xs[0], 0.0, 1.0, -1.0]),
        lambda xs: t.hessian(f)(xs),
        lambda xs: t.hvp(f, (xs,), (xs[::-1],)),
        lambda xs: g(lambda x, y: f([x, y]), (1, 0))(*xs),
        lambda xs: g(lambda x: g(lambda y: f([x * y, y]))(x * 0.5))(xs[0]),
        lambda xs: g(lambda xs: t.jvp(f, (xs,), (xs,))[1])(xs),
        lambda xs: g(lambda x: g(g(lambda y: f([y, x])))(x))(xs[1]),
        lambda xs: t.vjp(g(f), xs)[1](xs),
        lambda xs: g(lambda x: g(lambda y: f([y, t.Value(2.0)]))(x * 1.0))(xs[0]),
    ]
    return [tape_of(engine, job, numbers[2:]) for job in chance.sample(jobs, 3)]


@needs_c
@pytest.mark.parametrize("seed", seeds(12))
def test_traced_sweeps_leave_the_same_tapes_on_both_engines(seed: int) -> None:
    for k in range(60):
        found, expected = (traced(1000 * seed + k, engine) for engine in ENGINES)
        assert found == expected, 1000 * seed + k


# ---- what sweeps rest on -------------------------------------------------------------


@needs_c
def test_rule_of_the_table_that_is_replaced_is_traced_in_python() -> None:
    row, rules = autograd.sinh, autograd.sinh.rules
    try:
        row.rules = (lambda z, x: 3.0 * x,)
        assert jit(grad(row))(0.5) == 1.5
    finally:
        row.rules = rules
    assert jit(grad(row))(0.5) == autograd.cosh(0.5)


def test_error_in_a_rule_ends_the_trace() -> None:
    def rule(z: Any, x: Any) -> Any:
        if type(x) is Value:
            raise KeyboardInterrupt
        return 2.0 * x

    square = autograd.Primitive("square", lambda x: x * x, rule)
    compiled = jit(grad(lambda x: relu(square(x * 1.0))))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            compiled(2.0)


def test_graph_of_a_trace_must_be_as_it_was_recorded() -> None:
    def f(x: Any) -> Any:
        leaf = Value(2.0)
        y, pullback = autograd.vjp(lambda x: where(x > 0.0, x * leaf, x), x)
        leaf.data = 3.0
        return pullback(1.0)

    with pytest.raises(ValueError, match="vjp: the graph must be as it was recorded"):
        jit(f)(2.0)


def test_second_derivatives_of_selects_are_those_of_eager_code() -> None:
    def f(x: Sequence[Any]) -> Any:
        h = [relu(x[0] * x[1]), relu(-x[0]), autograd.maximum(x[0], x[1])]
        return sum(a * b * autograd.exp(a - b) for a in h for b in h)

    for x in ([1.0, 2.0], [-1.0, 2.0], [0.0, 0.0], [-1.0, -2.0]):
        for derive in (grad, hessian, lambda f: jacobian(grad(f))):
            assert told(jit(derive(f))(x)) == told(derive(f)(x))
