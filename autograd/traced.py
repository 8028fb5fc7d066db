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
from .graph import Graph, rerun, results_and_operands
from .primitives import equal
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

    def _choice(self, partial: Any) -> Any:
        """The partial of a select, absent where it is zero."""
        if self._recorder.follows(partial):
            return Share(partial, equal(self._recorder.number(partial), 0.0))
        return None if partial is None or partial == 0.0 else partial
