"""Sparse Hessians and Jacobians: against dense ones, their patterns by hand, under jit.

Random programs use every public row; each runs on both engines, which must agree in
every bit, and compiled. A pattern is written as a set of (row, column), of a Hessian
not above the diagonal.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_python import ENGINES, ROWS, needs_c, on_both, python_engine, row_of
from scipy.sparse import csr_array
from seeds import seeds

import autograd
from autograd import (
    Primitive,
    Value,
    VectorPrimitive,
    abs,
    clip,
    copysign,
    detect_anomaly,
    dot,
    exp,
    floor,
    grad,
    hessian,
    hypot,
    jacobian,
    jit,
    lbeta,
    leaky_relu,
    log,
    logsumexp,
    maximum,
    mod,
    prod,
    relu,
    sign,
    sin,
    softmax,
    sparsity,
    sqrt,
    stop_gradient,
    vmap,
    where,
)

PUBLIC = [name for name in ROWS if not name.startswith("_")]
Entries = set[tuple[int, int]]


def entries(matrix: Any) -> Entries:
    """Where a matrix has entries, be they zero or not."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return set(zip(rows.tolist(), matrix.indices.tolist()))


def lower(matrix: Any) -> Entries:
    found = entries(matrix)
    assert found == {(j, i) for i, j in found}
    return {(i, j) for i, j in found if i >= j}


def require_equal(matrix: Any, dense: Any, most: float = 1e-12) -> None:
    """Where both are finite they agree, and where there is no entry there is nothing.

    A NaN may be 0·inf of an operand that an entry does not depend on.
    """
    found = matrix.toarray()
    dense = np.asarray(dense, float).reshape(found.shape)
    there = np.isfinite(dense)
    scale = 1.0 + np.max(np.abs(dense[there]), initial=0.0)
    assert np.all(np.isfinite(found[there]))
    assert np.all(np.abs(dense[there] - found[there]) <= most * scale)


def same_bits(one: Any, other: Any) -> bool:
    parts = ("indptr", "indices", "data")
    return all(
        getattr(one, part).tobytes() == getattr(other, part).tobytes() for part in parts
    )


# ---- patterns by hand ----------------------------------------------------------------

HESSIANS: dict[str, tuple[Callable[[Any], Any], Entries]] = {
    "sum": (lambda x: x[0] + 2 * x[1] - x[2] / 3, set()),
    "product": (lambda x: x[0] * x[1] + x[2], {(1, 0)}),
    "square of a factor": (lambda x: x[0] * x[0] * x[2], {(0, 0), (2, 0)}),
    "quotient": (lambda x: x[0] / x[1], {(1, 0), (1, 1)}),
    "power": (lambda x: x[0] ** 2 + x[1] ** x[2], {(0, 0), (1, 1), (2, 1), (2, 2)}),
    "chain": (lambda x: exp(sin(x[0] + x[2])), {(0, 0), (2, 0), (2, 2)}),
    "shared": (
        lambda x: (lambda s: s * x[2] + s * s)(x[0] - x[1]),
        {(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)},
    ),
    "square of a sum": (
        lambda x: (x[0] + x[1] + x[2]) ** 2,
        {(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)},
    ),
    "dot": (lambda x: dot(x, [x[1], 2.0, x[0]]), {(1, 0), (2, 0)}),
    "prod": (lambda x: prod(x), {(1, 0), (2, 0), (2, 1)}),
    "logsumexp": (lambda x: logsumexp(x[0], x[2]), {(0, 0), (2, 0), (2, 2)}),
    "softmax": (lambda x: softmax(x[:2])[0], {(0, 0), (1, 0), (1, 1)}),
    "hypot": (lambda x: hypot(x[0], x[1]), {(0, 0), (1, 0), (1, 1)}),
    "both operands of a select": (
        lambda x: where(x[0] < 1, x[1] ** 2, x[1] * x[2]),
        {(1, 1), (2, 1)},
    ),
    "maximum": (lambda x: maximum(x[0] ** 2, x[1] ** 2), {(0, 0), (1, 1)}),
    "maximum of several": (
        lambda x: maximum(x[0] ** 2, x[1], x[2] * x[1]),
        {(0, 0), (2, 1)},
    ),
    "maximum of numbers": (lambda x: maximum(*x) + clip(x[0], x[1], x[2]), set()),
    "relu": (lambda x: relu(x[0] * x[1]) + relu(x[2]), {(1, 0)}),
    "kinks": (lambda x: abs(x[0]) + leaky_relu(x[1]) + copysign(x[2], x[0]), set()),
    "leaky_relu": (lambda x: leaky_relu(x[0], x[1]), {(1, 0)}),
    "steps": (lambda x: floor(x[0]) * x[1] + sign(x[2]) + mod(x[1], 2.0), set()),
    "step times a square": (lambda x: floor(x[0]) * x[1] ** 2, {(1, 1)}),
    "condition": (lambda x: where(x[0] * x[1] < 1, x[2] ** 2, 1.0), {(2, 2)}),
    "stop_gradient": (lambda x: stop_gradient(x[0] ** 2) * x[1] ** 2, {(1, 1)}),
    "constant": (lambda x: 3.0, set()),
    "an input": (lambda x: x[1], set()),
}


