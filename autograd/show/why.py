"""Why a gradient is zero, tiny, huge, infinite or NaN, and which line of source did it.

The recorded graph is read a few times, each in linear time: forwards to see what
depends on x, backwards with adjoints, sums of magnitudes and the largest path of each
sign, and forwards with tangents. Where a number goes wrong in that (a select leaves an
operand out, a local derivative is 0, a share overflows, paths cancel) there is a cause:
a node, the arithmetic in a sentence, and the usual remedy.

    uses   what depends on x through any operand
    live   what depends on x through operands that no select left out
    bars   the adjoints, ∂y/∂node           dots   the tangents, ∂node/∂x
    sizes  the same sums as bars, of magnitudes: how much can cancel
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, inf, isfinite, isinf, isnan, log, log10
from numbers import Real
from typing import Any, Final

from .. import primitives as p
from ..primitives import Number, Primitive, brief, clean
from ..value import COMPARISONS, Value, require_current, topological
from .decided import Decision, decided_by
from .explain.paths import Step
from .inside import opened
from .latex import PLAIN, Told, known, made_by

Found = tuple[str, Value, str]  # (kind, node, sentence) of what becomes a Cause

TINY: Final = 1e-6
HUGE: Final = 1e6
CANCELLED: Final = 1e-6  # of the paths' magnitudes: what is left of them
SMALL: Final = 1e-3  # one factor that alone explains a tiny product
FLAT: Final = 1e-2  # a slope at which a tanh or sigmoid counts as saturated
MANY: Final = 3  # factors, from which on a product vanishes or explodes by their number
NEAR: Final = 1e-3  # how far x may be from a kink that is mentioned, relative to x
NORMAL: Final = 2.2250738585072014e-308  # below it digits are lost: underflow
MOST_OPERANDS: Final = 4
MOST_STEPS: Final = 7  # of a path
WIDTH: Final = 40  # of a name

SATURATING: Final = {
    "tanh": "1 - z²", "sigmoid": "z·(1 - z)", "erf": "", "erfc": "", "expm1": "",
    "softplus": "", "silu": "", "gelu": "", "logsumexp": "e^(x - z)",
}  # fmt: skip
ROWS: Final = [row for row in vars(p).values() if isinstance(row, Primitive)]
FLAT_ROWS: Final = [  # where one operand is neither whole nor out of any domain
    row.name
    for row in ROWS
    if row.arity == 1 and row.derivatives(row.value(0.3), 0.3) == (0.0,)
]
STEPS: Final = frozenset(
    {*FLAT_ROWS, "copysign", *[row.name for row in COMPARISONS.values()]}
) - {"stop_gradient"}
PRODUCTS: Final = frozenset({"mul", "dot", "prod", "fma"})
DECAYING: Final = frozenset({"exp", "exp2", "_gaussian"})
BENT: Final = frozenset({"relu", "leaky_relu", "abs", "maximum", "minimum", "clip"})
POLES: Final = {  # of rows that have some: the last operand at those among the edges
    row.name: {
        args[-1] for args, z, _ in row.edges if isinf(z) and all(map(isfinite, args))
    }
    for row in ROWS
    if row.name not in ("div", "pow")
}

REMEDIES: Final = {
    "unused": "use this very Value in the computation of y: not a copy of it, not "
    "x.data, not a new Value of the same number; if x only decides comparisons, as in "
    'a bisection, ask inside "with record_lines():"',
    "swapped": "ask the other way round",
    "comparison": "a search by comparisons carries no derivative: let bracket(f, low, "
    "high) or root(f, x0) solve the equation instead, which do",
    "stopped": "take stop_gradient away where the gradient is wanted",
    "condition": "blend both sides with a smooth weight, such as a sigmoid of the "
    "condition's margin",
    "left out": "this is right if the choice is; else use a smooth one (logsumexp for "
    "maximum), or check the condition",
    "step": "use a smooth stand-in, such as a sigmoid for a step, or the operand "
    "itself where only its gradient matters",
    "off": "a smaller learning rate or initial bias keeps relus alive; leaky_relu, "
    "softplus or gelu have a slope everywhere",
    "clipped": "widen the bounds, or use a smooth squash such as tanh",
    "saturated": "scale the operand down (smaller weights, normalised inputs); for a "
    "classifier use a cross-entropy on logits, not a squared error on the result",
    "zero factor": "find out why the factor is 0: a weight initialised to 0, a mask, "
    "a missing input",
    "stationary": "this is right at a stationary point; start elsewhere if it is not "
    "meant",
    "kink": "the derivative jumps there and the number given is a convention; move "
    "away from the point, or use a smooth function",
    "underflow": "work with logarithms: logsumexp, log1p, a sum of logs for a product",
    "overflow": "work with logarithms (logsumexp, softplus, a sum of logs), or scale "
    "the operands down",
    "pole": "keep the operand away from the pole: select a safe one with `where` "
    "before the operation, or use a formula without the pole (log1p, softplus, a "
    "cross-entropy on logits)",
    "domain": "keep the operand inside the domain, with clip or with `where` before "
    "the operation",
    "0·inf": "select a safe operand with `where` before the operation, so that the "
    "infinite factor never appears",
    "inf - inf": "rewrite the difference so that its terms stay finite, as logsumexp "
    "does",
    "input": "look where this number comes from: missing data, or an earlier overflow",
    "infinite slope": "add a small number inside (sqrt(x + 1e-12)), or select another "
    "formula near this point with `where`",
    "cancellation": "rewrite the formula so that the difference is not formed: expm1, "
    "log1p, logsumexp, 2·sin(x/2)² for 1 - cos(x)",
    "vanishing": "larger initial weights, activations with a slope near 1 (relu, "
    "gelu), shortcuts around layers, or fewer of them",
    "exploding": "smaller initial weights, a smaller learning rate, or gradients "
    "clipped before the step",
    "small factor": "scale this step up, or measure in other units",
    "large factor": "scale this step down, measure in other units, or keep a "
    "denominator away from 0",
    "many paths": "average where a sum is taken, or scale the result down",
}


@dataclass(frozen=True)
class Cause:
    """One reason: its kind, the node where it happens, the arithmetic, the remedy."""

    kind: str
    node: Value
    sentence: str
    remedy: str
    place: str | None = None  # the line, if it is not that of the node

    @property
    def line(self) -> str | None:
        """The source line of the node, "file:line", where it was recorded."""
        return self.place or self.node.line


def why(y: Value | Number, x: Value) -> Diagnosis:
    """Say why ∂y/∂x is zero, tiny, huge, infinite or NaN, or that nothing is wrong.

    >>> x = Value(-2.0, label="x")
    >>> print(why(x.relu() * 3, x))
    ∂y/∂x = 0: no path from y to x is open
    1. off: relu(x = -2) = 0: its operand is not above 0, so its slope is 0
       remedy: a smaller learning rate or initial bias keeps relus alive; ...
    For source lines compute y inside "with record_lines():"

    Tiny is below 1e-6 in magnitude, huge above 1e6. What happens inside the call of a
    compiled function is looked at, too. Inside "with record_lines():" it also names the
    lines where x decided comparisons, which carry no derivative: there y may be the
    plain number that comes of a bisection. Raises TypeError unless both are otherwise
    Values, ValueError if a leaf was assigned since.
    """
    y, decisions = _asked(y, x)
    for name, value in ("y", y), ("x", x):
        if not isinstance(value, Value):
            raise TypeError(
                f"why: {name} must be a Value, but is {brief(value)} "
                f"({type(value).__name__}); pass the Value itself, as in "
                "x = Value(1.5); why(x.sin(), x) (a plain number depends on nothing; "
                "of what a bisection gives, ask inside record_lines())"
            )
    asked: list[Any] = [y, x]
    y, x = opened(asked, "why").roots
    return Diagnosis(y, x, decisions)


def _asked(y: Any, x: Any) -> tuple[Any, list[Decision]]:
    """y as a Value if it is a number that x has decided on, and where x did."""
    if not isinstance(x, Value):
        return y, []
    if isinstance(y, Value):
        return y, decided_by(x, y)
    stand_in = Value(float(y)) if isinstance(y, Real) else x
    decisions = decided_by(x, stand_in) if stand_in is not x else []
    return (stand_in if decisions else y), decisions


class Diagnosis(Told):
    """What `why` gives: print it, or read `.verdict`, `.causes` and `.gradient`."""

    def __init__(self, y: Value, x: Value, decisions: Sequence[Decision] = ()) -> None:
        sweeps = _Sweeps(y, x, decisions)
        self.y, self.x = y, x
        self.gradient = sweeps.bars.get(x, 0.0)
        self.causes = _causes(sweeps)
        self.verdict = _verdict(sweeps, bool(self.causes))

    @property
    def text(self) -> str:
        """The diagnosis for a terminal."""
        return "\n".join([*self.lines, *self._how_to_get_lines()])

    @property
    def lines(self) -> list[str]:
        """The verdict, and each cause with its remedy, line by line."""
        lines = [self.verdict]
        for number, cause in enumerate(self.causes, start=1):
            lines.append(f"{number}. {cause.kind}: {cause.sentence}")
            if cause.line:
                lines.append(f"   line: {cause.line}")
            lines.append(f"   remedy: {cause.remedy}")
        return lines

    @property
    def markdown(self) -> str:
        """The diagnosis for a notebook: a numbered list."""
        lines = [f"**{_plain_markdown(self.verdict)}**", ""]
        for number, cause in enumerate(self.causes, start=1):
            lines.append(
                f"{number}. **{cause.kind}**: {_plain_markdown(cause.sentence)}"
            )
            if cause.line:
                lines.append(f"   - line: {_plain_markdown(cause.line)}")
            lines.append(f"   - remedy: {_plain_markdown(cause.remedy)}")
        return "\n".join([*lines, "", *map(_plain_markdown, self._how_to_get_lines())])

    def _how_to_get_lines(self) -> list[str]:
        if all(cause.line or not cause.node.args for cause in self.causes):
            return []
        return ['For source lines compute y inside "with record_lines():"']


# ---- the sweeps ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Event:
    """One step of the sweep that goes wrong, though its adjoint was right so far."""

    kind: str
    node: Value
    first: float
    sign: str  # "·": first is the local derivative, second the adjoint; "+": shares
    second: float
    result: float

    @property
    def sentence(self) -> str:
        what = "local derivative · adjoint" if self.sign == "·" else "share + share"
        return (
            f"the sweep, at {_shown(self.node)}, gets {what} = {_number(self.first)} "
            f"{self.sign} {_number(self.second)} = {_number(self.result)}"
        )


class _Sweeps:
    """y's graph as it looks from x."""

    def __init__(self, y: Value, x: Value, decisions: Sequence[Decision]) -> None:
        self.y, self.x, self.decisions = y, x, decisions
        self.whole = topological(y, whole=True)
        for node in self.whole:
            require_current(node, "why")
        self.order = topological(y)
        self.uses, self.live = {x}, {x}
        for node in self.whole:
            if any(type(arg) is Value and arg in self.uses for arg in node._args):
                self.uses.add(node)
        for node in self.order:
            if any(parent in self.live for parent in node.parents):
                self.live.add(node)
        self.between = [
            node for node in self.order if node in self.live and node is not x
        ]
        self.events: list[_Event] = []
        self.bars: dict[Value, float] = {}
        self.sizes: dict[Value, float] = {}
        if y in self.live:
            self._go_backwards()
        self.dots = self._go_forwards()

    def links(self, node: Value) -> Iterator[tuple[Value, float]]:
        """The operands through which node depends on x, with local derivatives."""
        for arg, partial in zip(node._args, node._partials):
            if partial is not None and type(arg) is Value and arg in self.live:
                yield arg, partial

    def _go_backwards(self) -> None:
        self.bars, self.sizes = {self.y: 1.0}, {self.y: 1.0}
        for node in reversed(self.between):
            bar, size = self.bars[node], self.sizes[node]
            for parent, partial in self.links(node):
                share, before = partial * bar, self.bars.get(parent, 0.0)
                total = before + share
                if kind := _wrong_product(partial, bar, share):
                    self.events.append(_Event(kind, node, partial, "·", bar, share))
                if kind := _wrong_sum(before, share):
                    self.events.append(_Event(kind, node, before, "+", share, total))
                self.bars[parent] = total
                self.sizes[parent] = self.sizes.get(parent, 0.0) + abs(partial) * size

    def _go_forwards(self) -> dict[Value, float]:
        dots = {self.x: 1.0}
        for node in self.whole:
            if node is not self.x and node in self.uses:
                shares = [d * dots.get(arg, 0.0) for arg, d in self.links(node)]
                dots[node] = sum(shares)
        return dots

    def dead_ends(self) -> Iterator[tuple[Value, int]]:
        """(node, operand) wherever a path from y towards x meets a slope of 0, y first.

        Relus that are off are passed: those behind them have to be on as well.
        """
        reached = {self.y}
        for node in reversed(self.whole):
            if node in reached:
                passed = node._args if known(node) == "relu" else node.parents
                reached.update(arg for arg in passed if type(arg) is Value)
        for node in reversed(self.whole):
            if node is self.x or node not in reached:
                continue
            for i, (arg, partial) in enumerate(zip(node._args, node._partials)):
                if not partial and type(arg) is Value and arg in self.uses:
                    yield node, i

    def largest_path(self, sign: int) -> list[Step]:
        """The path of that sign with the largest product, from y to x; [] if none."""
        steps: list[Step] = []
        step = self._best.get((self.x, sign), _START)[1]
        while step is not None:
            steps.append(step)
            sign = sign if step[2] > 0.0 else -sign
            step = self._best[step[0], sign][1]
        return steps[::-1]

    @cached_property
    def _best(self) -> dict[tuple[Value, int], tuple[float, Step | None]]:
        """For each node and sign the size of the largest path to it, and its last step.

        Sizes are kept as logarithms: the product may overflow or underflow.
        """
        best = {(self.y, 1): _START}
        for node in reversed(self.between):
            for sign in 1, -1:
                if (node, sign) not in best:
                    continue
                size = best[node, sign][0]
                for parent, partial in self.links(node):
                    if partial == 0.0 or not isfinite(partial):
                        continue
                    longer = size + log(abs(partial))
                    key = parent, sign if partial > 0.0 else -sign
                    if key not in best or longer > best[key][0]:
                        best[key] = longer, (node, parent, partial)
        return best


