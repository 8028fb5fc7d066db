"""Arithmetic as text: parsed with `ast`, held against a whitelist, computed on Values.

Nothing is ever evaluated as Python. What is not understood is refused with the place
and the near known form: people write ln(x), 2x, x² and |x|, and mean log(x), 2*x, x**2
and abs(x).
"""

from __future__ import annotations

import ast
import keyword
import math
import re
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Final

from . import primitives
from .primitives import Primitive

CONSTANTS: Final = {"pi": math.pi, "e": math.e, "tau": math.tau}
DEEP: Final = 50  # levels: more are called nested, not long

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
    ast.MatMult: "write dot(a, b), or * for a product",
    ast.BitOr: "write abs(x) for |x|, maximum(a, b) for a choice",
    ast.BitAnd: "write minimum(a, b)",
    ast.And: "write a * b",
    ast.Or: "write maximum(a, b)",
    ast.Not: "write 1 - a",
    ast.Compare: "write (a < b) * (b < c) for a < b < c",
    ast.IfExp: "write where(condition, a, b)",
    ast.Constant: "write a real number",
    ast.Tuple: "a decimal point is written ., as in 1.5",
    ast.Attribute: "write sin(x), not math.sin(x)",
    ast.Call: "call a function by its name, with positional arguments",
}
KINDS: Final = {
    "BitXor": "^", "BitOr": "|", "BitAnd": "&", "Invert": "~", "FloorDiv": "//",
    "MatMult": "@", "IfExp": "if … else", "Call": "this call", "Tuple": "a comma",
    "Compare": "this comparison", "JoinedStr": "text",
}  # fmt: skip
ELSEWHERE: Final = {  # what other languages and books call a function
    "ln": "log", "lg": "log10", "lb": "log2", "tg": "tan", "cot": "1/tan(x)",
    "ctg": "1/tan(x)", "sec": "1/cos(x)", "csc": "1/sin(x)", "arcsin": "asin",
    "arccos": "acos", "arctan": "atan", "arctg": "atan", "arctan2": "atan2",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "arsinh": "asinh",
    "arcosh": "acosh", "artanh": "atanh", "sh": "sinh", "ch": "cosh", "th": "tanh",
    "max": "maximum", "min": "minimum", "sgn": "sign", "signum": "sign", "fabs": "abs",
    "absolute": "abs", "sqr": "x**2", "square": "x**2", "cube": "x**3", "root": "sqrt",
    "power": "pow", "ceiling": "ceil", "int": "floor", "round": "floor(x + 0.5)",
    "logistic": "sigmoid", "expit": "sigmoid",
    "swish": "silu", "factorial": "gamma(x + 1)", "gammaln": "lgamma",
    "psi": "digamma", "heaviside": "x > 0", "softmax": "exp(x - logsumexp(x, y))",
    "log_softmax": "x - logsumexp(x, y)", "isnan": "x != x",
    "if": "where(condition, a, b)", "iif": "where(condition, a, b)", "deg": "degrees",
    "rad": "radians", "sum": "x + y", "norm": "hypot",
}  # fmt: skip
RAISED: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿˣ", "0123456789-+nx")
NAME: Final = r"(?!(?:if|else|and|or|not|in|is|for|lambda)\b)[^\W\d]\w*"
NUMBER: Final = (  # taken whole: 1e5 is not 1 times e5, nor 0x1F 0 times x1F
    r"(?!0[xob][\da-fA-F])(?>(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
)
WORDS: Final = {*keyword.kwlist} - {"not", "await", "True", "False", "None"}
WORD: Final = re.compile(  # of Python, where a name should stand
    r"(?:^|[-+*/%(,<>=^])\s*"
    rf"(?P<word>{'|'.join(WORDS)})"
    r"\s*(?=$|[-+*/%(),<>=^])"
)
FORMS: Final = (  # what Python cannot read: where it begins, and what to write
    ("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿˣ]+", "a power is written **{raised}"),
    ("[×·⋅∙✕]", "a product is written *"),
    ("[÷∕]", "a quotient is written /"),
    ("[−–—]", "minus is written -"),
    ("√", "a root is written sqrt(x)"),
    ("∞", "write a finite number"),
    ("≤", "write <="),
    ("≥", "write >="),
    ("≠", "write !="),
    (r"\|", "write abs(x) for |x|"),
    ("!(?!=)", "a factorial is written gamma(x + 1)"),
    (r"[‘’“”`´\"'\\$;:?]", "leave out {0}"),
    ("[¼½¾⅐-⅞]", "a fraction is written a/b, as in 1/2"),
    (rf"(?<![\w.])(?P<x>{NUMBER})\s*(?P<y>{NAME})", "write {form}"),
    (rf"\)\s*(?={NAME}|\d)", "a product is written )*"),
    (rf"(?<!\w)(?P<x>{NAME})\s+(?P<y>{NAME}|\d+\.?\d*)", "write {form}"),
    ("(?<![<>=!*/%+-])=(?!=)", "leave out what is left of ="),
)


