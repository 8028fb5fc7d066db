"""The player: what its steps say and add up to, and its page in a real Chromium."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from autograd import Value, dot, exp, relu, sin, sqrt, where
from autograd.show.draw import render
from autograd.show.player.player import Player, player
from autograd.show.player.steps import LIMIT, MOST_LINES
from nn import MLP

PHONE = {"width": 390, "height": 844}
HOSTILE = {
    "script": "</script><script>document.title='owned'</script>",
    "markup": "<img src=x onerror=\"document.title='owned'\">&amp;",
    "quotes": "\"'`${1+1}\\n",
    "bidirectional": "\u202egnp.exe\u2066",
    "separators": "a\u2028b\u2029c\x00\x1b",
    "surrogate": "\ud800",
    "long": "x" * 10_000,
}


def chain() -> tuple[Value, Value]:
    x = Value(1.5, label="x")
    y = exp(sin(x**2))
    y.label = "y"
    return x, y


def network() -> Value:
    """MLP(2, [3, 1]) with a loss: the size that is promised to fit."""
    model = MLP(2, [3, 1], activation="tanh", seed=1)
    features = [Value(1.0, label="x1"), Value(-2.0, label="x2")]
    loss = (model(features) - 1.0) ** 2
    loss.label = "loss"
    return loss


def everything(y: Value) -> list[Value]:
    """Every Value under y."""
    seen, todo = {y: None}, [y]
    while todo:
        new = [x for x in todo.pop().args if isinstance(x, Value) and x not in seen]
        seen |= dict.fromkeys(new)
        todo += new
    return list(seen)


def text(played: Player) -> str:
    return "\n".join(
        "\n".join([step.head, *(" ".join(line) for line in step.lines)])
        for step in played.steps
    )


def last_adjoints(played: Player) -> dict[int, float]:
    """The adjoint of each card once all steps are done."""
    return {i: x for step in played.steps for i, x in step.adjoints}


def pairs(values: list[float], adjoints: list[float | None]) -> list[tuple[str, str]]:
    """Comparable cards: bit for bit, in any order."""
    return sorted(
        (repr(value), "" if adjoint is None else repr(adjoint))
        for value, adjoint in zip(values, adjoints)
    )


def engine_pairs(y: Value) -> list[tuple[str, str]]:
    """What the engine's own sweep gives each Value, on a graph not swept before."""
    y.backward()
    nodes = everything(y)
    adjoints = [node.grad if node.reached else None for node in nodes]
    return pairs([node.data for node in nodes], adjoints)


# ---- steps ---------------------------------------------------------------------------


def test_player_says_the_arithmetic_of_every_step() -> None:
    said = text(player(chain()[1]))
    for line in [
        "v = x² = 1.5² = 2.25",
        "u = sin(v) = sin(2.25) = 0.7780732",
        "local derivative du/dv = cos(v) = -0.62817362",
        "y = e^u = e^0.7780732 = 2.177273",
        "y's adjoint = dy/dy = 1",
        "u's adjoint += dy/du · (adjoint of y) = 2.177273 · 1 = 2.177273",
        "v's adjoint += du/dv · (adjoint of u) = (-0.62817362) · 2.177273 = -1.3677055",
        "x's adjoint += dv/dx · (adjoint of v) = 3 · (-1.3677055) = -4.1031165",
        "dy/dx = dy/du · du/dv · dv/dx = 2.177273 · (-0.62817362) · 3 = -4.1031165",
    ]:
        assert f"\n{line}\n" in f"{said}\n"


def test_player_goes_forward_through_all_operations_and_then_backward() -> None:
    steps = player(chain()[1]).steps
    heads = [step.head.split(":")[0].split(" begins")[0] for step in steps]
    assert heads == [
        "Start", "Forward 1 of 3", "Forward 2 of 3", "Forward 3 of 3",
        "Backward", "Backward 1 of 3", "Backward 2 of 3", "Backward 3 of 3", "Done",
    ]  # fmt: skip
    lit = [step.card for step in steps]
    assert lit == [None, 1, 2, 3, 3, 3, 2, 1, None]


def several_paths() -> Value:
    x, a = Value(0.7, "x"), Value(-1.3, "a")
    return (x * x - a * x).sin() * x + relu(a) + dot([x, a, x], [a, a, 2.0])


