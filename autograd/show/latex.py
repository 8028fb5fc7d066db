"""Formulas of Values, as LaTeX or as plain text, simplified for the eye.

A formula is printed down to the Values that have names; what has none is written out.
So the same printer serves `u = sin(v)`, one row applied to named operands, and its
local derivative, what the row's rule gives when it runs on Values of those names.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from unicodedata import digit

from .. import primitives
from ..primitives import Primitive, brief, clean, where
from ..value import Value, topological

SUM, PRODUCT, SIGN, POWER, ATOM, NAME = range(6)  # how tightly a formula holds together
Formula = tuple[str, int]
Names = Mapping[Value, str]

MOST_OPERANDS: Final = 8  # of a row with any number of them, before the rest is counted
MOST_OPERATIONS: Final = 16  # of a formula, before its number is given instead
SUPERSCRIPTS: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
INDEXED: Final = re.compile(  # w1, w_1, z₁, z₁⁽²⁾ or W₁[0,1]
    r"([A-Za-zδ])_?(\d+|[₀-₉]+)(?:⁽([⁰¹²³⁴-⁹]+)⁾)?(\[\d+(?:,\d+)?\])?"
)

# Rows that are written between, before or around their operands: the template, how
# tight the result is, and how tight each operand has to be.
TEXT: Final = {
    "add": ("{0} + {1}", SUM, (SUM, SUM)),
    "sub": ("{0} - {1}", SUM, (SUM, PRODUCT)),
    "mul": ("{0}·{1}", PRODUCT, (PRODUCT, PRODUCT)),
    "div": ("{0}/{1}", PRODUCT, (PRODUCT, SIGN)),
    "mod": ("{0} mod {1}", SUM, (PRODUCT, SIGN)),
    "neg": ("-{0}", SIGN, (SIGN,)),
    "pow": ("{0}^{1}", POWER, (ATOM, NAME)),
    "exp": ("e^{0}", POWER, (NAME,)),
    "exp2": ("2^{0}", POWER, (NAME,)),
    "abs": ("|{0}|", ATOM, (SUM,)),
    "_gaussian": ("e^(-{0}²)", POWER, (ATOM,)),
    "_pow_less_one": ("{0}^({1} - 1)", POWER, (ATOM, SUM)),
    "_pow_log": ("{0}^{1}·log({0})", PRODUCT, (ATOM, NAME)),
    "_one_minus_square": ("1 - {0}²", SUM, (ATOM,)),
    "_atan_slope": ("1/(1 + {0}²)", PRODUCT, (ATOM,)),
    "_tanh_slope": ("1 - tanh({0})²", SUM, (SUM,)),
    "_sigmoid_slope": ("sigmoid({0})·(1 - sigmoid({0}))", PRODUCT, (SUM,)),
    "_sigmoid_moment": ("{0}·sigmoid({0})·(1 - sigmoid({0}))", PRODUCT, (PRODUCT,)),
    "_maximum": ("max({all})", ATOM, ()),
    "_minimum": ("min({all})", ATOM, ()),
    "_share": ("{0}/({0} + {1})", PRODUCT, (SIGN, SUM)),
    "_log_share": ("{0} - log(e^{0} + {1})", SUM, (NAME, SUM)),
    "_polygamma_gap": (
        "polygamma({0}, {1}) - polygamma({0}, {1} + {2})", SUM, (SUM, SUM, PRODUCT),
    ),
    "_erfcx": ("e^({1}²)·inerfc({0}, {1})", PRODUCT, (SUM, ATOM)),
    "_inverse_mills": ("φ({0})/Φ({0})", PRODUCT, (SUM,)),
    "_spherical_bessel": ("j{0}(π·{1})", ATOM, (NAME, PRODUCT)),
    "_cosine": ("{1}/{0}", PRODUCT, (SIGN, PRODUCT, SUM)),
    "fma": ("{0}·{1} + {2}", SUM, (PRODUCT, PRODUCT, SUM)),
    "where": ("({1} if {0} else {2})", ATOM, (SUM, SUM, SUM)),
    "less": ("{0} < {1}", SUM, (PRODUCT, PRODUCT)),
    "less_equal": ("{0} ≤ {1}", SUM, (PRODUCT, PRODUCT)),
    "greater": ("{0} > {1}", SUM, (PRODUCT, PRODUCT)),
    "greater_equal": ("{0} ≥ {1}", SUM, (PRODUCT, PRODUCT)),
    "equal": ("{0} = {1}", SUM, (PRODUCT, PRODUCT)),
    "not_equal": ("{0} ≠ {1}", SUM, (PRODUCT, PRODUCT)),
    "identity": ("{0}", SUM, (SUM,)),
}  # fmt: skip


@dataclass(frozen=True)
class Style:
    """How formulas are written: as plain text or as LaTeX."""

    latex: bool

    def number(self, x: float) -> str:
        """x with eight significant digits.

        >>> PLAIN.number(2.0), PLAIN.number(1 / 3), LATEX.number(1e-20)
        ('2', '0.33333333', '10^{-20}')
        """
        text = f"{x:.8g}"
        if not self.latex:
            return text
        if text.lstrip("-") in ("inf", "nan"):
            return text.replace("inf", r"\infty").replace("nan", r"\text{nan}")
        mantissa, e, exponent = text.partition("e")
        if not e:
            return text
        power = f"10^{{{int(exponent)}}}"
        if mantissa in ("1", "-1"):
            return mantissa[:-1] + power
        return rf"{mantissa} \cdot {power}"

    def name(self, name: str) -> str:
        """A variable's name: in LaTeX upright where it is more than a letter.

        >>> PLAIN.name("w1"), LATEX.name("w1"), LATEX.name("layers.0.b")
        ('w1', 'w_{1}', '\\\\text{layers.0.b}')
        >>> LATEX.name("W₁[0,2]"), LATEX.name("δ₁₂⁽³⁾")
        ('W_{1}[0,2]', '\\\\delta_{12}^{(3)}')
        """
        if not self.latex or len(name) == 1 and name.isascii() and name.isalpha():
            return name
        indexed = INDEXED.fullmatch(name)
        if indexed:
            letter, number, point, place = indexed.groups(default="")
            letter = r"\delta" if letter == "δ" else letter
            raised = f"^{{({_digits(point)})}}" if point else ""
            return f"{letter}_{{{_digits(number)}}}{raised}{place}"
        return _upright(name)

    def template(self, row: Primitive) -> tuple[str, int, tuple[int, ...]]:
        """The row's template, its tightness and what it asks of each operand."""
        known = TABLE.get(row, "")
        text, tightness, needs = TEXT.get(known, ("", ATOM, ()))
        if not self.latex:
            if text:
                return text, tightness, needs
            places = ", ".join(f"{{{i}}}" for i in range(row.arity)) or "{all}"
            return f"{_literal(title(row))}({places})", ATOM, (SUM,) * row.arity
        latex = row.latex
        if latex is None:
            latex = _literal(_operator(title(row))) + r"\left({all}\right)"
        if text and known not in ("div", "pow", "exp", "exp2"):
            return latex, tightness, needs
        delimited = [
            rf"{{{{{{{i}}}}}}}" in latex or r"\left" in latex for i in range(row.arity)
        ]
        tightness = PRODUCT if latex.startswith(r"\frac") else ATOM
        if not all(delimited) and row.arity == 1:
            tightness = POWER  # a prefix such as \sin x: an exponent needs brackets
        if known in ("pow", "exp", "exp2"):
            tightness = POWER
        return latex, tightness, tuple(SUM if d else ATOM for d in delimited)

    def bracketed(self, formula: Formula, need: int) -> str:
        """The formula, in brackets where it is looser than its place asks for."""
        text, tightness = formula
        if tightness >= need:
            return text
        return rf"\left({text}\right)" if self.latex else f"({text})"

    def power(self, base: Formula, exponent: float) -> Formula:
        """base to a plain number, as x² where that is short."""
        inside = self.bracketed(base, ATOM)
        if self.latex:
            return f"{inside}^{{{self.number(exponent)}}}", POWER
        if abs(exponent) < 100 and exponent == int(exponent):
            return inside + str(int(exponent)).translate(SUPERSCRIPTS), POWER
        shown = self.number(exponent)
        return f"{inside}^({shown})" if exponent < 0 else f"{inside}^{shown}", POWER


