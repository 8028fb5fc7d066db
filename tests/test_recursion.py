"""Networks as explain tells them: vectors whose equations hold, or no network."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from typing import Any

import pytest

import nn
from autograd import (
    Primitive,
    Value,
    dot,
    explain,
    fma,
    logsumexp,
    relu,
    sigmoid,
    softmax,
    tanh,
)
from autograd.show.explain.equations import number
from autograd.show.explain.explain import adjoints
from autograd.show.explain.layers import Network, find_network, layer_attribute
from autograd.show.explain.recursion import telling_point
from autograd.value import topological

XOR: tuple[list[list[float]], list[float]] = (
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]],
    [0.0, 1.0, 1.0, 0.0],
)
ACTIVATIONS = ["relu", "tanh", "sigmoid", "leaky_relu", "gelu", "silu", "sin", "linear"]


def network_of(y: Value) -> Network | None:
    return find_network(topological(y, whole=True), adjoints(y, topological(y)))


def xor_loss(widths: list[int], activation: Any = "tanh", seed: int = 0) -> Value:
    model = nn.MLP(2, widths, activation, seed=seed)
    return nn.mse([model(x) for x in XOR[0]], XOR[1])


def shape(y: Value) -> tuple[int, list[int]] | None:
    """(points, widths) of the network that was found."""
    found = network_of(y)
    if found is None:
        return None
    return len(found.points), [len(layer.neurons) for layer in found.layers]


def lines_of(text: str) -> dict[str, str]:
    """What each left side equals, continuation lines joined; the first of each."""
    joined = re.sub(r"\n {4,}(?=\S)", " ", text)
    found: dict[str, str] = {}
    for line in joined.splitlines():
        left, equal, right = line.strip().partition(" = ")
        if equal:
            found.setdefault(left.strip(), right)
    return found


def numbers_of(vector: str) -> list[float]:
    """The numbers of the last vector or number in an equation."""
    last = re.split(r" [=≈] ", " = " + vector.partition(" … ")[0])[-1]
    return [float(x) for x in re.findall(r"-?\d[\d.]*(?:e-?\d+)?", last)]


# ---- the equations hold --------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("widths", [[1], [3, 1], [4, 3, 2], [8, 8, 1], [2] * 6])
def test_deltas_that_are_told_are_the_textbooks(
    activation: str, widths: list[int]
) -> None:
    """By nn's own recursion, which knows nothing of the graph."""
    model = nn.MLP(2, widths, activation, seed=3)
    x, y = [0.6, -1.1], [0.3, -0.2][: widths[-1]]
    target = y if widths[-1] > 1 else y[0]
    loss = nn.mse(model(x), target)
    text = lines_of(explain(loss).text)
    rows = nn.backprop_table(model, x, target).layers
    for layer in rows:
        name = f"δ{'₀₁₂₃₄₅₆'[layer.number]}"
        if name not in text:
            assert 2 < layer.number < len(widths) - 1, name  # in a line on the middle
            continue
        told = numbers_of(text[name])
        expected = [float(f"{neuron.delta:.6g}") for neuron in layer.neurons]
        assert told == pytest.approx(expected, rel=2e-6, abs=1e-300)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_that_are_told_are_the_engines(activation: str) -> None:
    model = nn.MLP(2, [3, 2, 1], activation, seed=5)
    loss = nn.mse([model(x) for x in XOR[0]], XOR[1])
    text = lines_of(explain(loss).text)
    loss.backward()
    for n, layer in enumerate(model.layers, start=1):
        lowered = "₀₁₂₃"[n]
        weights = numbers_of(text[f"∂L/∂W{lowered}"].partition("more")[0])
        grads = [w.grad for neuron in layer.neurons for w in neuron.w]
        assert weights == [float(number(g)) for g in grads[: len(weights)]]
        biases = numbers_of(text[f"∂L/∂b{lowered}"])
        assert biases == [float(number(neuron.b.grad)) for neuron in layer.neurons]


