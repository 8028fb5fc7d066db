"""How much of a result is rounding: a bound, read off the adjoints.

Every operation rounds its result a little. The adjoint of a node says how much a small
change there changes y, so |adjoint| · |error made there|, summed over all nodes, bounds
what rounding does to y, to first order. This is what reverse mode was first published
for: S. Linnainmaa, master's thesis (Helsinki, 1970), and BIT 16 (1976), 146-160.

Only the error that an operation makes by itself is charged to it; what it inherits was
charged where it arose. So x - y of nearly equal x and y costs nothing, being exact, but
gives the errors made in x and y large adjoints compared with the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import floor, fsum, inf, isfinite, log1p, log10, nextafter, ulp
from typing import Any, Final

from ..primitives import Primitive, brief, polygamma
from ..value import Value, require_current, topological
from .explain import adjoints, aligned, input_values, table_safe, variable_names
from .inside import is_closed, opened
from .latex import LATEX, PLAIN, Told, row_formula

MOST_ROWS: Final = 12
LEAST_GROWTH: Final = 10.0  # a cancellation worth a word loses a decimal digit
ALL_DIGITS: Final = 15  # what a float64 holds

# What the rounded result z misses, over exact operands, times something that is not 0.
# IEEE 754 rounds these rows correctly, so that the error is at most half a last place,
# and none where nothing is missing.
MISSING: Final[dict[str, Callable[..., Any]]] = {
    "add": lambda z, x, y: x + y - z,
    "sub": lambda z, x, y: x - y - z,
    "mul": lambda z, x, y: x * y - z,
    "div": lambda z, x, y: z * y - x,
    "sqrt": lambda z, x: z * z - x,
    "fma": lambda z, x, y, w: x * y + w - z,
    "leaky_relu": lambda z, x, slope: 0 if x > 0 else slope * x - z,
}
HALF_A_PLACE: Final = frozenset({*MISSING, "mod"})
EXACT: Final = frozenset({
    "neg", "abs", "sign", "floor", "ceil", "copysign", "relu", "maximum", "minimum",
    "clip", "where", "identity", "stop_gradient", "less", "less_equal", "greater",
    "greater_equal", "equal", "not_equal",
})  # fmt: skip

# Rows whose value is a sum of larger terms state their accuracy in places of these.
LARGEST_TERM: Final[dict[str, Callable[..., float]]] = {
    "lgamma": lambda z, x: max(3.0, abs(z), log1p(abs(x))),
    "polygamma": lambda z, n, x: (
        (1.0 + n) * (abs(z) + max(3.0, abs(polygamma(n, x if x > 0.0 else 1.0 - x))))
    ),
    "gelu": lambda z, x: abs(z) * max(1.0, x * x),
    "logsumexp": lambda z, *xs: max(abs(z), *(abs(x) for x in xs if isfinite(x))),
}
POLE: Final = {
    "div": 1,
    "log": 0,
    "sqrt": 0,
    "pow": 0,
}  # not smooth at 0 in this operand
TAKEN_APART: Final = frozenset({"dot", "prod"})  # written with operators, of any length


@dataclass(frozen=True)
class Rounding:
    """One node's part: its error is at most `error`, which moves y by `share`."""

    node: Value
    adjoint: float
    error: float

    @property
    def share(self) -> float:
        return abs(self.adjoint) * self.error if self.error else 0.0


@dataclass(frozen=True)
class Cancellation:
    """A sum or difference that is small against its operands.

    loss    how often the larger operand is larger than the result
    growth  relative errors of that operand come out of y so many times larger
    """

    node: Value
    loss: float
    growth: float


def rounding_error(y: Value, inputs: float = 0.0) -> RoundingBound:
    """Bound the error that rounding has left in y, to first order, from the adjoints.

    The numbers that went in are taken as exact, or each as wrong by so many units in
    its last place: 0.5 for decimals such as 0.1, read into float64.

    >>> x = Value(1e-4, label="x")
    >>> rounding_error(1 - x.cos()).digits, rounding_error((x / 2).sin() ** 2).digits
    (7, 15)

    The bound holds while errors stay small beside the numbers they enter (`doubtful`
    names a division, root or logarithm where that is not sure), and while no choice
    (where, maximum, floor, an `if`) would fall differently for exact numbers.

    Raises TypeError unless y is a Value; ValueError if a number in its graph is not
    finite, a leaf was assigned since, inputs is negative, or y depends on the sum over
    a batch by `vmap`, whose operations are not recorded one by one.
    """
    if not isinstance(y, Value):
        raise TypeError(
            f"rounding_error: y must be a Value, but is {brief(y)} "
            f"({type(y).__name__}); compute it from Values, as in "
            "rounding_error(Value(1e-4).cos() - 1)"
        )
    if not 0.0 <= inputs < inf:
        raise ValueError(
            "rounding_error: inputs must be 0 or more units in the last place, but is "
            f"{brief(inputs)}; pass 0.5 for numbers rounded once"
        )
    return RoundingBound(opened([y], "rounding_error").roots[0], inputs)


