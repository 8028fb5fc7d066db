"""The textbook's recursion gives the engine's adjoints; networks draw themselves."""

import re
import xml.etree.ElementTree as ET
from math import exp, inf, tanh

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd import Primitive, Value, draw
from autograd import tanh as tanh_row
from nn import (
    MLP,
    Module,
    Neuron,
    backprop_table,
    binary_cross_entropy,
    cross_entropy,
    hinge,
    mse,
)
from nn.layers import ACTIVATIONS
from nn.textbook import MOST_NEURONS, MOST_WEIGHTS, NEAR_INPUT, NEAR_OUTPUT

ULP = 2.0**-52


def logistic(z):
    return 1 / (1 + exp(-z))


def quartic(predictions, targets):
    """A loss of the user's own."""
    return sum((p - t) ** 4 for p, t in zip(predictions, targets))


def target_and_loss(name, width, draw_one):
    if name == "cross_entropy" and width > 1:
        return draw_one(st.integers(0, width - 1)), cross_entropy
    numbers = {
        "hinge": st.sampled_from([-1.0, 1.0]),
        "binary_cross_entropy": st.floats(0.0, 1.0),
    }.get(name, st.floats(-2.0, 2.0))
    targets = [draw_one(numbers) for _ in range(width)]
    losses = {"hinge": hinge, "binary_cross_entropy": binary_cross_entropy}
    if name == "quartic" and width > 1:
        return targets, quartic
    return (targets[0] if width == 1 else targets), losses.get(name, mse)


