"""Networks as pictures: where cards stand, what lines say, what is clipped and safe."""

import base64
import itertools
import re
import xml.etree.ElementTree as ET
from math import inf, nan

import pytest

import autograd
from autograd.show.draw import render
from autograd.show.draw.boxes import NAMED, TALL, WIDTH
from autograd.show.draw.dot import COLOURS
from autograd.show.draw.network import (
    DEEPEST,
    MOST_COLUMNS,
    MOST_LINES,
    WIDEST,
    draw_network,
)
from autograd.show.draw.network_svg import ARROWHEADS, TOOLTIPS
from autograd.show.draw.xdot import strokes_in_dot

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "</script><script>alert(1)</script>",
    "\"quoted\" & 'so' <b>",
    "\u202eright to left\u2066",
    "a\x00b\x1bc\ud800",
    "line\nbreak",
    "W" * 10_000,
    "漢" * 40,
]


def network(*sizes, rows=None, number=lambda c, k, i: (k - i + 0.5) * (-1) ** c):
    """Columns of so many cards, and numbers between them."""
    rows = {"z": 0.5, "a": -1.25, "δ": 2.0} if rows is None else rows
    columns = [
        (f"column {c}", [(f"card {c}.{k}", "tanh", rows) for k in range(size)])
        for c, size in enumerate(sizes)
    ]
    edges = [
        [[number(c, k, i) for i in range(before)] for k in range(after)]
        for c, (before, after) in enumerate(itertools.pairwise(sizes))
    ]
    return columns, edges


def drawn(*sizes, **kwargs):
    return root_of(draw_network(*network(*sizes, **kwargs), title="A network"))


def root_of(drawing):
    return ET.fromstring(drawing.svg())


def prefix(root):
    return root.get("id")


def of_class(root, name):
    return [e for e in root.iter() if e.get("class") == f"{prefix(root)}-{name}"]


def lines(root):
    """(kind, line) for each line, as it is drawn."""
    return [
        (group.get("class").rpartition("-")[2], line)
        for group in root.iter(f"{SVG}g")
        for line in group.findall(f"{SVG}line")
    ]


def words(element):
    return [text.text for text in element.iter(f"{SVG}text")]


def bounds(card):
    """(left, top, right, bottom) of a card."""
    boxes = [
        [float(rect.get(key)) for key in ("x", "y", "width", "height")]
        for rect in card.iter(f"{SVG}rect")
    ]
    return (
        min(x for x, _, _, _ in boxes),
        min(y for _, y, _, _ in boxes),
        max(x + width for x, _, width, _ in boxes),
        max(y + height for _, y, _, height in boxes),
    )


def ends(line):
    return [float(line.get(key)) for key in ("x1", "y1", "x2", "y2")]


SIZES = [(1, 1), (2, 3, 1), (3, 8, 8, 2), (64, 32, 10), (4, 6, 6, 6, 6, 1), (1,)]


# ---- cards and lines -----------------------------------------------------------------


@pytest.mark.parametrize("sizes", SIZES)
def test_every_card_and_every_number_is_drawn_once(sizes):
    root = drawn(*sizes)
    assert len(of_class(root, "card")) == sum(sizes)
    assert len(lines(root)) == sum(a * b for a, b in itertools.pairwise(sizes))


@pytest.mark.parametrize("sizes", SIZES)
def test_columns_stand_in_order_and_cards_do_not_overlap(sizes):
    root = drawn(*sizes)
    places = iter(map(bounds, of_class(root, "card")))
    right = 0.0
    for size in sizes:
        column = [next(places) for _ in range(size)]
        assert len({left for left, _, _, _ in column}) == 1
        assert column[0][0] > right
        right = column[0][2]
        for above, below in itertools.pairwise(column):
            assert below[1] > above[3]


@pytest.mark.parametrize("sizes", [*SIZES, (100, 3), (3, 100)])
def test_everything_is_inside_the_picture(sizes):
    root = drawn(*sizes)
    _, _, width, height = map(float, root.get("viewBox").split())
    for left, top, right, bottom in map(bounds, of_class(root, "card")):
        assert left > 0 and top > 0 and right < width and bottom < height
    for text in root.iter(f"{SVG}text"):
        assert 0 < float(text.get("x")) < width
        assert 8 < float(text.get("y")) < height - 3


