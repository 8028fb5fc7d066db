"""Gradients held against differences: is one right, and if not, whose fault is it?

`check_grads` compares reverse mode with forward mode and with central differences, then
does the same to the derivative, up to the order asked for. If numbers differ, it looks
at every primitive in the graph by itself, so that the message names the culprit, and
at both sides of the point, so that a kink is not called a bug.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, isfinite, ulp
from typing import Any, NoReturn

from .primitives import brief, clean
from .transforms import grad, jvp, ravel
from .trees import Tree
from .value import Value, topological

Function = Callable[[float], float]
Scalar = Callable[..., Any]  # of numbers or Values, giving one

TOLERANCE = 1e-6  # relative; central differences with extrapolation are good to 1e-9


def check_grads(f: Callable[..., Any], args: Sequence[Tree], order: int = 2) -> None:
    """Compare the derivatives of f at args, up to that order, with central differences.

    args is a tuple of f's arguments: numbers or nested containers of them. f may return
    several numbers; a fixed combination of them is checked.

    >>> from autograd import exp, sin
    >>> check_grads(lambda x: exp(sin(x * x)), (1.5,), order=3)
    >>> check_grads(lambda x: x.relu(), (0.0,))
    Traceback (most recent call last):
    AssertionError: check_grads: operand 0 of relu(0.0) is at a kink: ...

    Raises AssertionError naming the argument and, where one is at fault, the primitive,
    with both numbers.
    """
    if not isinstance(args, (tuple, list)):
        raise TypeError(
            "check_grads: args must be a tuple of f's arguments, but is "
            f"{brief(args)}; write (x,) for a single one"
        )
    if not isinstance(order, int) or order < 1:
        raise ValueError(
            "check_grads: order must be a whole number above 0, but is "
            f"{brief(order)}; 2 also checks the derivatives of the derivatives"
        )
    point, unravel = ravel(tuple(args), "check_grads: args")
    if any(isinstance(x, Value) for x in point):
        raise TypeError(
            "check_grads: args must be plain numbers, but one is a Value; pass x.data"
        )

    def combined(*xs: Any) -> Any:
        ys, _ = ravel(f(*unravel(xs)), "check_grads: the result of f")
        return sum((weight * y for weight, y in zip(_weights(len(ys)), ys)), 0.0)

    _check(combined, combined, point, 1, order)


def _check(f: Scalar, base: Scalar, point: list[float], level: int, order: int) -> None:
    """Check the gradient of f, a derivative of base; then go one order up."""
    gradient = grad(f, tuple(range(len(point))))
    reverse = gradient(*point)
    for i in range(len(point)):
        along = [1.0 if j == i else 0.0 for j in range(len(point))]
        forward = jvp(f, point, along)[1]
        if not _close(reverse[i], forward, 0.0):
            raise AssertionError(
                f"check_grads: {_where(point, i, level)} must agree in both modes, "
                f"but reverse mode gives {reverse[i]!r} and forward mode {forward!r}; "
                "this is a bug of the engine, not of f: please report it"
            )
        numeric, error = difference(_slice(f, point, i), point[i])
        if not _close(reverse[i], numeric, error):
            _blame((f, base), point, i, level, reverse[i], numeric)
    if level < order:
        weights = _weights(len(point))

        def slope(*xs: Any) -> Any:
            return sum(w * d for w, d in zip(weights, gradient(*xs)))

        _check(slope, base, point, level + 1, order)


def difference(f: Function, x: float, side: int = 0) -> tuple[float, float]:
    """(f′(x), estimated error) by differences, extrapolated to a step of zero.

    side 0 takes central differences, +1 and -1 one-sided ones. Source: Ridders (1982),
    Advances in Engineering Software 4(2), 75-76.

    >>> slope, error = difference(lambda x: x**3, 2.0)
    >>> abs(slope - 12) < 1e-9
    True
    """
    best, error = float("nan"), inf
    ratio = 4.0 if side == 0 else 2.0
    step, above = 0.125 * max(abs(x), 0.25), list[float]()
    centre = f(x) if side else 0.0
    for k in range(60):
        if k >= 20 and len(above) >= 8:  # more only where f had no value further out
            break
        right = x + step if side >= 0 else x
        left = x - step if side <= 0 else x
        f_right = centre if side < 0 else f(right)
        f_left = centre if side > 0 else f(left)
        noise = (ulp(f_right) + ulp(f_left)) / (right - left)
        row = [(f_right - f_left) / (right - left)]
        for power, coarser in enumerate(above, start=1):
            row.append(row[-1] + (row[-1] - coarser) / (ratio**power - 1))
            change = max(abs(row[-1] - row[-2]), abs(row[-1] - coarser)) + noise
            if change < error:
                best, error = row[-1], change
        above = row if all(map(isfinite, row)) else []
        step /= 2
    return best, error


def _blame(
    functions: tuple[Scalar, Scalar],
    point: list[float],
    i: int,
    level: int,
    found: float,
    numeric: float,
) -> NoReturn:
    """Find out which primitive disagrees with its own differences, and say so."""
    results = [function(*[Value(x) for x in point]) for function in functions]
    nodes = topological(*[y for y in results if isinstance(y, Value)], whole=True)
    for node in nodes:
        _check_node(node, level)
    for node in nodes:
        _check_node(node, level, only_kinks=True)
    where = _where(point, i, level)
    if not isfinite(found) or not isfinite(numeric):
        raise AssertionError(
            f"check_grads: {where} must be finite, but is {found!r} (differences give "
            f"{numeric!r}); move away from this point, and see detect_anomaly"
        )
    kink = _kink(_slice(functions[0], point, i), point[i])
    if kink:
        raise AssertionError(
            f"check_grads: {where} is taken at a kink: {kink}, and the engine gives "
            f"{found!r} by convention; this is no bug, check at another point"
        )
    raise AssertionError(
        f"check_grads: {where} must be {numeric!r} (central difference), but is "
        f"{found!r}, though every partial is right by itself; look for a part of f or "
        "of a rule that leaves the graph (.data, stop_gradient) or changes from call "
        "to call"
    )


def _check_node(node: Value, level: int, only_kinks: bool = False) -> None:
    """Hold each recorded partial of one node against differences of its own row."""
    row = node._row
    assert row is not None
    numbers = [arg.data if isinstance(arg, Value) else arg for arg in node._args]
    for i, (arg, recorded) in enumerate(zip(node._args, node._partials)):
        if not isinstance(arg, Value):
            continue
        slope = _slice(row.value, numbers, i, on_values=False)
        numeric, error = difference(slope, numbers[i])
        partial = 0.0 if recorded is None else recorded
        if _close(partial, numeric, error) != only_kinks:
            continue
        operands = ", ".join(f"{x!r}" for x in numbers[:6])
        what = f"operand {i} of {clean(row.name)}({operands})"
        kink = _kink(slope, numbers[i])
        if kink:
            raise AssertionError(
                f"check_grads: {what} is at a kink: {kink}, and the partial is "
                f"{partial!r} by convention; this is no bug, check at another point"
            )
        if only_kinks:
            continue
        if recorded is not None and isfinite(partial) and isfinite(numeric):
            raise AssertionError(
                f"check_grads: the partial of {brief(row.name)} with respect to {what} "
                f"must be {numeric!r} (central difference), but its rule gives "
                f"{partial!r}; correct the rule (seen in a derivative of order {level})"
            )


def _kink(f: Function, x: float) -> str:
    """What is not smooth about f at x, in words, or ""."""
    size = max(abs(x), 1.0)
    steps = (1e-4, 1e-7, 1e-10, 1e-13)
    wide, *gaps = (f(x + h * size) - f(x - h * size) for h in steps)
    if min(map(abs, gaps)) > max(0.5 * abs(wide), 1e-9, 64 * ulp(f(x))):
        return f"there is a jump of {gaps[-1]:.6g}"
    left, right = (difference(f, x, side)[0] for side in (-1, 1))
    if isfinite(left) and isfinite(right) and not _close(left, right, 0.0, 1e-3):
        return f"the slope is {left:.6g} to the left and {right:.6g} to the right"
    return ""


def _slice(
    f: Scalar, point: Sequence[float], i: int, on_values: bool = True
) -> Function:
    """f along its ith argument, from number to number."""

    def along(x: float) -> float:
        xs: list[Any] = [*point[:i], x, *point[i + 1 :]]
        if on_values:  # the user's function may call methods
            xs = [Value(number) for number in xs]
        y = f(*xs)
        return y.data if isinstance(y, Value) else float(y)

    return along


def _close(a: float, b: float, error: float, tolerance: float = TOLERANCE) -> bool:
    size = max(abs(a), abs(b), 1e-3)
    return a == b or abs(a - b) <= tolerance * size + min(2 * error, 1e-3 * size)


def _weights(n: int) -> list[float]:
    """1, and then fixed numbers around 1, all different: no term hides another."""
    return [1.0] + [0.5 + (0.6180339887498949 * (k + 1)) % 1.0 for k in range(n - 1)]


def _where(point: Sequence[float], i: int, level: int) -> str:
    kind = "the derivative" if level == 1 else f"the derivative of order {level}"
    return f"{kind} with respect to number {i} of the arguments, at {point[i]!r},"
