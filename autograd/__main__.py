"""The chain rule from a shell: python -m autograd "exp(sin(x**2))" x=1.5

The expression is computed on Values, taken apart, and its derivatives are shown beside
differences; where there is no derivative or no difference, `why` speaks. Anything wrong
with the input ends with exit code 2 and at most three lines: what, where, and what to
do.
"""

from __future__ import annotations

import argparse
import ast
import io
import math
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from keyword import iskeyword
from pathlib import PurePath
from typing import Any, Final, NoReturn, TextIO
from unicodedata import normalize

from . import __version__, accelerated
from .accelerator import reason
from .check import noise_of
from .differences import difference, kink
from .expressions import (
    CONSTANTS,
    FUNCTIONS,
    NUMBER,
    InputError,
    compute,
    hint,
    near,
    parse,
)
from .science.taylor import derivatives
from .show.explain.explain import explain
from .show.latex import SUPERSCRIPTS
from .show.why import why
from .transforms import grad
from .value import Value

WALKTHROUGH: Final = ["exp(sin(x**2))", "x=1.5"]
MOST_ORDERS: Final = 1000
WIDTH: Final = 72  # of the piece of source that an error shows
LONGEST: Final = 200  # of a message
INDENT: Final = "      "  # of what is left of a line on a narrow terminal

OPTIONS: Final = ("--wrt", "--order", "--svg", "--latex", "--help", "--version")
TAKE_A_VALUE: Final = OPTIONS[:3]
ASSIGNMENT: Final = re.compile(r"\s*[^\W\d]\w*\s*=(?!=)")
IN_ASCII: Final = {
    "·": "*", "∂": "d", "−": "-", "→": "->", "≤": "<=", "≥": ">=", "≠": "!=",
    "…": "...", "√": "sqrt", "∞": "inf", "π": "pi", "±": "+-", "×": "*", "≈": "~",
    "δ": "delta", "Σ": "sum of", "⊙": "(*)", "′": "'", "ᵀ": "^T", "⁽": "^(", "⁾": ")",
    **{lowered: str(digit) for digit, lowered in enumerate("₀₁₂₃₄₅₆₇₈₉")},
}  # fmt: skip
RAISED: Final = re.compile("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
DIGITS: Final = {raised: digit for digit, raised in SUPERSCRIPTS.items()}
EXAMPLES: Final = """\
examples:
  python -m autograd
  python -m autograd "exp(sin(x**2))" x=1.5 --svg graph.svg
  python -m autograd "x*y + sin(x)" x=2 y=3 --wrt x
  python -m autograd "log(x)/x" x=e --order 3
  python -m autograd "tanh(w*x + b)" w=0.5 x=2 b=-1 --latex
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; give the exit code, 0 or 2."""
    argv = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):  # a terminal may not know a user's names
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        options = _arguments(argv or WALKTHROUGH)
        report, trouble = run(options)
    except _Asked as asked:
        return _say(str(asked))
    except InputError as error:
        return _complain(error)
    if not argv:
        report += "\n\nThis was the walkthrough; --help shows what else there is."
    if not options.latex:
        report = "\n".join(_folded(report.split("\n"), _columns()))
    return _say(report) or (_complain(trouble) if trouble else 0)


def run(options: argparse.Namespace) -> tuple[str, InputError | None]:
    """Do what the options ask for: the text to print, and why there is no drawing."""
    source = re.sub(r"\s", " ", options.expression).strip()
    _require_order(source, options.values)
    _require_quotes(source, options.values)
    tree = parse(source)
    point = _assignments(options.values)
    inputs = {name: Value(x, label=name) for name, x in point.items()}
    y = compute(source, tree, inputs)
    _require_all_used(source, tree, point)
    wrt = _wrt(options.wrt, point)
    _require_sense(options, y)
    if not isinstance(y, Value):
        return f"{source} = {_number(y)}, which depends on no variable", None
    explanation = explain(y)
    explanation.sensitivities = [
        found for found in explanation.sensitivities if found.leaf.label in wrt
    ]
    y.label = explanation.names[y]
    if options.latex:
        blocks = [explanation.latex]
    else:
        at = ", ".join(f"{name} = {_number(x)}" for name, x in point.items())
        blocks = [f"{source} = {y.data!r}  at {at}", explanation.text]
        blocks += _derivatives(source, tree, point, wrt, options.order, y)
        blocks += _diagnoses(y, [inputs[name] for name in wrt])
    if options.svg is None:
        return "\n\n".join(blocks), None
    for node in explanation.order:
        node.label = explanation.names[node]
    trouble = _write_svg(y, options.svg)
    if not trouble:
        comment = "% " if options.latex else ""
        blocks.append(f"{comment}The graph is drawn in {options.svg}")
    return "\n\n".join(blocks), trouble