@pytest.mark.parametrize("seed", range(5))
def test_vector_equations_hold_between_the_numbers_told(seed: int) -> None:
    """(Wᵀδ) ⊙ σ′ and the result, from the printed text and the model's weights."""
    model = nn.MLP(2, [3, 3, 1], "tanh", seed=seed)
    x = [0.7, -0.4]
    text = lines_of(explain(nn.mse(model(x), 1.0)).text)
    a = [x]
    for n, layer in enumerate(model.layers, start=1):
        z = numbers_of(text[f"z{'₀₁₂₃'[n]}"])
        for neuron, told in zip(layer.neurons, z):
            found = sum(w.data * x for w, x in zip(neuron.w, a[-1])) + neuron.b.data
            assert told == pytest.approx(found, rel=1e-4, abs=1e-5)
        a.append(numbers_of(text[f"a{'₀₁₂₃'[n]}"]) if n < 3 else z)
        assert n == 3 or a[-1] == pytest.approx([math.tanh(x) for x in z], rel=1e-4)
    for n in (2, 1):
        after = numbers_of(text[f"δ{'₀₁₂₃'[n + 1]}"])
        told = text[f"δ{'₀₁₂₃'[n]}"]
        vectors = re.findall(r"\[[^]]*\]", told)
        back, slopes, result = ([float(x) for x in v[1:-1].split(",")] for v in vectors)
        rows = [[w.data for w in neuron.w] for neuron in model.layers[n].neurons]
        for i in range(3):
            found = sum(row[i] * delta for row, delta in zip(rows, after))
            assert back[i] == pytest.approx(found, rel=1e-4, abs=1e-6)
            assert slopes[i] == pytest.approx(1 - a[n][i] ** 2, rel=1e-4)
            assert result[i] == pytest.approx(back[i] * slopes[i], rel=1e-4)


@pytest.mark.parametrize(
    "loss",
    [
        lambda model: nn.binary_cross_entropy([model(x)[0] for x in XOR[0]], XOR[1]),
        lambda model: nn.cross_entropy([model(x) for x in XOR[0]], [0, 1, 2, 1]),
        lambda model: nn.hinge([model(x)[1] for x in XOR[0]], [-1, 1, 1, -1]),
        lambda model: nn.mse([model(x) for x in XOR[0]], [[0.0, 1.0, 0.5]] * 4),
        lambda model: sum((model(x)[2] ** 2 for x in XOR[0]), Value(0.0)),
    ],
)
def test_a_network_is_found_below_any_loss(loss: Callable[[Any], Value]) -> None:
    y = loss(nn.MLP(2, [5, 3], "gelu", seed=2))
    found = network_of(y)
    assert found is not None and len(found.points) == 4
    assert [len(layer.neurons) for layer in found.layers][0] == 5
    text = lines_of(explain(y).text)
    y.backward()
    bias = found.layers[0].neurons[0].b
    assert bias is not None
    assert numbers_of(text["∂L/∂b₁"])[0] == float(number(bias.grad))


# ---- what is a network ---------------------------------------------------------------


def by_hand(write: Callable[..., Value]) -> Value:
    """A 2-3-1 net whose neurons are written by a function of (w, x, b)."""
    rng = random.Random(1)
    hidden = [[Value(rng.gauss(0, 1), f"net.w{j}_{i}") for i in (0, 1)] for j in (0, 1)]
    biases = [Value(0.1 * j, f"net.b{j}") for j in (0, 1)]
    last, offset = [Value(0.5, "out.w0"), Value(-0.7, "out.w1")], Value(0.2, "out.b")
    losses = []
    for x, y in zip(*XOR):
        a = [tanh(write(w, x, b)) for w, b in zip(hidden, biases)]
        losses.append((write(last, a, offset) - y) ** 2)
    return dot(losses, [0.25] * 4)


