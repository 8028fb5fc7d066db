"""Equations in words and numbers, fitted to a terminal, a notebook's cell or a page.

An equation is a left side and what it equals, step by step: a formula, the same with
its numbers in, the result. Each step is made of pieces, and lines break between these,
so that nothing is cut off where there is less room.

    ∂L/∂u = ∂L/∂w · 1 + ∂L/∂v · cos(u)
          = 1 · 1 + 1 · 0.96017
          = 1.96017
"""

from __future__ import annotations

import html
import re
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

from ..latex import Style

SHORT: Final = Style(latex=False, digits=6)  # for many numbers at once
SHORT_LATEX: Final = Style(latex=True, digits=6)
NARROWEST: Final = 40
MOST_ENTRIES: Final = 8  # of a vector
MOST_IN_LINE: Final = 4  # pieces of a side that others stand beside on a page
NO_BREAK: Final = "\u00a0"
SIGNS: Final = {"=": "=", "≈": r"\approx", "+": r"\quad +", "⊙": r"\odot", "": ""}

_text = re.compile(r"\\text\{([^{}]*)\}")


@dataclass(frozen=True)
class Side:
    """One step of an equation: its sign, and pieces between which it may break."""

    pieces: Sequence[str]
    sign: str = "="

    @property
    def text(self) -> str:
        return f"{self.sign} {''.join(self.pieces)}".strip()


@dataclass(frozen=True)
class Equation:
    """A left side and what it equals."""

    left: str
    sides: Sequence[Side]

    @property
    def text(self) -> str:
        return " ".join([self.left, *(side.text for side in self.sides)])


@dataclass(frozen=True)
class Section:
    """A title, equations below it, and remarks."""

    title: str
    equations: Sequence[Equation] = ()
    notes: Sequence[str] = ()
    intro: Sequence[str] = ()
    head: tuple[str, str, str] = ("variable", "value", "formula")  # of a table
    stacked: bool = False  # every side on a line of its own
    is_backward: bool = False


def columns() -> int:
    """How wide a line may be: what COLUMNS says, the terminal's width, or 80."""
    return max(NARROWEST, shutil.get_terminal_size((80, 24)).columns)


# ---- numbers -------------------------------------------------------------------------


def number(x: float, style: Style = SHORT) -> str:
    """x in short, and 0 for -0."""
    return style.number(x + 0.0)


def factor(x: float, style: Style = SHORT) -> str:
    """A number as a factor behind others.

    >>> factor(2.0), factor(-0.5)
    ('2', '(-0.5)')
    """
    text = number(x, style)
    return f"({text})" if x < 0 else text


def sign_of(products: Iterable[Iterable[float]], total: float, digits: int = 6) -> str:
    """= where the numbers as they are printed give the total as it is printed, else ≈.

    >>> sign_of([[0.5, 3.0], [1.0]], 2.5), sign_of([[2 / 3, 0.5]], 1 / 3)
    ('=', '≈')
    """
    found = 0.0
    for factors in products:
        product = 1.0
        for x in factors:
            product *= float(f"{x:.{digits}g}")
        found += product
    shown = [f"{x + 0.0:.{digits}g}" for x in (found, total)]
    return "=" if shown[0] == shown[1] else "≈"


def vector(numbers: Sequence[float], style: Style = SHORT) -> Side:
    """Numbers in brackets, the first eight of them; of one, the number itself.

    >>> vector([1.0, 0.5]).text, vector([2.0]).text
    ('= [1, 0.5]', '= 2')
    """
    shown = [number(x, style) for x in numbers[:MOST_ENTRIES]]
    if len(numbers) == 1:
        return Side(shown)
    hidden = len(numbers) - len(shown)
    shown += [style.words(f"… {hidden} more")] if hidden else []
    pieces = [f"{x}, " for x in shown]
    pieces[-1] = shown[-1] + "]"
    return Side(["[" + pieces[0], *pieces[1:]])


def norm(numbers: Iterable[float]) -> float:
    """The Euclidean length; infinite or NaN where a number is."""
    found = sum(x * x for x in numbers)
    return found**0.5 if isfinite(found) else found


# ---- text ----------------------------------------------------------------------------


def text_lines(section: Section, width: int) -> list[str]:
    """The section for a terminal, no wider than that."""
    lines = title_lines(section.title, width)
    for words in section.intro:
        lines += _wrapped(words, width)
    if section.stacked:
        for equation in section.equations:
            room = len(equation.left) if len(equation.left) <= width // 3 else 0
            lines += _broken(equation, room, width, stacked=True)
    else:
        lines += aligned_equations(section.equations, width)
    for note in section.notes:
        lines += _wrapped(note, width)
    return lines


def title_lines(title: str, width: int) -> list[str]:
    """A title, on as many lines as it takes."""
    return textwrap.wrap(title, width, subsequent_indent="  ")


def _wrapped(words: str, width: int) -> list[str]:
    return textwrap.wrap(words, width, initial_indent="  ", subsequent_indent="    ")