@pytest.mark.parametrize("how", ["eager", "jit"])
@pytest.mark.parametrize("name", HESSIANS)
def test_hessian_has_the_entries_that_it_may_have_somewhere(
    name: str, how: str
) -> None:
    f, expected = HESSIANS[name]
    made = hessian(f, sparse=True), sparsity(f, order=2)
    for point in ([0.3, -0.7, 1.2], [0.0, 0.0, 0.0], [2.0, 2.0, 2.0]):
        h, pattern = [jit(g)(point) if how == "jit" else g(point) for g in made]
        assert lower(h) == lower(pattern) == expected
        assert h.dtype == np.float64 and pattern.dtype == bool and pattern.data.all()
        assert type(h) is type(pattern) is csr_array and h.shape == (3, 3)


JACOBIANS: dict[str, tuple[Callable[[Any], Any], Entries]] = {
    "each its own": (lambda x: [x[0], x[1] ** 2, exp(x[2])], {(0, 0), (1, 1), (2, 2)}),
    "numbers": (lambda x: [1.0, x[1], 2.0], {(1, 1)}),
    "nothing": (lambda x: [], set()),
    "one number": (lambda x: x[0] * x[2], {(0, 0), (0, 2)}),
    "twice": (lambda x: [x[0] + x[1]] * 2, {(0, 0), (0, 1), (1, 0), (1, 1)}),
    "a tree": (lambda x: {"a": [x[2]], "b": (x[0], x[1])}, {(0, 2), (1, 0), (2, 1)}),
    "select": (lambda x: [where(x[0] < 1, x[1], x[2])], {(0, 1), (0, 2)}),
    "step": (lambda x: [floor(x[0]) * x[1], abs(x[2]), x[1] > x[2]], {(0, 1), (1, 2)}),
    "dot": (lambda x: [dot(x[:2], [x[2], 1.0])], {(0, 0), (0, 1), (0, 2)}),
}  # fmt: skip


@pytest.mark.parametrize("how", ["eager", "jit"])
@pytest.mark.parametrize("name", JACOBIANS)
def test_jacobian_has_the_entries_that_it_may_have_somewhere(
    name: str, how: str
) -> None:
    f, expected = JACOBIANS[name]
    for g in (jacobian(f, sparse=True), sparsity(f, order=1)):
        for point in ([0.3, -0.7, 1.2], [0.0, 0.0, 0.0]):
            found = jit(g)(point) if how == "jit" else g(point)
            assert entries(found) == expected and found.shape[1] == 3


def test_sparsity_is_of_the_hessian_where_f_gives_a_number() -> None:
    assert sparsity(lambda x: x[0] * x[1])([1.0, 2.0]).shape == (2, 2)
    assert sparsity(lambda x: [x[0] * x[1]])([1.0, 2.0]).shape == (1, 2)
    assert sparsity(lambda x: 2.0)([1.0, 2.0]).nnz == 0
    assert sparsity(lambda x: x[0] * x[1], order=1)([1.0, 2.0]).shape == (1, 2)
    with pytest.raises(TypeError, match="must return one number, but returned list"):
        sparsity(lambda x: [x[0]], order=2)([1.0])