@pytest.mark.parametrize(
    "write",
    [
        lambda w, x, b: dot(w, x) + b,
        lambda w, x, b: b + dot(x, w),
        lambda w, x, b: w[0] * x[0] + w[1] * x[1] + b,
        lambda w, x, b: b + x[0] * w[0] + x[1] * w[1],
        lambda w, x, b: sum(wi * xi for wi, xi in zip(w, x)) + b,
        lambda w, x, b: fma(w[0], x[0], fma(w[1], x[1], b)),
        lambda w, x, b: dot([*w, b], [*x, 1.0]),
        lambda w, x, b: dot([b, *w], [1.0, *x]),
    ],
)
def test_a_neuron_is_one_however_its_sum_is_written(
    write: Callable[..., Value],
) -> None:
    y = by_hand(write)
    assert shape(y) == (4, [2, 1])
    text = explain(y).text
    assert "δ₁    = (W₂ᵀδ₂) ⊙ tanh′(z₁)" in text
    assert "W₁ is held by net, W₂ is held by out" in text
    assert "z₁ = W₁x + b₁" in text.replace("   ", "")


def test_hand_written_neurons_without_a_bias_have_none() -> None:
    y = by_hand(lambda w, x, b: dot(w, x))
    assert shape(y) == (4, [2, 1])
    text = explain(y).text
    assert "z₁ = W₁x " in text and "b₁" not in text


def test_labels_w_and_b_are_parameters_where_none_is_dotted() -> None:
    w = [Value(0.3 * k - 0.7, f"w{k}") for k in range(6)]
    b = [Value(0.1, f"b{k}") for k in range(3)]
    x = [Value(0.5, "x1"), Value(-1.0, "x2")]
    h = [sigmoid(w[2 * k] * x[0] + w[2 * k + 1] * x[1] + b[k]) for k in range(2)]
    y = (w[4] * h[0] + w[5] * h[1] + b[2] - 1.0) ** 2
    text = explain(y).text
    assert "δ₁    = (W₂ᵀδ₂) ⊙ sigmoid′(z₁)" in text
    assert "z₁[0] = w0·x1 + w1·x2 + b0" in text
    assert "∂L/∂w0 = δ₁[0] · x1 = " in text


def test_unlabelled_numbers_are_told_as_a_table_of_nodes() -> None:
    v = [Value(0.1 * k) for k in range(9)]
    h = [tanh(v[0] * 0.5 + v[1] + v[2]), tanh(v[3] * 0.5 + v[4] + v[5])]
    y = (v[6] * h[0] + v[7] * h[1] + v[8] - 1.0) ** 2
    assert network_of(y) is None
    assert "Backward: each adjoint once" in explain(y).text
    assert "δ" not in explain(y).text


def layers_by_hand(combine: Callable[..., list[Value]]) -> Value:
    """A net of 2-3-3-1 in which something is done between the second and third."""
    model = nn.MLP(2, [3, 3, 1], "tanh", seed=0)
    first = model.layers[0].activations([0.5, -1.0])
    second = model.layers[1].activations(first)
    return (model.layers[2].activations(combine(first, second))[0] - 1.0) ** 2


def test_what_is_no_layered_network_is_not_called_one() -> None:
    tied = nn.MLP(2, [2, 2, 1], "tanh", seed=0)
    tied.layers[1].neurons = tied.layers[0].neurons
    mixed = nn.MLP(2, [3, 1], "tanh", seed=0)
    part = [*mixed.layers[0].activations([0.5, 1.0])[:2], 0.3]
    for y in [
        layers_by_hand(lambda a, b: [p + q for p, q in zip(a, b)]),  # around a layer
        layers_by_hand(lambda a, b: [p * 0.5 for p in b]),  # dropout
        layers_by_hand(lambda a, b: [p / (p + 1.0) for p in b]),
        layers_by_hand(lambda a, b: [a[0], *b[1:]]),
        layers_by_hand(lambda a, b: [b[0], b[0], b[2]]),
        tied([0.5, -1.0]) ** 2,  # one layer twice
        mixed.layers[1].activations(part)[0] ** 2,
        nn.MLP(1, [3, 3, 1], "tanh", seed=0)([0.5]) * nn.MLP(1, [1], seed=1)([0.5]),
        logsumexp([Value(0.5, "a.w"), Value(0.1, "a.b")]) * 2.0,
    ]:
        assert network_of(y) is None
        assert "δ" not in explain(y).text


