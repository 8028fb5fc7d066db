"""Vectors of numbers in LLVM code, written as formulas: `x * x + 1.0` emits the code.

A `Lanes` stands for one LLVM value while a function is being built: eight doubles, or
eight whole numbers of 64 bits, or the eight truths that a comparison gives. Operators
and the functions below append instructions, so that a kernel reads like its formula.
Nothing is ever reassociated or contracted: what is written is computed.

    frame    where instructions go: the LLVM builder, the width, and whether the
             processor multiplies and adds in one step (fma)
    width    how many lanes; 0 stands for a plain number instead of a vector
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from llvmlite import ir  # type: ignore[import-untyped]

Number = int | float

FLOAT: Final = ir.DoubleType()
WHOLE: Final = ir.IntType(64)
TRUTH: Final = ir.IntType(1)


class Frame(NamedTuple):
    """The function being built."""

    code: Any  # an ir.IRBuilder
    width: int
    fma: bool

    def kind(self, element: Any) -> Any:
        """The LLVM type of a vector of such elements."""
        return ir.VectorType(element, self.width) if self.width else element

    def constant(self, element: Any, x: Number) -> Any:
        """The same number in every lane."""
        kind = self.kind(element)
        return ir.Constant(kind, [x] * self.width if self.width else x)

    def intrinsic(self, name: str, *xs: Lanes) -> Lanes:
        """LLVM's own function of that name, such as sqrt, on doubles."""
        kind = self.kind(FLOAT)
        suffix = f"v{self.width}f64" if self.width else "f64"
        signature = ir.FunctionType(kind, [kind] * len(xs))
        function = declared(self.code.module, f"llvm.{name}.{suffix}", signature)
        return Lanes(self, self.code.call(function, [x.value for x in xs]))


def declared(module: Any, name: str, signature: Any) -> Any:
    """The function of that name in the module, declared if it is not there yet."""
    return module.globals.get(name) or ir.Function(module, signature, name)


class Lanes:
    """One vector in the function being built; operators append instructions to it."""

    __slots__ = ("frame", "value")

    def __init__(self, frame: Frame, value: Any) -> None:
        self.frame, self.value = frame, value

    @property
    def element(self) -> Any:
        """The LLVM type of one lane."""
        kind = self.value.type
        return kind.element if self.frame.width else kind

    def lift(self, x: Lanes | Number) -> Lanes:
        """x as lanes of this kind."""
        if isinstance(x, Lanes):
            return x
        return Lanes(self.frame, self.frame.constant(self.element, x))

    def _emit(self, on_floats: str, on_wholes: str, *others: Lanes | Number) -> Lanes:
        name = on_floats if self.element == FLOAT else on_wholes
        operands = [self.lift(other).value for other in others]
        return Lanes(self.frame, getattr(self.frame.code, name)(self.value, *operands))

    def __add__(self, other: Lanes | Number) -> Lanes:
        return self._emit("fadd", "add", other)

    def __sub__(self, other: Lanes | Number) -> Lanes:
        return self._emit("fsub", "sub", other)

    def __mul__(self, other: Lanes | Number) -> Lanes:
        return self._emit("fmul", "mul", other)

    def __truediv__(self, other: Lanes | float) -> Lanes:
        return self._emit("fdiv", "", other)

    def __mod__(self, other: Lanes | float) -> Lanes:
        """C's fmod, with the sign of the dividend."""
        return self._emit("frem", "", other)

    def __radd__(self, other: Number) -> Lanes:
        return self.lift(other) + self

    def __rsub__(self, other: Number) -> Lanes:
        return self.lift(other) - self

    def __rmul__(self, other: Number) -> Lanes:
        return self.lift(other) * self

    def __rtruediv__(self, other: float) -> Lanes:
        return self.lift(other) / self

    def __neg__(self) -> Lanes:
        return self._emit("fneg", "neg")

    def __abs__(self) -> Lanes:
        return self.frame.intrinsic("fabs", self)

    def __and__(self, other: Lanes | int) -> Lanes:
        return self._emit("", "and_", other)

    def __or__(self, other: Lanes | int) -> Lanes:
        return self._emit("", "or_", other)

    def __xor__(self, other: Lanes | int) -> Lanes:
        return self._emit("", "xor", other)

    def __lshift__(self, count: Lanes | int) -> Lanes:
        return self._emit("", "shl", count)

    def __rshift__(self, count: Lanes | int) -> Lanes:
        """Shift in zeros: processors lack the other one on 64 bits."""
        return self._emit("", "lshr", count)

    def _compare(self, symbol: str, other: Lanes | float, with_nan: bool) -> Lanes:
        code = self.frame.code
        compare = code.fcmp_unordered if with_nan else code.fcmp_ordered
        return Lanes(self.frame, compare(symbol, self.value, self.lift(other).value))

    def __lt__(self, other: Lanes | float) -> Lanes:
        return self._compare("<", other, with_nan=False)

    def __le__(self, other: Lanes | float) -> Lanes:
        return self._compare("<=", other, with_nan=False)

    def __gt__(self, other: Lanes | float) -> Lanes:
        return self._compare(">", other, with_nan=False)

    def __ge__(self, other: Lanes | float) -> Lanes:
        return self._compare(">=", other, with_nan=False)

    def equals(self, other: Lanes | float) -> Lanes:
        return self._compare("==", other, with_nan=False)

    def differs(self, other: Lanes | float) -> Lanes:
        """Whether the two differ, as NaN does from everything."""
        return self._compare("!=", other, with_nan=True)


