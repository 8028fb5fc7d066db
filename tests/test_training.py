"""Models learn, and what is wrong with the data is said before it does harm."""

import random
import time
from math import inf, nan

import pytest

import nn
from autograd import Value
from nn import (
    MLP,
    SGD,
    Adam,
    History,
    Module,
    accuracy,
    binary_cross_entropy,
    cross_entropy,
    fit,
    hinge,
    mse,
    predict,
)

XOR = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
XOR_TARGETS = [0, 1, 1, 0]
LINE_XS, LINE_YS = [[0.0], [1.0], [2.0], [3.0]], [1.0, 3.0, 5.0, 7.0]


def weights(model):
    return [p.data for p in model.parameters()]


def quiet_fit(*args, **kwargs):
    return fit(*args, progress=False, **kwargs)


# ---- problems solved -----------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4])
def test_xor_is_solved_at_every_depth(depth, seed):
    model = MLP(2, [6] * depth + [1], "tanh", seed=seed)
    adam = Adam(model.parameters(), lr=0.05)
    history = quiet_fit(model, XOR, XOR_TARGETS, binary_cross_entropy, adam, epochs=150)
    assert accuracy(predict(model, XOR), XOR_TARGETS) == 1.0
    assert history.loss[-1] < 0.05


def test_xor_is_solved_by_gradient_descent_on_squares():
    model = MLP(2, [8, 1], "tanh", seed=0)
    sgd = SGD(model.parameters(), lr=0.2, momentum=0.9)
    quiet_fit(model, XOR, XOR_TARGETS, mse, sgd, epochs=200)
    assert [round(p) for p in predict(model, XOR)] == XOR_TARGETS


def test_iris_is_learnt_to_95_percent_in_well_under_a_minute():
    datasets = pytest.importorskip("sklearn.datasets")
    data = datasets.load_iris()
    rng, train, test = random.Random(0), [], []
    for c in range(3):  # 35 of each class to learn from, 15 to be tested on
        members = [i for i, t in enumerate(data.target) if t == c]
        rng.shuffle(members)
        train, test = train + members[:35], test + members[35:]
    xs = (data.data - data.data[train].mean(0)) / data.data[train].std(0)
    start = time.perf_counter()
    model = MLP(4, [8, 3], "tanh", seed=0)
    history = quiet_fit(
        model,
        xs[train],
        data.target[train],
        cross_entropy,
        Adam(model.parameters(), lr=0.02),
        epochs=40,
        batch_size=15,
        seed=0,
    )
    seconds = time.perf_counter() - start
    reached = accuracy(predict(model, xs[test]), data.target[test])
    print(f"iris: {reached:.1%} of {len(test)} held out, {seconds:.2f} s, {history}")
    assert reached >= 0.95
    assert seconds < 30


def test_line_is_found_from_lists_and_arrays_alike():
    np = pytest.importorskip("numpy")
    found = []
    for convert in (list, tuple, np.array):
        model = MLP(1, [1], seed=0)
        sgd = SGD(model.parameters(), lr=0.1)
        quiet_fit(model, convert(LINE_XS), convert(LINE_YS), optimizer=sgd, epochs=300)
        found.append(weights(model))
    assert found[0] == found[1] == found[2] == pytest.approx([2.0, 1.0], abs=1e-6)


def test_several_outputs_are_fitted_together():
    model = MLP(1, [2], seed=0)
    ys = [(1.0 + 2 * x, -x) for (x,) in LINE_XS]
    quiet_fit(model, LINE_XS, ys, optimizer=SGD(model.parameters(), 0.1), epochs=600)
    assert weights(model) == pytest.approx([2.0, 1.0, -1.0, 0.0], abs=1e-4)


def test_module_of_ones_own_is_fitted():
    class Exponential(Module):
        def __init__(self):
            self.rate = Value(0.0, label="rate")

        def __call__(self, x):
            return (self.rate * x[0]).exp()

    model = Exponential()
    ys = [2.0**x for (x,) in LINE_XS]
    quiet_fit(model, LINE_XS, ys, epochs=400)
    assert model.rate.data == pytest.approx(0.6931471805599453, rel=1e-4)


# ---- what fit does -------------------------------------------------------------------


