"""Drawings: what cards and arrows say, what is refused, how SVG is made safe."""

from __future__ import annotations

import base64
import html
import importlib.util
import itertools
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import autograd
from autograd import Primitive, Value, clip, dot, leaky_relu, maximum, where
from autograd.show.draw import render
from autograd.show.draw.dot import CROWDED, LEGIBLE
from autograd.show.draw.draw import LIMIT, Drawing, draw, value_svg

SVG = "{http://www.w3.org/2000/svg}"
needs_dot = pytest.mark.skipif(not shutil.which("dot"), reason="no program dot")
needs_pygraphviz = pytest.mark.skipif(
    importlib.util.find_spec("pygraphviz") is None, reason="no pygraphviz"
)


def cards(drawing: Drawing) -> list[str]:
    """The text of each card: "x input value 1.5 grad –"."""
    tables = re.findall(r"^\t+n\d+ \[label=<(.*)> tooltip=", drawing.dot, re.M)
    texts = (html.unescape(re.sub("<[^>]*>", " ", table)) for table in tables)
    return [" ".join(text.split()) for text in texts]


def arrows(drawing: Drawing) -> list[dict[str, str]]:
    """The attributes of each arrow that is seen, by name."""
    found = re.findall(r"^\t(n\d+) -> (n\d+) \[(.*)\]$", drawing.dot, re.M)
    return [
        dict(re.findall(r'(\w+)=("[^"]*"|\S+)', text), tail=tail, head=head)
        for tail, head, text in found
    ]


def frames(drawing: Drawing) -> dict[str, list[str]]:
    """The cards in each frame, by the frame's title."""
    found = re.findall(r"subgraph cluster_\d+ \{\n(.*?)\n\t\}", drawing.dot, re.S)
    return {
        re.search(r'label="([^"]*)"', text)[1]: cards(Drawing(text, "", ""))
        for text in found
    }


def chain(length: int) -> Value:
    y = Value(0.5)
    for _ in range(length - 1):
        y = y.sin()
    return y


class Net:
    """Neurons as nn makes them, of Values alone."""

    def __init__(self, *widths: int) -> None:
        self.layers = [
            [self.neuron(i, j, nin) for j in range(nout)]
            for i, (nin, nout) in enumerate(itertools.pairwise(widths))
        ]

    @staticmethod
    def neuron(i: int, j: int, nin: int) -> tuple[list[Value], Value]:
        name = f"layers.{i}.neurons.{j}"
        w = [Value((k - j + 0.5) / nin, f"{name}.w{k}") for k in range(nin)]
        return w, Value(0.1, f"{name}.b")

    def __call__(self, x: list[Value | float]) -> list[Value]:
        for layer in self.layers[:-1]:
            x = [(dot(w, x) + b).tanh() for w, b in layer]
        return [dot(w, x) + b for w, b in self.layers[-1]]


def two_inputs() -> list[Value | float]:
    return [Value(1.0, "x1"), Value(-2.0, "x2")]


# ---- cards ---------------------------------------------------------------------------


def test_cards_show_label_operation_value_and_gradient() -> None:
    x = Value(1.5, "x")
    v = x**2
    v.label = "v"
    y = v.sin().exp()
    y.backward()
    assert cards(draw(y)) == [
        "x input value 1.5 grad -4.10312",
        "v ^2 value 2.25 grad -1.36771",
        "sin value 0.778073 grad 2.17727",
        "exp value 2.17727 grad 1",
    ]


def test_cards_show_a_dash_until_a_sweep_arrives() -> None:
    x = Value(-1.0, "x")
    y = x.relu() + 1.0
    assert all(card.endswith("grad –") for card in cards(draw(y)))
    y.backward()
    assert [card.split()[-1] for card in cards(draw(y))] == ["–", "1", "1"]


def test_cards_tell_a_gradient_of_zero_from_none() -> None:
    x = Value(1.0, "x")
    (x * 0.0).backward()
    assert cards(draw(x)) == ["x input value 1 grad 0"]


