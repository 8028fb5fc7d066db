"""Gradients held against differences: is one right, and if not, whose fault is it?

`check_grads` compares reverse mode with forward mode and with differences, then does
the same to the derivatives, up to the order asked for. If numbers differ, it looks at
every primitive in the graph by itself, so that the message names the culprit, and at
both sides of the point, so that a kink is not called a bug. Where rounding hides a
slope, as of an energy beside mc², the primitives alone are compared.

    found    what the engine gives, in reverse mode     noise   by how much rounding may
    numeric  what differences give                              have moved a result
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import isfinite, nan, ulp
from typing import Any, Final, NoReturn

from . import primitives
from .differences import (
    TOLERANCE,
    WIDEST,
    Function,
    compared,
    difference,
    kink,
    slopes,
)
from .primitives import Primitive, brief, clean
from .transforms import jacobian, jvp, ravel
from .trees import Tree
from .value import Value, topological

Results = Callable[..., list[Any]]  # of numbers or Values

TABLE: Final = {row for row in vars(primitives).values() if isinstance(row, Primitive)}
NO_NUMBER: Final = (ArithmeticError, ValueError)  # what f may raise beside the point


def check_grads(f: Callable[..., Any], args: Sequence[Tree], order: int = 2) -> None:
    """Compare the derivatives of f at args, up to that order, with differences.

    args is a tuple of f's arguments: numbers or nested containers of them. f may return
    several numbers; each is checked by itself.

    >>> from autograd import exp, sin
    >>> check_grads(lambda x: exp(sin(x * x)), (1.5,), order=3)
    >>> check_grads(lambda x: x.relu(), (0.0,))
    Traceback (most recent call last):
    AssertionError: check_grads: operand 0 of relu(0.0) is at a kink: ...

    Numbers are compared as far as differences have digits, at any size: where rounding
    hides a slope, each primitive is still compared by itself. Raises AssertionError
    naming the argument and, where one is at fault, the primitive, with both numbers;
    also where no difference can be had, since f or a derivative is not finite there,
    and for a function that does not repeat itself.
    """
    if not callable(f):
        raise TypeError(
            f"check_grads: f must be a function, but is {brief(f)}; write "
            "check_grads(f, (x,))"
        )
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
    point = [float(x) for x in point]

    def results(*xs: Any) -> list[Any]:
        values = [x if isinstance(x, Value) else Value(x) for x in xs]
        return list(ravel(f(*unravel(values)), "check_grads: the result of f")[0])

    derived: Results = results
    for level in range(1, order + 1):
        derivatives = _Derivatives(derived, results, point, level)
        derivatives.check()
        derived = derivatives.gradients


# ---- derivatives of one order --------------------------------------------------------


class _Line:
    """The results of f along its ith argument, from number to number, each kept."""

    def __init__(self, f: Results, point: Sequence[float], i: int) -> None:
        self.f, self.point, self.i = f, point, i
        self.seen: dict[float, list[float]] = {}

    def compute(self, x: float) -> list[float]:
        try:
            return _numbers(self.f(*self.point[: self.i], x, *self.point[self.i + 1 :]))
        except NO_NUMBER:  # as outside the domain
            return []

    def result(self, k: int) -> Function:
        def along(x: float) -> float:
            if x not in self.seen:
                self.seen[x] = self.compute(x)
            results = self.seen[x]
            return results[k] if k < len(results) else nan

        return along

    def is_alone(self, k: int) -> bool:
        """Whether f has a number nowhere beside the point."""
        along, x = self.result(k), self.point[self.i]
        return not any(isfinite(along(y)) for y in self.seen if y != x)

    def require_repeats(self) -> None:
        """Refuse a function that gives other numbers where it is called again."""
        for x, before in self.seen.items():
            again = self.compute(x)
            if repr(again) != repr(before):
                _refuse_to_repeat(before, again)


class _Derivatives:
    """The derivatives of f at a point; f itself gives results or their derivatives."""

    def __init__(
        self, f: Results, base: Results, point: Sequence[float], level: int
    ) -> None:
        self.f, self.base, self.point, self.level = f, base, point, level
        self._rows = jacobian(f, tuple(range(len(point))))
        self._nodes_are_right = False

    def gradients(self, *xs: Any) -> list[Any]:
        """Every derivative of every result, in one list."""
        return [slope for row in self._rows(*xs) for slope in row]

    def check(self) -> None:
        """Hold every derivative against the other mode, and against differences."""
        if not self.point:
            return
        before, inputs = ([*map(Value, self.point)] for _ in range(2))
        first, self._ys = _numbers(self.f(*before)), self.f(*inputs)
        if repr(first) != repr(_numbers(self._ys)):
            _refuse_to_repeat(first, _numbers(self._ys))
        _require_own_inputs(self._ys, before)
        for y in self._ys:
            _require_number(y)
        self._found = _numbers(self.gradients(*self.point))
        for i in range(len(self.point)):
            self._check_argument(i)

    def _check_argument(self, i: int) -> None:
        line = _Line(self.f, self.point, i)
        along = [1.0 if j == i else 0.0 for j in range(len(self.point))]
        forward = _numbers(jvp(self.f, self.point, along)[1])
        for k, other in enumerate(forward):
            self._compare(line, k, self._found[k * len(self.point) + i], other)

    def _compare(self, line: _Line, k: int, found: float, forward: float) -> None:
        f, x = line.result(k), self.point[line.i]
        if not isfinite(found) or not isfinite(forward):
            self._blame_not_finite(line, k, found, forward)
        verdict, numeric = compared(found, slopes(f, x))
        if verdict == "right" and _close(found, forward):
            return
        noise = noise_of(self._ys[k])
        verdict, numeric = compared(found, slopes(f, x, 0, noise, found))
        if verdict != "right" and found != numeric:
            self._require_repeats(line)
            if verdict == "wrong" or kink(f, x, noise):
                self._blame(line, k, found, numeric)
        if line.is_alone(k):
            raise AssertionError(
                f"check_grads: {self._where(line.i)} is {found!r}, but no difference "
                "can be had: f is not finite beside this point; move away from it"
            )
        if not _close(found, forward):
            self._require_modes_agree(line, k, found, forward, noise)
        if verdict == "unseen" and not self._nodes_are_right:
            self._require_right_nodes()
            self._nodes_are_right = True

    def _require_modes_agree(
        self, line: _Line, k: int, found: float, forward: float, noise: float
    ) -> None:
        f, x = line.result(k), self.point[line.i]
        verdict, numeric = compared(forward, slopes(f, x, 0, noise, forward))
        if verdict != "wrong":
            return
        self._require_repeats(line)
        if abs(found - forward) <= self._rounding(line, k):
            return
        lost = (
            "correct the pushforward of a VectorPrimitive if f calls one that has it; "
            "else this is a bug of the engine, not of f: please report it"
        )
        if found == 0.0 or forward == 0.0:
            lost = "a product of partials underflows on the way: see why(y, x)"
        raise AssertionError(
            f"check_grads: {self._where(line.i)} must agree in both modes, but reverse "
            f"mode gives {found!r} and forward mode {forward!r} (differences give "
            f"{numeric!r}); {lost}"
        )

    # ---- whose fault it is -----------------------------------------------------------

    def _rounding(self, line: _Line, k: int) -> float:
        """By how much rounding may have moved a derivative of the kth result."""
        recorded = self.gradients(*map(Value, self.point))
        return noise_of(recorded[k * len(self.point) + line.i])

    def _blame(self, line: _Line, k: int, found: float, numeric: float) -> None:
        """Find out which primitive disagrees with its own differences, and say so.

        None may, where rounding moves the derivative as far as (1 - cos x) / x² near 0.
        """
        self._require_right_nodes()
        for node in self._nodes():
            _require_smooth(node)
        where = self._where(line.i)
        bend = kink(line.result(k), self.point[line.i], noise_of(self._ys[k]))
        if bend:
            raise AssertionError(
                f"check_grads: {where} is taken at a kink: {bend}, and the engine "
                f"gives {found!r} by convention; this is no bug, check at another point"
            )
        if abs(found - numeric) <= self._rounding(line, k):
            return
        raise AssertionError(
            f"check_grads: {where} must be {numeric!r} (central difference), but is "
            f"{found!r}, though every partial is right by itself; look for a part of f "
            "or of a rule that leaves the graph (.data, stop_gradient) or changes from "
            "call to call"
        )

    def _blame_not_finite(
        self, line: _Line, k: int, found: float, forward: float
    ) -> NoReturn:
        """Name the rule that is wrong, or say that there is nothing to compare."""
        self._require_repeats(line)
        self._require_right_nodes()
        numeric, _ = difference(line.result(k), self.point[line.i])
        shown = repr(found) if not isfinite(found) else f"{found!r} and {forward!r}"
        raise AssertionError(
            f"check_grads: {self._where(line.i)} must be finite, but is {shown} "
            f"(differences give {numeric!r}); move away from this point, and see "
            "why(y, x)"
        )

    def _require_repeats(self, line: _Line) -> None:
        again = _numbers(self.gradients(*self.point))
        if repr(again) != repr(self._found):
            _refuse_to_repeat(self._found, again)
        line.require_repeats()

    def _require_right_nodes(self) -> None:
        for node in self._nodes():
            _require_right(node, self.level)

    def _nodes(self) -> list[Value]:
        ys = [*self._ys, *self.base(*map(Value, self.point))]
        return topological(*[y for y in ys if isinstance(y, Value)], whole=True)

    def _where(self, i: int) -> str:
        kind = "derivative" if self.level == 1 else f"derivative of order {self.level}"
        at = f"at {self.point[i]!r}"
        return f"the {kind} with respect to number {i} of the arguments, {at},"


def _require_number(y: Any) -> None:
    """Refuse a result with which nothing can be compared, and name what made it so."""
    (number,) = _numbers([y])
    if isfinite(number):
        return
    nodes = topological(y) if isinstance(y, Value) else []
    first = next((node for node in nodes if not isfinite(node.data)), None)
    cause = "" if first is None else f", since {_call(first)} is {first.data!r}"
    raise AssertionError(
        f"check_grads: the result of f must be finite, but is {number!r}{cause}; no "
        "difference can be had here: move away from this point, and see why(y, x)"
    )


def _refuse_to_repeat(before: list[float], again: list[float]) -> NoReturn:
    pairs = (pair for pair in zip(before, again) if repr(pair[0]) != repr(pair[1]))
    one, other = next(pairs, (before, again))
    raise AssertionError(
        "check_grads: f must give the same at every call, but gives "
        f"{brief(one)} and then {brief(other)} at the same point; pass random numbers "
        "as arguments (or seed inside f), and keep no state from call to call"
    )


def _require_own_inputs(ys: Sequence[Any], before: Sequence[Value]) -> None:
    """Refuse results that were computed from the inputs of an earlier call."""
    values = [y for y in ys if isinstance(y, Value)]
    nodes = [*values, *topological(*values, whole=True)]
    operands = {id(arg) for node in nodes for arg in (node, *node._args)}
    if any(id(x) in operands for x in before):
        raise AssertionError(
            "check_grads: f must compute its result from the arguments of each call, "
            "but gives one computed from those of an earlier call; keep no state from "
            "call to call"
        )


def _require_right(node: Value, level: int) -> None:
    """Hold each recorded partial of one node against differences of its own row."""
    recorded = node._partials
    for i, partial, f, x, noise in _operands(node):
        if recorded[i] is None and node._call is None:  # left out on purpose
            continue
        seen = slopes(f, x, 0, noise, partial, WIDEST)
        verdict, numeric = compared(partial, seen)
        if not isfinite(partial) and node._row in TABLE:  # by convention
            continue
        if verdict == "wrong" and not kink(f, x, noise):
            raise AssertionError(
                f"check_grads: the partial of {brief(node.op)} with respect to operand "
                f"{i} of {_call(node)} must be {numeric!r} (central difference), but "
                f"its rule gives {partial!r}; correct the rule (seen in a derivative "
                f"of order {level})"
            )


def _require_smooth(node: Value) -> None:
    for i, partial, f, x, noise in _operands(node):
        bend = kink(f, x, noise)
        if bend:
            raise AssertionError(
                f"check_grads: operand {i} of {_call(node)} is at a kink: {bend}, and "
                f"the partial is {partial!r} by convention; this is no bug, check at "
                "another point"
            )


def _operands(node: Value) -> Iterator[tuple[int, float, Function, float, float]]:
    """(which, partial, the row along it, where, the noise) for each Value operand."""
    row = node._row
    assert row is not None
    numbers = [arg.data if isinstance(arg, Value) else arg for arg in node._args]
    partials = [0.0 if partial is None else partial for partial in node._partials]
    value = getattr(row, "moved", row.value)  # of what an equation defines
    terms = [abs(p * x) for p, x in zip(partials, numbers)]
    noise = row.ulp * ulp(node.data)
    if len(terms) > 1:  # which may cancel
        noise += sum(ulp(term) for term in terms if isfinite(term))
    for i, arg in enumerate(node._args):
        if isinstance(arg, Value) and _varies(row, i):
            yield i, partials[i], _along(value, numbers, i), numbers[i], noise


def _varies(row: Primitive, i: int) -> bool:
    """Whether an operand may move by itself: not where its sample is one number."""
    ranges = row.sample if isinstance(row.sample[0], tuple) else (row.sample,)
    low, high = ranges[min(i, len(ranges) - 1)]
    return low < high


def _along(f: Callable[..., float], numbers: list[float], i: int) -> Function:
    return lambda x: f(*numbers[:i], x, *numbers[i + 1 :])


def _call(node: Value) -> str:
    numbers = [arg.data if isinstance(arg, Value) else arg for arg in node._args]
    operands = ", ".join(f"{x!r}" for x in numbers[:6])
    return f"{clean(node.op)}({operands}{', …' if len(numbers) > 6 else ''})"


def noise_of(y: Any) -> float:
    """How far rounding may have moved y: an ulp of every node, times its adjoint."""
    if not isinstance(y, Value):
        return 0.0
    bars, noise = {y: 1.0}, 0.0
    for node in reversed(topological(y)):
        bar = bars[node]
        moved = abs(bar) * ulp(node.data)
        noise += moved if isfinite(moved) else 0.0
        for parent, partial in zip(node.parents, node.partials):
            bars[parent] = bars.get(parent, 0.0) + partial * bar
    return noise


def _numbers(ys: Sequence[Any]) -> list[float]:
    return [y.data if isinstance(y, Value) else float(y) for y in ys]


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= TOLERANCE * max(abs(a), abs(b))
