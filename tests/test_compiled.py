"""A compiled training is the training: the same losses, weights and errors."""

import random
import sys
import threading
from math import exp, inf
from types import SimpleNamespace

import pytest

from autograd import Value, detect_anomaly, dot, jit, tanh, value_and_grad
from nn import (
    MLP,
    SGD,
    Adam,
    Layer,
    Module,
    accuracy,
    binary_cross_entropy,
    compiled,
    cross_entropy,
    fit,
    hinge,
    mse,
    predict,
)

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")

RNG = random.Random(0)
POINTS = [[RNG.gauss(0.0, 1.0) for _ in range(3)] for _ in range(40)]
CLASSES = [RNG.randrange(3) for _ in POINTS]
SIDES = [2 * (x[0] * x[1] > 0) - 1 for x in POINTS]
NUMBERS = [x[0] - x[1] * x[2] for x in POINTS]


@pytest.fixture
def always(monkeypatch):
    """Every training is compiled that can be; counts the steps that were."""
    ways = SimpleNamespace(steps=0)
    step = compiled.Compiled.step

    def counted(self, gradient):
        ways.steps += 1
        step(self, gradient)

    monkeypatch.setattr(compiled, "WORTH_COMPILING", 0)
    monkeypatch.setattr(compiled, "WORTH_A_CALL", 1)
    monkeypatch.setattr(compiled.Compiled, "step", counted)
    return ways


def weights(model):
    return [p.data for p in model.parameters()]


def eagerly(monkeypatch, run):
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "_has_machine_code", lambda: False)
        return run()


def numbers(history):
    series = (
        history.loss,
        history.accuracy,
        history.validation_loss,
        history.validation_accuracy,
    )
    return [x for one in series for x in one]


def assert_same(found, expected):
    """Two histories and the weights that came of them, to rounding."""
    assert found[0].stopped == expected[0].stopped
    assert numbers(found[0]) == pytest.approx(numbers(expected[0]), rel=1e-9)
    assert found[1] == pytest.approx(expected[1], rel=1e-9, abs=1e-12)


def trained(make, loss, targets, adam=False, **settings):
    """The history of a training, and the weights that it ends with."""
    model = make()
    parameters = model.parameters()
    steps = Adam(parameters, lr=0.02) if adam else SGD(parameters, 0.05, momentum=0.5)
    settings = {"epochs": 4, "batch_size": 12, "seed": 1} | settings
    history = fit(model, POINTS, targets, loss, steps, progress=False, **settings)
    return history, weights(model)


def assert_compiled_trains_alike(always, monkeypatch, *args, **settings):
    """The training compiled, each step of it, and the loop, give the same."""
    expected = eagerly(monkeypatch, lambda: trained(*args, **settings))
    assert always.steps == 0
    assert_same(trained(*args, **settings), expected)
    assert always.steps == 4 * 4


def assert_trains_eagerly(always, monkeypatch, *args, **settings):
    """The training does not compile, and gives the loop's numbers to the last bit."""
    expected = eagerly(monkeypatch, lambda: trained(*args, **settings))
    found = trained(*args, **settings)
    assert always.steps == 0
    assert (numbers(found[0]), found[1]) == (numbers(expected[0]), expected[1])


# ---- the same training ---------------------------------------------------------------


@pytest.mark.parametrize("adam", [False, True])
@pytest.mark.parametrize(
    "loss, targets, outputs",
    [
        (mse, NUMBERS, 1),
        (mse, [(x, -x) for x in NUMBERS], 2),
        (hinge, SIDES, 1),
        (binary_cross_entropy, [side > 0 for side in SIDES], 1),
        (cross_entropy, CLASSES, 3),
    ],
)
def test_losses_of_nn_train_on_one_path(
    always, monkeypatch, loss, targets, outputs, adam
):
    monkeypatch.setattr(compiled, "MOST_PATHS", 1)
    assert_compiled_trains_alike(
        always,
        monkeypatch,
        lambda: MLP(3, [5, outputs], "tanh", seed=0),
        loss,
        targets,
        adam,
        validation=(POINTS[:9], targets[:9]),
    )


def test_full_batches_and_arrays_train_compiled(always, monkeypatch):
    def run():
        model = MLP(3, [4, 1], "relu", seed=0)
        xs, ys = np.array(POINTS), np.array(NUMBERS)
        return fit(model, xs, ys, epochs=5, progress=False), weights(model)

    expected = eagerly(monkeypatch, run)
    assert_same(run(), expected)
    assert always.steps == 5


