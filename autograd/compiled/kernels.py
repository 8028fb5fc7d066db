"""The rows of the table on vectors: each a formula that becomes LLVM code.

A kernel takes lanes and gives lanes. All reduce their argument to a short interval, use
a polynomial there and undo the reduction, without tables and without branches, so that
eight points cost what one does. The one exception: sines of more than 10⁵, and
remainders of large quotients, leave for a slow path, and only the lanes concerned.

No result is off by more than 4 units in the last place (see the tests for each row), at
subnormal and huge arguments as well; at signed zeros, infinities and NaN a kernel gives
what its row gives. A lane's result never depends on its neighbours or on the width.

Coefficients are minimax: found by Remez' exchange in 45 digits for the relative error
of the function computed; the first few are rounded one by one, the rest fitted anew
after each. Beside them stand interval, degree and the relative error that is left.
"""

from __future__ import annotations

import inspect
import math
import struct
from collections.abc import Callable, Sequence
from functools import cache
from math import inf, nan
from typing import Any, Final

from llvmlite import binding, ir  # type: ignore[import-untyped]

from .lanes import (
    FLOAT,
    WHOLE,
    Frame,
    Lanes,
    between,
    bits,
    choose,
    copysign,
    declared,
    exact_product,
    exact_sum,
    fma,
    from_bits,
    lane_by_lane,
    odd,
    polynomial,
    repaired,
    sqrt,
)
from .machine import before_a_fork, compiling

Kernel = Callable[..., Lanes]
Family = Callable[[Lanes], tuple[Lanes, ...]]

_calls: Final = getattr(binding.ffi.lib, "_lock", None)  # each call of LLVM holds it
if _calls is not None:
    before_a_fork.append(_calls)


def vector_function(
    module: Any, name: str, width: int, *, fma: bool | None = None
) -> Any:
    """The function in an LLVM module that computes the row `name` on vectors, or None.

    It takes one `<width x double>` for each operand of the row and is defined when
    first asked for. With `fma` it multiplies and adds in one step, which is slow on a
    processor that cannot; None looks at this machine.

    >>> module = ir.Module()
    >>> vector_function(module, "exp", 8).name
    'exp.v8'
    >>> vector_function(module, "gamma", 8) is None
    True

    For names of one family, joined by "+", it gives a structure of their results.

    >>> vector_function(module, "sin+cos", 8).name
    'sin+cos.v8'
    """
    kernel = KERNELS.get(name) or _joint_kernel(name)
    if kernel is None:
        return None
    defined = module.globals.get(f"{name}.v{width}")
    if defined:
        return defined
    if fma is None:
        fma = _machine_has_fma()
    kind = ir.VectorType(FLOAT, width)
    arity = len(inspect.signature(kernel).parameters)
    joint = ir.LiteralStructType([kind] * (1 + name.count("+")))
    signature = ir.FunctionType(kind if name in KERNELS else joint, [kind] * arity)
    function = _empty_function(module, f"{name}.v{width}", signature)
    code = ir.IRBuilder(function.append_basic_block())
    frame = Frame(code, width, fma)
    result = kernel(*[Lanes(frame, arg) for arg in function.args])
    whole = result.value if isinstance(result, Lanes) else _packed(code, joint, result)
    code.ret(whole)
    return function


def _packed(code: Any, structure: Any, results: Sequence[Lanes]) -> Any:
    packed = ir.Constant(structure, ir.Undefined)
    for i, z in enumerate(results):
        packed = code.insert_value(packed, z.value, i)
    return packed


def _joint_kernel(name: str) -> Callable[[Lanes], Sequence[Lanes]] | None:
    """The kernel of several rows of a family."""
    names = name.split("+")
    for family, kernel in FAMILIES.items():
        if {*names} <= {*family}:
            return _members(kernel, [family.index(each) for each in names])
    return None


def _members(kernel: Family, places: Sequence[int]) -> Callable[[Lanes], list[Lanes]]:
    def joint(x: Lanes) -> list[Lanes]:
        results = kernel(x)
        return [results[i] for i in places]

    return joint


@cache
def _machine_has_fma() -> bool:
    """Whether this processor multiplies and adds in one step; only x86 may not."""
    x86 = binding.get_default_triple().startswith(("x86", "i386", "i686"))
    return not x86 or bool(binding.get_host_cpu_features().get("fma"))


def _empty_function(module: Any, name: str, signature: Any) -> Any:
    function = ir.Function(module, signature, name)
    function.linkage = "internal"
    function.attributes.add("nounwind")
    return function


# fmt: off
# ---- constants and coefficients ------------------------------------------------------

SMALLEST_NORMAL: Final = 2.0**-1022
FRACTION: Final = 2**52 - 1  # the bits of a double behind its exponent
LN2: Final = math.log(2.0)
SQRT_HALF: Final = math.sqrt(0.5)

