"""The bound of `rounding_error` holds against 50 digits, and is not far off."""

import math
import random
from fractions import Fraction

import mpmath
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import autograd
from autograd import Primitive, Value, dot, grad, logsumexp, primitives, prod, relu
from autograd.show.rounding import EXACT, HALF_A_PLACE, rounding_error

mp = mpmath.mp.clone()
mp.dps = 50


def measured(f, *xs):
    """What was found for f(m, *xs), and how wrong it is: m is autograd, then mpmath."""
    y = f(autograd, *map(Value, xs))
    return rounding_error(y), float(abs(mp.mpf(y.data) - f(mp, *map(mp.mpf, xs))))


def assert_bounded(f, *points):
    """Every error is within its bound; the worst comes within a factor of 50."""
    shares = []
    for xs in points:
        found, error = measured(f, *xs)
        assert error <= found.total * (1 + 1e-6), xs
        shares.append(error / found.total if found.total else 1.0)
    assert max(shares) > 0.02


# ---- formulas that are known to be stable, or not ------------------------------------


def textbook_root(m, a, b, c):
    return (-b + m.sqrt(b * b - 4 * a * c)) / (2 * a)


def stable_root(m, a, b, c):
    return 2 * c / (-b - m.sqrt(b * b - 4 * a * c))


QUADRATICS = [(1.1, float(10**k) + 0.3, 1.7) for k in range(1, 8)]


def test_bound_holds_for_both_forms_of_a_quadratic_root():
    assert_bounded(textbook_root, *QUADRATICS)
    assert_bounded(stable_root, *QUADRATICS)


def test_digits_tell_the_stable_root_from_the_textbook_one():
    for xs in QUADRATICS[3:]:
        assert measured(stable_root, *xs)[0].digits >= 14
        assert measured(textbook_root, *xs)[0].digits <= 8


def test_bound_holds_for_one_minus_cosine_in_both_forms():
    points = [(10.0**-k * 1.3,) for k in range(7)]
    assert_bounded(lambda m, x: 1 - m.cos(x), *points)
    assert_bounded(lambda m, x: 2 * m.sin(x / 2) * m.sin(x / 2), *points)
    assert measured(lambda m, x: 1 - m.cos(x), 1e-6)[0].digits <= 4
    assert measured(lambda m, x: 2 * m.sin(x / 2) ** 2, 1e-6)[0].digits >= 14


def muller(steps):
    def f(m, x, y):
        for _ in range(steps):
            x, y = y, 108 - (815 - 1500 / x) / y
        return y

    return f


def test_bound_of_mullers_recurrence_grows_with_the_error():
    """The limit is 5, and rounding leads to 100: every step multiplies it by 20."""
    found = [measured(muller(n), 4.0, 4.25) for n in range(1, 13)]
    for bound, error in found:
        assert error <= bound.total * (1 + 1e-3)
        assert error >= bound.total / 1000 or error < 1e-13
    digits = [bound.digits for bound, _ in found]
    assert digits[0] >= 14 and digits[-1] <= 3
    assert digits == sorted(digits, reverse=True)


def test_bound_that_first_order_cannot_give_is_called_doubtful():
    """Drawn to 100, later steps forget errors; but one divided by a mere error."""
    found, error = measured(muller(30), 4.0, 4.25)
    assert error > 90.0 and found.total < 1e-12
    assert found.digits == 0 and found.doubtful.op == "div"
    assert "Beyond first order" in found.text and "Beyond first order" in found.markdown
    assert measured(muller(6), 4.0, 4.25)[0].doubtful is None


def test_no_stable_formula_is_called_doubtful():
    x = Value(0.3)
    root = Value(1.0)
    for _ in range(12):
        root = root - (root * root - x) / (2 * root)
    for y in root, kahan(autograd, *map(Value, NUMBERS)):
        assert rounding_error(y + 1.0).doubtful is None


def naive(m, *xs):
    total = xs[0]
    for x in xs[1:]:
        total = total + x
    return total


def kahan(m, *xs):
    total, lost = xs[0], 0.0
    for x in xs[1:]:
        y = x - lost
        new = total + y
        lost = (new - total) - y
        total = new
    return total


