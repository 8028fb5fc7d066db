"""Sparse Hessians and Jacobians: their patterns by hand, under jit.

A pattern is written as a set of (row, column), of a Hessian not above the diagonal.
Random programs are in test_sparse_programs.py, users' rows in test_sparse_calls.py.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from in_python import ENGINES, python_engine
from matrices import Entries, entries, lower, require_equal, rosenbrock, same_bits
from scipy.sparse import csr_array

from autograd import (
    Value,
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


# ---- long sums, long chains, wide rows -----------------------------------------------


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
    with pytest.raises(
        TypeError, match=r"must be plain numbers if sparse.*; .*\(x.data\)"
    ):
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


def test_anomaly_is_named_in_first_and_second_derivatives() -> None:
    with detect_anomaly():
        with pytest.raises(FloatingPointError, match="sqrt: the local derivative inf"):
            hessian(lambda x: sqrt(x[0]), sparse=True)([0.0])
        with pytest.raises(FloatingPointError, match="tangent must be finite.*inf"):
            hessian(lambda p, x: x[0] ** p["k"], 1, sparse=True)({"k": 1.5}, [0.0])
        assert hessian(lambda x: x[0] ** 3, sparse=True)([2.0]).data.tolist() == [12.0]
        with pytest.raises(FloatingPointError, match="sqrt: the local derivative inf"):
            jacobian(lambda x: [x[0], sqrt(x[0])], sparse=True)([0.0])


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
