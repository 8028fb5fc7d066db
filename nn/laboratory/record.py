"""A training as it happened: weights, activations, δ and pulls, step by step.

The steps are those one writes by hand: loss, backward, step. The weights of every step
are kept; some steps become frames, and at these the engine is asked for more: what each
watched point adds to ∂L/∂w of every weight, by a sweep of that point's share alone.

    step    so many steps have been made before     pull   ∂L/∂w of one point's share
    frame   a step that the page shows
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import hypot
from typing import Final

from autograd import Value

from ..layers import MLP
from ..losses import accuracy
from ..module import give_all
from ..optim import SGD
from ..textbook import forward
from .choices import COSTS, Choice, Floats
from .numbers import in_two

GONE: Final = 1e6  # a loss from which on the training has diverged
EARLY: Final = 1.7  # frames are closer at the beginning, where more happens
MOST_ON_CURVE: Final = 400


@dataclass(frozen=True)
class Frame:
    """All that the page shows of one step; lists by watched point where nested."""

    step: int
    loss: float
    right: int  # points of the data on the right side
    weights: Floats  # every parameter, in the order of model.parameters()
    gradient: Floats  # ∂L/∂w of each, over all points
    pulls: list[Floats]
    z: list[Floats]  # of every neuron, layer after layer
    a: list[Floats]

    @property
    def numbers(self) -> Floats:
        """In the order in which the page's script reads them."""
        weights = [part for w in self.weights for part in in_two(w)]
        found = [self.loss, float(self.right), *weights, *self.gradient]
        for rows in (self.pulls, self.z, self.a):
            found += [x for row in rows for x in row]
        return found


def frame_length(choice: Choice) -> int:
    """How many numbers a frame has.

    >>> from .choices import Choice
    >>> frame_length(Choice("hinge", 0.1, "xor", "tanh", 1, 4, 0, "random"))
    161
    """
    widths = [2, *choice.nouts]
    weights = sum((a + 1) * b for a, b in zip(widths, widths[1:]))
    watched = len(choice.points.watched)
    return 2 + 3 * weights + watched * (weights + 2 * sum(choice.nouts))


@dataclass(frozen=True)
class Training:
    """One training: a loss and each layer's gradient for every step, and its frames."""

    choice: Choice
    steps: int  # asked for
    diverged: bool
    losses: Floats
    sizes: list[Floats]  # by step: ‖∂L/∂W‖ of each layer
    path: list[Floats] = field(repr=False)  # by step: every parameter
    frames: list[Frame] = field(repr=False)

    @property
    def last(self) -> int:
        """The last step that was reached."""
        return len(self.losses) - 1

    def model(self, step: int) -> MLP:
        """The network as it was at a step."""
        model = self.choice.model()
        give_all(model.parameters(), "data", self.path[step])
        return model

    @cached_property
    def learned(self) -> bool:
        return self.frames[-1].right == len(self.choice.points.points)

    @property
    def stride(self) -> int:
        """One of so many steps is on the curves."""
        return curve_stride(self.steps)


def curve_stride(steps: int) -> int:
    return -(-(steps + 1) // MOST_ON_CURVE)


def frame_steps(last: int, frames: int) -> list[int]:
    """The steps that become frames, close at first.

    >>> frame_steps(300, 5), frame_steps(3, 40)
    ([0, 28, 92, 184, 300], [0, 1, 2, 3])
    """
    if last < frames:
        return [*range(last + 1)]
    share = [(k / (frames - 1)) ** EARLY for k in range(frames)]
    return sorted({max(k, round(last * part)) for k, part in enumerate(share)})


def train(choice: Choice, steps: int, frames: int) -> Training:
    """Train for so many steps, or until it diverges, and record it."""
    model = choice.model()
    parameters = model.parameters()
    sgd = SGD(parameters, lr=choice.rate)
    losses, sizes, path = [], [], []
    for step in range(steps + 1):
        loss = choice.loss(model)
        sgd.zero_grad()
        loss.backward()
        losses.append(loss.data)
        sizes.append(_sizes(model))
        path.append([p.data for p in parameters])
        if step == steps or not _moved(sgd, loss):
            break
    diverged = not losses[-1] < GONE or len(losses) <= steps
    shown = frame_steps(len(losses) - 1, frames)
    recorded = [_frame(choice, model, step, path[step]) for step in shown]
    return Training(choice, steps, diverged, losses, sizes, path, recorded)


def _moved(sgd: SGD, loss: Value) -> bool:
    """Whether a step was made: none is from where all is lost."""
    if not loss.data < GONE:
        return False
    try:
        sgd.step()
    except FloatingPointError:
        return False
    return True


def _sizes(model: MLP) -> Floats:
    return [
        hypot(*(w.grad for neuron in layer.neurons for w in neuron.w))
        for layer in model.layers
    ]


def _frame(choice: Choice, model: MLP, step: int, weights: Floats) -> Frame:
    data, parameters = choice.points, model.parameters()
    give_all(parameters, "data", weights)
    loss = choice.loss(model)
    gradient = _gradient(loss, model)
    pulls = [_gradient(choice.share(model, p), model) for p in data.watched]
    passes = [forward(model, data.points[p]) for p in data.watched]
    neurons = [[point for layer in layers for point in layer] for layers in passes]
    return Frame(
        step, loss.data, _right(choice, model), weights, gradient, pulls,
        [[point.z for point in row] for row in neurons],
        [[point.a for point in row] for row in neurons],
    )  # fmt: skip


def _gradient(y: Value, model: MLP) -> Floats:
    model.zero_grad()
    y.backward()
    return [p.grad for p in model.parameters()]


def _right(choice: Choice, model: MLP) -> int:
    data, threshold = choice.points, COSTS[choice.cost].threshold
    scores = [model(x).data - threshold for x in data.points]
    return round(len(scores) * accuracy(scores, data.targets))
