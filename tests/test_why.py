"""Each cause of a bad gradient is planted, and `why` must name it and no other."""

import inspect
import math
import re
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nn
from autograd import (
    Primitive,
    Value,
    abs,
    beta,
    clip,
    detect_anomaly,
    dot,
    exp,
    floor,
    gamma,
    grad,
    hypot,
    lbeta,
    less,
    lgamma,
    log,
    logsumexp,
    maximum,
    minimum,
    mod,
    pow,
    primitives,
    prod,
    record_lines,
    relu,
    sigmoid,
    sin,
    sqrt,
    stop_gradient,
    tanh,
    where,
    xlogy,
)
from autograd.show.why import HUGE, REMEDIES, TINY, why


def at(f, number):
    """why of f at a Value labelled x."""
    x = Value(number, "x")
    return why(f(x), x)


def kinds(diagnosis):
    return [cause.kind for cause in diagnosis.causes]


def chain(f, times):
    def repeated(x):
        for _ in range(times):
            x = f(x)
        return x

    return repeated


# ---- one planted case for each cause -------------------------------------------------

PLANTED = [
    # (kinds in order, f, x, pieces of the text)
    ("stopped", lambda x: stop_gradient(x) * 2, 3.0, ["stop_gradient(x = 3) = 3"]),
    ("off", lambda x: relu(x) * 3, -2.0, ["relu(x = -2) = 0", "leaky_relu"]),
    ("clipped", lambda x: clip(x, 0.0, 1.0), 5.0, ["clip(x = 5, 0, 1) = 1"]),
    ("left out", lambda x: maximum(x, 4.0), 1.0, ["maximum(x = 1, 4) = 4 leaves x"]),
    ("left out", lambda x: minimum(4.0, x), 9.0, ["minimum(4, x = 9) = 4 leaves x"]),
    ("left out", lambda x: where(x > 3, x, 3.0), 1.0, ["where(0, x = 1, 3) = 3 leav"]),
    ("condition", lambda x: where(less(x, 2.0), 7.0, 8.0), 1.0, ["to its condition"]),
    ("step", lambda x: less(x, 5.0) * 2, 1.0, ["less(x = 1, 5) = 1 is a step"]),
    ("step", lambda x: floor(x) * 2, 1.5, ["floor(x = 1.5) = 1 is a step"]),
    ("saturated", lambda x: tanh(x) * 2, 30.0, ["tanh(x = 30) = 1", "1 - z² = 3.5026"]),
    ("saturated", lambda x: tanh(x), 9.0, ["1 - z² = 6.0919", "tiny"]),
    ("saturated", lambda x: sigmoid(x) ** 2, 30.0, ["z·(1 - z) = 9.3576", "logits"]),
    ("saturated", lambda x: logsumexp(x, 0.0), -50.0, ["e^(x - z) = 1.9287"]),
    ("zero factor", lambda x: sin(x * 0.0), 2.0, ["mul(x = 2, 0) = 0", "x = 2 by 0"]),
    ("zero factor", lambda x: prod([x, 2.0, 0.0]), 2.0, ["multiplies x = 2 by 0"]),
    ("zero factor", lambda x: dot([x, 2.0], [0.0, 1.0]), 2.0, ["x = 2 by 0"]),
    ("stationary", lambda x: x.cos(), 0.0, ["cos(x = 0) = 1 is flat"]),
    ("stationary", lambda x: x**2, 0.0, ["pow(x = 0, 2) = 0 is flat"]),
    ("underflow", lambda x: exp(-x * 1.0) + 1, 800.0, ["exp(mul = -800) = 0"]),
    ("underflow", lambda x: x * (Value(1e-200) * 1e-200), 2.0, ["the result rounds"]),
    ("underflow", lambda x: pow(x, 3.0) * 1e300, 1e-200, ["its slope rounds to 0"]),
    ("cancellation", lambda x: x - x, 3.0, ["1 (by sub → x) and -1 (by sub → x)"]),
    ("cancellation", lambda x: x - sin(x), 1e-3, ["-0.9999995", "about 7 digits"]),
    ("cancellation", lambda x: (x + 1e-9) * 1e9 - x * 1e9, 1.0, ["all digits cancel"]),
    ("kink", lambda x: relu(x) * 2, 0.0, ["relu(x = 0) = 0 is exactly at its kink"]),
    ("kink", lambda x: abs(x - 2) * 2, 2.0, ["abs(sub = 0) = 0 is exactly at"]),
    ("kink", lambda x: hypot(x, 0.0), 0.0, ["hypot(x = 0, 0) = 0 is exactly at its"]),
    ("kink", lambda x: maximum(x, 1.0), 1.0, ["ordinary", "exactly at its kink"]),
    ("kink", lambda x: abs(x - 2.000001), 2.0, ["ordinary", "by moving 1e-06"]),
    ("kink", lambda x: where(less(x * 2, 4.0), x, 2 * x), 2.0001, ["its jump"]),
    ("kink", lambda x: mod(x, 1.0), 2.9999, ["mod(x = 2.9999, 1)", "its jump"]),
    ("pole", lambda x: log(x), 0.0, ["log(x = 0) = -inf: a pole", "the first number"]),
    ("pole", lambda x: 1 / (x - 1), 1.0, ["div(1, sub = 0) = inf: a pole"]),
    ("domain", lambda x: sqrt(x) + 1, -1.0, ["sqrt(x = -1) = nan", "outside the"]),
    ("domain", lambda x: pow(-2.0, x), 2.0, ["nan · 1 = nan, the first step that"]),
    ("infinite slope", lambda x: sqrt(x) * 2, 0.0, ["sqrt(x = 0)", "= inf · 2 = inf"]),
    ("pole", lambda x: lgamma(x), -3.0, ["lgamma(x = -3) = inf: a pole"]),
    ("pole", lambda x: beta(x, 0.5), 0.0, ["beta(x = 0, 0.5) = inf: a pole"]),
    ("overflow", lambda x: gamma(x), 200.0, ["gamma(x = 200) = inf: the result is"]),
    ("overflow", lambda x: lgamma(x), 1e306, ["lgamma(x = 1e+306) = inf: the res"]),
    ("overflow", lambda x: lbeta(x, x), 1.7e308, ["= -inf: the result is"]),
    ("overflow", lambda x: xlogy(x, 1e300), -1e306, ["the result is above"]),
    ("overflow", lambda x: exp(x), 800.0, ["exp(x = 800) = inf: the result is above"]),
    ("0·inf", lambda x: sqrt(x) ** 2, 0.0, ["inf · 0 = nan", "`where`"]),
    ("0·inf", lambda x: sqrt(x) * 0.0, 0.0, ["sqrt(x = 0) = 0", "inf · 0 = nan"]),
    ("inf - inf", lambda x: (x - 9e307) * 9 + (x + 9e307) * 9, 0.0, ["inf) = nan"]),
    ("input", lambda x: x * 2, math.nan, ["the input x = nan is not finite"]),
    ("input", lambda x: x * math.nan, 1.0, ["mul(x = 1, nan) = nan: one of its"]),
    ("small factor", lambda x: x * 1e-9, 1.0, ["slope for x = 1 is 1e-09"]),
    ("large factor", lambda x: x / 1e-9, 1.0, ["slope for x = 1 is 1e+09"]),
    ("vanishing", chain(lambda x: sigmoid(x), 20), 1.0, ["20 factors (20 of sigmoid)"]),
    ("exploding", chain(lambda x: x * 3, 40), 1.0, ["mean of 3", "1.2157665e+19"]),
    ("many paths", chain(lambda x: x + x, 40), 1.0, ["product 1,", "1.0995116e+12"]),
]  # fmt: skip