PLAIN: Final = Style(latex=False)
LATEX: Final = Style(latex=True)


def formula(x: Any, names: Names, style: Style = PLAIN) -> str:
    """The formula of a Value or number, written out down to the Values that have names.

    >>> x = Value(3.0)
    >>> formula((x * x + 1).sin() / 2, {x: "x"})
    'sin(x² + 1)/2'
    """
    return _write(x, names, style)[0]


def row_formula(node: Value, names: Names, style: Style = PLAIN) -> str:
    """The formula of one operation on its named operands, whether or not it has a name.

    >>> v = Value(2.0); u = v.sin()
    >>> row_formula(u, {v: "v", u: "u"})
    'sin(v)'
    """
    if node._row is None:
        return formula(node, names, style)
    return _write_row(node._row, node, names, style)[0]


def partial_formulas(
    node: Value, names: Names, style: Style = PLAIN
) -> list[str | None]:
    """∂node/∂operand in symbols, for each operand that the node depends on, else None.

    The row's own rule runs on Values with the operands' names. What comes out may be
    longer than anyone reads, for a compiled function: then its number is given.

    >>> v = Value(2.0); u = v.sin()
    >>> partial_formulas(u, {v: "v", u: "u"})
    ['cos(v)']
    """
    row = node._row
    if row is None:
        return []
    if row.variadic and len(node._args) > MOST_OPERANDS and known(node) != "dot":
        return [None if d is None else style.number(d) for d in node._partials]
    stand_in = {arg: Value(arg._data) for arg in node._args if isinstance(arg, Value)}
    labels = {copy: names.get(arg, "?") for arg, copy in stand_in.items()}
    operands: list[Any] = [
        stand_in[arg] if isinstance(arg, Value) else arg for arg in node._args
    ]
    z = row(*operands)
    found = row.derivatives(z, *operands)
    if node._data != node._data:  # outside the domain there is no formula
        return [None if d is None else style.number(d) for d in node._partials]
    return [
        None
        if recorded is None
        else style.number(recorded)
        if _is_long(partial)
        else _write(partial, labels, style)[0]
        for recorded, partial in zip(node._partials, found)
    ]