def with_a_branch_left_out() -> Value:
    x, z = Value(0.5, "x"), Value(0.0, "z")
    return where(1.0 < 2.0, x * 3, sqrt(z)) * x


@pytest.mark.parametrize(
    "build", [lambda: chain()[1], network, several_paths, with_a_branch_left_out]
)
def test_player_ends_with_the_adjoints_of_the_engine(build: Any) -> None:
    y = build()
    played = player(y)
    adjoints = last_adjoints(played)
    values = [card.values[0] for card in played.scene.picture.cards]
    found = [adjoints.get(i) for i in range(len(values))]
    assert pairs(values, found) == engine_pairs(y)


def test_player_leaves_every_grad_as_it_was() -> None:
    x, y = chain()
    fresh = player(y).html
    y.backward()
    before = [(node.grad, node.reached) for node in everything(y)]
    played = player(y)
    assert played.html == fresh and played.animated_svg()
    assert [(node.grad, node.reached) for node in everything(y)] == before
    assert last_adjoints(played)[0] == x.grad  # not added to what was there


def test_player_counts_the_contributions_to_a_shared_operand() -> None:
    x = Value(3.0, "x")
    said = text(player(x * x))
    assert "dy/dx by operand 1 · (adjoint of y) = 3 · 1 = 3 (1 of 2; so far 3)" in said
    assert "dy/dx by operand 2 · (adjoint of y) = 3 · 1 = 3 (2 of 2; in all 6)" in said


def test_player_does_not_turn_equal_numbers_into_a_square() -> None:
    said = text(player(Value(3.0, "a") * Value(3.0, "b")))
    assert "y = a·b = 3·3 = 9" in said


@pytest.mark.parametrize(
    "y, line",
    [
        (Value(-2.0, "a").tanh(), "y = tanh(a) = tanh(-2) = -0.96402758"),
        (abs(Value(-2.0, "a")), "y = |a| = |-2| = 2"),
        (3 - Value(-2.0, "a"), "y = 3 - a = 3 - (-2) = 5"),
        (dot([Value(2.0, "a")], [-4.0]), "y = a·(-4) = 2·(-4) = -8"),
    ],
)
def test_player_puts_brackets_where_a_person_would(y: Value, line: str) -> None:
    assert f"\n{line}\n" in text(player(y))


def test_player_says_what_a_select_left_out() -> None:
    said = text(player(with_a_branch_left_out()))
    assert "left out: nothing flows back to it" in said
    assert "∂y/∂z = 0: every way back was left out" in said


def test_player_names_a_neurons_parameters_by_themselves() -> None:
    said = text(player(network()))
    assert "in layer 1, neuron 0\nc = w0·x1 + w1·x2 = " in said


def test_player_counts_lines_that_are_too_many() -> None:
    y = dot([Value(float(i)) for i in range(20)], [1.0] * 20)
    step = player(y).steps[-2]
    assert len(step.lines) == MOST_LINES
    assert step.lines[-1] == ["… and 13 more"]


def test_player_plays_a_leaf_and_a_number_that_is_not_finite() -> None:
    assert "\nx's adjoint = dx/dx = 1\n" in text(player(Value(2.0, "x")))
    played = player(Value(-1.0, "x").log())
    assert "= nan · 1 = nan" in text(played)
    assert "NaN" not in played.html and '"nan"' in played.html


# ---- what is refused -----------------------------------------------------------------


@pytest.mark.parametrize("y", [1.5, None, "y", [Value(1.0)]])
def test_player_refuses_anything_but_a_value(y: Any) -> None:
    with pytest.raises(TypeError, match=r"^player: y must be a Value, but is .*; comp"):
        player(y)


def test_player_refuses_a_graph_too_large_to_watch() -> None:
    y = Value(0.5)
    for _ in range(LIMIT - 1):
        y = y.sin()
    assert len(player(y).steps) == 2 * LIMIT + 1
    with pytest.raises(ValueError, match=r"^player: y must depend on at most 300 .*; "):
        player(y.sin())


def test_player_refuses_more_operands_than_it_can_draw() -> None:
    x = Value(2.0)
    with pytest.raises(
        ValueError, match=r"^player: .* operands\), but depends on more"
    ):
        player(dot([x] * 1000, [x] * 1000))


def test_player_refuses_a_graph_whose_leaf_was_assigned() -> None:
    x, y = chain()
    x.data = 2.0
    with pytest.raises(ValueError, match=r"^player: the graph must be as it was reco"):
        player(y)


