"""Differences find slopes to nine digits at any scale, and say how far they are off."""

import math
import random

import pytest

from autograd import lgamma, log
from autograd.differences import compared, difference, kink, slopes


def test_difference_reaches_nine_digits_on_smooth_functions():
    for f, slope, x in [
        (math.sin, math.cos, 1.0),
        (math.exp, math.exp, 3.0),
        (log, lambda x: 1 / x, 0.01),
        (math.atan, lambda x: 1 / (1 + x * x), 1e4),
    ]:
        found, error = difference(f, x)
        assert found == pytest.approx(slope(x), rel=1e-9)
        assert abs(found - slope(x)) <= 10 * error + 1e-15


def test_difference_from_one_side_sees_that_side_only():
    assert difference(abs, 0.0, side=1)[0] == 1.0
    assert difference(abs, 0.0, side=-1)[0] == -1.0


SHAPES = [
    (math.sin, math.cos),
    (math.exp, math.exp),
    (math.tanh, lambda u: 1 - math.tanh(u) ** 2),
    (lambda u: u**3 - u, lambda u: 3 * u * u - 1),
    (lambda u: 1 / (2 + u * u), lambda u: -2 * u / (2 + u * u) ** 2),
    (lambda u: u**-12 - u**-6, lambda u: 6 * u**-7 - 12 * u**-13),
]


def scaled(f, size, scale):
    return lambda x: size * f(x / scale)


@pytest.mark.parametrize("exponent", [-150, -30, -10, 0, 10, 30, 150])
def test_difference_is_as_good_at_any_scale(exponent):
    source, scale = random.Random(exponent), 10.0**exponent
    for f, slope in SHAPES:
        for size in 1.0, 1e-23, 1e40:
            u = source.uniform(0.6, 2.5)
            expected = size * slope(u) / scale
            found, error = difference(scaled(f, size, scale), u * scale)
            assert found == pytest.approx(expected, rel=1e-7)
            assert abs(found - expected) <= 20 * error


def test_difference_finds_a_scale_that_x_does_not_tell():
    for x, scale in (0.0, 1e-9), (0.0, 1e-40), (1.0, 1e-7), (1e-12, 1.0), (1e-30, 0.5):
        found, _ = difference(scaled(math.sin, 1.0, scale), x)
        assert found == pytest.approx(math.cos(x / scale) / scale, rel=1e-5)


def test_difference_looks_at_wider_scales_where_rounding_hides_the_slope():
    for f, x, slope in [
        (lambda v: 9e16 + 0.5 * v * v, 1.0, 1.0),
        (lambda v: 9e16 + 0.5 * v * v, 100.0, 100.0),
        (lambda t: 300 + 1.38e-23 * t, 300.0, 1.38e-23),
        (lambda x: 1e30 - 3e-10 * x, 1e-5, -3e-10),
    ]:
        found, error = difference(f, x)
        assert abs(found - slope) <= 10 * error < 1e-4 * abs(slope)
    for f, x in (math.tanh, 30.0), (math.erf, 7.0), (lambda x: x * x, 1e-170):
        found, error = difference(f, x)
        assert found == 0.0 and 0.0 < error < 1e-14
    found, error = difference(math.cos, math.pi)  # seen nearby: nothing wider is asked
    assert abs(found + 1.2246467991473532e-16) <= error < 1e-14
    found, error = difference(lambda x: math.log(1 + x), 1e-17, noise=2.0**-52)
    assert abs(found - 1.0) <= error < 1e-9


def test_difference_takes_steps_at_zero_as_small_as_floats_allow():
    found, _ = difference(lambda x: math.sin(x / 1e-290), 0.0)
    assert found == pytest.approx(1e290, rel=1e-9)


def test_difference_says_where_none_can_be_had():
    for f, x in (
        (lambda x: math.nan, 1.0),
        (lambda x: math.inf, 1.0),
        (lambda x: math.copysign(math.inf, x), 0.0),
        (lambda x: 0.0 if x == 0.0 else math.nan, 0.0),
        (lambda x: 1.0 if x > 2.0 else 0.0, 2.0),
        (math.tan, math.pi / 2),
        (lgamma, -1.0),
        (math.tanh, math.inf),
        (math.tanh, math.nan),
        (math.cbrt, 0.0),
    ):
        assert str(difference(f, x)) == "(nan, inf)"


def test_difference_takes_the_side_on_which_f_has_values():
    def root(x):
        return x**1.5 + x if x >= 0.0 else math.nan

    found, error = difference(root, 0.0)
    assert abs(found - 1.0) <= 20 * error < 1e-2


def test_compared_sees_a_wrong_slope_where_there_are_digits_and_no_other():
    def verdict(found, f, x):
        return compared(found, slopes(f, x))[0]

    assert verdict(1.0, math.sin, 0.0) == "right"
    assert verdict(1.001, math.sin, 0.0) == "wrong"
    assert verdict(-1.0, math.sin, 0.0) == "wrong"
    assert verdict(math.inf, math.sin, 0.0) == "wrong"
    assert verdict(math.inf, math.cbrt, 0.0) == "unseen"
    assert verdict(1e-30, lambda x: 1 + 1e-30 * x, 1.0) == "unseen"
    assert verdict(2.7e32, math.tan, math.pi / 2) == "unseen"


@pytest.mark.parametrize("scale", [1e-70, 1e-19, 1.0, 1e19])
def test_kink_is_seen_at_any_scale_and_only_where_there_is_one(scale):
    for x in 0.0, 3.0 * scale, -0.7 * scale:
        slopes_differ = "the slope is -1 to the left and 1 to the right"
        assert kink(lambda y, x=x: abs(y - x), x) == slopes_differ
        assert kink(lambda y, x=x: float(y >= x), x) == "there is a jump of 1"
        assert kink(lambda y, x=x: float(y == x), x) == "there is a jump of 1"
        assert kink(lambda y, x=x: math.tanh((y - x) / scale), x) == ""
        assert kink(lambda y, x=x: ((y - x) / scale) ** 3, x) == ""


def test_kink_calls_no_rounding_of_the_point_a_jump():
    bend = kink(lambda x: abs(math.sin(x)), math.pi)
    assert bend == "the slope is -1 to the left and 1 to the right"


def test_kink_has_nothing_to_say_of_what_is_no_number():
    for x in math.inf, -math.inf, math.nan:
        assert kink(lambda y: 1.0, x) == kink(math.tanh, x) == ""