@pytest.mark.parametrize(
    ("y", "operation"),
    [
        (Value(3.0) * 2, "× 2"),
        (1 - Value(3.0), "1 −"),
        (Value(3.0) - Value(1.0), "−"),
        (-Value(3.0), "−"),
        (1 / Value(4.0), "1 ÷"),
        (Value(3.0) ** 0.5, "^0.5"),
        (2 ** Value(3.0), "2^"),
        (Value(3.0) ** Value(2.0), "^"),
        (clip(Value(3.0), 0, 1), "clip(·, 0, 1)"),
        (leaky_relu(Value(3.0)), "leaky_relu(·, 0.01)"),
        (dot([Value(1.0), Value(2.0)], [3, 4]), "dot(·, ·, 3, 4)"),
        (dot([Value(1.0)] * 50, [2.0] * 50), "dot(·, ·, …, 2, 2)"),
    ],
)
def test_cards_write_plain_numbers_into_the_operation(y: Value, operation: str) -> None:
    assert cards(draw(y))[-1].split(" value ")[0] == operation


def test_cards_show_a_users_own_primitive() -> None:
    cube = Primitive("cube", lambda x: x * x * x, lambda z, x: 3 * x * x)
    assert cards(draw(cube(Value(2.0))))[-1] == "cube value 8 grad –"


def test_cards_of_leaves_are_coloured_by_their_part() -> None:
    dotted, plain = draw(Value(1.0, "cell.w")), draw(Value(1.0, "speed 1.5"))
    assert "#e3f4e8" in dotted.dot and "param" in cards(dotted)[0]
    assert "#fff2d0" in plain.dot and "input" in cards(plain)[0]


def test_grad_cells_are_blue_above_zero_and_red_below() -> None:
    x, w = Value(2.0), Value(3.0)
    (x * w - 9 * x).backward()
    fills = [
        re.search(r'grad</FONT></TD><TD ALIGN="RIGHT" BGCOLOR="#(\w+)', draw(leaf).dot)
        for leaf in (x, w)
    ]
    red, blue = (bytes.fromhex(fill[1]) for fill in fills)
    assert red[0] > red[2] and blue[0] < blue[2]


# ---- arrows --------------------------------------------------------------------------


def test_arrows_carry_local_derivatives_and_the_full_number_in_the_tooltip() -> None:
    x = Value(1 / 3, "x")
    (arrow,) = arrows(draw(x.sin()))
    assert arrow["label"] == '" ×0.945 "'
    assert repr(autograd.cos(1 / 3)) in arrow["tooltip"]


def test_arrows_are_grey_before_a_sweep_and_coloured_by_what_flows_back_after() -> None:
    a, b = Value(2.0, "a"), Value(-3.0, "b")
    y = a * b
    assert [arrow["class"] for arrow in arrows(draw(y))] == ["grey", "grey"]
    y.backward()
    assert [arrow["class"] for arrow in arrows(draw(y))] == ["minus", "plus"]
    (-y).backward()
    assert [arrow["class"] for arrow in arrows(draw(y))] == ["plus", "minus"]


def test_arrows_are_wider_where_more_flows_back() -> None:
    a, b = Value(1.0), Value(100.0)
    y = a * b
    y.backward()
    to_a, to_b = (float(arrow["penwidth"].strip('"')) for arrow in arrows(draw(y)))
    assert to_a == 3.0 and 1.0 < to_b < 1.5


def test_arrows_to_operands_left_out_are_dotted_and_have_no_number() -> None:
    y = where(Value(1.0, "c"), Value(2.0, "a"), Value(3.0, "b"))
    y.backward()
    shown = [(arrow["style"], arrow.get("label")) for arrow in arrows(draw(y))]
    assert shown == [("dotted", None), ("solid", '" ×1 "'), ("dotted", None)]


def test_arrows_of_an_operand_used_twice_are_two() -> None:
    x = Value(3.0)
    assert len(arrows(draw(x * x))) == 2
    assert len(arrows(draw(maximum(x, x)))) == 2


def test_arrows_mark_what_is_not_a_number() -> None:
    x = Value(0.0)
    y = x.sqrt() ** 2
    y.backward()
    assert [arrow["class"] for arrow in arrows(draw(y))] == ["nan", "grey"]


# ---- neurons -------------------------------------------------------------------------


def test_neurons_are_framed_with_their_parameters() -> None:
    (out,) = Net(2, 3, 1)(two_inputs())
    loss = (out - 1.0) ** 2
    drawing = draw(loss)
    framed = frames(drawing)
    assert [*framed] == [
        "layer 1, neuron 0", "layer 1, neuron 1", "layer 1, neuron 2",
        "layer 2, neuron 0",
    ]  # fmt: skip
    names = [card.split(" value")[0] for card in framed["layer 1, neuron 1"]]
    assert sorted(names) == ["+", "b param", "dot", "tanh", "w0 param", "w1 param"]
    names = [card.split(" value")[0] for card in framed["layer 2, neuron 0"]]
    assert sorted(names) == ["+", "b param", "dot", "w0 param", "w1 param", "w2 param"]


