"""The player of networks: what it says of each neuron, and its page in Chromium."""

from __future__ import annotations

import re
from typing import Any

import pytest

from autograd import Primitive, Value, player
from autograd.show.player.network.cast import (
    MOST_LAYERS,
    MOST_NEURONS,
    Cast,
    kept_layers,
)
from autograd.show.player.player import Player
from nn import MLP, backprop_table, binary_cross_entropy, cross_entropy, hinge, mse

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1200, "height": 800}


def xor() -> tuple[MLP, list[float], float]:
    """The README's."""
    return MLP(2, [8, 8, 1], activation="tanh", seed=0), [1.0, 0.0], 1.0


def text(played: Player) -> str:
    return "\n".join(
        "\n".join([step.head, *(" ".join(line) for line in step.lines)])
        for step in played.steps
    )


PROBLEMS: dict[str, tuple[MLP, list[float], Any, Any]] = {
    "xor": (*xor(), mse),
    "one neuron": (MLP(1, [1], "relu", seed=1), [2.0], 0.5, mse),
    "several outputs": (MLP(3, [4, 3], "sigmoid", seed=2), [0.1, -2.0, 1.0], 2, None),
    "relu": (MLP(2, [5, 5, 5, 1], "relu", seed=3), [1.0, -1.0], 1.0, hinge),
    "logits": (MLP(2, [3, 1], "gelu", seed=4), [1.0, -1.0], 1.0, binary_cross_entropy),
    "wide": (MLP(30, [20, 12], "tanh", seed=5), [0.1] * 30, 3, cross_entropy),
    "deep": (MLP(2, [3] * 50 + [1], "tanh", seed=6), [0.5, -1.0], 1.0, mse),
}


def played(name: str) -> Player:
    model, x, y, loss = PROBLEMS[name]
    return player(model, x, y, loss=loss or cross_entropy)


# ---- what is said --------------------------------------------------------------------


def test_small_network_is_told_neuron_by_neuron() -> None:
    model = MLP(1, [2, 1], "tanh", seed=0)
    numbers = [0.5, 0.25, -1.0, 0.0, 2.0, -3.0, 0.125]
    for p, number in zip(model.parameters(), numbers):
        p.data = number
    said = text(player(model, [2.0], 1.0))
    for line in [
        "Forward 1 of 4: layer 1, neuron 0",
        "z₁[0] = W₁[0,0]·x + b₁[0] = 0.5·2 + 0.25 = 1.25",
        "a₁[0] = tanh(z₁[0]) = tanh(1.25) = 0.848284",
        "z₁[1] = W₁[1,0]·x + b₁[1] = (-1)·2 + 0 = -2",
        "z₂ = W₂[0,0]·a₁[0] + W₂[0,1]·a₁[1] + b₂ "
        "= 2·0.848284 + (-3)·(-0.964028) + 0.125 = 4.71365",
        "a₂ = z₂ = 4.71365",
        "L = mse(a₂, t) = mse(4.71365, 1) = 13.7912",
        "∂L/∂a₂, the loss's own slope, = 7.4273",
        "δ₂ = ∂L/∂a₂ = 7.4273",
        "∂L/∂W₂[0,0] = δ₂·a₁[0] = 7.4273·0.848284 = 6.30046",
        "∂L/∂a₁[0] = W₂[0,0]·δ₂ = 2·7.4273 = 14.8546",
        "δ₁[0] = ∂L/∂a₁[0] · tanh′(z₁[0]) = 14.8546·0.280415 = 4.16545",
        "∂L/∂W₁[0,0] = δ₁[0]·x = 4.16545·2 = 8.3309",
        "∂L/∂b₁[0] = δ₁[0] = 4.16545",
    ]:
        assert f"\n{line}\n" in f"\n{said}\n", line