def neumaier(m, *xs):
    total, lost = xs[0], 0.0
    for x in xs[1:]:
        new = total + x
        large, small = (total, x) if abs(total) >= abs(x) else (x, total)
        lost = lost + ((large - new) + small)
        total = new
    return total + lost


NUMBERS = [random.Random(1).uniform(0.0, 1.0) for _ in range(2000)]


def test_bound_of_a_compensated_sum_does_not_grow_with_its_length():
    exact = mp.fsum(map(mp.mpf, NUMBERS))
    totals = {}
    for summed in naive, kahan, neumaier:
        y = summed(autograd, *map(Value, NUMBERS))
        found = rounding_error(y)
        assert abs(mp.mpf(y.data) - exact) <= found.total * (1 + 1e-6)
        totals[summed] = found.total
    assert totals[kahan] < 4 * math.ulp(float(exact))
    assert totals[neumaier] < 2 * math.ulp(float(exact))
    assert totals[naive] > 100 * totals[kahan]


def test_compensation_is_no_cancellation_to_warn_of():
    assert rounding_error(kahan(autograd, *map(Value, NUMBERS))).cancellation is None


def exponential_series(m, x):
    term, total = 1.0, 1.0
    for k in range(1, 140):
        term = term * x / k
        total = total + term
    return total


def test_bound_of_the_series_of_exp_shows_that_it_fails_left_of_zero():
    points = [(x,) for x in (-25.3, -20.1, -10.7, -5.2, 3.1, 20.4)]
    assert_bounded(exponential_series, *points)
    found, error = measured(exponential_series, -25.3)
    assert found.digits == 0 and error > 0.1 * abs(found.y.data)
    assert measured(lambda m, x: 1 / exponential_series(m, -x), -25.3)[0].digits >= 13


def variance_by_squares(m, *xs):
    n = len(xs)
    return naive(m, *[x * x for x in xs]) / n - (naive(m, *xs) / n) ** 2


def variance_by_differences(m, *xs):
    mean = naive(m, *xs) / len(xs)
    return naive(m, *[(x - mean) * (x - mean) for x in xs]) / len(xs)


def test_bound_tells_two_formulas_of_the_variance_apart():
    rng = random.Random(2)
    points = [[1e5 + rng.random() for _ in range(20)] for _ in range(8)]
    assert_bounded(variance_by_squares, *points)
    assert_bounded(variance_by_differences, *points)
    assert measured(variance_by_squares, *points[0])[0].digits <= 5
    assert measured(variance_by_differences, *points[0])[0].digits >= 9


# ---- rows ----------------------------------------------------------------------------


UNARY = [
    "sin", "cos", "tan", "exp", "expm1", "log", "log1p", "sqrt", "cbrt", "asin", "atan",
    "sinh", "cosh", "tanh", "asinh", "erf", "erfc", "gamma",
]  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_bound_of_one_row_holds(name):
    rng = random.Random(name)
    low, high = getattr(primitives, name).sample
    for _ in range(40):
        x = rng.uniform(max(low, -0.98), high)
        x = abs(x) if name == "cbrt" else x  # mpmath takes a complex root
        found, error = measured(lambda m, x: getattr(m, name)(x), x)
        assert error <= found.total


def test_bound_of_lgamma_holds_where_it_crosses_zero():
    for x in 1.0 + 2**-40, 2.0 - 2**-40, 2.0 + 1e-9, 1.3:
        y = Value(x).lgamma()
        error = abs(mp.mpf(y.data) - mp.loggamma(mp.mpf(x)).real)
        assert error <= rounding_error(y).total < 1e-14


