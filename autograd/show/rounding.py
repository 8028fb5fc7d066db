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
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import floor, fsum, inf, isfinite, log1p, log10, nextafter, ulp
from numbers import Real
from typing import Any, Final

from ..primitives import Primitive, brief, polygamma
from ..value import Value, require_current, topological
from .explain.explain import adjoints
from .explain.tables import aligned, table_safe
from .inside import is_closed, opened
from .jumps import bends, is_jump, margin, missed, numbers_of, passes_on
from .latex import LATEX, PLAIN, Told, known, row_formula
from .names import input_values, variable_names

MOST_ROWS: Final = 12
MOST_SLOPES, MOST_STEPS = 8, 2000  # of inputs and operations, to tell of derivatives
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
    "mod": 1,
    "pow": 0,
    "cbrt": 0,
}  # not smooth at 0 in this operand, as at the ends of a row's domain
POLES: Final = {"gamma": 0, "lgamma": 0, "polygamma": 1}  # at 0, -1, -2 …
TAKEN_APART: Final = frozenset({"dot", "prod"})  # written with operators, of any length


@dataclass(frozen=True)
class Rounding:
    """One node's part: its error is at most `error`, which moves y by `share`."""

    node: Value
    adjoint: float
    error: float

    @property
    def share(self) -> float:
        if self.error in (0.0, inf):  # unknown, whatever the adjoint
            return self.error
        return abs(self.adjoint) * self.error


