"""What f recorded between its inputs and its results, and the two ways to walk it.

Reverse mode hands adjoints down, results before operands; forward mode gathers
tangents, operands before results. A recorded partial will do, unless a Value from
outside f has a say in it: there the rule runs again, on Values, and so what comes
out can be differentiated in turn.

    bars   the adjoint of each node     depends   on the inputs
    dots   its tangent                  live      on Values from outside f
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .accelerator import in_c
from .primitives import identity
from .value import (
    Value,
    _component,
    gather,
    point_of,
    require_current,
    topological,
)

Values = Sequence[Value]
PartialsOf = Callable[[Value], Sequence[Any]]  # those of a node, for a sweep
Seen = Callable[[dict[Any, Any], list[Value]], None]  # all that a sweep found, in order
Numbers = Callable[[Value], Any]  # the number that a Value is where none has a say


@in_c
class Graph:
    """What the results of f are made of, since f received its inputs.

    roots     the Values among the results
    older     the operands from outside f, of nodes that a select left out as well
    """

    __slots__ = (
        "_again", "_depends", "_inputs", "_live", "_roots", "_since", "_whole",
        "older", "operation",
    )  # fmt: skip

    def __init__(
        self, roots: Values, inputs: Values, since: int, operation: str
    ) -> None:
        self.operation = operation
        self._roots, self._inputs, self._since = roots, inputs, since
        order = [*inputs, *topological(*roots, since=since, whole=True, calls=True)]
        met = [x for node in order for x, _ in _edges(node) if x._made < since]
        self.older = list(dict.fromkeys(met))
        self._again: dict[Value, Sequence[Any]] = {}

    def mark(self, whole: bool) -> bool:
        """Find what depends on the inputs, and on Values from outside (live), if any.

        From now on sweeps visit what a select left out as well, if whole.
        """
        self._whole = whole
        self._depends = dict.fromkeys(self._inputs)
        self._live = {x for x in self._inputs if x._row}
        for node in topological(
            *self._roots, since=self._since, whole=whole, calls=True
        ):
            edges = _edges(node)
            if any(self.depends(x) for x, _ in edges):
                self._depends[node] = None
            if any(partial is not None and self.live(x) for x, partial in edges):
                self._live.add(node)
        return bool(self._live)

    def depends(self, x: Any) -> bool:
        """Whether x depends on the inputs."""
        return type(x) is Value and x in self._depends

    def live(self, x: Any) -> bool:
        """Whether x depends on Values from outside."""
        return type(x) is Value and (x._made < self._since or x in self._live)

    def lower(self, xs: Sequence[Any], number: Numbers | None) -> list[Any]:
        """Each itself where it depends on Values from outside, else its number."""
        return [
            x if type(x) is not Value or self.live(x) else _number(x, number)
            for x in xs
        ]

    def pull(
        self,
        ys: Sequence[Any],
        y_bars: Sequence[Any],
        missing: Any,
        partials_of: PartialsOf | None,
        seen: Seen | None,
    ) -> list[Any]:
        """Hand adjoints down, results before operands, to what depends on the inputs.

        Gives those of the inputs, `missing` where there is none; who sees the sweep is
        shown them all. Partials are the recorded ones, or by the rules again.
        """
        bars: dict[Any, Any] = {}
        order = self._order(ys, self._whole)
        for y, y_bar in zip(ys, y_bars, strict=True):
            if type(y) is Value:
                _accumulate(bars, y, y_bar)
        find = partials_of or self._partials
        for node in filter(bars.__contains__, reversed(order)):
            bar, call = bars[node], node._call
            if call is not None:
                self._gather(bars, call, node)
            elif _is_call(node):
                self._pull_call(bars, node, find)
            else:
                partials = node._partials if bar is None else find(node)
                for i, (arg, partial) in enumerate(zip(node._args, partials)):
                    if self.depends(arg) and not _never(node, i):
                        _accumulate(bars, arg, _share(node, partial, bar))
        bars = _present(bars)
        if seen:
            seen(bars, [node for node in order if node in bars])
        return [_positive(bars.get(x, missing)) for x in self._inputs]

    def _gather(self, bars: dict[Any, Any], call: Any, component: Value) -> None:
        """Keep the adjoint of a component until it is the call's turn."""
        if self.depends(call):
            y_bars = bars.setdefault(call, [None] * len(call._data))
            gather(y_bars, component._place, bars[component])

    def _pull_call(self, bars: dict[Any, Any], call: Any, find: PartialsOf) -> None:
        """Hand down what one pullback gives for the adjoints of all results."""
        y_bars = bars.pop(call)
        x_bars: Sequence[Any] = [None] * len(call._args)
        if any(y_bar is not None for y_bar in y_bars):
            x_bars = call._row.pull(*find(call), y_bars)
        for arg, x_bar in zip(call._args, x_bars, strict=True):
            if self.depends(arg):
                _accumulate(bars, arg, x_bar)

    def along(self, y: Value, x_dots: list[Any]) -> list[Any] | None:
        """The tangents of y's gradient, if they are found without recording it."""
        return None

    def push(
        self,
        ys: Sequence[Any],
        x_dots: Sequence[Any],
        missing: Any,
        partials_of: PartialsOf | None,
        seen: Seen | None,
    ) -> list[Any]:
        """Gather tangents, operands before results: those of the ys, likewise."""
        order = self._order(ys, whole=False)
        return self._pushed(order, ys, x_dots, missing, partials_of, seen)

    def columns(
        self,
        ys: Sequence[Any],
        missing: Any,
        partials_of: PartialsOf | None,
        seen: Seen | None,
    ) -> list[list[Any]]:
        """For each input, the tangents of the ys where it alone moves, at rate 1.

        The others have none, which is not a zero: beside an infinite slope that tells.
        """
        order = self._order(ys, whole=False)
        return [
            self._pushed(
                order,
                ys,
                [1.0 if x is moving else None for x in self._inputs],
                missing,
                partials_of,
                seen,
            )
            for moving in self._inputs
        ]

    def _pushed(
        self,
        order: list[Value],
        ys: Sequence[Any],
        x_dots: Sequence[Any],
        missing: Any,
        partials_of: PartialsOf | None,
        seen: Seen | None,
    ) -> list[Any]:
        pairs = zip(self._inputs, x_dots, strict=True)
        dots: dict[Any, Any] = {x: dot for x, dot in pairs if dot is not None}
        find = partials_of or self._partials
        for node in order:
            if node._call is not None:
                _accumulate(dots, node, dots[node._call][node._place])
            elif _is_call(node):
                dots[node] = self._push_call(dots, node, find)
            else:
                for arg, partial in zip(node._args, find(node)):
                    moves = arg in dots if type(arg) is Value else False
                    if self.depends(arg) and (moves or partial is None):
                        _accumulate(dots, node, _share(node, partial, dots.get(arg)))
        order = [node for node in order if not _is_call(node)]
        dots = _present(dots)
        if seen:
            seen(dots, order)
        found = [dots.get(y) if type(y) is Value else None for y in ys]
        return [missing if dot is None else _positive(dot) for dot in found]

    def _push_call(
        self, dots: dict[Any, Any], call: Any, find: PartialsOf
    ) -> Sequence[Any]:
        """The tangents of all results of a call, by one pushforward."""
        x_dots = [dots.get(x) if self.depends(x) else None for x in call._args]
        if all(x_dot is None for x_dot in x_dots):
            return [None] * len(call._data)
        y_dots: Sequence[Any] = call._row.push(*find(call), x_dots)
        return y_dots

    def _order(self, ys: Sequence[Any], whole: bool) -> list[Value]:
        """What these results are made of and depends on the inputs, operands first."""
        roots = [y for y in ys if type(y) is Value]
        order = topological(*roots, since=self._since, whole=whole, calls=True)
        return [node for node in order if node in self._depends]

    def _partials(self, node: Value) -> Sequence[Any]:
        """The recorded ones, or the rules again where outer Values have a say.

        Of a call, what its pullback takes: see `results_and_operands`.
        """
        find = results_and_operands if _is_call(node) else rerun
        if node not in self._live:
            return node._partials if find is rerun else find(self, node, None)
        if node not in self._again:
            self._again[node] = find(self, node, None)
        return self._again[node]