def test_player_keeps_the_run_it_was_made_of() -> None:
    x, y = chain()
    played = player(y)
    x.data = 2.0
    assert 'data-value="2.25"' in played.html


def test_save_writes_the_page_and_gives_its_path(tmp_path: Path) -> None:
    played, path = player(chain()[1]), tmp_path / "chain.html"
    assert played.save(path) == os.fspath(path)
    assert path.read_text(encoding="utf-8") == played.html
    assert [entry.name for entry in tmp_path.iterdir()] == ["chain.html"]


def test_save_refuses_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    played = player(chain()[1])
    for write, name in ((played.save, "page.html"), (played.animated_svg, "y.svg")):
        with pytest.raises(OSError, match=r"^player: path must name a file that can "):
            write(tmp_path / "no such folder" / name)


# ---- the page as text ----------------------------------------------------------------


def test_page_is_small_and_refers_to_nothing_outside() -> None:
    page = player(network()).html
    assert len(page.encode()) < 150_000
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert not re.findall(r"\w+://|@import|url\(", page)


def test_page_is_the_same_on_every_run() -> None:
    assert player(chain()[1]).html == player(chain()[1]).html


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_page_keeps_hostile_labels_out_of_its_markup(name: str) -> None:
    x = Value(1.5, label=HOSTILE[name])
    page = player(x.sin()).html
    assert page.count("<script") == 2 and page.count("</script>") == 2
    assert "<img" not in page and "\u202e" not in page and "\u2028" not in page
    assert len(page.encode("utf-8")) < 40_000
    block = re.search(r'json" id="steps">(.*?)</script>', page, re.S)
    assert block and len(json.loads(block[1])) == 5


def test_notebook_gets_a_sandboxed_frame() -> None:
    played = player(chain()[1])
    frame = played._repr_html_()
    assert frame.count("<") == 7 and 'sandbox="allow-scripts"' in frame
    assert html.unescape(re.search(r'srcdoc="([^"]*)"', frame)[1]) == played.html


def sanitised(text: str) -> str:
    """What JupyterLab leaves of HTML in a notebook that nobody trusts, about."""
    text = re.sub(r"<(style|script)\b.*?</\1>", "", text, flags=re.S)
    return re.sub(r"</?iframe[^>]*>", "", text)


def picture_in(text: str) -> str:
    """The SVG that an <img> has within itself."""
    image = r'<div [^>]*><img [^>]*src="data:image/svg\+xml;base64,([^"]*)"></div>'
    data = re.fullmatch(image, text)
    return base64.b64decode(data[1]).decode()


def test_untrusted_notebook_shows_a_picture_in_place_of_the_frame() -> None:
    moving = picture_in(sanitised(player(chain()[1])._repr_html_()))
    assert "@keyframes" in moving and "2.17727" in moving
    ET.fromstring(moving)
    still = picture_in(sanitised(player(network())._repr_html_()))
    assert "@keyframes" not in still and 'class="card ' in still
    ET.fromstring(still)


def test_trusted_notebook_shows_the_frame_alone(open_page: Any) -> None:
    tab = open_page(f"<body>{player(chain()[1])._repr_html_()}</body>")
    assert tab.locator("img").count() == 0
    assert tab.frame_locator("iframe").locator("#next").is_visible()


def test_page_can_be_laid_out_by_pygraphviz_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("pygraphviz")
    monkeypatch.setattr("graphviz.backend.DOT_BINARY", Path("no-such-dot"))
    assert player(network()).html.count('class="card ') == 28


def test_page_without_a_renderer_names_the_remedies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(render, "_run", lambda *args: None)
    with pytest.raises(RuntimeError, match="install Graphviz .*pip install pygraphviz"):
        player(chain()[1]).html  # noqa: B018


# ---- the SVG that plays by itself ----------------------------------------------------


def test_animated_svg_is_small_has_no_script_and_is_well_formed() -> None:
    svg = player(chain()[1]).animated_svg()
    assert len(svg.encode()) < 40_000
    tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(svg).iter()}
    assert tags <= {
        "svg", "title", "desc", "style", "rect", "g", "path", "polygon", "text", "tspan"
    }  # fmt: skip
    assert "prefers-color-scheme: dark" in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")