_START: Final[tuple[float, Step | None]] = (0.0, None)  # the path from y to itself


def _wrong_product(partial: float, bar: float, share: float) -> str:
    """What makes partial · bar go wrong, though bar was right until then; or ""."""
    if isnan(bar):
        return ""
    if isnan(share):
        return "domain" if isnan(partial) else "0·inf"
    if isinf(share) and isfinite(bar):
        return "infinite slope" if isinf(partial) else "overflow"
    return "underflow" if share == 0.0 and partial != 0.0 and bar != 0.0 else ""


def _wrong_sum(before: float, share: float) -> str:
    if isnan(before + share) and not isnan(before) and not isnan(share):
        return "inf - inf"
    finite = isfinite(before) and isfinite(share)
    return "overflow" if isinf(before + share) and finite else ""


# ---- the verdict ---------------------------------------------------------------------


def _verdict(run: _Sweeps, causes: bool) -> str:
    g = run.bars.get(run.x, 0.0)
    y, x = _names(run)
    head = f"∂{y}/∂{x} = {_number(g)}"
    if run.y is run.x:
        return f"{head}: y is x itself"
    if run.y not in run.uses:
        return f"{head}: {y} does not depend on {x}"
    if run.y not in run.live:
        return f"{head}: no path from {y} to {x} is open"
    if isfinite(g) and not isfinite(run.y._data):
        return f"{head}: {_in_words(g)}, but {y} itself is {_number(run.y._data)}"
    plain = TINY <= abs(g) <= HUGE and not causes
    return f"{head}: {_in_words(g)}{', nothing is wrong with it' if plain else ''}"