def test_a_recurrent_network_is_no_layered_one() -> None:
    rng = random.Random(0)
    w = [[Value(rng.gauss(0, 1), f"cell.w{i}{j}") for j in (0, 1, 2)] for i in (0, 1)]
    b = [Value(0.1, f"cell.b{i}") for i in (0, 1)]
    h: list[Value | float] = [0.0, 0.0]
    for t in range(5):
        h = [tanh(dot(w[i], [*h, 0.1 * t]) + b[i]) for i in (0, 1)]
    y = sum(h) ** 2
    assert isinstance(y, Value) and network_of(y) is None


def test_inputs_that_come_from_parameters_are_no_inputs() -> None:
    model = nn.MLP(2, [3, 2], "tanh", seed=0)
    x = [Value(0.7, "x"), Value(0.3, "w")]  # an input by the name of w
    a = model(x)
    assert shape(a[0] * a[1]) == (1, [3, 2])
    inner = Value(0.5, "scale.s")
    assert network_of(model([inner * inner, 1.0])[0] * 2.0) is None


def test_points_with_the_same_features_are_points() -> None:
    model = nn.MLP(2, [3, 1], "tanh", seed=0)
    y = nn.mse([model([1.0, 2.0]) for _ in range(3)], [0.0, 1.0, 2.0])
    assert shape(y) == (3, [3, 1])
    single = nn.MLP(2, [2], "linear", seed=0)
    y = nn.mse([single([1.0, 2.0]) for _ in range(3)], [[0.0, 1.0]] * 3)
    assert shape(y) == (3, [2])


def test_parameters_of_equal_numbers_are_not_confused() -> None:
    model = nn.MLP(2, [3, 3, 1], "tanh", seed=0)
    for parameter in model.parameters():
        parameter.data = 0.5
    y = nn.mse([model(x) for x in XOR[0]], XOR[1])
    assert shape(y) == (4, [3, 3, 1])


def test_inputs_in_another_order_are_put_in_one() -> None:
    w = [Value(0.3 * k + 0.1, f"m.w{k}") for k in range(6)]
    x = [Value(1.0, "u"), Value(2.0, "v")]
    h = [tanh(w[0] * x[0] + w[1] * x[1]), tanh(w[2] * x[1] + w[3] * x[0])]
    found = network_of((w[4] * h[0] + w[5] * h[1]) ** 2)
    assert found is not None
    assert found.layers[0].neurons[1].w == (w[3], w[2])


def test_infinite_weights_are_told_node_by_node() -> None:
    """0 · inf: the recursion would give NaN where the engine leaves out, so 0."""
    model = nn.MLP(2, [2, 1], "relu", seed=0)
    model.layers[1].neurons[0].w[0].data = math.inf
    assert network_of(nn.mse(model([1.0, 2.0]), 1.0)) is None


# ---- words ---------------------------------------------------------------------------


def test_relus_that_are_off_have_a_slope_of_zero_and_a_name() -> None:
    model = nn.MLP(2, [4, 1], "relu", seed=1)
    y = nn.mse(model([1.0, 0.5]), 1.0)
    text = explain(y).text
    off = [n for n in model.layers[0].neurons if n([1.0, 0.5]).data == 0.0]
    assert off
    assert "relu′(z₁)" in text and "= 0 (left out)" in text
    assert "?" not in text


def test_layers_of_different_activations_are_told_as_sigma() -> None:
    model = nn.MLP(2, [3, 1], "tanh", seed=0)
    model.layers[0].neurons[1].activation = "relu"
    text = explain(nn.mse([model(x) for x in XOR[0]], XOR[1])).text
    assert "(W₂ᵀδ₂) ⊙ σ′(z₁)" in text
    assert "σ in layer 1: tanh, relu, tanh" in text