COMPOSED = {
    "gelu": lambda x: x * mp.erfc(-x / mp.sqrt(2)) / 2,
    "silu": lambda x: x / (1 + mp.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "softplus": lambda x: mp.log(1 + mp.exp(x)),
    "leaky_relu": lambda x: x if x > 0 else mp.mpf(0.01) * x,
    "degrees": lambda x: x * 180 / mp.pi,
}


@pytest.mark.parametrize("name", sorted(COMPOSED))
def test_bound_of_a_row_of_several_steps_holds(name):
    rng = random.Random(name)
    for _ in range(60):
        y = getattr(primitives, name)(Value(rng.uniform(-9.0, 9.0)))
        error = abs(mp.mpf(y.data) - COMPOSED[name](mp.mpf(y.args[0].data)))
        assert error <= rounding_error(y).total <= 2e-13 * abs(y.data)


def test_bound_of_polygamma_holds_on_both_sides_of_zero():
    rng = random.Random(5)
    for n, x in [(0.0, 1.4616321449683622), (0.0, -0.504083008264455)] + [
        (float(rng.randrange(4)), rng.uniform(-3.0, 6.0)) for _ in range(40)
    ]:
        y = primitives.polygamma(n, Value(x))
        error = abs(mp.mpf(y.data) - mp.psi(int(n), mp.mpf(x)))
        assert error <= rounding_error(y).total


def test_bound_of_rows_of_two_arguments_holds():
    rng = random.Random(6)
    for _ in range(60):
        x, y = rng.uniform(0.1, 3.0), rng.uniform(0.1, 3.0)
        for z, exact in [
            (primitives.atan2(Value(x), Value(y)), mp.atan2(x, y)),
            (primitives.hypot(Value(x), Value(y)), mp.hypot(x, y)),
            (Value(x) ** y, mp.mpf(x) ** mp.mpf(y)),
            (Value(x) % y, mp.mpf(x) % mp.mpf(y)),
            (primitives.fma(Value(x), y, -x), mp.mpf(x) * mp.mpf(y) - mp.mpf(x)),
        ]:
            assert abs(mp.mpf(z.data) - exact) <= rounding_error(z).total


@pytest.mark.parametrize("n", [1, 2, 5, 40, 1000])
def test_bound_of_dot_and_prod_grows_with_what_they_round(n):
    rng = random.Random(n)
    xs = [rng.uniform(0.7, 1.4) for _ in range(n)]
    ys = [rng.uniform(-1.0, 1.0) for _ in range(n)]
    unit = 2.0**-53
    y = dot([Value(x) for x in xs], ys)
    exact = sum(Fraction(a) * Fraction(b) for a, b in zip(xs, ys))
    size = math.fsum(abs(a * b) for a, b in zip(xs, ys))
    total = rounding_error(y).total
    assert abs(Fraction(y.data) - exact) <= Fraction(total)
    assert total <= 2 * n * unit * size
    z = prod([Value(x) for x in xs])
    exact = math.prod(map(Fraction, xs))
    total = rounding_error(z).total
    assert abs(Fraction(z.data) - exact) <= Fraction(total * (1 + 1e-9))
    assert total <= n * unit * abs(z.data)


def test_bound_of_dot_that_cancels_is_that_of_its_terms():
    xs = [Value(x) for x in (1e8 + 0.1, 1.1, -(1e8 + 0.3))]
    y = dot(xs, [1.7, 1.3, 1.7])
    exact = mp.fdot((mp.mpf(x.data), mp.mpf(w)) for x, w in zip(xs, (1.7, 1.3, 1.7)))
    found = rounding_error(y)
    assert abs(mp.mpf(y.data) - exact) <= found.total
    assert found.digits <= 9


@pytest.mark.parametrize("n", [1, 2, 9, 500])
def test_bound_of_logsumexp_holds_even_where_it_is_near_zero(n):
    rng = random.Random(n)
    for shift in 0.0, -math.log(n), 30.0, -700.0:
        xs = [rng.gauss(shift, 1.0) for _ in range(n)]
        y = logsumexp([Value(x) for x in xs])
        exact = mp.log(mp.fsum(mp.exp(mp.mpf(x)) for x in xs))
        total = rounding_error(y).total
        assert abs(mp.mpf(y.data) - exact) <= total
        assert total <= 16 * 2.0**-53 * max(map(abs, [*xs, y.data]))


def test_bound_of_a_users_row_of_any_length_grows_with_it():
    mean = Primitive(
        "mean",
        lambda *xs: sum(xs) / len(xs),
        lambda z, *xs: [1.0 / len(xs)] * len(xs),
    )
    short, long = (rounding_error(mean([Value(0.1)] * n)).total for n in (4, 400))
    assert long >= 50 * short > 0.0


def test_every_row_that_is_said_to_be_exact_is_a_row_of_the_table():
    names = {row.name for row in vars(primitives).values() if type(row) is Primitive}
    assert names >= EXACT | HALF_A_PLACE


@pytest.mark.parametrize(
    "f",
    [
        lambda x: -x,
        lambda x: abs(x),
        lambda x: relu(x) * 8,
        lambda x: x / 4 + x,
        lambda x: x * 3 - x,
        lambda x: (x * x).sqrt(),
        lambda x: x**2,
        lambda x: autograd.maximum(x, 1.0),
        lambda x: autograd.where(x > 0, x, x * 0.1),
        lambda x: dot([x, x], [2.0, 0.5]),
        lambda x: x.leaky_relu(),
    ],
)
def test_what_is_computed_exactly_contributes_nothing(f):
    found = rounding_error(f(Value(3.0)))
    assert found.total == 0.0 and found.relative == 0.0 and found.digits == 15
    assert "is exact" in found.text


def test_a_single_rounded_operation_is_charged_half_a_last_place():
    assert rounding_error(Value(1.0) / 3).total == 0.5 * math.ulp(1 / 3)
    assert rounding_error(Value(0.1) + 0.2).total == 0.5 * math.ulp(0.1 + 0.2)
    assert rounding_error(Value(5e-324) * 0.4).total > 0.0


# ---- random programs -----------------------------------------------------------------

OPERATIONS = {
    "add": lambda m, x, y: x + y,
    "sub": lambda m, x, y: x - y,
    "mul": lambda m, x, y: x * y,
    "sin": lambda m, x, y: m.sin(x),
    "tanh": lambda m, x, y: m.tanh(x - y),
    "root": lambda m, x, y: m.sqrt(1.5 + x * x),
    "bell": lambda m, x, y: m.exp(-(y * y)),
    "over": lambda m, x, y: x / (1.25 + y * y),
}
steps = st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0), st.integers(0))


