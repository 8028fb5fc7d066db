"""What is said of a graph too large to show whole: its size, and large adjoints.

The first adjoints from the result back are told as everywhere, then the largest and
smallest of all, and the inputs with the largest adjoints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import inf, isnan
from typing import Final

from ...primitives import clean
from ...value import Value
from ..latex import MOST_OPERANDS, PLAIN, Style, made_by, row_formula
from .adjoints import Sweep
from .equations import Section
from .paths import Sensitivity
from .tables import Part, Table

MOST_EXTREMES: Final = 5  # of the largest and smallest adjoints
MOST_FIRST: Final = 8  # adjoints from the result back
MOST_LEAVES: Final = 15
MOST_ROWS: Final = 8  # of operations


def summary(
    sweep: Sweep, sensitivities: Sequence[Sensitivity], first: Section, style: Style
) -> Iterator[Part]:
    """The size, what operations there are, and the adjoints worth a look."""
    yield Section(_size_in_words(sweep))
    yield _operations(sweep)
    if first.equations:
        yield first
    yield from _extremes(sweep, style)
    ranked = sorted(sensitivities, key=lambda found: -size(found.derivative))
    shown = [found.leaf for found in ranked[:MOST_LEAVES]]
    hidden = len(ranked) - len(shown)
    notes = [f"… and {hidden} more inputs"] if hidden else []
    rows = [_entry(sweep, leaf, style) for leaf in shown]
    head = ["input", "value", "adjoint"]
    yield Table("Inputs with the largest adjoints", head, rows, notes)


def first_rows(sweep: Sweep) -> list[Value]:
    """The rows from the result back that are told in full, if these are short."""
    found = sweep.rows[: -MOST_FIRST - 1 : -1]
    return found if all(len(x._args) <= MOST_OPERANDS for x in found) else []


def size(x: float) -> float:
    """|x|, with NaN as large as can be: it belongs on top."""
    return inf if isnan(x) else abs(x)


def _size_in_words(sweep: Sweep) -> str:
    return (
        f"{sweep.names[sweep.y]} = {PLAIN.number(sweep.y._data)} takes "
        f"{len(sweep.order)} operations, {_depth(sweep.order)} in a row, on "
        f"{len(sweep.leaves)} inputs"
    )


def _operations(sweep: Sweep) -> Table:
    counts = Counter(map(made_by, sweep.order)).most_common()
    rows = [[_words(op), str(count)] for op, count in counts[:MOST_ROWS]]
    hidden = len(counts) - len(rows)
    notes = [f"… and {hidden} more operations"] if hidden else []
    return Table("Operations", ["operation", "count"], rows, notes)


def _extremes(sweep: Sweep, style: Style) -> Iterator[Table]:
    head = ["variable", "value", "adjoint"]
    ranked = sorted(
        (node for node in sweep.order if sweep.bar(node) != 0.0),
        key=lambda node: -size(sweep.bar(node)),
    )
    large = ranked[:MOST_EXTREMES]
    small = ranked[MOST_EXTREMES:][-MOST_EXTREMES:]
    count = len(sweep.order) - len(large) - len(small)
    hidden = [f"… and {count} more variables", *_zeros(sweep)]
    for title, nodes, below in [
        ("Largest adjoints", large, [] if small else hidden),
        ("Smallest adjoints that are not 0", small[::-1], hidden),
    ]:
        if nodes:
            rows = [_entry(sweep, node, style) for node in nodes]
            yield Table(title, head, rows, below)


def _entry(sweep: Sweep, node: Value, style: Style) -> list[str]:
    value, adjoint = PLAIN.number(node._data), PLAIN.number(sweep.bar(node))
    return [_formula(sweep, node, style), value, adjoint]


def _formula(sweep: Sweep, node: Value, style: Style) -> str:
    text = style.name(sweep.names[node])
    if node._row is not None and node._row.variadic:
        words = f"{_words(made_by(node))} of {len(node._args)} operands"
        text += f" = {style.words(words)}"
    elif node._row is not None:
        text += f" = {row_formula(node, sweep.names, style)}"
    return f"${text}$" if style.latex else text


def _zeros(sweep: Sweep) -> list[str]:
    zeros = sum(sweep.bar(node) == 0.0 for node in sweep.order)
    return [f"{zeros} adjoints are exactly 0"] if zeros else []


def _words(op: str) -> str:
    """A row's name without what LaTeX or Markdown would take for a command."""
    return "".join(c if c.isalnum() else " " for c in clean(op))


def _depth(order: Sequence[Value]) -> int:
    """The longest run of operations, each on the result of the one before."""
    depths: dict[Value, int] = {}
    for node in order:
        below = (depths.get(parent, 0) for parent in node.parents)
        depths[node] = 1 + max(below, default=0)
    return max(depths.values())
