"""Neurons, layers and perceptrons compute what their formulas say."""

import random
import sys
import threading
from math import tanh

import pytest

import autograd
from autograd import Primitive, Value, dot, grad
from nn import MLP, Layer, Neuron
from nn.layers import ACTIVATIONS


def variance(numbers):
    mean = sum(numbers) / len(numbers)
    return sum((x - mean) ** 2 for x in numbers) / len(numbers)


# ---- forward -------------------------------------------------------------------------


def test_neuron_is_the_activation_of_its_weighted_sum():
    neuron = Neuron(2, "tanh")
    neuron.w[0].data, neuron.w[1].data, neuron.b.data = 0.5, -2.0, 0.25
    assert neuron([3.0, 1.0]).data == tanh(3.0 * 0.5 - 2.0 + 0.25)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_neuron_takes_every_row_with_one_argument(name):
    neuron = Neuron(2, name, seed=0)
    neuron.b.data = 1.5
    x = [0.25, -0.5]
    z = dot(neuron.w, x).data + 1.5
    a, expected = neuron(x).data, getattr(autograd, name)(z)
    assert a == expected or (a != a and expected != expected)


def test_activations_include_the_usual_ones():
    usual = {"relu", "tanh", "sigmoid", "gelu", "leaky_relu", "silu", "softplus", "sin"}
    assert usual < set(ACTIVATIONS)
    assert not {"add", "dot", "where", "polygamma"} & set(ACTIVATIONS)


def test_neuron_takes_a_primitive_of_ones_own():
    square = Primitive("square", lambda x: x * x, lambda z, x: 2.0 * x)
    neuron = Neuron(1, square)
    neuron.w[0].data = 3.0
    a = neuron([2.0])
    a.backward()
    assert (a.data, neuron.w[0].grad) == (36.0, 24.0)


@pytest.mark.parametrize("linear", [Neuron(1, "linear"), Neuron(1, nonlin=False)])
def test_neuron_without_activation_is_linear(linear):
    linear.w[0].data = -2.0
    assert linear([3.0]).data == -6.0


def test_layer_gives_a_list_and_a_single_neuron_a_value():
    assert [a.op for a in Layer(2, 3, "tanh")([1.0, 2.0])] == ["tanh"] * 3
    assert Layer(2, 1, "tanh")([1.0, 2.0]).op == "tanh"


def test_mlp_has_a_linear_last_layer():
    model = MLP(2, [3, 2], "sigmoid")
    kinds = [[n.activation for n in layer.neurons] for layer in model.layers]
    assert kinds == [["sigmoid"] * 3, ["linear"] * 2]


def test_mlp_equals_the_same_sums_written_by_hand():
    model = MLP(2, [3, 2, 1], "tanh", seed=4)
    x = [0.3, -0.7]
    for layer in model.layers:
        sums = [
            sum(w.data * x_i for w, x_i in zip(n.w, x)) + n.b.data
            for n in layer.neurons
        ]
        x = sums if layer is model.layers[-1] else [tanh(z) for z in sums]
    assert model([0.3, -0.7]).data == pytest.approx(x[0], rel=1e-14)


@pytest.mark.parametrize("nouts", [[1], [1, 1], [1, 3, 1, 2], (2, 1, 1)])
def test_mlp_takes_any_widths_one_included(nouts):
    out = MLP(1, nouts, "tanh", seed=0)([0.5])
    assert (len(out) if isinstance(out, list) else 1) == nouts[-1]


def test_mlp_gives_the_same_for_lists_tuples_arrays_and_values():
    np = pytest.importorskip("numpy")
    model, x = MLP(3, [4, 1], seed=0), [1.0, -2.0, 0.5]
    same = [tuple(x), np.array(x), np.array(x, dtype=np.float32), [1, -2, 0.5]]
    same += [list(map(Value, x)), [np.float64(v) for v in x]]
    assert {model(other).data for other in same} == {model(x).data}


def test_mlp_carries_gradients_to_its_features():
    model = MLP(2, [4, 1], "tanh", seed=0)
    check_x = grad(lambda x: model(x))([0.5, -1.0])
    h = 1e-6
    up, down = model([0.5 + h, -1.0]).data, model([0.5 - h, -1.0]).data
    assert check_x[0].data == pytest.approx((up - down) / (2 * h), rel=1e-7)


def test_mlp_gradients_agree_with_differences():
    model = MLP(2, [3, 3, 1], "gelu", seed=2)
    model([0.4, 0.9]).backward()
    for p in model.parameters():
        here, h = p.data, 1e-6
        p.data = here + h
        up = model([0.4, 0.9]).data
        p.data = here - h
        down = model([0.4, 0.9]).data
        p.data = here
        assert p.grad == pytest.approx((up - down) / (2 * h), rel=1e-6, abs=1e-8)


def test_mlp_of_100_layers_trains_without_recursion():
    failures = []

    def run():
        model = MLP(2, [4] * 99 + [1], "tanh", seed=0)
        y = model([0.5, -0.5])
        y.backward()
        if not any(p.grad for p in model.layers[0].parameters()):
            failures.append("no gradient has reached the first layer")

    limit, stack = sys.getrecursionlimit(), threading.stack_size(256 * 1024)
    sys.setrecursionlimit(60)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        sys.setrecursionlimit(limit)
        threading.stack_size(stack)
    assert failures == []


# ---- initial weights -----------------------------------------------------------------