@dataclass(frozen=True)
class Jump:
    """A step, a comparison or a choice that rounding may have decided.

    margin  how far its operands are from where it jumps
    moved   how far rounding may have moved them: no less
    size    how far the result is off if it did
    """

    node: Value
    margin: float
    moved: float
    size: float


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

    A step or a choice (floor, where, a comparison by `less`) that exact numbers might
    take differently counts as the error it then makes, and `jump` names it; where that
    enters more than sums and products, the bound is infinite.

    >>> floored = rounding_error((Value(1 / 3) * 3).floor())
    >>> floored.y.data, floored.total, floored.digits, floored.jump.margin
    (1.0, 1.0, 0, 0.0)

    The bound holds while errors stay small beside the numbers they enter (`doubtful`
    names a division, root or logarithm where that is not sure), and while no `if` would
    fall differently for exact numbers: x < y is not recorded, less(x, y) is.

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
    if not isinstance(inputs, Real) or not 0.0 <= inputs < inf:
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
    jump          the first step or choice that exact numbers might take differently and
                  that has a say in y, or None
    doubtful      a node that breaks the bound, its operand being nothing but error: it
                  divides by what may be 0. None where there is none
    nodes         every node's part, the largest first
    cancellation  the worst one, or None where none costs a digit
    gradients     for each input x, the same of ∂y/∂x as `backward` and `grad` have it,
                  where that is finite; infinite where a kink may be passed

    >>> x = Value(1e-5, label="x")
    >>> found = rounding_error(x.sin() / x)
    >>> found.digits, found.gradients[x].digits
    (15, 4)
    """

    def __init__(self, y: Value, inputs: float) -> None:
        self.y = y
        order, whole = topological(y), topological(y, whole=True)
        leaves = input_values(y, whole)
        for node in whole:
            require_current(node, "rounding_error")
        self._whole, self._leaves, self._inputs = whole, leaves, inputs
        self._names = variable_names(y, whole, leaves)
        _require_open(order, self._names)
        _require_finite([*leaves, *order], self._names, "the value", _value)
        bars = adjoints(y, order)
        _require_finite(order, self._names, "the adjoint", lambda node: bars[node])
        run = _Forward({x: inputs * ulp(x._data) for x in leaves} if inputs else {})
        for node in whole:
            run.enter(node)
        parts = [
            Rounding(x, bars[x], error) for x, error in run.own.items() if x in bars
        ]
        self.nodes = tuple(sorted(parts, key=lambda part: -part.share))
        self.total = fsum(part.share for part in parts)
        self.cancellation = _worst_cancellation(y, order, bars, inputs > 0.0)
        self.jump = run.jumps.get(y)
        self._bent = _under(node for node in run.bent if bars.get(node))
        self.doubtful = next((node for node in order if node in run.doubtful), None)

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

    @cached_property
    def gradients(self) -> dict[Value, RoundingBound]:
        """For each input x, how much of ∂y/∂x is rounding."""
        found = {}
        with suppress(TypeError):  # of a user's rule that takes no Values
            bars = _recorded_adjoints(self.y)
            for x in self._leaves:
                with suppress(ValueError):  # something is not finite
                    found[x] = RoundingBound(bars.get(x, Value(0.0)), self._inputs)
                    if x in self._bent:
                        found[x].total = inf
        return found

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
        return "\n".join([*lines, *self._slopes(latex=False)])

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
        for line in (*self._rest(), *self._warning(True), *self._slopes(True)):
            lines += ["", line.strip()]
        return "\n".join(lines)

    def _shown(self) -> list[Rounding]:
        return [part for part in self.nodes if part.share][:MOST_ROWS]

    def _summary(self) -> str:
        if not self.total:
            return f"{PLAIN.number(self.y.data)} is exact: no operation had to round"
        if self.total == inf:
            return f"Rounding moves {PLAIN.number(self.y.data)} nobody knows how far"
        return (
            f"Rounding moves {PLAIN.number(self.y.data)} by at most {self.total:.2g} "
            f"(first order): {self._certain()}"
        )

    def _certain(self) -> str:
        are = "digit is" if self.digits == 1 else "digits are"
        return f"{self.digits} {are} certain"

    def _slopes(self, latex: bool) -> list[str]:
        """A line for the derivative with respect to each input, if they are few."""
        if len(self._leaves) > MOST_SLOPES or len(self._whole) > MOST_STEPS:
            return ["For the digits of the derivatives see .gradients"]
        return [self._slope(x, latex) for x in self._leaves if x is not self.y]

    def _slope(self, x: Value, latex: bool) -> str:
        style = LATEX if latex else PLAIN
        top, bottom = style.name(self._names[self.y]), style.name(self._names[x])
        ratio = rf"$\partial {top}/\partial {bottom}$" if latex else f"∂{top}/∂{bottom}"
        found = self.gradients.get(x)
        if found is None:
            return f"{ratio} is not finite, or not on the way to it"
        line = f"{ratio} = {PLAIN.number(found.y.data)}: {found._certain()}"
        if x in self._bent:
            line += f", {self._formula(self._bent[x], latex)} may be beyond its kink"
        return line

    def _rest(self) -> list[str]:
        hidden = len(self.nodes) - len(self._shown())
        if not hidden:
            return []
        rest = fsum(part.share for part in self.nodes[len(self._shown()) :])
        return [f"  … and {hidden} more, together {rest:.2g}"]

    def _warning(self, latex: bool) -> list[str]:
        lines = []
        jump = self.jump
        if jump is not None:
            lines.append(
                "A choice that rounding may have made: "
                f"{self._formula(jump.node, latex)} is {jump.margin:.2g} from a jump, "
                f"and rounding moves its operands by up to {jump.moved:.2g}; it may be "
                f"off by {jump.size:.2g}"
            )
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
    numbers, name = numbers_of(node), known(node)
    if name in EXACT or _is_exact(name, z, numbers):
        return 0.0
    if name in HALF_A_PLACE:
        return 0.5 * ulp(z) or ulp(z)  # half the smallest float64 is none
    if name in TAKEN_APART:
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
    own = row.variadic and known(node) not in (
        "hypot",
        "logsumexp",
    )  # these sum exactly
    return len(node._args) / 4.0 if own else 1.0


def _size(row: Primitive, node: Value, numbers: list[float]) -> float:
    """The number in whose last places the row's accuracy is stated."""
    if known(node) in LARGEST_TERM:
        return LARGEST_TERM[known(node)](node._data, *numbers)
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
        if known(node) not in ("add", "sub"):
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