def test_an_activation_of_ones_own_is_called_by_its_name() -> None:
    bent = Primitive("bent", lambda x: x * x, lambda z, x: 2 * x)
    odd = Primitive("a}|b", lambda x: x * x, lambda z, x: 2 * x)
    assert "⊙ bent′(z₁)" in explain(xor_loss([3, 1], bent)).text
    found = explain(xor_loss([3, 1], odd))
    assert "⊙ σ′(z₁)" in found.text and r"\sigma'" in found.latex


def test_an_activation_with_other_operands_is_written_out() -> None:
    for write, shown in [
        (lambda z: z**2, "σ in layer 1: z², z²"),
        (lambda z: z.leaky_relu(0.2), "σ in layer 1: leaky_relu(z, 0.2), leaky"),
        (lambda z: z.clip(-1.0, 1.0), "σ in layer 1: clip(z, -1, 1), clip(z, -1, 1)"),
    ]:
        w = [Value(0.3 * k + 0.1, f"m.w{k}") for k in range(6)]
        h = [write(dot(w[k : k + 2], [0.5, 0.25])) for k in (0, 2)]
        text = explain((dot(w[4:], h) - 1.0) ** 2).text
        assert shown in text and "⊙ σ′(z₁)" in text
    usual = nn.MLP(2, [2, 1], "leaky_relu", seed=0)([1.0, 0.5])
    assert "leaky_relu′(z₁)" in explain(usual).text


def test_an_output_activation_is_told_before_the_loss() -> None:
    layer = nn.Layer(2, 1, "sigmoid", seed=0)
    y = nn.mse([layer(x) for x in XOR[0]], XOR[1])
    text = explain(y).text
    assert "δ₁     = ∂L/∂a₁ ⊙ sigmoid′(z₁) = " in text
    softplus = nn.binary_cross_entropy(nn.MLP(2, [2, 1], "tanh", seed=0)([1.0, 0.5]), 0)
    assert "softplus′" not in explain(softplus).text  # it is the loss's


def test_the_loss_is_told_from_the_output_on() -> None:
    text = lines_of(explain(xor_loss([3, 1])).text)
    assert text["u"].startswith("(z₂⁽¹⁾)² + s² + (z₂⁽³⁾ - 1)² + (z₂⁽⁴⁾)² = ")
    assert text["δ₂"].startswith("∂L/∂z₂ = ∂L/∂s · 1 = ")


def test_the_point_in_full_is_the_first_with_an_error_in_every_layer() -> None:
    y = xor_loss([3, 1])
    found = explain(y)
    assert found.network is not None
    assert telling_point(found.sweep, found.network) == 1  # at [0, 0] all is 0
    assert "Forward at point 2, the first with an error\n  x  = [0, 1]" in found.text
    model = nn.MLP(2, [3, 1], "tanh", seed=0)
    y = nn.mse([model([0.5, 1.0]), model([1.0, 0.5])], [1.0, 0.0])
    assert "Forward at point 1\n  x  = [0.5, 1]" in explain(y).text


def test_many_points_wide_layers_and_deep_nets_are_counted() -> None:
    rng = random.Random(0)
    model = nn.MLP(20, [12, 1], "tanh", seed=0)
    points = [[rng.random() for _ in range(20)] for _ in range(30)]
    text = explain(nn.mse([model(x) for x in points], [1.0] * 30)).text
    assert "… and 21 more points" in text
    assert "… 4 more]" in text and "… 12 more]" in text and "… 11 more rows]" in text
    narrow = nn.MLP(2, [2] * 7 + [1], "tanh", seed=0)
    text = explain(nn.mse(narrow([0.5, -1.0]), 1.0)).text
    assert "by the same line" not in text and "δ₄    = (W₅ᵀδ₅) ⊙ tanh′(z₄)" in text
    deep = nn.MLP(2, [4] * 50 + [1], "tanh", seed=0)
    told = explain(nn.mse(deep([0.5, -1.0]), 1.0))
    text = told.text
    assert "$$" not in told.markdown
    assert "… 47 layers by the same lines" in text
    assert "layers 49 to 3 by the same line, with |δ| from" in text
    assert len(text.splitlines()) < 90