@given(
    st.lists(st.floats(-3.0, 3.0, allow_subnormal=False), min_size=1, max_size=3),
    st.lists(steps, min_size=1, max_size=14),
)
def test_bound_holds_for_random_programs(xs, program):
    def f(m, *numbers):
        stack = list(numbers)
        for name, i, j in program:
            operands = stack[i % len(stack)], stack[j % len(stack)]
            stack.append(OPERATIONS[name](m, *operands))
        return stack[-1]

    y = f(autograd, *map(Value, xs))
    sizes = [abs(part.node.data) for part in rounding_error(y).nodes]
    assume(max(sizes) < 1e3)
    found, error = measured(f, *xs)
    second_order = 1e-20 * max(1.0, max(sizes)) ** 2
    assert error <= found.total * (1 + 1e-3) + second_order


# ---- what is reported ----------------------------------------------------------------


def test_nodes_are_sorted_and_add_up_to_the_total():
    found, _ = measured(textbook_root, 1.1, 1000.3, 1.7)
    shares = [part.share for part in found.nodes]
    assert shares == sorted(shares, reverse=True)
    assert math.fsum(shares) == found.total
    assert found.relative == found.total / abs(found.y.data)
    for part in found.nodes:
        assert part.share == abs(part.adjoint) * part.error


def test_worst_cancellation_is_named_with_its_loss():
    b = Value(1e6, "b")
    root = (b * b - 3.7).sqrt()
    y = (root - b) / 2 + 1e-3 * (b - b.sin())
    difference = next(x for x in (root - b, y) if x.op == "sub")
    worst = rounding_error((root - b) / 2).cancellation
    assert worst.node.op == "sub"
    assert worst.loss == pytest.approx(root.data / abs(difference.data))
    assert worst.growth == pytest.approx(worst.loss)


def test_cancellation_that_is_damped_later_is_not_named():
    x = Value(1e-4, "x")
    assert rounding_error(1 - x.cos()).cancellation is not None
    assert rounding_error((1 - x.cos()) + 5.0).cancellation is None


def test_a_difference_of_exact_numbers_is_no_cancellation_unless_inputs_are_rounded():
    x, y = Value(1.0000001), Value(1.0)
    assert rounding_error(x - y).cancellation is None
    worst = rounding_error(x - y, inputs=0.5).cancellation
    assert worst.growth == pytest.approx(1e7, rel=1e-6)


