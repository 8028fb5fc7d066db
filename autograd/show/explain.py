"""The chain rule of one run, in words and numbers.

Every intermediate variable gets a name, and a row: its formula, its value, the local
derivative for each operand in symbols and as a number, and its adjoint. Then, for each
input, the product of local derivatives along every path from the result back to it, and
the sum of these products: the derivative.
"""

from __future__ import annotations

import heapq
import html
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest
from math import inf, isnan
from typing import Final

from ..primitives import brief, clean
from ..value import Value, require_current, topological
from .inside import opened
from .latex import (
    LATEX,
    MOST_OPERANDS,
    PLAIN,
    Style,
    Told,
    made_by,
    partial_formulas,
    require_switch,
    row_formula,
)
from .names import input_values, variable_names

MOST_ROWS: Final = 60  # beyond these a person no longer reads: a summary is given
MOST_PATHS: Final = 8  # for one input, the largest first
MOST_FACTORS: Final = 9  # of one path
MOST_LEAVES: Final = 20
MOST_EXTREMES: Final = 5  # of the largest and smallest adjoints in a summary
WIDTH: Final = 64  # of a sum of products on one line


Step = tuple[Value, Value, float]  # (result, operand, local derivative)
Table = tuple[str, list[str], list[list[str]], list[str]]  # title, head, rows, hidden


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