def test_animated_svg_is_well_formed_for_hostile_labels() -> None:
    for label in HOSTILE.values():
        ET.fromstring(player(Value(1.5, label=label).sin()).animated_svg())


# ---- the page in a browser -----------------------------------------------------------


def step_of(tab: Any) -> str:
    return str(tab.locator("#count").inner_text())


@pytest.mark.parametrize(
    "build", [lambda: chain()[1], network, several_paths, with_a_branch_left_out]
)
def test_page_clicked_to_its_end_shows_the_numbers_of_the_engine(
    open_page: Any, build: Any
) -> None:
    y = build()
    played = player(y)
    tab, last = open_page(played.html), len(played.steps) - 1
    for i, step in enumerate(played.steps):
        assert step_of(tab) == f"{i} / {last}"
        said = tab.locator("#panel p").all_inner_texts()
        assert said == [step.head, *(" ".join(line) for line in step.lines)]
        assert tab.locator(".card.lit").count() == (step.card is not None)
        assert tab.locator(".arrow.lit").count() == len(step.arrows)
        if i < last:
            tab.locator("#next").click()
    assert tab.locator("#next").is_disabled()
    shown = tab.locator(".card").evaluate_all(
        "cards => cards.map(card => [card.dataset.value, card.dataset.adjoint,"
        "card.querySelector('.value').textContent,"
        "card.querySelector('.adjoint').textContent])"
    )
    assert sorted((value, adjoint) for value, adjoint, _, _ in shown) == engine_pairs(y)
    for value, adjoint, short_value, short_adjoint in shown:
        assert short_value == f"{float(value):.6g}"
        assert short_adjoint == (f"{float(adjoint):.6g}" if adjoint else "–")


def test_page_shows_values_forward_and_adjoints_backward(open_page: Any) -> None:
    tab = open_page(player(chain()[1]).html, "#step=2")
    hidden = tab.locator(".card .value").evaluate_all(
        "all => all.map(text => getComputedStyle(text).visibility)"
    )
    assert hidden == ["visible", "visible", "visible", "hidden"]
    assert tab.locator(".adjoint").all_text_contents() == ["–"] * 4
    tab.goto(tab.url.replace("step=2", "step=6"))
    assert tab.locator(".adjoint").all_text_contents() == [
        "–", "-1.36771", "2.17727", "1"
    ]  # fmt: skip


def test_arrows_point_the_way_things_flow(open_page: Any) -> None:
    """Onward until the adjoint has gone back along them: in page and moving picture."""
    shown = """all => all.filter(tip => getComputedStyle(tip).visibility === "visible")
        .map(tip => tip.getAttribute("class"))"""
    played = player(chain()[1])
    tab = open_page(played.html, "#step=3")
    for step, back in enumerate([0, 0, 1, 2, 3, 3], start=3):
        tips = tab.locator(".arrow polygon").evaluate_all(shown)
        expected = ["onward"] * (3 - back) + ["backward"] * back
        assert tips == expected, step
        tab.keyboard.press("ArrowRight")
    resting = open_page(played.animated_svg())
    found = resting.locator(".arrow polygon").evaluate_all(
        """all => all.filter(tip => getComputedStyle(tip).visibility === "visible" &&
            getComputedStyle(tip.parentNode).opacity > 0)
            .map(tip => tip.getAttribute("class"))"""
    )
    assert found == ["backward"] * 3


def test_page_goes_back_to_where_it_was(open_page: Any) -> None:
    tab = open_page(player(chain()[1]).html)
    before = tab.locator("#scene").inner_html()
    tab.locator("#last").click()
    assert step_of(tab) == "8 / 8"
    tab.locator("#back").click()
    assert step_of(tab) == "7 / 8"
    tab.locator("#first").click()
    assert tab.locator("#scene").inner_html() == before
    assert tab.locator("#back").is_disabled()


@pytest.mark.parametrize("focus", ["body", "#slider", "#scene", "#panel", "#next"])
def test_keys_step_from_wherever_the_focus_is(open_page: Any, focus: str) -> None:
    tab = open_page(player(chain()[1]).html)
    tab.locator(focus).focus()
    for key, expected in [
        ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 8),
        ("ArrowRight", 8), ("ArrowLeft", 7), ("Home", 0), ("ArrowLeft", 0),
    ]:  # fmt: skip
        tab.keyboard.press(key)
        assert step_of(tab) == f"{expected} / 8"
    assert tab.locator("#slider").get_attribute("data-lm-suppress-shortcuts") == "true"