def test_inputs_add_the_error_of_the_leaves():
    x, y = Value(0.1), Value(0.3)
    found = rounding_error(x * 3 - y, inputs=0.5)
    exact = 0
    assert abs(Fraction(found.y.data) - exact) <= Fraction(found.total)
    assert {part.node for part in found.nodes} >= {x, y}
    assert found.total > rounding_error(x * 3 - y).total


def test_complete_cancellation_has_no_digits():
    x = Value(0.1)
    found = rounding_error(x * 3 - (x + x + x))
    assert found.digits <= 1
    zero = rounding_error(x.exp() - x.exp())
    assert zero.relative == math.inf and zero.digits == 0
    assert zero.cancellation.loss == math.inf


def test_text_and_markdown_show_the_bound_the_parts_and_the_cancellation():
    x = Value(1e-4, "x")
    found = rounding_error(1 - x.cos())
    for piece in [
        "Rounding moves 5e-09 by at most 1.1e-16", "7 digits are certain",
        "u = cos(x)", "1.1e-16", "Worst cancellation: y = 1 - u",
    ]:  # fmt: skip
        assert piece in str(found)
    markdown = found._repr_markdown_()
    table = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {6}
    assert r"$u = \cos x$" in markdown
    assert "Worst cancellation: $y = 1 - u$" in markdown


def test_text_counts_the_nodes_it_does_not_show():
    found = rounding_error(naive(autograd, *map(Value, NUMBERS)))
    assert len(found.text.splitlines()) < 20
    rest = math.fsum(part.share for part in found.nodes[12:])
    assert f"… and {len(found.nodes) - 12} more, together {rest:.2g}" in found.text


def test_rounding_error_of_a_gradient_is_bounded_too():
    def slope(x):
        return grad(lambda x: (x * x).sin() / x)(x)

    for x in 0.3, 1.1, 2.7:
        y = slope(Value(x))
        exact = mp.diff(lambda t: mp.sin(t * t) / t, mp.mpf(x))
        assert abs(mp.mpf(y.data) - exact) <= rounding_error(y).total + 1e-22


def test_rounding_error_leaves_gradients_alone():
    x = Value(2.0)
    y = x.sin()
    rounding_error(y)
    assert not x.reached and not y.reached


def test_rounding_error_of_a_leaf_is_nothing_or_its_own():
    x = Value(0.1, "x")
    assert rounding_error(x).total == 0.0
    assert rounding_error(x, inputs=0.5).total == 0.5 * math.ulp(0.1)


def test_rounding_error_of_a_long_chain_needs_no_recursion():
    y = Value(0.5)
    for _ in range(20_000):
        y = y * 1.0000001
    found = rounding_error(y)
    assert len(found.nodes) == 20_000
    assert found.relative < 20_000 * 2.0**-52


# ---- errors --------------------------------------------------------------------------


def test_rounding_error_refuses_what_is_no_value():
    with pytest.raises(TypeError, match="rounding_error: y must be a Value, but is 3"):
        rounding_error(3.0)


@pytest.mark.parametrize("inputs", [-1.0, math.nan, math.inf])
def test_rounding_error_refuses_impossible_input_errors(inputs):
    with pytest.raises(ValueError, match="rounding_error: inputs must be 0 or more"):
        rounding_error(Value(1.0).sin(), inputs=inputs)


def test_rounding_error_names_the_first_value_that_is_not_finite():
    x = Value(0.0, "x")
    u = x.log()
    u.label = "u"
    with pytest.raises(ValueError, match="value of every node .*'u', the result of"):
        rounding_error(u.exp() + u * 2)
    with pytest.raises(ValueError, match="that of 'x' is inf"):
        rounding_error(Value(math.inf, "x").tanh())


def test_rounding_error_names_an_adjoint_that_is_not_finite():
    x = Value(0.0, "x")
    u = x * 2.0
    u.label = "u"
    with pytest.raises(ValueError, match="the adjoint of every node .* 'u'.* is inf"):
        rounding_error(u.sqrt())


def test_rounding_error_refuses_a_graph_whose_leaf_was_assigned_since():
    x = Value(1.0, "x")
    y = x.sin()
    x.data = 2.0
    with pytest.raises(ValueError, match="rounding_error: .* 'x' was assigned after"):
        rounding_error(y)


# ---- steps and choices ---------------------------------------------------------------