ALSO = {"inf - inf": ["overflow"]}  # what cannot be planted alone


@pytest.mark.parametrize(("kind", "f", "number", "pieces"), PLANTED)
def test_why_names_the_planted_cause_and_no_other(kind, f, number, pieces):
    found = at(f, number)
    assert kinds(found) == ALSO.get(kind, []) + [kind], found
    for piece in pieces:
        assert piece in found.text
    assert found.causes[-1].remedy == REMEDIES[kind]


def test_every_kind_of_cause_is_planted():
    others = {"unused", "swapped", "comparison"}
    assert {kind for kind, *_ in PLANTED} | others == set(REMEDIES)


def test_why_of_a_right_gradient_says_that_nothing_is_wrong():
    found = at(lambda x: exp(sin(x**2)), 1.5)
    assert found.causes == []
    assert found.text == (
        "∂y/∂x = -4.1031165: the gradient is an ordinary number, "
        "nothing is wrong with it"
    )


def test_why_says_that_y_does_not_use_x():
    x, c = Value(2.0, "x"), Value(3.0, "c")
    found = why(c * 2, x)
    assert kinds(found) == ["unused"]
    assert "y was computed without x = 2" in found.text
    assert "does not depend on x" in found.verdict


def test_why_calls_both_values_by_their_labels():
    x, z = Value(2.0, "x"), Value(3.0, "z")
    loss = x * 2
    loss.label = "loss"
    found = why(loss, z)
    assert found.verdict == "∂loss/∂z = 0: loss does not depend on z"
    assert "loss was computed without z = 3" in found.text
    assert "loss was computed from x, not x from loss" in why(x, loss).text
    off = (x * -1.0).relu()
    off.label = "off"
    assert why(off, x).verdict == "∂off/∂x = 0: no path from off to x is open"