@st.composite
def problems(draw_one, activations):
    """(model, x, y, loss) of any depth, width, activation and loss."""
    nin = draw_one(st.integers(1, 4))
    nouts = draw_one(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    model = MLP(
        nin,
        nouts,
        draw_one(st.sampled_from(activations)),
        init=draw_one(st.sampled_from([None, "uniform"])),
        seed=draw_one(st.integers(0, 10**6)),
    )
    x = [draw_one(st.floats(-3.0, 3.0)) for _ in range(nin)]
    names = ["mse", "hinge", "binary_cross_entropy", "cross_entropy", "quartic"]
    name = draw_one(st.sampled_from(names))
    return model, x, *target_and_loss(name, nouts[-1], draw_one)


# ---- the recursion and the engine ----------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(problems(["linear", *ACTIVATIONS]))
def test_recursion_gives_the_engines_adjoints(problem):
    assert backprop_table(*problem).max_difference <= 4 * ULP


def test_output_that_the_loss_left_out_gets_no_share_though_it_is_infinite():
    model = MLP(1, [1, 2], "exp", seed=0)
    for neuron, weight in zip(model.layers[1].neurons, (1.0, -1.0)):
        neuron.w[0].data = weight
    model.layers[0].neurons[0].w[0].data = 1.0
    table = backprop_table(model, [800.0], [1.0, -1.0], hinge)
    assert table.max_difference == 0.0
    assert [row.weights for row in table.layers[0].neurons] == [[0.0], [0.0]]


@settings(max_examples=50, deadline=None)
@given(problems(["tanh", "relu", "sigmoid", "gelu"]))
def test_engines_columns_are_what_backward_gives(problem):
    model, x, y, loss = problem
    table = backprop_table(*problem)
    model.zero_grad()
    loss(model(x), y).backward()
    for layer, rows in zip(model.layers, reversed(table.layers)):
        for neuron, row in zip(layer.neurons, rows.neurons):
            assert row.engine_weights == [w.grad for w in neuron.w]
            assert row.engine_delta == neuron.b.grad


def test_deltas_are_those_worked_out_by_hand():
    model = MLP(1, [1, 1], "sigmoid")
    (first,), (second,) = (layer.neurons for layer in model.layers)
    first.w[0].data, first.b.data = 2.0, -0.5
    second.w[0].data, second.b.data = -3.0, 0.25
    table = backprop_table(model, [0.75], 1.0)
    s = logistic(1.0)
    (output,), (hidden,) = (layer.neurons for layer in table.layers)
    assert (hidden.z, hidden.a) == (1.0, pytest.approx(s, rel=1e-15))
    assert output.z == output.a == -3.0 * hidden.a + 0.25
    assert output.slope == 1.0
    assert output.delta == 2 * (output.a - 1.0)
    assert output.weights == [output.delta * hidden.a]
    assert hidden.slope == pytest.approx(s * (1 - s), rel=1e-15)
    assert hidden.delta == -3.0 * output.delta * hidden.slope
    assert hidden.weights == [hidden.delta * 0.75]
    assert table.loss == (output.a - 1.0) ** 2


def test_layers_come_from_the_output_back():
    table = backprop_table(MLP(2, [3, 4, 1], seed=0), [1.0, 2.0], 0.0)
    assert [layer.number for layer in table.layers] == [3, 2, 1]
    assert [len(layer.neurons) for layer in table.layers] == [1, 4, 3]


@pytest.mark.parametrize("hidden", [1, 2, 5, 50])
@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_any_number_of_hidden_layers_will_do(hidden, activation):
    model = MLP(3, [4] * hidden + [2], activation, seed=1)
    table = backprop_table(model, [0.5, -1.0, 2.0], 1, cross_entropy)
    assert len(table.layers) == hidden + 1
    assert table.layers[0].neurons[0].delta != 0.0
    assert table.max_difference <= 4 * ULP


def test_delta_of_cross_entropy_is_softmax_minus_target():
    model = MLP(2, [3, 3], "tanh", seed=3)
    z = [out.data for out in model([1.0, -1.0])]
    total = sum(map(exp, z))
    table = backprop_table(model, [1.0, -1.0], 2, cross_entropy)
    deltas = [neuron.delta for neuron in table.layers[0].neurons]
    expected = [exp(z[i]) / total - (i == 2) for i in range(3)]
    assert deltas == pytest.approx(expected, rel=1e-12)


def test_a_wide_network_agrees_as_well():
    model = MLP(64, [32, 10], "relu", seed=0)
    x = [(-1) ** i * i / 64 for i in range(64)]
    table = backprop_table(model, x, 3, cross_entropy)
    assert table.max_difference <= 4 * ULP


# ---- activations ---------------------------------------------------------------------


def test_activation_of_ones_own_brings_its_own_derivative():
    cube = Primitive("cube", lambda x: x * x * x, lambda z, x: 3 * x * x)
    table = backprop_table(MLP(2, [3, 1], cube, seed=0), [1.0, 2.0], 0.5)
    for neuron in table.layers[1].neurons:
        assert neuron.slope == 3 * neuron.z * neuron.z
    assert table.max_difference <= 4 * ULP


def test_defaults_of_an_activation_are_kept():
    model = MLP(1, [2, 1], "leaky_relu", seed=0)
    for neuron, w in zip(model.layers[0].neurons, (-1.0, 1.0)):
        neuron.w[0].data = w
    hidden = backprop_table(model, [1.0], 0.0).layers[1].neurons
    assert [neuron.slope for neuron in hidden] == [0.01, 1.0]
    assert [neuron.a for neuron in hidden] == [-0.01, 1.0]


def test_activation_may_differ_from_neuron_to_neuron():
    model = MLP(1, [2, 1], "tanh", seed=0)
    model.layers[0].neurons[1].activation = "relu"
    model.layers[1].neurons[0].activation = "sigmoid"
    table = backprop_table(model, [1.0], 0.0)
    assert "Layer 1 of 2 (tanh, relu)" in table.text
    assert table.layers[0].neurons[0].slope < 0.25 + ULP
    assert table.max_difference <= 4 * ULP


def test_relu_at_its_kink_lets_nothing_through():
    table = backprop_table(MLP(1, [2, 1], "relu", seed=0), [0.0], 1.0)
    assert [neuron.slope for neuron in table.layers[1].neurons] == [0.0, 0.0]
    assert [neuron.delta for neuron in table.layers[1].neurons] == [0.0, 0.0]
    assert table.max_difference == 0.0


def test_what_relu_leaves_out_cannot_poison_the_deltas():
    model = MLP(2, [1, 1, 1], "relu", seed=0)
    off = model.layers[1].neurons[0]
    off.w[0].data, off.b.data = -inf, -1.0
    model.layers[0].neurons[0].b.data = 100.0
    model.layers[2].neurons[0].b.data = 0.5
    table = backprop_table(model, [1.0, 1.0], 0.0)
    assert table.layers[1].neurons[0].z == -inf
    assert [layer.neurons[0].delta for layer in table.layers] == [1.0, 0.0, 0.0]
    assert table.max_difference == 0.0


def test_not_a_number_is_shown_as_such_on_both_sides():
    model = MLP(1, [2, 1], "tanh", seed=0)
    model.layers[0].neurons[0].w[0].data = float("nan")
    table = backprop_table(model, [1.0], 1.0)
    output, hidden = table.layers
    assert all(row.delta != row.delta for row in [*output.neurons, *hidden.neurons])
    assert "nan" in table.text
    assert table.max_difference == 0.0


# ---- a difference is an honest one ---------------------------------------------------


class Mislabelled(Neuron):
    """Computes tanh, whatever its activation says."""

    def __call__(self, x):
        return tanh_row(sum(w * feature for w, feature in zip(self.w, x)) + self.b)


def test_wrong_derivative_shows_as_a_difference():
    model = MLP(2, [3, 1], "tanh", seed=0)
    planted = Mislabelled(2, "sigmoid", seed=0)
    model.layers[0].neurons[1] = planted
    assert backprop_table(model, [1.0, 2.0], 0.5).max_difference > 0.1
    planted.activation = "tanh"
    assert backprop_table(model, [1.0, 2.0], 0.5).max_difference <= 4 * ULP


def test_derivative_that_is_wrong_by_a_billionth_shows():
    class Scaled(Neuron):
        def __call__(self, x):
            w = [w * (1 + 1e-9) for w in self.w]
            return sum(a * b for a, b in zip(w, x)) + self.b

    model = MLP(2, [3, 1], "tanh", seed=0)
    scaled = Scaled(3, "linear", seed=0)
    model.layers[1].neurons = [scaled]
    assert 1e-10 < backprop_table(model, [1.0, 2.0], 0.5).max_difference < 1e-8


def test_wrong_delta_of_the_textbook_shows(monkeypatch):
    import nn.textbook

    model = MLP(2, [3, 3, 1], "tanh", seed=0)
    right = nn.textbook._transposed_product

    def wrong(layer, deltas, *, size=False):
        return [bar * 1.001 for bar in right(layer, deltas, size=size)]

    monkeypatch.setattr(nn.textbook, "_transposed_product", wrong)
    assert backprop_table(model, [1.0, 2.0], 0.5).max_difference > 1e-4


def test_max_difference_is_measured_against_the_terms_that_cancel():
    model = MLP(1, [2, 1], "tanh", seed=0)
    first, second = model.layers[0].neurons
    first.w[0].data = second.w[0].data = 0.5
    model.layers[1].neurons[0].w[0].data = 1.0
    model.layers[1].neurons[0].w[1].data = -1.0 + 1e-12
    table = backprop_table(model, [1.0], 0.5)
    assert table.max_difference <= 4 * ULP
    assert table.max_difference == max(
        max(n.difference, n.weights_difference)
        for layer in table.layers
        for n in layer.neurons
    )


# ---- nothing else is touched ---------------------------------------------------------


def test_gradients_of_model_and_point_stay_as_they_were():
    model = MLP(2, [3, 1], "tanh", seed=0)
    x = [Value(0.5), Value(-1.0)]
    t = Value(1.0)
    backprop_table(model, x, t)
    assert not any(p.reached for p in [*model.parameters(), *x, t])
    mse(model(x), t).backward()
    before = [(p.data, p.grad, p.label) for p in [*model.parameters(), *x, t]]
    backprop_table(model, x, t)
    model.draw(x, t, by="grad")
    after = [(p.data, p.grad, p.label) for p in [*model.parameters(), *x, t]]
    assert after == before


def test_loss_may_use_values_and_parameters_of_its_own():
    model = MLP(2, [3, 1], "tanh", seed=0)
    scale = Value(3.0)

    def loss(p, t):
        return scale * mse(p, t) + sum(w * w for w in model.parameters())

    table = backprop_table(model, [0.5, 1.0], 1.0, loss)
    plain = backprop_table(model, [0.5, 1.0], 1.0)
    assert type(table.loss) is float
    assert table.layers[0].neurons[0].delta == pytest.approx(
        3 * plain.layers[0].neurons[0].delta, rel=1e-15
    )
    assert table.max_difference <= 4 * ULP
    assert not any(p.reached for p in [scale, *model.parameters()])


def test_tied_layers_are_told_apart():
    model = MLP(2, [2, 2, 1], "tanh", seed=0)
    model.layers[1] = model.layers[0]
    table = backprop_table(model, [0.5, 1.0], 1.0)
    _, second, first = table.layers
    assert first.neurons[0].delta != second.neurons[0].delta
    assert table.max_difference <= 4 * ULP


# ---- for people to read --------------------------------------------------------------


def test_text_shows_every_number_of_a_small_network():
    model = MLP(2, [3, 1], "tanh", seed=0)
    table = backprop_table(model, [0.5, -1.0], 1.0)
    text = str(table)
    assert text == table.text == repr(table)
    assert "Layer 2 of 2 (linear): δ₂ = ∂L/∂a₂ ⊙ σ′(z₂)" in text
    assert "Layer 1 of 2 (tanh): δ₁ = (W₂ᵀδ₂) ⊙ σ′(z₁)" in text
    assert "∂L/∂W₁ = δ₁ xᵀ and ∂L/∂b₁ = δ₁:" in text
    for layer in table.layers:
        for neuron in layer.neurons:
            shown = [neuron.z, neuron.a, neuron.slope, neuron.arriving, neuron.delta]
            line = "  ".join(f"{number:>9.6g}" for number in shown)
            assert line.split() in [row.split()[1:] for row in text.splitlines()]
            shown = neuron.weights
            assert all(f"{number:.6g}" in text for number in shown)
    assert text.index("Layer 2 of 2") < text.index("Layer 1 of 2")
    assert "more" not in text
    assert text.splitlines()[-1] == (
        "The engine's own adjoints, by backward(), are the same in every bit."
    )


@pytest.mark.parametrize("depth", [1, 3])
def test_arriving_is_the_next_layers_weights_transposed_times_its_deltas(depth):
    model = MLP(3, [4] * depth + [2], "tanh", seed=5)
    table = backprop_table(model, [0.5, -1.0, 2.0], [1.0, 0.0])
    for layer, after in zip(table.layers[1:], table.layers):
        weights = [
            [w.data for w in n.w] for n in model.layers[after.number - 1].neurons
        ]
        for i, neuron in enumerate(layer.neurons):
            products = [w[i] * n.delta for w, n in zip(weights, after.neurons)]
            assert neuron.arriving == pytest.approx(sum(products), rel=1e-14)
            assert neuron.delta == neuron.arriving * neuron.slope
    for neuron, y in zip(table.layers[0].neurons, [1.0, 0.0]):
        assert neuron.arriving == pytest.approx(neuron.a - y, rel=1e-14)


def test_foot_names_where_the_engine_is_furthest():
    class Scaled(Neuron):
        def __call__(self, x):
            return sum(w * 1.5 * a for w, a in zip(self.w, x)) + self.b

    model = MLP(2, [3, 1], "tanh", seed=0)
    model.layers[1].neurons = [Scaled(3, "linear", seed=0)]
    table = backprop_table(model, [1.0, 2.0], 0.5)
    foot = table.text.splitlines()[-1]
    assert foot.startswith(
        "The engine's own adjoints, by backward(), differ by at most "
        f"{table.max_difference:.6g}, relative to the terms added up: "
    )
    found = re.search(r"up: (\S+) is (\S+) here and (\S+) there\.", foot)
    layer = table.layers[1 if "₁" in found[1] else 0]
    numbers = {
        (repr(textbook), repr(engine))
        for n in layer.neurons
        for textbook, engine in [
            (n.delta, n.engine_delta),
            *zip(n.weights, n.engine_weights),
        ]
    }
    assert (found[2], found[3]) in numbers


def test_lines_of_the_text_fit_a_terminal():
    table = backprop_table(MLP(9, [8] * 12 + [1], "tanh", seed=0), [1e-7] * 9, 1.0)
    lines = table.text.splitlines()
    assert max(map(len, lines[:-1])) <= 80


def test_text_has_aligned_columns_and_no_trailing_blanks():
    text = backprop_table(MLP(2, [3, 1], seed=0), [0.5, -1.0], 1.0).text
    assert all(line == line.rstrip() for line in text.splitlines())
    block = text.split("\n\n")[2].splitlines()
    assert len(block) == 2
    assert len({len(line) for line in block}) == 1


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_wide_layers_are_clipped_with_a_count(form):
    table = backprop_table(MLP(64, [32, 1], seed=0), [0.1] * 64, 1.0)
    shown = getattr(table, form)
    assert f"… and {32 - MOST_NEURONS} more neurons" in shown
    assert f"… and {64 - MOST_WEIGHTS} more weights of each neuron" in shown
    assert len(shown) < 10_000
    assert len(table.layers[1].neurons) == 32


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_many_layers_are_clipped_with_a_count(form):
    table = backprop_table(MLP(1, [2] * 50 + [1], "tanh", seed=0), [0.1], 1.0)
    shown = getattr(table, form)
    assert f"… and {51 - NEAR_OUTPUT - NEAR_INPUT} more layers" in shown
    assert "Layer 51 of 51" in shown and "Layer 1 of 51" in shown


def test_markdown_is_tables_of_equal_width():
    table = backprop_table(MLP(2, [3, 1], "tanh", seed=0), [0.5, -1.0], 1.0)
    assert table._repr_markdown_() == table.markdown
    assert r"$\delta_{1} = (W_{2}^\top \delta_{2}) \odot \sigma'(z_{1})$" in (
        table.markdown
    )
    blocks = [b for b in table.markdown.split("\n\n") if b.startswith("|")]
    assert len(blocks) == 4
    for block in blocks:
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_html_is_well_formed_with_a_table_row_for_each_neuron():
    table = backprop_table(MLP(2, [3, 1], "tanh", seed=0), [0.5, -1.0], 1.0)
    root = ET.fromstring(table.html)
    bodies = [len(list(body)) for body in root.iter("tbody")]
    assert bodies == [1, 1, 3, 3]


@pytest.mark.parametrize(
    "name", ["</script><b>", "a|b", "x\ny", "`$\\x$`", "\u202eevil", "n" * 10_000]
)
def test_hostile_activation_name_stays_text(name):
    row = Primitive(name, lambda x: 2 * x, 2.0)
    table = backprop_table(MLP(1, [1, 1], row, seed=0), [1.0], 0.0)
    shown = re.search(r"Layer 1 of 2 \(([\w.? ]{1,24})\)", table.text)
    assert shown
    ET.fromstring(table.html)
    for form in (table.text, table.markdown, table.html):
        assert shown[1] in form
    ET.fromstring(MLP(1, [1, 1], row, seed=0).draw([1.0]).svg())


# ---- what is refused -----------------------------------------------------------------


@pytest.mark.parametrize("model", [None, 3.0, Neuron(2), Module(), "MLP"])
def test_only_an_mlp_has_a_table(model):
    with pytest.raises(TypeError, match="backprop_table: model must be an MLP"):
        backprop_table(model, [1.0, 2.0], 0.0)


def test_mlp_with_foreign_layers_is_refused():
    model = MLP(2, [2, 1], seed=0)
    model.layers[0] = lambda x: x
    with pytest.raises(TypeError, match="must be an MLP of Layers"):
        backprop_table(model, [1.0, 2.0], 0.0)


def test_wrong_features_and_losses_are_refused_by_name():
    model = MLP(2, [2, 2], seed=0)
    with pytest.raises(ValueError, match=r"x must have 2 feature\(s\), but has 3"):
        backprop_table(model, [1.0, 2.0, 3.0], [0.0, 0.0])
    with pytest.raises(TypeError, match="x must be a list of 2"):
        backprop_table(model, 1.0, [0.0, 0.0])
    with pytest.raises(TypeError, match="loss must give one number, but gives list"):
        backprop_table(model, [1.0, 2.0], 0.0, lambda p, t: p)
    with pytest.raises(ValueError, match="mse: each point must have as many targets"):
        backprop_table(model, [1.0, 2.0], 0.0)
    assert not any(p.reached for p in model.parameters())


# ---- the network as a picture --------------------------------------------------------

SVG = "{http://www.w3.org/2000/svg}"


def words(drawing):
    return [text.text for text in ET.fromstring(drawing.svg()).iter(f"{SVG}text")]


def lines(drawing):
    return list(ET.fromstring(drawing.svg()).iter(f"{SVG}line"))


def test_model_draws_itself_with_its_weights():
    model = MLP(2, [3, 1], "tanh", seed=0)
    picture = draw(model)
    assert picture.svg() == model.draw().svg()
    assert len(lines(picture)) == 9
    shown = words(picture)
    assert all(f"{p.data:.6g}" in shown for p in model.parameters())
    assert shown.count("tanh") == 3 and shown.count("linear") == 1
    assert "z" not in shown and "a" not in shown and "δ" not in shown


def test_model_drawn_at_a_point_shows_z_a_and_delta():
    model = MLP(2, [3, 1], "tanh", seed=0)
    x = [0.5, -1.0]
    assert "δ" not in words(model.draw(x))
    shown = words(model.draw(x, 1.0))
    for layer in backprop_table(model, x, 1.0).layers:
        for neuron in layer.neurons:
            for number in (neuron.z, neuron.a, neuron.delta):
                assert f"{number:.6g}" in shown
    assert f"{tanh(model.layers[0].neurons[0]([0.5, -1.0]).args[0].data):.6g}" in shown


def test_model_drawn_backward_shows_the_factors_of_delta():
    model, x = MLP(2, [3, 2, 1], "tanh", seed=0), [0.5, -1.0]
    plain = words(model.draw(x, 1.0))
    assert not {"σ′(z)", "Wᵀδ", "∂L/∂a"} & {*plain}
    shown = words(model.draw(x, 1.0, backward=True))
    assert (shown.count("σ′(z)"), shown.count("Wᵀδ"), shown.count("∂L/∂a")) == (6, 5, 1)
    for layer in backprop_table(model, x, 1.0).layers:
        for neuron in layer.neurons:
            assert f"{neuron.slope:.6g}" in shown and f"{neuron.arriving:.6g}" in shown


@pytest.mark.parametrize(
    "nouts, y, loss, targets",
    [
        ([3, 1], 1.0, mse, {"target": "1"}),
        ([3, 2], [0.25, -1.0], mse, {"target 0": "0.25", "target 1": "-1"}),
        ([3, 3], 2, cross_entropy, {"target": "2"}),
        ([8], [0.0] * 8, mse, {}),
    ],
)
def test_outcome_is_a_last_card_with_target_and_loss(nouts, y, loss, targets):
    model, x = MLP(2, nouts, "tanh", seed=0), [0.5, -1.0]
    picture = model.draw(x, y, loss, outcome=True)
    *_, last = ET.fromstring(picture.svg()).iter(f"{SVG}g")
    shown = [text.text for text in last.iter(f"{SVG}text")]
    found = backprop_table(model, x, y, loss).loss
    pairs = [word for pair in targets.items() for word in pair]
    assert shown == ["L", loss.__name__, *pairs, "L", f"{found:.6g}"]
    assert len(lines(picture)) == len(lines(model.draw(x, y, loss))) + nouts[-1]


def test_deep_model_is_drawn_at_its_ends():
    picture = MLP(2, [8] * 50 + [1], "tanh", seed=0).draw([0.5, -1.0], 1.0)
    shown = words(picture)
    assert "47 layers" in shown and "like this" in shown
    headings = [word for word in shown if word and word.startswith("layer ")]
    assert headings == [
        "layer 1 · tanh", "layer 2 · tanh", "layer 50 · tanh", "layer 51 · linear"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["net.svg", "net.png", "net.pdf"])
def test_model_is_saved_by_suffix(tmp_path, name):
    path = tmp_path / name
    assert draw(MLP(2, [3, 1], seed=0)).save(path) == str(path)
    starts = {".svg": b"<svg", ".png": b"\x89PNG", ".pdf": b"%PDF"}
    assert path.read_bytes().startswith(starts[path.suffix])


def test_lines_by_grad_are_those_of_the_point_or_of_the_model():
    model = MLP(2, [3, 1], "tanh", seed=0)
    with pytest.raises(ValueError, match="by='grad' must have gradients"):
        model.draw(by="grad")
    mse(model([0.5, -1.0]), 1.0).backward()
    weights = [w for n in model.layers[0].neurons for w in n.w]
    at_point = words(model.draw([0.5, -1.0], 1.0, by="grad"))
    left_there = words(model.draw(by="grad"))
    for shown in (at_point, left_there):
        assert "∂L/∂w0" in shown
        assert all(f"{w.grad:.6g}" in shown for w in weights)


def test_loss_of_the_picture_is_the_one_given():
    model = MLP(2, [3, 2], "tanh", seed=0)
    table = backprop_table(model, [0.5, -1.0], 1, cross_entropy)
    shown = words(model.draw([0.5, -1.0], 1, cross_entropy))
    assert f"{table.layers[0].neurons[1].delta:.6g}" in shown


def test_inputs_bear_their_labels():
    shown = words(MLP(2, [1], seed=0).draw([Value(1.0, "height"), 2.0]))
    assert "height" in shown and "x[1]" in shown
    assert {"x[0]", "x[1]"} <= {*words(MLP(2, [1], seed=0).draw())}


def test_large_model_is_drawn_in_part_and_says_so():
    picture = MLP(784, [128, 10], seed=0).draw()
    assert "… 720 more" in words(picture) and "… 64 more" in words(picture)
    assert "not drawn are 784 more" in picture.description
    assert len(lines(picture)) == 64 * 64 + 64 * 10


def test_impossible_requests_for_a_picture_are_refused():
    model = MLP(2, [3, 1], seed=0)
    with pytest.raises(ValueError, match="MLP.draw: by must be 'weight' or 'grad'"):
        model.draw(by="colour")
    with pytest.raises(ValueError, match="MLP.draw: x must be given where y is"):
        model.draw(y=1.0)
    for option in ("backward", "outcome"):
        with pytest.raises(ValueError, match="MLP.draw: y must be given with backward"):
            model.draw([1.0, 2.0], **{option: True})
    with pytest.raises(ValueError, match=r"x must have 2 feature\(s\), but has 1"):
        model.draw([1.0])