@pytest.mark.parametrize("sizes", SIZES)
def test_lines_run_from_card_to_card_in_the_gap_between_columns(sizes):
    root = drawn(*sizes)
    lefts = {bounds(card)[0] for card in of_class(root, "card")}
    rights = {bounds(card)[2] for card in of_class(root, "card")}
    for _, line in lines(root):
        x1, _, x2, _ = ends(line)
        assert any(abs(x1 - right) < 0.1 for right in rights)
        assert any(abs(x2 - left) < 0.1 for left in lefts)
        assert x2 - x1 < 400


def test_small_network_names_each_number_where_its_line_arrives():
    number = lambda c, k, i: 100 * c + 10 * k + i + 0.5  # noqa: E731
    root = drawn(2, 3, 1, number=number, rows={"z": 7.0})
    heights = {
        text.text: float(text.get("y")) - 4
        for card in of_class(root, "card")
        for text in card.iter(f"{SVG}text")
    }
    for c, k, i in [(0, 0, 0), (0, 2, 1), (1, 0, 2)]:
        x = number(c, k, i)
        (line,) = (
            line
            for _, line in lines(root)
            if line.find(f"{SVG}title").text.endswith(f"w{i} = {x!r}")
        )
        assert ends(line)[3] == pytest.approx(heights[f"{x:.6g}"])
    assert words(of_class(root, "card")[-1])[2:] == [
        "w0", "100.5", "w1", "101.5", "w2", "102.5", "z", "7",
    ]  # fmt: skip


def test_wider_network_has_no_row_for_each_number():
    assert "w0" in words(drawn(NAMED, NAMED))
    assert "w0" not in words(drawn(NAMED, NAMED + 1))


def test_lines_arrive_apart_from_each_other():
    arrivals = [ends(line)[3] for _, line in lines(drawn(8, 1))]
    gaps = [b - a for a, b in itertools.pairwise(sorted(arrivals))]
    assert min(gaps) > 5


def test_colour_is_the_sign_and_width_the_size():
    row = [3.0, -3.0, 0.75, 0.0, nan, inf]
    root = drawn(6, 1, number=lambda c, k, i: row[i])
    found = {}
    for kind, line in lines(root):
        x = line.find(f"{SVG}title").text.rpartition(" ")[2]
        found[x] = (kind, float(line.get("stroke-width")))
    assert {x: kind for x, (kind, _) in found.items()} == {
        "3.0": "plus", "-3.0": "minus", "0.75": "plus", "0.0": "grey", "nan": "nan",
        "inf": "plus",
    }  # fmt: skip
    assert found["3.0"][1] == found["-3.0"][1] == found["inf"][1] == 3.0
    assert found["0.0"][1] < found["0.75"][1] < found["3.0"][1]
    for kind in COLOURS:
        for group in of_class(root, kind):
            assert group.get("stroke") == COLOURS[kind]


def test_largest_number_is_stated_and_is_a_finite_one():
    numbers = {0: 3.0, 1: -7.5}
    drawing = draw_network(*network(2, 1, number=lambda c, k, i: numbers[i]), title="")
    assert "the largest is 7.5 in size." in drawing.description
    numbers[1] = -inf
    drawing = draw_network(*network(2, 1, number=lambda c, k, i: numbers[i]), title="")
    assert "the largest finite one is 3 in size." in drawing.description


def test_large_lines_are_drawn_over_small_ones():
    root = drawn(5, 5)
    drawn_widths = [float(line.get("stroke-width")) for _, line in lines(root)]
    assert drawn_widths == sorted(drawn_widths)
    order = [e.tag for e in root if e.tag == f"{SVG}g"]
    assert order and list(root).index(of_class(root, "card")[0]) > max(
        i for i, e in enumerate(root) if e.find(f"{SVG}line") is not None
    )


def test_no_line_stands_for_none():
    root = drawn(2, 2, number=lambda c, k, i: 1.0 if k == i else None)
    assert len(lines(root)) == 2
    assert words(of_class(root, "card")[2])[2:6] == ["w0", "1", "w1", "–"]


def test_card_shows_a_dash_for_what_is_not_known():
    card = of_class(drawn(1, 1, rows={"z": 1.5, "δ": None}), "card")[1]
    assert words(card)[-4:] == ["z", "1.5", "δ", "–"]