def huber(predictions, targets):
    """The mean of each point's squared error, or of its error if that is large."""
    terms = []
    for p, t in zip(predictions, targets):
        error = p - t
        terms.append(error * error if abs(error) < 0.5 else abs(error) - 0.25)
    return sum(terms) / len(terms)


class Branching(Module):
    """Other parameters on either side of 0, and one that hardly any point uses."""

    def __init__(self):
        self.left, self.right = Value(0.5), Value(-0.5)
        self.rare = Value(0.1)

    def __call__(self, x):
        side = self.left if x[0] < 0 else self.right
        return side * x[1] + (self.rare * x[2] if x[2] > 1.5 else 0.0)


class Shared(Module):
    """One layer used twice, and its first weight a third time, by another name."""

    def __init__(self):
        self.layer = Layer(3, 3, "tanh", seed=0)
        self.first = self.layer.neurons[0].w[0]
        self.unused = Value(1.0)

    def __call__(self, x):
        return sum(self.layer(self.layer(x))) * self.first


class Held(Module):
    """Parameters in a tuple, a dict and a NumPy array, beside plain numbers."""

    def __init__(self):
        self.pair = (Value(0.3), Value(-0.2))
        self.named = {"bias": Value(0.1)}
        self.array = np.array([Value(0.5), Value(0.6), Value(0.7)])
        self.scale = 0.5

    def __call__(self, x):
        z = dot(self.array.tolist(), x) * self.scale
        return self.pair[0] * tanh(z + self.named["bias"]) + self.pair[1]


@pytest.mark.parametrize("make", [Branching, Shared, Held])
@pytest.mark.parametrize("loss", [mse, huber])
def test_modules_and_losses_of_ones_own_train_compiled(always, monkeypatch, make, loss):
    assert_compiled_trains_alike(always, monkeypatch, make, loss, NUMBERS)


def test_parameters_that_the_optimizer_lacks_stay(always, monkeypatch):
    def run():
        model = MLP(3, [4, 1], "tanh", seed=0)
        sgd = SGD(model.layers[1].parameters(), lr=0.1)
        history = fit(model, POINTS, NUMBERS, optimizer=sgd, epochs=4, progress=False)
        return history, weights(model)

    expected = eagerly(monkeypatch, run)
    assert_same(run(), expected)
    assert always.steps == 4
    assert weights(MLP(3, [4, 1], "tanh", seed=0))[:12] == expected[1][:12]


def test_optimizer_of_ones_own_sees_the_values_at_each_step(always, monkeypatch):
    class Slow(SGD):
        """Moves every second time, by the gradients that have added up."""

        def __init__(self, params):
            super().__init__(params, lr=0.05)
            self.calls, self.seen = 0, []

        def zero_grad(self):
            if self.calls % 2 == 0:
                super().zero_grad()

        def step(self):
            self.calls += 1
            self.seen.append([p.data for p in self.params])
            if self.calls % 2 == 0:
                super().step()

    def run():
        model = MLP(3, [4, 1], "tanh", seed=0)
        slow = Slow(model.parameters())
        history = fit(model, POINTS, NUMBERS, optimizer=slow, epochs=6, progress=False)
        return history, [w for seen in slow.seen for w in seen] + weights(model)

    expected = eagerly(monkeypatch, run)
    assert_same(run(), expected)
    assert always.steps == 6


def test_optimizer_that_keeps_gradients_goes_on_keeping_them(always, monkeypatch):
    class Heaping(SGD):
        def zero_grad(self):
            pass

    def run():
        model = MLP(3, [4, 1], "tanh", seed=0)
        heaping = Heaping(model.parameters(), lr=0.01)
        fit(model, POINTS, NUMBERS, optimizer=heaping, epochs=4, progress=False)
        return weights(model)

    expected = eagerly(monkeypatch, run)
    assert run() == pytest.approx(expected, rel=1e-9)
    assert always.steps == 4


def test_training_goes_on_from_eager_to_compiled_and_back(always, monkeypatch):
    model, same = (MLP(3, [4, 1], "tanh", seed=0) for _ in range(2))
    adam, other = Adam(model.parameters()), Adam(same.parameters())

    def some(model, adam):
        fit(model, POINTS, NUMBERS, optimizer=adam, epochs=3, progress=False)

    some(model, adam)
    eagerly(monkeypatch, lambda: some(model, adam))
    some(model, adam)
    assert always.steps == 6
    eagerly(monkeypatch, lambda: [some(same, other) for _ in range(3)])
    assert weights(model) == pytest.approx(weights(same), rel=1e-9)