def test_entries_are_kept_that_are_zero_at_this_point() -> None:
    h = hessian(lambda x: sin(x[0]) + x[1] ** 3, sparse=True)([0.0, 0.0])
    assert lower(h) == {(0, 0), (1, 1)} and h.data.tolist() == [0.0, 0.0]
    j = jacobian(lambda x: [x[0] ** 2, x[1]], sparse=True)([0.0, 0.0])
    assert j.data.tolist() == [0.0, 1.0]


# ---- numbers against dense ones ------------------------------------------------------

Plan = list[tuple[str, list[int], list[float | None]]]


def random_plan(chance: random.Random, size: int) -> Plan:
    """So many rows; each on picks of what there is by then, or on numbers."""
    plan: Plan = []
    for _ in range(size):
        name = chance.choice(PUBLIC)
        count = row_of(autograd, name).arity or 2 * chance.randint(1, 3)
        picks = [chance.randrange(1000) for _ in range(count)]
        plain = [chance.choice([None, None, None, 0.5, -2.0, 3.0]) for _ in picks]
        plan.append((name, picks, [2.0] * count if name == "polygamma" else plain))
    return plan


def results(engine: Any, plan: Plan, xs: Any) -> list[Any]:
    pool = list(xs)
    for name, picks, plain in plan:
        args = [pool[p % len(pool)] if c is None else c for p, c in zip(picks, plain)]
        pool.append(row_of(engine, name)(*args))
    return pool[len(xs) :]


def sound(plan: Plan, point: list[float]) -> Plan:
    """Its rows that give a number there: beside a NaN, a dense zero may be another."""
    kept: Plan = []
    pool = list(point)
    for name, picks, plain in plan:
        args = [pool[p % len(pool)] if c is None else c for p, c in zip(picks, plain)]
        y = row_of(autograd, name)(*args)
        if math.isfinite(y):
            pool.append(y)
            kept.append((name, picks, plain))
    return kept


def total(engine: Any, plan: Plan) -> Callable[[Any], Any]:
    return lambda xs: sum([0.25 * y for y in results(engine, plan, xs)], start=0.0)


def random_point(chance: random.Random, special: bool) -> list[float]:
    odd = [0.0, 1.0, -0.0, math.inf, math.nan]
    return [
        chance.choice(odd) if special and chance.random() < 0.2 else x
        for x in (chance.uniform(-1.5, 1.5) for _ in range(4))
    ]


def derivatives_of(engine: Any, plan: Plan, point: list[float]) -> list[Any]:
    f = total(engine, plan)
    h = engine.hessian(f, sparse=True)(point)
    j = engine.jacobian(lambda xs: results(engine, plan, xs)[-5:], sparse=True)(point)
    return [each.tolist() for m in (h, j) for each in (m.indptr, m.indices, m.data)]


def check_plan(plan: Plan, point: list[float]) -> None:
    plan = sound(plan, point)
    f = total(autograd, plan)
    require_equal(hessian(f, sparse=True)(point), hessian(f)(point))

    def several(xs: Any) -> list[Any]:
        return results(autograd, plan, xs)[-5:]

    require_equal(jacobian(several, sparse=True)(point), jacobian(several)(point))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_row_agrees_with_the_dense_hessian(name: str) -> None:
    row, chance = row_of(autograd, name), random.Random(name)
    count = row.arity or 4
    low, high = row.sample if type(row.sample[0]) is float else (0.2, 0.9)
    for _ in range(5):
        point = [chance.uniform(low, high) for _ in range(count)]
        scale = [chance.uniform(0.5, 1.5) for _ in range(count)]

        def f(xs: Any, scale: list[float] = scale) -> Any:
            inner = [a * x for a, x in zip(scale, xs)]
            if name == "polygamma":
                inner[0] = 1.0
            return row(*inner) * (1.0 + xs[-1] * xs[0])

        require_equal(hessian(f, sparse=True)(point), hessian(f)(point), 1e-13)
        require_equal(jit(hessian(f, sparse=True))(point), hessian(f)(point), 1e-13)


