"""A graph of Values as a picture: one card per Value, one arrow per local derivative.

A card says what a Value is (its label, the operation), its number and its gradient; a
dash stands where no sweep has been. An arrow carries the local derivative, the factor
of the chain rule; what flows back along it in the sweep, that factor times the adjoint
of the result, gives its colour (blue above zero, red below) and its width.

Leaves with dotted labels ("layers.0.neurons.1.w0") are parameters, and what is computed
from one neuron's parameters is framed with them. A graph too large for that shows each
neuron as one card, and one that is larger still is refused with advice.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from ...files import require_suffix, write_file
from ...primitives import brief, clean
from ...value import Value
from ..inside import opened
from ..latex import made_by, require_switch
from ..notebook import picture_outputs
from .cards import Picture, all_values, detailed, neurons_of
from .collapsed import by_neuron, layer_of, loss_of
from .dot import CROWDED, dot_text, size_note
from .render import embeddable, render
from .saving import save_picture

LIMIT: Final = 2000  # Values
ARROWS: Final = 4 * LIMIT
LAYOUT_SECONDS, NOTEBOOK_SECONDS = 20.0, 5.0


@dataclass(frozen=True)
class Drawing:
    """A drawn graph: shown by notebooks, written by `save`, `svg` and `png`.

    `dot` is its text in Graphviz's language, `title` and `description` its words.
    """

    dot: str = field(repr=False)
    title: str
    description: str = field(repr=False)

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write an SVG, PNG or PDF, as the path's suffix says, and return the path.

        PNG and PDF stand on a white ground. Raises ValueError for another suffix, and
        else as `svg` does.
        """
        writers = {
            ".svg": lambda: self._svg.encode(),
            ".png": lambda: self._rendered("png"),
            ".pdf": lambda: self._rendered("pdf"),
        }
        return save_picture(path, writers, "draw")

    def _rendered(self, form: str) -> bytes:
        opaque = self.dot.replace("bgcolor=transparent", "bgcolor=white", 1)
        return render(opaque, form, LAYOUT_SECONDS)

    def svg(self, path: str | os.PathLike[str] | None = None) -> str:
        """The SVG text or, given a path, the path it is written to.

        Raises RuntimeError without a renderer, TimeoutError where the layout takes too
        long, OSError where the file cannot be written (it is then left as it was).
        """
        if path is None:
            return self._svg
        require_suffix(path, ".svg", "draw")
        return write_file(path, self._svg.encode(), "draw")

    def png(self, path: str | os.PathLike[str]) -> str:
        """Write a PNG on a white ground and return its path; raises as `svg` does."""
        require_suffix(path, ".png", "draw")
        return write_file(path, self._rendered("png"), "draw")

    def _repr_svg_(self) -> str:
        return self._svg

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        return picture_outputs(self._svg, self.title)

    @cached_property
    def _svg(self) -> str:
        return self.laid_out(LAYOUT_SECONDS)

    def laid_out(self, seconds: float) -> str:
        """The SVG text, if the layout is done in so many seconds; else TimeoutError."""
        svg = render(self.dot, "svg", seconds)
        return embeddable(svg, self.dot, self.title, self.description)


def draw(y: Any, inside: bool = False) -> Drawing:
    """The picture of how y, a Value or several in a list, was computed.

    Each Value has a card; a network of more than 120 Values has one for each neuron.
    The layout is made later, when the picture is asked for.

    >>> x = Value(1.5, label="x")
    >>> picture = draw((x**2).sin().exp())
    >>> picture.description
    'A graph of 4 Values, from operands on the left to results on the right. ...'

    A call of a compiled function is one card; with inside=True it is a frame, in which
    its operations have their cards, at these numbers and with their adjoints.

    Anything else is drawn by its own method `_draw_`, which returns a drawing; without
    one it raises TypeError. Above 2000 Values, and where a leaf was assigned since the
    graph was recorded, this raises ValueError.
    """
    require_switch("draw", inside)
    if not isinstance(y, Value | list | tuple):
        if not hasattr(y, "_draw_"):
            raise _no_value("y", y)
        drawn: Drawing = y._draw_()
        return drawn
    roots = [y] if isinstance(y, Value) else list(y)
    if not roots:
        raise ValueError(
            f"draw: y must hold at least one Value, but is {brief(y)}; pass the results"
        )
    for i, root in enumerate(roots):
        if not isinstance(root, Value):
            raise _no_value(f"y[{i}]", root)
    _require_drawable(roots)
    if not inside:
        return _drawing(roots, {})
    shown = opened(roots, "draw")
    _require_drawable(shown.roots)
    return _drawing(shown.roots, shown.calls)


def value_outputs(y: Value) -> dict[str, str]:
    """All that a notebook keeps of a Value's graph; nothing where `value_svg` is None.

    A notebook then shows its repr alone.
    """
    svg = value_svg(y)
    name = clean(y.label or made_by(y) or "a leaf", 40)
    return {} if svg is None else picture_outputs(svg, f"Graph of {name}")


def value_svg(y: Value) -> str | None:
    """What a notebook shows for a Value: its graph, or None to fall back on its repr.

    A cell must not fail for showing its last line, so this is None where `draw` raises:
    too large a graph, a leaf assigned since (as after a training step), no renderer;
    and where the layout takes more than a moment. `draw(y)` says which.
    """
    try:
        return draw(y).laid_out(NOTEBOOK_SECONDS)
    except (ValueError, RuntimeError, OSError):
        return None


# ---- what can be drawn ---------------------------------------------------------------


def _no_value(name: str, y: object) -> TypeError:
    return TypeError(
        f"draw: {name} must be a Value, but is {brief(y)} ({type(y).__name__}); pass "
        "the result of a computation on Values, or a list of such results"
    )


def _require_drawable(roots: list[Value]) -> None:
    """Raise if the graph is too large, walking no further than it takes to know."""
    seen, todo, arrows = set(roots), [*roots], 0
    while todo and len(seen) <= LIMIT and arrows <= ARROWS:
        args = todo.pop().args
        arrows += len(args)
        new = {arg for arg in args if isinstance(arg, Value)} - seen
        seen |= new
        todo += new
    if len(seen) > LIMIT or arrows > ARROWS:
        raise ValueError(
            f"draw: y must depend on at most {LIMIT} Values (as {ARROWS} operands), "
            "but depends on more; draw a smaller part, such as one neuron, one data "
            "point or an intermediate result"
        )


# ---- which picture -------------------------------------------------------------------


def _drawing(roots: list[Value], calls: dict[Value, str]) -> Drawing:
    """The drawing; `calls` names the frame of what is inside compiled calls."""
    values = all_values(roots)
    home = neurons_of(values) | calls
    collapse = len(values) > CROWDED and any(map(layer_of, home.values()))
    picture = by_neuron(values, home) if collapse else detailed(values, home)
    names = [clean(root.label or made_by(root) or "a leaf", 40) for root in roots]
    if collapse and loss_of(values, home) is not None:
        names = ["L"]
    title = "Graph of " + ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return Drawing(dot_text(picture), title, _description(picture))


def _description(picture: Picture) -> str:
    note = size_note(picture)
    return (
        f"A graph of {picture.count} Values, from operands on the left to results on "
        "the right. A card shows a value and its gradient, a dash where no sweep has "
        "been; an arrow shows the local derivative, in blue where what flows back is "
        "above zero, in red below, wider where it is larger, dotted where a choice "
        f"left the operand out.{' ' if note else ''}{note}"
    )
