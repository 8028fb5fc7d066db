"""Where f(x) = 0 on numbers: Newton's method, and a bracket that gets narrower.

Both go step by step to where the next step would change nothing, by selects alone: a
trace writes down eight steps (or sixteen), those after the end change nothing, and one
guard asks whether the end was reached. Where it was not, another path has twice as many
more. So compiled code seldom has a second path, and each step the bits of eager code.

    xs, fs   a point and f there           steps   J⁻¹f, what Newton's method takes off
    fraction  of that step which is tried, halved until f gets smaller
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import inf
from operator import add, mul
from typing import Any, Final, NamedTuple

from ...primitives import clip, div, maximum
from ...value import Value
from .choices import (
    Matrix,
    Truth,
    both,
    choose,
    chosen,
    either,
    every,
    inverted,
)

Linearized = Callable[[list[Any]], tuple[list[Any], Matrix]]  # f and ∂f/∂x
EPSILON: Final = 2.0**-52
NEWTON: Final = (8, 16, 32, 64, 128)
NARROWING: Final = (16, 32, 64, 128, 256, 512, 1024)
HALVED: Final = 112  # steps, after which a bracket is only cut in half
TINY: Final = 1e-322  # a few subnormal steps
LOST: Final = 1e13  # what ∂f/∂x loses to cancellation where it counts as singular


class Stand(NamedTuple):
    """Where an iteration stands, whether it is at its end, and how many steps it took.

    sense   of a bracket: 1.0 where f goes upwards through it, else -1.0
    """

    xs: list[Any]
    fs: list[Any]
    done: Truth
    tried: int
    sense: Any = 0.0


# ---- Newton's method -----------------------------------------------------------------


class _Iterate(NamedTuple):
    xs: list[Any]
    fs: list[Any]
    inverse: Matrix
    steps: list[Any]
    sound: Truth  # whether ∂f/∂x has an inverse to rely on
    fraction: Any
    done: Truth


def newton(slopes: Linearized, xs: list[Any], blocks: Sequence[int] = NEWTON) -> Stand:
    """x with f(x) = 0 by damped steps from xs.

    A step is taken where it makes J⁻¹f smaller, by the J from before, which no scaling
    of f or x changes (Deuflhard, Newton Methods for Nonlinear Problems, 2004, 3.3).
    """
    now = _arrived(slopes, xs)
    if not either(now.done, both(now.sound, _size(now.steps) < inf)):
        return Stand(now.xs, now.fs, False, 0)
    count = 0
    for size in blocks:
        for _ in range(size):
            if type(now.done) is not Value and now.done:
                break
            now, count = _next(slopes, now), count + 1
        if now.done:
            return Stand(now.xs, now.fs, True, count)
    return Stand(now.xs, now.fs, False, count)


def _arrived(slopes: Linearized, xs: list[Any]) -> _Iterate:
    fs, matrix = slopes(xs)
    inverse = inverted(matrix)
    steps = _times(inverse, fs)
    sound = _cancelled(inverse, matrix) < LOST
    small = every([x - d == x for d, x in zip(steps, xs)])
    done = either(_is_zero(fs), both(sound, small))
    return _Iterate(xs, fs, inverse, steps, sound, 1.0, done)


def _next(slopes: Linearized, now: _Iterate) -> _Iterate:
    """One step further, or the same place with half of the step to try."""
    part = now.fraction
    then = _arrived(slopes, [x - part * d for x, d in zip(now.xs, now.steps)])
    size, limit = _size(_times(now.inverse, then.fs)), _size(now.steps)
    smaller = both(then.sound, size <= (1.0 - 0.25 * part) * limit)
    better = both(choose(now.done, 0.0, 1.0), either(_is_zero(then.fs), smaller))
    further = choose(part < 0.3, 4.0 * part, 1.0)
    if type(better) is not Value and better:
        return then._replace(fraction=further)
    same = every([f == g for f, g in zip(now.fs, then.fs)])
    floor = either(both(same, part > 2.0**-10), _is_noise(now))
    return _Iterate(
        chosen(better, then.xs, now.xs),
        chosen(better, then.fs, now.fs),
        [chosen(better, *rows) for rows in zip(then.inverse, now.inverse)],
        chosen(better, then.steps, now.steps),
        choose(better, then.sound, now.sound),
        choose(better, further, _shorter(part)),
        choose(better, then.done, either(now.done, floor)),
    )


def _shorter(fraction: Any) -> Any:
    return choose(fraction > 0.3, 0.5, 0.25) * fraction


def _is_zero(fs: list[Any]) -> Truth:
    return every([f == 0.0 for f in fs])


def _is_noise(now: _Iterate) -> Truth:
    """Whether a step is so small that rounding explains why it makes f no smaller.

    A larger one counts once a sixteenth of it is no better: no bend of f is as sharp as
    that.
    """
    least, most = 1e-14 * _size(now.xs), choose(now.fraction < 0.2, 1e-8, 1e-14)
    return every([
        abs(d) <= maximum(most * abs(x), least) for d, x in zip(now.steps, now.xs)
    ])  # fmt: skip


def _times(matrix: Matrix, xs: list[Any]) -> list[Any]:
    return [reduce(add, map(mul, row, xs)) for row in matrix]  # sum may round once


def _size(xs: Sequence[Any]) -> Any:
    """The largest magnitude; not a number where one is not."""
    sizes = [abs(x) for x in xs]
    return maximum(*sizes) if len(sizes) > 1 else sizes[0]


def _cancelled(inverse: Matrix, matrix: Matrix) -> Any:
    """How much larger than 1 the terms are that add up to a 1 of J⁻¹·J, whatever the
    units of f and x: where ∂f/∂x is singular it is not finite, or made of rounding."""
    columns = zip(*matrix)
    terms = [map(abs, map(mul, *pair)) for pair in zip(inverse, columns)]
    return _size([reduce(add, each) for each in terms])


# ---- a bracket -----------------------------------------------------------------------


class _Bracket(NamedTuple):
    """The newest end, the other one, and the one before; with f at each."""

    x1: Any
    f1: Any
    x2: Any
    f2: Any
    x3: Any
    f3: Any
    done: Truth


def narrowed(f: Callable[[Any], Any], low: Any, high: Any) -> Stand | None:
    """x with f(x) = 0 between two numbers; None where f has the same sign at both.

    By inverse quadratic interpolation where that is safe, else by halves (Chandrupatla,
    Advances in Engineering Software 28, 1997).
    """
    a, b = f(low), f(high)
    up, down = both(a <= 0.0, b >= 0.0), both(a >= 0.0, b <= 0.0)
    if not either(up, down):
        return None
    now = _Bracket(high, b, low, a, low, a, either(a == 0.0, b == 0.0))
    count, done = 0, False
    for size in NARROWING:
        for _ in range(size):
            if type(now.done) is not Value and now.done:
                break
            t = _place(now) if 0 < count < HALVED else 0.5
            now, count = _narrower(f, now, t), count + 1
        if now.done:
            done = True  # for a lane of a batch, even if a trace at its numbers is not
            break
    x, y = _best(now)
    sense = choose(either(both(up, high > low), both(down, high < low)), 1.0, -1.0)
    return Stand([x], [y], done, count, sense)


def _best(now: _Bracket) -> tuple[Any, Any]:
    first = abs(now.f1) <= abs(now.f2)
    return choose(first, now.x1, now.x2), choose(first, now.f1, now.f2)


def _narrower(f: Callable[[Any], Any], now: _Bracket, t: Any) -> _Bracket:
    """One more point, at a fraction t of the way from the newest end to the other."""
    x1, f1, x2, f2, *_, done = now
    x = x1 + t * (x2 - x1)
    y = f(x)
    same = choose(y > 0.0, f1 > 0.0, f1 < 0.0)  # side as the newest end
    then = _Bracket(
        x, y, choose(same, x2, x1), choose(same, f2, f1),
        choose(same, x1, x2), choose(same, f1, f2), done,
    )  # fmt: skip
    _, least = _best(then)
    end = either(least == 0.0, _nearest(then) > 0.5)
    kept = chosen(done, [*now], [*then])
    return _Bracket(*kept)._replace(done=either(done, end))


def _nearest(now: _Bracket) -> Any:
    """The smallest fraction of the way that still changes x."""
    tolerance = EPSILON * abs(_best(now)[0]) + TINY
    return div(tolerance, abs(now.x2 - now.x1))


def _place(now: _Bracket) -> Any:
    """Where to look next: where a parabola through the three points is zero, if x is a
    function of f between them, else in the middle."""
    x1, f1, x2, f2, x3, f3, _ = now
    xi, phi = div(x1 - x2, x3 - x2), div(f1 - f2, f3 - f2)
    safe = both(phi * phi < xi, (1.0 - phi) * (1.0 - phi) < 1.0 - xi)
    t = div(f1, f2 - f1) * div(f3, f2 - f3)
    t = t + div(x3 - x1, x2 - x1) * div(f1, f3 - f1) * div(f2, f3 - f2)
    edge = _nearest(now)
    return choose(safe, clip(t, edge, 1.0 - edge), 0.5)
