"""Sweeps under a trace: partials by the rules, on what the trace writes down.

A trace holds for other numbers than those it is made at. So a recorded partial will
not do where a node depends on an input: its rule runs again, on Values, and what it
computes goes to the tape. Where no Value from outside has a say, it runs on leaves that
stand for the numbers, as in an eager sweep it runs on floats. Nor is a select taken as
it went: the partial of an operand is a share that may be absent, and a number says
where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .absent import Share
from .accelerator import in_c
from .graph import Graph, rerun, results_and_operands, settled
from .primitives import equal, identity, where
from .recorder import Recorder
from .value import Value


@in_c
class Traced:
    """How a sweep over this graph finds the partials of a node."""

    __slots__ = ("_again", "_graph", "_recorder")

    def __init__(self, recorder: Recorder, graph: Graph) -> None:
        self._recorder, self._graph = recorder, graph
        self._again: dict[Value, list[Any]] = {}

    def __call__(self, node: Value) -> Sequence[Any]:
        """By its rules, if the trace follows it; of a call, what its pullback takes."""
        recorder, row = self._recorder, node._row
        follows = recorder.follows(node)
        by_rules = follows or self._graph.live(node)
        if row is not None and row.call:
            number = recorder.number if by_rules else None
            return results_and_operands(self._graph, node, number)
        if row is None or not by_rules:
            return node._partials
        if node not in self._again:
            found = rerun(self._graph, node, recorder.number)
            if follows and row.select:
                found = [self._choice(partial) for partial in found]
            self._again[node] = found
        return self._again[node]

    def derivatives(self, xs: Sequence[Any], outside: Value | None) -> list[Any]:
        """What to hand out of adjoints or tangents, as a sweep has left them.

        Where a Value from outside has a say, what stands for a number is one as well,
        for the constant that it is.
        """
        return [self._derivative(x, outside) for x in xs]

    def _derivative(self, x: Any, outside: Value | None) -> Any:
        """0.0 where it is absent, and never -0.0 for a float."""
        if type(x) is Share:  # its total is -0.0 then, which 0.0 is added to
            x = x.total if self._is_number(x.share) else x.number
        if self._is_number(x):
            x = x + 0.0
            return x if outside is None else where(0.0, outside, x)
        x = identity(x) if x._row is None else x
        if outside is None:
            x = settled(x, self._recorder.number)
        return x + 0.0 if type(x) is float else x

    def _is_number(self, x: Any) -> bool:
        return type(x) is not Value or self._recorder.is_number(x)

    def _choice(self, partial: Any) -> Any:
        """The partial of a select, absent where it is zero."""
        if self._recorder.follows(partial):
            return Share(partial, equal(self._recorder.number(partial), 0.0))
        return None if partial is None or partial == 0.0 else partial