def _is_long(x: Any) -> bool:
    return type(x) is Value and len(topological(x)) > MOST_OPERATIONS


def _write(x: Any, names: Names, style: Style) -> Formula:
    if not isinstance(x, Value):
        return style.number(x), NAME if x >= 0 else SIGN
    if x in names:
        return style.name(names[x]), NAME
    if x._row is None:
        return style.number(x._data), NAME if x._data >= 0 else SIGN
    if x._row is where:  # inside a formula, the choice has been made
        return _write(x._args[1] if x._args[0] else x._args[2], names, style)
    return _write_row(x._row, x, names, style)


def _write_row(row: Primitive, node: Value, names: Names, style: Style) -> Formula:
    simple = _simplified(known(node), node, names, style)
    if simple is not None:
        return simple
    template, tightness, needs = style.template(row)
    shown = node._args[:MOST_OPERANDS] if row.variadic else node._args
    written = [_write(arg, names, style) for arg in shown]
    operands = [
        style.bracketed(operand, need)
        for operand, need in zip(written, needs or (SUM,) * len(written))
    ]
    hidden = len(node._args) - len(shown)
    count = rf"\text{{… {hidden} more}}" if style.latex else f"… {hidden} more"
    more = [count] if hidden else []
    return template.format(*operands, all=", ".join([*operands, *more])), tightness


def _simplified(name: str, node: Value, names: Names, style: Style) -> Formula | None:
    """What a person would write: no factors of 1, no sums with 0, x² for x·x."""
    args = node._args
    if name in ("pow", "_pow_less_one") and not isinstance(args[1], Value):
        base = _write(args[0], names, style)
        exponent = args[1] - (name != "pow")
        return base if exponent == 1.0 else style.power(base, exponent)
    if name == "_share" and isinstance(args[0], Value) and known(args[0]) == "exp":
        return _write(args[0], names, style)  # in a rule, where the sum comes to 1
    if name == "stop_gradient" and args[0] not in names:
        return _write(args[0], names, style)
    if name in ("add", "sub") and not isinstance(args[1], Value) and args[1] == 0.0:
        return _write(args[0], names, style)
    if name == "mul":
        return _product(args[0], args[1], names, style)
    return None