def test_gradients_of_the_last_step_are_left_in_the_values(always, monkeypatch):
    def run():
        model = MLP(3, [4, 1], "tanh", seed=0)
        fit(model, POINTS, NUMBERS, epochs=2, progress=False)
        return [p.grad for p in model.parameters()]

    expected = eagerly(monkeypatch, run)
    assert run() == pytest.approx(expected, rel=1e-9)
    assert always.steps == 2


def test_digits_are_read_to_97_percent(monkeypatch):
    """As in the notebook, on images that had no say in how it is trained."""
    datasets = pytest.importorskip("sklearn.datasets")
    selection = pytest.importorskip("sklearn.model_selection")
    step, steps = compiled.Compiled.step, []
    monkeypatch.setattr(
        compiled.Compiled, "step", lambda *args: steps.append(step(*args))
    )
    images, digits = datasets.load_digits(return_X_y=True)
    train_xs, test_xs, train_ys, test_ys = selection.train_test_split(
        images / 8 - 1, digits, test_size=0.2, stratify=digits, random_state=0
    )
    model = MLP(64, [32, 10], seed=0)
    adam = Adam(model.parameters(), lr=0.01)
    settings = {"epochs": 60, "batch_size": 128, "seed": 0, "progress": False}
    history = fit(model, train_xs, train_ys, cross_entropy, adam, **settings)
    reached = accuracy(predict(model, test_xs), test_ys)
    print(f"digits: {reached:.1%} of {len(test_ys)} held out, {history}")
    assert len(steps) == 60 * 12
    assert reached >= 0.97


# ---- how it may end ------------------------------------------------------------------


def test_early_stop_restores_the_best_weights(always, monkeypatch):
    held_out = POINTS, [-y for y in NUMBERS]
    settings = {"epochs": 60, "validation": held_out, "patience": 3}
    expected = eagerly(monkeypatch, lambda: trained(Shared, mse, NUMBERS, **settings))
    assert expected[0].stopped == "early"
    assert_same(trained(Shared, mse, NUMBERS, **settings), expected)
    assert always.steps == 4 * len(expected[0].loss)


def test_ctrl_c_leaves_the_weights_of_the_steps_made(always, monkeypatch):
    def run():
        moved, calls = SGD.moved, []

        def interrupted(self, *args):
            calls.append(1)
            if len(calls) == 7:
                raise KeyboardInterrupt
            return moved(self, *args)

        with monkeypatch.context() as patch:
            patch.setattr(SGD, "moved", interrupted)
            return trained(Shared, mse, NUMBERS)

    expected = eagerly(monkeypatch, run)
    assert (expected[0].stopped, len(expected[0].loss)) == ("interrupted", 1)
    assert_same(run(), expected)
    assert always.steps == 7


def test_step_that_is_not_finite_is_refused_before_it_is_made(always, monkeypatch):
    def run():
        model = MLP(3, [4, 1], "relu", seed=0)
        sgd = SGD(model.parameters(), lr=1e60)
        with pytest.raises(FloatingPointError) as raised:
            fit(model, POINTS, NUMBERS, optimizer=sgd, progress=False)
        return str(raised.value), weights(model)

    expected = eagerly(monkeypatch, run)
    found = run()
    assert found[0] == expected[0]
    assert found[1] == pytest.approx(expected[1], rel=1e-6)
    assert all(abs(w) < inf for w in found[1])
    assert always.steps > 1


@pytest.mark.parametrize(
    "loss, targets, outputs",
    [(cross_entropy, CLASSES, 3), (hinge, SIDES, 1), (binary_cross_entropy, [1], 1)],
)
def test_wrong_target_after_the_first_points_raises_as_ever(
    always, monkeypatch, loss, targets, outputs
):
    wrong = (targets * 40)[:39] + [3]

    def run():
        model = MLP(3, [outputs], "tanh", seed=0)
        before = weights(model)
        with pytest.raises(ValueError) as raised:
            fit(model, POINTS, wrong, loss, batch_size=8, seed=0, progress=False)
        assert weights(model) == before
        return str(raised.value)

    expected = eagerly(monkeypatch, run)
    assert " 3;" in expected
    assert run() == expected
    assert always.steps > 0