@pytest.mark.parametrize("seed", seeds(8))
def test_random_programs_agree_with_dense_derivatives(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        check_plan(
            random_plan(chance, chance.randint(1, 14)), random_point(chance, False)
        )


@needs_c
@pytest.mark.parametrize("seed", seeds(8))
def test_engines_agree_in_every_bit(seed: int) -> None:
    chance = random.Random(100 + seed)
    for _ in range(60):
        plan = random_plan(chance, chance.randint(1, 14))
        point = random_point(chance, True)
        one, other = on_both(derivatives_of, plan, point)
        assert one == other, (plan, point)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32), st.lists(st.floats(-2.0, 2.0), min_size=4, max_size=4))
def test_programs_at_any_point_agree_with_dense_derivatives(
    seed: int, point: list[float]
) -> None:
    f = total(autograd, sound(random_plan(random.Random(seed), 6), point))
    sparse, dense = hessian(f, sparse=True)(point), np.asarray(hessian(f)(point))
    found = sparse.toarray()
    both = np.isfinite(dense) & np.isfinite(found)
    size = 1.0 + np.max(np.abs(dense[both]), initial=0.0)
    assert np.all(np.abs(dense[both] - found[both]) <= 1e-12 * size)


@pytest.mark.parametrize("seed", seeds(6))
def test_compiled_matrices_are_eager_ones(seed: int) -> None:
    chance = random.Random(200 + seed)
    for _ in range(12):
        plan = random_plan(chance, chance.randint(1, 10))
        f = total(autograd, plan)
        for made in (hessian(f, sparse=True),
                     jacobian(lambda xs, plan=plan: results(autograd, plan, xs)[-5:],
                              sparse=True)):  # fmt: skip
            compiled = jit(made)
            for _ in range(3):
                point = random_point(chance, False)
                one, other = made(point), compiled(point)
                assert entries(one) == entries(other)
                require_equal(other, one.toarray())


@pytest.mark.parametrize("seed", seeds(6))
def test_derivatives_inside_f_are_differentiated_twice_more(seed: int) -> None:
    chance = random.Random(300 + seed)
    for _ in range(15):
        inner = total(autograd, random_plan(chance, chance.randint(1, 5)))

        def f(xs: Any, inner: Any = inner) -> Any:
            slopes = grad(inner)(xs)
            return sum([float(i) * slope for i, slope in enumerate(slopes, 1)])

        point = random_point(chance, False)
        require_equal(hessian(f, sparse=True)(point), hessian(f)(point), 1e-11)


@pytest.mark.parametrize("f", [hypot, lbeta])
def test_rules_that_hold_an_operand_fixed_are_differentiated_right(f: Any) -> None:
    def slope(x: Any) -> Any:
        return grad(lambda y: f(y[0], y[1]) * y[2] ** 2)(x)[0] * x[1]

    for made in (hessian(slope, sparse=True), jit(hessian(slope, sparse=True))):
        require_equal(made([0.3, 0.7, 1.2]), hessian(slope)([0.3, 0.7, 1.2]), 1e-14)


def rosenbrock(x: Any) -> Any:
    total = 0.0
    for a, b in zip(x, x[1:]):
        total = total + 100.0 * (b - a**2) ** 2 + (1.0 - a) ** 2
    return total


def test_band_of_a_long_sum_is_found_and_right() -> None:
    x = [math.sin(i) for i in range(60)]
    h = hessian(rosenbrock, sparse=True)(x)
    assert h.nnz == 3 * 60 - 2
    np.testing.assert_allclose(h.toarray(), hessian(rosenbrock)(x), rtol=1e-14)
    assert hessian(rosenbrock, sparse=True)([0.5] * 5000).nnz == 14998


def test_long_chain_needs_no_recursion() -> None:
    def f(x: Any) -> Any:
        y = x[0]
        for _ in range(30_000):
            y = y * 1.0001 + x[1]
        return y * y

    h = hessian(f, sparse=True)([0.5, 1e-5])
    assert lower(h) == {(0, 0), (1, 0), (1, 1)} and np.all(np.isfinite(h.data))