def test_why_calls_values_without_labels_by_letters_that_are_free():
    x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0)
    assert why(x * y, z).verdict == "∂y/∂x = 0: y does not depend on x"
    assert why(x * 1.0, y).verdict.endswith("the result does not depend on y")
    assert why(x, z).verdict.endswith("x does not depend on the input")


def test_why_finds_another_value_with_the_same_label():
    x, twin = Value(2.0, "x"), Value(3.0, "x")
    for y in twin * 2, twin:
        (cause,) = why(y, x).causes
        assert cause.kind == "unused"
        assert cause.node is twin
        assert "(its value is 3, and x's 2)" in cause.sentence


def bisected(p, f=lambda x, p: x * x - p):
    """√p by halves: a plain number."""
    low, high = 0.0, 4.0
    for _ in range(40):
        middle = (low + high) / 2
        if f(middle, p) < 0:  # where p decides
            low = middle
        else:
            high = middle
    return middle


def where_p_decides():
    lines, first = inspect.getsourcelines(bisected)
    (place,) = [i for i, text in enumerate(lines) if "# where p decides" in text]
    return f"{__file__}:{first + place}"


@pytest.mark.parametrize("of", [lambda y, x: y, lambda y, x: Value(3.0) * y])
def test_why_names_the_comparisons_of_a_bisection(of):
    assert grad(bisected)(2.0) == 0.0
    x = Value(2.0, "x")
    with record_lines():
        found = why(of(bisected(x), x), x)
    assert kinds(found) == ["comparison"] and found.gradient == 0.0
    assert found.verdict == "∂y/∂x = 0: y does not depend on x"
    (cause,) = found.causes
    assert "x = 2 only decided 40 comparisons on this line" in cause.sentence
    assert cause.line == where_p_decides()
    assert "bracket(f, low, high)" in cause.remedy and "root" in cause.remedy
    assert cause.line in found.text and "For source lines" not in found.text


@pytest.mark.parametrize(
    "f", [lambda x, p: x - p, lambda x, p: (x - p) ** 3, lambda x, p: -p + sin(x) * 0]
)
def test_why_names_comparisons_however_the_value_comes_in(f):
    x = Value(2.0, "x")
    with record_lines():
        assert kinds(why(bisected(x, f), x)) == ["comparison"]
        assert kinds(why(bisected(x.sin() + 1.0, f), x)) == ["comparison"]


def test_why_names_a_value_that_is_compared_itself_or_asked_for_its_truth():
    x = Value(2.0, "x")
    with record_lines():
        y = 3.0 if x > 1.0 else 4.0
        assert "x = 2 only decided 1 comparison on this" in why(y, x).text
    with record_lines():
        y = 3.0 if x else 4.0
        assert kinds(why(y, x)) == ["comparison"]


def test_why_names_a_search_whose_result_is_one_factor_among_others():
    x = Value(2.0, "x")
    with record_lines():
        found = why(x * bisected(x), x)
    assert found.gradient == pytest.approx(math.sqrt(2))
    assert kinds(found) == ["comparison"]
    assert "x = 2 also decided 40 comparisons on this line" in found.text
    assert "nothing is wrong" not in found.verdict


def test_why_takes_no_ordinary_branch_or_loop_for_a_search():
    x = Value(2.0, "x")
    with record_lines():
        z = x
        for _ in range(30):
            step = (z * z - x) / (2 * z)
            z = z - step
            if abs(step) < 1e-300:
                break
        y = z if x > 1.0 else -z
        assert "comparison" not in kinds(why(y, x))
        xs = [Value(float(i % 7)) for i in range(30)]
        middle = sorted(xs)[15]
        assert kinds(why(middle * 2, middle)) == []