def test_neurons_written_with_pythons_sum_are_framed_whole() -> None:
    (w, b), *_ = Net(2, 1).layers[0]
    out = (sum(wi * xi for wi, xi in zip(w, two_inputs())) + b).relu()
    assert len(frames(draw(out))["layer 1, neuron 0"]) == 3 + 2 + 3 + 1


def test_neurons_end_where_their_results_are_used() -> None:
    a, b = ((z.tanh()) for z in Net(2, 2)(two_inputs()))
    drawing = draw([sum([a, b]), -a, 1 - a * 3.0, a * b])
    sizes = [len(framed) for framed in frames(drawing).values()]
    assert sizes == [6, 6]


@pytest.mark.parametrize("size", [2, 60])
def test_penalty_on_parameters_is_kept_out_of_the_neurons(size: int) -> None:
    net = Net(2, size, 1)
    (out,) = net(two_inputs())
    weights = [w for layer in net.layers for ws, _ in layer for w in ws]
    drawing = draw(out + 0.01 * sum(w * w for w in weights))
    if size == 2:
        assert len(frames(drawing)["penalty on parameters"]) == 2 * len(weights)
    else:
        assert len(cards(drawing)) == size + 1 + 2 + 3
        assert any("penalty" in card for card in cards(drawing))


def test_a_large_graph_of_parameters_that_are_no_neurons_keeps_its_cards() -> None:
    stiffness = Value(0.5, "spring.k")
    y = Value(1.0)
    for _ in range(CROWDED):
        y = y - stiffness * y
    assert len(cards(draw(y))) == 2 * CROWDED + 2


def test_inputs_of_neurons_stand_first_and_targets_do_not() -> None:
    (out,) = Net(2, 2, 1)(two_inputs())
    drawing = draw((out - Value(1.0, "target")) ** 2)
    first = re.search(r"rank=min\]\n(.*?)\}", drawing.dot, re.S)[1].split()
    shown = dict(re.findall(r"^\t+(n\d+) \[.*?<B>(.*?)</B>", drawing.dot, re.M))
    assert [shown[name] for name in first] == ["x1", "x2"]


def test_a_large_net_has_one_card_per_neuron_in_order() -> None:
    (out,) = Net(2, 12, 4, 1)(two_inputs())
    out.backward()
    drawing = draw(out)
    neurons = [card.split(" tanh")[0] for card in cards(drawing) if "neuron" in card]
    assert neurons[:12] == [f"layer 1, neuron {j}" for j in range(12)]
    assert len(neurons) == 17 and len(cards(drawing)) == 19
    assert "one card" in drawing.description and "one card" in drawing.dot
    assert len(arrows(drawing)) == 2 * 12 + 12 * 4 + 4
    assert cards(drawing)[-1] == f"layer 3, neuron 0 + value {out.data:.6g} grad 1"


def test_a_large_net_merges_what_flows_back_over_several_points() -> None:
    net = Net(1, 30, 1)
    outs = [net([x])[0] for x in (0.5, -0.5)]
    sum(outs).backward()
    low, high = sorted(out.data for out in outs)
    neuron = [card for card in cards(draw(outs)) if "layer 2" in card]
    assert neuron == [f"layer 2, neuron 0 + value {low:.6g} … {high:.6g} grad 1 … 1"]


def loss_of_points(width: int = 30, features: int = 2) -> Value:
    """A network's loss over two points that are plain numbers."""
    net = Net(features, width, 1)
    points = [[0.5 + i for i in range(features)], [-1.0] * features]
    return sum((net(point)[0] - 1.0) ** 2 for point in points)


def test_a_large_net_shows_its_plain_inputs_and_calls_its_end_the_loss() -> None:
    loss = loss_of_points()
    loss.backward()
    drawing = draw(loss)
    shown = cards(drawing)
    assert "x[0] input value -1 … 0.5 grad –" in shown
    assert "x[1] input value -1 … 1.5 grad –" in shown
    assert f"L + value {loss.data:.6g} grad 1" in shown
    assert drawing.title == "Graph of L"
    numbers = re.findall(r"^\t+(n\d+) \[label=<", drawing.dot, re.M)
    names = {card.split(" value")[0]: n for card, n in zip(shown, numbers)}
    heads = [a["head"] for a in arrows(drawing) if a["tail"] == names["x[1] input"]]
    assert heads == [names[f"layer 1, neuron {k} tanh"] for k in range(30)]