def test_rows_of_many_operands_have_their_own_pattern() -> None:
    n = 300
    h = sparsity(lambda x: dot(x[:n], x[n:]))([1.0] * (2 * n))
    assert lower(h) == {(n + i, i) for i in range(n)}
    assert sparsity(lambda x: logsumexp(x))([1.0] * 40).nnz == 1600
    assert sparsity(lambda x: prod(x))([1.0] * 40).nnz == 1560


# ---- Jacobians by whichever sweep is less --------------------------------------------


def shared(x: Any) -> list[Any]:
    """A long chain of two inputs, on which all results stand: forward is less."""
    y = x[0]
    for _ in range(400):
        y = sin(y) + x[1]
    return [y * each for each in x]


def sums(x: Any) -> list[Any]:
    """A long sum of all inputs, each result with its own: backward is less."""
    return [sum([a * b for a, b in zip(x, x[i:] + x[:i])]) for i in range(3)]


def trajectory(x: Any) -> list[Any]:
    """Each result stands on all before it: backward alone would be quadratic."""
    found = [x[0]]
    for _ in range(500):
        found.append(sin(found[-1]) * x[1])
    return found


@pytest.mark.parametrize("f, n", [(shared, 60), (sums, 60), (trajectory, 2)])
@pytest.mark.parametrize("engine", ENGINES)
def test_jacobian_is_right_in_either_direction(engine: Any, f: Any, n: int) -> None:
    x = [0.5 + 0.01 * i for i in range(n)]

    def on(engine: Any) -> Any:
        names = {"sin": engine.sin, "sum": sum, "range": range, "zip": zip}
        return type(f)(f.__code__, names)

    j = engine.jacobian(on(engine), sparse=True)(x)
    require_equal(j, jacobian(f)(x), 1e-13)
    reference = jacobian(f, sparse=True)(x)
    assert same_bits(j, reference)


# ---- branches, and what jit makes of a matrix ----------------------------------------


def branching(x: Any) -> Any:
    if x[0] > 0:
        return x[0] ** 2 * x[1]
    return sin(x[2]) if x[1] > 0 else x[0] + x[1]


def test_pattern_under_jit_is_that_of_each_path() -> None:
    compiled = jit(hessian(branching, sparse=True))
    points = [1.0, 2.0, 3.0], [-1.0, 2.0, 3.0], [-1.0, -2.0, 3.0]
    patterns = {(0, 0), (1, 0)}, {(2, 2)}, set[tuple[int, int]]()
    for _ in range(3):
        for point, pattern in zip(points, patterns):
            assert lower(compiled(list(point))) == pattern
    assert len(compiled.paths) == 3
    pattern_alone = jit(sparsity(branching))
    assert [lower(pattern_alone(list(p))) for p in points] == list(patterns)


def test_compiled_call_is_the_same_after_many_calls_and_on_arrays() -> None:
    x = np.linspace(-1.0, 1.0, 50)
    compiled, eager = jit(hessian(rosenbrock, sparse=True)), hessian(rosenbrock)(x)
    for _ in range(250):  # machine code is called from C by then
        h = compiled(x)
    np.testing.assert_allclose(h.toarray(), eager, rtol=1e-14)
    assert h.has_sorted_indices and type(h) is csr_array


def test_each_result_owns_its_arrays() -> None:
    compiled = jit(hessian(lambda x: x[0] ** 3 + x[1] ** 2, sparse=True))
    first = compiled([0.0, 1.0])
    first.eliminate_zeros()
    first.data[:] = 7.0
    again = compiled([0.0, 1.0])
    assert first.nnz == 1 and again.nnz == 2 and again.data.tolist() == [0.0, 2.0]


def test_data_of_a_matrix_can_be_used_inside_a_compiled_function() -> None:
    def norm(x: Any) -> Any:
        h = hessian(lambda y: y[0] ** 3 * y[1], sparse=True)(x)
        assert h.shape == (2, 2) and h.nnz == 3 and h.indptr.tolist() == [0, 2, 3]
        assert h.indices.tolist() == [0, 1, 0]
        return sum([entry * entry for entry in h.data])

    assert jit(norm)([2.0, 3.0]) == norm([2.0, 3.0]) == 36.0**2 + 2 * 12.0**2
    twice = jit(jit(hessian(lambda x: x[0] ** 3 * x[1], sparse=True)))
    assert twice([2.0, 3.0]).toarray().tolist() == [[36.0, 12.0], [12.0, 0.0]]