def test_slider_goes_to_its_step(open_page: Any) -> None:
    tab = open_page(player(chain()[1]).html)
    tab.locator("#slider").fill("5")
    assert step_of(tab) == "5 / 8"
    assert "u's adjoint" in tab.locator("#panel").inner_text()
    spoken = tab.locator("#slider").get_attribute("aria-valuetext")
    assert spoken == "5 of 8: Backward 1 of 3"


def test_play_ends_at_the_last_step_and_begins_anew(open_page: Any) -> None:
    tab = open_page(player(chain()[1]).html)
    tab.clock.install(time=0)
    tab.reload()
    tab.clock.pause_at(60)
    button = tab.locator("#play")
    button.click()
    assert button.inner_text() == "Pause"
    tab.clock.run_for(3500)
    assert step_of(tab) == "2 / 8"
    tab.locator("#scene").press(" ")
    tab.clock.run_for(10_000)
    assert (step_of(tab), button.inner_text()) == ("2 / 8", "Play")
    tab.locator("#slider").press(" ")
    tab.clock.run_for(20_000)
    assert (step_of(tab), button.inner_text()) == ("8 / 8", "Play")
    button.click()
    assert step_of(tab) == "0 / 8"


def test_address_names_the_step_and_follows_it(open_page: Any) -> None:
    tab = open_page(player(chain()[1]).html, "#step=4")
    assert step_of(tab) == "4 / 8"
    tab.locator("#next").click()
    tab.wait_for_url("**/page.html#step=5")
    assert tab.locator("#link").get_attribute("href") == "#step=5"
    tab.evaluate("location.hash = '#step=7'")
    tab.wait_for_function("document.getElementById('count').innerText === '7 / 8'")


@pytest.mark.parametrize("address", ["#step=999", "#step=-1", "#step=x", "#other"])
def test_address_of_no_step_opens_the_nearest(open_page: Any, address: str) -> None:
    tab = open_page(player(chain()[1]).html, address)
    assert step_of(tab) == ("8 / 8" if "999" in address else "0 / 8")


def test_frame_in_a_notebook_steps_by_buttons_and_keys(open_page: Any) -> None:
    tab = open_page(f"<p>A cell</p>{player(chain()[1])._repr_html_()}")
    frame = tab.frame_locator("iframe")
    frame.locator("#next").click()
    assert frame.locator("#count").inner_text() == "1 / 8"
    tab.keyboard.press("ArrowRight")
    frame.locator("#slider").press("ArrowRight")
    assert frame.locator("#count").inner_text() == "3 / 8"
    assert "y = e^u" in frame.locator("#panel").inner_text()
    assert not frame.locator("#link").is_visible()
    assert tab.frames[1].evaluate("document.body.scrollHeight <= innerHeight")
    tab.wait_for_timeout(400)  # until the address would be changed


@pytest.mark.parametrize(
    "theme, dark",
    [
        ('data-jp-theme-light="false"', True),
        ('data-jp-theme-light="true"', False),
        ('style="color-scheme: dark"', True),
        ('data-vscode-theme-kind="vscode-dark"', True),
        ('theme="dark"', True),
        ("", False),
    ],
)
def test_frame_is_as_dark_as_the_notebook_around_it(
    open_page: Any, theme: str, dark: bool
) -> None:
    page = f"<body {theme}>{player(chain()[1])._repr_html_()}</body>"
    tab = open_page(page, color_scheme="null")  # as on a machine that is light
    frame = tab.frame_locator("iframe").locator("body")
    colour = frame.evaluate("body => getComputedStyle(body).backgroundColor")
    assert colour == ("rgb(18, 22, 28)" if dark else "rgb(255, 255, 255)")


def test_page_prints_its_whole_drawing(open_page: Any) -> None:
    tab = open_page(player(network()).html, "#step=9", viewport=PHONE)
    tab.emulate_media(media="print")
    scene = tab.locator("#scene").bounding_box()
    drawing = tab.locator("#scene svg").bounding_box()
    assert drawing["width"] <= scene["width"] + 1
    assert drawing["height"] <= scene["height"] + 1
    assert not tab.locator("#play").is_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_labels_are_shown_as_text(open_page: Any, name: str) -> None:
    tab = open_page(player(Value(1.5, label=HOSTILE[name]).sin()).html)
    tab.keyboard.press("End")
    assert step_of(tab) == "4 / 4"
    assert tab.title() != "owned"
    assert tab.locator("img").count() == 0
    head = tab.locator(".card .name").first.text_content()
    start = re.split("[\u2028\u202e\ud800]", HOSTILE[name])[0]
    assert head.startswith(start[:20]) and len(head) <= 24


