"""What help() says of a row: what it is, its derivative, its domain and its edges.

All but the words is read off the row: the local derivatives are its rules, run on
Values of the operands' names.
"""

from __future__ import annotations

from inspect import Parameter, Signature, cleandoc
from itertools import product
from typing import Any, Final

from ..primitives import Primitive, clean, where
from ..value import Value
from .latex import TABLE, partial_formulas, title

WORDS: Final = {
    "abs": "the magnitude of x",
    "acos": "the angle from 0 to π whose cosine is x",
    "acosh": "the number of at least 0 whose hyperbolic cosine is x",
    "add": "the sum of x and y",
    "asin": "the angle from -π/2 to π/2 whose sine is x",
    "asinh": "the number whose hyperbolic sine is x",
    "atan": "the angle from -π/2 to π/2 whose tangent is x",
    "atan2": "the angle, from -π to π, of the point y to the right and x up",
    "atanh": "the number whose hyperbolic tangent is x",
    "beta": "the beta function, gamma(x)·gamma(y) / gamma(x + y)",
    "cbrt": "the cube root of x",
    "ceil": "the smallest whole number that is not below x",
    "clip": "x where it is between lo and hi, else the nearer bound",
    "copysign": "the magnitude of x with the sign of y",
    "cos": "the cosine of x, an angle in radians",
    "cosh": "the hyperbolic cosine of x, (eˣ + e⁻ˣ) / 2",
    "degrees": "x, an angle in radians, in degrees",
    "digamma": "the derivative of lgamma at x",
    "div": "x divided by y",
    "dot": "the sum of the products of two sequences: call it as dot(xs, ys)",
    "equal": "1 where x is y, else 0",
    "erf": "the error function, 2/√π times the integral of exp(-t²) from 0 to x",
    "erfc": "1 - erf(x), without the cancellation",
    "erfcx": "exp(x²)·erfc(x), without underflow",
    "erfinv": "the number whose error function is x",
    "exp": "e to the power of x",
    "exp2": "2 to the power of x",
    "expm1": "exp(x) - 1, without the cancellation near 0",
    "floor": "the largest whole number that is not above x",
    "fma": "x·y + w, rounded once",
    "fmod": "the remainder of x / y, with the sign of x",
    "gamma": "the gamma function, (x - 1)! for whole x",
    "gelu": "x times the probability that a standard normal number is below x",
    "greater": "1 where x is above y, else 0",
    "greater_equal": "1 where x is at least y, else 0",
    "hypot": "the length of the vector of all operands, √(x² + y² + …)",
    "identity": "x itself, as a node of its own",
    "lbeta": "the natural logarithm of beta(x, y), without overflow",
    "leaky_relu": "x where it is above 0, else slope times x",
    "less": "1 where x is below y, else 0",
    "less_equal": "1 where x is at most y, else 0",
    "lgamma": "the natural logarithm of the magnitude of gamma(x)",
    "log": "the natural logarithm of x, to the base e",
    "log1mexp": "log(1 - exp(x)), without the cancellation near 0",
    "log1p": "log(1 + x), without the cancellation near 0",
    "log2": "the logarithm of x to the base 2",
    "log10": "the logarithm of x to the base 10",
    "log_ndtr": "log of the probability that a standard normal number is below x",
    "log_sigmoid": "log(sigmoid(x)), without underflow",
    "logaddexp": "log(exp(x) + exp(y)), without overflow",
    "logsumexp": "log(exp(x) + exp(y) + …), without overflow",
    "maximum": "the larger of x and y",
    "minimum": "the smaller of x and y",
    "mod": "the remainder of x / y, with the sign of y",
    "mul": "the product of x and y",
    "neg": "x with the other sign",
    "not_equal": "1 where x is not y, else 0",
    "polygamma": "the derivative of order n + 1 of lgamma at x",
    "pow": "x to the power of y",
    "prod": "the product of all operands",
    "radians": "x, an angle in degrees, in radians",
    "relu": "x where it is above 0, else 0",
    "remainder": "x less the whole multiple of y that is nearest to it",
    "sigmoid": "1 / (1 + exp(-x)), a number from 0 to 1",
    "sign": "-1, 0 or 1, as x is below, at or above 0",
    "silu": "x times sigmoid(x)",
    "sin": "the sine of x, an angle in radians",
    "sinc": "sin(πx) / (πx), and 1 at 0",
    "sinh": "the hyperbolic sine of x, (eˣ - e⁻ˣ) / 2",
    "softplus": "log(1 + exp(x)), without overflow",
    "sqrt": "the square root of x",
    "stop_gradient": "x, of which no gradient is taken",
    "sub": "y taken from x",
    "tan": "the tangent of x, an angle in radians",
    "tanh": "the hyperbolic tangent of x, a number from -1 to 1",
    "trunc": "x without its decimal places: the whole number next to it towards 0",
    "where": "x where condition is true (not 0), else y; the other is left out",
    "xlogy": "x·log(y), and 0 where x and y are 0",
}