def _in_words(g: float) -> str:
    if g == 0.0:
        return "exactly zero"
    if isnan(g):
        return "not a number"
    if isinf(g):
        return "infinite"
    if abs(g) < NORMAL:
        return "subnormal (below 2.2e-308, where digits are lost)"
    if abs(g) < TINY:
        return f"tiny (below {_number(TINY)})"
    if abs(g) > HUGE:
        return f"huge (above {_number(HUGE)})"
    return "the gradient is an ordinary number"


# ---- the causes ----------------------------------------------------------------------


def _causes(run: _Sweeps) -> list[Cause]:
    """All causes that are found, the most important first."""
    if run.y is run.x:
        return []
    if run.y not in run.uses:
        return _no_use(run)
    g = run.bars.get(run.x, 0.0)
    bad = not isfinite(g) or not isfinite(run.y._data)
    causes = _bad_values(run) if bad else []
    cancelled = _cancellation(run, g)
    if abs(g) < TINY:  # a product that is small by itself says more than cancellation
        small, dead = _small_products(run), _dead_ends(run)
        first, last = (dead, small) if g == 0.0 else (small, dead)
        causes += [*first, *cancelled, *last]
    else:
        causes += cancelled
    if not isfinite(g) or abs(g) < TINY:
        causes += _bad_shares(run, causes)
    if abs(g) > HUGE or isnan(g):
        causes += _large_products(run, g)
    return [*causes, *_kinks(run), *_decisions(run)]