@pytest.mark.parametrize(
    "use, what",
    [(lambda h: h @ [1.0, 2.0], "matmul"), (lambda h: h + h, "add"),
     (lambda h: h.toarray(), ".toarray"), (lambda h: h[0, 0], "getitem"),
     (lambda h: np.asarray(h), "it as an array"), (lambda h: 2.0 * h, "mul")],
)  # fmt: skip
def test_other_uses_inside_a_compiled_function_name_the_remedy(
    use: Any, what: str
) -> None:
    h = hessian(lambda y: y[0] ** 3 * y[1], sparse=True)
    with pytest.raises(
        TypeError, match=f"uses {what}; compute with the matrix outside"
    ):
        jit(lambda x: use(h(x)))([2.0, 3.0])


def test_matrix_comes_out_of_a_function_that_runs_op_by_op() -> None:
    def f(x: Any) -> Any:
        str(x[0])
        return hessian(lambda y: y[0] ** 3, sparse=True)(x), sparsity(
            lambda y: y[0] ** 2
        )(x)

    with pytest.warns(RuntimeWarning, match="runs op by op"):
        compiled = jit(f)
        compiled([2.0, 3.0])
    h, pattern = compiled([2.0, 3.0])
    assert h.data.tolist() == [12.0] and pattern.data.tolist() == [True]


def test_vmap_gives_a_list_of_matrices() -> None:
    points = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    made = hessian(lambda x: x[0] ** 3 * x[1], sparse=True)
    found = vmap(made)(points)
    assert [h.toarray().tolist() for h in found] == [
        made(point).toarray().tolist() for point in points
    ]


# ---- users' primitives and calls -----------------------------------------------------

cube = Primitive("cube", lambda x: x * x * x, lambda z, x: 3 * x * x)
branches = Primitive(
    "branches", lambda x: x * x, lambda z, x: 2 * x if x > 0 else x + x
)
of_floats = Primitive("of_floats", lambda x: math.sin(x), lambda z, x: autograd.cos(x))
nary = Primitive(
    "nary", lambda *xs: xs[0] * xs[1] + math.exp(xs[2]),
    lambda z, *xs: [xs[1], xs[0], exp(xs[2])],
)  # fmt: skip
ramp = Primitive(
    "ramp", lambda x: x * x if x > 0 else 0.0, lambda z, x: where(x > 0, 2 * x, 0.0),
    select=True,
)  # fmt: skip
by_grad = Primitive("by_grad", lambda x: x**3, lambda z, x: grad(lambda t: t**3)(x))

PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "cube": lambda x: cube(x[0]) * x[1],
    "branches": lambda x: branches(x[0]) * x[1] + branches(x[1]),
    "of_floats": lambda x: of_floats(x[0]) * x[1],
    "nary": lambda x: nary(x[0], x[1], x[2]) * x[1],
    "ramp": lambda x: ramp(x[0]) * x[1] + ramp(x[1]),
    "by_grad": lambda x: by_grad(x[0] * x[1]),
    "jit": lambda x: jit(lambda a, b: sin(a) * b + a**3)(x[0], x[1]) * x[2],
    "jit of several": lambda x: prod(jit(lambda a, b: [sin(a) * b, a + b])(x[0], x[1])),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_users_rows_and_compiled_calls_agree_with_dense(name: str) -> None:
    f, point = PROGRAMS[name], [0.3, -0.7, 1.2]
    require_equal(hessian(f, sparse=True)(point), hessian(f)(point), 1e-14)
    require_equal(jacobian(f, sparse=True)(point), [jacobian(f)(point)], 1e-14)
    require_equal(jit(hessian(f, sparse=True))(point), hessian(f)(point), 1e-14)


def test_users_row_has_the_pattern_of_its_rule() -> None:
    assert lower(sparsity(lambda x: nary(*x))([1.0, 2.0, 3.0])) == {(1, 0), (2, 2)}
    linear = Primitive("linear", lambda x, y: 2 * x + y, lambda z, x, y: 2.0, 1.0)
    assert lower(sparsity(lambda x: linear(x[0], x[1] ** 2))([1.0, 2.0])) == {(1, 1)}