# ---- what was asked ------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        if "are required" in message:
            message = 'the expression is missing, as "x**2" in "x**2" x=1.5'
        raise InputError(f"{message}; see python -m autograd --help")


class _Once(argparse.Action):
    """Stores what is said once: of two, one would be ignored."""

    def __call__(
        self, _: Any, options: Any, value: Any, name: str | None = None
    ) -> None:
        given = options.__dict__.setdefault("given", set())
        if self.dest in given:
            several = "; write --wrt x,y" if self.dest == "wrt" else ""
            raise InputError(f"{name} must be given once, but is given twice{several}")
        given.add(self.dest)
        setattr(options, self.dest, value)


class _Asked(Exception):  # noqa: N818 - nothing is wrong
    """The text that was asked for in place of a report."""


class _Tell(argparse.Action):
    """Gives the text, made once asked: NumPy and llvmlite take long to load."""

    def __call__(self, *_: Any) -> None:
        raise _Asked(self.const())


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="python -m autograd",
        description="Take an expression apart by the chain rule, and differentiate it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("expression", help='arithmetic, such as "exp(sin(x**2))"')
    parser.add_argument(
        "values", nargs="*", metavar="name=number", help="a value for each variable"
    )
    parser.add_argument(
        "--wrt", action=_Once, metavar="NAMES",
        help="differentiate with respect to these (x,y) only",
    )  # fmt: skip
    parser.add_argument(
        "--order", action=_Once, type=_order, default=1, metavar="N",
        help="derivatives up to order N",
    )  # fmt: skip
    parser.add_argument("--latex", action="store_true", help="the chain rule in LaTeX")
    parser.add_argument(
        "--svg", action=_Once, metavar="PATH", help="draw the graph to this file"
    )
    for names, const, words in [
        (["-h", "--help"], parser.format_help, "this text"),
        (["--version"], _version, "and the engine"),
    ]:
        parser.add_argument(*names, action=_Tell, nargs=0, const=const, help=words)
    options, extra = parser.parse_known_intermixed_args(_guard_negatives(argv))
    for text in extra:
        meant = near(text.partition("=")[0], OPTIONS)
        parser.error(f"unknown option {text!r}{hint(meant)}")
    options.expression = options.expression.removeprefix(" ")
    return options


def _guard_negatives(argv: Sequence[str]) -> list[str]:
    """An expression such as "-x**2" is no option: a space in front says so."""
    option = re.compile(r"-h$|--[A-Za-z]+(=.*)?$", re.DOTALL)
    after = ["", *argv]
    return [
        " " + text
        if text[:1] == "-" and not option.match(text) and before not in TAKE_A_VALUE
        else text
        for before, text in zip(after, argv)
    ]


def _order(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:9]) <= MOST_ORDERS:
        raise argparse.ArgumentTypeError(
            f"must be a whole number, 1 to {MOST_ORDERS}, but is {text.strip()[:40]!r}"
        )
    return int(text)


def _require_order(source: str, values: Sequence[str]) -> None:
    """Refuse a value where the expression belongs."""
    if not ASSIGNMENT.match(source):
        return
    try:
        _assignments([source])
    except InputError:  # an equation, such as y = x**2
        return
    rest = [text for text in values if not ASSIGNMENT.match(text)]
    given = " ".join([source, *(text for text in values if text not in rest)])
    expression = rest[0] if rest else "x**2"
    raise InputError(f'the expression comes first, then values: "{expression}" {given}')