def test_path_met_late_that_cannot_be_compiled_goes_on_eagerly(always, monkeypatch):
    def partly_plain(predictions, targets):
        terms = [
            (p - t) ** 2 if t < 90 else (p - t) ** 2 * exp(t - 100)  # a float's exp
            for p, t in zip(predictions, targets)
        ]
        return sum(terms) / len(terms)

    ys = [*NUMBERS[:-1], 100.0]
    make = lambda: MLP(3, [1], seed=0)  # noqa: E731
    expected = eagerly(monkeypatch, lambda: trained(make, partly_plain, ys))
    assert_same(trained(make, partly_plain, ys), expected)
    assert 0 < always.steps < 16


# ---- what is not compiled ------------------------------------------------------------


def root_mean_square(predictions, targets):
    return mse(predictions, targets) ** 0.5


def tenth_of_sum(predictions, targets):
    return mse(predictions, targets) * (len(targets) / 10)


def of_neighbours(predictions, targets):
    return mse(predictions, targets) + mse(predictions[1:], predictions[:-1])


@pytest.mark.parametrize("loss", [root_mean_square, tenth_of_sum, of_neighbours])
def test_loss_that_is_no_mean_over_points_is_not_compiled(always, monkeypatch, loss):
    make = lambda: MLP(3, [2, 1], seed=0)  # noqa: E731
    assert_trains_eagerly(always, monkeypatch, make, loss, NUMBERS)


def test_loss_that_closes_over_parameters_is_not_compiled(always, monkeypatch):
    def run():
        model = MLP(3, [2, 1], seed=0)

        def penalised(predictions, targets):
            weight = model.layers[0].neurons[0].w[0]
            return mse(predictions, targets) + 0.1 * weight * weight

        history = fit(model, POINTS, NUMBERS, penalised, epochs=3, progress=False)
        return history.loss, weights(model)

    expected = eagerly(monkeypatch, run)
    assert run() == expected
    assert always.steps == 0


class Dropping(Module):
    """Forgets one of its features, another each time."""

    def __init__(self):
        self.w, self.rng = [Value(0.5), Value(0.6), Value(0.7)], random.Random(0)

    def __call__(self, x):
        gone = self.rng.randrange(3)
        return dot(self.w, [0.0 if i == gone else x[i] for i in range(3)])


class Locked(Module):
    """Holds what cannot be copied."""

    def __init__(self):
        self.w, self.lock = Value(0.5), threading.Lock()

    def __call__(self, x):
        with self.lock:
            return self.w * x[0]


class Plain(Module):
    """Looks at the numbers of a point in a way that loses gradients, if any."""

    def __init__(self):
        self.w = Value(0.5)

    def __call__(self, x):
        return self.w * exp(x[0])


class Forked(Module):
    """As many ways through it as there are sides of twelve planes."""

    def __init__(self):
        self.hidden, self.last = Layer(3, 12, "linear", seed=0), Layer(12, 1, seed=1)

    def __call__(self, x):
        return self.last([z if z > 0 else 0.1 * z for z in self.hidden(x)])


@pytest.mark.parametrize("make", [Locked, Plain, Forked])
def test_model_that_cannot_be_traced_is_not_compiled(always, monkeypatch, make):
    assert_trains_eagerly(always, monkeypatch, make, mse, NUMBERS)


def test_model_with_randomness_is_not_compiled(always):
    trained(Dropping, mse, NUMBERS)
    assert always.steps == 0


def test_training_under_watch_is_not_compiled(always, monkeypatch):
    make = lambda: MLP(3, [2, 1], seed=0)  # noqa: E731
    expected = eagerly(monkeypatch, lambda: trained(make, mse, NUMBERS))
    with detect_anomaly():
        found = trained(make, mse, NUMBERS)
    assert found == expected
    assert always.steps == 0