def test_a_penalty_on_the_weights_is_said_to_come_from_outside() -> None:
    model = nn.MLP(2, [3, 1], "tanh", seed=0)
    weights = [w for layer in model.layers for n in layer.neurons for w in n.w]
    y = nn.mse([model(x) for x in XOR[0]], XOR[1]) + 0.01 * dot(weights, weights)
    text = lines_of(explain(y).text)
    y.backward()
    assert text["∂L/∂W₂"].startswith("Σ δ₂a₁ᵀ + what comes from outside the layers = ")
    first = model.layers[1].neurons[0].w[0]
    assert numbers_of(text["∂L/∂W₂"])[0] == float(number(first.grad))


def test_names_step_aside_for_the_users() -> None:
    model = nn.MLP(2, [3, 1], "tanh", seed=0)
    x = [Value(0.5, "a1"), Value(1.0, "W")]
    text = explain(nn.mse(model(x), 1.0)).text
    assert "z₁ = V₁x + b₁" in text and "h₁ = tanh(z₁)" in text
    assert "a₁" not in text and "W₁" not in text
    assert "z₁[0] = V₁[0,0]·a1 + V₁[0,1]·W + b₁[0]" in text


def test_the_attribute_that_holds_a_layer_is_named() -> None:
    found = network_of(xor_loss([3, 1]))
    assert found is not None
    assert [layer_attribute(layer) for layer in found.layers] == [
        "layers.0",
        "layers.1",
    ]


def test_a_networks_output_without_a_loss_is_explained_too() -> None:
    model = nn.MLP(2, [3, 1], "tanh", seed=0)
    text = explain(model([0.5, 1.0])).text
    assert "δ₂ = ∂z₂/∂z₂ = 1" in text
    assert "∂z₂/∂W₁ = δ₁xᵀ" in text


def test_markdown_and_latex_tell_the_same_equations() -> None:
    found = explain(xor_loss([3, 1]))
    for latex in found.markdown, found.latex:
        assert r"\left(W_{2}^{T}{\,}\delta_{2}\right)" in latex
        assert r"\odot \operatorname{tanh}'\left(z_{1}\right)" in latex
        assert r"\sum \delta_{2}{\,}a_{1}^{T}" in latex
        assert r"\left(z_{2}^{(1)}\right)^{2}" in found.markdown
    for row in found.markdown.splitlines():
        if row.startswith("|"):
            assert row.count("|") in (4, 6)
            assert len(re.findall(r"(?<!\\)\$", row)) % 2 == 0


def test_a_network_is_left_as_it_was() -> None:
    model = nn.MLP(2, [3, 1], "tanh", seed=0)
    y = nn.mse([model(x) for x in XOR[0]], XOR[1])
    text = explain(y).text
    assert not any(p.reached for p in model.parameters()) and not y.reached
    assert relu(y).data >= 0.0
    assert explain(y).text == text


# ---- networks drawn at random, and bent ----------------------------------------------


def drawn(rng: random.Random, bent: bool) -> Value:
    """A network of random widths at a few points; bent in a place or two, or not."""
    widths = [rng.randint(1, 4) for _ in range(rng.randint(2, 4))]
    model = nn.MLP(widths[0], widths[1:], rng.choice(ACTIVATIONS), seed=rng)
    parts: list[Value] = []

    def bend(a: list[Any], before: list[Any]) -> list[Any]:
        kind = rng.randrange(12) if bent else 12
        if kind == 0:
            parts.append(a[0])
        elif kind == 1:
            return [a[0] * 2.0, *a[1:]]
        elif kind == 2:
            return [a[0] + a[-1], *a[1:]]
        elif kind == 3:
            return [rng.gauss(0, 1), *a[1:]]
        elif kind == 4:
            return [a[0] + before[0], *a[1:]]
        elif kind == 5:
            parts.append(model.layers[0].neurons[0].w[0] ** 2)
        return a

    for _ in range(rng.randint(1, 3)):
        a: list[Any] = [rng.gauss(0, 1) for _ in range(widths[0])]
        for layer in model.layers:
            a = bend(layer.activations(a), a)
        parts += [x for x in a if isinstance(x, Value)]
    return dot(parts, parts)