class Exact:
    """The rows with steps and kinks in 50 digits, beside what mpmath has."""

    def __getattr__(self, name):
        return getattr(mp, name)

    less = staticmethod(lambda x, y: mp.mpf(x < y))
    where = staticmethod(lambda c, x, y: x if c else y)
    maximum = staticmethod(lambda *xs: max(mp.mpf(x) for x in xs))
    minimum = staticmethod(lambda *xs: min(mp.mpf(x) for x in xs))
    clip = staticmethod(lambda x, lo, hi: min(max(x, mp.mpf(lo)), mp.mpf(hi)))
    relu = staticmethod(lambda x: max(x, mp.mpf(0)))
    abs = staticmethod(lambda x: abs(x))
    mod = staticmethod(lambda x, y: x - y * mp.floor(x / y))
    copysign = staticmethod(lambda x, y: abs(x) if y >= 0 else -abs(x))
    atan2 = staticmethod(lambda y, x: mp.atan2(y, x))
    stop_gradient = staticmethod(lambda x: x)


exact = Exact()


def stepped(f, *xs):
    """What was found for f(m, *xs), and how wrong its value is."""
    y = f(autograd, *map(Value, xs))
    return rounding_error(y), float(abs(mp.mpf(y.data) - f(exact, *map(mp.mpf, xs))))


OFF_BY_A_JUMP = {
    "floor": (lambda m, x: m.floor(x * 3), 1 / 3, 1.0),
    "ceil": (lambda m, x: m.ceil(x * 10), 0.1, 1.0),
    "sign": (lambda m, x: m.sign(x * 3 - 1), 1 / 3, 1.0),
    "less": (lambda m, x: m.less(x * 3, 1), 1 / 3, 1.0),
    "where": (lambda m, x: m.where(m.less(x * 3, 1), 5 + x, 7 + x), 1 / 3, 2.0),
    "mod": (lambda m, x: m.mod(x * 3, 1), 1 / 3, 1.0),
    "copysign": (lambda m, x: m.copysign(2 + 0 * x, x * 3 - 1), 1 / 3, 0.0),
    "sum": (lambda m, x: 100 + 2 * m.floor(x * 3), 1 / 3, 2.0),
    "twice": (lambda m, x: m.floor(m.floor(x * 3) / 1), 1 / 3, 1.0),
}


@pytest.mark.parametrize("name", OFF_BY_A_JUMP)
def test_step_that_rounding_may_take_is_named_with_its_margin(name):
    f, x, off = OFF_BY_A_JUMP[name]
    found, error = stepped(f, x)
    assert off <= error + 1e-9 and error <= found.total * (1 + 1e-12)
    assert found.jump is not None and found.jump.margin <= found.jump.moved
    assert found.jump.node.op == {
        "where": "less",
        "sum": "floor",
        "twice": "floor",
    }.get(name, name)
    assert "exact" not in found.text and "A choice that rounding" in found.text
    assert "A choice that rounding" in found.markdown
    assert found.digits <= 2


def test_step_at_a_safe_distance_is_exact():
    for f in (
        lambda x: (x * 3).floor(),
        lambda x: (x * 3 + 0.5).sign(),
        lambda x: autograd.less(x * 3, 2),
        lambda x: (x * 0.0).sign(),
        lambda x: (lambda u: autograd.less(u, u))(x * 0.1),
        lambda x: autograd.where(autograd.less(x * 3, 2), 1.0, 2.0 * x),
        lambda x: (x * 3 - 7).relu(),
        lambda x: autograd.maximum(x * 3, 7.0),
    ):
        found = rounding_error(f(Value(0.6)))
        assert found.total == 0.0 and found.jump is None and "is exact" in found.text


def test_step_of_an_exact_number_is_exact_unless_inputs_are_rounded():
    y = Value(3.0, "x").floor()
    assert rounding_error(y).total == 0.0
    assert rounding_error(y, inputs=0.5).total == 1.0
    assert rounding_error(y, inputs=0.5).jump.margin == 0.0


def test_step_that_enters_a_curve_has_no_bound():
    x = Value(1 / 3, "x")
    for y in (
        ((x * 3).floor() * 2).exp(),
        1 / (1 + (x * 3).floor()),
        (x * 3).ceil() ** 2,
    ):
        found = rounding_error(y)
        assert found.total == math.inf and found.digits == 0 and found.jump is not None
        assert "nobody knows" in found.text