def test_delta_is_shaded_by_sign_and_size():
    columns, edges = network(1, 4)
    rows = [{"δ": 4.0}, {"δ": -4.0}, {"δ": 0.0}, {"δ": nan}]
    columns[1] = ("", [(f"n{k}", "", rows[k]) for k in range(4)])
    root = root_of(draw_network(columns, edges, title=""))
    fills = [
        list(card.iter(f"{SVG}rect"))[-1].get("fill") for card in of_class(root, "card")
    ]
    assert fills[1:] == ["#6ea0d2", "#dc7880", "#ffffff", "#ffd0a0"]


# ---- large networks ------------------------------------------------------------------


def test_wide_columns_get_cards_of_one_line_with_the_rest_in_the_tooltip():
    tall, small = drawn(TALL, 1), drawn(TALL + 1, 1)
    heights = [
        bottom - top
        for _, top, _, bottom in (bounds(of_class(r, "card")[0]) for r in (tall, small))
    ]
    assert heights == [84.0, 18.0]
    card = of_class(small, "card")[0]
    assert words(card) == ["card 0.0", "a", "-1.25"]
    assert card.find(f"{SVG}title").text == "card 0.0 tanh z = 0.5; a = -1.25; δ = 2.0"
    assert "Small cards show one number" in small.find(f"{SVG}desc").text


def test_widest_columns_end_in_a_count():
    drawing = draw_network(*network(WIDEST + 36, 3), title="")
    root = root_of(drawing)
    assert len(of_class(root, "card")) == WIDEST + 3
    assert len(lines(root)) == 3 * WIDEST
    assert "… 36 more" in words(root)
    note = f"at most {WIDEST} of their cards; not drawn are 36 more, and the lines"
    assert note in drawing.description
    assert note in " ".join(words(root))


def test_deep_and_wide_networks_keep_to_a_number_of_lines():
    root = drawn(*[60] * DEEPEST, number=lambda c, k, i: 1.0)
    assert len(lines(root)) <= MOST_LINES
    assert words(root).count(f"… {60 - 25} more") == DEEPEST


@pytest.mark.parametrize("depth", [DEEPEST + 1, 52, 200])
def test_deeper_networks_show_their_ends_and_count_the_rest(depth):
    drawing = draw_network(*network(2, *[4] * (depth - 2), 1), title="")
    root = root_of(drawing)
    assert len(of_class(root, "card")) == 2 + 4 + 4 + 4 + 1
    assert len(lines(root)) == 8 + 16 + 4
    shown = words(root)
    place = shown.index(f"{depth - 5} layers")
    assert shown[place - 1 : place + 3] == [
        "…",
        f"{depth - 5} layers",
        "like this",
        "…",
    ]
    assert f"2, 4, 4, … {depth - 5} layers like this …, 4, 1" in drawing.description
    assert float(root.get("viewBox").split()[2]) < 1400
    tips = " ".join(title.text or "" for title in root.iter(f"{SVG}title"))
    assert "card 2." in tips and "card 3." not in tips and f"card {depth - 1}." in tips


def test_as_many_columns_as_fit_are_all_drawn():
    root = drawn(*[1] * DEEPEST)
    assert len(of_class(root, "card")) == DEEPEST


def test_plain_lines_lead_to_a_column_without_numbers_of_its_own():
    columns, edges = network(2, 3, 1)
    drawing = draw_network(columns, [edges[0], None], title="")
    root = root_of(drawing)
    found = lines(root)
    assert len(found) == 6 + 3
    plain = [(kind, line) for kind, line in found if ends(line)[0] > 300]
    assert [kind for kind, _ in plain] == ["grey"] * 3
    assert not any("=" in line.find(f"{SVG}title").text for _, line in plain)
    assert "w0" not in words(of_class(root, "card")[-1])
    with pytest.raises(ValueError, match="edges must have"):
        draw_network(columns, [edges[0]], title="")
    with pytest.raises(ValueError, match="edges must have"):
        draw_network(columns, [edges[0], None, None], title="")


def test_plain_lines_of_a_deep_network_do_not_hide_its_last_layers():
    columns, edges = network(2, *[3] * 50, 1, 1)
    root = root_of(draw_network(columns, [*edges[:-1], None], title=""))
    assert len(of_class(root, "card")) == 2 + 3 + 3 + 3 + 1 + 1
    assert "47 layers" in words(root)  # of 51: what plain lines lead to is none