def test_fit_makes_the_steps_of_the_loop_written_by_hand():
    fitted, by_hand = MLP(1, [3, 1], seed=3), MLP(1, [3, 1], seed=3)
    history = quiet_fit(
        fitted, LINE_XS, LINE_YS, optimizer=SGD(fitted.parameters(), 0.01), epochs=3
    )
    sgd, losses = SGD(by_hand.parameters(), 0.01), []
    for _ in range(3):
        y = mse([by_hand(x) for x in LINE_XS], LINE_YS)
        sgd.zero_grad()
        y.backward()
        sgd.step()
        losses.append(y.data)
    assert weights(fitted) == weights(by_hand)
    assert history.loss == losses


def test_fit_moves_only_what_the_optimizer_holds():
    model = MLP(1, [2, 1], seed=0)
    first, last = model.layers
    frozen, moving = weights(first), weights(last)
    sgd = SGD(last.parameters(), lr=0.01)
    quiet_fit(model, LINE_XS, LINE_YS, optimizer=sgd, epochs=2)
    assert weights(first) == frozen
    assert weights(last) != moving


def test_fit_sees_every_point_once_per_epoch_in_batches():
    seen = []

    def spy(predictions, targets):
        seen.append(targets)
        return mse(predictions, targets)

    xs, ys = [[float(i)] for i in range(7)], [float(i) for i in range(7)]
    model = MLP(1, [1], seed=0)
    sgd = SGD(model.parameters(), lr=1e-3)
    quiet_fit(model, xs, ys, spy, sgd, epochs=2, batch_size=3, seed=1)
    assert [len(batch) for batch in seen] == [3, 3, 1] * 2
    first, second = sum(seen[:3], []), sum(seen[3:], [])
    assert sorted(first) == sorted(second) == ys
    assert first != second


def test_fit_weighs_batches_by_their_points():
    model = MLP(1, [1], "linear", seed=0)
    for p in model.parameters():
        p.data = 0.0
    xs, ys = [[0.0]] * 3, [1.0] * 3
    sgd = SGD(model.parameters(), lr=0.25)  # b: 0, then 0.5
    history = quiet_fit(model, xs, ys, optimizer=sgd, epochs=1, batch_size=2)
    assert history.loss == [(2 * 1.0 + 1 * 0.25) / 3]


def test_fit_repeats_itself_with_the_same_seed():
    def run(seed):
        model = MLP(2, [4, 1], "tanh", seed=0)
        quiet_fit(model, XOR, XOR_TARGETS, epochs=5, batch_size=2, seed=seed)
        return weights(model)

    assert run(1) == run(1) != run(2)


def test_fit_records_accuracy_for_losses_of_classes_only():
    model = MLP(2, [1], seed=0)
    for loss, targets, recorded in (
        (mse, XOR_TARGETS, 0),
        (binary_cross_entropy, XOR_TARGETS, 2),
        (hinge, [-1, 1, 1, -1], 2),
    ):
        history = quiet_fit(
            model, XOR, targets, loss, epochs=2, validation=(XOR, targets)
        )
        assert len(history.loss) == len(history.validation_loss) == 2
        assert len(history.accuracy) == len(history.validation_accuracy) == recorded


def test_fit_measures_validation_after_the_epoch_without_training_on_it():
    held_out = ([[10.0]], [0.0])
    model, alone = MLP(1, [1], seed=0), MLP(1, [1], seed=0)
    sgd = [SGD(m.parameters(), lr=0.01) for m in (model, alone)]
    history = quiet_fit(
        model, LINE_XS, LINE_YS, optimizer=sgd[0], epochs=1, validation=held_out
    )
    quiet_fit(alone, LINE_XS, LINE_YS, optimizer=sgd[1], epochs=1)
    assert weights(model) == weights(alone)
    assert history.validation_loss == [mse(predict(model, [[10.0]]), [0.0])]


def test_fit_stops_early_and_restores_the_best_weights():
    model, path = MLP(1, [1], seed=0), []

    class Remembering(SGD):
        def step(self):
            super().step()
            path.append([p.data for p in self.params])

    sgd = Remembering(model.parameters(), lr=0.02)
    opposite = (LINE_XS, [0.5 * y for y in LINE_YS])
    history = quiet_fit(
        model,
        LINE_XS,
        LINE_YS,
        optimizer=sgd,
        epochs=500,
        validation=opposite,
        patience=3,
    )
    best = history.best_epoch
    assert history.stopped == "early"
    assert len(history.loss) == best + 1 + 3 < 500
    assert weights(model) == path[best] != path[-1]
    assert "stopped: early" in repr(history)


