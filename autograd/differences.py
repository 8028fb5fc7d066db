"""The slope of a function of one number by differences, at any scale, with an error.

The scale of f is not known: an angle has one of 1, the distance of two atoms one of
1e-10, and x itself says nothing where it is 0. So one scale of steps is tried after
another, from the size of x on. At each, differences over shrinking steps are
extrapolated to a step of zero; how far neighbours in that table disagree, and how far
rounding may have moved f, is the error. A scale at which f jumps, or swings faster than
the steps shrink, says nothing.

    x, step   the point, and how far to go from it
    slope     (f(x + step) - f(x - step)) / width, the width being twice the step
    reach     by how much f changes over a step
    noise     by how much rounding may have moved f(x)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import copysign, inf, isfinite, isinf, nan, ulp
from operator import attrgetter
from typing import Final, NamedTuple

Function = Callable[[float], float]  # NaN where it has no value

TOLERANCE: Final = 1e-6  # relative: a wrong rule is seldom wrong by less
DIGITS: Final = 1e-5  # a slope whose error is a smaller share of it shows digits
HIDDEN: Final = 1e6  # times the noise: a smaller reach may hide a slope
APART: Final = 2.0**8  # from one scale of steps to the next
ROWS: Final = 10  # steps of one scale
RATIO: Final = 1.9  # between two of them: no period of f is a multiple of them all
SMALLEST: Final = 1e-300  # step at 0
WIDEST: Final = 1e100  # step where a slope is hidden nearer by
FEWEST: Final = 4  # steps over which a jump is the same


class Slope(NamedTuple):
    """What differences say about a derivative, at one scale of steps."""

    slope: float
    error: float
    step: float  # the largest
    rounding: float = inf  # the part of the error that rounding explains
    reach: float = 0.0  # over the largest step

    @property
    def converged(self) -> bool:
        """Whether smaller steps would say the same."""
        return self.error <= max(0.01 * abs(self.slope), 100 * self.rounding)


def difference(
    f: Function, x: float, side: int = 0, noise: float = 0.0
) -> tuple[float, float]:
    """(f′(x), estimated error), or (nan, inf) where no difference can be had.

    side 0 takes central differences, or those of one side where f has no value on the
    other; +1 and -1 take one side. Where f does not move nearer by, as an energy beside
    mc² does not, steps grow beyond x.

    >>> slope, error = difference(lambda x: x**3, 2.0)
    >>> abs(slope - 12) < 1e-9
    True
    """
    seen = []
    for found in slopes(f, x, side, noise, widest=WIDEST):
        seen.append(found)
        if found.error <= 1e-10 * abs(found.slope):
            break
    best, diverges = _settled(seen)
    return (nan, inf) if diverges else (best.slope, best.error)


def compared(found: float, seen: Iterator[Slope]) -> tuple[str, float]:
    """("right", "wrong" or "unseen", the slope) for a derivative held against slopes.

    It is unseen if differences agree as far as they can tell, but show no digits.

    >>> compared(12.0, slopes(lambda x: x**3, 2.0))[0]
    'right'
    >>> compared(12.001, slopes(lambda x: x**3, 2.0))[0]
    'wrong'
    """
    known, least = list[Slope](), inf
    for at in seen:
        known.append(at)
        visible = at.error < least and at.error <= DIGITS * abs(at.slope)
        if visible and _gap(found, at.slope) <= 2 * at.error:
            return "right", at.slope
        least = min(least, at.error)
    best, diverges = _settled(known)
    if diverges:  # as beside a pole; a small derivative has no place there
        wrong = abs(found) < 1e-3 * abs(best.slope)
    elif isfinite(found):
        wrong = _gap(found, best.slope) > 5 * best.error
    else:
        wrong = best.converged and not _grows(found, known)
    size = max(abs(found), abs(best.slope))
    visible = isfinite(found) and best.error <= DIGITS * size
    return "wrong" if wrong else "right" if visible else "unseen", best.slope


def _grows(found: float, known: Sequence[Slope]) -> bool:
    """Whether slopes go on towards an infinite one, if as slowly as a logarithm."""
    seen = sorted((at for at in known if isfinite(at.slope)), key=lambda at: -at.step)
    late = seen[len(seen) // 2 :]
    slopes = [copysign(1.0, found) * at.slope for at in late]
    if len(slopes) < 3 or not isinf(found) or slopes != sorted(slopes):
        return False
    return slopes[-1] - slopes[0] > 0.1 * abs(slopes[0]) + 10 * late[-1].rounding


def _gap(a: float, b: float) -> float:
    """How far two numbers are apart, beyond what is tolerated."""
    return abs(a - b) - TOLERANCE * max(abs(a), abs(b))


def kink(f: Function, x: float, noise: float = 0.0) -> str:
    """What is not smooth about f at x, in words, or "".

    >>> kink(abs, 0.0)
    'the slope is -1 to the left and 1 to the right'
    """
    jump = _jump(f, x)
    if abs(jump) > 64 * (noise + ulp(f(x))):
        return f"there is a jump of {jump:.6g}"
    sides = [_settled([*slopes(f, x, side, noise)])[0] for side in (-1, 0, 1)]
    left, middle, right = (side.slope for side in sides)
    error = 10 * max(side.error for side in sides) + 1e-3 * max(abs(left), abs(right))
    bend, turn = abs(right - left), abs(middle - left / 2 - right / 2)
    if bend > error and turn < bend / 10:
        return f"the slope is {left:.6g} to the left and {right:.6g} to the right"
    return ""


def _jump(f: Function, x: float) -> float:
    """How much f changes over the smallest steps that it feels, if over all alike."""
    step, gaps, spreads = 2.0**-51 * abs(x) or SMALLEST, list[float](), list[float]()
    while isfinite(step) and step <= 2.0**-43 * (abs(x) or 1.0) and len(gaps) < FEWEST:
        left, centre, right = f(x - step), f(x), f(x + step)
        gap, spread = right - left, max(left, centre, right) - min(left, centre, right)
        if abs(gap) <= 1e-6 * spread:  # as of x == 1: f is another at x alone
            gap = centre - left
        if gap or gaps:
            gaps, spreads = [*gaps, gap], [*spreads, spread]
        step *= 4.0
    # over the first it may not be complete
    stays = len(gaps) == FEWEST and _is_even(gaps[1:]) and _is_even(spreads[1:])
    return gaps[-1] if stays else 0.0


def _is_even(gaps: Sequence[float]) -> bool:
    sizes = [abs(gap) for gap in gaps]
    return 0.8 * max(sizes) <= min(sizes) < inf


# ---- scales --------------------------------------------------------------------------


def slopes(
    f: Function,
    x: float,
    side: int = 0,
    noise: float = 0.0,
    found: float = 0.0,
    widest: float = 0.0,
) -> Iterator[Slope]:
    """The slope of f at x, at one scale after another, the likeliest first.

    Where noise hides what was found, f is not called with steps so small; where it
    hides any slope, steps grow up to the widest.
    """
    seen, size, smallest = list[Slope](), abs(found), inf
    for step in _scales(x):
        if not seen or step > smallest or not noise > size * step:
            at = _extrapolated(f, x, step, side, noise)
            yield at
            seen += [at] if isfinite(at.slope) else []
            size = max([size, *[abs(each.slope) for each in seen[-1:]]])
        smallest = min(step, smallest)
        constant = seen and step >= 0.1 and not any(each.reach for each in seen)
        if constant and found == widest == 0.0:
            return
    if seen:
        hidden, best = (
            HIDDEN * max(noise, ulp(f(x))),
            min(seen, key=attrgetter("error")),
        )
        size = max(abs(found), abs(best.slope))
        if max(each.reach for each in seen) < hidden:
            yield from _wider(f, x, side, noise, size, hidden, widest)
    elif side == 0:
        yield from _at_end(f, x, noise, found)


def _wider(
    f: Function,
    x: float,
    side: int,
    noise: float,
    size: float,
    hidden: float,
    widest: float,
) -> Iterator[Slope]:
    """What steps larger than x, and than 1, say of an f that noise hides nearer by."""
    step = 0.1 * max(1.0, abs(x))
    while step < widest and size * step < hidden:
        step *= APART
        at = _extrapolated(f, x, step, side, noise)
        yield at
        size = abs(at.slope)


def _at_end(f: Function, x: float, noise: float, found: float) -> Iterator[Slope]:
    """What one side says where f has no value on the other, at the end of a domain."""
    sides = [
        side
        for side in (-1, 1)
        if any(isfinite(f(x + side * step)) for step in _scales(x))
    ]
    if len(sides) == 1:
        yield from slopes(f, x, sides[0], noise, found)


def _scales(x: float) -> Iterator[float]:
    """Largest steps: of the size of x, of size 1, what is between, and smaller ones."""
    if not isfinite(x):
        return
    first = 0.1 * abs(x) or 0.1
    yield first
    if first < 0.1:
        yield 0.1
    step = first * APART
    while step < 0.1:
        yield step
        step *= APART
    step, last = first / APART, 32 * ulp(x) if x else SMALLEST
    while step > last:
        yield step
        step /= APART
    yield last


def _settled(seen: Sequence[Slope]) -> tuple[Slope, bool]:
    """The slope to believe, and whether slopes grow without end as steps shrink.

    That is the one of the smallest error, unless smaller steps show something else: the
    derivative is a limit.
    """
    best, diverges = Slope(nan, inf, inf), False
    for finer in sorted(seen, key=lambda found: -found.step):
        doubt = 30 * finer.error if finer.converged else 2 * finer.rounding
        contradicts = abs(finer.slope - best.slope) > 10 * best.error + doubt
        if finer.error < best.error:
            best, diverges = finer, False
        elif contradicts and (finer.converged or not best.converged):
            best, diverges = finer, not finer.converged
    return best, diverges


# ---- steps of one scale --------------------------------------------------------------


def _extrapolated(f: Function, x: float, step: float, side: int, noise: float) -> Slope:
    """Differences over smaller and smaller steps, extrapolated to a step of zero.

    Every row holds the difference over one step, then what it and the steps before
    give together: that of the lowest degree first. Where neighbours in this table agree
    is the result. Source: Ridders (1982), Advances in Engineering Software 4(2), 75-76.
    """
    best, centre = Slope(nan, inf, step), f(x)
    widths, above, reaches = list[float](), list[float](), list[float]()
    for k in range(ROWS):
        right, left = _neighbours(x, step / RATIO**k, side)
        if right == left or right - left in widths:  # steps no longer differ
            continue
        f_right = centre if side < 0 else f(right)
        f_left = centre if side > 0 else f(left)
        row = _row(right - left, f_right - f_left, widths, above, side)
        if not all(map(isfinite, row)):
            widths, above, reaches = [], [], []
            continue
        reaches.append(max(abs(f_right - centre), abs(f_left - centre)))
        if _shrinks(reaches, 1, centre):
            rounding = (2 * noise + ulp(f_right) + ulp(f_left)) / (right - left)
            best = _better(best, row, above, rounding)
        widths, above = [*widths, right - left], row
    if _shrinks(reaches, 1 + len(reaches) // 4, centre):
        return best._replace(reach=max(reaches))
    return Slope(nan, inf, step)  # f jumps here, or swings faster than the steps


def _neighbours(x: float, step: float, side: int) -> tuple[float, float]:
    """The points a step to the right and to the left, equally far as floats are."""
    step = x + step - x
    return (x if side < 0 else x + step), (x if side > 0 else x - step)


def _row(
    width: float, gap: float, widths: list[float], above: list[float], side: int
) -> list[float]:
    """The next row of the table: one side errs by powers of steps, two by squares."""
    row, power = [gap / width], 1 if side else 2
    for wider, coarser in zip(reversed(widths), above):
        row.append(row[-1] + (row[-1] - coarser) / ((wider / width) ** power - 1))
    return row


def _shrinks(reaches: list[float], last: int, centre: float) -> bool:
    """Whether f has come nearer to its value at the centre over the last few steps."""
    if not reaches or not isfinite(centre):
        return False
    return max(reaches[-last:]) <= 0.3 * max(reaches) + 2 * ulp(centre)


def _better(
    best: Slope, row: list[float], above: list[float], rounding: float
) -> Slope:
    """The entry of the row that is nearest to its neighbours, if nearer than best."""
    for new, *others in zip(row[1:], above[1:], row, above):
        error = max(abs(new - other) for other in others) + rounding
        if error < best.error:
            best = Slope(new, error, best.step, rounding)
    return best
