"""One sweep, played step by step: forward, then the error flows backward.

A step computes one Value or one neuron, or passes adjoints on. Python works out every
step: its cards and arrows, its arithmetic in words and numbers, the adjoints that it
changes. The page (`player.html`, in the colours of `player.css`) has a script that
shows them and computes nothing (`player.js`). Where no script may run, an SVG does.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from string import Template
from typing import Any, Final, Protocol, overload

from ...files import require_suffix, write_file
from ...primitives import brief, clean
from ...value import Value
from ..draw.cards import Picture
from ..notebook import as_image, in_one_file
from .animated import animated
from .network.animated import animated_network, can_follow
from .network.cast import Cast
from .network.played import Playable
from .network.scene import NetworkScene
from .network.steps import network_steps
from .scene import Layout, laid_out, opacity, resource, sign, still, top_adjoint
from .steps import Step, Sweep, require_playable

MOST_MOVING: Final = 12  # Values, whose moving picture is small
TALL: Final = 420.0  # pixels: beside such a drawing, text stands on the left


@overload
def player(y: Value) -> Player: ...
@overload
def player(y: Playable, *args: Any, **options: Any) -> Player: ...
def player(y: Any, *args: Any, **options: Any) -> Player:
    """Play how y was computed, and how its derivative flows back to the inputs.

    >>> x = Value(1.5, label="x")
    >>> played = player((x**2).sin())
    >>> for step in played.steps:
    ...     print(step.head, *[" ".join(line) for line in step.lines], sep="; ")
    Start: the inputs hold their numbers; x = 1.5
    Forward 1 of 2; u = x² = 1.5² = 2.25; local derivative du/dx = 2·x = 3
    Forward 2 of 2; y = sin(u) = sin(2.25) = 0.7780732; local derivative ...
    Backward begins at the result; y's adjoint = dy/dy = 1
    Backward 1 of 2; u's adjoint += dy/du · (adjoint of y) = (-0.62817362) · 1 = ...
    Backward 2 of 2; x's adjoint += du/dx · (adjoint of u) = 3 · (-0.62817362) = ...
    Done: the adjoints of the inputs are the derivatives; dy/dx = dy/du · du/dx ...

    A notebook shows it; `save(path)` writes the page. It sweeps by itself: no `grad`
    matters to it, and none changes.

    A network of neurons is played by neurons, at a point and its target: `player(model,
    x, y)`, with `loss=` for another loss than the mean squared error. Anything with a
    method `_play_` can be.

    Raises TypeError for anything else; ValueError if y depends on more than 300 Values,
    or if a leaf was assigned since.
    """
    if not isinstance(y, Value):
        return _played(y, args, options)
    if args or options:
        raise TypeError(
            "player: a Value must be alone, but more was given; write player(y), or "
            "player(model, x, y) to play a network"
        )
    require_playable(y)
    sweep = Sweep(y)
    return Player(sweep.title, sweep.steps, Graph(sweep.picture))


def _played(y: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Player:
    if not hasattr(y, "_play_"):
        raise TypeError(
            f"player: y must be a Value, but is {brief(y)} ({type(y).__name__}); "
            "compute it from Values, as in x = Value(1.5); player(x.sin()), or pass a "
            "network and its point, player(model, x, y)"
        )
    if not args:
        raise TypeError(
            "player: x and y must be given with a network, but are not; write "
            "player(model, x, y), with a point and its target"
        )
    play = y._play_(*args, **options)
    cast = Cast(play)
    return Player(clean(play.title, 120), network_steps(cast), Network(cast))


class Scene(Protocol):
    """The drawing that the steps play on."""

    @property
    def height(self) -> float: ...
    @property
    def top(self) -> float:
        """The largest adjoint."""

    @property
    def digits(self) -> int: ...
    @property
    def legend(self) -> str:
        """What a card shows, in a sentence."""

    @property
    def scale(self) -> float:
        """How much larger than it is a still of it should be."""

    @property
    def moves(self) -> bool:
        """Whether it is small enough to be a moving picture."""

    def still(self) -> str: ...
    def animated(self, title: str, steps: list[Step]) -> str: ...


@dataclass(frozen=True)
class Graph:
    """A graph of Values as a scene."""

    picture: Picture
    digits, scale = 6, 1.0
    legend = "A dash: no adjoint yet."

    @cached_property
    def layout(self) -> Layout:
        return laid_out(self.picture)

    @property
    def height(self) -> float:
        return self.layout.height

    @property
    def moves(self) -> bool:
        return self.picture.count <= MOST_MOVING

    @property
    def top(self) -> float:
        return top_adjoint(self.picture)

    def still(self) -> str:
        return still(self.picture, self.layout)

    def animated(self, title: str, steps: list[Step]) -> str:
        return animated(title, steps, self.picture, self.layout)


@dataclass(frozen=True)
class Network(NetworkScene):
    """A network of neurons as a scene."""

    @property
    def moves(self) -> bool:
        return can_follow(self.cast.play)

    def animated(self, title: str, steps: list[Step]) -> str:
        return animated_network(self.cast.play)


@dataclass(frozen=True)
class Player:
    """What `player` gives: shown by notebooks, written by `save` and `animated_svg`."""

    title: str
    steps: list[Step] = field(repr=False)
    scene: Scene = field(repr=False)

    @cached_property
    def html(self) -> str:
        """The page: one HTML document that asks for nothing from anywhere.

        Raises RuntimeError without a renderer, TimeoutError where the layout takes too
        long.
        """
        script = resource("player.js")
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        return Template(resource("player.html")).substitute(
            title=html.escape(self.title),
            drawing_style=resource("player.css"),
            drawing=self.scene.still(),
            steps=_json(self.steps, self.scene),
            legend=self.scene.legend,
            last=len(self.steps) - 1,
            rows=self._rows,
            shape="tall" if self.scene.height > TALL else "wide",
            script=script,
            script_hash=f"sha256-{digest}",
        )

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the page and return the path; `#step=12` in its address opens a step.

        Raises as `html` does, and OSError where the file cannot be written (it is then
        left as it was).
        """
        require_suffix(path, ".html", "player")
        return write_file(path, self.html.encode(), "player")

    def animated_svg(self, path: str | os.PathLike[str] | None = None) -> str:
        """The steps as an SVG that plays by itself, without a script, or its path.

        Where people ask for less motion it shows the end. Raises as `save` does, and
        ValueError for a network too large to follow so.
        """
        if path is not None:
            require_suffix(path, ".svg", "player")
        svg = self.scene.animated(self.title, self.steps)
        return svg if path is None else write_file(path, svg.encode(), "player")

    def _repr_html_(self) -> str:
        scene = max(180.0, min(self.scene.height, 560.0))
        height = min(900, round(180 + 23 * self._rows + scene))
        return (
            f'{_FOLLOW_THEME}<iframe class="autograd-player" '
            f'title="{html.escape(self.title)}" sandbox="allow-scripts" '
            f'style="width:100%;height:{height}px;border:0" '
            f'srcdoc="{html.escape(self.html)}">{self._picture}</iframe>'
        )

    @property
    def _picture(self) -> str:
        """What is seen where a frame is not: the moving picture, or a still one."""
        if self.scene.moves:
            svg = self.animated_svg()
        else:
            style, scale = resource("player.css"), self.scene.scale
            svg = in_one_file(self.scene.still(), style, scale)
        return as_image(svg, self.title)

    @property
    def _rows(self) -> int:
        return max(2, 1 + max(len(step.lines) for step in self.steps))