def test_fit_with_patience_ends_with_the_best_weights_if_epochs_run_out():
    model = MLP(1, [1], seed=0)
    sgd = SGD(model.parameters(), lr=0.25)  # too fast: the loss grows
    history = quiet_fit(
        model,
        LINE_XS,
        LINE_YS,
        optimizer=sgd,
        epochs=4,
        validation=(LINE_XS, LINE_YS),
        patience=9,
    )
    assert history.stopped == ""
    now = mse(predict(model, LINE_XS), LINE_YS)
    assert now == min(history.validation_loss) < history.validation_loss[-1]


def test_patience_counts_a_validation_loss_of_nan_as_the_worst():
    losses = iter([nan, 3.0, nan, nan])

    def loss(predictions, targets):
        y = mse(predictions, targets)
        return y * 0.0 + next(losses) if targets == [9.0] else y

    model = MLP(1, [1], seed=0)
    history = quiet_fit(
        model, LINE_XS, LINE_YS, loss, validation=([[1.0]], [9.0]), patience=2
    )
    assert (history.stopped, history.best_epoch) == ("early", 1)


def test_ctrl_c_gives_the_history_and_a_model_that_goes_on():
    calls = []

    def interrupted(predictions, targets):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return mse(predictions, targets)

    model, same = MLP(1, [1], seed=0), MLP(1, [1], seed=0)
    history = quiet_fit(model, LINE_XS, LINE_YS, interrupted, epochs=50)
    quiet_fit(same, LINE_XS, LINE_YS, epochs=5)
    assert (history.stopped, len(history.loss)) == ("interrupted", 5)
    assert weights(model) == weights(same)
    assert len(quiet_fit(model, LINE_XS, LINE_YS, epochs=2).loss) == 2


def test_ctrl_c_with_patience_restores_the_best_weights():
    calls = []

    def interrupted(predictions, targets):
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return mse(predictions, targets)

    model = MLP(1, [1], seed=0)
    sgd = SGD(model.parameters(), lr=0.25)  # too fast: the loss grows
    held_out = (LINE_XS, LINE_YS)
    history = quiet_fit(
        model,
        *held_out,
        interrupted,
        sgd,
        epochs=9,
        validation=held_out,
        patience=9,
    )
    assert len(history.loss) == 3
    assert mse(predict(model, LINE_XS), LINE_YS) == min(history.validation_loss)


def test_fit_shows_a_bar_unless_told_not_to(capsys):
    model = MLP(1, [1], seed=0)
    fit(model, LINE_XS, LINE_YS, epochs=3)
    assert "3/3" in capsys.readouterr().err
    fit(model, LINE_XS, LINE_YS, epochs=3, progress=False)
    assert capsys.readouterr().err == ""


def test_history_shows_first_and_last_of_each_series():
    history = History([0.5, 0.25], [], [1.0, 2.0], [], "interrupted")
    assert repr(history) == (
        "History(2 epochs, loss 0.5 -> 0.25, validation loss 1 -> 2, "
        "stopped: interrupted)"
    )
    assert repr(History([0.5])) == "History(1 epoch, loss 0.5 -> 0.5)"
    assert (history.best_epoch, History().best_epoch) == (0, None)


def test_predict_gives_plain_numbers():
    model = MLP(2, [3], seed=0)
    (row,) = predict(model, [[1.0, 2.0]])
    assert [type(y) for y in row] == [float] * 3
    assert row == model([1.0, 2.0])


# ---- errors --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "xs, ys, complaint",
    [
        ([], [], "xs must hold at least one point, but is empty"),
        (LINE_XS, [1.0, 2.0], "ys must have one target for each of the 4 points"),
        ([[1.0], [1.0, 2.0]], [1.0, 2.0], r"xs\[1\] must have 1 feature.* but has 2"),
        ([[1.0], [nan]], [1.0, 2.0], r"xs\[1\] must be finite, but has nan"),
        ([[1.0], [2.0]], [1.0, inf], r"ys\[1\] must be finite, but has inf"),
        ([[1.0, 2.0]], [1.0], "MLP: x must have 1 feature.*, but has 2"),
        (LINE_XS, [[1.0, 2.0]] * 4, "mse: each point must have as many targets"),
    ],
)
def test_fit_refuses_data_that_do_not_fit_and_changes_nothing(xs, ys, complaint):
    model = MLP(1, [1], seed=0)
    before = weights(model)
    with pytest.raises(ValueError, match=complaint):
        quiet_fit(model, xs, ys)
    assert weights(model) == before


