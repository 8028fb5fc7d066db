"""The chain rule of one run, in words and numbers.

Every intermediate variable gets a name, and a row: its formula, its value, the local
derivative for each operand in symbols and as a number, and its adjoint. Then, for each
input, the product of local derivatives along every path from the result back to it, and
the sum of these products: the derivative.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ..value import Value, require_current, topological
from .latex import LATEX, PLAIN, Style, partial_formulas, row_formula

MOST_ROWS: Final = 60  # beyond these a person no longer reads: rows are counted instead
MOST_PATHS: Final = 8  # for one input, the largest first
MOST_FACTORS: Final = 9  # of one path
MOST_LEAVES: Final = 20
WIDTH: Final = 64  # of a sum of products on one line

LETTERS: Final = "uvwtsrqpkhgabcd"


Step = tuple[Value, Value, float]  # (result, operand, local derivative)


@dataclass(frozen=True)
class Path:
    """One way from the result back to an input: its product of local derivatives."""

    product: float
    steps: tuple[Step, ...]  # backwards, from the result


@dataclass(frozen=True)
class Sensitivity:
    """An input, its derivative, and the paths that add up to it, the largest first."""

    leaf: Value
    derivative: float
    paths: tuple[Path, ...]
    count: int

    @property
    def rest(self) -> float:
        """What the paths that are not shown add up to."""
        return self.derivative - sum(path.product for path in self.paths)


def explain(y: Value) -> Explanation:
    """Take one computed Value apart: variables, local derivatives, the chain rule.

    >>> x = Value(1.5, label="x")
    >>> print(explain((x**2).sin()))
    Forward: every variable, and its local derivatives
      u = x²      = 2.25         du/dx = 2·x    = 3
      y = sin(u)  = 0.7780732    dy/du = cos(u) = -0.62817362
    <BLANKLINE>
    Backward: the chain rule
      dy/dx = dy/du · du/dx
            = (-0.62817362) · 3
            = -1.8845209

    Raises TypeError unless y is a Value, ValueError if a leaf was assigned since.
    """
    if not isinstance(y, Value):
        raise TypeError(
            f"explain: y must be a Value, but is {y!r} ({type(y).__name__}); compute "
            "it from Values, as in x = Value(1.5); explain(x.sin())"
        )
    return Explanation(y)


class Explanation:
    """What `explain` gives: print it, or read `.text`, `.markdown` and `.latex`."""

    def __init__(self, y: Value) -> None:
        self.y = y
        self.order = topological(y)
        for node in self.order:
            require_current(node, "explain")
        self.leaves = _leaves(y, self.order)
        self.names = _names(y, self.order, self.leaves)
        self.adjoints = _adjoints(y, self.order)
        paths = _largest_paths(y, self.order)
        counts = _path_counts(y, self.order)
        self.sensitivities = [
            Sensitivity(
                leaf, self.adjoints.get(leaf, 0.0), paths.get(leaf, ()), counts[leaf]
            )
            for leaf in self.leaves
        ]

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.markdown

    @property
    def text(self) -> str:
        """The explanation for a terminal."""
        if not self.order:
            return f"{self.names[self.y]} is an input: nothing to take apart"
        lines = ["Forward: every variable, and its local derivatives"]
        lines += _aligned(self._cells(PLAIN))
        lines += self._hidden(len(self.order), MOST_ROWS, "variables")
        lines += ["", "Backward: the chain rule"]
        for sensitivity in self.sensitivities[:MOST_LEAVES]:
            lines += ["  " + line for line in self._chain(sensitivity, PLAIN)]
        lines += self._hidden(len(self.leaves), MOST_LEAVES, "inputs")
        return "\n".join(lines)

    @property
    def markdown(self) -> str:
        """The explanation for a notebook: tables, with formulas in LaTeX."""
        lines = [
            "| variable | value | local derivatives | adjoint |",
            "|---|---|---|---|",
        ]
        for node in self.order[:MOST_ROWS]:
            name = LATEX.name(self.names[node])
            local = ", ".join(
                f"$\\displaystyle {self._local_ratio(node, arg, LATEX)} = {symbols}"
                + ("$" if symbols == LATEX.number(d) else f" = {LATEX.number(d)}$")
                for arg, symbols, d in self._locals(node, LATEX)
            )
            row = row_formula(node, self.names, LATEX)
            adjoint = PLAIN.number(self.adjoints.get(node, 0.0))
            cells = [f"${name} = {row}$", PLAIN.number(node._data), local, adjoint]
            lines.append("| " + " | ".join(map(_table_safe, cells)) + " |")
        lines += self._hidden(len(self.order), MOST_ROWS, "variables")
        hidden = self._hidden(len(self.leaves), MOST_LEAVES, "inputs")
        return "\n".join([*lines, "", f"$$\n{self.latex}\n$$", *hidden])

    @property
    def latex(self) -> str:
        """The chain rule for each input, as an aligned LaTeX formula."""
        rows = []
        for sensitivity in self.sensitivities[:MOST_LEAVES]:
            head, *rest = self._chain(sensitivity, LATEX)
            left, _, right = head.partition(" = ")
            rows.append(f"{left} &= {right}")
            for line in map(str.strip, rest):
                rows.append(f"&{line}" if line[0] == "=" else rf"&\quad {line}")
        body = " \\\\\n".join(rows)
        return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"

    # ---- parts -----------------------------------------------------------------------

    def _cells(self, style: Style) -> Iterator[list[str]]:
        for node in self.order[:MOST_ROWS]:
            left = f"{self.names[node]} = {row_formula(node, self.names, style)}"
            cells = [left, "= " + style.number(node._data)]
            for arg, symbols, partial in self._locals(node, style):
                number = style.number(partial)
                equal = "" if symbols == number else f"= {number}"
                cells += [f"{self._local_ratio(node, arg, style)} = {symbols}", equal]
            yield cells

    def _locals(self, node: Value, style: Style) -> Iterator[tuple[Value, str, float]]:
        """Each operand with its local derivative in symbols and as a number."""
        symbols: dict[Value, list[str]] = {}
        written = partial_formulas(node, self.names, style)
        for arg, symbol in zip(node._args, written):
            if isinstance(arg, Value) and symbol is not None:
                symbols.setdefault(arg, []).append(symbol)
        for arg, partial in _edges(node):
            yield arg, " + ".join(symbols[arg]), partial

    def _ratio(self, z: Value, x: Value, style: Style, curly: bool) -> str:
        """dz/dx, or ∂z/∂x where z depends on several Values."""
        top, bottom = style.name(self.names[z]), style.name(self.names[x])
        if style.latex:
            d = r"\partial " if curly else "d"
            return rf"\frac{{{d}{top}}}{{{d}{bottom}}}"
        d = "∂" if curly else "d"
        return f"{d}{top}/{d}{bottom}"

    def _local_ratio(self, z: Value, x: Value, style: Style) -> str:
        return self._ratio(z, x, style, len(_edges(z)) > 1)

    def _chain(self, sensitivity: Sensitivity, style: Style) -> list[str]:
        """dy/dx as products of local derivatives: symbols, numbers, and the result."""
        left = self._ratio(self.y, sensitivity.leaf, style, len(self.leaves) > 1)
        indent = " " * len(left)
        result = style.number(sensitivity.derivative)
        paths = sensitivity.paths
        if not paths or not paths[0].steps:
            return [f"{left} = {result}"]
        if sensitivity.count == 1 and len(paths[0].steps) == 1:
            _, symbol, _ = next(
                local
                for local in self._locals(self.y, style)
                if local[0] is sensitivity.leaf
            )
            return [f"{left} = {symbol}", *[f"{indent} = {result}"][symbol == result :]]
        symbols = [self._product(path, style, True) for path in paths]
        numbers = [self._product(path, style, False) for path in paths]
        short = sum(map(len, symbols)) < WIDTH and sensitivity.count == len(symbols)
        if short or sensitivity.count == 1:
            return [
                f"{left} = {' + '.join(symbols)}",
                f"{indent} = {' + '.join(numbers)}",
                f"{indent} = {result}",
            ]
        lines = [
            f"{indent} + {product} = {figures} = {style.number(path.product)}"
            for product, figures, path in zip(symbols, numbers, paths)
        ]
        lines[0] = lines[0].replace(f"{indent} +", f"{left} =", 1)
        hidden = sensitivity.count - len(symbols)
        if hidden:
            more = f"({hidden} more paths, together {PLAIN.number(sensitivity.rest)})"
            lines.append(
                f"{indent} + " + (rf"\text{{{more}}}" if style.latex else more)
            )
        return [*lines, f"{indent} = {result}"]

    def _product(self, path: Path, style: Style, symbols: bool) -> str:
        """The factors of one path; the middle of a long one is counted, not shown."""
        factors = [
            self._local_ratio(z, x, style) if symbols else _factor(partial, style)
            for z, x, partial in path.steps
        ]
        if len(factors) > MOST_FACTORS:
            hidden = len(factors) - MOST_FACTORS + 1
            half = MOST_FACTORS // 2
            gap = f"({hidden} factors)"
            if style.latex:
                gap = rf"\text{{{gap}}}"
            factors = [*factors[:half], gap, *factors[half + hidden :]]
        return (r" \cdot " if style.latex else " · ").join(factors)

    def _hidden(self, count: int, most: int, what: str) -> list[str]:
        return [f"  … and {count - most} more {what}"] if count > most else []


def _edges(node: Value) -> list[tuple[Value, float]]:
    """Each operand once, with its local derivative: the sum where it is used twice."""
    sums: dict[Value, float] = {}
    for parent, partial in zip(node.parents, node.partials):
        sums[parent] = sums[parent] + partial if parent in sums else partial
    return list(sums.items())


def _factor(x: float, style: Style) -> str:
    text = style.number(x)
    return f"({text})" if x < 0 else text


def _aligned(rows: Iterator[list[str]]) -> list[str]:
    """Cells as columns, each as wide as its widest cell."""
    table = list(rows)
    columns = max(map(len, table), default=0)
    widths = [
        max((len(row[k]) for row in table if k < len(row)), default=0)
        for k in range(columns)
    ]
    return [
        "  "
        + "".join(
            cell.ljust(width) + ("    " if k % 2 else "  " if k == 0 else " ")
            for k, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in table
    ]


def _leaves(y: Value, order: list[Value]) -> list[Value]:
    """The leaves that y depends on, in the order in which they are first used."""
    found: dict[Value, None] = {}
    if y._row is None:
        found[y] = None
    for node in order:
        for parent in node.parents:
            if parent._row is None:
                found[parent] = None
    return list(found)


def _names(y: Value, order: list[Value], leaves: list[Value]) -> dict[Value, str]:
    """A name for every Value: its label, or x, y, u, v, w … as a teacher has it."""
    names: dict[Value, str] = {}
    taken: set[str] = set()

    def give(value: Value, *choices: str) -> None:
        for name in [value.label, *choices] if value.label else choices:
            if name is not None and name not in taken:
                break
        names[value] = name
        taken.add(name)

    for value in [*leaves, *order]:
        if value.label:
            number = 2
            while f"{value.label}_{number}" in taken:
                number += 1
            give(value, f"{value.label}_{number}")
    unnamed = [leaf for leaf in leaves if leaf not in names]
    for i, leaf in enumerate(unnamed, start=1):
        choices = [f"x{k}" for k in range(i, i + len(names) + 2)]
        give(leaf, *(["x"] if len(unnamed) == 1 else []), *choices)
    if y not in names:
        give(y, "y", "z", "f", "result")
    inner = [node for node in reversed(order) if node not in names]
    letters = [c for c in LETTERS if c not in taken]
    if len(inner) <= len(letters):
        for node, letter in zip(inner, letters):
            give(node, letter)
    else:
        for i, node in enumerate(reversed(inner), start=1):
            give(node, *[f"v{k}" for k in range(i, i + len(taken) + 2)])
    return names


def _table_safe(cell: str) -> str:
    """A table cell: a bar would end it, so absolute values get their long names."""
    return (
        cell.replace(r"\left|", r"\left\vert ")
        .replace(r"\right|", r"\right\vert ")
        .replace("|", r"\|")
    )


def _adjoints(y: Value, order: list[Value]) -> dict[Value, float]:
    """∂y/∂node for every node and leaf below y, without touching any `grad`."""
    bars = {y: 1.0}
    for node in reversed(order):
        for parent, partial in _edges(node):
            bars[parent] = bars.get(parent, 0.0) + partial * bars[node]
    return bars


def _path_counts(y: Value, order: list[Value]) -> dict[Value, int]:
    counts = {y: 1}
    for node in reversed(order):
        for parent, _ in _edges(node):
            counts[parent] = counts.get(parent, 0) + counts[node]
    return counts


def _largest_paths(y: Value, order: list[Value]) -> dict[Value, tuple[Path, ...]]:
    """For each leaf the paths with the largest products, without listing them all.

    The k largest at an operand are among the k largest at the results it goes into.
    """
    best: dict[Value, list[_Link]] = {y: [_Link(1.0, 0)]}
    serial = 0
    for node in reversed(order):
        here = heapq.nlargest(MOST_PATHS, best.pop(node), key=_Link.size)
        for parent, partial in _edges(node):
            for link in here:
                serial += 1
                step = (node, parent, partial)
                longer = _Link(link.product * partial, serial, step, link)
                best.setdefault(parent, []).append(longer)
    return {
        leaf: tuple(
            Path(link.product, link.steps())
            for link in heapq.nlargest(MOST_PATHS, links, key=_Link.size)
        )
        for leaf, links in best.items()
        if leaf is not y
    }


@dataclass(frozen=True)
class _Link:
    """A path that is being extended: its last step, and the path before that."""

    product: float
    serial: int
    step: Step | None = None
    before: _Link | None = None

    def size(self) -> tuple[float, int]:
        return abs(self.product), -self.serial

    def steps(self) -> tuple[Step, ...]:
        found: list[Step] = []
        link: _Link | None = self
        while link is not None and link.step is not None:
            found.append(link.step)
            link = link.before
        return tuple(reversed(found))
