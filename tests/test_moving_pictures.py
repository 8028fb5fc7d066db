"""The moving pictures of README and notebook 1: made anew, they are what is kept.

`python tests/test_moving_pictures.py` writes both from what the engine computes.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autograd import Value, exp, player, sin
from autograd.show.player.network.animated import MOST_LAYERS, MOST_NEURONS
from autograd.show.player.network.words import number, product
from nn import MLP, backprop_table, binary_cross_entropy, cross_entropy, mse

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
POINT, TARGET = [0.5, -1.0], 1.0


def chain() -> str:
    x = Value(1.5, label="x")
    y = exp(sin(x**2))
    y.label = "y"
    return player(y).animated_svg()


def model() -> MLP:
    """The 2-2-1 net of the README."""
    return MLP(2, [2, 1], "tanh", seed=26)


def network() -> str:
    return player(model(), POINT, TARGET).animated_svg()


KEPT: dict[str, Callable[[], str]] = {
    "chain_rule_animated.svg": chain,
    "network_animated.svg": network,
}


def words(svg: str) -> list[str]:
    """All that is said and when, without places, which depend on Graphviz."""
    found = re.findall(r"<text.*?</text>|@keyframes [^}]*}", svg, re.S)
    return [re.sub(r' [xy]="[^"]*"', "", part) for part in found]


@pytest.mark.parametrize("name", KEPT)
def test_picture_that_is_kept_is_what_the_code_makes(name: str) -> None:
    assert words((NOTEBOOKS / name).read_text("utf-8")) == words(KEPT[name]())


@pytest.mark.parametrize("make", KEPT.values())
def test_picture_is_small_has_no_script_and_asks_for_nothing(make: Any) -> None:
    svg = make()
    assert len(svg.encode()) < 40_000
    tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(svg).iter()}
    assert tags <= {
        "svg", "title", "desc", "style", "rect", "g", "path", "polygon", "text", "tspan"
    }  # fmt: skip
    assert "prefers-color-scheme: dark" in svg and "prefers-reduced-motion" in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")


# ---- its numbers ---------------------------------------------------------------------


def spoken(svg: str) -> list[str]:
    return ["".join(text.itertext()) for text in texts(svg)]


def texts(svg: str) -> Iterator[ET.Element]:
    return ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")


@pytest.mark.parametrize(
    "sizes, x, y, loss",
    [
        ([2, 1], [0.5, -1.0], 1.0, mse),
        ([3, 2, 1], [1.0, 2.0], 0.0, mse),
        ([4, 3], [1.0, -2.0, 0.5], 2, cross_entropy),
        ([2, 2, 2, 1], [0.3], 1.0, binary_cross_entropy),
    ],
)
def test_every_number_of_the_engine_is_in_the_picture(
    sizes: list[int], x: list[float], y: float, loss: Any
) -> None:
    net = MLP(len(x), sizes, "tanh", seed=3)
    said = spoken(player(net, x, y, loss=loss).animated_svg())
    bars = [Value(number) for number in x]
    found = loss(net(bars), y)
    found.backward()
    for p in net.parameters():
        if not (p.label or "").endswith("b"):
            assert f"× {number(p.data)}" in said
        else:
            assert number(p.grad) in said  # δ
    assert number(found.data) in said
    for bar in bars:  # where the errors meet
        assert number(bar.grad) in said and number(bar.data) in said
    for layer in backprop_table(net, x, y, loss).layers:
        for neuron in layer.neurons:
            assert {number(neuron.z), number(neuron.a)} <= {*said}


def test_numbers_that_run_are_the_activation_then_its_product_with_the_weight() -> None:
    net = model()
    tokens = [
        "".join(group.itertext())
        for group in ET.fromstring(network()).iter("{http://www.w3.org/2000/svg}g")
        if group.get("class", "").startswith("token")
    ]
    (first, second), (output,) = (layer.neurons for layer in net.layers)
    deltas = [
        n.engine_delta for n in backprop_table(net, POINT, TARGET).layers[1].neurons
    ]
    delta = backprop_table(net, POINT, TARGET).layers[0].neurons[0].engine_delta
    a = [n(POINT).data for n in (first, second)]
    expected = []
    for n in (first, second):
        for i, x in enumerate(POINT):
            expected += [x, x * n.w[i].data]
    for i, x in enumerate(a):
        expected += [x, x * output.w[i].data]
    for w in output.w:
        expected += [delta, delta * w.data]
    for n, d in zip((first, second), deltas):
        for w in n.w:
            expected += [d, d * w.data]
    assert tokens == [number(x) for x in expected]


def test_product_says_when_three_digits_do_not_give_it() -> None:
    assert product([2.0, -3.0], -6.0) == "2 · (-3) = -6"
    assert product([1.2548, 4.7856], 1.2548 * 4.7856) == "1.25 · 4.79 ≈ 6"


def test_network_too_large_to_follow_is_refused_with_a_remedy() -> None:
    for sizes in ([MOST_NEURONS + 1, 1], [2] * MOST_LAYERS + [1]):
        played = player(MLP(2, sizes, seed=0), POINT, TARGET)
        with pytest.raises(ValueError, match=r"player: animated_svg takes .*; write "):
            played.animated_svg()


# ---- in a browser --------------------------------------------------------------------


def open_svg(browser: Any, svg: str, motion: str, **options: Any) -> Any:
    tab = browser.new_context(reduced_motion=motion, **options).new_page()
    tab.set_content(f"<body style='margin:0'>{svg}</body>")
    return tab


def at(tab: Any, second: float) -> Any:
    tab.evaluate(
        "time => document.getAnimations().forEach(animation => {"
        "animation.pause(); animation.currentTime = time; })",
        1000 * second,
    )
    return tab


def seen(tab: Any, what: str) -> list[str]:
    """The texts of what is not transparent."""
    found = tab.locator(what).evaluate_all(
        """all => all.filter(element => {
            for (let at = element; at instanceof SVGElement; at = at.parentNode)
                if (getComputedStyle(at).opacity < 1) return false;
            return true;
        }).map(x => x.textContent)"""
    )
    return list(found)


def test_at_rest_all_numbers_and_the_formulas_are_seen(browser: Any) -> None:
    tab = open_svg(browser, network(), "reduce")
    assert tab.evaluate("document.getAnimations().length") == 0
    assert len(seen(tab, ".value")) == 2 * 5 + 2 * 2 + 2 + 2
    assert seen(tab, ".token") == [] and len(seen(tab, ".edge")) == 4 + 2 + 1
    assert seen(tab, ".words text") == [
        "Forward: z₁ = W₁x + b₁; a₁ = tanh(z₁); z₂ = W₂a₁ + b₂",
        "Backward: δ₂ = ∂L/∂z₂; δ₁ = (W₂ᵀδ₂) ⊙ σ′(z₁)",
        "Weights: ∂L/∂W₁ = δ₁xᵀ; ∂L/∂b₁ = δ₁",
    ]


def tips(tab: Any) -> list[float]:
    """How far right of its own line each visible arrowhead stands."""
    found = tab.locator(".edge").evaluate_all(
        """all => all.filter(edge => getComputedStyle(edge).opacity > 0).map(edge => {
            const line = edge.querySelector("path").getBBox();
            const tip = edge.querySelector("polygon").getBBox();
            return tip.x + tip.width / 2 - line.x - line.width / 2;
        })"""
    )
    return [x for x in found if abs(x) > 5]  # not the upright one, to the loss


def test_arrows_point_the_way_numbers_flow(browser: Any) -> None:
    tab = open_svg(browser, network(), "no-preference")
    assert min(tips(at(tab, 1.5))) > 0
    assert max(tips(at(tab, 28.0))) < 0


def test_tokens_run_right_and_then_left(browser: Any) -> None:
    tab = open_svg(browser, network(), "no-preference")
    place = """all => all.filter(token => getComputedStyle(token).opacity > 0)
        .map(token => token.getBoundingClientRect().x)"""

    def run(second: float) -> float:
        """How far the first number that runs gets in a tenth of a second."""
        (before, *_), (after, *_) = (
            at(tab, s).locator(".token").evaluate_all(place)
            for s in (second, second + 0.1)
        )
        return float(after - before)

    assert run(0.8) > 3 and run(14.2) < -3


@pytest.mark.parametrize(
    "second", [0.3, 1.5, 5.0, 9.0, 12.0, 15.0, 18.0, 21.0, 25.0, 30.0]
)
def test_words_and_numbers_stay_inside_the_picture(browser: Any, second: float) -> None:
    tab = at(open_svg(browser, network(), "no-preference"), second)
    outside = tab.locator("text").evaluate_all(
        """all => {
            const page = document.querySelector("svg").getBoundingClientRect();
            return all.filter(text => {
                const { left, right, bottom } = text.getBoundingClientRect();
                return right > page.right - 4 || left < page.left + 4 ||
                    bottom > page.bottom;
            }).map(text => text.textContent);
        }"""
    )
    assert outside == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_are_large_enough_on_a_phone(browser: Any, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, color_scheme=scheme
    )
    tab = context.new_page()
    svg = network().replace("<svg ", "<svg style='max-width:100%;height:auto' ", 1)
    tab.set_content(f"<body style='margin:0 16px'>{svg}</body>")
    heights = tab.locator("text").evaluate_all(
        "all => all.map(text => text.getBoundingClientRect().height)"
    )
    assert min(heights) >= 10.5
    assert tab.evaluate("document.documentElement.scrollWidth") == 390


if __name__ == "__main__":
    for name, make in KEPT.items():
        (NOTEBOOKS / name).write_text(make(), encoding="utf-8")