@pytest.mark.parametrize("bent", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_what_is_claimed_of_a_network_drawn_at_random_holds(
    seed: int, bent: bool
) -> None:
    y = drawn(random.Random(seed), bent)
    found = network_of(y)
    assert bent or found is not None
    if found is None:
        return
    bars, within = adjoints(y, topological(y)), {*found.neuron_of, *found.inner}

    def bar(x: Value) -> float:
        return bars.get(x, 0.0)

    for layers in found.points:
        for layer, after in zip(layers, layers[1:]):
            assert [bar(a) for a in layer.a] == pytest.approx(after.back(bars))
        for layer in layers:
            for a, z, slope in zip(layer.a, layer.z, layer.slopes()):
                assert bar(a) * slope == pytest.approx(bar(z), abs=1e-12)
            for neuron in layer.neurons:
                b = 0.0 if neuron.b is None else neuron.b.data
                x = [x.data if isinstance(x, Value) else x for x in neuron.x]
                z = sum(w.data * xi for w, xi in zip(neuron.w, x)) + b
                assert z == pytest.approx(neuron.z.data, abs=1e-12)
    users = {p: n for n in topological(y) if n not in within for p in n.parents}
    for n, layer in enumerate(found.layers):
        for k, neuron in enumerate(layer.neurons):
            at_points = [layers[n].neurons[k] for layers in found.points]
            total = sum(bar(one.z) for one in at_points)
            if neuron.b is not None and neuron.b not in users:
                assert total == pytest.approx(bar(neuron.b), abs=1e-12)


# ---- beside the layers ---------------------------------------------------------------


def penalty(model: Any) -> Any:
    return 0.25 * sum(p * p for p in model.parameters())


@pytest.mark.parametrize("points", [1, 4])
@pytest.mark.parametrize("widths", [[3, 1], [8, 8, 1], [4, 2]])
def test_a_penalty_stands_beside_what_the_layers_give(
    points: int, widths: list[int]
) -> None:
    model = nn.MLP(2, widths, "tanh", seed=2)
    for layer in model.layers:
        for k, neuron in enumerate(layer.neurons):
            neuron.b.data = 0.125 * (k + 1)
    targets: Any = [0.5] if widths[-1] == 1 else [[0.5, 1.0]]
    outputs = [model(x) for x in XOR[0][-points:]]
    loss = nn.mse(outputs, targets * points) + penalty(model)
    loss.backward()
    told = explain(loss).text
    for n, layer in enumerate(model.layers, start=1):
        name = f"b{'₀₁₂₃'[n]}"
        row = re.search(rf"∂L/∂{name} +(=.*?)\n  \S", told, re.S)
        assert row is not None
        own, rest = re.split(r"\n? +\+ (?=[-\[\d])", row[1].partition("layers")[2])
        rest, found = re.split(r"[=≈]", rest)
        wanted = [neuron.b for neuron in layer.neurons]
        assert numbers_of(rest) == pytest.approx([b.data / 2 for b in wanted])
        assert numbers_of(found) == pytest.approx([b.grad for b in wanted], rel=1e-5)
        total = [a + b for a, b in zip(numbers_of(own), numbers_of(rest))]
        assert total == pytest.approx(numbers_of(found), abs=2e-6)


def test_a_penalty_on_thousands_of_weights_is_told_by_its_first() -> None:
    model = nn.MLP(2, [8] * 50 + [1], "tanh", seed=0)
    told = explain(nn.mse(model([0.5, -1.0]), 1.0) + penalty(model)).text
    assert "0.25·(W₁[0,0]² + W₁[0,1]²" in told and "… 3553 more)" in told
    nested: Any = 0.0
    for p in model.parameters():
        nested = (nested + p * p) ** 0.5
    told = explain(nn.mse(model([0.5, -1.0]), 1.0) + nested).text
    assert "from a network of 51 layers" in told


@pytest.mark.parametrize("label", [0, 1, 2])
def test_what_a_loss_hands_to_each_of_several_outputs_is_told(label: int) -> None:
    model = nn.MLP(2, [4, 3], "tanh", seed=3)
    z = model([0.5, -1.0])
    loss = nn.cross_entropy([z], [label])
    loss.backward()
    told = lines_of(explain(loss).text)
    for k in range(3):
        assert numbers_of(told[f"δ₂[{k}]"]) == pytest.approx([z[k].grad], rel=1e-5)
    assert " + " in told[f"δ₂[{label}]"]


def test_a_loss_that_is_too_long_to_tell_is_not_passed_over() -> None:
    model = nn.MLP(2, [5, 3], "relu", seed=2)
    loss = -softmax(model([0.5, -1.0]))[1].log()
    told = explain(loss)
    words = "From z₂ to L there are more than 12 operations; explain(L, node) opens"
    assert words in told.text.replace("\n    ", " ") and words in told.html
    assert "From z₂ to L" in told.markdown
    assert "there are more than" not in explain(xor_loss([3, 1])).text


def test_many_points_keep_their_numbers_on_a_terminal() -> None:
    model = nn.MLP(2, [16, 16, 3], "relu", seed=1)
    rng = random.Random(0)
    xs = [[rng.gauss(0, 1), rng.gauss(0, 1)] for _ in range(64)]
    told = explain(nn.cross_entropy([model(x) for x in xs], [k % 3 for k in range(64)]))
    table = told.text.partition("The other points")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in table.splitlines()[2:10]] == list("23456789")
    assert max(map(len, told.text.splitlines())) <= 80
    assert "|δ₁|" in table and told.html.count("|δ₁|") == 1


