"""Parts of an explanation, as text, Markdown, HTML and LaTeX.

A part is a section of equations or a table of cells. Text keeps to the width it is
given; the tables of a notebook or a page have few columns, and their cells break
between the pieces of a sum, so that none is lost at the right.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from .equations import (
    Equation,
    Section,
    html_row,
    latex_rows,
    markdown_row,
    text_lines,
    title_lines,
)

CELL: Final = "text-align:left;vertical-align:top;padding:0.1em 0.5em 0.1em 0"
CAPTION: Final = "text-align:left;font-weight:bold;padding:0.8em 0 0.2em"
PAGE: Final = "overflow-wrap:break-word;font-variant-numeric:tabular-nums"
SHORT_CELL: Final = 20  # characters that stay on one line
HTML_WIDTH: Final = 72  # of a formula that is set as text


@dataclass(frozen=True)
class Table:
    """Cells in columns, with a title and remarks below."""

    title: str
    head: list[str]
    rows: list[list[str]]
    notes: list[str]
    spare: tuple[int, ...] = ()  # columns that a terminal can do without, in this order


@dataclass(frozen=True)
class Pairs:
    """Variables, each with the local derivatives beside it."""

    title: str
    rows: list[tuple[Equation, list[Equation]]]


Part = Section | Table | Pairs


# ---- text ----------------------------------------------------------------------------


def text_of(parts: Iterable[Part], width: int) -> str:
    """The parts for a terminal of that width."""
    blocks = (_block(part, width) for part in parts)
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _block(part: Part, width: int) -> list[str]:
    if isinstance(part, Section):
        return text_lines(part, width)
    if isinstance(part, Pairs):
        return [*title_lines(part.title, width), *_pair_lines(part, width)]
    notes = [f"  {note}" for note in part.notes]
    rows = [part.head, *part.rows]
    lines = aligned(rows)
    left_out: set[int] = set()
    for column in part.spare:
        if max(map(len, lines)) > width:
            left_out.add(column)
            kept = ([x for k, x in enumerate(r) if k not in left_out] for r in rows)
            lines = aligned(kept)
    if max(map(len, lines)) > width:
        lines = aligned([part.head, *(_clipped(row, width) for row in part.rows)])
    return [*title_lines(part.title, width), *lines, *notes]


def _pair_lines(part: Pairs, width: int) -> list[str]:
    """A line for each variable or, where there is no room, one for each equation."""
    rows = []
    for equation, slopes in part.rows:
        cells = [equation.left, *(side.text for side in equation.sides)]
        row = [" ".join(cells[:2]), *cells[2:]]
        for slope in slopes:
            ratio, symbols, *number = [slope.left, *(s.text for s in slope.sides)]
            row += [f"{ratio} {symbols}", *(number or [""])]
        rows.append(row)
    lines = aligned(rows, _gap_of_pairs)
    if max(map(len, lines)) <= width:
        return lines
    equations = [e for equation, slopes in part.rows for e in (equation, *slopes)]
    return text_lines(Section("", equations), width)


def aligned(
    rows: Iterable[list[str]], gap: Callable[[int], int] = lambda k: 2
) -> list[str]:
    """Lines of cells as columns, each as wide as its widest cell and its gap.

    >>> aligned([["x", "2"], ["long", "3"]])
    ['  x     2', '  long  3']
    """
    table = list(rows)
    widths = [
        max(map(len, column)) + gap(k)
        for k, column in enumerate(zip_longest(*table, fillvalue=""))
    ]
    return [("  " + "".join(map(str.ljust, row, widths))).rstrip() for row in table]


def _gap_of_pairs(k: int) -> int:
    """Behind a number wide, between a formula and its number narrow."""
    return 4 if k % 2 else 2 if k == 0 else 1


def _clipped(row: list[str], width: int) -> list[str]:
    """A row whose first cell leaves the numbers their room."""
    room = width - 2 - sum(max(len(cell), 10) + 2 for cell in row[1:]) - 2
    first = row[0] if len(row[0]) <= room else row[0][: room - 1] + "…"
    return [first, *row[1:]]


# ---- Markdown and LaTeX --------------------------------------------------------------


def markdown_of(parts: Iterable[Part]) -> str:
    """The parts for a notebook, of equations in LaTeX."""
    lines: list[str] = []
    for part in parts:
        alone = isinstance(part, Section) and not part.equations and not part.notes
        title = _escaped(part.title) if alone else f"**{_escaped(part.title)}**"
        lines += ["", title, ""]
        if isinstance(part, Section):
            lines += _markdown_section(part)
        elif isinstance(part, Pairs):
            head = ["variable", "value", "local derivative"]
            lines += _markdown_table(head, map(_markdown_pair, part.rows))
        else:
            lines += _markdown_table(part.head, part.rows)
            lines += ["", *map(_escaped, part.notes)] if part.notes else []
    return "\n".join(lines).strip()


def _markdown_section(part: Section) -> list[str]:
    lines = [*map(_escaped, part.intro), ""] if part.intro else []
    if part.stacked:
        lines += ["$$", aligned_latex(part.equations), "$$"]
    elif part.equations:
        lines += _markdown_table(list(part.head), map(markdown_row, part.equations))
    return lines + (["", *map(_escaped, part.notes)] if part.notes else [])


def _markdown_pair(row: tuple[Equation, list[Equation]]) -> list[str]:
    equation, slopes = row
    *formula, value = equation.sides
    shown = " ".join([equation.left, *(side.text for side in formula)])
    cells = [
        rf"$\displaystyle {' '.join([e.left, *(side.text for side in e.sides)])}$"
        for e in slopes
    ]
    return [f"${shown}$", f"${''.join(value.pieces)}$", ", ".join(cells)]


def _markdown_table(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    top, *body = [f"| {' | '.join(map(table_safe, row))} |" for row in [head, *rows]]
    return [top, "|" + "---|" * len(head), *body]


def table_safe(cell: str) -> str:
    r"""A Markdown cell: a bar would end it, so LaTeX writes it as \vert.

    >>> print(table_safe(r"$\left|x\right|$"))
    $\left\vert x\right\vert $
    """
    return cell.replace("|", r"\vert ")


def _escaped(text: str) -> str:
    """Words around a user's names, of which Markdown makes nothing else."""
    return "".join(f"&#{ord(c)};" if c in r"\`*_{}[]<>#|$~&" else c for c in text)


