"""The chain rule from a shell: python -m autograd "exp(sin(x**2))" x=1.5

An expression is parsed with `ast`, held against a whitelist of arithmetic, and computed
on Values; it is never evaluated as Python. Anything wrong ends with exit code 2 and at
most three lines: what, where, and what to do.
"""

from __future__ import annotations

import argparse
import ast
import io
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn
from unicodedata import normalize

from . import __version__, accelerated, primitives
from .accelerator import reason
from .differences import difference
from .primitives import Primitive
from .show.explain import explain
from .show.latex import SUPERSCRIPTS
from .transforms import grad
from .value import Value

WALKTHROUGH: Final = ["exp(sin(x**2))", "x=1.5"]
CONSTANTS: Final = {"pi": math.pi, "e": math.e, "tau": math.tau}
MOST_ORDERS: Final = 10
WIDTH: Final = 72  # of the piece of source that an error shows

FUNCTIONS: Final[dict[str, Primitive]] = {
    name: row
    for name, row in vars(primitives).items()
    if isinstance(row, Primitive) and name == row.name and name[0] != "_"
}
OPERATORS: Final[dict[type[ast.AST], Primitive]] = {
    ast.Add: primitives.add,
    ast.Sub: primitives.sub,
    ast.Mult: primitives.mul,
    ast.Div: primitives.div,
    ast.Pow: primitives.pow,
    ast.Mod: primitives.mod,
    ast.USub: primitives.neg,
    ast.Lt: primitives.less,
    ast.LtE: primitives.less_equal,
    ast.Gt: primitives.greater,
    ast.GtE: primitives.greater_equal,
    ast.Eq: primitives.equal,
    ast.NotEq: primitives.not_equal,
}
REMEDIES: Final[dict[type[ast.AST], str]] = {
    ast.BitXor: "a power is written **",
    ast.FloorDiv: "write floor(a / b)",
    ast.IfExp: "write where(condition, a, b)",
    ast.Constant: "write a real number",
    ast.Attribute: "write sin(x), not math.sin(x)",
    ast.Call: "call a function by its name, with positional arguments",
}

TAKE_A_VALUE: Final = ("--wrt", "--order", "--svg")
EXAMPLES: Final = """\
examples:
  python -m autograd
  python -m autograd "exp(sin(x**2))" x=1.5 --svg graph.svg
  python -m autograd "x*y + sin(x)" x=2 y=3 --wrt x
  python -m autograd "log(x)/x" x=e --order 3
  python -m autograd "tanh(w*x + b)" w=0.5 x=2 b=-1 --latex
"""


