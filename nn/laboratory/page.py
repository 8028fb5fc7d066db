"""The laboratory: choices combined, trained, and put on one page."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from string import Template
from typing import Any, Final

from tqdm import tqdm

from autograd import write_file

from .choices import COSTS, DATA, NAMES, STARTS, Choice, combinations, whole
from .numbers import LENGTH, packed
from .record import Training, curve_stride, frame_length, frame_steps, train
from .surprises import parameter_names, surprise

MOST_TRAININGS: Final = 400
MOST_BYTES: Final = 10_000_000
MOST_STEPS, MOST_FRAMES = 5000, 200
PAGE, WORDS = 56_000, 2_400  # bytes: of the page itself, and of a training's words
SCRIPTS: Final = ("forward.js", "pictures.js", "words.js", "page.js")
FRAME_HEIGHT, ALONE = 690, 640  # pixels, in a notebook: of many trainings, of one

Options = Any  # one choice, or a list of them


def lab(
    cost: Options = ("squared error", "cross-entropy", "hinge"),
    rate: Options = (0.03, 0.3, 3.0),
    data: Options = "xor",
    activation: Options = "tanh",
    depth: Options = 1,
    width: Options = 4,
    seed: Options = 0,
    start: Options = "random",
    *,
    steps: int = 300,
    frames: int = 40,
    progress: bool = True,
) -> Lab:
    """Train every combination of the choices, for one page to play with.

    cost        "squared error", "squared error on a sigmoid", "cross-entropy", "hinge"
    rate        γ, of gradient descent over all points: w ← w - γ · ∂L/∂w
    data        "xor", "moons", "circles", "spiral"
    activation  "tanh", "relu", "leaky_relu", "sigmoid", "softplus", "silu", "sin",
                "linear", of the hidden layers
    depth       how many hidden layers, up to 6, and width, of how many neurons, up to 8
    seed        of the weights
    start       "random"; "equal", all weights at 0.5; "sure", the output's bias at 20
    steps       of each training, of which some are shown as frames

    Each may be a list, and all combinations are trained: what that makes is said first,
    to standard error, unless progress is False. A notebook shows the page, and
    `.save(path)` writes it. `+` puts the trainings of two labs on one page.

    >>> found = lab(rate=[0.3, 1.0], cost="squared error", steps=20, progress=False)
    >>> found
    Lab(2 trainings, 28 frames)
    >>> [training.diverged for training in found.trainings]
    [False, True]
    >>> found.trainings[0].losses[20] < found.trainings[0].losses[0]
    True

    Raises ValueError for a choice it does not know, and for more than 400 trainings or
    10 MB: before it trains.
    """
    lists = dict(zip(NAMES, (cost, rate, data, activation, depth, width, seed, start)))
    choices = combinations(lists)
    steps = whole("steps", steps, 1, MOST_STEPS)
    frames = whole("frames", frames, 2, MOST_FRAMES)
    size = page_size(choices, steps, frames)
    _require_size(len(choices), size)
    if progress:
        tqdm.write(
            f"lab: {_count(len(choices), 'training')} of up to {steps} steps, a page "
            f"of at most {size / 1000:.0f} kB",
            file=sys.stderr,
        )
    bar = tqdm(choices, disable=not progress, unit="training")
    return Lab([train(choice, steps, frames) for choice in bar])


def page_size(choices: Sequence[Choice], steps: int, frames: int) -> int:
    """How many bytes the page will have at most, by the numbers that it holds."""
    shown = len(frame_steps(steps, frames))
    on_curve = steps // curve_stride(steps) + 2
    numbers = sum(
        shown * frame_length(choice) + on_curve * (len(choice.nouts) + 1)
        for choice in choices
    )
    return PAGE + WORDS * len(choices) + LENGTH * numbers


def _require_size(count: int, size: int) -> None:
    if count > MOST_TRAININGS or size > MOST_BYTES:
        raise ValueError(
            f"lab: the page must hold at most {MOST_TRAININGS} trainings and "
            f"{MOST_BYTES / 1e6:g} MB, but would hold {count} and {size / 1e6:.1f} MB; "
            "shorten the longest list, or ask for fewer frames"
        )


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


@dataclass(frozen=True, repr=False)
class Lab:
    """What `lab` gives: shown by notebooks, written by `save`, joined by `+`."""

    trainings: list[Training] = field()

    def __repr__(self) -> str:
        frames = sum(len(training.frames) for training in self.trainings)
        count = _count(len(self.trainings), "training")
        return f"Lab({count}, {_count(frames, 'frame')})"

    def __add__(self, other: Lab) -> Lab:
        """Both labs' trainings, each choice once.

        Raises ValueError where one page would be too large for them.
        """
        if not isinstance(other, Lab):
            return NotImplemented
        found = {t.choice: t for t in (*other.trainings, *self.trainings)}
        order = dict.fromkeys(t.choice for t in (*self.trainings, *other.trainings))
        joined = [found[choice] for choice in order]
        size = sum(page_size([t.choice], t.steps, len(t.frames)) - PAGE for t in joined)
        _require_size(len(joined), PAGE + size)
        return Lab(joined)

    @cached_property
    def html(self) -> str:
        """The page: one HTML document that asks for nothing from anywhere."""
        script = "".join(map(_resource, SCRIPTS))
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        return Template(_resource("page.html")).substitute(
            title=self._title,
            style=_resource("page.css"),
            content=_json(_content(self.trainings)),
            script=script,
            script_hash=f"sha256-{digest}",
        )

    @property
    def _title(self) -> str:
        names = {training.choice.data for training in self.trainings}
        return "The XOR laboratory" if "xor" in names else "The laboratory"

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the page and return the path.

        `#training=3&frame=12` in its address opens a frame. Raises OSError where the
        file cannot be written (it is then left as it was).
        """
        return write_file(path, self.html.encode(), "lab")

    def _repr_html_(self) -> str:
        height = ALONE if len(self.trainings) == 1 else FRAME_HEIGHT
        return (
            f'{_FOLLOW_THEME}<iframe class="autograd-lab" title="Laboratory" '
            'sandbox="allow-scripts" '
            f'style="width:100%;height:{height}px;border:0" '
            f'srcdoc="{html.escape(self.html)}">{_UNTRUSTED}</iframe>'
        )


