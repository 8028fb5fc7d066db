"""What solvers are written with: selects in place of branches, and elimination.

Where f runs on floats, a condition is a bool, and a choice is Python's. In a trace it
is a Value: there both sides are computed and one is selected, so one path of compiled
code solves the equation for all numbers, with the bits of the eager solver.
"""

from __future__ import annotations

from typing import Any

from ...primitives import div, where
from ...value import Value
from ...watch import tracing

Matrix = list[list[Any]]
Truth = Any  # a bool, 1.0 or 0.0, or in a trace a Value


def plain(x: Any) -> Any:
    """The number of x, cut from its graph; in a trace, what stands for it."""
    if type(x) is not Value:
        return float(x)
    trace = tracing()
    return x._data if trace is None else trace.number(x)


def choose(condition: Truth, x: Any, y: Any) -> Any:
    """x where the condition holds, else y."""
    if type(condition) is Value:
        return where(condition, x, y)
    return x if condition else y


def chosen(condition: Truth, xs: list[Any], ys: list[Any]) -> list[Any]:
    """All of xs where the condition holds, else all of ys."""
    return [choose(condition, x, y) for x, y in zip(xs, ys)]


def both(a: Truth, b: Truth) -> Truth:
    return choose(a, b, 0.0)


def either(a: Truth, b: Truth) -> Truth:
    return choose(a, 1.0, b)


def every(conditions: list[Truth]) -> Truth:
    """Whether all of them hold."""
    found: Truth = 1.0
    for condition in conditions:
        found = both(found, condition)
    return found


# ---- small linear systems ------------------------------------------------------------


def inverted(matrix: Matrix) -> Matrix:
    """The inverse, by elimination; not a number where there is none.

    >>> inverted([[0.0, 2.0], [1.0, 0.0]])
    [[0.0, 1.0], [0.5, 0.0]]
    """
    n = len(matrix)
    return eliminated([
        [*row, *[float(i == j) for j in range(n)]] for i, row in enumerate(matrix)
    ])  # fmt: skip


def eliminated(rows: Matrix) -> Matrix:
    """A⁻¹·B of [A | B], with the largest pivot of each column."""
    rows = [*rows]
    for k in range(len(rows)):
        for i in range(k + 1, len(rows)):
            rows[k], rows[i] = _ordered(rows[k], rows[i])
        pivot, *rest = rows[k]
        rest = [div(x, pivot) for x in rest]
        rows = [
            rest if i == k else [x - row[0] * y for x, y in zip(row[1:], rest)]
            for i, row in enumerate(rows)
        ]
    return rows


def _ordered(upper: list[Any], lower: list[Any]) -> tuple[list[Any], list[Any]]:
    """Both rows, first the one with the larger pivot: a select, where that is open."""
    swap = abs(plain(lower[0])) > abs(plain(upper[0]))
    return chosen(swap, lower, upper), chosen(swap, upper, lower)