def test_training_is_compiled_if_it_is_long_in_batches_that_are_not_small(monkeypatch):
    assert compiled.pays(20_000, 16)
    assert not compiled.pays(19_999, 16)
    assert not compiled.pays(10**9, 15)
    for module in ("numpy", "llvmlite"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            assert not compiled.pays(10**9, 10**9)


def test_short_training_makes_the_steps_of_the_plain_loop():
    model, by_hand = (MLP(3, [2, 1], seed=0) for _ in range(2))
    fit(model, POINTS, NUMBERS, epochs=9, progress=False)
    adam = Adam(by_hand.parameters(), lr=0.01)
    for _ in range(9):
        adam.zero_grad()
        mse([by_hand(x) for x in POINTS], NUMBERS).backward()
        adam.step()
    assert weights(model) == weights(by_hand)


def test_model_keeps_its_parameters_and_no_traced_value(always):
    model = Shared()
    before = model.parameters()
    fit(model, POINTS, NUMBERS, epochs=2, progress=False)
    assert always.steps == 2
    assert all(p is q for p, q in zip(model.parameters(), before, strict=True))
    assert all(abs(p.data) < inf for p in before)


# ---- predictions ---------------------------------------------------------------------


class Pair(Module):
    """Gives a tuple, and other numbers on either side of 0."""

    def __init__(self):
        self.w = Value(0.5)

    def __call__(self, x):
        return (self.w * x[0], [x[1], x[2]]) if x[0] > 0 else (self.w, [x[2], x[1]])


@pytest.mark.parametrize(
    "make",
    [lambda: MLP(3, [4, 1], seed=0), lambda: MLP(3, [4, 2], "tanh", seed=0), Held],
)
def test_many_predictions_are_those_of_the_model(always, monkeypatch, make):
    model = make()
    expected = eagerly(monkeypatch, lambda: predict(model, POINTS))
    for xs in (POINTS, np.array(POINTS)):
        found = predict(model, xs)
        assert [type(y) for y in found] == [type(y) for y in expected]
        flat = np.array(found).ravel().tolist()
        assert flat == pytest.approx(np.array(expected).ravel().tolist(), rel=1e-12)


@pytest.mark.parametrize("make", [Pair, Dropping, Locked, Plain, Forked])
def test_predictions_that_cannot_be_compiled_are_as_ever(always, monkeypatch, make):
    expected = eagerly(monkeypatch, lambda: predict(make(), POINTS))
    if make is not Dropping:
        assert predict(make(), POINTS) == expected
    assert len(predict(make(), POINTS)) == len(expected)


def test_many_predictions_of_a_plain_function_are_its_own(always):
    assert predict(lambda x: x[0] + 1, POINTS) == [x[0] + 1 for x in POINTS]


def test_many_predictions_of_rows_that_do_not_fit_raise_as_ever(always):
    with pytest.raises(ValueError, match="MLP: x must have 2 feature"):
        predict(MLP(2, [1], seed=0), POINTS)
    with pytest.raises(ValueError, match="MLP: x must have 3 feature"):
        predict(MLP(3, [1], seed=0), [*POINTS, [1.0]])


# ---- losses that are traced ----------------------------------------------------------


@pytest.mark.parametrize("c", [0, 1, 2])
def test_class_chooses_in_a_trace_as_it_does_as_a_number(c):
    z = [0.3, -1.2, 0.8]
    traced = jit(lambda z, c: (cross_entropy(z, c), accuracy([z], [c])))
    traced(z, 0.0)
    assert traced(z, float(c)) == (cross_entropy(z, c), accuracy([z], [c]))


@pytest.mark.parametrize("t", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("z", [-1000.0, -0.5, 0.0, 2.0, inf, -inf])
def test_target_of_two_classes_chooses_in_a_trace_as_it_does_as_a_number(z, t):
    traced = jit(value_and_grad(binary_cross_entropy))
    traced(1.0, 0.5)
    expected = value_and_grad(binary_cross_entropy)(z, t)
    assert traced(z, t) == pytest.approx(expected, rel=1e-15, nan_ok=True)
    assert len(traced.paths) == 1


@pytest.mark.parametrize("z", [[1.0, 1.0, 1.0], [0.0, 2.0, 2.0], [-inf, 3.0, 3.0]])
def test_first_of_equal_scores_is_right_in_a_trace_as_well(z):
    traced = jit(lambda z, c: accuracy([z], [c]))
    for c in range(3):
        assert traced(z, float(c)) == accuracy([z], [c])


@pytest.mark.parametrize("c", [3.0, -1.0, 0.5])
def test_class_that_is_none_is_refused_in_a_trace(c):
    traced = jit(cross_entropy)
    traced([0.0, 1.0, 2.0], 1.0)
    with pytest.raises(ValueError, match="cross_entropy: every class must be"):
        traced([0.0, 1.0, 2.0], c)


def test_score_of_minus_infinity_adds_nothing_in_a_trace():
    z = [0.5, -inf, 1.5]
    assert jit(cross_entropy)(z, 0.0) == cross_entropy(z, 0)