def _no_use(run: _Sweeps) -> list[Cause]:
    below, (y, x) = topological(run.x, whole=True), _names(run)
    if any(run.y is value for node in below for value in (node, *node._args)):
        return [
            _cause("swapped", run.x, f"{x} was computed from {y}, not {y} from {x}")
        ]
    for value in {run.y: None} | _leaves(run.whole):
        if run.x.label and value.label == run.x.label:
            sentence = (
                f"{y} was computed from another Value that also has the label {x} "
                f"(its value is {_number(value._data)}, and {x}'s "
                f"{_number(run.x._data)})"
            )
            return [_cause("unused", value, sentence)]
    unused = _cause("unused", run.x, f"{y} was computed without {_named(run.x)}")
    return _decisions(run) or [unused]


def _decisions(run: _Sweeps) -> list[Cause]:
    """Where x decided comparisons, of which no derivative comes."""
    y, _ = _names(run)
    only = "only decided" if run.y not in run.uses else "also decided"
    return [
        Cause(
            "comparison",
            node,
            f"{_named(run.x)} {only} {times} comparison{'s' * (times > 1)} on this "
            f"line, the last of {_named(node)} with {_named(_plain(other))}, and no "
            f"derivative of {y} comes of what they chose",
            REMEDIES["comparison"],
            line,
        )
        for line, times, node, other in run.decisions
    ]