def _require_quotes(source: str, values: Sequence[str]) -> None:
    """Refuse an expression that the shell has taken apart at its spaces."""
    texts = [text.strip() for text in values]
    more = list(takewhile(lambda text: not ASSIGNMENT.match(text), texts))
    whole = " ".join([source, *more])
    try:
        parse(whole)
    except InputError:
        return
    if any(more):
        raise InputError(
            "the expression must be in quotes: "
            + " ".join([f'"{whole}"', *texts[len(more) :]])
        )


def _require_sense(options: argparse.Namespace, y: Any) -> None:
    """Refuse options that would be ignored, and pictures of another kind."""
    if options.latex and options.order > 1:
        raise InputError("--latex shows the chain rule, of order 1; leave out --order")
    if options.svg is None:
        return
    if not options.svg.strip():
        raise InputError("--svg must be a path, but is empty; write --svg graph.svg")
    path = PurePath(options.svg)
    if path.suffix.lower() not in ("", ".svg"):
        raise InputError(
            f"--svg must name an SVG file, but names {options.svg!r}; write "
            f"--svg {path.with_suffix('.svg')}"
        )
    if not isinstance(y, Value):
        raise InputError("--svg needs a graph; use a variable, as in x**2 x=1.5")


def _version() -> str:
    from .compiled.machine import native

    engine = "C engine" if accelerated else f"pure Python engine: {reason}"
    missing = native()[1]
    without = f", no machine code: {missing}" if missing else ""
    return f"scalar-autograd {__version__} ({engine}){without}"


def _assignments(values: Sequence[str]) -> dict[str, float]:
    point: dict[str, float] = {}
    for text in values:
        name, equals, number = text.strip().partition("=")
        name = normalize("NFKC", name)  # as Python reads the names in the expression
        if text.startswith(" -"):
            raise InputError(f"unknown option {text.strip()!r}; see --help")
        if not equals or not name.isidentifier():
            raise InputError(
                "a value must look like x=1.5, without spaces, but is this:", text
            )
        if iskeyword(name):
            raise InputError(
                f"{name!r} is a word of Python; give the variable another name:", text
            )
        if name in CONSTANTS or name in FUNCTIONS:
            raise InputError(
                f"{name!r} is taken; give the variable another name:", text
            )
        if name in point:
            raise InputError(f"{name!r} has two values; give it one:", text)
        point[name] = _constant(text, number, len(name) + 1)
    return point


def _constant(text: str, number: str, at: int) -> float:
    """A number, an expression of numbers, or inf and nan where they are meant."""
    named = re.fullmatch(r"\s*([+-]?)(inf|infinity|nan)\s*", number, re.IGNORECASE)
    try:
        x = float(number)
    except ValueError:
        try:
            x = float(compute(number, parse(number), {}))
        except InputError as error:
            raise InputError(
                "the value must be a finite number such as 1.5, -2e-3 or pi/2"
                f"{_remedy(number, str(error))}:",
                text,
                at + error.at,
            ) from None
    if math.isfinite(x) or named:
        return x
    raise InputError(
        f"the value must be a finite number (below 1.8e308), but is {x}; write "
        f"{text[:at][:40]}{x} if that is meant:",
        text,
        at,
    )


def _remedy(number: str, message: str) -> str:
    """What to write for a value that is none: no unit, or the form of expressions."""
    unit = re.fullmatch(rf"\s*([-+]?{NUMBER})\s*([^\W\d]\w*|%)\s*", number)
    if unit and unit[2] == "%":
        return f" (write {unit[1]}/100)"
    if unit and unit[2] not in (*CONSTANTS, "π"):
        return f" (leave out {unit[2]})"
    found = re.search(r"(?:read \(|\((?=did)|arithmetic; )(.*?)\)?:$", message)
    return f" ({found[1]})" if found and "invalid" not in found[1] else ""


def _require_all_used(source: str, tree: ast.expr, point: Mapping[str, float]) -> None:
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for name in point:
        if name not in used:
            raise InputError(
                f"{name!r} has a value but is not used; leave out {name}= :",
                source,
            )