# A page in a frame is light or dark as its frame is. JupyterLab says what that is since
# version 4.1, and by an attribute before; so do VS Code and Colab by theirs.
_FOLLOW_THEME: Final = (
    "<style>"
    "[data-jp-theme-light=true] .autograd-player,"
    "[data-vscode-theme-kind$=light] .autograd-player,"
    "[theme=light] .autograd-player{color-scheme:light}"
    "[data-jp-theme-light=false] .autograd-player,"
    "[data-vscode-theme-kind$=dark] .autograd-player,"
    "[theme=dark] .autograd-player{color-scheme:dark}"
    "</style>"
)


def _json(steps: list[Step], scene: Scene) -> str:
    """The steps for the script, safe inside an HTML page: numbers as Python's repr."""
    rows = [
        {
            **{k: getattr(step, k) for k in ("head", "lines", "card", "fed", "arrows")},
            "values": step.values,
            "back": step.back,
            "adjoints": [_adjoint(i, x, scene) for i, x in step.adjoints],
        }
        for step in steps
    ]
    text = json.dumps(rows, separators=(",", ":"), ensure_ascii=False)
    for unsafe in "<>&\u2028\u2029":
        text = text.replace(unsafe, f"\\u{ord(unsafe):04x}")
    return text


def _adjoint(card: int, x: float, scene: Scene) -> tuple[int, str, str, str, float]:
    """A card's adjoint: exact, as shown, its colour and how strong that is."""
    shown = f"{x:.{scene.digits}g}"
    return card, repr(x), shown, sign(x), round(opacity(x, scene.top), 2)