def explain(y: Value, inside: bool = False) -> Explanation:
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

    A call of a compiled function is one variable; with inside=True there is one for
    each of its operations.

    Raises TypeError unless y is a Value, ValueError if a leaf was assigned since.
    """
    if not isinstance(y, Value):
        raise TypeError(
            f"explain: y must be a Value, but is {brief(y)} ({type(y).__name__}); "
            "compute it from Values, as in x = Value(1.5); explain(x.sin())"
        )
    require_switch("explain", inside)
    return Explanation(opened([y], "explain").roots[0] if inside else y)


class Explanation(Told):
    """What `explain` gives: print it, or read `.text`, `.markdown`, `.latex`, `.html`.

    A graph of more than 60 operations is summarised: its operations are counted, and
    its largest derivatives shown.
    """

    def __init__(self, y: Value) -> None:
        self.y = y
        self.order = topological(y)
        for node in self.order:
            require_current(node, "explain")
        self.leaves = input_values(y, topological(y, whole=True))
        self.names = variable_names(y, self.order, self.leaves)
        self.adjoints = adjoints(y, self.order)
        self.summarised = len(self.order) > MOST_ROWS
        paths = {} if self.summarised else _largest_paths(y, self.order)
        counts = {} if self.summarised else _path_counts(y, self.order)
        self.sensitivities = [
            Sensitivity(
                leaf,
                self.adjoints.get(leaf, 0.0),
                paths.get(leaf, ()),
                counts.get(leaf, 0),
            )
            for leaf in self.leaves
        ]
        if self.summarised:
            self.sensitivities.sort(key=lambda found: -_size(found.derivative))

    @property
    def text(self) -> str:
        """The explanation for a terminal."""
        if not self.order:
            return f"{self.names[self.y]} is an input: nothing to take apart"
        if self.summarised:
            lines = [self._size_in_words(PLAIN)]
            for title, head, rows, hidden in self._tables(PLAIN):
                lines += ["", title, *aligned([head, *rows]), *hidden]
            return "\n".join(lines)
        lines = ["Forward: every variable, and its local derivatives"]
        lines += aligned(self._cells(), _gap_of_pairs)
        lines += ["", "Backward: the chain rule"]
        lines += ["  " + line for line in self._chain_lines(PLAIN)]
        return "\n".join([*lines, *self._hidden_inputs()])

    @property
    def markdown(self) -> str:
        """The explanation for a notebook: tables, with formulas in LaTeX."""
        if not self.order:
            return self._formula(self.y, LATEX) + " is an input: nothing to take apart"
        lines = [self._size_in_words(LATEX)] if self.summarised else []
        for title, head, rows, hidden in self._tables(LATEX):
            lines += ["", f"**{title}**", ""] if self.summarised else []
            lines += [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
            lines += [f"| {' | '.join(map(table_safe, row))} |" for row in rows]
            lines += hidden and ["", *hidden]
        if not self.summarised:
            lines += ["", f"$$\n{self.latex}\n$$", *self._hidden_inputs()]
        return "\n".join(lines)

    @property
    def html(self) -> str:
        """The explanation as a piece of HTML that needs nothing else: no script."""
        if not self.order:
            return f"<p>{html.escape(self.text)}</p>"
        parts = [self._size_in_words(PLAIN)] if self.summarised else []
        parts = [f"<p>{html.escape(part)}</p>" for part in parts]
        for title, head, rows, hidden in self._tables(PLAIN):
            parts.append(_html_table(title, head, rows))
            parts += [f"<p>{html.escape(line.strip())}</p>" for line in hidden]
        if not self.summarised:
            lines = [*self._chain_lines(PLAIN), *self._hidden_inputs()]
            parts.append(f"<pre>{html.escape(chr(10).join(lines))}</pre>")
        return '<div class="explain">\n' + "\n".join(parts) + "\n</div>"

    @property
    def latex(self) -> str:
        """The chain rule for each input, as an aligned LaTeX formula."""
        rows = []
        for line in self._chain_lines(LATEX):
            left, equal, right = line.partition(" = ")
            if line.startswith(" "):
                line = line.strip()
                rows.append(f"&{line}" if line[0] == "=" else rf"&\quad {line}")
            else:
                rows.append(f"{left} &= {right}" if equal else left)
        body = " \\\\\n".join(rows)
        return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"

    # ---- tables ----------------------------------------------------------------------

    def _tables(self, style: Style) -> Iterator[Table]:
        """What markdown and HTML show as tables, and text too where it summarises."""
        if not self.summarised:
            head = ["variable", "value", "local derivatives", "adjoint"]
            yield "Forward", head, [self._row(n, style) for n in self.order], []
            return
        counts = Counter(map(made_by, self.order)).most_common()
        rows = [[_words(op), str(count)] for op, count in counts]
        yield "Operations", ["operation", "count"], rows, []
        head = ["variable", "value", "adjoint"]
        ranked = sorted(
            (node for node in self.order if self.adjoints[node] != 0.0),
            key=lambda node: -_size(self.adjoints[node]),
        )
        large = ranked[:MOST_EXTREMES]
        small = ranked[MOST_EXTREMES:][-MOST_EXTREMES:]
        count = len(self.order) - len(large) - len(small)
        hidden = [f"  … and {count} more variables", *self._zeros()]
        for title, nodes, below in [
            ("Largest adjoints", large, [] if small else hidden),
            ("Smallest adjoints that are not 0", small[::-1], hidden),
        ]:
            if nodes:
                yield title, head, [self._entry(node, style) for node in nodes], below
        found = [s.leaf for s in self.sensitivities[:MOST_LEAVES]]
        head = ["input", "value", "derivative"]
        rows = [self._entry(leaf, style) for leaf in found]
        yield "Inputs with the largest derivatives", head, rows, self._hidden_inputs()

    def _row(self, node: Value, style: Style) -> list[str]:
        """One variable: its formula, value, local derivatives and adjoint."""
        formula, value, adjoint = self._entry(node, style)
        cells = []
        for ratio, symbols, number in self._shown_locals(node, style):
            equation = " = ".join([ratio, symbols, number][: 2 + (symbols != number)])
            cells.append(rf"$\displaystyle {equation}$" if style.latex else equation)
        return [formula, value, ", ".join([*cells, *_hidden_locals(node)]), adjoint]

    def _entry(self, node: Value, style: Style) -> list[str]:
        adjoint = PLAIN.number(self.adjoints[node])
        return [self._formula(node, style), PLAIN.number(node._data), adjoint]

    def _formula(self, node: Value, style: Style) -> str:
        text = style.name(self.names[node])
        if node._row is not None and node._row.variadic and self.summarised:
            words = f"{_words(made_by(node))} of {len(node._args)} operands"
            text += rf" = \text{{{words}}}" if style.latex else f" = {words}"
        elif node._row is not None:
            text += f" = {row_formula(node, self.names, style)}"
        return f"${text}$" if style.latex else text

    def _size_in_words(self, style: Style) -> str:
        name = style.name(self.names[self.y])
        return (
            f"{f'${name}$' if style.latex else name} = {PLAIN.number(self.y._data)} "
            f"takes {len(self.order)} operations, {_depth(self.order)} in a row, on "
            f"{len(self.leaves)} inputs"
        )

    def _zeros(self) -> list[str]:
        zeros = sum(self.adjoints[node] == 0.0 for node in self.order)
        return [f"  {zeros} adjoints are exactly 0"] if zeros else []

    def _hidden_inputs(self) -> list[str]:
        hidden = len(self.sensitivities) - MOST_LEAVES
        return [f"  … and {hidden} more inputs"] if hidden > 0 else []

    # ---- parts -----------------------------------------------------------------------

    def _cells(self) -> Iterator[list[str]]:
        """The columns of the text, in pairs: what is said, and the number it has."""
        several = any(len(_edges(node)) > 1 for node in self.order)
        for node in self.order:
            formula, value, adjoint = self._entry(node, PLAIN)
            cells = [formula, "= " + value]
            if several:
                ratio = self._ratio(self.y, node, PLAIN, curly=True)
                cells += [ratio, "= " + adjoint]
            for ratio, symbols, number in self._shown_locals(node, PLAIN):
                cells += [
                    f"{ratio} = {symbols}",
                    "" if symbols == number else f"= {number}",
                ]
            yield cells + _hidden_locals(node)

    def _shown_locals(self, node: Value, style: Style) -> list[tuple[str, str, str]]:
        """The local derivatives of one row, as ratio, symbols and number."""
        return [
            (self._local_ratio(node, arg, style), symbols, style.number(partial))
            for arg, symbols, partial in islice(
                self._locals(node, style), MOST_OPERANDS
            )
        ]

    def _chain_lines(self, style: Style) -> list[str]:
        return [
            line
            for sensitivity in self.sensitivities[:MOST_LEAVES]
            for line in self._chain(sensitivity, style)
        ]

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


def _edges(node: Value) -> list[tuple[Value, float]]:
    """Each operand once, with its local derivative: the sum where it is used twice."""
    sums: dict[Value, float] = {}
    for parent, partial in zip(node.parents, node.partials):
        sums[parent] = sums[parent] + partial if parent in sums else partial
    return list(sums.items())


def _factor(x: float, style: Style) -> str:
    text = style.number(x)
    return f"({text})" if x < 0 else text


def _hidden_locals(node: Value) -> list[str]:
    hidden = len(_edges(node)) - MOST_OPERANDS
    return [f"… {hidden} more"] if hidden > 0 else []


def aligned(
    rows: Iterable[list[str]], gap: Callable[[int], int] = lambda k: 2
) -> list[str]:
    """Lines of cells as columns, each as wide as its widest cell and its gap.

    >>> aligned([["x", "2"], ["long", "3"]])
    ['  x     2', '  long  3']
    """
    table = list(rows)
    columns = zip_longest(*table, fillvalue="")
    widths = [max(map(len, column)) + gap(k) for k, column in enumerate(columns)]
    return [("  " + "".join(map(str.ljust, row, widths))).rstrip() for row in table]


def _gap_of_pairs(k: int) -> int:
    """Behind a number wide, between a formula and its number narrow."""
    return 4 if k % 2 else 2 if k == 0 else 1


def _words(op: str) -> str:
    """A row's name without what LaTeX or Markdown would take for a command."""
    return "".join(c if c.isalnum() else " " for c in clean(op))