def _number(x: Value, number: Numbers | None) -> Any:
    return x._data if number is None else number(x)


def _edges(node: Value) -> list[tuple[Value, Any]]:
    """The Values that it is made of, with the partials; a component, of its call."""
    if node._call is not None:
        return [(node._call, 1.0)]
    pairs = zip(node._args, node._partials)
    return [(arg, partial) for arg, partial in pairs if type(arg) is Value]


def _is_call(node: Value) -> bool:
    return node._row is not None and node._row.call


def results_and_operands(
    graph: Graph, call: Any, number: Numbers | None
) -> tuple[Sequence[Any], Sequence[Any]]:
    """(ys, xs) as the rules of a call take them: as recorded, or as Values again."""
    if number is None and not graph.live(call):
        return call._data, point_of(call)
    require_current(call, graph.operation)
    ys = call._data
    if call._row.uses_results:
        ys = [_component(call, i) for i in range(len(ys))]
        ys = ys if graph.live(call) else [_number(y, number) for y in ys]
    return ys, graph.lower(call._args, number)


def rerun(graph: Graph, node: Value, number: Numbers | None) -> list[Any]:
    """The partials of a node by its rules, on Values where those from outside count."""
    require_current(node, graph.operation)
    row: Any = node._row
    found = row.derivatives(
        *graph.lower((node, *node._args), number),
        wanted=[
            recorded is not None and graph.depends(arg)
            for recorded, arg in zip(node._partials, node._args)
        ],
    )
    return [
        None if recorded is None else settled(partial, number)
        for recorded, partial in zip(node._partials, found)
    ]


