"""A sweep over Values as an SVG that plays by itself, without a script."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Final

from ...primitives import clean
from ..draw.cards import Picture
from ..draw.dot import largest_of
from .clock import Clock
from .scene import (
    Layout,
    adjoint_svg,
    arrow_svg,
    card_svg,
    frame_svg,
    resource,
    sign,
    stroke,
    top_adjoint,
)
from .steps import Step

# ---- an SVG that plays by itself -----------------------------------------------------

STEP_SECONDS, REST_SECONDS = 1.8, 5.0
CAPTION, LINE_HEIGHT, LETTER = 76, 19, 7.6  # characters of a line, pixels of both


def _shown(clock: Clock, step: int, end: int | None = None) -> str:
    """The class of what is seen from one step on, until another or for good."""
    until = None if end is None else end * STEP_SECONDS
    return clock.shown(step * STEP_SECONDS, until)


def animated(title: str, steps: list[Step], picture: Picture, layout: Layout) -> str:
    clock = Clock(len(steps) * STEP_SECONDS + REST_SECONDS)
    frames = [frame_svg(*frame) for frame in layout.frames]
    arrows = _animated_arrows(steps, picture, layout, clock)
    cards = _animated_cards(steps, picture, layout, clock)
    drawing = "\n".join([*frames, *arrows, *cards])
    captions = [_caption_lines(step) for step in steps]
    ends = [*range(1, len(steps)), None]
    top = layout.height + 30
    text = "\n".join(
        _caption_svg(lines, top, _shown(clock, i, end))
        for i, (lines, end) in enumerate(zip(captions, ends))
    )
    width = round(max(layout.width, CAPTION * LETTER)) + 40
    height = round(top + max(map(len, captions)) * LINE_HEIGHT) + 16
    middle = (width - 40 - layout.width) / 2
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" class="drawing" role="img" '
        f'aria-labelledby="title desc" width="{width}" height="{height}" '
        f'viewBox="-20 -16 {width} {height}">'
        f'<title id="title">{html.escape(title)}</title>'
        f'<desc id="desc">{html.escape(" ".join(captions[-1]))}</desc>'
        f"<style>{resource('player.css')}{_PLAYING}{clock.style}</style>"
        f'<rect class="page" x="-20" y="-16" width="{width}" height="{height}" '
        f'rx="10"/><g transform="translate({middle:.1f} 0)">{drawing}</g>{text}</svg>\n'
    )


_PLAYING: Final = (
    ".page{fill:var(--page)}.outline{visibility:visible}"
    ".arrow.lit{fill:var(--lit);stroke:var(--lit);stroke-width:2.5}"
    ".drawing .arrow.lit text{font-weight:bold}"
    ".drawing .caption{font-family:ui-monospace,Menlo,Consolas,monospace;"
    "font-size:12.5px}.drawing .caption:first-child{font-weight:bold}"
)


def _animated_arrows(
    steps: list[Step], picture: Picture, layout: Layout, clock: Clock
) -> Iterator[str]:
    """Each arrow in grey, then coloured by what has flowed back, and lit in between.

    It points the way things flow: onward in grey, and backward in colour.
    """
    most = largest_of(arrow.flow for arrow in picture.arrows)
    for k, (arrow, curve) in enumerate(zip(picture.arrows, layout.arrows)):
        lit = [i for i, step in enumerate(steps) if k in step.arrows]
        turned = next((i for i in lit if steps[i].back), None)
        grey = _shown(clock, 0, turned)
        yield arrow_svg(arrow, curve, grey, label=_shown(clock, lit[0]))
        wide = f'style="stroke-width:{stroke(arrow, most)}"'
        for i in lit:
            if steps[i].back:
                classes = f"back {sign(arrow.flow)} {_shown(clock, i)}"
                yield arrow_svg(arrow, curve, classes, wide)
            back = "back " if steps[i].back else ""
            yield arrow_svg(arrow, curve, f"lit {back}{_shown(clock, i, i + 1)}")


def _animated_cards(
    steps: list[Step], picture: Picture, layout: Layout, clock: Clock
) -> Iterator[str]:
    """Each card, with every adjoint that it has in turn, and an outline while lit."""
    top = top_adjoint(picture)
    for c, (card, place) in enumerate(zip(picture.cards, layout.cards)):
        known = next(i for i, step in enumerate(steps) if c in step.values)
        changes: list[tuple[int, float | None]] = [(0, None)]
        for i, step in enumerate(steps):
            changes += [(i, adjoint) for at, adjoint in step.adjoints if at == c]
        ends = [*(i for i, _ in changes[1:]), None]
        adjoints = "".join(
            adjoint_svg(adjoint, top, place[2], _shown(clock, i, end))
            for (i, adjoint), end in zip(changes, ends)
        )
        outlines = "".join(
            f'<rect class="outline {_shown(clock, i, i + 1)}" {{0}}/>'
            for i, step in enumerate(steps)
            if step.card == c
        )
        shown = _shown(clock, known)
        yield card_svg(card, place, adjoints, value=shown, outline=outlines)


def _caption_lines(step: Step) -> list[str]:
    """What the step says, on lines of a fixed width."""
    lines = [step.head]
    for first, *parts in step.lines:
        lines.append(first)
        for part in parts:
            if len(lines[-1]) + len(part) < CAPTION:
                lines[-1] += f" {part}"
            else:
                lines.append(f"  {part}")
    return [clean(line, CAPTION) for line in lines]


def _caption_svg(lines: list[str], top: float, classes: str) -> str:
    rows = "".join(
        f'<text class="caption" y="{top + i * LINE_HEIGHT:g}">{html.escape(line)}'
        "</text>"
        for i, line in enumerate(lines)
    )
    return f'<g class="{classes}">{rows}</g>'