def _plain(x: Any) -> Value | float:
    return x if isinstance(x, Value) else float(x)


def _leaves(nodes: list[Value], whole: bool = True) -> dict[Value, None]:
    """The leaves among the operands, whole: with those that a select left out."""
    return dict.fromkeys(
        arg
        for node in nodes
        for arg in (node._args if whole else node.parents)
        if type(arg) is Value and arg._row is None
    )


# ---- values that are not finite, in the order in which they were computed ------------


def _bad_values(run: _Sweeps) -> list[Cause]:
    """Where numbers stop being finite: inputs, poles, overflow, outside a domain."""
    found = [
        ("input", leaf, f"the input {_named(leaf)} is not finite")
        for leaf in _leaves(run.order, whole=False)
        if not isfinite(leaf._data)
    ]
    for node in run.order:
        if kind := _wrong_value(node):
            first = "" if found else ", the first number that is not finite"
            found.append((kind, node, f"{_shown(node)}{_VALUES[kind]}{first}"))
    return _grouped(found)


_VALUES: Final = {
    "input": ": one of its operands, a constant, is not finite",
    "pole": ": a pole",
    "overflow": ": the result is above 1.8e308, the largest float64",
    "domain": ": there is no such number, the operands are outside the domain",
    "0·inf": ": 0 · inf is NaN",
    "inf - inf": ": infinities that meet leave NaN",
}


def _wrong_value(node: Value) -> str:
    """What makes this node's value not finite, though its operands were better."""
    z, row = node._data, node._row
    if isfinite(z) or row is None:
        return ""
    numbers = [_data(arg) for arg in node._args]
    constants = [arg for arg in node._args if type(arg) is float]
    if not all(map(isfinite, constants)):
        return "input"
    if any(map(isnan, numbers)) or isinf(z) and not all(map(isfinite, numbers)):
        return ""  # it was not right before
    if isnan(z):
        if all(map(isfinite, numbers)):
            return "domain"
        return "0·inf" if known(node) in PRODUCTS else "inf - inf"
    return "pole" if _at_pole(known(node), numbers) else "overflow"


def _at_pole(name: str, numbers: list[float]) -> bool:
    """Whether an infinite value is that of a pole, not one above the largest float64.

    The gamma function has them at 0, -1, -2, …, and what is made of it as well.
    """
    if name in ("div", "pow"):
        return numbers[name == "div"] == 0.0
    if name in ("beta", "lbeta"):
        return any(x <= 0.0 and x.is_integer() for x in numbers)
    poles, x = POLES.get(name, set()), numbers[-1]
    return x in poles or bool(poles) and x <= 0.0 and x.is_integer()


# ---- shares that go wrong in the sweep -----------------------------------------------


def _bad_shares(run: _Sweeps, known: list[Cause]) -> list[Cause]:
    """The first steps of the sweep, from y down, at which adjoints go wrong."""
    seen = {(cause.kind, cause.node) for cause in known}
    explained = {cause.node for cause in known}
    found = []
    for event in run.events:
        kind, node = event.kind, event.node
        follows = kind in ("infinite slope", "domain") and node in explained
        if (kind, node) not in seen and not follows:
            first = ", the first step that goes wrong" * (event is run.events[0])
            found.append((kind, node, event.sentence + first))
    return _grouped(found)


# ---- slopes of zero ------------------------------------------------------------------


def _dead_ends(run: _Sweeps) -> list[Cause]:
    bent = {node for node, gap, _ in _gaps(run) if gap == 0.0 and known(node) in BENT}
    found = [_dead_end(*end) for end in run.dead_ends() if end[0] not in bent]
    found.sort(key=lambda cause: -_UNLIKELY.get(cause[0], 0))
    return _grouped(found)[::-1]  # from x on, each by its place nearest to y