@pytest.mark.parametrize(
    "numbers, meant",
    [
        ([1.0, -1.0], ["input", "neuron", "above zero", "below"]),
        ([1.0, nan], ["input", "neuron", "above zero", "not a number"]),
        ([0.0, 0.0], ["input", "neuron"]),
    ],
)
def test_legend_says_what_the_colours_of_this_picture_mean(numbers, meant):
    columns, edges = network(2, 1, number=lambda c, k, i: numbers[i])
    root = root_of(draw_network(columns, edges, title=""))
    known = ["input", "neuron", "loss", "above zero", "below", "not a number"]
    assert [word for word in words(root) if word in known] == meant


# ---- as a file -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, start",
    [
        ("y.svg", b"<svg "),
        ("y.png", b"\x89PNG"),
        ("y.PDF", b"%PDF"),
        ("é.Svg", b"<svg"),
    ],
)
def test_save_writes_what_the_suffix_says(tmp_path, name, start):
    drawing = draw_network(*network(2, 3, 1), title="")
    path = tmp_path / name
    assert drawing.save(path) == str(path)
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["y.jpg", "y", "y.svg.gz", ".svg"])
def test_save_names_the_suffixes_that_it_knows(tmp_path, name):
    drawing = draw_network(*network(2, 1), title="")
    match = r"path must end in \.svg, \.png or \.pdf, but is .*; write '.*\.svg'"
    with pytest.raises(ValueError, match=match):
        drawing.save(tmp_path / name)
    assert not [*tmp_path.iterdir()]
    with pytest.raises(TypeError, match="path must be a str or a Path"):
        drawing.save(None)


def test_save_of_a_png_without_graphviz_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(render, "_run", lambda *args: None)
    drawing = draw_network(*network(2, 1), title="")
    with pytest.raises(RuntimeError, match="install Graphviz .*pip install pygraphviz"):
        drawing.save(tmp_path / "y.png")
    assert drawing.save(tmp_path / "y.svg")


def test_notebook_keeps_a_picture_for_where_svg_is_not_shown():
    drawing = draw_network(*network(2, 3, 1), title='a "network"')
    kept = drawing._repr_mimebundle_(include=None, exclude=None)
    assert kept["image/svg+xml"] == drawing.svg()
    assert '<img alt="a &quot;network&quot;" width="' in kept["text/html"]
    data = kept["text/html"].rpartition("base64,")[2].partition('"')[0]
    picture = ET.fromstring(base64.b64decode(data))
    assert words(picture) == words(root_of(drawing))


def test_strokes_are_those_of_the_svg():
    columns, edges = network(2, 3, 1)
    svg = draw_network(columns, edges, title="").svg()
    root, dot = ET.fromstring(svg), strokes_in_dot(svg)
    boxes = len(list(root.iter(f"{SVG}rect")))
    assert len(re.findall(r" [Pp] 4 ", dot)) == boxes
    assert len(re.findall(r" L 2 ", dot)) == len(lines(root)) == 9
    assert len(re.findall(r" P 3 ", dot)) == 9  # arrowheads
    for text in root.iter(f"{SVG}text"):
        if text.text:
            assert f" {len(text.text.encode())} -{text.text}" in dot


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_can_be_saved_too(tmp_path, text):
    drawing = draw_network(
        [(text, [(text, text, {text: 1.5})])] * 2, [[[1.0]]], weight=text, title=text
    )
    path = tmp_path / "y.pdf"
    drawing.save(path)
    assert path.read_bytes().startswith(b"%PDF")


def test_picture_of_thousands_of_weights_is_small_enough_for_a_page():
    drawing = draw_network(*network(64, 32, 10), title="")
    assert len(drawing.svg()) < 400_000
    root = root_of(drawing)
    assert all("opacity" in line.attrib for _, line in lines(root))
    assert not list(root.iter(f"{SVG}marker"))