def described(row: Primitive) -> str:
    """What help() says of a row.

    >>> from autograd import log
    >>> print(described(log))
    log(x): the natural logarithm of x, to the base e
    <BLANKLINE>
    ∂/∂x    1/x
    domain  0.0 to inf, NaN elsewhere
    edges   log(0.0) = -inf, ∂/∂x = inf
            log(-1.0) = nan, ∂/∂x = nan
    <BLANKLINE>
    Of floats it gives a float, of Values a Value that remembers the operation.
    """
    names = operands(row)
    lines = [(f"∂/∂{x}", text) for x, text in zip(names, _derivatives(row, names))]
    low, high = row.domain
    if row.arity == 1:
        whole = (low, high) == (-float("inf"), float("inf"))
        bounds = "every number" if whole else f"{low!r} to {high!r}, NaN elsewhere"
        lines.append(("domain", bounds))
    lines += zip(["edges"] + [""] * len(row.edges), _edges(row, names))
    width = max(len(head) for head, _ in lines)
    return "\n".join([
        f"{_call(row, _parameters(row))}: {_words(row)}",
        "",
        *[f"{head:{width}}  {text}" for head, text in lines],
        "",
        "Of floats it gives a float, of Values a Value that remembers the operation.",
    ])  # fmt: skip


def signature(row: Primitive) -> Signature:
    """How a row is called, as inspect tells it.

    >>> from autograd import leaky_relu
    >>> print(signature(leaky_relu))
    (x, slope=0.01, /)
    """
    kind = Parameter.VAR_POSITIONAL if row.variadic else Parameter.POSITIONAL_ONLY
    names = [row_names(row)[0]] if row.variadic else operands(row)
    return Signature([
        Parameter(name, kind, default=default)
        for name, default in zip(names, _defaults(row, names))
    ])  # fmt: skip


def operands(row: Primitive) -> list[str]:
    """The operands' names, of which a row with any number has two."""
    return _letters(2) if row.variadic else row_names(row)


def row_names(row: Primitive) -> list[str]:
    """The names of operands in a rule, or in the value, or the usual ones."""
    code: Any
    if row.variadic:
        code = row.rules[0].__code__
        return [code.co_varnames[code.co_argcount]]
    for f, first in (*[(rule, 1) for rule in row.rules], (row.formula, 0)):
        code = getattr(f, "__code__", None)
        if code is not None and code.co_argcount == first + row.arity:
            return list(code.co_varnames[first : code.co_argcount])
    return _letters(row.arity)


def _letters(n: int) -> list[str]:
    return [*"xyw", *[f"x{i}" for i in range(4, n + 1)]][:n]


def _defaults(row: Primitive, names: list[str]) -> list[Any]:
    missing = [Parameter.empty] * (len(names) - len(row.defaults))
    return [*missing, *row.defaults]


def _parameters(row: Primitive) -> list[str]:
    if row.variadic:
        return [f"*{row_names(row)[0]}"]
    return [
        name if default is Parameter.empty else f"{name}={default!r}"
        for name, default in zip(operands(row), _defaults(row, operands(row)))
    ]


def _call(row: Primitive, args: list[str]) -> str:
    return f"{title(row)}({', '.join(args)})"


def _words(row: Primitive) -> str:
    """What it is: in our words if it is of the table, else in those of its value."""
    if row in TABLE:
        return WORDS.get(row.name, "a row of the table")
    said = cleandoc(getattr(row.formula, "__doc__", None) or "")
    return clean(said.partition("\n")[0], 80) or "a row of one's own"


def _derivatives(row: Primitive, names: list[str]) -> list[str]:
    """The local derivative for each operand, where it differs at several points."""
    found: list[dict[str, str]] = [{} for _ in names]
    for point in _points(row, len(names)):
        values = [Value(x) for x in point]
        at = f"({', '.join(f'{x:g}' for x in point)})"
        try:
            z = row(*values)
            texts = partial_formulas(z, dict(zip(values, names)))
        except Exception:  # whatever a row of one's own raises
            return ["as its rule gives it"] * len(names)
        for each, text in zip(found, texts):
            each.setdefault("0" if text is None else text, at)
    return [
        "; ".join(f"{text} at {at}" for text, at in each.items())
        if len(each) > 1
        else "".join(each)
        for each in found
    ]


def _points(row: Primitive, n: int) -> list[tuple[float, ...]]:
    """Corners of the sample of a row, off its middle, where most kinks are."""
    ranges: Any = row.sample if isinstance(row.sample[0], tuple) else (row.sample,) * n
    ends = [
        (low + 0.2 * (high - low), low + 0.7 * (high - low)) for low, high in ranges
    ]
    if row is where:  # of conditions, 0 alone is false
        ends[0] = (0.0, 1.0)
    return list(product(*ends))[-8:]


def _edges(row: Primitive, names: list[str]) -> list[str]:
    """What is fixed by convention, a line for each."""
    return [
        f"{_call(row, list(map(repr, args)))} = {value!r}, "
        + ", ".join(
            f"∂/∂{x} = {partial!r}"
            for x, partial in zip(names if row.arity else _letters(len(args)), partials)
        )
        for args, value, partials in row.edges
    ]