class RoundingBound(Told):
    """What `rounding_error` gives: print it, or read `.total`, `.digits`, `.nodes`.

    total         the bound on |y - what exact arithmetic gives|
    relative      the same, as a share of |y|
    digits        decimal digits of y that are certain, 0 to 15
    doubtful      a node that breaks the bound, its operand being nothing but error: it
                  divides by what may be 0. None where there is none
    nodes         every node's part, the largest first
    cancellation  the worst one, or None where none costs a digit
    """

    def __init__(self, y: Value, inputs: float) -> None:
        self.y = y
        order = topological(y)
        leaves = input_values(y, order)
        for node in order:
            require_current(node, "rounding_error")
        self._names = variable_names(y, order, leaves)
        _require_open(order, self._names)
        _require_finite([*leaves, *order], self._names, "the value", _value)
        bars = adjoints(y, order)
        _require_finite(order, self._names, "the adjoint", lambda node: bars[node])
        parts = [Rounding(node, bars[node], _error(node)) for node in order]
        if inputs:
            parts += [
                Rounding(x, bars[x], inputs * ulp(x.data)) for x in leaves if x in bars
            ]
        self.nodes = tuple(sorted(parts, key=lambda part: -part.share))
        self.total = fsum(part.share for part in parts)
        self.cancellation = _worst_cancellation(y, order, bars, inputs > 0.0)
        self.doubtful = _first_doubtful(
            order, {part.node: part.error for part in parts}
        )

    @property
    def relative(self) -> float:
        """The bound as a share of |y|: inf where y is 0 and need not be."""
        if self.total == 0.0:
            return 0.0
        return self.total / abs(self.y.data) if self.y.data else inf

    @property
    def digits(self) -> int:
        """How many decimal digits of y are certain: 0 to 15, all that a float64 has.

        >>> rounding_error(Value(2.0) * 3).digits
        15
        """
        if self.relative == 0.0:
            return ALL_DIGITS
        if self.relative >= 1.0 or self.doubtful is not None:
            return 0
        return min(ALL_DIGITS, floor(-log10(self.relative)))

    @property
    def text(self) -> str:
        """The bound, its largest parts, and the worst cancellation, for a terminal."""
        head = ("node", "value", "error", "adjoint", "moves it by")
        rows = [
            [
                self._formula(part.node, latex=False),
                PLAIN.number(part.node.data),
                f"{part.error:.2g}",
                PLAIN.number(part.adjoint),
                f"{part.share:.2g}",
            ]
            for part in self._shown()
        ]
        table = aligned([list(head), *rows]) if rows else []
        lines = [self._summary(), *table, *self._rest(), *self._warning(latex=False)]
        return "\n".join(lines)

    @property
    def markdown(self) -> str:
        """The same for a notebook: a table with formulas in LaTeX."""
        lines = [self._summary(), ""]
        if self._shown():
            lines += [
                "| node | value | error | adjoint | moves it by |",
                "|---|---|---|---|---|",
            ]
        for part in self._shown():
            formula = table_safe(self._formula(part.node, latex=True))
            numbers = f"{part.error:.2g} | {PLAIN.number(part.adjoint)}"
            value = PLAIN.number(part.node.data)
            lines.append(f"| {formula} | {value} | {numbers} | {part.share:.2g} |")
        for line in (*self._rest(), *self._warning(latex=True)):
            lines += ["", line.strip()]
        return "\n".join(lines)

    def _shown(self) -> list[Rounding]:
        return [part for part in self.nodes if part.share][:MOST_ROWS]

    def _summary(self) -> str:
        if not self.total:
            return f"{PLAIN.number(self.y.data)} is exact: no operation had to round"
        digits = "digit is" if self.digits == 1 else "digits are"
        return (
            f"Rounding moves {PLAIN.number(self.y.data)} by at most {self.total:.2g} "
            f"(first order): {self.digits} {digits} certain"
        )

    def _rest(self) -> list[str]:
        hidden = len(self.nodes) - len(self._shown())
        if not hidden:
            return []
        rest = fsum(part.share for part in self.nodes[len(self._shown()) :])
        return [f"  … and {hidden} more, together {rest:.2g}"]

    def _warning(self, latex: bool) -> list[str]:
        lines = []
        if self.doubtful is not None:
            lines.append(
                f"Beyond first order: {self._formula(self.doubtful, latex)} takes an "
                "operand that may be 0 for all its error; the bound may not hold"
            )
        worst = self.cancellation
        if worst is not None:
            lines.append(
                f"Worst cancellation: {self._formula(worst.node, latex)} is "
                f"{worst.loss:.2g} times smaller than an operand, whose relative error "
                f"comes out {worst.growth:.2g} times larger"
            )
        return lines

    def _formula(self, node: Value, latex: bool) -> str:
        style = LATEX if latex else PLAIN
        text = style.name(self._names[node])
        if node._row is not None:
            text += f" = {row_formula(node, self._names, style)}"
        return f"${text}$" if latex else text