def aligned_equations(equations: Sequence[Equation], width: int) -> list[str]:
    """The equations with their signs below each other, as far as there is room."""
    lefts = [len(e.left) for e in equations if len(e.left) <= width // 3]
    room = max(lefts, default=0)
    lines: list[str] = []
    for group in _runs(equations):
        firsts = [len(e.sides[0].text) for e in group]
        pads = [0] if len(group[0].sides) != 2 else [max(firsts)]
        whole = [_one_line(e, room, pads) for e in group]
        if any(len(line) > width for line in whole):
            whole = [_one_line(e, room, [0]) for e in group]
        for equation, line in zip(group, whole):
            lines += [line] if len(line) <= width else _broken(equation, room, width)
    return lines


def _runs(equations: Sequence[Equation]) -> Iterable[list[Equation]]:
    """Neighbours with as many sides: these can stand in columns."""
    run: list[Equation] = []
    for equation in equations:
        if run and len(run[-1].sides) != len(equation.sides):
            yield run
            run = []
        run.append(equation)
    if run:
        yield run


def _one_line(equation: Equation, room: int, pads: Sequence[int]) -> str:
    texts = [side.text for side in equation.sides]
    padded = [text.ljust(pads[0]) for text in texts[:1]] + texts[1:]
    return " ".join([f"  {equation.left:<{room}}", *padded]).rstrip()


def _broken(
    equation: Equation, room: int, width: int, stacked: bool = False
) -> list[str]:
    """Each side on lines of its own; the result behind its numbers if it fits."""
    indent = 2 + (room if len(equation.left) <= room else 4) + 1
    lines = [f"  {equation.left:<{room}} "]
    if len(equation.left) > room:
        lines = [*_wrapped(equation.left, width), " " * indent]
    last, whole = len(equation.sides) - 1, True
    for k, side in enumerate(equation.sides):
        joins = side.sign == "⊙" or (k == last > 1 and not stacked)
        joins &= whole and len(lines[-1]) + 1 + len(side.text) <= width
        if k and joins:
            lines[-1] += " "
        elif k:
            lines.append(" " * indent)
        before = len(lines)
        _append(lines, side, indent, width)
        whole = len(lines) == before or not side.pieces[0].startswith("[")
    return [line.rstrip() for line in lines]


def _append(lines: list[str], side: Side, indent: int, width: int) -> None:
    """Put a side behind the last line, breaking between its pieces and in long ones."""
    lines[-1] += f"{side.sign} " if side.sign else ""
    within = indent + len(side.sign) + 1
    for k, piece in enumerate(side.pieces):
        if k and len((lines[-1] + piece).rstrip()) > width:
            lines.append(" " * within)
            piece = piece.lstrip()
        while len((lines[-1] + piece).rstrip()) > width:
            cut = _cut(piece, width - len(lines[-1]))
            lines[-1] += piece[:cut]
            piece = piece[cut:].lstrip()
            lines.append(" " * within)
        lines[-1] += piece


def _cut(piece: str, room: int) -> int:
    """Where to break what is longer than a line: behind a blank, or anywhere."""
    at = piece.rfind(" ", 1, max(2, room))
    return at if at > 0 else max(1, room)


# ---- LaTeX, Markdown and HTML --------------------------------------------------------


def latex_rows(equation: Equation) -> list[str]:
    """The equation as rows of an aligned formula, one for each side."""
    rows = []
    for k, side in enumerate(equation.sides):
        left = "" if k else equation.left + " "
        rows.append(f"{left}&{SIGNS[side.sign]} {''.join(side.pieces)}")
    return rows


def markdown_row(equation: Equation) -> list[str]:
    """Cells for a table: the left side, the result, and how it came about."""
    *steps, result = equation.sides
    shown = " ".join(_markdown_side(side) for side in steps)
    return [_math(equation.left), _markdown_side(result, first=True), shown]


def _markdown_side(side: Side, first: bool = False) -> str:
    """In pieces, so that a cell can break it; vectors and remarks in words.

    MathJax 2, which pages made of notebooks use, breaks a formula in a cell wherever it
    may: behind a bracket, and before a comma.
    """
    sign = "" if first and side.sign == "=" else side.sign
    words = _text.sub(r"\1", "".join(side.pieces))
    for name, letter in ((r"\delta", "δ"), (r"\varepsilon", "ε")):
        words = words.replace(rf"\left|{name}\right|", f"&#124;{letter}&#124;")
    if "\\" not in words and words.startswith(("[", "…")):
        return f"{sign} {words}".strip().replace("-", "−")
    pieces = [f"{SIGNS[sign]} {side.pieces[0]}".strip(), *side.pieces[1:]]
    return " ".join(map(_math, pieces))


def _math(piece: str) -> str:
    """A formula in a cell, with fractions as large as they would be on their own.

    Nothing stays nothing: two dollars would begin a formula that the next cells end.
    """
    if not piece:
        return ""
    size = r"\displaystyle " if r"\frac" in piece else ""
    return f"${size}{piece.strip()}$"


def html_row(equation: Equation) -> list[str]:
    """Two cells: the left side, and what it equals in pieces that hold together.

    Vectors begin lines of their own, as they are long.
    """
    vectors = any(len(side.pieces) > MOST_IN_LINE for side in equation.sides)
    shown = ("<br>" if vectors else " ").join(map(_html_side, equation.sides))
    return [html.escape(equation.left), shown]


def _html_side(side: Side) -> str:
    pieces = [f"{side.sign} {side.pieces[0]}".strip(), *side.pieces[1:]]
    kept = [html.escape(piece.strip()).replace(" ", NO_BREAK) for piece in pieces]
    return " ".join(kept)