def _wrt(text: str | None, point: Mapping[str, float]) -> list[str]:
    given = list(point) if text is None else text.split(",")
    names = [*dict.fromkeys(normalize("NFKC", name.strip()) for name in given)]
    for name in names:
        if name not in point:
            raise InputError(
                f"--wrt must name variables ({', '.join(point)}), but names {name!r}"
                + hint(near(name, point))
            )
    return names


# ---- the report ----------------------------------------------------------------------


def _derivatives(
    source: str,
    tree: ast.expr,
    point: Mapping[str, float],
    wrt: list[str],
    order: int,
    y: Value,
) -> list[str]:
    """A block for each order: derivatives beside central differences."""

    def f(*xs: Any) -> Any:
        return compute(source, tree, dict(zip(point, xs)))

    curves = [_Curve(f, name, point, order, y) for name in wrt]
    blocks = []
    for n in range(1, order + 1):
        rows = []
        for curve in curves:
            ratio = _ratio(
                y.label or "y", curve.name, n, "d" if len(point) == 1 else "∂"
            )
            rows.append((f"{ratio} = {curve.found[n]!r}", curve.compared(n)))
        width = max(len(row[0]) for row in rows)
        head = "Derivatives" if n == 1 else f"Derivatives of order {n}"
        lines = [f"  {exact:<{width}}   ({numeric})" for exact, numeric in rows]
        blocks.append("\n".join([f"{head} (central differences)", *lines]))
    return blocks


class _Curve:
    """The expression as one variable moves: its derivatives, beside differences."""

    def __init__(
        self,
        f: Callable[..., Any],
        name: str,
        point: Mapping[str, float],
        order: int,
        y: Value,
    ) -> None:
        self.name, self.x, self.order = name, point[name], order
        names, xs = list(point), list(point.values())
        i = names.index(name)
        self.f: Callable[[Any], Any] = lambda x: f(*xs[:i], x, *xs[i + 1 :])
        first = grad(f, i)(*map(Value, xs))
        recorded = [y, first, *derivatives(self.f, Value(self.x), order)[2:]]
        self.found = [float(_data(each)) for each in recorded]
        self.noises = [noise_of(each) for each in recorded]
        self.known: dict[float, list[float]] = {}

    def compared(self, n: int) -> str:
        """What differences of the derivative before say of that of order n."""
        noise, moved = self.noises[n - 1 : n + 1]

        def below(x: float) -> float:
            if n == 1:
                return float(_data(self.f(x)))
            if x not in self.known:
                self.known[x] = derivatives(self.f, x, self.order - 1)
            return self.known[x][n - 1]

        return _compared(below, self.x, noise, self.found[n], moved)


def _compared(
    f: Callable[[float], float], x: float, noise: float, found: float, moved: float
) -> str:
    """What differences say: a number with the digits it has, a kink, or nothing.

    noise is how far rounding may have moved f(x), and moved how far the slope found.
    """
    bend = kink(f, x, noise) if math.isfinite(f(x)) else ""
    if bend:
        return f"a kink: {bend}"
    if _too_coarse(f, x, noise, found):
        return "floats are too far apart here to show it"
    numeric, error = difference(f, x, 0, noise)
    if not math.isfinite(numeric):
        return "no difference can be had"
    gap = abs(found - numeric)
    rounded = max(10 * error, 1e-6 * abs(numeric)) < gap <= moved
    told = "; rounding moves the derivative" if rounded else ""
    return _digits(numeric, error, found) + told


def _too_coarse(
    f: Callable[[float], float], x: float, noise: float, found: float
) -> bool:
    """Whether f does not follow its slope even to the next number, as sin at 1e300."""
    expected = abs(found) * math.ulp(x)
    gaps = [abs(f(math.nextafter(x, to)) - f(x)) for to in (-math.inf, math.inf)]
    return math.isfinite(expected) and expected > 2 * (sum(gaps) + noise)