# A constant in two or three parts: the first few bits, so that their product with a
# small whole number is exact, then the rest.
LN2_PARTS: Final = (0.6931471805592082, 7.371002565167799e-13)
LOG10_2_PARTS: Final = (0.30102999566361177, 3.694239077158931e-13)
PI_PARTS: Final = (3.1415926535846666, 5.1266883031679116e-12, 2.1125998133974855e-23)

# A constant to twice the precision: the nearest double, then the rest.
PI, PI_REST = 3.141592653589793, 1.2246467991473532e-16
LOG2_E, LOG2_E_REST = 1.4426950408889634, 2.0355273740931033e-17
LOG10_E, LOG10_E_REST = 0.4342944819032518, 1.098319650216765e-17
TWO_THIRDS, TWO_THIRDS_REST = 0.6666666666666666, 3.700743415417188e-17

# t = x + WHOLE_SHIFT has the whole number n nearest to x in its last bits. SHIFT has it
# there as n + 2046: with the bias of the two exponents that `_scaled` makes of it.
WHOLE_SHIFT: Final = 1.5 * 2.0**52
SHIFT: Final = WHOLE_SHIFT + 2046.0

# (eʳ - 1 - r) / r², |r| ≤ ln(2)/2, degree 10: 2⁻⁶³
EXP: Final = (
    0.5, 0.16666666666666688, 0.041666666666666824, 0.008333333333313929,
    0.0013888888888777843, 0.00019841269903225368, 2.480158755815859e-05,
    2.755722886750563e-06, 2.755707040986088e-07, 2.5113857697144452e-08,
    2.0976292322175637e-09,
)
# (sinh(r)/r - 1) / r² in r², the same interval, degree 4: 2⁻⁶¹
SINH: Final = (
    0.16666666666666677, 0.008333333333321374, 0.00019841269886784052,
    2.7557243568051412e-06, 2.5109250464718198e-08,
)
# (cosh(r) - 1) / r² in r², the same interval, degree 5: 2⁻⁷⁰
COSH: Final = (
    0.5, 0.041666666666666685, 0.0013888888888873283, 2.4801587349200524e-05,
    2.7557251823919284e-07, 2.0921767219892966e-09,
)
# (ln((1 + s)/(1 - s))/s - 2) / s² in s², |s| ≤ 3 - 2√2, degree 6: 2⁻⁵⁹
LOG: Final = (
    0.6666666666666734, 0.39999999999416463, 0.2857142874207511, 0.2222219859982768,
    0.18183563162232821, 0.15314075301623378, 0.1479574939955008,
)
# The same without its first term 2/3, over s² once more, degree 7: 2⁻⁷³
LOG_REST: Final = (
    0.3999999999999998, 0.28571428571443847, 0.22222222217787593, 0.18181818844325354,
    0.1538455840283815, 0.13336265549160808, 0.11675758986976416, 0.11981932932570957,
)
# (sin(r)/r - 1) / r² in r², |r| ≤ π/4, degree 5: 2⁻⁵⁷
SIN: Final = (
    -0.1666666666666663, 0.00833333333332184, -0.00019841269829358975,
    2.755731353905356e-06, -2.505073457057232e-08, 1.589545156726153e-10,
)
# (cos(r) - 1 + r²/2) / r⁴ in r², the same interval, degree 5: 2⁻⁶³
COS: Final = (
    0.041666666666666595, -0.0013888888888873342, 2.480158728900148e-05,
    -2.7557314216646436e-07, 2.0875705312461403e-09, -1.1358743426786304e-11,
)
# (atan(t)/t - 1) / t² in t², |t| ≤ √2 - 1, degree 10: 2⁻⁵⁹
ATAN: Final = (
    -0.333333333333332, 0.19999999999953663, -0.14285714280197692, 0.11111110783342527,
    -0.09090897751418113, 0.0769206007028519, -0.06663102162691735, 0.05847874336756182,
    -0.050392331274067274, 0.038062661608248206, -0.01790505849397224,
)
# (asin(t)/t - 1) / t² in t², |t| ≤ 1/2, degree 12: 2⁻⁵⁹
ASIN: Final = (
    0.1666666666666676, 0.07499999999970813, 0.04464285717464523, 0.03038194270460603,
    0.022372215110596554, 0.017351609331305935, 0.013980857377018886,
    0.011398578297706689, 0.01078228443254768, 0.0036981938620832414,
    0.02172863200588321, -0.021030604758362027, 0.032649259886828715,
)
# erf(x)/x - 1 in x², |x| ≤ 1, degree 11: 2⁻⁵⁵
ERF: Final = (
    0.12837916709551256, -0.37612638903183343, 0.11283791670936949,
    -0.026866170641958613, 0.0052239775967287145, -0.0008548325484515161,
    0.0001205528047804658, -1.4924465210843231e-05, 1.644414446192908e-06,
    -1.6183938901331513e-07, 1.3616453137679074e-08, -7.607322856972772e-10,
)
# exp(x²)·erfc(x)·(1 + 2x) - 5/4 in (x - 4)/(x + 4), 0 ≤ x ≤ 28, degree 22: 2⁻⁵³
# (the form is that of M. M. Shepherd and J. G. Laframboise, 1981)
ERFCX: Final = (
    -0.01700488137444749, -0.1396211168405629, 0.015379652102619601,
    0.0680970542547374, -0.10103906603628851, 0.09373283499677916,
    -0.06633036581287671, 0.037167515562711126, -0.016197734044856638,
    0.0050319697557192665, -0.0007577734274221224, -0.0001992555224294924,
    0.00015062255879435196, -2.440305123670695e-05, -1.1225497580580165e-05,
    5.717470987092428e-06, 3.022886632942439e-07, -8.343841552477623e-07,
    6.208675269306681e-08, 1.1459864967862553e-07, -7.644129865573197e-09,
    -1.3375350500260039e-08, -1.7333791066470067e-09,
)
# r^(-1/3), 0.905 ≤ r ≤ 1.095, degree 4: 2⁻²³
CBRT: Final = (
    1.8756136120699278, -1.8837697328154808, 1.619833048060231, -0.7574812312659727,
    0.14580430816621542,
)
# fmt: on


