"""Functions of parameters that an equation defines, with derivatives of every order.

The equation is solved on numbers, and no derivative passes through the iterations. Then
f runs once more at the solution, on Values, and the solution becomes one node: of every
Value that f met, parameter or closed over. See equations.py for its derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import signatures
from ...primitives import Total, brief, clean, div
from ...signatures import seen_as
from ...transforms import Recording, copies
from ...trees import (
    NUMBER,
    Form,
    alike,
    array_of,
    fill,
    flatten,
    is_array,
    parts,
    rebuilt,
)
from ...value import Value, _components, tick
from ...watch import tracing
from .choices import Matrix, both, choose, either, plain
from .equations import Implicit, written
from .solvers import EPSILON, Stand, narrowed, newton


@seen_as(signatures.Root)
def root(f: Any, x0: Any) -> Any:
    r"""The function p ↦ x with f(x, p) = 0, near x0; dx/dp = -(∂f/∂x)⁻¹ · ∂f/∂p.

    >>> from autograd import grad, sin
    >>> anomaly = root(lambda E, e, M: E - e * sin(E) - M, lambda e, M: M)
    >>> anomaly(0.5, 1.0), grad(anomaly)(0.5, 1.0)
    (1.4987011335178484, 1.0346672323734563)

    The unknown has the structure of x0, and f gives as many numbers as that holds:

    >>> circle = lambda x, r: [x[0] ** 2 + x[1] ** 2 - r, x[0] - x[1]]
    >>> root(circle, [1.0, 2.0])(8.0)
    [2.0, 2.0]

    f may close over Values, which have derivatives as well. x0 is a start, itself not
    differentiated: numbers, or a function of the parameters. Newton's method goes on
    from there, damped, to the last digit that f can tell.

    Raises ValueError where that stands still, or ∂f/∂x is singular, and says where; and
    where f gives another number of numbers. Where one number is sought and ∂f/∂x is
    zero at the solution, the derivative is infinite.
    """
    return Solution("root", f, x0)


@seen_as(signatures.Root)
def fixed_point(g: Any, x0: Any) -> Any:
    """The function p ↦ x with x = g(x, p), near x0, and its derivatives.

    >>> from autograd import cos, grad
    >>> x = fixed_point(lambda x, a: cos(a * x), 1.0)
    >>> x(1.0), grad(x)(1.0)
    (0.7390851332151607, -0.29747434150983226)

    g gives what x0 is, in the same structure. The solution is the root of g(x, p) - x,
    found by Newton's method, so that repeating g need not lead there.

    Raises what `root` raises.
    """
    return Solution("fixed_point", g, x0)


@seen_as(signatures.Bracket)
def bracket(f: Any, low: Any, high: Any) -> Any:
    """The function p ↦ x with f(x, p) = 0 between low and high, and its derivatives.

    >>> from autograd import grad
    >>> side = bracket(lambda x, volume: x**3 - volume, 0.0, 10.0)
    >>> side(8.0), grad(side)(8.0)
    (2.0, 0.08333333333333333)

    f has one number and gives one, of opposite sign at low and high, which are numbers
    or functions of the parameters. A zero between them is always found, by the values
    of f alone.

    Raises ValueError where f has the same sign at both, or jumps from one to the other.
    """
    return Bracketed("bracket", f, low, high)


class Solution:
    """What `root` and `fixed_point` give: the solution as a function of parameters."""

    def __init__(self, operation: str, f: Any, start: Any) -> None:
        if not callable(f):
            raise TypeError(
                f"{operation}: its first argument must be a function of x and of the "
                f"parameters, but is {brief(f)}; write {operation}(f, x0)(*params)"
            )
        self.operation, self.f, self.start = operation, f, start
        self.__name__ = operation

    def __repr__(self) -> str:
        return f"<{self.operation} of {clean(getattr(self.f, '__name__', 'f'))}>"

    def __call__(self, *params: Any, **settings: Any) -> Any:
        """x for these parameters: numbers, or Values where one of them has a say."""
        problem = _Problem(self.operation, self.f, params, settings)
        xs = problem.numbers("x0", self.start)
        if not xs:
            raise ValueError(
                f"{self.operation}: x0 must hold a number for each unknown, but is "
                f"{brief(self.start)}; write 1.0, or a list of numbers"
            )
        stand = newton(problem.slopes, xs)
        if not stand.done:
            raise ValueError(_lost(self.operation, stand))
        return problem.solution(stand.xs)


class Bracketed(Solution):
    """What `bracket` gives."""

    def __init__(self, operation: str, f: Any, low: Any, high: Any) -> None:
        super().__init__(operation, f, low)
        self.high = high

    def __call__(self, *params: Any, **settings: Any) -> Any:
        """x for these parameters: a number, or a Value where one of them has a say."""
        problem = _Problem(self.operation, self.f, params, settings)
        low, high = problem.end("low", self.start), problem.end("high", self.high)
        stand = narrowed(problem.value, low, high)
        if stand is None:
            raise ValueError(_one_sign(problem, low, high))
        _, ((slope,),) = problem.slopes(stand.xs)
        if not both(stand.done, _is_zero_there(stand, slope, high - low)):
            raise ValueError(_jump(stand))
        return problem.solution([_last_step(stand, slope)])


# ---- f, as solvers and as derivatives see it -----------------------------------------


class _Problem:
    """f at some parameters, of an unknown whose structure is that of the start.

    Solvers see plain numbers: where f met Values, theirs.
    """

    def __init__(
        self, operation: str, f: Any, params: tuple[Any, ...], settings: dict[str, Any]
    ) -> None:
        self.operation, self.f, self.params, self.settings = (
            operation, f, params, settings,
        )  # fmt: skip
        self.plainly = _plainly((params, settings), f"{operation}: a parameter")
        self.form: Form = NUMBER

    def numbers(self, argument: str, start: Any) -> list[Any]:
        """Those of a start, or of what it gives for the parameters."""
        if callable(start):
            params, settings = self.plainly
            start = start(*params, **settings)
        found, form = flatten(start, f"{self.operation}: {argument}")
        self.form = form if found else NUMBER
        return [*map(plain, found)]

    def end(self, argument: str, start: Any) -> Any:
        """A number that f is looked at from."""
        found = self.numbers(argument, start)
        if len(found) != 1 or self.form != NUMBER:
            raise TypeError(
                f"{self.operation}: {argument} must be a number, or a function of the "
                f"parameters that gives one, but is {brief(start)}; use root for "
                "several unknowns"
            )
        return found[0]

    def flat(self, xs: Sequence[Any], parameters: tuple[Any, Any]) -> list[Any]:
        """What has to be zero, at these numbers for the unknowns."""
        params, settings = parameters
        x = fill(self.form, xs)
        what = f"{self.operation}: the result of f"
        y = self.f(x, *params, **settings)
        if self.operation == "fixed_point":
            there = alike(f"{self.operation}: the result of g", "x0", self.form, y)
            return [g - x for g, x in zip(there, xs)]
        ys = flatten(y, what)[0]
        if len(ys) != len(xs):
            raise ValueError(
                f"{what} must hold {len(xs)} number(s), one for each unknown of x0, "
                f"but holds {len(ys)}; give as many equations as unknowns"
            )
        return ys

    def value(self, x: Any) -> Any:
        """f of one unknown, by IEEE 754, which operators of floats are not."""
        if type(x) is float:
            x = Value(x) if tracing() is None else Total(x)
        return plain(self.flat([x], self.plainly)[0])

    def slopes(self, xs: list[Any]) -> tuple[list[Any], Matrix]:
        """f, and a row of ∂f/∂x for each equation."""
        run = Recording(
            self.operation, lambda xs: self.flat(xs, self.plainly), (xs,), 0, {}
        )
        ys, _ = run.results("no truths")
        rows = [[*map(plain, run.pull([y], [1.0]))] for y in ys]
        return [*map(plain, ys)], rows

    def solution(self, xs: list[Any]) -> Any:
        """The solution as nodes of the Values that f meets there; else as numbers."""
        since, trace = tick(), tracing()
        unknowns = copies(xs) if trace is None else trace.copies(xs)
        ys = self.flat(unknowns, (self.params, self.settings))
        equation, operands = written(unknowns, ys, since)
        if operands:
            row = Implicit(self.operation, equation, len(xs))
            found = tuple([x._data if type(x) is Value else x for x in xs])
            xs = _components(row, found, (*map(_leaf, xs), *operands))
        return fill(self.form, xs)


def _plainly(tree: Any, what: str) -> Any:
    """The tree with numbers in place of its Values, and all else as it is."""
    if type(tree) is Value:
        return plain(tree)
    if is_array(tree) and tree.dtype == object:
        items = [_plainly(x, what) for x in tree.ravel().tolist()]
        return array_of(items, tree.shape)
    found = parts(tree, what)
    if found is None:
        return tree
    items = [_plainly(x, what) for x in found[0]]
    same = all(x is y for x, y in zip(items, found[0]))
    return tree if same else rebuilt(tree, items)


def _leaf(x: Any) -> Any:
    """A number as an operand: in a trace a leaf, behind which no iterations are."""
    trace = tracing()
    return trace.number(trace.leaf(x)) if trace and type(x) is Value else x


# ---- where there is no solution ------------------------------------------------------


def _told(xs: Sequence[Any]) -> str:
    """Numbers for a message."""
    numbers = [x._data if type(x) is Value else x for x in xs]
    return brief(numbers[0] if len(numbers) == 1 else numbers)


def _lost(operation: str, stand: Stand) -> str:
    f = "f" if operation == "root" else "g(x) - x"
    at = f"at x = {_told(stand.xs)}, where {f} is {_told(stand.fs)}"
    if stand.tried == 0:
        return (
            f"{operation}: {f} and its slope must be finite at x0, and the slope not "
            f"singular, but are not {at}; start elsewhere (x0 may be a function of the "
            "parameters)"
        )
    return (
        f"{operation}: {f} must become zero, but after {stand.tried} steps stands {at};"
        " start nearer (x0 may be a function of the parameters), or use bracket, where "
        "f changes its sign"
    )


def _one_sign(problem: _Problem, low: Any, high: Any) -> str:
    fs = [problem.value(low), problem.value(high)]
    return (
        f"bracket: f must have opposite signs at low and high, but is {_told(fs[:1])} "
        f"at {_told([low])} and {_told(fs[1:])} at {_told([high])}; widen the bracket, "
        "or use root"
    )


def _is_zero_there(stand: Stand, slope: Any, width: Any) -> Any:
    """Whether f goes through zero where it changes its sign: at a jump it does not come
    near, and at a pole it goes the other way."""
    (x,), (y,) = stand.xs, stand.fs
    most = 1e-6 * abs(x) + 1e-9 * abs(width)
    near = both(slope * stand.sense > 0.0, abs(y) <= abs(slope) * most)
    return either(y == 0.0, near)


def _last_step(stand: Stand, slope: Any) -> Any:
    """One of Newton's method, where that is within the last digit or two of x."""
    (x,), (y,) = stand.xs, stand.fs
    step = div(y, slope)
    small = both(y != 0.0, abs(step) <= 4 * EPSILON * abs(x))
    return choose(small, x - step, x)


def _jump(stand: Stand) -> str:
    return (
        "bracket: f must go through zero where it changes its sign, but at x = "
        f"{_told(stand.xs)} is {_told(stand.fs)} after {stand.tried} steps, and jumps, "
        "or is not a number; choose low and high so that no jump or pole is between "
        "them"
    )
