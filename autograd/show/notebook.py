"""Pictures in notebooks, also in those that nobody has trusted yet.

There JupyterLab shows no SVG output and strips scripts, styles and frames from HTML,
but it keeps an <img> that has its picture within itself; so do nbviewer and GitHub. Of
a frame it keeps what stands inside, which browsers show only where there is no frame.
"""

from __future__ import annotations

import base64
import html
import re
from typing import Final

READABLE: Final = 0.7  # of its own width: narrower, nobody could read its letters

_unseen = re.compile(r"<(title|desc)\b[^>]*>.*?</\1>", re.S)  # in an <img>

_width = re.compile(  # as it is or, where that is the page's, at most
    r'<svg[^>]*? (?:width="([\d.]+)(?![%\d.])|style="max-width:([\d.]+)px)'
)


def as_image(svg: str, words: str) -> str:
    """An SVG as a piece of HTML that survives where inline SVG would not.

    Where there is less room it shrinks as far as it can be read, and scrolls beyond.

    >>> as_image('<svg xmlns="…" width="9" height="9"></svg>', "A & B")[:52]
    '<div style="overflow-x:auto"><img alt="A &amp; B" wi'
    """
    width = _width.match(svg)
    shown = f' width="{width[1] or width[2]}"' if width else ""
    least = READABLE * float(width[1] or width[2]) if width else 0
    data = base64.b64encode(_unseen.sub("", svg).encode()).decode()
    return (
        f'<div style="overflow-x:auto"><img alt="{html.escape(words)}"{shown} '
        f'style="max-width:100%;min-width:{least:.0f}px;height:auto" '
        f'src="data:image/svg+xml;base64,{data}"></div>'
    )


def picture_outputs(svg: str, words: str) -> dict[str, str]:
    """What a notebook keeps of a picture: SVG, and HTML for where that is hidden."""
    return {"image/svg+xml": svg, "text/html": as_image(svg, words)}


def in_one_file(drawing: str, style: str, scale: float = 1.0) -> str:
    """A drawing of a page as an SVG that stands alone, with the page's style.

    >>> in_one_file('<svg viewBox="0 0 9 4"><g/></svg>', "g {}", 2.0)[39:]
    ' viewBox="0 0 9 4" width="18" height="8"><style>g {}</style><g/></svg>'
    """
    head, _, body = drawing.partition(">")
    head = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    box = re.search(r'viewBox="\S+ \S+ (\S+) (\S+)"', head)
    sides = [f"{scale * float(side):.6g}" for side in box.groups()] if box else []
    size = ' width="{}" height="{}"'.format(*sides) if sides else ""
    return f"{head}{size}><style>{style}</style>{body}"