_UNLIKELY: Final = {"left out": 1, "condition": 2}  # rules select as well, and rightly


def _dead_end(node: Value, i: int) -> Found:
    """The kind of a slope of 0, the node to blame, and the arithmetic."""
    op, shown = known(node), _shown(node)
    if op == "stop_gradient":
        return "stopped", node, f"{shown} lets no gradient through, on purpose"
    if op in STEPS:
        return "step", node, f"{shown} is a step: flat, with a slope of 0"
    if op == "where" and i == 0:
        return "condition", node, f"{shown} passes no gradient to its condition"
    if op == "relu":
        return "off", node, f"{shown}: its operand is not above 0, so its slope is 0"
    if op == "clip" and i == 0:
        return "clipped", node, f"{shown}: its operand is outside the bounds: slope 0"
    if node._partials[i] is None:
        return "left out", node, f"{shown} leaves {_named(node._args[i])} out"
    if op in SATURATING:
        return "saturated", node, _saturated(node, 0.0)
    if op in DECAYING:
        return "underflow", node, f"{shown}: the result, and so its slope, rounds to 0"
    if op in ("hypot", "atan2") and not any(map(_data, node._args)):
        return "kink", node, f"{shown} is exactly at its kink"
    if op in PRODUCTS:
        return _zero_factor(node, i)
    if op in ("div", "pow") and _no_zero(node):
        return "underflow", node, f"{shown}: its slope rounds to 0"
    return "stationary", node, f"{shown} is flat here: its slope is exactly 0"