def test_why_asks_for_a_value_where_no_comparison_was_noted():
    x, other = Value(2.0, "x"), Value(3.0)
    y = bisected(x)
    for asked in x, other:
        with pytest.raises(
            TypeError, match="why: y must be a Value, but is 1.41.*reco"
        ):
            why(y, asked)
    with record_lines():
        bisected(x)
        with pytest.raises(TypeError, match="why: y must be a Value"):
            why(y, other)
    assert "record_lines" in why(Value(1.0) * y, x).causes[0].remedy


def test_comparisons_are_kept_for_a_block_and_a_thread_and_a_few_of_each_line():
    from autograd.watch import MOST_COMPARED, comparisons

    x = Value(2.0)
    with record_lines():
        for i in range(1000):
            assert (x < i) == (i > 2)
        ((line, found),) = comparisons().items()
        assert found.count == 1000 and len(found.pairs) == MOST_COMPARED
        assert line.startswith(__file__)
        with record_lines():
            assert x > 1.0
            assert len(comparisons()) == 2
    assert comparisons() == {}


def test_why_notices_that_the_question_is_the_wrong_way_round():
    x = Value(2.0, "x")
    y = x * 2
    assert kinds(why(x, y.sin())) == ["swapped"]
    assert kinds(why(y, y.sin())) == ["swapped"]


def test_why_of_a_value_itself_is_one():
    x = Value(2.0, "x")
    found = why(x, x)
    assert (found.gradient, found.causes) == (1.0, [])
    assert "y is x itself" in found.text


def test_why_finds_the_value_that_underflowed_behind_a_zero_factor():
    x, c = Value(2.0, "x"), Value(1e-200, "c")
    square = c * c
    (cause,) = why(square * x, x).causes
    assert cause.kind == "underflow"
    assert cause.node is square


def test_why_adjoints_that_meet_as_infinities_are_told_apart():
    found = at(lambda x: sqrt(x) * 2 - sqrt(x), 0.0)
    assert kinds(found) == ["infinite slope", "inf - inf"]
    assert "share + share = inf + -inf = nan" in found.text or (
        "share + share = -inf + inf = nan" in found.text
    )


# ---- several causes at once ----------------------------------------------------------


def test_why_lists_every_cause_in_series():
    found = at(lambda x: stop_gradient(relu(x) * 0.0) + floor(x) * tanh(x * 0.0), -2.5)
    assert set(kinds(found)) == {"stopped", "step", "zero factor"}
    found = at(lambda x: relu(tanh(x * 500) * 0.0 - 1.0), 2.0)
    assert kinds(found) == ["saturated", "zero factor", "off"]


def test_why_goes_on_behind_a_relu_that_is_off():
    found = at(lambda x: relu(relu(x) - 1.0), -2.0)
    (cause,) = found.causes
    assert cause.sentence.endswith("the same at 1 more relu")


def test_why_tells_where_values_and_where_adjoints_go_wrong():
    found = at(lambda x: 1 / (1 + exp(x * 800)), 2.0)
    assert kinds(found) == ["overflow", "0·inf"]
    assert "exp(mul = 1600) = inf" in found.causes[0].sentence
    assert "inf · 0 = nan" in found.causes[1].sentence
    found = at(lambda x: x * log(x), 0.0)
    assert kinds(found) == ["pole", "0·inf", "0·inf"]
    assert "mul(x = 0, log = -inf) = nan: 0 · inf is NaN" in found.text


def test_why_tells_overflow_from_explosion_and_gives_both():
    found = at(chain(lambda x: x * 3, 800), 1.0)
    assert kinds(found) == ["overflow", "overflow", "exploding"]
    assert "together 1e382" in found.text
    found = at(chain(lambda x: x + x, 1200), 1e-9)
    assert kinds(found)[:2] == ["overflow", "overflow"]
    assert "share + share" in found.text


def test_why_tells_an_underflow_of_the_sweep_from_a_vanishing_product():
    found = at(chain(lambda x: x * 0.3, 800), 1.0)
    assert found.gradient == 0.0
    assert kinds(found) == ["vanishing", "underflow"]
    assert "geometric mean of 0.3: together 1e-418" in found.text
    assert "0.3 · 4.9406565e-324 = 0" in found.text


def test_why_says_also_that_y_itself_is_not_finite():
    found = at(lambda x: relu(x) * 2 + log(x * 0.0 + 0.0), -1.0)
    assert "pole" in kinds(found)
    found = at(lambda x: x * 1e300 * 1e-300 + Value(0.0, "c").log(), 2.0)
    assert found.gradient == pytest.approx(1.0)
    assert found.verdict.endswith("but y itself is -inf")
    assert kinds(found) == ["pole"]