@pytest.mark.parametrize("name", ["xor", "one neuron", "relu", "logits"])
def test_every_number_of_the_engine_is_said(name: str) -> None:
    model, x, y, loss = PROBLEMS[name]
    said = text(played(name))
    found = loss(model(x), y)
    model.zero_grad()
    found.backward()
    assert f"= {found.data:.6g}\n" in said
    for c, layer in enumerate(model.layers, start=1):
        sub = str(c).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
        for k, neuron in enumerate(layer.neurons):
            place = f"[{k}]" if len(layer.neurons) > 1 else ""
            slope = f"∂L/∂b{sub}{place} = δ{sub}{place} = {neuron.b.grad + 0.0:.6g}"
            assert slope in said
            for i, w in enumerate(neuron.w[:4]):
                pattern = rf"∂L/∂W{sub}\[{k},{i}\] = .* [=≈] (\S+)\n"
                assert re.search(pattern, said)[1] == f"{w.grad + 0.0:.6g}"
    model.zero_grad()


def numbers_of(line: str) -> tuple[float, str, float] | None:
    """What the terms before the last sign add up to, that sign, and what follows."""
    parts = re.fullmatch(r".* = ([-\d.e+()· ]+) ([=≈]) (\S+)", line)
    if parts is None or "…" in line:
        return None
    terms = [
        [float(factor.strip("()")) for factor in term.split("·")]
        for term in parts[1].split(" + ")
    ]
    total = 0.0
    for factors in terms:
        product = 1.0
        for factor in factors:
            product *= factor
        total += product
    return total, parts[2], float(parts[3])


@pytest.mark.parametrize("name", PROBLEMS)
def test_printed_terms_give_the_printed_result_or_the_sign_says_so(name: str) -> None:
    checked = 0
    for line in text(played(name)).splitlines():
        found = numbers_of(line)
        if found:
            total, sign, result = found
            assert (f"{total + 0.0:.6g}" == f"{result:.6g}") == (sign == "="), line
            assert total == pytest.approx(result, rel=2e-3, abs=1e-4)
            checked += 1
    assert checked > 2


def test_relu_that_is_off_lets_nothing_back() -> None:
    model = MLP(1, [1, 1], "relu", seed=0)
    model.layers[0].neurons[0].w[0].data = -1.0
    said = text(player(model, [1.0], 1.0))
    assert "δ₁ = ∂L/∂a₁ · relu′(z₁) = 0: here it lets nothing back" in said


def test_inputs_bear_their_labels_and_get_what_a_layer_before_would() -> None:
    x = [Value(0.5, label="height"), Value(-1.0)]
    model = MLP(2, [2, 1], "tanh", seed=26)
    said = text(player(model, x, 1.0))
    mse(model(x), 1.0).backward()
    assert "height = 0.5\nx[1] = -1\ntarget t = 1" in said
    for name, value in (("height", x[0]), ("x[1]", x[1])):
        assert re.search(rf"∂L/∂{re.escape(name)} = .* [=≈] {value.grad:.6g}\n", said)


def test_layers_and_neurons_that_are_too_many_are_counted() -> None:
    assert kept_layers(MOST_LAYERS) == [*range(1, MOST_LAYERS + 1)]
    assert kept_layers(9) == [1, 2, range(3, 8), 8, 9]
    said = text(played("deep"))
    assert "layers 3 to 49 in the same way\na₃ … a₄₉: 47 layers like this" in said
    assert "δ₄₉ … δ₃: 47 layers like this" in said
    wide = text(played("wide"))
    assert f"layer 1, neurons {MOST_NEURONS - 1} to 19 in the same way" in wide
    assert "… and 25 more\ntarget t = 3" in wide


def test_it_leaves_model_and_point_as_they_were() -> None:
    model, x, y = xor()
    point = [Value(number) for number in x]
    player(model, point, y)
    assert not any(p.reached for p in [*model.parameters(), *point])


# ---- what is refused -----------------------------------------------------------------


def test_wrong_calls_are_refused_by_name() -> None:
    model, x, y = xor()
    with pytest.raises(TypeError, match=r"^player: x and y must be given .*; write "):
        player(model)
    with pytest.raises(TypeError, match=r"^player: a Value must be alone.*; write pla"):
        player(Value(1.0), x, y)
    with pytest.raises(
        ValueError, match=r"^player: x must have 2 feature\(s\), but has 3"
    ):
        player(model, [1.0, 2.0, 3.0], y)
    with pytest.raises(TypeError, match=r"loss must give one number"):
        player(model, x, y, loss=lambda p, t: None)
    with pytest.raises(TypeError, match=r"^player: y must be a Value, .* network"):
        player("model", x, y)