_UNTRUSTED: Final = (
    "The laboratory is shown once this cell is run, or the notebook is trusted "
    "(jupyter trust)."
)  # where a notebook leaves frames out

# A frame is light or dark as the notebook around it is.
_FOLLOW_THEME: Final = (
    "<style>"
    "[data-jp-theme-light=true] .autograd-lab,[data-vscode-theme-kind$=light] "
    ".autograd-lab,[theme=light] .autograd-lab{color-scheme:light}"
    "[data-jp-theme-light=false] .autograd-lab,[data-vscode-theme-kind$=dark] "
    ".autograd-lab,[theme=dark] .autograd-lab{color-scheme:dark}"
    "</style>"
)


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


# ---- what the script reads -----------------------------------------------------------


def _content(trainings: Sequence[Training]) -> dict[str, Any]:
    options = {
        name: list(dict.fromkeys(getattr(t.choice, name) for t in trainings))
        for name in NAMES
    }
    for name in ("rate", "depth", "width", "seed"):
        options[name].sort()
    nets = {_net(t): [2, *t.choice.nouts] for t in trainings}
    return {
        "options": options,
        "starts": {name: STARTS[name] for name in options["start"]},
        "costs": {name: COSTS[name].threshold for name in options["cost"]},
        "data": {name: _data(name) for name in options["data"]},
        "nets": {
            name: {"widths": widths, "names": parameter_names(widths)}
            for name, widths in nets.items()
        },
        "trainings": [_training(t, options) for t in trainings],
    }


def _net(training: Training) -> str:
    return "-".join(map(str, [2, *training.choice.nouts]))


def _data(name: str) -> dict[str, Any]:
    data = DATA[name]()
    return {
        "points": data.points, "targets": data.targets, "watched": data.watched,
        "low": data.low, "high": data.high,
    }  # fmt: skip


def _training(training: Training, options: dict[str, list[Any]]) -> dict[str, Any]:
    choice, found = training.choice, surprise(training)
    stride = training.stride
    curve = [
        x
        for loss, sizes in zip(training.losses[::stride], training.sizes[::stride])
        for x in (loss, *sizes)
    ]
    return {
        "at": [options[name].index(getattr(choice, name)) for name in NAMES],
        "net": _net(training),
        "activation": choice.activation,
        "steps": [frame.step for frame in training.frames],
        "frames": packed(x for frame in training.frames for x in frame.numbers),
        "stride": stride,
        "curve": packed(curve),
        "learned": training.learned,
        "diverged": training.diverged,
        "code": choice.code,
        "surprise": None if found is None else vars(found),
    }


def _json(content: dict[str, Any]) -> str:
    """The content for the script, safe inside an HTML page."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    for unsafe in "<>&\u2028\u2029":
        text = text.replace(unsafe, f"\\u{ord(unsafe):04x}")
    return text