def test_page_refuses_a_script_that_is_not_its_own(browser: Any) -> None:
    tab = browser.new_page()
    page = player(chain()[1]).html
    tab.set_content(page.replace("</body>", "<script>window.owned = 1</script></body>"))
    assert tab.locator("#count").inner_text() == "0 / 8"
    assert tab.evaluate("window.owned") is None
    tab.close()


@pytest.mark.parametrize("size", [(1440, 900), (820, 1000), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_every_size_and_keeps_the_lit_card_in_sight(
    open_page: Any, size: tuple[int, int], scheme: str
) -> None:
    width, height = size
    viewport = {"width": width, "height": height}
    tab = open_page(player(network()).html, viewport=viewport, color_scheme=scheme)
    for _ in range(29):
        overflow = tab.evaluate(
            "[document.documentElement.scrollWidth, document.body.scrollHeight]"
        )
        assert overflow[0] <= width and overflow[1] <= height
        if tab.locator(".card.lit").count():
            scene = tab.locator("#scene").bounding_box()
            card = tab.locator(".card.lit .box").bounding_box()
            assert scene["x"] <= card["x"] + 1
            assert card["x"] + card["width"] <= scene["x"] + scene["width"] + 1
            assert scene["y"] <= card["y"] + 1
            assert card["y"] + card["height"] <= scene["y"] + scene["height"] + 1
        tab.keyboard.press("ArrowRight")
    dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark == ("rgb(18, 22, 28)" if scheme == "dark" else "rgb(255, 255, 255)")


def test_text_of_cards_stays_inside_them(open_page: Any) -> None:
    tab = open_page(player(network()).html, "#step=28")
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


SEEN = """all => all.filter(element => {
    for (let at = element; at instanceof SVGElement; at = at.parentNode)
        if (getComputedStyle(at).opacity < 1) return false;
    return true;
})"""


def seen(tab: Any, what: str) -> list[str]:
    """The texts that are not transparent."""
    found = tab.locator(what).evaluate_all(
        f"all => ({SEEN})(all).map(x => x.textContent)"
    )
    return list(found)


def test_animated_svg_rests_at_the_end_where_people_ask_for_less_motion(
    open_page: Any,
) -> None:
    played = player(chain()[1])
    tab = open_page(played.animated_svg(), reduced_motion="reduce")
    assert tab.evaluate("document.getAnimations().length") == 0
    assert seen(tab, ".value") == ["1.5", "2.25", "0.778073", "2.17727"]
    assert seen(tab, ".adjoint") == ["-4.10312", "-1.36771", "2.17727", "1"]
    assert seen(tab, ".caption")[0] == played.steps[-1].head
    assert seen(tab, ".outline") == []


@pytest.mark.parametrize("build", [lambda: chain()[1], several_paths])
def test_animated_svg_shows_every_step_in_turn(open_page: Any, build: Any) -> None:
    played = player(build())
    tab = open_page(played.animated_svg(), reduced_motion="no-preference")
    values, adjoints = set(), dict.fromkeys(range(len(played.scene.picture.cards)), "–")
    for i, step in enumerate(played.steps):
        tab.evaluate(
            "time => document.getAnimations().forEach(animation => {"
            "animation.pause(); animation.currentTime = time; })",
            (i + 0.6) * 1800,
        )
        values |= set(step.values)
        adjoints |= {card: f"{x:.6g}" for card, x in step.adjoints}
        caption = " ".join(" ".join(seen(tab, ".caption")).split())
        words = " ".join([step.head, *(" ".join(line) for line in step.lines)])
        assert caption == " ".join(words.split())
        assert len(seen(tab, ".value")) == len(values)
        assert seen(tab, ".adjoint") == list(adjoints.values())
        assert len(seen(tab, ".arrow.lit")) == len(step.arrows)
        assert len(seen(tab, ".outline")) == (step.card is not None)
