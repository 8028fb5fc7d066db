"""Times of a picture that plays by itself: CSS classes, and no script.

A class shows something from one moment of the round to another, or moves it meanwhile.
Where people ask for less motion nothing moves, and the picture rests at its end: what
is there for good is seen, and what comes and goes is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

FADE: Final = 0.36  # seconds
CALM: Final = "@media (prefers-reduced-motion:no-preference)"

Point = tuple[float, float]


@dataclass
class Clock:
    """A round of so many seconds, and the rules of the classes that it gave away."""

    seconds: float
    rules: dict[str, str] = field(default_factory=dict)

    def shown(self, start: float, end: float | None = None) -> str:
        """The class of what is seen from start until end, or for good."""
        if start <= 0 and end is None:
            return ""
        name = f"t{_digits(start)}" + ("" if end is None else f"-{_digits(end)}")
        if name not in self.rules:
            a, b = self.percent(start), 100.0 if end is None else self.percent(end)
            full = self.percent(start + FADE) if start > 0 else 0.0
            frames = f"{full:.3f}%,{b:.3f}%{{opacity:1}}"
            if start > 0:
                frames = f"0%,{a:.3f}%{{opacity:0}}{frames}"
            if end is not None:
                frames += f"{b + 0.001:.3f}%,to{{opacity:0}}"
            self._add(name, frames, rests=end is None)
        return name

    def moved(self, start: float, end: float, path: tuple[Point, Point]) -> str:
        """The class of what runs along a line meanwhile, and is not seen at rest."""
        name = f"m{len(self.rules)}"
        (x1, y1), (x2, y2) = path
        a, b = self.percent(start), self.percent(end)
        here = f"transform:translate({x1:g}px,{y1:g}px)"
        there = f"transform:translate({x2:g}px,{y2:g}px)"
        self._add(
            name,
            f"0%,{a:.3f}%{{opacity:0;{here}}}{a + 0.001:.3f}%{{opacity:1;{here}}}"
            f"{b:.3f}%{{opacity:1;{there}}}{b + 0.001:.3f}%,to{{opacity:0;{there}}}",
            rests=False,
        )
        return name

    def percent(self, second: float) -> float:
        return 100 * second / self.seconds

    def _add(self, name: str, frames: str, *, rests: bool) -> None:
        self.rules[name] = (
            f"@keyframes {name}{{{frames}}}"
            + ("" if rests else f".{name}{{opacity:0}}")
            + f"{CALM}{{.{name}{{animation:{name} {self.seconds:g}s linear infinite}}}}"
        )

    @property
    def style(self) -> str:
        return "".join(self.rules.values())


def _digits(second: float) -> str:
    return f"{round(100 * second)}"
