"""Derivatives of any order by power series: the rules of the rows, run on series.

Along x + d·t, all that f computes is a power series in t, and so are the partials of
its rows. As z = f(x, y) has z′ = p·x′ + q·y′, coefficient k of z follows from those of
the partials p and q below k, and these may use z, as tanh's does:

    k·zₖ = Σ (k - j)·(pⱼ·xₖ₋ⱼ + qⱼ·yₖ₋ⱼ),    j = 0 … k - 1

So no derivative is written here. What has arithmetic of its own are sums, products,
quotients and powers of series. Choices are made by constant terms, and an operand that
was not chosen is left out. Coefficients are floats, or Values where those have a say.

Source: R. E. Moore, Interval Analysis (1966), who has a recurrence for each function.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from math import copysign, factorial, inf
from typing import Any, Final

from .. import signatures
from ..primitives import (
    Primitive,
    abs,
    add,
    brief,
    div,
    mod,
    mul,
    neg,
    sub,
    where,
)
from ..primitives import pow as power
from ..signatures import seen_as
from ..transforms import Recording
from ..trees import alike, fill
from ..value import COMPARISONS, Value, require_current, tick, topological
from ..watch import tracing, watching

TRUTHS: Final = {row: getattr(operator, name) for name, row in COMPARISONS.items()}
MOST_FACTORS: Final = 1024.0  # of a power that is multiplied out


@seen_as(signatures.Taylor)
def taylor(f: Any, x: Any, order: int, direction: Any = None) -> list[Any]:
    """The coefficients of f(x + direction·t) in powers of t, from 0 to order.

    Item k of the list is the k-th derivative along the direction over k!, in the
    structure of what f gives.

    >>> from autograd import exp
    >>> taylor(exp, 0.0, 4)
    [1.0, 1.0, 0.5, 0.16666666666666666, 0.041666666666666664]
    >>> taylor(lambda p: p[0] * p[1], [2.0, 3.0], 2, direction=[1.0, 10.0])
    [6.0, 23.0, 10.0]

    direction   has the structure of x; for a single number it is 1.0

    Raises ValueError for an order that is no whole number from 0, and TypeError where
    x holds several numbers and there is no direction.
    """
    return _along("taylor", f, x, order, direction, lambda k: [])


@seen_as(signatures.Derivatives)
def derivatives(f: Any, x: Any, order: int) -> list[Any]:
    """The value of f at a number x and its derivatives, from the first to the last.

    >>> derivatives(lambda x: x**3, 2.0, 4)
    [8.0, 12.0, 12.0, 6.0, 0.0]

    They are the coefficients of `taylor`, each times k!, and raise what that raises.
    """
    return _along("derivatives", f, x, order, None, _factorial)


def _factorial(k: int) -> list[float]:
    """k! as a product of floats: one up to 170!, the last that is finite."""
    factors = [float(factorial(min(k, 170)))]
    for i in range(171, k + 1):
        if factors[-1] > 1e300:
            factors.append(1.0)
        factors[-1] *= i
    return factors


def _along(
    operation: str,
    f: Any,
    x: Any,
    order: int,
    direction: Any,
    scale: Callable[[int], Sequence[float]],
) -> list[Any]:
    """The coefficients, each times the factors that `scale` has for it."""
    order = _order(operation, order)
    run = Recording(operation, f, (x,), (0,), {})
    x_dots = _direction(operation, run, direction)
    ys, form = run.results()
    rows = _Expansion(run).coefficients(ys, x_dots, order)
    for k, row in enumerate(rows):
        scaled = [_positive(reduce(operator.mul, scale(k), c)) for c in row]
        rows[k] = run.derivatives(scaled, x_dots) if k else run.given(ys)
    return [fill(form, row) for row in rows]


def _positive(x: Any) -> Any:
    """x, or 0.0 where it is the number -0.0."""
    return x + 0.0 if type(x) is float else x


def _order(operation: str, order: Any) -> int:
    whole = order.__index__() if hasattr(order, "__index__") else -1
    if type(order) is bool or whole < 0:
        raise ValueError(
            f"{operation}: order must be a whole number from 0, but is "
            f"{brief(order)}; 1 gives the first derivative"
        )
    return int(whole)


def _direction(operation: str, run: Recording, direction: Any) -> list[Any]:
    if direction is not None:
        return alike(f"{operation}: direction", "x", run.forms[0], direction)
    if len(run.fresh) == 1:
        return [1.0]
    remedy = "pass one in the structure of x"
    if operation != "taylor":
        remedy = "use taylor(f, x, order, direction)"
    raise TypeError(
        f"{operation}: a direction must be given where x holds {len(run.fresh)} "
        f"numbers, but there is none; {remedy}"
    )


# ---- series --------------------------------------------------------------------------


class Series:
    """A power series, of which each coefficient is computed once it is asked for.

    size      how many coefficients it has at most: those beyond are no numbers, but
              left out, so that nothing comes of them beside an infinite partial
    operands  the series whose further coefficients those of this one are made of
    place     how many were made before
    """

    __slots__ = (
        "expansion", "find", "found", "operands", "place", "rates", "seen", "size",
    )  # fmt: skip

    def __init__(
        self,
        expansion: _Expansion,
        found: list[Any],
        find: Callable[[int], Any] | None = None,
        size: Any = inf,
    ) -> None:
        self.expansion, self.found, self.find = expansion, found, find
        self.size, self.seen = size, 1
        self.operands: Sequence[Series] = ()
        self.place = len(expansion.made)
        self.rates: list[Any] = [0.0]  # k times each

    def __getitem__(self, k: int) -> Any:
        """Coefficient k; None if it is left out."""
        found = self.found
        while len(found) <= k < self.size:
            assert self.find is not None
            found.append(self.find(len(found)))
        return found[k] if k < self.size else None

    def rate(self, k: int) -> Any:
        """k times coefficient k, which is coefficient k - 1 of the derivative."""
        while len(self.rates) <= k:
            n = len(self.rates)
            c = self[n]
            self.rates.append(c if n == 1 or c is None else float(n) * c)
        return self.rates[k]

    def _apply(self, row: Primitive, args: Sequence[Any]) -> Any:
        return self.expansion.apply(row, args)

    def __neg__(self) -> Any:
        return self._apply(neg, (self,))

    def __pos__(self) -> Series:
        return self

    def __abs__(self) -> Any:
        return self._apply(abs, (self,))

    def __bool__(self) -> bool:
        return bool(self[0] != 0.0)

    __hash__ = object.__hash__


def _operator(row: Primitive) -> tuple[Any, Any]:
    return (
        lambda x, y: x._apply(row, (x, y)),
        lambda y, x: y._apply(row, (x, y)),
    )


for _name, _row in {
    "add": add, "sub": sub, "mul": mul, "truediv": div, "pow": power, "mod": mod,
}.items():  # fmt: skip
    for _prefix, _method in zip(("", "r"), _operator(_row)):
        setattr(Series, f"__{_prefix}{_name}__", _method)
for _name, _row in COMPARISONS.items():
    setattr(Series, f"__{_name}__", _operator(_row)[0])
del _name, _row, _prefix, _method


def _sum_of_products(xs: Sequence[Any], ys: Sequence[Any]) -> Any:
    """Σ xᵢ·yᵢ, from the first to the last."""
    return reduce(operator.add, map(operator.mul, xs, ys))


def _back(xs: list[Any], first: int, last: int) -> list[Any]:
    """Those from first down to last."""
    return xs[first : last - 1 : -1] if last else xs[first::-1]


def _convolved(x: Series, y: Series, low: int, high: int, k: int) -> Any:
    """Σ xⱼ·yₖ₋ⱼ for j from low to high, of those that there are; None without any."""
    x[high], y[k - low]  # after which their sizes are known, as far as that matters
    low = max(low, k + 1 - min(y.size, k + 1))
    high = min(high, min(x.size, k + 1) - 1)
    if low > high:
        return None
    return _sum_of_products(x.found[low : high + 1], _back(y.found, k - low, k - high))


def _share(partial: Any, x: Series, k: int) -> Any:
    """Σ pⱼ·(k - j)·xₖ₋ⱼ for j below k: coefficient k - 1 of p·x′."""
    rate = x.rate(k)
    if type(partial) is not Series:
        one = type(partial) is float and partial == 1.0
        return rate if one or rate is None else partial * rate
    partial[k - 1]
    low = max(0, k + 1 - min(x.size, k + 1))
    high = min(k, partial.size) - 1
    if low > high:
        return None
    right = _back(x.rates, k - low, k - high)
    return _sum_of_products(partial.found[low : high + 1], right)


def _total(terms: Sequence[Any]) -> Any:
    """Their sum, less those that are left out; 0.0 of none."""
    there = [term for term in terms if term is not None]
    return reduce(operator.add, there) if there else 0.0


# ---- all that f computes -------------------------------------------------------------


class _Expansion:
    """The series of one run of f, each of a row and its operands once."""

    def __init__(self, run: Recording) -> None:
        self.run = run
        self.known: dict[Any, tuple[Any, Any]] = {}
        self.constants: dict[Value, Series] = {}
        self.made: list[Series] = []  # of rows, in order
        self.below: list[list[Series]] = []  # what the partials of each row are made of

    def coefficients(
        self, ys: Sequence[Any], x_dots: Sequence[Any], order: int
    ) -> list[list[Any]]:
        """Those of the results, from 0 to order; 0.0 where one is left out."""
        series: dict[Any, Series] = {}
        for x, dot in zip(self.run.fresh, x_dots):
            (start,) = self.lower([x])
            series[x] = Series(self, [start, dot], size=2)
        self.expand(ys, series)
        nodes = [(x, s) for x, s in series.items() if s.find is not None]
        watcher = watching()
        there = [series.get(y) if type(y) is Value else None for y in ys]
        rows = []
        for k in range(order + 1):
            for _, s in nodes:  # in their order, so that none asks far down
                s[k]
            if watcher and k:
                tangents = {x: _at(s, k) for x, s in nodes}
                watcher.see_tangents(tangents, [*tangents])
            row = [None if s is None else s[k] for s in there]
            rows.append([0.0 if c is None else c for c in row])
            if k < order:
                self.advance(k)
        return rows

    def advance(self, k: int) -> None:
        """Compute what the next order asks for, from the rules of rules upwards."""
        for below in reversed(self.below):
            for s in below:
                if s.seen < len(s.found) <= k:
                    s[len(s.found)]
                    s.seen = len(s.found) - 1

    def lower(self, xs: Sequence[Any]) -> list[Any]:
        """Numbers, save where Values from outside have a say."""
        run = self.run
        lowered: list[Any] = run.graph.lower(xs, run.numbers.number)
        return lowered

    def expand(self, ys: Sequence[Any], series: dict[Any, Series]) -> None:
        """Find a series for each node that the results are made of, in their order."""
        roots = [y for y in ys if type(y) is Value]
        for node in topological(*roots, since=self.run.since):
            if node in series or not any(
                type(x) is Value and x in series for x in node._args
            ):
                continue
            require_current(node, self.run.operation)
            rest = self.lower(node._args)
            args = [
                series[x] if type(x) is Value and x in series else low
                for x, low in zip(node._args, rest)
            ]
            found = self.apply(node._row, args, self.lower([node])[0])
            if type(found) is Series:
                series[node] = found

    def apply(self, row: Any, args: Sequence[Any], value: Any = None) -> Any:
        """The series of a row, or a number where nothing moves."""
        args = tuple([self.operand(x) for x in args])
        if row in TRUTHS:
            x, y = [x[0] if type(x) is Series else x for x in args]
            return bool(TRUTHS[row](x, y)) if value is None else value
        key = (row, *map(_key, args))
        if key not in self.known:
            self.known[key] = self.new(row, args, value), args
        return self.known[key][0]

    def operand(self, x: Any) -> Any:
        if type(x) is Series:
            return x
        if type(x) is not Value:
            return float(x)
        if x not in self.constants:
            self.constants[x] = Series(self, [x], size=1)
        return self.constants[x]

    def new(self, row: Any, args: Sequence[Any], value: Any) -> Any:
        if row is where and type(args[0]) is not Series:
            return args[1] if args[0] else args[2]
        if row is where and not _stays_open(args[0][0]):
            return args[1] if args[0] else args[2]
        first = [] if value is None else [value]
        s = Series(self, first)
        s.operands = [x for x in args if type(x) is Series]
        self.made.append(s)
        s.find = _finder(row, s, args)
        return s

    def made_of(self, roots: Sequence[Any], start: int) -> list[Series]:
        """What these are made of, of all that was made from there on, in its order."""
        todo = [x for x in roots if type(x) is Series and x.place >= start]
        found = {x.place: x for x in todo}
        for s in todo:  # which grows meanwhile
            for x in s.operands:
                if x.place >= start and x.place not in found:
                    found[x.place] = x
                    todo.append(x)
        self.below.append([found[place] for place in sorted(found)])
        return self.below[-1]


def _key(x: Any) -> Any:
    return id(x) if type(x) is Series else (x, copysign(1.0, x))


def _stays_open(condition: Any) -> bool:
    """Whether a trace can choose at each later call, by a select."""
    trace = tracing()
    return trace is not None and trace.follows(condition)


# ---- coefficients by rows ------------------------------------------------------------


def _finder(row: Any, z: Series, args: Sequence[Any]) -> Callable[[int], Any]:
    """What gives coefficient k of z once those below are known."""

    def first() -> Any:
        return row(*[x[0] if type(x) is Series else x for x in args])

    further = _further(row, z, args)
    return lambda k: first() if k == 0 else further(k)


def _further(row: Any, z: Series, args: Sequence[Any]) -> Callable[[int], Any]:
    if row is where:
        return _selected(z, args)
    if row is mul:
        return _product(z, *args)
    if row is div:
        return _quotient(z, *args)
    if row is power and _is_whole(args[1]):
        factors = _multiplied(args[0], int(args[1]))
        z.operands = [factors]
        return lambda k: _at(factors, k)
    fixed = None if row.variadic else row.fixed
    moving = [i for i, x in enumerate(args) if type(x) is Series and x.size > 1]
    if fixed and all(fixed[i] is not None for i in moving):
        return _linear(z, [(fixed[i], args[i]) for i in moving], row.select)
    return _Rules(row, z, args, moving)


def _selected(z: Series, args: Sequence[Any]) -> Callable[[int], Any]:
    """One side or the other, as the condition says at each call."""
    condition, *sides = args
    z.operands = [x for x in sides if type(x) is Series]
    z.size = max(_size(x) for x in sides)

    def selected(k: int) -> Any:
        x, y = [_at(side, k) for side in sides]
        return where(condition[0], x, y)

    return selected


def _size(x: Any) -> Any:
    return x.size if type(x) is Series else 1


def _at(x: Any, k: int) -> Any:
    """Coefficient k, 0.0 where it is left out."""
    c = x[k] if type(x) is Series else x if k == 0 else None
    return 0.0 if c is None else c


def _product(z: Series, x: Any, y: Any) -> Callable[[int], Any]:
    z.size = _size(x) + _size(y) - 1
    if type(x) is not Series:
        return lambda k: x * _at(y, k)
    if type(y) is not Series:
        return lambda k: _at(x, k) * y
    return lambda k: _total([_convolved(x, y, 0, k, k)])


def _quotient(z: Series, x: Any, y: Any) -> Callable[[int], Any]:
    z.size = _size(x) if _size(y) == 1 else inf

    def quotient(k: int) -> Any:
        c = x[k] if type(x) is Series else None
        rest = _convolved(z, y, 0, k - 1, k) if type(y) is Series else None
        if rest is not None:
            c = -rest if c is None else c - rest
        return 0.0 if c is None else div(c, _at(y, 0))

    return quotient


def _is_whole(y: Any) -> bool:
    return type(y) is float and 1.0 <= y <= MOST_FACTORS and y % 1.0 == 0.0


def _multiplied(x: Any, n: int) -> Any:
    """xⁿ, by the square of its half."""
    if n == 1:
        return x
    half = _multiplied(x, n // 2)
    square = half * half
    return square * x if n % 2 else square


def _linear(
    z: Series, pairs: Sequence[tuple[float, Series]], select: bool
) -> Callable[[int], Any]:
    """A row whose partials are numbers."""
    pairs = [(c, x) for c, x in pairs if not (select and c == 0.0)]
    z.size = max([x.size for _, x in pairs], default=1)
    z.operands = [x for _, x in pairs]

    def linear(k: int) -> Any:
        there = [(c, x[k]) for c, x in pairs]
        return _total([x if c == 1.0 or x is None else c * x for c, x in there])

    return linear


class _Rules:
    """The coefficients of a row by its rules, which run once."""

    def __init__(
        self, row: Any, z: Series, args: Sequence[Any], moving: Sequence[int]
    ) -> None:
        self.row, self.z, self.args, self.moving = row, z, args, moving
        self.pairs: list[tuple[Any, Series]] | None = None
        self.below: list[Series] = []  # what the partials are made of

    def __call__(self, k: int) -> Any:
        if self.pairs is None:
            self.pairs = self.found()
            sizes = [_size(p) + x.size - 2 for p, x in self.pairs]
            self.z.size = max(sizes, default=0) + 1
        for s in self.below:  # in their order, so that none asks far down
            s[k - 1]
        total = _total([_share(p, x, k) for p, x in self.pairs])
        return total if k == 1 else total / k

    def found(self) -> list[tuple[Any, Series]]:
        """The partial for each operand that takes part."""
        expansion = self.z.expansion
        start = len(expansion.made)
        partials = self.partials()
        for s in expansion.made[start:]:
            s[0]
        pairs = [(partials[i], self.args[i]) for i in self.moving]
        pairs = [(p, x) for p, x in pairs if not self.is_left_out(p)]
        self.below = expansion.made_of([p for p, _ in pairs], start)
        return pairs

    def is_left_out(self, partial: Any) -> bool:
        first = partial[0] if type(partial) is Series else partial
        return first is None or self.row.select and bool(first == 0.0)

    def partials(self) -> Sequence[Any]:
        row, z, args = self.row, self.z, self.args
        if row is power and type(args[1]) is float and args[0][0] != 0.0:
            x, y = args
            return [self.z * y / x, None]
        if type(row) is Primitive:
            try:
                return self.run(row, z, args)
            except TypeError:  # a rule that takes derivatives, of Values alone
                pass
        return self.recorded()

    def run(self, row: Any, z: Series, args: Sequence[Any]) -> Sequence[Any]:
        if row.variadic:
            return [*row.rules[0](z, *args)]
        return [
            rule(z, *args) if i in self.moving else None
            for i, rule in enumerate(row.rules)
        ]

    def recorded(self) -> Sequence[Any]:
        """The partials on Values at the constant terms; then what they record."""
        given = [self.z, *self.args]
        leaves = [_leaf(x) if type(x) is Series else x for x in given]
        since = tick()
        wanted = [i in self.moving for i in range(len(self.args))]
        found = self.row.derivatives(*leaves, wanted=wanted)
        series = {v: x for v, x in zip(leaves, given) if type(v) is Value}
        roots = [p for p in found if type(p) is Value]
        for node in topological(*roots, since=since, whole=True):
            args = [series.get(x, x) if type(x) is Value else x for x in node._args]
            if node not in series:
                series[node] = self.z.expansion.apply(node._row, args)
        return [series.get(p, p) if type(p) is Value else p for p in found]


def _leaf(x: Series) -> Value:
    """A Value with the constant term, which a trace goes on to follow."""
    first, trace = x[0], tracing()
    if type(first) is not Value:
        return Value(first)
    if trace is None or not trace.follows(first):
        return Value(first._data)
    leaf: Value = trace.leaf(first)
    return leaf