def test_few_lines_have_arrowheads_and_tooltips():
    assert len(list(drawn(10, ARROWHEADS // 10).iter(f"{SVG}marker"))) == len(COLOURS)
    assert not list(drawn(10, ARROWHEADS // 10 + 1).iter(f"{SVG}marker"))
    few, many = drawn(20, TOOLTIPS // 20), drawn(20, TOOLTIPS // 20 + 1)
    assert all(line.find(f"{SVG}title") is not None for _, line in lines(few))
    assert all(line.find(f"{SVG}title") is None for _, line in lines(many))


def test_arrowheads_are_those_of_the_picture_itself():
    root = drawn(2, 3)
    markers = {marker.get("id") for marker in root.iter(f"{SVG}marker")}
    used = {
        re.fullmatch(r"url\(#(.*)\)", group.get("marker-end"))[1]
        for group in root.iter(f"{SVG}g")
        if group.get("marker-end")
    }
    assert used and used <= markers


# ---- safe in any page ----------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_stay_text_and_fit_their_cards(text):
    columns = [
        (text, [(text, text, {text: 1.5})]),
        (text, [(text, text, {text: -1.2345678e-105, "δ": 1.0})]),
    ]
    drawing = draw_network(columns, [[[1.0]]], weight=text, title=text)
    svg = drawing.svg()
    svg.encode()
    assert "<script" not in svg and "<b>" not in svg
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b\n]", svg.rstrip("\n"))
    assert len(svg) < 20_000
    root = ET.fromstring(svg)
    assert len(of_class(root, "card")) == 2


@pytest.mark.parametrize("letter", ["W", "漢"])
def test_wide_letters_are_clipped_to_their_card(letter):
    text = 40 * letter
    columns = [("", [(text, text, {text: -1.2345678e-105})]) for _ in range(2)]
    root = root_of(draw_network(columns, [[[1.0]]], title=""))
    for card in of_class(root, "card"):
        head, *_, row, number = card.iter(f"{SVG}text")
        assert head.text == 9 * letter + "…"
        assert int(head.get("font-size")) * len(head.text) < WIDTH
        assert (row.text, number.text) == (3 * letter + "…", "-1.23457e-105")


def test_ids_are_unique_to_the_picture_and_the_same_on_every_run():
    first, again, other = drawn(2, 3), drawn(2, 3), drawn(2, 4)
    ids = [e.get("id") for e in first.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert ids == [e.get("id") for e in again.iter() if e.get("id")]
    assert not set(ids) & {e.get("id") for e in other.iter()}
    assert all(name.startswith(prefix(first)) for name in ids)


def test_picture_has_words_for_those_who_do_not_see_it():
    root = drawn(2, 3)
    assert root.get("role") == "img"
    title, desc = root.get("aria-labelledby").split()
    found = {e.get("id"): e.text for e in root.iter() if e.get("id")}
    assert found[title] == "A network"
    assert found[desc].startswith("Columns of cards from left to right, of 2, 3.")
    assert "max-width:100%" in root.get("style")


def test_dark_pages_get_lighter_lines_and_words_in_this_picture_alone():
    root = drawn(2, 3)
    style = root.find(f"{SVG}style").text
    assert style.startswith("@media (prefers-color-scheme:dark){")
    rules = re.findall(r"([^{}]+)\{([^{}]+)\}", style.partition("{")[2])
    assert len(rules) == 9
    assert all(selector.startswith(f"#{prefix(root)} ") for selector, _ in rules)
    for selector, _ in rules:
        assert not selector.endswith("-card")


def test_picture_is_written_whole_or_not_at_all(tmp_path):
    drawing = draw_network(*network(2, 3), title="")
    path = tmp_path / "network.svg"
    assert drawing.svg(path) == str(path)
    assert path.read_text(encoding="utf-8") == drawing.svg() == drawing._repr_svg_()
    with pytest.raises(OSError, match="path must name a file that can be written"):
        drawing.svg(tmp_path / "missing" / "network.svg")
    assert [p.name for p in tmp_path.iterdir()] == ["network.svg"]


# ---- what is refused -----------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(), (2, 0, 1), (1,) * (MOST_COLUMNS + 1)])
def test_columns_that_cannot_be_drawn_are_refused(sizes):
    with pytest.raises(ValueError, match="draw_network: columns must be 1 to 200"):
        draw_network(*network(*sizes), title="")


@pytest.mark.parametrize(
    "edges", [[], [[[1.0, 2.0]]], [[[1.0, 2.0], [1.0]]], [[[1.0, 2.0]] * 2] * 2]
)
def test_numbers_that_do_not_fit_the_cards_are_refused(edges):
    columns, _ = network(2, 2)
    with pytest.raises(ValueError, match="draw_network: edges must have, .* 2×2, but"):
        draw_network(columns, edges, title="")


def test_drawing_is_public():
    assert autograd.draw_network is draw_network