# ---- the error that one operation makes by itself ------------------------------------


def _error(node: Value) -> float:
    """A bound on |node - the exact result of its operation on its operands|."""
    row, z = node._row, node._data
    assert row is not None
    numbers = [arg._data if isinstance(arg, Value) else arg for arg in node._args]
    if row.name in EXACT or _is_exact(row.name, z, numbers):
        return 0.0
    if row.name in HALF_A_PLACE:
        return 0.5 * ulp(z) or ulp(z)  # half the smallest float64 is none
    if row.name in TAKEN_APART:
        inner: Any = row.raw(*map(Value, numbers))
        order = topological(inner)
        bars = adjoints(inner, order)
        return fsum(abs(bars[part]) * _error(part) for part in order)
    return _places(row.ulp * max(1.0, _width(row, node)), _size(row, node, numbers))


def _is_exact(name: str, z: float, numbers: list[float]) -> bool:
    """Whether nothing was rounded, found with exact fractions."""
    if not all(map(isfinite, numbers)):
        return False
    if name == "pow":  # a small whole power: 3.0 ** 2 is 9
        x, y = numbers
        return y in (0.0, 1.0, 2.0, 3.0, 4.0) and Fraction(x) ** int(y) == z
    missing = MISSING.get(name)
    return missing is not None and missing(*map(Fraction, (z, *numbers))) == 0


def _width(row: Primitive, node: Value) -> float:
    """How many times more operands than the four that the column `ulp` holds for."""
    own = row.variadic and row.name not in ("hypot", "logsumexp")  # these sum exactly
    return len(node._args) / 4.0 if own else 1.0


def _size(row: Primitive, node: Value, numbers: list[float]) -> float:
    """The number in whose last places the row's accuracy is stated."""
    if row.name in LARGEST_TERM:
        return LARGEST_TERM[row.name](node._data, *numbers)
    if not row.variadic:
        return node._data
    terms = [x * (d or 0.0) for x, d in zip(numbers, node._partials)]
    return max(map(abs, (node._data, *terms)))


def _places(count: float, size: float) -> float:
    """So many units in the last place of size, or of the binade the error leads to."""
    return count * ulp(nextafter(abs(size) * (1.0 + count * 2.0**-52), inf))


# ---- checks, and the worst cancellation ----------------------------------------------


def _value(node: Value) -> float:
    return node._data


def _require_open(order: Iterable[Value], names: dict[Value, str]) -> None:
    for node in order:
        if is_closed(node):
            raise ValueError(
                "rounding_error: every operation must be known, but "
                f"{brief(names[node])}, the result of {brief(node.op)}, sums over a "
                "batch what is not recorded; call the function on a few points, one by "
                "one"
            )


def _require_finite(
    nodes: Iterable[Value],
    names: dict[Value, str],
    what: str,
    number: Callable[[Value], float],
) -> None:
    for node in nodes:
        if not isfinite(number(node)):
            operation = f", the result of {brief(node.op)}," if node._row else ""
            raise ValueError(
                f"rounding_error: {what} of every node must be finite, but that of "
                f"{brief(names[node])}{operation} is {number(node)!r}; "
                "detect_anomaly() names the line that computes it"
            )


def _worst_cancellation(
    y: Value, order: list[Value], bars: dict[Value, float], inputs: bool
) -> Cancellation | None:
    """The add or sub that magnifies the relative error of an inexact operand most."""
    worst: Cancellation | None = None
    for node in order:
        if node.op not in ("add", "sub"):
            continue
        operands = [x for x in node.parents if x._row is not None or inputs]
        largest = max((abs(x._data) for x in operands), default=0.0)
        if largest <= 2.0 * abs(node._data):
            continue
        loss = largest / abs(node._data) if node._data else inf
        moved = abs(bars[node]) * largest
        growth = moved / abs(y._data) if y._data else inf if moved else 0.0
        if growth >= LEAST_GROWTH and (worst is None or growth > worst.growth):
            worst = Cancellation(node, loss, growth)
    return worst


def _first_doubtful(order: list[Value], errors: dict[Value, float]) -> Value | None:
    """The first node at a pole, as far as one can tell from the error of its operand.

    That error is bounded forwards, adding up absolute values: too careful where errors
    cancel, but right about every number on the way. Source: Higham, Accuracy and
    Stability of Numerical Algorithms (2002), section 3.3, "Running error analysis".
    """
    running = {x: error for x, error in errors.items() if x._row is None}
    for node in order:
        if node.op in POLE:
            operand = node._args[POLE[node.op]]
            if isinstance(operand, Value):
                error = running.get(operand, 0.0)
                if error > 0.0 and error >= abs(operand._data):
                    return node
        inherited = (
            abs(partial) * running[parent]
            for parent, partial in zip(node.parents, node.partials)
            if running.get(parent)
        )
        running[node] = errors[node] + sum(inherited)
    return None