@pytest.mark.parametrize("widths", [[3, 1], [4, 4, 1]])
def test_every_letter_on_a_path_is_defined(widths: list[int]) -> None:
    model = nn.MLP(2, widths, "tanh", seed=0)
    told = explain(nn.mse(model([0.5, 1.0]), 1.0), paths=True).text
    before, _, products = told.partition("Each path on its own")
    defined = {line.split()[0] for line in before.splitlines() if " = " in line}
    passed = set(re.findall(r"[∂d]([a-z]\w*)/[∂d]", products))
    assert passed and {x for x in passed if not x.startswith(("z", "a"))} <= defined


def test_a_users_delta_leaves_the_errors_another_letter() -> None:
    model = nn.MLP(2, [3, 1], "tanh", seed=0)
    found = explain(nn.mse(model([Value(0.5, "δ₁"), Value(1.0, "x")]), 1.0))
    told = found.text
    assert "That of a z is called ε" in told.replace("\n    ", " ")
    assert "ε₁    = (W₂ᵀε₂) ⊙ tanh′(z₁)" in told and "ε₁[0]     = ∂L/∂a₁[0]" in told
    assert all(
        re.search("[·∂ ]δ₁|δ₁ =", line) for line in told.splitlines() if "δ" in line
    )
    assert r"\varepsilon_{1}" in found.latex and r"\left(W_{2}^{T}{\,}" in found.latex


def test_a_users_x_is_no_vector() -> None:
    model = nn.MLP(2, [3, 1], "tanh", seed=0)
    told = explain(nn.mse(model([Value(0.5, "x"), Value(1.0, "y")]), 1.0)).text
    assert "a₀ = [0.5, 1]\n  z₁ = W₁a₀ + b₁" in told and "∂L/∂W₁ = δ₁a₀ᵀ" in told
    assert "∂L/∂x " in told and "\n  x " not in told and "W₁x" not in told