def test_anything_may_say_how_it_is_played() -> None:
    model, x, y = xor()

    class Mine:
        def _play_(self, *args: Any, **options: Any) -> Any:
            return model._play_(*args, **options)

    assert text(player(Mine(), x, y)) == text(player(model, x, y))


# ---- the drawing ---------------------------------------------------------------------


def test_edges_lead_between_neighbouring_columns_that_are_shown() -> None:
    model, x, y, _ = PROBLEMS["deep"]
    cast = Cast(model._play_(x, y))
    assert len(cast.cards) == 2 + 3 + 3 + 3 + 1
    pairs = [(layer - 1, layer) for layer, _, _ in cast.edges]
    assert {*pairs} == {(0, 1), (1, 2), (50, 51), (51, 52)}
    assert len(cast.edges) == 6 + 9 + 3 + 1


@pytest.mark.parametrize("name", PROBLEMS)
def test_page_is_small_and_refers_to_nothing_outside(name: str) -> None:
    page = played(name).html
    assert len(page.encode()) < 200_000
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert not re.findall(r"\w+://|@import|url\(", page)
    assert page == played(name).html


def test_hostile_names_stay_text(open_page: Any) -> None:
    name = "</script><script>document.title='owned'</script>"
    row = Primitive(name, lambda x: 2 * x, 2.0)
    model = MLP(1, [1, 1], row, seed=0)
    found = player(model, [Value(1.0, label=name)], 0.0)
    assert found.html.count("<script") == 2
    tab = open_page(found.html, "#step=1")
    assert tab.title() != "owned"
    open_page(found.animated_svg())


# ---- the page in a browser -----------------------------------------------------------


def step_of(tab: Any) -> str:
    return str(tab.locator("#count").inner_text())


@pytest.mark.parametrize("name", ["xor", "several outputs", "wide", "deep"])
def test_page_stepped_to_its_end_shows_every_step_and_the_engines_numbers(
    open_page: Any, name: str
) -> None:
    found = played(name)
    tab, last = open_page(found.html), len(found.steps) - 1
    for i, step in enumerate(found.steps):
        assert step_of(tab) == f"{i} / {last}"
        said = tab.locator("#panel p").all_inner_texts()
        assert said == [step.head, *(" ".join(line) for line in step.lines)]
        assert tab.locator(".card.lit").count() == (step.card is not None)
        assert tab.locator(".arrow.lit").count() == len(step.arrows)
        if i < last:
            tab.locator("#next").click()
    model, x, y, loss = PROBLEMS[name]
    table = backprop_table(model, x, y, loss or cross_entropy)
    shown = tab.locator(".card.op").evaluate_all(
        "cards => cards.map(card => [card.dataset.value, card.dataset.adjoint,"
        "card.querySelector('.value').textContent,"
        "card.querySelector('.adjoint').textContent])"
    )
    rows = [
        row
        for layer in reversed(table.layers)
        if len(table.layers) < 9 or layer.number in (1, 2, 50, 51)
        for row in layer.neurons[: 9 if len(layer.neurons) > 10 else 10]
    ]
    assert shown == [
        [
            repr(row.a),
            repr(row.engine_delta),
            f"{row.a + 0.0:.3g}",
            f"{row.engine_delta:.3g}",
        ]
        for row in rows
    ]


def test_keys_buttons_slider_and_play_move_it(open_page: Any) -> None:
    tab = open_page(played("one neuron").html)
    last = len(played("one neuron").steps) - 1
    tab.keyboard.press("ArrowRight")
    assert step_of(tab) == f"1 / {last}"
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("End")
    assert step_of(tab) == f"{last} / {last}" and tab.locator("#last").is_disabled()
    tab.locator("#back").click()
    tab.locator("#first").click()
    assert step_of(tab) == f"0 / {last}"
    tab.locator("#slider").fill("3")
    assert step_of(tab) == f"3 / {last}"
    tab.locator("#last").click()
    tab.keyboard.press("Home")
    tab.locator("#play").click()
    tab.locator("#count").filter(has_text=f"1 / {last}").wait_for()
    tab.locator("#play").click()
    assert tab.locator("#play").inner_text() == "Play"


