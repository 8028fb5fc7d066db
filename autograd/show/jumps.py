"""Where rounding may have changed a choice: steps, branches and kinks near their edge.

A small error moves a smooth operation by its slope times the error. A step, a choice or
a kink does not heed its slope: floor, whose slope is 0, moves by 1 as soon as the error
of its operand reaches the next whole number. So these rows are tried at the ends of
what their operands may be, and what comes out differently is an error made there.

    errors    for each operand, a bound on what rounding has done to it
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from math import hypot, inf, isnan, nextafter, tau
from typing import Final

from ..value import COMPARISONS, Value
from .inside import is_closed
from .latex import TABLE, known

COMPARED: Final = frozenset(row.name for row in COMPARISONS.values())

# Rows with a step, and how far the operands are from it.
MARGIN: Final[dict[str, Callable[..., float]]] = {
    "floor": lambda z, x: min(x - z, z + 1.0 - x),
    "ceil": lambda z, x: min(z - x, x - z + 1.0),
    "sign": lambda z, x: abs(x),
    "copysign": lambda z, x, y: abs(y),
    "mod": lambda z, x, y: min(abs(z), abs(y - z)),
    **dict.fromkeys(("where", "_add_unless"), lambda z, c, x, y: abs(c)),
    "atan2": lambda z, y, x: abs(y),
    **dict.fromkeys(COMPARED, lambda z, x, y: abs(x - y)),
}
# Rows with a kink, or whose slope is a convention: they move with their operands.
KINKED: Final = frozenset({
    "abs", "relu", "leaky_relu", "maximum", "minimum", "clip", "hypot", "stop_gradient",
})  # fmt: skip
# Rows whose slopes change: how far from there, and what errors bridge that together.
Gaps = Iterable[tuple[float, float]]
GAPS: Final[dict[str, Callable[..., Gaps]]] = {
    **dict.fromkeys(("abs", "relu"), lambda z, e, x: [(abs(x), e[0])]),
    "leaky_relu": lambda z, e, x, slope: [(abs(x), e[0])],
    "clip": lambda z, e, x, lo, hi: [
        (abs(x - lo), e[0] + e[1]), (abs(x - hi), e[0] + e[2]),
    ],
    **dict.fromkeys(("where", "_add_unless"), lambda z, e, c, x, y: [(abs(c), e[0])]),
    "copysign": lambda z, e, x, y: [(abs(y), e[1])],
    "mod": lambda z, e, x, y: [
        (min(abs(z), abs(y - z)), e[0] + abs((x - z) / y) * e[1]),
    ],
    "atan2": lambda z, e, y, x: [(abs(y) if x <= e[1] else inf, e[0])],
    "hypot": lambda z, e, *xs: [(z, hypot(*e))],
}  # fmt: skip
# How far they may come from there beyond it: a kink by its operands' errors, a choice
# by what lies on the other side.
BEYOND: Final[dict[str, Callable[..., float]]] = {
    **dict.fromkeys(("abs", "relu"), lambda z, e, x: e[0]),
    "leaky_relu": lambda z, e, x, slope: max(1.0, abs(slope)) * e[0] + abs(x) * e[1],
    **dict.fromkeys(("maximum", "minimum", "clip"), lambda z, e, *xs: max(e)),
    "where": lambda z, e, c, x, y: max(abs(x - z) + e[1], abs(y - z) + e[2]),
    "_add_unless": lambda z, e, c, x, y: abs(y) + e[1] + e[2],
    "copysign": lambda z, e, x, y: 2.0 * abs(x) + e[0],
    "mod": lambda z, e, x, y: abs(y) + e[1],
    "atan2": lambda z, e, y, x: tau,
    "hypot": lambda z, e, *xs: hypot(*e),
}
# Rows that an error of any size leaves by its slope; a product, one error at a time.
LINEAR: Final = frozenset({"add", "sub", "neg", "identity", "degrees", "radians"})
PRODUCTS: Final = frozenset({"mul", "dot", "fma"})
SMOOTH: Final = 2.0**26  # a choice between numbers that differ by less is none


def missed(node: Value, errors: Sequence[float]) -> float:
    """How much further the node may move than its slopes say; 0 for a smooth row.

    >>> x = Value(0.25)
    >>> missed(x.floor(), [0.1]), missed(x.floor(), [0.3]), missed(x.sin(), [0.3])
    (0.0, 1.0, 0.0)
    """
    if not any(errors) or not _is_bent(node, errors):
        return 0.0
    pairs = zip(node._partials, errors)
    by_slopes = sum(abs(slope) * error for slope, error in pairs if slope and error)
    return max(0.0, _reach(node, errors, by_slopes) - by_slopes)


def bends(node: Value, errors: Sequence[float]) -> bool:
    """Whether its slopes may be others: a kink is within what operands may be off.

    >>> x = Value(0.25)
    >>> bends(x.relu(), [0.1]), bends(x.relu(), [0.3])
    (False, True)
    """
    name, numbers = known(node), numbers_of(node)
    if not any(errors):
        return False
    if name in ("maximum", "minimum"):
        gaps = _rivals(node, numbers, errors)
    else:
        gaps = GAPS[name](node._data, errors, *numbers) if name in GAPS else ()
    return any(0.0 < error >= gap for gap, error in gaps)


def _rivals(node: Value, numbers: list[float], errors: Sequence[float]) -> Gaps:
    """How far the other operands are from the largest, or smallest."""
    top = next((i for i, x in enumerate(numbers) if x == node._data), 0)
    for arg, x, error in zip(node._args, numbers, errors):
        if arg is not node._args[top]:
            yield abs(node._data - x), error + errors[top]


def is_jump(node: Value, size: float, errors: Sequence[float]) -> bool:
    """Whether it moves by more than what its operands move by."""
    name = known(node)
    if name == "where":  # whose branches may meet where it changes over
        return size > SMOOTH * sum(errors[1:]) and size * SMOOTH > abs(node._data)
    return name not in KINKED


def margin(node: Value) -> float:
    """How far the operands are from the step: 0 where a user's row does not say.

    >>> margin(Value(2.75).floor())
    0.25
    """
    measure = MARGIN.get(known(node))
    return measure(node._data, *numbers_of(node)) if measure else 0.0


def passes_on(node: Value, jumped: Sequence[int]) -> bool:
    """Whether errors of any size in these operands come out as `missed` and slopes say.

    >>> x = Value(2.0)
    >>> passes_on(x * 3.0, [0]), passes_on(3.0 / x, [1]), passes_on(x.exp(), [0])
    (True, False, False)
    """
    name = known(node)
    if name in PRODUCTS:
        return len(jumped) == 1
    if name == "div":
        return 1 not in jumped
    bent = name in MARGIN or name in KINKED
    return name in LINEAR or bent and name not in ("atan2", "hypot")


def _is_bent(node: Value, errors: Sequence[float]) -> bool:
    """Whether it has a step or a kink; a user's row if it is flat, as steps are."""
    row = node._row
    if row is None or row in TABLE or is_closed(node):
        return known(node) in MARGIN or known(node) in KINKED
    return any(error and not slope for slope, error in zip(node._partials, errors))


def _reach(node: Value, errors: Sequence[float], by_slopes: float) -> float:
    """How far it is at most from what exact operands would give."""
    name, z, numbers = known(node), node._data, numbers_of(node)
    if name in COMPARED:
        same = node._args[0] is node._args[1]
        return float(not same and abs(numbers[0] - numbers[1]) <= sum(errors))
    if name == "stop_gradient":
        return errors[0]
    if name in BEYOND:
        return BEYOND[name](z, errors, *numbers) if bends(node, errors) else by_slopes
    assert node._row is not None
    value = node._row.value
    moves = [abs(value(*point) - z) for point in product(*map(_ends, numbers, errors))]
    return inf if any(map(isnan, moves)) else max(moves)


def _ends(x: float, error: float) -> list[float]:
    """What the operand may be at most and at least, and 0 if that is between."""
    if not error:
        return [x]
    low, high = x - error, x + error  # rounded outwards
    low = nextafter(low, -inf) if x - low < error else low
    high = nextafter(high, inf) if high - x < error else high
    return [low, x, high, *[0.0] * (abs(x) < error)]


def numbers_of(node: Value) -> list[float]:
    """The operands as plain numbers."""
    return [arg._data if isinstance(arg, Value) else arg for arg in node._args]