def _digits(numeric: float, error: float, found: float) -> str:
    """A slope by differences, with the digits that its error leaves."""
    if numeric == found == 0.0:
        return "0"
    if error > 0.1 * abs(numeric):
        return f"0 ± {abs(numeric) + error:.0e}"
    digits = min(10, round(-math.log10(error / abs(numeric)))) if error else 10
    return f"{numeric:.{digits}g}"


def _ratio(result: str, name: str, n: int, d: str) -> str:
    power = "" if n == 1 else str(n).translate(SUPERSCRIPTS)
    return f"{d}{power}{result}/{d}{name}{power}"


def _data(y: Any) -> Any:
    return y.data if isinstance(y, Value) else y


def _diagnoses(y: Value, xs: Iterable[Value]) -> list[str]:
    """What `why` says where a value, a derivative or a kink calls for it."""
    told: dict[tuple[str, ...], list[str]] = {}  # what is the same is said once
    for x in xs:
        found = why(y, x)
        finite = math.isfinite(y.data) and math.isfinite(found.gradient)
        kinds = {cause.kind for cause in found.causes}
        if kinds and not finite or kinds & {"kink", "step"}:
            verdict, *causes = found.lines
            told.setdefault(tuple(causes), []).append(verdict)
    return ["\n".join([*verdicts, *causes]) for causes, verdicts in told.items()]


def _write_svg(y: Value, path: str) -> InputError | None:
    """Draw y; where there is no renderer say so, and give the report all the same."""
    from .show.draw.draw import draw

    y.backward()
    try:
        draw(y).svg(path)
    except (RuntimeError, TimeoutError) as error:
        return InputError(f"--svg: {error}")
    except (OSError, ValueError) as error:
        raise InputError(f"--svg: {error}") from None
    return None


def _number(x: Any) -> str:
    return f"{float(getattr(x, 'data', x)):.10g}"


# ---- the terminal --------------------------------------------------------------------


def _say(text: str) -> int:
    """Print it; give the exit code, 2 where the output cannot be written."""
    try:
        print(_spelt(text, sys.stdout), flush=True)
    except BrokenPipeError:  # whoever read it has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        return _complain(InputError(f"the output cannot be written: {error}"))
    return 0


def _complain(error: InputError) -> int:
    """At most three lines: the message, and the source clipped around a caret."""
    message = _printable(str(error))
    message = message if len(message) < LONGEST else message[:LONGEST] + "…"
    lines, source = [message], _printable(error.source)
    if source:
        width = max(10, min(WIDTH, _columns() - 4))
        start = max(0, min(error.at - width // 2, len(source) - width))
        before = _spelt(source[start : error.at], sys.stderr)
        lines.append("  " + source[start : start + width])
        lines.append("  " + " " * len(before) + "^")
    print(_spelt("autograd: " + "\n".join(lines), sys.stderr), file=sys.stderr)
    return 2


def _columns() -> int:
    """The width of the terminal, or of what COLUMNS says; a file has any."""
    return shutil.get_terminal_size((0, 0)).columns or sys.maxsize


def _folded(lines: Iterable[str], columns: int) -> list[str]:
    """Lines that are no wider than the terminal, each a word at least."""
    width = max(columns, 2 * len(INDENT))
    return [
        piece
        for line in lines
        for piece in ([line] if len(line) <= width else _pieces(line, width))
    ]


def _pieces(line: str, width: int) -> list[str]:
    """A long line, folded between words; what is aligned stays so on the first."""
    return textwrap.wrap(
        line,
        width,
        subsequent_indent=INDENT,
        break_long_words=False,  # such as a path
        break_on_hyphens=False,
        tabsize=1,
    )


def _spelt(text: str, stream: TextIO) -> str:
    """The text in the characters that the stream has: x^2 for x², d for ∂."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if _fits(text, encoding):
        return text
    text = RAISED.sub(lambda found: _lowered(found[0], encoding), text)
    text = "".join(c if _fits(c, encoding) else IN_ASCII.get(c, c) for c in text)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _fits(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _lowered(power: str, encoding: str) -> str:
    return power if _fits(power, encoding) else "^" + power.translate(DIGITS)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


if __name__ == "__main__":
    sys.exit(main())