class _Forward:
    """What rounding may have done to every number, bounded on the way forward.

    Absolute values are added up: too careful where errors cancel, but right about every
    number on the way. Source: Higham, Accuracy and Stability of Numerical Algorithms
    (2002), section 3.3, "Running error analysis".

    own       what each node adds by itself: its rounding, and a wrong choice
    running   the bound on its whole error
    jumps     for a node that a doubtful choice has a say in, the first of these
    doubtful  the nodes whose operand is nothing but error, at a pole
    bent      the nodes whose slopes may be those beyond a kink
    """

    def __init__(self, inputs: dict[Value, float]) -> None:
        self.own, self.running = dict(inputs), dict(inputs)
        self.jumps: dict[Value, Jump] = {}
        self.doubtful: set[Value] = set()
        self.bent: list[Value] = []

    def enter(self, node: Value) -> None:
        """Add a node, all of whose operands have been added."""
        args = node._args
        errors = [self.running.get(x, 0.0) if type(x) is Value else 0.0 for x in args]
        if _at_pole(node, errors):
            self.doubtful.add(node)
        if bends(node, errors):
            self.bent.append(node)
        step = self._step(node, errors)
        self.own[node] = step + (_error(node) if isfinite(node._data) else inf)
        pairs = zip(node._partials, errors)
        inherited = sum(abs(slope) * error for slope, error in pairs if slope and error)
        self.running[node] = self.own[node] + inherited

    def _step(self, node: Value, errors: list[float]) -> float:
        """What it moves by against its slopes, because a choice may be wrong."""
        args = node._args
        jumped = [i for i, x in enumerate(args) if type(x) is Value and x in self.jumps]
        size = missed(node, errors)
        if jumped and not passes_on(node, jumped):
            size = inf
        if jumped and (size or any(node._partials[i] for i in jumped)):
            self.jumps[node] = self.jumps[args[jumped[0]]]  # type: ignore[index]
        elif size and is_jump(node, size, errors):
            self.jumps[node] = Jump(node, margin(node), sum(errors), size)
        return size


def _recorded_adjoints(y: Value) -> dict[Value, Value]:
    """∂y/∂node for every node below y, as the sweep computes it, but on Values."""
    bars = {y: Value(1.0)}
    for node in reversed(topological(y)):
        row, bar = node._row, bars[node]
        assert row is not None
        wanted = [partial is not None for partial in node._partials]
        operands = [x if isinstance(x, Value) else Value(x) for x in node._args]
        slopes = row.derivatives(node, *operands, wanted=wanted)
        for x, slope, open in zip(node._args, slopes, wanted):
            if isinstance(x, Value) and open:
                share = bar * slope
                bars[x] = bars[x] + share if x in bars else share
    return bars


def _under(nodes: Iterable[Value]) -> dict[Value, Value]:
    """The leaves below the nodes, each with the first node that it is below."""
    found: dict[Value, Value] = {}
    for node in nodes:
        for leaf in input_values(node, topological(node, whole=True)):
            found.setdefault(leaf, node)
    return found


def _at_pole(node: Value, errors: list[float]) -> bool:
    """Whether an operand may be where the row is not smooth, for all its error."""
    row, name = node._row, known(node)
    numbers = numbers_of(node)
    if name in POLE:
        i = POLE[name]
        return 0.0 < errors[i] >= abs(numbers[i])
    if name in POLES:
        x, error = numbers[POLES[name]], errors[POLES[name]]
        return 0.0 < error >= abs(x - min(round(x), 0.0))
    if name == "tan":
        return errors[0] * abs(node._data) >= 1.0
    assert row is not None
    if len(errors) != 1 or not errors[0]:
        return False
    low, high = row.domain
    return not low < numbers[0] - errors[0] or not numbers[0] + errors[0] < high