class InputError(Exception):
    """What is wrong with the input, where in it, and the remedy."""

    def __init__(self, message: str, source: str = "", at: int = 0) -> None:
        super().__init__(message)
        self.source, self.at = source, at


def parse(source: str) -> ast.expr:
    """The syntax tree of an expression, not yet checked.

    >>> type(parse("x + 1")).__name__
    'BinOp'
    """
    for character, what in ("#", "a comment"), ("\0", "a null byte"):
        if character in source:
            at = source.index(character)
            raise InputError(f"{what} cannot stand here:", source, at)
    if not source.strip():
        raise InputError("the expression cannot be read, for it is empty: write x**2")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source.lstrip(), mode="eval").body
    except SyntaxError as error:
        raise _unreadable(source, error) from None
    except (RecursionError, MemoryError):
        raise _too_large(source) from None
    except UnicodeEncodeError as error:
        at = len(source) - len(source.lstrip()) + error.start
        raise InputError("half a character cannot stand here:", source, at) from None


def compute(source: str, tree: ast.expr, variables: Mapping[str, Any]) -> Any:
    """The value of a parsed expression; InputError for anything but arithmetic.

    >>> compute("x**2 + 1", parse("x**2 + 1"), {"x": 3.0})
    10.0
    """
    try:
        return _Computation(source, variables).visit(tree)
    except RecursionError:
        raise _too_large(source) from None


class _Computation:
    """One walk down a syntax tree, to numbers or Values."""

    def __init__(self, source: str, variables: Mapping[str, Any]) -> None:
        self.source, self.variables = source.lstrip(), variables

    def visit(self, node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=bool()):
                raise self.error(node, "True and False are no numbers; write 1 or 0")
            case ast.Constant(value=int() | float() as value):
                return self.number(node, value)
            case ast.Name(id=name) | ast.Call(func=ast.Name(id=name)) if (
                "·" in name and name not in self.variables
            ):  # a letter to Python
                raise self.error(node, "a product is written *")
            case ast.Name(id=name):
                return self.lookup(node, name)
            case ast.UnaryOp(op=ast.UAdd(), operand=x):
                return self.visit(x)
            case ast.UnaryOp(op=op, operand=x) if type(op) in OPERATORS:
                return OPERATORS[type(op)](self.visit(x))
            case ast.BinOp():
                return self.chain(node)
            case ast.Compare(left=x, ops=[op], comparators=[y]) if (
                type(op) in OPERATORS
            ):
                return OPERATORS[type(op)](self.visit(x), self.visit(y))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self.call(node, name, [self.visit(arg) for arg in args])
            case ast.Call(func=ast.Attribute(attr=name)) if name in FUNCTIONS:
                raise self.error(node, f"call {name} by its name alone, {name}(x)")
            case ast.Call(func=ast.Constant() | ast.BinOp() | ast.Call()):
                raise self.error(node, "a product is written *, as in 2*(x + 1)")
        raise self.refusal(node)

    def chain(self, node: ast.BinOp) -> Any:
        """A sum or product of any length, from its first term on."""
        steps, first = [node], node.left
        while isinstance(first, ast.BinOp):
            steps.append(first)
            first = first.left
        result = self.visit(first)
        for step in reversed(steps):
            if type(step.op) not in OPERATORS:
                raise self.refusal(step)
            result = OPERATORS[type(step.op)](result, self.visit(step.right))
        return result

    def number(self, node: ast.AST, value: float) -> float:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.error(node, "this number is too large for a float64; scale it")
        return number

    def lookup(self, node: ast.AST, name: str) -> Any:
        if name in self.variables:
            return self.variables[name]
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in FUNCTIONS:
            raise self.error(node, f"{name!r} is a function; call it, as in {name}(x)")
        meant = self.pieces(name) or near(name, [*self.variables, *CONSTANTS])
        raise self.error(node, f"{name!r} has no value; add {name}=number{hint(meant)}")

    def pieces(self, name: str) -> str:
        """What a name may stand for that is two: xy is x*y, and sinx is sin(x)."""
        known = {*self.variables, *CONSTANTS}
        for k in range(len(name) - 1, 0, -1):
            first, second = name[:k], name[k:]
            if first in FUNCTIONS and second in known:
                return f"{first}({second})"
            if first in known and second in known:
                return f"{first}*{second}"
        return "pi" if name in ("π", "PI") else ""

    def call(self, node: ast.AST, name: str, args: list[Any]) -> Any:
        row = FUNCTIONS.get(name)
        if row is None and (name in self.variables or name in CONSTANTS):
            raise self.error(
                node, f"{name!r} is no function; a product is written {name}*(…)"
            )
        if row is None:
            meant = ELSEWHERE.get(name.lower()) or near(name, FUNCTIONS)
            raise self.error(node, f"no function is called {name!r}{hint(meant)}")
        try:
            return row(*args)
        except (TypeError, ValueError) as error:
            message = str(error).partition("; see help")[0]
            raise self.error(node, message) from None

    def refusal(self, node: ast.AST) -> InputError:
        culprit = getattr(node, "op", node)
        remedy = REMEDIES.get(type(culprit), "use + - * / % ** and functions")
        return self.error(node, f"{_kind(culprit)} is not arithmetic; {remedy}")

    def error(self, node: ast.AST, message: str) -> InputError:
        before = self.source.encode()[: getattr(node, "col_offset", 0)]
        at = len(before.decode(errors="ignore"))
        return InputError(message + ":", self.source, at)