@pytest.mark.parametrize(
    "activation, init, expected",
    [
        ("relu", None, 2 / 200),
        ("gelu", None, 2 / 200),
        ("tanh", None, 2 / (200 + 100)),
        ("linear", None, 2 / (200 + 100)),
        ("tanh", "he", 2 / 200),
        ("relu", "glorot", 2 / (200 + 100)),
        ("relu", "uniform", 1 / 3),
    ],
)
def test_init_has_the_variance_of_its_scheme(activation, init, expected):
    layer = Layer(200, 100, activation, init=init, seed=0)
    weights = [w.data for neuron in layer.neurons for w in neuron.w]
    assert variance(weights) == pytest.approx(expected, rel=0.04)
    assert abs(sum(weights) / len(weights)) < 0.05 * expected**0.5
    assert {neuron.b.data for neuron in layer.neurons} == {0.0}


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_init_keeps_the_signal_alive_through_30_layers(activation):
    model = MLP(40, [40] * 30, activation, seed=0)
    rng = random.Random(1)
    out = model([rng.gauss(0.0, 1.0) for _ in range(40)])
    assert 1e-3 < sum(y.data**2 for y in out) / 40 < 1e3


def test_seed_fixes_the_weights_and_leaves_other_randomness_alone():
    random.seed(5)
    before = random.getstate()
    first, again, other = (MLP(2, [3, 1], seed=s) for s in (7, 7, 8))
    assert random.getstate() == before
    assert first.parameters() == again.parameters()
    assert first.layers[0].neurons[0].w != other.layers[0].neurons[0].w


def test_weights_without_a_seed_follow_random_seed():
    random.seed(1337)
    first, second = MLP(2, [3, 1]), MLP(2, [3, 1])
    random.seed(1337)
    assert MLP(2, [3, 1]).parameters() == first.parameters()
    assert first.layers[0].neurons[0].w != second.layers[0].neurons[0].w
    assert first.layers[0].neurons[0].w != first.layers[0].neurons[1].w


# ---- micrograd's way of using it -----------------------------------------------------


def test_code_for_micrograd_learns_two_clouds():
    rng = random.Random(0)
    points = [[rng.gauss(c, 0.5), rng.gauss(-c, 0.5)] for c in (1, -1) * 20]
    labels = [1, -1] * 20
    random.seed(1)
    model = MLP(2, [8, 8, 1])
    for k in range(25):
        inputs = [list(map(Value, row)) for row in points]
        scores = list(map(model, inputs))
        losses = [(1 + -yi * s).relu() for yi, s in zip(labels, scores)]
        data_loss = sum(losses) * (1.0 / len(losses))
        total = data_loss + 1e-4 * sum(p * p for p in model.parameters())
        model.zero_grad()
        total.backward()
        for p in model.parameters():
            p.data -= (1.0 - 0.9 * k / 25) * p.grad
    right = [(yi > 0) == (s.data > 0) for yi, s in zip(labels, scores)]
    assert sum(right) / len(right) >= 0.95


# ---- errors --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model, name", [(MLP(4, [2]), "MLP"), (Layer(4, 2), "Layer"), (Neuron(4), "Neuron")]
)
def test_models_refuse_the_wrong_number_of_features(model, name):
    with pytest.raises(ValueError, match=rf"^{name}: x must have 4 .*, but has 3; "):
        model([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "x, complaint",
    [
        (0.5, "MLP: x must be a list of 2 feature"),
        ("ab", "MLP: x must be a list of 2 feature.* but is str"),
        ({0: 1.0, 1: 2.0}, "MLP: x must be a list of 2 feature.* but is dict"),
        ([[1.0, 2.0], [3.0, 4.0]], r"x\[0\] is list; call the model once for each"),
        ([1.0, "2"], r"x\[1\] is str"),
        ([1.0, None], r"x\[1\] is NoneType"),
        ([1.0, 2j], r"x\[1\] is complex"),
    ],
)
def test_mlp_refuses_what_is_no_point(x, complaint):
    with pytest.raises(TypeError, match=complaint):
        MLP(2, [2, 1])(x)


@pytest.mark.parametrize(
    "wrong, remedy",
    [("ReLU", "did you mean 'relu'"), ("tahn", "'tanh'?"), ("xyzzy", "known are lin")],
)
def test_unknown_activation_names_the_nearest_known(wrong, remedy):
    for make in (
        lambda: MLP(1, [1], wrong),
        lambda: Layer(1, 1, wrong),
        lambda: Neuron(1, wrong),
    ):
        with pytest.raises(ValueError, match=f"activation must .*{wrong!r}") as error:
            make()
        assert remedy in str(error.value)


def test_unknown_init_names_the_nearest_known():
    with pytest.raises(ValueError, match="init must .* 'glorott'; did you mean 'gloro"):
        MLP(1, [1], init="glorott")


@pytest.mark.parametrize("width", [0, -1, 1.5, "2", None])
def test_widths_must_be_whole_numbers_of_at_least_1(width):
    for make in (
        lambda: MLP(width, [1]),
        lambda: MLP(1, [width]),
        lambda: Layer(1, width),
        lambda: Neuron(width),
    ):
        with pytest.raises(ValueError, match="must be a whole number of at least 1"):
            make()


@pytest.mark.parametrize("nouts", [[], 3, "16", None])
def test_mlp_refuses_nouts_that_is_no_list_of_widths(nouts):
    with pytest.raises(ValueError, match=r"MLP: nouts must be a list .*write \[1\]"):
        MLP(2, nouts)


def test_models_show_their_shape():
    model = MLP(2, [3, 1], "tanh")
    shown = [
        repr(part) for part in (model, model.layers[0], model.layers[1].neurons[0])
    ]
    assert shown == [
        "MLP(2, [3, 1], activation='tanh')",
        "Layer(2, 3, activation='tanh')",
        "Neuron(3, activation='linear')",
    ]