# ---- functions of lanes --------------------------------------------------------------


def choose(condition: Lanes, x: Lanes | float, y: Lanes | float) -> Lanes:
    """x in the lanes where the condition holds, y in the others."""
    pair = [
        v if isinstance(v, Lanes) else Lanes(frame, frame.constant(FLOAT, v))
        for frame in [condition.frame]
        for v in (x, y)
    ]
    chosen = condition.frame.code.select(condition.value, *[v.value for v in pair])
    return Lanes(condition.frame, chosen)


def fma(x: Lanes, y: Lanes | float, w: Lanes | float) -> Lanes:
    """x·y + w, rounded once where the processor can, else twice."""
    if not x.frame.fma:
        return x * y + w
    return x.frame.intrinsic("fma", x, x.lift(y), x.lift(w))


def sqrt(x: Lanes) -> Lanes:
    return x.frame.intrinsic("sqrt", x)


def copysign(x: Lanes | float, y: Lanes) -> Lanes:
    return y.frame.intrinsic("copysign", y.lift(x), y)


def bits(x: Lanes) -> Lanes:
    """The 64 bits of each double, as a whole number."""
    return Lanes(x.frame, x.frame.code.bitcast(x.value, x.frame.kind(WHOLE)))


def from_bits(n: Lanes) -> Lanes:
    """The doubles that have these bits."""
    return Lanes(n.frame, n.frame.code.bitcast(n.value, n.frame.kind(FLOAT)))


def odd(n: Lanes) -> Lanes:
    """Whether whole numbers are odd."""
    return Lanes(n.frame, n.frame.code.trunc(n.value, n.frame.kind(TRUTH)))


def between(x: Lanes, low: float, high: float) -> Lanes:
    """x moved to the nearer bound where it lies outside; NaN stays NaN."""
    x = choose(x > high, high, x)
    return choose(x < low, low, x)


def polynomial(x: Lanes, coefficients: tuple[float, ...]) -> Lanes:
    """c₀ + c₁x + c₂x² + …, by Estrin's scheme: pairs, then pairs of pairs in x² …

    The steps of one round do not wait for each other, as those of Horner's would.
    """
    terms: list[Lanes | float] = list(coefficients)
    while len(terms) > 1:
        pairs = [fma(x, high, low) for low, high in zip(terms[::2], terms[1::2])]
        terms = [*pairs, *terms[len(terms) - len(terms) % 2 :]]
        x = x * x if len(terms) > 1 else x
    return x.lift(terms[0])


def exact_product(x: Lanes, y: Lanes) -> tuple[Lanes, Lanes]:
    """x·y rounded, and what the rounding left out (T. J. Dekker, 1971)."""
    product = x * y
    if x.frame.fma:
        return product, fma(x, y, -product)
    (a, b), (c, d) = _halves(x), _halves(y)
    return product, ((a * c - product) + a * d + b * c) + b * d


def _halves(x: Lanes) -> tuple[Lanes, Lanes]:
    """x as a sum of two numbers of 26 bits, whose products are exact."""
    blown = x * (2.0**27 + 1.0)
    head = blown - (blown - x)
    return head, x - head


def exact_sum(x: Lanes, y: Lanes) -> tuple[Lanes, Lanes]:
    """x + y rounded, and what the rounding left out, for |x| ≥ |y| or x = 0."""
    total = x + y
    return total, y - (total - x)


def repaired(fast: Lanes, wrong: Lanes, repair: Callable[[], Lanes]) -> Lanes:
    """`fast`, save in the lanes where it is wrong: these get what `repair` computes.

    The code that repairs is jumped over as long as no lane needs it. No lane sees
    whether another did: each takes its number from one or the other.
    """
    code, width = fast.frame.code, fast.frame.width
    mask = code.bitcast(wrong.value, ir.IntType(width))
    before = code.block
    with code.if_then(code.icmp_unsigned("!=", mask, mask.type(0)), likely=False):
        slow = choose(wrong, repair(), fast)
        after = code.block
    chosen = code.phi(fast.value.type)
    chosen.add_incoming(fast.value, before)
    chosen.add_incoming(slow.value, after)
    return Lanes(fast.frame, chosen)


def lane_by_lane(function: Any, x: Lanes) -> Lanes:
    """A function of one double applied to each lane in turn."""
    code, result = x.frame.code, x.value
    for lane in range(x.frame.width):
        index = ir.Constant(ir.IntType(32), lane)
        z = code.call(function, [code.extract_element(x.value, index)])
        result = code.insert_element(result, z, index)
    return Lanes(x.frame, result)