def test_a_name_of_the_users_is_kept_for_the_end_and_no_second_is_given() -> None:
    loss = loss_of_points()
    loss.label = "cost"
    assert any(card.startswith("cost + value") for card in cards(draw(loss)))
    other = loss_of_points() * Value(2.0, "L")
    heads = [card.split()[0] for card in cards(draw(other))]
    assert heads.count("L") == 1 and draw(other).title == "Graph of mul"


def test_many_plain_inputs_share_a_card() -> None:
    shown = cards(draw(loss_of_points(6, features=20)))
    assert "x[0] … x[19] input value -1 … 19.5 grad –" in shown


def legend(drawing: Drawing) -> list[tuple[str, str]]:
    """The colours that are explained, with their words."""
    text = re.search(r"label=<<table(.*?)</table>>", drawing.dot, re.S)[1]
    cells = re.findall(r'bgcolor="([^"]*)".*?<td[^>]*>(.*?)&#160;', text.lower())
    return [(colour, words) for colour, words in cells]


def test_legend_says_what_the_colours_of_this_picture_mean() -> None:
    x = Value(1.5, "x")
    y = (x**2).sin().exp()
    found = [("#fff2d0", "input"), ("#e8ebf6", "operation")]
    assert legend(draw(y)) == found
    y.backward()
    found += [("#2b7bba", "flows back above zero"), ("#cb4248", "below")]
    assert legend(draw(y)) == found
    words = [word for _, word in legend(draw(loss_of_points()))]
    assert words == ["input", "operation", "neuron"]
    (out,) = Net(2, 2, 1)(two_inputs())
    assert ("#e3f4e8", "parameter") in legend(draw(out))


# ---- what is drawn, what is refused --------------------------------------------------


def test_draw_takes_several_results() -> None:
    x = Value(1.0, "x")
    drawing = draw([x.sin(), x.cos(), x])
    assert [card.split()[0] for card in cards(drawing)] == ["x", "sin", "cos"]
    assert drawing.title == "Graph of sin, cos, x"


def test_draw_is_importable_from_autograd_lazily() -> None:
    code = "import autograd, sys; print('graphviz' in sys.modules, autograd.draw)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("False <function draw")


def test_draw_calls_draw_of_other_objects() -> None:
    class Model:
        def _draw_(self) -> Drawing:
            return draw(Value(3.0, "inside"))

    assert draw(Model()).title == "Graph of inside"


def test_draw_refuses_by_name_what_is_no_value() -> None:
    with pytest.raises(TypeError, match=r"^draw: y must be a Value, but is 3\.0 \(flo"):
        draw(3.0)
    with pytest.raises(TypeError, match=r"^draw: y\[1\] must be a Value, but is None"):
        draw([Value(1.0), None])
    with pytest.raises(ValueError, match=r"^draw: y must hold .* but is \[\]; pass"):
        draw([])


def test_draw_refuses_a_graph_whose_leaf_was_assigned_since() -> None:
    x = Value(1.0, "x")
    y = x.sin().exp()
    x.data = 2.0
    with pytest.raises(ValueError, match="draw: .*'x' was assigned"):
        draw(y)
    assert value_svg(y) is None


def test_draw_notes_when_cards_get_small() -> None:
    assert "cards get small" not in draw(chain(LEGIBLE)).description
    small = draw(chain(LEGIBLE + 1))
    assert "cards get small" in small.description and "cards get small" in small.dot
    assert len(cards(draw(chain(CROWDED + 1)))) == CROWDED + 1


def test_draw_refuses_above_its_limit_with_advice() -> None:
    assert len(cards(draw(chain(LIMIT)))) == LIMIT
    with pytest.raises(ValueError, match="at most 2000 Values .* draw a smaller part"):
        draw(chain(LIMIT + 1))
    with pytest.raises(ValueError, match="8000 operands"):
        draw(dot([Value(1.0)] * 8000, [2.0] * 8000) + 1.0)


