"""DOT text to pictures: find a renderer, run it under a time limit, make its SVG safe.

Two renderers lay a graph out alike: the program `dot` of a Graphviz installation, found
through the `graphviz` package, and pygraphviz, whose wheel brings Graphviz along. Both
run in a child process, so that a crash or an endless layout ends there and not here.

Graphviz writes SVG meant for a file of its own. To stand inside a page or a notebook it
loses its prolog, its ids and classes get a prefix of their own, and it gains a title, a
description, tooltips and a rule for dark pages (`embeddable`).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import Final, NoReturn

PAGE: Final = 900.0  # pixels: about what a notebook leaves beside its prompts

_PYGRAPHVIZ: Final = (
    "import sys, warnings; warnings.simplefilter('ignore'); import pygraphviz\n"
    "graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())\n"
    "prog, *options = sys.argv[2:]\n"
    "sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog=prog,\n"
    "                                   args=' '.join(options)))\n"
)
_XLINK: Final = "{http://www.w3.org/1999/xlink}"
_DARK: Final = (
    ("plus", "#58a6ff"), ("minus", "#ff7b72"), ("nan", "#ffa657"),
    ("grey", "#9aa4b2"), ("cluster", "#9aa4b2"), ("graph", "#9aa4b2"),
)  # fmt: skip


def render(dot: str, form: str, seconds: float, *, placed: bool = False) -> bytes:
    """The picture of a DOT text, in a format of Graphviz such as "svg" or "png".

    What is placed already is not laid out.

    Raises RuntimeError where there is no renderer or it fails, TimeoutError where the
    layout takes longer than so many seconds.
    """
    import graphviz  # type: ignore[import-untyped]

    # graphviz's own pipe() takes no time limit
    program = os.fspath(graphviz.backend.DOT_BINARY)
    layout = ["-Kneato", "-n2"] if placed else []
    found = _run([program, *layout, f"-T{form}"], dot, seconds)
    if found is None and importlib.util.find_spec("pygraphviz") is not None:
        layout = ["neato", "-n2"] if placed else ["dot"]
        command = [sys.executable, "-P", "-c", _PYGRAPHVIZ, form, *layout]
        found = _run(command, dot, seconds)
    if found is None:
        raise RuntimeError(
            "draw: a renderer must be installed, but there is neither the program "
            "'dot' nor pygraphviz; install Graphviz (as with 'apt install graphviz') "
            "or run 'pip install pygraphviz'"
        )
    return found


def _run(command: list[str], dot: str, seconds: float) -> bytes | None:
    """What the command writes, or None if there is no such program."""
    try:
        done = subprocess.run(
            command, input=dot.encode(), capture_output=True, timeout=seconds
        )
    except (FileNotFoundError, PermissionError):
        return None
    except subprocess.TimeoutExpired:
        raise TimeoutError(
            f"draw: the layout must take at most {seconds:g} s, but takes "
            "longer; draw a smaller part, such as one neuron or one data point"
        ) from None
    if done.returncode != 0 or not done.stdout:
        _complain(command[0], done)
    return done.stdout


def _complain(program: str, done: subprocess.CompletedProcess[bytes]) -> NoReturn:
    words = done.stderr.decode(errors="replace").split()
    raise RuntimeError(
        f"draw: {os.path.basename(program)} must draw the graph, but ended with code "
        f"{done.returncode} ({' '.join(words)[-200:] or 'no message'}); draw a "
        "smaller part, or install a newer Graphviz"
    )


def embeddable(svg: bytes, dot: str, title: str, description: str) -> str:
    """Graphviz's SVG, made safe to stand in any page beside other drawings.

    Ids and classes begin with a hash of the DOT text: unique to the drawing, and the
    same on every run, so that notebooks kept with their outputs do not change.
    """
    prefix = "ag" + hashlib.sha256(dot.encode()).hexdigest()[:10]
    root = ET.fromstring(svg)
    for element in root.iter():
        _localize(element, prefix)
    for group in root.iter("g"):
        _move_tooltip(group)
    _flatten_links(root)
    _dress(root, prefix, title, description)
    return ET.tostring(root, encoding="unicode") + "\n"


def _localize(element: ET.Element, prefix: str) -> None:
    """Drop namespaces from tags, and prefix what the whole page would share."""
    element.tag = element.tag.rpartition("}")[2]
    for key in ("id", "class"):
        names = element.get(key, "").split()
        if names:
            element.set(key, " ".join(f"{prefix}-{name}" for name in names))
    if "font-family" in element.attrib:
        element.set("font-family", "Helvetica,Arial,sans-serif")


def _move_tooltip(group: ET.Element) -> None:
    """Put the tooltip, which Graphviz hides in a link, where browsers look for it."""
    title = group.find("title")
    if title is None:
        return
    link = group.find("g/a")
    if link is None:
        group.remove(title)
    else:
        title.text = link.get(f"{_XLINK}title")


def _flatten_links(root: ET.Element) -> None:
    """Replace the links, which lead nowhere, by plain groups."""
    for link in root.iter("a"):
        link.tag = "g"
        link.attrib.clear()


def _dress(root: ET.Element, prefix: str, title: str, description: str) -> None:
    width, height = root.get("viewBox", "0 0 0 0").split()[2:]
    root.attrib = {
        "xmlns": "http://www.w3.org/2000/svg",
        "id": prefix,
        "role": "img",
        "aria-labelledby": f"{prefix}-title {prefix}-desc",
        **shown_size(width, height),
        "viewBox": root.get("viewBox", ""),
    }
    heading = ET.Element("title", id=f"{prefix}-title")
    heading.text = title
    body = ET.Element("desc", id=f"{prefix}-desc")
    body.text = description
    style = ET.Element("style")
    style.text = f"@media (prefers-color-scheme:dark){{{_dark_rules(prefix)}}}"
    root[:0] = [heading, body, style]


def shown_size(width: str, height: str) -> dict[str, str]:
    """How large to show it: as it is, or as wide as the page where that is narrower.

    Notebooks put the drawing in an <img>, which heeds no max-width inside; there only
    a width in percent shrinks it.
    """
    style = "max-width:{};height:auto;background:transparent"
    if float(width) <= PAGE:
        return {"width": width, "height": height, "style": style.format("100%")}
    return {"width": "100%", "style": style.format(f"{width}px")}


def _dark_rules(prefix: str) -> str:
    """Lighter arrows and frames; the cards stay as light as they are.

    Texts and frames are addressed by their group's direct children or arrows' links, so
    that no rule reaches into a card.
    """
    rules = []
    for name, colour in _DARK:
        group = f"#{prefix} .{prefix}-{name}"
        inside = ">" if name in ("cluster", "graph") else " "
        rules.append(
            f"{group}{inside}text{{fill:{colour}}}"
            f"{group}{inside}path{{stroke:{colour}}}"
        )
        if inside == " ":
            rules.append(f"{group} polygon{{stroke:{colour};fill:{colour}}}")
    return "".join(rules)