def _zero_factor(node: Value, i: int) -> Found:
    """Blame the factor that is 0, or what made it so if it underflowed."""
    args = node._args
    others = (arg for k, arg in enumerate(args) if k != i and _data(arg) == 0.0)
    opposite = args[i - len(args) // 2]
    factor = opposite if known(node) == "dot" else next(others, opposite)
    if type(factor) is Value and _underflowed(factor):
        return "underflow", factor, f"{_shown(factor)}: the result rounds to 0"
    sentence = f"{_shown(node)} multiplies {_named(node._args[i])} by "
    return "zero factor", node, sentence + _named(factor)


def _underflowed(node: Value) -> bool:
    """Whether it is 0 though its operands are not."""
    small = node._data == 0.0 and known(node) in PRODUCTS | DECAYING | {"div", "pow"}
    return small and _no_zero(node)


def _no_zero(node: Value) -> bool:
    return all(_data(arg) != 0.0 and isfinite(_data(arg)) for arg in node._args)


def _saturated(node: Value, slope: float) -> str:
    formula = SATURATING[known(node)]
    formula = f"{formula} = " if formula else ""
    return f"{_shown(node)} is saturated: its slope is {formula}{_number(slope)}"


# ---- products of many factors, and sums of many paths --------------------------------


def _small_products(run: _Sweeps) -> list[Cause]:
    """What makes even the largest path tiny: single factors, or their number."""
    steps = _largest(run)
    if not steps or _log(steps) >= log(TINY):
        return []
    found, rest = [], []
    for step in steps:
        node, _, partial = step
        if known(node) in SATURATING and abs(partial) <= FLAT:
            found.append(("saturated", node, _saturated(node, partial)))
        elif abs(partial) <= SMALL:
            found.append(("small factor", node, _one_factor(step)))
        else:
            rest.append(step)
    if _log(rest) < log(SMALL):
        found += _many_factors("vanishing", run, rest)
    if not found:
        smallest = min(steps, key=lambda step: abs(step[2]))
        found.append(("small factor", smallest[0], _one_factor(smallest)))
    return _grouped(found)


def _large_products(run: _Sweeps, g: float) -> list[Cause]:
    """What makes a gradient huge: single factors, their number, or many paths."""
    steps = _largest(run)
    if not steps:
        return []
    if _log(steps) < log(HUGE):
        return [] if not isfinite(g) else [_many_paths(run, steps)]
    found, rest = [], []
    for step in steps:
        if abs(step[2]) >= 1 / SMALL:
            found.append(("large factor", step[0], _one_factor(step)))
        else:
            rest.append(step)
    if _log(rest) > -log(SMALL):
        found += _many_factors("exploding", run, rest)
    if not found:
        largest = max(steps, key=lambda step: abs(step[2]))
        found.append(("large factor", largest[0], _one_factor(largest)))
    return _grouped(found)


def _largest(run: _Sweeps) -> list[Step]:
    return max(run.largest_path(1), run.largest_path(-1), key=_log_or_nothing)


def _log_or_nothing(steps: list[Step]) -> float:
    return _log(steps) if steps else -inf


def _log(steps: list[Step]) -> float:
    return sum(log(abs(partial)) for _, _, partial in steps)


def _one_factor(step: Step) -> str:
    node, parent, partial = step
    slope = _number(partial)
    return f"{_shown(node)}: its slope for {_named(parent)} is {slope}"


def _many_factors(kind: str, run: _Sweeps, steps: list[Step]) -> list[Found]:
    """A product of many factors: how many, their geometric mean, of which rows."""
    steps = [step for step in steps if abs(step[2]) != 1.0]
    if len(steps) < MANY:
        return []
    mean = exp(_log(steps) / len(steps))
    ops = Counter(made_by(node) for node, _, _ in steps).most_common(MOST_OPERANDS)
    rows = ", ".join(f"{count} of {op}" for op, count in ops)
    extreme = min if kind == "vanishing" else max
    node, _, factor = extreme(steps, key=lambda step: abs(step[2]))
    sentence = (
        f"the largest path, {_route(run, steps)}, multiplies {len(steps)} factors "
        f"({rows}) with a geometric mean of {_number(mean)}: together "
        f"{_power_of_ten(_log(steps))}; the {'small' if mean < 1 else 'larg'}est, "
        f"{_number(factor)}, is at {_shown(node)}"
    )
    return [(kind, node, sentence)]


def _many_paths(run: _Sweeps, steps: list[Step]) -> Cause:
    return _cause(
        "many paths",
        run.y,
        f"the largest path, {_route(run, steps)}, has only the product "
        f"{_power_of_ten(_log(steps))}, but the magnitudes of all paths add up to "
        f"{_number(run.sizes[run.x])}",
    )


def _cancellation(run: _Sweeps, g: float) -> list[Cause]:
    """Paths of opposite sign that leave almost nothing of each other."""
    total = run.sizes.get(run.x, 0.0)
    lost = abs(g) < CANCELLED * total
    lost |= abs(g) < TINY and _log_or_nothing(_largest(run)) >= log(TINY)
    if not lost or not isfinite(total):
        return []
    up, down = run.largest_path(1), run.largest_path(-1)
    if not up or not down:
        return []
    digits = "all" if g == 0.0 else f"about {log10(total / abs(g)):.0f}"
    sentence = (
        f"{_power_of_ten(_log(up))} (by {_route(run, up)}) and "
        f"-{_power_of_ten(_log(down))} (by {_route(run, down)}) are the largest paths "
        f"of each sign; the magnitudes of all paths add up to {_number(total)}, of "
        f"which {_number(g)} is left: {digits} digits cancel"
    )
    node = _meeting(up, down)
    return [_cause("cancellation", node, sentence)]


def _meeting(up: list[Step], down: list[Step]) -> Value:
    """The node at which two paths from y part: there their values were combined."""
    for one, other in zip(up, down):
        if one[1] is not other[1] or one[2] != other[2]:
            return one[0]
    return up[-1][0]


# ---- kinks ---------------------------------------------------------------------------


def _kinks(run: _Sweeps) -> list[Cause]:
    """Kinks at this very point, and the nearest of those that x could soon cross."""
    at, near = [], []
    for node, gap, slope in _gaps(run):
        if gap == 0.0:
            at.append(("kink", node, f"{_shown(node)} is exactly at its {_bend(node)}"))
        elif slope != 0.0 and isfinite(gap / slope):
            move = -gap / slope
            relative = abs(move) / (abs(run.x._data) or 1.0)
            if relative < NEAR:
                near.append((relative, move, gap, node))
    near.sort(key=lambda kink: kink[0])
    beside = [
        (
            "kink",
            node,
            f"{_shown(node)} is {_number(abs(gap))} from its {_bend(node)}: to first "
            f"order x reaches it by moving {_number(move)} (relative "
            f"{_number(relative)})",
        )
        for relative, move, gap, node in near
    ]
    return _grouped(at) + _grouped(beside)


def _bend(node: Value) -> str:
    return "kink" if known(node) in BENT else "jump"


def _gaps(run: _Sweeps) -> Iterator[tuple[Value, float, float]]:
    """(node, distance of its operand from a kink, ∂distance/∂x), where x has a say."""
    candidates: dict[Value, None] = {}
    for node in run.order:
        candidates[node] = None
        if known(node) == "where" and type(node._args[0]) is Value:
            candidates[node._args[0]] = None
    for node in candidates:
        if (
            known(node) in BENT | STEPS | {"mod"}
            and node in run.uses
            and node is not run.x
        ):
            for a, b in _sides(node):
                slopes = [
                    run.dots.get(side, 0.0) if type(side) is Value else 0.0
                    for side in (a, b)
                ]
                yield node, _data(a) - _data(b), slopes[0] - slopes[1]


def _sides(node: Value) -> list[tuple[Value | float, Value | float]]:
    """The pairs of numbers that are equal at a kink of this row."""
    first, *others = node._args
    if known(node) in ("relu", "abs", "sign", "leaky_relu"):
        return [(first, 0.0)]
    if known(node) == "copysign":
        return [(first, 0.0), (others[0], 0.0)]
    if known(node) in ("floor", "ceil"):
        x = _data(first)
        return [(first, float(round(x)))] if isfinite(x) else []
    if known(node) == "mod":
        return [(node, 0.0), (node, others[0])]
    return [(first, other) for other in others]


# ---- words ---------------------------------------------------------------------------


def _cause(kind: str, node: Value, sentence: str) -> Cause:
    return Cause(kind, node, sentence, REMEDIES[kind])


def _grouped(found: list[Found]) -> list[Cause]:
    """One cause for each kind and row, with the first node and the others counted."""
    groups: dict[tuple[str, str], dict[Value, str]] = {}
    for kind, node, sentence in found:
        groups.setdefault((kind, made_by(node)), {}).setdefault(node, sentence)
    causes = []
    for (kind, op), sentences in groups.items():
        node, sentence = next(iter(sentences.items()))
        more = len(sentences) - 1
        also = f"; the same at {more} more {op or 'of them'}" if more else ""
        causes.append(_cause(kind, node, sentence + also))
    return causes


def _data(x: Value | float) -> float:
    return x._data if isinstance(x, Value) else x


def _number(x: float) -> str:
    return PLAIN.number(x)


def _short(name: str) -> str:
    return clean(name, WIDTH)


def _name(x: Value) -> str:
    return _short(x.label or made_by(x) or "a leaf")


def _names(run: _Sweeps) -> tuple[str, str]:
    """What texts call y and x: their labels, or these letters where they are free."""
    y, x = run.y.label, run.x.label
    y = y or ("the result" if x == "y" else "y")
    return _short(y), _short(x or ("the input" if y == "x" else "x"))


def _named(x: Value | float) -> str:
    """An operand with its number: a label, the row that computed it, or "a leaf"."""
    if not isinstance(x, Value):
        return _number(x)
    return f"{_name(x)} = {_number(x._data)}"


def _shown(node: Value) -> str:
    """A node as an equation: label = row(operands) = number, and where in a model."""
    if node._row is None:
        return _named(node)
    operands = [_named(arg) for arg in node._args[:MOST_OPERANDS]]
    hidden = len(node._args) - len(operands)
    operands += [f"… {hidden} more"] if hidden else []
    label = f"{_short(node.label)} = " if node.label else ""
    result = f"{label}{made_by(node)}({', '.join(operands)}) = {_number(node._data)}"
    place = "" if label else _place(node)
    return f"{result} (beside {place})" if place else result


def _place(node: Value) -> str:
    """The dotted label of a parameter near above, which says where in a model it is."""
    near = [*node._args[:MOST_OPERANDS], *node._args[-MOST_OPERANDS:]]
    for _ in range(3):
        for arg in reversed(near[-MOST_OPERANDS:]):
            if type(arg) is Value and arg.label and "." in arg.label:
                return _short(arg.label)
        near = [
            arg
            for x in near[:MOST_OPERANDS]
            if type(x) is Value
            for arg in x._args[-MOST_OPERANDS:]
        ]
    return ""


def _route(run: _Sweeps, steps: list[Step]) -> str:
    """A path as names from y to x; the middle of a long one is counted, not shown."""
    names = [_name(node) for node, _, _ in steps]
    names.append(_names(run)[1])
    if len(names) > MOST_STEPS:
        half = MOST_STEPS // 2
        names[half:-half] = [f"({len(names) - 2 * half} more)"]
    return " → ".join(names)


def _power_of_ten(logarithm: float) -> str:
    """e to a power, written for people, however large or small it is."""
    exponent = logarithm / log(10.0)
    if abs(exponent) < 300:
        return _number(exp(logarithm))
    return f"1e{exponent:+.0f}".replace("+", "")


def _plain_markdown(text: str) -> str:
    """Text that Markdown, its HTML and its formulas leave as it is."""
    return "".join(f"&#{ord(c)};" if c in r"\`*_{}[]<>#|$~&" else c for c in text)