def test_draw_refuses_a_million_values_at_once_on_a_small_stack() -> None:
    y, found = chain(1_000_000), []

    def attempt() -> None:
        started = time.perf_counter()
        with pytest.raises(ValueError, match="draw a smaller part"):
            draw(y)
        found.append((value_svg(y), time.perf_counter() - started))

    size = 512 if sys.version_info < (3, 13) else 2048  # CPython's own need, to free it
    before = threading.stack_size(size * 1024)
    try:
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    ((svg, seconds),) = found
    assert svg is None and seconds < 1.0


# ---- DOT and SVG ---------------------------------------------------------------------


def test_dot_of_the_smallest_graph() -> None:
    lines = draw(Value(0.5, "x").exp()).dot.splitlines()
    row = '<TR><TD ALIGN="LEFT"><FONT POINT-SIZE="10" COLOR="#57606a">{}</FONT></TD><TD ALIGN="RIGHT" BGCOLOR="#ffffff"><FONT COLOR="#1f2328">{}</FONT></TD></TR>'  # noqa: E501
    assert lines[0] == "digraph {"
    assert lines[4] == (
        '\tn0 [label=<<TABLE BORDER="0" CELLBORDER="1" CELLSPACING="0" CELLPADDING="5" '
        'COLOR="#8b919b" BGCOLOR="#ffffff"><TR><TD COLSPAN="2" BGCOLOR="#fff2d0"><B>x'
        '</B>&#160;&#160;<FONT POINT-SIZE="11" COLOR="#57606a">input</FONT></TD></TR>'
        + row.format("value", "0.5")
        + row.format("grad", "–")
        + '</TABLE>> tooltip="x = 0.5; grad – (no sweep has reached it)"]'
    )
    assert lines[6] == (
        '\tn0 -> n1 [label=" ×1.649 " class=grey color="#7d8590" fontcolor="#7d8590" '
        'labeltooltip="∂exp/∂x = 1.6487212707001282" penwidth=1.00 style=solid '
        'tooltip="∂exp/∂x = 1.6487212707001282"]'
    )


def test_svg_can_stand_in_any_page() -> None:
    y = (Value(2.0, "x") * 3).tanh()
    y.backward()
    text = draw(y).svg()
    root = ET.fromstring(text)
    assert text.startswith("<svg ") and "<!DOCTYPE" not in text
    assert root.get("role") == "img" and "max-width:100%" in root.get("style", "")
    assert root.find(f"{SVG}title").text == "Graph of tanh"
    assert root.find(f"{SVG}desc").text.startswith("A graph of 3 Values")
    prefix = root.get("id", "")
    names = [e.get(key) for e in root.iter() for key in ("id", "class") if e.get(key)]
    assert all(part.startswith(prefix) for name in names for part in name.split())
    assert len(set(ids := [e.get("id") for e in root.iter() if e.get("id")])) == len(
        ids
    )
    assert not list(root.iter(f"{SVG}a")) and "%3" not in text


def test_svg_scopes_its_rule_for_dark_pages() -> None:
    root = ET.fromstring(draw(Value(2.0).exp()).svg())
    style = root.find(f"{SVG}style").text
    (rules,) = re.findall(r"^@media \(prefers-color-scheme:dark\)\{(.*)\}$", style)
    selectors = re.findall(r"([^{}]+)\{", rules)
    assert selectors and all(s.startswith(f"#{root.get('id')} .") for s in selectors)


def test_svg_ids_differ_between_drawings_and_not_between_runs() -> None:
    first, again, other = (draw(Value(x).exp()).svg() for x in (1.0, 1.0, 2.0))
    assert first == again
    assert ET.fromstring(first).get("id") != ET.fromstring(other).get("id")


def test_svg_of_before_and_after_a_sweep_differ() -> None:
    y = Value(2.0, "x").exp()
    before = draw(y)
    kept = before.svg()
    y.backward()
    assert before.svg() == kept != draw(y).svg()


HOSTILE = [
    '"', "<b>&amp;&lt;</b>", "a\nb\tc", '\\N\\G\\"\\l\\', "\\", "Ω≤∂ŷ 漢字 🙂",
    "</script><script>", "x" * 10_000, "\">' onload=x", "%3 {a|b} <n>", "<TABLE>", "",
    "&#0;", "]]>", "-->",
]  # fmt: skip