def test_compiled_function_inside_keeps_its_pattern() -> None:
    compiled = jit(rosenbrock)
    h = hessian(compiled, sparse=True)([0.1 * i for i in range(12)])
    assert h.nnz == 3 * 12 - 2


def _polar(x: float, y: float) -> tuple[float, float]:
    return math.hypot(x, y), math.atan2(y, x)


def _polar_shares(ys: Any, xs: Any, y_bars: Any) -> list[Any]:
    (r, _), (x, y), (r_bar, t_bar) = ys, xs, y_bars
    t = t_bar / r**2
    return [r_bar * x / r - t * y, r_bar * y / r + t * x]


polar = VectorPrimitive("polar", _polar, _polar_shares, outputs=2, arity=2)


def of_polar(x: Any) -> Any:
    r, theta = polar(x[0], x[1])
    return sin(r) * theta + x[2] ** 2 * theta


def test_vector_primitives_agree_with_dense() -> None:
    point = [0.3, 0.7, 1.2]
    for made in (hessian(of_polar, sparse=True), jit(hessian(of_polar, sparse=True))):
        require_equal(made(point), hessian(of_polar)(point), 1e-14)

    def both(x: Any) -> Any:
        return [*polar(x[0], x[1]), x[2]]

    for made in (jacobian(both, sparse=True), jit(jacobian(both, sparse=True))):
        assert entries(made(point)) == {(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)}
        require_equal(made(point), jacobian(both)(point), 1e-14)


# ---- what is left out, and what is not finite ----------------------------------------


def test_operand_that_was_left_out_poisons_nothing() -> None:
    f = hessian(
        lambda x: where(x[0] < 1, x[0] ** 2, sqrt(x[0]) * log(x[1])), sparse=True
    )
    for made in (f, jit(f)):
        h = made([0.0, 0.0])
        assert lower(h) == {(0, 0), (1, 0), (1, 1)}
        assert h.toarray().tolist() == [[2.0, 0.0], [0.0, 0.0]]
    g = jacobian(
        lambda x: [relu(x[0] - 1) * 2, where(x[0] > 0, 1 / x[0], x[1])], sparse=True
    )
    for made in (g, jit(g)):
        assert made([0.0, 3.0]).toarray().tolist() == [[0.0, 0.0], [0.0, 1.0]]


def test_tie_of_a_maximum_gives_each_its_part() -> None:
    def f(x: Any) -> Any:
        return maximum(x[0] ** 2, x[1] ** 2, x[0] * x[1])

    for made in (hessian(f, sparse=True), jit(hessian(f, sparse=True))):
        require_equal(made([2.0, 2.0]), hessian(f)([2.0, 2.0]), 1e-15)


def test_second_partial_that_a_rule_leaves_out_poisons_nothing() -> None:
    f = hessian(lambda x: leaky_relu(x[0], x[1]) * x[2], sparse=True)
    for made in (f, jit(f)):
        assert made([2.0, 0.1, math.inf]).toarray()[1].tolist() == [0.0, 0.0, 0.0]


def test_infinities_and_nans_go_through() -> None:
    h = hessian(lambda x: sqrt(x[0]) + x[1] ** 2 + exp(x[2]), sparse=True)
    found = h([0.0, math.nan, math.inf]).data
    assert found[0] == -math.inf and math.isnan(found[1]) and found[2] == math.inf
    assert math.isnan(h([math.nan, 1.0, 1.0]).data[0])


# ---- arguments -----------------------------------------------------------------------


def test_columns_are_the_numbers_of_the_arguments_as_ravel_has_them() -> None:
    def f(p: Any, x: Any) -> Any:
        return p["w"][0] * x[1] + p["b"] ** 2

    p, x = {"w": [2.0, 3.0], "b": 5.0}, [7.0, 11.0]
    assert lower(hessian(f, sparse=True)(p, x)) == {(2, 2)}
    assert lower(hessian(f, 1, sparse=True)(p, x)) == set()
    both = hessian(f, argnums=(1, 0), sparse=True)(p, x)
    assert lower(both) == {(2, 1), (4, 4)} and both.shape == (5, 5)
    j = jacobian(lambda p, x: [f(p, x), x[0]], argnums=(0, 1), sparse=True)(p, x)
    assert j.toarray().tolist() == [[11.0, 0.0, 10.0, 0.0, 2.0], [0.0] * 3 + [1.0, 0.0]]


