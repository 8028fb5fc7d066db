"""Losses give the number of their formula, to the last digits, and its gradient."""

from math import inf

import pytest
from mpmath import mp, mpf

from autograd import Value, check_grads, grad, jit
from nn import accuracy, binary_cross_entropy, cross_entropy, hinge, mse

SCORES = [0.3, -1.2, 2.5, 0.0]


def close(found, exact, ulps=8):
    """Within so many units in the last place of exact (or of the least normal)."""
    return abs(mpf(found) - exact) <= ulps * mpf(2) ** -53 * max(
        abs(exact), mpf("1e-307")
    )


def difference(f, xs, i, h=1e-6):
    up, down = list(xs), list(xs)
    up[i], down[i] = xs[i] + h, xs[i] - h
    return (f(up) - f(down)) / (2 * h)


# ---- values and gradients ------------------------------------------------------------


@pytest.mark.parametrize(
    "loss, targets, expected",
    [
        (mse, [1.0, -1.0, 2.0, 0.5], (0.49 + 0.04 + 0.25 + 0.25) / 4),
        (hinge, [1, -1, -1, 1], (0.7 + 0.0 + 3.5 + 1.0) / 4),
        (binary_cross_entropy, [1, 0, 0, 0.25], 1.018398936538866),
    ],
)
def test_loss_is_the_mean_of_its_formula(loss, targets, expected):
    if loss is binary_cross_entropy:
        p = [1 / (1 + mp.exp(-mpf(z))) for z in SCORES]
        each = [-t * mp.log(q) - (1 - t) * mp.log(1 - q) for q, t in zip(p, targets)]
        expected = float(sum(each) / 4)
    assert loss(SCORES, targets) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    "loss, targets",
    [
        (mse, [1.0, -1.0, 2.0, 0.5]),
        (hinge, [1, 1, -1, -1]),
        (binary_cross_entropy, [1, 0, 1, 0.25]),
        (cross_entropy, 2),
    ],
)
def test_loss_gradient_agrees_with_differences(loss, targets):
    found = grad(lambda z: loss(z, targets))(SCORES)
    for i, g in enumerate(found):
        expected = difference(lambda z: loss(z, targets), SCORES, i)
        assert g == pytest.approx(expected, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(
    "loss, targets",
    [
        (mse, [1.0, -1.0, 2.0, 0.5]),
        (hinge, [1, 1, -1, -1]),
        (binary_cross_entropy, [1, 0, 1, 0.25]),
        (cross_entropy, 2),
    ],
)
def test_loss_passes_check_grads_to_second_order(loss, targets):
    check_grads(lambda z: loss(z, targets), (SCORES,), order=2)


def test_cross_entropy_gradient_is_softmax_minus_one_hot():
    z = [Value(x) for x in (1.0, 2.0, 0.5)]
    cross_entropy(z, 1).backward()
    powers = [mp.exp(mpf(x.data)) for x in z]
    for i, x in enumerate(z):
        exact = powers[i] / sum(powers) - (i == 1)
        assert x.grad == pytest.approx(float(exact), rel=1e-14)


def test_cross_entropy_of_two_classes_is_binary_cross_entropy():
    two = cross_entropy([Value(0.0), Value(0.7)], 1).data
    assert two == binary_cross_entropy(Value(0.7), 1).data


def test_loss_of_a_batch_is_the_mean_over_its_points():
    rows, classes = [[1.0, 2.0], [0.0, -1.0], [3.0, 3.0]], [0, 1, 1]
    each = [cross_entropy(row, c) for row, c in zip(rows, classes)]
    assert cross_entropy(rows, classes) == pytest.approx(sum(each) / 3, rel=1e-15)


def test_losses_of_values_are_values_and_of_floats_floats():
    for loss, z, t in (
        (mse, 0.5, 1.0),
        (hinge, 0.5, 1),
        (binary_cross_entropy, 0.5, 1),
    ):
        assert isinstance(loss(Value(z), t), Value)
        assert type(loss(z, t)) is float
        assert loss([Value(z)], [t]) == loss(z, t)


def test_loss_of_a_large_batch_is_one_node_deep():
    scores = [Value(float(i)) for i in range(5000)]
    y = mse(scores, [0.0] * 5000)
    (total,) = y.parents
    assert total.op == "dot" and set(total.parents[0].parents) == {scores[0]}


# ---- digits at the extremes ----------------------------------------------------------


@pytest.mark.parametrize("z", [-1000.0, -700.0, -40.0, -1.0, 1.0, 40.0, 700.0, 1000.0])
@pytest.mark.parametrize("t", [0, 1, 0.25])
def test_binary_cross_entropy_keeps_its_digits(z, t):
    logit = Value(z)
    y = binary_cross_entropy(logit, t)
    y.backward()
    with mp.workdps(1000):
        x = mpf(z)
        exact = t * mp.log1p(mp.exp(-x)) + (1 - t) * mp.log1p(mp.exp(x))
        slope = (1 - t) / (1 + mp.exp(-x)) - t / (1 + mp.exp(x))
        assert close(y.data, exact)
        assert close(logit.grad, slope)


@pytest.mark.parametrize(
    "z",
    [
        [1000.0, -1000.0, 0.0],
        [-1000.0, 1000.0, 0.0],
        [1000.0, 999.0, 998.0],
        [-1000.0, -999.5, -1001.0],
        [40.0, 0.0, 0.0],
        [700.0, 0.0, 1.0],
        [1e300, -1e300, 0.0],
    ],
)
@pytest.mark.parametrize("c", [0, 1, 2])
def test_cross_entropy_keeps_its_digits(z, c):
    """To the last places of its logarithm, through which a tiny loss is computed."""
    logits = [Value(x) for x in z]
    y = cross_entropy(logits, c)
    y.backward()
    with mp.workdps(1000):
        others = [mp.exp(mpf(x) - z[c]) for j, x in enumerate(z) if j != c]
        exact = mp.log1p(sum(others))
        ulps = 8 * max(1, abs(mp.log(exact)) if exact > mpf("1e-307") else 1)
        assert close(y.data, exact, ulps)
        shares = [mp.exp(mpf(x) - z[c]) / (1 + sum(others)) for x in z]
        shares[c] = -sum(others) / (1 + sum(others))
        assert all(close(x.grad, share, ulps) for x, share in zip(logits, shares))


# ---- shapes --------------------------------------------------------------------------


def test_losses_take_arrays_columns_and_rows():
    np = pytest.importorskip("numpy")
    z = [Value(1.0), Value(-2.0)]
    for targets in ([1, -1], np.array([1, -1]), np.array([[1], [-1]]), (1.0, -1.0)):
        assert hinge(z, targets) == 0.0
        assert mse(z, targets) == 0.5
    rows = [[Value(5.0), Value(0.0)], (Value(0.0), Value(1.0))]
    for classes in ([0, 1], np.array([0, 1]), np.array([[0.0], [1.0]])):
        assert cross_entropy(rows, classes) == cross_entropy(rows, [0, 1])
    assert mse(rows, np.zeros((2, 2))) == 26 / 4


@pytest.mark.parametrize("loss", [mse, hinge, binary_cross_entropy])
@pytest.mark.parametrize(
    "z, t, complaint",
    [
        ([1.0, 2.0], [1], r"equally many, but there are 2 .* for 1 "),
        (1.0, [1, 1], "there are only one"),
        ([], [], "targets must hold at least one point, but is empty"),
        ([1.0, 2.0], 1, "as many targets as predictions, 2, but one has 1"),
        ([[1.0, 2.0]], [[1]], "as many targets as predictions, 2, but one has 1"),
    ],
)
def test_losses_refuse_shapes_that_differ(loss, z, t, complaint):
    with pytest.raises(ValueError, match=rf"^{loss.__name__}: .*{complaint}"):
        loss(z, t)


@pytest.mark.parametrize("loss", [mse, hinge, binary_cross_entropy, cross_entropy])
@pytest.mark.parametrize("t", ["1", None, 1j])
def test_losses_refuse_targets_that_are_no_numbers(loss, t):
    with pytest.raises(TypeError, match=f"^{loss.__name__}: .* must be numbers"):
        loss([[Value(1.0), Value(2.0)]], [t])


@pytest.mark.parametrize("t", [0, 2, 0.5, float("nan")])
def test_hinge_refuses_targets_other_than_plus_and_minus_1(t):
    with pytest.raises(ValueError, match=r"hinge: .* -1 or 1, .*; write 2 \* t - 1"):
        hinge(Value(1.0), t)


@pytest.mark.parametrize("t", [-1, 1.5, float("nan")])
def test_binary_cross_entropy_refuses_targets_that_are_no_share(t):
    with pytest.raises(ValueError, match=r"from 0 to 1, but one is .*; write \(t \+ 1"):
        binary_cross_entropy(Value(1.0), t)


@pytest.mark.parametrize("c", [3, -1, 0.5, float("nan")])
def test_cross_entropy_refuses_classes_that_are_not_there(c):
    with pytest.raises(ValueError, match="whole number from 0 to 2, but one is"):
        cross_entropy([Value(1.0), Value(2.0), Value(3.0)], c)


def test_cross_entropy_of_one_logit_points_to_the_binary_one():
    with pytest.raises(ValueError, match="has 1 and 1; .* use binary_cross_entropy"):
        cross_entropy([Value(1.0), Value(2.0)], [0, 1])


# ---- accuracy ------------------------------------------------------------------------


def test_accuracy_counts_signs_and_largest_scores():
    assert accuracy([Value(0.1), Value(-0.1)], [1, 1]) == 0.5
    assert accuracy([0.1, -0.1, -3.0], [1, 0, -1]) == 1.0
    assert accuracy([[0.1, 0.2, 0.0], [Value(5.0), 0.0, 1.0]], [1, 2]) == 0.5
    assert accuracy([0.1, 0.2, 0.0], 1) == 1.0


def test_accuracy_refuses_a_class_that_is_not_there():
    with pytest.raises(ValueError, match="accuracy: every class must be"):
        accuracy([[0.1, 0.2]], [2])


@pytest.mark.parametrize("z", [-1000.0, -2.0, -1e-10, 0.0, 1e-10, 0.5, 40.0, 1000.0])
@pytest.mark.parametrize("t", [0.0, 1e-300, 0.3, 1.0])
def test_binary_cross_entropy_moves_with_its_target_by_minus_the_logit(z, t):
    assert grad(binary_cross_entropy, 1)(z, t) == -z
    assert grad(grad(binary_cross_entropy, 1))(z, t) == -1.0
    assert grad(grad(binary_cross_entropy), 1)(z, t) == -1.0


@pytest.mark.parametrize("z", [-800.0, -40.0, -1e-17, 0.0, 3.0, 37.0, 700.0])
def test_curvature_of_binary_cross_entropy_keeps_its_digits(z):
    exact = float(1 / (4 * mp.cosh(mpf(z) / 2) ** 2))
    for t in (0.0, 0.3, 1.0):
        got = grad(grad(binary_cross_entropy))(z, t)
        assert got == pytest.approx(exact, rel=1e-15, abs=0.0)


@pytest.mark.parametrize("z", [float("inf"), -float("inf")])
def test_binary_cross_entropy_of_a_sure_and_right_answer_is_0(z):
    for t in (float(z > 0), Value(float(z > 0))):
        logit = Value(z)
        loss = binary_cross_entropy(logit, t)
        loss.backward()
        assert (loss.data, logit.grad) == (0.0, 0.0)


def test_cross_entropy_of_an_infinite_difference_has_its_slopes():
    for z, c, slopes in [
        ([-inf, 0.0], 0, [-1.0, 1.0]),
        ([1e308, -1e308], 1, [1.0, -1.0]),
        ([1e308, 1.0, -1e308], 2, [1.0, 0.0, -1.0]),
    ]:
        assert grad(lambda z, c=c: cross_entropy(z, c))(z) == slopes
        assert jit(grad(cross_entropy))(z, float(c)) == slopes
        assert cross_entropy(z, c) == inf