def test_why_lists_all_operations_that_share_a_cause_as_one():
    x = Value(1.0, "x")
    y = sum(relu(x * -k) for k in range(1, 11))
    (cause,) = why(y, x).causes
    assert cause.sentence.startswith("relu(mul = -10) = 0")
    assert cause.sentence.endswith("the same at 9 more relu")


def test_why_tells_tiny_from_exactly_zero():
    assert "exactly zero" in at(lambda x: x * 0.0, 1.0).verdict
    assert "tiny (below 1e-06)" in at(lambda x: x * 1e-7, 1.0).verdict
    assert "subnormal" in at(lambda x: x * 1e-310, 1.0).verdict
    assert "huge (above 1000000)" in at(lambda x: x * -1e7, 1.0).verdict
    assert "infinite" in at(lambda x: sqrt(x), 0.0).verdict
    assert "not a number" in at(lambda x: sqrt(x) ** 2, 0.0).verdict


# ---- what it stands on ---------------------------------------------------------------

ROWS = [
    row
    for row in vars(primitives).values()
    if isinstance(row, Primitive) and row.name != "polygamma"
]
NUMBERS = [0.0, 1.0, -1.0, 3.0, 0.3, -2.5, 30.0, -800.0, 1e-200, 1e200, math.inf]


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_why_always_finds_a_cause_and_the_gradient_of_backward(data):
    x = Value(data.draw(st.sampled_from(NUMBERS)), "x")
    pool = [x, Value(data.draw(st.sampled_from(NUMBERS[:-1]))), 0.0, 2.0]
    for _ in range(data.draw(st.integers(1, 9))):
        row = data.draw(st.sampled_from(ROWS))
        args = [data.draw(st.sampled_from(pool)) for _ in range(row.arity or 4)]
        pool.append(row(*args))
    y = next(v for v in reversed(pool) if isinstance(v, Value))
    found = why(y, x)
    assert not x.reached
    y.backward()
    if y is not x:
        assert repr(found.gradient + 0.0) == repr(x.grad + 0.0)
    assert TINY <= abs(found.gradient) <= HUGE or found.causes


def test_why_works_between_any_two_nodes():
    x = Value(2.0, "x")
    u = x * 3
    y = relu(-u) + tanh(u * 0.1)
    u.label = "u"
    found = why(y, u)
    y.backward()
    assert found.gradient == u.grad
    assert found.verdict.startswith("∂y/∂u")
    assert kinds(why(relu(-u), u)) == ["off"]


def test_why_works_at_any_order():
    x = Value(0.0, "x")
    slope = grad(lambda x: x**3)(x)
    assert kinds(why(slope, x))[0] == "stationary"
    x = Value(1e-4, "x")
    slope = grad(lambda x: x.cos() + x * x / 2)(x)
    found = why(slope, x)
    assert kinds(found) == ["cancellation"]
    assert found.gradient == pytest.approx(5e-9, rel=1e-6)


def test_why_of_a_users_own_primitive():
    cube = Primitive("cube", lambda x: x * x * x, lambda z, x: 3 * x * x)
    assert "cube(x = 0) = 0 is flat here" in at(cube, 0.0).text


def test_why_is_linear_in_depth_and_does_not_recurse():
    x = y = Value(0.5, "x")
    for _ in range(50_000):
        y = (y * 1.0001).sin()
    start = time.perf_counter()
    found = why(y, x)
    assert len(found.text.splitlines()) < 10
    assert time.perf_counter() - start < 20  # a second or two on a free machine
    assert found.gradient == pytest.approx(_slope_of_chain(0.5), rel=1e-9)


def _slope_of_chain(x):
    slope = 1.0
    for _ in range(50_000):
        slope *= 1.0001 * math.cos(x * 1.0001)
        x = math.sin(x * 1.0001)
    return slope


def test_why_is_linear_in_the_width_of_a_row():
    xs = [Value(1.0, f"x{k}") for k in range(20_000)]
    y = dot(xs, [0.0] * 20_000)
    start = time.perf_counter()
    found = why(y, xs[0])
    assert kinds(found) == ["zero factor"]
    assert "… 39996 more" in found.text
    assert time.perf_counter() - start < 10


# ---- source lines --------------------------------------------------------------------


def test_why_names_the_line_where_lines_were_recorded():
    x = Value(-2.0, "x")
    with record_lines():
        y = relu(x) * 3
    (cause,) = why(y, x).causes
    line = sys._getframe().f_lineno - 2
    assert cause.line.endswith(f"test_why.py:{line}")
    assert f"   line: {cause.line}" in why(y, x).text
    assert "record_lines" not in why(y, x).text