@pytest.mark.parametrize("label", HOSTILE)
def test_svg_shows_a_hostile_label_as_it_is(label: str) -> None:
    shown = " ".join(label.split())
    y = Value(2.0, label).exp()
    root = ET.fromstring(draw(y).svg())
    texts = "".join(e.text or "" for e in root.iter(f"{SVG}text"))
    titles = [e.text or "" for e in root.iter(f"{SVG}title")]
    assert shown[:20] in texts
    assert max(map(len, titles)) < 250
    if label:
        assert any(title.startswith(shown[:60]) for title in titles)
    assert {e.tag.removeprefix(SVG) for e in root.iter()} <= {
        "svg", "title", "desc", "style", "g", "polygon", "path", "text",
    }  # fmt: skip


@pytest.mark.parametrize(
    "label", ["\u202egnp.exe", "\x00\x07", "\ud800", "\ufffe\u2066"]
)
def test_svg_replaces_what_is_no_visible_character(label: str) -> None:
    text = draw(Value(2.0, label).exp()).svg()
    ET.fromstring(text)
    assert "\ufffd" in text and not set(label) & set(text) - set("gnp.exe")


# ---- renderers -----------------------------------------------------------------------


@pytest.fixture
def no_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that is all of PATH, with no program in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@needs_dot
def test_dot_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert b"<svg" in render.render("digraph { a }", "svg", 9.0)


@needs_pygraphviz
@pytest.mark.parametrize("label", HOSTILE)
def test_pygraphviz_draws_without_dot(no_dot: Path, label: str, tmp_path: Path) -> None:
    y = Value(2.0, label).exp()
    root = ET.fromstring(draw(y).svg())
    texts = "".join(e.text or "" for e in root.iter(f"{SVG}text"))
    assert " ".join(label.split())[:20] in texts and "7.38906" in texts
    if label == HOSTILE[0]:
        png = Path(draw(y).png(tmp_path / "y.png")).read_bytes()
        assert png.startswith(b"\x89PNG")


def test_no_renderer_names_both_remedies(
    no_dot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    y = Value(2.0).exp()
    with pytest.raises(RuntimeError, match="install Graphviz.* or .*pygraphviz"):
        draw(y).svg()
    assert value_svg(y) is None and y._repr_svg_() is None


def test_a_layout_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["autograd.show.draw.draw"]
    monkeypatch.setattr(module, "LAYOUT_SECONDS", 1e-6)
    monkeypatch.setattr(module, "NOTEBOOK_SECONDS", 1e-6)
    y = Value(2.0).exp()
    with pytest.raises(TimeoutError, match="at most 1e-06 s.*draw a smaller part"):
        draw(y).svg()
    assert value_svg(y) is None


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for dot")
def test_a_renderer_that_fails_is_named_with_its_message(no_dot: Path) -> None:
    fake = no_dot / "dot"
    fake.write_text("#!/bin/sh\necho out of luck >&2\nexit 3\n")
    fake.chmod(0o755)
    with pytest.raises(RuntimeError, match="dot must draw.*code 3 .out of luck.;"):
        draw(Value(2.0)).svg()


# ---- files and notebooks -------------------------------------------------------------


def test_svg_writes_a_file_and_returns_its_path(tmp_path: Path) -> None:
    drawing, path = draw(Value(2.0, "x").exp()), tmp_path / "é graph.svg"
    assert drawing.svg(path) == str(path)
    assert path.read_text(encoding="utf-8") == drawing.svg() == drawing._repr_svg_()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_png_writes_a_file_and_returns_its_path(tmp_path: Path) -> None:
    path = str(tmp_path / "graph.png")
    assert draw(Value(2.0, "x").exp()).png(path) == path
    assert Path(path).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "name, start",
    [("y.svg", b"<svg "), ("y.PNG", b"\x89PNG"), ("é y.pdf", b"%PDF")],
)
def test_save_writes_what_the_suffix_says(
    tmp_path: Path, name: str, start: bytes
) -> None:
    drawing, path = draw(Value(2.0, "x").exp()), tmp_path / name
    assert drawing.save(path) == str(path)
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["y.jpg", "y.gif", "y", "y.svg.gz", ".png"])
def test_save_names_the_suffixes_that_it_knows(tmp_path: Path, name: str) -> None:
    match = r"^draw: path must end in \.svg, \.png or \.pdf, but is .*; write '.*svg'$"
    with pytest.raises(ValueError, match=match):
        draw(Value(2.0, "x").exp()).save(tmp_path / name)
    assert not [*tmp_path.iterdir()]