def _html_table(title: str, head: list[str], rows: list[list[str]]) -> str:
    """A table with every cell escaped: labels are a user's, and may be anything."""

    def line(cells: list[str], tag: str) -> str:
        return "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)

    body = "\n".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return (
        f"<table>\n<caption>{title}</caption>\n"
        f"<thead><tr>{line(head, 'th')}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>"
    )


def _depth(order: list[Value]) -> int:
    """The longest run of operations, each on the result of the one before."""
    depths: dict[Value, int] = {}
    for node in order:
        below = (depths.get(parent, 0) for parent in node.parents)
        depths[node] = 1 + max(below, default=0)
    return max(depths.values())


def _size(x: float) -> float:
    """|x|, with NaN as large as can be: it belongs on top."""
    return inf if isnan(x) else abs(x)


def table_safe(cell: str) -> str:
    r"""A Markdown cell: a bar would end it, so LaTeX writes it as \vert.

    >>> print(table_safe(r"$\left|x\right|$"))
    $\left\vert x\right\vert $
    """
    return cell.replace("|", r"\vert ")


def adjoints(y: Value, order: list[Value]) -> dict[Value, float]:
    """∂y/∂node for every node and leaf below y, without touching any `grad`."""
    bars = {y: 1.0}
    for node in reversed(order):
        for parent, partial in zip(node.parents, node.partials):
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