@pytest.mark.parametrize(
    "xs, ys, complaint",
    [
        (
            [1.0, 2.0],
            [1.0, 2.0],
            r"xs\[0\] must be a row .*write \[\[x\] for x in xs\]",
        ),
        (["ab"], [1.0], r"xs\[0\] must be a row of features, but is 'ab'"),
        ([["1"]], [1.0], r"xs\[0\] must hold plain numbers, but has '1'"),
        ([[Value(1.0)]], [1.0], r"xs\[0\] must hold plain numbers, but has Value"),
        ([[1.0]], [None], r"ys\[0\] must hold plain numbers, but has None"),
        (3.0, [1.0], "xs must be a list with one item for each point, but is 3.0"),
        ([[1.0]], 1.0, "ys must be a list with one item for each point, but is 1.0"),
    ],
)
def test_fit_refuses_data_that_are_no_numbers(xs, ys, complaint):
    with pytest.raises(TypeError, match=f"^fit: {complaint}"):
        quiet_fit(MLP(1, [1], seed=0), xs, ys)


def test_fit_undoes_its_steps_if_a_later_target_is_wrong():
    model = MLP(2, [3], seed=0)
    before = weights(model)
    with pytest.raises(ValueError, match="cross_entropy: every class must be .* is 3"):
        quiet_fit(model, XOR, [0, 1, 3, 2], cross_entropy, batch_size=1, seed=0)
    assert weights(model) == before


def test_fit_that_diverges_says_where_and_keeps_finite_weights():
    model = MLP(1, [1], seed=0)
    sgd = SGD(model.parameters(), lr=1e60)
    with pytest.raises(FloatingPointError, match="SGD.step: .* lower lr"):
        quiet_fit(model, LINE_XS, LINE_YS, optimizer=sgd)
    assert all(abs(w) < inf for w in weights(model))


@pytest.mark.parametrize(
    "wrong, complaint",
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, but is 0"),
        ({"epochs": 1.5}, "epochs must be a whole number"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
        ({"patience": 0, "validation": ([[1.0]], [1.0])}, "patience must be a whole"),
        ({"patience": 3}, "validation must be given where patience is"),
        ({"validation": [[1.0]]}, r"validation must be a pair \(xs, ys\), but is list"),
        ({"validation": ([], [])}, "validation xs must hold at least one point"),
        ({"validation": ([[1.0, 2.0]], [1.0])}, "validation xs must have 1 feature"),
    ],
)
def test_fit_refuses_settings_out_of_range(wrong, complaint):
    model = MLP(1, [1], seed=0)
    before = weights(model)
    with pytest.raises(ValueError, match=f"^fit: {complaint}"):
        quiet_fit(model, LINE_XS, LINE_YS, **wrong)
    assert weights(model) == before


def test_fit_refuses_the_optimizer_of_another_model():
    stale = Adam(MLP(1, [1], seed=0).parameters())
    with pytest.raises(ValueError, match="fit: optimizer must move parameters of this"):
        quiet_fit(MLP(1, [1], seed=0), LINE_XS, LINE_YS, optimizer=stale)


def test_fit_refuses_a_loss_that_drops_the_graph():
    def dropped(predictions, targets):
        return sum((p.data - t) ** 2 for p, t in zip(predictions, targets))

    with pytest.raises(TypeError, match="fit: loss must return a Value, .* float"):
        quiet_fit(MLP(1, [1], seed=0), LINE_XS, LINE_YS, dropped)


# ---- the package ---------------------------------------------------------------------


def test_nn_exports_what_it_lists():
    assert sorted(nn.__all__) == sorted(set(nn.__all__))
    assert all(hasattr(nn, name) for name in nn.__all__)


def test_nn_uses_only_public_names_of_autograd():
    import ast
    from pathlib import Path

    import autograd

    for path in Path(nn.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert not (node.module or "").startswith("autograd."), path
                if node.module == "autograd":
                    assert {n.name for n in node.names} <= set(autograd.__all__), path
            if isinstance(node, ast.Attribute):
                assert (
                    not node.attr.startswith("_")
                    or node.attr.startswith("__")
                    or (isinstance(node.value, ast.Name) and node.value.id == "self")
                ), f"{path}: {node.attr}"