def _product(x: Any, y: Any, names: Names, style: Style) -> Formula | None:
    """A product with a plain number in front; None for the usual template."""
    if not isinstance(y, Value):
        x, y = y, x
    if not isinstance(x, Value):
        factor = _write(y, names, style)
        if x == 1.0:
            return factor
        if x == -1.0:
            return "-" + style.bracketed(factor, PRODUCT), SIGN
        dot = r" \cdot " if style.latex else "·"
        return style.number(x) + dot + style.bracketed(factor, PRODUCT), PRODUCT
    first, second = _write(x, names, style), _write(y, names, style)
    return style.power(first, 2.0) if first == second else None


# What the rows of the table are called: a user's row may bear any name, theirs as well.
TABLE: Final[dict[Primitive | None, str]] = {
    row: name
    for name, row in vars(primitives).items()
    if isinstance(row, Primitive) and row.name == name
}


def known(node: Value) -> str:
    """The row of the table that computed it; "" on a leaf and on a user's row.

    >>> x = Value(2.0)
    >>> known(x.sin()), known(x), known(Primitive("sin", abs, 1.0)(x))
    ('sin', '', '')
    """
    return TABLE.get(node._row, "")


def title(row: Primitive) -> str:
    """A row's name, which may be any text, on a line for the eye.

    That of a row of the table is shown without the underscore that keeps it private.

    >>> title(Primitive("x\\n{max}", abs, 1.0)), title(Primitive("", abs, 1.0))
    ('x {max}', '?')
    """
    name = row.name.removeprefix("_") if row in TABLE else row.name
    return clean(name).strip() or "?"


def made_by(node: Value) -> str:
    """What computed it, for the eye: the title of its row, "" on a leaf."""
    return "" if node._row is None else title(node._row)


def _literal(text: str) -> str:
    """Text that stays as it is where a template is filled in."""
    return text.replace("{", "{{").replace("}", "}}")


def require_switch(operation: str, inside: Any) -> None:
    """Refuse for `inside` what is no bool, such as the name of a file to write."""
    if not isinstance(inside, bool):
        raise TypeError(
            f"{operation}: inside must be True or False, but is {brief(inside)}; a "
            f"file is written by a method of what {operation} gives"
        )


class Told(ABC):
    """Something told in words: `.text` at the prompt, `.markdown` in a notebook."""

    @property
    @abstractmethod
    def text(self) -> str:
        """The words for a terminal."""

    @property
    @abstractmethod
    def markdown(self) -> str:
        """The words for a notebook."""

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.markdown


def _digits(text: str) -> str:
    """Raised and lowered digits as plain ones."""
    return "".join(str(digit(c)) for c in text)


# Characters with a meaning in LaTeX or Markdown. MathJax prints a backslash before them
# in \text, so that they stand outside it, as mathematics.
SPECIAL: Final = {
    "\\": r"\backslash", "~": r"\sim", "^": r"\wedge", "|": r"\vert", "<": r"\lt",
    ">": r"\gt", "=": "=", **{c: "\\" + c for c in "&%$#_{}"},
}  # fmt: skip


def _operator(name: str) -> str:
    r"""A function's name: an operator where it is a word, else text.

    >>> print(_operator("leaky_relu"), _operator("x_{max}"))
    \operatorname{leaky\_relu} \text{x}\_\{\text{max}\}
    """
    if re.fullmatch(r"\w+", name, re.ASCII):
        return rf"\operatorname{{{name.replace('_', chr(92) + '_')}}}"
    return _upright(name)


def _upright(name: str) -> str:
    """A name in upright letters, special characters between them.

    >>> _upright("w_out")
    '\\\\text{w}\\\\_\\\\text{out}'
    """
    pieces = re.split(r"([\\~^|<>=&%$#_{}])", clean(name).replace("`", "'"))
    return "".join(
        SPECIAL.get(piece, rf"\text{{{piece}}}") for piece in pieces if piece
    )
