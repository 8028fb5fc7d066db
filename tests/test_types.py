"""The type of a derivative depends on the program, never on the numbers in it.

Value   if an argument is one, or f recorded one from outside, left out or not
float   otherwise
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

import autograd as ag
from autograd import (
    Value,
    grad,
    hessian,
    hvp,
    jacobian,
    jit,
    jvp,
    value_and_grad,
    vjp,
    where,
)
from nn import MLP, SGD

Function = Callable[..., Any]
POINTS = [-2.0, 0.0, 0.5, 2.0]

TRANSFORMS: dict[str, Callable[[Function, Any], Any]] = {
    "grad": lambda f, x: grad(f)(x),
    "value_and_grad": lambda f, x: value_and_grad(f)(x),
    "aux": lambda f, x: value_and_grad(lambda t: (f(t), [f(t)]), has_aux=True)(x),
    "vjp": lambda f, x: (lambda y, pull: (y, pull(1.0)))(*vjp(f, x)),
    "jvp": lambda f, x: jvp(f, (x,), (1.0,)),
    "jacobian": lambda f, x: jacobian(lambda t: [f(t), f(-t)])(x),
    "hessian": lambda f, x: hessian(f)(x),
    "hvp": lambda f, x: hvp(f, (x,), (1.0,)),
    "third": lambda f, x: grad(hessian(f))(x),
    "in a list": lambda f, x: grad(lambda t: f(t[0]) + t[1])([x, 1.0]),
    "jit of one": lambda f, x: jit(grad(f))(x),
    "jit of two": lambda f, x: jit(value_and_grad(f))(x),
    "jit of hessian": lambda f, x: jit(hessian(f))(x),
}
each_transform = pytest.mark.parametrize("name", TRANSFORMS)


def types(tree: Any) -> Any:
    """The structure of a result, with the types of its numbers."""
    if isinstance(tree, (list, tuple)):
        return [types(item) for item in tree]
    return str(tree.dtype) if hasattr(tree, "dtype") else type(tree)


def all_are(kind: type, tree: Any) -> bool:
    if isinstance(tree, (list, tuple)):
        return all(all_are(kind, item) for item in tree)
    return type(tree) is kind


def of_selects(w: Any) -> dict[str, Function]:
    """Functions in which a select or a rule decides whether w has a say."""
    return {
        "relu": lambda x: ag.relu(w * x),
        "relu, deeper": lambda x: x + ag.relu(ag.relu(w * x) * x - 0.5),
        "where": lambda x: where(x > 0.0, x * x, w * x),
        "where, alone": lambda x: where(x > 0.0, w, x),
        "maximum": lambda x: ag.maximum(x, w * 0.3) * x,
        "clip": lambda x: ag.clip(x * x, -1.0, w * x),
        "leaky": lambda x: ag.leaky_relu(x, w),
        "sum": lambda x: x * x + w,
        "unused": lambda x: w * 2.0,
        "stopped": lambda x: x * ag.stop_gradient(w),
        "zero": lambda x: ag.floor(x) * w,
        "logsumexp": lambda x: ag.logsumexp([x, ag.relu(x * w)]),
    }


@each_transform
@pytest.mark.parametrize("f", of_selects(1.0))
def test_derivatives_are_values_wherever_a_value_was_recorded(
    name: str, f: str
) -> None:
    w = Value(0.7)
    for x in POINTS:
        assert all_are(Value, TRANSFORMS[name](of_selects(w)[f], x)), x


@each_transform
@pytest.mark.parametrize("f", of_selects(1.0))
def test_derivatives_are_floats_wherever_none_was_recorded(name: str, f: str) -> None:
    for x in POINTS:
        found = TRANSFORMS[name](of_selects(0.7)[f], x)
        assert all_are(float, found), x


@each_transform
@pytest.mark.parametrize("f", [name for name in of_selects(1.0) if name != "unused"])
def test_derivatives_with_respect_to_a_value_are_values(name: str, f: str) -> None:
    if name.startswith("jit"):
        name = "jit of one"
    for x in POINTS:
        assert all_are(Value, TRANSFORMS[name](of_selects(0.7)[f], Value(x))), x


def test_derivatives_of_a_constant_are_constants_of_that_type() -> None:
    for x, kind in ((1.5, float), (Value(1.5), Value)):
        assert all_are(kind, jit(grad(lambda t: 3.0))(x))
        slope, (y, also), more, (_, dot) = (
            grad(lambda t: 3.0)(x),
            value_and_grad(lambda t: 3.0)(x),
            hessian(lambda t: 3.0)(x),
            jvp(lambda t: 3.0, (x,), (1.0,)),
        )
        assert all_are(kind, [slope, also, more, dot]) and type(y) is float
        assert slope == also == more == dot == 0.0


def test_constant_derivative_has_no_parents() -> None:
    w = Value(2.0)
    slope = grad(lambda x: ag.relu(w * x))(-1.0)
    (slope * slope + w).backward()
    assert (slope.data, slope.parents, w.grad) == (0.0, (), 1.0)


def test_any_argument_counts_be_it_differentiated_or_not() -> None:
    w = Value(2.0)
    for f in (lambda x, y: x * x, lambda x, y: x * 3.0):
        assert type(grad(f)(1.0, w)) is Value
        assert type(grad(f)(1.0, [0.5, {"w": w}])) is Value
        assert type(grad(f)(1.0, y=w)) is Value
        assert type(grad(f)(1.0, [0.5, {"w": 2.0}])) is float


def test_tangents_and_adjoints_that_are_values_count() -> None:
    one = Value(1.0)
    for x in POINTS:
        assert type(jvp(ag.relu, (x,), (one,))[1]) is Value
        pullback = vjp(ag.relu, x)[1]
        assert [type(pullback(y_bar)[0]) for y_bar in (1.0, one, 1.0)] == [
            float,
            Value,
            float,
        ]


def test_what_a_pullback_of_before_does_counts_for_the_function_around() -> None:
    w = Value(2.0)
    for x in POINTS:
        _, pullback = vjp(lambda t: ag.relu(w * t), x)
        assert type(grad(lambda t, p=pullback: t * p(1.0)[0])(x)) is Value
        assert type(grad(lambda t: grad(lambda u: ag.relu(u))(t) + t * t)(x)) is float


def test_arrays_keep_their_dtype() -> None:
    np = pytest.importorskip("numpy")
    w = Value(2.0)
    for x in POINTS:
        xs = np.array([[x, 1.0]])
        for f, kind in (
            (lambda a: ag.relu(w * a[0, 0]) * a[0, 1], "object"),
            (lambda a: ag.relu(2.0 * a[0, 0]) * a[0, 1], "float64"),
        ):
            y, pullback = vjp(f, xs)
            found = [grad(f)(xs), pullback(1.0)[0], hvp(f, (xs,), (xs,))[0]]
            found += [jacobian(lambda a, f=f: [f(a)])(xs)[0], hessian(f)(xs)[0, 0]]
            assert types(found) == [kind] * 5
            assert type(y) is (Value if kind == "object" else float)


def test_aux_keeps_what_is_no_value() -> None:
    w = Value(2.0)
    for x in POINTS:
        (_, aux), _ = value_and_grad(
            lambda t: (ag.relu(w * t), {"n": 3, "name": "f", "y": t * t}), has_aux=True
        )(x)
        assert types([*aux.values()]) == [int, str, Value]


def test_derivative_has_the_methods_of_a_value_inside_compiled_code_too() -> None:
    w = Value(2.0)

    def f(x: Any) -> Any:
        slope = grad(lambda t: ag.relu(w * t) + w)(x)
        second = grad(grad(lambda t: ag.relu(w * t) + w))(x)
        return (slope - 1.0).relu() + second.exp() * x

    for x in POINTS:
        assert jit(f)(x).data == f(x).data


def test_training_with_a_gradient_penalty_goes_on_when_every_relu_is_off() -> None:
    model = MLP(1, [4, 4, 1], activation="relu", seed=1)
    optimizer = SGD(model.parameters(), lr=0.01)
    for step in range(12):
        if step == 6:  # none of the hidden neurons is on from here
            for layer in model.layers[:-1]:
                for neuron in layer.neurons:
                    neuron.b.data = -100.0
        (slope,) = grad(lambda x: model(x))([0.5])
        penalty = (slope - 1) ** 2
        optimizer.zero_grad()
        penalty.backward()
        moved = any(p.grad != 0.0 for p in model.parameters())
        assert moved == (step < 6) and (step < 6 or penalty.data == 1.0)
        optimizer.step()


# ---- random programs -----------------------------------------------------------------

STEPS: list[Function] = [
    lambda x, y: ag.relu(x),
    lambda x, y: ag.maximum(x, y),
    lambda x, y: ag.minimum(x, y * 0.5),
    lambda x, y: where(x > 0.1, x, y),
    lambda x, y: where(y < 0.0, ag.sin(x), 0.5),
    lambda x, y: ag.clip(x, -0.5, y),
    lambda x, y: ag.leaky_relu(x, 0.0),
    lambda x, y: x * y,
    lambda x, y: x + y,
    lambda x, y: ag.sign(x) * y,
    lambda x, y: ag.tanh(x),
    lambda x, y: ag.stop_gradient(x) + y,
    lambda x, y: grad(lambda t: ag.relu(t * y) + x)(x),
]


def random_function(chance: random.Random, w: Any) -> Function:
    plan = [
        (chance.choice(STEPS), chance.random(), chance.random())
        for _ in range(chance.randint(1, 7))
    ]

    def f(x: Any) -> Any:
        known = [x, w]
        for step, i, j in plan:
            known.append(step(known[int(i * len(known))], known[int(j * len(known))]))
        return known[-1] + x * 0.0

    return f


@pytest.mark.parametrize("seed", range(12))
def test_types_of_random_programs_are_the_same_everywhere(seed: int) -> None:
    for k in range(12):
        chance = random.Random(100 * seed + k)
        w = chance.choice([0.7, Value(0.7)])
        f = random_function(chance, w)
        names = chance.sample([*TRANSFORMS], 3)
        as_value = chance.random() < 0.3
        for name in names:
            found = []
            for _ in range(6):
                x = chance.choice([chance.uniform(-2.0, 2.0), 0.0])
                result = TRANSFORMS[name](f, Value(x) if as_value else x)
                found.append(types(result))
            assert all(each == found[0] for each in found), (k, name, found)


@pytest.mark.parametrize("seed", range(6))
def test_compiled_random_programs_have_the_types_of_eager_ones(seed: int) -> None:
    for k in range(12):
        chance = random.Random(100 * seed + k + 5000)
        f = random_function(chance, Value(0.7))
        for transform in (grad, value_and_grad, hessian):
            eager = transform(f)
            compiled = jit(eager)
            for _ in range(4):
                x = chance.uniform(-2.0, 2.0)
                assert types(compiled(x)) == types(eager(x)), (k, transform)