class InputError(Exception):
    """What is wrong with the input, where in it, and the remedy."""

    def __init__(self, message: str, source: str = "", at: int = 0) -> None:
        super().__init__(message)
        self.source, self.at = source, at

    def lines(self) -> list[str]:
        """At most three lines: the message, and the source clipped around a caret."""
        message = _printable(str(self))
        message = message if len(message) < 200 else message[:200] + "…"
        if not self.source:
            return [message]
        start = max(0, min(self.at - WIDTH // 2, len(self.source) - WIDTH))
        piece = _printable(self.source[start : start + WIDTH])
        return [message, "  " + piece, "  " + " " * (self.at - start) + "^"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; give the exit code, 0 or 2."""
    argv = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):  # a terminal may know no ² or ∂
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        report = run(_arguments(argv or WALKTHROUGH))
    except InputError as error:
        print("autograd: " + "\n".join(error.lines()), file=sys.stderr)
        return 2
    if not argv:
        report += "\n\nThis was the walkthrough; --help shows what else there is."
    try:
        print(report, flush=True)
    except BrokenPipeError:  # whoever read it has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"autograd: the output cannot be written: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> str:
    """Do what the options ask for, and give the text to print."""
    source = re.sub(r"\s", " ", options.expression).strip()
    tree = parse(source)
    point = _assignments(options.values)
    inputs = {name: Value(x, label=name) for name, x in point.items()}
    y = compute(source, tree, inputs)
    _require_all_used(source, tree, point)
    wrt = _wrt(options.wrt, point)
    _require_sense(options, y)
    if not isinstance(y, Value):
        return f"{source} = {_number(y)}, which depends on no variable"
    explanation = explain(y)
    explanation.sensitivities = [
        found for found in explanation.sensitivities if found.leaf.label in wrt
    ]
    name = explanation.names[y]
    if options.latex:
        blocks = [explanation.latex]
    else:
        at = ", ".join(f"{name} = {_number(x)}" for name, x in point.items())
        blocks = [f"{source} = {y.data!r}  at {at}", explanation.text]
        blocks += _derivatives(source, tree, point, wrt, options.order, name)
    if options.svg is not None:
        for node in explanation.order:
            node.label = explanation.names[node]
        y.backward()
        _write_svg(y, options.svg)
        blocks += [] if options.latex else [f"The graph is drawn in {options.svg}"]
    return "\n\n".join(blocks)


# ---- what was asked ------------------------------------------------------------------


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise InputError(f"{message}; see python -m autograd --help")

    parser = Parser(
        prog="python -m autograd",
        description="Take an expression apart by the chain rule, and differentiate it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("expression", help='arithmetic, such as "exp(sin(x**2))"')
    parser.add_argument(
        "values", nargs="*", metavar="name=number", help="a value for each variable"
    )
    parser.add_argument(
        "--wrt", metavar="NAMES", help="differentiate with respect to these (x,y) only"
    )
    parser.add_argument(
        "--order", type=_order, default=1, metavar="N", help="derivatives up to order N"
    )
    parser.add_argument("--latex", action="store_true", help="the chain rule in LaTeX")
    parser.add_argument("--svg", metavar="PATH", help="draw the graph to this file")
    parser.add_argument("--version", action=_Version, nargs=0, help="and the engine")
    options, extra = parser.parse_known_args(_guard_negatives(argv))
    if extra:
        parser.error(f"unknown option {extra[0]!r}")
    options.expression = options.expression.removeprefix(" ")
    return options


def _guard_negatives(argv: Sequence[str]) -> list[str]:
    """An expression such as "-x**2" is no option: a space in front says so."""
    option = re.compile(r"-h$|--[a-z]+(=.*)?$", re.DOTALL)
    after = ["", *argv]
    return [
        " " + text
        if text[:1] == "-" and not option.match(text) and before not in TAKE_A_VALUE
        else text
        for before, text in zip(after, argv)
    ]


def _order(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_ORDERS:
        raise argparse.ArgumentTypeError(
            f"must be 1 to {MOST_ORDERS} (each costs several times the one before), "
            f"but is {text.strip()!r}"
        )
    return int(text)


def _require_sense(options: argparse.Namespace, y: Any) -> None:
    """Refuse options that would be ignored."""
    if options.latex and options.order > 1:
        raise InputError("--latex shows the chain rule, of order 1; leave out --order")
    if options.svg == "":
        raise InputError("--svg must be a path, but is empty; write --svg graph.svg")
    if options.svg is not None and not isinstance(y, Value):
        raise InputError("--svg needs a graph; use a variable, as in x**2 x=1.5")


class _Version(argparse.Action):
    """Says which engine runs, once asked: NumPy and llvmlite take long to load."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(_version())
        parser.exit()


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
        if not equals or not name.isidentifier():
            raise InputError(
                "a value must look like x=1.5, without spaces, but is this:", text
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
    try:
        x = float(number)
    except ValueError:
        x = None
    named = re.fullmatch(r"\s*[+-]?(inf|infinity|nan)\s*", number, re.IGNORECASE)
    try:
        if x is None:
            x = float(compute(number, parse(number), {}))
        if math.isfinite(x) or named:
            return x
        raise InputError("not finite")
    except InputError as error:
        raise InputError(
            "the value must be a finite number such as 1.5, -2e-3 or pi/2:",
            text,
            at + error.at,
        ) from None


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
                + _nearest(name, point)
            )
    return names


# ---- the expression ------------------------------------------------------------------


def parse(source: str) -> ast.expr:
    """The syntax tree of an expression, not yet checked.

    >>> type(parse("x + 1")).__name__
    'BinOp'
    """
    if "#" in source:
        raise InputError("a comment cannot stand here:", source, source.index("#"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source.lstrip(), mode="eval").body
    except SyntaxError as error:
        at = (error.offset or 1) - 1 + len(source) - len(source.lstrip())
        reason = (error.msg or "cannot be read").replace("invalid syntax. ", "")
        if "set_int_max_str_digits" in reason:
            reason = "a number has too many digits"
        if "nested" in reason:
            reason, at = "nested too deeply; name parts of it", len(source) // 2
        raise InputError(
            f"the expression cannot be read ({reason}):", source, min(at, len(source))
        ) from None
    except (RecursionError, MemoryError, ValueError):
        raise InputError(
            "the expression is nested too deeply, or holds a null byte; shorten it:",
            source,
        ) from None


def compute(source: str, tree: ast.expr, variables: Mapping[str, Any]) -> Any:
    """The value of a parsed expression; InputError for anything but arithmetic.

    >>> compute("x**2 + 1", parse("x**2 + 1"), {"x": 3.0})
    10.0
    """

    def fail(node: ast.AST, message: str) -> NoReturn:
        at = getattr(node, "col_offset", 0)
        text = source.lstrip()
        column = len(text.encode()[:at].decode(errors="ignore"))
        raise InputError(message + ":", text, column)

    def visit(node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=bool()):
                fail(node, "True and False are no numbers; write 1 or 0")
            case ast.Constant(value=int() | float() as value):
                try:
                    if math.isfinite(float(value)):
                        return float(value)
                except OverflowError:
                    pass
                fail(node, "this number is too large for a float64; scale it")
            case ast.Name(id=name):
                return lookup(node, name)
            case ast.UnaryOp(op=ast.UAdd(), operand=x):
                return visit(x)
            case ast.UnaryOp(op=op, operand=x) if type(op) in OPERATORS:
                return OPERATORS[type(op)](visit(x))
            case ast.BinOp(left=x, op=op, right=y) if type(op) in OPERATORS:
                return OPERATORS[type(op)](visit(x), visit(y))
            case ast.Compare(left=x, ops=[op], comparators=[y]) if (
                type(op) in OPERATORS
            ):
                return OPERATORS[type(op)](visit(x), visit(y))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return call(node, name, [visit(arg) for arg in args])
        culprit = getattr(node, "op", node)
        remedy = REMEDIES.get(type(culprit), "use + - * / % ** and functions")
        fail(node, f"{_kind(culprit)} is not arithmetic; {remedy}")

    def lookup(node: ast.AST, name: str) -> Any:
        if name in variables:
            return variables[name]
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in FUNCTIONS:
            fail(node, f"{name!r} is a function; call it, as in {name}(x)")
        known = _nearest(name, [*variables, *CONSTANTS])
        fail(node, f"{name!r} has no value; add {name}=number{known}")

    def call(node: ast.AST, name: str, args: list[Any]) -> Any:
        row = FUNCTIONS.get(name)
        if row is None:
            fail(node, f"no function is called {name!r}{_nearest(name, FUNCTIONS)}")
        try:
            return row(*args)
        except (TypeError, ValueError) as error:
            fail(node, str(error).partition("; see help")[0])

    try:
        return visit(tree)
    except RecursionError:
        raise InputError(
            "the expression is nested too deeply; shorten it:", source
        ) from None


def _kind(node: ast.AST) -> str:
    names = {"BitXor": "^", "FloorDiv": "//", "IfExp": "if … else", "Call": "this call"}
    if isinstance(node, ast.Constant):
        return f"{type(node.value).__name__} {node.value!r:.20}"
    return names.get(type(node).__name__, type(node).__name__.lower())


def _nearest(name: str, known: Any) -> str:
    from difflib import get_close_matches

    match = get_close_matches(name, [*known], n=1)
    return f" (did you mean {match[0]!r}?)" if match else ""


# ---- the report ----------------------------------------------------------------------


def _derivatives(
    source: str,
    tree: ast.expr,
    point: Mapping[str, float],
    wrt: list[str],
    order: int,
    result: str,
) -> list[str]:
    """A block for each order: derivatives beside central differences."""

    def f(*xs: Any) -> Any:
        return compute(source, tree, dict(zip(point, xs)))

    names, xs = list(point), list(point.values())
    below: dict[str, Callable[..., Any]] = dict.fromkeys(wrt, f)
    blocks = []
    for n in range(1, order + 1):
        rows = []
        for name in wrt:
            i = names.index(name)
            numeric, _ = difference(_along(below[name], xs, i), xs[i])
            below[name] = grad(below[name], i)
            ratio = _ratio(result, name, n, "d" if len(point) == 1 else "∂")
            rows.append((f"{ratio} = {below[name](*xs)!r}", _number(numeric)))
        width = max(len(row[0]) for row in rows)
        head = "Derivatives" if n == 1 else f"Derivatives of order {n}"
        lines = [f"  {exact:<{width}}   ({numeric})" for exact, numeric in rows]
        blocks.append("\n".join([f"{head} (central differences)", *lines]))
    return blocks


def _ratio(result: str, name: str, n: int, d: str) -> str:
    power = "" if n == 1 else str(n).translate(SUPERSCRIPTS)
    return f"{d}{power}{result}/{d}{name}{power}"


def _along(f: Callable[..., Any], xs: list[float], i: int) -> Callable[[float], float]:
    def along(x: float) -> float:
        y = f(*xs[:i], x, *xs[i + 1 :])
        return float(y.data if isinstance(y, Value) else y)

    return along


def _write_svg(y: Value, path: str) -> None:
    from .show.draw import draw

    try:
        draw(y).svg(path)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"--svg: {error}") from None


def _number(x: Any) -> str:
    return f"{float(getattr(x, 'data', x)):.10g}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


if __name__ == "__main__":
    sys.exit(main())