def _bits_of(x: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", x))[0])


# ---- exponentials --------------------------------------------------------------------


def _exponential(x: Lanes, rest: Lanes | None = None) -> tuple[Lanes, Lanes]:
    """e^(x + rest) as 2ⁿ(1 + p): p, and t, in whose last bits stands n."""
    t, r = _over_ln2(between(x, -800.0, 710.0))
    return _exp_less_one(r if rest is None else r + rest), t


def _exp_less_one(r: Lanes) -> Lanes:
    """eʳ - 1 for |r| ≤ ln(2)/2."""
    return fma(r * r, polynomial(r, EXP), r)


def _over_ln2(x: Lanes) -> tuple[Lanes, Lanes]:
    """n = x / ln(2), rounded, as t = n + SHIFT, and r = x - n·ln(2)."""
    t = fma(x, LOG2_E, SHIFT)
    n = t - SHIFT
    head, rest = LN2_PARTS
    return t, fma(n, -rest, fma(n, -head, x))


def _scaled(p: Lanes, t: Lanes) -> Lanes:
    """p·2ⁿ in two steps, so that 2ⁿ may overflow and the result be subnormal."""
    half = bits(t) >> 1
    return p * from_bits(half << 52) * from_bits((bits(t) - half) << 52)


def _two_to_minus(t: Lanes, times: int = 1) -> Lanes:
    """2⁻ⁿ, or 2⁻²ⁿ, where that is a normal number."""
    n = bits(t) - _bits_of(SHIFT)
    return from_bits((1023 - n * times) << 52)


def exp(x: Lanes) -> Lanes:
    p, t = _exponential(x)
    return _scaled(p + 1.0, t)


def exp2(x: Lanes) -> Lanes:
    x = between(x, -1080.0, 1030.0)
    t = x + SHIFT
    r = (x - (t - SHIFT)) * LN2
    return _scaled(_exp_less_one(r) + 1.0, t)


def expm1(x: Lanes) -> Lanes:
    """2ⁿ·((eʳ - 1) + (1 - 2⁻ⁿ)): what is left of x near 0 is all in eʳ - 1."""
    t, r = _over_ln2(between(x, -40.0, 710.0))
    gap = choose(t > SHIFT + 60.0, 1.0, 1.0 - _two_to_minus(t))
    return copysign(_scaled(_exp_less_one(r) + gap, t), x)


def _hyperbolic(x: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """sinh x and cosh x for x ≥ 0, both over 2ⁿ, and t with n in its last bits.

    With r = x - n·ln(2), by the addition theorems: sinh x = a·cosh r + b·sinh r and
    cosh x = b·cosh r + a·sinh r, where a and b are sinh and cosh of n·ln(2).
    """
    t, r = _over_ln2(x)
    tiny = 0.5 * _two_to_minus(choose(t > SHIFT + 60.0, SHIFT + 60.0, t), times=2)
    a, b = 0.5 - tiny, 0.5 + tiny
    square = r * r
    sine = fma(r * square, polynomial(square, SINH), r)
    cosine = square * polynomial(square, COSH)  # without its 1
    return a + fma(a, cosine, b * sine), b + fma(b, cosine, a * sine), t


def sinh(x: Lanes) -> Lanes:
    sine, _, t = _hyperbolic(between(abs(x), 0.0, 711.0))
    return copysign(_scaled(sine, t), x)


def cosh(x: Lanes) -> Lanes:
    _, cosine, t = _hyperbolic(between(abs(x), 0.0, 711.0))
    return _scaled(cosine, t)


def hyperbolic_tangent(x: Lanes) -> tuple[Lanes, Lanes]:
    """tanh x and its slope 1 / cosh² x, which has digits where 1 - tanh² x has none."""
    sine, cosine, t = _hyperbolic(between(abs(x), 0.0, 400.0))
    inverse = 1.0 / cosine
    root = inverse * _two_to_minus(t)
    return copysign(sine * inverse, x), root * root


def logistic(x: Lanes) -> tuple[Lanes, ...]:
    """σ(x), σ'(x), x·σ(x), x·σ'(x) and ln(1 + eˣ), all by one exponential.

    Where it is subnormal, x goes in before its digits are lost.
    """
    p, t = _exponential(-abs(x))
    p = p + 1.0
    e, part = _scaled(p, t), _scaled(p * between(x, -800.0, 800.0), t)
    right, inverse = x >= 0.0, 1.0 / (1.0 + e)
    square = inverse * inverse
    return (
        choose(right, 1.0, e) * inverse,
        e * square,
        choose(right, x, part) * inverse,
        choose(abs(x).equals(inf), 0.0, part * square),
        maximum(x, x.lift(0.0)) + log1p(e),
    )


# ---- logarithms ----------------------------------------------------------------------


def _split(x: Lanes) -> tuple[Lanes, Lanes]:
    """x = 2ᵉm with √½ ≤ m < √2, for finite x > 0; e is a double."""
    subnormal = x < SMALLEST_NORMAL
    word = bits(choose(subnormal, x * 2.0**54, x))
    moved = word + (_bits_of(1.0) - _bits_of(SQRT_HALF))
    exponent = from_bits((moved >> 52) | _bits_of(2.0**52))  # 2⁵² + e + 1023
    e = exponent - choose(subnormal, 2.0**52 + 1077.0, 2.0**52 + 1023.0)
    return e, from_bits((moved & FRACTION) + _bits_of(SQRT_HALF))


def _log_of_one_plus(f: Lanes) -> tuple[Lanes, Lanes]:
    """ln(1 + f) as f - c, for √½ ≤ 1 + f < √2: the digits of a small f stay.

    With s = f / (2 + f), it is ln((1 + s)/(1 - s)) = 2s + …, and 2s = f - s·f.
    """
    s = f / (2.0 + f)
    z = s * s
    half_square = 0.5 * f * f
    return f, half_square - s * (half_square + z * polynomial(z, LOG))


def _where_defined(x: Lanes, z: Lanes) -> Lanes:
    """A logarithm's z where x is positive and finite, its limits and NaN elsewhere."""
    limit = choose(x.equals(0.0), -inf, choose(x.equals(inf), inf, nan))
    return choose((x > 0.0) & (x < inf), z, limit)


def _add_exponent(e: Lanes, f: Lanes, correction: Lanes) -> Lanes:
    """e·ln(2) + f - correction, small terms first."""
    head, rest = LN2_PARTS
    return fma(e, head, f - (correction - e * rest))


def log(x: Lanes) -> Lanes:
    e, m = _split(x)
    return _where_defined(x, _add_exponent(e, *_log_of_one_plus(m - 1.0)))


def log1p(x: Lanes) -> Lanes:
    """The logarithm of 1 + x, and of what was lost in rounding that sum."""
    total = 1.0 + x
    part = total - 1.0
    lost = (1.0 - (total - part)) + (x - part)
    e, m = _split(total)
    shrunk = from_bits(bits(m) - bits(total) + _bits_of(1.0))  # 2⁻ᵉ
    exact = e.equals(0.0)  # x itself serves, nothing is lost
    f, correction = _log_of_one_plus(choose(exact, x, m - 1.0))
    correction = correction - choose(exact | (e > 64.0), 0.0, lost * shrunk)
    return copysign(_where_defined(total, _add_exponent(e, f, correction)), x)


def _log_of_mantissa(x: Lanes) -> tuple[Lanes, Lanes]:
    e, m = _split(x)
    f, correction = _log_of_one_plus(m - 1.0)
    return e, f - correction


def log2(x: Lanes) -> Lanes:
    e, z = _log_of_mantissa(x)
    return _where_defined(x, fma(z, LOG2_E, fma(z, LOG2_E_REST, e)))


def log10(x: Lanes) -> Lanes:
    e, z = _log_of_mantissa(x)
    head, rest = LOG10_2_PARTS
    small = fma(z, LOG10_E_REST, e * rest)
    return _where_defined(x, fma(e, head, fma(z, LOG10_E, small)))


def asinh(x: Lanes) -> Lanes:
    a = abs(x)
    z = _log1p_or_log(a, a + a * a / (1.0 + sqrt(fma(a, a, 1.0))))
    return copysign(z, x)


def acosh(x: Lanes) -> Lanes:
    y = x - 1.0
    z = _log1p_or_log(x, y + sqrt(y * (y + 2.0)))
    return choose(x >= 1.0, z, nan)


def _log1p_or_log(x: Lanes, y: Lanes) -> Lanes:
    """ln(1 + y), or ln(2x) where x is so large that the square in y overflows."""
    large = x > 2.0**60
    return log1p(choose(large, x, y)) + choose(large, LN2, 0.0)


def atanh(x: Lanes) -> Lanes:
    a = abs(x)
    return copysign(0.5 * log1p(2.0 * a / (1.0 - a)), x)


# ---- powers and roots ----------------------------------------------------------------


def pow(x: Lanes, y: Lanes) -> Lanes:
    """exp(y·ln|x|), the logarithm to 65 bits, then C's rules for signs and limits."""
    size = abs(x)
    head, rest = _precise_log(size)
    exponent, lost = exact_product(y, head)
    lost = choose(abs(exponent) < 1000.0, fma(y, rest, lost), 0.0)
    p, t = _exponential(exponent, lost)
    z = _scaled(p + 1.0, t)
    z = choose(size.equals(1.0) | y.equals(0.0), 1.0, z)
    whole, half = y.equals(floor(y)), 0.5 * y
    to_odd = whole & half.differs(floor(half)) & (abs(y) < inf)
    root_of_negative = (x < 0.0) & (x > -inf) & y.differs(floor(y))
    z = choose(root_of_negative, nan, choose(to_odd, copysign(z, x), z))
    return choose(x.differs(x) & y.differs(0.0), nan, z)


def _precise_log(x: Lanes) -> tuple[Lanes, Lanes]:
    """ln(x) as a sum of two doubles, to about 2⁻⁶⁵: the series in s, twice as precise.

    With x = 2ᵉm and s = (m - 1) / (m + 1) it is e·ln(2) + s·(2 + s²·(2/3 + s²·…)).
    """
    e, m = _split(x)
    s, s_rest = _precise_quotient(m)
    z, z_rest = exact_product(s, s)
    z_rest = z_rest + 2.0 * s * s_rest
    series = z * polynomial(z, LOG_REST)
    c, c_rest = exact_sum(x.lift(TWO_THIRDS), series)
    w, w_rest = exact_product(z, c)
    w_rest = w_rest + (z * (c_rest + TWO_THIRDS_REST) + z_rest * c)
    v, v_rest = exact_product(s, w)
    v_rest = v_rest + (s * w_rest + s_rest * w)
    head, rest = LN2_PARTS
    total, first = exact_sum(e * head, 2.0 * s)
    total, second = exact_sum(total, v)
    small = first + (second + (e * rest + (2.0 * s_rest + v_rest)))
    z, z_rest = exact_sum(total, small)
    finite = (x > 0.0) & (x < inf)
    return _where_defined(x, z), choose(finite, z_rest, 0.0)


def _precise_quotient(m: Lanes) -> tuple[Lanes, Lanes]:
    """(m - 1) / (m + 1) as a sum of two doubles, for √½ ≤ m < √2."""
    top, bottom = m - 1.0, m + 1.0
    inverse = 1.0 / bottom
    s = top * inverse
    product, lost = exact_product(s, bottom)
    remainder = ((top - product) - lost) - s * (m - (bottom - 1.0))
    return s, remainder * inverse


def cbrt(x: Lanes) -> Lanes:
    """A third of the exponent, a polynomial for 23 bits, and one step of Halley's."""
    size = abs(x)
    subnormal = size < SMALLEST_NORMAL
    a = choose(subnormal, size * 2.0**54, size)
    third = ((bits(a) >> 32) * 0x55555556) >> 32
    t = from_bits((third + 715092163) << 32)  # within 3.3 %
    t = t * polynomial(t * t * (t / a), CBRT)
    t = from_bits((bits(t) + (1 << 31)) & -(1 << 30))  # so that t² is exact
    q = a / (t * t)
    t = t + t * ((q - t) / (t + t + q))
    t = choose(subnormal, t * 2.0**-18, t)
    return copysign(choose((size > 0.0) & (size < inf), t, x), x)


def hypot(x: Lanes, y: Lanes) -> Lanes:
    """√(x² + y²) of two operands, scaled where a square over- or underflows."""
    a, b = abs(x), abs(y)
    high, low = choose(a > b, a, b), choose(a > b, b, a)
    huge, tiny = high > 2.0**500, high < 2.0**-400
    shrink = choose(huge, 2.0**-600, choose(tiny, 2.0**600, 1.0))
    grow = choose(huge, 2.0**600, choose(tiny, 2.0**-600, 1.0))
    high, low = high * shrink, low * shrink
    z = sqrt(fma(high, high, low * low)) * grow
    return choose(a.equals(inf) | b.equals(inf), inf, z)


def mod(x: Lanes, y: Lanes) -> Lanes:
    """Python's remainder, exact, with the sign of y."""
    slow = x.lift(0.0).equals(0.0)
    z = x
    if x.frame.fma:
        q = x / y
        z = fma(-floor(q), y, x)
        slow = (abs(q) >= 2.0**52) | q.differs(q) | abs(y).equals(inf)
    z = repaired(z, slow, lambda: x % y)
    z = choose((z < 0.0) & (y > 0.0) | (z > 0.0) & (y < 0.0), z + y, z)
    return choose(z.equals(0.0), copysign(z, y), z)


# ---- trigonometric -------------------------------------------------------------------


def sin(x: Lanes) -> Lanes:
    return _sine_after(x, 0)


def cos(x: Lanes) -> Lanes:
    return _sine_after(x, 1)


def tan(x: Lanes) -> Lanes:
    return sin(x) / cos(x)


def sine_and_cosine(x: Lanes) -> tuple[Lanes, Lanes]:
    """sin x and cos x, the bits of each by itself: one reduction serves both."""
    r, last = _without_quarters(x)
    sine, cosine = _sine(r), _cosine(r)
    sines = [_by_quadrant(last + k if k else last, sine, cosine) for k in (0, 1)]
    first, second = [_with_huge(z, x, k) for k, z in enumerate(sines)]
    return first, second


def _sine_after(x: Lanes, quarters: int) -> Lanes:
    """sin(x + quarters·π/2)."""
    r, last = _without_quarters(x)
    last = last + quarters if quarters else last
    return _with_huge(_by_quadrant(last, _sine(r), _cosine(r)), x, quarters)


def _with_huge(z: Lanes, x: Lanes, quarters: int) -> Lanes:
    """z, which is sin(x + quarters·π/2) unless x is huge, with the sines that are."""
    huge = (abs(x) > 1e5) & (abs(x) < inf)
    return repaired(z, huge, lambda: lane_by_lane(_huge_sine(x.frame, quarters), x))


def _without_quarters(x: Lanes) -> tuple[Lanes, Lanes]:
    """x brought to |r| ≤ π/4 by taking off n quarter turns: r, and n in the last bits.

    π comes in three parts (W. J. Cody and W. Waite, 1980), exact enough up to 2¹⁵π.
    """
    r, t = x, fma(x, 2.0 / PI, WHOLE_SHIFT)
    n = t - WHOLE_SHIFT
    for part in PI_PARTS:
        r = fma(n, -0.5 * part, r)
    return r, bits(t)


def _by_quadrant(last: Lanes, sine: Lanes, cosine: Lanes) -> Lanes:
    """The sine of r and so many quarter turns, from that of r and its cosine."""
    z = choose(odd(last), cosine, sine)
    return from_bits(bits(z) ^ ((last & 2) << 62))


def _sine(r: Lanes) -> Lanes:
    square = r * r
    return copysign(fma(r * square, polynomial(square, SIN), r), r)


def _cosine(r: Lanes) -> Lanes:
    square = r * r
    return fma(square, fma(square, polynomial(square, COS), -0.5), 1.0)


def _huge_sine(frame: Frame, quarters: int) -> Any:
    """A function of one x of any size: sin(x + quarters·π/2).

    It is compiled apart, once in a process, since most code never calls it.
    """
    with compiling:  # one engine: it must stay where LLVM was told
        _compile_huge_sines(frame.fma)
    signature = ir.FunctionType(FLOAT, [FLOAT])
    return declared(frame.code.module, _name_of_huge(quarters, frame.fma), signature)


def _name_of_huge(quarters: int, fma: bool) -> str:
    return f"huge{quarters}.{'fma' if fma else 'plain'}"


@cache
def _compile_huge_sines(fma: bool) -> Any:
    """Tell LLVM where the functions are; the engine that holds their code."""
    module = ir.Module()
    names = [_name_of_huge(quarters, fma) for quarters in (0, 1)]
    for quarters, name in enumerate(names):
        function = ir.Function(module, ir.FunctionType(FLOAT, [FLOAT]), name)
        code = ir.IRBuilder(function.append_basic_block())
        r = _huge_turned(Lanes(Frame(code, 0, fma), function.args[0]), quarters)
        r, last = _without_quarters(r)
        code.ret(_by_quadrant(last, _sine(r), _cosine(r)).value)
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        jit=True,
    )
    engine = binding.create_mcjit_compiler(binding.parse_assembly(str(module)), machine)
    engine.finalize_object()
    for name in names:
        binding.add_symbol(name, engine.get_function_address(name))
    return engine


def _huge_turned(x: Lanes, quarters: int) -> Lanes:
    """The r whose sine is that of x + quarters·π/2, for one x of any size.

    Source: M. H. Payne and R. N. Hanek, 1983. Of 2/π, only bits that move
    x = m·2ᵉ by less than a turn and more than 2⁻¹³⁰ matter: 192 of them times m, and
    what overflows is whole turns.
    """
    code = x.frame.code
    word = bits(abs(x))
    low = 885 + TABLE_BITS - (word >> 52)  # the first bit of 2/π needed, from the end
    byte = (low + 7) >> 3
    m = ((word & FRACTION) | (FRACTION + 1)) << ((byte << 3) - low)
    wide = ir.IntType(192)
    window = Lanes(x.frame, _window(code, byte.value, wide))
    turns = window * Lanes(x.frame, code.zext(m.value, wide)) + (quarters << 190)
    half_turns = Lanes(x.frame, code.trunc(((turns + (1 << 190)) >> 191).value, WHOLE))
    part = turns << 1  # of half a turn, from -½ to ½
    top = Lanes(x.frame, code.trunc((part >> 128).value, WHOLE)) & -(1 << 11)
    head = Lanes(x.frame, code.sitofp(top.value, FLOAT))  # 53 bits, then 64 more
    rest = code.uitofp(code.trunc((part >> 75).value, WHOLE), FLOAT)
    r = fma(Lanes(x.frame, rest), 2.0**-53, head) * 2.0**-64
    r = fma(r, PI, r * PI_REST)
    sign = half_turns << 63  # the sine changes its sign with every half turn
    sign = sign if quarters else sign ^ (bits(x) & -(1 << 63))
    return from_bits(bits(r) ^ sign)


TABLE_BITS: Final = 1168  # of 2/π, enough for the largest double


def _window(code: Any, byte: Any, kind: Any) -> Any:
    """Bits of 2/π, as many as the kind has, from that byte on, counted from the end."""
    table = code.module.globals.get("two_over_pi")
    if table is None:
        digits = _two_over_pi().to_bytes(288, "little")
        constant = ir.Constant(ir.ArrayType(ir.IntType(8), 288), bytearray(digits))
        table = ir.GlobalVariable(code.module, constant.type, "two_over_pi")
        table.initializer, table.linkage = constant, "internal"
        table.global_constant = True
    address = code.gep(table, [WHOLE(0), byte])
    return code.load(code.bitcast(address, kind.as_pointer()), align=1, typ=kind)


@cache
def _two_over_pi() -> int:
    """2/π in fixed point, by J. Machin's π = 16 atan(1/5) - 4 atan(1/239) (1706)."""
    one = 1 << (TABLE_BITS + 64)

    def atan_of_inverse(x: int) -> int:
        terms = (one // ((2 * k + 1) * x ** (2 * k + 1)) for k in range(270))
        return sum(-term if k % 2 else term for k, term in enumerate(terms))

    pi = 16 * atan_of_inverse(5) - 4 * atan_of_inverse(239)
    return (2 * one << TABLE_BITS) // pi


def _arc(y: Lanes, x: Lanes) -> Lanes:
    """atan(y/x) for y, x ≥ 0: less 0, π/4 or π/2, it is the atan of a t ≤ √2 - 1."""
    steep, middle = y > (math.sqrt(2) + 1) * x, y > (math.sqrt(2) - 1) * x
    t = choose(steep, -x, choose(middle, y - x, y)) / choose(
        steep, y, choose(middle, y + x, x)
    )
    start = choose(steep, PI / 2, choose(middle, PI / 4, 0.0))
    rest = choose(steep, PI_REST / 2, choose(middle, PI_REST / 4, 0.0))
    square = t * t
    return start + (rest + fma(t * square, polynomial(square, ATAN), t))


def atan(x: Lanes) -> Lanes:
    return copysign(_arc(abs(x), x.lift(1.0)), x)


def atan2(y: Lanes, x: Lanes) -> Lanes:
    a, b = abs(y), abs(x)
    both = a.equals(inf) & b.equals(inf)
    shrink = choose(a + b > 2.0**1000, 2.0**-2, 1.0)  # so that the sum is finite
    a, b = choose(both, 1.0, a * shrink), choose(both, 1.0, b * shrink)
    b = choose(a.equals(0.0) & b.equals(0.0), 1.0, b)
    z = _arc(a, b)
    left = copysign(1.0, x) < 0.0
    z = choose(left, PI - (z - PI_REST), z)
    return copysign(choose(x.differs(x), nan, z), y)


def _arcsine(x: Lanes) -> tuple[Lanes, Lanes]:
    """asin |x| up to ½; beyond it asin √((1 - |x|)/2), and whether x is beyond."""
    a = abs(x)
    beyond = a > 0.5
    square = choose(beyond, 0.5 * (1.0 - a), a * a)
    t = choose(beyond, sqrt(square), a)
    return fma(t * square, polynomial(square, ASIN), t), beyond


def asin(x: Lanes) -> Lanes:
    z, beyond = _arcsine(x)
    return copysign(choose(beyond, PI / 2 - (2.0 * z - PI_REST / 2), z), x)


def acos(x: Lanes) -> Lanes:
    z, beyond = _arcsine(x)
    outer = choose(x < 0.0, PI - (2.0 * z - PI_REST), 2.0 * z)
    return choose(beyond, outer, PI / 2 - (copysign(z, x) - PI_REST / 2))


# ---- the error function --------------------------------------------------------------


def _exp_of_minus_square(x: Lanes, factor: Lanes, scale: float = 1.0) -> Lanes:
    """factor·exp(-scale·x²), with the digits that x² loses; scale is a power of two."""
    square, lost = exact_product(x, x)
    p, t = _exponential(square * -scale, lost * -scale)
    return _scaled(fma(p, factor, factor), t)


def gaussian(x: Lanes) -> Lanes:
    return _exp_of_minus_square(between(x, -40.0, 40.0), x.lift(1.0))


def _tail(x: Lanes) -> Lanes:
    """exp(x²)·erfc(x) for 0 ≤ x ≤ 28, from 1 down to 0.02."""
    return (1.25 + polynomial((x - 4.0) / (x + 4.0), ERFCX)) / (1.0 + 2.0 * x)


def _outer_erfc(x: Lanes) -> Lanes:
    return _exp_of_minus_square(x, _tail(x))


def _inner_erf(x: Lanes) -> Lanes:
    return fma(x, polynomial(x * x, ERF), x)


def erf(x: Lanes) -> Lanes:
    a = between(abs(x), 0.0, 28.0)
    z = choose(a < 1.0, _inner_erf(a), 1.0 - _outer_erfc(a))
    return copysign(z, x)


def erfc(x: Lanes) -> Lanes:
    a = between(abs(x), 0.0, 28.0)
    z = _outer_erfc(a)
    z = choose(x < 0.0, 2.0 - z, z)
    return choose(a < 0.5, 1.0 - _inner_erf(x), z)


def gelu(x: Lanes) -> Lanes:
    """x less, or alone, x/2·erfc(|x|/√2), whose exponential needs x²/2 in full."""
    a = between(abs(x), 0.0, 39.0)
    z = _exp_of_minus_square(a, 0.5 * a * _tail(a * SQRT_HALF), scale=0.5)
    near = 0.5 * x * (1.0 + _inner_erf(x * SQRT_HALF))
    return choose(a < 0.7, near, choose(x >= 0.0, x - z, -z))


# ---- what one instruction does -------------------------------------------------------


def floor(x: Lanes) -> Lanes:
    return x.frame.intrinsic("floor", x)


def maximum(x: Lanes, y: Lanes) -> Lanes:
    return choose((x > y) | x.differs(x), x, y)


def signed(x: Lanes, y: Lanes) -> Lanes:
    """copysign, for which a NaN is positive."""
    return copysign(x, choose(y.equals(y), y, 1.0))


# Rows of one operand that are computed together: their results in this order. Each is
# the same to the bit if it is asked for alone.
FAMILIES: Final[dict[tuple[str, ...], Family]] = {
    ("sin", "cos"): sine_and_cosine,
    ("tanh", "_tanh_slope"): hyperbolic_tangent,
    ("sigmoid", "_sigmoid_slope", "silu", "_sigmoid_moment", "softplus"): logistic,
}


def _member(family: Family, place: int) -> Kernel:
    return lambda x: family(x)[place]


# fmt: off
KERNELS: Final[dict[str, Kernel]] = {
    name: _member(family, place)
    for names, family in FAMILIES.items()
    for place, name in enumerate(names)
} | {
    kernel.__name__: kernel
    for kernel in (
        exp, exp2, expm1, log, log1p, log2, log10, pow, cbrt, hypot, mod,
        sin, cos, tan, asin, acos, atan, atan2, sinh, cosh, asinh, acosh, atanh,
        erf, erfc, gelu,
    )
} | {"_gaussian": gaussian, "copysign": signed}
# fmt: on
