"""Whole programs under `jit`: the bits of eager code at every point.

The programs are those of the benchmark of rolled code, small. Each runs at the point
that it comes with and at others that few programs are written for: zeros of both signs,
everything mirrored, infinities and NaNs here and there.
"""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Callable
from typing import Any

import pytest
from small import PROGRAMS
from whole import Program, lorenz, pairs

from autograd import Value, check_grads, grad, hessian, hvp, jit, jvp, value_and_grad
from autograd.trees import fill, flatten

NUMBERS = list[float]


def sprinkled(seed: int, *odd: float) -> Callable[[NUMBERS], NUMBERS]:
    """The numbers with a few odd ones among them."""

    def point(xs: NUMBERS) -> NUMBERS:
        chance = random.Random(seed)
        xs = list(xs)
        for odd_one in odd:
            xs[chance.randrange(len(xs))] = odd_one
        return xs

    return point


POINTS: dict[str, Callable[[NUMBERS], NUMBERS]] = {
    "as given": list,
    "zeros": lambda xs: [0.0 for _ in xs],
    "negative zeros": lambda xs: [-0.0 for _ in xs],
    "mirrored": lambda xs: [-x for x in xs],
    "infinities": sprinkled(1, math.inf, -math.inf, -0.0, 1e300),
    "NaNs": sprinkled(2, math.nan, 5e-324, math.inf),
}

each_program = pytest.mark.parametrize("name", PROGRAMS)


def bits(tree: Any) -> list[str]:
    """All bits of each number, any NaN like any other."""
    return ["nan" if x != x else float(x).hex() for x in numbers(tree)]


def numbers(tree: Any) -> NUMBERS:
    return [x.data if type(x) is Value else x for x in flatten(tree)[0]]


def slopes(program: Program) -> Callable[..., Any]:
    return value_and_grad(program.loss, argnums=program.argnums)


def at(point: str, program: Program) -> tuple[Any, ...]:
    """The arguments of the program, as the point would have them."""
    xs, form = flatten(program.args)
    args: tuple[Any, ...] = fill(form, POINTS[point](xs))
    return args


def on_values(args: Any) -> Any:
    xs, form = flatten(args)
    return fill(form, [Value(x) for x in xs])


def in_arrays(tree: Any) -> Any:
    np = pytest.importorskip("numpy")
    if isinstance(tree, dict):
        return {key: in_arrays(item) for key, item in tree.items()}
    if isinstance(tree, tuple):
        return tuple(map(in_arrays, tree))
    return np.array(tree) if isinstance(tree, list) else tree


# ---- value and gradient --------------------------------------------------------------


@each_program
def test_value_and_gradient_have_the_bits_of_eager_code_at_every_point(
    name: str,
) -> None:
    program = PROGRAMS[name]
    f = slopes(program)
    compiled = jit(f)
    for turn in range(2):  # once traced or missed, once from what is there
        for point in POINTS:
            args = at(point, program)
            assert bits(compiled(*args)) == bits(f(*args)), (point, turn)


@each_program
def test_the_value_alone_has_the_bits_of_eager_code_at_every_point(name: str) -> None:
    program = PROGRAMS[name]
    compiled = jit(program.loss)
    for point in POINTS:
        args = at(point, program)
        assert bits(compiled(*args)) == bits(program.loss(*on_values(args))), point


@each_program
def test_the_gradient_is_that_of_backward(name: str) -> None:
    program = PROGRAMS[name]
    xs, form = flatten(program.args)
    leaves = [Value(x) for x in xs]
    program.loss(*fill(form, leaves)).backward()
    chosen = [fill(form, [leaf.grad for leaf in leaves])[i] for i in program.argnums]
    assert bits(jit(slopes(program))(*program.args)[1]) == bits(chosen)


@each_program
def test_arrays_and_lists_give_the_same(name: str) -> None:
    program = PROGRAMS[name]
    compiled = jit(slopes(program))
    assert bits(compiled(*in_arrays(program.args))) == bits(compiled(*program.args))


@each_program
def test_its_tape_gives_the_same(name: str) -> None:
    program = PROGRAMS[name]
    compiled = jit(slopes(program))
    found = compiled(*program.args)
    tape = compiled.tape(*program.args)
    ys, failed = tape.run(flatten(program.args)[0])
    assert failed < 0
    assert bits(ys) == bits(found)


# ---- branches ------------------------------------------------------------------------


def test_a_branch_that_turns_is_a_path_of_its_own_and_both_stay() -> None:
    program = PROGRAMS["heston"]
    model, draws = program.args
    f = slopes(program)
    compiled = jit(f)
    survives, falls = [([start, *model[1:]], draws) for start in (150.0, 82.0)]
    for args in (survives, falls, survives, falls):
        assert bits(compiled(*args)) == bits(f(*args))
    assert len(compiled.paths) == 2


def test_points_that_are_routed_otherwise_take_paths_of_their_own() -> None:
    program = PROGRAMS["routed"]
    forks, leaves, xs, ys = program.args
    f = slopes(program)
    compiled = jit(f)
    for seed in range(5):
        chance = random.Random(seed)
        others = [[chance.gauss(0.0, 2.0) for _ in x] for x in xs]
        for args in ((forks, leaves, others, ys), program.args):
            assert bits(compiled(*args)) == bits(f(*args))
    assert len(compiled.paths) == 6


