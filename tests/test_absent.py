"""Shares that may be absent: sums of them, in numbers and to the last bit."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import reduce
from math import inf, nan, pi
from typing import Any

import pytest

from autograd import grad, jit, relu, where
from autograd import primitives as p
from autograd.absent import ABSENT, Share, all_absent, applied, left_out_where

NUMBERS = (0.0, -0.0, 1.5, -1.5, inf, -inf, nan, 5e-324)


def bits(x: float) -> str:
    return x.hex()


def summed(xs: Sequence[float], absent: Sequence[bool]) -> float | None:
    """The sum of what is there, begun with its first term, as eager sweeps do."""
    there = [x for x, gone in zip(xs, absent) if not gone]
    return reduce(lambda x, y: x + y, there) if there else None


@pytest.mark.parametrize("count", [2, 3])
def test_a_sum_of_shares_is_that_of_those_that_are_there(count: int) -> None:
    for xs in itertools.product(NUMBERS, repeat=count):
        for absent in itertools.product([False, True], repeat=count):
            shares = [Share(x, float(gone)) for x, gone in zip(xs, absent)]
            total = reduce(lambda x, y: x + y, shares)
            expected = summed(xs, absent)
            assert total.absent == float(expected is None)
            if expected is None:
                assert bits(total.number) == bits(0.0)
            else:
                assert bits(total.share) == bits(total.number) == bits(expected)


def test_a_number_and_a_share_add_up_in_either_order() -> None:
    for x, y in itertools.product(NUMBERS, repeat=2):
        for gone in (0.0, 1.0):
            share = Share(y, gone)
            assert bits(x + share) == bits(x if gone else x + y)
            assert bits(x - share) == bits(x if gone else x - y)
            assert bits(share + x) == bits(x if gone else y + x)
            assert bits(share - x) == bits(-x if gone else y - x)


def test_a_product_is_absent_where_a_factor_is() -> None:
    one, other = Share(2.0, 0.0), Share(inf, 1.0)
    assert ((one * other).absent, (other * 0.0).absent, (3.0 * one).number) == (1, 1, 6)
    assert (other * ABSENT) is ABSENT and (one + ABSENT) is one
    assert (-one / 4.0).number == -0.5 and (-other).absent == 1.0


def test_rows_take_a_share_for_the_number_that_it_is() -> None:
    one, other = Share(2.0, 0.0), Share(inf, 1.0)
    assert applied(p.exp, (other,)) == 1.0 and applied(p.mul, (3.0, one)).share == 6.0
    assert applied(p.fma, (other, inf, 2.0)) == 2.0
    assert applied(p.dot, (other, 3.0, inf, one)) == 6.0
    assert (one**2, one < 3.0, 1.0 / one, bool(other)) == (4.0, True, 0.5, False)


def test_all_are_absent_where_each_is() -> None:
    flags = [Share(1.0, 1.0), Share(2.0, 0.0)]
    assert all_absent(flags) == 0.0 and all_absent([ABSENT, flags[0]]) == 1.0
    assert all_absent([flags[0], 1.0]) == all_absent([ABSENT]) == 0.0
    assert left_out_where(1.0, 2.0) == 2.0


@pytest.mark.parametrize("x", [[2.0, 3.0], [2.0, -3.0], [-2.0, 3.0], [-2.0, -3.0]])
def test_a_sum_over_shares_is_one_instruction_for_each(x: list[float]) -> None:
    def f(x: list[Any]) -> Any:
        h = x[0] * x[1] + pi
        return sum(relu(h * x[i % 2] + i) for i in range(5))

    compiled = jit(grad(f))
    assert list(map(bits, compiled(x))) == list(map(bits, grad(f)(x)))
    rows = [row for row, _ in compiled.tape().code]
    # what comes to h, and to each x: from five units, and through h
    assert rows.count(p._add_unless) == 4 + 2 + 3


@pytest.mark.parametrize("x", [-1.0, 0.0, 1.0])
def test_a_select_of_a_select_differentiates_again(x: float) -> None:
    def f(x: Any) -> Any:
        inner = where(x > 0.0, x * x, -x)
        return relu(inner - 0.5) + relu(x) * inner + where(x < 0.5, p.sqrt(x + 2.0), x)

    for derive in (grad, lambda f: grad(grad(f)), lambda f: grad(grad(grad(f)))):
        assert bits(jit(derive(f))(x)) == bits(derive(f)(x))
