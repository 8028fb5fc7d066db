"""Derivatives that are lost in comparisons: a loop that narrows a bracket by hand.

Such a loop asks a Value which way to go, and goes on with plain numbers. What it ends
with depends on the Value, but no derivative says so. Where lines are recorded, so are
comparisons, and those that a Value decided are found here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from ..value import Value, topological
from ..watch import comparisons

LOOP: Final = 8  # comparisons on one line, from which on they count as a search


class Decision(NamedTuple):
    """Comparisons that x decided: where, how often, and the latest."""

    line: str
    times: int
    node: Value
    other: Any


def decided_by(x: Value, y: Value) -> list[Decision]:
    """The lines whose comparisons depend on x, the last ones first.

    If y depends on x as well, only those in which x has a say that is not in y: many on
    one line, of what y is not made of, with plain numbers.
    """
    lines = comparisons()
    if not lines:
        return []
    pairs = [pair for found in lines.values() for pair in found.pairs]
    asked = [v for pair in pairs for v in pair if type(v) is Value]
    order = topological(y, *asked, whole=True)
    uses = _above({x}, order)
    in_y = {y, *topological(y, whole=True)} & uses - {x}
    shared = _above(in_y, order) if y in uses else set()
    decisions = []
    for line, found in lines.items():
        hits = [hit for pair in found.pairs for hit in _hits(*pair, uses)]
        if y in uses:
            hits = [(v, other) for v, other in hits if _is_apart(v, other, shared)]
        if len(hits) >= (LOOP if y in uses else 1):
            whole = len(hits) == len(found.pairs)
            count = found.count if whole else len(hits)
            decisions.append(Decision(line, count, *hits[-1]))
    return decisions[::-1]


def _above(start: set[Value], order: Sequence[Value]) -> set[Value]:
    """All that is computed of some Values, and these."""
    found = set(start)
    for node in order:
        if any(type(arg) is Value and arg in found for arg in node._args):
            found.add(node)
    return found


def _hits(x: Any, other: Any, uses: set[Value]) -> list[tuple[Value, Any]]:
    """The operand that counts, with the other one."""
    for v, beside in (x, other), (other, x):
        if type(v) is Value and v in uses:
            return [(v, beside)]
    return []


def _is_apart(v: Value, other: Any, shared: set[Value]) -> bool:
    return type(other) is not Value and v not in shared