def aligned_latex(equations: Iterable[Equation]) -> str:
    """Equations in one aligned formula, a row for each side."""
    rows = [row for equation in equations for row in latex_rows(equation)]
    body = " \\\\\n".join(rows)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


# ---- HTML ----------------------------------------------------------------------------


def html_of(parts: Iterable[Part]) -> str:
    """The parts as a piece of a page, with every cell escaped: labels are a user's."""
    body = "\n".join(piece for part in parts for piece in _html_part(part))
    return f'<div class="explain" style="{PAGE}">\n{body}\n</div>'


def _html_part(part: Part) -> Iterator[str]:
    title = html.escape(part.title)
    if isinstance(part, Pairs):
        head = ["variable", "value", "local derivative"]
        yield _html_table(title, head, [_html_pair(row) for row in part.rows])
        return
    if isinstance(part, Table):
        cells = [[html.escape(cell) for cell in row] for row in part.rows]
        table = _html_table(title, part.head, cells)
        yield f'<div style="overflow-x:auto">{table}</div>'
    elif part.stacked:
        lines = text_lines(Section("", part.equations, stacked=True), HTML_WIDTH)
        body = html.escape("\n".join(lines))
        yield f'<p>{title}</p>\n<pre style="white-space:pre-wrap">{body}</pre>'
    else:
        yield from (f"<p>{html.escape(words)}</p>" for words in part.intro)
        if part.equations:
            cells = [html_row(equation) for equation in part.equations]
            yield _html_table(title, [], cells)
        elif title:
            yield f"<p>{title}</p>"
    yield from (f"<p>{html.escape(note)}</p>" for note in part.notes)


def _html_pair(row: tuple[Equation, list[Equation]]) -> list[str]:
    equation, slopes = row
    *formula, value = equation.sides
    shown = " ".join([equation.left, *(side.text for side in formula)])
    cells = [shown, "".join(value.pieces), ", ".join(e.text for e in slopes)]
    return [html.escape(cell) for cell in cells]


def _html_table(title: str, head: list[str], rows: list[list[str]]) -> str:
    body = "\n".join(f"<tr>{_html_cells(row, 'td')}</tr>" for row in rows)
    top = f"<thead><tr>{_html_cells(head, 'th')}</tr></thead>\n" if head else ""
    return (
        f'<table>\n<caption style="{CAPTION}">{title}</caption>\n'
        f"{top}<tbody>\n{body}\n</tbody>\n</table>"
    )


def _html_cells(cells: list[str], tag: str) -> str:
    return "".join(f'<{tag} style="{_cell_style(x)}">{x}</{tag}>' for x in cells)


def _cell_style(cell: str) -> str:
    """Short cells keep to one line, where a narrow page would break them anywhere."""
    short = len(cell) <= SHORT_CELL
    return CELL + (";white-space:nowrap" if short else ";overflow-wrap:anywhere")