def test_arrays_count_by_rows_and_numbers_give_one_by_one() -> None:
    h = hessian(lambda x: x[0, 1] * x[1, 0], sparse=True)(np.ones((2, 2)))
    assert lower(h) == {(2, 1)}
    assert hessian(lambda x: x**3, sparse=True)(2.0).toarray().tolist() == [[12.0]]
    assert jacobian(lambda x: x**3, sparse=True)(2).toarray().tolist() == [[12.0]]
    assert hessian(lambda x: 1.0, sparse=True)([]).shape == (0, 0)
    kept = hessian(lambda x, *, k: k * x[0] ** 2, sparse=True)([3.0], k=2.0)
    assert kept.toarray().tolist() == [[4.0]]


w = Value(2.0, label="w")


@pytest.mark.parametrize(
    "call",
    [
        lambda: hessian(lambda x: w * x[0] ** 2, sparse=True)([3.0]),
        lambda: hessian(lambda x: stop_gradient(w) * x[0] ** 2, sparse=True)([3.0]),
        lambda: hessian(lambda x: x[0] ** 2, sparse=True)([w]),
        lambda: hessian(lambda x, p: p * x[0] ** 2, sparse=True)([3.0], w),
        lambda: jacobian(lambda x: [w * x[0]], sparse=True)([3.0]),
        lambda: jit(jacobian(lambda x: [w * x[0]], sparse=True))([3.0]),
        lambda: sparsity(lambda x: [w * x[0]])([3.0]),
        lambda: grad(lambda p: jacobian(lambda x: [p * x[0]], sparse=True)([1.0]))(2.0),
        lambda: grad(lambda p: hessian(lambda x: x[0] ** 2, sparse=True)([p]))(2.0),
    ],
)
def test_values_from_outside_are_refused_by_name(call: Any) -> None:
    with pytest.raises(TypeError, match="must be plain numbers.*from outside"):
        call()


def test_derivative_of_an_entry_is_dropped_nowhere() -> None:
    """What a sparse array cannot hold raises; the dense one has the derivative."""
    assert grad(lambda p: hessian(lambda x: p * x[0] ** 2)([1.0])[0][0])(2.0) == 2.0


def test_mistakes_are_named() -> None:
    with pytest.raises(TypeError, match="hessian: f must be a function"):
        hessian(3.0, sparse=True)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="hessian: f must return one number"):
        hessian(lambda x: [x[0]], sparse=True)([1.0])
    with pytest.raises(ValueError, match="jacobian: argnums"):
        jacobian(lambda x: x, argnums=3, sparse=True)(1.0)
    with pytest.raises(ValueError, match="sparsity: order must be 1 or 2, but is 3"):
        sparsity(lambda x: x, order=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must not be an argument of what is compiled"):
        jit(lambda a: a.data[0])(csr_array([[1.0]]))


def test_leaf_that_f_assigns_afterwards_is_noticed() -> None:
    def f(x: Any) -> Any:
        y = sin(x[0])
        x[0].data = 3.0
        return y

    with pytest.raises(ValueError, match="was assigned after 'sin' was computed"):
        hessian(f, sparse=True)([1.0])


def test_anomaly_is_named_inside_f() -> None:
    with detect_anomaly(), pytest.raises(FloatingPointError, match="sqrt"):
        hessian(lambda x: sqrt(x[0]), sparse=True)([0.0])


@pytest.mark.parametrize("made", [hessian, jacobian, sparsity])
def test_without_scipy_an_error_names_the_extra(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    settings = {} if made is sparsity else {"sparse": True}
    with pytest.raises(
        ImportError, match=r"SciPy.*pip install 'scalar-autograd\[science\]'"
    ):
        made(lambda x: x, **settings)
    assert hessian(lambda x: x**2)(3.0) == 2.0  # dense ones do without
    assert python_engine.jacobian(lambda x: x**2)(3.0) == 6.0