def near(name: str, known: Iterable[str]) -> str:
    """The known name that is most like this one, or "".

    >>> near("SIN", ["cos", "sin"]), near("sine", ["cos", "sin"]), near("q", ["sin"])
    ('sin', 'sin', '')
    """
    from difflib import get_close_matches

    names = {other.lower(): other for other in known}
    match = get_close_matches(name.lower(), names, n=1)
    return names[match[0]] if match else ""


def hint(meant: str) -> str:
    """A question after a message, where there is something to ask.

    >>> hint("sin"), hint("")
    (" (did you mean 'sin'?)", '')
    """
    return f" (did you mean {meant!r}?)" if meant else ""


def _kind(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return f"{type(node.value).__name__} {node.value!r:.20}"
    return KINDS.get(type(node).__name__, type(node).__name__.lower())


def _unreadable(source: str, error: SyntaxError) -> InputError:
    """What Python could not read, and the form that is meant, where that is known."""
    end = (error.offset or len(source.lstrip()) + 1) - 1  # 0 where more should follow
    at = end + len(source) - len(source.lstrip())
    reason = (error.msg or "cannot be read").replace("invalid syntax. ", "")
    if "too many nested" in reason:
        return _too_large(source)
    if "set_int_max_str_digits" in reason:
        reason = "a number has too many digits"
    elif "never closed" not in reason and "unmatched" not in reason:
        reason, at = _meant(source, at) or (reason, at)
    message = f"the expression cannot be read ({reason}):"
    return InputError(message, source, min(at, len(source)))


def _meant(source: str, at: int) -> tuple[str, int] | None:
    """The word or form that reading ended at, as what to write and where it begins."""
    found = WORD.search(source)
    if found:
        word = found["word"]
        other = hint(ELSEWHERE.get(word, ""))
        return f"{word!r} is a word of Python; take another name{other}", found.start(1)
    for pattern, form in FORMS:
        for found in re.finditer(pattern, source):
            if found.start() - 1 <= at <= found.end():
                return _form(found, form), found.start()
    return ("something is missing at its end", at) if at == len(source) else None


def _form(found: re.Match[str], form: str) -> str:
    """What to write instead of a form that was met."""
    words = found.groupdict()
    x, y = words.get("x", ""), words.get("y", "").replace("π", "pi")
    pair = f"{x}({y})" if x in FUNCTIONS else f"{x}*{y}"
    raised = found[0].translate(RAISED)
    return form.format(found[0], raised=raised, form=pair, **words)


def _too_large(source: str) -> InputError:
    """An expression of too many levels, or of too many terms."""
    depth = deepest = 0
    for character in source:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    signs = re.search(rf"([-+~]\s*){{{DEEP}}}", source)
    if deepest > DEEP or signs or source.count("**") > DEEP:
        what = "is nested too deeply; name parts of it"
    else:
        what = "has too many terms; take fewer"
    return InputError(f"the expression {what}:", source, len(source) // 2)
