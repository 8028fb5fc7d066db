"""Sparse derivatives of one recorded graph: only what is there is ever computed.

Second derivatives by edge pushing: a reverse sweep that carries, beside adjoints, the
second derivatives of the result for pairs of nodes. At a node z = f(x, y) each pair
with z is handed to pairs with x and y, as is the pair of z with itself, and z's own
second partials times its adjoint are added. At the end only pairs of inputs are left.

First derivatives by sparse rows: reverse sweeps over what each result is made of, or
one forward sweep with the tangents that each node has, whichever hands out fewer
shares. Each may try until so many, and more in every round.

What a select left out has a share that is absent: it has its place in the pattern, and
adds nothing, not even beside an infinity. Numbers are floats, or Values in a trace.

Source: R. M. Gower and M. P. Mello, A new framework for the computation of Hessians,
Optimization Methods and Software 27 (2012).

    place   of a node: inputs first, then all others in the order they were made
    bars    adjoints        weights   of a place: its pairs with itself and those below
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

from ..accelerator import in_c
from ..primitives import Primitive
from ..transforms import Recording, jacfwd
from ..value import Value, require_current, topological
from ..watch import tracing
from .slopes import SlopesOfRows, opaque
from .tangents import Pairs, scaled, total

ByPlace = dict[int, Any]  # a pair's weight, or an entry of a row: by the other place
Entries = tuple[Sequence[int], Sequence[int], Sequence[Any]]  # rows, columns, numbers
Facts = tuple[bytes, list[tuple[int, int]], bool, bool]  # moving, pairs, ones, lopsided
MISSING: Final = "missing"  # where not even a left-out share has come
FIRST_TRY: Final = 8  # shares for each edge


class Edge(NamedTuple):
    """An operand that takes part: which one, its place, and the partial."""

    position: int
    place: int
    partial: Any


class OpenError(Exception):
    """A call of a compiled function, whose inside Python has to look at."""


class Places:
    """The nodes that depend on the inputs, each with a place, and their edges."""

    def __init__(self, run: Recording, ys: Sequence[Any]) -> None:
        self.run, self.inputs, self.slopes = run, len(run.fresh), SlopesOfRows()
        own, depends = set(run.fresh), run.graph.depends
        roots = [y for y in ys if type(y) is Value]
        nodes = topological(*roots, since=run.since, whole=True)
        self.nodes = [*run.fresh, *(x for x in nodes if depends(x) and x not in own)]
        self.of = {x: i for i, x in enumerate(self.nodes)}
        self._edges: dict[int, list[Edge]] = {}
        self._opened: dict[Any, list[ByPlace]] = {}

    def edges(self, i: int) -> list[Edge]:
        """The operands of a node that move it."""
        if i not in self._edges:
            self._edges[i] = self._found(self.nodes[i])
        return self._edges[i]

    def _found(self, node: Value) -> list[Edge]:
        partials = self._inside(node) if opens(node) else self._partials(node)
        return [
            Edge(k, self.of[x], partials[k])
            for k, x in enumerate(node._args)
            if type(x) is Value and x in self.of and k in partials
        ]

    def _partials(self, node: Value) -> dict[int, Any]:
        """Those that are anywhere other than zero, by the position of the operand."""
        row: Any = node._row
        count = len(node._args)
        found: Sequence[Any] = node._partials
        if self.run.partials_of is not None and node._call is None:
            found = self.run.partials_of(node)
        elif self.run.partials_of is not None:
            found = row.derivatives(*self.lower(node))
        known = self.slopes.of(row, count) if is_plain(row) else opaque(count)
        return {k: found[k] for k in range(count) if known.moving[k]}

    def _inside(self, node: Value) -> dict[int, Any]:
        """Likewise, of a compiled call: those of the operands that a result is of."""
        call = node if node._call is None else node._call
        if call not in self._opened:
            args = self.lower(node)[1:]
            run = Recording("jacobian", lambda xs: opened(call, xs), (args,), (0,), {})
            self._opened[call] = as_rows(jacobian_entries(run, run.out), len(run.out))
        return self._opened[call][node._place]

    def lower(self, node: Value) -> list[Any]:
        """z and its operands as the rules take them here."""
        run = self.run
        lowered: list[Any] = run.graph.lower((node, *node._args), run.numbers.number)
        return lowered


def is_plain(row: Any) -> bool:
    """Whether all that there is to know of a row are its rules."""
    return type(row) is Primitive and not row.call


def opens(node: Value) -> bool:
    """Whether it is a call whose inside is known, as of a compiled function."""
    row: Any = node._row if node._call is None else node._call._row
    return hasattr(row, "inside")


def opened(call: Any, xs: Sequence[Any]) -> list[Any]:
    """The results of such a call, by ordinary operations."""
    found = call._row.inside(xs)
    return [*found] if call._row.call else [found]


def facts(slopes: SlopesOfRows, row: Primitive, count: int) -> Facts:
    """What C has to know of a row: see `Slopes`."""
    if hasattr(row, "inside"):
        raise OpenError
    if not is_plain(row):
        return b"\1" * count, [], False, False
    known = slopes.of(row, count)
    for_c = count <= 3 and not row.variadic
    pairs = [*known.pairs(range(count))] if for_c else []
    return bytes(known.moving), pairs, known.ones is not None, known.lopsided


# ---- second partials -----------------------------------------------------------------


def seconds(
    slopes: SlopesOfRows, node: Value, values: Sequence[Any], chosen: Sequence[int]
) -> list[tuple[int, int, Any]]:
    """(a, b, second partial) of a node for those of these operands that have one.

    values   z and the operands, numbers or in a trace Values
    """
    row: Any = node._row
    if opens(node):
        return _of_inside(node, values[1:], chosen)
    known = opaque(len(values) - 1)
    if is_plain(row):
        known = slopes.of(row, len(values) - 1)
    pairs, found = known.pairs(chosen), None
    if known.ones is not None:
        return [(a, b, 1.0) for a, b in pairs]
    if known.formula is not None:
        found = known.formula.run(values, chosen, pairs)
    if found is not None:
        return [(a, b, c) for (a, b), c in zip(pairs, found)]
    return _by_rules(row, known.lopsided, values, chosen, pairs)


def _by_rules(
    row: Any,
    lopsided: bool,
    values: Sequence[Any],
    chosen: Sequence[int],
    pairs: Pairs,
) -> list[tuple[int, int, Any]]:
    """By forward mode through the rules, as they are."""
    if not pairs:
        return []

    def partials(xs: list[Any]) -> list[Any]:
        full = _with(values[1:], chosen, xs)
        z = row(*full) if is_plain(row) else None
        found = row.derivatives(z, *full)
        return [0.0 if found[i] is None else found[i] for i in chosen]

    table = jacfwd(partials)([values[a + 1] for a in chosen])
    at = {a: i for i, a in enumerate(chosen)}
    cells = [(a, b, at[a], at[b]) for a, b in pairs]
    if lopsided:
        return [(a, b, 0.5 * (table[i][j] + table[j][i])) for a, b, i, j in cells]
    return [(a, b, table[i][j]) for a, b, i, j in cells]


def _of_inside(
    node: Value, args: Sequence[Any], chosen: Sequence[int]
) -> list[tuple[int, int, Any]]:
    """Edge pushing on what a compiled call is made of."""
    call = node if node._call is None else node._call

    def result(xs: list[Any]) -> Any:
        return opened(call, _with(args, chosen, xs))[node._place]

    given = [args[a] for a in chosen]
    run = Recording("hessian", result, (given,), (0,), {})
    rows, columns, found = hessian_entries(run, run.out)
    return [(chosen[a], chosen[b], c) for a, b, c in zip(rows, columns, found)]


def _with(args: Sequence[Any], chosen: Sequence[int], xs: Sequence[Any]) -> list[Any]:
    full = [*args]
    for i, x in zip(chosen, xs):
        full[i] = x
    return full


# ---- edge pushing --------------------------------------------------------------------


def hessian_entries(run: Recording, y: Any) -> Entries:
    """The second derivatives for pairs of inputs, rows not below columns."""
    run.graph.mark(True)
    if type(y) is not Value or not run.graph.depends(y):
        return [], [], []
    found, slopes = None, SlopesOfRows()
    if tracing() is None:
        tell = functools.partial(facts, slopes)
        second = functools.partial(_seconds_of, slopes)
        with suppress(OpenError):
            found = push_pairs(run.graph, y, tell, second)
    return pushed(Places(run, [y]), y) if found is None else _unpacked(*found)


def _unpacked(rows: bytes, columns: bytes, numbers: bytes) -> Entries:
    return array("i", rows), array("i", columns), array("d", numbers)


def _seconds_of(
    slopes: SlopesOfRows, node: Value, chosen: Sequence[int]
) -> list[tuple[int, int, Any]]:
    """For C: `seconds` at the numbers that were recorded."""
    values = [x._data if type(x) is Value else x for x in (node, *node._args)]
    return seconds(slopes, node, values, chosen)


@in_c
def push_pairs(
    graph: Any, y: Value, facts: Callable[..., Facts], seconds: Callable[..., Any]
) -> tuple[bytes, bytes, bytes] | None:
    """Edge pushing in C; None where Python is to do it."""
    return None


def pushed(places: Places, y: Value) -> Entries:
    """Edge pushing, from the result down."""
    size = len(places.nodes)
    bars: list[Any] = [MISSING] * size
    weights: list[ByPlace] = [{} for _ in range(size)]
    bars[places.of[y]] = 1.0
    for i in range(size - 1, places.inputs - 1, -1):
        if bars[i] is not MISSING or weights[i]:
            _push(places, i, bars, weights)
    rows, columns, found = list[int](), list[int](), list[Any]()
    for i in range(places.inputs):
        rows += [i] * len(weights[i])
        columns += weights[i]
        found += weights[i].values()
    return rows, columns, found


def _push(places: Places, i: int, bars: list[Any], weights: list[ByPlace]) -> None:
    """Hand the pairs and the adjoint of one node down."""
    require_current(places.nodes[i], places.run.operation)
    edges, pairs, bar = places.edges(i), weights[i], bars[i]
    weights[i] = {}
    own = pairs.pop(i, MISSING)
    for p, weight in pairs.items():
        for _, j, partial in edges:
            _add(weights, j, p, scaled(partial, weight), j == p)
    if own is not MISSING:
        for a, (_, j, partial) in enumerate(edges):
            share = scaled(partial, own)
            for b, (_, k, other) in enumerate(edges[: a + 1]):
                _add(weights, j, k, scaled(other, share), a != b and j == k)
    if bar is MISSING:
        return
    of = {edge.position: edge.place for edge in edges}
    node = places.nodes[i]
    values = places.lower(node)
    for a, b, c in seconds(places.slopes, node, values, [*of]) if of else ():
        _add(weights, of[a], of[b], scaled(c, bar), a != b and of[a] == of[b])
    for _, j, partial in edges:
        share = scaled(partial, bar)
        bars[j] = share if bars[j] is MISSING else total(None, bars[j], share)


def _add(weights: list[ByPlace], j: int, k: int, share: Any, twice: bool) -> None:
    """Add to a pair, which is kept at the later of its places."""
    if twice and share is not None:
        share = share + share
    at, other = weights[max(j, k)], min(j, k)
    at[other] = total(None, at[other], share) if other in at else share


# ---- sparse rows ---------------------------------------------------------------------


def jacobian_entries(run: Recording, ys: Sequence[Any]) -> Entries:
    """The derivatives of results for the inputs that they depend on."""
    run.graph.mark(True)
    found = None
    if tracing() is None:
        with suppress(OpenError):
            found = push_rows(run.graph, ys, functools.partial(facts, SlopesOfRows()))
    return _rows(Places(run, ys), ys) if found is None else _unpacked(*found)


def as_rows(entries: Entries, count: int) -> list[ByPlace]:
    """Entries by row and column."""
    rows: list[ByPlace] = [{} for _ in range(count)]
    for i, j, x in zip(*entries):
        rows[i][j] = x
    return rows


@in_c
def push_rows(
    graph: Any, ys: Sequence[Any], facts: Callable[..., Facts]
) -> tuple[bytes, bytes, bytes] | None:
    """Sparse rows in C; None where Python is to find them."""
    return None


def _rows(places: Places, ys: Sequence[Any]) -> Entries:
    starts = [places.of.get(y) if type(y) is Value else None for y in ys]
    edges = sum(len(places.edges(i)) for i in range(places.inputs, len(places.nodes)))
    most = FIRST_TRY * (edges + 1)
    rows: list[ByPlace] | None = None
    while rows is None:
        rows = _backward(places, starts, most)
        if rows is None:
            rows = _forward(places, starts, most)
        most *= FIRST_TRY
    return (
        [i for i, row in enumerate(rows) for _ in row],
        [j for row in rows for j in row],
        [x for row in rows for x in row.values()],
    )


def _backward(
    places: Places, starts: Sequence[int | None], most: int
) -> list[ByPlace] | None:
    """A reverse sweep for each result; None if they hand out more shares than that."""
    rows = []
    for start in starts:
        row: ByPlace = {}
        for j, share, spent in _swept(places, start):
            row[j] = share
            most -= spent
        if most < 0:
            return None
        rows.append(row)
    return rows


def _swept(places: Places, start: int | None) -> Iterator[tuple[int, Any, int]]:
    """The inputs below a result, their adjoints, and the shares until then."""
    bars: ByPlace = {} if start is None else {start: 1.0}
    heap, spent = [-i for i in bars], 0
    while heap:
        i = -heappop(heap)
        bar = bars.pop(i)
        if i < places.inputs:
            yield i, bar, spent
            spent = 0
            continue
        for _, j, partial in places.edges(i):
            spent += 1
            share = scaled(partial, bar)
            if j not in bars:
                heappush(heap, -j)
            bars[j] = total(None, bars[j], share) if j in bars else share


def _forward(
    places: Places, starts: Sequence[int | None], most: int
) -> list[ByPlace] | None:
    """One forward sweep with the tangents of each node, likewise."""
    dots: list[ByPlace] = [{i: 1.0} for i in range(places.inputs)]
    for i in range(places.inputs, len(places.nodes)):
        own: ByPlace = {}
        for _, j, partial in places.edges(i):
            most -= len(dots[j])
            for column, dot in dots[j].items():
                share = scaled(partial, dot)
                known = column in own
                own[column] = total(None, own[column], share) if known else share
        if most < 0:
            return None
        dots.append(own)
    return [{} if start is None else dots[start] for start in starts]