def test_step_that_nothing_depends_on_is_not_named():
    x = Value(1 / 3, "x")
    found = rounding_error(autograd.where(autograd.less(x, 1), x + 1, (x * 3).floor()))
    assert found.jump is None and found.total < 1e-15


def test_branches_that_meet_are_no_jump():
    """A Huber loss where it changes over: either branch gives the same number."""

    def huber(m, x):
        return m.exp(m.where(m.less(x * 3, 1), x * x * 4.5, x * 3 - 0.5))

    found, error = stepped(huber, 1 / 3)
    assert found.jump is None and error <= found.total < 1e-14


def test_kink_moves_by_the_error_of_its_operand():
    for f in (
        lambda m, x: m.relu(1 - x * 3),
        lambda m, x: m.abs(x * 3 - 1),
        lambda m, x: m.maximum(x * 3, 1),
        lambda m, x: m.minimum(x * 3, 1),
        lambda m, x: m.clip(x * 3, 1, 2),
        lambda m, x: m.stop_gradient(x * 3),
        lambda m, x: m.hypot(x * 3 - 1, 0),
    ):
        found, error = stepped(f, 1 / 3)
        assert error <= found.total and 0.0 < found.total < 1e-15
        assert found.jump is None


def test_step_that_a_user_wrote_is_tried_beside_its_operand():
    nearest = Primitive("nearest", lambda x: float(round(x)), 0.0)
    x = Value(0.1, "x")
    assert rounding_error(nearest(x * 3)).total < 1e-300
    found = rounding_error(nearest(x * 15))
    assert 1.0 <= found.total < 1.0 + 1e-14 and found.jump.node.op == "nearest"


TENTHS = st.integers(-40, 40).map(lambda n: n / 10) | st.integers(-9, 9).map(
    lambda n: n / 3
)
STEPS = {
    "add": lambda m, x, y: x + y,
    "sub": lambda m, x, y: x - y,
    "mul": lambda m, x, y: x * y,
    "ten": lambda m, x, y: x * 10,
    "three": lambda m, x, y: x * 3,
    "sin": lambda m, x, y: m.sin(x),
    "over": lambda m, x, y: x / (1 + y * y),
    "floor": lambda m, x, y: m.floor(x),
    "ceil": lambda m, x, y: m.ceil(x),
    "sign": lambda m, x, y: m.sign(x),
    "less": lambda m, x, y: m.less(x, y),
    "where": lambda m, x, y: m.where(m.less(x, y), x * 2, y + 1),
    "maximum": lambda m, x, y: m.maximum(x, y),
    "minimum": lambda m, x, y: m.minimum(x, y),
    "clip": lambda m, x, y: m.clip(x, 0.3, 0.9),
    "relu": lambda m, x, y: m.relu(x),
    "abs": lambda m, x, y: m.abs(x),
    "mod": lambda m, x, y: m.mod(x, 0.1),
    "copysign": lambda m, x, y: m.copysign(x, y + 0.0),
    "stop": lambda m, x, y: m.stop_gradient(x),
    "hypot": lambda m, x, y: m.hypot(x, y),
}
stepping = st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0), st.integers(0))


def run_steps(m, xs, program):
    made = list(xs)
    for name, i, j in program:
        made.append(STEPS[name](m, made[i % len(made)], made[-1 - j % len(made)]))
    return sum(made[len(xs) :], 0 * made[0])


@given(st.lists(TENTHS, min_size=1, max_size=3), st.lists(stepping, max_size=12))
def test_bound_holds_for_random_programs_with_steps(xs, program):
    y = run_steps(autograd, [Value(x) for x in xs], program)
    if not isinstance(y, Value):
        return
    try:
        found = rounding_error(y)
    except ValueError:  # something is not finite
        return
    error = abs(mp.mpf(y.data) - run_steps(exact, [mp.mpf(x) for x in xs], program))
    assert found.doubtful is not None or error <= found.total * (1 + 1e-6)
    if error > 1e-6 and found.doubtful is None:
        assert found.jump is not None and found.jump.margin <= found.jump.moved