@in_c
def settled(x: Any, number: Numbers | None) -> Any:
    """A plain number where x is a constant."""
    if type(x) is not Value or x._row is None:
        return x
    partials = (x if x._call is None else x._call)._partials
    return x if any(d is not None for d in partials) else _number(x, number)


def _never(node: Value, i: int) -> bool:
    """Whether no share ever goes to that operand: to the condition of a select."""
    row = node._row
    return row is not None and row.select and row.fixed[i : i + 1] == (0.0,)


def _accumulate(sums: dict[Any, Any], key: Any, share: Any) -> None:
    """Add a share to a sum; None is the share of an operand that was left out.

    It adds nothing, but a sum of Values passes through a node even so: then the graph
    of a derivative has the same nodes in the same order whatever was selected.
    """
    if key not in sums:
        sums[key] = share
    elif share is not None and sums[key] is not None:
        sums[key] = sums[key] + share
    else:
        rest = sums[key] if share is None else share
        sums[key] = identity(rest) if type(rest) is Value else rest


def _present(sums: dict[Any, Any]) -> dict[Any, Any]:
    """The sums, less those of which every share was left out."""
    return {key: total for key, total in sums.items() if total is not None}


def _positive(x: Any) -> Any:
    """x, or 0.0 where it is the number -0.0."""
    return x + 0.0 if type(x) is float else x


def _share(node: Value, partial: Any, bar: Any) -> Any:
    """partial · bar, without a node for a factor of 1; None if one is left out.

    Where node selects, the factor would be 0 elsewhere, so there is a node for it.
    """
    if partial is None or bar is None:
        return None
    if type(bar) is float and bar == 1.0:
        return partial
    if type(partial) is float and partial == 1.0:
        select = type(bar) is Value and node._row is not None and node._row.select
        return identity(bar) if select else bar
    return partial * bar