# ---- Values that a program closes over -----------------------------------------------


def test_values_closed_over_are_read_at_every_call_and_swept_into() -> None:
    xs, form = flatten(PROGRAMS["mlp"].args[0])
    _, points, labels = PROGRAMS["mlp"].args
    leaves = [Value(x) for x in xs]
    held = fill(form, leaves)

    def loss(points: Any) -> Any:
        return PROGRAMS["mlp"].loss(held, points, labels)

    compiled = jit(loss)
    for shift in (0.0, 0.25, -0.5):
        for leaf, x in zip(leaves, xs):
            leaf.data, leaf.grad = x + shift, 0.0
        found = compiled(points)
        found.backward()
        slopes_found = [leaf.grad for leaf in leaves]
        expected = value_and_grad(PROGRAMS["mlp"].loss)(
            fill(form, [leaf.data for leaf in leaves]), points, labels
        )
        assert bits([found.data, *slopes_found]) == bits(expected)


def test_a_gradient_of_values_closed_over_sees_their_new_numbers() -> None:
    (_, *model), draws = PROGRAMS["heston"].args
    model, level = [150.0, *model], Value(0.04)

    def loss(model: Any) -> Any:
        return PROGRAMS["heston"].loss([*model[:3], level, *model[4:]], draws)

    f = value_and_grad(loss)
    compiled = jit(f)
    for number in (0.04, 0.09, 0.01):
        level.data = number
        assert bits(compiled(model)) == bits(f(model))


# ---- higher order, forward mode ------------------------------------------------------

FEW_NUMBERS = {"lorenz": lorenz(steps=6), "pairs": pairs(count=4)} | {
    name: PROGRAMS[name] for name in ("chain", "orbit", "kalman", "heston")
}
each_of_few = pytest.mark.parametrize("name", FEW_NUMBERS)


@each_of_few
def test_hessians_have_the_bits_of_eager_code(name: str) -> None:
    program = FEW_NUMBERS[name]
    f = hessian(program.loss)
    compiled = jit(f)
    for point in ("as given", "zeros", "mirrored", "NaNs"):
        args = at(point, program)
        assert bits(compiled(*args)) == bits(f(*args)), point


@each_program
def test_forward_mode_has_the_bits_of_eager_code(name: str) -> None:
    program = PROGRAMS[name]

    def along(*args: Any) -> Any:
        return jvp(program.loss, args, program.args)

    compiled = jit(along)
    for point in POINTS:
        args = at(point, program)
        assert bits(compiled(*args)) == bits(along(*args)), point


@each_of_few
def test_a_hessian_times_a_vector_has_the_bits_of_eager_code(name: str) -> None:
    program = FEW_NUMBERS[name]
    direction = at("mirrored", program)

    def along(*args: Any) -> Any:
        return hvp(program.loss, args, direction)

    compiled = jit(along)
    for point in ("as given", "negative zeros", "infinities"):
        args = at(point, program)
        assert bits(compiled(*args)) == bits(along(*args)), point


def test_a_gradient_of_a_compiled_gradient_is_that_of_the_plain_one() -> None:
    program = FEW_NUMBERS["pairs"]
    inner = jit(grad(program.loss))

    def squared(gradient: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: sum(slope * slope for slope in gradient(x))

    expected = grad(squared(grad(program.loss)))(*program.args)
    for outer in (grad(squared(inner)), jit(grad(squared(inner)))):
        assert numbers(outer(*program.args)) == pytest.approx(
            numbers(expected), rel=1e-12
        )


# ---- compiled programs that travel ---------------------------------------------------


@each_program
def test_a_pickle_gives_the_same_without_its_function(name: str) -> None:
    program = PROGRAMS[name]
    compiled = jit(slopes(program))
    found = compiled(*program.args)
    there = pickle.loads(pickle.dumps(compiled))
    assert there.f is None  # a function made by another one cannot be imported
    assert bits(there(*program.args)) == bits(found)


def test_a_pickle_travels_with_all_of_its_paths() -> None:
    program = PROGRAMS["heston"]
    model, draws = program.args
    compiled = jit(slopes(program))
    starts = [[start, *model[1:]] for start in (150.0, 82.0)]
    found = [bits(compiled(start, draws)) for start in starts]
    there = pickle.loads(pickle.dumps(compiled))
    assert [bits(there(start, draws)) for start in starts] == found


# ---- the programs themselves ---------------------------------------------------------


@each_program
def test_a_program_runs_on_plain_floats(name: str) -> None:
    program = PROGRAMS[name]
    recorded = program.loss(*on_values(program.args))
    assert type(recorded) is Value
    assert math.isfinite(recorded.data)
    assert program.loss(*program.args) == recorded.data


@each_program
def test_a_program_has_the_slope_of_its_differences(name: str) -> None:
    program = PROGRAMS[name]
    xs, form = flatten(program.args)
    chance = random.Random(3)
    ways = [chance.gauss(0.0, 1.0) for _ in xs]

    def moved(t: Any) -> Any:
        return program.loss(*fill(form, [x + t * way for x, way in zip(xs, ways)]))

    check_grads(moved, (0.0,), order=1)