# ---- the digits of derivatives -------------------------------------------------------


def derivative(f, *xs):
    """The bound of ∂f/∂x for the first x, and how wrong the engine's number is."""
    leaves = [Value(x) for x in xs]
    y = f(autograd, *leaves)
    y.backward()
    found = rounding_error(y).gradients[leaves[0]]
    assert found.y.data == leaves[0].grad
    rest = [mp.mpf(x) for x in xs[1:]]
    right = mp.diff(lambda t: f(exact, t, *rest), mp.mpf(xs[0]))
    return found, abs(mp.mpf(leaves[0].grad) - right)


def test_derivative_may_have_fewer_digits_than_the_value():
    x = Value(1e-5, "x")
    found = rounding_error(x.sin() / x)
    slope, error = derivative(lambda m, x: m.sin(x) / x, 1e-5)
    assert found.digits == 15 and slope.digits == found.gradients[x].digits in (4, 5)
    assert error <= slope.total
    assert f"∂y/∂x = -3.3333199e-06: {slope.digits} digits are certain" in found.text
    assert (
        rf"$\partial y/\partial x$ = -3.3333199e-06: {slope.digits}" in found.markdown
    )


@pytest.mark.parametrize("x", [1e-5, 0.3, 1.7])
def test_bound_of_a_derivative_holds(x):
    for f in (
        lambda m, x: (1 - m.cos(x)) / (x * x),
        lambda m, x: (m.exp(x) - 1) / x,
        lambda m, x: m.log(1 + x) * m.sqrt(x),
        lambda m, x: m.tanh(x * x) - m.relu(x - 1),
    ):
        found, error = derivative(f, x)
        assert error <= found.total * (1 + 1e-6) + 1e-40


def test_derivatives_of_all_inputs_are_bounded():
    x, y = Value(0.3, "x"), Value(-2.0, "y")
    found = rounding_error(x * y + y.exp())
    assert [*found.gradients] == [x, y]
    assert found.gradients[x].total == 0.0 and found.gradients[y].total > 0.0


def test_derivative_beside_a_kink_has_no_digits():
    x = Value(1 / 3, "x")
    for y in (
        (1 - x * 3).relu() + x,
        autograd.maximum(x * 3, 1) + x,
        abs(x * 3 - 1),
        autograd.clip(x * 3, 0, 1),
        autograd.where(autograd.less(x * 3, 1), x, 2 * x),
    ):
        found = rounding_error(y)
        assert found.gradients[x].total == math.inf
        assert "0 digits are certain, " in found.text and "its kink" in found.text
    found = rounding_error((x - 1).relu() + x)
    assert found.gradients[x].digits == 15 and "kink" not in found.text


def test_derivative_that_cannot_be_bounded_is_left_out():
    x = Value(0.0, "x")
    found = rounding_error(
        (3.0 * x) ** 1.5 + x
    )  # whose derivative has an infinite slope
    assert found.gradients == {} and "∂y/∂x is not finite" in found.text


def test_derivatives_of_many_inputs_are_left_to_who_asks():
    xs = [Value(i / 7) for i in range(1, 30)]
    found = rounding_error(dot(xs, xs))
    assert "see .gradients" in found.text and len(found.gradients) == 29


@given(
    st.lists(st.floats(-3.0, 3.0, allow_subnormal=False), min_size=1, max_size=2),
    st.lists(steps, min_size=1, max_size=8),
)
def test_bound_of_derivatives_holds_for_random_programs(xs, program):
    def f(m, *xs):
        made = list(xs)
        for name, i, j in program:
            x, y = made[i % len(made)], made[-1 - j % len(made)]
            made.append(OPERATIONS[name](m, x, y))
        return made[-1]

    leaves = [Value(x) for x in xs]
    bounds = rounding_error(f(autograd, *leaves)).gradients
    for i, x in enumerate(leaves):
        if x in bounds and bounds[x].doubtful is None:
            others = [mp.mpf(v) for v in xs]

            def along(t, i=i, others=others):
                return f(exact, *others[:i], t, *others[i + 1 :])

            error = abs(mp.mpf(bounds[x].y.data) - mp.diff(along, others[i]))
            assert error <= bounds[x].total * (1 + 1e-6) + mp.mpf(10) ** -22
