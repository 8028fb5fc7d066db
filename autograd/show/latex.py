"""Formulas of Values, as LaTeX or as plain text, simplified for the eye.

A formula is printed down to the Values that have names; what has none is written out.
So the same printer serves `u = sin(v)`, one row applied to named operands, and its
local derivative, what the row's rule gives when it runs on Values of those names.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import e
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
INDEXED: Final = re.compile(  # w1, w_1, z₁, z₁⁽²⁾, W₁[0,1] or x[0]
    r"([A-Za-zδε])(?:_?(\d+|[₀-₉]+))?(?:⁽([⁰¹²³⁴-⁹]+)⁾)?(\[\d+(?:,\d+)?\])?"
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
    "_add_unless": ("{1} + ({2} unless {0})", SUM, (SUM, SUM, SUM)),
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
    """How formulas are written: as plain text or as LaTeX, with so many digits."""

    latex: bool
    digits: int = 8

    def number(self, x: float) -> str:
        """x with as many significant digits.

        >>> PLAIN.number(2.0), PLAIN.number(1 / 3), LATEX.number(1e-20)
        ('2', '0.33333333', '10^{-20}')
        """
        text = f"{x:.{self.digits}g}"
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
            letter = {"δ": r"\delta", "ε": r"\varepsilon"}.get(letter, letter)
            raised = f"^{{({_digits(point)})}}" if point else ""
            lowered = f"_{{{_digits(number)}}}" if number else ""
            return f"{letter}{lowered}{raised}{place}"
        return _upright(name)

    def ratio(self, z: str, x: str, *, partial: bool) -> str:
        """dz/dx or, where z depends on several variables, ∂z/∂x.

        >>> PLAIN.ratio("y", "x", partial=False), PLAIN.ratio("L", "w", partial=True)
        ('dy/dx', '∂L/∂w')
        """
        top, bottom = self.name(z), self.name(x)
        if self.latex:
            d = r"\partial " if partial else "d"
            return rf"\frac{{{d}{top}}}{{{d}{bottom}}}"
        d = "∂" if partial else "d"
        return f"{d}{top}/{d}{bottom}"

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

    @property
    def dot(self) -> str:
        """The sign of a product between two variables."""
        return r" \cdot " if self.latex else "·"

    def words(self, text: str) -> str:
        """A remark in a formula."""
        return rf"\text{{{text}}}" if self.latex else text

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
    terms = partial_terms(node, names, style)
    return [None if term is None else term[0] for term in terms]


def partial_terms(
    node: Value, names: Names, style: Style = PLAIN
) -> list[Formula | None]:
    """As `partial_formulas`, each with how tightly it holds together."""
    row = node._row
    if row is None:
        return []
    if row.variadic and len(node._args) > MOST_OPERANDS and known(node) != "dot":
        return [_recorded(d, style) for d in node._partials]
    stand_in = {arg: Value(arg._data) for arg in node._args if isinstance(arg, Value)}
    labels = {copy: names.get(arg, "?") for arg, copy in stand_in.items()}
    operands: list[Any] = [
        stand_in[arg] if isinstance(arg, Value) else arg for arg in node._args
    ]
    z = row(*operands)
    rule = getattr(row, "in_rows", row.derivatives)  # a compiled one, taken apart
    if rule != row.derivatives and type(z) is Value and node in names:
        labels[z] = names[node]  # which has no formula beside its name
    found = rule(z, *operands)
    if node._data != node._data:  # outside the domain there is no formula
        return [_recorded(d, style) for d in node._partials]
    return [
        _recorded(recorded, style)
        if recorded is None or _is_long(partial)
        else _write(partial, labels, style)
        for recorded, partial in zip(node._partials, found)
    ]


def _recorded(partial: float | None, style: Style) -> Formula | None:
    return None if partial is None else _write(partial, {}, style)


def total(terms: Iterable[Formula], style: Style = PLAIN) -> Formula:
    """The sum of formulas, equal ones taken together: 2·x for x + x.

    >>> total([("x", NAME), ("y", NAME), ("x", NAME)])
    ('2·x + y', 0)
    """
    found = [_times(n, term, style) for term, n in Counter(terms).items()]
    if len(found) == 1:
        return found[0]
    first, *others = [text for text, _ in found]
    return first + "".join(map(signed, others)), SUM


def signed(term: str) -> str:
    """A term that is added to others: " - x" for -x.

    >>> signed("x"), signed("-x")
    (' + x', ' - x')
    """
    return f" - {term[1:]}" if term.startswith("-") else f" + {term}"


def _is_long(x: Any) -> bool:
    return type(x) is Value and len(topological(x)) > MOST_OPERATIONS


def _write(x: Any, names: Names, style: Style) -> Formula:
    if not isinstance(x, Value):
        return style.number(x), NAME if x >= 0 else SIGN
    if x in names:  # a point's number is raised, as powers are
        raised = names[x].endswith("⁾")
        return style.name(names[x]), POWER if raised else NAME
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
    if row is where and not isinstance(shown[0], Value):  # a plain comparison's
        written[0] = style.words("true" if shown[0] else "false"), NAME
    operands = [
        style.bracketed(operand, need)
        for operand, need in zip(written, needs or (SUM,) * len(written))
    ]
    hidden = len(node._args) - len(shown)
    more = [style.words(f"… {hidden} more")] if hidden else []
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
    if name == "add":
        return _sum(node, names, style)
    normal = _normal(name, args, names)
    if normal is not None:
        letter, x = normal
        inside = _write(x, names, style)[0]
        if style.latex:
            letter = r"\varphi" if letter == "φ" else r"\Phi"
            return rf"{letter}\left({inside}\right)", ATOM
        return f"{letter}({inside})", ATOM
    if name == "mul":
        return _product(args, names, style)
    if name == "prod" and 0 < len(args) <= MOST_OPERANDS:
        return _product(args, names, style)
    if name == "dot" and args:
        return _dot(args, names, style)
    if name in ("pow", "_pow_log") and _is_e(args[0]):  # e**x, whose slope is itself
        power, tightness, (need, *_) = style.template(primitives.exp)
        return power.format(_bracketed(args[1], need, names, style)), tightness
    return None


def _sum(node: Value, names: Names, style: Style) -> Formula | None:
    """What was added one after the other, without the 0 that `sum` begins with.

    Of many terms the first: a loop takes them apart, as there may be thousands.
    """
    terms: list[Any] = []
    x: Any = node
    while x is node or isinstance(x, Value) and x not in names and known(x) == "add":
        x, last = x._args
        terms.append(last)
    terms = [t for t in (x, *reversed(terms)) if isinstance(t, Value) or t != 0.0]
    if len(terms) < 2:
        return _write(terms[0] if terms else 0.0, names, style)
    if len(terms) == 2 and terms[0] is node._args[0]:
        return None
    first, *others = [_bracketed(t, SUM, names, style) for t in terms[:MOST_OPERANDS]]
    hidden = len(terms) - MOST_OPERANDS
    more = [style.words(f"… {hidden} more")] if hidden > 0 else []
    return first + "".join(map(signed, [*others, *more])), SUM


def _normal(name: str, args: Sequence[Any], names: Names) -> tuple[str, Any] | None:
    """The normal density φ or distribution Φ, and of what, as gelu's rule has them.

    It keeps digits by taking (e^(-(x/2)²))²/√(2π) and erfc(-x/√2)/2.
    """
    if name == "div" and args[1] == primitives.SQRT_TAU:
        left, right = _operands(args[0], "mul", names) or (None, 1.0)
        (middle,) = left is right and _operands(left, "_gaussian", names) or (None,)
        scale, x = _operands(middle, "mul", names) or (0.0, None)
        return ("φ", x) if not isinstance(scale, Value) and scale == 0.5 else None
    if name == "mul" and not isinstance(args[0], Value) and args[0] == 0.5:
        (middle,) = _operands(args[1], "erfc", names) or (None,)
        minus, scale = _operands(middle, "mul", names) or (None, 0.0)
        (x,) = _operands(minus, "neg", names) or (None,)
        is_half = not isinstance(scale, Value) and scale == primitives.SQRT_HALF
        return ("Φ", x) if x is not None and is_half else None
    return None


def _operands(x: Any, name: str, names: Names) -> Sequence[Any]:
    """Of what a row made x, if it is this row and x has no name of its own."""
    return (
        x._args if isinstance(x, Value) and x not in names and known(x) == name else ()
    )


def _is_e(x: Value | float) -> bool:
    return not isinstance(x, Value) and x == e


def _bracketed(x: Any, need: int, names: Names, style: Style) -> str:
    return style.bracketed(_write(x, names, style), need)


def _product(args: Sequence[Any], names: Names, style: Style) -> Formula:
    """A product, its plain number in front, and x² for x·x."""
    number, factors = 1.0, []
    todo = list(reversed(args))
    while todo:
        x = todo.pop()
        if not isinstance(x, Value):
            number *= x
        elif x not in names and known(x) == "mul":
            todo += reversed(x._args)
        else:
            factors.append(_write(x, names, style))
    powers = [
        factor if n == 1 else style.power(factor, n)
        for factor, n in Counter(factors).items()
    ]
    if not powers:
        return _write(number, names, style)
    return _times(number, _joined(powers, style), style)


def _joined(factors: list[Formula], style: Style) -> Formula:
    if len(factors) == 1:
        return factors[0]
    texts = [style.bracketed(factors[0], PRODUCT)]
    texts += [factor_text(factor, style) for factor in factors[1:]]
    return style.dot.join(texts), PRODUCT


def factor_text(factor: Formula, style: Style = PLAIN) -> str:
    """A formula as a factor behind others, in brackets where it needs them.

    >>> factor_text(("x + 1", SUM)), factor_text(("-x", SIGN)), factor_text(("x", NAME))
    ('(x + 1)', '(-x)', 'x')
    """
    text, tightness = factor
    return style.bracketed(factor, ATOM if text.startswith("-") else PRODUCT)


def _times(number: float, factor: Formula, style: Style) -> Formula:
    if number == 1.0:
        return factor
    if number == -1.0:
        return "-" + style.bracketed(factor, PRODUCT), SIGN
    text = factor_text(factor, style)
    dot = "" if style.latex and text[0].isalpha() else style.dot
    return style.number(number) + dot + text, PRODUCT


def _dot(args: Sequence[Any], names: Names, style: Style) -> Formula:
    """w₀·x₀ + w₁·x₁ …, the operands being all w and then all x."""
    half = len(args) // 2
    pairs = list(zip(args[:half], args[half:]))
    shown = [_product(pair, names, style) for pair in pairs[:MOST_OPERANDS]]
    if len(pairs) == 1:
        return shown[0]
    first, *others = [text for text, _ in shown]
    more = style.words(f"… {len(pairs) - len(shown)} more")
    rest = [more] if len(pairs) > len(shown) else []
    return first + "".join(map(signed, others + rest)), SUM


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


def require_switch(operation: str, given: Any, name: str = "inside") -> None:
    """Refuse for a switch what is no bool, such as the name of a file to write."""
    if not isinstance(given, bool):
        raise TypeError(
            f"{operation}: {name} must be True or False, but is {brief(given)}; a "
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
