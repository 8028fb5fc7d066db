"""SciPy's solvers with derivatives from here, each called as its users call it.

Arrays go in and come out, op by op and compiled. What is handed over is counted, so
that no solver falls back on differences; and each answer is one that is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autograd import exp, grad, hessian, hvp, jacobian, jit, value_and_grad

np = pytest.importorskip("numpy")
optimize = pytest.importorskip("scipy.optimize")
integrate = pytest.importorskip("scipy.integrate")
sparse = pytest.importorskip("scipy.sparse")

Function = Callable[..., Any]
TIMES = np.linspace(0.0, 3.0, 20)
TRUE = np.array([2.5, 1.3, 0.5])
START = np.array([-1.2, 1.0, 0.5, 2.0])  # of Rosenbrock's valley

both_ways = pytest.mark.parametrize("made", [lambda f: f, jit], ids=["eager", "jit"])
both_kinds = pytest.mark.parametrize("is_sparse", [False, True], ids=["dense", "csr"])


class Counted:
    """A function that keeps what it has given."""

    def __init__(self, f: Function) -> None:
        self.f = f
        self.given: list[Any] = []

    def __call__(self, *args: Any) -> Any:
        self.given.append(self.f(*args))
        return self.given[-1]


def rosenbrock(x: Any) -> Any:
    return sum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in zip(x, x[1:]))


def rosenbrock_of_arrays(x: Any) -> Any:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def is_at_one(found: Any) -> bool:
    return bool(np.allclose(found.x, 1.0, rtol=0, atol=1e-5))


def decay(t: Any, a: Any, b: Any, c: Any) -> Any:
    return a * np.exp(-b * t) + c


def misfits(p: Any) -> Any:
    return decay(TIMES, *p) - decay(TIMES, *TRUE)


def misfits_one_by_one(p: Any) -> Any:
    pairs = zip(TIMES.tolist(), decay(TIMES, *TRUE).tolist())
    return [p[0] * exp(-p[1] * t) + p[2] - y for t, y in pairs]


# ---- minimize ------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("f", [rosenbrock, rosenbrock_of_arrays])
@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "CG", "SLSQP", "TNC"])
def test_minimize_takes_value_and_gradient(made: Any, f: Function, method: str) -> None:
    both = Counted(made(value_and_grad(f)))
    options = {"maxfun": 2000} if method == "TNC" else {}
    found = optimize.minimize(
        both, START[:3], jac=True, method=method, tol=1e-12, options=options
    )
    assert np.allclose(found.x, 1.0, rtol=0, atol=1e-4)
    assert len(both.given) >= found.nit > 1
    assert {type(slope) for _, slope in both.given} == {np.ndarray}


@both_ways
@pytest.mark.parametrize("f", [rosenbrock, rosenbrock_of_arrays])
@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-exact"])
def test_minimize_takes_a_hessian(made: Any, f: Function, method: str) -> None:
    slope, curvature = Counted(made(grad(f))), Counted(made(hessian(f)))
    found = optimize.minimize(
        made(f), START[:3], jac=slope, hess=curvature, method=method
    )
    assert is_at_one(found)
    assert slope.given and curvature.given
    assert np.allclose(curvature.given[0], optimize.rosen_hess(START[:3]), rtol=1e-14)


@both_ways
@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-krylov"])
def test_minimize_takes_products_with_the_hessian(made: Any, method: str) -> None:
    products = Counted(made(lambda x, p: hvp(rosenbrock, (x,), (p,))[0]))
    found = optimize.minimize(
        rosenbrock, START[:3], jac=made(grad(rosenbrock)), hessp=products, method=method
    )
    assert is_at_one(found)
    assert {type(product) for product in products.given} == {np.ndarray}


@both_ways
def test_minimize_takes_a_sparse_hessian_and_constraints(made: Any) -> None:
    def bounded(x: Any) -> Any:
        return [x[0] ** 2 + x[1] ** 2, x[1] * x[2]]

    def weighed(x: Any, v: Any) -> Any:
        return sum(weight * y for weight, y in zip(v, bounded(x)))

    curvature = Counted(made(hessian(rosenbrock, sparse=True)))
    slopes = Counted(made(jacobian(bounded, sparse=True)))
    constraint = optimize.NonlinearConstraint(
        bounded, -np.inf, [1.5, 3.0], jac=slopes,
        hess=made(hessian(weighed, sparse=True)),
    )  # fmt: skip
    found = optimize.minimize(
        rosenbrock, START[:3], jac=made(grad(rosenbrock)), hess=curvature,
        method="trust-constr", constraints=[constraint],
        options={"gtol": 1e-9, "xtol": 1e-12},
    )  # fmt: skip
    assert all(map(sparse.issparse, curvature.given + slopes.given))
    assert curvature.given and slopes.given
    used = found.x[0] ** 2 + found.x[1] ** 2  # up to what the barrier keeps
    assert used == pytest.approx(1.5, abs=1e-5)
    slope, edge = grad(rosenbrock)(found.x), grad(lambda x: bounded(x)[0])(found.x)
    multiplier = -(slope @ edge) / (edge @ edge)
    assert multiplier > 0 and np.allclose(slope + multiplier * edge, 0, atol=1e-5)


# ---- fits and equations --------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("f", [misfits, misfits_one_by_one])
@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_least_squares_takes_a_jacobian(made: Any, f: Function, method: str) -> None:
    slopes = Counted(made(jacobian(f)))
    found = optimize.least_squares(made(f), [1.0, 1.0, 0.0], jac=slopes, method=method)
    assert np.allclose(found.x, TRUE, rtol=1e-9)
    assert len(slopes.given) > 1
    assert {np.shape(matrix) for matrix in slopes.given} == {(20, 3)}


@both_ways
def test_least_squares_takes_a_sparse_jacobian(made: Any) -> None:
    def chain(x: Any) -> Any:
        return [10 * (b - a**2) for a, b in zip(x, x[1:])] + [1 - a for a in x[:-1]]

    slopes = Counted(made(jacobian(chain, sparse=True)))
    start = np.linspace(0.5, 1.5, 30)
    found = optimize.least_squares(made(chain), start, jac=slopes, xtol=1e-14)
    assert np.allclose(found.x, 1.0, rtol=0, atol=1e-8)
    assert {matrix.nnz for matrix in slopes.given} == {3 * 29}


@both_ways
def test_curve_fit_takes_a_jacobian_with_a_column_for_each_parameter(made: Any) -> None:
    slopes = made(jacobian(decay, argnums=(1, 2, 3)))
    columns = Counted(lambda t, *p: np.transpose(slopes(t, *p)))
    found, covariance = optimize.curve_fit(
        decay, TIMES, decay(TIMES, *TRUE), [1.0, 1.0, 0.0], jac=columns
    )
    assert np.allclose(found, TRUE, rtol=1e-9) and covariance.shape == (3, 3)
    assert columns.given[0].shape == (20, 3)


@both_ways
@both_kinds
@pytest.mark.parametrize("method", ["hybr", "lm"])
def test_root_takes_a_jacobian(made: Any, is_sparse: bool, method: str) -> None:
    def f(x: Any) -> Any:
        cube = 0.5 * (x[0] - x[1]) ** 3
        return [x[0] + cube - 1.0, x[1] - cube]

    slopes = Counted(made(jacobian(f, sparse=is_sparse)))
    dense = (lambda x: slopes(x).toarray()) if is_sparse else slopes
    found = optimize.root(made(f), [0.0, 0.0], jac=dense, method=method)
    assert found.success and slopes.given
    assert np.allclose(found.x, [0.8411639, 0.1588361], atol=1e-7)


@both_ways
def test_root_scalar_takes_two_derivatives(made: Any) -> None:
    def f(x: Any) -> Any:
        return x**3 - 2

    found = optimize.root_scalar(
        made(f), x0=1.0, fprime=made(grad(f)), fprime2=made(grad(grad(f))),
        method="halley",
    )  # fmt: skip
    assert found.root == pytest.approx(2 ** (1 / 3), rel=1e-15)


# ---- differential equations ----------------------------------------------------------


def robertson(t: Any, y: Any) -> Any:
    slow, fast, quick = 0.04 * y[0], 1e4 * y[1] * y[2], 3e7 * y[1] ** 2
    return [fast - slow, slow - fast - quick, quick]


@both_ways
@pytest.mark.parametrize(
    ("method", "is_sparse"), [("Radau", False), ("Radau", True), ("LSODA", False)]
)
def test_solve_ivp_takes_a_jacobian(made: Any, method: str, is_sparse: bool) -> None:
    slopes = Counted(made(jacobian(robertson, argnums=1, sparse=is_sparse)))
    found = integrate.solve_ivp(
        made(robertson), (0.0, 40.0), [1.0, 0.0, 0.0], method=method, jac=slopes,
        rtol=1e-8, atol=1e-11,
    )  # fmt: skip
    assert found.success and len(slopes.given) > 1
    by_differences = integrate.solve_ivp(
        robertson, (0.0, 40.0), [1.0, 0.0, 0.0], method="Radau", rtol=1e-9, atol=1e-12
    )
    assert np.allclose(found.y[:, -1], by_differences.y[:, -1], rtol=1e-6, atol=1e-11)