def test_why_says_once_how_to_get_lines():
    text = at(lambda x: stop_gradient(x) * floor(x) * 0.0, 1.5).text
    assert text.count("record_lines") == 1
    assert text.splitlines()[-1].startswith("For source lines compute y inside")
    x = Value(1.0, "x")
    assert "record_lines" not in why(x.sin(), x).text


def test_why_names_lines_recorded_by_detect_anomaly():
    x = Value(-2.0, "x")
    with detect_anomaly():
        y = relu(x)
    assert why(y, x).causes[0].line.split(":")[0].endswith("test_why.py")


# ---- networks ------------------------------------------------------------------------


def test_why_finds_dead_relus_in_a_network():
    model = nn.MLP(3, [16, 16, 1], seed=0)
    for neuron in model.layers[0].neurons:
        neuron.b.data = -50.0
    weight = model.layers[0].neurons[0].w[0]
    found = why(nn.mse([model([1.0, 2.0, 3.0])], [1.0]), weight)
    assert found.gradient == 0.0
    assert found.verdict.endswith("no path from y to layers.0.neurons.0.w0 is open")
    first, second = found.causes
    assert first.kind == "off"
    assert "beside layers.0.neurons.0.b" in first.sentence
    assert re.search(r"relu\(add = -5\d\.\d+\) = 0", first.sentence)
    assert second.kind == "kink"  # their zeros meet zero biases in the next layer
    assert "the same at 15 more relu" in second.sentence


def test_why_finds_saturated_neurons_in_a_network():
    model = nn.MLP(3, [8, 8, 1], activation="sigmoid", seed=0)
    for parameter in model.parameters():
        parameter.data = parameter.data * 30
    with record_lines():
        loss = nn.mse([model([1.0, 2.0, 3.0])], [1.0])
    weight = model.layers[0].neurons[0].w[0]
    found = why(loss, weight)
    loss.backward()
    assert found.gradient == weight.grad
    assert "tiny" in found.verdict
    assert set(kinds(found)) == {"saturated"}
    assert all("test_why.py" in cause.line for cause in found.causes)
    assert "cross-entropy on logits" in found.text


def test_why_finds_a_gradient_that_vanishes_in_a_deep_network():
    model = nn.MLP(2, [4] * 16 + [1], activation="sigmoid", seed=1)
    weight = model.layers[0].neurons[0].w[0]
    found = why(model([0.5, -0.5]), weight)
    assert "tiny" in found.verdict
    assert "vanishing" in kinds(found)
    assert "16 of sigmoid" in found.text


def test_why_finds_nothing_wrong_with_a_healthy_network():
    model = nn.MLP(2, [4, 1], activation="tanh", seed=1)
    weight = model.layers[0].neurons[0].w[0]
    assert why(nn.mse([model([0.5, -0.5])], [1.0]), weight).causes == []


# ---- text ----------------------------------------------------------------------------


def test_why_shows_itself_as_text_and_as_markdown():
    found = at(lambda x: relu(x) * 3, -2.0)
    assert str(found) == repr(found) == found.text
    markdown = found._repr_markdown_()
    assert markdown == found.markdown
    assert markdown.startswith(
        "**∂y/∂x = 0: no path from y to x is open**\n\n1. **off**"
    )
    assert "   - remedy: a smaller learning rate" in markdown


def test_why_makes_hostile_labels_harmless():
    x = Value(-1.0, "</script>\n|*`$_" + "\u202e" + "a" * 10_000)
    found = why(relu(x), x)
    for text in found.text, found.markdown:
        assert "\u202e" not in text
        assert len(text) < 3000
    assert len(found.text.splitlines()) == 4
    assert "<" not in found.markdown
    assert "`$" not in found.markdown


def test_why_refuses_what_is_no_value():
    x = Value(2.0, "x")
    with pytest.raises(TypeError, match="why: y must be a Value, but is 3.0"):
        why(3.0, x)
    with pytest.raises(TypeError, match="why: x must be a Value, but is 'x'"):
        why(x * 2, "x")


def test_why_refuses_a_graph_whose_leaf_was_assigned_since():
    x = Value(2.0, "x")
    y = relu(x)
    x.data = 3.0
    with pytest.raises(ValueError, match="why: the graph must be as it was recorded"):
        why(y, x)