def visible_tips(tab: Any) -> set[str]:
    found = tab.locator(".arrow.lit polygon").evaluate_all(
        "all => all.filter(x => getComputedStyle(x).visibility === 'visible')"
        ".map(x => x.getAttribute('class'))"
    )
    return {*found}


def test_arrowheads_point_the_way_things_flow(open_page: Any) -> None:
    found = played("xor")
    heads = [step.head for step in found.steps]
    forward = heads.index("Forward 9 of 18: layer 2, neuron 0")
    back = heads.index("Backward 10 of 35: layer 2, neuron 7, its error δ")
    tab = open_page(found.html, f"#step={forward}")
    assert visible_tips(tab) == {"onward"}
    tab = open_page(found.html, f"#step={back}")
    assert visible_tips(tab) == {"backward"}


@pytest.mark.parametrize("viewport, letter", [(DESK, 13.0), (PHONE, 10.6)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readmes_network_fits_with_letters_one_can_read(
    open_page: Any, viewport: dict[str, int], letter: float, scheme: str
) -> None:
    tab = open_page(played("xor").html, viewport=viewport, color_scheme=scheme)
    for step in range(0, 56, 5):
        tab.locator("#slider").fill(str(step))
        scene = tab.locator("#scene").bounding_box()
        drawing = tab.locator("#scene svg").bounding_box()
        for key, size in (("x", "width"), ("y", "height")):
            assert scene[key] <= drawing[key] + 1
            assert drawing[key] + drawing[size] <= scene[key] + scene[size] + 1
    scale = tab.evaluate("document.querySelector('#scene svg').getScreenCTM().a")
    size = tab.locator(".card .value").first.evaluate(
        "text => parseFloat(getComputedStyle(text).fontSize)"
    )
    assert scale * size >= letter
    assert tab.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert tab.evaluate("document.body.scrollHeight") <= viewport["height"]


@pytest.mark.parametrize("name", ["deep", "wide"])
@pytest.mark.parametrize("viewport", [DESK, PHONE])
def test_lit_card_of_a_large_network_is_in_sight(
    open_page: Any, name: str, viewport: dict[str, int]
) -> None:
    found = played(name)
    tab = open_page(found.html, viewport=viewport)
    for step in range(0, len(found.steps), 7):
        tab.locator("#slider").fill(str(step))
        if found.steps[step].card is not None:
            scene = tab.locator("#scene").bounding_box()
            card = tab.locator(".card.lit .box").bounding_box()
            assert scene["x"] - 1 <= card["x"]
            assert card["x"] + card["width"] <= scene["x"] + scene["width"] + 1
            assert scene["y"] - 1 <= card["y"]
            assert card["y"] + card["height"] <= scene["y"] + scene["height"] + 1


@pytest.mark.parametrize("name", ["xor", "deep", "several outputs"])
def test_whole_network_is_printed(open_page: Any, name: str) -> None:
    tab = open_page(played(name).html, "#step=9", viewport=PHONE)
    tab.emulate_media(media="print")
    scene = tab.locator("#scene").bounding_box()
    drawing = tab.locator("#scene svg").bounding_box()
    assert drawing["width"] <= scene["width"] + 1
    assert drawing["height"] <= scene["height"] + 1


@pytest.mark.parametrize("name", PROBLEMS)
def test_numbers_stay_inside_their_cards(open_page: Any, name: str) -> None:
    tab = open_page(played(name).html, f"#step={len(played(name).steps) - 1}")
    outside = tab.locator(".card").evaluate_all(
        """cards => cards.flatMap(card => {
            const box = card.querySelector(".box").getBoundingClientRect();
            return [...card.querySelectorAll("text")].filter(text => {
                const { left, right } = text.getBoundingClientRect();
                return left < box.left || right > box.right;
            }).map(text => text.textContent);
        })"""
    )
    assert outside == []


def test_frame_in_a_notebook_plays_a_network(open_page: Any) -> None:
    tab = open_page(f"<p>A cell</p>{played('xor')._repr_html_()}")
    frame = tab.frame_locator("iframe")
    frame.locator("#next").click()
    assert frame.locator("#count").inner_text() == "1 / 55"
    assert "z₁[0]" in frame.locator("#panel").inner_text()
    assert tab.frames[1].evaluate("document.body.scrollHeight <= innerHeight")