def test_save_without_graphviz_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "_run", lambda *args: None)
    for name in ("y.svg", "y.png", "y.pdf"):
        with pytest.raises(RuntimeError, match="install Graphviz .*pip install pygra"):
            draw(Value(2.0, "x").exp()).save(tmp_path / name)
    assert not [*tmp_path.iterdir()]


def test_svg_to_a_path_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    drawing = draw(Value(2.0))
    with pytest.raises(FileNotFoundError, match="^draw: path must .*; choose a folder"):
        drawing.svg(tmp_path / "none" / "y.svg")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="^draw: path must"):
        drawing.svg(tmp_path / "folder")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_a_value_in_a_notebook_shows_its_graph() -> None:
    y = Value(2.0, "x").exp()
    assert y._repr_svg_() == draw(y).svg()


def outputs(shown: object) -> dict[str, str]:
    """What IPython keeps of an object in a notebook."""
    formatters = pytest.importorskip("IPython.core.formatters", reason="no IPython")
    return dict(formatters.DisplayFormatter().format(shown)[0])


@pytest.mark.parametrize("swept", [False, True])
def test_notebook_keeps_a_picture_for_where_svg_is_not_shown(swept: bool) -> None:
    y = Value(2.0, "x & <y>").exp()
    if swept:
        y.backward()
    for shown, plain in ((y, repr(y)), (draw(y), repr(draw(y)))):
        kept = outputs(shown)
        assert kept["image/svg+xml"] == draw(y).svg()
        assert kept["text/plain"] == plain
        match = re.fullmatch(
            r'<div style="overflow-x:auto"><img alt="([^"<>]*)" width="[\d.]+" '
            r'style="max-width:100%;min-width:\d+px;height:auto" '
            r'src="data:image/svg\+xml;base64,([A-Za-z0-9+/=]*)"></div>',
            kept["text/html"],
        )
        assert match and match[1].startswith("Graph of exp")
        picture = base64.b64decode(match[2]).decode()
        assert len(picture) < len(kept["image/svg+xml"])
        seen, whole = (
            [text.text for text in ET.fromstring(svg).iter(f"{SVG}text")]
            for svg in (picture, kept["image/svg+xml"])
        )
        assert seen == whole and "7.38906" in seen


def test_notebook_shows_the_repr_of_a_value_that_cannot_be_drawn(no_dot: Path) -> None:
    y = chain(3000)
    assert outputs(y) == {"text/plain": repr(y)}


def test_untrusted_picture_of_a_wide_graph_scrolls_on_a_phone(browser: object) -> None:
    y = chain(12)
    tab = browser.new_page(viewport={"width": 390, "height": 800})  # type: ignore[attr-defined]
    tab.set_content(f"<body style='margin:0'>{outputs(y)['text/html']}</body>")
    viewbox = ET.fromstring(draw(y).svg()).get("viewBox", "").split()
    assert float(viewbox[2]) > 1200
    shown = tab.locator("img").bounding_box()["width"]
    assert abs(shown - 0.7 * float(viewbox[2])) < 1.5
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    tab.set_viewport_size({"width": 5000, "height": 500})
    assert abs(tab.locator("img").bounding_box()["width"] - float(viewbox[2])) < 1.5
    tab.close()


def test_untrusted_picture_shrinks_while_it_can_be_read(browser: object) -> None:
    y = (Value(2.0, "x") * 3).tanh()
    tab = browser.new_page(viewport={"width": 1000, "height": 500})  # type: ignore[attr-defined]
    tab.set_content(f"<body style='margin:0'>{outputs(y)['text/html']}</body>")
    wide = tab.locator("img").bounding_box()["width"]
    viewbox = ET.fromstring(draw(y).svg()).get("viewBox", "").split()
    assert abs(wide - float(viewbox[2])) < 1.5
    room = int(0.9 * wide)
    tab.set_viewport_size({"width": room, "height": 500})
    assert abs(tab.locator("img").bounding_box()["width"] - room) < 1.5
    tab.set_viewport_size({"width": 200, "height": 500})
    assert abs(tab.locator("img").bounding_box()["width"] - 0.7 * wide) < 1.5
    scrolled = "document.querySelector('div').scrollWidth"
    assert tab.evaluate(scrolled) == tab.locator("img").bounding_box()["width"]
    assert tab.evaluate("document.documentElement.scrollWidth") == 200  # not the page
    tab.close()


def test_repr_of_a_drawing_is_short() -> None:
    assert repr(draw(Value(2.0, "x"))) == "Drawing(title='Graph of x')"
